//! Setting a password: hashing a new one, and asking for the current one.

use crate::clock::Timestamp;
use crate::error::{Error, PluginError};
use crate::event::EventKind;
use crate::flow::RequestFlow;
use crate::grant::SavedGrant;
use crate::input::{Field, bounded};
use crate::machine::{Checked, refuse_account};
use crate::password::{self, PASSWORD_BYTES, PasswordAttempt};
use crate::reason::{Denied, OperationError, Reason};
use crate::secret::Password;
use crate::user::PasswordHash;

impl RequestFlow {
    /// Hashes a password that is being set, with the flow's own verifier: what to save as the
    /// user's [`password_hash`](crate::user::User::password_hash).
    ///
    /// Whether the password is good enough (its length, a list of known ones) is for the
    /// application to decide before. It hashes where [`begin`](Self::begin) does.
    ///
    /// # Errors
    ///
    /// [`OperationError::Denied`] with [`Reason::Busy`] where the queue is full, or with an invalid
    /// password: empty, or over 4,096 bytes. [`OperationError::Failed`] if the verifier fails, or
    /// makes no hashes because its passwords are kept elsewhere.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has no effect.
    pub async fn hash_password(&self, password: &Password) -> Result<PasswordHash, OperationError> {
        let inner = &*self.inner;
        let refuse = |denied: Denied| {
            let event =
                EventKind::StepRefused { login: None, reason: denied.reason().code().into() };
            inner.emit(self.call(), None, Timestamp::now(&*inner.clock)?, event);
            Err(OperationError::Denied(denied))
        };
        if let Err(invalid) = bounded(Field::Password, password.expose(), PASSWORD_BYTES) {
            return refuse(invalid.into());
        }
        let _place = match inner.admit()? {
            Ok(place) => place,
            Err(busy) => return refuse(busy),
        };
        let hash =
            inner.verifier.hash_password(password).await.map_err(Error::password_verifier)?;
        hash.ok_or_else(|| {
            Error::password_verifier(PluginError::new("this verifier makes no hashes")).into()
        })
    }

    /// Checks the current password of the user whose session holds this grant, as a change of
    /// password asks for it.
    ///
    /// It counts in the same budget and meets the same lock as [`begin`](Self::begin) (`I-16`), so
    /// that a stolen session is no place to guess. A right password ends the row of failures, and
    /// changes nothing else. Users who need no second factor may ask, too.
    ///
    /// The [manual](crate::manual::login#changing-a-password) shows a whole change of password.
    ///
    /// # Errors
    ///
    /// [`OperationError::Denied`] with
    /// - [`Reason::WrongPassword`]: how many more are compared before the lock, and until when, if
    ///   this one locked;
    /// - [`Reason::PasswordsLocked`]: nothing was compared or charged;
    /// - [`Reason::SessionStale`]: log in again;
    /// - [`Reason::Busy`] or an invalid password: nothing was read.
    ///
    /// [`OperationError::Failed`] if a plug-in fails.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before the commit leaves everything as it was, and nobody learns what
    /// was found; after it, the attempt is charged.
    pub async fn check_password(
        &self,
        grant: &(impl AsRef<SavedGrant> + ?Sized),
        password: &Password,
    ) -> Result<(), OperationError> {
        let (inner, grant) = (&*self.inner, grant.as_ref());
        let own = grant.tenant() == self.tenant();
        let refuse = |denied: Denied| {
            // Another tenant's user of that id has no part in it (`I-04`).
            let user = own.then(|| grant.user());
            inner.emit(
                self.call(),
                user,
                Timestamp::now(&*inner.clock)?,
                refuse_account::<()>(denied).event,
            );
            Err(OperationError::Denied(denied))
        };
        if let Err(invalid) = bounded(Field::Password, password.expose(), PASSWORD_BYTES) {
            return refuse(invalid.into());
        }
        if !own {
            return refuse(Denied::new(Reason::SessionStale));
        }
        let place = match inner.admit()? {
            Ok(place) => place,
            Err(busy) => return refuse(busy),
        };
        let subject = self.about(grant.user());
        let user = inner.load_user(self.tenant(), grant.user()).await?;
        let attempt = PasswordAttempt::in_session(self.tenant(), user.as_ref(), password);
        let (verified, _outdated) = password::check(&*inner.verifier, &attempt).await?;
        drop(place);
        let checked = Checked::from(user);
        let committed = inner
            .step(subject, |draft, user| {
                draft.confirm_password(&*inner.policy, user, grant, verified.as_ref(), &checked)
            })
            .await?;
        committed.outcome.map_err(OperationError::Denied)
    }
}
