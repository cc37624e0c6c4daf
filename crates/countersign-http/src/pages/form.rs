//! What forms send, and where they may lead.

use bytes::Bytes;
use countersign::ResendTo;
use countersign::policy::Scope;
use http::request::Parts;
use http::{StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::wire::Typed;

/// The longest address that a form leads to, in bytes.
const MAX_PATH: usize = 1_024;

#[derive(Deserialize)]
pub(super) struct SignInForm {
    pub(super) name: String,
    pub(super) password: Typed,
    #[serde(default)]
    pub(super) return_to: String,
    #[serde(default)]
    pub(super) again: String,
}

#[derive(Deserialize)]
pub(super) struct CodeForm {
    pub(super) code: Typed,
    #[serde(default)]
    pub(super) trust: String,
    #[serde(default)]
    pub(super) return_to: String,
}

#[derive(Deserialize)]
pub(super) struct ResendForm {
    pub(super) to: ResendTo,
    #[serde(default)]
    pub(super) return_to: String,
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

/// A code, and what the page before said of it.
#[derive(Deserialize)]
pub(super) struct ConfirmForm {
    pub(super) code: Typed,
    #[serde(default)]
    pub(super) destination: String,
    #[serde(default)]
    pub(super) reference: String,
}

#[derive(Deserialize)]
pub(super) struct ScopeForm {
    pub(super) scope: Scope,
    #[serde(default)]
    pub(super) confirmed: String,
}

/// What is in the query of a page's address. All of it is for display, or checked where it is used.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Query {
    pub(super) return_to: String,
    pub(super) again: String,
    pub(super) delivery: String,
    pub(super) id: String,
}

impl Query {
    pub(super) fn of(request: &Parts) -> Self {
        let query = request.uri.query().unwrap_or_default();
        serde_urlencoded::from_str(query).unwrap_or_default()
    }
}

/// Reads a form. What the parser says of a damaged one is dropped: it may repeat a password.
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

/// A path of this site. Everything that a browser could take for another one is none.
pub(crate) fn local_path(text: &str) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    let rest = text.strip_prefix('/')?;
    (text.len() <= MAX_PATH && !rest.starts_with('/') && text.bytes().all(plain)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::local_path;

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
