//! Commands and replies over one connection, one after the other.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

use crate::failure::SmtpCause;
use crate::reply::{MAX_LINE, Reply, Unfinished};

/// A connection, with or without TLS.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Wire for T {}

/// A conversation in which every command waits for its reply. After an error, or a future that was
/// dropped on the way, nobody knows where it stands: it MUST be dropped too.
pub(crate) struct Dialogue {
    wire: Box<dyn Wire>,
    /// What was read and is not used yet: less than one line and one read.
    ahead: Vec<u8>,
}

impl Dialogue {
    pub(crate) const fn new(wire: Box<dyn Wire>) -> Self {
        Self { wire, ahead: Vec::new() }
    }

    /// The connection, for TLS. Bytes that came ahead of it are refused: anybody on the way can
    /// have put them there, and they would pass for answers of the server (CVE-2011-0411 and its
    /// kind).
    pub(crate) fn into_wire(self) -> Result<Box<dyn Wire>, SmtpCause> {
        self.nothing_ahead()?;
        Ok(self.wire)
    }

    /// One command, without its line end, and its reply.
    pub(crate) async fn command(&mut self, line: &str) -> Result<Reply, SmtpCause> {
        self.command_with_text(line, |_| {}).await
    }

    /// The same. `text` is shown the text of each line of the reply.
    pub(crate) async fn command_with_text(
        &mut self,
        line: &str,
        text: impl FnMut(&[u8]),
    ) -> Result<Reply, SmtpCause> {
        // It may be the password.
        let line = Zeroizing::new([line.as_bytes(), b"\r\n"].concat());
        self.write(&line).await?;
        self.reply(text).await
    }

    /// Sends bytes as they are.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), SmtpCause> {
        self.nothing_ahead()?;
        self.wire.write_all(bytes).await.map_err(|error| broken(&error))?;
        self.wire.flush().await.map_err(|error| broken(&error))
    }

    /// The next reply. `text` is shown the text of each of its lines.
    pub(crate) async fn reply(&mut self, mut text: impl FnMut(&[u8])) -> Result<Reply, SmtpCause> {
        let mut unfinished = Unfinished::default();
        loop {
            let line = self.line().await?;
            let (said, reply) = unfinished.take(&line)?;
            text(said);
            if let Some(reply) = reply {
                return Ok(reply);
            }
        }
    }

    /// The next line, with its end.
    async fn line(&mut self) -> Result<Vec<u8>, SmtpCause> {
        let mut searched = 0;
        loop {
            let rest = self.ahead.get(searched..).unwrap_or_default();
            if let Some(found) = rest.iter().position(|byte| *byte == b'\n') {
                let rest = self.ahead.split_off(searched.saturating_add(found).saturating_add(1));
                return Ok(std::mem::replace(&mut self.ahead, rest));
            }
            searched = self.ahead.len();
            if searched >= MAX_LINE {
                return Err(SmtpCause::TooLong);
            }
            let mut read = [0; 1024];
            let count = self.wire.read(&mut read).await.map_err(|error| broken(&error))?;
            if count == 0 {
                return Err(SmtpCause::Io(io::ErrorKind::UnexpectedEof));
            }
            self.ahead.extend_from_slice(read.get(..count).unwrap_or_default());
        }
    }

    /// Whether the server has said no more than it was asked.
    fn nothing_ahead(&self) -> Result<(), SmtpCause> {
        if self.ahead.is_empty() { Ok(()) } else { Err(SmtpCause::OutOfTurn) }
    }
}

fn broken(error: &io::Error) -> SmtpCause {
    SmtpCause::Io(error.kind())
}
