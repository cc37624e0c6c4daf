//! Somebody who makes steps and says how long they took: another process, or a function here.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;

pub(crate) trait Peer {
    /// Makes so many steps. Answers how long one took.
    fn steps(&mut self, number: u32) -> Result<Duration, Failure>;
}

/// A function of this process.
impl<F: FnMut(u32) -> Result<Duration, Failure>> Peer for F {
    fn steps(&mut self, number: u32) -> Result<Duration, Failure> {
        self(number)
    }
}

/// A step of this process, timed.
pub(crate) fn timed<'a>(
    mut step: impl FnMut() -> Result<(), Failure> + 'a,
) -> impl FnMut(u32) -> Result<Duration, Failure> + 'a {
    move |number| {
        let started = Instant::now();
        for _ in 0..number {
            step()?;
        }
        Ok(started.elapsed().checked_div(number).unwrap_or_default())
    }
}

/// Another process: it reads a number of steps, and prints how many nanoseconds they took.
pub(crate) struct Process {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Result<Self, Failure> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (to, from) = (child.stdin.take(), child.stdout.take());
        let (Some(to), Some(from)) = (to, from) else { return Err("no pipes".into()) };
        let mut process = Self { child, to, from: BufReader::new(from) };
        match process.line()?.as_str() {
            "ready" => Ok(process),
            other => Err(format!("{command:?} says {other:?}").into()),
        }
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            return Err("a peer has ended".into());
        }
        Ok(line.trim().to_owned())
    }
}

impl Peer for Process {
    fn steps(&mut self, number: u32) -> Result<Duration, Failure> {
        writeln!(self.to, "{number}")?;
        let nanoseconds: u64 = self.line()?.parse()?;
        Ok(Duration::from_nanos(nanoseconds).checked_div(number).unwrap_or_default())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
