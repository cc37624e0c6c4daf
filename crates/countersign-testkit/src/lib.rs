//! What any store, sender or policy of [`countersign`] is tested with.
//!
//! - [`conformance`]: the suite that every [`FactorStore`](countersign::store::FactorStore),
//!   [`UserStore`](countersign::user::UserStore) and
//!   [`SendBudget`](countersign::budget::SendBudget) must pass (`I-39`), one test for each clause
//!   of their contracts. [`manual`] says how to write a store that does.
//! - [`Outbox`]: a sender that keeps what it was given, and loses, delays or refuses it when told
//!   to.
//! - [`Counting`] and [`Failing`]: a plug-in whose calls are counted, or fail before or after their
//!   work was done. With an [`Interceptor`] of your own, anything happens around a call.
//! - [`Person`], [`TenantSetup`] and [`World`]: builders for users and tenants, and a flow to log
//!   in to, on any store. The clock is [`ManualClock`]; the randomness [`SeededEntropy`].
//! - [`authenticated`], [`challenge`], [`denied`], [`reason`] and [`refusal`]: what a test expects
//!   of an answer, or else a panic that shows the answer.
//! - [`skip`]: says loudly that something is not tested on this machine.
//!
//! [`conformance`] and [`manual`] are behind the feature `conformance`, which is on by default. The
//! rest compiles in a tenth of the time without it.
//!
//! None of it belongs in an application: the generator is predictable, the password check compares
//! plain text, and codes are kept in clear.

mod calls;
#[cfg(feature = "conformance")]
pub mod conformance;
mod entropy;
mod expect;
mod failing;
mod intercepted;
#[cfg(feature = "conformance")]
pub mod manual;
mod outbox;
mod people;
mod skip;
mod world;

pub use calls::{Calls, Counting};
pub use countersign::clock::ManualClock;
pub use entropy::SeededEntropy;
pub use expect::{authenticated, challenge, denied, reason, refusal};
pub use failing::{Failing, InjectedFault, Mishaps};
pub use intercepted::{InjectedError, Intercepted, Interceptor};
pub use outbox::{Delivered, Outbox, SentCode, SentNotice};
pub use people::{Person, PlainPasswords, TenantSetup};
pub use skip::skip;
pub use world::{Events, World, other_code};
