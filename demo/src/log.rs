//! What happened, for the page of the event log.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use countersign::event::{Event, EventSink};

/// How many events are kept.
const KEPT: usize = 200;

/// The newest events. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<VecDeque<Event>>>);

impl Log {
    /// The newest first.
    pub(crate) fn newest(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }
}

impl EventSink for Log {
    fn emit(&self, event: &Event) {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        events.push_back(event.clone());
        while events.len() > KEPT {
            events.pop_front();
        }
    }
}
