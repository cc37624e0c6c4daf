//! Guessing, and what is done with the budgets against it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use countersign::contact::{Destination, EmailAddress, PhoneNumber};
use countersign::event::{Event, EventKind, ResetOutcome, SecretKind};
use countersign::sender::{CodeMessage, CodeSender, Notice, SendError, SendErrorKind, SendStatus};
use countersign::store::FactorStore;
use countersign::{LoginStep, Method, Reason, RequestContext, ResendTo, SavedGrant, TrustDevice};

use countersign::budget::Limit;
use countersign::memory::MemoryBudget;
use countersign_delivery::{Budgeted, SendLimits};

use crate::attacks::broken::{
    self, Store, TASKS, forget_wrong_codes, keep, logins_and_sends, max_concurrent,
};
use crate::support::wrapped::Wrapped;
use crate::support::*;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// How many wrong codes somebody with the password is told of in 120 days, and what is then saved.
async fn guess_for_months(world: &World) -> (usize, u64) {
    let mut learned = 0;
    for _ in 0..4 * 120 {
        world.clock.advance(6 * HOUR);
        let LoginStep::CodeRequired(challenge) = world.try_begin("alice", PASSWORD).await else {
            continue;
        };
        for _ in 0..6 {
            let wrong = other_code(
                &world.outbox.codes().last().map_or("000000".into(), |sent| sent.code.clone()),
            );
            learned += usize::from(
                reason(&world.submit(&challenge.token, &wrong).await) == Reason::WrongCode,
            );
        }
    }
    (learned, world.saved_wrong_codes(&world.alice))
}

/// Attack 1. I-09, I-11: 20 a month, and after 30 in a row none.
#[tokio::test]
async fn unlimited_code_guesses() {
    let mut world = World::new().await;
    assert_eq!(guess_for_months(&world).await, (30, 30));
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::Suspended);
    // Control: a store that keeps no count.
    world.reset(&world.alice).await;
    let amnesiac = Store::over(&world).doctored(|_, next| forget_wrong_codes(next));
    broken::over(&mut world, &amnesiac);
    assert!(guess_for_months(&world).await.0 > 1_000);
}

/// Four wrong codes in each of ten logins, without waiting for any lock: how many were compared.
async fn restart_and_guess(world: &World) -> usize {
    let mut learned = 0;
    for _ in 0..10 {
        world.clock.advance(MINUTE);
        let LoginStep::CodeRequired(challenge) = world.try_begin("alice", PASSWORD).await else {
            continue;
        };
        for _ in 0..4 {
            let step = world.submit(&challenge.token, &world.wrong_code()).await;
            learned += usize::from(reason(&step) == Reason::WrongCode);
        }
    }
    learned
}

/// Attack 2. I-10, I-13: a new login, and the right password with it, gives no new guesses.
#[tokio::test]
async fn counter_reset_by_new_login() {
    let mut world = World::new().await;
    let challenge = world.begin("alice").await;
    let _ = world.submit(&challenge.token, &world.wrong_code()).await;
    world.wait_for_the_spacing();
    let _ = world.begin("alice").await;
    assert_eq!(world.saved_wrong_codes(&world.alice), 1, "the right password lowers nothing");
    assert_eq!(restart_and_guess(&world).await, 4);
    assert_eq!(world.saved_wrong_codes(&world.alice), 5);
    // Control: a count that belongs to the login.
    world.reset(&world.alice).await;
    let per_login = Store::over(&world).doctored(|before, next| {
        if logins_and_sends(next).1 > logins_and_sends(before).1 {
            forget_wrong_codes(next);
        }
    });
    broken::over(&mut world, &per_login);
    assert!(restart_and_guess(&world).await >= 16);
}

/// Two wrong codes, a resend, one more: what is saved.
async fn wrong_codes_around_a_resend(world: &World) -> u64 {
    let challenge = world.begin("alice").await;
    for _ in 0..2 {
        let _ = world.submit(&challenge.token, &world.wrong_code()).await;
    }
    world.wait_for_the_spacing();
    let _ = world.request().resend(&challenge.token, ResendTo::Same).await.unwrap();
    let _ = world.submit(&challenge.token, &world.wrong_code()).await;
    world.saved_wrong_codes(&world.alice)
}

/// Attack 3. I-06, I-10.
#[tokio::test]
async fn counter_reset_by_resend() {
    let mut world = World::new().await;
    assert_eq!(wrong_codes_around_a_resend(&world).await, 3);
    // Control: a count that is stored with the code.
    world.reset(&world.alice).await;
    let with_the_code = Store::over(&world).doctored(|before, next| {
        let (logins, sends) = logins_and_sends(before);
        if logins_and_sends(next) == (logins, sends + 1) {
            forget_wrong_codes(next);
        }
    });
    broken::over(&mut world, &with_the_code);
    world.wait_for_the_spacing();
    assert_eq!(wrong_codes_around_a_resend(&world).await, 1);
}

/// As many wrong codes as there are tasks, decided on the same record: how many are told so, and
/// how many are saved.
async fn guess_at_once(store: impl FnOnce(&World) -> Store) -> (usize, u64) {
    let mut world = World::new().await;
    let challenge = world.begin("alice").await;
    let store = store(&world);
    broken::over(&mut world, &store);
    let (flow, acme, wrong) = (world.flow.clone(), world.acme.clone(), world.wrong_code());
    let token = challenge.token.expose().to_owned();
    let answers = max_concurrent(|| {
        let (flow, acme, wrong, token) = (flow.clone(), acme.clone(), wrong.clone(), token.clone());
        async move {
            flow.request(&acme, &RequestContext::new())
                .submit_code(&token.into(), &wrong.into(), TrustDevice::No)
                .await
        }
    })
    .await;
    let learned = answers
        .iter()
        .filter(|answer| matches!(answer, Ok(step) if reason(step) == Reason::WrongCode));
    (learned.count(), world.saved_wrong_codes(&world.alice))
}

/// Attack 4. I-09: what anybody learns is charged.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn race_check_then_increment() {
    let (learned, charged) = guess_at_once(|world| Store::over(world).gathering()).await;
    assert!(
        (1..=5).contains(&learned) && charged == learned as u64,
        "{learned} learned, {charged} charged"
    );
    // Control: a commit without a condition.
    let (learned, charged) =
        guess_at_once(|world| Store::over(world).gathering().unconditional()).await;
    assert!(learned > 5 && charged < learned as u64, "{learned} learned, {charged} charged");
}

/// Three wrong codes with the application started anew before each: what is saved after each.
async fn guess_across_restarts(world: &mut World, store: &Store) -> [u64; 3] {
    let challenge = world.begin("alice").await;
    let wrong = world.wrong_code();
    let mut counts = [0; 3];
    for count in &mut counts {
        broken::over(world, store);
        let _ = world.submit(&challenge.token, &wrong).await;
        *count = world.saved_wrong_codes(&world.alice);
    }
    counts
}

/// Attack 15. I-09.
#[tokio::test]
async fn counter_never_written() {
    let mut world = World::new().await;
    let sound = Store::over(&world);
    assert_eq!(guess_across_restarts(&mut world, &sound).await, [1, 2, 3]);
    // Control: a count that is raised in memory only.
    let unsaved = Store::over(&world).doctored(|before, next| keep(before, next, "code_failures"));
    world.reset(&world.alice).await;
    world.wait_for_the_spacing();
    assert_eq!(guess_across_restarts(&mut world, &unsaved).await, [0, 0, 0]);
}

/// Asks for a code every half minute for an hour, in login after login: how often the sender was
/// called.
async fn pump(world: &World) -> usize {
    let before = world.outbox.attempts();
    let mut token = None;
    for _ in 0..120 {
        let step = match &token {
            Some(token) => world.request().resend(token, ResendTo::Same).await.unwrap(),
            None => world.try_begin("alice", PASSWORD).await,
        };
        token = match step {
            LoginStep::CodeRequired(challenge) => Some(challenge.token),
            _ => None,
        };
        world.wait_for_the_spacing();
    }
    world.outbox.attempts() - before
}

/// Attack 35. I-15: ten an hour; none without the password; none to countries that are not served.
#[tokio::test]
async fn sms_pumping() {
    let mut world = World::new().await;
    for _ in 0..20 {
        let _ = world.try_begin("alice", "wrong").await;
    }
    assert_eq!(world.outbox.attempts(), 0);
    world.clock.advance(HOUR);
    assert_eq!(pump(&world).await, 10);
    assert_eq!(world.charged_sends(&world.alice), 10);
    // Control: sends that nobody counts.
    let uncounted = Store::over(&world).doctored(|_, next| {
        next.as_object_mut().unwrap().remove("sends");
        for pending in broken::pending_of(next) {
            pending["sends"] = 0.into();
        }
    });
    broken::over(&mut world, &uncounted);
    world.clock.advance(DAY);
    assert!(pump(&world).await > 60);
    // A number of a country that is not served gets nothing; the control is one that is.
    for (served, calls) in [("44", 0), ("81", 1)] {
        let mut world = World::new().await;
        world.choose_sms("alice", "+819012345634").await;
        world.outbox.clear();
        let limits = SendLimits::new()
            .per_destination([Limit::new(10, HOUR)])
            .allow_calling_codes(&[served])
            .unwrap();
        let sender = Budgeted::new(world.outbox.clone(), MemoryBudget::new(), limits)
            .clock(world.clock.clone());
        world.rewire(world.users.clone(), Wrapped(Store::over(&world)), sender, |b| b);
        let _ = world.begin("alice").await;
        assert_eq!(world.outbox.attempts(), calls, "{served}");
    }
}

/// Limits by the destination as it is written, as others have them.
struct ByText {
    sender: Outbox,
    seen: Mutex<BTreeMap<String, usize>>,
}

#[async_trait]
impl CodeSender for ByText {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        let text = match &message.destination {
            Destination::Sms(number) => number.expose().to_owned(),
            Destination::Email(address) => address.expose().to_owned(),
        };
        let sent =
            *self.seen.lock().unwrap().entry(text).and_modify(|sent| *sent += 1).or_insert(1);
        if sent > 1 {
            Err(SendError::new(SendErrorKind::Permanent))
        } else {
            self.sender.send_code(message).await
        }
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        self.sender.notify(notice).await
    }
}

/// Codes that reach one phone and one mailbox within an hour, under a limit of one each: two users
/// give the number of their victim in one spelling after another, and an application's table has
/// the address in several.
async fn spell(world: &World) -> (usize, usize) {
    const NUMBERS: [&str; 6] = [
        "+447911123456",
        "+4407911123456",
        "+44007911123456",
        "+440007911123456",
        "+447911123456",
        "+4407911123456",
    ];
    const ADDRESSES: [&str; 7] = [
        "victim@example.com",
        "Victim@example.com",
        "VICTIM@EXAMPLE.COM",
        "victim+1@example.com",
        "victim+2@Example.com",
        "ｖictim@example.com",
        "victim@example.com",
    ];
    let grants = [world.sign_in("alice").await.grant, world.sign_in("bob").await.grant];
    world.outbox.clear();
    for (turn, number) in NUMBERS.iter().enumerate() {
        world.wait_for_the_spacing();
        let grant = &grants[turn % 2];
        let _ = world
            .request()
            .account(grant)
            .use_sms(&PhoneNumber::new(number).unwrap())
            .await
            .unwrap();
    }
    for (turn, address) in ADDRESSES.iter().enumerate() {
        world.wait_for_the_spacing();
        let (user, name) =
            if turn % 2 == 0 { (&world.alice, "alice") } else { (&world.bob, "bob") };
        world.change(user, |user| user.email = Some(EmailAddress::new(address).unwrap()));
        let page = world.begin(name).await;
        world.request().cancel(&page.token).await.unwrap();
    }
    let codes = world.outbox.codes();
    let by_sms = codes.iter().filter(|sent| sent.to.method() == Method::Sms).count();
    (by_sms, codes.len() - by_sms)
}

/// Attack 71. I-15: all spellings of a destination have one limit.
#[tokio::test]
async fn limiter_key_not_canonical() {
    let mut world = World::new().await;
    let sender = |world: &World| {
        let limits = SendLimits::new().per_destination([Limit::new(1, HOUR)]);
        Budgeted::new(world.outbox.clone(), MemoryBudget::new(), limits).clock(world.clock.clone())
    };
    world.rewire(world.users.clone(), world.factors.clone(), sender(&world), |b| b);
    assert_eq!(spell(&world).await, (1, 1));
    // Control: a limit for each text.
    let mut world = World::new().await;
    let by_text = ByText { sender: world.outbox.clone(), seen: Mutex::default() };
    world.rewire(world.users.clone(), world.factors.clone(), by_text, |b| b);
    assert_eq!(spell(&world).await, (4, 6));
}

/// Attack 36. I-15.
#[tokio::test]
async fn resend_while_locked() {
    let mut world = World::new().await;
    let challenge = world.lock_codes("alice").await;
    world.wait_for_the_spacing();
    let calls = world.outbox.attempts();
    let refused = world.request().resend(&challenge.token, ResendTo::Same).await.unwrap();
    assert_eq!((reason(&refused), world.outbox.attempts()), (Reason::CodesLocked, calls));
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::CodesLocked);
    assert_eq!(world.outbox.attempts(), calls);
    // Control: the same where the lock is not kept.
    world.reset(&world.alice).await;
    let lockless = Store::over(&world).doctored(|_, next| forget_wrong_codes(next));
    broken::over(&mut world, &lockless);
    world.wait_for_the_spacing();
    let challenge = world.lock_codes("alice").await;
    world.wait_for_the_spacing();
    let calls = world.outbox.attempts();
    let _ = world.request().resend(&challenge.token, ResendTo::Same).await.unwrap();
    assert_eq!(world.outbox.attempts(), calls + 1);
}

/// Ten thousand wrong passwords, then the owner after the longest lock: whether they get in.
async fn owner_gets_in_after_a_flood(world: &World) -> bool {
    for _ in 0..10_000 {
        let _ = world.try_begin("alice", "wrong").await;
        world.clock.advance(Duration::from_secs(1));
    }
    world.clock.advance(15 * MINUTE);
    match world.try_begin("alice", PASSWORD).await {
        LoginStep::CodeRequired(challenge) => {
            matches!(
                world.submit(&challenge.token, &world.last_code()).await,
                LoginStep::Authenticated(_)
            )
        }
        _ => false,
    }
}

/// Attack 38. I-13.
#[tokio::test]
async fn lockout_by_strangers() {
    let mut world = World::new().await;
    assert!(owner_gets_in_after_a_flood(&world).await);
    // Control: one budget for both factors.
    let shared = Store::over(&world).doctored(|_, next| {
        next["code_failures"] = next["password"]["failures"].clone();
    });
    broken::over(&mut world, &shared);
    assert!(!owner_gets_in_after_a_flood(&world).await);
}

/// One wrong code for each of thirty people: what the tenant's events tell of it.
async fn spray(world: &World) -> Vec<Event> {
    for number in 0..30 {
        let name = format!("user-{number}");
        Person::named(&name).join(&world.users, &world.acme).unwrap();
        let challenge = world.begin(&name).await;
        let _ = world.submit(&challenge.token, &world.wrong_code()).await;
    }
    let wrong = |event: &Event| {
        matches!(event.kind, EventKind::SecretWrong { secret: SecretKind::Code, .. })
    };
    world.events.all().into_iter().filter(wrong).collect()
}

/// Attack 40. I-38: one guess for each of many people shows in the tenant's events, where no budget
/// of one person sees it.
#[tokio::test]
async fn spray_over_many_accounts() {
    let world = World::new().await;
    let wrong = spray(&world).await;
    assert_eq!(wrong.len(), 30);
    assert!(wrong.iter().all(|event| event.tenant == world.acme && event.user.is_some()));
    // What counts locks sees none of it.
    let locked =
        |event: &Event| matches!(event.kind, EventKind::SecretWrong { locked_until: Some(_), .. });
    assert!(!wrong.iter().any(locked));
    // Control: a sink that loses them.
    assert_eq!(spray(&broken::lossy_world().await).await, []);
}

/// A wrong code over a store that answers from before three others: what is then saved.
async fn guess_on_a_lagging_replica(
    loads: usize,
    store: impl FnOnce(&World) -> Store,
) -> (Option<Reason>, u64) {
    let mut world = World::new().await;
    let challenge = world.begin("alice").await;
    let store = store(&world);
    broken::over(&mut world, &store);
    let earlier = world.factors.load(&world.acme, &world.alice).await.unwrap();
    let _ = world.fail_codes(&challenge.token, 3).await;
    store.lag(earlier, loads);
    let wrong = world.wrong_code().into();
    let step = world.request().submit_code(&challenge.token, &wrong, TrustDevice::No).await;
    (step.ok().map(|step| reason(&step)), world.saved_wrong_codes(&world.alice))
}

/// Attack 53. I-09, I-39: a stale read costs a conflict and never a charge.
#[tokio::test]
async fn counter_rollback() {
    assert_eq!(guess_on_a_lagging_replica(1, Store::over).await, (Some(Reason::WrongCode), 4));
    assert_eq!(
        guess_on_a_lagging_replica(TASKS, Store::over).await,
        (None, 3),
        "contended, and nothing lowered"
    );
    // Control: a commit that does not look at what is there.
    let lowered = guess_on_a_lagging_replica(1, |world| Store::over(world).unconditional()).await;
    assert_eq!(lowered, (Some(Reason::WrongCode), 1));
}

/// An administrator who knows a colleague's password resets them four hundred times and uses up
/// what each reset gives back: how many wrong codes were compared, and how many codes were sent.
async fn reset_and_guess(world: &World, grant: &SavedGrant) -> (usize, usize) {
    let page = world.request().administration(grant).await.unwrap();
    let (mut learned, before) = (0, world.outbox.attempts());
    for _ in 0..400 {
        let _outcome = page.reset(&world.alice).await.unwrap();
        let LoginStep::CodeRequired(challenge) = world.try_begin("alice", PASSWORD).await else {
            continue;
        };
        for _ in 0..6 {
            let step = world.submit(&challenge.token, &world.wrong_code()).await;
            learned += usize::from(reason(&step) == Reason::WrongCode);
        }
    }
    (learned, world.outbox.attempts() - before)
}

/// Attack 66. I-12, I-15, I-26: resets are no supply of guesses and codes. The first two of a month
/// let a locked user in with full budgets; what is left after further ones is the window, the sends
/// and the times of resets.
#[tokio::test]
async fn reset_as_a_refill() {
    let world = World::new().await;
    let grant = world.root_grant().await;
    for _ in 0..2 {
        let _locked = world.lock_codes("alice").await;
        assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::CodesLocked);
        let page = world.request().administration(&grant).await.unwrap();
        assert_eq!(page.reset(&world.alice).await.unwrap(), ResetOutcome::Refilled);
        assert_eq!(world.saved_of(&world.alice), ["notices", "resets"]);
        let _done = world.sign_in("alice").await;
        world.wait_for_the_spacing();
    }
    let (learned, sent) = reset_and_guess(&world, &grant).await;
    // Three budgets of one window are 60 of each, and ten guesses and four codes were used before.
    assert!(learned <= 60 - 10 && sent <= 60 - 4, "{learned} {sent}");
    let page = world.request().administration(&grant).await.unwrap();
    assert!(matches!(page.reset(&world.alice).await.unwrap(), ResetOutcome::BudgetsKept { .. }));
    assert_eq!(world.saved_of(&world.alice), ["code_failures", "notices", "resets", "sends"]);
    assert_eq!(world.record(&world.alice)["code_failures"]["streak"], serde_json::Value::Null);
    // Control: a store in which a reset leaves nothing.
    let mut world = World::new().await;
    let grant = world.root_grant().await;
    let blank = Store::over(&world).doctored(|before, next| {
        if before["id"] != next["id"] {
            for field in ["code_failures", "sends", "resets"] {
                next.as_object_mut().unwrap().remove(field);
            }
        }
    });
    broken::over(&mut world, &blank);
    assert_eq!(reset_and_guess(&world, &grant).await, (2_000, 400));
}

/// What one recent session makes of a thousand changes of each kind that needs no code: how many
/// notices are sent, and how many events say that one was not.
async fn change_a_thousand_times(world: &World) -> (usize, usize) {
    let grant = world.sign_in("alice").await.grant;
    let account = world.request().account(&grant);
    for _ in 0..1_000 {
        let _backup = account.new_backup_code().await.unwrap();
        let _method = account.use_email().await.unwrap();
    }
    let held = |kind: &&EventKind| matches!(kind, EventKind::NoticeHeldBack { .. });
    (world.told().len(), world.events.kinds().iter().filter(held).count())
}

/// Attack 69. I-15: notices are no flood. The first of each kind goes, and nobody hides a change of
/// method behind them.
#[tokio::test]
async fn notices_as_a_flood() {
    let world = World::new().await;
    assert_eq!(change_a_thousand_times(&world).await, (2, 1_998));
    world.wait_for_the_spacing();
    let grant = world.sign_in("alice").await.grant;
    world.wait_for_the_spacing();
    let account = world.request().account(&grant);
    let setup = account.use_sms(&PhoneNumber::new("+15551234567").unwrap()).await.unwrap();
    let _method = account.confirm_method(&setup.token, &world.last_code().into()).await.unwrap();
    assert_eq!(world.held_back(), [0, 0, 999], "she is told at once, and of what was held back");
    // Control: a store that forgets what was sent.
    let mut forgetful = World::new().await;
    let store = Store::over(&forgetful)
        .doctored(|_, next| drop(next.as_object_mut().unwrap().remove("notices")));
    broken::over(&mut forgetful, &store);
    assert_eq!(change_a_thousand_times(&forgetful).await, (2_000, 0));
}
