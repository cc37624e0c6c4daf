//! Faults. What a person did wrong is a [`Denied`](crate::Denied), not an error.

use std::error::Error as StdError;
use std::fmt;

use thiserror::Error as ThisError;

use crate::causes::Causes;

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// What a plug-in answers when it could not do its work.
///
/// `?` converts any error into a `PluginError`, and a `PluginError` into a boxed error. From a text
/// or an error that is already boxed, make one with [`new`](Self::new). It does not implement
/// [`std::error::Error`]; if it did, `?` could not convert every error into it. The core wraps it
/// in an [`Error`], which implements the trait and has the cause as its source.
///
/// It MUST NOT hold a secret: it is logged.
///
/// ```
/// use countersign::error::PluginError;
///
/// fn number(text: &str) -> Result<u32, PluginError> {
///     let number: u32 = text.parse()?;
///     if number == 0 {
///         return Err(PluginError::new("zero is no number here"));
///     }
///     Ok(number)
/// }
///
/// fn double(text: &str) -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
///     Ok(2 * number(text)?)
/// }
///
/// assert_eq!(double("21").unwrap(), 42);
/// assert!(double("one").unwrap_err().is::<std::num::ParseIntError>());
/// assert_eq!(double("0").unwrap_err().to_string(), "zero is no number here");
/// ```
pub struct PluginError(Source);

impl PluginError {
    /// A fault with this cause: an error, boxed or not, or a text that says what went wrong.
    pub fn new(cause: impl Into<Box<dyn StdError + Send + Sync + 'static>>) -> Self {
        Self(cause.into())
    }

    /// The error that it was made of, to look at it or at what is behind it
    /// ([`source`](StdError::source)).
    pub fn cause(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.0
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for PluginError {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl From<PluginError> for Box<dyn StdError + Send + Sync + 'static> {
    fn from(fault: PluginError) -> Self {
        fault.0
    }
}

impl From<PluginError> for Box<dyn StdError + 'static> {
    fn from(fault: PluginError) -> Self {
        fault.0
    }
}

impl fmt::Debug for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Something broke: a plug-in, a saved record or the caller.
///
/// Faults fail closed (`I-23`): no login was completed, and no guess took effect that was not
/// charged. A step that failed may or may not have been saved; it can be tried again.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// The [`FactorStore`](crate::store::FactorStore) failed.
    #[error("factor store failed")]
    FactorStore {
        /// The plug-in's own error.
        source: Source,
    },
    /// The [`UserStore`](crate::user::UserStore) failed.
    #[error("user store failed")]
    UserStore {
        /// The plug-in's own error.
        source: Source,
    },
    /// The [`TwoFactorPolicy`](crate::policy::TwoFactorPolicy) failed.
    #[error("two-factor policy failed")]
    Policy {
        /// The plug-in's own error.
        source: Source,
    },
    /// The [`PasswordVerifier`](crate::password::PasswordVerifier) failed.
    #[error("password verifier failed")]
    PasswordVerifier {
        /// The plug-in's own error.
        source: Source,
    },
    /// The [`Clock`](crate::clock::Clock) failed, or is before 1970 or after 9999.
    #[error("clock can not be used")]
    Clock {
        /// The plug-in's own error.
        source: Source,
    },
    /// The [`Entropy`](crate::entropy::Entropy) source failed.
    #[error("random generator failed")]
    Entropy {
        /// The plug-in's own error.
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
    /// No settings are saved for this tenant, and the flow requires them
    /// ([`require_known_tenants`](crate::LoginFlowBuilder::require_known_tenants)). The tenant was
    /// never set up, its id is now spelled differently, or the store is empty or the wrong one.
    ///
    /// It says the same for every user and every password. Nothing was counted, saved or sent.
    #[error("no settings are saved for this tenant")]
    UnknownTenant,
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
            Self::Settings => "settings document",
        })
    }
}

/// Any error with its causes in one line, for the operator's log, bounded and without secrets.
///
/// Each text is bounded and withheld as [`Error::report`] says, also the first one: a plug-in's own
/// error or a panic can have anything in it (`I-22`).
///
/// ```
/// # use countersign::error::report;
/// let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "no connection");
/// let error = countersign::Error::FactorStore { source: refused.into() };
/// assert_eq!(report(&error), "factor store failed: no connection");
/// ```
pub fn report(error: &(dyn std::error::Error + 'static)) -> String {
    Causes::with(error).to_string()
}

impl Error {
    /// What broke and why, in one line for the operator's log, outermost first:
    /// `factor store failed: no connection: connection refused`.
    ///
    /// [`Display`](fmt::Display) says only what broke, so that printers of error chains do not say
    /// the rest twice. Here is the whole chain, with the bounds of [`Causes`]: at most 12 texts of
    /// at most 160 printable characters each, and a remark in place of a text that has in it what
    /// could be an address, a key, a token or a URL with parameters. The wording may change.
    ///
    /// ```
    /// # use countersign::Error;
    /// let refused = std::io::Error::other("no connection to the database");
    /// let error = Error::FactorStore { source: refused.into() };
    /// assert_eq!(error.to_string(), "factor store failed");
    /// assert_eq!(error.report(), "factor store failed: no connection to the database");
    /// ```
    pub fn report(&self) -> String {
        report(self)
    }

    pub(crate) fn factor_store(fault: PluginError) -> Self {
        Self::FactorStore { source: fault.0 }
    }

    pub(crate) fn user_store(fault: PluginError) -> Self {
        Self::UserStore { source: fault.0 }
    }

    pub(crate) fn policy(fault: PluginError) -> Self {
        Self::Policy { source: fault.0 }
    }

    pub(crate) fn password_verifier(fault: PluginError) -> Self {
        Self::PasswordVerifier { source: fault.0 }
    }

    pub(crate) fn clock(fault: PluginError) -> Self {
        Self::Clock { source: fault.0 }
    }

    pub(crate) fn entropy(fault: PluginError) -> Self {
        Self::Entropy { source: fault.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails() -> Result<(), PluginError> {
        let _number: u32 = "x".parse()?;
        Ok(())
    }

    /// `?` goes both ways, and the cause is the same one behind each.
    #[test]
    fn a_fault_becomes_a_boxed_error_and_keeps_its_cause() {
        fn shared() -> Result<(), Box<dyn StdError + Send + Sync>> {
            Ok(fails()?)
        }
        fn own() -> Result<(), Box<dyn StdError>> {
            fails()?;
            Ok(())
        }
        assert!(shared().unwrap_err().is::<std::num::ParseIntError>());
        assert!(own().unwrap_err().is::<std::num::ParseIntError>());
        assert!(fails().unwrap_err().cause().is::<std::num::ParseIntError>());
        // Boxed before, and boxed once.
        let boxed: Box<dyn StdError + Send + Sync> = Box::new(std::fmt::Error);
        assert!(PluginError::new(boxed).cause().is::<std::fmt::Error>());
        let error = Error::factor_store(fails().unwrap_err());
        assert!(error.source().is_some_and(<dyn StdError>::is::<std::num::ParseIntError>));
        assert_eq!(PluginError::new("why").to_string(), "why");
    }
}
