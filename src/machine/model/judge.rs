//! What must hold when an answer leaves: the ledger and the host's table against what the machine
//! said.

use super::ledger::{Budget, Claim, Mark};
use super::scenario::Scenario;
use super::stand_ins::{
    CODE_TTL, DEVICE_LIFETIME, LOCK_AFTER, LOGIN_TTL, RECENT_LOGIN, SENDS_PER_DAY, SENDS_PER_HOUR,
    SENDS_PER_LOGIN, SPACING,
};
use super::step::{Decided, Done, Effect, Paper, Presented, Step, Typed, is_exempt};
use super::world::{By, Gadget, Host, Session, Slot, Subject, World, ms};
use crate::contact::Method;
use crate::grant::SecondFactor;
use crate::policy::{Channel, Scope, SingleSignOn};
use crate::reason::Reason;
use crate::tenant::TenantSettings;

/// The behaviour table: who needs the second factor, at a browser and after single sign-on.
pub(super) fn required(decided: &TenantSettings, host: Host, channel: Channel) -> bool {
    if channel == Channel::SingleSignOn {
        return decided.single_sign_on == SingleSignOn::SystemAdministrators && host.administrator;
    }
    match decided.scope {
        Scope::DoNotUse => false,
        Scope::EntireTenant => true,
        Scope::SystemAdministratorsOnly => host.administrator,
    }
}

impl Scenario {
    /// Holds an answer that leaves against the ledger.
    pub(super) fn judge(&self, world: &mut World, decided: &Decided) {
        self.mark_answer(world, decided);
        world.broken.mark_unless(decided.effect != Effect::Damaged, Claim::I37);
        if let Effect::Complete(done) = &decided.effect {
            let own = *done.grant.tenant() == *self.names.tenant(decided.route)
                && *done.grant.user() == *self.names.user(decided.subject.person);
            world.broken.mark_unless(own, Claim::I03);
            if decided.slot.as_ref().is_some_and(|slot| slot.single_sign_on) && decided.continues()
            {
                judge_claims(world, done);
            }
        }
        match decided.step {
            Step::Begin { .. } | Step::Unknown { .. } => self.judge_begin(world, decided),
            Step::SingleSignOn { .. } => self.judge_single_sign_on(world, decided),
            Step::Code { typed, .. } => self.judge_code(world, decided, typed),
            Step::Backup { typed, .. } => Self::judge_backup(world, decided, typed),
            Step::Resend { .. } => {
                world
                    .broken
                    .mark_unless(!matches!(decided.effect, Effect::Complete(_)), Claim::I02);
                if let (Effect::Open { code: Ok(_), .. }, Some(slot)) =
                    (&decided.effect, &decided.slot)
                {
                    world
                        .broken
                        .mark_unless(Self::alive(world, decided, slot).is_none(), Claim::I15);
                    world.broken.mark_unless(slot.sends < SENDS_PER_LOGIN, Claim::I15);
                    let spaced = slot
                        .code
                        .as_ref()
                        .is_none_or(|code| decided.at >= code.issued + ms(SPACING));
                    world.broken.mark_unless(spaced, Claim::I15);
                    Self::judge_send(world, decided);
                    judge_destination(world, decided);
                }
            }
            Step::NewBackup { slot }
            | Step::RevokeDevice { slot, .. }
            | Step::RevokeDevices { slot } => {
                if !matches!(decided.effect, Effect::Refused(_)) {
                    let allowed = Self::recent(world, decided, slot);
                    world.broken.mark_unless(allowed, Claim::I32);
                }
            }
            Step::StartSetup { slot } => {
                if matches!(decided.effect, Effect::SetupStarted { .. }) {
                    let allowed = Self::recent(world, decided, slot);
                    world.broken.mark_unless(allowed, Claim::I32);
                    Self::judge_send(world, decided);
                }
            }
            Step::ConfirmSetup { slot, typed } => Self::judge_confirm(world, decided, slot, typed),
            Step::Reset { .. } => {
                let refills = world.ledger(decided.subject).may_refill(decided.at);
                world
                    .broken
                    .mark_unless(decided.effect == Effect::Reset { refilled: refills }, Claim::I26);
            }
            Step::Cancel { .. } | Step::Unlock { .. } => {}
        }
    }

    fn judge_begin(&self, world: &mut World, decided: &Decided) {
        let Decided { step, subject, at, host, effect, .. } = decided;
        let password = self.knows(*step, *host);
        let (device, by) = match *step {
            Step::Begin { slot, device, .. } => (device, self.seats[slot].0),
            _ => (Presented::Nothing, By::Attacker),
        };
        let counted =
            if subject.person == super::world::Person::Nobody { Claim::I17 } else { Claim::I16 };
        let Some(host) = host.filter(|host| password && host.active) else {
            // Whatever was wrong, the answer is the same.
            let claim = if matches!(effect, Effect::Refused(_)) { counted } else { Claim::I01 };
            return world
                .broken
                .mark_unless(*effect == Effect::Refused(Reason::InvalidCredentials), claim);
        };
        let trusted = match device {
            Presented::Device(nth) => {
                dead_device(world, decided, &world.devices[nth], host).map_or(Ok(()), Err)
            }
            Presented::PendingOf(_) => Err(Claim::I02),
            Presented::Nothing => Err(Claim::I01),
        };
        let ledger = world.ledger(*subject);
        let strangers = ledger.passwords_of(Some(host)).open(*at, Budget::passwords());
        let open = if trusted.is_ok() {
            ledger.device_passwords.open(*at, Budget::passwords())
        } else {
            strangers
        };
        if !open {
            return world
                .broken
                .mark_unless(*effect == Effect::Refused(Reason::InvalidCredentials), Claim::I16);
        }
        world
            .broken
            .mark_unless(*effect != Effect::Refused(Reason::InvalidCredentials), Claim::I16);
        if !strangers {
            self.saw(Mark::DevicePastLock);
        }
        if !required(&decided.settings, host, Channel::Web) {
            let exempt = matches!(effect, Effect::Complete(done) if is_exempt(&done.grant));
            return world.broken.mark_unless(exempt, Claim::I28);
        }
        match (effect, trusted) {
            (Effect::Complete(done), _) if is_exempt(&done.grant) => world.broken.mark(Claim::I28),
            (Effect::Complete(done), Err(claim)) => {
                world.broken.mark(
                    if matches!(done.grant.second_factor(), SecondFactor::TrustedDevice { .. }) {
                        claim
                    } else {
                        Claim::I01
                    },
                );
            }
            (Effect::Complete(_), Ok(())) => world.broken.mark_unless(by == By::Owner, Claim::I29),
            // Not even a suspension keeps its owner out: a device cannot be guessed (I-11).
            (_, Ok(())) => world.broken.mark(Claim::I29),
            (_, Err(_)) => {}
        }
        let ledger = world.ledger(*subject);
        let (has_paper, codes_open) =
            (ledger.paper.is_some(), ledger.codes.open(*at, Budget::codes()));
        let suspended = ledger.codes.suspended(Budget::codes());
        match effect {
            Effect::Open { code: Ok(_), .. } => {
                world.broken.mark_unless(codes_open, Claim::I15);
                Self::judge_send(world, decided);
                judge_destination(world, decided);
            }
            Effect::Refused(reason @ (Reason::CodesLocked | Reason::Suspended)) => {
                world.broken.mark_unless(!has_paper, Claim::I14);
                world.broken.mark_unless(!codes_open, Claim::I10);
                world.broken.mark_unless(suspended == (*reason == Reason::Suspended), Claim::I10);
            }
            _ => {}
        }
    }

    fn judge_single_sign_on(&self, world: &mut World, decided: &Decided) {
        let Some(host) = decided.host.filter(|host| host.active) else {
            let refused = decided.effect == Effect::Refused(Reason::InvalidCredentials);
            return world.broken.mark_unless(refused, Claim::I25);
        };
        let needed = required(&decided.settings, host, Channel::SingleSignOn);
        match &decided.effect {
            Effect::Complete(done) => {
                let exempt = is_exempt(&done.grant);
                world.broken.mark_unless(exempt, Claim::I43);
                world.broken.mark_unless(!(exempt && needed), Claim::I28);
                judge_claims(world, done);
            }
            Effect::Open { code, .. } => {
                self.saw(Mark::AfterSingleSignOn);
                world.broken.mark_unless(needed, Claim::I28);
                if code.is_ok() {
                    Self::judge_send(world, decided);
                    judge_destination(world, decided);
                }
            }
            // A password lock has no part in it.
            Effect::Refused(Reason::InvalidCredentials) => world.broken.mark(Claim::I43),
            _ => {}
        }
    }

    /// Why a login in flight must not go on, if it must not.
    fn alive(world: &World, decided: &Decided, slot: &Slot) -> Option<Claim> {
        let life = world.life(slot.subject);
        let routed = Subject { tenant: decided.route, ..decided.subject };
        if slot.subject != routed {
            Some(Claim::I03)
        } else if world.over.contains(&slot.login) {
            Some(Claim::I05)
        } else if life.resets != slot.life.resets {
            Some(Claim::I26)
        } else if life.offs != slot.life.offs {
            Some(Claim::I27)
        } else if !decided
            .host
            .is_some_and(|host| host.active && host.password == slot.host.password)
        {
            Some(Claim::I25)
        } else {
            (decided.at >= slot.begun + ms(LOGIN_TTL)).then_some(Claim::I07)
        }
    }

    fn judge_code(&self, world: &mut World, decided: &Decided, typed: Typed) {
        let Decided { at, effect, .. } = decided;
        let slot = decided.slot.as_deref().unwrap();
        let (by, _) = self.seats[decided.step.slot().unwrap()];
        let over = Self::alive(world, decided, slot);
        let live = slot.code.as_ref().is_some_and(|code| *at < code.issued + ms(CODE_TTL));
        let usable = live && slot.wrong < LOCK_AFTER;
        let codes = &mut world.ledger(slot.subject).codes;
        let open = codes.open(*at, Budget::codes());
        let suspended = codes.suspended(Budget::codes());
        if let Effect::Refused(reason) = effect {
            if *reason == Reason::WrongCode {
                let spent = codes.learn(*at, Budget::codes(), false);
                let too_many = slot.wrong >= LOCK_AFTER;
                let ever = world.ledger(slot.subject).guess(*at);
                world.broken.mark_any(spent);
                world.broken.mark_any(ever);
                world.broken.mark_unless(!too_many, Claim::I09);
            }
            let allowed =
                slot.code.as_ref().is_some_and(|code| decided.settings.methods.allow(code.method));
            if !allowed {
                self.saw(Mark::NotAllowed);
            }
            let accepted = typed == Typed::Right && over.is_none() && usable && open && allowed;
            world.broken.mark_unless(!accepted, Claim::I06);
            let locked = matches!(reason, Reason::CodesLocked | Reason::Suspended);
            world.broken.mark_unless(!(locked && open), Claim::I10);
            return;
        }
        let spent = codes.learn(*at, Budget::codes(), true);
        world.broken.mark_any(spent);
        world.broken.mark_any(over);
        world.broken.mark_unless(!suspended, Claim::I11);
        world.broken.mark_unless(open, Claim::I09);
        world.broken.mark_unless(live, Claim::I07);
        world.broken.mark_unless(slot.wrong < LOCK_AFTER, Claim::I09);
        match typed {
            // Whoever sees no message has no code.
            Typed::Right => world.broken.mark_unless(by == By::Owner, Claim::I01),
            Typed::Wrong => world.broken.mark(Claim::I01),
            Typed::Earlier => world.broken.mark(Claim::I06),
            Typed::OtherWindow | Typed::Setup => world.broken.mark(Claim::I03),
        }
        let by_code = matches!(effect, Effect::Complete(done) if matches!(done.grant.second_factor(), SecondFactor::Code { .. }));
        world.broken.mark_unless(by_code, Claim::I01);
    }

    fn judge_backup(world: &mut World, decided: &Decided, typed: Paper) {
        let Decided { at, effect, .. } = decided;
        let slot = decided.slot.as_deref().unwrap();
        let over = Self::alive(world, decided, slot);
        // A login whose code has ended may have made room for another.
        let sure = slot.code.as_ref().is_some_and(|code| *at < code.issued + ms(CODE_TTL))
            && slot.wrong < LOCK_AFTER;
        let has = world.ledger(slot.subject).paper.is_some();
        let open = slot.wrong_backup < LOCK_AFTER;
        if let Effect::Refused(reason) = effect {
            world.broken.mark_unless(open || *reason != Reason::WrongBackupCode, Claim::I14);
            let tolerated = *reason == Reason::LoginOver && !sure;
            let accepted = typed == Paper::Right && over.is_none() && open && has && !tolerated;
            let claim = if *reason == Reason::WrongBackupCode || *reason == Reason::NoBackupCode {
                Claim::I31
            } else {
                Claim::I14
            };
            world.broken.mark_unless(!accepted, claim);
            return;
        }
        world.broken.mark_any(over);
        world.broken.mark_unless(open, Claim::I14);
        match typed {
            Paper::Right => world.broken.mark_unless(has, Claim::I31),
            Paper::Wrong => world.broken.mark(Claim::I01),
            Paper::Used => world.broken.mark(Claim::I05),
            Paper::Ended => world.broken.mark(Claim::I42),
        }
        let shown = matches!(effect, Effect::Complete(done) if done.backup.is_some() && *done.grant.second_factor() == SecondFactor::BackupCode);
        world.broken.mark_unless(shown, Claim::I31);
    }

    /// A code goes out: within every window, and only while codes are accepted.
    fn judge_send(world: &mut World, decided: &Decided) {
        let (at, ledger) = (decided.at, world.ledger(decided.subject));
        let within = |span: u64| ledger.sent.iter().filter(|sent| at < **sent + span).count();
        let open = ledger.codes.open(at, Budget::codes());
        let fits = within(ms(SPACING)) < 2
            && within(3_600_000) < SENDS_PER_HOUR
            && within(86_400_000) < SENDS_PER_DAY;
        let ever = ledger.send(at);
        world.broken.mark_unless(fits && open, Claim::I15);
        world.broken.mark_any(ever);
    }

    fn judge_confirm(world: &mut World, decided: &Decided, slot: usize, typed: Typed) {
        let proof = world.proof.clone().unwrap();
        match &decided.effect {
            Effect::Refused(Reason::WrongCode) => {
                let spent =
                    world.ledger(decided.subject).setups.learn(decided.at, Budget::codes(), false);
                world.broken.mark_any(spent);
            }
            Effect::MethodChanged => {
                let recent = Self::recent(world, decided, slot);
                let live = decided.at < proof.code.issued + ms(CODE_TTL);
                world.broken.mark_unless(recent && typed == Typed::Right, Claim::I32);
                world.broken.mark_unless(!proof.over, Claim::I05);
                world.broken.mark_unless(live, Claim::I07);
                world.broken.mark_unless(proof.subject == decided.subject, Claim::I03);
                let now = world.life(proof.subject);
                world.broken.mark_unless(now.resets == proof.life.resets, Claim::I26);
                world.broken.mark_unless(now.offs == proof.life.offs, Claim::I27);
            }
            _ => {}
        }
    }

    /// Whether the session in this slot may change anything about the second factor.
    fn recent(world: &World, decided: &Decided, slot: usize) -> bool {
        world.sessions[slot].as_ref().is_some_and(|session| {
            let fresh = !session.exempt && session.device.is_none();
            let recent = decided.at < session.at + ms(RECENT_LOGIN);
            let host = decided.host.unwrap();
            fresh
                && recent
                && ends(world, session, host, &decided.settings).is_none()
                && required(&decided.settings, host, session.grant.channel())
        })
    }

    /// Every session is valid exactly as long as the host's table and the ledger say.
    pub(super) fn judge_sessions(&self, world: &mut World) {
        for session in world.sessions.clone().into_iter().flatten() {
            let host = world.hosts[&session.subject];
            let must_end = ends(world, &session, host, &world.decided(session.subject.tenant));
            let valid = self.stands(world, &session);
            match (must_end, valid) {
                (Some(claim), true) => world.broken.mark(claim),
                (None, false) => world.broken.mark(Claim::I25),
                (Some(_), false) => self.saw(Mark::SessionEnded),
                (None, true) => {}
            }
        }
    }

    fn mark_answer(&self, world: &World, decided: &Decided) {
        let mark = match &decided.effect {
            Effect::Complete(done) => match done.grant.second_factor() {
                SecondFactor::Code { .. } => Mark::ByCode,
                SecondFactor::BackupCode => {
                    let codes = world.ledgers.get(&decided.subject).map(|ledger| &ledger.codes);
                    if codes.is_some_and(|codes| codes.suspended(Budget::codes())) {
                        self.saw(Mark::BackupWhileSuspended);
                    } else if codes.is_some_and(|codes| !codes.open(decided.at, Budget::codes())) {
                        self.saw(Mark::BackupWhileLocked);
                    }
                    Mark::ByBackupCode
                }
                SecondFactor::TrustedDevice { .. } => Mark::ByDevice,
                SecondFactor::Exempt { .. } => Mark::Exempt,
            },
            Effect::Open { code: Err(Reason::SendLimit), .. }
            | Effect::Refused(Reason::SendLimit) => Mark::SendLimit,
            Effect::Open { .. }
                if matches!(decided.step, Step::Begin { device: Presented::Device(_), .. }) =>
            {
                Mark::DeviceRefused
            }
            Effect::Open { code: Err(Reason::CodesLocked), .. }
            | Effect::Refused(Reason::CodesLocked) => {
                let codes = world.ledgers.get(&decided.subject).map(|ledger| &ledger.codes);
                if codes.is_some_and(|codes| decided.at >= codes.locked_until) {
                    Mark::RolledOver
                } else {
                    Mark::CodesLocked
                }
            }
            Effect::Refused(Reason::WrongCode) => Mark::WrongCode,
            Effect::Refused(Reason::WrongBackupCode) => Mark::WrongBackupCode,
            Effect::Refused(Reason::Suspended) => Mark::Suspended,
            Effect::Refused(Reason::LoginBackupCodeLimit) => Mark::BackupLimit,
            Effect::Refused(Reason::LoginSendLimit) => Mark::LoginSendLimit,
            Effect::Refused(Reason::TooManyLogins) => Mark::TooManyLogins,
            Effect::Refused(Reason::LoginOver) => Mark::LoginOver,
            Effect::Refused(Reason::NoLiveCode) => Mark::NoLiveCode,
            Effect::Refused(Reason::InvalidCredentials) => {
                let locked = world
                    .ledgers
                    .get(&decided.subject)
                    .is_some_and(|it| decided.at < it.passwords_of(decided.host).locked_until);
                if locked { Mark::PasswordLocked } else { Mark::InvalidCredentials }
            }
            Effect::MethodChanged => Mark::MethodChanged,
            Effect::Unlocked => Mark::Unlocked,
            Effect::Reset { refilled: true } => Mark::Refilled,
            Effect::Reset { refilled: false } => Mark::BudgetsKept,
            _ => return,
        };
        self.saw(mark);
    }

    /// The session that a grant begins.
    pub(super) fn session(world: &World, decided: &Decided, done: &Done) -> Session {
        let device = match done.grant.second_factor() {
            SecondFactor::TrustedDevice { device } => {
                world.devices.iter().position(|gadget| gadget.id == *device)
            }
            _ => None,
        };
        Session {
            subject: decided.subject,
            life: world.life(decided.subject),
            host: decided.host.unwrap(),
            at: decided.at,
            device,
            exempt: is_exempt(&done.grant),
            grant: done.grant.clone(),
        }
    }
}

/// What a grant after single sign-on must not claim or hand out.
fn judge_claims(world: &mut World, done: &Done) {
    let claims = done.grant.amr().contains(&"pwd");
    let by_device = matches!(done.grant.second_factor(), SecondFactor::TrustedDevice { .. });
    let own = done.grant.channel() == Channel::SingleSignOn;
    world.broken.mark_unless(own && !claims && !by_device && done.device.is_none(), Claim::I43);
}

/// A login's code goes to a number only if that was proved.
fn judge_destination(world: &mut World, decided: &Decided) {
    if let Effect::Open { code: Ok((_, method)), .. } = decided.effect {
        let proved = world.ledger(decided.subject).sms;
        let methods = decided.settings.methods;
        world.broken.mark_unless((method == Method::Sms) == (proved && methods.sms), Claim::I32);
        world.broken.mark_unless(methods.allow(method), Claim::I50);
    }
}

/// Whether a password is counted among those beside a trusted device.
pub(super) fn by_device(world: &World, decided: &Decided, host: Host) -> bool {
    match decided.step {
        Step::Begin { device: Presented::Device(nth), .. } => {
            dead_device(world, decided, &world.devices[nth], host).is_none()
        }
        _ => false,
    }
}

/// Why a device must not be trusted, if it must not.
fn dead_device(world: &World, decided: &Decided, gadget: &Gadget, host: Host) -> Option<Claim> {
    let life = world.life(gadget.subject);
    if gadget.subject != decided.subject || decided.at >= gadget.registered + ms(DEVICE_LIFETIME) {
        Some(Claim::I29)
    } else if life.resets != gadget.life.resets {
        Some(Claim::I26)
    } else if life.offs != gadget.life.offs {
        Some(Claim::I27)
    } else if gadget.ended {
        Some(Claim::I42)
    } else {
        (gadget.dead || gadget.password != host.password).then_some(Claim::I30)
    }
}

/// Why a session must end, if it must.
fn ends(world: &World, session: &Session, host: Host, decided: &TenantSettings) -> Option<Claim> {
    let life = world.life(session.subject);
    if !host.active || host.password != session.host.password {
        return Some(Claim::I25);
    }
    if !required(decided, host, session.grant.channel()) {
        return None;
    }
    if session.exempt {
        return Some(Claim::I28);
    }
    if life.resets != session.life.resets {
        return Some(Claim::I26);
    }
    if life.offs != session.life.offs {
        return Some(Claim::I27);
    }
    let gadget = &world.devices[session.device?];
    if gadget.ended {
        return Some(Claim::I42);
    }
    (gadget.dead || world.now >= gadget.registered + ms(DEVICE_LIFETIME)).then_some(Claim::I30)
}
