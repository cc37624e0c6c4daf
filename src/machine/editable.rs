//! A record that knows whether it has to be written.

use std::ops::Deref;

use crate::error::Error;
use crate::machine::record::Record;

/// The record of a step. It is read like any other, and changed only through its two methods, each
/// of which decides whether the change is written.
pub(super) struct Editable {
    record: Record,
    edited: bool,
}

impl Editable {
    pub(super) const fn new(record: Record) -> Self {
        Self { record, edited: false }
    }

    /// The record, to be changed and written.
    pub(super) const fn edit(&mut self) -> &mut Record {
        self.edited = true;
        &mut self.record
    }

    /// Changes the record, and writes it if the change says so. What is not worth a write of its
    /// own is written with the next one that is.
    pub(super) fn edit_if(&mut self, change: impl FnOnce(&mut Record) -> bool) {
        self.edited |= change(&mut self.record);
    }

    /// The document to write.
    pub(super) fn encode(&mut self) -> Result<String, Error> {
        self.record.encode()
    }

    pub(super) const fn edited(&self) -> bool {
        self.edited
    }
}

impl Deref for Editable {
    type Target = Record;
    fn deref(&self) -> &Record {
        &self.record
    }
}
