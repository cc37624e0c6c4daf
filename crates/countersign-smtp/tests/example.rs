//! The example runs, and shows what it says.
#![allow(missing_docs, clippy::unwrap_used)]

use std::process::{Command, Stdio};

#[test]
fn email_sender_logs_in_through_its_own_server() {
    for (language, subject) in
        [("en", "Subject: Example: your login code"), ("ja", "<p>Example へのログインに使う認証コードです。</p>")]
    {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["run", "--quiet", "--example", "email_sender"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        cargo.env_remove("SMTP_HOST").env("MAIL_LANGUAGE", language).stdin(Stdio::null());
        let output = cargo.output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
        for text in ["a code went to y***@example.com", subject, "You are in, by [\"pwd\", \"otp\", \"mfa\"]."] {
            assert!(printed.contains(text), "{text:?} is missing in:\n{printed}");
        }
    }
}
