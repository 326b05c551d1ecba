//! Keys as telephone-events (RFC 4733), both directions.
//!
//! Left out: events that are not keys. In-band tones are heard in `tones`.

mod info;

use super::rtp::is_after;
use crate::time::Instant;
pub use info::key as key_of_info;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// The events 0–15 in their order (RFC 4733 §3.2, table 3).
const KEYS: &[u8; 16] = b"0123456789*#ABCD";
/// Without an update for so long, a key counts as released: its end packets were lost. Senders repeat every
/// 20–50 ms (RFC 4733 §2.5.1.2).
pub const RELEASE_AFTER: Duration = Duration::from_millis(200);
/// Packets of an ended event that come later than this are a new press with old numbers: players of recorded
/// packets send the same timestamps for each press.
const ECHO: Duration = Duration::from_millis(500);
/// Packets this far before the current event's timestamp are late ones of earlier events.
const LATE: u32 = 4 * 8000;
/// Keys that may wait to be sent; more are dropped.
pub const MAX_QUEUED: usize = 64;

/// A telephone-event payload (RFC 4733 §2.3). Duration in timestamp units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    pub event: u8,
    pub end: bool,
    pub duration: u16,
}

impl Payload {
    pub fn read(bytes: &[u8]) -> Option<Payload> {
        let [event, flags, d0, d1] = *bytes.first_chunk::<4>()?;
        Some(Payload { event, end: flags & 0x80 != 0, duration: u16::from_be_bytes([d0, d1]) })
    }

    /// Volume −10 dBm0.
    pub fn bytes(self) -> [u8; 4] {
        let [d0, d1] = self.duration.to_be_bytes();
        [self.event, u8::from(self.end) << 7 | 10, d0, d1]
    }
}

/// A key that was pressed: reported once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pressed {
    pub digit: char,
    pub duration_ms: u32,
}

/// Makes one report per press out of a peer's event packets, in whatever number and order they come.
///
/// A press is known by its timestamp, not by SSRC or sequence number: some senders repeat or change those.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct DigitsIn {
    current: Option<Press>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Press {
    event: u8,
    timestamp: u32,
    /// In timestamp units; with what earlier segments lasted (RFC 4733 §2.5.1.3).
    duration: u32,
    segments: u32,
    reported: bool,
    last: Instant,
}

impl Press {
    fn report(&mut self) -> Option<Pressed> {
        let key = *KEYS.get(usize::from(self.event))?;
        if std::mem::replace(&mut self.reported, true) {
            return None;
        }
        Some(Pressed { digit: char::from(key), duration_ms: self.duration / 8 })
    }
}

impl DigitsIn {
    /// An event packet has come: what is to be reported, at most two, when this one also ends the press before.
    pub fn packet(&mut self, now: Instant, timestamp: u32, payload: Payload) -> [Option<Pressed>; 2] {
        let mut reports = [None, None];
        match &mut self.current {
            Some(p) if p.is_same(now, timestamp, payload) => p.update(now, payload),
            Some(p) if p.is_segment(timestamp, payload) => {
                (p.segments, p.timestamp) = (p.segments + 0xffff, timestamp);
                p.update(now, payload);
            }
            Some(p) if p.is_late(now, timestamp) => return reports,
            current => {
                reports[0] = current.as_mut().and_then(Press::report);
                *current = Some(Press::new(now, timestamp, payload));
            }
        }
        if payload.end {
            reports[1] = self.current.as_mut().and_then(Press::report);
        }
        reports
    }

    /// When a key whose end was lost is to be reported.
    pub fn deadline(&self) -> Option<Instant> {
        self.current.filter(|p| !p.reported).map(|p| p.last + RELEASE_AFTER)
    }

    /// `deadline()` may have come.
    pub fn timeout(&mut self, now: Instant) -> Option<Pressed> {
        self.deadline().filter(|at| *at <= now)?;
        self.current.as_mut()?.report()
    }
}

impl Press {
    fn new(now: Instant, timestamp: u32, payload: Payload) -> Press {
        let reported = usize::from(payload.event) >= KEYS.len();
        Press { event: payload.event, timestamp, duration: payload.duration.into(), segments: 0, reported, last: now }
    }

    fn update(&mut self, now: Instant, payload: Payload) {
        self.duration = self.duration.max(self.segments + u32::from(payload.duration));
        self.last = now;
    }

    fn is_same(&self, now: Instant, timestamp: u32, payload: Payload) -> bool {
        let echo = !self.reported || now.since(self.last) < ECHO;
        timestamp == self.timestamp && payload.event == self.event && echo
    }

    /// RFC 4733 §2.5.1.3: an event longer than 0xFFFF goes on in a segment that starts where the last one ended.
    fn is_segment(&self, timestamp: u32, payload: Payload) -> bool {
        !self.reported
            && payload.event == self.event
            && timestamp == self.timestamp.wrapping_add(0xffff)
            && self.duration == self.segments + 0xffff
    }

    fn is_late(&self, now: Instant, timestamp: u32) -> bool {
        is_after(self.timestamp, timestamp)
            && self.timestamp.wrapping_sub(timestamp) < LATE
            && now.since(self.last) < ECHO
    }
}

/// Keys on their way to a peer: 100 ms each, 100 ms apart, the end three times (RFC 4733 §2.5.1.4).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DigitsOut {
    waiting: VecDeque<char>,
    /// The key that is down, its first timestamp and its packets so far.
    key: Option<(u8, u32, u8)>,
    /// Ticks until the next key may go down.
    pause: u8,
}

/// Packets with growing duration; the last of them, and two repetitions, have the end bit.
const PACKETS: u8 = 5;
const REPETITIONS: u8 = 2;
const PAUSE_TICKS: u8 = 5;
/// What `,` waits.
const LONG_PAUSE_TICKS: u8 = 25;

/// One event packet to send. `start` is the key's first timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPacket {
    pub first: bool,
    pub start: u32,
    pub payload: Payload,
}

impl DigitsOut {
    pub fn press(&mut self, digits: &str) {
        let known = |c: &char| *c == ',' || event_of(*c).is_some();
        let room = MAX_QUEUED - self.waiting.len();
        self.waiting.extend(digits.chars().map(|c| c.to_ascii_uppercase()).filter(known).take(room));
    }

    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.key.is_none() && self.pause == 0
    }

    /// Whether a key is down now, so that nothing else may be sent (RFC 4733 §2.5.1.1 leaves both to the sender).
    pub fn is_down(&self) -> bool {
        self.key.is_some()
    }

    /// 20 ms have passed. `timestamp` is where a key that goes down now starts.
    pub fn tick(&mut self, timestamp: u32) -> Option<KeyPacket> {
        if self.key.is_none() {
            if self.pause > 0 {
                self.pause -= 1;
                return None;
            }
            let Some(event) = event_of(self.waiting.pop_front()?) else {
                self.pause = LONG_PAUSE_TICKS;
                return None;
            };
            self.key = Some((event, timestamp, 0));
        }
        let (event, start, sent) = self.key?;
        let packet = KeyPacket { first: sent == 0, start, payload: payload(event, sent + 1) };
        self.key = Some((event, start, sent + 1)).filter(|_| sent + 1 < PACKETS + REPETITIONS);
        if self.key.is_none() {
            self.pause = PAUSE_TICKS - REPETITIONS;
        }
        Some(packet)
    }
}

fn payload(event: u8, number: u8) -> Payload {
    Payload { event, end: number >= PACKETS, duration: u16::from(number.min(PACKETS)) * 160 }
}

fn event_of(key: char) -> Option<u8> {
    KEYS.iter().position(|k| char::from(*k) == key).map(|e| e as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Feeds packets written as `at_ms timestamp key duration[!]`, then waits; what is reported as `key:ms`.
    fn check(packets: &str, expect: &str) {
        let (mut digits, mut reports) = (DigitsIn::default(), Vec::new());
        let mut last = 0;
        for packet in packets.split(',') {
            let words: Vec<_> = packet.split_whitespace().collect();
            let [at, timestamp, key, duration] = words[..] else { panic!("{packet}") };
            last = at.parse::<u64>().unwrap();
            let now = Instant(last * MS);
            reports.extend(digits.timeout(now));
            let payload = Payload {
                event: event_of(key.chars().next().unwrap()).unwrap_or(16),
                end: duration.ends_with('!'),
                duration: duration.trim_end_matches('!').parse().unwrap(),
            };
            let payload = Payload::read(&payload.bytes()).unwrap();
            reports.extend(digits.packet(now, timestamp.parse().unwrap(), payload).into_iter().flatten());
        }
        reports.extend(digits.timeout(Instant((last + 200) * MS)));
        assert!(digits.deadline().is_none());
        let got: Vec<_> = reports.iter().map(|p| format!("{}:{}", p.digit, p.duration_ms)).collect();
        assert_eq!(got.join(" "), expect, "{packets}");
    }

    #[test]
    fn each_press_is_reported_once() {
        // Plain; with repeated ends; with all but one end lost; with all ends lost; the end only.
        check("0 1000 5 160,20 1000 5 320,40 1000 5 480!", "5:60");
        check("0 1000 5 160,20 1000 5 480!,20 1000 5 480!,21 1000 5 480!", "5:60");
        check("0 1000 # 160,20 1000 # 320", "#:40");
        check("0 1000 D 800!", "D:100");
        // The ends are late, after the next key has begun; out of order within a key.
        check("0 1000 1 160,20 1000 1 320,100 1800 2 160,101 1000 1 800!,102 1000 1 800!,160 1800 2 480!", "1:40 2:60");
        check("0 1000 1 320,1 1000 1 160,2 1000 1 480!,3 1000 1 160", "1:60");
        // The same key twice; and twice with the same timestamp, from a recording.
        check("0 1000 1 800!,200 2600 1 800!", "1:100 1:100");
        check("0 1000 1 160,20 1000 1 800!,22 1000 1 800!,900 1000 1 160,920 1000 1 800!", "1:100 1:100");
        // A recording whose timestamps go back.
        check("0 9000 1 800!,900 1000 2 160,920 1000 2 800!", "1:100 2:100");
        // Two keys with one timestamp from a recording.
        check("0 1000 1 800!,100 1000 2 160,120 1000 2 800!", "1:100 2:100");
        // Another key without any end between.
        check("0 1000 1 160,60 1480 2 160,120 1960 3 160", "1:20 2:20 3:20");
        // Longer than a segment.
        check("0 0 7 60000,100 0 7 65535,120 65535 7 160,140 65535 7 320!", "7:8231");
        // Flash (16) is no key.
        check("0 1000 x 160,20 1000 x 800!", "");
        // Timestamps wrap.
        check("0 4294967000 1 800!,100 504 2 800!,101 4294967000 1 800!", "1:100 2:100");
    }

    #[test]
    fn keys_go_out_as_events() {
        let mut digits = DigitsOut::default();
        digits.press("1x,b");
        let mut got = Vec::new();
        for tick in 0..60u32 {
            if let Some(k) = digits.tick(tick * 160) {
                let end = if k.payload.end { "!" } else { "" };
                let first = if k.first { "M" } else { "" };
                got.push(format!(
                    "{tick}:{first}{}@{}+{}{end}",
                    k.payload.event,
                    k.start / 160,
                    k.payload.duration / 160
                ));
            }
        }
        let expect = "0:M1@0+1 1:1@0+2 2:1@0+3 3:1@0+4 4:1@0+5! 5:1@0+5! 6:1@0+5! \
            36:M13@36+1 37:13@36+2 38:13@36+3 39:13@36+4 40:13@36+5! 41:13@36+5! 42:13@36+5!";
        assert_eq!(got.join(" "), expect);
        assert!(digits.is_idle());
        digits.press(&"1".repeat(1000));
        assert_eq!(digits.waiting.len(), MAX_QUEUED);
    }

    #[test]
    fn what_goes_out_comes_in() {
        let (mut digits_out, mut digits_in, mut heard) = (DigitsOut::default(), DigitsIn::default(), String::new());
        digits_out.press("0123456789*#ABCD");
        for tick in 0..400u32 {
            let now = Instant(u64::from(tick) * 20 * MS);
            if let Some(k) = digits_out.tick(tick * 160) {
                let reports = digits_in.packet(now, k.start, k.payload);
                heard.extend(reports.iter().flatten().map(|p| p.digit));
                assert!(reports.iter().flatten().all(|p| p.duration_ms == 100));
            }
        }
        assert_eq!(heard, "0123456789*#ABCD");
    }

    #[test]
    fn short_payloads_are_none() {
        assert!((0..4).all(|n| Payload::read(&[1, 0, 0, 160][..n]).is_none()));
    }
}
