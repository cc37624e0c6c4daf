//! What a flood of first steps costs everybody else on the runtime, and how many logins get
//! through: on two workers, with the hash on the workers and on the blocking pool.
//!
//! A thread outside of the runtime hands it a task every two milliseconds and notes how long that
//! task waits to run. Meanwhile so many clients log in again and again, and wait as long as they
//! are told where the queue is full. The ways take turns in several rounds of one run; nothing is
//! asserted, since a time belongs to a machine.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(clippy::cast_precision_loss, reason = "numbers of logins are far below 2^52")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use countersign::memory::{MemoryFactors, MemoryUsers};
use countersign::password::{Argon2id, PasswordVerifier};
use countersign::sender::{CodeMessage, CodeSender, Notice, SendError, SendStatus};
use countersign::user::User;
use countersign::{
    Channel, Login, LoginFlow, LoginName, LoginStep, Password, Reason, RequestContext, TenantId,
    UserId,
};
use countersign_tokio::BlockingPool;
use tokio::runtime::{Builder, Runtime};

const WORKERS: usize = 2;
const ROUNDS: usize = 3;
const FOR: Duration = Duration::from_secs(4);
const BETWEEN_TASKS: Duration = Duration::from_millis(2);
/// More than two hashes' worth, fewer than the default queue has places for; and far more than
/// that.
const CLIENTS: [usize; 2] = [24, 400];

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

/// A way to hash.
#[derive(Clone, Copy)]
enum Way {
    /// No first steps at all.
    Idle,
    /// As many hashes as workers, on the workers, and all may wait.
    AllWorkers,
    /// One hash fewer, on the workers: the core's default.
    OneWorkerLeft,
    Pool,
}

impl Way {
    const ALL: [Self; 4] = [Self::Idle, Self::AllWorkers, Self::OneWorkerLeft, Self::Pool];

    const fn name(self) -> &'static str {
        match self {
            Self::Idle => "no first steps",
            Self::AllWorkers => "on the workers, 2 hashes (before)",
            Self::OneWorkerLeft => "on the workers, 1 hash (default)",
            Self::Pool => "BlockingPool, 2 hashes",
        }
    }

    fn flow(self, users: &MemoryUsers) -> Arc<LoginFlow> {
        let argon2id = |max_concurrent: usize| Argon2id::builder().max_concurrent(max_concurrent);
        let builder = LoginFlow::builder(users.clone(), MemoryFactors::new(), Silent);
        let with =
            |verifier: Arc<dyn PasswordVerifier>| builder.password_verifier(verifier).build();
        let flow = match self {
            Self::Idle | Self::AllWorkers => {
                with(Arc::new(argon2id(WORKERS).queue(10_000).build().expect("within the bounds")))
            }
            Self::OneWorkerLeft => {
                with(Arc::new(argon2id(WORKERS - 1).build().expect("within the bounds")))
            }
            Self::Pool => with(Arc::new(BlockingPool::new(
                argon2id(WORKERS).build().expect("within the bounds"),
                WORKERS,
            ))),
        };
        Arc::new(flow.expect("the defaults"))
    }
}

#[derive(Default)]
struct Seen {
    delays: Vec<Duration>,
    logins: usize,
    busy: usize,
    time: Duration,
}

impl Seen {
    fn print(mut self, way: Way, bare: f64) {
        self.delays.sort_unstable();
        let at = |percent: usize| {
            self.delays[(self.delays.len() * percent / 100).min(self.delays.len() - 1)]
        };
        let [median, p98, p99] = [50, 98, 99].map(|percent| at(percent).as_secs_f64() * 1e3);
        let rate = self.logins as f64 / self.time.as_secs_f64();
        let (share, busy) = (rate / bare, self.busy as f64 / self.time.as_secs_f64());
        println!(
            "{:36} {median:9.3} {p98:9.3} {p99:9.3} ms   {rate:7.1} logins/s ({share:.2} of the bare hashes)   {busy:7.1} busy/s",
            way.name()
        );
    }
}

/// Runs one way for a time, with so many clients.
fn flood(way: Way, users: &MemoryUsers, tenant: &TenantId, clients: usize, seen: &mut Seen) {
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_time()
        .build()
        .expect("a runtime");
    let (flow, stop) = (way.flow(users), Arc::new(AtomicBool::new(false)));
    let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let start = Instant::now();
    if !matches!(way, Way::Idle) {
        for client in 0..clients {
            let (flow, tenant, stop, counts) =
                (flow.clone(), tenant.clone(), stop.clone(), counts.clone());
            runtime.spawn(async move {
                log_in_again_and_again(&flow, &tenant, client, &stop, &counts).await;
            });
        }
    }
    let delays = probe(&runtime, start);
    seen.time += start.elapsed();
    seen.delays.extend(delays);
    stop.store(true, SeqCst);
    seen.logins += counts[0].load(SeqCst);
    seen.busy += counts[1].load(SeqCst);
    runtime.shutdown_timeout(Duration::from_secs(10));
}

async fn log_in_again_and_again(
    flow: &LoginFlow,
    tenant: &TenantId,
    client: usize,
    stop: &AtomicBool,
    counts: &[AtomicUsize; 2],
) {
    let (name, password) = (format!("user-{client}"), Password::new("the password"));
    let login = Login { name: &name, password: &password, channel: Channel::Web, device: None };
    while !stop.load(SeqCst) {
        match flow.request(tenant, &RequestContext::new()).begin(&login).await.expect("no fault") {
            LoginStep::Denied(denied) if denied.reason() == Reason::Busy => {
                counts[1].fetch_add(1, SeqCst);
                let until =
                    denied.retry_at().expect("a time to wait") - time::OffsetDateTime::now_utc();
                tokio::time::sleep(until.max(time::Duration::ZERO).unsigned_abs()).await;
            }
            other => {
                assert!(matches!(other, LoginStep::Authenticated(_)), "{other:?}");
                counts[0].fetch_add(1, SeqCst);
                // A client's next request comes over the network; a loop that is never pending
                // would keep its worker for ever.
                tokio::task::yield_now().await;
            }
        }
    }
}

/// How long tasks wait that somebody outside hands to the runtime.
fn probe(runtime: &Runtime, start: Instant) -> Vec<Duration> {
    let (sender, receiver) = mpsc::channel();
    let mut delays = Vec::new();
    while start.elapsed() < FOR {
        let (sender, handed) = (sender.clone(), Instant::now());
        runtime.spawn(async move {
            let _ = sender.send(handed.elapsed());
        });
        delays.extend(receiver.recv());
        std::thread::sleep(BETWEEN_TASKS);
    }
    delays
}

/// Hashes per second of as many threads as there are workers, which do nothing else.
fn bare() -> f64 {
    let verifier = Argon2id::builder().max_concurrent(WORKERS).build().expect("within the bounds");
    let (start, hashes) = (Instant::now(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let runtime = Builder::new_current_thread().build().expect("a runtime");
                while start.elapsed() < FOR {
                    runtime
                        .block_on(verifier.hash(&Password::new("the password")))
                        .expect("a hash");
                    hashes.fetch_add(1, SeqCst);
                }
            });
        }
    });
    hashes.load(SeqCst) as f64 / start.elapsed().as_secs_f64()
}

fn main() {
    // Under `cargo test` nothing is measured.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let (users, tenant) = (MemoryUsers::new(), TenantId::new("acme").expect("an id"));
    let verifier = Argon2id::default();
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let hash = runtime.block_on(verifier.hash(&Password::new("the password"))).expect("a hash");
    for client in 0..CLIENTS[1] {
        let name = format!("user-{client}");
        let mut user = User::new(tenant.clone(), UserId::new(&name).expect("an id"));
        user.password_hash = Some(hash.clone());
        users.insert(&LoginName::new(&name).expect("a name"), user);
    }
    for clients in CLIENTS {
        let bare = f64::midpoint(bare(), bare());
        println!(
            "{clients} clients, {WORKERS} workers, {bare:.1} bare hashes/s; another task waits (median, 98 %, 99 %):"
        );
        let mut seen: [Seen; 4] = Default::default();
        for _ in 0..ROUNDS {
            for (way, seen) in Way::ALL.into_iter().zip(&mut seen) {
                flood(way, &users, &tenant, clients, seen);
            }
        }
        for (way, seen) in Way::ALL.into_iter().zip(seen) {
            seen.print(way, bare);
        }
    }
}
