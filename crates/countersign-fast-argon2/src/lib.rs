#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

use std::fmt;

use argon2_rust::params::{Memory, TagLen};
use argon2_rust::{Algorithm, Argon2, Hasher, Params, Version, detected_backend};
use countersign::error::PluginError;
use countersign::password::{Argon2Arena, Argon2Backend, Argon2Input};

/// argon2id by the crate `argon2-rust`, with the instructions that this processor has.
///
/// For [`Argon2idBuilder::backend`](countersign::password::Argon2idBuilder::backend). It has no
/// memory of its own: `Argon2id` keeps one arena for each concurrent hash.
#[derive(Clone, Copy, Default)]
pub struct FastArgon2(());

impl FastArgon2 {
    /// Finds out which instructions this processor has when it first hashes.
    pub const fn new() -> Self {
        Self(())
    }
}

/// The instructions that it uses.
impl fmt::Debug for FastArgon2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FastArgon2({})", detected_backend())
    }
}

impl Argon2Backend for FastArgon2 {
    fn arena(&self, memory_kib: u32) -> Box<dyn Argon2Arena> {
        Box::new(Arena { memory_kib, hasher: None })
    }
}

struct Arena {
    memory_kib: u32,
    /// `None` until the first hash.
    hasher: Option<Hasher>,
}

impl Arena {
    /// With the whole memory, whatever the first hash needs.
    fn hasher(&mut self) -> Result<&mut Hasher, PluginError> {
        let hasher = if let Some(hasher) = self.hasher.take() {
            hasher
        } else {
            let size = Params::builder().memory(Memory::kib(self.memory_kib.max(8).into()));
            let size = size.passes(1).lanes(1).build()?;
            let mut hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, size).hasher();
            hasher.reserve()?;
            hasher
        };
        Ok(self.hasher.insert(hasher))
    }
}

impl Argon2Arena for Arena {
    fn hash(&mut self, input: &Argon2Input<'_>, output: &mut [u8]) -> Result<(), PluginError> {
        let params = Params::builder()
            .memory(Memory::kib(input.memory_kib.into()))
            .passes(input.iterations)
            .lanes(input.lanes)
            // One after the other: a hash takes one thread.
            .threads(1)
            .tag_len(TagLen::bytes(output.len() as u64))
            .build()?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hasher = self.hasher()?;
        hasher.set_argon2(argon2);
        let pepper = input.pepper.unwrap_or_default();
        hasher.hash_into_with_ad(input.password, input.salt, pepper, &[], output)?;
        Ok(())
    }
}
