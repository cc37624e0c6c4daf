//! The connections, and when a message is tried again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::deadline::share;
use crate::failure::{Phase, SmtpCause, SmtpFailure};
use crate::session::{Outgoing, Server, Session};

struct Idle {
    session: Session,
    since: Instant,
}

/// A bounded number of connections, each used by one message at a time.
pub(crate) struct Pool {
    server: Server,
    permits: Semaphore,
    idle: Mutex<Vec<Idle>>,
    idle_after: Duration,
    probe_timeout: Duration,
}

impl Pool {
    pub(crate) fn new(
        server: Server,
        max: usize,
        idle_after: Duration,
        probe_timeout: Duration,
    ) -> Self {
        Self {
            server,
            permits: Semaphore::new(max),
            idle: Mutex::default(),
            idle_after,
            probe_timeout,
        }
    }

    /// Sends one message before the deadline.
    ///
    /// On a connection that was used before, any failure until the server is ready for the text may
    /// be about that connection: it was closed, it has gone silent, its session has reached a
    /// limit. Nothing was handed over, so the message is offered once more, on a new connection,
    /// and that answer counts. From the first byte of the text on, nothing is tried again.
    pub(crate) async fn send(
        &self,
        message: &Outgoing<'_>,
        deadline: Instant,
    ) -> Result<(), SmtpFailure> {
        let Ok(Ok(_permit)) = timeout_at(deadline, self.permits.acquire()).await else {
            return Err(SmtpFailure::new(Phase::Waiting, SmtpCause::TimedOut));
        };
        let used = self.offer_on_used(message, deadline).await?;
        let mut session = if let Some(ready) = used {
            ready
        } else {
            self.offer_on_new(message, deadline).await?
        };
        let done = session.hand_over(message.text, deadline).await;
        // Only after a message that was taken is it certain where the conversation stands.
        if done.is_ok() {
            self.idle().push(Idle { session, since: Instant::now() });
        }
        done
    }

    async fn offer_on_new(
        &self,
        message: &Outgoing<'_>,
        deadline: Instant,
    ) -> Result<Session, SmtpFailure> {
        let mut session = self.server.open(deadline).await?;
        session.offer(message, deadline).await?;
        Ok(session)
    }

    /// A used connection on which the server is ready for the text of the message. `None` if there
    /// is none.
    ///
    /// A probe comes first and has a short time. The steps after it have until half of the time is
    /// over, so that a new connection still has the other half.
    async fn offer_on_used(
        &self,
        message: &Outgoing<'_>,
        deadline: Instant,
    ) -> Result<Option<Session>, SmtpFailure> {
        let Some(mut session) = self.take_idle() else { return Ok(None) };
        let half = share(deadline, 2);
        let now = Instant::now();
        let short = now.checked_add(self.probe_timeout).map_or(half, |short| short.min(half));
        if session.probe(short).await.is_err() {
            // The others have been idle for longer.
            self.drop_idle();
            return Ok(None);
        }
        match session.offer(message, half).await {
            Ok(()) => Ok(Some(session)),
            // The server was not asked.
            Err(failure) if failure.cause() == SmtpCause::NoSmtpUtf8 => Err(failure),
            Err(failure) => {
                if failure.cause() == SmtpCause::TimedOut {
                    self.drop_idle();
                }
                Ok(None)
            }
        }
    }

    /// The connection that was used last.
    fn take_idle(&self) -> Option<Session> {
        let mut idle = self.idle();
        idle.retain(|kept| kept.since.elapsed() < self.idle_after);
        idle.pop().map(|kept| kept.session)
    }

    fn drop_idle(&self) {
        let dropped = std::mem::take(&mut *self.idle());
        drop(dropped);
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
