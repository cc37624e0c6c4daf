//! Every example runs, and shows what it says.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::string_slice
)]

use std::process::{Command, Stdio};

/// Runs an example as a reader would, with nobody at the terminal, and answers what it printed.
fn run(example: &str, arguments: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--example", example, "--"]).args(arguments);
    let output =
        cargo.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null()).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{example}: {printed}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    printed
}

fn assert_in_order(printed: &str, expected: &[&str]) {
    let mut rest = printed;
    for text in expected {
        let at = rest
            .find(text)
            .unwrap_or_else(|| panic!("{text:?} is missing after what came before in:\n{printed}"));
        rest = &rest[at + text.len()..];
    }
}

#[test]
fn quickstart_plays_both_sides_of_everything() {
    let expected = [
        "Welcome, alice. You came in with [\"pwd\", \"otp\", \"mfa\"].",
        "wrong_code, 0 left",
        "the right one: codes_locked",
        "The lock has ended, and alice is in.",
        "At once: send_limit",
        "from the first message: wrong_code",
        "The code from the second message lets her in",
        "A code went to +81 *** **34.",
        "The code by email lets her in",
        "It has changed by itself",
        "The next login from it needs the password only",
        "And it is asked for a code again.",
        "Alice's session is over: reset",
        "Alice: Exempt { exemption: NotAdministrator }",
        "Root: Code { method: Email }",
        "0 left",
        "Alice is in with her password alone.",
        "That was all of it.",
    ];
    assert_in_order(&run("quickstart", &["--unattended"]), &expected);
    // Input that is not a terminal is nobody: the program plays alone.
    assert_in_order(&run("quickstart", &[]), &expected);
}

#[test]
fn custom_policy_shows_its_own_rule_beside_the_standard_ones() {
    assert_in_order(
        &run("custom_policy", &[]),
        &[
            "erin by Web: a code is asked for",
            "erin by ExemptApi: in",
            "carl by Web: in",
            "kim by Mobile: in",
        ],
    );
}

#[test]
fn existing_users_move_to_a_better_hash_as_they_log_in() {
    assert_in_order(
        &run("existing_users", &[]),
        &[
            "before: old$",
            "refused: invalid_credentials",
            "is in; saved now: $argon2id$",
            "is in; saved now: $argon2id$",
        ],
    );
}
