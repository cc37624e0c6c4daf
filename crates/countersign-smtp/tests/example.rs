//! The example runs, and shows what it says.
#![allow(missing_docs, clippy::unwrap_used)]

use std::process::{Command, Stdio};

/// `cargo` as from a shell: what it sets for a test would make build scripts run again, and what
/// rests on them compile again.
fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        }) {
            cargo.env_remove(name);
        }
    }
    cargo
}

#[test]
fn email_sender_logs_in_through_its_own_server() {
    for (language, subject) in [
        ("en", "Subject: Example: your login code"),
        ("ja", "<p>Example へのログインに使う確認コードです。</p>"),
    ] {
        let mut cargo = cargo();
        cargo
            .args(["run", "--quiet", "--example", "email_sender"])
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        cargo.env_remove("SMTP_HOST").env("MAIL_LANGUAGE", language).stdin(Stdio::null());
        let output = cargo.output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
        for text in [
            "a code went to y***@example.com",
            subject,
            "You are in, by [\"pwd\", \"otp\", \"mfa\"].",
        ] {
            assert!(printed.contains(text), "{text:?} is missing in:\n{printed}");
        }
        if language == "en" {
            is_shown_in_the_readme(&printed);
        }
    }
}

/// I-22: the cause is there, and neither the address nor the password is.
#[test]
fn email_sender_prints_why_a_delivery_failed() {
    // A port of this machine on which nobody listens.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    drop(listener);
    let mut cargo = cargo();
    cargo
        .args(["run", "--quiet", "--example", "email_sender"])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.envs([
        ("SMTP_HOST", "127.0.0.1"),
        ("SMTP_PORT", &port),
        ("MAIL_FROM", "no-reply@example.com"),
    ]);
    cargo.envs([
        ("MAIL_TO", "canary@example.com"),
        ("SMTP_USER", "canary-user"),
        ("SMTP_PASSWORD", "canary-password"),
    ]);
    cargo.env_remove("SMTP_STARTTLS").stdin(Stdio::null());
    let output = cargo.output().unwrap();
    let printed = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let cause =
        "A code failed (transient): smtp connection failed: connection refused (phase: connection)";
    assert!(!output.status.success() && printed.contains(cause), "{printed}");
    assert!(!printed.contains("canary"), "{printed}");
}

/// What the README shows is what the program prints: line by line, with anything at all where it
/// has three dots. Numbers of five digits and more, and references, differ from run to run.
fn is_shown_in_the_readme(printed: &str) {
    let steady = |line: &str| {
        let words = line.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
        let steady = words.map(|word| {
            let end = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).len();
            let (text, rest) = word.split_at(end);
            let number = text.len() >= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
            let reference = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_uppercase());
            format!(
                "{}{rest}",
                if number {
                    "#"
                } else if reference {
                    "?"
                } else {
                    text
                }
            )
        });
        steady.collect::<String>()
    };
    let readme = include_str!("../README.md").split("$ cargo run").nth(1).unwrap();
    let shown = readme.split("```").next().unwrap().lines().skip(1);
    let mut printed = printed.lines();
    let mut any = false;
    for line in shown {
        if line == "..." {
            any = true;
            continue;
        }
        let next = if any {
            printed.find(|printed| steady(printed) == steady(line))
        } else {
            printed.next()
        };
        assert_eq!(next.map(steady), Some(steady(line)), "the README shows {line:?}");
        any = false;
    }
    assert_eq!(printed.next(), None, "the README shows less than the program prints");
}
