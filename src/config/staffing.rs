//! What is allowed, and yet nobody could ever take: queues that no agent serves, skills that none has.

use crate::center::{Agent, Center, Queue, Relaxation, Skills, WrapUp};
use crate::ids::{AgentId, QueueId, SkillId};
use crate::ivr::load::Read;
use crate::written::{Page, Place, Problem, Said, did_you_mean};
use std::collections::BTreeMap;

type Agents = BTreeMap<AgentId, Agent>;

/// In the configuration. `relaxed`: each step of the queues' `relax`, and where it is; `desktops`: whether any can connect.
pub fn of_queues(
    page: &Page<'_>,
    queues: &BTreeMap<QueueId, Said<Queue>>,
    relaxed: &[(Place, Relaxation)],
    agents: &Agents,
    desktops: bool,
) -> Vec<Problem> {
    let unserved = queues.iter().filter(|(id, _)| !agents.values().any(|agent| agent.queues.contains_key(id)));
    let unserved = unserved.map(|(id, queue)| page.problem(&queue.place, format!("no agent serves the queue `{id}`")));
    let unknown = relaxed.iter().flat_map(|(place, step)| {
        let skills = step.remove.iter().chain(step.lower.keys());
        skills.filter_map(move |skill| Some(page.problem(place, unknown(skill, agents)?)))
    });
    let coded = queues.iter().filter(|(_, queue)| !desktops && queue.it.wrap_up == WrapUp::Mandatory);
    let coded = coded.map(|(id, queue)| {
        let message = format!("calls of the queue `{id}` must be coded (`wrap_up_mode`), and no desktop can connect");
        let message = format!("{message}: after his first call an agent gets no other; write [server.cti]");
        page.problem(&queue.place, message)
    });
    unserved.chain(unknown).chain(coded).collect()
}

/// In a flow's steps. That nobody serves a queue at all is told where the queue is.
pub fn of_flow(file: &str, read: &Read, center: &Center) -> Vec<Problem> {
    let mut told = Vec::new();
    for (asked, (line, column)) in &read.asked {
        let mut messages: Vec<String> =
            asked.skills.keys().filter_map(|skill| unknown(skill, &center.agents)).collect();
        if messages.is_empty() {
            messages
                .extend(center.queues.get(&asked.queue).and_then(|queue| unmet(queue, &asked.skills, &center.agents)));
        }
        let at = |message| Problem { file: file.to_owned(), line: *line, column: *column, message };
        told.extend(messages.into_iter().map(at));
    }
    told
}

/// What is to be said if agents serve the queue, and none of them ever meets this.
fn unmet(queue: &Queue, skills: &Skills, agents: &Agents) -> Option<String> {
    let is_served = queue.could_be_served(&Skills::new(), agents.values());
    let is_unmet = is_served && !queue.could_be_served(skills, agents.values());
    let skills: Vec<String> = skills.iter().map(|(skill, level)| format!("{skill} {level}")).collect();
    is_unmet.then(|| format!("no agent of the queue `{}` has what is asked for: {}", queue.id, skills.join(", ")))
}

/// What is to be said of a skill that no agent has.
fn unknown(skill: &SkillId, agents: &Agents) -> Option<String> {
    let known = agents.values().flat_map(|agent| agent.skills.keys()).map(SkillId::as_str);
    let mut known: Vec<&str> = known.collect();
    known.sort_unstable();
    known.dedup();
    let is_unknown = !known.contains(&skill.as_str());
    is_unknown.then(|| format!("no agent has the skill `{skill}`{}", did_you_mean(skill.as_str(), known)))
}
