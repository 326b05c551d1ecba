//! Leads a caller through flows: one step per input; knows no call and no audio.
//!
//! A [`Run`] is one caller's way. It holds names, never a flow itself, so it can be written down, and a changed flow can
//! be put under a running caller: if the caller's step is gone, the run ends with [`Cause::StepGone`]. What it may look
//! at comes with each input as a [`Scene`]: the time too, so the same inputs always lead the same way.
//!
//! ```text
//!            Start                     PlayFinished / Digit
//!  (new) ───────────▶ play ─────────────────────────────────▶ next step
//!                     menu: playing ──PlayFinished──▶ listening ──Digit──▶ the key's step
//!                            ▲  └──────────Digit (stops the prompt)──────▶    "
//!                            └── again: no key, or a wrong one, up to `retries` times; then `otherwise`
//!                     collect: the same, until the number is whole; `confirm` is a turn of its own
//!                     lookup: waits ──LookedUp, Timeout──▶ found, not_found, failed; after a pause once more
//!                     music: plays ──Timeout, Digit──▶ next, the key's step
//!                     hours, branch, set, language, banner that is off, leave, flow: at once
//!                     queue ──Full, TimedOut, Refused──▶ its branches;   Answered ──▶ talking ──WaitsAgain──▶ queue
//!                     transfer ──Busy, Failed──▶ its branches
//!                     hang_up ──PlayFinished──▶ (over)
//! ```
//!
//! While the caller waits in a queue the run goes on through the queue's treatment, if it has one, and may leave for
//! another choice at any time; [`Input::QueueResult`] ends the treatment whatever it is at.
//!
//! A key pressed during an interruptible `play` skips what is said on the way to the next question and counts there.
//! Keys pressed during other prompts and where nothing is asked are ignored.
//!
//! Left out so far: dates in words, free text that is spoken while a call runs.

mod asking;
pub mod drawing;
pub mod flow;
pub mod load;
mod looking;
pub mod numerals;
pub mod rehearsal;
mod scene;
mod walk;

pub use flow::{
    BannerStep, BranchStep, CollectStep, Flow, HangUpStep, HoursStep, LookupStep, MenuStep, MusicStep, PlayStep,
    Prompt, PromptText, QueueStep, Repeats, SetStep, Step, TransferStep,
};
pub use scene::{EXPECTED, Facts, Scene, Wait, known};

use crate::expr::Value;
use crate::ids::{AgentId, FlowId, QueueId, SkillId};
use crate::time::Instant;
use looking::Looking;
use scene::Told;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// What a run is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Once, first.
    Start,
    /// All sounds of the [`Output::Play`] with this token have been heard. Other tokens are ignored.
    PlayFinished { token: u64 },
    /// The caller pressed `0`–`9`, `*`, `#` or `A`–`D`. Anything else is ignored.
    Digit(char),
    /// How the waiting that [`Output::Queue`] asked for went on.
    QueueResult(QueueResult),
    /// The agent is gone, has sent the caller on, or did not take him whom another one had sent: he waits again, in this
    /// queue.
    WaitsAgain { queue: QueueId },
    /// The caller has a place in the queue: the treatment begins.
    Waits,
    /// The answer to the [`Output::LookUp`] with this number. Other numbers are ignored.
    LookedUp { id: u64, found: Found },
    /// The outside party that [`Output::Transfer`] asked for was not reached.
    TransferResult(TransferResult),
    /// The deadline has come.
    Timeout,
}

/// Why a transfer came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransferResult {
    Busy,
    Failed,
}

/// How waiting in a queue ended for the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueueResult {
    /// As many wait as may: `full`.
    Full,
    /// The queue's longest wait has passed: `timeout`.
    TimedOut,
    /// The queue does not take the caller for another reason, such as being unknown by now: `refused`.
    Refused,
    /// Nobody is at work in the queue: `no_staff`.
    NoStaff,
    /// The expected wait is longer than the queue allows: `long_wait`.
    LongWait,
    /// An agent and the caller talk. Nothing more is asked for, unless the caller has to wait again.
    Answered,
}

/// What the ticketing system said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// Field → value, as text.
    Fields(BTreeMap<String, String>),
    Nothing,
    /// Nobody there, too slow, or in trouble: it may be asked again.
    Failed,
    /// Never answered, however often it is asked.
    Refused,
}

/// What a run asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Answer the call. Once, before everything else.
    Answer,
    /// The caller is at this step now. Nothing to do but to tell.
    Entered { flow: FlowId, step: String },
    /// A turn of the present question came to nothing. With `again` it is asked once more. Nothing to do but to tell.
    NothingChosen { why: NoChoice, again: bool },
    /// Which way the present step went, by no key of the caller. Nothing to do but to tell.
    Went { flow: FlowId, step: String, way: Way },
    /// The caller wants a person and pressed the flow's key for it. Nothing to do but to tell.
    PersonAsked,
    /// Play these sounds one after another, replacing what plays; then say [`Input::PlayFinished`].
    Play { prompts: Vec<String>, token: u64, interruptible: bool },
    /// Let the caller hear this until something else is asked for.
    Music(Music),
    /// Stop what plays. No `PlayFinished` is expected for it (one that comes is ignored).
    StopPlaying,
    /// Put the caller into this queue; then say [`Input::QueueResult`]. Who waits there already keeps his place; who waits in
    /// another one leaves it, and what he has waited counts. Skills are the lowest levels that will do; `preferred` has
    /// him first, if he is there.
    Queue { queue: QueueId, priority: i32, skills: BTreeMap<SkillId, u8>, preferred: Option<AgentId> },
    /// Take the caller out of the queue. No result is expected.
    Leave,
    /// Ask the ticketing system; then say [`Input::LookedUp`]. The parameters are personal.
    LookUp { id: u64, query: String, with: BTreeMap<String, String>, timeout: Duration },
    /// Show this beside the call. The value is personal.
    Attach { label: String, value: String },
    /// Call this outside number for the caller, ringing no longer than `ring`, and let them talk; if that fails say
    /// [`Input::TransferResult`].
    Transfer { number: String, ring: Duration },
    /// End the call. The run is over.
    HangUp { cause: Cause },
}

/// What goes on until something else is heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Music {
    /// Packets without a sound: phones and NATs take a leg that gets none for dead.
    Silence,
    Of(QueueId),
    Named(String),
}

/// Why a turn of a question came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoChoice {
    /// No key within the time.
    NoKey,
    /// A key that the menu does not have, too few keys, or a number that was not confirmed.
    WrongKey,
}

/// Which way a step went that asks the caller for nothing, or was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Way {
    Open,
    Closed,
    Holiday,
    /// The case of this number, from 1.
    Case(u8),
    Otherwise,
    /// A number was keyed, and confirmed where that is asked.
    Collected,
    Found,
    NotFound,
    Failed,
    /// An announcement is on and was said.
    Announced,
    /// The caller gave up his place in the queue.
    Left,
}

/// Why a flow ended the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// A `hang_up` step was reached.
    FlowEnded,
    /// The flow was replaced by one that lacks the caller's step.
    StepGone,
}

/// Where in its step a run is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    New,
    Playing {
        token: u64,
    },
    /// A key is waited for.
    Listening {
        until: Instant,
    },
    Looking(Looking),
    Music {
        until: Instant,
    },
    /// In a queue without a treatment.
    Queued,
    Talking,
    Transferring,
    Over,
}

/// One caller's way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    flow: FlowId,
    step: String,
    phase: Phase,
    facts: Facts,
    language: String,
    /// What was remembered: variables, keyed numbers, fields of look-ups. Personal.
    values: BTreeMap<String, Value>,
    /// Times the present question has been asked again.
    again: u32,
    /// Keys of the present `collect` so far. Personal.
    entry: String,
    /// Whether they are being read back.
    confirming: bool,
    /// A key pressed before its menu.
    ahead: Option<char>,
    /// The key that may end a number which is whole already, and until when at most.
    trailing: Option<(char, Instant)>,
    /// The queue step, and the queue that the caller waits in.
    waiting: Option<(String, QueueId)>,
    told: Told,
    /// When a step was entered last, and how often in that very moment.
    entered: (Instant, u32),
    last_token: u64,
    outputs: VecDeque<Output>,
}

impl Run {
    /// A run that stands before the flow's first step.
    pub fn new(flow: &Flow, facts: Facts) -> Run {
        Run {
            flow: flow.id.clone(),
            step: flow.start.clone(),
            phase: Phase::New,
            language: facts.language.clone(),
            facts,
            values: flow.variables.clone(),
            again: 0,
            entry: String::new(),
            confirming: false,
            ahead: None,
            trailing: None,
            waiting: None,
            told: Told::default(),
            entered: (Instant::ZERO, 0),
            last_token: 0,
            outputs: VecDeque::new(),
        }
    }

    /// The flow the caller is in.
    pub fn flow(&self) -> &FlowId {
        &self.flow
    }

    /// The step the caller is at.
    pub fn step(&self) -> &str {
        &self.step
    }

    /// The language the caller is spoken to in.
    pub fn language(&self) -> &str {
        &self.language
    }

    /// Whether the caller waits in a queue and is led through its treatment.
    pub fn is_treated(&self) -> bool {
        self.waiting.is_some() && !matches!(self.phase, Phase::Queued | Phase::Talking | Phase::Over)
    }

    /// How long the whole wait would be, as the caller was told first in this queue; none if nobody has told him.
    pub fn wait_told(&self) -> Option<Duration> {
        self.told.whole
    }

    /// Whether nothing more will be asked for, beyond what [`Run::poll`] still holds.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Whether a key that is pressed now means something.
    pub fn listens(&self, flows: &BTreeMap<FlowId, std::sync::Arc<Flow>>) -> bool {
        let step = flows.get(&self.flow).and_then(|flow| flow.steps.get(&self.step));
        match self.phase {
            Phase::Playing { .. } => match step {
                Some(Step::Menu(_) | Step::Collect(_)) => true,
                Some(Step::Play(step)) => step.interruptible,
                _ => false,
            },
            Phase::Listening { .. } => true,
            Phase::Music { .. } => matches!(step, Some(Step::Music(music)) if !music.keys.is_empty()),
            Phase::New | Phase::Looking(_) | Phase::Queued | Phase::Talking | Phase::Transferring | Phase::Over => {
                false
            }
        }
    }

    /// Whether a key that is pressed now belongs to a PIN or a card and must not be written down.
    pub fn keeps_secret(&self, flows: &BTreeMap<FlowId, std::sync::Arc<Flow>>) -> bool {
        let flow = flows.get(&self.flow);
        let collects =
            |step: &str| matches!(flow.and_then(|flow| flow.steps.get(step)), Some(Step::Collect(c)) if c.secret);
        match flow.and_then(|flow| flow.steps.get(&self.step)) {
            // A key pressed ahead may be a secret's first.
            Some(Step::Play(play)) => {
                let secret = |step: &Step| matches!(step, Step::Collect(c) if c.secret);
                let asked = flow.and_then(|flow| walk::asked_behind(flow, &play.next));
                match asked.and_then(|asked| flow?.steps.get(asked)) {
                    Some(Step::Menu(_) | Step::Queue(_) | Step::HangUp(_)) | None => false,
                    Some(Step::Collect(collect)) => collect.secret,
                    // Where it leads is not known yet: to any question of any flow.
                    Some(_) => flows.values().any(|flow| flow.steps.values().any(secret)),
                }
            }
            _ => collects(&self.step),
        }
    }

    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to stop waiting for a key, an answer or the end of some music.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Listening { until } | Phase::Music { until } => Some(*until),
            Phase::Looking(looking) => Some(looking.until),
            _ => None,
        }
    }

    /// Takes one input. Inputs that do not fit are ignored.
    pub fn handle(&mut self, now: Instant, scene: &Scene<'_>, input: Input) {
        if let Some(wait) = scene.wait.filter(|_| self.waiting.is_some()) {
            self.told.improve(wait);
        }
        match (input, &self.phase) {
            (_, Phase::Over) => {}
            (Input::Start, Phase::New) => {
                self.outputs.push_back(Output::Answer);
                self.enter(now, scene, self.step.clone());
            }
            (Input::PlayFinished { token }, Phase::Playing { token: playing }) if token == *playing => {
                self.heard(now, scene);
            }
            (Input::PlayFinished { token }, Phase::Looking(looking)) if token == looking.plays => {
                self.outputs.push_back(Output::Music(Music::Silence));
            }
            (Input::Digit(key), Phase::Playing { .. } | Phase::Listening { .. } | Phase::Music { .. })
                if flow::is_key(key) =>
            {
                self.pressed(now, scene, key);
            }
            (Input::QueueResult(result), phase) if *phase != Phase::Talking => self.queue_said(now, scene, result),
            (Input::WaitsAgain { queue }, phase) if *phase == Phase::Talking || self.waits_elsewhere(&queue) => {
                self.waits_again(scene, queue);
            }
            (Input::Waits, Phase::Queued) => {
                let treatment = self.treatment(scene).cloned();
                treatment.into_iter().for_each(|step| self.enter(now, scene, step));
            }
            (Input::LookedUp { id, found }, Phase::Looking(looking)) if id == looking.id && !looking.rests => {
                self.looked_up(now, scene, found);
            }
            (Input::Timeout, _) if self.deadline().is_some_and(|until| until <= now) => self.waited(now, scene),
            (Input::TransferResult(result), Phase::Transferring) => self.transfer_failed(now, scene, result),
            _ => {}
        }
    }

    /// The present step, as the flow is now.
    fn here<'s>(&self, scene: &Scene<'s>) -> Option<&'s Step> {
        scene.flows.get(&self.flow)?.steps.get(&self.step)
    }

    fn hang_up(&mut self, cause: Cause) {
        self.phase = Phase::Over;
        self.outputs.push_back(Output::HangUp { cause });
    }

    fn silence(&mut self) {
        self.outputs.push_back(Output::Music(Music::Silence));
    }

    fn went(&mut self, way: Way) {
        self.outputs.push_back(Output::Went { flow: self.flow.clone(), step: self.step.clone(), way });
    }
}

#[cfg(test)]
mod tests;
