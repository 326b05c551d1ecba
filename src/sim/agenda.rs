//! What is still to come, in order of time; what is due at the same time comes in the order it was planned.

use super::asking::AtAsking;
use super::desktops::{AtDesktop, Looker};
use super::leases::AtLease;
use super::people::Plan;
use crate::ids::{AgentId, CallId, LegId, PortId};
use crate::ivr::Found;
use crate::time::Instant;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// What comes to pass at a time.
#[derive(Clone, Debug)]
pub enum Due {
    /// When a datagram or a piece of a stream arrives.
    Packet { from: SocketAddr, to: SocketAddr, bytes: Vec<u8> },
    /// When the engine's deadline comes.
    EngineWake,
    /// When a deadline of the stand-in for the planes comes.
    PlanesWake,
    /// When a phone's deadline comes.
    PhoneWake(u32),
    /// When a person does what he has planned.
    Remember(u32, Plan),
    /// When the verdict on credentials reaches the engine that asked.
    Verified { query: u64, ok: bool, epoch: u32 },
    /// When the ticketing system's answer reaches the engine that asked.
    LookedUp { call: CallId, id: u64, found: Found, epoch: u32 },
    /// When an operator switches the announcement.
    Banner { on: bool },
    /// When a carrier gets into trouble, or out of it.
    Carrier(u32),
    /// When the log is on disk as far as it was written.
    Commit,
    /// When the next caller decides to call.
    Arrival,
    /// When the engine is killed.
    Crash,
    /// When commands of desktops begin to be followed by kills, a few of them.
    CrashAsked,
    /// When it is started again.
    Restart,
    /// When nobody calls any more, and all must become quiet.
    Closing,
    /// When something happens at an agent's desktop.
    Desktop(Looker, AtDesktop),
    /// When something happens to a command of a desktop.
    Asking(AtAsking),
    /// When it must be seen whether an agent is still at his desktop.
    Lease(AgentId, AtLease),
    /// When a line of the script has its turn.
    Script(usize),
    /// When both who have been joined must hear each other.
    TalkersHear { call: CallId, leg: LegId, epoch: u32 },
    /// When the peer of a call that has ended must have hung up.
    PeerHangsUp { phone: u32, boots: u32, port: PortId, epoch: u32 },
    /// When a phone whose offer is over must not ring any more.
    RingingEnds { phone: u32, call: u32, epoch: u32 },
}

/// A radix heap: time only goes on, so what is still to come stands in piles by the first digit in which its time differs
/// from that of what was taken last, and a pile is only looked through when its time comes. Piles hold numbers: what is
/// due is large.
pub struct Agenda {
    now: Instant,
    /// What is due now, the first one planned in front.
    ready: VecDeque<usize>,
    /// By the place of the digit, the last one first, and its value. In a pile, what has the same time is in the order it
    /// was planned.
    piles: [[Vec<(Instant, usize)>; 16]; 16],
    /// A bit for each pile that is not empty.
    filled: [u16; 16],
    /// By the place that the piles name.
    due: Vec<Option<Due>>,
    free: Vec<usize>,
}

impl Default for Agenda {
    fn default() -> Agenda {
        let (ready, piles) = (VecDeque::new(), Default::default());
        Agenda { now: Instant::ZERO, ready, piles, filled: [0; 16], due: Vec::new(), free: Vec::new() }
    }
}

impl Agenda {
    pub fn plan(&mut self, at: Instant, due: Due) {
        assert!(at >= self.now, "{due:?} comes too late");
        let place = self.free.pop().unwrap_or_else(|| {
            self.due.push(None);
            self.due.len() - 1
        });
        self.due[place] = Some(due);
        self.place(at, place);
    }

    /// The next thing that comes to pass, if it does until then.
    pub fn take(&mut self, until: Instant) -> Option<(Instant, Due)> {
        if self.ready.is_empty() {
            self.advance(until);
        }
        let place = self.ready.pop_front_if(|_| self.now <= until)?;
        self.free.push(place);
        Some((self.now, self.due[place].take()?))
    }

    fn place(&mut self, at: Instant, place: usize) {
        match (at.0 ^ self.now.0).checked_ilog2() {
            None => self.ready.push_back(place),
            Some(bit) => {
                let digit = bit as usize / 4;
                let value = at.0 as usize >> (4 * digit) & 15;
                self.piles[digit][value].push((at, place));
                self.filled[digit] |= 1 << value;
            }
        }
    }

    /// Goes to the time of the next thing, if that is not later: its pile is laid out by the digits that follow.
    fn advance(&mut self, until: Instant) {
        let Some(digit) = self.filled.iter().position(|values| *values > 0) else { return };
        let value = self.filled[digit].trailing_zeros() as usize;
        let next = self.piles[digit][value].iter().map(|(at, _)| *at).min();
        let Some(at) = next.filter(|at| *at <= until) else { return };
        self.now = at;
        self.filled[digit] &= !(1 << value);
        let mut pile = std::mem::take(&mut self.piles[digit][value]);
        pile.drain(..).for_each(|(at, place)| self.place(at, place));
        self.piles[digit][value] = pile;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Rng;

    /// Against a list that is sorted, over thousands of plans for now, soon and much later.
    #[test]
    fn what_is_planned_comes_in_order_of_time_then_of_planning() {
        let (mut agenda, mut list, mut rng) = (Agenda::default(), Vec::new(), Rng::from_number(1));
        let mut now = Instant::ZERO;
        for serial in 0..20_000_u32 {
            let within = [1, 3, 1_000, 1 << 40][rng.below(4) as usize];
            let at = Instant(now.0 + rng.below(within));
            agenda.plan(at, Due::PhoneWake(serial));
            list.push((at, serial));
            let until = Instant(now.0 + rng.below(2_000));
            while let Some((at, due)) = agenda.take(until) {
                let first = list.iter().min().copied().unwrap();
                list.retain(|it| *it != first);
                assert!(matches!(due, Due::PhoneWake(serial) if first == (at, serial)) && at <= until && at >= now);
                now = at;
            }
            assert!(list.iter().all(|(at, _)| *at > until));
            now = now.max(until);
            if list.len() > 200 {
                now = list.iter().min().unwrap().0;
            }
        }
    }
}
