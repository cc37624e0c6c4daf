//! How a file is opened.

use std::path::Path;
use std::time::Duration;

use crate::error::SqliteError;
use crate::store::SqliteFactors;

/// What survives a loss of power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// Everything that was acknowledged (`PRAGMA synchronous = FULL`). The default, and the only
    /// one that keeps the contract in full.
    #[default]
    PowerLoss,
    /// Everything that was acknowledged survives the end of the process, but the last moments may
    /// be missing after a loss of power or a crash of the operating system (`PRAGMA synchronous =
    /// NORMAL`). Then wrong guesses of these moments are forgotten, and a code that was used in
    /// them works again until it expires. About eight times faster where the disk is slow to
    /// confirm.
    ProcessCrash,
}

/// How a file is opened. Made by [`SqliteFactors::options`].
#[derive(Clone, Debug)]
#[must_use]
pub struct SqliteOptions {
    pub(crate) prefix: String,
    pub(crate) durability: Durability,
    pub(crate) busy_timeout: Duration,
    pub(crate) readers: usize,
    pub(crate) create_if_missing: bool,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            prefix: "countersign_".to_owned(),
            durability: Durability::default(),
            busy_timeout: Duration::from_secs(5),
            readers: 2,
            create_if_missing: true,
        }
    }
}

impl SqliteOptions {
    /// What the names of the tables begin with, where the file also holds tables of the
    /// application. `countersign_` by default.
    pub fn table_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// What survives a loss of power. Everything by default.
    pub const fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How long a write waits for other processes that write to the same file; after that it fails
    /// with [`SqliteError::Busy`]. 5 s by default.
    ///
    /// The handles of this store take turns, so none waits for more than two commits of each other
    /// one. A disk that takes seconds for one, an application's own transaction, or other programs,
    /// can still use up the time.
    ///
    /// Up to 64 writes wait together, and fail together. Those that arrive meanwhile, or are more
    /// than that, wait after them.
    pub const fn busy_timeout(mut self, time: Duration) -> Self {
        self.busy_timeout = time;
        self
    }

    /// How many threads read for logins, from 1 to 64, beside the one that writes and the one that
    /// counts and lists. 2 by default.
    pub const fn readers(mut self, number: usize) -> Self {
        self.readers = number;
        self
    }

    /// Whether a file that does not exist is made, and tables where there are none. `true` by
    /// default.
    ///
    /// Once an application is set up, `false` is the safer choice: an empty database knows of no
    /// tenant that switched the second factor on, so a wrong path, a wrong prefix or a disk that is
    /// not mounted would switch it off for everybody. With `false` they are
    /// [`Missing`](SqliteError::Missing) and [`MissingTable`](SqliteError::MissingTable), and
    /// nothing is changed. Tables of an earlier version are migrated all the same.
    pub const fn create_if_missing(mut self, create: bool) -> Self {
        self.create_if_missing = create;
        self
    }

    /// Opens the file, and makes or migrates the tables. Any number of processes may do so at the
    /// same time.
    ///
    /// # Errors
    ///
    /// [`SqliteError`] says why it can't be used.
    pub async fn open(self, path: impl AsRef<Path>) -> Result<SqliteFactors, SqliteError> {
        SqliteFactors::open_file(self.checked()?, path.as_ref()).await
    }

    fn checked(mut self) -> Result<Self, SqliteError> {
        let prefix = &self.prefix;
        let identifier = prefix.len() <= 40
            && prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !prefix.starts_with(|first: char| first.is_ascii_digit())
            && !prefix.to_ascii_lowercase().starts_with("sqlite_");
        self.readers = self.readers.clamp(1, 64);
        if identifier { Ok(self) } else { Err(SqliteError::BadPrefix) }
    }
}
