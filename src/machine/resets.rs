//! Resets: each clears everything, and a few of them in a month refill the budgets too (`I-26`).

use crate::clock::Timestamp;
use crate::contact::Destination;
use crate::error::Error;
use crate::event::{Actor, EventKind, ResetOutcome};
use crate::ids::RecordId;
use crate::machine::budget::failures::Failures;
use crate::machine::budget::refills::ResetLog;
use crate::machine::budget::sends::SendLog;
use crate::machine::notices::NoticeLog;
use crate::machine::record::Record;
use crate::machine::{Decision, Draft};
use crate::sender::{NoticeKind, NoticeTopic};
use crate::user::User;

/// Who asks for a reset, and what of the budgets they may refill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refill {
    /// As often in a month as the builder says.
    Counted,
    /// Always: the operator answers for it.
    Beyond,
}

/// What of a record a reset may have to keep. Everything else goes with every reset.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    resets: ResetLog,
    notices: NoticeLog,
    sends: SendLog,
    code_failures: Failures,
    setup_failures: Failures,
}

impl Kept {
    fn of(record: &Record) -> Self {
        Self {
            resets: record.resets.clone(),
            notices: record.notices.clone(),
            sends: record.sends.clone(),
            code_failures: record.code_failures.window(),
            setup_failures: record.setup_failures.window(),
        }
    }

    /// Adds what a record held before it was removed.
    fn absorb(&mut self, removed: &Self) {
        self.resets.absorb(&removed.resets);
        self.notices.absorb(&removed.notices);
        self.sends.absorb(&removed.sends);
        self.code_failures.absorb(&removed.code_failures);
        self.setup_failures.absorb(&removed.setup_failures);
    }
}

impl Draft<'_> {
    /// What a removal of this record would lose although a reset may have to keep it.
    pub(crate) fn kept(&self) -> Kept {
        Kept::of(&self.record)
    }

    /// Clears everything (`I-26`): another record takes the place of this one, with another
    /// identity, so that whatever was bound to this one is dead. It holds the times of refills and
    /// of the last notice of a reset; if this reset refills no budget, also the rolling windows,
    /// the send log and the times of other notices.
    ///
    /// If the saved record could not be read, its windows are lost, and so that damage is no supply
    /// of guesses, this reset counts as all refills of a month.
    pub(crate) fn reset(
        &mut self,
        user: &User,
        refill: Refill,
        removed: Option<&Kept>,
        by: Actor,
    ) -> Result<Decision<ResetOutcome>, Error> {
        let (limits, now) = (&self.limits(), self.now);
        // An address that was changed just before must not keep its owner from hearing of it
        // (`I-30`).
        let earlier =
            self.record.address.clone().filter(|_| self.ties.moved).map(Destination::Email);
        let places = self.places(user).into_iter().chain(earlier).collect();
        self.ties.moved = false;
        let fresh = Record::new(RecordId::from_random(self.draw.bytes()?), now, self.user_epoch);
        let mut kept = Kept::of(&std::mem::replace(self.record.edit(), fresh));
        if let Some(removed) = removed {
            kept.absorb(removed);
        }
        let outcome = match refill {
            _ if !self.readable => {
                kept.resets.use_up(now, limits);
                ResetOutcome::RefilledBeyond
            }
            _ if kept.resets.is_open(now, limits) => {
                kept.resets.charge(now, limits);
                ResetOutcome::Refilled
            }
            Refill::Beyond => {
                kept.resets.charge(now, limits);
                ResetOutcome::RefilledBeyond
            }
            Refill::Counted => {
                let refills_from = kept.resets.opens(limits).map(Timestamp::to_time);
                ResetOutcome::BudgetsKept { refills_from }
            }
        };
        let record = self.record.edit();
        record.resets = kept.resets;
        record.notices = kept.notices;
        if let ResetOutcome::BudgetsKept { .. } = outcome {
            record.sends = kept.sends;
            record.code_failures = kept.code_failures;
            record.setup_failures = kept.setup_failures;
        } else {
            record.notices.keep_only(NoticeTopic::Reset);
        }
        let mut decision = Decision::new(outcome, EventKind::UserReset { by, outcome });
        self.tell(&mut decision, places, &NoticeKind::Reset);
        Ok(decision)
    }
}
