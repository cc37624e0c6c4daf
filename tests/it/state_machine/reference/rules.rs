//! The rules themselves: what each act leads to.

use countersign::grant::Staleness;
use countersign::{Method, Reason, Scope};

use super::{
    Act, Answer, CODE_TTL, CODES, DAY, DEVICE_LIFETIME, DEVICES, Device, Door, Factor, Gate, HOUR,
    How, LOCK, LOGIN_TTL, Login, MONTH, PASSWORDS, PENDING, Proof, RECENT, REFILLS, Reference,
    SENDS_PER_DAY, SENDS_PER_HOUR, SENDS_PER_LOGIN, SPACING, Session, To, Typed, WRONG_CODES, Who,
    Why,
};

impl Reference {
    pub(super) fn factor(&mut self, who: Who) -> &mut Factor {
        let (made, password) = (&mut self.factors_made, self.hosts[&who].password);
        self.factors.entry(who).or_insert_with(|| {
            *made += 1;
            Factor { id: *made, password, ..Factor::default() }
        })
    }

    /// Why this person needs no second factor through this door, if they need none.
    fn exempt(&self, who: Who, door: Door) -> Option<Why> {
        match (door, self.scopes[&who.0]) {
            (Door::SingleSignOn | Door::Integration | Door::Api, _) => {
                Some(Why::NotInteractive(door))
            }
            (_, Scope::DoNotUse) => Some(Why::ScopeOff),
            (_, Scope::SystemAdministratorsOnly) if !self.hosts[&who].administrator => {
                Some(Why::NotAdministrator)
            }
            (_, Scope::SystemAdministratorsOnly | Scope::EntireTenant) => None,
        }
    }

    /// What has ended by now.
    pub fn expire(&mut self, who: Who) {
        let now = self.now;
        let Self { factors, logins, devices, proofs, .. } = self;
        let Some(factor) = factors.get_mut(&who) else { return };
        factor.pending.retain(|login| now < logins[*login].begun + LOGIN_TTL);
        for login in &factor.pending {
            logins[*login].code.take_if(|made| now >= *made + CODE_TTL);
        }
        factor.devices.retain(|device| now < devices[*device].registered + DEVICE_LIFETIME);
        factor.proof.take_if(|proof| now >= proofs[*proof].made + CODE_TTL);
    }

    /// The user was seen disabled, or with another password: what would let them in without a code
    /// is gone.
    fn end_all(&mut self, who: Who) {
        let factor = self.factor(who);
        factor.pending.clear();
        factor.devices.clear();
        factor.proof = None;
    }

    pub(super) fn begin(
        &mut self,
        who: Who,
        door: Door,
        right: bool,
        device: Option<usize>,
    ) -> Answer {
        let (now, host) = (self.now, self.hosts[&who].clone());
        if self.factor(who).password != host.password {
            let factor = self.factor(who);
            factor.password = host.password;
            factor.passwords.succeed();
            factor.device_passwords.succeed();
            self.end_all(who);
        }
        let devices = self.factor(who).devices.clone();
        if !host.active {
            self.end_all(who);
        }
        let known = self.same_password(who);
        let factor = self.factor(who);
        // A disabled user's devices are gone by now, but the budget is the one of the device that
        // asked.
        let device = device.filter(|device| known && devices.contains(device));
        let passwords =
            if device.is_some() { &mut factor.device_passwords } else { &mut factor.passwords };
        if passwords.gate(now, PASSWORDS) != Gate::Open {
            return Answer::Denied(Reason::InvalidCredentials);
        }
        if !(right && host.active) {
            passwords.charge(now, PASSWORDS);
            return Answer::Denied(Reason::InvalidCredentials);
        }
        passwords.succeed();
        if let Some(why) = self.exempt(who, door) {
            return self.enter(who, door, How::Exempt(why), 0);
        }
        if let Some(device) = device {
            self.devices[device].used = now;
            return self.enter(who, door, How::Device, device);
        }
        let factor = self.factor(who);
        let codes = factor.codes.gate(now, CODES);
        if factor.backup.is_none()
            && let Err(answer) = closed(codes, Reason::CodesLocked)
        {
            return answer;
        }
        if factor.pending.len() >= PENDING {
            let pending = factor.pending.clone();
            let idle = pending.iter().copied().filter(|login| self.logins[*login].code.is_none());
            let Some(oldest) = idle.min_by_key(|login| self.logins[*login].begun) else {
                return Answer::Denied(Reason::TooManyLogins);
            };
            self.drop_login(oldest);
        }
        let login = self.logins.len();
        self.logins.push(Login {
            who,
            door,
            begun: now,
            code: None,
            replaced: false,
            via: None,
            wrong: 0,
            wrong_backup: 0,
            sends: 0,
        });
        let method = self.method(who);
        if codes == Gate::Open && self.may_send(who, None) {
            self.send(login, method);
        }
        self.factor(who).pending.push(login);
        let sent = self.logins[login].via;
        Answer::Asked { sent, left: self.left(login) }
    }

    fn method(&mut self, who: Who) -> Method {
        if self.factor(who).sms { Method::Sms } else { Method::Email }
    }

    /// Whether the user gets another code now, in this login if it is one that goes on.
    fn may_send(&mut self, who: Who, login: Option<usize>) -> bool {
        let now = self.now;
        let last = login.and_then(|login| self.logins[login].code);
        let spaced = last.is_none_or(|last| now >= last + SPACING);
        let sent = &self.factor(who).sent;
        let within = |span: u64| sent.iter().filter(|at| now < **at + span).count();
        spaced
            && within(SPACING) < 2
            && within(HOUR) < SENDS_PER_HOUR
            && within(DAY) < SENDS_PER_DAY
    }

    fn send(&mut self, login: usize, method: Method) {
        let now = self.now;
        let who = self.logins[login].who;
        self.factor(who).sent.push(now);
        self.sent += 1;
        let login = &mut self.logins[login];
        login.replaced |= login.via.is_some();
        login.code = Some(now);
        login.via = Some(method);
        login.sends += 1;
    }

    fn left(&mut self, login: usize) -> u32 {
        let (now, wrong, who) = (self.now, self.logins[login].wrong, self.logins[login].who);
        WRONG_CODES.saturating_sub(wrong).min(self.factor(who).codes.left(now, CODES))
    }

    fn enter(&mut self, who: Who, door: Door, how: How, device: usize) -> Answer {
        let (at, password, factor) = (self.now, self.hosts[&who].password, self.factor(who).id);
        self.sessions.push(Session { who, door, how, at, password, factor, device });
        Answer::In(how)
    }

    pub(super) fn drop_login(&mut self, login: usize) {
        let who = self.logins[login].who;
        self.factor(who).pending.retain(|other| *other != login);
    }

    /// Whether a login in flight may go on.
    pub(super) fn resume(&mut self, login: usize) -> Result<Who, Answer> {
        let who = self.logins[login].who;
        let (host, over) = (self.hosts[&who].clone(), Err(Answer::Denied(Reason::LoginOver)));
        if !self.factors.get(&who).is_some_and(|factor| factor.pending.contains(&login)) {
            return over;
        }
        if !host.active {
            self.end_all(who);
            return over;
        }
        if self.factor(who).password != host.password {
            self.drop_login(login);
            return over;
        }
        Ok(who)
    }

    fn codes_open(&mut self, who: Who) -> Result<(), Answer> {
        let now = self.now;
        closed(self.factor(who).codes.gate(now, CODES), Reason::CodesLocked)
    }

    pub(super) fn code(&mut self, login: usize, typed: Typed, trust: bool) -> Answer {
        let now = self.now;
        let who = match self.resume(login) {
            Ok(who) => who,
            Err(answer) => return answer,
        };
        if let Err(answer) = self.codes_open(who) {
            return answer;
        }
        if self.logins[login].code.is_none() {
            return Answer::Denied(Reason::NoLiveCode);
        }
        if typed != Typed::Right {
            let wrong = &mut self.logins[login].wrong;
            *wrong += 1;
            if *wrong >= WRONG_CODES {
                self.logins[login].code = None;
            }
            self.factor(who).codes.charge(now, CODES);
            return Answer::Wrong(Reason::WrongCode, self.left(login));
        }
        self.drop_login(login);
        self.factor(who).codes.succeed();
        if trust {
            self.trust(who);
        }
        let Login { door, via, .. } = self.logins[login];
        self.enter(who, door, How::Code(via.unwrap()), 0)
    }

    fn trust(&mut self, who: Who) {
        let now = self.now;
        let mut own = self.factor(who).devices.clone();
        while own.len() >= DEVICES {
            let oldest =
                own.iter().copied().min_by_key(|device| self.devices[*device].used).unwrap();
            own.retain(|device| *device != oldest);
        }
        own.push(self.devices.len());
        self.devices.push(Device { registered: now, used: now });
        self.factor(who).devices = own;
    }

    pub(super) fn resend(&mut self, login: usize, to: To) -> Answer {
        let who = match self.resume(login) {
            Ok(who) => who,
            Err(answer) => return answer,
        };
        if let Err(answer) = self.codes_open(who) {
            return answer;
        }
        let Login { sends, wrong, via, .. } = self.logins[login];
        if sends >= SENDS_PER_LOGIN || wrong >= WRONG_CODES {
            return Answer::Denied(Reason::LoginSendLimit);
        }
        let method = match to {
            To::Same => via.unwrap_or(self.method(who)),
            To::Email => Method::Email,
            To::Sms => Method::Sms,
        };
        if method == Method::Sms && !self.factor(who).sms {
            return Answer::Denied(Reason::NoPhoneNumber);
        }
        if !self.may_send(who, Some(login)) {
            return Answer::Denied(Reason::SendLimit);
        }
        self.send(login, method);
        Answer::Asked { sent: Some(method), left: self.left(login) }
    }

    pub(super) fn backup(&mut self, login: usize, typed: Typed) -> Answer {
        let who = match self.resume(login) {
            Ok(who) => who,
            Err(answer) => return answer,
        };
        let (successor, wrong) = (self.backups, self.logins[login].wrong_backup);
        let factor = self.factor(who);
        if wrong >= WRONG_CODES {
            return Answer::Denied(Reason::LoginBackupCodeLimit);
        }
        if factor.backup.is_none() {
            return Answer::Denied(Reason::NoBackupCode);
        }
        if typed != Typed::Right {
            self.logins[login].wrong_backup += 1;
            return Answer::Wrong(Reason::WrongBackupCode, WRONG_CODES - wrong - 1);
        }
        factor.backup = Some(successor);
        self.backups += 1;
        self.drop_login(login);
        self.enter(who, self.logins[login].door, How::BackupCode, 0)
    }

    /// Whether a session holds, used through this door, and whether its user needs the second
    /// factor there.
    pub(super) fn standing(&self, session: usize, door: Door) -> Result<bool, Staleness> {
        let Session { who, how, password, factor: id, device, .. } = self.sessions[session];
        let host = &self.hosts[&who];
        if !host.active {
            return Err(Staleness::UserInactive);
        }
        if host.password != password {
            return Err(Staleness::PasswordChanged);
        }
        if self.exempt(who, door).is_some() {
            return Ok(false);
        }
        let factor = self.factors.get(&who).filter(|factor| factor.id == id);
        match (how, factor) {
            (How::Exempt(_), _) => Err(Staleness::SecondFactorRequired),
            (_, None) => Err(Staleness::Reset),
            (How::Device, Some(factor)) if !factor.devices.contains(&device) => {
                Err(Staleness::DeviceRevoked)
            }
            _ => Ok(true),
        }
    }

    pub(super) fn authorized(
        &mut self,
        session: usize,
        change: impl FnOnce(&mut Self, usize) -> Answer,
    ) -> Answer {
        let Session { door, how, at, .. } = self.sessions[session];
        // Somebody sits at the page, however they came in; after single sign-on it is what that
        // asks.
        let door = match door {
            Door::Mobile | Door::SingleSignOn => door,
            _ => Door::Web,
        };
        let fresh = matches!(how, How::Code(_) | How::BackupCode);
        match self.standing(session, door) {
            Err(_) => Answer::Denied(Reason::SessionStale),
            Ok(false) => Answer::Denied(Reason::NotInUse),
            Ok(true) if !fresh || self.now >= at + RECENT => {
                Answer::Denied(Reason::ReauthenticationRequired)
            }
            Ok(true) => change(self, session),
        }
    }

    pub(super) fn new_backup(&mut self, session: usize) -> Answer {
        let (who, made) = (self.sessions[session].who, self.backups);
        self.factor(who).backup = Some(made);
        self.backups += 1;
        Answer::Done
    }

    pub(super) fn use_email(&mut self, session: usize) -> Answer {
        if self.sessions[session].how == How::Code(Method::Email) {
            return self.change_method(session, Method::Email);
        }
        self.prove(session, Method::Email)
    }

    pub(super) fn prove(&mut self, session: usize, method: Method) -> Answer {
        let (now, who) = (self.now, self.sessions[session].who);
        let setups = self.factor(who).setups.gate(now, CODES);
        if let Err(answer) = self.codes_open(who).and_then(|()| closed(setups, Reason::CodesLocked))
        {
            return answer;
        }
        if !self.may_send(who, None) {
            return Answer::Denied(Reason::SendLimit);
        }
        self.sent += 1;
        let proof = self.proofs.len();
        self.proofs.push(Proof { session, method, made: now, wrong: 0 });
        let factor = self.factor(who);
        factor.sent.push(now);
        factor.proof = Some(proof);
        Answer::Proving(method)
    }

    pub(super) fn confirm(&mut self, session: usize, proof: usize, right: bool) -> Answer {
        let (now, who) = (self.now, self.sessions[session].who);
        let Proof { session: started_in, method, wrong, .. } = self.proofs[proof];
        let factor = self.factor(who);
        if factor.proof != Some(proof) || started_in != session {
            return Answer::Denied(Reason::SetupOver);
        }
        if let Err(answer) = closed(factor.setups.gate(now, CODES), Reason::CodesLocked) {
            return answer;
        }
        if right {
            factor.setups.succeed();
            return self.change_method(session, method);
        }
        factor.setups.charge(now, CODES);
        let left = WRONG_CODES.saturating_sub(wrong + 1).min(factor.setups.left(now, CODES));
        if left == 0 {
            factor.proof = None;
        }
        self.proofs[proof].wrong += 1;
        Answer::Wrong(Reason::WrongCode, left)
    }

    fn change_method(&mut self, session: usize, method: Method) -> Answer {
        let who = self.sessions[session].who;
        self.end_all(who);
        self.factor(who).sms = method == Method::Sms;
        Answer::Changed(method)
    }

    /// Everything goes, but for the rolling budget and the sends once they were refilled often
    /// enough.
    pub(super) fn reset(&mut self, who: Who) -> Answer {
        let now = self.now;
        let before = self.factors.remove(&who).unwrap_or_default();
        let counted = before.refills.iter().filter(|at| now < **at + MONTH).count();
        let refilled = counted < REFILLS as usize;
        let factor = self.factor(who);
        factor.refills = before.refills;
        if refilled {
            factor.refills.push(now);
        } else {
            factor.codes = before.codes.window();
            factor.setups = before.setups.window();
            factor.sent = before.sent;
        }
        Answer::Reset { refilled }
    }

    pub(super) fn unlock(&mut self, who: Who) -> Answer {
        let now = self.now;
        let Some(factor) = self.factors.get_mut(&who) else { return Answer::Done };
        let budgets = [
            (&mut factor.passwords, PASSWORDS),
            (&mut factor.codes, CODES),
            (&mut factor.device_passwords, PASSWORDS),
            (&mut factor.setups, CODES),
        ];
        let mut open = true;
        for (failures, rule) in budgets {
            failures.locked_until = 0;
            open &= failures.gate(now, rule) == Gate::Open;
        }
        if open { Answer::Done } else { Answer::Denied(Reason::ResetRequired) }
    }

    /// What somebody does next who does not leave off: a guesser after the first lock, an owner
    /// whose device another session came by.
    pub fn pursuit(&self, who: Who) -> Option<Act> {
        let factor = self
            .factors
            .get(&who)
            .filter(|_| self.hosts[&who].active && self.exempt(who, Door::Web).is_none())?;
        let begin = Act::Begin { who, door: Door::Web, right: true, device: None };
        if factor.codes.row >= WRONG_CODES {
            let live =
                factor.pending.iter().copied().find(|login| self.logins[*login].code.is_some());
            return Some(match (factor.codes.gate(self.now, CODES), live) {
                (Gate::Locked, _) => Act::Wait(LOCK),
                (Gate::Open, Some(login)) => Act::Code { login, typed: Typed::Wrong, trust: false },
                (Gate::Open, None) if !self.now.is_multiple_of(2) => Act::Wait(SPACING),
                (Gate::Suspended, _) if !self.now.is_multiple_of(2) => Act::Unlock(who),
                (Gate::Open | Gate::Suspended, _) => begin,
            });
        }
        let of = |wanted: fn(&Session) -> bool, standing: Result<bool, Staleness>| {
            (0..self.sessions.len()).rev().find(|session| {
                let found = &self.sessions[*session];
                found.who == who && wanted(found) && self.standing(*session, found.door) == standing
            })
        };
        let by_device = |session: &Session| session.how == How::Device;
        if let Some(session) = of(by_device, Err(Staleness::DeviceRevoked)) {
            return Some(Act::Revalidate { session });
        }
        let recent = of(|session| matches!(session.how, How::Code(_)), Ok(true))?;
        of(by_device, Ok(true)).map(|_| Act::RevokeDevices { session: recent })
    }

    pub fn logins_in_flight(&self) -> Vec<usize> {
        self.factors.values().flat_map(|factor| factor.pending.iter().copied()).collect()
    }

    pub fn sessions_in_force(&self) -> Vec<usize> {
        (0..self.sessions.len())
            .filter(|session| self.standing(*session, self.sessions[*session].door) == Ok(true))
            .collect()
    }

    pub fn trusted(&self, who: Who) -> Vec<usize> {
        self.factors.get(&who).map(|factor| factor.devices.clone()).unwrap_or_default()
    }

    /// What an administrator's page shows of a user: the locks of passwords and codes.
    pub fn gates(&self, who: Who) -> [Gate; 2] {
        let factor = self.factors.get(&who).cloned().unwrap_or_default();
        // What was guessed at an earlier password locks nothing.
        let passwords = if self.same_password(who) {
            factor.passwords.gate(self.now, PASSWORDS)
        } else {
            Gate::Open
        };
        [passwords, factor.codes.gate(self.now, CODES)]
    }

    /// Whether what hangs on the password of today is that of the factor.
    pub fn same_password(&self, who: Who) -> bool {
        self.factors.get(&who).is_none_or(|factor| factor.password == self.hosts[&who].password)
    }
}

fn closed(gate: Gate, locked: Reason) -> Result<(), Answer> {
    match gate {
        Gate::Open => Ok(()),
        Gate::Locked => Err(Answer::Denied(locked)),
        Gate::Suspended => Err(Answer::Denied(Reason::Suspended)),
    }
}
