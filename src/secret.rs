//! Values that must not be printed, logged, serialised or compared by `==` (`I-22`).
//!
//! Every type here has a redacted `Debug`, is wiped when dropped, and gives its text through one
//! accessor, `expose`. What is missing is missing on purpose: no `Display` and no `Serialize` (they
//! would print it), no `PartialEq` (it would compare in variable time), no `Clone` (a one-shot
//! value stays one value).

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::input::{Field, InvalidInput, Problem};

macro_rules! secret_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name(Zeroizing<String>);

        impl $name {
            /// Wraps the text; nothing is checked here, the step that takes it does.
            pub fn new(text: impl Into<String>) -> Self {
                Self(Zeroizing::new(text.into()))
            }

            /// The text in clear. Where this is called, the secret leaves the library's care.
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self::new(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(redacted)"))
            }
        }
    };
}

secret_text! {
    /// A password as a person typed it: up to 4,096 bytes, any character, nothing trimmed or cut.
    Password
}

secret_text! {
    /// A one-time code: on its way to the [`CodeSender`](crate::sender::CodeSender), or as a person
    /// typed it.
    ///
    /// Full-width digits are understood when it is submitted; white space, hyphens and invisible
    /// characters are ignored.
    Code
}

secret_text! {
    /// The secret of a login under way, for the client alone (`I-02`).
    ///
    /// It is good for the second step, a resend and a cancel of that one login, and authenticates
    /// nothing by itself. Keep it where only that browser or device can present it: an `HttpOnly`
    /// cookie or a hidden field.
    #[must_use = "without it the login can not be finished"]
    PendingToken
}

secret_text! {
    /// The secret of a phone number or method that is being proved, for the client alone.
    #[must_use = "without it the change can not be confirmed"]
    SetupToken
}

secret_text! {
    /// What a trusted device presents instead of a code (`I-29`). Keep it in a `Secure`, `HttpOnly`
    /// cookie or in the device's key store.
    #[must_use = "give it to the device now: it is not shown again, and without it the device is asked for a code"]
    DeviceToken
}

secret_text! {
    /// A backup code: as it is shown to its owner, once, or as a person typed it.
    ///
    /// 120 random bits in Crockford's base 32, `XXXX-XXXX-XXXX-XXXX-XXXX-XXXX`. Case and the
    /// look-alikes `O`, `I` and `L` are understood when it is submitted; white space, hyphens and
    /// invisible characters are ignored.
    #[must_use = "show it now: it is not shown again, and the one before it no longer works"]
    BackupCode
}

/// A server-side key that is kept apart from the database, with the id under which saved values
/// name it.
///
/// With a pepper, neither codes nor backup codes can be tested by somebody who has both a copy of
/// the database and a client's token. Key ids let a key be replaced: the new one is used for what
/// is saved from now on, the earlier ones stay readable for as long as they are configured.
#[derive(ZeroizeOnDrop)]
pub struct Pepper {
    #[zeroize(skip)]
    id: String,
    key: Vec<u8>,
}

impl Pepper {
    /// A key of 32 to 64 bytes from a random generator, and its id: 1 to 8 ASCII letters, digits,
    /// hyphens and underscores.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`] if the id or the length of the key is outside these bounds.
    pub fn new(id: &str, mut key: Vec<u8>) -> Result<Self, InvalidInput> {
        let well_formed = (1..=8).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !well_formed || !(32..=64).contains(&key.len()) {
            key.zeroize();
            return Err(InvalidInput::new(Field::Pepper, Problem::Malformed));
        }
        Ok(Self { id: id.to_owned(), key })
    }

    /// The id that saved values name.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pepper").field("id", &self.id).field("key", &"redacted").finish()
    }
}
