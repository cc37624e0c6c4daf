//! The budget of notices: of each kind the first in an hour goes, and the others are counted
//! (`I-15`).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::contact::Destination;
use crate::limits::MONTH;
use crate::machine::budget::failures::is_zero;
use crate::machine::{Decision, Draft};
use crate::sender::{NoticeKind, NoticeTopic};
use crate::user::User;

/// Within this time after a notice no other one of its kind goes.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// More notices held back than this are not told apart. A message has no room for longer numbers.
const MOST_HELD_BACK: u32 = 999;

/// A notice that is to be sent once the commit has succeeded.
pub(crate) struct OutgoingNotice {
    pub(crate) destination: Destination,
    pub(crate) kind: NoticeKind,
    pub(crate) held_back: u32,
}

/// When a user was last notified of each kind of thing: at most one entry for each.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct NoticeLog(Vec<Notified>);

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Notified {
    about: NoticeTopic,
    /// When the last one was sent.
    sent: Timestamp,
    /// How many were held back since.
    #[serde(default, skip_serializing_if = "is_zero")]
    held_back: u32,
}

impl Notified {
    /// Whether nothing would be done differently without it. What was held back is reported for a
    /// month.
    fn is_spent(&self, now: Timestamp) -> bool {
        let keep = if self.held_back == 0 { HOUR } else { MONTH };
        self.sent.plus(keep) <= now
    }
}

/// What becomes of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It goes, and says that so many were held back before it.
    Goes { held_back: u32 },
    /// It is counted.
    HeldBack,
}

impl NoticeLog {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none of it could still count.
    pub(crate) fn is_spent(&self, now: Timestamp) -> bool {
        self.0.iter().all(|notified| notified.is_spent(now))
    }

    /// Charges one notice. `urgent`: it goes whatever was sent before.
    fn charge(&mut self, now: Timestamp, about: NoticeTopic, urgent: bool) -> Turn {
        self.0.retain(|notified| !notified.is_spent(now));
        let Some(notified) = self.0.iter_mut().find(|notified| notified.about == about) else {
            self.0.push(Notified { about, sent: now, held_back: 0 });
            return Turn::Goes { held_back: 0 };
        };
        if urgent || notified.sent.plus(HOUR) <= now {
            let held_back = std::mem::take(&mut notified.held_back);
            notified.sent = now;
            return Turn::Goes { held_back };
        }
        notified.held_back = notified.held_back.saturating_add(1).min(MOST_HELD_BACK);
        Turn::HeldBack
    }

    /// Forgets every other kind.
    pub(crate) fn keep_only(&mut self, about: NoticeTopic) {
        self.0.retain(|notified| notified.about == about);
    }

    /// After the clock went back: what is in the future counts as of now (`I-08`).
    pub(crate) fn clamp_to(&mut self, now: Timestamp) {
        for notified in &mut self.0 {
            notified.sent = now.min(notified.sent);
        }
    }

    pub(crate) fn absorb(&mut self, other: &Self) {
        for more in &other.0 {
            match self.0.iter_mut().find(|notified| notified.about == more.about) {
                Some(notified) => {
                    notified.sent = notified.sent.max(more.sent);
                    notified.held_back =
                        notified.held_back.saturating_add(more.held_back).min(MOST_HELD_BACK);
                }
                None => self.0.push(more.clone()),
            }
        }
    }
}

impl Draft<'_> {
    /// Notifies the person where they can be reached, if the budget of this kind allows.
    pub(super) fn notify<T>(&mut self, decision: &mut Decision<T>, user: &User, kind: &NoticeKind) {
        self.tell(decision, self.contact(user).into_iter().collect(), kind);
    }

    /// The same, in each of these places.
    pub(super) fn tell<T>(
        &mut self,
        decision: &mut Decision<T>,
        places: Vec<Destination>,
        kind: &NoticeKind,
    ) {
        self.put(decision, places, kind, false);
    }

    /// Notifies the person whatever was sent before, so that nobody hides a change behind another
    /// one. Only of what costs a code that was sent, which has a budget of its own, or another
    /// registered address, which is the application's to give.
    pub(super) fn tell_always<T>(
        &mut self,
        decision: &mut Decision<T>,
        places: Vec<Destination>,
        kind: &NoticeKind,
    ) {
        self.put(decision, places, kind, true);
    }

    fn put<T>(
        &mut self,
        decision: &mut Decision<T>,
        places: Vec<Destination>,
        kind: &NoticeKind,
        urgent: bool,
    ) {
        if places.is_empty() {
            return;
        }
        let about = kind.topic();
        match self.record.edit().notices.charge(self.now, about, urgent) {
            Turn::Goes { held_back } => {
                let outgoing =
                    |destination| OutgoingNotice { destination, kind: kind.clone(), held_back };
                decision.notices.extend(places.into_iter().map(outgoing));
            }
            Turn::HeldBack => decision.held_back = Some(about),
        }
    }
}
