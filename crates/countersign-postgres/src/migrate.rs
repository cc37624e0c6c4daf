//! The tables, and what a server must be like.

use deadpool_postgres::{Client, Pool};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::PostgresError;
use crate::late;
use crate::options::PostgresOptions;

/// The schema of the tables that this version makes.
const VERSION: i32 = 2;

/// The function that charges a message. Since version 2.
const CHARGE: &str = include_str!("charge.sql");

/// The lock under which one node at a time makes the tables: an arbitrary number.
const LOCK: i64 = 0x636f_756e_7465_7273;

/// Refuses a server that forgets, and makes or migrates the tables. A node that finds them as they should be needs no right to make any.
/// All of it together may take as long as one statement.
pub(crate) async fn prepare(
    pool: &Pool,
    tls: &MakeRustlsConnect,
    options: &PostgresOptions,
) -> Result<(), PostgresError> {
    let client = pool.get().await?;
    if let Ok(prepared) = tokio::time::timeout(options.statement_timeout, prepare_on(&client, options)).await {
        return prepared;
    }
    late::end(client, tls.clone());
    Err(PostgresError::TimedOut)
}

async fn prepare_on(client: &Client, options: &PostgresOptions) -> Result<(), PostgresError> {
    let settings = "SELECT current_setting('server_encoding'), current_setting('fsync'),
        current_setting('synchronous_commit'), current_setting('full_page_writes')";
    for message in client.simple_query(settings).await? {
        let tokio_postgres::SimpleQueryMessage::Row(row) = message else { continue };
        if row.get(0) != Some("UTF8") {
            return Err(PostgresError::Configuration("the database must have the encoding UTF8"));
        }
        for (index, setting) in [(1, "fsync"), (2, "synchronous_commit"), (3, "full_page_writes")] {
            if row.get(index) == Some("off") && !options.may_lose {
                return Err(PostgresError::NotDurable { setting });
            }
        }
    }
    let schema = &options.schema;
    if version(client, schema).await? == Some(VERSION) {
        return Ok(());
    }
    client
        .batch_execute(&format!("BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({LOCK})"))
        .await?;
    let made = make(client, schema).await;
    let ended = client.batch_execute(if made.is_ok() { "COMMIT" } else { "ROLLBACK" }).await;
    made?;
    Ok(ended?)
}

/// Makes what is not there yet, within the transaction that holds the lock: another node, also one of a later version, may just have done so.
async fn make(client: &Client, schema: &str) -> Result<(), PostgresError> {
    if version(client, schema).await? == Some(VERSION) {
        return Ok(());
    }
    let charge = CHARGE.replace("{schema}", schema);
    // A document is kept as text: as JSON it would come back rewritten.
    let tables = format!(
        r#"
            DO $$ BEGIN
                IF NOT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = '{schema}') THEN CREATE SCHEMA "{schema}"; END IF;
            END $$;
            CREATE TABLE IF NOT EXISTS "{schema}".schema_version (
                one boolean PRIMARY KEY DEFAULT true CHECK (one),
                version integer NOT NULL
            );
            CREATE TABLE IF NOT EXISTS "{schema}".settings (
                tenant text COLLATE "C" PRIMARY KEY,
                version bytea CHECK (octet_length(version) = 16),
                generation bigint,
                document text,
                CHECK ((version IS NULL) = (generation IS NULL) AND (version IS NULL) = (document IS NULL))
            );
            CREATE TABLE IF NOT EXISTS "{schema}".records (
                tenant text COLLATE "C" NOT NULL,
                "user" text COLLATE "C" NOT NULL,
                version bytea NOT NULL CHECK (octet_length(version) = 16),
                generation bigint NOT NULL,
                document text NOT NULL,
                PRIMARY KEY (tenant, "user")
            ) WITH (fillfactor = 70);
            CREATE INDEX IF NOT EXISTS records_by_generation ON "{schema}".records (tenant, generation, "user");
            CREATE TABLE IF NOT EXISTS "{schema}".charges (
                account text COLLATE "C" PRIMARY KEY,
                starts bigint[] NOT NULL DEFAULT '{{}}',
                numbers bigint[] NOT NULL DEFAULT '{{}}',
                leaves bigint NOT NULL DEFAULT 0
            ) WITH (fillfactor = 70);
            CREATE INDEX IF NOT EXISTS charges_by_end ON "{schema}".charges (leaves);
            {charge}
            INSERT INTO "{schema}".schema_version (version) VALUES ({VERSION})
                ON CONFLICT (one) DO UPDATE SET version = {VERSION};
            "#
    );
    Ok(client.batch_execute(&tables).await?)
}

/// The version of the tables. `None`: there are none.
async fn version(client: &Client, schema: &str) -> Result<Option<i32>, PostgresError> {
    // The catalogue itself: by name, a table that another session has just made would not be found within a transaction.
    let exists =
        format!("SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = '{schema}' AND tablename = 'schema_version')");
    if number(client, &exists).await?.as_deref() != Some("t") {
        return Ok(None);
    }
    let found = number(client, &format!(r#"SELECT version FROM "{schema}".schema_version"#)).await?;
    match found.and_then(|found| found.parse().ok()) {
        Some(newer) if newer > VERSION => Err(PostgresError::NewerSchema { found: newer, readable: VERSION }),
        found => Ok(found),
    }
}

async fn number(client: &Client, query: &str) -> Result<Option<String>, PostgresError> {
    let found = client.simple_query(query).await?.into_iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    Ok(found)
}
