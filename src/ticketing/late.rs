//! What agents note of a call long after its end: a mandatory code may take an hour, and a call is remembered for a minute.
//!
//! The call is read again from the log, and only what was noted late is told of it, with the ticket that it has. Until that is
//! told a start begins there; if it is put aside meanwhile, it begins there again.

use super::Outbox;
use super::Output;
use crate::cti::View;
use crate::event::{Event, What};
use crate::ids::CallId;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default)]
pub(super) struct Late {
    /// Calls that are to be read again, with the first event that is to be told.
    calls: BTreeMap<CallId, u64>,
    /// A call is being read again, and what is read was told.
    told: bool,
    reading: bool,
}

impl Late {
    pub fn first_seq(&self) -> Option<u64> {
        self.calls.values().min().copied()
    }

    pub fn is_told(&self) -> bool {
        self.told
    }

    /// The first event that is to be told of a call that is to be read again for what was noted late.
    pub fn begins(&mut self, call: CallId) -> Option<u64> {
        self.calls.remove(&call)
    }
}

impl Outbox {
    /// Something of a call that is over and not remembered.
    pub(super) fn noted_late(&mut self, call: CallId, event: &Event) {
        let noted = matches!(event.what, What::DataAttached { .. } | What::Disposed { .. });
        if !noted || self.late.reading || self.aside.waits(call) || self.late.calls.contains_key(&call) {
            return;
        }
        // What was done of it is known until a start does not read this any more either.
        self.over.retain(|(_, of)| *of != call);
        self.late.calls.insert(call, event.seq);
        self.outputs.push_back(Output::Reread { call });
    }

    /// Reads a call again from its beginning; what lies before `first` was told.
    pub(super) fn reread_from(&mut self, first: u64, events: &[Event]) -> View {
        let (mut view, known) = (View::default(), self.next);
        self.late.reading = true;
        for event in events.iter().filter(|event| event.seq < known) {
            self.late.told = event.seq < first;
            self.take(&mut view, event);
        }
        (self.late.told, self.late.reading) = (false, false);
        view
    }
}
