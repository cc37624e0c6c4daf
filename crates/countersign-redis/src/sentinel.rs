//! The server that the sentinels of a service name.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use crate::address::{self, Reach};
use crate::connection;
use crate::error::RedisError;
use crate::options::RedisOptions;

/// The sentinels of a service.
pub(crate) struct Sentinels {
    addresses: Vec<ConnectionInfo>,
    service: String,
}

impl Sentinels {
    pub(crate) fn read(
        addresses: &[&str],
        service: &str,
        options: &RedisOptions,
    ) -> Result<Self, RedisError> {
        if addresses.is_empty() {
            return Err(RedisError::Configuration("a service has at least one sentinel"));
        }
        let addresses =
            addresses.iter().map(|address| address::read(address, Reach::Others, options));
        Ok(Self { addresses: addresses.collect::<Result<_, _>>()?, service: service.to_owned() })
    }

    /// The server of the service as the first sentinel knows it that can be asked. It is encrypted
    /// as that sentinel is.
    pub(crate) async fn server(
        &self,
        options: &RedisOptions,
    ) -> Result<ConnectionInfo, RedisError> {
        let mut last = RedisError::Configuration("a service has at least one sentinel");
        for sentinel in &self.addresses {
            match self.ask(sentinel, options).await {
                Err(error) => last = error,
                found => return found,
            }
        }
        Err(last)
    }

    async fn ask(
        &self,
        sentinel: &ConnectionInfo,
        options: &RedisOptions,
    ) -> Result<ConnectionInfo, RedisError> {
        let mut connection = connection::connect(sentinel.clone(), options).await?;
        let mut question = redis::cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.service);
        let found: Option<(String, u16)> = question.query_async(&mut connection).await?;
        let Some((host, port)) = found else {
            return Err(RedisError::Configuration("the sentinels do not know the service"));
        };
        let server = match sentinel.addr() {
            ConnectionAddr::TcpTls { insecure, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: None }
            }
            _ => ConnectionAddr::Tcp(host, port),
        };
        address::check(&server, Reach::Others, options)?;
        Ok(server.into_connection_info()?)
    }
}
