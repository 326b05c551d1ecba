//! Legs whose RTP and RTCP share a port (RFC 5761), beside some whose do not.

use super::*;
use crate::media::rtcp::Compound;
use crate::media::secure::Secured;

fn shared(n: u64) -> Session {
    let mut session = session(n, Codec::Pcmu);
    session.agreed.mux = true;
    session
}

fn report() -> Vec<u8> {
    let mut bytes = Vec::new();
    Compound { ssrc: 77, ..Compound::default() }.write(&mut bytes);
    bytes
}

impl Rig {
    /// Connects port 1 with its peer, who shares or does not.
    fn connect(&mut self, session: Session) {
        self.command(Command::Connect { port: id(1), session });
    }

    /// Reports taken at port 1 when one comes to its RTP or its RTCP socket.
    fn takes(&mut self, from: SocketAddr, control: bool) -> u64 {
        let (port, bytes, before) = (id(1), report(), self.taken());
        self.input(match control {
            true => Input::Control { port, from, bytes: &bytes },
            false => Input::Packet { port, from, bytes: &bytes },
        });
        self.taken() - before
    }

    fn taken(&self) -> u64 {
        self.plane.port_stats(id(1)).expect("port 1 is open").controls_in
    }

    /// Where the next report of port 1 goes, and whether from its RTP socket.
    fn next_report(&mut self) -> Option<(SocketAddr, bool)> {
        self.controls.clear();
        let before = self.muxed;
        self.run(7_000);
        self.controls.retain(|(port, ..)| *port == 1);
        let (_, to, _) = self.controls.last()?;
        Some((*to, self.muxed > before))
    }
}

#[test]
fn the_owner_of_the_sockets_is_told_when_it_changes() {
    let mut rig = Rig::new(Settings::default());
    rig.command(Command::Open { port: id(1), six: false });
    assert!(rig.shared.is_empty(), "nobody has answered");
    for (session, expect) in [
        (session(1, Codec::Pcmu), &[(1, false)][..]),
        (session(1, Codec::Pcma), &[]),
        (shared(1), &[(1, true)]),
        (shared(2), &[]),
        (session(1, Codec::Pcmu), &[(1, false)]),
    ] {
        rig.connect(session);
        assert_eq!(std::mem::take(&mut rig.shared), expect);
    }
}

/// Each row: a session that comes into force, where the reports go then.
#[test]
fn reports_follow_what_is_agreed_in_mid_call() {
    let mut rig = Rig::with(1..=1);
    let control = SocketAddr::new(peer(1).ip(), 4001);
    for (mux, expect) in [(true, peer(1)), (false, control), (true, peer(1))] {
        rig.connect(if mux { shared(1) } else { session(1, Codec::Pcmu) });
        assert_eq!(rig.next_report(), Some((expect, mux)));
        // What the peer says by the one way does not lead ours to another one later.
        assert_eq!(rig.takes(expect, !mux), 1, "{mux}");
        assert_eq!(rig.next_report(), Some((expect, mux)));
    }
}

/// RFC 5761 §4: the second byte tells them apart, whatever lies behind.
#[test]
fn audio_and_reports_on_one_port_are_told_apart() {
    let mut rig = Rig::with(1..=2);
    rig.connect(Session { receive: vec![(0, Codec::Pcmu), (63, Codec::Pcma), (96, Codec::Pcma)], ..shared(1) });
    rig.command(join(1, 2));
    let head =
        |kind: u8, n: u16| [&[0x80, kind][..], &n.to_be_bytes(), &[0, 0, 0, 0, 0, 0, 0, 77], &[0x44; 160]].concat();
    for (n, kind) in [0, 0x80, 63, 63 | 0x80, 96, 96 | 0x80].into_iter().enumerate() {
        rig.input(Input::Packet { port: id(1), from: peer(1), bytes: &head(kind, n as u16) });
    }
    let stats = rig.plane.port_stats(id(1)).unwrap();
    assert_eq!((stats.packets_in, stats.controls_in, stats.dropped), (6, 0, 0), "both sides of the range are audio");
    for kind in 192..=223 {
        rig.input(Input::Packet { port: id(1), from: peer(1), bytes: &head(kind, 9) });
    }
    let stats = rig.plane.port_stats(id(1)).unwrap();
    assert_eq!((stats.packets_in, rig.dropped(Drop::Malformed)), (6, 32), "none of them is heard");
    assert_eq!(rig.takes(peer(1), false), 1);
}

/// A leg that shares and one that does not hear each other, and each has its own reports.
#[test]
fn a_bridge_joins_legs_that_share_and_legs_that_do_not() {
    let mut rig = Rig::with(1..=2);
    rig.connect(shared(1));
    rig.command(join(1, 2));
    rig.talk(1, 0, 3, 0x44);
    rig.talk(2, 0, 3, 0x55);
    assert_eq!((rig.bytes(2).as_str(), rig.bytes(1).as_str()), ("M44 44 44", "M55 55 55"));
    assert_eq!(rig.takes(peer(1), false), 1);
    assert_eq!(rig.plane.port_stats(id(2)).unwrap().controls_in, 0, "reports are for one leg");
    rig.run(7_000);
    let to: std::collections::BTreeSet<_> = rig.controls.iter().map(|(port, to, _)| (*port, *to)).collect();
    assert_eq!(to, [(1, peer(1)), (2, SocketAddr::new(peer(2).ip(), 4001))].into());
}

/// The one port has one latch: reports are taken from where audio is, and go there.
#[test]
fn reports_latch_with_audio() {
    let (sdp, port, stranger) = (peer(1), SocketAddr::new(peer(1).ip(), 9999), peer(150));
    // Before anything was heard: from the SDP's address, whatever port a NAT has made of it.
    let mut rig = Rig::with(1..=1);
    rig.connect(shared(1));
    assert_eq!([sdp, port, stranger].map(|from| rig.takes(from, false)), [1, 1, 0]);
    assert_eq!(rig.next_report(), Some((sdp, true)), "they do not lead it anywhere");
    // Locked to the SDP's address: from there alone.
    rig.from(sdp, 1, 0, 0, 0x44);
    assert_eq!([sdp, port, stranger].map(|from| rig.takes(from, false)), [1, 0, 0]);
    // Behind a NAT: from where its audio is.
    let mut rig = Rig::with(1..=1);
    rig.connect(shared(1));
    (0..3).for_each(|n| rig.from(port, 1, 0, n, 0x44));
    assert_eq!(rig.events, ["latched 1 10.0.2.1"]);
    assert_eq!([sdp, port, stranger].map(|from| rig.takes(from, false)), [1, 1, 0]);
    assert_eq!(rig.next_report(), Some((port, true)));
    assert_eq!(rig.takes(SocketAddr::new(sdp.ip(), 9998), false), 0, "another phone behind the same NAT");
    assert!(rig.dropped(Drop::Foreign) > 0);
}

#[test]
fn reports_on_the_port_of_audio_are_life() {
    let mut rig = Rig::with(1..=1);
    rig.connect(shared(1));
    for _ in 0..10 {
        assert_eq!(rig.takes(peer(1), false), 1);
        rig.run(20_000);
    }
    assert!(rig.events.is_empty(), "{:?}", rig.events);
    for _ in 0..3 {
        assert_eq!(rig.takes(peer(150), false), 0);
        rig.run(10_000);
    }
    assert_eq!(rig.events, ["silent 1"], "a stranger's are not");
}

/// RFC 3711 §3.4: the second byte is in the clear, so that keys are used for what they are for.
#[test]
fn secret_reports_share_the_port_of_secret_audio() {
    for suite in Suite::ALL {
        let keying = |seed| Keying { suite, key: Key::new(vec![seed; suite.length()]), identifier: Vec::new() };
        let (ours, theirs) = (keying(10), keying(11));
        let mut peers = Secured::new(Security { send: theirs.clone(), receive: ours.clone() });
        let mut rig = Rig::with(1..=2);
        rig.connect(Session { security: Some(Security { send: ours, receive: theirs }), ..shared(1) });
        rig.command(join(1, 2));
        for n in 0..3 {
            let (mut audio, mut control) = (Vec::new(), report());
            let payload = &[0x44; FRAME];
            Packet { marker: n == 0, payload_type: 0, sequence: n, timestamp: u32::from(n) * 160, ssrc: 77, payload }
                .write(&mut audio);
            peers.seal(&mut audio, 0).unwrap();
            peers.seal_control(&mut control, 0).unwrap();
            for bytes in [&audio, &control, &control] {
                rig.input(Input::Packet { port: id(1), from: peer(1), bytes });
            }
        }
        let stats = rig.plane.port_stats(id(1)).unwrap();
        assert_eq!((stats.packets_in, stats.controls_in, rig.dropped(Drop::Replayed)), (3, 3, 3), "{suite:?}");
        assert_eq!(rig.takes(peer(1), false), 0, "one in the clear");
        assert_eq!(rig.bytes(2), "M44 44 44");
        assert!(rig.next_report().is_some_and(|(to, mux)| to == peer(1) && mux));
        let (_, _, mut bytes) = rig.controls.pop().unwrap();
        peers.open_control(rig.now, &mut bytes).unwrap();
        assert!(Compound::read(&bytes, 0).is_some(), "{suite:?}");
    }
}

#[test]
fn a_leg_that_shares_moves_and_is_told_nothing_new() {
    let mut rig = Rig::with(1..=1);
    rig.connect(shared(1));
    let mut other = Rig::new(Settings { plane: 1, ..Settings::default() });
    other.now = rig.now;
    other.command(Command::Move { port: id(1), to: 1 });
    rig.command(Command::Move { port: id(1), to: 1 });
    let text = serde_json::to_string(&rig.departed.pop().unwrap()).unwrap();
    other.input(Input::Arrived { moving: serde_json::from_str(&text).unwrap() });
    assert_eq!(other.takes(peer(1), false), 1);
    let port = PortId { plane: 1, number: 1 };
    other.command(Command::Connect { port, session: shared(1) });
    assert!(other.shared.is_empty());
    other.command(Command::Connect { port, session: session(1, Codec::Pcmu) });
    assert_eq!(other.shared, [(1, false)]);
}

/// What peers have told of the way to them, of legs that have ended: the last round trip in µs, what they had lost.
#[test]
fn what_peers_have_told_is_counted_at_the_end() {
    let mut stats = Stats::default();
    for (us, lost) in
        [(Some(0), 0), (Some(10_000), 3), (Some(10_001), 0), (Some(400_000), 4), (Some(400_001), 0), (None, 5)]
    {
        let quality = Quality { round_trip_us: us, peer_lost: lost, ..Quality::default() };
        stats.ended(&PortStats { quality, ..PortStats::default() });
    }
    assert_eq!((stats.by_round_trip, stats.round_trip_us, stats.peer_lost), ([2, 1, 0, 0, 1, 1], 820_002, 12));
    assert_eq!(stats.by_loss, [0; LOSS_BOUNDS_PERMILLE.len() + 1], "nothing was heard of them");
}
