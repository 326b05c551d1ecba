//! The jitter buffer of a transcoded way: packets in any order in, 20 ms of audio in time's order out.
//!
//! It works on the codec's bytes, of which each lasts one tick of the clock, so packets may be of any length. Its delay
//! follows the network by itself: what is late when it is due makes the delay longer by as much (the gap is covered
//! meanwhile); what has come too early for two seconds makes it shorter by a frame. A packet that never comes is told
//! from one that is late by those after it.
//!
//! Left out: the network's statistics; delays that are set by hand.

use super::codec::FRAME;
use super::rtp::{CLOCK, Packet, is_after};
use super::ticks::PERIOD;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Frames that a new stream waits for before it is heard.
const FIRST_DELAY: u8 = 2;
const MAX_DELAY: u8 = 10;
/// Ticks without any packet after which the stream pauses; the next packet begins anew. 60 ms: what concealment covers.
const PAUSE: u32 = 3 * FRAME as u32;
/// Ticks that may wait; then the oldest are left out. 400 ms.
const MAX_HELD: u32 = 3200;
/// Packets that may wait.
const MAX_PACKETS: usize = 64;
/// A packet further away in time than this is of a new stream.
const MAX_STEP: u32 = 2 * CLOCK as u32;
/// Packets that must all have come too early, and by how many ticks, before the delay is made a frame shorter.
const EARLY_PACKETS: u8 = 100;
const TOO_EARLY: i32 = FRAME as i32 + 80;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buffer {
    /// In their order; none overlaps what has been taken.
    held: VecDeque<Held>,
    ssrc: u32,
    /// The timestamp that is due next; none while the stream pauses.
    next: Option<u32>,
    /// Frames to wait before the first is taken.
    wait: u8,
    /// How long the next stream waits.
    delay: u8,
    /// Ticks that were covered although nothing says yet that they are lost.
    covered: u32,
    /// When the last frame was taken.
    taken: Instant,
    /// The least earliness among the last packets, and how many these are.
    earliness: Option<i32>,
    counted: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    timestamp: u32,
    bytes: VecDeque<u8>,
}

/// A part of what is heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Audio(Vec<u8>),
    /// Nothing is there for so many ticks.
    Gap(u32),
}

/// What a frame's time brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The stream pauses, or waits for its first packets.
    Nothing,
    /// Pieces of 20 ms in all; where the delay becomes shorter, of 40 ms that are to be heard in 20.
    Pieces { pieces: Vec<Piece>, ticks: u32 },
}

impl Buffer {
    pub fn new() -> Buffer {
        Buffer { delay: FIRST_DELAY, ..Buffer::default() }
    }

    /// Nothing is there and nothing is expected.
    pub fn is_idle(&self) -> bool {
        self.next.is_none()
    }

    /// The timestamp that is due next.
    pub fn next(&self) -> Option<u32> {
        self.next
    }

    pub fn put(&mut self, now: Instant, packet: &Packet<'_>) {
        let goes_on = |next: &u32| {
            packet.ssrc == self.ssrc && (packet.timestamp.wrapping_sub(*next) as i32).unsigned_abs() <= MAX_STEP
        };
        let Some(next) = self.next.filter(goes_on) else { return self.begin(packet) };
        self.note_earliness(now, packet.timestamp.wrapping_sub(next) as i32);
        let end = packet.timestamp.wrapping_add(packet.payload.len() as u32);
        if is_after(end, next) {
            self.insert(packet);
        }
    }

    /// A stream's first packet.
    fn begin(&mut self, packet: &Packet<'_>) {
        self.held.clear();
        (self.ssrc, self.next, self.wait) = (packet.ssrc, Some(packet.timestamp), self.delay - 1);
        (self.covered, self.earliness, self.counted) = (0, None, 0);
        self.insert(packet);
    }

    fn insert(&mut self, packet: &Packet<'_>) {
        let after = self.held.iter().rposition(|held| !is_after(held.timestamp, packet.timestamp));
        if after.is_some_and(|at| self.held[at].timestamp == packet.timestamp) {
            return; // a duplicate
        }
        let bytes = packet.payload.iter().copied().collect();
        self.held.insert(after.map_or(0, |at| at + 1), Held { timestamp: packet.timestamp, bytes });
        let last = self.held.back().map_or(0, |held| held.timestamp);
        while let (Some(first), Some(next)) = (self.held.front(), self.next) {
            if last.wrapping_sub(first.timestamp) <= MAX_HELD && self.held.len() <= MAX_PACKETS {
                break;
            }
            let end = first.timestamp.wrapping_add(first.bytes.len() as u32);
            self.next = Some(if is_after(end, next) { end } else { next });
            self.held.pop_front();
        }
    }

    /// By how many ticks a packet came before it was due.
    fn note_earliness(&mut self, now: Instant, ahead: i32) {
        let due = (self.taken + PERIOD).since(now).as_micros() as u64 * CLOCK / 1_000_000;
        let early = ahead.saturating_add(due as i32);
        self.earliness = Some(self.earliness.map_or(early, |least| least.min(early)));
        self.counted = self.counted.saturating_add(1);
    }

    /// Whether all of the last packets came so early that a frame can be saved.
    fn is_too_long(&mut self) -> bool {
        if self.counted < EARLY_PACKETS {
            return false;
        }
        self.counted = 0;
        self.earliness.take().is_some_and(|least| least >= TOO_EARLY)
    }

    /// What is heard in the 20 ms from `at` on.
    pub fn take(&mut self, at: Instant) -> Frame {
        self.taken = at;
        if self.next.is_none() {
            return Frame::Nothing;
        }
        if let Some(less) = self.wait.checked_sub(1) {
            self.wait = less;
            return Frame::Nothing;
        }
        let shorter = self.is_too_long();
        self.delay = (self.delay - u8::from(shorter)).max(1);
        let ticks = if shorter { 2 * FRAME as u32 } else { FRAME as u32 };
        let (mut pieces, mut left) = (Vec::new(), ticks);
        while left > 0 {
            let piece = self.piece(left);
            left -= match &piece {
                Piece::Audio(bytes) => bytes.len() as u32,
                Piece::Gap(ticks) => *ticks,
            };
            pieces.push(piece);
        }
        if self.covered > PAUSE {
            self.next = None;
        }
        Frame::Pieces { pieces, ticks }
    }

    /// The next `most` ticks at most.
    fn piece(&mut self, most: u32) -> Piece {
        let Some(mut next) = self.next else { return Piece::Gap(most) };
        while let Some(first) = self.held.front_mut() {
            let ahead = first.timestamp.wrapping_sub(next) as i32;
            if ahead > 0 {
                // What was covered before was lost, not late: it does not make the delay longer.
                let paid = self.covered.min(ahead.unsigned_abs());
                (self.covered, next) = (self.covered - paid, next.wrapping_add(paid));
                let gap = (ahead.unsigned_abs() - paid).min(most);
                self.next = Some(next.wrapping_add(gap));
                if gap > 0 {
                    return Piece::Gap(gap);
                }
                continue;
            }
            if std::mem::take(&mut self.covered) > 0 {
                self.delay = (self.delay + 1).min(MAX_DELAY); // it was late
            }
            let old = ahead.unsigned_abs().min(first.bytes.len() as u32);
            first.bytes.drain(..old as usize);
            let length = first.bytes.len().min(most as usize);
            let bytes: Vec<u8> = first.bytes.drain(..length).collect();
            first.timestamp = first.timestamp.wrapping_add(old + length as u32);
            if first.bytes.is_empty() {
                self.held.pop_front();
            }
            if !bytes.is_empty() {
                self.next = Some(next.wrapping_add(length as u32));
                return Piece::Audio(bytes);
            }
        }
        self.covered += most;
        Piece::Gap(most)
    }
}

#[cfg(test)]
mod tests;
