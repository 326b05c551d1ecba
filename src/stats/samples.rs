//! The numbers under their public names.

use super::families as f;
use super::words::snake;
use super::{Sample, Stats, between, tally};
use crate::event::{Cause, OfferOutcome, Phase, TransferProblem};
use crate::ids::QueueId;
use crate::time::Wall;
use std::collections::BTreeMap;
use std::time::Duration;

const PHASES: [Phase; 5] = [Phase::Arriving, Phase::InFlow, Phase::Queued, Phase::Alerting, Phase::Connected];

const OUTCOMES: [OfferOutcome; 7] = [
    OfferOutcome::Accepted,
    OfferOutcome::Declined,
    OfferOutcome::NoAnswer,
    OfferOutcome::Unreachable,
    OfferOutcome::CallerLeft,
    OfferOutcome::Withdrawn,
    OfferOutcome::Failed,
];

const TRANSFER_PROBLEMS: [TransferProblem; 4] =
    [TransferProblem::Busy, TransferProblem::NoAnswer, TransferProblem::Refused, TransferProblem::NoTrunk];

/// Who waits in a queue.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    waiting: u64,
    /// Since when the one does who has waited longest.
    first: Option<Wall>,
}

impl Stats {
    /// All numbers as they are at `now`, agents one by one only with `each_agent`. The same state gives the same samples
    /// in the same order.
    pub fn samples(&self, now: Wall, each_agent: bool) -> Vec<Sample> {
        let mut out = Vec::new();
        self.calls(&mut out);
        let waiting = self.waiting();
        for (queue, numbers) in &self.queues {
            numbers.samples(queue.as_str(), &mut out);
            let Line { waiting, first } = waiting.get(queue).copied().unwrap_or_default();
            let longest = first.map_or(Duration::ZERO, |since| between(since, now));
            out.push(f::QUEUE_WAITING.count([queue.as_str()], waiting));
            out.push(f::QUEUE_LONGEST.sample([queue.as_str()], longest.as_secs_f64()));
        }
        self.agents.samples(now, self.queues.keys(), &mut out);
        if each_agent {
            self.agents.each(now, &mut out);
        }
        self.flows.samples(&mut out);
        out
    }

    /// Who waits where: each caller is looked at once, however many queues there are.
    fn waiting(&self) -> BTreeMap<&QueueId, Line> {
        let mut lines = BTreeMap::<&QueueId, Line>::new();
        for wait in self.running.values().flat_map(|call| &call.waits) {
            let line = lines.entry(&wait.queue).or_default();
            line.waiting += 1;
            line.first = Some(line.first.map_or(wait.since, |first| first.min(wait.since)));
        }
        lines
    }

    fn calls(&self, out: &mut Vec<Sample>) {
        for (line, count) in &self.arrived {
            let line = line.as_ref().map_or("(short code)".to_owned(), ToString::to_string);
            out.push(f::CALLS_ARRIVED.count([&line], *count));
        }
        // All of them from the start: what appears with its first call has no growth to be seen.
        for (phase, cause) in PHASES.into_iter().flat_map(|phase| Cause::ALL.map(|cause| (phase, cause))) {
            let count = self.ended.get(&(phase, cause)).copied().unwrap_or(0);
            out.push(f::CALLS_ENDED.count([&snake(&phase), &snake(&cause)], count));
        }
        let phases = tally(self.running.values().map(|call| call.phase()));
        for phase in PHASES {
            out.push(f::CALLS.count([&snake(&phase)], phases.get(&phase).copied().unwrap_or(0)));
        }
        for outcome in OUTCOMES {
            let count = self.offers.get(&outcome).copied().unwrap_or(0);
            out.push(f::OFFERS.count([&snake(&outcome)], count));
        }
        let transfers = ["queue", "agent", "number"].into_iter().zip(self.transfers);
        out.extend(transfers.map(|(to, n)| f::TRANSFERS.count([to], n)));
        for problem in TRANSFER_PROBLEMS {
            let count = self.transfers_failed.get(&problem).copied().unwrap_or(0);
            out.push(f::TRANSFERS_FAILED.count([&snake(&problem)], count));
        }
        out.push(f::REPAIRS.count([], self.repairs));
    }
}
