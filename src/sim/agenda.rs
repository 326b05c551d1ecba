//! What is still to come, in order of time; what is due at the same time comes in the order it was planned.

use super::asking::AtAsking;
use super::desktops::{AtDesktop, Looker};
use super::leases::AtLease;
use super::people::Plan;
use crate::ids::{AgentId, CallId, LegId, PortId};
use crate::ivr::Found;
use crate::time::Instant;
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

pub struct Entry {
    pub at: Instant,
    pub serial: u64,
    pub due: Due,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        (self.at, self.serial) == (other.at, other.serial)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> std::cmp::Ordering {
        (self.at, self.serial).cmp(&(other.at, other.serial))
    }
}
