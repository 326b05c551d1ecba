//! What must always hold, checked from the facts: the simulator asks after every input, the engine after a panic.
//!
//! Linear in everything the router holds. That a work is accepted once at most follows from what is checked:
//! an accepted work is in no table, a reservation is spent by value, and every reservation has a waiting work.

use super::agent::Agent;
use super::queue::{Class, Need, Queue, Work};
use super::{AgentState, Merit, Router, Timer};
use crate::center::Skills;
use crate::ids::{AgentId, QueueId};
use std::collections::{BTreeMap, BTreeSet};

/// The first rule that is broken, as a sentence.
type Verdict = Result<(), String>;

/// What one queue should hold.
#[derive(Default)]
struct Census<'a> {
    works: usize,
    seeking: usize,
    /// Sorted, as a queue has them.
    staff: Vec<AgentId>,
    ready: Vec<Ready<'a>>,
}

type Ready<'a> = (Merit, &'a Agent);

fn sorted<'a>(ready: impl Iterator<Item = Ready<'a>>) -> Vec<Ready<'a>> {
    let mut ready: Vec<Ready> = ready.collect();
    ready.sort_unstable_by_key(|(merit, _)| *merit);
    ready
}

fn are(listed: &BTreeSet<Merit>, ready: &[Ready]) -> bool {
    listed.iter().eq(ready.iter().map(|(merit, _)| merit))
}

fn must(holds: bool, broken: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(broken()) }
}

impl Router {
    /// `Err` names the first invariant that does not hold.
    pub fn check(&self) -> Verdict {
        self.check_reservations()?;
        self.works.values().try_for_each(|work| self.check_work(work))?;
        self.agents.values().try_for_each(|agent| self.check_agent(agent))?;
        self.census().iter().try_for_each(|(id, census)| self.check_queue(&self.queues[*id], census))?;
        self.check_timers()
    }

    /// Makes the router's counts wrong, to prove that [`Router::check`] sees it.
    #[cfg(feature = "planted-bugs")]
    pub fn corrupt(&mut self) {
        self.agents.values_mut().for_each(|agent| agent.counted = !agent.counted);
    }

    fn check_reservations(&self) -> Verdict {
        let reserved = self.agents.values().filter(|agent| agent.reservation.is_some()).count();
        must(reserved == self.reservations.len(), || {
            format!("{reserved} agents are reserved, {} reservations are open", self.reservations.len())
        })?;
        let offers: usize = self.works.values().map(|work| work.offers.len()).sum();
        must(offers == self.reservations.len(), || {
            format!("work lists {offers} offers, {} reservations are open", self.reservations.len())
        })?;
        self.reservations.iter().try_for_each(|r| {
            let held = self.agents.get(&r.agent).is_some_and(|agent| agent.reservation == Some(r.id));
            must(held, || format!("{} holds agent {}, who does not know it", r.id, r.agent))?;
            let listed = self.works.get(&r.work).is_some_and(|work| work.offers.contains(&r.id));
            must(listed, || format!("{} is for {}, which does not know it", r.id, r.work))?;
            must(self.timers.is_set(&Timer::Ring(r.id)), || format!("{} has no deadline", r.id))
        })
    }

    fn check_work(&self, work: &Work) -> Verdict {
        let (id, name) = (work.id(), &work.place.queue);
        let Some(queue) = self.queues.get(name) else {
            return Err(format!("{id} waits in {name}, which is no queue"));
        };
        must(queue.line.contains(&work.rank) && queue.arrivals.contains(&(work.place.arrived, id)), || {
            format!("{id} is not in the line of {name}")
        })?;
        must(work.place.position.is_some() || work.rank == queue.rank(work), || {
            format!("{id} stands where its points do not put it")
        })?;
        let class = queue.classes.get(&work.need);
        let seeks = class.is_some_and(|class| class.waiting.contains(&work.rank));
        must(seeks == work.seeks(), || format!("{id} seeks: {seeks}, but has {} offers", work.offers.len()))?;
        let more = class.is_some_and(|class| class.more.contains(&work.rank));
        must(more == work.wants_more(), || format!("{id} wants more phones: {more}, should: {}", work.wants_more()))?;
        let awaits = work.held.is_none_or(|(agent, _)| self.agents[&agent].awaited.contains(&work.rank));
        must(awaits, || format!("{id} waits for {:?}, who does not know it", work.held))?;
        must(self.timers.at(&Timer::Attend(id)) == work.deadline(queue), || {
            format!(
                "{id} should be looked at {:?}, will be {:?}",
                work.deadline(queue),
                self.timers.at(&Timer::Attend(id))
            )
        })?;
        must(!work.offers.is_empty() || !work.overdue && !queue.deserted, || format!("{id} should have left"))
    }

    fn check_agent(&self, agent: &Agent) -> Verdict {
        let id = agent.id;
        must(agent.state == agent.derived(), || {
            format!("agent {id} is {:?} but should be {:?}", agent.state, agent.derived())
        })?;
        must(agent.listed == agent.available(), || {
            format!("agent {id} is listed as ready: {}, available: {}", agent.listed, agent.available())
        })?;
        let told = agent.state == AgentState::LoggedOut || agent.told_reachable == agent.reachable;
        must(told, || format!("agent {id}: nobody was told that reachable is {}", agent.reachable))?;
        must(agent.counted == agent.staffs(), || format!("agent {id} is counted wrongly as staff"))?;
        let wrap_up = self.timers.at(&Timer::WrapUp(id)) == agent.wrap_up.and_then(|notes| notes.until);
        must(wrap_up, || format!("agent {id}: the deadline of wrap-up is wrong"))?;
        let penalty = self.timers.at(&Timer::Penalty(id)) == agent.penalty.map(|penalty| penalty.until);
        must(penalty, || format!("agent {id}: the deadline of the penalty is wrong"))?;
        let holds = |work: &&Work| work.held.is_some_and(|(agent, _)| agent == id);
        let held = agent.awaited.iter().filter(|rank| self.works.get(&rank.work).as_ref().is_some_and(holds)).count();
        must(held == agent.awaited.len() && (held == 0 || agent.staffs() && !agent.available()), || {
            format!("agent {id} is waited for by {} work, {held} of it waits for him", agent.awaited.len())
        })?;
        let retry = |(work, until): (&_, &_)| self.timers.at(&Timer::Retry(id, *work)) == Some(*until);
        must(agent.refused.iter().all(retry), || format!("agent {id}: a refusal has no deadline"))
    }

    /// What the queues should hold, counted from work and agents alone.
    fn census(&self) -> BTreeMap<&QueueId, Census<'_>> {
        let mut all: BTreeMap<&QueueId, Census> = self.queues.keys().map(|id| (id, Census::default())).collect();
        for work in self.works.values() {
            if let Some(census) = all.get_mut(&work.place.queue) {
                census.works += 1;
                census.seeking += usize::from(work.seeks());
            }
        }
        for agent in self.agents.values() {
            let (staffs, available) = (agent.staffs(), agent.available());
            for queue in agent.queues.keys().filter(|_| staffs || available) {
                let Some(census) = all.get_mut(queue) else { continue };
                census.staff.extend(staffs.then_some(agent.id));
                if available {
                    census.ready.push((agent.merit(&self.queues[queue].settings, &Skills::new()), agent));
                }
            }
        }
        all.values_mut().for_each(|census| census.ready.sort_unstable_by_key(|(merit, _)| *merit));
        all
    }

    fn check_queue(&self, queue: &Queue, census: &Census) -> Verdict {
        let (id, works) = (&queue.settings.id, census.works);
        must(works == queue.line.len() && works == queue.arrivals.len(), || {
            format!("{id} has {works} work, {} in line, {} arrivals", queue.line.len(), queue.arrivals.len())
        })?;
        let seeking: usize = queue.classes.values().map(|class| class.waiting.len()).sum();
        must(seeking == census.seeking, || format!("{id}: {seeking} seek, {} should", census.seeking))?;
        must(queue.staff.iter().eq(&census.staff), || {
            format!("{id} counts {} agents at work, {} are", queue.staff.len(), census.staff.len())
        })?;
        must(queue.staff.is_empty() == queue.unstaffed_since.is_some(), || {
            format!("{id} is without staff since {:?}, with {}", queue.unstaffed_since, queue.staff.len())
        })?;
        let deserted = self.timers.at(&Timer::NoStaff(id.clone())) == queue.deserted_at();
        must(deserted, || format!("{id}: the deadline of being without staff is wrong"))?;
        must(are(&queue.ready, &census.ready), || format!("{id}: its list of ready agents is wrong"))?;
        queue.classes.iter().try_for_each(|(need, class)| self.check_class(queue, &census.ready, need, class))
    }

    /// Its agents are those who meet it; and nobody eligible waits while an agent is available.
    fn check_class(&self, queue: &Queue, ready: &[Ready], need: &Need, class: &Class) -> Verdict {
        let (id, settings) = (&queue.settings.id, &queue.settings);
        let meets = ready.iter().map(|(_, agent)| *agent).filter(|agent| need.unmet(settings, agent).is_none());
        let meets = sorted(meets.map(|agent| (agent.merit(settings, &need.skills), agent)));
        must(are(&class.ready, &meets), || format!("{id}: ready agents for {need:?} are wrong"))?;
        let works: Vec<&Work> = class.waiting.iter().chain(&class.more).map(|rank| &self.works[&rank.work]).collect();
        let mut pairs = meets.iter().flat_map(|(_, agent)| works.iter().map(move |work| (*agent, *work)));
        let free = |(agent, work): &(&Agent, &Work)| {
            !agent.refused.contains_key(&work.id()) && !work.place.excluded.contains(&agent.id)
        };
        match pairs.find(free) {
            Some((agent, work)) => Err(format!("{} waits in {id} while agent {} could take it", work.id(), agent.id)),
            None => Ok(()),
        }
    }

    /// No deadline without the thing it is for.
    fn check_timers(&self) -> Verdict {
        let refusals: usize = self.agents.values().map(|agent| agent.refused.len()).sum();
        let waits = self.works.values().filter(|work| work.deadline(&self.queues[&work.place.queue]).is_some()).count();
        let deserted = self.queues.values().filter(|queue| queue.deserted_at().is_some()).count();
        let notes = self.agents.values().filter_map(|agent| agent.wrap_up);
        let wrap_ups = notes.filter(|notes| notes.until.is_some()).count();
        let penalties = self.agents.values().filter(|agent| agent.penalty.is_some()).count();
        let expected = self.reservations.len() + waits + deserted + wrap_ups + penalties + refusals;
        must(self.timers.len() == expected, || {
            format!("{} deadlines are set, {expected} have a reason", self.timers.len())
        })
    }
}
