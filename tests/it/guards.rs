//! Ways in which an administrator or a host could shut somebody out, or let somebody through, by
//! mistake.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::time::Duration;

use crate::support::*;
use async_trait::async_trait;
use countersign::error::PluginError;
use countersign::event::{Actor, EventKind};
use countersign::grant::Staleness;
use countersign::memory::MemoryUsers;
use countersign::password::PasswordAttempt;
use countersign::policy::{Exemption, PolicyContext, Requirement, StandardPolicy, TwoFactorPolicy};
use countersign::store::FactorStore;
use countersign::user::{PasswordHash, User, UserStore};
use countersign::{
    Channel, Error, Login, LoginName, OperationError, Password, Reason, RevalidateError,
    SavedGrant, Scope, TenantId, TrustDevice, UserId,
};

/// What an administrator can do that leaves somebody with less protection than before.
const WEAKENS: [&str; 4] = ["off", "administrators only", "reset", "unlock"];

/// Does one of them, in `acme`, to `bob`.
async fn weaken(world: &World, grant: &SavedGrant, what: &str) -> Result<(), OperationError> {
    let administration = world.request().administration(grant).await?;
    match what {
        "off" => administration.set_scope(Scope::DoNotUse).await.map(drop),
        "administrators only" => {
            administration.set_scope(Scope::SystemAdministratorsOnly).await.map(drop)
        }
        "reset" => administration.reset(&world.bob).await.map(drop),
        _ => administration.unlock(&world.bob).await,
    }
}

/// `bob` has something to lose, and is locked.
async fn guarded() -> World {
    let world = World::with(|builder| builder.trusted_devices(30 * DAY, 3)).await;
    world.make_backup_code("bob").await;
    world.wait_for_the_spacing();
    let _ = world.lock_codes("bob").await;
    world
}

/// I-32, I-34: neither a session that began with a trusted device nor one that is ten minutes old
/// takes anybody's protection away. Nothing is written, and each refusal is an event.
#[tokio::test]
async fn what_weakens_anybody_needs_a_recent_login_with_a_fresh_code() {
    let world = guarded().await;
    let trusted = world.sign_in_and_trust("root", "laptop").await;
    world.clock.advance(10 * MINUTE);
    let by_device = authenticated(
        world.begin_with_device("root", trusted.device_token.as_ref().unwrap()).await,
    );
    let settings = world.factors.settings(&world.acme).await.unwrap();
    let before = world.row(&world.bob);
    for grant in [&by_device.grant, &trusted.grant] {
        for what in WEAKENS {
            world.events.clear();
            world.calls.clear();
            assert_eq!(
                refusal(weaken(&world, grant, what).await),
                Reason::ReauthenticationRequired,
                "{what}"
            );
            let by = Actor::Administrator { user: world.root.clone() };
            let reason = "reauthentication_required".into();
            assert_eq!(
                world.events.kinds(),
                [EventKind::AdministrationRefused { by, reason }],
                "{what}"
            );
            for write in ["commit", "change_settings", "remove"] {
                assert_eq!(world.calls.of(write), 0, "{what}: {write}");
            }
        }
        // To look, such a session is good enough.
        let administration = world.request().administration(grant).await.unwrap();
        assert_eq!(administration.scope().await.unwrap(), Scope::EntireTenant);
        assert!(administration.status(&world.bob).await.is_ok());
    }
    assert_eq!(world.factors.settings(&world.acme).await.unwrap(), settings);
    assert_eq!(world.row(&world.bob), before);
}

/// I-34: up to the last millisecond of `recent_login`, and with a backup code as with a code.
#[tokio::test]
async fn a_recent_login_with_a_code_or_backup_code_may_weaken() {
    for what in WEAKENS {
        for by_backup_code in [false, true] {
            let world = guarded().await;
            let backup = world.make_backup_code("root").await;
            world.wait_for_the_spacing();
            let grant = if by_backup_code {
                let challenge = world.begin("root").await;
                authenticated(world.submit_backup(&challenge.token, &backup).await).grant
            } else {
                world.sign_in("root").await.grant
            };
            world.clock.advance(Duration::from_millis(599_999));
            weaken(&world, &grant, what).await.unwrap();
        }
    }
}

/// I-34: a session of any age may ask more people. From `DoNotUse` there is no second factor to ask
/// for.
#[tokio::test]
async fn what_strengthens_needs_no_recent_login() {
    let world = World::off_with(|builder| builder.trusted_devices(30 * DAY, 3));
    let grant = world.sign_in("root").await.grant;
    world.clock.advance(7 * DAY);
    let administration = world.request().administration(&grant).await.unwrap();
    administration.set_scope(Scope::SystemAdministratorsOnly).await.unwrap();
    let trusted = world.sign_in_and_trust("root", "laptop").await;
    world.clock.advance(7 * DAY);
    let by_device = authenticated(
        world.begin_with_device("root", trusted.device_token.as_ref().unwrap()).await,
    );
    for grant in [&trusted.grant, &by_device.grant] {
        let administration = world.request().administration(grant).await.unwrap();
        administration.set_scope(Scope::EntireTenant).await.unwrap();
        let back = administration.set_scope(Scope::SystemAdministratorsOnly).await;
        assert_eq!(refusal(back), Reason::ReauthenticationRequired);
        world
            .flow
            .operator("back")
            .unwrap()
            .set_scope(&world.acme, Scope::SystemAdministratorsOnly)
            .await
            .unwrap();
    }
}

/// Lets built-in administrators in with the password alone, except where they alone are asked.
struct SparesAdministrators;

impl TwoFactorPolicy for SparesAdministrators {
    fn decide(&self, context: &PolicyContext<'_>) -> Result<Requirement, PluginError> {
        match context.scope {
            Scope::EntireTenant if context.user.system_administrator => {
                Ok(Requirement::Exempt(Exemption::Application("administrator".into())))
            }
            _ => StandardPolicy.decide(context),
        }
    }
}

/// I-34: an administrator whom the policy exempts has no second factor to give. Their password must
/// be fresh.
#[tokio::test]
async fn an_exempt_administrator_needs_a_recent_login() {
    for policy_exempts in [false, true] {
        let world = if policy_exempts {
            let world = World::off_with(|builder| builder.policy(SparesAdministrators));
            world.set_scope(Scope::EntireTenant).await;
            world
        } else {
            World::off()
        };
        let grant = world.root_grant().await;
        assert!(!grant.has_second_factor());
        world.clock.advance(10 * MINUTE);
        for what in ["off", "reset", "unlock"] {
            // Where it is off already, switching off changes nothing.
            let allowed = what == "off" && !policy_exempts;
            match weaken(&world, &grant, what).await {
                Ok(()) => assert!(allowed, "{what}"),
                refused => assert!(
                    refusal(refused) == Reason::ReauthenticationRequired && !allowed,
                    "{what}"
                ),
            }
            weaken(&world, &world.root_grant().await, what).await.unwrap();
            if policy_exempts {
                world.set_scope(Scope::EntireTenant).await;
            }
        }
    }
}

/// I-34: a scope that stands higher in the order, but under which the policy asks the acting user
/// no longer, weakens at least them.
#[tokio::test]
async fn a_scope_that_spares_the_acting_user_weakens() {
    let world = World::off_with(|builder| builder.policy(SparesAdministrators));
    world.set_scope(Scope::SystemAdministratorsOnly).await;
    let grant = world.root_grant().await;
    world.clock.advance(10 * MINUTE);
    let administration = world.request().administration(&grant).await.unwrap();
    assert_eq!(
        refusal(administration.set_scope(Scope::EntireTenant).await),
        Reason::ReauthenticationRequired
    );
    let grant = world.root_grant().await;
    let administration = world.request().administration(&grant).await.unwrap();
    administration.set_scope(Scope::EntireTenant).await.unwrap();
}

/// An administrator who would need a code that can go nowhere is told before it is too late.
#[tokio::test]
async fn an_administrator_without_an_address_does_not_lock_themselves_out() {
    let world = World::off();
    world.change(&world.root, |user| user.email = None);
    let grant = world.sign_in("root").await.grant;
    let administration = world.request().administration(&grant).await.unwrap();
    for scope in [Scope::EntireTenant, Scope::SystemAdministratorsOnly] {
        assert_eq!(refusal(administration.set_scope(scope).await), Reason::NoDestination);
    }
    assert_eq!(administration.scope().await.unwrap(), Scope::DoNotUse);
    assert_eq!(world.calls.of("change_settings"), 0);
}

/// I-38: the operator can change a tenant's scope too, with the reason in the event.
#[tokio::test]
async fn the_operator_changes_a_scope_with_a_reason() {
    let world = World::off();
    let operator = world.flow.operator("ticket 17").unwrap();
    assert_eq!(operator.scope(&world.acme).await.unwrap(), Scope::DoNotUse);
    assert_eq!(
        operator.set_scope(&world.acme, Scope::EntireTenant).await.unwrap(),
        Scope::DoNotUse
    );
    assert_eq!(
        operator.set_scope(&world.acme, Scope::EntireTenant).await.unwrap(),
        Scope::EntireTenant
    );
    let by = Actor::Operator { reason: "ticket 17".into() };
    let changed = EventKind::ScopeChanged { from: Scope::DoNotUse, to: Scope::EntireTenant, by };
    assert_eq!(world.events.kinds(), [changed]);
    let _ = world.begin("alice").await;
    assert_eq!(
        operator.set_scope(&world.acme, Scope::DoNotUse).await.unwrap(),
        Scope::EntireTenant
    );
    assert_eq!(world.flow.purge(&world.acme, 100).await.unwrap().unwrap().deleted, 1);
}

/// I-03, I-04: a session of one tenant is none in another, whatever page is asked for.
#[tokio::test]
async fn a_session_of_another_tenant_opens_nothing() {
    let world = World::new().await;
    let grant = world.sign_in("alice").await.grant;
    assert!(world.request().revalidate(&grant, Channel::Web).await.is_ok());
    world.calls.clear();
    let elsewhere =
        world.request_for(&world.other).revalidate(&grant, Channel::Web).await.unwrap_err();
    assert_eq!(elsewhere.staleness(), Some(Staleness::OtherTenant));
    let account = world.request_for(&world.other).account(&grant);
    world.events.clear();
    assert_eq!(refusal(account.status().await), Reason::SessionStale);
    assert_eq!(refusal(account.new_backup_code().await), Reason::SessionStale);
    let malformed = account.confirm_method(&"".into(), &"what is no code".into()).await;
    assert_eq!(refusal(malformed).code(), "invalid_code");
    // The other tenant's alice has no part in it.
    assert_eq!(world.events.all().iter().map(|event| &event.user).collect::<Vec<_>>(), [&None; 3]);
    assert_eq!(world.calls.all(), Vec::<&str>::new());
    let root = world.root_grant().await;
    assert_eq!(
        refusal(world.request_for(&world.other).administration(&root).await),
        Reason::NotFound
    );
}

/// A wrong code, an impossible one and a lock leave the login open for what else there is; other
/// refusals end it.
#[tokio::test]
async fn a_refusal_says_whether_the_login_is_over() {
    let world = World::new().await;
    let backup = world.make_backup_code("alice").await;
    let challenge = world.begin("alice").await;
    for typed in ["12345", &world.wrong_code()] {
        assert!(!denied(&world.submit(&challenge.token, typed).await).ends_login());
    }
    for _ in 0..5 {
        assert!(!denied(&world.submit(&challenge.token, &world.wrong_code()).await).ends_login());
    }
    let _ = authenticated(world.submit_backup(&challenge.token, &backup).await);
    assert!(denied(&world.submit(&challenge.token, "123456").await).ends_login());
    assert!(denied(&world.try_begin("alice", "wrong").await).ends_login());
}

/// While codes are locked a page offers none, and says when one can be had again.
#[tokio::test]
async fn a_locked_user_is_offered_what_works() {
    let world = World::new().await;
    world.choose_sms("alice", "+819012345634").await;
    let _ = world.make_backup_code("alice").await;
    let until = world.now() + 15 * MINUTE;
    let _ = world.lock_codes("alice").await;
    world.wait_for_the_spacing();
    let challenge = world.begin("alice").await;
    assert!(challenge.alternatives.backup_code);
    assert_eq!((&challenge.alternatives.email, &challenge.alternatives.sms), (&None, &None));
    assert!(challenge.resend_at.unwrap() >= until);
}

/// I-10: what could be lifted is, and is told, even where only a reset helps.
#[tokio::test]
async fn lifting_one_of_two_locks_is_an_event() {
    let world = World::with(|builder| builder.suspend_after(5)).await;
    let _ = world.lock_codes("alice").await;
    for _ in 0..10 {
        let _ = world.try_begin("alice", "wrong").await;
    }
    world.events.clear();
    let operator = world.flow.operator("ticket 18").unwrap();
    assert_eq!(refusal(operator.unlock(&world.acme, &world.alice).await), Reason::ResetRequired);
    assert!(matches!(world.events.kinds()[..], [EventKind::UserUnlocked { .. }]));
    world.events.clear();
    assert_eq!(refusal(operator.unlock(&world.acme, &world.alice).await), Reason::ResetRequired);
    assert!(matches!(world.events.kinds()[..], [EventKind::AdministrationRefused { .. }]));
}

/// I-22: what a person typed as a name may be a password, and a security stamp is the application's
/// own secret.
#[tokio::test]
async fn neither_a_typed_name_nor_a_security_stamp_prints() {
    let world = World::off();
    let password = Password::new("hunter2");
    let login =
        Login { name: "canary-name", password: &password, channel: Channel::Web, device: None };
    let mut user: User = person(&world.acme, "alice");
    user.security_stamp = Some("canary-stamp".into());
    let name = LoginName::new("canary-name").unwrap();
    let attempt = PasswordAttempt::new(&world.acme, &name, Some(&user), &password);
    let printed = format!("{login:?} {user:?} {attempt:?}");
    assert!(!printed.contains("canary") && !printed.contains("hunter2"), "{printed}");
}

/// I-38, attack 55: an id can't look like another field of the line.
#[tokio::test]
async fn an_id_stays_one_field_of_an_events_line() {
    let world = World::off();
    let spoof = user_id("u1 user=root {\"event\":\"login_completed\"}");
    let _ = world.flow.operator("test").unwrap().forget(&world.acme, &spoof).await.unwrap();
    let line = world.only_event().to_string();
    assert!(line.contains(r#"user="u1 user=root {\"event\":\"login_completed\"}" "#), "{line}");
}

/// Looks a user up, and answers with another one.
struct Confused {
    users: MemoryUsers,
    answer: UserId,
}

#[async_trait]
impl UserStore for Confused {
    async fn find_by_login(
        &self,
        tenant: &TenantId,
        name: &LoginName,
    ) -> Result<Option<User>, PluginError> {
        self.users.find_by_login(tenant, name).await
    }

    async fn find_by_id(&self, tenant: &TenantId, _: &UserId) -> Result<Option<User>, PluginError> {
        self.users.find_by_id(tenant, &self.answer).await
    }

    async fn replace_password_hash(
        &self,
        _: &TenantId,
        _: &UserId,
        _: &PasswordHash,
        _: &PasswordHash,
    ) -> Result<bool, PluginError> {
        Ok(false)
    }
}

/// I-04: a user store that mixes users up is broken, and lets nobody go on as somebody else.
#[tokio::test]
async fn another_user_than_the_one_asked_for_is_a_fault() {
    let mut world = World::new().await;
    let grant = world.sign_in("alice").await.grant;
    world.wait_for_the_spacing();
    let token = world.begin("alice").await.token;
    let (code, before) = (world.last_code(), world.row(&world.alice).unwrap());
    let confused = Confused { users: world.users.clone(), answer: world.root.clone() };
    world.rewire(confused, world.factors.clone(), world.outbox.clone(), |builder| builder);
    let submitted =
        world.request().submit_code(&token, &code.as_str().into(), TrustDevice::No).await;
    assert!(matches!(submitted, Err(Error::UserStore { .. })), "{submitted:?}");
    let revalidated = world.request().revalidate(&grant, Channel::Web).await;
    let fault = matches!(revalidated, Err(RevalidateError::Failed(Error::UserStore { .. })));
    assert!(fault, "{revalidated:?}");
    assert_eq!(world.row(&world.alice).unwrap().version, before.version);
}

/// I-38: whom a token names is known only once the user is found. Until then the event names
/// nobody: the id may be anything that was typed.
#[tokio::test]
async fn an_event_names_no_user_who_is_not_there() {
    let world = World::new().await;
    let token = world.begin("alice").await.token;
    world.users.remove(&world.acme, &world.alice);
    world.events.clear();
    assert_eq!(reason(&world.submit(&token, &world.last_code()).await), Reason::LoginOver);
    assert_eq!(world.only_event().user, None);
    let session = world.sign_in("bob").await.grant;
    world.users.remove(&world.acme, &world.bob);
    world.events.clear();
    assert_eq!(refusal(world.request().account(&session).status().await), Reason::SessionStale);
    assert_eq!(world.only_event().user, None);
}
