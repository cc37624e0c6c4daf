//! Randomness: the operating system's generator, drawn once a step (`I-19`).

use std::sync::Arc;

use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use crate::error::{Error, PluginError};

/// Where codes, tokens and identities come from.
///
/// # Contract
///
/// MUST be a cryptographically secure generator: anyone who can predict it can log in as anybody.
/// Replace [`SystemEntropy`] in tests only. A fault means no code, no send and an error, never a
/// weaker code (`I-19`).
pub trait Entropy: Send + Sync {
    /// Fills all of `bytes`.
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if the generator fails. Whatever was written by then is not used.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), PluginError>;
}

impl<T: Entropy + ?Sized> Entropy for Arc<T> {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), PluginError> {
        (**self).fill(bytes)
    }
}

/// The operating system's generator. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), PluginError> {
        Ok(SysRng.try_fill_bytes(bytes)?)
    }
}

/// What a step needs at most, so that it makes one system call. The kernel's generator makes 64
/// bytes at a time, after 32 for itself.
const POOL: usize = 96;

/// The randomness of one step: a pool that is filled when it is first needed, handed out once, and
/// wiped.
pub(crate) struct Draw<'a> {
    source: &'a dyn Entropy,
    pool: Zeroizing<[u8; POOL]>,
    used: usize,
}

impl<'a> Draw<'a> {
    pub(crate) fn new(source: &'a dyn Entropy) -> Self {
        Self { source, pool: Zeroizing::new([0; POOL]), used: POOL }
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        const { assert!(N <= POOL) };
        if POOL.saturating_sub(self.used) < N {
            self.source.fill(self.pool.as_mut_slice()).map_err(Error::entropy)?;
            self.used = 0;
        }
        let end = self.used.saturating_add(N);
        let drawn = self.pool.get_mut(self.used..end).and_then(|fresh| {
            let drawn = <[u8; N]>::try_from(&*fresh).ok();
            fresh.fill(0);
            drawn
        });
        self.used = end;
        drawn.ok_or_else(|| Error::entropy(PluginError::new("the pool ran out")))
    }

    /// The last bytes of a step: where nothing was drawn before, no more than these are asked for.
    pub(crate) fn last<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        if self.used < POOL {
            return self.bytes();
        }
        let mut drawn = [0; N];
        self.source.fill(&mut drawn).map_err(Error::entropy)?;
        Ok(drawn)
    }

    /// A number below `bound`, each equally likely: draws above the largest multiple of `bound` are
    /// drawn again.
    pub(crate) fn below(&mut self, bound: u64) -> Result<u64, Error> {
        // 2^64 mod bound, so that `u64::MAX - excess` ends a whole number of ranges.
        let excess = bound
            .wrapping_neg()
            .checked_rem(bound)
            .ok_or_else(|| Error::entropy(PluginError::new("empty range")))?;
        for _ in 0..128 {
            let value = u64::from_le_bytes(self.bytes()?);
            if value <= u64::MAX.wrapping_sub(excess) {
                return value
                    .checked_rem(bound)
                    .ok_or_else(|| Error::entropy(PluginError::new("empty range")));
            }
        }
        Err(Error::entropy(PluginError::new("the generator does not look random")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Script(std::sync::Mutex<Vec<u64>>);

    impl Entropy for Script {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), PluginError> {
            let mut script = self.0.lock().map_err(|_| PluginError::new("poisoned"))?;
            for chunk in bytes.chunks_exact_mut(8) {
                chunk.copy_from_slice(&script.pop().unwrap_or(7).to_le_bytes());
            }
            Ok(())
        }
    }

    /// `I-19`: values above the last whole range are drawn again, so no code is likelier than
    /// another.
    #[test]
    fn the_biased_tail_is_drawn_again() {
        let tail = u64::MAX;
        let script = Script(std::sync::Mutex::new(vec![5, tail - 1, tail]));
        // 2^64 mod 1_000_000 = 551_616: the top 551_616 values are the tail.
        assert_eq!(Draw::new(&script).below(1_000_000).unwrap(), 5);
        let edge = Script(std::sync::Mutex::new(vec![tail - 551_616]));
        assert_eq!(Draw::new(&edge).below(1_000_000).unwrap(), 999_999);
        let above = Script(std::sync::Mutex::new(vec![3, tail - 551_615]));
        assert_eq!(Draw::new(&above).below(1_000_000).unwrap(), 3);
    }

    #[test]
    fn a_generator_that_never_leaves_the_tail_is_an_error() {
        let stuck = Script(std::sync::Mutex::new(vec![u64::MAX; 4096]));
        assert!(matches!(Draw::new(&stuck).below(1_000_000), Err(Error::Entropy { .. })));
    }

    #[test]
    fn a_step_reads_the_generator_once() {
        struct Counting(std::sync::atomic::AtomicUsize);
        impl Entropy for Counting {
            fn fill(&self, _: &mut [u8]) -> Result<(), PluginError> {
                self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                Ok(())
            }
        }
        let counting = Counting(std::sync::atomic::AtomicUsize::new(0));
        let mut draw = Draw::new(&counting);
        draw.bytes::<32>().unwrap();
        draw.bytes::<16>().unwrap();
        draw.bytes::<16>().unwrap();
        draw.below(1_000_000).unwrap();
        draw.bytes::<16>().unwrap();
        assert_eq!(counting.0.into_inner(), 1);
    }

    /// Chi-square over a thousand ranges of codes, in standard deviations from what equal
    /// likelihood gives.
    fn deviation(mut code: impl FnMut() -> u64) -> f64 {
        const DRAWS: u32 = 1_000_000;
        const RANGES: u32 = 1_000;
        let mut seen = [0_u32; 1_000];
        for _ in 0..DRAWS {
            seen[usize::try_from(code() / 1_000).unwrap()] += 1;
        }
        let expected = f64::from(DRAWS / RANGES);
        let chi_square: f64 =
            seen.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum();
        let freedom = f64::from(RANGES - 1);
        (chi_square - freedom) / (2.0 * freedom).sqrt()
    }

    /// `I-19`, attack 43: codes are equally likely, and the test sees the usual mistakes.
    #[test]
    fn codes_are_uniform_and_the_usual_mistakes_are_seen() {
        let source = SystemEntropy;
        let mut draw = Draw::new(&source);
        // Five deviations: once in three million runs by chance.
        assert!(deviation(|| draw.below(1_000_000).unwrap()).abs() < 5.0);
        // Negative controls: a digit as a byte modulo ten, and the whole as 24 bits modulo a
        // million.
        let digit_from_byte =
            || (0..6).fold(0, |code, _| code * 10 + u64::from(draw.bytes::<1>().unwrap()[0] % 10));
        assert!(deviation(digit_from_byte) > 5.0);
        let from_24_bits = || {
            let [a, b, c] = draw.bytes::<3>().unwrap();
            u64::from(u32::from_le_bytes([a, b, c, 0]) % 1_000_000)
        };
        assert!(deviation(from_24_bits) > 5.0);
    }
}
