//! The saved form of a hash: what is written, what is read, and what is refused before any work
//! (`I-37`, `I-40`).

use super::*;

#[test]
fn a_new_hash_is_what_the_reference_would_have_made() {
    let verifier = Argon2id::builder()
        .memory_kib(12288)
        .iterations(3)
        .pepper(pepper("2026", 9))
        .build()
        .unwrap();
    let saved = hash(&verifier, "secret");
    let text = saved.expose();
    let fields: Vec<&str> = text.split('$').collect();
    assert_eq!(fields[..4], ["", "argon2id", "v=19", "m=12288,t=3,p=1,keyid=MjAyNg"], "{text}");
    // The same fields are accepted by the parser of the argon2 crate, and give the same output.
    let parsed = argon2::PasswordHash::new(text).unwrap();
    let key = [9; 32];
    let argon2 = argon2::Argon2::new_with_secret(
        &key,
        Algorithm::default(),
        Version::default(),
        argon2::Params::default(),
    )
    .unwrap();
    argon2::PasswordVerifier::verify_password(&argon2, b"secret", &parsed).unwrap();
    assert_eq!(parsed.salt.unwrap().len(), 16);
    assert_eq!(parsed.hash.unwrap().len(), 32);
}

#[test]
fn a_hash_of_the_reference_implementation_is_verified() {
    // From test.c of phc-winner-argon2. Its salt of 8 bytes is why it is outdated.
    let saved =
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    let verifier = Argon2id::default();
    assert_eq!(
        verify(&verifier, &PasswordHash::new(saved), "password").unwrap(),
        PasswordCheck::MatchNeedsRehash
    );
    assert_eq!(
        verify(&verifier, &PasswordHash::new(saved), "Password").unwrap(),
        PasswordCheck::Mismatch
    );
}

#[test]
fn two_hashes_of_one_password_differ() {
    let verifier = Argon2id::default();
    let (one, two) = (hash(&verifier, "same"), hash(&verifier, "same"));
    let salt = |hash: &PasswordHash| hash.expose().split('$').nth(4).unwrap().to_owned();
    assert_ne!(salt(&one), salt(&two));
    assert_ne!(one.expose(), two.expose());
}

#[test]
fn saved_costs_outside_the_bounds_are_faults_that_cost_one_current_hash() {
    let verifier = Argon2id::default();
    for cost in [
        "m=4294967295,t=2,p=1",
        "m=262145,t=2,p=1",
        "m=99999999999999999999,t=2,p=1",
        "m=19456,t=4294967295,p=1",
        "m=19456,t=11,p=1",
        "m=19456,t=2,p=16777215",
        "m=19456,t=2,p=256",
        "m=2039,t=2,p=255",
        "m=1023,t=2,p=1",
        "m=8,t=1,p=1",
        "m=0,t=2,p=1",
        "m=19456,t=0,p=1",
        "m=19456,t=2,p=0",
    ] {
        let saved = PasswordHash::new(format!(
            "$argon2id$v=19${cost}${}${}",
            unpadded(&[3; 16]),
            unpadded(&[5; 32])
        ));
        let (verdict, hashes, work) = counted(&verifier, || verify(&verifier, &saved, "any"));
        assert!(verdict.is_err(), "{cost}");
        assert_eq!((hashes, work), (1, CURRENT_WORK), "{cost}");
    }
}

#[test]
fn saved_lengths_at_the_bounds_are_read_and_beyond_them_are_faults() {
    let verifier = Argon2id::default();
    for (salt, output, good) in [
        (8, 32, true),
        (48, 32, true),
        (16, 16, true),
        (16, 64, true),
        (7, 32, false),
        (49, 32, false),
        (16, 15, false),
        (16, 65, false),
        (0, 32, false),
        (16, 0, false),
    ] {
        let saved = format!(
            "$argon2id$v=19$m=19456,t=2,p=1${}${}",
            unpadded(&vec![3; salt]),
            unpadded(&vec![5; output])
        );
        assert_eq!(phc::read(&PasswordHash::new(saved.as_str())).is_ok(), good, "{salt}, {output}");
        if !good {
            let (verdict, hashes, work) =
                counted(&verifier, || verify(&verifier, &PasswordHash::new(saved), "any"));
            assert!(verdict.is_err());
            assert_eq!((hashes, work), (1, CURRENT_WORK));
        }
    }
}

#[test]
fn a_key_id_has_1_to_8_bytes_and_a_whole_text_at_most_256() {
    for (bytes, good) in [(1, true), (8, true), (0, false), (9, false)] {
        let (id, salt, output) =
            (unpadded(&vec![b'k'; bytes]), unpadded(&[3; 16]), unpadded(&[5; 32]));
        let saved = format!("$argon2id$v=19$m=19456,t=2,p=1,keyid={id}${salt}${output}");
        assert_eq!(phc::read(&PasswordHash::new(saved)).is_ok(), good, "{bytes}");
    }
    let refused = |bytes| phc::read(&PasswordHash::new("x".repeat(bytes))).err();
    assert_eq!(refused(256), Some(phc::Unusable::Foreign));
    assert_eq!(refused(257), Some(phc::Unusable::OutOfBounds), "not looked at");
}

#[test]
fn costs_at_the_bounds_are_read() {
    for cost in ["m=1024,t=1,p=1", "m=2040,t=1,p=255", "m=262144,t=10,p=255"] {
        let saved = format!("$argon2id$v=19${cost}${}${}", unpadded(&[3; 16]), unpadded(&[5; 32]));
        assert!(phc::read(&PasswordHash::new(saved)).is_ok(), "{cost}");
    }
}

/// `m,t,p` is the order of the specification; npm's argon2 0.45 writes `m,p,t`.
#[test]
fn parameters_are_read_in_any_order() {
    let verifier = Argon2id::builder().pepper(pepper("k", 1)).build().unwrap();
    let saved = hash(&verifier, "secret");
    let parameters = ["m=19456", "t=2", "p=1", "keyid=aw"];
    let mut orders = 0;
    for (a, b, c) in (0..64).map(|n| (n / 16, n / 4 % 4, n % 4)) {
        let Some(d) =
            (0..4).find(|d| ![a, b, c].contains(d)).filter(|_| a != b && b != c && a != c)
        else {
            continue;
        };
        let order = [a, b, c, d].map(|at| parameters[at]).join(",");
        let other = PasswordHash::new(saved.expose().replace(&parameters.join(","), &order));
        assert_eq!(verify(&verifier, &other, "secret").unwrap(), PasswordCheck::Match, "{order}");
        assert_eq!(
            verify(&verifier, &other, "Secret").unwrap(),
            PasswordCheck::Mismatch,
            "{order}"
        );
        orders += 1;
    }
    assert_eq!(orders, 24);
}

#[test]
fn a_damaged_hash_is_a_fault_and_never_a_verdict() {
    let good = CURRENT.of("secret");
    let good = good.expose();
    let (salt, output) = (unpadded(&[3; 16]), good.rsplit('$').next().unwrap());
    let damaged = [
        String::new(),
        "$".to_owned(),
        "$$$$$$".to_owned(),
        "secret".to_owned(),
        "\0".repeat(300),
        good.replace("argon2id", "argon2i"),
        good.replace("argon2id", "argon2d"),
        good.replace("argon2id", "scrypt"),
        good.replace("v=19", "v=16"),
        good.replace("$v=19", ""),
        good.replace("m=19456,", ""),
        good.replace("t=2,", ""),
        good.replace(",p=1", ""),
        good.replace("t=2,", "t=2,t=2,"),
        good.replace("p=1", "p=1,p=1"),
        good.replace("p=1", "p=1,x=1"),
        good.replace("p=1", "p=1,data=YWJj"),
        good.replace("p=1", "p=1,keyid="),
        good.replace("p=1", "p=1,keyid=YQ,keyid=YQ"),
        good.replace("p=1", "p=1,keyid=MTIzNDU2Nzg5"),
        good.replace("t=2,", "t=3,t=2,"),
        good.replace("m=19456", "m=19456,m=19456"),
        good.replace("m=19456,t=2", "keyid=YQ,t=2,m=19456,keyid=YQ"),
        good.replace("p=1", "p=1,"),
        good.replace("p=1", "p=1,t"),
        good.replace("p=1", "p=1,=1"),
        good.replace("p=1", "p=1,v=19"),
        good.replace("m=19456", "m=019456"),
        good.replace("m=19456", "m=+19456"),
        good.replace("m=19456", "m=-19456"),
        good.replace("m=19456", "m= 19456"),
        good.replace("m=19456", "m=\u{661}9456"),
        good.replace("m=19456", "m="),
        good.replace("m=19456", "M=19456"),
        format!("$argon2id$v=19$m=19456,t=2,p=1${salt}"),
        format!("$argon2id$v=19$m=19456,t=2,p=1${salt}$"),
        format!("$argon2id$v=19$m=19456,t=2,p=1$${output}"),
        format!("{good}="),
        format!("{good}$"),
        format!("{good}$extra"),
        format!("{good}\n"),
        format!(" {good}"),
        format!("{good}{}", "A".repeat(300)),
        good.replace(&salt, "not*base64"),
        good.replace(&salt, "AAAAAAAAAAA\u{e9}"),
        // A last character with bits that mean nothing would make two spellings of one hash.
        good.replace(&salt, "AwMDAwMDAwMDAwMDAwMDAx"),
    ];
    let verifier = Argon2id::default();
    for text in damaged {
        assert_ne!(text, good);
        let (verdict, hashes, work) =
            counted(&verifier, || verify(&verifier, &PasswordHash::new(text.as_str()), "secret"));
        assert!(verdict.is_err(), "{text:?}");
        assert_eq!((hashes, work), (1, CURRENT_WORK), "{text:?}");
    }
    assert_eq!(
        verify(&verifier, &PasswordHash::new(good), "secret").unwrap(),
        PasswordCheck::Match,
        "negative control"
    );
}

#[test]
fn no_prefix_and_no_flipped_byte_panics_or_is_right() {
    let good = CURRENT.of("secret");
    let good = good.expose();
    for end in 0..good.len() {
        if let Ok(saved) = phc::read(&PasswordHash::new(&good[..end])) {
            // Cut inside the output: shorter, and so another hash.
            assert!(saved.output.len() < 32);
        }
    }
    let original = phc::read(&PasswordHash::new(good)).ok().unwrap();
    for at in 0..good.len() {
        for bit in 0..7 {
            let mut bytes = good.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            let Ok(saved) = phc::read(&PasswordHash::new(String::from_utf8(bytes).unwrap())) else {
                continue;
            };
            let same = (saved.cost, &saved.key_id, &saved.salt, &*saved.output)
                == (original.cost, &original.key_id, &original.salt, &*original.output);
            assert!(!same, "byte {at}, bit {bit}: two spellings of one hash");
        }
    }
}
