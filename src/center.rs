//! The support center as plain data: what `config` makes of the configuration and everything else reads.
//!
//! Nothing here decides. A value of [`Center`] has been checked as a whole: every name that it mentions
//! exists, every range holds.

pub mod hours;
mod routing;
mod trunk;

pub use routing::{Ageing, Agent, Membership, NotReadyReason, Queue, Relaxation, RingPlan, Selection, Skills, WrapUp};
pub use trunk::{Form, Identity, NumberPlan, Peer, Server, Share, Srtp, Trunk, is_meant};

use crate::ids::{AgentId, FlowId, LeadId, LineId, QueueId, TrunkId};
use crate::time::Wall;
use hours::{Hours, Local, Zone};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One support center. An engine serves exactly one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Center {
    /// Shown to people; also the SIP realm that phones are challenged with.
    pub name: String,
    /// Domains that count as ours in SIP addresses, beside the listeners' own addresses.
    pub domains: Vec<String>,
    /// IANA time zone of a line that names none.
    pub time_zone: String,
    /// BCP 47 tag of a line that names none, such as `en`.
    pub language: String,
    pub lines: BTreeMap<LineId, Line>,
    pub queues: BTreeMap<QueueId, Queue>,
    pub agents: BTreeMap<AgentId, Agent>,
    #[serde(default)]
    pub trunks: BTreeMap<TrunkId, Trunk>,
    /// Why an agent may be not ready, by name; with none any code will do (a-z, 0-9, "_", ".", "-").
    #[serde(default)]
    pub reasons: BTreeMap<String, NotReadyReason>,
    /// Who may ask for the agents of these queues, and see their calls.
    pub leads: BTreeMap<LeadId, BTreeSet<QueueId>>,
    pub codes: ShortCodes,
    pub limits: Limits,
    /// Calendars by name.
    #[serde(default)]
    pub hours: BTreeMap<String, Hours>,
    /// The time zones that lines are in, by IANA name.
    #[serde(default)]
    pub zones: BTreeMap<String, Zone>,
    /// Announcements that can be switched on at once, by name.
    #[serde(default)]
    pub banners: BTreeMap<String, Banner>,
}

/// Whom an announcement concerns while it is on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Banner {
    /// Whether it is on where nobody has switched it.
    pub on: bool,
    /// Callers of these lines; none named: of every line.
    pub lines: BTreeSet<LineId>,
    /// Callers whose number begins with one of these; none named: every caller.
    pub callers: Vec<String>,
}

/// What callers dial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub id: LineId,
    /// User parts of the request URI that reach this line, such as `100` or `+4930123456`.
    pub numbers: Vec<String>,
    pub flow: FlowId,
    pub time_zone: String,
    pub language: String,
}

/// Numbers that agents dial from their phones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShortCodes {
    pub ready: String,
    pub not_ready: String,
    /// Name of the sound that confirms `ready`.
    pub ready_sound: String,
    /// Name of the sound that confirms `not_ready`.
    pub not_ready_sound: String,
    /// Name of the sound that asks an agent on an outside number to press 1.
    #[serde(default)]
    pub confirm_sound: String,
}

/// Bounds of the whole engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Calls at once (1 … 100,000); one more is answered 503.
    pub calls: u32,
    /// A leg whose peer should be sending audio and sends neither RTP nor RTCP ends after this (1 s … 1 h).
    pub silence: Duration,
    /// A running call may go on this long after the drain began (0 … 24 h).
    pub drain: Duration,
    /// Calls that strangers may make in a second, all together (1 … 100,000); five times as many at once.
    #[serde(default = "unlimited")]
    pub strangers: u32,
    /// The same of one address (1 … 100,000).
    #[serde(default = "unlimited")]
    pub strangers_per_address: u32,
}

/// In recordings of before there was a limit.
fn unlimited() -> u32 {
    100_000
}

impl Center {
    /// The line that `number` (a request URI's user part) reaches.
    pub fn line_for(&self, number: &str) -> Option<&Line> {
        self.lines.values().find(|line| line.numbers.iter().any(|n| n == number))
    }

    /// What the clocks show in a time zone; UTC where it is not known.
    pub fn local(&self, zone: &str, wall: Wall) -> Local {
        static UTC: Zone = Zone { changes: Vec::new() };
        self.zones.get(zone).unwrap_or(&UTC).local(wall)
    }

    /// The agent whose phone registers as `user`.
    pub fn agent_of(&self, user: &str) -> Option<&Agent> {
        self.agents.values().find(|agent| agent.user == user)
    }
}
