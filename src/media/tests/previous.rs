//! Ports whose sockets another port had before.

use super::*;

const STRANGER: u64 = 100;

/// Whom a leg has heard that heard this peer, with the SSRC of [`Rig::packet`].
fn former(n: u64) -> Former {
    Former { address: peer(n), ssrc: 77 }
}

/// A leg whose sockets were the stranger's, not connected yet.
fn haunted() -> Rig {
    let mut rig = Rig::new(Settings::default());
    let previous = Some(former(STRANGER));
    rig.plane.handle(rig.now, Input::Command(Command::Open { port: id(1), six: false }));
    assert!(matches!(rig.plane.poll(), Some(Output::Bind { port, .. }) if port == id(1)));
    rig.input(Input::Bound { port: id(1), local: peer(0), previous });
    rig.events.clear();
    rig
}

/// Whom a leg has heard last, when it is closed.
fn last_peer(rig: &mut Rig) -> Option<Former> {
    rig.plane.handle(rig.now, Input::Command(Command::Close { port: id(1) }));
    std::iter::from_fn(|| match rig.plane.poll()? {
        Output::Unbind { peer, .. } => Some(peer),
        _ => Some(None),
    })
    .find_map(|peer| peer)
}

#[test]
fn who_was_there_before_is_a_stranger() {
    let mut rig = haunted();
    rig.command(Command::Connect { port: id(1), session: session(1, Codec::Pcmu) });
    (1..40).for_each(|sequence| rig.from(peer(STRANGER), 1, 0, sequence, 0x55));
    assert_eq!((rig.dropped(Drop::Foreign), rig.plane.stats().packets_in, rig.events.len()), (39, 0, 0));
    rig.talk(1, 1, 5, 0x55);
    assert_eq!((rig.plane.stats().packets_in, last_peer(&mut rig)), (5, Some(former(1))));
}

#[test]
fn who_was_there_before_may_be_the_next_peer() {
    let mut rig = haunted();
    rig.command(Command::Connect { port: id(1), session: session(STRANGER, Codec::Pcmu) });
    rig.from(peer(STRANGER), 1, 0, 1, 0x55);
    assert_eq!((rig.dropped(Drop::Foreign), rig.plane.stats().packets_in), (0, 1));
}

#[test]
fn who_was_there_before_may_call_again() {
    let mut rig = haunted();
    // Behind NAT: the SDP names an address that only its own network knows.
    let session = Session { remote: "192.168.1.2:4000".parse().unwrap(), ..session(1, Codec::Pcmu) };
    rig.command(Command::Connect { port: id(1), session });
    for sequence in 1..=10 {
        let mut bytes = Vec::new();
        let header =
            Packet { marker: false, payload_type: 0, sequence, timestamp: 0, ssrc: 78, payload: &[0x55; FRAME] };
        header.write(&mut bytes);
        rig.input(Input::Packet { port: id(1), from: peer(STRANGER), bytes: &bytes });
    }
    assert_eq!((rig.dropped(Drop::Foreign), rig.plane.stats().packets_in), (2, 8));
    assert_eq!(last_peer(&mut rig), Some(Former { ssrc: 78, ..former(STRANGER) }));
}

#[test]
fn a_port_tells_whom_it_heard_or_that_there_was_nobody() {
    assert_eq!(last_peer(&mut haunted()), None);
    assert_eq!(last_peer(&mut Rig::with(1..=1)), None, "connected, and silent");
    let mut rig = Rig::with(1..=1);
    (1..40).for_each(|sequence| rig.from(peer(STRANGER), 1, 0, sequence, 0x55));
    assert_eq!(last_peer(&mut rig), Some(former(STRANGER)));
}
