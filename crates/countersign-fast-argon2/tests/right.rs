//! Each hash is the right one: those of RFC 9106 and of the reference, and of RustCrypto's `argon2`
//! over costs, lanes, peppers and lengths.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use argon2::Argon2;
use argon2_rust::params::{Memory, TagLen};
use countersign::password::{
    Argon2Backend, Argon2Input, Argon2id, PasswordAttempt, PasswordCheck, PasswordVerifier,
};
use countersign::user::{PasswordHash, User};
use countersign::{LoginName, Password, Pepper, TenantId, UserId};
use countersign_fast_argon2::FastArgon2;
use futures_lite::future::block_on;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

fn hex(text: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

fn input<'a>((m, t, p): (u32, u32, u32), password: &'a [u8], salt: &'a [u8]) -> Argon2Input<'a> {
    let mut input = Argon2Input::default();
    input.memory_kib = m;
    input.iterations = t;
    input.lanes = p;
    input.password = password;
    input.salt = salt;
    input
}

/// RFC 9106, section 5.3: with a secret and with associated data, which countersign never uses.
#[test]
fn the_vector_of_rfc_9106() {
    let params = argon2_rust::Params::builder()
        .memory(Memory::kib(32))
        .passes(3)
        .lanes(4)
        .threads(1)
        .tag_len(TagLen::bytes(32))
        .build()
        .unwrap();
    let (algorithm, version) = (argon2_rust::Algorithm::Argon2id, argon2_rust::Version::V0x13);
    let argon2 = argon2_rust::Argon2::new(algorithm, version, params);
    let mut found = [0; 32];
    argon2.hash_into_with_ad(&[1; 32], &[2; 16], &[3; 8], &[4; 12], &mut found).unwrap();
    let expected = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659";
    assert_eq!(found[..], hex(expected));
}

/// `src/test.c` of the reference implementation: argon2id, version 19, 32 bytes.
#[test]
fn the_vectors_of_the_reference() {
    let mut arena = FastArgon2::new().arena(64);
    for (cost, password, salt, expected) in [
        (
            (65_536, 2, 1),
            "password",
            "somesalt",
            "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7",
        ),
        (
            (256, 2, 1),
            "password",
            "somesalt",
            "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe",
        ),
        (
            (256, 2, 2),
            "password",
            "somesalt",
            "6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037",
        ),
        (
            (65_536, 1, 1),
            "password",
            "somesalt",
            "f6a5adc1ba723dddef9b5ac1d464e180fcd9dffc9d1cbf76cca2fed795d9ca98",
        ),
        (
            (65_536, 4, 1),
            "password",
            "somesalt",
            "9025d48e68ef7395cca9079da4c4ec3affb3c8911fe4f86d1a2520856f63172c",
        ),
        (
            (65_536, 2, 1),
            "differentpassword",
            "somesalt",
            "0b84d652cf6b0c4beaef0dfe278ba6a80df6696281d7e0d2891b817d8c458fde",
        ),
        (
            (65_536, 2, 1),
            "password",
            "diffsalt",
            "bdf32b05ccc42eb15d58fd19b1f856b113da1e9a5874fdcc544308565aa8141c",
        ),
    ] {
        let mut found = [0; 32];
        arena.hash(&input(cost, password.as_bytes(), salt.as_bytes()), &mut found).unwrap();
        assert_eq!(found[..], hex(expected), "{cost:?} {password} {salt}");
    }
}

/// RustCrypto's hash of the same.
fn expected(input: &Argon2Input<'_>, length: usize) -> Vec<u8> {
    let (m, t, p) = (input.memory_kib, input.iterations, input.lanes);
    let params = argon2::Params::new(m, t, p, Some(length)).unwrap();
    let (algorithm, version) = (argon2::Algorithm::Argon2id, argon2::Version::V0x13);
    let argon2 = match input.pepper {
        Some(key) => Argon2::new_with_secret(key, algorithm, version, params).unwrap(),
        None => Argon2::new(algorithm, version, params),
    };
    let mut output = vec![0; length];
    argon2.hash_password_into(input.password, input.salt, &mut output).unwrap();
    output
}

/// How many made-up hashes are compared; `scripts/argon2_differential` asks for 100,000.
fn cases() -> usize {
    std::env::var("COUNTERSIGN_ARGON2_CASES").map_or(2_000, |number| number.parse().unwrap())
}

/// One arena for all, as `Argon2id` keeps it, and one that is used once.
#[test]
fn made_up_hashes_are_those_of_rustcrypto() {
    let mut random = StdRng::seed_from_u64(9106);
    let mut kept = FastArgon2::new().arena(64);
    for case in 0..cases() {
        let lanes = match random.random_range(0..20) {
            0 => random.random_range(1..=255),
            1..6 => random.random_range(2..=16),
            _ => 1,
        };
        let least = 8 * lanes;
        let memory = random.random_range(least..=least.max(16) * 4);
        let cost = (memory, random.random_range(1..=4), lanes);
        let mut bytes = |length: usize| {
            let mut bytes = vec![0_u8; length];
            random.fill(&mut bytes[..]);
            bytes
        };
        let lengths = [0, 1, 8, 63, 64, 65, 127, 128, 129, 200, 4_096];
        let password = bytes(lengths[case % lengths.len()]);
        let salt = bytes(8 + case % 41);
        let pepper = bytes(1 + case % 64);
        let mut input = input(cost, &password, &salt);
        input.pepper = (case % 3 != 0).then_some(&pepper[..]);
        let expected = expected(&input, 4 + case % 125);
        let mut found = vec![0; expected.len()];
        if case % 2 == 0 {
            kept.hash(&input, &mut found).unwrap();
        } else {
            FastArgon2::new().arena(64).hash(&input, &mut found).unwrap();
        }
        assert_eq!(found, expected, "{case}: {input:?}");
    }
}

fn user(hash: PasswordHash) -> User {
    let mut user = User::new(TenantId::new("t").unwrap(), UserId::new("u").unwrap());
    user.password_hash = Some(hash);
    user
}

fn verify(verifier: &Argon2id, user: Option<&User>, typed: &str) -> PasswordCheck {
    let (tenant, name) = (TenantId::new("t").unwrap(), LoginName::new("n").unwrap());
    let password = Password::new(typed);
    block_on(verifier.verify(&PasswordAttempt::new(&tenant, &name, user, &password))).unwrap()
}

/// Saved hashes need not change in either direction.
#[test]
fn both_read_what_the_other_has_saved() {
    let builder = || {
        let pepper = Pepper::new("2026", vec![7; 32]).unwrap();
        Argon2id::builder().pepper(pepper).parallelism(2).max_concurrent(1)
    };
    let own = builder().build().unwrap();
    let fast = builder().backend(FastArgon2::new()).build().unwrap();
    for (makes, reads) in [(&own, &fast), (&fast, &own), (&fast, &fast)] {
        let saved = user(block_on(makes.hash(&Password::new("correct horse"))).unwrap());
        assert_eq!(verify(reads, Some(&saved), "correct horse"), PasswordCheck::Match);
        assert_eq!(verify(reads, Some(&saved), "Correct horse"), PasswordCheck::Mismatch);
        assert_eq!(verify(reads, None, "correct horse"), PasswordCheck::Mismatch);
    }
}

/// I-23: numbers that it does not take are an error, and no hash.
#[test]
fn impossible_costs_are_refused() {
    let mut arena = FastArgon2::new().arena(64);
    for cost in [(8, 0, 1), (8, 1, 0), (7, 1, 1), (15, 1, 2), (0, 1, 1)] {
        let mut output = [0; 32];
        let refused = arena.hash(&input(cost, b"password", b"somesalt"), &mut output);
        // As the reference does: too little memory for the lanes is refused.
        assert!(refused.is_err(), "{cost:?}");
        assert_eq!(output, [0; 32]);
    }
    // And the arena is as good as before.
    let ordinary = input((64, 1, 1), b"password", b"somesalt");
    let mut output = [0; 32];
    arena.hash(&ordinary, &mut output).unwrap();
    assert_eq!(output[..], expected(&ordinary, 32));
}

#[test]
fn it_prints_its_instructions_and_no_secret() {
    let printed =
        format!("{:?} {:?}", FastArgon2::new(), input((64, 1, 1), b"secret", b"somesalt"));
    assert!(printed.starts_with("FastArgon2("), "{printed}");
    assert!(!printed.contains("secret") && !printed.contains("salt"), "{printed}");
}
