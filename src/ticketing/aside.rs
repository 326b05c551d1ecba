//! Calls that are put aside: what the ticketing system does not take of one call, while it takes what others bring, must not
//! fill the outbox until nothing of any call is read any more.
//!
//! A call that is put aside is out of memory but for its number. It is written down, and read again from the log, one call
//! at a time, with growing pauses while that fails; what was done of it before is not repeated. So what must arrive
//! arrives, however long it takes. Screen-pops are too late then: they are dropped and counted.

use super::{Outbox, Output};
use crate::event::Event;
use crate::ids::CallId;
use crate::time::Wall;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A request that fails so often, while others are answered, makes its call be put aside …
const TRIES: u32 = 6;
/// … and so often if much waits.
const TRIES_IN_A_CROWD: u32 = 2;
const CROWD: u64 = super::WAITING as u64 / 2;
/// Calls that may be put aside; beyond them the log keeps what is not read.
pub(super) const MOST: usize = 100_000;

#[derive(Clone, Debug, Default)]
pub(super) struct Aside {
    /// Those that were put aside and are not forgotten: they are read apart from all others. Calls get their numbers one
    /// after the other: the first is the oldest.
    calls: BTreeMap<CallId, Apart>,
    /// Their first events that are to be told: a late note makes an old call's a new one.
    firsts: BTreeSet<(u64, CallId)>,
    /// Those that wait to be tried again.
    line: VecDeque<CallId>,
    /// The one that is tried.
    tried: Option<CallId>,
    not_before: Wall,
    failures: u32,
}

#[derive(Clone, Debug)]
struct Apart {
    first_seq: u64,
    /// Since when something of it waits; none while nothing does.
    since: Option<Wall>,
}

impl Aside {
    /// What an earlier run has put aside, with the calls' first events and since when something of them waits.
    pub fn new(known: BTreeMap<CallId, (u64, Wall)>) -> Aside {
        let line = known.keys().copied().collect();
        let firsts = known.iter().map(|(call, (first_seq, _))| (*first_seq, *call)).collect();
        let apart = |(call, (first_seq, since))| (call, Apart { first_seq, since: Some(since) });
        Aside { calls: known.into_iter().map(apart).collect(), firsts, line, ..Aside::default() }
    }

    pub fn has(&self, call: CallId) -> bool {
        self.calls.contains_key(&call)
    }

    /// All of it is told when its turn comes.
    pub fn waits(&self, call: CallId) -> bool {
        self.calls.get(&call).is_some_and(|apart| apart.since.is_some())
    }

    pub fn waiting(&self) -> u64 {
        (self.line.len() + usize::from(self.tried.is_some())) as u64
    }

    pub fn oldest(&self) -> Option<Wall> {
        self.calls.values().find_map(|apart| apart.since)
    }

    pub fn first_seq(&self) -> Option<u64> {
        self.firsts.first().map(|(first_seq, _)| *first_seq)
    }

    /// `next`: the first event that was not read yet. After a restart a call may begin behind it; the first in line is the
    /// oldest then.
    pub fn deadline(&self, next: u64) -> Option<Wall> {
        let is_read = |call: &CallId| self.calls.get(call).is_none_or(|apart| apart.first_seq < next);
        (self.tried.is_none() && self.line.front().is_some_and(is_read)).then_some(self.not_before)
    }

    fn insert(&mut self, call: CallId, apart: Apart) {
        self.remove(call);
        self.firsts.insert((apart.first_seq, call));
        self.calls.insert(call, apart);
    }

    fn remove(&mut self, call: CallId) {
        let apart = self.calls.remove(&call);
        apart.into_iter().for_each(|apart| _ = self.firsts.remove(&(apart.first_seq, call)));
    }

    fn next(&mut self, now: Wall, next: u64) -> Option<CallId> {
        self.deadline(next).filter(|at| *at <= now)?;
        self.tried = self.line.pop_front();
        self.tried
    }
}

impl Outbox {
    /// Whether the call's first request has failed so often, while others were answered, that others come first.
    pub(super) fn blocks(&self, call: CallId) -> bool {
        let Some(job) = self.cases.get(&call).and_then(|case| case.jobs.front()) else { return false };
        let tries = if self.numbers.waiting >= CROWD { TRIES_IN_A_CROWD } else { TRIES };
        let others_pass = job.failed_at.is_some_and(|heard| heard < self.heard());
        self.aside.tried == Some(call) || job.attempts >= tries && others_pass && self.aside.calls.len() < MOST
    }

    pub(super) fn put_aside(&mut self, now: Wall, call: CallId) {
        let Some(case) = self.cases.remove(&call) else { return };
        self.numbers.waiting -= case.jobs.len() as u64;
        self.numbers.pops_expired += case.jobs.iter().filter(|job| job.offer.is_some()).count() as u64;
        if self.aside.tried.take_if(|tried| *tried == call).is_some() {
            let pause = self.settings.retry.saturating_mul(1 << self.aside.failures.min(16));
            self.aside.not_before = now + pause.min(self.settings.retry_most);
            self.aside.failures += 1;
        } else if self.aside.waiting() == 0 {
            self.aside.not_before = now + self.settings.retry_most;
        }
        let since = case.jobs.front().map_or(now, |job| job.at);
        let what = case.jobs.front().map_or("", |job| job.request.method());
        let first_seq = case.first_seq;
        self.aside.insert(call, Apart { first_seq, since: Some(since) });
        self.aside.line.push_back(call);
        self.outputs.push_back(Output::Aside { call, first_seq, since, what });
    }

    /// The next one of those that were put aside, if it is time.
    pub(super) fn try_again(&mut self, now: Wall) {
        if self.under_way < self.settings.parallel && self.wants_more() {
            self.aside
                .next(now, self.next)
                .into_iter()
                .for_each(|call| self.outputs.push_back(Output::Reread { call }));
        }
    }

    /// The whole call anew: for what was noted late, or as far as it was read before it was put aside and after.
    pub(super) fn reread(&mut self, call: CallId, events: &[Event], done: BTreeMap<String, String>) {
        self.done.extend(done);
        let counted = self.numbers.pops_expired;
        let noted = self.late.begins(call);
        let first = noted.or(self.aside.calls.get(&call).map(|apart| apart.first_seq)).unwrap_or(0);
        let mut view = self.reread_from(first, events);
        // Of what happened before, a start needs nothing.
        self.cases.get_mut(&call).into_iter().for_each(|case| case.first_seq = first.max(case.first_seq));
        if noted.is_some() {
            return;
        }
        // The pops were counted when it was put aside.
        self.numbers.pops_expired = counted;
        view.calls.remove(&call).into_iter().for_each(|row| _ = self.view.calls.insert(call, row));
        let Some(case) = self.cases.get_mut(&call) else {
            // The log does not have its beginning any more.
            return self.forget_aside(call);
        };
        case.apart = true;
        let before = case.jobs.len();
        case.jobs.retain(|job| job.expires.is_none());
        self.numbers.waiting -= (before - case.jobs.len()) as u64;
        self.tidy_line(call);
        self.told_aside(call);
    }

    /// If the call is the one that is tried, and nothing of it waits any more, the next may be tried at once.
    pub(super) fn told_aside(&mut self, call: CallId) {
        let done = self.cases.get(&call).is_none_or(|case| case.jobs.is_empty());
        if done && self.aside.tried.take_if(|tried| *tried == call).is_some() {
            (self.aside.failures, self.aside.not_before) = (0, Wall(0));
            self.aside.calls.get_mut(&call).into_iter().for_each(|apart| apart.since = None);
        }
    }

    /// All of it is told, it is over, and a restart reads nothing of it: before that it must stay known that it was read
    /// apart, and what of it was done.
    pub(super) fn forget_aside(&mut self, call: CallId) {
        self.told_aside(call);
        self.aside.remove(call);
        self.outputs.push_back(Output::Forget { call });
    }

    /// The first event that the log must keep.
    pub fn needed(&self) -> u64 {
        self.low().min(self.aside.first_seq().unwrap_or(u64::MAX))
    }

    pub(super) fn heard(&self) -> u64 {
        self.numbers.answered + self.numbers.refused
    }
}
