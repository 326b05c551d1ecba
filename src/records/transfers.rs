//! Callers who are sent on: by agents, to a queue, another agent or a number; by flows, to a number.

use crate::event::{Event, TransferProblem, TransferTo, What};
use crate::ids::{AgentId, QueueId};
use crate::time::Wall;
use serde::{Deserialize, Serialize};

/// A caller was sent on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    pub at: Wall,
    /// Who did it; none: a flow.
    pub by: Option<AgentId>,
    pub to: To,
    /// None while it is under way.
    pub result: Option<Became>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum To {
    Queue(QueueId),
    Agent(AgentId),
    Number,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Became {
    /// The caller waits there, or talks with the outside party.
    Done,
    Failed(TransferProblem),
    /// The call ended before.
    Ended,
}

/// Those of one call, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Transfers(Vec<Transfer>);

impl Transfers {
    /// Takes the call's next event, which was `at`.
    pub fn apply(&mut self, at: Wall, event: &Event) {
        match &event.what {
            What::Transferred { agent, to } => {
                let to = match to {
                    TransferTo::Queue(queue) => To::Queue(queue.clone()),
                    TransferTo::Agent(agent) => To::Agent(*agent),
                    TransferTo::Number(_) => To::Number,
                };
                self.0.push(Transfer { at, by: Some(*agent), to, result: None });
            }
            What::OutsideCalled { .. } => self.of_flow(at),
            What::Queued { again: false, .. } | What::OutsideJoined { .. } => self.became(Became::Done),
            What::TransferFailed { why } => {
                self.of_flow(at); // nobody was called where no trunk may
                self.became(Became::Failed(*why));
            }
            What::CallEnded { .. } => self.became(Became::Ended),
            _ => {}
        }
    }

    pub fn all(self) -> Vec<Transfer> {
        self.0
    }

    /// A flow sends the caller to a number, unless that is under way, or an agent has done so.
    fn of_flow(&mut self, at: Wall) {
        if self.0.last().is_none_or(|last| last.result.is_some()) {
            self.0.push(Transfer { at, by: None, to: To::Number, result: None });
        }
    }

    fn became(&mut self, result: Became) {
        if let Some(last) = self.0.last_mut() {
            last.result = last.result.or(Some(result));
        }
    }
}

impl Transfer {
    /// Its kind, result and reason, as words.
    pub(super) fn words(&self) -> (&'static str, &'static str, Option<String>) {
        let kind = match self.to {
            To::Queue(_) => "queue",
            To::Agent(_) => "agent",
            To::Number => "number",
        };
        match self.result {
            Some(Became::Done) => (kind, "done", None),
            Some(Became::Failed(why)) => (kind, "failed", Some(format!("{why:?}"))),
            Some(Became::Ended) | None => (kind, "ended", None),
        }
    }
}
