//! The threads of a store on a file: some that read, one that writes, and one that tidies up behind
//! it.
//!
//! SQLite has one writer at a time, so one thread is enough for it. Whatever waits when that thread
//! is free is written in one transaction, and acknowledged when that is on the disk: one wait for
//! the disk for all of them.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::calls::{Call, Purge, SLICE, Statements};
use crate::error::SqliteError;
use crate::file::Place;
use crate::schema::{self, Opened, patience};
use crate::turns::Turns;

/// How many writes share a transaction at most.
const GROUP: usize = 64;

/// How long a purge rests at most between two slices: where a disk is slow, a batch is to end all
/// the same.
const LONGEST_REST: Duration = Duration::from_millis(50);

/// A call on its way to a thread, whatever it answers.
pub(crate) trait Job: Send {
    /// Whether nobody waits for it any more.
    fn is_given_up(&self) -> bool;

    /// Runs it, and keeps what it answers.
    fn run(&mut self, connection: &Connection, sql: &Statements) -> Result<(), SqliteError>;

    /// Sends the kept answer, or the error.
    fn finish(self: Box<Self>, done: Result<(), SqliteError>);
}

/// A call with the way back.
struct Asked<C: Call> {
    call: C,
    kept: Option<C::Answer>,
    answer: oneshot::Sender<Result<C::Answer, SqliteError>>,
}

impl<C: Call> Job for Asked<C> {
    fn is_given_up(&self) -> bool {
        self.answer.is_closed()
    }

    fn run(&mut self, connection: &Connection, sql: &Statements) -> Result<(), SqliteError> {
        self.kept = Some(self.call.run(connection, sql)?);
        Ok(())
    }

    fn finish(self: Box<Self>, done: Result<(), SqliteError>) {
        let Self { kept, answer, .. } = *self;
        let answered = match (done, kept) {
            (Ok(()), Some(kept)) => Ok(kept),
            (Err(error), _) => Err(error),
            // It was not run: the caller sees a dropped call.
            (Ok(()), None) => return,
        };
        // The caller may have gone.
        drop(answer.send(answered));
    }
}

/// Where the answer to a call arrives.
pub(crate) type Answered<T> = oneshot::Receiver<Result<T, SqliteError>>;

/// A call for a thread, and where its answer arrives.
pub(crate) fn asked<C: Call>(call: C) -> (Box<dyn Job>, Answered<C::Answer>) {
    let (answer, answered) = oneshot::channel();
    (Box::new(Asked { call, kept: None, answer }), answered)
}

/// What the thread that writes is asked for.
pub(crate) enum Write {
    /// May share a transaction with others.
    Shared(Box<dyn Job>),
    /// In slices, with others in between.
    Purge(PurgeJob),
}

pub(crate) struct PurgeJob {
    purge: Purge,
    answer: oneshot::Sender<Result<u64, SqliteError>>,
}

impl PurgeJob {
    fn finish(self, answer: Result<u64, SqliteError>) {
        // The caller may have gone.
        drop(self.answer.send(answer));
    }
}

impl Write {
    pub(crate) fn purge(purge: Purge) -> (Self, Answered<u64>) {
        let (answer, answered) = oneshot::channel();
        (Self::Purge(PurgeJob { purge, answer }), answered)
    }
}

/// What waits for a thread.
pub(crate) struct Queue<J> {
    waiting: Mutex<Waiting<J>>,
    arrived: Condvar,
}

struct Waiting<J> {
    jobs: VecDeque<J>,
    closed: bool,
}

impl<J> Queue<J> {
    pub(crate) fn new() -> Arc<Self> {
        let waiting = Waiting { jobs: VecDeque::new(), closed: false };
        Arc::new(Self { waiting: Mutex::new(waiting), arrived: Condvar::new() })
    }

    pub(crate) fn push(&self, job: J) {
        let mut waiting = self.waiting();
        if !waiting.closed {
            waiting.jobs.push_back(job);
            drop(waiting);
            self.arrived.notify_one();
        }
    }

    /// Lets the threads end once they have done what waits.
    pub(crate) fn close(&self) {
        self.waiting().closed = true;
        self.arrived.notify_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.waiting().closed
    }

    /// Ends it together with the thread that serves it, however that ends: nobody must wait for an
    /// answer that can't come.
    pub(crate) fn ending(self: &Arc<Self>) -> impl Drop + use<J> {
        struct Ending<J>(Arc<Queue<J>>);

        impl<J> Drop for Ending<J> {
            fn drop(&mut self) {
                self.0.close();
                self.0.waiting().jobs.clear();
            }
        }

        Ending(Arc::clone(self))
    }

    /// Up to `at_most` jobs, waiting for the first one. `None`: closed and empty.
    fn take(&self, at_most: usize) -> Option<Vec<J>> {
        let mut waiting = self.waiting();
        loop {
            let number = waiting.jobs.len().min(at_most);
            if number > 0 {
                return Some(waiting.jobs.drain(..number).collect());
            }
            if waiting.closed {
                return None;
            }
            waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Up to `at_most` jobs, waiting for the first one until then. `None`: none came, or none will.
    fn take_until(&self, at_most: usize, until: Instant) -> Option<Vec<J>> {
        let mut waiting = self.waiting();
        loop {
            let number = waiting.jobs.len().min(at_most);
            if number > 0 {
                return Some(waiting.jobs.drain(..number).collect());
            }
            let left = until.saturating_duration_since(Instant::now());
            if waiting.closed || left.is_zero() {
                return None;
            }
            waiting =
                self.arrived.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<J>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The work of a thread that reads.
pub(crate) fn read(
    connection: &Connection,
    sql: &Statements,
    place: &Place,
    queue: &Arc<Queue<Box<dyn Job>>>,
) {
    let _ending = queue.ending();
    while let Some(jobs) = queue.take(1) {
        for mut job in jobs {
            if !job.is_given_up() {
                let done = job.run(connection, sql);
                // Looked at after the reading: while it read, this was still the file that others
                // write to.
                job.finish(place.check().and(done));
            }
        }
    }
}

/// The work of the thread that copies what was written from the write-ahead log into the database.
/// A writer would do so by itself, within a commit of somebody who then waits for it; this does it
/// beside the writer.
pub(crate) fn checkpoint(connection: &Connection, wanted: &Receiver<()>) {
    let mut before = 0;
    while wanted.recv().is_ok() {
        // What could not be copied now is copied the next time.
        before = copy(connection, before).unwrap_or(before);
    }
}

/// From how many pages on the log is emptied, and from how many on also where much is still to be
/// copied: 16 and 64 MB with the usual pages.
const LOG_PAGES: [i64; 2] = [4_000, 16_000];

/// How often it copies in a row while others write, before it leaves the rest to the next time.
const COPIES: u32 = 3;

/// How long it waits for a writer to be done, and holds up the writers for readers.
const SHORTLY: Duration = Duration::from_millis(10);

/// Copies, and answers how many pages of the log were copied. `before`: how many it were the last
/// time.
///
/// A log that was copied as a whole is emptied when it is large: that holds up the writers for no
/// wait for the disk. While others write without a pause there is no moment at which all of it is
/// copied, and it would grow for ever; so it is emptied all the same when it is very large, and the
/// writers wait until the rest is copied. Where somebody still reads what is old, that is not
/// waited for.
fn copy(connection: &Connection, before: i64) -> rusqlite::Result<i64> {
    let checkpoint = |sql| {
        connection.query_row(sql, [], |row| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)))
    };
    let [large, too_large] = LOG_PAGES;
    let (mut pages, mut copied) = checkpoint("PRAGMA wal_checkpoint(PASSIVE)")?;
    for _ in 1..COPIES {
        if pages < large || copied == pages {
            break;
        }
        // Less is left each time, unless there is such a reader.
        (pages, copied) = checkpoint("PRAGMA wal_checkpoint(PASSIVE)")?;
    }
    if pages < large || !(copied == pages || pages >= too_large) {
        return Ok(copied);
    }
    let progresses = copied == pages || copied != before;
    connection.busy_timeout(if progresses { SHORTLY } else { Duration::ZERO })?;
    let emptied = checkpoint("PRAGMA wal_checkpoint(TRUNCATE)");
    connection.busy_timeout(Duration::ZERO)?;
    emptied.map(|(_, copied)| copied)
}

/// After how many writes a checkpoint is asked for.
const CHECKPOINT: usize = 200;

/// Whether nobody writes at this moment.
fn is_free(connection: &Connection) -> bool {
    let without_waiting = connection.busy_timeout(Duration::ZERO);
    let free = connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK");
    let waiting_again = schema::be_patient(connection);
    without_waiting.and(free).and(waiting_again).is_ok()
}

/// What came of several writes in one transaction.
enum Together {
    Written,
    /// It could not begin or not end, which is no fault of any of them. Nothing was written.
    Refused(SqliteError),
    /// There are not several, or one of them failed. Nothing was written.
    Apart,
}

/// The work of the thread that writes.
pub(crate) struct Writer {
    connection: Connection,
    place: Arc<Place>,
    turns: Turns,
    sql: Arc<Statements>,
    queue: Arc<Queue<Write>>,
    /// Purges that arrived while another one was at work.
    later: VecDeque<PurgeJob>,
    checkpoint: SyncSender<()>,
    written: usize,
}

impl Writer {
    pub(crate) fn new(
        Opened { connection, place, turns }: Opened,
        sql: Arc<Statements>,
        queue: Arc<Queue<Write>>,
        checkpoint: SyncSender<()>,
    ) -> Self {
        let place = Arc::new(place);
        Self {
            connection,
            place,
            turns,
            sql,
            queue,
            later: VecDeque::new(),
            checkpoint,
            written: 0,
        }
    }

    /// The file, for those that read it.
    pub(crate) fn place(&self) -> Arc<Place> {
        Arc::clone(&self.place)
    }

    /// Writes when it is this handle's turn. All that it waits for shares one time-out.
    fn in_turn<T>(&self, write: impl FnOnce() -> Result<T, SqliteError>) -> Result<T, SqliteError> {
        let _patience = patience::shared();
        let _turn = self.turns.wait(|| is_free(&self.connection));
        // What would be written to a file that is not at its path any more is not written. What was
        // written while it went away may be lost.
        self.place.check()?;
        let written = write();
        self.place.check()?;
        written
    }

    pub(crate) fn run(&mut self) {
        let _ending = self.queue.ending();
        while let Some(jobs) = self.queue.take(GROUP) {
            self.serve(jobs);
            while let Some(purge) = self.later.pop_front() {
                self.purge(purge);
            }
        }
    }

    /// Asks for a checkpoint now and then. One that is asked for while another is at work is done
    /// with the next.
    fn note(&mut self, writes: usize) {
        self.written = self.written.saturating_add(writes);
        if self.written >= CHECKPOINT {
            self.written = 0;
            let _asked = self.checkpoint.try_send(());
        }
    }

    fn serve(&mut self, writes: Vec<Write>) {
        self.note(writes.len());
        let mut group = Vec::with_capacity(writes.len());
        for write in writes {
            match write {
                Write::Purge(job) if !job.answer.is_closed() => self.later.push_back(job),
                Write::Shared(job) if !job.is_given_up() => group.push(job),
                Write::Purge(_) | Write::Shared(_) => {}
            }
        }
        match self.together(&mut group) {
            Together::Written => group.into_iter().for_each(|job| job.finish(Ok(()))),
            Together::Refused(error) => {
                for job in group {
                    job.finish(Err(error.shared()));
                }
                if matches!(error, SqliteError::Busy) {
                    self.give_up([]);
                }
            }
            Together::Apart => self.apart(group),
        }
    }

    /// Runs several writes in one transaction.
    fn together(&self, group: &mut [Box<dyn Job>]) -> Together {
        if group.len() < 2 {
            return Together::Apart;
        }
        self.in_turn(|| Ok(self.transaction(group)?)).unwrap_or_else(Together::Refused)
    }

    /// An error: it could not begin or not end.
    fn transaction(&self, group: &mut [Box<dyn Job>]) -> rusqlite::Result<Together> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let done = match group.iter_mut().try_for_each(|job| job.run(&self.connection, &self.sql)) {
            Ok(()) => self.connection.execute_batch("COMMIT").map(|()| Together::Written),
            Err(_) => Ok(Together::Apart),
        };
        // After some errors SQLite has undone the transaction by itself.
        if !self.connection.is_autocommit() {
            drop(self.connection.execute_batch("ROLLBACK"));
        }
        done
    }

    /// Runs each write by itself, so that each gets its own answer.
    fn apart(&mut self, group: Vec<Box<dyn Job>>) {
        let mut jobs = group.into_iter();
        while let Some(mut job) = jobs.next() {
            let done = self.in_turn(|| job.run(&self.connection, &self.sql));
            let busy = matches!(done, Err(SqliteError::Busy));
            job.finish(done);
            if busy {
                return self.give_up(jobs);
            }
        }
    }

    /// Somebody else has kept the lock for the whole time-out. Whatever was taken from the queue
    /// before has waited as long, purges too.
    fn give_up(&mut self, jobs: impl IntoIterator<Item = Box<dyn Job>>) {
        jobs.into_iter().for_each(|job| job.finish(Err(SqliteError::Busy)));
        self.later.drain(..).for_each(|purge| purge.finish(Err(SqliteError::Busy)));
    }

    /// Deletes slice by slice, with a group of other writes after each, so that nobody waits for a
    /// whole batch.
    fn purge(&mut self, job: PurgeJob) {
        let (mut left, mut deleted) = (job.purge.at_most, 0_u64);
        let answer = loop {
            let asked = left.min(SLICE);
            let started = Instant::now();
            match self.in_turn(|| job.purge.slice(asked, &self.connection, &self.sql)) {
                Ok(number) => {
                    deleted = deleted.saturating_add(number);
                    left = left.saturating_sub(asked);
                    if number < u64::from(asked) || left == 0 {
                        break Ok(deleted);
                    }
                }
                // What earlier slices deleted stays deleted; the caller asks again.
                Err(error) => break Err(error),
            }
            self.note(SLICE as usize);
            // The disk belongs to the others for as long, and longer if they have more to do: each
            // gets its turn before the next slice.
            let rested =
                Instant::now().checked_add(started.elapsed().min(LONGEST_REST)).unwrap_or(started);
            while let Some(others) = self.queue.take_until(GROUP, rested) {
                self.serve(others);
                if Instant::now() >= rested {
                    break;
                }
            }
        };
        let busy = matches!(answer, Err(SqliteError::Busy));
        job.finish(answer);
        if busy {
            self.give_up([]);
        }
    }
}

#[cfg(test)]
mod tests;
