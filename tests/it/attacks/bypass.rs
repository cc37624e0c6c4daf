//! Ways around the second step: errors, other doors, enrolment, and switching it off.

use std::time::Duration;

use countersign::contact::{Destination, EmailAddress, PhoneNumber};
use countersign::error::PluginError;
use countersign::event::Event;
use countersign::grant::Staleness;
use countersign::policy::{Exemption, PolicyContext, Requirement, StandardPolicy, TwoFactorPolicy};
use countersign::sender::Purpose;
use countersign::store::FactorStore;
use countersign::user::PasswordHash;
use countersign::{
    Channel, Login, LoginStep, Method, PreverifiedLogin, Reason, RequestContext, SavedGrant, Scope,
    SecondFactor, TrustDevice,
};

use crate::attacks::broken::{self, FailOpen, Nowhere, Store};
use crate::support::faults::{FaultPoint, Faulty, When, faulty_flow};
use crate::support::*;

const NUMBER: &str = "+819012345634";

/// Logins without a second factor, with each call of each plug-in failing in turn: how many were
/// let in, and how many faults there were.
async fn break_everything(fails_open: bool) -> (usize, usize) {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    let challenge = world.begin("alice").await;
    let wrong = world.wrong_code();
    let point = FaultPoint::default();
    let flow = faulty_flow(&world, &point, StandardPolicy, |b| {
        let b = b.trusted_devices(30 * DAY, 3);
        let policy = Faulty::new(StandardPolicy, &point);
        if fails_open { b.policy(FailOpen(policy)) } else { b }
    });
    let (mut let_in, mut faults) = (0, 0);
    for number in 1..=12 {
        for when in [When::Before, When::After] {
            let before = world.saved_wrong_codes(&world.alice);
            let login = Login {
                name: "alice",
                password: &PASSWORD.into(),
                channel: Channel::Web,
                device: None,
            };
            point.arm(number, when);
            let begun = flow.request(&world.acme, &RequestContext::new()).begin(&login).await;
            point.arm(number, when);
            let guessed = flow
                .request(&world.acme, &RequestContext::new())
                .submit_code(&challenge.token, &wrong.as_str().into(), TrustDevice::No)
                .await;
            for step in [begun, guessed] {
                let_in += usize::from(matches!(step, Ok(LoginStep::Authenticated(_))));
                faults += usize::from(step.is_err());
            }
            assert!(
                world.saved_wrong_codes(&world.alice) >= before || let_in > 0,
                "no counter is lowered"
            );
            world.clock.advance(Duration::from_secs(1));
        }
    }
    (let_in, faults)
}

/// Attack 13. I-23. `tests/it/faults.rs` does this for every step of every page.
#[tokio::test]
async fn fail_open_on_error() {
    let (let_in, faults) = break_everything(false).await;
    assert_eq!(let_in, 0);
    assert!(faults >= 20, "{faults}");
    // Control: a policy whose failure means "not needed".
    assert!(break_everything(true).await.0 > 0);
}

/// Attack 18. I-35: a password reset logs nobody in and leaves what is saved as it is, byte for
/// byte.
#[tokio::test]
async fn password_reset_bypass() {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    world.choose_sms("alice", NUMBER).await;
    let _backup = world.make_backup_code("alice").await;
    let device = world.sign_in_and_trust("alice", "laptop").await.device_token.unwrap();
    world.clock.advance(10 * MINUTE);
    let row = world.row(&world.alice);
    world.change(&world.alice, |user| user.password_hash = Some(PasswordHash::new("set by mail")));
    assert_eq!(world.row(&world.alice), row);
    // The new password is the first factor and no more, also where the reset page vouches for it.
    let preverified =
        PreverifiedLogin { user: &world.alice, channel: Channel::Web, device: Some(&device) };
    let step =
        challenge(world.request().begin_with_preverified_password(&preverified).await.unwrap());
    assert_eq!(
        step.delivery.sent().unwrap().method,
        Method::Sms,
        "the saved number is still where codes go"
    );
    world.wait_for_the_spacing();
    assert!(matches!(world.try_begin("alice", "set by mail").await, LoginStep::CodeRequired(_)));
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::InvalidCredentials);
    // Control: what would clear it shows in the comparison.
    world.reset(&world.alice).await;
    assert_ne!(world.row(&world.alice), row);
}

/// What a login through this door is worth: its reason, and whether it opens the account page.
async fn through(world: &World, channel: Channel) -> (SecondFactor, bool) {
    let grant =
        authenticated(world.begin_as(&world.acme, "alice", PASSWORD, channel, None).await.unwrap())
            .grant;
    assert_eq!(
        (grant.has_second_factor(), grant.is_beyond_password(), grant.amr()),
        (false, false, if channel == Channel::SingleSignOn { &[] } else { &["pwd"][..] })
    );
    (grant.second_factor().clone(), world.request().account(&grant).status().await.is_ok())
}

/// Attack 19. I-35: an exempt login says so, is no second factor, and does not touch what is saved.
#[tokio::test]
async fn single_sign_on_bypass() {
    let mut world = World::new().await;
    let done = world.sign_in("alice").await;
    let row = world.record(&world.alice);
    let exempt = SecondFactor::Exempt { exemption: Exemption::SingleSignOn };
    assert_eq!(through(&world, Channel::SingleSignOn).await, (exempt, false));
    for field in ["id", "sms", "backup", "devices", "code_failures"] {
        assert_eq!(world.record(&world.alice)[field], row[field]);
    }
    // As the session of a web login it is stale.
    let grant = authenticated(
        world.begin_as(&world.acme, "alice", PASSWORD, Channel::SingleSignOn, None).await.unwrap(),
    );
    let mut as_web = serde_json::to_value(grant.grant).unwrap();
    as_web["channel"] = "web".into();
    let as_web: SavedGrant = serde_json::from_value(as_web).unwrap();
    let stale = world.request().revalidate(&as_web, Channel::Web).await.unwrap_err();
    assert_eq!(stale.staleness(), Some(Staleness::SecondFactorRequired));
    // A login with a code is worth what it says.
    assert!(
        done.grant.has_second_factor()
            && world.request().account(&done.grant).status().await.is_ok()
    );
    // Control: a policy that exempts everybody, by which such a session holds.
    world.restarted(|b| b.policy(Nowhere));
    assert!(world.request().revalidate(&as_web, Channel::Web).await.is_ok());
}

/// Everything needs a second factor, whoever asks.
struct Everywhere;

impl TwoFactorPolicy for Everywhere {
    fn decide(&self, _: &PolicyContext<'_>) -> Result<Requirement, PluginError> {
        Ok(Requirement::Required)
    }
}

/// What the password alone is answered through each door without a person. `None`: it is let in.
async fn password_alone(world: &World) -> Vec<Option<Reason>> {
    let mut answers = Vec::new();
    for channel in [Channel::ExemptApi, Channel::ExemptIntegration, Channel::SingleSignOn] {
        let step = world.begin_as(&world.acme, "alice", PASSWORD, channel, None).await.unwrap();
        answers.push(if let LoginStep::Authenticated(_) = step {
            None
        } else {
            Some(reason(&step))
        });
    }
    answers
}

/// Attack 20. I-35: a program that would need a code is refused, and what the standard policy
/// exempts says so. `tests/compile_fail` shows that a channel must be named.
#[tokio::test]
async fn non_interactive_bypass() {
    let strict = World::off_with(|b| b.policy(Everywhere));
    assert_eq!(password_alone(&strict).await, [Some(Reason::NotInteractive); 3]);
    // People are asked, on the web and in mobile applications.
    for channel in [Channel::Web, Channel::Mobile] {
        let step = strict.begin_as(&strict.acme, "alice", PASSWORD, channel, None).await.unwrap();
        assert!(matches!(step, LoginStep::CodeRequired(_)));
        strict.wait_for_the_spacing();
    }
    // Control: the weaker policy, which is the standard one, exempts programs.
    let world = World::new().await;
    assert_eq!(password_alone(&world).await, [None; 3]);
    for (channel, exemption) in
        [(Channel::ExemptApi, Exemption::Api), (Channel::ExemptIntegration, Exemption::Integration)]
    {
        assert_eq!(through(&world, channel).await, (SecondFactor::Exempt { exemption }, false));
        assert_eq!(
            reason(&world.begin_as(&world.acme, "alice", "wrong", channel, None).await.unwrap()),
            Reason::InvalidCredentials
        );
    }
}

/// Where the next code of alice goes.
async fn next_code_goes_to(world: &World) -> Destination {
    world.wait_for_the_spacing();
    let _ = world.begin("alice").await;
    world.outbox.last_code().unwrap().to
}

/// Attack 26. I-32: with the password alone nobody chooses where codes go, and what is not proved
/// has no part in a login.
#[tokio::test]
async fn enrolment_hijack() {
    let world = World::new().await;
    let registered = Destination::Email(EmailAddress::new("alice@example.com").unwrap());
    assert_eq!(next_code_goes_to(&world).await, registered);
    let mallorys = PhoneNumber::new("+15551234567").unwrap();
    let api = authenticated(
        world.begin_as(&world.acme, "alice", PASSWORD, Channel::ExemptApi, None).await.unwrap(),
    )
    .grant;
    assert_eq!(
        refusal(world.request().account(&api).use_sms(&mallorys).await),
        Reason::SessionStale
    );
    // In a session that was left open: a number that is not proved receives nothing of a login.
    world.wait_for_the_spacing();
    let grant = world.sign_in("alice").await.grant;
    world.wait_for_the_spacing();
    let account = world.request().account(&grant);
    let setup = account.use_sms(&mallorys).await.unwrap();
    let proof = world.last_code();
    assert_eq!(world.outbox.last_code().unwrap().purpose, Purpose::MethodSetup);
    assert_eq!(next_code_goes_to(&world).await, registered);
    assert!(account.confirm_method(&setup.token, &world.last_code().into()).await.is_err());
    // Proved, it does.
    assert_eq!(account.confirm_method(&setup.token, &proof.into()).await.unwrap(), Method::Sms);
    assert_eq!(next_code_goes_to(&world).await, Destination::Sms(mallorys.clone()));
    // Control: a store in which a number is in force before it is proved.
    let mut hasty = World::new().await;
    let grant = hasty.sign_in("alice").await.grant;
    let store = Store::over(&hasty).doctored(|_, next| {
        if let Some(number) = next["setup"]["number"].as_str().map(str::to_owned) {
            next["sms"] = serde_json::json!({ "number": number, "proved": next["seen"] });
        }
    });
    broken::over(&mut hasty, &store);
    hasty.wait_for_the_spacing();
    let _setup = hasty.request().account(&grant).use_sms(&mallorys).await.unwrap();
    assert_eq!(next_code_goes_to(&hasty).await, Destination::Sms(mallorys));
}

/// Every change on the account page with this session: how many were refused for want of a recent
/// login, and whether anything is changed.
async fn changes(world: &World, grant: &SavedGrant) -> (usize, bool) {
    let account = world.request().account(grant);
    let before = world.record(&world.alice);
    let device = account.status().await.unwrap().devices[0].id;
    let mut refused = 0;
    for outcome in [
        account.new_backup_code().await.map(drop),
        account.revoke_device(device).await,
        account.revoke_devices().await.map(drop),
        account.use_sms(&PhoneNumber::new(NUMBER).unwrap()).await.map(drop),
        account.use_email().await.map(drop),
    ] {
        if outcome.is_err() {
            assert_eq!(refusal(outcome), Reason::ReauthenticationRequired);
            refused += 1;
        }
    }
    let after = world.record(&world.alice);
    (
        refused,
        ["sms", "setup", "backup", "devices"].iter().any(|field| before[field] != after[field]),
    )
}

/// Attack 57. I-32: a session is not enough for a change; a recent login with a code is asked for,
/// and for a number its own code as well.
#[tokio::test]
async fn forged_request_for_a_factor_change() {
    let mut world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    let done = world.sign_in_and_trust("alice", "laptop").await;
    world.clock.advance(10 * MINUTE);
    let by_device =
        authenticated(world.begin_with_device("alice", &done.device_token.unwrap()).await);
    for grant in [&done.grant, &by_device.grant] {
        assert_eq!(changes(&world, grant).await, (5, false));
    }
    // After a login with a code there are changes.
    let fresh = world.sign_in("alice").await.grant;
    assert!(world.request().account(&fresh).new_backup_code().await.is_ok());
    // Control: a window of a day, in which the session of before is enough. One that began with a
    // device is not.
    world.restarted(|b| b.trusted_devices(30 * DAY, 3).recent_login(DAY));
    world.wait_for_the_spacing();
    assert_eq!(changes(&world, &by_device.grant).await, (5, false));
    assert_eq!(changes(&world, &done.grant).await, (0, true));
}

/// Attack 58. I-01: where everybody needs it, whoever has not set anything up is asked all the
/// same, or refused.
#[tokio::test]
async fn enforcement_bypass() {
    let world = World::new().await;
    for name in ["alice", "bob", "root"] {
        for channel in [Channel::Web, Channel::Mobile] {
            world.wait_for_the_spacing();
            let step = world.begin_as(&world.acme, name, PASSWORD, channel, None).await.unwrap();
            assert!(matches!(step, LoginStep::CodeRequired(_)), "{name}");
        }
    }
    world.change(&world.alice, |user| user.email = None);
    world.reset_by_operator(&world.alice).await;
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::NoDestination);
    let preverified = PreverifiedLogin { user: &world.bob, channel: Channel::Web, device: None };
    assert!(matches!(
        world.request().begin_with_preverified_password(&preverified).await,
        Ok(LoginStep::CodeRequired(_))
    ));
    // Control: where nobody needs it.
    let off = World::off();
    let done = authenticated(off.try_begin("alice", PASSWORD).await);
    assert_eq!(
        done.grant.second_factor(),
        &SecondFactor::Exempt { exemption: Exemption::ScopeOff }
    );
}

/// Off and on again, with no record deleted in between: whether the device and the backup code of
/// before are good.
async fn off_and_on(store: impl FnOnce(&World) -> Store) -> (bool, bool) {
    let mut world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    let backup = world.make_backup_code("alice").await;
    let device = world.sign_in_and_trust("alice", "laptop").await.device_token.unwrap();
    world.wait_for_the_spacing();
    let pending = world.begin("alice").await;
    let code = world.last_code();
    world.clock.advance(MINUTE);
    let store = store(&world);
    broken::over(&mut world, &store);
    world.events.clear();
    let administrator = world.root_grant().await;
    let page = world.request().administration(&administrator).await.unwrap();
    page.set_scope(Scope::DoNotUse).await.unwrap();
    let told: Vec<Event> =
        world.events.all().into_iter().filter(Event::calls_for_revalidation).collect();
    assert_eq!(told.len(), 1, "one event, for all of the tenant");
    assert!(told[0].user.is_none());
    let operator = world.flow.operator("on again").unwrap();
    operator.set_scope(&world.acme, Scope::EntireTenant).await.unwrap();
    let trusted =
        matches!(world.begin_with_device("alice", &device).await, LoginStep::Authenticated(_));
    world.wait_for_the_spacing();
    let again = world.begin("alice").await;
    let by_backup =
        matches!(world.submit_backup(&again.token, &backup).await, LoginStep::Authenticated(_));
    assert!(trusted || reason(&world.submit(&pending.token, &code).await) == Reason::LoginOver);
    (trusted, by_backup)
}

/// Attack 60. I-27, I-34: switching off needs the administrator's own second factor, just now; and
/// nothing of before comes back, even if the deletion that should follow never ran.
#[tokio::test]
async fn policy_toggle_as_wipe() {
    assert_eq!(off_and_on(Store::over).await, (false, false));
    // Control: a store that takes earlier generations for this one.
    assert_eq!(off_and_on(|world| Store::over(world).without_generations()).await, (true, true));
    let world = World::new().await;
    let grant = world.root_grant().await;
    world.clock.advance(10 * MINUTE);
    let page = world.request().administration(&grant).await.unwrap();
    assert_eq!(refusal(page.set_scope(Scope::DoNotUse).await), Reason::ReauthenticationRequired);
    assert_eq!(
        world.flow.operator("look").unwrap().scope(&world.acme).await.unwrap(),
        Scope::EntireTenant
    );
}

/// What a session of the administrator can take away from others: which of four weakenings were
/// refused for want of a recent login with a code, and whether anything that is saved is another.
async fn weakened_by(world: &World, grant: &SavedGrant) -> (Vec<&'static str>, bool) {
    let saved =
        async || (world.factors.settings(&world.acme).await.unwrap(), world.row(&world.bob));
    let before = saved().await;
    let page = world.request().administration(grant).await.unwrap();
    let attempts = [
        ("unlock", page.unlock(&world.bob).await),
        ("reset", page.reset(&world.bob).await.map(drop)),
        ("administrators only", page.set_scope(Scope::SystemAdministratorsOnly).await.map(drop)),
        ("off", page.set_scope(Scope::DoNotUse).await.map(drop)),
    ];
    let mut refused = Vec::new();
    for (what, outcome) in attempts {
        if outcome.is_err() {
            assert_eq!(refusal(outcome), Reason::ReauthenticationRequired, "{what}");
            refused.push(what);
        }
    }
    (refused, saved().await != before)
}

const ALL: [&str; 4] = ["unlock", "reset", "administrators only", "off"];

/// Attack 65. I-34: an administrator's session that is days old, or that began with a trusted
/// device, takes no protection from anybody. Asking more people is all that it can do.
#[tokio::test]
async fn weakening_without_a_fresh_factor() {
    let mut world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    let _locked = world.lock_codes("bob").await;
    let done = world.sign_in_and_trust("root", "laptop").await;
    world.clock.advance(7 * DAY);
    let by_device =
        authenticated(world.begin_with_device("root", &done.device_token.unwrap()).await).grant;
    for grant in [&done.grant, &by_device] {
        assert_eq!(weakened_by(&world, grant).await, (ALL.to_vec(), false));
    }
    world
        .flow
        .operator("fewer")
        .unwrap()
        .set_scope(&world.acme, Scope::SystemAdministratorsOnly)
        .await
        .unwrap();
    let page = world.request().administration(&by_device).await.unwrap();
    assert_eq!(page.set_scope(Scope::EntireTenant).await.unwrap(), Scope::SystemAdministratorsOnly);
    // Control: a window in which the old session counts as recent. One that began with a device
    // never does.
    let grant = world.root_grant().await;
    world.clock.advance(23 * 60 * MINUTE);
    let by_device = {
        let again = world.sign_in_and_trust("root", "laptop").await.device_token.unwrap();
        authenticated(world.begin_with_device("root", &again).await).grant
    };
    world.restarted(|b| b.trusted_devices(30 * DAY, 3).recent_login(DAY));
    assert_eq!(weakened_by(&world, &by_device).await, (ALL.to_vec(), false));
    assert_eq!(weakened_by(&world, &grant).await, (vec![], true));
}
