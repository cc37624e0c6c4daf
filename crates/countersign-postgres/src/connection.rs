//! One connection to a server, and how the pool makes it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use countersign::error::PluginError;
use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use tokio::task::JoinHandle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, Row, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::credentials::Credentials;
use crate::error::PostgresError;
use crate::pooler;
use crate::sql::{self, Sql};

pub(crate) type Pool = managed::Pool<Manager>;

/// A connection that is out of the pool, and goes back when it is dropped.
pub(crate) type Object = managed::Object<Manager>;

/// A parameter of a statement, with its type: so that one round trip is enough also where nothing
/// is prepared.
pub(crate) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// Asked for the credentials of each new connection.
pub(crate) type Source = Arc<
    dyn Fn() -> Pin<Box<dyn Future<Output = Result<Credentials, PluginError>> + Send>>
        + Send
        + Sync,
>;

/// One connection to a server. It is closed when this is dropped, whatever is under way on it.
pub(crate) struct Connection {
    client: Client,
    /// Moves bytes between the client and the network.
    driver: JoinHandle<()>,
    /// Whether a pooler answers in place of the server.
    pooled: bool,
    prepares: bool,
    /// What is prepared on it, each statement in its own place.
    prepared: [OnceLock<Statement>; sql::COUNT],
}

impl Connection {
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn is_pooled(&self) -> bool {
        self.pooled
    }

    /// Sends one statement, and waits for its rows.
    pub(crate) async fn query(
        &self,
        sql: &Sql,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        if !self.prepares {
            return self.client.query_typed(&sql.text, parameters).await;
        }
        let values: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|(value, _)| *value).collect();
        let known = self.prepared.get(sql.place);
        if let Some(statement) = known.and_then(OnceLock::get) {
            return self.client.query(statement, &values).await;
        }
        let types: Vec<Type> = parameters.iter().map(|(_, kind)| kind.clone()).collect();
        let statement = self.client.prepare_typed(&sql.text, &types).await?;
        let rows = self.client.query(&statement, &values).await;
        if let Some(known) = known {
            // Nobody else has the connection: the place is empty.
            drop(known.set(statement));
        }
        rows
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Makes connections, and looks at those that have been used.
pub(crate) struct Manager {
    pub(crate) config: Config,
    pub(crate) tls: MakeRustlsConnect,
    pub(crate) credentials: Option<Source>,
    /// Whether statements are prepared. `None`: where no pooler answers in place of the server.
    pub(crate) prepares: Option<bool>,
}

impl managed::Manager for Manager {
    type Type = Connection;
    type Error = PostgresError;

    async fn create(&self) -> Result<Connection, PostgresError> {
        let mut config = self.config.clone();
        if let Some(source) = &self.credentials {
            let credentials = source().await.map_err(|fault| PostgresError::credentials(&fault))?;
            if let Some(user) = credentials.user() {
                config.user(user);
            }
            config.password(credentials.expose());
        }
        let (client, driver) =
            config.connect(self.tls.clone()).await.map_err(PostgresError::connecting)?;
        let driver = tokio::spawn(async move { drop(driver.await) });
        // Dropped before the answer comes, it ends the driver.
        let mut connection = Connection {
            client,
            driver,
            pooled: false,
            prepares: false,
            prepared: [const { OnceLock::new() }; sql::COUNT],
        };
        connection.pooled =
            pooler::answers(&connection.client).await.map_err(PostgresError::connecting)?;
        connection.prepares = self.prepares.unwrap_or(!connection.pooled);
        Ok(connection)
    }

    async fn recycle(
        &self,
        connection: &mut Connection,
        _: &Metrics,
    ) -> RecycleResult<PostgresError> {
        if connection.client.is_closed() { Err(RecycleError::message("closed")) } else { Ok(()) }
    }
}
