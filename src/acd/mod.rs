//! Who takes the next call.

mod agent;
mod matching;

pub use agent::{AgentChange, AgentState, StateReason};
pub use matching::{Candidate, ChosenBy, Explanation, PassedOver, WhyNot};

use crate::center::Center;
use crate::ids::{AgentId, IdCounter, QueueId, ReservationId, SkillId, WorkId};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest reason of a break, in characters; more is cut.
pub const MAX_REASON: usize = 64;
/// How many passed-over candidates an [`Explanation`] names.
pub const EXPLAINED: usize = 4;

/// What a work needs, or an agent has: skill → level 1 … 10. A work needs at least that level of each.
pub type Skills = BTreeMap<SkillId, u8>;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Input {
    Agent { agent: AgentId, change: AgentChange },
    /// Lets `work` wait. `arrived` may lie before now (a transfer or callback keeps the wait already served); the
    /// queue's `max_wait` counts from now. For a work that waits already: moves it, re-keyed at once.
    Enqueue { work: WorkId, queue: QueueId, priority: i32, skills: Skills, arrived: Instant },
    /// The caller left or the flow took the work back: its reservations are withdrawn.
    Dequeue { work: WorkId },
    /// The agent's phone answered.
    Accept { reservation: ReservationId },
    /// The agent's phone will not answer: the work keeps its place.
    Refuse { reservation: ReservationId, why: Refusal },
    /// The conversation that began with `Accepted` is over for this agent: wrap-up by the queue's time.
    Finish { agent: AgentId, queue: QueueId },
    /// The agent is in a call outside the queues.
    Occupy { agent: AgentId },
    /// The agent's last call outside the queues is over.
    Vacate { agent: AgentId },
    /// A new configuration. Compared with the old: who and what is in both keeps its state.
    Configure(Center),
    /// The time of `deadline()` has come.
    Timeout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    Declined,
    NoAnswer,
    Unreachable,
    Busy,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Ring the agent's phone; accept or refuse before `until`.
    Offered {
        reservation: ReservationId,
        work: WorkId,
        queue: QueueId,
        agent: AgentId,
        until: Instant,
        explanation: Explanation,
    },
    /// Stop ringing: the reservation is gone. Not said for one that `Refuse` ended.
    Withdrawn { reservation: ReservationId, work: WorkId, agent: AgentId, why: Withdrawal },
    /// The work is this agent's; it waits no more. At most once per `Enqueue`. `waited` counts from `arrived`.
    Accepted { reservation: ReservationId, work: WorkId, agent: AgentId, queue: QueueId, waited: Duration },
    State { agent: AgentId, from: AgentState, to: AgentState, reason: StateReason },
    /// `max_wait` is over and nobody is being rung for it: the work waits no more.
    Expired { work: WorkId },
    /// The work does not wait (any more).
    Rejected { work: WorkId, why: Rejection },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Withdrawal {
    /// Nobody answered within the queue's ring time.
    TimedOut,
    /// The caller left, or the flow took the work back.
    WorkGone,
    /// The configuration no longer has the agent.
    AgentGone,
    /// Another agent who was rung for the same work answered first.
    AcceptedElsewhere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rejection {
    /// The queue's `max_waiting` is reached.
    Full,
    /// No such queue, or the new configuration no longer has it.
    UnknownQueue,
}

/// One queue, as shown to flows and people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueView {
    /// Work that waits, those included whose offer is ringing.
    pub waiting: u32,
    /// When the longest waiting work arrived.
    pub longest_since: Option<Instant>,
    /// Agents who are at work (ready, reserved, busy, wrap-up) and reachable; who is on a break is not.
    pub staffed: u32,
    /// Agents who could be rung now.
    pub ready: u32,
}

/// What happened since the start (counters), and what is open now (gauges).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    pub enqueued: u64,
    pub rejected: u64,
    pub offered: u64,
    pub accepted: u64,
    pub refused: u64,
    pub timed_out: u64,
    /// Offers taken back for another reason than time.
    pub withdrawn: u64,
    pub expired: u64,
    /// Left before an agent answered.
    pub dequeued: u64,
    /// Inputs about agents, work or reservations that do not exist (any more): late answers, mostly.
    pub ignored: u64,
    /// Gauge.
    pub waiting: u64,
    /// Gauge.
    pub reservations: u64,
}

/// The router: one table of agents, queues and work, and one writer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Router {
    reservation_ids: IdCounter,
}

impl Router {
    pub fn new(_center: &Center, reservation_ids: IdCounter) -> Router {
        Router { reservation_ids }
    }

    pub fn handle(&mut self, _now: Instant, _input: Input) {
        todo!()
    }

    pub fn poll(&mut self) -> Option<Output> {
        todo!()
    }

    pub fn deadline(&self) -> Option<Instant> {
        todo!()
    }

    pub fn queue(&self, _queue: &QueueId) -> Option<QueueView> {
        todo!()
    }

    /// 1-based place of a waiting work in its queue.
    pub fn position(&self, _work: WorkId) -> Option<u32> {
        todo!()
    }

    pub fn stats(&self) -> Stats {
        todo!()
    }

    /// Why the router is not quiet.
    pub fn pending(&self) -> Option<String> {
        todo!()
    }

    /// What must always hold.
    pub fn check(&self) -> Result<(), String> {
        todo!()
    }
}
