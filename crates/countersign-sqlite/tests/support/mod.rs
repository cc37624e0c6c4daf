//! What several of the tests write, and every call of a store.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::time::Duration;

use countersign::budget::{Account, Limit, SendBudget};
use countersign::error::PluginError;
use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, StoredRow, Version,
};
use countersign::{TenantId, UserId};
use countersign_sqlite::SqliteFactors;
use time::OffsetDateTime;

pub fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

pub fn user(number: u32) -> UserId {
    UserId::new(&format!("user-{number}")).unwrap()
}

pub fn row(number: u32, size: usize) -> StoredRow {
    let mut version = [0; 16];
    version[..4].copy_from_slice(&number.to_be_bytes());
    let document = format!("\"{}\"", "x".repeat(size));
    StoredRow { version: Version::from_bytes(version), generation: Generation::new(0), document }
}

pub async fn add(
    store: &SqliteFactors,
    number: u32,
    size: usize,
) -> Result<CommitOutcome, PluginError> {
    store
        .commit(
            &acme(),
            &user(number),
            &ExpectedVersions { settings: None, record: None },
            &row(number, size),
        )
        .await
}

/// What every call says: those that read, and those that write.
pub async fn every_call(store: &SqliteFactors) -> [String; 11] {
    fn said<T>(answer: Result<T, PluginError>) -> String {
        answer.map_or_else(|fault| format!("{fault:?}"), |_| "Ok".to_owned())
    }
    let (acme, nobody) = (TenantId::new("nobody's").unwrap(), UserId::new("nobody").unwrap());
    let (none, first) = (ExpectedVersions { settings: None, record: None }, Generation::new(0));
    let account = Account::new("to", Limit::new(9, Duration::from_secs(60)));
    [
        said(store.load(&acme, &nobody).await),
        said(store.load_many(&acme, &[nobody.clone(), nobody.clone()]).await),
        said(store.settings(&acme).await),
        said(store.count(&acme, first).await),
        said(store.users(&acme, first, None, 1).await),
        said(store.purge(&acme, first, 1).await),
        said(store.remove(&acme, &nobody).await),
        said(store.remove_if(&acme, &nobody, row(1, 0).version).await),
        said(store.commit(&acme, &nobody, &none, &row(1, 0)).await),
        said(store.change_settings(&acme, None, &row(1, 0)).await),
        said(store.budget().charge(&[account], OffsetDateTime::UNIX_EPOCH).await),
    ]
}
