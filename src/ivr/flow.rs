//! A flow as a checked graph: every step that is named exists, and no caller can be trapped.
//!
//! Made from a flow file; nothing here changes after that.

use super::numerals::Form;
use crate::expr::{Expr, Type, Value};
use crate::ids::{FlowId, QueueId, SkillId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A flow: steps by name, and what is said in them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    pub id: FlowId,
    /// Name of the first step; always one of `steps`.
    pub start: String,
    pub steps: BTreeMap<String, Step>,
    /// BCP 47 tag of the texts that name none, such as `en`.
    pub language: String,
    /// Each text once, in the order of the file.
    pub texts: Vec<PromptText>,
    /// What the flow can remember of a call, with the values at its beginning.
    #[serde(default)]
    pub variables: BTreeMap<String, Value>,
    /// A key that leads to a person from every menu that gives it no other meaning, and the step that it leads to.
    #[serde(default)]
    pub person: Option<(char, String)>,
}

impl Flow {
    /// What callers key in secret is remembered under these names.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.steps.values().filter_map(|step| match step {
            Step::Collect(collect) if collect.secret => Some(collect.into.as_str()),
            _ => None,
        })
    }

    /// Whether anything that it says or decides depends on this name.
    pub fn asks(&self, name: &str) -> bool {
        self.steps.values().any(|step| step.asks(name))
    }

    /// What callers can hear in this flow.
    pub fn prompts(&self) -> &[PromptText] {
        &self.texts
    }
}

/// A text that is heard as a sound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptText {
    /// The sound's name, and its file's: `welcome-3f2a91` (step and hash of language and text), or as given by `sound`.
    pub name: String,
    pub text: String,
    /// BCP 47 tag, such as `en`.
    pub language: String,
}

/// Something that is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Prompt {
    /// Language → sound. At least one.
    Text(BTreeMap<String, String>),
    /// A value in words, put together from recorded pieces.
    Say { of: Expr, form: Form },
    /// The text that belongs to a value, such as a ticket's status.
    Choose { of: Expr, texts: BTreeMap<String, Prompt>, otherwise: Vec<Prompt> },
}

impl Prompt {
    /// Whether what is heard depends on this name.
    pub fn asks(&self, name: &str) -> bool {
        match self {
            Prompt::Text(_) => false,
            Prompt::Say { of, .. } => of.names().contains(&name),
            Prompt::Choose { of, texts, otherwise } => {
                of.names().contains(&name) || texts.values().chain(otherwise).any(|prompt| prompt.asks(name))
            }
        }
    }

    /// A sound that is the same in all languages.
    pub fn sound(name: &str) -> Prompt {
        Prompt::Text(BTreeMap::from([(String::new(), name.to_owned())]))
    }
}

/// One step. All step names in it exist in the flow; all prompts are names of sounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    Play(PlayStep),
    Menu(MenuStep),
    Collect(CollectStep),
    Hours(HoursStep),
    Branch(BranchStep),
    Set(SetStep),
    /// The caller is spoken to in this language from here on.
    Language {
        language: String,
        next: String,
    },
    Lookup(LookupStep),
    Music(MusicStep),
    Banner(BannerStep),
    /// Gives up the place in the queue, if there is one, and goes on.
    Leave {
        next: String,
    },
    /// Goes on at the beginning of another flow; what was remembered stays.
    Flow(FlowId),
    Queue(QueueStep),
    Transfer(TransferStep),
    HangUp(HangUpStep),
}

/// The label of the way from a queue to its treatment.
pub const WAITING: &str = "while waiting";

impl Step {
    fn asks(&self, name: &str) -> bool {
        let depends = |of: &Expr| of.names().contains(&name);
        let says = |prompts: &[Prompt]| prompts.iter().any(|prompt| prompt.asks(name));
        let again = |it: &Repeats| says(&it.invalid) || says(&it.no_input) || it.again.iter().any(|texts| says(texts));
        match self {
            Step::Play(step) => says(&step.prompts),
            Step::Menu(step) => says(&step.prompts) || again(&step.repeats),
            Step::Collect(step) => says(&step.prompts) || says(&step.confirm) || again(&step.repeats),
            Step::Branch(step) => step.cases.iter().any(|(when, _)| depends(when)),
            Step::Set(step) => step.values.iter().chain(&step.attach).any(|(_, of)| depends(of)),
            Step::Lookup(step) => says(&step.meanwhile) || step.with.iter().any(|(_, of)| depends(of)),
            Step::Banner(step) => says(&step.prompts),
            Step::HangUp(step) => says(&step.prompts),
            Step::Hours(_) | Step::Language { .. } | Step::Music(_) | Step::Leave { .. } => false,
            Step::Queue(step) => step.preferred.as_ref().is_some_and(depends),
            Step::Flow(_) | Step::Transfer(_) => false,
        }
    }

    /// The steps of this flow that a caller comes to from here who presses nothing and has waited for nobody.
    pub fn unearned(&self) -> Vec<&str> {
        match self {
            Step::Menu(menu) => vec![&menu.repeats.otherwise],
            Step::Collect(step) => vec![&step.repeats.otherwise],
            Step::Music(_) => Vec::new(),
            Step::Queue(step) => {
                let ends = [&step.full, &step.refused, &step.no_staff, &step.long_wait];
                step.treatment.iter().chain(ends).map(String::as_str).collect()
            }
            _ => self.ways().into_iter().map(|(_, to)| to).collect(),
        }
    }

    /// Every way out of it: when it is taken, and the step that it leads to.
    pub fn ways(&self) -> Vec<(String, &str)> {
        match self {
            Step::Play(PlayStep { next, .. }) | Step::Set(SetStep { next, .. }) | Step::Language { next, .. } => {
                vec![way("", next)]
            }
            Step::Banner(BannerStep { next, .. }) | Step::Leave { next } => vec![way("", next)],
            Step::Menu(menu) => key_ways(&menu.keys).chain([way("otherwise", &menu.repeats.otherwise)]).collect(),
            Step::Collect(step) => vec![way("keyed", &step.next), way("otherwise", &step.repeats.otherwise)],
            Step::Hours(step) => {
                vec![way("open", &step.open), way("closed", &step.closed), way("holiday", &step.holiday)]
            }
            Step::Branch(step) => {
                let cases = step.cases.iter().zip(1..).map(|((_, to), number)| (format!("case {number}"), to.as_str()));
                cases.chain([way("otherwise", &step.otherwise)]).collect()
            }
            Step::Lookup(step) => {
                vec![way("found", &step.found), way("not found", &step.not_found), way("failed", &step.failed)]
            }
            Step::Music(music) => key_ways(&music.keys).chain([way("then", &music.next)]).collect(),
            Step::Queue(step) => {
                let ends = [way("full", &step.full), way("timeout", &step.timeout), way("refused", &step.refused)];
                // By default they are as refused: told apart only where they lead elsewhere.
                let apart = [way("no staff", &step.no_staff), way("long wait", &step.long_wait)];
                let apart = apart.into_iter().filter(|(_, to)| *to != step.refused);
                step.treatment.iter().map(|to| way(WAITING, to)).chain(ends).chain(apart).collect()
            }
            Step::Transfer(step) => vec![way("busy", &step.busy), way("failed", &step.failed)],
            Step::Flow(_) | Step::HangUp(_) => Vec::new(),
        }
    }
}

fn way<'s>(label: &str, to: &'s str) -> (String, &'s str) {
    (label.to_owned(), to)
}

fn key_ways(keys: &BTreeMap<char, String>) -> impl Iterator<Item = (String, &str)> {
    keys.iter().map(|(key, to)| (format!("key {key}"), to.as_str()))
}

/// Says something and goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlayStep {
    /// At least one.
    pub prompts: Vec<Prompt>,
    /// A key stops it and counts in the next menu. Otherwise it is heard to the end and keys are ignored.
    pub interruptible: bool,
    pub next: String,
}

/// What is said when the caller is asked once more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeats {
    /// How often (0 … 10), after a wrong key or none.
    pub most: u32,
    /// Said first after a wrong key. May be empty.
    pub invalid: Vec<Prompt>,
    /// Said first after no key. May be empty.
    pub no_input: Vec<Prompt>,
    /// In place of the first prompts: one entry for each time, the last for all further ones. May be empty.
    pub again: Vec<Vec<Prompt>>,
    /// Where to go when the repeats are used up.
    pub otherwise: String,
}

/// Asks for one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MenuStep {
    /// At least one.
    pub prompts: Vec<Prompt>,
    /// Key (`0`–`9`, `*`, `#`, `A`–`D`) → step. At least one.
    pub keys: BTreeMap<char, String>,
    /// How long a key is waited for after the prompt (1 s … 60 s).
    pub timeout: Duration,
    pub repeats: Repeats,
}

/// Asks for a number of several keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectStep {
    pub prompts: Vec<Prompt>,
    /// The variable that remembers it.
    pub into: String,
    /// Fewest and most keys (1 … 32).
    pub min: u8,
    pub max: u8,
    /// The key that ends it (`#` or `*`), if there is one; without, the time between keys does.
    pub end: Option<char>,
    /// How long the first key is waited for after the prompt (1 s … 60 s).
    pub first: Duration,
    /// … and each further one (500 ms … 60 s).
    pub between: Duration,
    /// Said afterwards; then `yes` takes it, and every other key or none asks anew. Empty: it is not asked.
    pub confirm: Vec<Prompt>,
    pub yes: char,
    /// A PIN or a card: its keys are never written down.
    pub secret: bool,
    pub repeats: Repeats,
    pub next: String,
}

/// Goes where a calendar says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoursStep {
    /// One of the center's.
    pub calendar: String,
    pub open: String,
    pub closed: String,
    pub holiday: String,
}

/// Goes where the first case that is true leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchStep {
    pub cases: Vec<(Expr, String)>,
    pub otherwise: String,
}

/// Remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetStep {
    /// Variable → value.
    pub values: Vec<(String, Expr)>,
    /// What the agent's screen shows of the call: label → value.
    pub attach: Vec<(String, Expr)>,
    pub next: String,
}

/// Asks the ticketing system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupStep {
    /// What is asked, as the ticketing system calls it.
    pub query: String,
    pub with: Vec<(String, Expr)>,
    /// The answer's fields become the variables `into.FIELD`.
    pub into: String,
    pub fields: BTreeMap<String, Type>,
    /// How long one answer is waited for (500 ms … 30 s).
    pub timeout: Duration,
    /// How often it is asked again after a failure or no answer (0 … 5).
    pub retries: u32,
    /// Heard while waiting. May be empty.
    pub meanwhile: Vec<Prompt>,
    pub found: String,
    pub not_found: String,
    pub failed: String,
}

/// Music for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MusicStep {
    /// None: that of the queue the caller waits in; silence where he waits in none.
    pub sound: Option<String>,
    /// 1 s … 1 h.
    pub duration: Duration,
    /// Keys that lead elsewhere meanwhile. May be empty.
    pub keys: BTreeMap<char, String>,
    pub next: String,
}

/// Says something while an announcement is switched on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BannerStep {
    /// One of the center's.
    pub banner: String,
    pub prompts: Vec<Prompt>,
    pub next: String,
}

/// Waits for an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueStep {
    pub queue: QueueId,
    /// Points (−1,000 … 1,000) beside the queue's own; a point is worth one minute of waiting.
    pub priority: i32,
    /// Skill → lowest level (1 … 10) that will do.
    pub skills: BTreeMap<SkillId, u8>,
    /// The number of the agent who should have the caller, for as long as the queue waits for such agents. Whoever is
    /// none is not waited for.
    #[serde(default)]
    pub preferred: Option<Expr>,
    /// The step that the caller is led through from meanwhile, without losing the place. None: the queue's music.
    pub treatment: Option<String>,
    /// Where to go when as many wait as may.
    pub full: String,
    /// Where to go when the queue's longest wait has passed.
    pub timeout: String,
    /// Where to go when the queue does not take the caller for another reason.
    pub refused: String,
    /// Where to go when nobody is at work in the queue.
    pub no_staff: String,
    /// Where to go when the expected wait is longer than the queue allows.
    pub long_wait: String,
}

/// Lets the caller talk with an outside party, called over a trunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferStep {
    /// In the form of E.164, or a short number that a trunk allows.
    pub number: String,
    /// How long the other side may ring (5 s … 5 min).
    pub ring: Duration,
    /// Where to go when the called party is busy.
    pub busy: String,
    /// Where to go when he does not answer, refuses, or no trunk carries the call.
    pub failed: String,
}

/// Says something, if it has prompts, and ends the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HangUpStep {
    pub prompts: Vec<Prompt>,
}

/// Whether `key` is one a telephone has (RFC 4733 §3.2, Table 3, without flash).
pub fn is_key(key: char) -> bool {
    matches!(key, '0'..='9' | '*' | '#' | 'A'..='D')
}
