//! The support center as plain data: what `config` makes of the configuration and everything else reads.
//!
//! Nothing here decides. A value of [`Center`] has been checked as a whole: every name that it mentions
//! exists, every range holds.

use crate::ids::{AgentId, FlowId, LeadId, LineId, QueueId, SkillId};
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
    /// Who may ask for the agents of these queues, and see their calls.
    pub leads: BTreeMap<LeadId, BTreeSet<QueueId>>,
    pub codes: ShortCodes,
    pub limits: Limits,
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

/// Where work waits for an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    pub id: QueueId,
    /// How long one agent's phone rings before the next agent is tried (1 s … 5 min).
    pub ring_timeout: Duration,
    /// The agent's time for notes after a call of this queue (0 … 1 h); 0 is none.
    pub wrap_up: Duration,
    /// How many may wait (1 … 100,000); one more is refused by the flow's `full` branch.
    pub max_waiting: u32,
    /// How long a caller may wait (10 s … 24 h) before the flow's `timeout` branch.
    pub max_wait: Duration,
    /// Points added to each work of this queue (−1,000 … 1,000); a point is worth one minute of waiting.
    pub priority: i32,
    /// The same agent is not offered the same work again before this has passed (0 … 1 h).
    pub retry_same_agent: Duration,
    /// Name of the sound heard while waiting and while the agent's phone rings.
    pub music: String,
    /// Waits shorter than this count as short abandons when the caller hangs up (0 … 5 min).
    pub short_abandon: Duration,
}

/// Somebody who takes calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    pub id: AgentId,
    /// The user name the phone registers with.
    pub user: String,
    /// Personal: shown to people, never logged.
    pub name: String,
    pub queues: BTreeSet<QueueId>,
    /// Skill → level 1 (lowest) … 10.
    pub skills: BTreeMap<SkillId, u8>,
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
}

impl Center {
    /// The line that `number` (a request URI's user part) reaches.
    pub fn line_for(&self, number: &str) -> Option<&Line> {
        self.lines.values().find(|line| line.numbers.iter().any(|n| n == number))
    }

    /// The agent whose phone registers as `user`.
    pub fn agent_of(&self, user: &str) -> Option<&Agent> {
        self.agents.values().find(|agent| agent.user == user)
    }
}
