//! Every decision, pure and synchronous: `(record, policy, input, now, randomness) -> (next record,
//! effects, outcome)`.
//!
//! Nothing in here reads a clock, touches the network or logs. A step opens a [`Draft`] from what
//! one load returned, decides, and hands a [`Decision`] to the driver, which shows nothing of it to
//! anybody before its commit has succeeded (`I-09`).

mod access;
mod budget;
mod check;
mod entry;
mod expiry;
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

use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::contact::{Destination, Method};
use crate::context::Call;
use crate::entropy::{Draw, Entropy};
use crate::epoch::Epoch;
use crate::error::{Document, Error};
use crate::event::EventKind;
use crate::ids::{RecordId, TenantId, UserId, Version};
use crate::limits::Limits;
use crate::policy::{Channel, PolicyContext, Scope};
use crate::sender::NoticeTopic;
use crate::store::{ExpectedVersions, Generation, Snapshot, StoredRow};
use crate::user::User;

pub(crate) use access::{Need, interactive, refuse_account};
pub(crate) use budget::failures::Gate;
pub(crate) use check::code::OutgoingCode;
pub(crate) use check::device::TrustRequest;
pub(crate) use entry::{backup_code as read_backup_code, code as read_code};
pub(crate) use login::begin::{Attempt, Checked, FirstStep, Write};
pub use login::grant::{Authenticated, Grant};
pub(crate) use login::pending::{EarlierCode, Next, OpenLogin};
pub(crate) use login::resend::Via;
pub(crate) use notices::OutgoingNotice;
pub(crate) use resets::{Kept, Refill};
pub(crate) use retention::{Retention, worth};
pub(crate) use seal::Seal;
pub(crate) use settings::{Clearing, Settings};
pub(crate) use setup::{Confirmed, SetupTarget, StartedSetup};
pub(crate) use token::{TokenKind, TokenSecret, read as read_token, write as write_token};

use record::Record;
use seal::Label;

/// What does not change from step to step.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) limits: Limits,
    pub(crate) seal: Seal,
}

/// One step's view of one user: what was loaded, the time, and the randomness of the step.
pub(crate) struct Draft<'a> {
    rules: &'a Rules,
    call: Call<'a>,
    user_id: &'a UserId,
    settings: Settings,
    generation: Generation,
    expected: ExpectedVersions,
    /// The record as it will be written. A user without a saved record has an empty one.
    record: Record,
    /// Whether the record was there before this step, in this generation.
    existed: bool,
    /// The epoch of the password that the user has now.
    user_epoch: Epoch,
    ties: Ties,
    now: Timestamp,
    draw: Draw<'a>,
    /// Whether anything changed that must be written even if the step is refused.
    changed: bool,
}

/// What trusted devices hang on, besides the password.
#[derive(Clone, Copy)]
struct Ties {
    /// Whether the user's epoch can change: with neither password hash nor security stamp it
    /// cannot.
    epoch: bool,
    /// Whether the user's registered address is another than the one that was last used.
    moved: bool,
}

/// What a step decided. The driver commits it, and only then acts on it.
pub(crate) struct Decision<T> {
    pub(crate) outcome: T,
    pub(crate) event: EventKind,
    pub(crate) notices: Vec<OutgoingNotice>,
    /// A notice that does not go, because another one of its kind went not long ago.
    pub(crate) held_back: Option<NoticeTopic>,
}

impl<T> Decision<T> {
    pub(crate) fn new(outcome: T, event: EventKind) -> Self {
        Self { outcome, event, notices: Vec::new(), held_back: None }
    }

    pub(crate) fn map<U>(self, to: impl FnOnce(T) -> U) -> Decision<U> {
        let Self { outcome, event, notices, held_back } = self;
        Decision { outcome: to(outcome), event, notices, held_back }
    }
}

impl<'a> Draft<'a> {
    /// Reads what was loaded. A record of an earlier generation counts as absent, from the instant
    /// at which the generation rose (`I-27`).
    pub(crate) fn open(
        rules: &'a Rules,
        entropy: &'a dyn Entropy,
        call: Call<'a>,
        user_id: &'a UserId,
        user: Option<&User>,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<Box<Self>, Error> {
        let read = (Settings::read(snapshot.settings.as_ref())?, current_record(snapshot)?);
        Self::of_what_was_read(
            rules,
            Draw::new(entropy),
            (call, user_id),
            user,
            snapshot,
            read,
            now,
        )
    }

    /// The same for a reset, which nothing that is saved must keep from being made: what can't be
    /// read counts as absent. Also says whether the record could be read.
    pub(crate) fn open_to_reset(
        rules: &'a Rules,
        entropy: &'a dyn Entropy,
        call: Call<'a>,
        user_id: &'a UserId,
        user: &User,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<(Box<Self>, bool), Error> {
        let settings = Settings::read(snapshot.settings.as_ref()).unwrap_or_default();
        let record = current_record(snapshot);
        let readable = record.is_ok();
        let read = (settings, record.unwrap_or_default());
        let draw = Draw::new(entropy);
        let draft =
            Self::of_what_was_read(rules, draw, (call, user_id), Some(user), snapshot, read, now)?;
        Ok((draft, readable))
    }

    fn of_what_was_read(
        rules: &'a Rules,
        mut draw: Draw<'a>,
        (call, user_id): (Call<'a>, &'a UserId),
        user: Option<&User>,
        snapshot: &Snapshot,
        (settings, current): (Settings, Option<Record>),
        now: Timestamp,
    ) -> Result<Box<Self>, Error> {
        let generation =
            snapshot.settings.as_ref().map(|saved| saved.generation).unwrap_or_default();
        let existed = current.is_some();
        // Nobody has no password; the work is the same (`I-17`).
        let nobody = User::new(call.tenant.clone(), user_id.clone());
        let user_epoch = epoch_of(rules, call.tenant, user.unwrap_or(&nobody));
        let record = match current {
            Some(record) => record,
            None => Record::new(RecordId::from_random(draw.bytes()?), now, user_epoch),
        };
        let expected = ExpectedVersions {
            settings: snapshot.settings.as_ref().map(|saved| saved.version),
            record: snapshot.record.as_ref().map(|saved| saved.version),
        };
        let mut draft = Box::new(Self {
            rules,
            call,
            user_id,
            settings,
            generation,
            expected,
            record,
            existed,
            user_epoch,
            ties: Ties {
                epoch: user.is_some_and(|user| {
                    user.password_hash.is_some() || user.security_stamp.is_some()
                }),
                moved: false,
            },
            now,
            draw,
            changed: false,
        });
        draft.ties.moved = user.is_some_and(|user| draft.record.was_elsewhere(user));
        draft.observe();
        Ok(draft)
    }

    /// The document to write if the driver commits this draft, and what the commit rests on.
    pub(crate) fn prepare_commit(&mut self) -> Result<(ExpectedVersions, StoredRow), Error> {
        let version = Version::from_random(self.draw.last()?);
        Ok((
            self.expected,
            StoredRow { version, generation: self.generation, document: self.record.encode()? },
        ))
    }

    pub(crate) const fn changed(&self) -> bool {
        self.changed
    }

    pub(crate) const fn now(&self) -> Timestamp {
        self.now
    }

    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) const fn settings_version(&self) -> Option<Version> {
        self.expected.settings
    }

    pub(crate) const fn generation(&self) -> Generation {
        self.generation
    }

    /// What the policy decides from, under this scope.
    fn policy_context<'b>(
        &self,
        scope: Scope,
        user: &'b User,
        channel: Channel,
    ) -> PolicyContext<'b>
    where
        'a: 'b,
    {
        let Call { tenant, context } = self.call;
        PolicyContext::new(tenant, scope, user, channel).with_request(context)
    }

    fn limits(&self) -> &'a Limits {
        &self.rules.limits
    }

    /// Whether the user's password is the one that everything in the record belongs to.
    ///
    /// Every hash that is known to be of that password counts: a re-hash is noted here before it is
    /// saved with the user, so that whichever of them a step has read, and whatever was
    /// interrupted, it is the same password.
    pub(crate) fn same_password(&self) -> bool {
        self.is_of_this_password(self.user_epoch)
    }

    fn is_of_this_password(&self, epoch: Epoch) -> bool {
        let state = &self.record.password;
        epoch == state.epoch || state.rehashed.contains(&epoch)
    }

    /// The epoch that grants are bound to now.
    fn epoch(&self) -> Epoch {
        if self.same_password() { self.record.password.epoch } else { self.user_epoch }
    }

    /// The one place where a code of this method would go now (`I-33`).
    fn destination(&self, user: &User, method: Method) -> Option<Destination> {
        match method {
            Method::Email => user.email.clone().map(Destination::Email),
            Method::Sms => self.record.sms.as_ref().map(|sms| Destination::Sms(sms.number.clone())),
        }
    }

    /// Where the user is notified of changes: the registered address, or, without one, the number
    /// in use.
    fn contact(&self, user: &User) -> Option<Destination> {
        self.destination(user, Method::Email).or_else(|| self.destination(user, Method::Sms))
    }

    fn draw_secret(&mut self) -> Result<TokenSecret, Error> {
        Ok(Zeroizing::new(self.draw.bytes()?))
    }
}

/// The record of the generation that the tenant is in, if there is one.
fn current_record(snapshot: &Snapshot) -> Result<Option<Record>, Error> {
    let generation = snapshot.settings.as_ref().map(|saved| saved.generation).unwrap_or_default();
    match &snapshot.record {
        Some(saved) if saved.generation > generation => Err(Error::Corrupt(Document::Record)),
        Some(saved) if saved.generation == generation => Record::decode(&saved.document).map(Some),
        _ => Ok(None),
    }
}

fn epoch_of(rules: &Rules, tenant: &TenantId, user: &User) -> Epoch {
    let hash = user.password_hash.as_ref().map(crate::user::PasswordHash::expose);
    let stamp = user.security_stamp.as_deref();
    // A missing value and an empty one are told apart.
    let parts: [&[u8]; 6] = [
        tenant.as_str().as_bytes(),
        user.id.as_str().as_bytes(),
        &[u8::from(hash.is_some())],
        hash.unwrap_or_default().as_bytes(),
        &[u8::from(stamp.is_some())],
        stamp.unwrap_or_default().as_bytes(),
    ];
    Epoch::new(rules.seal.tag(Label::Epoch, &parts).half())
}
