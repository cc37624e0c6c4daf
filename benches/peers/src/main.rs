//! The same steps with countersign and with its peers: they take turns in each round, so that a
//! slow moment of the machine meets all of them, and each is compared with the first of its table
//! round by round. `scripts/peers` runs it; benches/README.md says how to read it.
//!
//! Nothing is asserted: times belong to a machine.

mod ours;
mod peer;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::ours::{CodeLogins, PasswordLogin, bare};
use crate::peer::{Peer, Process, timed};

/// Whatever goes wrong ends the run.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// One line of a table.
struct Contestant<'a> {
    name: &'static str,
    /// What its step includes.
    step: &'static str,
    /// How many steps in each round.
    batch: u32,
    peer: Box<dyn Peer + 'a>,
    /// The time of one step, in each round.
    times: Vec<Duration>,
}

impl<'a> Contestant<'a> {
    fn new(name: &'static str, step: &'static str, batch: u32, peer: impl Peer + 'a) -> Self {
        Self { name, step, batch, peer: Box::new(peer), times: Vec::new() }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn run(title: &str, rounds: usize, contestants: &mut [Contestant<'_>]) -> Result<(), Failure> {
    // Once before it counts: what is built at the first call is built.
    for contestant in &mut *contestants {
        contestant.peer.steps(contestant.batch)?;
    }
    let mut turns: Vec<usize> = (0..contestants.len()).collect();
    for _ in 0..rounds {
        for turn in &turns {
            let Some(contestant) = contestants.get_mut(*turn) else { continue };
            let took = contestant.peer.steps(contestant.batch)?;
            contestant.times.push(took);
        }
        // Another one begins the next round.
        turns.rotate_left(1);
    }
    println!("\n## {title}\n");
    println!("| | what one step includes | median | per countersign's | quartiles |");
    println!("|---|---|---|---|---|");
    let Some((first, _)) = contestants.split_first() else { return Ok(()) };
    for Contestant { name, step, times, .. } in &*contestants {
        let microseconds: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e6).collect();
        let mut ratios: Vec<f64> = times
            .iter()
            .zip(&first.times)
            .map(|(theirs, ours)| theirs.as_secs_f64() / ours.as_secs_f64())
            .collect();
        ratios.sort_by(f64::total_cmp);
        let quartile = |quarters: usize| {
            ratios.get(ratios.len().saturating_mul(quarters) / 4).copied().unwrap_or(f64::NAN)
        };
        println!(
            "| {name} | {step} | {:.1} us | {:.3}x | {:.3} to {:.3} |",
            median(microseconds),
            quartile(2),
            quartile(1),
            quartile(3)
        );
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let folder = std::env::args().nth(1).ok_or("the first argument is where the peers are")?;
    let rounds: usize = std::env::args().nth(2).map_or(Ok(41), |number| number.parse())?;
    let folder = PathBuf::from(folder);
    let node =
        |script: &str| Process::start(Command::new("node").arg(folder.join("node").join(script)));
    let python = |script: &str| {
        let program = folder.join("python/bin/python");
        Process::start(Command::new(program).arg(folder.join("scripts").join(script)))
    };

    let (own, fast) = (PasswordLogin::new(false)?, PasswordLogin::new(true)?);
    run(
        "A password check: argon2id, 19 MiB, 2 passes, 1 lane",
        rounds,
        &mut [
            Contestant::new("countersign", "`Argon2id::verify`", 3, timed(|| own.check())),
            Contestant::new(
                "countersign-fast-argon2",
                "the same, with that backend",
                3,
                timed(|| fast.check()),
            ),
            Contestant::new("RustCrypto's argon2", "the bare hash, fresh memory", 3, timed(bare)),
            Contestant::new("@node-rs/argon2", "`verifySync`", 3, node("argon2.mjs")?),
            Contestant::new("argon2-cffi", "`PasswordHasher.verify`", 3, python("argon2_cffi.py")?),
        ],
    )?;

    let mut logins = CodeLogins::new()?;
    run(
        "A code after the password, in memory: sent and verified",
        rounds,
        &mut [
            Contestant::new(
                "countersign",
                "`begin_with_preverified_password`, `submit_code`, in `memory`",
                100,
                move |number| logins.steps(number),
            ),
            Contestant::new(
                "better-auth",
                "`sendTwoFactorOTP`, `verifyTwoFactorOTP` with a session, memory adapter",
                30,
                node("better_auth.mjs")?,
            ),
            Contestant::new(
                "django-otp",
                "`generate_challenge`, `verify_token`, SQLite in memory",
                30,
                python("django_otp_email.py")?,
            ),
        ],
    )
}
