//! Who needs the second factor: a pure decision, with its reason.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use crate::context::{NO_REQUEST, RequestContext};
use crate::error::PluginError;
use crate::ids::TenantId;
use crate::user::User;

/// A tenant's one setting: who needs the second factor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Nobody. Switching to it deletes everything saved for the tenant's users (`I-27`).
    #[default]
    DoNotUse,
    /// Every user of the tenant.
    EntireTenant,
    /// The tenant's built-in system administrators only.
    SystemAdministratorsOnly,
}

impl Scope {
    /// Whether it asks fewer people for a second factor than the other one does, under the standard
    /// policy.
    pub(crate) const fn asks_fewer_than(self, other: Self) -> bool {
        self.reach() < other.reach()
    }

    const fn reach(self) -> u8 {
        match self {
            Self::DoNotUse => 0,
            Self::SystemAdministratorsOnly => 1,
            Self::EntireTenant => 2,
        }
    }
}

/// How a person or a program comes in. There is no default: a forgotten channel would be a hole
/// (`I-35`).
///
/// It is no `Deserialize` on purpose: the route says which channel a request came by, never its
/// body. A login form that could name its channel could name one that needs no second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Channel {
    /// A person at a browser.
    Web,
    /// A person at a mobile application.
    Mobile,
    /// A person who comes through single sign-on; the identity provider asks for the factors.
    SingleSignOn,
    /// A partner's system, which is never asked for a second factor. Not for the login page of a
    /// partner.
    #[serde(rename = "integration")]
    ExemptIntegration,
    /// A program with a user's name and password, which is never asked for a second factor. Not for
    /// the JSON endpoint of a login page: that is [`Channel::Web`] or [`Channel::Mobile`].
    #[serde(rename = "api")]
    ExemptApi,
}

/// Reads back what this library has saved in a record or a grant.
pub(crate) fn read_channel<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Channel, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum StoredRow {
        Web,
        Mobile,
        SingleSignOn,
        Integration,
        Api,
    }

    Ok(match StoredRow::deserialize(deserializer)? {
        StoredRow::Web => Channel::Web,
        StoredRow::Mobile => Channel::Mobile,
        StoredRow::SingleSignOn => Channel::SingleSignOn,
        StoredRow::Integration => Channel::ExemptIntegration,
        StoredRow::Api => Channel::ExemptApi,
    })
}

impl Channel {
    /// Whether a person is there to type a code.
    pub const fn is_interactive(self) -> bool {
        matches!(self, Self::Web | Self::Mobile)
    }
}

/// What a policy decides from.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PolicyContext<'a> {
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The tenant's setting as it is now.
    pub scope: Scope,
    /// The user as the application knows one now.
    pub user: &'a User,
    /// How the login came in.
    pub channel: Channel,
    /// Where the request comes from: of a login that completes, and of each later request whose
    /// session is held against the policy.
    ///
    /// Use it to be stricter than the tenant's setting, never to be more lenient: take what is not
    /// known for the worst.
    pub request: &'a RequestContext,
}

impl<'a> PolicyContext<'a> {
    /// A context for testing a policy of one's own, with an empty request context.
    pub fn new(tenant: &'a TenantId, scope: Scope, user: &'a User, channel: Channel) -> Self {
        Self { tenant, scope, user, channel, request: &NO_REQUEST }
    }

    /// Sets where the request comes from, for the same tests.
    #[must_use]
    pub const fn with_request(self, request: &'a RequestContext) -> Self {
        Self { request, ..self }
    }
}

/// Decides who needs the second factor.
///
/// # Contract
///
/// MUST be pure: the same context gives the same answer, without I/O and without blocking. What it
/// exempts comes in with the password alone, so a wrong `Exempt` is a way around the second factor.
/// It is asked in the step that completes a login without a code, and whenever a saved grant is
/// held against the present (`I-25`, `I-28`); a login completed with a code satisfies every policy.
pub trait TwoFactorPolicy: Send + Sync {
    /// Whether this login needs the second factor, and if not, why not.
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if it can't be decided. The login then fails; it is never taken for "not
    /// needed" (`I-23`).
    fn decide(&self, context: &PolicyContext<'_>) -> Result<Requirement, PluginError>;
}

impl<T: TwoFactorPolicy + ?Sized> TwoFactorPolicy for Arc<T> {
    fn decide(&self, context: &PolicyContext<'_>) -> Result<Requirement, PluginError> {
        (**self).decide(context)
    }
}

/// What a policy decided.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use = "it says whether the password alone lets the person in"]
pub enum Requirement {
    /// The second factor is needed.
    Required,
    /// It is not, for this reason. The reason is in the grant.
    Exempt(Exemption),
}

/// Why no second factor was needed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Exemption {
    /// The tenant does not use it.
    ScopeOff,
    /// The tenant uses it for built-in system administrators only, and this user is none.
    NotAdministrator,
    /// The identity provider is responsible.
    SingleSignOn,
    /// The login came by API.
    Api,
    /// The login came from a partner's system.
    Integration,
    /// An application's own policy had a reason of its own: a short, stable name.
    Application(Cow<'static, str>),
}

/// The standard policy: interactive logins, by the tenant's [`Scope`].
#[derive(Clone, Copy, Debug, Default)]
pub struct StandardPolicy;

impl TwoFactorPolicy for StandardPolicy {
    fn decide(&self, context: &PolicyContext<'_>) -> Result<Requirement, PluginError> {
        let by_channel = match context.channel {
            Channel::Web | Channel::Mobile => None,
            Channel::SingleSignOn => Some(Exemption::SingleSignOn),
            Channel::ExemptIntegration => Some(Exemption::Integration),
            Channel::ExemptApi => Some(Exemption::Api),
        };
        Ok(match (by_channel, context.scope) {
            (Some(exemption), _) => Requirement::Exempt(exemption),
            (None, Scope::DoNotUse) => Requirement::Exempt(Exemption::ScopeOff),
            (None, Scope::SystemAdministratorsOnly) if !context.user.system_administrator => {
                Requirement::Exempt(Exemption::NotAdministrator)
            }
            (None, Scope::SystemAdministratorsOnly | Scope::EntireTenant) => Requirement::Required,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::UserId;

    #[test]
    fn the_standard_policy_is_the_behaviour_table() {
        use Exemption::{Api, Integration, NotAdministrator, ScopeOff, SingleSignOn};
        use Requirement::{Exempt, Required};
        let tenant = TenantId::new("acme").unwrap();
        let mut user = User::new(tenant.clone(), UserId::new("u1").unwrap());
        user.roles = vec!["system administrator (custom)".into()];
        let mut administrator = User::new(tenant.clone(), UserId::new("u2").unwrap());
        administrator.system_administrator = true;
        let decide = |scope, user, channel| {
            StandardPolicy.decide(&PolicyContext::new(&tenant, scope, user, channel)).unwrap()
        };
        for channel in [Channel::Web, Channel::Mobile] {
            for user in [&user, &administrator] {
                assert_eq!(decide(Scope::DoNotUse, user, channel), Exempt(ScopeOff));
                assert_eq!(decide(Scope::EntireTenant, user, channel), Required);
            }
            assert_eq!(
                decide(Scope::SystemAdministratorsOnly, &user, channel),
                Exempt(NotAdministrator)
            );
            assert_eq!(decide(Scope::SystemAdministratorsOnly, &administrator, channel), Required);
        }
        for scope in [Scope::DoNotUse, Scope::EntireTenant, Scope::SystemAdministratorsOnly] {
            for user in [&user, &administrator] {
                assert_eq!(decide(scope, user, Channel::SingleSignOn), Exempt(SingleSignOn));
                assert_eq!(decide(scope, user, Channel::ExemptIntegration), Exempt(Integration));
                assert_eq!(decide(scope, user, Channel::ExemptApi), Exempt(Api));
            }
        }
    }
}
