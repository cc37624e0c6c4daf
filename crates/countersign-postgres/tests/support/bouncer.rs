//! A PgBouncer in front of throw-away servers.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use countersign::error::PluginError;
use countersign_testkit::skip;
use test_servers::servers::{Server, free_port};

use super::connect;

/// In transaction mode, with nothing of its own configured that a statement could need. Ended
/// together with the process that started it. Its files are in a server's directory, and are
/// deleted with that.
pub struct Bouncer {
    port: u16,
    configuration: PathBuf,
    guard: Child,
}

impl Bouncer {
    /// Leads to a server. `None`, loudly: PgBouncer is not installed.
    pub fn before(server: &Server) -> Result<Option<Self>, PluginError> {
        let found = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"]
            .into_iter()
            .find(|path| Path::new(path).exists());
        let Some(program) = found else { return skip("PgBouncer is not installed").map(|()| None) };
        // Another test may take the port meanwhile.
        for _ in 0..4 {
            if let Some(bouncer) = Self::on(free_port()?, server, program)? {
                return Ok(Some(bouncer));
            }
        }
        Err(PluginError::new("PgBouncer did not start"))
    }

    /// `None`: it has ended by itself, or does not begin to listen. It writes its own file once it
    /// listens, so that nobody else who listens there is taken for it.
    fn on(port: u16, server: &Server, program: &str) -> Result<Option<Self>, PluginError> {
        let configuration = server.directory().join(format!("pgbouncer-{port}.ini"));
        let listens = configuration.with_extension("pid");
        std::fs::write(&configuration, ini(&configuration, port, server.port()))?;
        // It refuses to run as root, as the server does. The shell ends it when the pipe ends, and
        // that is when this process does.
        let root =
            Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0");
        let account: &[&str] =
            if root { &["setpriv", "--reuid=postgres", "--clear-groups"] } else { &[] };
        let mut guard = Command::new("sh");
        guard
            .args(["-c", r#""$@" & read _; kill $!"#, "guard"])
            .args(account)
            .arg(program)
            .arg(&configuration);
        let mut guard =
            guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        if let Some(log) = guard.stderr.take() {
            say_why_it_ended(log);
        }
        let bouncer = Self { port, configuration, guard };
        let started = Instant::now();
        while !listens.exists() {
            if started.elapsed() > Duration::from_secs(10) {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Some(bouncer))
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// A database of this name is the server's own one: PgBouncer keeps server connections for each
    /// name.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://countersign@127.0.0.1:{}/{database}", self.port)
    }

    /// Transactions that begin from now on are on another server. Clients notice nothing.
    pub async fn lead_to(&self, server: u16) {
        std::fs::write(&self.configuration, ini(&self.configuration, self.port, server)).unwrap();
        let console = connect(&self.url("pgbouncer")).await.unwrap();
        console.simple_query("RELOAD").await.unwrap();
        console.simple_query("RECONNECT").await.unwrap();
        let reached = connect(&self.url("reached")).await.unwrap();
        let started = Instant::now();
        loop {
            let port = reached.simple_query("SELECT current_setting('port')").await.unwrap();
            let port = port.iter().find_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            });
            if port == Some(server.to_string()) {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "it leads to {port:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// PgBouncer 1.18, as Debian 12 has it, ends by itself where a client closes a request to cancel
/// early (<https://github.com/pgbouncer/pgbouncer/pull/846>), so nothing here may cancel through
/// it. All that happens afterwards is refused: say why.
fn say_why_it_ended(log: ChildStderr) {
    std::thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            if line.contains("FATAL") {
                eprintln!("PgBouncer: {line}");
            }
        }
    });
}

fn ini(configuration: &Path, port: u16, server: u16) -> String {
    let pid_file = configuration.with_extension("pid");
    let pid_file = pid_file.display();
    format!(
        "[databases]\n* = host=127.0.0.1 port={server} dbname=postgres user=countersign\n\
        [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\nadmin_users = countersign\n\
        pool_mode = transaction\nmax_client_conn = 500\ndefault_pool_size = 6\nserver_idle_timeout = 5\n\
        pidfile = {pid_file}\n"
    )
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        drop(self.guard.wait());
    }
}
