//! What must happen, in plain maps: written from the behaviour table, not from the machine.
//!
//! Time is in seconds, secrets are places in a list, and everything that a person can hold (a login
//! in flight, a session, a device) has a number that the real thing has too, because both sides
//! count alike.

mod rules;

use std::collections::BTreeMap;

use countersign::grant::Staleness;
use countersign::{Method, Reason, Scope};

pub type Who = (Tenant, Person);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tenant {
    Acme,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Person {
    Alice,
    Bob,
}

pub const EVERYBODY: [Who; 4] = [
    (Tenant::Acme, Person::Alice),
    (Tenant::Acme, Person::Bob),
    (Tenant::Other, Person::Alice),
    (Tenant::Other, Person::Bob),
];

pub const CODE_TTL: u64 = 180;
pub const LOGIN_TTL: u64 = 600;
pub const SPACING: u64 = 30;
pub const RECENT: u64 = 600;
pub const WRONG_CODES: u32 = 2;
pub const SUSPEND: u32 = 4;
pub const PER_MONTH: u32 = 5;
pub const REFILLS: u32 = 1;
pub const LOCK: u64 = 900;
pub const WRONG_PASSWORDS: u32 = 3;
pub const PASSWORD_LOCK: u64 = 60;
pub const PENDING: usize = 2;
pub const SENDS_PER_LOGIN: u32 = 2;
pub const SENDS_PER_HOUR: usize = 3;
pub const SENDS_PER_DAY: usize = 4;
pub const DEVICE_LIFETIME: u64 = DAY;
pub const DEVICES: usize = 2;
pub const HOUR: u64 = 3600;
pub const DAY: u64 = 24 * HOUR;
const MONTH: u64 = 30 * DAY;

/// What one line of a story does.
#[derive(Clone, Debug)]
pub enum Act {
    Begin {
        who: Who,
        door: Door,
        right: bool,
        device: Option<usize>,
    },
    Unknown(Tenant),
    Code {
        login: usize,
        typed: Typed,
        trust: bool,
    },
    Resend {
        login: usize,
        to: To,
    },
    Backup {
        login: usize,
        typed: Typed,
    },
    Cancel {
        login: usize,
    },
    /// A token of one tenant at the address of the other.
    Astray {
        login: usize,
    },
    NewBackup {
        session: usize,
    },
    UseSms {
        session: usize,
    },
    UseEmail {
        session: usize,
    },
    Confirm {
        session: usize,
        proof: usize,
        right: bool,
    },
    RevokeDevices {
        session: usize,
    },
    Revalidate {
        session: usize,
    },
    SetScope(Tenant, Scope),
    Reset(Who),
    Unlock(Who),
    Promote(Who),
    Disable(Who),
    ChangePassword(Who),
    Wait(u64),
}

impl Act {
    /// The session under which somebody does it.
    pub fn session(&self) -> Option<usize> {
        match *self {
            Self::NewBackup { session }
            | Self::UseSms { session }
            | Self::UseEmail { session }
            | Self::Confirm { session, .. }
            | Self::RevokeDevices { session }
            | Self::Revalidate { session } => Some(session),
            _ => None,
        }
    }
}

/// Which logins: the row of the behaviour table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Web,
    Mobile,
    SingleSignOn,
    Integration,
    Api,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    Right,
    Wrong,
    /// What was right until something newer took its place.
    Earlier,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    Same,
    Email,
    Sms,
}

/// What the application gets to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Nothing,
    In(How),
    /// A login waits for its code. Where one was sent, and how many wrong ones it takes.
    Asked {
        sent: Option<Method>,
        left: u32,
    },
    /// A number or address is being proved.
    Proving(Method),
    Changed(Method),
    Done,
    /// Somebody was reset, and whether that refilled their budgets.
    Reset {
        refilled: bool,
    },
    Valid,
    Stale(Staleness),
    Denied(Reason),
    /// A wrong secret, and how many more are taken.
    Wrong(Reason, u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Code(Method),
    BackupCode,
    Device,
    Exempt(Why),
}

/// Why the password was enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    ScopeOff,
    NotAdministrator,
    NotInteractive(Door),
}

#[derive(Clone, Debug)]
pub struct Host {
    pub active: bool,
    pub administrator: bool,
    pub password: u32,
}

#[derive(Clone, Debug)]
pub struct Login {
    pub who: Who,
    door: Door,
    begun: u64,
    /// When the code that counts was made.
    code: Option<u64>,
    /// Whether there is a code that was replaced.
    pub replaced: bool,
    via: Option<Method>,
    wrong: u32,
    wrong_backup: u32,
    sends: u32,
}

#[derive(Clone, Debug)]
pub struct Session {
    pub who: Who,
    pub door: Door,
    how: How,
    pub at: u64,
    password: u32,
    factor: u64,
    device: usize,
}

#[derive(Clone, Debug)]
pub struct Device {
    registered: u64,
    used: u64,
}

#[derive(Clone, Debug)]
pub struct Proof {
    session: usize,
    method: Method,
    made: u64,
    wrong: u32,
}

/// Everything that is saved of one user.
#[derive(Clone, Debug, Default)]
pub struct Factor {
    id: u64,
    password: u32,
    passwords: Failures,
    codes: Failures,
    device_passwords: Failures,
    setups: Failures,
    sent: Vec<u64>,
    pending: Vec<usize>,
    pub devices: Vec<usize>,
    pub backup: Option<usize>,
    pub sms: bool,
    proof: Option<usize>,
    /// When resets refilled the budgets.
    refills: Vec<u64>,
}

#[derive(Clone, Debug, Default)]
pub struct Failures {
    row: u32,
    locked_until: u64,
    times: Vec<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    Open,
    Locked,
    Suspended,
}

/// The numbers of one kind of secret.
#[derive(Clone, Copy)]
struct Rule {
    lock_after: u32,
    lock: u64,
    longest: u64,
    suspend: u32,
    per_month: u32,
}

const CODES: Rule = Rule {
    lock_after: WRONG_CODES,
    lock: LOCK,
    longest: DAY,
    suspend: SUSPEND,
    per_month: PER_MONTH,
};
const PASSWORDS: Rule = Rule {
    lock_after: WRONG_PASSWORDS,
    lock: PASSWORD_LOCK,
    longest: 900,
    suspend: u32::MAX,
    per_month: u32::MAX,
};

impl Failures {
    fn in_month(&self, now: u64) -> u32 {
        u32::try_from(self.times.iter().filter(|at| now < **at + MONTH).count()).unwrap()
    }

    fn gate(&self, now: u64, rule: Rule) -> Gate {
        if self.row >= rule.suspend {
            Gate::Suspended
        } else if now < self.locked_until || self.in_month(now) >= rule.per_month {
            Gate::Locked
        } else {
            Gate::Open
        }
    }

    fn charge(&mut self, now: u64, rule: Rule) {
        self.row += 1;
        self.times.push(now);
        if self.row.is_multiple_of(rule.lock_after) {
            let nth = self.row / rule.lock_after;
            self.locked_until = now + (rule.lock << (nth - 1).min(20)).min(rule.longest);
        }
    }

    fn succeed(&mut self) {
        self.row = 0;
        self.locked_until = 0;
    }

    /// What no reset clears that refills nothing.
    fn window(self) -> Self {
        Self { times: self.times, ..Self::default() }
    }

    fn left(&self, now: u64, rule: Rule) -> u32 {
        if self.gate(now, rule) != Gate::Open {
            return 0;
        }
        let before_lock = rule.lock_after - self.row % rule.lock_after;
        before_lock
            .min(rule.suspend - self.row)
            .min(rule.per_month.saturating_sub(self.in_month(now)))
    }
}

#[derive(Clone, Debug)]
pub struct Reference {
    pub now: u64,
    pub scopes: BTreeMap<Tenant, Scope>,
    pub hosts: BTreeMap<Who, Host>,
    pub factors: BTreeMap<Who, Factor>,
    pub logins: Vec<Login>,
    pub sessions: Vec<Session>,
    pub devices: Vec<Device>,
    pub proofs: Vec<Proof>,
    pub backups: usize,
    /// How many codes have gone out.
    pub sent: usize,
    factors_made: u64,
    /// To the last act.
    pub answer: Answer,
}

impl Reference {
    pub fn new() -> Self {
        let host = Host { active: true, administrator: false, password: 0 };
        Self {
            now: 0,
            scopes: [(Tenant::Acme, Scope::EntireTenant), (Tenant::Other, Scope::DoNotUse)].into(),
            hosts: EVERYBODY.into_iter().map(|who| (who, host.clone())).collect(),
            factors: BTreeMap::new(),
            logins: Vec::new(),
            sessions: Vec::new(),
            devices: Vec::new(),
            proofs: Vec::new(),
            backups: 0,
            sent: 0,
            factors_made: 0,
            answer: Answer::Nothing,
        }
    }

    /// Whether anybody has what the act takes.
    pub fn possible(&self, act: &Act) -> bool {
        match *act {
            Act::Begin { device, .. } => device.is_none_or(|device| device < self.devices.len()),
            Act::Code { login, typed: Typed::Earlier, .. } => {
                self.logins.get(login).is_some_and(|login| login.replaced)
            }
            // The right code of a login that never had one can't be typed.
            Act::Code { login, typed: Typed::Right, .. } => {
                self.logins.get(login).is_some_and(|login| login.via.is_some())
            }
            Act::Code { login, .. }
            | Act::Resend { login, .. }
            | Act::Cancel { login }
            | Act::Astray { login } => login < self.logins.len(),
            Act::Backup { login, typed } => {
                let factor = self.logins.get(login).and_then(|login| self.factors.get(&login.who));
                let backup = factor.and_then(|factor| factor.backup);
                login < self.logins.len()
                    && match typed {
                        Typed::Wrong => true,
                        Typed::Right => backup.is_some(),
                        Typed::Earlier => self.backups > 0 && backup != Some(0),
                    }
            }
            Act::NewBackup { session }
            | Act::UseSms { session }
            | Act::UseEmail { session }
            | Act::RevokeDevices { session }
            | Act::Revalidate { session } => session < self.sessions.len(),
            Act::Confirm { session, proof, .. } => {
                session < self.sessions.len() && proof < self.proofs.len()
            }
            _ => true,
        }
    }

    pub fn act(&mut self, act: &Act) {
        // No two acts fall on the same second.
        self.now += 1;
        for who in EVERYBODY {
            self.expire(who);
        }
        self.answer = match *act {
            Act::Begin { who, door, right, device } => self.begin(who, door, right, device),
            Act::Unknown(_) => Answer::Denied(Reason::InvalidCredentials),
            Act::Code { login, typed, trust } => self.code(login, typed, trust),
            Act::Resend { login, to } => self.resend(login, to),
            Act::Backup { login, typed } => self.backup(login, typed),
            Act::Cancel { login } => {
                if self.resume(login).is_ok() {
                    self.drop_login(login);
                }
                Answer::Done
            }
            Act::Astray { .. } => Answer::Denied(Reason::LoginOver),
            Act::NewBackup { session } => self.authorized(session, Self::new_backup),
            Act::UseSms { session } => {
                self.authorized(session, |it, session| it.prove(session, Method::Sms))
            }
            Act::UseEmail { session } => self.authorized(session, Self::use_email),
            Act::Confirm { session, proof, right } => {
                self.authorized(session, |it, session| it.confirm(session, proof, right))
            }
            Act::RevokeDevices { session } => self.authorized(session, |it, session| {
                let who = it.sessions[session].who;
                it.factor(who).devices.clear();
                Answer::Done
            }),
            Act::Revalidate { session } => {
                let door = self.sessions[session].door;
                self.standing(session, door).map_or_else(Answer::Stale, |_| Answer::Valid)
            }
            Act::SetScope(tenant, scope) => {
                let before = self.scopes.insert(tenant, scope);
                if scope == Scope::DoNotUse && before != Some(scope) {
                    self.factors.retain(|who, _| who.0 != tenant);
                }
                Answer::Done
            }
            Act::Reset(who) => self.reset(who),
            Act::Unlock(who) => self.unlock(who),
            Act::Promote(who) => self.change(who, |host| host.administrator = !host.administrator),
            Act::Disable(who) => self.change(who, |host| host.active = !host.active),
            Act::ChangePassword(who) => self.change(who, |host| host.password += 1),
            Act::Wait(seconds) => {
                self.now += seconds;
                Answer::Nothing
            }
        };
    }

    fn change(&mut self, who: Who, change: impl FnOnce(&mut Host)) -> Answer {
        change(self.hosts.get_mut(&who).unwrap());
        Answer::Nothing
    }
}
