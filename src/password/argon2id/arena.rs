//! The memory that hashes are computed in: kept between calls, bounded in number, wiped after each.

use std::sync::{Mutex, MutexGuard, PoisonError};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroize;

use super::backend::{Argon2Arena, Argon2Backend, Argon2Input};
use super::cost::Cost;
use crate::error::PluginError;

/// The arenas that nobody uses at the moment. All of them are wiped.
pub(super) struct Arenas {
    idle: Mutex<Vec<Vec<Block>>>,
    most: usize,
    blocks: usize,
    other: Option<Other>,
    #[cfg(test)]
    pub(super) tally: super::tests::Tally,
}

/// Another implementation, and the arenas of it that nobody uses at the moment.
struct Other {
    backend: Box<dyn Argon2Backend>,
    idle: Mutex<Vec<Box<dyn Argon2Arena>>>,
}

impl Other {
    fn idle(&self) -> MutexGuard<'_, Vec<Box<dyn Argon2Arena>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arenas {
    /// Keeps at most `most` arenas, of `blocks` blocks of 1 KiB each. None is allocated before it
    /// is needed.
    pub(super) fn new(most: usize, blocks: usize, backend: Option<Box<dyn Argon2Backend>>) -> Self {
        Self {
            idle: Mutex::new(Vec::new()),
            most,
            blocks,
            other: backend.map(|backend| Other { backend, idle: Mutex::default() }),
            #[cfg(test)]
            tally: super::tests::Tally::default(),
        }
    }

    pub(super) fn borrow(&self) -> Arena<'_> {
        let blocks = self.idle().pop().unwrap_or_default();
        Arena { home: self, blocks, other: None, used: 0 }
    }

    /// A panic elsewhere does not matter here: the list is a list of wiped arenas at every moment.
    pub(super) fn idle(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An arena in use. Dropping it, also while panicking, wipes it and gives it back.
pub(super) struct Arena<'a> {
    home: &'a Arenas,
    blocks: Vec<Block>,
    other: Option<Box<dyn Argon2Arena>>,
    used: usize,
}

/// What is hashed.
// Without `Debug`: it holds the password.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) password: &'a [u8],
    pub(super) salt: &'a [u8],
    pub(super) key: Option<&'a [u8]>,
}

impl Arena<'_> {
    /// Computes one hash. `cost` is within the bounds.
    pub(super) fn hash(
        &mut self,
        cost: Cost,
        input: Input<'_>,
        output: &mut [u8],
    ) -> Result<(), PluginError> {
        #[cfg(test)]
        let _running = self.home.tally.enter(cost);

        if let Some(other) = &self.home.other {
            let arena = self.other.get_or_insert_with(|| {
                let kept = other.idle().pop();
                let size = u32::try_from(self.home.blocks).unwrap_or(u32::MAX);
                kept.unwrap_or_else(|| other.backend.arena(size))
            });
            self.used = self.used.max(cost.arena_blocks());
            arena.hash(&Argon2Input::new(cost, input), output)?;
            // Else every password would be right for a hash that was saved so (I-23).
            if output.iter().all(|byte| *byte == 0) {
                return Err(PluginError::new("backend wrote no hash"));
            }
            return Ok(());
        }
        let params = Params::new(cost.memory_kib, cost.iterations, cost.lanes, Some(output.len()))?;
        let blocks = self.blocks(params.block_count())?;
        let argon2 = match input.key {
            Some(key) => Argon2::new_with_secret(key, Algorithm::Argon2id, Version::V0x13, params)?,
            None => Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
        };
        argon2.hash_password_into_with_memory(input.password, input.salt, output, blocks)?;
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> &[Block] {
        &self.blocks
    }

    /// The first `count` blocks, with whatever the last hash of this borrow left in them: argon2
    /// writes before it reads.
    fn blocks(&mut self, count: usize) -> Result<&mut [Block], PluginError> {
        if self.blocks.len() < count {
            self.wipe();
            let size = count.max(self.home.blocks);
            // Not `reserve` on the old one, which would copy it, and not `vec!`, which aborts when
            // there is no memory.
            self.blocks = Vec::new();
            self.blocks.try_reserve_exact(size)?;
            self.blocks.resize(size, Block::new());
        }
        self.used = self.used.max(count);
        self.blocks.get_mut(..count).ok_or_else(|| PluginError::new("arena is too small"))
    }

    /// Block by block as slices of words, which is a plain `memset` behind a barrier: 5 % of a
    /// hash, and what a fresh allocation costs for being zeroed. Nothing less will do: the last
    /// pass can be undone from the blocks it leaves, back to ones that are one plain hash away from
    /// the password.
    fn wipe(&mut self) {
        for block in self.blocks.iter_mut().take(self.used) {
            block.as_mut().zeroize();
        }
        self.used = 0;
    }
}

impl Drop for Arena<'_> {
    fn drop(&mut self) {
        if let (Some(other), Some(arena)) = (&self.home.other, self.other.take()) {
            let mut idle = other.idle();
            // One that panicked, or that has held a larger hash, is not kept.
            let keeps = !std::thread::panicking() && self.used <= self.home.blocks;
            if keeps && idle.len() < self.home.most {
                idle.push(arena);
            }
            return;
        }
        self.wipe();
        let mut idle = self.home.idle();
        if self.blocks.len() == self.home.blocks && idle.len() < self.home.most {
            idle.push(std::mem::take(&mut self.blocks));
        }
    }
}
