//! The same engine in a simulated world: one clock, one seed, one log.
//!
//! [`World`] owns a real `engine::Engine` and a pure phone for every caller and agent. Between them goes real
//! SIP over a [`network`] that loses, copies and delays; audio is a [`media`] stand-in that says who hears whom.
//! [`people`] have patience, habits and make mistakes; the engine is killed at random points and restarted from
//! what its log says. Everything comes from one seed: the same seed gives the same log, byte for byte.
//!
//! **When what is checked.** What the log says ([`books`]) is checked with every event. The engine's state
//! ([`scan`]) is looked at as a whole after every input in small worlds, and after every
//! [`Options::scan_every`]th input in large ones, since one look costs as much as the center is large. What must
//! happen within a time (both hear each other, a phone stops ringing) is looked at when the time has come.
//! After the last arrival everything must become quiet, or the run fails and says what is left.
//!
//! Left out: other transports than UDP, name resolution, audio itself.

pub mod books;
pub mod checks;
pub mod ladder;
pub mod media;
pub mod network;
mod parties;
pub mod people;
pub mod place;
mod report;
mod scan;
pub mod script;
pub mod summary;

pub use checks::{Check, Failure};
pub use report::Report;

use crate::engine::{Configuration, Engine, Input, Output, Start};
use crate::event::{Event, What};
use crate::ids::{CallId, LegId, PortId, Rng};
use crate::sip::digest::{self, Credentials};
use crate::sip::header::Method;
use crate::sip::{self, Flow, Listener};
use crate::time::{Instant, Wall};
use books::Books;
use checks::Tally;
use ladder::Trace;
use media::{Owner, StandIn};
use network::{Conditions, Network};
use parties::Party;
use people::{Habits, Person, Plan, Thought};
use scan::Scan;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use summary::Summary;

/// Where the engine listens.
pub const ENGINE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5060);
/// Wall time when the run begins: 2026-01-05T08:00:00Z.
const WALL: Wall = Wall(1_767_600_000_000);
/// After this an answered call must be heard in both directions.
const HEAR_WITHIN: Duration = Duration::from_secs(1);
/// After this a leg that is over must be over for its phone: an ACK is waited for 32 s (RFC 3261 §13.3.1.4), a BYE
/// is repeated for 32 s more.
const HANG_UP_WITHIN: Duration = Duration::from_secs(75);
/// After a phone began to ring it must have stopped: the ring time, and 32 s for the CANCEL, or the 200, to come through.
const RINGING_ENDS_WITHIN: Duration = Duration::from_secs(18 + 45);
/// How long after the last arrival the world may need to become quiet.
const QUIET_WITHIN: Duration = Duration::from_secs(3 * 3_600);
/// How often it is asked whether all is quiet, once no calls arrive any more.
const CLOSING: Duration = Duration::from_secs(10);
/// Steps without time passing after which the world is considered stuck.
const STUCK: u32 = 1_000_000;

/// What is simulated.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub seed: u64,
    pub agents: u32,
    /// How long calls arrive; then all must become quiet.
    pub duration: Duration,
    /// Calls in an hour; none: what keeps the agents busy for about 87 % of their time.
    pub calls_per_hour: Option<f64>,
    pub conditions: Conditions,
    pub habits: Habits,
    /// How often the engine is killed, at random times.
    pub crashes: u32,
    /// Share of the engine's ports that cannot be opened.
    pub port_failures: f64,
    /// The pause between two OPTIONS to a registered phone.
    pub keepalive: Option<Duration>,
    /// How many inputs the engine gets between two looks at its whole state; 1: after each.
    pub scan_every: u64,
    /// Keep every input of the engine, to replay them.
    pub record: bool,
}

impl Options {
    /// A usual day of a center: good network, ordinary people, the engine killed once.
    pub fn day(seed: u64, agents: u32, hours: f64) -> Options {
        Options {
            seed,
            agents,
            duration: Duration::from_secs_f64(hours.clamp(0.0, 1_000.0) * 3_600.0),
            calls_per_hour: None,
            conditions: Conditions {
                loss: 0.002,
                duplication: 0.001,
                ..Conditions::drawn(&mut Rng::from_number(seed))
            },
            habits: Habits::usual(),
            crashes: 1,
            port_failures: 0.0,
            keepalive: Some(Duration::from_secs(60)),
            scan_every: (u64::from(agents) * 2).max(1),
            record: false,
        }
    }

    /// A small world in which everything is drawn from the seed: how bad the network, how odd the people, how
    /// often the engine dies.
    pub fn swarm(seed: u64) -> Options {
        let mut rng = Rng::from_number(seed).fork("options");
        let agents = 1 + rng.below(12) as u32;
        let rate = [2.0, 10.0, 20.0, 40.0][rng.below(4) as usize];
        Options {
            seed,
            agents,
            duration: Duration::from_secs(600 + rng.below(1_800)),
            calls_per_hour: Some(rate * f64::from(agents)),
            conditions: Conditions::drawn(&mut rng),
            habits: Habits::drawn(&mut rng),
            crashes: rng.below(4).saturating_sub(1) as u32,
            port_failures: if rng.chance(0.2) { 0.05 } else { 0.0 },
            keepalive: Some(Duration::from_secs(30)),
            scan_every: 1,
            record: false,
        }
    }

    /// A network that loses nothing, people who do as they are told, an engine that lives.
    pub fn scripted() -> Options {
        Options {
            conditions: Conditions::clean(),
            crashes: 0,
            keepalive: None,
            scan_every: 1,
            duration: Duration::ZERO,
            ..Options::day(1, 2, 0.0)
        }
    }

    fn calls_per_hour(&self) -> f64 {
        let busy = self.habits.mean_talk.as_secs_f64() + 4.0 + place::WRAP_UP.as_secs_f64() + 3.0;
        self.calls_per_hour.unwrap_or(f64::from(self.agents) * 3_600.0 / busy * 0.87)
    }
}

/// Runs a world to its end, or to the first check that does not hold.
pub fn run(options: Options) -> Report {
    let mut world = World::new(options);
    world.run();
    world.report()
}

/// What comes to pass at a time.
#[derive(Clone, Debug)]
enum Due {
    Packet { from: SocketAddr, to: SocketAddr, bytes: Vec<u8> },
    EngineWake,
    PlanesWake,
    PhoneWake(u32),
    Remember(u32, Plan),
    Verified { query: u64, ok: bool, epoch: u32 },
    Commit,
    Arrival,
    Crash,
    Restart,
    Closing,
    Script(usize),
    TalkersHear { call: CallId, leg: LegId, epoch: u32 },
    PeerHangsUp { phone: u32, boots: u32, port: PortId, epoch: u32 },
    RingingEnds { phone: u32, call: u32, epoch: u32 },
}

struct Entry {
    at: Instant,
    serial: u64,
    due: Due,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        (self.at, self.serial) == (other.at, other.serial)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> std::cmp::Ordering {
        (self.at, self.serial).cmp(&(other.at, other.serial))
    }
}

/// One clock, one seed, one log, and everybody who takes part.
pub struct World {
    options: Options,
    now: Instant,
    agenda: BinaryHeap<Reverse<Entry>>,
    serial: u64,
    rng: Rng,
    engine: Option<Engine>,
    configuration: Configuration,
    /// How the present engine was started.
    started: Start,
    epoch: u32,
    engine_wake: Option<Instant>,
    planes: StandIn,
    planes_wake: Option<Instant>,
    network: Network,
    parties: BTreeMap<u32, Party>,
    next_phone: u32,
    books: Books,
    tally: Tally,
    scan: Scan,
    summary: Summary,
    inputs: u64,
    /// Steps since time has passed.
    steps: u32,
    retransmissions: u64,
    recording: Vec<(Instant, Input)>,
    trace: Option<Trace>,
    script: script::Running,
    going_home: bool,
    quiet: bool,
    #[cfg(feature = "planted-bugs")]
    bug: Option<crate::engine::Bug>,
}

impl World {
    pub fn new(options: Options) -> World {
        let rng = Rng::from_number(options.seed);
        let configuration = place::configuration(options.agents);
        let silence = [configuration.center.limits.silence, Duration::from_secs(90)];
        let planes = StandIn::new(place::lengths(), silence, options.port_failures, rng.fork("planes"));
        let network = Network::new(options.conditions.clone(), rng.fork("network"));
        let mut world = World {
            now: Instant::ZERO,
            agenda: BinaryHeap::new(),
            serial: 0,
            engine: None,
            epoch: 0,
            engine_wake: None,
            planes,
            planes_wake: None,
            network,
            parties: BTreeMap::new(),
            next_phone: options.agents,
            books: Books::default(),
            tally: Tally::default(),
            scan: Scan::default(),
            summary: Summary::new(&configuration.center),
            inputs: 0,
            steps: 0,
            retransmissions: 0,
            recording: Vec::new(),
            trace: None,
            script: script::Running::default(),
            going_home: false,
            quiet: false,
            #[cfg(feature = "planted-bugs")]
            bug: None,
            configuration,
            started: start(&options, &rng, 0, 1),
            rng,
            options,
        };
        world.start_engine();
        world
    }

    /// Plants a bug into this and every later engine of this world.
    #[cfg(feature = "planted-bugs")]
    pub fn plant(&mut self, bug: crate::engine::Bug) {
        self.bug = Some(bug);
        self.books.repairs_expected = matches!(bug, crate::engine::Bug::Panics | crate::engine::Bug::PanicsAndCorrupts);
        self.engine.iter_mut().for_each(|engine| engine.plant(bug));
    }

    /// A repair is a failure even though a panic was planted.
    #[cfg(feature = "planted-bugs")]
    pub fn expect_no_repairs(&mut self) {
        self.books.repairs_expected = false;
    }

    /// Lets the people come, and runs until all is quiet or a check fails.
    pub fn run(&mut self) {
        self.open();
        self.finish();
    }

    /// Runs an opened world to its end.
    pub fn finish(&mut self) {
        while self.step() {}
        self.settle();
    }

    /// Agents come to their desks, calls begin to arrive, and the engine's deaths are fixed.
    pub fn open(&mut self) {
        let mut rng = self.rng.fork("opening");
        for key in 0..self.options.agents {
            let person = Person::agent(self.options.habits.clone(), self.rng.fork(&format!("agent {key}")));
            self.parties.insert(key, Party::new(person));
            let after = Duration::from_millis(rng.below(30_000));
            self.after(after, Due::Remember(key, (0, Thought::Begin)));
        }
        for _ in 0..self.options.crashes {
            let after = self.options.duration.mul_f64(rng.unit());
            self.after(after, Due::Crash);
        }
        self.after(Duration::from_secs(20), Due::Arrival);
        self.after(self.options.duration, Due::Closing);
    }

    /// The next thing that comes to pass; false when nothing more will, all is quiet, or a check has failed.
    pub fn step(&mut self) -> bool {
        if self.quiet || self.tally.failure().is_some() {
            return false;
        }
        let Some(Reverse(Entry { at, due, .. })) = self.agenda.pop() else { return false };
        assert!(at >= self.now, "the agenda is in order");
        self.steps = if at > self.now { 0 } else { self.steps + 1 };
        assert!(self.steps < STUCK, "time does not pass any more with seed {}: {due:?}", self.options.seed);
        self.now = at;
        self.tally.at(at);
        self.comes(due);
        self.pump();
        true
    }

    /// Runs until this time.
    pub fn run_until(&mut self, until: Instant) {
        while self.agenda.peek().is_some_and(|Reverse(entry)| entry.at <= until) && self.step() {}
    }

    /// Writes the engine down as JSON and goes on with what was read back.
    pub fn write_down_and_read_back(&mut self) -> Result<usize, serde_json::Error> {
        let Some(engine) = &self.engine else { return Ok(0) };
        let text = serde_json::to_string(engine)?;
        self.engine = Some(serde_json::from_str(&text)?);
        Ok(text.len())
    }

    /// How a recorded run began, and every input since (see [`Options::record`]; of the last start, if the
    /// engine was killed).
    pub fn recording(&self) -> (Start, Configuration, &[(Instant, Input)]) {
        (self.started.clone(), self.configuration.clone(), &self.recording)
    }

    fn after(&mut self, delay: Duration, due: Due) {
        self.at(self.now + delay, due);
    }

    fn at(&mut self, at: Instant, due: Due) {
        self.serial += 1;
        self.agenda.push(Reverse(Entry { at, serial: self.serial, due }));
    }

    fn comes(&mut self, due: Due) {
        match due {
            Due::Packet { from, to, bytes } => self.arrives(from, to, bytes),
            Due::EngineWake => self.engine_wakes(),
            Due::PlanesWake => self.planes_wake(),
            Due::PhoneWake(key) => self.phone_wakes(key),
            Due::Remember(key, plan) => self.remembers(key, plan),
            Due::Verified { query, ok, epoch } if epoch == self.epoch => {
                self.engine_gets(Input::Sip(sip::Input::Verified { query, ok }));
            }
            Due::Verified { .. } => {}
            Due::Commit => self.commit(self.now),
            Due::Arrival => self.caller_arrives(),
            Due::Crash => self.crash(),
            Due::Restart => self.start_engine(),
            Due::Closing => self.closing(),
            Due::Script(line) => self.script_line(line),
            Due::TalkersHear { call, leg, epoch } if epoch == self.epoch => self.check_talkers_hear(call, leg),
            Due::PeerHangsUp { phone, boots, port, epoch } if epoch == self.epoch => {
                self.check_peer_hung_up(phone, boots, port);
            }
            Due::RingingEnds { phone, call, epoch } if epoch == self.epoch => self.check_ringing_ended(phone, call),
            Due::TalkersHear { .. } | Due::PeerHangsUp { .. } | Due::RingingEnds { .. } => {}
        }
    }

    fn planes_wake(&mut self) {
        // An entry of a deadline that was overtaken by an earlier one must not plan another entry.
        if self.planes_wake.is_some_and(|at| at <= self.now) {
            self.planes_wake = None;
            self.planes.time_passed(self.now);
        }
    }

    /// Delivers what the planes say, and plans the next waking.
    fn pump(&mut self) {
        while let Some((owner, event)) = self.planes.poll() {
            match owner {
                Owner::Engine => self.engine_gets(Input::Media(event)),
                Owner::Phone(key) => self.phone_gets(key, crate::phone::Input::Media(event)),
            }
        }
        if let Some(at) = self.planes.deadline()
            && self.planes_wake.is_none_or(|planned| at < planned)
        {
            self.planes_wake = Some(at);
            self.at(at.max(self.now), Due::PlanesWake);
        }
    }

    // The engine.

    fn start_engine(&mut self) {
        let (next_seq, open) = self.books.crash();
        self.epoch += 1;
        self.scan.forget();
        self.recording.clear();
        self.engine_wake = None;
        self.started = start(&self.options, &self.rng, self.epoch, next_seq);
        let engine = Engine::new(self.started.clone(), self.configuration.clone());
        #[cfg(feature = "planted-bugs")]
        let engine = {
            let mut engine = engine;
            self.bug.iter().for_each(|bug| engine.plant(*bug));
            engine
        };
        self.engine = Some(engine);
        self.note(ladder::US, || "starts".to_owned());
        self.engine_gets(Input::Restored(open));
    }

    fn crash(&mut self) {
        let Some(engine) = self.engine.take() else { return };
        self.retransmissions += engine.sip().stats().retransmissions_sent;
        // What was written long enough ago is safe; of the rest, a random part.
        let mut rng = self.rng.fork(&format!("crash {}", self.epoch));
        let lost = books::COMMIT.mul_f64(rng.unit()).as_nanos() as u64;
        self.commit(Instant(self.now.0.saturating_sub(lost)));
        self.planes.vanish(self.now, Owner::Engine);
        self.note(ladder::US, || "is killed".to_owned());
        self.after(Duration::from_millis(50 + rng.below(5_000)), Due::Restart);
    }

    fn engine_wakes(&mut self) {
        if self.engine_wake.is_some_and(|at| at <= self.now) {
            self.engine_wake = None;
        }
        match self.engine.as_ref().and_then(Engine::deadline) {
            Some(at) if at <= self.now => self.engine_gets(Input::Timeout),
            _ => self.plan_engine_wake(),
        }
    }

    fn plan_engine_wake(&mut self) {
        let deadline = self.engine.as_ref().and_then(Engine::deadline);
        if let Some(at) = deadline
            && self.engine_wake.is_none_or(|planned| at < planned)
        {
            self.engine_wake = Some(at);
            self.at(at.max(self.now), Due::EngineWake);
        }
    }

    /// The one door: every input of the engine passes here.
    fn engine_gets(&mut self, input: Input) {
        let Some(engine) = &mut self.engine else { return };
        if self.options.record {
            self.recording.push((self.now, input.clone()));
        }
        engine.handle(self.now, input);
        let mut outputs = Vec::new();
        while let Some(output) = engine.poll() {
            outputs.push(output);
        }
        outputs.into_iter().for_each(|output| self.engine_said(output));
        self.inputs += 1;
        if self.inputs.is_multiple_of(self.options.scan_every) {
            self.look_at_everything();
        }
        self.plan_engine_wake();
    }

    fn look_at_everything(&mut self) {
        if let Some(engine) = &self.engine {
            self.scan.run(self.now, engine, &self.planes, &mut self.tally);
        }
    }

    fn engine_said(&mut self, output: Output) {
        match output {
            Output::Sip { flow, bytes } => self.send(ENGINE, flow.remote, bytes),
            Output::Verify { query, credentials, method } => self.verify(query, &credentials, &method),
            Output::Resolve { query, .. } => {
                self.engine_gets(Input::Sip(sip::Input::Resolved { query, flows: Vec::new() }));
            }
            Output::Media(command) => self.planes_get(command),
            Output::Reply { .. } => {}
            Output::Event(event) => self.happened(event),
        }
    }

    fn planes_get(&mut self, command: crate::media::Command) {
        use crate::media::{Command, Source};
        let play = match &command {
            Command::Play { port, source: Source::Once(sounds), .. } => Some((*port, sounds.first().copied())),
            Command::Play { port, source: Source::Loop(sound), .. } => Some((*port, Some(*sound))),
            _ => None,
        };
        if let Command::Close { port } = &command
            && let Some((Owner::Phone(phone), port)) = self.planes.far((Owner::Engine, *port))
        {
            let (epoch, boots) = (self.epoch, self.boots_of(phone));
            self.after(HANG_UP_WITHIN, Due::PeerHangsUp { phone, boots, port, epoch });
        }
        self.planes.handle(self.now, Owner::Engine, ENGINE.ip(), command);
        if let Some((_, Some(sound))) = play {
            self.note(ladder::US, || format!("plays {}", place::sound_name(sound)));
        }
    }

    /// The shell's part of Digest: it knows what the passwords are.
    fn verify(&mut self, query: u64, credentials: &Credentials, method: &Method) {
        let known = self.configuration.center.agent_of(&credentials.username).is_some();
        let password = parties::password(&credentials.username);
        let realm = &self.configuration.center.name;
        let ha1 = digest::ha1(credentials.algorithm, &credentials.username, realm, &password);
        let ok = known && credentials.verify(&ha1, method);
        let epoch = self.epoch;
        self.after(Duration::from_micros(500), Due::Verified { query, ok, epoch });
    }

    fn happened(&mut self, event: Event) {
        self.scan.note(self.now, &event);
        if let (What::Established { leg, .. }, Some(call)) = (&event.what, event.call) {
            let (leg, epoch) = (*leg, self.epoch);
            self.after(HEAR_WITHIN, Due::TalkersHear { call, leg, epoch });
        }
        if self.trace.is_some() {
            self.note_event(&event);
        }
        if self.books.deadline().is_none() {
            self.after(books::COMMIT, Due::Commit);
        }
        self.books.write(self.now, event);
    }

    fn commit(&mut self, until: Instant) {
        let until = Instant(until.0.saturating_sub(books::COMMIT.as_nanos() as u64));
        let summary = &mut self.summary;
        self.books.commit(until, &mut self.tally, |event| summary.fold(event));
        if let Some(at) = self.books.deadline() {
            self.at(at.max(self.now), Due::Commit);
        }
    }

    /// Makes all of the log safe: nothing dies any more.
    pub fn settle(&mut self) {
        let summary = &mut self.summary;
        self.books.commit(self.now, &mut self.tally, |event| summary.fold(event));
    }

    // The network.

    fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        let ordered = self.script.loses(from == ENGINE, &bytes);
        let arrivals = self.network.carry(ordered);
        if self.trace.is_some() {
            let (from, to) = (self.name_of(from), self.name_of(to));
            let lost = arrivals[0].is_none();
            self.trace.iter_mut().for_each(|trace| trace.message(self.now, (&from, &to), &bytes, lost));
        }
        match arrivals {
            [Some(first), Some(second)] => {
                self.after(first, Due::Packet { from, to, bytes: bytes.clone() });
                self.after(second, Due::Packet { from, to, bytes });
            }
            [Some(only), None] | [None, Some(only)] => self.after(only, Due::Packet { from, to, bytes }),
            [None, None] => {}
        }
    }

    fn arrives(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        let received = sip::Input::Received { flow: Flow::udp(0, from), bytes };
        match parties::key_of(to) {
            None => self.engine_gets(Input::Sip(received)),
            Some(key) => self.phone_gets(key, crate::phone::Input::Sip(received)),
        }
    }

    // The end of the day.

    fn caller_arrives(&mut self) {
        if self.now.since(Instant::ZERO) >= self.options.duration {
            return;
        }
        let key = self.next_phone;
        self.next_phone += 1;
        let person = Person::caller(self.options.habits.clone(), self.rng.fork(&format!("caller {key}")));
        self.parties.insert(key, Party::new(person));
        self.remembers(key, (0, Thought::Begin));
        let mean = Duration::from_secs_f64(3_600.0 / self.options.calls_per_hour().max(0.001));
        let next = people::exponential(&mut self.rng, mean);
        self.after(next, Due::Arrival);
    }

    /// No calls arrive any more: the callers leave, the agents go home, then nothing may be left.
    fn closing(&mut self) {
        if !self.going_home && !self.parties.values().any(|party| party.person.is_caller()) {
            self.going_home = true;
            let agents: Vec<u32> = self.parties.keys().copied().collect();
            for (place, key) in agents.into_iter().enumerate() {
                self.after(Duration::from_millis(place as u64 * 20), Due::Remember(key, (0, Thought::GoHome)));
            }
        }
        let left = self.pending();
        let late = self.now.since(Instant::ZERO) > self.options.duration + QUIET_WITHIN;
        if left.is_none() || late {
            self.quiet = true;
            self.settle();
            let open = self.books.open_calls();
            self.tally.must(Check::Quiet, left.is_none() && open == 0, || {
                format!("left: {}; {open} calls open in the log", left.unwrap_or_default())
            });
            self.look_at_everything();
        } else {
            self.after(CLOSING, Due::Closing);
        }
    }

    /// Why the world is not quiet.
    pub fn pending(&self) -> Option<String> {
        let engine = match &self.engine {
            None => Some("the engine is being started".to_owned()),
            Some(engine) => engine
                .pending()
                .map(|what| format!("engine: {what}"))
                .or_else(|| engine.deadline().map(|at| format!("engine: a deadline in {:?}", at.since(self.now)))),
        };
        let phones = || self.parties.iter().find_map(|(key, party)| party.pending(*key));
        engine.or_else(phones).or_else(|| self.planes.pending())
    }

    fn check_talkers_hear(&mut self, call: CallId, leg: LegId) {
        let Some(engine) = &self.engine else { return };
        let Some(call) = engine.calls().find(|c| c.id == call) else { return };
        let talks = call.conversation.as_ref().is_some_and(|talk| talk.leg == leg && talk.held_by.is_none());
        let port = |id: LegId| engine.legs().find(|leg| leg.id == id).map(|leg| leg.port);
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

    fn check_peer_hung_up(&mut self, phone: u32, boots: u32, port: PortId) {
        // A phone that was started anew counts its ports anew.
        let open = self.boots_of(phone) == boots && self.planes.is_open((Owner::Phone(phone), port));
        self.tally.must(Check::PeerHangsUp, !open, || {
            format!("{} is still in a call that ended {:?} ago", parties::name(phone), HANG_UP_WITHIN)
        });
    }

    fn check_ringing_ended(&mut self, phone: u32, call: u32) {
        let Some(party) = self.parties.get(&phone) else { return };
        let rings = party.person.call() == call && party.phone.as_ref().is_some_and(|p| p.is_busy() && !p.is_talking());
        self.tally.must(Check::RingingEnds, !rings, || format!("{} still rings", parties::name(phone)));
    }
}

fn start(options: &Options, rng: &Rng, epoch: u32, next_seq: u64) -> Start {
    let mut rng = rng.fork(&format!("engine {epoch}"));
    let mut seed = [0; 32];
    seed.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&rng.next_u64().to_le_bytes()));
    let mut sip = sip::Config::new(vec![Listener::udp(ENGINE)], "tierline");
    sip.keepalive = options.keepalive;
    Start { node: 0, epoch, next_seq, wall: WALL, seed, sip, planes: 1, media_address: ENGINE.ip() }
}
