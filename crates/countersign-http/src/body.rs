//! What comes in: bounded, declared as JSON, and nothing in it that nobody asked for.

use bytes::Bytes;
use http::request::Parts;
use http::{StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

/// The longest body that is read, in bytes. The longest password is 4,096 bytes, of which each can
/// take six as JSON.
pub const MAX_BODY: usize = 32 * 1024;

/// Reads a body, up to [`MAX_BODY`].
pub(crate) async fn read<B>(body: B) -> Result<Bytes, StatusCode>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(read) => Ok(read.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::BAD_REQUEST),
    }
}

/// Whether the body is declared as JSON.
pub(crate) fn is_json(request: &Parts) -> bool {
    let mut types = request.headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else { return false };
    let media = only.to_str().ok().and_then(|value| value.split(';').next());
    media.is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}

/// Reads JSON. What the parser says of a damaged body is dropped: it may repeat a password.
pub(crate) fn parse<T: DeserializeOwned>(request: &Parts, body: &Bytes) -> Result<T, StatusCode> {
    if !is_json(request) {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    serde_json::from_slice(body).map_err(|_| StatusCode::BAD_REQUEST)
}
