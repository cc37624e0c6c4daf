//! What a login would meet, without one: the machine's own decision on a draft that nobody commits
//! (`I-44`).

use crate::clock::Timestamp;
use crate::contact::Destination;
use crate::context::Call;
use crate::entropy::Entropy;
use crate::error::{Error, PluginError};
use crate::event::EventKind;
use crate::first_factor::AssertionVouched;
use crate::grant::SecondFactor;
use crate::machine::login::begin::Attempt;
use crate::machine::login::pending::Next;
use crate::machine::{Damage, Draft, Opening, Rules};
use crate::password::PasswordVerified;
use crate::policy::{Channel, TwoFactorPolicy};
use crate::reason::Denied;
use crate::store::Snapshot;
use crate::user::User;

/// What a login with the right first factor, and without a trusted device, would meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Foretold {
    /// The person comes in without a code, for this reason.
    In(SecondFactor),
    /// A code is asked for. Within: where one would be sent to, or why none is.
    Asked(Result<Destination, Denied>),
    /// Refused, and the event that says why.
    Refused(Denied, EventKind),
}

/// What is foretold from.
#[derive(Clone, Copy)]
pub(crate) struct Foretelling<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) policy: &'a dyn TwoFactorPolicy,
    pub(crate) call: Call<'a>,
    pub(crate) now: Timestamp,
}

/// Randomness for what is made and thrown away. Nothing that is made with it leaves this module.
struct Nothing;

impl Entropy for Nothing {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), PluginError> {
        bytes.fill(0);
        Ok(())
    }
}

impl<'a> Foretelling<'a> {
    /// The draft of this moment. What depends on where a request comes from is not asked: there is
    /// no request.
    pub(crate) fn open(
        &self,
        user: &'a User,
        snapshot: &Snapshot,
    ) -> Result<Box<Draft<'a>>, Error> {
        Draft::open(&Opening {
            rules: self.rules,
            entropy: &Nothing,
            requests: None,
            call: self.call,
            user_id: &user.id,
            user: Some(user),
            snapshot,
            now: self.now,
            damage: Damage::Fails,
        })
    }

    /// Whether this user is asked for a second factor and has no way to get one, whatever is locked
    /// at the moment.
    pub(crate) fn has_no_way(
        &self,
        user: &'a User,
        snapshot: &Snapshot,
        channel: Channel,
    ) -> Result<bool, Error> {
        let draft = self.open(user, snapshot)?;
        let decided = draft.settings().decided();
        let asked = draft.would_be_required(self.policy, user, &decided, &[channel])?;
        Ok(asked && draft.is_out_of_reach(user, &draft.limits()))
    }

    /// Decides a first step, and keeps nothing of it.
    pub(crate) fn foretell(
        &self,
        user: &'a User,
        snapshot: &Snapshot,
        channel: Channel,
    ) -> Result<Foretold, Error> {
        let mut draft = self.open(user, snapshot)?;
        let decision = if channel == Channel::SingleSignOn {
            let asserted = AssertionVouched::by_the_host();
            draft.begin_after_single_sign_on(asserted, Some(user), self.policy)?
        } else {
            let attempt = Attempt {
                channel,
                device: None,
                password: Some(PasswordVerified::preverified()),
                checked: Some(user.clone()).into(),
                rehashed: None,
                policy: self.policy,
            };
            draft.begin(&attempt, Some(user))?
        };
        Ok(match decision.outcome {
            Next::Complete(done) => Foretold::In(done.grant.second_factor().clone()),
            Next::Open(open) => Foretold::Asked(open.code.map(|code| code.destination)),
            Next::Denied(denied) => Foretold::Refused(denied, decision.event),
        })
    }
}
