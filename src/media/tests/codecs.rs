//! Bridges whose two legs speak differently, comfort noise, keys as tones.

use super::*;
use crate::media::codec::{Ear, Encoder};
use std::f64::consts::TAU;

fn connect(rig: &mut Rig, n: u64, codec: Codec, noise: Option<u8>) {
    rig.command(Command::Connect { port: id(n), session: Session { noise, ..session(n, codec) } });
}

/// A tone of 500 Hz in a codec, packet by packet.
struct Voice {
    codec: Codec,
    encoder: Encoder,
    said: usize,
}

impl Voice {
    fn new(codec: Codec) -> Voice {
        Voice { codec, encoder: Encoder::new(codec), said: 0 }
    }

    fn packet(&mut self) -> Vec<u8> {
        let (rate, mut bytes) = (8000 * self.codec.samples_per_tick(), Vec::new());
        let sample = |n: usize| (8000.0 * (TAU * 500.0 * n as f64 / rate as f64).sin()) as i16;
        let count = FRAME * self.codec.samples_per_tick();
        let samples: Vec<i16> = (self.said..self.said + count).map(sample).collect();
        self.encoder.encode(&samples, &mut bytes);
        self.said += count;
        bytes
    }

    /// `count` packets from the peer of port `n`, one each 20 ms; those in `lost` never come.
    fn talk(&mut self, rig: &mut Rig, n: u64, first: u16, count: u16, lost: &[u16]) {
        for sequence in first..first + count {
            let payload = self.packet();
            if !lost.contains(&sequence) {
                rig.packet(peer(n), n, self.codec.static_payload(), sequence, u32::from(sequence) * 160, &payload);
            }
            rig.run(20);
        }
    }
}

/// Of the frames that the peer of port `n` got from the `from`-th on, how many carry the tone, and how many there are.
fn heard(rig: &Rig, n: u64, from: usize) -> (usize, usize) {
    let (mut ear, mut samples) = (Ear::default(), Vec::new());
    for sent in rig.sent.iter().filter(|s| s.port == n) {
        let codec = Codec::ALL.into_iter().find(|codec| codec.static_payload() == sent.payload_type);
        codec.into_iter().for_each(|codec| ear.hear(codec, &sent.payload, &mut samples));
    }
    let frames: Vec<_> = samples.chunks(FRAME).skip(from).collect();
    let with = frames.iter().filter(|frame| {
        let energy: f64 = frame.iter().map(|s| f64::from(*s).powi(2)).sum();
        let turn = |wave: fn(f64) -> f64| -> f64 {
            frame.iter().enumerate().map(|(n, s)| f64::from(*s) * wave(TAU * n as f64 / 16.0)).sum()
        };
        let tone = turn(f64::sin).powi(2) + turn(f64::cos).powi(2);
        energy > 1e8 && tone * 2.0 / (energy * frame.len() as f64) > 0.9
    });
    (with.count(), frames.len())
}

#[test]
fn every_pair_of_codecs_is_heard() {
    for from in Codec::ALL {
        for to in Codec::ALL {
            let mut rig = Rig::with(1..=2);
            connect(&mut rig, 1, from, None);
            connect(&mut rig, 2, to, None);
            rig.command(join(1, 2));
            Voice::new(from).talk(&mut rig, 1, 100, 100, &[]);
            let (with, all) = heard(&rig, 2, 3);
            assert!(all >= 94 && with == all, "{from:?} → {to:?}: {with} of {all}");
            assert!(rig.sent.iter().all(|s| s.payload_type == to.static_payload() && s.payload.len() == 160));
            assert!(rig.steps(2).iter().all(|step| *step == 1), "{from:?} → {to:?}");
            let stats = rig.plane.stats();
            let through = if from.maps_to(to) { (100, 0) } else { (0, 100) };
            assert_eq!((stats.forwarded, stats.transcoded), through, "{from:?} → {to:?}");
        }
    }
}

#[test]
fn what_is_lost_on_the_way_into_another_codec_is_covered() {
    let mut rig = Rig::with(1..=2);
    connect(&mut rig, 2, Codec::G722, None);
    rig.command(join(1, 2));
    Voice::new(Codec::Pcmu).talk(&mut rig, 1, 0, 100, &[30, 50, 70, 71]);
    let (with, all) = heard(&rig, 2, 3);
    assert!(with + 1 >= all && all >= 94, "{with} of {all}");
    let stats = rig.plane.port_stats(id(2)).unwrap();
    assert!((3..=5).contains(&stats.concealed), "{}", stats.concealed);
    assert_eq!((rig.plane.stats().concealed, rig.plane.stats().transcoding), (stats.concealed, 1));
    assert!(rig.steps(2).iter().all(|step| *step == 1));
    assert_eq!(rig.plane.port_stats(id(1)).unwrap().lost, 4);
}

#[test]
fn one_line_survives_every_change_of_what_is_heard() {
    let mut rig = Rig::with(1..=2);
    rig.command(join(1, 2));
    let mut voice = Voice::new(Codec::Pcmu);
    voice.talk(&mut rig, 1, 0, 5, &[]); // forwarded
    connect(&mut rig, 2, Codec::G722, None);
    voice.talk(&mut rig, 1, 5, 10, &[]); // through the buffer
    rig.command(music(2));
    voice.talk(&mut rig, 1, 15, 5, &[]); // not heard
    rig.command(Command::SendDigits { port: id(2), digits: "1".into() });
    rig.run(400);
    rig.command(Command::Stop { port: id(2) });
    voice.talk(&mut rig, 1, 40, 10, &[]);
    connect(&mut rig, 2, Codec::Pcma, None);
    voice.talk(&mut rig, 1, 50, 5, &[]); // forwarded again
    rig.command(Command::Leave { port: id(1) });
    rig.run(200);
    rig.command(join(1, 2));
    connect(&mut rig, 2, Codec::G722, None);
    voice.talk(&mut rig, 1, 70, 5, &[]);
    rig.run(1000);
    let kinds: Vec<u8> = rig.sent.iter().filter(|s| s.port == 2).map(|s| s.payload_type).collect();
    let mut changes = kinds.clone();
    changes.dedup();
    assert_eq!(changes, [0, 9, 102, 9, 8, 9], "{kinds:?}");
    rig.sent.retain(|s| s.payload_type != 102 || s.marker); // a key's packets have one timestamp
    let sent: Vec<_> = rig.sent.iter().filter(|s| s.port == 2).collect();
    assert!(sent.windows(2).all(|w| w[1].ssrc == w[0].ssrc && !rtp::is_after(w[0].timestamp, w[1].timestamp)));
    let steps = sent.windows(2).map(|w| w[1].sequence.wrapping_sub(w[0].sequence));
    assert!(steps.into_iter().all(|step| step == 1 || step == 7), "none is missing but the key's six");
    assert_eq!(rig.plane.deadline().map(|at| at > rig.now), Some(true), "nothing ticks for a bridge that is silent");
}

#[test]
fn keys_go_beside_what_is_transcoded() {
    let mut rig = Rig::with(1..=2);
    connect(&mut rig, 2, Codec::G722, None);
    rig.command(join(1, 2));
    let mut voice = Voice::new(Codec::Pcmu);
    voice.talk(&mut rig, 1, 0, 10, &[]);
    for (n, end) in [(1u16, false), (2, false), (3, true), (4, true), (5, true)] {
        let payload = Payload { event: 7, end, duration: 160 * n.min(3) }.bytes();
        rig.packet(peer(1), 1, 101, 9 + n, 1600, &payload);
        rig.run(20);
    }
    voice.talk(&mut rig, 1, 15, 10, &[]);
    let keys: Vec<_> = rig.sent.iter().filter(|s| s.port == 2 && s.payload_type == 102).collect();
    assert_eq!(keys.len(), 5);
    assert!(keys.iter().all(|k| k.timestamp == keys[0].timestamp) && keys[0].marker && !keys[1].marker);
    let all: Vec<_> = rig.sent.iter().filter(|s| s.port == 2).collect();
    assert!(all.windows(2).all(|w| w[1].sequence == w[0].sequence.wrapping_add(1)));
    assert_eq!(rig.events, ["digit 1 7 60"]);
}

#[test]
fn a_silent_peer_s_noise_is_heard_and_no_loss() {
    // The other leg's codec, whether it has agreed to comfort noise; how many frames are made in a second of it.
    for (codec, noise, expect) in [(Codec::Pcmu, None, 50), (Codec::Pcmu, Some(13), 0), (Codec::G722, None, 50)] {
        let mut rig = Rig::with(1..=2);
        connect(&mut rig, 2, codec, noise);
        rig.command(join(1, 2));
        let mut voice = Voice::new(Codec::Pcmu);
        voice.talk(&mut rig, 1, 0, 20, &[]);
        rig.packet(peer(1), 1, 13, 20, 3200, &[50]);
        let before = rig.sent.len();
        rig.run(1000);
        let silent = rig.sent.len() - before;
        assert!((expect..=expect + 3).contains(&silent), "{codec:?} {noise:?}: {silent}");
        // The sequence goes on where it was, the timestamp where the time is.
        for sequence in 21..41u16 {
            let payload = voice.packet();
            rig.packet(peer(1), 1, 0, sequence, u32::from(sequence) * 160 + 8000, &payload);
            rig.run(20);
        }
        let all: Vec<_> = rig.sent.iter().filter(|s| s.port == 2).collect();
        assert!(all.windows(2).all(|w| w[1].sequence == w[0].sequence.wrapping_add(1)), "{codec:?} {noise:?}");
        assert!(all.windows(2).all(|w| !rtp::is_after(w[0].timestamp, w[1].timestamp)));
        let (mut ear, mut samples) = (Ear::default(), Vec::new());
        for s in rig.sent.iter().skip(before + 3).take(silent.saturating_sub(3)).filter(|s| s.payload.len() == 160) {
            ear.hear(codec, &s.payload, &mut samples);
        }
        let loudest = samples.iter().skip(100).map(|s| s.unsigned_abs()).max().unwrap_or(0);
        assert!(loudest < 400, "{codec:?}: a click of {loudest}");
        let stats = rig.plane.port_stats(id(1)).unwrap();
        assert_eq!((stats.lost, stats.packets_in), (0, 41));
        assert!(stats.jitter_ms() < 5, "{}", stats.jitter_ms());
        let (with, _) = heard(&rig, 2, 0);
        assert!(with >= 35, "{codec:?} {noise:?}: the tone is heard again, {with}");
    }
}

#[test]
fn who_is_silent_is_neither_dead_nor_unheard() {
    let mut rig = Rig::with(1..=1);
    rig.command(music(1));
    let mut voice = Voice::new(Codec::Pcmu);
    voice.talk(&mut rig, 1, 0, 5, &[]);
    // Comfort noise each 25 s and RTCP of one that sends nothing.
    for n in 0..4u16 {
        rig.packet(peer(1), 1, 13, 5 + n, 800 + u32::from(n) * 200_000, &[60]);
        for _ in 0..5 {
            rig.run(5000);
            let from = SocketAddr::new(peer(1).ip(), 4001);
            rig.input(Input::Control { port: id(1), from, bytes: b"\x80\xc9\x00\x01ssrc" });
        }
    }
    assert!(rig.events.is_empty(), "{:?}", rig.events);
    assert_eq!(rig.plane.stats().one_way, 0);
    rig.run(40_000);
    assert_eq!((rig.events.join(" ").as_str(), rig.plane.stats().one_way), ("silent 1", 1));
}

#[test]
fn tones_are_keys_where_events_are_not_agreed() {
    let tones = |n: usize| {
        let part = |hz: f64| 6000.0 * (TAU * hz * n as f64 / 8000.0).sin();
        Law::Mu.encode((part(697.0) + part(1209.0)) as i16)
    };
    let pressed: Vec<u8> = (0..800).map(tones).collect();
    for (heard, agreed, expect) in [
        (TonesHeard::Otherwise, None, 1),
        (TonesHeard::Otherwise, Some(101), 0),
        (TonesHeard::Always, Some(101), 1),
        (TonesHeard::Never, None, 0),
    ] {
        let mut rig = Rig::new(Settings { tones: heard, ..Settings::default() });
        rig.command(Command::Open { port: id(1), six: false });
        let session = Session { receive_events: agreed, ..session(1, Codec::Pcmu) };
        rig.command(Command::Connect { port: id(1), session });
        rig.events.clear();
        for (n, payload) in pressed.chunks(160).enumerate() {
            rig.packet(peer(1), 1, 0, n as u16, n as u32 * 160, payload);
            rig.run(20);
        }
        assert_eq!(rig.events, vec!["digit 1 1 25"; expect], "{heard:?} {agreed:?}");
    }
}

#[test]
fn ended_legs_are_counted_by_jitter_and_loss() {
    let mut rig = Rig::with(1..=3);
    Voice::new(Codec::Pcmu).talk(&mut rig, 1, 0, 100, &[50, 60]);
    (1..=3).for_each(|n| rig.command(Command::Close { port: id(n) }));
    let stats = rig.plane.stats();
    assert_eq!(
        (stats.lost, stats.by_loss, stats.by_jitter),
        (2, [0, 0, 0, 1, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0, 0])
    );
    assert_eq!(stats.loss_permille, 20);
}
