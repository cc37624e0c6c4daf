//! A test that can't be made on this machine.

use std::io::Write;

use countersign::error::PluginError;

/// Says past the test harness, which keeps the output of passed tests to itself, that something is
/// not tested.
///
/// # Errors
///
/// A [`PluginError`] with the same text if `COUNTERSIGN_REQUIRE_SERVERS=1`.
pub fn skip(why: &str) -> Result<(), PluginError> {
    if std::env::var("COUNTERSIGN_REQUIRE_SERVERS").is_ok_and(|value| value == "1") {
        return Err(PluginError::new(format!("COUNTERSIGN_REQUIRE_SERVERS=1, and {why}")));
    }
    shout(&format!("NOT TESTED: {why}"));
    Ok(())
}

fn shout(text: &str) {
    // Where standard error is closed nobody could read it.
    drop(writeln!(std::io::stderr().lock(), "\n*** {text} ***\n"));
}
