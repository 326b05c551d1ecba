//! RTP headers, read and written in place (RFC 3550 §5.1), the sending line of a leg, and what it has received.
//!
//! Left out: header extensions' meaning.

use crate::ids::Rng;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Bytes of the header that we write: no CSRC, no extension.
pub const HEADER: usize = 12;
/// Bytes of a datagram at most that is taken: an Ethernet frame's worth.
pub const MAX_PACKET: usize = 1500;
/// Timestamp units in a second.
pub const CLOCK: u64 = 8000;

/// One RTP packet, its payload lent from the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    pub marker: bool,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    /// Without CSRC list, extension and padding; not empty.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a datagram; `None` if it is not RTP version 2 with a payload.
    pub fn read(bytes: &'a [u8]) -> Option<Packet<'a>> {
        let (length, sequence, ssrc) = source(bytes)?;
        let (head, mut rest) = bytes.split_at(length);
        if head[0] & 0x20 != 0 {
            // The last byte counts the padding, itself included.
            let padding = usize::from(*rest.last()?);
            rest = rest.get(..rest.len().checked_sub(padding).filter(|_| padding > 0)?)?;
        }
        (!rest.is_empty()).then(|| Packet {
            marker: head[1] & 0x80 != 0,
            payload_type: head[1] & 0x7f,
            sequence,
            timestamp: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
            ssrc,
            payload: rest,
        })
    }

    /// Appends header and payload to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (seq, ts, ssrc) = (self.sequence.to_be_bytes(), self.timestamp.to_be_bytes(), self.ssrc.to_be_bytes());
        out.extend_from_slice(&[0x80, u8::from(self.marker) << 7 | self.payload_type, seq[0], seq[1]]);
        out.extend_from_slice(&[ts[0], ts[1], ts[2], ts[3], ssrc[0], ssrc[1], ssrc[2], ssrc[3]]);
        out.extend_from_slice(self.payload);
    }
}

/// What an RTP header says in the clear, also of an encrypted packet: its length with CSRC list and extension, sequence
/// number and source. `None` if it is not of RTP version 2.
pub fn source(bytes: &[u8]) -> Option<(usize, u16, u32)> {
    let (head, mut rest) = bytes.split_first_chunk::<HEADER>()?;
    if head[0] >> 6 != 2 || bytes.len() > MAX_PACKET || is_control(bytes) {
        return None;
    }
    rest = rest.get(usize::from(head[0] & 0xf) * 4..)?;
    if head[0] & 0x10 != 0 {
        let (extension, after) = rest.split_first_chunk::<4>()?;
        rest = after.get(usize::from(u16::from_be_bytes([extension[2], extension[3]])) * 4..)?;
    }
    let ssrc = u32::from_be_bytes([head[8], head[9], head[10], head[11]]);
    Some((bytes.len() - rest.len(), u16::from_be_bytes([head[2], head[3]]), ssrc))
}

/// Whether a datagram on a port for both is RTCP, not RTP (RFC 5761 §4): no payload type is 64–95 with the marker bit.
pub fn is_control(bytes: &[u8]) -> bool {
    bytes.get(1).is_some_and(|kind| (192..=223).contains(kind))
}

/// Real time as timestamp units; wraps with the timestamps.
fn units(time: Duration) -> u32 {
    (time.as_micros() as u64 * CLOCK / 1_000_000) as u32
}

/// A leg's one SSRC, sequence and timestamp line, from answer to hang-up, whatever is sent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SendLine {
    pub ssrc: u32,
    /// The next packet's.
    pub sequence: u16,
    /// Where the next packet's timestamp is if it follows without a gap.
    pub timestamp: u32,
    started: Instant,
    first: u32,
}

impl SendLine {
    /// RFC 3550 §5.1: random SSRC, first sequence number and first timestamp. RFC 3711 §3.3.1: the number's upper half
    /// is left out, so that losing the first packets does not hide that it has come round.
    pub fn new(now: Instant, rng: &mut Rng) -> SendLine {
        let first = rng.next_u32();
        let (ssrc, sequence) = (rng.next_u32(), rng.next_u32() as u16 & 0x7fff);
        SendLine { ssrc, sequence, timestamp: first, started: now, first }
    }

    /// The timestamp of something new that starts now: real time, but never before what has been sent.
    pub fn timestamp_at(&self, now: Instant) -> u32 {
        let real = self.first.wrapping_add(units(now.since(self.started)));
        if is_after(self.timestamp, real) { self.timestamp } else { real }
    }

    /// Counts a packet that covers `samples` from `timestamp`; returns its sequence number.
    pub fn take(&mut self, timestamp: u32, samples: u32) -> u16 {
        let sequence = self.sequence;
        self.sent(sequence, timestamp.wrapping_add(samples));
        sequence
    }

    /// Notes that a packet with this number went out and ended there.
    pub fn sent(&mut self, sequence: u16, end: u32) {
        if (sequence.wrapping_sub(self.sequence) as i16) >= 0 {
            self.sequence = sequence.wrapping_add(1);
        }
        if is_after(end, self.timestamp) {
            self.timestamp = end;
        }
    }
}

/// Whether timestamp `a` is after `b`, modulo 2³².
pub fn is_after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

/// What was received of one leg, for loss and jitter (RFC 3550 A.1, A.3, A.8).
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Reception {
    ssrc: u32,
    highest: u16,
    started: bool,
    expected: u64,
    received: u64,
    transit: i32,
    /// In 1/16 units, as in A.8.
    jitter: u32,
}

impl Reception {
    pub fn packet(&mut self, packet: &Packet<'_>, now: Instant) {
        let step = packet.sequence.wrapping_sub(self.highest) as i16;
        self.received += 1;
        // A new stream, or a restarted one (MAX_DROPOUT and MAX_MISORDER of A.1 in one): counts from here.
        if !self.started || packet.ssrc != self.ssrc || step.unsigned_abs() > 3000 {
            self.expected += 1;
            (self.started, self.ssrc, self.highest) = (true, packet.ssrc, packet.sequence);
            self.transit = transit(packet, now);
            return;
        }
        if step > 0 {
            self.expected += u64::from(step.unsigned_abs());
            self.highest = packet.sequence;
        }
        let transit = transit(packet, now);
        let d = transit.wrapping_sub(self.transit).unsigned_abs();
        self.transit = transit;
        self.jitter = self.jitter.saturating_add(d.min(1 << 20)) - ((self.jitter + 8) >> 4);
    }

    pub fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.received)
    }

    /// In timestamp units.
    pub fn jitter(&self) -> u32 {
        self.jitter >> 4
    }
}

fn transit(packet: &Packet<'_>, now: Instant) -> i32 {
    units(now.since(Instant::ZERO)).wrapping_sub(packet.timestamp) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(first: u8, second: u8) -> Vec<u8> {
        vec![first, second, 0x12, 0x34, 0, 0, 0, 160, 1, 2, 3, 4]
    }

    #[test]
    fn packets_are_read() {
        // First byte, second byte, what follows the header, the payload expected.
        type Row = (u8, u8, &'static [u8], Option<&'static [u8]>);
        let rows: [Row; 18] = [
            (0x80, 0, b"abc", Some(b"abc")),
            (0x80, 0x88, b"abc", Some(b"abc")),
            (0x00, 0, b"abc", None),
            (0x40, 0, b"abc", None),
            (0xc0, 0, b"abc", None),
            (0x80, 0, b"", None),
            (0x82, 0, b"csrccsrcabc", Some(b"abc")),
            (0x82, 0, b"csrccsrc", None),
            (0x8f, 0, b"csrccsrcabc", None),
            (0x90, 0, b"\xbe\xde\x00\x01xxxxabc", Some(b"abc")),
            (0x90, 0, b"\xbe\xde\x00\x00abc", Some(b"abc")),
            (0x90, 0, b"\xbe\xde\x00\x02xxxxabc", None),
            (0x90, 0, b"\xbe\xde", None),
            (0xa0, 0, b"abc\x00\x02", Some(b"abc")),
            (0xa0, 0, b"abc\x00\x00", None),
            (0xa0, 0, b"abc\x00\x06", None),
            (0xa0, 0, b"ab\x03", None),
            (0x80, 200, b"abc", None), // RTCP
        ];
        for (first, second, rest, expect) in rows {
            let mut bytes = header(first, second);
            bytes.extend_from_slice(rest);
            let packet = Packet::read(&bytes);
            assert_eq!(packet.map(|p| p.payload), expect, "{first:#x} {rest:?}");
            if let Some(p) = packet {
                assert_eq!((p.sequence, p.timestamp, p.ssrc), (0x1234, 160, 0x0102_0304));
                assert_eq!((p.marker, p.payload_type), (second & 0x80 != 0, second & 0x7f));
            }
        }
        for length in 0..12 {
            assert_eq!(Packet::read(&header(0x80, 0)[..length]), None);
        }
        assert_eq!(Packet::read(&[0x80; MAX_PACKET + 1]), None);
    }

    #[test]
    fn what_is_written_is_read() {
        let packet =
            Packet { marker: true, payload_type: 101, sequence: 65535, timestamp: 7, ssrc: 9, payload: b"xyz" };
        let mut out = Vec::new();
        packet.write(&mut out);
        assert_eq!(Packet::read(&out), Some(packet));
    }

    #[test]
    fn control_is_told_from_audio() {
        for (kind, expect) in
            [(0, false), (0x80, false), (191, false), (192, true), (200, true), (223, true), (224, false)]
        {
            assert_eq!(is_control(&[0x80, kind]), expect, "{kind}");
        }
        assert!(!is_control(b"\x80"));
    }

    #[test]
    fn a_line_never_goes_back() {
        let mut line = SendLine::new(Instant(0), &mut Rng::from_number(1));
        let (first, sequence) = (line.timestamp, line.sequence);
        assert_eq!(line.timestamp_at(Instant(20_000_000)), first.wrapping_add(160));
        assert_eq!(line.take(first.wrapping_add(800), 160), sequence);
        assert_eq!(line.timestamp_at(Instant(20_000_000)), first.wrapping_add(960));
        line.sent(sequence.wrapping_sub(3), first); // a late one
        assert_eq!((line.sequence, line.timestamp), (sequence.wrapping_add(1), first.wrapping_add(960)));
        assert_eq!(line.timestamp_at(Instant(1_000_000_000)), first.wrapping_add(8000));
    }

    #[test]
    fn loss_and_jitter() {
        // Sequence, timestamp, arrival in ms; the numbers lost at the end.
        let regular = |n: u16| (n, u32::from(n) * 160, u64::from(n) * 20);
        type Arrival = (u16, u32, u64);
        let rows: [(Vec<Arrival>, u64, u32); 6] = [
            ((0..100).map(regular).collect(), 0, 0),
            ((0..100).filter(|n| n % 10 != 5).map(regular).collect(), 10, 0),
            ((0..100).map(|n| regular(n ^ 1)).collect(), 0, 0),
            ((65500..65535).chain(65535..=65535).chain(0..50).map(|n| (n, 0, 0)).collect(), 0, 0),
            ((0..400).map(|n| (n, u32::from(n) * 160, u64::from(n) * 20 + u64::from(n % 2) * 10)).collect(), 0, 79),
            (vec![(1, 0, 0), (40_000, 0, 0), (40_002, 0, 0)], 1, 0),
        ];
        for (packets, lost, jitter) in rows {
            let mut reception = Reception::default();
            for (sequence, timestamp, ms) in &packets {
                let (sequence, timestamp) = (*sequence, *timestamp);
                let p = Packet { marker: false, payload_type: 0, sequence, timestamp, ssrc: 5, payload: b"x" };
                reception.packet(&p, Instant(ms * 1_000_000));
            }
            assert_eq!((reception.lost(), reception.jitter()), (lost, jitter), "{:?}", &packets[..3]);
        }
    }

    #[test]
    fn a_million_mutations_do_not_panic() {
        let rest: [&[u8]; 4] = [b"abc", b"csrccsrcabc", b"\xbe\xde\x00\x01xxxxabc", b"abcabc\x00\x02"];
        let seeds = [0x80, 0x82, 0x90, 0xa0].map(|first| header(first, 0));
        let (mut rng, mut read, mut bytes) = (Rng::from_number(3550), 0, Vec::new());
        for n in 0..1_000_000 {
            bytes.clone_from(&seeds[n % 4]);
            bytes.extend_from_slice(rest[n % 4]);
            crate::media::mutation::mutate(&mut bytes, &mut rng);
            let packet = Packet::read(&bytes);
            assert!(packet.is_none_or(|p| p.payload.len() + HEADER <= bytes.len()));
            read += u32::from(packet.is_some());
        }
        assert!((100_000..900_000).contains(&read), "{read}");
    }
}
