//! An address that is called and signed: the signature must name the host and the path as the HTTP
//! client sends them.

use std::net::{Ipv4Addr, Ipv6Addr};

/// An address in the one spelling in which an HTTP client sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    url: String,
    host: String,
    path: String,
}

impl Endpoint {
    /// Reads `scheme://host[:port][/path]`. `None` where a client could send it in another
    /// spelling, or where there is more in it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > 1000 {
            return None;
        }
        let (scheme, rest) = text.split_once("://")?;
        let (scheme, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "https" => ("https", 443),
            "http" => ("http", 80),
            _ => return None,
        };
        let (authority, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
        // The colons of an IPv6 address are inside of brackets.
        let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'))
        {
            Some((host, port)) => (host, number(port)?),
            None => (authority, default_port),
        };
        let mut host = host_name(host)?;
        if port != default_port {
            host = format!("{host}:{port}");
        }
        is_plain(path).then(|| Self {
            url: format!("{scheme}://{host}{path}"),
            host,
            path: path.to_owned(),
        })
    }

    /// The whole address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The header `host`.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The path, beginning with a slash.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }
}

fn number(port: &str) -> Option<u16> {
    let digits = (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
    port.parse().ok().filter(|port| digits && *port != 0)
}

/// A host in lower case: a name, an IPv4 address in its usual form, or an IPv6 address in brackets.
fn host_name(host: &str) -> Option<String> {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = address.parse().ok()?;
        // The one kind of address that is written in two ways.
        return address.to_ipv4_mapped().is_none().then(|| format!("[{address}]"));
    }
    let host = host.to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    // What ends in a number is an IPv4 address to a client, whatever its form.
    let numeric =
        host.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_digit()));
    let well_formed = host.len() <= 253
        && host.split('.').all(label)
        && (!numeric || host.parse::<Ipv4Addr>().is_ok());
    well_formed.then_some(host)
}

/// Whether a path is sent as it stands: nothing that a client would escape, leave out or take for
/// something else.
fn is_plain(path: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/%!$&'()*+,;=:@".contains(&b);
    let hex =
        |text: &str| text.get(..2).is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    let mut segments = path.split('/').skip(1).peekable();
    let mut in_order = true;
    while let Some(segment) = segments.next() {
        let dots = segment.replace("%2e", ".").replace("%2E", ".");
        in_order &=
            (!segment.is_empty() || segments.peek().is_none()) && dots != "." && dots != "..";
    }
    in_order && path.bytes().all(plain) && path.split('%').skip(1).all(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_spelling() {
        for (text, url, host, path) in [
            (
                "https://sns.eu-west-1.amazonaws.com",
                "https://sns.eu-west-1.amazonaws.com/",
                "sns.eu-west-1.amazonaws.com",
                "/",
            ),
            ("HTTPS://SNS.Example.COM/", "https://sns.example.com/", "sns.example.com", "/"),
            ("https://sns.example.com:443/", "https://sns.example.com/", "sns.example.com", "/"),
            ("http://sns.example.com:80", "http://sns.example.com/", "sns.example.com", "/"),
            (
                "https://sns.example.com:80/",
                "https://sns.example.com:80/",
                "sns.example.com:80",
                "/",
            ),
            (
                "https://proxy.example:08443/aws/SNS",
                "https://proxy.example:8443/aws/SNS",
                "proxy.example:8443",
                "/aws/SNS",
            ),
            (
                "http://127.0.0.1:4566/a%20b/",
                "http://127.0.0.1:4566/a%20b/",
                "127.0.0.1:4566",
                "/a%20b/",
            ),
            ("http://[0:0::1]:4566", "http://[::1]:4566/", "[::1]:4566", "/"),
            ("http://[FE80::1]/", "http://[fe80::1]/", "[fe80::1]", "/"),
        ] {
            let endpoint = Endpoint::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(
                (endpoint.url(), endpoint.host(), endpoint.path()),
                (url, host, path),
                "{text}"
            );
            assert_eq!(Endpoint::parse(url), Some(endpoint), "{text}");
        }
    }

    #[test]
    fn what_could_be_sent_in_another_spelling_is_refused() {
        for text in [
            "",
            "sns.example.com",
            "ftp://sns.example.com",
            "https://",
            "https:///x",
            "https://user@sns.example.com",
            "https://user:secret@sns.example.com/",
            "https://sns.example.com/?x=1",
            "https://sns.example.com?x=1",
            "https://sns.example.com/#x",
            "https://sns.example.com/a b",
            "https://sns.example.com/a/../b",
            "https://sns.example.com/%2e%2E/b",
            "https://sns.example.com//b",
            "https://sns.example.com/%zz",
            "https://sns.example.com/%2",
            "https://sns.example.com\\x",
            "https://sns.example.com:",
            "https://sns.example.com:0",
            "https://sns.example.com:65536",
            "https://sns.example.com:+443",
            "https://sns..example.com",
            "https://sns.example.com./",
            "https://sns%2eexample.com",
            "https://例え.jp",
            "https://127.1",
            "https://2130706433",
            "https://0x7f.0x1",
            "https://127.0.0.01",
            "https://[::ffff:1.2.3.4]",
            "https://[::1",
            "https://[]",
        ] {
            assert_eq!(Endpoint::parse(text), None, "{text}");
        }
    }
}
