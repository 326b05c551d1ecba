//! What is still to come, in order of time; what is due at the same time comes in the order it was planned.

use super::people::Plan;
use crate::ids::{CallId, LegId, PortId};
use crate::time::Instant;
use std::net::SocketAddr;

/// What comes to pass at a time.
#[derive(Clone, Debug)]
pub enum Due {
    Packet { from: SocketAddr, to: SocketAddr, bytes: Vec<u8> },
    EngineWake,
    PlanesWake,
    PhoneWake(u32),
    Remember(u32, Plan),
    Verified { query: u64, ok: bool, epoch: u32 },
    Commit,
    Arrival,
    Crash,
    Restart,
    Closing,
    Script(usize),
    TalkersHear { call: CallId, leg: LegId, epoch: u32 },
    PeerHangsUp { phone: u32, boots: u32, port: PortId, epoch: u32 },
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
