//! A site in a process of its own, with a throw-away PostgreSQL.

use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use test_servers::servers::Server;

use crate::login::Kind;

pub(crate) struct Site {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) port: u16,
    /// The next person who never logged in, and how many there are.
    pub(crate) next: u32,
    pub(crate) people: u32,
    process: Child,
    /// Reads from a pipe that ends when this program does, however it ends, and then ends the site.
    guard: Child,
    events: PathBuf,
    /// End after the process.
    _kept: (TempDir, Server),
}

impl Site {
    /// Starts the demo.
    pub(crate) fn countersign(
        name: &'static str,
        program: &Path,
        people: u32,
    ) -> Result<Self, Box<dyn Error>> {
        let (folder, postgres) = (tempfile::tempdir()?, postgres()?);
        let mut command = Command::new(program);
        command.args([
            "--port",
            "0",
            "--people",
            &people.to_string(),
            "--postgres",
            postgres.url(),
        ]);
        command.arg("--data").arg(folder.path()).arg("--events").arg(folder.path().join("events"));
        Self::start(name, Kind::Countersign, people, &mut command, folder, postgres)
    }

    /// Starts better-auth.
    pub(crate) fn better_auth(
        name: &'static str,
        folder: &Path,
        people: u32,
        is_hashed: bool,
    ) -> Result<Self, Box<dyn Error>> {
        let (own, postgres) = (tempfile::tempdir()?, postgres()?);
        let mut command = Command::new("node");
        command.arg("server.mjs").current_dir(folder).env("NODE_ENV", "production");
        command.args([postgres.url(), &people.to_string()]);
        if !is_hashed {
            command.arg("unhashed");
        }
        Self::start(name, Kind::BetterAuth, people, &mut command, own, postgres)
    }

    fn start(
        name: &'static str,
        kind: Kind,
        people: u32,
        command: &mut Command,
        folder: TempDir,
        postgres: Server,
    ) -> Result<Self, Box<dyn Error>> {
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut guard = Command::new("sh");
        guard.args(["-c", r#"read _; kill -KILL "$1""#, "guard", &process.id().to_string()]);
        let guard = guard.stdin(Stdio::piped()).spawn()?;
        let output = process.stdout.take().ok_or("no output")?;
        let mut lines = BufReader::new(output).lines();
        // The line with the address is the last that it writes before it is ready.
        let port = loop {
            let line = lines.next().ok_or_else(|| format!("{name} does not start"))??;
            if let Some((_, rest)) = line.split_once("http://127.0.0.1:") {
                let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                break digits.parse()?;
            }
        };
        // Further lines would fill the pipe up or end the process.
        std::thread::spawn(move || lines.for_each(drop));
        let events = folder.path().join("events");
        Ok(Self {
            name,
            kind,
            port,
            next: 1,
            people,
            process,
            guard,
            events,
            _kept: (folder, postgres),
        })
    }

    /// Processor time that its process has used. PostgreSQL's is not in it.
    pub(crate) fn used(&self) -> Result<Duration, Box<dyn Error>> {
        used(self.process.id())
    }

    /// The most memory that its process ever had, in KiB, and what it has now.
    pub(crate) fn memory(&self) -> Result<(u64, u64), Box<dyn Error>> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        };
        Ok((field("VmHWM:").ok_or("no VmHWM")?, field("VmRSS:").ok_or("no VmRSS")?))
    }

    /// How often each login was completed, by the events. They are written a little later than the
    /// response: it waits until there are as many as this, or ten seconds.
    pub(crate) fn completed(
        &self,
        at_least: usize,
    ) -> Result<HashMap<String, usize>, Box<dyn Error>> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let mut found = HashMap::new();
            for line in std::fs::read_to_string(&self.events)?.lines() {
                // The last line may be half-written.
                let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
                if let ("login_completed", Some(login)) =
                    (event["event"].as_str().unwrap_or_default(), event["login"].as_str())
                {
                    *found.entry(login.to_owned()).or_default() += 1;
                }
            }
            if found.len() >= at_least || Instant::now() > deadline {
                return Ok(found);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // In this order: until it is waited for, no other process has its number.
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
        let _ = self.process.wait();
    }
}

fn postgres() -> Result<Server, Box<dyn Error>> {
    Ok(Server::postgres(&[])?.ok_or("PostgreSQL is not installed")?)
}

/// Processor time of a process so far, of all its threads.
pub(crate) fn used(pid: u32) -> Result<Duration, Box<dyn Error>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // After the name in brackets: user and system time are the 12th and 13th, in hundredths.
    let (_, rest) = stat.rsplit_once(')').ok_or("no name")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).ok_or("no times").map(|text| text.parse::<u64>());
    Ok(Duration::from_millis((ticks(11)?? + ticks(12)??) * 10))
}
