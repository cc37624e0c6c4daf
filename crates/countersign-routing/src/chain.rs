//! The next sender, where the one before surely did not send.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use countersign::{Accepted, CodeMessage, CodeSender, Method, Notice, SendError, SendErrorKind, TenantId};

/// Senders of one method, tried in order.
///
/// The next one is tried only where the one before surely did not send; after an *unknown* result none is, since a person with two messages
/// is asked for the wrong code. If all fail, the answer is the failure that leaves most hope: transient, then throttled, then permanent.
pub struct Chain {
    senders: Vec<Arc<dyn CodeSender>>,
    on_failure: Arc<dyn Fn(&ChainFailure<'_>) + Send + Sync>,
}

/// One sender of a chain failed. Safe to log.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ChainFailure<'a> {
    /// Its place in the chain, from 0.
    pub position: usize,
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The method.
    pub method: Method,
    /// How.
    pub error: &'a SendError,
}

impl Chain {
    /// A chain of one.
    pub fn new(first: impl CodeSender + 'static) -> Self {
        Self { senders: vec![Arc::new(first)], on_failure: Arc::new(|_| {}) }
    }

    /// Another one at its end.
    #[must_use]
    pub fn then(mut self, next: impl CodeSender + 'static) -> Self {
        self.senders.push(Arc::new(next));
        self
    }

    /// Is told of each failure, also of those that another sender made good. MUST NOT block and MUST NOT panic: a login waits for it.
    #[must_use]
    pub fn on_failure(mut self, tell: impl Fn(&ChainFailure<'_>) + Send + Sync + 'static) -> Self {
        self.on_failure = Arc::new(tell);
        self
    }

    async fn send(&self, message: Message<'_>) -> Result<Accepted, SendError> {
        let (tenant, method) = message.about();
        let mut best: Option<SendError> = None;
        for (position, sender) in self.senders.iter().enumerate() {
            let error = match message.send_by(&**sender).await {
                Ok(accepted) => return Ok(accepted),
                Err(error) => error,
            };
            (self.on_failure)(&ChainFailure { position, tenant, method, error: &error });
            if !error.kind().surely_not_sent() {
                return Err(error);
            }
            best = best.filter(|earlier| hope(earlier.kind()) >= hope(error.kind())).or(Some(error));
        }
        Err(best.unwrap_or_else(|| SendError::new(SendErrorKind::Permanent)))
    }
}

/// A code or a notice.
#[derive(Clone, Copy)]
enum Message<'a> {
    Code(&'a CodeMessage),
    Notice(&'a Notice),
}

impl<'a> Message<'a> {
    fn about(self) -> (&'a TenantId, Method) {
        match self {
            Self::Code(message) => (&message.tenant, message.destination.method()),
            Self::Notice(notice) => (&notice.tenant, notice.destination.method()),
        }
    }

    async fn send_by(self, sender: &dyn CodeSender) -> Result<Accepted, SendError> {
        match self {
            Self::Code(message) => sender.send_code(message).await,
            Self::Notice(notice) => sender.notify(notice).await,
        }
    }
}

fn hope(kind: SendErrorKind) -> u8 {
    match kind {
        SendErrorKind::Transient => 2,
        SendErrorKind::Throttled { .. } => 1,
        _ => 0,
    }
}

#[async_trait]
impl CodeSender for Chain {
    async fn send_code(&self, message: &CodeMessage) -> Result<Accepted, SendError> {
        self.send(Message::Code(message)).await
    }

    async fn notify(&self, notice: &Notice) -> Result<Accepted, SendError> {
        self.send(Message::Notice(notice)).await
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("senders", &self.senders.len()).finish_non_exhaustive()
    }
}
