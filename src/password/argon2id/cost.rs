//! What a hash costs, and the bounds on it.

/// The cost parameters of argon2, in the terms of RFC 9106: m, t and p.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) memory_kib: u32,
    pub(super) iterations: u32,
    pub(super) lanes: u32,
}

/// The most memory that is spent on one hash, configured or saved: 256 MiB.
pub(super) const MOST_MEMORY_KIB: u32 = 256 * 1024;

/// The most passes.
pub(super) const MOST_ITERATIONS: u32 = 10;

/// The most lanes of new hashes.
pub(super) const MOST_LANES: u32 = 16;

/// The most lanes of a saved hash: all that an unsigned byte holds. Software in Go writes the
/// number of processors there (Kratos: twice that), and the work is memory times passes, however
/// many lanes it is divided into.
pub(super) const MOST_SAVED_LANES: u32 = 255;

/// The least memory of a saved hash: the default of PHP 7 and of Laravel. Such a hash is replaced
/// at the first login, and refusing it would keep its owner out without protecting it.
pub(super) const LEAST_SAVED_MEMORY_KIB: u32 = 1024;

/// The least memory of a lane in KiB (RFC 9106 section 3.1).
const LEAST_LANE_KIB: u32 = 8;

impl Cost {
    pub(super) const DEFAULT: Self = Self { memory_kib: 19 * 1024, iterations: 2, lanes: 1 };

    /// The OWASP Password Storage Cheat Sheet's least memory for this number of passes.
    pub(super) const fn least_memory_kib(iterations: u32) -> u32 {
        match iterations {
            0 | 1 => 46 * 1024,
            2 => 19 * 1024,
            _ => 12 * 1024,
        }
    }

    /// Whether a saved hash of this cost is looked at (`I-37`, `I-40`).
    pub(super) fn is_acceptable(self) -> bool {
        (LEAST_SAVED_MEMORY_KIB..=MOST_MEMORY_KIB).contains(&self.memory_kib)
            && (1..=MOST_ITERATIONS).contains(&self.iterations)
            && (1..=MOST_SAVED_LANES).contains(&self.lanes)
            && self.memory_kib >= self.lanes.saturating_mul(LEAST_LANE_KIB)
    }

    /// Whether this cost less to compute than the other, and so costs less to guess. A shape with
    /// other memory, passes or lanes but as much work is not weaker: hashing again would then lower
    /// what a stronger hash costs.
    pub(super) fn is_weaker_than(self, other: Self) -> bool {
        self.work() < other.work()
    }

    /// Memory times passes, in KiB: what the time of a hash is proportional to.
    pub(super) fn work(self) -> u64 {
        u64::from(self.memory_kib).saturating_mul(u64::from(self.iterations))
    }

    /// The hash that is missing to the work of this one after another was done. `None` if nothing
    /// is.
    ///
    /// Its memory is as near to this one's as can be, since small memories are faster by the KiB.
    /// It has one lane, whose quarters make it at most 8 KiB a pass more than what is missing.
    pub(super) fn missing_after(self, done: Self) -> Option<Self> {
        let missing = self.work().checked_sub(done.work()).filter(|missing| *missing > 0)?;
        let iterations = missing.div_ceil(u64::from(self.memory_kib.max(1)));
        let memory_kib =
            missing.div_ceil(iterations).next_multiple_of(4).max(u64::from(LEAST_LANE_KIB));
        Some(Self {
            memory_kib: u32::try_from(memory_kib).unwrap_or(self.memory_kib),
            iterations: u32::try_from(iterations).unwrap_or(self.iterations),
            lanes: 1,
        })
    }

    /// The blocks of 1 KiB that hold this hash, and any that is [missing](Self::missing_after) to
    /// it.
    pub(super) fn arena_blocks(self) -> usize {
        let quarters = self.lanes.clamp(1, MOST_LANES).saturating_mul(4);
        usize::try_from(self.memory_kib.next_multiple_of(quarters)).unwrap_or(usize::MAX)
    }
}
