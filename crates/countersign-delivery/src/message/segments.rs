//! How many parts a network splits an SMS into (3GPP TS 23.038, 3GPP TS 23.040 9.2.3.24.1).

/// The default alphabet, without the escape to the extension table.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// The extension table: an escape and a character, so two septets.
const EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// How an SMS travels. One character outside the 7-bit alphabet turns the whole text into UCS-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SmsEncoding {
    /// The GSM 7-bit default alphabet with its extension table: 160 septets in one SMS, 153 in each
    /// part of several.
    Gsm7,
    /// UTF-16: 70 units in one SMS, 67 in each part of several. An emoji takes two.
    Ucs2,
}

impl SmsEncoding {
    const fn alone(self) -> usize {
        match self {
            Self::Gsm7 => 160,
            Self::Ucs2 => 70,
        }
    }

    /// A part of several starts with six octets that say which part it is.
    const fn as_part(self) -> usize {
        match self {
            Self::Gsm7 => 153,
            Self::Ucs2 => 67,
        }
    }

    fn units(self, c: char) -> usize {
        match self {
            Self::Gsm7 if BASIC.contains(c) => 1,
            Self::Gsm7 => 2,
            Self::Ucs2 => c.len_utf16(),
        }
    }
}

/// What a text costs as an SMS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Segments {
    /// How it travels.
    pub encoding: SmsEncoding,
    /// Its length in septets or UTF-16 units.
    pub units: usize,
    /// How many messages are sent, and billed.
    pub count: usize,
}

impl Segments {
    /// Counts a text. An escaped character and a surrogate pair are never split over two parts, as
    /// networks don't split them.
    pub fn of(text: &str) -> Self {
        let gsm = text.chars().all(|c| BASIC.contains(c) || EXTENSION.contains(c));
        let encoding = if gsm { SmsEncoding::Gsm7 } else { SmsEncoding::Ucs2 };
        let units = text.chars().map(|c| encoding.units(c)).sum();
        let count = if units <= encoding.alone() { 1 } else { parts(text, encoding) };
        Self { encoding, units, count }
    }

    /// Whether one SMS holds it.
    pub const fn is_one(self) -> bool {
        self.count <= 1
    }
}

fn parts(text: &str, encoding: SmsEncoding) -> usize {
    let (mut count, mut used) = (1_usize, 0_usize);
    for c in text.chars() {
        let units = encoding.units(c);
        used = used.saturating_add(units);
        if used > encoding.as_part() {
            count = count.saturating_add(1);
            used = units;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(text: &str) -> (SmsEncoding, usize, usize) {
        let Segments { encoding, units, count } = Segments::of(text);
        (encoding, units, count)
    }

    #[test]
    fn the_tables_have_the_size_of_the_standard() {
        // 128 positions, less the escape.
        assert_eq!(BASIC.chars().count(), 127);
        assert_eq!(EXTENSION.chars().count(), 10);
        let all: std::collections::HashSet<char> = BASIC.chars().chain(EXTENSION.chars()).collect();
        assert_eq!(all.len(), 137);
    }

    #[test]
    fn a_7_bit_text_holds_160_characters_and_153_in_each_of_several() {
        use SmsEncoding::Gsm7;
        assert_eq!(counted(""), (Gsm7, 0, 1));
        assert_eq!(counted(&"a".repeat(160)), (Gsm7, 160, 1));
        assert_eq!(counted(&"a".repeat(161)), (Gsm7, 161, 2));
        assert_eq!(counted(&"a".repeat(306)), (Gsm7, 306, 2));
        assert_eq!(counted(&"a".repeat(307)), (Gsm7, 307, 3));
        assert_eq!(counted("@example.com #123456\n£"), (Gsm7, 22, 1));
    }

    #[test]
    fn an_extension_character_takes_two_and_is_not_split() {
        use SmsEncoding::Gsm7;
        assert_eq!(counted("€"), (Gsm7, 2, 1));
        assert_eq!(counted(&"€".repeat(80)), (Gsm7, 160, 1));
        assert_eq!(counted(&"[".repeat(81)), (Gsm7, 162, 2));
        // 153 is odd: each part holds 76 of them, so 306 septets do not fit into two parts.
        assert_eq!(counted(&"€".repeat(152)), (Gsm7, 304, 2));
        assert_eq!(counted(&"€".repeat(153)), (Gsm7, 306, 3));
    }

    #[test]
    fn one_other_character_makes_it_ucs2_with_70_and_67() {
        use SmsEncoding::Ucs2;
        assert_eq!(counted("ç"), (Ucs2, 1, 1));
        assert_eq!(counted("`"), (Ucs2, 1, 1));
        assert_eq!(counted(&"あ".repeat(70)), (Ucs2, 70, 1));
        assert_eq!(counted(&"あ".repeat(71)), (Ucs2, 71, 2));
        assert_eq!(counted(&"あ".repeat(134)), (Ucs2, 134, 2));
        assert_eq!(counted(&"あ".repeat(135)), (Ucs2, 135, 3));
        // An extension character is one unit here.
        assert_eq!(counted("あ€"), (Ucs2, 2, 1));
    }

    #[test]
    fn a_surrogate_pair_takes_two_and_is_not_split() {
        use SmsEncoding::Ucs2;
        assert_eq!(counted(&"🔑".repeat(35)), (Ucs2, 70, 1));
        assert_eq!(counted(&"🔑".repeat(36)), (Ucs2, 72, 2));
        // 67 is odd: each part holds 33 of them.
        assert_eq!(counted(&"🔑".repeat(66)), (Ucs2, 132, 2));
        assert_eq!(counted(&"🔑".repeat(67)), (Ucs2, 134, 3));
    }
}
