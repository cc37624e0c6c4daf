//! Faults. What a person did wrong is a [`Denied`](crate::Denied), not an error.

use std::error::Error as StdError;
use std::fmt;

use thiserror::Error as ThisError;

use crate::causes::Causes;

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// What a plug-in answers when it could not do its work.
///
/// Made from any error by `?`, or from a text by `.into()`. It does not implement [`std::error::Error`] itself, which is what
/// makes that conversion possible; the core wraps it into an [`Error`] that does. It MUST NOT hold a secret: it is logged.
pub struct Fault(Source);

impl Fault {
    pub(crate) fn into_source(self) -> Source {
        self.0
    }
}

impl<E: Into<Source>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Something broke: a plug-in, a saved record or the caller.
///
/// Faults fail closed (`I-23`): no login was completed, and no guess took effect that was not charged. A step that failed may or
/// may not have been saved; it can be tried again.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// The [`FactorStore`](crate::FactorStore) failed.
    #[error("factor store failed")]
    FactorStore {
        /// What it said.
        source: Source,
    },
    /// The [`UserStore`](crate::UserStore) failed.
    #[error("user store failed")]
    UserStore {
        /// What it said.
        source: Source,
    },
    /// The [`TwoFactorPolicy`](crate::TwoFactorPolicy) failed.
    #[error("two-factor policy failed")]
    Policy {
        /// What it said.
        source: Source,
    },
    /// The [`PasswordVerifier`](crate::PasswordVerifier) failed.
    #[error("password verifier failed")]
    PasswordVerifier {
        /// What it said.
        source: Source,
    },
    /// The [`Clock`](crate::Clock) failed, or is before 1970 or after 9999.
    #[error("clock can not be used")]
    Clock {
        /// What it said.
        source: Source,
    },
    /// The [`Entropy`](crate::Entropy) source failed.
    #[error("random generator failed")]
    Entropy {
        /// What it said.
        source: Source,
    },
    /// A saved document is damaged. It is never taken for an empty one (`I-37`).
    #[error("saved {0} is damaged")]
    Corrupt(Document),
    /// A saved document was written by another version of this library.
    #[error("saved {document} has format {found}, and this version reads format {readable}")]
    UnsupportedFormat {
        /// Which document.
        document: Document,
        /// The format that it names.
        found: u32,
        /// The format that this version reads.
        readable: u32,
    },
    /// A saved value needs a [`Pepper`](crate::Pepper) whose key id is not configured.
    #[error("saved value needs a pepper that is not configured")]
    UnknownPepper,
    /// Other steps for the same user kept winning. Nothing happened; try again.
    #[error("other steps for the same user kept coming first")]
    Contended,
}

/// A kind of saved document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Document {
    /// A user's record.
    Record,
    /// A tenant's settings.
    Settings,
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Record => "record",
            Self::Settings => "settings",
        })
    }
}

impl Error {
    /// What broke and why, in one line for the operator's log, outermost first:
    /// `factor store failed: no connection: connection refused`.
    ///
    /// [`Display`](fmt::Display) says only what broke, so that printers of error chains do not say the
    /// rest twice. Here is the whole chain, with the bounds of [`Causes`](crate::Causes): at most 12
    /// texts of at most 160 printable characters each, and a remark in place of a text that has in it what
    /// could be an address, a key, a token or a URL with parameters. The wording may change.
    ///
    /// ```
    /// # use countersign::Error;
    /// let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "no connection to the database");
    /// let error = Error::FactorStore { source: refused.into() };
    /// assert_eq!(error.to_string(), "factor store failed");
    /// assert_eq!(error.report(), "factor store failed: no connection to the database");
    /// ```
    pub fn report(&self) -> String {
        let causes = Causes::behind(self);
        if causes.is_empty() { self.to_string() } else { format!("{self}: {causes}") }
    }

    pub(crate) fn factor_store(fault: Fault) -> Self {
        Self::FactorStore { source: fault.0 }
    }

    pub(crate) fn user_store(fault: Fault) -> Self {
        Self::UserStore { source: fault.0 }
    }

    pub(crate) fn policy(fault: Fault) -> Self {
        Self::Policy { source: fault.0 }
    }

    pub(crate) fn password_verifier(fault: Fault) -> Self {
        Self::PasswordVerifier { source: fault.0 }
    }

    pub(crate) fn clock(fault: Fault) -> Self {
        Self::Clock { source: fault.0 }
    }

    pub(crate) fn entropy(fault: Fault) -> Self {
        Self::Entropy { source: fault.0 }
    }
}
