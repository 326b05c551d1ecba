//! What must always hold, checked from the facts: the simulator asks after every input, the engine after a panic.
//!
//! Linear in everything the router holds. That a work is accepted once at most follows from what is checked:
//! an accepted work is in no table, a reservation is spent by value, and every reservation has a waiting work.

use super::agent::Agent;
use super::queue::{Class, Idle, Queue, Work, lacking};
use super::{Router, Skills, Timer};
use crate::ids::QueueId;
use std::collections::{BTreeMap, BTreeSet};

/// The first rule that is broken, as a sentence.
type Verdict = Result<(), String>;

/// What one queue should hold.
#[derive(Default)]
struct Census {
    works: usize,
    seeking: usize,
    staffed: u32,
    ready: BTreeSet<Idle>,
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
        let Some(queue) = self.queues.get(&work.queue) else {
            return Err(format!("{} waits in {}, which is no queue", work.id, work.queue));
        };
        must(queue.line.contains(&work.rank) && queue.arrivals.contains(&(work.arrived, work.id)), || {
            format!("{} is not in the line of {}", work.id, work.queue)
        })?;
        must(work.rank == queue.rank(work.id, work.arrived, work.priority), || {
            format!("{} stands where its priority does not put it", work.id)
        })?;
        let seeks = queue.classes.get(&work.skills).is_some_and(|class| class.waiting.contains(&work.rank));
        must(seeks == work.offers.is_empty(), || {
            format!("{} seeks: {seeks}, but has {} offers", work.id, work.offers.len())
        })?;
        must(self.timers.is_set(&Timer::MaxWait(work.id)) != work.overdue, || {
            format!("{} is overdue: {}, but its deadline says otherwise", work.id, work.overdue)
        })?;
        must(!work.overdue || !work.offers.is_empty(), || format!("{} should have expired", work.id))
    }

    fn check_agent(&self, agent: &Agent) -> Verdict {
        let id = agent.id;
        must(agent.state == agent.derived(), || {
            format!("agent {id} is {:?} but should be {:?}", agent.state, agent.derived())
        })?;
        must(agent.listed == agent.available(), || {
            format!("agent {id} is listed as ready: {}, available: {}", agent.listed, agent.available())
        })?;
        must(agent.counted == agent.staffs(), || format!("agent {id} is counted wrongly as staff"))?;
        let wrap_up = self.timers.at(&Timer::WrapUp(id)) == agent.wrap_up;
        must(wrap_up, || format!("agent {id}: the deadline of wrap-up is wrong"))?;
        let penalty = self.timers.at(&Timer::Penalty(id)) == agent.penalty.map(|penalty| penalty.until);
        must(penalty, || format!("agent {id}: the deadline of the penalty is wrong"))?;
        let retry = |(work, until): (&_, &_)| self.timers.at(&Timer::Retry(id, *work)) == Some(*until);
        must(agent.refused.iter().all(retry), || format!("agent {id}: a refusal has no deadline"))
    }

    /// What the queues should hold, counted from work and agents alone.
    fn census(&self) -> BTreeMap<&QueueId, Census> {
        let mut all: BTreeMap<&QueueId, Census> = self.queues.keys().map(|id| (id, Census::default())).collect();
        for work in self.works.values() {
            if let Some(census) = all.get_mut(&work.queue) {
                census.works += 1;
                census.seeking += usize::from(work.offers.is_empty());
            }
        }
        for agent in self.agents.values() {
            for queue in &agent.queues {
                let Some(census) = all.get_mut(queue) else { continue };
                census.staffed += u32::from(agent.staffs());
                if agent.available() {
                    census.ready.insert((agent.idle_since, agent.id));
                }
            }
        }
        all
    }

    fn check_queue(&self, queue: &Queue, census: &Census) -> Verdict {
        let (id, works) = (&queue.settings.id, census.works);
        must(works == queue.line.len() && works == queue.arrivals.len(), || {
            format!("{id} has {works} work, {} in line, {} arrivals", queue.line.len(), queue.arrivals.len())
        })?;
        let seeking: usize = queue.classes.values().map(|class| class.waiting.len()).sum();
        must(seeking == census.seeking, || format!("{id}: {seeking} seek, {} should", census.seeking))?;
        must(queue.staffed == census.staffed, || {
            format!("{id} counts {} agents at work, {} are", queue.staffed, census.staffed)
        })?;
        must(queue.ready == census.ready, || format!("{id}: its list of ready agents is wrong"))?;
        queue.classes.iter().try_for_each(|(skills, class)| self.check_class(queue, skills, class))
    }

    /// Its agents are those who meet it; and nobody eligible waits while an agent is available.
    fn check_class(&self, queue: &Queue, skills: &Skills, class: &Class) -> Verdict {
        let id = &queue.settings.id;
        let meets = queue.ready.iter().filter(|idle| lacking(skills, &self.agents[&idle.1].skills).is_none());
        must(class.ready.iter().eq(meets), || format!("{id}: ready agents for {skills:?} are wrong"))?;
        let mut pairs = class.ready.iter().flat_map(|idle| class.waiting.iter().map(move |rank| (idle.1, rank.work)));
        match pairs.find(|(agent, work)| !self.agents[agent].refused.contains_key(work)) {
            Some((agent, work)) => Err(format!("{work} waits in {id} while agent {agent} could take it")),
            None => Ok(()),
        }
    }

    /// No deadline without the thing it is for.
    fn check_timers(&self) -> Verdict {
        let refusals: usize = self.agents.values().map(|agent| agent.refused.len()).sum();
        let waits = self.works.values().filter(|work| !work.overdue).count();
        let wrap_ups = self.agents.values().filter(|agent| agent.wrap_up.is_some()).count();
        let penalties = self.agents.values().filter(|agent| agent.penalty.is_some()).count();
        let expected = self.reservations.len() + waits + wrap_ups + penalties + refusals;
        must(self.timers.len() == expected, || {
            format!("{} deadlines are set, {expected} have a reason", self.timers.len())
        })
    }
}
