//! A router in the place of one whose tables contradict each other.
//!
//! Tables are made anew from facts. What an agent has said, done and is owed is his alone and stays: his break, his rest
//! and when it ends, his notes, his turn. What he and the callers are in the middle of is the engine's to say. Who waits
//! was let in long ago: no queue is too full for him now.

use super::agent::{Agent, AgentState, StateReason};
use super::queue::Queue;
use super::{Output, Place, Router, Timer};
use crate::center::{self, Center, WrapUp};
use crate::ids::{AgentId, Rng};
use crate::time::Instant;
use std::collections::BTreeMap;

/// What an agent is in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doing {
    /// In a conversation from a queue.
    pub serves: bool,
    /// In a call outside the queues.
    pub outside: bool,
}

impl Router {
    /// The new one. It begins with what has been told of each agent, so that its outputs go on from there; nobody's phone
    /// rings. `waiting`: all who wait, each with the place that he has.
    pub fn anew(
        &self,
        now: Instant,
        (center, rng): (&Center, Rng),
        doing: impl Fn(AgentId) -> Doing,
        waiting: Vec<Place>,
    ) -> Router {
        let mut router = Router { rng, offers_made: self.offers_made, ..Router::empty(self.reservation_ids()) };
        router.queues = center.queues.iter().map(|(id, queue)| (id.clone(), self.queue_anew(queue, now))).collect();
        let told = (self.states_told(), self.reach_told());
        let agents =
            center.agents.values().map(|agent| (agent.id, self.agent_anew(now, agent, doing(agent.id), &told)));
        router.agents = agents.collect();
        router.note_delays();
        router.watch_staff();
        for id in center.agents.keys() {
            router.refused_anew(*id);
            router.settle(now, *id, StateReason::Repaired);
        }
        for place in waiting {
            let (work, until) = (place.work, self.works.get(&place.work).map(|work| work.until));
            router.enqueue(now, Place { admitted: true, ..place });
            if let Some((work, until)) = router.works.get_mut(&work).zip(until) {
                work.until = until;
            }
            router.wind(work);
        }
        router
    }

    fn queue_anew(&self, settings: &center::Queue, now: Instant) -> Queue {
        let new = Queue::new(settings, now);
        let Some(old) = self.queues.get(&settings.id) else { return new };
        let (unstaffed_since, times) = (old.unstaffed_since.or(new.unstaffed_since), old.times.clone());
        Queue { unstaffed_since, times, drawn: old.drawn, ..new }
    }

    fn agent_anew(
        &self,
        now: Instant,
        settings: &center::Agent,
        doing: Doing,
        (states, reach): &(BTreeMap<AgentId, AgentState>, BTreeMap<AgentId, bool>),
    ) -> Agent {
        let new = Agent::new(settings);
        let Some(old) = self.agents.get(&settings.id) else { return new };
        let mut agent = Agent {
            queues: new.queues,
            skills: new.skills,
            reservation: None,
            outside: doing.outside,
            awaited: new.awaited,
            state: states.get(&settings.id).unwrap_or(&old.state).clone(),
            told_reachable: reach.get(&settings.id).copied().unwrap_or(old.told_reachable),
            listed: false,
            counted: false,
            ..old.clone()
        };
        match doing.serves {
            true => agent.conversation = agent.conversation.or(Some(now)),
            false if agent.conversation.is_some() => {
                let queue = agent.handling.as_ref().map(|(queue, _)| queue.clone());
                agent.finish(now, queue.map_or(WrapUp::None, |queue| self.wrap_up_of(&queue)));
            }
            false => {}
        }
        agent
    }

    /// What the outputs that nobody has taken begin with: it is told still.
    fn states_told(&self) -> BTreeMap<AgentId, AgentState> {
        let mut told = BTreeMap::new();
        for output in &self.outputs {
            if let Output::State { agent, from, .. } = output {
                told.entry(*agent).or_insert_with(|| from.clone());
            }
        }
        told
    }

    fn reach_told(&self) -> BTreeMap<AgentId, bool> {
        let mut told = BTreeMap::new();
        for output in &self.outputs {
            if let Output::Reachable { agent, reachable } = output {
                told.entry(*agent).or_insert(!reachable);
            }
        }
        told
    }

    fn refused_anew(&mut self, id: AgentId) {
        let refused = self.agents[&id].refused.clone();
        refused.into_iter().for_each(|(work, until)| self.timers.set(Timer::Retry(id, work), until));
    }
}
