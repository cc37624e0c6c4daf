//! The numbers of a flow.

use std::time::Duration;

use crate::machine::{FailureRule, SendRule};

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

impl Limits {
    /// How many codes there are.
    pub(crate) fn code_space(&self) -> u64 {
        10_u64.saturating_pow(u32::from(self.digits))
    }
}
