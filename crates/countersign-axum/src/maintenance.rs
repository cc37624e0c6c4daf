//! Jobs that delete what nobody needs any more.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use countersign::error::{Error, PluginError};
use countersign::{LoginFlow, TenantId};
use thiserror::Error as ThisError;
use tokio::time::timeout;

const EVERY: Duration = Duration::from_secs(60 * 60);
const BATCH: u32 = 500;

/// Which tenants maintenance is for: a fixed `Vec`, or your own table.
#[async_trait]
pub trait TenantList: Send + Sync {
    /// All tenants, as of now. Called at the start of each round.
    ///
    /// # Errors
    ///
    /// If the list cannot be read. The round then does nothing, and the error goes to
    /// [`on_error`](Maintenance::on_error).
    async fn tenants(&self) -> Result<Vec<TenantId>, PluginError>;
}

#[async_trait]
impl TenantList for Vec<TenantId> {
    async fn tenants(&self) -> Result<Vec<TenantId>, PluginError> {
        Ok(self.clone())
    }
}

/// An error of [`Maintenance`]. It goes on with the next tenant, and tries again in the next round.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum MaintenanceError {
    /// The [`TenantList`] failed, so that this round does nothing.
    #[error("list of tenants failed")]
    Tenants {
        /// The list's own error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// [`LoginFlow::purge`] failed.
    #[error("purge of tenant {tenant} failed")]
    Purge {
        /// Whose records it was to delete.
        tenant: TenantId,
        /// Why it failed.
        source: Error,
    },
    /// [`LoginFlow::sweep`] failed.
    #[error("sweep of tenant {tenant} failed")]
    Sweep {
        /// Whose records it was to look at.
        tenant: TenantId,
        /// Why it failed.
        source: Error,
    },
    /// A sweep found records that cannot be read (`I-37`). Their users cannot log in: alert on it.
    #[error("{records} records of tenant {tenant} cannot be read")]
    Unreadable {
        /// Whose records they are.
        tenant: TenantId,
        /// How many there are.
        records: u64,
    },
}

/// Job that deletes records which count as absent ([`LoginFlow::purge`]) or hold nothing worth
/// keeping ([`LoginFlow::sweep`]).
///
/// A round goes through all tenants: first purge until it is finished, then one whole sweep. It can
/// run on several nodes.
///
/// ```
/// use countersign::error::report;
/// use countersign::{LoginFlow, TenantId};
/// use countersign_axum::Maintenance;
///
/// async fn maintain(flow: LoginFlow, tenants: Vec<TenantId>) {
///     let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
///     let maintenance = Maintenance::new(&flow, tenants)
///         .on_error(|error| eprintln!("{}", report(error)));
///     let until_stopped = async { _ = stopped.await };
///     let running = tokio::spawn(async move { maintenance.run(until_stopped).await });
///     // ... when the server has stopped:
///     drop(stop);
///     let _ = running.await;
/// }
/// ```
#[must_use = "call `run`"]
pub struct Maintenance {
    flow: LoginFlow,
    tenants: Box<dyn TenantList>,
    every: Duration,
    batch: u32,
    on_error: Box<dyn Fn(&MaintenanceError) + Send + Sync>,
}

impl Maintenance {
    /// Maintenance of these tenants: a round every hour, in batches of 500 records.
    pub fn new(flow: &LoginFlow, tenants: impl TenantList + 'static) -> Self {
        Self {
            flow: flow.clone(),
            tenants: Box::new(tenants),
            every: EVERY,
            batch: BATCH,
            on_error: Box::new(|_| {}),
        }
    }

    /// Sets the time from the end of a round to the next one. By default an hour; at least a
    /// second.
    pub fn every(mut self, pause: Duration) -> Self {
        self.every = pause.max(Duration::from_secs(1));
        self
    }

    /// Sets how many records a batch has at most. By default 500; 1 to 5,000.
    pub fn batch(mut self, records: u32) -> Self {
        self.batch = records.clamp(1, 5_000);
        self
    }

    /// Sets what receives errors. By default they are dropped.
    pub fn on_error(mut self, report: impl Fn(&MaintenanceError) + Send + Sync + 'static) -> Self {
        self.on_error = Box::new(report);
        self
    }

    /// Runs rounds until `shutdown` is ready, the first one immediately. It then finishes the batch
    /// that is under way, and begins no other.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves a part of a batch undone. The next round does it.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) {
        let mut stop = Stop { signal: Box::pin(shutdown), requested: false };
        while !self.round(&mut stop).await.is_stopped() {
            if timeout(self.every, stop.wait()).await.is_ok() {
                return;
            }
        }
    }

    async fn round<F: Future<Output = ()> + Send>(&self, stop: &mut Stop<F>) -> Round {
        if stop.is_requested().await {
            return Round::Stopped;
        }
        let tenants = match self.tenants.tenants().await {
            Ok(tenants) => tenants,
            Err(error) => {
                (self.on_error)(&MaintenanceError::Tenants { source: error.into() });
                return Round::Done;
            }
        };
        for tenant in &tenants {
            let purged = self.purge(tenant, stop).await.unwrap_or_else(|source| {
                (self.on_error)(&MaintenanceError::Purge { tenant: tenant.clone(), source });
                Round::Done
            });
            if purged.is_stopped() || self.sweep(tenant, stop).await.is_stopped() {
                return Round::Stopped;
            }
        }
        Round::Done
    }

    async fn purge<F: Future<Output = ()> + Send>(
        &self,
        tenant: &TenantId,
        stop: &mut Stop<F>,
    ) -> Result<Round, Error> {
        let mut deleted = None;
        while !stop.is_requested().await {
            match self.flow.purge(tenant, self.batch).await? {
                // A batch that deletes nothing and does not finish is left to the next round.
                Some(progress)
                    if progress.finished_at.is_none() && deleted != Some(progress.deleted) =>
                {
                    deleted = Some(progress.deleted);
                }
                _ => return Ok(Round::Done),
            }
        }
        Ok(Round::Stopped)
    }

    async fn sweep<F: Future<Output = ()> + Send>(
        &self,
        tenant: &TenantId,
        stop: &mut Stop<F>,
    ) -> Round {
        let (mut after, mut unreadable, mut ended) = (None, 0_u64, Round::Stopped);
        while !stop.is_requested().await {
            match self.flow.sweep(tenant, after.as_ref(), self.batch).await {
                Ok(progress) => {
                    unreadable = unreadable.saturating_add(progress.unreadable);
                    after = progress.next;
                }
                Err(source) => {
                    (self.on_error)(&MaintenanceError::Sweep { tenant: tenant.clone(), source });
                    after = None;
                }
            }
            if after.is_none() {
                ended = Round::Done;
                break;
            }
        }
        if unreadable > 0 {
            let tenant = tenant.clone();
            (self.on_error)(&MaintenanceError::Unreadable { tenant, records: unreadable });
        }
        ended
    }
}

impl fmt::Debug for Maintenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Maintenance")
            .field("every", &self.every)
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}

/// How a round, or a part of it, has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    Done,
    Stopped,
}

impl Round {
    fn is_stopped(self) -> bool {
        self == Self::Stopped
    }
}

/// The caller's signal to stop.
struct Stop<F> {
    signal: Pin<Box<F>>,
    requested: bool,
}

impl<F: Future<Output = ()>> Stop<F> {
    async fn wait(&mut self) {
        if !self.requested {
            self.signal.as_mut().await;
            self.requested = true;
        }
    }

    /// Asks without waiting, and lets other tasks run before the next batch.
    async fn is_requested(&mut self) -> bool {
        tokio::task::yield_now().await;
        if !self.requested {
            let signal = &mut self.signal;
            self.requested = poll_fn(|cx| Poll::Ready(signal.as_mut().poll(cx).is_ready())).await;
        }
        self.requested
    }
}
