//! What legs and their peers report to each other, and what becomes of it.

use super::*;
use crate::media::rtcp::{Block, Compound, Sent};

/// Where the peer of port `n` sends its reports from.
fn control(n: u64) -> SocketAddr {
    SocketAddr::new(peer(n).ip(), 4001)
}

fn written(compound: &Compound<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    compound.write(&mut bytes);
    bytes
}

impl Rig {
    /// A report of the peer of port `n`, whose packets have the source 77.
    fn reports(&mut self, n: u64, from: SocketAddr, compound: &Compound<'_>) {
        let bytes = written(&Compound { ssrc: 77, ..*compound });
        self.input(Input::Control { port: id(n), from, bytes: &bytes });
    }

    /// The last report of port `n`, in which it says something of the source 77.
    fn last_report(&self, n: u64) -> (SocketAddr, Compound<'_>) {
        let (_, to, bytes) = self.controls.iter().rfind(|(port, ..)| *port == n).expect("it has reported");
        (*to, Compound::read(bytes, 77).expect("we send RTCP"))
    }
}

/// RFC 3550 §6.3.7: nobody has heard of who has never sent anything.
#[test]
fn who_has_sent_nothing_leaves_without_a_word() {
    for (lasts, reports) in [(20, 0), (3_100, 2)] {
        let mut rig = Rig::with(1..=1);
        rig.run(lasts);
        rig.command(Command::Close { port: id(1) });
        assert_eq!(rig.controls.len(), reports, "after {lasts} ms");
    }
}

#[test]
fn legs_report_from_the_beginning_to_the_end() {
    let mut rig = Rig::with(1..=1);
    rig.run(3_100);
    let (to, report) = rig.last_report(1);
    assert_eq!((rig.controls.len(), to, report.sent, report.heard, report.bye), (1, control(1), None, None, false));
    let (ssrc, name) = (report.ssrc, report.cname.unwrap().to_vec());
    assert_eq!(name.len(), 24);
    rig.command(music(1));
    for n in 0..500 {
        if n % 5 != 0 {
            rig.from(peer(1), 1, 0, n, 0x44); // one of five is lost
        }
        rig.run(20);
    }
    let (_, report) = rig.last_report(1);
    let (sent, heard) = (report.sent.expect("it sends"), report.heard.expect("it hears"));
    assert_eq!((report.ssrc, report.cname), (ssrc, Some(&name[..])), "one name, one source");
    assert_eq!(sent.octets, sent.packets * 160);
    let at = rig.sent.iter().rfind(|s| s.timestamp.wrapping_sub(sent.timestamp) as i32 <= 0).unwrap();
    assert!(sent.timestamp.wrapping_sub(at.timestamp) <= 160 && sent.packets > 300, "{sent:?} {at:?}");
    assert!((50..53).contains(&heard.fraction) && heard.lost > 60 && heard.highest < 500, "{heard:?}");
    let reports = rig.controls.len();
    assert!((2..=6).contains(&reports), "{reports}");
    // On hold too.
    rig.command(Command::Stop { port: id(1) });
    rig.command(Command::Connect {
        port: id(1),
        session: Session { direction: Direction::Inactive, ..session(1, Codec::Pcmu) },
    });
    rig.run(60_000);
    let more = rig.controls.len() - reports;
    assert!((10..=29).contains(&more) && rig.last_report(1).1.sent.is_none(), "{more}");
    rig.command(Command::Close { port: id(1) });
    assert!(rig.last_report(1).1.bye);
    let stats = rig.plane.stats();
    assert_eq!((stats.controls_out, stats.controls_in), (rig.controls.len() as u64, 0));
    assert_eq!(rig.plane.deadline(), None);
}

#[test]
fn a_port_that_was_never_connected_says_nothing() {
    let mut rig = Rig::new(Settings::default());
    rig.command(Command::Open { port: id(1), six: false });
    rig.reports(1, control(1), &Compound::default());
    rig.run(10_000);
    rig.command(Command::Close { port: id(1) });
    assert!(rig.controls.is_empty());
    assert_eq!(rig.dropped(Drop::Unconnected), 1);
}

#[test]
fn reports_go_where_the_peer_takes_them() {
    let mut rig = Rig::with(1..=1);
    let mut check = |connect: Option<Session>, heard: Option<SocketAddr>, expect: Option<SocketAddr>| {
        connect.into_iter().for_each(|session| rig.command(Command::Connect { port: id(1), session }));
        heard.into_iter().for_each(|from| rig.reports(1, from, &Compound::default()));
        rig.controls.clear();
        rig.run(7_000);
        assert_eq!(rig.controls.last().map(|(_, to, _)| *to), expect);
    };
    let at = |ip: [u8; 4], port: u16| SocketAddr::from((ip, port));
    check(None, None, Some(control(1)));
    check(None, Some(at([10, 0, 2, 1], 7777)), Some(at([10, 0, 2, 1], 7777))); // its NAT has chosen
    check(None, Some(at([10, 0, 2, 150], 7777)), Some(at([10, 0, 2, 1], 7777))); // a stranger has not
    let elsewhere = Session { remote_control: at([10, 9, 9, 9], 5), ..session(2, Codec::Pcmu) };
    check(Some(elsewhere), None, Some(at([10, 9, 9, 9], 5)));
    let held = Session { remote: at([0; 4], 4000), remote_control: at([0; 4], 4001), ..session(1, Codec::Pcmu) };
    check(Some(held), None, None);
}

#[test]
fn reports_share_the_port_of_audio_if_agreed() {
    let mut rig = Rig::with(1..=1);
    let mut shared = session(1, Codec::Pcmu);
    shared.agreed.mux = true;
    rig.command(Command::Connect { port: id(1), session: shared });
    rig.run(3_100);
    assert_eq!(rig.last_report(1).0, peer(1));
    let bytes = written(&Compound { ssrc: 77, ..Compound::default() });
    rig.input(Input::Packet { port: id(1), from: peer(1), bytes: &bytes });
    let stats = rig.plane.port_stats(id(1)).unwrap();
    assert_eq!((stats.controls_in, stats.dropped), (1, 0));
    rig.command(Command::Connect { port: id(1), session: session(1, Codec::Pcmu) });
    rig.input(Input::Packet { port: id(1), from: peer(1), bytes: &bytes });
    assert_eq!(rig.dropped(Drop::Malformed), 1, "not agreed");
}

#[test]
fn a_legs_quality_is_known_at_its_end() {
    let mut rig = Rig::with(1..=1);
    rig.command(music(1));
    rig.talk(1, 0, 400, 0x44);
    let (_, report) = rig.last_report(1);
    let sent = report.sent.expect("it sends");
    let ssrc = report.ssrc;
    // The peer answers what we sent at `ntp`, 2 s later by its clock; 37 ms are the way there and back.
    let sent_at =
        Duration::from_nanos(((sent.ntp >> 32) * 1_000_000_000) + (((sent.ntp & 0xffff_ffff) * 1_000_000_000) >> 32));
    rig.now = Instant::ZERO + sent_at + Duration::from_millis(2_037);
    let last_report = (sent.ntp >> 16) as u32;
    let heard = Block { ssrc, fraction: 3, lost: 12, jitter: 40, last_report, delay: 2 << 16, ..Block::default() };
    rig.reports(1, control(1), &Compound { heard: Some(heard), sent: Some(Sent::default()), ..Compound::default() });
    let stats = rig.plane.port_stats(id(1)).unwrap();
    let us = stats.quality.round_trip_us.unwrap();
    assert!(us.abs_diff(37_000) < 100, "{us}");
    assert_eq!((stats.quality.peer_lost, stats.quality.peer_jitter, stats.lost, stats.jitter_ms()), (12, 40, 0, 0));
    assert!(!stats.quality.one_way && stats.lost_permille() == 0);
}

#[test]
fn audio_that_goes_one_way_is_noticed() {
    // What we do, what the peer does, whether it is one-way.
    for (plays, talks, direction, expect) in [
        (true, false, Direction::SendRecv, true),
        (true, true, Direction::SendRecv, false),
        (false, false, Direction::SendRecv, false),
        (true, false, Direction::SendOnly, false),
    ] {
        let mut rig = Rig::with(1..=1);
        rig.command(Command::Connect { port: id(1), session: Session { direction, ..session(1, Codec::Pcmu) } });
        if plays {
            rig.command(music(1));
        }
        for n in 0..17 {
            rig.reports(1, control(1), &Compound::default()); // life, not audio
            if talks {
                rig.from(peer(1), 1, 0, n * 50, 0x44);
            }
            rig.run(1_000);
        }
        let one_way = rig.plane.port_stats(id(1)).unwrap().quality.one_way;
        assert_eq!((one_way, rig.plane.stats().one_way), (expect, u64::from(expect)), "{plays} {talks} {direction:?}");
    }
}

#[test]
fn reports_are_life_and_what_is_no_report_is_not() {
    let mut rig = Rig::with(1..=1);
    for _ in 0..10 {
        rig.reports(1, control(1), &Compound::default());
        rig.run(20_000);
    }
    assert!(rig.events.is_empty());
    for bytes in [&b"\x80\xca\x00\x01ssrc"[..], b"\x80\xc9\x00\x09ssrc", b"hello", b""] {
        rig.input(Input::Control { port: id(1), from: control(1), bytes });
    }
    rig.run(10_000);
    assert_eq!((rig.events.join(" ").as_str(), rig.dropped(Drop::Malformed)), ("silent 1", 4));
}

#[test]
fn reports_go_on_after_a_move() {
    let mut rig = Rig::with(1..=1);
    rig.run(3_100);
    let ssrc = rig.last_report(1).1.ssrc;
    let mut other = Rig::new(Settings { plane: 1, ..Settings::default() });
    other.now = rig.now;
    other.command(Command::Move { port: id(1), to: 1 });
    rig.command(Command::Move { port: id(1), to: 1 });
    let moving = Box::new(rig.departed.pop().unwrap());
    other.input(Input::Arrived { moving });
    let before = rig.controls.len();
    rig.run(20_000);
    other.run(20_000);
    assert_eq!((rig.controls.len(), other.last_report(1).1.ssrc), (before, ssrc));
    assert!((3..=9).contains(&other.controls.len()));
}
