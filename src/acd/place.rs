//! A place in a queue: what it takes to wait there, and to wait there again.

use super::Skills;
use crate::center::Relaxation;
use crate::ids::{AgentId, QueueId, SkillId, WorkId};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// A skill that nobody has but this agent: how a work asks for one person. `@` cannot be part of a configured skill.
pub fn own_skill(agent: AgentId) -> SkillId {
    SkillId::new(&format!("@{agent}"))
}

/// Whether a skill is one agent's own.
pub(super) fn is_own(skill: &SkillId) -> bool {
    skill.as_str().starts_with('@')
}

/// What `Enqueue` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub work: WorkId,
    pub queue: QueueId,
    /// Points beside the queue's own; one is worth a minute of waiting.
    pub priority: i32,
    /// What an agent must have, before any relaxation.
    pub skills: Skills,
    /// Since when the work counts as waiting: its score and its ageing. May lie before now.
    pub arrived: Instant,
    /// Since when the requirement stands: its relaxation and the time of the preferred agent.
    pub since: Instant,
    /// In place of the queue's own steps.
    #[serde(default)]
    pub relax: Option<Vec<Relaxation>>,
    /// The agent who should have it, for the queue's `preferred_for`.
    #[serde(default)]
    pub preferred: Option<AgentId>,
    /// For this agent alone, who is rung at once whatever he can; by skills and for all when the phone is not answered.
    #[serde(default)]
    pub only: Option<AgentId>,
    /// The queue in which it is for all then, if this one is that agent's only.
    #[serde(default)]
    pub home: Option<QueueId>,
    /// Agents who are not offered it, such as the one who passed it on.
    #[serde(default)]
    pub excluded: BTreeSet<AgentId>,
    /// The place in line that is asked for (from 1), within the work of the same class of priority. Once: a work
    /// that is moved later stands where its points put it.
    #[serde(default)]
    pub position: Option<u32>,
    /// Whoever was let in once, or is sent by an agent, is not turned away because others have come meanwhile: neither
    /// a full line nor a long wait counts.
    #[serde(default)]
    pub admitted: bool,
}

impl Place {
    /// At the end of a queue, for anybody who serves it.
    pub fn new(work: WorkId, queue: QueueId, now: Instant) -> Place {
        Place {
            work,
            queue,
            priority: 0,
            skills: Skills::new(),
            arrived: now,
            since: now,
            relax: None,
            preferred: None,
            only: None,
            home: None,
            excluded: BTreeSet::new(),
            position: None,
            admitted: false,
        }
    }

    /// What the router is asked for: a work for one agent needs the skill that he alone has, and no other: whoever sent it
    /// to him knows what he can.
    pub fn asked(&self) -> Place {
        let skills = self.only.map_or_else(|| self.skills.clone(), |agent| [(own_skill(agent), 1)].into());
        Place { skills, ..self.clone() }
    }

    /// The same place for the same caller, whose agent was lost or did not take him: wait and relaxation go on as if he had
    /// never left. Who was sent to that one agent is for all of the queue that he came from now.
    pub fn again(self, work: WorkId) -> Place {
        let queue = self.home.unwrap_or(self.queue);
        Place { work, queue, position: None, only: None, home: None, admitted: true, ..self }
    }

    /// Another queue for a caller who had waited for `served` when an agent took him and passes him on now: what he
    /// has waited counts, what he has talked does not. The new requirement stands from now on. Skills, priority and
    /// whom to leave out are the caller's to add: `Place { priority, skills, excluded, ..place.dispatched(…) }`.
    pub fn dispatched(&self, work: WorkId, queue: QueueId, served: Duration, now: Instant) -> Place {
        let arrived = Instant(now.0.saturating_sub(u64::try_from(served.as_nanos()).unwrap_or(u64::MAX)));
        Place { arrived, ..Place::new(work, queue, now) }
    }
}
