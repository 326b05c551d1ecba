//! Who hears whom: placing the packets of one leg into the line of another.
//!
//! A forwarded packet keeps its distance, in sequence and time, to its neighbors: loss and reordering on one side are
//! seen as such by the jitter buffer on the other side. Only the offsets change when a new stream begins.
//!
//! Left out: mixing, listening in.

use super::rtp::{CLOCK, Packet, SendLine, is_after};
use crate::time::Instant;
use serde::{Deserialize, Serialize};

/// RFC 3550 A.1, MAX_DROPOUT: a larger step of the sequence is a new stream.
const MAX_STEP: u16 = 3000;
/// A timestamp that differs by more from what the clock says is a new stream. 2 s.
const MAX_DRIFT: u32 = 2 * CLOCK as u32;

/// What one leg's line knows of the stream that is forwarded into it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Joint {
    splice: Option<Splice>,
    /// A key of another stream than the audio: its SSRC and timestamp there, its timestamp here.
    key: Option<(u32, u32, u32)>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Splice {
    ssrc: u32,
    sequence_offset: u16,
    timestamp_offset: u32,
    /// In the incoming stream's numbers: where we began, and the newest so far.
    first: u16,
    newest: u16,
    timestamp: u32,
    at: Instant,
}

/// A packet's place in the outgoing line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub marker: bool,
    pub sequence: u16,
    pub timestamp: u32,
}

impl Joint {
    /// Something else has been sent on the line, or the bridge has changed: the next packet starts anew.
    pub fn cut(&mut self) {
        self.splice = None;
    }

    /// Where a packet of audio goes; `None` if it is older than the bridge.
    pub fn audio(&mut self, line: &mut SendLine, packet: &Packet<'_>, now: Instant) -> Option<Place> {
        self.place(line, packet, packet.payload.len() as u32, now)
    }

    /// Where a packet of comfort noise goes, which lasts until the next one of anything.
    pub fn noise(&mut self, line: &mut SendLine, packet: &Packet<'_>, now: Instant) -> Option<Place> {
        self.place(line, packet, 0, now)
    }

    /// Where a packet of a telephone-event goes that has lasted `duration` so far.
    ///
    /// Some senders give events an SSRC of their own beside the audio's. Those packets are put between the audio's.
    pub fn event(&mut self, line: &mut SendLine, packet: &Packet<'_>, duration: u16, now: Instant) -> Option<Place> {
        let known = self.key.filter(|(ssrc, start, _)| (*ssrc, *start) == (packet.ssrc, packet.timestamp));
        let Some(splice) = self.splice.as_mut().filter(|s| s.ssrc != packet.ssrc) else {
            if let (None, Some((_, _, start))) = (&self.splice, known) {
                let sequence = line.take(start, duration.into());
                return Some(Place { marker: packet.marker, sequence, timestamp: start });
            }
            let place = self.place(line, packet, duration.into(), now)?;
            self.key = Some((packet.ssrc, packet.timestamp, place.timestamp));
            return Some(place);
        };
        let timestamp = known.map_or_else(|| line.timestamp_at(now), |(_, _, start)| start);
        self.key = Some((packet.ssrc, packet.timestamp, timestamp));
        splice.sequence_offset = splice.sequence_offset.wrapping_add(1);
        Some(Place { marker: packet.marker, sequence: line.take(timestamp, duration.into()), timestamp })
    }

    /// Where such a packet goes if the audio is not forwarded: between what the line sends by itself.
    pub fn event_beside(&mut self, line: &mut SendLine, packet: &Packet<'_>, duration: u16, now: Instant) -> Place {
        self.cut();
        let known = self.key.filter(|(ssrc, start, _)| (*ssrc, *start) == (packet.ssrc, packet.timestamp));
        let timestamp = known.map_or_else(|| line.timestamp_at(now), |(_, _, start)| start);
        self.key = Some((packet.ssrc, packet.timestamp, timestamp));
        Place { marker: known.is_none(), sequence: line.take(timestamp, duration.into()), timestamp }
    }

    fn place(&mut self, line: &mut SendLine, packet: &Packet<'_>, samples: u32, now: Instant) -> Option<Place> {
        let fresh = !self.splice.as_ref().is_some_and(|s| s.fits(packet, now));
        if fresh {
            self.splice = Some(Splice::new(line, packet, now));
        }
        let splice = self.splice.as_mut()?;
        if (packet.sequence.wrapping_sub(splice.first) as i16) < 0 {
            return None; // its number has been used by what was heard before
        }
        splice.note(packet, now);
        let sequence = packet.sequence.wrapping_add(splice.sequence_offset);
        let timestamp = packet.timestamp.wrapping_add(splice.timestamp_offset);
        line.sent(sequence, timestamp.wrapping_add(samples));
        // RFC 3551 §4.1: the marker begins a talkspurt.
        Some(Place { marker: packet.marker || fresh, sequence, timestamp })
    }
}

impl Splice {
    fn new(line: &SendLine, packet: &Packet<'_>, now: Instant) -> Splice {
        Splice {
            ssrc: packet.ssrc,
            sequence_offset: line.sequence.wrapping_sub(packet.sequence),
            timestamp_offset: line.timestamp_at(now).wrapping_sub(packet.timestamp),
            first: packet.sequence,
            newest: packet.sequence,
            timestamp: packet.timestamp,
            at: now,
        }
    }

    fn fits(&self, packet: &Packet<'_>, now: Instant) -> bool {
        let step = packet.sequence.wrapping_sub(self.newest) as i16;
        let passed = (now.since(self.at).as_millis() as u64 * CLOCK / 1000) as u32;
        let drift = packet.timestamp.wrapping_sub(self.timestamp).wrapping_sub(passed) as i32;
        packet.ssrc == self.ssrc && step.unsigned_abs() <= MAX_STEP && drift.unsigned_abs() <= MAX_DRIFT
    }

    fn note(&mut self, packet: &Packet<'_>, now: Instant) {
        if (packet.sequence.wrapping_sub(self.newest) as i16) > 0 {
            self.newest = packet.sequence;
            // Far from the start, so that a long call's numbers do not come round to it.
            if self.newest.wrapping_sub(self.first) > 2 * MAX_STEP {
                self.first = self.first.wrapping_add(MAX_STEP);
            }
        }
        if is_after(packet.timestamp, self.timestamp) {
            (self.timestamp, self.at) = (packet.timestamp, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Rng;

    const MS: u64 = 1_000_000;

    /// Packets as `ms ssrc sequence timestamp [e]` (e: event); the places, relative to the line's start, as
    /// `sequence/timestamp`, `M` with marker, `-` if dropped.
    fn check(packets: &str, expect: &str) {
        let (mut line, mut joint) = (SendLine::new(Instant(0), &mut Rng::from_number(9)), Joint::default());
        let (sequence, timestamp) = (line.sequence, line.timestamp);
        let mut got = Vec::new();
        for row in packets.split(',') {
            let words: Vec<_> = row.split_whitespace().collect();
            let number = |i: usize| words[i].parse::<u64>().unwrap();
            let now = Instant(number(0) * MS);
            let packet = Packet {
                marker: false,
                payload_type: 0,
                sequence: number(2) as u16,
                timestamp: number(3) as u32,
                ssrc: number(1) as u32,
                payload: &[0; 160],
            };
            let place = match words.get(4) {
                Some(_) => joint.event(&mut line, &packet, 160, now),
                None => joint.audio(&mut line, &packet, now),
            };
            got.push(place.map_or("-".to_string(), |p| {
                let marker = if p.marker { "M" } else { "" };
                let (s, t) = (p.sequence.wrapping_sub(sequence) as i16, p.timestamp.wrapping_sub(timestamp) as i32);
                format!("{marker}{s}/{t}")
            }));
        }
        assert_eq!(got.join(" "), expect, "{packets}");
    }

    #[test]
    fn streams_keep_their_shape() {
        check("100 1 50 7000,120 1 51 7160,140 1 52 7320", "M0/800 1/960 2/1120");
        // Loss, reordering and duplicates stay; what is older than the start is dropped.
        check("0 1 50 0,60 1 53 480,61 1 52 320,62 1 52 320,63 1 49 0", "M0/0 3/480 2/320 2/320 -");
        // Numbers wrap.
        check("0 1 65535 4294967200,20 1 0 64", "M0/0 1/160");
        // A new SSRC, a jump in sequence, a jump in time: real time goes on, with a marker.
        check("0 1 50 0,20 2 900 5000,40 2 901 5160", "M0/0 M1/160 2/320");
        check("0 1 50 0,100 1 9000 160", "M0/0 M1/800");
        check("0 1 50 0,100 1 51 99999,120 1 52 100159", "M0/0 M1/800 2/960");
        // A pause that the sender's timestamps show.
        check("0 1 50 0,5000 1 51 40000", "M0/0 1/40000");
        // Silence suppression that they do not show.
        check("0 1 50 0,5000 1 51 160", "M0/0 M1/40000");
    }

    #[test]
    fn events_stay_one_event() {
        // In the audio's stream.
        check("0 1 50 0,20 1 51 160 e,40 1 52 160 e,60 1 53 640", "M0/0 1/160 2/160 3/640");
        // In a stream of their own, audio going on, the end's number repeated.
        check(
            "0 1 50 0,20 7 9 3 e,21 1 51 160,40 7 10 3 e,41 1 52 320,60 7 10 3 e,61 1 53 480,80 7 11 4000 e",
            "M0/0 1/160 2/160 3/160 4/320 5/160 6/480 7/640",
        );
        // Before any audio.
        check("20 7 9 3 e,21 1 51 160,40 7 10 3 e,60 1 52 480", "M0/160 M1/320 2/160 3/640");
    }

    #[test]
    fn a_long_call_wraps_many_times() {
        let (mut line, mut joint) = (SendLine::new(Instant(0), &mut Rng::from_number(9)), Joint::default());
        let first = line.sequence;
        for n in 0..200_000u32 {
            let (sequence, timestamp) = (n as u16, n.wrapping_mul(160));
            let packet = Packet { marker: false, payload_type: 0, sequence, timestamp, ssrc: 1, payload: &[0; 160] };
            let place = joint.audio(&mut line, &packet, Instant(u64::from(n) * 20 * MS)).unwrap();
            assert_eq!((place.sequence, place.marker), (first.wrapping_add(n as u16), n == 0));
        }
    }
}
