//! The next sender, where the one before surely did not send.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use countersign::event::Causes;
use countersign::sender::{CodeMessage, CodeSender, Notice, SendError, SendErrorKind, SendStatus};
use countersign::{Method, TenantId};
use tokio::sync::Semaphore;

use crate::TooMany;
use crate::given::Message;

/// Senders of one method, tried in order.
///
/// The next one is tried only where the one before surely did not send; after an *unknown* result
/// none is, since a person with two messages is asked for the wrong code. If all fail, the answer
/// is the failure that leaves most hope: transient, then throttled, then permanent. The other
/// failures are in [`SendError::earlier`].
///
/// Each sender has a bound of its own ([`max_concurrent`](Self::max_concurrent)), so that one that
/// hangs leaves room for the next. A chain has no deadline: put [`Deadline`](crate::Deadline)
/// around it.
pub struct Failover {
    links: Vec<Link>,
    max_concurrent: usize,
    on_failure: Arc<dyn Fn(&SenderFailure<'_>) + Send + Sync>,
}

struct Link {
    sender: Arc<dyn CodeSender>,
    places: Semaphore,
}

/// One sender of a chain failed. Safe to log.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SenderFailure<'a> {
    /// Its place in the chain, from 0.
    pub position: usize,
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The method.
    pub method: Method,
    /// How.
    pub kind: SendErrorKind,
    /// Why, as far as the sender said.
    pub causes: &'a Causes,
}

impl Failover {
    /// A chain of one sender.
    pub fn new(first: impl CodeSender + 'static) -> Self {
        Self { links: Vec::new(), max_concurrent: 128, on_failure: Arc::new(|_| {}) }.then(first)
    }

    /// Adds a sender at the end.
    #[must_use]
    pub fn then(mut self, next: impl CodeSender + 'static) -> Self {
        self.links.push(Link { sender: Arc::new(next), places: places(self.max_concurrent) });
        self
    }

    /// Bounds how many messages each sender of the chain sends concurrently: 128 by default. Beyond
    /// that, a message goes to the next sender, and after the last one it is throttled, surely not
    /// sent.
    #[must_use]
    pub fn max_concurrent(mut self, max: usize) -> Self {
        self.max_concurrent = max;
        for link in &mut self.links {
            link.places = places(max);
        }
        self
    }

    /// Receives each failure, also of those that another sender made good. MUST NOT block and
    /// MUST NOT panic: a login waits for it.
    #[must_use]
    pub fn on_failure(mut self, tell: impl Fn(&SenderFailure<'_>) + Send + Sync + 'static) -> Self {
        self.on_failure = Arc::new(tell);
        self
    }

    async fn send(&self, message: Message<'_>) -> Result<SendStatus, SendError> {
        let mut failed: Vec<SendError> = Vec::new();
        for (position, link) in self.links.iter().enumerate() {
            let error = match link.send(message).await {
                Ok(accepted) => return Ok(accepted),
                Err(error) => error,
            };
            let (tenant, method, kind) = (message.tenant(), message.method(), error.kind());
            let causes = message.causes(&error);
            (self.on_failure)(&SenderFailure { position, tenant, method, kind, causes: &causes });
            if !kind.surely_not_sent() {
                return Err(error.after(failed));
            }
            failed.push(error);
        }
        // Of equal ones the first: it is the sender that is tried first next time.
        let best = failed
            .iter()
            .enumerate()
            .rev()
            .max_by_key(|(_, error)| hope(error.kind()))
            .map(|(place, _)| place);
        Err(match best {
            Some(place) => failed.remove(place).after(failed),
            None => SendError::new(SendErrorKind::Permanent),
        })
    }
}

impl Link {
    async fn send(&self, message: Message<'_>) -> Result<SendStatus, SendError> {
        let Ok(_place) = self.places.try_acquire() else {
            return Err(
                SendError::new(SendErrorKind::Throttled { retry_after: None }).caused_by(TooMany)
            );
        };
        message.send_by(&*self.sender).await
    }
}

fn places(max: usize) -> Semaphore {
    Semaphore::new(max.min(Semaphore::MAX_PERMITS))
}

fn hope(kind: SendErrorKind) -> u8 {
    match kind {
        SendErrorKind::Transient => 2,
        SendErrorKind::Throttled { .. } => 1,
        _ => 0,
    }
}

#[async_trait]
impl CodeSender for Failover {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        self.send(Message::Code(message)).await
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        self.send(Message::Notice(notice)).await
    }
}

impl fmt::Debug for Failover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failover").field("senders", &self.links.len()).finish_non_exhaustive()
    }
}
