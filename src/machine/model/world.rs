//! What there is: the host's table, the stored rows, the people at their browsers, and the ledger
//! beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::change::{Page, Saving};
use super::ledger::{Broken, Ledger, Life};
use super::step::Decided;
use crate::clock::Timestamp;
use crate::contact::{EmailAddress, Method};
use crate::grant::SavedGrant;
use crate::ids::{DeviceId, LoginId, TenantId, UserId, Version};
use crate::store::{Generation, Snapshot, StoredRow};
use crate::tenant::TenantSettings;
use crate::user::{PasswordHash, User, UserStatus};

/// Milliseconds since the model began.
pub(super) type Moment = u64;

pub(super) fn ms(duration: Duration) -> Moment {
    u64::try_from(duration.as_millis()).unwrap()
}

pub(super) fn timestamp(moment: Moment) -> Timestamp {
    Timestamp::from_time(OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap())
        .plus(Duration::from_millis(moment))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Tenant {
    Acme,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Person {
    /// The built-in system administrator.
    Root,
    /// An employee.
    Alice,
    /// The phantom record that unknown names are counted in.
    Nobody,
}

/// A user of a tenant. Both tenants have the same user ids.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Subject {
    pub(super) tenant: Tenant,
    pub(super) person: Person,
}

impl std::fmt::Debug for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}/{:?}", self.tenant, self.person)
    }
}

pub(super) const ALICE: Subject = Subject { tenant: Tenant::Acme, person: Person::Alice };
pub(super) const ROOT: Subject = Subject { tenant: Tenant::Acme, person: Person::Root };
pub(super) const OTHER_ALICE: Subject = Subject { tenant: Tenant::Other, person: Person::Alice };

impl Subject {
    pub(super) const fn at(self, tenant: Tenant) -> Self {
        Self { tenant, ..self }
    }
}

/// The ids, for as long as cases borrow them.
pub(super) struct Names {
    tenants: [TenantId; 2],
    users: [UserId; 3],
}

impl Names {
    pub(super) fn new() -> Self {
        Self {
            tenants: ["acme", "other"].map(|id| TenantId::new(id).unwrap()),
            users: [
                UserId::new("root").unwrap(),
                UserId::new("alice").unwrap(),
                UserId::phantom(7),
            ],
        }
    }

    pub(super) fn tenant(&self, tenant: Tenant) -> &TenantId {
        &self.tenants[tenant as usize]
    }

    pub(super) fn user(&self, person: Person) -> &UserId {
        &self.users[person as usize]
    }

    pub(super) fn hash(password: u8) -> PasswordHash {
        PasswordHash::new(format!("password {password}"))
    }

    /// The user as the host's table has one at this moment.
    pub(super) fn person(&self, subject: Subject, host: Host) -> User {
        let id = self.user(subject.person).clone();
        let email = EmailAddress::new(&format!("{id}@example.com")).unwrap();
        let mut user = User::new(self.tenant(subject.tenant).clone(), id);
        user.status = if host.active { UserStatus::Active } else { UserStatus::Disabled };
        user.system_administrator = host.administrator;
        user.email = Some(email);
        user.password_hash = Some(Self::hash(host.password));
        user
    }
}

/// A line of the host's users table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Host {
    pub(super) active: bool,
    pub(super) administrator: bool,
    /// The how-manieth password it is.
    pub(super) password: u8,
}

/// A stored row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row(pub(super) Arc<StoredRow>);

impl Row {
    pub(super) fn new(saved: StoredRow) -> Self {
        Self(Arc::new(saved))
    }
}

impl Hash for Row {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.version.hash(state);
        self.0.generation.hash(state);
        self.0.document.as_bytes().hash(state);
    }
}

/// Who sits there: what they know and what they see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum By {
    /// Knows the password of today and sees the messages.
    Owner,
    /// Knows the first password and sees no message.
    Attacker,
}

/// A code, and since when it is that of its login.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shown {
    pub(super) text: String,
    pub(super) issued: Moment,
    /// Whether the message went out: not if the process stopped between commit and send.
    pub(super) sent: bool,
    /// How it travels.
    pub(super) method: Method,
}

/// A login in flight, as the browser and its person have it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    pub(super) subject: Subject,
    pub(super) login: LoginId,
    pub(super) token: [u8; 32],
    pub(super) begun: Moment,
    pub(super) life: Life,
    /// The password that was right, and the person as the first step saw them.
    pub(super) host: Host,
    pub(super) code: Option<Shown>,
    pub(super) earlier: Option<String>,
    pub(super) wrong: usize,
    pub(super) wrong_backup: usize,
    pub(super) sends: u32,
    /// Begun after single sign-on.
    pub(super) single_sign_on: bool,
    /// For the driver that decides on the settings of the first step.
    pub(super) settings: Option<Row>,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) grant: SavedGrant,
    pub(super) subject: Subject,
    pub(super) life: Life,
    pub(super) host: Host,
    pub(super) at: Moment,
    /// The device that it came in with, by its place in [`World::devices`].
    pub(super) device: Option<usize>,
    pub(super) exempt: bool,
}

impl Hash for Session {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.grant.login(), self.subject, self.life, self.host, self.at, self.device, self.exempt)
            .hash(state);
    }
}

/// A trusted device, as its owner has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Gadget {
    pub(super) subject: Subject,
    pub(super) id: DeviceId,
    pub(super) token: String,
    pub(super) life: Life,
    pub(super) password: u8,
    pub(super) registered: Moment,
    /// Revoked, or its user's method changed, or its user was seen disabled.
    pub(super) dead: bool,
    /// The tenant has switched devices off since, or forbidden a method.
    pub(super) ended: bool,
}

/// A number that is being proved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Proof {
    pub(super) subject: Subject,
    pub(super) token: [u8; 32],
    pub(super) login: LoginId,
    pub(super) life: Life,
    pub(super) code: Shown,
    pub(super) over: bool,
}

/// The two places from which people log in.
pub(super) const SLOTS: usize = 2;

/// How many actions led to a world. Worlds that differ in nothing else are one: the first that is
/// met has the fewest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Depth(pub(super) usize);

impl PartialEq for Depth {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Depth {}

impl Hash for Depth {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) now: Moment,
    pub(super) hosts: BTreeMap<Subject, Host>,
    pub(super) settings: BTreeMap<Tenant, Row>,
    /// What the settings say.
    pub(super) decided: BTreeMap<Tenant, TenantSettings>,
    pub(super) records: BTreeMap<Subject, Row>,
    /// How many decisions drew randomness.
    pub(super) draws: BTreeMap<Subject, u32>,
    pub(super) changes: u32,
    /// The settings in front of an administrator.
    pub(super) page: Option<Arc<Page>>,
    /// A page that was saved with a change, decided and not written yet.
    pub(super) saving: Option<Arc<Saving>>,
    pub(super) slots: [Option<Slot>; SLOTS],
    pub(super) sessions: [Option<Session>; SLOTS],
    /// A step that was decided and is not written yet.
    pub(super) held: Option<Arc<Decided>>,
    pub(super) devices: Vec<Gadget>,
    pub(super) proof: Option<Proof>,
    /// Logins that were completed or given up, as far as anybody still has their token.
    pub(super) over: BTreeSet<LoginId>,
    pub(super) ledgers: BTreeMap<Subject, Ledger>,
    /// A record that a sweep has found to hold nothing, as of a version.
    pub(super) spent: Option<(Subject, Version)>,
    /// Whether a purge has reported its end for the generation of today.
    pub(super) purged: BTreeSet<Tenant>,
    pub(super) broken: Broken,
    pub(super) depth: Depth,
}

impl World {
    pub(super) fn new() -> Self {
        let mut hosts = BTreeMap::new();
        for tenant in [Tenant::Acme, Tenant::Other] {
            for person in [Person::Root, Person::Alice] {
                let host =
                    Host { active: true, administrator: person == Person::Root, password: 0 };
                hosts.insert(Subject { tenant, person }, host);
            }
        }
        Self {
            now: 0,
            hosts,
            settings: BTreeMap::new(),
            decided: BTreeMap::new(),
            records: BTreeMap::new(),
            draws: BTreeMap::new(),
            changes: 0,
            page: None,
            saving: None,
            slots: [None, None],
            sessions: [None, None],
            held: None,
            devices: Vec::new(),
            proof: None,
            over: BTreeSet::new(),
            ledgers: BTreeMap::new(),
            spent: None,
            purged: BTreeSet::new(),
            broken: Broken::default(),
            depth: Depth(0),
        }
    }

    pub(super) fn snapshot(&self, subject: Subject) -> Snapshot {
        Snapshot {
            settings: self.settings.get(&subject.tenant).map(|row| (*row.0).clone()),
            record: self.records.get(&subject).map(|row| (*row.0).clone()),
        }
    }

    pub(super) fn decided(&self, tenant: Tenant) -> TenantSettings {
        self.decided.get(&tenant).copied().unwrap_or_default()
    }

    pub(super) fn generation(&self, tenant: Tenant) -> Generation {
        self.settings.get(&tenant).map(|row| row.0.generation).unwrap_or_default()
    }

    pub(super) fn ledger(&mut self, subject: Subject) -> &mut Ledger {
        self.ledgers.entry(subject).or_default()
    }

    pub(super) fn life(&self, subject: Subject) -> Life {
        self.ledgers.get(&subject).map(|ledger| ledger.life).unwrap_or_default()
    }

    /// How often a tenant has switched off.
    pub(super) fn offs(&self, tenant: Tenant) -> u8 {
        self.life(Subject { tenant, person: Person::Root }).offs
    }

    pub(super) fn draws(&self, subject: Subject) -> u32 {
        self.draws.get(&subject).copied().unwrap_or_default()
    }

    /// Forgets what nobody can use any more, so that worlds that differ in nothing else are one.
    pub(super) fn tidy(&mut self) {
        let Self { over, slots, held, .. } = self;
        if !over.is_empty() {
            let held =
                held.as_ref().map(|held| (held.login(), held.slot.as_ref().map(|slot| slot.login)));
            let is_held =
                |login| held.is_some_and(|(made, used)| made == Some(login) || used == Some(login));
            over.retain(|login| {
                is_held(*login) || slots.iter().flatten().any(|slot| slot.login == *login)
            });
        }
    }
}
