//! The life of a work while it waits: its place, its points, what it needs, whom it waits for, and how it leaves
//! without an agent.
//!
//! One clock, one place: everything about a work that changes by itself does so in `attend`, at the one deadline
//! that `queue::Work::deadline` computes from its facts.

use super::agent::{Agent, StateReason};
use super::queue::{Queue, Work, lacking};
use super::{Output, Place, Rejection, Router, Skills, Timer, Withdrawal};
use crate::center::RingPlan;
use crate::ids::{AgentId, QueueId, WorkId};
use crate::time::Instant;
use std::collections::BTreeMap;

impl Router {
    pub(super) fn enqueue(&mut self, now: Instant, place: Place) {
        if self.moved(now, &place) {
            return;
        }
        self.end_work(now, place.work);
        if let Err(why) = self.admits(now, &place) {
            return self.reject(place.work, why);
        }
        let (id, position) = (place.work, place.position);
        let queue = self.queues.get(&place.queue).expect("the queue has just admitted it");
        let mut work = Work::new(place, queue, now);
        work.held = hold(now, &work.place, queue, &self.agents);
        age(now, &mut work, queue);
        let natural = queue.rank(&work);
        work.rank = position.map_or(natural, |position| queue.asked(natural, position));
        self.works.insert(id, work);
        self.put(id);
        self.counted.enqueued += 1;
        self.attend(now, id);
    }

    fn admits(&mut self, now: Instant, place: &Place) -> Result<(), Rejection> {
        let queue = self.queues.get(&place.queue).ok_or(Rejection::UnknownQueue)?;
        if queue.is_full() && !place.admitted {
            return Err(Rejection::Full);
        }
        if queue.deserted {
            return Err(Rejection::NoStaff);
        }
        if place.admitted {
            return Ok(());
        }
        let Some(longest) = queue.settings.max_expected_wait else { return Ok(()) };
        match self.waits_longer(now, place, longest) {
            true => Err(Rejection::LongWait),
            false => Ok(()),
        }
    }

    /// A work that waits in this queue for the same agents already, or for some of them, gets its new place at once and keeps
    /// what rings. For an agent whom it prefers now and did not before it waits from now on, unless somebody is rung.
    fn moved(&mut self, now: Instant, place: &Place) -> bool {
        let Some(work) = self.works.get(&place.work) else { return false };
        let old = &work.place;
        let same = (&old.queue, &old.skills, &old.relax) == (&place.queue, &place.skills, &place.relax);
        // Whoever rings may go on if nobody more is left out.
        let same = same && place.excluded.is_subset(&old.excluded);
        if same {
            let held = if old.preferred == place.preferred || !work.offers.is_empty() {
                work.held
            } else {
                let queue = self.queues.get(&place.queue).expect("a waiting work has its queue");
                hold(now, &Place { since: now, ..place.clone() }, queue, &self.agents)
            };
            let place = Place { since: old.since, ..place.clone() };
            self.rework(now, place.work, |work, queue| {
                (work.place, work.aged, work.held) = (place, 0, held);
                age(now, work, queue);
                let natural = queue.rank(work);
                work.rank = work.place.position.map_or(natural, |position| queue.asked(natural, position));
            });
        }
        same
    }

    /// Changes a work that stands in the tables, with its place in them.
    pub(super) fn rework(&mut self, now: Instant, id: WorkId, change: impl FnOnce(&mut Work, &Queue)) {
        self.take_up(id);
        let work = self.works.get_mut(&id).expect("only waiting work is changed");
        change(work, &self.queues[&work.place.queue]);
        self.put(id);
        self.attend(now, id);
    }

    /// Takes a work off the line, its class and the list of the agent it waits for.
    pub(super) fn take_up(&mut self, id: WorkId) {
        let work = &self.works[&id];
        let queue = self.queues.get_mut(&work.place.queue).expect("a waiting work has its queue");
        queue.unstand(work);
        queue.leave(work);
        if let Some(agent) = work.held.and_then(|(agent, _)| self.agents.get_mut(&agent)) {
            agent.awaited.remove(&work.rank);
        }
    }

    /// Puts it where its facts say.
    pub(super) fn put(&mut self, id: WorkId) {
        let work = &self.works[&id];
        let queue = self.queues.get_mut(&work.place.queue).expect("a waiting work has its queue");
        queue.join(work);
        queue.stand(work, &self.agents);
        if let Some((agent, _)) = work.held.filter(|_| work.offers.is_empty()) {
            self.agents.get_mut(&agent).expect("who is waited for is known").awaited.insert(work.rank);
        }
    }

    /// Does what is due about a waiting work, and looks for an agent.
    pub(super) fn attend(&mut self, now: Instant, id: WorkId) {
        let Some(work) = self.works.get(&id) else { return };
        let skills = self.relaxed(now, work);
        self.take_up(id);
        let work = self.works.get_mut(&id).expect("the work that has just been looked up");
        let queue = &self.queues[&work.place.queue];
        if age(now, work, queue) {
            work.rank = queue.rank(work);
        }
        (work.need.skills, work.relaxed) = skills;
        let waited = now.since(work.place.arrived);
        work.need.waited = queue.delays.range(..=waited).next_back().copied().unwrap_or_default();
        work.held.take_if(|(_, until)| *until <= now);
        if let (RingPlan::Progressive { every, most }, Some(_)) =
            (queue.settings.ring, work.more_at.filter(|at| *at <= now))
        {
            work.may_ring += 1;
            work.more_at = (work.may_ring < most).then_some(now + every);
        }
        work.overdue |= work.until <= now;
        self.put(id);
        self.wind(id);
        self.seek(now, id);
    }

    /// Sets the work's deadline.
    pub(super) fn wind(&mut self, id: WorkId) {
        let Some(work) = self.works.get(&id) else { return };
        match work.deadline(&self.queues[&work.place.queue]) {
            Some(at) if self.timers.at(&Timer::Attend(id)) == Some(at) => {}
            Some(at) => self.timers.set(Timer::Attend(id), at),
            None => _ = self.timers.cancel(&Timer::Attend(id)),
        }
    }

    /// What a work needs by now, and how many steps of relaxation are behind it. If nobody at work in the queue
    /// could serve it so, the first later step that somebody could serve is taken at once.
    fn relaxed(&self, now: Instant, work: &Work) -> (Skills, usize) {
        let queue = &self.queues[&work.place.queue];
        let steps = work.steps(&queue.settings);
        let (mut skills, mut done) = (work.need.skills.clone(), work.relaxed);
        while let Some(step) = steps.get(done).filter(|step| work.place.since + step.after <= now) {
            let forecast = step.if_expected_wait.map(|_| self.forecast(now, work.id()).map(|f| f.p50));
            if step.if_expected_wait.is_none_or(|limit| forecast.flatten().is_some_and(|wait| wait > limit)) {
                skills = step.apply(&skills);
            }
            done += 1;
        }
        if done < steps.len() && !queue.is_served(&skills, &self.agents, &work.place.excluded) {
            let mut later = skills.clone();
            for (n, step) in steps.iter().enumerate().skip(done) {
                later = step.apply(&later);
                if queue.is_served(&later, &self.agents, &work.place.excluded) {
                    return (later, n + 1);
                }
            }
        }
        (skills, done)
    }

    /// Nobody is waited for any more who is not there.
    pub(super) fn release_awaiting(&mut self, now: Instant, agent: AgentId) {
        let Some(agent) = self.agents.get(&agent) else { return };
        for id in agent.awaited.iter().map(|rank| rank.work).collect::<Vec<_>>() {
            self.rework(now, id, |work, _| work.held = None);
        }
    }

    pub(super) fn reject(&mut self, work: WorkId, why: Rejection) {
        self.counted.rejected += 1;
        self.outputs.push_back(Output::Rejected { work, why });
    }

    pub(super) fn dequeue(&mut self, now: Instant, work: WorkId) {
        match self.end_work(now, work) {
            true => self.counted.dequeued += 1,
            false => self.counted.ignored += 1,
        }
    }

    /// Takes a work out, if it waits, and stops what rings for it.
    fn end_work(&mut self, now: Instant, work: WorkId) -> bool {
        let Some(work) = self.take_out(work) else { return false };
        for id in work.offers {
            let agent = self.release(id, Withdrawal::WorkGone);
            self.settle(now, agent, StateReason::OfferEnded);
        }
        true
    }

    /// Removes a work from every table but the reservations; its open offers are the caller's to end.
    pub(super) fn take_out(&mut self, id: WorkId) -> Option<Work> {
        self.works.get(&id)?;
        self.take_up(id);
        self.timers.cancel(&Timer::Attend(id));
        self.works.remove(&id)
    }

    pub(super) fn expire(&mut self, id: WorkId) {
        self.take_out(id);
        self.counted.expired += 1;
        self.outputs.push_back(Output::Expired { work: id });
    }

    /// Nobody has been at work in a queue for too long: who waits there is led elsewhere.
    pub(super) fn desert(&mut self, now: Instant, id: &QueueId) {
        let queue = self.queues.get_mut(id).expect("NoStaff is set for known queues only");
        queue.deserted = true;
        for work in queue.line.iter().map(|rank| rank.work).collect::<Vec<_>>() {
            self.seek(now, work);
        }
    }
}

/// Takes the steps of ageing that are due; returns whether the work's points have changed.
fn age(now: Instant, work: &mut Work, queue: &Queue) -> bool {
    let due = queue.settings.ageing.iter().take_while(|step| work.place.arrived + step.after <= now).count();
    let points = queue.points(work);
    work.aged = due;
    queue.points(work) != points
}

/// The agent whom the work prefers, and until when it waits for him, if that makes sense.
fn hold(now: Instant, place: &Place, queue: &Queue, agents: &BTreeMap<AgentId, Agent>) -> Option<(AgentId, Instant)> {
    let until = place.since + queue.settings.preferred_for;
    let agent = agents.get(&place.preferred?)?;
    let serves = queue.staff.contains(&agent.id) && lacking(&place.skills, &agent.skills).is_none();
    let barred = place.excluded.contains(&agent.id) || agent.refused.contains_key(&place.work);
    (serves && until > now && !barred).then_some((agent.id, until))
}
