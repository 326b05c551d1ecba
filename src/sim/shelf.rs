//! The part of the log that readers may still need: from the oldest cursor on, and calls from their beginning.

use crate::event::{Event, What};
use crate::ids::CallId;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;

/// From so many events on it is looked at what is needed no more.
const MANY: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Shelf {
    events: VecDeque<Event>,
    /// The first and the last event of calls: none while they run.
    calls: BTreeMap<CallId, (u64, Option<u64>)>,
    /// With so many events it is looked at the next time.
    many: usize,
}

impl Shelf {
    pub fn keep(&mut self, event: &Event) {
        if let Some(call) = event.call {
            match event.what {
                What::CallArrived { .. } => _ = self.calls.insert(call, (event.seq, None)),
                What::CallEnded { .. } => {
                    self.calls.get_mut(&call).into_iter().for_each(|of| of.1 = Some(event.seq));
                }
                _ => {}
            }
        }
        self.events.push_back(event.clone());
    }

    /// What follows this event.
    pub fn after(&self, seq: u64) -> impl Iterator<Item = &Event> {
        self.events.range(self.events.partition_point(|event| event.seq <= seq)..)
    }

    pub fn of_call(&self, call: CallId) -> Result<Vec<Event>, Infallible> {
        let first = self.calls.get(&call).map_or(u64::MAX, |(first, _)| *first);
        Ok(self.after(first.saturating_sub(1)).filter(|event| event.call == Some(call)).cloned().collect())
    }

    /// Nobody goes back further than behind this event.
    pub fn forget(&mut self, oldest: u64) {
        if self.events.len() < self.many.max(MANY) {
            return;
        }
        self.calls.retain(|_, (_, last)| last.is_none_or(|last| last > oldest));
        let needed = self.calls.values().map(|(first, _)| *first).min().unwrap_or(u64::MAX).min(oldest + 1);
        self.events.drain(..self.events.partition_point(|event| event.seq < needed));
        self.many = self.events.len() * 2;
    }
}
