//! A thread that stands for the provider of SMS, and for the phones.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use serde_json::{Value, json};

use crate::Failed;

/// What the provider gave the application.
pub(crate) const TOKEN: &str = "a-token-of-the-provider";

/// How the gateway answers a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Status(u16),
    HangUp,
    Silence,
    /// A first line that does not end.
    Flood,
}

/// Takes messages, and gives them to their phones.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    /// The texts that arrived on phones.
    pub(crate) received: mpsc::Receiver<String>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

impl Gateway {
    pub(crate) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (phone, received) = mpsc::channel();
        let answers = Arc::new(Mutex::new(VecDeque::new()));
        let script = Arc::clone(&answers);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let next = script.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let _ = take(stream, next.unwrap_or(Answer::Status(202)), &phone);
            }
        });
        Ok(Self { address, received, answers })
    }

    /// Answers the next request like this, and later ones with 202.
    pub(crate) fn next(&self, answer: Answer) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).push_back(answer);
    }
}

/// As much of an HTTP server as the sender needs.
fn take(stream: TcpStream, answer: Answer, phone: &mpsc::Sender<String>) -> Result<(), Failed> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut request = BufReader::new(stream);
    let (mut length, mut allowed) = (0, false);
    loop {
        let mut line = String::new();
        (&mut request).take(1024).read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some(("Content-Length", value)) => length = value.parse::<usize>()?.min(4096),
            Some(("Authorization", value)) => allowed = value == format!("Bearer {TOKEN}"),
            _ if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    request.read_exact(&mut body)?;
    let sms: Value = serde_json::from_slice(&body)?;
    phone.send(sms.get("text").and_then(Value::as_str).unwrap_or_default().to_owned())?;
    let mut stream = request.into_inner();
    match answer {
        Answer::Status(status) => {
            let status = if allowed { status } else { 401 };
            let body = json!({ "accepted": status == 202 }).to_string();
            write!(stream, "HTTP/1.1 {status} \r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
        }
        Answer::HangUp => {}
        // Until the sender gives up.
        Answer::Silence => drop(stream.read(&mut [0])?),
        Answer::Flood => stream.write_all(&b"HTTP/1.1 ".repeat(1000))?,
    }
    Ok(())
}
