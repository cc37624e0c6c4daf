//! What a server must be like, and the first start.

use std::time::Duration;

use redis::Cmd;

use crate::connection::Connection;
use crate::error::RedisError;
use crate::keys::{FORMAT, TAGS, markers};
use crate::options::RedisOptions;

/// How often a first start looks again while another node makes the store.
const ATTEMPTS: u32 = 20;

/// Refuses a server that forgets by design, and one that has forgotten; makes the store if that was
/// asked for.
pub(crate) async fn prepare(
    connection: &Connection,
    options: &RedisOptions,
) -> Result<(), RedisError> {
    for info in connection.info().await? {
        let field =
            |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if field("maxmemory_policy:").is_some_and(|policy| policy.starts_with("allkeys")) {
            return Err(RedisError::Evicts);
        }
        if field("aof_enabled:") != Some("1") && !options.may_lose {
            return Err(RedisError::NotDurable);
        }
    }
    for _ in 0..ATTEMPTS {
        let present = present(connection, &options.prefix).await?;
        if present == TAGS {
            return Ok(());
        }
        match (present, options.may_initialise) {
            (0, false) => return Err(RedisError::Empty),
            (0, true) => make(connection, &options.prefix).await?,
            // Another node is at it, was interrupted in it, or something is gone for good. It is
            // not completed: what is missing may be a loss.
            (_, true) => tokio::time::sleep(Duration::from_millis(100)).await,
            (_, false) => return Err(RedisError::Incomplete),
        }
    }
    Err(RedisError::Incomplete)
}

async fn present(connection: &Connection, prefix: &str) -> Result<u16, RedisError> {
    let mut present: u16 = 0;
    for found in connection.each::<Option<String>>(markers(prefix).map(get)).await? {
        match found.as_deref() {
            Some(FORMAT) => present = present.saturating_add(1),
            Some(_) => {
                return Err(RedisError::Configuration(
                    "the store was made by another version of this crate",
                ));
            }
            None => {}
        }
    }
    Ok(present)
}

async fn make(connection: &Connection, prefix: &str) -> Result<(), RedisError> {
    if connection.is_one_server() {
        // All or none: an interruption leaves no half of a store behind.
        let mut all = redis::cmd("MSETNX");
        for key in markers(prefix) {
            all.arg(key).arg(FORMAT);
        }
        return connection.send(&all).await;
    }
    let _made: Vec<bool> = connection.each(markers(prefix).map(set_if_absent)).await?;
    Ok(())
}

fn get(key: String) -> Cmd {
    let mut command = redis::cmd("GET");
    command.arg(key);
    command
}

fn set_if_absent(key: String) -> Cmd {
    let mut command = redis::cmd("SETNX");
    command.arg(key).arg(FORMAT);
    command
}
