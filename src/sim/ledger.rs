//! The simulator's own ledger: what queues and agents did, as it was seen, to compare the records with.
//!
//! No event is read for it. After each input the ledger looks at who seeks an agent and what became of those who did;
//! at the agents' states when the engine says that one has changed, and now and then anyway; and it follows the audio:
//! a port that is opened for an agent is an offer, joined it is a talk, alone again it is held, closed it is over.
//! So a fold that loses an interval, or an engine that tells one wrongly, has other sums.
//!
//! **Kills.** What a killed engine did in its last milliseconds is not in its log, but was seen: [`Both`] keeps what was seen
//! until what is safe by now, and goes back to that. All that was open ends with the last thing that is safe, of which the
//! log is asked for the time and for nothing else, and from then on nobody is at work.

use crate::acd::AgentState;
use crate::engine::Engine;
use crate::event::{AgentMode, Party};
use crate::ids::{AgentId, CallId, PortId, QueueId, WorkId};
use crate::media::Command;
use crate::records::{Fold, Interval, PartKind, Row, Wait};
use crate::time::{Instant, Wall};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;

/// Counts and milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub calls: u64,
    pub queues: BTreeMap<QueueId, QueueSums>,
    pub agents: BTreeMap<AgentId, AgentSums>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueSums {
    pub entered: u64,
    pub answered: u64,
    /// Went on in the flow.
    pub diverted: u64,
    /// The call ended first.
    pub ended: u64,
    pub waited_ms: u64,
    pub talked_ms: u64,
    pub held_ms: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentSums {
    pub offers: u64,
    pub answered: u64,
    pub rung_ms: u64,
    pub talked_ms: u64,
    pub held_ms: u64,
    /// In the order of [`AgentMode`], from the first change on; the last one: ready, and reached by nothing.
    pub modes_ms: [u64; 7],
}

/// What was seen so far.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    sums: Sums,
    waiting: BTreeMap<WorkId, (QueueId, CallId, Wall)>,
    agents: BTreeMap<AgentId, (usize, Wall)>,
    ports: BTreeMap<PortId, Seen>,
    /// The router's counts at the last look.
    counted: [u64; 6],
    looks: u64,
}

/// A port of the engine.
#[derive(Clone, Debug)]
struct Seen {
    agent: Option<(AgentId, QueueId)>,
    state: Audio,
    since: Wall,
    joined: Option<PortId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audio {
    Opened,
    Joined,
    Alone,
}

/// Behind the six of [`AgentMode`].
const UNREACHABLE: usize = 6;

/// How many looks pass between two at all agents that nothing was said of.
const ANYWAY: u64 = 1_000;

impl Ledger {
    /// After each input.
    pub fn look(&mut self, now: Wall, engine: &Engine, agents_changed: bool) {
        let stats = engine.router().stats();
        let counts = [stats.enqueued, stats.accepted, stats.dequeued, stats.expired, stats.rejected, stats.waiting];
        if counts != self.counted {
            self.counted = counts;
            self.look_at_queues(now, engine);
        }
        self.looks += 1;
        if agents_changed || self.looks.is_multiple_of(ANYWAY) {
            self.look_at_agents(now, engine);
        }
    }

    fn look_at_queues(&mut self, now: Wall, engine: &Engine) {
        let mut gone = self.waiting.clone();
        for call in engine.calls() {
            let Some(place) = call.seeking.as_ref().map(|seeking| &seeking.place) else { continue };
            if gone.remove(&place.work).is_none() {
                self.waiting.insert(place.work, (place.queue.clone(), call.id, now));
                self.sums.queues.entry(place.queue.clone()).or_default().entered += 1;
            }
        }
        for (work, (queue, id, since)) in gone {
            self.waiting.remove(&work);
            let call = engine.calls().find(|call| call.id == id);
            let sums = self.sums.queues.entry(queue).or_default();
            sums.waited_ms += between(since, now);
            match call.map(|call| call.conversation.as_ref().is_some_and(|talk| talk.place.work == work)) {
                Some(true) => sums.answered += 1,
                Some(false) => sums.diverted += 1,
                None => sums.ended += 1,
            }
        }
    }

    fn look_at_agents(&mut self, now: Wall, engine: &Engine) {
        for id in engine.center().agents.keys() {
            let Some(agent) = engine.router().agent(*id) else { continue };
            let mode = seen_as(agent.state());
            let mode = if mode == AgentMode::Ready && !agent.reachable() { UNREACHABLE } else { mode as usize };
            let (before, since) = *self.agents.get(id).unwrap_or(&(AgentMode::LoggedOut as usize, Wall::default()));
            if before == mode {
                continue;
            }
            // Who has never been seen otherwise is not counted as logged out before.
            if since > Wall::default() {
                self.sums.agents.entry(*id).or_default().modes_ms[before] += between(since, now);
            }
            self.agents.insert(*id, (mode, now));
        }
    }

    /// The engine asks its planes for something.
    pub fn hear(&mut self, now: Wall, engine: &Engine, command: &Command) {
        match command {
            Command::Open { port, .. } => self.opened(now, engine, *port),
            Command::Join { a, b } => {
                self.turn(now, *a, Audio::Joined, Some(*b));
                self.turn(now, *b, Audio::Joined, Some(*a));
            }
            Command::Leave { port } => {
                let other = self.ports.get(port).and_then(|seen| seen.joined);
                other.into_iter().chain([*port]).for_each(|port| self.turn(now, port, Audio::Alone, None));
            }
            Command::Close { port } => {
                self.turn(now, *port, Audio::Alone, None);
                self.ports.remove(port);
            }
            _ => {}
        }
    }

    fn opened(&mut self, now: Wall, engine: &Engine, port: PortId) {
        let Some(leg) = engine.legs().find(|leg| leg.port == port) else { return };
        let queue = || {
            let call = engine.calls().find(|call| call.id == leg.call)?;
            Some(call.seeking.as_ref()?.place.queue.clone())
        };
        let agent = match leg.party {
            Party::Caller => {
                self.sums.calls += 1;
                None
            }
            Party::Agent(agent) => queue().map(|queue| (agent, queue)),
            Party::Outside => None,
        };
        agent.iter().for_each(|(agent, _)| self.sums.agents.entry(*agent).or_default().offers += 1);
        self.ports.insert(port, Seen { agent, state: Audio::Opened, since: now, joined: None });
    }

    /// The port's stretch ends; those of agents are counted.
    fn turn(&mut self, now: Wall, port: PortId, state: Audio, joined: Option<PortId>) {
        let Some(seen) = self.ports.get_mut(&port) else { return };
        let (before, ms) = (seen.state, between(seen.since, now));
        (seen.state, seen.since, seen.joined) = (state, now, joined);
        let Some((agent, queue)) = &seen.agent else { return };
        let (agent, queue) =
            (self.sums.agents.entry(*agent).or_default(), self.sums.queues.entry(queue.clone()).or_default());
        match before {
            Audio::Opened => {
                agent.rung_ms += ms;
                agent.answered += u64::from(state == Audio::Joined);
            }
            Audio::Joined => (agent.talked_ms, queue.talked_ms) = (agent.talked_ms + ms, queue.talked_ms + ms),
            Audio::Alone => (agent.held_ms, queue.held_ms) = (agent.held_ms + ms, queue.held_ms + ms),
        }
    }

    /// The engine is killed, and had said nothing more since: whoever waited, rang or talked does so no more.
    fn cut(&mut self, at: Wall) {
        for (_, (queue, _, since)) in std::mem::take(&mut self.waiting) {
            let sums = self.sums.queues.entry(queue).or_default();
            (sums.waited_ms, sums.ended) = (sums.waited_ms + between(since, at), sums.ended + 1);
        }
        let ports: Vec<PortId> = self.ports.keys().copied().collect();
        ports.into_iter().for_each(|port| self.turn(at, port, Audio::Alone, None));
        self.ports.clear();
        for (id, (mode, since)) in &mut self.agents {
            self.sums.agents.entry(*id).or_default().modes_ms[*mode] += between(*since, at);
            (*mode, *since) = (AgentMode::LoggedOut as usize, at.max(*since));
        }
        self.counted = Default::default(); // another router
    }

    /// What was seen, the present states up to now.
    pub fn sums(&self, now: Wall) -> Sums {
        let mut sums = self.sums.clone();
        for (id, (mode, since)) in &self.agents {
            sums.agents.entry(*id).or_default().modes_ms[*mode] += between(*since, now);
        }
        sums
    }
}

/// The same sums from records.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    pub fold: Fold,
    sums: Sums,
}

impl Recorded {
    pub fn add(&mut self, event: &crate::event::Event) {
        let mut rows = Vec::new();
        self.fold.apply(event, &mut rows);
        rows.iter().for_each(|row| self.row(row));
    }

    fn row(&mut self, row: &Row) {
        let Sums { calls, queues, agents } = &mut self.sums;
        match row {
            Row::Call { .. } => *calls += 1,
            Row::Queue { wait, talked, held, .. } => {
                let sums = queues.entry(wait.queue.clone()).or_default();
                sums.entered += 1;
                match wait.wait {
                    Wait::Answered => sums.answered += 1,
                    Wait::Diverted(_) => sums.diverted += 1,
                    Wait::Ended(_) | Wait::Waiting => sums.ended += 1,
                }
                sums.waited_ms += between(wait.queued_at, wait.left.unwrap_or(wait.queued_at));
                sums.talked_ms += talked.as_millis() as u64;
                sums.held_ms += held.as_millis() as u64;
            }
            Row::Offer { offer, .. } => {
                let sums = agents.entry(offer.agent).or_default();
                sums.offers += 1;
                sums.answered += u64::from(offer.outcome == Some(crate::event::OfferOutcome::Accepted));
            }
            Row::Segment { part, .. } => {
                let Party::Agent(agent) = part.party else { return };
                let (sums, ms) = (agents.entry(agent).or_default(), between(part.from, part.to));
                match part.kind {
                    PartKind::Talking => sums.talked_ms += ms,
                    PartKind::Held => sums.held_ms += ms,
                    _ => sums.rung_ms += ms,
                }
            }
            Row::Agent(interval) => {
                let sums = agents.entry(interval.agent).or_default();
                sums.modes_ms[place_of(interval)] += between(interval.from, interval.to);
            }
            Row::Path { .. } | Row::LookUp { .. } | Row::Transfer { .. } | Row::Disposition(_) => {}
        }
    }

    pub fn sums(&self, now: Wall) -> Sums {
        let mut sums = self.sums.clone();
        for open in self.fold.agents(now) {
            let agent = sums.agents.entry(open.agent).or_default();
            agent.modes_ms[place_of(&open)] += between(open.from, open.to);
        }
        sums
    }
}

/// What is seen and what is recorded, over kills.
#[derive(Clone, Debug, Default)]
pub struct Both {
    pub seen: Ledger,
    pub recorded: Recorded,
    /// As it was after what is safe by now …
    safe: Ledger,
    /// … and after each look since.
    young: VecDeque<(Instant, Ledger)>,
}

impl Both {
    /// After each look, in a run with kills. `all_safe`: nothing waits to be made safe.
    pub fn looked(&mut self, now: Instant, all_safe: bool) {
        self.young.push_back((now, self.seen.clone()));
        if all_safe {
            self.are_safe(now);
        }
    }

    /// What was made at or before `until` is safe.
    pub fn are_safe(&mut self, until: Instant) {
        while let Some((_, seen)) = self.young.pop_front_if(|(at, _)| *at <= until) {
            self.safe = seen;
        }
    }

    pub fn killed(&mut self) {
        self.young.clear();
        self.safe.cut(self.recorded.fold.last());
        self.seen = self.safe.clone();
    }
}

/// Where two sums differ, a line each; empty if they are equal.
pub fn differences(seen: &Sums, recorded: &Sums) -> Vec<String> {
    fn each<K: Ord + Debug, V: PartialEq + Debug>(
        of: &str,
        seen: &BTreeMap<K, V>,
        recorded: &BTreeMap<K, V>,
    ) -> Vec<String> {
        let names: std::collections::BTreeSet<&K> = seen.keys().chain(recorded.keys()).collect();
        let pairs = names.into_iter().map(|name| (name, seen.get(name), recorded.get(name)));
        let differ = pairs.filter(|(_, seen, recorded)| seen != recorded);
        differ.map(|(name, seen, recorded)| format!("{of} {name:?}: seen {seen:?}, recorded {recorded:?}")).collect()
    }
    let mut differ = each("queue", &seen.queues, &recorded.queues);
    differ.extend(each("agent", &seen.agents, &recorded.agents));
    if seen.calls != recorded.calls {
        differ.push(format!("{} calls seen, {} recorded", seen.calls, recorded.calls));
    }
    differ
}

/// The place of its time in [`AgentSums::modes_ms`].
fn place_of(interval: &Interval) -> usize {
    if interval.unreachable() { UNREACHABLE } else { interval.mode as usize }
}

fn seen_as(state: &AgentState) -> AgentMode {
    match state {
        AgentState::LoggedOut => AgentMode::LoggedOut,
        AgentState::NotReady(_) => AgentMode::NotReady,
        AgentState::Ready => AgentMode::Ready,
        AgentState::Reserved => AgentMode::Reserved,
        AgentState::Busy => AgentMode::Busy,
        AgentState::WrapUp => AgentMode::WrapUp,
    }
}

fn between(from: Wall, to: Wall) -> u64 {
    to.0.saturating_sub(from.0).max(0).unsigned_abs()
}
