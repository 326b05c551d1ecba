//! What a port hears, as frames of samples on the time of its timestamps: what was lost is silence.
//!
//! Left out: a jitter buffer with concealment; a packet that comes after its successor is lost.

use super::codec::{Codec, Ear, FRAME};
use super::rtp::{CLOCK, Packet};
use crate::time::Instant;
use serde::{Deserialize, Serialize};

/// The longest silence that is filled in at once. A longer one is shortened. 60 s.
const MAX_GAP: u32 = 60 * CLOCK as u32;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Hearing {
    /// The next sample's SSRC, timestamp and the time of its packet.
    next: Option<(u32, u32, Instant)>,
    /// Less than a frame, between calls.
    rest: Vec<i16>,
    ear: Ear,
}

impl Hearing {
    /// Appends whole frames to `frames`.
    pub fn packet(&mut self, packet: &Packet<'_>, codec: Codec, now: Instant, frames: &mut Vec<i16>) {
        let samples = packet.payload.len() as u32;
        let (silence, skip) = match self.next {
            None => (0, 0),
            Some((ssrc, next, at)) => {
                let ahead = packet.timestamp.wrapping_sub(next) as i32;
                let elapsed = (now.since(at).as_millis() as u64 * CLOCK / 1000).min(u64::from(MAX_GAP)) as u32;
                if ssrc != packet.ssrc || ahead.unsigned_abs() > MAX_GAP {
                    (elapsed.saturating_sub(samples), 0)
                } else if ahead >= 0 {
                    (ahead as u32, 0)
                } else {
                    (0, ahead.unsigned_abs().min(samples))
                }
            }
        };
        if skip == samples {
            return; // late, or a duplicate
        }
        self.next = Some((packet.ssrc, packet.timestamp.wrapping_add(samples), now));
        self.rest.resize(self.rest.len() + silence as usize, 0);
        self.ear.hear(codec, &packet.payload[skip as usize..], &mut self.rest);
        let whole = self.rest.len() / FRAME * FRAME;
        frames.extend(self.rest.drain(..whole));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets as `ms ssrc timestamp samples`; what is heard, in runs of 80 samples: `x` sound, `.` silence.
    fn check(packets: &str, expect: &str) {
        let (mut hearing, mut frames) = (Hearing::default(), Vec::new());
        for row in packets.split(',') {
            let words: Vec<u64> = row.split_whitespace().map(|w| w.parse().unwrap()).collect();
            let [ms, ssrc, timestamp, samples] = words[..] else { panic!("{row}") };
            let (payload, ssrc, timestamp) = (vec![0x80; samples as usize], ssrc as u32, timestamp as u32);
            let packet = Packet { marker: false, payload_type: 0, sequence: 0, timestamp, ssrc, payload: &payload };
            hearing.packet(&packet, Codec::Pcmu, Instant(ms * 1_000_000), &mut frames);
        }
        assert_eq!(frames.len() % FRAME, 0);
        let runs: String = frames.chunks(80).map(|run| if run.iter().all(|s| *s == 0) { '.' } else { 'x' }).collect();
        assert_eq!(runs, expect, "{packets}");
    }

    #[test]
    fn gaps_are_silence_and_nothing_is_heard_twice() {
        check("0 1 0 160,20 1 160 160", "xxxx");
        check("0 1 0 160,60 1 480 160", "xx....xx");
        check("0 1 4294967280 160,20 1 144 160", "xxxx");
        check("0 1 0 160,20 1 160 160,21 1 0 160,22 1 160 160", "xxxx");
        check("0 1 0 160,20 1 80 160,40 1 240 160", "xxxx"); // overlapping, half a frame waits
        check("0 1 0 240,30 1 240 240", "xxxxxx"); // 30 ms
        check("0 1 0 80,10 1 80 80,20 1 160 80", "xx");
        check("0 1 0 160,60 2 99999 160", "xx....xx"); // a new stream: by the clock
        check("0 1 0 160,60 1 3999999 160", "xx....xx");
    }

    #[test]
    fn endless_gaps_are_cut() {
        let (mut hearing, mut frames) = (Hearing::default(), Vec::new());
        for (ms, ssrc) in [(0, 1), (10_000_000, 2)] {
            let packet = Packet { marker: false, payload_type: 0, sequence: 0, timestamp: 0, ssrc, payload: &[0; 160] };
            hearing.packet(&packet, Codec::Pcmu, Instant(ms * 1_000_000), &mut frames);
        }
        assert_eq!(frames.len(), MAX_GAP as usize + 160);
    }
}
