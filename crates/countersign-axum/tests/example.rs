//! The example runs, and people log in over real connections.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};

struct Site {
    child: Child,
    printed: BufReader<ChildStdout>,
    host: String,
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Site {
    /// The program itself, not `cargo run`, which would leave it behind.
    fn start() -> Self {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--features", "tower-sessions", "--example", "axum"]);
        cargo.args(["--message-format", "json"]);
        let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        let built = String::from_utf8(built.stdout).unwrap();
        let program = built
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .find_map(|message| message["executable"].as_str().map(str::to_owned))
            .unwrap();
        let mut child = Command::new(program).stdout(Stdio::piped()).spawn().unwrap();
        let mut printed = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        printed.read_line(&mut line).unwrap();
        let host = line.trim().trim_start_matches("http://").trim_end_matches('/').to_owned();
        Self { child, printed, host }
    }

    /// The code that is printed next.
    fn code(&mut self, name: &str) -> String {
        let mut line = String::new();
        self.printed.read_line(&mut line).unwrap();
        let code = line.trim().strip_prefix(&format!("Code for {name}: "));
        code.unwrap_or_else(|| panic!("{line}")).to_owned()
    }

    fn send(&self, method: &str, path: &str, cookie: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncookie: {cookie}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.host,
            body.len(),
        )
        .unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    /// Logs somebody in. Answers the session's cookie.
    fn sign_in(&mut self, name: &str) -> String {
        let body = format!(r#"{{"name": "{name}", "password": "correct horse battery staple"}}"#);
        let begun = self.send("POST", "/auth/login", "", &body);
        assert!(begun.starts_with("HTTP/1.1 200 "), "{begun}");
        let token = cookie(&begun, "countersign-login-");
        let login = token.split('=').next().unwrap().trim_start_matches("countersign-login-");
        let code = format!(r#"{{"code": "{}"}}"#, self.code(name));
        let done = self.send("POST", &format!("/auth/login/{login}/code"), token, &code);
        assert!(done.contains(r#""step":"authenticated""#), "{done}");
        cookie(&done, "id=").to_owned()
    }
}

fn cookie<'a>(response: &'a str, name: &str) -> &'a str {
    let mut cookies = response.lines().filter_map(|line| line.strip_prefix("set-cookie: "));
    let cookie = cookies.find(|cookie| cookie.starts_with(name));
    cookie.unwrap_or_else(|| panic!("{response}")).split(';').next().unwrap()
}

#[test]
fn axum_lets_people_in_by_code() {
    let mut site = Site::start();
    for (method, path) in [("GET", "/"), ("POST", "/account/close"), ("GET", "/report")] {
        let stranger = site.send(method, path, "", "");
        assert!(stranger.starts_with("HTTP/1.1 401 "), "{path} {stranger}");
    }
    let (alice, root) = (site.sign_in("alice"), site.sign_in("root"));
    let home = site.send("GET", "/", &alice, "");
    assert!(home.ends_with("\r\n\r\nHello, alice.\n"), "{home}");
    let closed = site.send("POST", "/account/close", &alice, "");
    assert!(closed.ends_with("\r\n\r\nThe account of alice would be closed.\n"), "{closed}");
    let hidden = site.send("GET", "/report", &alice, "");
    assert!(hidden.starts_with("HTTP/1.1 404 "), "{hidden}");
    let report = site.send("GET", "/report", &root, "");
    assert!(report.ends_with("\r\n\r\nA report for the administrators of acme.\n"), "{report}");
}
