//! Where a code can go: email addresses and phone numbers, and what of them may be shown (`I-33`, E.164).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

use crate::input::{Field, InvalidInput, Problem, printable};

/// A phone number in E.164 form: `+`, a digit from 1 to 9, then 6 to 14 digits.
///
/// Only this form is accepted. Whether the digits are a number of the country's plan is not checked, so one phone can have several
/// spellings; limits on sending fold them ([`SendLimits::per_destination`](crate::budget::SendLimits::per_destination)). `Debug`
/// shows the masked form.
#[derive(Clone, PartialEq, Eq)]
pub struct PhoneNumber(Zeroizing<String>);

impl PhoneNumber {
    /// # Errors
    ///
    /// [`InvalidInput`] unless the text is exactly a number in E.164 form; spaces and hyphens are not accepted.
    pub fn new(text: &str) -> Result<Self, InvalidInput> {
        printable(Field::PhoneNumber, text, 16)?;
        let well_formed = text.strip_prefix('+').is_some_and(|digits| {
            (7..=15).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit())
        });
        if well_formed {
            Ok(Self(Zeroizing::new(text.to_owned())))
        } else {
            Err(InvalidInput::new(Field::PhoneNumber, Problem::Malformed))
        }
    }

    /// The number in clear, for the sender.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The country calling code, without the plus sign: what limits on sending are set by.
    ///
    /// ```
    /// # use countersign::PhoneNumber;
    /// assert_eq!(PhoneNumber::new("+819012345634")?.calling_code(), "81");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn calling_code(&self) -> &str {
        let digits = self.0.trim_start_matches('+');
        digits.get(..calling_code_digits(digits)).unwrap_or_default()
    }

    /// The calling code and the last two digits: `+81 *** **34`, whatever the number's length.
    pub fn masked(&self) -> MaskedDestination {
        let digits = self.0.trim_start_matches('+');
        let calling_code = self.calling_code();
        let last = digits.get(digits.len().saturating_sub(2)..).unwrap_or_default();
        MaskedDestination(format!("+{calling_code} *** **{last}"))
    }
}

/// How many digits the country calling code has (ITU-T E.164, list of assigned codes).
fn calling_code_digits(digits: &str) -> usize {
    const TWO: [&str; 43] = [
        "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48", "49",
        "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81", "82", "84",
        "86", "90", "91", "92", "93", "94", "95",
    ];
    match digits.get(..2) {
        Some(head) if head.starts_with(['1', '7']) => 1,
        Some(head) if head == "98" || TWO.contains(&head) => 2,
        _ => 3,
    }
}

/// An email address: `local@domain`, at most 254 bytes, with nothing in it that could break out of a header.
///
/// The local part and the domain may be internationalised (RFC 6531); quoted local parts, comments and address literals are
/// refused. `Debug` shows the masked form.
#[derive(Clone, PartialEq, Eq)]
pub struct EmailAddress(Zeroizing<String>);

impl EmailAddress {
    /// # Errors
    ///
    /// [`InvalidInput`] if the text is not such an address.
    pub fn new(text: &str) -> Result<Self, InvalidInput> {
        printable(Field::EmailAddress, text, 254)?;
        let malformed = InvalidInput::new(Field::EmailAddress, Problem::Malformed);
        let (local, domain) = text.split_once('@').ok_or(malformed)?;
        let atoms = |part: &str, refused: &[char]| {
            part.split('.').all(|atom| !atom.is_empty())
                && !part.chars().any(|c| c.is_whitespace() || refused.contains(&c))
        };
        let local_ok =
            local.len() <= 64 && atoms(local, &['@', '"', '\\', '(', ')', '<', '>', '[', ']', ',', ';', ':']);
        let domain_ok =
            domain.split('.').all(|label| !label.starts_with('-') && !label.ends_with('-') && label.len() <= 63)
                && atoms(domain, &[])
                && domain.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '.' || !c.is_ascii());
        if local_ok && domain_ok { Ok(Self(Zeroizing::new(text.to_owned()))) } else { Err(malformed) }
    }

    /// The address in clear, for the sender.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The first character of the local part, unless that is all or half of it, and the domain: `a***@example.com`.
    pub fn masked(&self) -> MaskedDestination {
        let (local, domain) = self.0.split_once('@').unwrap_or_default();
        let mut characters = local.chars();
        match (characters.next(), characters.count()) {
            (Some(first), 2..) => MaskedDestination(format!("{first}***@{domain}")),
            _ => MaskedDestination(format!("***@{domain}")),
        }
    }
}

macro_rules! masked_debug {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.masked())
            }
        }

        impl std::hash::Hash for $name {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.0.as_str().hash(state);
            }
        }
    };
}

masked_debug!(PhoneNumber);
masked_debug!(EmailAddress);

/// Where one code or notice goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Destination {
    /// By email to the registered address.
    Email(EmailAddress),
    /// By SMS to a number: a proved one, or the one that is being proved.
    Sms(PhoneNumber),
}

impl Destination {
    /// What of it may be shown to whoever gave the right password (`I-18`).
    pub fn masked(&self) -> MaskedDestination {
        match self {
            Self::Email(address) => address.masked(),
            Self::Sms(number) => number.masked(),
        }
    }

    /// Which method it belongs to.
    pub fn method(&self) -> Method {
        match self {
            Self::Email(_) => Method::Email,
            Self::Sms(_) => Method::Sms,
        }
    }

    pub(crate) fn expose(&self) -> &str {
        match self {
            Self::Email(address) => address.expose(),
            Self::Sms(number) => number.expose(),
        }
    }
}

/// How codes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Method {
    /// To the email address that the user has on file. Not an authenticator under NIST SP 800-63B-4 (3.1.3.1).
    Email,
    /// By SMS to a number that the user has proved. A restricted authenticator under NIST SP 800-63B-4 (3.2.9).
    Sms,
}

/// A destination with most of it hidden, fit for a page: `+81 *** **34`, `a***@example.com`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MaskedDestination(String);

impl MaskedDestination {
    /// The masked text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MaskedDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The saved form of a number, for the record alone: a [`PhoneNumber`] itself is not a serde type.
pub(crate) mod saved_number {
    use super::{Deserialize, Deserializer, PhoneNumber, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(number: &PhoneNumber, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(number.expose())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PhoneNumber, D::Error> {
        let text = zeroize::Zeroizing::new(String::deserialize(deserializer)?);
        PhoneNumber::new(&text).map_err(de::Error::custom)
    }
}

/// The saved form of an address, for the record alone.
pub(crate) mod saved_address {
    use super::{Deserialize, Deserializer, EmailAddress, Serialize, Serializer, de};

    #[expect(clippy::ref_option, reason = "the form that serde asks for")]
    pub(crate) fn serialize<S: Serializer>(address: &Option<EmailAddress>, serializer: S) -> Result<S::Ok, S::Error> {
        address.as_ref().map(EmailAddress::expose).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<EmailAddress>, D::Error> {
        let text = zeroize::Zeroizing::new(String::deserialize(deserializer)?);
        EmailAddress::new(&text).map(Some).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e164_has_one_canonical_form() {
        for good in ["+15551230", "+819012345634", "+123456789012345"] {
            assert_eq!(PhoneNumber::new(good).unwrap().expose(), good);
        }
        for bad in [
            "",
            "+",
            "819012345634",
            "+0123456789",
            "+1234567890123456",
            "+81 9012345634",
            "+81-9012345634",
            "+８１9012345634",
            "+12345",
            "+819012345634\n",
            "+81901234563x",
            "++81901234563",
        ] {
            assert!(PhoneNumber::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn masks_show_a_known_share_and_no_more() {
        let phone = |text| PhoneNumber::new(text).unwrap().masked().to_string();
        assert_eq!(phone("+819012345634"), "+81 *** **34");
        assert_eq!(phone("+15551234567"), "+1 *** **67");
        assert_eq!(phone("+358401234567"), "+358 *** **67");
        let email = |text| EmailAddress::new(text).unwrap().masked().to_string();
        assert_eq!(email("alice@example.com"), "a***@example.com");
        assert_eq!(email("al@example.com"), "***@example.com");
        assert_eq!(email("a@example.com"), "***@example.com");
        assert_eq!(email("花子さん@例え.jp"), "花***@例え.jp");
    }

    #[test]
    fn addresses_that_could_break_out_of_a_header_are_refused() {
        for bad in [
            "",
            "@",
            "a@",
            "@b",
            "a b@example.com",
            "a@b@c",
            "a@example.com\r\nBcc: x@y",
            "\"a\"@example.com",
            "a@[127.0.0.1]",
            "a@example..com",
            ".a@example.com",
            "a@-example.com",
            "a@exa mple.com",
            "a@example.com,b@example.com",
            "a@example.com\u{2028}",
        ] {
            assert!(EmailAddress::new(bad).is_err(), "{bad:?}");
        }
        assert!(EmailAddress::new(&format!("{}@example.com", "a".repeat(65))).is_err());
    }
}
