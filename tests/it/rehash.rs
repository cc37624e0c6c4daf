//! A password hash that is out of date is replaced at login, and nothing else changes with it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::interject::Interject;
use crate::support::*;
use async_trait::async_trait;
use countersign::error::PluginError;
use countersign::event::EventKind;
use countersign::grant::Staleness;
use countersign::memory::MemoryUsers;
use countersign::password::{Admission, Busy, PasswordAttempt, PasswordCheck, PasswordVerifier};
use countersign::user::{PasswordHash, User, UserStatus, UserStore};
use countersign::{
    Channel, Login, LoginFlow, LoginName, LoginStep, Password, Reason, RequestContext,
    RevalidateError, SecondFactor, TenantId, TrustDevice, UserId,
};
use countersign_testkit::Intercepted;
use countersign_testkit::{Failing, InjectedFault, Mishaps};
use futures_lite::future::block_on;

/// "Hashes" as `v<parameters>:<password>`, whose current parameters a test raises.
#[derive(Clone, Default)]
struct Versioned {
    current: Arc<AtomicU32>,
    broken: bool,
}

#[async_trait]
impl PasswordVerifier for Versioned {
    fn admit(&self) -> Result<Admission, Busy> {
        Ok(Admission::unbounded())
    }

    async fn verify(&self, attempt: &PasswordAttempt<'_>) -> Result<PasswordCheck, PluginError> {
        let Some(hash) = attempt.user.and_then(|user| user.password_hash.as_ref()) else {
            return Ok(PasswordCheck::Mismatch);
        };
        let (version, password) = hash.expose().split_once(':').unwrap_or(("v0", hash.expose()));
        Ok(match password == attempt.password.expose() {
            false => PasswordCheck::Mismatch,
            true if version == format!("v{}", self.current.load(Ordering::SeqCst)) => {
                PasswordCheck::Match
            }
            true => PasswordCheck::MatchNeedsRehash,
        })
    }

    async fn hash_password(
        &self,
        password: &Password,
    ) -> Result<Option<PasswordHash>, PluginError> {
        if self.broken {
            return Err(PluginError::new("no memory for a hash"));
        }
        Ok(Some(PasswordHash::new(format!(
            "v{}:{}",
            self.current.load(Ordering::SeqCst),
            password.expose()
        ))))
    }
}

async fn saved_hash(world: &World) -> String {
    let user =
        UserStore::find_by_id(&world.users, &world.acme, &world.alice).await.unwrap().unwrap();
    user.password_hash.unwrap().expose().to_owned()
}

fn outdate(world: &World) {
    world.change(&world.alice, |user| {
        user.password_hash = Some(PlainPasswords::outdated(PASSWORD));
    });
}

#[tokio::test]
async fn an_outdated_hash_is_replaced_once() {
    let world = World::new().await;
    outdate(&world);
    world.calls.clear();
    let challenge = world.begin("alice").await;
    let read = ["find_by_id", "load"];
    let calls = [
        &["find_by_login", "verify"][..],
        &read,
        &["hash_password"],
        &read,
        &["commit", "replace_password_hash"],
    ]
    .concat();
    assert_eq!(world.calls.all(), calls);
    assert_eq!(saved_hash(&world).await, PASSWORD);
    let rehashed = world.events.kinds();
    assert_eq!(rehashed[1..], [EventKind::PasswordRehashed { saved: true }]);
    assert!(matches!(rehashed[0], EventKind::CodeRequired { .. }), "{rehashed:?}");
    // The login that replaced it goes on.
    let _ = authenticated(world.submit(&challenge.token, &world.last_code()).await);
    world.wait_for_the_spacing();
    world.calls.clear();
    let _ = world.sign_in("alice").await;
    assert_eq!(world.calls.of("hash_password"), 0);
}

/// I-17: a re-hash takes time, so nobody gets one who is not let past the password.
#[tokio::test]
async fn nothing_is_rehashed_for_whoever_is_refused() {
    let world = World::new().await;
    outdate(&world);
    for _ in 0..10 {
        let _ = world.try_begin("alice", "wrong").await;
    }
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::InvalidCredentials);
    world.clock.advance(MINUTE);
    world.change(&world.alice, |user| user.status = UserStatus::Disabled);
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::InvalidCredentials);
    assert_eq!(world.calls.of("hash_password") + world.calls.of("replace_password_hash"), 0);
    assert_eq!(saved_hash(&world).await, format!("outdated:{PASSWORD}"));
}

/// I-25: a password that is changed while the old one is re-hashed stays changed, and the old one
/// lets nobody in.
#[tokio::test]
async fn a_password_change_at_the_same_time_is_not_undone() {
    let world = World::new().await;
    outdate(&world);
    let (users, acme, alice) = (world.users.clone(), world.acme.clone(), world.alice.clone());
    world.calls.before("hash_password", move || {
        users
            .change(&acme, &alice, |user| {
                user.password_hash = Some(PasswordHash::new("the new one"));
            })
            .unwrap();
    });
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::InvalidCredentials);
    assert_eq!(saved_hash(&world).await, "the new one");
    assert_eq!(world.calls.of("replace_password_hash"), 0);
}

/// The same password under better parameters ends nothing: no device, no session, no login under
/// way, however often.
#[tokio::test]
async fn devices_sessions_and_logins_under_way_survive_a_rehash() {
    let verifier = Versioned::default();
    let current = Arc::clone(&verifier.current);
    let world =
        World::with(|builder| builder.password_verifier(verifier).trusted_devices(30 * DAY, 3))
            .await;
    world.change(&world.alice, |user| {
        user.password_hash = Some(PasswordHash::new(format!("v0:{PASSWORD}")));
    });
    let trusted = world.sign_in_and_trust("alice", "laptop").await;
    let device = trusted.device_token.unwrap();
    world.wait_for_the_spacing();
    for parameters in 1..4 {
        let under_way = world.begin("alice").await;
        let code = world.last_code();
        world.wait_for_the_spacing();
        current.store(parameters, Ordering::SeqCst);
        // Another window logs in with the password, which re-hashes it.
        let _ = world.begin("alice").await;
        assert_eq!(saved_hash(&world).await, format!("v{parameters}:{PASSWORD}"));
        world.wait_for_the_spacing();
        let done = authenticated(world.submit(&under_way.token, &code).await);
        assert!(world.request().revalidate(&done.grant, Channel::Web).await.is_ok());
        assert!(world.request().revalidate(&trusted.grant, Channel::Web).await.is_ok());
        let LoginStep::Authenticated(again) = world.begin_with_device("alice", &device).await
        else {
            panic!()
        };
        assert!(matches!(again.grant.second_factor(), SecondFactor::TrustedDevice { .. }));
        world.clock.advance(15 * MINUTE);
    }
    // A password that is really another ends them all.
    world.change(&world.alice, |user| user.password_hash = Some(PasswordHash::new("v3:another")));
    assert!(matches!(
        world.request().revalidate(&trusted.grant, Channel::Web).await,
        Err(RevalidateError::Stale(_))
    ));
    let step = world
        .begin_as(&world.acme, "alice", "another", countersign::Channel::Web, Some(&device))
        .await
        .unwrap();
    assert!(matches!(step, LoginStep::CodeRequired(_)));
}

/// I-30: two logins that meet the same outdated hash; the one that does not get to replace it must
/// not take the other's password for a changed one.
#[tokio::test]
async fn two_logins_at_once_over_an_outdated_hash_end_neither_devices_nor_each_other() {
    let calls = Calls::default();
    let verifier = Versioned::default();
    let current = Arc::clone(&verifier.current);
    let hooked = Counting::new(verifier, &calls);
    let world =
        World::with(|builder| builder.password_verifier(hooked).trusted_devices(30 * DAY, 3)).await;
    let device = world.sign_in_and_trust("alice", "laptop").await.device_token.unwrap();
    world.wait_for_the_spacing();
    current.store(1, Ordering::SeqCst);
    let (flow, acme, outbox) = (world.flow.clone(), world.acme.clone(), world.outbox.clone());
    let winner = Arc::new(std::sync::Mutex::new(None));
    let won = Arc::clone(&winner);
    calls.before("hash_password", move || {
        let login = countersign::Login {
            name: "alice",
            password: &PASSWORD.into(),
            channel: countersign::Channel::Web,
            device: None,
        };
        let step = block_on(flow.request(&acme, &RequestContext::new()).begin(&login)).unwrap();
        *won.lock().unwrap() = Some((challenge(step).token, outbox.last_code().unwrap().code));
    });
    let _ = world.try_begin("alice", PASSWORD).await;
    let (token, code) = winner.lock().unwrap().take().unwrap();
    let _ = authenticated(
        world.request().submit_code(&token, &code.into(), TrustDevice::No).await.unwrap(),
    );
    assert!(matches!(world.begin_with_device("alice", &device).await, LoginStep::Authenticated(_)));
}

/// I-23: the earlier hash still serves, so a hash that can't be replaced fails no login.
#[tokio::test]
async fn a_rehash_that_fails_does_not_fail_the_login() {
    let broken = Versioned { current: Arc::new(AtomicU32::new(1)), broken: true };
    let world = World::with(|builder| builder.password_verifier(broken)).await;
    let challenge = world.begin("alice").await;
    assert_eq!(world.events.kinds()[0], EventKind::PasswordRehashed { saved: false });
    let _ = authenticated(world.submit(&challenge.token, &world.last_code()).await);
    assert_eq!(saved_hash(&world).await, PASSWORD);
}

/// I-30: an interruption between noting the better hash and saving it ends no device and no login,
/// however often it happens.
#[tokio::test]
async fn a_better_hash_that_is_never_saved_ends_nothing() {
    let verifier = Versioned::default();
    let raised = Arc::clone(&verifier.current);
    let world = World::with(|builder| builder.trusted_devices(30 * DAY, 3)).await;
    let device = world.sign_in_and_trust("alice", "laptop").await.device_token.unwrap();
    world.change(&world.alice, |user| user.password_hash = Some(PasswordHash::new(PASSWORD)));
    let mishaps = Mishaps::new();
    let flow = countersign::LoginFlow::builder(
        Failing::new(world.users.clone(), &mishaps),
        world.factors.clone(),
        world.outbox.clone(),
    )
    .password_verifier(verifier)
    .clock(world.clock.clone())
    .trusted_devices(30 * DAY, 3)
    .build()
    .unwrap();
    for _ in 0..20 {
        world.clock.advance(MINUTE);
        raised.fetch_add(1, Ordering::SeqCst);
        mishaps.next_of("replace_password_hash", InjectedFault::Before);
        let login = countersign::Login {
            name: "alice",
            password: &PASSWORD.into(),
            channel: countersign::Channel::Web,
            device: Some(&device),
        };
        let LoginStep::Authenticated(done) =
            flow.request(&world.acme, &RequestContext::new()).begin(&login).await.unwrap()
        else {
            panic!()
        };
        assert!(
            flow.request(&world.acme, &RequestContext::new())
                .revalidate(&done.grant, Channel::Web)
                .await
                .is_ok()
        );
    }
    assert_eq!(
        world.record(&world.alice)["password"]["rehashed"].as_array().map(Vec::len),
        Some(8),
        "bounded (I-40)"
    );
    assert_eq!(saved_hash(&world).await, PASSWORD);
}

/// I-17: a refused first step saves no better hash, also one that is known from an earlier login.
#[tokio::test]
async fn a_user_who_is_disabled_during_the_hash_gets_no_better_one() {
    let verifier = Versioned::default();
    verifier.current.store(1, Ordering::SeqCst);
    let mut world = World::new().await;
    let (mishaps, during) = (Mishaps::new(), Interject::default());
    let (users, hashing) =
        (Failing::new(world.users.clone(), &mishaps), Intercepted::new(verifier, &during));
    world.rewire(users, world.factors.clone(), world.outbox.clone(), |builder| {
        builder.password_verifier(hashing)
    });
    mishaps.next_of("replace_password_hash", InjectedFault::Before);
    let _ = world.sign_in("alice").await;
    assert_eq!(world.record(&world.alice)["password"]["rehashed"].as_array().unwrap().len(), 1);
    let (users, acme, alice) = (world.users.clone(), world.acme.clone(), world.alice.clone());
    during.once("before hash_password", move || async move {
        users.change(&acme, &alice, |user| user.status = UserStatus::Disabled).unwrap();
    });
    world.events.clear();
    world.wait_for_the_spacing();
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::InvalidCredentials);
    assert!(during.is_done());
    assert_eq!(saved_hash(&world).await, PASSWORD);
    let told = world.events.kinds();
    assert!(matches!(told[..], [EventKind::CredentialsRefused { .. }]), "{told:?}");
}

/// A users table that is read after the record: what another node does in between is done there.
struct ReadLate {
    users: MemoryUsers,
    other: LoginFlow,
    armed: Arc<AtomicU32>,
}

#[async_trait]
impl UserStore for ReadLate {
    async fn find_by_login(
        &self,
        tenant: &TenantId,
        name: &LoginName,
    ) -> Result<Option<User>, PluginError> {
        self.users.find_by_login(tenant, name).await
    }

    async fn find_by_id(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Option<User>, PluginError> {
        if self.armed.swap(0, Ordering::SeqCst) == 1 {
            // The record is read first: the other half of the same read goes on.
            futures_lite::future::yield_now().await;
            let password = Password::new(PASSWORD);
            let login =
                Login { name: "alice", password: &password, channel: Channel::Web, device: None };
            let _ = self.other.request(tenant, &RequestContext::new()).begin(&login).await.unwrap();
        }
        self.users.find_by_id(tenant, user).await
    }

    async fn replace_password_hash(
        &self,
        tenant: &TenantId,
        user: &UserId,
        current: &PasswordHash,
        next: &PasswordHash,
    ) -> Result<bool, PluginError> {
        self.users.replace_password_hash(tenant, user, current, next).await
    }
}

/// I-25: a re-hash by a login at the same moment is no change of password, for any step that
/// commits nothing.
#[tokio::test]
async fn a_rehash_at_the_same_moment_ends_no_session() {
    let verifier = Versioned::default();
    let mut world =
        World::with(|b| b.password_verifier(verifier.clone()).trusted_devices(30 * DAY, 3)).await;
    world.change(&world.alice, |user| {
        user.password_hash = Some(PasswordHash::new(format!("v0:{PASSWORD}")));
    });
    let grant = world.sign_in_and_trust("alice", "laptop").await.grant;
    let armed = Arc::new(AtomicU32::new(0));
    let late = ReadLate {
        users: world.users.clone(),
        other: world.flow.clone(),
        armed: Arc::clone(&armed),
    };
    let configured = verifier.clone();
    world.rewire(late, world.factors.clone(), world.outbox.clone(), |b| {
        b.password_verifier(configured).trusted_devices(30 * DAY, 3)
    });
    let race = || {
        world.wait_for_the_spacing();
        verifier.current.fetch_add(1, Ordering::SeqCst);
        armed.store(1, Ordering::SeqCst);
    };
    race();
    let _ = world.request().revalidate(&grant, Channel::Web).await.unwrap();
    race();
    assert_eq!(world.request().account(&grant).status().await.unwrap().devices.len(), 1);
    race();
    let status =
        world.flow.operator("look").unwrap().status(&world.acme, &world.alice).await.unwrap();
    assert_eq!(status.unwrap().devices.len(), 1);
    race();
    assert_eq!(world.request().account(&grant).revoke_devices().await.unwrap(), 1);
    assert_eq!(armed.load(Ordering::SeqCst), 0);
    assert_eq!(saved_hash(&world).await, format!("v4:{PASSWORD}"));
    // Control: a change of password at that moment is one.
    world.change(&world.alice, |user| user.password_hash = Some(PasswordHash::new("v4:another")));
    let stale = world.request().revalidate(&grant, Channel::Web).await;
    assert!(matches!(stale, Err(RevalidateError::Stale(Staleness::PasswordChanged))));
}
