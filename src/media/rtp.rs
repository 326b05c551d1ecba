//! RTP headers, read and written in place (RFC 3550 §5.1), the sending line of a leg, and what it has received.
//!
//! Left out: header extensions' meaning.

use super::rtcp::Block;
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
    stream: Option<Stream>,
    /// Of the streams before this one.
    lost_before: u64,
    transit: i32,
    /// In 1/16 units, as in A.8.
    jitter: u32,
}

/// One source's packets; numbers with their cycles.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Stream {
    ssrc: u32,
    first: u32,
    highest: u32,
    received: u32,
    /// Expected and received when it was last reported.
    reported: (u32, u32),
}

impl Stream {
    fn expected(&self) -> u32 {
        self.highest.wrapping_sub(self.first).wrapping_add(1)
    }

    fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received).into()
    }
}

impl Reception {
    /// `paced`: it says by its timestamp when it was said, which comfort noise and keys do not.
    pub fn packet(&mut self, packet: &Packet<'_>, now: Instant, paced: bool) {
        let sequence = u32::from(packet.sequence);
        let transit = transit(packet, now);
        // After a pause, which the marker ends, the sender's clock may have stood still.
        let d = if paced && !packet.marker { transit.wrapping_sub(self.transit).unsigned_abs() } else { 0 };
        self.transit = if paced { transit } else { self.transit };
        let step = |s: &Stream| packet.sequence.wrapping_sub(s.highest as u16) as i16;
        // Else a new stream, or a restarted one (MAX_DROPOUT and MAX_MISORDER of A.1 in one): counts from here.
        let goes_on = |s: &&mut Stream| s.ssrc == packet.ssrc && step(s).unsigned_abs() <= 3000;
        let Some(stream) = self.stream.as_mut().filter(goes_on) else {
            self.lost_before = self.lost();
            let (ssrc, reported) = (packet.ssrc, (0, 0));
            self.stream = Some(Stream { ssrc, first: sequence, highest: sequence, received: 1, reported });
            return;
        };
        stream.received = stream.received.wrapping_add(1);
        if step(stream) > 0 {
            stream.highest = stream.highest.wrapping_add(step(stream).unsigned_abs().into());
        }
        if paced && !packet.marker {
            self.jitter = self.jitter.saturating_add(d.min(1 << 20)) - ((self.jitter + 8) >> 4);
        }
    }

    /// Packets that did not come; late ones came.
    pub fn lost(&self) -> u64 {
        self.lost_before + self.stream.as_ref().map_or(0, Stream::lost)
    }

    /// In timestamp units.
    pub fn jitter(&self) -> u32 {
        self.jitter >> 4
    }

    /// What the peer is told of its source (§6.4.1, A.3), without its own report's time; the loss since the last time.
    pub fn report(&mut self) -> Option<Block> {
        let jitter = self.jitter();
        let stream = self.stream.as_mut()?;
        let now = (stream.expected(), stream.received);
        let expected = now.0.wrapping_sub(stream.reported.0);
        let lost = i64::from(expected) - i64::from(now.1.wrapping_sub(stream.reported.1));
        stream.reported = now;
        let fraction = if lost > 0 { (lost * 256 / i64::from(expected)).min(255) as u8 } else { 0 };
        let lost = (i64::from(now.0) - i64::from(now.1)).clamp(-(1 << 23), (1 << 23) - 1) as i32;
        let (ssrc, highest) = (stream.ssrc, stream.highest);
        Some(Block { ssrc, fraction, lost, highest, jitter, last_report: 0, delay: 0 })
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
                reception.packet(&p, Instant(ms * 1_000_000), true);
            }
            assert_eq!((reception.lost(), reception.jitter()), (lost, jitter), "{:?}", &packets[..3]);
        }
    }

    #[test]
    fn what_is_reported_of_the_peer() {
        let mut reception = Reception::default();
        assert_eq!(reception.report(), None);
        let take = |reception: &mut Reception, ssrc, numbers: &mut dyn Iterator<Item = u32>| {
            for n in numbers {
                let (sequence, timestamp) = (n as u16, n.wrapping_mul(160));
                let p = Packet { marker: false, payload_type: 0, sequence, timestamp, ssrc, payload: b"x" };
                reception.packet(&p, Instant(u64::from(n) * 20_000_000), true);
            }
            let b = reception.report().unwrap();
            (b.ssrc, b.fraction, b.lost, b.highest)
        };
        assert_eq!(take(&mut reception, 5, &mut (65_000..65_100)), (5, 0, 0, 65_099));
        assert_eq!(take(&mut reception, 5, &mut (65_100..65_200).step_by(2)), (5, 126, 49, 65_198));
        assert_eq!(take(&mut reception, 5, &mut (65_199..66_000)), (5, 0, 49, 65_999)); // with its cycle
        assert_eq!(take(&mut reception, 5, &mut std::iter::empty()), (5, 0, 49, 65_999));
        assert_eq!(take(&mut reception, 5, &mut [65_990; 60].into_iter()), (5, 0, -11, 65_999)); // duplicates
        assert_eq!(take(&mut reception, 6, &mut (0..1)), (6, 0, 0, 0)); // another source
        assert_eq!(reception.lost(), 0);
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
