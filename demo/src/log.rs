//! What happened: for the page of the event log, and for a file.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use countersign::TenantId;
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

    /// A tenant's, the newest first.
    pub(crate) fn of(&self, tenant: &TenantId) -> Vec<Event> {
        let (events, _) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().rev().filter(|event| event.tenant == *tenant).cloned().collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_a_line_in_the_file_however_many_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let log = Log::new(Some(File::create(&path).unwrap()));
        let event = r#"{"at":"2027-01-16T08:03:00Z","tenant":"acme","event":"login_refused",
            "reason":"suspended"}"#;
        let event: Event = serde_json::from_str(event).unwrap();
        for _ in 0..=KEPT {
            log.emit(&event);
        }
        assert_eq!(log.of(&event.tenant).len(), KEPT);
        let written = std::fs::read_to_string(&path).unwrap();
        let read = written.lines().map(|line| serde_json::from_str::<Event>(line).unwrap());
        assert_eq!(read.filter(|read| *read == event).count(), KEPT + 1);
    }
}
