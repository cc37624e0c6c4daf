//! Email as files in a folder.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use base64ct::{Base64, Encoding};
use countersign::contact::{Destination, EmailAddress};
use countersign::entropy::{Entropy, SystemEntropy};
use countersign::error::PluginError;
use countersign::sender::{CodeMessage, CodeSender, Notice, SendError, SendErrorKind, SendStatus};
use countersign_delivery::message::{EmailText, Messages};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

/// Sends email as files: another program, such as a mail server's pickup folder, takes them on.
///
/// A file appears under its name when it is complete. On Unix only its owner can read it.
pub(crate) struct MailFolder {
    pub(crate) folder: PathBuf,
    /// The sender's address, in ASCII.
    pub(crate) from: EmailAddress,
    pub(crate) messages: Messages,
}

/// Why no email was written. Safe to log: it names no address and no path.
#[derive(Debug, thiserror::Error)]
enum MailFailure {
    #[error("destination is not an email address")]
    NotEmail,
    #[error("address is not ASCII, which this sender does not write")]
    NotAscii,
    #[error("email can not be composed")]
    Compose,
    #[error("file was not written: {0}")]
    Folder(io::ErrorKind),
    #[error("task was ended")]
    Ended,
}

impl From<MailFailure> for SendError {
    fn from(failure: MailFailure) -> Self {
        let kind = match failure {
            MailFailure::NotEmail | MailFailure::NotAscii => SendErrorKind::Permanent,
            // The file has its name only when everything went well, so nothing was sent.
            MailFailure::Compose | MailFailure::Folder(_) => SendErrorKind::Transient,
            MailFailure::Ended => SendErrorKind::Unknown,
        };
        Self::new(kind).caused_by(failure)
    }
}

impl MailFolder {
    async fn send(
        &self,
        name: String,
        to: &Destination,
        text: EmailText,
    ) -> Result<SendStatus, SendError> {
        let Destination::Email(address) = to else { return Err(MailFailure::NotEmail.into()) };
        let mail = self.compose(address, &text)?;
        let folder = self.folder.clone();
        // Files block: never on a worker of the runtime.
        let written = spawn_blocking(move || put(&folder, &name, mail.as_bytes())).await;
        written
            .map_err(|_| MailFailure::Ended)?
            .map_err(|error| MailFailure::Folder(error.kind()))?;
        Ok(SendStatus::Sent)
    }

    /// One message as MIME. What could break out of a header is encoded (RFC 2047), and an address
    /// holds neither line breaks nor angle brackets.
    fn compose(
        &self,
        to: &EmailAddress,
        text: &EmailText,
    ) -> Result<Zeroizing<String>, MailFailure> {
        let (from, to) = (self.from.expose(), to.expose());
        if !from.is_ascii() || !to.is_ascii() {
            return Err(MailFailure::NotAscii);
        }
        let now = OffsetDateTime::now_utc().format(&Rfc2822).map_err(|_| MailFailure::Compose)?;
        let id = random_hex().map_err(|_| MailFailure::Compose)?;
        let domain = from.rsplit_once('@').map_or("invalid", |(_, domain)| domain);
        let headers = [
            format!("From: {} <{from}>", encoded_words(self.messages.application())),
            format!("To: <{to}>"),
            format!("Subject: {}", encoded_words(text.subject())),
            format!("Date: {now}"),
            format!("Message-ID: <{id}@{domain}>"),
            // RFC 3834: no out-of-office answers.
            "Auto-Submitted: auto-generated".to_owned(),
            "MIME-Version: 1.0".to_owned(),
            // No line of base64 begins with hyphens, so nothing in a part ends it.
            "Content-Type: multipart/alternative; boundary=\"=_part\"".to_owned(),
        ];
        let part = |kind: &str, body: &str| {
            let header = format!("Content-Type: text/{kind}; charset=utf-8\r\n");
            let body = base64_lines(body);
            format!("--=_part\r\n{header}Content-Transfer-Encoding: base64\r\n\r\n{}", *body)
        };
        let (plain, html) = (
            Zeroizing::new(part("plain", text.expose_text())),
            Zeroizing::new(part("html", text.expose_html())),
        );
        Ok(Zeroizing::new(format!(
            "{}\r\n\r\n{}{}--=_part--\r\n",
            headers.join("\r\n"),
            *plain,
            *html
        )))
    }
}

#[async_trait]
impl CodeSender for MailFolder {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        // The name says which message it is, and nothing about the user.
        let name = format!("code-{}.eml", message.id());
        self.send(name, &message.destination, self.messages.code_email(message)).await
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        let id = random_hex().map_err(|_| MailFailure::Compose)?;
        let text = self.messages.notice_email(notice);
        self.send(format!("notice-{id}.eml"), &notice.destination, text).await
    }
}

/// Writes a file as a whole: it gets its name when all of it is on the disk.
fn put(folder: &Path, name: &str, mail: &[u8]) -> io::Result<()> {
    let part = folder.join(format!(".{name}.part"));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&part)?;
    let written = file.write_all(mail).and_then(|()| file.sync_all());
    let named = written.and_then(|()| fs::rename(&part, folder.join(name)));
    if named.is_err() {
        let _ = fs::remove_file(&part);
    }
    named
}

/// A header's text in base64 (RFC 2047), in words of less than 75 characters.
fn encoded_words(text: &str) -> String {
    let mut words = vec![String::new()];
    for c in text.chars() {
        match words.last_mut() {
            Some(word) if word.len().saturating_add(c.len_utf8()) <= 42 => word.push(c),
            _ => words.push(c.to_string()),
        }
    }
    let encode = |word: &String| format!("=?utf-8?B?{}?=", Base64::encode_string(word.as_bytes()));
    words.iter().map(encode).collect::<Vec<_>>().join("\r\n ")
}

/// A body in base64 (RFC 2045), in lines of 76 characters.
fn base64_lines(text: &str) -> Zeroizing<String> {
    let encoded = Zeroizing::new(Base64::encode_string(text.replace('\n', "\r\n").as_bytes()));
    let mut lines = Zeroizing::new(String::with_capacity(encoded.len().saturating_mul(2)));
    for line in encoded.as_bytes().chunks(76) {
        lines.extend(line.iter().copied().map(char::from));
        lines.push_str("\r\n");
    }
    lines
}

/// A name that nobody chose.
pub(crate) fn random_hex() -> Result<String, PluginError> {
    let mut bytes = [0; 16];
    SystemEntropy.fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}
