// Of two definitions of a link the first one counts: these lead to pages of the documentation, those of
// the README to files of the repository.
#![doc = include_str!("manual/links.md")]
#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

pub mod budget;
mod causes;
mod clock;
mod codec;
mod contact;
mod entropy;
mod error;
mod event;
mod flow;
mod grant;
mod ids;
mod input;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod label;
mod limits;
mod machine;
pub mod manual;
pub mod memory;
pub mod message;
mod overview;
mod password;
mod policy;
mod reason;
mod secret;
mod sender;
mod store;
mod sync;
mod unicode;
mod user;

pub use causes::Causes;
pub use clock::{Clock, ManualClock, SystemClock};
pub use contact::{Destination, EmailAddress, MaskedDestination, Method, PhoneNumber};
pub use entropy::{Entropy, SystemEntropy};
pub use error::{Document, Error, Fault};
pub use event::{Actor, CredentialsCause, Event, EventKind, EventSink, NoEvents, ResetOutcome, SecretKind, Severity};
pub use flow::{
    Account, Administration, Alternatives, Authenticated, Challenge, ConfigError, Delivery, IssuedCode, Login,
    LoginFlow, LoginFlowBuilder, LoginStep, MethodChange, Operator, PurgeProgress, ResendTo, SetupChallenge,
    SweepCursor, SweepProgress, TrustDevice, VouchedLogin,
};
pub use grant::{Basis, Grant, RevalidateError, SavedGrant, Staleness};
pub use ids::{DeviceId, Language, LoginId, LoginName, MalformedId, RecordId, TenantId, UserId, Version};
pub use input::{Field, InvalidInput, Problem};
pub use label::DeviceLabel;
pub use overview::{LockState, Overview, TrustedDevice};
pub use password::{
    Admission, Argon2id, Argon2idBuilder, Argon2idError, Busy, PasswordAttempt, PasswordVerifier, Verdict,
};
pub use policy::{Channel, Exemption, PolicyContext, Requirement, Scope, StandardPolicy, TwoFactorPolicy};
pub use reason::{Denied, Reason, Refused};
pub use secret::{BackupCode, Code, DeviceToken, Password, PendingToken, Pepper, SetupToken};
pub use sender::{
    Accepted, CodeMessage, CodeSender, DeliveryReport, MessageId, Notice, NoticeKind, NoticeTopic, Purpose, Reference,
    SendError, SendErrorKind,
};
pub use store::{Commit, Expected, FactorStore, Generation, MAX_DOCUMENT, Saved, Snapshot};
pub use user::{PasswordHash, User, UserStatus, UserStore};
