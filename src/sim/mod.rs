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
//! **A ledger of its own** ([`ledger`]) is kept where a run is asked for it: counts and times of queues and agents as they
//! were seen, without the events, to compare the records with.
//!
//! Left out: other transports than UDP, name resolution, audio itself.

mod agenda;
mod asking;
pub mod books;
mod carriers;
pub mod checks;
mod closing;
mod crowd;
mod desk;
mod desktop;
mod desktops;
mod doors;
mod host;
mod hunts;
mod journeys;
pub mod ladder;
mod leases;
pub mod ledger;
pub mod media;
pub mod network;
mod options;
mod outsiders;
mod parties;
pub mod people;
pub mod place;
mod promises;
mod report;
mod rules;
mod scan;
pub mod script;
mod shelf;
pub mod summary;

pub use asking::Repeated;
pub use books::Folder;
pub use checks::{Check, Failure};
pub use desk::steps as steps_of_the_desk;
pub use desktops::Seen;
pub use options::Options;
pub use report::Report;

use crate::engine::{Configuration, Engine, Input, Output, Start};
use crate::event::Event;
use crate::ids::Rng;
use crate::sip::{self, Flow};
use crate::time::Instant;
use agenda::{Agenda, Due};
use books::Books;
use checks::Tally;
use crowd::Crowd;
use ladder::Trace;
use ledger::Both;
use media::{Owner, StandIn};
use network::Network;
use parties::Party;
use people::{Person, Thought};
use scan::Scan;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use summary::Summary;

/// Where the engine listens.
pub const ENGINE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5060);
/// Steps without time passing after which the world is considered stuck.
const STUCK: u32 = 1_000_000;

/// Runs a world to its end, or to the first check that does not hold.
pub fn run(options: Options) -> Report {
    let mut world = World::new(options);
    world.run();
    world.report()
}

/// One clock, one seed, one log, and everybody who takes part.
pub struct World {
    options: Options,
    now: Instant,
    agenda: Agenda,
    rng: Rng,
    engine: Option<Engine>,
    configuration: Configuration,
    /// How the present engine was started.
    started: (Start, Configuration),
    epoch: u32,
    /// What the engine's machine could not send, by the branch, until it has heard of it; and what decides.
    unsent: Vec<String>,
    ways: Rng,
    /// Phones, and their calls, that rang at the last kill as the log knows.
    left_ringing: BTreeSet<(u32, u32)>,
    engine_wake: Option<Instant>,
    planes: StandIn,
    planes_wake: Option<Instant>,
    network: Network,
    parties: Crowd,
    next_phone: u32,
    books: Books,
    tally: Tally,
    scan: Scan,
    inputs: u64,
    /// What the engine and a phone have just said; empty between two inputs, and kept for its room.
    said: Vec<Output>,
    said_by_phone: Vec<crate::phone::Output>,
    /// Steps since time has passed.
    steps: u32,
    retransmissions: u64,
    recording: Vec<(Instant, Input)>,
    /// What is safe in the log, if it is kept.
    journal: Option<Vec<Event>>,
    /// What was seen, and the records of the same, if they are compared.
    ledger: Option<Both>,
    trace: Option<Trace>,
    script: script::Running,
    carriers: carriers::Carriers,
    desktops: desktops::Desktops,
    asking: asking::Asking,
    going_home: bool,
    quiet: bool,
    #[cfg(feature = "planted-bugs")]
    bug: Option<crate::engine::Bug>,
}

impl World {
    pub fn new(options: Options) -> World {
        let rng = Rng::from_number(options.seed);
        let mut configuration = place::configuration(options.agents);
        if options.rules {
            rules::draw(&mut configuration.center, &mut rng.fork("rules"));
        }
        let carriers = carriers::Carriers::new(&options, &mut configuration, &mut rng.fork("carriers"));
        let silence = [configuration.center.limits.silence, Duration::from_secs(90)];
        let planes = StandIn::new(place::lengths(), silence, options.port_failures, rng.fork("planes"));
        let network = Network::new(options.conditions.clone(), rng.fork("network"));
        let mut world = World {
            now: Instant::ZERO,
            agenda: Agenda::default(),
            engine: None,
            epoch: 0,
            unsent: Vec::new(),
            ways: rng.fork("ways"),
            left_ringing: BTreeSet::new(),
            engine_wake: None,
            planes,
            planes_wake: None,
            network,
            parties: Crowd::default(),
            next_phone: options.agents,
            books: Books::new(Summary::new(&configuration.center)),
            tally: Tally::default(),
            scan: Scan::default(),
            inputs: 0,
            said: Vec::new(),
            said_by_phone: Vec::new(),
            steps: 0,
            retransmissions: 0,
            recording: Vec::new(),
            journal: None,
            ledger: None,
            trace: None,
            script: script::Running::default(),
            carriers,
            desktops: desktops::Desktops::default(),
            asking: asking::Asking::new(rng.fork("asking")),
            going_home: false,
            quiet: false,
            #[cfg(feature = "planted-bugs")]
            bug: None,
            started: (host::start(&options, &rng, 0, 1), configuration.clone()),
            configuration,
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
        let repairs = matches!(bug, crate::engine::Bug::Panics | crate::engine::Bug::PanicsAndCorrupts);
        self.books.up_to_date().repairs_expected = repairs;
        // What the engine does first, as registering at carriers, it does with the bug.
        self.start_engine();
    }

    fn planted(&self, bug: crate::engine::Bug) -> bool {
        #[cfg(feature = "planted-bugs")]
        let planted = self.bug == Some(bug);
        #[cfg(not(feature = "planted-bugs"))]
        let planted = {
            _ = bug;
            false
        };
        planted
    }

    /// A repair is a failure even though a panic was planted.
    #[cfg(feature = "planted-bugs")]
    pub fn expect_no_repairs(&mut self) {
        self.books.up_to_date().repairs_expected = false;
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
        self.open_carriers();
        self.open_desktops();
        for key in (0..self.options.agents).filter(|key| !self.carriers.phoneless.contains(key)).collect::<Vec<_>>() {
            let person = Person::agent(self.options.habits.clone(), self.rng.fork(&format!("agent {key}")));
            self.parties.insert(key, Party::new(person));
            let after = Duration::from_millis(rng.below(30_000));
            self.after(after, Due::Remember(key, (0, Thought::Begin)));
        }
        for _ in 0..self.options.crashes {
            let after = self.options.duration.mul_f64(rng.unit());
            self.after(after, Due::Crash);
            if !self.desktops.is_empty() {
                self.after(self.options.duration.mul_f64(rng.unit()), Due::CrashAsked);
            }
        }
        self.after(Duration::from_secs(20), Due::Arrival);
        if !self.options.banners.is_zero() {
            self.after(self.options.banners, Due::Banner { on: true });
        }
        self.after(self.options.duration, Due::Closing);
    }

    /// The next thing that comes to pass; false when nothing more will, all is quiet, or a check has failed.
    pub fn step(&mut self) -> bool {
        self.step_until(Instant(u64::MAX))
    }

    fn step_until(&mut self, until: Instant) -> bool {
        if self.quiet || self.tally.failure().is_some() {
            return false;
        }
        let Some((at, due)) = self.agenda.take(until) else { return false };
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
        while self.step_until(until) {}
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
        (self.started.0.clone(), self.started.1.clone(), &self.recording)
    }

    /// What folds the log from here on, for a thread of its own; else this world does.
    pub fn folder(&mut self) -> Folder {
        self.books.folder()
    }

    /// Keeps the log from here on.
    pub fn keep_journal(&mut self) {
        self.journal = Some(Vec::new());
    }

    /// What is safe in the log, if it was kept.
    pub fn journal(&self) -> &[Event] {
        self.journal.as_deref().unwrap_or_default()
    }

    fn after(&mut self, delay: Duration, due: Due) {
        self.at(self.now + delay, due);
    }

    fn at(&mut self, at: Instant, due: Due) {
        self.agenda.plan(at, due);
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
            Due::LookedUp { call, id, found, epoch } if epoch == self.epoch => {
                self.engine_gets(Input::LookedUp { call, id, found });
            }
            Due::LookedUp { .. } => {}
            Due::Carrier(carrier) => self.carrier_turns(carrier),
            Due::Banner { on } => self.banner(on),
            Due::Commit => self.commit(self.now),
            Due::Arrival => self.caller_arrives(),
            Due::Crash => self.crash(),
            Due::CrashAsked => self.asking.kills += asking::KILLS,
            Due::Restart => self.start_engine(),
            Due::Closing => self.closing(),
            Due::Script(line) => self.script_line(line),
            Due::Desktop(of, due) => self.at_desktop(of, due),
            Due::Asking(due) => self.at_asking(due),
            Due::Lease(agent, due) => self.at_lease(agent, due),
            Due::TalkersHear { call, leg, epoch } if epoch == self.epoch => self.check_talkers_hear(call, leg),
            Due::PeerHangsUp { phone, boots, port, epoch } if epoch == self.epoch => {
                self.check_peer_hung_up(phone, boots, port);
            }
            Due::RingingEnds { phone, call, epoch } => self.check_ringing_ended(phone, call, epoch),
            Due::TalkersHear { .. } | Due::PeerHangsUp { .. } => {}
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
            Some(gateway) if carriers::is_line(gateway) => {
                let sip::Input::Received { bytes, .. } = &received else { return };
                if let Some(line) = self.line_for(gateway, bytes) {
                    self.phone_gets(line, crate::phone::Input::Sip(received));
                }
            }
            Some(key) => {
                self.note_unheard(key, &received);
                self.phone_gets(key, crate::phone::Input::Sip(received));
            }
        }
    }
}
