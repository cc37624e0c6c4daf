//! The text form of tokens: a prefix for kind and version, then base64url. Anything else is no
//! token (`I-02`).

use base64ct::{Base64UrlUnpadded, Encoding};
use zeroize::Zeroizing;

use crate::ids::{ID_BYTES, UserId};

/// A secret of 256 bits, as tokens carry it.
pub(crate) type TokenSecret = Zeroizing<[u8; 32]>;

/// The longest text that can be a token.
const TEXT_BYTES: usize = PREFIX_BYTES + (32 + ID_BYTES) * 4 / 3 + 1;
const PREFIX_BYTES: usize = 5;

/// The kinds of token. Each has its prefix, so that none is ever taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Pending,
    Setup,
    Device,
}

impl TokenKind {
    /// The digit is the version of the format.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Pending => "csp1.",
            Self::Setup => "css1.",
            Self::Device => "csd1.",
        }
    }
}

/// Writes a token. A pending token names its user, since nothing else does at the second step; the
/// others don't.
pub(crate) fn write(kind: TokenKind, secret: &TokenSecret, user: Option<&UserId>) -> String {
    let mut bytes = Zeroizing::new(Vec::with_capacity(32 + ID_BYTES));
    bytes.extend_from_slice(secret.as_slice());
    bytes.extend_from_slice(user.map(UserId::as_str).unwrap_or_default().as_bytes());
    let mut text = String::with_capacity(TEXT_BYTES);
    text.push_str(kind.prefix());
    text.push_str(&Zeroizing::new(Base64UrlUnpadded::encode_string(&bytes)));
    text
}

/// Reads a token of this kind. `None` for whatever is not one: cut short, altered in form, of
/// another kind or version.
pub(crate) fn read(kind: TokenKind, text: &str) -> Option<(TokenSecret, Option<UserId>)> {
    if text.len() > TEXT_BYTES {
        return None;
    }
    let body = text.strip_prefix(kind.prefix())?;
    let bytes = Zeroizing::new(Base64UrlUnpadded::decode_vec(body).ok()?);
    let (secret, user) = bytes.split_first_chunk::<32>()?;
    let secret = Zeroizing::new(*secret);
    match kind {
        TokenKind::Pending => {
            Some((secret, Some(UserId::new(std::str::from_utf8(user).ok()?).ok()?)))
        }
        TokenKind::Setup | TokenKind::Device => user.is_empty().then_some((secret, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_as_its_own_kind_only() {
        let secret = Zeroizing::new([7; 32]);
        let user = UserId::new(&"u".repeat(128)).unwrap();
        let pending = write(TokenKind::Pending, &secret, Some(&user));
        assert_eq!(pending.len(), TEXT_BYTES);
        assert_eq!(read(TokenKind::Pending, &pending), Some((secret.clone(), Some(user))));
        let device = write(TokenKind::Device, &secret, None);
        assert_eq!(read(TokenKind::Device, &device), Some((secret, None)));
        for (text, kind) in [
            (pending.as_str(), TokenKind::Device),
            (pending.as_str(), TokenKind::Setup),
            (device.as_str(), TokenKind::Pending),
            (device.as_str(), TokenKind::Setup),
            (&device.replacen("csd", "csp", 1), TokenKind::Pending),
            (&pending.replacen("csp", "csd", 1), TokenKind::Device),
            (&device.replacen('1', "2", 1), TokenKind::Device),
        ] {
            assert_eq!(read(kind, text), None, "{text}");
        }
    }

    #[test]
    fn a_damaged_token_is_no_token() {
        let good = write(TokenKind::Device, &Zeroizing::new([7; 32]), None);
        for end in 0..good.len() {
            assert_eq!(read(TokenKind::Device, &good[..end]), None);
        }
        for bad in [
            format!("{good}A"),
            format!("{good}="),
            format!(" {good}"),
            good.replace('B', "+"),
            "é".repeat(40),
            "A".repeat(9999),
        ] {
            assert_eq!(read(TokenKind::Device, &bad), None);
        }
        let reserved = Base64UrlUnpadded::encode_string(&[&[7; 32][..], b"~phantom~001"].concat());
        assert_eq!(read(TokenKind::Pending, &format!("csp1.{reserved}")), None);
    }
}
