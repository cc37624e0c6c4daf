//! What happened: for the page of the event log, and for a file.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use countersign::event::{Event, EventSink};

/// How many events the page shows.
const KEPT: usize = 200;

/// The newest events. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Log(Arc<Mutex<(VecDeque<Event>, Option<File>)>>);

impl Log {
    pub(crate) fn new(file: Option<File>) -> Self {
        Self(Arc::new(Mutex::new((VecDeque::new(), file))))
    }

    /// The newest first.
    pub(crate) fn newest(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.iter().rev().cloned().collect()
    }
}

impl EventSink for Log {
    fn emit(&self, event: &Event) {
        let (events, file) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(file), Ok(line)) = (file, serde_json::to_string(event))
            && let Err(error) = writeln!(file, "{line}")
        {
            eprintln!("the file of events: {error}");
        }
        events.push_back(event.clone());
        while events.len() > KEPT {
            events.pop_front();
        }
    }
}
