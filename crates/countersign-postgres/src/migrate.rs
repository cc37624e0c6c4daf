//! The tables, and what a server must be like.

use std::collections::HashMap;
use std::time::Duration;

use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::connection::Pool;
use crate::error::PostgresError;
use crate::late::Call;
use crate::options::PostgresOptions;
use crate::share::Place;
use crate::store::{Times, milliseconds};

/// The schema of the tables that this version makes.
const VERSION: i32 = 2;

/// What makes the tables and the function.
const TABLES_SQL: &str = include_str!("sql/tables.sql");

/// The function that charges a message. Since version 2.
const CHARGE: &str = include_str!("sql/charge_function.sql");

/// The lock under which one node at a time makes the tables: an arbitrary number.
const LOCK: i64 = 0x636f_756e_7465_7273;

/// The table that says which version the others have.
const MARK: &str = "schema_version";

/// Each table, the version that brought it, and its columns. Later versions may add some at the
/// end.
const TABLES: [(&str, i32, &str); 4] = [
    (MARK, 1, "one boolean,version integer"),
    ("settings", 1, "tenant text,version bytea,generation bigint,document text"),
    ("records", 1, "tenant text,user text,version bytea,generation bigint,document text"),
    ("charges", 2, "account text,starts bigint[],numbers bigint[],leaves bigint"),
];

/// Refuses a server that forgets, and makes or migrates the tables. A node that finds them as they
/// should be needs no right to make any. All of it together may take as long as one statement.
pub(crate) async fn prepare(
    pool: &Pool,
    tls: &MakeRustlsConnect,
    options: &PostgresOptions,
    times: Times,
) -> Result<(), PostgresError> {
    let call = Call::new(pool.get().await?, Place::Free, tls.clone(), times.statement);
    let Some(connection) = call.connection() else { return Err(PostgresError::Exhausted) };
    let prepared =
        tokio::time::timeout(times.statement, prepare_on(connection.client(), options, times))
            .await;
    if let Ok(prepared) = prepared {
        call.answered();
        return prepared;
    }
    call.late();
    Err(PostgresError::TimedOut)
}

async fn prepare_on(
    client: &Client,
    options: &PostgresOptions,
    times: Times,
) -> Result<(), PostgresError> {
    let settings =
        "SELECT pg_is_in_recovery(), current_setting('server_encoding'), current_setting('fsync'),
        current_setting('synchronous_commit'), current_setting('full_page_writes')";
    for row in rows(client, settings).await? {
        if row.get(0) != Some("f") {
            return Err(PostgresError::Standby);
        }
        if row.get(1) != Some("UTF8") {
            return Err(PostgresError::Configuration("the database must have the encoding UTF8"));
        }
        for (index, setting) in [(2, "fsync"), (3, "synchronous_commit"), (4, "full_page_writes")] {
            if row.get(index) == Some("off") && !options.may_lose {
                return Err(PostgresError::NotDurable { setting });
            }
        }
    }
    let schema = &options.schema;
    match version(client, schema).await {
        Ok(Some(VERSION)) => return Ok(()),
        // A mistyped name leads to an empty schema, and there no tenant has a second factor.
        Ok(None) if !options.create_if_missing => {
            return Err(PostgresError::MissingTable { schema: schema.clone(), table: MARK });
        }
        // Another node may have migrated them between the look at the tables and the one at their
        // version. Nobody does so while the lock is held.
        Ok(_) | Err(PostgresError::MissingTable { .. }) => {}
        Err(error) => return Err(error),
    }
    // Where nobody waits any more, and nobody may be asked to end it, it ends soon afterwards.
    let patience = milliseconds(times.statement.saturating_add(Duration::from_secs(1)));
    client
        .batch_execute(&format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = {patience};
            SELECT pg_advisory_xact_lock({LOCK})"
        ))
        .await?;
    let made = make(client, schema).await;
    let ended = client.batch_execute(if made.is_ok() { "COMMIT" } else { "ROLLBACK" }).await;
    made?;
    Ok(ended?)
}

/// Makes what is not there yet, within the transaction that holds the lock: another node, also one
/// of a later version, may just have done so.
async fn make(client: &Client, schema: &str) -> Result<(), PostgresError> {
    if version(client, schema).await? == Some(VERSION) {
        return Ok(());
    }
    let tables = TABLES_SQL
        .replace("{charge}", CHARGE)
        .replace("{schema}", schema)
        .replace("{mark}", MARK)
        .replace("{version}", &VERSION.to_string());
    Ok(client.batch_execute(&tables).await?)
}

/// The version of the tables. `None`: there are none. Refuses a part of them, and tables of
/// something else: what is made beside those would be empty, and empty tables ask nobody for a
/// code.
async fn version(client: &Client, schema: &str) -> Result<Option<i32>, PostgresError> {
    let missing = |table| Err(PostgresError::MissingTable { schema: schema.to_owned(), table });
    let names = TABLES.map(|(table, ..)| format!("'{table}'")).join(", ");
    // The catalogue itself: by name, a table that another session has just made would not be found
    // within a transaction.
    let catalogue = format!(
        "SELECT relname, string_agg(attname || ' ' || format_type(atttypid, atttypmod), ',' ORDER BY attnum)
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
        WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = '{schema}') AND relname IN ({names})
        GROUP BY relname"
    );
    let mut there = HashMap::new();
    for row in rows(client, &catalogue).await? {
        if let (Some(table), Some(columns)) = (row.get(0), row.get(1)) {
            there.insert(table.to_owned(), columns.to_owned());
        }
    }
    for (table, _, columns) in TABLES {
        if there
            .get(table)
            .is_some_and(|there| there != columns && !there.starts_with(&format!("{columns},")))
        {
            return Err(PostgresError::ForeignTable { schema: schema.to_owned(), table });
        }
    }
    if !there.contains_key(MARK) {
        return if there.is_empty() { Ok(None) } else { missing(MARK) };
    }
    let found = rows(client, &format!(r#"SELECT version FROM "{schema}".{MARK}"#)).await?;
    let found: Option<i32> = found.first().and_then(|row| row.get(0)?.parse().ok());
    let found = found.ok_or(PostgresError::Damaged)?;
    if found > VERSION {
        return Err(PostgresError::NewerSchema { found, readable: VERSION });
    }
    match TABLES
        .into_iter()
        .find(|(table, since, _)| *since <= found && !there.contains_key(*table))
    {
        Some((table, ..)) => missing(table),
        None => Ok(Some(found)),
    }
}

async fn rows(client: &Client, query: &str) -> Result<Vec<SimpleQueryRow>, PostgresError> {
    let answer = client.simple_query(query).await?.into_iter();
    Ok(answer
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        })
        .collect())
}
