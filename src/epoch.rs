//! Which password of a user something belongs to.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::codec;

/// Stands for one password of one user: a hash over the saved password hash and the security stamp.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch([u8; 16]);

impl Epoch {
    pub(crate) const fn new(hash: [u8; 16]) -> Self {
        Self(hash)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Epoch(redacted)")
    }
}

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        codec::serialize_bytes(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        codec::deserialize_bytes(deserializer).map(Self)
    }
}
