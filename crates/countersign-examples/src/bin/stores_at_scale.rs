//! A tenant of a million users switches off: how long it takes, how long the deletion takes, and
//! whom it holds up.
//!
//! `scripts/stores_at_scale [users]` runs it. It prints rows of a table in Markdown.
#![allow(clippy::cast_precision_loss, clippy::arithmetic_side_effects)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use countersign::memory::{MemoryFactors, MemoryUsers};
use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, StoredRow, Version,
};
use countersign::{Channel, Login, LoginFlow, LoginStep, RequestContext, Scope, TenantId, UserId};
use countersign_postgres::PostgresFactors;
use countersign_sqlite::SqliteFactors;
use countersign_testkit::{Outbox, Person, PlainPasswords};
use tokio_postgres::NoTls;

/// Whatever went wrong, for the one who runs this.
type Failure = Box<dyn std::error::Error + Send + Sync>;

const BATCH: u32 = 5_000;

/// How often each of the two tenants switches off.
const SWITCHES: u32 = 200;

/// As long as an ordinary record.
fn document() -> String {
    format!(r#"{{"format":1,"filler":"{}"}}"#, "x".repeat(700))
}

fn version(number: u128) -> Version {
    Version::from_bytes(number.to_be_bytes())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let users: u32 = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    println!(
        "| store | users | switching off, median | of 1,000 users | ratio | purge | longest batch | commits of the same tenant without a purge: median, 99 %, 99.9 %, longest | during one | other tenant's records |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");

    in_memory("memory", Arc::new(MemoryFactors::new()), users).await?;

    let directory = tempfile::tempdir()?;
    let path = directory.path().join("scale.db");
    let store = SqliteFactors::open(&path).await?;
    let connection = rusqlite::Connection::open(&path)?;
    let fill = |tenant: &str, number: u32| {
        connection.execute(
            r#"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
            INSERT INTO countersign_records (tenant, "user", version, generation, document)
            SELECT ?1, 'user-' || i, randomblob(16), 0, ?3 FROM n"#,
            rusqlite::params![tenant, number, document()],
        )
    };
    for (tenant, number) in tenants(users) {
        fill(tenant, number)?;
    }
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    experiment("SQLite", Arc::new(store.clone()), users).await?;
    whole_job("SQLite", Arc::new(store)).await?;

    let Some(url) = test_servers::servers::postgres_url()? else { return Ok(()) };
    let schema = format!("scale_{}", std::process::id());
    let store = PostgresFactors::options().schema(&schema).connect(&url).await?;
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    for (tenant, number) in tenants(users) {
        client
            .batch_execute(&format!(
                r#"INSERT INTO "{schema}".records (tenant, "user", version, generation, document)
                SELECT '{tenant}', 'user-' || i, decode(md5(i::text), 'hex'), 0, '{}' FROM generate_series(1, {number}) i"#,
                document()
            ))
            .await?;
    }
    client.batch_execute(&format!(r#"VACUUM ANALYZE "{schema}".records"#)).await?;
    client.batch_execute("CHECKPOINT").await?;
    let before: String = client.query_one("SELECT pg_current_wal_lsn()::text", &[]).await?.get(0);
    experiment("PostgreSQL", Arc::new(store.clone()), users).await?;
    let written: i64 = client
        .query_one("SELECT (pg_current_wal_lsn() - ($1::text)::pg_lsn)::bigint", &[&before])
        .await?
        .get(0);
    println!("\nPostgreSQL's log grew by {} MB.", written / 1_000_000);
    whole_job("PostgreSQL", Arc::new(store)).await?;
    client.batch_execute(&format!(r#"DROP SCHEMA "{schema}" CASCADE"#)).await?;
    Ok(())
}

/// The tenants that each store has, and how many users.
fn tenants(users: u32) -> [(&'static str, u32); 4] {
    [("large", users), ("small", 1_000), ("other", users / 10), ("flow", users / 5)]
}

async fn in_memory(name: &str, store: Arc<dyn FactorStore>, users: u32) -> Result<(), Failure> {
    let nothing = ExpectedVersions { settings: None, record: None };
    for (tenant, number) in tenants(users) {
        let tenant = TenantId::new(tenant)?;
        for number in 1..=number {
            let user = UserId::new(&format!("user-{number}"))?;
            let version = version(u128::from(number));
            let next = StoredRow { version, generation: Generation::new(0), document: document() };
            if store.commit(&tenant, &user, &nothing, &next).await? != CommitOutcome::Written {
                return Err("a first commit was refused".into());
            }
        }
    }
    experiment(name, Arc::clone(&store), users).await?;
    whole_job(name, store).await
}

async fn experiment(name: &str, store: Arc<dyn FactorStore>, users: u32) -> Result<(), Failure> {
    let (large, small, other) =
        (TenantId::new("large")?, TenantId::new("small")?, TenantId::new("other")?);
    // Turn by turn, so that both meet the same machine.
    let (mut of_large, mut of_small) = (Vec::new(), Vec::new());
    let mut settings: Option<Version> = None;
    for round in 0..SWITCHES {
        let next = StoredRow {
            version: version(u128::from(round) + 1),
            generation: Generation::new(round + 1),
            document: r#"{"format":1,"scope":"do_not_use"}"#.to_owned(),
        };
        let mut turns = [(&large, &mut of_large), (&small, &mut of_small)];
        if round % 2 == 1 {
            turns.reverse();
        }
        for (tenant, times) in turns {
            let started = Instant::now();
            if store.change_settings(tenant, settings, &next).await? != CommitOutcome::Written {
                return Err("a change of settings was refused".into());
            }
            times.push(started.elapsed());
        }
        settings = Some(next.version);
    }
    let (of_large, of_small) = (median(&mut of_large), median(&mut of_small));

    // After each batch as long a pause: the control, on the same machine at the same time.
    let writer = Writer::start(Arc::clone(&store), &large, settings)?;
    let (mut batches, mut deleted) = (Vec::new(), 0);
    loop {
        writer.purging.store(true, Ordering::SeqCst);
        let batch = Instant::now();
        let number = store.purge(&large, Generation::new(SWITCHES), BATCH).await?;
        let took = batch.elapsed();
        writer.purging.store(false, Ordering::SeqCst);
        batches.push(took);
        deleted += number;
        if number < u64::from(BATCH) && store.count(&large, Generation::new(SWITCHES)).await? == 0 {
            break;
        }
        tokio::time::sleep(took).await;
    }
    let total: Duration = batches.iter().sum();
    let mut waits = writer.stop().await?;
    if deleted != u64::from(users) {
        return Err(format!("{deleted} of {users} records were deleted").into());
    }
    let left = store.count(&other, Generation::new(1)).await?;
    if left != u64::from(users / 10) {
        return Err(format!("{left} records of another tenant are left").into());
    }
    let longest = batches.into_iter().max().unwrap_or_default();
    println!(
        "| {name} | {users} | {of_large:.1?} | {of_small:.1?} | {:.2} | {total:.1?} | {longest:.1?} | {} | {} | {left} |",
        of_large.as_secs_f64() / of_small.as_secs_f64(),
        spread(&mut waits.without),
        spread(&mut waits.during)
    );
    Ok(())
}

/// The whole job as a host runs it, with its progress noted and counted after each batch.
async fn whole_job(name: &str, store: Arc<dyn FactorStore>) -> Result<(), Failure> {
    let (tenant, users) = (TenantId::new("flow")?, MemoryUsers::new());
    Person::named("root").administrator().join(&users, &tenant)?;
    let outbox = Outbox::new();
    let flow = LoginFlow::builder(users, store, outbox.clone())
        .password_verifier(PlainPasswords)
        .build()?;
    let password = Person::PASSWORD.into();
    let login = Login { name: "root", password: &password, channel: Channel::Web, device: None };
    flow.operator("setting up")?.set_scope(&tenant, Scope::EntireTenant).await?;
    let LoginStep::CodeRequired(challenge) =
        flow.request(&tenant, &RequestContext::new()).begin(&login).await?
    else {
        return Err("a code".into());
    };
    let code = outbox.last_code().ok_or("no code was sent")?.code;
    let step = flow
        .request(&tenant, &RequestContext::new())
        .submit_code(&challenge.token, &code.as_str().into(), countersign::TrustDevice::No)
        .await?;
    let LoginStep::Authenticated(_) = step else { return Err("the code is right".into()) };
    flow.operator("setting up")?.set_scope(&tenant, Scope::DoNotUse).await?;
    let started = Instant::now();
    let mut calls = 0;
    loop {
        calls += 1;
        let progress = flow.purge(&tenant, BATCH).await?.ok_or("nothing to purge")?;
        if progress.finished_at.is_some() {
            let took = started.elapsed();
            println!(
                "\n{name}: `LoginFlow::purge` of {} records took {took:.1?} in {calls} calls.\n",
                progress.deleted
            );
            return Ok(());
        }
    }
}

/// Somebody of the same tenant who commits one step after the other, and notes how long each took
/// and whether a purge was at work meanwhile.
struct Writer {
    enough: Arc<AtomicBool>,
    purging: Arc<AtomicBool>,
    working: tokio::task::JoinHandle<Result<Waits, Failure>>,
}

/// How long the commits took.
#[derive(Default)]
struct Waits {
    without: Vec<Duration>,
    during: Vec<Duration>,
}

impl Writer {
    fn start(
        store: Arc<dyn FactorStore>,
        tenant: &TenantId,
        settings: Option<Version>,
    ) -> Result<Self, Failure> {
        let (tenant, user) = (tenant.clone(), UserId::new("busy")?);
        let (enough, purging) =
            (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let working = {
            let (enough, purging) = (Arc::clone(&enough), Arc::clone(&purging));
            tokio::spawn(async move {
                let (mut record, mut waits, mut number) = (None, Waits::default(), 0_u128);
                while !enough.load(Ordering::SeqCst) {
                    number += 1;
                    let next = StoredRow {
                        version: version(number),
                        generation: Generation::new(SWITCHES),
                        document: document(),
                    };
                    let before = purging.load(Ordering::SeqCst);
                    let started = Instant::now();
                    let expected = ExpectedVersions { settings, record };
                    if store.commit(&tenant, &user, &expected, &next).await?
                        != CommitOutcome::Written
                    {
                        return Err("a commit was refused".into());
                    }
                    let took = started.elapsed();
                    // A commit that a purge met at either end counts as one during it.
                    let met = before || purging.load(Ordering::SeqCst);
                    if met {
                        waits.during.push(took);
                    } else {
                        waits.without.push(took);
                    }
                    record = Some(next.version);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Ok(waits)
            })
        };
        Ok(Self { enough, purging, working })
    }

    async fn stop(self) -> Result<Waits, Failure> {
        self.enough.store(true, Ordering::SeqCst);
        self.working.await?
    }
}

/// The longest that a purge may hold a commit up.
const ALLOWED: Duration = Duration::from_millis(25);

/// Median, 99th and 99.9th percentile, longest, and how many took longer than what is allowed.
fn spread(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let part = |thousandths: usize| {
        times.get((times.len() * thousandths / 1_000).min(times.len().saturating_sub(1)))
    };
    let [half, most, nearly_all] = [500, 990, 999].map(|at| part(at).copied().unwrap_or_default());
    let longest = times.last().copied().unwrap_or_default();
    let over = times.iter().filter(|time| **time > ALLOWED).count();
    format!(
        "{half:.1?}, {most:.1?}, {nearly_all:.1?}, {longest:.1?}; {over} of {} over 25 ms",
        times.len()
    )
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
