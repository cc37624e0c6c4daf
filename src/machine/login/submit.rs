//! The second step: what a code or a backup code leads to.

use crate::error::Error;
use crate::event::{EventKind, SecretKind};
use crate::ids::LoginId;
use crate::machine::check::device::TrustRequest;
use crate::machine::login::grant::{Authenticated, FactorProof};
use crate::machine::login::login_code;
use crate::machine::login::pending::{Next, Refusal, Resumed};
use crate::machine::record::Pending;
use crate::machine::token::TokenSecret;
use crate::machine::{Decision, Draft, Gate};
use crate::reason::{Denied, Reason};
use crate::sender::NoticeKind;
use crate::user::User;

impl Draft<'_> {
    /// Decides on a code. `typed` has the right form already.
    pub(crate) fn submit_code(
        &mut self,
        token: &TokenSecret,
        typed: &str,
        trust: Option<&TrustRequest>,
        user: Option<&User>,
    ) -> Result<Decision<Next>, Error> {
        let Resumed { pending, first, user } = match self.resume(token, user) {
            Ok(resumed) => resumed,
            Err(refusal) => return Ok(refusal.into_decision()),
        };
        if let Some(refusal) = self.refuse_request(&pending, user)? {
            return Ok(refusal.into_decision());
        }
        if let Err(denied) = self.codes_open() {
            return Ok(Refusal::of(&pending, denied).into_decision());
        }
        // The destination as it is now: a code that went to an address that is no longer the user's
        // is wrong, and one by a method that the tenant has forbidden since completes nothing
        // (`I-50`).
        let destination = pending.via.and_then(|method| self.code_destination(user, method));
        // A code that has expired is gone since `observe`.
        let (Some(live), Some(destination)) = (&pending.code, destination) else {
            return Ok(Refusal::of(&pending, Denied::new(Reason::NoLiveCode)).into_decision());
        };
        let bound_to = login_code(pending.login, &destination);
        let Some(verified) = self.check_code(&bound_to, token, live, typed)? else {
            return Ok(self.charge_wrong_code(pending, user));
        };
        self.record.edit().code_failures.succeed();
        let trust = trust.zip(self.may_trust(pending.channel));
        let registered = trust
            .map(|(request, limits)| self.trust_device(&verified, request, limits))
            .transpose()?;
        let grant = self.complete(
            &first,
            user,
            pending.login,
            pending.channel,
            FactorProof::Code(verified),
        );
        let trusted = registered.as_ref().map(|registered| registered.id);
        let event = EventKind::LoginCompleted {
            login: pending.login,
            channel: pending.channel,
            basis: grant.second_factor().clone(),
            trusted,
        };
        let (device_token, dropped) = registered
            .map(|registered| (Some(registered.token), registered.dropped))
            .unwrap_or_default();
        let mut decision = Decision::new(
            Next::Complete(Box::new(Authenticated { grant, device_token, backup_code: None })),
            event,
        );
        if let Some((request, _)) = trust {
            let places = self.contact(user).into_iter().collect();
            let kind = NoticeKind::DeviceTrusted { label: request.label.clone(), dropped };
            self.tell_always(&mut decision, places, &kind);
        }
        Ok(decision)
    }

    fn charge_wrong_code(&mut self, mut pending: Pending, user: &User) -> Decision<Next> {
        let (now, rule) = (self.now, &self.limits().codes);
        pending.wrong = pending.wrong.saturating_add(1);
        self.record.edit().code_failures.charge(now, rule);
        if pending.wrong >= rule.lock_after {
            pending.code = None;
        }
        let gate = self.record.code_failures.gate(now, rule);
        let mut decision =
            wrong(SecretKind::Code, pending.login, gate, self.attempts_left(&pending))
                .map(Next::Denied);
        self.notify_lock(&mut decision, user, gate);
        self.keep(pending);
        decision
    }

    /// How many more wrong backup codes a login takes. The next login takes as many again (`I-14`).
    fn backup_attempts_left(&self, pending: &Pending) -> u32 {
        self.limits().codes.lock_after.saturating_sub(pending.wrong_backup)
    }

    /// Decides on a backup code. `typed` has the right form already.
    pub(crate) fn submit_backup_code(
        &mut self,
        token: &TokenSecret,
        typed: &str,
        user: Option<&User>,
    ) -> Result<Decision<Next>, Error> {
        let Resumed { mut pending, first, user } = match self.resume(token, user) {
            Ok(resumed) => resumed,
            Err(refusal) => return Ok(refusal.into_decision()),
        };
        if let Some(refusal) = self.refuse_request(&pending, user)? {
            return Ok(refusal.into_decision());
        }
        if !self.limits().backup_enabled {
            return Ok(Refusal::of(&pending, Denied::new(Reason::BackupCodesOff)).into_decision());
        }
        if self.backup_attempts_left(&pending) == 0 {
            return Ok(
                Refusal::of(&pending, Denied::new(Reason::LoginBackupCodeLimit)).into_decision()
            );
        }
        if self.record.backup.is_none() {
            return Ok(Refusal::of(&pending, Denied::new(Reason::NoBackupCode)).into_decision());
        }
        let Some(verified) = self.check_backup_code(typed)? else {
            pending.wrong_backup = pending.wrong_backup.saturating_add(1);
            let left = self.backup_attempts_left(&pending);
            let decision =
                wrong(SecretKind::BackupCode, pending.login, Gate::Open, left).map(Next::Denied);
            self.keep(pending);
            return Ok(decision);
        };
        let successor = self.make_backup_code()?;
        let grant = self.complete(
            &first,
            user,
            pending.login,
            pending.channel,
            FactorProof::BackupCode(verified),
        );
        let event = EventKind::LoginCompleted {
            login: pending.login,
            channel: pending.channel,
            basis: grant.second_factor().clone(),
            trusted: None,
        };
        let completion = Authenticated { grant, device_token: None, backup_code: Some(successor) };
        let mut decision = Decision::new(Next::Complete(Box::new(completion)), event);
        self.notify(&mut decision, user, &NoticeKind::BackupCodeUsed);
        Ok(decision)
    }

    /// Notifies the person of a lock, if it is one.
    pub(in crate::machine) fn notify_lock<T>(
        &mut self,
        decision: &mut Decision<T>,
        user: &User,
        gate: Gate,
    ) {
        if gate != Gate::Open {
            self.notify(decision, user, &NoticeKind::Locked { until: gate.locked_until() });
        }
    }
}

/// The outcome and the event of a charged failure.
pub(in crate::machine) fn wrong(
    secret: SecretKind,
    login: LoginId,
    gate: Gate,
    attempts_left: u32,
) -> Decision<Denied> {
    let reason =
        if secret == SecretKind::BackupCode { Reason::WrongBackupCode } else { Reason::WrongCode };
    let locked_until = gate.locked_until();
    let denied = Denied::wrong(reason, attempts_left, locked_until);
    Decision::new(
        denied,
        EventKind::SecretWrong { login, secret, locked_until, suspended: gate == Gate::Suspended },
    )
}
