//! What the steps of a login take and answer.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use time::OffsetDateTime;

use crate::contact::{MaskedDestination, Method};
use crate::ids::{LoginId, UserId};
use crate::machine::Authenticated;
use crate::policy::Channel;
use crate::reason::Denied;
use crate::secret::{DeviceToken, Password, PendingToken, SetupToken};
use crate::sender::{Reference, SendErrorKind};

/// What a person gives at the first step.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// The name, as typed.
    pub name: &'a str,
    /// The password, as typed.
    pub password: &'a Password,
    /// How the login comes in. There is no default (`I-35`).
    pub channel: Channel,
    /// The trusted-device token that the browser or device presents, if it does.
    pub device: Option<&'a DeviceToken>,
}

/// Without the name: people type passwords into the wrong field.
impl fmt::Debug for Login<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("channel", &self.channel).finish_non_exhaustive()
    }
}

/// A first step whose password the application has just checked itself.
#[derive(Clone, Copy, Debug)]
pub struct PreverifiedLogin<'a> {
    /// The user whose password was right.
    pub user: &'a UserId,
    /// How the login comes in.
    pub channel: Channel,
    /// The trusted-device token that the browser or device presents, if it does.
    pub device: Option<&'a DeviceToken>,
}

/// Where a login stands.
///
/// As JSON it is one object, told apart by `step`: `authenticated`, `code_required` with the fields
/// of [`Challenge`], or `denied` with those of [`Denied`]. It holds no secret: hand out tokens and
/// the backup code yourself.
#[derive(Debug, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
#[must_use = "only `Authenticated` lets the person in; a step that is dropped lets nobody in and can not be asked for again"]
pub enum LoginStep {
    /// The person is in.
    Authenticated(Authenticated),
    /// A second factor is asked for.
    CodeRequired(Box<Challenge>),
    /// Refused. After a wrong code the login goes on; show the reason and let the person try again.
    Denied(Denied),
}

impl LoginStep {
    /// The refusal, if it is one.
    pub const fn denied(&self) -> Option<&Denied> {
        match self {
            Self::Denied(denied) => Some(denied),
            Self::Authenticated(_) | Self::CodeRequired(_) => None,
        }
    }
}

/// A login that waits for its second factor: all that a page needs to ask for it. Not `Clone`: it
/// holds the token.
#[derive(Debug, Serialize)]
#[must_use = "without its token the login can not be finished, and its code was sent for nothing"]
#[non_exhaustive]
pub struct Challenge {
    /// For the client; not part of the serialised form.
    #[serde(skip)]
    pub token: PendingToken,
    /// The login, for audit logs.
    pub login: LoginId,
    /// Whether a code is on its way, and which.
    pub delivery: DeliveryStatus,
    /// How many digits a code has.
    pub digits: u8,
    /// How many wrong codes are accepted before the user is locked.
    pub attempts_left: u32,
    /// When the login ends, whatever is sent again.
    #[serde(with = "time::serde::rfc3339")]
    pub login_expires_at: OffsetDateTime,
    /// From when another code may be asked for. `None`: this login gets no more.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub resend_at: Option<OffsetDateTime>,
    /// The other ways on.
    pub alternatives: Alternatives,
    /// Whether the page may offer to trust this device.
    pub trust_device: bool,
}

/// What a page may say of a code that is, or may be, on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct IssuedCode {
    /// How it travels.
    pub method: Method,
    /// Where to, masked.
    pub destination: MaskedDestination,
    /// The four letters that are in the message too. After a resend they tell which of two messages
    /// counts.
    pub reference: Reference,
    /// When the code stops working.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// Ways on beside the code that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Alternatives {
    /// A code can go to this email address instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<MaskedDestination>,
    /// A code can go to this phone number instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sms: Option<MaskedDestination>,
    /// The backup code is accepted.
    pub backup_code: bool,
}

/// Whether a code was sent in this step. What a page says of a code that was sent is inside the
/// status that says it was, so that no page can say "a code was sent" after a failure.
///
/// As JSON it is one object, such as
/// `{"state":"sent","method":"email","destination":"a***@example.com","reference":"BKTR",...}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[must_use = "without it the page can not say whether a code was sent, and where to"]
#[non_exhaustive]
pub enum DeliveryStatus {
    /// The provider or mail server has taken it.
    Sent(IssuedCode),
    /// It is queued; nobody knows yet whether it will be taken.
    Queued(IssuedCode),
    /// Nobody knows whether it went out, for example after a time-out. If the message arrives, its
    /// code works. Say "if nothing arrives", not "a code was sent".
    PerhapsSent(IssuedCode),
    /// A code was made in an earlier step: what
    /// [`RequestFlow::challenge`](crate::RequestFlow::challenge) answers. Whether it could be sent
    /// is not known here. Say "if nothing arrives", as for [`PerhapsSent`](Self::PerhapsSent).
    MadeEarlier(IssuedCode),
    /// The sender failed, and the code was surely not sent. The person can ask for another or use
    /// one of the [`Alternatives`]; the send stays charged (`I-24`).
    Failed {
        /// How it should have travelled.
        method: Method,
        /// Where it should have gone, masked.
        destination: MaskedDestination,
        /// How the sender failed.
        error: SendErrorKind,
    },
    /// No code was made in this step. The login goes on: later with another code, or with the
    /// backup code.
    NotMade {
        /// Why, and until when.
        denied: Denied,
    },
}

impl DeliveryStatus {
    /// The code that was sent or queued in this step. `None` if that failed, if nobody knows
    /// ([`PerhapsSent`](Self::PerhapsSent)), or if no code was made.
    pub const fn sent(&self) -> Option<&IssuedCode> {
        match self {
            Self::Sent(code) | Self::Queued(code) => Some(code),
            Self::PerhapsSent(_)
            | Self::MadeEarlier(_)
            | Self::Failed { .. }
            | Self::NotMade { .. } => None,
        }
    }
}

/// Whether the device that gives the code is to be trusted from now on.
#[derive(Clone, Copy, Debug, Default)]
pub enum TrustDevice<'a> {
    /// It is not.
    #[default]
    No,
    /// It is, under this name, of which [`DeviceLabel`](crate::DeviceLabel) keeps the visible part.
    /// The person must have asked for it.
    ///
    /// Where the user has as many devices as they may, the one that was not used for longest is
    /// dropped, and the notice says so. A user with neither password hash nor security stamp gets
    /// no trusted device: nothing would end it when the password changes.
    Named(&'a str),
    /// The same for a browser that still holds a device token, whether or not it is trusted: the
    /// new entry takes the place of its earlier one instead of standing beside it.
    Again {
        /// The name.
        name: &'a str,
        /// The token that the browser holds.
        token: &'a DeviceToken,
    },
}

/// Where another code is to go. As JSON: `"same"`, `"email"` or `"sms"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResendTo {
    /// Where the last one of this login went.
    #[default]
    Same,
    /// To the registered email address, for this login.
    Email,
    /// To the proved phone number.
    Sms,
}

/// A number or address that is being proved. Not `Clone`: it holds the token.
#[derive(Debug, Serialize)]
#[must_use = "codes go where they went before until its token comes back with the code"]
#[non_exhaustive]
pub struct SetupChallenge {
    /// For the client; not part of the serialised form.
    #[serde(skip)]
    pub token: SetupToken,
    /// Whether the code that proves it is on its way.
    pub delivery: DeliveryStatus,
    /// How many digits it has.
    pub digits: u8,
}

/// The next step of a change of method.
///
/// As JSON it is one object, told apart by `change`: `prove` with the fields of [`SetupChallenge`],
/// or `done` with the method.
#[derive(Debug)]
#[must_use = "after `Prove` nothing has changed: codes go where they went before until the code comes back"]
pub enum MethodChange {
    /// A code was sent to the new place: enter it to make the change.
    Prove(SetupChallenge),
    /// It is made: this login was completed with a code that was sent there.
    Done(Method),
}

impl Serialize for MethodChange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(tag = "change", rename_all = "snake_case")]
        enum Shape<'a> {
            Prove(&'a SetupChallenge),
            Done { method: Method },
        }
        match self {
            Self::Prove(setup) => Shape::Prove(setup),
            Self::Done(method) => Shape::Done { method: *method },
        }
        .serialize(serializer)
    }
}
