//! Planes with their threads and real sockets, on loopback.

use super::*;
use crate::ids::Rng;
use crate::media::{Codec, Law, Session, SoundId, Source};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};

/// How long a test waits for what must come.
const LONG: Duration = Duration::from_secs(20);
pub const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Where tests, of whatever process, claim the ports that they use on [`HERE`].
const CLAIMS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 93, 17, 1));

/// A range of ports that no other test has, and none that the system gives out by itself.
pub struct Claim {
    first: u16,
    claims: Vec<UdpSocket>,
}

impl Claim {
    /// So many pairs, from an even port on.
    pub fn new(pairs: u16) -> Claim {
        let mut claims = Vec::new();
        for _ in 0..1000 {
            // Chance, from the system: below the ports that it gives out (32,768 and up), and above the well-known.
            let chance = UdpSocket::bind((HERE, 0)).unwrap().local_addr().unwrap().port();
            let first = 10_000 + chance % 10_000 * 2;
            let ports = first..first + 2 * pairs;
            let is_free = |port: &u16| UdpSocket::bind((HERE, *port)).is_ok();
            claims.clear();
            claims.extend(ports.clone().map_while(|port| UdpSocket::bind((CLAIMS, port)).ok()));
            if claims.len() == ports.len() && ports.clone().all(|port| is_free(&port)) {
                return Claim { first, claims };
            }
        }
        panic!("{pairs} pairs of ports side by side are nowhere free");
    }

    /// The first and the last.
    pub fn ports(&self) -> (u16, u16) {
        (self.first, self.first + (self.claims.len() - 1) as u16)
    }
}

/// Receives a datagram, however often the system interrupts the wait for it.
fn hear(phone: &UdpSocket, bytes: &mut [u8]) -> (usize, SocketAddr) {
    loop {
        match phone.recv_from(bytes) {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            received => return received.expect("the phone is sent something"),
        }
    }
}

/// Planes with these ports; what they tell comes through the channel, except the first when `panics`.
fn planes(count: u16, ports: (u16, u16), panics: bool) -> (Planes, Receiver<Notice>) {
    let (told, notices) = channel();
    let first = Arc::new(AtomicBool::new(panics));
    let tell = move |notice| {
        assert!(!first.swap(false, Ordering::Relaxed), "planted: the first notice ends in a panic");
        _ = told.send(notice);
    };
    let (terms, tones) = Default::default();
    let media =
        MediaSettings { bind: HERE, advertised: HERE, other: None, ports, place: (0, 0), planes: None, terms, tones };
    let mut sounds = Sounds::default();
    let samples: Vec<i16> = (0..50).flat_map(|n| [Law::Mu.decode(n); 160]).collect();
    sounds.add_samples("fifty frames", &samples);
    let planes = Planes::start(
        count,
        &media,
        Settings::default(),
        Arc::new(sounds),
        (Clock::start(), &Rng::from_number(1)),
        tell,
    )
    .unwrap();
    (planes, notices)
}

fn events(notices: &Receiver<Notice>) -> impl Iterator<Item = Event> + '_ {
    std::iter::from_fn(|| match notices.recv_timeout(LONG).expect("there is something to tell") {
        Notice::Event(event) => Some(event),
        Notice::Ended(why) => panic!("{why}"),
    })
}

fn id(plane: u16) -> PortId {
    PortId { plane, number: u64::from(plane) }
}

fn ask(planes: &Planes, commands: impl IntoIterator<Item = Command>) {
    let mut to = planes.sender();
    commands.into_iter().for_each(|command| to.send(command));
    to.flush(false);
}

/// What is not waited for may wait a little, while the engine's thread looks again soon anyway.
#[test]
fn a_plane_is_woken_at_once_for_ports_and_a_little_later_for_all_else() {
    let (line, mut end) = Line::new().unwrap();
    let mut to = Commands { lines: Arc::from([line]), left: BTreeMap::new() };
    let mut wakes = |commands: &[Command], again| {
        commands.iter().for_each(|command| to.send(command.clone()));
        to.flush(again);
        to.lines[0].wake.clear();
        end.epoll.wait(Some(Duration::ZERO)).unwrap().count() == 1
    };
    let (opens, leaves) = (Command::Open { port: id(0), six: false }, Command::Leave { port: id(0) });
    assert!(wakes(std::slice::from_ref(&opens), true) && !wakes(&[], true));
    assert!(wakes(std::slice::from_ref(&leaves), false), "there may be no further look");
    assert!(!wakes(std::slice::from_ref(&leaves), true));
    let looks: Vec<bool> = (0..LOOKS).map(|_| wakes(&[], true)).collect();
    assert_eq!(looks, [false, false, true]);
    assert!(!wakes(&[leaves], true) && wakes(&[opens], true) && !wakes(&[], false), "one goes with the other");
}

/// A phone, and the session with it.
fn phone() -> (UdpSocket, Session) {
    let socket = UdpSocket::bind((HERE, 0)).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let remote = socket.local_addr().unwrap();
    let reports = SocketAddr::from((HERE, 9)); // thrown away
    let session = Session { remote_control: reports, ..Session::plain(remote, Codec::Pcmu) };
    (socket, session)
}

fn open(planes: &Planes, notices: &Receiver<Notice>, port: PortId) -> SocketAddr {
    ask(planes, [Command::Open { port, six: false }]);
    match events(notices).next() {
        Some(Event::Opened { port: opened, local }) if opened == port => local,
        other => panic!("{other:?}"),
    }
}

#[test]
fn commands_find_their_plane_and_events_come_back() {
    let (planes, notices) = planes(3, (1, 1), false);
    ask(&planes, [2, 0, 7].map(|plane| Command::Open { port: id(plane), six: false })); // 7 is nowhere
    let mut ports: Vec<_> = events(&notices).take(2).map(|event| event.port().plane).collect();
    ports.sort_unstable();
    assert_eq!(ports, [0, 2]);
    ask(&planes, [Command::Stop { port: PortId { plane: 1, number: 9 } }]);
    let strays: Vec<_> = planes.figures().iter().map(|f| f.plane.strays).collect();
    assert_eq!((planes.count(), strays), (3, vec![0, 1, 0]));
    planes.stop();
    ask(&planes, [Command::Open { port: id(0), six: false }]);
    assert!(planes.figures().is_empty() && notices.recv().is_err());
}

#[test]
fn a_panic_ends_the_legs_of_a_plane_and_not_the_plane() {
    let range = Claim::new(10);
    let (planes, notices) = planes(1, range.ports(), true);
    ask(&planes, [Command::Open { port: id(0), six: false }]); // the panic: nobody is told that it is open
    let Some(Event::OpenFailed { port, why }) = events(&notices).next() else { panic!("its port is gone") };
    assert_eq!((port, why.as_str()), (id(0), "its audio thread failed"));
    let again = PortId { plane: 0, number: 2 };
    let local = open(&planes, &notices, again);
    assert_eq!(
        (local.port() - range.ports().0, planes.figures()[0].plane.ports),
        (2, 1),
        "it goes on, with this leg alone"
    );
}

#[test]
fn a_plane_that_cannot_wait_ends_its_legs_and_says_so() {
    let range = Claim::new(10);
    let (planes, notices) = planes(2, range.ports(), false);
    open(&planes, &notices, id(1));
    planes.lines[1].post(Message::Befall(|sockets| sockets.epoll = Epoll::broken().unwrap()));
    let Some(Event::OpenFailed { port, why }) = events(&notices).next() else { panic!("its port is gone") };
    assert_eq!((port, why.as_str()), (id(1), "its audio thread failed"));
    let Ok(Notice::Ended(why)) = notices.recv_timeout(LONG) else { panic!("it has ended") };
    assert!(why.starts_with("an audio thread cannot wait for its sockets: "), "{why}");
    assert_eq!(planes.figures().len(), 1, "the other one goes on");
}

#[test]
fn a_leg_whose_sockets_fail_is_told_once_and_costs_nothing_more() {
    let range = Claim::new(10);
    let (planes, notices) = planes(1, range.ports(), false);
    let healthy = open(&planes, &notices, PortId { plane: 0, number: 1 });
    let broken = open(&planes, &notices, PortId { plane: 0, number: 2 });
    planes.lines[0].post(Message::Befall(|sockets| sockets.break_leg(PortId { plane: 0, number: 2 })));
    let Some(Event::OpenFailed { port, why }) = events(&notices).next() else { panic!("its port is gone") };
    assert!(port.number == 2 && why.starts_with("its sockets fail: "), "{port:?} {why}");
    // Others are served, and its sockets are closed, not kept for the next leg.
    let (phone, session) = phone();
    let port = PortId { plane: 0, number: 1 };
    ask(
        &planes,
        [Command::Connect { port, session }, Command::Play { port, source: Source::Loop(SoundId(0)), token: 1 }],
    );
    assert_eq!(hear(&phone, &mut [0; 200]), (172, healthy));
    assert!(UdpSocket::bind(broken).is_ok());
    assert_eq!(planes.figures()[0].plane.ports, 1);
}

/// Receives packets until `enough` have come: the first byte of each payload.
fn one_line(phone: &UdpSocket, enough: usize, mut every: impl FnMut(usize)) -> Vec<u8> {
    let (mut bytes, mut heard, mut last) = ([0; 200], Vec::new(), None);
    let mut from = None;
    while heard.len() < enough {
        let (length, sender) = hear(phone, &mut bytes);
        assert_eq!((length, *from.get_or_insert(sender)), (172, sender), "from one address");
        let sequence = u16::from_be_bytes([bytes[2], bytes[3]]);
        let timestamp = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        let ssrc = u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        if let Some((s, t, same)) = last {
            assert_eq!((sequence, ssrc), (u16::wrapping_add(s, 1), same), "nothing is lost or heard twice");
            let step = timestamp.wrapping_sub(t);
            // A thread that had to wait for others may begin anew, with a marker.
            assert!(step == 160 || bytes[1] & 0x80 != 0 && step.is_multiple_of(8), "{step}");
        }
        last = Some((sequence, timestamp, ssrc));
        heard.push(bytes[12]);
        every(heard.len());
    }
    heard
}

#[test]
fn a_leg_moves_and_its_listener_hears_one_line() {
    let range = Claim::new(10);
    let (planes, notices) = planes(2, range.ports(), false);
    let (phone, session) = phone();
    let local = open(&planes, &notices, id(0));
    let name = |plane| PortId { plane, number: 0 };
    let source = Source::Loop(SoundId(0));
    let play = Command::Play { port: id(0), source, token: 1 };
    ask(&planes, [Command::Connect { port: id(0), session }, play]);
    let mut packet = [0x55; 172];
    packet[..12].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let mut moves = 0;
    let heard = one_line(&phone, 60, |n| {
        packet[3] = n as u8;
        phone.send_to(&packet, local).unwrap();
        if n % 10 == 0 && n < 60 {
            let (from, to) = (moves % 2, 1 - moves % 2);
            ask(&planes, [Command::Move { port: name(from), to }]);
            moves += 1;
        }
    });
    let expect: Vec<u8> = (0..60).map(|n| Law::Mu.encode(Law::Mu.decode(n % 50))).collect();
    assert_eq!(heard, expect, "every frame once, wherever it is");
    ask(&planes, [Command::Close { port: name(1) }]);
    let mut told: Vec<_> = events(&notices).take(6).collect();
    let Some(Event::Closed { port, stats }) = told.pop() else { panic!("it is closed: {told:?}") };
    assert_eq!(
        (port, stats.packets_in, stats.dropped),
        (name(1), 60, 0),
        "every packet was heard, on one of the planes"
    );
    assert_eq!(told, [1, 0, 1, 0, 1].map(|plane| Event::Moved { port: name(plane) }));
    assert!(stats.packets_out >= 60);
    // Its ports are at home again: all five of plane 0 can be had, and those of plane 1.
    for n in 10..20 {
        open(&planes, &notices, PortId { plane: n % 2, number: u64::from(n) });
    }
}

/// Under load the thread rests between two looks; who listens on the same plane loses nothing by it, and what is asked of
/// the plane is done.
#[test]
fn a_busy_plane_rests_and_serves_everybody() {
    let range = Claim::new(10);
    let (planes, notices) = planes(1, range.ports(), false);
    let ((talker, talks), (listener, listens)) = (phone(), phone());
    let (busy, hears) = (PortId { plane: 0, number: 1 }, PortId { plane: 0, number: 2 });
    let at = open(&planes, &notices, busy);
    open(&planes, &notices, hears);
    let play = Command::Play { port: hears, source: Source::Loop(SoundId(0)), token: 1 };
    ask(
        &planes,
        [Command::Connect { port: busy, session: talks }, Command::Connect { port: hears, session: listens }, play],
    );
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // As fast as one can talk: many hundred packets in ten milliseconds.
            while !stop.load(Ordering::Relaxed) {
                talker.send_to(&[0x80; 172], at).unwrap();
            }
        });
        let heard = one_line(&listener, 60, |_| {});
        let expect: Vec<u8> = (0..60).map(|n| Law::Mu.encode(Law::Mu.decode(n % 50))).collect();
        let rests = planes.figures()[0].rests;
        let opened = open(&planes, &notices, PortId { plane: 0, number: 3 });
        stop.store(true, Ordering::Relaxed);
        assert_eq!(heard, expect, "the listener's frames, each once");
        assert!(rests > 0, "a busy plane never rested: the test proves nothing");
        assert!(opened.port() > range.ports().0);
    });
}

#[test]
fn legs_of_two_planes_are_bridged_on_one() {
    let range = Claim::new(10);
    let (planes, notices) = planes(2, range.ports(), false);
    let ((one, first), (two, second)) = (phone(), phone());
    let at = open(&planes, &notices, PortId { plane: 0, number: 1 });
    open(&planes, &notices, PortId { plane: 1, number: 2 });
    let (old, new, other) =
        (PortId { plane: 0, number: 1 }, PortId { plane: 1, number: 1 }, PortId { plane: 1, number: 2 });
    // In one breath, as the engine would.
    ask(
        &planes,
        [
            Command::Connect { port: old, session: first },
            Command::Connect { port: other, session: second },
            Command::Move { port: old, to: 1 },
            Command::Join { a: other, b: new },
        ],
    );
    assert_eq!(events(&notices).next(), Some(Event::Moved { port: new }));
    let mut packet = [0x55; 172];
    packet[..12].copy_from_slice(&[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
    one.send_to(&packet, at).unwrap();
    let mut heard = [0; 200];
    assert_eq!(hear(&two, &mut heard).0, 172);
    assert_eq!(heard[12..172], [0x55; 160]);
    assert_eq!(planes.figures().iter().map(|f| f.plane.bridges).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn a_leg_does_not_follow_the_peer_of_the_leg_before() {
    let range = Claim::new(1);
    let (planes, notices) = planes(1, range.ports(), false);
    let ((old, before), (new, session)) = (phone(), phone());
    let name = |number| PortId { plane: 0, number };
    let mut packet = [0x55; 172];
    packet[..12].copy_from_slice(&[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
    let counted = |enough: u64| {
        let stats = std::iter::from_fn(|| planes.figures().pop()).map(|figures| figures.plane);
        let foreign = crate::media::Drop::Foreign as usize;
        let mut both = stats.map(|stats| (stats.packets_in, stats.dropped[foreign]));
        both.find(|(heard, foreign)| heard + foreign >= enough).expect("the plane goes on")
    };
    // The next leg gets the only pair there is.
    let local = open(&planes, &notices, name(1));
    ask(&planes, [Command::Connect { port: name(1), session: before }]);
    assert_eq!(counted(0), (0, 0));
    old.send_to(&packet, local).unwrap();
    assert_eq!(counted(1), (1, 0));
    ask(&planes, [Command::Close { port: name(1) }]);
    assert!(matches!(events(&notices).next(), Some(Event::Closed { .. })));
    assert_eq!(open(&planes, &notices, name(2)), local);
    ask(&planes, [Command::Connect { port: name(2), session: session.clone() }]);
    assert_eq!(counted(1), (1, 0));
    for sequence in 1..=40 {
        packet[3] = sequence;
        old.send_to(&packet, local).unwrap();
    }
    assert_eq!(counted(41), (1, 40), "it goes on, and is a stranger");
    new.send_to(&packet, local).unwrap();
    assert_eq!(counted(42), (2, 40));
    // Both phones are remembered in their turn. The next call is the second phone's again, which is behind NAT: its SDP
    // names an address that only its own network knows.
    ask(&planes, [Command::Close { port: name(2) }]);
    assert!(matches!(events(&notices).next(), Some(Event::Closed { .. })), "it has followed nobody");
    open(&planes, &notices, name(3));
    let session = Session { remote: SocketAddr::from(([192, 168, 1, 2], 4000)), ..session };
    ask(&planes, [Command::Connect { port: name(3), session }]);
    assert_eq!(counted(42), (2, 40));
    for sequence in 41..=60 {
        packet[3] = sequence;
        new.send_to(&packet, local).unwrap();
    }
    assert_eq!(counted(62), (2, 60), "what is late of its old call");
    packet[11] = 2;
    for sequence in 61..=80 {
        packet[3] = sequence;
        new.send_to(&packet, local).unwrap();
    }
    assert_eq!(counted(82), (20, 62), "its new call has a new SSRC, and is heard after probation");
}

#[test]
fn a_port_that_moves_to_nowhere_leaves_its_sockets_to_others() {
    let range = Claim::new(2);
    let (planes, notices) = planes(2, range.ports(), false);
    planes.lines[1].post(Message::Stop);
    planes.threads.lock().unwrap().pop().unwrap().join().unwrap();
    // Plane 1 has ended, 9 has never been.
    for (number, to) in [(1, 1), (2, 9), (3, 1)] {
        let port = PortId { plane: 0, number };
        open(&planes, &notices, port);
        ask(&planes, [Command::Move { port, to }]);
    }
}

/// RFC 5761, with sockets: a leg whose session shares its port reports from it, takes reports there, and has no other.
#[test]
fn a_leg_that_shares_its_port_reports_from_it() {
    let range = Claim::new(2);
    let (planes, notices) = planes(1, range.ports(), false);
    let (phone, mut session) = phone();
    let port = PortId { plane: 0, number: 1 };
    let local = open(&planes, &notices, port);
    session.agreed.mux = true;
    ask(&planes, [Command::Connect { port, session: session.clone() }]);
    // No RTP is sent: what comes first is a report, after half an interval (RFC 3550 §6.2).
    let mut bytes = [0; 200];
    let (length, from) = hear(&phone, &mut bytes);
    assert!(from == local && bytes[1] == 201 && length >= 20, "{from} {:?}", &bytes[..length]);
    assert!(UdpSocket::bind((HERE, local.port() + 1)).is_ok(), "its second port is closed");
    phone.send_to(&bytes[..length], local).unwrap();
    let counted = |mut count: Box<dyn FnMut(&Stats) -> bool>| {
        while !planes.figures().iter().any(|figures| count(&figures.plane)) {}
    };
    counted(Box::new(|stats| stats.controls_in == 1));
    // It wants two ports again.
    session.agreed.mux = false;
    ask(&planes, [Command::Connect { port, session }]);
    counted(Box::new(move |stats| {
        _ = phone.send_to(&bytes[..length], (HERE, local.port() + 1)); // until somebody listens there
        stats.controls_in >= 2
    }));
}
