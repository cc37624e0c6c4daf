//! A code or a notice, handled alike.

use countersign::event::Causes;
use countersign::sender::{CodeMessage, CodeSender, MessageId, Notice, SendError, SendStatus};
use countersign::{Method, TenantId, UserId};

/// A message that somebody else holds.
#[derive(Clone, Copy)]
pub(crate) enum Message<'a> {
    Code(&'a CodeMessage),
    Notice(&'a Notice),
}

/// A message for a task of its own.
pub(crate) enum OwnMessage {
    Code(Box<CodeMessage>),
    Notice(Box<Notice>),
}

impl OwnMessage {
    pub(crate) fn message(&self) -> Message<'_> {
        match self {
            Self::Code(message) => Message::Code(message),
            Self::Notice(notice) => Message::Notice(notice),
        }
    }
}

impl<'a> Message<'a> {
    pub(crate) const fn tenant(self) -> &'a TenantId {
        match self {
            Self::Code(message) => &message.tenant,
            Self::Notice(notice) => &notice.tenant,
        }
    }

    pub(crate) const fn user(self) -> &'a UserId {
        match self {
            Self::Code(message) => &message.user,
            Self::Notice(notice) => &notice.user,
        }
    }

    pub(crate) fn method(self) -> Method {
        match self {
            Self::Code(message) => message.destination.method(),
            Self::Notice(notice) => notice.destination.method(),
        }
    }

    pub(crate) const fn id(self) -> Option<MessageId> {
        match self {
            Self::Code(message) => Some(message.id()),
            Self::Notice(_) => None,
        }
    }

    pub(crate) fn causes(self, error: &SendError) -> Causes {
        match self {
            Self::Code(message) => message.causes(error),
            Self::Notice(notice) => notice.causes(error),
        }
    }

    pub(crate) async fn send_by(self, sender: &dyn CodeSender) -> Result<SendStatus, SendError> {
        match self {
            Self::Code(message) => sender.send_code(message).await,
            Self::Notice(notice) => sender.notify(notice).await,
        }
    }
}
