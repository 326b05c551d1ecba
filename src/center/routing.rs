//! What the router goes by: queues, agents, and the rules between them.

use super::trunk::is_meant;
use crate::ids::{AgentId, QueueId, SkillId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Skill → level 1 (lowest) … 10: what an agent has, or the least that a work needs of each.
pub type Skills = BTreeMap<SkillId, u8>;

/// Where work waits for an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    pub id: QueueId,
    /// How long one agent's phone rings before the next agent is tried (1 s … 5 min).
    pub ring_timeout: Duration,
    /// Whom of those who may take a work it is offered to first.
    pub selection: Selection,
    /// How many phones ring for one work.
    pub ring: RingPlan,
    /// The agent's time for notes after a call of this queue.
    pub wrap_up: WrapUp,
    /// How many may wait (1 … 100,000); one more is refused by the flow's `full` branch.
    pub max_waiting: u32,
    /// How long a caller may wait (10 s … 24 h) before the flow's `timeout` branch.
    pub max_wait: Duration,
    /// Who would wait longer than this by the estimate goes to the flow's `long_wait` branch on arrival.
    pub max_expected_wait: Option<Duration>,
    /// When nobody has been at work here for so long, who waits and who comes goes to the flow's `no_staff` branch.
    pub no_staff_after: Option<Duration>,
    /// Points added to each work of this queue (−1,000 … 1,000); a point is worth one minute of waiting.
    pub priority: i32,
    /// Work of more points comes first however long the others have waited.
    pub strict: bool,
    /// Points that come with waiting, by `after`, rising.
    pub ageing: Vec<Ageing>,
    /// How the requirement of a work changes with waiting, in the order of being applied.
    pub relax: Vec<Relaxation>,
    /// For so long a work waits for the agent it prefers, if he is at work (0 … 1 h).
    pub preferred_for: Duration,
    /// The same agent is not offered the same work again before this has passed (0 … 1 h).
    pub retry_same_agent: Duration,
    /// Name of the sound heard while waiting and while the agent's phone rings.
    pub music: String,
    /// Waits shorter than this count as short abandons when the caller hangs up (0 … 5 min).
    pub short_abandon: Duration,
    /// T of the service level: who is answered within this was answered in time (1 s … 1 h).
    pub target: Duration,
    /// Outside numbers that agents may send callers of this queue to: with +, what they begin with; without, whole numbers.
    #[serde(default)]
    pub transfers: Vec<String>,
}

impl Queue {
    /// Whether any of `agents`, at work or not, could serve here what needs these skills, if not at once then after the
    /// last step of relaxation.
    pub fn could_be_served<'a>(&self, skills: &Skills, agents: impl IntoIterator<Item = &'a Agent>) -> bool {
        let least = self.relax.iter().fold(skills.clone(), |skills, step| step.apply(&skills));
        let meets = |agent: &Agent| least.iter().all(|(skill, level)| agent.skills.get(skill) >= Some(level));
        agents.into_iter().any(|agent| agent.queues.contains_key(&self.id) && meets(agent))
    }

    /// A queue with every setting at its default.
    pub fn named(id: QueueId) -> Queue {
        Queue {
            id,
            ring_timeout: Duration::from_secs(20),
            selection: Selection::LongestIdle,
            ring: RingPlan::One,
            wrap_up: WrapUp::Optional(Duration::from_secs(10)),
            max_waiting: 1_000,
            max_wait: Duration::from_secs(1_800),
            max_expected_wait: None,
            no_staff_after: None,
            priority: 0,
            strict: false,
            ageing: Vec::new(),
            relax: Vec::new(),
            preferred_for: Duration::from_secs(30),
            retry_same_agent: Duration::from_secs(60),
            music: "hold-music".to_owned(),
            short_abandon: Duration::from_secs(5),
            target: Duration::from_secs(20),
            transfers: Vec::new(),
        }
    }

    /// Whether an agent may send its callers to this number, as far as the queue says.
    pub fn may_send_to(&self, number: &str) -> bool {
        self.transfers.iter().any(|entry| is_meant(entry, number))
    }
}

/// Whom, of the available agents who meet the requirement. Ties: longest idle, then the lower number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Selection {
    LongestIdle,
    /// The highest sum of levels of the skills that the work needs.
    MostProficient,
    /// Who talked for the least share of the last hour or so, older time counting less.
    LeastOccupied,
    /// Who had the fewest conversations since he signed in.
    FewestCalls,
    /// Who talked least since he signed in.
    LeastTalkTime,
    /// Who was offered something longest ago.
    RoundRobin,
    /// The lowest number.
    FixedOrder,
    /// By lot, each with the weight of his membership.
    WeightedRandom,
}

impl Selection {
    /// Each with its name in configuration files.
    pub const NAMES: [(&str, Selection); 8] = [
        ("longest_idle", Selection::LongestIdle),
        ("most_proficient", Selection::MostProficient),
        ("least_occupied", Selection::LeastOccupied),
        ("fewest_calls", Selection::FewestCalls),
        ("least_talk_time", Selection::LeastTalkTime),
        ("round_robin", Selection::RoundRobin),
        ("fixed_order", Selection::FixedOrder),
        ("weighted_random", Selection::WeightedRandom),
    ];
}

/// How many phones ring for one work. Whoever answers first has it, the others stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RingPlan {
    One,
    /// Up to so many at once (2 … 100).
    Several(u32),
    /// Every available agent who may take it.
    All,
    /// One; after each `every` without an answer one more beside them, up to `most`.
    Progressive {
        every: Duration,
        most: u32,
    },
}

/// The agent's time for notes after a call. `Done` (the call is coded) ends any of them, and one that
/// comes in the talk leaves none that must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WrapUp {
    None,
    /// So long; `Ready` ends it too; may be extended.
    Optional(Duration),
    /// Until `Done`.
    Mandatory,
    /// Until `Done`, at most so long.
    Limited(Duration),
    /// Only if the agent asks for it during the call, and then as `Optional`.
    OnRequest(Duration),
}

/// Points that come with waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ageing {
    /// Since the work's arrival (wait served elsewhere included).
    pub after: Duration,
    /// Added to those it has (−1,000 … 1,000).
    pub points: i32,
}

/// One step of relaxing a requirement. A step that nobody at work could serve is skipped for the first later one
/// that somebody could, if there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relaxation {
    /// Since the requirement was given.
    pub after: Duration,
    /// Only if the expected wait is longer than this when its time has come; otherwise it is passed over.
    #[serde(default)]
    pub if_expected_wait: Option<Duration>,
    /// No longer needed.
    pub remove: Vec<SkillId>,
    /// Needed at this level at most; skills that are not needed stay so.
    pub lower: Skills,
}

impl Relaxation {
    /// The requirement after this step.
    pub fn apply(&self, skills: &Skills) -> Skills {
        let kept = skills.iter().filter(|(skill, _)| !self.remove.contains(skill));
        kept.map(|(skill, level)| (skill.clone(), self.lower.get(skill).map_or(*level, |low| *level.min(low))))
            .collect()
    }
}

/// Somebody who takes calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    pub id: AgentId,
    /// The user name the phone registers with.
    pub user: String,
    /// Personal: shown to people, never logged.
    pub name: String,
    pub queues: BTreeMap<QueueId, Membership>,
    pub skills: Skills,
    /// Where he is called over a trunk while none of his phones is there, in the form of E.164. He counts as signed in.
    #[serde(default)]
    pub number: Option<String>,
    /// Whether he must press 1 before a call that reached his number is his: a voicemail presses nothing.
    #[serde(default)]
    pub confirm: bool,
}

/// How an agent serves one of his queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Work of queues with a lower number comes first for him (1 … 10); within one number the oldest work.
    pub order: u8,
    /// He is offered work that has waited so long, not sooner (0 … 1 h).
    pub delay: Duration,
    /// His share where agents are chosen by lot (1 … 100).
    pub weight: u8,
}

impl Default for Membership {
    fn default() -> Membership {
        Membership { order: 1, delay: Duration::ZERO, weight: 1 }
    }
}

/// Why an agent may be not ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotReadyReason {
    /// Dialed behind the code for "not ready".
    pub digit: Option<char>,
    /// He works meanwhile: training, mail. Counted apart from breaks.
    pub productive: bool,
}
