//! A peer whom nobody has heard and who may be somebody whom another one has named.

use super::*;

/// Ports 1 and 2; the peer of port 1 may be sent three packets.
fn doubted() -> Rig {
    let mut rig = Rig::with(1..=2);
    rig.command(Command::Allow { port: id(1), packets: Some(3) });
    rig
}

#[test]
fn who_is_not_heard_is_sent_no_more_than_is_allowed() {
    let mut rig = doubted();
    rig.command(music(1));
    rig.run(1_000);
    assert_eq!(rig.bytes(1), "M11 22 11");
    // The sound goes on unheard, and what follows begins on real time, in the same line.
    type Proof = fn(&mut Rig);
    let proofs: [Proof; 3] = [
        |rig| rig.command(Command::Allow { port: id(1), packets: None }),
        |rig| rig.from(peer(1), 1, 0, 5, 0x55),
        |rig| rig.command(Command::Allow { port: id(1), packets: Some(50) }),
    ];
    for proves in proofs {
        let mut rig = rig_again(&rig);
        proves(&mut rig);
        rig.run(100);
        assert_eq!(rig.sent.len(), 8);
        assert!(rig.sent[3].marker && rig.sent[3].ms >= 1_000);
        assert_eq!(rig.steps(1).len(), 7);
    }
}

/// The same again, for another end.
fn rig_again(rig: &Rig) -> Rig {
    let mut again = Rig { plane: rig.plane.clone(), sent: rig.sent.clone(), ..Rig::new(Settings::default()) };
    again.now = rig.now;
    again
}

#[test]
fn a_sound_ends_when_it_would_have_ended() {
    let mut rig = doubted();
    rig.command(once(1, &[0, 0, 0], 7));
    rig.run(1_000);
    assert_eq!((rig.bytes(1).as_str(), &rig.events[..]), ("M11 22 11", &["finished 1 7".to_owned()][..]));
}

/// Whoever it is that sends from elsewhere has not been heard, nor does the other party of a bridge prove anything.
#[test]
fn neither_strangers_nor_the_other_leg_lift_it() {
    let mut rig = doubted();
    rig.command(join(1, 2));
    rig.from(peer(100), 1, 0, 1, 0x44);
    rig.talk(2, 1, 20, 0x66);
    assert_eq!(rig.bytes(1), "M66 66 66");
    rig.from(peer(1), 1, 0, 1, 0x55);
    rig.talk(2, 21, 2, 0x77);
    assert_eq!((rig.bytes(1).as_str(), rig.steps(1).len()), ("M66 66 66 M77 77", 4));
}
