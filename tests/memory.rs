//! What reading damaged bytes takes of memory at most: a million mutations for each parser, under an allocator that counts.
//!
//! That none of them panics and what is read is right is tested beside the parsers; here it is that no length, count or
//! nesting in it makes anybody reserve much: some kilobytes, and for a listener of audio a minute of it.
#![allow(unsafe_code, reason = "an allocator that counts cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tierline::ids::{PortId, Rng};
use tierline::media::{self, Codec, Command, Direction, Input, Local, Plane, Protection, Secret, Session, Sounds, sdp};
use tierline::sip::message::Message;
use tierline::time::Instant;

const MUTATIONS: usize = 1_000_000;

thread_local! {
    /// Bytes that this thread has and had at most.
    static BYTES: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

struct Counting;

fn count(change: isize) {
    // A thread that ends has no counters any more.
    _ = BYTES.try_with(|bytes| {
        let (now, most) = bytes.get();
        bytes.set((now + change, most.max(now + change)));
    });
}

// SAFETY: all is passed on to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What `work` takes at most beside what is there before it, in bytes.
fn peak(work: impl FnOnce()) -> isize {
    let before = BYTES.with(|bytes| {
        let (now, _) = bytes.get();
        bytes.set((now, now));
        now
    });
    work();
    BYTES.with(|bytes| bytes.get().1) - before
}

/// One of the seeds with one to four bytes changed, inserted, left out or cut off.
fn damaged(seeds: &[Vec<u8>], n: usize, rng: &mut Rng, bytes: &mut Vec<u8>) {
    bytes.clone_from(&seeds[n % seeds.len()]);
    for _ in 0..=rng.below(4) {
        let at = rng.below(bytes.len().max(1) as u64) as usize;
        let byte = [0, 1, 0x7f, 0x80, 0xff, rng.next_u32() as u8, b'9'][rng.below(7) as usize];
        match rng.below(5) {
            _ if bytes.is_empty() => bytes.push(byte),
            0 => drop(bytes.remove(at)),
            1 => bytes.insert(at, byte),
            2 if rng.chance(0.1) => bytes.truncate(at),
            _ => bytes[at] = byte,
        }
    }
}

fn mutate(seeds: &[Vec<u8>], seed: u64, mut read: impl FnMut(usize, &[u8])) -> isize {
    let (mut rng, mut bytes) = (Rng::from_number(seed), Vec::with_capacity(8192));
    peak(|| {
        for n in 0..MUTATIONS {
            damaged(seeds, n, &mut rng, &mut bytes);
            read(n, &bytes);
        }
    })
}

fn lines(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

#[test]
fn sip() {
    let seeds = [
        "INVITE sip:100@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9:5062;branch=z9hG4bK1;rport\nFrom: <sip:a@b.c>;tag=1\n\
         To: \"x, y\" <sip:100@192.0.2.1>\nCall-ID: 1@b.c\nCSeq: 1 INVITE\nMax-Forwards: 70\nContact: <sip:a@192.0.2.9>\n\
         Content-Length: 4\n\nbody",
        "SIP/2.0 200 OK\nv: SIP/2.0/TCP 192.0.2.9;branch=z9hG4bK2\nf: <sip:a@b.c>;tag=1\nt: <sip:d@e.f>;tag=2\ni: 2@b.c\n\
         CSeq: 7 REGISTER\nm: <sip:a@192.0.2.9>;expires=60,\n <sip:a@192.0.2.8>\nl: 0\n\n",
    ];
    let limits = tierline::sip::frame::Limits::default();
    let peak = mutate(&seeds.map(lines), 3261, |_, bytes| drop(Message::parse(bytes, &limits)));
    assert!((1..64 * 1024).contains(&peak), "{peak} bytes");
}

#[test]
fn descriptions() {
    let key = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
    let offer = format!(
        "v=0\no=- 1 1 IN IP4 198.51.100.9\ns=-\nc=IN IP4 198.51.100.9\nt=0 0\nm=audio 5004 RTP/SAVP 9 0 8 13 101\n\
         a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}|2^20|1:4\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\n\
         m=video 6000 RTP/AVP 31\na=sendonly\n"
    );
    let local = Local {
        address: "192.0.2.1:4000".parse().unwrap(),
        codecs: Codec::ALL.to_vec(),
        session_id: 7,
        version: 3,
        direction: Direction::SendRecv,
        telephone_event: true,
        mux: true,
        protection: Protection::Optional,
        secret: Some(Secret::draw(&mut Rng::from_number(1))),
        agreed: None,
    };
    let ours = sdp::offer(&local);
    let peak = mutate(&[lines(&offer)], 8866, |n, bytes| match n % 2 {
        0 => drop(sdp::answer(bytes, &local)),
        _ => drop(sdp::accept(&ours, bytes)),
    });
    assert!((1..64 * 1024).contains(&peak), "{peak} bytes");
}

/// Two joined legs of two codecs, which decrypt nothing and hear tones: all that a packet can reach.
fn plane() -> (Plane, PortId) {
    let settings = media::Settings { tones: media::TonesHeard::Always, ..media::Settings::default() };
    let mut plane = Plane::new(settings, Arc::new(Sounds::default()), Rng::from_number(5));
    let port = |number| PortId { plane: 0, number };
    for (number, codec) in [(1, Codec::Pcmu), (2, Codec::G722)] {
        let remote = SocketAddr::from(([10, 0, 0, number as u8], 4000));
        let session = Session {
            remote,
            remote_control: SocketAddr::new(remote.ip(), 4001),
            codec,
            send_payload: codec.static_payload(),
            receive: vec![(0, Codec::Pcmu), (9, Codec::G722)],
            send_events: Some(101),
            receive_events: Some(101),
            noise: None,
            direction: Direction::SendRecv,
            agreed: media::Agreed::default(),
            security: None,
        };
        plane.handle(Instant(1), Input::Command(Command::Open { port: port(number), six: false }));
        plane.handle(Instant(1), Input::Command(Command::Connect { port: port(number), session }));
    }
    plane.handle(Instant(1), Input::Command(Command::Join { a: port(1), b: port(2) }));
    plane.handle(Instant(1), Input::Command(Command::Listen { port: port(1), on: true }));
    (plane, port(1))
}

fn packets(control: bool, seeds: &[Vec<u8>], seed: u64) -> isize {
    let (mut plane, port) = plane();
    let (mut now, from) = (Instant(1), SocketAddr::from(([10, 0, 0, 1], 4000 + u16::from(control))));
    let peak = mutate(seeds, seed, |n, bytes| {
        now = now + Duration::from_millis(5);
        plane.handle(
            now,
            if control { Input::Control { port, from, bytes } } else { Input::Packet { port, from, bytes } },
        );
        if n % 4 == 0 {
            plane.handle(now, Input::Timeout);
        }
        while plane.poll().is_some() {}
    });
    let stats = plane.stats();
    let taken = if control { stats.controls_in } else { stats.packets_in.min(stats.transcoded) };
    assert!(taken > 10_000, "{taken} were read: the test proves nothing; {stats:?}");
    peak
}

#[test]
fn rtp() {
    let header = |kind: u8| vec![0x80, kind, 0x12, 0x34, 0, 0, 0, 160, 1, 2, 3, 4];
    let seeds = [
        [header(0), vec![0x55; 160]].concat(),
        [header(13), vec![60, 1, 2]].concat(),
        [header(101), vec![5, 0x80, 1, 0x40]].concat(),
        [header(9), vec![0xaa; 80]].concat(),
        [vec![0x90], header(0)[1..].to_vec(), b"\xbe\xde\x00\x01xxxx".to_vec(), vec![0x55; 160]].concat(),
    ];
    let peak = packets(false, &seeds, 3550);
    // A listener's silence of a minute, which a jump in the timestamps asks for at once, is 8,000 samples a second.
    assert!((1..4 * 1024 * 1024).contains(&peak), "{peak} bytes");
}

#[test]
fn rtcp() {
    let block = [&[0, 0, 0, 9][..], &[0; 20]].concat();
    let seeds = [
        [&b"\x80\xc9\x00\x01ssrc"[..], b"\x81\xca\x00\x03ssrc\x01\x03abc\x00\x00\x00"].concat(),
        [&b"\x81\xc8\x00\x0cssrc"[..], &[7; 20], &block, b"\x81\xcb\x00\x01ssrc"].concat(),
    ];
    let peak = packets(true, &seeds, 3611);
    assert!((1..1024 * 1024).contains(&peak), "{peak} bytes");
}

#[test]
fn keys_by_info() {
    let seeds = ["Signal=5\nDuration=160\n", "12"].map(lines);
    let peak = mutate(&seeds, 2976, |n, bytes| {
        media::key_of_info(["application/dtmf-relay", "application/dtmf"][n % 2], bytes);
    });
    assert!(peak < 1024, "{peak} bytes");
}
