//! Which endpoint a request is for.

use countersign::UserId;
use countersign::ids::{DeviceId, LoginId};
use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use crate::answer::Refusal;

/// What a request asks for.
pub(crate) enum Endpoint {
    Begin,
    Challenge(LoginId),
    SubmitCode(LoginId),
    SubmitBackupCode(LoginId),
    Resend(LoginId),
    Cancel(LoginId),
    Logout,
    Session,
    Account,
    SetMethod,
    ConfirmMethod,
    RevokeDevices,
    RevokeDevice(DeviceId),
    NewBackupCode,
    Administration,
    SetSettings,
    Rehearse,
    Users,
    User(UserId),
    Reset(UserId),
    Unlock(UserId),
}

pub(crate) fn endpoint(method: &Method, path: &str) -> Result<Endpoint, Refusal> {
    let missing = || Refusal::Status(StatusCode::NOT_FOUND);
    let login = |text: &str| text.parse::<LoginId>().map_err(|_| missing());
    let user = |text: &str| {
        let id = percent_decode_str(text).decode_utf8().map_err(|_| missing())?;
        UserId::new(&id).map_err(|_| missing())
    };
    let segments: Vec<&str> = path.strip_prefix('/').unwrap_or_default().split('/').collect();
    let (allowed, found) = match segments.as_slice() {
        ["login"] => ("POST", Endpoint::Begin),
        ["login", id] => ("GET", Endpoint::Challenge(login(id)?)),
        ["login", id, "code"] => ("POST", Endpoint::SubmitCode(login(id)?)),
        ["login", id, "backup-code"] => ("POST", Endpoint::SubmitBackupCode(login(id)?)),
        ["login", id, "resend"] => ("POST", Endpoint::Resend(login(id)?)),
        ["login", id, "cancel"] => ("POST", Endpoint::Cancel(login(id)?)),
        ["logout"] => ("POST", Endpoint::Logout),
        ["session"] => ("GET", Endpoint::Session),
        ["account"] => ("GET", Endpoint::Account),
        ["account", "method"] => ("POST", Endpoint::SetMethod),
        ["account", "method", "confirm"] => ("POST", Endpoint::ConfirmMethod),
        ["account", "devices"] => ("DELETE", Endpoint::RevokeDevices),
        ["account", "devices", id] => {
            ("DELETE", Endpoint::RevokeDevice(id.parse().map_err(|_| missing())?))
        }
        ["account", "backup-code"] => ("POST", Endpoint::NewBackupCode),
        ["administration"] => ("GET", Endpoint::Administration),
        ["administration", "settings"] => ("PUT", Endpoint::SetSettings),
        ["administration", "rehearsal"] => ("POST", Endpoint::Rehearse),
        ["administration", "users"] => ("GET", Endpoint::Users),
        ["administration", "users", id] => ("GET", Endpoint::User(user(id)?)),
        ["administration", "users", id, "reset"] => ("POST", Endpoint::Reset(user(id)?)),
        ["administration", "users", id, "unlock"] => ("POST", Endpoint::Unlock(user(id)?)),
        _ => return Err(missing()),
    };
    // A server drops the body of the answer to `HEAD`.
    let asked = if *method == Method::HEAD { "GET" } else { method.as_str() };
    match allowed {
        _ if asked == allowed => Ok(found),
        "GET" => Err(Refusal::Method("GET, HEAD")),
        _ => Err(Refusal::Method(allowed)),
    }
}
