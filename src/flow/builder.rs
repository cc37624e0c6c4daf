//! The configuration of a flow: safe defaults, and a refusal of what is unsafe by arithmetic.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::entropy::{Draw, Entropy, SystemEntropy};
use crate::event::{EventSink, NoEvents};
use crate::flow::{Inner, LoginFlow};
use crate::limits::{
    ConfigError, DeviceLimits, FailureRule, LONGEST_TRUST, Limits, MONTH, SHORTEST_TRUST, SendRule,
    TenantBounds, count, time,
};
use crate::machine::{READS, Rules, Seal};
use crate::password::{Argon2id, PasswordVerifier};
use crate::policy::{RequestPolicy, StandardPolicy, TwoFactorPolicy};
use crate::secret::Pepper;
use crate::sender::{CodeSender, SendCheck};
use crate::store::FactorStore;
use crate::tag::sha256_tag;
use crate::tenant::Methods;
use crate::user::{UserDirectory, UserStore};

const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

const fn minutes(number: u32) -> Duration {
    seconds(60).saturating_mul(number)
}

const fn days(number: u32) -> Duration {
    seconds(24 * 60 * 60).saturating_mul(number)
}

/// Configures a [`LoginFlow`]. Every setting has a default that is safe.
///
/// | setting | default |
/// |---|---|
/// | [`code_digits`](Self::code_digits) | 6 |
/// | [`code_ttl`](Self::code_ttl) | 3 minutes |
/// | [`login_ttl`](Self::login_ttl) | 10 minutes |
/// | [`pending_logins`](Self::pending_logins) | 4 |
/// | [`max_wrong_codes`](Self::max_wrong_codes) | 5, then locked |
/// | [`lockout`](Self::lockout) | 15 minutes, doubling up to a day |
/// | [`rolling_wrong_code_limit`](Self::rolling_wrong_code_limit) | 20 in 30 days |
/// | [`refills_per_month`](Self::refills_per_month) | 2 resets in 30 days refill the budgets |
/// | [`suspend_after`](Self::suspend_after) | 30 wrong codes in a row |
/// | [`wrong_passwords`](Self::wrong_passwords) | 10, then locked |
/// | [`password_lock`](Self::password_lock) | 1 minute, doubling up to 15 |
/// | [`send_spacing`](Self::send_spacing) | 30 seconds |
/// | [`sends_per_login`](Self::sends_per_login) | 5 |
/// | [`sends_per_hour`](Self::sends_per_hour) | 10 |
/// | [`sends_per_day`](Self::sends_per_day) | 20 |
/// | [`recent_login`](Self::recent_login) | 10 minutes |
/// | [`session_lifetime`](Self::session_lifetime) | 30 days |
/// | [`clock_tolerance`](Self::clock_tolerance) | 30 seconds |
/// | [`trusted_devices`](Self::trusted_devices) | off |
/// | [`backup_codes`](Self::backup_codes) | on |
/// | [`methods`](Self::methods) | email and SMS |
/// | [`tenant_lockout`](Self::tenant_lockout) | a tenant may choose fewer wrong codes than yours (3 or more) and longer locks, and nothing more lenient |
/// | [`fall_back_to_email`](Self::fall_back_to_email) | off: the person chooses |
/// | [`require_known_tenants`](Self::require_known_tenants) | off: a tenant without saved settings uses no second factor |
#[must_use = "a configuration does nothing until it is built"]
pub struct LoginFlowBuilder {
    users: Arc<dyn UserStore>,
    factors: Arc<dyn FactorStore>,
    sender: Arc<dyn CodeSender>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    verifier: Option<Arc<dyn PasswordVerifier>>,
    policy: Arc<dyn TwoFactorPolicy>,
    requests: Option<Arc<dyn RequestPolicy>>,
    directory: Option<Arc<dyn UserDirectory>>,
    send_check: Option<Arc<dyn SendCheck>>,
    events: Arc<dyn EventSink>,
    pepper: Option<Pepper>,
    previous_peppers: Vec<Pepper>,
    known_tenants: bool,
    numbers: Numbers,
}

/// The numbers as they were given, before they are checked.
#[derive(Clone, Copy, Debug)]
struct Numbers {
    code_digits: u32,
    code_ttl: Duration,
    login_ttl: Duration,
    pending_logins: u32,
    max_wrong_codes: u32,
    lockout: Duration,
    max_lockout: Duration,
    rolling_wrong_code_limit: u32,
    refills_per_month: u32,
    suspend_after: u32,
    wrong_passwords: u32,
    password_lock: Duration,
    longest_password_lock: Duration,
    send_spacing: Duration,
    sends_per_login: u32,
    sends_per_hour: u32,
    sends_per_day: u32,
    recent_login: Duration,
    session_lifetime: Duration,
    clock_tolerance: Duration,
    trusted_devices: Option<(Duration, u32)>,
    backup_codes: bool,
    methods: Methods,
    tenant_lockout: Option<((u32, u32), (Duration, Duration))>,
    fall_back_to_email: bool,
}

impl LoginFlowBuilder {
    pub(super) fn new(
        users: Arc<dyn UserStore>,
        factors: Arc<dyn FactorStore>,
        sender: Arc<dyn CodeSender>,
    ) -> Self {
        Self {
            users,
            factors,
            sender,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            verifier: None,
            policy: Arc::new(StandardPolicy),
            requests: None,
            directory: None,
            send_check: None,
            events: Arc::new(NoEvents),
            pepper: None,
            previous_peppers: Vec::new(),
            known_tenants: false,
            numbers: Numbers::default(),
        }
    }

    #[cfg(feature = "internals")]
    pub(crate) fn default_limits() -> Result<Limits, ConfigError> {
        Numbers::default().check()
    }

    /// Who needs the second factor. Default: [`StandardPolicy`].
    pub fn policy(mut self, policy: impl TwoFactorPolicy + 'static) -> Self {
        self.policy = Arc::new(policy);
        self
    }

    /// What depends on where a request comes from, and is stricter than the tenant's settings.
    /// Default: nothing.
    pub fn request_policy(mut self, policy: impl RequestPolicy + 'static) -> Self {
        self.requests = Some(Arc::new(policy));
        self
    }

    /// The application's list of users, for pages that show all people of a tenant, for
    /// [rehearsals](crate::Administration::rehearse), and to notify the other administrators when a
    /// tenant's settings change. Default: none, so that these are not there.
    pub fn directory(mut self, directory: impl UserDirectory + 'static) -> Self {
        self.directory = Some(Arc::new(directory));
        self
    }

    /// Looks at a destination just before a code goes there: whether a number was ported or its SIM
    /// card replaced not long ago. Default: nothing is looked at.
    pub fn send_check(mut self, check: impl SendCheck + 'static) -> Self {
        self.send_check = Some(Arc::new(check));
        self
    }

    /// How passwords are checked. Default: [`Argon2id`] with its default parameters.
    pub fn password_verifier(mut self, verifier: impl PasswordVerifier + 'static) -> Self {
        self.verifier = Some(Arc::new(verifier));
        self
    }

    /// Where events go. Default: nowhere. A host should pass at least a sink that logs
    /// (`I-38`).
    pub fn events(mut self, events: impl EventSink + 'static) -> Self {
        self.events = Arc::new(events);
        self
    }

    /// The clock. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The random generator. Default: [`SystemEntropy`]. For tests: anything else makes codes
    /// foreseeable.
    pub fn entropy(mut self, entropy: impl Entropy + 'static) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// A server-side key for what is saved of codes and backup codes, which also lets all processes
    /// count an unknown name in the same place (`I-17`); another pepper, another place. Default:
    /// none.
    pub fn pepper(mut self, pepper: Pepper) -> Self {
        self.pepper = Some(pepper);
        self
    }

    /// A key that was the [`pepper`](Self::pepper) before. What was saved under it stays usable.
    pub fn previous_pepper(mut self, pepper: Pepper) -> Self {
        self.previous_peppers.push(pepper);
        self
    }

    /// How many digits a code has: 6 to 10.
    pub const fn code_digits(mut self, digits: u32) -> Self {
        self.numbers.code_digits = digits;
        self
    }

    /// How long a code lives: 30 to 600 seconds (`I-07`, NIST SP 800-63B-4, 3.1.3.2).
    pub const fn code_ttl(mut self, ttl: Duration) -> Self {
        self.numbers.code_ttl = ttl;
        self
    }

    /// How long a login may wait for its second factor, whatever is sent again: at least as long as
    /// a code lives, at most an hour.
    pub const fn login_ttl(mut self, ttl: Duration) -> Self {
        self.numbers.login_ttl = ttl;
        self
    }

    /// How many pending logins one user may have concurrently: 2 to 16 (`I-40`).
    pub const fn pending_logins(mut self, most: u32) -> Self {
        self.numbers.pending_logins = most;
        self
    }

    /// After how many wrong codes a user is locked, and how many one login takes: 1 to 20. Wrong
    /// codes that should prove a number are counted apart, up to the same number; one login takes
    /// as many wrong backup codes (`I-10`, `I-14`).
    pub const fn max_wrong_codes(mut self, number: u32) -> Self {
        self.numbers.max_wrong_codes = number;
        self
    }

    /// How long the first lock lasts, at least a minute, and the longest, at most 30 days. Each
    /// lock lasts twice as long as the one before.
    pub const fn lockout(mut self, first: Duration, max: Duration) -> Self {
        self.numbers.lockout = first;
        self.numbers.max_lockout = max;
        self
    }

    /// How many wrong codes are compared in any 30 days, whatever succeeds in between (`I-12`):
    /// from [`max_wrong_codes`](Self::max_wrong_codes) to 100.
    pub const fn rolling_wrong_code_limit(mut self, number: u32) -> Self {
        self.numbers.rolling_wrong_code_limit = number;
        self
    }

    /// How many resets in any 30 days also refill the budgets of wrong codes and of messages, from
    /// 0 to 10 (`I-26`). Further ones clear everything else. Each refill is another round of
    /// guesses for an administrator who knows a colleague's password, so the arithmetic of
    /// [`build`](Self::build) counts them: the more refills, the fewer
    /// [`rolling_wrong_code_limit`](Self::rolling_wrong_code_limit).
    pub const fn refills_per_month(mut self, number: u32) -> Self {
        self.numbers.refills_per_month = number;
        self
    }

    /// After how many wrong codes in a row only an administrator's reset helps (`I-11`): from
    /// [`max_wrong_codes`](Self::max_wrong_codes) to 100.
    pub const fn suspend_after(mut self, number: u32) -> Self {
        self.numbers.suspend_after = number;
        self
    }

    /// After how many wrong passwords in a row passwords of that user are not checked for a time: 3
    /// to 100.
    pub const fn wrong_passwords(mut self, number: u32) -> Self {
        self.numbers.wrong_passwords = number;
        self
    }

    /// How long the first password lock lasts, at least a second, and the longest, at most an hour:
    /// anybody can cause it, and the owner must get in (`I-13`). A new password lifts it; another
    /// hash of the same password does not.
    pub const fn password_lock(mut self, first: Duration, longest: Duration) -> Self {
        self.numbers.password_lock = first;
        self.numbers.longest_password_lock = longest;
        self
    }

    /// The time between two codes of one login: from 10 seconds to the life of a code (`I-15`).
    ///
    /// Within it a user gets at most two codes over all logins, so that the page of a second login
    /// works while the first one's code is on its way.
    pub const fn send_spacing(mut self, spacing: Duration) -> Self {
        self.numbers.send_spacing = spacing;
        self
    }

    /// How many codes one login gets: 1 to 10, and no more than an hour's.
    pub const fn sends_per_login(mut self, number: u32) -> Self {
        self.numbers.sends_per_login = number;
        self
    }

    /// How many codes one user gets in any hour: no more than a day's.
    pub const fn sends_per_hour(mut self, number: u32) -> Self {
        self.numbers.sends_per_hour = number;
        self
    }

    /// How many codes one user gets in any 24 hours: at most 100.
    pub const fn sends_per_day(mut self, number: u32) -> Self {
        self.numbers.sends_per_day = number;
        self
    }

    /// How long after a login with a code or backup code its user may change things on the account
    /// page (`I-32`), and an administrator may weaken somebody's protection (`I-34`): 1 minute to a
    /// day.
    pub const fn recent_login(mut self, window: Duration) -> Self {
        self.numbers.recent_login = window;
        self
    }

    /// The longest time from a login to the last request of its session, however often it is
    /// renewed: 1 minute to 400 days.
    ///
    /// [`RequestFlow::revalidate`](crate::RequestFlow::revalidate) ends sessions that are older,
    /// and [`LoginFlow::sweep`] keeps for this long the records that grants are bound to. Set it to
    /// at least what your sessions really live, or people are logged out early.
    pub const fn session_lifetime(mut self, longest: Duration) -> Self {
        self.numbers.session_lifetime = longest;
        self
    }

    /// How far apart the clocks of two nodes may be: at most 60 seconds (`I-08`).
    ///
    /// A clock that is behind the last step by no more than this counts as if it stood still. A
    /// clock that is further behind ends the user's pending logins, and a session from its future
    /// is stale.
    pub const fn clock_tolerance(mut self, tolerance: Duration) -> Self {
        self.numbers.clock_tolerance = tolerance;
        self
    }

    /// Switches trusted devices on: how long one is trusted, from an hour to 90 days, and how many
    /// a user may have, up to 32.
    ///
    /// NIST SP 800-63B-4 (5.1) does not count a trusted device as authentication.
    pub const fn trusted_devices(mut self, lifetime: Duration, per_user: u32) -> Self {
        self.numbers.trusted_devices = Some((lifetime, per_user));
        self
    }

    /// Whether users may have a backup code.
    pub const fn backup_codes(mut self, on: bool) -> Self {
        self.numbers.backup_codes = on;
        self
    }

    /// How codes may travel that complete a login. At least one; a tenant may allow fewer.
    pub const fn methods(mut self, methods: Methods) -> Self {
        self.numbers.methods = methods;
        self
    }

    /// Between which numbers a tenant chooses its own
    /// [`Lockout`](crate::tenant::Lockout): how many wrong codes lock, from 1 to 20 and at most
    /// [`rolling_wrong_code_limit`](Self::rolling_wrong_code_limit) and
    /// [`suspend_after`](Self::suspend_after), and how long the first and the longest lock last,
    /// from a minute to 30 days.
    ///
    /// Without it a tenant can only be stricter than [`max_wrong_codes`](Self::max_wrong_codes) and
    /// [`lockout`](Self::lockout), which hold where it chooses nothing: from 3 wrong codes on, and
    /// with locks of up to a day, if yours are shorter.
    pub const fn tenant_lockout(
        mut self,
        wrong_codes: RangeInclusive<u32>,
        lock: RangeInclusive<Duration>,
    ) -> Self {
        self.numbers.tenant_lockout =
            Some(((*wrong_codes.start(), *wrong_codes.end()), (*lock.start(), *lock.end())));
        self
    }

    /// Whether a code goes to the email address by itself when its SMS surely was not sent. It is
    /// charged as another send.
    pub const fn fall_back_to_email(mut self, on: bool) -> Self {
        self.numbers.fall_back_to_email = on;
        self
    }

    /// Refuses tenants that were never set up: every call that reads the settings of a tenant for
    /// which none are saved answers [`Error::UnknownTenant`](crate::Error::UnknownTenant).
    ///
    /// Without it such a tenant is one that does not use the second factor, so everybody comes in
    /// with the password alone: also in a tenant whose id is spelled otherwise than when it was set
    /// up, and in every tenant if the store was lost or replaced by an empty one. With it, all of
    /// these are errors.
    ///
    /// **Set every tenant up before you switch it on**, also those that do not use the second
    /// factor, and each new one when you make it:
    /// [`Operator::set_scope`](crate::operator::Operator::set_scope) saves settings for a tenant
    /// that has none, whatever the scope. It is the only call that does. A tenant that switches off
    /// stays known.
    ///
    /// [`RequestFlow::begin`](crate::RequestFlow::begin) then reads the settings once more, before
    /// it looks anybody up, so that the error comes before the password is hashed and alike for
    /// every name (`I-17`). Every other call costs what it did. The calls that read no settings do
    /// what they do without it: [`RequestFlow::hash_password`](crate::RequestFlow::hash_password),
    /// [`Operator::forget`](crate::operator::Operator::forget), and the refusals of malformed
    /// input.
    pub const fn require_known_tenants(mut self) -> Self {
        self.known_tenants = true;
        self
    }

    /// Builds the flow.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if a number is out of its bounds, contradicts another, or lets an attacker
    /// who knows the password guess a code within a year more often than once in 1,000 times, also
    /// one who is an administrator and resets the user all the time. It says which number to
    /// change.
    pub fn build(self) -> Result<LoginFlow, ConfigError> {
        let limits = self.numbers.check()?;
        let mut ids: Vec<&str> =
            self.pepper.iter().chain(&self.previous_peppers).map(Pepper::id).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
            return Err(ConfigError::DuplicatePepper);
        }
        let phantom_key = match &self.pepper {
            Some(pepper) => sha256_tag(pepper.key(), b"countersign/1/phantom-key", &[]),
            None => Draw::new(&*self.entropy).bytes().map_err(|_| ConfigError::NoRandomness)?,
        };
        let verifier = match self.verifier {
            Some(verifier) => verifier,
            None => Arc::new(Argon2id::default()),
        };
        Ok(LoginFlow {
            inner: Arc::new(Inner {
                users: self.users,
                factors: self.factors,
                sender: self.sender,
                clock: self.clock,
                entropy: self.entropy,
                verifier,
                policy: self.policy,
                requests: self.requests,
                directory: self.directory,
                send_check: self.send_check,
                events: self.events,
                rules: Rules {
                    limits,
                    seal: Seal::new(sha256_tag, self.pepper, self.previous_peppers),
                    reads: READS,
                },
                known_tenants: self.known_tenants,
                phantom_key,
            }),
        })
    }
}

impl std::fmt::Debug for LoginFlowBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginFlowBuilder")
            .field("numbers", &self.numbers)
            .field("known_tenants", &self.known_tenants)
            .finish_non_exhaustive()
    }
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            code_digits: 6,
            code_ttl: minutes(3),
            login_ttl: minutes(10),
            pending_logins: 4,
            max_wrong_codes: 5,
            lockout: minutes(15),
            max_lockout: days(1),
            rolling_wrong_code_limit: 20,
            refills_per_month: 2,
            suspend_after: 30,
            wrong_passwords: 10,
            password_lock: minutes(1),
            longest_password_lock: minutes(15),
            send_spacing: seconds(30),
            sends_per_login: 5,
            sends_per_hour: 10,
            sends_per_day: 20,
            recent_login: minutes(10),
            session_lifetime: days(30),
            clock_tolerance: seconds(30),
            trusted_devices: None,
            backup_codes: true,
            methods: Methods::default(),
            tenant_lockout: None,
            fall_back_to_email: false,
        }
    }
}

impl Numbers {
    fn check(&self) -> Result<Limits, ConfigError> {
        count("code_digits", self.code_digits, 6, 10)?;
        time("code_ttl", self.code_ttl, seconds(30), seconds(600))?;
        time("login_ttl", self.login_ttl, self.code_ttl, minutes(60))?;
        count("pending_logins", self.pending_logins, 2, 16)?;
        count("max_wrong_codes", self.max_wrong_codes, 1, 20)?;
        time("lockout", self.lockout, minutes(1), days(30))?;
        time("lockout", self.max_lockout, self.lockout, days(30))?;
        count(
            "rolling_wrong_code_limit",
            self.rolling_wrong_code_limit,
            self.max_wrong_codes,
            100,
        )?;
        count("refills_per_month", self.refills_per_month, 0, 10)?;
        count("suspend_after", self.suspend_after, self.max_wrong_codes, 100)?;
        count("wrong_passwords", self.wrong_passwords, 3, 100)?;
        time("password_lock", self.password_lock, seconds(1), minutes(60))?;
        time("password_lock", self.longest_password_lock, self.password_lock, minutes(60))?;
        time("send_spacing", self.send_spacing, seconds(10), self.code_ttl)?;
        count("sends_per_day", self.sends_per_day, 1, 100)?;
        count("sends_per_hour", self.sends_per_hour, 1, self.sends_per_day)?;
        count("sends_per_login", self.sends_per_login, 1, self.sends_per_hour.min(10))?;
        time("recent_login", self.recent_login, minutes(1), days(1))?;
        time("session_lifetime", self.session_lifetime, minutes(1), days(400))?;
        time("clock_tolerance", self.clock_tolerance, Duration::ZERO, seconds(60))?;
        if let Some((lifetime, per_user)) = self.trusted_devices {
            time("trusted_devices", lifetime, SHORTEST_TRUST, LONGEST_TRUST)?;
            count("trusted_devices", per_user, 1, 32)?;
        }
        if self.methods.is_empty() {
            return Err(ConfigError::NoMethod);
        }
        let limits = Limits {
            digits: u8::try_from(self.code_digits).unwrap_or(u8::MAX),
            code_ttl: self.code_ttl,
            login_ttl: self.login_ttl,
            pending: self.pending_logins as usize,
            codes: FailureRule {
                lock_after: self.max_wrong_codes,
                lock: self.lockout,
                lock_at_most: self.max_lockout,
                suspend_after: Some(self.suspend_after),
                rolling: Some((self.rolling_wrong_code_limit, MONTH)),
            },
            passwords: FailureRule {
                lock_after: self.wrong_passwords,
                lock: self.password_lock,
                lock_at_most: self.longest_password_lock,
                suspend_after: None,
                rolling: None,
            },
            sends: SendRule {
                spacing: self.send_spacing,
                per_login: self.sends_per_login,
                per_hour: self.sends_per_hour,
                per_day: self.sends_per_day,
            },
            refills: self.refills_per_month,
            recent_login: self.recent_login,
            session_lifetime: self.session_lifetime,
            clock_tolerance: self.clock_tolerance,
            backup_enabled: self.backup_codes,
            fall_back_to_email: self.fall_back_to_email,
            devices: self
                .trusted_devices
                .map(|(lifetime, per_user)| DeviceLimits { lifetime, per_user: per_user as usize }),
            methods: self.methods,
            tenant: self.tenant_bounds()?,
        };
        limits.check_guessing()?;
        Ok(limits)
    }

    /// What is given must be sound. By default a tenant can only be stricter (`I-42`).
    fn tenant_bounds(&self) -> Result<TenantBounds, ConfigError> {
        let Some(((fewest, most), (shortest, longest))) = self.tenant_lockout else {
            return Ok(TenantBounds {
                wrong_codes: (self.max_wrong_codes.min(3), self.max_wrong_codes),
                lock: (self.lockout, self.max_lockout.max(days(1))),
                least_longest: self.max_lockout,
            });
        };
        let bound = self.rolling_wrong_code_limit.min(self.suspend_after).min(20);
        count("tenant_lockout", most, 1, bound)?;
        count("tenant_lockout", fewest, 1, most)?;
        time("tenant_lockout", longest, minutes(1), days(30))?;
        time("tenant_lockout", shortest, minutes(1), longest)?;
        Ok(TenantBounds {
            wrong_codes: (fewest, most),
            lock: (shortest, longest),
            least_longest: shortest,
        })
    }
}
