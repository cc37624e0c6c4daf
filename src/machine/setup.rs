//! Proving where codes go from now on: nothing changes before a code that was sent there came back
//! (`I-32`).

use crate::contact::{Destination, Method, PhoneNumber};
use crate::error::Error;
use crate::event::{EventKind, SecretKind};
use crate::grant::{SavedGrant, SecondFactor};
use crate::ids::LoginId;
use crate::machine::access::refuse_account;
use crate::machine::check::code::{CodeFor, OutgoingCode};
use crate::machine::login::submit::wrong;
use crate::machine::record::{Number, Setup, SetupNumber};
use crate::machine::seal::Label;
use crate::machine::token::TokenSecret;
use crate::machine::{Decision, Draft};
use crate::reason::{Denied, Reason};
use crate::sender::NoticeKind;
use crate::user::User;

/// Where codes shall go.
#[derive(Clone, Debug)]
pub(crate) enum SetupTarget {
    Email,
    Sms(PhoneNumber),
}

/// A setup was begun, or was done already.
pub(crate) enum StartedSetup {
    /// The code that proves it is to be sent.
    Prove { token: TokenSecret, code: OutgoingCode },
    /// This very login was completed with a code that was sent there.
    Done(Method),
}

/// The setup is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Confirmed(pub(crate) Method);

impl Draft<'_> {
    pub(crate) fn start_setup(
        &mut self,
        target: SetupTarget,
        user: &User,
        grant: &SavedGrant,
    ) -> Result<Decision<Result<StartedSetup, Denied>>, Error> {
        let destination = match &target {
            SetupTarget::Email => user.email.clone().map(Destination::Email),
            SetupTarget::Sms(number) => Some(Destination::Sms(number.clone())),
        };
        let Some(destination) = destination else {
            return Ok(refuse_account(Denied::new(Reason::NoDestination)));
        };
        if !self.limits().methods.allow(destination.method()) {
            return Ok(refuse_account(Denied::new(Reason::MethodNotAllowed)));
        }
        if let (SetupTarget::Email, SecondFactor::Code { method: Method::Email }) =
            (&target, grant.second_factor())
        {
            return Ok(self
                .change_method(None, user)
                .map(|done| done.map(|Confirmed(method)| StartedSetup::Done(method))));
        }
        if let Err(denied) = self.codes_open().and_then(|()| self.setup_open()) {
            return Ok(refuse_account(denied));
        }
        if let Some(until) = self.record.sends.closed_until(self.now, &self.limits().sends, None) {
            return Ok(refuse_account(Denied::until(Reason::SendLimit, until.to_time())));
        }
        let token = self.draw_secret()?;
        let login = grant.login();
        let (code, text) = self.make_code(&setup_code(login, &destination), &token)?;
        let (now, limits) = (self.now, self.limits());
        self.record.edit().sends.charge(now, &limits.sends);
        let method = destination.method();
        let outgoing = self.outgoing(login, destination, &code, &text);
        let number = match target {
            SetupTarget::Email => None,
            SetupTarget::Sms(number) => Some(SetupNumber(number)),
        };
        let tag = self.rules.seal.tag(Label::SetupToken, &self.token_parts(&token));
        self.record.edit().setup = Some(Setup { token: tag, login, number, wrong: 0, code });
        let started = StartedSetup::Prove { token, code: outgoing };
        Ok(Decision::new(Ok(started), EventKind::SetupStarted { method }))
    }

    /// Codes that prove a method have a budget of their own: success with one must not clear the
    /// failures of another (`I-10`).
    fn setup_open(&self) -> Result<(), Denied> {
        self.record.setup_failures.gate(self.now, &self.limits().codes).codes_open()
    }

    pub(crate) fn confirm_setup(
        &mut self,
        token: &TokenSecret,
        typed: &str,
        user: &User,
        grant: &SavedGrant,
    ) -> Result<Decision<Result<Confirmed, Denied>>, Error> {
        let tag = self.rules.seal.tag(Label::SetupToken, &self.token_parts(token));
        let setup = self.record.setup.clone();
        let Some(mut setup) =
            setup.filter(|setup| setup.token.matches(&tag) && setup.login == grant.login())
        else {
            return Ok(refuse_account(Denied::new(Reason::SetupOver)));
        };
        if let Err(denied) = self.setup_open() {
            return Ok(refuse_account(denied));
        }
        let destination = match &setup.number {
            None => user.email.clone().map(Destination::Email),
            Some(SetupNumber(number)) => Some(Destination::Sms(number.clone())),
        };
        let Some(destination) = destination else {
            self.record.edit().setup = None;
            return Ok(refuse_account(Denied::new(Reason::SetupOver)));
        };
        if !self.limits().methods.allow(destination.method()) {
            return Ok(refuse_account(Denied::new(Reason::MethodNotAllowed)));
        }
        let bound_to = setup_code(setup.login, &destination);
        if self.check_code(&bound_to, token, &setup.code, typed)?.is_some() {
            self.record.edit().setup_failures.succeed();
            return Ok(self.change_method(setup.number.map(|SetupNumber(number)| number), user));
        }
        let (now, rule) = (self.now, &self.limits().codes);
        setup.wrong = setup.wrong.saturating_add(1);
        self.record.edit().setup_failures.charge(now, rule);
        let gate = self.record.setup_failures.gate(now, rule);
        let left = rule
            .lock_after
            .saturating_sub(setup.wrong)
            .min(self.record.setup_failures.left(now, rule));
        let mut decision = wrong(SecretKind::SetupCode, setup.login, gate, left).map(Err);
        self.notify_lock(&mut decision, user, gate);
        self.record.edit().setup = Some(setup).filter(|_| left > 0);
        Ok(decision)
    }

    /// The change itself. Trusted devices and logins under way die with the earlier method
    /// (`I-30`), and both places are notified.
    fn change_method(
        &mut self,
        number: Option<PhoneNumber>,
        user: &User,
    ) -> Decision<Result<Confirmed, Denied>> {
        let earlier = self.destination(user, Method::Sms);
        let another = self.record.sms.as_ref().map(|sms| &sms.number) != number.as_ref();
        let proved = self.now;
        let record = self.record.edit();
        record.sms = number.map(|number| Number { number, proved });
        record.setup = None;
        record.devices.clear();
        record.pending.clear();
        let to = self.record.method();
        let mut decision = Decision::new(Ok(Confirmed(to)), EventKind::MethodChanged { to });
        let places = self.contact(user).into_iter().chain(earlier).collect();
        let kind = NoticeKind::MethodChanged { to };
        // Another place costs a code that was sent there, or before that to the number. What is
        // chosen again costs nothing.
        if another {
            self.tell_always(&mut decision, places, &kind);
        } else {
            self.tell(&mut decision, places, &kind);
        }
        decision
    }
}

/// What a code that proves a destination is bound to. `login`: the one whose session asked for it.
const fn setup_code(login: LoginId, destination: &Destination) -> CodeFor<'_> {
    CodeFor { label: Label::SetupCode, login, destination }
}
