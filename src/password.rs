//! The first factor: the contract for checking a password. The default: `password/argon2id.rs`.

mod admission;
mod argon2id;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::{Error, PluginError};
use crate::ids::{LoginName, TenantId};
use crate::secret::Password;
use crate::user::{PasswordHash, User};

pub use admission::{Admission, Busy};
pub use argon2id::{
    Argon2Arena, Argon2Backend, Argon2Input, Argon2id, Argon2idBuilder, Argon2idError,
};

/// The longest password that is looked at, in bytes. NIST SP 800-63B-4 asks for at least 64
/// characters.
pub(crate) const PASSWORD_BYTES: usize = 4096;

/// Checks passwords. The default is [`Argon2id`]; an application with LDAP or hashes of its own
/// plugs in another.
///
/// # Contract
///
/// - **The same work for everybody** (`I-17`). Without a user, and with a user who has no password,
///   it MUST do what it does for a wrong password, and answer [`PasswordCheck::Mismatch`]. *A quick
///   exit tells strangers which names exist.*
/// - The whole password counts: no trimming, no truncation. *A cut password is weaker than its
///   owner thinks.*
/// - Bounded work, whatever is stored, and a bounded number of concurrent and of waiting checks
///   (`I-37`, `I-40`).
/// - An error is for what is broken, such as a damaged hash. It fails the step; it never lets
///   anybody in (`I-23`).
/// - It keeps no counters: the flow counts failures, and ignores a right answer while the user's
///   password is locked (`I-16`).
/// - Cancellation: a dropped future has no effect.
#[async_trait]
pub trait PasswordVerifier: Send + Sync {
    /// Takes a place for one check and what follows it, or says that the queue is full.
    ///
    /// The flow asks before it looks anybody up, so that [`Busy`] comes alike for every name
    /// (`I-17`), and holds the place until the last hash of that step is made. A verifier that
    /// computes nothing itself answers [`Admission::unbounded`]; one around another asks that one.
    /// There is no default: *a queue without a bound is memory and waiting time for strangers to
    /// use up.*
    ///
    /// # Errors
    ///
    /// [`Busy`], with the time after which trying again makes sense.
    fn admit(&self) -> Result<Admission, Busy>;

    /// Checks one password.
    async fn verify(&self, attempt: &PasswordAttempt<'_>) -> Result<PasswordCheck, PluginError>;

    /// Hashes a password under the current parameters: one that is being set, or one that was just
    /// found right after [`PasswordCheck::MatchNeedsRehash`]. `None` if this verifier's passwords
    /// are not kept as hashes with the users.
    async fn hash_password(&self, password: &Password)
    -> Result<Option<PasswordHash>, PluginError>;
}

#[async_trait]
impl<T: PasswordVerifier + ?Sized> PasswordVerifier for Arc<T> {
    fn admit(&self) -> Result<Admission, Busy> {
        (**self).admit()
    }

    async fn verify(&self, attempt: &PasswordAttempt<'_>) -> Result<PasswordCheck, PluginError> {
        (**self).verify(attempt).await
    }

    async fn hash_password(
        &self,
        password: &Password,
    ) -> Result<Option<PasswordHash>, PluginError> {
        (**self).hash_password(password).await
    }
}

/// A password to check.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct PasswordAttempt<'a> {
    /// The tenant.
    pub tenant: &'a TenantId,
    /// What the person typed as name. `None` in a session, where [`user`](Self::user) is known by
    /// its grant: a verifier that needs a name finds it by that user's id.
    pub name: Option<&'a LoginName>,
    /// The user, if there is one.
    pub user: Option<&'a User>,
    /// What the person typed as password.
    pub password: &'a Password,
}

/// Without the name: people type passwords into the wrong field.
impl fmt::Debug for PasswordAttempt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordAttempt")
            .field("tenant", self.tenant)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl<'a> PasswordAttempt<'a> {
    /// A password typed beside a name.
    pub const fn new(
        tenant: &'a TenantId,
        name: &'a LoginName,
        user: Option<&'a User>,
        password: &'a Password,
    ) -> Self {
        Self { tenant, name: Some(name), user, password }
    }

    /// The password of a signed-in user, typed once more.
    pub const fn in_session(
        tenant: &'a TenantId,
        user: Option<&'a User>,
        password: &'a Password,
    ) -> Self {
        Self { tenant, name: None, user, password }
    }

    /// The same attempt as if nobody had that name: for a verifier that makes up for another's work
    /// (`I-17`).
    #[must_use]
    pub const fn for_nobody(&self) -> Self {
        Self { user: None, ..*self }
    }
}

/// What a verifier found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "it says whether the password is right"]
pub enum PasswordCheck {
    /// Wrong, or there is nothing to check against.
    Mismatch,
    /// Right.
    Match,
    /// Right, and saved under parameters that are out of date: [`PasswordVerifier::hash_password`]
    /// makes a better one.
    MatchNeedsRehash,
}

/// The first factor was checked and was right, in this step or at the first step of this login
/// (`I-01`).
#[derive(Clone)]
pub(crate) struct PasswordVerified(());

impl PasswordVerified {
    /// By the first step of a login that is in the record, if the user's password is still the one
    /// that the record belongs to.
    pub(crate) fn remembered(same_password: bool) -> Option<Self> {
        same_password.then_some(Self(()))
    }

    /// By the application, which says so by calling
    /// [`RequestFlow::begin_with_preverified_password`](crate::RequestFlow::begin_with_preverified_password).
    pub(crate) const fn preverified() -> Self {
        Self(())
    }
}

/// Checks one password. Says whether it was right, and whether a better hash should be saved.
pub(crate) async fn check(
    verifier: &dyn PasswordVerifier,
    attempt: &PasswordAttempt<'_>,
) -> Result<(Option<PasswordVerified>, bool), Error> {
    Ok(match verifier.verify(attempt).await.map_err(Error::password_verifier)? {
        PasswordCheck::Mismatch => (None, false),
        PasswordCheck::Match => (Some(PasswordVerified(())), false),
        PasswordCheck::MatchNeedsRehash => (Some(PasswordVerified(())), true),
    })
}
