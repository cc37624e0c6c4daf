//! A sender that keeps what it was given.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use countersign::contact::Destination;
use countersign::sender::{
    CodeMessage, CodeSender, Notice, NoticeKind, Purpose, SendError, SendErrorKind, SendStatus,
};
use countersign::{RequestContext, TenantId, UserId};

/// A code as it was sent.
#[derive(Clone, Debug)]
pub struct SentCode {
    pub to: Destination,
    pub code: String,
    pub reference: String,
    pub purpose: Purpose,
    pub user: UserId,
    pub tenant: TenantId,
}

/// Receives what would be sent; fails as long as it is told to.
#[derive(Clone, Default)]
pub struct Outbox {
    codes: Arc<Mutex<Vec<SentCode>>>,
    notices: Arc<Mutex<Vec<(Destination, NoticeKind)>>>,
    held_back: Arc<Mutex<Vec<u32>>>,
    origins: Arc<Mutex<Vec<RequestContext>>>,
    failing: Arc<Mutex<Option<SendErrorKind>>>,
    failing_sms_only: Arc<AtomicBool>,
    attempts: Arc<AtomicUsize>,
}

impl Outbox {
    pub fn codes(&self) -> Vec<SentCode> {
        self.codes.lock().unwrap().clone()
    }

    #[track_caller]
    pub fn last(&self) -> SentCode {
        self.codes.lock().unwrap().last().expect("a code was sent").clone()
    }

    #[track_caller]
    pub fn last_code(&self) -> String {
        self.last().code
    }

    pub fn notices(&self) -> Vec<(Destination, NoticeKind)> {
        self.notices.lock().unwrap().clone()
    }

    /// How many notices each notice says that were held back before it.
    pub fn held_back(&self) -> Vec<u32> {
        self.held_back.lock().unwrap().clone()
    }

    /// Where each notice says that the request came from.
    pub fn origins(&self) -> Vec<RequestContext> {
        self.origins.lock().unwrap().clone()
    }

    /// How often the sender was called for a code, whether it failed or not.
    pub fn attempts(&self) -> usize {
        self.attempts.load(Ordering::SeqCst)
    }

    pub fn fail_with(&self, kind: Option<SendErrorKind>) {
        *self.failing.lock().unwrap() = kind;
    }

    pub fn fail_sms_with(&self, kind: Option<SendErrorKind>) {
        self.failing_sms_only.store(true, Ordering::SeqCst);
        self.fail_with(kind);
    }

    pub fn clear(&self) {
        self.codes.lock().unwrap().clear();
        self.notices.lock().unwrap().clear();
        self.held_back.lock().unwrap().clear();
        self.origins.lock().unwrap().clear();
        self.attempts.store(0, Ordering::SeqCst);
    }

    fn verdict(&self, to: &Destination) -> Result<SendStatus, SendError> {
        let spared =
            self.failing_sms_only.load(Ordering::SeqCst) && !matches!(to, Destination::Sms(_));
        match *self.failing.lock().unwrap() {
            Some(kind) if !spared => Err(SendError::new(kind)),
            _ => Ok(SendStatus::Sent),
        }
    }
}

#[async_trait]
impl CodeSender for Outbox {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        let accepted = self.verdict(&message.destination)?;
        self.codes.lock().unwrap().push(SentCode {
            to: message.destination.clone(),
            code: message.code.expose().to_owned(),
            reference: message.reference.to_string(),
            purpose: message.purpose,
            user: message.user.clone(),
            tenant: message.tenant.clone(),
        });
        Ok(accepted)
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        let accepted = self.verdict(&notice.destination)?;
        self.notices.lock().unwrap().push((notice.destination.clone(), notice.kind.clone()));
        self.held_back.lock().unwrap().push(notice.held_back);
        self.origins.lock().unwrap().push(notice.from.clone());
        Ok(accepted)
    }
}
