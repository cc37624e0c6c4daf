//! I-22: no secret is written by serde, and neither is a whole address or number.
use countersign::{BackupCode, Code, DeviceToken, Password, PendingToken, SetupToken};
use countersign::contact::{EmailAddress, PhoneNumber};
use countersign::Pepper;
use countersign::user::PasswordHash;
use serde::Serialize;

fn write<T: Serialize>() {}

fn main() {
    write::<BackupCode>();
    write::<Code>();
    write::<DeviceToken>();
    write::<PendingToken>();
    write::<SetupToken>();
    write::<Password>();
    write::<PasswordHash>();
    write::<Pepper>();
    write::<EmailAddress>();
    write::<PhoneNumber>();
}
