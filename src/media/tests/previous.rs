//! Ports whose sockets another port had before.

use super::*;

const STRANGER: u64 = 100;

/// A leg whose sockets were the stranger's, not connected yet.
fn haunted() -> Rig {
    let mut rig = Rig::new(Settings::default());
    let previous = Some(peer(STRANGER));
    rig.plane.handle(rig.now, Input::Command(Command::Open { port: id(1) }));
    assert!(matches!(rig.plane.poll(), Some(Output::Bind { port }) if port == id(1)));
    rig.input(Input::Bound { port: id(1), local: peer(0), previous });
    rig.events.clear();
    rig
}

/// Where a leg's audio came from and went to, when it is closed.
fn last_peer(rig: &mut Rig) -> Option<SocketAddr> {
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
    assert_eq!((rig.plane.stats().packets_in, last_peer(&mut rig)), (5, Some(peer(1))));
}

#[test]
fn who_was_there_before_may_be_the_next_peer() {
    let mut rig = haunted();
    rig.command(Command::Connect { port: id(1), session: session(STRANGER, Codec::Pcmu) });
    rig.from(peer(STRANGER), 1, 0, 1, 0x55);
    assert_eq!((rig.dropped(Drop::Foreign), rig.plane.stats().packets_in), (0, 1));
}

#[test]
fn a_port_tells_whom_it_followed_or_that_there_was_nobody() {
    assert_eq!(last_peer(&mut haunted()), None);
    let mut rig = Rig::with(1..=1);
    (1..40).for_each(|sequence| rig.from(peer(STRANGER), 1, 0, sequence, 0x55));
    assert_eq!(last_peer(&mut rig), Some(peer(STRANGER)));
}
