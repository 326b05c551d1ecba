//! Two legs that talk with each other in secret, and others that try to join in.

use super::*;
use crate::ids::Rng;
use crate::media::mutation::mutate;
use crate::media::rtp::Packet;

const T: Instant = Instant(1_000_000_000);

fn keying(suite: Suite, seed: u8) -> Keying {
    Keying {
        suite,
        key: Key::new((0..suite.length()).map(|n| seed.wrapping_add(n as u8)).collect()),
        identifier: vec![],
    }
}

/// A leg and its peer.
fn pair(suite: Suite) -> (Secured, Secured) {
    let (a, b) = (keying(suite, 1), keying(suite, 101));
    let turned = Security { send: b.clone(), receive: a.clone() };
    (Secured::new(Security { send: a, receive: b }), Secured::new(turned))
}

fn packet(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let payload = &[sequence as u8; 160];
    Packet { marker: false, payload_type: 0, sequence, timestamp: 0, ssrc, payload }.write(&mut bytes);
    bytes
}

fn sealed(leg: &mut Secured, ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut bytes = packet(ssrc, sequence);
    leg.seal(&mut bytes, 0).unwrap();
    bytes
}

fn report(ssrc: u32) -> Vec<u8> {
    [&[0x80, 201, 0, 1][..], &ssrc.to_be_bytes()].concat()
}

#[test]
fn packets_arrive_as_they_were() {
    for suite in Suite::ALL {
        let (mut a, mut b) = pair(suite);
        // Round the sequence number more than twice, with something before it in the arena.
        for n in (0..150_000u32).step_by(97) {
            let clear = packet(7, n as u16);
            let mut bytes = [b"arena", &clear[..]].concat();
            a.seal(&mut bytes, 5).unwrap();
            let mut bytes = bytes.split_off(5);
            assert_ne!(bytes[12..172], clear[12..]);
            assert_eq!(b.open(T, &mut bytes), Ok(()), "{suite:?} {n}");
            assert_eq!(bytes, clear);
        }
        for _ in 0..100 {
            let mut bytes = report(7);
            a.seal_control(&mut bytes, 0).unwrap();
            assert_eq!(b.open_control(T, &mut bytes), Ok(()));
            assert_eq!(bytes, report(7));
        }
    }
}

#[test]
fn what_is_played_again_is_refused() {
    for suite in [Suite::Gcm128, Suite::AesCm32] {
        let (mut a, mut b) = pair(suite);
        let all: Vec<_> = (100..300).map(|n| sealed(&mut a, 7, n)).collect();
        // Which packet comes, and whether it is taken: out of order, twice, too old.
        for (n, expect) in [
            (0, Ok(())),
            (0, Err(Drop::Replayed)),
            (2, Ok(())),
            (1, Ok(())),
            (1, Err(Drop::Replayed)),
            (2, Err(Drop::Replayed)),
            (66, Ok(())),
            (3, Ok(())),              // 63 behind
            (2, Err(Drop::Replayed)), // 64 behind
            (199, Ok(())),
            (66, Err(Drop::Replayed)),
            (136, Ok(())),
        ] {
            assert_eq!(b.open(T, &mut all[n].clone()), expect, "{suite:?} {n}");
        }
        let mut first = report(7);
        a.seal_control(&mut first, 0).unwrap();
        assert_eq!(b.open_control(T, &mut first.clone()), Ok(()));
        assert_eq!(b.open_control(T, &mut first), Err(Drop::Replayed));
    }
}

#[test]
fn what_is_changed_or_from_others_is_refused() {
    for suite in Suite::ALL {
        let (mut a, mut b) = pair(suite);
        let (mut stranger, _) = pair(suite);
        stranger.send = Sender::new(keying(suite, 55));
        assert_eq!(b.open(T, &mut sealed(&mut stranger, 7, 1)), Err(Drop::Forged));
        assert_eq!(b.open(T, &mut packet(7, 1)), Err(Drop::Forged), "not encrypted at all");
        assert_eq!(b.open(T, &mut report(7)), Err(Drop::Malformed));
        let mut own = sealed(&mut b, 7, 1);
        assert_eq!(b.open(T, &mut own), Err(Drop::Forged), "sent back");
        let good = sealed(&mut a, 7, 1);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let refused = b.open(T, &mut bad).unwrap_err();
            assert!(matches!(refused, Drop::Forged | Drop::Malformed), "{suite:?} {at}: {refused:?}");
        }
        (0..good.len()).for_each(|end| assert!(b.open(T, &mut good[..end].to_vec()).is_err()));
        let mut bytes = report(7);
        a.seal_control(&mut bytes, 0).unwrap();
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(b.open_control(T, &mut bad).is_err(), "{suite:?} {at}");
        }
        assert_eq!(b.open_control(T, &mut report(7)), Err(Drop::Forged));
        // None of this has hurt.
        assert_eq!((b.open(T, &mut good.clone()), b.open_control(T, &mut bytes)), (Ok(()), Ok(())));
        assert_eq!((b.receive.audio.len(), b.receive.control.len()), (1, 1), "strangers are not remembered");
    }
}

#[test]
fn an_index_is_sent_once() {
    let (mut a, _) = pair(Suite::Gcm256);
    sealed(&mut a, 7, 10);
    sealed(&mut a, 7, 9);
    assert_eq!(a.seal(&mut packet(7, 9), 0), Err(Drop::Superseded));
    sealed(&mut a, 7, 200);
    assert_eq!(a.seal(&mut packet(7, 100), 0), Err(Drop::Superseded));
    a.send.control = (1 << 31) - 1;
    assert_eq!(a.seal_control(&mut report(7), 0), Err(Drop::Superseded));
}

#[test]
fn sources_have_windows_of_their_own_up_to_a_limit() {
    let (mut a, mut b) = pair(Suite::AesCm80);
    for ssrc in 0..MAX_SOURCES as u32 {
        a.send.sent = Window::default();
        assert_eq!(b.open(T, &mut sealed(&mut a, ssrc, 5)), Ok(()));
    }
    a.send.sent = Window::default();
    assert_eq!(b.open(T, &mut sealed(&mut a, 1000, 5)), Err(Drop::Replayed));
    assert_eq!(b.open(T, &mut sealed(&mut a, 0, 6)), Ok(()), "known ones go on");
}

#[test]
fn new_keys_take_over_and_old_packets_arrive() {
    let (mut a, mut b) = pair(Suite::AesCm80);
    assert_eq!(b.open(T, &mut sealed(&mut a, 7, 1)), Ok(()));
    let late = sealed(&mut a, 7, 2);
    let too_late = sealed(&mut a, 7, 3);
    let (new, other) = (keying(Suite::Gcm128, 77), keying(Suite::Gcm128, 88));
    a.rekey(T, Security { send: new.clone(), receive: other.clone() });
    b.rekey(T, Security { send: other, receive: new });
    assert_eq!(b.open(T, &mut sealed(&mut a, 7, 4)), Ok(()));
    let mut opened = late.clone();
    assert_eq!(b.open(T, &mut opened), Ok(()));
    assert_eq!(opened, packet(7, 2));
    assert_eq!(b.open(T, &mut late.clone()), Err(Drop::Forged), "once only");
    assert_eq!(b.open(T + OLD_KEY, &mut too_late.clone()), Err(Drop::Forged));
    assert!(b.old.is_none());
    assert_eq!(a.open(T, &mut sealed(&mut b, 8, 1)), Ok(()));
    // The same keys again change nothing: neither place nor window.
    let seen = sealed(&mut a, 7, 5);
    assert_eq!(b.open(T, &mut seen.clone()), Ok(()));
    let same = Security { send: b.send.keying.clone(), receive: b.receive.keying.clone() };
    b.rekey(T, same);
    assert_eq!(b.open(T, &mut seen.clone()), Err(Drop::Replayed));
}

#[test]
fn identifiers_are_carried_and_checked() {
    for suite in [Suite::AesCm80, Suite::Gcm128] {
        let with = |identifier: &[u8]| Keying { identifier: identifier.to_vec(), ..keying(suite, 1) };
        let mut sender = Sender::new(with(&[0, 0, 4, 0x2a]));
        let mut bytes = packet(7, 1);
        sender.seal(&mut bytes, 0).unwrap();
        let mut control = report(7);
        sender.seal_control(&mut control, 0).unwrap();
        for (identifier, expect) in [(&[0, 0, 4, 0x2b][..], false), (&[4, 0x2a], false), (&[0, 0, 4, 0x2a], true)] {
            let mut receiver = Receiver::new(with(identifier));
            assert_eq!(receiver.open(&mut bytes.clone()).is_ok(), expect, "{suite:?} {identifier:?}");
            assert_eq!(receiver.open_control(&mut control.clone()).is_ok(), expect, "{suite:?} {identifier:?}");
        }
    }
}

#[test]
fn a_leg_is_written_down_and_goes_on() {
    let (mut a, mut b) = pair(Suite::Gcm256);
    let all: Vec<_> = (0..10).map(|n| sealed(&mut a, 7, n)).collect();
    b.open(T, &mut all[5].clone()).unwrap();
    let read = |leg: &Secured| serde_json::from_str::<Secured>(&serde_json::to_string(leg).unwrap()).unwrap();
    let (mut a, mut b) = (read(&a), read(&b));
    assert_eq!(b.open(T, &mut all[5].clone()), Err(Drop::Replayed));
    assert_eq!(b.open(T, &mut all[4].clone()), Ok(()));
    assert_eq!(a.seal(&mut packet(7, 9), 0), Err(Drop::Superseded));
    assert_eq!(b.open(T, &mut sealed(&mut a, 7, 10)), Ok(()));
}

#[test]
fn keys_are_not_shown() {
    let (mut a, _) = pair(Suite::AesCm80);
    sealed(&mut a, 7, 1);
    let text = format!("{a:?}");
    assert!(text.contains("(secret)") && text.contains("AesCm80"));
    let shown: Vec<_> =
        text.split(|c: char| !c.is_ascii_digit()).filter(|word| word.parse::<u8>() == Ok(105)).collect();
    assert!(shown.is_empty(), "{text}");
}

#[test]
fn windows_know_what_they_have_seen() {
    // Indices in their order; those that are fresh.
    let check = |indices: &[u64], fresh: &str| {
        let mut window = Window::default();
        let got: String = indices
            .iter()
            .map(|index| {
                let fresh = window.is_fresh(*index);
                window.note(*index);
                if fresh { 'x' } else { '.' }
            })
            .collect();
        assert_eq!(got, fresh, "{indices:?}");
    };
    check(&[0, 0, 1, 0, 1], "x.x..");
    check(&[0, 63, 0, 64, 0, 1, 2, 2], "xx.x.xx.");
    check(&[1000, 0, 937, 936, 937], "x.x..");
    check(&[5, 1 << 47, 5], "xx.");
    // The highest index, a sequence number, the index that it means.
    for (highest, sequence, expect) in [
        (None, 65535, 65535),
        (Some(0), 1, 1),
        (Some(65535), 0, 0x1_0000),
        (Some(0x1_0000), 65535, 65535),
        (Some(0x1_0000), 32767, 0x1_7fff),
        (Some(10), 65000, 65000), // nothing is before the beginning
        (Some(0x5_9000), 0x1001, 0x5_1001),
        (Some(0x5_9000), 0x0fff, 0x6_0fff),
    ] {
        let window = Window { next: highest.map_or(0, |h: u64| h + 1), seen: 1 };
        assert_eq!(window.index_of(sequence), expect, "{highest:?} {sequence}");
    }
}

#[test]
fn a_million_mutations_do_not_panic() {
    let mut rng = Rng::from_number(3711);
    let mut legs: Vec<_> = Suite::ALL.iter().map(|suite| pair(*suite)).collect();
    let seeds: Vec<_> = legs
        .iter_mut()
        .map(|(a, _)| {
            let mut control = report(7);
            a.seal_control(&mut control, 0).unwrap();
            let mut short = packet(7, 1);
            short.truncate(40);
            a.seal(&mut short, 0).unwrap();
            (short, control)
        })
        .collect();
    let (mut taken, mut bytes) = (0, Vec::new());
    for n in 0..1_000_000 {
        let at = n / 2 % legs.len();
        bytes.clone_from(if n % 2 == 0 { &seeds[at].0 } else { &seeds[at].1 });
        mutate(&mut bytes, &mut rng);
        let open = if n % 2 == 0 { Secured::open } else { Secured::open_control };
        taken += u32::from(open(&mut legs[at].1, T, &mut bytes).is_ok());
    }
    // A few mutations change nothing, and their packets come once each.
    assert!(taken <= 8, "{taken}");
}
