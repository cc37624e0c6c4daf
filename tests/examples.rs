//! Every example runs, and shows what it says.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::string_slice
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64ct::{Base64, Encoding};

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
        "Welcome, alice. You came in with the password and a code by email.",
        "wrong_code. Tries left: 0.",
        "the right one, is refused too: codes_locked.",
        "The lock has ended, and alice is in.",
        "Another code right away is refused: send_limit.",
        "from the first message, is refused: wrong_code.",
        "The code from the second message lets her in.",
        "A code went to +81 *** **34.",
        "The code by email lets her in.",
        "It has changed by itself",
        "for the next login from it. She came in with the password, on a trusted device.",
        "And it is asked for a code again.",
        "Alice's session is over: reset.",
        "Alice came in with the password alone.",
        "Root came in with the password and a code by email.",
        "Settings of acme:",
        "\"scope\": \"entire_tenant\",",
        "50 wrong codes before a lock are refused: ",
        "\"setting\":\"lockout.wrong_codes\",\"given\":50,\"least\":3,\"most\":10",
        "Alice has 3 tries.",
        "Alice came in with single sign-on alone.",
        "Root came in with single sign-on and a code: [\"otp\", \"mfa\"].",
        "Switching off would delete the settings of 2 people and 1 trusted device.",
        "0 left.",
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

/// Every file of a folder, with its name.
fn files(folder: &Path) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read_to_string(path).unwrap())
    };
    entries.map(read).collect()
}

/// A header's text, put together from its encoded words.
fn decoded(header: &str) -> String {
    let word = |word: &str| {
        let encoded = word.strip_prefix("=?utf-8?B?").and_then(|rest| rest.strip_suffix("?="));
        Base64::decode_vec(encoded.unwrap()).unwrap()
    };
    String::from_utf8(header.split_whitespace().flat_map(word).collect()).unwrap()
}

#[test]
fn own_senders_write_email_to_a_folder_and_send_sms_through_a_gateway() {
    let folder = std::env::temp_dir().join(format!("countersign-examples-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let printed = run("own_senders", &["--unattended", folder.to_str().unwrap()]);
    assert_in_order(
        &printed,
        &[
            "ann: a code went to a***@example.com, reference ",
            "ann is in by Email: [\"pwd\", \"otp\", \"mfa\"]",
            "ann: a code went to +1 *** **34",
            "ann has proved the number: codes come by Sms",
            "ann is in by Sms",
            "hanako is in by Email",
            "hanako has proved the number",
            "hanako is in by Sms",
            "Status(202): Sent",
            "Status(302): permanent, gateway answered 302",
            "Status(400): permanent",
            "Status(429): throttled",
            "Status(503): transient",
            "HangUp: unknown",
            "Silence: unknown",
            "Flood: unknown",
            "no gateway: transient",
        ],
    );
    let references: Vec<&str> = printed
        .lines()
        .filter(|line| line.contains("@example.com, reference "))
        .map(|line| &line[line.len() - 4..])
        .collect();
    let (codes, notices): (Vec<_>, Vec<_>) =
        files(&folder).into_iter().partition(|(name, _)| name.starts_with("code-"));
    assert_eq!((codes.len(), references.len()), (2, 2));
    assert!(!notices.is_empty());
    for (name, mail) in codes.iter().chain(&notices) {
        assert!(!name.starts_with('.') && name.rsplit('.').next() == Some("eml"), "{name}");
        let is_code = name.starts_with("code-");
        let plain = well_formed(mail);
        let digits = |line: &&str| line.len() == 6 && line.bytes().all(|b| b.is_ascii_digit());
        let found: Vec<&str> = plain.lines().filter(digits).collect();
        assert_eq!(found.len(), usize::from(is_code), "{name}");
        // The program shows what pages show, and no code.
        assert!(found.iter().all(|code| !printed.contains(code)), "{name}");
        let named = references.iter().any(|reference| name.contains(&format!(".{reference}.")));
        assert_eq!(named, is_code, "{name}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(folder.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
    let in_japanese = |mail: &str| well_formed(mail).contains("コード");
    assert_eq!(codes.iter().filter(|(_, mail)| in_japanese(mail)).count(), 1);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Checks an email as far as a mail program relies on it, and answers its plain text.
fn well_formed(mail: &str) -> String {
    assert!(mail.is_ascii() && mail.replace("\r\n", "").lines().count() == 1);
    assert!(mail.split("\r\n").all(|line| line.len() <= 78), "{mail}");
    let (head, body) = mail.split_once("\r\n\r\n").unwrap();
    let head = head.replace("\r\n ", " ");
    let headers: Vec<_> = head.lines().map(|line| line.split_once(": ").unwrap()).collect();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let expected = [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
    ];
    assert_eq!(names, expected);
    let (name, address) = headers[0].1.rsplit_once(' ').unwrap();
    assert_eq!((decoded(name).as_str(), address), ("Example", "<no-reply@example.com>"));
    assert!(decoded(headers[2].1).contains("Example"), "{head}");
    let boundary = headers[7].1.split('"').nth(1).unwrap();
    let parts: Vec<&str> = body.split(&format!("--{boundary}")).collect();
    let [before, plain, html, end] = parts[..] else { panic!("{} parts", parts.len()) };
    assert_eq!((before, end), ("", "--\r\n"));
    let [plain, html] = [("plain", plain), ("html", html)].map(|(kind, part)| {
        let (head, body) = part.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Type: text/{kind}; charset=utf-8")), "{head}");
        assert!(head.contains("Content-Transfer-Encoding: base64"), "{head}");
        String::from_utf8(Base64::decode_vec(&body.replace("\r\n", "")).unwrap()).unwrap()
    });
    assert!(html.starts_with("<!DOCTYPE html>"), "{html}");
    plain
}
