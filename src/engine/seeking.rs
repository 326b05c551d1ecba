//! Work, offers of it to agents, and the agent who answers.
//!
//! An offer is a reservation of the router and a leg that rings, one for one. However an offer ends,
//! [`Engine::close_offer`] says so, once.

use super::{Conversation, Deadline, Engine, Leg, LegState, Place, Seeking};
use crate::acd::{self, Explanation, Refusal, Rejection, Withdrawal};
use crate::center::Center;
use crate::event::{AgentMode, Cause, DivertReason, OfferOutcome, Party, What};
use crate::ids::{AgentId, CallId, LegId, ReservationId, WorkId};
use crate::ivr::{self, QueueResult};
use crate::media;
use crate::sip::header::NameAddr;
use crate::sip::{self, Body, FailureCause};
use crate::trunk::Failure;
use std::collections::BTreeMap;
use std::time::Duration;

/// A phone that has not even sent a 100 after three retransmissions (RFC 3261 §17.1.1.2: 0.5, 1.5, 3.5 s) is taken
/// for dead, and the next agent's is rung.
pub(super) const REACTION_TIME: Duration = Duration::from_secs(4);

impl Engine {
    /// Lets the caller wait at `place`. What he hears there is the run's.
    pub(super) fn wait(&mut self, id: CallId, place: Place, again: bool) {
        let place = self.sparing(place);
        let call = self.calls.get_mut(&id).expect("only a call that lives is queued");
        call.seeking = Some(Seeking { place: place.clone(), alerting: BTreeMap::new(), expected: None });
        self.works.insert(place.work, id);
        self.run(id, ivr::Input::WaitsAgain { queue: place.queue.clone() }); // who comes from an agent hears music again
        let Place { work, queue, priority, skills, .. } = place.clone();
        let served = self.now.since(place.arrived);
        self.emit(Some(id), What::Queued { work, queue, priority, skills, again, served });
        let mut place = place.asked();
        if self.planted(super::Bug::AsksTooMuch) {
            place.skills = BTreeMap::from([(crate::ids::SkillId::new("clairvoyance"), 10)]);
        }
        place.admitted &= !self.planted(super::Bug::TurnsAway);
        self.router_do(acd::Input::Enqueue(place));
        self.run(id, ivr::Input::Waits);
    }

    pub(super) fn router_said(&mut self, output: acd::Output) {
        use acd::Output as O;
        match output {
            O::Offered { reservation, work, agent, explanation, .. } => {
                self.offer(reservation, work, agent, explanation)
            }
            O::Withdrawn { reservation, why, .. } => self.withdrawn(reservation, why),
            O::Accepted { reservation, work, agent, waited, .. } => self.connect(reservation, work, agent, waited),
            O::State { agent, from, to, reason } => self.agent_changed(agent, &from, &to, reason),
            O::Reachable { agent, reachable } => {
                self.emit(None, What::AgentReachable { agent, reachable });
                if !reachable {
                    self.stops_working(agent);
                }
            }
            O::Expired { work } => self.diverted(work, DivertReason::MaxWait),
            O::Rejected { work, why: Rejection::Full } => self.diverted(work, DivertReason::Full),
            O::Rejected { work, why: Rejection::UnknownQueue } => self.diverted(work, DivertReason::Refused),
            O::Rejected { work, why: Rejection::NoStaff } => self.diverted(work, DivertReason::NoStaff),
            O::Rejected { work, why: Rejection::LongWait } => self.diverted(work, DivertReason::LongWait),
        }
    }

    fn agent_changed(&mut self, agent: AgentId, from: &acd::AgentState, to: &acd::AgentState, why: acd::StateReason) {
        let reason = match to {
            acd::AgentState::NotReady(reason) if !reason.is_empty() => reason.clone(),
            _ => format!("{why:?}"),
        };
        let call = self.talking.get(&agent).copied();
        let from = if self.planted(super::Bug::MistellsState) { AgentMode::LoggedOut } else { mode(from) };
        self.emit(call, What::AgentStateChanged { agent, from, to: mode(to), reason });
        if matches!(to, acd::AgentState::LoggedOut | acd::AgentState::NotReady(_)) {
            self.stops_working(agent);
        }
    }

    fn diverted(&mut self, work: WorkId, why: DivertReason) {
        let Some(id) = self.works.remove(&work) else { return };
        self.current = Some(id);
        let Some(seeking) = self.calls.get_mut(&id).and_then(|call| call.seeking.take()) else { return };
        self.emit(Some(id), What::Diverted { work, queue: seeking.place.queue, why });
        let result = match why {
            DivertReason::Full => QueueResult::Full,
            DivertReason::MaxWait => QueueResult::TimedOut,
            DivertReason::Refused | DivertReason::Left | DivertReason::NotTaken => QueueResult::Refused,
            DivertReason::NoStaff => QueueResult::NoStaff,
            DivertReason::LongWait => QueueResult::LongWait,
        };
        self.run(id, ivr::Input::QueueResult(result));
    }

    /// Begins to ring an agent's phone: opens a port beside the caller's.
    fn offer(&mut self, reservation: ReservationId, work: WorkId, agent: AgentId, explanation: Explanation) {
        let Some(id) = self.works.get(&work).copied() else {
            return self.router_do(acd::Input::Dequeue { work }); // the call is gone: so is its work
        };
        self.current = Some(id);
        let leg = self.sip.next_leg();
        let plane = self.caller_port(id).plane;
        let six = self.rings_six(agent);
        let port = self.open_port(plane, leg, six);
        let mut new = Leg::new(leg, id, Party::Agent(agent), port, self.manner(false));
        (new.reservation, new.work) = (Some(reservation), Some(work));
        self.legs.insert(leg, new);
        self.offers.insert(reservation, leg);
        let seeking = self.calls.get_mut(&id).and_then(|call| call.seeking.as_mut());
        seeking.expect("a work that is offered belongs to a call that seeks").alerting.insert(reservation, leg);
        let mut why = explanation.to_string();
        if self.planted(super::Bug::LogsNumber) {
            why += &self.calls[&id].caller_shown.uri.to_string();
        }
        self.emit(Some(id), What::Delivered { work, reservation, agent, leg, why });
    }

    pub(super) fn first_phone(&self, agent: AgentId) -> Option<&sip::Binding> {
        preferred(self.sip.bindings(&self.config.center.agents.get(&agent)?.user))
    }

    /// The phone that the leg rings next: none twice for one offer.
    fn next_phone(&self, id: LegId, agent: AgentId) -> Option<sip::Binding> {
        let (user, rung) = (&self.config.center.agents.get(&agent)?.user, &self.legs.get(&id)?.rung);
        preferred(self.sip.bindings(user).filter(|phone| !rung.contains(&phone.phone()))).cloned()
    }

    /// An agent's phone was not reached. Rings the next one that he has, within the same offer: it says nothing of the agent
    /// that one of his phones is unplugged. False if there is none.
    fn rings_another(&mut self, id: LegId) -> bool {
        let Some(leg) = self.legs.get(&id).filter(|leg| leg.hunt.is_none()) else { return false };
        let (call, Party::Agent(agent)) = (leg.call, leg.party) else { return false };
        let another = self.next_phone(id, agent).is_some();
        if another {
            self.current = Some(call);
            self.ring(id, agent);
        }
        another
    }

    /// The agent's leg has its port: INVITE his phone.
    pub(super) fn ring(&mut self, id: LegId, agent: AgentId) {
        let Some(binding) = self.next_phone(id, agent) else { return self.ring_number(id, agent) };
        let listener = self.sip.called_over(&binding.contact.uri, binding.flow);
        if !self.leaves_over(id, Some(listener)) {
            return;
        }
        let secret = media::Secret::draw(&mut self.secrets);
        let call = &self.calls[&self.legs[&id].call];
        let queue = call.seeking.as_ref().map_or("", |seeking| seeking.place.queue.as_str());
        let headers = vec![
            ("X-Tierline-Call".to_owned(), call.id.to_string()),
            ("X-Tierline-Queue".to_owned(), queue.to_owned()),
        ];
        let from = call.caller_shown.clone();
        let codec = self.legs[&call.caller].session.as_ref().map(|session| session.codec);
        let to = NameAddr::new(binding.contact.uri.clone());
        let leg = self.legs.get_mut(&id).expect("the leg whose port was opened");
        leg.rung.push(binding.phone());
        leg.session = None; // nothing that another phone has said counts
        leg.manner.secret = secret; // nor is this one told the keys that it has seen
        leg.manner.confidential = binding.flow.transport.is_confidential();
        let offer = leg.offer(codec).expect("the port is open");
        leg.state = LegState::Inviting { offer: offer.clone(), reacted: false, rings: false };
        self.timers.set(Deadline::NoReaction(id), self.now + REACTION_TIME);
        self.sip_do(sip::Command::Invite {
            leg: id,
            uri: binding.contact.uri,
            flow: Some(binding.flow),
            from,
            to,
            offer: Some(Body::sdp(offer)),
            headers,
            account: None,
            listener: None,
        });
    }

    pub(super) fn reacted(&mut self, id: LegId) {
        self.trunk_carries(id);
        self.timers.cancel(&Deadline::NoReaction(id));
        if let Some(LegState::Inviting { reacted, .. }) = self.legs.get_mut(&id).map(|leg| &mut leg.state) {
            *reacted = true;
        }
    }

    /// The called party's side has heard of the call.
    pub(super) fn rings_at(&mut self, id: LegId) {
        self.reacted(id);
        if let Some(LegState::Inviting { rings, .. }) = self.legs.get_mut(&id).map(|leg| &mut leg.state) {
            *rings = true;
        }
    }

    pub(super) fn no_reaction(&mut self, id: LegId) {
        // A 100 makes no event. From here on it is a matter of how long it may ring.
        if self.sip.is_under_way(id) {
            return self.reacted(id);
        }
        if self.legs.contains_key(&id) && self.sip.has_another_way(id) {
            self.sip_do(sip::Command::GoOn { leg: id });
            self.timers.set(Deadline::NoReaction(id), self.now + REACTION_TIME);
            return;
        }
        if self.legs.contains_key(&id) {
            self.sip_do(sip::Command::HangUp { leg: id, reason: None });
            match self.legs[&id].hunt.is_some() {
                true => self.trunk_failed(id, Failure::Unreachable),
                false if self.rings_another(id) => {}
                false => self.offer_failed(id, Refusal::Unreachable, Cause::Unreachable),
            }
        }
    }

    /// Our INVITE was not answered with 2xx.
    pub(super) fn failed(&mut self, id: LegId, status: u16, why: FailureCause, retry_after: Option<u32>) {
        if self.tries_next_trunk(id, status, why, retry_after) {
            return;
        }
        if self.legs.get(&id).is_some_and(|leg| leg.party == Party::Outside) {
            return self.outside_refused(id, status, why);
        }
        let reacted =
            matches!(self.legs.get(&id).map(|leg| &leg.state), Some(LegState::Inviting { reacted: true, .. }));
        let (refusal, cause) = match (why, status) {
            (FailureCause::Timeout, _) if reacted => (Refusal::NoAnswer, Cause::NoAnswer),
            (FailureCause::Timeout | FailureCause::Transport | FailureCause::Unresolved, _) => {
                (Refusal::Unreachable, Cause::Unreachable)
            }
            (FailureCause::Status, 408 | 480) => (Refusal::NoAnswer, Cause::NoAnswer),
            (FailureCause::Status, 486 | 600) => (Refusal::Busy, Cause::Declined),
            (FailureCause::Status, 404 | 410 | 502..=504) => (Refusal::Unreachable, Cause::Unreachable),
            (FailureCause::Status, 406 | 415 | 488 | 606) => (Refusal::Declined, Cause::NoMedia),
            (FailureCause::Status, _) => (Refusal::Declined, Cause::Declined),
        };
        if refusal != Refusal::Unreachable || !self.rings_another(id) {
            self.offer_failed(id, refusal, cause);
        }
    }

    /// The leg's offer ends here without an answer; its SIP side is over already, or being ended by the caller.
    pub(super) fn offer_failed(&mut self, id: LegId, refusal: Refusal, cause: Cause) {
        let Some(leg) = self.legs.get(&id) else { return };
        self.current = Some(leg.call);
        let reservation = leg.reservation;
        let outcome = match refusal {
            Refusal::NoAnswer => OfferOutcome::NoAnswer,
            Refusal::Unreachable => OfferOutcome::Unreachable,
            Refusal::Declined | Refusal::Busy => OfferOutcome::Declined,
        };
        if let Some(reservation) = reservation.filter(|_| !self.planted(super::Bug::ForgetsRefusal)) {
            self.close_offer(reservation, outcome);
            self.router_do(acd::Input::Refuse { reservation, why: refusal });
        }
        self.clear(id, cause);
        self.current.into_iter().for_each(|call| self.widen(call));
    }

    /// The agent's phone answered: the router decides whether the work is his.
    pub(super) fn agent_answered(&mut self, id: LegId, body: Option<Body>) {
        self.timers.cancel(&Deadline::NoReaction(id));
        let leg = self.legs.get_mut(&id).expect("the leg that has just been looked up");
        let (port, reservation, party) = (leg.port, leg.reservation, leg.party);
        let LegState::Inviting { offer, .. } = std::mem::replace(&mut leg.state, LegState::Confirmed { offer: None })
        else {
            return;
        };
        // Without a description what an UPDATE has agreed before stands.
        let agreed = leg.session.clone().filter(|_| body.is_none());
        match agreed.map_or_else(|| leg.accept(&offer, body.as_ref()), Ok) {
            Ok(session) => {
                self.media_do(media::Command::Connect { port, session });
                if let Party::Agent(agent) = party
                    && self.asks_to_confirm(id, agent)
                {
                    return;
                }
                let reservation = reservation.expect("an agent's leg rings for a reservation");
                self.router_do(acd::Input::Accept { reservation });
            }
            Err(_) => {
                self.sip_do(sip::Command::HangUp { leg: id, reason: Some(super::ending::reason(Cause::NoMedia)) });
                self.offer_failed(id, Refusal::Declined, Cause::NoMedia);
            }
        }
    }

    /// The work is this agent's: he and the caller hear each other from now on.
    fn connect(&mut self, reservation: ReservationId, work: WorkId, agent: AgentId, waited: Duration) {
        let (Some(id), Some(leg)) = (self.works.remove(&work), self.offers.get(&reservation).copied()) else {
            return;
        };
        self.current = Some(id);
        self.close_offer(reservation, OfferOutcome::Accepted);
        #[cfg(feature = "planted-bugs")]
        self.break_at_answer();
        let call = self.calls.get_mut(&id).expect("work belongs to a call that lives");
        let place = call.seeking.take().expect("who is answered was waiting").place;
        let (caller, queue) = (call.caller, place.queue.clone());
        call.conversation = Some(Conversation { agent, leg, place, waited, held_by: None, by_desk: false });
        self.talks_in(agent, id);
        if let Some(leg) = self.legs.get_mut(&leg) {
            leg.reservation = None;
        }
        let (a, b) = (self.legs[&caller].port, self.legs[&leg].port);
        if !self.planted(super::Bug::ForgetsJoin) {
            self.media_do(media::Command::Join { a, b });
        }
        let told = self.calls.get(&id).and_then(|call| call.run.wait_told());
        self.emit(Some(id), What::Established { work, queue, agent, leg, waited, told });
        self.run(id, ivr::Input::QueueResult(QueueResult::Answered));
        self.holds_already(id, leg);
    }

    /// Who pressed hold while he waited does not listen yet. Where neither sends, nobody holds anybody.
    pub(super) fn holds_already(&mut self, id: CallId, answered: LegId) {
        let Some(caller) = self.calls.get(&id).map(|call| call.caller) else { return };
        let holds = |leg: LegId| self.legs.get(&leg).is_some_and(Leg::holds_us);
        if holds(caller) && !holds(answered) {
            self.hold(id, caller, answered);
        }
    }

    /// The router took an offer back: stop the ringing.
    fn withdrawn(&mut self, reservation: ReservationId, why: Withdrawal) {
        let Some(leg) = self.offers.get(&reservation).copied() else { return };
        self.current = self.legs.get(&leg).map(|leg| leg.call);
        let (outcome, cause) = match why {
            Withdrawal::TimedOut => (OfferOutcome::NoAnswer, Cause::NoAnswer),
            Withdrawal::WorkGone => (OfferOutcome::CallerLeft, Cause::Withdrawn),
            Withdrawal::AgentGone | Withdrawal::AcceptedElsewhere => (OfferOutcome::Withdrawn, Cause::Withdrawn),
        };
        self.close_offer(reservation, outcome);
        if !self.planted(super::Bug::ForgetsCancel) {
            let reason = match why {
                Withdrawal::AcceptedElsewhere => super::ending::answered_elsewhere(),
                _ => super::ending::reason(cause),
            };
            self.sip_do(sip::Command::HangUp { leg, reason: Some(reason) });
        }
        self.clear(leg, cause);
        if why != Withdrawal::WorkGone {
            self.current.into_iter().for_each(|call| self.widen(call));
        }
    }

    /// Forgets an offer and says how it ended. The router has been told, or has told us.
    pub(super) fn close_offer(&mut self, reservation: ReservationId, outcome: OfferOutcome) {
        let Some(leg) = self.offers.remove(&reservation) else { return };
        let Some(Leg { call, party: Party::Agent(agent), work: Some(work), .. }) = self.legs.get(&leg) else { return };
        let (call, agent, work) = (*call, *agent, *work);
        // Who answered first has taken the call out of its search: the other phones' offers end all the same.
        if let Some(seeking) = self.calls.get_mut(&call).and_then(|call| call.seeking.as_mut()) {
            seeking.alerting.remove(&reservation);
        }
        if self.planted(super::Bug::ForgetsOfferEnd) {
            return;
        }
        let outcome = if self.planted(super::Bug::AcceptsAlways) { OfferOutcome::Accepted } else { outcome };
        self.emit(Some(call), What::OfferEnded { work, reservation, agent, outcome });
    }
}

/// Which of an agent's phones is rung: of those that answer the one that he prefers (RFC 3261 §20.10), else the newest.
fn preferred<'a>(phones: impl Iterator<Item = &'a sip::Binding>) -> Option<&'a sip::Binding> {
    phones.filter(|phone| phone.alive).max_by_key(|phone| (phone.q, phone.expires))
}

/// The state without its inner data.
pub(super) fn mode(state: &acd::AgentState) -> AgentMode {
    match state {
        acd::AgentState::LoggedOut => AgentMode::LoggedOut,
        acd::AgentState::NotReady(_) => AgentMode::NotReady,
        acd::AgentState::Ready => AgentMode::Ready,
        acd::AgentState::Reserved => AgentMode::Reserved,
        acd::AgentState::Busy => AgentMode::Busy,
        acd::AgentState::WrapUp => AgentMode::WrapUp,
    }
}

/// The center as the router sees it: a work may ask for one agent.
pub(super) fn routed(center: &Center) -> Center {
    let mut center = center.clone();
    for agent in center.agents.values_mut() {
        agent.skills.insert(acd::own_skill(agent.id), 1);
    }
    center
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phone_that_answers_and_is_preferred_is_rung() {
        let phone = |q: u16, expires: u64, alive: bool| {
            let text = format!(
                "{{\"user\":\"1001\",\"contact\":\"<sip:1001@10.0.0.2>\",\"flow\":{{\"listener\":0,\"transport\":\"Udp\",\
                 \"remote\":\"10.0.0.2:5060\",\"connection\":0}},\"q\":{q},\"call_id\":\"c\",\"cseq\":1,\
                 \"expires\":{expires},\"alive\":{alive}}}"
            );
            serde_json::from_str::<sip::Binding>(&text).expect("a binding")
        };
        type Row<'a> = (&'a [(u16, u64, bool)], Option<usize>);
        let rows: [Row; 6] = [
            (&[], None),
            (&[(1000, 5, true)], Some(0)),
            (&[(500, 9, true), (900, 5, true)], Some(1)),
            (&[(900, 5, true), (500, 9, true)], Some(0)),
            (&[(900, 9, false), (500, 5, true)], Some(1)),
            (&[(900, 5, true), (900, 9, true), (900, 7, true)], Some(1)),
        ];
        for (phones, expected) in rows {
            let phones: Vec<sip::Binding> = phones.iter().map(|(q, at, alive)| phone(*q, *at, *alive)).collect();
            assert_eq!(preferred(phones.iter()), expected.map(|at| &phones[at]), "{phones:?}");
        }
    }
}
