//! Logins between their first step and their end, and what their pages show.

use crate::clock::Timestamp;
use crate::contact::{Destination, MaskedDestination, Method};
use crate::error::Error;
use crate::event::EventKind;
use crate::first_factor::FirstFactor;
use crate::ids::LoginId;
use crate::machine::check::code::OutgoingCode;
use crate::machine::login::grant::Authenticated;
use crate::machine::record::Pending;
use crate::machine::seal::Label;
use crate::machine::token::TokenSecret;
use crate::machine::{Decision, Draft};
use crate::policy::Restriction;
use crate::reason::{Denied, Reason};
use crate::sender::Reference;
use crate::user::{User, UserStatus};

/// Where a login stands after a step. The parts are boxed: they are passed through several futures.
pub(crate) enum Next {
    Complete(Box<Authenticated>),
    Open(Box<OpenLogin>),
    Denied(Denied),
}

/// A code that was made in an earlier step of a pending login.
pub(crate) struct EarlierCode {
    pub(crate) destination: Destination,
    pub(crate) reference: Reference,
    pub(crate) expires: Timestamp,
}

/// A login that goes on, and the code that is on its way, or why there is none.
type Shown = (OpenLogin, Result<EarlierCode, Denied>);

/// A login that waits for its second factor.
pub(crate) struct OpenLogin {
    pub(crate) login: LoginId,
    pub(crate) token: TokenSecret,
    pub(crate) deadline: Timestamp,
    pub(crate) attempts_left: u32,
    /// The code to send, or why none is.
    pub(crate) code: Result<OutgoingCode, Denied>,
    pub(crate) resend_at: Option<Timestamp>,
    pub(crate) email: Option<MaskedDestination>,
    pub(crate) sms: Option<MaskedDestination>,
    pub(crate) backup_code: bool,
    pub(crate) trust_device: bool,
}

impl Draft<'_> {
    /// A copy of the login of this token, if it may go on. A step that changes it saves it with
    /// [`keep`](Self::keep); a step that is refused after this leaves it as it is.
    ///
    /// The user is looked at as they are now (`I-25`): if the user is gone or disabled, or has
    /// another password or address than at the first step, the login ends here.
    pub(in crate::machine) fn resume<'u>(
        &mut self,
        token: &TokenSecret,
        user: Option<&'u User>,
    ) -> Result<Resumed<'u>, Refusal> {
        let over = |login| Refusal { login, denied: Denied::new(Reason::LoginOver) };
        let tag = self.rules.seal.tag(Label::PendingToken, &self.token_parts(token));
        // No early exit: how many logins are pending, and which one matched, makes no difference in
        // time.
        let found = self.record.pending.iter().fold(None, |found, pending| {
            if pending.token.matches(&tag) { Some(pending) } else { found }
        });
        let Some(pending) = found.cloned() else { return Err(over(None)) };
        // The next first step notes the new address and notifies the earlier one.
        let Some(active) =
            user.filter(|user| user.status == UserStatus::Active && !self.ties.moved)
        else {
            self.end_all();
            return Err(over(Some(pending.login)));
        };
        let Some(first) = FirstFactor::remembered(pending.channel, self.same_password()) else {
            self.end(pending.login);
            return Err(over(Some(pending.login)));
        };
        Ok(Resumed { pending, first, user: active })
    }

    /// Refuses a step that comes from where the application refuses logins.
    pub(in crate::machine) fn refuse_request(
        &self,
        pending: &Pending,
        user: &User,
    ) -> Result<Option<Refusal>, Error> {
        let refused = self.restriction(user, pending.channel)? == Restriction::Refuse;
        Ok(refused.then(|| Refusal::of(pending, Denied::new(Reason::RequestRefused))))
    }

    /// Saves what a step has made of a login that goes on. One that was ended stays ended.
    pub(in crate::machine) fn keep(&mut self, pending: Pending) {
        let mut all = self.record.edit().pending.iter_mut();
        if let Some(place) = all.find(|other| other.login == pending.login) {
            *place = pending;
        }
    }

    /// Takes a login out of the record: its token is dead (`I-02`).
    pub(in crate::machine) fn end(&mut self, login: LoginId) {
        self.record.edit().pending.retain(|pending| pending.login != login);
    }

    /// The person gives the login up.
    pub(crate) fn cancel(&mut self, token: &TokenSecret, user: Option<&User>) -> Decision<()> {
        match self.resume(token, user) {
            Ok(Resumed { pending, .. }) => {
                self.end(pending.login);
                Decision::new((), EventKind::LoginCancelled { login: pending.login })
            }
            Err(refusal) => refusal.into_decision().map(|_| ()),
        }
    }

    /// What the page of a pending login showed, again. Nothing is to be written after it (`I-46`).
    pub(crate) fn show(
        &mut self,
        token: &TokenSecret,
        user: Option<&User>,
    ) -> Result<Result<Shown, Denied>, Error> {
        let Resumed { pending, user, .. } = match self.resume(token, user) {
            Ok(resumed) => resumed,
            Err(refusal) => return Ok(Err(refusal.denied)),
        };
        if let Some(refusal) = self.refuse_request(&pending, user)? {
            return Ok(Err(refusal.denied));
        }
        let sent = pending.code.as_ref().zip(pending.via).and_then(|(code, method)| {
            Some(EarlierCode {
                destination: self.code_destination(user, method)?,
                reference: code.reference,
                expires: code.expires(&self.limits()),
            })
        });
        let none = self.codes_open().err().unwrap_or(Denied::new(Reason::NoLiveCode));
        let method = sent.as_ref().map(|sent| sent.destination.method());
        let open = self.describe(&pending, token.clone(), user, Err(none), method);
        Ok(Ok((open, sent.ok_or(none))))
    }

    /// What the page shows of a login that goes on. `method`: by which a code is on its way.
    pub(in crate::machine) fn describe(
        &self,
        pending: &Pending,
        token: TokenSecret,
        user: &User,
        code: Result<OutgoingCode, Denied>,
        method: Option<Method>,
    ) -> OpenLogin {
        let limits = self.limits();
        let (codes, takes_codes) = (self.codes_open(), self.takes_codes(pending));
        let shown = |other: Method| {
            let offered = codes.is_ok() && takes_codes && method != Some(other);
            self.code_destination(user, other).filter(|_| offered).map(|place| place.masked())
        };
        OpenLogin {
            login: pending.login,
            token,
            deadline: pending.begun.plus(limits.login_ttl),
            attempts_left: self.attempts_left(pending),
            resend_at: if takes_codes { self.next_send(pending, codes) } else { None },
            email: shown(Method::Email),
            sms: shown(Method::Sms),
            backup_code: self.backup_code_usable(),
            trust_device: self.may_trust(pending.channel).is_some(),
            code,
        }
    }

    /// From when another code may be made: after the lock of codes, where there is one, and within
    /// the budget of sends.
    fn next_send(&self, pending: &Pending, codes: Result<(), Denied>) -> Option<Timestamp> {
        let rule = &self.limits().sends;
        let sends = self
            .record
            .sends
            .closed_until(self.now, rule, pending.last_issued())
            .unwrap_or(self.now);
        match codes {
            Ok(()) => Some(sends),
            Err(denied) => denied.retry_at().map(|until| Timestamp::from_time(until).max(sends)),
        }
    }

    /// Whether this login gets another code: it has neither used up its sends nor its guesses.
    pub(in crate::machine) fn takes_codes(&self, pending: &Pending) -> bool {
        let limits = self.limits();
        pending.sends < limits.sends.per_login && pending.wrong < limits.codes.lock_after
    }

    pub(in crate::machine) fn attempts_left(&self, pending: &Pending) -> u32 {
        let rule = &self.limits().codes;
        rule.lock_after
            .saturating_sub(pending.wrong)
            .min(self.record.code_failures.left(self.now, rule))
    }

    /// Whether codes are compared at all at the moment, as a refusal if not.
    pub(in crate::machine) fn codes_open(&self) -> Result<(), Denied> {
        self.record.code_failures.gate(self.now, &self.limits().codes).codes_open()
    }

    /// What every token's tag covers: a token of another tenant or user has another tag (`I-03`).
    pub(in crate::machine) fn token_parts<'t>(&'t self, token: &'t TokenSecret) -> [&'t [u8]; 3] {
        [self.call.tenant.as_str().as_bytes(), self.user_id.as_str().as_bytes(), token.as_slice()]
    }
}

/// A login that goes on, and whose it is.
pub(in crate::machine) struct Resumed<'u> {
    pub(in crate::machine) pending: Pending,
    pub(in crate::machine) first: FirstFactor,
    pub(in crate::machine) user: &'u User,
}

/// A refused later step.
#[derive(Debug)]
pub(in crate::machine) struct Refusal {
    pub(in crate::machine) login: Option<LoginId>,
    pub(in crate::machine) denied: Denied,
}

impl Refusal {
    /// Of a login that goes on as it is.
    pub(in crate::machine) const fn of(pending: &Pending, denied: Denied) -> Self {
        Self { login: Some(pending.login), denied }
    }

    pub(in crate::machine) fn into_decision(self) -> Decision<Next> {
        let event = EventKind::StepRefused {
            login: self.login,
            reason: self.denied.reason().code().into(),
        };
        Decision::new(Next::Denied(self.denied), event)
    }
}
