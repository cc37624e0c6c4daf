//! Whose messages they are: one application's for all tenants, or each tenant's own.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;

use super::Messages;
use countersign::TenantId;
use countersign::error::PluginError;
use countersign::sender::{SendError, SendErrorKind};

/// Finds the messages of a tenant: its application name, origin host, languages and words.
///
/// [`Messages`] is one: the same for all tenants. [`TenantMessages`] has them for each tenant.
/// Implement it where names are in a table of the application's:
///
/// ```
/// use countersign_delivery::message::{MessageSource, Messages, MessagesBuilder};
/// use countersign::TenantId;
/// use countersign::error::PluginError;
/// # struct Pool;
/// # impl Pool {
/// #     async fn name_of(&self, tenant: &TenantId) -> Result<Option<String>, std::io::Error> {
/// #         Ok((tenant.as_str() == "acme").then(|| "Acme Books".to_owned()))
/// #     }
/// # }
///
/// struct FromTable {
///     pool: Pool,
///     /// Languages, words and digits, which all tenants share.
///     words: MessagesBuilder,
/// }
///
/// #[async_trait::async_trait]
/// impl MessageSource for FromTable {
///     async fn messages(&self, tenant: &TenantId) -> Result<Option<Messages>, PluginError> {
///         let Some(name) = self.pool.name_of(tenant).await? else { return Ok(None) };
///         Ok(Some(self.words.clone().application(name).build()?))
///     }
/// }
/// # let source = FromTable { pool: Pool, words: Messages::builder("Example") };
/// # let of = |tenant| futures_lite::future::block_on(source.messages(&TenantId::new(tenant).unwrap())).unwrap();
/// # assert_eq!(of("acme").unwrap().application(), "Acme Books");
/// # assert!(of("other").is_none());
/// ```
///
/// Building checks every text in every language, so keep what was built where a lookup is frequent.
///
/// # Contract
///
/// - Answers `None` for a tenant that has no messages, and never another tenant's. *A message that
///   names somebody else looks like fraud, and its last line lets phones offer the code on the
///   wrong site.*
/// - Compares tenants byte for byte, as the stores do.
/// - Answers in bounded time: a login waits for it.
/// - A failed lookup is a [`PluginError`] without secrets: it is logged.
#[async_trait]
pub trait MessageSource: Send + Sync {
    /// The messages of this tenant, or `None` if it has none.
    async fn messages(&self, tenant: &TenantId) -> Result<Option<Messages>, PluginError>;
}

#[async_trait]
impl<T: MessageSource + ?Sized> MessageSource for Arc<T> {
    async fn messages(&self, tenant: &TenantId) -> Result<Option<Messages>, PluginError> {
        (**self).messages(tenant).await
    }
}

/// The same messages for all tenants.
#[async_trait]
impl MessageSource for Messages {
    async fn messages(&self, _: &TenantId) -> Result<Option<Messages>, PluginError> {
        Ok(Some(self.clone()))
    }
}

/// Messages of each tenant, known when the sender is built.
///
/// A tenant that is not in it has no messages: nothing is sent to its users, and the event of the
/// failed delivery says why ([`NoMessages::UnknownTenant`]). [`fallback`](Self::fallback) changes
/// that.
///
/// ```
/// use countersign::TenantId;
/// use countersign_delivery::message::{Messages, TenantMessages};
///
/// // Languages, words and digits are configured once.
/// let words = Messages::builder("Example");
/// let acme = words.clone().application("Acme Books").origin_host("login.acme.example").build()?;
/// let bolt = words.clone().application("Bolt Bank").origin_host("bolt.example.com").build()?;
/// let messages = TenantMessages::new()
///     .tenant(TenantId::new("acme")?, acme)
///     .tenant(TenantId::new("bolt")?, bolt);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct TenantMessages {
    tenants: HashMap<TenantId, Messages>,
    fallback: Option<Messages>,
}

impl TenantMessages {
    /// No messages for any tenant yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tenant, or replaces its messages.
    pub fn tenant(mut self, tenant: TenantId, messages: Messages) -> Self {
        self.tenants.insert(tenant, messages);
        self
    }

    /// Sets the messages of every tenant that has none of its own. Their name is read by users of
    /// any tenant, so it has to be the platform's.
    pub fn fallback(mut self, messages: Messages) -> Self {
        self.fallback = Some(messages);
        self
    }
}

#[async_trait]
impl MessageSource for TenantMessages {
    async fn messages(&self, tenant: &TenantId) -> Result<Option<Messages>, PluginError> {
        Ok(self.tenants.get(tenant).or(self.fallback.as_ref()).cloned())
    }
}

/// Why there are no messages to send: the cause inside the [`SendError`] of a sender. Nothing was
/// sent.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NoMessages {
    /// The [`MessageSource`] has none for this tenant. A permanent error.
    #[error("tenant has no messages")]
    UnknownTenant,
    /// The lookup failed. A transient error.
    #[error("messages of the tenant could not be looked up")]
    LookupFailed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The lookup took longer than the sender waits. A transient error.
    #[error("messages of the tenant were not looked up in time")]
    TimedOut,
}

impl From<NoMessages> for SendError {
    fn from(cause: NoMessages) -> Self {
        let kind = match cause {
            NoMessages::UnknownTenant => SendErrorKind::Permanent,
            NoMessages::LookupFailed(_) | NoMessages::TimedOut => SendErrorKind::Transient,
        };
        Self::new(kind).caused_by(cause)
    }
}

/// The messages of a tenant, for a sender: it renders with these and with no others.
///
/// # Errors
///
/// [`NoMessages`], which becomes a [`SendError`] by `?`.
///
/// ```
/// use countersign_delivery::message::{MessageSource, messages_of};
/// use countersign::sender::{CodeMessage, SendError};
///
/// async fn worded(source: &dyn MessageSource, message: &CodeMessage) -> Result<String, SendError> {
///     let messages = messages_of(source, &message.tenant).await?;
///     Ok(messages.code_sms(message).expose().to_owned())
/// }
/// ```
pub async fn messages_of(
    source: &dyn MessageSource,
    tenant: &TenantId,
) -> Result<Messages, NoMessages> {
    let found = source.messages(tenant).await;
    found.map_err(|fault| NoMessages::LookupFailed(fault.into()))?.ok_or(NoMessages::UnknownTenant)
}
