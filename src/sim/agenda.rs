//! What is still to come, in order of time; what is due at the same time comes in the order it was planned.

use super::asking::AtAsking;
use super::desktops::{AtDesktop, Looker};
use super::leases::AtLease;
use super::people::Plan;
use crate::ids::{AgentId, CallId, LegId, PortId};
use crate::ivr::Found;
use crate::time::Instant;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
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

/// The heap holds numbers only: what is due is large, and would be moved with every change of the order.
#[derive(Default)]
pub struct Agenda {
    order: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    /// By the place that the heap names.
    due: Vec<Option<Due>>,
    free: Vec<usize>,
    serial: u64,
}

impl Agenda {
    pub fn plan(&mut self, at: Instant, due: Due) {
        self.serial += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.due.push(None);
            self.due.len() - 1
        });
        self.due[place] = Some(due);
        self.order.push(Reverse((at, self.serial, place)));
    }

    /// When the next thing comes to pass.
    pub fn next(&self) -> Option<Instant> {
        self.order.peek().map(|Reverse((at, ..))| *at)
    }

    pub fn take(&mut self) -> Option<(Instant, Due)> {
        let Reverse((at, _, place)) = self.order.pop()?;
        self.free.push(place);
        Some((at, self.due[place].take()?))
    }
}
