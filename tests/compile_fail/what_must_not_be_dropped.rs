//! What must not be lost without a word, in an application that denies `unused_must_use`.
#![deny(unused_must_use)]

use countersign::budget::Charged;
use countersign::{Channel, 
    Account, Authenticated, BackupCode, Challenge, Commit, Delivery, Denied, DeviceToken, Grant, LoginFlow, LoginStep,
    MethodChange, PendingToken, PhoneNumber, Refused, Requirement, SavedGrant, SetupChallenge, SetupToken,
    SweepProgress, TenantId, Verdict,
};

async fn guard(flow: &LoginFlow, tenant: &TenantId, session: &SavedGrant) {
    flow.revalidate(tenant, session, Channel::Web).await;
}

async fn account_page(account: Account<'_>, number: &PhoneNumber) -> Result<(), Refused> {
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
    some::<Delivery>();
    some::<PendingToken>();
    some::<SetupChallenge>();
    some::<SetupToken>();
    some::<MethodChange>();
    some::<BackupCode>();
    some::<DeviceToken>();
    some::<Denied>();
    some::<Refused>();
    some::<SweepProgress>();
    some::<Requirement>();
    some::<Verdict>();
    some::<Commit>();
    some::<Charged>();
}
