//! A name and a password that change while the application runs.

use std::fmt;

use zeroize::Zeroizing;

/// A password, or a name and a password, for one new connection. See
/// [`credentials_from`](crate::PostgresOptions::credentials_from).
pub struct Credentials {
    user: Option<String>,
    password: Zeroizing<String>,
}

impl Credentials {
    /// A password for the role that the address names.
    pub fn password(password: impl Into<String>) -> Self {
        Self { user: None, password: Zeroizing::new(password.into()) }
    }

    /// A role and its password, in place of those that the address names.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: Some(user.into()), password: Zeroizing::new(password.into()) }
    }

    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    pub(crate) fn expose(&self) -> &str {
        &self.password
    }
}

/// Without the password.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}
