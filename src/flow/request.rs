//! One request: the tenant that it is for, and where it comes from.

use std::fmt;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::context::{Call, RequestContext};
use crate::error::Error;
use crate::event::EventKind;
use crate::flow::driver::Subject;
use crate::flow::{Inner, LoginFlow, LoginStep};
use crate::ids::{TenantId, UserId};
use crate::reason::Denied;

/// The login flow of one request: bound to the tenant that it is for, and to where it comes from.
///
/// Make one for each request with [`LoginFlow::request`]. It owns what it needs, so that a web
/// framework can pass it to a handler. Cloning it is cheap.
///
/// # Steps of a login
///
/// [`begin`](Self::begin) takes name and password. If a second factor is needed,
/// [`submit_code`](Self::submit_code) or [`submit_backup_code`](Self::submit_backup_code) completes
/// the login; [`resend`](Self::resend) and [`cancel`](Self::cancel) are also available while it is
/// pending, and [`challenge`](Self::challenge) shows its page again. Each later step takes the
/// token from the client; a token of another tenant is no token (`I-03`).
///
/// # Pages of a signed-in user
///
/// [`revalidate`](Self::revalidate) says whether a session still holds. [`account`](Self::account)
/// is the user's own page, and [`administration`](Self::administration) the administrator's.
///
/// # Cost
///
/// A step makes one [`UserStore`](crate::user::UserStore) look-up together with one
/// [`FactorStore::load`](crate::store::FactorStore::load), and at most one
/// [`FactorStore::commit`](crate::store::FactorStore::commit). If another step for the same user
/// commits first, these are repeated, up to 16 tries in all. A step also repeats them to email a
/// code after a failed SMS ([`fall_back_to_email`](crate::LoginFlowBuilder::fall_back_to_email)),
/// and may read once more after a password change or re-hash.
///
/// Before them, a first step looks the name up and hashes the password, once. With
/// [`require_known_tenants`](crate::LoginFlowBuilder::require_known_tenants) it reads the tenant's
/// settings before that.
///
/// # Cancel safety
///
/// Every future may be dropped at any point. What was charged stays charged, what was not committed
/// did not happen, and a code that was committed but not sent can be sent again with
/// [`resend`](Self::resend). The event and the notices of a step that was dropped after its commit
/// may be missing: run each step in a task that outlives the connection.
#[derive(Clone)]
#[must_use = "it does nothing before one of its methods is called"]
pub struct RequestFlow {
    pub(super) inner: Arc<Inner>,
    tenant: TenantId,
    context: RequestContext,
}

impl LoginFlow {
    /// The flow of one request, for this tenant and from this client.
    ///
    /// Take the tenant from the host's own routing, such as the host name, and not from a field of
    /// a form. Nothing is read before a method is called.
    pub fn request(&self, tenant: &TenantId, context: &RequestContext) -> RequestFlow {
        RequestFlow {
            inner: Arc::clone(&self.inner),
            tenant: tenant.clone(),
            context: context.clone(),
        }
    }
}

impl RequestFlow {
    /// The tenant that the request is for.
    pub const fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Where the request comes from.
    pub const fn context(&self) -> &RequestContext {
        &self.context
    }

    pub(super) const fn about<'a>(&'a self, user: &'a UserId) -> Subject<'a> {
        Subject { call: self.call(), user }
    }

    pub(super) const fn call(&self) -> Call<'_> {
        Call { tenant: &self.tenant, context: &self.context }
    }

    /// Input that is refused before anything is read.
    pub(super) fn refuse(&self, denied: impl Into<Denied>) -> Result<LoginStep, Error> {
        let denied = denied.into();
        let event = EventKind::StepRefused { login: None, reason: denied.reason().code().into() };
        self.inner.emit(self.call(), None, Timestamp::now(&*self.inner.clock)?, event);
        Ok(LoginStep::Denied(denied))
    }
}

impl fmt::Debug for RequestFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestFlow")
            .field("tenant", &self.tenant)
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}
