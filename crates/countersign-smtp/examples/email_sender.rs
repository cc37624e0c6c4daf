//! A login whose code goes by email.
//!
//! ```text
//! cargo run -p countersign-smtp --example email_sender
//! ```
//!
//! Without settings it talks to a mail server of its own on this machine, shows what that received,
//! and types the code in by itself.
//!
//! # With your provider, step by step
//!
//! 1. Ask your provider for the host of its *submission* server, a user name and a password for it,
//!    and an address that you may send from. Its domain should have SPF and DKIM records, or the
//!    messages end up as spam.
//! 2. Set them, and an address that you can read:
//!
//!    ```text
//!    export SMTP_HOST=smtp.example.com
//!    export SMTP_USER=countersign SMTP_PASSWORD=...   # leave both out for a relay without a login
//!    export MAIL_FROM=no-reply@example.com MAIL_TO=you@example.com
//!    export MAIL_LANGUAGE=ja                          # en is the default
//!    export SMTP_STARTTLS=1                           # only for a server without TLS on port 465
//!    export SMTP_PORT=2465                            # only for a port of its own
//!    ```
//!
//! 3. Run it again, and type the code that arrives. The page's reference and the message's are the
//!    same four letters.
//!
//! A failed delivery is printed with its cause: how far the conversation was, and the server's
//! reply codes or the kind of the error. Neither addresses nor codes nor credentials are in it, so
//! that it may be logged.

use std::env::{self, VarError};
use std::error::Error;
use std::io::{BufRead, Write};

use base64ct::{Base64, Encoding};
use countersign::contact::EmailAddress;
use countersign::event::{Event, EventKind, EventSink};
use countersign::memory::{MemoryFactors, MemoryUsers};
use countersign::user::{Language, User};
use countersign::{
    Channel, Code, DeliveryStatus, LoginFlow, LoginName, LoginStep, PreverifiedLogin,
    RequestContext, Scope, TenantId, TrustDevice, UserId,
};
use countersign_delivery::message::Messages;
use countersign_smtp::{SmtpPassword, SmtpSender};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

type Failed = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let (sender, mut sink) = if let Some(host) = setting("SMTP_HOST")? {
        (real(host)?, None)
    } else {
        let (sender, sink) = local().await?;
        (sender, Some(sink))
    };

    // A tenant of one, who logs in.
    let tenant = TenantId::new("acme")?;
    let users = MemoryUsers::new();
    let mut user = User::new(tenant.clone(), UserId::new("you")?);
    let address = setting("MAIL_TO")?.unwrap_or_else(|| "you@example.com".to_owned());
    user.email = Some(EmailAddress::new(&address)?);
    let language = setting("MAIL_LANGUAGE")?.unwrap_or_else(|| "en".to_owned());
    user.language = Some(Language::new(&language)?);
    users.insert(&LoginName::new("you")?, user);
    let flow = LoginFlow::builder(users, MemoryFactors::new(), sender).events(Failures).build()?;
    flow.operator("setting up")?.set_scope(&tenant, Scope::EntireTenant).await?;

    let LoginStep::CodeRequired(page) = begin(&flow, &tenant, "you").await? else {
        return Err("a code is asked for".into());
    };
    match &page.delivery {
        DeliveryStatus::Sent(code) => {
            println!("Page: a code went to {}. Reference {}.", code.destination, code.reference);
        }
        DeliveryStatus::PerhapsSent(code) => {
            println!(
                "Page: if a message arrives at {}, it has reference {}.",
                code.destination, code.reference
            );
        }
        other => return Err(format!("no code was sent: {other:?}").into()),
    }
    let typed = match &mut sink {
        Some(sink) => {
            let mail = readable(&sink.recv().await.ok_or("the local server has gone")?);
            println!("\n--- the local server received ---\n{mail}--- end ---\n");
            let code = mail
                .lines()
                .find(|line| line.len() == 6 && line.bytes().all(|b| b.is_ascii_digit()));
            code.ok_or("there is no code in the message")?.to_owned()
        }
        None => ask("The code from the message: ")?,
    };
    match flow
        .request(&tenant, &RequestContext::new())
        .submit_code(&page.token, &Code::new(typed), TrustDevice::No)
        .await?
    {
        LoginStep::Authenticated(done) => println!("You are in, by {:?}.", done.grant.amr()),
        step => println!("Not let in: {step:?}"),
    }
    Ok(())
}

/// The sender for a real provider.
fn real(host: String) -> Result<SmtpSender, Failed> {
    let mut builder = if setting("SMTP_STARTTLS")?.is_some() {
        SmtpSender::starttls_relay(host)
    } else {
        SmtpSender::relay(host)
    };
    if let Some(port) = setting("SMTP_PORT")? {
        builder = builder.port(port.parse()?);
    }
    if let (Some(user), Some(password)) = (setting("SMTP_USER")?, setting("SMTP_PASSWORD")?) {
        builder = builder.credentials(user, SmtpPassword::new(password));
    }
    let from = setting("MAIL_FROM")?.ok_or("MAIL_FROM is not set")?;
    Ok(builder.build(&EmailAddress::new(&from)?, Messages::builder("Example").build()?)?)
}

/// The sender for a server in this program, and what that receives.
async fn local() -> Result<(SmtpSender, UnboundedReceiver<String>), Failed> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let (received, mails) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(take_mail(stream, received.clone()));
        }
    });
    let sender = SmtpSender::dangerously_unencrypted_on_loopback(port).build(
        &EmailAddress::new("no-reply@example.com")?,
        Messages::builder("Example").build()?,
    )?;
    println!("SMTP_HOST is not set: sending to a server of this program, on port {port}.");
    Ok((sender, mails))
}

/// As much of an SMTP server as it takes to see a message.
async fn take_mail(stream: TcpStream, received: UnboundedSender<String>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 sink\r\n").await?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        if line.starts_with("DATA") {
            stream.write_all(b"354 go on\r\n").await?;
            let mut mail = String::new();
            while !mail.ends_with("\r\n.\r\n") {
                if stream.read_line(&mut mail).await? == 0 {
                    return Ok(());
                }
            }
            let _ = received.send(mail.replace("\r\n", "\n"));
        }
        stream.write_all(b"250 fine\r\n").await?;
    }
}

/// The message with the parts that are in base64 as text, as a mail program shows it.
fn readable(mail: &str) -> String {
    const ENCODED: &str = "Content-Transfer-Encoding: base64\n\n";
    let mut parts = mail.split(ENCODED);
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (body, rest) = part.split_once("--").unwrap_or((part, ""));
        let text = Base64::decode_vec(&body.replace('\n', "")).unwrap_or_default();
        shown = shown + "\n" + &String::from_utf8_lossy(&text).replace("\r\n", "\n") + "--" + rest;
    }
    shown
}

async fn begin(flow: &LoginFlow, tenant: &TenantId, name: &str) -> Result<LoginStep, Failed> {
    let user = UserId::new(name)?;
    // A program of yours checks the password here, or lets the flow do it: `begin`.
    let login = PreverifiedLogin { user: &user, channel: Channel::Web, device: None };
    Ok(flow.request(tenant, &RequestContext::new()).begin_with_preverified_password(&login).await?)
}

/// Prints why a delivery failed.
struct Failures;

impl EventSink for Failures {
    fn emit(&self, event: &Event) {
        match &event.kind {
            EventKind::DeliveryFailed { error, causes, .. } => {
                eprintln!("A code failed ({error}): {causes}");
            }
            EventKind::NoticeFailed { error, causes } => {
                eprintln!("A notice failed ({error}): {causes}");
            }
            _ => {}
        }
    }
}

fn setting(name: &str) -> Result<Option<String>, VarError> {
    match env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(error) => Err(error),
    }
}

fn ask(question: &str) -> std::io::Result<String> {
    print!("{question}");
    std::io::stdout().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line)
}
