//! Why a delivery failed, in words that the operator may log.

use std::error::Error as StdError;
use std::fmt::{self, Write as _};

use serde::{Deserialize, Deserializer, Serialize};
use unicode_normalization::UnicodeNormalization as _;

use crate::contact::Destination;
use crate::secret::Code;
use crate::unicode::{is_default_ignorable, is_noncharacter};

/// How many texts are kept.
const MAX_TEXTS: usize = 12;
/// How many characters of each are kept.
const MAX_CHARACTERS: usize = 160;
/// How many bytes of a text are read. An error can print a whole answer of a provider.
const MAX_READ: usize = 8 * 1024;
/// Shorter local parts of email addresses are ordinary words too often.
const MIN_LOCAL_PART: usize = 3;
/// The last digits of a phone number that no text may repeat. Pages show two.
const NUMBER_TAIL: usize = 6;
/// Words of this many letters and digits are keys, tokens and account numbers.
const MIN_TOKEN: usize = 20;

const WITHHELD: &str = "(withheld: it may repeat a code, an address or a secret)";

/// Why a delivery failed: what each error of the chain says, outermost first. Safe to log.
///
/// There are at most 12 texts of at most 160 printable characters each. A text is replaced by a
/// remark if it repeats the code or the destination of the message, or has in it what could be
/// an address, a key, a token or a URL with parameters. That is a second line of defence: a sender
/// MUST NOT put any of these into an error in the first place
/// ([`SendError::caused_by`](crate::sender::SendError::caused_by)).
///
/// The wording is for people and may change. Decide by
/// [`SendErrorKind`](crate::sender::SendErrorKind) instead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Causes(Vec<String>);

impl Causes {
    /// The texts, outermost first.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether the sender gave no cause.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What an error says of a message, and what is known of the senders that were tried before.
    /// Nothing repeats the code or the destination of that message, as far as they are known.
    pub(crate) fn of<'e, K: fmt::Display>(
        error: &'e (dyn StdError + 'static),
        earlier: impl IntoIterator<Item = (K, &'e (dyn StdError + 'static))>,
        destination: Option<&Destination>,
        code: Option<&Code>,
    ) -> Self {
        let repeats = |text: &str| {
            repeats_code(text, code)
                || destination.is_some_and(|destination| repeats_destination(text, destination))
        };
        let mut causes = Self::default();
        causes.add_chain(error, &repeats);
        for (kind, earlier) in earlier {
            causes.add(&format!("an earlier sender failed ({kind})"), &repeats);
            causes.add_chain(earlier, &repeats);
        }
        causes
    }

    /// What an error says itself, and what is behind it.
    pub(crate) fn with(error: &(dyn StdError + 'static)) -> Self {
        let mut causes = Self::default();
        causes.add(&read(error), &|_: &str| false);
        causes.add_chain(error, &|_: &str| false);
        causes
    }

    fn add_chain(&mut self, error: &(dyn StdError + 'static), repeats: &impl Fn(&str) -> bool) {
        let mut next = error.source();
        for _ in 0..MAX_TEXTS {
            let Some(cause) = next else { break };
            self.add(&read(cause), repeats);
            next = cause.source();
        }
    }

    fn add(&mut self, text: &str, repeats: &impl Fn(&str) -> bool) {
        let text = one_line(text);
        let withheld = |text: &str| looks_secret(text) || repeats(text);
        let text = if withheld(&text) || withheld(&unescaped(&text)) {
            WITHHELD.to_owned()
        } else {
            cut(text)
        };
        // Many errors print their source too.
        let told = text.is_empty() || self.0.last().is_some_and(|last| last.contains(&text));
        if self.0.len() < MAX_TEXTS && !told {
            self.0.push(text);
        }
    }
}

/// The texts in one line, outermost first: `no answer from twilio: request was not sent: ...`.
impl fmt::Display for Causes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, text) in self.iter().enumerate() {
            f.write_str(if position == 0 { "" } else { ": " })?;
            f.write_str(text)?;
        }
        Ok(())
    }
}

/// Reads what was logged, with the same bounds: a log is not to be believed.
impl<'de> Deserialize<'de> for Causes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut causes = Self::default();
        for text in Vec::<String>::deserialize(deserializer)? {
            causes.add(&text, &|_: &str| false);
        }
        Ok(causes)
    }
}

/// The beginning of what an error prints.
fn read(error: &(dyn StdError + 'static)) -> String {
    struct Bounded(String);

    impl fmt::Write for Bounded {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let room = MAX_READ.saturating_sub(self.0.len());
            if text.len() <= room {
                self.0.push_str(text);
                return Ok(());
            }
            let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
            self.0.push_str(text.get(..end).unwrap_or_default());
            // There is no more to see.
            Err(fmt::Error)
        }
    }

    let mut bounded = Bounded(String::new());
    let _ = write!(bounded, "{error}");
    bounded.0
}

/// One line: white space of any kind is one space, and what nobody sees is a mark that it was
/// there.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        let hidden = |c: char| c.is_control() || is_default_ignorable(c) || is_noncharacter(c);
        line.extend(word.chars().map(|c| if hidden(c) { char::REPLACEMENT_CHARACTER } else { c }));
    }
    line
}

fn cut(text: String) -> String {
    if text.chars().count() <= MAX_CHARACTERS {
        return text;
    }
    let kept: String = text.chars().take(MAX_CHARACTERS.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// A text without percent-encoding.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex =
            after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex
            .filter(|hex| !hex.starts_with('+'))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether a text has in it what is secret, or may be, whatever the message is.
fn looks_secret(text: &str) -> bool {
    let has_parameters = text.split_once("://").is_some_and(|(_, rest)| rest.contains('?'));
    let mut words =
        text.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '=' | '_'));
    let is_token = |word: &str| {
        word.len() >= MIN_TOKEN
            && word.bytes().any(|b| b.is_ascii_digit())
            && word.bytes().any(|b| b.is_ascii_alphabetic())
    };
    text.contains('@') || has_parameters || words.any(is_token)
}

fn repeats_code(text: &str, code: Option<&Code>) -> bool {
    code.is_some_and(|code| !code.expose().is_empty() && digits(text).contains(code.expose()))
}

fn repeats_destination(text: &str, destination: &Destination) -> bool {
    match destination {
        Destination::Sms(number) => {
            let number = digits(number.expose());
            let tail = number.get(number.len().saturating_sub(NUMBER_TAIL)..).unwrap_or_default();
            digits(text).contains(tail)
        }
        // A whole address is withheld whosever it is.
        Destination::Email(address) => {
            let address = folded(address.expose());
            let local = address.split_once('@').map_or(&*address, |(local, _)| local);
            local.chars().count() >= MIN_LOCAL_PART && has_word(&folded(text), local)
        }
    }
}

/// All digits of a text, whatever stands between them, as people write numbers and codes.
fn digits(text: &str) -> String {
    text.nfkc().filter(char::is_ascii_digit).collect()
}

fn folded(text: &str) -> String {
    text.nfkc().collect::<String>().to_lowercase()
}

fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(start, _)| {
        let before = text.get(..start).and_then(|before| before.chars().next_back());
        let after =
            text.get(start.saturating_add(word.len())..).and_then(|after| after.chars().next());
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}
