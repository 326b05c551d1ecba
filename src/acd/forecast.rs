//! How long somebody will wait: the router run forward from where it stands, with the rules that will really be
//! applied.
//!
//! A run has the agents at work in the queue and the work that stands before the one asked about in all queues they
//! serve; how long each conversation takes is drawn from the last handling times of its queue (offer to end of
//! wrap-up, so ringing counts). Of [`RUNS`] runs the middle and the tenth of ten are told. Where there are few times
//! to draw from, or too much to run, a formula answers: mean handling time × place in line / agents at work.
//!
//! Left out: callers who give up and agents who refuse (both are in the handling times only as far as they delay);
//! work that comes later and goes first.
//!
//! **Cost** O(runs · (agents + work) · log), bounded by [`MAX_AGENTS`] and [`MAX_WORK`]: about a millisecond.

use super::queue::{Queue, Rank, Work};
use super::{Output, Place, Router, Skills};
use crate::center::WrapUp;
use crate::ids::{AgentId, QueueId, Rng, WorkId};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const RUNS: usize = 20;
/// Fewer handling times than this are no sample.
const FEW: usize = 10;
const MAX_AGENTS: usize = 50;
const MAX_WORK: usize = 100;
/// Nobody is told a longer wait; a run ends there.
pub const HORIZON: Duration = Duration::from_secs(4 * 3_600);
/// More steps than this are a run that does not come to its end.
const MAX_STEPS: usize = 2_000;

/// So long a refusal is good for who comes next.
const FRESH: Duration = Duration::from_secs(1);
/// Different refusals that are remembered for that time.
const MOST_KNOWN: usize = 64;

/// How long from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// Half of the callers in this place wait no longer.
    pub p50: Duration,
    /// Nine of ten.
    pub p90: Duration,
    pub by: Method,
}

/// Where a forecast comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// The router was run forward.
    Runs,
    /// Mean handling time × place in line / agents at work; for nine of ten twice that.
    Formula,
}

impl Router {
    /// How long `work` will go on waiting; `None` if it does not wait, nobody is at work in its queue, or nothing is
    /// known yet about how long calls take there.
    pub fn forecast(&self, now: Instant, work: WorkId) -> Option<Forecast> {
        let work = self.works.get(&work)?;
        if !work.offers.is_empty() {
            return Some(Forecast { p50: Duration::ZERO, p90: Duration::ZERO, by: Method::Runs }); // it rings
        }
        self.forecast_at(now, &work.place, work.rank)
    }

    /// The same for work that may come.
    pub fn forecast_for(&self, now: Instant, place: &Place) -> Option<Forecast> {
        let queue = self.queues.get(&place.queue)?;
        self.forecast_at(now, place, queue.rank(&Work::new(place.clone(), queue, now)))
    }

    /// Whether work that may come would wait longer than `longest`. For many who come in a row: who is turned away changes
    /// nothing for the next one in the same place, so within a second he is turned away too, unless somebody is free.
    pub(super) fn waits_longer(&mut self, now: Instant, place: &Place, longest: Duration) -> bool {
        let Some(queue) = self.queues.get(&place.queue) else { return false };
        let before = queue.line.before(&queue.rank(&Work::new(place.clone(), queue, now)));
        if queue.ready.is_empty() && queue.refused.is_known(now, before, place) {
            return true;
        }
        let waits = self.forecast_for(now, place).is_some_and(|forecast| forecast.p50 > longest);
        let queue = self.queues.get_mut(&place.queue).filter(|_| waits);
        queue.into_iter().for_each(|queue| queue.refused.note(now, before, place));
        waits
    }

    fn forecast_at(&self, now: Instant, place: &Place, rank: Rank) -> Option<Forecast> {
        let queue = self.queues.get(&place.queue)?;
        if queue.staff.is_empty() || queue.times.is_empty() {
            return None;
        }
        let scope = (queue.times.len() >= FEW).then(|| Scope::new(self, queue, rank)).flatten();
        #[cfg(test)]
        work::count();
        let Some(scope) = scope else {
            let mean = queue.times.iter().sum::<Duration>() / queue.times.len() as u32;
            let before = queue.line.before(&rank) as u32;
            let p50 =
                if queue.ready.is_empty() { mean * (before + 1) / queue.staff.len() as u32 } else { Duration::ZERO };
            return Some(Forecast { p50: p50.min(HORIZON), p90: (p50 * 2).min(HORIZON), by: Method::Formula });
        };
        let mut waits: Vec<Duration> = (0..RUNS)
            .map(|run| scope.run(now, place, self.rng.fork(&format!("forecast {run} of {} at {}", place.work, now.0))))
            .collect();
        waits.sort();
        Some(Forecast { p50: waits[RUNS / 2 - 1], p90: waits[RUNS * 9 / 10 - 1], by: Method::Runs })
    }
}

/// Who was turned away within the last second.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Refused {
    since: Instant,
    /// By how many stand before, points and what is needed.
    known: Vec<(usize, i32, Skills)>,
}

impl Refused {
    fn is_known(&self, now: Instant, before: usize, place: &Place) -> bool {
        let is_it = |(at, points, needs): &(usize, i32, Skills)| {
            (*at, *points) == (before, place.priority) && *needs == place.skills
        };
        now.since(self.since) < FRESH && self.known.iter().any(is_it)
    }

    fn note(&mut self, now: Instant, before: usize, place: &Place) {
        if now.since(self.since) >= FRESH {
            *self = Refused { since: now, known: Vec::new() };
        }
        if self.known.len() < MOST_KNOWN {
            self.known.push((before, place.priority, place.skills.clone()));
        }
    }
}

/// The part of a router that matters for one work.
struct Scope<'a> {
    router: &'a Router,
    agents: &'a BTreeSet<AgentId>,
    queues: BTreeMap<&'a QueueId, &'a Queue>,
    /// What stands before it, in order.
    before: Vec<&'a Work>,
}

impl<'a> Scope<'a> {
    /// `None` if it is too large to be run.
    fn new(router: &'a Router, queue: &'a Queue, rank: Rank) -> Option<Scope<'a>> {
        let agents = &queue.staff;
        if agents.len() > MAX_AGENTS {
            return None;
        }
        let served = agents.iter().flat_map(|id| router.agents[id].queues.keys());
        let queues: BTreeMap<_, _> = served.map(|id| (id, &router.queues[id])).collect();
        let mut before: Vec<Rank> = queues
            .values()
            .flat_map(|queue| queue.line.iter().take_while(|other| **other < rank).take(MAX_WORK + 1).copied())
            .collect();
        before.sort();
        // For whom a phone rings, somebody is there already.
        let before = before.iter().map(|rank| &router.works[&rank.work]).filter(|work| work.offers.is_empty());
        let before: Vec<_> = before.collect();
        (before.len() <= MAX_WORK).then_some(Scope { router, agents, queues, before })
    }

    /// One run: how long until the work is offered to somebody.
    fn run(&self, now: Instant, place: &Place, mut rng: Rng) -> Duration {
        let mut copy = self.copy(now, rng.fork("router"));
        let mut free: BTreeSet<(Instant, AgentId)> = BTreeSet::new();
        for id in self.agents {
            let left = self.router.agents[id].handling.as_ref().map(|(queue, since)| {
                let elapsed = now.since(*since);
                let longer: Vec<_> = self.times(queue).filter(|time| *time > elapsed).collect();
                let drawn = longer.get(rng.below(longer.len().max(1) as u64) as usize);
                drawn.map_or(Duration::from_secs(30), |time| *time - elapsed)
            });
            free.insert((now + left.unwrap_or_default(), *id));
        }
        let target = WorkId(u64::MAX);
        let works = self.before.iter().map(|work| Place { position: None, ..work.place.clone() });
        for place in works.filter(|other| other.work != place.work).chain([Place { work: target, ..place.clone() }]) {
            copy.enqueue(now, Place { position: None, ..place });
        }
        let mut at = now;
        for _ in 0..MAX_STEPS {
            while let Some(output) = copy.poll() {
                let Output::Offered { reservation, work, agent, queue, .. } = output else { continue };
                if work == target {
                    return at.since(now);
                }
                copy.accept(at, reservation);
                free.insert((at + self.draw(&queue, &mut rng), agent));
            }
            let next = free.first().map(|(at, _)| *at).into_iter().chain(copy.deadline()).min();
            at = match next {
                Some(next) if next.since(now) < HORIZON => next.max(at),
                _ => return HORIZON,
            };
            if copy.deadline().is_some_and(|due| due <= at) {
                copy.handle(at, super::Input::Timeout);
            } else if let Some((_, agent)) = free.pop_first() {
                let queue = self.router.agents[&agent].queues.keys().next().expect("who is at work has a queue");
                copy.finish(at, agent, queue);
            }
        }
        HORIZON
    }

    /// A router in which every agent is about to become free.
    fn copy(&self, now: Instant, rng: Rng) -> Router {
        let mut copy = Router { rng, ..Router::empty(self.router.reservation_ids()) };
        for (id, queue) in &self.queues {
            let mut settings = queue.settings.clone();
            // Handling times have wrap-up in them, and a forecast within a forecast would have no end.
            (settings.wrap_up, settings.max_wait) = (WrapUp::None, 2 * HORIZON);
            (settings.max_expected_wait, settings.no_staff_after) = (None, None);
            settings.max_waiting = u32::MAX;
            settings.relax.iter_mut().for_each(|step| step.if_expected_wait = None);
            let mut new = Queue::new(&settings, now);
            new.delays.clone_from(&queue.delays);
            copy.queues.insert((*id).clone(), new);
        }
        for id in self.agents {
            let mut agent = self.router.agents[id].clone();
            (agent.signed_in, agent.reachable, agent.outside) = (true, true, false);
            (agent.pause, agent.penalty, agent.wrap_up, agent.reservation) = (None, None, None, None);
            (agent.listed, agent.counted) = (false, false);
            agent.conversation = Some(now);
            agent.refused.clear();
            agent.awaited.clear();
            copy.agents.insert(*id, agent);
            copy.settle(now, *id, super::StateReason::Answered);
        }
        copy
    }

    fn times(&self, queue: &QueueId) -> impl Iterator<Item = Duration> {
        let own = self.queues.get(queue).filter(|queue| queue.times.len() >= FEW);
        let any = || self.queues.values().find(|queue| queue.times.len() >= FEW);
        own.or_else(any).into_iter().flat_map(|queue| queue.times.iter().copied())
    }

    fn draw(&self, queue: &QueueId, rng: &mut Rng) -> Duration {
        let times: Vec<Duration> = self.times(queue).collect();
        times[rng.below(times.len() as u64) as usize]
    }
}

/// How often this thread has looked ahead: so that a test can see what no clock could prove.
#[cfg(test)]
pub mod work {
    thread_local!(static RUNS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });

    pub fn count() {
        RUNS.set(RUNS.get() + 1);
    }

    pub fn runs() -> usize {
        RUNS.get()
    }
}
