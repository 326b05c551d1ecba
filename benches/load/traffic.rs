//! The audio of callers and agents: packets of 20 ms whose payload says when they were sent, and what came back.

use super::bare::PACKET;
use super::os::{self, Inbox, Outbox};
use std::net::{SocketAddrV4, UdpSocket};
use std::time::Duration;

/// A frame is sent in so many portions, each of a part of the streams.
const SLOTS: u64 = 40;
const SLOT: u64 = FRAME / SLOTS;
/// Nanoseconds of audio in a packet.
const FRAME: u64 = 20_000_000;
/// Slots between two looks at what was received; the kernel has stamped it when it came.
const LOOK: u64 = 8;
/// Marks payloads of ours.
const MAGIC: u32 = 0x7135_0b5e;
/// What is still under way at the end may come for so long.
const LINGER: u64 = 100_000_000;

/// Whose phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Caller = 0,
    Agent = 1,
}

/// One party's audio toward us.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    pub side: Side,
    pub to: SocketAddrV4,
}

/// What was sent and heard in a run.
#[derive(Default)]
pub struct Heard {
    pub sent: u64,
    /// Packets that went through.
    pub forwarded: u64,
    /// Packets that the other side made by itself: music.
    pub played: u64,
    /// Of each forwarded packet, in microseconds.
    pub delays: Vec<u32>,
    /// Of each played packet after the first of its stream: how far from 20 ms after the one before, in microseconds.
    pub jitters: Vec<u32>,
}

/// The sockets of all callers and of all agents, and the counters that go on from run to run.
pub struct Traffic {
    sockets: [UdpSocket; 2],
    inbox: Inbox,
    outboxes: [Outbox; 2],
    frame: u32,
    run: u32,
}

impl Traffic {
    pub fn new() -> Traffic {
        let socket = || os::socket().expect("a free port");
        let outboxes = [Outbox::new(), Outbox::new()];
        Traffic { sockets: [socket(), socket()], inbox: Inbox::new(), outboxes, frame: 0, run: 0 }
    }

    pub fn address(&self, side: Side) -> SocketAddrV4 {
        os::address(&self.sockets[side as usize])
    }

    /// Lets every stream send one packet each `every` frames for so long; `meanwhile` is called every few ms.
    pub fn run(&mut self, streams: &[Stream], every: u32, span: Duration, mut meanwhile: impl FnMut()) -> Heard {
        let mut heard = Heard::default();
        let mut last = vec![0; 1 << 16];
        self.run += 1;
        self.forget();
        let start = os::now();
        let slots = span.as_nanos() as u64 / SLOT;
        for slot in 0..slots {
            os::sleep_until(start + slot * SLOT);
            if slot % SLOTS == 0 {
                self.frame += 1;
            }
            heard.sent += self.send(streams, slot % SLOTS, every);
            if slot % LOOK == 0 {
                self.receive(&mut heard, &mut last);
                meanwhile();
            }
        }
        os::sleep_until(os::now() + LINGER);
        // What is played meanwhile would count beyond the span.
        let played = heard.played;
        self.receive(&mut heard, &mut last);
        heard.played = played;
        heard
    }

    fn send(&mut self, streams: &[Stream], slot: u64, every: u32) -> u64 {
        let bound = |slot: u64| (streams.len() as u64 * slot / SLOTS) as usize;
        let mut sent = 0;
        let now = os::now();
        for (i, stream) in (bound(slot)..bound(slot + 1)).map(|i| (i, streams[i])) {
            if (self.frame + i as u32).is_multiple_of(every) {
                let packet = self.packet(i as u32, now);
                let side = stream.side as usize;
                self.outboxes[side].push(&self.sockets[side], stream.to, &packet);
                sent += 1;
            }
        }
        for (outbox, socket) in self.outboxes.iter_mut().zip(&self.sockets) {
            outbox.flush(socket);
        }
        sent
    }

    /// RFC 3550 §5.1, payload type 0; the payload begins with the mark, the run and the time.
    fn packet(&self, stream: u32, now: u64) -> [u8; PACKET] {
        let mut packet = [0xff; PACKET];
        packet[..2].copy_from_slice(&[0x80, 0]);
        packet[2..4].copy_from_slice(&(self.frame as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&(self.frame.wrapping_mul(160)).to_be_bytes());
        packet[8..12].copy_from_slice(&(stream + 1).to_be_bytes());
        packet[12..16].copy_from_slice(&MAGIC.to_be_bytes());
        packet[16..20].copy_from_slice(&self.run.to_be_bytes());
        packet[20..28].copy_from_slice(&now.to_be_bytes());
        packet
    }

    fn receive(&mut self, heard: &mut Heard, last: &mut [u64]) {
        for socket in &self.sockets {
            loop {
                let count = self.inbox.receive(socket, os::BATCH);
                for i in 0..count {
                    note(&self.inbox.datagram(i), self.run, heard, last);
                }
                if count < os::BATCH {
                    break;
                }
            }
        }
    }

    /// Throws away what came between two runs.
    fn forget(&mut self) {
        for socket in &self.sockets {
            while self.inbox.receive(socket, os::BATCH) > 0 {}
        }
    }
}

fn note(datagram: &os::Datagram<'_>, run: u32, heard: &mut Heard, last: &mut [u64]) {
    let bytes = datagram.bytes;
    if bytes.len() != PACKET {
        return;
    }
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    if word(12) == MAGIC {
        if word(16) == run {
            let sent = u64::from_be_bytes(bytes[20..28].try_into().expect("eight bytes"));
            heard.forwarded += 1;
            heard.delays.push((datagram.at.saturating_sub(sent) / 1000) as u32);
        }
        return;
    }
    heard.played += 1;
    let last = &mut last[usize::from(datagram.from.port())];
    if *last > 0 {
        heard.jitters.push(((datagram.at - *last).abs_diff(FRAME) / 1000) as u32);
    }
    *last = datagram.at;
}
