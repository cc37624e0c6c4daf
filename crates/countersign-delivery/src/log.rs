//! The status of each code.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use countersign::sender::{
    CodeMessage, CodeSender, DeliveryReport, MessageId, Notice, SendError, SendErrorKind,
    SendStatus,
};
use serde::Serialize;

/// The status of the latest codes, in memory. Clones share it.
///
/// A page asks with the [`MessageId`] that it makes of its [`Challenge`](countersign::Challenge):
/// the login and the code's reference. It knows the codes that this process sent: on several nodes,
/// pass a report for which [`report`](Self::report) answers `false` on to the others, and ask the
/// node that sent the code. A page that learns nothing offers email all the same, in
/// [`Challenge`](countersign::Challenge)'s `alternatives`.
///
/// Holds ids and states only. A report that somebody forges can make a page offer another way too
/// early and nothing else; check the provider's signature all the same.
#[derive(Clone)]
pub struct DeliveryLog {
    entries: Arc<Mutex<Entries>>,
    most: usize,
}

#[derive(Default)]
struct Entries {
    states: HashMap<MessageId, DeliveryState>,
    order: VecDeque<MessageId>,
}

/// What is known of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeliveryState {
    /// It is being sent.
    Pending,
    /// The provider has taken it.
    Sent,
    /// The phone or mailbox has it.
    Delivered,
    /// It could not be sent.
    Failed {
        /// How.
        error: SendErrorKind,
    },
    /// The provider says that it will not arrive.
    Undeliverable,
}

impl DeliveryState {
    /// Whether the page should offer another way now.
    pub const fn needs_another_way(self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Undeliverable)
    }
}

impl Default for DeliveryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl DeliveryLog {
    /// A log of the latest 10,000 codes.
    pub fn new() -> Self {
        Self::with_capacity(10_000)
    }

    /// A log of this many.
    pub fn with_capacity(most: usize) -> Self {
        Self { entries: Arc::default(), most }
    }

    /// A sender whose codes are in this log. Inside [`Deadline`](crate::Deadline), so that late
    /// results are seen.
    pub fn track<S: CodeSender>(&self, sender: S) -> Tracked<S> {
        Tracked { sender, log: self.clone() }
    }

    /// The status of a code. `None`: it is not, or no longer, in the log.
    pub fn state(&self, code: MessageId) -> Option<DeliveryState> {
        self.lock().states.get(&code).copied()
    }

    /// Takes a provider's report. Answers whether the code is in the log; of one that is not,
    /// nothing is kept.
    pub fn report(&self, code: MessageId, report: DeliveryReport) -> bool {
        let mut entries = self.lock();
        let Some(state) = entries.states.get_mut(&code) else { return false };
        // Reports overtake each other; what arrived stays arrived.
        let arrived = *state == DeliveryState::Delivered || report == DeliveryReport::Delivered;
        *state = if arrived { DeliveryState::Delivered } else { DeliveryState::Undeliverable };
        true
    }

    fn begin(&self, code: MessageId) {
        let mut entries = self.lock();
        if entries.states.insert(code, DeliveryState::Pending).is_none() {
            entries.order.push_back(code);
        }
        while entries.order.len() > self.most {
            if let Some(oldest) = entries.order.pop_front() {
                entries.states.remove(&oldest);
            }
        }
    }

    /// The sender's result, unless a report came first.
    fn end(&self, code: MessageId, next: DeliveryState) {
        if let Some(state) =
            self.lock().states.get_mut(&code).filter(|state| **state == DeliveryState::Pending)
        {
            *state = next;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for DeliveryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryLog")
            .field("codes", &self.lock().states.len())
            .finish_non_exhaustive()
    }
}

/// A sender whose codes are in a [`DeliveryLog`].
#[derive(Debug)]
pub struct Tracked<S> {
    sender: S,
    log: DeliveryLog,
}

/// How a send ends: as said, or, if it is dropped in the middle, perhaps sent.
struct Ending<'a> {
    log: &'a DeliveryLog,
    code: MessageId,
    then: DeliveryState,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.log.end(self.code, self.then);
    }
}

#[async_trait]
impl<S: CodeSender> CodeSender for Tracked<S> {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        let id = message.id();
        self.log.begin(id);
        let unknown = DeliveryState::Failed { error: SendErrorKind::Unknown };
        let mut ending = Ending { log: &self.log, code: id, then: unknown };
        let result = self.sender.send_code(message).await;
        ending.then = match &result {
            Ok(SendStatus::Sent) => DeliveryState::Sent,
            // Somebody further in sends it later, and is the one to know.
            Ok(_) => DeliveryState::Pending,
            Err(error) => DeliveryState::Failed { error: error.kind() },
        };
        result
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        self.sender.notify(notice).await
    }
}
