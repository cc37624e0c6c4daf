//! The demo's sender: a page that shows the messages that would otherwise leave this machine.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use askama::Template;
use async_trait::async_trait;
use axum::Json;
use axum::extract::{Query, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use countersign::TenantId;
use countersign::contact::Destination;
use countersign::sender::{
    CodeMessage, CodeSender, Notice, Purpose, SendError, SendErrorKind, SendStatus,
};
use countersign_delivery::message::Messages;
use serde::{Deserialize, Serialize};

use crate::site::{Site, page};

/// How many messages are kept.
const KEPT: usize = 1_000;

/// The newest messages of everybody. Cheap to clone. To show what else there is, a number that ends
/// in 0000 gets no code to log in, only the one that confirms the number.
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

    /// The newest one of one user.
    pub(crate) fn newest(&self, tenant: &TenantId, user: &str) -> Option<Arrived> {
        let arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let is_theirs = |message: &&Arrived| message.tenant == *tenant && message.user == user;
        arrived.iter().rev().find(is_theirs).cloned()
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
            Destination::Sms(number)
                if number.expose().ends_with("0000") && message.purpose == Purpose::Login =>
            {
                return Err(SendError::new(SendErrorKind::Permanent));
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

#[derive(Template)]
#[template(path = "inbox.html")]
struct InboxPage<'a> {
    style: &'a str,
    messages: Vec<Arrived>,
}

pub(crate) async fn show(State(site): State<Site>, request: Parts) -> Result<Response, StatusCode> {
    let messages = site.inbox.of(&site.tenant(&request).await?);
    page(&InboxPage { style: site.style(), messages })
}

/// Whose messages.
#[derive(Deserialize)]
pub(crate) struct Whose {
    user: Option<String>,
}

/// The same for programs: of everybody, or the newest one of one user.
pub(crate) async fn as_json(
    State(site): State<Site>,
    Query(Whose { user }): Query<Whose>,
    request: Parts,
) -> Result<Response, StatusCode> {
    let tenant = site.tenant(&request).await?;
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    Ok(match user {
        Some(user) => (no_store, Json(site.inbox.newest(&tenant, &user))).into_response(),
        None => (no_store, Json(site.inbox.of(&tenant))).into_response(),
    })
}
