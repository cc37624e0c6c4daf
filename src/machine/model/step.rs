//! One step, decided by the machine, and what its answer amounts to.

use super::ledger::Life;
use super::scenario::Scenario;
use super::stand_ins::{Dice, LOGIN_TTL, rules};
use super::tamper::Fault;
use super::world::{By, Host, Moment, Names, Person, Slot, Subject, Tenant, World, ms, timestamp};
use crate::contact::{Method, PhoneNumber};
use crate::context::Call;
use crate::error::Error;
use crate::event::{Actor, EventKind, ResetOutcome};
use crate::first_factor::AssertionVouched;
use crate::grant::{SavedGrant, SecondFactor};
use crate::ids::{DeviceId, LoginId, Version};
use crate::label::DeviceLabel;
use crate::machine::{
    Attempt, Damage, Decision, Draft, Need, Next, Opening, Refill, Rules, SetupTarget,
    StartedSetup, TokenKind, TokenSecret, TrustRequest, Via, read_backup_code, refuse_account,
    write_token,
};
use crate::password::PasswordVerified;
use crate::policy::{Channel, StandardPolicy};
use crate::reason::{Denied, Reason};
use crate::secret::{BackupCode, DeviceToken};
use crate::store::{ExpectedVersions, Snapshot};
use crate::tenant::TenantSettings;
use crate::user::{PasswordHash, User};

use super::world::Row;

/// What somebody types for a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Typed {
    /// The newest code of this login, from its message.
    Right,
    Wrong,
    /// The code that a resend has replaced.
    Earlier,
    /// The code of the login in the other window.
    OtherWindow,
    /// The code that was sent to prove a number.
    Setup,
}

/// What somebody types for a backup code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Paper {
    Right,
    Wrong,
    Used,
    /// One that the tenant has switched off since.
    Ended,
}

/// What somebody types for a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Password {
    /// The one that this person knows.
    Known,
    Wrong,
    /// The first one, and it was checked when it still was the user's: the hash took its time.
    CheckedFirst,
}

/// What a browser presents as its device token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Presented {
    Nothing,
    Device(usize),
    /// The secret of a pending login, dressed as a device token.
    PendingOf(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Begin { slot: usize, password: Password, device: Presented },
    Unknown { tenant: Tenant },
    SingleSignOn { slot: usize },
    Code { slot: usize, typed: Typed, trust: bool, at: Option<Tenant> },
    Backup { slot: usize, typed: Paper, at: Option<Tenant> },
    Resend { slot: usize, at: Option<Tenant> },
    Cancel { slot: usize },
    NewBackup { slot: usize },
    StartSetup { slot: usize },
    ConfirmSetup { slot: usize, typed: Typed },
    RevokeDevice { slot: usize, device: usize },
    RevokeDevices { slot: usize },
    Unlock { subject: Subject },
    Reset { subject: Subject },
}

/// What a step decided and, as soon as it is written, answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Decided {
    pub(super) step: Step,
    pub(super) subject: Subject,
    /// Where the request was routed to.
    pub(super) route: Tenant,
    pub(super) at: Moment,
    pub(super) life: Life,
    /// The login in flight, as it was then.
    pub(super) slot: Option<Box<Slot>>,
    /// Whether the record that was read has that login.
    pub(super) found: bool,
    /// The user and the settings as this step read them.
    pub(super) host: Option<Host>,
    pub(super) settings: TenantSettings,
    pub(super) write: Option<Write>,
    pub(super) effect: Effect,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Write {
    pub(super) settings: Option<Version>,
    pub(super) record: Option<Version>,
    pub(super) next: Row,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) grant: SavedGrant,
    pub(super) device: Option<(String, DeviceId)>,
    pub(super) backup: Option<String>,
}

impl std::hash::Hash for Done {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.grant.login(), &self.device, &self.backup).hash(state);
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Effect {
    Complete(Box<Done>),
    Open {
        login: LoginId,
        token: [u8; 32],
        code: Result<(String, Method), Reason>,
    },
    Refused(Reason),
    Cancelled,
    BackupMade(String),
    SetupStarted {
        token: [u8; 32],
        code: String,
    },
    MethodChanged,
    DevicesRevoked(Option<DeviceId>),
    Unlocked,
    Reset {
        refilled: bool,
    },
    /// The machine could not read what another step has written.
    Damaged,
}

impl Decided {
    pub(super) fn login(&self) -> Option<LoginId> {
        match &self.effect {
            Effect::Complete(done) => Some(done.grant.login()),
            Effect::Open { login, .. } => Some(*login),
            _ => None,
        }
    }

    /// Whether what it was decided on is still what the user has.
    pub(super) fn same_life(&self, life: Life) -> bool {
        self.life == life || self.write.as_ref().is_none_or(|write| write.record.is_none())
    }

    /// A later step of a login.
    pub(super) fn continues(&self) -> bool {
        matches!(
            self.step,
            Step::Code { .. } | Step::Backup { .. } | Step::Resend { .. } | Step::Cancel { .. }
        )
    }

    pub(super) fn begins(&self) -> bool {
        matches!(self.step, Step::Begin { .. } | Step::Unknown { .. })
    }
}

impl Step {
    /// The slot that it is a step of.
    pub(super) const fn slot(self) -> Option<usize> {
        match self {
            Self::Begin { slot, .. }
            | Self::SingleSignOn { slot }
            | Self::Code { slot, .. }
            | Self::Backup { slot, .. }
            | Self::Resend { slot, .. }
            | Self::Cancel { slot }
            | Self::NewBackup { slot }
            | Self::StartSetup { slot }
            | Self::ConfirmSetup { slot, .. }
            | Self::RevokeDevice { slot, .. }
            | Self::RevokeDevices { slot } => Some(slot),
            Self::Unknown { .. } | Self::Unlock { .. } | Self::Reset { .. } => None,
        }
    }
}

impl Scenario {
    /// Whose record a step is about, by the tenant that its request is routed to.
    pub(super) fn subject(&self, step: Step) -> Subject {
        match step {
            Step::Unknown { tenant } => Subject { tenant, person: Person::Nobody },
            Step::Unlock { subject } | Step::Reset { subject } => subject,
            Step::Code { slot, at: Some(at), .. }
            | Step::Backup { slot, at: Some(at), .. }
            | Step::Resend { slot, at: Some(at) } => self.seats[slot].1.at(at),
            _ => self.seats[step.slot().unwrap()].1,
        }
    }

    /// Whether what is typed is the user's password, as the host's table has them.
    pub(super) fn knows(&self, step: Step, host: Option<Host>) -> bool {
        let first = host.is_some_and(|host| host.password == 0);
        match step {
            Step::Begin { password: Password::CheckedFirst, .. } => first,
            Step::Begin { slot, password: Password::Known, .. } => {
                self.seats[slot].0 == By::Owner || first
            }
            _ => false,
        }
    }

    /// Whether anybody has what the step takes.
    pub(super) fn possible(&self, world: &World, step: Step) -> bool {
        let slot = |slot: usize| world.slots[slot].as_ref();
        match step {
            Step::Begin { device: Presented::Device(nth), .. } => nth < world.devices.len(),
            Step::Begin { device: Presented::PendingOf(other), .. } => slot(other).is_some(),
            Step::Begin { .. }
            | Step::SingleSignOn { .. }
            | Step::Unknown { .. }
            | Step::Unlock { .. }
            | Step::Reset { .. } => true,
            Step::Code { slot: at, typed, .. } => {
                slot(at).is_some_and(|_| self.typed(world, at, typed).is_some())
            }
            Step::Backup { slot: at, typed, .. } => {
                let ledger = slot(at).and_then(|slot| world.ledgers.get(&slot.subject));
                slot(at).is_some()
                    && match typed {
                        Paper::Right => ledger.is_some_and(|ledger| ledger.paper.is_some()),
                        Paper::Used => ledger.is_some_and(|ledger| ledger.used_paper.is_some()),
                        Paper::Ended => ledger.is_some_and(|ledger| ledger.ended_paper.is_some()),
                        Paper::Wrong => true,
                    }
            }
            Step::Resend { slot: at, .. } | Step::Cancel { slot: at } => slot(at).is_some(),
            Step::NewBackup { slot } | Step::StartSetup { slot } | Step::RevokeDevices { slot } => {
                world.sessions[slot].is_some()
            }
            Step::RevokeDevice { slot, device } => {
                world.sessions[slot].is_some() && device < world.devices.len()
            }
            Step::ConfirmSetup { slot, typed } => {
                world.sessions[slot].is_some()
                    && world.proof.is_some()
                    && self.typed(world, slot, typed).is_some()
            }
        }
    }

    fn typed(&self, world: &World, slot: usize, typed: Typed) -> Option<String> {
        let code = |slot: usize| world.slots[slot].as_ref().and_then(|slot| slot.code.as_ref());
        let seen = |code: &super::world::Shown| code.sent.then(|| code.text.clone());
        match typed {
            Typed::Right => code(slot).and_then(seen),
            Typed::Wrong if self.fault == Fault::AnyCodeAccepted => {
                code(slot).map(|code| code.text.clone())
            }
            Typed::Wrong => {
                let right: u32 = code(slot).map_or(0, |code| code.text.parse().unwrap());
                Some(format!("{:06}", (right + 1) % 1_000_000))
            }
            Typed::Earlier => world.slots[slot].as_ref().and_then(|slot| slot.earlier.clone()),
            Typed::OtherWindow => code(1 - slot).and_then(seen),
            Typed::Setup => world.proof.as_ref().map(|proof| proof.code.text.clone()),
        }
    }

    /// Reads once and decides, as the driver does. What the driver of a broken variant does
    /// otherwise is done here and in [`super::tamper`].
    pub(super) fn decide(&self, world: &World, step: Step) -> Decided {
        self.decide_reading(world, step, self.rules.reads)
    }

    /// The same on a node that reads formats up to this one.
    pub(super) fn decide_reading(&self, world: &World, step: Step, reads: u32) -> Decided {
        let subject = self.subject(step);
        let host = world.hosts.get(&subject).copied();
        let seen = self.seen_host(world, step, host);
        let user = seen.map(|host| self.names.person(subject, host));
        let opened = self.opened_subject(world, step, subject);
        let mut snapshot = world.snapshot(opened);
        self.tamper_with_load(world, step, &mut snapshot);
        self.tamper_with_format(reads, &mut snapshot);
        let rules = Rules { reads, ..rules() };
        let dice = Dice::new(opened.tenant as u64 * 3 + opened.person as u64, world.draws(opened));
        let tenant = self.names.tenant(opened.tenant);
        let now = timestamp(self.clock(world, step));
        let id = self.names.user(opened.person);
        let decided = Draft::open(&Opening {
            rules: &rules,
            entropy: &dice,
            requests: None,
            call: Call::without_request(tenant),
            user_id: id,
            user: user.as_ref(),
            snapshot: &snapshot,
            now,
            damage: Damage::Fails,
        })
        .and_then(|mut draft| {
            let effect = self.run(world, &mut draft, step, host, user.as_ref())?;
            let skipped = self.fault == Fault::PhantomSkipped && user.is_none();
            let write = (draft.edited() && !skipped).then(|| draft.prepare_commit()).transpose()?;
            Ok((
                effect,
                write.map(|(ExpectedVersions { settings, record }, saved)| Write {
                    settings,
                    record,
                    next: Row::new(saved),
                }),
            ))
        });
        let (effect, write) = decided.unwrap_or((Effect::Damaged, None));
        let slot = step.slot().and_then(|slot| world.slots[slot].clone()).map(Box::new);
        let mut decided = Decided {
            step,
            subject: opened,
            route: subject.tenant,
            at: world.now,
            life: world.life(opened),
            found: slot.as_ref().is_some_and(|slot| {
                !world.over.contains(&slot.login) && snapshot_has(&snapshot, slot, world.now)
            }),
            slot,
            host,
            settings: world.decided(subject.tenant),
            write,
            effect,
        };
        self.tamper_with_write(world, &mut decided);
        decided
    }

    /// Calls the machine.
    fn run(
        &self,
        world: &World,
        draft: &mut Draft<'_>,
        step: Step,
        host: Option<Host>,
        user: Option<&User>,
    ) -> Result<Effect, Error> {
        let token = |slot: usize| TokenSecret::new(world.slots[slot].as_ref().unwrap().token);
        Ok(match step {
            Step::Begin { password, device, .. } => {
                let late = password == Password::CheckedFirst;
                let first = user
                    .map(|_| Names::hash(0))
                    .filter(|_| late && self.fault != Fault::CheckForgotten);
                let checked = first.as_ref().or(user.and_then(|user| user.password_hash.as_ref()));
                let device = self.presented(world, device);
                return Self::begin(
                    world,
                    draft,
                    late || self.knows(step, host),
                    checked,
                    device,
                    user,
                );
            }
            Step::SingleSignOn { .. } if self.takes_a_device(world) => {
                let hash = user.and_then(|user| user.password_hash.as_ref());
                return Self::begin(world, draft, true, hash, Presented::Device(0), user);
            }
            Step::SingleSignOn { .. } => {
                let asserted = AssertionVouched::by_the_host();
                next(draft.begin_after_single_sign_on(asserted, user, &StandardPolicy)?)
            }
            Step::Unknown { .. } => {
                return Self::begin(world, draft, false, None, Presented::Nothing, None);
            }
            Step::Code { slot, typed, trust, .. } => {
                let typed = self.typed(world, slot, typed).unwrap();
                let trust = trust
                    .then(|| TrustRequest { label: DeviceLabel::new("laptop"), earlier: None });
                next(draft.submit_code(&token(slot), &typed, trust.as_ref(), user)?)
            }
            Step::Backup { slot, typed, .. } => {
                let ledger = world.ledgers.get(&world.slots[slot].as_ref().unwrap().subject);
                let typed = match typed {
                    Paper::Right => ledger.unwrap().paper.clone().unwrap(),
                    Paper::Used => ledger.unwrap().used_paper.clone().unwrap(),
                    Paper::Ended => ledger.unwrap().ended_paper.clone().unwrap(),
                    Paper::Wrong => "0000-0000-0000-0000-0000-0000".to_owned(),
                };
                let typed = read_backup_code(&typed).unwrap();
                next(draft.submit_backup_code(&token(slot), &typed, user)?)
            }
            Step::Resend { slot, .. } => next(draft.resend(&token(slot), Via::Same, user)?),
            Step::Cancel { slot } => {
                draft.cancel(&token(slot), user);
                Effect::Cancelled
            }
            Step::Unlock { .. } => draft
                .unlock()
                .map_or_else(|denied| Effect::Refused(denied.reason()), |()| Effect::Unlocked),
            Step::Reset { .. } => {
                let by = Actor::Operator { reason: "model".to_owned() };
                let reset = draft.reset(user.unwrap(), Refill::Counted, None, by)?;
                Effect::Reset { refilled: reset.outcome == ResetOutcome::Refilled }
            }
            Step::NewBackup { slot } => {
                Self::change(world, draft, slot, user, |draft, user, _| {
                    Ok(draft.new_backup_code(user)?.map(|made| {
                        made.map(|code: BackupCode| Effect::BackupMade(code.expose().to_owned()))
                    }))
                })?
            }
            Step::RevokeDevices { slot } => {
                Self::change(world, draft, slot, user, |draft, _, _| {
                    Ok(draft
                        .revoke_devices()
                        .map(|done| done.map(|_| Effect::DevicesRevoked(None))))
                })?
            }
            Step::RevokeDevice { slot, device } => {
                Self::change(world, draft, slot, user, |draft, _, _| {
                    let id = world.devices[device].id;
                    Ok(draft
                        .revoke_device(id)
                        .map(|done| done.map(|()| Effect::DevicesRevoked(Some(id)))))
                })?
            }
            Step::StartSetup { slot } => {
                Self::change(world, draft, slot, user, |draft, user, grant| {
                    let target = SetupTarget::Sms(PhoneNumber::new("+819012345634").unwrap());
                    Ok(draft.start_setup(target, user, grant)?.map(|started| {
                        started.map(|started| match started {
                            StartedSetup::Done(_) => Effect::MethodChanged,
                            StartedSetup::Prove { token, code } => Effect::SetupStarted {
                                token: *token,
                                code: code.code.expose().to_owned(),
                            },
                        })
                    }))
                })?
            }
            Step::ConfirmSetup { slot, typed } => {
                Self::change(world, draft, slot, user, |draft, user, grant| {
                    let proof = world.proof.as_ref().unwrap();
                    let typed = match typed {
                        Typed::Right => proof.code.text.clone(),
                        Typed::Wrong => format!(
                            "{:06}",
                            (proof.code.text.parse::<u32>().unwrap() + 1) % 1_000_000
                        ),
                        other => self.typed(world, slot, other).unwrap(),
                    };
                    let confirmed =
                        draft.confirm_setup(&TokenSecret::new(proof.token), &typed, user, grant)?;
                    Ok(confirmed.map(|done| done.map(|_| Effect::MethodChanged)))
                })?
            }
        })
    }

    fn begin(
        world: &World,
        draft: &mut Draft<'_>,
        right: bool,
        checked: Option<&PasswordHash>,
        device: Presented,
        user: Option<&User>,
    ) -> Result<Effect, Error> {
        let device = match device {
            Presented::Nothing => None,
            Presented::Device(nth) => Some(DeviceToken::new(world.devices[nth].token.clone())),
            Presented::PendingOf(slot) => {
                let token = TokenSecret::new(world.slots[slot].as_ref().unwrap().token);
                Some(DeviceToken::new(write_token(TokenKind::Device, &token, None)))
            }
        };
        let checked = user.cloned().map(|user| User { password_hash: checked.cloned(), ..user });
        let attempt = Attempt {
            channel: Channel::Web,
            device: device.as_ref(),
            password: right.then(PasswordVerified::preverified),
            checked: checked.into(),
            rehashed: None,
            policy: &StandardPolicy,
        };
        // A decoy commit writes nothing: here it is none.
        Ok(next(draft.begin(&attempt, user)?))
    }

    /// A change on the account page: authorised and decided in one draft, as the driver does it.
    fn change(
        world: &World,
        draft: &mut Draft<'_>,
        slot: usize,
        user: Option<&User>,
        decide: impl FnOnce(
            &mut Draft<'_>,
            &User,
            &SavedGrant,
        ) -> Result<Decision<Result<Effect, Denied>>, Error>,
    ) -> Result<Effect, Error> {
        let grant = &world.sessions[slot].as_ref().unwrap().grant;
        let decision = match (draft.authorize(&StandardPolicy, user, grant, Need::Change)?, user) {
            (Ok(()), Some(user)) => decide(draft, user, grant)?,
            (Ok(()), None) => refuse_account(Denied::new(Reason::SessionStale)),
            (Err(denied), _) => refuse_account(denied),
        };
        Ok(decision.outcome.unwrap_or_else(|denied| Effect::Refused(denied.reason())))
    }
}

fn next(decision: Decision<Next>) -> Effect {
    let trusted = match decision.event {
        EventKind::LoginCompleted { trusted, .. } => trusted,
        _ => None,
    };
    match decision.outcome {
        Next::Denied(denied) => Effect::Refused(denied.reason()),
        Next::Open(open) => Effect::Open {
            login: open.login,
            token: *open.token,
            code: open
                .code
                .map(|code| (code.code.expose().to_owned(), code.destination.method()))
                .map_err(|denied| denied.reason()),
        },
        Next::Complete(completion) => Effect::Complete(Box::new(Done {
            grant: completion.grant.into_saved(),
            device: completion
                .device_token
                .map(|token| (token.expose().to_owned(), trusted.unwrap())),
            backup: completion.backup_code.map(|code| code.expose().to_owned()),
        })),
    }
}

fn snapshot_has(snapshot: &Snapshot, slot: &Slot, now: Moment) -> bool {
    let named = snapshot
        .record
        .as_ref()
        .is_some_and(|record| record.document.contains(&slot.login.to_string()));
    named && now < slot.begun + ms(LOGIN_TTL)
}

/// What a grant rests on.
pub(super) fn is_exempt(grant: &SavedGrant) -> bool {
    matches!(grant.second_factor(), SecondFactor::Exempt { .. })
}
