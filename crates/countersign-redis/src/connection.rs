//! A connection to one server or to a cluster.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, ConnectionManagerConfig};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{Cmd, FromRedisValue, IntoConnectionInfo, Pipeline, RedisFuture, ScriptInvocation, Value};
use tokio::task::JoinSet;

use crate::error::RedisError;
use crate::options::RedisOptions;
use crate::single::Single;
#[cfg(feature = "tls")]
use crate::tls;

/// How often making a connection is tried again within one call. The driver's own number, with its growing pauses, would make callers wait for
/// most of a minute while a server is silent; the next call tries again anyway.
const RETRIES: usize = 1;

/// How long a call is sent again to a cluster that is moving slots from one node to another, or that has just lost a node.
const MOVING: Duration = Duration::from_secs(1);

/// How long it waits in between.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a connection is idle before the system looks whether the server's host is still there, and how long it waits between looks.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

/// One connection, shared by all calls: what they send is pipelined. It is made again by itself when it was lost.
#[derive(Clone)]
pub(crate) enum Connection {
    One(Single),
    Cluster(ClusterConnection),
}

impl Connection {
    pub(crate) async fn to_one(address: &str, options: &RedisOptions) -> Result<Self, RedisError> {
        let client = client(address.into_connection_info()?.set_tcp_settings(tcp(options)), options)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(options.connect_timeout))
            .set_response_timeout(Some(options.response_timeout))
            .set_number_of_retries(RETRIES);
        Ok(Self::One(Single::connect(client, config).await?))
    }

    pub(crate) async fn to_cluster(addresses: &[&str], options: &RedisOptions) -> Result<Self, RedisError> {
        let client = ClusterClient::builder(addresses.iter().copied())
            .connection_timeout(options.connect_timeout)
            .response_timeout(options.response_timeout)
            .tcp_settings(tcp(options))
            // The driver would also send a write again whose answer got lost. `run` sends again what surely was not executed.
            .retries(0);
        #[cfg(feature = "tls")]
        let client = tls::for_cluster(client, options);
        let client = client.build()?;
        Ok(Self::Cluster(client.get_async_connection().await?))
    }

    pub(crate) const fn is_one_server(&self) -> bool {
        matches!(self, Self::One(_))
    }

    /// Runs a script, which the server is taught first if it does not know it (any more).
    pub(crate) async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, RedisError> {
        let started = Instant::now();
        loop {
            match script.invoke_async(&mut self.clone()).await {
                // The driver learns the new place of a slot from such an answer.
                Err(error) if was_sent_elsewhere(&error) && started.elapsed() < MOVING => {
                    tokio::time::sleep(PAUSE).await;
                }
                answer => return Ok(answer?),
            }
        }
    }

    pub(crate) async fn send<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        Ok(command.query_async(&mut self.clone()).await?)
    }

    /// Sends many commands at once, and answers in no particular order.
    pub(crate) async fn each<T: FromRedisValue + Send + 'static>(
        &self,
        commands: impl Iterator<Item = Cmd>,
    ) -> Result<Vec<T>, RedisError> {
        let mut sent = JoinSet::new();
        for command in commands {
            let connection = self.clone();
            sent.spawn(async move { connection.send::<T>(&command).await });
        }
        sent.join_all().await.into_iter().collect()
    }

    /// What each server that takes writes says of itself.
    pub(crate) async fn info(&self) -> Result<Vec<String>, RedisError> {
        let mut info = redis::cmd("INFO");
        info.arg("everything");
        match self {
            Self::One(_) => Ok(vec![self.send(&info).await?]),
            Self::Cluster(cluster) => {
                let every_one = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
                let answers = cluster.clone().route_command(info, every_one).await?;
                let answers: HashMap<String, String> =
                    redis::from_redis_value(answers).map_err(|_| RedisError::Damaged)?;
                Ok(answers.into_values().collect())
            }
        }
    }
}

#[cfg(feature = "tls")]
use tls::client;

#[cfg(not(feature = "tls"))]
fn client(server: redis::ConnectionInfo, _: &RedisOptions) -> Result<redis::Client, redis::RedisError> {
    redis::Client::open(server)
}

/// A host that is gone without a word is noticed by the system too, where it can: on a cluster the driver notices nothing else.
fn tcp(options: &RedisOptions) -> TcpSettings {
    let (idle, between) = KEEPALIVE;
    let settings = TcpSettings::default().set_keepalive(TcpKeepalive::new().with_time(idle).with_interval(between));
    #[cfg(any(target_os = "android", target_os = "linux"))]
    let settings = settings.set_user_timeout(options.connect_timeout.max(options.response_timeout));
    settings
}

/// Whether a node of a cluster answered that it is not the one, or not now: it has executed nothing.
fn was_sent_elsewhere(error: &redis::RedisError) -> bool {
    use redis::{ErrorKind, ServerErrorKind as Server};
    let ErrorKind::Server(kind) = error.kind() else { return false };
    matches!(kind, Server::Moved | Server::Ask | Server::TryAgain | Server::ClusterDown)
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(one) => one.req_packed_command(command),
            Self::Cluster(cluster) => cluster.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(one) => one.req_packed_commands(commands, offset, count),
            Self::Cluster(cluster) => cluster.req_packed_commands(commands, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(one) => one.get_db(),
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}
