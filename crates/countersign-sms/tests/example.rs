//! The example runs, and shows what it says.
#![cfg(feature = "reqwest")]
#![allow(missing_docs, clippy::unwrap_used)]

use std::process::{Command, Stdio};

#[test]
fn sms_sender_proves_a_number_through_its_own_server() {
    for (language, text) in [("en", "confirms this number for Example"), ("ja", "Example番号確認コード")] {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["run", "--quiet", "--features", "reqwest", "--example", "sms_sender"]);
        cargo.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
        cargo.env_remove("SMS_PROVIDER").env("SMS_LANGUAGE", language).env("SMS_ORIGIN_HOST", "example.com");
        let output = cargo.output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
        for text in ["a code went to +81 *** **34", text, "\n@example.com #", "From now on your codes come by Sms."] {
            assert!(printed.contains(text), "{text:?} is missing in:\n{printed}");
        }
    }
}
