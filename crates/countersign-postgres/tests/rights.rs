//! What a role needs.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use countersign::budget::{Account, Charged, Limit, SendBudget};
use countersign::store::{CommitOutcome, ExpectedVersions, FactorStore, Generation};
use countersign::{TenantId, UserId};
use countersign_postgres::{PostgresError, PostgresFactors};
use support::{connect, row, server};
use time::OffsetDateTime;

/// An administrator made the tables; the application's role has the rights that the README names,
/// and makes none.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_make_nothing_uses_tables_that_are_there() {
    let Some(server) = server(&[]) else { return };
    PostgresFactors::connect(server.url()).await.unwrap();
    let administrator = connect(server.url()).await.unwrap();
    administrator.batch_execute("CREATE ROLE app LOGIN; CREATE ROLE nobody LOGIN").await.unwrap();
    let as_role = |role: &str| server.url().replace("countersign@", &format!("{role}@"));
    let refused = PostgresFactors::connect(&as_role("nobody")).await;
    assert!(
        matches!(&refused, Err(PostgresError::Refused { code, .. }) if code == "42501"),
        "{refused:?}"
    );

    let rights = "GRANT USAGE ON SCHEMA countersign TO app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA countersign TO app";
    administrator.batch_execute(rights).await.unwrap();
    let role = connect(&as_role("app")).await.unwrap();
    for makes in ["CREATE SCHEMA its_own", "CREATE TABLE countersign.its_own ()"] {
        let refused = role.batch_execute(makes).await.unwrap_err();
        assert_eq!(refused.code().unwrap().code(), "42501", "{makes}");
    }

    let store = PostgresFactors::connect(&as_role("app")).await.unwrap();
    let (acme, alice, bob) = (
        TenantId::new("acme").unwrap(),
        UserId::new("alice").unwrap(),
        UserId::new("bob").unwrap(),
    );
    let mut expected = ExpectedVersions { settings: None, record: None };
    assert_eq!(
        store.commit(&acme, &alice, &expected, &row(1)).await.unwrap(),
        CommitOutcome::Written
    );
    expected.record = Some(row(1).version);
    assert_eq!(
        store.commit(&acme, &alice, &expected, &row(2)).await.unwrap(),
        CommitOutcome::Written
    );
    assert_eq!(store.change_settings(&acme, None, &row(3)).await.unwrap(), CommitOutcome::Written);
    assert_eq!(
        store.change_settings(&acme, Some(row(3).version), &row(4)).await.unwrap(),
        CommitOutcome::Written
    );
    assert_eq!(store.settings(&acme).await.unwrap(), Some(row(4)));
    let mut expected = ExpectedVersions { settings: Some(row(4).version), record: None };
    assert_eq!(
        store.commit(&acme, &bob, &expected, &row(5)).await.unwrap(),
        CommitOutcome::Written
    );
    expected.record = Some(row(5).version);
    assert_eq!(
        store.commit(&acme, &bob, &expected, &row(6)).await.unwrap(),
        CommitOutcome::Written
    );
    assert_eq!(store.load(&acme, &bob).await.unwrap().record, Some(row(6)));
    let both = store.load_many(&acme, &[alice.clone(), bob.clone()]).await.unwrap();
    assert_eq!((both.settings, both.records), (Some(row(4)), vec![Some(row(2)), Some(row(6))]));
    assert_eq!(
        store.users(&acme, Generation::new(0), None, 10).await.unwrap(),
        [alice.clone(), bob.clone()]
    );
    assert_eq!(store.count(&acme, Generation::new(1)).await.unwrap(), 2);
    assert!(store.remove(&acme, &alice).await.unwrap());
    assert!(!store.remove_if(&acme, &bob, row(5).version).await.unwrap());
    assert_eq!(store.purge(&acme, Generation::new(1), 10).await.unwrap(), 1);
    let account = Account::new("to", Limit::new(1, Duration::from_secs(60)));
    assert_eq!(
        store.budget().charge(&[account], OffsetDateTime::UNIX_EPOCH).await.unwrap(),
        Charged::Yes
    );
}
