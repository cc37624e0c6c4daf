// Of two definitions of a link the first one counts: these lead to pages of the documentation,
// those of the README to files of the repository.
#![doc = include_str!("manual/links.md")]
#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

pub mod administration;
pub mod budget;
mod causes;
pub mod clock;
mod codec;
pub mod contact;
pub mod context;
pub mod entropy;
mod epoch;
pub mod error;
pub mod event;
mod first_factor;
mod flow;
pub mod grant;
pub mod ids;
pub mod input;
#[cfg(feature = "internals")]
#[path = "../benches/internals.rs"]
pub mod internals;
mod label;
mod limits;
mod machine;
pub mod manual;
pub mod memory;
pub mod operator;
pub mod password;
pub mod policy;
mod reason;
mod secret;
pub mod sender;
pub mod status;
pub mod store;
mod sync;
mod tag;
pub mod tenant;
mod unicode;
pub mod user;

// What a login page touches. Everything else is in the module of its role.
#[doc(inline)]
pub use contact::Method;
#[doc(inline)]
pub use context::RequestContext;
#[doc(inline)]
pub use error::Error;
pub use flow::{
    Account, Administration, Alternatives, Challenge, DeliveryStatus, IssuedCode, LockOuts, Login,
    LoginFlow, LoginFlowBuilder, LoginStep, MethodChange, PreverifiedLogin, Rehearsal, RequestFlow,
    ResendTo, SetupChallenge, ShownSettings, TrustDevice,
};
#[doc(inline)]
pub use grant::{RevalidateError, SavedGrant, SecondFactor};
#[doc(inline)]
pub use ids::{LoginName, TenantId, UserId};
pub use label::DeviceLabel;
pub use limits::ConfigError;
pub use machine::{Authenticated, Grant};
#[doc(inline)]
pub use policy::{Channel, Scope};
pub use reason::{Denied, OperationError, Reason};
pub use secret::{BackupCode, Code, DeviceToken, Password, PendingToken, Pepper, SetupToken};
#[doc(inline)]
pub use status::FactorStatus;
#[doc(inline)]
pub use tenant::TenantSettings;
