//! The life of a reservation: offered, then spent exactly once: accepted, refused or withdrawn.
//!
//! Also where an agent's change of state takes effect (`settle`) and where a new configuration does.

use super::agent::{Agent, AgentState, StateReason};
use super::matching::{self, Choice};
use super::queue::{Queue, Work};
use super::{Output, Refusal, Rejection, Router, Timer, Withdrawal};
use crate::center::{Center, RingPlan};
use crate::ids::{AgentId, IdCounter, QueueId, ReservationId, WorkId};
use crate::time::{Instant, Timers};
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

    pub(super) fn numbers_left(&self) -> u32 {
        self.ids.left()
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
    /// Looks for agents for a work until as many are rung as its queue's plan says; without one the work waits, or
    /// leaves if its time is over.
    pub(super) fn seek(&mut self, now: Instant, id: WorkId) {
        loop {
            let Some(work) = self.works.get(&id) else { return };
            let queue = self.queues.get_mut(&work.place.queue).expect("a waiting work has its queue");
            if work.offers.is_empty() && work.overdue {
                return self.expire(id);
            }
            if work.offers.is_empty() && queue.deserted {
                self.take_out(id);
                return self.reject(id, Rejection::NoStaff);
            }
            let Some(choice) = matching::agent_for(now, work, queue, &self.agents) else { return };
            self.offer(now, choice);
        }
    }

    /// Holds the agent for the work and has his phone rung.
    pub(super) fn offer(&mut self, now: Instant, choice: Choice) {
        self.take_up(choice.work);
        let work = self.works.get_mut(&choice.work).expect("the choice is among waiting work");
        let agent = self.agents.get_mut(&choice.agent).expect("the choice is among known agents");
        assert!(agent.available(), "an agent who cannot be rung was chosen");
        let (queue, settings) = (work.place.queue.clone(), &self.queues[&work.place.queue].settings);
        let reservation = self.reservations.make(work.id(), agent.id, queue.clone());
        let until = now + settings.ring_timeout;
        if let (RingPlan::Progressive { every, most }, true) = (settings.ring, work.offers.is_empty()) {
            work.more_at = work.more_at.or((work.may_ring < most).then_some(now + every));
        }
        work.offers.insert(reservation);
        work.held = None;
        self.put(choice.work);
        self.wind(choice.work);
        self.counted.offered += 1;
        self.hold(now, choice.agent, reservation, &queue);
        self.timers.set(Timer::Ring(reservation), until);
        self.settle(now, choice.agent, StateReason::Offered);
        let Choice { work, agent, explanation } = choice;
        self.outputs.push_back(Output::Offered { reservation, work, queue, agent, until, explanation });
    }

    /// He is rung for this reservation. Off the lists first: an offer changes what his merit is made of.
    fn hold(&mut self, now: Instant, id: AgentId, reservation: ReservationId, queue: &QueueId) {
        self.unlist(id);
        self.offers_made += 1;
        let agent = self.agents.get_mut(&id).expect("the choice is among known agents");
        agent.reservation = Some(reservation);
        agent.handling = Some((queue.clone(), now));
        agent.last_offer = self.offers_made;
        let queue = self.queues.get_mut(queue).expect("a waiting work has its queue");
        queue.drawn = agent.drawn.get(&queue.settings.id).copied().unwrap_or_default().max(queue.drawn);
    }

    /// Takes a reservation out of every table; its work and agent are the caller's to move on.
    fn spend(&mut self, id: ReservationId) -> Option<Reservation> {
        let reservation = self.reservations.spend(id)?;
        self.timers.cancel(&Timer::Ring(id));
        if self.works.contains_key(&reservation.work) {
            self.take_up(reservation.work);
            self.works.get_mut(&reservation.work).into_iter().for_each(|work| _ = work.offers.remove(&id));
            self.put(reservation.work);
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
        winner.conversation = Some(now);
        winner.refusals = 0;
        self.counted.accepted += 1;
        self.settle(now, agent, StateReason::Answered);
        let waited = now.since(taken.place.arrived);
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
        let deadlines = [
            (Timer::WrapUp(id), agent.wrap_up.and_then(|notes| notes.until)),
            (Timer::Penalty(id), agent.penalty.map(|penalty| penalty.until)),
        ];
        let (from, to) = (agent.state.clone(), agent.derived());
        let at_it = matches!(to, AgentState::Reserved | AgentState::Busy | AgentState::WrapUp);
        if let Some((queue, since)) = agent.handling.take_if(|_| !at_it)
            && matches!(from, AgentState::Busy | AgentState::WrapUp)
            && let Some(queue) = self.queues.get_mut(&queue)
        {
            queue.handled(now.since(since));
        }
        if from != to {
            (agent.state, agent.since) = (to.clone(), now);
            self.outputs.push_back(Output::State { agent: id, from, to, reason });
        }
        if let Some(reachable) = agent.news_of_reach() {
            self.outputs.push_back(Output::Reachable { agent: id, reachable });
        }
        for (timer, at) in deadlines {
            match at {
                Some(at) if self.timers.at(&timer) == Some(at) => {}
                Some(at) => self.timers.set(timer, at),
                None => _ = self.timers.cancel(&timer),
            }
        }
        self.relist(now, id);
        let agent = &self.agents[&id];
        if let Some(choice) = agent.available().then(|| matching::work_for(now, agent, &self.queues, &self.works)) {
            match choice {
                Some(choice) => self.offer(now, choice),
                None => self.list(id),
            }
        }
        if !self.agents[&id].counted {
            self.release_awaiting(now, id);
        }
    }

    /// Takes an agent who cannot be rung, or whose place may have changed, off the ready lists; counts the staff.
    fn relist(&mut self, now: Instant, id: AgentId) {
        self.unlist(id);
        let agent = self.agents.get_mut(&id).expect("only known agents are listed");
        let at_work = agent.staffs();
        if std::mem::replace(&mut agent.counted, at_work) == at_work {
            return;
        }
        for name in agent.queues.keys() {
            let queue = self.queues.get_mut(name).expect("an agent's queues exist");
            queue.count(now, id, at_work);
            watch(queue, &mut self.timers);
        }
    }

    fn unlist(&mut self, id: AgentId) {
        let agent = self.agents.get_mut(&id).expect("only known agents are listed");
        if std::mem::take(&mut agent.listed) {
            for queue in agent.queues.keys() {
                self.queues.get_mut(queue).expect("an agent's queues exist").unlist(agent);
            }
        }
    }

    fn list(&mut self, id: AgentId) {
        self.draw(id);
        let agent = self.agents.get_mut(&id).expect("only known agents are listed");
        agent.listed = true;
        for queue in agent.queues.keys() {
            self.queues.get_mut(queue).expect("an agent's queues exist").list(agent);
        }
    }

    /// Sets the deadlines of queues that nobody is at work in.
    pub(super) fn watch_staff(&mut self) {
        self.queues.values().for_each(|queue| watch(queue, &mut self.timers));
    }

    /// Notes after which delays agents come in.
    pub(super) fn note_delays(&mut self) {
        self.queues.values_mut().for_each(|queue| queue.delays.clear());
        for (id, member) in self.agents.values().flat_map(|agent| &agent.queues) {
            if let Some(queue) = self.queues.get_mut(id).filter(|_| !member.delay.is_zero()) {
                queue.delays.insert(member.delay);
            }
        }
    }

    /// Compares `center` with what is here: agents, queues and work in both keep their state; what is new is
    /// added; what is gone gives back its work or its offers. Linear in everything.
    pub(super) fn configure(&mut self, now: Instant, center: &Center) {
        for agent in self.agents.values_mut() {
            (agent.listed, agent.counted) = (false, false);
        }
        let gone = self.update_agents(center);
        self.update_queues(now, center);
        for id in gone {
            self.remove_agent(now, id);
        }
        self.note_delays();
        self.update_works(now);
        let mut order: Vec<_> = self.agents.values().map(|agent| (agent.idle_since, agent.id)).collect();
        order.sort();
        for (_, id) in order {
            self.settle(now, id, StateReason::Configured);
        }
        for id in self.works.keys().copied().collect::<Vec<_>>() {
            self.attend(now, id);
        }
        for queue in self.queues.values_mut() {
            (queue.unstaffed_since, queue.deserted) = match queue.staff.is_empty() {
                true => {
                    (queue.unstaffed_since.or(Some(now)), queue.deserted && queue.settings.no_staff_after.is_some())
                }
                false => (None, false),
            };
        }
        self.watch_staff();
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
    fn update_queues(&mut self, now: Instant, center: &Center) {
        for (id, new) in &center.queues {
            let queue = self.queues.entry(id.clone()).or_insert_with(|| Queue::new(new, now));
            queue.settings = new.clone();
            queue.forget_agents();
            queue.staff.clear();
        }
        let homeless = self.works.values().filter(|work| !center.queues.contains_key(&work.place.queue));
        for id in homeless.map(Work::id).collect::<Vec<_>>() {
            let work = self.take_out(id).expect("the id is from the table");
            for reservation in work.offers {
                self.release(reservation, Withdrawal::WorkGone);
            }
            self.reject(id, Rejection::UnknownQueue);
        }
        let gone = self.queues.keys().filter(|id| !center.queues.contains_key(id)).cloned().collect::<Vec<_>>();
        for id in gone {
            self.timers.cancel(&Timer::NoStaff(id.clone()));
            self.queues.remove(&id);
        }
    }

    /// By the queues' new rules, from the beginning: points, need, and whom they wait for.
    fn update_works(&mut self, now: Instant) {
        for id in self.works.keys().copied().collect::<Vec<_>>() {
            self.take_up(id);
            let work = self.works.get_mut(&id).expect("the id is from the table");
            let queue = &self.queues[&work.place.queue];
            let renewed = Work::new(work.place.clone(), queue, now);
            let (until, offers, overdue) = (work.until, std::mem::take(&mut work.offers), work.overdue);
            *work = Work { until, offers, overdue, ..renewed };
            work.rank = queue.rank(work);
            self.put(id);
        }
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

fn watch(queue: &Queue, timers: &mut Timers<Timer>) {
    let timer = Timer::NoStaff(queue.settings.id.clone());
    match queue.deserted_at() {
        Some(at) if timers.at(&timer) == Some(at) => {}
        Some(at) => timers.set(timer, at),
        None => _ = timers.cancel(&timer),
    }
}
