//! Sessions of tower-sessions: the cookie of the response, and what is in the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use async_trait::async_trait;
use axum::Router;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use countersign::SavedGrant;
use countersign::error::PluginError;
use countersign::event::EventKind;
use countersign_axum::{SignedIn, TowerSessions, router};
use countersign_http::{Sessions, Web};
use serde_json::json;
use tower::ServiceExt;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};
use tower_sessions::{MemoryStore, Session, SessionManagerLayer, SessionStore};

use crate::site::{Browser, Site, builder};

const COOKIE: &str = "__Host-session";

/// A store that counts what it creates, and fails while the test wants it to.
#[derive(Clone, Debug, Default)]
struct Store {
    inner: MemoryStore,
    created: Arc<AtomicUsize>,
    fails: Arc<AtomicBool>,
}

#[async_trait]
impl SessionStore for Store {
    async fn create(&self, record: &mut Record) -> Result<()> {
        if self.fails.load(SeqCst) {
            return Err(Error::Backend("the session store is down".to_owned()));
        }
        self.created.fetch_add(1, SeqCst);
        self.inner.create(record).await
    }

    async fn save(&self, record: &Record) -> Result<()> {
        self.inner.save(record).await
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        self.inner.load(id).await
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.inner.delete(id).await
    }
}

impl Store {
    async fn at(&self, cookie: &str) -> Option<Record> {
        self.inner.load(&cookie.parse().unwrap()).await.unwrap()
    }
}

fn web(site: &Site, sessions: impl Sessions + 'static) -> Web {
    builder(&site.world, sessions, &site.reports).base_path("/auth").build()
}

fn app(site: &Site, sessions: impl Sessions + 'static) -> (Router, Store) {
    let (store, web) = (Store::default(), web(site, sessions));
    let own = Router::new()
        .route("/cart", post(async |cart: Session| cart.insert("cart", "planted").await.unwrap()))
        .route("/hello", get(async |SignedIn(grant): SignedIn| grant.user().to_string()))
        .with_state(web.clone());
    let layer = SessionManagerLayer::new(store.clone()).with_name(COOKIE);
    (own.merge(router(&web, &site.detach)).layer(layer), store)
}

/// A session of an attacker, with data in it, and an identifier that an attacker made up.
async fn planted(app: &Router) -> [String; 2] {
    let mut attacker = Browser::at(app);
    attacker.post("/cart", json!({})).await;
    [attacker.cookies[COOKIE].clone(), Id(7).to_string()]
}

/// I-36, I-52: a login starts a session under a new identifier, and nothing of the one before is in
/// it: neither of a session that was planted, nor of an identifier that nobody knows.
#[tokio::test]
async fn a_planted_identifier_is_not_signed_in() {
    let site = Site::new().await;
    let (app, store) = app(&site, TowerSessions);
    for planted in planted(&app).await {
        let mut victim = Browser::at(&app);
        victim.cookies.insert(COOKIE.to_owned(), planted.clone());
        let answer = site.sign_in(&mut victim, "alice").await;
        let session = answer.cookie(COOKIE).unwrap().to_owned();
        assert_ne!(session, planted);
        assert_eq!(store.at(&planted).await, None, "it is dead");
        let data = store.at(&session).await.unwrap().data;
        assert_eq!(data.keys().collect::<Vec<_>>(), ["countersign"]);
        assert_eq!(victim.get("/hello").await.text, "alice");
        let mut attacker = Browser::at(&app);
        attacker.cookies.insert(COOKIE.to_owned(), planted);
        assert_eq!(attacker.get("/hello").await.status, StatusCode::UNAUTHORIZED);

        // The next login, in the same browser, ends the session before.
        site.sign_in(&mut victim, "bob").await;
        assert_eq!(store.at(&session).await, None);
        assert_eq!(victim.get("/hello").await.text, "bob");
    }
}

/// What an adapter does that trusts `flush` or `cycle_id` alone.
struct Flawed {
    flush: bool,
}

#[async_trait]
impl Sessions for Flawed {
    async fn get(&self, request: &Parts) -> std::result::Result<Option<SavedGrant>, PluginError> {
        TowerSessions.get(request).await
    }

    async fn start(
        &self,
        request: &Parts,
        grant: &SavedGrant,
    ) -> std::result::Result<HeaderMap, PluginError> {
        let session: &Session = request.extensions.get().unwrap();
        if self.flush {
            session.flush().await?;
        } else {
            session.cycle_id().await?;
        }
        session.insert("countersign", grant).await?;
        Ok(HeaderMap::new())
    }

    async fn end(&self, request: &Parts) -> std::result::Result<HeaderMap, PluginError> {
        TowerSessions.end(request).await
    }
}

/// Negative controls: the test above looks at what these get wrong.
#[tokio::test]
async fn flush_keeps_the_identifier_and_cycling_keeps_the_data() {
    let site = Site::new().await;
    let (flushing, _) = app(&site, Flawed { flush: true });
    for planted in planted(&flushing).await {
        let mut victim = Browser::at(&flushing);
        victim.cookies.insert(COOKIE.to_owned(), planted.clone());
        site.sign_in(&mut victim, "alice").await;
        assert_eq!(victim.cookies[COOKIE], planted);
        let mut attacker = Browser::at(&flushing);
        attacker.cookies.insert(COOKIE.to_owned(), planted);
        assert_eq!(attacker.get("/hello").await.text, "alice");
    }

    let (cycling, store) = app(&site, Flawed { flush: false });
    let [planted, _] = planted(&cycling).await;
    let mut victim = Browser::at(&cycling);
    victim.cookies.insert(COOKIE.to_owned(), planted.clone());
    site.sign_in(&mut victim, "alice").await;
    assert_ne!(victim.cookies[COOKIE], planted);
    assert!(store.at(&victim.cookies[COOKIE]).await.unwrap().data.contains_key("cart"));
}

#[tokio::test]
async fn a_logout_ends_the_session_in_the_store() {
    let site = Site::new().await;
    let (app, store) = app(&site, TowerSessions);
    let mut alice = Browser::at(&app);
    assert_eq!(alice.post("/auth/logout", json!({})).await.status, StatusCode::NO_CONTENT);
    site.sign_in(&mut alice, "alice").await;
    let session = alice.cookies[COOKIE].clone();
    assert_eq!(alice.post("/auth/logout", json!({})).await.cookie(COOKIE), Some(""));
    assert_eq!(store.at(&session).await, None);
    alice.cookies.insert(COOKIE.to_owned(), session);
    assert_eq!(alice.get("/hello").await.status, StatusCode::UNAUTHORIZED);
}

/// A client that hangs up before the response is signed in nowhere: the session before has ended,
/// and nobody was told another identifier.
#[tokio::test]
async fn a_client_that_hangs_up_is_not_signed_in() {
    let site = Site::new().await;
    let (app, store) = app(&site, TowerSessions);
    let [planted, _] = planted(&app).await;
    let mut victim = Browser::at(&app);
    victim.cookies.insert(COOKIE.to_owned(), planted.clone());
    let login = victim.begin("alice").await;
    let (reached, go) = site.hold.after("commit");
    let body = json!({"code": site.world.last_code()});
    let request = victim.request("POST", &format!("/auth/login/{login}/code"), &body);
    let client = tokio::spawn(app.clone().oneshot(request));
    reached.await.unwrap();
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());
    let _ = go.send(());
    site.detach.idle().await;
    assert_eq!(store.at(&planted).await, None);
    assert_eq!(victim.get("/hello").await.status, StatusCode::UNAUTHORIZED);
    let events: Vec<_> = site.world.events.kinds().iter().map(EventKind::name).collect();
    assert!(events.contains(&"login_completed"), "{events:?}");
}

/// I-31: a store that fails signs nobody in, and what is shown once is shown all the same.
#[tokio::test]
async fn a_store_that_fails_loses_no_backup_code() {
    let site = Site::new().await;
    let (app, store) = app(&site, TowerSessions);
    let code = site.world.make_backup_code("alice").await.unwrap();
    let mut alice = Browser::at(&app);
    let login = alice.begin("alice").await;
    store.fails.store(true, SeqCst);
    let path = format!("/auth/login/{login}/backup-code");
    let answer = alice.post(&path, json!({"code": code})).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(answer.json["secrets"]["backup_code"].is_string(), "{}", answer.text);
    assert_eq!(answer.cookie(COOKIE), None);
    assert_eq!(store.created.load(SeqCst), 0);
    assert_eq!(*site.reports.lock().unwrap(), ["the session store is down"]);
    store.fails.store(false, SeqCst);
    assert_eq!(alice.get("/hello").await.status, StatusCode::UNAUTHORIZED);
}

/// Without the layer nobody is signed in, and the operator learns why.
#[tokio::test]
async fn a_missing_layer_is_reported() {
    let site = Site::new().await;
    let app = router(&web(&site, TowerSessions), &site.detach);
    let answer = Browser::at(&app).get("/auth/session").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(*site.reports.lock().unwrap(), ["no `SessionManagerLayer`"]);
}

/// A grant that this version cannot read signs nobody in, and a login replaces it.
#[tokio::test]
async fn an_unreadable_grant_is_no_session() {
    let site = Site::new().await;
    let (store, web) = (Store::default(), web(&site, TowerSessions));
    let own = Router::new()
        .route(
            "/later",
            post(async |session: Session| {
                session.insert("countersign", json!({"format": 99})).await.unwrap();
            }),
        )
        .route("/hello", get(async |SignedIn(grant): SignedIn| grant.user().to_string()))
        .with_state(web.clone());
    let layer = SessionManagerLayer::new(store.clone()).with_name(COOKIE);
    let app = own.merge(router(&web, &site.detach)).layer(layer);
    let mut browser = Browser::at(&app);
    browser.post("/later", json!({})).await;
    assert_eq!(browser.get("/hello").await.status, StatusCode::UNAUTHORIZED);
    site.sign_in(&mut browser, "alice").await;
    assert_eq!(browser.get("/hello").await.text, "alice");
}
