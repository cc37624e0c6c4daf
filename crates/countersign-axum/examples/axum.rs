//! A site on axum with its own users table and sessions of tower-sessions.
//!
//! `cargo run -p countersign-axum --features tower-sessions --example axum` starts it. Open the
//! address that it prints, and log in as `alice` with the password below. Codes are printed.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use axum::Router;
use axum::middleware::map_request;
use axum::routing::{get, post};
use countersign::contact::EmailAddress;
use countersign::error::{PluginError, report};
use countersign::memory::MemoryFactors;
use countersign::password::{Argon2id, PasswordVerifier};
use countersign::sender::{CodeMessage, CodeSender, Notice, SendError, SendStatus};
use countersign::user::{PasswordHash, User, UserStore};
use countersign::{LoginFlow, LoginName, Scope, TenantId, UserId};
use countersign_axum::{
    Administrator, Detach, Maintenance, RecentSecondFactor, SignedIn, TowerSessions,
    client_address, router,
};
use countersign_http::pages::Pages;
use countersign_http::{OneTenant, Web};
use countersign_tokio::BlockingPool;
use tokio::net::TcpListener;
use tower_sessions::{MemoryStore, SessionManagerLayer, cookie::SameSite};

/// Your users table: one tenant, and the login name is the id.
struct Users(Mutex<HashMap<String, User>>);

impl Users {
    fn find(&self, tenant: &TenantId, id: &str) -> Result<Option<User>, PluginError> {
        let users = self.0.lock().map_err(|_| PluginError::new("users are locked"))?;
        Ok(users.get(id).filter(|user| user.tenant == *tenant).cloned())
    }
}

#[async_trait::async_trait]
impl UserStore for Users {
    async fn find_by_login(
        &self,
        tenant: &TenantId,
        name: &LoginName,
    ) -> Result<Option<User>, PluginError> {
        self.find(tenant, name.as_str())
    }

    async fn find_by_id(
        &self,
        tenant: &TenantId,
        id: &UserId,
    ) -> Result<Option<User>, PluginError> {
        self.find(tenant, id.as_str())
    }

    async fn replace_password_hash(
        &self,
        tenant: &TenantId,
        id: &UserId,
        current: &PasswordHash,
        next: &PasswordHash,
    ) -> Result<bool, PluginError> {
        let mut users = self.0.lock().map_err(|_| PluginError::new("users are locked"))?;
        let row = users.get_mut(id.as_str()).filter(|user| user.tenant == *tenant);
        let saved = row.and_then(|user| user.password_hash.as_mut());
        let found = saved.filter(|saved| saved.expose() == current.expose());
        Ok(found.map(|saved| *saved = next.clone()).is_some())
    }
}

struct Printed;

#[async_trait::async_trait]
impl CodeSender for Printed {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        println!("Code for {}: {}", message.user, message.code.expose());
        Ok(SendStatus::Sent)
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        println!("Notice for {}: {:?}", notice.user, notice.kind.topic());
        Ok(SendStatus::Sent)
    }
}

async fn home(SignedIn(grant): SignedIn) -> String {
    format!("Hello, {}.\n", grant.user())
}

async fn close_account(RecentSecondFactor(grant): RecentSecondFactor) -> String {
    format!("The account of {} would be closed.\n", grant.user())
}

async fn summary(Administrator(administration): Administrator) -> String {
    format!("A report for the administrators of {}.\n", administration.tenant())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (acme, passwords) = (TenantId::new("acme")?, BlockingPool::new(Argon2id::default(), 2));
    let mut users = HashMap::new();
    for (name, is_administrator) in [("alice", false), ("root", true)] {
        let mut user = User::new(acme.clone(), UserId::new(name)?);
        user.email = Some(EmailAddress::new(&format!("{name}@example.com"))?);
        user.system_administrator = is_administrator;
        user.password_hash =
            passwords.hash_password(&"correct horse battery staple".into()).await?;
        users.insert(name.to_owned(), user);
    }
    let flow = LoginFlow::builder(Users(Mutex::new(users)), MemoryFactors::new(), Printed)
        .password_verifier(passwords)
        .build()?;
    flow.operator("example")?.set_scope(&acme, Scope::EntireTenant).await?;
    let web = Web::browsers(&flow, OneTenant(acme.clone()), TowerSessions)
        .base_path("/auth")
        .development_on_loopback()
        .pages(Pages::new("Example"))
        .on_failure(|error| eprintln!("{}", report(error)))
        .build();
    let detach = Detach::new().on_failure(|error| eprintln!("{}", report(error)));
    // On a real host: a name that begins with `__Host-`, and `Secure`, which is the default.
    let sessions = SessionManagerLayer::new(MemoryStore::default())
        .with_secure(false)
        .with_same_site(SameSite::Lax);
    let app = Router::new()
        .route("/", get(home))
        .route("/account/close", post(close_account))
        .route("/report", get(summary))
        .merge(router(&web, &detach))
        .layer(sessions)
        .layer(map_request(client_address))
        .with_state(web);
    let maintenance =
        Maintenance::new(&flow, vec![acme]).on_error(|error| eprintln!("{}", report(error)));
    let maintaining = tokio::spawn(async move { maintenance.run(stopped()).await });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/", listener.local_addr()?);
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).with_graceful_shutdown(stopped()).await?;
    detach.idle().await;
    Ok(maintaining.await?)
}

async fn stopped() {
    let _ = tokio::signal::ctrl_c().await;
}
