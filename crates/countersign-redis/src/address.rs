//! Addresses of servers, and whether what is sent to them can be read on the way.

use std::net::IpAddr;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use crate::error::RedisError;
use crate::options::RedisOptions;

/// What an address must look like. The address itself is not repeated: it may hold a password.
const MALFORMED: &str = "an address must be redis[s]://[user:password@]host[:port][/database], unix:///path or \
    redis+unix:///path, with special characters of user and password as %-codes (`/` is %2F)";

/// Where connections to one server may lead, or those to the nodes of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// To this address.
    Address,
    /// Wherever the server that is asked there says.
    Others,
}

/// Reads an address, and refuses one that is not encrypted beyond this machine.
pub(crate) fn read(
    address: &str,
    reach: Reach,
    options: &RedisOptions,
) -> Result<ConnectionInfo, RedisError> {
    let tls = address.starts_with("rediss://") || address.starts_with("valkeys://");
    if tls && cfg!(not(feature = "tls")) {
        return Err(RedisError::Configuration(
            "`rediss://` needs the feature `tls` of countersign-redis",
        ));
    }
    let server =
        address.into_connection_info().map_err(|_| RedisError::Configuration(MALFORMED))?;
    check(server.addr(), reach, options)?;
    Ok(server)
}

pub(crate) fn check(
    address: &ConnectionAddr,
    reach: Reach,
    options: &RedisOptions,
) -> Result<(), RedisError> {
    let (encrypted, safe) = match address {
        // Another part of the application may have built the driver so that it takes any
        // certificate.
        ConnectionAddr::TcpTls { insecure, .. } => (true, !insecure),
        ConnectionAddr::Tcp(host, _) => (false, reach == Reach::Address && is_this_machine(host)),
        ConnectionAddr::Unix(_) => (false, true),
        _ => (false, false),
    };
    if has_certificates(options) && !encrypted {
        return Err(RedisError::Configuration(
            "certificates are of no use where the address is not `rediss://`",
        ));
    }
    if safe || options.unencrypted { Ok(()) } else { Err(RedisError::NotEncrypted) }
}

#[cfg(feature = "tls")]
const fn has_certificates(options: &RedisOptions) -> bool {
    options.roots.is_some() || options.client_certificate.is_some()
}

#[cfg(not(feature = "tls"))]
const fn has_certificates(_: &RedisOptions) -> bool {
    false
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RedisFactors;

    fn said(address: &str, reach: Reach, options: &RedisOptions) -> &'static str {
        match read(address, reach, options) {
            Ok(_) => "taken",
            Err(RedisError::NotEncrypted) => "not encrypted",
            Err(RedisError::Configuration(MALFORMED)) => "malformed",
            Err(RedisError::Configuration(_)) => "configuration",
            Err(_) => "otherwise",
        }
    }

    /// Codes' digests, counters and phone numbers, and the password of the server, are in what is
    /// sent.
    #[test]
    fn what_leaves_the_machine_is_encrypted_unless_that_is_given_up_loudly() {
        let (options, loud) =
            (RedisFactors::options(), RedisFactors::options().dangerously_unencrypted());
        for local in
            ["localhost", "127.0.0.1", "127.8.9.10:7000", "[::1]", "user:secret@localhost:1/2"]
        {
            let address = format!("redis://{local}");
            assert_eq!(said(&address, Reach::Address, &options), "taken", "{address}");
            // A cluster's nodes, and a service's server, are where the first one that is asked
            // says.
            assert_eq!(said(&address, Reach::Others, &options), "not encrypted", "{address}");
        }
        let elsewhere = [
            "cache.example.com",
            "10.0.0.7",
            "[2001:db8::1]",
            "localhost.example.com",
            "127.0.0.1.example.com",
        ];
        for elsewhere in elsewhere {
            for scheme in ["redis", "valkey"] {
                for address in [
                    format!("{scheme}://{elsewhere}"),
                    format!("{scheme}://localhost:x@{elsewhere}:1/0"),
                ] {
                    for reach in [Reach::Address, Reach::Others] {
                        assert_eq!(said(&address, reach, &options), "not encrypted", "{address}");
                        assert_eq!(said(&address, reach, &loud), "taken", "{address}");
                    }
                }
            }
        }
        for socket in ["unix:///run/redis.sock", "redis+unix:///run/redis.sock?db=2"] {
            assert_eq!(said(socket, Reach::Address, &options), "taken", "{socket}");
        }
        let encrypted = if cfg!(feature = "tls") { "taken" } else { "configuration" };
        assert_eq!(said("rediss://cache.example.com", Reach::Address, &options), encrypted);
        assert_eq!(said("rediss://cache.example.com", Reach::Others, &options), encrypted);
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_certificate_that_nobody_checks_is_no_encryption() {
        let (options, loud) =
            (RedisFactors::options(), RedisFactors::options().dangerously_unencrypted());
        let address = "rediss://cache.example.com/#insecure";
        assert_eq!(said(address, Reach::Address, &options), "not encrypted");
        assert_eq!(said(address, Reach::Address, &loud), "taken");
        for certificates in
            [options.clone().tls_roots_pem("x"), options.tls_client_certificate_pem("x", "y")]
        {
            assert_eq!(said("redis://localhost", Reach::Address, &certificates), "configuration");
            assert_eq!(said("rediss://localhost", Reach::Address, &certificates), "taken");
        }
    }

    #[test]
    fn a_malformed_address_is_named_and_not_repeated() {
        let options = RedisFactors::options().dangerously_unencrypted();
        let malformed = [
            "",
            "cache.example.com",
            "cache.example.com:6379",
            "http://secret@cache.example.com/",
            "redis:/secret",
            "redis://",
            "redis://user:secret@host:notaport/",
            "redis://user:sec/ret@host/",
            "redis://host/secret",
            "redis://0.0.0.0",
            "redis://user:%ff@host",
        ];
        for address in malformed {
            assert_eq!(said(address, Reach::Address, &options), "malformed", "{address}");
            let error = read(address, Reach::Address, &options).unwrap_err();
            assert!(!format!("{error:?} {error}").contains("secret"));
        }
    }
}
