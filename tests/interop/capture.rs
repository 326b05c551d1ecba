//! What was on the wire, as tcpdump saw it: SIP messages folded into legs, RTP packets into streams.
//!
//! SIPp cannot record, so what its callers hear is judged from here; and a capture tells packets' times, which
//! no recording does.

use super::audio::{self, Listener};
use super::harness::OWN;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

/// What the clockwork of a capture sends.
pub const TICK: &[u8] = b"tick";
/// Seconds between two ticks, of which there is one every 10 ms, that only a machine that stands still explains.
const STILL: f64 = 0.03;
/// Seconds that a stream's time line may differ from the clock's: a busy machine sends late.
const OFF: f64 = 0.8;
/// Audio may still be on its way so many seconds after the BYE.
const AFTER_BYE: f64 = 1.0;

/// Seconds that one listens before: G.722's decoder learns from what it has heard.
const LISTENED: f64 = 0.5;

/// One UDP datagram, or what one TCP segment carries: on loopback, each message that is sent is one. `at` in seconds.
pub struct Datagram {
    pub at: f64,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
}

pub struct Message {
    pub at: f64,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub text: String,
}

/// One INVITE's life as both sides saw it, found by its Call-ID.
#[derive(Debug, Default)]
pub struct Leg {
    pub call_id: String,
    /// User parts of From and of the request URI.
    pub from: String,
    pub to: String,
    /// SIP addresses of who called and who was called.
    pub sides: Option<(SocketAddr, SocketAddr)>,
    /// What the caller's and the called party's SDP say.
    pub offered: Option<SocketAddr>,
    pub answered_with: Option<SocketAddr>,
    /// When its first INVITE passed.
    pub began: f64,
    /// When the first 200 to the INVITE passed.
    pub answered: Option<f64>,
    pub ended: Option<f64>,
    pub ended_by: Option<SocketAddr>,
    /// Every final status of the INVITE, without repetitions.
    pub finals: Vec<u16>,
    pub cancelled: bool,
}

/// A packet of RTP.
#[derive(Clone)]
pub struct Rtp {
    pub at: f64,
    /// The port that it came from.
    pub from: u16,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub payload_type: u8,
    pub payload: Vec<u8>,
}

/// What SIPp and baresip speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Mu,
    A,
    G722,
}

impl Codec {
    /// Its payload type (RFC 3551 §6).
    pub fn number(self) -> u8 {
        match self {
            Codec::Mu => 0,
            Codec::A => 8,
            Codec::G722 => 9,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Codec::Mu => "PCMU",
            Codec::A => "PCMA",
            Codec::G722 => "G722",
        }
    }

    /// A byte for each sample.
    fn encode(self, samples: &[i16]) -> Vec<u8> {
        let each = |encode: fn(i16) -> u8| samples.iter().map(|sample| encode(*sample)).collect();
        match self {
            Codec::Mu => each(audio::encode),
            Codec::A => each(audio::encode_alaw),
            Codec::G722 => audio::encode_g722(samples),
        }
    }
}

/// What went from one address to another.
pub struct Stream(pub Vec<Rtp>);

pub struct Capture {
    pub messages: Vec<Message>,
    /// The test's own clockwork: when it falters, the machine stood still, not the program.
    pub ticks: Stream,
    /// The first of the server's ports for audio.
    pub first_port: u16,
    pub streams: BTreeMap<(SocketAddr, SocketAddr), Stream>,
    /// RTCP, as it was sent.
    pub reports: Vec<Datagram>,
}

impl Capture {
    pub fn read(path: &Path) -> Capture {
        let bytes = std::fs::read(path).expect("a capture");
        let (mut messages, mut streams, mut ticks, mut reports) = (Vec::new(), BTreeMap::new(), Vec::new(), Vec::new());
        let mut first_port = 0;
        for datagram in datagrams(&bytes) {
            let Datagram { at, from, to, bytes } = datagram;
            if let Some(waited) = bytes.strip_prefix(TICK) {
                let (from, sequence, timestamp, ssrc, payload_type) = (from.port(), 0, 0, 0, 0);
                first_port = to.port() + OWN;
                ticks.push(Rtp { at, from, sequence, timestamp, ssrc, payload_type, payload: waited.to_vec() });
            } else if let Some(packet) = rtp((at, from.port()), &bytes) {
                streams.entry((from, to)).or_insert_with(|| Stream(Vec::new())).0.push(packet);
            } else if bytes.len() >= 8 && bytes[0] >> 6 == 2 {
                reports.push(Datagram { at, from, to, bytes });
            } else if bytes.first().is_some_and(u8::is_ascii_uppercase) {
                messages.push(Message { at, from, to, text: String::from_utf8_lossy(&bytes).into_owned() });
            }
        }
        Capture { messages, ticks: Stream(ticks), first_port, streams, reports }
    }

    /// Every INVITE that was sent, in order.
    pub fn legs(&self) -> Vec<Leg> {
        let mut legs: Vec<Leg> = Vec::new();
        for message in &self.messages {
            let id = message.header("Call-ID");
            let known = legs.iter_mut().find(|leg| leg.call_id == id);
            match (known, message.method()) {
                (Some(leg), _) => leg.see(message),
                (None, Some("INVITE")) => {
                    let mut leg = Leg { call_id: id.to_owned(), began: message.at, ..Leg::default() };
                    leg.see(message);
                    legs.push(leg);
                }
                (None, _) => {}
            }
        }
        legs
    }

    /// For how many milliseconds between two times the machine let those threads wait that send from this port of the
    /// server's, its plane and the engine that tells it, or stood still altogether.
    pub fn starved(&self, port: u16, from: f64, to: f64) -> f64 {
        let ticks = &self.ticks.0;
        let before = ticks.iter().take_while(|tick| tick.at <= from).last();
        let after = ticks.iter().find(|tick| tick.at >= to).or(ticks.last());
        let Some((before, after)) = before.zip(after) else { return 0.0 };
        let still = self.ticks.between(before.at, after.at.next_up()).windows(2).map(|pair| pair[1].at - pair[0].at);
        let still: f64 = still.filter(|gap| *gap > STILL).sum();
        (self.waited(after, port).saturating_sub(self.waited(before, port)) as f64 / 1e6).max(still * 1000.0)
    }

    /// What a tick tells of the threads behind a port, in nanoseconds: the engine's wait comes first, then each plane's.
    fn waited(&self, tick: &Rtp, port: u16) -> u64 {
        let all: Vec<u64> = tick.payload.chunks_exact(8).map(|w| u64::from_be_bytes(w.try_into().unwrap())).collect();
        let Some((engine, planes)) = all.split_first() else { return 0 };
        // Pairs of ports are dealt out to the planes in turn.
        let pair = usize::from(port.saturating_sub(self.first_port) / 2);
        engine + planes.get(pair % planes.len().max(1)).unwrap_or(&0)
    }

    /// What went from one address to another in the time of one leg: a peer with few ports uses one again.
    pub fn stream_of(&self, leg: &Leg, from: SocketAddr, to: SocketAddr) -> Stream {
        let end = leg.ended.map_or(f64::INFINITY, |ended| ended + AFTER_BYE);
        Stream(self.stream(from, to).between(leg.began, end).to_vec())
    }

    pub fn stream(&self, from: SocketAddr, to: SocketAddr) -> &Stream {
        let known = || self.streams.keys().map(|(a, b)| format!("{a}→{b}")).collect::<Vec<_>>();
        self.streams.get(&(from, to)).unwrap_or_else(|| panic!("no audio went {from}→{to}, only {:?}", known()))
    }
}

impl Message {
    pub fn first_line(&self) -> &str {
        self.text.lines().next().unwrap_or("")
    }

    /// The method of a request; none for a response.
    pub fn method(&self) -> Option<&str> {
        self.first_line().split(' ').next().filter(|word| !word.starts_with("SIP/"))
    }

    pub fn status(&self) -> Option<u16> {
        self.first_line().strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// The first header of this name, or of its compact form `i` for Call-ID.
    pub fn header(&self, name: &str) -> &str {
        let named = |line: &&str| {
            let label = line.split(':').next().unwrap_or("").trim();
            label.eq_ignore_ascii_case(name) || (name == "Call-ID" && label == "i")
        };
        let line = self.text.lines().skip(1).take_while(|line| !line.is_empty()).find(named);
        line.and_then(|line| line.split_once(':')).map_or("", |(_, value)| value.trim())
    }

    /// Where its SDP wants audio.
    fn media(&self) -> Option<SocketAddr> {
        let line = |start: &str| self.text.lines().find_map(|line| line.strip_prefix(start));
        let address: IpAddr = line("c=IN IP4 ").or_else(|| line("c=IN IP6 "))?.trim().parse().ok()?;
        let port = line("m=audio ")?.split(' ').next()?.parse().ok()?;
        Some(SocketAddr::new(address, port))
    }
}

impl Leg {
    fn see(&mut self, message: &Message) {
        let (method, of_invite) = (message.method(), message.header("CSeq").ends_with("INVITE"));
        match (method, message.status()) {
            // Only the first, not what a proxy makes of it, nor what either side offers later.
            (Some("INVITE"), _) if self.sides.is_none() => {
                // Whoever opens a connection has another port there; his Via tells the one that he listens on.
                let over_tcp = message.header("Via").strip_prefix("SIP/2.0/TCP ");
                let listens = over_tcp.and_then(|via| via.split(';').next()?.trim().parse().ok());
                self.sides = Some((listens.unwrap_or(message.from), message.to));
                self.from = user(message.header("From"));
                self.to = user(message.first_line());
                self.offered = message.media();
            }
            (Some("CANCEL"), _) => self.cancelled = true,
            (Some("BYE"), _) if self.ended.is_none() => {
                self.ended = Some(message.at);
                self.ended_by = Some(message.from);
            }
            (None, Some(status @ 200..)) if of_invite => {
                if !self.finals.contains(&status) {
                    self.finals.push(status);
                }
                if status < 300 && self.answered.is_none() {
                    self.answered = Some(message.at);
                    self.answered_with = message.media();
                }
            }
            _ => {}
        }
    }

    /// Audio addresses of the one who called and of the one who was called.
    pub fn audio(&self) -> (SocketAddr, SocketAddr) {
        (self.offered.expect("an SDP offer"), self.answered_with.expect("an SDP answer"))
    }

    /// From the answer to the BYE, in seconds.
    pub fn talk(&self) -> (f64, f64) {
        (self.answered.expect("an answered call"), self.ended.expect("a call that ended"))
    }
}

/// `Ada <sip:ada@example.org>` → ada.
fn user(text: &str) -> String {
    let address = text.split("sip:").nth(1).unwrap_or("");
    address.split(['@', '>', ' ', ';']).next().unwrap_or("").to_owned()
}

impl Stream {
    /// What can be said of a good stream: one SSRC, no sequence number missing or repeated, and a time line that
    /// follows the clock.
    pub fn assert_one_line(&self, whose: &str) {
        let first = &self.0[0];
        for pair in self.0.windows(2) {
            let (a, b) = (&pair[0], &pair[1]);
            assert_eq!(b.ssrc, first.ssrc, "{whose}: another SSRC {:.3} s after the first packet", b.at - first.at);
            let step = b.sequence.wrapping_sub(a.sequence);
            assert_eq!(step, 1, "{whose}: sequence {} → {} at {:.3} s", a.sequence, b.sequence, b.at - first.at);
            let back = (b.timestamp.wrapping_sub(a.timestamp) as i32) < 0;
            assert!(!back, "{whose}: the timestamp goes back at {:.3} s", b.at - first.at);
        }
        let audio = self.0.iter().filter(|packet| packet.payload_type < 96);
        for packet in audio {
            let line = f64::from(packet.timestamp.wrapping_sub(first.timestamp)) / audio::RATE;
            let off = line - (packet.at - first.at);
            assert!(off.abs() < OFF, "{whose}: the time line is {off:.3} s off at {:.3} s", packet.at - first.at);
        }
    }

    /// Packets that passed between two times.
    pub fn between(&self, from: f64, to: f64) -> &[Rtp] {
        let start = self.0.partition_point(|packet| packet.at < from);
        let end = self.0.partition_point(|packet| packet.at < to);
        &self.0[start..end.max(start)]
    }

    /// The audio from `from` to `to`, in order of arrival.
    pub fn samples(&self, from: f64, to: f64) -> Vec<i16> {
        let before = samples(self.between(from - LISTENED, from)).len();
        samples(self.between(from - LISTENED, to)).split_off(before)
    }

    /// The audio from `from` to `to` where its timestamps say, with silence for what did not come.
    pub fn in_time(&self, from: f64, to: f64) -> Vec<i16> {
        let packets = self.between(from, to);
        let Some(first) = packets.first() else { return Vec::new() };
        let mut audio = vec![0; ((to - from) * audio::RATE) as usize];
        let place = |packet: &Rtp| packet.timestamp.wrapping_sub(first.timestamp) as usize;
        let mut packets: Vec<_> = packets.iter().map(|packet| (place(packet), packet)).collect();
        packets.sort_by_key(|(at, _)| *at);
        let mut listener = Listener::default();
        for (at, packet) in packets {
            let frame = listener.hear(packet.payload_type, &packet.payload);
            if let Some(place) = audio.get_mut(at..at.saturating_add(frame.len())) {
                place.copy_from_slice(&frame);
            }
        }
        audio
    }

    /// When its first and its last packet passed.
    pub fn time(&self) -> (f64, f64) {
        (self.0[0].at, self.0[self.0.len() - 1].at)
    }

    /// Of a hundred 20 ms frames that there are between two times, how many carried the tone.
    pub fn tone(&self, hz: f64, from: f64, to: f64) -> f64 {
        let most = ((to - from) * 50.0).floor().max(1.0);
        self.frames(hz, from, to).min(most) * 100.0 / most
    }

    /// How many 20 ms frames between two times carried the tone.
    pub fn frames(&self, hz: f64, from: f64, to: f64) -> f64 {
        let frames = samples(self.between(from, to));
        frames.chunks_exact(audio::FRAME).filter(|frame| audio::has_tone(frame, hz)).count() as f64
    }

    /// The longest gap that is not the speaker's own: who hears nothing while nothing is said has lost nothing. A gap
    /// counts from the first packet that was said in it. Milliseconds, and when it began in seconds after `from`.
    pub fn gap_made_after(&self, said: &Stream, from: f64, to: f64) -> (f64, f64) {
        let times = self.between(from, to).iter().map(|packet| packet.at);
        let times: Vec<f64> = [from].into_iter().chain(times).chain([to]).collect();
        let waited = |pair: &[f64]| {
            let first = said.between(pair[0].next_up(), pair[1]).first();
            (first.map_or(0.0, |packet| (pair[1] - packet.at) * 1000.0), pair[0] - from)
        };
        times.windows(2).map(waited).max_by(|a, b| a.0.total_cmp(&b.0)).expect("two times at least")
    }

    /// The longest time without a packet in milliseconds, and when it began in seconds after `from`.
    pub fn longest_gap(&self, from: f64, to: f64) -> (f64, f64) {
        let times = self.between(from, to).iter().map(|packet| packet.at);
        let times: Vec<f64> = [from].into_iter().chain(times).chain([to]).collect();
        let gaps = times.windows(2).map(|pair| ((pair[1] - pair[0]) * 1000.0, pair[0] - from));
        gaps.max_by(|a, b| a.0.total_cmp(&b.0)).expect("two times at least")
    }
}

fn samples(packets: &[Rtp]) -> Vec<i16> {
    let mut listener = Listener::default();
    packets.iter().flat_map(|packet| listener.hear(packet.payload_type, &packet.payload)).collect()
}

fn rtp((at, from): (f64, u16), bytes: &[u8]) -> Option<Rtp> {
    // RTCP shares the version bits; its types are 200 … 204 (RFC 3550 §12.1).
    if bytes.len() < 12 || bytes[0] >> 6 != 2 || (200..=204).contains(&bytes[1]) {
        return None;
    }
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let header = 12 + usize::from(bytes[0] & 15) * 4;
    Some(Rtp {
        at,
        from,
        sequence: u16::from_be_bytes([bytes[2], bytes[3]]),
        timestamp: word(4),
        ssrc: word(8),
        payload_type: bytes[1] & 127,
        payload: bytes.get(header..)?.to_vec(),
    })
}

/// A classic pcap file of Ethernet frames, which is what tcpdump writes for the loopback interface, or of "cooked" ones
/// for all interfaces.
fn datagrams(file: &[u8]) -> Vec<Datagram> {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("four bytes"));
    assert!(file.len() >= 24 && word(0) == 0xa1b2_c3d4, "not a capture");
    let header = match word(20) {
        1 => 14,
        113 => 16,
        kind => panic!("a capture of frames of kind {kind}"),
    };
    let (mut found, mut at) = (Vec::new(), 24);
    while at + 16 <= file.len() {
        let (seconds, micros, length) = (word(at), word(at + 4), word(at + 8) as usize);
        let Some(frame) = file.get(at + 16..at + 16 + length) else { break }; // still being written
        let time = f64::from(seconds) + f64::from(micros) / 1e6;
        found.extend(frame.get(header..).and_then(|ip| datagram(time, ip)));
        at += 16 + length;
    }
    found
}

fn datagram(at: f64, ip: &[u8]) -> Option<Datagram> {
    if ip.first()? >> 4 == 6 {
        return datagram_of_six(at, ip);
    }
    let whole = usize::from(u16::from_be_bytes([*ip.get(2)?, *ip.get(3)?]));
    let udp = ip.get(usize::from(ip.first()? & 15) * 4..whole.min(ip.len()))?;
    let header = match ip.get(9)? {
        17 => 8,
        6 => usize::from(udp.get(12)? >> 4) * 4,
        _ => return None,
    };
    let is_udp = ip[0] >> 4 == 4 && udp.len() >= header;
    let address = |at: usize, port: usize| {
        let ip = Ipv4Addr::new(ip[at], ip[at + 1], ip[at + 2], ip[at + 3]);
        SocketAddr::new(ip.into(), u16::from_be_bytes([udp[port], udp[port + 1]]))
    };
    is_udp.then(|| Datagram { at, from: address(12, 0), to: address(16, 2), bytes: udp[header..].to_vec() })
}

/// The same of IPv6, without further headers.
fn datagram_of_six(at: f64, ip: &[u8]) -> Option<Datagram> {
    let length = usize::from(u16::from_be_bytes([*ip.get(4)?, *ip.get(5)?]));
    let udp = ip.get(40..(40 + length).min(ip.len())).filter(|udp| ip[6] == 17 && udp.len() >= 8)?;
    let address = |at: usize, port: usize| {
        let ip: [u8; 16] = ip[at..at + 16].try_into().expect("sixteen bytes");
        SocketAddr::new(ip.into(), u16::from_be_bytes([udp[port], udp[port + 1]]))
    };
    Some(Datagram { at, from: address(8, 0), to: address(24, 2), bytes: udp[8..].to_vec() })
}

/// Of these frames of a pause one tells what it sounds like.
const NOISE_EVERY: usize = 10;

/// Writes what SIPp plays: frames of a tone every 20 ms, and keys as RFC 4733 events at some times (in seconds).
pub fn write_played(path: &Path, (samples, codec): (&[i16], Codec), keys: &[(f64, u8)], pause: (f64, f64)) {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(word.to_le_bytes());
    }
    for (number, frame) in codec.encode(samples).chunks_exact(audio::FRAME).enumerate() {
        let at = number as f64 * 0.02;
        let pauses = (pause.0..pause.1).contains(&(at + 0.001));
        if pauses && number % NOISE_EVERY != 0 {
            continue;
        }
        let key = keys.iter().find(|(start, _)| (*start..*start + 0.12).contains(&(at + 0.001)));
        let (kind, stamp, payload): (u8, usize, Vec<u8>) = match key {
            // RFC 3389: what the pause sounds like, at -60 dBov.
            None if pauses => (13, number, vec![60]),
            None => (codec.number(), number, frame.to_vec()),
            Some((start, code)) => {
                let begun = (start * 50.0).round() as usize;
                let duration = ((number - begun + 1) * audio::FRAME) as u16;
                // The last three of six packets say that the key was let go (RFC 4733 §2.5.1.4).
                let end = if number - begun >= 3 { 0x80 } else { 0 };
                (101, begun, [&[*code, end | 10][..], &duration.to_be_bytes()].concat())
            }
        };
        let mut packet = vec![0x80, kind];
        packet.extend((number as u16).to_be_bytes());
        packet.extend(((stamp * audio::FRAME) as u32).to_be_bytes());
        packet.extend([0x5e, 0x55, 0x10, 0x4e]);
        packet.extend(payload);
        file.extend(record(at, &packet));
    }
    std::fs::write(path, file).expect("a pcap in the test's folder");
}

fn record(at: f64, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() + 42) as u32;
    let mut out = Vec::new();
    for word in [at as u32, ((at.fract()) * 1e6) as u32, length, length] {
        out.extend(word.to_le_bytes());
    }
    out.extend([0; 12]);
    out.extend([8, 0, 0x45, 0]);
    out.extend((payload.len() as u16 + 28).to_be_bytes());
    out.extend([0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1, 0x27, 0x10, 0x27, 0x12]);
    out.extend((payload.len() as u16 + 8).to_be_bytes());
    out.extend([0, 0]);
    out.extend(payload);
    out
}

#[test]
fn what_is_written_is_read_back() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("played-and-read.pcap");
    write_played(&path, (&audio::tone(600.0, 1.0), Codec::Mu), &[(0.4, 7)], (0.0, 0.0));
    let capture = Capture::read(&path);
    let stream = capture.streams.values().next().expect("one stream");
    stream.assert_one_line("the file");
    assert_eq!(stream.0.iter().filter(|packet| packet.payload_type == 101).count(), 6);
    assert_eq!(stream.tone(600.0, 0.0, 1.0), 88.0);
    assert!(stream.tone(700.0, 0.0, 1.0) < 1.0 && stream.longest_gap(0.0, 1.0).0 < 21.0);
}

#[test]
fn a_bad_stream_is_noticed() {
    let packet = |number: usize| Rtp {
        at: number as f64 * 0.02,
        from: 0,
        sequence: number as u16,
        timestamp: number as u32 * 160,
        ssrc: 1,
        payload_type: 0,
        payload: vec![0xff; 160],
    };
    let verdict = |change: fn(&mut Vec<Rtp>)| {
        let mut packets: Vec<Rtp> = (0..100).map(packet).collect();
        change(&mut packets);
        std::panic::catch_unwind(|| Stream(packets).assert_one_line("a stream")).is_ok()
    };
    assert!(verdict(|_| ()));
    assert!(!verdict(|packets| packets[50].ssrc = 2), "another SSRC");
    assert!(!verdict(|packets| drop(packets.remove(50))), "a lost packet");
    assert!(!verdict(|packets| packets[51].sequence = 50), "a number twice");
    assert!(!verdict(|packets| packets[50].timestamp = 0), "a time that goes back");
    assert!(!verdict(|packets| packets[50..].iter_mut().for_each(|p| p.timestamp += 8000)), "a time that jumps ahead");
    let gap =
        Stream((0..100).filter(|number| *number != 50).map(|n| Rtp { payload: vec![0; 160], ..packet(n) }).collect());
    let silence = gap.in_time(0.0, 2.0).chunks_exact(audio::FRAME).position(|frame| frame.iter().all(|s| *s == 0));
    assert_eq!(silence, Some(50), "what did not come is silence in its place");
    let said = Stream((0..100).map(packet).collect());
    let heard = Stream((0..100).filter(|number| !(40..45).contains(number)).map(packet).collect());
    assert!(heard.gap_made_after(&said, 0.0, 2.0).0 > 60.0, "what was said is not heard");
    assert!(heard.gap_made_after(&heard, 0.0, 2.0).0 < 21.0, "nothing was said, so nothing was lost");
}

#[test]
fn only_the_threads_behind_a_port_excuse_its_gap() {
    let tick = |at: f64, waits: [u64; 3]| {
        let payload = waits.iter().flat_map(|ms| (ms * 1_000_000).to_be_bytes()).collect();
        Rtp { at, from: 0, sequence: 0, timestamp: 0, ssrc: 0, payload_type: 0, payload }
    };
    // In 20 ms the engine waited for 1 ms, the first plane for 2 and the second for 40.
    let ticks = Stream(vec![tick(0.0, [5, 7, 9]), tick(0.01, [5, 8, 20]), tick(0.02, [6, 9, 49])]);
    let (messages, streams, reports) = (Vec::new(), BTreeMap::new(), Vec::new());
    let capture = Capture { messages, ticks, first_port: 10_150, streams, reports };
    let starved = [10_150, 10_152, 10_154].map(|port| capture.starved(port, 0.005, 0.015));
    assert_eq!(starved, [3.0, 41.0, 3.0]);
}

#[test]
fn two_calls_over_the_same_ports_are_two_streams() {
    let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let (us, peer) = (address(40_000), address(10_000));
    let packet = |at, ssrc| Rtp { at, from: 0, sequence: 1, timestamp: 0, ssrc, payload_type: 0, payload: Vec::new() };
    let streams = [((us, peer), Stream(vec![packet(1.0, 7), packet(5.0, 8)]))].into();
    let (messages, ticks, reports) = (Vec::new(), Stream(Vec::new()), Vec::new());
    let capture = Capture { messages, ticks, first_port: 0, streams, reports };
    let leg = |began, ended| Leg { began, ended: Some(ended), ..Leg::default() };
    for (leg, ssrc) in [(leg(0.5, 2.0), 7), (leg(4.5, 6.0), 8)] {
        let stream = capture.stream_of(&leg, us, peer);
        stream.assert_one_line("a peer");
        assert_eq!(stream.0.iter().map(|packet| packet.ssrc).collect::<Vec<_>>(), [ssrc]);
    }
}
