//! An SMTP server that plays a part: polite, except where the test tells it otherwise.
#![allow(dead_code, missing_docs, unreachable_pub)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::arithmetic_side_effects
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::watch;

/// Where a conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Greeting,
    Ehlo,
    StartTls,
    /// `AUTH`, and each line that belongs to it: the first is 0.
    Auth(usize),
    Reset,
    Mail,
    Rcpt,
    Data,
    /// The final dot.
    Dot,
}

/// The moment at which the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Which connection to this server it is, from 0.
    pub connection: usize,
    /// How many texts have ended on this connection before.
    pub message: usize,
    pub step: Step,
    /// Whether TLS has begun.
    pub encrypted: bool,
}

/// What the server does instead of answering politely.
#[derive(Clone, Debug)]
pub enum Act {
    /// Says this and goes on.
    Say(Vec<u8>),
    /// Says this and closes.
    SayAndClose(Vec<u8>),
    /// Says this again and again, until the client has gone.
    Endless(Vec<u8>),
    /// Closes.
    Close,
    /// Never says anything again, and notices when the client has gone.
    Silent,
    /// Waits until the test lets everybody go on, then answers politely.
    Wait,
}

pub fn say(text: impl AsRef<[u8]>) -> Act {
    Act::Say(text.as_ref().to_vec())
}

/// What the server heard.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Each connection, and whether it is still open.
    pub open: Vec<bool>,
    /// Commands with the connection that they came on.
    pub commands: Vec<(usize, String)>,
    /// Texts whose end was heard, with the connection that they came on: as they stood on the wire.
    pub texts: Vec<(usize, Vec<u8>)>,
    /// Bytes that were written for [`Act::Endless`].
    pub endless: usize,
    /// Conversations that wait.
    pub waiting: usize,
}

impl Heard {
    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.open.len()
    }

    /// The connections that texts ended on, in their order.
    pub fn text_on(&self) -> Vec<usize> {
        self.texts.iter().map(|(connection, _)| *connection).collect()
    }

    /// How often a command that begins like this was heard.
    pub fn count(&self, command: &str) -> usize {
        self.commands.iter().filter(|(_, heard)| heard.starts_with(command)).count()
    }
}

type Script = Arc<dyn Fn(At) -> Option<Act> + Send + Sync>;

/// The part, and what was heard while it was played.
#[derive(Clone)]
pub struct Play {
    script: Script,
    heard: Arc<watch::Sender<Heard>>,
    released: Arc<watch::Sender<bool>>,
    /// The lines of the answer to `EHLO` after the first.
    extensions: Arc<Mutex<Vec<u8>>>,
}

impl Play {
    /// `script` says where the server is not polite.
    pub fn new(script: impl Fn(At) -> Option<Act> + Send + Sync + 'static) -> Self {
        Self {
            script: Arc::new(script),
            heard: Arc::new(watch::Sender::new(Heard::default())),
            released: Arc::new(watch::Sender::new(false)),
            extensions: Arc::new(Mutex::new(
                b"250-8BITMIME\r\n250-SMTPUTF8\r\n250 AUTH PLAIN LOGIN\r\n".to_vec(),
            )),
        }
    }

    /// Answers `EHLO` with these lines after its first.
    pub fn extensions(self, lines: impl AsRef<[u8]>) -> Self {
        *self.extensions.lock().unwrap() = lines.as_ref().to_vec();
        self
    }

    /// What was heard until now.
    pub fn heard(&self) -> Heard {
        self.heard.borrow().clone()
    }

    /// Waits until what was heard is like this. Gives up where it never will be.
    pub async fn until(&self, like_this: impl FnMut(&Heard) -> bool) -> Heard {
        let mut heard = self.heard.subscribe();
        let waited = tokio::time::timeout(Duration::from_secs(60), heard.wait_for(like_this)).await;
        waited.unwrap_or_else(|_| panic!("{:?}", self.heard())).unwrap().clone()
    }

    /// Lets every [`Act::Wait`] go on.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    fn note(&self, what: impl FnOnce(&mut Heard)) {
        self.heard.send_modify(what);
    }

    /// Plays one connection to its end.
    pub async fn serve(&self, wire: impl Stream, tls: Option<&dyn Upgrade>) {
        let mut connection = 0;
        self.note(|heard| {
            connection = heard.open.len();
            heard.open.push(true);
        });
        let mut part = Part {
            play: self,
            at: At { connection, message: 0, step: Step::Greeting, encrypted: false },
            wire: BufReader::new(Box::new(wire)),
        };
        let _ = part.converse(tls).await;
        self.note(|heard| {
            if let Some(open) = heard.open.get_mut(connection) {
                *open = false;
            }
        });
    }
}

/// Both ways of a connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static> Stream for T {}

/// How a server begins TLS.
#[async_trait::async_trait]
pub trait Upgrade: Send + Sync {
    async fn upgrade(&self, wire: Box<dyn Stream>) -> std::io::Result<Box<dyn Stream>>;
}

struct Part<'a> {
    play: &'a Play,
    at: At,
    wire: BufReader<Box<dyn Stream>>,
}

/// The conversation is over.
struct Over;

impl<T: std::error::Error> From<T> for Over {
    fn from(_: T) -> Self {
        Self
    }
}

impl Part<'_> {
    async fn converse(&mut self, tls: Option<&dyn Upgrade>) -> Result<(), Over> {
        self.answer(Step::Greeting, "220 mail.example.com").await?;
        loop {
            let command = self.line().await?;
            self.play.note(|heard| heard.commands.push((self.at.connection, command.clone())));
            match command.split([' ', ':']).next().unwrap_or_default() {
                "EHLO" => {
                    let mut said = b"250-mail.example.com\r\n".to_vec();
                    if tls.is_some() && !self.at.encrypted {
                        said.extend_from_slice(b"250-STARTTLS\r\n");
                    }
                    said.extend_from_slice(&self.play.extensions.lock().unwrap());
                    self.act(Step::Ehlo, &said).await?;
                }
                "STARTTLS" => {
                    self.answer(Step::StartTls, "220 go on").await?;
                    let plain = std::mem::replace(
                        &mut self.wire,
                        BufReader::new(Box::new(tokio::io::empty())),
                    );
                    let wire = tls.ok_or(Over)?.upgrade(Box::new(plain)).await?;
                    self.wire = BufReader::new(wire);
                    self.at.encrypted = true;
                }
                "AUTH" if command.starts_with("AUTH PLAIN ") => {
                    self.answer(Step::Auth(0), "235 welcome").await?;
                }
                "AUTH" => {
                    for (number, polite) in
                        ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"].into_iter().enumerate()
                    {
                        self.answer(Step::Auth(number), polite).await?;
                        let line = self.line().await?;
                        self.play.note(|heard| heard.commands.push((self.at.connection, line)));
                    }
                    self.answer(Step::Auth(2), "235 welcome").await?;
                }
                "RSET" => self.answer(Step::Reset, "250 2.0.0 forgotten").await?,
                "MAIL" => self.answer(Step::Mail, "250 2.1.0 ok").await?,
                "RCPT" => self.answer(Step::Rcpt, "250 2.1.5 ok").await?,
                "DATA" => {
                    self.answer(Step::Data, "354 go on").await?;
                    let mut text = Vec::new();
                    loop {
                        let start = text.len();
                        if self.wire.read_until(b'\n', &mut text).await? == 0 {
                            return Err(Over);
                        }
                        if text.get(start..) == Some(b".\r\n") {
                            break;
                        }
                    }
                    self.play.note(|heard| heard.texts.push((self.at.connection, text)));
                    self.answer(Step::Dot, "250 2.0.0 taken").await?;
                    self.at.message += 1;
                }
                _ => self.wire.write_all(b"500 what?\r\n").await?,
            }
        }
    }

    async fn line(&mut self) -> Result<String, Over> {
        let mut line = Vec::new();
        self.wire.read_until(b'\n', &mut line).await?;
        let line = line.strip_suffix(b"\r\n").ok_or(Over)?;
        Ok(String::from_utf8_lossy(line).into_owned())
    }

    async fn answer(&mut self, step: Step, polite: &str) -> Result<(), Over> {
        self.act(step, format!("{polite}\r\n").as_bytes()).await
    }

    async fn act(&mut self, step: Step, polite: &[u8]) -> Result<(), Over> {
        self.at.step = step;
        match (self.play.script)(self.at) {
            None => self.say(polite).await,
            Some(Act::Say(bytes)) => self.say(&bytes).await,
            Some(Act::SayAndClose(bytes)) => {
                self.say(&bytes).await?;
                Err(Over)
            }
            Some(Act::Close) => Err(Over),
            Some(Act::Endless(bytes)) => loop {
                self.say(&bytes).await?;
                self.play.note(|heard| heard.endless += bytes.len());
            },
            Some(Act::Silent) => {
                while self.wire.read(&mut [0; 1024]).await? > 0 {}
                Err(Over)
            }
            Some(Act::Wait) => {
                self.play.note(|heard| heard.waiting += 1);
                self.play.released.subscribe().wait_for(|released| *released).await?;
                self.say(polite).await
            }
        }
    }

    async fn say(&mut self, bytes: &[u8]) -> Result<(), Over> {
        self.wire.write_all(bytes).await?;
        Ok(self.wire.flush().await?)
    }
}
