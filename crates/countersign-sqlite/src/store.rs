//! The store.

use std::fmt;
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use countersign::{Commit, Expected, FactorStore, Fault, Generation, Saved, Snapshot, TenantId, UserId, Version};
use futures_lite::future;
use rusqlite::Connection;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::budget::SqliteBudget;
use crate::calls::{Answer, Read, SLICE, Statements, Write};
use crate::error::SqliteError;
use crate::options::SqliteOptions;
use crate::schema::{self, patience};
use crate::threads::{self, Job, Queue, Writer};

/// Countersign's saved state in an SQLite database. Clones share it.
///
/// See the [crate's front page](crate) for what it promises and what it costs.
#[derive(Clone)]
pub struct SqliteFactors {
    place: Place,
}

#[derive(Clone)]
enum Place {
    File(Arc<Threads>),
    Memory(Arc<Memory>),
}

/// A database in memory: a call is made where it is asked for. None of its locks is held or waited for across an await, so that a call that is not polled
/// any more holds up nobody.
struct Memory {
    connection: parking_lot::Mutex<Connection>,
    sql: Statements,
}

/// The queues of the threads that hold the connections to a file.
struct Threads {
    reads: Arc<Queue<Read>>,
    /// What reads many records, for pages and jobs: no login waits behind it.
    lists: Arc<Queue<Read>>,
    writes: Arc<Queue<Write>>,
    /// Ends when the last thread has ended, each of which holds a sender.
    ended: Mutex<mpsc::Receiver<()>>,
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.close();
    }
}

impl Threads {
    fn close(&self) {
        self.reads.close();
        self.lists.close();
        self.writes.close();
    }

    fn queue(&self, call: &Read) -> &Queue<Read> {
        match call {
            Read::Load { .. } | Read::Settings { .. } => &self.reads,
            Read::Count { .. } | Read::Users { .. } => &self.lists,
        }
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

    /// A database in memory, with the default options.
    ///
    /// # Errors
    ///
    /// [`SqliteError`] if SQLite refuses.
    pub fn in_memory() -> Result<Self, SqliteError> {
        SqliteOptions::default().open_in_memory()
    }

    /// Options to change before opening.
    pub fn options() -> SqliteOptions {
        SqliteOptions::default()
    }

    pub(crate) fn in_this_thread(options: &SqliteOptions) -> Result<Self, SqliteError> {
        let mut connection = Connection::open_in_memory()?;
        schema::prepare(&connection, options)?;
        schema::migrate(&mut connection, &options.prefix)?;
        let memory = Memory { connection: parking_lot::Mutex::new(connection), sql: Statements::new(&options.prefix) };
        Ok(Self { place: Place::Memory(Arc::new(memory)) })
    }

    pub(crate) async fn open_file(options: SqliteOptions, path: PathBuf) -> Result<Self, SqliteError> {
        let sql = Arc::new(Statements::new(&options.prefix));
        let (alive, ended) = mpsc::channel(1);
        let ended = Mutex::new(ended);
        let store = Arc::new(Threads { reads: Queue::new(), lists: Queue::new(), writes: Queue::new(), ended });
        let (checkpoint, wanted) = std::sync::mpsc::sync_channel(1);
        {
            let (sql, queue) = (Arc::clone(&sql), Arc::clone(&store.writes));
            let (path, options) = (path.clone(), options.clone());
            let open = move || {
                patience::set(options.busy_timeout);
                let mut connection = schema::open(&path, &options)?;
                schema::migrate(&mut connection, &options.prefix)?;
                Ok(Writer::new(connection, sql, queue, checkpoint))
            };
            start("countersign-sqlite-write", alive.clone(), open, Writer::run).await?;
        }
        {
            let (path, options) = (path.clone(), options.clone());
            let open = move || schema::open_reader(&path, &options).map(|connection| (connection, wanted));
            let work = |(connection, wanted): (Connection, std::sync::mpsc::Receiver<()>)| {
                threads::checkpoint(&connection, &wanted);
            };
            start("countersign-sqlite-checkpoint", alive.clone(), open, work).await?;
        }
        let readers = iter::repeat_n(("countersign-sqlite-read", &store.reads), options.readers);
        for (name, queue) in readers.chain([("countersign-sqlite-list", &store.lists)]) {
            let (sql, queue) = (Arc::clone(&sql), Arc::clone(queue));
            let (path, options) = (path.clone(), options.clone());
            let open = move || {
                patience::set(options.busy_timeout);
                schema::open_reader(&path, &options)
            };
            start(name, alive.clone(), open, move |connection| {
                threads::read(&connection, &sql, &queue);
            })
            .await?;
        }
        Ok(Self { place: Place::File(store) })
    }

    /// A budget of messages in the same file, for [`Budgeted`](countersign::budget::Budgeted).
    pub fn budget(&self) -> SqliteBudget {
        SqliteBudget::of(self.clone())
    }

    /// Closes the file: what waits is done first, and every later call of any clone fails with [`SqliteError::Closed`].
    ///
    /// Dropping the last clone does the same and does not wait for it. Nothing is lost either way.
    pub async fn close(&self) {
        if let Place::File(threads) = &self.place {
            threads.close();
            while threads.ended.lock().await.recv().await.is_some() {}
        }
    }

    async fn read(&self, call: Read) -> Result<Answer, SqliteError> {
        match &self.place {
            Place::File(threads) => ask(threads.queue(&call), call).await,
            Place::Memory(memory) => memory.with(|connection, sql| call.run(connection, sql)),
        }
    }

    pub(crate) async fn write(&self, call: Write) -> Result<Answer, SqliteError> {
        match &self.place {
            Place::File(threads) => ask(&threads.writes, call).await,
            Place::Memory(memory) => memory.with(|connection, sql| call.run(connection, sql)),
        }
    }

    async fn commits(&self, call: Write) -> Result<Commit, Fault> {
        match self.write(call).await? {
            Answer::Commit(commit) => Ok(commit),
            _ => Err(SqliteError::Closed.into()),
        }
    }
}

impl fmt::Debug for SqliteFactors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match &self.place {
            Place::File(_) => "file",
            Place::Memory(_) => "memory",
        };
        f.debug_struct("SqliteFactors").field("place", &place).finish_non_exhaustive()
    }
}

impl Memory {
    fn with<T>(&self, work: impl FnOnce(&Connection, &Statements) -> T) -> T {
        let connection = self.connection.lock();
        let done = work(&connection, &self.sql);
        // Handed to whoever waits: a purge would otherwise be back, slice after slice, before they have woken up.
        parking_lot::MutexGuard::unlock_fair(connection);
        done
    }
}

/// Starts a thread that opens what it works on itself, and answers once it has.
async fn start<T: 'static>(
    name: &str,
    alive: mpsc::Sender<()>,
    open: impl FnOnce() -> Result<T, SqliteError> + Send + 'static,
    work: impl FnOnce(T) + Send + 'static,
) -> Result<(), SqliteError> {
    let (ready, opened) = oneshot::channel();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || match open() {
        Ok(opened) => {
            // If nobody waits any more, the queue is closed and the work ends at once.
            drop(ready.send(Ok(())));
            work(opened);
            drop(alive);
        }
        Err(error) => drop(ready.send(Err(error))),
    })?;
    opened.await.unwrap_or(Err(SqliteError::Closed))
}

async fn ask<C>(queue: &Queue<C>, call: C) -> Result<Answer, SqliteError> {
    let (answer, answered) = oneshot::channel();
    queue.push(Job { call, answer });
    answered.await.unwrap_or(Err(SqliteError::Closed))
}

#[async_trait]
impl FactorStore for SqliteFactors {
    async fn load(&self, tenant: &TenantId, user: &UserId) -> Result<Snapshot, Fault> {
        match self.read(Read::Load { tenant: tenant.clone(), user: user.clone() }).await? {
            Answer::Snapshot(snapshot) => Ok(snapshot),
            _ => Err(SqliteError::Closed.into()),
        }
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: &Expected,
        next: &Saved,
    ) -> Result<Commit, Fault> {
        let (tenant, user) = (tenant.clone(), user.clone());
        self.commits(Write::Commit { tenant, user, expected: *expected, next: next.clone() }).await
    }

    async fn settings(&self, tenant: &TenantId) -> Result<Option<Saved>, Fault> {
        match self.read(Read::Settings { tenant: tenant.clone() }).await? {
            Answer::Settings(settings) => Ok(settings),
            _ => Err(SqliteError::Closed.into()),
        }
    }

    async fn change_settings(
        &self,
        tenant: &TenantId,
        expected: Option<Version>,
        next: &Saved,
    ) -> Result<Commit, Fault> {
        self.commits(Write::ChangeSettings { tenant: tenant.clone(), expected, next: next.clone() }).await
    }

    async fn purge(&self, tenant: &TenantId, below: Generation, at_most: u32) -> Result<u64, Fault> {
        let whole = match &self.place {
            // The thread that writes cuts it into slices itself.
            Place::File(_) => at_most,
            Place::Memory(_) => SLICE,
        };
        let mut deleted: u64 = 0;
        loop {
            let left = u64::from(at_most).saturating_sub(deleted);
            let asked = u32::try_from(left)?.min(whole);
            let call = Write::PurgeSlice { tenant: tenant.clone(), below, at_most: asked };
            let Answer::Number(number) = self.write(call).await? else { return Err(SqliteError::Closed.into()) };
            deleted = deleted.saturating_add(number);
            if number < u64::from(asked) || deleted >= u64::from(at_most) {
                return Ok(deleted);
            }
            // Whoever shares this thread comes in between.
            future::yield_now().await;
        }
    }

    async fn count(&self, tenant: &TenantId, below: Generation) -> Result<u64, Fault> {
        match self.read(Read::Count { tenant: tenant.clone(), below }).await? {
            Answer::Number(number) => Ok(number),
            _ => Err(SqliteError::Closed.into()),
        }
    }

    async fn remove(&self, tenant: &TenantId, user: &UserId) -> Result<bool, Fault> {
        match self.write(Write::Remove { tenant: tenant.clone(), user: user.clone() }).await? {
            Answer::Number(number) => Ok(number > 0),
            _ => Err(SqliteError::Closed.into()),
        }
    }

    async fn remove_if(&self, tenant: &TenantId, user: &UserId, version: Version) -> Result<bool, Fault> {
        match self.write(Write::RemoveIf { tenant: tenant.clone(), user: user.clone(), version }).await? {
            Answer::Number(number) => Ok(number > 0),
            _ => Err(SqliteError::Closed.into()),
        }
    }

    async fn users(
        &self,
        tenant: &TenantId,
        generation: Generation,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<UserId>, Fault> {
        let call = Read::Users { tenant: tenant.clone(), generation, after: after.cloned(), at_most };
        match self.read(call).await? {
            Answer::Users(users) => Ok(users),
            _ => Err(SqliteError::Closed.into()),
        }
    }
}
