//! What a store adds to the bare statement of its driver (target: at most 1.15): both in turns, in
//! one run, as a ratio of medians.
//!
//! `scripts/store_ratios` runs it. It prints rows of a table in Markdown, and asserts nothing on
//! time.
#![allow(clippy::arithmetic_side_effects, clippy::cast_precision_loss)]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, StoredRow, Version,
};
use countersign::{TenantId, UserId};
use countersign_postgres::PostgresFactors;
use countersign_redis::RedisFactors;
use countersign_sqlite::{Durability, SqliteFactors};
use rusqlite::Connection;
use test_servers::servers;
use tokio_postgres::{Client, NoTls, Statement};

/// Whatever went wrong, for the one who runs this.
type Failure = Box<dyn std::error::Error + Send + Sync>;

const TURNS: usize = 60;
const CALLS: u32 = 20;

fn document() -> String {
    format!(r#"{{"format":1,"filler":"{}"}}"#, "x".repeat(700))
}

/// A user of a tenant with settings, whose record one side or the other replaces again and again.
struct Subject {
    tenant: TenantId,
    user: UserId,
    settings: Version,
    number: u128,
}

impl Subject {
    async fn new(store: &dyn FactorStore, user: &str) -> Result<Self, Failure> {
        let (tenant, user) = (TenantId::new("acme")?, UserId::new(user)?);
        let settings = version(1);
        if store.settings(&tenant).await?.is_none() {
            store.change_settings(&tenant, None, &saved(1)).await?.written()?;
        }
        let subject = Self { tenant, user, settings, number: 1 };
        let expected = ExpectedVersions { settings: Some(settings), record: None };
        store.commit(&subject.tenant, &subject.user, &expected, &saved(1)).await?.written()?;
        Ok(subject)
    }

    fn turn(&mut self) -> (Version, StoredRow) {
        self.number += 1;
        (version(self.number - 1), saved(self.number))
    }

    async fn load(&self, store: &dyn FactorStore) -> Result<(), Failure> {
        store.load(&self.tenant, &self.user).await?.record.ok_or("a record is there")?;
        Ok(())
    }

    async fn commit(&mut self, store: &dyn FactorStore) -> Result<(), Failure> {
        let (record, next) = self.turn();
        let expected = ExpectedVersions { settings: Some(self.settings), record: Some(record) };
        store.commit(&self.tenant, &self.user, &expected, &next).await?.written()
    }
}

trait Written {
    fn written(self) -> Result<(), Failure>;
}

impl Written for CommitOutcome {
    fn written(self) -> Result<(), Failure> {
        if self == Self::Written { Ok(()) } else { Err("nobody else writes".into()) }
    }
}

fn version(number: u128) -> Version {
    Version::from_bytes(number.to_be_bytes())
}

fn saved(number: u128) -> StoredRow {
    StoredRow { version: version(number), generation: Generation::new(0), document: document() }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    println!(
        "| store | call | through the store | bare statement | ratio |\n|---|---|---|---|---|"
    );
    for (durability, name) in
        [(Durability::ProcessCrash, "NORMAL"), (Durability::PowerLoss, "FULL")]
    {
        sqlite_file(durability, name).await?;
    }
    postgres().await?;
    redis().await
}

fn report(store: &str, call: &str, ours: &mut [Duration], bare: &mut [Duration]) {
    let (ours, bare) = (median(ours), median(bare));
    println!(
        "| {store} | {call} | {ours:.1?} | {bare:.1?} | {:.2} |",
        ours.as_secs_f64() / bare.as_secs_f64()
    );
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default() / CALLS
}

/// Times one side for as long as a turn lasts.
macro_rules! turn {
    ($times:ident, $call:expr) => {{
        let started = Instant::now();
        for _ in 0..CALLS {
            $call;
        }
        $times.push(started.elapsed());
    }};
}

const SQLITE_LOAD: &str = r#"SELECT s.version, s.generation, s.document, r.version, r.generation, r.document
    FROM (SELECT 1) LEFT JOIN countersign_settings s ON s.tenant = ?1
    LEFT JOIN countersign_records r ON r.tenant = ?1 AND r."user" = ?2"#;
const SQLITE_COMMIT: &str = r#"UPDATE countersign_records SET version = ?3, document = ?4
    WHERE tenant = ?1 AND "user" = ?2 AND version = ?5
    AND (SELECT version FROM countersign_settings WHERE tenant = ?1) IS ?6"#;

fn bare_load(connection: &Connection, subject: &Subject) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(SQLITE_LOAD)?;
    let _row: (Vec<u8>, u32, String, Vec<u8>, u32, String) = statement
        .query_row([subject.tenant.as_str(), subject.user.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        })?;
    Ok(())
}

fn bare_commit(connection: &Connection, subject: &mut Subject) -> Result<(), Failure> {
    let (record, next) = subject.turn();
    let changed = connection.prepare_cached(SQLITE_COMMIT)?.execute(rusqlite::params![
        subject.tenant.as_str(),
        subject.user.as_str(),
        next.version.as_bytes(),
        next.document.as_str(),
        record.as_bytes(),
        subject.settings.as_bytes()
    ])?;
    if changed == 1 { Ok(()) } else { Err("nobody else writes".into()) }
}

/// The bare statement twice: on the thread that asks, which then waits for the disk, and moved off
/// the runtime, as every store must.
async fn sqlite_file(durability: Durability, name: &str) -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("countersign.db");
    let store = SqliteFactors::options().durability(durability).open(&path).await?;
    let mut subject = Subject::new(&store, "ours").await?;
    let theirs = Subject::new(&store, "bare").await?;
    let bare = Connection::open(&path)?;
    bare.pragma_update(None, "synchronous", name)?;
    let bare = Arc::new(Mutex::new((bare, theirs)));
    let replace = |bare: &Arc<Mutex<(Connection, Subject)>>| {
        let mut bare = bare.lock().unwrap_or_else(PoisonError::into_inner);
        let (connection, theirs) = &mut *bare;
        bare_commit(connection, theirs)
    };
    let look = |bare: &Arc<Mutex<(Connection, Subject)>>| {
        let bare = bare.lock().unwrap_or_else(PoisonError::into_inner);
        bare_load(&bare.0, &bare.1)
    };
    let (mut loads, mut commits) = (vec![], vec![]);
    let (mut near_loads, mut near_commits, mut far_loads, mut far_commits) =
        (vec![], vec![], vec![], vec![]);
    for _ in 0..TURNS {
        turn!(loads, subject.load(&store).await?);
        turn!(near_loads, look(&bare)?);
        turn!(far_loads, {
            let bare = Arc::clone(&bare);
            tokio::task::spawn_blocking(move || look(&bare)).await??;
        });
        turn!(commits, subject.commit(&store).await?);
        turn!(near_commits, replace(&bare)?);
        turn!(far_commits, {
            let bare = Arc::clone(&bare);
            tokio::task::spawn_blocking(move || replace(&bare)).await??;
        });
    }
    let store = format!("SQLite, file, {name}");
    report(&store, "load, against a statement off the runtime", &mut loads, &mut far_loads);
    report(&store, "load, against a statement on it", &mut loads, &mut near_loads);
    report(&store, "commit, against a statement off the runtime", &mut commits, &mut far_commits);
    report(&store, "commit, against a statement on it", &mut commits, &mut near_commits);
    Ok(())
}

/// The same statements on a connection of the driver, and a conditional `UPDATE` that looks at the
/// record alone.
struct BarePostgres {
    client: Client,
    load: Statement,
    commit: Statement,
    record_only: Statement,
}

impl BarePostgres {
    async fn new(url: &str, schema: &str) -> Result<Self, Failure> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        let load = client
            .prepare(&format!(
                r#"SELECT s.version, s.generation, s.document, r.version, r.generation, r.document
                FROM (VALUES (1)) AS one (one) LEFT JOIN "{schema}".settings s ON s.tenant = $1
                LEFT JOIN "{schema}".records r ON r.tenant = $1 AND r."user" = $2"#
            ))
            .await?;
        let update = |from: &str| {
            format!(
                r#"UPDATE "{schema}".records SET version = $3, generation = $4, document = $5 {from}
                WHERE tenant = $1 AND "user" = $2 AND version = $6 RETURNING 1"#
            )
        };
        let commit = client
            .prepare(&format!(
                r#"WITH ok AS MATERIALIZED (SELECT 1 FROM "{schema}".settings WHERE tenant = $1 AND version = $7 FOR SHARE) {}"#,
                update("FROM ok")
            ))
            .await?;
        let record_only = client.prepare(&update("")).await?;
        Ok(Self { client, load, commit, record_only })
    }

    async fn load(&self, subject: &Subject) -> Result<(), Failure> {
        let row = self
            .client
            .query_one(&self.load, &[&subject.tenant.as_str(), &subject.user.as_str()])
            .await?;
        let _text: String = row.try_get(5)?;
        Ok(())
    }

    async fn commit(&self, subject: &mut Subject, with_settings: bool) -> Result<(), Failure> {
        let (record, next) = subject.turn();
        let (version, record) = (next.version.as_bytes().as_slice(), record.as_bytes().as_slice());
        let (tenant, user, document) =
            (subject.tenant.as_str(), subject.user.as_str(), next.document.as_str());
        let settings = subject.settings.as_bytes().as_slice();
        let rows = if with_settings {
            self.client
                .query(
                    &self.commit,
                    &[&tenant, &user, &version, &0_i64, &document, &record, &settings],
                )
                .await?
        } else {
            self.client
                .query(&self.record_only, &[&tenant, &user, &version, &0_i64, &document, &record])
                .await?
        };
        if rows.len() == 1 { Ok(()) } else { Err("nobody else writes".into()) }
    }
}

async fn postgres() -> Result<(), Failure> {
    let Some(url) = servers::postgres_url()? else { return Ok(()) };
    let schema = format!("ratios_{}", std::process::id());
    let store = PostgresFactors::options().schema(&schema).connect(&url).await?;
    let (bare, other) =
        (BarePostgres::new(&url, &schema).await?, BarePostgres::new(&url, &schema).await?);
    let mut subject = Subject::new(&store, "ours").await?;
    let mut theirs = Subject::new(&store, "bare").await?;
    let mut others = Subject::new(&store, "other").await?;
    let (mut loads, mut bare_loads, mut commits, mut bare_commits, mut plain) =
        (vec![], vec![], vec![], vec![], vec![]);
    // Each side has a process of the server to itself, does as much as the other and comes first as
    // often: the caches favour whoever is used more.
    for turn in 0..TURNS * 4 {
        for side in [turn % 2, (turn + 1) % 2] {
            if side == 0 {
                turn!(loads, subject.load(&store).await?);
                turn!(commits, subject.commit(&store).await?);
            } else {
                turn!(bare_loads, bare.load(&theirs).await?);
                turn!(bare_commits, bare.commit(&mut theirs, true).await?);
            }
        }
        turn!(plain, other.commit(&mut others, false).await?);
    }
    report("PostgreSQL", "load", &mut loads, &mut bare_loads);
    report("PostgreSQL", "commit, against the same conditions", &mut commits, &mut bare_commits);
    report(
        "PostgreSQL",
        "commit, against one that looks at the record alone",
        &mut commits,
        &mut plain,
    );
    throughput(&url, &schema, &store).await?;
    bare.client.batch_execute(&format!(r#"DROP SCHEMA "{schema}" CASCADE"#)).await?;
    Ok(())
}

/// 16 logins at once, each a load and a commit, through the store's pool of 16 and on 16
/// connections of the driver.
async fn throughput(url: &str, schema: &str, store: &PostgresFactors) -> Result<(), Failure> {
    const AT_ONCE: usize = 16;
    const STEPS: u32 = 60;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for number in 0..AT_ONCE {
        ours.push(Subject::new(store, &format!("ours-{number}")).await?);
        let subject = Subject::new(store, &format!("theirs-{number}")).await?;
        theirs.push((subject, Arc::new(BarePostgres::new(url, schema).await?)));
    }
    let (mut through_store, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..9 {
        let started = Instant::now();
        let mut working = Vec::new();
        for mut subject in ours.drain(..) {
            let store = store.clone();
            working.push(tokio::spawn(async move {
                for _ in 0..STEPS {
                    subject.load(&store).await?;
                    subject.commit(&store).await?;
                }
                Ok::<_, Failure>(subject)
            }));
        }
        for done in working {
            ours.push(done.await??);
        }
        through_store.push(started.elapsed());
        let started = Instant::now();
        let mut working = Vec::new();
        for (mut subject, bare) in theirs.drain(..) {
            working.push(tokio::spawn(async move {
                for _ in 0..STEPS {
                    bare.load(&subject).await?;
                    bare.commit(&mut subject, true).await?;
                }
                Ok::<_, Failure>((subject, bare))
            }));
        }
        for done in working {
            theirs.push(done.await??);
        }
        bare.push(started.elapsed());
    }
    through_store.sort_unstable();
    bare.sort_unstable();
    let per_second = |times: &[Duration]| {
        let middle = times.get(times.len() / 2).copied().unwrap_or_default();
        f64::from(STEPS) * AT_ONCE as f64 / middle.as_secs_f64()
    };
    let (ours, theirs) = (per_second(&through_store), per_second(&bare));
    println!(
        "| PostgreSQL | steps a second, 16 at once | {ours:.0} | {theirs:.0} | {:.2} |",
        ours / theirs
    );
    Ok(())
}

/// A script of the store that looks whether the store is there, and asks neither for the server's
/// role nor for the name of its call.
fn bare_script(text: &str) -> redis::Script {
    let (flags, body) = text.split_once('\n').unwrap_or((text, ""));
    redis::Script::new(&format!(
        "{flags}\nif redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end\n{body}"
    ))
}

async fn redis() -> Result<(), Failure> {
    let Some(url) = servers::redis_url()? else { return Ok(()) };
    let prefix = format!("ratios-{}", std::process::id());
    let options = RedisFactors::options()
        .key_prefix(&prefix)
        .initialise_if_empty()
        .accept_data_loss_on_restart();
    let store = options.connect(&url).await?;
    let mut subject = Subject::new(&store, "ours").await?;
    let mut bare = redis::Client::open(url.as_str())?.get_multiplexed_async_connection().await?;
    let load = bare_script(include_str!("../../../countersign-redis/src/scripts/load.lua"));
    let commit = bare_script(include_str!("../../../countersign-redis/src/scripts/commit.lua"));
    let key = |name: &str| format!("{prefix}:bare:{name}");
    for (name, field) in [("s", 1_u128), ("r", 1)] {
        redis::cmd("HSET")
            .arg(key(name))
            .arg(&[
                "v".as_bytes(),
                version(field).as_bytes(),
                b"g",
                b"0",
                b"d",
                document().as_bytes(),
            ])
            .exec_async(&mut bare)
            .await?;
    }
    redis::cmd("SET").arg(key("m")).arg("1").exec_async(&mut bare).await?;
    let mut number = 1_u128;
    let (mut loads, mut bare_loads, mut commits, mut bare_commits, mut pings) =
        (vec![], vec![], vec![], vec![], vec![]);
    for _ in 0..TURNS * 2 {
        turn!(loads, subject.load(&store).await?);
        turn!(bare_loads, {
            let mut call = load.prepare_invoke();
            call.key(key("m")).key(key("s")).key(key("r")).arg("1");
            let _rows: Vec<(Vec<u8>, u32, String)> = call.invoke_async(&mut bare).await?;
        });
        turn!(commits, subject.commit(&store).await?);
        turn!(bare_commits, {
            let mut call = commit.prepare_invoke();
            call.key(key("m")).key(key("s")).key(key("r")).key(key("g")).arg("1");
            call.arg(version(1).as_bytes())
                .arg(version(number).as_bytes())
                .arg(version(number + 1).as_bytes());
            call.arg(0).arg(document()).arg("bare");
            let written: u32 = call.invoke_async(&mut bare).await?;
            if written != 1 {
                return Err("nobody else writes".into());
            }
            number += 1;
        });
        turn!(pings, redis::cmd("PING").exec_async(&mut bare).await?);
    }
    report("Redis", "load", &mut loads, &mut bare_loads);
    report("Redis", "commit", &mut commits, &mut bare_commits);
    report("Redis", "commit, against PING", &mut commits, &mut pings);
    let keys: Vec<String> =
        redis::cmd("KEYS").arg(format!("{prefix}:*")).query_async(&mut bare).await?;
    redis::cmd("UNLINK").arg(keys).exec_async(&mut bare).await?;
    Ok(())
}
