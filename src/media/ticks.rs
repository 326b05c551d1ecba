//! The 20 ms tick in five phases of 4 ms, over which ports are spread, so that packets leave in batches.
//!
//! Each phase wakes the plane's thread, which costs as much as some packets: with ten phases of 2 ms a packet of 1,000
//! callers took a fifth more, with four or two no less.

use super::port::Slot;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub const PERIOD: Duration = Duration::from_millis(20);
/// Ports of a phase stay on the same times of the clock on every plane.
const PHASES: usize = 5;
const STEP: Duration = Duration::from_millis(4);
/// A phase that comes later by this many periods skips them, instead of sending that many packets at once.
pub const MAX_BURST: u64 = 4;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Ticks {
    phases: [Phase; PHASES],
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Phase {
    /// Ports of this phase, sending or not.
    members: u32,
    /// Those that send by themselves now; `next` is theirs.
    slots: Vec<Slot>,
    next: Instant,
}

/// A phase that is due, with its ports; `late` periods have passed since.
pub struct Due {
    phase: usize,
    pub slots: Vec<Slot>,
    first: Instant,
    pub late: u64,
    /// So late that periods are left out.
    pub skipped: bool,
}

impl Due {
    /// The times to send for: all that have passed, or the last one only.
    pub fn times(&self) -> impl Iterator<Item = Instant> + use<> {
        let (first, late) = (self.first, self.late);
        let from = if self.skipped { late } else { 0 };
        (from..=late).map(move |n| after(first, n))
    }
}

fn after(first: Instant, periods: u64) -> Instant {
    Instant(first.0 + periods * PERIOD.as_nanos() as u64)
}

impl Ticks {
    /// A phase for a new port: the one with the fewest.
    pub fn join(&mut self) -> u8 {
        let phase = (0..PHASES).min_by_key(|p| self.phases[*p].members).unwrap_or(0);
        self.phases[phase].members += 1;
        phase as u8
    }

    /// A port has come from another plane and keeps its phase.
    pub fn enter(&mut self, phase: u8) {
        self.phases[usize::from(phase)].members += 1;
    }

    /// When the phase is due next, if a port began to send now.
    pub fn next(&self, phase: u8, now: Instant) -> Instant {
        let offset = u64::from(phase) * STEP.as_nanos() as u64;
        let period = PERIOD.as_nanos() as u64;
        let phase = &self.phases[usize::from(phase)];
        match phase.slots.is_empty() {
            true => Instant((now.0.saturating_sub(offset)).div_ceil(period) * period + offset),
            false => phase.next,
        }
    }

    /// A port is gone.
    pub fn leave(&mut self, phase: u8, slot: Slot) {
        let phase = &mut self.phases[usize::from(phase)];
        phase.members -= 1;
        phase.slots.retain(|s| *s != slot);
    }

    /// A port begins to send.
    pub fn start(&mut self, phase: u8, slot: Slot, now: Instant) {
        let next = self.next(phase, now);
        let phase = &mut self.phases[usize::from(phase)];
        phase.next = next;
        phase.slots.push(slot);
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.phases.iter().filter(|p| !p.slots.is_empty()).map(|p| p.next).min()
    }

    /// Takes the ports of the phase that is due first; they are to be put back.
    pub fn pop_due(&mut self, now: Instant) -> Option<Due> {
        let due = (0..PHASES).filter(|p| !self.phases[*p].slots.is_empty() && self.phases[*p].next <= now);
        let phase = due.min_by_key(|p| self.phases[*p].next)?;
        let Phase { slots, next, .. } = &mut self.phases[phase];
        let first = *next;
        let late = now.since(first).as_nanos() as u64 / PERIOD.as_nanos() as u64;
        *next = after(first, late + 1);
        Some(Due { phase, slots: std::mem::take(slots), first, late, skipped: late >= MAX_BURST })
    }

    pub fn put_back(&mut self, due: Due) {
        self.phases[due.phase].slots = due.slots;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn due(ticks: &mut Ticks, ms: u64) -> Vec<(Vec<Slot>, Vec<u64>)> {
        let mut all = Vec::new();
        while let Some(due) = ticks.pop_due(Instant(ms * MS)) {
            all.push((due.slots.clone(), due.times().map(|t| t.0 / MS).collect()));
            ticks.put_back(due);
        }
        all
    }

    #[test]
    fn phases_are_four_milliseconds_apart_and_catch_up() {
        let mut ticks = Ticks::default();
        assert_eq!((0..7).map(|_| ticks.join()).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 0, 1]);
        assert_eq!(ticks.deadline(), None);
        ticks.start(0, 0, Instant(1000 * MS));
        ticks.start(1, 1, Instant(1005 * MS));
        ticks.start(1, 11, Instant(1030 * MS));
        assert_eq!(ticks.deadline(), Some(Instant(1000 * MS)));
        assert_eq!(due(&mut ticks, 1000), [(vec![0], vec![1000])]);
        assert_eq!(due(&mut ticks, 1019), []);
        assert_eq!(ticks.deadline(), Some(Instant(1020 * MS)));
        assert_eq!(due(&mut ticks, 1024), [(vec![0], vec![1020]), (vec![1, 11], vec![1024])]);
        assert_eq!(due(&mut ticks, 1080), [(vec![0], vec![1040, 1060, 1080]), (vec![1, 11], vec![1044, 1064])]);
        assert_eq!(due(&mut ticks, 2000), [(vec![1, 11], vec![1984]), (vec![0], vec![2000])]);
        ticks.leave(0, 0);
        assert_eq!(ticks.deadline(), Some(Instant(2004 * MS)));
        assert_eq!((ticks.join(), ticks.join()), (0, 2));
    }
}
