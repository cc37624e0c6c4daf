//! What becomes of a statement that nobody waits for any more.

use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::connection::{Connection, Object};
use crate::share::Place;

/// How long the server is asked to end a statement, and the least that is waited for one behind a
/// pooler. Then the connection is closed, though the server may still be busy.
const LONGEST: Duration = Duration::from_secs(2);

/// How long after a request to end it the next one is sent.
const AGAIN: Duration = Duration::from_millis(50);

/// A connection that one call has, and its place in a tenant's or the budget's part of the pool.
///
/// Dropped before the answer is there, it sees to it that the statement ends on the server before
/// anybody else gets the connection.
pub(crate) struct Call {
    /// There until the call is over.
    connection: Option<Object>,
    place: Option<Place>,
    tls: MakeRustlsConnect,
    /// How long a statement may take.
    longest: Duration,
    began: Instant,
}

impl Call {
    pub(crate) fn new(
        connection: Object,
        place: Place,
        tls: MakeRustlsConnect,
        longest: Duration,
    ) -> Self {
        let began = Instant::now();
        Self { connection: Some(connection), place: Some(place), tls, longest, began }
    }

    /// `None` only after it is over.
    pub(crate) fn connection(&self) -> Option<&Connection> {
        self.connection.as_deref()
    }

    /// The answer is there: the connection is the next one's.
    pub(crate) fn answered(mut self) {
        drop(self.connection.take());
    }

    /// What comes over this connection is not to be believed: it is closed.
    pub(crate) fn broken(mut self) {
        drop(self.connection.take().map(Object::take));
    }

    /// The time is up: the statement is cancelled, unless a pooler is in between.
    pub(crate) fn late(mut self) {
        self.end(Duration::ZERO);
    }

    /// Lets the statement end by itself within `grace`. Behind a pooler, where nothing is
    /// cancelled, it gets the rest of its time, at least [`LONGEST`].
    fn end(&mut self, grace: Duration) {
        let Some(connection) = self.connection.take() else { return };
        let left = self.longest.saturating_sub(self.began.elapsed());
        let grace = if connection.is_pooled() { left.max(LONGEST) } else { grace };
        let unended = Unended(Some(connection));
        // Without a runtime nothing moves on the connection: it is closed.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(end(unended, self.place.take(), self.tls.clone(), grace));
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(self.longest.checked_div(100).unwrap_or_default());
    }
}

/// A connection on which something may be under way: when it is dropped it is closed, and nobody
/// gets it.
struct Unended(Option<Object>);

impl Drop for Unended {
    fn drop(&mut self) {
        drop(self.0.take().map(Object::take));
    }
}

/// Waits until what runs on a connection has ended; where that takes too long, asks the server to
/// end it, unless a pooler is in between, and closes the connection. Nobody waits for that, but the
/// pool makes no other connection in its place before: behind a lock that is held for long, the
/// server would otherwise get one more process with each statement.
///
/// A connection whose statement was cancelled is not used again: a request that arrives late would
/// end the next statement. Through a pooler that may be another client's. PgBouncer checks that
/// from 1.18 on, but up to 1.20 it may exit where a request is closed early, as by the driver.
async fn end(mut unended: Unended, place: Option<Place>, tls: MakeRustlsConnect, grace: Duration) {
    let Some(connection) = &unended.0 else { return };
    let client = connection.client();
    let by_itself = {
        // Sent when what ran before has ended, or has been asked to, and answered then; or lost
        // together with the connection.
        let mut ended = pin!(client.batch_execute(""));
        let waited = tokio::time::timeout(grace, &mut ended).await;
        if waited.is_err() && !connection.is_pooled() {
            let token = client.cancel_token();
            let asked = tokio::time::timeout(LONGEST, async {
                loop {
                    // Where the request does not arrive, the next one may.
                    drop(token.cancel_query(tls.clone()).await);
                    if tokio::time::timeout(AGAIN, &mut ended).await.is_ok() {
                        return;
                    }
                }
            });
            drop(asked.await);
        }
        matches!(waited, Ok(Ok(())))
    };
    if by_itself {
        drop(unended.0.take());
    }
    drop((unended, place));
}
