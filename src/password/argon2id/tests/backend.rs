//! Another implementation in place of the built-in one: held against it, and bounded as it is.

use std::sync::Mutex;

use super::*;

/// Computes with the built-in implementation, counts, and does one thing wrong.
#[derive(Clone, Default)]
struct Counted(Arc<State>);

#[derive(Default)]
struct State {
    made: AtomicUsize,
    alive: AtomicUsize,
    work: Mutex<Vec<u64>>,
    fault: Mutex<Option<Fault>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    WithPepper,
    SeveralLanes,
    LongOutput,
    CutsAtNul,
    CutsAt72,
    SmallAfterLarge,
    FullCost,
    WritesNothing,
    Fails,
    Panics,
}

impl Counted {
    fn has(&self, fault: Fault) -> bool {
        *self.0.fault.lock().unwrap() == Some(fault)
    }

    fn set(&self, fault: Option<Fault>) {
        *self.0.fault.lock().unwrap() = fault;
    }

    fn verifier(&self, memory_kib: u32) -> Argon2id {
        let builder = Argon2id::builder().memory_kib(memory_kib).max_concurrent(2);
        let verifier = builder.backend(self.clone()).build().unwrap();
        self.0.work.lock().unwrap().clear();
        self.0.made.store(0, SeqCst);
        verifier
    }
}

impl Argon2Backend for Counted {
    fn arena(&self, memory_kib: u32) -> Box<dyn Argon2Arena> {
        assert_eq!(memory_kib, 19456, "as large as the verifier's own hashes");
        self.0.made.fetch_add(1, SeqCst);
        self.0.alive.fetch_add(1, SeqCst);
        Box::new(CountedArena(self.clone(), 0))
    }
}

/// With the memory of the largest hash so far.
struct CountedArena(Counted, u32);

impl Drop for CountedArena {
    fn drop(&mut self) {
        self.0.0.alive.fetch_sub(1, SeqCst);
    }
}

impl Argon2Arena for CountedArena {
    fn hash(&mut self, input: &Argon2Input<'_>, output: &mut [u8]) -> Result<(), PluginError> {
        let Counted(state) = &self.0;
        if self.0.has(Fault::Fails) {
            return Err(PluginError::new("no memory"));
        }
        assert!(!self.0.has(Fault::Panics), "broken");
        if self.0.has(Fault::WritesNothing) {
            return Ok(());
        }
        let largest = self.1.max(input.memory_kib);
        let is_smaller = largest > input.memory_kib;
        self.1 = largest;
        let mut password = input.password;
        if self.0.has(Fault::CutsAtNul) {
            password = password.split(|byte| *byte == 0).next().unwrap_or_default();
        }
        if self.0.has(Fault::CutsAt72) {
            password = password.get(..72).unwrap_or(password);
        }
        state.work.lock().unwrap().push(u64::from(input.memory_kib) * u64::from(input.iterations));
        let Argon2Input { memory_kib, iterations, lanes, .. } = *input;
        let params = argon2::Params::new(memory_kib, iterations, lanes, Some(output.len()))?;
        let argon2 = match input.pepper {
            Some(key) => argon2::Argon2::new_with_secret(
                key,
                Algorithm::default(),
                Version::default(),
                params,
            )?,
            None => argon2::Argon2::new(Algorithm::default(), Version::default(), params),
        };
        argon2.hash_password_into(password, input.salt, output)?;
        let wrong = (self.0.has(Fault::WithPepper) && input.pepper.is_some())
            || (self.0.has(Fault::SeveralLanes) && lanes > 1)
            || (self.0.has(Fault::LongOutput) && output.len() > 32)
            || (self.0.has(Fault::SmallAfterLarge) && is_smaller)
            || (self.0.has(Fault::FullCost) && memory_kib == 19456);
        if let (true, Some(last)) = (wrong, output.last_mut()) {
            *last ^= 1;
        }
        Ok(())
    }
}

/// I-23: one that computes something else, or nothing, never gets to see a password.
#[test]
fn a_backend_that_computes_something_else_is_refused() {
    let backend = Counted::default();
    for fault in [
        Fault::WithPepper,
        Fault::SeveralLanes,
        Fault::LongOutput,
        Fault::CutsAtNul,
        Fault::CutsAt72,
        Fault::SmallAfterLarge,
        Fault::FullCost,
        Fault::WritesNothing,
        Fault::Fails,
    ] {
        backend.set(Some(fault));
        let refused = Argon2id::builder().backend(backend.clone()).build().unwrap_err();
        let Argon2idError::Backend { cause } = refused else { panic!("{refused}") };
        let expected = if fault == Fault::Fails { "no memory" } else { "another output" };
        assert!(cause.contains(expected), "{cause}");
        assert_eq!(backend.0.alive.load(SeqCst), 0);
    }
    backend.set(None);
    assert!(Argon2id::builder().backend(backend).build().is_ok());
}

/// I-17: the same hashes, and the same work for everybody, all of it by the backend.
#[test]
fn a_backend_computes_every_hash() {
    let backend = Counted::default();
    let (own, other) = (Argon2id::default(), backend.verifier(19456));
    for (makes, reads) in [(&own, &other), (&other, &own), (&other, &other)] {
        let saved = hash(makes, "secret");
        assert_eq!(verify(reads, &saved, "secret").unwrap(), PasswordCheck::Match);
        assert_eq!(verify(reads, &saved, "Secret").unwrap(), PasswordCheck::Mismatch);
    }
    backend.0.work.lock().unwrap().clear();
    let cheaper = user(Some(Old { cost: (4096, 1, 1), ..CURRENT }.of("secret")));
    let damaged = user(Some(PasswordHash::new("$argon2id$v=19$m=1")));
    for who in [None, Some(user(None)), Some(user(Some(hash(&own, "x")))), Some(cheaper)] {
        let _ = verify_as(&other, who.as_ref(), "secret").unwrap();
        assert_eq!(backend.0.work.lock().unwrap().drain(..).sum::<u64>(), CURRENT_WORK);
    }
    assert!(verify_as(&other, Some(&damaged), "secret").is_err());
    assert_eq!(backend.0.work.lock().unwrap().drain(..).sum::<u64>(), CURRENT_WORK);
    assert!(other.arenas.idle().is_empty(), "none of the built-in ones");
}

/// I-40: as many arenas as hashes run at a time, and none that has grown or panicked.
#[test]
fn a_backends_arenas_are_bounded() {
    let backend = Counted::default();
    let verifier = backend.verifier(19456);
    assert_eq!(backend.0.alive.load(SeqCst), 0, "none before it is needed");
    let saved = hash(&verifier, "secret");
    for _ in 0..3 {
        assert_eq!(verify(&verifier, &saved, "secret").unwrap(), PasswordCheck::Match);
    }
    assert_eq!((backend.0.made.load(SeqCst), backend.0.alive.load(SeqCst)), (1, 1), "kept");
    let larger = Old { cost: (32768, 1, 1), ..CURRENT }.of("secret");
    let outdated = PasswordCheck::MatchNeedsRehash;
    assert_eq!(verify(&verifier, &larger, "secret").unwrap(), outdated);
    assert_eq!(backend.0.alive.load(SeqCst), 0, "it has grown");
    {
        let mut arenas: Vec<_> = (0..3).map(|_| verifier.arenas.borrow()).collect();
        for arena in &mut arenas {
            let input = Input { password: b"x", salt: &[7; SALT_BYTES], key: None };
            arena.hash(Cost::DEFAULT, input, &mut [0; OUTPUT_BYTES]).unwrap();
        }
        assert_eq!(backend.0.alive.load(SeqCst), 3);
    }
    assert_eq!(backend.0.alive.load(SeqCst), 2, "as many as hash at a time");
    backend.set(Some(Fault::Panics));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        verify(&verifier, &saved, "secret")
    }));
    assert!(panicked.is_err());
    assert_eq!(backend.0.alive.load(SeqCst), 1, "without the one that has panicked");
}

/// I-23: what fails lets nobody in, and keeps its cause.
#[test]
fn a_backend_that_fails_fails_the_check() {
    let backend = Counted::default();
    let verifier = backend.verifier(19456);
    let saved = hash(&verifier, "secret");
    backend.set(Some(Fault::Fails));
    let failed = verify(&verifier, &saved, "secret").unwrap_err();
    assert_eq!(failed.to_string(), "no memory");
    assert!(verify_as(&verifier, None, "secret").is_err());
    // One that says that it has computed a hash, and has not, makes none and lets nobody in.
    backend.set(Some(Fault::WritesNothing));
    let nothing = user(Some(PasswordHash::new(format!(
        "$argon2id$v=19$m=19456,t=2,p=1${}${}",
        unpadded(&[3; 16]),
        unpadded(&[0; 32])
    ))));
    assert!(verify_as(&verifier, Some(&nothing), "anything").is_err());
    assert!(block_on(verifier.hash(&Password::new("secret"))).is_err());
}
