//! What people type, brought into the one form that is compared (`I-20`).

use zeroize::Zeroizing;

use crate::input::{Field, InvalidInput, Problem};
use crate::unicode::is_default_ignorable;

/// Symbols of Crockford's base 32, which leaves out I, L, O and U.
pub(crate) const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Symbols in a backup code: 120 bits, above the 112 from which NIST SP 800-63B-4 needs no password
/// hash (`I-31`).
pub(crate) const BACKUP_SYMBOLS: usize = 24;

const _: () = assert!(BACKUP_SYMBOLS * 5 >= 112);

/// The longest text that is looked at. A code is short, also with something invisible beside each
/// of its symbols; the rest is not worth reading.
const TYPED_BYTES: usize = 512;

/// Exactly `digits` ASCII digits, or a refusal. Full-width digits count; white space, hyphens and
/// what nobody sees do not, wherever they stand.
pub(crate) fn code(typed: &str, digits: u8) -> Result<Zeroizing<String>, InvalidInput> {
    read(Field::Code, typed, usize::from(digits), |c| match c {
        '0'..='9' => Some(c),
        '\u{FF10}'..='\u{FF19}' => {
            char::from_u32(u32::from(c).saturating_sub(0xFF10).saturating_add(0x30))
        }
        _ => None,
    })
}

/// Exactly 24 symbols in upper case, or a refusal. Case and the look-alikes O, I and L do not
/// matter, nor does what [`code`] ignores.
pub(crate) fn backup_code(typed: &str) -> Result<Zeroizing<String>, InvalidInput> {
    read(Field::BackupCode, typed, BACKUP_SYMBOLS, |c| {
        let c = match c {
            // Full-width letters and digits, as a Japanese keyboard types them.
            '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c).saturating_sub(0xFEE0))?,
            other => other,
        };
        match c.to_ascii_uppercase() {
            'O' => Some('0'),
            'I' | 'L' => Some('1'),
            c if u8::try_from(c).is_ok_and(|byte| CROCKFORD.contains(&byte)) => Some(c),
            _ => None,
        }
    })
}

/// `XXXX-XXXX-XXXX-XXXX-XXXX-XXXX`, as it is shown.
pub(crate) fn grouped(symbols: &str) -> String {
    let mut text = String::with_capacity(BACKUP_SYMBOLS + 5);
    for (i, symbol) in symbols.chars().enumerate() {
        if i > 0 && i.is_multiple_of(4) {
            text.push('-');
        }
        text.push(symbol);
    }
    text
}

fn read(
    field: Field,
    typed: &str,
    length: usize,
    symbol: impl Fn(char) -> Option<char>,
) -> Result<Zeroizing<String>, InvalidInput> {
    crate::input::bounded(field, typed, TYPED_BYTES)?;
    let malformed = InvalidInput::new(field, Problem::Malformed);
    let mut text = Zeroizing::new(String::with_capacity(length));
    for c in typed.chars().filter(|c| !is_ignored(*c)) {
        if text.len() == length {
            return Err(malformed);
        }
        text.push(symbol(c).ok_or(malformed)?);
    }
    if text.len() == length { Ok(text) } else { Err(malformed) }
}

/// White space, what nobody sees, and hyphens in the forms that keyboards and messages have: what
/// comes along when a code is copied out of a message.
fn is_ignored(c: char) -> bool {
    c.is_whitespace()
        || is_default_ignorable(c)
        || matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{FF0D}' | '\u{30FC}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `I-20`, attack 45.
    #[test]
    fn only_the_right_number_of_digits_reaches_the_comparison() {
        for good in [
            "123456",
            "123 456",
            " 123-456 ",
            "１２３４５６",
            "１２３　４５６",
            "1 2 3 4 5 6",
            "123\u{2013}456",
            "123456\n",
        ] {
            assert_eq!(code(good, 6).unwrap().as_str(), "123456", "{good}");
        }
        let long = "1".repeat(1 << 20);
        for bad in [
            "",
            " ",
            "12345",
            "1234567",
            "12345x",
            "١٢٣٤٥٦",
            "12345\0",
            "123456\0",
            "123456\u{1b}[0m",
            "123456.",
            "12345\u{ad}",
            "12345\u{301}6",
            "\u{200b}",
            "-",
            "१२३४५६",
            "12345\u{FF1A}",
            "²23456",
            &long,
        ] {
            assert!(code(bad, 6).is_err(), "{bad:.20}");
        }
        assert_eq!(code("000000", 6).unwrap().as_str(), "000000");
        assert_eq!(code("1234 5678", 8).unwrap().as_str(), "12345678");
    }

    /// Every character of the Unicode properties `White_Space` and `Default_Ignorable_Code_Point`.
    fn ignored_by_name() -> impl Iterator<Item = char> {
        let class = r"[\p{White_Space}\p{Default_Ignorable_Code_Point}]";
        let class = regex_syntax::Parser::new().parse(class).unwrap();
        let regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(class)) =
            class.into_kind()
        else {
            panic!("a class")
        };
        let ranges: Vec<_> = class.iter().map(|range| range.start()..=range.end()).collect();
        ranges.into_iter().flatten()
    }

    /// `I-20`: a code is read as it is pasted. Nothing is ignored but what nobody sees, white space
    /// and hyphens.
    #[test]
    fn what_nobody_sees_spoils_no_code() {
        let all: std::collections::BTreeSet<char> = ignored_by_name().collect();
        assert!(all.len() > 4_000, "{}", all.len());
        for c in [
            '\n', '\r', '\t', '\u{200b}', '\u{2060}', '\u{feff}', '\u{ad}', '\u{200e}', '\u{2007}',
            '\u{2002}',
        ] {
            assert!(all.contains(&c), "{c:?}");
        }
        let (shown, plain) = ("0123-4567-89AB-CDEF-GHJK-MNPQ", "0123456789ABCDEFGHJKMNPQ");
        for c in &all {
            let typed = format!("{c}123{c}{c}4{c}56{c}");
            assert_eq!(code(&typed, 6).unwrap().as_str(), "123456", "{c:?}");
            assert_eq!(
                backup_code(&format!("{c}{shown}{c}\r\n")).unwrap().as_str(),
                plain,
                "{c:?}"
            );
            assert!(
                code(&format!("{c}12345{c}"), 6).is_err()
                    && code(&format!("{c}1234567"), 6).is_err(),
                "{c:?}"
            );
        }
        let full_width = |symbol: char| char::from_u32(u32::from(symbol) + 0xFEE0).unwrap();
        let with_each: String =
            plain.chars().flat_map(|symbol| [full_width(symbol), '\u{e0020}']).collect();
        assert_eq!(backup_code(&with_each).unwrap().as_str(), plain);
        for c in (0..=0x10_FFFF).filter_map(char::from_u32) {
            let hyphen =
                matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{FF0D}' | '\u{30FC}');
            let read = code(&format!("123{c}456"), 6).is_ok_and(|text| text.as_str() == "123456");
            assert_eq!(read, hyphen || all.contains(&c), "{c:?}");
        }
    }

    #[test]
    fn a_backup_code_may_be_typed_as_people_read_it() {
        let shown = "0123-4567-89AB-CDEF-GHJK-MNPQ";
        let plain = shown.replace('-', "");
        for typed in [
            shown.to_owned(),
            shown.to_lowercase(),
            shown.replace('0', "O").replace('1', "l"),
            shown.replace('0', "o").replace('1', "I"),
            shown.replace('-', " "),
            plain.clone(),
            plain.chars().map(|c| char::from_u32(u32::from(c) + 0xFEE0).unwrap()).collect(),
        ] {
            assert_eq!(backup_code(&typed).unwrap().as_str(), plain, "{typed}");
        }
        for bad in [
            "",
            "0123",
            &plain[1..],
            &format!("{plain}0"),
            &plain.replace('Q', "U"),
            &plain.replace('Q', "*"),
            &plain.replace('Q', "é"),
        ] {
            assert!(backup_code(bad).is_err(), "{bad}");
        }
        assert_eq!(grouped(&plain), shown);
    }
}
