//! The driver: a decision is written now, later, or never, and only what is written is answered.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::judge::{by_device, required};
use super::ledger::{Budget, Claim, Ledger, Mark};
use super::scenario::{Action, Scenario};
use super::step::{Decided, Effect, Step, Typed, is_exempt};
use super::tamper::Fault;
use super::world::{
    Gadget, Host, Person, Proof, Row, Session, Shown, Slot, Subject, Tenant, World, ms, timestamp,
};
use crate::contact::Method;
use crate::context::Call;
use crate::grant::SecondFactor;
use crate::machine::{Damage, Draft, Opening, READS, Retention, Settings, worth};
use crate::policy::StandardPolicy;
use crate::reason::Reason;

use super::stand_ins::{Dice, PENDING};

/// What a record says, read without the machine.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Stored {
    password: StoredPassword,
    code_failures: Count,
    setup_failures: Count,
    pending: Vec<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StoredPassword {
    failures: Count,
    device_failures: Count,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Count {
    streak: usize,
}

impl Scenario {
    pub(super) fn act(&self, world: &mut World, action: &Action) {
        match *action {
            Action::Do(step) => {
                let decided = self.decide(world, step);
                self.finish(world, &decided, true);
            }
            // The process stops between the commit and what follows it.
            Action::Lose(step) => {
                let decided = self.decide(world, step);
                self.finish(world, &decided, false);
            }
            Action::Hold(step) => {
                let decided = self.decide(world, step);
                if decided.write.is_some() {
                    if self.fault == Fault::AnswerFirst {
                        self.judge(world, &decided);
                    }
                    *world.draws.entry(decided.subject).or_default() += 1;
                    world.held = Some(Arc::new(decided));
                } else {
                    // What is not written is answered as of its load: there is nothing to wait for.
                    self.finish(world, &decided, true);
                }
            }
            Action::Settle => {
                if let Some(decided) = world.held.take() {
                    self.finish(world, &decided, self.fault != Fault::AnswerFirst);
                }
            }
            Action::Wait(time) => world.now += ms(time),
            Action::Set(tenant, change) => self.set(world, tenant, change),
            Action::Show(tenant) => self.show(world, tenant),
            Action::Save(change) => self.save(world, change),
            Action::HoldSave(change) => self.hold_save(world, change),
            Action::SettleSave => self.settle_save(world),
            Action::Rehearse(tenant, change) => self.rehearse(world, tenant, change),
            Action::Old(step) => self.act_as_an_old_node(world, step),
            Action::Purge(tenant) => self.purge(world, tenant),
            Action::Look(subject) => self.look(world, subject),
            Action::Sweep => self.sweep(world),
            Action::Promote(subject) => {
                host(world, subject, |host| host.administrator = !host.administrator);
            }
            Action::Disable(subject) => host(world, subject, |host| host.active = !host.active),
            Action::ChangePassword(subject) => host(world, subject, |host| host.password += 1),
        }
        if Self::may_end_sessions(action) {
            self.judge_sessions(world);
        }
        world.tidy();
    }

    /// Looking at a session costs a load. The steps that are left out touch nothing that one rests
    /// on.
    fn may_end_sessions(action: &Action) -> bool {
        use Step::{Code, Resend};
        !matches!(action, Action::Do(Code { typed: Typed::Wrong, .. } | Resend { .. }))
    }

    /// Commits, and only then answers.
    fn finish(&self, world: &mut World, decided: &Decided, answered: bool) {
        if !self.commit(world, decided) {
            self.saw(Mark::Conflict);
            return;
        }
        let life = world.life(decided.subject);
        if !decided.same_life(life) {
            let claim = if life.resets == decided.life.resets { Claim::I27 } else { Claim::I26 };
            world.broken.mark(claim);
        }
        world.broken.mark_unless(
            decided.write.is_none() || decided.subject.tenant == decided.route,
            Claim::I04,
        );
        if let (Some(_), Effect::Complete(done), Some(host)) =
            (&decided.write, &decided.effect, decided.host)
        {
            // As of the commit, not only of the load: the condition covers the settings.
            let now = world.decided(decided.route);
            let channel = done.grant.channel();
            let needed = is_exempt(&done.grant) && required(&now, host, channel);
            world.broken.mark_unless(!needed, Claim::I28);
            if let SecondFactor::Code { method } = done.grant.second_factor() {
                world.broken.mark_unless(now.methods.allow(*method), Claim::I50);
            }
        }
        if answered {
            self.judge(world, decided);
        }
        self.charge(world, decided, answered);
        if decided.write.is_some() || decided.begins() {
            check_counts(world, decided);
        }
    }

    /// The store's conditional write.
    fn commit(&self, world: &mut World, decided: &Decided) -> bool {
        let Some(write) = &decided.write else { return true };
        let Subject { tenant, .. } = decided.subject;
        let version = |row: Option<&Row>| row.map(|row| row.0.version);
        let settings = version(world.settings.get(&tenant)) == write.settings;
        let record = version(world.records.get(&decided.subject)) == write.record;
        let holds = match self.fault {
            Fault::Unconditional => true,
            Fault::ResetUnconditional if matches!(decided.step, Step::Reset { .. }) => true,
            Fault::SettingsNotInTheCondition => record,
            _ => settings && record,
        };
        if holds {
            if world.purged.contains(&tenant) && write.next.0.generation < world.generation(tenant)
            {
                world.broken.mark(Claim::I27);
            }
            world.records.insert(decided.subject, write.next.clone());
            *world.draws.entry(decided.subject).or_default() += 1;
        }
        holds
    }

    /// What the ledger makes of a decision that is written.
    fn charge(&self, world: &mut World, decided: &Decided, answered: bool) {
        let Decided { step, subject, at, host, effect, slot, .. } = decided;
        let inactive = host.is_none_or(|host| !host.active);
        if decided.begins() {
            self.charge_password(world, decided);
            if inactive {
                note_all_over(world, *subject);
            }
        } else if matches!(step, Step::SingleSignOn { .. }) {
            world.ledger(*subject).meet(*host);
            if inactive {
                note_all_over(world, *subject);
            }
        } else if inactive && decided.found && decided.continues() {
            note_all_over(world, *subject);
        }
        let life = world.life(*subject);
        match effect {
            Effect::Refused(reason) => Self::charge_refusal(world, decided, *reason),
            Effect::Complete(done) => {
                world.over.insert(done.grant.login());
                let ledger = world.ledger(*subject);
                match step {
                    Step::Code { .. } => ledger.codes.succeed(),
                    Step::Backup { .. } => {
                        ledger.used_paper = ledger.paper.take();
                        ledger.paper.clone_from(&done.backup);
                    }
                    _ => {}
                }
                if let (Some((token, id)), Some(host)) = (&done.device, host) {
                    let gadget = Gadget {
                        subject: *subject,
                        id: *id,
                        token: token.clone(),
                        life,
                        password: host.password,
                        registered: *at,
                        dead: false,
                        ended: false,
                    };
                    world.devices.push(gadget);
                }
                if let (true, Some(nth)) = (answered, step.slot()) {
                    world.sessions[nth] = Some(Self::session(world, decided, done));
                }
            }
            Effect::Open { login, token, code } => {
                let code = code.as_ref().ok().map(|(text, method)| Shown {
                    text: text.clone(),
                    issued: *at,
                    sent: answered,
                    method: *method,
                });
                let nth = step.slot().unwrap();
                if let Step::Resend { .. } = step {
                    if let Some(slot) =
                        world.slots[nth].as_mut().filter(|slot| slot.login == *login)
                    {
                        slot.earlier = slot.code.take().map(|code| code.text);
                        slot.code = code;
                        slot.sends += 1;
                    }
                } else if answered {
                    let settings = self
                        .wanted
                        .is_some()
                        .then(|| world.settings.get(&subject.tenant).cloned())
                        .flatten();
                    world.slots[nth] = Some(Slot {
                        subject: *subject,
                        login: *login,
                        token: *token,
                        begun: *at,
                        life,
                        host: host.unwrap(),
                        sends: u32::from(code.is_some()),
                        code,
                        earlier: None,
                        wrong: 0,
                        wrong_backup: 0,
                        single_sign_on: matches!(step, Step::SingleSignOn { .. }),
                        settings,
                    });
                }
            }
            Effect::Cancelled => world.over.extend(slot.as_ref().map(|slot| slot.login)),
            Effect::BackupMade(code) => {
                let ledger = world.ledger(*subject);
                ledger.used_paper = ledger.paper.replace(code.clone()).or(ledger.used_paper.take());
            }
            Effect::SetupStarted { token, code } => {
                let session = world.sessions[step.slot().unwrap()].as_ref().unwrap();
                let code =
                    Shown { text: code.clone(), issued: *at, sent: answered, method: Method::Sms };
                let login = session.grant.login();
                world.proof = Some(Proof {
                    subject: *subject,
                    token: *token,
                    login,
                    life,
                    code,
                    over: false,
                });
            }
            Effect::MethodChanged => {
                note_all_over(world, *subject);
                let ledger = world.ledger(*subject);
                ledger.setups.succeed();
                ledger.sms = true;
            }
            Effect::DevicesRevoked(which) => {
                let own = world.devices.iter_mut().filter(|gadget| gadget.subject == *subject);
                own.filter(|gadget| which.is_none_or(|id| gadget.id == id))
                    .for_each(|gadget| gadget.dead = true);
            }
            Effect::Unlocked => lift(world.ledger(*subject), *at),
            Effect::Reset { .. } => world.ledger(*subject).reset(*at),
            Effect::Damaged => {}
        }
    }

    fn charge_refusal(world: &mut World, decided: &Decided, reason: Reason) {
        let at = decided.at;
        let ledger = world.ledger(decided.subject);
        match (reason, decided.step) {
            (Reason::WrongCode, Step::ConfirmSetup { .. }) => {
                ledger.setups.charge(at, Budget::codes());
            }
            (Reason::WrongCode, _) => {
                ledger.codes.charge(at, Budget::codes());
                if let Some(slot) = guessed_in(world, decided) {
                    slot.wrong += 1;
                }
            }
            (Reason::WrongBackupCode, _) => {
                if let Some(slot) = guessed_in(world, decided) {
                    slot.wrong_backup += 1;
                }
            }
            // What unlocking could lift is lifted even if that is not enough.
            (Reason::ResetRequired, _) => lift(ledger, at),
            _ => {}
        }
    }

    fn charge_password(&self, world: &mut World, decided: &Decided) {
        let right =
            self.knows(decided.step, decided.host) && decided.host.is_some_and(|host| host.active);
        let by_device = decided.host.is_some_and(|host| by_device(world, decided, host));
        let ledger = world.ledger(decided.subject);
        ledger.meet(decided.host);
        let passwords =
            if by_device { &mut ledger.device_passwords } else { &mut ledger.passwords };
        if passwords.open(decided.at, Budget::passwords()) {
            if right {
                passwords.succeed();
            } else {
                passwords.charge(decided.at, Budget::passwords());
            }
        }
    }

    /// Whether the machine says that a session holds.
    pub(super) fn stands(&self, world: &World, session: &Session) -> bool {
        let subject = session.subject;
        let seen = self.session_host(world.hosts.get(&subject).copied(), session.host);
        let user = seen.map(|host| self.names.person(subject, host));
        let mut snapshot = world.snapshot(subject);
        self.tamper_with_load(world, Step::Unlock { subject }, &mut snapshot);
        let dice = Dice::new(0, 0);
        let (tenant, id) = (self.names.tenant(subject.tenant), self.names.user(subject.person));
        let draft = Draft::open(&Opening {
            rules: &self.rules,
            entropy: &dice,
            requests: None,
            call: Call::without_request(tenant),
            user_id: id,
            user: user.as_ref(),
            snapshot: &snapshot,
            now: timestamp(world.now),
            damage: Damage::Fails,
        });
        let channels = [session.grant.channel()];
        draft
            .and_then(|draft| {
                draft.standing(&StandardPolicy, user.as_ref(), &session.grant, &channels)
            })
            .is_ok_and(|standing| standing.is_ok())
    }

    /// A node that reads format 1 alone decides: on a later one it must fail, and write nothing.
    fn act_as_an_old_node(&self, world: &mut World, step: Step) {
        let decided = self.decide_reading(world, step, 1);
        let newer = |row: Option<&Row>| {
            row.is_some_and(|row| row.0.document.starts_with(r#"{"format":2,"#))
        };
        let generation = world.generation(decided.route);
        let record = world.records.get(&decided.subject);
        let unreadable = newer(world.settings.get(&decided.route))
            || newer(record.filter(|row| row.0.generation == generation));
        if unreadable {
            self.saw(Mark::OldNodeRefused);
            let refused = decided.effect == Effect::Damaged && decided.write.is_none();
            return world.broken.mark_unless(refused, Claim::I41);
        }
        self.finish(world, &decided, true);
    }

    /// One batch of one record.
    fn purge(&self, world: &mut World, tenant: Tenant) {
        let generation = world.generation(tenant);
        let earlier = |(subject, row): (&Subject, &Row)| {
            (subject.tenant == tenant && row.0.generation < generation).then_some(*subject)
        };
        let found = world
            .records
            .iter()
            .find_map(earlier)
            .filter(|_| self.fault != Fault::PurgeDeletesNothing);
        if let Some(subject) = found {
            world.records.remove(&subject);
        } else {
            self.saw(Mark::Purged);
            let left = world.records.iter().find_map(earlier).is_some();
            world.broken.mark_unless(!left, Claim::I27);
            world.purged.insert(tenant);
        }
    }

    /// What a sweep decides on.
    fn look(&self, world: &mut World, subject: Subject) {
        let mut snapshot = world.snapshot(subject);
        self.tamper_with_sweep(&mut snapshot);
        let longest = if self.fault == Fault::SweepForgetsSessions {
            Duration::ZERO
        } else {
            self.longest_session
        };
        world.spent = match worth(&self.rules, &snapshot, timestamp(world.now), longest) {
            Retention::Nothing(version) => Some((subject, version)),
            _ => None,
        };
    }

    /// The store's conditional deletion. No ledger hears of it: everything goes on as if nothing
    /// had been deleted.
    fn sweep(&self, world: &mut World) {
        let Some((subject, version)) = world.spent.take() else { return };
        let found = world.records.get(&subject).is_some_and(|row| row.0.version == version);
        if found || self.fault == Fault::SweepUnconditional {
            self.saw(Mark::Swept);
            world.records.remove(&subject);
            // The application has ended these.
            let over = |session: &Session| world.now >= session.at + ms(self.longest_session);
            let own = world
                .sessions
                .iter_mut()
                .filter(|it| it.as_ref().is_some_and(|it| it.subject == subject && over(it)));
            own.for_each(|session| *session = None);
        } else {
            self.saw(Mark::WrittenMeanwhile);
        }
    }
}

/// The saved settings of a tenant.
pub(super) fn settings_of(world: &World, tenant: Tenant) -> Settings {
    Settings::read(world.settings.get(&tenant).map(|row| &*row.0), READS).unwrap()
}

fn host(world: &mut World, subject: Subject, change: impl FnOnce(&mut Host)) {
    change(world.hosts.get_mut(&subject).unwrap());
}

/// The method changed, or the user was seen disabled: logins in flight, devices and proofs of this
/// user end.
fn note_all_over(world: &mut World, subject: Subject) {
    let logins =
        world.slots.iter().flatten().filter(|slot| slot.subject == subject).map(|slot| slot.login);
    world.over.extend(logins);
    world
        .devices
        .iter_mut()
        .filter(|gadget| gadget.subject == subject)
        .for_each(|gadget| gadget.dead = true);
    world
        .proof
        .iter_mut()
        .filter(|proof| proof.subject == subject)
        .for_each(|proof| proof.over = true);
}

/// The login that a wrong secret was charged to, if the browser still has it.
fn guessed_in<'w>(world: &'w mut World, decided: &Decided) -> Option<&'w mut Slot> {
    let guessed = decided.slot.as_ref()?.login;
    world.slots[decided.step.slot()?].as_mut().filter(|slot| slot.login == guessed)
}

fn lift(ledger: &mut Ledger, at: u64) {
    for account in
        [&mut ledger.passwords, &mut ledger.device_passwords, &mut ledger.codes, &mut ledger.setups]
    {
        account.lift(at);
    }
}

/// The saved counts are those of the ledger (`I-10`, `I-13`, `I-16`, `I-17`).
fn check_counts(world: &mut World, decided: &Decided) {
    let subject = decided.subject;
    let generation = world.generation(subject.tenant);
    let row = world.records.get(&subject).filter(|row| row.0.generation >= generation);
    let stored: Stored =
        row.map(|row| serde_json::from_str(row.0.document.as_str()).unwrap()).unwrap_or_default();
    let ledger = world.ledger(subject).clone();
    let passwords = if subject.person == Person::Nobody { Claim::I17 } else { Claim::I16 };
    let codes = if decided.begins() { Claim::I13 } else { Claim::I10 };
    world.broken.mark_unless(stored.password.failures.streak == ledger.passwords.row, passwords);
    world.broken.mark_unless(stored.code_failures.streak == ledger.codes.row, codes);
    world.broken.mark_unless(
        stored.password.device_failures.streak == ledger.device_passwords.row,
        Claim::I16,
    );
    world.broken.mark_unless(stored.setup_failures.streak == ledger.setups.row, Claim::I10);
    world.broken.mark_unless(stored.pending.len() <= PENDING, Claim::I06);
}
