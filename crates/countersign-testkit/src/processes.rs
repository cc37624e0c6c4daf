//! Several processes at once on one store: what no test within one process can show.
//!
//! The test runs its own executable again, once for each process, with the same test selected and [`CHILD`] set.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use countersign::{Error, FactorStore, Fault, LoginStep, PendingToken, Reason, Scope};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::World;

/// The environment variable that tells a test that it is one of several processes.
pub const CHILD: &str = "COUNTERSIGN_TEST_CHILD";

/// How many guesses each process makes at once.
const GUESSES: usize = 64;

const TENANT: &str = "two-processes";

/// What became of the guesses of all processes.
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

/// Begins a login and lets two processes guess its code, 64 times each and all at once. Answers what became of it, and with the world in which
/// the login was begun.
///
/// `test` is the name of the calling test, which calls [`guess`] where [`CHILD`] is set; `environment` is what it needs to open the same store.
///
/// # Errors
///
/// A [`Fault`] if the login can't be begun or a process fails.
pub async fn guess_from_two(
    store: Arc<dyn FactorStore>,
    test: &str,
    environment: &[(&str, String)],
) -> Result<Tally, Fault> {
    let world = World::with(store, TENANT, |builder| builder)?;
    world.set_scope(Scope::EntireTenant).await?;
    let LoginStep::CodeRequired(challenge) = world.begin("alice").await? else {
        return Err(Fault::from("no code is required"));
    };
    let code = world.outbox.last_code().ok_or("no code was sent")?.code;
    let start = SystemTime::now().checked_add(Duration::from_millis(1_500)).ok_or("no time")?;
    let start = start.duration_since(UNIX_EPOCH)?.as_millis();
    let mut children = Vec::new();
    for _ in 0..2 {
        let mut child = Command::new(std::env::current_exe()?);
        child.args(["--exact", test, "--nocapture", "--test-threads=1"]);
        child.envs(environment.iter().map(|(name, value)| (*name, value.as_str())));
        child.env(CHILD, format!("{start} {code} {}", challenge.token.expose()));
        children.push(child.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?);
    }
    let mut tally = Tally::default();
    for child in children {
        let output = child.wait_with_output()?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let counts = printed.lines().find_map(|line| line.split_once("GUESSED ").map(|(_, counts)| counts));
        let counts = counts.ok_or_else(|| Fault::from(format!("a process did not guess: {printed}")))?;
        let mut counts = counts.split(' ').map(|count| count.parse::<usize>().unwrap_or_default());
        let mut add = |total: &mut usize| *total = total.saturating_add(counts.next().unwrap_or_default());
        add(&mut tally.wrong);
        add(&mut tally.refused);
        add(&mut tally.contended);
        add(&mut tally.failed);
    }
    // The right code does not help any more: what was left of the budget is used up.
    match world.submit(&challenge.token, &code).await? {
        LoginStep::Denied(_) => Ok(tally),
        step => Err(Fault::from(format!("after all those guesses the code still works: {step:?}"))),
    }
}

/// What each of the processes does: waits for the others, guesses, and prints what became of it.
///
/// # Errors
///
/// A [`Fault`] if it was not started by [`guess_from_two`].
pub async fn guess(store: Arc<dyn FactorStore>) -> Result<(), Fault> {
    let told = std::env::var(CHILD)?;
    let mut told = told.split(' ');
    let (Some(start), Some(code), Some(token)) = (told.next(), told.next(), told.next()) else {
        return Err(Fault::from("not told what to guess"));
    };
    let right: u32 = code.parse()?;
    let start = UNIX_EPOCH.checked_add(Duration::from_millis(start.parse()?)).ok_or("no time")?;
    let (world, barrier) = (Arc::new(World::with(store, TENANT, |builder| builder)?), Arc::new(Barrier::new(GUESSES)));
    if let Ok(wait) = start.duration_since(SystemTime::now()) {
        tokio::time::sleep(wait).await;
    }
    let mut guesses = JoinSet::new();
    for number in 0..GUESSES {
        let (world, barrier, token) = (Arc::clone(&world), Arc::clone(&barrier), PendingToken::new(token));
        let wrong = right.wrapping_add(u32::try_from(number)?).wrapping_add(1).checked_rem(1_000_000);
        let wrong = format!("{:06}", wrong.unwrap_or_default());
        guesses.spawn(async move {
            barrier.wait().await;
            world.submit(&token, &wrong).await
        });
    }
    let mut tally = Tally::default();
    while let Some(guessed) = guesses.join_next().await {
        let count = match guessed? {
            Ok(LoginStep::Denied(denied)) if denied.reason() == Reason::WrongCode => &mut tally.wrong,
            Ok(LoginStep::Denied(_)) => &mut tally.refused,
            Err(Error::Contended) => &mut tally.contended,
            Ok(_) | Err(_) => &mut tally.failed,
        };
        *count = count.saturating_add(1);
    }
    println!("GUESSED {} {} {} {}", tally.wrong, tally.refused, tally.contended, tally.failed);
    Ok(())
}
