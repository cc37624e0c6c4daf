//! The only place where secrets are hashed: keyed tags over length-prefixed parts.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::codec;
use crate::error::Error;
use crate::secret::Pepper;

/// A stored tag. It has no `PartialEq`: it is compared in constant time or not at all (`I-20`).
#[derive(Clone)]
pub(crate) struct Tag([u8; 32]);

impl Tag {
    pub(crate) fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// The first half, for what is compared but guards nothing that can be guessed.
    pub(crate) fn half(&self) -> [u8; 16] {
        let mut half = [0; 16];
        half.iter_mut().zip(self.0).for_each(|(to, from)| *to = from);
        half
    }
}

impl std::fmt::Debug for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tag(redacted)")
    }
}

impl Serialize for Tag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        codec::serialize_bytes(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Tag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        codec::deserialize_bytes(deserializer).map(Self)
    }
}

/// `(key, label, message parts) -> tag`; an empty key is no key. The model checker puts a cheap one
/// in its place.
pub(crate) type TagHash = fn(&[u8], &[u8], &[&[u8]]) -> [u8; 32];

/// What a tag is for. The label keys it, so that a tag of one kind never serves as another
/// (`I-03`).
#[derive(Clone, Copy)]
pub(crate) enum Label {
    PendingToken,
    SetupToken,
    DeviceToken,
    LoginCode,
    SetupCode,
    BackupCode,
    Epoch,
}

impl Label {
    const fn bytes(self) -> &'static [u8] {
        match self {
            Self::PendingToken => b"countersign/1/pending-token",
            Self::SetupToken => b"countersign/1/setup-token",
            Self::DeviceToken => b"countersign/1/device-token",
            Self::LoginCode => b"countersign/1/login-code",
            Self::SetupCode => b"countersign/1/setup-code",
            Self::BackupCode => b"countersign/1/backup-code",
            Self::Epoch => b"countersign/1/epoch",
        }
    }
}

/// The hash and the peppers.
#[derive(Debug)]
pub(crate) struct Seal {
    hash: TagHash,
    current: Option<Pepper>,
    previous: Vec<Pepper>,
}

impl Seal {
    pub(crate) fn new(hash: TagHash, current: Option<Pepper>, previous: Vec<Pepper>) -> Self {
        Self { hash, current, previous }
    }

    /// The id of the pepper that new values are saved under.
    pub(crate) fn current(&self) -> Option<String> {
        self.current.as_ref().map(|pepper| pepper.id().to_owned())
    }

    /// A tag of a value that has at least 120 random bits of its own, or that guards nothing.
    pub(crate) fn tag(&self, label: Label, parts: &[&[u8]]) -> Tag {
        Tag((self.hash)(&[], label.bytes(), parts))
    }

    /// A tag that can be recomputed only with the client's secret and, where one was configured,
    /// the pepper: what a code of six digits needs, so that a copy of the database can't be
    /// searched (`I-21`).
    pub(crate) fn keyed_tag(
        &self,
        label: Label,
        secret: &[u8; 32],
        pepper: Option<&str>,
        parts: &[&[u8]],
    ) -> Result<Tag, Error> {
        let Some(id) = pepper else { return Ok(Tag((self.hash)(secret, label.bytes(), parts))) };
        let key = Zeroizing::new((self.hash)(self.pepper(id)?.key(), label.bytes(), &[secret]));
        Ok(Tag((self.hash)(&*key, label.bytes(), parts)))
    }

    /// A tag under the pepper alone, if there is one.
    pub(crate) fn peppered_tag(
        &self,
        label: Label,
        pepper: Option<&str>,
        parts: &[&[u8]],
    ) -> Result<Tag, Error> {
        let Some(id) = pepper else { return Ok(self.tag(label, parts)) };
        Ok(Tag((self.hash)(self.pepper(id)?.key(), label.bytes(), parts)))
    }

    fn pepper(&self, id: &str) -> Result<&Pepper, Error> {
        self.current
            .iter()
            .chain(&self.previous)
            .find(|pepper| pepper.id() == id)
            .ok_or(Error::UnknownPepper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tag::sha256_tag;

    #[test]
    fn a_value_under_a_pepper_that_is_gone_is_an_error() {
        let seal = Seal::new(sha256_tag, None, Vec::new());
        assert!(matches!(
            seal.peppered_tag(Label::BackupCode, Some("k1"), &[b"x"]),
            Err(Error::UnknownPepper)
        ));
        assert!(matches!(
            seal.keyed_tag(Label::LoginCode, &[7; 32], Some("k1"), &[b"x"]),
            Err(Error::UnknownPepper)
        ));
    }

    /// `I-21`: a code's tag depends on the client's secret and on the pepper.
    #[test]
    fn a_code_tag_needs_the_secret_and_the_pepper() {
        let pepper = |byte| Pepper::new("k1", vec![byte; 32]).unwrap();
        let plain = Seal::new(sha256_tag, None, Vec::new());
        let one = Seal::new(sha256_tag, Some(pepper(1)), Vec::new());
        let two = Seal::new(sha256_tag, Some(pepper(2)), Vec::new());
        let tag = |seal: &Seal, secret, id| {
            seal.keyed_tag(Label::LoginCode, &[secret; 32], id, &[b"123456"]).unwrap()
        };
        let tags = [
            tag(&plain, 1, None),
            tag(&plain, 2, None),
            tag(&one, 1, Some("k1")),
            tag(&two, 1, Some("k1")),
        ];
        for (i, a) in tags.iter().enumerate() {
            for (j, b) in tags.iter().enumerate() {
                assert_eq!(a.matches(b), i == j);
            }
        }
    }
}
