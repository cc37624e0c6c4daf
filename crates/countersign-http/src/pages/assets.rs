//! The style and the script of the pages, as files of the same site.

use base64ct::{Base64UrlUnpadded, Encoding};
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body_util::Full;
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("pages.css");
const SCRIPT: &str = include_str!("pages.js");

/// The stylesheet and the script, with addresses that change with their content.
pub(crate) struct Assets {
    style: Bytes,
    style_version: String,
    script_version: String,
    /// Under the base path of the pages.
    style_path: String,
    script_path: String,
}

impl Assets {
    /// `base`: the path that all pages are under. `rules`: the application's own style.
    pub(crate) fn new(base: &str, rules: &str) -> Self {
        let style = format!("{STYLE}\n{rules}");
        let style_version = version(style.as_bytes());
        let script_version = version(SCRIPT.as_bytes());
        Self {
            style_path: format!("{base}/assets/{style_version}/pages.css"),
            script_path: format!("{base}/assets/{script_version}/pages.js"),
            style: style.into(),
            style_version,
            script_version,
        }
    }

    pub(crate) fn style_path(&self) -> &str {
        &self.style_path
    }

    pub(super) fn script_path(&self) -> &str {
        &self.script_path
    }

    /// `None`: there is no such file, or not in this version.
    pub(super) fn file(&self, version: &str, name: &str) -> Option<Response<Full<Bytes>>> {
        match name {
            "pages.css" if version == self.style_version => {
                Some(file("text/css; charset=utf-8", self.style.clone()))
            }
            "pages.js" if version == self.script_version => {
                let script = Bytes::from_static(SCRIPT.as_bytes());
                Some(file("text/javascript; charset=utf-8", script))
            }
            _ => None,
        }
    }
}

fn version(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    Base64UrlUnpadded::encode_string(digest.get(..9).unwrap_or_default())
}

/// Responds with a file that browsers may cache for a year, because its address changes with its
/// content.
fn file(media: &'static str, content: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(content));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    let keep = HeaderValue::from_static("public, max-age=31536000, immutable");
    headers.insert(header::CACHE_CONTROL, keep);
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}
