//! What tests rely on: counted calls, planned mishaps, a scripted sender, randomness that repeats.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use std::time::Duration;

use countersign::budget::{Account, Charged, Limit, SendBudget};
use countersign::clock::Clock as _;
use countersign::entropy::Entropy;
use countersign::error::PluginError;
use countersign::memory::MemoryBudget;
use countersign::memory::{MemoryFactors, MemoryUsers};
use countersign::password::{PasswordAttempt, PasswordCheck, PasswordVerifier};
use countersign::policy::StandardPolicy;
use countersign::sender::SendErrorKind;
use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, StoredRow, Version,
};
use countersign::user::{PasswordHash, UserDirectory, UserStore};
use countersign::{
    Channel, DeliveryStatus, Login, LoginName, LoginStep, Method, Password, RequestContext, Scope,
    TenantId, UserId,
};
use countersign_testkit::{
    Calls, Counting, Delivered, Failing, InjectedError, InjectedFault, Intercepted, Interceptor,
    ManualClock, Mishaps, Outbox, Person, PlainPasswords, SeededEntropy, TenantSetup, World,
    challenge,
};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};

const LATE: Duration = Duration::from_secs(3);
const NONE: ExpectedVersions = ExpectedVersions { settings: None, record: None };

fn row() -> StoredRow {
    StoredRow {
        version: Version::from_bytes([7; 16]),
        generation: Generation::new(0),
        document: "{}".to_owned(),
    }
}

fn ids() -> (TenantId, UserId) {
    (TenantId::new("acme").unwrap(), UserId::new("alice").unwrap())
}

/// Every call of a plug-in of each kind, in the order in which the traits list them.
async fn every_call<T: FactorStore>(
    factors: &T,
    users: &(impl UserStore + UserDirectory),
    passwords: &impl PasswordVerifier,
    budget: &impl SendBudget,
) {
    let ((acme, alice), name, hash) =
        (ids(), LoginName::new("alice").unwrap(), PasswordHash::new("1"));
    let (first, password) = (Generation::new(0), Password::new("secret"));
    let _ = factors.load(&acme, &alice).await;
    let _ = factors.load_many(&acme, std::slice::from_ref(&alice)).await;
    let _ = factors.commit(&acme, &alice, &NONE, &row()).await;
    let _ = factors.settings(&acme).await;
    let _ = factors.change_settings(&acme, None, &row()).await;
    let _ = factors.purge(&acme, first, 1).await;
    let _ = factors.count(&acme, first).await;
    let _ = factors.remove(&acme, &alice).await;
    let _ = factors.remove_if(&acme, &alice, row().version).await;
    let _ = factors.users(&acme, first, None, 1).await;
    let _ = users.find_by_login(&acme, &name).await;
    let _ = users.find_by_id(&acme, &alice).await;
    let _ = users.replace_password_hash(&acme, &alice, &hash, &hash).await;
    let _ = users.page(&acme, None, 1).await;
    let _ = users.administrators(&acme).await;
    let _ = passwords.verify(&PasswordAttempt::new(&acme, &name, None, &password)).await;
    let _ = passwords.hash_password(&password).await;
    let _ = budget.charge(&[account()], OffsetDateTime::UNIX_EPOCH).await;
}

fn account() -> Account {
    Account::new("to", Limit::new(1, Duration::from_secs(60)))
}

const ALL: [&str; 18] = [
    "load",
    "load_many",
    "commit",
    "settings",
    "change_settings",
    "purge",
    "count",
    "remove",
    "remove_if",
    "users",
    "find_by_login",
    "find_by_id",
    "replace_password_hash",
    "page",
    "administrators",
    "verify",
    "hash_password",
    "charge",
];

#[tokio::test]
async fn every_call_is_counted_by_its_name() {
    let calls = Calls::new();
    let factors = Counting::new(MemoryFactors::new(), &calls);
    let users = Counting::new(MemoryUsers::new(), &calls);
    let (passwords, budget) =
        (Counting::new(PlainPasswords, &calls), Counting::new(MemoryBudget::default(), &calls));
    every_call(&factors, &users, &passwords, &budget).await;
    assert_eq!(calls.all(), ALL);
    assert!(ALL.iter().all(|name| calls.of(name) == 1));
    let mut sorted = ALL;
    sorted.sort_unstable();
    assert_eq!(calls.take_sorted(), sorted);
    assert_eq!(calls.all(), [""; 0]);
    every_call(&factors, &users, &passwords, &budget).await;
    calls.clear();
    assert_eq!(calls.of("load"), 0);
}

/// A sender is counted as well, and the wrapper hands on what it is given.
#[tokio::test]
async fn a_wrapped_login_works_and_its_messages_are_counted() {
    let calls = Calls::new();
    let (acme, alice) = ids();
    let users = MemoryUsers::new();
    TenantSetup::named("acme").person(Person::named("alice")).join(&users).unwrap();
    let outbox = Outbox::new();
    let flow = countersign::LoginFlow::builder(
        Counting::new(users, &calls),
        Counting::new(MemoryFactors::new(), &calls),
        Counting::new(outbox.clone(), &calls),
    );
    let flow = flow.password_verifier(PlainPasswords).build().unwrap();
    flow.operator("set-up").unwrap().set_scope(&acme, Scope::EntireTenant).await.unwrap();
    let password = Person::PASSWORD.into();
    let (channel, device) = (countersign::Channel::Web, None);
    let login = countersign::Login { name: "alice", password: &password, channel, device };
    assert!(matches!(
        flow.request(&acme, &RequestContext::new()).begin(&login).await.unwrap(),
        LoginStep::CodeRequired(_)
    ));
    assert_eq!((calls.of("send_code"), calls.of("notify")), (1, 0));
    assert!(outbox.last_code_of(&acme, &alice).is_some());
    let _ = flow.operator("lost").unwrap().reset(&acme, &alice).await.unwrap();
    assert_eq!((calls.of("send_code"), calls.of("notify")), (1, 1));
}

/// Whether a record is there, and what the commit that may have written it answered within a
/// minute.
async fn commit_with(
    mishap: InjectedFault,
) -> (bool, Option<Result<CommitOutcome, PluginError>>, Duration) {
    let (inner, mishaps) = (MemoryFactors::new(), Mishaps::new());
    let store = Failing::new(inner.clone(), &mishaps);
    let (acme, alice) = ids();
    mishaps.next_of("commit", mishap);
    // It is another call's, so nothing happens to this one.
    assert!(store.load(&acme, &alice).await.unwrap().record.is_none());
    let started = Instant::now();
    let answer =
        timeout(Duration::from_secs(60), store.commit(&acme, &alice, &NONE, &row())).await.ok();
    let took = started.elapsed();
    // It happens once.
    assert!(store.load(&acme, &alice).await.is_ok());
    (inner.record(&acme, &alice).is_some(), answer, took)
}

#[tokio::test(start_paused = true)]
async fn a_mishap_is_what_it_says() {
    let (written, answer, took) = commit_with(InjectedFault::None).await;
    assert!(written && took.is_zero() && matches!(answer, Some(Ok(CommitOutcome::Written))));
    let (written, answer, _) = commit_with(InjectedFault::Before).await;
    assert!(!written && matches!(answer, Some(Err(_))));
    let (written, answer, _) = commit_with(InjectedFault::After).await;
    assert!(written && matches!(answer, Some(Err(_))));
    let (written, answer, took) = commit_with(InjectedFault::Late(LATE)).await;
    assert!(written && took == LATE && matches!(answer, Some(Ok(CommitOutcome::Written))));
    let (written, answer, _) = commit_with(InjectedFault::HangsBefore).await;
    assert!(!written && answer.is_none());
    let (written, answer, _) = commit_with(InjectedFault::HangsAfter).await;
    assert!(written && answer.is_none());
    let (written, answer, _) = commit_with(InjectedFault::Conflict).await;
    assert!(!written && matches!(answer, Some(Ok(CommitOutcome::Conflict))));
}

/// Each method of each plug-in can be made to fail, and says its own name.
#[tokio::test]
async fn every_call_can_fail() {
    for failing in ALL {
        let (calls, mishaps) = (Calls::new(), Mishaps::new());
        // What gets through the one is counted by the other.
        let factors = Failing::new(Counting::new(MemoryFactors::new(), &calls), &mishaps);
        let users = Failing::new(Counting::new(MemoryUsers::new(), &calls), &mishaps);
        let passwords = Failing::new(Counting::new(PlainPasswords, &calls), &mishaps);
        let budget = Failing::new(Counting::new(MemoryBudget::default(), &calls), &mishaps);
        mishaps.next_of(failing, InjectedFault::Before);
        every_call(&factors, &users, &passwords, &budget).await;
        let mut others = ALL.to_vec();
        others.retain(|name| *name != failing);
        assert_eq!(calls.all(), others);
        mishaps.always(Some(InjectedFault::Before));
        every_call(&factors, &users, &passwords, &budget).await;
        assert_eq!(calls.all(), others);
        mishaps.always(None);
        // Unnamed ones come first to whichever is called first.
        mishaps.next(InjectedFault::Before);
        calls.clear();
        every_call(&factors, &users, &passwords, &budget).await;
        assert_eq!(calls.all(), ALL[1..]);
    }
    let mishaps = Mishaps::new();
    let budget = Failing::new(MemoryBudget::default(), &mishaps);
    mishaps.next(InjectedFault::After);
    assert!(budget.charge(&[account()], OffsetDateTime::UNIX_EPOCH).await.is_err());
    let again = budget.charge(&[account()], OffsetDateTime::UNIX_EPOCH).await.unwrap();
    assert!(matches!(again, Charged::Exhausted { .. }), "{again:?}");
    let passwords = Failing::new(PlainPasswords, &mishaps);
    let (acme, name, password) =
        (ids().0, LoginName::new("alice").unwrap(), Password::new("secret"));
    let attempt = PasswordAttempt::new(&acme, &name, None, &password);
    assert_eq!(passwords.verify(&attempt).await.unwrap(), PasswordCheck::Mismatch);
}

/// What does not wait can fail too, and so can a sender. What gets through is counted.
#[tokio::test]
async fn clocks_generators_policies_and_senders_fail_as_well() {
    let (calls, mishaps, outbox) = (Calls::new(), Mishaps::new(), Outbox::new());
    let users = MemoryUsers::new();
    let acme = TenantSetup::named("acme").person(Person::named("alice")).join(&users).unwrap();
    let sender = Failing::new(Counting::new(outbox.clone(), &calls), &mishaps);
    let flow = countersign::LoginFlow::builder(users, MemoryFactors::new(), sender)
        .password_verifier(PlainPasswords)
        .clock(Failing::new(
            Counting::new(ManualClock::new(OffsetDateTime::UNIX_EPOCH), &calls),
            &mishaps,
        ))
        .entropy(Failing::new(Counting::new(SeededEntropy::new(1), &calls), &mishaps))
        .policy(Failing::new(Counting::new(StandardPolicy, &calls), &mishaps))
        .build()
        .unwrap();
    flow.operator("set-up").unwrap().set_scope(&acme, Scope::EntireTenant).await.unwrap();
    let password = Person::PASSWORD.into();
    let begin = async |method, fault| {
        mishaps.next_of(method, fault);
        calls.clear();
        let login =
            Login { name: "alice", password: &password, channel: Channel::Web, device: None };
        let step = flow.request(&acme, &RequestContext::new()).begin(&login).await;
        (step, calls.of(method))
    };
    for method in ["now", "fill", "decide"] {
        for (fault, done) in [(InjectedFault::Before, 0), (InjectedFault::After, 1)] {
            let (step, made) = begin(method, fault).await;
            assert!(step.is_err() && made == done, "{method} {fault:?}");
        }
        let (step, made) = begin(method, InjectedFault::Conflict).await;
        assert!(matches!(step, Ok(LoginStep::Denied(_) | LoginStep::CodeRequired(_))) && made > 0);
    }
    outbox.clear();
    for (fault, arrived) in [(InjectedFault::Before, 0), (InjectedFault::After, 1)] {
        let user = UserId::new("alice").unwrap();
        let _ = flow.operator("again").unwrap().reset_and_refill(&acme, &user).await.unwrap();
        let (step, made) = begin("send_code", fault).await;
        let delivery = challenge(step.unwrap()).delivery;
        let surely_not =
            matches!(delivery, DeliveryStatus::Failed { error: SendErrorKind::Transient, .. });
        assert_eq!(surely_not, arrived == 0, "{delivery:?}");
        assert!(surely_not || matches!(delivery, DeliveryStatus::PerhapsSent(_)), "{delivery:?}");
        assert_eq!((made, outbox.codes().len()), (arrived, arrived));
    }
}

/// An interceptor that is about other calls says nothing of those that do not wait.
#[test]
fn a_call_that_does_not_wait_is_made_by_default() {
    #[derive(Clone)]
    struct Lost;

    impl Interceptor for Lost {
        async fn around<T: Send, E: InjectedError>(
            &self,
            _: &'static str,
            _: Option<T>,
            _: impl Future<Output = Result<T, E>> + Send,
        ) -> Result<T, E> {
            Err(E::after())
        }
    }

    let clock = Intercepted::new(ManualClock::new(OffsetDateTime::UNIX_EPOCH), &Lost);
    assert_eq!(clock.now().unwrap(), OffsetDateTime::UNIX_EPOCH);
    let users = Intercepted::new(MemoryUsers::new(), &Lost);
    let (acme, alice) = ids();
    assert!(futures_lite::future::block_on(users.find_by_id(&acme, &alice)).is_err());
}

/// What a login says of its delivery, what arrived, and how long it took.
async fn delivered(script: Delivered) -> (String, usize, Duration) {
    let world = World::on(MemoryFactors::new()).unwrap();
    world.set_scope(Scope::EntireTenant).await.unwrap();
    world.outbox.script([script]);
    let started = Instant::now();
    let step = timeout(Duration::from_secs(60), world.begin("alice")).await;
    let said = match step {
        Ok(step) => {
            let LoginStep::CodeRequired(challenge) = step.unwrap() else {
                panic!("a code is required")
            };
            match &challenge.delivery {
                DeliveryStatus::Sent(_) => "sent".to_owned(),
                DeliveryStatus::Queued(_) => "queued".to_owned(),
                DeliveryStatus::PerhapsSent(_) => "perhaps sent".to_owned(),
                DeliveryStatus::Failed { error, .. } => format!("failed: {error:?}"),
                other => panic!("{other:?}"),
            }
        }
        Err(_) => "no answer".to_owned(),
    };
    assert_eq!(world.outbox.attempts(), 1);
    let (arrived, took) = (world.outbox.codes().len(), started.elapsed());
    if said != "no answer" {
        world.clock.advance(Duration::from_secs(60));
        // The script is over.
        assert!(matches!(world.begin("alice").await.unwrap(), LoginStep::CodeRequired(_)));
        assert_eq!(world.outbox.codes().len(), arrived + 1);
    }
    (said, arrived, took)
}

#[tokio::test(start_paused = true)]
async fn a_message_is_delivered_lost_late_or_refused_as_scripted() {
    let zero = Duration::ZERO;
    assert_eq!(delivered(Delivered::Now).await, ("sent".into(), 1, zero));
    assert_eq!(delivered(Delivered::Queued).await, ("queued".into(), 1, zero));
    assert_eq!(delivered(Delivered::Lost).await, ("sent".into(), 0, zero));
    assert_eq!(delivered(Delivered::Late(LATE)).await, ("sent".into(), 1, LATE));
    assert_eq!(delivered(Delivered::Hangs).await, ("no answer".into(), 0, Duration::from_secs(60)));
    assert_eq!(delivered(Delivered::ArrivedButUnknown).await, ("perhaps sent".into(), 1, zero));
    assert_eq!(
        delivered(Delivered::Failed(SendErrorKind::Unknown)).await,
        ("perhaps sent".into(), 0, zero)
    );
    for kind in [
        SendErrorKind::Permanent,
        SendErrorKind::Transient,
        SendErrorKind::Throttled { retry_after: Some(LATE) },
    ] {
        assert_eq!(
            delivered(Delivered::Failed(kind)).await,
            (format!("failed: {kind:?}"), 0, zero)
        );
    }
}

#[tokio::test]
async fn what_always_happens_may_be_one_methods() {
    for (method, arrives) in
        [(None, false), (Some(Method::Email), false), (Some(Method::Sms), true)]
    {
        let world = World::on(MemoryFactors::new()).unwrap();
        world.set_scope(Scope::EntireTenant).await.unwrap();
        world.outbox.always(method, Delivered::Lost);
        let _ = world.begin("alice").await.unwrap();
        assert_eq!(world.outbox.last_code().is_some(), arrives, "{method:?}");
        world.outbox.clear();
        assert_eq!((world.outbox.attempts(), world.outbox.codes().len()), (0, 0));
    }
}

#[test]
fn a_seed_repeats_its_sequence() {
    let draw = |entropy: &SeededEntropy| {
        let mut bytes = [0; 64];
        entropy.fill(&mut bytes).unwrap();
        bytes
    };
    let drawn = SeededEntropy::from_environment().unwrap();
    let again = SeededEntropy::new(drawn.seed());
    let (first, second) = (draw(&drawn), draw(&drawn));
    assert_ne!(first, second);
    assert_eq!((draw(&again), draw(&again)), (first, second));
    assert_ne!(draw(&SeededEntropy::new(drawn.seed().wrapping_add(1))), first);
    assert!(!format!("{drawn:?}").contains("generator:"));
}

#[tokio::test]
async fn a_tenant_and_its_people_are_as_they_were_built() {
    let users = MemoryUsers::new();
    let nine = time::UtcOffset::from_hms(9, 0, 0).unwrap();
    let carol =
        Person::named("carol").id("c-1").language("ja").utc_offset(nine).security_stamp("s-1");
    let carol = carol.role("auditor").email("c@x.example");
    let dave = Person::named("dave").without_email().disabled().password("another").administrator();
    let globex = TenantSetup::named("globex").person(carol).person(dave).join(&users).unwrap();
    let carol =
        users.find_by_login(&globex, &LoginName::new("carol").unwrap()).await.unwrap().unwrap();
    assert_eq!((carol.id.as_str(), carol.security_stamp.as_deref()), ("c-1", Some("s-1")));
    assert_eq!(
        (carol.language.unwrap().as_str(), &*carol.roles),
        ("ja", &["auditor".to_owned()][..])
    );
    assert_eq!((carol.email.unwrap().expose(), carol.utc_offset), ("c@x.example", Some(nine)));
    assert!(
        !carol.system_administrator && carol.password_hash.unwrap().expose() == Person::PASSWORD
    );
    let dave = users.find_by_id(&globex, &UserId::new("dave").unwrap()).await.unwrap().unwrap();
    assert!(
        dave.email.is_none()
            && dave.system_administrator
            && dave.status != countersign::user::UserStatus::Active
    );
    assert!(TenantSetup::named("").join(&users).is_err());

    let carol = TenantSetup::named("globex").person(Person::named("carol").id("c-1"));
    let world = World::of(MemoryFactors::new(), carol, |builder| builder).unwrap();
    world
        .flow
        .operator("test")
        .unwrap()
        .set_scope(&world.tenant, Scope::EntireTenant)
        .await
        .unwrap();
    assert_eq!(world.sign_in("carol").await.unwrap().grant.user().as_str(), "c-1");

    let world = World::of(
        MemoryFactors::new(),
        TenantSetup::named("initech").person(Person::named("erin")),
        |b| b,
    )
    .unwrap();
    assert_eq!(world.tenant.as_str(), "initech");
    assert!(world.sign_in("erin").await.is_ok() && world.sign_in("alice").await.is_err());
}

/// A suite that has nothing to run on says so, and is a failure where servers are required. The
/// variable is a process's, so there are two.
#[test]
fn a_backend_that_is_missing_is_a_failure_where_servers_are_required() {
    use std::sync::Arc;

    use countersign_testkit::conformance::{Backend, Hold, HostTransaction, Line, factors, run};

    struct Nothing;

    #[async_trait::async_trait]
    impl Backend for Nothing {
        async fn open(&self) -> Result<Arc<dyn FactorStore>, PluginError> {
            Err(PluginError::new("there is nothing"))
        }

        async fn interrupt(&self) -> Result<bool, PluginError> {
            Ok(false)
        }

        async fn host_transaction(&self) -> Result<Option<Box<dyn HostTransaction>>, PluginError> {
            Ok(None)
        }

        async fn open_on_a_line(
            &self,
        ) -> Result<Option<(Arc<dyn FactorStore>, Box<dyn Line>)>, PluginError> {
            Ok(None)
        }

        async fn hold_writes(&self) -> Result<Option<Box<dyn Hold>>, PluginError> {
            Ok(None)
        }

        async fn clean_up(&self) -> Result<(), PluginError> {
            Ok(())
        }
    }

    const NAME: &str = "a_backend_that_is_missing_is_a_failure_where_servers_are_required";
    if std::env::var("COUNTERSIGN_TEST_MISSING").is_ok() {
        let verdict = run("this check", async { Ok(None::<Nothing>) }, |backend| {
            Box::pin(factors::nothing_saved_is_none(backend))
        });
        println!("VERDICT {}", verdict.is_ok());
        return;
    }
    for (required, passes) in [("1", false), ("0", true)] {
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", NAME, "--nocapture"]).env("COUNTERSIGN_TEST_MISSING", "1");
        let output = again.env("COUNTERSIGN_REQUIRE_SERVERS", required).output().unwrap();
        let printed = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(printed.contains(&format!("VERDICT {passes}")), "{printed}");
        assert_eq!(printed.contains("NOT TESTED: this check"), passes, "{printed}");
    }
}
