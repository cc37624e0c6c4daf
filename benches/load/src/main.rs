//! Drives whole logins at several sites, round by round, and reports what they cost.
//! `scripts/load` builds and runs it.
//!
//! Nothing is asserted of a time. What must hold is asserted: an event for each login that was
//! acknowledged, and no code accepted twice.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![allow(clippy::cast_precision_loss, reason = "all numbers are far below 2^52")]

mod client;
mod login;
mod report;
mod site;

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use countersign::Password;
use countersign::password::{Argon2id, PasswordVerifier};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

use crate::client::Client;
use crate::login::Attempt;
use crate::report::{Report, Seen};
use crate::site::{Site, used};

/// More logins a second than any site here makes, with and without hashes.
const MOST: [u32; 2] = [300, 6_000];
/// Seconds, uncounted, before the first round: caches fill, and JavaScript is compiled.
const WARM_UP: u32 = 2;

struct Settings {
    programs: PathBuf,
    better_auth: PathBuf,
    /// In seconds.
    turn: u32,
    rounds: u32,
    clients: u32,
}

impl Settings {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut folder = || arguments.next().map(PathBuf::from).ok_or("see scripts/load");
        let (programs, better_auth) = (folder()?, folder()?);
        let mut number = |default: u32| arguments.next().map_or(Ok(default), |text| text.parse());
        let (seconds, rounds, clients) = (number(5)?, number(3)?, number(24)?);
        Ok(Self { programs, better_auth, turn: seconds, rounds, clients })
    }

    /// How many people a site needs: each logs in once, or gives up when the run ends.
    fn people(&self, is_hashed: bool) -> u32 {
        let turns = self.rounds + 1;
        let most = MOST[usize::from(!is_hashed)] * (self.turn * self.rounds + WARM_UP);
        most + self.clients * turns
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let settings = Settings::parse(std::env::args().skip(1))?;
    let [hashed, unhashed] = [true, false].map(|is_hashed| settings.people(is_hashed));
    let program = |name: &str| settings.programs.join(name);
    let folder = &*settings.better_auth;
    let mut sites = [
        Site::countersign("countersign", &program("countersign-demo"), hashed)?,
        Site::better_auth("better-auth", folder, hashed, true)?,
        Site::countersign("countersign, no hash", &program("countersign-load-unhashed"), unhashed)?,
        Site::better_auth("better-auth, no hash", folder, unhashed, false)?,
    ];
    let mut seen: [Seen; 4] = Default::default();
    // One thread: the sites are to have the processors.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    for (site, seen) in sites.iter_mut().zip(&mut seen) {
        seen.memory_before = site.memory()?.1;
        turn(&runtime, site, settings.clients, WARM_UP, seen)?;
        seen.start_counting();
    }
    let mut bare = Vec::new();
    for _ in 0..settings.rounds {
        bare.push(bare_hashes(settings.turn)?);
        for (site, seen) in sites.iter_mut().zip(&mut seen) {
            turn(&runtime, site, settings.clients, settings.turn, seen)?;
        }
    }
    for (site, seen) in sites.iter().zip(&mut seen) {
        seen.memory_peak = site.memory()?.0;
        if !seen.ids.is_empty() {
            let completed = site.completed(seen.ids.len())?;
            let once = |id: &&String| completed.get(*id) != Some(&1);
            seen.without_event = seen.ids.iter().filter(once).count();
        }
    }
    let names = sites.each_ref().map(|site| site.name);
    let report = Report::new(names, &mut seen, &bare, &settings)?;
    report.print();
    let path = settings.better_auth.join("report.json");
    std::fs::write(&path, format!("{:#}\n", report.json()))?;
    println!("\n{}", path.display());
    report.held()
}

/// So many clients log in at one site for this long, each time as somebody else. What has begun
/// then ends, and counts.
fn turn(
    runtime: &Runtime,
    site: &mut Site,
    clients: u32,
    seconds: u32,
    seen: &mut Seen,
) -> Result<(), Box<dyn Error>> {
    let time = Duration::from_secs(seconds.into());
    let (kind, port, people) = (site.kind, site.port, site.people);
    let next = Rc::new(Cell::new(site.next));
    let attempts = Rc::new(RefCell::new(Vec::<Attempt>::new()));
    let (started, own, theirs) = (Instant::now(), used(std::process::id())?, site.used()?);
    LocalSet::new().block_on(runtime, async {
        let mut running = Vec::new();
        for _ in 0..clients {
            let (next, attempts) = (Rc::clone(&next), Rc::clone(&attempts));
            running.push(tokio::task::spawn_local(async move {
                let mut client = Client::connect(port).await.map_err(|error| error.to_string())?;
                while started.elapsed() < time && next.get() <= people {
                    let number = next.replace(next.get() + 1);
                    let login = kind.log_in(&mut client, number, started + time).await;
                    let login = login.map_err(|error| error.to_string())?;
                    let gave_up = login.done.is_none();
                    attempts.borrow_mut().push(login);
                    if gave_up {
                        break;
                    }
                }
                Ok::<_, String>(())
            }));
        }
        for client in running {
            client.await??;
        }
        Ok::<_, Box<dyn Error>>(())
    })?;
    seen.time += started.elapsed();
    seen.own_used += used(std::process::id())?.saturating_sub(own);
    seen.used += site.used()?.saturating_sub(theirs);
    seen.ran_out |= next.get() > people;
    site.next = next.get();
    attempts.take().into_iter().for_each(|attempt| seen.add(attempt));
    Ok(())
}

/// Password hashes a second of all processors, which do nothing else.
fn bare_hashes(seconds: u32) -> Result<f64, Box<dyn Error>> {
    let time = Duration::from_secs(seconds.into());
    let processors = available_parallelism()?.get();
    let password = Password::new("correct horse battery staple");
    let passwords = Argon2id::builder().max_concurrent(processors).build()?;
    let (started, hashes) = (Instant::now(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let hash = || {
            let runtime =
                Builder::new_current_thread().build().map_err(|error| error.to_string())?;
            while started.elapsed() < time {
                let hash = passwords.hash_password(&password);
                runtime.block_on(hash).map_err(|error| error.to_string())?;
                hashes.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, String>(())
        };
        let running: Vec<_> = (0..processors).map(|_| scope.spawn(hash)).collect();
        for thread in running {
            thread.join().map_err(|_| "a thread has panicked")??;
        }
        Ok::<_, Box<dyn Error>>(())
    })?;
    Ok(hashes.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64())
}
