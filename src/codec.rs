//! Fixed-size byte strings as unpadded base64url, decoded in constant time.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::{Deserializer, Serializer, de, ser};

pub(crate) fn serialize_bytes<const N: usize, S: Serializer>(
    bytes: &[u8; N],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut text = [0_u8; 44];
    let text = Base64UrlUnpadded::encode(bytes, &mut text).map_err(ser::Error::custom)?;
    serializer.serialize_str(text)
}

pub(crate) fn deserialize_bytes<'de, const N: usize, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<[u8; N], D::Error> {
    struct Text<const N: usize>;

    impl<const N: usize> de::Visitor<'_> for Text<N> {
        type Value = [u8; N];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{N} bytes in unpadded base64url")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<[u8; N], E> {
            let mut bytes = [0_u8; N];
            match Base64UrlUnpadded::decode(text, &mut bytes) {
                Ok(decoded) if decoded.len() == N => Ok(bytes),
                // The text itself may be secret: it is not repeated.
                _ => Err(E::custom(format_args!("not {N} bytes in unpadded base64url"))),
            }
        }
    }

    deserializer.deserialize_str(Text::<N>)
}
