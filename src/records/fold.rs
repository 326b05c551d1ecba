//! The fold of the whole log into rows: what [`super::schema`] describes, made from events alone.
//!
//! A call's rows are handed out when it ends, an agent's interval when it ends, a disposition at once (it may come after
//! the call). So a row never changes, and folding the same log again gives the same rows.
//!
//! **A start of the engine** ends what was open at the last moment of which the log knows (the last event, or the minute until
//! which the server is known to have been at work), not when it came up again: the calls' ends are told after the start, and are counted as if they had come before it.

use super::intervals::Agents;
use super::parts::Parts;
use super::paths::Paths;
use super::rows::{Disposition, Row};
use super::transfers::Transfers;
use super::{CallRecord, Interval};
use crate::event::{Event, What};
use crate::ids::{AgentId, CallId};
use crate::time::Wall;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The fold over the log, from its beginning or from where its state was written down.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fold {
    calls: BTreeMap<CallId, OpenCall>,
    agents: Agents,
    /// When the last event was.
    last: Wall,
}

/// A call that has not ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenCall {
    pub record: CallRecord,
    pub parts: Parts,
    pub paths: Paths,
    #[serde(default)]
    pub transfers: Transfers,
    /// The engine was started anew: nothing of this call is later than this.
    stopped: Option<Wall>,
}

impl Fold {
    /// Goes on from what was open when the last event was `last`.
    pub fn resume(calls: Vec<OpenCall>, agents: Vec<Interval>, last: Wall) -> Fold {
        let calls = calls.into_iter().map(|call| (call.record.call, call)).collect();
        let mut fold = Fold { calls, last, ..Fold::default() };
        agents.into_iter().for_each(|open| fold.agents.resume(open));
        fold
    }

    /// Goes on from agents' intervals that were open.
    pub fn resume_agents(&mut self, agents: Vec<Interval>) {
        agents.into_iter().for_each(|open| self.agents.resume(open));
    }

    /// The last event was at `last`.
    pub fn resume_at(&mut self, last: Wall) {
        self.last = last;
    }

    /// Takes the next event; adds the rows that it completed.
    pub fn apply(&mut self, event: &Event, rows: &mut Vec<Row>) {
        match &event.what {
            What::EngineStarted { alive, .. } => self.started(event.seq, *alive, rows),
            What::AgentStateChanged { .. } | What::AgentReachable { .. } | What::Established { .. } => {
                rows.extend(self.agents.apply(event).map(Row::Agent))
            }
            _ => rows.extend(disposed(event)),
        }
        if let Some(call) = event.call {
            self.apply_to(call, event, rows);
        }
        self.last = event.at;
    }

    fn started(&mut self, seq: u64, alive: Option<Wall>, rows: &mut Vec<Row>) {
        let last = self.last.max(alive.unwrap_or(self.last));
        self.calls.values_mut().for_each(|call| call.stopped = call.stopped.or(Some(last)));
        rows.extend(self.agents.restarted(seq, last).into_iter().map(Row::Agent));
    }

    fn apply_to(&mut self, id: CallId, event: &Event, rows: &mut Vec<Row>) {
        if let Some(mut record) = CallRecord::of(event) {
            record.caller.text = None; // records have handles only
            let (parts, paths, transfers) = Default::default();
            self.calls.insert(id, OpenCall { record, parts, paths, transfers, stopped: None });
        }
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.apply(event);
        if let What::CallEnded { .. } = event.what
            && let Some(call) = self.calls.remove(&id)
        {
            rows.extend(Row::of_call(call));
        }
    }

    /// A call that runs.
    pub fn call(&self, id: CallId) -> Option<&OpenCall> {
        self.calls.get(&id)
    }

    pub fn calls(&self) -> impl Iterator<Item = &OpenCall> {
        self.calls.values()
    }

    /// An agent's present interval, as it began.
    pub fn agent(&self, agent: AgentId) -> Option<&Interval> {
        self.agents.of(agent)
    }

    /// The agents' present intervals, cut at `now`.
    pub fn agents(&self, now: Wall) -> impl Iterator<Item = Interval> {
        self.agents.open(now)
    }

    /// When the last event was.
    pub fn last(&self) -> Wall {
        self.last
    }
}

fn disposed(event: &Event) -> Option<Row> {
    let What::Disposed { agent, disposition, .. } = &event.what else { return None };
    let (seq, agent, at, disposition) = (event.seq, *agent, event.at, disposition.clone());
    Some(Row::Disposition(Disposition { seq, call: event.call?, agent, at, disposition }))
}

impl OpenCall {
    fn apply(&mut self, event: &Event) {
        let event = match self.stopped {
            Some(at) => Cow::Owned(Event { at, ..event.clone() }),
            None => Cow::Borrowed(event),
        };
        self.record.apply(&event);
        self.parts.apply(event.at, &event);
        self.paths.apply(event.at, &event);
        self.transfers.apply(event.at, &event);
    }
}
