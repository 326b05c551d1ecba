//! What agents do, by state and reason, and how long a call keeps them.

use super::between;
use super::families as f;
use super::family::Sample;
use super::queues::QueueNumbers;
use crate::center::Center;
use crate::event::{AgentMode, Event, OfferOutcome, What};
use crate::ids::{AgentId, QueueId};
use crate::time::Wall;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// State and reason as labels.
pub(super) type Doing = (&'static str, String);

/// What is meant by `unreachable`: he would be ready, but none of his phones answers and no trunk carries a call to his
/// number, so that no caller may be promised to him. Whatever else he does he does: who talks is at work, though another
/// call would not reach him.
const UNREACHABLE: &str = "unreachable";
const STATES: [&str; 7] = ["logged_out", "not_ready", "ready", "reserved", "busy", "wrap_up", UNREACHABLE];
/// Reasons that the engine and the router give by themselves.
const OWN_REASONS: [&str; 7] =
    ["short code", "logged out", "desktop lost", "declined", "no answer", "busy", "unreachable"];
const NO_REASON: &str = "none";
const OTHER_REASON: &str = "other";

#[derive(Clone, Debug, Default)]
pub(super) struct Agents {
    all: BTreeMap<AgentId, One>,
    /// The configured reasons.
    reasons: BTreeSet<String>,
    /// Since when times are counted; of who has changed since, see there.
    since: Option<Wall>,
    /// Time in states, of agents who are not there any more as well.
    spent: BTreeMap<Doing, Duration>,
}

#[derive(Clone, Debug)]
struct One {
    queues: Vec<QueueId>,
    mode: AgentMode,
    reason: String,
    /// Nothing reaches him any more.
    unreachable: bool,
    since: Option<Wall>,
    spent: BTreeMap<&'static str, Duration>,
    answered: u64,
    missed: u64,
    handling: Option<Handling>,
}

/// The call that keeps an agent busy.
#[derive(Clone, Debug)]
struct Handling {
    queue: QueueId,
    since: Wall,
    wrap_up: Option<Wall>,
}

impl One {
    /// Which of [`STATES`].
    fn state(&self) -> usize {
        match self.mode {
            AgentMode::Ready if self.unreachable => STATES.len() - 1,
            mode => mode as usize,
        }
    }

    fn doing(&self) -> Doing {
        let reason = if self.mode == AgentMode::NotReady { &self.reason } else { NO_REASON };
        (STATES[self.state()], reason.to_owned())
    }

    /// The talk that it answers begins; or the call, or its wrap-up, lets him go.
    fn changed(&mut self, at: Wall, from: AgentMode, to: AgentMode) -> Option<(QueueId, Duration, Option<Duration>)> {
        match (from, to, &mut self.handling) {
            (AgentMode::Busy, AgentMode::WrapUp, Some(handling)) => handling.wrap_up = Some(at),
            (AgentMode::Busy | AgentMode::WrapUp, _, Some(_)) => {
                let Handling { queue, since, wrap_up } = self.handling.take()?;
                return Some((queue, between(since, at), wrap_up.map(|since| between(since, at))));
            }
            _ => {}
        }
        None
    }
}

impl Agents {
    pub fn configure(&mut self, center: &Center) {
        self.reasons = center.reasons.keys().cloned().collect();
        self.all.retain(|id, _| center.agents.contains_key(id));
        for (id, agent) in &center.agents {
            let one = self.all.entry(*id).or_insert_with(|| One {
                queues: Vec::new(),
                mode: AgentMode::LoggedOut,
                reason: NO_REASON.to_owned(),
                unreachable: false,
                since: self.since,
                spent: BTreeMap::new(),
                answered: 0,
                missed: 0,
                handling: None,
            });
            one.queues = agent.queues.keys().cloned().collect();
        }
    }

    pub fn apply(&mut self, event: &Event, queues: &mut BTreeMap<QueueId, QueueNumbers>) {
        let at = event.at;
        match &event.what {
            What::EngineStarted { .. } => self.restart(at),
            What::AgentStateChanged { agent, from, to, reason } => {
                let reason = self.reason(*to, reason);
                self.shift(*agent, at, |one| {
                    (one.mode, one.reason) = (*to, reason);
                    one.unreachable &= *to != AgentMode::LoggedOut;
                });
                let let_go = self.all.get_mut(agent).and_then(|one| one.changed(at, *from, *to));
                if let Some((queue, handled, wrapped_up)) = let_go {
                    let numbers = queues.entry(queue).or_default();
                    numbers.handles.add(&f::QUEUE_HANDLE, handled);
                    wrapped_up.iter().for_each(|time| numbers.wrap_ups.add(&f::QUEUE_WRAP_UP, *time));
                }
            }
            What::AgentReachable { agent, reachable } => self.shift(*agent, at, |one| one.unreachable = !reachable),
            What::Established { agent, queue, .. } => {
                if let Some(one) = self.all.get_mut(agent) {
                    one.answered += 1;
                    one.handling = Some(Handling { queue: queue.clone(), since: at, wrap_up: None });
                }
            }
            What::OfferEnded {
                agent,
                outcome: OfferOutcome::Declined | OfferOutcome::NoAnswer | OfferOutcome::Unreachable,
                ..
            } => self.all.get_mut(agent).map(|one| one.missed += 1).unwrap_or_default(),
            _ => {}
        }
    }

    /// Everybody begins logged out.
    fn restart(&mut self, at: Wall) {
        let all: Vec<AgentId> = self.all.keys().copied().collect();
        for agent in all {
            self.shift(agent, at, |one| {
                (one.mode, one.unreachable, one.handling) = (AgentMode::LoggedOut, false, None);
                one.since = Some(at);
            });
        }
        self.since = Some(at);
    }

    /// Changes an agent, and counts the time before the change if it makes a difference.
    fn shift(&mut self, agent: AgentId, at: Wall, change: impl FnOnce(&mut One)) {
        let Some(one) = self.all.get_mut(&agent) else { return };
        let before = one.doing();
        change(one);
        if one.doing() == before {
            return;
        }
        let time = one.since.replace(at).map_or(Duration::ZERO, |since| between(since, at));
        *one.spent.entry(before.0).or_default() += time;
        *self.spent.entry(before).or_default() += time;
    }

    /// A break's reason as a label. Where none are configured any code will do, so that it can be none.
    fn reason(&self, to: AgentMode, reason: &str) -> String {
        let known = self.reasons.contains(reason) || OWN_REASONS.contains(&reason);
        match (to, known) {
            (AgentMode::NotReady, true) => reason.to_owned(),
            (AgentMode::NotReady, false) => OTHER_REASON.to_owned(),
            _ => NO_REASON.to_owned(),
        }
    }

    /// Who serves each queue, by state: each agent is looked at once, however many queues there are.
    fn by_queue(&self) -> BTreeMap<&QueueId, [u64; STATES.len()]> {
        let mut serve = BTreeMap::<&QueueId, [u64; STATES.len()]>::new();
        for one in self.all.values() {
            let state = one.state();
            one.queues.iter().for_each(|queue| serve.entry(queue).or_default()[state] += 1);
        }
        serve
    }

    pub fn samples<'a>(&self, now: Wall, queues: impl Iterator<Item = &'a QueueId>, out: &mut Vec<Sample>) {
        let mut present = super::tally(self.all.values().map(One::doing));
        let mut spent = self.spent.clone();
        for one in self.all.values() {
            *spent.entry(one.doing()).or_default() += one.time_until(now);
        }
        // Whatever has been there once stays, and the states are there from the start.
        let usual = STATES.into_iter().filter(|state| *state != STATES[1]);
        usual
            .map(|state| (state, NO_REASON.to_owned()))
            .chain(spent.keys().cloned())
            .for_each(|doing| _ = present.entry(doing).or_default());
        for ((state, reason), n) in &present {
            out.push(f::AGENTS.count([state, reason], *n));
            let time = spent.get(&(*state, reason.clone())).copied().unwrap_or_default();
            out.push(f::AGENTS_TIME.sample([state, reason], time.as_secs_f64()));
        }
        let serve = self.by_queue();
        for queue in queues {
            let present = serve.get(queue).copied().unwrap_or_default();
            out.extend(STATES.iter().zip(present).map(|(state, n)| f::QUEUE_AGENTS.count([queue.as_str(), state], n)));
        }
    }

    /// One by one, for who wants that many series.
    pub fn each(&self, now: Wall, out: &mut Vec<Sample>) {
        for (agent, one) in &self.all {
            let (agent, doing) = (agent.to_string(), one.doing().0);
            for state in STATES {
                out.push(f::AGENT_STATE.flag([&agent, state], state == doing));
                let running = if state == doing { one.time_until(now) } else { Duration::ZERO };
                let time = one.spent.get(state).copied().unwrap_or_default() + running;
                out.push(f::AGENT_TIME.sample([&agent, state], time.as_secs_f64()));
            }
            out.push(f::AGENT_ANSWERED.count([&agent], one.answered));
            out.push(f::AGENT_MISSED.count([&agent], one.missed));
        }
    }
}

impl One {
    fn time_until(&self, now: Wall) -> Duration {
        self.since.map_or(Duration::ZERO, |since| between(since, now))
    }
}
