//! The demo as a program of its own, and what it has sent.

use std::process::Command;

use serde::Deserialize;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::process::Process;

/// Two names of this machine, each with a tenant.
pub const ACME: &str = "localhost";
pub const GLOBEX: &str = "127.0.0.1";

pub const PASSWORD: &str = "correct horse battery staple";

pub struct Demo {
    pub port: u16,
    options: Vec<String>,
    /// Ends before its files do.
    process: Option<Process>,
    data: TempDir,
}

/// A message that a user got.
#[derive(Debug, Deserialize)]
pub struct Message {
    pub kind: String,
    pub user: String,
    pub to: String,
    pub text: String,
    pub code: Option<String>,
}

impl Demo {
    pub fn start(options: &[&str]) -> Self {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let data = tempfile::tempdir().unwrap();
        let mut demo = Self { port: 0, options, process: None, data };
        demo.launch();
        demo
    }

    /// Ends it as a crash does, and starts it again with what it kept.
    pub fn restart(&mut self) {
        self.process = None;
        self.launch();
    }

    /// Gives the other tenant a user of the same id, name and password.
    pub fn copy_to_globex(&self, user: &str) {
        let table = rusqlite::Connection::open(self.data.path().join("users.sqlite")).unwrap();
        let sql = "INSERT INTO users SELECT 'globex', id, login, email, administrator, language, \
            password FROM users WHERE tenant = 'acme' AND id = ?";
        assert_eq!(table.execute(sql, [user]).unwrap(), 1);
    }

    fn launch(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign-demo"));
        command.args(["--port", &self.port.to_string(), "--data"]).arg(self.data.path());
        command.args(&self.options);
        let (process, port) = Process::start(&mut command, |line| {
            line.trim().strip_prefix("http://localhost:")?.split('/').next()?.parse().ok()
        });
        (self.process, self.port) = (Some(process), port);
    }

    /// The messages of a tenant, newest first.
    pub async fn inbox(&self, host: &str) -> Vec<Message> {
        let body = ask(self.port, &format!("GET /inbox.json HTTP/1.1\r\nhost: {host}"), "").await;
        serde_json::from_str(&body).unwrap()
    }
}

/// Sends a request to a port of this machine, and returns the body of the response.
pub async fn ask(port: u16, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let length = body.len();
    let request =
        format!("{head}:{port}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut stream = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    stream.read_line(&mut line).await.unwrap();
    assert!(line.starts_with("HTTP/1.1 200 "), "{line}");
    // Not every server closes the connection.
    while line.trim() != "" {
        line.clear();
        stream.read_line(&mut line).await.unwrap();
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    String::from_utf8(body).unwrap()
}
