//! Addresses as SMTP knows them.

use countersign::EmailAddress;
use lettre::Address;

/// An address ready for the wire.
pub(crate) struct WireAddress {
    pub(crate) address: Address,
    /// Whether the server must have `SMTPUTF8` (RFC 6531): the mailbox name is not ASCII.
    pub(crate) needs_utf8: bool,
}

/// The domain in its ASCII form, which every server understands; the mailbox name as it is, since only its own server may interpret it.
///
/// `None` where that would have to change the address: a domain that IDNA maps to another spelling (full-width letters, ligatures) or refuses.
pub(crate) fn on_the_wire(address: &EmailAddress) -> Option<WireAddress> {
    let (local, domain) = address.expose().split_once('@')?;
    let ascii = if domain.is_ascii() {
        domain.to_owned()
    } else {
        let ascii = idna::domain_to_ascii_strict(domain).ok()?;
        let (back, checked) = idna::domain_to_unicode(&ascii);
        checked.ok()?;
        if !back.chars().eq(domain.chars().flat_map(lower)) {
            return None;
        }
        ascii
    };
    let address = Address::new(local, ascii).ok()?;
    Some(WireAddress { address, needs_utf8: !local.is_ascii() })
}

/// Lower case, except where that would turn a letter into an ASCII one, as it does the Kelvin sign.
fn lower(c: char) -> impl Iterator<Item = char> {
    let changes_script = !c.is_ascii() && c.to_lowercase().any(|lower| lower.is_ascii());
    let (kept, lowered) = if changes_script { (Some(c), None) } else { (None, Some(c.to_lowercase())) };
    kept.into_iter().chain(lowered.into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Option<(String, bool)> {
        on_the_wire(&EmailAddress::new(text).unwrap()).map(|wire| (wire.address.to_string(), wire.needs_utf8))
    }

    #[test]
    fn a_domain_is_sent_in_ascii_and_a_mailbox_name_as_it_is() {
        assert_eq!(written("alice@example.com"), Some(("alice@example.com".into(), false)));
        assert_eq!(written("Alice+x@Example.COM"), Some(("Alice+x@Example.COM".into(), false)));
        assert_eq!(written("alice@例え.jp"), Some(("alice@xn--r8jz45g.jp".into(), false)));
        assert_eq!(written("alice@faß.de"), Some(("alice@xn--fa-hia.de".into(), false)));
        assert_eq!(written("a@ÉCOLE.example"), Some(("a@xn--cole-9oa.example".into(), false)));
        assert_eq!(written("花子@例え.jp"), Some(("花子@xn--r8jz45g.jp".into(), true)));
    }

    #[test]
    fn a_domain_that_would_have_to_be_changed_is_refused() {
        // Full-width letters, a ligature, a Kelvin sign: each would be sent to another spelling's owner.
        for text in ["a@ｅxample.com", "a@ﬁsh.example", "a@\u{212a}elvin.example", "a@xn--r8jz45g\u{301}.jp"] {
            assert_eq!(written(text), None, "{text}");
        }
    }
}
