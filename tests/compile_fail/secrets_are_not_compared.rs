//! I-20: no secret is compared in variable time.
use countersign::{BackupCode, Code, DeviceToken, Password, PasswordHash, PendingToken, Pepper, SetupToken};

fn compare<T: PartialEq>() {}

fn main() {
    compare::<BackupCode>();
    compare::<Code>();
    compare::<DeviceToken>();
    compare::<PendingToken>();
    compare::<SetupToken>();
    compare::<Password>();
    compare::<PasswordHash>();
    compare::<Pepper>();
}
