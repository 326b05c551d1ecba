//! Everything `/metrics` shows, brought together: the fold of events, and the counters that machines keep.
//!
//! Counters of packets and messages are not events; the machines are asked for them at each scrape.

use super::clock::EventTime;
use super::defects;
use super::inbox::{Inbox, Message};
use super::keeping;
use super::media::{Figures, Planes};
use super::metrics;
use super::process;
use super::pulse::Pulse;
use super::records;
use super::signaling::Dropped;
use super::signaling::counters::Counters;
use super::signaling::streams::Streams;
use super::store::{Numbers, QUEUE_LIMIT, Store};
use super::ticketing::{self, Counts};
use crate::acd;
use crate::engine::turned::{Turned, TurnedAway};
use crate::engine::{Configuration, Engine};
use crate::ids::TrunkId;
use crate::media;
use crate::sip;
use crate::stats::families as f;
use crate::stats::{Family, Sample, Stats, Value};
use crate::trunk::{self, TrunkState};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a scrape waits for the engine's thread.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who counts what sockets meet.
pub struct Wire {
    pub dropped: Vec<Dropped>,
    pub streams: Streams,
    pub counters: Arc<Counters>,
}

/// Where the numbers are.
pub struct Sources {
    pub stats: Arc<Mutex<Stats>>,
    pub time: EventTime,
    pub store: Arc<Store>,
    pub planes: Arc<Planes>,
    pub inbox: Inbox,
    pub wire: Wire,
    pub pulse: Arc<Pulse>,
    /// Of the ticketing system's client, if there is one.
    pub ticketing: Option<Counts>,
    /// How far the records are behind.
    pub records: Arc<records::Behind>,
    /// Of who removes what is old.
    pub keeping: Arc<keeping::Counts>,
    pub data: PathBuf,
    /// Agents one by one, too.
    pub each_agent: bool,
}

/// Collects and renders.
pub struct Exporter(pub Sources);

impl Exporter {
    /// Prometheus' text format.
    pub fn render(&self) -> String {
        metrics::render(&self.samples())
    }

    pub fn samples(&self) -> Vec<Sample> {
        let Sources { stats, time, store, planes, wire, inbox, pulse, ticketing, records, keeping, data, each_agent } =
            &self.0;
        let mut samples = of_events(stats, *time, *each_agent);
        samples.extend(of_wire(wire));
        samples.extend(of_store(store));
        samples.extend(planes.figures().iter().enumerate().flat_map(|(plane, figures)| of_plane(plane, figures)));
        samples.extend(pulse.samples(inbox.waiting()));
        samples.extend(self.of_engine());
        let ticketing = ticketing.as_ref().map(|counts| *counts.lock().unwrap_or_else(PoisonError::into_inner));
        samples.extend(ticketing.iter().flat_map(|counts| ticketing::samples(counts, time.now())));
        samples.extend(records.samples());
        samples.extend(keeping.samples());
        samples.extend(process::samples(data));
        samples.extend(defects::samples());
        samples
    }

    fn of_engine(&self) -> Vec<Sample> {
        let (answer, said) = channel();
        let look = move |engine: &Engine| {
            let sip = (engine.sip().stats().clone(), engine.turned_away());
            let trunks = engine.trunks().numbers().map(|(id, numbers)| (id.clone(), numbers)).collect();
            _ = answer.send((sip, engine.router().stats(), engine.is_draining(), trunks));
        };
        let sent = self.0.inbox.send(Message::Look(Box::new(look))).is_ok();
        match said.recv_timeout(PATIENCE) {
            Ok(((sip, turned), router, draining, trunks)) if sent => {
                let trunks: Vec<(TrunkId, trunk::Numbers)> = trunks;
                let flags = vec![f::ENGINE_ANSWERS.flag([], true), f::DRAINING.flag([], draining)];
                let mut samples = [of_sip(&sip), of_router(&router), flags].concat();
                samples.extend(of_turned(&sip, turned));
                samples.extend(trunks.iter().flat_map(|(id, numbers)| of_trunk(id.as_str(), numbers)));
                samples
            }
            _ => vec![f::ENGINE_ANSWERS.flag([], false)],
        }
    }
}

/// Zeros for all that is configured: what appears with its first call has no growth to be seen.
pub fn at_first(config: &Configuration) -> Stats {
    let mut stats = Stats::new(&config.center);
    config.flows.iter().for_each(|(flow, it)| stats.know_steps(flow, it.steps.keys()));
    stats
}

/// Who waits has waited on the clock of the events: the wall clock may have been set since.
fn of_events(stats: &Mutex<Stats>, time: EventTime, each_agent: bool) -> Vec<Sample> {
    stats.lock().unwrap_or_else(PoisonError::into_inner).samples(time.now(), each_agent)
}

fn of_wire(wire: &Wire) -> Vec<Sample> {
    let dropped = wire.dropped.iter().map(Dropped::count).sum();
    let mut samples = vec![f::SIP_DROPPED.count([], dropped)];
    samples.extend(
        wire.streams
            .open()
            .into_iter()
            .map(|(transport, open)| f::SIP_CONNECTIONS.count([&transport.as_str().to_ascii_lowercase()], open as u64)),
    );
    samples.extend(wire.counters.samples());
    samples
}

/// The numbers of the event log.
fn of_store(store: &Store) -> Vec<Sample> {
    let Numbers { queued, commits, failures, lost, committed_seq } = store.numbers();
    vec![
        f::LOG_HEALTHY.flag([], store.healthy()),
        f::LOG_QUEUED.count([], queued),
        f::LOG_LIMIT.count([], QUEUE_LIMIT),
        f::LOG_SEQ.count([], committed_seq),
        f::LOG_COMMITS.count([], commits),
        f::LOG_COMMIT_TIME.series([], store.commit_times()),
        f::LOG_FAILURES.count([], failures),
        f::LOG_LOST.count([], lost),
    ]
}

/// A series for each key of a table.
fn by_key(family: &'static Family, table: &BTreeMap<String, u64>) -> Vec<Sample> {
    table.iter().map(|(key, n)| family.count([key], *n)).collect()
}

/// Of a table whose keys are `INVITE 200`.
fn by_answer(family: &'static Family, table: &BTreeMap<String, u64>) -> Vec<Sample> {
    let one = |(key, n): (&String, &u64)| {
        let (method, code) = key.split_once(' ').unwrap_or((key, ""));
        family.count([method, code], *n)
    };
    table.iter().map(one).collect()
}

fn of_sip(stats: &sip::Stats) -> Vec<Sample> {
    let mut samples = vec![
        f::SIP_REPEATED_IN.count([], stats.retransmissions_received),
        f::SIP_REPEATED_OUT.count([], stats.retransmissions_sent),
        f::SIP_OVERLOADS.count([], stats.overloads),
        f::SIP_STRAYS.count(["response"], stats.stray_responses),
        f::SIP_STRAYS.count(["ack"], stats.stray_acks),
        f::SIP_BINDINGS.count([], stats.bindings),
        f::SIP_LEGS.count([], stats.legs),
        f::SIP_TRANSACTIONS.count([], stats.transactions),
    ];
    samples.extend(by_key(&f::SIP_REQUESTS_IN, &stats.requests_received));
    samples.extend(by_key(&f::SIP_REQUESTS_OUT, &stats.requests_sent));
    samples.extend(by_answer(&f::SIP_RESPONSES_IN, &stats.responses_received));
    samples.extend(by_answer(&f::SIP_RESPONSES_OUT, &stats.responses_sent));
    samples.extend(by_key(&f::SIP_REFUSALS, &stats.refusals));
    samples.extend(of_guard(stats));
    samples
}

/// Callers who were turned away. An alert watches them grow, so each reason is there before it does.
fn of_turned(stats: &sip::Stats, TurnedAway(turned): TurnedAway) -> Vec<Sample> {
    let of = |why: Turned| turned[why as usize];
    let one = |why: Turned| f::CALLS_REFUSED.count([why.label()], of(why));
    let mut samples: Vec<Sample> = Turned::ALL.into_iter().map(one).collect();
    samples.push(f::CALLS_REFUSED.count(["sip"], stats.turned_away));
    samples.push(f::SIP_STRANGERS_REFUSED.count([], of(Turned::Strangers)));
    samples
}

/// Those who failed to prove who they are, and what became of them.
fn of_guard(stats: &sip::Stats) -> Vec<Sample> {
    let mut samples = by_key(&f::SIP_AUTH_FAILURES, &stats.auth_failures);
    samples.extend(by_key(&f::SIP_REGISTRATIONS, &stats.registrations));
    for (of, bans) in ["address", "user"].into_iter().zip(stats.bans) {
        samples.extend([f::SIP_BANNED.count([of], bans.now), f::SIP_BANS.count([of], bans.total)]);
    }
    samples.push(f::SIP_BANNED_MESSAGES.count([], stats.banned));
    samples.push(f::SIP_STALE.count([], stats.stale_nonces));
    samples
}

fn of_trunk(trunk: &str, numbers: &trunk::Numbers) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (state, name) in [(TrunkState::Unknown, "unknown"), (TrunkState::Up, "up"), (TrunkState::Down, "down")] {
        samples.push(f::TRUNK_STATE.flag([trunk, name], numbers.state == state));
    }
    samples.extend(numbers.registered.map(|holds| f::TRUNK_REGISTERED.flag([trunk], holds)));
    samples.push(f::TRUNK_FAILURES.count([trunk], numbers.failures));
    for (way, counted) in [("in", numbers.incoming), ("out", numbers.outgoing)] {
        samples.push(f::TRUNK_CALLS.count([trunk, way], u64::from(counted.calls)));
        samples.push(f::TRUNK_CALLS_TOTAL.count([trunk, way], counted.seized));
        for (reason, n) in [("calls", counted.refused_calls), ("rate", counted.refused_rate)] {
            samples.push(f::TRUNK_REFUSED.count([trunk, way, reason], n));
        }
    }
    samples
}

fn of_router(stats: &acd::Stats) -> Vec<Sample> {
    vec![
        f::ROUTER_OFFERS.count([], stats.offered),
        f::ROUTER_ACCEPTED.count([], stats.accepted),
        f::ROUTER_IGNORED.count([], stats.ignored),
        f::ROUTER_WAITING.count([], stats.waiting),
        f::ROUTER_RESERVATIONS.count([], stats.reservations),
    ]
}

/// `each`: how many were within each bound, and beyond the last one.
fn spread(each: &[u64], sum: f64) -> Value {
    let sums: Vec<u64> = each
        .iter()
        .scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        })
        .collect();
    let count = sums.last().copied().unwrap_or_default();
    Value::Spread { up_to: sums[..sums.len().saturating_sub(1)].to_vec(), count, sum }
}

fn of_plane(plane: usize, figures: &Figures) -> Vec<Sample> {
    let (stats, plane) = (&figures.plane, plane.to_string());
    let plane = plane.as_str();
    let mut samples: Vec<Sample> = [
        (&f::MEDIA_PORTS, stats.ports),
        (&f::MEDIA_BRIDGES, stats.bridges),
        (&f::MEDIA_IN, stats.packets_in),
        (&f::MEDIA_OUT, stats.packets_out),
        (&f::MEDIA_FORWARDED, stats.forwarded),
        (&f::MEDIA_REPORTS_IN, stats.controls_in),
        (&f::MEDIA_REPORTS_OUT, stats.controls_out),
        (&f::MEDIA_ONE_WAY, stats.one_way),
        (&f::MEDIA_LATE, stats.late_ticks),
        (&f::MEDIA_TRANSCODED, stats.transcoded),
        (&f::MEDIA_TRANSCODING, stats.transcoding),
        (&f::MEDIA_CONCEALED, stats.concealed),
        (&f::MEDIA_LOST, stats.lost),
        (&f::MEDIA_PEER_LOST, stats.peer_lost),
        (&f::MEDIA_UNSENT, figures.unsent),
        (&f::MEDIA_ROBBED, figures.robbed),
    ]
    .map(|(family, value)| family.count([plane], value))
    .to_vec();
    let (jitter, loss) = (stats.jitter_ms as f64 / 1000.0, stats.loss_permille as f64 / 1000.0);
    samples.push(f::MEDIA_JITTER.series([plane], spread(&stats.by_jitter, jitter)));
    samples.push(f::MEDIA_LOSS.series([plane], spread(&stats.by_loss, loss)));
    let round_trips = spread(&stats.by_round_trip, stats.round_trip_us as f64 / 1e6);
    samples.push(f::MEDIA_ROUND_TRIP.series([plane], round_trips));
    let dropped = media::Drop::ALL.iter().zip(stats.dropped);
    samples.extend(dropped.map(|(reason, n)| f::MEDIA_DROPPED.count([plane, reason.label()], n)));
    samples
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Personal, PersonalKind, What};
    use crate::ids::{CallId, LegId, QueueId, WorkId};
    use crate::server::clock::Clock;
    use crate::server::pulse::bounds;
    use crate::time::Wall;

    /// The engine began when the clock on the wall showed another year.
    #[test]
    fn who_waits_has_waited_on_the_clock_of_the_events() {
        let time = EventTime { clock: Clock::start(), began: Wall(86_400_000) };
        let (mut stats, call) = (Stats::default(), Some(CallId(1)));
        let caller = Personal { kind: PersonalKind::Number, handle: 1, text: None };
        let arrived = What::arrives(LegId(1), None, caller);
        let (work, queue) = (WorkId(1), QueueId::new("sales"));
        let queued =
            What::Queued { work, queue, priority: 0, skills: Default::default(), again: false, served: Duration::ZERO };
        let at = Wall(time.began.0 - 5_000);
        for (seq, what) in [(1, arrived), (2, queued)] {
            stats.apply(&Event { seq, at, call, what });
        }
        let samples = of_events(&Mutex::new(stats), time, false);
        let longest = samples.iter().find(|sample| sample.family == &f::QUEUE_LONGEST).unwrap();
        let Value::Number(seconds) = longest.value else { panic!("{longest:?}") };
        assert!((5.0..3_600.0).contains(&seconds), "{seconds} s");
    }

    #[test]
    fn the_planes_bounds_are_those_of_the_table() {
        let ms = media::JITTER_BOUNDS_MS.map(|ms| f64::from(ms) / 1000.0);
        let permille = media::LOSS_BOUNDS_PERMILLE.map(|permille| f64::from(permille) / 1000.0);
        assert_eq!((bounds(f::MEDIA_JITTER.kind), bounds(f::MEDIA_LOSS.kind)), (&ms[..], &permille[..]));
        let trips = media::ROUND_TRIP_BOUNDS_MS.map(|ms| f64::from(ms) / 1000.0);
        assert_eq!(bounds(f::MEDIA_ROUND_TRIP.kind), &trips[..]);
        let all = Value::Spread { up_to: vec![1, 3], count: 7, sum: 0.5 };
        assert_eq!(spread(&[1, 2, 4], 0.5), all);
    }
}
