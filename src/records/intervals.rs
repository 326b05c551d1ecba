//! Agents' states as intervals without gaps: what an agent did all day, and whether he could be given calls meanwhile.
//!
//! A start of the engine begins with everybody logged out, and says so of nobody. What was open before ended at the
//! last moment of which the log knows: a server that stood still over night has nobody talking all night.

use super::between;
use crate::event::{AgentMode, Event, What};
use crate::ids::{AgentId, CallId, WorkId};
use crate::time::Wall;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The reason of who is logged out because the engine was started anew.
pub const STARTED: &str = "EngineStarted";

/// One agent in one state from `from` to `to`; the next one begins where this one ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    pub agent: AgentId,
    pub mode: AgentMode,
    /// What moved the agent into this state.
    pub reason: String,
    /// The call that it belongs to; of writing up the one that is written up.
    pub call: Option<CallId>,
    /// The wait that was answered, of a talk and of its writing up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<WorkId>,
    pub from: Wall,
    pub to: Wall,
    /// The event that began it.
    pub seq: u64,
    /// Whether a phone or a number of his could be reached, as it was told last.
    #[serde(default = "by_default")]
    pub reachable: bool,
}

/// Who signs in counts as reachable.
fn by_default() -> bool {
    true
}

impl Interval {
    pub fn length(&self) -> Duration {
        between(self.from, self.to)
    }

    /// He would have been ready, and could not be given a call. Who talks is at work all the same.
    pub fn unreachable(&self) -> bool {
        !self.reachable && self.mode == AgentMode::Ready
    }
}

/// The fold over the log. Holds each agent's present state. An agent's first change begins the count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Agents {
    /// The open interval of each agent, `to` being its `from`.
    open: BTreeMap<AgentId, Interval>,
    misfits: u64,
}

impl Agents {
    /// Takes the next event; returns the interval that it ended.
    pub fn apply(&mut self, event: &Event) -> Option<Interval> {
        let (agent, from, to, reason) = match &event.what {
            What::AgentStateChanged { agent, from, to, reason } => (*agent, *from, *to, reason.clone()),
            What::AgentReachable { agent, reachable } => return self.reach(event, *agent, *reachable),
            What::Established { agent, work, .. } => {
                // The state is told before it is known that the call is the agent's.
                let talks = self.open.get_mut(agent).filter(|open| open.mode == AgentMode::Busy && open.work.is_none());
                talks.into_iter().for_each(|open| (open.call, open.work) = (open.call.or(event.call), Some(*work)));
                return None;
            }
            _ => return None,
        };
        let before = self.open.get(&agent);
        self.misfits += u64::from(before.is_some_and(|open| open.mode != from));
        let reachable = to == AgentMode::LoggedOut || before.is_none_or(|open| open.reachable);
        let (seq, at) = (event.seq, event.at);
        // Who writes up writes up what he talked in.
        let written = before.filter(|open| to == AgentMode::WrapUp && open.mode == AgentMode::Busy);
        let (call, work) = written.map_or((event.call, None), |talk| (talk.call.or(event.call), talk.work));
        self.follow(Interval { agent, mode: to, reason, call, work, from: at, to: at, seq, reachable })
    }

    /// It begins another interval where it makes a difference.
    fn reach(&mut self, event: &Event, agent: AgentId, reachable: bool) -> Option<Interval> {
        let open = self.open.get_mut(&agent)?;
        let next = Interval { reachable, from: event.at, to: event.at, seq: event.seq, ..open.clone() };
        if next.unreachable() == open.unreachable() {
            open.reachable = reachable;
            return None;
        }
        self.follow(next)
    }

    /// The engine has begun anew with the event `seq`, and the log knows of nothing after `last` before it.
    pub fn restarted(&mut self, seq: u64, last: Wall) -> Vec<Interval> {
        let there: Vec<AgentId> =
            self.open.values().filter(|open| open.mode != AgentMode::LoggedOut).map(|open| open.agent).collect();
        let out = |agent| {
            let (mode, reason) = (AgentMode::LoggedOut, STARTED.to_owned());
            Interval { agent, mode, reason, call: None, work: None, from: last, to: last, seq, reachable: true }
        };
        there.into_iter().filter_map(|agent| self.follow(out(agent))).collect()
    }

    fn follow(&mut self, next: Interval) -> Option<Interval> {
        let before = self.open.remove(&next.agent);
        // A wall clock that was set back must not make time count twice.
        let at = before.as_ref().map_or(next.from, |open| open.from.max(next.from));
        self.open.insert(next.agent, Interval { from: at, to: at, ..next });
        before.map(|open| Interval { to: at, ..open })
    }

    /// The intervals that are open, cut at `now`, by agent.
    pub fn open(&self, now: Wall) -> impl Iterator<Item = Interval> {
        self.open.values().map(move |open| Interval { to: now.max(open.from), ..open.clone() })
    }

    /// The open interval of one agent, as it began.
    pub fn of(&self, agent: AgentId) -> Option<&Interval> {
        self.open.get(&agent)
    }

    /// Goes on from an interval that was open.
    pub fn resume(&mut self, open: Interval) {
        self.open.insert(open.agent, open);
    }

    /// How many changes came from another state than the one before led to. Anything but 0 is a defect.
    pub fn misfits(&self) -> u64 {
        self.misfits
    }
}
