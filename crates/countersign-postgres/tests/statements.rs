//! What a load and a commit send, as the server's own log has it.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod support;

use countersign::store::{CommitOutcome, ExpectedVersions, FactorStore, StoredRow};
use countersign::{TenantId, UserId};
use countersign_postgres::PostgresFactors;
use support::{row, server};

const STEPS: u32 = 25;

/// One statement for each, no transaction around it, no connection tried before, and nothing
/// prepared by a statement of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_and_a_commit_are_one_statement_each() {
    for prepared in [true, false] {
        let Some(server) = server(&["log_statement=all", "log_line_prefix=logged "]) else {
            return;
        };
        let options = PostgresFactors::options().connections(1).prepared_statements(prepared);
        let store = options.connect(server.url()).await.unwrap();
        let acme = TenantId::new("acme").unwrap();
        let log = || std::fs::read_to_string(server.directory().join("log")).unwrap();
        let before = log().len();

        // Each of the four commits: with settings and without, with a record and without.
        steps(&store, &acme, "alice", None).await;
        let settings = row(7);
        let changed = log().len();
        assert_eq!(
            store.change_settings(&acme, None, &settings).await.unwrap(),
            CommitOutcome::Written
        );
        let settings_since = log().len();
        steps(&store, &acme, "bob", Some(&settings)).await;

        let log = log();
        let logged = format!("{}{}", &log[before..changed], &log[settings_since..]);
        let logged: Vec<&str> = logged.split("logged LOG:  ").skip(1).collect();
        let executed = |text: &str| {
            logged
                .iter()
                .filter(|entry| entry.starts_with("execute") && entry.contains(text))
                .count()
        };
        let steps = usize::try_from(2 * STEPS).unwrap();
        let both = (executed("LEFT JOIN \"countersign\".records"), executed("RETURNING version"));
        assert_eq!(both, (steps, steps), "{logged:#?}");
        // Their parameters are a part of the same entry (DETAIL), and there is no other.
        assert_eq!(logged.len(), 2 * steps, "{logged:#?}");
    }
}

/// Many records are one statement, and so one round trip, however many users are asked for.
#[tokio::test(flavor = "multi_thread")]
async fn many_records_are_read_by_one_statement() {
    for prepared in [true, false] {
        let Some(server) = server(&["log_statement=all", "log_line_prefix=logged "]) else {
            return;
        };
        let options = PostgresFactors::options().connections(1).prepared_statements(prepared);
        let store = options.connect(server.url()).await.unwrap();
        let acme = TenantId::new("acme").unwrap();
        let log = || std::fs::read_to_string(server.directory().join("log")).unwrap();
        let before = log().len();
        let calls = [0, 1, 2, 1_000, 1_000];
        for number in calls {
            let users = (0..number).map(|user| UserId::new(&format!("user-{user}")).unwrap());
            let found = store.load_many(&acme, &users.collect::<Vec<_>>()).await.unwrap();
            assert_eq!(found.records, vec![None; number]);
        }
        let log = log()[before..].to_owned();
        let logged: Vec<&str> = log.split("logged LOG:  ").skip(1).collect();
        assert_eq!(logged.len(), calls.len(), "{logged:#?}");
        assert!(logged.iter().all(|entry| entry.starts_with("execute")), "{logged:#?}");
    }
}

async fn steps(store: &PostgresFactors, acme: &TenantId, user: &str, settings: Option<&StoredRow>) {
    let user = UserId::new(user).unwrap();
    for number in 1..=STEPS {
        let found = store.load(acme, &user).await.unwrap();
        assert_eq!(found.settings.as_ref(), settings);
        let expected = ExpectedVersions {
            settings: found.settings.map(|settings| settings.version),
            record: found.record.map(|record| record.version),
        };
        assert_eq!(
            store.commit(acme, &user, &expected, &row(number)).await.unwrap(),
            CommitOutcome::Written
        );
    }
}
