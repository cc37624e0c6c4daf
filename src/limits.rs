//! The numbers of a flow, and of one tenant within them. Their defaults and bounds are in
//! `flow/builder.rs`.

use std::time::Duration;

use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::tenant::{Lockout, Methods, TenantSettings, TrustedDevices};

/// The window of the rolling budget (`I-12`) and of refills (`I-26`).
pub(crate) const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// An attacker who knows the password and guesses codes for a year must fail with at least this
/// likelihood: 999 in 1,000.
const ONE_IN: u64 = 1_000;

/// The numbers that a flow was built with, after they were found safe; or what a tenant makes of
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) digits: u8,
    pub(crate) code_ttl: Duration,
    pub(crate) login_ttl: Duration,
    pub(crate) pending: usize,
    /// Also the number of wrong codes that one login takes.
    pub(crate) codes: FailureRule,
    pub(crate) passwords: FailureRule,
    pub(crate) sends: SendRule,
    /// How many resets in any 30 days also refill the budgets of wrong codes and of sends.
    pub(crate) refills: u32,
    pub(crate) recent_login: Duration,
    /// The longest time from a login to the last request of its session.
    pub(crate) session_lifetime: Duration,
    /// How far a clock may step back without ending logins: the clocks of nodes differ by about so
    /// much.
    pub(crate) clock_tolerance: Duration,
    pub(crate) backup_enabled: bool,
    pub(crate) fall_back_to_email: bool,
    /// `None`: the feature is off.
    pub(crate) devices: Option<DeviceLimits>,
    /// By which codes travel that complete a login.
    pub(crate) methods: Methods,
    /// Between which numbers a tenant chooses.
    pub(crate) tenant: TenantBounds,
}

/// Between which numbers a tenant chooses its lockout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TenantBounds {
    /// The fewest and the most wrong codes.
    pub(crate) wrong_codes: (u32, u32),
    /// The shortest and the longest lock.
    pub(crate) lock: (Duration, Duration),
    /// How short the longest lock may be.
    pub(crate) least_longest: Duration,
}

/// The numbers of the trusted-device feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceLimits {
    pub(crate) lifetime: Duration,
    pub(crate) per_user: usize,
}

/// The numbers of one budget of failures (`I-10` to `I-14`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FailureRule {
    /// Every this many failures in a row lock.
    pub(crate) lock_after: u32,
    /// How long the first lock lasts; each further one twice as long.
    pub(crate) lock: Duration,
    /// The longest lock.
    pub(crate) lock_at_most: Duration,
    /// After this many failures in a row waiting no longer helps (`I-11`).
    pub(crate) suspend_after: Option<u32>,
    /// At most this many failures in any window of this length, whatever succeeds in between
    /// (`I-12`).
    pub(crate) rolling: Option<(u32, Duration)>,
}

/// The numbers of the budget of sends (`I-15`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SendRule {
    /// Between two codes of one login. In any such time a user gets at most two codes, over all
    /// logins.
    pub(crate) spacing: Duration,
    pub(crate) per_login: u32,
    pub(crate) per_hour: u32,
    pub(crate) per_day: u32,
}

impl Limits {
    /// How many codes there are.
    pub(crate) fn code_space(&self) -> u64 {
        10_u64.saturating_pow(u32::from(self.digits))
    }

    /// What holds in a tenant with these settings: never more lenient than the application's
    /// numbers, also where those were made stricter after the settings were saved (`I-42`).
    pub(crate) fn narrowed(&self, settings: &TenantSettings) -> Self {
        let codes = match settings.lockout {
            None => self.codes,
            Some(Lockout { wrong_codes, first, longest }) => {
                let TenantBounds { wrong_codes: (least, most), lock, least_longest } = self.tenant;
                let (shortest, bound) = lock;
                let lock = first.clamp(shortest, bound);
                FailureRule {
                    lock_after: wrong_codes.clamp(least, most),
                    lock,
                    lock_at_most: longest.clamp(lock.max(least_longest), bound),
                    ..self.codes
                }
            }
        };
        let devices = self.devices.and_then(|limits| match settings.trusted_devices {
            TrustedDevices::AsApplication => Some(limits),
            TrustedDevices::Off => None,
            TrustedDevices::AtMost { lifetime, per_user } => Some(DeviceLimits {
                lifetime: limits.lifetime.min(lifetime),
                per_user: limits.per_user.min(per_user as usize),
            }),
        });
        Self {
            codes,
            devices,
            methods: self.methods.and(settings.methods),
            backup_enabled: self.backup_enabled && settings.backup_codes,
            ..*self
        }
    }

    /// Checks what a tenant's settings become. A change of the scope alone is accepted even if
    /// numbers saved earlier are too lenient by now: these limits still apply to them.
    pub(crate) fn check_change(
        &self,
        before: &TenantSettings,
        next: &TenantSettings,
    ) -> Result<(), ConfigError> {
        if (TenantSettings { scope: before.scope, ..*next }) == *before {
            return Ok(());
        }
        self.check_tenant(next)
    }

    /// Refuses settings that are more lenient than these numbers, or unsafe by arithmetic, and says
    /// which number it is (`I-42`).
    pub(crate) fn check_tenant(&self, settings: &TenantSettings) -> Result<(), ConfigError> {
        if let Some(Lockout { wrong_codes, first, longest }) = settings.lockout {
            let TenantBounds { wrong_codes: (least, most), lock, least_longest } = self.tenant;
            let (shortest, bound) = lock;
            count("lockout.wrong_codes", wrong_codes, least, most)?;
            time("lockout.first", first, shortest, bound)?;
            time("lockout.longest", longest, first.max(least_longest), bound)?;
        }
        if self.methods.and(settings.methods).is_empty() {
            return Err(ConfigError::NoMethod);
        }
        if let TrustedDevices::AtMost { lifetime, per_user } = settings.trusted_devices {
            let Some(limits) = self.devices else {
                return Err(ConfigError::NotOffered { setting: "trusted_devices" });
            };
            time("trusted_devices.lifetime", lifetime, SHORTEST_TRUST, limits.lifetime)?;
            let most = u32::try_from(limits.per_user).unwrap_or(u32::MAX);
            count("trusted_devices.per_user", per_user, 1, most)?;
        }
        self.narrowed(settings).check_guessing()
    }

    /// The patient attacker who is an administrator too: knows a colleague's password, stays under
    /// every lock or resets it away. What binds then is the rolling budget alone, which is full
    /// once and again after each refill: 365 days touch at most 14 windows of 30 days.
    pub(crate) fn check_guessing(&self) -> Result<(), ConfigError> {
        let rounds = u64::from(self.refills).saturating_add(1);
        let (rolling, _) = self.codes.rolling.unwrap_or((u32::MAX, MONTH));
        let guesses_per_year = u64::from(rolling).saturating_mul(14).saturating_mul(rounds);
        let codes = self.code_space();
        if guesses_per_year.saturating_mul(ONE_IN) > codes {
            return Err(ConfigError::GuessingTooLikely { guesses_per_year, codes });
        }
        Ok(())
    }

    /// Whether these numbers protect anybody less than the others do: more guesses before a lock or
    /// a shorter one, another method, a longer trust or more devices, a backup code.
    pub(crate) fn are_weaker_than(&self, other: &Self) -> bool {
        let devices = match (self.devices, other.devices) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(ours), Some(theirs)) => {
                ours.lifetime > theirs.lifetime || ours.per_user > theirs.per_user
            }
        };
        self.codes.lock_after > other.codes.lock_after
            || self.codes.lock < other.codes.lock
            || self.codes.lock_at_most < other.codes.lock_at_most
            || self.methods.exceed(other.methods)
            || devices
            || (self.backup_enabled && !other.backup_enabled)
    }
}

/// The longest time for which a device is trusted, by any configuration.
pub(crate) const LONGEST_TRUST: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// The shortest time for which a device is trusted.
pub(crate) const SHORTEST_TRUST: Duration = Duration::from_secs(60 * 60);

pub(crate) fn count(
    setting: &'static str,
    given: u32,
    least: u32,
    most: u32,
) -> Result<(), ConfigError> {
    if (least..=most).contains(&given) {
        Ok(())
    } else {
        Err(ConfigError::Count { setting, given, least, most })
    }
}

pub(crate) fn time(
    setting: &'static str,
    given: Duration,
    least: Duration,
    most: Duration,
) -> Result<(), ConfigError> {
    if (least..=most).contains(&given) {
        Ok(())
    } else {
        Err(ConfigError::Time { setting, given, least, most })
    }
}

/// A configuration or a tenant's settings that were refused. Each says which setting to change.
///
/// As JSON, such as `{"setting":"lockout.wrong_codes","given":50,"least":3,"most":10}`; times are
/// seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A count is out of bounds; a bound may be another setting.
    #[error("`{setting}` must be from {least} to {most}, and is {given}")]
    Count {
        /// Which.
        setting: &'static str,
        /// What it is.
        given: u32,
        /// The least that it may be.
        least: u32,
        /// The most that it may be.
        most: u32,
    },
    /// A time is out of bounds; a bound may be another setting.
    #[error("`{setting}` must be from {least:?} to {most:?}, and is {given:?}")]
    Time {
        /// Which.
        setting: &'static str,
        /// What it is.
        given: Duration,
        /// The least that it may be.
        least: Duration,
        /// The most that it may be.
        most: Duration,
    },
    /// Too many guesses for so few codes.
    #[error(
        "an attacker who knows a password may try {guesses_per_year} of {codes} codes a year, more than 1 in 1000: raise `code_digits`, or \
         lower `rolling_wrong_code_limit` or `refills_per_month`"
    )]
    GuessingTooLikely {
        /// How many wrong codes are compared in a year at most, with every refill that resets may
        /// make.
        guesses_per_year: u64,
        /// How many codes there are.
        codes: u64,
    },
    /// No method is left by which a code could travel.
    #[error("`methods` must allow at least one method that the application offers")]
    NoMethod,
    /// A tenant wants what the application has switched off.
    #[error("`{setting}` is switched off by the application")]
    NotOffered {
        /// Which.
        setting: &'static str,
    },
    /// Two peppers have the same key id.
    #[error("two peppers have the same key id: give each `pepper` and `previous_pepper` its own")]
    DuplicatePepper,
    /// The random generator failed.
    #[error("`entropy` gave no randomness")]
    NoRandomness,
}

impl ConfigError {
    /// The setting to change, such as `lockout.wrong_codes`.
    pub const fn setting(&self) -> &'static str {
        match self {
            Self::Count { setting, .. }
            | Self::Time { setting, .. }
            | Self::NotOffered { setting } => setting,
            Self::GuessingTooLikely { .. } => "code_digits",
            Self::NoMethod => "methods",
            Self::DuplicatePepper => "pepper",
            Self::NoRandomness => "entropy",
        }
    }
}

impl Serialize for ConfigError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shape {
            setting: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            given: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            least: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            most: Option<u64>,
        }
        let (given, least, most) = match *self {
            Self::Count { given, least, most, .. } => {
                (Some(given.into()), Some(least.into()), Some(most.into()))
            }
            Self::Time { given, least, most, .. } => {
                (Some(given.as_secs()), Some(least.as_secs()), Some(most.as_secs()))
            }
            Self::GuessingTooLikely { guesses_per_year, codes } => {
                (Some(guesses_per_year), None, codes.checked_div(ONE_IN))
            }
            Self::NoMethod
            | Self::NotOffered { .. }
            | Self::DuplicatePepper
            | Self::NoRandomness => (None, None, None),
        };
        Shape { setting: self.setting(), given, least, most }.serialize(serializer)
    }
}
