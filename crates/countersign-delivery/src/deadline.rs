//! An answer within a time budget.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use countersign::event::Causes;
use countersign::sender::{
    CodeMessage, CodeSender, MessageId, Notice, SendError, SendErrorKind, SendStatus,
};
use countersign::{Method, TenantId, UserId};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use crate::TooMany;
use crate::given::{Message, OwnMessage};

/// A sender that answers in time: a login does not wait for a slow provider.
///
/// Each send runs as a task of its own. If it is done within the budget, its result is the answer.
/// If not, the answer is [`SendStatus::Queued`] and the task goes on, up to
/// [`give_up_after`](Self::give_up_after); its outcome goes to [`on_late`](Self::on_late). How
/// many tasks there are is bounded: beyond that, sends are refused as throttled, surely not sent.
///
/// The bound is shared by everything behind it, so each route has a `Deadline` of its own: one
/// around a whole [`RouteTable`](crate::RouteTable) lets SMS that hang use up the room of email.
///
/// Cancellation: a dropped future does not stop its task. Must be used inside a tokio runtime with
/// time; what runs when the runtime shuts down is dropped, and perhaps sent.
#[derive(Clone)]
pub struct Deadline {
    sender: Arc<dyn CodeSender>,
    budget: Duration,
    give_up_after: Duration,
    tasks: Arc<Semaphore>,
    on_late: Arc<dyn Fn(&LateOutcome) + Send + Sync>,
}

/// Outcome of a message that was answered as queued. Safe to log.
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
    /// The outcome.
    pub result: Result<SendStatus, SendErrorKind>,
    /// Why it failed, as far as the sender said. Empty where it did not.
    pub causes: Causes,
}

/// The source of the error where a send was given up.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
struct GaveUp(Duration);

/// The source of the error where the task ended without an answer: it panicked, or the runtime
/// shuts down.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("sender panicked, or the runtime shuts down")]
struct Ended;

impl Deadline {
    /// Answers within this budget. Defaults: given up after 30 s, 512 concurrent tasks.
    pub fn new(sender: impl CodeSender + 'static, budget: Duration) -> Self {
        Self {
            sender: Arc::new(sender),
            budget,
            give_up_after: Duration::from_secs(30),
            tasks: Arc::new(Semaphore::new(512)),
            on_late: Arc::new(|_| {}),
        }
    }

    /// When a task is dropped. A code is never tried longer than it lives.
    #[must_use]
    pub const fn give_up_after(mut self, limit: Duration) -> Self {
        self.give_up_after = limit;
        self
    }

    /// Bounds how many tasks there are concurrently. Around a [`Failover`](crate::Failover) it
    /// should be more than the bounds of all but the last sender of the chain together, or senders
    /// that hang leave no room for that one.
    #[must_use]
    pub fn max_concurrent(mut self, max: usize) -> Self {
        self.tasks = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        self
    }

    /// Receives the outcome of messages that were answered as queued. MUST NOT block and MUST NOT
    /// panic.
    #[must_use]
    pub fn on_late(mut self, tell: impl Fn(&LateOutcome) + Send + Sync + 'static) -> Self {
        self.on_late = Arc::new(tell);
        self
    }

    async fn run(
        &self,
        message: OwnMessage,
        give_up_after: Duration,
    ) -> Result<SendStatus, SendError> {
        let Ok(permit) = Arc::clone(&self.tasks).try_acquire_owned() else {
            return Err(
                SendError::new(SendErrorKind::Throttled { retry_after: None }).caused_by(TooMany)
            );
        };
        let (answer, mut answered) = oneshot::channel();
        let (sender, on_late) = (Arc::clone(&self.sender), Arc::clone(&self.on_late));
        tokio::spawn(async move {
            let _permit = permit;
            let message = message.message();
            let result = timeout(give_up_after, message.send_by(&*sender)).await;
            let given_up =
                |_| Err(SendError::new(SendErrorKind::Unknown).caused_by(GaveUp(give_up_after)));
            // The caller has gone: this is the late result.
            if let Err(result) = answer.send(result.unwrap_or_else(given_up)) {
                on_late(&LateOutcome::new(message, result));
            }
        });
        match timeout(self.budget, &mut answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(SendError::new(SendErrorKind::Unknown).caused_by(Ended)),
            Err(_) => {
                // A result that arrives at this very moment is still taken; after this, every
                // result is late.
                answered.close();
                answered.try_recv().unwrap_or(Ok(SendStatus::Queued))
            }
        }
    }
}

impl LateOutcome {
    fn new(message: Message<'_>, result: Result<SendStatus, SendError>) -> Self {
        Self {
            tenant: message.tenant().clone(),
            user: message.user().clone(),
            method: message.method(),
            code: message.id(),
            causes: result.as_ref().err().map(|error| message.causes(error)).unwrap_or_default(),
            result: result.map_err(|error| error.kind()),
        }
    }
}

#[async_trait]
impl CodeSender for Deadline {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        let limit = self.give_up_after.min(message.valid_for);
        self.run(OwnMessage::Code(Box::new(message.duplicate())), limit).await
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        self.run(OwnMessage::Notice(Box::new(notice.clone())), self.give_up_after).await
    }
}

impl fmt::Debug for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadline").field("budget", &self.budget).finish_non_exhaustive()
    }
}
