//! Who leaves, and what remains of the others.
//!
//! An outside party who hangs up ends the call too, and one who is lost: nobody would take the caller back.
//! The caller's leg is the call: when it goes, all goes. An agent who hangs up ends the call. An agent's leg
//! that fails never ends it: the caller waits again, with the wait he has already served.

use super::{Call, Deadline, Engine, LegState};
use crate::acd;
use crate::event::{Cause, DivertReason, GivenReason, OfferOutcome, Party, Phase, What};
use crate::ids::{CallId, LegId, WorkId};
use crate::media;
use crate::sip::{self, EndCause};

/// The Reason header of a cause (RFC 3326).
pub(super) fn reason(cause: Cause) -> sip::Reason {
    sip::Reason { protocol: "Q.850".to_owned(), cause: cause.q850(), text: cause.text().to_owned() }
}

/// The Reason for a phone whose colleague was faster: it shows no missed call (RFC 3326 §3.1).
pub(super) fn answered_elsewhere() -> sip::Reason {
    sip::Reason { protocol: "SIP".to_owned(), cause: 200, text: "Call completed elsewhere".to_owned() }
}

impl Engine {
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// Whether a drain has come to its end: no call is left.
    pub fn is_drained(&self) -> bool {
        self.draining && self.calls.is_empty()
    }

    /// Whether no call is left, and nobody owes us an answer: all BYEs have arrived.
    pub fn is_silent(&self) -> bool {
        self.calls.is_empty() && self.sip.pending().is_none()
    }

    pub(super) fn phase(&self, call: &Call) -> Phase {
        let state = self.legs.get(&call.caller).map(|leg| &leg.state);
        call.phase(matches!(state, Some(LegState::Answered { .. } | LegState::Confirmed { .. })))
    }

    /// The other side says why it goes.
    pub(super) fn gives_reason(&mut self, id: LegId, reason: Option<&sip::Reason>) {
        let Some(leg) = self.legs.get(&id) else { return };
        let (call, party) = (leg.call, leg.party);
        if let Some(reason) = reason.and_then(|reason| GivenReason::read(&reason.protocol, reason.cause)) {
            self.emit(Some(call), What::ReasonGiven { leg: id, party, reason });
        }
    }

    /// The caller gave up before he was answered.
    pub(super) fn cancelled(&mut self, id: LegId) {
        let Some(call) = self.legs.get(&id).map(|leg| leg.call) else { return };
        self.leave(call, id, Cause::CallerHungUp);
    }

    /// The peer, or the network, ended the leg's dialog.
    pub(super) fn ended(&mut self, id: LegId, why: EndCause) {
        let Some(leg) = self.legs.get(&id) else { return };
        let cause = match (why, leg.party) {
            (EndCause::Bye, Party::Caller) => Cause::CallerHungUp,
            (EndCause::Bye, Party::Agent(_)) => Cause::AgentHungUp,
            (EndCause::Bye, Party::Outside) => Cause::OutsideHungUp,
            (EndCause::NoAck | EndCause::DialogGone | EndCause::Expired, _) => Cause::Protocol,
        };
        self.leave(leg.call, id, cause);
    }

    /// A leg that should be sending audio sends nothing any more.
    pub(super) fn silent(&mut self, id: LegId) {
        // Who has not answered owes no audio, whatever he has begun: how long he may ring is limited elsewhere.
        if matches!(self.legs.get(&id).map(|leg| &leg.state), Some(LegState::Inviting { .. })) {
            return;
        }
        self.drop_leg(id, Cause::Silent);
    }

    /// Hangs up on a leg that is of no use any more, with what that means for its call.
    pub(super) fn drop_leg(&mut self, id: LegId, cause: Cause) {
        let Some(leg) = self.legs.get(&id) else { return };
        let call = leg.call;
        self.sip_do(sip::Command::HangUp { leg: id, reason: Some(reason(cause)) });
        self.leave(call, id, cause);
    }

    /// What the end of a leg's dialog means for its call. The SIP side of the leg is over.
    fn leave(&mut self, id: CallId, leg: LegId, cause: Cause) {
        self.current = Some(id);
        let Some(call) = self.calls.get(&id) else { return };
        if call.caller == leg || call.outside.as_ref().is_some_and(|outside| outside.leg == leg) {
            return self.end_call_phase(id, cause, |engine| engine.clear(leg, cause));
        }
        let talking = call.conversation.as_ref().is_some_and(|talk| talk.leg == leg);
        match (talking, cause) {
            (true, Cause::AgentHungUp) => self.end_call_phase(id, cause, |engine| engine.clear(leg, cause)),
            (true, _) => self.agent_lost(id, cause),
            (false, _) => self.offer_failed(leg, acd::Refusal::Declined, cause),
        }
    }

    /// The agent's phone is gone in mid-call: the caller keeps his wait and his place among the others.
    fn agent_lost(&mut self, id: CallId, cause: Cause) {
        let call = self.calls.get_mut(&id).expect("the call that has just been looked up");
        let talk = call.conversation.take().expect("the agent was talking");
        self.talking.remove(&talk.agent);
        self.clear(talk.leg, cause);
        self.router_do(acd::Input::Finish { agent: talk.agent, queue: talk.place.queue.clone() });
        let mut place = talk.place.again(WorkId(self.ids.works.take()));
        if self.planted(super::Bug::LosesPlace) {
            place.arrived = self.now;
        }
        self.wait(id, place, true);
    }

    /// Ends a call: all its legs, offers and timers.
    pub(super) fn end_call(&mut self, id: CallId, cause: Cause) {
        self.end_call_phase(id, cause, |_| {});
    }

    fn end_call_phase(&mut self, id: CallId, cause: Cause, first: impl FnOnce(&mut Engine)) {
        let Some(call) = self.calls.get(&id) else { return };
        let phase = self.phase(call);
        first(self);
        self.stop_seeking(id);
        let call = &self.calls[&id];
        let talking = call.conversation.as_ref().map(|talk| talk.leg);
        let legs = [Some(call.caller), talking, call.outside.as_ref().map(|outside| outside.leg)];
        for leg in legs.into_iter().flatten().filter(|leg| self.legs.contains_key(leg)).collect::<Vec<_>>() {
            if !self.planted(super::Bug::ForgetsBye) {
                self.sip_do(sip::Command::HangUp { leg, reason: Some(reason(cause)) });
            }
            self.clear(leg, cause);
            #[cfg(feature = "planted-bugs")]
            self.break_at_desk();
        }
        self.finish_in(id, cause, phase);
    }

    /// The caller chose something else than to wait on.
    pub(super) fn leave_queue(&mut self, id: CallId) {
        self.left_queue(id, DivertReason::Left);
    }

    /// The caller waits there no more, and stops what rings for him.
    pub(super) fn left_queue(&mut self, id: CallId, why: DivertReason) {
        self.stop_seeking(id);
        if let Some(seeking) = self.calls.get_mut(&id).and_then(|call| call.seeking.take()) {
            let (work, queue) = (seeking.place.work, seeking.place.queue);
            self.emit(Some(id), What::Diverted { work, queue, why });
        }
    }

    fn stop_seeking(&mut self, id: CallId) {
        let Some(seeking) = self.calls.get(&id).and_then(|call| call.seeking.as_ref()) else { return };
        let work = seeking.place.work;
        let offers: Vec<_> = seeking.alerting.iter().map(|(reservation, leg)| (*reservation, *leg)).collect();
        for (reservation, leg) in offers {
            self.close_offer(reservation, OfferOutcome::CallerLeft);
            self.sip_do(sip::Command::HangUp { leg, reason: Some(reason(Cause::Withdrawn)) });
            self.clear(leg, Cause::Withdrawn);
        }
        self.works.remove(&work);
        if !self.planted(super::Bug::ForgetsDequeue) {
            self.router_do(acd::Input::Dequeue { work });
        }
    }

    pub(super) fn finish(&mut self, id: CallId, cause: Cause) {
        if let Some(call) = self.calls.get(&id) {
            let phase = self.phase(call);
            self.finish_in(id, cause, phase);
        }
    }

    /// The last leg is gone: the call is over.
    fn finish_in(&mut self, id: CallId, cause: Cause, phase: Phase) {
        let Some(call) = self.calls.remove(&id) else { return };
        self.forget_notes(id);
        self.timers.cancel(&Deadline::NoKey(id));
        if let Some(talk) = call.conversation {
            self.talking.remove(&talk.agent);
            if !self.planted(super::Bug::ForgetsFinish) {
                self.router_do(acd::Input::Finish { agent: talk.agent, queue: talk.place.queue });
            }
        }
        if let Some(agent) = call.by_agent.filter(|agent| !self.calls_himself(*agent)) {
            self.router_do(acd::Input::Vacate { agent }); // that was the last call of his own
        }
        self.emit(Some(id), What::CallEnded { cause, phase });
        if self.planted(super::Bug::EndsTwice) {
            self.emit(Some(id), What::CallEnded { cause, phase });
        }
    }

    /// Forgets a leg whose SIP side is over: closes its port and says so.
    pub(super) fn clear(&mut self, id: LegId, cause: Cause) {
        let Some(mut leg) = self.legs.remove(&id) else { return };
        leg.trunk.take().into_iter().for_each(|(trunk, way)| self.release(trunk, way));
        self.timers.cancel(&Deadline::NoReaction(id));
        self.timers.cancel(&Deadline::RingsInVain(id));
        if let Some(owner) = self.ports.get_mut(&leg.port) {
            *owner = leg.gone();
            if !self.planted(super::Bug::LeaksPort) {
                self.media_do(media::Command::Close { port: leg.port });
            }
        }
        if self.planted(super::Bug::ForgetsCleared) {
            return;
        }
        self.emit(Some(leg.call), What::ConnectionCleared { leg: id, party: leg.party, cause });
    }

    pub(super) fn end_all(&mut self, cause: Cause) {
        let calls: Vec<CallId> = self.calls.keys().copied().collect();
        for call in calls {
            self.current = Some(call);
            self.end_call(call, cause);
        }
    }
}
