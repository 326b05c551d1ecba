//! Events folded into what people ask for later: one record for each call, one interval for each state of an
//! agent, one drawing for each call.
//!
//! How a call ended and how an offer to an agent ended are two things: an agent's phone that rang in vain is no
//! missed call ([`Offer`]), and a call that was offered to three agents is one call ([`CallRecord`]).
//!
//! [`Fold`] makes the rows of the tables that reports read ([`schema`] says what they hold), [`Calls`] and [`Agents`]
//! single records. All hold only what is still open; what is complete is handed out by `apply`. Events of a call whose
//! arrival was not seen are passed over, so that a fold may begin anywhere in the log.

mod drawing;
mod fold;
mod intervals;
mod parts;
mod paths;
mod rows;
pub mod schema;
pub mod service_level;
pub mod spans;
mod transfers;

pub use drawing::ladder_of;
pub use fold::{Fold, OpenCall};
pub use intervals::{Agents, Interval, STARTED};
pub use parts::{Part, PartKind, Parts};
pub use paths::{Exit, IS_ENTRY, LookUp, Path, Paths};
pub use rows::{Cell, Disposition, Row, time_of};
pub use transfers::{Became, To, Transfer, Transfers};

use crate::event::{Cause, DivertReason, Event, OfferOutcome, Party, Personal, Phase, What};
use crate::ids::{AgentId, CallId, LegId, LineId, QueueId, ReservationId, TrunkId, WorkId};
use crate::time::Wall;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// One call from its first INVITE to its last leg gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    pub call: CallId,
    /// `None` where an agent dialed a short code.
    pub line: Option<LineId>,
    pub by_agent: Option<AgentId>,
    /// With text only if the event had it.
    pub caller: Personal,
    /// The caller does not want agents to see his number.
    pub private: bool,
    pub language: String,
    pub arrived: Wall,
    pub answered: Option<Wall>,
    /// `None` while it runs, like `phase` and `cause`.
    pub ended: Option<Wall>,
    pub phase: Option<Phase>,
    pub cause: Option<Cause>,
    /// The trunk that brought it, if one did.
    pub trunk: Option<TrunkId>,
    /// When caller and an outside party began to talk.
    pub transferred: Option<Wall>,
    /// One for each wait in a queue, with the talk that followed, in order.
    pub segments: Vec<Segment>,
    /// One for each agent's phone that was rung, in order.
    pub offers: Vec<Offer>,
}

/// One wait in one queue and, if an agent took the call, their talk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    pub work: WorkId,
    pub queue: QueueId,
    pub priority: i32,
    pub queued_at: Wall,
    /// `None` while the caller waits.
    pub left: Option<Wall>,
    /// Back in the queue because the agent before was lost.
    pub again: bool,
    /// In this queue; zero while the caller waits.
    pub waited: Duration,
    pub wait: Wait,
    /// How long the flow first said that an answered wait would be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Duration>,
    pub agent: Option<AgentId>,
    pub leg: Option<LegId>,
    pub talk_from: Option<Wall>,
    /// Hold included: [`time_of`] tells them apart. `None` before it is over.
    pub talk: Option<Duration>,
}

/// How a wait in a queue ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wait {
    Waiting,
    Answered,
    Diverted(DivertReason),
    /// The call ended first.
    Ended(Cause),
}

/// One agent's phone that was rung.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    pub reservation: ReservationId,
    pub work: WorkId,
    pub agent: AgentId,
    pub at: Wall,
    /// Zero while it rings.
    pub rang: Duration,
    /// `None` while it rings.
    pub outcome: Option<OfferOutcome>,
}

/// What became of a call, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Outcome {
    Running,
    /// Talked with an agent last.
    Served,
    /// Talked with an outside party last.
    Transferred,
    /// The caller left while waiting for an agent.
    Abandoned,
    /// The caller left the flow without having waited, or after a diversion.
    LeftFlow,
    FlowEnded,
    /// Something of ours or between us ended it.
    Failed,
}

impl Outcome {
    pub fn text(self) -> &'static str {
        match self {
            Outcome::Running => "running",
            Outcome::Served => "served",
            Outcome::Transferred => "transferred",
            Outcome::Abandoned => "abandoned",
            Outcome::LeftFlow => "left the flow",
            Outcome::FlowEnded => "flow ended",
            Outcome::Failed => "failed",
        }
    }
}

impl CallRecord {
    /// That of a call that has just arrived.
    fn of(event: &Event) -> Option<CallRecord> {
        let What::CallArrived { line, by_agent, trunk, caller, private, language, .. } = &event.what else {
            return None;
        };
        Some(CallRecord {
            call: event.call?,
            line: line.clone(),
            by_agent: *by_agent,
            caller: caller.clone(),
            private: *private,
            language: language.clone(),
            arrived: event.at,
            answered: None,
            ended: None,
            phase: None,
            cause: None,
            trunk: trunk.clone(),
            transferred: None,
            segments: Vec::new(),
            offers: Vec::new(),
        })
    }

    pub fn outcome(&self) -> Outcome {
        let Some(cause) = self.cause else { return Outcome::Running };
        if self.transferred.is_some() {
            return Outcome::Transferred;
        }
        match (self.segments.last().map(|s| s.wait), cause) {
            (Some(Wait::Answered), _) => Outcome::Served,
            (Some(Wait::Waiting | Wait::Ended(_)), cause) if cause.is_callers_own() => Outcome::Abandoned,
            (Some(Wait::Waiting | Wait::Ended(_)), _) => Outcome::Failed,
            (Some(Wait::Diverted(_)) | None, cause) if cause.is_callers_own() => Outcome::LeftFlow,
            (Some(Wait::Diverted(_)) | None, Cause::FlowEnded | Cause::Commanded) => Outcome::FlowEnded,
            (Some(Wait::Diverted(_)) | None, _) => Outcome::Failed,
        }
    }

    /// The time in queues.
    pub fn waited(&self) -> Duration {
        self.segments.iter().map(|s| s.waited).sum()
    }

    /// Takes the call's next event.
    fn apply(&mut self, event: &Event) {
        match &event.what {
            What::OutsideJoined { .. } => self.transferred = Some(event.at),
            What::CallAnswered { .. } => self.answered = Some(event.at),
            What::Queued { work, queue, priority, again, .. } => {
                self.queued(event.at, *work, (queue, *priority), *again);
            }
            What::Delivered { reservation, work, agent, .. } => {
                let (reservation, work, agent, rang) = (*reservation, *work, *agent, Duration::ZERO);
                self.offers.push(Offer { reservation, work, agent, at: event.at, rang, outcome: None });
            }
            What::OfferEnded { reservation, outcome, .. } => self.offer_ended(event.at, *reservation, *outcome),
            What::Established { work, agent, leg, told, .. } => {
                if let Some(segment) = self.waiting(*work) {
                    segment.left(event.at, Wait::Answered);
                    segment.told = *told;
                    (segment.agent, segment.leg, segment.talk_from) = (Some(*agent), Some(*leg), Some(event.at));
                }
            }
            What::Diverted { work, why, .. } => {
                if let Some(segment) = self.waiting(*work) {
                    segment.left(event.at, Wait::Diverted(*why));
                }
            }
            What::ConnectionCleared { party: Party::Caller, cause, .. } => self.close(event.at, *cause),
            What::ConnectionCleared { leg, .. } => {
                self.segments.iter_mut().filter(|s| s.leg == Some(*leg)).for_each(|s| s.talk_ends(event.at));
            }
            What::CallEnded { cause, phase } => {
                self.close(event.at, *cause);
                (self.ended, self.cause, self.phase) = (Some(event.at), Some(*cause), Some(*phase));
            }
            _ => {}
        }
    }

    fn queued(&mut self, at: Wall, work: WorkId, (queue, priority): (&QueueId, i32), again: bool) {
        self.segments.iter_mut().for_each(|s| s.talk_ends(at));
        self.segments.push(Segment {
            work,
            queue: queue.clone(),
            priority,
            queued_at: at,
            left: None,
            again,
            waited: Duration::ZERO,
            wait: Wait::Waiting,
            told: None,
            agent: None,
            leg: None,
            talk_from: None,
            talk: None,
        });
    }

    fn waiting(&mut self, work: WorkId) -> Option<&mut Segment> {
        self.segments.iter_mut().rfind(|s| s.work == work && s.wait == Wait::Waiting)
    }

    fn offer_ended(&mut self, at: Wall, reservation: ReservationId, outcome: OfferOutcome) {
        if let Some(offer) = self.offers.iter_mut().rfind(|o| o.reservation == reservation && o.outcome.is_none()) {
            (offer.rang, offer.outcome) = (between(offer.at, at), Some(outcome));
        }
    }

    /// The caller is gone: nothing waits or talks any more.
    fn close(&mut self, at: Wall, cause: Cause) {
        for segment in &mut self.segments {
            segment.left(at, Wait::Ended(cause));
            segment.talk_ends(at);
        }
    }
}

impl Segment {
    fn left(&mut self, at: Wall, wait: Wait) {
        if self.wait == Wait::Waiting {
            (self.wait, self.waited) = (wait, between(self.queued_at, at));
            self.left = Some(at.max(self.queued_at));
        }
    }

    fn talk_ends(&mut self, at: Wall) {
        if let (Some(from), None) = (self.talk_from, self.talk) {
            self.talk = Some(between(from, at));
        }
    }
}

/// The fold over the log. Holds the calls that run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Calls {
    running: BTreeMap<CallId, CallRecord>,
}

impl Calls {
    /// Takes the next event; returns the call's record when this was its end.
    pub fn apply(&mut self, event: &Event) -> Option<CallRecord> {
        let call = event.call?;
        if let Some(record) = CallRecord::of(event) {
            self.running.insert(call, record);
            return None;
        }
        self.running.get_mut(&call)?.apply(event);
        match event.what {
            What::CallEnded { .. } => self.running.remove(&call),
            _ => None,
        }
    }

    /// The calls that run, by age.
    pub fn running(&self) -> impl Iterator<Item = &CallRecord> {
        self.running.values()
    }
}

/// The record of one call from its own events, complete or not; `None` without its arrival.
pub fn record_of(events: &[Event]) -> Option<CallRecord> {
    let mut calls = Calls::default();
    let ended = events.iter().fold(None, |done, event| calls.apply(event).or(done));
    ended.or_else(|| calls.running.into_values().next())
}

/// What each participant of one call lived through, from its own events, as far as that is over.
pub fn parts_of(events: &[Event]) -> Parts {
    let mut parts = Parts::default();
    events.iter().for_each(|event| parts.apply(event.at, event));
    parts
}

/// The time from `from` to `to`; zero if the wall clock was set back in between.
fn between(from: Wall, to: Wall) -> Duration {
    Duration::from_millis(u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0))
}

#[cfg(test)]
mod tests;
