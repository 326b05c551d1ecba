//! Calls: the engine routes each input to a call and drains the four cores.
//!
//! [`Engine`] has the three verbs of every machine here: [`Engine::handle`], [`Engine::poll`],
//! [`Engine::deadline`]. Every input passes one door with its `now`, and nothing else reaches the engine, so a
//! recording of the inputs is a recording of the run.
//!
//! | file | what it decides |
//! |---|---|
//! | `call` | a call's legs and three activities; its phase, derived |
//! | `leg` | one party: from port to offer to dialog |
//! | `keys` | which reports are one key |
//! | `audio` | which of our addresses peers are told for audio |
//! | `arrival` | who may come in, and where he gets to |
//! | `identity` | who a caller is, and who is told what of him |
//! | `index` | (nothing) ways from what is dialed to what is configured |
//! | `trunks` | calls by trunk, and what the trunks' machine wants done |
//! | `outside` | calling outside numbers over trunks |
//! | `wire` | what the SIP endpoint says, and to whom it goes |
//! | `expected` | how long a caller will wait, for flows that tell it |
//! | `treatment` | what a caller is led through and hears |
//! | `seeking` | work, offers to agents, the agent who answers |
//! | `banners` | announcements that are switched on and off |
//! | `service` | what a connected call can do; commands |
//! | `desk` | what agents ask for at their desktops |
//! | `heard` | how a leg's audio was |
//! | `passed` | who is spared a caller whom he has passed on |
//! | `ending` | who leaves, and what remains of the others |
//! | `turned` | who is turned away, and why; how often who proves nothing may call |
//! | `vanishing` | who vanishes while nothing need be heard of him |
//! | `pairs` | (nothing) maps written down as lists |
//! | `phones` | agents' phones: registered, reachable, and after a restart |
//! | `repair` | when we were wrong: the call ends, the rest goes on |
//! | `planted` | bugs to prove that the simulator's checks catch them; not in ordinary builds |

mod allowance;
mod arrival;
mod audio;
mod banners;
mod call;
mod desk;
mod ending;
mod expected;
mod heard;
mod identity;
mod index;
mod keys;
mod leg;
mod outside;
mod pairs;
mod passed;
mod phones;
mod planted;
mod repair;
mod seeking;
mod service;
mod treatment;
mod trunks;
pub mod turned;
mod vanishing;
mod wire;

pub use crate::acd::Place;
pub use call::{Call, Conversation, Outside, Seeking};
pub use identity::Origin;
use index::Index;
pub use leg::{Leg, LegState};
pub use outside::{Hunt, RINGING};
use phones::Phone;
pub use planted::Bug;
pub use treatment::SILENCE;

use crate::acd::{self, Router};
use crate::center::Center;
use crate::command::{self, Command};
use crate::event::{Event, Mark, Personal, PersonalKind, What};
use crate::ids::{AgentId, CallId, FlowId, IdCounter, LegId, PortId, QueueId, ReservationId, Rng, TrunkId, WorkId};
use crate::ivr::{self, Flow};
use crate::media::{self, SoundId};
use crate::sip::{self, Endpoint};
use crate::time::{Instant, Timers, Wall};
use crate::trunk::{self, Trunks};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// What an engine is told once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Start {
    /// 0 … 1,023.
    pub node: u16,
    /// One more at each start of the node: 0 … 4,194,303.
    pub epoch: u32,
    /// The start before was at work until then at least, if that is later than its last event.
    #[serde(default)]
    pub alive: Option<Wall>,
    /// The number of the first event.
    pub next_seq: u64,
    /// Wall time at `Instant::ZERO`.
    pub wall: Wall,
    pub seed: [u8; 32],
    pub sip: sip::Config,
    /// How many planes there are (1 … 256).
    pub planes: u16,
    /// The address that SDP tells; the port comes from the plane.
    pub media_address: IpAddr,
    /// The same of the other kind of addresses (IPv6 beside IPv4), where audio is spoken there too.
    #[serde(default)]
    pub media_other: Option<IpAddr>,
    /// Another one for those who are spoken to over a listener, by its number.
    #[serde(default)]
    pub listeners_audio: BTreeMap<u16, IpAddr>,
    /// What SDP offers and takes.
    #[serde(default)]
    pub terms: media::Terms,
}

/// What may change while the engine runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Configuration {
    pub center: Center,
    pub flows: BTreeMap<FlowId, Flow>,
    pub sounds: BTreeMap<String, SoundId>,
}

/// Everything that reaches the engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Input {
    /// Messages, and answers to `Verify` and `Resolve`.
    Sip(sip::Input),
    Media(media::Event),
    /// `id` comes back in `Output::Reply`.
    Command {
        id: u64,
        command: Command,
    },
    /// As `Command`, with its id; once it is carried out it is known by its mark, over restarts too.
    Once(u64, Command, Mark),
    Configured(Box<Configuration>),
    /// What the ticketing system said to `Output::LookUp`.
    LookedUp {
        call: CallId,
        id: u64,
        found: ivr::Found,
    },
    /// Whether the log can take what new calls would add to it. While it cannot, they are refused.
    LogHealthy(bool),
    /// What an earlier start of this node left open ([`crate::log::open_change`]), each with its personal text.
    /// At most once, before anything else.
    Restored(Vec<(Event, Option<String>)>),
    /// `deadline()` has come.
    Timeout,
}

/// Everything that leaves it.
#[derive(Clone, Debug)]
pub enum Output {
    Sip {
        flow: sip::Flow,
        bytes: Vec<u8>,
    },
    /// Answer with `sip::Input::Verified`.
    Verify {
        query: u64,
        credentials: sip::digest::Credentials,
        method: sip::header::Method,
    },
    /// Answer with `sip::Input::Proven`.
    Prove {
        query: u64,
        /// Whose password it is: a trunk's name.
        held: String,
        user: String,
        asked: sip::digest::Asked,
    },
    /// Answer with `sip::Input::Resolved`.
    Resolve {
        query: u64,
        uri: sip::uri::Uri,
    },
    /// For the plane that the command's port names.
    Media(media::Command),
    Reply {
        id: u64,
        result: Result<(), command::Refusal>,
    },
    /// Ask the ticketing system for a caller who waits for the answer. Answer with `Input::LookedUp`; the flow goes on
    /// by itself when none comes within `timeout`.
    LookUp {
        call: CallId,
        id: u64,
        query: String,
        /// Personal.
        with: BTreeMap<String, String>,
        timeout: Duration,
    },
    Event(Event),
}

/// The engine's deadlines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Deadline {
    /// When to tell a flow that no key was pressed.
    NoKey(CallId),
    /// When to give up on a phone that has not reacted to our INVITE at all.
    NoReaction(LegId),
    /// When to stop calling an outside party for a caller.
    RingsInVain(LegId),
    /// When to end the calls that still run although we drain.
    DrainOver,
    /// When who has passed a caller on may get him back.
    Spared(WorkId),
}

/// Calls, their legs, and the cores that serve them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Engine {
    start: Start,
    now: Instant,
    config: Configuration,
    index: Index,
    sip: Endpoint,
    router: Router,
    trunks: Trunks,
    calls: BTreeMap<CallId, Call>,
    legs: BTreeMap<LegId, Leg>,
    /// Every port that a plane may still have.
    #[serde(with = "pairs")]
    ports: BTreeMap<PortId, heard::Owner>,
    /// Whose work waits.
    works: BTreeMap<WorkId, CallId>,
    /// The leg that rings for an offer.
    offers: BTreeMap<ReservationId, LegId>,
    /// OPTIONS that are under way, by their numbers.
    probes: BTreeMap<u64, TrunkId>,
    /// The call that an agent talks in.
    talking: BTreeMap<AgentId, CallId>,
    /// The call that an agent talked in last.
    last_calls: BTreeMap<AgentId, CallId>,
    noted: BTreeMap<CallId, desk::Noted>,
    /// Agents who have notes to write of an earlier start's call, and its queue.
    notes_owed: BTreeMap<AgentId, QueueId>,
    /// Agents who sit at a desktop.
    desks: BTreeSet<AgentId>,
    away: desk::Away,
    /// Work that those who have passed it on are spared, by its queue.
    #[serde(default)]
    spared: BTreeSet<(QueueId, WorkId)>,
    /// Agents' registered phones, by user and contact.
    #[serde(with = "pairs")]
    phones: BTreeMap<(String, String), Phone>,
    /// Announcements that somebody has switched.
    switched: BTreeMap<String, bool>,
    /// Announcements that are on.
    banners: BTreeSet<String>,
    forecasts: expected::Asked,
    timers: Timers<Deadline>,
    ids: Ids,
    /// Where legs' keys of SRTP come from.
    secrets: Rng,
    draining: bool,
    log_healthy: bool,
    /// The call that the present step is about: the one to end if the step panics.
    current: Option<CallId>,
    /// The command that the present step carries out.
    asking: Option<u64>,
    /// Who comes in with the present step, until he is a call.
    arriving: Option<arrival::Arriving>,
    #[serde(skip)]
    outputs: VecDeque<Output>,
    planted: Option<Bug>,
    /// How often time-outs may still panic.
    repairs: allowance::Allowance,
    door: turned::Door,
    /// The first input has come: trunks are registered and asked from then on, after what a restart restores.
    begun: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Ids {
    calls: IdCounter,
    works: IdCounter,
    handles: IdCounter,
    ports: u64,
    probes: u64,
    seq: u64,
}

impl Engine {
    pub fn new(start: Start, config: Configuration) -> Engine {
        let counter = || IdCounter::new(start.node, start.epoch);
        let ids =
            Ids { calls: counter(), works: counter(), handles: counter(), ports: 0, probes: 0, seq: start.next_seq };
        let (rng, mut sip_config) = (Rng::new(start.seed), start.sip.clone());
        trunks::configure_sip(&mut sip_config, &config.center);
        let mut engine = Engine {
            now: Instant::ZERO,
            index: Index::new(&config),
            sip: Endpoint::new(sip_config, rng.fork("sip"), counter()),
            router: Router::new(&seeking::routed(&config.center), counter(), rng.fork("router")),
            trunks: Trunks::new(rng.fork("trunks")),
            calls: BTreeMap::new(),
            legs: BTreeMap::new(),
            ports: BTreeMap::new(),
            works: BTreeMap::new(),
            offers: BTreeMap::new(),
            probes: BTreeMap::new(),
            talking: BTreeMap::new(),
            last_calls: BTreeMap::new(),
            notes_owed: BTreeMap::new(),
            desks: BTreeSet::new(),
            away: desk::Away::default(),
            spared: BTreeSet::new(),
            phones: BTreeMap::new(),
            switched: BTreeMap::new(),
            banners: banners::on(&config.center, &BTreeMap::new()),
            forecasts: Default::default(),
            noted: BTreeMap::new(),
            timers: Timers::default(),
            ids,
            secrets: rng.fork("srtp"),
            draining: false,
            log_healthy: true,
            current: None,
            asking: None,
            arriving: None,
            outputs: VecDeque::new(),
            planted: None,
            repairs: Default::default(),
            door: Default::default(),
            begun: false,
            config,
            start,
        };
        let Start { node, epoch, alive, .. } = engine.start;
        engine.emit(None, What::EngineStarted { node, epoch, alive });
        engine
    }

    /// Takes one input. Time never runs backwards: an earlier `now` counts as the latest one.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.now = self.now.max(now);
        self.has_numbers();
        let timeout = matches!(input, Input::Timeout);
        if !self.guarded(|engine| engine.route(input)) && timeout {
            self.timed_out_badly();
        }
        if !std::mem::replace(&mut self.begun, true) {
            self.guarded(Engine::configure_trunks);
        }
        self.settle();
        self.guarded(Engine::tell_whether_open);
    }

    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn deadline(&self) -> Option<Instant> {
        let cores = [self.sip.deadline(), self.router.deadline(), self.trunks.deadline()];
        cores.into_iter().chain([self.timers.deadline()]).flatten().min()
    }

    /// Why the engine is not quiet: a call, port, reservation, dialog or transaction that is still open.
    pub fn pending(&self) -> Option<String> {
        if let Some(call) = self.calls.values().next() {
            return Some(format!("{} is {:?} ({} calls)", call.id, self.phase(call), self.calls.len()));
        }
        if let Some(leg) = self.legs.values().next() {
            return Some(format!("leg {} of {} is left over: {:?}", leg.id, leg.call, leg.state));
        }
        if let Some(port) = self.ports.keys().next() {
            return Some(format!("port {port:?} is open ({} ports)", self.ports.len()));
        }
        self.router.pending().or_else(|| self.sip.pending())
    }

    pub fn sip(&self) -> &Endpoint {
        &self.sip
    }

    pub fn router(&self) -> &Router {
        &self.router
    }

    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.calls.values()
    }

    pub fn call(&self, id: CallId) -> Option<&Call> {
        self.calls.get(&id)
    }

    pub fn leg(&self, id: LegId) -> Option<&Leg> {
        self.legs.get(&id)
    }

    pub fn legs(&self) -> impl Iterator<Item = &Leg> {
        self.legs.values()
    }

    pub fn center(&self) -> &Center {
        &self.config.center
    }

    fn route(&mut self, input: Input) {
        match input {
            Input::Sip(input) => self.sip.handle(self.now, input),
            Input::Media(event) => self.media_said(event),
            Input::Command { id, command } => self.asked(id, command, None),
            Input::Once(id, command, mark) => self.asked(id, command, Some(mark)),
            Input::Configured(config) => self.configure(*config),
            Input::LookedUp { call, id, found } => self.run(call, ivr::Input::LookedUp { id, found }),
            Input::LogHealthy(healthy) => self.log_healthy = healthy,
            Input::Restored(open) => self.restore(open),
            Input::Timeout => self.time_passed(),
        }
    }

    /// Lets the cores' outputs become inputs of each other until nothing is left to do.
    fn settle(&mut self) {
        loop {
            if let Some(output) = self.sip.poll() {
                self.guarded(|engine| engine.sip_said(output));
            } else if let Some(output) = self.router.poll() {
                self.guarded(|engine| engine.router_said(output));
            } else if let Some(output) = self.trunks.poll() {
                self.guarded(|engine| engine.trunk_said(output));
            } else {
                return;
            }
        }
    }

    fn time_passed(&mut self) {
        let now = self.now;
        if self.sip.deadline().is_some_and(|at| at <= now) {
            self.sip.handle(now, sip::Input::Timeout);
        }
        if self.router.deadline().is_some_and(|at| at <= now) {
            self.router.handle(now, acd::Input::Timeout);
        }
        if self.trunks.deadline().is_some_and(|at| at <= now) {
            self.trunks.handle(now, trunk::Input::Timeout);
        }
        while let Some(deadline) = self.timers.pop_due(now) {
            self.guarded(|engine| match deadline {
                Deadline::NoKey(call) => engine.no_key(call),
                Deadline::NoReaction(leg) => engine.no_reaction(leg),
                Deadline::RingsInVain(leg) => engine.rings_in_vain(leg),
                Deadline::DrainOver => engine.end_all(crate::event::Cause::Stopped),
                Deadline::Spared(work) => engine.spare_nobody(work),
            });
        }
    }

    fn media_said(&mut self, event: media::Event) {
        let port = event.port();
        let leg = self.ports.get(&port).and_then(heard::Owner::leg);
        match event {
            media::Event::Closed { stats, .. } => self.port_closed(port, &stats),
            media::Event::OpenFailed { .. } => {
                self.ports.remove(&port);
                leg.inspect(|leg| self.no_port(*leg));
            }
            media::Event::Opened { local, .. } => {
                leg.inspect(|leg| self.port_opened(*leg, local));
            }
            media::Event::Digit { digit, way, .. } => {
                leg.inspect(|leg| self.key_pressed(*leg, digit, way));
            }
            media::Event::Finished { token, .. } => {
                leg.inspect(|leg| self.play_finished(*leg, token));
            }
            media::Event::Silent { .. } => {
                leg.inspect(|leg| self.silent(*leg));
            }
            // Calls' legs are opened on one plane and stay there.
            media::Event::Latched { .. } | media::Event::Moved { .. } => {}
        }
    }

    fn configure(&mut self, config: Configuration) {
        self.index = Index::new(&config);
        self.router.handle(self.now, acd::Input::Configure(seeking::routed(&config.center)));
        let mut sip_config = self.start.sip.clone();
        trunks::configure_sip(&mut sip_config, &config.center);
        self.sip.handle(self.now, sip::Input::Command(sip::Command::Configure(sip_config)));
        self.banners = banners::on(&config.center, &self.switched);
        self.config = config;
        self.configure_trunks();
        self.spares_anew();
        self.emit(None, What::Reconfigured);
    }

    fn sip_do(&mut self, command: sip::Command) {
        self.sip.handle(self.now, sip::Input::Command(command));
    }

    fn media_do(&mut self, command: media::Command) {
        self.outputs.push_back(Output::Media(command));
    }

    fn router_do(&mut self, input: acd::Input) {
        self.router.handle(self.now, input);
    }

    /// The only place where events are made.
    fn emit(&mut self, call: Option<CallId>, what: What) {
        let event = Event { seq: self.ids.seq, at: self.start.wall + self.now.since(Instant::ZERO), call, what };
        self.ids.seq += 1 + u64::from(self.planted(Bug::SkipsNumber));
        self.outputs.push_back(Output::Event(event));
    }

    fn personal(&mut self, kind: PersonalKind, text: String) -> Personal {
        Personal { kind, handle: self.ids.handles.take(), text: Some(text.into()) }
    }

    fn open_port(&mut self, plane: u16, leg: LegId, six: bool) -> PortId {
        self.ids.ports += 1;
        let port = PortId { plane, number: self.ids.ports };
        self.ports.insert(port, heard::Owner::Leg(leg));
        self.media_do(media::Command::Open { port, six });
        port
    }
}
