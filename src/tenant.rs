//! What a tenant decides: who needs the second factor there, and how strict it is.
//!
//! The application gives the frame when it builds the flow, and each tenant narrows it:
//! [`TenantSettings`] can make nothing more lenient than the application made it (`I-42`).

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::contact::Method;
use crate::policy::Scope;

#[doc(inline)]
pub use crate::ids::SettingsVersion;
#[doc(inline)]
pub use crate::policy::SingleSignOn;

/// A tenant's settings. The default ones ask nobody for a second factor and otherwise leave
/// everything to the application.
///
/// To change them, take the ones that were read, set what is to be different, and hand them to
/// [`Administration::change_settings`](crate::Administration::change_settings).
///
/// As JSON every field is there, so that one which a client has forgotten is an error and not a
/// more lenient default. Times are whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TenantSettings {
    /// Who needs the second factor after a password.
    pub scope: Scope,
    /// Who needs it after single sign-on.
    pub single_sign_on: SingleSignOn,
    /// How many wrong codes lock a user, and for how long. `None`: what the application says.
    #[serde(deserialize_with = "Option::deserialize")]
    pub lockout: Option<Lockout>,
    /// How codes may travel that complete a login.
    pub methods: Methods,
    /// Whether a device can be trusted, for how long, and how many of them.
    pub trusted_devices: TrustedDevices,
    /// Whether users may have a backup code. It can't be on where the application has switched
    /// backup codes off.
    pub backup_codes: bool,
}

impl Default for TenantSettings {
    fn default() -> Self {
        Self {
            scope: Scope::DoNotUse,
            single_sign_on: SingleSignOn::Exempt,
            lockout: None,
            methods: Methods::default(),
            trusted_devices: TrustedDevices::AsApplication,
            backup_codes: true,
        }
    }
}

/// When wrong codes lock a user, and for how long.
///
/// Each number must be within what the application allows its tenants
/// ([`tenant_lockout`](crate::LoginFlowBuilder::tenant_lockout)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lockout {
    /// After how many wrong codes in a row a user is locked.
    pub wrong_codes: u32,
    /// How long the first lock lasts. Each further one lasts twice as long as the one before.
    #[serde(rename = "first_seconds", with = "seconds")]
    pub first: Duration,
    /// The longest lock.
    #[serde(rename = "longest_seconds", with = "seconds")]
    pub longest: Duration,
}

/// The ways by which codes travel. At least one must be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Methods {
    /// To the registered email address.
    pub email: bool,
    /// To the proved phone number.
    pub sms: bool,
}

impl Default for Methods {
    fn default() -> Self {
        Self { email: true, sms: true }
    }
}

impl Methods {
    /// Only this one.
    pub const fn only(method: Method) -> Self {
        Self { email: matches!(method, Method::Email), sms: matches!(method, Method::Sms) }
    }

    /// Whether a code that travels like this may complete a login.
    pub const fn allow(self, method: Method) -> bool {
        match method {
            Method::Email => self.email,
            Method::Sms => self.sms,
        }
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        !self.email && !self.sms
    }

    /// Those that both allow.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { email: self.email && other.email, sms: self.sms && other.sms }
    }

    /// Whether it allows one that the other does not.
    pub(crate) const fn exceed(self, other: Self) -> bool {
        (self.email && !other.email) || (self.sms && !other.sms)
    }
}

/// Whether users may have a device trusted. Never more than the application allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "use", rename_all = "snake_case", from = "ReadTrustedDevices")]
pub enum TrustedDevices {
    /// As the application says.
    #[default]
    AsApplication,
    /// Not at all.
    Off,
    /// For a shorter time, or fewer of them.
    AtMost {
        /// How long a device is trusted.
        #[serde(rename = "lifetime_seconds", with = "seconds")]
        lifetime: Duration,
        /// How many a user may have.
        per_user: u32,
    },
}

/// [`TrustedDevices`] as they are read. Only in a variant with braces serde refuses unknown fields.
#[derive(Deserialize)]
#[serde(tag = "use", rename_all = "snake_case", deny_unknown_fields)]
enum ReadTrustedDevices {
    AsApplication {},
    Off {},
    AtMost {
        #[serde(rename = "lifetime_seconds", with = "seconds")]
        lifetime: Duration,
        per_user: u32,
    },
}

impl From<ReadTrustedDevices> for TrustedDevices {
    fn from(read: ReadTrustedDevices) -> Self {
        match read {
            ReadTrustedDevices::AsApplication {} => Self::AsApplication,
            ReadTrustedDevices::Off {} => Self::Off,
            ReadTrustedDevices::AtMost { lifetime, per_user } => {
                Self::AtMost { lifetime, per_user }
            }
        }
    }
}

/// Times as whole seconds.
pub(crate) mod seconds {
    use super::{Deserialize, Deserializer, Duration, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        time: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        time.as_secs().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }
}
