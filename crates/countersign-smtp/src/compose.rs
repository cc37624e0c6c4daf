//! One message as MIME.

use countersign::entropy::{Entropy, SystemEntropy};
use countersign_delivery::message::EmailText;
use lettre::Message;
use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};

use crate::address::WireAddress;
use crate::failure::{Phase, SmtpCause, SmtpFailure};

/// Builds the message. Its `Message-ID` is random and under the sender's domain, so that it says
/// nothing about this machine.
pub(crate) fn compose(
    from: &Mailbox,
    to: &WireAddress,
    text: &EmailText,
) -> Result<Vec<u8>, SmtpFailure> {
    let id = format!("<{}@{}>", random_hex()?, from.email.domain());
    let parts = MultiPart::alternative_plain_html(
        text.expose_text().to_owned(),
        text.expose_html().to_owned(),
    );
    // Not for the wire: without it the library reads the addresses back out of the headers, and
    // can't read all.
    let envelope = Envelope::new(Some(from.email.clone()), vec![to.address.clone()]);
    let message = Message::builder()
        .envelope(envelope.map_err(|_| SmtpFailure::new(Phase::Preparation, SmtpCause::Compose))?)
        .from(from.clone())
        .to(Mailbox::new(None, to.address.clone()))
        .subject(text.subject())
        .message_id(Some(id))
        .date_now()
        // RFC 3834: no out-of-office answers.
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .multipart(parts)
        .map_err(|_| SmtpFailure::new(Phase::Preparation, SmtpCause::Compose))?;
    Ok(message.formatted())
}

fn random_hex() -> Result<String, SmtpFailure> {
    let mut bytes = [0_u8; 16];
    SystemEntropy
        .fill(&mut bytes)
        .map_err(|_| SmtpFailure::new(Phase::Preparation, SmtpCause::Compose))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use countersign::contact::{Destination, EmailAddress};
    use countersign::sender::{CodeMessage, Purpose};
    use countersign::{Code, TenantId, UserId};
    use countersign_delivery::message::Messages;
    use lettre::Address;
    use proptest::prelude::*;

    use super::*;
    use crate::address::on_the_wire;

    fn message(to: &EmailAddress) -> CodeMessage {
        CodeMessage {
            tenant: TenantId::new("acme").unwrap(),
            user: UserId::new("alice").unwrap(),
            login: "AAAAAAAAAAAAAAAAAAAAAA".parse().unwrap(),
            purpose: Purpose::Login,
            destination: Destination::Email(to.clone()),
            code: Code::new("836194"),
            reference: serde_json::from_str("\"BKTR\"").unwrap(),
            valid_for: Duration::from_secs(180),
            expires_at: time::OffsetDateTime::UNIX_EPOCH,
            language: None,
        }
    }

    proptest! {
        /// I-33, attack 54: whatever address and names are accepted, the headers are these and no
        /// others, each on lines of its own.
        #[test]
        fn no_header_can_be_added(
            local in "[\\PC\\r\\n\\x00]{1,10}",
            domain in prop::sample::select(vec!["example.com", "例え.jp", "b.example\r\nBcc: x"]),
            application in "[\\PC\\r\\n\u{2028}\u{85}]{1,30}",
            from_name in "[\\PC\u{2028}\u{202e}]{0,120}",
        ) {
            let Ok(to) = EmailAddress::new(&format!("{local}@{domain}")) else { return Ok(()) };
            let Some(wire) = on_the_wire(&to) else { return Ok(()) };
            let built = Messages::builder(application).allow_several_sms().build();
            let Ok(messages) = built else { return Ok(()) };
            let from = Mailbox::new(Some(from_name), Address::new("no-reply", "example.com").unwrap());
            let bytes = compose(&from, &wire, &messages.code_email(&message(&to))).unwrap();
            let text = String::from_utf8(bytes).unwrap();
            let (head, _) = text.split_once("\r\n\r\n").unwrap();
            let folded = head.replace("\r\n ", " ");
            prop_assert!(folded.lines().any(|line| line == format!("To: {}", wire.address)), "{}", head);
            let names: Vec<&str> = head
                .split("\r\n")
                .filter(|line| !line.starts_with([' ', '\t']))
                .map(|line| line.split_once(':').map_or(line, |(name, _)| name))
                .collect();
            let expected = ["From", "To", "Subject", "Message-ID", "Date", "Auto-Submitted", "MIME-Version", "Content-Type"];
            prop_assert_eq!(names, expected);
            prop_assert!(!head.replace("\r\n", "").contains(['\r', '\n', '\0']));
        }
    }
}
