//! Every refusal that a person can meet, with a stable code to translate from.

use std::fmt;

use serde::{Serialize, Serializer};
use time::OffsetDateTime;

use crate::input::InvalidInput;
use crate::limits::ConfigError;

/// A step was refused. An outcome, not an error: nothing is broken.
///
/// As JSON: `{"reason":"wrong_code","ends_login":false,"attempts_left":4}`, and `retry_at` (RFC
/// 3339) where it is known. Where a tenant's settings are refused, also which one, and its bounds:
/// `{"reason":"invalid_settings","ends_login":false,"setting":"lockout.wrong_codes",...}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "the step was refused: show the reason"]
pub struct Denied {
    reason: Reason,
    retry_at: Option<OffsetDateTime>,
    attempts_left: Option<u32>,
}

impl Denied {
    pub(crate) const fn new(reason: Reason) -> Self {
        Self { reason, retry_at: None, attempts_left: None }
    }

    pub(crate) const fn until(reason: Reason, retry_at: OffsetDateTime) -> Self {
        Self { reason, retry_at: Some(retry_at), attempts_left: None }
    }

    pub(crate) const fn wrong(
        reason: Reason,
        attempts_left: u32,
        locked_until: Option<OffsetDateTime>,
    ) -> Self {
        Self { reason, retry_at: locked_until, attempts_left: Some(attempts_left) }
    }

    /// Why.
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// When the same request may be answered differently, where that is known.
    pub const fn retry_at(&self) -> Option<OffsetDateTime> {
        self.retry_at
    }

    /// Whether the login is over, so that the user must start again with the password.
    ///
    /// If `false` after a step with a pending token, the same token works for the next try, another
    /// code, or the backup code. A refused `begin` leaves no login, even where this is `false`.
    pub const fn ends_login(&self) -> bool {
        matches!(
            self.reason,
            Reason::InvalidCredentials
                | Reason::Busy
                | Reason::LoginOver
                | Reason::NotInteractive
                | Reason::TooManyLogins
        )
    }

    /// How many attempts are left after a wrong code, backup code or password. `None` for any other
    /// reason.
    pub const fn attempts_left(&self) -> Option<u32> {
        self.attempts_left
    }
}

impl Serialize for Denied {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shape {
            reason: Reason,
            ends_login: bool,
            #[serde(
                with = "time::serde::rfc3339::option",
                skip_serializing_if = "Option::is_none"
            )]
            retry_at: Option<OffsetDateTime>,
            #[serde(skip_serializing_if = "Option::is_none")]
            attempts_left: Option<u32>,
            #[serde(flatten, skip_serializing_if = "Option::is_none")]
            setting: Option<ConfigError>,
        }
        let Self { reason, retry_at, attempts_left } = *self;
        let setting = match reason {
            Reason::InvalidSettings(error) => Some(error),
            _ => None,
        };
        Shape { reason, ends_login: self.ends_login(), retry_at, attempts_left, setting }
            .serialize(serializer)
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason.code())
    }
}

impl From<InvalidInput> for Denied {
    fn from(input: InvalidInput) -> Self {
        Self::new(Reason::InvalidInput(input))
    }
}

/// Why a step was refused. [`code`](Self::code) is stable: translate from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Name and password do not let anybody in. It does not say why (`I-17`).
    InvalidCredentials,
    /// So many passwords are being checked that this one was not looked at. Try again after
    /// [`Denied::retry_at`]; nothing was charged.
    Busy,
    /// The password that a signed-in user typed once more is wrong.
    WrongPassword,
    /// Too many wrong passwords: this user's passwords are not checked until
    /// [`Denied::retry_at`]. A login says [`InvalidCredentials`](Self::InvalidCredentials) instead.
    PasswordsLocked,
    /// The pending login is not, or no longer, known: it expired, was cancelled, was ended by a
    /// change to the user, or the token is not one of this tenant's. Start again with the password.
    LoginOver,
    /// The code is wrong.
    WrongCode,
    /// There is no code that could be right: it expired, was replaced, or was never sent. Ask for
    /// another.
    NoLiveCode,
    /// Too many wrong codes: codes of this user are not accepted for a time. A backup code is.
    CodesLocked,
    /// The backup code is wrong.
    WrongBackupCode,
    /// Too many wrong backup codes in this login. The next login takes as many again.
    LoginBackupCodeLimit,
    /// The user has no backup code.
    NoBackupCode,
    /// So many wrong codes in a row that only an administrator's reset helps (`I-11`).
    Suspended,
    /// Too many codes were sent; another may be sent later.
    SendLimit,
    /// This login has used up its codes. A new login may get one.
    LoginSendLimit,
    /// So many logins of this user wait for their code that no more are begun.
    TooManyLogins,
    /// There is no address or number that a code may go to.
    NoDestination,
    /// The user has no proved phone number, so no code can go by SMS.
    NoPhoneNumber,
    /// The second factor is needed, and nobody is there to type a code: the channel is not
    /// interactive (`I-35`).
    NotInteractive,
    /// The application has not switched trusted devices on.
    TrustedDevicesOff,
    /// The application or the tenant has switched backup codes off.
    BackupCodesOff,
    /// This user does not need the second factor, so nothing about it can be set up.
    NotInUse,
    /// The session is out of date: log in again.
    SessionStale,
    /// The last complete login with a code or backup code is too long ago for this change (`I-32`,
    /// `I-34`). Log in again, and **without** the trusted-device token: with it no code would be
    /// asked for.
    ReauthenticationRequired,
    /// No number or method is being proved under this token.
    SetupOver,
    /// There is no such device, user or right (`I-34`).
    NotFound,
    /// Nobody resets or unlocks their own second factor.
    OwnAccount,
    /// Unlocking does not help this user; a reset does.
    ResetRequired,
    /// The tenant does not allow this method, or the application does not offer it (`I-50`).
    MethodNotAllowed,
    /// The application refuses logins and sessions from where this request comes from.
    RequestRefused,
    /// The tenant's settings are not the ones any more that were shown: look at them again.
    SettingsChanged,
    /// The settings are more lenient than the application allows, or unsafe by arithmetic. It says
    /// which number (`I-42`).
    InvalidSettings(ConfigError),
    /// The change would lock people out, or nobody can tell whether it would: look at a
    /// [rehearsal](crate::Administration::rehearse), and confirm it.
    WouldLockOut,
    /// Something given is empty, over-long or malformed.
    InvalidInput(InvalidInput),
}

impl Reason {
    /// The stable code, such as `wrong_code`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidCredentials => "invalid_credentials",
            Self::Busy => "busy",
            Self::WrongPassword => "wrong_password",
            Self::PasswordsLocked => "passwords_locked",
            Self::LoginOver => "login_over",
            Self::WrongCode => "wrong_code",
            Self::NoLiveCode => "no_live_code",
            Self::CodesLocked => "codes_locked",
            Self::WrongBackupCode => "wrong_backup_code",
            Self::LoginBackupCodeLimit => "login_backup_code_limit",
            Self::NoBackupCode => "no_backup_code",
            Self::Suspended => "suspended",
            Self::SendLimit => "send_limit",
            Self::LoginSendLimit => "login_send_limit",
            Self::TooManyLogins => "too_many_logins",
            Self::NoDestination => "no_destination",
            Self::NoPhoneNumber => "no_phone_number",
            Self::NotInteractive => "not_interactive",
            Self::TrustedDevicesOff => "trusted_devices_off",
            Self::BackupCodesOff => "backup_codes_off",
            Self::NotInUse => "not_in_use",
            Self::SessionStale => "session_stale",
            Self::ReauthenticationRequired => "reauthentication_required",
            Self::SetupOver => "setup_over",
            Self::NotFound => "not_found",
            Self::OwnAccount => "own_account",
            Self::ResetRequired => "reset_required",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestRefused => "request_refused",
            Self::SettingsChanged => "settings_changed",
            Self::InvalidSettings(_) => "invalid_settings",
            Self::WouldLockOut => "would_lock_out",
            Self::InvalidInput(input) => input.field().code(),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// Why an account or administration operation did not happen: refused, or something broke.
#[derive(Debug)]
#[must_use = "nothing was done: show the reason, or report the fault"]
pub enum OperationError {
    /// Refused, with a reason to show.
    Denied(Denied),
    /// Something broke.
    Failed(crate::Error),
}

impl OperationError {
    /// The refusal, if it is one.
    pub const fn denied(&self) -> Option<&Denied> {
        match self {
            Self::Denied(denied) => Some(denied),
            Self::Failed(_) => None,
        }
    }
}

impl fmt::Display for OperationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(denied) => write!(f, "refused: {denied}"),
            Self::Failed(_) => f.write_str("operation failed"),
        }
    }
}

impl std::error::Error for OperationError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Denied(_) => None,
            Self::Failed(error) => Some(error),
        }
    }
}

impl From<Denied> for OperationError {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl From<InvalidInput> for OperationError {
    fn from(input: InvalidInput) -> Self {
        Self::Denied(input.into())
    }
}

impl From<crate::Error> for OperationError {
    fn from(error: crate::Error) -> Self {
        Self::Failed(error)
    }
}
