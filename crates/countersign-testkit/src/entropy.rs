//! Randomness that repeats.

use std::sync::{Mutex, PoisonError};

use countersign::entropy::Entropy;
use countersign::error::PluginError;
use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng, TryRng};

/// Randomness from a seed, so that a test that failed can be run again as it was.
///
/// Never for anything but tests: anyone who knows the seed knows every code and token. `Debug`
/// shows nothing of its state.
pub struct SeededEntropy {
    seed: u64,
    generator: Mutex<StdRng>,
}

impl SeededEntropy {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, generator: Mutex::new(StdRng::seed_from_u64(seed)) }
    }

    /// A seed from the environment variable `COUNTERSIGN_TEST_SEED`, or else a random one; either
    /// is printed, so that it is found in the output of a failed test.
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if the operating system gives no randomness.
    pub fn from_environment() -> Result<Self, PluginError> {
        let given = std::env::var("COUNTERSIGN_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = match given {
            Some(seed) => seed,
            None => SysRng.try_next_u64()?,
        };
        println!("COUNTERSIGN_TEST_SEED={seed}");
        Ok(Self::new(seed))
    }

    /// The seed.
    pub const fn seed(&self) -> u64 {
        self.seed
    }
}

impl std::fmt::Debug for SeededEntropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SeededEntropy").field("seed", &self.seed).finish_non_exhaustive()
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), PluginError> {
        self.generator.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes);
        Ok(())
    }
}
