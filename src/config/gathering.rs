//! What the configuration names: flows, and the sounds heard in them and in queues.

use super::read::Written;
use super::sounds::Recordings;
use super::source::Source;
use super::{Problem, Sound, circles, staffing};
use crate::center::Center;
use crate::ids::FlowId;
use crate::ivr::load::{self, Looked, Surroundings};
use crate::ivr::{Flow, PromptText};
use crate::written::{Page, did_you_mean};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Brings it together, each thing once, and collects what is wrong with it.
pub struct Gathering {
    pub source: Source,
    pub flows_dir: PathBuf,
    recordings: Recordings,
    /// By name, with what is said; music says nothing.
    pub sounds: BTreeMap<String, (Sound, Option<PromptText>)>,
    pub problems: Vec<Problem>,
    pub warnings: Vec<Problem>,
}

impl Gathering {
    pub fn new(source: Source, flows_dir: PathBuf) -> Gathering {
        let mut problems = Vec::new();
        let recordings = Recordings::read(source, flows_dir.join("sounds"), &mut problems);
        Gathering { source, flows_dir, recordings, sounds: BTreeMap::new(), problems, warnings: Vec::new() }
    }

    /// All that lies in the directory of flows.
    pub fn all(&mut self, page: &Page<'_>, written: &Written) -> BTreeMap<FlowId, Flow> {
        let flows = self.flows(page, written);
        self.code_texts(page, written);
        self.music(page, written);
        flows
    }

    fn flows(&mut self, page: &Page<'_>, written: &Written) -> BTreeMap<FlowId, Flow> {
        let around = Surroundings { queues_known: written.queues_known, ..Surroundings::of(&written.center) };
        let named = written.flows.iter().map(|(id, place)| (id.clone(), Some(page.problem(place, String::new()))));
        self.lead_from(named.collect(), &around, &written.center)
    }

    /// Of a configuration that is no TOML: the flows that its lines seem to name, or, where none is found, all that are
    /// there. Each is a file of its own, whose mistakes are told with that one; what it names may well be configured.
    pub fn beside_broken(&mut self, written: &Written) {
        let around = Surroundings { queues_known: false, center_known: false, ..Surroundings::of(&written.center) };
        let mut flows: Vec<FlowId> = written.flows.keys().cloned().collect();
        if flows.is_empty() {
            flows = self.source.stems(&self.flows_dir, "toml").iter().map(|stem| FlowId::new(stem)).collect();
        }
        self.lead_from(flows.into_iter().map(|id| (id, None)).collect(), &around, &written.center);
    }

    /// Reads these flows and all that they lead to: with each, where it is named; none where nobody knows whether it is.
    fn lead_from(
        &mut self,
        mut wanted: Vec<(FlowId, Option<Problem>)>,
        around: &Surroundings,
        center: &Center,
    ) -> BTreeMap<FlowId, Flow> {
        let mut flows = BTreeMap::new();
        let mut seen: BTreeSet<FlowId> = wanted.iter().map(|(id, _)| id.clone()).collect();
        let mut leads: BTreeMap<(FlowId, FlowId), Problem> = BTreeMap::new();
        while let Some((id, named)) = wanted.pop() {
            let Some((shown, text)) = self.text_of(&id, named) else { continue };
            let Looked { read, problems, is_broken } = load::look(id.clone(), &shown, &text, around);
            let at = |(line, column)| Problem { file: shown.clone(), line, column, message: String::new() };
            let others = read.flows.iter().filter(|(other, _)| seen.insert((*other).clone()));
            wanted.extend(others.map(|(other, spot)| (other.clone(), Some(at(*spot)).filter(|_| !is_broken))));
            if !is_broken {
                self.prompts(&shown, &read);
                read.music.iter().for_each(|(name, spot)| self.one_music(name, at(*spot)));
                leads.extend(read.flows.iter().map(|(other, spot)| ((id.clone(), other.clone()), at(*spot))));
            }
            if problems.is_empty() {
                self.warnings.extend(staffing::of_flow(&shown, &read, center));
                self.warnings.extend(read.warnings);
                flows.insert(id, read.flow);
            }
            self.problems.extend(problems);
        }
        for circles::Circle { from, to, message } in circles::circles(&flows) {
            let place = leads.get(&(from, to)).cloned();
            self.problems.extend(place.map(|place| Problem { message, ..place }));
        }
        flows
    }

    /// What stands in the file of a flow, and how it is shown.
    fn text_of(&mut self, id: &FlowId, named: Option<Problem>) -> Option<(String, String)> {
        let path = self.flows_dir.join(format!("{id}.toml"));
        let shown = self.source.shown(&path);
        if !self.source.has(&path) {
            let others = self.source.stems(&self.flows_dir, "toml");
            let near = did_you_mean(id.as_str(), others.iter().map(String::as_str));
            let message = format!("there is no flow `{id}`: {shown} is no file{near}");
            self.problems.extend(named.map(|named| Problem { message, ..named }));
            return None;
        }
        match self.source.text(&path) {
            Ok(text) => Some((shown, text)),
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }

    fn prompts(&mut self, file: &str, read: &load::Read) {
        for prompt in read.flow.prompts() {
            let (line, column) = read.places[&prompt.name];
            self.prompt(prompt, Problem { file: file.into(), line, column, message: String::new() });
        }
        for (name, (line, column)) in &read.named {
            let silent = self.sounds.get(name).is_some_and(|(sound, _)| sound.recording.is_none());
            if silent {
                let message = format!("its text is spoken, for nobody has recorded {}", self.recordings.lacks(name));
                self.warnings.push(Problem { file: file.into(), line: *line, column: *column, message });
            }
        }
    }

    /// Adds a text. `at` is a problem without a message yet: where it is written.
    fn prompt(&mut self, prompt: &PromptText, at: Problem) {
        let place = format!("{}:{}:{}", at.file, at.line, at.column);
        match self.sounds.get(&prompt.name) {
            Some((_, Some(other))) if other == prompt => {}
            Some((sound, _)) => {
                let message = format!(
                    "the sound `{}` is something else at {}; give this one another name",
                    prompt.name, sound.place
                );
                self.problems.push(Problem { message, ..at });
            }
            None => {
                let sound = self.recordings.prompt(prompt, &place);
                self.sounds.insert(prompt.name.clone(), (sound, Some(prompt.clone())));
            }
        }
    }

    fn code_texts(&mut self, page: &Page<'_>, written: &Written) {
        for (name, said) in &written.code_texts {
            let language = written.center.language.clone();
            let prompt = PromptText { name: (*name).into(), text: said.it.clone(), language };
            self.prompt(&prompt, page.problem(&said.place, String::new()));
        }
    }

    fn music(&mut self, page: &Page<'_>, written: &Written) {
        for (name, place) in &written.music {
            self.one_music(name, page.problem(place, String::new()));
        }
    }

    /// Adds music. `at` is a problem without a message yet: where it is named.
    fn one_music(&mut self, name: &str, at: Problem) {
        match self.recordings.music(name, &format!("{}:{}:{}", at.file, at.line, at.column)) {
            Some(sound) => drop(self.sounds.entry(name.to_owned()).or_insert((sound, None))),
            None => {
                let message = format!("nobody has recorded the music: {}", self.recordings.lacks(name));
                self.problems.push(Problem { message, ..at });
            }
        }
    }
}
