//! The user's own page: where codes go, and what it takes to change that.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unchecked_time_subtraction
)]

use std::time::Duration;

use crate::support::*;
use countersign::contact::{Destination, PhoneNumber};
use countersign::sender::{NoticeKind, Purpose, SendErrorKind};
use countersign::status::LockState;
use countersign::{
    Channel, Code, DeliveryStatus, FactorStatus, LoginStep, Method, MethodChange, Reason,
    RequestContext, ResendTo, Scope, SecondFactor, SetupChallenge, SetupToken,
};

const NUMBER: &str = "+819012345634";
const ANOTHER: &str = "+819087654321";

fn number(text: &str) -> PhoneNumber {
    PhoneNumber::new(text).unwrap()
}

/// Signs alice in and begins to prove a number.
async fn proving(world: &World, text: &str) -> (countersign::Grant, SetupChallenge) {
    let grant = world.sign_in("alice").await.grant;
    world.wait_for_the_spacing();
    let setup = world.request().account(&grant).use_sms(&number(text)).await.unwrap();
    (grant, setup)
}

async fn status(world: &World, grant: &countersign::Grant) -> FactorStatus {
    world.request().account(grant).status().await.unwrap()
}

#[tokio::test]
async fn the_overview_shows_what_is_saved_masked() {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    let fresh = world.sign_in("alice").await.grant;
    let empty = status(&world, &fresh).await;
    assert_eq!((empty.method, empty.phone.clone()), (Method::Email, None));
    assert_eq!(empty.email.unwrap().as_str(), "a***@example.com");
    assert!(empty.devices.is_empty() && empty.backup_code_made_at.is_none());
    assert_eq!((empty.passwords, empty.codes), (LockState::Open, LockState::Open));

    world.wait_for_the_spacing();
    world.choose_sms("alice", NUMBER).await;
    world.make_backup_code("alice").await;
    let device = world.sign_in_and_trust("alice", "laptop").await;
    world.wait_for_the_spacing();
    let _ = world.lock_codes("alice").await;
    let now = countersign::clock::Clock::now(&world.clock).unwrap();
    let full = status(&world, &device.grant).await;
    assert_eq!((full.method, full.phone.unwrap().as_str()), (Method::Sms, "+81 *** **34"));
    assert_eq!(full.devices.len(), 1);
    assert!(full.backup_code_made_at.is_some());
    assert_eq!(full.codes, LockState::LockedUntil { until: now + 15 * MINUTE });
    // Looking needs no recent login, and writes nothing.
    world.clock.advance(DAY);
    world.calls.clear();
    status(&world, &device.grant).await;
    assert_eq!(world.calls.take_sorted(), ["find_by_id", "load"]);
}

/// I-32: a number is used after a code that was sent there came back, and the person is told at the
/// registered address.
#[tokio::test]
async fn codes_go_by_sms_after_the_number_is_proved() {
    let world = World::new().await;
    let (grant, setup) = proving(&world, NUMBER).await;
    let sent = world.outbox.last_code().unwrap();
    assert_eq!((sent.to, sent.purpose), (Destination::Sms(number(NUMBER)), Purpose::MethodSetup));
    assert_eq!(setup.delivery.sent().unwrap().destination.as_str(), "+81 *** **34");
    assert_eq!(setup.delivery.sent().unwrap().reference, sent.reference);
    assert!(matches!(setup.delivery, DeliveryStatus::Sent(_)));
    assert_eq!(setup.digits, 6);
    assert_eq!(status(&world, &grant).await.method, Method::Email, "not before it is proved");
    let code = Code::new(&*sent.code);
    assert_eq!(
        world.request().account(&grant).confirm_method(&setup.token, &code).await.unwrap(),
        Method::Sms
    );
    let [(Destination::Email(_), NoticeKind::MethodChanged { to: Method::Sms })] =
        &world.told()[..]
    else {
        panic!()
    };
    // I-05: once.
    assert_eq!(
        refusal(world.request().account(&grant).confirm_method(&setup.token, &code).await),
        Reason::SetupOver
    );

    world.wait_for_the_spacing();
    let challenge = world.begin("alice").await;
    assert_eq!(world.outbox.last_code().unwrap().to, Destination::Sms(number(NUMBER)));
    assert_eq!(challenge.alternatives.email.as_ref().unwrap().as_str(), "a***@example.com");
    let done = authenticated(world.submit(&challenge.token, &world.last_code()).await);
    assert_eq!(done.grant.second_factor(), &SecondFactor::Code { method: Method::Sms });
    assert_eq!(done.grant.amr(), ["pwd", "otp", "sms", "mfa"]);
}

/// I-32, I-03: an unproved number gets no login code, and its code completes no login.
#[tokio::test]
async fn an_unproved_number_has_no_part_in_a_login() {
    let world = World::new().await;
    let (_, setup) = proving(&world, NUMBER).await;
    let setup_code = world.last_code();
    world.wait_for_the_spacing();
    let challenge = world.begin("alice").await;
    assert!(matches!(world.outbox.last_code().unwrap().to, Destination::Email(_)));
    assert!(challenge.alternatives.sms.is_none());
    world.wait_for_the_spacing();
    let sends = world.outbox.attempts();
    let by_sms = world.request().resend(&challenge.token, ResendTo::Sms).await.unwrap();
    assert_eq!((reason(&by_sms), world.outbox.attempts()), (Reason::NoPhoneNumber, sends));
    assert_eq!(reason(&world.submit(&challenge.token, &setup_code).await), Reason::WrongCode);
    // Nor does the token of the one serve as the other.
    assert_eq!(
        reason(&world.submit(&setup.token.expose().into(), &setup_code).await),
        Reason::LoginOver
    );
    let grant = authenticated(world.submit(&challenge.token, &world.last_code()).await).grant;
    let pending = SetupToken::new(challenge.token.expose());
    let confirmed =
        world.request().account(&grant).confirm_method(&pending, &setup_code.as_str().into()).await;
    assert_eq!(refusal(confirmed), Reason::SetupOver);
}

/// I-10: wrong set-up codes have a budget of their own, which success with a login code does not
/// clear, nor the other way round.
#[tokio::test]
async fn wrong_setup_codes_are_counted_apart_from_login_codes() {
    let world = World::new().await;
    let (grant, setup) = proving(&world, NUMBER).await;
    let right = world.last_code();
    let wrong: Code = other_code(&right).into();
    let account = world.request().account(&grant);
    for left in [4, 3, 2, 1, 0] {
        let Err(countersign::OperationError::Denied(denied)) =
            account.confirm_method(&setup.token, &wrong).await
        else {
            panic!()
        };
        assert_eq!((denied.reason(), denied.attempts_left()), (Reason::WrongCode, Some(left)));
    }
    assert_eq!(world.streak(&world.alice, "setup_failures"), 5);
    assert_eq!(world.saved_wrong_codes(&world.alice), 0);
    assert!(matches!(world.told()[..], [(_, NoticeKind::Locked { until: Some(_) })]));
    // The proof is over, and no other is begun while the lock lasts.
    assert_eq!(
        refusal(account.confirm_method(&setup.token, &right.as_str().into()).await),
        Reason::SetupOver
    );
    world.wait_for_the_spacing();
    let sends = world.outbox.attempts();
    assert_eq!(refusal(account.use_sms(&number(NUMBER)).await), Reason::CodesLocked);
    assert_eq!(world.outbox.attempts(), sends);
    // Logins go on, and clear nothing of it.
    let _grant = world.sign_in("alice").await;
    assert_eq!(world.streak(&world.alice, "setup_failures"), 5);

    world.clock.advance(15 * MINUTE);
    let challenge = world.begin("alice").await;
    let _ = world.submit(&challenge.token, &world.wrong_code()).await;
    let grant = authenticated(world.submit_after_resend(&challenge.token).await).grant;
    assert_eq!(world.saved_wrong_codes(&world.alice), 0);
    world.wait_for_the_spacing();
    let setup = world.request().account(&grant).use_sms(&number(NUMBER)).await.unwrap();
    let code = world.last_code().into();
    assert_eq!(
        world.request().account(&grant).confirm_method(&setup.token, &code).await.unwrap(),
        Method::Sms
    );
    assert_eq!(world.streak(&world.alice, "setup_failures"), 0);
}

/// I-32, I-03: a proof belongs to the login that began it.
#[tokio::test]
async fn a_setup_token_serves_its_own_login_and_user_only() {
    let world = World::new().await;
    let (_, setup) = proving(&world, NUMBER).await;
    let code: Code = world.last_code().into();
    world.wait_for_the_spacing();
    let later = world.sign_in("alice").await.grant;
    assert_eq!(
        refusal(world.request().account(&later).confirm_method(&setup.token, &code).await),
        Reason::SetupOver
    );
    let bob = world.sign_in("bob").await.grant;
    assert_eq!(
        refusal(world.request().account(&bob).confirm_method(&setup.token, &code).await),
        Reason::SetupOver
    );
    assert_eq!(world.streak(&world.alice, "setup_failures"), 0, "nothing was compared");
    assert!(world.record(&world.bob)["sms"].is_null());
    for token in ["", "css1.", "css1.AAAA", "csp1.AAAA"] {
        let answer = world.request().account(&later).confirm_method(&token.into(), &code).await;
        assert_eq!(refusal(answer), Reason::SetupOver);
    }
    let answer =
        world.request().account(&later).confirm_method(&setup.token, &"12345".into()).await;
    assert!(matches!(refusal(answer), Reason::InvalidInput(_)));
}

/// I-32: not by a session that is a little older, and not by a trusted device.
#[tokio::test]
async fn changes_need_a_recent_login_with_a_fresh_second_factor() {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3).recent_login(5 * MINUTE)).await;
    let trusted = world.sign_in_and_trust("alice", "laptop").await;
    world.clock.advance(5 * MINUTE);
    let by_device =
        authenticated(world.begin_with_device("alice", &trusted.device_token.unwrap()).await);
    world.calls.clear();
    let sends = world.outbox.attempts();
    for grant in [&trusted.grant, &by_device.grant] {
        let account = world.request().account(grant);
        let device = status(&world, grant).await.devices[0].id;
        assert_eq!(
            refusal(account.use_sms(&number(NUMBER)).await),
            Reason::ReauthenticationRequired
        );
        assert_eq!(refusal(account.use_email().await), Reason::ReauthenticationRequired);
        assert_eq!(refusal(account.new_backup_code().await), Reason::ReauthenticationRequired);
        assert_eq!(refusal(account.revoke_device(device).await), Reason::ReauthenticationRequired);
        assert_eq!(refusal(account.revoke_devices().await), Reason::ReauthenticationRequired);
        let confirmed = account.confirm_method(&setup_token(), &"123456".into()).await;
        assert_eq!(refusal(confirmed), Reason::ReauthenticationRequired);
    }
    assert_eq!((world.calls.of("commit"), world.outbox.attempts()), (0, sends));
    let fresh = world.sign_in("alice").await.grant;
    world.clock.advance(5 * MINUTE - Duration::from_millis(1));
    assert!(world.request().account(&fresh).use_sms(&number(NUMBER)).await.is_ok());
}

/// A login that was completed by email has proved the address already.
#[tokio::test]
async fn back_to_email_at_once_after_a_code_by_email() {
    let world = World::new().await;
    world.choose_sms("alice", NUMBER).await;
    let challenge = world.begin("alice").await;
    world.wait_for_the_spacing();
    let _ = world.request().resend(&challenge.token, ResendTo::Email).await.unwrap();
    let grant = authenticated(world.submit(&challenge.token, &world.last_code()).await).grant;
    assert_eq!(grant.second_factor(), &SecondFactor::Code { method: Method::Email });
    assert_eq!(
        status(&world, &grant).await.method,
        Method::Sms,
        "for this login, not as the saved method"
    );
    world.outbox.clear();
    let MethodChange::Done(Method::Email) =
        world.request().account(&grant).use_email().await.unwrap()
    else {
        panic!()
    };
    assert_eq!(world.outbox.attempts(), 0);
    // Told at both places.
    let told: Vec<Destination> = world.told().into_iter().map(|(to, _)| to).collect();
    assert!(matches!(told[..], [Destination::Email(_), Destination::Sms(_)]));
    assert!(world.record(&world.alice)["sms"].is_null());
    let now = status(&world, &grant).await;
    assert_eq!((now.method, now.phone), (Method::Email, None));
}

/// I-32: an address that is gone is none to go back to, and the proved number stays.
#[tokio::test]
async fn back_to_an_address_that_is_gone_changes_nothing() {
    let world = World::new().await;
    world.choose_sms("alice", NUMBER).await;
    let challenge = world.begin("alice").await;
    world.wait_for_the_spacing();
    let _ = world.request().resend(&challenge.token, ResendTo::Email).await.unwrap();
    let grant = authenticated(world.submit(&challenge.token, &world.last_code()).await).grant;
    world.change(&world.alice, |user| user.email = None);
    let before = world.factors.record(&world.acme, &world.alice);
    assert_eq!(refusal(world.request().account(&grant).use_email().await), Reason::NoDestination);
    assert_eq!(world.factors.record(&world.acme, &world.alice), before);
}

#[tokio::test]
async fn back_to_email_with_a_code_after_any_other_login() {
    let world = World::new().await;
    let backup = world.make_backup_code("alice").await;
    world.choose_sms("alice", NUMBER).await;
    let by_sms = world.sign_in("alice").await.grant;
    world.wait_for_the_spacing();
    let challenge = world.begin("alice").await;
    let by_backup = authenticated(world.submit_backup(&challenge.token, &backup).await).grant;
    for grant in [&by_backup, &by_sms] {
        world.wait_for_the_spacing();
        let MethodChange::Prove(setup) = world.request().account(grant).use_email().await.unwrap()
        else {
            panic!()
        };
        assert_eq!(status(&world, grant).await.method, Method::Sms);
        let sent = world.outbox.last_code().unwrap();
        assert!(matches!((sent.to, sent.purpose), (Destination::Email(_), Purpose::MethodSetup)));
        if grant == &by_sms {
            let code = sent.code.into();
            assert_eq!(
                world.request().account(grant).confirm_method(&setup.token, &code).await.unwrap(),
                Method::Email
            );
        }
    }
    assert_eq!(status(&world, &by_sms).await.method, Method::Email);
    world.change(&world.alice, |user| user.email = None);
    world.wait_for_the_spacing();
    assert_eq!(
        refusal(world.request().account(&by_backup).use_email().await),
        Reason::NoDestination
    );
}

/// I-33: the code that proves an address is for the address as it is when it is entered.
#[tokio::test]
async fn an_address_that_changes_meanwhile_is_not_proved() {
    let world = World::new().await;
    world.choose_sms("alice", NUMBER).await;
    let grant = world.sign_in("alice").await.grant;
    world.wait_for_the_spacing();
    let MethodChange::Prove(setup) = world.request().account(&grant).use_email().await.unwrap()
    else {
        panic!()
    };
    let code: Code = world.last_code().into();
    world.change(&world.alice, |user| {
        user.email = Some(countersign::contact::EmailAddress::new("new@example.com").unwrap());
    });
    assert_eq!(
        refusal(world.request().account(&grant).confirm_method(&setup.token, &code).await),
        Reason::WrongCode
    );
    assert_eq!(status(&world, &grant).await.method, Method::Sms);
}

/// I-32: while a new number is being proved, codes go to the one in use, and both places hear of
/// the change.
#[tokio::test]
async fn a_new_number_takes_over_when_it_is_proved_and_not_before() {
    let world = World::new().await;
    world.choose_sms("alice", NUMBER).await;
    let (grant, setup) = proving(&world, ANOTHER).await;
    let code: Code = world.last_code().into();
    world.wait_for_the_spacing();
    let _ = world.begin("alice").await;
    assert_eq!(world.outbox.last_code().unwrap().to, Destination::Sms(number(NUMBER)));
    world.outbox.clear();
    let _method =
        world.request().account(&grant).confirm_method(&setup.token, &code).await.unwrap();
    let told: Vec<Destination> = world.told().into_iter().map(|(to, _)| to).collect();
    assert_eq!(told[1], Destination::Sms(number(NUMBER)));
    assert!(matches!(told[0], Destination::Email(_)));
    world.wait_for_the_spacing();
    let _ = world.begin("alice").await;
    assert_eq!(world.outbox.last_code().unwrap().to, Destination::Sms(number(ANOTHER)));
}

/// I-30: logins under way end with the method that their code was sent by.
#[tokio::test]
async fn logins_under_way_end_with_the_earlier_method() {
    let world = World::new().await;
    let (grant, setup) = proving(&world, NUMBER).await;
    let code: Code = world.last_code().into();
    world.wait_for_the_spacing();
    let under_way = world.begin("alice").await;
    let login_code = world.last_code();
    let _method =
        world.request().account(&grant).confirm_method(&setup.token, &code).await.unwrap();
    assert_eq!(reason(&world.submit(&under_way.token, &login_code).await), Reason::LoginOver);
}

/// I-15: one log of sends, whatever they are for, charged before the sender is called.
#[tokio::test]
async fn codes_that_prove_a_method_are_charged_in_the_same_log() {
    let world = World::with(|b| b.sends_per_hour(3).sends_per_login(3)).await;
    let grant = world.sign_in("alice").await.grant;
    let account = world.request().account(&grant);
    world.outbox.always(None, Delivered::Failed(SendErrorKind::Permanent));
    let failed = account.use_sms(&number(NUMBER)).await.unwrap();
    assert_eq!(failure(&failed.delivery), SendErrorKind::Permanent);
    world.outbox.always(None, Delivered::Now);
    assert_eq!(refusal(account.use_sms(&number(NUMBER)).await), Reason::SendLimit, "the spacing");
    world.wait_for_the_spacing();
    let _ = account.use_sms(&number(NUMBER)).await.unwrap();
    world.wait_for_the_spacing();
    assert_eq!(world.charged_sends(&world.alice), 3);
    let attempts = world.outbox.attempts();
    assert_eq!(refusal(account.use_sms(&number(NUMBER)).await), Reason::SendLimit);
    assert_eq!(reason_of(&world.begin("alice").await.delivery), Reason::SendLimit);
    assert_eq!(world.outbox.attempts(), attempts);
}

/// I-07: the proof ends with its code.
#[tokio::test]
async fn a_setup_code_lives_as_long_as_any_code() {
    let world = World::new().await;
    let (grant, setup) = proving(&world, NUMBER).await;
    let code: Code = world.last_code().into();
    world.clock.advance(3 * MINUTE);
    assert_eq!(
        refusal(world.request().account(&grant).confirm_method(&setup.token, &code).await),
        Reason::SetupOver
    );
    let setup = world.request().account(&grant).use_sms(&number(NUMBER)).await.unwrap();
    let first: Code = world.last_code().into();
    world.wait_for_the_spacing();
    let again = world.request().account(&grant).use_sms(&number(ANOTHER)).await.unwrap();
    assert_eq!(
        refusal(world.request().account(&grant).confirm_method(&setup.token, &first).await),
        Reason::SetupOver
    );
    let code: Code = world.last_code().into();
    let _method =
        world.request().account(&grant).confirm_method(&again.token, &code).await.unwrap();
    assert_eq!(world.record(&world.alice)["sms"]["number"], ANOTHER);
}

/// Who needs no second factor has nothing to set up.
#[tokio::test]
async fn nothing_is_set_up_where_it_is_not_in_use() {
    let world = World::new().await;
    let before = world.sign_in("bob").await.grant;
    world.set_scope(Scope::SystemAdministratorsOnly).await;
    let exempt = world.sign_in("alice").await.grant;
    for grant in [&exempt, &before] {
        assert_eq!(refusal(world.request().account(grant).status().await), Reason::NotInUse);
        assert_eq!(
            refusal(world.request().account(grant).use_sms(&number(NUMBER)).await),
            Reason::NotInUse
        );
        assert_eq!(
            refusal(world.request().account(grant).new_backup_code().await),
            Reason::NotInUse
        );
    }
    let off = World::off();
    let grant = off.sign_in("alice").await.grant;
    assert_eq!(
        refusal(
            off.flow
                .request(&world.acme, &RequestContext::new())
                .account(&grant)
                .new_backup_code()
                .await
        ),
        Reason::NotInUse
    );
    assert_eq!(off.factors.records(&off.acme), 0);
}

/// I-25, I-28: a grant is held against what is so now.
#[tokio::test]
async fn a_session_that_no_longer_holds_changes_nothing() {
    let world = World::new().await;
    world.set_scope(Scope::SystemAdministratorsOnly).await;
    let exempt = world.sign_in("alice").await.grant;
    world.wait_for_the_spacing();
    world.set_scope(Scope::EntireTenant).await;
    let stale = |result| assert_eq!(refusal(result), Reason::SessionStale);
    stale(world.request().account(&exempt).status().await.map(|_| ()));
    let api =
        world.begin_as(&world.acme, "alice", PASSWORD, Channel::ExemptApi, None).await.unwrap();
    stale(world.request().account(&authenticated(api).grant).new_backup_code().await.map(|_| ()));

    let grant = world.sign_in("alice").await.grant;
    world.wait_for_the_spacing();
    world.reset(&world.alice).await;
    stale(world.request().account(&grant).new_backup_code().await.map(|_| ()));
    world.wait_for_the_spacing();
    let grant = world.sign_in("alice").await.grant;
    world.change(&world.alice, |user| user.status = countersign::user::UserStatus::Disabled);
    stale(world.request().account(&grant).new_backup_code().await.map(|_| ()));
    world.change(&world.alice, |user| {
        user.status = countersign::user::UserStatus::Active;
        user.security_stamp = Some("2".into());
    });
    stale(world.request().account(&grant).use_sms(&number(NUMBER)).await.map(|_| ()));
    assert!(world.users.remove(&world.acme, &world.alice));
    stale(world.request().account(&grant).status().await.map(|_| ()));
}

/// I-11: a suspended user proves no method.
#[tokio::test]
async fn no_proof_is_begun_while_codes_are_locked_or_suspended() {
    let world = World::new().await;
    let grant = world.sign_in("alice").await.grant;
    world.wait_for_the_spacing();
    let _ = world.lock_codes("alice").await;
    world.wait_for_the_spacing();
    assert_eq!(
        refusal(world.request().account(&grant).use_sms(&number(NUMBER)).await),
        Reason::CodesLocked
    );
}

impl WorldExt for World {
    async fn submit_after_resend(&self, token: &countersign::PendingToken) -> LoginStep {
        self.wait_for_the_spacing();
        let again = self.request().resend(token, ResendTo::Same).await.unwrap();
        assert!(matches!(again, LoginStep::CodeRequired(_)));
        self.submit(token, &self.last_code()).await
    }
}

trait WorldExt {
    async fn submit_after_resend(&self, token: &countersign::PendingToken) -> LoginStep;
}

fn setup_token() -> SetupToken {
    SetupToken::new(format!("css1.{}", "A".repeat(43)))
}

fn reason_of(delivery: &DeliveryStatus) -> Reason {
    match delivery {
        DeliveryStatus::NotMade { denied } => denied.reason(),
        other => panic!("no code was made, not {other:?}"),
    }
}

/// A web framework hands the handle of a request to a handler, which may run in another task.
#[tokio::test(flavor = "multi_thread")]
async fn handles_own_what_they_need() {
    let world = World::new().await;
    let account = {
        let (flow, tenant) = (world.flow.clone(), world.acme.clone());
        let grant = world.sign_in("alice").await.grant;
        flow.request(&tenant, &RequestContext::new()).account(&grant)
    };
    let status = tokio::spawn(async move { account.status().await.unwrap() }).await.unwrap();
    assert_eq!(status.method, Method::Email);
    let administration = {
        let (flow, tenant) = (world.flow.clone(), world.acme.clone());
        let grant = world.root_grant().await;
        flow.request(&tenant, &RequestContext::new()).administration(&grant).await.unwrap()
    };
    let scope = tokio::spawn(async move { administration.scope().await.unwrap() }).await.unwrap();
    assert_eq!(scope, Scope::EntireTenant);
}
