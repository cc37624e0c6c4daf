//! What must end: trust, sessions, everything at a reset. And what must be told.

use countersign::contact::{Destination, PhoneNumber};
use countersign::event::Event;
use countersign::user::{PasswordHash, UserStatus};
use countersign::{Channel, LoginStep, Reason, RevalidateError, Scope, TrustDevice};
use std::future::Future;

use crate::attacks::broken::{self, Store, keep};
use crate::support::*;

const NUMBER: &str = "+819012345634";

/// What ends the trust in a device.
const CHANGES: [&str; 8] = [
    "password",
    "stamp",
    "disabled",
    "reset",
    "method",
    "revoked",
    "all revoked",
    "off and on again",
];

/// A trusted device, one change, and a login from the device with the password of then: whether it
/// skips the code.
async fn trusted_after(change: &str, store: impl FnOnce(&World) -> Store) -> bool {
    let mut world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    let done = world.sign_in_and_trust("alice", "laptop").await;
    let (device, grant) = (done.device_token.unwrap(), done.grant);
    world.wait_for_the_spacing();
    let store = store(&world);
    broken::over(&mut world, &store);
    let account = world.request().account(&grant);
    let operator = world.flow.operator("test").unwrap();
    let mut password = PASSWORD;
    match change {
        "password" => {
            password = "the new one";
            world.change(&world.alice, |user| {
                user.password_hash = Some(PasswordHash::new(password));
            });
        }
        "stamp" => world.change(&world.alice, |user| user.security_stamp = Some("2".into())),
        "disabled" => {
            world.change(&world.alice, |user| user.status = UserStatus::Disabled);
            let _ = world.try_begin("alice", PASSWORD).await;
            world.change(&world.alice, |user| user.status = UserStatus::Active);
        }
        "reset" => assert!(operator.reset(&world.acme, &world.alice).await.is_ok()),
        "method" => {
            let setup = account.use_sms(&PhoneNumber::new(NUMBER).unwrap()).await.unwrap();
            let _sms =
                account.confirm_method(&setup.token, &world.last_code().into()).await.unwrap();
        }
        "revoked" => {
            let id = account.status().await.unwrap().devices[0].id;
            account.revoke_device(id).await.unwrap();
        }
        "all revoked" => assert_eq!(account.revoke_devices().await.unwrap(), 1),
        "off and on again" => {
            operator.set_scope(&world.acme, Scope::DoNotUse).await.unwrap();
            operator.set_scope(&world.acme, Scope::EntireTenant).await.unwrap();
        }
        _ => {}
    }
    world.wait_for_the_spacing();
    let step =
        world.begin_as(&world.acme, "alice", password, Channel::Web, Some(&device)).await.unwrap();
    matches!(step, LoginStep::Authenticated(_))
}

/// Attack 21. I-30.
#[tokio::test]
async fn device_survives_changes() {
    for change in CHANGES {
        assert!(!trusted_after(change, Store::over).await, "{change}");
    }
    // Control: nothing happens; and a store that keeps the devices it had.
    assert!(trusted_after("nothing", Store::over).await);
    let keeping =
        |world: &World| Store::over(world).doctored(|before, next| keep(before, next, "devices"));
    for change in ["disabled", "method", "revoked", "all revoked"] {
        assert!(trusted_after(change, keeping).await, "{change}");
    }
}

/// Whether this change tells the host to hold sessions against `revalidate`, and whether a session
/// of before is then stale.
async fn session_after(change: &str) -> (bool, bool) {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    let registered = world.sign_in_and_trust("alice", "laptop").await;
    let session =
        authenticated(world.begin_with_device("alice", &registered.device_token.unwrap()).await)
            .grant;
    world.wait_for_the_spacing();
    world.events.clear();
    let account = world.request().account(&registered.grant);
    let operator = world.flow.operator("test").unwrap();
    match change {
        "reset" => assert!(operator.reset(&world.acme, &world.alice).await.is_ok()),
        "forgotten" => assert!(operator.forget(&world.acme, &world.alice).await.unwrap()),
        "method" => {
            let setup = account.use_sms(&PhoneNumber::new(NUMBER).unwrap()).await.unwrap();
            let _sms =
                account.confirm_method(&setup.token, &world.last_code().into()).await.unwrap();
        }
        "device" => {
            let id = account.status().await.unwrap().devices[0].id;
            account.revoke_device(id).await.unwrap();
        }
        "devices" => assert_eq!(account.revoke_devices().await.unwrap(), 1),
        "unlocked" => operator.unlock(&world.acme, &world.alice).await.unwrap(),
        _ => {
            let _ = world.try_begin("alice", "wrong").await;
        }
    }
    let told = world.events.all().iter().filter(|event| event.calls_for_revalidation()).count();
    assert!(told <= 1, "{change}");
    let stale = matches!(
        world.request().revalidate(&session, Channel::Web).await,
        Err(RevalidateError::Stale(_))
    );
    (told == 1, stale)
}

/// Attack 25. I-38, I-25: sessions are the host's to end; it is told when, and can ask.
#[tokio::test]
async fn sessions_survive_a_factor_change() {
    for change in ["reset", "forgotten", "method", "device", "devices"] {
        assert_eq!(session_after(change).await, (true, true), "{change}");
    }
    // Control: what leaves a session as it is.
    for change in ["unlocked", "a wrong password"] {
        assert_eq!(session_after(change).await, (false, false), "{change}");
    }
}

/// A user of whom everything is saved that can be, then reset: what of it is left, and which of
/// their secrets are still good.
async fn left_after_a_reset(
    store: impl FnOnce(&World) -> Store,
) -> (Vec<String>, Vec<&'static str>) {
    let mut world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    world.choose_sms("alice", NUMBER).await;
    let backup = world.make_backup_code("alice").await;
    let device = world.sign_in_and_trust("alice", "laptop").await.device_token.unwrap();
    world.wait_for_the_spacing();
    let pending = world.begin("alice").await;
    let code = world.last_code();
    let _ = world.submit(&pending.token, &world.wrong_code()).await;
    let _done = world.sign_in_and_trust("bob", "bobs").await;
    let bob = world.row(&world.bob);
    let store = store(&world);
    broken::over(&mut world, &store);
    world.reset(&world.alice).await;
    assert_eq!(world.row(&world.bob), bob, "nobody else's");
    let left = world.saved_of(&world.alice);
    let mut good = Vec::new();
    if matches!(world.submit(&pending.token, &code).await, LoginStep::Authenticated(_)) {
        good.push("login under way");
    }
    if matches!(world.begin_with_device("alice", &device).await, LoginStep::Authenticated(_)) {
        good.push("device");
    }
    world.wait_for_the_spacing();
    let again = world.begin("alice").await;
    if matches!(world.outbox.last_code().unwrap().to, Destination::Sms(_)) {
        good.push("number");
    }
    if matches!(world.submit_backup(&again.token, &backup).await, LoginStep::Authenticated(_)) {
        good.push("backup code");
    }
    (left, good)
}

/// Attack 30. I-26, I-34: a reset leaves its own time and nothing else; and it takes an
/// administrator who has given their own second factor, for somebody else.
#[tokio::test]
async fn reset_leaves_something() {
    let (left, good) = left_after_a_reset(Store::over).await;
    assert_eq!((left, good), (vec!["notices".to_owned(), "resets".to_owned()], vec![]));
    // Control: a store that writes what was there before, where another record should take its
    // place.
    let keeping = |world: &World| {
        Store::over(world).doctored(|before, next| {
            if !before.is_null() && before["id"] != next["id"] {
                next.clone_from(before);
            }
        })
    };
    let (left, good) = left_after_a_reset(keeping).await;
    assert!(left.len() > 5, "{left:?}");
    assert_eq!(good, ["login under way", "device", "number", "backup code"]);
    let world = World::new().await;
    let exempt = authenticated(
        world.begin_as(&world.acme, "root", PASSWORD, Channel::ExemptApi, None).await.unwrap(),
    )
    .grant;
    assert_eq!(refusal(world.request().administration(&exempt).await), Reason::NotFound);
    let grant = world.root_grant().await;
    let page = world.request().administration(&grant).await.unwrap();
    assert_eq!(refusal(page.reset(&world.root).await), Reason::OwnAccount);
}

/// What somebody does who has had the token since before the login, once it is complete: why each
/// was refused, if it was.
async fn held_since_before(world: &World) -> Vec<Option<Reason>> {
    let challenge = world.begin("alice").await;
    let (token, code) = (&challenge.token, world.last_code());
    // Before, the token is good for something.
    assert_eq!(reason(&world.submit(token, &world.wrong_code()).await), Reason::WrongCode);
    let done = authenticated(world.submit(token, &code).await);
    let session = serde_json::to_string(&done.grant).unwrap();
    assert!(!session.contains(&token.expose()[5..]));
    crate::attacks::each_step(world, &world.acme, token, &code).await
}

/// Attack 56. I-36: what a client held before the login is dead after it, and nothing of it is in
/// the session. Changing the session's own identifier is the host's duty, which `#[must_use]` on
/// [`countersign::Authenticated`] says.
#[tokio::test]
async fn session_fixation() {
    let mut world = World::new().await;
    assert_eq!(held_since_before(&world).await, [Some(Reason::LoginOver); 3]);
    world.wait_for_the_spacing();
    let one = world.sign_in("alice").await.grant;
    world.wait_for_the_spacing();
    assert_ne!(world.sign_in("alice").await.grant.login(), one.login());
    // Control: a store from which a login that is completed is not removed.
    let lingering = Store::over(&world).doctored(|before, next| {
        if next["pending"].is_null() && !before["pending"].is_null() {
            keep(before, next, "pending");
        }
    });
    broken::over(&mut world, &lingering);
    world.wait_for_the_spacing();
    let lets_in = held_since_before(&world).await;
    assert_eq!(lets_in, [Some(Reason::NoBackupCode), Some(Reason::SendLimit), None]);
}

/// The kinds of the events of one action.
async fn told(world: &World, action: impl Future<Output = ()>) -> Vec<String> {
    world.events.clear();
    action.await;
    let kind = |event: &Event| {
        serde_json::to_value(&event.kind).unwrap()["event"].as_str().unwrap().to_owned()
    };
    world.events.all().iter().map(kind).collect()
}

/// What each of ten actions is told by, one after the other; and what looking is told by.
async fn trail(world: &World) -> (Vec<Vec<String>>, Vec<String>) {
    let mut seen = Vec::new();
    seen.push(told(world, async { drop(world.try_begin("alice", "wrong").await) }).await);
    seen.push(told(world, async { drop(world.begin("alice").await) }).await);
    world.wait_for_the_spacing();
    let challenge = world.begin("alice").await;
    let token = &challenge.token;
    seen.push(told(world, async { drop(world.submit(token, &world.wrong_code()).await) }).await);
    seen.push(told(world, async { drop(world.submit(token, "1").await) }).await);
    let code = world.last_code().into();
    let mut grant = None;
    let completing = async {
        let trust = TrustDevice::Named("laptop");
        grant = Some(
            authenticated(world.request().submit_code(token, &code, trust).await.unwrap()).grant,
        );
    };
    seen.push(told(world, completing).await);
    let grant = grant.unwrap();
    let account = world.request().account(&grant);
    seen.push(told(world, async { drop(account.new_backup_code().await.unwrap()) }).await);
    seen.push(told(world, async { assert_eq!(account.revoke_devices().await.unwrap(), 1) }).await);
    let administrator = world.root_grant().await;
    let page = world.request().administration(&administrator).await.unwrap();
    seen.push(told(world, async { page.unlock(&world.alice).await.unwrap() }).await);
    seen.push(told(world, async { assert!(page.reset(&world.alice).await.is_ok()) }).await);
    seen.push(told(world, async { assert!(page.set_scope(Scope::DoNotUse).await.is_ok()) }).await);
    let looking = told(world, async { assert!(page.scope().await.is_ok()) }).await;
    (seen, looking)
}

const TRAIL: [&str; 10] = [
    "credentials_refused",
    "code_required",
    "secret_wrong",
    "step_refused",
    "login_completed",
    "backup_code_made",
    "devices_revoked",
    "user_unlocked",
    "user_reset",
    "scope_changed",
];

/// Attack 59. I-38: an action, an event; another action, another event. `tests/it/events.rs` has
/// the other operations.
#[tokio::test]
async fn audit_gaps() {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    let (seen, looking) = trail(&world).await;
    assert_eq!(seen, TRAIL.map(|name| vec![name.to_owned()]));
    assert_eq!(looking, Vec::<String>::new(), "looking is no action");
    // Control: a sink that loses some.
    let (seen, _) = trail(&broken::lossy_world().await).await;
    let gaps: Vec<&str> = TRAIL
        .into_iter()
        .zip(&seen)
        .filter(|(_, told)| told.is_empty())
        .map(|(name, _)| name)
        .collect();
    assert_eq!(gaps, ["secret_wrong"]);
}
