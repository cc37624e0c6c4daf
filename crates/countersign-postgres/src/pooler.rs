//! Whether a pooler answers in place of the server.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_postgres::{Client, SimpleQueryMessage};

/// More than a request to cancel has, and what is said before it.
const ROOM: usize = 64;

/// Whether the process that runs a statement is another one than was named when the connection was
/// made. A server names its own. A pooler names a number that it made up, since it has many clients
/// for each process of the server: what is prepared in one transaction may not be there in the
/// next.
pub(crate) async fn answers(client: &Client) -> Result<bool, tokio_postgres::Error> {
    let named = named(client).await;
    let runs =
        client.simple_query("SELECT pg_backend_pid()").await?.into_iter().find_map(|message| {
            match message {
                SimpleQueryMessage::Row(row) => {
                    row.get(0).and_then(|number| number.parse::<i32>().ok())
                }
                _ => None,
            }
        });
    Ok(named.is_none() || named != runs)
}

/// The process that was named when the connection was made. The driver tells it only in a request
/// to cancel, so one is written into memory and read there: length, code, process, key, four bytes
/// each.
async fn named(client: &Client) -> Option<i32> {
    let (near, mut far) = tokio::io::duplex(ROOM);
    // What a server says that is asked for an encrypted connection first.
    far.write_all(b"S").await.ok()?;
    client.cancel_token().cancel_query_raw(near, InMemory).await.ok()?;
    let mut written = Vec::new();
    far.read_to_end(&mut written).await.ok()?;
    let (process, _key) = written.last_chunk::<8>()?.split_first_chunk::<4>()?;
    Some(i32::from_be_bytes(*process))
}

/// Stands for an encrypted connection where nothing leaves the memory of the process.
struct InMemory;

struct Plain(DuplexStream);

impl TlsConnect<DuplexStream> for InMemory {
    type Stream = Plain;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<Plain>>;

    fn connect(self, stream: DuplexStream) -> Self::Future {
        std::future::ready(Ok(Plain(stream)))
    }
}

impl TlsStream for Plain {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Plain {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Plain {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
