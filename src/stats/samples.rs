//! The numbers under their public names.

use super::families as f;
use super::words::snake;
use super::{Sample, Stats, Wait, between, tally};
use crate::event::{Cause, OfferOutcome, Phase, TransferProblem};
use crate::ids::QueueId;
use crate::time::Wall;
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

impl Stats {
    /// All numbers as they are at `now`, agents one by one only with `each_agent`. The same state gives the same samples
    /// in the same order.
    pub fn samples(&self, now: Wall, each_agent: bool) -> Vec<Sample> {
        let mut out = Vec::new();
        self.calls(&mut out);
        for (queue, numbers) in &self.queues {
            numbers.samples(queue.as_str(), &mut out);
            self.waiting(now, queue, &mut out);
        }
        self.agents.samples(now, self.queues.keys().cloned(), &mut out);
        if each_agent {
            self.agents.each(now, &mut out);
        }
        self.flows.samples(&mut out);
        out
    }

    fn waiting(&self, now: Wall, queue: &QueueId, out: &mut Vec<Sample>) {
        let waits = || self.running.values().flat_map(|call| &call.waits).filter(|wait| wait.queue == *queue);
        let longest = waits().map(|wait: &Wait| between(wait.since, now)).max().unwrap_or(Duration::ZERO);
        out.push(f::QUEUE_WAITING.count([queue.as_str()], waits().count() as u64));
        out.push(f::QUEUE_LONGEST.sample([queue.as_str()], longest.as_secs_f64()));
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
