//! A login's codes: the first one, and others after it.

use crate::contact::{Destination, Method};
use crate::error::Error;
use crate::event::EventKind;
use crate::machine::check::code::OutgoingCode;
use crate::machine::login::login_code;
use crate::machine::login::pending::{Next, Refusal, Resumed};
use crate::machine::record::Pending;
use crate::machine::token::TokenSecret;
use crate::machine::{Decision, Draft};
use crate::reason::{Denied, Reason};
use crate::sender::Reference;
use crate::user::User;

/// Where another code is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// Where the last one of this login went.
    Same,
    This(Method),
    /// To email because the SMS with this reference has just failed, without waiting for the
    /// spacing (see `flow/delivery.rs`).
    FallBack(Reference),
}

impl Draft<'_> {
    /// Makes the one live code of a login and charges the send (`I-06`, `I-15`).
    pub(in crate::machine) fn issue(
        &mut self,
        pending: &mut Pending,
        token: &TokenSecret,
        destination: Destination,
    ) -> Result<OutgoingCode, Error> {
        let (code, text) = self.make_code(&login_code(pending.login, &destination), token)?;
        let (now, limits) = (self.now, self.limits());
        self.record.edit().sends.charge(now, &limits.sends);
        pending.sends = pending.sends.saturating_add(1);
        pending.via = Some(destination.method());
        let outgoing = self.outgoing(pending.login, destination, &code, &text);
        pending.code = Some(code);
        Ok(outgoing)
    }

    /// Makes another code for a login: the newest is the only one (`I-06`). The deadline stays, and
    /// so do the guesses, which are counted beside the code, in `submit.rs` (`I-10`).
    pub(crate) fn resend(
        &mut self,
        token: &TokenSecret,
        via: Via,
        user: Option<&User>,
    ) -> Result<Decision<Next>, Error> {
        let Resumed { mut pending, user, .. } = match self.resume(token, user) {
            Ok(resumed) => resumed,
            Err(refusal) => return Ok(refusal.into_decision()),
        };
        if let Some(refusal) = self.refuse_request(&pending, user)? {
            return Ok(refusal.into_decision());
        }
        match self.may_resend(&pending, via, user) {
            Err(denied) => Ok(Refusal::of(&pending, denied).into_decision()),
            Ok(destination) => {
                let outgoing = self.issue(&mut pending, token, destination)?;
                let event = EventKind::CodeResent {
                    login: pending.login,
                    method: outgoing.destination.method(),
                };
                let open = self.describe(&pending, token.clone(), user, Ok(outgoing), pending.via);
                self.keep(pending);
                Ok(Decision::new(Next::Open(Box::new(open)), event))
            }
        }
    }

    fn may_resend(&self, pending: &Pending, via: Via, user: &User) -> Result<Destination, Denied> {
        let limits = self.limits();
        self.codes_open()?;
        if !self.takes_codes(pending) {
            return Err(Denied::new(Reason::LoginSendLimit));
        }
        let method = match via {
            // A method that was forbidden meanwhile gives way to the other one.
            Via::Same => {
                let last = pending.via.filter(|method| limits.methods.allow(*method));
                last.unwrap_or(self.method())
            }
            Via::This(method) => method,
            Via::FallBack(failed) => {
                // Another code was made since: that one must stay alive.
                if pending.code.as_ref().is_none_or(|code| code.reference != failed) {
                    return Err(Denied::new(Reason::NoLiveCode));
                }
                Method::Email
            }
        };
        let missing =
            if method == Method::Sms { Reason::NoPhoneNumber } else { Reason::NoDestination };
        if !limits.methods.allow(method) {
            return Err(Denied::new(Reason::MethodNotAllowed));
        }
        let destination = self.destination(user, method).ok_or(Denied::new(missing))?;
        let closed = match via {
            Via::FallBack(_) => self.record.sends.capped_until(self.now, &limits.sends),
            Via::Same | Via::This(_) => {
                self.record.sends.closed_until(self.now, &limits.sends, pending.last_issued())
            }
        };
        match closed {
            Some(until) => Err(Denied::until(Reason::SendLimit, until.to_time())),
            None => Ok(destination),
        }
    }
}
