//! The choice itself: which agent for this work, which work for this agent, and why.
//!
//! Candidates are pairs (work, agent); a pair is eligible if the agent serves the work's queue, is available, has
//! every required skill at its level, comes in by now (his delay), may have it (he is not excluded and has not refused
//! it lately), and if the work does not wait for somebody else. Agents are taken as the queue selects, work in the
//! order over all the agent's queues: by the order in his profile, then by rank. Work that rings already and may ring
//! for more comes last: it holds up nobody. Both functions are pure.
//!
//! **Cost**, with C classes of need per queue, Q queues of the agent, R refusals and exclusions that still count:
//! an agent for a work O(log C + R); a work for an agent O(Q · (C + R)). Neither grows with agents or work.

use super::EXPLAINED;
use super::agent::Agent;
use super::queue::{Class, Need, Queue, Rank, Unmet, Work};
use crate::center::Selection;
use crate::ids::{AgentId, QueueId, SkillId, WorkId};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// Why this pair: numbers that let a person check the choice afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    pub chosen_by: ChosenBy,
    /// How the queue selects agents.
    pub selection: Selection,
    /// Since the agent's last conversation (see `agent`).
    pub idle: Duration,
    /// Since the work arrived.
    pub waited: Duration,
    /// Points of the queue, the work and its ageing together; one is worth a minute of waiting.
    pub points: i32,
    /// Steps of relaxation that are behind the work.
    pub relaxed: u32,
    /// Phones that ring for it already.
    pub ringing: u32,
    /// The other candidates with the same eligible need: available agents who meet it (`Arrival`), or waiting work
    /// that he may take (`Freed`). Pairs that rest after a refusal are counted too.
    pub others: u32,
    /// Who stood before the chosen one and was not taken; at most [`super::EXPLAINED`].
    pub passed_over: Vec<PassedOver>,
}

/// Which side of the pair looked for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChosenBy {
    /// The work arrived, came back or changed, and the best agent was taken.
    Arrival,
    /// The work prefers this agent.
    Preferred,
    /// The agent became free, and the first work in order over all his queues was taken.
    Freed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    pub candidate: Candidate,
    pub why: WhyNot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Candidate {
    Agent(AgentId),
    Work(WorkId),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhyNot {
    /// The agent lacks this skill, or its level.
    Skill(SkillId),
    /// The agent refused this work lately.
    RefusedUntil(Instant),
    /// The agent comes in when the work has waited so long.
    Delay(Duration),
    /// The agent is not to have it: he passed it on.
    Excluded,
    /// The queue comes later in the agent's profile.
    Order(u8),
}

/// A pair that was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) work: WorkId,
    pub(super) agent: AgentId,
    pub(super) explanation: Explanation,
}

/// Why this agent may not have this work, apart from what it needs.
fn barred(agent: &Agent, work: &Work) -> Option<WhyNot> {
    match agent.refused.get(&work.id()) {
        Some(until) => Some(WhyNot::RefusedUntil(*until)),
        None => work.place.excluded.contains(&agent.id).then_some(WhyNot::Excluded),
    }
}

fn why_unmet(need: &Need, queue: &Queue, agent: &Agent) -> Option<WhyNot> {
    Some(match need.unmet(&queue.settings, agent)? {
        Unmet::Skill(skill) => WhyNot::Skill(skill.clone()),
        Unmet::Delay(delay) => WhyNot::Delay(delay),
    })
}

fn explain(now: Instant, work: &Work, queue: &Queue, agent: &Agent, chosen_by: ChosenBy) -> Explanation {
    Explanation {
        chosen_by,
        selection: queue.settings.selection,
        idle: now.since(agent.idle_since),
        waited: now.since(work.place.arrived),
        points: queue.points(work),
        relaxed: work.relaxed as u32,
        ringing: work.offers.len() as u32,
        others: 0,
        passed_over: Vec::new(),
    }
}

/// The first of the agents who may take `work` now, if it wants one. It stands in its class, or waits for somebody.
pub(super) fn agent_for(now: Instant, work: &Work, queue: &Queue, agents: &BTreeMap<AgentId, Agent>) -> Option<Choice> {
    if let Some((id, _)) = work.held.filter(|_| work.offers.is_empty()) {
        let agent = agents.get(&id).filter(|agent| agent.available() && barred(agent, work).is_none())?;
        let explanation = explain(now, work, queue, agent, ChosenBy::Preferred);
        return Some(Choice { work: work.id(), agent: id, explanation });
    }
    if !work.seeks() && !work.wants_more() {
        return None;
    }
    let class = queue.classes.get(&work.need)?;
    let (_, _, chosen) = class.ready.iter().find(|merit| barred(&agents[&merit.2], work).is_none())?;
    let agent = &agents[chosen];
    let stands = agent.merit(&queue.settings, &BTreeMap::new());
    let before = queue.ready.range(..stands).take(EXPLAINED).map(|(_, _, id)| &agents[id]);
    let passed_over = before.filter_map(|agent| {
        let why = barred(agent, work).or_else(|| why_unmet(&work.need, queue, agent))?;
        Some(PassedOver { candidate: Candidate::Agent(agent.id), why })
    });
    let (others, passed_over) = (class.ready.len() as u32 - 1, passed_over.collect());
    let explanation = Explanation { others, passed_over, ..explain(now, work, queue, agent, ChosenBy::Arrival) };
    Some(Choice { work: work.id(), agent: *chosen, explanation })
}

/// What an agent looks through, and what he finds.
struct Search<'a> {
    agent: &'a Agent,
    works: &'a BTreeMap<WorkId, Work>,
    /// By the order in his profile, then by rank.
    best: Option<(u8, Rank)>,
    others: usize,
    passed: Vec<(Rank, WhyNot)>,
}

impl Search<'_> {
    /// The first of a class that he may have.
    fn through(&mut self, order: u8, waiting: &BTreeSet<Rank>) {
        self.others += waiting.len();
        for rank in waiting {
            match barred(self.agent, &self.works[&rank.work]) {
                None => return self.found(order, *rank),
                Some(why) => self.passed.push((*rank, why)),
            }
        }
    }

    fn found(&mut self, order: u8, rank: Rank) {
        let (better, worse) = match self.best {
            Some(best) if best < (order, rank) => (best, Some((order, rank))),
            best => ((order, rank), best),
        };
        self.best = Some(better);
        self.passed.extend(worse.map(|(order, rank)| (rank, WhyNot::Order(order))));
    }

    fn classes<'q>(&mut self, queues: &'q BTreeMap<QueueId, Queue>, of: impl Fn(&'q Class) -> &'q BTreeSet<Rank>) {
        for (id, member) in &self.agent.queues {
            let Some(queue) = queues.get(id) else { continue };
            for (need, class) in queue.classes.iter().filter(|(_, class)| !of(class).is_empty()) {
                match why_unmet(need, queue, self.agent) {
                    Some(why) => self.passed.extend(of(class).first().map(|rank| (*rank, why))),
                    None => self.through(member.order, of(class)),
                }
            }
        }
    }
}

/// The first work in order that `agent` may take now, over all his queues.
pub(super) fn work_for(
    now: Instant,
    agent: &Agent,
    queues: &BTreeMap<QueueId, Queue>,
    works: &BTreeMap<WorkId, Work>,
) -> Option<Choice> {
    let mut search = Search { agent, works, best: None, others: 0, passed: Vec::new() };
    search.classes(queues, |class| &class.waiting);
    for rank in &agent.awaited {
        let order = agent.queues.get(&works[&rank.work].place.queue).map_or(u8::MAX, |member| member.order);
        search.others += 1;
        search.found(order, *rank);
    }
    if search.best.is_none() {
        search.classes(queues, |class| &class.more);
    }
    let Search { best, others, mut passed, .. } = search;
    let work = &works[&best?.1.work];
    passed.retain(|(rank, _)| *rank < work.rank);
    passed.sort_by_key(|(rank, _)| *rank);
    let passed = passed.into_iter().take(EXPLAINED);
    let passed_over = passed.map(|(rank, why)| PassedOver { candidate: Candidate::Work(rank.work), why }).collect();
    let by = if agent.awaited.contains(&work.rank) { ChosenBy::Preferred } else { ChosenBy::Freed };
    let others = others as u32 - 1;
    let explanation = Explanation { others, passed_over, ..explain(now, work, &queues[&work.place.queue], agent, by) };
    Some(Choice { work: work.id(), agent: agent.id, explanation })
}

impl fmt::Display for Explanation {
    /// `longest idle (312 s) of 5; waited 20 s at 2 points; passed over: agent 201 lacks "french"`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (idle, waited, of) = (self.idle.as_secs(), self.waited.as_secs(), self.others + 1);
        match self.chosen_by {
            ChosenBy::Arrival if self.selection == Selection::LongestIdle => {
                write!(f, "longest idle ({idle} s) of {of}; waited {waited} s")?;
            }
            ChosenBy::Arrival => {
                write!(f, "{} of {of}; waited {waited} s; idle {idle} s", selected(self.selection))?;
            }
            ChosenBy::Preferred => write!(f, "preferred by the caller; waited {waited} s; idle {idle} s")?,
            ChosenBy::Freed => write!(f, "first of {of} in order; waited {waited} s; idle {idle} s")?,
        }
        if self.points != 0 {
            write!(f, " at {} points", self.points)?;
        }
        match self.relaxed {
            0 => {}
            1 => write!(f, "; needs less by 1 step")?,
            steps => write!(f, "; needs less by {steps} steps")?,
        }
        if self.ringing > 0 {
            write!(f, "; rings beside {} more", self.ringing)?;
        }
        for (i, passed) in self.passed_over.iter().enumerate() {
            write!(f, "{} {passed}", if i == 0 { "; passed over:" } else { "," })?;
        }
        Ok(())
    }
}

fn selected(selection: Selection) -> &'static str {
    match selection {
        Selection::LongestIdle => "longest idle",
        Selection::MostProficient => "most proficient",
        Selection::LeastOccupied => "least occupied",
        Selection::FewestCalls => "fewest calls",
        Selection::LeastTalkTime => "least talk time",
        Selection::RoundRobin => "next in turn",
        Selection::FixedOrder => "first in order",
        Selection::WeightedRandom => "drawn by lot",
    }
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.candidate, &self.why) {
            (Candidate::Agent(agent), WhyNot::Skill(skill)) => write!(f, "agent {agent} lacks \"{skill}\""),
            (Candidate::Work(work), WhyNot::Skill(skill)) => write!(f, "{work} needs \"{skill}\""),
            (Candidate::Agent(agent), WhyNot::RefusedUntil(_)) => write!(f, "agent {agent} refused it lately"),
            (Candidate::Work(work), WhyNot::RefusedUntil(_)) => write!(f, "{work} was refused lately"),
            (Candidate::Agent(agent), WhyNot::Delay(after)) => {
                write!(f, "agent {agent} comes in after {} s", after.as_secs())
            }
            (Candidate::Work(work), WhyNot::Delay(after)) => write!(f, "{work} has not waited {} s", after.as_secs()),
            (Candidate::Agent(agent), WhyNot::Excluded) => write!(f, "agent {agent} is not to have it"),
            (Candidate::Work(work), WhyNot::Excluded) => write!(f, "{work} is not for him"),
            (Candidate::Work(work), WhyNot::Order(order)) => write!(f, "{work} comes {order}. in his profile"),
            (Candidate::Agent(agent), WhyNot::Order(_)) => write!(f, "agent {agent} serves the queue later"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Place;
    use super::super::tests::{center, skills};
    use super::*;
    use crate::center::{Ageing, Membership, RingPlan};
    use crate::ids::{ReservationId, Rng};
    use crate::time::Instant;

    const NOW: Instant = Instant(1_000_000_000_000);

    /// Queues, agents and work that have not been matched yet, unlike in a router at rest.
    struct Scene {
        queues: BTreeMap<QueueId, Queue>,
        agents: BTreeMap<AgentId, Agent>,
        works: BTreeMap<WorkId, Work>,
    }

    fn some_skills(rng: &mut Rng) -> super::super::Skills {
        let has = ["a", "b"].map(|skill| format!("{skill}={}", rng.below(3)));
        has.iter().flat_map(|pair| skills(pair)).filter(|(_, level)| *level > 0).collect()
    }

    fn minutes(n: u64) -> Duration {
        Duration::from_secs(60 * n)
    }

    /// Three queues, each with its own rules.
    fn queues(rng: &mut Rng) -> BTreeMap<QueueId, Queue> {
        let settings = center().queues.into_values().map(|mut queue| {
            queue.selection = Selection::NAMES[rng.below(8) as usize].1;
            queue.strict = rng.chance(0.2);
            queue.ageing = vec![Ageing { after: minutes(3), points: 1 }, Ageing { after: minutes(6), points: 5 }];
            queue.ring = [RingPlan::One, RingPlan::All][rng.below(2) as usize];
            queue
        });
        settings.map(|queue| (queue.id.clone(), Queue::new(&queue, NOW))).collect()
    }

    fn member(rng: &mut Rng) -> Membership {
        let delay = minutes([0, 0, 0, 12, 16][rng.below(5) as usize]);
        Membership { order: 1 + rng.below(2) as u8, delay, weight: 1 }
    }

    fn some_agent(rng: &mut Rng, id: AgentId, names: &[QueueId]) -> Agent {
        let mut agent = Agent::new(&center().agents[&AgentId(11)]);
        (agent.id, agent.idle_since, agent.skills) = (id, Instant(rng.below(4)), some_skills(rng));
        (agent.signed_in, agent.reachable) = (true, rng.chance(0.7));
        for queue in names {
            if rng.chance(0.6) {
                agent.queues.insert(queue.clone(), member(rng));
            }
        }
        agent.refused = (1..9).filter(|_| rng.chance(0.3)).map(|work| (WorkId(work), NOW)).collect();
        (agent.conversations, agent.talked) = (rng.below(3) as u32, minutes(rng.below(3)));
        (agent.last_offer, agent.occupancy) = (rng.below(9), Some(rng.below(3) as i64).filter(|n| *n > 0));
        agent.drawn = names.iter().map(|queue| (queue.clone(), rng.below(3) as i64)).collect();
        agent
    }

    /// Work that waits, rings or is held for somebody; everything is in steps of a minute, so that points and waiting
    /// balance now and then.
    fn some_work(rng: &mut Rng, id: WorkId, queue: &Queue, agents: &BTreeMap<AgentId, Agent>) -> Work {
        let arrived = Instant(NOW.0 - minutes(rng.below(17)).as_nanos() as u64);
        let mut place = Place { arrived, ..Place::new(id, queue.settings.id.clone(), NOW) };
        (place.priority, place.skills) = (rng.below(4) as i32, some_skills(rng));
        place.excluded = (1..9).filter(|_| rng.chance(0.1)).map(AgentId).collect();
        let mut work = Work::new(place, queue, NOW);
        let age = NOW.since(arrived);
        work.aged = queue.settings.ageing.iter().filter(|step| step.after <= age).count();
        work.need.waited = queue.delays.range(..=age).next_back().copied().unwrap_or_default();
        work.rank = queue.rank(&work);
        match rng.below(10) {
            0 => {
                work.offers.insert(ReservationId(id.0));
            }
            1 => work.held = agents.keys().next().map(|id| (*id, NOW + minutes(1))),
            _ => {}
        }
        work
    }

    fn scene(rng: &mut Rng) -> Scene {
        let mut queues = queues(rng);
        let names: Vec<_> = queues.keys().cloned().collect();
        let mut agents: BTreeMap<_, _> =
            (1..=rng.below(9) as u32).map(|id| (AgentId(id), some_agent(rng, AgentId(id), &names))).collect();
        for (queue, member) in agents.values().flat_map(|agent| &agent.queues).filter(|(_, m)| !m.delay.is_zero()) {
            queues.get_mut(queue).unwrap().delays.insert(member.delay);
        }
        let mut works = BTreeMap::new();
        for id in (1..=rng.below(9)).map(WorkId) {
            let queue = queues.get_mut(&names[rng.below(3) as usize]).unwrap();
            let mut work = some_work(rng, id, queue, &agents);
            queue.join(&work);
            queue.stand(&work, &agents);
            if let Some((agent, _)) = work.held {
                let agent = agents.get_mut(&agent).unwrap();
                agent.refused.remove(&id);
                work.place.excluded.remove(&agent.id);
                agent.awaited.insert(work.rank);
                agent.queues.entry(work.place.queue.clone()).or_default();
            }
            works.insert(id, work);
        }
        for agent in agents.values().filter(|agent| agent.reachable) {
            agent.queues.keys().for_each(|queue| queues.get_mut(queue).unwrap().list(agent));
        }
        Scene { queues, agents, works }
    }

    /// The rules again, in other words: from the configuration and bare facts, without classes and ranks.
    fn eligible(agent: &Agent, work: &Work) -> bool {
        let skilled = work.place.skills.iter().all(|(skill, level)| agent.skills.get(skill).unwrap_or(&0) >= level);
        let member = agent.queues.get(&work.place.queue);
        let comes_in = member.is_some_and(|member| NOW.since(work.place.arrived) >= member.delay);
        let free = agent.reachable && !agent.refused.contains_key(&work.id());
        match work.held {
            Some((id, _)) => free && agent.id == id,
            None => free && skilled && comes_in && !work.place.excluded.contains(&agent.id),
        }
    }

    /// Smaller is better.
    fn agents_score(agent: &Agent, work: &Work, queue: &Queue) -> (i64, Instant, AgentId) {
        let needed = work.place.skills.keys().map(|skill| i64::from(*agent.skills.get(skill).unwrap_or(&0)));
        let score = match queue.settings.selection {
            Selection::LongestIdle => 0,
            Selection::MostProficient => 1_000 - needed.sum::<i64>(),
            Selection::LeastOccupied => agent.occupancy.unwrap_or(-1),
            Selection::FewestCalls => agent.conversations.into(),
            Selection::LeastTalkTime => agent.talked.as_secs() as i64,
            Selection::RoundRobin => agent.last_offer as i64,
            Selection::FixedOrder => agent.id.0.into(),
            Selection::WeightedRandom => agent.drawn[&queue.settings.id],
        };
        (score, agent.idle_since, agent.id)
    }

    fn works_score(agent: &Agent, work: &Work, queue: &Queue) -> (bool, u8, i64, i64, Instant, WorkId) {
        let (settings, age) = (&queue.settings, NOW.since(work.place.arrived));
        let aged: i32 = settings.ageing.iter().filter(|step| step.after <= age).map(|step| step.points).sum();
        let points = i64::from(settings.priority + work.place.priority + aged);
        let minutes = work.place.arrived.0 as i64 / 60_000_000_000;
        let (class, score) = if settings.strict { (-points, minutes) } else { (0, minutes - points) };
        let order = agent.queues[&work.place.queue].order;
        (!work.offers.is_empty(), order, class, score, work.place.arrived, work.id())
    }

    #[test]
    fn the_choice_is_what_looking_at_every_pair_finds() {
        let (mut pairs, mut none) = (0, 0);
        for seed in 0..6000 {
            let scene = scene(&mut Rng::from_number(seed));
            let wants =
                |work: &Work| work.offers.is_empty() || scene.queues[&work.place.queue].settings.ring == RingPlan::All;
            for work in scene.works.values() {
                let queue = &scene.queues[&work.place.queue];
                let chosen = agent_for(NOW, work, queue, &scene.agents).map(|choice| choice.agent);
                let all = scene.agents.values().filter(|agent| wants(work) && eligible(agent, work));
                let best = all.min_by_key(|agent| agents_score(agent, work, queue)).map(|agent| agent.id);
                assert_eq!(chosen, best, "seed {seed}, {}", work.id());
                *(if best.is_some() { &mut pairs } else { &mut none }) += 1;
            }
            for agent in scene.agents.values().filter(|agent| agent.reachable) {
                let chosen = work_for(NOW, agent, &scene.queues, &scene.works).map(|choice| choice.work);
                let all = scene.works.values().filter(|work| wants(work) && eligible(agent, work));
                let best = all.min_by_key(|work| works_score(agent, work, &scene.queues[&work.place.queue]));
                assert_eq!(chosen, best.map(Work::id), "seed {seed}, agent {}", agent.id);
            }
        }
        assert!(pairs > 1000 && none > 1000, "{pairs} pairs, {none} without");
    }

    #[test]
    fn an_explanation_reads_as_a_sentence() {
        let passed = |candidate, why| PassedOver { candidate, why };
        let mut explanation = Explanation {
            chosen_by: ChosenBy::Arrival,
            idle: Duration::from_secs(312),
            waited: Duration::from_secs(20),
            selection: Selection::LongestIdle,
            points: 2,
            relaxed: 0,
            ringing: 0,
            others: 4,
            passed_over: vec![
                passed(Candidate::Agent(AgentId(201)), WhyNot::Skill(SkillId::new("french"))),
                passed(Candidate::Agent(AgentId(202)), WhyNot::RefusedUntil(NOW)),
            ],
        };
        let expect = "longest idle (312 s) of 5; waited 20 s at 2 points; \
                      passed over: agent 201 lacks \"french\", agent 202 refused it lately";
        assert_eq!(explanation.to_string(), expect);
        (explanation.chosen_by, explanation.points) = (ChosenBy::Freed, 0);
        explanation.passed_over = vec![passed(Candidate::Work(WorkId(7)), WhyNot::Skill(SkillId::new("french")))];
        let expect = "first of 5 in order; waited 20 s; idle 312 s; passed over: w0-0-7 needs \"french\"";
        assert_eq!(explanation.to_string(), expect);
        (explanation.chosen_by, explanation.selection) = (ChosenBy::Arrival, Selection::MostProficient);
        (explanation.relaxed, explanation.ringing, explanation.points) = (1, 2, 3);
        explanation.passed_over = vec![passed(Candidate::Agent(AgentId(7)), WhyNot::Delay(minutes(1)))];
        let expect = "most proficient of 5; waited 20 s; idle 312 s at 3 points; needs less by 1 step; \
                      rings beside 2 more; passed over: agent 7 comes in after 60 s";
        assert_eq!(explanation.to_string(), expect);
    }

    /// Who is named stood before and was not eligible; nobody who stood before is left out while there is room.
    #[test]
    fn an_explanation_names_who_stood_before() {
        let mut seen = [0; 2];
        for seed in 0..500 {
            let scene = scene(&mut Rng::from_number(seed));
            for work in scene.works.values() {
                let queue = &scene.queues[&work.place.queue];
                let Some(choice) = agent_for(NOW, work, queue, &scene.agents) else { continue };
                if choice.explanation.chosen_by == ChosenBy::Preferred {
                    continue;
                }
                let chosen = agents_score(&scene.agents[&choice.agent], work, queue);
                for passed in &choice.explanation.passed_over {
                    let Candidate::Agent(id) = passed.candidate else { panic!("work passes over agents") };
                    assert!(!eligible(&scene.agents[&id], work), "seed {seed}");
                    seen[0] += 1;
                }
                if queue.settings.selection != Selection::MostProficient {
                    let here = |a: &&Agent| a.reachable && a.queues.contains_key(&work.place.queue);
                    let before = scene.agents.values().filter(here).filter(|a| agents_score(a, work, queue) < chosen);
                    assert_eq!(choice.explanation.passed_over.len(), before.count().min(EXPLAINED), "seed {seed}");
                }
            }
            for agent in scene.agents.values().filter(|agent| agent.reachable) {
                let Some(choice) = work_for(NOW, agent, &scene.queues, &scene.works) else { continue };
                for passed in &choice.explanation.passed_over {
                    let Candidate::Work(id) = passed.candidate else { panic!("an agent passes over work") };
                    let (work, chosen) = (&scene.works[&id], &scene.works[&choice.work]);
                    let later = matches!(passed.why, WhyNot::Order(_));
                    assert!(work.rank < chosen.rank && (later || !eligible(agent, work)), "seed {seed}");
                    seen[1] += 1;
                }
            }
        }
        assert!(seen.iter().all(|n| *n > 100), "{seen:?}");
    }
}
