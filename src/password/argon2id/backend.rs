//! Other implementations of argon2 than the one that is built in.

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
/// [`build`](super::Argon2idBuilder::build) holds a backend against the built-in implementation
/// once, with small costs, and refuses one that computes something else.
///
/// # Contract
///
/// - The output is that of argon2id version 19 (RFC 9106), for every input. *Another output locks
///   everybody out, and what it protects nobody has looked at.*
/// - Its time depends on the costs and on the lengths of the inputs, not on what is in them, but
///   for the memory that argon2id itself reads by the password (`I-17`).
/// - An arena wipes its memory before a call returns, also where it fails. *From what is left in
///   it, a guess is tested at next to no cost.*
/// - It holds no more memory than the largest hash that it has computed needs.
pub trait Argon2Backend: Send + Sync {
    /// Memory for one hash at a time. It may stay empty until the first one.
    fn arena(&self) -> Box<dyn Argon2Arena>;
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

/// Costs and lengths that take every way through an implementation: one pass and several, one lane
/// and several, an output of one `BLAKE2b` block and of more.
const TRIALS: [(Cost, usize); 3] = [
    (Cost { memory_kib: 64, iterations: 1, lanes: 1 }, 32),
    (Cost { memory_kib: 96, iterations: 3, lanes: 2 }, 16),
    (Cost { memory_kib: 256, iterations: 2, lanes: 1 }, 64),
];

/// Holds a backend against the implementation that is built in.
pub(super) fn check(backend: &dyn Argon2Backend) -> Result<(), Argon2idError> {
    let failed = |cause: String| Argon2idError::Backend { cause };
    let (own, mut arena) = (Arenas::new(0, 0, None), backend.arena());
    for (cost, length) in TRIALS {
        for key in [None, Some(&[9; 32][..])] {
            let input = Input { password: b"correct horse battery staple", salt: &[7; 16], key };
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
