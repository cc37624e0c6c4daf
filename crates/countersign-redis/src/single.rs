//! The connection to one server.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, ErrorKind, Pipeline, RedisError as DriverError, RedisFuture, ServerErrorKind, Value};

/// A connection younger than this is kept, so that a server that refuses every call is not connected to for every call.
const YOUNG: Duration = Duration::from_millis(100);

/// One connection, shared by all clones.
///
/// The driver makes a lost one again. It keeps one that only stays silent, as it does when the server's host is gone, and one to a server that
/// is not the master any more, while its address leads to another. Both are replaced here, for the calls that follow: the call that failed is
/// not sent again.
#[derive(Clone)]
pub(crate) struct Single(Arc<Inner>);

struct Inner {
    client: Client,
    config: ConnectionManagerConfig,
    current: Mutex<Current>,
}

#[derive(Clone)]
struct Current {
    driver: ConnectionManager,
    /// No two are made at the same time, so it also tells them apart.
    made: Instant,
}

impl Single {
    pub(crate) async fn connect(client: Client, config: ConnectionManagerConfig) -> Result<Self, DriverError> {
        let driver = ConnectionManager::new_with_config(client.clone(), config.clone()).await?;
        let current = Mutex::new(Current { driver, made: Instant::now() });
        Ok(Self(Arc::new(Inner { client, config, current })))
    }

    fn current(&self) -> Current {
        self.0.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the connection that was used, unless another call already has. The next call connects, and those that come meanwhile wait for it.
    fn replace(&self, used: Instant) {
        let mut current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.made != used || used.elapsed() < YOUNG {
            return;
        }
        if let Ok(driver) = ConnectionManager::new_lazy_with_config(self.0.client.clone(), self.0.config.clone()) {
            *current = Current { driver, made: Instant::now() };
        }
    }
}

/// Whether the server is silent, or is a replica, and the address may lead to another by now.
fn asks_for_another(error: &DriverError) -> bool {
    let replica = [ServerErrorKind::ReadOnly, ServerErrorKind::MasterDown].map(ErrorKind::Server);
    error.is_timeout() || replica.contains(&error.kind())
}

impl ConnectionLike for Single {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let mut used = self.current();
            let answer = used.driver.req_packed_command(command).await.and_then(Value::extract_error);
            if answer.as_ref().is_err_and(asks_for_another) {
                self.replace(used.made);
            }
            answer
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move { self.current().driver.req_packed_commands(commands, offset, count).await })
    }

    fn get_db(&self) -> i64 {
        self.0.client.get_connection_info().redis_settings().db()
    }
}
