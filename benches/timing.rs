//! Whether time tells what an answer does not: Welch's t-test over two kinds of input at a time, in the manner of dudect (Reparaz, Balasch and
//! Verbauwhede, 2017).
//!
//! - The second step: wrong codes that have the first five digits of the right one, against wrong codes that have none (`I-20`).
//! - The first step: unknown names, disabled users and locked passwords, each against a wrong password (`I-17`).
//!
//! Each has a negative control that does leak and that the test must flag, or it would be blind. `scripts/timing` runs it; no test asserts on it,
//! since a time belongs to a machine: what CI checks is that every branch makes the same calls.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(clippy::cast_precision_loss, reason = "nanoseconds and numbers of samples are far below 2^52")]

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use countersign::internals::Machine;
use countersign::memory::{MemoryFactors, MemoryUsers};
use countersign::{
    Accepted, Argon2id, Channel, CodeMessage, CodeSender, Fault, Login, LoginFlow, LoginName, LoginStep, ManualClock,
    Notice, Password, PasswordAttempt, PasswordHash, PasswordVerifier, SendError, TenantId, User, UserId, UserStatus,
    Verdict,
};
use futures_lite::future::block_on;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use time::OffsetDateTime;

/// What is usually taken for a leak: a difference that chance explains less than once in 100,000 times.
const FLAGGED: f64 = 4.5;
const CODES: usize = 400_000;
const FIRST_STEPS: usize = 1_000;
/// Users of each kind: few enough wrong passwords each that nobody who is not meant to be is locked.
const USERS: usize = 100;

/// Welch's t of two samples, after the slowest tenth of both together is left out: it is the machine's doing.
fn welch(samples: &[Vec<f64>; 2]) -> f64 {
    let mut all: Vec<f64> = samples.concat();
    all.sort_by(f64::total_cmp);
    let most = all[all.len() * 9 / 10];
    let [a, b] = samples.each_ref().map(|sample| {
        let kept: Vec<f64> = sample.iter().copied().filter(|time| *time <= most).collect();
        let mean = kept.iter().sum::<f64>() / kept.len() as f64;
        let variance = kept.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (kept.len() - 1) as f64;
        (mean, variance / kept.len() as f64)
    });
    (a.0 - b.0) / (a.1 + b.1).sqrt()
}

/// The medians, in nanoseconds.
fn medians(samples: &[Vec<f64>; 2]) -> [f64; 2] {
    samples.each_ref().map(|sample| {
        let mut sorted = sample.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    })
}

/// Prints one comparison. Says whether it came out as it must.
fn report(what: &str, samples: &[Vec<f64>; 2], leaks: bool) -> bool {
    let (t, [a, b]) = (welch(samples), medians(samples));
    let flagged = t.abs() > FLAGGED;
    let verdict = match (flagged, leaks) {
        (false, false) => "no leak seen",
        (true, true) => "flagged, as it must be",
        (true, false) => "LEAK",
        (false, true) => "NOT FLAGGED: the test is blind",
    };
    println!("{what:58} {:7} samples, medians {a:10.0} and {b:10.0} ns, t = {t:7.2}: {verdict}", samples[0].len());
    flagged == leaks
}

/// A comparison that stops at the first difference: the negative control.
#[inline(never)]
fn stops_at_the_first_difference(a: &[u8], b: &[u8]) -> bool {
    for (a, b) in a.iter().zip(b) {
        if black_box(*a) != black_box(*b) {
            return false;
        }
    }
    true
}

/// Times the second step with wrong codes that are near to the right one and far from it.
fn codes(leaky: bool) -> [Vec<f64>; 2] {
    let machine = Machine::new().expect("a machine");
    let mut dice = StdRng::seed_from_u64(1);
    let mut samples = [Vec::with_capacity(CODES), Vec::with_capacity(CODES)];
    while samples.iter().any(|sample| sample.len() < CODES) {
        let mut waiting = machine.issue().expect("a code");
        let right = waiting.code().to_owned();
        // Both are made, whichever is used.
        let other = |digit: u8| b'0' + (digit - b'0' + 1 + dice.random_range(0..9)) % 10;
        let far: Vec<u8> = right.bytes().map(other).collect();
        let near = [&right.as_bytes()[..5], &far[5..]].concat();
        let class = usize::from(rand::RngExt::random::<bool>(&mut dice));
        let typed = String::from_utf8([near, far][class].clone()).expect("digits");
        let start = Instant::now();
        if leaky {
            black_box(stops_at_the_first_difference(right.as_bytes(), typed.as_bytes()));
        }
        let done = waiting.submit(&typed).expect("an answer");
        let time = start.elapsed();
        assert!(!black_box(done));
        samples[class].push(time.as_nanos() as f64);
    }
    samples
}

struct Silent;

#[async_trait]
impl CodeSender for Silent {
    async fn send_code(&self, _: &CodeMessage) -> Result<Accepted, SendError> {
        Ok(Accepted::Sent)
    }

    async fn notify(&self, _: &Notice) -> Result<Accepted, SendError> {
        Ok(Accepted::Sent)
    }
}

/// Costs nothing and lets nobody in: for locking passwords before the time is taken.
struct Never;

#[async_trait]
impl PasswordVerifier for Never {
    async fn verify(&self, _: &PasswordAttempt<'_>) -> Result<Verdict, Fault> {
        Ok(Verdict::Wrong)
    }

    async fn rehash(&self, _: &Password) -> Result<Option<PasswordHash>, Fault> {
        Ok(None)
    }
}

/// Spends a twentieth less memory on unknown names: the negative control, after a hash whose parameters were raised for the known only.
struct LessForUnknown {
    known: Argon2id,
    unknown: Argon2id,
}

#[async_trait]
impl PasswordVerifier for LessForUnknown {
    async fn verify(&self, attempt: &PasswordAttempt<'_>) -> Result<Verdict, Fault> {
        if attempt.user.is_some() { self.known.verify(attempt).await } else { self.unknown.verify(attempt).await }
    }

    async fn rehash(&self, password: &Password) -> Result<Option<PasswordHash>, Fault> {
        self.known.rehash(password).await
    }
}

const KINDS: [&str; 4] = ["wrong", "unknown", "disabled", "locked"];

/// Times the first step of this kind of name against a wrong password.
fn first_steps(flow: &LoginFlow, tenant: &TenantId, kind: &str) -> [Vec<f64>; 2] {
    let mut dice = StdRng::seed_from_u64(2);
    let password = Password::new("not the password");
    let mut samples = [Vec::with_capacity(FIRST_STEPS), Vec::with_capacity(FIRST_STEPS)];
    while samples.iter().any(|sample| sample.len() < FIRST_STEPS) {
        let class = usize::from(dice.random::<bool>());
        if samples[class].len() == FIRST_STEPS {
            continue;
        }
        let name = format!("{}-{}", [KINDS[0], kind][class], samples[class].len() % USERS);
        let login = Login { tenant, name: &name, password: &password, channel: Channel::Web, device: None };
        let start = Instant::now();
        let step = block_on(flow.begin(&login));
        let time = start.elapsed();
        assert!(matches!(step, Ok(LoginStep::Denied(_))), "{name}");
        samples[class].push(time.as_nanos() as f64);
    }
    samples
}

struct Town {
    users: MemoryUsers,
    factors: MemoryFactors,
    clock: ManualClock,
    tenant: TenantId,
}

impl Town {
    fn new() -> Self {
        let (users, tenant) = (MemoryUsers::new(), TenantId::new("acme").expect("an id"));
        let verifier = Argon2id::default();
        for kind in KINDS.iter().filter(|kind| **kind != "unknown") {
            for number in 0..USERS {
                let name = format!("{kind}-{number}");
                let mut user = User::new(tenant.clone(), UserId::new(&name).expect("an id"));
                // A salt for each: what a hash reads depends on it.
                user.password_hash = block_on(verifier.rehash(&Password::new("the password"))).expect("a hash");
                user.status = if *kind == "disabled" { UserStatus::Disabled } else { UserStatus::Active };
                users.insert(&LoginName::new(&name).expect("a name"), user);
            }
        }
        let clock = ManualClock::new(OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("a time"));
        Self { users, factors: MemoryFactors::new(), clock, tenant }
    }

    fn flow(&self, verifier: impl PasswordVerifier + 'static) -> LoginFlow {
        LoginFlow::builder(self.users.clone(), self.factors.clone(), Silent)
            .clock(self.clock.clone())
            .password_verifier(verifier)
            .build()
            .expect("the defaults")
    }

    /// Ten wrong passwords for each of those who are to be locked.
    fn lock(&self) {
        let (flow, password) = (self.flow(Never), Password::new("wrong"));
        for number in 0..USERS {
            let name = format!("locked-{number}");
            let login =
                Login { tenant: &self.tenant, name: &name, password: &password, channel: Channel::Web, device: None };
            for _ in 0..10 {
                let _step = block_on(flow.begin(&login)).expect("an answer");
            }
        }
    }
}

fn main() -> ExitCode {
    let mut as_it_must = report("wrong codes, near to the right one and far from it", &codes(false), false);
    as_it_must &= report("the same, with a comparison that stops early", &codes(true), true);
    for kind in &KINDS[1..] {
        let town = Town::new();
        town.lock();
        let samples = first_steps(&town.flow(Arc::new(Argon2id::default())), &town.tenant, kind);
        as_it_must &= report(&format!("first steps: a wrong password and {kind}"), &samples, false);
    }
    let town = Town::new();
    let cheaper = Argon2id::builder().memory_kib(19 * 1024).iterations(2).build().expect("the default");
    let known = Argon2id::builder().memory_kib(20 * 1024).iterations(2).build().expect("a little more");
    let leaky = LessForUnknown { known, unknown: cheaper };
    as_it_must &= report(
        "the same, with a twentieth less work for unknown",
        &first_steps(&town.flow(leaky), &town.tenant, "unknown"),
        true,
    );
    if as_it_must { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
