//! One key for all spellings of a destination. Only keys are folded: a message goes where it is
//! addressed to.

use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use countersign::contact::{Destination, EmailAddress, PhoneNumber};
use countersign::input::is_visible;

/// The spelling that all spellings of a destination share.
pub(crate) fn folded(to: &Destination) -> Zeroizing<String> {
    match to {
        Destination::Email(address) => folded_address(address),
        Destination::Sms(number) => folded_number(number),
    }
}

/// Without case, without a tag, without what nobody sees, and with the domain as it is sent.
fn folded_address(address: &EmailAddress) -> Zeroizing<String> {
    let local = Zeroizing::new(visible(address.local_part()));
    let local = local.trim_matches('"');
    let untagged = local.split('+').next().filter(|untagged| !untagged.is_empty()).unwrap_or(local);
    Zeroizing::new(format!("{untagged}@{}", *Zeroizing::new(address.ascii_domain())))
}

/// Compatibility forms, such as full-width letters, are one; so are upper and lower case.
fn visible(text: &str) -> String {
    let seen = text
        .nfkc()
        .filter(|c| *c == ' ' || is_visible(*c))
        .flat_map(char::to_lowercase)
        .collect::<String>();
    // A lower-case letter may have a compatibility form too.
    seen.nfkc().collect()
}

/// The plans in which a number that gets messages may begin with a zero after the country code:
/// Italy with the Vatican, Côte d'Ivoire, Burkina Faso, Benin, Gabon, Congo, San Marino, satellite
/// networks, Tajikistan. In all others a zero there is the trunk prefix of calls within the
/// country, which E.164 leaves out.
const ZERO_COUNTS: [&str; 9] = ["39", "225", "226", "229", "241", "242", "378", "881", "992"];

/// Prefixes other than zeros that are dialled within a country, or were once: calling code, prefix,
/// and how many digits a number has without it. Others in the plan may begin with the same digits,
/// but are shorter.
const TRUNKS: [(&str, &str, usize); 9] = [
    ("1", "1", 10),
    ("7", "8", 10),
    ("36", "6", 9),
    ("52", "1", 10),
    ("54", "9", 10),
    ("370", "8", 8),
    ("375", "80", 9),
    ("375", "8", 9),
    ("993", "8", 8),
];

/// The digits, without what is dialled within the country only.
pub(crate) fn folded_number(number: &PhoneNumber) -> Zeroizing<String> {
    let code = number.calling_code();
    let digits = number.expose().trim_start_matches('+');
    let national = digits.strip_prefix(code).unwrap_or(digits);
    let significant =
        if ZERO_COUNTS.contains(&code) { national } else { national.trim_start_matches('0') };
    let trunk =
        TRUNKS.iter().filter(|(country, ..)| *country == code).find_map(|(_, prefix, length)| {
            significant.strip_prefix(prefix).filter(|rest| rest.len() == *length)
        });
    Zeroizing::new(format!("{code}{}", trunk.unwrap_or(significant)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> String {
        folded_address(&EmailAddress::new(text).unwrap()).to_string()
    }

    fn number(text: &str) -> String {
        folded_number(&PhoneNumber::new(text).unwrap()).to_string()
    }

    #[test]
    fn an_address_loses_case_tag_and_what_nobody_sees() {
        for text in [
            "alice@example.com",
            "ALICE@Example.COM",
            "alice+1@example.com",
            "Alice+a+b@EXAMPLE.com",
        ] {
            assert_eq!(address(text), "alice@example.com", "{text}");
        }
        // Fullwidth letters and the Kelvin sign are compatibility forms.
        assert_eq!(address("ａlice@example.com"), "alice@example.com");
        assert_eq!(address("al\u{212a}@example.com"), "alk@example.com");
        for hidden in ['\u{ad}', '\u{200b}', '\u{2060}', '\u{3164}', '\u{e0041}', '\u{fe0f}'] {
            assert_eq!(visible(&format!("al{hidden}ice{hidden}")), "alice", "{hidden:?}");
        }
        // What begins with a plus sign has no tag, or is nothing else.
        assert_eq!(address("+1@example.com"), "+1@example.com");
        // Not folded: see `SendLimits::per_destination`.
        for other in [
            "a.lice@example.com",
            "alice-1@example.com",
            "alice@mail.example.com",
            "alicé@example.com",
        ] {
            assert_ne!(address(other), "alice@example.com", "{other}");
        }
    }

    /// `I-15`: a domain with and without `xn--`, in any case.
    #[test]
    fn an_address_has_its_domain_as_it_is_sent() {
        for (key, spellings) in [
            (
                "user@xn--bcher-kva.example",
                [
                    "user@bücher.example",
                    "User@BÜCHER.Example",
                    "user@XN--BCHER-KVA.example",
                    "user+1@xn--Bcher-kva.example",
                ],
            ),
            (
                "花子@xn--r8jz45g.jp",
                ["花子@例え.jp", "花子@例え.JP", "花子@xn--r8jz45g.jp", "花子+x@Xn--R8jz45G.Jp"],
            ),
            ("a@xn--fa-hia.de", ["a@faß.de", "A@FAẞ.de", "a@xn--fa-hia.de", "a@xn--FA-HIA.DE"]),
        ] {
            for text in spellings {
                assert_eq!(address(text), key, "{text}");
            }
        }
        // Another mailbox: `ß` is sent as `ß`, and `ss` is another domain.
        assert_eq!(address("a@fass.de"), "a@fass.de");
    }

    #[test]
    fn a_number_loses_the_zeros_that_its_plan_does_not_have() {
        for (written, digits) in [
            ("+447911123456", "447911123456"),
            ("+4407911123456", "447911123456"),
            ("+44007911123456", "447911123456"),
            ("+8109012345678", "819012345678"),
            ("+49015112345678", "4915112345678"),
            ("+33061234567", "3361234567"),
            // A zero is the first digit of the number.
            ("+390612345678", "390612345678"),
            ("+2250712345678", "2250712345678"),
            ("+22670123456", "22670123456"),
            ("+2290197123456", "2290197123456"),
            ("+242061234567", "242061234567"),
            ("+3780549123456", "3780549123456"),
        ] {
            assert_eq!(number(written), digits, "{written}");
        }
    }

    #[test]
    fn a_number_loses_other_trunk_prefixes_by_its_length() {
        for (written, digits) in [
            ("+112025550123", "12025550123"),
            ("+1012025550123", "12025550123"),
            ("+12025550123", "12025550123"),
            ("+789123456789", "79123456789"),
            ("+79123456789", "79123456789"),
            // Moscow's own numbers begin with the digit that is the prefix elsewhere.
            ("+78001234567", "78001234567"),
            ("+3606301234567", "36301234567"),
            ("+3662123456", "3662123456"),
            ("+5215512345678", "525512345678"),
            ("+5491123456789", "541123456789"),
            ("+375802912345678", "375802912345678"),
            ("+37580291234567", "375291234567"),
            ("+370861234567", "37061234567"),
        ] {
            assert_eq!(number(written), digits, "{written}");
        }
    }
}
