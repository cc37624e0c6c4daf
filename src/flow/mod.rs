//! The driver: load, decide, commit, then act.

mod account;
mod administration;
mod builder;
mod delivery;
mod driver;
mod first_step;
mod operator;
mod password;
mod people;
mod purge;
mod rehearsal;
mod request;
mod second_step;
mod settings;
mod step;
mod sweep;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::event::EventSink;
use crate::machine::Rules;
use crate::password::PasswordVerifier;
use crate::policy::{RequestPolicy, TwoFactorPolicy};
use crate::sender::{CodeSender, SendCheck};
use crate::store::FactorStore;
use crate::user::{UserDirectory, UserStore};

pub use account::Account;
pub use administration::Administration;
pub use builder::LoginFlowBuilder;
pub use operator::Operator;
pub use people::{PeoplePage, Person};
pub use purge::PurgeProgress;
pub use rehearsal::{Affected, Expected, Explanation, Rehearsal};
pub use request::RequestFlow;
pub use settings::{LockOuts, SettingsBounds, ShownSettings};
pub use step::{
    Alternatives, Challenge, DeliveryStatus, IssuedCode, Login, LoginStep, MethodChange,
    PreverifiedLogin, ResendTo, SetupChallenge, TrustDevice,
};
pub use sweep::{SweepCursor, SweepProgress};

/// Two-factor login: the one object that an application builds when it starts. Cloning it is cheap.
///
/// [`request`](Self::request) answers the handle of one request, with every step of a login and the
/// pages of a signed-in user. This type itself has what needs no request: the jobs
/// [`purge`](Self::purge) and [`sweep`](Self::sweep), and the break-glass handle,
/// [`operator`](Self::operator).
#[derive(Clone)]
pub struct LoginFlow {
    inner: Arc<Inner>,
}

struct Inner {
    users: Arc<dyn UserStore>,
    factors: Arc<dyn FactorStore>,
    sender: Arc<dyn CodeSender>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    verifier: Arc<dyn PasswordVerifier>,
    policy: Arc<dyn TwoFactorPolicy>,
    requests: Option<Arc<dyn RequestPolicy>>,
    directory: Option<Arc<dyn UserDirectory>>,
    send_check: Option<Arc<dyn SendCheck>>,
    events: Arc<dyn EventSink>,
    rules: Rules,
    /// Whether a tenant without saved settings is
    /// [`Error::UnknownTenant`](crate::Error::UnknownTenant).
    known_tenants: bool,
    /// Spreads unknown names over the phantom records, in a way that nobody outside can foresee
    /// (`I-17`).
    phantom_key: [u8; 32],
}

impl LoginFlow {
    /// Starts a configuration: with the application's users, countersign's own saved state, and the
    /// way codes travel.
    ///
    /// Each takes anything that implements the trait, or an `Arc` of it.
    pub fn builder(
        users: impl UserStore + 'static,
        factors: impl FactorStore + 'static,
        sender: impl CodeSender + 'static,
    ) -> LoginFlowBuilder {
        LoginFlowBuilder::new(Arc::new(users), Arc::new(factors), Arc::new(sender))
    }

    /// Whether users can have a device trusted, so that a page offers it
    /// ([`trusted_devices`](LoginFlowBuilder::trusted_devices)).
    pub fn offers_trusted_devices(&self) -> bool {
        self.inner.rules.limits.devices.is_some()
    }

    /// Between which values a tenant's settings are accepted, for the page that changes them.
    pub fn settings_bounds(&self) -> SettingsBounds {
        SettingsBounds::of(&self.inner.rules.limits)
    }

    /// Whether the application has plugged in a list of its users
    /// ([`directory`](LoginFlowBuilder::directory)), so that a page offers it.
    pub fn has_directory(&self) -> bool {
        self.inner.directory.is_some()
    }

    /// How long a login counts as recent for sensitive changes
    /// ([`recent_login`](LoginFlowBuilder::recent_login), `I-32`).
    pub fn recent_login(&self) -> Duration {
        self.inner.rules.limits.recent_login
    }
}

impl fmt::Debug for LoginFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginFlow")
            .field("limits", &self.inner.rules.limits)
            .finish_non_exhaustive()
    }
}
