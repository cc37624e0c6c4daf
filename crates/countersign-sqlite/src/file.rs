//! The file as others see it: how it is made, and whether it is still the one at its path.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::Connection;

use crate::error::SqliteError;

/// The endings of the files that SQLite keeps open while a database is in use.
#[cfg(unix)]
const KEPT_OPEN: [&str; 3] = ["", "-wal", "-shm"];

/// The path of a file whose name continues that of the database.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(ending);
    PathBuf::from(name)
}

/// A new file without its name: it has another one beside it, which goes away with this.
#[derive(Debug)]
pub(crate) struct New(PathBuf);

/// An empty file, which will have this path. Only its owner can read it.
pub(crate) fn new_beside(path: &Path) -> io::Result<New> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let new = beside(path, &format!("-new-{}-{number}", std::process::id()));
    open_new(&new)?;
    Ok(New(new))
}

impl New {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Gives it its name. A file that has this name already stays.
    pub(crate) fn named(self, path: &Path) -> io::Result<()> {
        std::fs::hard_link(&self.0, path)
    }

    /// The same where the file system has no second names: then a file may be lost that gets the
    /// name at the same moment.
    pub(crate) fn named_anyhow(self, path: &Path) -> io::Result<()> {
        match std::fs::hard_link(&self.0, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                std::fs::rename(&self.0, path)
            }
            named => named,
        }
    }
}

impl Drop for New {
    fn drop(&mut self) {
        // Whatever came of it, the first name has no use any more.
        drop(std::fs::remove_file(&self.0));
    }
}

/// Copies the database as it is at this moment to a new file, which has its name when it is whole
/// and on the disk.
pub(crate) fn back_up(connection: &Connection, path: &Path) -> Result<(), SqliteError> {
    let exists = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => SqliteError::Exists,
        _ => SqliteError::CannotOpen,
    };
    if path.symlink_metadata().is_ok() {
        return Err(SqliteError::Exists);
    }
    let new = new_beside(path).map_err(exists)?;
    let name = new.path().to_str().ok_or(SqliteError::CannotOpen)?;
    connection.execute("VACUUM INTO ?1", [name])?;
    // Nobody else knows the file yet, so nobody has locks on it that this would end.
    File::open(new.path())?.sync_all()?;
    new.named_anyhow(path).map_err(exists)?;
    #[cfg(unix)]
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

/// The path as SQLite is to take it: absolute, so that no name means anything but a file.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, SqliteError> {
    let special = path.to_str().is_some_and(|name| name == ":memory:" || name.starts_with("file:"));
    if special {
        return Err(SqliteError::CannotOpen);
    }
    std::path::absolute(path).map_err(|_| SqliteError::CannotOpen)
}

/// A database file that is open, and the files that belong to it.
#[derive(Debug)]
pub(crate) struct Place {
    #[cfg(unix)]
    files: [(PathBuf, unix::Mark); 3],
}

#[cfg(unix)]
use unix::open_new;
#[cfg(unix)]
pub(crate) use unix::{make, restrict};

#[cfg(unix)]
mod unix {
    use std::fs::{OpenOptions, Permissions};
    use std::io;
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
    use std::path::Path;

    use super::{KEPT_OPEN, Place, beside, new_beside};
    use crate::error::SqliteError;

    /// The permissions of a new file. SQLite gives those of the database to the files beside it.
    const PRIVATE: u32 = 0o600;

    /// What tells a file from every other one: device and inode. A file that is open keeps its
    /// inode from being used again.
    pub(super) type Mark = (u64, u64);

    fn mark(path: &Path) -> Result<Mark, SqliteError> {
        let metadata = path.metadata().map_err(|_| SqliteError::Moved)?;
        Ok((metadata.dev(), metadata.ino()))
    }

    impl Place {
        /// Of a database that was just opened at this path, and read once. `before` is what stood
        /// at the path before that.
        pub(crate) fn of(path: &Path, before: Option<(u64, u64)>) -> Result<Self, SqliteError> {
            let real = path.canonicalize().map_err(|_| SqliteError::Moved)?;
            let [_, log, index] = KEPT_OPEN.map(|ending| beside(&real, ending));
            let files = [path.to_owned(), log, index];
            let [database, log, index] = files.map(|path| mark(&path).map(|mark| (path, mark)));
            let files = [database?, log?, index?];
            let changed = before
                .is_some_and(|before| files.first().is_some_and(|(_, found)| *found != before));
            if changed { Err(SqliteError::Moved) } else { Ok(Self { files }) }
        }

        /// What stands at a path, if anything does.
        pub(crate) fn before(path: &Path) -> Option<(u64, u64)> {
            mark(path).ok()
        }

        /// Whether the files at their paths are still those that are open. What was read from
        /// others may be old, and what was written to them may be gone.
        pub(crate) fn check(&self) -> Result<(), SqliteError> {
            for (path, opened) in &self.files {
                if mark(path)? != *opened {
                    return Err(SqliteError::Moved);
                }
            }
            Ok(())
        }
    }

    /// Makes an empty file that nobody but its owner can read, unless there is one. `false`: SQLite
    /// has to make it, or to say why it can't.
    ///
    /// It is made under another name and closed first. To close a file ends all locks that the
    /// process has on it, and other threads may open this one as soon as it has its name.
    pub(crate) fn make(path: &Path) -> bool {
        let Ok(new) = new_beside(path) else { return false };
        match new.named(path) {
            Ok(()) => true,
            // A link that leads nowhere is made whole by SQLite.
            Err(error) => error.kind() == io::ErrorKind::AlreadyExists && !path.is_symlink(),
        }
    }

    /// The permissions of a new file, set whatever the process's mask is.
    pub(super) fn open_new(path: &Path) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path)?;
        file.set_permissions(Permissions::from_mode(PRIVATE))
    }

    /// Takes from everybody but its owner the right to read a file that SQLite has just made.
    pub(crate) fn restrict(path: &Path) -> Result<(), SqliteError> {
        Ok(std::fs::set_permissions(path, Permissions::from_mode(PRIVATE))?)
    }
}

#[cfg(not(unix))]
mod elsewhere {
    use std::fs::OpenOptions;
    use std::io;
    use std::path::Path;

    use super::Place;
    use crate::error::SqliteError;

    impl Place {
        pub(crate) fn of(_: &Path, _: Option<(u64, u64)>) -> Result<Self, SqliteError> {
            Ok(Self {})
        }

        pub(crate) fn before(_: &Path) -> Option<(u64, u64)> {
            None
        }

        pub(crate) fn check(&self) -> Result<(), SqliteError> {
            Ok(())
        }
    }

    pub(crate) fn make(_: &Path) -> bool {
        true
    }

    pub(super) fn open_new(path: &Path) -> io::Result<()> {
        OpenOptions::new().write(true).create_new(true).open(path).map(drop)
    }

    pub(crate) fn restrict(_: &Path) -> Result<(), SqliteError> {
        Ok(())
    }
}

#[cfg(not(unix))]
use elsewhere::open_new;
#[cfg(not(unix))]
pub(crate) use elsewhere::{make, restrict};
