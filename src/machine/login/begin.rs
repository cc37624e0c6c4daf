//! The first step: what a right or wrong password leads to.

use crate::contact::Destination;
use crate::error::Error;
use crate::event::{CredentialsCause, EventKind};
use crate::first_factor::{AssertionVouched, FirstFactor};
use crate::ids::LoginId;
use crate::machine::check::exempt::exempt;
use crate::machine::login::grant::{Authenticated, FactorProof};
use crate::machine::login::pending::Next;
use crate::machine::record::Pending;
use crate::machine::seal::Label;
use crate::machine::{Checked, Decision, Draft, Gate, Write};
use crate::password::PasswordVerified;
use crate::policy::{Channel, Restriction, TwoFactorPolicy};
use crate::reason::{Denied, Reason};
use crate::secret::DeviceToken;
use crate::sender::NoticeKind;
use crate::user::{PasswordHash, User, UserStatus};

/// One attempt at the first step.
pub(crate) struct Attempt<'a> {
    pub(crate) channel: Channel,
    pub(crate) device: Option<&'a DeviceToken>,
    /// `None`: the password is wrong.
    pub(crate) password: Option<PasswordVerified>,
    pub(crate) checked: Checked,
    /// The hash that will replace the user's, once this step is written.
    pub(crate) rehashed: Option<PasswordHash>,
    pub(crate) policy: &'a dyn TwoFactorPolicy,
}

/// How a login that has its first factor came in.
#[derive(Clone, Copy)]
struct Came<'a> {
    channel: Channel,
    device: Option<&'a DeviceToken>,
}

impl Draft<'_> {
    /// Whether a right password counts at the moment, beside this device token.
    pub(crate) fn password_open(&self, device: Option<&DeviceToken>) -> bool {
        self.password_gate(self.counts_by_device(device)) == Gate::Open
    }

    /// Whether passwords are compared, beside the token of a trusted device or without one.
    /// Failures of an earlier password say nothing about the one that the user has now.
    pub(in crate::machine) fn password_gate(&self, by_device: bool) -> Gate {
        let state = &self.record.password;
        let failures = if by_device { &state.device_failures } else { &state.failures };
        if self.same_password() {
            failures.gate(self.now, &self.limits().passwords)
        } else {
            Gate::Open
        }
    }

    /// Whether wrong passwords beside this token are counted apart: strangers, who do not have it,
    /// must not lock out the owner's own device (`I-16`).
    fn counts_by_device(&self, device: Option<&DeviceToken>) -> bool {
        device.is_some_and(|token| self.knows_device(token))
    }

    /// Decides the first step. Without a user, nobody has that name, and the record is a phantom's.
    pub(crate) fn begin(
        &mut self,
        attempt: &Attempt<'_>,
        user: Option<&User>,
    ) -> Result<Decision<Next>, Error> {
        if user.is_some() {
            self.adopt_password();
        }
        let by_device = self.counts_by_device(attempt.device);
        let open = self.password_gate(by_device) == Gate::Open;
        // Whether or not passwords are locked: what is seen here ends what hung on the user's being
        // active.
        if user.is_some_and(|user| user.status != UserStatus::Active) {
            self.end_all();
        }
        let password = attempt
            .password
            .clone()
            .filter(|_| user.is_some_and(|user| self.still_right(user, &attempt.checked)));
        let (user, password) = match (user, password) {
            _ if !open => {
                return Ok(self.refuse_credentials(by_device, CredentialsCause::PasswordLocked));
            }
            (None, _) => {
                return Ok(self.refuse_credentials(by_device, CredentialsCause::UnknownUser));
            }
            (Some(_), None) => {
                return Ok(self.refuse_credentials(by_device, CredentialsCause::WrongPassword));
            }
            (Some(user), Some(_)) if user.status != UserStatus::Active => {
                return Ok(self.refuse_credentials(by_device, CredentialsCause::Disabled));
            }
            (Some(user), Some(password)) => (user, password),
        };
        self.record.edit_if(|record| record.password.failures_of(by_device).succeed());
        self.note_rehash(user, attempt.rehashed.as_ref());
        let came = Came { channel: attempt.channel, device: attempt.device };
        self.proceed(&FirstFactor::Password(password), user, came, attempt.policy)
    }

    /// Decides the first step of a login after single sign-on. Neither the lock of passwords nor a
    /// trusted device has a part in it (`I-43`).
    pub(crate) fn begin_after_single_sign_on(
        &mut self,
        asserted: AssertionVouched,
        user: Option<&User>,
        policy: &dyn TwoFactorPolicy,
    ) -> Result<Decision<Next>, Error> {
        let refused = |cause| {
            let event = EventKind::CredentialsRefused { cause, locked_until: None };
            Decision::new(Next::Denied(Denied::new(Reason::InvalidCredentials)), event)
        };
        let Some(user) = user else { return Ok(refused(CredentialsCause::UnknownUser)) };
        self.adopt_password();
        if user.status != UserStatus::Active {
            self.end_all();
            return Ok(refused(CredentialsCause::Disabled));
        }
        let came = Came { channel: Channel::SingleSignOn, device: None };
        self.proceed(&FirstFactor::Assertion(asserted), user, came, policy)
    }

    /// What follows the first factor: nothing, or the second one.
    fn proceed(
        &mut self,
        first: &FirstFactor,
        user: &User,
        came: Came<'_>,
        policy: &dyn TwoFactorPolicy,
    ) -> Result<Decision<Next>, Error> {
        let restriction = self.restriction(user, came.channel)?;
        if restriction == Restriction::Refuse {
            return Ok(refuse_login(Denied::new(Reason::RequestRefused)));
        }
        let context = self.policy_context(&self.settings.decided(), user, came.channel);
        if let Some(exempt) = exempt(policy, &context)?
            && restriction != Restriction::RequireSecondFactor
        {
            let login = LoginId::from_random(self.draw.bytes()?);
            let proof = FactorProof::Exempt(exempt);
            return Ok(self.completed(first, user, login, came.channel, proof));
        }
        let device = came.device.filter(|_| restriction == Restriction::None);
        let earlier = self.adopt_address(user);
        let mut decision = self.require(first, user, Came { device, ..came })?;
        let places = earlier.into_iter().collect();
        self.tell_always(&mut decision, places, &NoticeKind::AddressChanged);
        Ok(decision)
    }

    /// The same outcome, the same write, whatever the cause; only the event tells (`I-17`).
    fn refuse_credentials(&mut self, by_device: bool, cause: CredentialsCause) -> Decision<Next> {
        let denied = Next::Denied(Denied::new(Reason::InvalidCredentials));
        // A lock is not prolonged by trying: a user who is locked out gets in when it ends
        // (`I-13`).
        if cause == CredentialsCause::PasswordLocked {
            let event = EventKind::CredentialsRefused { cause, locked_until: None };
            return Decision::new(denied, event).written_as(Write::Decoy);
        }
        let (now, rule) = (self.now, &self.limits().passwords);
        let failures = self.record.edit().password.failures_of(by_device);
        failures.charge(now, rule);
        let locked_until = failures.gate(now, rule).locked_until();
        let event = EventKind::CredentialsRefused { cause, locked_until };
        Decision::new(denied, event)
    }

    /// Notes the registered address that is used from now on. If it is another than before, what
    /// hung on the earlier one ends (`I-30`). Answers the earlier one, to be notified.
    fn adopt_address(&mut self, user: &User) -> Option<Destination> {
        let moved = std::mem::take(&mut self.ties.moved);
        let earlier = self.record.address.clone().filter(|_| moved);
        self.record.edit_if(|record| {
            record.address.clone_from(&user.email);
            moved
        });
        if moved {
            self.end_all();
        }
        earlier.map(Destination::Email)
    }

    /// The policy requires the second factor.
    fn require(
        &mut self,
        first: &FirstFactor,
        user: &User,
        came: Came<'_>,
    ) -> Result<Decision<Next>, Error> {
        if !first.can_ask(came.channel) {
            return Ok(refuse_login(Denied::new(Reason::NotInteractive)));
        }
        let codes = self.codes_open();
        if let Some(trusted) = came.device.and_then(|token| self.check_device(token)) {
            let login = LoginId::from_random(self.draw.bytes()?);
            let proof = FactorProof::Device(trusted);
            return Ok(self.completed(first, user, login, came.channel, proof));
        }
        let method = self.method();
        let destination = [method, method.other()]
            .into_iter()
            .find_map(|method| self.code_destination(user, method));
        if !self.backup_code_usable() {
            if let Err(denied) = codes {
                return Ok(refuse_login(denied));
            }
            if destination.is_none() {
                return Ok(refuse_login(Denied::new(Reason::NoDestination)));
            }
        }
        if let Err(denied) = self.make_room() {
            return Ok(refuse_login(denied));
        }
        let token = self.draw_secret()?;
        let mut pending = Pending {
            login: LoginId::from_random(self.draw.bytes()?),
            token: self.rules.seal.tag(Label::PendingToken, &self.token_parts(&token)),
            channel: came.channel,
            begun: self.now,
            wrong: 0,
            wrong_backup: 0,
            sends: 0,
            via: None,
            code: None,
        };
        let closed = self.record.sends.closed_until(self.now, &self.limits().sends, None);
        let code = match (codes, destination, closed) {
            (Err(denied), _, _) => Err(denied),
            (Ok(()), None, _) => Err(Denied::new(Reason::NoDestination)),
            (Ok(()), Some(_), Some(until)) => {
                Err(Denied::until(Reason::SendLimit, until.to_time()))
            }
            (Ok(()), Some(destination), None) => {
                Ok(self.issue(&mut pending, &token, destination)?)
            }
        };
        let event = EventKind::CodeRequired {
            login: pending.login,
            channel: pending.channel,
            method: code.as_ref().ok().and(pending.via),
        };
        let method = pending.via.filter(|_| code.is_ok());
        let open = self.describe(&pending, token, user, code, method);
        self.record.edit().pending.push(pending);
        Ok(Decision::new(Next::Open(Box::new(open)), event))
    }

    /// Keeps the number of pending logins bounded (`I-40`). A login whose code could still be typed
    /// keeps its place (`I-06`).
    fn make_room(&mut self) -> Result<(), Denied> {
        let limits = self.limits();
        if self.record.pending.len() < limits.pending {
            return Ok(());
        }
        // A code that has expired is gone since `observe`.
        let code_ends = |pending: &Pending| pending.code.as_ref().map(|code| code.expires(&limits));
        let oldest_idle = self
            .record
            .pending
            .iter()
            .enumerate()
            .filter(|(_, pending)| code_ends(pending).is_none());
        if let Some((at, _)) = oldest_idle.min_by_key(|(_, pending)| pending.begun) {
            self.record.edit().pending.remove(at);
            return Ok(());
        }
        let next = self.record.pending.iter().filter_map(code_ends).min().unwrap_or(self.now);
        Err(Denied::until(Reason::TooManyLogins, next.to_time()))
    }

    fn completed(
        &mut self,
        first: &FirstFactor,
        user: &User,
        login: LoginId,
        channel: Channel,
        second: FactorProof,
    ) -> Decision<Next> {
        let grant = self.complete(first, user, login, channel, second);
        let event = EventKind::LoginCompleted {
            login,
            channel,
            basis: grant.second_factor().clone(),
            trusted: None,
        };
        Decision::new(
            Next::Complete(Box::new(Authenticated {
                grant,
                device_token: None,
                backup_code: None,
            })),
            event,
        )
    }
}

fn refuse_login(denied: Denied) -> Decision<Next> {
    Decision::new(
        Next::Denied(denied),
        EventKind::LoginRefused { reason: denied.reason().code().into() },
    )
}
