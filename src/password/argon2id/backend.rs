//! Pluggable implementations of argon2.

use std::fmt;

use super::Argon2idError;
use super::arena::{Arenas, Input};
use super::cost::Cost;
use crate::error::{PluginError, report};

/// Computes argon2id for [`Argon2id`](super::Argon2id), in place of the implementation that is
/// built in.
///
/// Everything around a hash stays with [`Argon2id`](super::Argon2id): the bounds on saved hashes,
/// the same work for everybody, peppers, the queue, and the comparison.
/// [`build`](super::Argon2idBuilder::build) compares a backend once with the built-in
/// implementation, and refuses one that computes something else.
///
/// # Contract
///
/// - The output is that of argon2id version 19 (RFC 9106), for every input. *A different output
///   locks every user out, and nobody has analysed what it protects.*
/// - Its time depends only on the costs and the lengths of the inputs, except for argon2id's own
///   password-dependent memory access (`I-17`).
/// - An arena wipes its memory before a call returns, also where it fails (`I-22`). *Leftover
///   memory lets an attacker test guesses at almost no cost.*
/// - It holds at most as much memory as it was made for, or as the largest hash it has computed
///   needs.
pub trait Argon2Backend: Send + Sync {
    /// Memory for one hash at a time, of up to so many KiB. It may stay empty until the first hash,
    /// and then has its whole size, whatever that hash needs: *else the time of a check would tell
    /// what was checked before it* (`I-17`).
    fn arena(&self, memory_kib: u32) -> Box<dyn Argon2Arena>;
}

/// The memory of an [`Argon2Backend`] for one hash at a time.
///
/// [`Argon2id`](super::Argon2id) keeps at most
/// [`max_concurrent`](super::Argon2idBuilder::max_concurrent) of them, and drops one that has
/// computed a larger hash than its own.
pub trait Argon2Arena: Send {
    /// Computes one hash, as many bytes of it as there is room for.
    ///
    /// Blocks until it is done. The numbers are within the bounds that
    /// [`Argon2id`](super::Argon2id) names.
    ///
    /// # Errors
    ///
    /// If there is no memory, or the numbers are refused. It fails the step (`I-23`).
    fn hash(&mut self, input: &Argon2Input<'_>, output: &mut [u8]) -> Result<(), PluginError>;
}

/// What is hashed, and at which cost. The default hashes nothing, at no cost that a backend takes.
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub struct Argon2Input<'a> {
    /// Memory in KiB, "m" in RFC 9106.
    pub memory_kib: u32,
    /// Passes over the memory, "t" in RFC 9106.
    pub iterations: u32,
    /// Lanes, "p" in RFC 9106.
    pub lanes: u32,
    /// The password, in Unicode form NFC.
    pub password: &'a [u8],
    /// The salt.
    pub salt: &'a [u8],
    /// The pepper: argon2's secret input, "K" in RFC 9106.
    pub pepper: Option<&'a [u8]>,
}

impl<'a> Argon2Input<'a> {
    pub(super) const fn new(cost: Cost, input: Input<'a>) -> Self {
        let Cost { memory_kib, iterations, lanes } = cost;
        let Input { password, salt, key: pepper } = input;
        Self { memory_kib, iterations, lanes, password, salt, pepper }
    }
}

/// The cost alone.
impl fmt::Debug for Argon2Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Argon2Input")
            .field("memory_kib", &self.memory_kib)
            .field("iterations", &self.iterations)
            .field("lanes", &self.lanes)
            .finish_non_exhaustive()
    }
}

/// One pass and several, one lane and several, a smaller hash after a larger one. What is hashed,
/// and how long the output is.
const TRIALS: [(Cost, &[u8], &[u8], usize); 5] = [
    (Cost { memory_kib: 64, iterations: 1, lanes: 1 }, b"", &[7; 8], 32),
    (Cost { memory_kib: 96, iterations: 3, lanes: 2 }, b"correct horse battery staple", &SALT, 16),
    (Cost { memory_kib: 256, iterations: 2, lanes: 1 }, &LONG, &SALT, 64),
    (Cost { memory_kib: 64, iterations: 1, lanes: 1 }, &LONG, &[7; 16], 33),
    (Cost { memory_kib: 2048, iterations: 1, lanes: 1 }, b"with a \0 in it", &[7; 16], 32),
];

const SALT: [u8; 48] = [0x5A; 48];
/// More than a block of `BLAKE2b`.
const LONG: [u8; 200] = [0xA5; 200];

/// Compares a backend with the implementation that is built in, at small costs and at this one.
pub(super) fn check(backend: &dyn Argon2Backend, own_cost: Cost) -> Result<(), Argon2idError> {
    let failed = |cause: String| Argon2idError::Backend { cause };
    let (own, mut arena) = (Arenas::new(0, 0, None), backend.arena(own_cost.memory_kib));
    let full: (Cost, &[u8], &[u8], usize) = (own_cost, &LONG, &SALT, 32);
    for (cost, password, salt, length) in TRIALS.into_iter().chain([full]) {
        for key in [None, Some(&[9; 32][..])] {
            let input = Input { password, salt, key };
            let (mut expected, mut found) = (vec![0; length], vec![0; length]);
            let computed = own.borrow().hash(cost, input, &mut expected);
            computed.map_err(|error| failed(report(error.cause())))?;
            let computed = arena.hash(&Argon2Input::new(cost, input), &mut found);
            computed.map_err(|error| failed(report(error.cause())))?;
            if found != expected {
                return Err(failed(format!("another output for {cost:?}")));
            }
        }
    }
    Ok(())
}
