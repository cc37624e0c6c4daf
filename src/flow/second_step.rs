//! The steps after the password: a code, a backup code, another code, or giving up; and, later,
//! whether the grant still holds.

use crate::contact::Method;
use crate::error::Error;
use crate::flow::RequestFlow;
use crate::flow::delivery::made_earlier;
use crate::flow::driver::Committed;
use crate::flow::step::{DeliveryStatus, LoginStep, ResendTo, TrustDevice};
use crate::grant::{RevalidateError, SavedGrant, Staleness};
use crate::ids::UserId;
use crate::label::DeviceLabel;
use crate::machine::{
    Grant, TokenKind, TokenSecret, TrustRequest, Via, read_backup_code, read_code, read_token,
};
use crate::policy::Channel;
use crate::reason::{Denied, Reason};
use crate::secret::{BackupCode, Code, PendingToken};

impl RequestFlow {
    /// Completes a login with the code that was sent.
    ///
    /// A wrong code returns [`LoginStep::Denied`] with [`Reason::WrongCode`] and the number of
    /// attempts left; the same token works for the next one. White space, hyphens and invisible
    /// characters are ignored, and full-width digits are accepted. Input that then does not have
    /// exactly the right number of digits is refused without being counted (`I-20`).
    ///
    /// # Errors
    ///
    /// [`Error`] if a plug-in fails or other steps for the same user keep coming first. Nobody is
    /// let in, and no guess was compared that was not charged (`I-09`).
    ///
    /// # Cancel safety
    ///
    /// A dropped future may have used up the code, or charged a wrong one. It has not let anybody
    /// in.
    pub async fn submit_code(
        &self,
        token: &PendingToken,
        code: &Code,
        trust: TrustDevice<'_>,
    ) -> Result<LoginStep, Error> {
        let limits = &self.inner.rules.limits;
        let typed = match read_code(code.expose(), limits.digits) {
            Ok(typed) => typed,
            Err(invalid) => return self.refuse(invalid),
        };
        let (name, token_before) = match trust {
            TrustDevice::No => (None, None),
            TrustDevice::Named(name) => (Some(name), None),
            TrustDevice::Again { name, token } => (Some(name), Some(token)),
        };
        let trust = match (name, limits.devices) {
            (None, _) => None,
            (Some(_), None) => {
                return self.refuse(Denied::new(Reason::TrustedDevicesOff));
            }
            (Some(name), Some(_)) => {
                let earlier =
                    token_before.and_then(|token| read_token(TokenKind::Device, token.expose()));
                let earlier = earlier.map(|(secret, _)| secret);
                Some(TrustRequest { label: DeviceLabel::new(name), earlier })
            }
        };
        let Some((secret, user)) = read_pending(token) else { return self.not_a_token() };
        let subject = self.about(&user);
        let committed = self
            .inner
            .step(subject, |draft, user| draft.submit_code(&secret, &typed, trust.as_ref(), user))
            .await?;
        Ok(self.inner.answer(subject, committed).await)
    }

    /// Completes a login with the backup code, and replaces that code with a new one.
    ///
    /// The new code is only in [`Authenticated::backup_code`](crate::Authenticated::backup_code)
    /// (`I-31`). The page MUST show it, or the user is left without a backup code.
    ///
    /// Its budget is its own, so that it works while codes are locked (`I-14`).
    ///
    /// # Errors
    ///
    /// As [`submit_code`](Self::submit_code).
    ///
    /// # Cancel safety
    ///
    /// A dropped future may have used up the backup code without showing its successor; a new one
    /// can be made after the next login.
    pub async fn submit_backup_code(
        &self,
        token: &PendingToken,
        code: &BackupCode,
    ) -> Result<LoginStep, Error> {
        if !self.inner.rules.limits.backup_enabled {
            return self.refuse(Denied::new(Reason::BackupCodesOff));
        }
        let typed = match read_backup_code(code.expose()) {
            Ok(typed) => typed,
            Err(invalid) => return self.refuse(invalid),
        };
        let Some((secret, user)) = read_pending(token) else { return self.not_a_token() };
        let subject = self.about(&user);
        let committed = self
            .inner
            .step(subject, |draft, user| draft.submit_backup_code(&secret, &typed, user))
            .await?;
        Ok(self.inner.answer(subject, committed).await)
    }

    /// Sends another code for a login: to the same place, or to the other one. The earlier code of
    /// this login is dead (`I-06`).
    ///
    /// Neither the login's deadline nor the number of guesses changes (`I-10`).
    ///
    /// # Errors
    ///
    /// [`Error`] if a plug-in other than the sender fails. A failed delivery is
    /// [`DeliveryStatus::Failed`](crate::DeliveryStatus::Failed) or
    /// [`DeliveryStatus::PerhapsSent`](crate::DeliveryStatus::PerhapsSent).
    ///
    /// # Cancel safety
    ///
    /// A dropped future may have charged a send whose code did not go out.
    pub async fn resend(&self, token: &PendingToken, to: ResendTo) -> Result<LoginStep, Error> {
        let via = match to {
            ResendTo::Same => Via::Same,
            ResendTo::Email => Via::This(Method::Email),
            ResendTo::Sms => Via::This(Method::Sms),
        };
        let Some((secret, user)) = read_pending(token) else { return self.not_a_token() };
        let subject = self.about(&user);
        let committed =
            self.inner.step(subject, |draft, user| draft.resend(&secret, via, user)).await?;
        Ok(self.inner.answer(subject, committed).await)
    }

    /// Cancels a pending login: its code stops working, and it no longer counts as pending.
    /// Cancelling a login that is already over is not an error.
    ///
    /// # Errors
    ///
    /// [`Error`] if a store or the clock fails; also [`Error::UnknownTenant`], since nothing is
    /// written to a tenant that must be known and is not. No step completes a login there, and it
    /// ends by its time.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has cancelled the login or left it as it was.
    pub async fn cancel(&self, token: &PendingToken) -> Result<(), Error> {
        let Some((secret, user)) = read_pending(token) else {
            return self.not_a_token().map(|_| ());
        };
        let subject = self.about(&user);
        let Committed { outcome: (), .. } =
            self.inner.step(subject, |draft, user| Ok(draft.cancel(&secret, user))).await?;
        Ok(())
    }

    /// Checks a saved grant and answers it as a [`Grant`] while it still holds: the user is active,
    /// the password is the same, and, where the policy now requires a second factor, this login had
    /// one and the record was not reset since (`I-25`, `I-28`).
    ///
    /// Everything else is an error, so that no request of a stale session passes a `?`.
    ///
    /// `channel` is the one that this request came by, whatever the login's was: a session of a
    /// program that needed no second factor is no session of a person at a browser (`I-35`).
    ///
    /// Call it whenever a session is used: a new password, a disabled account or a promotion makes
    /// no event. A session of another tenant does not hold. It writes nothing, and makes one user
    /// look-up and one load, or two of each after a password change.
    ///
    /// # Errors
    ///
    /// [`RevalidateError::Stale`] if the grant no longer holds: end the session.
    /// [`RevalidateError::Failed`] if a plug-in fails: refuse the request and keep the session.
    ///
    /// # Cancel safety
    ///
    /// Nothing is changed.
    pub async fn revalidate(
        &self,
        grant: &(impl AsRef<SavedGrant> + ?Sized),
        channel: Channel,
    ) -> Result<Grant, RevalidateError> {
        let grant = grant.as_ref();
        if grant.tenant() != self.tenant() {
            return Err(Staleness::OtherTenant.into());
        }
        let subject = self.about(grant.user());
        let loaded = self.inner.load_to_read(subject).await?;
        let draft = self.inner.open(subject, &loaded)?;
        let held = draft.revalidate(&*self.inner.policy, loaded.user.as_ref(), grant, channel)?;
        Ok(held?)
    }

    /// What the page of a pending login shows, again: for a reload, a second tab, the back button,
    /// or another node after a restart.
    ///
    /// It only reads. No code is made or sent, nothing is charged, the login gets no more time, and
    /// nothing is shown that the page did not have (`I-46`). If the login is over, it returns
    /// [`Denied`](LoginStep::Denied) with [`Reason::LoginOver`], and makes no event.
    ///
    /// # Errors
    ///
    /// An [`Error`] if a plug-in fails.
    ///
    /// # Cancel safety
    ///
    /// Nothing is changed.
    pub async fn challenge(&self, token: &PendingToken) -> Result<LoginStep, Error> {
        let Some((secret, user)) = read_pending(token) else {
            return Ok(LoginStep::Denied(Denied::new(Reason::LoginOver)));
        };
        let subject = self.about(&user);
        let loaded = self.inner.load_to_read(subject).await?;
        let mut draft = self.inner.open(subject, &loaded)?;
        Ok(match draft.show(&secret, loaded.user.as_ref())? {
            Err(denied) => LoginStep::Denied(denied),
            Ok((open, sent)) => {
                let delivery = match sent {
                    Ok(sent) => DeliveryStatus::MadeEarlier(made_earlier(&sent)),
                    Err(denied) => DeliveryStatus::NotMade { denied },
                };
                LoginStep::CodeRequired(Box::new(self.inner.page(subject, open, delivery)))
            }
        })
    }

    /// Whatever is not a token of a login under way gets the answer of a login that is over.
    fn not_a_token(&self) -> Result<LoginStep, Error> {
        self.refuse(Denied::new(Reason::LoginOver))
    }
}

fn read_pending(token: &PendingToken) -> Option<(TokenSecret, UserId)> {
    let (secret, user) = read_token(TokenKind::Pending, token.expose())?;
    Some((secret, user?))
}
