//! A flow as a checked graph: every step that is named exists, and no caller can be trapped.
//!
//! Made from a flow file; nothing here changes after that.

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
    /// BCP 47 tag of all its texts, such as `en`.
    pub language: String,
    /// Each text once, in the order of the file.
    pub texts: Vec<PromptText>,
}

impl Flow {
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

/// One step. All step names in it exist in the flow; all prompts are names of sounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    Play(PlayStep),
    Menu(MenuStep),
    Queue(QueueStep),
    Transfer(TransferStep),
    HangUp(HangUpStep),
}

/// Says something and goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlayStep {
    /// At least one.
    pub prompts: Vec<String>,
    /// A key stops it and counts in the next menu. Otherwise it is heard to the end and keys are ignored.
    pub interruptible: bool,
    pub next: String,
}

/// Asks for one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MenuStep {
    /// At least one.
    pub prompts: Vec<String>,
    /// Key (`0`–`9`, `*`, `#`, `A`–`D`) → step. At least one.
    pub keys: BTreeMap<char, String>,
    /// How long a key is waited for after the prompt (1 s … 60 s).
    pub timeout: Duration,
    /// How often the menu is offered again (0 … 10) after a wrong key or none.
    pub retries: u32,
    /// Said before the menu's prompt after a wrong key. May be empty.
    pub invalid: Vec<String>,
    /// Said before the menu's prompt after no key. May be empty.
    pub no_input: Vec<String>,
    /// Where to go when the retries are used up.
    pub otherwise: String,
}

/// Waits for an agent, with the queue's music.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueStep {
    pub queue: QueueId,
    /// Points (−1,000 … 1,000) beside the queue's own; a point is worth one minute of waiting.
    pub priority: i32,
    /// Skill → lowest level (1 … 10) that will do.
    pub skills: BTreeMap<SkillId, u8>,
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
    pub prompts: Vec<String>,
}

/// Whether `key` is one a telephone has (RFC 4733 §3.2, Table 3, without flash).
pub fn is_key(key: char) -> bool {
    matches!(key, '0'..='9' | '*' | '#' | 'A'..='D')
}
