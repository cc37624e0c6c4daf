//! Chosen schedules: the steps of a few people at once, over the in-memory stores, in thousands of
//! orders that a scheduler picks.
//!
//! The locks of the in-memory stores are the scheduler's here, so that it decides at each of them
//! who goes on. Run it with `scripts/schedules`; the seed of each schedule is printed with a
//! failure, and `COUNTERSIGN_SEED` and `COUNTERSIGN_SCHEDULES` choose others and more.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

// The core and what is built on it have the scheduler's locks, under their ordinary names.
extern crate countersign_scheduled as countersign;

#[path = "../tests/support/mod.rs"]
mod support;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use async_trait::async_trait;
use countersign::budget::Limit;
use countersign::clock::Clock as _;
use countersign::contact::{Destination, EmailAddress};
use countersign::error::PluginError;
use countersign::memory::MemoryBudget;
use countersign::memory::MemoryFactors;
use countersign::sender::{CodeMessage, CodeSender as _, Purpose};
use countersign::store::{CommitOutcome, ExpectedVersions, FactorStore, StoredRow};
use countersign::{
    Channel, Code, Error, Login, LoginFlow, LoginStep, Reason, RequestContext, ResendTo, Scope,
    TenantId, TrustDevice, UserId,
};
use countersign_delivery::{Budgeted, SendLimits};
use shuttle::future::{block_on, spawn};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};
use support::steps::flow_over;
use support::wrapped::{Wrapped, Wraps};
use support::*;

/// How many changes of the running task a schedule of the second kind has.
const DEPTH: usize = 3;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// Runs a story under random schedules, and under as many of few changes (PCT), each of them from a
/// seed.
fn schedules<F: Future<Output = ()> + Send + 'static>(
    story: impl Fn() -> F + Send + Sync + Clone + 'static,
) {
    let (seed, most) = (number("COUNTERSIGN_SEED", 1), number("COUNTERSIGN_SCHEDULES", 300));
    let most = usize::try_from(most).unwrap();
    eprintln!("seed {seed}, {most} random schedules and {most} of {DEPTH} changes");
    run(RandomScheduler::new_from_seed(seed, most), story.clone());
    run(PctScheduler::new_from_seed(seed, DEPTH, most), story);
}

fn run<F: Future<Output = ()> + Send + 'static>(
    scheduler: impl Scheduler + 'static,
    story: impl Fn() -> F + Send + Sync + 'static,
) {
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    config.max_steps = shuttle::MaxSteps::FailAfter(1_000_000);
    Runner::new(scheduler, config).run(move || block_on(story()));
}

/// Everybody's steps at once; their answers in the order in which they were named.
async fn max_concurrent<T: Send + 'static>(
    steps: Vec<impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = steps.into_iter().map(spawn).collect();
    let mut answers = Vec::with_capacity(tasks.len());
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

async fn submit(
    flow: LoginFlow,
    tenant: TenantId,
    token: String,
    code: String,
) -> Result<LoginStep, Error> {
    flow.request(&tenant, &RequestContext::new())
        .submit_code(&token.into(), &code.into(), TrustDevice::No)
        .await
}

async fn begin(flow: LoginFlow, tenant: TenantId, name: &str) -> Result<LoginStep, Error> {
    let password = PASSWORD.into();
    flow.request(&tenant, &RequestContext::new())
        .begin(&Login { name, password: &password, channel: Channel::Web, device: None })
        .await
}

fn learned(answers: &[Result<LoginStep, Error>]) -> u64 {
    answers
        .iter()
        .filter(|answer| matches!(answer, Ok(step @ LoginStep::Denied(_)) if reason(step) == Reason::WrongCode))
        .count() as u64
}

fn granted(answers: &[Result<LoginStep, Error>]) -> usize {
    answers.iter().filter(|answer| matches!(answer, Ok(LoginStep::Authenticated(_)))).count()
}

/// Four guess at once, over a store of this kind: the assertions of I-09.
async fn four_guesses<S: FactorStore + 'static>(store: impl FnOnce(MemoryFactors) -> S) {
    let mut world = World::new().await;
    world.flow = flow_over(&world, store(world.factors.clone()), |b| b);
    let token = world.begin("alice").await.token.expose().to_owned();
    let wrong = other_code(&world.last_code());
    let guesses = (0..4)
        .map(|_| submit(world.flow.clone(), world.acme.clone(), token.clone(), wrong.clone()));
    let answers = max_concurrent(guesses.collect()).await;
    assert_eq!(granted(&answers), 0);
    assert_eq!(learned(&answers), world.saved_wrong_codes(&world.alice));
}

/// I-09, attack 4.
#[test]
fn no_more_wrong_codes_are_learned_than_are_charged() {
    schedules(|| four_guesses(|factors| factors));
}

/// I-05, I-12, attack 5: two right codes among two wrong ones.
#[test]
fn one_right_code_makes_one_grant() {
    schedules(|| async {
        let world = World::new().await;
        let token = world.begin("alice").await.token.expose().to_owned();
        let code = world.last_code();
        let wrong = other_code(&code);
        let typed = [&code, &wrong, &code, &wrong];
        let steps = typed.map(|typed| {
            submit(world.flow.clone(), world.acme.clone(), token.clone(), typed.clone())
        });
        let answers = max_concurrent(steps.into()).await;
        assert_eq!(granted(&answers), 1);
        assert_eq!(world.saved_wrong_codes(&world.alice), 0);
        let recent =
            world.record(&world.alice)["code_failures"]["recent"].as_array().map_or(0, Vec::len);
        assert_eq!(recent as u64, learned(&answers));
        assert!(world.record(&world.alice)["pending"].is_null());
    });
}

/// I-05, I-31, attack 6: from two logins at once.
#[test]
fn one_backup_code_makes_one_grant_and_its_successor_works() {
    schedules(|| async {
        let world = World::new().await;
        let code = world.make_backup_code("alice").await;
        let mut steps = Vec::new();
        for _ in 0..3 {
            world.wait_for_the_spacing();
            let (flow, tenant, code) = (world.flow.clone(), world.acme.clone(), code.clone());
            let token = world.begin("alice").await.token;
            steps.push(async move {
                flow.request(&tenant, &RequestContext::new())
                    .submit_backup_code(&token, &code.as_str().into())
                    .await
            });
        }
        let mut answers = max_concurrent(steps).await;
        assert_eq!(granted(&answers), 1);
        let winner = answers
            .iter()
            .position(|answer| matches!(answer, Ok(LoginStep::Authenticated(_))))
            .unwrap();
        let successor = authenticated(answers.swap_remove(winner).unwrap()).backup_code.unwrap();
        world.clock.advance(10 * MINUTE);
        let challenge = world.begin("alice").await;
        let _grant = authenticated(world.submit_backup(&challenge.token, successor.expose()).await);
    });
}

/// I-06, I-15: one resend of three goes out; the code before it and the code it made are not both
/// good.
#[test]
fn resends_and_a_code_at_once() {
    schedules(|| async {
        let world = World::new().await;
        let token = world.begin("alice").await.token.expose().to_owned();
        let first = world.last_code();
        world.wait_for_the_spacing();
        let resend = || {
            let (flow, tenant, token) = (world.flow.clone(), world.acme.clone(), token.clone());
            async move {
                flow.request(&tenant, &RequestContext::new())
                    .resend(&token.into(), ResendTo::Same)
                    .await
            }
        };
        let code =
            spawn(submit(world.flow.clone(), world.acme.clone(), token.clone(), first.clone()));
        let resends = max_concurrent(vec![resend(), resend()]).await;
        let by_code = code.await.unwrap();
        let sent = resends
            .iter()
            .filter(|answer| matches!(answer, Ok(LoginStep::CodeRequired(_))))
            .count();
        assert!(sent <= 1);
        assert_eq!(world.outbox.attempts(), 1 + sent);
        if granted(&[by_code]) == 0 {
            // The resend came first: the earlier code was charged as a wrong one, and the newest is
            // good.
            assert_eq!((sent, world.saved_wrong_codes(&world.alice)), (1, 1));
            let _grant = authenticated(world.submit(&token.into(), &world.last_code()).await);
        } else {
            assert_eq!(
                reason(&world.submit(&token.into(), &world.last_code()).await),
                Reason::LoginOver
            );
        }
    });
}

/// I-15, I-40: of first steps at the same moment, two send a code, and no more.
#[test]
fn first_steps_at_once_send_at_most_two_codes() {
    schedules(|| async {
        let world = World::new().await;
        let step = || begin(world.flow.clone(), world.acme.clone(), "alice");
        let answers = max_concurrent(vec![step(), step(), step()]).await;
        assert_eq!(granted(&answers), 0);
        assert_eq!(world.outbox.attempts(), 2);
        assert_eq!(world.record(&world.alice)["pending"].as_array().unwrap().len(), 3);
    });
}

/// I-26: a reset beside a code, a resend and a first step.
#[test]
fn nothing_that_was_reset_comes_back() {
    schedules(|| async {
        let world = World::new().await;
        let _backup = world.make_backup_code("alice").await;
        world.wait_for_the_spacing();
        let token = world.begin("alice").await.token.expose().to_owned();
        let (code, before) = (world.last_code(), world.record(&world.alice)["id"].clone());
        world.wait_for_the_spacing();
        let (flow, tenant, user) = (world.flow.clone(), world.acme.clone(), world.alice.clone());
        let reset = spawn(async move { flow.operator("T-1").unwrap().reset(&tenant, &user).await });
        let (flow, tenant, resent) = (world.flow.clone(), world.acme.clone(), token.clone());
        let resend = spawn(async move {
            flow.request(&tenant, &RequestContext::new())
                .resend(&resent.into(), ResendTo::Same)
                .await
        });
        let trusted = TrustDevice::Named("laptop");
        let _answer = world
            .flow
            .request(&world.acme, &RequestContext::new())
            .submit_code(&token.as_str().into(), &code.as_str().into(), trusted)
            .await;
        let _ = reset.await.unwrap().unwrap();
        let _answer = resend.await.unwrap().unwrap();
        if let Some(saved) = world.factors.record(&world.acme, &world.alice) {
            let record: serde_json::Value = serde_json::from_str(&saved.document).unwrap();
            assert_ne!(record["id"], before);
            assert!(
                ["backup", "devices", "pending"].iter().all(|gone| record[gone].is_null()),
                "{record}"
            );
        }
        assert_eq!(reason(&world.submit(&token.into(), &code).await), Reason::LoginOver);
    });
}

/// I-27: switching off and a whole purge, beside a guess, and beside the first step of somebody of
/// whom nothing is saved yet.
#[test]
fn nothing_of_an_earlier_generation_is_left_or_appears() {
    schedules(|| async {
        let world = World::new().await;
        let token = world.begin("alice").await.token.expose().to_owned();
        let wrong = other_code(&world.last_code());
        let before = world.factors.settings(&world.acme).await.unwrap().unwrap().generation;
        let guess = spawn(submit(world.flow.clone(), world.acme.clone(), token, wrong));
        let first = spawn(begin(world.flow.clone(), world.acme.clone(), "bob"));
        let (flow, tenant) = (world.flow.clone(), world.acme.clone());
        let off = spawn(async move {
            flow.operator("T-1").unwrap().set_scope(&tenant, Scope::DoNotUse).await.unwrap();
            while flow.purge(&tenant, 1).await.unwrap().unwrap().finished_at.is_none() {}
        });
        off.await.unwrap();
        let now = world.factors.settings(&world.acme).await.unwrap().unwrap().generation;
        assert!(now > before);
        assert_eq!(world.factors.count(&world.acme, now).await.unwrap(), 0);
        let _answers = (guess.await.unwrap(), first.await.unwrap());
        assert_eq!(world.factors.count(&world.acme, now).await.unwrap(), 0);
    });
}

/// The limits across users hold under every order.
#[test]
fn no_more_is_sent_than_a_shared_limit_allows() {
    schedules(|| async {
        let world = World::new().await;
        let limits = SendLimits::new().per_destination([Limit::new(2, 60 * MINUTE)]);
        let sender = Budgeted::new(world.outbox.clone(), MemoryBudget::new(), limits)
            .clock(world.clock.clone());
        world.outbox.clear();
        let sender = Arc::new(sender);
        let send = || {
            let sender = Arc::clone(&sender);
            let message = message(&world);
            async move { sender.send_code(&message).await.is_ok() }
        };
        let sent = max_concurrent(vec![send(), send(), send(), send()]).await;
        assert_eq!((sent.iter().filter(|sent| **sent).count(), world.outbox.attempts()), (2, 2));
    });
}

fn message(world: &World) -> CodeMessage {
    CodeMessage {
        tenant: world.acme.clone(),
        user: world.alice.clone(),
        login: "AAAAAAAAAAAAAAAAAAAAAA".parse().unwrap(),
        purpose: Purpose::Login,
        destination: Destination::Email(EmailAddress::new("alice@example.com").unwrap()),
        code: Code::new("836194"),
        reference: serde_json::from_str("\"BKTR\"").unwrap(),
        valid_for: 3 * MINUTE,
        expires_at: world.clock.now().unwrap(),
        language: None,
    }
}

/// Negative control: a store that compares and then writes, as two steps. The scheduler finds the
/// order in which guesses go uncounted.
#[test]
fn a_store_that_checks_and_then_acts_is_found_out() {
    for pct in [false, true] {
        let found = catch_unwind(AssertUnwindSafe(|| {
            let story = || four_guesses(|factors| Wrapped(ChecksThenActs(factors)));
            if pct {
                run(PctScheduler::new_from_seed(1, DEPTH, 1_000), story);
            } else {
                run(RandomScheduler::new_from_seed(1, 1_000), story);
            }
        }));
        assert!(found.is_err(), "PCT: {pct}");
    }
}

struct ChecksThenActs(MemoryFactors);

#[async_trait]
impl Wraps for ChecksThenActs {
    type Inner = MemoryFactors;

    fn inner(&self) -> &MemoryFactors {
        &self.0
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: &ExpectedVersions,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        let found = self.0.load(tenant, user).await?;
        let found = ExpectedVersions {
            settings: found.settings.map(|saved| saved.version),
            record: found.record.map(|saved| saved.version),
        };
        if found != *expected {
            return Ok(CommitOutcome::Conflict);
        }
        // Whatever is there by now is overwritten.
        loop {
            let now = self.0.load(tenant, user).await?.record.map(|saved| saved.version);
            let expected = ExpectedVersions { settings: expected.settings, record: now };
            if self.0.commit(tenant, user, &expected, next).await? == CommitOutcome::Written {
                return Ok(CommitOutcome::Written);
            }
        }
    }
}
