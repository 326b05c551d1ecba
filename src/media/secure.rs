//! SRTP and SRTCP with keys that the descriptions carry (RFC 3711, RFC 4568, RFC 7714): what a leg remembers of it.
//!
//! ```text
//!  arena ──seal──▶ Sender ──▶ peer            peer ──▶ Receiver ──open──▶ plane
//!                                                └─ the one before, for a moment after new keys
//! ```
//! All of it is plain data, so that a leg can be written down or moved: the expanded keys are made anew when they are
//! needed. Each packet is opened once (replay windows), and each index is used once for sending. Keys are never in
//! `Debug` output.
//!
//! Left out: keys by DTLS, several keys at a time, keys that end by themselves (a peer whose key has a lifetime offers
//! a new one).

mod cipher;

use super::words::Drop;
use super::{rtcp, rtp};
use crate::time::Instant;
use cipher::{Ciphers, Ids};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// How long packets under the old key are taken after a new one is agreed on: longer than packets are on their way.
const OLD_KEY: Duration = Duration::from_secs(2);
/// Sources that are remembered for one key; packets of more are refused, since forgetting one would let its packets be
/// played again. A phone changes its source a few times in a call.
const MAX_SOURCES: usize = 64;
/// Keys of ours that are remembered after others: one for each suite, as a leg with one secret has them.
const MAX_RETIRED: usize = Suite::ALL.len();
/// Bytes of a key's identifier at most (RFC 4568 §6.1).
pub const MAX_IDENTIFIER: usize = 128;

/// How packets are encrypted and authenticated (RFC 4568 §6.2, RFC 7714 §14.2). The best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Suite {
    Gcm256,
    Gcm128,
    AesCm80,
    AesCm32,
}

impl Suite {
    pub const ALL: [Suite; 4] = [Suite::Gcm256, Suite::Gcm128, Suite::AesCm80, Suite::AesCm32];

    /// The name in `a=crypto`.
    pub fn name(self) -> &'static str {
        match self {
            Suite::Gcm256 => "AEAD_AES_256_GCM",
            Suite::Gcm128 => "AEAD_AES_128_GCM",
            Suite::AesCm80 => "AES_CM_128_HMAC_SHA1_80",
            Suite::AesCm32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }

    /// Bytes of the master key.
    pub fn key_length(self) -> usize {
        if self == Suite::Gcm256 { 32 } else { 16 }
    }

    /// Bytes of the master key and its salt.
    pub fn length(self) -> usize {
        match self {
            Suite::Gcm256 | Suite::Gcm128 => self.key_length() + 12,
            Suite::AesCm80 | Suite::AesCm32 => self.key_length() + 14,
        }
    }
}

/// A master key and its salt, one after the other.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key(Vec<u8>);

impl Key {
    pub fn new(bytes: Vec<u8>) -> Key {
        Key(bytes)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// What one side sends with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keying {
    pub suite: Suite,
    /// [`Suite::length`] bytes.
    pub key: Key,
    /// The key's identifier, which every packet carries (RFC 3711 §3.1); empty for none, 128 bytes at most.
    pub identifier: Vec<u8>,
}

/// What an offer and its answer agreed on: our key and the peer's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    pub send: Keying,
    pub receive: Keying,
}

/// A leg's keys and where it is with them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Secured {
    send: Sender,
    receive: Receiver,
    /// The key before this one, and until when it counts.
    old: Option<(Receiver, Instant)>,
    /// Keys that we sent with before. One that comes back goes on where it was: to send an index twice with one key
    /// would give away both packets (RFC 3711 §9.1).
    retired: VecDeque<Sender>,
}

impl Secured {
    pub fn new(security: Security) -> Secured {
        let (send, receive) = (Sender::new(security.send), Receiver::new(security.receive));
        Secured { send, receive, old: None, retired: VecDeque::new() }
    }

    /// What a new offer and answer agreed on. A key that stays keeps its place (RFC 4568 §7.1.4).
    pub fn rekey(&mut self, now: Instant, security: Security) {
        if security.send != self.send.keying {
            let known = self.retired.iter().position(|sender| sender.keying == security.send);
            let next = known.and_then(|at| self.retired.remove(at)).unwrap_or_else(|| Sender::new(security.send));
            self.retired.push_back(std::mem::replace(&mut self.send, next));
            if self.retired.len() > MAX_RETIRED {
                self.retired.pop_front();
            }
        }
        if security.receive != self.receive.keying {
            let old = std::mem::replace(&mut self.receive, Receiver::new(security.receive));
            self.old = Some((old, now + OLD_KEY));
        }
    }

    /// Makes SRTP of the RTP packet that is all of `packet` from `start` on.
    pub fn seal(&mut self, packet: &mut Vec<u8>, start: usize) -> Result<(), Drop> {
        self.send.seal(packet, start)
    }

    /// Makes SRTCP of the compound packet that is all of `packet` from `start` on.
    pub fn seal_control(&mut self, packet: &mut Vec<u8>, start: usize) -> Result<(), Drop> {
        self.send.seal_control(packet, start)
    }

    /// Makes RTP of an SRTP packet; on error `packet` is of no use.
    pub fn open(&mut self, now: Instant, packet: &mut Vec<u8>) -> Result<(), Drop> {
        self.either(now, packet, Receiver::open)
    }

    /// Makes RTCP of an SRTCP packet; on error `packet` is of no use.
    pub fn open_control(&mut self, now: Instant, packet: &mut Vec<u8>) -> Result<(), Drop> {
        self.either(now, packet, Receiver::open_control)
    }

    fn either(&mut self, now: Instant, packet: &mut Vec<u8>, open: Open) -> Result<(), Drop> {
        self.old.take_if(|(_, until)| *until <= now);
        let Some((old, _)) = &mut self.old else { return open(&mut self.receive, packet) };
        // Opening may change what it cannot open.
        let mut again = packet.clone();
        open(&mut self.receive, packet).or_else(|why| {
            open(old, &mut again).map_err(|_| why)?;
            std::mem::swap(packet, &mut again);
            Ok(())
        })
    }
}

type Open = fn(&mut Receiver, &mut Vec<u8>) -> Result<(), Drop>;

/// The expanded keys, made when they are first needed and not written down.
#[derive(Clone, Default)]
struct Expanded(Option<Box<Ciphers>>);

impl Expanded {
    fn of(&mut self, keying: &Keying) -> &Ciphers {
        self.0.get_or_insert_with(|| Box::new(Ciphers::new(keying)))
    }
}

impl fmt::Debug for Expanded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Sender {
    keying: Keying,
    #[serde(skip)]
    expanded: Expanded,
    /// Our leg has one source, so one window; sending an index twice would give its key away.
    sent: Window,
    /// The next SRTCP packet's.
    control: u32,
}

impl Sender {
    fn new(keying: Keying) -> Sender {
        Sender { keying, expanded: Expanded::default(), sent: Window::default(), control: 1 }
    }

    fn seal(&mut self, packet: &mut Vec<u8>, start: usize) -> Result<(), Drop> {
        let (header, sequence, ssrc) = rtp::source(&packet[start..]).ok_or(Drop::Malformed)?;
        let index = self.sent.index_of(sequence);
        if !self.sent.is_fresh(index) {
            return Err(Drop::Superseded);
        }
        self.sent.note(index);
        let ciphers = self.expanded.of(&self.keying);
        ciphers.seal(packet, start, header, Ids { ssrc, index }, &self.keying.identifier);
        Ok(())
    }

    fn seal_control(&mut self, packet: &mut Vec<u8>, start: usize) -> Result<(), Drop> {
        let ssrc = rtcp::source(&packet[start..]).ok_or(Drop::Malformed)?;
        // RFC 3711 §9.2: at most 2³¹ packets with one key. At one in five seconds these are three centuries.
        let index = self.control;
        self.control = index.checked_add(1).filter(|next| *next < 1 << 31).ok_or(Drop::Superseded)?;
        let ciphers = self.expanded.of(&self.keying);
        ciphers.seal_control(packet, start, Ids { ssrc, index: index.into() }, &self.keying.identifier);
        Ok(())
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Receiver {
    keying: Keying,
    #[serde(skip)]
    expanded: Expanded,
    /// By source (RFC 3711 §3.2.3: each has a context of its own).
    audio: Vec<(u32, Window)>,
    control: Vec<(u32, Window)>,
}

impl Receiver {
    fn new(keying: Keying) -> Receiver {
        Receiver { keying, expanded: Expanded::default(), audio: Vec::new(), control: Vec::new() }
    }

    fn open(&mut self, packet: &mut Vec<u8>) -> Result<(), Drop> {
        let (header, sequence, ssrc) = rtp::source(packet).ok_or(Drop::Malformed)?;
        let window = window(&self.audio, ssrc)?;
        let index = window.index_of(sequence);
        if !window.is_fresh(index) {
            return Err(Drop::Replayed);
        }
        let ciphers = self.expanded.of(&self.keying);
        let opened = ciphers.open(packet, header, Ids { ssrc, index }, &self.keying.identifier);
        opened.map_err(|_| Drop::Forged)?;
        note(&mut self.audio, ssrc, index);
        Ok(())
    }

    fn open_control(&mut self, packet: &mut Vec<u8>) -> Result<(), Drop> {
        let ssrc = rtcp::source(packet).ok_or(Drop::Malformed)?;
        let ciphers = self.expanded.of(&self.keying);
        let index = ciphers.control_index(packet, &self.keying.identifier).ok_or(Drop::Forged)?.into();
        if !window(&self.control, ssrc)?.is_fresh(index) {
            return Err(Drop::Replayed);
        }
        let opened = ciphers.open_control(packet, Ids { ssrc, index }, &self.keying.identifier);
        opened.map_err(|_| Drop::Forged)?;
        note(&mut self.control, ssrc, index);
        Ok(())
    }
}

/// What is known of a source; a new one begins with the rollover counter at zero (RFC 4568 §6.4).
fn window(sources: &[(u32, Window)], ssrc: u32) -> Result<Window, Drop> {
    match sources.iter().find(|(known, _)| *known == ssrc) {
        Some((_, window)) => Ok(*window),
        None if sources.len() < MAX_SOURCES => Ok(Window::default()),
        None => Err(Drop::Replayed),
    }
}

/// An authentic packet has come; only these make a source known.
fn note(sources: &mut Vec<(u32, Window)>, ssrc: u32, index: u64) {
    let at = sources.iter().position(|(known, _)| *known == ssrc).unwrap_or_else(|| {
        sources.push((ssrc, Window::default()));
        sources.len() - 1
    });
    sources[at].1.note(index);
}

/// Which of the last 64 indices have been seen (RFC 3711 §3.3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Window {
    /// One more than the highest; zero for none.
    next: u64,
    /// Bit n: the highest less n.
    seen: u64,
}

impl Window {
    /// RFC 3711 §3.3.1: the index near the highest one whose low 16 bits are these.
    fn index_of(&self, sequence: u16) -> u64 {
        let Some(highest) = self.next.checked_sub(1) else { return sequence.into() };
        let step = i64::from(sequence.wrapping_sub(highest as u16) as i16);
        // Before the very first index there is none: it must be ahead then.
        highest.checked_add_signed(step).unwrap_or_else(|| highest & !0xffff | u64::from(sequence)) & 0xffff_ffff_ffff
    }

    fn is_fresh(&self, index: u64) -> bool {
        let Some(back) = self.next.checked_sub(1).and_then(|highest| highest.checked_sub(index)) else { return true };
        back < 64 && self.seen & 1 << back == 0
    }

    fn note(&mut self, index: u64) {
        let highest = self.next.saturating_sub(1);
        if self.next == 0 || index > highest {
            let ahead = if self.next == 0 { 64 } else { index - highest };
            self.seen = if ahead < 64 { self.seen << ahead | 1 } else { 1 };
            self.next = index + 1;
        } else if highest - index < 64 {
            self.seen |= 1 << (highest - index);
        }
    }
}

#[cfg(test)]
mod tests;
