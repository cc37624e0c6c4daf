//! Routing of [countersign](https://docs.rs/countersign) messages. Four senders that are put around others:
//!
//! | | what it does |
//! |---|---|
//! | [`RouteTable`] | chooses the route for each method and tenant, changeable while it runs |
//! | [`InTime`] | a route: answers within a time budget; a slow send goes on in the background |
//! | [`DeliveryLog`] | knows the state of each code, and takes the provider's later reports |
//! | [`Chain`] | tries the next sender where the one before surely did not send |
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
//! use countersign_routing::{Chain, ChainFailure, DeliveryLog, InTime, LateOutcome, RouteTable};
//!
//! let log = DeliveryLog::new();
//! let late = |outcome: &LateOutcome| eprintln!("late: {outcome:?}");
//! let sms = Chain::new(twilio)
//!     .then(vonage)
//!     .on_failure(|failure: &ChainFailure<'_>| eprintln!("failed: {failure:?}"));
//! let routes = RouteTable::new();
//! // Each route has its own deadline and its own bound: SMS that hang do not hold up email.
//! let seconds = Duration::from_secs;
//! routes.set_default(Method::Email, InTime::new(log.watch(mail), seconds(5)).on_late(late));
//! routes.set_default(Method::Sms, InTime::new(log.watch(sms), seconds(5)).on_late(late));
//! // Outermost, so that a message is charged once, whichever provider sends it.
//! let sender = Budgeted::new(routes, MemoryBudget::new(), SendLimits::new());
//! ```
//!
//! Each sender of a [`Chain`] has a bound too, so that one that hangs leaves room for the next. Why a message
//! failed is in the flow's event
//! ([`EventKind::DeliveryFailed`](countersign::EventKind::DeliveryFailed)). What the flow does not learn is told
//! to `on_failure` and `on_late`: a failure that the next sender made good, and the outcome of a message after
//! it was answered as queued.
//!
//! From SMS to the person's email address there is no route here: a message goes to one destination (`I-33`). That step is the flow's
//! ([`fall_back_to_email`](countersign::LoginFlowBuilder::fall_back_to_email)), which makes a new code for it, or the person's
//! ([`ResendTo::Email`](countersign::ResendTo::Email)). A page that shows a code as on its way asks [`DeliveryLog::state`] and offers
//! that step as soon as [`DeliveryState::needs_another_way`].

mod chain;
mod in_time;
mod log;
mod message;
mod table;

pub use chain::{Chain, ChainFailure};
pub use in_time::{InTime, LateOutcome};
pub use log::{DeliveryLog, DeliveryState, Watched};
pub use table::RouteTable;

/// The source of the error where a bound is reached.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("too many messages are being sent")]
struct TooMany;
