//! What becomes of a statement that did not end in time.

use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long the server is asked to end it. After that its connection is closed all the same, and the server may be busy with it for longer.
const LONGEST: Duration = Duration::from_secs(2);

/// How long after a request to end it the next one is sent: one may come between two statements, where a call that was dropped left one before.
const AGAIN: Duration = Duration::from_millis(50);

/// Asks the server to end what runs on a connection, and closes it. Nobody waits for that, but the pool makes no other connection in its place
/// before: behind a lock that is held for long, the server would otherwise get one more process with each statement.
///
/// The connection is not used again: a request to end a statement that arrives late would end the next one.
pub(crate) fn end(client: Object, tls: MakeRustlsConnect) {
    tokio::spawn(async move {
        let token = client.cancel_token();
        let asked = tokio::time::timeout(LONGEST, async {
            // Sent when what ran before has been asked to end, and answered when it has ended, or lost together with the connection.
            let mut ended = std::pin::pin!(client.batch_execute(""));
            loop {
                // Where the request does not arrive, the next one may.
                drop(token.cancel_query(tls.clone()).await);
                if tokio::time::timeout(AGAIN, &mut ended).await.is_ok() {
                    return;
                }
            }
        });
        drop(asked.await);
        drop(Object::take(client));
    });
}
