//! Whether time tells what an answer does not: two kinds of input at a time, in pairs of random
//! order, in many processes.
//!
//! - The second step: wrong codes that have the first five digits of the right one, against wrong
//!   codes that have none (`I-20`).
//! - The first step: unknown names, disabled users and locked passwords, each against a wrong
//!   password (`I-17`).
//!
//! The unit is the process: where its memory happens to lie makes one kind of input a little faster
//! in all samples of that process, which many samples of one process take for a leak. So each
//! process gives one number, the mean difference of its pairs, and the t-test asks whether these
//! differ from zero over the processes.
//!
//! Each comparison has a negative control that does leak and that the test must flag, or it would
//! be blind. `scripts/timing` runs it; no test asserts on it, since a time belongs to a machine:
//! what CI checks is that every branch makes the same calls.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![allow(
    clippy::cast_precision_loss,
    reason = "nanoseconds and numbers of samples are far below 2^52"
)]

use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use countersign_inside::clock::ManualClock;
use countersign_inside::error::PluginError;
use countersign_inside::internals::Machine;
use countersign_inside::memory::{MemoryFactors, MemoryUsers};
use countersign_inside::password::{
    Admission, Argon2id, Busy, PasswordAttempt, PasswordCheck, PasswordVerifier,
};
use countersign_inside::sender::{CodeMessage, CodeSender, Notice, SendError, SendStatus};
use countersign_inside::user::{PasswordHash, User, UserStatus};
use countersign_inside::{
    Channel, Login, LoginFlow, LoginName, LoginStep, Password, RequestContext, TenantId, UserId,
};
use futures_lite::future::block_on;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use time::OffsetDateTime;

/// Of 24 processes without a leak, chance brings the t beyond this once in 6,000 times.
const FLAGGED: f64 = 4.5;
/// The least number of processes, and how many are taken if `COUNTERSIGN_TIMING_PROCESSES` does not
/// say.
const LEAST_PROCESSES: u64 = 20;
const PROCESSES: u64 = 24;
/// Set for a child process: its number, which is its seed.
const CHILD: &str = "COUNTERSIGN_TIMING_CHILD";
/// Samples of each kind in one process.
const CODES: usize = 100_000;
const FIRST_STEPS: usize = 60;
/// Users of each kind: few enough wrong passwords each that nobody who is not meant to be is
/// locked.
const USERS: usize = 20;

/// The comparisons, each with whether it leaks on purpose.
const COMPARISONS: [(&str, bool); 6] = [
    ("wrong codes: near to the right one, and far from it", false),
    ("the same, with a comparison that stops early", true),
    ("first steps: a wrong password, and an unknown name", false),
    ("first steps: a wrong password, and a disabled user", false),
    ("first steps: a wrong password, and a locked one", false),
    ("a wrong password, and a twentieth less work for unknown", true),
];

/// What the first kind takes, and how much longer the second one takes than the first beside it:
/// the means of the middle halves. A machine that is slower for a while slows both of a pair, and
/// what lies far out is the machine's doing.
fn base_and_difference([first, second]: &[Vec<f64>; 2]) -> [f64; 2] {
    [first.clone(), first.iter().zip(second).map(|(first, second)| second - first).collect()]
        .map(middle_half)
}

fn middle_half(mut sample: Vec<f64>) -> f64 {
    sample.sort_by(f64::total_cmp);
    let half = &sample[sample.len() / 4..sample.len() - sample.len() / 4];
    half.iter().sum::<f64>() / half.len() as f64
}

/// Prints one comparison over all processes. Says whether it came out as it must.
fn report(what: &str, processes: &[[f64; 2]], leaks: bool) -> bool {
    let number = processes.len() as f64;
    let base = processes.iter().map(|[base, _]| base).sum::<f64>() / number;
    let mean = processes.iter().map(|[_, difference]| difference).sum::<f64>() / number;
    let variance = processes.iter().map(|[_, difference]| (difference - mean).powi(2)).sum::<f64>()
        / (number - 1.0);
    let error = (variance / number).sqrt();
    let t = mean / error;
    let flagged = t.abs() > FLAGGED;
    let verdict = match (flagged, leaks) {
        (false, false) => "no leak seen",
        (true, true) => "flagged, as it must be",
        (true, false) => "LEAK",
        (false, true) => "NOT FLAGGED: the test is blind",
    };
    let percent = |nanoseconds: f64| 100.0 * nanoseconds / base;
    println!(
        "{what:56} {base:10.0} ns, the second {mean:+9.0} +/- {error:7.0} ns ({:+.3} +/- {:.3} %), t = {t:6.2}: {verdict}",
        percent(mean),
        percent(error),
    );
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
fn codes(seed: u64, leaky: bool) -> [Vec<f64>; 2] {
    let machine = Machine::new().expect("a machine");
    let mut dice = StdRng::seed_from_u64(seed);
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
    async fn send_code(&self, _: &CodeMessage) -> Result<SendStatus, SendError> {
        Ok(SendStatus::Sent)
    }

    async fn notify(&self, _: &Notice) -> Result<SendStatus, SendError> {
        Ok(SendStatus::Sent)
    }
}

/// Costs nothing and lets nobody in: for locking passwords before the time is taken.
struct Never;

#[async_trait]
impl PasswordVerifier for Never {
    fn admit(&self) -> Result<Admission, Busy> {
        Ok(Admission::unbounded())
    }

    async fn verify(&self, _: &PasswordAttempt<'_>) -> Result<PasswordCheck, PluginError> {
        Ok(PasswordCheck::Mismatch)
    }

    async fn hash_password(&self, _: &Password) -> Result<Option<PasswordHash>, PluginError> {
        Ok(None)
    }
}

/// Spends a twentieth less memory on unknown names: the negative control, after a hash whose
/// parameters were raised for the known only.
struct LessForUnknown {
    known: Argon2id,
    unknown: Argon2id,
}

#[async_trait]
impl PasswordVerifier for LessForUnknown {
    fn admit(&self) -> Result<Admission, Busy> {
        self.known.admit()
    }

    async fn verify(&self, attempt: &PasswordAttempt<'_>) -> Result<PasswordCheck, PluginError> {
        if attempt.user.is_some() {
            self.known.verify(attempt).await
        } else {
            self.unknown.verify(attempt).await
        }
    }

    async fn hash_password(
        &self,
        password: &Password,
    ) -> Result<Option<PasswordHash>, PluginError> {
        self.known.hash_password(password).await
    }
}

const KINDS: [&str; 4] = ["wrong", "unknown", "disabled", "locked"];

/// Times the first step of this kind of name against a wrong password.
fn first_steps(seed: u64, flow: &LoginFlow, tenant: &TenantId, kind: &str) -> [Vec<f64>; 2] {
    let mut dice = StdRng::seed_from_u64(seed);
    let password = Password::new("not the password");
    let mut samples = [Vec::with_capacity(FIRST_STEPS), Vec::with_capacity(FIRST_STEPS)];
    for pair in 0..FIRST_STEPS {
        let first = usize::from(dice.random::<bool>());
        for class in [first, 1 - first] {
            let name = format!("{}-{}", [KINDS[0], kind][class], pair % USERS);
            let login =
                Login { name: &name, password: &password, channel: Channel::Web, device: None };
            let start = Instant::now();
            let step = block_on(flow.request(tenant, &RequestContext::new()).begin(&login));
            let time = start.elapsed();
            assert!(matches!(step, Ok(LoginStep::Denied(_))), "{name}");
            samples[class].push(time.as_nanos() as f64);
        }
    }
    samples
}

struct Town {
    users: MemoryUsers,
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
                user.password_hash =
                    Some(block_on(verifier.hash(&Password::new("the password"))).expect("a hash"));
                user.status =
                    if *kind == "disabled" { UserStatus::Disabled } else { UserStatus::Active };
                users.insert(&LoginName::new(&name).expect("a name"), user);
            }
        }
        let clock =
            ManualClock::new(OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("a time"));
        Self { users, clock, tenant }
    }

    fn flow(
        &self,
        factors: &MemoryFactors,
        verifier: impl PasswordVerifier + 'static,
    ) -> LoginFlow {
        LoginFlow::builder(self.users.clone(), factors.clone(), Silent)
            .clock(self.clock.clone())
            .password_verifier(verifier)
            .build()
            .expect("the defaults")
    }

    /// The users as they were made, but for those whose passwords are locked: by ten wrong ones
    /// each.
    fn locked(&self) -> MemoryFactors {
        let factors = MemoryFactors::new();
        let (flow, password) = (self.flow(&factors, Never), Password::new("wrong"));
        for number in 0..USERS {
            let name = format!("locked-{number}");
            let login =
                Login { name: &name, password: &password, channel: Channel::Web, device: None };
            for _ in 0..10 {
                let _step =
                    block_on(flow.request(&self.tenant, &RequestContext::new()).begin(&login))
                        .expect("an answer");
            }
        }
        factors
    }
}

/// One process: base and difference of each comparison, a line each.
fn child(seed: u64) {
    let print = |samples: &[Vec<f64>; 2]| {
        let [base, difference] = base_and_difference(samples);
        println!("{base} {difference}");
    };
    print(&codes(seed, false));
    print(&codes(seed, true));
    let town = Town::new();
    for kind in &KINDS[1..] {
        let flow = town.flow(&town.locked(), Arc::new(Argon2id::default()));
        print(&first_steps(seed, &flow, &town.tenant, kind));
    }
    let known = Argon2id::builder().memory_kib(20 * 1024).build().expect("a little more");
    let leaky = LessForUnknown { known, unknown: Argon2id::default() };
    print(&first_steps(seed, &town.flow(&town.locked(), leaky), &town.tenant, "unknown"));
}

/// Runs a process of its own, and reads what it found.
fn process(seed: u64) -> Vec<[f64; 2]> {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program).env(CHILD, seed.to_string()).output().expect("a process");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let number = |text: Option<&str>| text.and_then(|text| text.parse().ok()).expect("a number");
    let text = String::from_utf8(output.stdout).expect("text");
    let found: Vec<[f64; 2]> = text
        .lines()
        .map(|line| {
            let mut numbers = line.split(' ');
            [number(numbers.next()), number(numbers.next())]
        })
        .collect();
    assert_eq!(found.len(), COMPARISONS.len());
    found
}

fn main() -> ExitCode {
    if let Ok(seed) = std::env::var(CHILD) {
        child(seed.parse().expect("a number"));
        return ExitCode::SUCCESS;
    }
    let wanted = std::env::var("COUNTERSIGN_TIMING_PROCESSES")
        .map_or(PROCESSES, |it| it.parse().expect("a number"));
    let wanted = wanted.max(LEAST_PROCESSES);
    println!(
        "{wanted} processes; of each comparison {CODES} or {FIRST_STEPS} samples of each kind in each"
    );
    let found: Vec<Vec<[f64; 2]>> = (1..=wanted).map(process).collect();
    let mut as_it_must = true;
    for (at, (what, leaks)) in COMPARISONS.into_iter().enumerate() {
        let processes: Vec<[f64; 2]> = found.iter().map(|process| process[at]).collect();
        as_it_must &= report(what, &processes, leaks);
    }
    if as_it_must { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
