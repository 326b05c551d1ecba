//! Work of a fixed size, counted in instructions (valgrind's callgrind): numbers that other work on the machine
//! cannot disturb, for comparing two versions of the program.

use super::bare::PACKET;
use super::table::Row;
use super::text;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tierline::ids::{PortId, Rng};
use tierline::media::{self, Codec, Plane, Session, Settings, Sounds, Source};
use tierline::sip::frame::Limits;
use tierline::sip::message::Message;
use tierline::time::Instant;

/// Repetitions of the two runs whose difference counts, so that starting up does not.
const FEW: u64 = 1_000;
const MANY: u64 = 11_000;

/// A kind of work: the word that starts it, what people read, and the work itself, so many times.
type Work = (&'static str, &'static str, fn(u64));

const WORKS: [Work; 3] = [
    ("fixed-message", "instructions to read an INVITE and to write it again", messages),
    ("fixed-packet", "instructions to forward a packet, without system calls", packets),
    ("fixed-frame", "instructions to play a frame of music to one caller, without system calls", frames),
];

/// The instructions of each work, one row each.
pub fn rows() -> Vec<Row> {
    let each = |(word, what, _): Work| {
        let count = |times| instructions(word, times);
        let per = |few: u64, many: u64| format!("{}", many.saturating_sub(few) / (MANY - FEW));
        let ours = count(FEW).and_then(|few| Ok(per(few, count(MANY)?)));
        Row { work: what.to_owned(), ours: ours.unwrap_or_else(|why| why), ..Row::default() }
    };
    WORKS.into_iter().map(each).collect()
}

fn instructions(word: &str, times: u64) -> Result<u64, String> {
    let own = std::env::current_exe().map_err(|why| why.to_string())?;
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(own)
        .args([word, &times.to_string()])
        .output()
        .map_err(|why| format!("valgrind cannot be started: {why}"))?;
    let said = String::from_utf8_lossy(&run.stderr);
    let count = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    count.ok_or_else(|| format!("valgrind counted nothing: {said}"))
}

/// Does the work that `args` name; says whether there is such work.
pub fn run(args: &[String]) -> bool {
    let work = WORKS.iter().find(|(word, _, _)| args.first().is_some_and(|first| first == word));
    if let (Some((_, _, work)), Some(times)) = (work, args.get(1).and_then(|times| times.parse().ok())) {
        work(times);
    }
    work.is_some()
}

fn messages(times: u64) {
    let body = text::sdp("192.0.2.1:4000".parse().expect("an address"), "sendrecv", false);
    let invite = format!(
        "INVITE sip:100@192.0.2.9:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5062;rport;branch=z9hG4bK74b\r\n\
         Max-Forwards: 70\r\nFrom: \"A caller\" <sip:+4930123456@192.0.2.1>;tag=1928301774\r\n\
         To: <sip:100@192.0.2.9>\r\nCall-ID: a84b4c76e66710@192.0.2.1\r\nCSeq: 314159 INVITE\r\n\
         Contact: <sip:+4930123456@192.0.2.1:5062>\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\n\
         User-Agent: bench\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for _ in 0..times {
        let read = Message::parse(std::hint::black_box(invite.as_bytes()), &Limits::default());
        std::hint::black_box(read.expect("an ordinary INVITE").to_bytes());
    }
}

const PORTS: [PortId; 2] = [PortId { plane: 0, number: 1 }, PortId { plane: 0, number: 2 }];

fn peer(i: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 4000 + 2 * i as u16))
}

/// A plane with two ports whose peers are known.
fn plane(sounds: Sounds) -> Plane {
    let mut plane = Plane::new(Settings::default(), Arc::new(sounds), Rng::from_number(1));
    for (i, port) in PORTS.into_iter().enumerate() {
        let local = SocketAddr::from(([192, 0, 2, 9], 5000 + 2 * i as u16));
        let session = Session::plain(peer(i), Codec::Pcmu);
        plane.handle(Instant::ZERO, media::Input::Command(media::Command::Open { port, six: false }));
        plane.handle(Instant::ZERO, media::Input::Bound { port, local, previous: None });
        plane.handle(Instant::ZERO, media::Input::Command(media::Command::Connect { port, session }));
    }
    while plane.poll().is_some() {}
    plane
}

fn packets(times: u64) {
    let mut plane = plane(Sounds::default());
    let [a, b] = PORTS;
    plane.handle(Instant::ZERO, media::Input::Command(media::Command::Join { a, b }));
    let mut packet = [0xff; PACKET];
    packet[..2].copy_from_slice(&[0x80, 0]);
    let mut forwarded = 0;
    for i in 0..times {
        packet[2..4].copy_from_slice(&(i as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&(i as u32 * 160).to_be_bytes());
        let now = Instant::ZERO + Duration::from_millis(20 * i);
        plane.handle(now, media::Input::Packet { port: a, from: peer(0), bytes: std::hint::black_box(&packet) });
        while let Some(output) = plane.poll() {
            forwarded += u64::from(matches!(std::hint::black_box(output), media::Output::Packet { .. }));
        }
    }
    assert!(forwarded + 10 > times, "the plane forwards: {forwarded} of {times}");
}

fn frames(times: u64) {
    let mut sounds = Sounds::default();
    let sound = sounds.add_samples("music", &[1000; 8000]);
    let mut plane = plane(sounds);
    let source = Source::Loop(sound);
    plane.handle(Instant::ZERO, media::Input::Command(media::Command::Play { port: PORTS[0], source, token: 0 }));
    let mut played = 0;
    while played < times {
        let now = plane.deadline().expect("music goes on");
        plane.handle(now, media::Input::Timeout);
        while let Some(output) = plane.poll() {
            played += u64::from(matches!(std::hint::black_box(output), media::Output::Packet { .. }));
        }
    }
}
