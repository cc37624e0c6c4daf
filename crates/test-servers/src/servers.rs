//! Real servers for the tests of a store: one that is given, or a throw-away one.
//!
//! A test asks [`postgres_url`] or [`redis_url`]. The address comes from the environment
//! (`COUNTERSIGN_TEST_POSTGRES`, `COUNTERSIGN_TEST_REDIS`), or a server is started from an
//! installed binary, on a free port of the loopback interface, in a directory of its own, and ended
//! together with the process that started it. Where there is neither, the test is skipped loudly;
//! with `COUNTERSIGN_REQUIRE_SERVERS=1`, as in CI, that is a failure.
//!
//! A new PostgreSQL cluster is a copy of one that `initdb` made once for the process, or of the
//! directory that `COUNTERSIGN_TEST_CLUSTER` names.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use countersign::error::PluginError;
use countersign_testkit::skip;
use rand::TryRng;
use rand::rngs::SysRng;

/// How long a server may take to start.
const START: Duration = Duration::from_secs(30);

/// The address of a PostgreSQL server on which a test may create schemas.
///
/// # Errors
///
/// A [`PluginError`] if a server could not be started, or if there is none and
/// `COUNTERSIGN_REQUIRE_SERVERS=1`.
pub fn postgres_url() -> Result<Option<String>, PluginError> {
    static SHARED: Mutex<Option<Server>> = Mutex::new(None);
    given_or_shared("COUNTERSIGN_TEST_POSTGRES", "PostgreSQL", &SHARED, || Server::postgres(&[]))
}

/// The address of a Redis server on which a test may write keys.
///
/// # Errors
///
/// A [`PluginError`] if a server could not be started, or if there is none and
/// `COUNTERSIGN_REQUIRE_SERVERS=1`.
pub fn redis_url() -> Result<Option<String>, PluginError> {
    static SHARED: Mutex<Option<Server>> = Mutex::new(None);
    given_or_shared("COUNTERSIGN_TEST_REDIS", "Redis", &SHARED, || {
        Server::redis(&["--appendonly", "yes"])
    })
}

fn given_or_shared(
    variable: &str,
    name: &str,
    shared: &Mutex<Option<Server>>,
    start: impl FnOnce() -> Result<Option<Server>, PluginError>,
) -> Result<Option<String>, PluginError> {
    if let Ok(given) = std::env::var(variable) {
        return Ok(Some(given));
    }
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    if shared.is_none() {
        *shared = start()?;
    }
    match &*shared {
        Some(server) => Ok(Some(server.url.clone())),
        None => {
            skip(&format!("{variable} is not set and no {name} server is installed")).map(|()| None)
        }
    }
}

/// A server of one test's own, which it may stop, kill and start again.
#[derive(Debug)]
pub struct Server {
    url: String,
    port: u16,
    directory: PathBuf,
    command: Vec<String>,
    pid_file: PathBuf,
    process: Option<Child>,
    /// Reads from a pipe that ends when this process does, however it ends, and then ends the
    /// server and deletes its directory.
    guard: Option<Child>,
}

impl Server {
    /// Starts PostgreSQL with these settings (`name=value`). `None`: it is not installed.
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if it is installed and does not start.
    pub fn postgres(settings: &[&str]) -> Result<Option<Self>, PluginError> {
        let (Some(initdb), Some(postgres)) = (find("initdb"), find("postgres")) else {
            return Ok(None);
        };
        let account = unprivileged_account();
        let template = template(&initdb, account.as_deref())?;
        Self::launch(|port| {
            let directory = new_directory()?;
            let cluster = directory.join("cluster");
            run(Command::new("cp").args(["-a", "--"]).args([&template, &cluster]))?;
            if let Some(account) = &account {
                run(Command::new("chown").arg(account).arg(&directory))?;
            }
            let mut command = as_account(account.as_deref(), &postgres);
            command.extend(["-D".into(), text(&cluster)?, "-p".into(), port.to_string()]);
            for setting in
                ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200"]
            {
                command.extend(["-c".into(), setting.into()]);
            }
            for setting in settings {
                command.extend(["-c".into(), (*setting).into()]);
            }
            let url = format!("postgres://countersign@127.0.0.1:{port}/postgres");
            let pid_file = cluster.join("postmaster.pid");
            Ok(Self { url, port, directory, command, pid_file, process: None, guard: None })
        })
        .map(Some)
    }

    /// Starts Redis with these arguments. `None`: it is not installed.
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if it is installed and does not start.
    pub fn redis(arguments: &[&str]) -> Result<Option<Self>, PluginError> {
        let Some(redis) = find("redis-server") else { return Ok(None) };
        Self::launch(|port| {
            let directory = new_directory()?;
            let pid_file = directory.join("pid");
            let mut command = vec![
                text(&redis)?,
                "--port".into(),
                port.to_string(),
                "--dir".into(),
                text(&directory)?,
            ];
            command.extend(["--pidfile".into(), text(&pid_file)?]);
            command.extend(["--bind", "127.0.0.1", "--save", ""].map(str::to_owned));
            command.extend(arguments.iter().map(|argument| (*argument).to_owned()));
            let url = format!("redis://127.0.0.1:{port}/");
            Ok(Self { url, port, directory, command, pid_file, process: None, guard: None })
        })
        .map(Some)
    }

    /// Where it answers.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its port on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process that was started last.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Where it keeps its files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Ends it immediately, without a chance to write anything more, as a crash does.
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if it can't be ended.
    pub fn kill(&mut self) -> Result<(), PluginError> {
        self.signal(self.crash())
    }

    /// The signal that ends it as a crash does. PostgreSQL's own name for a crash without orphans
    /// is SIGQUIT. Redis takes SIGKILL: it may have inherited that SIGQUIT is ignored.
    fn crash(&self) -> &'static str {
        if self.url.starts_with("postgres") { "-QUIT" } else { "-KILL" }
    }

    /// Ends it in good order.
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if it can't be ended.
    pub fn stop(&mut self) -> Result<(), PluginError> {
        self.signal("-INT")
    }

    /// Starts it again, on the same port and with what it kept.
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if it does not start.
    pub fn start(&mut self) -> Result<(), PluginError> {
        let [program, arguments @ ..] = &*self.command else {
            return Err(PluginError::new("no command"));
        };
        let log = std::fs::File::create(self.directory.join("log"))?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut process = command.spawn()?;
        let started = Instant::now();
        let outcome = loop {
            if self.answers(process.id()) {
                break Ok(());
            }
            if matches!(process.try_wait(), Ok(Some(_))) || started.elapsed() > START {
                let log = std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                break Err(PluginError::new(format!("{program} did not start: {log}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        self.process = Some(process);
        outcome
    }

    /// Makes a server and starts it. Where that fails it is tried again on other ports: somebody
    /// else may have taken this one meanwhile.
    fn launch(make: impl Fn(u16) -> Result<Self, PluginError>) -> Result<Self, PluginError> {
        const GUARD: &str = r#"read _
            pid=$(head -n 1 "$1" 2>/dev/null)
            kill "$3" $pid 2>/dev/null
            for _ in $(seq 100); do kill -0 $pid 2>/dev/null || break; sleep 0.05; done
            rm -rf "$2""#;
        // A node of a cluster needs a second port, 10,000 above this one.
        let mut tries = 20;
        loop {
            let mut server = make(free_port()?)?;
            let mut guard = Command::new("sh");
            guard
                .args(["-c", GUARD, "guard"])
                .arg(&server.pid_file)
                .arg(&server.directory)
                .arg(server.crash());
            server.guard = Some(
                guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?,
            );
            tries = u32::saturating_sub(tries, 1);
            match server.start() {
                Ok(()) => return Ok(server),
                Err(fault) if tries == 0 => return Err(fault),
                Err(_) => {}
            }
        }
    }

    /// Whether it takes connections: its own file names the process that was started, and for
    /// PostgreSQL the last line there says so, since it listens before it is ready.
    fn answers(&self, process: u32) -> bool {
        let pid_file = std::fs::read_to_string(&self.pid_file).unwrap_or_default();
        let ours = pid_file.lines().next().is_some_and(|pid| pid.trim() == process.to_string());
        let ready = !self.url.starts_with("postgres") || pid_file.contains("ready");
        ours && ready && TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    fn signal(&mut self, signal: &str) -> Result<(), PluginError> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let pid = std::fs::read_to_string(&self.pid_file)?;
        let pid = pid.lines().next().unwrap_or_default().trim();
        run(Command::new("kill").args([signal, pid]))?;
        process.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing more can be done where this fails.
        drop(self.kill());
        if let Some(mut guard) = self.guard.take() {
            drop(guard.stdin.take());
            drop(guard.wait());
        }
    }
}

/// A program on the path, or where the distributions keep PostgreSQL's.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for root in ["/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt/postgresql"] {
        places.push(Path::new(root).join("bin"));
        let versions = std::fs::read_dir(root).into_iter().flatten().flatten();
        places.extend(versions.map(|version| version.path().join("bin")));
    }
    places.into_iter().map(|place| place.join(program)).find(|candidate| candidate.is_file())
}

/// PostgreSQL refuses to run as root: then it runs as one of these.
fn unprivileged_account() -> Option<String> {
    let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0");
    let known = |account: &&str| {
        Command::new("id").arg(account).output().is_ok_and(|id| id.status.success())
    };
    if root { ["postgres", "nobody"].into_iter().find(known).map(str::to_owned) } else { None }
}

fn as_account(account: Option<&str>, program: &Path) -> Vec<String> {
    let program = program.display().to_string();
    match account {
        Some(account) => {
            vec!["setpriv".into(), format!("--reuid={account}"), "--clear-groups".into(), program]
        }
        None => vec![program],
    }
}

fn new_directory() -> Result<PathBuf, PluginError> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let directory =
        std::env::temp_dir().join(format!("countersign-test-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    Ok(directory)
}

/// A port of the loopback interface that is free now, for a server that a test starts by itself.
/// The system gives it to no connection as its own end: those come from higher ones.
///
/// # Errors
///
/// A [`PluginError`] if there is none.
pub fn free_port() -> Result<u16, PluginError> {
    const LOWEST: u16 = 15_000;
    let mut taken = None;
    for _ in 0..100 {
        let mut random = [0; 2];
        SysRng.try_fill_bytes(&mut random)?;
        let port = LOWEST.saturating_add(u16::from_le_bytes(random) >> 2);
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(_free) => return Ok(port),
            Err(error) => taken = Some(error),
        }
    }
    Err(taken.map_or_else(|| PluginError::new("no free port"), PluginError::from))
}

/// A cluster of which each server gets a copy.
fn template(initdb: &Path, account: Option<&str>) -> Result<PathBuf, PluginError> {
    /// With what deletes it when this process ends.
    static MADE: Mutex<Option<(PathBuf, Child)>> = Mutex::new(None);
    if let Some(given) = std::env::var_os("COUNTERSIGN_TEST_CLUSTER") {
        return Ok(given.into());
    }
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((cluster, _)) = &*made {
        return Ok(cluster.clone());
    }
    let directory = new_directory()?;
    let mut guard = Command::new("sh");
    guard.args(["-c", r#"read _; rm -rf "$1""#, "guard"]).arg(&directory);
    let guard = guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    if let Some(account) = account {
        run(Command::new("chown").arg(account).arg(&directory))?;
    }
    let cluster = directory.join("cluster");
    let mut command = as_account(account, initdb);
    command.extend(["-D".into(), text(&cluster)?, "-U".into(), "countersign".into()]);
    // A log in small files: each server gets a copy.
    command.extend(
        ["-A", "trust", "-E", "UTF8", "--locale=C", "-N", "--wal-segsize=1"].map(str::to_owned),
    );
    run_all(&command)?;
    *made = Some((cluster.clone(), guard));
    Ok(cluster)
}

fn text(path: &Path) -> Result<String, PluginError> {
    path.to_str().map(str::to_owned).ok_or_else(|| PluginError::new("a path is not UTF-8"))
}

fn run_all(command: &[String]) -> Result<(), PluginError> {
    let [program, arguments @ ..] = command else { return Err(PluginError::new("no command")) };
    run(Command::new(program).args(arguments))
}

fn run(command: &mut Command) -> Result<(), PluginError> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(PluginError::new(format!(
        "{command:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    )))
}
