//! I-22: a secret is printed by asking for it in clear, and in no other way.
use countersign::{BackupCode, Code, DeviceToken, Password, PendingToken, SetupToken};
use countersign::Pepper;
use countersign::user::PasswordHash;
use std::fmt::Display;

fn print<T: Display>() {}

fn main() {
    print::<BackupCode>();
    print::<Code>();
    print::<DeviceToken>();
    print::<PendingToken>();
    print::<SetupToken>();
    print::<Password>();
    print::<PasswordHash>();
    print::<Pepper>();
}
