//! A sender within a budget.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use countersign::budget::{Charged, SendBudget};
use countersign::clock::{Clock, SystemClock};
use countersign::contact::Destination;
use countersign::sender::{CodeMessage, CodeSender, Notice, SendError, SendErrorKind, SendStatus};
use countersign::{Method, TenantId, UserId};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::OffsetDateTime;

use crate::limits::{LimitKind, SendLimits};

/// A sender whose messages are charged first, and refused where a limit is reached.
///
/// A number that is not sent to at all is a permanent error; a limit that is reached is a throttled
/// one, with the time after which it allows another message. Both are surely not sent, so that the
/// person can go on by email. A budget that fails is a transient error: nothing is sent uncounted
/// (`I-23`).
pub struct Budgeted<S> {
    sender: S,
    budget: Arc<dyn SendBudget>,
    limits: SendLimits,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn BudgetObserver>,
}

/// Receives each message that a limit refused. MUST NOT block and MUST NOT panic: a login waits
/// for it.
pub trait BudgetObserver: Send + Sync {
    /// Takes one refusal. Many of them under one calling code are an attack.
    fn refused(&self, refusal: &SendRefusal);
}

impl<F: Fn(&SendRefusal) + Send + Sync> BudgetObserver for F {
    fn refused(&self, refusal: &SendRefusal) {
        self(refusal);
    }
}

/// A message that was not sent because of a limit: tenant-tagged and without the destination, safe
/// to log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SendRefusal {
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The tenant.
    pub tenant: TenantId,
    /// The user.
    pub user: UserId,
    /// How it would have travelled.
    pub method: Method,
    /// The country calling code of a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calling_code: Option<String>,
    /// Which limit.
    pub limit: LimitKind,
    /// How long until it allows another one. `None`: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Duration>,
}

/// The source of the error: which limit it was.
#[derive(Clone, Copy, Debug, Error)]
#[error("{}", self.in_words())]
struct LimitReached(LimitKind);

impl LimitReached {
    const fn in_words(self) -> &'static str {
        match self.0 {
            LimitKind::Prefix => "numbers with this prefix are not sent to",
            LimitKind::Destination => "send limit of the destination is reached",
            LimitKind::Tenant => "send limit of the tenant is reached",
            LimitKind::CallingCode => "send limit of the calling code is reached",
        }
    }
}

/// The source of the error where the budget itself failed, or its clock.
#[derive(Debug, Error)]
enum BudgetFailed {
    #[error("send budget failed")]
    Budget(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("clock of the send budget failed")]
    Clock(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<BudgetFailed> for SendError {
    fn from(failed: BudgetFailed) -> Self {
        Self::new(SendErrorKind::Transient).caused_by(failed)
    }
}

impl<S: CodeSender> Budgeted<S> {
    /// A sender within a budget. Put it around a whole chain of providers, so that one message is
    /// charged once.
    pub fn new(sender: S, budget: impl SendBudget + 'static, limits: SendLimits) -> Self {
        Self {
            sender,
            budget: Arc::new(budget),
            limits,
            clock: Arc::new(SystemClock),
            observer: Arc::new(|_: &SendRefusal| {}),
        }
    }

    /// The clock that periods are measured with; the same as the flow's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Where refusals are reported.
    #[must_use]
    pub fn observer(mut self, observer: impl BudgetObserver + 'static) -> Self {
        self.observer = Arc::new(observer);
        self
    }

    async fn charge(
        &self,
        what: &str,
        tenant: &TenantId,
        user: &UserId,
        to: &Destination,
    ) -> Result<(), SendError> {
        let at = self.clock.now().map_err(|fault| BudgetFailed::Clock(fault.into()))?;
        let refuse = |limit, retry_after: Option<Duration>| {
            self.observer.refused(&SendRefusal {
                at,
                tenant: tenant.clone(),
                user: user.clone(),
                method: to.method(),
                calling_code: match to {
                    Destination::Sms(number) => Some(number.calling_code().to_owned()),
                    Destination::Email(_) => None,
                },
                limit,
                retry_after,
            });
            let kind = retry_after
                .map_or(SendErrorKind::Permanent, |_| SendErrorKind::Throttled { retry_after });
            Err(SendError::new(kind).caused_by(LimitReached(limit)))
        };
        if !self.limits.allows(to) {
            return refuse(LimitKind::Prefix, None);
        }
        let (kinds, accounts): (Vec<_>, Vec<_>) =
            self.limits.accounts(what, tenant, to).into_iter().unzip();
        let charged = self.budget.charge(&accounts, at).await;
        match charged.map_err(|fault| BudgetFailed::Budget(fault.into()))? {
            Charged::Yes => Ok(()),
            Charged::Exhausted { account, retry_after } => refuse(
                kinds.get(account).copied().unwrap_or(LimitKind::Destination),
                Some(retry_after),
            ),
        }
    }
}

#[async_trait]
impl<S: CodeSender> CodeSender for Budgeted<S> {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        self.charge("code", &message.tenant, &message.user, &message.destination).await?;
        self.sender.send_code(message).await
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        self.charge("notice", &notice.tenant, &notice.user, &notice.destination).await?;
        self.sender.notify(notice).await
    }
}

impl<S> fmt::Debug for Budgeted<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budgeted").field("limits", &self.limits).finish_non_exhaustive()
    }
}
