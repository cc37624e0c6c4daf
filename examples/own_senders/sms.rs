//! SMS through an HTTP gateway.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use countersign::contact::{Destination, PhoneNumber};
use countersign::sender::{CodeMessage, CodeSender, Notice, SendError, SendErrorKind, SendStatus};
use countersign_delivery::message::{Messages, SmsText};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use crate::Failed;

/// Sends SMS through an HTTP gateway on this machine. One request for each message: nothing is sent
/// again, and no redirect is followed.
///
/// The gateway promises one thing that the sender relies on: it answers `4xx` or `5xx` only where
/// it did not take the message. Few providers promise that of `5xx`. Without the promise a `5xx` is
/// [`SendErrorKind::Unknown`], as `countersign-sms` has it.
pub(crate) struct GatewaySms {
    gateway: SocketAddr,
    token: Zeroizing<String>,
    messages: Messages,
    time_limit: Duration,
    /// A gateway that hangs must not take all threads of the blocking pool: passwords are hashed
    /// there too.
    places: Arc<Semaphore>,
}

/// Why an SMS was not sent, or perhaps was. Safe to log.
#[derive(Debug, thiserror::Error)]
enum SmsFailure {
    #[error("destination is not a phone number")]
    NotSms,
    #[error("too many messages are being sent")]
    TooMany,
    #[error("request can not be written")]
    Request,
    #[error("no connection to the gateway: {0}")]
    NotConnected(io::ErrorKind),
    #[error("connection failed after the request was begun: {0}")]
    Interrupted(io::ErrorKind),
    #[error("answer of the gateway can not be read")]
    Unreadable,
    #[error("gateway answered {0}")]
    Answered(u16),
    #[error("task was ended")]
    Ended,
}

impl SmsFailure {
    /// Everything but `Unknown` says that the message surely did not go out.
    fn kind(&self) -> SendErrorKind {
        match self {
            Self::TooMany | Self::Answered(429) => SendErrorKind::Throttled { retry_after: None },
            Self::NotConnected(_) | Self::Answered(500..=599) => SendErrorKind::Transient,
            // A redirect is not followed, and will be one next time, too.
            Self::NotSms | Self::Request | Self::Answered(300..=499) => SendErrorKind::Permanent,
            // From the first byte of the request on only an answer says that it was not taken.
            Self::Interrupted(_) | Self::Unreadable | Self::Answered(_) | Self::Ended => {
                SendErrorKind::Unknown
            }
        }
    }
}

impl From<SmsFailure> for SendError {
    fn from(failure: SmsFailure) -> Self {
        Self::new(failure.kind()).caused_by(failure)
    }
}

impl GatewaySms {
    /// The address has to be on this machine: requests are not encrypted. The time limit is for
    /// connecting, writing and reading together.
    pub(crate) fn new(
        gateway: SocketAddr,
        token: Zeroizing<String>,
        messages: Messages,
        time_limit: Duration,
    ) -> Result<Self, Failed> {
        if !gateway.ip().is_loopback() {
            return Err("a gateway on another machine needs TLS".into());
        }
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("the token can not be in a header".into());
        }
        Ok(Self { gateway, token, messages, time_limit, places: Arc::new(Semaphore::new(64)) })
    }

    async fn send(&self, to: &Destination, text: SmsText) -> Result<SendStatus, SendError> {
        let Destination::Sms(number) = to else { return Err(SmsFailure::NotSms.into()) };
        let request = self.request(number, &text)?;
        let places = Arc::clone(&self.places);
        let place = places.try_acquire_owned().map_err(|_| SmsFailure::TooMany)?;
        let (gateway, time_limit) = (self.gateway, self.time_limit);
        let answer = spawn_blocking(move || {
            let answer = post(gateway, &request, time_limit);
            drop(place); // Here, so that a caller who hangs up frees no place too early.
            answer
        });
        match answer.await.unwrap_or(Err(SmsFailure::Ended))? {
            200..=299 => Ok(SendStatus::Sent),
            status => Err(SmsFailure::Answered(status).into()),
        }
    }

    fn request(
        &self,
        number: &PhoneNumber,
        text: &SmsText,
    ) -> Result<Zeroizing<Vec<u8>>, SmsFailure> {
        #[derive(serde::Serialize)]
        struct Sms<'a> {
            to: &'a str,
            text: &'a str,
        }
        let sms = Sms { to: number.expose(), text: text.expose() };
        let body = Zeroizing::new(serde_json::to_string(&sms).map_err(|_| SmsFailure::Request)?);
        let (gateway, token, length) = (self.gateway, &*self.token, body.len());
        Ok(Zeroizing::new(
            format!(
                "POST /messages HTTP/1.1\r\nHost: {gateway}\r\nAuthorization: Bearer {token}\r\n\
                 Content-Type: application/json\r\nContent-Length: {length}\r\n\
                 Connection: close\r\n\r\n{}",
                *body
            )
            .into_bytes(),
        ))
    }
}

#[async_trait]
impl CodeSender for GatewaySms {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        self.send(&message.destination, self.messages.code_sms(message)).await
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        self.send(&notice.destination, self.messages.notice_sms(notice)).await
    }
}

/// Posts one request, and answers the status. Blocks, for no longer than the time limit.
fn post(gateway: SocketAddr, request: &[u8], time_limit: Duration) -> Result<u16, SmsFailure> {
    let now = Instant::now();
    let until = now.checked_add(time_limit).unwrap_or(now);
    let stream = TcpStream::connect_timeout(&gateway, time_limit)
        .map_err(|error| SmsFailure::NotConnected(error.kind()))?;
    let mut connection = Connection { stream, until };
    let mut line = Vec::new();
    connection
        .write_all(request)
        // Only the first line counts. It is read to its end, or to 256 bytes.
        .and_then(|()| BufReader::new(connection.take(256)).read_until(b'\n', &mut line))
        .map_err(|error| SmsFailure::Interrupted(error.kind()))?;
    status(&line).ok_or(SmsFailure::Unreadable)
}

/// A connection whose reads and writes all end at one moment.
struct Connection {
    stream: TcpStream,
    until: Instant,
}

impl Connection {
    fn time_left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.time_left()?)?;
        self.stream.read(buffer).map_err(by_name)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.time_left()?)?;
        self.stream.write(bytes).map_err(by_name)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// On Unix a time-out is reported as an operation that would block.
fn by_name(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

/// The status in the first line of an answer, if that line is complete and well formed.
fn status(line: &[u8]) -> Option<u16> {
    let versions: [&[u8]; 2] = [b"HTTP/1.1 ", b"HTTP/1.0 "];
    let rest = versions.iter().find_map(|version| line.strip_prefix(*version))?;
    let (digits, after) = rest.split_at_checked(3)?;
    let complete = line.ends_with(b"\n") && matches!(after.first(), Some(b' ' | b'\r' | b'\n'));
    let digits = std::str::from_utf8(digits).ok()?;
    let is_number = digits.bytes().all(|b| b.is_ascii_digit());
    if complete && is_number { digits.parse().ok() } else { None }
}
