//! What an account page and an administrator's page show.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::contact::{MaskedDestination, Method};
use crate::ids::DeviceId;
use crate::label::DeviceLabel;
use crate::tenant::Methods;

/// One user's second factor at a glance. It holds no secret, and destinations are masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FactorStatus {
    /// Where codes go first.
    pub method: Method,
    /// The registered email address, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<MaskedDestination>,
    /// The proved phone number, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<MaskedDestination>,
    /// The methods that this user's tenant allows.
    pub methods: Methods,
    /// The trusted devices that still count.
    pub devices: Vec<TrustedDevice>,
    /// Whether the user may have a backup code.
    pub backup_codes: bool,
    /// When the backup code was made; `None` if there is none.
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub backup_code_made_at: Option<OffsetDateTime>,
    /// Whether passwords are checked.
    pub passwords: LockState,
    /// Whether codes are accepted.
    pub codes: LockState,
}

/// One trusted device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrustedDevice {
    /// To revoke it by.
    pub id: DeviceId,
    /// What the user calls it.
    pub label: DeviceLabel,
    /// When it was registered.
    #[serde(with = "time::serde::rfc3339")]
    pub registered_at: OffsetDateTime,
    /// When it last stood in for a code.
    #[serde(with = "time::serde::rfc3339")]
    pub last_used_at: OffsetDateTime,
    /// When its trust ends; use does not prolong it.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// Whether secrets of one kind are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum LockState {
    /// Secrets of this kind are accepted.
    Open,
    /// Secrets of this kind are refused for a time, after too many failures.
    LockedUntil {
        /// When they are again.
        #[serde(with = "time::serde::rfc3339")]
        until: OffsetDateTime,
    },
    /// They are not, until an administrator resets the user.
    Suspended,
}
