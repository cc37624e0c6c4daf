//! A tenant of a million users rehearses a change of its settings: how long that takes.
//!
//! `scripts/rehearsal_at_scale [users]` runs it. It prints rows of a table in Markdown.
#![allow(clippy::arithmetic_side_effects)]

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use countersign::contact::EmailAddress;
use countersign::error::PluginError;
use countersign::memory::{MemoryFactors, MemoryUsers};
use countersign::store::{CommitOutcome, ExpectedVersions, FactorStore, StoredRow, Version};
use countersign::user::{User, UserDirectory};
use countersign::{LoginFlow, Rehearsal, Scope, TenantId, UserId};
use countersign_postgres::PostgresFactors;
use countersign_sqlite::SqliteFactors;
use countersign_testkit::{Outbox, Person, TenantSetup, World};
use tokio_postgres::NoTls;

/// Whatever went wrong, for the one who runs this.
type Failure = Box<dyn std::error::Error + Send + Sync>;

const TENANT: &str = "large";
/// Every so manieth user has a record.
const WITH_RECORD: u32 = 3;
/// How many people are looked at in one call.
const BATCH: u64 = 100_000;

/// So many users, made up as they are asked for: every hundredth is an administrator, every
/// fiftieth has no address.
struct MadeUp(u32);

fn id(number: u32) -> String {
    format!("user-{number:08}")
}

impl MadeUp {
    fn user(tenant: &TenantId, number: u32) -> Result<User, PluginError> {
        let id = id(number);
        let mut user = User::new(tenant.clone(), UserId::new(&id)?);
        user.system_administrator = number.is_multiple_of(100);
        user.security_stamp = Some("1".to_owned());
        if !number.is_multiple_of(50) {
            user.email = Some(EmailAddress::new(&format!("{id}@example.com"))?);
        }
        Ok(user)
    }
}

#[async_trait]
impl UserDirectory for MadeUp {
    async fn page(
        &self,
        tenant: &TenantId,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<User>, PluginError> {
        let last = after.map_or(Ok(0), |user| user.as_str().trim_start_matches("user-").parse())?;
        let end = self.0.min(last + at_most);
        (last + 1..=end).map(|number| Self::user(tenant, number)).collect()
    }

    async fn administrators(&self, _: &TenantId) -> Result<Vec<User>, PluginError> {
        Ok(Vec::new())
    }
}

/// A record as a user has one who has set up everything.
async fn document() -> Result<String, Failure> {
    let factors = MemoryFactors::new();
    let tenancy = TenantSetup::named(TENANT)
        .person(Person::named("root").administrator())
        .person(Person::named("alice"));
    let world = World::of(factors.clone(), tenancy, |builder| {
        builder.trusted_devices(std::time::Duration::from_secs(86_400), 3)
    })
    .map_err(Box::<dyn std::error::Error + Send + Sync>::from)?;
    let made = async {
        world.set_scope(Scope::EntireTenant).await?;
        world.choose_sms("alice", "+819012345634").await?;
        world.clock.advance(std::time::Duration::from_secs(60));
        world.make_backup_code("alice").await?;
        world.clock.advance(std::time::Duration::from_secs(60));
        world.sign_in_and_trust("alice", "laptop").await
    };
    let _done = made.await.map_err(Box::<dyn std::error::Error + Send + Sync>::from)?;
    let record = factors.record(&world.tenant, &UserId::new("alice")?);
    Ok(record.ok_or("alice has a record")?.document)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let users: u32 = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let document = document().await?;
    println!("| store | people | with a record | off to everybody | everybody to off | a second |");
    println!("|---|---|---|---|---|---|");

    let memory = MemoryFactors::new();
    let tenant = TenantId::new(TENANT)?;
    let nothing = ExpectedVersions { settings: None, record: None };
    for number in (1..=users).step_by(WITH_RECORD as usize) {
        let next = StoredRow {
            version: Version::from_bytes(u128::from(number).to_be_bytes()),
            generation: countersign::store::Generation::default(),
            document: document.clone(),
        };
        let user = UserId::new(&id(number))?;
        let written = memory.commit(&tenant, &user, &nothing, &next).await;
        if written.map_err(Failure::from)? != CommitOutcome::Written {
            return Err("a first commit was refused".into());
        }
    }
    rehearse("memory", Arc::new(memory), users).await?;

    let directory = tempfile::tempdir()?;
    let path = directory.path().join("rehearsal.db");
    let store = SqliteFactors::open(&path).await?;
    let connection = rusqlite::Connection::open(&path)?;
    connection.execute(
        r#"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + ?4 FROM n WHERE i + ?4 <= ?2)
        INSERT INTO countersign_records (tenant, "user", version, generation, document)
        SELECT ?1, printf('user-%08d', i), randomblob(16), 0, ?3 FROM n"#,
        rusqlite::params![TENANT, users, document, WITH_RECORD],
    )?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    rehearse("SQLite", Arc::new(store), users).await?;

    let Some(url) = test_servers::servers::postgres_url()? else { return Ok(()) };
    let schema = format!("rehearsal_{}", std::process::id());
    let store = PostgresFactors::options().schema(&schema).connect(&url).await?;
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    client
        .batch_execute(&format!(
            r#"INSERT INTO "{schema}".records (tenant, "user", version, generation, document)
            SELECT '{TENANT}', 'user-' || lpad(i::text, 8, '0'), decode(md5(i::text), 'hex'), 0, '{document}'
            FROM generate_series(1, {users}, {WITH_RECORD}) i;
            ANALYZE "{schema}".records"#
        ))
        .await?;
    let done = rehearse("PostgreSQL", Arc::new(store), users).await;
    client.batch_execute(&format!(r#"DROP SCHEMA "{schema}" CASCADE"#)).await?;
    done
}

/// Rehearses switching on, and then switching off.
async fn rehearse(name: &str, store: Arc<dyn FactorStore>, users: u32) -> Result<(), Failure> {
    let tenant = TenantId::new(TENANT)?;
    let flow = LoginFlow::builder(MemoryUsers::new(), store, Outbox::new())
        .directory(MadeUp(users))
        .trusted_devices(std::time::Duration::from_secs(86_400), 3)
        .build()?;
    let operator = flow.operator("rehearsal at scale")?;
    let mut took = Vec::new();
    for scope in [Scope::EntireTenant, Scope::DoNotUse] {
        let mut next = operator.settings(&tenant).await?.settings;
        next.scope = scope;
        let (started, mut found) = (Instant::now(), Rehearsal::default());
        loop {
            found = operator.rehearse(&tenant, &next, found, BATCH).await?;
            if found.next.is_none() {
                break;
            }
        }
        took.push(started.elapsed());
        let records = u64::from(users.div_ceil(WITH_RECORD));
        let right = match scope {
            Scope::DoNotUse => found.settings_deleted.count == records,
            _ => found.newly_asked.count + found.locked_out.count >= u64::from(users) * 9 / 10,
        };
        if found.people != u64::from(users) || !right {
            return Err(format!("{found:?} of {users}").into());
        }
        operator.set_scope(&tenant, Scope::EntireTenant).await?;
    }
    let [on, off] = took[..] else { return Err("two rehearsals".into()) };
    println!(
        "| {name} | {users} | {} | {on:.1?} | {off:.1?} | {:.0} |",
        users.div_ceil(WITH_RECORD),
        f64::from(users) * 2.0 / (on + off).as_secs_f64()
    );
    Ok(())
}
