//! Parties who vanish while nothing need be heard of them: who holds may say nothing (RFC 3264 §8.4), so silence tells
//! nothing. They are asked within the dialog, at once where an agent's phone does not answer outside of it, and have 64·T1
//! to answer (RFC 3261 §12.2.1.2): a phone that says nothing for some seconds gets no new call, but loses none that it has.

use super::{Engine, LegState};
use crate::ids::{AgentId, LegId};
use crate::sip;

impl Engine {
    /// The leg has another session, or its first.
    pub(super) fn watch(&mut self, id: LegId) {
        let Some(leg) = self.legs.get(&id) else { return };
        if matches!(leg.state, LegState::Confirmed { .. }) {
            let on = leg.may_be_silent();
            self.sip_do(sip::Command::Watch { leg: id, on });
        }
    }

    /// None of the agent's phones answers: if he is holding, he may be gone. Who talks is missed when he is not heard.
    pub(super) fn ask_who_holds(&mut self, agent: AgentId) {
        let talk = self.talking.get(&agent).and_then(|call| self.calls.get(call)?.conversation.as_ref());
        if let Some(leg) = talk.map(|talk| talk.leg).filter(|leg| self.legs[leg].may_be_silent()) {
            self.sip_do(sip::Command::AskNow { leg });
        }
    }
}
