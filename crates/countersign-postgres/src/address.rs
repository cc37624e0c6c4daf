//! Reads a connection string.
//!
//! The driver reads most of it. What concerns encryption, and what `libpq` knows and the driver
//! does not, is taken out first: followed, or refused by name.

use std::iter::Peekable;
use std::net::IpAddr;
use std::str::CharIndices;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use crate::error::PostgresError;

/// What a connection string says.
#[derive(Debug)]
pub(crate) struct Address {
    pub(crate) config: Config,
    /// A file with the certificates of authorities.
    pub(crate) roots: Option<String>,
    /// The files of the application's own certificate and key.
    pub(crate) identity: Option<(String, String)>,
}

/// One parameter: its keyword, its value, and how it is written.
struct Parameter<'a> {
    keyword: String,
    value: String,
    written: &'a str,
}

/// What the driver reads itself.
const KNOWN: [&str; 17] = [
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "sslnegotiation",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "channel_binding",
    "load_balance_hosts",
];

/// What `libpq` knows besides, and what to do instead.
const UNKNOWN: [(&str, &str); 24] = [
    ("passfile", NO_PASSWORD_FILE),
    ("service", "is not read: write the address out"),
    ("servicefile", "is not read: write the address out"),
    ("require_auth", NOT_KNOWN),
    ("replication", "is not for a store"),
    ("sslcompression", NOT_KNOWN),
    ("sslpassword", "is not known: the key must not be encrypted"),
    ("sslcertmode", NOT_KNOWN),
    ("sslcrl", NO_REVOCATION),
    ("sslcrldir", NO_REVOCATION),
    ("sslsni", NOT_KNOWN),
    ("requirepeer", NOT_KNOWN),
    ("requiressl", "is not known: write `sslmode=require`"),
    ("sslkeylogfile", NOT_KNOWN),
    ("ssl_min_protocol_version", "is not known: TLS 1.2 and 1.3 are used"),
    ("ssl_max_protocol_version", "is not known: TLS 1.2 and 1.3 are used"),
    ("min_protocol_version", NOT_KNOWN),
    ("max_protocol_version", NOT_KNOWN),
    ("krbsrvname", NO_KERBEROS),
    ("gsslib", NO_KERBEROS),
    ("gssdelegation", NO_KERBEROS),
    ("oauth_issuer", NO_OAUTH),
    ("oauth_client_id", NO_OAUTH),
    ("oauth_scope", NO_OAUTH),
];
const NOT_KNOWN: &str = "is not known: leave it out";
const NO_PASSWORD_FILE: &str = "is not read: use `credentials_from`";
const NO_REVOCATION: &str = "is not known: certificates are not looked up in lists of revoked ones";
const NO_KERBEROS: &str = "is not known: there is no Kerberos";
const NO_OAUTH: &str = "is not known: use `credentials_from`";

const ONE_WITHOUT_THE_OTHER: &str = "`sslcert` and `sslkey` need each other";
const WEAK: &str =
    "a certificate is always checked in full: write `sslmode=verify-full`, or leave it out";

impl Address {
    /// Without a word on encryption in it, a connection that leaves the machine is encrypted;
    /// without one on silence, a connection on which nothing is acknowledged for as long as a
    /// statement may take is lost, and an idle one is asked every half minute.
    pub(crate) fn read(address: &str, silence: Duration) -> Result<Self, PostgresError> {
        let (before, parameters, separator) = split(address)?;
        let mut read = Taken::default();
        let mut left = Vec::new();
        for Parameter { keyword, value, written } in parameters {
            if KNOWN.contains(&&*keyword) {
                read.keywords.push(keyword);
                left.push(written);
            } else {
                read.take(&keyword, value)?;
            }
        }
        let question = if before.is_empty() || left.is_empty() { "" } else { "?" };
        let text = format!("{before}{question}{}", left.join(separator));
        let config: Config = text.parse().map_err(|_| PostgresError::Address)?;
        read.apply(config, silence)
    }
}

/// What the driver does not read itself.
#[derive(Default)]
struct Taken {
    keywords: Vec<String>,
    mode: Option<SslMode>,
    system: bool,
    roots: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
    name: Option<String>,
    probes: Option<u32>,
}

impl Taken {
    fn take(&mut self, keyword: &str, value: String) -> Result<(), PostgresError> {
        let refuse = |keyword, why| Err(PostgresError::Parameter { keyword, why });
        match (keyword, &*value) {
            ("sslmode", "disable") => self.mode = Some(SslMode::Disable),
            ("sslmode", "prefer") => self.mode = Some(SslMode::Prefer),
            // A certificate is always checked in full here, so these three mean the same.
            ("sslmode", "require" | "verify-ca" | "verify-full") | ("ssl", "true") => {
                self.mode = Some(SslMode::Require);
            }
            ("sslmode", _) => {
                return refuse(
                    "sslmode",
                    "is one of disable, prefer, require, verify-ca, verify-full",
                );
            }
            ("sslrootcert", "system") => self.system = true,
            ("sslrootcert", _) => self.roots = Some(value),
            ("sslcert", _) => self.certificate = Some(value),
            ("sslkey", _) => self.key = Some(value),
            // What is done anyway: a store takes a server that takes writes, and there is no
            // Kerberos.
            ("target_session_attrs", "any" | "read-write" | "primary")
            | ("gssencmode", "disable" | "prefer") => {}
            ("target_session_attrs", _) => {
                return refuse(
                    "target_session_attrs",
                    "is any, read-write or primary: a store needs the primary",
                );
            }
            ("fallback_application_name", _) => self.name = Some(value),
            ("keepalives_count", count) => match count.parse() {
                Ok(count) => self.probes = Some(count),
                Err(_) => return refuse("keepalives_count", "is a number"),
            },
            ("client_encoding", encoding) => {
                if !["utf8", "utf-8", "unicode", "auto"].contains(&&*encoding.to_lowercase()) {
                    return refuse("client_encoding", "is always UTF8");
                }
            }
            ("gssencmode", _) => return refuse("gssencmode", NO_KERBEROS),
            _ => {
                return match UNKNOWN.iter().find(|(known, _)| *known == keyword) {
                    Some((keyword, why)) => refuse(keyword, why),
                    // Not repeated: what a stray character makes a keyword may be a part of the
                    // password.
                    None => Err(PostgresError::Configuration(
                        "the address has a parameter that `libpq` does not have",
                    )),
                };
            }
        }
        Ok(())
    }

    fn apply(self, mut config: Config, silence: Duration) -> Result<Address, PostgresError> {
        let given = |keyword: &str| self.keywords.iter().any(|given| given == keyword);
        let weak = matches!(self.mode, Some(SslMode::Disable | SslMode::Prefer));
        if self.system && weak {
            return Err(PostgresError::Parameter { keyword: "sslrootcert", why: WEAK });
        }
        let local = is_local(&config);
        config.ssl_mode(match self.mode {
            Some(mode) => mode,
            None if local && !self.system => SslMode::Disable,
            None => SslMode::Require,
        });
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        if !given("tcp_user_timeout") {
            // The system takes no more milliseconds than these.
            config.tcp_user_timeout(silence.min(Duration::from_millis(0x7FFF_FFFF)));
        }
        if !given("keepalives_idle") {
            config.keepalives_idle(Duration::from_secs(30));
        }
        if !given("keepalives_interval") {
            config.keepalives_interval(Duration::from_secs(10));
        }
        if let Some(probes) = self.probes {
            config.keepalives_retries(probes);
        }
        if !given("application_name") {
            config.application_name(self.name.as_deref().unwrap_or("countersign"));
        }
        let identity = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => {
                return Err(PostgresError::Parameter {
                    keyword: "sslcert",
                    why: ONE_WITHOUT_THE_OTHER,
                });
            }
            (None, Some(_)) => {
                return Err(PostgresError::Parameter {
                    keyword: "sslkey",
                    why: ONE_WITHOUT_THE_OTHER,
                });
            }
        };
        Ok(Address { config, roots: self.roots.filter(|_| !self.system), identity })
    }
}

/// Whether a connection stays on this machine.
fn is_local(config: &Config) -> bool {
    let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
    let local = hosts.iter().all(|host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    });
    // A `hostaddr` is what is connected to, whatever the host's name is. Without either there is no
    // connection: the driver knows no default.
    local
        && addresses.iter().all(IpAddr::is_loopback)
        && !(hosts.is_empty() && addresses.is_empty())
}

/// What comes before the parameters, the parameters, and what stands between two of them. Split as
/// the driver does.
fn split(address: &str) -> Result<(&str, Vec<Parameter<'_>>, &'static str), PostgresError> {
    let uri =
        ["postgres://", "postgresql://"].iter().find_map(|prefix| address.strip_prefix(prefix));
    let Some(rest) = uri else { return Ok(("", words(address)?, " ")) };
    // A question mark before the at sign is a part of the password.
    let rest = rest.split_once('@').map_or(rest, |(_, rest)| rest);
    let Some((_, query)) = rest.split_once('?') else { return Ok((address, Vec::new(), "&")) };
    let before =
        address.strip_suffix(query).and_then(|before| before.strip_suffix('?')).unwrap_or(address);
    let parameters = query.split('&').filter(|written| !written.is_empty()).map(|written| {
        let (keyword, value) = written.split_once('=').ok_or(PostgresError::Address)?;
        Ok(Parameter { keyword: unescape(keyword)?, value: unescape(value)?, written })
    });
    Ok((before, parameters.collect::<Result<_, PostgresError>>()?, "&"))
}

/// Undoes the escapes of a URI.
fn unescape(text: &str) -> Result<String, PostgresError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
            return Err(PostgresError::Address);
        };
        bytes.push(
            u8::try_from(high.saturating_mul(16).saturating_add(low))
                .map_err(|_| PostgresError::Address)?,
        );
    }
    String::from_utf8(bytes).map_err(|_| PostgresError::Address)
}

/// The parameters of a string of keywords and values: `host = h password = 'it''s'` with
/// backslashes as escapes.
fn words(address: &str) -> Result<Vec<Parameter<'_>>, PostgresError> {
    let mut rest = address.char_indices().peekable();
    let mut parameters = Vec::new();
    loop {
        skip(&mut rest);
        let Some(&(start, _)) = rest.peek() else { return Ok(parameters) };
        let mut keyword = String::new();
        while let Some((_, letter)) =
            rest.next_if(|(_, letter)| *letter != '=' && !letter.is_whitespace())
        {
            keyword.push(letter);
        }
        skip(&mut rest);
        if rest.next_if(|(_, letter)| *letter == '=').is_none() {
            return Err(PostgresError::Address);
        }
        skip(&mut rest);
        let value = value(&mut rest)?;
        let end = rest.peek().map_or(address.len(), |(at, _)| *at);
        let written = address.get(start..end).ok_or(PostgresError::Address)?;
        parameters.push(Parameter { keyword, value, written });
    }
}

fn value(rest: &mut Peekable<CharIndices<'_>>) -> Result<String, PostgresError> {
    let quoted = rest.next_if(|(_, letter)| *letter == '\'').is_some();
    let mut value = String::new();
    loop {
        match rest.peek().map(|(_, letter)| *letter) {
            None if quoted => return Err(PostgresError::Address),
            None => return Ok(value),
            Some('\'') if quoted => {
                rest.next();
                return Ok(value);
            }
            Some(letter) if !quoted && letter.is_whitespace() => return Ok(value),
            Some(letter) => {
                rest.next();
                let escaped = if letter == '\\' {
                    rest.next().map(|(_, escaped)| escaped)
                } else {
                    Some(letter)
                };
                value.extend(escaped);
            }
        }
    }
}

fn skip(rest: &mut Peekable<CharIndices<'_>>) {
    while rest.next_if(|(_, letter)| letter.is_whitespace()).is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(address: &str) -> Result<Config, PostgresError> {
        Ok(Address::read(address, Duration::from_secs(7))?.config)
    }

    #[test]
    fn a_connection_that_falls_silent_is_lost_in_time_unless_the_address_says_otherwise() {
        let silence = |address: &str| {
            let read = read(address).unwrap();
            let seconds = |time: Duration| time.as_secs();
            let after = read.get_tcp_user_timeout().copied().map(seconds);
            (
                after,
                seconds(read.get_keepalives_idle()),
                read.get_keepalives_interval().map(seconds),
            )
        };
        assert_eq!(silence("host=h user=u"), (Some(7), 30, Some(10)));
        let own = "host=h user=u tcp_user_timeout=3 keepalives_idle=7200 keepalives_interval=5";
        assert_eq!(silence(own), (Some(3), 7_200, Some(5)));
        assert_eq!(silence("host=h user=u tcp_user_timeout=0"), (None, 30, Some(10)));
        let patient = Address::read("host=h user=u", Duration::MAX).unwrap().config;
        assert_eq!(patient.get_tcp_user_timeout(), Some(&Duration::from_millis(2_147_483_647)));
    }

    #[test]
    fn what_leaves_the_machine_is_encrypted_unless_the_address_says_otherwise() {
        let mode = |address: &str| read(address).unwrap().get_ssl_mode();
        assert_eq!(mode("postgres://u@db.example.com/d"), SslMode::Require);
        assert_eq!(mode("host=10.0.0.7 user=u"), SslMode::Require);
        assert_eq!(mode("postgres://u@127.0.0.1,db.example.com/d"), SslMode::Require);
        assert_eq!(mode("postgres://u@db.example.com/d?sslmode=verify-full"), SslMode::Require);
        assert_eq!(mode("postgres://u@db.example.com/d?sslmode=disable"), SslMode::Disable);
        assert_eq!(mode("postgres://u@127.0.0.1/d"), SslMode::Disable);
        assert_eq!(mode("postgres://u@[::1]/d?sslmode=prefer"), SslMode::Prefer);
        assert_eq!(mode("host=/run/postgresql user=u"), SslMode::Disable);
        // What is connected to is the `hostaddr`.
        assert_eq!(mode("hostaddr=10.0.0.7 user=u"), SslMode::Require);
        assert_eq!(mode("host=localhost hostaddr=10.0.0.7 user=u"), SslMode::Require);
        assert_eq!(mode("host=/run/postgresql hostaddr=10.0.0.7 user=u"), SslMode::Require);
        assert_eq!(
            mode("host=localhost,localhost hostaddr=127.0.0.1,10.0.0.7 user=u"),
            SslMode::Require
        );
        assert_eq!(mode("postgres://u@localhost/d?hostaddr=10.0.0.7"), SslMode::Require);
        assert_eq!(mode("hostaddr=127.0.0.1 user=u"), SslMode::Disable);
        assert_eq!(mode("host=localhost hostaddr=::1 user=u"), SslMode::Disable);
        assert_eq!(mode("user=u dbname=d"), SslMode::Require);
        // The word counts where it is a setting, however it is written.
        assert_eq!(mode("host=db.example.com user=u password=sslmode=disable"), SslMode::Require);
        assert_eq!(mode("host=localhost user=u sslmode = require"), SslMode::Require);
    }

    #[test]
    fn a_bad_address_is_not_repeated() {
        let error = read("postgres://user:secret@host:notaport/").unwrap_err();
        assert!(!format!("{error:?} {error}").contains("secret"));
    }

    #[test]
    fn what_libpq_knows_and_the_driver_does_not_is_followed() {
        let address = |address: &str| Address::read(address, Duration::from_secs(7)).unwrap();
        // The authorities of the operating system: they are asked anyway, and to be asked they need
        // encryption.
        for text in [
            "postgres://u@localhost/d?sslrootcert=system",
            "host=localhost user=u sslrootcert=system",
        ] {
            let address = address(text);
            assert_eq!(
                (address.config.get_ssl_mode(), address.roots),
                (SslMode::Require, None),
                "{text}"
            );
        }
        for attrs in ["primary", "read-write", "any"] {
            let config = address(&format!("host=h user=u target_session_attrs={attrs}")).config;
            assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        }
        let own = "postgres://u@h/d?sslcert=%2Ftls%2Fapp.crt&sslkey=/tls/app.key&sslrootcert='ca'&port=1&ssl=true";
        let own = address(own);
        assert_eq!(own.identity, Some(("/tls/app.crt".to_owned(), "/tls/app.key".to_owned())));
        assert_eq!((own.roots.as_deref(), own.config.get_ports()), (Some("'ca'"), &[5432, 1][..]));
        let words = address(
            r"host=h user=u sslrootcert = '/a b/it\'s.pem' fallback_application_name=app keepalives_count=4",
        );
        assert_eq!(words.roots.as_deref(), Some("/a b/it's.pem"));
        assert_eq!(words.config.get_application_name(), Some("app"));
        assert_eq!(words.config.get_keepalives_retries(), Some(4));
        let said = address("host=h user=u application_name=said fallback_application_name=app");
        assert_eq!(said.config.get_application_name(), Some("said"));
        assert_eq!(address("host=h user=u").config.get_application_name(), Some("countersign"));
        for without_effect in [
            "gssencmode=disable",
            "gssencmode=prefer",
            "client_encoding=UTF8",
            "client_encoding=auto",
        ] {
            address(&format!("host=h user=u {without_effect}"));
        }
    }

    #[test]
    fn a_password_is_left_as_it_is() {
        for address in [
            "host=h user=u password=sslmode=verify-full",
            "host=h password='sslmode=verify-full' user=u sslmode=verify-full target_session_attrs=primary",
            "postgres://u:sslmode=verify-full@h/d?sslmode=verify-ca",
            "postgres://u:sslmode%3Dverify-full@h/d",
        ] {
            assert_eq!(
                read(address).unwrap().get_password(),
                Some(&b"sslmode=verify-full"[..]),
                "{address}"
            );
        }
        let with_a_question = read("postgres://u:a?sslmode=disable@h/d").unwrap();
        assert_eq!(with_a_question.get_password(), Some(&b"a?sslmode=disable"[..]));
        assert_eq!(with_a_question.get_ssl_mode(), SslMode::Require);
    }

    #[test]
    fn what_can_not_be_followed_is_named_and_not_repeated() {
        let refused = |parameter: &str| {
            let [uri, words] =
                [format!("postgres://u@h/d?{parameter}"), format!("host=h user=u {parameter}")];
            let [uri, words] = [uri, words].map(|address| read(&address).unwrap_err());
            assert_eq!(uri.to_string(), words.to_string());
            assert!(!format!("{uri:?} {uri}").contains("secret"), "{uri:?}");
            match uri {
                PostgresError::Parameter { keyword, .. } => Some(keyword),
                _ => None,
            }
        };
        let named = [
            "target_session_attrs=standby",
            "target_session_attrs=read-only",
            "target_session_attrs=prefer-standby",
            "sslmode=allow",
            "sslmode=secret",
            "gssencmode=require",
            "client_encoding=LATIN1",
            "passfile=secret",
            "sslcrl=secret",
            "service=secret",
            "sslcert=secret",
            "sslkey=secret",
            "keepalives_count=secret",
            "ssl_min_protocol_version=TLSv1.3",
        ];
        for parameter in named {
            assert_eq!(
                refused(parameter),
                parameter.split_once('=').map(|(keyword, _)| keyword),
                "{parameter}"
            );
        }
        // Not even its name: it may be a part of the password.
        assert_eq!(refused("secret=1"), None);
        for weak in ["disable", "prefer"] {
            let error =
                read(&format!("host=h user=u sslrootcert=system sslmode={weak}")).unwrap_err();
            assert!(
                matches!(error, PostgresError::Parameter { keyword: "sslrootcert", .. }),
                "{error:?}"
            );
        }
        for malformed in [
            "postgres://u@h/d?secret",
            "postgres://u@h/d?port=%zz",
            "host=h user",
            "host='h",
            "port=secret",
        ] {
            let error = read(malformed).unwrap_err();
            assert!(matches!(error, PostgresError::Address), "{malformed}: {error:?}");
        }
    }
}
