//! Ports that move between planes, as values: a bridge's two legs must be on one plane.
//!
//! ```text
//!  owner           plane `to`                     plane of `port`
//!    │── Move ────────▶ expects it                      │
//!    │── Move ──────────────────────────────────────────▶ lets it go
//!    │── Join, Play … ▶ holds them        Depart ───────┤
//!    │◀── Moved ─────── has it  ◀── Arrived, sockets ───┘
//! ```
//! A port keeps its line (SSRC, sequence, timestamp), what it plays and presses, its phase of the 20 ms tick and what
//! it has heard; it leaves its bridge. Its number stays its own, so a plane that sees the number knows the port.
//! Both planes must be told the same time.

use super::port::{Port, Slot};
use super::ticks::{MAX_BURST, PERIOD};
use super::{Command, Direction, Event, Item, Plane, Timer};
use crate::ids::PortId;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// A port on its way is lost after this. A hand-over takes microseconds; the plane that lets go may be in the middle of
/// a burst, or its thread may have failed with the port in its hands.
const ARRIVAL: Duration = Duration::from_secs(2);
/// Commands that wait for ports on their way; more are counted as strays. Some ten for each call that moves.
const MAX_HELD: usize = 4096;
pub const LOST: &str = "it was lost on its way from another plane";

/// A port between two planes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Moving(Port);

impl Moving {
    /// Its name on the plane that it moves to.
    pub fn port(&self) -> PortId {
        self.0.id
    }
}

/// The ports that other planes are to hand over, by number, and what is to be done then, in order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Arrivals {
    expected: BTreeSet<u64>,
    held: VecDeque<Command>,
}

impl Arrivals {
    /// Whether something must happen to one of these ports before this command.
    fn must_wait(&self, command: &Command) -> bool {
        let waits = |number: u64| {
            self.expected.contains(&number) || self.held.iter().any(|held| numbers(held).any(|n| n == number))
        };
        !self.expected.is_empty() && numbers(command).any(waits)
    }
}

/// The ports that a command names.
fn numbers(command: &Command) -> impl Iterator<Item = u64> + use<> {
    let other = if let Command::Join { b, .. } = command { Some(b.number) } else { None };
    [Some(command.port().number), other].into_iter().flatten()
}

impl Plane {
    /// The ports that are on their way here.
    pub fn expected(&self) -> impl Iterator<Item = PortId> + use<'_> {
        self.arrivals.expected.iter().map(|number| PortId { plane: self.settings.plane, number: *number })
    }

    pub(super) fn expect(&mut self, now: Instant, port: PortId) {
        if port.plane == self.settings.plane || self.slots.contains_key(&port.number) {
            self.stats.strays += 1;
            return;
        }
        self.arrivals.expected.insert(port.number);
        self.timers.set(Timer::Arrival(port.number), now + ARRIVAL);
    }

    /// Puts a command aside that must wait for a port; gives back one that need not.
    pub(super) fn hold(&mut self, command: Command) -> Option<Command> {
        if !self.arrivals.must_wait(&command) {
            return Some(command);
        }
        if self.arrivals.held.len() < MAX_HELD {
            self.arrivals.held.push_back(command);
        } else {
            self.stats.strays += 1;
        }
        None
    }

    /// Carries out what has waited; what must wait for another port is held again, in its order.
    fn resume(&mut self, now: Instant) {
        for command in std::mem::take(&mut self.arrivals.held) {
            self.command(now, command);
        }
    }

    pub(super) fn depart(&mut self, slot: Slot, to: u16) {
        let port = self.port(slot);
        let (phase, first) = (port.phase, port.first_tick);
        // The phase has ports: this one.
        let next = if port.ticking { self.ticks.next(phase, Instant::ZERO) } else { Instant::ZERO };
        let mut moving = self.remove(slot);
        let port = moving.id;
        (moving.id.plane, moving.first_tick) = (to, first.max(next));
        self.out.push_back(Item::Depart { port, moving: Box::new(Moving(moving)) });
    }

    pub(super) fn arrived(&mut self, now: Instant, Moving(port): Moving) {
        let id = port.id;
        if !self.arrivals.expected.remove(&id.number) {
            self.stats.strays += 1;
            return self.out.push_back(Item::Unbind { port: id, peer: port.former() }); // given up, which has been told
        }
        self.timers.cancel(&Timer::Arrival(id.number));
        self.settle(now, port);
        self.event(Event::Moved { port: id });
        self.resume(now);
    }

    /// A port that was expected does not come.
    pub(super) fn not_coming(&mut self, now: Instant, number: u64, why: String) {
        if self.arrivals.expected.remove(&number) {
            self.timers.cancel(&Timer::Arrival(number));
            let port = PortId { plane: self.settings.plane, number };
            self.event(Event::OpenFailed { port, why });
            self.resume(now);
        }
    }

    fn settle(&mut self, now: Instant, mut port: Port) {
        let after = self.settings.silence_after;
        let should_send = port.peer.as_ref().is_some_and(|peer| peer.session.direction == Direction::SendRecv);
        let silence = (should_send && !port.silent && !after.is_zero()).then(|| port.life + after);
        let (release, report, phase) = (port.digits_in.deadline(), port.reports.next, port.phase);
        let ticking = std::mem::take(&mut port.ticking);
        self.ticks.enter(phase);
        let slot = self.place(port);
        silence.into_iter().for_each(|at| self.timers.set(Timer::Silence(slot), at));
        release.into_iter().for_each(|at| self.timers.set(Timer::Release(slot), at));
        report.into_iter().for_each(|at| self.timers.set(Timer::Report(slot), at));
        if ticking {
            self.catch_up(now, slot);
        }
        self.wake(now, slot);
    }

    /// Ticks that this plane has had already and the other one has not: they are the port's too.
    fn catch_up(&mut self, now: Instant, slot: Slot) {
        let port = self.port(slot);
        let (mut at, phase) = (port.first_tick, port.phase);
        let next = self.ticks.next(phase, now);
        if next.since(at) > PERIOD * MAX_BURST as u32 {
            at = next;
            self.port(slot).hush();
        }
        while at < next && self.tick(slot, at, false) {
            at = at + PERIOD;
        }
        let port = self.port(slot);
        (port.ticking, port.first_tick) = (false, at);
    }
}
