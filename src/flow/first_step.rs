//! The first step: name and password.

use crate::clock::Timestamp;
use crate::context::Call;
use crate::error::Error;
use crate::event::EventKind;
use crate::first_factor::AssertionVouched;
use crate::flow::driver::{Loaded, Plan, Subject};
use crate::flow::step::{Login, LoginStep, PreverifiedLogin};
use crate::flow::{Inner, RequestFlow};
use crate::ids::{LoginName, TenantId, UserId};
use crate::input::{Field, bounded};
use crate::machine::Attempt;
use crate::password::{self, Admission, PASSWORD_BYTES, PasswordAttempt, PasswordVerified};
use crate::reason::{Denied, Reason};
use crate::secret::{DeviceToken, Password};
use crate::tag::sha256_tag;
use crate::user::{PasswordHash, User, UserStatus};

impl RequestFlow {
    /// The first step: checks name and password, and asks the policy what else is needed.
    ///
    /// **The default verifier hashes on the calling thread**, which a hash keeps busy for 10 to 30
    /// ms: [`Argon2id`](crate::password::Argon2id) says how many threads it takes, and
    /// `BlockingPool` of the crate `countersign-tokio` takes none of the runtime's.
    ///
    /// If the verifier's queue is full, the step is refused with
    /// [`Reason::Busy`](crate::Reason::Busy) and a time to try again. Nothing is looked up or
    /// charged, so the answer is the same for every name.
    ///
    /// Unknown names, wrong passwords, disabled users and locked passwords get the same answer for
    /// the same work: a user look-up by name, one password hash, a user look-up by id together with
    /// one load, and one commit (`I-17`). Only the event tells them apart.
    ///
    /// # Errors
    ///
    /// [`Error`] if a plug-in fails, a saved document is damaged, or other steps for the same user
    /// keep coming first. Nobody is let in. [`Error::UnknownTenant`] comes before anybody is looked
    /// up or a password is hashed, alike for every name.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before the commit leaves everything as it was; after it, a code may be
    /// charged that is not sent.
    pub async fn begin(&self, login: &Login<'_>) -> Result<LoginStep, Error> {
        let inner = &*self.inner;
        let name = match LoginName::new(login.name) {
            Ok(name) => name,
            Err(invalid) => return self.refuse(invalid),
        };
        if let Err(invalid) = bounded(Field::Password, login.password.expose(), PASSWORD_BYTES) {
            return self.refuse(invalid);
        }
        // Before anybody is looked up: a full queue must say nothing of anybody (I-17).
        let place = match inner.admit()? {
            Ok(place) => place,
            Err(busy) => return self.refuse(busy),
        };
        // Before anybody is looked up, too: where ids are compared loosely, a look-up fails for
        // names that exist.
        if inner.known_tenants {
            inner.settings(self.tenant()).await?;
        }
        let user = inner.load_user_by_login(self.tenant(), &name).await?;
        let typed = PasswordAttempt::new(self.tenant(), &name, user.as_ref(), login.password);
        // For nobody, too: the hash is a decoy (`dummy` in password/argon2id.rs), and the record a
        // phantom one, which is charged as any other (`refuse_credentials` in
        // machine/login/begin.rs).
        let (password, outdated) = password::check(&*inner.verifier, &typed).await?;
        let rehash = outdated.then_some((login.password, place));
        let id = user.as_ref().map(|user| user.id.clone());
        let attempt = Attempt {
            channel: login.channel,
            device: login.device,
            password,
            checked: user.into(),
            rehashed: None,
            policy: &*inner.policy,
        };
        inner.first_step(self.call(), (id, name.as_str()), attempt, rehash).await
    }

    /// The first step of an application that has *just checked the password itself*, for this user
    /// and this login.
    ///
    /// countersign takes its word for it: anyone who reaches this call needs only the second
    /// factor. For passwords in LDAP or in another hash, prefer a
    /// [`PasswordVerifier`](crate::password::PasswordVerifier) of your own and
    /// [`begin`](Self::begin), which count failures and answer alike for unknown names. A password
    /// lock holds here too (`I-16`).
    ///
    /// # Errors
    ///
    /// As [`begin`](Self::begin), but [`Error::UnknownTenant`] comes after the user look-up.
    ///
    /// # Cancel safety
    ///
    /// As [`begin`](Self::begin).
    pub async fn begin_with_preverified_password(
        &self,
        login: &PreverifiedLogin<'_>,
    ) -> Result<LoginStep, Error> {
        let inner = &*self.inner;
        let user = inner.load_user(self.tenant(), login.user).await?;
        let id = user.as_ref().map(|user| user.id.clone());
        let attempt = Attempt {
            channel: login.channel,
            device: login.device,
            password: Some(PasswordVerified::preverified()),
            checked: user.into(),
            rehashed: None,
            policy: &*inner.policy,
        };
        inner.first_step(self.call(), (id, login.user.as_str()), attempt, None).await
    }
}

impl RequestFlow {
    /// The first step after single sign-on: the identity provider has just authenticated this user,
    /// and the host has verified its assertion.
    ///
    /// countersign takes the host's word for it. Where the tenant asks nothing after single
    /// sign-on, the person is in, exempt by that name. Where it asks its built-in administrators
    /// ([`SingleSignOn`](crate::tenant::SingleSignOn)), they get a challenge as after a password,
    /// at every such login: no device token is accepted, and none is handed out (`I-43`). The grant
    /// never claims a password.
    ///
    /// Neither the count of wrong passwords nor their lock has a part in it.
    ///
    /// # Errors
    ///
    /// [`Error`] if a plug-in fails, a saved document is damaged, or other steps for the same user
    /// keep coming first. Nobody is let in.
    ///
    /// # Cancel safety
    ///
    /// As [`begin`](Self::begin).
    pub async fn begin_after_single_sign_on(&self, user: &UserId) -> Result<LoginStep, Error> {
        let inner = &*self.inner;
        let phantom = inner.phantom(self.tenant(), user.as_str());
        let plan = Plan { stand_in: Some(&phantom), ..Plan::new(self.about(user)) };
        let committed = inner
            .step_by(plan, |draft, user| {
                let asserted = AssertionVouched::by_the_host();
                draft.begin_after_single_sign_on(asserted, user, &*inner.policy)
            })
            .await?;
        Ok(inner.answer(self.about(user), committed).await)
    }
}

impl Inner {
    /// Hashing the password took time. User and record are read only now, so that the step decides
    /// on the present (`I-25`), and load and commit stand close together.
    ///
    /// `name` is needed for a user that there is not. `rehash` is the password, if its saved hash
    /// is out of date, and the place in the queue for another hash.
    async fn first_step(
        &self,
        call: Call<'_>,
        (id, name): (Option<UserId>, &str),
        mut attempt: Attempt<'_>,
        rehash: Option<(&Password, Admission)>,
    ) -> Result<LoginStep, Error> {
        let phantom = self.phantom(call.tenant, name);
        let subject = Subject { call, user: id.as_ref().unwrap_or(&phantom) };
        let mut loaded = None;
        if let Some((password, place)) = rehash {
            let before = self.load(subject).await?;
            if let Some(user) = &before.user
                && self.may_rehash(subject, &before, user, attempt.device)?
            {
                // A hash takes its time: what was loaded before it is not the present any more.
                attempt.rehashed = self.rehash(subject, password).await?;
                drop(place);
            } else {
                loaded = Some(before);
            }
        }
        let mut noted = false;
        let plan =
            Plan { loaded, stand_in: id.is_some().then_some(&phantom), ..Plan::new(subject) };
        let committed = self
            .step_by(plan, |draft, user| {
                let decision = draft.begin(&attempt, user)?;
                noted = draft.has_noted();
                Ok(decision)
            })
            .await?;
        if let (true, Some(user), Some(rehashed)) = (noted, &committed.user, &attempt.rehashed) {
            self.save_rehashed(subject, user, rehashed, committed.at).await;
        }
        Ok(self.answer(subject, committed).await)
    }

    /// A place in the verifier's queue, or the refusal where there is none.
    pub(super) fn admit(&self) -> Result<Result<Admission, Denied>, Error> {
        match self.verifier.admit() {
            Ok(place) => Ok(Ok(place)),
            Err(busy) => {
                let retry_at = Timestamp::now(&*self.clock)?.plus(busy.retry_after());
                Ok(Err(Denied::until(Reason::Busy, retry_at.to_time())))
            }
        }
    }

    /// The record that a login with an unknown name is counted in: one of 256 per tenant (`I-17`,
    /// `I-40`).
    fn phantom(&self, tenant: &TenantId, name: &str) -> UserId {
        let [bucket, ..] = sha256_tag(
            &self.phantom_key,
            b"countersign/1/phantom",
            &[tenant.as_str().as_bytes(), name.as_bytes()],
        );
        UserId::phantom(bucket)
    }

    /// Whether the password that was just right gets a better hash. Not if the login is refused all
    /// the same: the time that a hash takes would tell that the password was right.
    fn may_rehash(
        &self,
        subject: Subject<'_>,
        loaded: &Loaded,
        user: &User,
        device: Option<&DeviceToken>,
    ) -> Result<bool, Error> {
        let active = user.status == UserStatus::Active && user.password_hash.is_some();
        Ok(active && self.open(subject, loaded)?.password_open(device))
    }

    /// The earlier hash still serves: a failure here is an event, not a failed login.
    async fn rehash(
        &self,
        subject: Subject<'_>,
        password: &Password,
    ) -> Result<Option<PasswordHash>, Error> {
        let rehashed = self.verifier.hash_password(password).await;
        if rehashed.is_err() {
            let at = Timestamp::now(&*self.clock)?;
            self.emit(
                subject.call,
                Some(subject.user),
                at,
                EventKind::PasswordRehashed { saved: false },
            );
        }
        Ok(rehashed.unwrap_or_default())
    }

    /// Saves the better hash with the user. The record knows it by now as one of the same password,
    /// so nothing ends by it.
    async fn save_rehashed(
        &self,
        subject: Subject<'_>,
        user: &User,
        next: &PasswordHash,
        at: Timestamp,
    ) {
        let Some(current) = &user.password_hash else { return };
        let saved = self
            .users
            .replace_password_hash(subject.call.tenant, subject.user, current, next)
            .await
            .unwrap_or(false);
        self.emit(subject.call, Some(subject.user), at, EventKind::PasswordRehashed { saved });
    }
}
