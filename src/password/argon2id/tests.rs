//! What the default password check promises. Costs are real, and counted by [`Tally`].

mod arenas;
mod backend;
mod migrated;
mod saved;

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

use argon2::{Algorithm, Version};
use futures_lite::future::block_on;

use super::cost::{MOST_ITERATIONS, MOST_LANES, MOST_SAVED_LANES};
use super::*;
use crate::ids::{LoginName, TenantId, UserId};
use crate::user::{User, UserStatus};

/// Counts the hashes of an [`Argon2id`], their work (memory times passes), and how many ran at a
/// time.
#[derive(Default)]
pub(super) struct Tally {
    hashes: AtomicUsize,
    work: AtomicU64,
    running: AtomicUsize,
    most_running: AtomicUsize,
    /// No hash goes on before so many have run at a time.
    awaited: AtomicUsize,
    /// Where the frame of the last hash lay in the stack.
    depth: AtomicUsize,
}

pub(super) struct Running<'a>(&'a Tally);

impl Tally {
    pub(super) fn enter(&self, cost: Cost) -> Running<'_> {
        self.hashes.fetch_add(1, SeqCst);
        self.work.fetch_add(cost.work(), SeqCst);
        let running = self.running.fetch_add(1, SeqCst) + 1;
        self.most_running.fetch_max(running, SeqCst);
        while self.most_running.load(SeqCst) < self.awaited.load(SeqCst) {
            std::thread::yield_now();
        }
        self.depth.store(std::ptr::from_ref(&running).addr(), SeqCst);
        Running(self)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

/// The hashes and the work of one call.
fn counted<T>(verifier: &Argon2id, call: impl FnOnce() -> T) -> (T, usize, u64) {
    let tally = &verifier.arenas.tally;
    let before = (tally.hashes.load(SeqCst), tally.work.load(SeqCst));
    let result = call();
    (result, tally.hashes.load(SeqCst) - before.0, tally.work.load(SeqCst) - before.1)
}

fn user(hash: Option<PasswordHash>) -> User {
    let mut user = User::new(TenantId::new("t").unwrap(), UserId::new("u1").unwrap());
    user.password_hash = hash;
    user
}

fn verify_as(
    verifier: &Argon2id,
    user: Option<&User>,
    password: &str,
) -> Result<PasswordCheck, PluginError> {
    let (tenant, name, password) =
        (TenantId::new("t").unwrap(), LoginName::new("n").unwrap(), Password::new(password));
    block_on(verifier.verify(&PasswordAttempt::new(&tenant, &name, user, &password)))
}

fn verify(
    verifier: &Argon2id,
    saved: &PasswordHash,
    password: &str,
) -> Result<PasswordCheck, PluginError> {
    verify_as(verifier, Some(&user(Some(saved.clone()))), password)
}

fn hash(verifier: &Argon2id, password: &str) -> PasswordHash {
    block_on(verifier.hash(&Password::new(password))).unwrap()
}

/// A saved hash, made without the code under test.
struct Old<'a> {
    cost: (u32, u32, u32),
    key: Option<(&'a str, u8)>,
    salt: usize,
    output: usize,
}

const CURRENT: Old<'static> = Old { cost: (19456, 2, 1), key: None, salt: 16, output: 32 };

impl Old<'_> {
    fn of(&self, password: &str) -> PasswordHash {
        let (m, t, p) = self.cost;
        let params = argon2::Params::new(m, t, p, Some(self.output)).unwrap();
        let key = self.key.map(|(_, byte)| [byte; 32]);
        let argon2 = match &key {
            Some(key) => argon2::Argon2::new_with_secret(
                key,
                Algorithm::default(),
                Version::default(),
                params,
            )
            .unwrap(),
            None => argon2::Argon2::new(Algorithm::default(), Version::default(), params),
        };
        let (salt, mut output) = (vec![3; self.salt], vec![0; self.output]);
        argon2.hash_password_into(password.as_bytes(), &salt, &mut output).unwrap();
        let mut text = format!("$argon2id$v=19$m={m},t={t},p={p}");
        if let Some((id, _)) = self.key {
            write!(text, ",keyid={}", unpadded(id.as_bytes())).unwrap();
        }
        PasswordHash::new(format!("{text}${}${}", unpadded(&salt), unpadded(&output)))
    }
}

fn unpadded(bytes: &[u8]) -> String {
    use base64ct::{Base64Unpadded, Encoding};
    Base64Unpadded::encode_string(bytes)
}

fn pepper(id: &str, byte: u8) -> Pepper {
    Pepper::new(id, vec![byte; 32]).unwrap()
}

const CURRENT_WORK: u64 = 2 * 19456;

// What counts as the same password.

#[test]
fn any_character_round_trips_and_nothing_is_trimmed() {
    let verifier = Argon2id::default();
    for (password, other) in [
        ("nul\0inside", "nul"),
        ("nul\0inside", "nul\0inside\0"),
        ("😀🏳️‍🌈 eight or so 😀", "😀🏳️ eight or so 😀"),
        (" spaces ", "spaces"),
        ("tab\t", "tab"),
        ("Case", "case"),
        ("", " "),
    ] {
        let saved = hash(&verifier, password);
        assert_eq!(
            verify(&verifier, &saved, password).unwrap(),
            PasswordCheck::Match,
            "{password:?}"
        );
        assert_eq!(
            verify(&verifier, &saved, other).unwrap(),
            PasswordCheck::Mismatch,
            "{password:?} against {other:?}"
        );
    }
}

#[test]
fn composed_and_decomposed_forms_are_one_password_and_compatibility_forms_are_not() {
    let verifier = Argon2id::default();
    let (composed, decomposed) = ("caf\u{e9} au lait", "cafe\u{301} au lait");
    assert_eq!(
        verify(&verifier, &hash(&verifier, composed), decomposed).unwrap(),
        PasswordCheck::Match
    );
    assert_eq!(
        verify(&verifier, &hash(&verifier, decomposed), composed).unwrap(),
        PasswordCheck::Match
    );
    // What is saved is the hash of the composed form, whichever was typed: other systems can verify
    // it.
    assert_eq!(verify(&verifier, &CURRENT.of(composed), decomposed).unwrap(), PasswordCheck::Match);
    assert_eq!(
        verify(&verifier, &hash(&verifier, "\u{fb01}ne"), "fine").unwrap(),
        PasswordCheck::Mismatch
    );
    assert_eq!(
        verify(&verifier, &hash(&verifier, "fine"), "\u{fb01}ne").unwrap(),
        PasswordCheck::Mismatch
    );
    // And in a text that has to be normalised, where the other forms would show.
    let (ligature, letters) = ("\u{fb01}ne cafe\u{301}", "fine cafe\u{301}");
    assert_eq!(
        verify(&verifier, &hash(&verifier, ligature), letters).unwrap(),
        PasswordCheck::Mismatch
    );
    assert_eq!(
        verify(&verifier, &hash(&verifier, ligature), ligature).unwrap(),
        PasswordCheck::Match
    );
}

#[test]
fn normalising_never_outgrows_the_room_it_was_given() {
    // A copy that grows leaves a piece of the password behind (I-22).
    for character in (0..=u32::from(char::MAX)).filter_map(char::from_u32) {
        let text: String = [character].into_iter().nfc().collect();
        assert!(text.len() <= Nfc::LONGEST_EXPANSION * character.len_utf8(), "{character:?}");
    }
    let password = Password::new("\u{1d160}".repeat(1024));
    let Nfc::Copy(copy) = Nfc::of(&password) else { panic!("it is not in form NFC") };
    assert_eq!(copy.len(), 3 * 4096);
    assert_eq!(copy.capacity(), 3 * 4096);
}

#[test]
fn the_last_of_4096_bytes_counts_and_one_more_is_a_fault_before_any_work() {
    let verifier = Argon2id::default();
    let longest = "x".repeat(PASSWORD_BYTES);
    let saved = hash(&verifier, &longest);
    assert_eq!(verify(&verifier, &saved, &longest).unwrap(), PasswordCheck::Match);
    let changed = format!("{}y", "x".repeat(PASSWORD_BYTES - 1));
    assert_eq!(verify(&verifier, &saved, &changed).unwrap(), PasswordCheck::Mismatch);
    let longer = format!("{longest}x");
    // For a known and an unknown user alike (I-17, I-40).
    let known = user(Some(saved));
    for who in [Some(&known), None] {
        let (verdict, hashes, _) = counted(&verifier, || verify_as(&verifier, who, &longer));
        assert!(verdict.is_err());
        assert_eq!(hashes, 0);
    }
    assert!(block_on(verifier.hash(&Password::new(longer))).is_err());
}

// I-17: the same work for everybody.

#[test]
fn every_branch_costs_one_current_hash() {
    for verifier in [
        Argon2id::default(),
        Argon2id::builder().memory_kib(12288).iterations(3).pepper(pepper("k", 1)).build().unwrap(),
    ] {
        let mut disabled = user(Some(hash(&verifier, "secret")));
        disabled.status = UserStatus::Disabled;
        let known = user(Some(hash(&verifier, "secret")));
        let damaged = user(Some(PasswordHash::new("damaged")));
        let foreign_key = user(Some(Old { key: Some(("gone", 7)), ..CURRENT }.of("secret")));
        let none = user(None);
        let branches = [
            ("unknown", None, "secret", Some(PasswordCheck::Mismatch)),
            ("without a password", Some(&none), "secret", Some(PasswordCheck::Mismatch)),
            ("empty, without a password", Some(&none), "", Some(PasswordCheck::Mismatch)),
            ("wrong", Some(&known), "Secret", Some(PasswordCheck::Mismatch)),
            ("right", Some(&known), "secret", Some(PasswordCheck::Match)),
            ("disabled, wrong", Some(&disabled), "Secret", Some(PasswordCheck::Mismatch)),
            ("disabled, right", Some(&disabled), "secret", Some(PasswordCheck::Match)),
            ("damaged", Some(&damaged), "secret", None),
            ("unknown key", Some(&foreign_key), "secret", None),
        ];
        for (branch, who, password, expected) in branches {
            let (verdict, hashes, work) =
                counted(&verifier, || verify_as(&verifier, who, password));
            assert_eq!(verdict.ok(), expected, "{branch}");
            assert_eq!((hashes, work), (1, verifier.cost.work()), "{branch}");
        }
    }
}

/// I-17: what a hash costs depends a little on where in the stack it runs, so all names must meet
/// at one call of it.
#[test]
fn every_branch_hashes_at_the_same_depth_of_the_stack() {
    let verifier = Argon2id::default();
    let known = user(Some(hash(&verifier, "secret")));
    let damaged = user(Some(PasswordHash::new("damaged")));
    let none = user(None);
    let branches: [(&str, Option<&User>, &str); 6] = [
        ("wrong", Some(&known), "Secret"),
        ("right", Some(&known), "secret"),
        ("unknown", None, "Secret"),
        ("without a password", Some(&none), "Secret"),
        ("damaged", Some(&damaged), "Secret"),
        ("wrong, in another form", Some(&known), "cafe\u{301}"),
    ];
    let depths = branches.map(|(branch, who, password)| {
        let _verdict = verify_as(&verifier, who, password);
        (branch, verifier.arenas.tally.depth.load(SeqCst))
    });
    assert!(depths.iter().all(|(_, depth)| *depth == depths[0].1), "{depths:?}");
    // Control: from one frame further down it is another depth.
    let deeper = |password: &str| verify_as(&verifier, None, password).is_ok() && black_box(true);
    assert!(deeper("Secret"));
    assert_ne!(verifier.arenas.tally.depth.load(SeqCst), depths[0].1);
}

#[test]
fn a_cheaper_saved_hash_is_made_up_for_whether_the_password_is_right_or_wrong() {
    let verifier = Argon2id::default();
    for cost in [
        (1024, 1, 1),
        (1024, 2, 2),
        (2040, 1, 255),
        (4096, 1, 1),
        (4096, 3, 1),
        (12288, 2, 1),
        (19456, 1, 1),
        (19452, 2, 1),
        (16384, 2, 4),
        (8192, 4, 1),
        (9999, 3, 1),
    ] {
        let saved = Old { cost, ..CURRENT }.of("secret");
        for (password, expected) in
            [("secret", PasswordCheck::MatchNeedsRehash), ("wrong", PasswordCheck::Mismatch)]
        {
            let (verdict, hashes, work) =
                counted(&verifier, || verify(&verifier, &saved, password));
            assert_eq!(verdict.unwrap(), expected, "{cost:?}");
            assert_eq!(hashes, 2, "{cost:?}");
            assert!((CURRENT_WORK..CURRENT_WORK + 16).contains(&work), "{cost:?}: {work}");
        }
    }
}

#[test]
fn what_is_missing_fits_the_arena_and_the_bounds_for_every_pair_of_costs() {
    let costs = |lanes: &'static [u32]| {
        [1024, 2040, 4096, 4097, 9999, 12288, 19456, 19457, 47104, 65535, 262_144]
            .into_iter()
            .flat_map(move |memory_kib| {
                (1..=MOST_ITERATIONS).flat_map(move |iterations| {
                    lanes.iter().map(move |lanes| Cost { memory_kib, iterations, lanes: *lanes })
                })
            })
    };
    for current in costs(&[1, 2, 3, 8, MOST_LANES]) {
        for done in costs(&[1, 16, MOST_SAVED_LANES]) {
            let Some(missing) = current.missing_after(done) else {
                assert!(done.work() >= current.work());
                continue;
            };
            let total = done.work() + missing.work();
            assert!(total >= current.work(), "{current:?} {done:?} {missing:?}");
            assert!(
                total - current.work() <= 8 * u64::from(missing.iterations),
                "{current:?} {done:?} {missing:?}"
            );
            let params =
                argon2::Params::new(missing.memory_kib, missing.iterations, missing.lanes, None)
                    .unwrap();
            assert!(params.block_count() <= current.arena_blocks());
        }
    }
}

// When a right password is hashed again.

#[test]
fn right_under_weaker_parameters_is_outdated_and_under_stronger_ones_is_not() {
    let verifier = Argon2id::default();
    for (old, expected) in [
        (CURRENT, PasswordCheck::Match),
        (Old { cost: (19456, 3, 1), ..CURRENT }, PasswordCheck::Match),
        (Old { cost: (20480, 2, 1), ..CURRENT }, PasswordCheck::Match),
        (Old { salt: 32, output: 64, ..CURRENT }, PasswordCheck::Match),
        (Old { cost: (19455, 2, 1), ..CURRENT }, PasswordCheck::MatchNeedsRehash),
        (Old { cost: (19456, 1, 1), ..CURRENT }, PasswordCheck::MatchNeedsRehash),
        (Old { cost: (47104, 1, 1), ..CURRENT }, PasswordCheck::Match),
        (Old { cost: (12288, 5, 1), ..CURRENT }, PasswordCheck::Match),
        (Old { cost: (12288, 3, 1), ..CURRENT }, PasswordCheck::MatchNeedsRehash),
        (Old { cost: (19456, 2, 2), ..CURRENT }, PasswordCheck::Match),
        (Old { salt: 15, ..CURRENT }, PasswordCheck::MatchNeedsRehash),
        (Old { output: 31, ..CURRENT }, PasswordCheck::MatchNeedsRehash),
    ] {
        let (cost, salt, output) = (old.cost, old.salt, old.output);
        assert_eq!(
            verify(&verifier, &old.of("secret"), "secret").unwrap(),
            expected,
            "{cost:?} {salt} {output}"
        );
    }
}

#[test]
fn rehashing_makes_a_hash_that_is_right_and_not_outdated() {
    let verifier = Argon2id::builder().pepper(pepper("new", 2)).build().unwrap();
    let (next, hashes, work) =
        counted(&verifier, || block_on(verifier.hash_password(&Password::new("cafe\u{301}"))));
    let next = next.unwrap().unwrap();
    assert_eq!((hashes, work), (1, CURRENT_WORK));
    assert_eq!(verify(&verifier, &next, "caf\u{e9}").unwrap(), PasswordCheck::Match);
}

// Peppers.

#[test]
fn a_hash_under_an_earlier_pepper_or_none_is_right_but_outdated() {
    let old = Argon2id::builder().pepper(pepper("old", 1)).build().unwrap();
    let saved = hash(&old, "secret");
    assert_eq!(verify(&old, &saved, "secret").unwrap(), PasswordCheck::Match);

    let new = Argon2id::builder()
        .pepper(pepper("new", 2))
        .previous_pepper(pepper("old", 1))
        .build()
        .unwrap();
    assert_eq!(verify(&new, &saved, "secret").unwrap(), PasswordCheck::MatchNeedsRehash);
    assert_eq!(verify(&new, &saved, "wrong").unwrap(), PasswordCheck::Mismatch);
    assert_eq!(
        verify(&new, &CURRENT.of("secret"), "secret").unwrap(),
        PasswordCheck::MatchNeedsRehash
    );
    let replaced = block_on(new.hash_password(&Password::new("secret"))).unwrap().unwrap();
    assert!(replaced.expose().contains(",keyid=bmV3$"));
    assert_eq!(verify(&new, &replaced, "secret").unwrap(), PasswordCheck::Match);

    // Away from peppers.
    let bare = Argon2id::builder().previous_pepper(pepper("old", 1)).build().unwrap();
    assert_eq!(verify(&bare, &saved, "secret").unwrap(), PasswordCheck::MatchNeedsRehash);
    assert!(!hash(&bare, "secret").expose().contains("keyid"));
}

#[test]
fn the_key_decides_and_not_only_its_id() {
    let saved = Old { key: Some(("k", 1)), ..CURRENT }.of("secret");
    let right = Argon2id::builder().pepper(pepper("k", 1)).build().unwrap();
    let wrong = Argon2id::builder().pepper(pepper("k", 2)).build().unwrap();
    assert_eq!(verify(&right, &saved, "secret").unwrap(), PasswordCheck::Match);
    assert_eq!(verify(&wrong, &saved, "secret").unwrap(), PasswordCheck::Mismatch);
    // Without its key id, a peppered hash is one of nobody's.
    let stripped = PasswordHash::new(saved.expose().replace(",keyid=aw", ""));
    assert_eq!(verify(&right, &stripped, "secret").unwrap(), PasswordCheck::Mismatch);
}

#[test]
fn an_unknown_key_id_is_a_fault() {
    let saved = Old { key: Some(("gone", 1)), ..CURRENT }.of("secret");
    assert!(verify(&Argon2id::default(), &saved, "secret").is_err());
    let other =
        Argon2id::builder().pepper(pepper("k", 1)).previous_pepper(pepper("l", 1)).build().unwrap();
    assert!(verify(&other, &saved, "secret").is_err());
}

// The builder.

#[test]
fn the_builder_refuses_what_is_outside_the_bounds_and_says_which_number_it_is() {
    let build = |m, t, p| Argon2id::builder().memory_kib(m).iterations(t).parallelism(p).build();
    for (m, t) in [(47104, 1), (19456, 2), (12288, 3), (12288, 10), (262_144, 10)] {
        assert!(build(m, t, 1).is_ok(), "{m} {t}");
    }
    for (m, t, least) in
        [(47103, 1, 47104), (19455, 2, 19456), (12287, 3, 12288), (12287, 10, 12288), (0, 2, 19456)]
    {
        let error = Argon2idError::MemoryKib { found: m, iterations: t, least, most: 262_144 };
        assert_eq!(build(m, t, 1).unwrap_err(), error);
    }
    assert!(build(19456, 2, 16).is_ok());
    assert!(matches!(
        build(262_145, 2, 1),
        Err(Argon2idError::MemoryKib { found: 262_145, most: 262_144, .. })
    ));
    assert!(matches!(build(47104, 0, 1), Err(Argon2idError::Iterations { found: 0, .. })));
    assert!(matches!(build(19456, 11, 1), Err(Argon2idError::Iterations { found: 11, .. })));
    assert!(matches!(build(19456, 2, 0), Err(Argon2idError::Parallelism { found: 0, .. })));
    assert!(matches!(build(19456, 2, 17), Err(Argon2idError::Parallelism { found: 17, .. })));
    assert!(
        Argon2id::builder()
            .max_concurrent(256)
            .build()
            .is_ok_and(|verifier| verifier.queue == 8192)
    );
    assert!(
        Argon2id::builder().queue(10_000).build().is_ok_and(|verifier| verifier.queue == 10_000)
    );
    let refused = Argon2id::builder().queue(10_001).build().unwrap_err();
    assert_eq!(refused, Argon2idError::Queue { found: 10_001, most: 10_000 });
    for n in [0, 257] {
        assert!(
            matches!(Argon2id::builder().max_concurrent(n).build(), Err(Argon2idError::AtOnce { found, .. }) if found == n)
        );
    }
}

#[test]
fn the_builder_refuses_two_peppers_of_one_id() {
    let refused = |builder: Argon2idBuilder| {
        assert_eq!(
            builder.build().unwrap_err(),
            Argon2idError::DuplicatePepper { id: "a".to_owned() }
        );
    };
    let builder = Argon2id::builder;
    refused(builder().pepper(pepper("a", 1)).previous_pepper(pepper("a", 2)));
    refused(
        builder()
            .previous_pepper(pepper("a", 1))
            .previous_pepper(pepper("b", 2))
            .previous_pepper(pepper("a", 3)),
    );
    assert!(builder().pepper(pepper("a", 1)).previous_pepper(pepper("b", 1)).build().is_ok());
}

#[test]
fn the_default_is_what_the_builder_builds() {
    let built = Argon2id::builder().build().unwrap();
    let default = Argon2id::default();
    assert_eq!((built.cost, built.max_concurrent), (default.cost, default.max_concurrent));
    assert_eq!(default.cost, Cost { memory_kib: 19456, iterations: 2, lanes: 1 });
    // One processor is left to everything else, where there is more than one.
    let processors = std::thread::available_parallelism().unwrap().get();
    assert_eq!(default.max_concurrent, processors.saturating_sub(1).clamp(1, 256));
    assert_eq!(
        (built.queue, default.queue),
        (32 * default.max_concurrent, 32 * default.max_concurrent)
    );
}

// I-22.

#[test]
fn neither_debug_nor_a_fault_shows_a_secret() {
    let (key, password) = ([b'K'; 32], "PASSWORD");
    let builder = || Argon2id::builder().pepper(Pepper::new("k", key.to_vec()).unwrap());
    let verifier = builder().build().unwrap();
    let saved = hash(&verifier, password);
    let text = saved.expose();
    let mut shown = format!("{:?} {:?}", builder(), verifier);
    for text in [
        text.replace("keyid=aw", "keyid=bA"),
        text.replace("m=19456", "m=1"),
        format!("{text}$"),
        text.replace('$', "!"),
    ] {
        let fault = verify(&verifier, &PasswordHash::new(text), password).unwrap_err();
        write!(shown, "{fault} {fault:?} ").unwrap();
    }
    let fault = block_on(verifier.hash(&Password::new(password.repeat(1000)))).unwrap_err();
    write!(shown, "{fault} {fault:?}").unwrap();
    let mut secrets = vec!["KKK", "75, 75", password, "keyid", "bA"];
    secrets.extend(text.split('$').skip(4));
    for secret in secrets {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

/// I-17: with the same password, two users' hashes read different memory. So must those of two
/// names that nobody has.
#[test]
fn names_without_a_hash_have_salts_of_their_own() {
    let salt = |verifier: &Argon2id, tenant: &str, name: &str| {
        let (tenant, name, password) =
            (TenantId::new(tenant).unwrap(), LoginName::new(name).unwrap(), Password::new("x"));
        verifier.decoy_salt(&PasswordAttempt::new(&tenant, &name, None, &password)).unwrap()
    };
    let verifier = Argon2id::new();
    let anns = salt(&verifier, "t", "ann");
    assert_eq!(salt(&verifier, "t", "ann"), anns, "a user's salt stays the same, too");
    for (tenant, name) in [("t", "bob"), ("u", "ann"), ("ta", "nn")] {
        assert_ne!(salt(&verifier, tenant, name), anns);
    }
    assert_ne!(salt(&Argon2id::new(), "t", "ann"), anns, "nobody outside can foresee it");
    // With a pepper it is the same in every process.
    let peppered = |byte| {
        let pepper = Pepper::new("k1", vec![byte; 32]).unwrap();
        Argon2id::builder().pepper(pepper).build().unwrap()
    };
    assert_eq!(salt(&peppered(1), "t", "ann"), salt(&peppered(1), "t", "ann"));
    assert_ne!(salt(&peppered(1), "t", "ann"), salt(&peppered(2), "t", "ann"));
    // Without randomness nobody gets in, and nobody is told apart.
    let mut without = Argon2id::new();
    without.decoy_key = None;
    let somebody = user(Some(block_on(verifier.hash(&Password::new("right"))).unwrap()));
    for user in [None, Some(&somebody)] {
        let (result, hashes, _) = counted(&without, || verify_as(&without, user, "right"));
        assert!(result.is_err() && hashes == 0);
    }
}
