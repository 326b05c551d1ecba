//! Who takes the next call: queues, agents, and the reservations that bind one to the other.
//!
//! [`Router`] is a plain struct with three verbs: `handle(now, input)`, `poll()`, `deadline()`. It knows work and
//! agents by their ids; calls and phones are the engine's. One writer, so one work never gets two agents.
//!
//! ```text
//!             Enqueue             Offered                Accept
//!   (flow) ───────────▶ seeking ───────────▶ ringing ───────────────▶ Accepted, the work is gone
//!                          ▲  Refuse, TimedOut │ │ Dequeue
//!                          └───────────────────┘ └──────────────────▶ Withdrawn, the work is gone
//! ```
//!
//! **Always true** after every input ([`Router::check`]): no eligible pair of work and agent waits; a reserved
//! agent has exactly one reservation and every reservation one reserved agent, one work and one deadline.
//!
//! **Rules**: order and classes in `queue`, what changes with waiting in `waiting`, states, wrap-up and idle time in
//! `agent`, what agents are chosen by in `merit`, the choice in `matching`, the life of a reservation in `offer`,
//! expected waits in `forecast`. A refused work keeps its place and is not offered to the same agent again before
//! the queue's `retry_same_agent`. [`REFUSALS_IN_A_ROW`] refusals, or a phone that cannot be reached, give the
//! agent a rest of [`PENALTY`] that is visible, ends by itself and is lifted by `Ready`. A work whose `max_wait`
//! ends while phones ring for it expires when the last of those offers ends unanswered, so nobody is cut off at
//! "hello".
//!
//! **Cost**, with Q queues per agent, C classes of need per queue and R refusals that still count:
//! work arrives or leaves O(log n); an agent changes O(Q · C · (log n + R)). `position` counts by the hundred (`line`), a
//! step of relaxation that might be skipped is linear in the agents at work in the queue.
//!
//! Left out: comparing what was announced with what became of it, which the numbers do ([`crate::stats`]).

mod agent;
mod anew;
mod check;
mod forecast;
mod line;
mod matching;
mod merit;
mod offer;
mod output;
mod place;
mod queue;
#[cfg(test)]
mod tests;
mod waiting;

pub use agent::{
    Agent, AgentChange, AgentState, MAX_WRAP_UP, PENALTY, Penalty, REFUSALS_IN_A_ROW, SIGN_OUT_FORGIVEN, StateReason,
};
pub use anew::Doing;
pub use forecast::{Forecast, HORIZON, Method};
pub use matching::{Candidate, ChosenBy, Explanation, PassedOver, WhyNot};
use merit::Merit;
pub use output::{Output, QueueView, Rejection, Stats, Withdrawal};
pub use place::{Place, own_skill};

pub use crate::center::Skills;
use crate::center::{Center, WrapUp};
use crate::ids::{AgentId, IdCounter, QueueId, ReservationId, Rng, WorkId};
use crate::time::{Instant, Timers};
use offer::Reservations;
use queue::{Queue, Work};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Longest reason of a break, in characters; more is cut.
pub const MAX_REASON: usize = 64;
/// How many passed-over candidates an [`Explanation`] names.
pub const EXPLAINED: usize = 4;

/// What the engine tells the router. Inputs about what does not exist (any more) change nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Input {
    /// An agent's wish, or news about his phone.
    Agent { agent: AgentId, change: AgentChange },
    /// Lets a work wait. `arrived` may lie before now (a transfer or callback keeps the wait already served); the
    /// queue's `max_wait` counts from now. For a work that waits already: moves it, re-keyed at once.
    Enqueue(Place),
    /// The caller left or the flow took the work back: its reservations are withdrawn.
    Dequeue { work: WorkId },
    /// The agent's phone answered.
    Accept { reservation: ReservationId },
    /// The agent's phone will not answer: the work keeps its place.
    Refuse { reservation: ReservationId, why: Refusal },
    /// The conversation that began with `Accepted` is over for this agent: wrap-up by the queue's time.
    Finish { agent: AgentId, queue: QueueId },
    /// The agent has a conversation behind him that this router did not see, and its notes before him. To be told before
    /// his `SignIn`, at the same moment: nobody is rung between the two.
    Owe { agent: AgentId, queue: QueueId },
    /// The agent is in a call outside the queues.
    Occupy { agent: AgentId },
    /// The agent's last call outside the queues is over.
    Vacate { agent: AgentId },
    /// A new configuration. Compared with the old: who and what is in both keeps its state.
    Configure(Center),
    /// The time of `deadline()` has come.
    Timeout,
}

/// How an agent's phone did not take an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The agent said no.
    Declined,
    /// It rang and nobody answered.
    NoAnswer,
    /// The phone gave no answer at all, or an error: rests at once, since it would fail again.
    Unreachable,
    Busy,
}

impl Refusal {
    /// As shown to people, also as the reason of a penalty.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::Declined => "declined",
            Refusal::NoAnswer => "no answer",
            Refusal::Unreachable => "unreachable",
            Refusal::Busy => "busy",
        }
    }
}

/// The router's deadlines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Timer {
    /// When to stop ringing.
    Ring(ReservationId),
    /// When something about a waiting work changes by itself: points, need, whom it waits for, its longest wait.
    Attend(WorkId),
    /// When to lead elsewhere who waits where nobody is at work.
    NoStaff(QueueId),
    /// When to end an agent's wrap-up.
    WrapUp(AgentId),
    /// When to end an agent's penalty.
    Penalty(AgentId),
    /// When an agent may be offered a work again that he refused.
    Retry(AgentId, WorkId),
}

/// The router: one table of agents, queues and work, and one writer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Router {
    queues: BTreeMap<QueueId, Queue>,
    agents: BTreeMap<AgentId, Agent>,
    works: BTreeMap<WorkId, Work>,
    reservations: Reservations,
    timers: Timers<Timer>,
    outputs: VecDeque<Output>,
    counted: Stats,
    /// Serial of offers, for those who take turns.
    offers_made: u64,
    rng: Rng,
}

impl Router {
    /// `reservation_ids` must not have been used for reservations before.
    pub fn new(center: &Center, reservation_ids: IdCounter, rng: Rng) -> Router {
        let mut router = Router { rng, ..Router::empty(reservation_ids) };
        router.queues = center.queues.iter().map(|(id, q)| (id.clone(), Queue::new(q, Instant::ZERO))).collect();
        router.agents = center.agents.iter().map(|(id, agent)| (*id, Agent::new(agent))).collect();
        router.note_delays();
        router.watch_staff();
        router
    }

    fn empty(reservation_ids: IdCounter) -> Router {
        Router {
            queues: BTreeMap::new(),
            agents: BTreeMap::new(),
            works: BTreeMap::new(),
            reservations: Reservations::new(reservation_ids),
            timers: Timers::default(),
            outputs: VecDeque::new(),
            counted: Stats::default(),
            offers_made: 0,
            rng: Rng::new([0; 32]),
        }
    }

    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Agent { agent, change } => self.change(now, agent, change),
            Input::Enqueue(place) => self.enqueue(now, Place { arrived: place.arrived.min(now), ..place }),
            Input::Dequeue { work } => self.dequeue(now, work),
            Input::Accept { reservation } => self.accept(now, reservation),
            Input::Refuse { reservation, why } => self.refuse(now, reservation, why),
            Input::Finish { agent, queue } => self.finish(now, agent, &queue),
            Input::Owe { agent, queue } => self.owe(now, agent, &queue),
            Input::Occupy { agent } => self.occupy(now, agent, true),
            Input::Vacate { agent } => self.occupy(now, agent, false),
            Input::Configure(center) => self.configure(now, &center),
            Input::Timeout => {
                while let Some(timer) = self.timers.pop_due(now) {
                    self.fire(now, timer);
                }
            }
        }
    }

    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call `handle` with [`Input::Timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.deadline()
    }

    pub fn agent(&self, agent: AgentId) -> Option<&Agent> {
        self.agents.get(&agent)
    }

    pub fn queue(&self, queue: &QueueId) -> Option<QueueView> {
        self.queues.get(queue).map(Queue::view)
    }

    /// Whether somebody at work in the queue has these skills, beside those who are named.
    pub fn is_served_beside(&self, queue: &QueueId, skills: &Skills, but: &BTreeSet<AgentId>) -> bool {
        self.queues.get(queue).is_some_and(|queue| queue.is_served(skills, &self.agents, but))
    }

    /// The 1-based place of a work that waits in its queue; `None` once it is accepted or gone. It may grow when
    /// work of more points arrives: who tells it keeps the least so far (`ivr` does).
    pub fn position(&self, work: WorkId) -> Option<u32> {
        let work = self.works.get(&work)?;
        Some(self.queues[&work.place.queue].line.before(&work.rank) as u32 + 1)
    }

    pub fn stats(&self) -> Stats {
        Stats { waiting: self.works.len() as u64, reservations: self.reservations.len() as u64, ..self.counted }
    }

    /// How many numbers for reservations are left.
    pub fn reservations_left(&self) -> u32 {
        self.reservations.numbers_left()
    }

    /// Where the numbers of reservations stand: a router that takes this one's place goes on from there.
    pub fn reservation_ids(&self) -> IdCounter {
        self.reservations.ids()
    }

    /// Why the router is not quiet: what waits, rings, talks, or has a deadline.
    pub fn pending(&self) -> Option<String> {
        let busy = self.agents.values().filter(|agent| agent.conversation.is_some() || agent.outside).count();
        let counts = [
            (self.works.len(), "work waiting"),
            (self.reservations.len(), "reservations open"),
            (busy, "agents busy"),
            // That a queue is without staff for long is no unrest.
            (self.timers.keys().filter(|timer| !matches!(timer, Timer::NoStaff(_))).count(), "deadlines set"),
            (self.outputs.len(), "outputs not taken"),
        ];
        let open = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
        let open = open.collect::<Vec<_>>().join(", ");
        (!open.is_empty()).then(|| format!("router: {open}"))
    }

    fn change(&mut self, now: Instant, id: AgentId, change: AgentChange) {
        let Some(agent) = self.agents.get_mut(&id) else {
            self.counted.ignored += 1;
            return;
        };
        let reason = agent.change(now, change);
        self.settle(now, id, reason);
    }

    fn occupy(&mut self, now: Instant, id: AgentId, outside: bool) {
        let Some(agent) = self.agents.get_mut(&id) else {
            self.counted.ignored += 1;
            return;
        };
        agent.outside = outside;
        self.settle(now, id, if outside { StateReason::Occupied } else { StateReason::Vacated });
    }

    fn owe(&mut self, now: Instant, id: AgentId, queue: &QueueId) {
        let wrap_up = self.wrap_up_of(queue);
        let Some(agent) = self.agents.get_mut(&id).filter(|agent| agent.conversation.is_none()) else {
            self.counted.ignored += 1;
            return;
        };
        agent.finish(now, wrap_up);
        self.settle(now, id, StateReason::ConversationEnded);
    }

    /// Whether the agent may ask for (more) time for notes: for after his talk, or while he writes them.
    pub fn takes_more_time(&self, id: AgentId) -> bool {
        self.agents.get(&id).is_some_and(|agent| match agent.wrap_up {
            Some(notes) => !notes.mandatory,
            None => {
                let queue = agent.handling.as_ref().filter(|_| agent.conversation.is_some());
                let mode = queue.map_or(WrapUp::None, |(queue, _)| self.wrap_up_of(queue));
                matches!(mode, WrapUp::Optional(_) | WrapUp::OnRequest(_))
            }
        })
    }

    fn wrap_up_of(&self, queue: &QueueId) -> WrapUp {
        self.queues.get(queue).map_or(WrapUp::None, |queue| queue.settings.wrap_up)
    }

    fn finish(&mut self, now: Instant, id: AgentId, queue: &QueueId) {
        let wrap_up = self.wrap_up_of(queue);
        let Some(agent) = self.agents.get_mut(&id).filter(|agent| agent.conversation.is_some()) else {
            self.counted.ignored += 1;
            return;
        };
        agent.finish(now, wrap_up);
        self.settle(now, id, StateReason::ConversationEnded);
    }

    fn fire(&mut self, now: Instant, timer: Timer) {
        match timer {
            Timer::Ring(reservation) => self.ring_out(now, reservation),
            Timer::Attend(work) => self.attend(now, work),
            Timer::NoStaff(queue) => self.desert(now, &queue),
            Timer::WrapUp(id) => {
                self.agents.get_mut(&id).expect("WrapUp is set for known agents only").wrap_up = None;
                self.settle(now, id, StateReason::WrapUpEnded);
            }
            Timer::Penalty(id) => {
                self.agents.get_mut(&id).expect("Penalty is set for known agents only").penalty = None;
                self.settle(now, id, StateReason::PenaltyEnded);
            }
            Timer::Retry(id, work) => {
                self.agents.get_mut(&id).expect("Retry is set for known agents only").refused.remove(&work);
                self.settle(now, id, StateReason::PenaltyEnded);
            }
        }
    }
}
