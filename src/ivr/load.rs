//! Text of a flow file → [`Flow`], or every mistake with line, column and what is allowed.
//!
//! ```toml
//! version = 1
//! start = "welcome"            # the first step
//! language = "en"              # of the texts; without it, the center's
//!
//! [step.welcome]               # what a step does is the one of play, menu, queue, transfer, hang_up that it has
//! play = "Welcome."            # a text, { text = "…", sound = "name" }, or a list of these
//! interruptible = true         # default: a key stops it and counts in the next menu
//! next = "menu"
//!
//! [step.menu]
//! menu = "For sales, press 1."
//! keys = { 1 = "sales", "*" = "menu" }
//! timeout = "5s"               # 1s to 1m: how long a key is waited for
//! retries = 2                  # 0 to 10: how often the menu is offered again
//! invalid = "Sorry?"           # said before it is, after a wrong key
//! no_input = "Are you there?"  # … and after none
//! otherwise = "sales"          # where to go after that
//!
//! [step.sales]
//! queue = "sales"
//! priority = 0                 # -1000 to 1000
//! skills = { french = 3 }      # lowest level, 1 to 10
//! full = "busy"                # as many wait as may
//! timeout = "busy"             # waited for too long
//! no_staff = "busy"            # nobody is at work in the queue. Default: as refused
//! long_wait = "busy"           # the expected wait is longer than the queue allows. Default: as refused
//! otherwise = "busy"           # for those of full, timeout, refused that are not given
//!
//! [step.vendor]
//! transfer = "+4930123456"     # an outside number that a trunk may call
//! ring = "30s"                 # 5s to 5m: how long it may ring
//! busy = "busy"                # default: the same as `failed`
//! failed = "busy"              # no answer, refused, or no trunk carries it
//!
//! [step.busy]
//! hang_up = "Please call again later."   # or true, to say nothing
//! ```

mod texts;
mod transfer;
mod ways;

use super::flow::{Flow, HangUpStep, MenuStep, PlayStep, PromptText, QueueStep, Step, is_key};
use crate::center::Trunk;
use crate::ids::{FlowId, QueueId, SkillId, TrunkId};
use crate::written::{A_NAME, Page, Place, Problem, Said, Section, Value, is_name, language};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use ways::Way;

/// The form that is read here.
pub const VERSION: i64 = 1;
/// Steps of one flow.
const MAX_STEPS: usize = 10_000;
/// Characters of one text.
const MAX_TEXT: usize = 2_000;
/// Texts said one after another.
const MAX_TEXTS: usize = 32;
const MENU_TIMEOUT: Duration = Duration::from_secs(5);
const MENU_RETRIES: i64 = 2;
const A_TEXT: &str = "a text, { text = \"…\", sound = \"name\" }, or a list of up to 32 of these";
const A_STEP: &str = "the name of a step";

/// What a flow may refer to.
#[derive(Clone, Debug)]
pub struct Surroundings<'a> {
    pub queues: &'a BTreeSet<QueueId>,
    /// False if mistakes hide which queues there are: then any may be named.
    pub queues_known: bool,
    /// For flows that name none.
    pub language: &'a str,
    /// What outside numbers may be called.
    pub trunks: &'a BTreeMap<TrunkId, Trunk>,
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
}

/// Reads the flow `id` from `text`; `file` is how problems call it.
pub fn load(id: FlowId, file: &str, text: &str, around: &Surroundings<'_>) -> Result<Read, Vec<Problem>> {
    let page = Page::new(file, text);
    let mut root = page.root();
    check_version(&mut root);
    let language = root.take("language").and_then(|value| language(&value)).unwrap_or(around.language.into());
    let start = root.require("start", "the name of the first step").and_then(|v| name(&v, A_STEP));
    let steps = root.require("step", "tables such as [step.welcome]").and_then(|v| v.section());
    root.finish();
    let mut reader = Reader {
        page: &page,
        around,
        language,
        texts: BTreeMap::new(),
        named: BTreeMap::new(),
        ways: Vec::new(),
        steps_known: true,
    };
    let steps = reader.steps(steps.map(Section::rest).unwrap_or_default());
    reader.check_ways(&steps, start.as_ref());
    reader.check_circles();
    let Some(start) = start.filter(|_| page.is_clean()) else { return Err(page.into_problems()) };
    let warnings = reader.unreachable(&steps, &start.it);
    let mut texts: Vec<Said<PromptText>> = std::mem::take(&mut reader.texts).into_values().collect();
    texts.sort_by_key(|said| said.place.start);
    let places = texts.iter().map(|said| (said.it.name.clone(), page.line_and_column(&said.place))).collect();
    let flow = Flow {
        id,
        start: start.it,
        steps: steps.into_iter().map(|(name, step)| (name, step.it)).collect(),
        language: reader.language,
        texts: texts.into_iter().map(|said| said.it).collect(),
    };
    let named = reader.named.iter().map(|(name, place)| (name.clone(), page.line_and_column(place))).collect();
    Ok(Read { flow, warnings, places, named })
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
    around: &'p Surroundings<'p>,
    language: String,
    texts: BTreeMap<String, Said<PromptText>>,
    named: BTreeMap<String, Place>,
    ways: Vec<Way>,
    /// False if a step has a name that cannot be: others may mean it.
    steps_known: bool,
}

impl<'p> Reader<'p> {
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

    fn step(&mut self, mut section: Section<'p>) -> Option<Step> {
        let kinds: Vec<&str> =
            ["play", "menu", "queue", "transfer", "hang_up"].into_iter().filter(|k| section.has(k)).collect();
        let [kind] = kinds[..] else {
            let has = if kinds.is_empty() { "none of them".into() } else { kinds.join(" and ") };
            let message =
                format!("a step has one of play, menu, queue, transfer, hang_up; `{}` has {has}", section.label);
            self.page.report(&section.place, message);
            return None;
        };
        let step = match kind {
            "play" => self.play(&mut section).map(Step::Play),
            "menu" => self.menu(&mut section).map(Step::Menu),
            "queue" => self.queue(&mut section).map(Step::Queue),
            "transfer" => self.transfer(&mut section).map(Step::Transfer),
            _ => Some(Step::HangUp(self.hang_up(&mut section))),
        };
        section.finish();
        step
    }

    fn play(&mut self, section: &mut Section<'p>) -> Option<PlayStep> {
        let prompts = self.prompts(section, "play");
        let interruptible = section.take("interruptible").and_then(|v| v.flag()).unwrap_or(true);
        let next = self.way(section, "next", false)?;
        Some(PlayStep { prompts, interruptible, next })
    }

    fn menu(&mut self, section: &mut Section<'p>) -> Option<MenuStep> {
        let prompts = self.prompts(section, "menu");
        let keys = self.keys(section);
        let timeout = section.duration("timeout", Duration::from_secs(1)..=Duration::from_secs(60), MENU_TIMEOUT);
        let retries = section.whole("retries", 0..=10, MENU_RETRIES) as u32;
        let invalid = self.prompts(section, "invalid");
        let no_input = self.prompts(section, "no_input");
        let otherwise = self.way(section, "otherwise", false)?;
        Some(MenuStep { prompts, keys, timeout, retries, invalid, no_input, otherwise })
    }

    fn keys(&mut self, section: &mut Section<'p>) -> BTreeMap<char, String> {
        let wanted = "a table of keys and steps such as { 1 = \"sales\" }";
        let Some(value) = section.require("keys", wanted) else { return BTreeMap::new() };
        let place = value.place.clone();
        let written = value.section().map(Section::rest);
        if written.as_ref().is_some_and(Vec::is_empty) {
            self.page.report(&place, format!("`keys` is empty; allowed: {wanted}"));
        }
        let mut keys = BTreeMap::new();
        for value in written.unwrap_or_default() {
            let mut chars = value.label.chars();
            let key = chars.next().filter(|key| is_key(*key) && chars.next().is_none());
            if key.is_none() {
                let message = format!("there is no key `{}`; allowed: 0 to 9, \"*\", \"#\", A to D", value.label);
                self.page.report(&value.key_place, message);
            }
            let step = self.way_to(&section.label, &value, true);
            keys.extend(key.zip(step));
        }
        keys
    }

    fn queue(&mut self, section: &mut Section<'p>) -> Option<QueueStep> {
        let queue = section.take("queue").and_then(|value| self.known_queue(&value));
        let priority = section.whole("priority", -1000..=1000, 0) as i32;
        let skills = section.take("skills").map(skills).unwrap_or_default();
        let missing: Vec<_> = ["full", "timeout", "refused"].into_iter().filter(|k| !section.has(k)).collect();
        let mut branch = |key, earned| match section.has(key) {
            true => self.way(section, key, earned),
            false => None,
        };
        let (full, timeout, refused) = (branch("full", false), branch("timeout", true), branch("refused", false));
        let (no_staff, long_wait) = (branch("no_staff", false), branch("long_wait", false));
        let otherwise = match missing.is_empty() && !section.has("otherwise") {
            true => None,
            // Only where it stands for nothing but `timeout` has the caller waited before it is taken.
            false => Some(self.way(section, "otherwise", missing == ["timeout"])?),
        };
        let or = |branch: Option<String>| branch.or_else(|| otherwise.clone());
        let refused = or(refused);
        // A queue that does not take the caller refuses him, unless the flow says more about it.
        let (no_staff, long_wait) = (no_staff.or(refused.clone())?, long_wait.or(refused.clone())?);
        let (full, timeout, refused) = (or(full)?, or(timeout)?, refused?);
        Some(QueueStep { queue: queue?, priority, skills, full, timeout, refused, no_staff, long_wait })
    }

    fn known_queue(&self, value: &Value<'p>) -> Option<QueueId> {
        let known = self.around.queues.iter().map(QueueId::as_str);
        if let (false, Some(queue)) = (self.around.queues_known, value.text_as_written()) {
            return Some(QueueId::new(queue));
        }
        let allowed: Vec<&str> = known.clone().take(20).collect();
        value.one_of(&format!("a queue of the configuration ({})", allowed.join(", ")), known).map(QueueId::new)
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
