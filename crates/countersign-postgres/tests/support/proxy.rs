//! A proxy that understands the protocol: it splits reads from writes, and gives answers twice.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An address in front of servers.
pub struct Proxy {
    port: u16,
    answers: Arc<Mutex<Answers>>,
}

/// What becomes of the answers, on all connections.
#[derive(Default)]
struct Answers {
    keeps: bool,
    kept: Option<Vec<u8>>,
    replays: bool,
}

impl Proxy {
    /// Everything goes to this server. An answer can be given twice.
    pub async fn to(server: u16) -> Self {
        Self::splitting(server, server).await
    }

    /// As a pooler that splits reads from writes: what begins with `SELECT` goes to the second one.
    pub async fn splitting(primary: u16, standby: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (port, answers) =
            (listener.local_addr().unwrap().port(), Arc::<Mutex<Answers>>::default());
        let proxy = Self { port, answers: Arc::clone(&answers) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(session(client, [primary, standby], Arc::clone(&answers)));
            }
        });
        proxy
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("postgres://countersign@127.0.0.1:{}/postgres", self.port)
    }

    /// The next answer is kept.
    pub fn keep(&self) {
        self.answers.lock().unwrap().keeps = true;
    }

    /// The next question is answered with what was kept, and each later one on its connection with
    /// the answer to the one before.
    pub fn replay(&self) {
        let mut answers = self.answers.lock().unwrap();
        assert!(answers.kept.is_some(), "nothing was kept");
        answers.replays = true;
    }
}

async fn session(
    mut client: TcpStream,
    ports: [u16; 2],
    answers: Arc<Mutex<Answers>>,
) -> io::Result<()> {
    let start = startup(&mut client).await?;
    let mut servers = Vec::new();
    let mut welcome = Vec::new();
    for port in ports {
        let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
        server.write_all(&start).await?;
        // A request to cancel is not answered: the connection ends.
        welcome.push(answer(&mut server).await.unwrap_or_default());
        servers.push(server);
    }
    client.write_all(&welcome[0]).await?;
    let (mut texts, mut queue) = (HashMap::new(), VecDeque::new());
    loop {
        let (question, text) = question(&mut client, &mut texts).await?;
        let reads = text.trim_start().starts_with("SELECT");
        let server = &mut servers[usize::from(reads)];
        server.write_all(&question).await?;
        let mut next = answer(server).await?;
        {
            let mut answers = answers.lock().unwrap();
            if std::mem::take(&mut answers.keeps) {
                answers.kept = Some(next.clone());
            }
            if std::mem::take(&mut answers.replays) {
                queue.push_back(answers.kept.take().unwrap());
            }
            queue.push_back(next);
            next = queue.pop_front().unwrap();
        }
        client.write_all(&next).await?;
    }
}

/// The first thing that a client says has a length, and no kind.
async fn startup(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = client.read_u32().await?;
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.resize(usize::try_from(length).unwrap(), 0);
    client.read_exact(&mut bytes[4..]).await?;
    Ok(bytes)
}

/// One message, with its kind.
async fn message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![stream.read_u8().await?];
    let length = stream.read_u32().await?;
    bytes.extend(length.to_be_bytes());
    bytes.resize(1 + usize::try_from(length).unwrap(), 0);
    stream.read_exact(&mut bytes[5..]).await?;
    Ok(bytes)
}

/// All that is sent before an answer is waited for, and the statement that it is about.
async fn question(
    client: &mut TcpStream,
    texts: &mut HashMap<Vec<u8>, String>,
) -> io::Result<(Vec<u8>, String)> {
    let (mut all, mut text) = (Vec::new(), String::new());
    loop {
        let message = message(client).await?;
        let kind = message[0];
        let mut words = message[5..].split(|byte| *byte == 0).map(<[u8]>::to_vec);
        match kind {
            // A query; and a statement that is prepared under a name.
            b'Q' => text = String::from_utf8(words.next().unwrap()).unwrap(),
            b'P' => {
                let name = words.next().unwrap();
                text = String::from_utf8(words.next().unwrap()).unwrap();
                texts.insert(name, text.clone());
            }
            // What it is used with: a portal, and that name.
            b'B' => text = texts[&words.nth(1).unwrap()].clone(),
            _ => {}
        }
        all.extend(message);
        // A query, or the end of what belongs together.
        if matches!(kind, b'Q' | b'S') {
            return Ok((all, text));
        }
        if kind == b'X' {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// All that a server says until it is ready for more.
async fn answer(server: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let message = message(server).await?;
        let ready = message[0] == b'Z';
        all.extend(message);
        if ready {
            return Ok(all);
        }
    }
}
