//! A sender that keeps what it was given.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use countersign::contact::Destination;
use countersign::ids::LoginId;
use countersign::sender::{
    CodeMessage, CodeSender, Notice, NoticeKind, Purpose, Reference, SendError, SendErrorKind,
    SendStatus,
};
use countersign::{Method, RequestContext, TenantId, UserId};

/// Receives every code and notice instead of a person. Clones share what was received.
///
/// It does what a real channel does when it is told to: [`script`](Self::script) and
/// [`always`](Self::always).
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    codes: Vec<SentCode>,
    notices: Vec<SentNotice>,
    attempts: usize,
    script: VecDeque<Delivered>,
    always: Option<(Option<Method>, Delivered)>,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// It arrives immediately.
    Now,
    /// It arrives, and the sender needs this long to say so. On tokio's clock, so that a test with
    /// paused time does not wait.
    Late(Duration),
    /// A queue takes it, and it arrives.
    Queued,
    /// The sender says that it was sent, and it never arrives.
    Lost,
    /// It does not arrive, and the sender says why.
    Failed(SendErrorKind),
    /// It arrives although the sender says that it does not know: a time-out after the provider had
    /// taken it.
    ArrivedButUnknown,
    /// The sender never answers. Only dropping the call ends it.
    Hangs,
}

/// A code as it arrived.
#[derive(Clone, Debug)]
pub struct SentCode {
    /// The tenant.
    pub tenant: TenantId,
    /// The user.
    pub user: UserId,
    /// The login.
    pub login: LoginId,
    /// Where it arrived.
    pub to: Destination,
    /// The code, in clear: this is a test.
    pub code: String,
    /// The reference beside it.
    pub reference: Reference,
    /// What it is for.
    pub purpose: Purpose,
    /// How long it lives.
    pub valid_for: Duration,
}

/// A notice as it arrived.
#[derive(Clone, Debug)]
pub struct SentNotice {
    /// The tenant.
    pub tenant: TenantId,
    /// The user.
    pub user: UserId,
    /// Where it arrived.
    pub to: Destination,
    /// What it says.
    pub kind: NoticeKind,
    /// How many notices of this kind were held back before it.
    pub held_back: u32,
    /// Where the request came from that did it.
    pub from: RequestContext,
}

impl Outbox {
    /// An empty outbox, to which everything is delivered immediately.
    pub fn new() -> Self {
        Self::default()
    }

    /// What becomes of the next messages, one after the other. After that everything arrives again.
    pub fn script(&self, next: impl IntoIterator<Item = Delivered>) {
        self.state().script.extend(next);
    }

    /// What becomes of every message for which there is no script: of those by one method, or of
    /// all.
    pub fn always(&self, method: Option<Method>, delivered: Delivered) {
        self.state().always = Some((method, delivered));
    }

    /// The codes that arrived, the oldest first.
    pub fn codes(&self) -> Vec<SentCode> {
        self.state().codes.clone()
    }

    /// The newest code that arrived.
    pub fn last_code(&self) -> Option<SentCode> {
        self.state().codes.last().cloned()
    }

    /// The newest code that arrived for this user.
    pub fn last_code_of(&self, tenant: &TenantId, user: &UserId) -> Option<SentCode> {
        self.state()
            .codes
            .iter()
            .rev()
            .find(|sent| sent.tenant == *tenant && sent.user == *user)
            .cloned()
    }

    /// The notices that arrived, the oldest first.
    pub fn notices(&self) -> Vec<SentNotice> {
        self.state().notices.clone()
    }

    /// How often the sender was called for a code, whatever became of it.
    pub fn attempts(&self) -> usize {
        self.state().attempts
    }

    /// Forgets what arrived and how often it was called; scripts stay.
    pub fn clear(&self) {
        let mut state = self.state();
        state.codes.clear();
        state.notices.clear();
        state.attempts = 0;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, to: &Destination) -> Delivered {
        let mut state = self.state();
        if let Some(scripted) = state.script.pop_front() {
            return scripted;
        }
        match state.always {
            Some((None, always)) => always,
            Some((Some(method), always)) if method == to.method() => always,
            _ => Delivered::Now,
        }
    }

    async fn deliver(
        &self,
        to: &Destination,
        arrive: impl FnOnce(&mut State) + Send,
    ) -> Result<SendStatus, SendError> {
        let delivered = self.next(to);
        match delivered {
            Delivered::Lost => return Ok(SendStatus::Sent),
            Delivered::Failed(kind) => return Err(SendError::new(kind)),
            Delivered::Hangs => std::future::pending().await,
            Delivered::Late(by) => tokio::time::sleep(by).await,
            Delivered::Now | Delivered::Queued | Delivered::ArrivedButUnknown => {}
        }
        arrive(&mut self.state());
        match delivered {
            Delivered::Queued => Ok(SendStatus::Queued),
            Delivered::ArrivedButUnknown => Err(SendError::new(SendErrorKind::Unknown)),
            _ => Ok(SendStatus::Sent),
        }
    }
}

#[async_trait]
impl CodeSender for Outbox {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        {
            let mut state = self.state();
            state.attempts = state.attempts.saturating_add(1);
        }
        let sent = SentCode {
            tenant: message.tenant.clone(),
            user: message.user.clone(),
            login: message.login,
            to: message.destination.clone(),
            code: message.code.expose().to_owned(),
            reference: message.reference,
            purpose: message.purpose,
            valid_for: message.valid_for,
        };
        self.deliver(&message.destination, |state| state.codes.push(sent)).await
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        let sent = SentNotice {
            tenant: notice.tenant.clone(),
            user: notice.user.clone(),
            to: notice.destination.clone(),
            kind: notice.kind.clone(),
            held_back: notice.held_back,
            from: notice.from.clone(),
        };
        self.deliver(&notice.destination, |state| state.notices.push(sent)).await
    }
}
