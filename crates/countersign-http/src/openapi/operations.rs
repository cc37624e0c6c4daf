//! What each endpoint takes, and every way in which it can answer.

use std::collections::BTreeSet;

use countersign::input::Field;
use countersign::{ConfigError, Reason};

use crate::texts::Plain;

/// One endpoint.
pub(crate) struct Operation {
    pub(crate) id: &'static str,
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) tag: Tag,
    pub(crate) summary: &'static str,
    /// The schema of the body of a request.
    pub(crate) request: Option<&'static str>,
    /// The schema of the body of a 200. `None`: it answers 204.
    pub(crate) success: Option<&'static str>,
    /// The reasons with which it refuses.
    pub(crate) reasons: &'static [Reason],
    /// The input that it refuses with a 422.
    pub(crate) fields: &'static [Field],
    /// The statuses that can set or clear cookies.
    pub(crate) cookies: &'static [u16],
    /// The headers in which a mobile application sends its tokens.
    pub(crate) tokens: &'static [&'static str],
    /// What can be in the query.
    pub(crate) parameters: &'static [&'static str],
}

/// What an endpoint belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    /// A step of a login. A refusal has `step`.
    Login,
    /// The session.
    Session,
    /// The page of the signed-in user.
    Account,
    /// The administrator's page.
    Administration,
}

impl Tag {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Session => "session",
            Self::Account => "account",
            Self::Administration => "administration",
        }
    }
}

impl Operation {
    /// Whether it needs a session.
    pub(crate) fn needs_session(&self) -> bool {
        self.tag != Tag::Login && self.path != "/logout"
    }
}

const NONE: Operation = Operation {
    id: "",
    method: "post",
    path: "",
    tag: Tag::Login,
    summary: "",
    request: None,
    success: None,
    reasons: &[],
    fields: &[],
    cookies: &[],
    tokens: &[],
    parameters: &[],
};

/// With whatever is wrong.
const INVALID_SETTINGS: Reason = Reason::InvalidSettings(ConfigError::NoMethod);

/// Why a request is refused before anything is looked at.
pub(crate) const PLAIN: [&str; 9] = [
    Plain::SignedOut.code(),
    Plain::ForeignOrigin.code(),
    Plain::ForeignHost.code(),
    Plain::JsonExpected.code(),
    Plain::BodyTooLarge.code(),
    Plain::BodyTooSlow.code(),
    Plain::Malformed.code(),
    Plain::NoSuchPage.code(),
    Plain::Method.code(),
];

/// Why no code is made in a step that goes on.
pub(crate) const NO_CODE: [Reason; 5] = [
    Reason::SendLimit,
    Reason::NoDestination,
    Reason::NoLiveCode,
    Reason::CodesLocked,
    Reason::Suspended,
];

/// Every code that can be in `reason` of a refused step.
pub(crate) fn reasons() -> BTreeSet<&'static str> {
    let refused = OPERATIONS.iter().flat_map(|operation| operation.reasons);
    let fields = OPERATIONS.iter().flat_map(|operation| operation.fields);
    refused
        .chain(&NO_CODE)
        .map(|reason| reason.code())
        .chain(fields.map(|field| field.code()))
        .collect()
}

/// All endpoints, in the order of a login.
pub(crate) const OPERATIONS: [Operation; 21] = [
    Operation {
        id: "beginLogin",
        path: "/login",
        summary: "The first step: name and password",
        request: Some("BeginBody"),
        success: Some("LoginStep"),
        reasons: &[
            Reason::InvalidCredentials,
            Reason::Busy,
            Reason::CodesLocked,
            Reason::Suspended,
            Reason::NoDestination,
            Reason::TooManyLogins,
            Reason::RequestRefused,
        ],
        fields: &[Field::LoginName, Field::Password],
        cookies: &[200, 500],
        tokens: &["DeviceToken"],
        ..NONE
    },
    Operation {
        id: "getLogin",
        method: "get",
        path: "/login/{login}",
        summary: "The page of a pending login again. It sends nothing and charges nothing",
        success: Some("CodeRequiredStep"),
        reasons: &[Reason::LoginOver],
        cookies: &[410],
        tokens: &["LoginToken"],
        ..NONE
    },
    Operation {
        id: "submitCode",
        path: "/login/{login}/code",
        summary: "Completes a login with the code that was sent",
        request: Some("CodeBody"),
        success: Some("AuthenticatedStep"),
        reasons: &[
            Reason::LoginOver,
            Reason::WrongCode,
            Reason::NoLiveCode,
            Reason::CodesLocked,
            Reason::Suspended,
            Reason::TrustedDevicesOff,
            Reason::RequestRefused,
        ],
        fields: &[Field::Code],
        cookies: &[200, 403, 410, 500],
        tokens: &["LoginToken", "DeviceToken"],
        ..NONE
    },
    Operation {
        id: "submitBackupCode",
        path: "/login/{login}/backup-code",
        summary: "Completes a login with the backup code",
        request: Some("OnlyCode"),
        success: Some("AuthenticatedStep"),
        reasons: &[
            Reason::LoginOver,
            Reason::WrongBackupCode,
            Reason::LoginBackupCodeLimit,
            Reason::NoBackupCode,
            Reason::BackupCodesOff,
            Reason::RequestRefused,
        ],
        fields: &[Field::BackupCode],
        cookies: &[200, 403, 410, 500],
        tokens: &["LoginToken"],
        ..NONE
    },
    Operation {
        id: "resendCode",
        path: "/login/{login}/resend",
        summary: "Sends another code",
        request: Some("ResendBody"),
        success: Some("CodeRequiredStep"),
        reasons: &[
            Reason::LoginOver,
            Reason::CodesLocked,
            Reason::Suspended,
            Reason::SendLimit,
            Reason::LoginSendLimit,
            Reason::NoPhoneNumber,
            Reason::NoDestination,
            Reason::MethodNotAllowed,
            Reason::RequestRefused,
        ],
        cookies: &[200, 403, 410],
        tokens: &["LoginToken"],
        ..NONE
    },
    Operation {
        id: "cancelLogin",
        path: "/login/{login}/cancel",
        summary: "Cancels a pending login",
        cookies: &[204],
        tokens: &["LoginToken"],
        ..NONE
    },
    Operation {
        id: "logOut",
        path: "/logout",
        tag: Tag::Session,
        summary: "Ends the session",
        cookies: &[204],
        ..NONE
    },
    Operation {
        id: "getSession",
        method: "get",
        path: "/session",
        tag: Tag::Session,
        summary: "Who is signed in, if the session still holds",
        success: Some("SignedIn"),
        ..NONE
    },
    Operation {
        id: "getAccount",
        method: "get",
        path: "/account",
        tag: Tag::Account,
        summary: "The second factor of the signed-in user",
        success: Some("FactorStatus"),
        reasons: &[Reason::NotInUse],
        ..NONE
    },
    Operation {
        id: "changeMethod",
        path: "/account/method",
        tag: Tag::Account,
        summary: "Begins to prove where codes go",
        request: Some("MethodBody"),
        success: Some("MethodChange"),
        reasons: &[
            Reason::ReauthenticationRequired,
            Reason::NotInUse,
            Reason::NoDestination,
            Reason::MethodNotAllowed,
            Reason::SendLimit,
            Reason::CodesLocked,
            Reason::Suspended,
        ],
        fields: &[Field::PhoneNumber],
        cookies: &[200],
        ..NONE
    },
    Operation {
        id: "confirmMethod",
        path: "/account/method/confirm",
        tag: Tag::Account,
        summary: "Makes the change of method, with the code that was sent to the new place",
        request: Some("OnlyCode"),
        success: Some("MethodDone"),
        reasons: &[
            Reason::ReauthenticationRequired,
            Reason::NotInUse,
            Reason::SetupOver,
            Reason::MethodNotAllowed,
            Reason::WrongCode,
            Reason::CodesLocked,
            Reason::Suspended,
        ],
        fields: &[Field::Code],
        cookies: &[200, 403, 410],
        tokens: &["SetupToken"],
        ..NONE
    },
    Operation {
        id: "revokeDevices",
        method: "delete",
        path: "/account/devices",
        tag: Tag::Account,
        summary: "Revokes all trusted devices",
        success: Some("DevicesRevoked"),
        reasons: &[Reason::ReauthenticationRequired, Reason::NotInUse],
        ..NONE
    },
    Operation {
        id: "revokeDevice",
        method: "delete",
        path: "/account/devices/{device}",
        tag: Tag::Account,
        summary: "Revokes a trusted device",
        reasons: &[Reason::ReauthenticationRequired, Reason::NotInUse, Reason::NotFound],
        ..NONE
    },
    Operation {
        id: "newBackupCode",
        path: "/account/backup-code",
        tag: Tag::Account,
        summary: "Makes a backup code, shown once",
        success: Some("BackupCodeMade"),
        reasons: &[Reason::ReauthenticationRequired, Reason::NotInUse, Reason::BackupCodesOff],
        ..NONE
    },
    Operation {
        id: "getAdministration",
        method: "get",
        path: "/administration",
        tag: Tag::Administration,
        summary: "The tenant's settings, their bounds, and how far a deletion is",
        success: Some("Administration"),
        reasons: &[Reason::NotFound],
        ..NONE
    },
    Operation {
        id: "changeSettings",
        method: "put",
        path: "/administration/settings",
        tag: Tag::Administration,
        summary: "Changes the tenant's settings, if they still are the ones that were shown",
        request: Some("SettingsBody"),
        success: Some("SettingsNow"),
        reasons: &[
            Reason::NotFound,
            Reason::SettingsChanged,
            INVALID_SETTINGS,
            Reason::ReauthenticationRequired,
            Reason::NoDestination,
            Reason::WouldLockOut,
        ],
        ..NONE
    },
    Operation {
        id: "rehearseSettings",
        path: "/administration/rehearsal",
        tag: Tag::Administration,
        summary: "What a change of settings would do to the next 5,000 people. It changes nothing",
        request: Some("RehearsalBody"),
        success: Some("Rehearsal"),
        reasons: &[Reason::NotFound, INVALID_SETTINGS],
        ..NONE
    },
    Operation {
        id: "getUsers",
        method: "get",
        path: "/administration/users",
        tag: Tag::Administration,
        summary: "The tenant's people, page by page. 404 where the application has no list of them",
        success: Some("PeoplePage"),
        reasons: &[Reason::NotFound],
        parameters: &["After", "Filter", "Limit"],
        ..NONE
    },
    Operation {
        id: "getUser",
        method: "get",
        path: "/administration/users/{user}",
        tag: Tag::Administration,
        summary: "One user's second factor",
        success: Some("FactorStatus"),
        reasons: &[Reason::NotFound],
        ..NONE
    },
    Operation {
        id: "resetUser",
        path: "/administration/users/{user}/reset",
        tag: Tag::Administration,
        summary: "Clears one user's second factor",
        success: Some("ResetOutcome"),
        reasons: &[Reason::NotFound, Reason::OwnAccount, Reason::ReauthenticationRequired],
        ..NONE
    },
    Operation {
        id: "unlockUser",
        path: "/administration/users/{user}/unlock",
        tag: Tag::Administration,
        summary: "Lifts the locks that time would lift",
        reasons: &[
            Reason::NotFound,
            Reason::OwnAccount,
            Reason::ReauthenticationRequired,
            Reason::ResetRequired,
        ],
        ..NONE
    },
];
