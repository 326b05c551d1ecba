//! The part of the log that readers may still need: from the oldest cursor on, and calls from their beginning.

use crate::event::{Event, What};
use crate::ids::CallId;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;

/// From so many events on it is looked at what is needed no more.
const MANY: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Shelf {
    events: VecDeque<Arc<Event>>,
    /// The events of calls.
    calls: BTreeMap<CallId, OfCall>,
    /// With so many events it is looked at the next time.
    many: usize,
}

/// One call's events, by their numbers, and whether it has ended.
#[derive(Debug, Default)]
struct OfCall {
    events: Vec<u64>,
    ended: bool,
}

impl Shelf {
    pub fn keep(&mut self, event: &Arc<Event>) {
        if let Some(call) = event.call {
            if matches!(event.what, What::CallArrived { .. }) {
                self.calls.insert(call, OfCall::default());
            }
            if let Some(of) = self.calls.get_mut(&call) {
                of.events.push(event.seq);
                of.ended |= matches!(event.what, What::CallEnded { .. });
            }
        }
        self.events.push_back(Arc::clone(event));
    }

    /// What follows this event.
    pub fn after(&self, seq: u64) -> impl Iterator<Item = &Event> {
        self.events.range(self.from(seq + 1)..).map(|event| &**event)
    }

    pub fn of_call(&self, call: CallId) -> Result<impl Iterator<Item = &Event>, Infallible> {
        let numbers = self.calls.get(&call).map_or(&[][..], |of| &of.events);
        Ok(numbers.iter().filter_map(|number| self.events.get(self.from(*number)).map(|event| &**event)))
    }

    /// The place of the first event that has this number or a higher one: in a log without gaps it is known.
    fn from(&self, seq: u64) -> usize {
        let first = self.events.front().map_or(seq, |event| event.seq);
        let place = seq.saturating_sub(first) as usize;
        match self.events.get(place) {
            Some(event) if event.seq == seq => place,
            _ => self.events.partition_point(|event| event.seq < seq),
        }
    }

    /// Nobody goes back further than behind the event that `oldest` names.
    pub fn forget(&mut self, oldest: impl FnOnce() -> u64) {
        if self.events.len() < self.many.max(MANY) {
            return;
        }
        let oldest = oldest();
        self.calls.retain(|_, of| !of.ended || of.events.last().is_some_and(|last| *last > oldest));
        let first = self.calls.values().filter_map(|of| of.events.first().copied()).min();
        let needed = first.unwrap_or(u64::MAX).min(oldest + 1);
        self.events.drain(..self.from(needed));
        self.many = self.events.len() * 2;
    }
}
