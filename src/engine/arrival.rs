//! Who may come in, and where he gets to.
//!
//! Strangers and trunks reach lines only. An agent's phone, which has proven who it is, reaches lines and short codes;
//! whoever dials a short code is asked for that proof, whatever name he gives.
//! Nobody reaches an outside number through here.

use super::identity::{self, Caller};
use super::turned::Turned;
use super::{Call, Engine, Leg, LegState, leg};
use crate::acd;
use crate::center::{ShortCodes, Trunk};
use crate::command::{Actor, Ask, Command};
use crate::event::{Cause, Party, Personal, PersonalKind, TransferProblem, What};
use crate::ids::{AgentId, CallId, FlowId, LegId, LineId, TrunkId};
use crate::ivr::{Facts, Flow, HangUpStep, Prompt, Run, Step};
use crate::media;
use crate::sip::header::NameAddr;
use crate::sip::uri::Uri;
use crate::sip::{self, Body, Source};
use crate::trunk::{Full, Way};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Seconds after which a caller who was turned away may try again.
pub(super) const RETRY_AFTER: u32 = 10;
/// The reason of a break that was asked for by the code alone.
pub(super) const UNNAMED_BREAK: &str = "short code";
/// Packets, 2 s of audio, for whoever is named in the INVITE of a caller who has not acknowledged our answer: it need not be
/// the caller, who may have invented himself, too.
const BEFORE_ACK: u16 = 100;
/// Flows of the short codes; `@` cannot be part of a flow file's name.
const READY: &str = "@ready";
const NOT_READY: &str = "@not-ready";

/// What a number leads to.
enum Destination {
    Line(LineId),
    /// `not_ready` is the reason of a break; without one he wants calls.
    Code {
        agent: AgentId,
        not_ready: Option<String>,
    },
}

/// An INVITE from outside a dialog.
pub(super) struct Arrival {
    pub from: NameAddr,
    pub called: Uri,
    pub offer: Option<Body>,
    pub headers: Vec<(String, String)>,
    pub flow: sip::Flow,
}

/// An INVITE that is looked at: not a call yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Arriving {
    pub leg: LegId,
    /// Whose share of calls it has taken.
    pub trunk: Option<TrunkId>,
}

impl Engine {
    pub(super) fn invited(&mut self, leg: LegId, source: Source, arrival: Arrival) {
        self.arriving = Some(Arriving { leg, trunk: None });
        self.looks_at(leg, source, arrival);
        self.arriving = None;
    }

    fn looks_at(&mut self, leg: LegId, source: Source, arrival: Arrival) {
        let takes_none = self.takes_none();
        let may_be_agent = matches!(source, Source::User(_)) || self.is_code(&arrival.called.user_decoded());
        if let Some(why) = takes_none.filter(|_| self.draining || !may_be_agent) {
            return self.come_later(leg, RETRY_AFTER, why);
        }
        let (agent, trunk) = match &source {
            Source::User(user) => (self.index.users.get(user).copied(), None),
            Source::Trunk(trunk) => (None, self.config.center.trunks.get(trunk)),
            Source::Stranger => (None, None),
        };
        let here = self.sip.is_ours(&arrival.from.uri.host) || arrival.from.uri.host == arrival.called.host;
        let mut caller = Caller::new(arrival.from, &arrival.headers, trunk);
        match &source {
            Source::User(user) if here => caller.is_user(user),
            Source::Stranger if here => caller.is_none_of_ours(arrival.flow.remote.ip()),
            _ => {}
        }
        let number = match trunk {
            Some(trunk) => identity::called(trunk, &arrival.called, &arrival.headers),
            None => arrival.called.user_decoded(),
        };
        let Some(to) = self.destination((agent, trunk), &number) else {
            if source == Source::Stranger && self.is_code(&number) {
                return self.sip_do(sip::Command::Challenge { leg });
            }
            return self.sip_do(sip::Command::Refuse { leg, status: 404, headers: Vec::new() });
        };
        // An agent may always say whether he takes calls: that is how a full house becomes emptier.
        if let Some(why) = takes_none.filter(|_| !matches!(to, Destination::Code { .. })) {
            return self.come_later(leg, RETRY_AFTER, why);
        }
        #[cfg(feature = "planted-bugs")]
        self.break_at_arrival();
        // Before anything is written down or opened: a call that nobody could hear is none.
        if let Some(status) = self.objection(arrival.offer.as_ref(), arrival.flow.listener) {
            return self.sip_do(sip::Command::Refuse { leg, status, headers: Vec::new() });
        }
        if let Some(trunk) = caller.origin.trunk.clone()
            && let Err(full) = self.trunks.seize(self.now, &trunk, Way::In)
        {
            return self.come_later(leg, if full == Full::Rate { 1 } else { RETRY_AFTER }, Turned::Trunk);
        }
        self.arriving = Some(Arriving { leg, trunk: caller.origin.trunk.clone() });
        if source == Source::Stranger && !self.may_call(arrival.flow.remote.ip()) {
            return self.come_later(leg, 1, Turned::Strangers);
        }
        self.admit(leg, agent, to, caller, (arrival.offer, arrival.flow.listener));
    }

    /// Somebody wants to take the place of a party (RFC 3891). No party changes its phone in mid-call here: an agent is
    /// declined, and strangers may not ask. The call that was meant goes on as it is.
    pub(super) fn replacing(&mut self, leg: LegId, source: &Source) {
        let status = if matches!(source, Source::User(_)) { 603 } else { 403 };
        self.sip_do(sip::Command::Refuse { leg, status, headers: Vec::new() });
    }

    /// A trunk's number reaches a line also in the form of E.164.
    fn destination(&self, from: (Option<AgentId>, Option<&Trunk>), number: &str) -> Option<Destination> {
        let (agent, trunk) = from;
        let lines = &self.index.lines;
        let line = lines.get(number).or_else(|| lines.get(&trunk?.numbers.read(number)));
        if let Some(line) = line {
            return Some(Destination::Line(line.clone()));
        }
        let codes = &self.config.center.codes;
        match agent {
            Some(agent) if number == codes.ready => Some(Destination::Code { agent, not_ready: None }),
            Some(agent) => {
                let reason = self.reason_dialed(number.strip_prefix(codes.not_ready.as_str())?)?;
                Some(Destination::Code { agent, not_ready: Some(reason) })
            }
            None => None,
        }
    }

    /// Whether a number begins like a short code: only who proves that he is an agent learns more.
    fn is_code(&self, number: &str) -> bool {
        let codes = &self.config.center.codes;
        number == codes.ready || number.starts_with(codes.not_ready.as_str())
    }

    /// What stands behind the code for "not ready": nothing, or the digit of a reason.
    fn reason_dialed(&self, rest: &str) -> Option<String> {
        let mut reasons = self.config.center.reasons.iter();
        match rest {
            "" => Some(UNNAMED_BREAK.to_owned()),
            digit => {
                reasons.find(|(_, r)| r.digit.is_some_and(|d| *digit == *d.to_string())).map(|(name, _)| name.clone())
            }
        }
    }

    fn admit(
        &mut self,
        leg: LegId,
        by_agent: Option<AgentId>,
        to: Destination,
        from: Caller,
        (offer, listener): (Option<Body>, u16),
    ) {
        let id = CallId(self.ids.calls.take());
        self.current = Some(id);
        let line = match &to {
            Destination::Line(line) => Some(line.clone()),
            Destination::Code { .. } => None,
        };
        let language = line.as_ref().map_or(&self.config.center.language, |l| &self.config.center.lines[l].language);
        let language = language.clone();
        let time_zone = line.as_ref().map_or(&self.config.center.time_zone, |l| &self.config.center.lines[l].time_zone);
        let Caller { told: number, shown: caller_shown, origin } = from;
        let facts = Facts {
            line: line.clone(),
            // Who withholds his number does so in flows too: what they attach and ask leaves Tierline.
            caller: match origin.private {
                true => String::new(),
                false => origin.number.clone().unwrap_or_else(|| caller_shown.uri.user_decoded()),
            },
            is_agent: by_agent.is_some(),
            language: language.clone(),
            time_zone: time_zone.clone(),
        };
        let (trunk, private) = (origin.trunk.clone(), origin.private);
        let Some(run) = self.run_for(&to, facts) else {
            trunk.into_iter().for_each(|trunk| self.release(trunk, Way::In));
            return self.sip_do(sip::Command::Refuse { leg, status: 480, headers: Vec::new() });
        };
        let plane = (id.0 % u64::from(self.start.planes)) as u16;
        let six = self.takes_six(Some(listener), offer.as_ref());
        let port = self.open_port(plane, leg, six);
        let manner = self.manner(false);
        let mut new = Leg::new(leg, id, Party::Caller, port, manner).offered(offer);
        new.trunk = trunk.clone().map(|trunk| (trunk, Way::In));
        new.listener = Some(listener);
        self.legs.insert(leg, new);
        let (caller, told) = (self.personal(PersonalKind::Number, number), language.clone());
        let arrived = What::CallArrived { leg, line: line.clone(), by_agent, trunk, private, language: told, caller };
        let (seeking, conversation, outside) = (None, None, None);
        let caller = leg;
        let call = Call {
            id,
            line,
            language,
            caller,
            caller_shown,
            origin,
            by_agent,
            run,
            seeking,
            conversation,
            outside,
            keying: Default::default(),
        };
        self.calls.insert(id, call);
        self.emit(Some(id), arrived);
        if let Some(agent) = by_agent {
            self.router_do(acd::Input::Occupy { agent }); // his phone is in use, be it for a short code
        }
        if let Destination::Code { agent, not_ready } = to {
            self.dialed_code(agent, not_ready);
        }
    }

    fn run_for(&self, to: &Destination, facts: Facts) -> Option<Run> {
        let flow = match to {
            Destination::Line(line) => self.config.center.lines[line].flow.clone(),
            Destination::Code { not_ready: None, agent } if !self.must_code(*agent) => FlowId::new(READY),
            Destination::Code { .. } => FlowId::new(NOT_READY),
        };
        self.index.flows.get(&flow).map(|flow| Run::new(flow, facts))
    }

    fn dialed_code(&mut self, agent: AgentId, not_ready: Option<String>) {
        let ask = match not_ready {
            // He hears that he is not ready: the last call is to be coded, which no phone can do.
            None if self.must_code(agent) => return,
            None => {
                self.works_at_phone(agent);
                Ask::Ready { agent }
            }
            Some(reason) => Ask::NotReady { agent, reason },
        };
        let asked = self.command(Command { actor: Actor::Agent(agent), ask });
        assert!(asked.is_ok(), "an agent may always change his own state");
    }

    /// The plane has sockets for the leg: negotiate (caller) or ring (agent).
    pub(super) fn port_opened(&mut self, id: LegId, local: SocketAddr) {
        self.has_port(id, local);
        let Some(leg) = self.legs.get_mut(&id) else { return };
        self.current = Some(leg.call);
        let LegState::Opening { offer } = &mut leg.state else { return };
        let offer = offer.take();
        match leg.party {
            Party::Caller => self.negotiate(id, offer),
            // Its hunt goes on with another port.
            Party::Agent(_) if leg.hunt.is_some() => self.dial(id),
            Party::Agent(agent) => self.ring(id, agent),
            Party::Outside => self.dial(id),
        }
    }

    fn negotiate(&mut self, id: LegId, offer: Option<Body>) {
        let leg = self.legs.get_mut(&id).expect("the leg that has just been looked up");
        let (call, port) = (leg.call, leg.port);
        match offer {
            None => {
                let offer = leg.offer(None).expect("the leg has an address");
                leg.state = LegState::Negotiated { body: Body::sdp(offer), ours: true };
            }
            Some(offer) => match leg.answer(&offer) {
                Ok((body, session)) => {
                    leg.state = LegState::Negotiated { body, ours: false };
                    self.media_do(media::Command::Connect { port, session });
                    self.media_do(media::Command::Allow { port, packets: Some(BEFORE_ACK) });
                }
                Err(refusal) => {
                    let status = leg::status(&refusal);
                    self.sip_do(sip::Command::Refuse { leg: id, status, headers: Vec::new() });
                    self.clear(id, Cause::NoMedia);
                    return self.finish(call, Cause::NoMedia);
                }
            },
        }
        self.start_flow(call);
    }

    /// No socket could be had for the leg, or its plane lost it in mid-call.
    pub(super) fn no_port(&mut self, id: LegId) {
        let Some(leg) = self.legs.get(&id) else { return };
        let (call, offered) = (leg.call, leg.reservation.is_some());
        self.current = Some(call);
        if (leg.party, &leg.state) == (Party::Outside, &LegState::Opening { offer: None }) {
            return self.not_reached(id, TransferProblem::NoTrunk, Cause::Exhausted);
        }
        match (offered, &leg.state) {
            (false, LegState::Opening { .. }) => {
                self.come_later(id, RETRY_AFTER, Turned::Ports);
                self.clear(id, Cause::Exhausted);
                self.finish(call, Cause::Exhausted);
            }
            (true, state) => {
                if !matches!(state, LegState::Opening { .. }) {
                    self.sip_do(sip::Command::HangUp { leg: id, reason: None });
                }
                self.offer_failed(id, acd::Refusal::Unreachable, Cause::Exhausted);
            }
            (false, _) => self.drop_leg(id, Cause::Exhausted),
        }
    }

    /// A dialog exists: the caller's ACK came, or an agent's phone answered.
    pub(super) fn established(&mut self, id: LegId, body: Option<Body>, dialog: sip::DialogRecord) {
        let Some(leg) = self.legs.get(&id) else { return };
        self.current = Some(leg.call);
        let (call, party) = (leg.call, leg.party);
        self.trunk_carries(id);
        let dialog = self.written_down(dialog);
        self.emit(Some(call), What::LegConfirmed { leg: id, party, dialog });
        match party {
            Party::Caller => self.caller_confirmed(id, body),
            Party::Agent(_) => self.agent_answered(id, body),
            Party::Outside => self.outside_answered(id, body),
        }
        self.watch(id);
    }

    /// What a restart needs of a dialog.
    fn written_down(&mut self, dialog: sip::DialogRecord) -> Personal {
        let dialog = sip::DialogRecord { bound: self.sip.bound(dialog.flow), ..dialog };
        let text = serde_json::to_string(&dialog).expect("a dialog consists of plain values");
        self.personal(PersonalKind::Dialog, text)
    }

    /// The peer of a dialog is elsewhere: the BYE of the next start finds it there. Whoever moves without end fills no log:
    /// of him it knows where he was a little earlier.
    pub(super) fn moved(&mut self, id: LegId, dialog: sip::DialogRecord) {
        let now = self.now;
        let leg = self.legs.get_mut(&id).filter(|leg| matches!(leg.state, LegState::Confirmed { .. }));
        let Some(leg) = leg else { return };
        if !leg.moves.take(now) {
            return;
        }
        let (call, party) = (leg.call, leg.party);
        self.current = Some(call);
        let dialog = self.written_down(dialog);
        self.emit(Some(call), What::LegMoved { leg: id, party, dialog });
    }

    fn caller_confirmed(&mut self, id: LegId, body: Option<Body>) {
        let leg = self.legs.get_mut(&id).expect("the leg that has just been looked up");
        let (call, port) = (leg.call, leg.port);
        let state = std::mem::replace(&mut leg.state, LegState::Confirmed { offer: None });
        self.media_do(media::Command::Allow { port, packets: None });
        let leg = self.legs.get_mut(&id).expect("the leg that has just been looked up");
        if let LegState::Answered { offer: Some(offer) } = state {
            match leg.accept(&offer, body.as_ref()) {
                Ok(session) => self.media_do(media::Command::Connect { port, session }),
                Err(_) => self.end_call(call, Cause::NoMedia),
            }
        }
    }
}

/// The flows of the two short codes: each says so and hangs up.
pub(super) fn code_flows(codes: &ShortCodes) -> [Flow; 2] {
    [(READY, &codes.ready_sound), (NOT_READY, &codes.not_ready_sound)].map(|(id, sound)| {
        let say = Step::HangUp(HangUpStep { prompts: vec![Prompt::sound(sound)] });
        let steps = BTreeMap::from([("say".to_owned(), say)]);
        Flow {
            id: FlowId::new(id),
            start: "say".to_owned(),
            steps,
            language: String::new(),
            texts: Vec::new(),
            variables: BTreeMap::new(),
            person: None,
        }
    })
}
