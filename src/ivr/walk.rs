//! From step to step.

use super::flow::{BannerStep, BranchStep, Flow, HoursStep, MusicStep, Prompt, QueueStep, SetStep, Step, TransferStep};
use super::{Cause, EXPECTED, Music, Output, Phase, QueueResult, Run, Scene, TransferResult, Way, numerals};
use crate::center::hours::Opening;
use crate::expr::Value;
use crate::ids::{AgentId, FlowId, QueueId};
use crate::time::Instant;
use std::collections::BTreeMap;

/// Steps that one input may lead through. A checked flow needs far fewer: more are only met where two flows lead to each
/// other, or where a new form of a flow has been put under the caller.
const MAX_STEPS: u32 = 1_000;
/// Inputs of one moment that lead to another step. Nobody hears or presses anything in no time: two full queues that flow
/// into each other would go on for ever.
const MAX_TURNS: u32 = 100;
/// Characters of one remembered text.
const MAX_TEXT: usize = 2_000;

/// The question that a key pressed ahead of `step` would reach.
pub(super) fn asked_behind<'f>(flow: &'f Flow, step: &'f str) -> Option<&'f str> {
    let mut step = step;
    for _ in 0..flow.steps.len() {
        step = match flow.steps.get(step)? {
            Step::Play(play) => &play.next,
            Step::Set(set) => &set.next,
            Step::Banner(banner) => &banner.next,
            Step::Language { next, .. } | Step::Leave { next } => next,
            _ => return Some(step),
        };
    }
    None
}

impl Run {
    pub(super) fn enter(&mut self, now: Instant, scene: &Scene<'_>, step: String) {
        let again = if self.entered.0 == now { self.entered.1 + 1 } else { 1 };
        self.entered = (now, again);
        if again > MAX_TURNS {
            return self.hang_up(Cause::StepGone); // also when each turn was another input's: a queue that refuses, a silent text
        }
        let mut next = Some(step);
        for _ in 0..MAX_STEPS {
            let Some(step) = next else { return };
            next = self.arrive(now, scene, step);
        }
        self.hang_up(Cause::StepGone);
    }

    /// Comes to one step; returns the one behind it if nothing is to be waited for.
    fn arrive(&mut self, now: Instant, scene: &Scene<'_>, step: String) -> Option<String> {
        self.step = step;
        (self.again, self.confirming) = (0, false);
        self.entry.clear();
        self.outputs.push_back(Output::Entered { flow: self.flow.clone(), step: self.step.clone() });
        match self.here(scene) {
            Some(Step::Play(step)) if step.interruptible && self.ahead.is_some() => return Some(step.next.clone()),
            Some(Step::Play(step)) => self.play(scene, &[&step.prompts], step.interruptible),
            Some(Step::Menu(menu)) => match self.ahead.take() {
                Some(key) => return self.choose(scene, menu, key),
                None => self.play(scene, &[&menu.prompts], true),
            },
            Some(Step::Collect(collect)) => match self.ahead.take() {
                Some(key) => return self.key_of_number(now, scene, collect, key),
                None => self.play(scene, &[&collect.prompts], true),
            },
            Some(Step::Hours(step)) => return Some(self.look_at_clock(scene, step)),
            Some(Step::Branch(step)) => return Some(self.branch(scene, step)),
            Some(Step::Set(step)) => return Some(self.remember(scene, step)),
            Some(Step::Language { language, next }) => {
                self.language.clone_from(language);
                return Some(next.clone());
            }
            Some(Step::Lookup(step)) => self.look_up(now, scene, step),
            Some(Step::Music(step)) => {
                // A key that means nothing here would skip all that is said from now on.
                let pressed = self.ahead.take().and_then(|key| self.key_in_music(scene, step, key));
                if pressed.is_some() {
                    return pressed;
                }
                self.music(now, step);
            }
            Some(Step::Banner(step)) => return self.announce(scene, step),
            Some(Step::Leave { next }) => {
                self.leave();
                return Some(next.clone());
            }
            Some(Step::Flow(flow)) => return self.change_flow(scene, flow),
            Some(Step::Queue(step)) => self.queue(scene, step),
            Some(Step::Transfer(step)) => self.transfer(step),
            Some(Step::HangUp(step)) => {
                self.leave();
                match step.prompts.is_empty() {
                    true => self.hang_up(Cause::FlowEnded),
                    false => self.play(scene, &[&step.prompts], false),
                }
            }
            None => self.hang_up(Cause::StepGone),
        }
        None
    }

    /// Says all of this, one after the other.
    pub(super) fn play(&mut self, scene: &Scene<'_>, prompts: &[&[Prompt]], interruptible: bool) {
        self.last_token += 1;
        self.phase = Phase::Playing { token: self.last_token };
        if self.waiting.is_some() && prompts.iter().copied().flatten().any(|prompt| prompt.asks(EXPECTED)) {
            self.told.said(scene.wait);
        }
        let prompts = self.sounds(scene, prompts);
        self.outputs.push_back(Output::Play { prompts, token: self.last_token, interruptible });
    }

    pub(super) fn sounds(&self, scene: &Scene<'_>, prompts: &[&[Prompt]]) -> Vec<String> {
        let mut sounds = Vec::new();
        prompts.iter().copied().flatten().for_each(|prompt| self.sounds_of(scene, prompt, &mut sounds));
        sounds
    }

    fn sounds_of(&self, scene: &Scene<'_>, prompt: &Prompt, sounds: &mut Vec<String>) {
        let value = |of: &crate::expr::Expr| of.value(&|name| self.value_of(scene, name));
        let default = scene.flows.get(&self.flow).map_or("", |flow| flow.language.as_str());
        match prompt {
            Prompt::Text(by_language) => {
                let found = by_language.get(&self.language).or_else(|| by_language.get(default));
                sounds.extend(found.or_else(|| by_language.values().next()).cloned());
            }
            Prompt::Say { of, form } => {
                let said = numerals::spoken(&self.language, *form, &value(of));
                // A language that has no numbers has no texts here either.
                let said = if said.is_empty() { numerals::spoken(default, *form, &value(of)) } else { said };
                sounds.extend(said);
            }
            Prompt::Choose { of, texts, otherwise } => match texts.get(&value(of).to_string()) {
                Some(text) => self.sounds_of(scene, text, sounds),
                None => otherwise.iter().for_each(|text| self.sounds_of(scene, text, sounds)),
            },
        }
    }

    pub(super) fn stop_playing(&mut self) {
        if matches!(self.phase, Phase::Playing { .. } | Phase::Music { .. } | Phase::Looking(_)) {
            self.outputs.push_back(Output::StopPlaying);
        }
    }

    /// The prompts of the present step have been heard to the end.
    pub(super) fn heard(&mut self, now: Instant, scene: &Scene<'_>) {
        self.trailing = None;
        match self.here(scene) {
            Some(Step::Play(step)) => self.enter(now, scene, step.next.clone()),
            Some(Step::Banner(step)) => self.enter(now, scene, step.next.clone()),
            Some(Step::Menu(menu)) => self.listen(now + menu.timeout),
            Some(Step::Collect(collect)) => self.listen(now + collect.first),
            Some(Step::HangUp(_)) => self.hang_up(Cause::FlowEnded),
            // A changed flow has made something else of the step that was playing.
            Some(_) => self.enter(now, scene, self.step.clone()),
            None => self.hang_up(Cause::StepGone),
        }
    }

    pub(super) fn listen(&mut self, until: Instant) {
        if !matches!(self.phase, Phase::Listening { .. }) {
            self.silence();
        }
        self.phase = Phase::Listening { until };
    }

    fn look_at_clock(&mut self, scene: &Scene<'_>, step: &HoursStep) -> String {
        // A calendar that a new configuration took away is closed.
        let (way, next) = match self.opening(scene, &step.calendar) {
            Some(Opening::Open) => (Way::Open, &step.open),
            Some(Opening::Holiday) => (Way::Holiday, &step.holiday),
            Some(Opening::Closed) | None => (Way::Closed, &step.closed),
        };
        self.went(way);
        next.clone()
    }

    fn branch(&mut self, scene: &Scene<'_>, step: &BranchStep) -> String {
        let found = step.cases.iter().position(|(when, _)| when.holds(&|name| self.value_of(scene, name)));
        let case = found.and_then(|place| Some((u8::try_from(place + 1).ok()?, &step.cases[place].1)));
        self.went(case.map_or(Way::Otherwise, |(number, _)| Way::Case(number)));
        case.map_or(&step.otherwise, |(_, next)| next).clone()
    }

    fn remember(&mut self, scene: &Scene<'_>, step: &SetStep) -> String {
        let value = |run: &Run, of: &crate::expr::Expr| of.value(&|name| run.value_of(scene, name));
        for (name, of) in &step.values {
            let value = value(self, of);
            self.keep(name.clone(), value);
        }
        for (label, of) in &step.attach {
            let value = value(self, of).to_string();
            self.outputs.push_back(Output::Attach { label: label.clone(), value });
        }
        step.next.clone()
    }

    pub(super) fn keep(&mut self, name: String, value: Value) {
        let value = match value {
            Value::Text(text) => Value::Text(text.chars().take(MAX_TEXT).collect()),
            value => value,
        };
        self.values.insert(name, value);
    }

    fn music(&mut self, now: Instant, step: &MusicStep) {
        self.phase = Phase::Music { until: now + step.duration };
        let music = match (&step.sound, &self.waiting) {
            (Some(sound), _) => Music::Named(sound.clone()),
            (None, Some((_, queue))) => Music::Of(queue.clone()),
            (None, None) => Music::Silence,
        };
        self.outputs.push_back(Output::Music(music));
    }

    fn announce(&mut self, scene: &Scene<'_>, step: &BannerStep) -> Option<String> {
        if !self.concerns(scene, &step.banner) {
            return Some(step.next.clone());
        }
        self.went(Way::Announced);
        // Who is on a key already does not listen; what concerns everybody is heard nevertheless.
        self.ahead = None;
        self.play(scene, &[&step.prompts], false);
        None
    }

    fn change_flow(&mut self, scene: &Scene<'_>, flow: &FlowId) -> Option<String> {
        self.leave();
        let Some(flow) = scene.flows.get(flow) else {
            self.hang_up(Cause::StepGone);
            return None;
        };
        // Another flow may give the name of a secret to something that is shown.
        let secrets = scene.flows.get(&self.flow).into_iter().flat_map(|flow| flow.secrets());
        secrets.for_each(|secret| _ = self.values.remove(secret));
        self.flow = flow.id.clone();
        let missing: BTreeMap<_, _> =
            flow.variables.iter().filter(|(name, _)| !self.values.contains_key(*name)).collect();
        let missing: Vec<_> = missing.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        self.values.extend(missing);
        Some(flow.start.clone())
    }

    /// Who waits in this queue already keeps his place, and only what he hears begins anew; who waits in another one goes
    /// over with what he has waited.
    fn queue(&mut self, scene: &Scene<'_>, step: &QueueStep) {
        let before = self.waiting.replace((self.step.clone(), step.queue.clone()));
        if before.as_ref().is_none_or(|(_, queue)| *queue != step.queue) {
            self.told = Default::default();
            before.into_iter().for_each(|_| self.went(Way::Left));
        }
        self.ahead = None;
        self.phase = Phase::Queued;
        // A treatment has its own say in what is heard first.
        if step.treatment.is_none() {
            self.outputs.push_back(Output::Music(Music::Of(step.queue.clone())));
        }
        let (queue, skills) = (step.queue.clone(), step.skills.clone());
        let named = step.preferred.as_ref().map(|of| of.value(&|name| self.value_of(scene, name)).to_string());
        let preferred = named.and_then(|number| number.trim().parse().ok()).map(AgentId);
        self.outputs.push_back(Output::Queue { queue, priority: step.priority, skills, preferred });
    }

    fn leave(&mut self) {
        if self.waiting.take().is_some() {
            self.went(Way::Left);
            self.outputs.push_back(Output::Leave);
        }
    }

    pub(super) fn queue_said(&mut self, now: Instant, scene: &Scene<'_>, result: QueueResult) {
        let Some((step, _)) = self.waiting.clone() else { return };
        if result == QueueResult::Answered {
            // Joining the parties stops what plays, within a frame.
            self.phase = Phase::Talking;
            return;
        }
        self.waiting = None;
        self.stop_playing();
        let steps = scene.flows.get(&self.flow).map(|flow| &flow.steps);
        let next = match (steps.and_then(|steps| steps.get(&step)), result) {
            (Some(Step::Queue(queue)), QueueResult::Full) => &queue.full,
            (Some(Step::Queue(queue)), QueueResult::TimedOut) => &queue.timeout,
            (Some(Step::Queue(queue)), QueueResult::NoStaff) => &queue.no_staff,
            (Some(Step::Queue(queue)), QueueResult::LongWait) => &queue.long_wait,
            (Some(Step::Queue(queue)), QueueResult::Refused | QueueResult::Answered) => &queue.refused,
            _ => return self.hang_up(Cause::StepGone),
        };
        self.enter(now, scene, next.clone());
    }

    /// Who is put through to an outside party gives up his place in the queue.
    pub(super) fn transfer(&mut self, step: &TransferStep) {
        self.leave();
        self.ahead = None;
        self.phase = Phase::Transferring;
        self.outputs.push_back(Output::Transfer { number: step.number.clone(), ring: step.ring });
    }

    pub(super) fn transfer_failed(&mut self, now: Instant, scene: &Scene<'_>, result: TransferResult) {
        match self.here(scene) {
            Some(Step::Transfer(step)) if result == TransferResult::Busy => self.enter(now, scene, step.busy.clone()),
            Some(Step::Transfer(step)) => self.enter(now, scene, step.failed.clone()),
            _ => self.hang_up(Cause::StepGone),
        }
    }

    /// The step that begins the treatment of the queue that the caller waits in.
    pub(super) fn treatment<'s>(&self, scene: &Scene<'s>) -> Option<&'s String> {
        let (step, _) = self.waiting.as_ref()?;
        match scene.flows.get(&self.flow)?.steps.get(step)? {
            Step::Queue(queue) => queue.treatment.as_ref(),
            _ => None,
        }
    }

    pub(super) fn waits_elsewhere(&self, queue: &QueueId) -> bool {
        self.waiting.as_ref().is_some_and(|(_, waits_in)| waits_in != queue)
    }

    /// The caller waits as his queue step says, also where an agent has sent him to another queue.
    pub(super) fn waits_again(&mut self, scene: &Scene<'_>, queue: QueueId) {
        let Some((_, waits_in)) = &mut self.waiting else { return };
        // What was said of another queue says nothing of this one.
        match *waits_in == queue {
            true => self.told.whole = None,
            false => self.told = Default::default(),
        }
        waits_in.clone_from(&queue);
        self.phase = Phase::Queued;
        if self.treatment(scene).is_none() {
            self.outputs.push_back(Output::Music(Music::Of(queue)));
        }
    }

    /// The deadline has come.
    pub(super) fn waited(&mut self, now: Instant, scene: &Scene<'_>) {
        match (&self.phase, self.here(scene)) {
            (Phase::Looking(looking), _) => {
                let looking = looking.clone();
                self.look_up_again(now, scene, &looking);
            }
            (Phase::Music { .. }, Some(Step::Music(music))) => self.enter(now, scene, music.next.clone()),
            (Phase::Listening { .. }, Some(Step::Menu(menu))) => {
                let next = self.ask_again(scene, &menu.repeats, &menu.prompts, super::NoChoice::NoKey);
                next.into_iter().for_each(|step| self.enter(now, scene, step));
            }
            (Phase::Listening { .. }, Some(Step::Collect(collect))) => self.no_more_keys(now, scene, collect),
            (_, Some(_)) => self.enter(now, scene, self.step.clone()),
            (_, None) => self.hang_up(Cause::StepGone),
        }
    }
}
