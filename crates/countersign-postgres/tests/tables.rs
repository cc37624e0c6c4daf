//! Tables that are missing, or belong to something else.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod support;

use countersign::TenantId;
use countersign::store::{CommitOutcome, FactorStore};
use countersign_postgres::{PostgresError, PostgresFactors};
use support::{connect, row, server};
use tokio_postgres::Client;

/// All tables that are in no schema of the server's own.
async fn tables(client: &Client) -> Vec<String> {
    let tables = "SELECT schemaname || '.' || tablename FROM pg_tables
        WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1";
    client.query(tables, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// A mistyped schema, or the wrong database, is an error that names it, and no empty store in which
/// no tenant has a second factor.
#[tokio::test(flavor = "multi_thread")]
async fn missing_tables_are_an_error_where_none_are_to_be_made() {
    let Some(server) = server(&[]) else { return };
    let client = connect(server.url()).await.unwrap();
    let options = || PostgresFactors::options().create_if_missing(false);
    let missing = |answer: Result<PostgresFactors, PostgresError>, name: &str| {
        let named = matches!(&answer, Err(PostgresError::MissingTable { schema, table: "schema_version" }) if schema == name);
        assert!(named, "{answer:?}");
    };
    missing(options().connect(server.url()).await, "countersign");
    assert_eq!(tables(&client).await, [""; 0]);

    let store = PostgresFactors::connect(server.url()).await.unwrap();
    let acme = TenantId::new("acme").unwrap();
    assert_eq!(store.change_settings(&acme, None, &row(1)).await.unwrap(), CommitOutcome::Written);
    let made = tables(&client).await;
    missing(options().schema("countersing").connect(server.url()).await, "countersing");
    client.batch_execute("CREATE DATABASE another").await.unwrap();
    missing(options().connect(&server.url().replace("/postgres", "/another")).await, "countersign");
    assert_eq!(tables(&client).await, made);
    let store = options().connect(server.url()).await.unwrap();
    assert_eq!(store.settings(&acme).await.unwrap(), Some(row(1)));

    // Tables of an earlier version are no missing ones.
    let earlier = "DROP FUNCTION countersign.charge; DROP TABLE countersign.charges;
        UPDATE countersign.schema_version SET version = 1";
    client.batch_execute(earlier).await.unwrap();
    let store = options().connect(server.url()).await.unwrap();
    assert_eq!(store.settings(&acme).await.unwrap(), Some(row(1)));
    assert_eq!(tables(&client).await, made);
}

/// A table that is gone is not made anew: an empty one in its place would ask nobody for a code.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_the_tables_is_an_error_that_names_what_is_missing() {
    for gone in ["schema_version", "settings", "records", "charges"] {
        let Some(server) = server(&[]) else { return };
        PostgresFactors::connect(server.url()).await.unwrap();
        let client = connect(server.url()).await.unwrap();
        client.batch_execute(&format!("DROP TABLE countersign.{gone} CASCADE")).await.unwrap();
        let left = tables(&client).await;
        let answer = PostgresFactors::connect(server.url()).await;
        assert!(
            matches!(&answer, Err(PostgresError::MissingTable { table, .. }) if *table == gone),
            "{answer:?}"
        );
        assert_eq!(tables(&client).await, left);
    }
}

/// Nothing is made beside, or of, the tables of something else.
#[tokio::test(flavor = "multi_thread")]
async fn tables_of_something_else_are_left_alone() {
    let Some(server) = server(&[]) else { return };
    let client = connect(server.url()).await.unwrap();
    let foreign = [
        ("settings", "CREATE TABLE app.settings (key text PRIMARY KEY, value text)"),
        ("settings", "CREATE VIEW app.settings AS SELECT 1 AS one"),
        ("records", "CREATE TABLE app.records (tenant text, \"user\" text)"),
        ("schema_version", "CREATE TABLE app.schema_version (version text, installed timestamptz)"),
        // A table of that name with another type.
        ("schema_version", "CREATE TABLE app.schema_version (one boolean, version bigint)"),
    ];
    for (name, makes) in foreign {
        client.batch_execute(&format!("CREATE SCHEMA app; {makes}")).await.unwrap();
        let before = tables(&client).await;
        for create in [true, false] {
            let options = PostgresFactors::options().schema("app").create_if_missing(create);
            let answer = options.connect(server.url()).await;
            let named = matches!(&answer, Err(PostgresError::ForeignTable { schema, table }) if schema == "app" && *table == name);
            assert!(named, "{makes}: {answer:?}");
        }
        assert_eq!(tables(&client).await, before);
        client
            .batch_execute("SET client_min_messages = error; DROP SCHEMA app CASCADE")
            .await
            .unwrap();
    }
    // Other names are no obstacle.
    client.batch_execute("CREATE SCHEMA app; CREATE TABLE app.orders ()").await.unwrap();
    PostgresFactors::options().schema("app").connect(server.url()).await.unwrap();
}
