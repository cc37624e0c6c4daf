//! The user's own page: where codes go, trusted devices, the backup code.

use crate::clock::Timestamp;
use crate::contact::{Method, PhoneNumber};
use crate::error::Error;
use crate::flow::driver::Subject;
use crate::flow::step::{DeliveryStatus, MethodChange, SetupChallenge};
use crate::flow::{Inner, RequestFlow};
use crate::grant::SavedGrant;
use crate::ids::DeviceId;
use crate::machine::{
    Confirmed, Decision, Draft, Need, SetupTarget, StartedSetup, TokenKind, TokenSecret, read_code,
    read_token, refuse_account, write_token,
};
use crate::reason::{Denied, OperationError, Reason};
use crate::secret::{BackupCode, Code, SetupToken};
use crate::sender::Purpose;
use crate::status::FactorStatus;
use crate::user::User;

/// What one user may do about their own second factor, under the grant of their session.
///
/// The grant is held against the user, the policy and the record at each call. Changes need a login
/// with a fresh code or a backup code within the window of
/// [`recent_login`](crate::LoginFlowBuilder::recent_login) (10 minutes by default), otherwise they
/// are refused with [`Reason::ReauthenticationRequired`] (`I-32`). Users who need no second factor
/// have nothing to set up: [`Reason::NotInUse`].
///
/// # Errors
///
/// Every method answers [`OperationError::Denied`] with a reason to show, or
/// [`OperationError::Failed`] if a plug-in failed; in both cases nothing changed.
///
/// # Cancel safety
///
/// A dropped future has made its change or left everything as it was.
#[derive(Debug)]
pub struct Account {
    request: RequestFlow,
    grant: SavedGrant,
}

impl RequestFlow {
    /// The account page of the user whose session holds this grant. Nothing is read before a method
    /// is called.
    ///
    /// The handle owns what it needs, so that a web framework can pass it to a handler.
    pub fn account(&self, grant: &(impl AsRef<SavedGrant> + ?Sized)) -> Account {
        Account { request: self.clone(), grant: grant.as_ref().clone() }
    }
}

impl Account {
    /// Where codes go, the trusted devices, whether there is a backup code, and what is locked.
    ///
    /// A user who needs no second factor has nothing to look at: [`Reason::NotInUse`]. The page
    /// says so, and no event is made, since nobody was refused anything.
    ///
    /// # Errors
    ///
    /// See [`Account`].
    pub async fn status(&self) -> Result<FactorStatus, OperationError> {
        self.same_tenant()?;
        let inner = self.inner();
        let loaded = inner.load_to_read(self.subject()).await?;
        let draft = inner.open(self.subject(), &loaded)?;
        if let Err(denied) =
            draft.authorize(&*inner.policy, loaded.user.as_ref(), &self.grant, Need::View)?
        {
            if denied.reason() != Reason::NotInUse {
                let event = refuse_account::<()>(denied).event;
                inner.emit(
                    self.request.call(),
                    loaded.user.as_ref().map(|user| &user.id),
                    draft.now(),
                    event,
                );
            }
            return Err(denied.into());
        }
        match &loaded.user {
            Some(user) => Ok(draft.status(user)),
            None => Err(Denied::new(Reason::SessionStale).into()),
        }
    }

    /// Begins to send codes by SMS: sends a code to the new number. Until
    /// [`confirm_method`](Self::confirm_method) has that code, codes go where they went before, and
    /// the new number completes no login (`I-32`).
    ///
    /// # Errors
    ///
    /// See [`Account`]; also [`Reason::SendLimit`] while no code may be sent, and the locks of
    /// wrong codes.
    pub async fn use_sms(&self, number: &PhoneNumber) -> Result<SetupChallenge, OperationError> {
        match self.start(SetupTarget::Sms(number.clone())).await? {
            MethodChange::Prove(challenge) => Ok(challenge),
            MethodChange::Done(_) => Err(Denied::new(Reason::SetupOver).into()),
        }
    }

    /// Goes back to the registered email address. If this very login was completed with a code by
    /// email, immediately; otherwise a code is sent there first.
    ///
    /// # Errors
    ///
    /// As [`use_sms`](Self::use_sms); also [`Reason::NoDestination`] without a registered address.
    pub async fn use_email(&self) -> Result<MethodChange, OperationError> {
        self.start(SetupTarget::Email).await
    }

    /// Makes the change that [`use_sms`](Self::use_sms) or [`use_email`](Self::use_email) began,
    /// with the code that was sent. Trusted devices and logins under way end with the earlier
    /// method (`I-30`), and the user is notified at the registered address and the earlier number.
    ///
    /// # Errors
    ///
    /// See [`Account`]; [`Reason::WrongCode`] with the number of tries left, [`Reason::SetupOver`]
    /// if nothing is being proved under this token.
    pub async fn confirm_method(
        &self,
        token: &SetupToken,
        code: &Code,
    ) -> Result<Method, OperationError> {
        let typed = match read_code(code.expose(), self.inner().rules.limits.digits) {
            Ok(typed) => typed,
            Err(invalid) => return self.refuse(invalid.into()),
        };
        let Some((secret, _)) = read_token(TokenKind::Setup, token.expose()) else {
            return self.refuse(Denied::new(Reason::SetupOver));
        };
        let Confirmed(method) = self
            .change(|draft, user, grant| draft.confirm_setup(&secret, &typed, user, grant))
            .await?;
        Ok(method)
    }

    /// Deletes one trusted device: it is asked for a code again, and sessions that it began are
    /// stale.
    ///
    /// # Errors
    ///
    /// See [`Account`]; [`Reason::NotFound`] if there is no such device.
    pub async fn revoke_device(&self, device: DeviceId) -> Result<(), OperationError> {
        self.change(|draft, _, _| Ok(draft.revoke_device(device))).await
    }

    /// Deletes all trusted devices, and answers how many there were.
    ///
    /// # Errors
    ///
    /// See [`Account`].
    pub async fn revoke_devices(&self) -> Result<u32, OperationError> {
        self.change(|draft, _, _| Ok(draft.revoke_devices())).await
    }

    /// Makes the backup code, to be shown now and never again. An earlier one is dead (`I-31`).
    ///
    /// # Errors
    ///
    /// See [`Account`]; [`Reason::BackupCodesOff`] if the application has switched them off.
    pub async fn new_backup_code(&self) -> Result<BackupCode, OperationError> {
        self.change(|draft, user, _| draft.new_backup_code(user)).await
    }

    async fn start(&self, target: SetupTarget) -> Result<MethodChange, OperationError> {
        let inner = self.inner();
        let started = self
            .change_with_user(|draft, user, grant| draft.start_setup(target.clone(), user, grant))
            .await?;
        let (started, user, at) = started;
        match started {
            StartedSetup::Done(method) => Ok(MethodChange::Done(method)),
            StartedSetup::Prove { token, code } => {
                let delivery =
                    inner.deliver(self.subject(), &user, &code, Purpose::MethodSetup, at).await;
                Ok(MethodChange::Prove(self.page(&token, delivery)))
            }
        }
    }

    fn page(&self, token: &TokenSecret, delivery: DeliveryStatus) -> SetupChallenge {
        SetupChallenge {
            token: SetupToken::new(write_token(TokenKind::Setup, token, None)),
            delivery,
            digits: self.inner().rules.limits.digits,
        }
    }

    async fn change<T: Send>(
        &self,
        decide: impl FnMut(
            &mut Draft<'_>,
            &User,
            &SavedGrant,
        ) -> Result<Decision<Result<T, Denied>>, Error>
        + Send,
    ) -> Result<T, OperationError> {
        self.change_with_user(decide).await.map(|(outcome, _, _)| outcome)
    }

    /// One change: authorised and decided against the same record, in the same commit.
    async fn change_with_user<T: Send>(
        &self,
        mut decide: impl FnMut(
            &mut Draft<'_>,
            &User,
            &SavedGrant,
        ) -> Result<Decision<Result<T, Denied>>, Error>
        + Send,
    ) -> Result<(T, User, Timestamp), OperationError> {
        self.same_tenant()?;
        let inner = self.inner();
        let committed = inner
            .step(self.subject(), |draft, user| {
                let allowed = draft.authorize(&*inner.policy, user, &self.grant, Need::Change)?;
                match (allowed, user) {
                    (Ok(()), Some(user)) => decide(draft, user, &self.grant),
                    (Ok(()), None) => Ok(refuse_account(Denied::new(Reason::SessionStale))),
                    (Err(denied), _) => Ok(refuse_account(denied)),
                }
            })
            .await?;
        match (committed.outcome?, committed.user) {
            (outcome, Some(user)) => Ok((outcome, user, committed.at)),
            (_, None) => Err(Denied::new(Reason::SessionStale).into()),
        }
    }

    fn refuse<T>(&self, denied: Denied) -> Result<T, OperationError> {
        let at = Timestamp::now(&*self.inner().clock)?;
        // Another tenant's user of that id has no part in it (`I-04`).
        let user = self.is_of_the_tenant().then(|| self.grant.user());
        self.inner().emit(self.request.call(), user, at, refuse_account::<()>(denied).event);
        Err(denied.into())
    }

    fn inner(&self) -> &Inner {
        &self.request.inner
    }

    fn subject(&self) -> Subject<'_> {
        self.request.about(self.grant.user())
    }

    /// A session of another tenant is no session of this one (`I-03`).
    fn same_tenant(&self) -> Result<(), OperationError> {
        if self.is_of_the_tenant() {
            Ok(())
        } else {
            self.refuse(Denied::new(Reason::SessionStale))
        }
    }

    fn is_of_the_tenant(&self) -> bool {
        self.grant.tenant() == self.request.tenant()
    }
}
