//! What a completed login is worth, and how long.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::OffsetDateTime;

use crate::contact::Method;
use crate::epoch::Epoch;
use crate::ids::{DeviceId, LoginId, RecordId, TenantId, UserId};
use crate::policy::{Channel, Exemption};

/// A grant as it lies in a session: a claim, until
/// [`RequestFlow::revalidate`](crate::RequestFlow::revalidate) or an operation that takes it has
/// checked it against the user and the record as they are now.
///
/// It is bound to the saved password hash and the security stamp, which only the server knows; of a
/// user with neither, anyone who knows the ids can forge it. It is no secret to the user it belongs
/// to, but anyone who can change the session's contents can change `at`, the login and the basis:
/// keep sessions on the server or seal them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedGrant {
    pub(crate) login: LoginId,
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    #[serde(deserialize_with = "crate::policy::read_channel")]
    pub(crate) channel: Channel,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) at: OffsetDateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) record: Option<RecordId>,
    pub(crate) epoch: Epoch,
    pub(crate) basis: SecondFactor,
}

impl SavedGrant {
    /// The login it came from, for audit logs.
    pub const fn login(&self) -> LoginId {
        self.login
    }

    /// The tenant.
    pub const fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The user, within the tenant.
    pub const fn user(&self) -> &UserId {
        &self.user
    }

    /// How the login came in.
    pub const fn channel(&self) -> Channel {
        self.channel
    }

    /// When the login was completed.
    pub const fn at(&self) -> OffsetDateTime {
        self.at
    }

    /// What stood beside the password.
    pub const fn second_factor(&self) -> &SecondFactor {
        &self.basis
    }

    /// The authentication methods, by their RFC 8176 names.
    ///
    /// `mfa` is there only if a code or a backup code was verified in this login: a trusted device
    /// replaces the code but is no authentication of its own (NIST SP 800-63B-4, 5.1).
    ///
    /// After single sign-on `pwd` is never there: the identity provider says what it checked
    /// (`I-43`). `mfa` then means that a code was verified beside its word.
    pub const fn amr(&self) -> &'static [&'static str] {
        if matches!(self.channel, Channel::SingleSignOn) {
            return match self.basis {
                SecondFactor::Code { method: Method::Email } | SecondFactor::BackupCode => {
                    &["otp", "mfa"]
                }
                SecondFactor::Code { method: Method::Sms } => &["otp", "sms", "mfa"],
                SecondFactor::TrustedDevice { .. } | SecondFactor::Exempt { .. } => &[],
            };
        }
        match self.basis {
            SecondFactor::Code { method: Method::Email } | SecondFactor::BackupCode => {
                &["pwd", "otp", "mfa"]
            }
            SecondFactor::Code { method: Method::Sms } => &["pwd", "otp", "sms", "mfa"],
            SecondFactor::TrustedDevice { .. } | SecondFactor::Exempt { .. } => &["pwd"],
        }
    }

    /// Whether more than a password stood for this login: a code or backup code, or a device that
    /// was registered after a code.
    pub const fn is_beyond_password(&self) -> bool {
        !matches!(self.basis, SecondFactor::Exempt { .. })
    }

    /// Whether a code or backup code was verified in this very login: what `mfa` in
    /// [`amr`](Self::amr) says.
    pub const fn has_second_factor(&self) -> bool {
        matches!(self.basis, SecondFactor::Code { .. } | SecondFactor::BackupCode)
    }

    pub(crate) const fn record(&self) -> Option<RecordId> {
        self.record
    }

    pub(crate) const fn epoch(&self) -> &Epoch {
        &self.epoch
    }
}

impl AsRef<Self> for SavedGrant {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// What stood beside the password in a login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum SecondFactor {
    /// A code that was sent by this method.
    Code {
        /// How the code travelled.
        method: Method,
    },
    /// The backup code.
    BackupCode,
    /// A trusted device, registered after a code.
    TrustedDevice {
        /// Which one.
        device: DeviceId,
    },
    /// Nothing: the policy did not require it.
    Exempt {
        /// Why not.
        exemption: Exemption,
    },
}

/// Why [`RequestFlow::revalidate`](crate::RequestFlow::revalidate) answers no
/// [`Grant`](crate::Grant): the request is refused either way.
///
/// It is the error of a `Result`, not a value beside the grant, so that `?`, a `let Ok(grant) = ..
/// else` and a forgotten `match` all keep a stale session out.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RevalidateError {
    /// The grant no longer holds: end the session and send the person to the login.
    #[error("session is stale: {0}")]
    Stale(Staleness),
    /// A plug-in failed, so nobody knows. Refuse the request and keep the session: it may hold
    /// again with the next one.
    #[error("session could not be checked")]
    Failed(#[from] crate::Error),
}

impl RevalidateError {
    /// Why the grant no longer holds. `None` if a plug-in failed.
    pub const fn staleness(&self) -> Option<Staleness> {
        match self {
            Self::Stale(staleness) => Some(*staleness),
            Self::Failed(_) => None,
        }
    }
}

impl From<Staleness> for RevalidateError {
    fn from(staleness: Staleness) -> Self {
        Self::Stale(staleness)
    }
}

/// Why a saved grant no longer holds. [`code`](Self::code) is stable: translate from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Staleness {
    /// It is a grant of another tenant.
    OtherTenant,
    /// The user is gone or disabled.
    UserInactive,
    /// The password, or the user's security stamp, has changed.
    PasswordChanged,
    /// The second factor was reset or switched off since.
    Reset,
    /// The policy now requires a second factor, and this login had none.
    SecondFactorRequired,
    /// The trusted device that the session came in with was deleted, or its trust has run out.
    DeviceRevoked,
    /// The login is longer ago than any session lives:
    /// [`session_lifetime`](crate::LoginFlowBuilder::session_lifetime).
    Expired,
    /// The application refuses requests from where this one comes from.
    RequestRefused,
    /// Its time lies in the future: the clock went back, or the grant was tampered with.
    ClockMoved,
}

impl Staleness {
    /// The stable code, such as `password_changed`: the same as in its serialised form.
    pub const fn code(self) -> &'static str {
        match self {
            Self::OtherTenant => "other_tenant",
            Self::UserInactive => "user_inactive",
            Self::PasswordChanged => "password_changed",
            Self::Reset => "reset",
            Self::SecondFactorRequired => "second_factor_required",
            Self::DeviceRevoked => "device_revoked",
            Self::Expired => "expired",
            Self::RequestRefused => "request_refused",
            Self::ClockMoved => "clock_moved",
        }
    }
}

impl std::fmt::Display for Staleness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}
