//! The shell: the only files that know tokio, sockets, threads, disks and the operating system's clock.
//! It does I/O and decides nothing.
//!
//! | thread | what it does |
//! |---|---|
//! | `engine` | reads and sends SIP over UDP, waits, handles, drains ([`driver`]) |
//! | `plane-N` | audio: waits for many sockets at once, sends as it plays and forwards ([`media`]) |
//! | `event-log` | group commit of events ([`store`]) |
//! | `records` | folds the log into tables ([`records`]) |
//! | `keeping` | removes what is old ([`keeping`]) |
//! | `ticketing` | tells the ticketing system what is in the log ([`ticketing`]) |
//! | `cti-events` | hands what is in the log to desktops ([`cti`]) |
//! | `journal` | writes lines to standard error ([`journal`]) |
//! | tokio's | SIP over TCP and TLS ([`signaling`]), HTTP, gRPC ([`cti`]), names, signals |
//!
//! The engine's end is the process' end; a plane, a follower of the log or the journal that panics goes on ([`media`],
//! `defects`).

pub mod accounts;
pub mod agent;
mod aside;
mod banner;
mod basis;
pub mod calls;
mod chance;
mod check;
pub mod clock;
pub mod cti;
mod defects;
pub mod doctor;
pub mod driver;
pub mod flows;
pub mod healthy;
pub mod inbox;
pub mod journal;
pub mod keeping;
mod known;
mod local;
pub mod media;
pub mod metrics;
mod named;
pub mod net;
pub mod numbers;
pub mod opening;
mod pace;
pub mod person;
pub mod phone;
pub mod place;
mod planted;
pub mod printing;
pub mod process;
mod progress;
pub mod pulse;
pub mod record;
pub mod records;
pub mod report;
pub mod serving;
pub mod signaling;
mod signals;
pub mod simulate;
pub mod speech;
pub mod store;
mod tally;
pub mod ticketing;
pub mod web;
pub mod wrong;

use crate::command::{Actor, Ask, Command};
use crate::config::{self, Loaded};
use crate::engine::{Configuration, Engine, Input, RINGING, SILENCE, Start};
use crate::ids::Rng;
use crate::media as audio;
use crate::sip::{self, Listener};
use anyhow::{Result, bail};
pub use check::check;
use clock::{Clock, EventTime};
use driver::{Driver, Outlets};
use inbox::{Inbox, Message};
use journal::{Entry, Value};
use opening::Opened;
use record::Recorder;
use serving::Serving;
use signaling::streams::Streams;
use signals::Signals;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::Store;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// How `tierline serve` was called.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub config: Option<PathBuf>,
    pub data: Option<PathBuf>,
    /// Write every input of the engine here.
    pub record: Option<PathBuf>,
}

/// How serving ended, for the exit code ([`wrong`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Drained and stopped as asked.
    Stopped,
    /// Could not start, and cannot as it is configured.
    Refused,
    /// Could not start as the machine is now, or not go on; the last line says why.
    Failed,
}

impl Outcome {
    pub fn exit_code(self) -> u8 {
        match self {
            Outcome::Stopped => 0,
            Outcome::Failed => 1,
            Outcome::Refused => 2,
        }
    }
}

/// Loads, starts, serves, drains, stops.
pub fn serve(options: &Options) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut loaded = match config::load(options.config.as_deref()) {
        Ok(loaded) => loaded,
        Err(refused) => {
            let data = options.data.as_deref().or(refused.needs.data.as_deref());
            let lacking = opening::lacking_to_start(&refused, data, runtime.handle());
            eprintln!("{}", check::all_wrong(&refused, data, lacking));
            return Ok(Outcome::Refused);
        }
    };
    if let Some(data) = &options.data {
        loaded.server.data.clone_from(data);
    }
    journal::start(loaded.server.journal)?;
    journal::tell_panics();
    loaded.warnings.iter().for_each(|warning| journal::warned("configuration", warning));
    let started = opening::open(&loaded, runtime.handle()).and_then(|opened| {
        // Who is told that it is ready may ask it to stop; before, a stop costs nobody anything.
        let signals = Signals::new(runtime.handle())?;
        Ok((Running::start(&loaded, options, opened, runtime.handle().clone())?, signals))
    });
    let outcome = match started {
        Ok((running, signals)) => match runtime.block_on(running.until_stopped(signals)) {
            Ok(()) => Outcome::Stopped,
            Err(why) => {
                Entry::error("server", "cannot go on").with("why", &why).tell();
                Outcome::Failed
            }
        },
        Err(why) => {
            eprintln!("{why:#}");
            if wrong::is_wrong(&why) { Outcome::Refused } else { Outcome::Failed }
        }
    };
    runtime.shutdown_background(); // a name server that does not answer holds nobody up
    journal::flush();
    Ok(outcome)
}

/// Everything that runs.
struct Running {
    inbox: Inbox,
    /// Told when a drain has come to its end; taken by who waits for that.
    drained: Option<Receiver<()>>,
    engine: std::thread::JoinHandle<Result<()>>,
    /// Closed when the engine's thread ends, however it does.
    engine_ended: oneshot::Receiver<()>,
    planes: Arc<media::Planes>,
    store: Arc<Store>,
    http: tokio::task::JoinHandle<std::io::Result<()>>,
    /// Desktops, if any may connect.
    cti: Option<tokio::task::JoinHandle<()>>,
    followers: Followers,
    streams: Streams,
    drain_limit: Duration,
}

/// Who reads the log and goes on with it.
struct Followers {
    /// The ticketing system's client, if there is one.
    _ticketing: Option<ticketing::Ticketing>,
    _records: records::Follower,
    _keeper: keeping::Keeper,
}

impl Running {
    fn start(loaded: &Loaded, options: &Options, opened: Opened, runtime: Handle) -> Result<Running> {
        let Opened { udp, tcp, tls, http, cti, store, accounts, sounds } = opened;
        let (sounds, clock) = (Arc::new(sounds), Clock::start());
        let (inbox, messages) = Inbox::new()?;
        // One seed for all that is drawn of this start: forked by name, of what a recording has.
        let (seed, root) = drawn()?;
        let planes = Arc::new(start_planes(loaded, &sounds, (clock, &root), &inbox)?);
        let (start, config) = engine_settings(loaded, &store, &sounds, (&planes, seed));
        let stats = Arc::new(Mutex::new(numbers::at_first(&config)));
        let record = options.record.as_deref().map(|path| Recorder::create(path, &start, &config)).transpose()?;
        let (time, engine) = (EventTime { clock, began: start.wall }, planted::engine(Engine::new(start, config)));
        let (left, pulse) = (cti::Left::of(&store.recovered), Arc::<pulse::Pulse>::default());
        post(&inbox, Message::Input(restored(store.recovered)))?;
        let (store_writer, last_seq) = (Arc::new(store.store), store.next_seq - 1);
        let beside = signaling::start(&loaded.server.sip, (tcp, tls), (store.epoch, &root), &inbox, &runtime)?;
        let signaling::Beside { streams, counters, resolve } = beside;
        let (replies, line) = (cti::Replies::default(), ticketing_line(loaded, &runtime)?);
        let outlets = Outlets {
            media: planes.sender(),
            streams: streams.clone(),
            resolve,
            look_up: ticketing::look_up::asker(line.clone(), runtime.clone(), inbox.clone()),
            store: Arc::clone(&store_writer),
            accounts: accounts.accounts.clone(),
            replies: replies.clone(),
            tally: tally::Tally::new(Arc::clone(&stats)),
            pulse: Arc::clone(&pulse),
            record,
        };
        let (drained, when_drained) = channel();
        let (drained, dropped) = (Some(drained), udp.values().map(signaling::Udp::dropped).collect());
        let wire = numbers::Wire { dropped, streams: streams.clone(), counters };
        let driver =
            Driver { engine, clock, udp, inbox: messages, outlets, drained, last_seq, healthy: true, ends: None };
        let (engine, engine_ended) = driver.start()?;
        let ticketing = start_ticketing(loaded, line, (&store_writer, last_seq + 1), (time, &runtime))?;
        let records = records::Follower::start(&loaded.server.data, &store_writer, time)?;
        let keeper = start_keeper(loaded, Arc::clone(&store_writer), time)?;
        let exporter = numbers::Exporter(numbers::Sources {
            stats,
            time,
            store: Arc::clone(&store_writer),
            planes: Arc::clone(&planes),
            inbox: inbox.clone(),
            wire,
            pulse,
            ticketing: ticketing.as_ref().map(ticketing::Ticketing::counts),
            records: Arc::clone(&records.behind),
            keeping: Arc::clone(&keeper.counts),
            data: loaded.server.data.clone(),
            each_agent: loaded.server.agent_series,
        });
        let not_ready = not_ready(Arc::clone(&store_writer), inbox.clone());
        let http = web::serve((http, loaded.server.http_limits), exporter, (not_ready, inbox.clone()), &runtime);
        let ground = cti::Ground {
            center: loaded.center.clone(),
            data: loaded.server.data.clone(),
            inbox: inbox.clone(),
            replies,
            store: Arc::clone(&store_writer),
            before: last_seq,
            left,
        };
        let cti = start_cti(loaded, cti, ground, &runtime)?;
        tell_where(loaded, &accounts, store.epoch); // nothing refuses any more
        Entry::info("server", "is ready").with("data", loaded.server.data.as_path()).tell();
        let (store, drained, drain_limit) = (store_writer, Some(when_drained), loaded.center.limits.drain);
        let followers = Followers { _ticketing: ticketing, _records: records, _keeper: keeper };
        Ok(Running { inbox, drained, engine, engine_ended, planes, store, http, cti, followers, streams, drain_limit })
    }

    /// Serves until a signal asks to stop, then drains; or until the engine's thread ends by itself, which is an error.
    async fn until_stopped(mut self, signals: Signals) -> Result<()> {
        let asked = self.asked_to_stop(signals).await;
        // Whoever still talks is told with a BYE.
        let command = Command { actor: Actor::Operator, ask: Ask::EndAll };
        _ = self.inbox.send(Message::Input(Input::Command { id: 0, command }));
        _ = self.inbox.send(Message::Stop); // it may have ended already
        let ended = self.engine.join().map_err(|_| anyhow::anyhow!("the engine's thread panicked"));
        self.http.abort();
        self.cti.inspect(|cti| cti.abort());
        self.streams.flush(FLUSH).await;
        self.planes.stop();
        let written = self.store.flush();
        drop(self.followers);
        // Others may still hold the store; what was erased is gone from its files all the same.
        let closed = self.store.close();
        if let Err(why) = &closed {
            Entry::error("log", "the event log was not written to its end").with("why", why).tell(); // how much is lost
        }
        ended??;
        asked?;
        written.and(closed)?;
        Entry::info("server", "has stopped").tell();
        Ok(())
    }

    /// Returns when everything is drained or nobody wants to wait for that.
    async fn asked_to_stop(&mut self, mut signals: Signals) -> Result<()> {
        tokio::select! {
            () = signals.asks_to_stop(false) => {}
            _ = &mut self.engine_ended => bail!(ENDED),
        }
        let stopping = Entry::info("server", "stops: no new calls; running ones may go on (again Ctrl-C: stop now)");
        stopping.with("seconds", self.drain_limit).tell();
        let command = Command { actor: Actor::Operator, ask: Ask::Drain };
        post(&self.inbox, Message::Input(Input::Command { id: 0, command }))?;
        let drained = self.drained.take();
        let limit = self.drain_limit + Duration::from_secs(2);
        tokio::select! {
            _ = tokio::task::spawn_blocking(move || drained.map(|drained| drained.recv_timeout(limit))) => {}
            () = signals.asks_to_stop(true) => {}
            _ = &mut self.engine_ended => bail!(ENDED),
        }
        Ok(())
    }
}

/// How long the last BYEs may take to leave over connections.
const FLUSH: Duration = Duration::from_secs(1);
const ENDED: &str = "the engine's thread has ended by itself";

fn post(inbox: &Inbox, message: Message) -> Result<()> {
    inbox.send(message).map_err(|inbox::Ended| anyhow::anyhow!(ENDED))
}

/// People, and commands on this machine, learn where it serves.
fn tell_where(loaded: &Loaded, accounts: &accounts::Loaded, epoch: u32) {
    Serving::new(loaded).note(&loaded.server.data);
    banner::print(loaded, accounts, epoch);
}

/// Desktops' door, if there is one.
fn start_cti(
    loaded: &Loaded,
    opened: Option<cti::Opened>,
    ground: cti::Ground,
    runtime: &Handle,
) -> Result<Option<tokio::task::JoinHandle<()>>> {
    let (Some(settings), Some(opened)) = (&loaded.server.cti, opened) else { return Ok(None) };
    let inbox = ground.inbox.clone();
    let _in_runtime = runtime.enter();
    let serving = cti::serve(opened, settings, ground)?;
    Ok(Some(runtime.spawn(async move {
        // In a task of its own: a panic there is an end of it, too. Dropped with this one, it is to end.
        let mut serving = tokio::task::JoinSet::from_iter([serving]);
        let why = match serving.join_next().await {
            Some(Ok(Err(why))) => format!("{why:#}"),
            Some(Err(panic)) if panic.is_panic() => "gRPC panicked".to_owned(),
            _ => return,
        };
        _ = inbox.send(Message::Failed(why));
    })))
}

/// The way to the ticketing system, if there is one.
fn ticketing_line(loaded: &Loaded, runtime: &Handle) -> Result<Option<ticketing::Line>> {
    let _in_runtime = runtime.enter();
    loaded.server.ticketing.as_ref().map(ticketing::Line::new).transpose()
}

fn start_ticketing(
    loaded: &Loaded,
    line: Option<ticketing::Line>,
    log: (&Store, u64),
    (time, runtime): (EventTime, &Handle),
) -> Result<Option<ticketing::Ticketing>> {
    let (Some(settings), Some(line)) = (&loaded.server.ticketing, line) else { return Ok(None) };
    let _in_runtime = runtime.enter();
    ticketing::Ticketing::start(settings, line, &loaded.server.data, log, time).map(Some)
}

fn start_keeper(loaded: &Loaded, store: Arc<Store>, time: EventTime) -> Result<keeping::Keeper> {
    let server = &loaded.server;
    let plan = keeping::Plan { data: server.data.clone(), keep: server.keep, ticketing: server.ticketing.is_some() };
    keeping::Keeper::start(plan, time, Box::new(move |time| store.erase_expired(time)))
}

fn start_planes(
    loaded: &Loaded,
    sounds: &Arc<audio::Sounds>,
    (clock, root): (Clock, &Rng),
    inbox: &Inbox,
) -> Result<media::Planes> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let count = loaded.server.media.planes.unwrap_or(u16::try_from(cores).unwrap_or(1));
    let inbox = inbox.clone();
    let notices = move |notice| {
        let message = match notice {
            media::Notice::Event(event) => {
                if let audio::Event::OpenFailed { port, why } = &event {
                    let told = Entry::warn("audio", "a leg gets no port").with("plane", port.plane);
                    told.with("why", Value::written(why)).tell();
                }
                Message::Input(Input::Media(event))
            }
            media::Notice::Ended(why) => Message::Failed(why),
        };
        _ = inbox.send(message); // an engine that has ended is noticed elsewhere
    };
    let settings = audio::Settings {
        silence_after: loaded.center.limits.silence,
        tones: loaded.server.media.tones,
        ..audio::Settings::default()
    };
    media::Planes::start(count, &loaded.server.media, settings, Arc::clone(sounds), (clock, root), notices)
}

fn engine_settings(
    loaded: &Loaded,
    store: &store::Opened,
    sounds: &audio::Sounds,
    (planes, seed): (&media::Planes, [u8; 32]),
) -> (Start, Configuration) {
    let listener = |listener: &config::SipListener| {
        let config::SipListener { transport, bind, advertised, digest: algorithm, .. } = *listener;
        Listener { bind, advertised, transport, algorithm }
    };
    let written = &loaded.server.sip.listeners;
    let listeners_audio = (0..).zip(written).filter_map(|(number, written)| Some((number, written.audio?))).collect();
    let listeners = written.iter().map(listener).collect();
    let mut sip = sip::Config::new(listeners, concat!("Tierline/", env!("CARGO_PKG_VERSION")));
    loaded.server.sip.protocol.apply(&mut sip);
    let start = Start {
        node: loaded.server.node,
        epoch: store.epoch,
        alive: store.alive,
        next_seq: store.next_seq,
        wall: clock::wall(),
        seed,
        sip,
        planes: planes.count(),
        media_address: loaded.server.media.advertised,
        media_other: loaded.server.media.other.map(|other| other.advertised),
        listeners_audio,
        terms: loaded.server.media.terms.clone(),
    };
    let names = loaded.sounds.iter().map(|sound| sound.name.as_str()).chain([SILENCE, RINGING]);
    let names = names.filter_map(|name| Some((name.to_owned(), sounds.find(name)?)));
    let (center, flows) = (loaded.center.clone(), loaded.flows.clone());
    (start, Configuration { center, flows, sounds: names.collect() })
}

fn drawn() -> Result<([u8; 32], Rng)> {
    chance::bytes().map(|seed| (seed, Rng::new(seed)))
}

/// Who had logged in at a desktop.
fn restored(open: Vec<crate::event::Event>) -> Input {
    let with_text = |event: crate::event::Event| {
        let text = event.what.personal().and_then(|personal| personal.text.as_deref().map(str::to_owned));
        (event, text)
    };
    Input::Restored(open.into_iter().map(with_text).collect())
}

/// Why new calls are not welcome at present. Waits for the engine's thread.
fn not_ready(store: Arc<Store>, inbox: Inbox) -> web::NotReady {
    Box::new(move || {
        if !store.healthy() {
            return Some("the log cannot be written".to_owned());
        }
        let (answer, said) = channel();
        let look = Message::Look(Box::new(move |engine: &Engine| _ = answer.send(engine.is_draining())));
        _ = inbox.send(look); // if nobody takes it, nobody answers
        match said.recv_timeout(Duration::from_secs(1)) {
            Ok(false) => None,
            Ok(true) => Some("draining: no new calls".to_owned()),
            Err(_) => Some("the engine does not answer".to_owned()),
        }
    })
}
