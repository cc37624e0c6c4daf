//! The parameters of [`Argon2id`], checked before anything is hashed with them.

use std::fmt;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;

use thiserror::Error;

use super::Argon2id;
use super::backend::{self, Argon2Backend};
use super::cost::{Cost, MOST_ITERATIONS, MOST_LANES, MOST_MEMORY_KIB};
use crate::secret::Pepper;

/// The longest queue that can be asked for.
const MOST_WAITING: usize = 10_000;

/// How many wait for each hash that runs: together less than a second of hashes with the default
/// parameters.
const WAITING_EACH: usize = 32;

/// All processors but one, at least one: a hash keeps the thread busy that polls it, and the rest
/// of the application needs one too.
pub(super) fn default_at_once() -> usize {
    let processors = available_parallelism().map_or(1, NonZeroUsize::get);
    processors.saturating_sub(1).clamp(1, Argon2id::MAX_AT_ONCE)
}

pub(super) const fn default_queue(max_concurrent: usize) -> usize {
    max_concurrent.saturating_mul(WAITING_EACH)
}

/// Makes an [`Argon2id`] with parameters of one's own.
///
/// What is not set keeps its default. The cost of a hash grows with memory times passes; measure it
/// on the machine that it runs on, and stay under a second (OWASP). Raising it later is safe: older
/// hashes go on working, and are replaced at the next login of their user. Lowering it is not
/// invisible: see [`Argon2id`].
///
/// ```
/// use countersign::Pepper;
/// use countersign::password::Argon2id;
///
/// let key = vec![7; 32]; // from a key store, not from the source
/// let passwords = Argon2id::builder()
///     .memory_kib(46 * 1024)
///     .iterations(1)
///     .pepper(Pepper::new("2026", key)?)
///     .max_concurrent(2) // 92 MiB
///     .build()?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
// Without `Clone`: a pepper exists once.
#[must_use = "a builder does nothing until it is built"]
pub struct Argon2idBuilder {
    cost: Cost,
    pepper: Option<Pepper>,
    previous: Vec<Pepper>,
    max_concurrent: usize,
    /// `None`: as many as suit `max_concurrent`.
    queue: Option<usize>,
    /// `None`: the one that is built in.
    backend: Option<Box<dyn Argon2Backend>>,
}

impl Argon2idBuilder {
    pub(super) fn new() -> Self {
        Self {
            cost: Cost::DEFAULT,
            pepper: None,
            previous: Vec::new(),
            max_concurrent: default_at_once(),
            queue: None,
            backend: None,
        }
    }

    /// Memory of one hash in KiB, "m" in RFC 9106. Default: 19,456 (19 MiB).
    ///
    /// At least 46 MiB with one pass, 19 MiB with two, 12 MiB with three or more (OWASP Password
    /// Storage Cheat Sheet); at most 256 MiB. Memory is what makes guessing on graphics cards
    /// expensive, so raise this before the passes.
    pub const fn memory_kib(mut self, memory_kib: u32) -> Self {
        self.cost.memory_kib = memory_kib;
        self
    }

    /// Passes over the memory, "t" in RFC 9106, 1 to 10. Default: 2.
    pub const fn iterations(mut self, iterations: u32) -> Self {
        self.cost.iterations = iterations;
        self
    }

    /// Lanes, "p" in RFC 9106, 1 to 16. Default: 1, which is what OWASP gives its parameters for.
    ///
    /// The lanes are computed one after the other here. An attacker can compute them side by side,
    /// so that more of them gain nothing; this is for sharing hashes with another system.
    pub const fn parallelism(mut self, lanes: u32) -> Self {
        self.cost.lanes = lanes;
        self
    }

    /// The key that new hashes are made with, apart from the database. Default: none.
    ///
    /// It is argon2's secret input (RFC 9106 section 3.1), and its id is saved in the hash as
    /// `keyid`, which is not a secret. Without the key, a copy of the database can't be used to
    /// guess passwords (NIST SP 800-63B-4 section 3.1.1.2). A lost key makes every hash under it
    /// useless, so back it up, but not beside the database.
    ///
    /// Hashes without a key id go on being accepted, and are replaced at the next login of their
    /// user.
    pub fn pepper(mut self, pepper: Pepper) -> Self {
        self.pepper = Some(pepper);
        self
    }

    /// A key that earlier hashes were made with. It verifies, and makes no new hash. May be called
    /// several times.
    ///
    /// To replace a key: make the new one [`pepper`](Self::pepper), the old one `previous_pepper`.
    /// Each right password under the old key is then right but outdated, and is hashed again under
    /// the new one. Removing an old key before all hashes are replaced locks out those who are
    /// left, with a fault, not with "wrong password".
    pub fn previous_pepper(mut self, pepper: Pepper) -> Self {
        self.previous.push(pepper);
        self
    }

    /// The number of concurrent hashes, 1 to 256 (`I-40`). Default: the number of processors less
    /// one, at least one.
    ///
    /// The rest wait for their turn. Each keeps a thread busy: as many as the runtime has workers
    /// starve every other task of it. The process keeps `max_concurrent * memory_kib` of memory:
    /// 133 MiB for 7 with the default parameters. A number above that of the processors makes no
    /// hash finish sooner.
    pub const fn max_concurrent(mut self, hashes: usize) -> Self {
        self.max_concurrent = hashes;
        self
    }

    /// The number of first steps that may wait for a hash, 0 to 10,000 (`I-40`). Default: 32 for
    /// each concurrent hash.
    ///
    /// A first step takes its place before it looks the user up. One that finds no place is refused
    /// with [`Reason::Busy`](crate::Reason::Busy), so that nobody waits longer than the queue
    /// takes: with the defaults, 32 times a hash.
    pub const fn queue(mut self, waiting: usize) -> Self {
        self.queue = Some(waiting);
        self
    }

    /// Another implementation of argon2. Default: the one of the crate `argon2`.
    ///
    /// [`build`](Self::build) compares it with that one once.
    pub fn backend(mut self, backend: impl Argon2Backend + 'static) -> Self {
        self.backend = Some(Box::new(backend));
        self
    }

    /// Checks the parameters, and a backend by a few hashes, two of them at the full cost. Keeps no
    /// arena.
    ///
    /// # Errors
    ///
    /// [`Argon2idError`] says which number is outside its bounds, which pepper id is there twice,
    /// or what the backend got wrong.
    pub fn build(self) -> Result<Argon2id, Argon2idError> {
        let Cost { memory_kib, iterations, lanes } = self.cost;
        if !(1..=MOST_ITERATIONS).contains(&iterations) {
            return Err(Argon2idError::Iterations {
                found: iterations,
                least: 1,
                most: MOST_ITERATIONS,
            });
        }
        let least = Cost::least_memory_kib(iterations);
        if !(least..=MOST_MEMORY_KIB).contains(&memory_kib) {
            return Err(Argon2idError::MemoryKib {
                found: memory_kib,
                iterations,
                least,
                most: MOST_MEMORY_KIB,
            });
        }
        if !(1..=MOST_LANES).contains(&lanes) {
            return Err(Argon2idError::Parallelism { found: lanes, least: 1, most: MOST_LANES });
        }
        if !(1..=Argon2id::MAX_AT_ONCE).contains(&self.max_concurrent) {
            return Err(Argon2idError::AtOnce {
                found: self.max_concurrent,
                least: 1,
                most: Argon2id::MAX_AT_ONCE,
            });
        }
        let queue = self.queue.unwrap_or(default_queue(self.max_concurrent));
        if queue > MOST_WAITING {
            return Err(Argon2idError::Queue { found: queue, most: MOST_WAITING });
        }
        let mut ids: Vec<&str> = self.pepper.iter().chain(&self.previous).map(Pepper::id).collect();
        ids.sort_unstable();
        for (id, next) in ids.iter().zip(ids.iter().skip(1)) {
            if id == next {
                return Err(Argon2idError::DuplicatePepper { id: (*id).to_owned() });
            }
        }
        if let Some(backend) = &self.backend {
            backend::check(&**backend, self.cost)?;
        }
        let Self { cost, pepper, previous, max_concurrent, backend, .. } = self;
        Ok(Argon2id::assemble(cost, pepper, previous, max_concurrent, queue, backend))
    }
}

/// The numbers, and no pepper.
impl fmt::Debug for Argon2idBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Argon2idBuilder")
            .field("cost", &self.cost)
            .field("max_concurrent", &self.max_concurrent)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

/// Parameters that [`Argon2idBuilder::build`] refuses. A mistake in a configuration, made by nobody
/// who logs in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Argon2idError {
    /// [`memory_kib`](Argon2idBuilder::memory_kib) is too low for this number of passes, or too
    /// high.
    #[error(
        "memory_kib is {found}, and with iterations = {iterations} it must be {least} to {most}"
    )]
    MemoryKib {
        /// What was set, in KiB.
        found: u32,
        /// The number of passes that `least` is for.
        iterations: u32,
        /// The least with this number of passes, in KiB (OWASP).
        least: u32,
        /// The most, in KiB.
        most: u32,
    },
    /// [`iterations`](Argon2idBuilder::iterations) is outside its bounds.
    #[error("iterations is {found}, and must be {least} to {most}")]
    Iterations {
        /// What was set.
        found: u32,
        /// The least.
        least: u32,
        /// The most.
        most: u32,
    },
    /// [`parallelism`](Argon2idBuilder::parallelism) is outside its bounds.
    #[error("parallelism is {found}, and must be {least} to {most}")]
    Parallelism {
        /// What was set.
        found: u32,
        /// The least.
        least: u32,
        /// The most.
        most: u32,
    },
    /// [`max_concurrent`](Argon2idBuilder::max_concurrent) is outside its bounds.
    #[error("max_concurrent is {found}, and must be {least} to {most}")]
    AtOnce {
        /// What was set.
        found: usize,
        /// The least.
        least: usize,
        /// The most.
        most: usize,
    },
    /// [`queue`](Argon2idBuilder::queue) is too long.
    #[error("queue is {found}, and must be at most {most}")]
    Queue {
        /// What was set.
        found: usize,
        /// The most.
        most: usize,
    },
    /// The [`backend`](Argon2idBuilder::backend) does not compute argon2id as RFC 9106 has it.
    #[error("backend does not compute argon2id: {cause}")]
    Backend {
        /// What it did instead. No secret is in it.
        cause: String,
    },
    /// Two peppers have the same id, so that a saved hash does not say which of them it needs.
    #[error("two peppers have the id {id:?}")]
    DuplicatePepper {
        /// The id, which is not a secret.
        id: String,
    },
}
