//! The world's side of people: their phones, their addresses, and what they do carried out.

use super::desktop::{asked_at_desk, in_words};
use super::media::{Heard, Owner};
use super::people::{Act, Person, Plan, Thought};
use super::{ENGINE, World, ladder};
use crate::engine::Input;
use crate::event::{Event, Party as Side, TransferTo, What};
use crate::media::{Codec, SoundId, Source};
use crate::phone::{self, Ask, Phone};
use crate::sip::header::NameAddr;
use crate::sip::uri::{Host, Uri};
use crate::sip::{self, Account, Flow, Listener};
use crate::time::Instant;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// How long phones register for, in seconds.
const EXPIRES: u32 = 600;
/// After this nothing that was sent before a phone died is under way any more, neither to it nor from it.
const IN_FLIGHT: Duration = Duration::from_secs(1);
/// The first phone's address: 10.0.0.0; the others follow.
const FIRST_ADDRESS: u32 = 0x0a00_0000;

/// Somebody and his phone.
pub(super) struct Party {
    pub person: Person,
    /// None before it is started and after it died.
    pub phone: Option<Phone>,
    wake: Option<Instant>,
    boots: u32,
    retired: bool,
    died: Option<Instant>,
    /// When the present engine's first request came to this phone after it had died.
    pub unheard: Option<Instant>,
}

impl Party {
    pub fn new(person: Person) -> Party {
        Party { person, phone: None, wake: None, boots: 0, retired: false, died: None, unheard: None }
    }

    /// Is called, and has not answered.
    pub fn rings(&self) -> bool {
        self.phone.as_ref().is_some_and(|phone| phone.is_busy() && !phone.is_talking())
    }

    pub fn pending(&self, key: u32) -> Option<String> {
        match &self.phone {
            Some(phone) => phone.pending().map(|why| format!("{}: {why}", name(key))),
            None if self.retired => None,
            None => Some(format!("{} will come back", name(key))),
        }
    }
}

fn in_short(party: Side) -> String {
    match party {
        Side::Caller => "caller".to_owned(),
        Side::Agent(agent) => agent.to_string(),
        Side::Outside => "outside".to_owned(),
    }
}

pub(super) fn address(key: u32) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from(FIRST_ADDRESS + super::carriers::gateway_of(key))), 5060)
}

/// Whose address this is, of a carrier its first line; none: the engine's.
pub(super) fn key_of(address: SocketAddr) -> Option<u32> {
    match address.ip() {
        IpAddr::V4(ip) if address != ENGINE => Some(u32::from(ip).wrapping_sub(FIRST_ADDRESS)),
        _ => None,
    }
}

/// What a phone is called in messages.
pub(super) fn name(key: u32) -> String {
    format!("phone {key}")
}

/// Everybody's password.
pub(super) fn password(user: &str) -> String {
    format!("secret of {user}")
}

fn engine_uri(user: &str) -> Uri {
    Uri::sip(user, Host::from(ENGINE.ip()), None)
}

impl World {
    /// Starts a phone for `key`, in the place of an older one.
    pub(super) fn boot(&mut self, key: u32, right_password: bool) {
        let user = self.user_of(key);
        let agent = key < self.options.agents;
        let at = address(key);
        let mut sip = sip::Config::new(vec![Listener::udp(at)], "tierline-phone");
        sip.keepalive = None;
        let manner = self.manner(key, &mut sip);
        let host = if agent { ENGINE.ip() } else { at.ip() };
        let secret = if right_password { password(&user) } else { "guessed".to_owned() };
        let settings = phone::Settings {
            sip,
            identity: NameAddr::new(Uri::sip(&user, Host::from(host), None)),
            account: agent.then(|| Account::new(&user, &secret)),
            codecs: vec![Codec::Pcmu, Codec::Pcma],
            manner,
            plane: 0,
            media_address: at.ip(),
        };
        let Some(party) = self.parties.find_mut(key) else { return };
        party.boots += 1;
        (party.died, party.unheard) = (None, None);
        let rng = self.rng.fork(&format!("phone {key} {}", party.boots));
        let had_one = party.phone.replace(Phone::new(settings, key as u16, rng)).is_some();
        party.wake = None;
        if had_one {
            self.planes.vanish(self.now, Owner::Phone(key));
        }
        // Whoever speaks is heard: the stand-in needs no sound for that, the phone wants one.
        self.phone_gets(key, phone::Input::Ask(Ask::Say { source: Source::Loop(SoundId(5)) }));
    }

    /// What this phone does where SIP leaves it the choice; drawn once for each phone.
    fn manner(&self, key: u32, sip: &mut sip::Config) -> phone::Manner {
        if let Some((manner, expires)) = self.script.manner(key) {
            sip.sessions.interval = expires.unwrap_or(sip.sessions.interval);
            sip.sessions.on = !manner.knows_no_timers;
            return manner;
        }
        let mut rng = self.rng.fork(&format!("manner {key}"));
        let odd = self.options.odd_phones;
        if rng.chance(odd) {
            // The shortest there is: a call of a minute is refreshed (RFC 4028).
            sip.sessions.interval = Duration::from_secs(90 + rng.below(60));
        }
        let requires_reliable = rng.chance(odd);
        let describes_early = rng.chance(odd);
        let updates_early = describes_early && rng.chance(0.5);
        let knows_no_timers = rng.chance(odd);
        sip.sessions.on = !knows_no_timers;
        let shares_port = rng.chance(0.5);
        phone::Manner { requires_reliable, describes_early, updates_early, knows_no_timers, shares_port }
    }

    /// How often this phone has been started.
    pub(super) fn boots_of(&self, key: u32) -> u32 {
        self.parties.find(key).map_or(0, |party| party.boots)
    }

    /// The user part of this phone's address.
    pub(super) fn user_of(&self, key: u32) -> String {
        match key < self.options.agents {
            true => (super::place::FIRST_AGENT + key).to_string(),
            false => format!("+4930{key:07}"),
        }
    }

    /// What a ladder calls this address.
    pub(super) fn name_of(&self, address: SocketAddr) -> String {
        match key_of(address) {
            None => ladder::US.to_owned(),
            Some(key) => self.column(key),
        }
    }

    pub(super) fn column(&self, key: u32) -> String {
        match key < self.options.agents {
            true => format!("Agent {}", self.user_of(key)),
            false if super::carriers::is_line(key) => format!("Line {}", super::carriers::number_of(key)),
            false if key == self.options.agents => "Caller".to_owned(),
            false => format!("Caller {}", key - self.options.agents + 1),
        }
    }

    pub(super) fn phone_gets(&mut self, key: u32, input: phone::Input) {
        let Some(party) = self.parties.find_mut(key) else { return };
        let Some(phone) = &mut party.phone else { return };
        phone.handle(self.now, input);
        let mut outputs = std::mem::take(&mut self.said_by_phone);
        outputs.extend(std::iter::from_fn(|| phone.poll()));
        outputs.drain(..).for_each(|output| self.phone_said(key, output));
        self.said_by_phone = outputs;
        self.plan_phone_wake(key);
        self.perhaps_gone(key);
    }

    pub(super) fn phone_wakes(&mut self, key: u32) {
        let now = self.now;
        let Some(party) = self.parties.find_mut(key) else { return };
        if party.wake.is_some_and(|at| at <= now) {
            party.wake = None;
        }
        match party.phone.as_ref().and_then(Phone::deadline) {
            Some(at) if at <= now => self.phone_gets(key, phone::Input::Timeout),
            _ => self.plan_phone_wake(key),
        }
    }

    fn plan_phone_wake(&mut self, key: u32) {
        let Some(party) = self.parties.find_mut(key) else { return };
        if let Some(at) = party.phone.as_ref().and_then(Phone::deadline)
            && party.wake.is_none_or(|planned| at < planned)
        {
            party.wake = Some(at);
            let at = at.max(self.now);
            self.at(at, super::Due::PhoneWake(key));
        }
    }

    fn phone_said(&mut self, key: u32, output: phone::Output) {
        match output {
            phone::Output::Sip { flow, bytes } => self.send(address(key), flow.remote, bytes),
            phone::Output::Resolve { query, .. } => {
                let nothing = sip::Input::Resolved { query, flows: Vec::new() };
                self.phone_gets(key, phone::Input::Sip(nothing));
            }
            // What a phone plays is the voice of its owner: heard by whoever is bridged with it.
            phone::Output::Media(crate::media::Command::Play { .. }) => {}
            phone::Output::Media(command) => {
                self.planes.handle(self.now, Owner::Phone(key), address(key).ip(), command);
            }
            phone::Output::Event(event) => self.phone_shows(key, &event),
        }
    }

    fn phone_shows(&mut self, key: u32, event: &phone::Event) {
        let Some(party) = self.parties.find_mut(key) else { return };
        let acts = party.person.noticed(event);
        let call = party.person.call();
        if let phone::Event::Incoming { .. } = event {
            let (epoch, within) = (self.epoch, super::promises::ringing_ends_within(key));
            self.after(within, super::Due::RingingEnds { phone: key, call, epoch });
        }
        self.note_shown(key, event);
        self.carry_out(key, call, acts);
    }

    pub(super) fn remembers(&mut self, key: u32, plan: Plan) {
        let hears = plan.1 == Thought::LosePatience && matches!(self.planes.heard_by(key), Heard::Person(_));
        let Some(party) = self.parties.find_mut(key) else { return };
        let busy = party.phone.as_ref().is_some_and(Phone::is_busy);
        let acts = party.person.remembered(plan, busy, hears);
        let call = party.person.call();
        self.carry_out(key, call, acts);
        self.perhaps_gone(key);
    }

    fn carry_out(&mut self, key: u32, call: u32, acts: Vec<Act>) {
        for act in acts {
            self.does(key, call, act);
        }
    }

    pub(super) fn does(&mut self, key: u32, call: u32, act: Act) {
        match act {
            Act::Ask(ask) => self.phone_gets(key, phone::Input::Ask(ask)),
            Act::Dial(number) => self.dial(key, number),
            Act::Register { .. } => {
                let ask = Ask::Register { registrar: engine_uri(""), expires: EXPIRES };
                self.phone_gets(key, phone::Input::Ask(ask));
            }
            Act::Later(after, thought) => self.after(after, super::Due::Remember(key, (call, thought))),
            Act::Farewell => {
                if let Heard::Person(other) = self.planes.heard_by(key)
                    && let Some(party) = self.parties.find(other)
                {
                    let plan = (party.person.call(), Thought::Bidden);
                    self.after(Duration::from_millis(700), super::Due::Remember(other, plan));
                }
            }
            Act::Desk(act) => {
                let agent = crate::ids::AgentId(super::place::FIRST_AGENT + key);
                let ask = asked_at_desk(agent, act);
                match self.desktops.has_program(agent) {
                    true => self.program_asks(agent, ask),
                    false => self.desk_asks(agent, ask),
                }
            }
            Act::Vanish => self.vanish(key),
            Act::Boot { right } => self.boot(key, right),
            Act::Retire => {
                if let Some(party) = self.parties.find_mut(key) {
                    party.retired = true;
                }
            }
        }
    }

    pub(super) fn dial(&mut self, key: u32, number: &str) {
        if self.parties.find(key).is_some_and(|party| party.phone.is_none()) {
            self.boot(key, true);
        }
        let dial = Ask::Dial { to: engine_uri(number), flow: Some(Flow::udp(0, ENGINE)) };
        self.phone_gets(key, phone::Input::Ask(dial));
    }

    /// The phone is gone, and with it all that it would still have sent.
    pub(super) fn vanish(&mut self, key: u32) {
        let Some(party) = self.parties.find_mut(key) else { return };
        (party.phone, party.wake, party.died) = (None, None, Some(self.now));
        self.planes.vanish(self.now, Owner::Phone(key));
    }

    /// What arrives at a dead phone is remembered if a living one would answer it.
    pub(super) fn note_unheard(&mut self, key: u32, arrives: &sip::Input) {
        let sip::Input::Received { bytes, .. } = arrives else { return };
        let asks = !bytes.starts_with(b"SIP/") && !bytes.starts_with(b"ACK ");
        let Some(party) = self.parties.find_mut(key) else { return };
        if asks && party.died.is_some_and(|at| self.now.since(at) > IN_FLIGHT) {
            party.unheard.get_or_insert(self.now);
        }
    }

    fn perhaps_gone(&mut self, key: u32) {
        let done = |party: &Party| party.retired && party.phone.as_ref().is_none_or(|phone| phone.pending().is_none());
        if self.parties.find(key).is_some_and(done) {
            self.planes.vanish(self.now, Owner::Phone(key));
            self.parties.remove(key);
        }
    }

    // What a ladder shows beside the messages.

    pub(super) fn note(&mut self, who: &str, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.note(self.now, who, text());
        }
    }

    fn note_shown(&mut self, key: u32, event: &phone::Event) {
        if self.trace.is_none() {
            return;
        }
        let text = match event {
            phone::Event::Connected => "is connected".to_owned(),
            phone::Event::Silent => "hears nothing".to_owned(),
            phone::Event::RegistrationFailed { status } => format!("could not register: {status}"),
            phone::Event::Failed { status } => format!("sees {status}"),
            _ => return,
        };
        let who = self.column(key);
        self.note(&who, || text);
    }

    pub(super) fn note_event(&mut self, event: &Event) {
        let text = match &event.what {
            What::NothingChosen { why, again, .. } => {
                format!("{why:?}: {}", if *again { "asked again" } else { "goes on otherwise" })
            }
            What::Queued { queue, again, .. } => format!("queued in {queue}{}", if *again { " again" } else { "" }),
            What::Established { agent, waited, .. } => {
                format!("joins caller and {agent} after {:.1} s", waited.as_secs_f64())
            }
            What::OfferEnded { agent, outcome, .. } => format!("offer to {agent}: {outcome:?}"),
            What::AgentStateChanged { agent, from, to, .. } => format!("agent {agent}: {from:?} → {to:?}"),
            What::CallEnded { cause, phase } => format!("call ends in {phase:?}: {}", cause.text()),
            What::Held { .. } => "held".to_owned(),
            What::Retrieved { .. } => "retrieved".to_owned(),
            What::Transferred { agent, to: TransferTo::Queue(queue) } => format!("{agent} sends on to {queue}"),
            What::Transferred { agent, to: TransferTo::Agent(other) } => format!("{agent} sends on to {other}"),
            What::Transferred { agent, to: TransferTo::Number(_) } => format!("{agent} sends on to a number"),
            What::DataAttached { name, .. } => format!("attached {name}"),
            What::Disposed { disposition, .. } => format!("disposed: {disposition}"),
            What::PhoneReachable { agent, reachable: false } => format!("agent {agent}: the phone does not answer"),
            What::PhoneReachable { agent, reachable: true } => format!("agent {agent}: the phone answers again"),
            What::TrunkFailed { trunk, why, .. } => format!("{trunk} does not carry it: {why:?}"),
            What::OutsideJoined { .. } => "joins caller and outside party".to_owned(),
            What::TransferFailed { why } => format!("transfer failed: {why:?}"),
            What::ReasonGiven { party, reason, .. } => format!("{} says {reason}", in_short(*party)),
            What::LegHeard { party, audio, .. } => format!("{}: {audio}", in_short(*party)),
            What::DrainStarted => "drains".to_owned(),
            _ => return,
        };
        self.note(ladder::US, || text);
    }

    /// Asks the engine for something in the agent's name.
    pub(super) fn desk_asks(&mut self, agent: crate::ids::AgentId, ask: crate::command::Ask) {
        let who = format!("Agent {agent}");
        self.note(&who, || format!("desk: {}", in_words(&ask)));
        let command = crate::command::Command { actor: crate::command::Actor::Agent(agent), ask };
        self.engine_gets(Input::Command { id: u64::from(agent.0), command });
    }

    /// Asks the engine for something in the operator's name.
    pub(super) fn operator_asks(&mut self, ask: crate::command::Ask) {
        let command = crate::command::Command { actor: crate::command::Actor::Operator, ask };
        self.engine_gets(Input::Command { id: 0, command });
    }
}
