//! What the command line chooses.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use countersign::store::FactorStore;
use countersign::{LoginFlowBuilder, Method};
use countersign_delivery::{Deadline, RouteTable};
use countersign_sqlite::SqliteFactors;
use tempfile::TempDir;

use crate::inbox::Inbox;

const HELP: &str = "\
cargo run -p countersign-demo -- [--port 8080] [--data FOLDER] [--expire 600] [--spacing 30]

  --port NUMBER        listens there on this machine only; 0 takes any free port
  --data FOLDER        keeps users and settings there; without it they end with the program
  --expire SECONDS     lets codes and logins end that soon, after 30 seconds at the earliest
  --spacing SECONDS    sends the next code of a login that soon, after 10 seconds at the earliest

with --features postgres    --postgres ADDRESS, such as postgres://me@127.0.0.1/demo
with --features redis       --redis ADDRESS, such as redis://127.0.0.1/
with --features smtp        --smtp HOST --from ADDRESS, with TLS;
                            SMTP_USER and SMTP_PASSWORD in the environment, if it asks for them
with --features twilio      --twilio NUMBER, the sender's; TWILIO_ACCOUNT_SID and
                            TWILIO_AUTH_TOKEN in the environment";

/// What the command line chose.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) port: u16,
    expire: Option<u64>,
    spacing: Option<u64>,
    data: Option<PathBuf>,
    postgres: Option<String>,
    redis: Option<String>,
    smtp: Option<String>,
    from: Option<String>,
    twilio: Option<String>,
}

/// Where users and settings are: a folder of the person's, or one that ends with the program.
pub(crate) enum Data {
    Kept(PathBuf),
    Temporary(TempDir),
}

impl Data {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

impl Options {
    pub(crate) fn parse(
        mut arguments: impl Iterator<Item = String>,
    ) -> Result<Self, Box<dyn Error>> {
        let mut options = Self { port: 8080, ..Self::default() };
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or(HELP);
            match &*name {
                "--port" => options.port = value?.parse()?,
                "--expire" => options.expire = Some(value?.parse()?),
                "--spacing" => options.spacing = Some(value?.parse()?),
                "--data" => options.data = Some(value?.into()),
                "--postgres" if cfg!(feature = "postgres") => options.postgres = Some(value?),
                "--redis" if cfg!(feature = "redis") => options.redis = Some(value?),
                "--smtp" if cfg!(feature = "smtp") => options.smtp = Some(value?),
                "--from" if cfg!(feature = "smtp") => options.from = Some(value?),
                "--twilio" if cfg!(feature = "twilio") => options.twilio = Some(value?),
                _ => return Err(HELP.into()),
            }
        }
        Ok(options)
    }

    /// The waiting times that were chosen.
    pub(crate) fn times(&self, mut flow: LoginFlowBuilder) -> LoginFlowBuilder {
        if let Some(seconds) = self.expire.map(Duration::from_secs) {
            flow = flow.code_ttl(seconds).login_ttl(seconds);
        }
        if let Some(seconds) = self.spacing.map(Duration::from_secs) {
            flow = flow.send_spacing(seconds);
        }
        flow
    }

    pub(crate) fn data(&self) -> Result<Data, Box<dyn Error>> {
        Ok(match &self.data {
            Some(path) => {
                std::fs::create_dir_all(path)?;
                Data::Kept(path.clone())
            }
            None => Data::Temporary(tempfile::tempdir()?),
        })
    }

    /// Where countersign keeps its state: in SQLite, if it is told nothing else.
    pub(crate) async fn store(&self, data: &Path) -> Result<Arc<dyn FactorStore>, Box<dyn Error>> {
        #[cfg(feature = "postgres")]
        if let Some(address) = &self.postgres {
            return Ok(Arc::new(countersign_postgres::PostgresFactors::connect(address).await?));
        }
        #[cfg(feature = "redis")]
        if let Some(address) = &self.redis {
            return Ok(Arc::new(countersign_redis::RedisFactors::connect(address).await?));
        }
        Ok(Arc::new(SqliteFactors::open(data.join("countersign.sqlite")).await?))
    }

    /// Which way messages go: into the inbox, if there is no other.
    #[cfg_attr(
        not(any(feature = "smtp", feature = "twilio")),
        expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "for features only")
    )]
    pub(crate) fn sender(&self, inbox: &Inbox) -> Result<RouteTable, Box<dyn Error>> {
        let routes = RouteTable::new();
        for method in [Method::Email, Method::Sms] {
            routes.set_default(method, Deadline::new(inbox.clone(), Duration::from_secs(1)));
        }
        #[cfg(feature = "smtp")]
        if let (Some(host), Some(from)) = (&self.smtp, &self.from) {
            use countersign_smtp::{SmtpPassword, SmtpSender};
            let mut smtp = SmtpSender::relay(host);
            if let (Ok(user), Ok(password)) =
                (std::env::var("SMTP_USER"), std::env::var("SMTP_PASSWORD"))
            {
                smtp = smtp.credentials(user, SmtpPassword::new(password));
            }
            let from = countersign::contact::EmailAddress::new(from)?;
            let smtp = smtp.build(&from, inbox.messages())?;
            routes.set_default(Method::Email, Deadline::new(smtp, Duration::from_secs(20)));
        }
        #[cfg(feature = "twilio")]
        if let Some(from) = &self.twilio {
            use countersign_sms::{Origin, ReqwestHttp, SmsSecret, SmsSender, Twilio};
            let token = SmsSecret::new(std::env::var("TWILIO_AUTH_TOKEN")?);
            let account = Twilio::new(&std::env::var("TWILIO_ACCOUNT_SID")?, token)?;
            let twilio =
                account.from(Origin::number(&countersign::contact::PhoneNumber::new(from)?));
            let sms = SmsSender::new(twilio, ReqwestHttp::new()?, inbox.messages());
            routes.set_default(Method::Sms, Deadline::new(sms, Duration::from_secs(20)));
        }
        Ok(routes)
    }
}
