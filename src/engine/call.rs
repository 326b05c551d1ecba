//! A customer's journey: its legs and its three activities.
//!
//! A flow run, seeking and a conversation may run side by side. What people call the phase of the call is
//! derived from them, never stored.

use super::allowance::Allowance;
use super::identity::Origin;
use crate::acd::Place;
use crate::event::Phase;
use crate::ids::{AgentId, CallId, LegId, LineId, QueueId, ReservationId};
use crate::ivr::Run;
use crate::sip::header::NameAddr;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Call {
    pub id: CallId,
    /// None for an agent who dialed a short code.
    pub line: Option<LineId>,
    pub language: String,
    pub caller: LegId,
    /// What an agent's phone shows of the caller.
    pub caller_shown: NameAddr,
    pub origin: Origin,
    /// The agent whose phone this call came from, if it came from one.
    pub by_agent: Option<AgentId>,
    /// What the caller is led through. It stays at its queue step while he waits and talks.
    pub run: Run,
    pub seeking: Option<Seeking>,
    pub conversation: Option<Conversation>,
    pub outside: Option<Outside>,
    /// How often its flow may still take a key: each is an event.
    pub keying: Allowance,
}

/// A work in a queue and the phones that ring for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Seeking {
    pub place: Place,
    pub alerting: BTreeMap<ReservationId, LegId>,
    /// How long the caller will go on waiting, and when that was asked; for flows that want to know.
    #[serde(default)]
    pub expected: Option<(Instant, Option<Duration>)>,
}

/// Caller and agent talk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Conversation {
    pub agent: AgentId,
    pub leg: LegId,
    pub place: Place,
    /// What the caller had waited when the agent answered: counts on if he is passed on to another queue
    /// ([`Place::dispatched`]).
    pub waited: Duration,
    /// The party that has put the other one on hold.
    pub held_by: Option<LegId>,
    /// The agent did so at the desktop: the phone knows nothing of it.
    pub by_desk: bool,
}

/// An outside party whom the flow has called, or to whom an agent has sent the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    pub leg: LegId,
    /// He has answered: caller and he hear each other.
    pub talking: bool,
    /// He has not answered, and what is said before is heard: announcements, the ringing tone of his network.
    #[serde(default)]
    pub early: bool,
    /// Where the caller waits if he is not reached; none where the flow goes on.
    pub back: Option<Place>,
    /// The party that has put the other one on hold.
    #[serde(default)]
    pub held_by: Option<LegId>,
}

impl Call {
    pub fn phase(&self, answered: bool) -> Phase {
        match &self.outside {
            Some(Outside { talking: true, .. }) => return Phase::Connected,
            Some(Outside { talking: false, .. }) => return Phase::Alerting,
            None => {}
        }
        match (&self.conversation, &self.seeking) {
            (Some(_), _) => Phase::Connected,
            (None, Some(seeking)) if !seeking.alerting.is_empty() => Phase::Alerting,
            (None, Some(_)) => Phase::Queued,
            (None, None) if answered => Phase::InFlow,
            (None, None) => Phase::Arriving,
        }
    }

    /// Who talks with the caller: an agent, or an outside party.
    fn partner(&self) -> Option<LegId> {
        let agent = self.conversation.as_ref().map(|talk| talk.leg);
        agent.or_else(|| self.outside.as_ref().filter(|outside| outside.talking).map(|outside| outside.leg))
    }

    /// The other one of the two who talk, if `leg` is one of them.
    pub fn other(&self, leg: LegId) -> Option<LegId> {
        match (leg, self.partner()?) {
            (leg, partner) if leg == self.caller => Some(partner),
            (leg, partner) if leg == partner => Some(self.caller),
            _ => None,
        }
    }

    /// Who of the two who talk holds the other.
    pub fn held_by(&self) -> Option<LegId> {
        let agent = self.conversation.as_ref().map(|talk| talk.held_by);
        agent.or_else(|| self.outside.as_ref().map(|outside| outside.held_by)).flatten()
    }

    /// The same from now on; whoever holds does so by his phone.
    pub fn set_holder(&mut self, holder: Option<LegId>) {
        match (&mut self.conversation, &mut self.outside) {
            (Some(talk), _) => (talk.held_by, talk.by_desk) = (holder, talk.by_desk && holder.is_some()),
            (None, Some(outside)) => outside.held_by = holder,
            (None, None) => {}
        }
    }

    /// Whose music it is that the held one hears: the queue's that the caller came from.
    pub fn queue(&self) -> Option<&QueueId> {
        let back = self.outside.as_ref().and_then(|outside| outside.back.as_ref());
        self.conversation.as_ref().map(|talk| &talk.place).or(back).map(|place| &place.queue)
    }
}
