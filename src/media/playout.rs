//! What a plane does when time has passed: frames of what plays, keys' packets, silence, lost ends of keys.

use super::bridge::Place;
use super::codec::FRAME;
use super::port::{Slot, Voice};
use super::{Event, Plane, Timer, Way, moving};
use crate::time::Instant;
use std::net::SocketAddr;
use std::sync::Arc;

impl Plane {
    pub(super) fn timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Silence(slot) => self.silence(now, slot),
                Timer::Release(slot) => self.release(now, slot),
                Timer::Report(slot) => self.report(now, slot),
                Timer::Arrival(number) => self.not_coming(now, number, moving::LOST.to_owned()),
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
        pressed.into_iter().for_each(|pressed| self.pressed(slot, pressed, Way::Event));
    }

    /// A port's 20 ms: a key's packet, or a frame of what plays. Whether it wants more.
    pub(super) fn tick(&mut self, slot: Slot, at: Instant, skipped: bool) -> bool {
        let port = self.port(slot);
        if at < port.first_tick {
            return true;
        }
        if skipped {
            port.hush();
        }
        let keys = self.tick_keys(slot, at);
        if self.port(slot).relay.is_some() {
            self.tick_relay(slot, at, keys);
        } else if !keys {
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

    /// A frame of what the other leg says in another codec; unheard while a key is pressed here.
    fn tick_relay(&mut self, slot: Slot, at: Instant, keys: bool) {
        let port = self.ports[slot as usize].as_mut().expect("a slot in use has a port");
        let (Some(relay), Some(peer)) = (&mut port.relay, &port.peer) else { return };
        let made = relay.frame(at);
        if made.as_ref().is_some_and(|made| made.concealed) {
            port.stats.concealed += 1;
            self.stats.concealed += 1;
        }
        match (made, peer.target().filter(|(.., codec)| *codec == relay.to())) {
            _ if keys => {}
            (Some(made), Some((to, payload_type, _))) => {
                self.speak(slot, at, Voice::Relay, (to, payload_type), &made.bytes)
            }
            _ => port.hush(),
        }
    }

    /// Sends 20 ms of its own.
    fn speak(&mut self, slot: Slot, at: Instant, voice: Voice, (to, payload_type): (SocketAddr, u8), frame: &[u8]) {
        let port = self.port(slot);
        let marker = port.speak(voice);
        let timestamp = if marker { port.line.timestamp_at(at) } else { port.line.timestamp };
        let sequence = port.line.take(timestamp, FRAME as u32);
        self.send(slot, to, payload_type, Place { marker, sequence, timestamp }, frame);
    }

    fn tick_source(&mut self, slot: Slot, at: Instant) {
        let sounds = Arc::clone(&self.sounds);
        let port = self.ports[slot as usize].as_mut().expect("a slot in use has a port");
        let (Some(playing), Some(peer)) = (&mut port.playing, &port.peer) else { return };
        let mut scratch = Vec::new();
        let Some(frame) = playing.next(&sounds, peer.session.codec, &mut scratch) else {
            let token = playing.token;
            port.stop();
            let port = port.id;
            return self.event(Event::Finished { port, token });
        };
        // A held peer hears nothing, and the sound goes on meanwhile.
        let Some((to, payload_type, _)) = peer.target() else { return port.hush() };
        self.speak(slot, at, Voice::Source, (to, payload_type), frame);
    }
}
