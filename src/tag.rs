//! Keyed tags over length-prefixed parts.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// HMAC-SHA-256 (RFC 2104, FIPS 198-1) where there is a key of at most 64 bytes, plain SHA-256
/// where there is none.
///
/// Label and parts are each preceded by their length, so that no two lists of parts collide and
/// none extends another.
pub(crate) fn sha256_tag(key: &[u8], label: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    if key.is_empty() {
        let mut hash = Sha256::new();
        feed(label, parts, |bytes| sha2::Digest::update(&mut hash, bytes));
        return hash.finalize().into();
    }
    // Zero padding to the block is what HMAC itself does with a short key.
    let mut block = Zeroizing::new([0_u8; 64]);
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    feed(label, parts, |bytes| Mac::update(&mut mac, bytes));
    mac.finalize().into_bytes().into()
}

fn feed(label: &[u8], parts: &[&[u8]], mut take: impl FnMut(&[u8])) {
    // No part is longer than 4 GiB: all inputs are bounded.
    for part in std::iter::once(&label).chain(parts) {
        take(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
        take(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a key it is HMAC's own construction, padding of the key included; without one, SHA-256.
    #[test]
    fn the_tag_is_sha256_tag_or_sha256_over_length_prefixed_parts() {
        let message = b"\x01\0\0\0L\x03\0\0\0abc";
        let mut expected = Hmac::<Sha256>::new_from_slice(b"Jefe").unwrap();
        Mac::update(&mut expected, message);
        assert_eq!(
            sha256_tag(b"Jefe", b"L", &[b"abc"]),
            <[u8; 32]>::from(expected.finalize().into_bytes())
        );
        assert_eq!(sha256_tag(b"", b"L", &[b"abc"]), <[u8; 32]>::from(Sha256::digest(message)));
    }

    /// `I-03`: moving a byte from one part to the next gives another tag, and so does another
    /// label.
    #[test]
    fn parts_and_labels_do_not_run_together() {
        for key in [&b"k"[..], b""] {
            assert_ne!(
                sha256_tag(key, b"l", &[b"ab", b"c"]),
                sha256_tag(key, b"l", &[b"a", b"bc"])
            );
            assert_ne!(sha256_tag(key, b"l", &[b"ab"]), sha256_tag(key, b"l", &[b"ab", b""]));
            assert_ne!(sha256_tag(key, b"l", &[b"ab"]), sha256_tag(key, b"m", &[b"ab"]));
            assert_ne!(sha256_tag(key, b"l", &[b"ab"]), sha256_tag(key, b"la", &[b"b"]));
        }
    }
}
