//! Many steps at the same moment: budgets hold, one-time secrets work once, and nothing that was
//! reset comes back.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;

use crate::support::steps::flow_over;
use crate::support::*;
use countersign::contact::PhoneNumber;
use countersign::{
    Channel, Code, Error, Login, LoginFlow, LoginStep, OperationError, Reason, RequestContext,
    ResendTo, TenantId, TrustDevice,
};
use countersign_testkit::{InjectedError, Intercepted, Interceptor};
use tokio::sync::Barrier;

const TASKS: usize = 64;

/// A dozen; or, as one of many runs (`scripts/stress`), one that no other run has.
fn seeds() -> Range<u64> {
    match std::env::var("COUNTERSIGN_STRESS_RUN") {
        Ok(run) => {
            let run = run.parse().unwrap();
            run..run + 1
        }
        Err(_) => 0..12,
    }
}

/// Lets the other tasks run between a load and what follows, so that their steps overlap.
#[derive(Clone)]
struct Overlapping;

impl Interceptor for Overlapping {
    async fn around<T: Send, E: InjectedError>(
        &self,
        method: &'static str,
        _: Option<T>,
        call: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        let answer = call.await;
        if matches!(method, "load" | "commit" | "remove_if") {
            tokio::task::yield_now().await;
        }
        answer
    }
}

/// A world in which steps overlap, another one each round. The seed is in every assertion's
/// message.
async fn overlapping(seed: u64) -> World {
    let mut world = World::new().await;
    world.flow = flow_over(&world, Intercepted::new(world.factors.clone(), &Overlapping), |b| {
        b.entropy(SeededEntropy::new(seed))
    });
    world
}

/// Runs one step in each task, all from the same moment on. The number of the task is given to it.
async fn max_concurrent<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    step: impl Fn(usize) -> F,
) -> Vec<T> {
    let barrier = Arc::new(Barrier::new(TASKS));
    let tasks: Vec<_> = (0..TASKS)
        .map(|number| {
            let (barrier, step) = (Arc::clone(&barrier), step(number));
            tokio::spawn(async move {
                barrier.wait().await;
                step.await
            })
        })
        .collect();
    let mut answers = Vec::with_capacity(TASKS);
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

/// What the tasks were told.
#[derive(Debug, Default, PartialEq)]
struct Told {
    granted: usize,
    wrong: usize,
    refused: usize,
    contended: usize,
}

fn told(answers: Vec<Result<LoginStep, Error>>) -> Told {
    let mut told = Told::default();
    for answer in answers {
        match answer {
            Ok(LoginStep::Authenticated(_)) => told.granted += 1,
            Ok(LoginStep::Denied(denied)) => match denied.reason() {
                Reason::WrongCode | Reason::WrongBackupCode => told.wrong += 1,
                _ => told.refused += 1,
            },
            Err(Error::Contended) => told.contended += 1,
            other => panic!("{other:?}"),
        }
    }
    told
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

async fn submit_backup(
    flow: LoginFlow,
    tenant: TenantId,
    token: String,
    code: String,
) -> Result<LoginStep, Error> {
    flow.request(&tenant, &RequestContext::new())
        .submit_backup_code(&token.into(), &code.into())
        .await
}

/// I-09, attack 4: of any number of parallel guesses only as many are learned as the budget allows,
/// and each is counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_wrong_codes_are_learned_than_are_charged() {
    for seed in seeds() {
        let world = overlapping(seed).await;
        let token = world.begin("alice").await.token.expose().to_owned();
        let right: u32 = world.last_code().parse().unwrap();
        let told = told(
            max_concurrent(|number| {
                let guess = format!("{:06}", (right as usize + 1 + number) % 1_000_000);
                submit(world.flow.clone(), world.acme.clone(), token.clone(), guess)
            })
            .await,
        );
        assert_eq!(told.granted, 0, "seed {seed}");
        assert!(told.wrong <= 5, "seed {seed}: {told:?}");
        assert_eq!(told.wrong as u64, world.saved_wrong_codes(&world.alice), "seed {seed}");
    }
}

/// I-05, attack 5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_right_code_makes_one_grant() {
    for seed in seeds() {
        let world = overlapping(seed).await;
        let token = world.begin("alice").await.token.expose().to_owned();
        let code = world.last_code();
        let told = told(
            max_concurrent(|_| {
                submit(world.flow.clone(), world.acme.clone(), token.clone(), code.clone())
            })
            .await,
        );
        assert_eq!((told.granted, told.wrong), (1, 0), "seed {seed}");
        assert!(world.record(&world.alice)["pending"].is_null());
    }
}

/// I-05, I-31, attack 6: one use, one successor, and it is the one that was shown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_backup_code_makes_one_grant_and_one_successor() {
    for seed in seeds() {
        let world = overlapping(seed).await;
        let code = world.make_backup_code("alice").await;
        // From four logins that wait at the same time.
        let mut tokens = Vec::new();
        for _ in 0..4 {
            tokens.push(world.begin("alice").await.token.expose().to_owned());
            world.wait_for_the_spacing();
        }
        let mut answers = max_concurrent(|number| {
            submit_backup(
                world.flow.clone(),
                world.acme.clone(),
                tokens[number % 4].clone(),
                code.clone(),
            )
        })
        .await;
        let winners: Vec<usize> = (0..TASKS)
            .filter(|at| matches!(answers[*at], Ok(LoginStep::Authenticated(_))))
            .collect();
        assert_eq!(winners.len(), 1, "seed {seed}");
        let winner = authenticated(answers.swap_remove(winners[0]).unwrap());
        // Each of the other three logins takes five wrong ones (I-14).
        assert!(told(answers).wrong <= 15, "seed {seed}");
        world.clock.advance(10 * MINUTE);
        let challenge = world.begin("alice").await;
        let successor = winner.backup_code.unwrap();
        let _done = authenticated(world.submit_backup(&challenge.token, successor.expose()).await);
    }
}

/// I-15: the sender is called once within the spacing, however many ask.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resends_at_the_same_moment_send_one_code() {
    for seed in seeds() {
        let world = overlapping(seed).await;
        let token = world.begin("alice").await.token.expose().to_owned();
        for expected in 2..=5 {
            world.wait_for_the_spacing();
            let answers = max_concurrent(|_| {
                let (flow, tenant, token) = (world.flow.clone(), world.acme.clone(), token.clone());
                async move {
                    flow.request(&tenant, &RequestContext::new())
                        .resend(&token.into(), ResendTo::Same)
                        .await
                }
            })
            .await;
            let sent = answers
                .iter()
                .filter(|answer| matches!(answer, Ok(LoginStep::CodeRequired(_))))
                .count();
            assert_eq!((sent, world.outbox.attempts()), (1, expected), "seed {seed}");
        }
        world.wait_for_the_spacing();
        let more = world.request().resend(&token.into(), ResendTo::Same).await.unwrap();
        assert_eq!(reason(&more), Reason::LoginSendLimit);
        assert_eq!((world.outbox.attempts(), world.charged_sends(&world.alice)), (5, 5));
        // The newest code is the one that works.
        assert_eq!(world.outbox.codes().len(), 5);
    }
}

/// I-15, I-40: first steps at the same moment: two codes, and a bounded number of logins that wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_steps_at_the_same_moment_send_two_codes() {
    for seed in seeds() {
        let world = overlapping(seed).await;
        let answers = max_concurrent(|_| {
            let (flow, tenant) = (world.flow.clone(), world.acme.clone());
            async move { begin(&flow, &tenant, PASSWORD).await }
        })
        .await;
        let sent = answers
            .iter()
            .filter(|answer| matches!(answer, Ok(LoginStep::CodeRequired(challenge)) if challenge.delivery.sent().is_some()))
            .count();
        assert_eq!((sent, world.outbox.attempts()), (2, 2), "seed {seed}");
        assert!(world.record(&world.alice)["pending"].as_array().unwrap().len() <= 4);
        assert!(!answers.iter().any(|answer| matches!(answer, Ok(LoginStep::Authenticated(_)))));
    }
}

async fn begin(flow: &LoginFlow, tenant: &TenantId, password: &str) -> Result<LoginStep, Error> {
    let password = password.into();
    flow.request(tenant, &RequestContext::new())
        .begin(&Login { name: "alice", password: &password, channel: Channel::Web, device: None })
        .await
}

/// I-13, I-16: wrong passwords at the same moment: as many are charged as were answered before the
/// lock, and the lock holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_passwords_are_charged_up_to_the_lock() {
    for seed in seeds() {
        let world = overlapping(seed).await;
        let answers = max_concurrent(|_| {
            let (flow, tenant) = (world.flow.clone(), world.acme.clone());
            async move { begin(&flow, &tenant, "wrong").await }
        })
        .await;
        let answered = answers.iter().filter(|answer| answer.is_ok()).count() as u64;
        let told = told(answers);
        assert_eq!((told.granted, told.wrong), (0, 0), "seed {seed}");
        let saved = world.record(&world.alice)["password"]["failures"]["streak"].as_u64().unwrap();
        assert_eq!(saved, answered.min(10), "seed {seed}");
    }
}

/// I-10, I-32: codes that prove a number, guessed in parallel.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_wrong_setup_codes_are_learned_than_are_charged() {
    for seed in seeds() {
        let world = overlapping(seed).await;
        let grant = world.sign_in("alice").await.grant.into_saved();
        world.wait_for_the_spacing();
        let number = PhoneNumber::new("+819012345634").unwrap();
        let setup = world
            .flow
            .request(grant.tenant(), &RequestContext::new())
            .account(&grant)
            .use_sms(&number)
            .await
            .unwrap();
        let token = setup.token.expose().to_owned();
        let wrong = other_code(&world.last_code());
        let answers = max_concurrent(|_| {
            let (flow, grant, token, wrong) =
                (world.flow.clone(), grant.clone(), token.clone(), wrong.clone());
            async move {
                flow.request(grant.tenant(), &RequestContext::new())
                    .account(&grant)
                    .confirm_method(&token.into(), &Code::new(wrong))
                    .await
            }
        })
        .await;
        let mut learned = 0;
        for answer in answers {
            match answer {
                Err(OperationError::Denied(denied)) if denied.reason() == Reason::WrongCode => {
                    learned += 1;
                }
                Err(OperationError::Denied(_) | OperationError::Failed(Error::Contended)) => {}
                other => panic!("seed {seed}: {other:?}"),
            }
        }
        assert!(learned <= 5, "seed {seed}");
        assert_eq!(learned, world.streak(&world.alice, "setup_failures"), "seed {seed}");
        assert!(world.record(&world.alice)["sms"].is_null());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_right_setup_code_makes_one_change() {
    for seed in seeds() {
        let world = overlapping(seed).await;
        let grant = world.sign_in("alice").await.grant.into_saved();
        world.wait_for_the_spacing();
        let number = PhoneNumber::new("+819012345634").unwrap();
        let setup = world
            .flow
            .request(grant.tenant(), &RequestContext::new())
            .account(&grant)
            .use_sms(&number)
            .await
            .unwrap();
        let (token, code) = (setup.token.expose().to_owned(), world.last_code());
        let answers = max_concurrent(|_| {
            let (flow, grant, token, code) =
                (world.flow.clone(), grant.clone(), token.clone(), code.clone());
            async move {
                flow.request(grant.tenant(), &RequestContext::new())
                    .account(&grant)
                    .confirm_method(&token.into(), &Code::new(code))
                    .await
            }
        })
        .await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "seed {seed}");
    }
}

/// I-26: a reset in the middle of guesses, resends and completions: whatever was there before is of
/// no use after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_reset_comes_back() {
    for seed in seeds() {
        let world = overlapping(seed).await;
        let backup = world.make_backup_code("alice").await;
        world.choose_sms("alice", "+819012345634").await;
        let before = world.record(&world.alice)["id"].clone();
        let token = world.begin("alice").await.token.expose().to_owned();
        let (code, wrong) = (world.last_code(), world.wrong_code());
        let at = usize::try_from(seed * 7).unwrap() % TASKS;
        max_concurrent(|number| {
            let (flow, tenant, user) =
                (world.flow.clone(), world.acme.clone(), world.alice.clone());
            let (token, code, wrong, backup) =
                (token.clone(), code.clone(), wrong.clone(), backup.clone());
            async move {
                if number == at {
                    let _ = flow.operator("T-1").unwrap().reset(&tenant, &user).await.unwrap();
                    return;
                }
                let _answer = match number % 5 {
                    0 => {
                        flow.request(&tenant, &RequestContext::new())
                            .resend(&token.into(), ResendTo::Email)
                            .await
                    }
                    1 => submit_backup(flow, tenant, token, backup).await,
                    2 => begin(&flow, &tenant, PASSWORD).await,
                    3 => submit(flow, tenant, token, wrong).await,
                    _ => submit(flow, tenant, token, code).await,
                };
            }
        })
        .await;
        if let Some(saved) = world.factors.record(&world.acme, &world.alice) {
            let record: serde_json::Value = serde_json::from_str(&saved.document).unwrap();
            assert_ne!(record["id"], before, "seed {seed}");
            for gone in ["sms", "backup", "code_failures"] {
                assert!(record[gone].is_null(), "seed {seed}: {gone}");
            }
        }
        for step in [
            world.submit(&token.as_str().into(), &code).await,
            world.submit_backup(&token.into(), &backup).await,
        ] {
            assert_eq!(reason(&step), Reason::LoginOver, "seed {seed}");
        }
    }
}

/// I-05: of a right and 63 wrong codes at once, at most one grant; with one, the row of failures
/// begins anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_code_among_wrong_ones_gives_no_extra_guesses() {
    for seed in seeds() {
        let world = overlapping(seed).await;
        let token = world.begin("alice").await.token.expose().to_owned();
        let (code, wrong) = (world.last_code(), world.wrong_code());
        let told = told(
            max_concurrent(|number| {
                let typed = if number == 17 { code.clone() } else { wrong.clone() };
                submit(world.flow.clone(), world.acme.clone(), token.clone(), typed)
            })
            .await,
        );
        assert!(told.granted <= 1 && told.wrong <= 5, "seed {seed}: {told:?}");
        let saved = world.saved_wrong_codes(&world.alice);
        assert_eq!(saved, if told.granted == 1 { 0 } else { told.wrong as u64 }, "seed {seed}");
        // I-12: the rolling budget has them all.
        let recorded =
            world.record(&world.alice)["code_failures"]["recent"].as_array().map_or(0, Vec::len);
        assert_eq!(recorded, told.wrong, "seed {seed}");
    }
}
