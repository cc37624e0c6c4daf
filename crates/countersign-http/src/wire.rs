//! The bodies of requests and responses.

use countersign::policy::Scope;
use countersign::{ResendTo, SavedGrant, SecondFactor, UserId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A text that no one prints.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Typed(pub(crate) String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BeginBody {
    pub(crate) name: String,
    pub(crate) password: Typed,
    /// Ask for a code also on a trusted device, because a recent one is needed.
    #[serde(default)]
    pub(crate) reauthenticate: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CodeBody {
    pub(crate) code: Typed,
    /// The name under which this device is to be trusted, if it is.
    #[serde(default)]
    pub(crate) trust_device: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OnlyCode {
    pub(crate) code: Typed,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResendBody {
    #[serde(default)]
    pub(crate) to: ResendTo,
}

#[derive(Deserialize)]
#[serde(tag = "method", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum MethodBody {
    Email {},
    Sms { phone: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScopeBody {
    pub(crate) scope: Scope,
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

/// Something broke: perhaps the session of a login that was complete.
#[derive(Serialize)]
pub(crate) struct Failed {
    pub(crate) reason: &'static str,
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
