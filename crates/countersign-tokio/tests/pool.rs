//! What a pool promises: hashes on other threads, as many as it may, whether or not anybody waits
//! for them.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::missing_panics_doc
)]

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread::ThreadId;
use std::time::Duration;

use async_trait::async_trait;
use countersign::error::PluginError;
use countersign::password::{
    Admission, Argon2id, Busy, PasswordAttempt, PasswordCheck, PasswordVerifier,
};
use countersign::user::{PasswordHash, User};
use countersign::{LoginName, Password, TenantId, UserId};
use countersign_tokio::BlockingPool;

/// Only a test that fails waits so long.
const NEVER: Duration = Duration::from_secs(20);

/// A verifier whose checks stay where they are until the test lets them go, and that notes what it
/// was asked and where.
#[derive(Clone, Default)]
struct Gate(Arc<Inside>);

#[derive(Default)]
struct Inside {
    seen: Mutex<Seen>,
    changed: Condvar,
    places: AtomicUsize,
}

#[derive(Default)]
struct Seen {
    open: usize,
    running: usize,
    most_running: usize,
    threads: Vec<ThreadId>,
    asked: Vec<String>,
}

impl Gate {
    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap()
    }

    /// Waits for something that is bound to happen.
    fn wait_until(&self, happened: impl Fn(&Seen) -> bool) -> std::sync::MutexGuard<'_, Seen> {
        let (seen, over) =
            self.0.changed.wait_timeout_while(self.lock(), NEVER, |seen| !happened(seen)).unwrap();
        assert!(!over.timed_out(), "it never happened");
        seen
    }

    /// Lets so many checks go.
    fn let_go(&self, checks: usize) {
        self.lock().open += checks;
        self.0.changed.notify_all();
    }

    fn pass(&self, asked: String) {
        let mut seen = self.lock();
        seen.running += 1;
        seen.most_running = seen.most_running.max(seen.running);
        seen.threads.push(std::thread::current().id());
        seen.asked.push(asked);
        self.0.changed.notify_all();
        // A test that fails must not wait for this thread for ever.
        let (mut seen, over) =
            self.0.changed.wait_timeout_while(seen, NEVER, |seen| seen.open == 0).unwrap();
        assert!(!over.timed_out(), "nobody let this check go");
        seen.open -= 1;
        seen.running -= 1;
        self.0.changed.notify_all();
    }
}

#[async_trait]
impl PasswordVerifier for Gate {
    fn admit(&self) -> Result<Admission, Busy> {
        self.0.places.fetch_add(1, SeqCst);
        Err(Busy::new(Duration::from_secs(7)))
    }

    async fn verify(&self, attempt: &PasswordAttempt<'_>) -> Result<PasswordCheck, PluginError> {
        let (tenant, name) =
            (attempt.tenant.as_str(), attempt.name.map_or("nobody", LoginName::as_str));
        let hash = attempt
            .user
            .and_then(|user| user.password_hash.as_ref())
            .map_or("none", PasswordHash::expose);
        self.pass(format!("{tenant} {name} {hash} {}", attempt.password.expose()));
        match attempt.password.expose() {
            "right" => Ok(PasswordCheck::Match),
            "broken" => Err(PluginError::new("no hash today")),
            "panics" => panic!("the password is panics"),
            _ => Ok(PasswordCheck::Mismatch),
        }
    }

    async fn hash_password(
        &self,
        password: &Password,
    ) -> Result<Option<PasswordHash>, PluginError> {
        self.pass(format!("hash {}", password.expose()));
        Ok(Some(PasswordHash::new("a hash")))
    }
}

struct Person {
    tenant: TenantId,
    name: LoginName,
    user: User,
}

impl Person {
    fn new() -> Self {
        let tenant = TenantId::new("acme").unwrap();
        let mut user = User::new(tenant.clone(), UserId::new("u1").unwrap());
        user.password_hash = Some(PasswordHash::new("saved"));
        Self { tenant, name: LoginName::new("ann").unwrap(), user }
    }

    fn attempt<'a>(&'a self, password: &'a Password) -> PasswordAttempt<'a> {
        PasswordAttempt::new(&self.tenant, &self.name, Some(&self.user), password)
    }
}

fn poll<F: Future + ?Sized>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Everything that was asked reaches the verifier inside, on another thread than the runtime's only
/// one; its answers and faults come back, and a panic inside is a fault that says nothing of the
/// password.
#[tokio::test]
async fn checks_run_on_other_threads_and_answer_as_the_verifier_inside() {
    let (gate, person) = (Gate::default(), Person::new());
    let pool = BlockingPool::new(gate.clone(), 2);
    gate.let_go(6);
    let verify = async |password: &str| pool.verify(&person.attempt(&password.into())).await;
    assert_eq!(verify("right").await.unwrap(), PasswordCheck::Match);
    assert_eq!(verify("wrong").await.unwrap(), PasswordCheck::Mismatch);
    assert_eq!(verify("broken").await.unwrap_err().to_string(), "no hash today");
    assert_eq!(verify("panics").await.unwrap_err().to_string(), "password verifier panicked");
    let password = Password::new("right");
    let nobody = PasswordAttempt::new(&person.tenant, &person.name, None, &password);
    assert_eq!(pool.verify(&nobody).await.unwrap(), PasswordCheck::Match);
    assert_eq!(pool.hash_password(&password).await.unwrap().unwrap().expose(), "a hash");
    let asked = [
        "acme ann saved right",
        "acme ann saved wrong",
        "acme ann saved broken",
        "acme ann saved panics",
        "acme ann none right",
        "hash right",
    ];
    let here = std::thread::current().id();
    {
        let seen = gate.lock();
        assert_eq!(seen.asked, asked);
        assert!(seen.threads.iter().all(|thread| *thread != here));
    }
    // Control: without the pool it is this thread.
    gate.let_go(1);
    assert_eq!(gate.verify(&nobody).await.unwrap(), PasswordCheck::Match);
    assert_eq!(gate.lock().threads.last(), Some(&here));
}

/// I-40: the queue is that of the verifier inside.
#[tokio::test]
async fn admission_is_asked_of_the_verifier_inside() {
    let gate = Gate::default();
    let pool = BlockingPool::new(gate.clone(), 1);
    assert_eq!(pool.admit().unwrap_err().retry_after(), Duration::from_secs(7));
    assert_eq!(gate.0.places.load(SeqCst), 1);
}

/// I-40: a check whose caller has hung up keeps its turn until it ends, so that hanging up buys
/// nobody more hashes; one that has not begun is never made.
#[tokio::test]
async fn hanging_up_gives_no_turn_away_before_the_check_has_ended() {
    let (gate, person) = (Gate::default(), Person::new());
    let pool = BlockingPool::new(gate.clone(), 2);
    let [one, two, three, four] = ["one", "two", "three", "four"].map(Password::new);
    let [one, two, three, four] =
        [&one, &two, &three, &four].map(|password| person.attempt(password));
    {
        let (mut one, mut two, mut three) =
            (pool.verify(&one), pool.verify(&two), pool.verify(&three));
        assert!(poll(one.as_mut()).is_pending() && poll(two.as_mut()).is_pending());
        drop(gate.wait_until(|seen| seen.running == 2));
        assert!(poll(three.as_mut()).is_pending(), "it waits for its turn");
        // All three hang up.
    }
    let mut fourth = pin!(pool.verify(&four));
    assert!(
        poll(fourth.as_mut()).is_pending(),
        "two checks still run, though nobody waits for them"
    );
    assert_eq!(gate.lock().asked.len(), 2);
    gate.let_go(1);
    drop(gate.wait_until(|seen| seen.running == 1));
    gate.let_go(2);
    assert_eq!(fourth.await.unwrap(), PasswordCheck::Mismatch);
    let seen = gate.wait_until(|seen| seen.running == 0);
    assert_eq!(seen.most_running, 2);
    assert_eq!(seen.asked.len(), 3, "the third was never begun: {:?}", seen.asked);
    assert!(seen.asked.iter().all(|asked| !asked.contains("three")));
}

/// A check that waits for a thread of the pool is given up with its caller: it is never made, and
/// its turn is free.
#[test]
fn a_check_that_no_thread_has_begun_ends_with_its_caller() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    let (gate, other, person) = (Gate::default(), Gate::default(), Person::new());
    let pool = BlockingPool::new(gate.clone(), 1);
    let password = Password::new("right");
    let attempt = person.attempt(&password);
    runtime.block_on(async {
        let inside = other.clone();
        let busy =
            tokio::task::spawn_blocking(move || inside.pass("the application's own".to_owned()));
        drop(other.wait_until(|seen| seen.running == 1));
        let mut check = pool.verify(&attempt);
        assert!(poll(check.as_mut()).is_pending(), "there is no thread");
        drop(check);
        other.let_go(1);
        busy.await.unwrap();
        // The next one has the turn and the thread.
        gate.let_go(1);
        assert_eq!(pool.verify(&attempt).await.unwrap(), PasswordCheck::Match);
    });
    assert_eq!(gate.lock().asked.len(), 1);
}

/// Outside of a runtime it is a fault, not a panic.
#[test]
fn without_a_runtime_a_check_is_a_fault() {
    let (gate, person) = (Gate::default(), Person::new());
    let pool = BlockingPool::new(gate, 0);
    let password = Password::new("right");
    let attempt = person.attempt(&password);
    let mut check = pool.verify(&attempt);
    let Poll::Ready(answer) = poll(check.as_mut()) else { panic!("there is nothing to wait for") };
    assert!(answer.is_err());
}

/// The default hashes with argon2id, on all processors; what it prints holds no key.
#[tokio::test]
async fn the_default_is_argon2id_on_all_processors() {
    let processors = std::thread::available_parallelism().unwrap().get().min(Argon2id::MAX_AT_ONCE);
    let pool = BlockingPool::default();
    assert_eq!(format!("{pool:?}"), format!("BlockingPool {{ max_concurrent: {processors}, .. }}"));
    let mut person = Person::new();
    let password = Password::new("correct horse");
    person.user.password_hash = pool.hash_password(&password).await.unwrap();
    assert_eq!(pool.verify(&person.attempt(&password)).await.unwrap(), PasswordCheck::Match);
    assert_eq!(
        pool.verify(&person.attempt(&"wrong horse".into())).await.unwrap(),
        PasswordCheck::Mismatch
    );
    // As many places as wait and hash: 32 wait for each hash.
    let places: Vec<Admission> = std::iter::from_fn(|| pool.admit().ok()).take(100_000).collect();
    assert_eq!(places.len(), 33 * processors);
    assert!(BlockingPool::argon2id(Argon2id::builder().iterations(0)).is_err());
}
