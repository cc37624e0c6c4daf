//! What the command line chooses.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use argh::FromArgs;
use countersign::store::FactorStore;
use countersign::{LoginFlowBuilder, Method};
use countersign_delivery::{Deadline, RouteTable};
use countersign_sqlite::SqliteFactors;

use crate::inbox::Inbox;

/// A site to click through. Its pages say who can log in, and where codes arrive.
#[derive(FromArgs)]
pub(crate) struct Options {
    /// port on this machine; 0 takes any free one (8080)
    #[argh(option, default = "8080")]
    pub(crate) port: u16,
    /// folder that keeps users and settings; without it they end with the program
    #[argh(option)]
    pub(crate) data: Option<PathBuf>,
    /// number of people to add to acme: person-1, person-2 and so on
    #[argh(option, default = "0")]
    pub(crate) people: u32,
    /// file that gets each event, as a line of JSON
    #[argh(option)]
    pub(crate) events: Option<PathBuf>,
    /// seconds until a code expires, at least 30; a login expires after three times as many
    #[argh(option)]
    expire: Option<u64>,
    /// seconds between two codes of a login, at least 10
    #[argh(option)]
    spacing: Option<u64>,
    /// address of a PostgreSQL server for countersign's state
    #[cfg(feature = "postgres")]
    #[argh(option)]
    postgres: Option<String>,
    /// address of a Redis server for countersign's state
    #[cfg(feature = "redis")]
    #[argh(option)]
    redis: Option<String>,
    /// mail server that takes mail without a password over TLS, and the sender's address, after a
    /// comma
    #[cfg(feature = "smtp")]
    #[argh(option)]
    smtp: Option<String>,
    /// account at Twilio, and the sender's number, after a comma; its token is in the environment,
    /// as `TWILIO_AUTH_TOKEN`
    #[cfg(feature = "twilio")]
    #[argh(option)]
    twilio: Option<String>,
}

impl Options {
    /// The waiting times that were chosen.
    pub(crate) fn times(&self, mut flow: LoginFlowBuilder) -> LoginFlowBuilder {
        if let Some(seconds) = self.expire.map(Duration::from_secs) {
            flow = flow.code_ttl(seconds).login_ttl(seconds.saturating_mul(3));
        }
        if let Some(seconds) = self.spacing.map(Duration::from_secs) {
            flow = flow.send_spacing(seconds);
        }
        flow
    }

    /// Where countersign keeps its state: SQLite by default.
    pub(crate) async fn store(&self, data: &Path) -> Result<Arc<dyn FactorStore>, Box<dyn Error>> {
        #[cfg(feature = "postgres")]
        if let Some(address) = &self.postgres {
            return Ok(Arc::new(countersign_postgres::PostgresFactors::connect(address).await?));
        }
        #[cfg(feature = "redis")]
        if let Some(address) = &self.redis {
            // Nobody's logins depend on a demo.
            let redis = countersign_redis::RedisFactors::options().initialise_if_empty();
            return Ok(Arc::new(redis.accept_data_loss_on_restart().connect(address).await?));
        }
        Ok(Arc::new(SqliteFactors::open(data.join("countersign.sqlite")).await?))
    }

    /// The sender of each method: the inbox by default.
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
        if let Some(smtp) = &self.smtp {
            let (host, from) = smtp.split_once(',').ok_or("--smtp HOST,ADDRESS")?;
            let from = countersign::contact::EmailAddress::new(from)?;
            let smtp = countersign_smtp::SmtpSender::relay(host).build(&from, inbox.messages())?;
            routes.set_default(Method::Email, Deadline::new(smtp, Duration::from_secs(20)));
        }
        #[cfg(feature = "twilio")]
        if let Some(twilio) = &self.twilio {
            use countersign_sms::{Origin, ReqwestHttp, SmsSecret, SmsSender, Twilio};
            let (account, from) = twilio.split_once(',').ok_or("--twilio ACCOUNT,NUMBER")?;
            let origin = Origin::number(&countersign::contact::PhoneNumber::new(from)?);
            let token = SmsSecret::new(std::env::var("TWILIO_AUTH_TOKEN")?);
            let twilio = Twilio::new(account, token)?.from(origin);
            let sms = SmsSender::new(twilio, ReqwestHttp::new()?, inbox.messages());
            routes.set_default(Method::Sms, Deadline::new(sms, Duration::from_secs(20)));
        }
        Ok(routes)
    }
}
