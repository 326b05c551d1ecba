//! The way of a packet through a plane: whose it is, what it means, who hears it.

use super::bridge::Place;
use super::codec::{Codec, FRAME};
use super::dtmf::{Payload, Pressed};
use super::latch::{Proof, Verdict};
use super::port::{Kind, Peer, Slot, Voice};
use super::relay::Relay;
use super::rtp::{self, Packet};
use super::{Drop, Event, Item, Plane, Timer, Way, tones};
use crate::ids::PortId;
use crate::time::Instant;
use std::net::SocketAddr;

/// No payload type of RTP.
const NOT_AGREED: u8 = 0xff;

impl Plane {
    pub(super) fn packet(&mut self, now: Instant, id: PortId, from: SocketAddr, bytes: &[u8]) {
        let Some(slot) = self.slot(id) else { return self.stats.dropped[Drop::Unconnected as usize] += 1 };
        let mux = || self.ports[slot as usize].as_ref()?.peer.as_ref().map(|peer| peer.session.agreed.mux);
        if rtp::is_control(bytes) && mux() == Some(true) {
            return self.control(now, id, from, bytes);
        }
        if let Err(why) = self.take(now, slot, from, bytes) {
            self.stats.dropped[why as usize] += 1;
            self.port(slot).stats.dropped += 1;
        }
    }

    /// A datagram for a port: decrypted, if its leg's are.
    fn take(&mut self, now: Instant, slot: Slot, from: SocketAddr, bytes: &[u8]) -> Result<(), Drop> {
        let port = self.ports[slot as usize].as_mut().ok_or(Drop::Unconnected)?;
        let peer = port.peer.as_mut().ok_or(Drop::Unconnected)?;
        let closed = peer.latch.is_closed_to(from);
        let Some(keys) = peer.keys() else { return self.take_clear(now, slot, from, bytes) };
        if closed {
            return Err(Drop::Foreign); // for less than decrypting costs
        }
        let mut opened = std::mem::take(&mut self.opened);
        opened.clear();
        opened.extend_from_slice(bytes);
        let result = keys.open(now, &mut opened).and_then(|()| self.take_clear(now, slot, from, &opened));
        self.opened = opened;
        result
    }

    /// A packet for a port: whose it is, what it means, who hears it.
    fn take_clear(&mut self, now: Instant, slot: Slot, from: SocketAddr, bytes: &[u8]) -> Result<(), Drop> {
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
        let proof = if peer.session.security.is_some() { Proof::Authentic } else { Proof::Address };
        let verdict = peer.latch.packet(from, &packet, after, proof);
        if verdict != Verdict::Foreign {
            peer.allowed = None;
        }
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
        port.echoes = packet.ssrc == port.line.ssrc;
        let echoes = port.echoes;
        port.stats.packets_in += 1;
        port.reception.packet(&packet, now, matches!(kind, Kind::Audio(_)));
        port.silence = kind == Kind::Noise;
        port.reports.heard = now;
        self.stats.packets_in += 1;
        match kind {
            Kind::Event => self.key(now, slot, &packet),
            Kind::Audio(codec) => {
                self.listen(now, slot, &packet, codec);
                self.hear_tones(slot, &packet, codec);
            }
            Kind::Noise => {}
        }
        match joined {
            // One echo is a test; two would keep a packet going round for ever.
            Some(other) if echoes && self.port(other).echoes => Err(Drop::Looped),
            Some(other) => self.forward(now, (slot, other), &packet, kind),
            None => Ok(()),
        }
    }

    /// Lets the other port of a bridge send this packet in its own line.
    fn forward(&mut self, now: Instant, (from, to): (Slot, Slot), packet: &Packet<'_>, kind: Kind) -> Result<(), Drop> {
        let port = self.ports[to as usize].as_mut().ok_or(Drop::Unconnected)?;
        let peer = port.peer.as_ref().ok_or(Drop::Unconnected)?;
        let Some((remote, audio, codec)) = peer.target() else {
            port.hush(); // what comes later is no packet lost before it
            return Err(Drop::Direction);
        };
        let payload_type = match kind {
            Kind::Audio(_) => audio,
            Kind::Event => peer.session.send_events.ok_or(Drop::Payload)?,
            Kind::Noise => peer.session.noise.filter(|_| port.relay.is_none()).unwrap_or(NOT_AGREED),
        };
        if port.playing.is_some() || port.digits_out.is_down() {
            return Err(Drop::Superseded);
        }
        let place = match kind {
            Kind::Audio(from) if !from.maps_to(codec) => return self.relay(now, to, packet, from, codec),
            Kind::Noise if payload_type == NOT_AGREED => return self.relay_noise(now, (from, to), packet, codec),
            Kind::Event if port.relay.is_some() => {
                let event = Payload::read(packet.payload).ok_or(Drop::Malformed)?;
                Some(port.joint.event_beside(&mut port.line, packet, event.duration, now))
            }
            Kind::Audio(_) => {
                port.relay = None;
                port.speak(Voice::Bridge);
                port.joint.audio(&mut port.line, packet, now)
            }
            Kind::Event => {
                let event = Payload::read(packet.payload).ok_or(Drop::Malformed)?;
                port.speak(Voice::Bridge);
                port.joint.event(&mut port.line, packet, event.duration, now)
            }
            Kind::Noise => {
                port.speak(Voice::Bridge);
                port.joint.noise(&mut port.line, packet, now)
            }
        };
        let place = place.ok_or(Drop::Superseded)?;
        let start = self.write(to, payload_type, place, packet.payload);
        if let Kind::Audio(from) = kind
            && from != codec
            && let (Some(from), Some(to)) = (from.law(), codec.law())
        {
            from.convert(to, &mut self.arena[start + rtp::HEADER..]);
        }
        self.put_out(to, remote, start)?;
        self.stats.forwarded += 1;
        Ok(())
    }

    /// Lets the other port of a bridge say this packet in another codec.
    fn relay(&mut self, now: Instant, to: Slot, packet: &Packet<'_>, from: Codec, codec: Codec) -> Result<(), Drop> {
        self.relay_of(to, from, codec).audio(now, packet);
        self.stats.transcoded += 1;
        self.wake(now, to);
        Ok(())
    }

    /// Lets the other port of a bridge make the noise that its peer has not agreed to make itself.
    fn relay_noise(
        &mut self,
        now: Instant,
        (from, to): (Slot, Slot),
        packet: &Packet<'_>,
        codec: Codec,
    ) -> Result<(), Drop> {
        let spoken = self.port(from).peer.as_ref().map_or(codec, |peer| peer.session.codec);
        self.relay_of(to, spoken, codec).noise(packet);
        self.wake(now, to);
        Ok(())
    }

    fn relay_of(&mut self, to: Slot, from: Codec, codec: Codec) -> &mut Relay {
        let port = self.port(to);
        if !port.relay.as_ref().is_some_and(|relay| relay.fits(from, codec)) {
            port.joint.cut();
            port.relay = None;
        }
        port.relay.get_or_insert_with(|| Box::new(Relay::new(from, codec)))
    }

    /// Sends a packet.
    pub(super) fn send(&mut self, slot: Slot, to: SocketAddr, payload_type: u8, place: Place, payload: &[u8]) {
        let start = self.write(slot, payload_type, place, payload);
        if let Err(why) = self.put_out(slot, to, start) {
            self.stats.dropped[why as usize] += 1;
        }
    }

    /// Writes a packet into the arena; returns where it starts.
    fn write(&mut self, slot: Slot, payload_type: u8, place: Place, payload: &[u8]) -> usize {
        let start = self.arena.len();
        let ssrc = self.port(slot).line.ssrc;
        let Place { marker, sequence, timestamp } = place;
        Packet { marker, payload_type, sequence, timestamp, ssrc, payload }.write(&mut self.arena);
        start
    }

    /// Puts out the packet that is all of the arena from `start` on, encrypted if its leg's are.
    fn put_out(&mut self, slot: Slot, to: SocketAddr, start: usize) -> Result<(), Drop> {
        let port = self.ports[slot as usize].as_mut().expect("a slot in use has a port");
        let octets = self.arena.len() - start - rtp::HEADER;
        if let Some(secured) = port.peer.as_mut().and_then(Peer::keys)
            && let Err(why) = secured.seal(&mut self.arena, start)
        {
            self.arena.truncate(start);
            return Err(why);
        }
        if let Some(left) = port.peer.as_mut().and_then(|peer| peer.allowed.as_mut()) {
            *left = left.saturating_sub(1);
        }
        port.reports.octets = port.reports.octets.wrapping_add(octets as u32);
        port.stats.packets_out += 1;
        self.stats.packets_out += 1;
        let end = self.arena.len() as u32;
        self.out.push_back(Item::Packet { port: port.id, to, start: start as u32, end });
        Ok(())
    }

    /// The peer has shown life. The timer is moved when it fires, not here.
    pub(super) fn alive(&mut self, now: Instant, slot: Slot) {
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
        reports.into_iter().flatten().for_each(|pressed| self.pressed(slot, pressed, Way::Event));
    }

    pub(super) fn pressed(&mut self, slot: Slot, pressed: Pressed, way: Way) {
        let port = self.port(slot);
        port.stats.digits += 1;
        let port = port.id;
        self.event(Event::Digit { port, digit: pressed.digit, duration_ms: pressed.duration_ms, way });
    }

    fn hear_tones(&mut self, slot: Slot, packet: &Packet<'_>, codec: Codec) {
        let Some(tones) = &mut self.port(slot).tones else { return };
        for digit in tones.packet(packet, codec) {
            self.pressed(slot, Pressed { digit, duration_ms: tones::SURE_MS }, Way::Tones);
        }
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
