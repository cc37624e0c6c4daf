//! I-20: no secret is compared in variable time.
use countersign::{BackupCode, Code, DeviceToken, Password, PendingToken, SetupToken};
use countersign::Pepper;
use countersign::user::PasswordHash;

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
