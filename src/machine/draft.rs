//! One step's view of one user: what was loaded, and what becomes of it.

use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::contact::{Destination, Method};
use crate::context::Call;
use crate::entropy::{Draw, Entropy};
use crate::epoch::Epoch;
use crate::error::{Document, Error};
use crate::ids::{RecordId, TenantId, UserId, Version};
use crate::limits::Limits;
use crate::machine::editable::Editable;
use crate::machine::record::Record;
use crate::machine::seal::{Label, Seal};
use crate::machine::settings::Settings;
use crate::machine::token::TokenSecret;
use crate::policy::{Channel, PolicyContext, RequestPolicy};
use crate::store::{ExpectedVersions, Generation, Snapshot, StoredRow};
use crate::tenant::TenantSettings;
use crate::user::{PasswordHash, User};

/// What does not change from step to step.
#[derive(Debug)]
pub(crate) struct Rules {
    /// The application's. What holds in a tenant is [`Draft::limits`].
    pub(crate) limits: Limits,
    pub(crate) seal: Seal,
    /// The newest saved format that this node reads.
    pub(crate) reads: u32,
}

/// One step's view of one user: what was loaded, the time, and the randomness of the step.
pub(crate) struct Draft<'a> {
    pub(super) rules: &'a Rules,
    pub(super) requests: Option<&'a dyn RequestPolicy>,
    pub(super) call: Call<'a>,
    pub(super) user_id: &'a UserId,
    pub(super) settings: Settings,
    /// What the settings make of the application's numbers.
    limits: Limits,
    pub(super) generation: Generation,
    pub(super) expected: ExpectedVersions,
    /// The record as it will be written. A user without a saved record has an empty one.
    pub(super) record: Editable,
    /// Whether the record was there before this step, in this generation.
    pub(super) existed: bool,
    /// Whether what was saved could be read as a record.
    pub(super) readable: bool,
    /// The epoch of the password that the user has now.
    pub(super) user_epoch: Epoch,
    /// Whether a better hash of that password was noted in this step.
    pub(super) noted: bool,
    pub(super) ties: Ties,
    pub(super) now: Timestamp,
    pub(super) draw: Draw<'a>,
}

/// What a draft is opened from: `'a` outlives the step, `'b` is what was loaded for it.
#[derive(Clone, Copy)]
pub(crate) struct Opening<'a, 'b> {
    pub(crate) rules: &'a Rules,
    pub(crate) entropy: &'a dyn Entropy,
    /// What depends on where a request comes from.
    pub(crate) requests: Option<&'a dyn RequestPolicy>,
    pub(crate) call: Call<'a>,
    pub(crate) user_id: &'a UserId,
    pub(crate) user: Option<&'b User>,
    pub(crate) snapshot: &'b Snapshot,
    pub(crate) now: Timestamp,
    pub(crate) damage: Damage,
}

/// What becomes of a step that can't read what is saved (`I-37`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    Fails,
    /// For a reset, which nothing that is saved must keep from being made.
    CountsAsAbsent,
}

/// What trusted devices hang on, besides the password.
#[derive(Clone, Copy)]
pub(super) struct Ties {
    /// Whether another password would be noticed: with neither password hash nor security stamp it
    /// would not.
    pub(super) password_is_visible: bool,
    /// Whether the user's registered address is another than the one that was last used.
    pub(super) moved: bool,
}

impl<'a> Draft<'a> {
    /// Reads what was loaded. A record of an earlier generation counts as absent, from the instant
    /// at which the generation rose (`I-27`).
    pub(crate) fn open(opening: &Opening<'a, '_>) -> Result<Box<Self>, Error> {
        let Opening { rules, entropy, requests, call, user_id, user, snapshot, now, damage } =
            *opening;
        let mut draw = Draw::new(entropy);
        let (settings, current) = (read_settings(rules, snapshot), current_record(rules, snapshot));
        let readable = current.is_ok();
        let (settings, current) = match damage {
            Damage::Fails => (settings?, current?),
            Damage::CountsAsAbsent => (settings.unwrap_or_default(), current.unwrap_or_default()),
        };
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
            requests,
            call,
            user_id,
            limits: rules.limits.narrowed(&settings.decided()),
            settings,
            generation,
            expected,
            record: Editable::new(record),
            existed,
            readable,
            user_epoch,
            noted: false,
            ties: Ties {
                password_is_visible: user.is_some_and(|user| {
                    user.password_hash.is_some() || user.security_stamp.is_some()
                }),
                moved: false,
            },
            now,
            draw,
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

    /// Whether anything was edited, which is written even if the step is refused.
    pub(crate) const fn edited(&self) -> bool {
        self.record.edited()
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

    /// What the policy decides from, under these settings.
    pub(super) fn policy_context<'b>(
        &self,
        settings: &TenantSettings,
        user: &'b User,
        channel: Channel,
    ) -> PolicyContext<'b>
    where
        'a: 'b,
    {
        let TenantSettings { scope, single_sign_on, .. } = *settings;
        PolicyContext::new(self.call.tenant, scope, user, channel)
            .with_single_sign_on(single_sign_on)
    }

    /// The numbers that hold in this tenant (`I-42`).
    pub(crate) const fn limits(&self) -> Limits {
        self.limits
    }

    /// The one place where a code of this method would go now (`I-33`).
    pub(super) fn destination(&self, user: &User, method: Method) -> Option<Destination> {
        match method {
            Method::Email => user.email.clone().map(Destination::Email),
            Method::Sms => self.record.sms.as_ref().map(|sms| Destination::Sms(sms.number.clone())),
        }
    }

    /// The same, if a code of this method may complete a login here (`I-50`).
    pub(super) fn code_destination(&self, user: &User, method: Method) -> Option<Destination> {
        self.destination(user, method).filter(|_| self.limits.methods.allow(method))
    }

    /// How codes travel to this user, where one can be sent at all.
    pub(super) fn method(&self) -> Method {
        let chosen = self.record.method();
        if self.limits.methods.allow(chosen) { chosen } else { chosen.other() }
    }

    /// Where the user is notified of changes: the registered address, or, without one, the number
    /// in use.
    pub(super) fn contact(&self, user: &User) -> Option<Destination> {
        self.destination(user, Method::Email).or_else(|| self.destination(user, Method::Sms))
    }

    pub(super) fn draw_secret(&mut self) -> Result<TokenSecret, Error> {
        Ok(Zeroizing::new(self.draw.bytes()?))
    }
}

fn read_settings(rules: &Rules, snapshot: &Snapshot) -> Result<Settings, Error> {
    Settings::read(snapshot.settings.as_ref(), rules.reads)
}

/// The record of the generation that the tenant is in, if there is one.
fn current_record(rules: &Rules, snapshot: &Snapshot) -> Result<Option<Record>, Error> {
    let generation = snapshot.settings.as_ref().map(|saved| saved.generation).unwrap_or_default();
    match &snapshot.record {
        Some(saved) if saved.generation > generation => Err(Error::Corrupt(Document::Record)),
        Some(saved) if saved.generation == generation => {
            Record::decode(&saved.document, rules.reads).map(Some)
        }
        _ => Ok(None),
    }
}

pub(super) fn epoch_of(rules: &Rules, tenant: &TenantId, user: &User) -> Epoch {
    let hash = user.password_hash.as_ref().map(PasswordHash::expose);
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
