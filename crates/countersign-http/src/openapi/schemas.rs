//! The bodies, as types that only say what JSON looks like.
//!
//! The core serializes most of what the endpoints answer, and knows nothing of OpenAPI. Nothing
//! makes these types: the tests hold every response against them.
#![expect(dead_code, reason = "they say what others serialize")]

mod administration;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use crate::openapi::texts::{DeniedReason, Masked, NoCodeReason, PlainReason, Timestamp, UserId};
use crate::wire::{
    BeginBody, CodeBody, MethodBody, OnlyCode, RehearsalBody, ResendBody, SettingsBody,
};

pub(crate) use crate::openapi::texts::Id;
pub(crate) use administration::{Rehearsal, TenantSettings};

/// Every schema by its name.
pub(crate) fn all() -> Map<String, Value> {
    fn add<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
    let mut schemas = Vec::new();
    add::<BeginBody>(&mut schemas);
    add::<CodeBody>(&mut schemas);
    add::<OnlyCode>(&mut schemas);
    add::<ResendBody>(&mut schemas);
    add::<MethodBody>(&mut schemas);
    add::<SettingsBody>(&mut schemas);
    add::<RehearsalBody>(&mut schemas);
    add::<LoginStep>(&mut schemas);
    add::<Refusal>(&mut schemas);
    add::<DeniedStep>(&mut schemas);
    add::<PlainRefusal>(&mut schemas);
    add::<Failed>(&mut schemas);
    add::<SignedIn>(&mut schemas);
    add::<FactorStatus>(&mut schemas);
    add::<MethodChange>(&mut schemas);
    add::<MethodDone>(&mut schemas);
    add::<DevicesRevoked>(&mut schemas);
    add::<BackupCodeMade>(&mut schemas);
    add::<administration::Administration>(&mut schemas);
    add::<administration::SettingsNow>(&mut schemas);
    add::<administration::PeoplePage>(&mut schemas);
    add::<administration::ResetOutcome>(&mut schemas);
    let mut schemas: Map<_, _> = schemas
        .into_iter()
        .filter_map(|(name, schema)| Some((name, serde_json::to_value(schema).ok()?)))
        .collect();
    // The derive reads `deny_unknown_fields` of a struct, and not of the variants of an enum.
    for name in ["MethodBody", "TrustedDevices"] {
        let variants = schemas.get_mut(name).and_then(|body| body.get_mut("oneOf"));
        for variant in variants.and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(variant) = variant.as_object_mut() {
                variant.insert("additionalProperties".to_owned(), false.into());
            }
        }
    }
    schemas
}

/// A text that is always the same.
macro_rules! only {
    ($name:ident, $variant:ident) => {
        #[derive(Serialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub(crate) enum $name {
            $variant,
        }
    };
}

/// Where codes go.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Method {
    Email,
    Sms,
}

/// Where another code goes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ResendTo {
    Same,
    Email,
    Sms,
}

/// Who needs the second factor: nobody, every user, or the tenant's built-in system administrators.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scope {
    DoNotUse,
    EntireTenant,
    SystemAdministratorsOnly,
}

/// Where a login stands.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum LoginStep {
    Authenticated(AuthenticatedStep),
    CodeRequired(CodeRequiredStep),
}

/// A login that is complete: the user is signed in, and has a session.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuthenticatedStep {
    #[schema(inline)]
    step: AuthenticatedOnly,
    login: Id,
    user: UserId,
    second_factor: SecondFactor,
    /// The authentication methods, by their names in RFC 8176.
    amr: Vec<Amr>,
    /// Whether there is a device token to store. A mobile application finds it in `secrets`, and a
    /// browser has it in a cookie.
    device_token: bool,
    /// Whether there is a backup code to show, in `secrets`.
    backup_code: bool,
    #[schema(nullable = false)]
    secrets: Option<SecretsOfLogin>,
}

/// An authentication method, by its name in RFC 8176.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Amr {
    Pwd,
    Otp,
    Sms,
    Mfa,
}

only!(AuthenticatedOnly, Authenticated);

/// A login that waits for its second factor.
#[derive(Serialize, ToSchema)]
pub(crate) struct CodeRequiredStep {
    #[schema(inline)]
    step: CodeRequiredOnly,
    login: Id,
    delivery: DeliveryStatus,
    /// How many digits a code has.
    digits: u8,
    /// How many wrong codes are accepted before codes are locked.
    attempts_left: u32,
    login_expires_at: Timestamp,
    /// From when another code may be asked for. Left out: this login gets no more.
    #[schema(nullable = false)]
    resend_at: Option<Timestamp>,
    alternatives: Alternatives,
    /// Whether the page may offer to trust this device.
    trust_device: bool,
    #[schema(nullable = false)]
    secrets: Option<SecretsOfChallenge>,
}

only!(CodeRequiredOnly, CodeRequired);

/// Alternatives to the code that was sent.
#[derive(Serialize, ToSchema)]
pub(crate) struct Alternatives {
    /// A code can go to this email address instead.
    #[schema(nullable = false)]
    email: Option<Masked>,
    /// A code can go to this phone number instead.
    #[schema(nullable = false)]
    sms: Option<Masked>,
    /// The backup code is accepted.
    backup_code: bool,
}

/// Whether a code was sent in this step.
#[derive(Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum DeliveryStatus {
    /// The provider or mail server has taken it.
    Sent(IssuedCode),
    /// It is queued.
    Queued(IssuedCode),
    /// Nobody knows whether it went out. Say "if nothing arrives".
    PerhapsSent(IssuedCode),
    /// A code was made in an earlier step. Say "if nothing arrives".
    MadeEarlier(IssuedCode),
    /// The sender failed, and the code was surely not sent.
    Failed { method: Method, destination: Masked, error: SendErrorKind },
    /// No code was made in this step. The login goes on.
    NotMade { denied: NoCode },
}

/// A code that is, or may be, on its way.
#[derive(Serialize, ToSchema)]
pub(crate) struct IssuedCode {
    method: Method,
    destination: Masked,
    /// Four letters that are in the message too.
    #[schema(pattern = "^[BCDFGHJKLMNPQRSTVWXZ]{4}$", examples("BKTR"))]
    reference: String,
    expires_at: Timestamp,
}

/// How the sender failed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SendErrorKind {
    /// It will not work for this destination.
    Permanent,
    /// The provider asks to wait.
    Throttled {
        /// Always there; `null` where the provider does not say.
        #[schema(required)]
        retry_after: Option<Wait>,
    },
    /// It may work later.
    Transient,
    /// Nobody knows whether it was sent.
    Unknown,
}

/// How long a provider asks to wait.
#[derive(Serialize, ToSchema)]
pub(crate) struct Wait {
    secs: u64,
    #[schema(maximum = 999_999_999)]
    nanos: u32,
}

/// What stood beside the password.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum SecondFactor {
    /// A code that was sent by this method.
    Code { method: Method },
    /// The backup code.
    BackupCode,
    /// A trusted device.
    TrustedDevice { device: Id },
    /// Nothing: it was not required.
    Exempt { exemption: Exemption },
}

/// Why no second factor was required.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Exemption {
    /// The tenant does not use it.
    ScopeOff,
    /// Only administrators need it, and this user is none.
    NotAdministrator,
    /// The login came through single sign-on.
    SingleSignOn,
    /// The login came by API.
    Api,
    /// The login came from a partner's system.
    Integration,
    /// The application's own policy has a reason of its own.
    Application(String),
}

/// Why no code was made, and until when.
#[derive(Serialize, ToSchema)]
pub(crate) struct NoCode {
    reason: NoCodeReason,
    ends_login: bool,
    #[schema(nullable = false)]
    retry_at: Option<Timestamp>,
}

/// A request was refused, with a text for the user.
#[derive(Serialize, ToSchema)]
pub(crate) struct Refusal {
    reason: DeniedReason,
    /// Whether the login is over.
    ends_login: bool,
    /// When the same request may be answered differently, where that is known.
    #[schema(nullable = false)]
    retry_at: Option<Timestamp>,
    /// How many attempts are left after a wrong code.
    #[schema(nullable = false)]
    attempts_left: Option<u32>,
    /// With `invalid_settings`: which setting, such as `lockout.wrong_codes`.
    #[schema(nullable = false, examples("lockout.wrong_codes"))]
    setting: Option<String>,
    /// With `invalid_settings`: what was given. Times are seconds.
    #[schema(nullable = false)]
    given: Option<u64>,
    /// With `invalid_settings`: the least that is accepted.
    #[schema(nullable = false)]
    least: Option<u64>,
    /// With `invalid_settings`: the most that is accepted.
    #[schema(nullable = false)]
    most: Option<u64>,
    /// What to show to the user, in English or Japanese by `Accept-Language`.
    message: String,
}

/// A step of a login was refused. The login goes on, unless `ends_login` says otherwise.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeniedStep {
    #[schema(inline)]
    step: DeniedOnly,
    reason: DeniedReason,
    /// Whether the login is over.
    ends_login: bool,
    /// When the same request may be answered differently, where that is known.
    #[schema(nullable = false)]
    retry_at: Option<Timestamp>,
    /// How many attempts are left after a wrong code.
    #[schema(nullable = false)]
    attempts_left: Option<u32>,
    /// What to show to the user, in English or Japanese by `Accept-Language`.
    message: String,
}

only!(DeniedOnly, Denied);

/// A refusal that says nothing but its reason.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlainRefusal {
    reason: PlainReason,
    /// What to show to the user, in English or Japanese by `Accept-Language`.
    message: String,
}

/// Something broke. If a login was complete and its session could not be started, what is handed
/// out once is here all the same.
#[derive(Serialize, ToSchema)]
pub(crate) struct Failed {
    #[schema(inline)]
    reason: FailedOnly,
    /// What to show to the user, in English or Japanese by `Accept-Language`.
    message: String,
    #[schema(nullable = false)]
    secrets: Option<SecretsOfLogin>,
}

only!(FailedOnly, Failed);

/// For mobile applications only.
#[derive(Serialize, ToSchema)]
pub(crate) struct SecretsOfChallenge {
    /// Send it back in `countersign-login-token` with each further request about this login.
    login_token: String,
}

/// What a complete login hands out once.
#[derive(Serialize, ToSchema)]
pub(crate) struct SecretsOfLogin {
    /// For mobile applications only: send it in `countersign-device-token` with the next login.
    #[schema(nullable = false)]
    device_token: Option<String>,
    /// The successor of the backup code that was used. Show it now.
    #[schema(nullable = false)]
    backup_code: Option<String>,
}

/// For mobile applications only.
#[derive(Serialize, ToSchema)]
pub(crate) struct SecretsOfSetup {
    /// Send it back in `countersign-setup-token` with the code.
    setup_token: String,
}

/// A backup code that was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct BackupCodeMade {
    secrets: SecretsOfBackupCode,
}

/// What is shown once.
#[derive(Serialize, ToSchema)]
pub(crate) struct SecretsOfBackupCode {
    /// Show it now. An earlier backup code does not work any more.
    backup_code: String,
}

/// Who is signed in.
#[derive(Serialize, ToSchema)]
pub(crate) struct SignedIn {
    user: UserId,
    second_factor: SecondFactor,
    /// The authentication methods, by their names in RFC 8176.
    amr: Vec<Amr>,
    /// When the login was complete.
    at: Timestamp,
}

/// One user's second factor at a glance.
#[derive(Serialize, ToSchema)]
pub(crate) struct FactorStatus {
    method: Method,
    /// The registered email address.
    #[schema(nullable = false)]
    email: Option<Masked>,
    /// The proved phone number.
    #[schema(nullable = false)]
    phone: Option<Masked>,
    /// The methods that this user's tenant allows.
    methods: administration::Methods,
    /// The trusted devices that still count.
    devices: Vec<TrustedDevice>,
    /// Whether the user may have a backup code.
    backup_codes: bool,
    /// Left out: there is no backup code.
    #[schema(nullable = false)]
    backup_code_made_at: Option<Timestamp>,
    /// Whether passwords are checked.
    passwords: LockState,
    /// Whether codes are accepted.
    codes: LockState,
}

/// One trusted device.
#[derive(Serialize, ToSchema)]
pub(crate) struct TrustedDevice {
    id: Id,
    /// What the user calls it.
    label: String,
    registered_at: Timestamp,
    last_used_at: Timestamp,
    expires_at: Timestamp,
}

/// Whether secrets of one kind are accepted.
#[derive(Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum LockState {
    /// They are accepted.
    Open,
    /// They are refused for a time, after too many failures.
    LockedUntil { until: Timestamp },
    /// They are refused until an administrator resets the user.
    Suspended,
}

/// The next step of a change of method.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum MethodChange {
    Prove(MethodProof),
    Done(MethodDone),
}

/// An address or number that is being proved: confirm the change with the code that was sent there.
#[derive(Serialize, ToSchema)]
pub(crate) struct MethodProof {
    #[schema(inline)]
    change: ProveOnly,
    delivery: DeliveryStatus,
    /// How many digits the code has.
    digits: u8,
    #[schema(nullable = false)]
    secrets: Option<SecretsOfSetup>,
}

only!(ProveOnly, Prove);

/// A change of method that is made.
#[derive(Serialize, ToSchema)]
pub(crate) struct MethodDone {
    #[schema(inline)]
    change: DoneOnly,
    method: Method,
}

only!(DoneOnly, Done);

/// How many trusted devices were revoked.
#[derive(Serialize, ToSchema)]
pub(crate) struct DevicesRevoked {
    revoked: u32,
}
