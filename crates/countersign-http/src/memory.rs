//! Sessions in memory, for tests and applications of one process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use base64ct::{Base64UrlUnpadded, Encoding};
use countersign::SavedGrant;
use countersign::entropy::{Entropy, SystemEntropy};
use countersign::error::PluginError;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};

use crate::cookies::cookie;
use crate::hosts::{Sessions, host_of, is_loopback};

const LIFETIME: time::Duration = time::Duration::days(30);

/// Sessions in memory, each under a random identifier of 256 bits in a cookie. Cheap to clone;
/// clones share their sessions. A restart ends them all.
///
/// A session is kept for 30 days at most, whether or not it is used, and there is no limit on
/// their number. The flow ends it before
/// ([`session_lifetime`](countersign::LoginFlowBuilder::session_lifetime)), when it is used.
#[derive(Clone, Default)]
pub struct MemorySessions {
    sessions: Arc<Mutex<HashMap<String, SavedGrant>>>,
    on_loopback: bool,
}

impl MemorySessions {
    /// Creates an empty collection of sessions.
    pub fn new() -> Self {
        Self::default()
    }

    /// For plain http in development: a cookie without `Secure` and `__Host-`. Starting a session
    /// for a host other than this machine then fails, which is a 500.
    #[must_use]
    pub fn development_on_loopback(mut self) -> Self {
        self.on_loopback = true;
        self
    }

    /// How many sessions there are.
    pub fn count(&self) -> usize {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    const fn name(&self) -> &'static str {
        if self.on_loopback { "session" } else { "__Host-session" }
    }

    fn id<'a>(&self, request: &'a Parts) -> Option<&'a str> {
        cookie(&request.headers, self.name())
    }

    fn cookie(&self, id: &str, rest: &str) -> Result<HeaderMap, PluginError> {
        let secure = if self.on_loopback { "" } else { "; Secure" };
        let value = format!("{}={id}; Path=/; HttpOnly; SameSite=Lax{secure}{rest}", self.name());
        let mut value = HeaderValue::try_from(value)?;
        value.set_sensitive(true);
        Ok(HeaderMap::from_iter([(header::SET_COOKIE, value)]))
    }
}

#[async_trait]
impl Sessions for MemorySessions {
    async fn get(&self, request: &Parts) -> Result<Option<SavedGrant>, PluginError> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(self.id(request).and_then(|id| sessions.get(id).cloned()))
    }

    async fn start(&self, request: &Parts, grant: &SavedGrant) -> Result<HeaderMap, PluginError> {
        if self.on_loopback && !host_of(request).is_some_and(is_loopback) {
            return Err(PluginError::new("a session cookie for development, for another host"));
        }
        let mut random = [0; 32];
        SystemEntropy.fill(&mut random)?;
        let id = Base64UrlUnpadded::encode_string(&random);
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(earlier) = self.id(request) {
            sessions.remove(earlier);
        }
        sessions.retain(|_, earlier| grant.at().saturating_sub(LIFETIME) < earlier.at());
        sessions.insert(id.clone(), grant.clone());
        self.cookie(&id, "")
    }

    async fn end(&self, request: &Parts) -> Result<HeaderMap, PluginError> {
        if let Some(id) = self.id(request) {
            self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        }
        self.cookie("", "; Max-Age=0")
    }
}

impl std::fmt::Debug for MemorySessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemorySessions").field("count", &self.count()).finish_non_exhaustive()
    }
}
