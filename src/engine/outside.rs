//! Calling outside numbers: one leg that hunts over trunks until one carries it, and what an answer means.
//!
//! ```text
//!  dial ──▶ next trunk ──INVITE──▶ rings ──200──▶ an outside party that a flow or an agent wanted: talks with the caller
//!             ▲   │ none left          │                an agent: takes his call, or confirms by a key first
//!             │   ▼                    ▼
//!             │  failed ◀── the called party's own answer (busy, unknown, declined …)
//!             └── no answer at all, 408, 5xx, 401, 403, 407: the trunk did not carry it
//! ```
//!
//! Strangers' calls come here only by a step of a flow or an agent's number, both written in the configuration, or by an
//! agent who sends a caller on as far as his queue's `transfers` goes; always only as far as a trunk's `allowed` goes. A
//! caller hears our ringing tone, and what the called side says before it answers (RFC 3960) as soon as it says
//! something. Callers for an agent hear music until he has taken them.

use super::{Deadline, Engine, Leg, LegState, Outside, Place, identity};
use crate::event::{Cause, Party, PersonalKind, TransferProblem, TrunkProblem, What};
use crate::ids::{AgentId, CallId, LegId, TrunkId, WorkId};
use crate::ivr::{self, TransferResult};
use crate::media::{self, Source};
use crate::sip::header::NameAddr;
use crate::sip::uri::{Host, Uri};
use crate::sip::{self, Account, Body, FailureCause, Secret};
use crate::trunk::{self, Failure, Way};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What takes an agent's call that must be confirmed.
const CONFIRM: char = '1';
/// Name of the tone that a caller hears while an outside party is called; `@` cannot be part of a configured one.
pub const RINGING: &str = "@ringing";

/// A leg's way out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hunt {
    /// In the form of E.164, or a short number.
    pub number: String,
    /// The trunks that are left, the next one last.
    pub left: Vec<TrunkId>,
    /// Somebody answered and must still press [`CONFIRM`].
    pub confirming: bool,
}

impl Hunt {
    fn next(&mut self) -> Option<(TrunkId, String)> {
        Some((self.left.pop()?, self.number.clone()))
    }
}

impl Engine {
    /// A flow wants the caller to talk with an outside party.
    pub(super) fn transfer(&mut self, id: CallId, number: &str, ring: Duration) {
        match self.hunt(number, self.calls[&id].origin.hops) {
            Some(hunt) => self.call_outside(id, hunt, ring, None),
            None => self.transfer_failed(id, TransferProblem::NoTrunk),
        }
    }

    /// `back`: where the caller waits if nobody is reached; without, his flow knows.
    pub(super) fn call_outside(&mut self, id: CallId, hunt: Hunt, ring: Duration, back: Option<Place>) {
        let number = hunt.number.clone();
        let leg = self.sip.next_leg();
        let plane = self.caller_port(id).plane;
        let port = self.open_port(plane, leg, self.takes_six(None, None));
        let manner = self.manner(false);
        let mut new = Leg::new(leg, id, Party::Outside, port, manner);
        new.hunt = Some(hunt);
        self.legs.insert(leg, new);
        if let Some(call) = self.calls.get_mut(&id) {
            call.outside = Some(Outside { leg, talking: false, early: false, back, held_by: None });
        }
        let number = self.personal(PersonalKind::Number, number);
        self.emit(Some(id), What::OutsideCalled { leg, number });
        self.timers.set(Deadline::RingsInVain(leg), self.now + ring);
        self.play_ringing(id);
    }

    fn play_ringing(&mut self, id: CallId) {
        if let Some(tone) = self.config.sounds.get(RINGING).copied() {
            let port = self.caller_port(id);
            self.media_do(media::Command::Play { port, source: Source::Loop(tone), token: super::treatment::ENDLESS });
        }
    }

    /// The called side describes its audio before it answers: a caller who is put through hears it from now on. A
    /// description that cannot be used is no reason to end anything: the answer may bring a better one.
    pub(super) fn says_early(&mut self, id: LegId, body: Option<Body>) {
        let Some(leg) = self.legs.get_mut(&id).filter(|leg| leg.party == Party::Outside && body.is_some()) else {
            return;
        };
        let LegState::Inviting { offer, .. } = &leg.state else { return };
        let offer = offer.clone();
        let Ok(session) = leg.accept(&offer, body.as_ref()) else { return };
        let (call, port) = (leg.call, leg.port);
        self.media_do(media::Command::Connect { port, session });
        self.hears_outside(call, port);
        self.calls.get_mut(&call).and_then(|call| call.outside.as_mut()).into_iter().for_each(|o| o.early = true);
    }

    /// Bridges the caller with the outside party, unless they are already.
    fn hears_outside(&mut self, call: CallId, port: crate::ids::PortId) {
        let caller = self.caller_port(call);
        let early = self.calls[&call].outside.as_ref().is_some_and(|outside| outside.early);
        if !early && !self.planted(super::Bug::ForgetsJoin) {
            self.media_do(media::Command::Join { a: caller, b: port });
        }
    }

    /// Whoever said something before an answer did not answer: the caller hears our ringing tone again.
    fn end_early(&mut self, call: CallId) {
        let outside = self.calls.get_mut(&call).and_then(|call| call.outside.as_mut());
        if outside.is_some_and(|outside| std::mem::take(&mut outside.early)) {
            let port = self.caller_port(call);
            self.media_do(media::Command::Leave { port });
            self.play_ringing(call);
        }
    }

    /// None where the call would come back to us: to one of our own lines through the public network, or for the
    /// last time that it may be passed on (RFC 3261 §16.3).
    pub(super) fn hunt(&mut self, number: &str, hops: u8) -> Option<Hunt> {
        if hops <= 1 || self.index.lines.contains_key(number) {
            return None;
        }
        let mut left = self.trunks.route(self.now, number);
        left.reverse();
        (!left.is_empty()).then(|| Hunt { number: number.to_owned(), left, confirming: false })
    }

    /// An agent without a phone that is there, but with a number.
    pub(super) fn ring_number(&mut self, id: LegId, agent: AgentId) {
        let number = self.config.center.agents.get(&agent).and_then(|agent| agent.number.clone());
        let hops = self.legs.get(&id).and_then(|leg| self.calls.get(&leg.call)).map_or(0, |call| call.origin.hops);
        let hunt = number.and_then(|number| self.hunt(&number, hops));
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.hunt = hunt;
        }
        self.dial(id);
    }

    /// Sends the leg's INVITE over the next trunk that takes it.
    pub(super) fn dial(&mut self, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let call = leg.call;
        while let Some(trunk) = self.legs.get(&id).and_then(|leg| leg.hunt.as_ref()?.left.last().cloned()) {
            let listener = self.listener_of_trunk(&trunk);
            if !self.leaves_over(id, listener) {
                return;
            }
            let Some((trunk, number)) = self.legs.get_mut(&id).and_then(|leg| leg.hunt.as_mut()?.next()) else { break };
            // A new configuration may have closed the way since the hunt began.
            if !self.config.center.trunks.get(&trunk).is_some_and(|trunk| trunk.allows(&number)) {
                continue;
            }
            if self.trunks.seize(self.now, &trunk, Way::Out).is_ok() {
                self.emit(Some(call), What::NetworkReached { leg: id, trunk: trunk.clone() });
                return self.invite_over(id, trunk);
            }
            self.emit(Some(call), What::TrunkFailed { leg: id, trunk, why: TrunkProblem::Full });
        }
        self.not_reached(id, TransferProblem::NoTrunk, Cause::Unreachable);
    }

    /// The listener that calls over a trunk leave over, as far as that can be told.
    fn listener_of_trunk(&self, trunk: &TrunkId) -> Option<u16> {
        let trunk = self.config.center.trunks.get(trunk)?;
        self.sip.listener_toward(&server_uri("", trunk.server.as_ref()?), trunk.listener)
    }

    fn invite_over(&mut self, id: LegId, trunk: TrunkId) {
        let settings = self.config.center.trunks.get(&trunk).expect("who is seized is configured").clone();
        let server = settings.server.as_ref().expect("a trunk that may be called over has a server");
        let call = &self.calls[&self.legs[&id].call];
        let (from, mut headers) = identity::outgoing(&settings, &call.origin);
        // RFC 3261 §16.6 step 3: a call that goes round for ever is counted down by each who passes it on.
        headers.push(("Max-Forwards".to_owned(), call.origin.hops.saturating_sub(1).to_string()));
        let codec = self.legs[&call.caller].session.as_ref().map(|session| session.codec);
        let secret = media::Secret::draw(&mut self.secrets);
        let leg = self.legs.get_mut(&id).expect("the leg that dials");
        leg.trunk = Some((trunk.clone(), Way::Out));
        leg.manner.secret = secret; // nor does the next one know the keys that this one is told (RFC 4568 §6.1)
        leg.session = None; // nothing that an earlier trunk's side has said counts
        leg.manner.keys_over(settings.srtp, self.start.terms.protection);
        let number = leg.hunt.as_ref().map(|hunt| settings.numbers.write(&hunt.number)).unwrap_or_default();
        let offer = leg.offer(codec).expect("the port is open");
        leg.state = LegState::Inviting { offer: offer.clone(), reacted: false, rings: false };
        let uri = server_uri(&number, server);
        self.timers.set(Deadline::NoReaction(id), self.now + super::seeking::REACTION_TIME);
        let account = settings.user.filter(|_| !self.planted(super::Bug::ForgetsProof));
        let held = if self.planted(super::Bug::MixesPasswords) { "other".to_owned() } else { trunk.to_string() };
        let account = account.map(|user| Account { user, secret: Secret::Held(held), realms: Vec::new() });
        let to = NameAddr::new(Uri { params: Default::default(), port: None, ..uri.clone() });
        let offer = Some(Body::sdp(offer));
        let listener = settings.listener;
        self.sip_do(sip::Command::Invite { leg: id, uri, flow: None, from, to, offer, headers, account, listener });
    }

    /// The INVITE over a trunk failed; false if that says something of the called party.
    pub(super) fn tries_next_trunk(&mut self, id: LegId, status: u16, why: FailureCause, retry: Option<u32>) -> bool {
        let Some(leg) = self.legs.get(&id).filter(|leg| leg.hunt.is_some()) else { return false };
        let LegState::Inviting { reacted, rings, .. } = leg.state else { return false };
        let failure = match (why, status) {
            (FailureCause::Timeout, _) if reacted => return false,
            // A proxy that has no answer of whom it rings says so by 408: another carrier would ring him once more.
            (FailureCause::Status, 408) if rings => return false,
            (FailureCause::Timeout | FailureCause::Transport | FailureCause::Unresolved, _) => Failure::Unreachable,
            (FailureCause::Status, 503) => Failure::Overloaded { retry_after: retry },
            (FailureCause::Status, 401 | 403 | 407 | 408 | 500..=599) => Failure::Refused,
            (FailureCause::Status, _) => return false,
        };
        self.trunk_failed(id, failure);
        true
    }

    /// The trunk that the leg is on did not carry its call: the next one is tried.
    pub(super) fn trunk_failed(&mut self, id: LegId, failure: Failure) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let (call, taken) = (leg.call, leg.trunk.take());
        self.current = Some(call);
        self.timers.cancel(&Deadline::NoReaction(id));
        self.end_early(call);
        if let Some((trunk, way)) = taken {
            self.release(trunk.clone(), way);
            if self.planted(super::Bug::TriesTrunkTwice) {
                let hunt = self.legs.get_mut(&id).and_then(|leg| leg.hunt.as_mut());
                hunt.into_iter().for_each(|hunt| hunt.left.push(trunk.clone()));
            }
            self.trunks.handle(self.now, trunk::Input::Failed { trunk: trunk.clone(), why: failure });
            let why = match failure {
                Failure::Unreachable => TrunkProblem::Unreachable,
                Failure::Overloaded { .. } => TrunkProblem::Overloaded,
                Failure::Refused => TrunkProblem::Refused,
            };
            self.emit(Some(call), What::TrunkFailed { leg: id, trunk, why });
        }
        self.dial(id);
    }

    /// The leg's trunk gave a sign of life in this call.
    pub(super) fn trunk_carries(&mut self, id: LegId) {
        if let Some((trunk, Way::Out)) = self.legs.get(&id).and_then(|leg| leg.trunk.clone()) {
            self.trunks.handle(self.now, trunk::Input::Carried { trunk });
        }
    }

    /// The called party did not take the call, or no trunk did. The leg's SIP side is over.
    pub(super) fn not_reached(&mut self, id: LegId, why: TransferProblem, cause: Cause) {
        let Some(leg) = self.legs.get(&id) else { return };
        let (call, party) = (leg.call, leg.party);
        match party {
            Party::Outside => {
                self.current = Some(call);
                self.clear(id, cause);
                self.transfer_failed(call, why);
            }
            _ => self.offer_failed(id, crate::acd::Refusal::Unreachable, cause),
        }
    }

    /// Says so, and lets the flow go on; whom an agent had sent on waits again, with all that he has waited.
    fn transfer_failed(&mut self, id: CallId, why: TransferProblem) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let back = call.outside.take().and_then(|outside| outside.back);
        if !self.planted(super::Bug::ForgetsTransferEnd) {
            self.emit(Some(id), What::TransferFailed { why });
        }
        if let Some(place) = back {
            let place = place.again(WorkId(self.ids.works.take()));
            return self.wait(id, place, true);
        }
        let busy = why == TransferProblem::Busy;
        let result = if busy { TransferResult::Busy } else { TransferResult::Failed };
        self.run(id, ivr::Input::TransferResult(result));
    }

    /// An outside party that a flow called did not answer in time.
    pub(super) fn rings_in_vain(&mut self, id: LegId) {
        let waits = self.legs.get(&id).is_some_and(|leg| leg.party == Party::Outside);
        if waits {
            self.sip_do(sip::Command::HangUp { leg: id, reason: Some(super::ending::reason(Cause::NoAnswer)) });
            self.not_reached(id, TransferProblem::NoAnswer, Cause::NoAnswer);
        }
    }

    /// How an outside party's own refusal is told.
    pub(super) fn outside_refused(&mut self, id: LegId, status: u16, why: FailureCause) {
        let (problem, cause) = match (why, status) {
            (FailureCause::Status, 486 | 600) => (TransferProblem::Busy, Cause::Declined),
            (FailureCause::Timeout, _) | (_, 408 | 480) => (TransferProblem::NoAnswer, Cause::NoAnswer),
            (FailureCause::Status, 406 | 415 | 488 | 606) => (TransferProblem::Refused, Cause::NoMedia),
            _ => (TransferProblem::Refused, Cause::Declined),
        };
        self.not_reached(id, problem, cause);
    }

    /// An outside party answered: caller and he hear each other from now on.
    pub(super) fn outside_answered(&mut self, id: LegId, body: Option<Body>) {
        self.timers.cancel(&Deadline::NoReaction(id));
        self.timers.cancel(&Deadline::RingsInVain(id));
        let Some((call, port)) = self.take_answer(id, body) else {
            self.sip_do(sip::Command::HangUp { leg: id, reason: Some(super::ending::reason(Cause::NoMedia)) });
            return self.not_reached(id, TransferProblem::Refused, Cause::NoMedia);
        };
        self.hears_outside(call, port);
        let outside = self.calls.get_mut(&call).and_then(|call| call.outside.as_mut());
        outside.expect("an outside party belongs to a call that waits for it").talking = true;
        self.emit(Some(call), What::OutsideJoined { leg: id });
        self.holds_already(call, id);
    }

    /// Connects a leg that answered our offer; none if its description cannot be used.
    fn take_answer(&mut self, id: LegId, body: Option<Body>) -> Option<(CallId, crate::ids::PortId)> {
        let leg = self.legs.get_mut(&id)?;
        let state = std::mem::replace(&mut leg.state, LegState::Confirmed { offer: None });
        let LegState::Inviting { offer, .. } = state else { return None };
        // Without a description what an UPDATE has agreed before stands.
        let agreed = leg.session.clone().filter(|_| body.is_none());
        let session = agreed.map_or_else(|| leg.accept(&offer, body.as_ref()), Ok).ok()?;
        let (call, port) = (leg.call, leg.port);
        self.media_do(media::Command::Connect { port, session });
        Some((call, port))
    }

    /// Whether an agent who answered on his number must press a key first: then he is asked to. A voicemail answers
    /// too, and must not take a caller.
    pub(super) fn asks_to_confirm(&mut self, id: LegId, agent: AgentId) -> bool {
        let wanted = self.config.center.agents.get(&agent).is_some_and(|agent| agent.confirm);
        let Some(leg) = self.legs.get_mut(&id) else { return false };
        let port = leg.port;
        let Some(hunt) = leg.hunt.as_mut().filter(|_| wanted) else { return false };
        hunt.confirming = true;
        let sound = &self.config.center.codes.confirm_sound;
        if let Some(sound) = self.config.sounds.get(sound).copied() {
            self.media_do(media::Command::Play { port, source: Source::Loop(sound), token: super::treatment::ENDLESS });
        }
        true
    }

    /// A key of an agent's leg; true if it was the one that takes the call.
    pub(super) fn confirmed_by(&mut self, id: LegId, digit: char) -> bool {
        let Some(leg) = self.legs.get_mut(&id) else { return false };
        let (call, reservation) = (leg.call, leg.reservation);
        let confirming = leg.hunt.as_mut().is_some_and(|hunt| digit == CONFIRM && std::mem::take(&mut hunt.confirming));
        match reservation.filter(|_| confirming) {
            Some(reservation) => {
                self.current = Some(call);
                self.router_do(crate::acd::Input::Accept { reservation });
                true
            }
            None => false,
        }
    }
}

/// Where a number is called at a trunk's server.
pub(super) fn server_uri(number: &str, server: &crate::center::Server) -> Uri {
    let host = Host::parse(&server.host).expect("the configuration's hosts have been read as such");
    let mut uri = Uri::sip(number, host, server.port);
    uri.params.set("transport", server.transport.as_deref());
    if server.transport.is_none() {
        uri.params.remove("transport");
    }
    uri
}
