//! The life of a reservation: offered, then spent exactly once: accepted, refused or withdrawn.
//!
//! Also where an agent's change of state takes effect (`settle`) and where a new configuration does.

use super::agent::{Agent, AgentState, StateReason};
use super::matching::{self, Choice};
use super::queue::Queue;
use super::{Output, Refusal, Rejection, Router, Timer, Withdrawal};
use crate::center::Center;
use crate::ids::{AgentId, IdCounter, QueueId, ReservationId, WorkId};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// One agent held for one work. Not `Clone`: who ends it must own it, so it ends once.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Reservation {
    pub(super) id: ReservationId,
    pub(super) work: WorkId,
    pub(super) agent: AgentId,
    pub(super) queue: QueueId,
}

/// The open reservations, and the counter of their ids.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Reservations {
    open: BTreeMap<ReservationId, Reservation>,
    ids: IdCounter,
}

impl Clone for Reservations {
    /// A copy of the whole table, for a copy of the whole router: a reservation alone cannot be copied.
    fn clone(&self) -> Self {
        let copy = |r: &Reservation| Reservation { id: r.id, work: r.work, agent: r.agent, queue: r.queue.clone() };
        Reservations { open: self.open.iter().map(|(id, r)| (*id, copy(r))).collect(), ids: self.ids.clone() }
    }
}

impl Reservations {
    pub(super) fn new(ids: IdCounter) -> Reservations {
        Reservations { open: BTreeMap::new(), ids }
    }

    pub(super) fn ids(&self) -> IdCounter {
        self.ids.clone()
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Reservation> {
        self.open.values()
    }

    fn make(&mut self, work: WorkId, agent: AgentId, queue: QueueId) -> ReservationId {
        let id = ReservationId(self.ids.take());
        self.open.insert(id, Reservation { id, work, agent, queue });
        id
    }

    fn spend(&mut self, id: ReservationId) -> Option<Reservation> {
        self.open.remove(&id)
    }
}

impl Router {
    /// Looks for an agent for a work that nobody is rung for; without one the work waits, or expires if overdue.
    pub(super) fn seek(&mut self, now: Instant, id: WorkId) {
        let Some(work) = self.works.get(&id).filter(|work| work.offers.is_empty()) else { return };
        if work.overdue {
            return self.expire(id);
        }
        let queue = self.queues.get_mut(&work.queue).expect("a waiting work has its queue");
        queue.class(&work.skills, &self.agents).waiting.insert(work.rank);
        if let Some(choice) = matching::agent_for(now, work, queue, &self.agents) {
            self.offer(now, choice);
        }
    }

    /// Holds the agent for the work and has his phone rung.
    pub(super) fn offer(&mut self, now: Instant, choice: Choice) {
        let work = self.works.get_mut(&choice.work).expect("the choice is among waiting work");
        let agent = self.agents.get_mut(&choice.agent).expect("the choice is among known agents");
        let queue = self.queues.get_mut(&work.queue).expect("a waiting work has its queue");
        assert!(agent.available(), "an agent who cannot be rung was chosen");
        let reservation = self.reservations.make(work.id, agent.id, work.queue.clone());
        let until = now + queue.settings.ring_timeout;
        queue.stop_seeking(work);
        work.offers.insert(reservation);
        agent.reservation = Some(reservation);
        let queue = work.queue.clone();
        self.timers.set(Timer::Ring(reservation), until);
        self.counted.offered += 1;
        self.settle(now, choice.agent, StateReason::Offered);
        let Choice { work, agent, explanation } = choice;
        self.outputs.push_back(Output::Offered { reservation, work, queue, agent, until, explanation });
    }

    /// Takes a reservation out of every table; its work and agent are the caller's to move on.
    fn spend(&mut self, id: ReservationId) -> Option<Reservation> {
        let reservation = self.reservations.spend(id)?;
        self.timers.cancel(&Timer::Ring(id));
        if let Some(work) = self.works.get_mut(&reservation.work) {
            work.offers.remove(&id);
        }
        let agent = self.agents.get_mut(&reservation.agent).expect("a reservation has its agent");
        agent.reservation = None;
        Some(reservation)
    }

    /// Withdraws a reservation for another reason than time; its agent's state is the caller's to settle.
    pub(super) fn release(&mut self, id: ReservationId, why: Withdrawal) -> AgentId {
        let Reservation { work, agent, .. } = self.spend(id).expect("only open reservations are withdrawn");
        self.counted.withdrawn += 1;
        self.outputs.push_back(Output::Withdrawn { reservation: id, work, agent, why });
        agent
    }

    pub(super) fn accept(&mut self, now: Instant, id: ReservationId) {
        let Some(Reservation { id: reservation, work, agent, queue }) = self.spend(id) else {
            self.counted.ignored += 1;
            return;
        };
        let taken = self.take_out(work).expect("a reservation has its work");
        let winner = self.agents.get_mut(&agent).expect("a reservation has its agent");
        winner.conversation = true;
        winner.refusals = 0;
        self.counted.accepted += 1;
        self.settle(now, agent, StateReason::Answered);
        let waited = now.since(taken.arrived);
        self.outputs.push_back(Output::Accepted { reservation, work, agent, queue, waited });
        for other in taken.offers {
            let loser = self.release(other, Withdrawal::AcceptedElsewhere);
            self.settle(now, loser, StateReason::OfferEnded);
        }
    }

    pub(super) fn refuse(&mut self, now: Instant, id: ReservationId, why: Refusal) {
        let Some(reservation) = self.spend(id) else {
            self.counted.ignored += 1;
            return;
        };
        self.counted.refused += 1;
        self.not_taken(now, reservation, why);
    }

    pub(super) fn ring_out(&mut self, now: Instant, id: ReservationId) {
        let reservation = self.spend(id).expect("Ring is set for open reservations only");
        let Reservation { work, agent, .. } = reservation;
        self.counted.timed_out += 1;
        self.outputs.push_back(Output::Withdrawn { reservation: id, work, agent, why: Withdrawal::TimedOut });
        self.not_taken(now, reservation, Refusal::NoAnswer);
    }

    /// The work keeps its place and seeks another agent; the agent gets other work, or a rest.
    fn not_taken(&mut self, now: Instant, spent: Reservation, why: Refusal) {
        let retry = self.queues.get(&spent.queue).map_or(Duration::ZERO, |queue| queue.settings.retry_same_agent);
        let agent = self.agents.get_mut(&spent.agent).expect("a reservation has its agent");
        agent.did_not_take(now, spent.work, why, retry);
        if let Some(until) = agent.refused.get(&spent.work) {
            self.timers.set(Timer::Retry(spent.agent, spent.work), *until);
        }
        let penalized = agent.penalty.is_some();
        self.seek(now, spent.work);
        let reason = if penalized { StateReason::Penalized } else { StateReason::OfferEnded };
        self.settle(now, spent.agent, reason);
    }

    /// Brings everything that follows from an agent's facts up to date: deadlines, state, lists, and the next
    /// work if he can be rung. Every change of an agent ends here.
    pub(super) fn settle(&mut self, now: Instant, id: AgentId, reason: StateReason) {
        let agent = self.agents.get_mut(&id).expect("only known agents are settled");
        let deadlines =
            [(Timer::WrapUp(id), agent.wrap_up), (Timer::Penalty(id), agent.penalty.map(|penalty| penalty.until))];
        let (from, to) = (agent.state.clone(), agent.derived());
        if from != to {
            (agent.state, agent.since) = (to.clone(), now);
            self.outputs.push_back(Output::State { agent: id, from, to, reason });
        }
        for (timer, at) in deadlines {
            match at {
                Some(at) if self.timers.at(&timer) == Some(at) => {}
                Some(at) => self.timers.set(timer, at),
                None => _ = self.timers.cancel(&timer),
            }
        }
        self.relist(id);
        let agent = &self.agents[&id];
        if let Some(choice) = agent.available().then(|| matching::work_for(now, agent, &self.queues, &self.works)) {
            match choice {
                Some(choice) => self.offer(now, choice),
                None => self.list(id),
            }
        }
    }

    /// Takes an agent who cannot be rung, or whose place may have changed, off the ready lists; counts the staff.
    fn relist(&mut self, id: AgentId) {
        let agent = self.agents.get_mut(&id).expect("only known agents are listed");
        let (unlist, count) = (std::mem::take(&mut agent.listed), agent.staffs());
        let before = std::mem::replace(&mut agent.counted, count);
        for queue in agent.queues.iter() {
            let queue = self.queues.get_mut(queue).expect("an agent's queues exist");
            if unlist {
                queue.unlist((agent.idle_since, id));
            }
            queue.staffed = queue.staffed + u32::from(count) - u32::from(before);
        }
    }

    fn list(&mut self, id: AgentId) {
        let agent = self.agents.get_mut(&id).expect("only known agents are listed");
        agent.listed = true;
        for queue in &agent.queues {
            self.queues.get_mut(queue).expect("an agent's queues exist").list(agent);
        }
    }

    /// Compares `center` with what is here: agents, queues and work in both keep their state; what is new is
    /// added; what is gone gives back its work or its offers. Linear in everything.
    pub(super) fn configure(&mut self, now: Instant, center: &Center) {
        for agent in self.agents.values_mut() {
            (agent.listed, agent.counted) = (false, false);
        }
        let gone = self.update_agents(center);
        self.update_queues(center);
        for id in gone {
            self.remove_agent(now, id);
        }
        let mut order: Vec<_> = self.agents.values().map(|agent| (agent.idle_since, agent.id)).collect();
        order.sort();
        for (_, id) in order {
            self.settle(now, id, StateReason::Configured);
        }
    }

    /// Returns the agents that `center` no longer has.
    fn update_agents(&mut self, center: &Center) -> Vec<AgentId> {
        for (id, new) in &center.agents {
            let agent = self.agents.entry(*id).or_insert_with(|| Agent::new(new));
            (agent.queues, agent.skills) = (new.queues.clone(), new.skills.clone());
        }
        self.agents.keys().filter(|id| !center.agents.contains_key(id)).copied().collect()
    }

    /// Leaves every queue without ready agents and staff: settling the agents brings them back.
    fn update_queues(&mut self, center: &Center) {
        for (id, new) in &center.queues {
            let queue = self.queues.entry(id.clone()).or_insert_with(|| Queue::new(new));
            queue.settings = new.clone();
            (queue.ready, queue.staffed) = Default::default();
            queue.classes.values_mut().for_each(|class| class.ready.clear());
        }
        let ids: Vec<_> = self.works.keys().copied().collect();
        for id in ids {
            self.update_work(center, id);
        }
        self.queues.retain(|id, _| center.queues.contains_key(id));
    }

    /// Gives a work back if its queue is gone; else its place by the queue's new priority.
    fn update_work(&mut self, center: &Center, id: WorkId) {
        let work = self.works.get_mut(&id).expect("the id is from the table");
        if center.queues.contains_key(&work.queue) {
            let queue = self.queues.get_mut(&work.queue).expect("a waiting work has its queue");
            return queue.rekey(work, work.arrived, work.priority);
        }
        let work = self.take_out(id).expect("the id is from the table");
        for reservation in work.offers {
            self.release(reservation, Withdrawal::WorkGone);
        }
        self.reject(id, Rejection::UnknownQueue);
    }

    fn remove_agent(&mut self, now: Instant, id: AgentId) {
        let agent = &self.agents[&id];
        let offered = agent.reservation.and_then(|r| self.reservations.open.get(&r).map(|r| (r.id, r.work)));
        if let Some((reservation, work)) = offered {
            self.release(reservation, Withdrawal::AgentGone);
            self.seek(now, work);
        }
        let agent = self.agents.remove(&id).expect("the id is from the table");
        let timers = agent.refused.keys().map(|work| Timer::Retry(id, *work));
        for timer in timers.chain([Timer::WrapUp(id), Timer::Penalty(id)]) {
            self.timers.cancel(&timer);
        }
        if agent.state != AgentState::LoggedOut {
            let (from, to, reason) = (agent.state, AgentState::LoggedOut, StateReason::Configured);
            self.outputs.push_back(Output::State { agent: id, from, to, reason });
        }
    }
}
