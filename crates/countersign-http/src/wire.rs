//! The bodies of requests and responses.

use countersign::tenant::SettingsVersion;
use countersign::{Rehearsal, ResendTo, SavedGrant, SecondFactor, TenantSettings, UserId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::texts::{Language, Plain};

/// A text that no one prints.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Typed(pub(crate) String);

/// The first step of a login.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct BeginBody {
    /// The login name, as typed: 1 to 256 bytes.
    #[cfg_attr(feature = "openapi", schema(examples("alice")))]
    pub(crate) name: String,
    /// The password, as typed: 1 to 4,096 bytes.
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = String, format = Password, examples("correct horse battery staple"))
    )]
    pub(crate) password: Typed,
    /// Ask for a code also on a trusted device, because a recent one is needed.
    #[serde(default)]
    pub(crate) reauthenticate: bool,
}

/// The code that was sent.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct CodeBody {
    /// The code, as typed.
    #[cfg_attr(feature = "openapi", schema(value_type = String, examples("492817")))]
    pub(crate) code: Typed,
    /// The name to trust this device under; cut after 64 characters or 192 bytes. Without one, or
    /// with a blank one, the device is not trusted.
    #[serde(default)]
    pub(crate) trust_device: Option<String>,
}

/// A backup code, or the code that proves a method.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct OnlyCode {
    /// The code, as typed.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub(crate) code: Typed,
}

/// Where another code goes.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct ResendBody {
    /// Where another code goes. Without it, where the last one went.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::schemas::ResendTo))]
    pub(crate) to: ResendTo,
}

/// Where codes go from now on.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "method", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum MethodBody {
    /// To the registered email address.
    Email {},
    /// By SMS, to this number.
    Sms {
        /// The number in E.164 form.
        #[cfg_attr(feature = "openapi", schema(examples("+819012345678")))]
        phone: String,
    },
}

/// A tenant's settings from now on, if they still are the ones that were shown.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct SettingsBody {
    /// The `version` that came with the settings that were shown.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::schemas::Id))]
    pub(crate) version: SettingsVersion,
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::schemas::TenantSettings))]
    pub(crate) settings: TenantSettings,
    /// Forbid a method also if that locks people out, or if nobody can tell whether it does.
    #[serde(default)]
    pub(crate) accept_lock_outs: bool,
}

/// Settings to try out on the next people.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RehearsalBody {
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::schemas::TenantSettings))]
    pub(crate) settings: TenantSettings,
    /// The last answer, to go on from there. Without one, a rehearsal begins.
    #[serde(default)]
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = Option<crate::openapi::schemas::Rehearsal>)
    )]
    pub(crate) so_far: Option<Rehearsal>,
}

/// What is handed out once, beside an answer.
#[derive(Default, Serialize)]
pub(crate) struct Secrets {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) login_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) device_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) setup_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backup_code: Option<String>,
}

impl Secrets {
    pub(crate) const fn is_empty(&self) -> bool {
        matches!(
            self,
            Self { login_token: None, device_token: None, setup_token: None, backup_code: None }
        )
    }
}

/// An answer of the flow, as it is, with what belongs to it here.
#[derive(Serialize)]
pub(crate) struct Answer<T> {
    #[serde(flatten)]
    pub(crate) of_the_flow: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    #[serde(skip_serializing_if = "Secrets::is_empty")]
    pub(crate) secrets: Secrets,
}

/// A refusal that says nothing but its reason.
#[derive(Serialize)]
pub(crate) struct PlainBody {
    reason: &'static str,
    message: &'static str,
}

impl PlainBody {
    pub(crate) const fn of(plain: Plain, language: Language) -> Self {
        Self { reason: plain.code(), message: plain.text(language) }
    }
}

/// Something broke: perhaps the session of a login that was complete.
#[derive(Serialize)]
pub(crate) struct Failed {
    #[serde(flatten)]
    pub(crate) plain: PlainBody,
    #[serde(skip_serializing_if = "Secrets::is_empty")]
    pub(crate) secrets: Secrets,
}

#[derive(Serialize)]
pub(crate) struct Empty {}

/// Who is signed in.
#[derive(Serialize)]
pub(crate) struct SignedIn<'a> {
    pub(crate) user: &'a UserId,
    pub(crate) second_factor: &'a SecondFactor,
    pub(crate) amr: &'static [&'static str],
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) at: OffsetDateTime,
}

impl<'a> SignedIn<'a> {
    pub(crate) fn of(grant: &'a SavedGrant) -> Self {
        Self {
            user: grant.user(),
            second_factor: grant.second_factor(),
            amr: grant.amr(),
            at: grant.at(),
        }
    }
}
