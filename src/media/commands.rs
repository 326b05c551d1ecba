//! What a plane is asked to do: ports opened, connected, joined, closed; what they play and press.

use super::latch::Latch;
use super::port::{Peer, Port, Slot};
use super::reports::Reports;
use super::rtp::SendLine;
use super::secure::Secured;
use super::source::Playing;
use super::{Command, Direction, Event, Item, Plane, PortStats, Session, Timer, TonesHeard};
use crate::ids::PortId;
use crate::time::Instant;

impl Plane {
    pub(super) fn command(&mut self, now: Instant, command: Command) {
        let port = command.port();
        if let Command::Open { six, .. } = command {
            return self.open(now, port, six);
        }
        if let Command::Move { to, .. } = command
            && to == self.settings.plane
        {
            return self.expect(now, port);
        }
        let Some(command) = self.hold(command) else { return };
        let Some(slot) = self.slot(port) else {
            self.stats.strays += 1;
            return;
        };
        match command {
            Command::Open { .. } => {}
            Command::Close { .. } => self.close(now, slot),
            Command::Connect { session, .. } => self.connect(now, slot, session),
            Command::Allow { packets, .. } => {
                if let Some(peer) = &mut self.port(slot).peer {
                    peer.allowed = packets;
                }
            }
            Command::Play { source, token, .. } => {
                let port = self.port(slot);
                (port.playing, port.relay) = (Some(Playing::new(source, token)), None);
                self.wake(now, slot);
            }
            Command::Stop { .. } => self.port(slot).stop(),
            Command::Join { b, .. } => match self.slot(b).filter(|b| *b != slot) {
                Some(b) => self.join(slot, b),
                None => self.stats.strays += 1,
            },
            Command::Leave { .. } => self.leave(slot),
            Command::Move { to, .. } => self.depart(slot, to),
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

    fn open(&mut self, now: Instant, id: PortId, six: bool) {
        if self.slots.contains_key(&id.number) {
            self.stats.strays += 1;
            return;
        }
        if self.slots.len() >= self.settings.max_ports as usize {
            let why = format!("all {} ports of the plane are in use", self.settings.max_ports);
            return self.event(Event::OpenFailed { port: id, why });
        }
        let line = SendLine::new(now, &mut self.rng);
        let phase = self.ticks.join();
        let reports = Reports::new(now, &mut self.rng);
        self.place(Port::new(id, phase, line, reports, now));
        self.out.push_back(Item::Bind { port: id, six });
    }

    /// Gives a port its place in the table.
    pub(super) fn place(&mut self, port: Port) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.ports.push(None);
            self.ports.len() as Slot - 1
        });
        self.slots.insert(port.id.number, slot);
        self.ports[slot as usize] = Some(port);
        slot
    }

    fn close(&mut self, now: Instant, slot: Slot) {
        self.send_report(now, slot, true);
        let port = self.remove(slot);
        self.out.push_back(Item::Unbind { port: port.id, peer: port.former() });
        let quiet_ms = u32::try_from(now.since(port.life).as_millis()).unwrap_or(u32::MAX);
        let stats = PortStats { quiet_ms, ..port.stats() };
        self.stats.ended(&stats);
        self.event(Event::Closed { port: port.id, stats });
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Port {
        self.leave(slot);
        self.timers.cancel(&Timer::Silence(slot));
        self.timers.cancel(&Timer::Release(slot));
        self.timers.cancel(&Timer::Report(slot));
        let port = self.ports[slot as usize].take().expect("a slot in use has a port");
        self.ticks.leave(port.phase, slot);
        self.slots.remove(&port.id.number);
        self.free.push(slot);
        port
    }

    fn connect(&mut self, now: Instant, slot: Slot, session: Session) {
        let tones = match self.settings.tones {
            TonesHeard::Never => false,
            TonesHeard::Otherwise => session.receive_events.is_none(),
            TonesHeard::Always => true,
        };
        let mux = session.agreed.mux;
        let port = self.port(slot);
        let before = port.tones.take();
        port.tones = tones.then(|| before.unwrap_or_default());
        // RFC 3264 §8.4: who holds says sendonly, and many send nothing then.
        let should_send = session.direction == Direction::SendRecv;
        (port.life, port.silent, port.reports.heard) = (now, false, now);
        match &mut port.peer {
            Some(peer) => {
                peer.latch.moved(session.remote);
                match (&mut peer.secured, session.security.clone()) {
                    (Some(secured), Some(security)) => secured.rekey(now, security),
                    (secured @ None, Some(security)) => *secured = Some(Box::new(Secured::new(security))),
                    // Its keys are kept, for where they are: they may come back.
                    (_, None) => {}
                }
                peer.session = session;
            }
            None => {
                let secured = session.security.clone().map(|keys| Box::new(Secured::new(keys)));
                let latch = Latch::new(session.remote, port.previous);
                port.peer = Some(Peer { latch, secured, session, allowed: None });
            }
        }
        if should_send && !self.settings.silence_after.is_zero() {
            self.timers.set(Timer::Silence(slot), now + self.settings.silence_after);
        } else {
            self.timers.cancel(&Timer::Silence(slot));
        }
        self.share(slot, mux);
        self.begin_reports(now, slot);
        self.wake(now, slot);
    }

    /// RTP and RTCP share the port from now on, or do not.
    fn share(&mut self, slot: Slot, on: bool) {
        let port = self.port(slot);
        if port.shares.replace(on) != Some(on) {
            port.reports.moved();
            let port = port.id;
            self.out.push_back(Item::Share { port, on });
        }
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

    pub(super) fn leave(&mut self, slot: Slot) {
        let Some(other) = self.port(slot).joined.take() else { return };
        self.port(other).joined = None;
        for slot in [slot, other] {
            let port = self.port(slot);
            port.joint.cut();
            port.relay = None;
        }
    }

    /// Puts a port that has something to send by itself into its phase.
    pub(super) fn wake(&mut self, now: Instant, slot: Slot) {
        let port = self.port(slot);
        if port.wants_ticks() && !std::mem::replace(&mut port.ticking, true) {
            let phase = port.phase;
            self.ticks.start(phase, slot, now);
        }
    }
}
