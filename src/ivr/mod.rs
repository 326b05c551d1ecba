//! Leads a caller through a flow: one step per input; knows no call and no audio.
//!
//! A [`Run`] is one caller's way through one [`Flow`]. It holds names, never the flow itself, so it can be
//! written down, and a changed flow can be put under a running caller: if the caller's step is gone, the
//! run ends with [`Cause::StepGone`].
//!
//! ```text
//!            Start                     PlayFinished / Digit
//!  (new) ───────────▶ play ─────────────────────────────────▶ next step
//!                     menu: playing ──PlayFinished──▶ listening ──Digit──▶ the key's step
//!                            ▲  └──────────Digit (stops the prompt)──────▶    "
//!                            └── again: no key, or a wrong one, up to `retries` times; then `otherwise`
//!                     queue ──Full, TimedOut, Refused──▶ its branches;   Answered ──▶ (over)
//!                     transfer ──Busy, Failed──▶ its branches
//!                     hang_up ──PlayFinished──▶ (over)
//! ```
//!
//! A key pressed during an interruptible `play` skips what is said on the way to the next menu and counts
//! there. Keys pressed during other prompts and while waiting in a queue are ignored.
//!
//! Left out so far: collecting numbers of several digits, look-ups, opening hours, variables.

pub mod flow;
pub mod load;

pub use flow::{Flow, HangUpStep, MenuStep, PlayStep, PromptText, QueueStep, Step, TransferStep};

use crate::ids::{FlowId, QueueId, SkillId};
use crate::time::Instant;
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
    /// An agent and the caller talk. The run is over.
    Answered,
}

/// What a run asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Answer the call. Once, before everything else.
    Answer,
    /// The caller is at this step now. Nothing to do but to tell.
    Entered { step: String },
    /// A turn of the present menu came to nothing. With `again` it is offered once more. Nothing to do but to tell.
    NothingChosen { why: NoChoice, again: bool },
    /// Play these sounds one after another, replacing what plays; then say [`Input::PlayFinished`].
    Play { prompts: Vec<String>, token: u64, interruptible: bool },
    /// Stop what plays. No `PlayFinished` is expected for it (one that comes is ignored).
    StopPlaying,
    /// Put the caller into this queue; then say [`Input::QueueResult`]. Skills are the lowest levels that will do.
    Queue { queue: QueueId, priority: i32, skills: BTreeMap<SkillId, u8> },
    /// Call this outside number for the caller, ringing no longer than `ring`, and let them talk; if that fails say
    /// [`Input::TransferResult`].
    Transfer { number: String, ring: Duration },
    /// End the call. The run is over.
    HangUp { cause: Cause },
}

/// Why a menu's turn came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoChoice {
    /// No key within the menu's time.
    NoKey,
    /// A key that the menu does not have.
    WrongKey,
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
    Playing { token: u64 },
    Listening { until: Instant },
    Queued,
    Transferring,
    Over,
}

/// One caller's way through one flow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    flow: FlowId,
    step: String,
    phase: Phase,
    /// Times the present menu has been offered again.
    again: u32,
    /// A key pressed before its menu.
    ahead: Option<char>,
    last_token: u64,
    outputs: VecDeque<Output>,
}

impl Run {
    /// A run that stands before the flow's first step.
    pub fn new(flow: &Flow) -> Run {
        Run {
            flow: flow.id.clone(),
            step: flow.start.clone(),
            phase: Phase::New,
            again: 0,
            ahead: None,
            last_token: 0,
            outputs: VecDeque::new(),
        }
    }

    /// The flow that every [`Run::handle`] must be given.
    pub fn flow(&self) -> &FlowId {
        &self.flow
    }

    /// The step the caller is at.
    pub fn step(&self) -> &str {
        &self.step
    }

    /// Whether nothing more will be asked for, beyond what [`Run::poll`] still holds.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Whether a key that is pressed now means something.
    pub fn listens(&self, flow: &Flow) -> bool {
        let step = flow.steps.get(&self.step);
        match self.phase {
            Phase::Playing { .. } => {
                matches!(step, Some(Step::Menu(_)) | Some(Step::Play(PlayStep { interruptible: true, .. })))
            }
            Phase::Listening { .. } => true,
            Phase::New | Phase::Queued | Phase::Transferring | Phase::Over => false,
        }
    }

    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to stop waiting for a key.
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Listening { until } => Some(until),
            _ => None,
        }
    }

    /// Takes one input. `flow` is the present form of [`Run::flow`]. Inputs that do not fit are ignored.
    pub fn handle(&mut self, now: Instant, flow: &Flow, input: Input) {
        match (input, &self.phase) {
            (_, Phase::Over) => {}
            (Input::Start, Phase::New) => {
                self.outputs.push_back(Output::Answer);
                self.enter(flow, flow.start.clone());
            }
            (Input::PlayFinished { token }, Phase::Playing { token: playing }) if token == *playing => {
                self.heard(now, flow);
            }
            (Input::Digit(key), Phase::Playing { .. } | Phase::Listening { .. }) if flow::is_key(key) => {
                self.pressed(flow, key);
            }
            (Input::QueueResult(result), Phase::Queued) => self.queue_said(flow, result),
            (Input::TransferResult(result), Phase::Transferring) => self.transfer_failed(flow, result),
            (Input::Timeout, Phase::Listening { until }) if *until <= now => self.silent(flow),
            _ => {}
        }
    }

    fn enter(&mut self, flow: &Flow, step: String) {
        let mut next = Some(step);
        // Comes to an end: one turn uses up the key pressed ahead, and the others follow ways that need no
        // key, of which a checked flow has no circle.
        while let Some(step) = next {
            next = self.arrive(flow, step);
        }
    }

    /// Comes to one step; returns the one behind it if nothing is to be waited for.
    fn arrive(&mut self, flow: &Flow, step: String) -> Option<String> {
        self.step = step;
        self.again = 0;
        self.outputs.push_back(Output::Entered { step: self.step.clone() });
        match flow.steps.get(&self.step) {
            Some(Step::Play(step)) if step.interruptible && self.ahead.is_some() => return Some(step.next.clone()),
            Some(Step::Play(step)) => self.play(step.prompts.clone(), step.interruptible),
            Some(Step::Menu(menu)) => match self.ahead.take() {
                Some(key) => return self.choose(menu, key),
                None => self.play(menu.prompts.clone(), true),
            },
            Some(Step::Queue(step)) => self.queue(step),
            Some(Step::Transfer(step)) => self.transfer(step),
            Some(Step::HangUp(step)) if !step.prompts.is_empty() => self.play(step.prompts.clone(), false),
            Some(Step::HangUp(_)) => self.hang_up(Cause::FlowEnded),
            None => self.hang_up(Cause::StepGone),
        }
        None
    }

    fn play(&mut self, prompts: Vec<String>, interruptible: bool) {
        self.last_token += 1;
        self.phase = Phase::Playing { token: self.last_token };
        self.outputs.push_back(Output::Play { prompts, token: self.last_token, interruptible });
    }

    fn queue(&mut self, step: &QueueStep) {
        self.ahead = None;
        self.phase = Phase::Queued;
        let (queue, skills) = (step.queue.clone(), step.skills.clone());
        self.outputs.push_back(Output::Queue { queue, priority: step.priority, skills });
    }

    fn transfer(&mut self, step: &TransferStep) {
        self.ahead = None;
        self.phase = Phase::Transferring;
        self.outputs.push_back(Output::Transfer { number: step.number.clone(), ring: step.ring });
    }

    fn transfer_failed(&mut self, flow: &Flow, result: TransferResult) {
        match flow.steps.get(&self.step) {
            Some(Step::Transfer(step)) if result == TransferResult::Busy => self.enter(flow, step.busy.clone()),
            Some(Step::Transfer(step)) => self.enter(flow, step.failed.clone()),
            _ => self.hang_up(Cause::StepGone),
        }
    }

    fn hang_up(&mut self, cause: Cause) {
        self.phase = Phase::Over;
        self.outputs.push_back(Output::HangUp { cause });
    }

    /// The prompts of the present step have been heard to the end.
    fn heard(&mut self, now: Instant, flow: &Flow) {
        match flow.steps.get(&self.step) {
            Some(Step::Play(step)) => self.enter(flow, step.next.clone()),
            Some(Step::Menu(menu)) => self.phase = Phase::Listening { until: now + menu.timeout },
            Some(Step::HangUp(_)) => self.hang_up(Cause::FlowEnded),
            // A changed flow has made a queue of the step that was playing.
            Some(Step::Queue(step)) => self.queue(step),
            Some(Step::Transfer(step)) => self.transfer(step),
            None => self.hang_up(Cause::StepGone),
        }
    }

    fn pressed(&mut self, flow: &Flow, key: char) {
        let next = match flow.steps.get(&self.step) {
            Some(Step::Menu(menu)) => {
                self.stop_playing();
                self.choose(menu, key)
            }
            Some(Step::Play(step)) if step.interruptible => {
                self.stop_playing();
                self.ahead = Some(key);
                Some(step.next.clone())
            }
            _ => None,
        };
        next.into_iter().for_each(|step| self.enter(flow, step));
    }

    fn stop_playing(&mut self) {
        if matches!(self.phase, Phase::Playing { .. }) {
            self.outputs.push_back(Output::StopPlaying);
        }
    }

    fn choose(&mut self, menu: &MenuStep, key: char) -> Option<String> {
        match menu.keys.get(&key) {
            Some(step) => Some(step.clone()),
            None => self.offer_again(menu, NoChoice::WrongKey),
        }
    }

    fn silent(&mut self, flow: &Flow) {
        match flow.steps.get(&self.step) {
            Some(Step::Menu(menu)) => {
                let next = self.offer_again(menu, NoChoice::NoKey);
                next.into_iter().for_each(|step| self.enter(flow, step));
            }
            _ => self.hang_up(Cause::StepGone),
        }
    }

    /// Plays the menu again, or returns where to go because it was offered often enough.
    fn offer_again(&mut self, menu: &MenuStep, why: NoChoice) -> Option<String> {
        let again = self.again < menu.retries;
        self.outputs.push_back(Output::NothingChosen { why, again });
        if !again {
            return Some(menu.otherwise.clone());
        }
        self.again += 1;
        let first = match why {
            NoChoice::NoKey => &menu.no_input,
            NoChoice::WrongKey => &menu.invalid,
        };
        self.play([first.as_slice(), &menu.prompts].concat(), true);
        None
    }

    fn queue_said(&mut self, flow: &Flow, result: QueueResult) {
        let Some(Step::Queue(step)) = flow.steps.get(&self.step) else {
            return match result {
                QueueResult::Answered => self.phase = Phase::Over,
                _ => self.hang_up(Cause::StepGone),
            };
        };
        match result {
            QueueResult::Full => self.enter(flow, step.full.clone()),
            QueueResult::TimedOut => self.enter(flow, step.timeout.clone()),
            QueueResult::Refused => self.enter(flow, step.refused.clone()),
            QueueResult::NoStaff => self.enter(flow, step.no_staff.clone()),
            QueueResult::LongWait => self.enter(flow, step.long_wait.clone()),
            QueueResult::Answered => self.phase = Phase::Over,
        }
    }
}

#[cfg(test)]
mod tests;
