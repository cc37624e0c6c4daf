//! The numbers of a flow. Their defaults and bounds are in `flow/builder.rs`.

use std::time::Duration;

/// The window of the rolling budget (`I-12`) and of refills (`I-26`).
pub(crate) const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The numbers that a flow was built with, after they were found safe.
#[derive(Clone, Debug)]
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
}

/// The numbers of the trusted-device feature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeviceLimits {
    pub(crate) lifetime: Duration,
    pub(crate) per_user: usize,
}

/// The numbers of one budget of failures (`I-10` to `I-14`).
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug)]
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
}
