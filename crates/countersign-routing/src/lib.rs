//! Routing of [countersign](https://docs.rs/countersign) messages. Four senders that are put around others:
//!
//! | | what it does |
//! |---|---|
//! | [`RouteTable`] | chooses one sender for each method and tenant, changeable while it runs |
//! | [`Chain`] | tries the next sender where the one before surely did not send |
//! | [`DeliveryLog`] | knows what became of each code, and takes the provider's later reports |
//! | [`InTime`] | answers within a time budget; a slow send goes on in the background |
//!
//! ```
//! # use countersign::{Accepted, CodeMessage, CodeSender, Method, Notice, SendError};
//! # use std::time::Duration;
//! # #[derive(Clone)] struct Provider;
//! # #[async_trait::async_trait]
//! # impl CodeSender for Provider {
//! #     async fn send_code(&self, _: &CodeMessage) -> Result<Accepted, SendError> { Ok(Accepted::Sent) }
//! #     async fn notify(&self, _: &Notice) -> Result<Accepted, SendError> { Ok(Accepted::Sent) }
//! # }
//! # let (mail, twilio, vonage) = (Provider, Provider, Provider);
//! use countersign::budget::{Budgeted, MemoryBudget, SendLimits};
//! use countersign_routing::{Chain, DeliveryLog, InTime, RouteTable};
//!
//! let routes = RouteTable::new();
//! routes.set_default(Method::Email, mail);
//! routes.set_default(Method::Sms, Chain::new(twilio).then(vonage));
//! let log = DeliveryLog::new();
//! let sender = InTime::new(log.watch(routes), Duration::from_secs(5));
//! // Outermost, so that a message is charged once, whichever provider sends it.
//! let sender = Budgeted::new(sender, MemoryBudget::new(), SendLimits::new());
//! ```
//!
//! From SMS to the person's email address there is no route here: a message goes to one destination (`I-33`). That step is the flow's
//! ([`fall_back_to_email`](countersign::LoginFlowBuilder::fall_back_to_email)), which makes a new code for it, or the person's
//! ([`ResendTo::Email`](countersign::ResendTo::Email)). A page that shows a code as on its way asks [`DeliveryLog::state`] and offers
//! that step as soon as [`DeliveryState::needs_another_way`].

mod chain;
mod in_time;
mod log;
mod table;

pub use chain::{Chain, ChainFailure};
pub use in_time::{InTime, LateOutcome};
pub use log::{DeliveryLog, DeliveryState, Watched};
pub use table::RouteTable;
