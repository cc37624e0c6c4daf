//! Names of things: tenants, users, logins, records.

use std::fmt;
use std::sync::Arc;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::input::{Field, InvalidInput, Problem, printable};

/// The longest tenant or user id, in bytes.
pub(crate) const ID_BYTES: usize = 128;

/// User ids that begin so are the library's own (see [`phantom`](crate::manual::storage)).
pub(crate) const RESERVED_PREFIX: &str = "~phantom~";

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $field:expr, $most:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text, exactly as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), &self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidInput;
            fn from_str(text: &str) -> Result<Self, InvalidInput> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::new(&text).map_err(de::Error::custom)
            }
        }
    };
}

text_id! {
    /// A tenant, as the application names it: 1 to 128 bytes of printable text, compared byte by
    /// byte.
    ///
    /// Take it from what the application knows (the host name, its routing table), not from a field
    /// in which a client can name a tenant that does not exist.
    TenantId, Field::TenantId, ID_BYTES
}

impl TenantId {
    /// # Errors
    ///
    /// [`InvalidInput`] if it is empty, longer than 128 bytes, or holds a control character.
    pub fn new(text: &str) -> Result<Self, InvalidInput> {
        printable(Field::TenantId, text, ID_BYTES)?;
        Ok(Self(text.into()))
    }
}

text_id! {
    /// A user within a tenant, as the application names it: 1 to 128 bytes of printable text,
    /// compared byte by byte.
    ///
    /// It means nothing without its tenant (`I-04`): two tenants may use the same id. It must never
    /// be given to another person later. The client of a login under way can read it in the pending
    /// token.
    UserId, Field::UserId, ID_BYTES
}

impl UserId {
    /// # Errors
    ///
    /// [`InvalidInput`] if it is empty, longer than 128 bytes, holds a control character, or begins
    /// with `~phantom~`.
    pub fn new(text: &str) -> Result<Self, InvalidInput> {
        printable(Field::UserId, text, ID_BYTES)?;
        if text.starts_with(RESERVED_PREFIX) {
            return Err(InvalidInput::new(Field::UserId, Problem::Reserved));
        }
        Ok(Self(text.into()))
    }

    /// An id as a [`FactorStore`](crate::store::FactorStore) saved it: for stores, in
    /// [`users`](crate::store::FactorStore::users). It takes also the library's own ids, which
    /// [`new`](Self::new) refuses; never give it what comes from outside.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`] if it is empty, longer than 128 bytes, or holds a control character: then
    /// nothing of this library saved it.
    pub fn read_back(text: &str) -> Result<Self, InvalidInput> {
        printable(Field::UserId, text, ID_BYTES)?;
        Ok(Self(text.into()))
    }

    /// One of the bounded set of records that logins with unknown names are counted in (`I-17`).
    pub(crate) fn phantom(bucket: u8) -> Self {
        Self(format!("{RESERVED_PREFIX}{bucket:03}").into())
    }

    /// Whether this is one of the library's own records of logins with unknown names, and no user.
    pub fn is_phantom(&self) -> bool {
        self.0.starts_with(RESERVED_PREFIX)
    }
}

text_id! {
    /// The name under which a person logs in: 1 to 256 bytes of printable text.
    ///
    /// Whether case matters is for the [`UserStore`](crate::user::UserStore) to say.
    LoginName, Field::LoginName, 256
}

impl LoginName {
    /// # Errors
    ///
    /// [`InvalidInput`] if it is empty, longer than 256 bytes, or holds a control character.
    pub fn new(text: &str) -> Result<Self, InvalidInput> {
        printable(Field::LoginName, text, 256)?;
        Ok(Self(text.into()))
    }
}

text_id! {
    /// The language that a user reads, as a BCP 47 tag such as `en` or `ja-JP`: 1 to 35 ASCII
    /// letters, digits and hyphens.
    Language, Field::Language, 35
}

impl Language {
    /// # Errors
    ///
    /// [`InvalidInput`] if it is empty, longer than 35 bytes, or holds anything but ASCII letters,
    /// digits and hyphens.
    pub fn new(text: &str) -> Result<Self, InvalidInput> {
        printable(Field::Language, text, 35)?;
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(InvalidInput::new(Field::Language, Problem::Malformed));
        }
        Ok(Self(text.into()))
    }
}

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 16]);

        impl $name {
            pub(crate) const fn from_random(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes, for stores that keep them as such.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0_u8; 22];
                f.write_str(Base64UrlUnpadded::encode(&self.0, &mut text).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl std::str::FromStr for $name {
            type Err = MalformedId;
            fn from_str(text: &str) -> Result<Self, MalformedId> {
                let mut bytes = [0_u8; 16];
                match Base64UrlUnpadded::decode(text, &mut bytes) {
                    Ok(decoded) if decoded.len() == 16 => Ok(Self(bytes)),
                    _ => Err(MalformedId),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut text = [0_u8; 22];
                let text = Base64UrlUnpadded::encode(&self.0, &mut text).map_err(serde::ser::Error::custom)?;
                serializer.serialize_str(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::codec::deserialize_bytes::<16, D>(deserializer).map(Self)
            }
        }
    };
}

/// A text that is not 16 bytes in unpadded base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("id is not 16 bytes in base64url")]
pub struct MalformedId;

random_id! {
    /// The version of a saved record or of a tenant's settings.
    ///
    /// Drawn at random by the core at each write and never reused, so that a version seen before a
    /// deletion can't become valid again. Stores compare it for equality and nothing else; it has
    /// no order in time.
    Version
}

impl Version {
    /// A version from its 16 bytes, for stores that read one back.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

random_id! {
    /// Names the settings that an administrator was shown, so that a change is made to these and to
    /// no others: two administrators do not overwrite each other. It is no secret.
    SettingsVersion
}

random_id! {
    /// One login, from its first step to its end: for audit logs. It authenticates nothing.
    LoginId
}

random_id! {
    /// The identity of a user's record: it changes with every reset, and grants are bound to it.
    RecordId
}

random_id! {
    /// One trusted device in a user's list. It authenticates nothing.
    DeviceId
}
