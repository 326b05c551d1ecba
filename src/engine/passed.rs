//! Who has passed a caller on is spared him for half a minute, while somebody else is at work who could take him.
//!
//! Otherwise the agent who sends a caller to a queue that he serves himself may be rung for the same caller a moment later.
//! The router leaves out whom a place excludes, for good; so what is excluded is looked at again whenever somebody of that
//! queue stops working: nobody is left to wait for agents who are not there. Those who are there may come in late only
//! (`delay`), have refused him, or talk for long: so it ends by itself too ([`SPARED`]).

use super::{Deadline, Engine, Place};
use crate::acd;
use crate::ids::{AgentId, QueueId, WorkId};
use std::time::Duration;

/// How long who has passed a caller on is spared him.
pub(super) const SPARED: Duration = Duration::from_secs(30);

impl Engine {
    /// The place as it is asked for: nobody is left out of it who would not be rung anyway, or if nobody else could serve it.
    pub(super) fn sparing(&mut self, mut place: Place) -> Place {
        // A caller for one agent is that agent's: whom to leave out is asked when he is for all.
        if place.only.is_some() || place.excluded.is_empty() {
            return place;
        }
        let agents = &self.config.center.agents;
        let serves = |agent: &AgentId| agents.get(agent).is_some_and(|agent| agent.queues.contains_key(&place.queue));
        place.excluded.retain(serves);
        if place.excluded.is_empty() {
            return place;
        }
        if !self.others_serve(&place) {
            place.excluded.clear();
            return place;
        }
        self.spared.insert((place.queue.clone(), place.work));
        self.timers.set(Deadline::Spared(place.work), self.now + SPARED);
        place
    }

    /// Somebody has stopped working.
    pub(super) fn stops_working(&mut self, agent: AgentId) {
        if self.spared.is_empty() {
            return;
        }
        let queues =
            self.config.center.agents.get(&agent).map(|agent| agent.queues.keys().cloned().collect::<Vec<_>>());
        queues.into_iter().flatten().for_each(|queue| self.spares_no_more(&queue));
    }

    /// Anybody may serve something else now.
    pub(super) fn spares_anew(&mut self) {
        let mut queues: Vec<QueueId> = self.spared.iter().map(|(queue, _)| queue.clone()).collect();
        queues.dedup();
        queues.iter().for_each(|queue| self.spares_no_more(queue));
    }

    fn spares_no_more(&mut self, queue: &QueueId) {
        let all = (queue.clone(), WorkId(0))..=(queue.clone(), WorkId(u64::MAX));
        for work in self.spared.range(all).map(|(_, work)| *work).collect::<Vec<_>>() {
            match self.place_of(work) {
                Some(place) if self.others_serve(place) => {}
                Some(_) => self.spare_nobody(work),
                None => {
                    self.spared.remove(&(queue.clone(), work));
                    self.timers.cancel(&Deadline::Spared(work));
                }
            }
        }
    }

    /// He may have him back, if he still waits.
    pub(super) fn spare_nobody(&mut self, work: WorkId) {
        self.timers.cancel(&Deadline::Spared(work));
        let Some(place) = self.place_of(work) else {
            return self.spared.retain(|(_, spared)| *spared != work);
        };
        let (queue, mut place) = (place.queue.clone(), place.clone());
        self.spared.remove(&(queue, work));
        place.excluded.clear();
        let call = self.works.get(&work).and_then(|call| self.calls.get_mut(call));
        let seeking = call.and_then(|call| call.seeking.as_mut());
        let asked = place.asked();
        seeking.into_iter().for_each(|seeking| seeking.place = place.clone());
        self.router_do(acd::Input::Enqueue(asked));
    }

    fn place_of(&self, work: WorkId) -> Option<&Place> {
        let call = self.calls.get(self.works.get(&work)?)?;
        call.seeking.as_ref().map(|seeking| &seeking.place).filter(|place| place.work == work)
    }

    fn others_serve(&self, place: &Place) -> bool {
        self.router.is_served_beside(&place.queue, &place.skills, &place.excluded)
    }
}
