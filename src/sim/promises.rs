//! What must have come true within a time, looked at when the time has come.

use super::media::{self, Owner};
use super::{Check, World, carriers, parties, place};
use crate::ids::{AgentId, CallId, LegId, PortId};
use std::time::Duration;

/// After this an answered call must be heard in both directions.
pub const HEAR_WITHIN: Duration = Duration::from_secs(1);
/// After this a leg that is over must be over for its phone: an ACK is waited for 32 s (RFC 3261 §13.3.1.4), a BYE
/// is repeated for 32 s more.
pub const HANG_UP_WITHIN: Duration = Duration::from_secs(75);
/// After a phone began to ring it must have stopped: the ring time, and 32 s for the CANCEL, or the 200, to come through.
const RINGING_ENDS_WITHIN: Duration = Duration::from_secs(18 + 45);
/// The same for somebody outside, to whom an agent may have sent a caller.
const OUTSIDE_RINGING_ENDS_WITHIN: Duration = Duration::from_secs(60 + 45);
/// After a request arrived at a phone that is dead its agent is offered no call: seven times T1, and the way there.
pub const FOUND_DEAD_WITHIN: Duration = Duration::from_secs(4);

pub(super) fn ringing_ends_within(phone: u32) -> Duration {
    if carriers::is_line(phone) { OUTSIDE_RINGING_ENDS_WITHIN } else { RINGING_ENDS_WITHIN }
}

impl World {
    pub(super) fn check_talkers_hear(&mut self, call: CallId, leg: LegId) {
        let Some(engine) = &self.engine else { return };
        let Some(call) = engine.call(call) else { return };
        let agent = call.conversation.as_ref().is_some_and(|talk| talk.leg == leg && talk.held_by.is_none());
        let outside = call.outside.as_ref().filter(|outside| outside.leg == leg && outside.held_by.is_none());
        let talks = agent || outside.is_some_and(|outside| outside.talking);
        let port = |leg| engine.leg(leg).map(|leg| leg.port);
        let (true, Some(a), Some(b)) = (talks, port(call.caller), port(leg)) else { return };
        let joined = self.planes.joined(a) == Some(b) && self.planes.joined(b) == Some(a);
        let far = |port| self.planes.far((Owner::Engine, port)).map(|(owner, _)| owner);
        let heard = match (far(a), far(b)) {
            (Some(Owner::Phone(x)), Some(Owner::Phone(y))) => {
                self.planes.heard_by(x) == media::Heard::Person(y) && self.planes.heard_by(y) == media::Heard::Person(x)
            }
            _ => true, // a phone has died in the meantime, or is not connected yet
        };
        let id = call.id;
        self.tally.must(Check::TalkersHear, joined && heard, || {
            format!("{id}: bridged: {joined}, heard: {heard}, {:?} after the answer", HEAR_WITHIN)
        });
    }

    /// An agent's phone is about to be rung.
    pub(super) fn check_not_known_dead(&mut self, agent: AgentId) {
        if self.configuration.center.agents.get(&agent).is_some_and(|agent| agent.number.is_some()) {
            return; // is rung there
        }
        let party = agent.0.checked_sub(place::FIRST_AGENT).and_then(|key| self.parties.find(key));
        let unheard = party.and_then(|party| party.unheard).map(|at| self.now.since(at));
        let holds = unheard.is_none_or(|unheard| unheard <= FOUND_DEAD_WITHIN);
        self.tally.must(Check::DeadNotRung, holds, || {
            format!("agent {agent} is rung though his phone has answered nothing for {unheard:?}")
        });
    }

    /// The engine is killed: whom the log knows to ring, the next start must tell.
    pub(super) fn note_left_ringing(&mut self) {
        let parties = &self.parties;
        let rings = |agent: AgentId| {
            let key = agent.0.checked_sub(place::FIRST_AGENT)?;
            parties.find(key).filter(|party| party.rings()).map(|party| (key, party.person.call()))
        };
        self.left_ringing = self.books.up_to_date().invited().filter_map(rings).collect();
    }

    pub(super) fn check_peer_hung_up(&mut self, phone: u32, boots: u32, port: PortId) {
        if self.was_unheard(phone, HANG_UP_WITHIN) {
            return;
        }
        // A phone that was started anew counts its ports anew.
        let open = self.boots_of(phone) == boots && self.planes.is_open((Owner::Phone(phone), port));
        self.tally.must(Check::PeerHangsUp, !open, || {
            format!("{} is still in a call that ended {:?} ago", parties::name(phone), HANG_UP_WITHIN)
        });
    }

    /// `epoch`: of the start that made it ring. A later one owes it a word if the log says that it rang.
    pub(super) fn check_ringing_ended(&mut self, phone: u32, call: u32, epoch: u32) {
        let owed = epoch == self.epoch || self.left_ringing.contains(&(phone, call));
        if !owed || self.was_unheard(phone, ringing_ends_within(phone)) {
            return;
        }
        let Some(party) = self.parties.find(phone) else { return };
        let rings = party.rings() && party.person.call() == call;
        self.tally.must(Check::RingingEnds, !rings, || format!("{} still rings", parties::name(phone)));
    }
}
