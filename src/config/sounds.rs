//! Which sounds there are, and where each comes from: recordings beside the flows, and texts that must be spoken.

use super::source::{self, Source};
use super::{Problem, Recording, Sound};
use crate::ivr::load::check_version;
use crate::ivr::{PromptText, numerals};
use crate::written::{A_NAME, Page, Value, did_you_mean, is_name, language};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The list of recorded texts, beside the recordings.
const TEXTS: &str = "texts.toml";
/// Characters of one recorded text.
const MAX_TEXT: usize = 2_000;

/// What a directory of sounds holds.
#[derive(Debug)]
pub struct Recordings {
    source: Source,
    dir: PathBuf,
    /// File stem → what is said, and in which language.
    said: BTreeMap<String, (String, String)>,
}

impl Recordings {
    /// Reads the list of `dir`; none there is an empty one. What is wrong with it is added to `problems`.
    pub fn read(source: Source, dir: PathBuf, problems: &mut Vec<Problem>) -> Recordings {
        let path = dir.join(TEXTS);
        let mut said = BTreeMap::new();
        if source.has(&path) {
            match source.text(&path) {
                Ok(text) => said = read_list(&source.shown(&path), &text, problems),
                Err(problem) => problems.push(problem),
            }
        }
        Recordings { source, dir, said }
    }

    /// A sound that says nothing, such as music. None if there is no such recording.
    pub fn music(&self, name: &str, place: &str) -> Option<Sound> {
        let recording = self.source.recording(&self.path(name))?;
        Some(Sound { name: name.into(), place: place.into(), recording: Some(recording), speak: None })
    }

    /// That the recording `name` is not there: where it was looked for, and what is there of nearly this name.
    pub fn lacks(&self, name: &str) -> String {
        let others = self.source.stems(&self.dir, "wav");
        let near = did_you_mean(name, others.iter().map(String::as_str));
        format!("`{name}`: {} is no file{near}", self.source.shown(&self.path(name)))
    }

    /// The best for a text: a recording of exactly this text; else the file of the sound's name, which is
    /// outdated if the list says that another text is heard from it.
    pub fn prompt(&self, prompt: &PromptText, place: &str) -> Sound {
        let same = |said: &(String, String)| said.0 == prompt.text && said.1 == prompt.language;
        let exact = self.said.iter().filter(|(_, said)| same(said));
        let exact = exact.filter_map(|(file, _)| self.source.recording(&self.path(file))).next();
        let named = || self.source.recording(&self.path(&prompt.name));
        let outdated = exact.is_none() && self.said.contains_key(&prompt.name);
        let recording = exact.or_else(named).or_else(|| piece(&prompt.name));
        let speak = (recording.is_none() || outdated).then(|| prompt.clone());
        Sound { name: prompt.name.clone(), place: place.into(), recording, speak }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(Path::new(name).with_extension("wav"))
    }
}

/// Pieces of numbers come with the program, for centers whose own folder has none.
fn piece(name: &str) -> Option<Recording> {
    let path = Path::new(source::DEMO_SOUNDS).join(name).with_extension("wav");
    name.starts_with(numerals::PIECE).then(|| Source::Embedded.recording(&path)).flatten()
}

fn read_list(file: &str, text: &str, problems: &mut Vec<Problem>) -> BTreeMap<String, (String, String)> {
    let page = Page::new(file, text);
    let mut root = page.root();
    check_version(&mut root);
    let written = root.section("recording").rest();
    root.finish();
    let said = written.into_iter().filter_map(recording).collect();
    problems.extend(page.into_problems());
    said
}

fn recording(value: Value<'_>) -> Option<(String, (String, String))> {
    let name = value.label.clone();
    if !is_name(&name) {
        let message = format!("a recording cannot be called `{name}`; allowed: {A_NAME}");
        value.page.report(&value.key_place, message);
    }
    let mut section = value.section()?;
    let text = section.require("text", "what is said").and_then(|v| v.text(MAX_TEXT));
    let language = section.require("language", "the language, such as \"en\"").and_then(|v| language(&v));
    section.finish();
    Some((name, (text?, language?)))
}
