//! What may be asked of the engine, by whom, and why it may be refused.
//!
//! A command is imperative and always carries an authenticated actor. Phones' short codes, signals of
//! the operating system and desktops (gRPC) all come through this one door.

use crate::center::Center;
pub use crate::ids::is_code;
use crate::ids::{AgentId, CallId, LeadId, QueueId, SkillId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

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
    /// Take calls. Ends wrap-up that he may end and lifts a penalty for calls not answered. An agent asks for himself only.
    Ready { agent: AgentId },
    /// Take no calls, after the present one. An agent asks for himself only.
    NotReady { agent: AgentId, reason: String },
    /// Time for notes after the present talk (none: the queue's), or so much more of it. An agent asks for himself only.
    MoreTime { agent: AgentId, time: Duration },
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
    /// Switch an announcement on or off. Lasts over restarts. Operator only.
    Banner { banner: String, on: bool },
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

/// Why a command was refused. Nothing was changed, but for `Defect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    NotAllowed,
    NoSuchAgent,
    /// No such call runs, or none to which the command can refer.
    NoSuchCall,
    NoSuchBanner,
    /// It runs, and is another agent's.
    NotYours,
    NoSuchQueue,
    /// What is on hold cannot be held, and what is not cannot be retrieved; nor is there time for notes where the queue
    /// gives none, or no other.
    WrongState,
    /// The last call must be coded first.
    NotCoded,
    /// The phone holds the call: only the phone can retrieve it.
    HeldByPhone,
    AgentNotAvailable,
    /// The queue is full, or nobody who serves it has what the call needs.
    QueueRefuses,
    /// No way leads to this number.
    NoRoute,
    /// The phone cannot be told to answer.
    PhoneCannot,
    /// We were wrong: the call that it was about has ended, the rest goes on.
    Defect,
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
            Refusal::WrongState => "that cannot be done with the call as it is",
            Refusal::NotCoded => "the last call must be coded first: dispose of it",
            Refusal::HeldByPhone => "the phone holds the call: retrieve it there",
            Refusal::AgentNotAvailable => "the agent cannot be rung now",
            Refusal::QueueRefuses => "the queue is full, or nobody could ever serve the call there",
            Refusal::NoSuchBanner => "there is no such announcement",
            Refusal::NoRoute => "no way leads to this number",
            Refusal::PhoneCannot => "the phone cannot be told to answer",
            Refusal::Defect => "Tierline failed at this, and has ended the call that it was about",
            Refusal::Invalid(what) => what,
        }
    }
}

/// Bytes of an attached value.
pub const MAX_VALUE: usize = 1_000;
/// Names that may be attached to one call.
pub const MAX_NAMES: usize = 64;
/// Characters of notes.
pub const MAX_NOTES: usize = 2_000;
/// How long an agent may ask to write notes.
const LONGEST_NOTES: Duration = Duration::from_secs(3_600);
/// Skills that a dispatch may ask for.
pub const MAX_SKILLS: usize = 16;

impl Command {
    /// Whether the actor may ask this at all, and whether it can be meant.
    pub fn allowed(&self, center: &Center) -> Result<(), Refusal> {
        let for_agent = match &self.ask {
            Ask::Ready { agent }
            | Ask::NotReady { agent, .. }
            | Ask::MoreTime { agent, .. }
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
            Ask::MoreTime { time, .. } if *time > LONGEST_NOTES => {
                Err(Refusal::Invalid("time for notes is up to an hour"))
            }
            _ => Ok(()),
        }
    }
}

/// Whether the agent serves a queue of the lead.
pub fn leads(center: &Center, lead: &LeadId, agent: AgentId) -> bool {
    let (queues, agent) = (center.leads.get(lead), center.agents.get(&agent));
    queues.zip(agent).is_some_and(|(queues, agent)| agent.queues.keys().any(|queue| queues.contains(queue)))
}

impl Verb {
    fn can_be_meant(&self) -> Result<(), Refusal> {
        let wrong = match self {
            Verb::ToNumber(number) if !is_number(number) => {
                "a number is up to 15 digits, perhaps with a plus before them"
            }
            Verb::Attach(data) if data.is_empty() || data.len() > MAX_NAMES => "attach 1 to 64 names",
            Verb::Attach(data) if !data.keys().all(|name| is_code(name)) => {
                "a name is 1 to 64 of a-z, 0-9, \"_\", \".\" and \"-\""
            }
            Verb::Attach(data) if data.values().any(|value| value.len() > MAX_VALUE) => "a value has up to 1,000 bytes",
            Verb::Dispose { disposition, .. } if !is_code(disposition) => {
                "a disposition is a code of 1 to 64 of a-z, 0-9, \"_\", \".\" and \"-\"; what else is to be said goes into notes"
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

/// ITU-T E.164: up to 15 digits. Separators would be another spelling of what may be forbidden.
fn is_number(number: &str) -> bool {
    let digits = number.strip_prefix('+').unwrap_or(number);
    (1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::center::{Agent, Limits, Membership, ShortCodes};
    use std::collections::BTreeSet;
    use std::time::Duration;

    /// Ada (1) does `general`, Ben (2) `technical`; Lena leads `general`.
    fn center() -> Center {
        let agent = |id: u32, queue: &str| {
            let (user, queues) = (id.to_string(), [(QueueId::new(queue), Membership::default())].into());
            let (number, confirm, skills) = (None, false, BTreeMap::new());
            Agent { id: AgentId(id), name: user.clone(), user, queues, skills, number, confirm }
        };
        let text = String::new;
        Center {
            trunks: BTreeMap::new(),
            name: text(),
            domains: Vec::new(),
            time_zone: text(),
            language: text(),
            lines: BTreeMap::new(),
            queues: BTreeMap::new(),
            agents: [agent(1, "general"), agent(2, "technical")].map(|agent| (agent.id, agent)).into(),
            leads: BTreeMap::from([(LeadId::new("lena"), BTreeSet::from([QueueId::new("general")]))]),
            reasons: BTreeMap::new(),
            codes: ShortCodes {
                ready: text(),
                not_ready: text(),
                ready_sound: text(),
                not_ready_sound: text(),
                confirm_sound: text(),
            },
            limits: Limits {
                calls: 1,
                silence: Duration::ZERO,
                drain: Duration::ZERO,
                strangers: 1,
                strangers_per_address: 1,
            },
            hours: BTreeMap::new(),
            zones: BTreeMap::new(),
            banners: BTreeMap::new(),
        }
    }

    #[test]
    fn agents_ask_for_themselves_leads_for_theirs_and_operators_for_all() {
        let center = center();
        let check = |actor: &Actor, ask: Ask, expect| {
            assert_eq!(Command { actor: actor.clone(), ask }.allowed(&center), expect);
        };
        let (one, two) = (AgentId(1), AgentId(2));
        let (ada, lena, nobody) =
            (Actor::Agent(one), Actor::Lead(LeadId::new("lena")), Actor::Lead(LeadId::new("nobody")));
        let no = || Err(Refusal::NotAllowed);
        check(&ada, Ask::Ready { agent: one }, Ok(()));
        check(&ada, Ask::Ready { agent: two }, no());
        check(&ada, Ask::NotReady { agent: two, reason: String::new() }, no());
        check(&ada, Ask::Serve { agent: one, call: None, verb: Verb::Hold }, Ok(()));
        check(&ada, Ask::Serve { agent: two, call: None, verb: Verb::Hold }, no());
        check(&ada, Ask::EndCall { call: CallId(1) }, no());
        check(&ada, Ask::Drain, no());
        check(&ada, Ask::DeskLost { agent: one }, no());
        let more = |agent, seconds| Ask::MoreTime { agent, time: Duration::from_secs(seconds) };
        check(&ada, more(one, 3_600), Ok(()));
        check(&ada, more(two, 60), no());
        assert!(matches!(
            Command { actor: ada.clone(), ask: more(one, 3_601) }.allowed(&center),
            Err(Refusal::Invalid(_))
        ));
        check(&lena, Ask::Ready { agent: one }, Ok(()));
        check(&lena, Ask::LogOut { agent: two }, no());
        check(&lena, Ask::EndAll, no());
        check(&nobody, Ask::Ready { agent: one }, no());
        check(&Actor::Operator, Ask::Drain, Ok(()));
        check(&Actor::Operator, Ask::Ready { agent: two }, Ok(()));
    }

    #[test]
    fn values_that_cannot_be_meant_are_refused() {
        let check = |verb: Verb, good: bool| {
            let ask = Ask::Serve { agent: AgentId(1), call: None, verb: verb.clone() };
            let allowed = Command { actor: Actor::Operator, ask }.allowed(&center());
            assert_eq!(allowed.is_ok(), good, "{verb:?}: {allowed:?}");
        };
        let data = |name: &str, value: &str| Verb::Attach([(name.to_owned(), value.to_owned())].into());
        check(data("a.b-c_9", &"x".repeat(MAX_VALUE)), true);
        check(data("a", &"x".repeat(MAX_VALUE + 1)), false);
        check(data("", "x"), false);
        check(data("Name", "x"), false);
        check(Verb::Attach(BTreeMap::new()), false);
        for (number, good) in
            [("+4940123456", true), ("0401234", true), ("+49-900-1", false), ("+", false), ("", false)]
        {
            check(Verb::ToNumber(number.to_owned()), good);
        }
        check(Verb::ToNumber("1".repeat(16)), false);
        let dispose =
            |word: &str, notes: usize| Verb::Dispose { disposition: word.to_owned(), notes: "ö".repeat(notes) };
        check(dispose("solved", MAX_NOTES), true);
        check(dispose("solved", MAX_NOTES + 1), false);
        check(dispose("", 0), false);
        check(dispose("Mrs Müller has cancer", 0), false);
        let dispatch = |skill: &str, level, priority| {
            let skills = BTreeMap::from([(SkillId::new(skill), level)]);
            Verb::Dispatch { queue: QueueId::new("q"), skills, priority }
        };
        check(dispatch("french", 10, 1000), true);
        check(dispatch("french", 0, 0), false);
        check(dispatch("french", 1, 1001), false);
        check(dispatch("@1001", 1, 0), false);
    }
}
