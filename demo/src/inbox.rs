//! Where messages go that leave this machine in earnest: a page.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use countersign::TenantId;
use countersign::contact::Destination;
use countersign::sender::{CodeMessage, CodeSender, Notice, SendError, SendStatus};
use countersign_delivery::message::Messages;
use serde::Serialize;

/// How many messages are kept.
const KEPT: usize = 1_000;

/// The newest messages of everybody. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Inbox {
    messages: Messages,
    arrived: Arc<Mutex<VecDeque<Arrived>>>,
}

/// A message as its receiver sees it.
#[derive(Clone, Serialize)]
pub(crate) struct Arrived {
    #[serde(skip)]
    pub(crate) tenant: TenantId,
    /// "Email" or "SMS".
    pub(crate) kind: &'static str,
    pub(crate) user: String,
    pub(crate) to: String,
    pub(crate) subject: String,
    pub(crate) text: String,
    /// The code that is in the text, if one is.
    pub(crate) code: Option<String>,
}

impl Inbox {
    pub(crate) fn new(application: &str) -> Result<Self, Box<dyn Error>> {
        let messages = Messages::builder(application).build()?;
        Ok(Self { messages, arrived: Arc::default() })
    }

    /// The texts, for senders of another kind.
    #[cfg(any(feature = "smtp", feature = "twilio"))]
    pub(crate) fn messages(&self) -> Messages {
        self.messages.clone()
    }

    /// Those of one tenant, the newest first.
    pub(crate) fn of(&self, tenant: &TenantId) -> Vec<Arrived> {
        let arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.iter().rev().filter(|message| message.tenant == *tenant).cloned().collect()
    }

    fn put(&self, message: Arrived) {
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.push_back(message);
        while arrived.len() > KEPT {
            arrived.pop_front();
        }
    }
}

#[async_trait]
impl CodeSender for Inbox {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        let (kind, to, subject, text) = match &message.destination {
            Destination::Email(address) => {
                let email = self.messages.code_email(message);
                (
                    "Email",
                    address.expose(),
                    email.subject().to_owned(),
                    email.expose_text().to_owned(),
                )
            }
            Destination::Sms(number) => {
                let sms = self.messages.code_sms(message);
                ("SMS", number.expose(), String::new(), sms.expose().to_owned())
            }
        };
        self.put(Arrived {
            tenant: message.tenant.clone(),
            kind,
            user: message.user.to_string(),
            to: to.to_owned(),
            subject,
            text,
            code: Some(message.code.expose().to_owned()),
        });
        Ok(SendStatus::Sent)
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        let (kind, to, subject, text) = match &notice.destination {
            Destination::Email(address) => {
                let email = self.messages.notice_email(notice);
                (
                    "Email",
                    address.expose(),
                    email.subject().to_owned(),
                    email.expose_text().to_owned(),
                )
            }
            Destination::Sms(number) => {
                let sms = self.messages.notice_sms(notice);
                ("SMS", number.expose(), String::new(), sms.expose().to_owned())
            }
        };
        self.put(Arrived {
            tenant: notice.tenant.clone(),
            kind,
            user: notice.user.to_string(),
            to: to.to_owned(),
            subject,
            text,
            code: None,
        });
        Ok(SendStatus::Sent)
    }
}
