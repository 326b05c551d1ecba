//! Events folded into the numbers that are exported.
//!
//! What each number is called and means stands in one table, [`families`], from which docs/metrics.md is made. Labels
//! hold names from the configuration and variants of closed enums only: no call, nothing personal, nothing a caller can
//! choose. Counters of packets and messages are not folded here; machines answer `stats()`, and the shell makes them
//! into [`Sample`]s.
//!
//! **Waits.** Each wait counts once: a caller who waits again because the agent's phone was lost was answered before
//! (`requeued`), and a wait that we ended is `lost`, not abandoned. Each is as long as it was in its queue, as in the
//! records: an agent who sends a caller on begins another one. [`Stats::balance`] says whether they add up.

mod agents;
pub mod families;
mod family;
mod flows;
mod queues;
mod samples;
mod times;
mod words;

pub use family::{Chapter, Family, Kind, Sample, Value, all, reference};
pub use times::Times;

use crate::center::Center;
use crate::event::{Cause, DivertReason, Event, OfferOutcome, Party, Phase, TransferProblem, TransferTo, What};
use crate::ids::{CallId, FlowId, LegId, LineId, QueueId, WorkId};
use crate::records::Paths;
use crate::time::Wall;
use agents::Agents;
use flows::Flows;
use queues::QueueNumbers;
use std::collections::BTreeMap;
use std::time::Duration;

/// All numbers since the start.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    queues: BTreeMap<QueueId, QueueNumbers>,
    agents: Agents,
    flows: Flows,
    /// `None`: an agent's short code.
    arrived: BTreeMap<Option<LineId>, u64>,
    ended: BTreeMap<(Phase, Cause), u64>,
    offers: BTreeMap<OfferOutcome, u64>,
    transfers: [u64; 3],
    transfers_failed: BTreeMap<TransferProblem, u64>,
    repairs: u64,
    running: BTreeMap<CallId, Running>,
}

/// A call that runs, as far as the numbers need it.
#[derive(Clone, Debug, Default)]
struct Running {
    in_flow: bool,
    paths: Paths,
    waits: Vec<Wait>,
    ringing: usize,
    talks: Vec<Talk>,
    /// The outside party's leg, and whether they talk.
    outside: Option<(LegId, bool)>,
}

#[derive(Clone, Debug)]
struct Wait {
    work: WorkId,
    queue: QueueId,
    since: Wall,
    again: bool,
}

#[derive(Clone, Debug)]
struct Talk {
    leg: LegId,
    queue: QueueId,
    since: Wall,
}

impl Running {
    fn phase(&self) -> Phase {
        match self {
            Running { outside: Some((_, true)), .. } => Phase::Connected,
            Running { outside: Some((_, false)), .. } => Phase::Alerting,
            Running { talks, .. } if !talks.is_empty() => Phase::Connected,
            Running { ringing: 1.., .. } => Phase::Alerting,
            Running { waits, .. } if !waits.is_empty() => Phase::Queued,
            Running { in_flow: true, .. } => Phase::InFlow,
            _ => Phase::Arriving,
        }
    }

    fn take_wait(&mut self, work: WorkId) -> Option<Wait> {
        let at = self.waits.iter().position(|wait| wait.work == work)?;
        Some(self.waits.remove(at))
    }
}

impl Stats {
    /// Zeros for what `center` has: each queue and agent is in the numbers before its first event.
    pub fn new(center: &Center) -> Stats {
        let mut stats = Stats::default();
        stats.configure(center);
        stats
    }

    /// Other settings are in force. What was counted stays.
    pub fn configure(&mut self, center: &Center) {
        for (id, queue) in &center.queues {
            self.queues.entry(id.clone()).or_default().configure(queue);
        }
        self.agents.configure(center);
        for (id, line) in &center.lines {
            self.arrived.entry(Some(id.clone())).or_default();
            self.flows.know(&line.flow);
        }
    }

    /// The steps of a flow that is configured.
    pub fn know_steps<'a>(&mut self, flow: &FlowId, steps: impl Iterator<Item = &'a String>) {
        steps.for_each(|step| self.flows.know_step(flow, step));
    }

    /// Takes the next event.
    pub fn apply(&mut self, event: &Event) {
        self.agents.apply(event, &mut self.queues);
        match &event.what {
            What::Repaired { .. } => self.repairs += 1,
            What::Transferred { to, .. } => self.transfers[kind_of(to)] += 1,
            What::TransferFailed { why } => *self.transfers_failed.entry(*why).or_default() += 1,
            What::NothingChosen { flow, why, .. } => self.flows.nothing(flow, *why),
            What::StepDecided { flow, way, .. } => self.flows.decided(flow, *way),
            _ => {}
        }
        if let Some(call) = event.call {
            if let Some(running) = self.running.get_mut(&call) {
                self.flows.follow(&mut running.paths, event);
            }
            self.apply_to(call, event.at, &event.what);
        }
    }

    fn apply_to(&mut self, call: CallId, at: Wall, what: &What) {
        match what {
            What::CallArrived { line, .. } => {
                *self.arrived.entry(line.clone()).or_default() += 1;
                self.running.insert(call, Running::default());
            }
            What::CallAnswered { .. } | What::StepEntered { .. } => self.with(call, |c| c.in_flow = true),
            What::Queued { work, queue, again, .. } => self.queued(call, at, *work, queue, *again),
            What::Delivered { .. } => self.with(call, |c| c.ringing += 1),
            What::OfferEnded { outcome, .. } => {
                *self.offers.entry(*outcome).or_default() += 1;
                self.with(call, |c| c.ringing = c.ringing.saturating_sub(1));
            }
            What::Established { work, queue, leg, told, .. } => {
                let talk = Talk { leg: *leg, queue: queue.clone(), since: at };
                self.established(call, *work, talk, *told);
            }
            What::Diverted { work, why, .. } => self.diverted(call, at, *work, *why),
            What::OutsideCalled { leg, .. } => self.with(call, |c| c.outside = Some((*leg, false))),
            What::OutsideJoined { leg } => self.with(call, |c| c.outside = Some((*leg, true))),
            What::TransferFailed { .. } => self.with(call, |c| c.outside = None),
            What::ConnectionCleared { party: Party::Caller, cause, .. } => self.caller_gone(call, at, *cause),
            What::ConnectionCleared { leg, .. } => {
                self.talks_end(call, at, Some(*leg));
                self.with(call, |c| c.outside = c.outside.filter(|(outside, _)| outside != leg));
            }
            What::CallEnded { cause, phase } => {
                self.caller_gone(call, at, *cause);
                self.running.remove(&call);
                *self.ended.entry((*phase, *cause)).or_default() += 1;
            }
            _ => {}
        }
    }

    /// Changes a call that runs; one whose arrival was before our start is passed over.
    fn with(&mut self, call: CallId, change: impl FnOnce(&mut Running)) {
        if let Some(running) = self.running.get_mut(&call) {
            change(running);
        }
    }

    fn queue(&mut self, queue: &QueueId) -> &mut QueueNumbers {
        self.queues.entry(queue.clone()).or_default()
    }

    fn queued(&mut self, call: CallId, at: Wall, work: WorkId, queue: &QueueId, again: bool) {
        self.talks_end(call, at, None);
        if !self.running.contains_key(&call) {
            return;
        }
        let numbers = self.queue(queue);
        if again {
            numbers.requeued += 1;
        } else {
            numbers.offered += 1;
        }
        let wait = Wait { work, queue: queue.clone(), since: at, again };
        self.with(call, |c| c.waits.push(wait));
    }

    fn established(&mut self, call: CallId, work: WorkId, talk: Talk, told: Option<Duration>) {
        let Some(running) = self.running.get_mut(&call) else { return };
        let (wait, at) = (running.take_wait(work), talk.since);
        running.talks.push(talk);
        let Some(Wait { queue, since, again, .. }) = wait else { return };
        let waited = between(since, at);
        told.iter().for_each(|told| self.queue(&queue).foretold(*told, waited));
        if !again {
            self.queue(&queue).answered(waited);
        }
    }

    fn diverted(&mut self, call: CallId, at: Wall, work: WorkId, why: DivertReason) {
        let wait = self.running.get_mut(&call).and_then(|c| c.take_wait(work));
        if let Some(Wait { queue, since, again: false, .. }) = wait {
            self.queue(&queue).diverted(between(since, at), why);
        }
    }

    /// The caller's waits and talks are over.
    fn caller_gone(&mut self, call: CallId, at: Wall, cause: Cause) {
        self.talks_end(call, at, None);
        let Some(running) = self.running.get_mut(&call) else { return };
        for wait in std::mem::take(&mut running.waits) {
            if !wait.again {
                self.queue(&wait.queue).given_up(between(wait.since, at), cause);
            }
        }
    }

    /// The talk on `leg` is over; all of the call's without one.
    fn talks_end(&mut self, call: CallId, at: Wall, leg: Option<LegId>) {
        let Some(running) = self.running.get_mut(&call) else { return };
        let over: Vec<Talk> = running.talks.extract_if(.., |talk| leg.is_none_or(|leg| talk.leg == leg)).collect();
        for talk in over {
            self.queue(&talk.queue).talks.add(&families::QUEUE_TALK, between(talk.since, at));
        }
    }
}

impl Stats {
    /// How far a call has come that runs; the one that ends is told of with the same word ([`What::CallEnded`]).
    pub fn phase(&self, call: CallId) -> Option<Phase> {
        self.running.get(&call).map(Running::phase)
    }

    /// Whether each wait was counted once: what was offered has come to an end or waits still. The queue that does not
    /// add up, if one does not.
    pub fn balance(&self) -> Result<(), String> {
        for (queue, numbers) in &self.queues {
            let first = |wait: &&Wait| wait.queue == *queue && !wait.again;
            let waiting = self.running.values().flat_map(|call| &call.waits).filter(first).count() as u64;
            if numbers.offered != numbers.over() + waiting {
                return Err(format!(
                    "{queue}: {} offered, {waiting} waiting, {} over",
                    numbers.offered,
                    numbers.over()
                ));
            }
        }
        Ok(())
    }
}

fn kind_of(to: &TransferTo) -> usize {
    match to {
        TransferTo::Queue(_) => 0,
        TransferTo::Agent(_) => 1,
        TransferTo::Number(_) => 2,
    }
}

fn tally<K: Ord>(items: impl Iterator<Item = K>) -> BTreeMap<K, u64> {
    items.fold(BTreeMap::new(), |mut counts, item| {
        *counts.entry(item).or_default() += 1;
        counts
    })
}

/// The time from `from` to `to`; zero if the wall clock was set back in between.
fn between(from: Wall, to: Wall) -> Duration {
    Duration::from_millis(u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0))
}

#[cfg(test)]
mod tests;
