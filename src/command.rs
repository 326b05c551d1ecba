//! What may be asked of the engine, by whom, and why it may be refused.
//!
//! A command is imperative and always carries an authenticated actor. Phones' short codes, signals of
//! the operating system and desktops (gRPC) all come through this one door.

use crate::center::Center;
use crate::ids::{AgentId, CallId, LeadId, QueueId, SkillId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One request with the one who asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    pub actor: Actor,
    pub ask: Ask,
}

/// Who asks. Authenticated before the command is made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Actor {
    Agent(AgentId),
    /// Somebody who leads the agents of some queues.
    Lead(LeadId),
    /// Whoever runs the process.
    Operator,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Ask {
    /// Take calls. Ends wrap-up and lifts a penalty for calls not answered. An agent asks for himself only.
    Ready { agent: AgentId },
    /// Take no calls, after the present one. An agent asks for himself only.
    NotReady { agent: AgentId, reason: String },
    /// The agent sits down at a desktop. An agent asks for himself only.
    LogIn { agent: AgentId },
    /// The agent leaves it: a break, until he asks to be ready. An agent asks for himself only.
    LogOut { agent: AgentId },
    /// The desktop of an agent who has logged in there is not heard of: a break, until it is. The shell asks.
    DeskLost { agent: AgentId },
    /// It is heard of again. The shell asks.
    DeskBack { agent: AgentId },
    /// Something about a call of the agent; none named: the one that the verb can mean. An agent asks for himself only.
    Serve { agent: AgentId, call: Option<CallId>, verb: Verb },
    /// End a call. Operator only.
    EndCall { call: CallId },
    /// End every call at once. Operator only.
    EndAll,
    /// Take no new calls; end the running ones when `limits.drain` has passed. Operator only.
    Drain,
}

/// What an agent does with a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Verb {
    HangUp,
    /// The caller hears music, the agent nothing.
    Hold,
    Retrieve,
    /// Keep data with the call, by name. Also after it.
    Attach(BTreeMap<String, String>),
    /// Send the caller to a queue, with the wait that he has served already, and let the agent go.
    Dispatch {
        queue: QueueId,
        skills: BTreeMap<SkillId, u8>,
        priority: i32,
    },
    /// Send the caller to another agent, who is rung at once.
    ToAgent(AgentId),
    /// Send the caller to a number outside.
    ToNumber(String),
    /// Code the call. After it, that ends wrap-up.
    Dispose {
        disposition: String,
        notes: String,
    },
    /// Answer the ringing phone.
    Answer,
}

/// Why a command was refused. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    NotAllowed,
    NoSuchAgent,
    /// No such call runs, or none to which the command can refer.
    NoSuchCall,
    /// It runs, and is another agent's.
    NotYours,
    NoSuchQueue,
    /// What is on hold cannot be held, and what is not cannot be retrieved.
    WrongState,
    /// The phone holds the call: only the phone can retrieve it.
    HeldByPhone,
    AgentNotAvailable,
    /// The queue is full.
    QueueRefuses,
    /// No way leads to this number.
    NoRoute,
    /// The phone cannot be told to answer.
    PhoneCannot,
    /// A value is missing, too long or not allowed.
    Invalid(&'static str),
}

impl Refusal {
    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            Refusal::NotAllowed => "you may not ask this",
            Refusal::NoSuchAgent => "there is no such agent",
            Refusal::NoSuchCall => "there is no such call",
            Refusal::NotYours => "the call is another agent's",
            Refusal::NoSuchQueue => "there is no such queue",
            Refusal::WrongState => "the call is on hold already, or is not",
            Refusal::HeldByPhone => "the phone holds the call: retrieve it there",
            Refusal::AgentNotAvailable => "the agent cannot be rung now",
            Refusal::QueueRefuses => "the queue is full",
            Refusal::NoRoute => "no way leads to this number",
            Refusal::PhoneCannot => "the phone cannot be told to answer",
            Refusal::Invalid(what) => what,
        }
    }
}

/// Bytes of an attached value.
pub const MAX_VALUE: usize = 1_000;
/// Names that may be attached to one call.
pub const MAX_NAMES: usize = 64;
/// Characters of a disposition, and of a name.
pub const MAX_WORD: usize = 64;
/// Characters of notes.
pub const MAX_NOTES: usize = 2_000;
/// Skills that a dispatch may ask for.
pub const MAX_SKILLS: usize = 16;

impl Command {
    /// Whether the actor may ask this at all, and whether it can be meant.
    pub fn allowed(&self, center: &Center) -> Result<(), Refusal> {
        let for_agent = match &self.ask {
            Ask::Ready { agent }
            | Ask::NotReady { agent, .. }
            | Ask::LogIn { agent }
            | Ask::LogOut { agent }
            | Ask::Serve { agent, .. } => Some(*agent),
            _ => None,
        };
        match (&self.actor, for_agent) {
            (Actor::Operator, _) => {}
            (Actor::Agent(who), Some(agent)) if *who == agent => {}
            (Actor::Lead(lead), Some(agent)) if leads(center, lead, agent) => {}
            _ => return Err(Refusal::NotAllowed),
        }
        match &self.ask {
            Ask::Serve { verb, .. } => verb.can_be_meant(),
            _ => Ok(()),
        }
    }
}

/// Whether the agent serves a queue of the lead.
pub fn leads(center: &Center, lead: &LeadId, agent: AgentId) -> bool {
    let (queues, agent) = (center.leads.get(lead), center.agents.get(&agent));
    queues.zip(agent).is_some_and(|(queues, agent)| !queues.is_disjoint(&agent.queues))
}

impl Verb {
    fn can_be_meant(&self) -> Result<(), Refusal> {
        let wrong = match self {
            Verb::Attach(data) if data.is_empty() || data.len() > MAX_NAMES => "attach 1 to 64 names",
            Verb::Attach(data) if !data.keys().all(|name| is_data_name(name)) => {
                "a name is 1 to 64 of a-z, 0-9, \"_\", \".\" and \"-\""
            }
            Verb::Attach(data) if data.values().any(|value| value.len() > MAX_VALUE) => "a value has up to 1,000 bytes",
            Verb::Dispose { disposition, .. } if !(1..=MAX_WORD).contains(&disposition.chars().count()) => {
                "a disposition has 1 to 64 characters"
            }
            Verb::Dispose { notes, .. } if notes.chars().count() > MAX_NOTES => "notes have up to 2,000 characters",
            Verb::Dispatch { skills, .. } if skills.len() > MAX_SKILLS => "a dispatch asks for up to 16 skills",
            Verb::Dispatch { skills, .. } if !skills.values().all(|level| (1..=10).contains(level)) => {
                "a skill's level is 1 to 10"
            }
            Verb::Dispatch { skills, .. } if skills.keys().any(|skill| skill.as_str().starts_with('@')) => {
                "a skill's name does not begin with \"@\""
            }
            Verb::Dispatch { priority, .. } if !(-1000..=1000).contains(priority) => "priority is -1000 to 1000",
            _ => return Ok(()),
        };
        Err(Refusal::Invalid(wrong))
    }
}

fn is_data_name(name: &str) -> bool {
    let known = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-');
    (1..=MAX_WORD).contains(&name.len()) && name.bytes().all(known)
}
