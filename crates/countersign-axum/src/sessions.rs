//! Sessions of the crate tower-sessions.

use async_trait::async_trait;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use countersign::SavedGrant;
use countersign::error::PluginError;
use countersign_http::Sessions;
use tower_sessions::Session;

/// What the grant is kept under.
const KEY: &str = "countersign";

/// [`Sessions`] in the [`Session`] that tower-sessions' `SessionManagerLayer` gives each request.
///
/// A login starts an empty session under a new identifier (`I-36`), saved before the response is
/// made, so that a failing store loses no backup code (`I-31`). If the client hangs up, nobody
/// learns the identifier.
///
/// Put the layer around [`router`](crate::router): without it every request that needs a session is
/// a 500. The cookie is the layer's: keep it `HttpOnly` and `Secure`, give it a name that begins
/// with `__Host-`, and no domain.
///
/// ```
/// use tower_sessions::{MemoryStore, SessionManagerLayer};
///
/// use tower_sessions::cookie::SameSite;
///
/// let sessions = SessionManagerLayer::new(MemoryStore::default())
///     .with_name("__Host-session")
///     .with_same_site(SameSite::Lax); // so that a link in a mail finds the person signed in
/// ```
///
/// A request that finds its session gone makes the browser forget the cookie. If that is the late
/// answer of one tab after a login in another one, the person has to log in once more.
///
/// A request that saves a session while another one ends it can bring it back, because
/// tower-sessions saves without a condition. With `with_always_save`, every request saves: leave
/// that off, and keep data that changes often elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct TowerSessions;

impl TowerSessions {
    fn of(request: &Parts) -> Result<&Session, PluginError> {
        request.extensions.get().ok_or_else(|| PluginError::new("no `SessionManagerLayer`"))
    }
}

#[async_trait]
impl Sessions for TowerSessions {
    async fn get(&self, request: &Parts) -> Result<Option<SavedGrant>, PluginError> {
        let saved = Self::of(request)?.get_value(KEY).await?;
        // A grant that this version cannot read signs nobody in, and can be replaced by a login.
        Ok(saved.and_then(|saved| serde_json::from_value(saved).ok()))
    }

    async fn start(&self, request: &Parts, grant: &SavedGrant) -> Result<HeaderMap, PluginError> {
        let session = Self::of(request)?;
        session.clear().await;
        // `flush` would do for the data, and would keep the identifier: the record that it leaves
        // has the one that came with the request, and is created again under it.
        session.cycle_id().await?;
        session.insert(KEY, grant).await?;
        // The layer saves it too, but answers an empty 500 if that fails.
        session.save().await?;
        Ok(HeaderMap::new())
    }

    async fn end(&self, request: &Parts) -> Result<HeaderMap, PluginError> {
        Self::of(request)?.flush().await?;
        Ok(HeaderMap::new())
    }
}
