//! A connection to one server, to the server of a service, or to a cluster.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionInfo, ErrorKind, FromRedisValue, ScriptInvocation,
    ServerErrorKind as Server, Value,
};
use tokio::task::JoinSet;

use crate::address::{self, Reach};
use crate::error::RedisError;
use crate::options::RedisOptions;
use crate::sentinel::Sentinels;
use crate::shared::Shared;
#[cfg(feature = "tls")]
use crate::tls;

/// How often connecting is tried within one call. The next call tries again anyway.
const TRIES: u32 = 2;

/// How long a call is sent again to a cluster that is moving slots from one node to another, or
/// that has just lost a node. The answer `MOVED` may get longer.
const MOVING: Duration = Duration::from_secs(1);

/// How long it waits in between.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a connection is idle before the system looks whether the server's host is still there,
/// and how long it waits between looks.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

/// One connection, shared by all calls: what they send is pipelined.
#[derive(Clone)]
pub(crate) struct Connection {
    to: To,
    calls: Arc<Calls>,
    /// How long a call that is answered `MOVED` is sent again: how long nodes of a cluster may
    /// disagree about where a slot is.
    disagreeing: Duration,
}

#[derive(Clone)]
enum To {
    One(Shared<MultiplexedConnection>),
    Cluster(Shared<ClusterConnection>),
}

/// Names for calls. No two on one connection are the same, whichever clones share it.
struct Calls {
    store: u64,
    next: AtomicU64,
}

impl Calls {
    fn new() -> Arc<Self> {
        // Its keys are random, and never the same twice in a process.
        let store = RandomState::new().hash_one(std::process::id());
        Arc::new(Self { store, next: AtomicU64::new(0) })
    }

    fn next(&self) -> String {
        format!("{:x}-{:x}", self.store, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

impl Connection {
    pub(crate) async fn to_one(address: &str, options: &RedisOptions) -> Result<Self, RedisError> {
        Self::to(Target::Server(address::read(address, Reach::Address, options)?), options).await
    }

    /// To the server that the sentinels name, whenever a connection is made.
    pub(crate) async fn to_service(
        sentinels: &[&str],
        service: &str,
        options: &RedisOptions,
    ) -> Result<Self, RedisError> {
        Self::to(Target::Service(Sentinels::read(sentinels, service, options)?), options).await
    }

    async fn to(target: Target, options: &RedisOptions) -> Result<Self, RedisError> {
        let disagreeing = options.response_timeout;
        let (target, options) = (Arc::new(target), Arc::new(options.clone()));
        let make = move || Box::pin(to_target(Arc::clone(&target), Arc::clone(&options))) as _;
        Ok(Self { to: To::One(Shared::connect(make).await?), calls: Calls::new(), disagreeing })
    }

    pub(crate) async fn to_cluster(
        addresses: &[&str],
        options: &RedisOptions,
    ) -> Result<Self, RedisError> {
        let nodes = addresses.iter().map(|address| address::read(address, Reach::Others, options));
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        let client = ClusterClient::builder(nodes)
            .connection_timeout(options.connect_timeout)
            .response_timeout(options.response_timeout)
            .tcp_settings(tcp(options))
            // The driver would also send a write again whose answer got lost. `run` sends again
            // what surely was not executed.
            .retries(0);
        let client = match &options.credentials {
            Some(source) => {
                client.set_credentials_provider(source.for_cluster(options.connect_timeout))
            }
            None => client,
        };
        #[cfg(feature = "tls")]
        let client = tls::for_cluster(client, options);
        let client = client.build().map_err(|_| {
            RedisError::Configuration(
                "the nodes of a cluster must have the same user, password and encryption",
            )
        })?;
        let make = move || {
            let client = client.clone();
            Box::pin(async move { Ok(client.get_async_connection().await?) }) as _
        };
        let disagreeing = options.response_timeout;
        Ok(Self { to: To::Cluster(Shared::connect(make).await?), calls: Calls::new(), disagreeing })
    }

    pub(crate) const fn is_one_server(&self) -> bool {
        matches!(self.to, To::One(_))
    }

    /// Runs a script, which the server is taught first if it does not know it (any more).
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        script: &mut ScriptInvocation<'_>,
    ) -> Result<T, RedisError> {
        let call = self.calls.next();
        script.arg(&call);
        let patience = |error: &redis::RedisError| {
            let ErrorKind::Server(kind) = error.kind() else { return None };
            match kind {
                Server::Moved => Some(self.disagreeing.max(MOVING)),
                Server::Ask | Server::TryAgain | Server::ClusterDown => Some(MOVING),
                _ => None,
            }
        };
        let answer = match &self.to {
            To::One(shared) => answer(shared, script, &call, patience, is_useless).await?,
            // The driver looks after the connections to the nodes by itself.
            To::Cluster(shared) => answer(shared, script, &call, patience, |_| None).await?,
        };
        match answer {
            Value::Nil => Err(RedisError::Empty),
            answer => redis::from_redis_value(answer).map_err(|_| RedisError::Damaged),
        }
    }

    pub(crate) async fn send<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        Ok(match &self.to {
            To::One(shared) => command.query_async(&mut shared.used().await?.connection).await?,
            To::Cluster(shared) => {
                command.query_async(&mut shared.used().await?.connection).await?
            }
        })
    }

    /// Sends many commands concurrently, and answers in no particular order.
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
        match &self.to {
            To::One(_) => Ok(vec![self.send(&info).await?]),
            To::Cluster(shared) => {
                let every_one = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
                let answers =
                    shared.used().await?.connection.route_command(info, every_one).await?;
                let answers: HashMap<String, String> =
                    redis::from_redis_value(answers).map_err(|_| RedisError::Damaged)?;
                Ok(answers.into_values().collect())
            }
        }
    }
}

/// What a script answered to this call, and to no other: each answers the name of its call first.
/// `patience`: how long to send a call again after an error that says that it was not executed.
/// `useless`: whether an error has the next call connect anew, and if so, whether however young the
/// connection is.
async fn answer<C: ConnectionLike + Clone + Send + Sync + 'static>(
    shared: &Shared<C>,
    script: &ScriptInvocation<'_>,
    call: &str,
    patience: impl Fn(&redis::RedisError) -> Option<Duration>,
    useless: impl Fn(&redis::RedisError) -> Option<bool>,
) -> Result<Value, RedisError> {
    let started = Instant::now();
    loop {
        let mut used = shared.used().await?;
        match script.invoke_async(&mut used.connection).await {
            Ok(Value::Array(parts)) => {
                if let Ok([Value::BulkString(name), value]) = <[Value; 2]>::try_from(parts)
                    && name == call.as_bytes()
                {
                    return Ok(value);
                }
                shared.give_up(&used, false);
                return Err(RedisError::MixedUp);
            }
            Ok(_) => {
                shared.give_up(&used, false);
                return Err(RedisError::MixedUp);
            }
            // The driver learns the new place of a slot from such an answer.
            Err(error) if patience(&error).is_some_and(|most| started.elapsed() < most) => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => {
                // What came is no answer, so the next one would begin in the middle of something.
                let useless =
                    if error.kind() == ErrorKind::Parse { Some(true) } else { useless(&error) };
                if let Some(however_young) = useless {
                    shared.give_up(&used, however_young);
                }
                return Err(error.into());
            }
        }
    }
}

/// Whether a connection is lost, or silent, or leads to a server that is no master: the address may
/// lead to another by now.
fn is_useless(error: &redis::RedisError) -> Option<bool> {
    let not_the_master = [Server::ReadOnly, Server::MasterDown].map(ErrorKind::Server);
    if error.is_unrecoverable_error() || error.is_connection_dropped() {
        return Some(true);
    }
    (error.is_timeout() || not_the_master.contains(&error.kind())).then_some(false)
}

/// Where a connection to one server leads.
enum Target {
    Server(ConnectionInfo),
    Service(Sentinels),
}

/// Connects, and tries again where that may help.
async fn to_target(
    target: Arc<Target>,
    options: Arc<RedisOptions>,
) -> Result<MultiplexedConnection, RedisError> {
    let mut tries = 1;
    loop {
        match to_target_once(&target, &options).await {
            Err(RedisError::Unavailable { .. }) if tries < TRIES => {
                tries = tries.saturating_add(1);
                tokio::time::sleep(PAUSE).await;
            }
            made => return made,
        }
    }
}

async fn to_target_once(
    target: &Target,
    options: &RedisOptions,
) -> Result<MultiplexedConnection, RedisError> {
    let server = match target {
        Target::Server(server) => server.clone(),
        Target::Service(sentinels) => sentinels.server(options).await?,
    };
    let server = match &options.credentials {
        Some(source) => source.apply(server, options.connect_timeout).await?,
        None => server,
    };
    connect(server, options).await
}

/// Connects with the credentials that the server's address has.
pub(crate) async fn connect(
    server: ConnectionInfo,
    options: &RedisOptions,
) -> Result<MultiplexedConnection, RedisError> {
    let client = client(server.set_tcp_settings(tcp(options)), options)?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(options.connect_timeout))
        .set_response_timeout(Some(options.response_timeout));
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    // The driver's own time-out does not cover all of it.
    match tokio::time::timeout(options.connect_timeout.saturating_mul(2), connecting).await {
        Ok(connected) => Ok(connected?),
        Err(late) => Err(RedisError::Unavailable { source: Arc::new(late) }),
    }
}

#[cfg(feature = "tls")]
use tls::client;

#[cfg(not(feature = "tls"))]
fn client(server: ConnectionInfo, _: &RedisOptions) -> Result<redis::Client, redis::RedisError> {
    redis::Client::open(server)
}

/// A host that is gone without a word is noticed by the system too, where it can: on a cluster the
/// driver notices nothing else.
fn tcp(options: &RedisOptions) -> TcpSettings {
    let (idle, between) = KEEPALIVE;
    let settings = TcpSettings::default()
        .set_keepalive(TcpKeepalive::new().with_time(idle).with_interval(between));
    #[cfg(any(target_os = "android", target_os = "linux"))]
    let settings = settings.set_user_timeout(options.connect_timeout.max(options.response_timeout));
    settings
}
