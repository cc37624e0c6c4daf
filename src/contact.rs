//! Where a code can go: email addresses and phone numbers, and what of them may be shown (`I-33`,
//! E.164).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

mod domain;

use crate::input::{Field, InvalidInput, Problem, bounded, printable};
use crate::unicode::{is_mark, is_visible};

/// A phone number in E.164 form: `+`, a digit from 1 to 9, then 6 to 14 digits.
///
/// Only this form is accepted. Whether the digits are a number of the country's plan is not
/// checked, so one phone can have several spellings; limits on sending (`countersign-delivery`)
/// fold them. `Debug` shows the masked form.
#[derive(Clone, PartialEq, Eq)]
pub struct PhoneNumber(Zeroizing<String>);

impl PhoneNumber {
    /// # Errors
    ///
    /// [`InvalidInput`] unless the text is exactly a number in E.164 form; spaces and hyphens are
    /// not accepted.
    pub fn new(text: &str) -> Result<Self, InvalidInput> {
        printable(Field::PhoneNumber, text, 16)?;
        let well_formed = text.strip_prefix('+').is_some_and(|digits| {
            (7..=15).contains(&digits.len())
                && !digits.starts_with('0')
                && digits.bytes().all(|b| b.is_ascii_digit())
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
    /// # use countersign::contact::PhoneNumber;
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
        "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46",
        "47", "48", "49", "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63",
        "64", "65", "66", "81", "82", "84", "86", "90", "91", "92", "93", "94", "95",
    ];
    match digits.get(..2) {
        Some(head) if head.starts_with(['1', '7']) => 1,
        Some(head) if head == "98" || TWO.contains(&head) => 2,
        _ => 3,
    }
}

/// An email address, in the one form in which it is sent: `local@domain`.
///
/// Only what can be sent and read is accepted. Lengths are measured as sent: 64 octets for the
/// local part, 63 for a label and 253 for the domain in their ASCII form (`xn--`), 254 for the
/// address. Local part and domain may be internationalised (RFC 6531), with visible characters
/// only: none that Unicode has not assigned, none for private use, none that is shown as nothing. A
/// domain that IDNA would map to another spelling is refused.
///
/// Comments, address literals and quoted local parts are refused, with one exception: addresses of
/// Japanese carriers whose dots stand where RFC 5322 has none, `hanako..y@docomo.example` and
/// `hanako.y.@docomo.example`. Both spellings, plain and quoted, are the same address, and
/// [`expose`](Self::expose) gives it as mail servers take it: `"hanako..y"@docomo.example`.
///
/// `Debug` shows the masked form.
#[derive(Clone, PartialEq, Eq)]
pub struct EmailAddress(Zeroizing<String>);

impl EmailAddress {
    /// An address as a person or the application's table spells it.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`] if the text is not such an address, with [`Problem::TooLong`] for what is
    /// too long as sent, and [`Problem::ForbiddenCharacter`] for a character that nobody can send
    /// or see.
    pub fn new(text: &str) -> Result<Self, InvalidInput> {
        bounded(Field::EmailAddress, text, ADDRESS_BYTES)?;
        let invalid = |problem| InvalidInput::new(Field::EmailAddress, problem);
        if !text.chars().all(|c| c == ' ' || is_visible(c)) {
            return Err(invalid(Problem::ForbiddenCharacter));
        }
        let (local, domain) = text.split_once('@').ok_or(invalid(Problem::Malformed))?;
        let local = local_as_sent(local).map_err(invalid)?;
        let domain_octets = domain::as_sent(domain).map_err(invalid)?.len();
        if local.len().saturating_add(1).saturating_add(domain_octets) > ADDRESS_OCTETS {
            return Err(invalid(Problem::TooLong(ADDRESS_OCTETS)));
        }
        let mut address = Zeroizing::new(String::with_capacity(
            local.len().saturating_add(domain.len()).saturating_add(1),
        ));
        for part in [&*local, "@", domain] {
            address.push_str(part);
        }
        Ok(Self(address))
    }

    /// The address in clear, as it is sent but for the domain, which may need its ASCII form: for
    /// the sender.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The local part in clear, quoted where its dots require it.
    pub fn local_part(&self) -> &str {
        self.0.split_once('@').unwrap_or_default().0
    }

    /// The domain in the form that all its spellings share: ASCII, in lower case.
    pub fn ascii_domain(&self) -> String {
        let (_, domain) = self.0.split_once('@').unwrap_or_default();
        // Whatever `new` takes has such a form.
        domain::as_sent(domain).unwrap_or_default().to_string()
    }

    /// The first character of the local part, unless that is all or half of it, and the domain:
    /// `a***@example.com`.
    pub fn masked(&self) -> MaskedDestination {
        let (local, domain) = self.0.split_once('@').unwrap_or_default();
        let mut characters = local.trim_matches('"').trim_start_matches('.').chars();
        match (characters.next(), characters.count()) {
            (Some(first), 2..) => MaskedDestination(format!("{first}***@{domain}")),
            _ => MaskedDestination(format!("***@{domain}")),
        }
    }
}

/// The longest text that is looked at. What is short enough as sent is shorter.
const ADDRESS_BYTES: usize = 1024;
/// The longest address (RFC 5321, section 4.5.3.1.3: 256 with the angle brackets), and its local
/// part.
const ADDRESS_OCTETS: usize = 254;
const LOCAL_OCTETS: usize = 64;

/// The local part as it is sent: in quotes where its dots ask for them, and nothing else in it
/// does.
fn local_as_sent(local: &str) -> Result<Zeroizing<String>, Problem> {
    let quoted = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let plain = quoted.unwrap_or(local);
    let refused = ['@', '"', '\\', '(', ')', '<', '>', '[', ']', ',', ';', ':', ' '];
    let starts_with_mark = plain.chars().next().is_none_or(is_mark);
    if starts_with_mark || plain.contains(refused) || plain.chars().all(|c| c == '.') {
        return Err(Problem::Malformed);
    }
    let dots_misplaced = plain.split('.').any(str::is_empty);
    if quoted.is_some() && !dots_misplaced {
        return Err(Problem::Malformed);
    }
    let sent =
        Zeroizing::new(if dots_misplaced { format!("\"{plain}\"") } else { plain.to_owned() });
    if sent.len() > LOCAL_OCTETS { Err(Problem::TooLong(LOCAL_OCTETS)) } else { Ok(sent) }
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
pub enum Destination {
    /// By email to the registered address.
    Email(EmailAddress),
    /// By SMS to a number: a proved one, or the one that is being proved.
    Sms(PhoneNumber),
}

impl Destination {
    /// What of it may be shown to a user who gave the right password (`I-18`).
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
pub enum Method {
    /// To the email address that the user has on file. Not an authenticator under NIST SP 800-63B-4
    /// (3.1.3.1).
    Email,
    /// By SMS to a number that the user has proved. A restricted authenticator under NIST SP
    /// 800-63B-4 (3.2.9).
    Sms,
}

impl Method {
    /// The one that a person who cannot use this one has instead.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Email => Self::Sms,
            Self::Sms => Self::Email,
        }
    }
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

    pub(crate) fn serialize<S: Serializer>(
        number: &PhoneNumber,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(number.expose())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<PhoneNumber, D::Error> {
        let text = zeroize::Zeroizing::new(String::deserialize(deserializer)?);
        PhoneNumber::new(&text).map_err(de::Error::custom)
    }
}

/// The saved form of an address, for the record alone.
pub(crate) mod saved_address {
    use super::{Deserialize, Deserializer, EmailAddress, Serialize, Serializer, de};

    #[expect(clippy::ref_option, reason = "the form that serde asks for")]
    pub(crate) fn serialize<S: Serializer>(
        address: &Option<EmailAddress>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        address.as_ref().map(EmailAddress::expose).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<EmailAddress>, D::Error> {
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
            "\"a b\"@example.com",
            "\"a..b\\\"\"@example.com",
            "\"a..b@example.com",
            "a..b\"@example.com",
            "\"\"@example.com",
            "\"..\"@example.com",
            "..@example.com",
            "a..b(c)@example.com",
            "a@[127.0.0.1]",
            "a@example..com",
            "a@-example.com",
            "a@exa mple.com",
            "a@example.com,b@example.com",
            "a@example.com\u{2028}",
        ] {
            assert!(EmailAddress::new(bad).is_err(), "{bad:?}");
        }
        assert!(EmailAddress::new(&format!("{}@example.com", "a".repeat(65))).is_err());
    }

    fn problem(text: &str) -> Option<Problem> {
        EmailAddress::new(text).err().map(InvalidInput::problem)
    }

    /// The octets count that go over the wire, not those of the spelling.
    #[test]
    fn an_address_is_measured_as_it_is_sent() {
        let hiragana = "はひふへほまみむめもやゆよらりるれろわをんあ";
        assert_eq!(hiragana.chars().count(), 22);
        assert_eq!(
            problem(&format!("a@{hiragana}.jp")),
            None,
            "an a-label of less than 63 octets, and 66 in utf-8"
        );
        let label = |n| "あ".repeat(n);
        assert_eq!(problem(&format!("a@{}.jp", label(57))), None);
        assert_eq!(problem(&format!("a@{}.jp", label(58))), Some(Problem::TooLong(63)));
        assert_eq!(problem(&format!("a@{}.jp", "a".repeat(64))), Some(Problem::TooLong(63)));
        // 57 times あ is 63 octets as sent: 63 + 1 + 63 + 1 + 63 + 1 + 59 = 251, with `a@` and `aa@`
        // before it.
        let domain = |last| format!("{0}.{0}.{0}.{1}", label(57), "a".repeat(last));
        assert_eq!(problem(&format!("a@{}", domain(60))), None);
        assert_eq!(problem(&format!("a@{}", domain(61))), Some(Problem::TooLong(254)));
        assert_eq!(problem(&format!("a@{}", domain(62))), Some(Problem::TooLong(253)));
        assert_eq!(problem(&format!("{}@{}", "a".repeat(2), domain(59))), None);
        assert_eq!(
            problem(&format!("{}@{}", "a".repeat(3), domain(59))),
            Some(Problem::TooLong(254))
        );
        assert_eq!(problem(&format!("{}@example.jp", "花".repeat(21))), None, "63 octets");
        assert_eq!(problem(&format!("{}@example.jp", "花".repeat(22))), Some(Problem::TooLong(64)));
        // The quotes are sent too.
        assert_eq!(problem(&format!("a..{}@example.jp", "b".repeat(59))), None);
        assert_eq!(
            problem(&format!("a..{}@example.jp", "b".repeat(60))),
            Some(Problem::TooLong(64))
        );
        assert_eq!(problem(&"a".repeat(1 << 20)), Some(Problem::TooLong(1024)));
    }

    /// `I-33`: nothing that nobody can send or see, wherever it stands.
    #[test]
    fn what_can_not_be_sent_or_seen_is_refused() {
        for c in [
            '\u{200B}',
            '\u{AD}',
            '\u{3164}',
            '\u{115F}',
            '\u{FFA0}',
            '\u{2060}',
            '\u{FE0F}',
            '\u{E0041}',
            '\u{200D}',
            '\u{180E}',
            '\u{2800}',
            '\u{E000}',
            '\u{F8FF}',
            '\u{F0000}',
            '\u{378}',
            '\u{E0FFF}',
            '\u{FFFD}',
            '\u{FFFC}',
            '\u{FFFE}',
            '\u{FDD0}',
            '\u{10FFFF}',
            '\u{2028}',
            '\u{202E}',
            '\u{3000}',
            '\u{A0}',
            '\0',
            '\t',
            '\r',
            '\n',
            '\u{7F}',
            '\u{85}',
            '\u{FFF9}',
            '\u{61C}',
            '\u{FEFF}',
        ] {
            for text in [
                format!("al{c}ice@example.com"),
                format!("{c}a@example.com"),
                format!("a{c}@example.com"),
                format!("a@ex{c}ample.com"),
            ] {
                assert_eq!(problem(&text), Some(Problem::ForbiddenCharacter), "{text:?} {c:?}");
            }
        }
        // Domains that IDNA would map to another spelling, dots in disguise, and labels that it
        // refuses.
        for text in [
            "a@例え。jp",
            "a@例え．jp",
            "a@例え｡jp",
            "a@ｅxample.com",
            "a@ﬁsh.example",
            "a@\u{212a}elvin.example",
            "a@İ.example",
            "a@xn--r8jz45g\u{301}.jp",
            "a@e\u{301}cole.example",
            "a@\u{301}a.example",
            "a@ab--ü.example",
            "a@أa.example",
            "a@1.אב",
            "\u{301}a@example.com",
        ] {
            assert_eq!(problem(text), Some(Problem::Malformed), "{text:?}");
        }
        for text in [
            "花子@例え.jp",
            "josé@ÉCOLE.example",
            "a@faß.de",
            "a@☕.example",
            "ab@مثال.إختبار",
            "a@x・y.jp",
            "用户@例子.广告",
            "a@i❤.ws",
        ] {
            assert_eq!(problem(text), None, "{text:?}");
        }
    }

    /// Real addresses of Japanese carriers: both spellings are one address, which is sent in
    /// quotes.
    #[test]
    fn misplaced_dots_are_quoted_and_nothing_else_is() {
        for (plain, quoted) in [
            ("hanako..y@docomo.example", "\"hanako..y\"@docomo.example"),
            ("hanako.y.@docomo.example", "\"hanako.y.\"@docomo.example"),
            ("hanako...y..@docomo.example", "\"hanako...y..\"@docomo.example"),
            (".hanako@docomo.example", "\".hanako\"@docomo.example"),
        ] {
            let (one, other) =
                (EmailAddress::new(plain).unwrap(), EmailAddress::new(quoted).unwrap());
            assert!(one == other);
            assert_eq!((one.expose(), other.expose()), (quoted, quoted));
            assert_eq!(one.masked().as_str(), "h***@docomo.example");
        }
        assert_eq!(
            EmailAddress::new("hanako.y@docomo.example").unwrap().expose(),
            "hanako.y@docomo.example"
        );
        assert_eq!(
            EmailAddress::new("a..@docomo.example").unwrap().masked().as_str(),
            "a***@docomo.example"
        );
        assert_eq!(
            EmailAddress::new("..a@docomo.example").unwrap().masked().as_str(),
            "***@docomo.example"
        );
    }
}
