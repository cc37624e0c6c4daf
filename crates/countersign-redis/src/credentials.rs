//! Who this is, as a server is told when it is connected to.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use countersign::error::PluginError;
use futures_util::{StreamExt, stream};
use redis::{ConnectionInfo, ErrorKind};
use zeroize::Zeroizing;

use crate::error::RedisError;

/// A user of the server, and the password.
pub struct Credentials {
    user: Option<String>,
    password: Zeroizing<String>,
}

impl Credentials {
    /// A user of the server's access control list, and the password or token.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: Some(user.into()), password: Zeroizing::new(password.into()) }
    }

    /// The password of the server's default user.
    pub fn password(password: impl Into<String>) -> Self {
        Self { user: None, password: Zeroizing::new(password.into()) }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Credentials, PluginError>> + Send>>;

/// What answers the credentials of each new connection.
#[derive(Clone)]
pub(crate) struct Source(Arc<dyn Fn() -> Answer + Send + Sync>);

impl Source {
    pub(crate) fn new<F, A>(ask: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<Credentials, PluginError>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(ask())))
    }

    async fn ask(&self, time: Duration) -> Result<Credentials, RedisError> {
        match tokio::time::timeout(time, (self.0)()).await {
            Ok(Ok(credentials)) => Ok(credentials),
            Ok(Err(fault)) => {
                Err(RedisError::NoCredentials { source: Arc::from(Box::from(fault.to_string())) })
            }
            Err(late) => Err(RedisError::NoCredentials { source: Arc::new(late) }),
        }
    }

    /// The server with the credentials of this moment, in place of those of its address.
    pub(crate) async fn apply(
        &self,
        server: ConnectionInfo,
        time: Duration,
    ) -> Result<ConnectionInfo, RedisError> {
        let Credentials { user, password } = self.ask(time).await?;
        let mut settings = server.redis_settings().clone().set_password(&*password);
        if let Some(user) = user {
            settings = settings.set_username(user);
        }
        Ok(server.set_redis_settings(settings))
    }

    /// For the driver, which connects to the nodes of a cluster by itself.
    pub(crate) fn for_cluster(&self, time: Duration) -> Nodes {
        Nodes { source: self.clone(), time }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

pub(crate) struct Nodes {
    source: Source,
    time: Duration,
}

impl redis::auth::StreamingCredentialsProvider for Nodes {
    fn subscribe(
        &self,
    ) -> Pin<
        Box<
            dyn futures_util::Stream<Item = redis::RedisResult<redis::auth::BasicAuth>>
                + Send
                + 'static,
        >,
    > {
        let (source, time) = (self.source.clone(), self.time);
        let asked = async move {
            match source.ask(time).await {
                // The server's name for the user whom a password alone is of.
                Ok(Credentials { user, password }) => {
                    let user = user.unwrap_or_else(|| "default".to_owned());
                    Ok(redis::auth::BasicAuth::new(user, password.to_string()))
                }
                Err(_) => Err((ErrorKind::AuthenticationFailed, "no credentials").into()),
            }
        };
        // A stream that ended would be taken for a fault.
        Box::pin(stream::once(asked).chain(stream::pending()))
    }
}
