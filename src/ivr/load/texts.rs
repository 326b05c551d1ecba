//! Texts of a flow become sounds with names.

use super::{A_TEXT, MAX_TEXT, MAX_TEXTS, Reader, name};
use crate::ivr::flow::{HangUpStep, Prompt, PromptText};
use crate::ivr::numerals::{self, Form};
use crate::written::{Place, Said, Section, Value, language};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Texts of one value.
const MAX_CHOICES: usize = 100;

impl<'p> Reader<'p> {
    pub(super) fn hang_up(&mut self, section: &mut Section<'p>) -> HangUpStep {
        let value = section.take("hang_up");
        if value.as_ref().is_some_and(Value::is_true) {
            return HangUpStep { prompts: Vec::new() };
        }
        let prompts = value.map(|v| self.texts(v, &section.label, &format!("true, {A_TEXT}"))).unwrap_or_default();
        HangUpStep { prompts }
    }

    /// What `key` says; nothing if it is not written.
    pub(super) fn prompts(&mut self, section: &mut Section<'p>, key: &'static str) -> Vec<Prompt> {
        section.take(key).map(|value| self.texts(value, &section.label, A_TEXT)).unwrap_or_default()
    }

    /// `again`: what is said at each repeat.
    pub(super) fn helps(&mut self, section: &mut Section<'p>) -> Vec<Vec<Prompt>> {
        let Some(value) = section.take("again") else { return Vec::new() };
        if !value.is_list() {
            return vec![self.texts(value, &section.label, A_TEXT)];
        }
        let list = value.list(A_TEXT);
        list.into_iter().take(MAX_TEXTS).map(|value| self.texts(value, &section.label, A_TEXT)).collect()
    }

    fn texts(&mut self, value: Value<'p>, step: &str, allowed: &str) -> Vec<Prompt> {
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

    fn text(&mut self, value: Value<'p>, step: &str, allowed: &str) -> Option<Prompt> {
        if !value.is_table() {
            let place = value.place.clone();
            let sound = self.sound(value, step, &self.language.clone(), allowed)?;
            let prompt = Prompt::Text(BTreeMap::from([(self.language.clone(), sound)]));
            self.check_languages(&prompt, &place);
            return Some(prompt);
        }
        let place = value.place.clone();
        let table = value.clone().section()?;
        let prompt = match (table.has("say"), table.has("text") || table.has("sound")) {
            (true, _) => return self.said(table, step),
            (false, true) => {
                let sound = self.sound(value, step, &self.language.clone(), allowed)?;
                Prompt::Text(BTreeMap::from([(self.language.clone(), sound)]))
            }
            (false, false) => {
                let mut sounds = BTreeMap::new();
                for value in table.rest() {
                    let told = self.page.told();
                    let Some(language) = language_called(&value) else { continue };
                    let sound = self.sound(value, step, &language, "a text or { text = \"…\", sound = \"name\" }");
                    sounds.extend(sound.filter(|_| self.page.told() == told).map(|sound| (language, sound)));
                }
                if sounds.is_empty() && self.page.is_clean() {
                    value.wrong(allowed);
                }
                Prompt::Text(sounds)
            }
        };
        self.check_languages(&prompt, &place);
        Some(prompt)
    }

    /// Tells in which of the flow's languages a text is missing.
    fn check_languages(&mut self, prompt: &Prompt, place: &Place) {
        let Prompt::Text(sounds) = prompt else { return };
        let missing: Vec<&str> =
            self.languages.iter().map(String::as_str).filter(|l| !sounds.contains_key(*l)).collect();
        if !missing.is_empty() {
            let heard = if sounds.contains_key(&self.language) { self.language.as_str() } else { "another language" };
            let message = format!("this text is missing in {}; callers hear it in {heard}", missing.join(", "));
            self.warnings.push(self.page.problem(place, message));
        }
    }

    /// `{ say = … }`: a value in words, or the text that belongs to it.
    fn said(&mut self, mut table: Section<'p>, step: &str) -> Option<Prompt> {
        let place = table.place.clone();
        let of = table.require("say", "a variable or another expression").and_then(|v| self.open_expression(&v));
        let form = table.take("as");
        let texts = table.take("texts");
        let prompt = match (form, texts) {
            (None, Some(texts)) => {
                let written = texts.section().map(Section::rest).unwrap_or_default();
                let mut choices = BTreeMap::new();
                for value in written.into_iter().take(MAX_CHOICES) {
                    let label = value.label.clone();
                    choices.extend(self.text(value, step, A_TEXT).map(|text| (label, text)));
                }
                let otherwise = table.require("otherwise", "what is said of any other value");
                let otherwise = otherwise.map(|v| self.texts(v, step, A_TEXT)).unwrap_or_default();
                of.map(|of| Prompt::Choose { of, texts: choices, otherwise })
            }
            (form, None) => {
                let form = form.map_or(Some(Form::Digits), |v| {
                    v.parsed("\"digits\", \"number\", \"time\" or \"date\"", |s| match s {
                        "digits" => Some(Form::Digits),
                        "number" => Some(Form::Number),
                        "time" => Some(Form::Time),
                        "date" => Some(Form::Date),
                        _ => None,
                    })
                });
                self.need_pieces(&place);
                of.zip(form).map(|(of, form)| Prompt::Say { of, form })
            }
            (Some(form), Some(_)) => {
                form.wrong("`as` for a value in words, or `texts` for texts of your own, not both");
                None
            }
        };
        table.finish();
        prompt
    }

    /// Values are put together from pieces, in each of the flow's languages.
    fn need_pieces(&mut self, place: &Place) {
        let languages = self.languages.iter().chain([&self.language]).cloned().collect::<Vec<_>>();
        for language in languages {
            let Some(pieces) = numerals::pieces(&language) else {
                let known = numerals::LANGUAGES.join(", ");
                self.page.report(place, format!("values cannot be said in {language} yet; allowed: {known}"));
                continue;
            };
            for piece in pieces {
                let said = Said { it: piece, place: place.clone() };
                self.texts.entry(said.it.name.clone()).or_insert(said);
            }
        }
    }

    /// One text becomes a sound.
    fn sound(&mut self, value: Value<'p>, step: &str, language: &str, allowed: &str) -> Option<String> {
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
            let sound = sound_name(step, language, &text);
            (text, sound)
        };
        let prompt = PromptText { name: sound.clone(), text, language: language.to_owned() };
        let before = self.texts.entry(sound.clone()).or_insert(Said { it: prompt.clone(), place: place.clone() });
        if before.it != prompt {
            self.page.report(&place, format!("the sound `{sound}` has another text above; give this one another name"));
        }
        Some(sound)
    }
}

/// The language that a text's key names.
fn language_called(value: &Value<'_>) -> Option<String> {
    language(&value.label_as_text())
}

/// The name of a text that was given none: it changes with what is said.
fn sound_name(step: &str, language: &str, text: &str) -> String {
    let hash = Sha256::new().chain_update(language).chain_update([0]).chain_update(text).finalize();
    format!("{step}-{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2])
}
