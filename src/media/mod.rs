//! One core's share of the audio; knows ports and bridges, not calls (RFC 3550, 3551, 4733).
//!
//! A [`Plane`] takes packets, commands and ticks, and gives packets, events and what listeners heard.
//! A packet from a peer is read where it lies, checked against the port's [latch](Verdict), and, if the port is
//! joined, written once into the outgoing arena with another header. What a port plays leaves in one of five phases
//! of the 20 ms tick, so that a thousand streams do not leave at once. Each port has one SSRC, sequence and
//! timestamp line from `Open` to `Close`, whatever is heard.
//!
//! Left out: mixing, recording.

mod bridge;
pub mod codec;
mod commands;
mod conceal;
mod dtmf;
mod hearing;
mod jitter;
mod latch;
mod moving;
#[cfg(test)]
mod mutation;
mod packets;
mod playout;
mod port;
mod relay;
mod reports;
mod resample;
mod rtcp;
mod rtp;
pub mod sdp;
mod secure;
mod session;
pub mod source;
mod ticks;
mod tones;
pub mod wav;
mod words;

pub use codec::{Codec, Law};
pub use dtmf::key_of_info;
pub use latch::Former;
pub use sdp::{Local, Refusal, Secret};
pub use secure::{Key, Keying, Security, Suite};
pub use source::{SoundId, Sounds, Source, WavError};
pub use words::*;

use crate::ids::{PortId, Rng};
use crate::time::{Instant, Timers};
use codec::FRAME;
use moving::Arrivals;
pub use moving::Moving;
use port::{Port, Slot};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use ticks::Ticks;

/// One core's share of the audio. `sounds` are not written down with it: see [`Plane::replace_sounds`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plane {
    settings: Settings,
    #[serde(skip)]
    sounds: Arc<Sounds>,
    rng: Rng,
    ports: Vec<Option<Port>>,
    free: Vec<Slot>,
    /// By `PortId::number`. Its nodes are a few cache lines; a look-up costs some 1 % of receiving a packet.
    slots: BTreeMap<u64, Slot>,
    ticks: Ticks,
    timers: Timers<Timer>,
    arrivals: Arrivals,
    out: VecDeque<Item>,
    /// Bytes of the packets in `out`; emptied when `out` is.
    arena: Vec<u8>,
    /// Samples of the frames in `out`.
    heard: Vec<i16>,
    /// A packet that is being decrypted; empty between calls.
    opened: Vec<u8>,
    stats: Stats,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Timer {
    /// When a leg that should be sending may have been silent for too long.
    Silence(Slot),
    /// When a key whose end packets may be lost counts as released.
    Release(Slot),
    /// When the next RTCP report is due.
    Report(Slot),
    /// When a port that another plane was to hand over counts as lost.
    Arrival(u64),
}

/// An output with its bytes in the arena.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Item {
    Bind { port: PortId, six: bool },
    Share { port: PortId, on: bool },
    Unbind { port: PortId, peer: Option<Former> },
    Depart { port: PortId, moving: Box<Moving> },
    Packet { port: PortId, to: SocketAddr, start: u32, end: u32 },
    Control { port: PortId, to: SocketAddr, start: u32, end: u32 },
    Heard { port: PortId, start: u32 },
    Event(Event),
}

impl Plane {
    pub fn new(settings: Settings, sounds: Arc<Sounds>, rng: Rng) -> Plane {
        Plane {
            settings,
            sounds,
            rng,
            ports: Vec::new(),
            free: Vec::new(),
            slots: BTreeMap::new(),
            ticks: Ticks::default(),
            timers: Timers::default(),
            arrivals: Arrivals::default(),
            out: VecDeque::new(),
            arena: Vec::new(),
            heard: Vec::new(),
            opened: Vec::new(),
            stats: Stats::default(),
        }
    }

    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        if self.out.is_empty() {
            self.arena.clear();
            self.heard.clear();
        }
        match input {
            Input::Packet { port, from, bytes } => self.packet(now, port, from, bytes),
            Input::Control { port, from, bytes } => self.control(now, port, from, bytes),
            Input::Command(command) => self.command(now, command),
            Input::Bound { port, local, previous } => {
                if let Some(slot) = self.slot(port) {
                    self.port(slot).previous = previous;
                    self.event(Event::Opened { port, local });
                }
            }
            Input::BindFailed { port, why } => {
                if let Some(slot) = self.slot(port) {
                    self.remove(slot);
                    self.event(Event::OpenFailed { port, why });
                } else {
                    self.not_coming(now, port.number, why);
                }
            }
            Input::Arrived { moving } => self.arrived(now, *moving),
            Input::Timeout => self.timeout(now),
        }
    }

    pub fn poll(&mut self) -> Option<Output<'_>> {
        Some(match self.out.pop_front()? {
            Item::Bind { port, six } => Output::Bind { port, six },
            Item::Share { port, on } => Output::Share { port, on },
            Item::Unbind { port, peer } => Output::Unbind { port, peer },
            Item::Depart { port, moving } => Output::Depart { port, moving },
            Item::Packet { port, to, start, end } => {
                Output::Packet { port, to, bytes: &self.arena[start as usize..end as usize] }
            }
            Item::Control { port, to, start, end } => {
                Output::Control { port, to, bytes: &self.arena[start as usize..end as usize] }
            }
            Item::Heard { port, start } => {
                Output::Heard { port, frame: &self.heard[start as usize..start as usize + FRAME] }
            }
            Item::Event(event) => Output::Event(event),
        })
    }

    /// When `Timeout` is due: the next tick if anything plays, the next timer.
    pub fn deadline(&self) -> Option<Instant> {
        [self.ticks.deadline(), self.timers.deadline()].into_iter().flatten().min()
    }

    pub fn stats(&self) -> Stats {
        let joined = self.ports.iter().flatten().filter(|p| p.joined.is_some()).count() as u64;
        let transcoding = self.ports.iter().flatten().filter(|p| p.relay.is_some()).count() as u64;
        Stats { ports: self.slots.len() as u64, bridges: joined / 2, transcoding, ..self.stats }
    }

    pub fn port_stats(&self, port: PortId) -> Option<PortStats> {
        Some(self.ports[*self.slots.get(&port.number)? as usize].as_ref()?.stats())
    }

    /// Why the plane is not quiet, if it is not.
    pub fn pending(&self) -> Option<String> {
        if !self.out.is_empty() {
            return Some(format!("{} outputs were not taken", self.out.len()));
        }
        if let Some(port) = self.expected().next() {
            return Some(format!("the port {} is on its way from another plane", port.number));
        }
        let (number, _) = self.slots.first_key_value()?;
        Some(format!("{} ports are open, the first is {number}", self.slots.len()))
    }

    /// Other sounds, under the same ids: after a reload, or after this plane has been read back.
    pub fn replace_sounds(&mut self, sounds: Arc<Sounds>) {
        self.sounds = sounds;
    }

    fn slot(&self, port: PortId) -> Option<Slot> {
        self.slots.get(&port.number).copied()
    }

    fn port(&mut self, slot: Slot) -> &mut Port {
        self.ports[slot as usize].as_mut().expect("a slot in use has a port")
    }

    fn event(&mut self, event: Event) {
        self.out.push_back(Item::Event(event));
    }
}

#[cfg(test)]
mod tests;
