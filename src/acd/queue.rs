//! One queue: waiting work in its one total order, and the agents who could take it.
//!
//! **Order**: score = arrival − 60 s × points, lowest first, where points are the queue's, the work's and those that
//! came with waiting: a point is worth one minute of waiting, so nobody starves. Ties: arrival, then id. In a strict
//! queue points are classes: more come first however long the others have waited, over all queues of an agent.
//!
//! **Classes**: the work of a queue is grouped by what it needs: skills, and having waited for those agents who come
//! in after a delay. A class holds its waiting work in order and the available agents who meet it, best first, so
//! both choices look at the heads of ordered sets. A class without work is kept for the next work like it, up to
//! [`KEPT_CLASSES`]: finding its agents anew costs a pass over the queue's ready agents.

use super::agent::Agent;
use super::forecast::Refused;
use super::line::Line;
use super::{Merit, Place, QueueView, Skills, place};
use crate::center::{self, Relaxation, RingPlan};
use crate::ids::{AgentId, ReservationId, SkillId, WorkId};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// What one point of priority is worth, in nanoseconds of waiting.
const POINT: i64 = 60_000_000_000;
/// Points beyond ±this (about two years of waiting) count as this, so that a score cannot overflow.
const MAX_POINTS: i32 = 1_000_000;
/// Classes kept per queue while no work of theirs waits.
const KEPT_CLASSES: usize = 32;
/// How many of the last handling times of a queue are kept.
const KEPT_TIMES: usize = 100;

/// A work's place in the order over all queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Rank {
    /// Of priority, in a strict queue; 0 elsewhere.
    class: i64,
    score: i64,
    arrived: Instant,
    tie: WorkId,
    /// Less than the most for work that asked for a place: it stands before the one with the same tie.
    nth: u64,
    pub(super) work: WorkId,
}

impl Rank {
    pub(super) fn new(work: WorkId, arrived: Instant, points: i32, strict: bool) -> Rank {
        let (points, arrival) = (i64::from(points.clamp(-MAX_POINTS, MAX_POINTS)), i64::try_from(arrived.0));
        let arrival = arrival.unwrap_or(i64::MAX);
        let (class, score) = if strict { (-points, arrival) } else { (0, arrival.saturating_sub(points * POINT)) };
        Rank { class, score, arrived, tie: work, nth: u64::MAX, work }
    }

    /// Directly before `next`, and behind `previous`.
    fn before(self, next: &Rank, previous: Option<&Rank>) -> Rank {
        let same = |r: &&Rank| (r.class, r.score, r.arrived, r.tie) == (next.class, next.score, next.arrived, next.tie);
        let low = previous.filter(same).map_or(0, |r| r.nth);
        Rank { nth: low + (next.nth - low) / 2, work: self.work, ..*next }
    }
}

/// What a work needs now.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Need {
    pub(super) skills: Skills,
    /// The longest delay of the queue's agents that it has waited for.
    pub(super) waited: Duration,
}

impl Need {
    /// Why `agent`, who serves the queue, does not meet it.
    pub(super) fn unmet(&self, queue: &center::Queue, agent: &Agent) -> Option<Unmet<'_>> {
        match (lacking(&self.skills, &agent.skills), agent.queues.get(&queue.id)) {
            (Some(skill), _) => Some(Unmet::Skill(skill)),
            (None, Some(member)) if member.delay > self.waited && !self.is_personal() => {
                Some(Unmet::Delay(member.delay))
            }
            (None, _) => None,
        }
    }
}

impl Need {
    /// Whether it is one agent who is wanted: who has all of the skills is that agent, and comes in at once.
    fn is_personal(&self) -> bool {
        self.skills.keys().any(place::is_own)
    }
}

pub(super) enum Unmet<'a> {
    Skill(&'a SkillId),
    Delay(Duration),
}

/// What waits in a queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Work {
    pub(super) place: Place,
    pub(super) need: Need,
    pub(super) rank: Rank,
    /// When it expires.
    pub(super) until: Instant,
    /// Steps of ageing and of relaxation that are behind it.
    pub(super) aged: usize,
    pub(super) relaxed: usize,
    /// Whom it waits for, and until when.
    pub(super) held: Option<(AgentId, Instant)>,
    /// How many phones may ring for it at once, and when that becomes one more.
    pub(super) may_ring: u32,
    pub(super) more_at: Option<Instant>,
    /// The open reservations. With none the work seeks an agent.
    pub(super) offers: BTreeSet<ReservationId>,
    /// The queue's `max_wait` is over; the work ends when its offers do, unless one is accepted.
    pub(super) overdue: bool,
}

impl Work {
    pub(super) fn new(place: Place, queue: &Queue, now: Instant) -> Work {
        let settings = &queue.settings;
        Work {
            need: Need { skills: place.skills.clone(), waited: Duration::ZERO },
            rank: Rank::new(place.work, place.arrived, 0, false),
            until: now + settings.max_wait,
            aged: 0,
            relaxed: 0,
            held: None,
            may_ring: match settings.ring {
                RingPlan::One | RingPlan::Progressive { .. } => 1,
                RingPlan::Several(most) => most,
                RingPlan::All => u32::MAX,
            },
            more_at: None,
            offers: BTreeSet::new(),
            overdue: false,
            place,
        }
    }

    pub(super) fn id(&self) -> WorkId {
        self.place.work
    }

    /// Nobody is rung for it, and anybody may be.
    pub(super) fn seeks(&self) -> bool {
        self.offers.is_empty() && self.held.is_none()
    }

    /// It rings, and may ring for somebody more.
    pub(super) fn wants_more(&self) -> bool {
        !self.offers.is_empty() && !self.overdue && (self.offers.len() as u64) < u64::from(self.may_ring)
    }

    pub(super) fn steps<'a>(&'a self, settings: &'a center::Queue) -> &'a [Relaxation] {
        self.place.relax.as_deref().unwrap_or(&settings.relax)
    }

    /// When something about it changes by itself.
    pub(super) fn deadline(&self, queue: &Queue) -> Option<Instant> {
        let ageing = queue.settings.ageing.get(self.aged).map(|step| self.place.arrived + step.after);
        let relaxing = self.steps(&queue.settings).get(self.relaxed).map(|step| self.place.since + step.after);
        let delay = queue.delays.iter().find(|delay| **delay > self.need.waited).map(|d| self.place.arrived + *d);
        let expiry = (!self.overdue).then_some(self.until);
        let held = self.held.map(|(_, until)| until);
        [ageing, relaxing, delay, expiry, held, self.more_at].into_iter().flatten().min()
    }
}

/// Work of one need, and who could take it now.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Class {
    /// Nobody is rung for it.
    pub(super) waiting: BTreeSet<Rank>,
    /// It rings, and may ring for somebody more.
    pub(super) more: BTreeSet<Rank>,
    pub(super) ready: BTreeSet<Merit>,
    /// Serial of the last use: the class unused longest is dropped first.
    used: u64,
}

impl Class {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.more.is_empty()
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Queue {
    pub(super) settings: center::Queue,
    /// All its work, work with an open offer included.
    pub(super) line: Line,
    pub(super) arrivals: BTreeSet<(Instant, WorkId)>,
    /// Its available agents.
    pub(super) ready: BTreeSet<Merit>,
    /// Its agents who are at work.
    pub(super) staff: BTreeSet<AgentId>,
    /// Since when nobody has been at work here.
    pub(super) unstaffed_since: Option<Instant>,
    /// Nobody has been for as long as the queue waits for somebody.
    pub(super) deserted: bool,
    /// The delays after which some of its agents come in, without zero.
    pub(super) delays: BTreeSet<Duration>,
    #[serde(with = "pairs")]
    pub(super) classes: BTreeMap<Need, Class>,
    pub(super) uses: u64,
    /// The last times from offer to the end of wrap-up.
    pub(super) times: VecDeque<Duration>,
    /// Where drawing lots has come to.
    pub(super) drawn: i64,
    /// Those who would have waited too long.
    #[serde(default)]
    pub(super) refused: Refused,
}

/// The first skill of `required` that `skills` lacks.
pub(super) fn lacking<'a>(required: &'a Skills, skills: &Skills) -> Option<&'a SkillId> {
    required.iter().find(|(skill, level)| skills.get(*skill).is_none_or(|has| has < *level)).map(|(skill, _)| skill)
}

impl Queue {
    pub(super) fn new(settings: &center::Queue, now: Instant) -> Queue {
        Queue {
            settings: settings.clone(),
            line: Line::default(),
            arrivals: BTreeSet::new(),
            ready: BTreeSet::new(),
            staff: BTreeSet::new(),
            unstaffed_since: Some(now),
            deserted: false,
            delays: BTreeSet::new(),
            classes: BTreeMap::new(),
            uses: 0,
            times: VecDeque::new(),
            drawn: 0,
            refused: Refused::default(),
        }
    }

    pub(super) fn view(&self) -> QueueView {
        QueueView {
            waiting: self.line.len() as u32,
            longest_since: self.arrivals.first().map(|(arrived, _)| *arrived),
            staffed: self.staff.len() as u32,
            ready: self.ready.len() as u32,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.line.len() >= self.settings.max_waiting as usize
    }

    /// When who waits is to be led elsewhere because nobody is at work here.
    pub(super) fn deserted_at(&self) -> Option<Instant> {
        let since = self.unstaffed_since.filter(|_| !self.deserted)?;
        self.settings.no_staff_after.map(|after| since + after)
    }

    /// The queue's points, the work's, and those that came with waiting.
    pub(super) fn points(&self, work: &Work) -> i32 {
        let aged = self.settings.ageing.iter().take(work.aged).map(|step| step.points);
        aged.fold(self.settings.priority.saturating_add(work.place.priority), i32::saturating_add)
    }

    /// Where its points put a work.
    pub(super) fn rank(&self, work: &Work) -> Rank {
        Rank::new(work.id(), work.place.arrived, self.points(work), self.settings.strict)
    }

    /// The place that was asked for, counted from 1: among its own class of priority, never behind `natural`.
    pub(super) fn asked(&self, natural: Rank, position: u32) -> Rank {
        let behind = self.line.iter().skip((position.max(1) - 1) as usize).find(|rank| rank.class >= natural.class);
        match behind.filter(|next| next.class == natural.class && **next < natural) {
            Some(next) => natural.before(next, self.line.previous(next)),
            None => natural,
        }
    }

    /// Gives `work` its place in the line; it does not seek yet.
    pub(super) fn join(&mut self, work: &Work) {
        self.line.insert(work.rank);
        self.arrivals.insert((work.place.arrived, work.id()));
    }

    pub(super) fn leave(&mut self, work: &Work) {
        self.line.remove(&work.rank);
        self.arrivals.remove(&(work.place.arrived, work.id()));
    }

    /// Takes a work out of its class, if it stands in one.
    pub(super) fn unstand(&mut self, work: &Work) {
        if let Some(class) = self.classes.get_mut(&work.need) {
            class.waiting.remove(&work.rank);
            class.more.remove(&work.rank);
        }
    }

    /// Puts a work into its class, if it seeks an agent.
    pub(super) fn stand(&mut self, work: &Work, agents: &BTreeMap<AgentId, Agent>) {
        if work.seeks() {
            self.class(&work.need, agents).waiting.insert(work.rank);
        } else if work.wants_more() {
            self.class(&work.need, agents).more.insert(work.rank);
        }
    }

    /// The class of a need, made if there is none.
    pub(super) fn class(&mut self, need: &Need, agents: &BTreeMap<AgentId, Agent>) -> &mut Class {
        if !self.classes.contains_key(need) {
            self.drop_spare_class();
            let able = self.ready.iter().map(|merit| &agents[&merit.2]);
            let able = able.filter(|agent| need.unmet(&self.settings, agent).is_none());
            let ready = able.map(|agent| agent.merit(&self.settings, &need.skills)).collect();
            self.classes.insert(need.clone(), Class { ready, ..Class::default() });
        }
        self.uses += 1;
        let class = self.classes.get_mut(need).expect("the class was there or has just been made");
        class.used = self.uses;
        class
    }

    fn drop_spare_class(&mut self) {
        if self.classes.len() < KEPT_CLASSES {
            return;
        }
        let spare = self.classes.iter().filter(|(_, class)| class.is_idle());
        if let Some(need) = spare.min_by_key(|(_, class)| class.used).map(|(need, _)| need.clone()) {
            self.classes.remove(&need);
        }
    }

    /// Every available agent's facts have changed, or will: the lists are made anew.
    pub(super) fn forget_agents(&mut self) {
        self.ready.clear();
        self.classes.values_mut().for_each(|class| class.ready.clear());
    }

    pub(super) fn list(&mut self, agent: &Agent) {
        let settings = &self.settings;
        self.ready.insert(agent.merit(settings, &Skills::new()));
        for (need, class) in self.classes.iter_mut().filter(|(need, _)| need.unmet(settings, agent).is_none()) {
            class.ready.insert(agent.merit(settings, &need.skills));
        }
    }

    /// Nothing that merits are made of has changed since he was listed.
    pub(super) fn unlist(&mut self, agent: &Agent) {
        self.ready.remove(&agent.merit(&self.settings, &Skills::new()));
        for (need, class) in &mut self.classes {
            class.ready.remove(&agent.merit(&self.settings, &need.skills));
        }
    }

    /// Notes who is at work here.
    pub(super) fn count(&mut self, now: Instant, agent: AgentId, at_work: bool) {
        match at_work {
            true => _ = self.staff.insert(agent),
            false => _ = self.staff.remove(&agent),
        }
        if !self.staff.is_empty() {
            (self.unstaffed_since, self.deserted) = (None, false);
        } else if self.unstaffed_since.is_none() {
            self.unstaffed_since = Some(now);
        }
    }

    /// Somebody at work here has these skills, beside those who are named.
    pub(super) fn is_served(
        &self,
        skills: &Skills,
        agents: &BTreeMap<AgentId, Agent>,
        but: &BTreeSet<AgentId>,
    ) -> bool {
        self.staff.iter().any(|id| !but.contains(id) && lacking(skills, &agents[id].skills).is_none())
    }

    pub(super) fn handled(&mut self, time: Duration) {
        if self.times.len() == KEPT_TIMES {
            self.times.pop_front();
        }
        self.times.push_back(time);
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
    use crate::ids::QueueId;

    #[test]
    fn one_point_is_worth_one_minute_and_ties_go_by_arrival_then_id() {
        let rank =
            |id, second: u64, points| Rank::new(WorkId(id), Instant::ZERO + Duration::from_secs(second), points, false);
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
        assert!(Rank::new(WorkId(1), Instant(u64::MAX), i32::MIN, false) > rank(1, 0, 0), "no overflow");
        assert!(Rank::new(WorkId(2), Instant(u64::MAX), 1, true) < Rank::new(WorkId(1), Instant::ZERO, 0, true));
    }

    #[test]
    fn classes_without_work_are_kept_up_to_a_number() {
        let center = super::super::tests::center();
        let mut queue = Queue::new(&center.queues[&QueueId::new("sales")], Instant::ZERO);
        let required = |n: u32| Need { skills: Skills::from([(SkillId::new(&n.to_string()), 1)]), ..Need::default() };
        let rank = Rank::new(WorkId(1), Instant::ZERO, 0, false);
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
