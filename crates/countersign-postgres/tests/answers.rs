//! An answer counts only for the call that it was made for.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use countersign::budget::{Account, Charged, Limit, SendBudget};
use countersign::error::PluginError;
use countersign::store::{CommitOutcome, ExpectedVersions, FactorStore, Generation};
use countersign::{TenantId, UserId};
use countersign_postgres::PostgresFactors;
use support::proxy::Proxy;
use support::{connect, row, server, variants};
use test_servers::servers::Server;
use time::OffsetDateTime;

async fn proxied(prepared: bool) -> Option<(Server, Proxy, PostgresFactors)> {
    let server = server(&[])?;
    let proxy = Proxy::to(server.port()).await;
    let options = support::options().connections(1).prepared_statements(prepared);
    let store = options.connect(&proxy.url()).await.unwrap();
    Some((server, proxy, store))
}

fn misplaced<T: std::fmt::Debug>(answer: &Result<T, PluginError>) -> bool {
    matches!(answer, Err(fault) if format!("{fault:?}") == "Misplaced")
}

/// I-05, I-09: an answer that arrives once more, in the place of the next one, is a fault. Nobody
/// gets another user's record, and a commit is neither taken for written nor for a conflict by it.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_given_twice_is_a_fault() {
    for prepared in variants([true, false]) {
        let Some((_server, proxy, store)) = proxied(prepared).await else { return };
        let acme = TenantId::new("acme").unwrap();
        let [alice, bob, carol] = ["alice", "bob", "carol"].map(|user| UserId::new(user).unwrap());
        let settings = row(9);
        assert_eq!(
            store.change_settings(&acme, None, &settings).await.unwrap(),
            CommitOutcome::Written
        );
        let expected = |record: Option<u32>| ExpectedVersions {
            settings: Some(settings.version),
            record: record.map(|r| row(r).version),
        };
        for (user, number) in [(&alice, 1), (&bob, 2)] {
            assert_eq!(
                store.commit(&acme, user, &expected(None), &row(number)).await.unwrap(),
                CommitOutcome::Written
            );
            assert_eq!(store.load(&acme, user).await.unwrap().record, Some(row(number)));
        }
        assert_eq!(
            store.commit(&acme, &alice, &expected(Some(1)), &row(3)).await.unwrap(),
            CommitOutcome::Written
        );

        // Alice's record is not Bob's.
        proxy.keep();
        assert_eq!(store.load(&acme, &alice).await.unwrap().record, Some(row(3)));
        proxy.replay();
        assert!(misplaced(&store.load(&acme, &bob).await));
        // The connection is given up: the next call has another one.
        assert_eq!(store.load(&acme, &bob).await.unwrap().record, Some(row(2)));

        // Nor is it one of many of another list.
        let many = [alice.clone(), bob.clone()];
        let records =
            async |users: &[UserId]| store.load_many(&acme, users).await.map(|found| found.records);
        assert_eq!(records(&many).await.unwrap(), [Some(row(3)), Some(row(2))]);
        proxy.keep();
        assert_eq!(records(&many).await.unwrap(), [Some(row(3)), Some(row(2))]);
        proxy.replay();
        assert!(misplaced(&records(&[bob.clone(), alice.clone()]).await));
        assert_eq!(records(std::slice::from_ref(&bob)).await.unwrap(), [Some(row(2))]);

        // A commit that conflicts is not taken for written...
        assert_eq!(
            store.commit(&acme, &alice, &expected(Some(3)), &row(4)).await.unwrap(),
            CommitOutcome::Written
        );
        proxy.keep();
        assert_eq!(
            store.commit(&acme, &alice, &expected(Some(4)), &row(5)).await.unwrap(),
            CommitOutcome::Written
        );
        proxy.replay();
        assert!(misplaced(&store.commit(&acme, &alice, &expected(Some(4)), &row(6)).await));
        assert_eq!(store.load(&acme, &alice).await.unwrap().record, Some(row(5)));
        // ... and one that is written is not taken for a conflict.
        assert_eq!(
            store.commit(&acme, &alice, &expected(Some(4)), &row(7)).await.unwrap(),
            CommitOutcome::Conflict
        );
        proxy.keep();
        assert_eq!(
            store.commit(&acme, &alice, &expected(Some(4)), &row(7)).await.unwrap(),
            CommitOutcome::Conflict
        );
        proxy.replay();
        assert!(misplaced(&store.commit(&acme, &alice, &expected(Some(5)), &row(7)).await));
        assert_eq!(store.load(&acme, &alice).await.unwrap().record, Some(row(7)));

        // As with each of the others.
        assert!(!store.remove(&acme, &carol).await.unwrap());
        proxy.keep();
        assert!(!store.remove(&acme, &carol).await.unwrap());
        proxy.replay();
        assert!(misplaced(&store.remove(&acme, &alice).await));
        assert_eq!(store.load(&acme, &alice).await.unwrap().record, None);
        assert!(!store.remove_if(&acme, &bob, row(9).version).await.unwrap());
        proxy.keep();
        assert!(!store.remove_if(&acme, &bob, row(9).version).await.unwrap());
        proxy.replay();
        assert!(misplaced(&store.remove_if(&acme, &bob, row(2).version).await));
        assert_eq!(store.settings(&acme).await.unwrap(), Some(settings.clone()));
        proxy.keep();
        assert_eq!(store.settings(&acme).await.unwrap(), Some(settings.clone()));
        proxy.replay();
        assert!(misplaced(&store.settings(&TenantId::new("globex").unwrap()).await));
        let changed = store.change_settings(&acme, Some(settings.version), &row(10)).await.unwrap();
        assert_eq!(changed, CommitOutcome::Written);
        proxy.keep();
        let changed = store.change_settings(&acme, Some(row(10).version), &row(11)).await.unwrap();
        assert_eq!(changed, CommitOutcome::Written);
        proxy.replay();
        assert!(misplaced(&store.change_settings(&acme, Some(row(10).version), &row(12)).await));
        assert_eq!(store.settings(&acme).await.unwrap(), Some(row(11)));
        assert_eq!(store.count(&acme, Generation::new(1)).await.unwrap(), 0);
        assert_eq!(store.users(&acme, Generation::new(0), None, 10).await.unwrap(), []);
        proxy.keep();
        assert_eq!(store.users(&acme, Generation::new(0), None, 10).await.unwrap(), []);
        proxy.replay();
        assert!(misplaced(&store.count(&acme, Generation::new(1)).await));
        assert_eq!(store.purge(&acme, Generation::new(1), 10).await.unwrap(), 0);
        proxy.keep();
        assert_eq!(store.purge(&acme, Generation::new(1), 10).await.unwrap(), 0);
        proxy.replay();
        assert!(misplaced(&store.purge(&acme, Generation::new(1), 10).await));

        let budget = store.budget();
        let charge = async |key: &str| {
            let account = Account::new(key, Limit::new(1, Duration::from_secs(60)));
            budget.charge(&[account], OffsetDateTime::UNIX_EPOCH).await
        };
        assert_eq!(charge("to").await.unwrap(), Charged::Yes);
        proxy.keep();
        assert_eq!(charge("another").await.unwrap(), Charged::Yes);
        proxy.replay();
        assert!(misplaced(&charge("to").await));
        assert!(matches!(charge("to").await.unwrap(), Charged::Exhausted { account: 0, .. }));
    }
}

/// I-09: a write answers which version is there now. Something in the database that writes another
/// one instead is a fault, and the commit is not taken for written.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_wrote_something_else_is_a_fault() {
    let Some(server) = server(&[]) else { return };
    let store = support::options().connections(1).connect(server.url()).await.unwrap();
    let other = "CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.version := '\\x00000000000000000000000000000000'; RETURN NEW; END $$;
        CREATE TRIGGER other BEFORE INSERT OR UPDATE ON countersign.records FOR EACH ROW EXECUTE FUNCTION other()";
    let (acme, alice) = (TenantId::new("acme").unwrap(), UserId::new("alice").unwrap());
    let mut expected = ExpectedVersions { settings: None, record: None };
    assert_eq!(
        store.commit(&acme, &alice, &expected, &row(1)).await.unwrap(),
        CommitOutcome::Written
    );
    connect(server.url()).await.unwrap().batch_execute(other).await.unwrap();
    expected.record = Some(row(1).version);
    assert!(misplaced(&store.commit(&acme, &alice, &expected, &row(2)).await));
}
