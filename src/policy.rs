//! Who needs the second factor: a pure decision, with its reason.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use crate::context::RequestContext;
use crate::error::PluginError;
use crate::ids::TenantId;
use crate::user::User;

/// Who needs the second factor after a password.
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

/// Who is asked for a code after single sign-on. It does not depend on the [`Scope`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SingleSignOn {
    /// Nobody: the identity provider asks for the factors.
    #[default]
    Exempt,
    /// The tenant's built-in system administrators, at every such login and on every device.
    /// Nobody else.
    SystemAdministrators,
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

    /// The same, or comes through single sign-on.
    pub(crate) const fn is_of_a_person(self) -> bool {
        matches!(self, Self::Web | Self::Mobile | Self::SingleSignOn)
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
    /// The tenant's setting for logins after single sign-on.
    pub single_sign_on: SingleSignOn,
}

impl<'a> PolicyContext<'a> {
    /// A context for testing a policy of one's own, in a tenant where single sign-on is exempt.
    pub const fn new(tenant: &'a TenantId, scope: Scope, user: &'a User, channel: Channel) -> Self {
        Self { tenant, scope, user, channel, single_sign_on: SingleSignOn::Exempt }
    }

    /// The same under another scope, for a policy that asks another one what it would say.
    #[must_use]
    pub const fn with_scope(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// Sets who is asked after single sign-on, for the same tests.
    #[must_use]
    pub const fn with_single_sign_on(self, single_sign_on: SingleSignOn) -> Self {
        Self { single_sign_on, ..self }
    }
}

/// Decides who needs the second factor.
///
/// # Contract
///
/// MUST be pure: the same context gives the same answer, without I/O and without blocking. It knows
/// nothing of where a request comes from, so that a
/// [rehearsal](crate::Administration::rehearse) can ask it too; what depends on that, and can only
/// be stricter, is a [`RequestPolicy`]. What it
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

/// Is stricter than the tenant's settings where a request comes from somewhere: ignores trusted
/// devices outside the office, refuses a country.
///
/// It can make nothing more lenient: every [`Restriction`] asks for more than the settings do.
///
/// # Contract
///
/// MUST be pure and MUST NOT block, as a [`TwoFactorPolicy`]. A look-up of a country is one in
/// memory. It is asked after the first factor was right, at each later step of a login, and
/// whenever a session is held against the present. An address that is not known is `None`: take
/// what is not known for the worst.
///
/// It is not asked about logins by API and by integrations, whose requests come from servers.
pub trait RequestPolicy: Send + Sync {
    /// What the request may not do, although the tenant's settings allow it.
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if it can't be decided. The step then fails (`I-23`).
    fn restrict(
        &self,
        context: &PolicyContext<'_>,
        request: &RequestContext,
    ) -> Result<Restriction, PluginError>;
}

impl<T: RequestPolicy + ?Sized> RequestPolicy for Arc<T> {
    fn restrict(
        &self,
        context: &PolicyContext<'_>,
        request: &RequestContext,
    ) -> Result<Restriction, PluginError> {
        (**self).restrict(context, request)
    }
}

/// What a [`RequestPolicy`] asks for beyond the tenant's settings, from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[must_use = "what is restricted must not happen"]
pub enum Restriction {
    /// Nothing.
    None,
    /// A trusted device does not stand in for a code here.
    IgnoreTrustedDevices,
    /// A code or a backup code is needed here, also from those whom the settings exempt. A session
    /// without one is stale here.
    RequireSecondFactor,
    /// Nobody logs in from here, and no session works here.
    Refuse,
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

/// The standard policy: interactive logins by the tenant's [`Scope`], single sign-on by its
/// [`SingleSignOn`].
#[derive(Clone, Copy, Debug, Default)]
pub struct StandardPolicy;

impl TwoFactorPolicy for StandardPolicy {
    fn decide(&self, context: &PolicyContext<'_>) -> Result<Requirement, PluginError> {
        let by_channel = match context.channel {
            Channel::Web | Channel::Mobile => None,
            Channel::SingleSignOn
                if context.single_sign_on == SingleSignOn::SystemAdministrators
                    && context.user.system_administrator =>
            {
                return Ok(Requirement::Required);
            }
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
