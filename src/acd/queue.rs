//! One queue: waiting work in its one total order, and the agents who could take it.
//!
//! **Order**: score = arrival − 60 s × points, lowest first, where points are the queue's and the work's together:
//! a point is worth one minute of waiting, so nobody starves. Ties: arrival, then id.
//!
//! **Classes**: the work of a queue is grouped by what it requires. A class holds its waiting work in order and
//! the available agents who meet it, longest idle first, so both choices look at the heads of ordered sets.
//! A class without work is kept for the next work like it, up to [`KEPT_CLASSES`]: finding its agents anew costs
//! a pass over the queue's ready agents.

use super::agent::Agent;
use super::{QueueView, Skills};
use crate::center;
use crate::ids::{AgentId, QueueId, ReservationId, SkillId, WorkId};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What one point of priority is worth, in nanoseconds of waiting.
const POINT: i64 = 60_000_000_000;
/// Points beyond ±this (about two years of waiting) count as this, so that a score cannot overflow.
const MAX_POINTS: i32 = 1_000_000;
/// Classes kept per queue while no work of theirs waits.
const KEPT_CLASSES: usize = 32;

/// A work's place in the order over all queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Rank {
    score: i64,
    arrived: Instant,
    pub(super) work: WorkId,
}

impl Rank {
    pub(super) fn new(work: WorkId, arrived: Instant, points: i32) -> Rank {
        let arrival = i64::try_from(arrived.0).unwrap_or(i64::MAX);
        Rank { score: arrival.saturating_sub(i64::from(points.clamp(-MAX_POINTS, MAX_POINTS)) * POINT), arrived, work }
    }
}

/// An available agent's place: longest idle first, then the lower number.
pub(super) type Idle = (Instant, AgentId);

/// What waits in a queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Work {
    pub(super) id: WorkId,
    pub(super) queue: QueueId,
    pub(super) priority: i32,
    pub(super) skills: Skills,
    pub(super) arrived: Instant,
    pub(super) rank: Rank,
    /// The open reservations. With none the work stands in its class and seeks an agent.
    pub(super) offers: BTreeSet<ReservationId>,
    /// The queue's `max_wait` is over; the work ends when its offer does, unless that is accepted.
    pub(super) overdue: bool,
}

/// Work of one requirement, and who could take it now.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Class {
    pub(super) waiting: BTreeSet<Rank>,
    pub(super) ready: BTreeSet<Idle>,
    /// Serial of the last use: the class unused longest is dropped first.
    used: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Queue {
    pub(super) settings: center::Queue,
    /// All its work, work with an open offer included.
    pub(super) line: BTreeSet<Rank>,
    pub(super) arrivals: BTreeSet<(Instant, WorkId)>,
    /// Its available agents.
    pub(super) ready: BTreeSet<Idle>,
    pub(super) staffed: u32,
    #[serde(with = "pairs")]
    pub(super) classes: BTreeMap<Skills, Class>,
    uses: u64,
}

/// The first skill of `required` that `skills` lacks.
pub(super) fn lacking<'a>(required: &'a Skills, skills: &Skills) -> Option<&'a SkillId> {
    required.iter().find(|(skill, level)| skills.get(*skill).is_none_or(|has| has < *level)).map(|(skill, _)| skill)
}

impl Queue {
    pub(super) fn new(settings: &center::Queue) -> Queue {
        Queue {
            settings: settings.clone(),
            line: BTreeSet::new(),
            arrivals: BTreeSet::new(),
            ready: BTreeSet::new(),
            staffed: 0,
            classes: BTreeMap::new(),
            uses: 0,
        }
    }

    pub(super) fn view(&self) -> QueueView {
        QueueView {
            waiting: self.line.len() as u32,
            longest_since: self.arrivals.first().map(|(arrived, _)| *arrived),
            staffed: self.staffed,
            ready: self.ready.len() as u32,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.line.len() >= self.settings.max_waiting as usize
    }

    pub(super) fn points(&self, priority: i32) -> i32 {
        self.settings.priority.saturating_add(priority)
    }

    pub(super) fn rank(&self, work: WorkId, arrived: Instant, priority: i32) -> Rank {
        Rank::new(work, arrived, self.points(priority))
    }

    /// Gives `work` its place in the line; it does not seek yet.
    pub(super) fn join(&mut self, work: &Work) {
        self.line.insert(work.rank);
        self.arrivals.insert((work.arrived, work.id));
    }

    pub(super) fn leave(&mut self, work: &Work) {
        self.stop_seeking(work);
        self.line.remove(&work.rank);
        self.arrivals.remove(&(work.arrived, work.id));
    }

    pub(super) fn stop_seeking(&mut self, work: &Work) {
        if let Some(class) = self.classes.get_mut(&work.skills) {
            class.waiting.remove(&work.rank);
        }
    }

    /// Moves `work` in the order at once, whatever it is doing.
    pub(super) fn rekey(&mut self, work: &mut Work, arrived: Instant, priority: i32) {
        let seeking = self.classes.get(&work.skills).is_some_and(|class| class.waiting.contains(&work.rank));
        self.leave(work);
        (work.arrived, work.priority) = (arrived, priority);
        work.rank = self.rank(work.id, arrived, priority);
        self.join(work);
        if let Some(class) = self.classes.get_mut(&work.skills).filter(|_| seeking) {
            class.waiting.insert(work.rank);
        }
    }

    /// The class of a requirement, made if there is none.
    pub(super) fn class(&mut self, skills: &Skills, agents: &BTreeMap<AgentId, Agent>) -> &mut Class {
        if !self.classes.contains_key(skills) {
            self.drop_spare_class();
            let meets = |idle: &&Idle| lacking(skills, &agents[&idle.1].skills).is_none();
            let ready = self.ready.iter().filter(meets).copied().collect();
            self.classes.insert(skills.clone(), Class { ready, ..Class::default() });
        }
        self.uses += 1;
        let class = self.classes.get_mut(skills).expect("the class was there or has just been made");
        class.used = self.uses;
        class
    }

    fn drop_spare_class(&mut self) {
        if self.classes.len() < KEPT_CLASSES {
            return;
        }
        let spare = self.classes.iter().filter(|(_, class)| class.waiting.is_empty());
        if let Some(skills) = spare.min_by_key(|(_, class)| class.used).map(|(skills, _)| skills.clone()) {
            self.classes.remove(&skills);
        }
    }

    pub(super) fn list(&mut self, agent: &Agent) {
        let idle = (agent.idle_since, agent.id);
        self.ready.insert(idle);
        for (_, class) in self.classes.iter_mut().filter(|(skills, _)| lacking(skills, &agent.skills).is_none()) {
            class.ready.insert(idle);
        }
    }

    pub(super) fn unlist(&mut self, idle: Idle) {
        self.ready.remove(&idle);
        self.classes.values_mut().for_each(|class| {
            class.ready.remove(&idle);
        });
    }
}

/// Maps whose keys are no strings are written as lists of pairs, since JSON's keys are.
mod pairs {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;

    pub fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(map)
    }

    pub fn deserialize<'de, K, V, D>(from: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Ord + Deserialize<'de>,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(from)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn one_point_is_worth_one_minute_and_ties_go_by_arrival_then_id() {
        let rank = |id, second: u64, points| Rank::new(WorkId(id), Instant::ZERO + Duration::from_secs(second), points);
        // (first, then) by (id, arrival second, points)
        let rows = [
            ((1, 100, 0), (2, 101, 0)),
            ((2, 159, 1), (1, 100, 0)),
            ((1, 100, 0), (2, 161, 1)),
            ((2, 100, 0), (1, 160, 1)), // equal score: the earlier arrival
            ((1, 100, 3), (2, 100, 3)), // equal arrival: the lower id
            ((2, 0, 0), (1, 0, -1)),
            ((2, 10_000_000, MAX_POINTS), (1, 10, 0)),
        ];
        for (first, then) in rows {
            assert!(rank(first.0, first.1, first.2) < rank(then.0, then.1, then.2), "{first:?} before {then:?}");
        }
        assert!(Rank::new(WorkId(1), Instant(u64::MAX), i32::MIN) > rank(1, 0, 0), "no overflow");
    }

    #[test]
    fn classes_without_work_are_kept_up_to_a_number() {
        let center = super::super::tests::center();
        let mut queue = Queue::new(&center.queues[&QueueId::new("sales")]);
        let required = |n: u32| Skills::from([(SkillId::new(&n.to_string()), 1)]);
        let rank = Rank::new(WorkId(1), Instant::ZERO, 0);
        queue.class(&required(0), &BTreeMap::new()).waiting.insert(rank);
        for n in 1..100 {
            queue.class(&required(1), &BTreeMap::new());
            queue.class(&required(n), &BTreeMap::new());
            assert!(queue.classes.len() <= KEPT_CLASSES);
        }
        let kept = [0, 1, 2, 99].map(|n| queue.classes.contains_key(&required(n)));
        assert_eq!(kept, [true, true, false, true], "work waits; used often; unused longest; used last");
    }
}
