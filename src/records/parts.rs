//! Each participant's part of a call as intervals that tile: what the caller, each agent who was rung and each outside
//! party lived through, from the first moment to the last, through transfers, lost phones and holds.

use crate::event::{Event, Party, TransferTo, What};
use crate::ids::{AgentId, LegId, QueueId, TrunkId};
use crate::time::Wall;
use serde::{Deserialize, Serialize};

/// One stretch of one leg; the leg's next one begins where this one ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub leg: LegId,
    pub party: Party,
    pub kind: PartKind,
    /// Of an agent's leg: the agent. Of the caller's: with whom he talks, or by whom he is held.
    pub agent: Option<AgentId>,
    /// In which he waits, or out of which the talk came.
    pub queue: Option<QueueId>,
    /// Over which the leg goes out, as far as that was known in the end.
    pub trunk: Option<TrunkId>,
    pub from: Wall,
    pub to: Wall,
}

/// What a stretch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PartKind {
    /// The caller's call has come and nothing else.
    Arriving,
    /// The caller is led through a flow.
    Flow,
    /// The caller waits for an agent.
    Waiting,
    /// An agent's or outside party's phone rings; the caller of an outside party waits for him.
    Ringing,
    Talking,
    /// Talking, interrupted: one has put the other on hold.
    Held,
}

/// The parts of one call while it runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Parts {
    done: Vec<Part>,
    /// One for each leg that is there, `to` being its `from`; the caller's first.
    open: Vec<Part>,
}

impl Parts {
    /// Takes the call's next event, which was `at`.
    pub fn apply(&mut self, at: Wall, event: &Event) {
        match &event.what {
            What::CallArrived { leg, trunk, .. } => {
                self.begin(Part { trunk: trunk.clone(), ..part(*leg, Party::Caller, PartKind::Arriving, at) });
            }
            What::CallAnswered { .. } | What::StepEntered { .. } => self.led(at),
            What::Queued { queue, .. } => self.caller(at, PartKind::Waiting, None, Some(queue)),
            What::Diverted { .. } | What::TransferFailed { .. } => self.caller(at, PartKind::Flow, None, None),
            What::Delivered { agent, leg, .. } => {
                let queue = self.open.first().and_then(|caller| caller.queue.clone());
                let rings = part(*leg, Party::Agent(*agent), PartKind::Ringing, at);
                self.begin(Part { agent: Some(*agent), queue, ..rings });
            }
            What::Established { queue, agent, leg, .. } => {
                self.turn(*leg, at, PartKind::Talking, Some(*agent), Some(queue));
                self.caller(at, PartKind::Talking, Some(*agent), Some(queue));
            }
            What::Held { leg } => self.both(*leg, at, PartKind::Held),
            What::Retrieved { leg } => self.both(*leg, at, PartKind::Talking),
            What::Transferred { to: TransferTo::Number(_), .. } => self.caller(at, PartKind::Ringing, None, None),
            What::OutsideCalled { leg, .. } => {
                self.begin(part(*leg, Party::Outside, PartKind::Ringing, at));
                self.caller(at, PartKind::Ringing, None, None);
            }
            What::NetworkReached { leg, trunk } => {
                self.open.iter_mut().filter(|open| open.leg == *leg).for_each(|open| open.trunk = Some(trunk.clone()));
            }
            What::OutsideJoined { leg } => {
                self.turn(*leg, at, PartKind::Talking, None, None);
                self.caller(at, PartKind::Talking, None, None);
            }
            What::ConnectionCleared { leg, .. } => self.end(*leg, at),
            What::CallEnded { .. } => {
                while let Some(leg) = self.open.first().map(|open| open.leg) {
                    self.end(leg, at);
                }
            }
            _ => {}
        }
    }

    /// What is complete, in the order in which it was completed; all after the call's end.
    pub fn done(&self) -> &[Part] {
        &self.done
    }

    /// Those that a leg of the call came or goes over.
    pub fn trunks(&self) -> impl Iterator<Item = &TrunkId> {
        self.done.iter().chain(&self.open).filter_map(|part| part.trunk.as_ref())
    }

    fn begin(&mut self, part: Part) {
        self.open.push(part);
    }

    fn led(&mut self, at: Wall) {
        if self.open.first().is_some_and(|caller| caller.kind == PartKind::Arriving) {
            self.caller(at, PartKind::Flow, None, None);
        }
    }

    fn caller(&mut self, at: Wall, kind: PartKind, agent: Option<AgentId>, queue: Option<&QueueId>) {
        let caller = self.open.first().filter(|first| first.party == Party::Caller).map(|caller| caller.leg);
        caller.into_iter().for_each(|leg| self.turn(leg, at, kind, agent, queue));
    }

    /// Caller and agent, if `leg` is one of theirs.
    fn both(&mut self, leg: LegId, at: Wall, kind: PartKind) {
        let talks = |open: &&Part| matches!(open.kind, PartKind::Talking | PartKind::Held);
        let two: Vec<Part> = self.open.iter().filter(talks).cloned().collect();
        if two.iter().any(|part| part.leg == leg) {
            two.into_iter().for_each(|part| self.turn(part.leg, at, kind, part.agent, part.queue.as_ref()));
        }
    }

    /// The leg's stretch ends, and another one begins.
    fn turn(&mut self, leg: LegId, at: Wall, kind: PartKind, agent: Option<AgentId>, queue: Option<&QueueId>) {
        let Some(open) = self.open.iter_mut().find(|open| open.leg == leg) else { return };
        // A wall clock that was set back must not make time count twice.
        let at = at.max(open.from);
        let next = Part { kind, agent, queue: queue.cloned(), from: at, to: at, ..open.clone() };
        let over = std::mem::replace(open, next);
        self.done.push(Part { to: at, ..over });
    }

    fn end(&mut self, leg: LegId, at: Wall) {
        if let Some(place) = self.open.iter().position(|open| open.leg == leg) {
            let over = self.open.remove(place);
            self.done.push(Part { to: at.max(over.from), ..over });
        }
    }
}

fn part(leg: LegId, party: Party, kind: PartKind, at: Wall) -> Part {
    Part { leg, party, kind, agent: None, queue: None, trunk: None, from: at, to: at }
}
