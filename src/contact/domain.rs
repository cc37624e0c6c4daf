//! Domains of email addresses: which can be sent to, and how they are sent.
//!
//! A domain is sent in its ASCII form (RFC 5890): each label that is not ASCII becomes `xn--` and
//! its Punycode. This module makes that form, to measure it and to have one spelling for all. It
//! takes only labels that the mapping of UTS 46 leaves as they are but for their case, so that no
//! mail goes to another spelling's owner.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use crate::input::Problem;
use crate::unicode::{is_capital, is_letter, is_mark, is_nonspacing_mark, is_visible};

/// The longest label (RFC 1034, section 3.1).
const LABEL_OCTETS: usize = 63;
/// The longest domain (RFC 1035, section 2.3.4: 255 with the octets that say the lengths).
const DOMAIN_OCTETS: usize = 253;

/// The domain as it is sent, in lower case: one form for all its spellings, with and without
/// `xn--`.
pub(crate) fn as_sent(domain: &str) -> Result<Zeroizing<String>, Problem> {
    let right_to_left = domain.chars().any(is_right_to_left);
    let mut sent = Zeroizing::new(String::with_capacity(DOMAIN_OCTETS));
    for (position, label) in domain.split('.').enumerate() {
        if right_to_left && !keeps_its_order(label) {
            return Err(Problem::Malformed);
        }
        let label = label_as_sent(label)?;
        if label.len() > LABEL_OCTETS {
            return Err(Problem::TooLong(LABEL_OCTETS));
        }
        sent.push_str(if position == 0 { "" } else { "." });
        sent.push_str(&label);
    }
    sent.make_ascii_lowercase();
    if sent.len() > DOMAIN_OCTETS { Err(Problem::TooLong(DOMAIN_OCTETS)) } else { Ok(sent) }
}

fn label_as_sent(label: &str) -> Result<Cow<'_, str>, Problem> {
    let ascii = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let well_formed = !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
    if !well_formed || !label.chars().all(|c| ascii(c) || !c.is_ascii()) {
        return Err(Problem::Malformed);
    }
    if label.is_ascii() {
        return Ok(Cow::Borrowed(label));
    }
    let label: Vec<char> = label.chars().flat_map(lower).collect();
    let reserved = label.get(2..4) == Some(&['-', '-']);
    let decomposes = !label.iter().copied().nfkc().eq(label.iter().copied());
    let sent = |c: &char| ascii(*c) || is_sent(*c);
    if reserved
        || decomposes
        || label.first().is_none_or(|c| is_mark(*c))
        || !label.iter().all(sent)
    {
        return Err(Problem::Malformed);
    }
    punycode(&label).map(Cow::Owned).ok_or(Problem::TooLong(LABEL_OCTETS))
}

/// Lower case, except where that would turn a letter into an ASCII one, as it does the Kelvin sign.
fn lower(c: char) -> impl Iterator<Item = char> {
    let changes_script = !c.is_ascii() && c.to_lowercase().any(|lower| lower.is_ascii());
    let (kept, lowered) =
        if changes_script { (Some(c), None) } else { (None, Some(c.to_lowercase())) };
    kept.into_iter().chain(lowered.into_iter().flatten())
}

/// Whether a character beyond ASCII, in lower case and in a composed form, stands for itself in a
/// domain.
fn is_sent(c: char) -> bool {
    // A dot in disguise, and signs that describe ideographs.
    let refused = matches!(c, '\u{3002}' | '\u{2FF0}'..='\u{2FFF}' | '\u{31EF}');
    // Cherokee folds to its capitals.
    let cherokee = matches!(c, '\u{13F8}'..='\u{13FD}' | '\u{AB70}'..='\u{ABBF}');
    let folded = c.to_uppercase().flat_map(char::to_lowercase).nfc().eq([c]);
    is_visible(c)
        && !is_capital(c)
        && !refused
        && !cherokee
        && (folded || matches!(c, 'ß' | 'ς' | 'ı'))
}

/// Whether a label is read in the same order beside labels of the other direction: RFC 5893,
/// section 2, and stricter in what is rare.
fn keeps_its_order(label: &str) -> bool {
    let last = label.chars().rev().find(|c| !is_nonspacing_mark(*c));
    let (Some(first), Some(last)) = (label.chars().next(), last) else { return false };
    if !label.contains(is_right_to_left) {
        return is_letter(first) && (is_letter(last) || last.is_ascii_digit());
    }
    let letter = |c: char| is_right_to_left(c) && is_letter(c);
    let mark = |c: char| {
        (is_right_to_left(c) || matches!(c, '\u{300}'..='\u{36F}')) && is_nonspacing_mark(c)
    };
    let european = |c: char| c.is_ascii_digit() || matches!(c, '\u{6F0}'..='\u{6F9}');
    let arabic = |c: char| matches!(c, '\u{660}'..='\u{669}');
    let digit = |c: char| european(c) || arabic(c);
    letter(first)
        && (letter(last) || digit(last))
        && label.chars().all(|c| letter(c) || digit(c) || mark(c) || c == '-')
        && !(label.contains(european) && label.contains(arabic))
}

/// What belongs to a script that runs from right to left.
const fn is_right_to_left(c: char) -> bool {
    matches!(
        c,
        '\u{590}'..='\u{8FF}'
            | '\u{FB1D}'..='\u{FDFF}'
            | '\u{FE70}'..='\u{FEFE}'
            | '\u{10800}'..='\u{10FFF}'
            | '\u{1E800}'..='\u{1EFFF}'
    )
}

/// `xn--` and the Punycode of a label (RFC 3492, section 6.3). `None` if it is far too long.
fn punycode(label: &[char]) -> Option<String> {
    let mut sent = String::from("xn--");
    sent.extend(label.iter().filter(|c| c.is_ascii()));
    let mut handled = u32::try_from(label.iter().filter(|c| c.is_ascii()).count()).ok()?;
    if handled > 0 {
        sent.push('-');
    }
    let (mut n, mut delta, mut bias, mut first) = (0x80_u32, 0_u32, 72_u32, true);
    // The code points from the smallest on: each delta says how far it is to the next place.
    while let Some(next) = label.iter().map(|c| u32::from(*c)).filter(|c| *c >= n).min() {
        delta = delta.checked_add(next.checked_sub(n)?.checked_mul(handled.checked_add(1)?)?)?;
        for c in label.iter().map(|c| u32::from(*c)) {
            if c < next {
                delta = delta.checked_add(1)?;
            } else if c == next {
                sent.extend(digits(delta, bias));
                handled = handled.checked_add(1)?;
                bias = adapted(delta, handled, first)?;
                (delta, first) = (0, false);
            }
        }
        (n, delta) = (next.checked_add(1)?, delta.checked_add(1)?);
    }
    Some(sent)
}

// The parameters of RFC 3492, section 5.
const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;

/// The digits of a delta (RFC 3492, section 6.3, the inner loop).
fn digits(mut delta: u32, bias: u32) -> Vec<char> {
    let mut digits = Vec::new();
    for k in (BASE..).step_by(36) {
        let threshold = k.saturating_sub(bias).clamp(T_MIN, T_MAX);
        let base = BASE.saturating_sub(threshold);
        let Some(rest) = delta.checked_sub(threshold) else { break };
        digits.push(rest.checked_rem(base).unwrap_or_default().saturating_add(threshold));
        delta = rest.checked_div(base).unwrap_or_default();
    }
    digits.push(delta);
    digits.into_iter().filter_map(digit).collect()
}

/// `a` to `z`, then `0` to `9`.
fn digit(value: u32) -> Option<char> {
    let letters = u32::from(b'z' - b'a').saturating_add(1);
    char::from_digit(value.checked_sub(letters).unwrap_or(value.saturating_add(10)), BASE)
}

/// RFC 3492, section 6.1.
fn adapted(delta: u32, handled: u32, first: bool) -> Option<u32> {
    let mut delta = if first { delta.checked_div(DAMP)? } else { delta.checked_div(2)? };
    delta = delta.checked_add(delta.checked_div(handled)?)?;
    let mut k = 0_u32;
    while delta > 455 {
        delta = delta.checked_div(35)?;
        k = k.checked_add(BASE)?;
    }
    k.checked_add(delta.checked_mul(36)?.checked_div(delta.checked_add(SKEW)?)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn octets(domain: &str) -> Result<usize, Problem> {
        as_sent(domain).map(|sent| sent.len())
    }

    /// The domain as a mail server gets it, if IDNA leaves it as it is but for its case.
    fn by_idna(domain: &str) -> Option<String> {
        let ascii = idna::domain_to_ascii_strict(domain).ok()?;
        let (back, checked) = idna::domain_to_unicode(&ascii);
        checked.ok()?;
        back.chars().eq(domain.chars().flat_map(lower)).then_some(ascii)
    }

    /// Lengths are those of the ASCII form, to the octet.
    #[test]
    fn a_domain_is_measured_as_it_is_sent() {
        for (domain, length) in [
            ("example.com", 11),
            ("例え.jp", "xn--r8jz45g.jp".len()),
            ("ÉCOLE.example", "xn--cole-9oa.example".len()),
            ("faß.de", "xn--fa-hia.de".len()),
            ("はじめよう.みんな", "xn--p8j9a0d9c9a.xn--q9jyb4c".len()),
            ("bücher.example", "xn--bcher-kva.example".len()),
        ] {
            assert_eq!(octets(domain), Ok(length), "{domain}");
        }
        let label = |n| "あ".repeat(n);
        assert_eq!(octets(&label(57)), Ok(63));
        assert_eq!(by_idna(&label(57)).unwrap().len(), 63);
        assert_eq!(octets(&label(58)), Err(Problem::TooLong(63)));
        assert_eq!(octets(&"a".repeat(63)), Ok(63));
        assert_eq!(octets(&"a".repeat(64)), Err(Problem::TooLong(63)));
        let long = [label(57), label(57), label(57)].join(".");
        assert_eq!(octets(&format!("{long}.{}", "a".repeat(61))), Ok(253));
        assert_eq!(octets(&format!("{long}.{}", "a".repeat(62))), Err(Problem::TooLong(253)));
    }

    /// `I-33`, `I-15`: each character, alone and beside letters of both directions. What is
    /// accepted can be sent, and in that form.
    #[test]
    fn whatever_is_accepted_can_be_sent() {
        let (mut accepted, mut only_sent) = (0_u32, Vec::new());
        // Of ideographs, Hangul, and planes that are empty or for private use, one in 97: they are
        // alike.
        let alike = |c: u32| {
            matches!(c, 0x3400..=0x9FFF | 0xAC00..=0xD7A3 | 0x1_7000..=0x1_8CFF) || c > 0x1_FFFF
        };
        let all =
            (0x80..=0x10_FFFF).filter(|c| !alike(*c) || c % 97 == 0).filter_map(char::from_u32);
        for c in all {
            let mut any = false;
            let mut could = false;
            for domain in [
                format!("{c}.jp"),
                format!("a{c}b.jp"),
                format!("あ{c}.jp"),
                format!("א{c}ב.jp"),
                format!("{c}a.א"),
            ] {
                match as_sent(&domain) {
                    Ok(sent) => {
                        any = true;
                        assert_eq!(by_idna(&domain).as_ref(), Some(&*sent), "{domain} {c:?}");
                        // The form that is sent is a spelling too, and has the same one.
                        assert_eq!(as_sent(&sent), Ok(sent), "{domain} {c:?}");
                    }
                    Err(_) => could |= by_idna(&domain).is_some(),
                }
            }
            accepted += u32::from(any);
            if !any && could {
                only_sent.push(c);
            }
        }
        assert!(accepted > 35_000, "{accepted}");
        // What could be sent and is refused: signs and old digits of scripts that run from right to
        // left.
        only_sent.retain(|c| is_visible(*c) && !is_right_to_left(*c));
        assert_eq!(only_sent, Vec::<char>::new());
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_has_the_form_that_is_sent(
            domain in "([a-zA-Z0-9À-ɏа-я㐀-鿿ぁ-ヺー々가-힣ก-๛אבגדابتث０-９-]{1,20}\\.){1,3}[a-zあ-んא]{1,4}",
        ) {
            if let Ok(sent) = as_sent(&domain) {
                // Labels in ASCII alone are sent as they are, whatever IDNA says of them.
                if !domain.is_ascii() {
                    prop_assert_eq!(by_idna(&domain), Some(sent.to_string()));
                }
            }
        }
    }
}
