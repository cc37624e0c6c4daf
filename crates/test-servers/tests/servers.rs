//! What the tests of stores start is ended with them.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use test_servers::processes::CHILD;
use test_servers::servers::Server;

/// A process that ends without a clean-up, as a test program does with what it keeps for all of its
/// tests, leaves no server behind (looked at where there is `/proc`). It has no say in which
/// signals its parent ignores: a shell ignores SIGQUIT for what it runs in the background.
#[test]
fn a_server_ends_with_the_process_that_started_it() {
    let starts: [fn() -> Option<Server>; 2] =
        [|| Server::redis(&[]).unwrap(), || Server::postgres(&[]).unwrap()];
    if let Ok(number) = std::env::var(CHILD) {
        let server = starts[number.parse::<usize>().unwrap()]();
        println!("PID {:?}", server.as_ref().and_then(Server::pid));
        // Nothing is dropped.
        std::process::exit(0);
    }
    for number in 0..starts.len() {
        let mut child = Command::new("sh");
        child
            .args(["-c", r#"trap "" QUIT; exec "$@""#, "sh"])
            .arg(std::env::current_exe().unwrap());
        child.args(["--exact", "a_server_ends_with_the_process_that_started_it", "--nocapture"]);
        let output =
            child.env(CHILD, number.to_string()).stderr(Stdio::inherit()).output().unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let pid = output.lines().find_map(|line| line.split_once("PID ")).unwrap().1;
        let Some(pid) = pid.strip_prefix("Some(").and_then(|rest| rest.strip_suffix(')')) else {
            countersign_testkit::skip("no such server is installed").unwrap();
            continue;
        };
        let started = Instant::now();
        // One that has ended and that nobody has asked about yet is a zombie.
        while std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z "))
        {
            assert!(started.elapsed() < Duration::from_secs(60), "process {pid} goes on");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
