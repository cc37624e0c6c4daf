//! An application's own plug-ins: its policy, and every trait behind an `Arc`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::*;
use countersign::clock::Clock;
use countersign::entropy::Entropy;
use countersign::error::PluginError;
use countersign::event::EventSink;
use countersign::grant::Staleness;
use countersign::password::PasswordVerifier;
use countersign::policy::{Exemption, PolicyContext, Requirement, StandardPolicy, TwoFactorPolicy};
use countersign::sender::CodeSender;
use countersign::store::FactorStore;
use countersign::user::UserStore;
use countersign::{
    Channel, Error, LoginFlow, LoginStep, OperationError, Reason, RevalidateError, Scope,
    SecondFactor,
};

/// People with the role `kiosk` need no second factor; for the rest the standard policy decides. It
/// can be made stricter, or to fail.
#[derive(Clone, Default)]
struct Kiosks {
    closed: Arc<AtomicBool>,
    fails: Arc<AtomicBool>,
}

impl TwoFactorPolicy for Kiosks {
    fn decide(&self, context: &PolicyContext<'_>) -> Result<Requirement, PluginError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(PluginError::new("no directory"));
        }
        let kiosk = context.user.roles.iter().any(|role| role == "kiosk");
        match StandardPolicy.decide(context)? {
            Requirement::Required if kiosk && !self.closed.load(Ordering::SeqCst) => {
                Ok(Requirement::Exempt(Exemption::Application("kiosk".into())))
            }
            requirement => Ok(requirement),
        }
    }
}

async fn world() -> (World, Kiosks) {
    let policy = Kiosks::default();
    let world = World::with(|b| b.policy(policy.clone())).await;
    world.change(&world.alice, |user| user.roles = vec!["kiosk".into()]);
    (world, policy)
}

/// I-01: what a policy exempts says so in the grant, with the application's own reason.
#[tokio::test]
async fn an_own_exemption_is_named_in_the_grant() {
    let (world, policy) = world().await;
    let done = world.sign_in("alice").await;
    assert_eq!(
        done.grant.second_factor(),
        &SecondFactor::Exempt { exemption: Exemption::Application("kiosk".into()) }
    );
    assert_eq!((done.grant.amr(), done.grant.has_second_factor()), (&["pwd"][..], false));
    let json = serde_json::to_string(&done.grant).unwrap();
    assert_eq!(&serde_json::from_str::<countersign::SavedGrant>(&json).unwrap(), &*done.grant);
    let _ = world.begin("bob").await;
    // I-28: a stricter policy reaches the session that is there, and the next login.
    assert!(world.request().revalidate(&done.grant, Channel::Web).await.is_ok());
    policy.closed.store(true, Ordering::SeqCst);
    let stale = world.request().revalidate(&done.grant, Channel::Web).await.unwrap_err();
    assert_eq!(stale.staleness(), Some(Staleness::SecondFactorRequired));
    let _ = world.begin("alice").await;
}

/// I-23: an undecided policy lets nobody in, and opens no page.
#[tokio::test]
async fn a_policy_that_fails_fails_closed() {
    let (world, policy) = world().await;
    let session = world.sign_in("bob").await.grant;
    let root = world.root_grant().await;
    policy.fails.store(true, Ordering::SeqCst);
    for channel in [Channel::Web, Channel::ExemptApi, Channel::SingleSignOn] {
        let step = world.begin_as(&world.acme, "alice", PASSWORD, channel, None).await;
        assert!(matches!(step, Err(Error::Policy { .. })));
    }
    let revalidated = world.request().revalidate(&session, Channel::Web).await;
    assert!(matches!(revalidated, Err(RevalidateError::Failed(Error::Policy { .. }))));
    let account = world.request().account(&session);
    assert!(matches!(account.status().await, Err(OperationError::Failed(Error::Policy { .. }))));
    assert!(matches!(
        account.new_backup_code().await,
        Err(OperationError::Failed(Error::Policy { .. }))
    ));
    assert!(matches!(
        world.request().administration(&root).await,
        Err(OperationError::Failed(Error::Policy { .. }))
    ));
    assert!(world.record(&world.bob)["backup"].is_null());
    policy.fails.store(false, Ordering::SeqCst);
    let _done = world.sign_in("alice").await;
}

/// I-35: a policy may require it where nobody can type a code; such a login is refused, not let
/// through.
#[tokio::test]
async fn a_required_factor_on_a_channel_without_a_person_refuses_the_login() {
    struct Always;
    impl TwoFactorPolicy for Always {
        fn decide(&self, _: &PolicyContext<'_>) -> Result<Requirement, PluginError> {
            Ok(Requirement::Required)
        }
    }
    let world = World::off_with(|b| b.policy(Always));
    for channel in [Channel::ExemptApi, Channel::ExemptIntegration, Channel::SingleSignOn] {
        let step = world.begin_as(&world.acme, "alice", PASSWORD, channel, None).await.unwrap();
        assert_eq!(reason(&step), Reason::NotInteractive);
    }
    assert_eq!(world.outbox.attempts(), 0);
    for channel in [Channel::Web, Channel::Mobile] {
        let step = world.begin_as(&world.acme, "bob", PASSWORD, channel, None).await.unwrap();
        assert!(matches!(step, LoginStep::CodeRequired(_)));
    }
}

/// The policy is given what is so now.
#[tokio::test]
async fn a_policy_sees_tenant_scope_user_and_channel() {
    #[derive(Clone, Default)]
    struct Recording(Arc<std::sync::Mutex<Vec<String>>>);
    impl TwoFactorPolicy for Recording {
        fn decide(&self, context: &PolicyContext<'_>) -> Result<Requirement, PluginError> {
            let PolicyContext { tenant, scope, user, channel, .. } = context;
            self.0.lock().unwrap().push(format!("{tenant} {scope:?} {} {channel:?}", user.id));
            StandardPolicy.decide(context)
        }
    }
    let recording = Recording::default();
    let world = World::off_with(|b| b.policy(recording.clone()));
    world.set_scope(Scope::SystemAdministratorsOnly).await;
    recording.0.lock().unwrap().clear();
    let _ = world.begin_as(&world.acme, "alice", PASSWORD, Channel::Mobile, None).await.unwrap();
    let _ = world.begin_as(&world.other, "bob", PASSWORD, Channel::ExemptApi, None).await.unwrap();
    assert_eq!(
        *recording.0.lock().unwrap(),
        ["acme SystemAdministratorsOnly alice Mobile", "other DoNotUse bob ExemptApi"]
    );
}

/// Every plug-in may be chosen at run time: an `Arc` of the trait is as good as the thing itself.
#[tokio::test]
async fn every_plug_in_may_be_an_arc_of_its_trait() {
    let mut world = World::off();
    let calls = Calls::default();
    let users: Arc<dyn UserStore> = Arc::new(Counting::new(world.users.clone(), &calls));
    let factors: Arc<dyn FactorStore> = Arc::new(Counting::new(world.factors.clone(), &calls));
    let sender: Arc<dyn CodeSender> = Arc::new(world.outbox.clone());
    let clock: Arc<dyn Clock> = Arc::new(world.clock.clone());
    let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(3));
    let verifier: Arc<dyn PasswordVerifier> = Arc::new(Counting::new(PlainPasswords, &calls));
    let policy: Arc<dyn TwoFactorPolicy> = Arc::new(StandardPolicy);
    let events: Arc<dyn EventSink> = Arc::new(world.events.clone());
    let flow = LoginFlow::builder(users, factors, sender)
        .clock(clock)
        .entropy(entropy)
        .password_verifier(verifier)
        .policy(policy)
        .events(events)
        .build()
        .unwrap();
    world.flow = flow;
    world.set_scope(Scope::EntireTenant).await;
    world.choose_sms("alice", "+819012345634").await;
    world.make_backup_code("alice").await;
    world.reset(&world.alice).await;
    world.change(&world.alice, |user| {
        user.password_hash = Some(PlainPasswords::outdated(PASSWORD));
    });
    let _done = world.sign_in("alice").await;
    world.clock.advance(MINUTE);
    assert!(
        !world
            .flow
            .operator("deleted")
            .unwrap()
            .forget(&world.acme, &user_id("nobody"))
            .await
            .unwrap()
    );
    world.set_scope(Scope::DoNotUse).await;
    world.flow.purge(&world.acme, 100).await.unwrap();
    assert_eq!(world.factors.records(&world.acme), 0);
    for call in [
        "find_by_login",
        "find_by_id",
        "replace_password_hash",
        "load",
        "commit",
        "settings",
        "change_settings",
        "purge",
        "count",
        "remove",
        "verify",
        "hash_password",
    ] {
        assert!(calls.of(call) > 0, "{call}");
    }
    assert!(!world.events.all().is_empty() && !world.told().is_empty());
}
