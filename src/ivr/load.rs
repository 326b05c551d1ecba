//! Text of a flow file → [`Flow`], or every mistake with line, column and what is allowed.
//!
#![doc = include_str!("../../docs/flows.md")]

mod names;
mod steps;
mod texts;
mod transfer;
mod ways;

use super::flow::{Flow, HangUpStep, PromptText, Step};
use crate::center::{Center, Trunk};
use crate::expr::{Names, Type};
use crate::ids::{FlowId, QueueId, SkillId, TrunkId};
use crate::written::{A_NAME, Page, Place, Problem, Said, Section, Value, is_name, language};
use std::collections::{BTreeMap, BTreeSet};
pub use steps::MAX_ATTACHED;
use steps::a_key;
use ways::Way;

/// The form that is read here.
pub const VERSION: i64 = 1;
/// Steps of one flow.
const MAX_STEPS: usize = 10_000;
/// Characters of one text.
const MAX_TEXT: usize = 2_000;
/// Texts said one after another.
const MAX_TEXTS: usize = 32;
const A_TEXT: &str = "a text, { text = \"…\", sound = \"name\" }, { en = \"…\", de = \"…\" }, \
                      { say = \"variable\", as = \"digits\" }, or a list of up to 32 of these";
const A_STEP: &str = "the name of a step";

/// What a flow may refer to.
#[derive(Clone, Debug)]
pub struct Surroundings {
    pub queues: BTreeSet<QueueId>,
    /// False if mistakes hide which queues there are: then any may be named.
    pub queues_known: bool,
    /// For flows that name none.
    pub language: String,
    /// Names of calendars.
    pub hours: BTreeSet<String>,
    /// Names of announcements.
    pub banners: BTreeSet<String>,
    /// What outside numbers may be called.
    pub trunks: BTreeMap<TrunkId, Trunk>,
    /// False if nobody knows which calendars, announcements and trunks there are: then any may be named.
    pub center_known: bool,
}

impl Surroundings {
    pub fn of(center: &Center) -> Surroundings {
        Surroundings {
            queues: center.queues.keys().cloned().collect(),
            queues_known: true,
            language: center.language.clone(),
            hours: center.hours.keys().cloned().collect(),
            banners: center.banners.keys().cloned().collect(),
            trunks: center.trunks.clone(),
            center_known: true,
        }
    }

    /// These queues and nothing else, in English.
    pub fn with_queues(queues: &[&str]) -> Surroundings {
        Surroundings {
            queues: queues.iter().map(|queue| QueueId::new(queue)).collect(),
            queues_known: true,
            language: "en".to_owned(),
            hours: BTreeSet::new(),
            banners: BTreeSet::new(),
            trunks: BTreeMap::new(),
            center_known: true,
        }
    }
}

/// A flow that was read, and what is worth telling about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub flow: Flow,
    pub warnings: Vec<Problem>,
    /// Sound name → line and column of its text.
    pub places: BTreeMap<String, (usize, usize)>,
    /// Sounds whose names were given by `sound`, with its line and column: somebody means a recording.
    pub named: BTreeMap<String, (usize, usize)>,
    /// Other flows that it leads to, and where.
    pub flows: BTreeMap<FlowId, (usize, usize)>,
    /// Music that it names, and where.
    pub music: BTreeMap<String, (usize, usize)>,
    /// Skills that its steps ask for, and where.
    pub asked: Vec<(Asked, (usize, usize))>,
}

/// What a step asks of whoever shall take the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub queue: QueueId,
    pub skills: BTreeMap<SkillId, u8>,
}

/// A flow that was read, right or wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Of a flow with mistakes only what it names is of use: sounds, music and other flows.
    pub read: Read,
    pub problems: Vec<Problem>,
    /// It is no TOML: of what it names some is not there, and some may have been meant otherwise.
    pub is_broken: bool,
}

/// Reads the flow `id` from `text`; `file` is how problems call it.
///
/// # Errors
/// All that is wrong with it.
pub fn load(id: FlowId, file: &str, text: &str, around: &Surroundings) -> Result<Read, Vec<Problem>> {
    let Looked { read, problems, .. } = look(id, file, text, around);
    if problems.is_empty() { Ok(read) } else { Err(problems) }
}

/// As [`load`], with what can be said of a flow that has mistakes, too.
pub fn look(id: FlowId, file: &str, text: &str, around: &Surroundings) -> Looked {
    let page = Page::new(file, text);
    let mut root = page.root();
    check_version(&mut root);
    let mut reader = Reader::new(&page, around);
    if !around.center_known {
        reader.names.extend(names::of_the_center(text).map(|name| (name.to_owned(), Type::Flag)));
    }
    reader.read_head(&mut root);
    let start = root.require("start", "the name of the first step").and_then(|v| name(&v, A_STEP));
    let person = root.take("person").and_then(|value| reader.person(value));
    let steps = root.require("step", "tables such as [step.welcome]").and_then(|v| v.section());
    root.finish();
    let written = steps.map(Section::rest).unwrap_or_default();
    reader.collect_names(&written);
    let steps = reader.steps(written);
    reader.check_ways(&steps, start.as_ref());
    reader.check_circles();
    let start = start.map(|start| start.it).unwrap_or_default();
    if page.is_clean() {
        reader.check_care(&steps, &start, person.as_ref().map(|(_, step)| step.as_str()));
    }
    let read = reader.read(id, start, steps, person);
    Looked { read, is_broken: page.is_broken(), problems: page.into_problems() }
}

/// Takes `version` and compares it with the one that is read here.
pub fn check_version(root: &mut Section<'_>) {
    if let Some(version) = root.require("version", "write version = 1 first") {
        version.whole(VERSION..=VERSION);
    }
}

fn name(value: &Value<'_>, what: &str) -> Option<Said<String>> {
    let it = value.parsed(&format!("{what} ({A_NAME})"), |s| is_name(s).then(|| s.to_owned()))?;
    Some(Said { it, place: value.place.clone() })
}

struct Reader<'p> {
    page: &'p Page<'p>,
    around: &'p Surroundings,
    language: String,
    /// Those that every text is wanted in.
    languages: Vec<String>,
    texts: BTreeMap<String, Said<PromptText>>,
    named: BTreeMap<String, Place>,
    ways: Vec<Way>,
    /// False if a step has a name that cannot be: others may mean it.
    steps_known: bool,
    /// What expressions may name.
    names: Names,
    /// Variables of this flow with their first values.
    variables: BTreeMap<String, crate::expr::Value>,
    /// Names of PINs and cards.
    secrets: BTreeSet<String>,
    flows: BTreeMap<FlowId, Place>,
    music: BTreeMap<String, Place>,
    asked: Vec<Said<Asked>>,
    /// Names that it attaches.
    attached: BTreeSet<String>,
    warnings: Vec<Problem>,
}

impl<'p> Reader<'p> {
    fn new(page: &'p Page<'p>, around: &'p Surroundings) -> Reader<'p> {
        Reader {
            page,
            around,
            language: around.language.clone(),
            languages: Vec::new(),
            texts: BTreeMap::new(),
            named: BTreeMap::new(),
            ways: Vec::new(),
            steps_known: true,
            names: super::known(around.hours.iter(), around.banners.iter()),
            variables: BTreeMap::new(),
            secrets: BTreeSet::new(),
            flows: BTreeMap::new(),
            music: BTreeMap::new(),
            asked: Vec::new(),
            attached: BTreeSet::new(),
            warnings: Vec::new(),
        }
    }

    fn read_head(&mut self, root: &mut Section<'p>) {
        if let Some(language) = root.take("language").and_then(|value| language(&value)) {
            self.language = language;
        }
        let written = root.take("languages").map(|v| v.list("a list of languages such as [\"en\", \"de\"]"));
        self.languages = written.into_iter().flatten().filter_map(|value| language(&value)).collect();
        self.read_variables(root.section("variables"));
    }

    /// The key that leads to a person.
    fn person(&mut self, value: Value<'p>) -> Option<(char, String)> {
        let mut section = value.section()?;
        let key = section.require("key", "a key such as \"0\"").and_then(|value| a_key(&value));
        let step = self.way(&mut section, "step", true);
        section.finish();
        key.zip(step)
    }

    /// All that was read.
    fn read(
        self,
        id: FlowId,
        start: String,
        steps: BTreeMap<String, Said<Step>>,
        person: Option<(char, String)>,
    ) -> Read {
        let spot = |place: &Place| self.page.line_and_column(place);
        let spots = |places: &BTreeMap<String, Place>| places.iter().map(|(k, p)| (k.clone(), spot(p))).collect();
        let mut texts: Vec<Said<PromptText>> = self.texts.values().cloned().collect();
        texts.sort_by_key(|said| said.place.start);
        let flow = Flow {
            id,
            start,
            steps: steps.into_iter().map(|(name, step)| (name, step.it)).collect(),
            language: self.language.clone(),
            texts: texts.iter().map(|said| said.it.clone()).collect(),
            variables: self.variables.clone(),
            person,
        };
        Read {
            flow,
            places: texts.iter().map(|said| (said.it.name.clone(), spot(&said.place))).collect(),
            named: spots(&self.named),
            flows: self.flows.iter().map(|(flow, place)| (flow.clone(), spot(place))).collect(),
            music: spots(&self.music),
            asked: self.asked.iter().map(|said| (said.it.clone(), spot(&said.place))).collect(),
            warnings: self.warnings,
        }
    }

    fn steps(&mut self, written: Vec<Value<'p>>) -> BTreeMap<String, Said<Step>> {
        let mut steps = BTreeMap::new();
        for value in written.into_iter().take(MAX_STEPS) {
            let (label, place) = (value.label.clone(), value.key_place.clone());
            if !is_name(&label) {
                self.page.report(&place, format!("a step cannot be called `{label}`; allowed: {A_NAME}"));
                self.steps_known = false;
            }
            // A step with mistakes still counts as one that exists.
            let step = value.section().and_then(|section| self.step(section));
            let it = step.unwrap_or(Step::HangUp(HangUpStep { prompts: Vec::new() }));
            steps.insert(label, Said { it, place });
        }
        steps
    }
}

/// Skill → level, from a table such as `{ french = 3 }`.
pub fn skills(value: Value<'_>) -> BTreeMap<SkillId, u8> {
    let mut skills = BTreeMap::new();
    for value in value.section().map(Section::rest).unwrap_or_default() {
        if !is_name(&value.label) {
            let message = format!("a skill cannot be called `{}`; allowed: {A_NAME}", value.label);
            value.page.report(&value.key_place, message);
        }
        skills.extend(value.whole(1..=10).map(|level| (SkillId::new(&value.label), level as u8)));
    }
    skills
}

#[cfg(test)]
mod tests;
