//! Every decision, pure and synchronous: `(record, policy, input, now, randomness) -> (next record,
//! effects, outcome)`.
//!
//! Nothing in here reads a clock, touches the network or logs. A step opens a [`Draft`] from what
//! one load returned, decides, and hands a [`Decision`] to the driver, which shows nothing of it to
//! anybody before its commit has succeeded (`I-09`).

mod access;
mod budget;
mod check;
mod draft;
mod editable;
mod expiry;
mod foretell;
mod login;
#[cfg(test)]
mod model;
mod notices;
mod password;
mod record;
mod resets;
mod retention;
mod seal;
mod settings;
mod setup;
mod token;
mod typed;

use crate::event::EventKind;
use crate::sender::NoticeTopic;

pub(crate) use access::{Need, as_an_administrator, refuse_account};
pub(crate) use budget::failures::Gate;
pub(crate) use check::code::OutgoingCode;
pub(crate) use check::device::TrustRequest;
use draft::epoch_of;
pub(crate) use draft::{Damage, Draft, Opening, Rules};
pub(crate) use foretell::{Foretelling, Foretold};
pub(crate) use login::begin::Attempt;
pub use login::grant::{Authenticated, Grant};
pub(crate) use login::pending::{EarlierCode, Next, OpenLogin};
pub(crate) use login::resend::Via;
pub(crate) use notices::OutgoingNotice;
pub(crate) use password::Checked;
pub(crate) use record::READS;
pub(crate) use resets::{Kept, Refill};
pub(crate) use retention::{Retention, worth};
pub(crate) use seal::Seal;
pub(crate) use settings::{Clearing, Settings};
pub(crate) use setup::{Confirmed, SetupTarget, StartedSetup};
pub(crate) use token::{TokenKind, TokenSecret, read as read_token, write as write_token};
pub(crate) use typed::{backup_code as read_backup_code, code as read_code};

/// What a step decided. The driver commits it, and only then acts on it.
pub(crate) struct Decision<T> {
    pub(crate) outcome: T,
    pub(crate) write: Write,
    pub(crate) event: EventKind,
    pub(crate) notices: Vec<OutgoingNotice>,
    /// A notice that does not go, because another one of its kind went not long ago.
    pub(crate) held_back: Option<NoticeTopic>,
}

/// How a decision is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// The record, if it was edited.
    IfEdited,
    /// The record, if it was edited. Otherwise a commit that can't succeed: the same call, without
    /// getting in the way of a step of the owner's (`I-13`, `I-17`).
    Decoy,
    /// Nothing is kept of somebody whom the application does not know.
    Remove,
}

impl<T> Decision<T> {
    pub(crate) const fn new(outcome: T, event: EventKind) -> Self {
        Self { outcome, write: Write::IfEdited, event, notices: Vec::new(), held_back: None }
    }

    pub(crate) fn written_as(self, write: Write) -> Self {
        Self { write, ..self }
    }

    pub(crate) fn map<U>(self, to: impl FnOnce(T) -> U) -> Decision<U> {
        let Self { outcome, write, event, notices, held_back } = self;
        Decision { outcome: to(outcome), write, event, notices, held_back }
    }
}
