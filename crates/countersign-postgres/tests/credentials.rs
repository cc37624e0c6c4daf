//! Passwords that are rotated while the application runs.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use countersign::error::PluginError;
use countersign::store::FactorStore;
use countersign::{TenantId, UserId};
use countersign_postgres::{Credentials, PostgresError, PostgresOptions};
use support::{connect, server};
use test_servers::servers::Server;
use tokio_postgres::Client;

/// What the host's own source of credentials says at the moment, and how often it was asked.
#[derive(Clone, Default)]
struct Vault {
    current: Arc<Mutex<Option<Said>>>,
    asked: Arc<AtomicUsize>,
}

type Said = (Option<String>, String);

impl Vault {
    fn says(&self, role: Option<&str>, password: &str) {
        *self.current.lock().unwrap() = Some((role.map(str::to_owned), password.to_owned()));
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn options(&self) -> PostgresOptions {
        let vault = self.clone();
        support::options().connections(1).credentials_from(move || {
            vault.asked.fetch_add(1, Ordering::SeqCst);
            let current = vault.current.lock().unwrap().clone();
            async move {
                match current.ok_or_else(|| PluginError::new("sealed"))? {
                    (Some(role), password) => Ok(Credentials::new(role, password)),
                    (None, password) => Ok(Credentials::password(password)),
                }
            }
        })
    }
}

/// Roles that need a password, and may make the tables.
async fn guarded() -> Option<(Server, Client, String)> {
    let server = server(&[])?;
    let administrator = connect(server.url()).await.unwrap();
    let roles = "CREATE ROLE owner; GRANT CREATE ON DATABASE postgres TO owner;
        CREATE ROLE app LOGIN PASSWORD 'first' IN ROLE owner; CREATE ROLE app_2 LOGIN PASSWORD 'other' IN ROLE owner;
        ALTER ROLE app SET role = owner; ALTER ROLE app_2 SET role = owner";
    administrator.batch_execute(roles).await.unwrap();
    let who = "host all app,app_2 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n";
    std::fs::write(server.directory().join("cluster/pg_hba.conf"), who).unwrap();
    administrator.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let url = server.url().replace("countersign@", "app:wrong@");
    let started = Instant::now();
    while connect(&url).await.is_ok() {
        assert!(started.elapsed() < Duration::from_secs(20), "no password is asked for");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Some((server, administrator, url))
}

async fn end_connections(administrator: &Client) {
    let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'countersign'";
    assert!(!administrator.query(end, &[]).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_new_connection_asks_for_its_credentials() {
    let Some((_server, administrator, url)) = guarded().await else { return };
    let (acme, alice) = (TenantId::new("acme").unwrap(), UserId::new("alice").unwrap());
    let vault = Vault::default();
    vault.says(None, "first");
    let store = vault.options().connect(&url).await.unwrap();
    store.load(&acme, &alice).await.unwrap();
    assert_eq!(vault.asked(), 1);

    // Rotated: what is connected goes on, and what connects anew has the new one.
    administrator.batch_execute("ALTER ROLE app PASSWORD 'second'").await.unwrap();
    vault.says(None, "second");
    store.load(&acme, &alice).await.unwrap();
    assert_eq!(vault.asked(), 1);
    end_connections(&administrator).await;
    store.load(&acme, &alice).await.unwrap();
    assert_eq!(vault.asked(), 2);

    // As with a role that is given for a time.
    vault.says(Some("app_2"), "other");
    end_connections(&administrator).await;
    store.load(&acme, &alice).await.unwrap();
    let roles = "SELECT usename::text FROM pg_stat_activity WHERE application_name = 'countersign'";
    assert_eq!(administrator.query_one(roles, &[]).await.unwrap().get::<_, &str>(0), "app_2");

    // A password that is out of date is refused: it is what lets the store in.
    vault.says(None, "first");
    end_connections(&administrator).await;
    let refused = format!("{:?}", store.load(&acme, &alice).await.unwrap_err());
    assert!(refused.contains("28P01"), "{refused}");
    vault.says(None, "second");
    store.load(&acme, &alice).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_there_is_no_connection() {
    let Some((_server, _administrator, url)) = guarded().await else { return };
    let vault = Vault::default();
    let refused = vault.options().connect(&url).await;
    assert!(
        matches!(&refused, Err(PostgresError::Credentials { source }) if source.to_string() == "sealed"),
        "{refused:?}"
    );
    // One that never answers.
    let silent = support::options().connect_timeout(Duration::from_millis(200));
    let silent = silent.credentials_from(|| async { std::future::pending().await });
    assert!(matches!(silent.connect(&url).await, Err(PostgresError::Unavailable { .. })));
}

/// I-22: no password and no key is in what prints.
#[test]
fn no_secret_is_printed() {
    let credentials = format!(
        "{:?} {:?}",
        Credentials::new("app", "a secret"),
        Credentials::password("a secret")
    );
    assert!(credentials.contains("app") && !credentials.contains("secret"), "{credentials}");
    let options = support::options().tls_client_pem("certificate", "a secret");
    let options = options.credentials_from(|| async { Ok(Credentials::password("a secret")) });
    let printed = format!("{options:?}");
    let bytes = format!("{:?}", b"a secret");
    assert!(
        !printed.contains("secret") && !printed.contains(&bytes[1..bytes.len() - 1]),
        "{printed}"
    );
}
