//! What must not be lost without a word, in an application that denies `unused_must_use`.
#![deny(unused_must_use)]

use countersign::budget::Charged;
use countersign::{Channel, Account, Authenticated, BackupCode, Challenge, DeliveryStatus, Denied, DeviceToken, Grant, LoginStep, RequestFlow, MethodChange, PendingToken, OperationError, SavedGrant, SetupChallenge, SetupToken};
use countersign::contact::PhoneNumber;
use countersign::event::ResetOutcome;
use countersign::operator::{PurgeProgress, SweepProgress};
use countersign::password::PasswordCheck;
use countersign::policy::Requirement;
use countersign::store::CommitOutcome;

async fn guard(request: &RequestFlow, session: &SavedGrant) {
    request.revalidate(session, Channel::Web).await;
}

async fn account_page(account: Account, number: &PhoneNumber) -> Result<(), OperationError> {
    account.new_backup_code().await?;
    account.use_email().await?;
    account.use_sms(number).await?;
    Ok(())
}

fn some<T>() -> T {
    loop {}
}

fn main() {
    some::<LoginStep>();
    some::<Authenticated>();
    some::<Grant>();
    some::<Challenge>();
    some::<DeliveryStatus>();
    some::<PendingToken>();
    some::<SetupChallenge>();
    some::<SetupToken>();
    some::<MethodChange>();
    some::<BackupCode>();
    some::<DeviceToken>();
    some::<Denied>();
    some::<OperationError>();
    some::<SweepProgress>();
    some::<PurgeProgress>();
    some::<ResetOutcome>();
    some::<Requirement>();
    some::<PasswordCheck>();
    some::<CommitOutcome>();
    some::<Charged>();
}
