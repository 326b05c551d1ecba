//! Legs whose packets are encrypted, beside some whose are not.

use super::*;
use crate::media::rtcp::Compound;
use crate::media::secure::Secured;

fn keying(suite: Suite, seed: u8) -> Keying {
    Keying { suite, key: Key::new(vec![seed; suite.length()]), identifier: Vec::new() }
}

/// The session with the peer of port `n` under the keys `seed` (ours) and `seed + 1`, and the peer's side of it.
fn secret(n: u64, suite: Suite, seed: u8) -> (Session, Secured) {
    let (ours, theirs) = (keying(suite, seed), keying(suite, seed + 1));
    let peers = Secured::new(Security { send: theirs.clone(), receive: ours.clone() });
    (Session { security: Some(Security { send: ours, receive: theirs }), ..session(n, Codec::Pcmu) }, peers)
}

/// 20 ms of these bytes, as the peer sends them.
fn sealed(peers: &mut Secured, sequence: u16, byte: u8) -> Vec<u8> {
    let (mut bytes, timestamp) = (Vec::new(), u32::from(sequence) * 160);
    Packet { marker: false, payload_type: 0, sequence, timestamp, ssrc: 77, payload: &[byte; FRAME] }.write(&mut bytes);
    peers.seal(&mut bytes, 0).unwrap();
    bytes
}

impl Rig {
    fn datagram(&mut self, n: u64, from: SocketAddr, bytes: &[u8]) {
        self.input(Input::Packet { port: id(n), from, bytes });
    }

    /// Opens all that was sent to the peer of port `n`, as the peer does; how many packets.
    fn open(&mut self, n: u64, peers: &mut Secured) -> usize {
        let mut opened = 0;
        for s in self.sent.iter_mut().filter(|s| s.port == n) {
            let mut bytes = Vec::new();
            let Sent { marker, payload_type, sequence, timestamp, ssrc, .. } = *s;
            Packet { marker, payload_type, sequence, timestamp, ssrc, payload: &s.payload }.write(&mut bytes);
            peers.open(self.now, &mut bytes).unwrap_or_else(|why| panic!("{why:?}: {s:?}"));
            s.payload = bytes.split_off(12);
            assert_eq!(s.payload.len(), FRAME);
            opened += 1;
        }
        opened
    }
}

#[test]
fn a_secret_leg_and_a_plain_one_hear_each_other() {
    for suite in Suite::ALL {
        let mut rig = Rig::with(1..=2);
        let (session, mut peers) = secret(1, suite, 10);
        rig.command(Command::Connect { port: id(1), session });
        rig.command(once(1, &[0], 3));
        rig.run(60);
        rig.command(join(1, 2));
        for n in 0..5 {
            rig.datagram(1, peer(1), &sealed(&mut peers, 100 + n, 0x44));
            rig.from(peer(2), 2, 0, 200 + n, 0x55);
            rig.run(20);
        }
        assert!(!rig.bytes(1).contains("55"), "nobody else hears it");
        rig.open(1, &mut peers);
        assert_eq!((rig.bytes(1).as_str(), rig.bytes(2).as_str()), ("M11 22 M55 55 55 55 55", "M44 44 44 44 44"));
        rig.steps(1);
        assert_eq!(rig.plane.stats().dropped, [0; Drop::ALL.len()], "{suite:?}");
    }
}

#[test]
fn two_secret_legs_have_keys_of_their_own() {
    let mut rig = Rig::with(1..=2);
    let (one, mut first) = secret(1, Suite::AesCm80, 10);
    let (two, mut second) = secret(2, Suite::Gcm256, 20);
    let two = Session { codec: Codec::Pcma, send_payload: 8, ..two };
    rig.command(Command::Connect { port: id(1), session: one });
    rig.command(Command::Connect { port: id(2), session: two });
    rig.command(join(1, 2));
    for n in 0..3 {
        rig.datagram(1, peer(1), &sealed(&mut first, n, 0x44));
        rig.datagram(1, peer(1), &sealed(&mut first, n + 10, 0x44)[..150]); // cut off
    }
    rig.open(2, &mut second);
    let mut law = [0x44];
    Law::Mu.convert(Law::A, &mut law);
    assert_eq!(rig.bytes(2), format!("M{0:02x} {0:02x} {0:02x}", law[0]));
    assert_eq!(rig.dropped(Drop::Forged), 3);
}

#[test]
fn what_is_forged_or_comes_again_is_neither_heard_nor_followed() {
    let mut rig = Rig::with(1..=2);
    let (session, mut peers) = secret(1, Suite::AesCm80, 10);
    rig.command(Command::Connect { port: id(1), session });
    rig.command(join(1, 2));
    let good: Vec<_> = (0..40).map(|n| sealed(&mut peers, n, 0x44)).collect();
    let (_, mut stranger) = secret(1, Suite::AesCm80, 50);
    for n in 0..20 {
        rig.datagram(1, peer(150), &sealed(&mut stranger, n, 0x66)); // another key
        rig.from(peer(150), 1, 0, n, 0x66); // none
        rig.from(peer(1), 1, 0, n, 0x66); // none, from the right address
    }
    assert_eq!((rig.dropped(Drop::Forged), rig.sent.len(), rig.events.len()), (60, 0, 0));
    rig.datagram(1, peer(1), &good[0]);
    rig.datagram(1, peer(1), &good[0]);
    rig.datagram(1, peer(1), &good[1]);
    let mut changed = good[2].clone();
    changed[20] ^= 1;
    rig.datagram(1, peer(1), &changed);
    assert_eq!((rig.bytes(2).as_str(), rig.dropped(Drop::Replayed), rig.dropped(Drop::Forged)), ("M44 44", 1, 61));
    // Once it has been heard there, nothing from elsewhere is even opened.
    for packet in &good[3..20] {
        rig.datagram(1, peer(150), packet);
    }
    rig.datagram(1, peer(1), &good[5]);
    assert_eq!((rig.bytes(2).as_str(), rig.dropped(Drop::Foreign)), ("M44 44 44", 17));
    assert_eq!(rig.plane.port_stats(id(1)).unwrap().packets_in, 3);
    // But a peer that proves itself is followed behind its NAT.
    let mut rig = Rig::with(1..=1);
    let (session, mut peers) = secret(1, Suite::Gcm128, 10);
    rig.command(Command::Connect { port: id(1), session });
    for n in 0..4 {
        rig.datagram(1, peer(100), &sealed(&mut peers, n, 0x44));
    }
    assert_eq!(rig.events, ["latched 1 10.0.2.100"]);
}

#[test]
fn new_keys_count_from_the_next_packet_on() {
    let mut rig = Rig::with(1..=2);
    let (session, mut old) = secret(1, Suite::AesCm80, 10);
    rig.command(Command::Connect { port: id(1), session });
    rig.command(join(1, 2));
    rig.talk(2, 0, 3, 0x55);
    rig.datagram(1, peer(1), &sealed(&mut old, 0, 0x44));
    let in_flight = sealed(&mut old, 1, 0x44);
    let too_late = sealed(&mut old, 3, 0x44);
    let (session, mut new) = secret(1, Suite::Gcm128, 30);
    rig.command(Command::Connect { port: id(1), session });
    rig.datagram(1, peer(1), &sealed(&mut new, 2, 0x44));
    rig.datagram(1, peer(1), &in_flight);
    rig.open(1, &mut old);
    let already = rig.sent.iter().filter(|s| s.port == 1).count();
    rig.talk(2, 3, 3, 0x55);
    let (before, mut after): (Vec<_>, Vec<_>) = rig.sent.drain(..).partition(|s| s.port == 2);
    let kept = after.drain(..already).collect::<Vec<_>>();
    rig.sent = after;
    rig.open(1, &mut new);
    rig.sent.splice(0..0, before.into_iter().chain(kept));
    assert_eq!((rig.bytes(1).as_str(), rig.bytes(2).as_str()), ("M55 55 55 55 55 55", "M44 44 44"));
    rig.steps(1); // one line under both keys
    rig.run(2_000);
    rig.datagram(1, peer(1), &too_late);
    assert_eq!(rig.dropped(Drop::Forged), 1);
    // Back to plain audio: what is encrypted is noise, and what is not is heard.
    rig.command(Command::Connect { port: id(1), session: super::session(1, Codec::Pcmu) });
    rig.sent.clear();
    rig.from(peer(1), 1, 0, 7, 0x66);
    rig.talk(2, 200, 1, 0x55);
    assert_eq!((rig.bytes(1).as_str(), rig.bytes(2).as_str()), ("55", "66"));
}

#[test]
fn a_key_that_comes_back_does_not_begin_again() {
    let mut rig = Rig::with(1..=1);
    let (first, mut peers) = secret(1, Suite::Gcm128, 10);
    let (second, mut others) = secret(1, Suite::Gcm256, 30);
    rig.command(Command::Connect { port: id(1), session: first.clone() });
    rig.command(music(1));
    rig.run(40);
    for (session, peers) in [(&second, &mut others), (&first, &mut peers)] {
        let plain = Session { security: None, ..session.clone() };
        rig.sent.clear();
        rig.command(Command::Connect { port: id(1), session: plain });
        rig.command(Command::Connect { port: id(1), session: session.clone() });
        rig.run(40);
        assert!((2..=3).contains(&rig.open(1, peers)), "two frames, and one that was due");
    }
    // More packets than there are sequence numbers: the peer that has kept its place still follows.
    for _ in 0..40 {
        rig.sent.clear();
        rig.run(40_000);
        rig.command(Command::Connect { port: id(1), session: second.clone() });
        rig.command(Command::Connect { port: id(1), session: first.clone() });
        assert!((1_999..=2_001).contains(&rig.open(1, &mut peers)), "it fell silent");
    }
}

#[test]
fn reports_are_secret_too() {
    let mut rig = Rig::with(1..=1);
    let (session, mut peers) = secret(1, Suite::AesCm32, 10);
    rig.command(Command::Connect { port: id(1), session });
    rig.run(3_100);
    let (_, _, mut bytes) = rig.controls.pop().unwrap();
    assert!(Compound::read(&bytes, 0).is_none());
    peers.open_control(rig.now, &mut bytes).unwrap();
    assert!(Compound::read(&bytes, 0).is_some_and(|report| report.cname.is_some()));
    let from = SocketAddr::new(peer(1).ip(), 4001);
    let mut report = Vec::new();
    Compound { ssrc: 77, ..Compound::default() }.write(&mut report);
    rig.input(Input::Control { port: id(1), from, bytes: &report });
    assert_eq!(rig.dropped(Drop::Forged), 1, "in the clear");
    peers.seal_control(&mut report, 0).unwrap();
    rig.input(Input::Control { port: id(1), from, bytes: &report });
    rig.input(Input::Control { port: id(1), from, bytes: &report });
    let stats = rig.plane.port_stats(id(1)).unwrap();
    assert_eq!((stats.controls_in, rig.dropped(Drop::Replayed)), (1, 1));
    // Only what is authentic is life.
    rig.run(26_000);
    rig.input(Input::Control { port: id(1), from, bytes: &report });
    rig.run(4_000);
    assert_eq!(rig.events, ["silent 1"]);
}

#[test]
fn a_secret_leg_moves_with_its_keys() {
    let mut rig = Rig::with(1..=1);
    let (session, mut peers) = secret(1, Suite::AesCm80, 10);
    rig.command(Command::Connect { port: id(1), session });
    rig.command(music(1));
    let packet = sealed(&mut peers, 5, 0x44);
    rig.datagram(1, peer(1), &packet);
    rig.run(100);
    let mut other = Rig::new(Settings { plane: 1, ..Settings::default() });
    other.now = rig.now;
    other.command(Command::Move { port: id(1), to: 1 });
    rig.command(Command::Move { port: id(1), to: 1 });
    let text = serde_json::to_string(&rig.departed.pop().unwrap()).unwrap();
    other.input(Input::Arrived { moving: serde_json::from_str(&text).unwrap() });
    other.datagram(1, peer(1), &packet);
    assert_eq!(other.dropped(Drop::Replayed), 1);
    other.datagram(1, peer(1), &sealed(&mut peers, 6, 0x44));
    assert_eq!(other.plane.port_stats(id(1)).unwrap().packets_in, 2);
    other.run(100);
    rig.sent.append(&mut other.sent);
    rig.open(1, &mut peers);
    assert!(rig.steps(1).len() >= 8);
}
