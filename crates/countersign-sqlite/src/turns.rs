//! Turns of the handles that write to one file, in this process and in others.
//!
//! SQLite lets any handle write that comes at the right moment, and a handle that has just written
//! comes at the right moment more often than one that sleeps: it was measured to be first hundreds
//! of times in a row. So each handle goes through one of two rooms, which are lock files beside the
//! database. Newcomers step into the open room. Nobody writes from there until the other room is
//! empty; then the rooms change places, and everybody in the first one writes once. A handle that
//! has written leaves, and is a newcomer if it has more. Of `n` handles none is overtaken more than
//! `2(n - 1)` times by commits of the others.
//!
//! A lock ends with the process that holds it, so a crash leaves nobody in a room. Which room is
//! open stands in the first byte of the first file. Either value is right at any time: only
//! fairness rests on these files, and SQLite's own lock is taken all the same.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::SqliteError;
use crate::schema::patience;
use rooms::{Room, Rooms};

/// How long nothing may happen in front of a handle that waits. A handle that has its turn then,
/// and does not write, may have been stopped.
const STILL: Duration = Duration::from_secs(1);

/// How long nobody is waited for after that.
const IGNORED: Duration = Duration::from_secs(2);

/// The turns of one handle.
#[derive(Debug)]
pub(crate) struct Turns {
    rooms: Rooms,
    ignored_until: Cell<Option<Instant>>,
}

impl Turns {
    /// At this database file, which exists.
    pub(crate) fn at(path: &Path) -> Result<Self, SqliteError> {
        Ok(Self { rooms: Rooms::at(path)?, ignored_until: Cell::new(None) })
    }

    /// Waits until this handle may ask SQLite for its lock. `free` says whether nobody has it.
    ///
    /// The patience of this thread has begun before. At most half of it is spent here: whatever
    /// keeps the others, the other half is for SQLite's lock. Where the rooms can't be used, as on
    /// a file system without such locks, nobody waits.
    pub(crate) fn wait(&self, free: impl Fn() -> bool) -> Turn<'_> {
        if self.ignored_until.get().is_some_and(|until| Instant::now() < until) {
            return Turn(None);
        }
        self.rooms.enter().and_then(|room| self.wait_in(room, free)).unwrap_or(Turn(None))
    }

    /// The same in a room that was entered before.
    fn wait_in(&self, room: Room, free: impl Fn() -> bool) -> io::Result<Turn<'_>> {
        let turn = Turn(Some((self, room)));
        let (mut seen, mut since) = (None, Instant::now());
        while !self.rooms.may_go(room)? {
            let progress = self.rooms.progress()?;
            if seen != Some(progress) {
                (seen, since) = (Some(progress), Instant::now());
            }
            if since.elapsed() >= STILL {
                if free() {
                    self.ignored_until.set(Instant::now().checked_add(IGNORED));
                    return Ok(Turn(None));
                }
                since = Instant::now();
            }
            if !patience::pause_within_half() {
                break;
            }
        }
        Ok(turn)
    }
}

/// The turn of a handle, which ends when it is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Turn<'a>(Option<(&'a Turns, Room)>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some((turns, room)) = self.0 {
            // A lock that can't be given back ends with the handle.
            drop(turns.rooms.leave(room));
        }
    }
}

#[cfg(all(test, unix))]
mod tests;

#[cfg(unix)]
mod rooms {
    use std::fs::{File, OpenOptions, Permissions};
    use std::io;
    use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
    use std::path::Path;

    use rustix::fs::{FlockOperation, flock};

    use crate::error::SqliteError;
    use crate::file;

    /// One of the two rooms.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum Room {
        A,
        B,
    }

    impl Room {
        const fn other(self) -> Self {
            match self {
                Self::A => Self::B,
                Self::B => Self::A,
            }
        }
    }

    /// The rooms as one handle has them: its own open files, so that its locks are its own.
    #[derive(Debug)]
    pub(super) struct Rooms {
        a: File,
        b: File,
    }

    impl Rooms {
        pub(super) fn at(path: &Path) -> Result<Self, SqliteError> {
            let mode = path.metadata()?.permissions().mode() & 0o666;
            let open = |ending| open(&file::beside(path, ending), mode);
            Ok(Self { a: open("-turns0")?, b: open("-turns1")? })
        }

        const fn file(&self, room: Room) -> &File {
            match room {
                Room::A => &self.a,
                Room::B => &self.b,
            }
        }

        /// Steps into the open room.
        pub(super) fn enter(&self) -> io::Result<Room> {
            self.enter_after(|| ())
        }

        /// The same, with something that happens between the look and the step.
        pub(super) fn enter_after(&self, meanwhile: impl Fn()) -> io::Result<Room> {
            loop {
                let room = self.open_room()?;
                meanwhile();
                // Somebody who looks whether it is empty holds the whole room for a moment.
                if self.lock(room, FlockOperation::NonBlockingLockShared)? {
                    // The rooms may have changed places meanwhile. To stay would be to overtake.
                    if self.open_room()? == room {
                        return Ok(room);
                    }
                    self.lock(room, FlockOperation::Unlock)?;
                }
                std::thread::yield_now();
            }
        }

        /// Whether those in this room may write: the rooms have changed places since, or do now.
        pub(super) fn may_go(&self, room: Room) -> io::Result<bool> {
            if self.open_room()? != room {
                return Ok(true);
            }
            if !self.lock(room.other(), FlockOperation::NonBlockingLockExclusive)? {
                return Ok(false);
            }
            // Nobody is in the other room, and nobody else can change the byte now.
            let changed = if self.open_room()? == room { self.open(room.other()) } else { Ok(()) };
            self.lock(room.other(), FlockOperation::Unlock)?;
            changed.map(|()| true)
        }

        pub(super) fn leave(&self, room: Room) -> io::Result<()> {
            let [_, count] = self.progress()?;
            self.a.write_all_at(&[count.wrapping_add(1)], 1)?;
            self.lock(room, FlockOperation::Unlock).map(drop)
        }

        /// What changes whenever the rooms change places or somebody has written.
        pub(super) fn progress(&self) -> io::Result<[u8; 2]> {
            let mut bytes = [0; 2];
            // A new file is empty.
            self.a.read_at(&mut bytes, 0)?;
            Ok(bytes)
        }

        fn open_room(&self) -> io::Result<Room> {
            let [open, _] = self.progress()?;
            Ok(if open == 0 { Room::A } else { Room::B })
        }

        fn open(&self, room: Room) -> io::Result<()> {
            self.a.write_all_at(&[u8::from(room == Room::B)], 0)
        }

        /// Whether the lock was to be had, or was given back.
        fn lock(&self, room: Room, operation: FlockOperation) -> io::Result<bool> {
            match flock(self.file(room), operation) {
                Ok(()) => Ok(true),
                Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
                Err(error) => Err(error.into()),
            }
        }
    }

    /// With the permissions of the database file, as SQLite gives them to the files of its own.
    fn open(path: &Path, mode: u32) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        match options.clone().create_new(true).mode(mode).open(path) {
            Ok(file) => {
                file.set_permissions(Permissions::from_mode(mode))?;
                Ok(file)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(path),
            Err(error) => Err(error),
        }
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    }
}

/// Elsewhere nobody waits for a turn: the handles meet at SQLite's lock.
#[cfg(not(unix))]
mod rooms {
    use std::io;
    use std::path::Path;

    use crate::error::SqliteError;

    #[derive(Clone, Copy, Debug)]
    pub(super) struct Room;

    #[derive(Debug)]
    pub(super) struct Rooms;

    impl Rooms {
        pub(super) fn at(_: &Path) -> Result<Self, SqliteError> {
            Ok(Self)
        }

        pub(super) fn enter(&self) -> io::Result<Room> {
            Ok(Room)
        }

        pub(super) fn may_go(&self, _: Room) -> io::Result<bool> {
            Ok(true)
        }

        pub(super) fn leave(&self, _: Room) -> io::Result<()> {
            Ok(())
        }

        pub(super) fn progress(&self) -> io::Result<[u8; 2]> {
            Ok([0; 2])
        }
    }
}
