//! Bodies and headers as providers want them.

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

/// `application/x-www-form-urlencoded`, with nothing unescaped but what RFC 3986 reserves for no
/// purpose.
pub(crate) fn form(fields: &[(&str, &str)]) -> Zeroizing<String> {
    let length =
        fields.iter().map(|(name, value)| name.len().saturating_add(value.len())).sum::<usize>();
    let mut body =
        Zeroizing::new(String::with_capacity(length.saturating_mul(3).saturating_add(64)));
    for (name, value) in fields {
        if !body.is_empty() {
            body.push('&');
        }
        escape(name, &mut body);
        body.push('=');
        escape(value, &mut body);
    }
    body
}

fn escape(text: &str, into: &mut String) {
    const HEX: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            into.push(char::from(byte));
        } else {
            into.push('%');
            into.extend(
                [byte >> 4, byte & 15].iter().filter_map(|half| HEX.get(usize::from(*half))),
            );
        }
    }
}

/// HTTP basic authentication (RFC 7617).
pub(crate) fn basic(user: &str, password: &str) -> Zeroizing<String> {
    let clear = Zeroizing::new(format!("{user}:{password}"));
    let encoded = Zeroizing::new(Base64::encode_string(clear.as_bytes()));
    Zeroizing::new(format!("Basic {}", *encoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_escape_everything_that_could_end_a_field() {
        let body = form(&[("To", "+819012345634"), ("Body", "コード 1&To=+1\r\n%~")]);
        assert_eq!(
            &*body,
            "To=%2B819012345634&Body=%E3%82%B3%E3%83%BC%E3%83%89%201%26To%3D%2B1%0D%0A%25~"
        );
    }

    #[test]
    fn basic_authentication_is_that_of_the_rfc() {
        assert_eq!(&*basic("Aladdin", "open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}
