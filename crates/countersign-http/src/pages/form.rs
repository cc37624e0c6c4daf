//! What forms send, and where they may lead.

use std::borrow::Cow;

use bytes::Bytes;
use countersign::ResendTo;
use http::request::Parts;
use http::{StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::wire::Typed;

/// The longest path that a form leads to, in bytes.
const MAX_PATH: usize = 1_024;

/// What the pages of a login pass on from one to the next.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Onward {
    /// Where to go afterwards. Empty: home.
    #[serde(default, deserialize_with = "local_or_empty")]
    pub(super) return_to: String,
    /// A code is asked for on a trusted device, too.
    #[serde(default, deserialize_with = "is_one")]
    pub(super) again: bool,
}

impl Onward {
    pub(super) const fn again(&self) -> &'static str {
        if self.again { "1" } else { "" }
    }
}

fn is_one<'de, D: serde::Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(String::deserialize(from)? == "1")
}

fn local_or_empty<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    Ok(local_path(&text).unwrap_or_default().to_owned())
}

#[derive(Deserialize)]
pub(super) struct SignInForm {
    pub(super) name: String,
    pub(super) password: Typed,
    #[serde(flatten)]
    pub(super) onward: Onward,
}

#[derive(Deserialize)]
pub(super) struct CodeForm {
    pub(super) code: Typed,
    #[serde(default)]
    pub(super) trust: String,
}

#[derive(Deserialize)]
pub(super) struct ResendForm {
    pub(super) to: ResendTo,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum MethodChoice {
    Email,
    Sms,
}

#[derive(Deserialize)]
pub(super) struct MethodForm {
    pub(super) method: MethodChoice,
    #[serde(default)]
    pub(super) phone: String,
}

/// A phone number as people type it, without what they put between its digits. Brackets stay, and
/// are refused: of `+44 (0)20` the zero must not be dialled.
pub(super) fn without_separators(number: &str) -> String {
    let is_separator = |c: &char| {
        c.is_whitespace()
            || matches!(
                c,
                '-' | '.' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}' | '\u{ff0e}'
            )
    };
    let plain = |c: char| match c {
        '\u{ff0b}' => '+',
        '\u{ff10}'..='\u{ff19}' => {
            u32::from(c).checked_sub(0xfee0).and_then(char::from_u32).unwrap_or(c)
        }
        _ => c,
    };
    number.chars().filter(|c| !is_separator(c)).map(plain).collect()
}

/// A code, and the destination and reference that the page showed.
#[derive(Deserialize)]
pub(super) struct ConfirmForm {
    pub(super) code: Typed,
}

/// The user that an administrator's form is about.
#[derive(Deserialize)]
pub(super) struct UserForm {
    pub(super) id: String,
}

/// Who a form was made for.
#[derive(Deserialize)]
pub(super) struct Whose {
    #[serde(rename = "as")]
    pub(super) user: String,
}

/// The query of a page's address. Of a name that is there twice, the first value counts.
pub(super) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    pub(super) fn of(request: &'a Parts) -> Self {
        let query = request.uri.query().unwrap_or_default();
        Self(form_urlencoded::parse(query.as_bytes()).take(16).collect())
    }

    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    pub(super) fn onward(&self) -> Onward {
        let return_to = local_path(self.get("return_to")).unwrap_or_default().to_owned();
        Onward { return_to, again: self.get("again") == "1" }
    }
}

/// A path with a query. Empty values are left out.
pub(super) fn with_query(path: &str, values: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(values.iter().filter(|(_, value)| !value.is_empty()));
    match &*query.finish() {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// Parses a form. The parser's error is dropped, because it may repeat a password.
pub(super) fn form<T: DeserializeOwned>(request: &Parts, body: &Bytes) -> Result<T, StatusCode> {
    let mut types = request.headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    };
    let media = only.to_str().ok().and_then(|value| value.split(';').next()).unwrap_or_default();
    if !media.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    serde_urlencoded::from_bytes(body).map_err(|_| StatusCode::BAD_REQUEST)
}

/// The text, if it is a path of this site. Returns `None` for anything that a browser could take
/// for an address on another one.
pub(crate) fn local_path(text: &str) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    let rest = text.strip_prefix('/')?;
    (text.len() <= MAX_PATH && !rest.starts_with('/') && text.bytes().all(plain)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::{local_path, without_separators};

    #[test]
    fn a_phone_number_may_be_typed_with_separators() {
        for typed in [
            "+819012345678",
            "+81 90 1234 5678",
            " +81-90-1234-5678 ",
            "+81.90.1234.5678",
            "\u{ff0b}\u{ff18}\u{ff11}\u{3000}90\u{2212}1234\u{2010}5678",
        ] {
            assert_eq!(without_separators(typed), "+819012345678", "{typed}");
        }
        assert_eq!(without_separators("+44 (0)20 7946 0000"), "+44(0)2079460000");
    }

    #[test]
    fn only_a_path_of_the_same_site_is_followed() {
        for path in ["/", "/me", "/a/b?c=d&e=%2F#f", "/@x", "/a//b"] {
            assert_eq!(local_path(path), Some(path));
        }
        let long = format!("/{}", "a".repeat(1_024));
        for elsewhere in [
            "",
            "me",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            " /me",
            "/me\r\nset-cookie: a=b",
            "/\t/evil.example",
            "/\u{9}/evil.example",
            "/me\u{202e}",
            "/ü",
            &long,
        ] {
            assert_eq!(local_path(elsewhere), None, "{elsewhere:?}");
        }
    }
}
