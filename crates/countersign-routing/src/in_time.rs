//! An answer within a time budget.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use countersign::{
    Accepted, CodeMessage, CodeSender, MessageId, Method, Notice, SendError, SendErrorKind, TenantId, UserId,
};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

/// A sender that answers in time: a login does not wait for a slow provider.
///
/// Each send runs as a task of its own. If it is done within the budget, its result is the answer. If not, the answer is
/// [`Accepted::Queued`] and the task goes on, up to [`give_up_after`](Self::give_up_after); its result is told to
/// [`on_late`](Self::on_late). How many tasks there are is bounded: beyond that, sends are refused as throttled, surely not sent.
///
/// Cancellation: a dropped future does not stop its task. Must be used inside a tokio runtime with time; what runs when the runtime
/// shuts down is dropped, and perhaps sent.
pub struct InTime {
    sender: Arc<dyn CodeSender>,
    budget: Duration,
    give_up_after: Duration,
    tasks: Arc<Semaphore>,
    on_late: Arc<dyn Fn(&LateOutcome) + Send + Sync>,
}

/// What became of a message that was answered as queued. Safe to log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LateOutcome {
    /// The tenant.
    pub tenant: TenantId,
    /// The user.
    pub user: UserId,
    /// The method.
    pub method: Method,
    /// Which code it was; `None` for a notice.
    pub code: Option<MessageId>,
    /// What became of it.
    pub result: Result<Accepted, SendErrorKind>,
}

/// The source of the error where there are too many tasks.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("too many messages are being sent")]
struct TooMany;

impl InTime {
    /// Answers within this budget. Defaults: given up after 30 s, 256 tasks at once.
    pub fn new(sender: impl CodeSender + 'static, budget: Duration) -> Self {
        Self {
            sender: Arc::new(sender),
            budget,
            give_up_after: Duration::from_secs(30),
            tasks: Arc::new(Semaphore::new(256)),
            on_late: Arc::new(|_| {}),
        }
    }

    /// When a task is dropped. A code is never tried longer than it lives.
    #[must_use]
    pub const fn give_up_after(mut self, limit: Duration) -> Self {
        self.give_up_after = limit;
        self
    }

    /// How many tasks there are at once, at most.
    #[must_use]
    pub fn at_once(mut self, most: usize) -> Self {
        self.tasks = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        self
    }

    /// Is told what became of messages that were answered as queued. MUST NOT block and MUST NOT panic.
    #[must_use]
    pub fn on_late(mut self, tell: impl Fn(&LateOutcome) + Send + Sync + 'static) -> Self {
        self.on_late = Arc::new(tell);
        self
    }

    async fn run(
        &self,
        send: impl Future<Output = Result<Accepted, SendError>> + Send + 'static,
        give_up_after: Duration,
        mut about: LateOutcome,
    ) -> Result<Accepted, SendError> {
        let Ok(permit) = Arc::clone(&self.tasks).try_acquire_owned() else {
            return Err(SendError::new(SendErrorKind::Throttled { retry_after: None }).caused_by(TooMany));
        };
        let (answer, mut answered) = oneshot::channel();
        let on_late = Arc::clone(&self.on_late);
        tokio::spawn(async move {
            let _permit = permit;
            let result =
                timeout(give_up_after, send).await.unwrap_or_else(|_| Err(SendError::new(SendErrorKind::Unknown)));
            // Whoever waited has gone: this is the late result.
            if let Err(result) = answer.send(result) {
                about.result = result.map_err(|error| error.kind());
                on_late(&about);
            }
        });
        match timeout(self.budget, &mut answered).await {
            Ok(Ok(result)) => result,
            // The task ended without an answer: it panicked, or the runtime shuts down.
            Ok(Err(_)) => Err(SendError::new(SendErrorKind::Unknown)),
            Err(_) => {
                // A result that arrives at this very moment is still taken; after this, every result is late.
                answered.close();
                answered.try_recv().unwrap_or(Ok(Accepted::Queued))
            }
        }
    }
}

#[async_trait]
impl CodeSender for InTime {
    async fn send_code(&self, message: &CodeMessage) -> Result<Accepted, SendError> {
        let about = LateOutcome {
            tenant: message.tenant.clone(),
            user: message.user.clone(),
            method: message.destination.method(),
            code: Some(message.id()),
            result: Ok(Accepted::Queued),
        };
        let (sender, message) = (Arc::clone(&self.sender), message.duplicate());
        let limit = self.give_up_after.min(message.valid_for);
        self.run(async move { sender.send_code(&message).await }, limit, about).await
    }

    async fn notify(&self, notice: &Notice) -> Result<Accepted, SendError> {
        let about = LateOutcome {
            tenant: notice.tenant.clone(),
            user: notice.user.clone(),
            method: notice.destination.method(),
            code: None,
            result: Ok(Accepted::Queued),
        };
        let (sender, notice) = (Arc::clone(&self.sender), notice.clone());
        self.run(async move { sender.notify(&notice).await }, self.give_up_after, about).await
    }
}

impl fmt::Debug for InTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InTime").field("budget", &self.budget).finish_non_exhaustive()
    }
}
