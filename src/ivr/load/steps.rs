//! What each kind of step says.

use super::{A_STEP, Asked, Reader, name, skills};
use crate::expr::Type;
use crate::ids::{FlowId, QueueId, is_code};
use crate::ivr::flow::{
    BannerStep, BranchStep, CollectStep, HoursStep, LookupStep, MenuStep, MusicStep, PlayStep, QueueStep, Repeats,
    SetStep, Step, is_key,
};
use crate::written::{Said, Section, Value, did_you_mean};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const HALF: Duration = Duration::from_millis(500);
const MINUTE: Duration = Duration::from_secs(60);
/// Keys of one number.
const MAX_KEYS: i64 = 32;
const MAX_CASES: usize = 100;
const MAX_SETTINGS: usize = 50;
/// Names that a call keeps: whoever follows the call is promised that there are no more.
pub const MAX_ATTACHED: usize = 64;
/// What a step does, by the key that says so.
pub(super) const KINDS: [&str; 15] = [
    "play", "menu", "collect", "hours", "branch", "set", "attach", "language", "lookup", "music", "banner", "leave",
    "flow", "queue", "transfer",
];
const LAST_KIND: &str = "hang_up";

/// A key of a telephone.
pub(super) fn a_key(value: &Value<'_>) -> Option<char> {
    value.parsed("a key: \"0\" to \"9\", \"*\", \"#\", \"A\" to \"D\"", |s| {
        let mut chars = s.chars();
        chars.next().filter(|key| is_key(*key) && chars.next().is_none())
    })
}

impl<'p> Reader<'p> {
    pub(super) fn step(&mut self, mut section: Section<'p>) -> Option<Step> {
        let mut kinds: Vec<&str> = KINDS.into_iter().chain([LAST_KIND]).filter(|k| section.has(k)).collect();
        if kinds == ["set", "attach"] {
            kinds.pop();
        }
        let [kind] = kinds[..] else {
            let has = if kinds.is_empty() { "none of them".into() } else { kinds.join(" and ") };
            let all = [KINDS.join(", ").as_str(), LAST_KIND].join(", ");
            let message = format!("a step has one of {all}; `{}` has {has}", section.label);
            self.page.report(&section.place, message);
            return None;
        };
        let step = match kind {
            "play" => self.play(&mut section).map(Step::Play),
            "menu" => self.menu(&mut section).map(Step::Menu),
            "collect" => self.collect(&mut section).map(Step::Collect),
            "hours" => self.hours(&mut section).map(Step::Hours),
            "branch" => self.branch(&mut section).map(Step::Branch),
            "set" | "attach" => self.set(&mut section).map(Step::Set),
            "language" => self.speak(&mut section),
            "lookup" => self.lookup(&mut section).map(Step::Lookup),
            "music" => self.music(&mut section).map(Step::Music),
            "banner" => self.banner(&mut section).map(Step::Banner),
            "leave" => self.way(&mut section, "leave", false).map(|next| Step::Leave { next }),
            "flow" => self.other_flow(&mut section).map(Step::Flow),
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
        let keys = self.keys(section, true);
        let timeout = section.duration("timeout", SECOND..=MINUTE, 5 * SECOND);
        let repeats = self.repeats(section)?;
        Some(MenuStep { prompts, keys, timeout, repeats })
    }

    fn repeats(&mut self, section: &mut Section<'p>) -> Option<Repeats> {
        let most = section.whole("retries", 0..=10, 2) as u32;
        let invalid = self.prompts(section, "invalid");
        let no_input = self.prompts(section, "no_input");
        let again = self.helps(section);
        let otherwise = self.way(section, "otherwise", false)?;
        Some(Repeats { most, invalid, no_input, again, otherwise })
    }

    fn keys(&mut self, section: &mut Section<'p>, required: bool) -> BTreeMap<char, String> {
        let wanted = "a table of keys and steps such as { 1 = \"sales\" }";
        let value = if required { section.require("keys", wanted) } else { section.take("keys") };
        let Some(value) = value else { return BTreeMap::new() };
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

    fn collect(&mut self, section: &mut Section<'p>) -> Option<CollectStep> {
        let prompts = self.prompts(section, "collect");
        let into = section.require("into", "the name of the variable that remembers it");
        let into = into.and_then(|v| self.variable(&v));
        let min = section.whole("min", 1..=MAX_KEYS, 1) as u8;
        let max = section.whole("max", i64::from(min)..=MAX_KEYS, i64::from(min).max(10)) as u8;
        let end = section.take("end").map_or(Some(Some('#')), |v| {
            v.parsed("\"#\", \"*\", or \"\" for none", |s| match s {
                "" => Some(None),
                "#" | "*" => Some(s.chars().next()),
                _ => None,
            })
        });
        let first = section.duration("first", SECOND..=MINUTE, 5 * SECOND);
        let between = section.duration("between", HALF..=MINUTE, 3 * SECOND);
        let secret = section.take("secret").and_then(|v| v.flag()).unwrap_or(false);
        let confirm = self.prompts(section, "confirm");
        let yes = section.take("yes").map_or(Some('1'), |v| a_key(&v));
        let repeats = self.repeats(section);
        let next = self.way(section, "next", true)?;
        let (into, end, yes, repeats) = (into?, end?, yes?, repeats?);
        Some(CollectStep { prompts, into, min, max, end, first, between, confirm, yes, secret, repeats, next })
    }

    fn hours(&mut self, section: &mut Section<'p>) -> Option<HoursStep> {
        let calendar = section.take("hours").and_then(|v| self.known(&v, "a calendar", &self.around.hours));
        let open = self.way(section, "open", false);
        let closed = self.way(section, "closed", false);
        let holiday = if section.has("holiday") { self.way(section, "holiday", false) } else { closed.clone() };
        section.take("holiday");
        Some(HoursStep { calendar: calendar?, open: open?, closed: closed?, holiday: holiday? })
    }

    fn branch(&mut self, section: &mut Section<'p>) -> Option<BranchStep> {
        let allowed = "a list of up to 100 such as [{ when = 'language == \"de\"', go = \"german\" }]";
        let from = section.label.clone();
        let written = section.take("branch")?;
        if written.is_list() && !(1..=MAX_CASES).contains(&written.entries()) {
            written.wrong(allowed);
        }
        let mut cases = Vec::new();
        for value in written.list(allowed).into_iter().take(MAX_CASES) {
            let Some(mut case) = value.section() else { continue };
            let when = case.require("when", "what must be true").and_then(|v| self.condition(&v));
            let go = case.require("go", A_STEP).and_then(|v| self.way_to(&from, &v, false));
            case.finish();
            cases.extend(when.zip(go));
        }
        let otherwise = self.way(section, "otherwise", false)?;
        Some(BranchStep { cases, otherwise })
    }

    fn set(&mut self, section: &mut Section<'p>) -> Option<SetStep> {
        let mut values = Vec::new();
        for value in entries(section.take("set")) {
            let kind = self.variables.get(&value.label).map(crate::expr::Value::kind);
            let Some(kind) = kind else {
                let near = did_you_mean(&value.label, self.variables.keys().map(String::as_str));
                let message = format!("there is no variable `{}`; write it under [variables]{near}", value.label);
                self.page.report(&value.key_place, message);
                continue;
            };
            values.extend(self.value_of(&value, kind).map(|of| (value.label.clone(), of)));
        }
        let mut attach = Vec::new();
        for value in entries(section.take("attach")) {
            // As desktops must: whoever follows the call is promised such names.
            if !is_code(&value.label) {
                let allowed = "1 to 64 of a-z, 0-9, \"_\", \".\" and \"-\"";
                self.page.report(&value.key_place, format!("`{}` is no name; allowed: {allowed}", value.label));
                continue;
            }
            if !self.attached.contains(&value.label) && self.attached.len() == MAX_ATTACHED {
                let many = format!("a call keeps up to {MAX_ATTACHED} names; `{}` may be one too many", value.label);
                self.warnings.push(self.page.problem(&value.key_place, many));
            }
            self.attached.insert(value.label.clone());
            attach.extend(self.open_expression(&value).map(|of| (value.label.clone(), of)));
        }
        let next = self.way(section, "next", false)?;
        Some(SetStep { values, attach, next })
    }

    fn speak(&mut self, section: &mut Section<'p>) -> Option<Step> {
        let language = section.take("language").and_then(|value| crate::written::language(&value));
        let next = self.way(section, "next", false)?;
        Some(Step::Language { language: language?, next })
    }

    fn lookup(&mut self, section: &mut Section<'p>) -> Option<LookupStep> {
        let query = section.take("lookup").and_then(|v| name(&v, "the name of a query")).map(|said| said.it);
        let mut with = Vec::new();
        for value in entries(section.take("with")) {
            with.extend(self.expression(&value).map(|of| (value.label.clone(), of)));
        }
        let into = section.take("into").map_or(Some(section.label.clone()), |v| self.variable(&v));
        let fields = entries(section.take("fields"));
        let fields = fields.iter().filter_map(|v| Some((v.label.clone(), field_type(v)?))).collect();
        let timeout = section.duration("timeout", HALF..=30 * SECOND, 3 * SECOND);
        let retries = section.whole("retries", 0..=5, 1) as u32;
        let meanwhile = self.prompts(section, "meanwhile");
        let found = self.way(section, "found", false);
        let not_found = self.way(section, "not_found", false);
        let failed = if section.has("failed") { self.way(section, "failed", false) } else { not_found.clone() };
        section.take("failed");
        let (found, not_found, failed) = (found?, not_found?, failed?);
        let (query, into) = (query?, into?);
        Some(LookupStep { query, with, into, fields, timeout, retries, meanwhile, found, not_found, failed })
    }

    fn music(&mut self, section: &mut Section<'p>) -> Option<MusicStep> {
        let value = section.take("music")?;
        let sound = match value.is_true() {
            true => Some(None),
            false => name(&value, "true for the queue's, or the name of a recording").map(|said| {
                self.music.entry(said.it.clone()).or_insert(said.place);
                Some(said.it)
            }),
        };
        let duration = section.duration("for", SECOND..=60 * MINUTE, 30 * SECOND);
        let keys = self.keys(section, false);
        // Time has passed, and whoever waits may hang up: no circle through here is a trap.
        let next = self.way(section, "next", true)?;
        Some(MusicStep { sound: sound?, duration, keys, next })
    }

    fn banner(&mut self, section: &mut Section<'p>) -> Option<BannerStep> {
        let banner = section.take("banner").and_then(|v| self.known(&v, "an announcement", &self.around.banners));
        if !section.has("say") {
            section.require("say", "what is said while it is on");
        }
        let prompts = self.prompts(section, "say");
        let next = self.way(section, "next", false)?;
        Some(BannerStep { banner: banner?, prompts, next })
    }

    fn other_flow(&mut self, section: &mut Section<'p>) -> Option<FlowId> {
        let said = section.take("flow").and_then(|v| name(&v, "the name of a flow: its file without .toml"))?;
        let flow = FlowId::new(&said.it);
        self.flows.entry(flow.clone()).or_insert(said.place);
        Some(flow)
    }

    fn queue(&mut self, section: &mut Section<'p>) -> Option<QueueStep> {
        let queue = section.take("queue").and_then(|value| self.known_queue(&value));
        let priority = section.whole("priority", -1000..=1000, 0) as i32;
        let written = section.take("skills");
        let at = written.as_ref().map(|value| value.place.clone());
        let skills = written.map(skills).unwrap_or_default();
        let asked =
            queue.clone().zip(at).map(|(queue, place)| Said { it: Asked { queue, skills: skills.clone() }, place });
        self.asked.extend(asked);
        let preferred = section.take("preferred").and_then(|value| self.open_expression(&value));
        let treatment = if section.has("treatment") { Some(self.way(section, "treatment", false)?) } else { None };
        section.take("treatment");
        let is_missing = |key: &&str| !section.has(key) && !section.misspells(key);
        let missing: Vec<_> = ["full", "timeout", "refused"].into_iter().filter(is_missing).collect();
        let mut branch = |key, earned| match section.has(key) {
            true => self.way(section, key, earned),
            false => section.take(key).and(None), // so that it is among those that are allowed
        };
        let (full, timeout, refused) = (branch("full", false), branch("timeout", true), branch("refused", false));
        let (no_staff, long_wait) = (branch("no_staff", false), branch("long_wait", false));
        let otherwise = match missing.is_empty() && !section.has("otherwise") {
            true => section.take("otherwise").and(None),
            // Only where it stands for nothing but `timeout` has the caller waited before it is taken.
            false => Some(self.way(section, "otherwise", missing == ["timeout"])?),
        };
        let or = |branch: Option<String>| branch.or_else(|| otherwise.clone());
        let refused = or(refused);
        // A queue that does not take the caller refuses him, unless the flow says more about it.
        let (no_staff, long_wait) = (no_staff.or(refused.clone())?, long_wait.or(refused.clone())?);
        let (full, timeout, refused) = (or(full)?, or(timeout)?, refused?);
        Some(QueueStep {
            queue: queue?,
            priority,
            skills,
            preferred,
            treatment,
            full,
            timeout,
            refused,
            no_staff,
            long_wait,
        })
    }

    fn known_queue(&self, value: &Value<'p>) -> Option<QueueId> {
        let known = self.around.queues.iter().map(QueueId::as_str);
        if let (false, Some(queue)) = (self.around.queues_known, value.text_as_written()) {
            return Some(QueueId::new(queue));
        }
        let allowed: Vec<&str> = known.clone().take(20).collect();
        value.one_of(&format!("a queue of the configuration ({})", allowed.join(", ")), known).map(QueueId::new)
    }

    /// One of the center's calendars or announcements, as far as it is known which there are.
    fn known(&self, value: &Value<'p>, what: &str, names: &BTreeSet<String>) -> Option<String> {
        if let (false, Some(name)) = (self.around.center_known, value.text_as_written()) {
            return Some(name.to_owned());
        }
        let names = names.iter().map(String::as_str);
        let some: Vec<&str> = names.clone().take(20).collect();
        value.one_of(&format!("{what} of the configuration ({})", some.join(", ")), names).map(str::to_owned)
    }
}

/// The entries of a table whose keys are names that people give; too many are told.
fn entries<'p>(value: Option<Value<'p>>) -> Vec<Value<'p>> {
    let whole = value.clone();
    let entries = value.and_then(Value::section).map(Section::rest).unwrap_or_default();
    if let Some(whole) = whole.filter(|_| entries.len() > MAX_SETTINGS) {
        whole.wrong(&format!("up to {MAX_SETTINGS} entries"));
    }
    entries.into_iter().take(MAX_SETTINGS).collect()
}

/// What an answer's field is.
pub(super) fn field_type(value: &Value<'_>) -> Option<Type> {
    value.parsed("\"text\", \"number\" or \"flag\"", |s| match s {
        "text" => Some(Type::Text),
        "number" => Some(Type::Number),
        "flag" => Some(Type::Flag),
        _ => None,
    })
}
