//! Where a request comes from, as far as the host knows it (`I-45`).

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::TenantId;
use crate::unicode::is_visible;

/// The most characters that are kept of a user agent.
const USER_AGENT: usize = 256;
/// The most characters that are kept of a request's id.
const REQUEST_ID: usize = 128;
/// What is read of a text that is given, in characters: the rest costs nothing (`I-40`).
const READ: usize = 1024;

/// Where a request comes from: the client's address, its user agent, and the request's id.
///
/// The host gives it with each request. It reaches the
/// [request policy](crate::policy::RequestPolicy), every [event](crate::event::Event::request) and
/// the [notices](crate::sender::Notice::from) about what the request did. No store ever sees it
/// (`I-45`).
///
/// Each part is optional. Take the address from the connection, or from a header that your own
/// proxy sets; a header that the client can set names whatever address the client likes. The user
/// agent is the client's own word.
///
/// No part is ever refused. Texts keep what a reader can see, and single spaces: up to 256
/// characters of a user agent, and 128 of a request's id.
///
/// ```
/// use countersign::RequestContext;
///
/// let context = RequestContext::new()
///     .with_client_address("203.0.113.7".parse()?)
///     .with_user_agent("Mozilla/5.0 (Windows NT 10.0; rv:145.0) Gecko/20100101 Firefox/145.0")
///     .with_request_id("req-42");
/// assert_eq!(context.client().to_string(), "Firefox on Windows");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Given")]
#[must_use]
pub struct RequestContext {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text")]
    user_agent: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text")]
    request_id: Option<Arc<str>>,
}

/// What a job has, or an operator.
pub(crate) static NO_REQUEST: RequestContext = RequestContext::new();

impl RequestContext {
    /// A context without address, user agent and request id, for tests and command lines.
    pub const fn new() -> Self {
        Self { client_address: None, user_agent: None, request_id: None }
    }

    /// Sets the address that the request came from. An IPv4 address in the form of an IPv6 one
    /// (`::ffff:203.0.113.7`) is taken as the IPv4 address.
    pub const fn with_client_address(mut self, address: IpAddr) -> Self {
        self.client_address = Some(address.to_canonical());
        self
    }

    /// Sets what the client says it is: the header `User-Agent`.
    pub fn with_user_agent(mut self, user_agent: &str) -> Self {
        self.user_agent = visible_part(user_agent, USER_AGENT);
        self
    }

    /// Sets the id under which the host's own logs know this request.
    pub fn with_request_id(mut self, id: &str) -> Self {
        self.request_id = visible_part(id, REQUEST_ID);
        self
    }

    /// The address that the request came from.
    pub const fn client_address(&self) -> Option<IpAddr> {
        self.client_address
    }

    /// What the client says it is.
    pub fn user_agent(&self) -> Option<&str> {
        self.user_agent.as_deref()
    }

    /// The id under which the host's own logs know this request.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// Whether nothing is known of the request.
    pub const fn is_empty(&self) -> bool {
        self.client_address.is_none() && self.user_agent.is_none() && self.request_id.is_none()
    }

    /// The browser and the system that the user agent names.
    pub fn client(&self) -> Client {
        self.user_agent().map(Client::of).unwrap_or_default()
    }
}

/// The part of a text that a reader sees, with single spaces, cut after so many characters.
fn visible_part(text: &str, most: usize) -> Option<Arc<str>> {
    let shown = |c: char| match c {
        c if c.is_whitespace() => Some(' '),
        c if is_visible(c) => Some(c),
        _ => None,
    };
    let kept: String = text.chars().take(READ).filter_map(shown).collect();
    let words: Vec<&str> = kept.split(' ').filter(|word| !word.is_empty()).collect();
    let cut: String = words.join(" ").chars().take(most).collect();
    let cut = cut.trim_end();
    (!cut.is_empty()).then(|| cut.into())
}

// The signature is serde's.
#[allow(clippy::ref_option)]
fn text<S: serde::Serializer>(text: &Option<Arc<str>>, serializer: S) -> Result<S::Ok, S::Error> {
    text.as_deref().serialize(serializer)
}

/// As it comes from outside, or from a log.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Given {
    client_address: Option<IpAddr>,
    user_agent: Option<String>,
    request_id: Option<String>,
}

impl From<Given> for RequestContext {
    fn from(given: Given) -> Self {
        let mut context = Self::new();
        context.client_address = given.client_address.map(|address| address.to_canonical());
        context.user_agent = given.user_agent.and_then(|text| visible_part(&text, USER_AGENT));
        context.request_id = given.request_id.and_then(|text| visible_part(&text, REQUEST_ID));
        context
    }
}

/// A browser and a system by their usual names, such as `Firefox on Windows`.
///
/// They come from a fixed list, so that no text of the client's gets into a message. `None`: not in
/// the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Client {
    /// The browser.
    pub browser: Option<&'static str>,
    /// The operating system.
    pub system: Option<&'static str>,
}

/// What a user agent holds, and what that stands for. The first that is found counts: most browsers
/// also name those that they are compatible with, and most systems the one that they come from.
const BROWSERS: [(&str, &str); 14] = [
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex Browser"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Version/", "Safari"),
    ("curl/", "curl"),
];
const SYSTEMS: [(&str, &str); 8] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Macintosh", "Mac"),
    ("CrOS", "ChromeOS"),
    ("FreeBSD", "FreeBSD"),
    ("Linux", "Linux"),
];

impl Client {
    fn of(user_agent: &str) -> Self {
        let find = |names: &[(&str, &'static str)]| {
            names.iter().find(|(part, _)| user_agent.contains(part)).map(|&(_, name)| name)
        };
        Self { browser: find(&BROWSERS), system: find(&SYSTEMS) }
    }

    /// Whether neither is known.
    pub const fn is_empty(&self) -> bool {
        self.browser.is_none() && self.system.is_none()
    }
}

/// `Firefox on Windows`, `Firefox`, `Windows`, or nothing.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.browser, self.system) {
            (Some(browser), Some(system)) => write!(f, "{browser} on {system}"),
            (Some(name), None) | (None, Some(name)) => f.write_str(name),
            (None, None) => Ok(()),
        }
    }
}

/// One call: the tenant that it is for, and where it comes from.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) context: &'a RequestContext,
}

impl<'a> Call<'a> {
    /// A call without a request: a job's, or an operator's.
    pub(crate) const fn without_request(tenant: &'a TenantId) -> Self {
        Self { tenant, context: &NO_REQUEST }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn agent(text: &str) -> RequestContext {
        RequestContext::new().with_user_agent(text)
    }

    #[test]
    fn an_address_is_shown_in_its_shortest_form() {
        for (given, shown) in [
            ("203.0.113.7", "203.0.113.7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("2001:db8:0:0::1", "2001:db8::1"),
        ] {
            let context = RequestContext::new().with_client_address(given.parse().unwrap());
            assert_eq!(context.client_address().unwrap().to_string(), shown);
            let read: RequestContext =
                serde_json::from_str(&format!("{{\"client_address\":\"{given}\"}}")).unwrap();
            assert_eq!(read, context);
        }
    }

    /// I-45: what a client sends is cut and made visible, and refuses nothing.
    #[test]
    fn texts_keep_what_a_reader_sees() {
        for (given, kept) in [
            ("Mozilla/5.0 (X11)", Some("Mozilla/5.0 (X11)")),
            ("  a \r\n b\t", Some("a b")),
            ("a\u{202e}b\u{200b}\0c\u{1b}[31m", Some("abc[31m")),
            ("", None),
            (" \u{200b}\n", None),
        ] {
            assert_eq!(agent(given).user_agent(), kept, "{given:?}");
            assert_eq!(RequestContext::new().with_request_id(given).request_id(), kept);
        }
        let long = "x".repeat(1 << 20);
        assert_eq!(agent(&long).user_agent().unwrap().len(), 256);
        assert_eq!(RequestContext::new().with_request_id(&long).request_id().unwrap().len(), 128);
        assert!(agent(&format!("{}late", "\u{200b}".repeat(1 << 20))).is_empty());
    }

    #[test]
    fn a_client_is_called_by_its_usual_names() {
        for (user_agent, name) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
                "Firefox on Windows",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36 Edg/143.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15",
                "Safari on Mac",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/143.0 Mobile/15E148 Safari/604.1",
                "Chrome on iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            (
                "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36",
                "Chrome on ChromeOS",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36 OPR/127.0.0.0",
                "Opera on Linux",
            ),
            ("curl/8.17.0", "curl"),
            ("okhttp/5.3.0 Android", "Android"),
            ("Call +1 555 0100 now", ""),
        ] {
            assert_eq!(agent(user_agent).client().to_string(), name, "{user_agent}");
        }
        assert!(RequestContext::new().client().is_empty());
    }

    proptest! {
        #[test]
        fn whatever_is_given_is_bounded_printable_and_reads_back(
            user_agent in "(\\PC|[ \u{3000}\u{200b}\u{202e}\n\0]){0,300}",
            id in "(\\PC|[ \u{3000}\u{200b}\u{202e}\n\0]){0,200}",
        ) {
            let context = agent(&user_agent).with_request_id(&id);
            for (text, most) in [(context.user_agent(), 256), (context.request_id(), 128)] {
                let text = text.unwrap_or("x");
                prop_assert!((1..=most).contains(&text.chars().count()));
                prop_assert!(text.chars().all(|c| c == ' ' || is_visible(c)), "{text:?}");
            }
            let json = serde_json::to_string(&context).unwrap();
            prop_assert_eq!(serde_json::from_str::<RequestContext>(&json).unwrap(), context);
        }
    }
}
