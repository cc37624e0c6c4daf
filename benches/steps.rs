//! What a step costs: the machine alone against a floor without a store (target: at most 1.5x), and
//! whole steps on the in-memory store.
//!
//! The floors do what cannot be left out: for a code, one 40-byte draw from the operating system, a
//! uniform code, a token, one HMAC and the clock; for its check, decoding the token, one HMAC, a
//! constant-time comparison and the clock. Ratios are taken pair by pair in one run. Nothing is
//! asserted: times belong to a machine.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a benchmark that can't be set up should stop"
)]

use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64ct::{Base64UrlUnpadded, Encoding};
use countersign_inside::clock::ManualClock;
use countersign_inside::contact::EmailAddress;
use countersign_inside::internals::Machine;
use countersign_inside::memory::{MemoryFactors, MemoryUsers};
use countersign_inside::sender::{CodeMessage, CodeSender, Notice, SendError, SendStatus};
use countersign_inside::user::{PasswordHash, User};
use countersign_inside::{
    Channel, Code, LockOuts, LoginFlow, LoginName, LoginStep, PendingToken, PreverifiedLogin,
    RequestContext, Scope, TenantId, TrustDevice, UserId,
};
use criterion::{BatchSize, Criterion};
use futures_lite::future::block_on;
use hmac::{Hmac, KeyInit, Mac};
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use time::OffsetDateTime;

const ROUNDS: usize = 2_000;
/// Steps in one timed sample: one alone is close to the clock's own cost.
const BATCH: u32 = 20;
const USERS: u32 = 1_000;

struct FloorCode {
    token: String,
    tag: [u8; 32],
    code: u64,
    issued: OffsetDateTime,
}

fn floor_tag(secret: &[u8], code: u64) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any length");
    mac.update(&[7; 62]);
    mac.update(&code.to_le_bytes());
    mac.finalize().into_bytes().into()
}

fn floor_issue() -> FloorCode {
    let mut random = [0_u8; 40];
    SysRng.try_fill_bytes(&mut random).expect("randomness");
    let code = u64::from_le_bytes(random[32..].try_into().expect("eight bytes")) % 1_000_000;
    let token = Base64UrlUnpadded::encode_string(&random[..32]);
    FloorCode {
        token,
        tag: floor_tag(&random[..32], code),
        code,
        issued: OffsetDateTime::now_utc(),
    }
}

fn floor_verify(issued: &FloorCode) -> bool {
    let mut secret = [0_u8; 32];
    Base64UrlUnpadded::decode(&issued.token, &mut secret).expect("a token");
    let matches: bool = floor_tag(&secret, issued.code).ct_eq(&issued.tag).into();
    matches && OffsetDateTime::now_utc() < issued.issued + time::Duration::minutes(3)
}

/// Keeps the newest code, as a mailbox would.
#[derive(Default)]
struct Mailbox(Mutex<String>);

#[async_trait]
impl CodeSender for Mailbox {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        message.code.expose().clone_into(&mut self.0.lock().expect("no poison"));
        Ok(SendStatus::Sent)
    }

    async fn notify(&self, _: &Notice) -> Result<SendStatus, SendError> {
        Ok(SendStatus::Sent)
    }
}

/// A flow on the in-memory store, whose users log in by turns.
struct Whole {
    flow: LoginFlow,
    tenant: TenantId,
    mailbox: Arc<Mailbox>,
    clock: ManualClock,
    users: std::iter::Cycle<std::vec::IntoIter<UserId>>,
}

impl Whole {
    fn new() -> Self {
        let (users, tenant) = (MemoryUsers::new(), TenantId::new("acme").expect("an id"));
        for number in 0..=USERS {
            let mut user = User::new(tenant.clone(), user_id(number));
            user.email = Some(EmailAddress::new("alice@example.com").expect("an address"));
            user.password_hash = Some(PasswordHash::new(
                "$argon2id$v=19$m=19456,t=2,p=1$aaaaaaaaaaaaaaaaaaaaaa$bbbbbbbb",
            ));
            user.system_administrator = number == 0;
            users.insert(&LoginName::new(&number.to_string()).expect("a name"), user);
        }
        let mailbox = Arc::new(Mailbox::default());
        let clock = ManualClock::new(OffsetDateTime::now_utc());
        let builder = LoginFlow::builder(users, MemoryFactors::new(), Arc::clone(&mailbox))
            .clock(clock.clone());
        let flow = builder.build().expect("defaults");
        let ids: Vec<UserId> = (1..=USERS).map(user_id).collect();
        let whole = Self { flow, tenant, mailbox, clock, users: ids.into_iter().cycle() };
        let LoginStep::Authenticated(root) = whole.begin(&user_id(0)) else {
            panic!("nobody needs a code yet")
        };
        block_on(async {
            let administration = whole
                .flow
                .request(&whole.tenant, &RequestContext::new())
                .administration(&root.grant)
                .await
                .expect("an administrator");
            let shown = administration.settings().await.expect("settings");
            let mut next = shown.settings;
            next.scope = Scope::EntireTenant;
            let changed = administration.change_settings(shown.version, &next, LockOuts::Accept);
            changed.await.expect("a scope");
        });
        whole
    }

    fn begin(&self, user: &UserId) -> LoginStep {
        let login = PreverifiedLogin { user, channel: Channel::Web, device: None };
        block_on(
            self.flow
                .request(&self.tenant, &RequestContext::new())
                .begin_with_preverified_password(&login),
        )
        .expect("a step")
    }

    /// So that no send budget is met.
    fn next_day(&self) {
        self.clock.advance(Duration::from_secs(25 * 60 * 60));
    }

    fn issue(&mut self) -> (PendingToken, Code) {
        let user = self.users.next().expect("there are users");
        let LoginStep::CodeRequired(challenge) = self.begin(&user) else {
            panic!("a code is required")
        };
        (challenge.token, Code::new(self.mailbox.0.lock().expect("no poison").as_str()))
    }

    fn verify(&self, (token, code): &(PendingToken, Code)) {
        let step = block_on(self.flow.request(&self.tenant, &RequestContext::new()).submit_code(
            token,
            code,
            TrustDevice::No,
        ))
        .expect("a step");
        assert!(matches!(step, LoginStep::Authenticated(_)));
    }
}

fn user_id(number: u32) -> UserId {
    UserId::new(&format!("0a1b2c3d-0000-4000-8000-{number:012}")).expect("an id")
}

fn timed(mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    call();
    start.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// One row: the median of the ratios, and of the nanoseconds on both sides.
fn report(label: &str, target: &str, pairs: &[(f64, f64)]) {
    let ratio = median(pairs.iter().map(|(floor, ours)| ours / floor).collect());
    let (floor, ours) = (
        median(pairs.iter().map(|pair| pair.0).collect()),
        median(pairs.iter().map(|pair| pair.1).collect()),
    );
    println!("{label:<44} {ratio:>6.2}x   {ours:>6.0} ns of {floor:>6.0} ns   {target}");
}

fn ratios() {
    let machine = Machine::new().unwrap_or_else(|fault| panic!("{fault}"));
    let (mut issue, mut verify) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (mut floors, mut ours) =
            (Vec::with_capacity(BATCH as usize), Vec::with_capacity(BATCH as usize));
        issue.push((
            timed(|| (0..BATCH).for_each(|_| floors.push(floor_issue()))),
            timed(|| (0..BATCH).for_each(|_| ours.push(machine.issue().expect("a code")))),
        ));
        verify.push((
            timed(|| {
                for code in &floors {
                    assert!(black_box(floor_verify(code)));
                }
            }),
            timed(|| {
                for waiting in &mut ours {
                    assert!(black_box(waiting.verify().expect("a verdict")));
                }
            }),
        ));
    }
    report("machine: issue a code / floor", "(target: at most 1.5x)", &issue);
    report("machine: verify a code / floor", "(target: at most 1.5x)", &verify);

    let mut whole = Whole::new();
    let (mut begins, mut verifies) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        whole.next_day();
        let mut waiting = Vec::with_capacity(BATCH as usize);
        begins.push(timed(|| (0..BATCH).for_each(|_| waiting.push(whole.issue()))));
        verifies.push(timed(|| waiting.iter().for_each(|login| whole.verify(login))));
    }
    let (begin, verify) = (median(begins), median(verifies));
    println!(
        "in memory: begin {begin:.0} ns + verify {verify:.0} ns = {:.2} us   (target: at most 5 us)",
        (begin + verify) / 1e3
    );
}

fn main() {
    // Under `cargo test`, each routine runs once and nothing is measured.
    let measured = std::env::args().any(|argument| argument == "--bench");
    let mut criterion =
        Criterion::default().measurement_time(Duration::from_secs(3)).configure_from_args();
    let machine = Machine::new().unwrap_or_else(|fault| panic!("{fault}"));
    let mut whole = Whole::new();

    let mut group = criterion.benchmark_group("machine");
    group.bench_function("issue", |bencher| bencher.iter(|| machine.issue().expect("a code")));
    group.bench_function("verify", |bencher| {
        bencher.iter_batched(
            || machine.issue().expect("a code"),
            |mut waiting| waiting.verify().expect("a verdict"),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("encode", |bencher| {
        let mut waiting = machine.issue().expect("a code");
        bencher.iter(|| waiting.encode().expect("a document"));
    });
    group.finish();

    let mut group = criterion.benchmark_group("in memory");
    group.bench_function("begin after the password, and verify", |bencher| {
        bencher.iter(|| {
            whole.next_day();
            let login = whole.issue();
            whole.verify(&login);
        });
    });
    group.finish();
    criterion.final_summary();

    if measured {
        ratios();
    }
}
