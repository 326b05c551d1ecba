//! One core's share of the audio; knows ports and bridges, not calls (RFC 3550, 3551, 4733).
//!
//! A [`Plane`] takes packets, commands and ticks, and gives packets, events and what listeners heard.
//! A packet from a peer is read where it lies, checked against the port's [latch](Verdict), and, if the port is
//! joined, written once into the outgoing arena with another header. What a port plays leaves in one of ten phases
//! of the 20 ms tick, so that a thousand streams do not leave at once. Each port has one SSRC, sequence and
//! timestamp line from `Open` to `Close`, whatever is heard.
//!
//! Left out: jitter buffer, SRTP, mixing, recording, RTCP reports.

mod bridge;
pub mod codec;
mod dtmf;
mod hearing;
mod latch;
mod port;
mod rtp;
pub mod sdp;
pub mod source;
mod ticks;
pub mod wav;
mod words;

pub use codec::Codec;
pub use sdp::{Local, Refusal};
pub use source::{SoundId, Sounds, Source, WavError};
pub use words::*;

use crate::ids::{PortId, Rng};
use crate::time::{Instant, Timers};
use bridge::Place;
use codec::FRAME;
use dtmf::{Payload, Pressed};
use latch::{Latch, Verdict};
use port::{Kind, Peer, Port, Slot, Voice};
use rtp::{Packet, SendLine};
use serde::{Deserialize, Serialize};
use source::Playing;
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
    out: VecDeque<Item>,
    /// Bytes of the packets in `out`; emptied when `out` is.
    arena: Vec<u8>,
    /// Samples of the frames in `out`.
    heard: Vec<i16>,
    stats: Stats,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Timer {
    /// When a leg that should be sending may have been silent for too long.
    Silence(Slot),
    /// When a key whose end packets may be lost counts as released.
    Release(Slot),
}

/// An output with its bytes in the arena.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Item {
    Bind(PortId),
    Unbind(PortId),
    Packet { port: PortId, to: SocketAddr, start: u32, end: u32 },
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
            out: VecDeque::new(),
            arena: Vec::new(),
            heard: Vec::new(),
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
            Input::Bound { port, local } if self.slots.contains_key(&port.number) => {
                self.event(Event::Opened { port, local });
            }
            Input::Bound { .. } => {}
            Input::BindFailed { port, why } => {
                if let Some(slot) = self.slot(port) {
                    self.remove(slot);
                    self.event(Event::OpenFailed { port, why });
                }
            }
            Input::Timeout => self.timeout(now),
        }
    }

    pub fn poll(&mut self) -> Option<Output<'_>> {
        Some(match self.out.pop_front()? {
            Item::Bind(port) => Output::Bind { port },
            Item::Unbind(port) => Output::Unbind { port },
            Item::Packet { port, to, start, end } => {
                Output::Packet { port, to, bytes: &self.arena[start as usize..end as usize] }
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
        Stats { ports: self.slots.len() as u64, bridges: joined / 2, ..self.stats }
    }

    pub fn port_stats(&self, port: PortId) -> Option<PortStats> {
        Some(self.ports[*self.slots.get(&port.number)? as usize].as_ref()?.stats())
    }

    /// Why the plane is not quiet, if it is not.
    pub fn pending(&self) -> Option<String> {
        if !self.out.is_empty() {
            return Some(format!("{} outputs were not taken", self.out.len()));
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

/// Commands.
impl Plane {
    fn command(&mut self, now: Instant, command: Command) {
        let port = command.port();
        if let Command::Open { .. } = command {
            return self.open(now, port);
        }
        let Some(slot) = self.slot(port) else {
            self.stats.strays += 1;
            return;
        };
        match command {
            Command::Open { .. } => {}
            Command::Close { .. } => self.close(slot),
            Command::Connect { session, .. } => self.connect(now, slot, session),
            Command::Play { source, token, .. } => {
                self.port(slot).playing = Some(Playing::new(source, token));
                self.wake(now, slot);
            }
            Command::Stop { .. } => self.port(slot).stop(),
            Command::Join { b, .. } => match self.slot(b).filter(|b| *b != slot) {
                Some(b) => self.join(slot, b),
                None => self.stats.strays += 1,
            },
            Command::Leave { .. } => self.leave(slot),
            Command::SendDigits { digits, .. } => {
                let port = self.port(slot);
                if port.peer.as_ref().is_some_and(|peer| peer.session.send_events.is_none()) {
                    self.stats.strays += 1;
                    return;
                }
                port.digits_out.press(&digits);
                self.wake(now, slot);
            }
            Command::Listen { on, .. } => {
                let port = self.port(slot);
                let before = port.hearing.take();
                port.hearing = on.then(|| before.unwrap_or_default());
            }
        }
    }

    fn open(&mut self, now: Instant, id: PortId) {
        if self.slots.contains_key(&id.number) {
            self.stats.strays += 1;
            return;
        }
        if self.slots.len() >= self.settings.max_ports as usize {
            let why = format!("all {} ports of the plane are in use", self.settings.max_ports);
            return self.event(Event::OpenFailed { port: id, why });
        }
        let line = SendLine::new(now, &mut self.rng);
        let port = Port::new(id, self.ticks.join(), line, now);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.ports.push(None);
            self.ports.len() as Slot - 1
        });
        self.ports[slot as usize] = Some(port);
        self.slots.insert(id.number, slot);
        self.out.push_back(Item::Bind(id));
    }

    fn close(&mut self, slot: Slot) {
        let port = self.remove(slot);
        self.out.push_back(Item::Unbind(port.id));
        self.event(Event::Closed { port: port.id, stats: port.stats() });
    }

    fn remove(&mut self, slot: Slot) -> Port {
        self.leave(slot);
        self.timers.cancel(&Timer::Silence(slot));
        self.timers.cancel(&Timer::Release(slot));
        let port = self.ports[slot as usize].take().expect("a slot in use has a port");
        self.ticks.leave(port.phase, slot);
        self.slots.remove(&port.id.number);
        self.free.push(slot);
        port
    }

    fn connect(&mut self, now: Instant, slot: Slot, session: Session) {
        let port = self.port(slot);
        let receives = session.direction.receives();
        (port.life, port.silent) = (now, false);
        match &mut port.peer {
            Some(peer) => {
                peer.latch.moved(session.remote);
                peer.session = session;
            }
            None => port.peer = Some(Peer { latch: Latch::new(session.remote), session }),
        }
        if receives && !self.settings.silence_after.is_zero() {
            self.timers.set(Timer::Silence(slot), now + self.settings.silence_after);
        } else {
            self.timers.cancel(&Timer::Silence(slot));
        }
        self.wake(now, slot);
    }

    fn join(&mut self, a: Slot, b: Slot) {
        for (slot, other) in [(a, b), (b, a)] {
            if self.port(slot).joined != Some(other) {
                self.leave(slot);
            }
        }
        for (slot, other) in [(a, b), (b, a)] {
            let port = self.port(slot);
            port.joined = Some(other);
            port.stop();
        }
    }

    fn leave(&mut self, slot: Slot) {
        let Some(other) = self.port(slot).joined.take() else { return };
        self.port(other).joined = None;
        for slot in [slot, other] {
            self.port(slot).joint.cut();
        }
    }

    /// Puts a port that has something to send by itself into its phase.
    fn wake(&mut self, now: Instant, slot: Slot) {
        let port = self.port(slot);
        if port.wants_ticks() && !std::mem::replace(&mut port.ticking, true) {
            let phase = port.phase;
            self.ticks.start(phase, slot, now);
        }
    }
}

/// Packets.
impl Plane {
    fn packet(&mut self, now: Instant, id: PortId, from: SocketAddr, bytes: &[u8]) {
        let Some(slot) = self.slot(id) else { return self.stats.dropped[Drop::Unconnected as usize] += 1 };
        if let Err(why) = self.take(now, slot, from, bytes) {
            self.stats.dropped[why as usize] += 1;
            self.port(slot).stats.dropped += 1;
        }
    }

    /// A packet for a port: whose it is, what it means, who hears it.
    fn take(&mut self, now: Instant, slot: Slot, from: SocketAddr, bytes: &[u8]) -> Result<(), Drop> {
        let packet = Packet::read(bytes).ok_or(Drop::Malformed)?;
        let after = self.settings.latch_after;
        let port = self.ports[slot as usize].as_mut().ok_or(Drop::Unconnected)?;
        let peer = port.peer.as_mut().ok_or(Drop::Unconnected)?;
        let Some(kind) = peer.kind(packet.payload_type) else {
            let known = peer.latch.remote() == from;
            if known {
                self.alive(now, slot);
            }
            return Err(Drop::Payload);
        };
        let verdict = peer.latch.packet(from, &packet, after);
        let (receives, id, joined) = (peer.session.direction.receives(), port.id, port.joined);
        match verdict {
            Verdict::Foreign => return Err(Drop::Foreign),
            Verdict::Latched => self.event(Event::Latched { port: id, remote: from }),
            Verdict::Known => {}
        }
        self.alive(now, slot);
        if !receives {
            return Err(Drop::Direction);
        }
        let port = self.port(slot);
        port.stats.packets_in += 1;
        port.reception.packet(&packet, now);
        self.stats.packets_in += 1;
        match kind {
            Kind::Event => self.key(now, slot, &packet),
            Kind::Audio(codec) => self.listen(now, slot, &packet, codec),
        }
        match joined {
            Some(other) => self.forward(now, other, &packet, kind),
            None => Ok(()),
        }
    }

    /// Lets the other port of a bridge send this packet in its own line.
    fn forward(&mut self, now: Instant, to: Slot, packet: &Packet<'_>, kind: Kind) -> Result<(), Drop> {
        let port = self.ports[to as usize].as_mut().ok_or(Drop::Unconnected)?;
        let peer = port.peer.as_ref().ok_or(Drop::Unconnected)?;
        let (remote, audio, codec) = peer.target().ok_or(Drop::Direction)?;
        let payload_type = match kind {
            Kind::Audio(_) => audio,
            Kind::Event => peer.session.send_events.ok_or(Drop::Payload)?,
        };
        if port.playing.is_some() || port.digits_out.is_down() {
            return Err(Drop::Superseded);
        }
        port.speak(Voice::Bridge);
        let place = match kind {
            Kind::Audio(_) => port.joint.audio(&mut port.line, packet, now),
            Kind::Event => {
                let event = Payload::read(packet.payload).ok_or(Drop::Malformed)?;
                port.joint.event(&mut port.line, packet, event.duration, now)
            }
        };
        let place = place.ok_or(Drop::Superseded)?;
        let payload = self.send(to, remote, payload_type, place, packet.payload);
        if let Kind::Audio(from) = kind {
            from.convert(codec, &mut self.arena[payload..]);
        }
        self.stats.forwarded += 1;
        Ok(())
    }

    /// Puts a packet out; returns where its payload starts in the arena.
    fn send(&mut self, slot: Slot, to: SocketAddr, payload_type: u8, place: Place, payload: &[u8]) -> usize {
        let start = self.arena.len();
        let port = self.ports[slot as usize].as_mut().expect("a slot in use has a port");
        let Place { marker, sequence, timestamp } = place;
        Packet { marker, payload_type, sequence, timestamp, ssrc: port.line.ssrc, payload }.write(&mut self.arena);
        port.stats.packets_out += 1;
        self.stats.packets_out += 1;
        let end = self.arena.len() as u32;
        self.out.push_back(Item::Packet { port: port.id, to, start: start as u32, end });
        start + rtp::HEADER
    }

    fn control(&mut self, now: Instant, id: PortId, from: SocketAddr, bytes: &[u8]) {
        let Some(slot) = self.slot(id) else { return };
        let known = |p: &Peer| from.ip() == p.latch.remote().ip() || from == p.session.remote_control;
        if rtp::is_control(bytes) && self.port(slot).peer.as_ref().is_some_and(known) {
            self.port(slot).stats.controls_in += 1;
            self.alive(now, slot);
        }
    }

    /// The peer has shown life. The timer is moved when it fires, not here.
    fn alive(&mut self, now: Instant, slot: Slot) {
        let port = self.port(slot);
        port.life = now;
        if std::mem::replace(&mut port.silent, false) {
            let after = self.settings.silence_after;
            self.timers.set(Timer::Silence(slot), now + after);
        }
    }

    fn key(&mut self, now: Instant, slot: Slot, packet: &Packet<'_>) {
        let Some(payload) = Payload::read(packet.payload) else { return };
        let digits = &mut self.port(slot).digits_in;
        let reports = digits.packet(now, packet.timestamp, payload);
        match digits.deadline() {
            Some(at) if !self.timers.is_set(&Timer::Release(slot)) => self.timers.set(Timer::Release(slot), at),
            _ => {}
        }
        reports.into_iter().flatten().for_each(|pressed| self.pressed(slot, pressed));
    }

    fn pressed(&mut self, slot: Slot, pressed: Pressed) {
        let port = self.port(slot);
        port.stats.digits += 1;
        let port = port.id;
        self.event(Event::Digit { port, digit: pressed.digit, duration_ms: pressed.duration_ms });
    }

    fn listen(&mut self, now: Instant, slot: Slot, packet: &Packet<'_>, codec: Codec) {
        let port = self.ports[slot as usize].as_mut().expect("a slot in use has a port");
        let Some(hearing) = &mut port.hearing else { return };
        let start = self.heard.len();
        hearing.packet(packet, codec, now, &mut self.heard);
        let frames = (start..self.heard.len()).step_by(FRAME);
        self.out.extend(frames.map(|start| Item::Heard { port: port.id, start: start as u32 }));
    }
}

/// Time.
impl Plane {
    fn timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Silence(slot) => self.silence(now, slot),
                Timer::Release(slot) => self.release(now, slot),
            }
        }
        while let Some(mut due) = self.ticks.pop_due(now) {
            self.stats.late_ticks += due.late;
            for at in due.times() {
                due.slots.retain(|slot| self.tick(*slot, at, due.skipped));
            }
            self.ticks.put_back(due);
        }
    }

    fn silence(&mut self, now: Instant, slot: Slot) {
        let after = self.settings.silence_after;
        let port = self.port(slot);
        if now.since(port.life) < after {
            let at = port.life + after;
            return self.timers.set(Timer::Silence(slot), at);
        }
        port.silent = true;
        let port = port.id;
        self.event(Event::Silent { port });
    }

    fn release(&mut self, now: Instant, slot: Slot) {
        let digits = &mut self.port(slot).digits_in;
        let pressed = digits.timeout(now);
        if let Some(at) = digits.deadline() {
            self.timers.set(Timer::Release(slot), at);
        }
        pressed.into_iter().for_each(|pressed| self.pressed(slot, pressed));
    }

    /// A port's 20 ms: a key's packet, or a frame of what plays. Whether it wants more.
    fn tick(&mut self, slot: Slot, at: Instant, skipped: bool) -> bool {
        let port = self.port(slot);
        if skipped {
            port.hush();
        }
        if !self.tick_keys(slot, at) {
            self.tick_source(slot, at);
        }
        let port = self.port(slot);
        port.ticking = port.wants_ticks();
        port.ticking
    }

    /// Whether this tick belongs to a key.
    fn tick_keys(&mut self, slot: Slot, at: Instant) -> bool {
        let port = self.port(slot);
        let start = port.line.timestamp_at(at);
        let Some(key) = port.digits_out.tick(start) else { return false };
        let Some(peer) = &port.peer else { return false };
        let (Some((to, ..)), Some(payload_type)) = (peer.target(), peer.session.send_events) else { return true };
        port.speak(Voice::Keys);
        let sequence = port.line.take(key.start, key.payload.duration.into());
        let place = Place { marker: key.first, sequence, timestamp: key.start };
        self.send(slot, to, payload_type, place, &key.payload.bytes());
        true
    }

    fn tick_source(&mut self, slot: Slot, at: Instant) {
        let sounds = Arc::clone(&self.sounds);
        let port = self.ports[slot as usize].as_mut().expect("a slot in use has a port");
        let (Some(playing), Some(peer)) = (&mut port.playing, &port.peer) else { return };
        let mut scratch = [0; FRAME];
        let Some(frame) = playing.next(&sounds, peer.session.codec, &mut scratch) else {
            let token = playing.token;
            port.stop();
            let port = port.id;
            return self.event(Event::Finished { port, token });
        };
        // A held peer hears nothing, and the sound goes on meanwhile.
        let Some((to, payload_type, _)) = peer.target() else { return port.hush() };
        let marker = port.speak(Voice::Source);
        let timestamp = if marker { port.line.timestamp_at(at) } else { port.line.timestamp };
        let sequence = port.line.take(timestamp, FRAME as u32);
        self.send(slot, to, payload_type, Place { marker, sequence, timestamp }, frame);
    }
}

#[cfg(test)]
mod tests;
