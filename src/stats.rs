//! Events folded into the numbers that are exported.
//!
//! Names are in the style of Prometheus, `tierline_…`, units last. Labels hold names from the configuration and
//! variants of closed enums only: no call, no agent, nothing personal, nothing a caller can choose. Counters of
//! packets and messages are not here; machines answer `stats()`, and the shell adds them.
//!
//! **Service level.** There are many formulas under that name, so ours is a label:
//! `A_T/(A+B-B_s)`, with A answered, A_T answered within T, B abandoned, B_s short abandons. The counters allow
//! all the others to be computed. Each wait counts once: a caller who waits again because the agent's phone was
//! lost was answered before (`requeued`), and a wait that we ended is `lost`, not abandoned.

mod samples;

pub use samples::{Kind, Sample};

use crate::center::Center;
use crate::event::{AgentMode, Cause, DivertReason, Event, OfferOutcome, Party, Phase, What};
use crate::ids::{AgentId, CallId, LegId, LineId, QueueId, WorkId};
use crate::time::Wall;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// T of the service level: waits up to this count as short.
pub const THRESHOLD: Duration = Duration::from_secs(20);

/// Upper bounds of the buckets of waits, in seconds; one more bucket has none.
pub const WAIT_BUCKETS_S: [u64; 12] = [5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800];

/// All numbers since the start.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Stats {
    queues: BTreeMap<QueueId, QueueNumbers>,
    agents: BTreeMap<AgentId, AgentMode>,
    /// Agents whose phones stopped to answer.
    unreachable: BTreeSet<AgentId>,
    /// `None`: an agent's short code.
    arrived: BTreeMap<Option<LineId>, u64>,
    ended: BTreeMap<(Phase, Cause), u64>,
    offers: BTreeMap<OfferOutcome, u64>,
    repairs: u64,
    running: BTreeMap<CallId, Running>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct QueueNumbers {
    /// From the configuration: an abandon before this is a short one.
    short_abandon: Duration,
    offered: u64,
    requeued: u64,
    answered: u64,
    answered_in_time: u64,
    abandoned: u64,
    abandoned_in_time: u64,
    abandoned_short: u64,
    lost: u64,
    diverted: BTreeMap<DivertReason, u64>,
    waits_answered: Times,
    waits_abandoned: Times,
    /// How much longer, and shorter, answered waits were than the flow had said.
    #[serde(default)]
    longer: Times,
    #[serde(default)]
    shorter: Times,
    talks: u64,
    talk: Duration,
}

/// How many times, how long in all, and how many up to each bound of [`WAIT_BUCKETS_S`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Times {
    count: u64,
    sum: Duration,
    up_to: [u64; WAIT_BUCKETS_S.len()],
}

impl Times {
    fn add(&mut self, time: Duration) {
        self.count += 1;
        self.sum += time;
        for (count, bound) in self.up_to.iter_mut().zip(WAIT_BUCKETS_S) {
            *count += u64::from(time <= Duration::from_secs(bound));
        }
    }
}

/// A call that runs, as far as the numbers need it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Running {
    in_flow: bool,
    waits: Vec<Wait>,
    ringing: usize,
    talks: Vec<Talk>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Wait {
    work: WorkId,
    queue: QueueId,
    since: Wall,
    again: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Talk {
    leg: LegId,
    queue: QueueId,
    since: Wall,
}

impl Running {
    fn phase(&self) -> Phase {
        match self {
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
            self.queues.entry(id.clone()).or_default().short_abandon = queue.short_abandon;
        }
        self.agents.retain(|id, _| center.agents.contains_key(id));
        self.unreachable.retain(|id| center.agents.contains_key(id));
        for id in center.agents.keys() {
            self.agents.entry(*id).or_insert(AgentMode::LoggedOut);
        }
        for id in center.lines.keys() {
            self.arrived.entry(Some(id.clone())).or_default();
        }
    }

    /// Takes the next event.
    pub fn apply(&mut self, event: &Event) {
        match &event.what {
            What::AgentStateChanged { agent, to, .. } => _ = self.agents.insert(*agent, *to),
            What::PhoneReachable { agent, reachable: false } => _ = self.unreachable.insert(*agent),
            // A phone that has just registered was heard.
            What::PhoneReachable { agent, reachable: true } | What::PhoneRegistered { agent, .. } => {
                self.unreachable.remove(agent);
            }
            What::Repaired { .. } => self.repairs += 1,
            _ => {}
        }
        if let Some(call) = event.call {
            self.apply_to(call, event.at, &event.what);
        }
    }

    fn apply_to(&mut self, call: CallId, at: Wall, what: &What) {
        match what {
            What::CallArrived { line, .. } => {
                *self.arrived.entry(line.clone()).or_default() += 1;
                self.running.insert(call, Running::default());
            }
            What::StepEntered { .. } | What::CallAnswered { .. } => self.with(call, |c| c.in_flow = true),
            What::Queued { work, queue, again, .. } => self.queued(call, at, *work, queue, *again),
            What::Delivered { .. } => self.with(call, |c| c.ringing += 1),
            What::OfferEnded { outcome, .. } => {
                *self.offers.entry(*outcome).or_default() += 1;
                self.with(call, |c| c.ringing = c.ringing.saturating_sub(1));
            }
            What::Established { work, queue, leg, waited, told, .. } => {
                let talk = Talk { leg: *leg, queue: queue.clone(), since: at };
                self.established(call, *work, talk, *waited);
                told.iter().for_each(|told| self.queue(queue).foretold(*told, *waited));
            }
            What::Diverted { work, why, .. } => self.diverted(call, *work, *why),
            What::ConnectionCleared { party: Party::Caller, cause, .. } => self.caller_gone(call, at, *cause),
            What::ConnectionCleared { leg, .. } => self.talks_end(call, at, Some(*leg)),
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

    fn established(&mut self, call: CallId, work: WorkId, talk: Talk, waited: Duration) {
        let Some(running) = self.running.get_mut(&call) else { return };
        let wait = running.take_wait(work);
        running.talks.push(talk);
        if let Some(Wait { queue, again: false, .. }) = wait {
            let numbers = self.queue(&queue);
            numbers.answered += 1;
            numbers.answered_in_time += u64::from(waited <= THRESHOLD);
            numbers.waits_answered.add(waited);
        }
    }

    fn diverted(&mut self, call: CallId, work: WorkId, why: DivertReason) {
        let wait = self.running.get_mut(&call).and_then(|c| c.take_wait(work));
        if let Some(Wait { queue, again: false, .. }) = wait {
            *self.queue(&queue).diverted.entry(why).or_default() += 1;
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
            let numbers = self.queue(&talk.queue);
            numbers.talks += 1;
            numbers.talk += between(talk.since, at);
        }
    }
}

impl QueueNumbers {
    /// The flow had said how long the wait would be.
    fn foretold(&mut self, told: Duration, waited: Duration) {
        match waited.checked_sub(told) {
            Some(longer) => self.longer.add(longer),
            None => self.shorter.add(told - waited),
        }
    }

    /// The call ended while it waited.
    fn given_up(&mut self, waited: Duration, cause: Cause) {
        // A caller whose phone or network died is a caller who is gone; everything else was our doing.
        if !matches!(cause, Cause::CallerHungUp | Cause::Silent | Cause::Protocol) {
            self.lost += 1;
            return;
        }
        self.abandoned += 1;
        self.abandoned_in_time += u64::from(waited <= THRESHOLD);
        self.abandoned_short += u64::from(waited < self.short_abandon);
        self.waits_abandoned.add(waited);
    }

    /// A_T/(A+B−B_s); `None` before the first wait that counts.
    fn service_level(&self) -> Option<f64> {
        let counted = self.answered + self.abandoned - self.abandoned_short;
        (counted > 0).then(|| self.answered_in_time as f64 / counted as f64)
    }
}

/// The time from `from` to `to`; zero if the wall clock was set back in between.
fn between(from: Wall, to: Wall) -> Duration {
    Duration::from_millis(u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0))
}

#[cfg(test)]
mod tests;
