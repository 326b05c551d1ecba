//! What the router tells: decisions, changes of state, and how the queues stand.

use super::agent::{AgentState, StateReason};
use super::matching::Explanation;
use crate::ids::{AgentId, QueueId, ReservationId, WorkId};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the engine must do, or should know. Taken with [`super::Router::poll`].
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
    Withdrawn {
        reservation: ReservationId,
        work: WorkId,
        agent: AgentId,
        why: Withdrawal,
    },
    /// The work is this agent's; it waits no more. At most once per `Enqueue`. `waited` counts from `arrived`.
    Accepted {
        reservation: ReservationId,
        work: WorkId,
        agent: AgentId,
        queue: QueueId,
        waited: Duration,
    },
    State {
        agent: AgentId,
        from: AgentState,
        to: AgentState,
        reason: StateReason,
    },
    /// An agent who is signed in can be rung no more, by any phone or number, or can again. Who signs in counts as
    /// reachable until this says otherwise.
    Reachable {
        agent: AgentId,
        reachable: bool,
    },
    /// `max_wait` is over and nobody is being rung for it: the work waits no more.
    Expired {
        work: WorkId,
    },
    /// The work does not wait (any more).
    Rejected {
        work: WorkId,
        why: Rejection,
    },
}

/// Why an offer was taken back.
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

/// Why a work may not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rejection {
    /// The queue's `max_waiting` is reached.
    Full,
    /// No such queue, or the new configuration no longer has it.
    UnknownQueue,
    /// Nobody has been at work in the queue for as long as it waits for somebody.
    NoStaff,
    /// The expected wait is longer than the queue allows.
    LongWait,
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
