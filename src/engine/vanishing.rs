//! Parties who vanish while nothing need be heard of them: who holds may say nothing (RFC 3264 §8.4), so silence tells
//! nothing. They are asked within the dialog; and an agent's phone that does not answer outside of it is gone as well.

use super::{Engine, LegState};
use crate::event::Cause;
use crate::ids::{AgentId, LegId};
use crate::sip;

impl Engine {
    /// The leg has another session, or its first.
    pub(super) fn watch(&mut self, id: LegId) {
        let Some(leg) = self.legs.get(&id) else { return };
        if matches!(leg.state, LegState::Confirmed { .. }) {
            let on = leg.holds_us();
            self.sip_do(sip::Command::Watch { leg: id, on });
        }
    }

    /// None of the agent's phones answers: if he is holding, he is gone. Who talks is missed when he is not heard.
    pub(super) fn end_dead_hold(&mut self, agent: AgentId) {
        let talk = self.talking.get(&agent).and_then(|call| self.calls.get(call)?.conversation.as_ref());
        let holds = |leg: &LegId| {
            let leg = &self.legs[leg];
            leg.hunt.is_none() && leg.holds_us()
        };
        if let Some(leg) = talk.map(|talk| talk.leg).filter(holds) {
            self.drop_leg(leg, Cause::Unreachable);
        }
    }
}
