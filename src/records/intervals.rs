//! Agents' states as intervals without gaps: what an agent did all day.

use super::between;
use crate::event::{AgentMode, Event, What};
use crate::ids::AgentId;
use crate::time::Wall;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// One agent in one state from `from` to `to`; the next one begins where this one ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    pub agent: AgentId,
    pub mode: AgentMode,
    /// What moved the agent into this state.
    pub reason: String,
    pub from: Wall,
    pub to: Wall,
}

impl Interval {
    pub fn length(&self) -> Duration {
        between(self.from, self.to)
    }
}

/// The fold over the log. Holds each agent's present state. An agent's first change begins the count.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Agents {
    /// The open interval of each agent, `to` being its `from`.
    open: BTreeMap<AgentId, Interval>,
    misfits: u64,
}

impl Agents {
    /// Takes the next event; returns the interval that it ended.
    pub fn apply(&mut self, event: &Event) -> Option<Interval> {
        let What::AgentStateChanged { agent, from, to, reason } = &event.what else { return None };
        let before = self.open.remove(agent);
        self.misfits += u64::from(before.as_ref().is_some_and(|open| open.mode != *from));
        // A wall clock that was set back must not make time count twice.
        let at = before.as_ref().map_or(event.at, |open| open.from.max(event.at));
        let next = Interval { agent: *agent, mode: *to, reason: reason.clone(), from: at, to: at };
        self.open.insert(*agent, next);
        before.map(|open| Interval { to: at, ..open })
    }

    /// The intervals that are open, cut at `now`, by agent.
    pub fn open(&self, now: Wall) -> impl Iterator<Item = Interval> {
        self.open.values().map(move |open| Interval { to: now.max(open.from), ..open.clone() })
    }

    /// How many changes came from another state than the one before led to. Anything but 0 is a defect.
    pub fn misfits(&self) -> u64 {
        self.misfits
    }
}
