//! One queue's numbers.

use super::families as f;
use super::family::Sample;
use super::times::Times;
use super::words::snake;
use crate::center::Queue;
use crate::event::{Cause, DivertReason};
use crate::records::service_level::{Counts, Formula};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Clone, Debug, Default)]
pub(super) struct QueueNumbers {
    /// From the configuration: an abandon before this is a short one.
    short_abandon: Duration,
    /// From the configuration: T of the service level.
    target: Duration,
    pub offered: u64,
    pub requeued: u64,
    answered: u64,
    answered_within: u64,
    abandoned: u64,
    abandoned_within: u64,
    abandoned_short: u64,
    lost: u64,
    diverted: BTreeMap<DivertReason, u64>,
    waits_answered: Times,
    waits_abandoned: Times,
    waits_diverted: Times,
    /// How much longer, and shorter, answered waits were than the flow had said.
    longer: Times,
    shorter: Times,
    pub talks: Times,
    pub wrap_ups: Times,
    pub handles: Times,
}

const DIVERSIONS: [DivertReason; 7] = [
    DivertReason::Full,
    DivertReason::MaxWait,
    DivertReason::Refused,
    DivertReason::Left,
    DivertReason::NoStaff,
    DivertReason::LongWait,
    DivertReason::NotTaken,
];

impl QueueNumbers {
    pub fn configure(&mut self, queue: &Queue) {
        (self.short_abandon, self.target) = (queue.short_abandon, queue.target);
    }

    pub fn answered(&mut self, waited: Duration) {
        self.answered += 1;
        self.answered_within += u64::from(waited <= self.target);
        self.waits_answered.add(&f::QUEUE_WAIT, waited);
    }

    /// The flow had said how long the wait would be.
    pub fn foretold(&mut self, told: Duration, waited: Duration) {
        match waited.checked_sub(told) {
            Some(longer) => self.longer.add(&f::QUEUE_TOLD, longer),
            None => self.shorter.add(&f::QUEUE_TOLD, told - waited),
        }
    }

    pub fn diverted(&mut self, waited: Duration, why: DivertReason) {
        *self.diverted.entry(why).or_default() += 1;
        self.waits_diverted.add(&f::QUEUE_WAIT, waited);
    }

    /// The call ended while it waited.
    pub fn given_up(&mut self, waited: Duration, cause: Cause) {
        if !cause.is_callers_own() {
            self.lost += 1;
            return;
        }
        self.abandoned += 1;
        self.abandoned_within += u64::from(waited <= self.target);
        self.abandoned_short += u64::from(waited < self.short_abandon);
        self.waits_abandoned.add(&f::QUEUE_WAIT, waited);
    }

    /// Waits that have come to their end.
    pub fn over(&self) -> u64 {
        self.answered + self.abandoned + self.lost + self.diverted.values().sum::<u64>()
    }

    fn counts(&self) -> Counts {
        Counts {
            answered: self.answered,
            answered_in_time: self.answered_within,
            abandoned: self.abandoned,
            abandoned_in_time: self.abandoned_within,
            abandoned_short: self.abandoned_short,
        }
    }

    pub fn samples(&self, queue: &str, out: &mut Vec<Sample>) {
        let counters = [
            (&f::QUEUE_OFFERED, self.offered),
            (&f::QUEUE_REQUEUED, self.requeued),
            (&f::QUEUE_ANSWERED, self.answered),
            (&f::QUEUE_ANSWERED_WITHIN, self.answered_within),
            (&f::QUEUE_ABANDONED, self.abandoned),
            (&f::QUEUE_ABANDONED_WITHIN, self.abandoned_within),
            (&f::QUEUE_ABANDONED_SHORT, self.abandoned_short),
            (&f::QUEUE_LOST, self.lost),
        ];
        out.extend(counters.map(|(family, value)| family.count([queue], value)));
        for why in DIVERSIONS {
            let count = self.diverted.get(&why).copied().unwrap_or(0);
            out.push(f::QUEUE_DIVERTED.count([queue, &snake(&why)], count));
        }
        let waits = [
            ("answered", &self.waits_answered),
            ("abandoned", &self.waits_abandoned),
            ("diverted", &self.waits_diverted),
        ];
        out.extend(waits.map(|(outcome, times)| times.sample(&f::QUEUE_WAIT, [queue, outcome])));
        out.push(self.longer.sample(&f::QUEUE_TOLD, [queue, "longer"]));
        out.push(self.shorter.sample(&f::QUEUE_TOLD, [queue, "shorter"]));
        out.push(self.talks.sample(&f::QUEUE_TALK, [queue]));
        out.push(self.wrap_ups.sample(&f::QUEUE_WRAP_UP, [queue]));
        out.push(self.handles.sample(&f::QUEUE_HANDLE, [queue]));
        out.push(f::QUEUE_TARGET.sample([queue], self.target.as_secs_f64()));
        let level = |formula: Formula| Some(f::QUEUE_LEVEL.sample([queue, formula.text()], formula.of(self.counts())?));
        out.extend(Formula::ALL.into_iter().filter_map(level));
    }
}
