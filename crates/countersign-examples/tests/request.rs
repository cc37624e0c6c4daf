//! Where a request comes from is in no store (I-45).
#![allow(clippy::arithmetic_side_effects, clippy::panic, clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use countersign::store::{FactorStore, Generation};
use countersign::{
    Channel, LockOuts, Login, LoginStep, RequestContext, RequestFlow, ResendTo, Scope, TrustDevice,
};
use countersign_examples::store_at;
use countersign_testkit::{Person, World, authenticated, challenge};
use test_servers::servers;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const CANARIES: [&str; 3] = ["203.0.113.77", "CanaryBrowser/1.0", "canary-request-id"];

fn context() -> RequestContext {
    let [address, user_agent, id] = CANARIES;
    RequestContext::new()
        .with_client_address(address.parse().unwrap())
        .with_user_agent(user_agent)
        .with_request_id(id)
}

/// A first step with this password, and whether a code was sent.
async fn begin(request: &RequestFlow, password: &str) -> LoginStep {
    let password = password.into();
    let login = Login { name: "alice", password: &password, channel: Channel::Web, device: None };
    request.begin(&login).await.unwrap()
}

/// Everything that the store answers of this tenant.
async fn saved(store: &dyn FactorStore, world: &World) -> String {
    let settings = store.settings(&world.tenant).await.unwrap().unwrap();
    let mut all = settings.document;
    for generation in [Generation::default(), settings.generation] {
        for user in store.users(&world.tenant, generation, None, 100).await.unwrap() {
            let record = store.load(&world.tenant, &user).await.unwrap().record.unwrap();
            all.push_str(&record.document);
        }
    }
    all
}

/// I-45: a wrong password, a login with resend, wrong code, code and trusted device, a backup code,
/// an administrator who logs in and changes the scope, and one who is refused.
async fn keeps_no_context(address: &str) {
    let store = store_at(address).await.unwrap();
    let tenant = format!("request-{}", std::process::id());
    let world =
        World::with(Arc::clone(&store), &tenant, |builder| builder.trusted_devices(30 * DAY, 3))
            .unwrap();
    world.set_scope(Scope::EntireTenant).await.unwrap();
    let request = world.flow.request(&world.tenant, &context());

    assert!(begin(&request, "wrong").await.denied().is_some());
    let pending = challenge(begin(&request, Person::PASSWORD).await);
    world.clock.advance(Duration::from_secs(60));
    let _ = request.resend(&pending.token, ResendTo::Same).await.unwrap();
    let (wrong, right) = (world.wrong_code().into(), world.last_code().into());
    let trust = TrustDevice::Named("laptop");
    let step = request.submit_code(&pending.token, &wrong, trust).await.unwrap();
    assert!(step.denied().is_some());
    let done = authenticated(request.submit_code(&pending.token, &right, trust).await.unwrap());
    let _ = request.account(&done.grant).new_backup_code().await.unwrap();
    assert!(request.administration(&done.grant).await.is_err());
    world.clock.advance(Duration::from_secs(60));
    let root = world.sign_in("root").await.unwrap().grant;
    let administration = request.administration(&root).await.unwrap();
    let shown = administration.settings().await.unwrap();
    let mut next = shown.settings;
    next.scope = Scope::SystemAdministratorsOnly;
    administration.change_settings(shown.version, &next, LockOuts::Accept).await.unwrap();

    let saved = saved(&*store, &world).await;
    // Control: what is saved on purpose is found.
    assert!(saved.contains("laptop"));
    for canary in CANARIES {
        assert!(!saved.contains(canary), "{canary}");
    }
    let events = world.events.all();
    assert!(events.iter().filter(|event| event.request == context()).count() >= 7);
}

#[tokio::test]
async fn memory() {
    keeps_no_context("memory:").await;
}

#[tokio::test]
async fn sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("countersign.db");
    keeps_no_context(&format!("sqlite:{}", path.display())).await;
}

#[tokio::test]
async fn postgres() {
    if let Some(url) = servers::postgres_url().unwrap() {
        keeps_no_context(&url).await;
    }
}

#[tokio::test]
async fn redis() {
    if let Some(url) = servers::redis_url().unwrap() {
        keeps_no_context(&url).await;
    }
}
