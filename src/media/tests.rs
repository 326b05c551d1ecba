//! A plane with a clock of its own, and peers that are addresses.

use super::dtmf::Payload;
use super::rtp::Packet;
use super::*;
use std::fmt::Write;
use std::time::Duration;

mod codecs;
mod moving;
mod previous;
mod reports;
mod secrets;
mod sharing;
mod unheard;

const MS: u64 = 1_000_000;

/// A packet that the plane sent.
#[derive(Clone, Debug)]
struct Sent {
    ms: u64,
    port: u64,
    to: SocketAddr,
    marker: bool,
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    payload: Vec<u8>,
}

struct Rig {
    plane: Plane,
    now: Instant,
    sent: Vec<Sent>,
    events: Vec<String>,
    heard: Vec<i16>,
    /// RTCP: port, address, bytes.
    controls: Vec<(u64, SocketAddr, Vec<u8>)>,
    departed: Vec<Moving>,
    /// Which ports share or do not, as they were told.
    shared: Vec<(u64, bool)>,
    /// Of `controls`, those from the RTP socket.
    muxed: usize,
}

fn id(number: u64) -> PortId {
    PortId { plane: 0, number }
}

/// The address of the peer of port `n`; of a stranger for 100 and more.
fn peer(n: u64) -> SocketAddr {
    SocketAddr::from(([10, 0, 2, n as u8], 4000))
}

fn session(n: u64, codec: Codec) -> Session {
    Session {
        remote_control: SocketAddr::new(peer(n).ip(), 4001),
        receive: vec![(0, Codec::Pcmu), (8, Codec::Pcma), (9, Codec::G722)],
        send_events: Some(100 + (n % 20) as u8),
        receive_events: Some(101),
        ..Session::plain(peer(n), codec)
    }
}

/// The sounds 0: two frames of 0x11 and 0x22; 1: one frame of 0x33. (As bytes of µ-law.)
fn sounds() -> Arc<Sounds> {
    let mut sounds = Sounds::default();
    let frame = |byte: u8| vec![Law::Mu.decode(byte); FRAME];
    sounds.add_samples("two", &[frame(0x11), frame(0x22)].concat());
    sounds.add_samples("one", &frame(0x33));
    Arc::new(sounds)
}

impl Rig {
    fn new(settings: Settings) -> Rig {
        let plane = Plane::new(settings, sounds(), Rng::from_number(5));
        Rig {
            plane,
            now: Instant(1_000_000 * MS),
            sent: vec![],
            events: vec![],
            heard: vec![],
            controls: vec![],
            departed: vec![],
            shared: vec![],
            muxed: 0,
        }
    }

    /// With these ports open and connected to their peers, in µ-law.
    fn with(ports: std::ops::RangeInclusive<u64>) -> Rig {
        let mut rig = Rig::new(Settings::default());
        for n in ports {
            rig.command(Command::Open { port: id(n), six: false });
            rig.command(Command::Connect { port: id(n), session: session(n, Codec::Pcmu) });
        }
        rig.events.clear();
        rig
    }

    fn ms(&self) -> u64 {
        self.now.0 / MS - 1_000_000
    }

    fn command(&mut self, command: Command) {
        self.input(Input::Command(command));
    }

    fn input(&mut self, input: Input<'_>) {
        let ms = self.ms();
        self.plane.handle(self.now, input);
        let mut binds = Vec::new();
        while let Some(output) = self.plane.poll() {
            match output {
                Output::Bind { port, .. } => binds.push(port),
                Output::Share { port, on } => self.shared.push((port.number, on)),
                Output::Depart { moving, .. } => self.departed.push(*moving),
                Output::Unbind { port, .. } => self.events.push(format!("unbind {}", port.number)),
                Output::Packet { port, to, bytes } => {
                    if rtp::is_control(bytes) {
                        self.muxed += 1;
                        self.controls.push((port.number, to, bytes.to_vec()));
                        continue;
                    }
                    let p = Packet::read(bytes).expect("we send RTP");
                    assert_eq!(bytes.len(), 12 + p.payload.len());
                    self.sent.push(Sent {
                        ms,
                        port: port.number,
                        to,
                        marker: p.marker,
                        payload_type: p.payload_type,
                        sequence: p.sequence,
                        timestamp: p.timestamp,
                        ssrc: p.ssrc,
                        payload: p.payload.to_vec(),
                    });
                }
                Output::Control { port, to, bytes } => self.controls.push((port.number, to, bytes.to_vec())),
                Output::Event(event) => self.events.push(brief(&event)),
                Output::Heard { frame, .. } => {
                    assert_eq!(frame.len(), FRAME);
                    self.heard.extend(frame);
                }
            }
        }
        for port in binds {
            let local = SocketAddr::from(([127, 0, 0, 1], 4000 + port.number as u16));
            self.input(Input::Bound { port, local, previous: None });
        }
    }

    /// Lets time pass, firing each deadline at its time.
    fn run(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(at) = self.plane.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.input(Input::Timeout);
        }
        self.now = end;
    }

    /// A packet of 20 ms of these bytes to port `n`.
    fn from(&mut self, from: SocketAddr, n: u64, payload_type: u8, sequence: u16, byte: u8) {
        self.packet(from, n, payload_type, sequence, u32::from(sequence) * 160, &[byte; FRAME]);
    }

    fn packet(&mut self, from: SocketAddr, n: u64, payload_type: u8, sequence: u16, timestamp: u32, payload: &[u8]) {
        let mut bytes = Vec::new();
        Packet { marker: false, payload_type, sequence, timestamp, ssrc: 77, payload }.write(&mut bytes);
        self.input(Input::Packet { port: id(n), from, bytes: &bytes });
    }

    /// `count` packets, one each 20 ms, from the peer of port `n`.
    fn talk(&mut self, n: u64, first: u16, count: u16, byte: u8) {
        for sequence in first..first + count {
            self.from(peer(n), n, 0, sequence, byte);
            self.run(20);
        }
    }

    /// What was sent to a peer: first byte of each payload, `M` before it where there was a marker.
    fn bytes(&self, n: u64) -> String {
        let mut text = String::new();
        for s in self.sent.iter().filter(|s| s.port == n) {
            let _ = write!(text, "{}{:02x} ", if s.marker { "M" } else { "" }, s.payload[0]);
        }
        text.trim_end().to_string()
    }

    /// Checks that what port `n` sent is one line; returns the steps of the timestamp in units of 20 ms.
    fn steps(&self, n: u64) -> Vec<u32> {
        let sent: Vec<_> = self.sent.iter().filter(|s| s.port == n).collect();
        sent.windows(2)
            .map(|w| {
                assert_eq!(w[1].ssrc, w[0].ssrc, "one SSRC");
                assert_eq!(w[1].sequence, w[0].sequence.wrapping_add(1), "one sequence");
                let (step, passed) = (w[1].timestamp.wrapping_sub(w[0].timestamp), (w[1].ms - w[0].ms) * 8);
                assert!(u64::from(step).abs_diff(passed) <= 200, "timestamps follow time: {step} in {passed}: {w:?}");
                assert!(w[1].marker || step % 160 == 0, "without a marker steps are whole frames: {w:?}");
                step / 160
            })
            .collect()
    }

    fn dropped(&self, why: Drop) -> u64 {
        self.plane.stats().dropped[why as usize]
    }
}

fn brief(event: &Event) -> String {
    let n = event.port().number;
    match event {
        Event::Opened { local, .. } => format!("opened {n} {}", local.port()),
        Event::OpenFailed { why, .. } => format!("failed {n} {why}"),
        Event::Digit { digit, duration_ms, .. } => format!("digit {n} {digit} {duration_ms}"),
        Event::Finished { token, .. } => format!("finished {n} {token}"),
        Event::Silent { .. } => format!("silent {n}"),
        Event::Latched { remote, .. } => format!("latched {n} {}", remote.ip()),
        Event::Moved { .. } => format!("moved {n}"),
        Event::Closed { stats, .. } => format!("closed {n} {}/{}", stats.packets_in, stats.packets_out),
    }
}

fn once(port: u64, list: &[u32], token: u64) -> Command {
    let source = Source::Once(list.iter().map(|n| SoundId(*n)).collect());
    Command::Play { port: id(port), source, token }
}

fn music(port: u64) -> Command {
    Command::Play { port: id(port), source: Source::Loop(SoundId(0)), token: 0 }
}

fn join(a: u64, b: u64) -> Command {
    Command::Join { a: id(a), b: id(b) }
}

#[test]
fn ports_open_and_close() {
    let mut rig = Rig::new(Settings { max_ports: 2, ..Settings::default() });
    for n in [1, 1, 2, 3] {
        rig.command(Command::Open { port: id(n), six: false });
    }
    assert_eq!(rig.events, ["opened 1 4001", "opened 2 4002", "failed 3 all 2 ports of the plane are in use"]);
    assert_eq!(rig.plane.stats().ports, 2);
    assert!(rig.plane.pending().unwrap().contains("2 ports"));
    rig.events.clear();
    rig.input(Input::BindFailed { port: id(2), why: "no".into() });
    rig.command(Command::Close { port: id(1) });
    rig.command(Command::Close { port: id(1) });
    rig.command(once(1, &[0], 1));
    assert_eq!(rig.events, ["failed 2 no", "unbind 1", "closed 1 0/0"]);
    assert_eq!((rig.plane.stats().ports, rig.plane.stats().strays), (0, 3));
    assert_eq!((rig.plane.pending(), rig.plane.deadline(), rig.plane.port_stats(id(1))), (None, None, None));
    rig.command(Command::Open { port: id(4), six: false });
    assert_eq!(rig.plane.ports.len(), 2, "places are used again");
}

#[test]
fn a_prompt_is_continuous_and_ends() {
    let mut rig = Rig::with(1..=1);
    rig.command(once(1, &[0, 1, 0], 7));
    rig.run(200);
    assert_eq!(rig.bytes(1), "M11 22 33 11 22");
    assert_eq!(rig.steps(1), [1, 1, 1, 1]);
    assert!(rig.sent.iter().all(|s| s.to == peer(1) && s.payload.len() == 160 && s.payload_type == 0));
    assert!(rig.sent.windows(2).all(|w| w[1].ms - w[0].ms == 20));
    assert_eq!(rig.events, ["finished 1 7"]);
    assert_eq!(rig.plane.ticks.deadline(), None, "nothing is left to play");
}

#[test]
fn playing_waits_for_the_peer() {
    let mut rig = Rig::new(Settings::default());
    rig.command(Command::Open { port: id(1), six: false });
    rig.command(once(1, &[1], 7));
    rig.run(1000);
    assert_eq!((rig.bytes(1).as_str(), rig.plane.deadline()), ("", None));
    rig.command(Command::Connect { port: id(1), session: session(1, Codec::Pcma) });
    rig.run(100);
    let mut alaw = [0x33];
    Law::Mu.convert(Law::A, &mut alaw);
    assert_eq!((rig.sent[0].payload[0], rig.sent[0].payload_type), (alaw[0], 8));
    assert_eq!(rig.events, ["opened 1 4001", "finished 1 7"]);
}

#[test]
fn another_source_keeps_the_line() {
    let mut rig = Rig::with(1..=2);
    rig.command(once(1, &[0, 1], 1));
    rig.run(40);
    rig.command(music(1)); // in the middle of the prompt
    rig.run(60);
    rig.command(Command::Stop { port: id(1) });
    rig.run(105);
    rig.command(music(1));
    rig.run(40);
    rig.command(join(1, 2));
    rig.talk(2, 5000, 3, 0x44);
    rig.command(Command::Leave { port: id(2) });
    rig.talk(2, 5003, 3, 0x44);
    rig.command(once(1, &[1], 2));
    rig.run(100);
    assert_eq!(rig.bytes(1), "M11 22 33 11 22 11 M11 22 M44 44 44 M33");
    let steps = rig.steps(1);
    assert_eq!((steps[..5].to_vec(), steps[6], steps[8..10].to_vec()), (vec![1; 5], 1, vec![1, 1]));
    assert_eq!(rig.events, ["finished 1 2"], "what was replaced, stopped or joined away does not finish");
}

#[test]
fn joined_ports_hear_each_other() {
    let mut rig = Rig::with(1..=3);
    rig.command(Command::Connect { port: id(2), session: session(2, Codec::Pcma) });
    rig.command(join(1, 2));
    for n in 0..5 {
        rig.from(peer(1), 1, 0, 100 + n, 0x44);
        rig.from(peer(2), 2, 8, 200 + n, 0x55);
        rig.run(20);
    }
    let convert = |from: Law, to, byte| {
        let mut bytes = [byte];
        from.convert(to, &mut bytes);
        format!("M{0:02x} {0:02x} {0:02x} {0:02x} {0:02x}", bytes[0])
    };
    assert_eq!(rig.bytes(2), convert(Law::Mu, Law::A, 0x44));
    assert_eq!(rig.bytes(1), convert(Law::A, Law::Mu, 0x55));
    assert!(rig.sent.iter().all(|s| s.to == peer(s.port) && s.payload_type == if s.port == 1 { 0 } else { 8 }));
    assert_eq!((rig.plane.stats().bridges, rig.plane.stats().forwarded), (1, 10));
    // A port is in one bridge at most.
    rig.sent.clear();
    rig.command(join(1, 3));
    rig.from(peer(1), 1, 0, 105, 0x44);
    rig.from(peer(2), 2, 8, 205, 0x55);
    assert_eq!((rig.bytes(1), rig.bytes(2), rig.bytes(3)), (String::new(), String::new(), "M44".into()));
    rig.command(Command::Close { port: id(3) });
    rig.from(peer(1), 1, 0, 106, 0x44);
    assert_eq!((rig.plane.stats().bridges, rig.sent.len()), (0, 1));
}

#[test]
fn a_whisper_comes_before_the_bridge() {
    let mut rig = Rig::with(1..=2);
    rig.command(join(1, 2));
    rig.talk(2, 10, 2, 0x44);
    rig.command(once(1, &[0], 3));
    rig.talk(2, 12, 5, 0x44);
    assert_eq!(rig.bytes(1), "M44 44 M11 22 M44 44 44");
    rig.steps(1);
    assert_eq!(rig.dropped(Drop::Superseded), 2);
}

#[test]
fn directions_are_kept() {
    let mut rig = Rig::with(1..=2);
    rig.command(join(1, 2));
    let mut held = session(2, Codec::Pcmu);
    held.direction = Direction::Inactive;
    rig.command(Command::Connect { port: id(2), session: held.clone() });
    rig.talk(1, 10, 2, 0x44); // must not be sent to 2
    rig.talk(2, 10, 2, 0x44); // must not be taken from 2
    assert_eq!((rig.sent.len(), rig.dropped(Drop::Direction)), (0, 4));
    held.direction = Direction::SendOnly;
    rig.command(Command::Connect { port: id(2), session: held });
    rig.talk(1, 12, 2, 0x44);
    rig.talk(2, 12, 2, 0x44);
    assert_eq!((rig.bytes(1), rig.bytes(2)), (String::new(), "M44 44".into()));
    // A prompt toward a held peer goes on unheard.
    let mut held = session(1, Codec::Pcmu);
    held.direction = Direction::RecvOnly;
    rig.command(Command::Connect { port: id(1), session: held });
    rig.command(once(1, &[0], 4));
    rig.run(100);
    assert_eq!((rig.bytes(1).as_str(), rig.events.last().unwrap().as_str()), ("", "finished 1 4"));
}

#[test]
fn packets_are_dropped_for_a_reason() {
    let mut rig = Rig::with(1..=1);
    rig.command(Command::Open { port: id(2), six: false });
    rig.input(Input::Packet { port: id(1), from: peer(1), bytes: b"hello" });
    rig.from(peer(1), 1, 18, 1, 0x44);
    rig.from(peer(2), 2, 0, 1, 0x44);
    rig.from(peer(9), 9, 0, 1, 0x44);
    rig.from(peer(1), 1, 0, 1, 0x44);
    rig.from(peer(150), 1, 0, 2, 0x44);
    let got: Vec<_> = Drop::ALL.iter().map(|why| format!("{}={}", why.label(), rig.dropped(*why))).collect();
    assert_eq!(
        got.join(" "),
        "malformed=1 foreign=1 payload=1 direction=0 unconnected=2 superseded=0 looped=0 forged=0 replayed=0"
    );
    let stats = rig.plane.port_stats(id(1)).unwrap();
    assert_eq!((stats.packets_in, stats.dropped), (1, 3));
}

#[test]
fn legs_follow_their_peer_but_not_a_third() {
    let mut rig = Rig::with(1..=2);
    rig.command(join(1, 2));
    rig.talk(2, 10, 1, 0x44);
    for sequence in 0..4 {
        rig.from(peer(100), 1, 0, sequence, 0x55); // behind NAT
    }
    rig.talk(2, 11, 1, 0x44);
    for sequence in 0..6 {
        rig.from(peer(150), 1, 0, 50 + sequence, 0x66); // a third
    }
    rig.talk(2, 12, 1, 0x44);
    let to: Vec<_> = rig.sent.iter().filter(|s| s.port == 1).map(|s| s.to).collect();
    assert_eq!(to, [peer(1), peer(100), peer(100)]);
    assert_eq!(rig.bytes(2), "M55 55", "neither the probation nor the third is heard");
    assert_eq!((rig.events.join(" ").as_str(), rig.dropped(Drop::Foreign)), ("latched 1 10.0.2.100", 8));
}

#[test]
fn peers_behind_one_address_are_told_apart_by_our_port() {
    let mut rig = Rig::with(1..=4);
    for n in 1..=4 {
        rig.command(Command::Connect { port: id(n), session: session(200, Codec::Pcmu) });
    }
    rig.command(join(1, 2));
    rig.command(join(3, 4));
    for sequence in 0..3 {
        rig.from(peer(200), 1, 0, sequence, 0x11);
        rig.from(peer(200), 3, 0, sequence, 0x33);
        rig.run(20);
    }
    assert_eq!((rig.bytes(2).as_str(), rig.bytes(4).as_str()), ("M11 11 11", "M33 33 33"));
    assert_eq!(rig.sent.len(), 6);
}

/// Gives back to port `n`, from its peer, what was sent to it from the `from`-th packet on.
fn echo(rig: &mut Rig, n: u64, from: usize) {
    let sent: Vec<_> = rig.sent[from..].iter().filter(|s| s.port == n).cloned().collect();
    for Sent { payload_type, sequence, timestamp, ssrc, payload, .. } in sent {
        let (mut bytes, payload) = (Vec::new(), &payload[..]);
        Packet { marker: false, payload_type, sequence, timestamp, ssrc, payload }.write(&mut bytes);
        rig.input(Input::Packet { port: id(n), from: peer(n), bytes: &bytes });
    }
}

#[test]
fn an_echo_is_heard_and_two_do_not_go_round() {
    let mut rig = Rig::with(1..=2);
    rig.command(join(1, 2));
    rig.talk(1, 0, 3, 0x44);
    echo(&mut rig, 2, 0);
    assert_eq!(rig.bytes(1), "M44 44 44");
    let from = rig.sent.len();
    echo(&mut rig, 1, 0);
    assert_eq!((rig.sent.len() - from, rig.dropped(Drop::Looped)), (0, 3));
    // Its own voice is heard again at once.
    rig.talk(1, 3, 1, 0x55);
    assert_eq!(rig.bytes(2), "M44 44 44 55");
}

#[test]
fn digits_are_reported_and_forwarded_once() {
    let mut rig = Rig::with(1..=2);
    rig.command(join(1, 2));
    rig.talk(1, 0, 2, 0x44);
    let key = |duration: u16, end| Payload { event: 5, end, duration }.bytes();
    for (sequence, payload) in [(2, key(160, false)), (3, key(320, false)), (4, key(480, true)), (5, key(480, true))] {
        rig.packet(peer(1), 1, 101, sequence, 320, &payload);
    }
    rig.packet(peer(1), 1, 101, 6, 9999, b"xy"); // too short
    rig.packet(peer(1), 1, 101, 7, 8000, &key(160, false)); // its end is lost
    rig.run(500);
    assert_eq!(rig.events, ["digit 1 5 60", "digit 1 5 20"]);
    let keys: Vec<_> = rig.sent.iter().filter(|s| s.port == 2 && s.payload_type == 102).collect();
    assert_eq!(keys.len(), 5);
    assert!(keys[..4].iter().all(|k| k.timestamp == keys[0].timestamp) && keys[4].timestamp != keys[0].timestamp);
    assert_eq!(keys[3].payload, key(480, true));
    assert_eq!(rig.plane.port_stats(id(1)).unwrap().digits, 2);
}

#[test]
fn keys_interrupt_what_is_heard_and_keep_the_line() {
    let mut rig = Rig::with(1..=1);
    rig.command(music(1));
    rig.run(40);
    rig.command(Command::SendDigits { port: id(1), digits: "1#".into() });
    rig.run(500);
    let text = rig.bytes(1);
    assert_eq!(text, "M11 22 11 M01 01 01 01 01 01 01 M22 11 22 M0b 0b 0b 0b 0b 0b 0b M11 22 11 22 11 22 11 22");
    let keys: Vec<_> = rig.sent.iter().filter(|s| s.payload_type == 101).collect();
    assert_eq!(keys.iter().filter(|k| k.timestamp == keys[0].timestamp).count(), 7);
    assert!(rig.sent.windows(2).all(|w| w[1].sequence == w[0].sequence.wrapping_add(1) && w[1].ms - w[0].ms == 20));
    assert!(rig.sent.windows(2).all(|w| !rtp::is_after(w[0].timestamp, w[1].timestamp)));
    // A peer without telephone-event.
    let mut plain = session(1, Codec::Pcmu);
    plain.send_events = None;
    rig.command(Command::Connect { port: id(1), session: plain });
    rig.command(Command::SendDigits { port: id(1), digits: "1".into() });
    assert_eq!(rig.plane.stats().strays, 1);
}

#[test]
fn two_planes_hear_each_others_keys() {
    let (mut a, mut b) = (Rig::with(1..=1), Rig::with(1..=1));
    a.command(Command::SendDigits { port: id(1), digits: "0123456789*#ABCD".into() });
    a.run(5000);
    for s in &a.sent {
        b.run(s.ms - b.ms());
        b.packet(peer(1), 1, s.payload_type, s.sequence, s.timestamp, &s.payload);
    }
    let keys: String = b.events.iter().map(|e| e.split(' ').nth(2).unwrap()).collect();
    assert_eq!(keys, "0123456789*#ABCD");
}

#[test]
fn silence_is_reported_while_the_peer_should_be_sending() {
    let mut rig = Rig::with(1..=1);
    rig.run(29_000);
    rig.from(peer(1), 1, 0, 1, 0x44);
    rig.run(29_000);
    assert!(rig.events.is_empty());
    rig.input(Input::Control {
        port: id(1),
        from: SocketAddr::new(peer(1).ip(), 4001),
        bytes: b"\x80\xc9\x00\x01ssrc",
    });
    rig.run(29_900);
    rig.input(Input::Control { port: id(1), from: peer(150), bytes: b"\x80\xc9\x00\x01ssrc" }); // a stranger's
    rig.from(peer(1), 1, 13, 2, 0x44); // comfort noise is life
    rig.run(29_900);
    assert!(rig.events.is_empty());
    rig.run(100);
    assert_eq!(rig.events, ["silent 1"]);
    rig.run(100_000);
    rig.from(peer(1), 1, 0, 3, 0x44);
    rig.run(30_000);
    assert_eq!(rig.events, ["silent 1", "silent 1"]);
    for direction in [Direction::SendOnly, Direction::RecvOnly, Direction::Inactive] {
        rig.command(Command::Connect { port: id(1), session: Session { direction, ..session(1, Codec::Pcmu) } });
        rig.run(100_000);
    }
    assert_eq!((rig.events.len(), rig.plane.timers.is_set(&Timer::Silence(0))), (2, false));
    rig.command(Command::Connect { port: id(1), session: session(1, Codec::Pcmu) });
    rig.run(30_000);
    assert_eq!(rig.events.len(), 3);
    assert_eq!(rig.plane.port_stats(id(1)).unwrap().controls_in, 1);
}

#[test]
fn a_listener_hears_media_time() {
    let mut rig = Rig::with(1..=1);
    rig.talk(1, 0, 2, 0x11);
    rig.command(Command::Listen { port: id(1), on: true });
    rig.talk(1, 2, 2, 0x11);
    rig.run(40);
    rig.talk(1, 6, 2, 0x22);
    rig.command(Command::Listen { port: id(1), on: false });
    rig.talk(1, 8, 2, 0x11);
    let frames: Vec<_> = rig.heard.chunks(FRAME).map(|f| Law::Mu.encode(f[80])).collect();
    assert_eq!(frames, [0x11, 0x11, 0xff, 0xff, 0x22, 0x22]);
}

#[test]
fn many_ports_leave_in_small_batches() {
    let mut rig = Rig::with(1..=200);
    for n in 1..=200 {
        rig.command(music(n));
    }
    rig.run(999);
    for n in [1, 57, 200] {
        assert_eq!(rig.steps(n).len(), 49, "50 packets in a second");
    }
    let mut at = BTreeMap::<u64, u32>::new();
    rig.sent.iter().for_each(|s| *at.entry(s.ms).or_default() += 1);
    assert!(at.len() == 250 && at.values().all(|n| *n == 40), "{at:?}");
}

#[test]
fn a_late_host_makes_no_burst_and_no_jump() {
    let mut rig = Rig::with(1..=1);
    rig.command(music(1));
    rig.run(60);
    rig.now = rig.now + Duration::from_millis(60);
    rig.input(Input::Timeout);
    rig.run(20);
    assert_eq!(rig.bytes(1), "M11 22 11 22 11 22 11 22");
    rig.now = rig.now + Duration::from_millis(5000);
    rig.input(Input::Timeout);
    rig.run(20);
    assert_eq!(rig.bytes(1), "M11 22 11 22 11 22 11 22 M11 22");
    let sent = &rig.sent;
    let stamps: Vec<_> = sent.iter().map(|s| s.timestamp.wrapping_sub(sent[0].timestamp) / 160).collect();
    assert_eq!(stamps, [0, 1, 2, 3, 4, 5, 6, 7, 257, 258]);
    assert!(rig.plane.stats().late_ticks >= 250);
}

#[test]
fn a_plane_can_be_written_down() {
    let mut rig = Rig::with(1..=2);
    rig.command(join(1, 2));
    rig.talk(1, 0, 2, 0x44);
    rig.command(music(2));
    rig.run(40);
    let text = serde_json::to_string(&rig.plane).unwrap();
    rig.plane = serde_json::from_str(&text).unwrap();
    rig.plane.replace_sounds(sounds());
    rig.run(40);
    assert_eq!(rig.bytes(2), "M44 44 M11 22 11 22");
    rig.steps(2);
}

#[test]
fn hostile_packets_change_nothing_but_counters() {
    let mut rig = Rig::with(1..=2);
    rig.command(join(1, 2));
    let mut rng = Rng::from_number(4);
    for _ in 0..200_000 {
        let length = rng.below(40) as usize;
        let mut bytes: Vec<u8> = (0..length).map(|_| rng.next_u32() as u8).collect();
        if let [first, second, ..] = &mut bytes[..] {
            (*first, *second) = (*first & 0x3f | 0x80, [0, 8, 101, 200][rng.below(4) as usize]);
        }
        let from = peer(1 + rng.below(3));
        let port = id(1 + rng.below(3));
        match rng.chance(0.9) {
            true => rig.input(Input::Packet { port, from, bytes: &bytes }),
            false => rig.input(Input::Control { port, from, bytes: &bytes }),
        }
        rig.now = rig.now + Duration::from_micros(rng.below(100));
        rig.sent.clear();
        rig.events.clear();
    }
    let stats = rig.plane.stats();
    assert!(stats.forwarded > 1000 && stats.dropped.iter().filter(|n| **n > 100).count() >= 3, "{stats:?}");
    assert!(rig.plane.arena.capacity() < 10_000 && rig.plane.out.capacity() < 100);
}
