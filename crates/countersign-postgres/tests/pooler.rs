//! The suite behind a pooler in transaction mode: without prepared statements.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used)]

mod support;

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use countersign::Fault;
use countersign_testkit::servers::{Server, free_port, skip};
use support::{Budget, Schema};

/// One server with a pooler before it, for all tests of this file.
fn schema() -> Result<Option<Schema>, Fault> {
    static SHARED: Mutex<Option<(Server, Child, u16)>> = Mutex::new(None);
    let mut shared = SHARED.lock().unwrap();
    if shared.is_none() {
        let Some(server) = Server::postgres(&["max_connections=500"])? else {
            return skip("no PostgreSQL server is installed").map(|()| None);
        };
        let Some((pooler, port)) = pooler(&server)? else {
            return skip("PgBouncer is not installed").map(|()| None);
        };
        *shared = Some((server, pooler, port));
    }
    Ok(shared.as_ref().map(|(server, _, port)| Schema::behind(*port, server.url())))
}

fn pooler(server: &Server) -> Result<Option<(Child, u16)>, Fault> {
    let Some(program) =
        ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|path| std::path::Path::new(path).exists())
    else {
        return Ok(None);
    };
    let port = free_port()?;
    let configuration = server.directory().join("pgbouncer.ini");
    std::fs::write(
        &configuration,
        format!(
            "[databases]\n* = host=127.0.0.1 port={} dbname=postgres user=countersign\n\
            [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
            pool_mode = transaction\nmax_client_conn = 500\ndefault_pool_size = 6\n\
            server_idle_timeout = 5\n",
            server.port()
        ),
    )?;
    // It refuses to run as root, as the server does. The shell ends it when the pipe ends, and that is when this process does.
    let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0");
    let account: &[&str] = if root { &["setpriv", "--reuid=postgres", "--clear-groups"] } else { &[] };
    let mut guard = Command::new("sh");
    guard.args(["-c", r#""$@" & read _; kill $!"#, "guard"]).args(account).arg(program).arg(&configuration);
    let pooler = guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let started = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if started.elapsed() > Duration::from_secs(10) {
            return Err("PgBouncer did not start".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(Some((pooler, port)))
}

countersign_testkit::factor_store_conformance!(async { schema() });

mod budget {
    use super::*;

    countersign_testkit::send_budget_conformance!(async { Ok(schema()?.map(Budget)) });
}
