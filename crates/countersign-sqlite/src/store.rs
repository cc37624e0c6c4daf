//! The store.

use std::fmt;
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use countersign::error::PluginError;
use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, Snapshot, Snapshots, StoredRow,
    Version,
};
use countersign::{TenantId, UserId};
use rusqlite::Connection;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::budget::SqliteBudget;
use crate::calls::{
    Call, ChangeSettings, Commit, Count, Load, LoadMany, Purge, Remove, RemoveIf, Settings,
    Statements, Users,
};
use crate::error::SqliteError;
use crate::file::{self, Place};
use crate::options::SqliteOptions;
use crate::schema::{self, patience};
use crate::threads::{self, Answered, Job, Queue, Write, Writer, asked};

/// Countersign's saved state in an SQLite database. Clones share it.
///
/// See the [crate's front page](crate) for what it promises and what it costs.
#[derive(Clone)]
pub struct SqliteFactors {
    threads: Arc<Threads>,
}

/// A file that is open, and the threads that hold the connections to it.
struct Threads {
    queues: Queues,
    file: PathBuf,
    options: SqliteOptions,
    place: Arc<Place>,
    closing: Closing,
    /// Ends when the last thread has ended, each of which holds a sender.
    ended: Mutex<mpsc::Receiver<()>>,
}

/// Held while a connection closes. Of two that close at the same moment each takes the other one
/// for open, and SQLite then leaves its log beside the file.
type Closing = Arc<parking_lot::Mutex<()>>;

/// The queues of the threads, which end with it.
struct Queues {
    reads: Arc<Queue<Box<dyn Job>>>,
    /// What reads many records, for pages and jobs: no login waits behind it.
    lists: Arc<Queue<Box<dyn Job>>>,
    writes: Arc<Queue<Write>>,
}

impl Drop for Queues {
    fn drop(&mut self) {
        self.close();
    }
}

impl Queues {
    fn close(&self) {
        self.reads.close();
        self.lists.close();
        self.writes.close();
    }
}

impl Threads {
    async fn backup(&self, to: PathBuf) -> Result<(), SqliteError> {
        // No call behind this may open a file that was closed.
        if self.queues.writes.is_closed() {
            return Err(SqliteError::Closed);
        }
        let (file, options, place) =
            (self.file.clone(), self.options.clone(), Arc::clone(&self.place));
        let (alive, _ended) = mpsc::channel(1);
        let closing = Arc::clone(&self.closing);
        let back_up = move || {
            patience::set(options.busy_timeout);
            let connection = schema::open_reader(&file, &options, &place)?;
            crate::file::back_up(&connection, &to)?;
            Ok(((), connection))
        };
        start("countersign-sqlite-backup", &alive, &closing, back_up, |_| {}).await
    }
}

impl SqliteFactors {
    /// Opens or makes the file, with the default options.
    ///
    /// # Errors
    ///
    /// [`SqliteError`] says why it can't be used.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, SqliteError> {
        SqliteOptions::default().open(path).await
    }

    /// Options to change before opening.
    pub fn options() -> SqliteOptions {
        SqliteOptions::default()
    }

    pub(crate) async fn open_file(
        options: SqliteOptions,
        path: &Path,
    ) -> Result<Self, SqliteError> {
        let path = file::absolute(path)?;
        let sql = Arc::new(Statements::new(&options.prefix));
        let (alive, ended) = mpsc::channel(1);
        let closing = Closing::default();
        // Dropped here, it ends the threads that have started.
        let queues = Queues { reads: Queue::new(), lists: Queue::new(), writes: Queue::new() };
        let (checkpoint, wanted) = std::sync::mpsc::sync_channel(1);
        let place = {
            let (sql, queue) = (Arc::clone(&sql), Arc::clone(&queues.writes));
            let (path, options) = (path.clone(), options.clone());
            let open = move || {
                patience::set(options.busy_timeout);
                let writer = Writer::new(schema::open(&path, &options)?, sql, queue, checkpoint);
                Ok((writer.place(), writer))
            };
            start("countersign-sqlite-write", &alive, &closing, open, Writer::run).await?
        };
        {
            let (path, options, place) = (path.clone(), options.clone(), Arc::clone(&place));
            let open = move || {
                patience::set(options.busy_timeout);
                let connection = schema::open_reader(&path, &options, &place)?;
                // It waits for nobody: what it can't do now it does the next time.
                connection.busy_timeout(Duration::ZERO)?;
                Ok(((), (connection, wanted)))
            };
            let work = |(connection, wanted): &mut (Connection, std::sync::mpsc::Receiver<()>)| {
                threads::checkpoint(connection, wanted);
            };
            start("countersign-sqlite-checkpoint", &alive, &closing, open, work).await?;
        }
        let readers = iter::repeat_n(("countersign-sqlite-read", &queues.reads), options.readers);
        for (name, queue) in readers.chain([("countersign-sqlite-list", &queues.lists)]) {
            let (sql, queue, place) = (Arc::clone(&sql), Arc::clone(queue), Arc::clone(&place));
            let (path, options) = (path.clone(), options.clone());
            let open = move || {
                patience::set(options.busy_timeout);
                Ok(((), (schema::open_reader(&path, &options, &place)?, place)))
            };
            start(
                name,
                &alive,
                &closing,
                open,
                move |(connection, place): &mut (Connection, Arc<Place>)| {
                    threads::read(connection, &sql, place, &queue);
                },
            )
            .await?;
        }
        drop(alive);
        let threads =
            Threads { queues, file: path, options, place, closing, ended: Mutex::new(ended) };
        Ok(Self { threads: Arc::new(threads) })
    }

    /// A send budget in the same file, for `Budgeted` of the crate `countersign-delivery`.
    pub fn budget(&self) -> SqliteBudget {
        SqliteBudget::of(self.clone())
    }

    /// Copies the database, as it is at one moment, to a new file: the tables of this store, and
    /// whatever else the file holds.
    ///
    /// Logins go on meanwhile. The copy has its name when it is whole and on the disk, and only its
    /// owner can read it. It is what may be restored: a file that is copied by other means lacks
    /// what stands in the log, and **to copy it from within this process ends SQLite's locks** (see
    /// the [front page](crate#backups)).
    ///
    /// A dropped call makes the copy all the same, or none.
    ///
    /// # Errors
    ///
    /// [`SqliteError::Exists`] if there is such a file; [`SqliteError::CannotOpen`] if it can't be
    /// made, or if its path is not UTF-8; others as for any call. Then there is no copy.
    pub async fn backup(&self, path: impl AsRef<Path>) -> Result<(), SqliteError> {
        self.threads.backup(file::absolute(path.as_ref())?).await
    }

    /// Closes the file: what waits is done first, and every later call of any clone fails with
    /// [`SqliteError::Closed`].
    ///
    /// Dropping the last clone does the same and does not wait for it. Nothing is lost either way.
    pub async fn close(&self) {
        self.threads.queues.close();
        while self.threads.ended.lock().await.recv().await.is_some() {}
    }

    async fn read<C: Call>(&self, call: C) -> Result<C::Answer, SqliteError> {
        let (job, answered) = asked(call);
        self.threads.queues.reads.push(job);
        answer(answered).await
    }

    async fn list<C: Call>(&self, call: C) -> Result<C::Answer, SqliteError> {
        let (job, answered) = asked(call);
        self.threads.queues.lists.push(job);
        answer(answered).await
    }

    pub(crate) async fn write<C: Call>(&self, call: C) -> Result<C::Answer, SqliteError> {
        let (job, answered) = asked(call);
        self.threads.queues.writes.push(Write::Shared(job));
        answer(answered).await
    }
}

impl fmt::Debug for SqliteFactors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteFactors").finish_non_exhaustive()
    }
}

/// Starts a thread that opens what it works on itself, and answers once it has, with what others
/// are to know of it.
async fn start<K: Send + 'static, T: 'static>(
    name: &str,
    alive: &mpsc::Sender<()>,
    closing: &Closing,
    open: impl FnOnce() -> Result<(K, T), SqliteError> + Send + 'static,
    work: impl FnOnce(&mut T) + Send + 'static,
) -> Result<K, SqliteError> {
    let (ready, opened) = oneshot::channel();
    let (alive, closing) = (alive.clone(), Arc::clone(closing));
    std::thread::Builder::new().name(name.to_owned()).spawn(move || match open() {
        Ok((known, mut opened)) => {
            // If nobody waits any more, the queue is closed and the work ends at once.
            drop(ready.send(Ok(known)));
            work(&mut opened);
            let turn = closing.lock();
            drop(opened);
            drop(turn);
            drop(alive);
        }
        Err(error) => drop(ready.send(Err(error))),
    })?;
    opened.await.unwrap_or(Err(SqliteError::Closed))
}

async fn answer<T>(answered: Answered<T>) -> Result<T, SqliteError> {
    answered.await.unwrap_or(Err(SqliteError::Closed))
}

#[async_trait]
impl FactorStore for SqliteFactors {
    async fn load(&self, tenant: &TenantId, user: &UserId) -> Result<Snapshot, PluginError> {
        Ok(self.read(Load { tenant: tenant.clone(), user: user.clone() }).await?)
    }

    async fn load_many(
        &self,
        tenant: &TenantId,
        users: &[UserId],
    ) -> Result<Snapshots, PluginError> {
        Ok(self.list(LoadMany { tenant: tenant.clone(), users: users.to_vec() }).await?)
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: &ExpectedVersions,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        let (tenant, user) = (tenant.clone(), user.clone());
        Ok(self.write(Commit { tenant, user, expected: *expected, next: next.clone() }).await?)
    }

    async fn settings(&self, tenant: &TenantId) -> Result<Option<StoredRow>, PluginError> {
        Ok(self.read(Settings { tenant: tenant.clone() }).await?)
    }

    async fn change_settings(
        &self,
        tenant: &TenantId,
        expected: Option<Version>,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        let call = ChangeSettings { tenant: tenant.clone(), expected, next: next.clone() };
        Ok(self.write(call).await?)
    }

    async fn purge(
        &self,
        tenant: &TenantId,
        below: Generation,
        at_most: u32,
    ) -> Result<u64, PluginError> {
        let (write, answered) = Write::purge(Purge { tenant: tenant.clone(), below, at_most });
        self.threads.queues.writes.push(write);
        Ok(answer(answered).await?)
    }

    async fn count(&self, tenant: &TenantId, below: Generation) -> Result<u64, PluginError> {
        Ok(self.list(Count { tenant: tenant.clone(), below }).await?)
    }

    async fn remove(&self, tenant: &TenantId, user: &UserId) -> Result<bool, PluginError> {
        Ok(self.write(Remove { tenant: tenant.clone(), user: user.clone() }).await?)
    }

    async fn remove_if(
        &self,
        tenant: &TenantId,
        user: &UserId,
        version: Version,
    ) -> Result<bool, PluginError> {
        let (tenant, user) = (tenant.clone(), user.clone());
        Ok(self.write(RemoveIf { tenant, user, version }).await?)
    }

    async fn users(
        &self,
        tenant: &TenantId,
        generation: Generation,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<UserId>, PluginError> {
        let (tenant, after) = (tenant.clone(), after.cloned());
        Ok(self.list(Users { tenant, generation, after, at_most }).await?)
    }
}

#[cfg(test)]
mod tests;
