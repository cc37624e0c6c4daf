//! Addresses as SMTP knows them.

use countersign::contact::EmailAddress;
use lettre::Address;

/// An address ready for the wire.
pub(crate) struct WireAddress {
    pub(crate) address: Address,
    /// Whether the server must have `SMTPUTF8` (RFC 6531): the mailbox name is not ASCII.
    pub(crate) needs_utf8: bool,
}

/// The domain in its ASCII form, which every server understands; the mailbox name as it is, since
/// only its own server may interpret it. Where it has dots that ask for quotes, the core has put
/// them.
///
/// `None` where that would have to change the address: a domain that IDNA maps to another spelling
/// or refuses. The core takes no such address; a letter that is newer than one of the two tables
/// may differ.
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
    let (kept, lowered) =
        if changes_script { (Some(c), None) } else { (None, Some(c.to_lowercase())) };
    kept.into_iter().chain(lowered.into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> Option<(String, bool)> {
        on_the_wire(&EmailAddress::new(text).unwrap())
            .map(|wire| (wire.address.to_string(), wire.needs_utf8))
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

    /// Where dots ask for quotes, they are there, whichever spelling was given.
    #[test]
    fn misplaced_dots_are_sent_in_quotes() {
        for text in ["hanako..y@docomo.example", "\"hanako..y\"@docomo.example"] {
            assert_eq!(written(text), Some(("\"hanako..y\"@docomo.example".into(), false)));
        }
        assert_eq!(
            written("hanako.y.@docomo.example"),
            Some(("\"hanako.y.\"@docomo.example".into(), false))
        );
        assert_eq!(written("花..子@例え.jp"), Some(("\"花..子\"@xn--r8jz45g.jp".into(), true)));
    }

    proptest! {
        /// I-33: whatever the core takes for an address can be written for a mail server, in at
        /// most 254 octets.
        #[test]
        fn every_address_can_be_written(
            local in "[!-~À-ɏぁ-ヺ一-龥.]{1,12}",
            domain in "([a-zA-Z0-9À-ɏЀ-ӿא-תا-يぁ-ヺ一-龥ーｅ。-]{1,12}\\.){1,3}[a-zA-Zあ-ん]{1,6}",
        ) {
            if let Ok(address) = EmailAddress::new(&format!("{local}@{domain}")) {
                let wire = on_the_wire(&address).map(|wire| wire.address.to_string());
                prop_assert!(wire.as_ref().is_some_and(|wire| wire.len() <= 254), "{local}@{domain}: {wire:?}");
            }
        }
    }
}
