//! Everything that is saved about one user: one document, one format, pinned by a golden file.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::contact::{EmailAddress, Method, PhoneNumber, saved_address, saved_number};
use crate::epoch::Epoch;
use crate::error::{Document, Error};
use crate::ids::{DeviceId, LoginId, RecordId};
use crate::label::DeviceLabel;
use crate::limits::Limits;
use crate::machine::budget::failures::{Failures, is_zero};
use crate::machine::budget::refills::ResetLog;
use crate::machine::budget::sends::SendLog;
use crate::machine::notices::NoticeLog;
use crate::machine::seal::Tag;
use crate::policy::Channel;
use crate::sender::Reference;
use crate::store::MAX_DOCUMENT;
use crate::user::User;

/// The newest format of a saved document that this version reads; it reads every earlier one, and
/// writes the lowest that can express what is saved (`I-41`).
pub(crate) const READS: u32 = 2;

/// What every record needs.
const PASSWORDS: u32 = 1;
/// What one needs that has a login after single sign-on under way: a node that does not know these
/// would take it for one whose password was verified.
const SINGLE_SIGN_ON: u32 = 2;

/// More of anything than any configuration allows: such a document is damaged.
const MOST_ENTRIES: usize = 128;

/// A user's record.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(super) format: u32,
    /// Grants are bound to it; a reset makes another.
    pub(crate) id: RecordId,
    /// The latest time at which this record was decided on (`I-08`).
    pub(crate) seen: Timestamp,
    pub(crate) password: PasswordState,
    /// The proved number that codes go to. Without one they go to the registered email address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sms: Option<Number>,
    /// The registered address that was last used. A change of it ends what hangs on it (`I-30`).
    #[serde(default, skip_serializing_if = "Option::is_none", with = "saved_address")]
    pub(crate) address: Option<EmailAddress>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) pending: Vec<Pending>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) setup: Option<Setup>,
    #[serde(default, skip_serializing_if = "Failures::is_empty")]
    pub(crate) code_failures: Failures,
    /// Read and dropped: wrong backup codes were counted here until they locked nothing (`I-14`).
    #[serde(default, skip_serializing)]
    #[expect(dead_code, reason = "records that were saved with it must stay readable")]
    pub(crate) backup_failures: Failures,
    #[serde(default, skip_serializing_if = "Failures::is_empty")]
    pub(crate) setup_failures: Failures,
    #[serde(default, skip_serializing_if = "SendLog::is_empty")]
    pub(crate) sends: SendLog,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) devices: Vec<Device>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) backup: Option<Backup>,
    #[serde(default, skip_serializing_if = "ResetLog::is_empty")]
    pub(crate) resets: ResetLog,
    #[serde(default, skip_serializing_if = "NoticeLog::is_empty")]
    pub(crate) notices: NoticeLog,
}

/// A proved number.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Number {
    #[serde(with = "saved_number")]
    pub(crate) number: PhoneNumber,
    pub(crate) proved: Timestamp,
}

/// What is known of the user's password: how it was last seen, and what failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordState {
    /// The epoch of the hash as it was first seen. Everything in the record belongs to it, and
    /// grants are bound to it.
    pub(crate) epoch: Epoch,
    /// The epochs of hashes that were made of the same password since, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rehashed: Vec<Epoch>,
    #[serde(default, skip_serializing_if = "Failures::is_empty")]
    pub(crate) failures: Failures,
    /// What failed beside the token of a trusted device, which strangers do not have (`I-16`).
    #[serde(default, skip_serializing_if = "Failures::is_empty")]
    pub(crate) device_failures: Failures,
}

impl PasswordState {
    /// What failed beside the token of a trusted device, or without one.
    pub(crate) const fn failures_of(&mut self, by_device: bool) -> &mut Failures {
        if by_device { &mut self.device_failures } else { &mut self.failures }
    }
}

/// A login between the password and the second factor.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pending {
    pub(crate) login: LoginId,
    /// Of the client's token (`I-02`).
    pub(crate) token: Tag,
    #[serde(deserialize_with = "crate::policy::read_channel")]
    pub(crate) channel: Channel,
    pub(crate) begun: Timestamp,
    #[serde(default)]
    pub(crate) wrong: u32,
    /// Wrong backup codes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) wrong_backup: u32,
    #[serde(default)]
    pub(crate) sends: u32,
    /// Where the last code of this login went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) via: Option<Method>,
    /// At most one (`I-06`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<LiveCode>,
}

impl Pending {
    /// When its last code was issued. No spacing is longer than a code lives, so nothing is missed
    /// with a code that has expired (`I-15`).
    pub(super) fn last_issued(&self) -> Option<Timestamp> {
        self.code.as_ref().map(|code| code.issued)
    }
}

/// A code that was sent, as a tag that only the client's token can recompute (`I-21`).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LiveCode {
    pub(crate) tag: Tag,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pepper: Option<String>,
    pub(crate) issued: Timestamp,
    pub(crate) reference: Reference,
}

impl LiveCode {
    /// When it stops to work.
    pub(crate) fn expires(&self, limits: &Limits) -> Timestamp {
        self.issued.plus(limits.code_ttl)
    }

    /// Whether it works at this time: not before it was issued either, which a clock that went back
    /// would show.
    pub(crate) fn is_live(&self, now: Timestamp, limits: &Limits) -> bool {
        now.is_within(self.issued, limits.code_ttl)
    }
}

/// A number or the email address that is being proved as the place where codes go.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Setup {
    pub(crate) token: Tag,
    /// The login under whose grant it was started.
    pub(crate) login: LoginId,
    /// `None`: the registered email address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) number: Option<SetupNumber>,
    #[serde(default)]
    pub(crate) wrong: u32,
    pub(crate) code: LiveCode,
}

/// A number that is not proved yet. It is a type of its own so that none of it reaches a login.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct SetupNumber(#[serde(with = "saved_number")] pub(crate) PhoneNumber);

/// A trusted device (`I-29`).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    pub(crate) token: Tag,
    pub(crate) label: DeviceLabel,
    pub(crate) registered: Timestamp,
    pub(crate) used: Timestamp,
    pub(crate) expires: Timestamp,
}

/// The backup code (`I-31`).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Backup {
    pub(crate) tag: Tag,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pepper: Option<String>,
    pub(crate) made: Timestamp,
}

impl Record {
    pub(crate) fn new(id: RecordId, now: Timestamp, epoch: Epoch) -> Self {
        Self {
            format: PASSWORDS,
            id,
            seen: now,
            password: PasswordState {
                epoch,
                rehashed: Vec::new(),
                failures: Failures::default(),
                device_failures: Failures::default(),
            },
            sms: None,
            address: None,
            pending: Vec::new(),
            setup: None,
            code_failures: Failures::default(),
            backup_failures: Failures::default(),
            setup_failures: Failures::default(),
            sends: SendLog::default(),
            devices: Vec::new(),
            backup: None,
            resets: ResetLog::default(),
            notices: NoticeLog::default(),
        }
    }

    pub(crate) fn method(&self) -> Method {
        if self.sms.is_some() { Method::Sms } else { Method::Email }
    }

    /// Whether the user's registered address is another than the one that was last used, in more
    /// than case.
    pub(crate) fn was_elsewhere(&self, user: &User) -> bool {
        let folded = |address: &EmailAddress| address.expose().to_lowercase();
        self.address
            .as_ref()
            .is_some_and(|known| user.email.as_ref().map(folded) != Some(folded(known)))
    }

    /// How many things there are in it that end by themselves.
    pub(crate) fn expiring_entries(&self) -> usize {
        let codes = self.pending.iter().filter(|pending| pending.code.is_some()).count();
        [self.pending.len(), codes, self.devices.len(), usize::from(self.setup.is_some())]
            .into_iter()
            .fold(0, usize::saturating_add)
    }

    /// The lowest format that can express it.
    fn lowest_format(&self) -> u32 {
        let single_sign_on =
            self.pending.iter().any(|pending| pending.channel == Channel::SingleSignOn);
        if single_sign_on { SINGLE_SIGN_ON } else { PASSWORDS }
    }

    pub(crate) fn encode(&mut self) -> Result<String, Error> {
        self.format = self.lowest_format();
        // Room for an ordinary record, so that it does not grow step by step.
        let mut bytes = Vec::with_capacity(1024);
        serde_json::to_writer(&mut bytes, self).map_err(|_| Error::Corrupt(Document::Record))?;
        match String::from_utf8(bytes) {
            Ok(text) if text.len() <= MAX_DOCUMENT => Ok(text),
            _ => Err(Error::Corrupt(Document::Record)),
        }
    }

    /// `reads`: the newest format that this node reads.
    pub(crate) fn decode(text: &str, reads: u32) -> Result<Self, Error> {
        let record: Self = decode(Document::Record, reads, text, |record: &Self| record.format)?;
        if record.format < record.lowest_format() {
            return Err(Error::Corrupt(Document::Record));
        }
        let lengths = [
            record.pending.len(),
            record.devices.len(),
            record.sends.len(),
            record.code_failures.recorded(),
            record.setup_failures.recorded(),
            record.password.failures.recorded(),
            record.password.device_failures.recorded(),
            record.password.rehashed.len(),
            record.resets.len(),
            record.notices.len(),
        ];
        if lengths.into_iter().any(|length| length > MOST_ENTRIES) {
            return Err(Error::Corrupt(Document::Record));
        }
        Ok(record)
    }
}

/// Reads a document of a known format. What can't be read is an error and never an empty document
/// (`I-37`, `I-41`).
pub(crate) fn decode<T: serde::de::DeserializeOwned>(
    document: Document,
    readable: u32,
    text: &str,
    format_of: impl Fn(&T) -> u32,
) -> Result<T, Error> {
    #[derive(Deserialize)]
    struct Header {
        format: u32,
    }

    if text.len() > MAX_DOCUMENT {
        return Err(Error::Corrupt(document));
    }
    match serde_json::from_str::<T>(text) {
        Ok(value) if (1..=readable).contains(&format_of(&value)) => Ok(value),
        // The parser's own message may repeat what it read: it is dropped.
        _ => match serde_json::from_str::<Header>(text) {
            Ok(Header { format }) if !(1..=readable).contains(&format) => {
                Err(Error::UnsupportedFormat { document, found: format, readable })
            }
            _ => Err(Error::Corrupt(document)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    const ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

    /// I-37: what could not be read again is not written either.
    #[test]
    fn a_record_is_written_up_to_the_size_that_is_read() {
        let backup = format!(r#"{{"tag":"{TAG}","pepper":"","made":1000000}}"#);
        let password = format!(r#"{{"epoch":"{ID}"}}"#);
        let document = format!(
            r#"{{"format":1,"id":"{ID}","seen":1000000,"password":{password},"backup":{backup}}}"#
        );
        let mut record = Record::decode(&document, READS).expect("a record");
        let mut of_size = |size: usize| {
            let backup = record.backup.as_mut().expect("a backup code");
            backup.pepper = Some("p".repeat(size.saturating_sub(document.len())));
            record.encode()
        };
        let longest = of_size(MAX_DOCUMENT).expect("written");
        assert_eq!(longest.len(), MAX_DOCUMENT);
        assert!(Record::decode(&longest, READS).is_ok());
        assert!(matches!(
            of_size(MAX_DOCUMENT.saturating_add(1)),
            Err(Error::Corrupt(Document::Record))
        ));
    }
}
