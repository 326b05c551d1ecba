//! Pairs that rest, come back, move, fail and are remembered, with sockets on loopback.

use super::super::tests::{Claim, HERE};
use super::*;
use std::net::UdpSocket;

fn sockets(ports: (u16, u16), files: usize) -> Sockets {
    Sockets::new(vec![Pairs::new(HERE, ports, 0, 1)], Epoll::new().unwrap(), files)
}

fn id(number: u64) -> PortId {
    PortId { plane: 0, number }
}

fn at(ms: u64) -> Instant {
    Instant(ms * 1_000_000)
}

/// What the sockets that can be read have, as the plane's thread reads them.
fn heard(sockets: &mut Sockets, now: Instant) -> Vec<Received> {
    let ready: Vec<u64> = sockets.epoll.wait(Some(Duration::ZERO)).unwrap().collect();
    let received = ready.into_iter().map(|token| sockets.receive(now, token, &mut [0; 99]));
    received.filter(|received| *received != Received::Nothing).collect()
}

/// Legs by number at ms: `+1@0` opens, `-1@5` closes, `~@7` lets time pass, `!2@9` is a late packet to that port that is
/// read, `.2@9` one that is not read; ports are counted from the first of `range`. The ports that the opened legs got,
/// and how many pairs rest.
fn check(range: &Claim, files: usize, steps: &str, ports: &str, resting: usize) {
    let (mut sockets, peer) = (sockets(range.ports(), files), UdpSocket::bind((HERE, 0)).unwrap());
    let (mut got, first) = (Vec::new(), range.ports().0);
    for step in steps.split(' ') {
        let (what, ms) = step.split_once('@').unwrap();
        let (what, number) = what.split_at(1);
        let (now, number) = (at(ms.parse().unwrap()), number.parse().unwrap_or(0));
        match what {
            "+" => got.push(match sockets.open(now, id(number), false) {
                Ok((local, _)) => (local.port() - first).to_string(),
                Err(_) => "-".to_owned(),
            }),
            "-" => assert!(sockets.close(now, id(number), None).is_none()),
            "~" => sockets.time_passed(now),
            _ => {
                peer.send_to(b"late", (HERE, first + number as u16)).unwrap();
                if what == "!" {
                    heard(&mut sockets, now);
                }
            }
        }
    }
    assert_eq!((got.join(" ").as_str(), sockets.resting.len()), (ports, resting), "{steps}");
    let rest: Vec<_> = heard(&mut sockets, at(0));
    assert!(rest.is_empty(), "late packets are nobody's: {rest:?}");
}

#[test]
fn pairs_rest_before_they_are_used_again() {
    let range = &Claim::new(4);
    check(range, 600, "+1@0 +2@0 -1@10 +3@1000 -2@1500", "0 2 4", 2);
    check(range, 600, "+1@0 -1@10 +2@2010 +3@2010", "0 0 2", 0);
    check(range, 600, "+1@0 +2@0 -2@10 -1@10 +3@3000 +4@3000", "0 2 2 0", 0);
    // None is left: one that has not rested is better than none, and a quiet one is better than a noisy one.
    check(range, 600, "+1@0 +2@0 +3@0 +4@0 +5@0 -3@10 -1@20 +6@30", "0 2 4 6 - 4", 1);
    check(range, 600, "+1@0 +2@0 +3@0 +4@0 -3@10 -1@20 !4@25 +6@30 +7@30", "0 2 4 6 0 4", 0);
    // Late packets: those read make a pair noisy, and it is closed; others are drained.
    check(range, 600, "+1@0 -1@10 !0@1000 +2@2500", "0 2", 0);
    check(range, 600, "+1@0 -1@10 !0@1000 +2@3000", "0 0", 0);
    check(range, 600, "+1@0 -1@10 .0@10 .1@10 .0@10 +2@2010", "0 0", 0);
    check(range, 600, "+1@0 .0@5 -1@10 +2@2010 -2@2020", "0 0", 1);
    // Not needed for long; more than there may be.
    check(range, 600, "+1@0 +2@0 -1@0 -2@10 ~@60000", "0 2", 1);
    check(range, 6, "+1@0 +2@0 -1@0 -2@10 +3@20", "0 2 4", 1);
}

/// Whose its pair was is told a leg that gets the only pair there is at `ms`, after the steps: `-a@5` a leg that heard
/// this peer ends, `-@5` one that heard nobody, `!b@5` a late packet from there, `?b@5` one that is not RTP.
fn check_previous(files: usize, steps: &str, ms: u64, expect: Option<char>) {
    let (range, phones) = (Claim::new(1), ["a", "b"].map(|name| (name, UdpSocket::bind((HERE, 0)).unwrap())));
    let phone = |name: &str| phones.iter().find(|(n, _)| *n == name).map(|(_, socket)| socket);
    let former =
        |name: &str| Some(Former { address: phone(name)?.local_addr().unwrap(), ssrc: name.as_bytes()[0].into() });
    let mut sockets = sockets(range.ports(), files);
    for step in steps.split(' ') {
        let (what, now) = step.split_once('@').unwrap();
        let (now, name) = (at(now.parse().unwrap()), &what[1..]);
        if what.starts_with('-') {
            sockets.open(now, id(1), false).unwrap();
            assert!(sockets.close(now, id(1), former(name)).is_none());
        } else {
            let rtp = [0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, name.as_bytes()[0], 0x55];
            let late = if what.starts_with('!') { &rtp[..] } else { b"not RTP, but long enough" };
            phone(name).unwrap().send_to(late, (HERE, range.ports().0)).unwrap();
            heard(&mut sockets, now);
        }
    }
    let (_, previous) = sockets.open(at(ms), id(2), false).unwrap();
    assert_eq!(previous, expect.and_then(|name| former(&name.to_string())), "{steps} {ms}");
}

#[test]
fn a_leg_is_told_whose_its_pair_was() {
    for files in [600, 0] {
        // Kept, or closed and bound again.
        check_previous(files, "-a@0", 3_000, Some('a'));
        check_previous(files, "-a@0", 31_999, Some('a'));
        check_previous(files, "-a@0", 32_000, None);
        check_previous(files, "-a@0 -b@10", 3_000, Some('b'));
        check_previous(files, "-a@0 -@10", 3_000, Some('a')); // nobody was there in between
        check_previous(files, "-@0", 3_000, None);
    }
    check_previous(600, "-@0 !b@500", 3_000, Some('b')); // whom the leg had never heard
    check_previous(600, "-@0 ?b@500", 3_000, None);
    check_previous(600, "-@0 ?a@400 !b@500", 3_000, Some('b'));
    check_previous(600, "-a@0 !b@500", 3_000, Some('a'));
}

#[test]
fn a_leg_does_not_hear_who_was_there_before_it() {
    let (range, peer) = (Claim::new(1), UdpSocket::bind((HERE, 0)).unwrap());
    let mut sockets = sockets(range.ports(), 600);
    let (local, _) = sockets.open(at(0), id(1), false).unwrap();
    let from = peer.local_addr().unwrap();
    let late = || {
        for port in [local.port(), local.port() + 1] {
            (0..300).for_each(|_| _ = peer.send_to(&[0; 172], (HERE, port)).unwrap());
        }
    };
    late();
    sockets.close(at(0), id(1), None);
    assert_eq!(sockets.open(at(5000), id(2), false).unwrap().0, local);
    assert_eq!(heard(&mut sockets, at(5000)), [], "a full buffer of the old call");
    peer.send_to(b"new", local).unwrap();
    let new = Received::Datagram { port: id(2), control: false, length: 3, from };
    assert_eq!(heard(&mut sockets, at(5000)), [new]);
    // The same where there is no time to rest.
    late();
    sockets.close(at(5001), id(2), None);
    assert_eq!(sockets.open(at(5001), id(3), false).unwrap().0, local);
    assert_eq!(heard(&mut sockets, at(5001)), []);
}

#[test]
fn idle_pairs_go_in_small_portions() {
    let range = Claim::new(20);
    let mut sockets = sockets(range.ports(), 600);
    (0..20).for_each(|n| _ = sockets.open(at(0), id(n), false).unwrap());
    (0..20).for_each(|n| _ = sockets.close(at(0), id(n), None));
    assert_eq!(sockets.deadline(), Some(at(60_000)));
    sockets.time_passed(at(59_999));
    assert_eq!(sockets.resting.len(), 20);
    sockets.time_passed(at(60_000));
    assert_eq!(sockets.resting.len(), 20 - CLOSED_AT_ONCE);
    (0..2).for_each(|_| sockets.time_passed(at(60_000)));
    assert_eq!((sockets.resting.len(), sockets.deadline()), (0, None));
    assert!(UdpSocket::bind((HERE, range.ports().0)).is_ok(), "closed");
}

/// Two planes that share this range.
fn two(range: &Claim, files: usize) -> [Sockets; 2] {
    [0, 1].map(|plane| Sockets::new(vec![Pairs::new(HERE, range.ports(), plane, 2)], Epoll::new().unwrap(), files))
}

#[test]
fn a_pair_goes_with_its_leg_and_comes_home() {
    let range = Claim::new(4);
    let [mut home, mut away] = two(&range, 600);
    let peer = UdpSocket::bind((HERE, 0)).unwrap();
    let (old, new) = (id(1), PortId { plane: 1, number: 1 });
    let (local, _) = home.open(at(0), old, false).unwrap();
    peer.send_to(b"on its way", local).unwrap();
    away.adopt(new, home.release(old).unwrap()).unwrap();
    assert!(home.release(old).is_none() && home.close(at(0), old, None).is_none());
    assert_eq!(heard(&mut home, at(0)), []);
    let from = peer.local_addr().unwrap();
    let expect = Received::Datagram { port: new, control: false, length: 10, from };
    assert_eq!(heard(&mut away, at(0)), [expect], "what was not read goes with it");
    // Its place is taken meanwhile, also after a panic at home.
    assert_eq!(home.open(at(0), id(2), false).unwrap().0.port(), range.ports().0 + 4);
    assert_eq!(home.close_all(), [id(2)]);
    assert_eq!(home.open(at(0), id(3), false).unwrap().0.port(), range.ports().0 + 4);
    assert!(home.open(at(0), id(4), false).is_err());
    let former = Some(Former { address: from, ssrc: 7 });
    let pair = away.close(at(0), new, former).unwrap();
    home.come_home(at(0), pair);
    assert_eq!((away.resting.len(), home.resting.len()), (0, 1));
    assert_eq!(home.open(at(0), id(5), false).unwrap(), (local, former), "whose it was there is known here");
    // A panic away: it is closed, and free at home.
    away.adopt(new, home.release(id(5)).unwrap()).unwrap();
    assert_eq!(away.close_all(), [new]);
    assert_eq!(home.open(at(0), id(6), false).unwrap().0, local);
}

/// A moved pair ends in this way; its home, which has no other, can bind it again and keeps as many as it may.
fn check_end(what: &str, files: usize, end: impl FnOnce(&mut Sockets, &mut Sockets, Pair, PortId)) {
    let range = Claim::new(2);
    let [mut home, mut away] = two(&range, files);
    let (local, _) = home.open(at(0), id(1), false).unwrap();
    let pair = home.release(id(1)).unwrap();
    assert!(home.open(at(0), id(2), false).is_err(), "{what}: it is taken");
    end(&mut home, &mut away, pair, PortId { plane: 1, number: 1 });
    assert_eq!((home.resting.len(), away.resting.len(), away.slots.len()), (0, 0, 0), "{what}");
    assert_eq!(home.open(at(0), id(3), false).unwrap().0, local, "{what}");
}

#[test]
fn a_moved_pair_is_free_at_home_however_it_ends() {
    check_end("on its way", 600, |_, _, pair, _| drop(pair));
    check_end("where it cannot be watched", 600, |_, away, pair, port| {
        away.epoll = Epoll::broken().unwrap();
        assert!(away.adopt(port, pair).is_err());
    });
    check_end("after faults away", 600, |_, away, mut pair, port| {
        pair.faults = 1;
        away.adopt(port, pair).unwrap();
        assert!(away.close(at(0), port, None).is_none(), "it is not sent home");
    });
    check_end("after faults, at home", 600, |home, _, mut pair, _| {
        pair.faults = 1;
        home.come_home(at(0), pair);
    });
    check_end("more than home may keep", 0, |home, _, pair, _| home.come_home(at(0), pair));
}

/// Whether somebody listens on a pair's second port.
fn is_open(local: SocketAddr) -> bool {
    UdpSocket::bind((HERE, local.port() + 1)).is_err()
}

/// RFC 5761: a leg that shares its port has one file, whoever has had its pair before, and one that does not has two.
#[test]
fn a_leg_that_shares_its_port_has_one_socket() {
    let (range, peer) = (Claim::new(1), UdpSocket::bind((HERE, 0)).unwrap());
    let mut sockets = sockets(range.ports(), 600);
    let from = peer.local_addr().unwrap();
    let mut now = 0;
    // What the legs that have the pair in turn want, one after the other.
    for wishes in [&[true][..], &[true, true], &[false], &[false, true], &[true, false], &[false, true, false], &[]] {
        now += 3_000;
        let (local, _) = sockets.open(at(now), id(1), false).unwrap();
        for on in wishes {
            sockets.share(id(1), *on);
            assert_eq!((is_open(local), sockets.robbed), (!on, 0), "{wishes:?}");
            for (port, control) in [(local.port(), false), (local.port() + 1, true)] {
                _ = peer.send_to(b"one", (HERE, port));
                let datagram = Received::Datagram { port: id(1), control, length: 3, from };
                let expect = if control && *on { vec![] } else { vec![datagram] };
                assert_eq!(heard(&mut sockets, at(now)), expect, "{wishes:?}");
                _ = peer.take_error(); // nobody listens there
            }
        }
        assert!(sockets.close(at(now), id(1), None).is_none());
        assert_eq!(sockets.resting.len(), 1, "it is kept for the next leg");
    }
}

/// Somebody else has taken the second port of a leg that wants it back: the leg goes on, and nobody gets its pair later.
#[test]
fn a_second_port_that_is_gone_is_done_without() {
    let range = Claim::new(2);
    let mut sockets = sockets(range.ports(), 600);
    let (local, _) = sockets.open(at(0), id(1), false).unwrap();
    sockets.share(id(1), true);
    let thief = UdpSocket::bind((HERE, local.port() + 1)).unwrap();
    sockets.share(id(1), false);
    assert_eq!(sockets.robbed, 1, "and it is told");
    sockets.send_control(id(1), thief.local_addr().unwrap(), b"from nowhere");
    assert_eq!(sockets.unsent, 1);
    sockets.send(id(1), thief.local_addr().unwrap(), b"audio");
    assert_eq!(thief.recv_from(&mut [0; 9]).unwrap(), (5, local));
    assert!(sockets.close(at(0), id(1), None).is_none());
    assert_eq!((sockets.resting.len(), sockets.table.iter().flatten().count()), (0, 0), "closed");
    assert_ne!(sockets.open(at(5_000), id(2), false).unwrap().0, local);
}

#[test]
fn a_pair_with_one_socket_moves_and_gets_its_second_there() {
    let range = Claim::new(2);
    let [mut home, mut away] = two(&range, 600);
    let (local, _) = home.open(at(0), id(1), false).unwrap();
    home.share(id(1), true);
    let new = PortId { plane: 1, number: 1 };
    away.adopt(new, home.release(id(1)).unwrap()).unwrap();
    assert!(!is_open(local));
    away.share(new, false);
    let peer = UdpSocket::bind((HERE, 0)).unwrap();
    peer.send_to(b"report", (HERE, local.port() + 1)).unwrap();
    let from = peer.local_addr().unwrap();
    assert_eq!(heard(&mut away, at(0)), [Received::Datagram { port: new, control: true, length: 6, from }]);
    away.share(new, true);
    home.come_home(at(0), away.close(at(0), new, None).unwrap());
    assert_eq!(home.open(at(3_000), id(2), false).unwrap().0, local);
}

/// IPv4 and IPv6 have the same ports, and pairs of their own: none is handed out as one of the other kind.
#[test]
fn each_kind_of_address_has_pairs_of_its_own() {
    let ports = (20_400, 20_403);
    let six = std::net::IpAddr::from(std::net::Ipv6Addr::LOCALHOST);
    let pairs = [HERE, six].map(|bind| Pairs::new(bind, ports, 0, 1));
    let mut sockets = Sockets::new(pairs.into(), Epoll::new().unwrap(), 1_000);
    let mut open = |ms, number, six: bool| sockets.open(at(ms), id(number), six).map(|(local, _)| local);
    let both = [open(0, 1, false).unwrap(), open(0, 2, true).unwrap()];
    assert_eq!(both.map(|local| (local.is_ipv6(), local.port())), [(false, 20_400), (true, 20_400)]);
    [1, 2].into_iter().for_each(|number| _ = sockets.close(at(1), id(number), None));
    for (number, kind) in [(3, true), (4, false)] {
        let (local, _) = sockets.open(at(10_000), id(number), kind).unwrap();
        assert_eq!((local.is_ipv6(), local.port()), (kind, 20_400), "the one that has rested");
    }
    assert!(sockets.open(at(10_000), id(5), true).unwrap().0.is_ipv6());
    let told = sockets.open(at(10_000), id(6), true).unwrap_err().to_string();
    assert!(told.starts_with("no free pair of ports"), "{told}");
    assert!(!sockets.open(at(10_000), id(7), false).unwrap().0.is_ipv6());
}
