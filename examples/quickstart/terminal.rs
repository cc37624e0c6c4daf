//! The example's two surfaces: a terminal that a person or the program itself types at, and
//! messages that are printed.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use countersign::contact::Destination;
use countersign::sender::{CodeMessage, CodeSender, Notice, Purpose, SendError, SendStatus};
use countersign_delivery::message::{Messages, MessagesError};

/// Asks a person, or, unattended, plays the person.
pub(crate) struct Terminal {
    unattended: bool,
}

#[expect(clippy::unused_self, reason = "what is said is said at a terminal")]
impl Terminal {
    /// Unattended if asked for, or if nobody is there to type.
    pub(crate) fn from_arguments() -> Self {
        Self {
            unattended: std::env::args().any(|argument| argument == "--unattended")
                || !io::stdin().is_terminal(),
        }
    }

    pub(crate) fn is_unattended(&self) -> bool {
        self.unattended
    }

    pub(crate) fn title(&self, text: &str) {
        println!("\n== {text}");
    }

    pub(crate) fn say(&self, text: &str) {
        println!("   {text}");
    }

    /// What the person types; unattended, what they would.
    pub(crate) fn ask(&self, prompt: &str, answer: impl FnOnce() -> String) -> io::Result<String> {
        print!(" > {prompt}: ");
        io::stdout().flush()?;
        if self.unattended {
            let answer = answer();
            println!("{answer}");
            return Ok(answer);
        }
        let mut line = String::new();
        if io::stdin().read_line(&mut line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "nobody types any more"));
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

/// Prints each message in a line, notices in countersign's own words, and remembers the code as
/// their mailbox would.
#[derive(Clone)]
pub(crate) struct PrintingSender {
    messages: Messages,
    last_code: Arc<Mutex<String>>,
}

impl PrintingSender {
    pub(crate) fn new() -> Result<Self, MessagesError> {
        Ok(Self { messages: Messages::builder("acme").build()?, last_code: Arc::default() })
    }

    /// What the person reads in their newest message.
    pub(crate) fn last_code(&self) -> String {
        self.last_code.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl CodeSender for PrintingSender {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        let code = message.code.expose();
        let purpose =
            if message.purpose == Purpose::Login { "sign in" } else { "confirm this address" };
        let minutes = message.valid_for.as_secs() / 60;
        print_message(
            &message.destination,
            &format!(
                "{code} is your code to {purpose} at acme. Message {}, good for {minutes} minutes.",
                message.reference
            ),
        );
        code.clone_into(&mut self.last_code.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(SendStatus::Sent)
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        match &notice.destination {
            Destination::Sms(_) => {
                print_message(&notice.destination, self.messages.notice_sms(notice).expose());
            }
            Destination::Email(_) => {
                print_message(&notice.destination, self.messages.notice_email(notice).subject());
            }
        }
        Ok(SendStatus::Sent)
    }
}

fn print_message(to: &Destination, text: &str) {
    match to {
        Destination::Email(address) => println!("   [mail to {}] {text}", address.expose()),
        Destination::Sms(number) => println!("   [SMS to {}] {text}", number.expose()),
    }
}
