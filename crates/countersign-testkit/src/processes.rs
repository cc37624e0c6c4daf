//! Several processes at once on one store: what no test within one process can show.
//!
//! The test runs its own executable again, once for each process, with the same test selected and [`CHILD`] set.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

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
    let mut children = Vec::new();
    for _ in 0..2 {
        let mut child = Command::new(std::env::current_exe()?);
        child.args(["--exact", test, "--nocapture", "--test-threads=1"]);
        child.envs(environment.iter().map(|(name, value)| (*name, value.as_str())));
        child.env(CHILD, format!("{code} {}", challenge.token.expose()));
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (stdin, stdout) = (child.stdin.take().ok_or("no pipe")?, child.stdout.take().ok_or("no pipe")?);
        children.push((child, stdin, BufReader::new(stdout).lines()));
    }
    // Each has its connections; only then do they start, both at once.
    for (.., printed) in &mut children {
        let _ready = said(printed, "READY")?;
    }
    for (_, stdin, _) in &mut children {
        stdin.write_all(b"GO\n")?;
    }
    let (mut tally, mut last_start, mut first_end) = (Tally::default(), 0, u64::MAX);
    for (mut child, _, mut printed) in children {
        let numbers = said(&mut printed, "GUESSED ")?;
        printed.for_each(drop);
        let _status = child.wait()?;
        let numbers: Vec<u64> = numbers.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [wrong, refused, contended, failed, start, end] = numbers[..] else { return Err("six numbers".into()) };
        for (total, count) in [
            (&mut tally.wrong, wrong),
            (&mut tally.refused, refused),
            (&mut tally.contended, contended),
            (&mut tally.failed, failed),
        ] {
            *total = total.saturating_add(usize::try_from(count)?);
        }
        (last_start, first_end) = (last_start.max(start), first_end.min(end));
    }
    if last_start >= first_end {
        return Err("the processes came one after the other: this shows nothing".into());
    }
    // The right code does not help any more: what was left of the budget is used up.
    match world.submit(&challenge.token, &code).await? {
        LoginStep::Denied(_) => Ok(tally),
        step => Err(Fault::from(format!("after all those guesses the code still works: {step:?}"))),
    }
}

/// Reads what a process prints up to the line that holds `word`, and answers what comes after it.
fn said(printed: &mut impl Iterator<Item = std::io::Result<String>>, word: &str) -> Result<String, Fault> {
    let mut earlier = String::new();
    for line in printed {
        let line = line?;
        if let Some((_, rest)) = line.split_once(word) {
            return Ok(rest.to_owned());
        }
        earlier.push_str(&line);
        earlier.push('\n');
    }
    Err(Fault::from(format!("a process did not say {word}: {earlier}")))
}

/// What each of the processes does: waits for the others, guesses, and prints what became of it.
///
/// # Errors
///
/// A [`Fault`] if it was not started by [`guess_from_two`].
pub async fn guess(store: Arc<dyn FactorStore>) -> Result<(), Fault> {
    let told = std::env::var(CHILD)?;
    let mut told = told.split(' ');
    let (Some(code), Some(token)) = (told.next(), told.next()) else {
        return Err(Fault::from("not told what to guess"));
    };
    let right: u32 = code.parse()?;
    let (world, barrier) = (Arc::new(World::with(store, TENANT, |builder| builder)?), Arc::new(Barrier::new(GUESSES)));
    // A connection of this process's own, before the start.
    let _scope = world.flow.operator("look")?.scope(&world.tenant).await?;
    println!("READY");
    let _go = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    let micros = || Ok::<_, Fault>(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros());
    let start = micros()?;
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
    let end = micros()?;
    println!("GUESSED {} {} {} {} {start} {end}", tally.wrong, tally.refused, tally.contended, tally.failed);
    Ok(())
}
