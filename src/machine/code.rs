//! Codes: made, sent again, compared.

use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::contact::{Destination, Method};
use crate::error::Error;
use crate::event::{EventKind, SecretKind};
use crate::ids::LoginId;
use crate::machine::device::TrustRequest;
use crate::machine::grant::{Authenticated, FactorProof};
use crate::machine::pending::{Next, Refusal};
use crate::machine::record::{LiveCode, Pending};
use crate::machine::seal::{Label, Tag};
use crate::machine::token::TokenSecret;
use crate::machine::{Decision, Draft, Gate};
use crate::reason::{Denied, Reason};
use crate::secret::Code;
use crate::sender::{NoticeKind, Reference};
use crate::user::User;

/// A code was compared and was right.
pub(crate) struct CodeVerified {
    method: Method,
}

impl CodeVerified {
    pub(super) const fn method(&self) -> Method {
        self.method
    }
}

/// A code that was made, saved as a tag, and is to be sent once the commit has succeeded.
pub(crate) struct OutgoingCode {
    pub(crate) login: LoginId,
    pub(crate) destination: Destination,
    pub(crate) code: Code,
    pub(crate) reference: Reference,
    pub(crate) expires: Timestamp,
}

/// Where another code is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// Where the last one of this login went.
    Same,
    This(Method),
    /// To email because the send by SMS has just failed: without waiting for the spacing.
    FallBack,
}

/// What a code is bound to, beside tenant, user and record.
struct CodeFor<'a> {
    label: Label,
    login: LoginId,
    destination: &'a Destination,
}

impl Draft<'_> {
    /// Makes the one live code of a login and charges the send (`I-06`, `I-15`).
    pub(super) fn issue(
        &mut self,
        pending: &mut Pending,
        token: &TokenSecret,
        destination: Destination,
    ) -> Result<OutgoingCode, Error> {
        let (code, text) = self.make_code(Label::LoginCode, pending.login, token, &destination)?;
        self.record.sends.charge(self.now, &self.limits().sends);
        pending.sends = pending.sends.saturating_add(1);
        pending.via = Some(destination.method());
        let outgoing = self.outgoing(pending.login, destination, &code, &text);
        pending.code = Some(code);
        Ok(outgoing)
    }

    pub(super) fn make_code(
        &mut self,
        label: Label,
        login: LoginId,
        token: &TokenSecret,
        destination: &Destination,
    ) -> Result<(LiveCode, Zeroizing<String>), Error> {
        let limits = self.limits();
        let number = self.draw.below(limits.code_space())?;
        let text = Zeroizing::new(format!("{number:0width$}", width = usize::from(limits.digits)));
        let reference = Reference::from_random(u32::from_le_bytes(self.draw.bytes()?));
        let pepper = self.rules.seal.current();
        let tag =
            self.code_tag(&CodeFor { label, login, destination }, token, pepper.as_deref(), &text)?;
        Ok((LiveCode { tag, pepper, issued: self.now, reference }, text))
    }

    pub(super) fn outgoing(
        &self,
        login: LoginId,
        destination: Destination,
        code: &LiveCode,
        text: &str,
    ) -> OutgoingCode {
        OutgoingCode {
            login,
            destination,
            code: Code::new(text),
            reference: code.reference,
            expires: code.issued.plus(self.limits().code_ttl),
        }
    }

    /// Compares in constant time. The tag covers all that the code is bound to (`I-03`): a code for
    /// another tenant, user, record, login, purpose or destination is simply not this code.
    pub(super) fn code_matches(
        &self,
        label: Label,
        login: LoginId,
        token: &TokenSecret,
        destination: &Destination,
        live: &LiveCode,
        typed: &str,
    ) -> Result<bool, Error> {
        let tag = self.code_tag(
            &CodeFor { label, login, destination },
            token,
            live.pepper.as_deref(),
            typed,
        )?;
        Ok(tag.matches(&live.tag))
    }

    fn code_tag(
        &self,
        bound_to: &CodeFor<'_>,
        token: &TokenSecret,
        pepper: Option<&str>,
        text: &str,
    ) -> Result<Tag, Error> {
        let CodeFor { label, login, destination } = bound_to;
        let parts: [&[u8]; 6] = [
            self.tenant.as_str().as_bytes(),
            self.user_id.as_str().as_bytes(),
            self.record.id.as_bytes(),
            login.as_bytes(),
            destination.expose().as_bytes(),
            text.as_bytes(),
        ];
        self.rules.seal.keyed_tag(*label, token, pepper, &parts)
    }

    /// Decides on a code. `typed` has the right form already.
    pub(crate) fn submit_code(
        &mut self,
        token: &TokenSecret,
        typed: &str,
        trust: Option<&TrustRequest>,
        user: Option<&User>,
    ) -> Result<Decision<Next>, Error> {
        let (mut pending, password) = match self.resume(token, user) {
            Ok(resumed) => resumed,
            Err(refusal) => return Ok(refusal.into_decision()),
        };
        let Some(user) = user else {
            return Ok(self.refuse(pending, Denied::new(Reason::LoginOver)));
        };
        if let Err(denied) = self.codes_open() {
            return Ok(self.refuse(pending, denied));
        }
        // The destination as it is now: a code that went to an address that is no longer the user's
        // is wrong.
        let destination = pending.via.and_then(|method| self.destination(user, method));
        // Of a code that has expired nothing is left by now.
        let (Some(live), Some(destination)) = (pending.code.take(), destination) else {
            return Ok(self.refuse(pending, Denied::new(Reason::NoLiveCode)));
        };
        self.changed = true;
        if !self.code_matches(Label::LoginCode, pending.login, token, &destination, &live, typed)? {
            pending.code = Some(live);
            return Ok(self.charge_wrong_code(pending, user));
        }
        self.record.code_failures.succeed();
        let verified = CodeVerified { method: destination.method() };
        let trust = trust.filter(|_| self.may_trust());
        let registered = trust.map(|request| self.trust_device(&verified, request)).transpose()?;
        let grant = self.complete(
            &password,
            user,
            pending.login,
            pending.channel,
            FactorProof::Code(verified),
        );
        let trusted = registered.as_ref().map(|registered| registered.id);
        let event = EventKind::LoginCompleted {
            login: pending.login,
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
        if let Some(request) = trust {
            let places = self.contact(user).into_iter().collect();
            let kind = NoticeKind::DeviceTrusted { label: request.label.clone(), dropped };
            self.tell_always(&mut decision, places, &kind);
        }
        Ok(decision)
    }

    fn charge_wrong_code(&mut self, mut pending: Pending, user: &User) -> Decision<Next> {
        let rule = &self.limits().codes;
        pending.wrong = pending.wrong.saturating_add(1);
        self.record.code_failures.charge(self.now, rule);
        if pending.wrong >= rule.lock_after {
            pending.code = None;
        }
        let gate = self.record.code_failures.gate(self.now, rule);
        let mut decision =
            wrong(SecretKind::Code, pending.login, gate, self.attempts_left(&pending))
                .map(Next::Denied);
        self.notify_lock(&mut decision, user, gate);
        self.record.pending.push(pending);
        decision
    }

    /// Notifies the person of a lock, if it is one.
    pub(super) fn notify_lock<T>(&mut self, decision: &mut Decision<T>, user: &User, gate: Gate) {
        let until = match gate {
            Gate::Open => return,
            Gate::LockedUntil(until) => Some(until.to_time()),
            Gate::Suspended => None,
        };
        self.notify(decision, user, &NoticeKind::Locked { until });
    }

    /// Makes another code for a login: the newest is the only one (`I-06`), the deadline and the
    /// guesses stay (`I-10`).
    pub(crate) fn resend(
        &mut self,
        token: &TokenSecret,
        via: Via,
        user: Option<&User>,
    ) -> Result<Decision<Next>, Error> {
        let (mut pending, _password) = match self.resume(token, user) {
            Ok(resumed) => resumed,
            Err(refusal) => return Ok(refusal.into_decision()),
        };
        let Some(user) = user else {
            return Ok(self.refuse(pending, Denied::new(Reason::LoginOver)));
        };
        match self.may_resend(&pending, via, user) {
            Err(denied) => Ok(self.refuse(pending, denied)),
            Ok(destination) => {
                self.changed = true;
                let outgoing = self.issue(&mut pending, token, destination)?;
                let event = EventKind::CodeResent {
                    login: pending.login,
                    method: outgoing.destination.method(),
                };
                let open = self.describe(&pending, token.clone(), user, Ok(outgoing));
                self.record.pending.push(pending);
                Ok(Decision::new(Next::Open(Box::new(open)), event))
            }
        }
    }

    fn may_resend(&self, pending: &Pending, via: Via, user: &User) -> Result<Destination, Denied> {
        let limits = self.limits();
        self.codes_open()?;
        if pending.sends >= limits.sends.per_login || pending.wrong >= limits.codes.lock_after {
            return Err(Denied::new(Reason::LoginSendLimit));
        }
        let method = match via {
            Via::Same => pending.via.unwrap_or(self.record.method()),
            Via::This(method) => method,
            Via::FallBack => Method::Email,
        };
        let missing =
            if method == Method::Sms { Reason::NoPhoneNumber } else { Reason::NoDestination };
        let destination = self.destination(user, method).ok_or(Denied::new(missing))?;
        let closed = match via {
            Via::FallBack => self.record.sends.capped_until(self.now, &limits.sends),
            Via::Same | Via::This(_) => {
                self.record.sends.closed_until(self.now, &limits.sends, pending.last_issued())
            }
        };
        match closed {
            Some(until) => Err(Denied::until(Reason::SendLimit, until.to_time())),
            None => Ok(destination),
        }
    }

    /// Refuses a step of a login that goes on as it is.
    pub(super) fn refuse(&mut self, pending: Pending, denied: Denied) -> Decision<Next> {
        let refusal = Refusal { login: Some(pending.login), denied };
        self.record.pending.push(pending);
        refusal.into_decision()
    }
}

/// The outcome and the event of a charged failure.
pub(super) fn wrong(
    secret: SecretKind,
    login: LoginId,
    gate: Gate,
    attempts_left: u32,
) -> Decision<Denied> {
    let reason =
        if secret == SecretKind::BackupCode { Reason::WrongBackupCode } else { Reason::WrongCode };
    let locked_until = match gate {
        Gate::LockedUntil(until) => Some(until.to_time()),
        Gate::Open | Gate::Suspended => None,
    };
    let denied = Denied::wrong(reason, attempts_left, locked_until);
    Decision::new(
        denied,
        EventKind::SecretWrong { login, secret, locked_until, suspended: gate == Gate::Suspended },
    )
}
