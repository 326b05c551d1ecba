//! Keys: menus, numbers of several digits, and asking again.

use super::flow::{CollectStep, MenuStep, MusicStep, Prompt, Repeats, Step};
use super::{NoChoice, Output, Run, Scene, Way};
use crate::expr::Value;
use crate::time::Instant;
use std::time::Duration;

/// So long at most, and until something has been heard to its end, the key that ends a number may follow one that was whole
/// without it. Later it is meant for the next question.
const TRAILS: Duration = Duration::from_secs(3);

impl Run {
    pub(super) fn pressed(&mut self, now: Instant, scene: &Scene<'_>, key: char) {
        if self.trailing.take().is_some_and(|(end, until)| end == key && now < until) {
            return;
        }
        let next = match self.here(scene) {
            Some(Step::Menu(menu)) => {
                self.stop_playing();
                self.choose(scene, menu, key)
            }
            Some(Step::Collect(collect)) => {
                self.stop_playing();
                self.key_of_number(now, scene, collect, key)
            }
            Some(Step::Play(step)) if step.interruptible => {
                self.stop_playing();
                self.ahead = Some(key);
                Some(step.next.clone())
            }
            Some(Step::Music(music)) => {
                let next = self.key_in_music(scene, music, key);
                if next.is_some() {
                    self.stop_playing();
                }
                next
            }
            _ => None,
        };
        next.into_iter().for_each(|step| self.enter(now, scene, step));
    }

    pub(super) fn key_in_music(&mut self, scene: &Scene<'_>, music: &MusicStep, key: char) -> Option<String> {
        music.keys.get(&key).cloned().or_else(|| self.person(scene, key))
    }

    pub(super) fn choose(&mut self, scene: &Scene<'_>, menu: &MenuStep, key: char) -> Option<String> {
        let next = menu.keys.get(&key).cloned().or_else(|| self.person(scene, key));
        next.or_else(|| self.ask_again(scene, &menu.repeats, &menu.prompts, NoChoice::WrongKey))
    }

    /// Where the flow's key for a person leads, if it is this one.
    fn person(&mut self, scene: &Scene<'_>, key: char) -> Option<String> {
        let (_, step) = scene.flows.get(&self.flow)?.person.as_ref().filter(|(person, _)| *person == key)?;
        self.outputs.push_back(Output::PersonAsked);
        Some(step.clone())
    }

    /// Asks again, or returns where to go because it was asked often enough.
    pub(super) fn ask_again(
        &mut self,
        scene: &Scene<'_>,
        repeats: &Repeats,
        prompts: &[Prompt],
        why: NoChoice,
    ) -> Option<String> {
        let again = self.again < repeats.most;
        self.outputs.push_back(Output::NothingChosen { why, again });
        self.entry.clear();
        self.confirming = false;
        if !again {
            return Some(repeats.otherwise.clone());
        }
        let help = repeats.again.get(self.again as usize).or(repeats.again.last()).map(Vec::as_slice);
        self.again += 1;
        let first = match why {
            NoChoice::NoKey => &repeats.no_input,
            NoChoice::WrongKey => &repeats.invalid,
        };
        self.play(scene, &[first, help.unwrap_or(prompts)], true);
        None
    }

    /// One key while a number is asked for; returns where to go when it is whole.
    pub(super) fn key_of_number(
        &mut self,
        now: Instant,
        scene: &Scene<'_>,
        collect: &CollectStep,
        key: char,
    ) -> Option<String> {
        if self.confirming {
            return match key == collect.yes {
                true => Some(self.collected(collect)),
                false => self.number_again(scene, collect, NoChoice::WrongKey),
            };
        }
        if Some(key) == collect.end {
            return self.number_ends(scene, collect);
        }
        if !key.is_ascii_digit() {
            let asked = if self.entry.is_empty() { self.person(scene, key) } else { None };
            return asked.or_else(|| self.number_again(scene, collect, NoChoice::WrongKey));
        }
        self.entry.push(key);
        // The number is whole at its longest; who was told to end it with a key does so nevertheless.
        if self.entry.len() >= usize::from(collect.max) {
            let until = now + collect.between.min(TRAILS);
            self.trailing = collect.end.filter(|end| *end != collect.yes).map(|end| (end, until));
            return self.number_ends(scene, collect);
        }
        self.listen(now + collect.between);
        None
    }

    /// Asks for the number again. Who is led on without one has keyed none, whatever he keyed here before.
    fn number_again(&mut self, scene: &Scene<'_>, collect: &CollectStep, why: NoChoice) -> Option<String> {
        let next = self.ask_again(scene, &collect.repeats, &collect.prompts, why)?;
        let initial = scene.flows.get(&self.flow).and_then(|flow| flow.variables.get(&collect.into)).cloned();
        match initial {
            Some(value) => self.keep(collect.into.clone(), value),
            None => _ = self.values.remove(&collect.into),
        }
        Some(next)
    }

    /// No key came in time.
    pub(super) fn no_more_keys(&mut self, now: Instant, scene: &Scene<'_>, collect: &CollectStep) {
        let next = match self.entry.is_empty() || self.confirming {
            true => self.number_again(scene, collect, NoChoice::NoKey),
            false => self.number_ends(scene, collect),
        };
        next.into_iter().for_each(|step| self.enter(now, scene, step));
    }

    /// Nothing more is keyed: the number is too short, is read back, or is taken.
    fn number_ends(&mut self, scene: &Scene<'_>, collect: &CollectStep) -> Option<String> {
        if self.entry.len() < usize::from(collect.min) {
            return self.number_again(scene, collect, NoChoice::WrongKey);
        }
        if collect.confirm.is_empty() {
            return Some(self.collected(collect));
        }
        self.confirming = true;
        // The prompt may read it back by its name; who says no to it has keyed nothing.
        let before = self.values.insert(collect.into.clone(), Value::Text(self.entry.clone()));
        self.play(scene, &[&collect.confirm], true);
        match before {
            Some(before) => self.values.insert(collect.into.clone(), before),
            None => self.values.remove(&collect.into),
        };
        None
    }

    fn collected(&mut self, collect: &CollectStep) -> String {
        let number = std::mem::take(&mut self.entry);
        self.keep(collect.into.clone(), Value::Text(number));
        self.confirming = false;
        self.went(Way::Collected);
        collect.next.clone()
    }
}
