//! Servers of one test's own, and every call on them.

use std::time::Duration;

use countersign::budget::{Account, Limit, SendBudget};
use countersign::error::PluginError;
use countersign::store::{ExpectedVersions, FactorStore, Generation, StoredRow, Version};
use countersign::{TenantId, UserId};
use countersign_redis::{RedisFactors, RedisOptions};
use countersign_testkit::skip;
use redis::aio::MultiplexedConnection;
use test_servers::servers::Server;
use time::OffsetDateTime;

/// Nothing ends by a time-out on a busy machine. A test in which something must sets its own.
pub fn options() -> RedisOptions {
    RedisFactors::options()
        .connect_timeout(Duration::from_secs(30))
        .response_timeout(Duration::from_secs(30))
}

pub fn server(arguments: &[&str]) -> Option<Server> {
    let server = Server::redis(arguments).unwrap();
    if server.is_none() {
        skip("no Redis server is installed").unwrap();
    }
    server
}

pub async fn client(server: &Server) -> MultiplexedConnection {
    client_at(server.url()).await.unwrap()
}

pub async fn client_at(url: &str) -> redis::RedisResult<MultiplexedConnection> {
    // The driver's own time-outs, of half a second and a second, are short for a busy machine.
    let patient = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(60)))
        .set_response_timeout(Some(Duration::from_secs(60)));
    redis::Client::open(url)?.get_multiplexed_async_connection_with_config(&patient).await
}

pub fn row(number: u8) -> StoredRow {
    StoredRow {
        version: Version::from_bytes([number; 16]),
        generation: Generation::new(0),
        document: format!("{{\"number\":{number}}}"),
    }
}

pub fn ids() -> (TenantId, UserId) {
    (TenantId::new("acme").unwrap(), UserId::new("alice").unwrap())
}

/// How many kinds of calls there are.
pub const CALLS: usize = 11;

/// What one of the calls says. They are of a user whom nobody uses.
pub async fn call(store: &RedisFactors, number: usize) -> String {
    fn said<T>(answer: Result<T, PluginError>) -> String {
        answer.map_or_else(|fault| format!("{fault:?}"), |_| "Ok".to_owned())
    }
    let (acme, nobody) = (TenantId::new("acme").unwrap(), UserId::new("nobody").unwrap());
    let (none, first) = (ExpectedVersions { settings: None, record: None }, Generation::new(0));
    match number {
        0 => said(store.load(&acme, &nobody).await),
        1 => said(store.settings(&acme).await),
        2 => said(store.count(&acme, first).await),
        3 => said(store.users(&acme, first, None, 1).await),
        4 => said(store.purge(&acme, first, 1).await),
        5 => said(store.remove(&acme, &nobody).await),
        6 => said(store.remove_if(&acme, &nobody, row(1).version).await),
        7 => said(store.load_many(&acme, &[nobody.clone(), nobody]).await),
        8 => said(store.commit(&acme, &nobody, &none, &row(1)).await),
        9 => said(store.change_settings(&acme, None, &row(1)).await),
        _ => {
            let account = Account::new("to", Limit::new(1_000, Duration::from_secs(60)));
            said(store.budget().charge(&[account], OffsetDateTime::UNIX_EPOCH).await)
        }
    }
}

/// What the calls say that only read or delete, and those that write.
pub async fn every_call(store: &RedisFactors) -> (Vec<String>, Vec<String>) {
    let mut said = Vec::new();
    for number in 0..CALLS {
        said.push(call(store, number).await);
    }
    let writes = said.split_off(8);
    (said, writes)
}
