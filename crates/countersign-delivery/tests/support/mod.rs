//! What the tests share: providers with a given behaviour, and messages.
#![allow(dead_code, missing_docs, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::missing_panics_doc)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use countersign::contact::{Destination, EmailAddress, PhoneNumber};
use countersign::sender::{
    CodeMessage, CodeSender, Notice, NoticeKind, Purpose, SendError, SendErrorKind, SendStatus,
};
use countersign::{Code, RequestContext, TenantId, UserId};
use time::OffsetDateTime;

#[derive(Clone, Copy)]
pub enum Does {
    Sends,
    Fails(SendErrorKind),
    /// Sends after so long.
    After(Duration, Result<(), SendErrorKind>),
    Never,
    Panics,
}

/// A provider. Clones share it.
#[derive(Clone)]
pub struct Provider {
    does: Arc<Mutex<Does>>,
    calls: Arc<AtomicUsize>,
    codes: Arc<Mutex<Vec<String>>>,
    says: &'static str,
}

impl Provider {
    pub fn new(does: Does) -> Self {
        Self {
            does: Arc::new(Mutex::new(does)),
            calls: Arc::default(),
            codes: Arc::default(),
            says: "",
        }
    }

    /// Gives this as the cause of its failures.
    pub fn saying(mut self, says: &'static str) -> Self {
        self.says = says;
        self
    }

    pub fn now(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }

    /// How often it was asked.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// The codes that it sent.
    pub fn codes(&self) -> Vec<String> {
        self.codes.lock().unwrap().clone()
    }

    async fn act(&self, code: Option<&Code>) -> Result<SendStatus, SendError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let does = *self.does.lock().unwrap();
        let result = match does {
            Does::Sends => Ok(()),
            Does::Fails(kind) => Err(kind),
            Does::After(wait, result) => {
                tokio::time::sleep(wait).await;
                result
            }
            Does::Never => std::future::pending().await,
            Does::Panics => panic!("a provider that panics"),
        };
        result.map_err(|kind| SendError::new(kind).caused_by(self.says))?;
        self.codes.lock().unwrap().extend(code.map(|code| code.expose().to_owned()));
        Ok(SendStatus::Sent)
    }
}

#[async_trait]
impl CodeSender for Provider {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        self.act(Some(&message.code)).await
    }

    async fn notify(&self, _: &Notice) -> Result<SendStatus, SendError> {
        self.act(None).await
    }
}

pub fn sms() -> Destination {
    Destination::Sms(PhoneNumber::new("+819012345634").unwrap())
}

pub fn email() -> Destination {
    Destination::Email(EmailAddress::new("alice@example.com").unwrap())
}

pub fn code(tenant: &str, destination: Destination) -> CodeMessage {
    CodeMessage {
        tenant: TenantId::new(tenant).unwrap(),
        user: UserId::new("alice").unwrap(),
        login: "AAAAAAAAAAAAAAAAAAAAAA".parse().unwrap(),
        purpose: Purpose::Login,
        destination,
        code: Code::new("836194"),
        reference: serde_json::from_str("\"BKTR\"").unwrap(),
        valid_for: Duration::from_secs(180),
        expires_at: OffsetDateTime::UNIX_EPOCH,
        language: None,
    }
}

pub fn notice(destination: Destination) -> Notice {
    let (tenant, user) = (TenantId::new("acme").unwrap(), UserId::new("alice").unwrap());
    let (kind, at) = (NoticeKind::Reset, OffsetDateTime::UNIX_EPOCH);
    Notice {
        tenant,
        user,
        destination,
        kind,
        at,
        language: None,
        held_back: 0,
        from: RequestContext::new(),
    }
}

pub async fn outcome(
    sender: &impl CodeSender,
    message: &CodeMessage,
) -> Result<SendStatus, SendErrorKind> {
    sender.send_code(message).await.map_err(|error| error.kind())
}
