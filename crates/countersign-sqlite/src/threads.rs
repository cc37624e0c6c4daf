//! The threads of a store on a file: some that read, one that writes, and one that tidies up behind it.
//!
//! SQLite has one writer at a time, so one thread is enough for it. Whatever waits when that thread is free is written in one transaction, and
//! acknowledged when that is on the disk: one wait for the disk for all of them.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::calls::{Answer, Read, SLICE, Statements, Write};
use crate::error::SqliteError;

/// How many writes share a transaction at most.
const GROUP: usize = 64;

/// How long a purge rests at most between two slices: where a disk is slow, a batch is to end all the same.
const LONGEST_REST: Duration = Duration::from_millis(50);

/// A call on its way to a thread, with the way back.
#[derive(Debug)]
pub(crate) struct Job<C> {
    pub(crate) call: C,
    pub(crate) answer: oneshot::Sender<Result<Answer, SqliteError>>,
}

impl<C> Job<C> {
    fn finish(self, answer: Result<Answer, SqliteError>) {
        // Whoever asked may have gone.
        drop(self.answer.send(answer));
    }
}

/// Calls that wait for a thread.
#[derive(Debug)]
pub(crate) struct Queue<C> {
    waiting: Mutex<Waiting<C>>,
    arrived: Condvar,
}

#[derive(Debug)]
struct Waiting<C> {
    jobs: VecDeque<Job<C>>,
    closed: bool,
}

impl<C> Queue<C> {
    pub(crate) fn new() -> Arc<Self> {
        let waiting = Waiting { jobs: VecDeque::new(), closed: false };
        Arc::new(Self { waiting: Mutex::new(waiting), arrived: Condvar::new() })
    }

    pub(crate) fn push(&self, job: Job<C>) {
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

    /// Ends it together with the thread that serves it, however that ends: nobody must wait for an answer that can't come.
    pub(crate) fn ending(self: &Arc<Self>) -> impl Drop + use<C> {
        struct Ending<C>(Arc<Queue<C>>);

        impl<C> Drop for Ending<C> {
            fn drop(&mut self) {
                self.0.close();
                self.0.waiting().jobs.clear();
            }
        }

        Ending(Arc::clone(self))
    }

    /// Up to `at_most` jobs, waiting for the first one. `None`: closed and empty.
    fn take(&self, at_most: usize) -> Option<Vec<Job<C>>> {
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
    fn take_until(&self, at_most: usize, until: Instant) -> Option<Vec<Job<C>>> {
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
            waiting = self.arrived.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<C>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The work of a thread that reads.
pub(crate) fn read(connection: &Connection, sql: &Statements, queue: &Arc<Queue<Read>>) {
    let _ending = queue.ending();
    while let Some(jobs) = queue.take(1) {
        for job in jobs {
            if !job.answer.is_closed() {
                let answer = job.call.run(connection, sql);
                job.finish(answer);
            }
        }
    }
}

/// The work of the thread that copies what was written from the write-ahead log into the database. A writer would do so by itself, within a commit
/// of somebody who then waits for it; this does it beside the writer.
pub(crate) fn checkpoint(connection: &Connection, wanted: &Receiver<()>) {
    while wanted.recv().is_ok() {
        // What could not be copied now is copied the next time.
        drop(connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())));
    }
}

/// After how many writes a checkpoint is asked for.
const CHECKPOINT: usize = 200;

/// What came of several writes in one transaction.
enum Together {
    Written(Vec<Answer>),
    /// It could not begin or not end, which is no fault of any of them. Nothing was written.
    Refused(rusqlite::Error),
    /// There are not several, or one of them failed. Nothing was written.
    Apart,
}

/// The work of the thread that writes.
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) sql: Arc<Statements>,
    pub(crate) queue: Arc<Queue<Write>>,
    /// Purges that arrived while another one was at work.
    later: VecDeque<Job<Write>>,
    checkpoint: SyncSender<()>,
    written: usize,
}

impl Writer {
    pub(crate) fn new(
        connection: Connection,
        sql: Arc<Statements>,
        queue: Arc<Queue<Write>>,
        checkpoint: SyncSender<()>,
    ) -> Self {
        Self { connection, sql, queue, later: VecDeque::new(), checkpoint, written: 0 }
    }

    pub(crate) fn run(mut self) {
        let _ending = self.queue.ending();
        while let Some(jobs) = self.queue.take(GROUP) {
            self.serve(jobs);
            while let Some(purge) = self.later.pop_front() {
                self.purge(purge);
            }
        }
    }

    /// Asks for a checkpoint now and then. One that is asked for while another is at work is done with the next.
    fn note(&mut self, writes: usize) {
        self.written = self.written.saturating_add(writes);
        if self.written >= CHECKPOINT {
            self.written = 0;
            let _asked = self.checkpoint.try_send(());
        }
    }

    fn serve(&mut self, jobs: Vec<Job<Write>>) {
        self.note(jobs.len());
        let mut group = Vec::with_capacity(jobs.len());
        for job in jobs {
            if job.answer.is_closed() {
                continue;
            }
            match job.call {
                Write::PurgeSlice { .. } => self.later.push_back(job),
                _ => group.push(job),
            }
        }
        match self.together(&group) {
            Together::Written(answers) => {
                group.into_iter().zip(answers).for_each(|(job, answer)| job.finish(Ok(answer)));
            }
            Together::Refused(error) => {
                for job in group {
                    job.finish(Err(SqliteError::shared(&error)));
                }
                if matches!(SqliteError::shared(&error), SqliteError::Busy) {
                    self.give_up([]);
                }
            }
            Together::Apart => self.apart(group),
        }
    }

    /// Runs several writes in one transaction.
    fn together(&self, group: &[Job<Write>]) -> Together {
        if group.len() < 2 {
            return Together::Apart;
        }
        if let Err(error) = self.connection.execute_batch("BEGIN IMMEDIATE") {
            return Together::Refused(error);
        }
        let answers: Result<Vec<_>, _> = group.iter().map(|job| job.call.run(&self.connection, &self.sql)).collect();
        let failed = match answers {
            Ok(answers) => match self.connection.execute_batch("COMMIT") {
                Ok(()) => return Together::Written(answers),
                Err(error) => Together::Refused(error),
            },
            Err(_) => Together::Apart,
        };
        // After some errors SQLite has undone the transaction by itself.
        if !self.connection.is_autocommit() {
            drop(self.connection.execute_batch("ROLLBACK"));
        }
        failed
    }

    /// Runs each write by itself, so that each gets its own answer.
    fn apart(&mut self, group: Vec<Job<Write>>) {
        let mut jobs = group.into_iter();
        while let Some(job) = jobs.next() {
            let answer = job.call.run(&self.connection, &self.sql);
            let busy = matches!(answer, Err(SqliteError::Busy));
            job.finish(answer);
            if busy {
                return self.give_up(jobs);
            }
        }
    }

    /// Somebody else has kept the lock for the whole time-out. Whatever was taken from the queue before has waited as long, purges too.
    fn give_up(&mut self, jobs: impl IntoIterator<Item = Job<Write>>) {
        for job in jobs.into_iter().chain(self.later.drain(..)) {
            job.finish(Err(SqliteError::Busy));
        }
    }

    /// Deletes slice by slice, with a group of other writes after each, so that nobody waits for a whole batch.
    fn purge(&mut self, job: Job<Write>) {
        let Write::PurgeSlice { tenant, below, at_most } = &job.call else { return };
        let (tenant, below, mut left) = (tenant.clone(), *below, *at_most);
        let mut deleted: u64 = 0;
        let answer = loop {
            let asked = left.min(SLICE);
            let started = Instant::now();
            let slice = Write::PurgeSlice { tenant: tenant.clone(), below, at_most: asked };
            match slice.run(&self.connection, &self.sql) {
                Ok(Answer::Number(number)) => {
                    deleted = deleted.saturating_add(number);
                    left = left.saturating_sub(asked);
                    if number < u64::from(asked) || left == 0 {
                        break Ok(Answer::Number(deleted));
                    }
                }
                // What earlier slices deleted stays deleted; the caller asks again.
                Err(error) => break Err(error),
                Ok(_) => break Err(SqliteError::Closed),
            }
            self.note(SLICE as usize);
            // The disk belongs to the others for as long, and longer if they have more to do: each gets its turn before the next slice.
            let rested = Instant::now().checked_add(started.elapsed().min(LONGEST_REST)).unwrap_or(started);
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
