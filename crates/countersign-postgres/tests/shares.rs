//! Whatever waits for a lock keeps its connection. It keeps only a part of the pool, and not for
//! long.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use countersign::budget::{Account, Charged, Limit, SendBudget};
use countersign::error::PluginError;
use countersign::store::{CommitOutcome, ExpectedVersions, FactorStore, Generation, Version};
use countersign::{TenantId, UserId};
use countersign_postgres::{PostgresBudget, PostgresFactors, PostgresOptions};
use support::{connect, row, server};
use time::OffsetDateTime;
use tokio::task::JoinSet;
use tokio_postgres::Client;

const NONE: ExpectedVersions = ExpectedVersions { settings: None, record: None };

/// Longer than any test.
const FOR_LONG: Duration = Duration::from_secs(3_600);

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

/// Nothing ends by a time-out: who waits, waits until the test lets them go.
fn patient() -> PostgresOptions {
    support::options().wait_timeout(FOR_LONG).statement_timeout(FOR_LONG)
}

async fn waiting(observer: &Client) -> i64 {
    let waits = "SELECT count(*) FROM pg_stat_activity
        WHERE application_name = 'countersign' AND wait_event_type = 'Lock'";
    observer.query_one(waits, &[]).await.unwrap().get(0)
}

async fn until_so_many_wait(observer: &Client, number: i64) {
    while waiting(observer).await < number {
        tokio::task::yield_now().await;
    }
}

/// Whatever stops them would stop them until the test lets it go.
async fn goes_on(store: &PostgresFactors, observer: &Client, name: &str, waiting_meanwhile: i64) {
    let goes_on = all_go_on(store, observer, name, waiting_meanwhile);
    tokio::time::timeout(Duration::from_secs(60), goes_on).await.unwrap();
}

/// One after the other, so that the later ones prove that there is room while the others wait.
async fn all_go_on(store: &PostgresFactors, observer: &Client, name: &str, waiting_meanwhile: i64) {
    for number in 0..20 {
        let tenant = tenant(&format!("{name}-{number}"));
        assert_eq!(store.load(&tenant, &alice()).await.unwrap().record, None);
        assert_eq!(
            store.commit(&tenant, &alice(), &NONE, &row(1)).await.unwrap(),
            CommitOutcome::Written
        );
        assert_eq!(store.load(&tenant, &alice()).await.unwrap().record, Some(row(1)));
        assert_eq!(waiting(observer).await, waiting_meanwhile);
    }
}

fn commits(
    store: &PostgresFactors,
    tenant: &TenantId,
    expected: ExpectedVersions,
) -> JoinSet<Result<CommitOutcome, PluginError>> {
    let mut commits = JoinSet::new();
    for number in 0..32 {
        let (store, tenant) = (store.clone(), tenant.clone());
        commits.spawn(async move {
            store.commit(&tenant, &alice(), &expected, &row(100 + number)).await
        });
    }
    commits
}

async fn one_wins(commits: JoinSet<Result<CommitOutcome, PluginError>>) {
    let answers: Vec<CommitOutcome> =
        commits.join_all().await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| **answer == CommitOutcome::Written).count(), 1);
}

/// I-40: one tenant's commits use half of the pool, however many of them wait.
#[tokio::test(flavor = "multi_thread")]
async fn many_commits_behind_one_records_lock_stop_no_other_tenant() {
    let Some(server) = server(&[]) else { return };
    let store = patient().connections(16).connect(server.url()).await.unwrap();
    let acme = tenant("acme");
    assert_eq!(
        store.commit(&acme, &alice(), &NONE, &row(1)).await.unwrap(),
        CommitOutcome::Written
    );
    let (host, observer) =
        (connect(server.url()).await.unwrap(), connect(server.url()).await.unwrap());
    host.batch_execute("BEGIN; SELECT FROM countersign.records FOR UPDATE").await.unwrap();
    let stuck =
        commits(&store, &acme, ExpectedVersions { settings: None, record: Some(row(1).version) });
    until_so_many_wait(&observer, 8).await;
    goes_on(&store, &observer, "globex", 8).await;
    // Its own users are still read.
    assert_eq!(store.load(&acme, &alice()).await.unwrap().record, Some(row(1)));
    host.batch_execute("ROLLBACK").await.unwrap();
    one_wins(stuck).await;
}

/// I-40: a role without any right on the tables holds a tenant's turn. It stops that tenant, and no
/// other one.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_holds_one_tenants_turn_stops_no_other_tenant() {
    let Some(server) = server(&[]) else { return };
    let store = patient().connections(16).connect(server.url()).await.unwrap();
    let (host, observer) =
        (connect(server.url()).await.unwrap(), connect(server.url()).await.unwrap());
    host.batch_execute("CREATE ROLE stranger LOGIN").await.unwrap();
    let stranger = connect(&server.url().replace("countersign@", "stranger@")).await.unwrap();
    stranger
        .batch_execute("SELECT pg_advisory_lock(hashtextextended('countersign.acme', 0))")
        .await
        .unwrap();
    let stuck = commits(&store, &tenant("acme"), NONE);
    until_so_many_wait(&observer, 8).await;
    goes_on(&store, &observer, "globex", 8).await;
    stranger.batch_execute("SELECT pg_advisory_unlock_all()").await.unwrap();
    one_wins(stuck).await;
}

/// I-40: charges of one account use a quarter of the pool, however many of them wait.
#[tokio::test(flavor = "multi_thread")]
async fn many_charges_of_one_account_stop_no_tenant() {
    let Some(server) = server(&[]) else { return };
    let store = patient().connections(16).connect(server.url()).await.unwrap();
    let budget = store.budget();
    let charge = async |budget: PostgresBudget| {
        let account = Account::new("country:44", Limit::new(10, Duration::from_secs(60)));
        budget.charge(&[account], OffsetDateTime::UNIX_EPOCH).await.unwrap()
    };
    assert_eq!(charge(budget.clone()).await, Charged::Yes);
    let (host, observer) =
        (connect(server.url()).await.unwrap(), connect(server.url()).await.unwrap());
    host.batch_execute("BEGIN; SELECT FROM countersign.charges FOR UPDATE").await.unwrap();
    let mut stuck = JoinSet::new();
    for _ in 0..32 {
        stuck.spawn(charge(budget.clone()));
    }
    until_so_many_wait(&observer, 4).await;
    goes_on(&store, &observer, "globex", 4).await;
    host.batch_execute("ROLLBACK").await.unwrap();
    let charged =
        stuck.join_all().await.into_iter().filter(|answer| *answer == Charged::Yes).count();
    assert_eq!(charged, 9);
}

/// I-23, I-40: where so many tenants wait for locks that the pool is used up, they give their
/// connections up before those run out of patience that wait for one. What gave up has written
/// nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_waited_for_less_long_than_a_connection() {
    let Some(server) = server(&[]) else { return };
    // The locks are given up after 12 s.
    let options = support::options().connections(2).wait_timeout(Duration::from_secs(15));
    let store = options.statement_timeout(FOR_LONG).connect(server.url()).await.unwrap();
    let (acme, globex, initech) = (tenant("acme"), tenant("globex"), tenant("initech"));
    for tenant in [&acme, &globex] {
        assert_eq!(
            store.commit(tenant, &alice(), &NONE, &row(1)).await.unwrap(),
            CommitOutcome::Written
        );
    }
    let (host, observer) =
        (connect(server.url()).await.unwrap(), connect(server.url()).await.unwrap());
    host.batch_execute("BEGIN; SELECT FROM countersign.records FOR UPDATE").await.unwrap();
    let next = ExpectedVersions { settings: None, record: Some(row(1).version) };
    let mut stuck = JoinSet::new();
    let (first, second) = (store.clone(), store.clone());
    stuck.spawn(async move { first.commit(&acme, &alice(), &next, &row(2)).await });
    stuck.spawn(
        async move { second.remove(&globex, &alice()).await.map(|_| CommitOutcome::Written) },
    );
    until_so_many_wait(&observer, 2).await;
    assert_eq!(store.load(&initech, &alice()).await.unwrap().record, None);
    for answer in stuck.join_all().await {
        assert_eq!(format!("{:?}", answer.unwrap_err()), "Locked");
    }
    host.batch_execute("ROLLBACK").await.unwrap();
    let kept = "SELECT version FROM countersign.records";
    let kept = host.query(kept, &[]).await.unwrap();
    let kept: Vec<&[u8]> = kept.iter().map(|kept| kept.get(0)).collect();
    assert_eq!(kept, [row(1).version.as_bytes(); 2]);
}

/// I-40: as does everything else that waits for one.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_waits_for_a_lock_gives_up_in_time() {
    let Some(server) = server(&[]) else { return };
    let options = support::options().connections(32).wait_timeout(Duration::from_secs(1));
    let store =
        options.statement_timeout(Duration::from_secs(60)).connect(server.url()).await.unwrap();
    let budget = store.budget();
    let account = || [Account::new("country:44", Limit::new(10, Duration::from_secs(60)))];
    assert_eq!(budget.charge(&account(), OffsetDateTime::UNIX_EPOCH).await.unwrap(), Charged::Yes);
    for name in ["a", "b", "c", "d"] {
        assert_eq!(
            store.commit(&tenant(name), &alice(), &NONE, &row(1)).await.unwrap(),
            CommitOutcome::Written
        );
    }
    for name in ["f", "g"] {
        assert_eq!(
            store.change_settings(&tenant(name), None, &row(1)).await.unwrap(),
            CommitOutcome::Written
        );
    }
    let version = row(1).version;
    let known = ExpectedVersions { settings: Some(version), record: None };
    assert_eq!(
        store.commit(&tenant("g"), &alice(), &known, &row(1)).await.unwrap(),
        CommitOutcome::Written
    );
    let stranger = connect(server.url()).await.unwrap();
    let locks = "BEGIN; SELECT FROM countersign.records FOR UPDATE; SELECT FROM countersign.charges FOR UPDATE;
        SELECT pg_advisory_xact_lock(hashtextextended('countersign.' || name, 0)) FROM unnest('{e,f,g}'::text[]) AS name";
    stranger.batch_execute(locks).await.unwrap();
    let all = known_record(known, version);
    let locked = |answer: Result<(), PluginError>| {
        assert_eq!(format!("{:?}", answer.unwrap_err()), "Locked");
    };
    tokio::join!(
        async {
            locked(
                store
                    .commit(&tenant("a"), &alice(), &known_record(NONE, version), &row(2))
                    .await
                    .map(drop),
            );
        },
        async { locked(store.remove(&tenant("b"), &alice()).await.map(drop)) },
        async { locked(store.remove_if(&tenant("c"), &alice(), version).await.map(drop)) },
        async { locked(store.purge(&tenant("d"), Generation::new(1), 10).await.map(drop)) },
        async { locked(store.commit(&tenant("e"), &alice(), &NONE, &row(2)).await.map(drop)) },
        async { locked(store.commit(&tenant("f"), &alice(), &known, &row(2)).await.map(drop)) },
        async { locked(store.commit(&tenant("g"), &alice(), &all, &row(2)).await.map(drop)) },
        async { locked(budget.charge(&account(), OffsetDateTime::UNIX_EPOCH).await.map(drop)) },
    );
}

fn known_record(expected: ExpectedVersions, version: Version) -> ExpectedVersions {
    ExpectedVersions { record: Some(version), ..expected }
}
