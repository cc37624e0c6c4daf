//! What is handed out once stays one value.
use countersign::{Authenticated, BackupCode, Challenge, Code, DeviceToken, Password, PendingToken, SetupChallenge, SetupToken};
use countersign::Pepper;
use countersign::sender::CodeMessage;

fn twice<T: Clone>() {}

fn main() {
    twice::<Authenticated>();
    twice::<Challenge>();
    twice::<SetupChallenge>();
    twice::<CodeMessage>();
    twice::<BackupCode>();
    twice::<Code>();
    twice::<DeviceToken>();
    twice::<PendingToken>();
    twice::<SetupToken>();
    twice::<Password>();
    twice::<Pepper>();
}
