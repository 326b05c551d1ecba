//! The choice itself: which agent for this work, which work for this agent, and why.

use crate::ids::{AgentId, SkillId, WorkId};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
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
    /// Available agents of the queue with the skills (`Arrival`), or other work that he could have taken (`Freed`).
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
