//! The driver: load, decide, commit, then act.

mod account;
mod administration;
mod builder;
mod driver;
mod first_step;
mod operator;
mod password;
mod purge;
mod second_step;
mod step;
mod sweep;

use std::fmt;
use std::sync::Arc;

use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::event::EventSink;
use crate::machine::Rules;
use crate::password::PasswordVerifier;
use crate::policy::TwoFactorPolicy;
use crate::sender::CodeSender;
use crate::store::FactorStore;
use crate::user::UserStore;

pub use account::Account;
pub use administration::Administration;
pub use builder::{ConfigError, LoginFlowBuilder};
pub use operator::Operator;
pub use purge::PurgeProgress;
pub use step::{
    Alternatives, Challenge, DeliveryStatus, IssuedCode, Login, LoginStep, MethodChange,
    PreverifiedLogin, ResendTo, SetupChallenge, TrustDevice,
};
pub use sweep::{SweepCursor, SweepProgress};

/// Two-factor login: the one object that an application talks to. Cloning it is cheap.
///
/// # Steps of a login
///
/// [`begin`](Self::begin) takes name and password. If a second factor is needed,
/// [`submit_code`](Self::submit_code) or [`submit_backup_code`](Self::submit_backup_code) completes
/// the login; [`resend`](Self::resend) and [`cancel`](Self::cancel) are also available while it is
/// pending. Each later step takes the tenant from the host's routing and the token from the client;
/// a token of another tenant is no token (`I-03`).
///
/// # Cost
///
/// A step makes one [`UserStore`] look-up together with one [`FactorStore::load`], and at most one
/// [`FactorStore::commit`]; a first step looks the name up and hashes the password before, and
/// reads the tenant's settings before that where
/// [`require_known_tenants`](LoginFlowBuilder::require_known_tenants) is set. When another step for
/// the same user comes first, all but that is repeated, at most 16 times.
///
/// # Cancel safety
///
/// Every future may be dropped at any point. What was charged stays charged, what was not committed
/// did not happen, and a code that was committed but not sent can be sent again with
/// [`resend`](Self::resend). The event and the notices of a step that was dropped after its commit
/// may be missing: run each step in a task that outlives the connection.
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
}

impl fmt::Debug for LoginFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginFlow")
            .field("limits", &self.inner.rules.limits)
            .finish_non_exhaustive()
    }
}
