//! The numbers of a run, for people: folded from the events alone, as every report is.

use crate::center::Center;
use crate::event::{AgentMode, Event, Phase, What};
use crate::ids::{AgentId, CallId};
use crate::time::Wall;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// A caller should be answered within this (T of the service level).
pub const THRESHOLD: Duration = Duration::from_secs(20);

/// What the callers and agents lived through.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Calls that arrived, short codes of agents included.
    pub calls: u64,
    /// Callers who came to a queue (A + B, and those whom the flow took back).
    pub offered: u64,
    /// A: answered by an agent.
    pub answered: u64,
    pub answered_in_time: u64,
    /// B: hung up while waiting.
    pub abandoned: u64,
    /// B_s: of these, before the queue's `short_abandon`.
    pub short_abandoned: u64,
    /// Left the queue because it was full or the wait too long.
    pub diverted: u64,
    pub longest_wait_ms: u64,
    /// How often callers came to each step of the desk's flow.
    pub at_the_desk: BTreeMap<String, u64>,
    waited_ms: u64,
    /// Milliseconds that all agents together spent in each state, in the order of [`AgentMode`].
    modes_ms: [u64; 6],
    #[serde(skip)]
    waiting: BTreeMap<CallId, (Wall, Duration)>,
    #[serde(skip)]
    agents: BTreeMap<AgentId, (AgentMode, Wall)>,
    #[serde(skip)]
    short: BTreeMap<crate::ids::QueueId, Duration>,
}

impl Summary {
    pub fn new(center: &Center) -> Summary {
        let short = center.queues.values().map(|queue| (queue.id.clone(), queue.short_abandon)).collect();
        Summary { short, ..Summary::default() }
    }

    /// Takes the next event.
    pub fn fold(&mut self, event: &Event) {
        match (&event.what, event.call) {
            (What::CallArrived { .. }, _) => self.calls += 1,
            (What::Queued { queue, again, .. }, Some(call)) => {
                self.offered += u64::from(!again);
                if !again {
                    self.waiting.insert(call, (event.at, self.short.get(queue).copied().unwrap_or_default()));
                }
            }
            (What::Established { .. }, Some(call)) => self.answered(call, event.at),
            (What::Diverted { .. }, Some(call)) => self.diverted += u64::from(self.waiting.remove(&call).is_some()),
            (What::StepEntered { flow, step }, _) if flow.as_str() == super::desk::FLOW => {
                *self.at_the_desk.entry(step.clone()).or_default() += 1;
            }
            (What::CallEnded { phase, .. }, Some(call)) => self.ended(call, *phase, event.at),
            (What::AgentStateChanged { agent, to, .. }, _) => self.agent(*agent, *to, event.at),
            (What::EngineStarted { .. }, _) => self.agents.clear(),
            _ => {}
        }
    }

    /// Each wait counts for itself, as in the records: what was served before an agent sent the caller on is another.
    fn answered(&mut self, call: CallId, at: Wall) {
        let Some((since, _)) = self.waiting.remove(&call) else { return };
        let waited = at.0.saturating_sub(since.0).unsigned_abs();
        self.answered += 1;
        self.answered_in_time += u64::from(u128::from(waited) <= THRESHOLD.as_millis());
        self.waited_ms += waited;
        self.longest_wait_ms = self.longest_wait_ms.max(waited);
    }

    fn ended(&mut self, call: CallId, phase: Phase, at: Wall) {
        let Some((since, short)) = self.waiting.remove(&call) else { return };
        if matches!(phase, Phase::Queued | Phase::Alerting | Phase::Arriving) {
            let waited = at.0.saturating_sub(since.0).unsigned_abs();
            self.abandoned += 1;
            self.short_abandoned += u64::from(u128::from(waited) < short.as_millis());
            self.longest_wait_ms = self.longest_wait_ms.max(waited);
        }
    }

    fn agent(&mut self, agent: AgentId, to: AgentMode, at: Wall) {
        if let Some((mode, since)) = self.agents.insert(agent, (to, at)) {
            self.modes_ms[mode as usize] += at.0.saturating_sub(since.0).unsigned_abs();
        }
    }

    /// A_T / (A + B − B_s); 1 if nobody waited.
    pub fn service_level(&self) -> f64 {
        share(self.answered_in_time, self.answered + self.abandoned - self.short_abandoned)
    }

    /// Average speed of answer.
    pub fn mean_wait(&self) -> Duration {
        Duration::from_millis(self.waited_ms / self.answered.max(1))
    }

    /// Average handling time: talk, hold and wrap-up for each answered call.
    pub fn handling_time(&self) -> Duration {
        Duration::from_millis((self.mode(AgentMode::Busy) + self.mode(AgentMode::WrapUp)) / self.answered.max(1))
    }

    /// The share of the agents' ready time in which they had work.
    pub fn occupancy(&self) -> f64 {
        let work = self.mode(AgentMode::Reserved) + self.mode(AgentMode::Busy) + self.mode(AgentMode::WrapUp);
        share(work, work + self.mode(AgentMode::Ready))
    }

    fn mode(&self, mode: AgentMode) -> u64 {
        self.modes_ms[mode as usize]
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}
