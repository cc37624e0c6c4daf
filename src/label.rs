//! The name that a person gives to a trusted device.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use unicode_normalization::UnicodeNormalization as _;

use crate::unicode::{is_mark, is_visible};

/// The longest name, in characters.
const CHARACTERS: usize = 64;
/// And in bytes, so that a full list of devices stays small. No version has saved a longer one.
const BYTES: usize = 192;
/// What is read of a name that is given, in characters: the rest costs nothing (`I-40`).
const READ: usize = 512;
/// The name of a device that was given none.
const UNNAMED: &str = "unnamed";

/// The name of a trusted device: 1 to 64 visible characters with single spaces between words.
///
/// It is made of whatever text a person typed, and never refused, so that a name cannot fail a
/// login whose code was right. Control characters and characters that a reader cannot see are
/// dropped, and the rest is cut after 64 characters or 192 bytes. What then is empty is called
/// `unnamed`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceLabel(Arc<str>);

impl DeviceLabel {
    /// The visible part of `text`, in Unicode's form NFC.
    pub fn new(text: &str) -> Self {
        let visible = |c: char| match c {
            c if c.is_whitespace() => Some(' '),
            c if is_visible(c) => Some(c),
            _ => None,
        };
        let kept: String = text.chars().take(READ).filter_map(visible).nfc().collect();
        // A mark with no letter before it would be drawn onto whatever a page shows there.
        let kept = kept.trim_start_matches(|c| c == ' ' || is_mark(c));
        let words: Vec<&str> = kept.split(' ').filter(|word| !word.is_empty()).collect();
        let words = words.join(" ");
        let fits = |&(at, c): &(usize, char)| at.saturating_add(c.len_utf8()) <= BYTES;
        let name: String =
            words.char_indices().take(CHARACTERS).take_while(fits).map(|(_, c)| c).collect();
        let name = name.trim_end();
        Self(if name.is_empty() { UNNAMED } else { name }.into())
    }

    /// The name as pages show it. Escape it there, as any text of a user.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the device has no name of its own, for a page that says so in the user's language.
    pub fn is_unnamed(&self) -> bool {
        &*self.0 == UNNAMED
    }
}

impl fmt::Debug for DeviceLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceLabel({})", self.0)
    }
}

impl fmt::Display for DeviceLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for DeviceLabel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A saved name with control characters, or too long to have been saved, is damage. One that was
/// saved under an earlier, wider rule is shown by this one.
impl<'de> Deserialize<'de> for DeviceLabel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() || text.len() > BYTES || text.chars().any(char::is_control) {
            return Err(de::Error::custom("not the name of a device"));
        }
        Ok(Self::new(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        DeviceLabel::new(text).as_str().to_owned()
    }

    #[test]
    fn a_label_is_the_visible_part_of_what_was_typed() {
        for (typed, expected) in [
            ("Office laptop", "Office laptop"),
            ("  Office \t laptop\n", "Office laptop"),
            ("花子のiPhone　15", "花子のiPhone 15"),
            ("my\nlaptop", "my laptop"),
            ("my\u{202e}lap\u{200b}top\u{ad}\u{3164}", "mylaptop"),
            ("lap\u{e0041}\u{fdd0}\u{ffff}\u{e000}\u{fffd}top\0", "laptop"),
            // One letter, whether it was typed as one character or as two.
            ("Caf\u{e9}", "Caf\u{e9}"),
            ("Cafe\u{301}", "Caf\u{e9}"),
            ("\u{301}\u{20dd} phone", "phone"),
        ] {
            assert_eq!(shown(typed), expected, "{typed:?}");
            assert!(!DeviceLabel::new(typed).is_unnamed());
        }
    }

    #[test]
    fn a_label_of_nothing_visible_is_unnamed() {
        for blank in [
            "",
            " ",
            "\u{3000}",
            "\u{200b}",
            "\u{3164}\u{115f}",
            "\u{2800}",
            "\u{e0020}",
            "\0\r\n",
            "\u{301}",
        ] {
            assert_eq!(
                (shown(blank).as_str(), DeviceLabel::new(blank).is_unnamed()),
                (UNNAMED, true),
                "{blank:?}"
            );
        }
    }

    /// I-40: measured in characters, so that Japanese names are as long as others, and cut.
    #[test]
    fn a_label_is_cut_and_not_refused() {
        for (letter, kept) in [("x", 64), ("花", 64), ("\u{20000}", 48)] {
            for length in [kept, kept + 1, 1 << 20] {
                assert_eq!(shown(&letter.repeat(length)), letter.repeat(kept));
            }
        }
        assert_eq!(shown(&format!("{} b", "a".repeat(63))), "a".repeat(63), "no space at the end");
        // What is dropped is read, too, but not without end.
        assert_eq!(shown(&format!("{}late", "\u{200b}".repeat(1 << 20))), UNNAMED);
    }

    #[test]
    fn a_saved_label_stays_readable() {
        let read = |text: &str| serde_json::from_value::<DeviceLabel>(text.into());
        // 100 bytes of printable text were allowed once.
        assert_eq!(read(&"x".repeat(100)).unwrap().as_str(), "x".repeat(64));
        assert_eq!(read("\u{3164}").unwrap().as_str(), UNNAMED);
        for damaged in ["", "a\nb", "a\0", &"x".repeat(193)] {
            assert!(read(damaged).is_err(), "{damaged:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_typed_makes_a_label(typed in "(\\PC|[ \u{3000}\u{200b}\u{301}\u{202e}\n]|\\pM){0,80}") {
            let label = DeviceLabel::new(&typed);
            let name = label.as_str();
            prop_assert!((1..=64).contains(&name.chars().count()) && name.len() <= 192);
            prop_assert!(name.chars().all(|c| c == ' ' || is_visible(c)), "{name:?}");
            prop_assert!(name.trim() == name && !name.contains("  "), "{name:?}");
            prop_assert_eq!(&DeviceLabel::new(name), &label, "once is enough");
            let saved = serde_json::to_value(&label).unwrap();
            prop_assert_eq!(serde_json::from_value::<DeviceLabel>(saved).unwrap(), label);
        }
    }
}
