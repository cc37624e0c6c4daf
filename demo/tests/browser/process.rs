//! Programs that end with the test, however it ends.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// A running program, with what it started itself. Ends when it is dropped, and when this process
/// ends.
pub struct Process {
    child: Child,
    /// Reads from a pipe that ends when this process does, and then ends the program.
    guard: Child,
}

impl Process {
    /// Starts a program, and returns what `find` finds in a line that it prints.
    pub fn start<T>(command: &mut Command, find: impl Fn(&str) -> Option<T>) -> (Self, T) {
        Self::try_start(command, find).unwrap_or_else(|| panic!("{command:?} does not start"))
    }

    /// The same. `None`: it has ended before it printed such a line.
    pub fn try_start<T>(
        command: &mut Command,
        find: impl Fn(&str) -> Option<T>,
    ) -> Option<(Self, T)> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        let mut guard = Command::new("sh");
        let script = r#"trap '' INT HUP TERM; read _; kill -s KILL -- "-$1""#;
        guard.args(["-c", script, "guard"]);
        guard.arg(child.id().to_string()).stdin(Stdio::piped()).stdout(Stdio::null());
        let guard = guard.spawn().unwrap();
        let printed = BufReader::new(child.stdout.take().unwrap());
        let process = Self { child, guard };
        let mut lines = printed.lines().map_while(Result::ok);
        let found = lines.find_map(|line| find(&line))?;
        std::thread::spawn(move || lines.for_each(drop));
        Some((process, found))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // In this order: until it is waited for, no other process has its number.
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
