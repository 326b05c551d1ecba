//! Everything `/metrics` shows, brought together: the fold of events, and the counters that machines keep.
//!
//! Counters of packets and messages are not events; the machines are asked for them at each scrape.

use super::inbox::{Inbox, Message};
use super::keeping;
use super::media::{Figures, Planes};
use super::metrics::{Exported, of_store};
use super::signaling::Dropped;
use super::signaling::counters::Counters;
use super::signaling::streams::Streams;
use super::store::Store;
use super::ticketing::{self, Counts};
use crate::acd;
use crate::engine::Engine;
use crate::ids::TrunkId;
use crate::media;
use crate::sip;
use crate::stats::{Sample, Stats};
use crate::trunk::{self, TrunkState};
use std::collections::BTreeMap;
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

/// Collects and renders.
pub struct Exporter {
    stats: Arc<Mutex<Stats>>,
    store: Arc<Store>,
    planes: Arc<Planes>,
    inbox: Inbox,
    wire: Wire,
    ticketing: Option<Counts>,
    keeping: Option<Arc<keeping::Counts>>,
    exported: Mutex<Exported>,
}

impl Exporter {
    pub fn new(stats: Arc<Mutex<Stats>>, store: Arc<Store>, planes: Arc<Planes>, inbox: Inbox, wire: Wire) -> Exporter {
        Exporter { stats, store, planes, inbox, wire, ticketing: None, keeping: None, exported: Mutex::default() }
    }

    /// With the numbers of the ticketing system's client, if there is one.
    pub fn with_ticketing(self, ticketing: Option<Counts>) -> Exporter {
        Exporter { ticketing, ..self }
    }

    /// With the numbers of who removes what is old.
    pub fn with_keeping(self, counts: Arc<keeping::Counts>) -> Exporter {
        Exporter { keeping: Some(counts), ..self }
    }

    /// Prometheus' text format.
    pub fn render(&self) -> String {
        let stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        let mut samples: Vec<Sample> = stats.samples().collect();
        drop(stats); // the engine's thread writes there
        samples.extend(of_wire(&self.wire));
        samples.extend(of_store(self.store.numbers(), self.store.healthy()));
        samples.extend(of_planes(&self.planes.figures()));
        samples.extend(self.of_engine());
        let ticketing = self.ticketing.as_ref().map(|counts| *counts.lock().unwrap_or_else(PoisonError::into_inner));
        samples.extend(ticketing.iter().flat_map(ticketing::samples));
        samples.extend(self.keeping.iter().flat_map(|counts| counts.samples()));
        let mut exported = self.exported.lock().unwrap_or_else(PoisonError::into_inner);
        exported.publish(samples);
        exported.render()
    }

    fn of_engine(&self) -> Vec<Sample> {
        let (answer, said) = channel();
        let look = move |engine: &Engine| {
            let sip = engine.sip().stats().clone();
            let trunks = engine.trunks().numbers().map(|(id, numbers)| (id.clone(), numbers)).collect();
            _ = answer.send((sip, engine.router().stats(), engine.is_draining(), trunks));
        };
        let sent = self.inbox.send(Message::Look(Box::new(look))).is_ok();
        match said.recv_timeout(PATIENCE) {
            Ok((sip, router, draining, trunks)) if sent => {
                let drain = Sample::gauge("tierline_draining", "1 while no new calls are taken.", &[], flag(draining));
                [of_sip(&sip), of_router(&router), of_trunks(trunks), vec![drain]].concat()
            }
            _ => Vec::new(),
        }
    }
}

fn of_wire(wire: &Wire) -> Vec<Sample> {
    let help = "Datagrams that the system dropped unread, because too many were waiting.";
    let dropped = wire.dropped.iter().map(Dropped::count).sum();
    let mut samples = vec![Sample::counter("tierline_sip_datagrams_dropped_total", help, &[], dropped)];
    samples.extend(wire.streams.open().into_iter().map(|(transport, open)| {
        let label = ("transport", transport.as_str().to_ascii_lowercase());
        Sample::gauge("tierline_sip_connections", "Connections that are open.", &[label], open as f64)
    }));
    samples.extend(wire.counters.samples());
    samples
}

fn flag(on: bool) -> f64 {
    f64::from(u8::from(on))
}

fn of_sip(stats: &sip::Stats) -> Vec<Sample> {
    let counter = |name, help, value| Sample::counter(name, help, &[], value);
    let gauge = |name, help, value: u64| Sample::gauge(name, help, &[], value as f64);
    let mut samples = vec![
        counter(
            "tierline_sip_retransmissions_received_total",
            "Requests that came again.",
            stats.retransmissions_received,
        ),
        counter("tierline_sip_retransmissions_sent_total", "Messages that we sent again.", stats.retransmissions_sent),
        counter("tierline_sip_overloads_total", "Requests refused for lack of room.", stats.overloads),
        gauge("tierline_sip_bindings", "Registered phones.", stats.bindings),
        gauge("tierline_sip_legs", "Legs with an INVITE or a dialog.", stats.legs),
        gauge("tierline_sip_transactions", "Transactions that are not over.", stats.transactions),
    ];
    let methods = |name, help, table: &BTreeMap<String, u64>| {
        let one = |(method, n): (&String, &u64)| Sample::counter(name, help, &[("method", method.clone())], *n);
        table.iter().map(one).collect::<Vec<_>>()
    };
    samples.extend(methods("tierline_sip_requests_received_total", "Requests that came.", &stats.requests_received));
    samples.extend(methods("tierline_sip_requests_sent_total", "Requests that we sent.", &stats.requests_sent));
    let answers = |name, help, table: &BTreeMap<String, u64>| {
        let one = |(key, n): (&String, &u64)| {
            let (method, code) = key.split_once(' ').unwrap_or((key, ""));
            Sample::counter(name, help, &[("method", method.to_owned()), ("code", code.to_owned())], *n)
        };
        table.iter().map(one).collect::<Vec<_>>()
    };
    samples.extend(answers("tierline_sip_responses_received_total", "Responses that came.", &stats.responses_received));
    samples.extend(answers("tierline_sip_responses_sent_total", "Responses that we sent.", &stats.responses_sent));
    samples.extend(of_guard(stats));
    let refusals = stats.refusals.iter().map(|(why, n)| {
        let help = "Messages that could not be read, by reason.";
        Sample::counter("tierline_sip_refusals_total", help, &[("reason", why.clone())], *n)
    });
    samples.extend(refusals);
    samples
}

fn of_trunks(trunks: Vec<(TrunkId, trunk::Numbers)>) -> Vec<Sample> {
    trunks.iter().flat_map(|(id, numbers)| of_trunk(id.as_str(), numbers)).collect()
}

fn of_trunk(trunk: &str, numbers: &trunk::Numbers) -> Vec<Sample> {
    let label = || [("trunk", trunk.to_owned())];
    let mut samples = Vec::new();
    for (state, name) in [(TrunkState::Unknown, "unknown"), (TrunkState::Up, "up"), (TrunkState::Down, "down")] {
        let labels = [("trunk", trunk.to_owned()), ("state", name.to_owned())];
        let help = "1 for the state of the trunk's server, as OPTIONS and calls tell.";
        samples.push(Sample::gauge("tierline_trunk_state", help, &labels, flag(numbers.state == state)));
    }
    if let Some(holds) = numbers.registered {
        let help = "1 while our registration at the trunk holds.";
        samples.push(Sample::gauge("tierline_trunk_registered", help, &label(), flag(holds)));
    }
    let help = "Calls that went on to another trunk, or to none, because this one did not carry them.";
    samples.push(Sample::counter("tierline_trunk_failures_total", help, &label(), numbers.failures));
    for (way, counted) in [("in", numbers.incoming), ("out", numbers.outgoing)] {
        let labels = [("trunk", trunk.to_owned()), ("direction", way.to_owned())];
        let running = f64::from(counted.calls);
        samples.push(Sample::gauge("tierline_trunk_calls", "Calls over the trunk that run.", &labels, running));
        let help = "Calls that the trunk's limits let through.";
        samples.push(Sample::counter("tierline_trunk_calls_total", help, &labels, counted.seized));
        for (reason, n) in [("calls", counted.refused_calls), ("rate", counted.refused_rate)] {
            let [of, direction] = labels.clone();
            let labels = [of, direction, ("reason", reason.to_owned())];
            let help = "Calls that the trunk's limits refused.";
            samples.push(Sample::counter("tierline_trunk_refused_total", help, &labels, n));
        }
    }
    samples
}

/// Those who failed to prove who they are, and what became of them.
fn of_guard(stats: &sip::Stats) -> Vec<Sample> {
    let by = |name, help, key, table: &BTreeMap<String, u64>| {
        let one = |(value, n): (&String, &u64)| Sample::counter(name, help, &[(key, value.clone())], *n);
        table.iter().map(one).collect::<Vec<_>>()
    };
    let help = "Proofs of identity that were worth nothing, by reason.";
    let mut samples = by("tierline_sip_auth_failures_total", help, "reason", &stats.auth_failures);
    let help = "Bindings of phones that were made or renewed (bound), refused, or ended, by reason.";
    samples.extend(by("tierline_sip_registrations_total", help, "outcome", &stats.registrations));
    for (of, bans) in ["address", "user"].into_iter().zip(stats.bans) {
        let label = [("of", of.to_owned())];
        samples.push(Sample::gauge("tierline_sip_banned", "Banned at present.", &label, bans.now as f64));
        samples.push(Sample::counter("tierline_sip_bans_total", "Bans since start.", &label, bans.total));
    }
    let help = "Messages from banned addresses, dropped unread.";
    samples.push(Sample::counter("tierline_sip_banned_messages_total", help, &[], stats.banned));
    let help = "Proofs with a nonce that was too old or used before.";
    samples.push(Sample::counter("tierline_sip_stale_nonces_total", help, &[], stats.stale_nonces));
    samples
}

fn of_router(stats: &acd::Stats) -> Vec<Sample> {
    let counter = |name, help, value| Sample::counter(name, help, &[], value);
    vec![
        counter("tierline_router_offers_total", "Offers of work to agents.", stats.offered),
        counter("tierline_router_accepted_total", "Offers that were accepted.", stats.accepted),
        counter("tierline_router_ignored_total", "Answers that came too late, mostly.", stats.ignored),
        Sample::gauge("tierline_router_waiting", "Work that waits in all queues.", &[], stats.waiting as f64),
        Sample::gauge("tierline_router_reservations", "Agents held for a work.", &[], stats.reservations as f64),
    ]
}

fn of_planes(planes: &[Figures]) -> Vec<Sample> {
    planes.iter().enumerate().flat_map(|(plane, figures)| of_plane(plane, figures)).collect()
}

/// Cumulative, as Prometheus has them.
fn buckets(name: &'static str, help: &'static str, plane: usize, bounds: &[f64], counts: &[u64]) -> Vec<Sample> {
    let bounds = bounds.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
    let sums = counts.iter().scan(0, |sum, count| {
        *sum += count;
        Some(*sum)
    });
    let sample = |(le, sum)| Sample::counter(name, help, &[("plane", plane.to_string()), ("le", le)], sum);
    bounds.zip(sums).map(sample).collect()
}

fn of_plane(plane: usize, figures: &Figures) -> Vec<Sample> {
    let stats = &figures.plane;
    let label = || [("plane", plane.to_string())];
    let counter = |name, help, value| Sample::counter(name, help, &label(), value);
    let mut samples = vec![
        Sample::gauge("tierline_media_ports", "Open ports.", &label(), stats.ports as f64),
        Sample::gauge("tierline_media_bridges", "Pairs of ports that hear each other.", &label(), stats.bridges as f64),
        counter("tierline_media_packets_received_total", "RTP packets taken.", stats.packets_in),
        counter("tierline_media_packets_sent_total", "RTP packets sent.", stats.packets_out),
        counter("tierline_media_packets_forwarded_total", "RTP packets passed on within a bridge.", stats.forwarded),
        counter("tierline_media_reports_received_total", "RTCP packets taken.", stats.controls_in),
        counter("tierline_media_reports_sent_total", "RTCP packets sent.", stats.controls_out),
        counter("tierline_media_one_way_total", "Legs whose peer was not heard while it was sent to.", stats.one_way),
        counter("tierline_media_late_ticks_total", "Ticks of 20 ms that came more than one late.", stats.late_ticks),
    ];
    let help = "RTP packets that went on in another codec.";
    samples.push(counter("tierline_media_packets_transcoded_total", help, stats.transcoded));
    let help = "Legs that hear what was said in another codec.";
    samples.push(Sample::gauge("tierline_media_transcoded_legs", help, &label(), stats.transcoding as f64));
    let help = "Frames of 20 ms in which something lost or late had to be made up.";
    samples.push(counter("tierline_media_frames_concealed_total", help, stats.concealed));
    let help = "RTP packets that never came, of legs that have ended.";
    samples.push(counter("tierline_media_packets_lost_total", help, stats.lost));
    let help = "Legs that have ended, by the interarrival jitter of what came.";
    let bounds = media::JITTER_BOUNDS_MS.map(|ms| f64::from(ms) / 1000.0);
    samples.extend(buckets("tierline_media_leg_jitter_seconds_bucket", help, plane, &bounds, &stats.by_jitter));
    let help = "Legs that have ended, by the share of packets that never came.";
    let bounds = media::LOSS_BOUNDS_PERMILLE.map(|permille| f64::from(permille) / 1000.0);
    samples.extend(buckets("tierline_media_leg_loss_ratio_bucket", help, plane, &bounds, &stats.by_loss));
    let help = "Packets that the system would not take.";
    samples.push(counter("tierline_media_packets_unsent_total", help, figures.unsent));
    for (reason, n) in media::Drop::ALL.iter().zip(stats.dropped) {
        let labels = [("plane", plane.to_string()), ("reason", reason.label().to_owned())];
        samples.push(Sample::counter(
            "tierline_media_packets_dropped_total",
            "RTP and RTCP packets not used.",
            &labels,
            n,
        ));
    }
    samples
}
