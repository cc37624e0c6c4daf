//! Arenas and turns: bounded, wiped, given back (`I-22`, `I-40`).

use std::pin::pin;
use std::task::{Context, Waker};

use argon2::Block;

use super::*;

fn is_wiped(blocks: &[Block]) -> bool {
    blocks.iter().all(|block| block.as_ref().iter().all(|word| *word == 0))
}

fn leave_something(arena: &mut Arena<'_>) {
    let input = Input { password: b"secret", salt: &[7; SALT_BYTES], key: None };
    arena.hash(Cost::DEFAULT, input, &mut [0; OUTPUT_BYTES]).unwrap();
}

#[test]
fn an_arena_is_kept_for_the_next_hash_and_wiped_before() {
    let verifier = Argon2id::builder().max_concurrent(1).build().unwrap();
    assert!(verifier.arenas.idle().is_empty(), "none before it is needed");
    let saved = hash(&verifier, "secret");
    let address = verifier.arenas.idle()[0].as_ptr();
    for (who, password) in [
        (Some(user(Some(saved))), "secret"),
        (None, "secret"),
        (Some(user(Some(Old { cost: (4096, 1, 1), ..CURRENT }.of("x")))), "x"),
        // The second of its two hashes needs less memory than the first.
        (Some(user(Some(Old { cost: (16384, 1, 1), ..CURRENT }.of("x")))), "x"),
    ] {
        assert!(verify_as(&verifier, who.as_ref(), password).is_ok());
        let idle = verifier.arenas.idle();
        assert_eq!(idle.len(), 1);
        assert_eq!(idle[0].len(), 19456);
        assert_eq!(idle[0].as_ptr(), address, "the same memory");
        assert!(is_wiped(&idle[0]));
    }
    // Negative control: a hash does leave something to wipe.
    let mut arena = verifier.arenas.borrow();
    assert_eq!(arena.memory().as_ptr(), address, "kept, and taken again");
    leave_something(&mut arena);
    assert!(!is_wiped(arena.memory()));
}

#[test]
fn an_arena_for_an_expensive_saved_hash_is_not_kept() {
    let verifier = Argon2id::builder().max_concurrent(1).build().unwrap();
    let saved = Old { cost: (32768, 1, 1), ..CURRENT }.of("secret");
    for _ in 0..2 {
        assert_eq!(verify(&verifier, &saved, "secret").unwrap(), PasswordCheck::MatchNeedsRehash);
        assert!(
            verifier.arenas.idle().iter().all(|blocks| blocks.len() == 19456 && is_wiped(blocks))
        );
    }
}

#[test]
fn no_more_arenas_are_kept_than_hashes_run_at_once() {
    let arenas = Arenas::new(2, 19456, None);
    let mut borrowed: Vec<_> = (0..3).map(|_| arenas.borrow()).collect();
    for arena in &mut borrowed {
        let input = Input { password: b"secret", salt: &[7; SALT_BYTES], key: None };
        arena
            .hash(Cost { memory_kib: 4096, iterations: 1, lanes: 1 }, input, &mut [0; 32])
            .unwrap();
    }
    drop(borrowed);
    assert_eq!(arenas.idle().len(), 2);
}

#[test]
fn eight_threads_never_hash_more_than_at_once() {
    let verifier = Argon2id::builder().max_concurrent(2).build().unwrap();
    let known = user(Some(hash(&verifier, "secret")));
    verifier.arenas.tally.awaited.store(2, SeqCst);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (verifier, known) = (&verifier, &known);
            scope.spawn(move || {
                for _ in 0..3 {
                    match thread % 3 {
                        0 => assert_eq!(
                            verify_as(verifier, Some(known), "secret").unwrap(),
                            PasswordCheck::Match
                        ),
                        1 => assert_eq!(
                            verify_as(verifier, None, "secret").unwrap(),
                            PasswordCheck::Mismatch
                        ),
                        _ => drop(hash(verifier, "secret")),
                    }
                }
            });
        }
    });
    assert_eq!(verifier.arenas.tally.most_running.load(SeqCst), 2, "2 at once, and never more");
    assert_eq!(verifier.arenas.tally.hashes.load(SeqCst), 1 + 8 * 3);
    let idle = verifier.arenas.idle();
    assert!((1..=2).contains(&idle.len()));
    assert!(idle.iter().all(|blocks| is_wiped(blocks)));
}

#[test]
fn a_future_that_is_dropped_while_it_waits_gives_its_turn_back() {
    let verifier = Argon2id::builder().max_concurrent(1).build().unwrap();
    let (tenant, name, password) =
        (TenantId::new("t").unwrap(), LoginName::new("n").unwrap(), Password::new("secret"));
    let attempt = PasswordAttempt::new(&tenant, &name, None, &password);
    let taken = verifier.turns.try_acquire().unwrap();
    let mut context = Context::from_waker(Waker::noop());
    {
        let mut waiting = verifier.verify(&attempt);
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        let mut setting = pin!(verifier.hash(&password));
        assert!(setting.as_mut().poll(&mut context).is_pending());
        // Their turn comes, and they are dropped without being polled again.
        drop(taken);
    }
    assert_eq!(verifier.arenas.tally.hashes.load(SeqCst), 0);
    assert!(verifier.turns.try_acquire().is_some());
    assert_eq!(block_on(verifier.verify(&attempt)).unwrap(), PasswordCheck::Mismatch);
    assert!(verifier.turns.try_acquire().is_some(), "given back after an answer, too");
    assert!(verify(&verifier, &PasswordHash::new("damaged"), "secret").is_err());
    assert!(verifier.turns.try_acquire().is_some(), "and after a fault");
}

/// I-40: those who wait and those whose hash runs are bounded, and the place of whoever is done is
/// another's.
#[test]
fn no_more_are_admitted_than_may_wait_and_hash() {
    for (max_concurrent, queue) in [(1, 0), (2, 3), (4, 128)] {
        let verifier =
            Argon2id::builder().max_concurrent(max_concurrent).queue(queue).build().unwrap();
        let mut places: Vec<_> =
            (0..max_concurrent + queue).map(|_| verifier.admit().unwrap()).collect();
        let Err(busy) = verifier.admit() else { panic!("there is no place left") };
        assert_eq!(
            busy.retry_after(),
            verifier.pace.time_for(max_concurrent + queue, max_concurrent)
        );
        drop(places.pop());
        places.push(verifier.admit().unwrap());
        assert!(verifier.admit().is_err());
    }
}

#[test]
fn a_panic_elsewhere_poisons_nothing_and_leaves_a_wiped_arena() {
    let verifier = Argon2id::builder().max_concurrent(1).build().unwrap();
    let panicked = std::thread::scope(|scope| {
        let panicking = || {
            let _turn = verifier.turns.try_acquire().unwrap();
            let mut arena = verifier.arenas.borrow();
            leave_something(&mut arena);
            panic!("on purpose");
        };
        scope.spawn(panicking).join().is_err()
    });
    assert!(panicked);
    assert!(is_wiped(&verifier.arenas.idle()[0]));

    std::thread::scope(|scope| {
        let panicking = || {
            let _idle = verifier.arenas.idle();
            panic!("on purpose, with the lock");
        };
        assert!(scope.spawn(panicking).join().is_err());
    });
    let saved = hash(&verifier, "secret");
    assert_eq!(verify(&verifier, &saved, "secret").unwrap(), PasswordCheck::Match);
}

#[test]
fn verifier_and_its_futures_can_cross_threads() {
    fn sendable<T: Send>(value: T) -> T {
        value
    }
    fn shareable<T: Send + Sync>(_: &T) {}
    let verifier = Argon2id::default();
    shareable(&verifier);
    let saved = block_on(sendable(verifier.hash(&Password::new("secret")))).unwrap();
    assert_eq!(verify(&verifier, &saved, "secret").unwrap(), PasswordCheck::Match);
}
