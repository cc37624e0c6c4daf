//! A standby of a throw-away server.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use test_servers::servers::Server;

use super::connect;

/// Ended together with the process that started it, however that ends. Its files are in the
/// primary's directory, and are deleted with that.
pub struct Standby {
    port: u16,
    cluster: PathBuf,
    account: Option<String>,
    guard: Child,
}

impl Standby {
    /// Copies the primary and starts the copy. `None`: not all programs are installed.
    pub async fn of(primary: &Server) -> Option<Self> {
        let (copy, postgres) = (find("pg_basebackup")?, find("postgres")?);
        find("pg_ctl")?;
        let cluster = primary.directory().join("standby");
        let account = account_of(primary.directory());
        let port = test_servers::servers::free_port().unwrap();
        let mut command = Command::new("sh");
        command.current_dir(primary.directory()).args([
            "-c",
            r#""$@" & read _; kill -QUIT $!; wait"#,
            "guard",
        ]);
        command
            .args(as_account(account.as_deref()))
            .arg(postgres)
            .arg("-D")
            .arg(&cluster)
            .args(["-p", &port.to_string()]);
        for setting in
            ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200"]
        {
            command.args(["-c", setting]);
        }
        let log = std::fs::File::create(primary.directory().join("standby.log")).unwrap();
        command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);

        let primary_port = primary.port().to_string();
        let arguments = [
            "-h",
            "127.0.0.1",
            "-p",
            &primary_port,
            "-U",
            "countersign",
            "-R",
            "-c",
            "fast",
            "-N",
            "-D",
        ];
        run(
            primary.directory(),
            account.as_deref(),
            &copy,
            &[&arguments[..], &[cluster.to_str().unwrap()]].concat(),
        );
        let standby = Self { port, cluster, account, guard: command.spawn().unwrap() };
        standby.is_synchronous(primary).await;
        Some(standby)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("postgres://countersign@127.0.0.1:{}/postgres", self.port)
    }

    /// Waits until the primary says that it waits for this standby.
    async fn is_synchronous(&self, primary: &Server) {
        let started = Instant::now();
        let client = connect(primary.url()).await.unwrap();
        let state = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'";
        while client.query_one(state, &[]).await.unwrap().get::<_, i64>(0) != 1
            || connect(&self.url()).await.is_err()
        {
            let log = std::fs::read_to_string(primary.directory().join("standby.log"))
                .unwrap_or_default();
            assert!(started.elapsed() < Duration::from_secs(30), "no synchronous standby: {log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The process that receives what the primary sends, and says what it has.
    pub async fn receiver(&self) -> i32 {
        let client = connect(&self.url()).await.unwrap();
        client.query_one("SELECT pid FROM pg_stat_wal_receiver", &[]).await.unwrap().get(0)
    }

    /// Makes it the primary.
    pub fn promote(&self) {
        let arguments = ["promote", "-w", "-D", self.cluster.to_str().unwrap()];
        run(
            self.cluster.parent().unwrap(),
            self.account.as_deref(),
            &find("pg_ctl").unwrap(),
            &arguments,
        );
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        drop(self.guard.wait());
    }
}

/// A program on the path, or where the distributions keep PostgreSQL's.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for root in ["/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt/postgresql"] {
        places.push(Path::new(root).join("bin"));
        places.extend(
            std::fs::read_dir(root)
                .into_iter()
                .flatten()
                .flatten()
                .map(|version| version.path().join("bin")),
        );
    }
    places.into_iter().map(|place| place.join(program)).find(|candidate| candidate.is_file())
}

/// As root, the account that the primary runs as: its directory belongs to it.
fn account_of(directory: &Path) -> Option<String> {
    let said = |command: &mut Command| {
        String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned()
    };
    let root = said(Command::new("id").arg("-u")) == "0";
    root.then(|| said(Command::new("stat").args(["-c", "%U"]).arg(directory)))
}

fn as_account(account: Option<&str>) -> Vec<String> {
    account.map_or_else(Vec::new, |account| {
        vec!["setpriv".to_owned(), format!("--reuid={account}"), "--clear-groups".to_owned()]
    })
}

fn run(directory: &Path, account: Option<&str>, program: &Path, arguments: &[&str]) {
    let mut words = as_account(account);
    words.push(program.to_str().unwrap().to_owned());
    let output = Command::new(&words[0])
        .args(&words[1..])
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output();
    let output = output.unwrap();
    assert!(
        output.status.success(),
        "{}: {}",
        program.display(),
        String::from_utf8_lossy(&output.stderr)
    );
}
