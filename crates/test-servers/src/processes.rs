//! Several processes on one store: what no test within one process can show.
//!
//! The test runs its own executable again, once for each process, with the same test selected and
//! [`CHILD`] set.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use countersign::error::PluginError;
use countersign::store::FactorStore;
use countersign::{Error, LoginStep, PendingToken, Reason, Scope};
use countersign_testkit::{InjectedError, Intercepted, Interceptor, World};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

/// The environment variable that tells a test that it is one of several processes.
pub const CHILD: &str = "COUNTERSIGN_TEST_CHILD";

/// How many guesses each process makes concurrently.
const GUESSES: usize = 64;

const TENANT: &str = "two-processes";

/// The outcome of the guesses of all processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answered as wrong: these took effect.
    pub wrong: usize,
    /// Refused without looking at the code, since the budget was used up.
    pub refused: usize,
    /// Others kept coming first: nothing happened.
    pub contended: usize,
    /// Failed otherwise.
    pub failed: usize,
}

/// Begins a login and lets two processes guess its code, 64 times each, concurrently. Answers
/// the outcome.
///
/// No process writes anything before both of them have read what all of their guesses rest on, so
/// that all 128 compete for the same record.
///
/// `test` is the name of the calling test, which calls [`guess`] where [`CHILD`] is set;
/// `environment` is what it needs to open the same store.
///
/// # Errors
///
/// A [`PluginError`] if the login can't be begun or a process fails.
pub async fn guess_from_two(
    store: Arc<dyn FactorStore>,
    test: &str,
    environment: &[(&str, String)],
) -> Result<Tally, PluginError> {
    let world = World::with(store, TENANT, |builder| builder)?;
    world.set_scope(Scope::EntireTenant).await?;
    let LoginStep::CodeRequired(challenge) = world.begin("alice").await? else {
        return Err(PluginError::new("no code is required"));
    };
    let code = world.outbox.last_code().ok_or_else(|| PluginError::new("no code was sent"))?.code;
    let mut children = Vec::new();
    for _ in 0..2 {
        let mut child = Command::new(std::env::current_exe()?);
        child.args(["--exact", test, "--nocapture", "--test-threads=1"]);
        child.envs(environment.iter().map(|(name, value)| (*name, value.as_str())));
        child.env(CHILD, format!("{code} {}", challenge.token.expose()));
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (stdin, stdout) = (
            child.stdin.take().ok_or_else(|| PluginError::new("no pipe"))?,
            child.stdout.take().ok_or_else(|| PluginError::new("no pipe"))?,
        );
        children.push((child, stdin, BufReader::new(stdout).lines()));
    }
    // Each guess of both has read the record; only then does one of them write.
    for (.., printed) in &mut children {
        let _loaded = said(printed, "LOADED")?;
    }
    for (_, stdin, _) in &mut children {
        stdin.write_all(b"GO\n")?;
    }
    let mut tally = Tally::default();
    for (mut child, _, mut printed) in children {
        let numbers = said(&mut printed, "GUESSED ")?;
        printed.for_each(drop);
        let _status = child.wait()?;
        let numbers: Vec<usize> = numbers.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [wrong, refused, contended, failed] = numbers[..] else {
            return Err(PluginError::new("not four numbers"));
        };
        for (total, count) in [
            (&mut tally.wrong, wrong),
            (&mut tally.refused, refused),
            (&mut tally.contended, contended),
            (&mut tally.failed, failed),
        ] {
            *total = total.saturating_add(count);
        }
    }
    // The right code does not help any more: what was left of the budget is used up.
    match world.submit(&challenge.token, &code).await? {
        LoginStep::Denied(_) => Ok(tally),
        step => {
            Err(PluginError::new(format!("after all those guesses the code still works: {step:?}")))
        }
    }
}

/// Reads what a process prints up to the line that holds `word`, and answers what comes after it.
fn said(
    printed: &mut impl Iterator<Item = std::io::Result<String>>,
    word: &str,
) -> Result<String, PluginError> {
    let mut earlier = String::new();
    for line in printed {
        let line = line?;
        if let Some((_, rest)) = line.split_once(word) {
            return Ok(rest.to_owned());
        }
        earlier.push_str(&line);
        earlier.push('\n');
    }
    Err(PluginError::new(format!("a process did not say {word}: {earlier}")))
}

/// What each of the processes does: reads, waits until the other has read too, guesses, and prints
/// the outcome.
///
/// # Errors
///
/// A [`PluginError`] if it was not started by [`guess_from_two`].
pub async fn guess(store: Arc<dyn FactorStore>) -> Result<(), PluginError> {
    let told = std::env::var(CHILD)?;
    let mut told = told.split(' ');
    let (Some(code), Some(token)) = (told.next(), told.next()) else {
        return Err(PluginError::new("not told what to guess"));
    };
    let right: u32 = code.parse()?;
    let met = Arc::new(Barrier::new(GUESSES.saturating_add(1)));
    let gathering = Gathering { met: Arc::clone(&met), loads: Arc::default() };
    let store = Intercepted::new(store, &gathering);
    let world = Arc::new(World::with(store, TENANT, |builder| builder)?);
    let mut guesses = JoinSet::new();
    for number in 0..GUESSES {
        let (world, token) = (Arc::clone(&world), PendingToken::new(token));
        let wrong =
            right.wrapping_add(u32::try_from(number)?).wrapping_add(1).checked_rem(1_000_000);
        let wrong = format!("{:06}", wrong.unwrap_or_default());
        guesses.spawn(async move { world.submit(&token, &wrong).await });
    }
    met.wait().await;
    println!("LOADED");
    let _go =
        tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    met.wait().await;
    let mut tally = Tally::default();
    while let Some(guessed) = guesses.join_next().await {
        let count = match guessed? {
            Ok(LoginStep::Denied(denied)) if denied.reason() == Reason::WrongCode => {
                &mut tally.wrong
            }
            Ok(LoginStep::Denied(_)) => &mut tally.refused,
            Err(Error::Contended) => &mut tally.contended,
            Ok(_) | Err(_) => &mut tally.failed,
        };
        *count = count.saturating_add(1);
    }
    println!("GUESSED {} {} {} {}", tally.wrong, tally.refused, tally.contended, tally.failed);
    Ok(())
}

/// The first loads of a store wait for each other, and then for a sign to go on.
#[derive(Clone)]
struct Gathering {
    met: Arc<Barrier>,
    loads: Arc<AtomicUsize>,
}

impl Interceptor for Gathering {
    async fn around<T: Send, E: InjectedError>(
        &self,
        method: &'static str,
        _: Option<T>,
        call: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        let answer = call.await;
        if method == "load" && self.loads.fetch_add(1, Ordering::SeqCst) < GUESSES {
            self.met.wait().await;
            self.met.wait().await;
        }
        answer
    }
}
