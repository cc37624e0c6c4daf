// Where the tests of several crates find the servers that are not ours: included by `#[path]`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A program from an environment variable, from what the scripts in this directory installed, or
/// from the search path, if it works.
pub(crate) fn program(
    variable: &str,
    installed: &str,
    fallback: &str,
    probe: &[&str],
) -> Option<PathBuf> {
    let candidates = [
        std::env::var_os(variable).map(PathBuf::from),
        Some(servers().join(installed)),
        Some(fallback.into()),
    ];
    let works = |program: &PathBuf| {
        let mut run = Command::new(program);
        run.args(probe).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        run.status().is_ok_and(|status| status.success())
    };
    candidates.into_iter().flatten().find(works)
}

/// Where the scripts in this directory install what they install.
pub(crate) fn servers() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../test-servers")
}

/// Says that a test can't run. Where the servers are required, that is a failure.
pub(crate) fn skip(what: &str) {
    assert!(
        std::env::var("COUNTERSIGN_REQUIRE_SERVERS").as_deref() != Ok("1"),
        "REQUIRED SERVER IS MISSING: {what}"
    );
    eprintln!("\n*** SKIPPED: {what} (scripts/test_servers/ installs it) ***\n");
}
