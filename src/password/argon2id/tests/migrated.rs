//! Hashes that other software wrote: whoever moves to this library brings their users along.

use super::*;

/// Made by `scripts/foreign_hashes`: software, password, hash.
const HASHES: &str = include_str!("../../../../tests/foreign_hashes.tsv");

/// The parameters of the file, each with whether such a hash is replaced at the first login.
const PARAMETERS: [(&str, bool); 12] = [
    ("m=65536,t=3,p=4", false),
    ("m=102400,t=2,p=8", false),
    ("m=131072,t=1,p=16", false),
    ("m=131072,t=1,p=128", false),
    ("m=65536,t=1,p=1", false),
    ("m=65536,t=1,p=16", false),
    ("m=65536,t=1,p=255", false),
    ("m=65536,t=4,p=1", false),
    ("m=65536,p=4,t=3", false),
    ("m=4096,p=1,t=3", true),
    ("m=4096,t=3,p=1", true),
    ("m=1024,t=2,p=2", true),
];

/// I-17, I-37: every one lets its owner in and nobody else. One that is weaker than a new hash
/// costs as much as a new one, for a wrong password as for the right one, and is replaced.
#[test]
fn hashes_of_common_software_are_read_as_they_were_written() {
    let parameters = PARAMETERS.iter();
    let verifier = Argon2id::default();
    let mut met = Vec::new();
    for line in HASHES.lines().filter(|line| !line.starts_with('#')) {
        let [software, password, text] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let (found, replaced) =
            *parameters.clone().find(|(found, _)| text.contains(&format!("${found}$"))).unwrap();
        met.push(found);
        let right = if replaced { PasswordCheck::MatchNeedsRehash } else { PasswordCheck::Match };
        for (typed, expected) in [(password, right), ("wrong horse", PasswordCheck::Mismatch)] {
            let saved = PasswordHash::new(text);
            let (verdict, _, work) = counted(&verifier, || verify(&verifier, &saved, typed));
            assert_eq!(verdict.unwrap(), expected, "{software}");
            assert!(work >= CURRENT_WORK, "{software}: {work}");
            assert!(!replaced || work < CURRENT_WORK + 16, "{software}: {work}");
        }
    }
    assert!(parameters.clone().all(|(parameters, _)| met.contains(parameters)), "{met:?}");
    for software in
        ["argon2-cffi", "PHP", "npm argon2 0.44", "npm argon2 0.45", "Ory Kratos", "Go's argon2id"]
    {
        assert!(HASHES.lines().any(|line| line.starts_with(software)), "{software}");
    }
}
