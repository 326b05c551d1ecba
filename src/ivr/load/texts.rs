//! Texts of a flow become sounds with names.

use super::{A_TEXT, MAX_TEXT, MAX_TEXTS, Reader, name};
use crate::ivr::flow::{HangUpStep, PromptText};
use crate::written::{Said, Section, Value};
use sha2::{Digest, Sha256};

impl<'p> Reader<'p> {
    pub(super) fn hang_up(&mut self, section: &mut Section<'p>) -> HangUpStep {
        let value = section.take("hang_up");
        if value.as_ref().is_some_and(Value::is_true) {
            return HangUpStep { prompts: Vec::new() };
        }
        let prompts = value.map(|v| self.texts(v, &section.label, &format!("true, {A_TEXT}"))).unwrap_or_default();
        HangUpStep { prompts }
    }

    /// The sounds of `key`; none if it is not written.
    pub(super) fn prompts(&mut self, section: &mut Section<'p>, key: &'static str) -> Vec<String> {
        section.take(key).map(|value| self.texts(value, &section.label, A_TEXT)).unwrap_or_default()
    }

    fn texts(&mut self, value: Value<'p>, step: &str, allowed: &str) -> Vec<String> {
        if !value.is_list() {
            return self.text(value, step, allowed).into_iter().collect();
        }
        let whole = value.clone();
        let list = value.list(allowed);
        if list.is_empty() || list.len() > MAX_TEXTS {
            whole.wrong(allowed);
        }
        list.into_iter().take(MAX_TEXTS).filter_map(|value| self.text(value, step, allowed)).collect()
    }

    /// One text becomes a sound.
    fn text(&mut self, value: Value<'p>, step: &str, allowed: &str) -> Option<String> {
        let place = value.place.clone();
        let (text, sound) = if value.is_table() {
            let mut table = value.section()?;
            let text = table.require("text", "what is said").and_then(|v| v.text(MAX_TEXT));
            let sound = table.require("sound", "the name of its file without .wav").and_then(|v| name(&v, "a name"));
            table.finish();
            let (text, sound) = (text?, sound?);
            self.named.entry(sound.it.clone()).or_insert(sound.place);
            (text, sound.it)
        } else {
            let text = value.parsed(allowed, |s| Some(s.to_owned())).and_then(|_| value.text(MAX_TEXT))?;
            let sound = sound_name(step, &self.language, &text);
            (text, sound)
        };
        let prompt = PromptText { name: sound.clone(), text, language: self.language.clone() };
        let before = self.texts.entry(sound.clone()).or_insert(Said { it: prompt.clone(), place: place.clone() });
        if before.it != prompt {
            self.page.report(&place, format!("the sound `{sound}` has another text above; give this one another name"));
        }
        Some(sound)
    }
}

/// The name of a text that was given none: it changes with what is said.
fn sound_name(step: &str, language: &str, text: &str) -> String {
    let hash = Sha256::new().chain_update(language).chain_update([0]).chain_update(text).finalize();
    format!("{step}-{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2])
}
