//! What a leg and its peer tell each other of how they hear (RFC 3550 §6), and what it says of the leg's quality.
//!
//! Two parties need no more than the shortest interval (§6.2), so it is fixed, with the chance of §6.3.1 so that legs do
//! not report in step; the first report comes after half of it. Reports go on while a leg is on hold, and end with BYE.
//!
//! Left out: the share of bandwidth and the count of members, which matter for more than two parties; extended reports.

use super::port::{Peer, Port, Slot};
use super::rtcp::{self, Block, Compound, Sent};
use super::words::{Drop, Quality};
use super::{Item, Plane, Timer};
use crate::ids::{PortId, Rng};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;

/// §6.2: the shortest interval.
const INTERVAL: Duration = Duration::from_secs(5);
/// §6.3.1: e − 3/2, which makes up for what chance does to the mean.
const COMPENSATION: f64 = std::f64::consts::E - 1.5;
/// Audio goes one way only when we have sent and heard nothing for so long.
const ONE_WAY: Duration = Duration::from_secs(10);
/// A longer round trip is an answer to something else, or an error of the peer.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(60);
/// A clock of the peer that ticks so rarely makes a shorter round trip less than nothing. In 2⁻¹⁶ s: 10 ms.
const TICK: i32 = 655;

/// A leg's side of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reports {
    /// RFC 7022 §4.2: a name of 96 random bits that means nothing outside this leg.
    name: [u8; 12],
    /// When the next one is due; none before `Connect`.
    pub next: Option<Instant>,
    /// Bytes of payload sent.
    pub octets: u32,
    /// Packets sent when the last report was made, and the one before it.
    sent: [u64; 2],
    /// The peer's last sender report: the middle of its time, and when it came.
    last: Option<(u32, Instant)>,
    /// Where the peer's reports come from.
    from: Option<SocketAddr>,
    /// When audio was last heard, or begun to be waited for.
    pub heard: Instant,
    pub quality: Quality,
}

impl Reports {
    pub fn new(now: Instant, rng: &mut Rng) -> Reports {
        let mut name = [0; 12];
        name.chunks_mut(4).for_each(|part| part.copy_from_slice(&rng.next_u32().to_be_bytes()));
        let quality = Quality::default();
        Reports { name, next: None, octets: 0, sent: [0; 2], last: None, from: None, heard: now, quality }
    }

    /// The peer's reports come to another port, and from another one.
    pub fn moved(&mut self) {
        self.from = None;
    }

    /// What the peer said.
    fn take(&mut self, now: Instant, from: SocketAddr, compound: &Compound<'_>) {
        self.from = Some(from);
        if let Some(sent) = compound.sent {
            self.last = Some((middle(sent.ntp), now));
        }
        let Some(block) = compound.heard else { return };
        self.quality.peer_lost = block.lost.max(0) as u32;
        self.quality.peer_jitter = block.jitter;
        if block.last_report != 0 {
            // §6.4.1: now, less when we sent what it answers, less how long it kept the answer. In 2⁻¹⁶ s.
            let units = middle(ntp(now)).wrapping_sub(block.last_report).wrapping_sub(block.delay);
            let units = if (-TICK..0).contains(&(units as i32)) { 0 } else { units };
            let round_trip = Duration::from_nanos((u64::from(units) * 1_000_000_000) >> 16);
            if round_trip <= MAX_ROUND_TRIP {
                self.quality.round_trip_us = Some(round_trip.as_micros() as u32);
            }
        }
    }

    /// A report of ours, of a leg that has sent so many packets.
    fn make(&mut self, now: Instant, packets: u64) -> bool {
        // §6.4: a sender is who has sent since the report before the last.
        let sends = packets > self.sent[1];
        self.sent = [packets, self.sent[0]];
        self.next = None;
        let waits = now.since(self.heard) >= ONE_WAY;
        self.quality.one_way |= sends && waits;
        sends
    }

    fn delay(&self, now: Instant) -> (u32, u32) {
        self.last
            .map_or((0, 0), |(middle, at)| (middle, (now.since(at).as_nanos() << 16).div_euclid(1_000_000_000) as u32))
    }
}

/// Our time as NTP has it: of an arbitrary origin, as §4 allows.
fn ntp(now: Instant) -> u64 {
    let (seconds, rest) = (now.0 / 1_000_000_000, now.0 % 1_000_000_000);
    (seconds << 32) | ((rest << 32) / 1_000_000_000)
}

fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// §6.3.1, for an interval of 5 s, or half of it before the first report.
fn interval(rng: &mut Rng, first: bool) -> Duration {
    let base = if first { INTERVAL / 2 } else { INTERVAL };
    let chance = 0.5 + f64::from(rng.next_u32()) / 2f64.powi(32);
    base.mul_f64(chance / COMPENSATION)
}

impl Peer {
    /// Where to send reports, and whether from the RTP socket. Nowhere if the peer's packets come from another address
    /// than its description says, until its reports show where it takes ours.
    fn control_target(&self, reports: &Reports) -> Option<(SocketAddr, bool)> {
        let remote = self.latch.remote();
        let to = match reports.from.filter(|from| from.ip() == remote.ip()) {
            _ if self.session.agreed.mux => remote,
            Some(from) => from,
            None if remote == self.session.remote => self.session.remote_control,
            None => return None,
        };
        (!to.ip().is_unspecified() && to.port() != 0).then_some((to, self.session.agreed.mux))
    }
}

impl Plane {
    /// A leg is connected: it reports from now on.
    pub(super) fn begin_reports(&mut self, now: Instant, slot: Slot) {
        if self.port(slot).reports.next.is_none() {
            self.schedule_report(now, slot, true);
        }
    }

    fn schedule_report(&mut self, now: Instant, slot: Slot, first: bool) {
        let at = now + interval(&mut self.rng, first);
        self.port(slot).reports.next = Some(at);
        self.timers.set(Timer::Report(slot), at);
    }

    pub(super) fn report(&mut self, now: Instant, slot: Slot) {
        self.send_report(now, slot, false);
        self.schedule_report(now, slot, false);
    }

    /// Sends a report, the last one with BYE (§6.6).
    pub(super) fn send_report(&mut self, now: Instant, slot: Slot, bye: bool) {
        let start = self.arena.len();
        let port = self.ports[slot as usize].as_mut().expect("a slot in use has a port");
        let Some(peer) = &mut port.peer else { return };
        let Port { reports, reception, line, stats, .. } = port;
        if bye && stats.packets_out == 0 && stats.controls_out == 0 {
            return; // RFC 3550 §6.3.7: who has never sent anything must not say that he leaves.
        }
        if !peer.session.direction.receives() {
            reports.heard = now; // nothing is to be heard
        }
        let was_one_way = reports.quality.one_way;
        let sends = reports.make(now, stats.packets_out);
        self.stats.one_way += u64::from(reports.quality.one_way && !was_one_way);
        let Some((to, mux)) = peer.control_target(reports) else { return };
        let (packets, octets) = (stats.packets_out as u32, reports.octets);
        let sent = sends.then(|| Sent { ntp: ntp(now), timestamp: line.timestamp_at(now), packets, octets });
        let (last_report, delay) = reports.delay(now);
        let heard = reception.report().map(|heard| Block { last_report, delay, ..heard });
        let name = reports.name.map(|byte| format!("{byte:02x}")).concat();
        Compound { ssrc: line.ssrc, sent, heard, cname: Some(name.as_bytes()), bye }.write(&mut self.arena);
        if let Some(keys) = peer.keys()
            && keys.seal_control(&mut self.arena, start).is_err()
        {
            return self.arena.truncate(start);
        }
        stats.controls_out += 1;
        self.stats.controls_out += 1;
        let (port, start, end) = (port.id, start as u32, self.arena.len() as u32);
        self.out.push_back(match mux {
            true => Item::Packet { port, to, start, end },
            false => Item::Control { port, to, start, end },
        });
    }

    pub(super) fn control(&mut self, now: Instant, id: PortId, from: SocketAddr, bytes: &[u8]) {
        let Some(slot) = self.slot(id) else { return };
        if let Err(why) = self.take_control(now, slot, from, bytes) {
            self.stats.dropped[why as usize] += 1;
            self.port(slot).stats.dropped += 1;
        }
    }

    fn take_control(&mut self, now: Instant, slot: Slot, from: SocketAddr, bytes: &[u8]) -> Result<(), Drop> {
        rtcp::source(bytes).ok_or(Drop::Malformed)?;
        let port = self.ports[slot as usize].as_mut().ok_or(Drop::Unconnected)?;
        let peer = port.peer.as_mut().ok_or(Drop::Unconnected)?;
        let is_peers = match peer.session.agreed.mux {
            true => peer.latch.is_control_of(from),
            false => from.ip() == peer.latch.remote().ip() || from == peer.session.remote_control,
        };
        if !is_peers {
            return Err(Drop::Foreign);
        }
        let mut opened = Vec::new();
        let bytes = match peer.keys() {
            Some(keys) => {
                opened.extend_from_slice(bytes);
                keys.open_control(now, &mut opened)?;
                &opened
            }
            None => bytes,
        };
        let compound = Compound::read(bytes, port.line.ssrc).ok_or(Drop::Malformed)?;
        port.reports.take(now, from, &compound);
        // Who says that it sends nothing, having been heard before, is silent and not unheard.
        if port.silence || (compound.sent.is_none() && port.stats.packets_in > 0) {
            port.reports.heard = now;
        }
        port.stats.controls_in += 1;
        self.stats.controls_in += 1;
        self.alive(now, slot);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_spread_around_their_mean() {
        let mut rng = Rng::from_number(1);
        for (first, low, high) in [(true, 1026, 3079), (false, 2052, 6157)] {
            let all: Vec<_> = (0..10_000).map(|_| interval(&mut rng, first).as_millis()).collect();
            let (min, max) = (*all.iter().min().unwrap(), *all.iter().max().unwrap());
            assert!((low..low + 10).contains(&min) && (high - 10..=high).contains(&max), "{min} {max}");
        }
    }

    #[test]
    fn the_round_trip_is_without_the_peers_delay() {
        let address = SocketAddr::from(([192, 0, 2, 1], 4001));
        // When we sent (ms), how long the peer kept it (ms), when its answer came (ms); the round trip in ms.
        for (sent, kept, came, expect) in [
            (1_000, 0, 1_080, Some(80)),
            (1_000, 3_000, 4_080, Some(80)),
            (70_000_000, 3_000, 70_003_020, Some(20)), // the middle of the time has wrapped
            (1_000, 3_005, 4_000, Some(0)),            // its clock ticks every few milliseconds
            (1_000, 3_100, 4_080, None),               // it says that it kept it for too long
        ] {
            let at = |ms: u64| Instant(ms * 1_000_000);
            let mut reports = Reports::new(at(0), &mut Rng::from_number(1));
            let (last_report, delay) = (middle(ntp(at(sent))), (kept << 16) / 1000);
            let heard = Some(Block { last_report, delay: delay as u32, lost: -1, jitter: 7, ..Block::default() });
            reports.take(at(came), address, &Compound { heard, ..Compound::default() });
            let got = reports.quality.round_trip_us.map(|us| (us + 500) / 1000);
            assert_eq!((got, reports.quality.peer_lost, reports.quality.peer_jitter), (expect, 0, 7), "{sent} {kept}");
        }
        let mut reports = Reports::new(Instant(0), &mut Rng::from_number(1));
        reports.take(Instant(5), address, &Compound { heard: Some(Block::default()), ..Compound::default() });
        assert_eq!(reports.quality.round_trip_us, None, "it has not heard a report of ours");
    }

    #[test]
    fn the_delay_is_since_the_peers_last_report() {
        let mut reports = Reports::new(Instant(0), &mut Rng::from_number(1));
        assert_eq!(reports.delay(Instant(9)), (0, 0));
        let sent = Some(Sent { ntp: 0x1234_5678_9abc_def0, ..Sent::default() });
        let address = SocketAddr::from(([192, 0, 2, 1], 4001));
        reports.take(Instant(1_000_000_000), address, &Compound { sent, ..Compound::default() });
        assert_eq!(reports.delay(Instant(2_500_000_000)), (0x5678_9abc, 0x1_8000));
    }
}
