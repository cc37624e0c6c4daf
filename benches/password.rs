//! What [`Argon2id::verify`] adds to the bare argon2 call with the same backend, against the
//! targets of benches/README.md.
//!
//! Every ratio is taken pair by pair in one run, the two calls of a pair in alternating order, and
//! reported as the median with its quartiles. Nothing is asserted: times belong to a machine.
//! "Warm" is a call whose memory the allocator had at hand; "cold" is one that gets fresh memory
//! from the system, as a long-running process does whose allocator gives memory back. Cold pairs
//! run in a process of their own, with glibc told to map large allocations afresh; with another
//! allocator they are as warm as the others.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a benchmark that can't be set up should stop"
)]

use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, Version};
use countersign_inside::password::{Argon2id, PasswordAttempt, PasswordCheck, PasswordVerifier};
use countersign_inside::user::User;
use countersign_inside::{LoginName, Password, TenantId, UserId};
use criterion::Criterion;
use futures_lite::future::block_on;

const PASSWORD: &str = "correct horse battery staple";
const PAIRS: usize = 101;
/// Set for the child process that measures cold pairs.
const COLD: &str = "COUNTERSIGN_BENCH_COLD";

struct Login {
    verifier: Argon2id,
    tenant: TenantId,
    name: LoginName,
    user: User,
    password: Password,
}

impl Login {
    fn new() -> Self {
        let verifier = Argon2id::builder().max_concurrent(1).build().expect("default parameters");
        let password = Password::new(PASSWORD);
        let (tenant, name) =
            (TenantId::new("t").expect("an id"), LoginName::new("n").expect("a name"));
        let mut user = User::new(tenant.clone(), UserId::new("u1").expect("an id"));
        user.password_hash = Some(block_on(verifier.hash(&password)).expect("a hash"));
        Self { verifier, tenant, name, user, password }
    }

    /// The same user, whose hash is now cheaper than the current parameters.
    fn after_raising_the_cost(self) -> Self {
        let verifier = Argon2id::builder()
            .memory_kib(46 * 1024)
            .max_concurrent(1)
            .build()
            .expect("parameters within bounds");
        Self { verifier, ..self }
    }

    fn verify(&self, user: Option<&User>) -> PasswordCheck {
        let attempt = PasswordAttempt::new(&self.tenant, &self.name, user, &self.password);
        block_on(self.verifier.verify(black_box(&attempt))).expect("a verdict")
    }

    fn known(&self) {
        assert_eq!(self.verify(Some(&self.user)), PasswordCheck::Match);
    }

    fn outdated(&self) {
        assert_eq!(self.verify(Some(&self.user)), PasswordCheck::MatchNeedsRehash);
    }

    fn unknown(&self) {
        assert_eq!(self.verify(None), PasswordCheck::Mismatch);
    }
}

/// The floor: the one-shot call of the argon2 crate, which allocates, computes and frees.
fn bare() {
    let params = Params::new(19456, 2, 1, Some(32)).expect("default parameters");
    let mut output = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(black_box(PASSWORD.as_bytes()), black_box(&[3; 16]), &mut output)
        .expect("a hash");
    black_box(output);
}

fn timed(call: impl FnOnce()) -> Duration {
    let start = Instant::now();
    call();
    start.elapsed()
}

fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [values.len() / 4, values.len() / 2, values.len() * 3 / 4].map(|at| values[at])
}

fn report(label: &str, target: &str, floor: impl Fn(), call: impl Fn()) {
    floor();
    call();
    let (mut ratios, mut floors) = (Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        let (base, ours) = if pair % 2 == 0 {
            let base = timed(&floor);
            (base, timed(&call))
        } else {
            let ours = timed(&call);
            (timed(&floor), ours)
        };
        ratios.push(ours.as_secs_f64() / base.as_secs_f64());
        floors.push(base.as_secs_f64() * 1e3);
    }
    let ([low, median, high], [_, base, _]) = (quartiles(ratios), quartiles(floors));
    println!("{label:<36} {median:.3}x  [{low:.3} .. {high:.3}]  of {base:.2} ms  {target}");
}

fn pairs(temperature: &str, target: &str) {
    let login = Login::new();
    report(&format!("{temperature}: verify, known user / bare"), target, bare, || login.known());
    report(&format!("{temperature}: verify, unknown user / bare"), "", bare, || login.unknown());
    report(
        &format!("{temperature}: unknown / known user"),
        "(I-17: 1.0x)",
        || login.known(),
        || login.unknown(),
    );

    let raised = login.after_raising_the_cost();
    let label = format!("{temperature}: cheaper saved hash / unknown");
    report(
        &label,
        "(I-17: the same work; smaller memories are faster)",
        || raised.unknown(),
        || raised.outdated(),
    );
}

fn main() {
    if std::env::var_os(COLD).is_some() {
        return pairs("cold", "(target: at most 0.65x)");
    }
    // Under `cargo test`, each routine runs once and nothing is measured.
    let measured = std::env::args().any(|argument| argument == "--bench");

    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    let login = Login::new();
    let mut group = criterion.benchmark_group("password");
    group.bench_function("bare argon2, one-shot", |bencher| bencher.iter(bare));
    group.bench_function("verify, known user", |bencher| bencher.iter(|| login.known()));
    group.bench_function("verify, unknown user", |bencher| bencher.iter(|| login.unknown()));
    group.finish();
    criterion.final_summary();

    if measured {
        pairs("warm", "(target: at most 1.05x)");
        let child = std::env::current_exe().and_then(|program| {
            Command::new(program).env(COLD, "1").env("MALLOC_MMAP_THRESHOLD_", "131072").status()
        });
        if !child.is_ok_and(|status| status.success()) {
            println!("cold: could not be measured");
        }
    }
}
