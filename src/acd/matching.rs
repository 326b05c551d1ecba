//! The choice itself: which agent for this work, which work for this agent, and why.
//!
//! Candidates are pairs (work, agent); a pair is eligible if the agent serves the work's queue, is available, has
//! every required skill at its level, and has not refused this work lately. Agents are taken longest idle first,
//! work in the order over all the agent's queues. Both functions are pure.
//!
//! **Cost**, with C classes of requirement per queue, Q queues of the agent, R refusals that still count:
//! an agent for a work O(log C + R); a work for an agent O(Q · (C + R)). Neither grows with agents or work.

use super::EXPLAINED;
use super::agent::Agent;
use super::queue::{Queue, Rank, Work, lacking};
use crate::ids::{AgentId, QueueId, SkillId, WorkId};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Why this pair: numbers that let a person check the choice afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    pub chosen_by: ChosenBy,
    /// Since the agent's last conversation (see `agent`).
    pub idle: Duration,
    /// Since the work arrived.
    pub waited: Duration,
    /// Points of the queue and the work together; one is worth a minute of waiting.
    pub points: i32,
    /// The other candidates with the same eligible requirement: available agents with the skills (`Arrival`), or
    /// waiting work that he has the skills for (`Freed`). Pairs that rest after a refusal are counted too.
    pub others: u32,
    /// Who stood before the chosen one and was not taken; at most [`super::EXPLAINED`].
    pub passed_over: Vec<PassedOver>,
}

/// Which side of the pair looked for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChosenBy {
    /// The work arrived or came back, and the longest idle agent was taken.
    Arrival,
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
}

/// A pair that was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) work: WorkId,
    pub(super) agent: AgentId,
    pub(super) explanation: Explanation,
}

/// The longest idle of the agents who may take `work` now. `queue` has a class for the work's requirement.
pub(super) fn agent_for(now: Instant, work: &Work, queue: &Queue, agents: &BTreeMap<AgentId, Agent>) -> Option<Choice> {
    let class = queue.classes.get(&work.skills)?;
    let chosen = class.ready.iter().find(|idle| !agents[&idle.1].refused.contains_key(&work.id))?;
    let before = queue.ready.range(..chosen).take(EXPLAINED).map(|(_, id)| &agents[id]);
    let passed_over = before.filter_map(|agent| {
        Some(PassedOver {
            candidate: Candidate::Agent(agent.id),
            why: match agent.refused.get(&work.id) {
                Some(until) => WhyNot::RefusedUntil(*until),
                None => WhyNot::Skill(lacking(&work.skills, &agent.skills)?.clone()),
            },
        })
    });
    let explanation = Explanation {
        chosen_by: ChosenBy::Arrival,
        idle: now.since(chosen.0),
        waited: now.since(work.arrived),
        points: queue.points(work.priority),
        others: class.ready.len() as u32 - 1,
        passed_over: passed_over.collect(),
    };
    Some(Choice { work: work.id, agent: chosen.1, explanation })
}

/// The first work in order that `agent` may take now, over all his queues.
pub(super) fn work_for(
    now: Instant,
    agent: &Agent,
    queues: &BTreeMap<QueueId, Queue>,
    works: &BTreeMap<WorkId, Work>,
) -> Option<Choice> {
    let classes = agent.queues.iter().filter_map(|id| queues.get(id)).flat_map(|queue| &queue.classes);
    let (mut best, mut others, mut passed): (Option<Rank>, usize, Vec<(Rank, WhyNot)>) = (None, 0, Vec::new());
    for (required, class) in classes.filter(|(_, class)| !class.waiting.is_empty()) {
        if let Some(skill) = lacking(required, &agent.skills) {
            passed.extend(class.waiting.first().map(|rank| (*rank, WhyNot::Skill(skill.clone()))));
            continue;
        }
        others += class.waiting.len();
        for rank in &class.waiting {
            let Some(until) = agent.refused.get(&rank.work) else {
                best = Some(best.map_or(*rank, |best| best.min(*rank)));
                break;
            };
            passed.push((*rank, WhyNot::RefusedUntil(*until)));
        }
    }
    let work = &works[&best?.work];
    passed.retain(|(rank, _)| *rank < work.rank);
    passed.sort_by_key(|(rank, _)| *rank);
    let passed_over = passed.into_iter().take(EXPLAINED);
    let explanation = Explanation {
        chosen_by: ChosenBy::Freed,
        idle: now.since(agent.idle_since),
        waited: now.since(work.arrived),
        points: queues[&work.queue].points(work.priority),
        others: others as u32 - 1,
        passed_over: passed_over.map(|(rank, why)| PassedOver { candidate: Candidate::Work(rank.work), why }).collect(),
    };
    Some(Choice { work: work.id, agent: agent.id, explanation })
}

impl fmt::Display for Explanation {
    /// `longest idle (312 s) of 5; waited 20 s at 2 points; passed over: agent 201 lacks "french"`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (idle, waited, of) = (self.idle.as_secs(), self.waited.as_secs(), self.others + 1);
        match self.chosen_by {
            ChosenBy::Arrival => write!(f, "longest idle ({idle} s) of {of}; waited {waited} s")?,
            ChosenBy::Freed => write!(f, "first of {of} in order; waited {waited} s; idle {idle} s")?,
        }
        if self.points != 0 {
            write!(f, " at {} points", self.points)?;
        }
        for (i, passed) in self.passed_over.iter().enumerate() {
            write!(f, "{} {passed}", if i == 0 { "; passed over:" } else { "," })?;
        }
        Ok(())
    }
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.candidate, &self.why) {
            (Candidate::Agent(agent), WhyNot::Skill(skill)) => write!(f, "agent {agent} lacks \"{skill}\""),
            (Candidate::Work(work), WhyNot::Skill(skill)) => write!(f, "{work} needs \"{skill}\""),
            (Candidate::Agent(agent), WhyNot::RefusedUntil(_)) => write!(f, "agent {agent} refused it lately"),
            (Candidate::Work(work), WhyNot::RefusedUntil(_)) => write!(f, "{work} was refused lately"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{center, skills};
    use super::*;
    use crate::ids::Rng;
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

    fn scene(rng: &mut Rng) -> Scene {
        let center = center();
        let names: Vec<_> = center.queues.keys().cloned().collect();
        let mut queues: BTreeMap<_, _> = center.queues.iter().map(|(id, q)| (id.clone(), Queue::new(q))).collect();
        let mut agents = BTreeMap::new();
        for id in (1..=rng.below(9) as u32).map(AgentId) {
            let mut agent = Agent::new(&center.agents[&AgentId(11)]);
            (agent.id, agent.idle_since, agent.skills) = (id, Instant(rng.below(4)), some_skills(rng));
            (agent.signed_in, agent.reachable) = (true, rng.chance(0.7));
            agent.queues = names.iter().filter(|_| rng.chance(0.6)).cloned().collect();
            agent.refused = (1..9).filter(|_| rng.chance(0.3)).map(|work| (WorkId(work), NOW)).collect();
            agents.insert(id, agent);
        }
        let mut works = BTreeMap::new();
        for id in (1..=rng.below(9)).map(WorkId) {
            let name = &names[rng.below(3) as usize];
            let queue = queues.get_mut(name).unwrap();
            // Steps of a minute, so that points and waiting balance now and then.
            let (arrived, priority) = (Instant(rng.below(8) * 60_000_000_000), rng.below(4) as i32);
            let (rank, skills) = (queue.rank(id, arrived, priority), some_skills(rng));
            let offers = Default::default();
            let work = Work { id, queue: name.clone(), priority, skills, arrived, rank, offers, overdue: false };
            queue.join(&work);
            queue.class(&work.skills, &agents).waiting.insert(rank);
            works.insert(id, work);
        }
        for agent in agents.values().filter(|agent| agent.reachable) {
            agent.queues.iter().for_each(|queue| queues.get_mut(queue).unwrap().list(agent));
        }
        Scene { queues, agents, works }
    }

    fn eligible(agent: &Agent, work: &Work) -> bool {
        agent.reachable
            && agent.queues.contains(&work.queue)
            && !agent.refused.contains_key(&work.id)
            && work.skills.iter().all(|(skill, level)| agent.skills.get(skill).unwrap_or(&0) >= level)
    }

    fn arrival_minus_points(scene: &Scene, work: &Work) -> (i64, Instant, WorkId) {
        let points = scene.queues[&work.queue].settings.priority + work.priority;
        (work.arrived.0 as i64 - 60_000_000_000 * i64::from(points), work.arrived, work.id)
    }

    #[test]
    fn the_choice_is_what_looking_at_every_pair_finds() {
        let (mut pairs, mut none) = (0, 0);
        for seed in 0..5000 {
            let scene = scene(&mut Rng::from_number(seed));
            for work in scene.works.values() {
                let chosen = agent_for(NOW, work, &scene.queues[&work.queue], &scene.agents).map(|choice| choice.agent);
                let all = scene.agents.values().filter(|agent| eligible(agent, work));
                let best = all.min_by_key(|agent| (agent.idle_since, agent.id)).map(|agent| agent.id);
                assert_eq!(chosen, best, "seed {seed}, {}", work.id);
                *(if best.is_some() { &mut pairs } else { &mut none }) += 1;
            }
            for agent in scene.agents.values().filter(|agent| agent.reachable) {
                let chosen = work_for(NOW, agent, &scene.queues, &scene.works).map(|choice| choice.work);
                let all = scene.works.values().filter(|work| eligible(agent, work));
                let best = all.min_by_key(|work| arrival_minus_points(&scene, work)).map(|work| work.id);
                assert_eq!(chosen, best, "seed {seed}, agent {}", agent.id);
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
            points: 2,
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
    }

    #[test]
    fn an_explanation_names_who_stood_before() {
        let mut seen = [0; 2];
        for seed in 0..500 {
            let scene = scene(&mut Rng::from_number(seed));
            for work in scene.works.values() {
                let Some(choice) = agent_for(NOW, work, &scene.queues[&work.queue], &scene.agents) else { continue };
                let chosen = &scene.agents[&choice.agent];
                let before =
                    scene.agents.values().filter(|agent| agent.reachable && agent.queues.contains(&work.queue));
                let before = before.filter(|agent| (agent.idle_since, agent.id) < (chosen.idle_since, chosen.id));
                assert_eq!(choice.explanation.passed_over.len(), before.count().min(EXPLAINED), "seed {seed}");
                seen[0] += choice.explanation.passed_over.len();
            }
            for agent in scene.agents.values().filter(|agent| agent.reachable) {
                let Some(choice) = work_for(NOW, agent, &scene.queues, &scene.works) else { continue };
                for passed in &choice.explanation.passed_over {
                    let Candidate::Work(id) = passed.candidate else { panic!("an agent passes over work") };
                    let work = &scene.works[&id];
                    assert!(work.rank < scene.works[&choice.work].rank && !eligible(agent, work), "seed {seed}");
                    seen[1] += 1;
                }
            }
        }
        assert!(seen.iter().all(|n| *n > 100), "{seen:?}");
    }
}
