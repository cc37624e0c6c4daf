//! The example runs, and shows what it says.
#![cfg(feature = "reqwest")]
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
fn sms_sender_proves_a_number_through_its_own_server() {
    for (language, text) in
        [("en", "confirms this number for Example"), ("ja", "Example番号確認コード")]
    {
        let mut cargo = cargo();
        cargo.args(["run", "--quiet", "--features", "reqwest", "--example", "sms_sender"]);
        cargo.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
        cargo
            .env_remove("SMS_PROVIDER")
            .env("SMS_LANGUAGE", language)
            .env("SMS_ORIGIN_HOST", "example.com");
        let output = cargo.output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
        for text in [
            "a code went to +81 *** **34",
            text,
            "\n@example.com #",
            "From now on your codes come by Sms.",
        ] {
            assert!(printed.contains(text), "{text:?} is missing in:\n{printed}");
        }
    }
}

/// I-22: the cause is there, and neither the number nor the token is.
#[test]
fn sms_sender_prints_why_a_delivery_failed() {
    // A port of this machine on which nobody listens.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    drop(listener);
    for (provider, name) in [("twilio", "twilio"), ("vonage", "vonage"), ("sns", "aws sns")] {
        let mut cargo = cargo();
        cargo.args(["run", "--quiet", "--features", "reqwest", "--example", "sms_sender"]);
        cargo.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
        cargo.envs([
            ("SMS_PROVIDER", provider),
            ("SMS_URL", &url),
            ("SMS_TO", "+819012345634"),
            ("SMS_FROM", "Example"),
        ]);
        cargo.envs([
            ("TWILIO_ACCOUNT_SID", "AC0123456789abcdef0123456789abcdef"),
            ("TWILIO_AUTH_TOKEN", "canary-token"),
        ]);
        cargo.envs([
            ("VONAGE_API_KEY", "abcd1234"),
            ("VONAGE_API_SECRET", "canary-token"),
            ("AWS_REGION", "eu-west-1"),
        ]);
        cargo.envs([
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE01234"),
            ("AWS_SECRET_ACCESS_KEY", "canary-token"),
        ]);
        let output = cargo.output().unwrap();
        let printed = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let cause = format!(
            "A code by Sms failed (transient): no answer from {name}: request was not sent: "
        );
        assert!(printed.contains(&cause) && printed.contains("Connection refused"), "{printed}");
        for secret in ["9012345634", "canary-token", "AKIDEXAMPLE01234"] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }
}

/// Without any settings, as the README does.
#[test]
fn the_readme_shows_what_sms_sender_prints() {
    let mut cargo = cargo();
    cargo.args(["run", "--quiet", "--features", "reqwest", "--example", "sms_sender"]);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    for setting in
        ["SMS_PROVIDER", "SMS_LANGUAGE", "SMS_ORIGIN_HOST", "SMS_TO", "SMS_COUNTRIES", "SMS_URL"]
    {
        cargo.env_remove(setting);
    }
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    is_shown_in_the_readme(&String::from_utf8(output.stdout).unwrap());
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
