//! The description has every endpoint, and every reason.

use std::collections::BTreeSet;

use countersign::Denied;
use countersign::contact::PhoneNumber;
use http::Method;

use super::operations::{OPERATIONS, reasons};
use crate::answer::status;
use crate::endpoints::{Endpoint, endpoint};

/// The operation of each endpoint. Another endpoint does not compile until it is here.
macro_rules! endpoints {
    ($($endpoint:pat => $id:literal,)*) => {
        const IDS: &[&str] = &[$($id),*];

        fn id(endpoint: &Endpoint) -> &'static str {
            match endpoint {
                $($endpoint => $id,)*
            }
        }
    };
}

endpoints! {
    Endpoint::Begin => "beginLogin",
    Endpoint::Challenge(_) => "getLogin",
    Endpoint::SubmitCode(_) => "submitCode",
    Endpoint::SubmitBackupCode(_) => "submitBackupCode",
    Endpoint::Resend(_) => "resendCode",
    Endpoint::Cancel(_) => "cancelLogin",
    Endpoint::Logout => "logOut",
    Endpoint::Session => "getSession",
    Endpoint::Account => "getAccount",
    Endpoint::SetMethod => "changeMethod",
    Endpoint::ConfirmMethod => "confirmMethod",
    Endpoint::RevokeDevices => "revokeDevices",
    Endpoint::RevokeDevice(_) => "revokeDevice",
    Endpoint::NewBackupCode => "newBackupCode",
    Endpoint::Administration => "getAdministration",
    Endpoint::SetSettings => "changeSettings",
    Endpoint::Rehearse => "rehearseSettings",
    Endpoint::Users => "getUsers",
    Endpoint::User(_) => "getUser",
    Endpoint::Reset(_) => "resetUser",
    Endpoint::Unlock(_) => "unlockUser",
}

#[test]
fn every_endpoint_is_described() {
    let described: Vec<_> = OPERATIONS.iter().map(|operation| operation.id).collect();
    assert_eq!(described, IDS);
    for operation in &OPERATIONS {
        let random = "AAAAAAAAAAAAAAAAAAAAAA";
        let path = operation.path.replace("{login}", random).replace("{device}", random);
        let method = Method::from_bytes(operation.method.to_ascii_uppercase().as_bytes()).unwrap();
        let found = endpoint(&method, &path.replace("{user}", "alice"));
        assert_eq!(found.ok().as_ref().map(id), Some(operation.id));
    }
}

/// Every reason that the core's manual lists is described, or can't come from these endpoints.
#[test]
fn every_reason_is_described() {
    let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/../../src/manual/login.md");
    // Not where this crate is without its repository.
    let Ok(manual) = std::fs::read_to_string(manual) else { return };
    let rows = manual.lines().filter(|line| line.starts_with("| `"));
    let listed: BTreeSet<_> = rows
        .flat_map(|row| row.split('|').nth(1).unwrap().split(", "))
        .map(|code| code.trim().trim_matches('`'))
        .filter(|code| !code.contains('…'))
        .collect();
    let described = reasons();
    let missing: Vec<_> = listed.difference(&described).copied().collect();
    // The password calls are no endpoints, a stale session is `signed_out`, and both channels are
    // interactive.
    let elsewhere = ["not_interactive", "passwords_locked", "session_stale", "wrong_password"];
    assert_eq!(missing, elsewhere);
    let more: Vec<_> = described.difference(&listed).copied().collect();
    let fields = [
        "invalid_backup_code",
        "invalid_code",
        "invalid_login_name",
        "invalid_password",
        "invalid_phone_number",
    ];
    assert_eq!(more, fields);
}

#[test]
fn input_that_is_not_well_formed_is_422() {
    let denied = Denied::from(PhoneNumber::new("").unwrap_err());
    assert_eq!(status(denied.reason()).as_u16(), 422);
}
