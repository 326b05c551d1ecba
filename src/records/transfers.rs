//! Callers who are sent on: by agents, to a queue, another agent or a number; by flows, to a number.

use crate::event::{Event, OfferOutcome, TransferProblem, TransferTo, What};
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
    /// The caller waits in the queue, or talks with the agent or the outside party.
    Done,
    /// The agent did not take him: he waits where he came from.
    NotTaken,
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
            // Who was sent to an agent is rung through a queue: that he waits there is not all.
            What::Queued { again: false, .. } if self.rings().is_none() => self.became(Became::Done),
            What::OutsideJoined { .. } => self.became(Became::Done),
            What::Established { agent, .. } => {
                let taken = self.rings() == Some(*agent);
                self.rang(if taken { Became::Done } else { Became::NotTaken });
            }
            What::OfferEnded { agent, outcome, .. } if self.rings() == Some(*agent) && misses(*outcome) => {
                self.rang(Became::NotTaken);
            }
            What::Diverted { .. } => self.rang(Became::NotTaken),
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

    /// The agent whom he was sent to, and who has neither taken him nor not.
    fn rings(&self) -> Option<AgentId> {
        match self.0.last() {
            Some(Transfer { to: To::Agent(agent), result: None, .. }) => Some(*agent),
            _ => None,
        }
    }

    fn rang(&mut self, result: Became) {
        if self.rings().is_some() {
            self.became(result);
        }
    }

    fn became(&mut self, result: Became) {
        if let Some(last) = self.0.last_mut() {
            last.result = last.result.or(Some(result));
        }
    }
}

/// Whether he whose phone rang did not take the call, so that others may. Where the caller has left, the call's end says so.
fn misses(outcome: OfferOutcome) -> bool {
    match outcome {
        OfferOutcome::Declined | OfferOutcome::NoAnswer | OfferOutcome::Unreachable | OfferOutcome::Withdrawn => true,
        OfferOutcome::Accepted | OfferOutcome::CallerLeft | OfferOutcome::Failed => false,
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
            Some(Became::NotTaken) => (kind, "not_taken", None),
            Some(Became::Failed(why)) => (kind, "failed", Some(format!("{why:?}"))),
            Some(Became::Ended) | None => (kind, "ended", None),
        }
    }
}
