//! Whether a request that changes something comes from a page of this very site (`I-52`).
//!
//! No tokens in forms or second cookies: browsers say where a request comes from, in headers that
//! no page can set.

use http::request::Parts;
use http::{HeaderMap, Method, header};

use crate::hosts::{ClientAddress, host_of, is_loopback};
use crate::tokens::Clients;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// It comes from a page of another site, or at the endpoints for mobile applications from any
    /// page.
    Site,
    /// It says nothing of where it comes from, and a form could have sent it.
    Form,
    /// For another host than this machine's own, in the mode for development.
    Host,
}

/// What requests are accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origins {
    pub(crate) clients: Clients,
    /// Plain http on this machine, for development.
    pub(crate) on_loopback: bool,
}

impl Origins {
    /// Checks a request for an endpoint, or one that changes something. `is_json`: its body is
    /// declared as JSON.
    pub(crate) fn check(self, request: &Parts, is_json: bool) -> Result<(), Foreign> {
        self.check_host(request)?;
        let site = one(&request.headers, "sec-fetch-site")?;
        let origin = one(&request.headers, header::ORIGIN.as_str())?;
        let own = match (site, origin) {
            // A program. A browser that sends neither header can be made to send a form, but
            // neither JSON nor another method.
            (None, None) if is_json || request.method != Method::POST => true,
            (None, None) => return Err(Foreign::Form),
            // No script of a page gets the tokens that are in bodies there.
            _ if self.clients == Clients::MobileApps => false,
            (Some("same-origin"), _) => true,
            // The person themselves, such as by a reload. Browsers do not all mean the same by it.
            (Some("none"), origin) => origin.is_none_or(|origin| self.is_own(origin, request)),
            (Some(_), _) => false,
            (None, Some(origin)) => self.is_own(origin, request),
        };
        if own { Ok(()) } else { Err(Foreign::Site) }
    }

    /// Checks what is for this machine only.
    pub(crate) fn check_host(self, request: &Parts) -> Result<(), Foreign> {
        if !self.on_loopback {
            return Ok(());
        }
        // Behind a proxy the host may be this machine; the page and the client are not.
        let client = request.extensions.get::<ClientAddress>();
        let origin = request.headers.get(header::ORIGIN);
        let is_here = host_of(request).is_some_and(is_loopback)
            && client.is_none_or(|client| client.0.is_loopback())
            && origin.is_none_or(|origin| {
                let origin = origin.to_str().unwrap_or_default();
                origin.strip_prefix("http://").is_some_and(is_loopback)
            });
        if is_here { Ok(()) } else { Err(Foreign::Host) }
    }

    fn is_own(self, origin: &str, request: &Parts) -> bool {
        let scheme = if self.on_loopback { "http://" } else { "https://" };
        origin
            .strip_prefix(scheme)
            .is_some_and(|host| host_of(request).is_some_and(|own| own.eq_ignore_ascii_case(host)))
    }
}

/// The one value of a header. Two of them, or one that is no text, come from nobody who means well.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Foreign> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| Foreign::Site),
        (Some(_), Some(_)) => Err(Foreign::Site),
    }
}
