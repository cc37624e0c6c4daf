//! What happened, for audit logs and for the host's reactions (`I-38`).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::contact::Method;
use crate::context::RequestContext;
use crate::grant::SecondFactor;
use crate::ids::{DeviceId, LoginId, TenantId, UserId};
use crate::policy::{Channel, Scope};
use crate::sender::{NoticeTopic, SendErrorKind};
use crate::tenant::TenantSettings;

pub use crate::causes::Causes;

/// Receives one [`Event`] for each change of state and each refusal, after it is saved.
///
/// # Contract
///
/// MUST NOT block and MUST NOT panic: a login waits for it. A sink that writes elsewhere hands over
/// to a queue. Losing events loses the audit trail and nothing else.
pub trait EventSink: Send + Sync {
    /// Takes one event.
    fn emit(&self, event: &Event);
}

impl<T: EventSink + ?Sized> EventSink for Arc<T> {
    fn emit(&self, event: &Event) {
        (**self).emit(event);
    }
}

/// Drops every event. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEvents;

impl EventSink for NoEvents {
    fn emit(&self, _: &Event) {}
}

/// One thing that happened: tenant-tagged, free of secrets and of what unknown people typed, safe
/// to log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// When it was decided, by the flow's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The tenant.
    pub tenant: TenantId,
    /// The user it is about. `None` where nobody of that name or token is known, or where it is
    /// about the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Where the request came from that did it. Nothing is known of a job's, and of an operator's.
    #[serde(default, skip_serializing_if = "RequestContext::is_empty")]
    pub request: RequestContext,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

impl Event {
    /// Whether sessions may have become stale by it: the host should hold this user's, or, where
    /// [`Event::user`] is `None`, the tenant's against
    /// [`RequestFlow::revalidate`](crate::RequestFlow::revalidate).
    ///
    /// What happens in the application's own table, such as a new password, a disabled account or a
    /// promotion, makes no event here.
    pub const fn calls_for_revalidation(&self) -> bool {
        matches!(
            self.kind,
            EventKind::UserReset { .. }
                | EventKind::UserForgotten { .. }
                | EventKind::MethodChanged { .. }
                | EventKind::DeviceRevoked { .. }
                | EventKind::DevicesRevoked { .. }
                | EventKind::ScopeChanged { .. }
                | EventKind::SettingsChanged { .. }
        )
    }
}

/// `2026-11-24T10:00:00Z tenant="acme" user="u1" {"event":"login_cancelled",...}`: one line,
/// without control characters, and with ids quoted so that none can look like another field.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self
            .at
            .format(&time::format_description::well_known::Rfc3339)
            .map_err(|_| fmt::Error)?;
        let quoted = |id: &str| serde_json::to_string(id).map_err(|_| fmt::Error);
        write!(f, "{at} tenant={}", quoted(self.tenant.as_str())?)?;
        if let Some(user) = &self.user {
            write!(f, " user={}", quoted(user.as_str())?)?;
        }
        if !self.request.is_empty() {
            let request = serde_json::to_string(&self.request).map_err(|_| fmt::Error)?;
            write!(f, " request={request}")?;
        }
        let kind = serde_json::to_string(&self.kind).map_err(|_| fmt::Error)?;
        write!(f, " {kind}")
    }
}

/// The kinds of event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// A first step was refused with
    /// [`Reason::InvalidCredentials`](crate::Reason::InvalidCredentials). The real cause is here
    /// and nowhere else (`I-17`).
    CredentialsRefused {
        /// The cause.
        cause: CredentialsCause,
        /// Until when passwords of this user are not checked, if this failure locked them.
        #[serde(
            default,
            with = "time::serde::rfc3339::option",
            skip_serializing_if = "Option::is_none"
        )]
        locked_until: Option<OffsetDateTime>,
    },
    /// The first factor was right, and the login was refused all the same.
    LoginRefused {
        /// A [`Reason::code`](crate::Reason::code).
        reason: Cow<'static, str>,
    },
    /// The first factor was right, and a code is required.
    CodeRequired {
        /// The login.
        login: LoginId,
        /// How it came in.
        #[serde(deserialize_with = "crate::policy::read_channel")]
        channel: Channel,
        /// Where the code goes; `None` if none is sent now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        method: Option<Method>,
    },
    /// Another code was made for a login.
    CodeResent {
        /// The login.
        login: LoginId,
        /// Where it goes.
        method: Method,
    },
    /// A code, or a code that proves a method, could not be sent.
    DeliveryFailed {
        /// The login.
        login: LoginId,
        /// Where it should have gone.
        method: Method,
        /// How it failed.
        error: SendErrorKind,
        /// Why, as far as the sender said.
        #[serde(default, skip_serializing_if = "Causes::is_empty")]
        causes: Causes,
    },
    /// The application's [`SendCheck`](crate::sender::SendCheck) kept a code from being sent.
    DeliveryRefused {
        /// The login.
        login: LoginId,
        /// Where it should have gone.
        method: Method,
        /// What the check said: a short, stable name.
        risk: Cow<'static, str>,
    },
    /// A wrong code or backup code was charged. Half-done logins with wrong codes are worth an
    /// alert: the password is known.
    SecretWrong {
        /// The login.
        login: LoginId,
        /// Which kind of secret.
        secret: SecretKind,
        /// Until when secrets of this kind are not accepted, if this one locked them.
        #[serde(
            default,
            with = "time::serde::rfc3339::option",
            skip_serializing_if = "Option::is_none"
        )]
        locked_until: Option<OffsetDateTime>,
        /// Whether this one suspended the second factor (`I-11`).
        suspended: bool,
    },
    /// A step was refused without a comparison. `busy` is worth a look: more first steps came than
    /// passwords can be checked.
    StepRefused {
        /// The login, where it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        login: Option<LoginId>,
        /// A [`Reason::code`](crate::Reason::code).
        reason: Cow<'static, str>,
    },
    /// Somebody is in.
    LoginCompleted {
        /// The login.
        login: LoginId,
        /// How it came in.
        #[serde(deserialize_with = "crate::policy::read_channel")]
        channel: Channel,
        /// What stood beside the password, or beside the identity provider's word.
        basis: SecondFactor,
        /// The device that was registered with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trusted: Option<DeviceId>,
    },
    /// A signed-in user typed their password once more, and it was right.
    PasswordConfirmed {
        /// The login that their session came from.
        login: LoginId,
    },
    /// The person gave a login up.
    LoginCancelled {
        /// The login.
        login: LoginId,
    },
    /// The saved password hash was replaced by one under newer parameters, or could not be.
    PasswordRehashed {
        /// Whether it was.
        saved: bool,
    },
    /// A code was made to prove a method.
    SetupStarted {
        /// The method.
        method: Method,
    },
    /// Codes go to this method from now on. The earlier one's trusted devices are gone.
    MethodChanged {
        /// The method from now on.
        to: Method,
    },
    /// A trusted device was deleted by its owner.
    DeviceRevoked {
        /// Which one.
        device: DeviceId,
    },
    /// All trusted devices were deleted by their owner.
    DevicesRevoked {
        /// How many.
        count: u32,
    },
    /// A new backup code was made.
    BackupCodeMade,
    /// A change that a user asked for on the account page was refused.
    AccountRefused {
        /// A [`Reason::code`](crate::Reason::code).
        reason: Cow<'static, str>,
    },
    /// Who needs the second factor was changed, and nothing else.
    ScopeChanged {
        /// Before.
        from: Scope,
        /// From now on.
        to: Scope,
        /// By whom.
        by: Actor,
    },
    /// A tenant's settings were changed, in more than the scope.
    SettingsChanged {
        /// Before.
        from: TenantSettings,
        /// From now on.
        to: TenantSettings,
        /// Whether anybody is protected less than before.
        weakens: bool,
        /// By whom.
        by: Actor,
    },
    /// Settings were saved for a tenant that had none. Nobody needs the second factor there, as
    /// before. Where the first settings ask somebody for one, the event is
    /// [`ScopeChanged`](Self::ScopeChanged).
    TenantSetUp {
        /// By whom.
        by: Actor,
    },
    /// Everything saved for a user's second factor was cleared.
    UserReset {
        /// By whom.
        by: Actor,
        /// Whether the budgets were refilled.
        outcome: ResetOutcome,
    },
    /// A user's locks were lifted.
    UserUnlocked {
        /// By whom.
        by: Actor,
    },
    /// A user's record was deleted because the application forgets the user.
    UserForgotten {
        /// By whom.
        by: Actor,
    },
    /// An administrative operation was refused.
    AdministrationRefused {
        /// Who asked.
        by: Actor,
        /// A [`Reason::code`](crate::Reason::code).
        reason: Cow<'static, str>,
    },
    /// No record from before the last switching off is left.
    PurgeFinished,
    /// A sweep deleted records that held nothing worth keeping.
    RecordsSwept {
        /// How many.
        removed: u64,
    },
    /// A notice could not be sent.
    NoticeFailed {
        /// How it failed.
        error: SendErrorKind,
        /// Why, as far as the sender said.
        #[serde(default, skip_serializing_if = "Causes::is_empty")]
        causes: Causes,
    },
    /// A notice was not sent: one of the same kind went within the hour before, or there are more
    /// than twenty administrators to notify. Many in a row are worth an alert.
    ///
    /// The next notice to a user says how many were held back. With the topic `SettingsChanged` the
    /// event has no user: the tenant's administrators were not notified, or only the first twenty.
    NoticeHeldBack {
        /// What it was about.
        about: NoticeTopic,
    },
}

/// What a reset did to the budgets of wrong codes and of messages. Everything else is cleared by
/// each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "budgets", rename_all = "snake_case")]
#[must_use = "where budgets were kept, the user may have none left: show it to the administrator"]
#[non_exhaustive]
pub enum ResetOutcome {
    /// They are full again. This counts as one of the
    /// [`refills_per_month`](crate::LoginFlowBuilder::refills_per_month).
    Refilled,
    /// They are full again, beyond that number: the operator said so, or nothing could be read of
    /// what was saved. Worth an alert if it was not the operator.
    RefilledBeyond,
    /// They stay as they were, because resets have refilled them as often in 30 days as they may.
    /// If the user has used them up, they can log in again when the budgets have room, or after
    /// [`Operator::reset_and_refill`](crate::operator::Operator::reset_and_refill).
    BudgetsKept {
        /// When the next reset refills them. `None`: no reset does, by the configuration.
        #[serde(
            default,
            with = "time::serde::rfc3339::option",
            skip_serializing_if = "Option::is_none"
        )]
        refills_from: Option<OffsetDateTime>,
    },
}

impl EventKind {
    /// The stable name, such as `login_completed`: the same as `event` in the serialised form. For
    /// counters and for filters.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::CredentialsRefused { .. } => "credentials_refused",
            Self::LoginRefused { .. } => "login_refused",
            Self::CodeRequired { .. } => "code_required",
            Self::CodeResent { .. } => "code_resent",
            Self::DeliveryFailed { .. } => "delivery_failed",
            Self::SecretWrong { .. } => "secret_wrong",
            Self::StepRefused { .. } => "step_refused",
            Self::LoginCompleted { .. } => "login_completed",
            Self::LoginCancelled { .. } => "login_cancelled",
            Self::PasswordRehashed { .. } => "password_rehashed",
            Self::PasswordConfirmed { .. } => "password_confirmed",
            Self::SetupStarted { .. } => "setup_started",
            Self::MethodChanged { .. } => "method_changed",
            Self::DeviceRevoked { .. } => "device_revoked",
            Self::DevicesRevoked { .. } => "devices_revoked",
            Self::BackupCodeMade => "backup_code_made",
            Self::AccountRefused { .. } => "account_refused",
            Self::DeliveryRefused { .. } => "delivery_refused",
            Self::ScopeChanged { .. } => "scope_changed",
            Self::SettingsChanged { .. } => "settings_changed",
            Self::TenantSetUp { .. } => "tenant_set_up",
            Self::UserReset { .. } => "user_reset",
            Self::UserUnlocked { .. } => "user_unlocked",
            Self::UserForgotten { .. } => "user_forgotten",
            Self::AdministrationRefused { .. } => "administration_refused",
            Self::PurgeFinished => "purge_finished",
            Self::RecordsSwept { .. } => "records_swept",
            Self::NoticeFailed { .. } => "notice_failed",
            Self::NoticeHeldBack { .. } => "notice_held_back",
        }
    }

    /// How much attention it deserves.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::ScopeChanged { from, to, .. } if to.asks_fewer_than(*from) => Severity::Alert,
            Self::SettingsChanged { weakens: true, .. }
            | Self::UserReset { outcome: ResetOutcome::RefilledBeyond, .. } => Severity::Alert,
            Self::LoginCompleted { basis: SecondFactor::BackupCode, .. }
            | Self::LoginRefused { .. }
            | Self::DeliveryFailed { .. }
            | Self::DeliveryRefused { .. }
            | Self::PasswordRehashed { saved: false }
            | Self::SecretWrong { locked_until: None, suspended: false, .. }
            | Self::UserReset { .. }
            | Self::UserUnlocked { .. }
            | Self::AdministrationRefused {
                by: Actor::Administrator { .. } | Actor::Operator { .. },
                ..
            }
            | Self::NoticeFailed { .. }
            | Self::NoticeHeldBack { .. }
            | Self::CredentialsRefused { locked_until: Some(_), .. }
            | Self::CredentialsRefused {
                cause: CredentialsCause::Disabled | CredentialsCause::PasswordLocked,
                ..
            } => Severity::Warning,
            Self::SecretWrong { .. } | Self::AdministrationRefused { .. } => Severity::Alert,
            Self::LoginCompleted { .. }
            | Self::CodeRequired { .. }
            | Self::CodeResent { .. }
            | Self::LoginCancelled { .. }
            | Self::PasswordRehashed { .. }
            | Self::PasswordConfirmed { .. }
            | Self::SetupStarted { .. }
            | Self::MethodChanged { .. }
            | Self::DeviceRevoked { .. }
            | Self::DevicesRevoked { .. }
            | Self::BackupCodeMade
            | Self::StepRefused { .. }
            | Self::AccountRefused { .. }
            | Self::ScopeChanged { .. }
            | Self::SettingsChanged { .. }
            | Self::TenantSetUp { .. }
            | Self::UserForgotten { .. }
            | Self::PurgeFinished
            | Self::RecordsSwept { .. }
            | Self::CredentialsRefused { .. } => Severity::Info,
        }
    }
}

/// How much attention an event deserves, from least to most: `severity >= Severity::Warning`
/// selects what an operator reads, `Severity::Alert` what wakes somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Severity {
    /// Everyday business, single mistakes of people among it. Alert on the rate, not on one.
    Info,
    /// Worth reading: a delivery or a notice failed, a notice was held back, a password lock, a
    /// wrong code after a right password, a login with the backup code, a reset.
    Warning,
    /// Worth a look now: somebody who has a password guessed codes until they were locked, a reset
    /// gave more guesses than the month's refills allow, fewer people are asked for a second factor
    /// from now on, or a session of another tenant asked for administration here.
    Alert,
}

impl Severity {
    /// The stable name: `info`, `warning` or `alert`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Alert => "alert",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a first step was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CredentialsCause {
    /// Nobody of this tenant has that name.
    UnknownUser,
    /// The password is wrong.
    WrongPassword,
    /// The user is disabled.
    Disabled,
    /// Passwords of this user are not checked for a time.
    PasswordLocked,
}

/// A kind of secret with a failure budget of its own (`I-10`, `I-14`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SecretKind {
    /// A code to log in with.
    Code,
    /// The backup code.
    BackupCode,
    /// The password of a signed-in user, typed once more.
    Password,
    /// A code that proves a number or address.
    SetupCode,
}

/// Who did something administrative.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Actor {
    /// A system administrator of the tenant; of what was refused, the user of the tenant who asked.
    Administrator {
        /// Who.
        user: UserId,
    },
    /// A user of another tenant, whose session came with a request for this one. Only ever refused.
    /// For the host's own eyes: a page that shows a tenant its events leaves out whose it was.
    OtherTenant {
        /// Theirs.
        tenant: TenantId,
        /// Who, there.
        user: UserId,
    },
    /// The host's own break-glass handle.
    Operator {
        /// The reason that was given.
        reason: String,
    },
}
