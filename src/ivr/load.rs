//! Text of a flow file → [`Flow`], or every mistake with line, column and what is allowed.
//!
//! ```toml
//! version = 1
//! start = "welcome"            # the first step
//! language = "en"              # of the texts; without it, the center's
//!
//! [step.welcome]               # what a step does is the one of play, menu, queue, hang_up that it has
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
//! otherwise = "busy"           # for those of full, timeout, refused that are not given
//!
//! [step.busy]
//! hang_up = "Please call again later."   # or true, to say nothing
//! ```

use super::flow::{Flow, HangUpStep, MenuStep, PlayStep, PromptText, QueueStep, Step, is_key};
use super::written::{Page, Place, Problem, Said, Section, Value};
use crate::ids::{FlowId, QueueId, SkillId};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

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
const A_NAME: &str = "1 to 64 of a-z, 0-9, _ and -";

/// What a flow may refer to.
#[derive(Clone, Debug)]
pub struct Surroundings<'a> {
    pub queues: &'a BTreeSet<QueueId>,
    /// For flows that name none.
    pub language: &'a str,
}

/// A flow that was read, and what is worth telling about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub flow: Flow,
    pub warnings: Vec<Problem>,
    /// Sound name → line and column of its text.
    pub places: BTreeMap<String, (usize, usize)>,
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
    let mut reader = Reader { page: &page, around, language, texts: BTreeMap::new(), ways: Vec::new() };
    let steps = reader.steps(steps.map(Section::rest).unwrap_or_default());
    reader.check_ways(&steps, start.as_ref());
    reader.check_circles();
    let Some(start) = start.filter(|_| page.is_clean()) else { return Err(page.into_problems()) };
    let warnings = reader.unreachable(&steps, &start.it);
    let mut texts: Vec<Said<PromptText>> = reader.texts.into_values().collect();
    texts.sort_by_key(|said| said.place.start);
    let places = texts.iter().map(|said| (said.it.name.clone(), page.line_and_column(&said.place))).collect();
    let flow = Flow {
        id,
        start: start.it,
        steps: steps.into_iter().map(|(name, step)| (name, step.it)).collect(),
        language: reader.language,
        texts: texts.into_iter().map(|said| said.it).collect(),
    };
    Ok(Read { flow, warnings, places })
}

/// Takes `version` and compares it with the one that is read here.
pub fn check_version(root: &mut Section<'_>) {
    if let Some(version) = root.require("version", "write version = 1 first") {
        version.whole(VERSION..=VERSION);
    }
}

/// A BCP 47 language tag in its usual form: `en`, `de-AT`, `zh-Hant-TW`.
pub fn language(value: &Value<'_>) -> Option<String> {
    let subtag = |s: &str| (1..=8).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric());
    let good = |s: &str| s.len() <= 35 && s.split('-').next().is_some_and(|l| l.len() >= 2) && s.split('-').all(subtag);
    value.parsed("a language such as \"en\" or \"de-AT\"", |s| good(s).then(|| s.to_owned()))
}

/// Whether `s` may name a step, a queue, a flow, a skill or a sound.
pub fn is_name(s: &str) -> bool {
    (1..=64).contains(&s.len()) && s.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

fn name(value: &Value<'_>, what: &str) -> Option<Said<String>> {
    let it = value.parsed(&format!("{what} ({A_NAME})"), |s| is_name(s).then(|| s.to_owned()))?;
    Some(Said { it, place: value.place.clone() })
}

/// One step may lead to another.
#[derive(Clone, Debug)]
struct Way {
    from: String,
    to: String,
    /// Where it is written.
    place: Place,
    /// Whether it is only taken after the caller pressed a key or has waited in a queue.
    earned: bool,
}

struct Reader<'p> {
    page: &'p Page<'p>,
    around: &'p Surroundings<'p>,
    language: String,
    texts: BTreeMap<String, Said<PromptText>>,
    ways: Vec<Way>,
}

impl<'p> Reader<'p> {
    fn steps(&mut self, written: Vec<Value<'p>>) -> BTreeMap<String, Said<Step>> {
        let mut steps = BTreeMap::new();
        for value in written.into_iter().take(MAX_STEPS) {
            let (label, place) = (value.label.clone(), value.key_place.clone());
            if !is_name(&label) {
                self.page.report(&place, format!("a step cannot be called `{label}`; allowed: {A_NAME}"));
            }
            // A step with mistakes still counts as one that exists.
            let step = value.section().and_then(|section| self.step(section));
            let it = step.unwrap_or(Step::HangUp(HangUpStep { prompts: Vec::new() }));
            steps.insert(label, Said { it, place });
        }
        steps
    }

    fn step(&mut self, mut section: Section<'p>) -> Option<Step> {
        let kinds: Vec<&str> = ["play", "menu", "queue", "hang_up"].into_iter().filter(|k| section.has(k)).collect();
        let [kind] = kinds[..] else {
            let has = if kinds.is_empty() { "none of them".into() } else { kinds.join(" and ") };
            let message = format!("a step has one of play, menu, queue, hang_up; `{}` has {has}", section.label);
            self.page.report(&section.place, message);
            return None;
        };
        let step = match kind {
            "play" => self.play(&mut section).map(Step::Play),
            "menu" => self.menu(&mut section).map(Step::Menu),
            "queue" => self.queue(&mut section).map(Step::Queue),
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
        if missing.is_empty() && !section.has("otherwise") {
            return Some(QueueStep {
                queue: queue?,
                priority,
                skills,
                full: full?,
                timeout: timeout?,
                refused: refused?,
            });
        }
        // Only where it stands for nothing but `timeout` has the caller waited before it is taken.
        let otherwise = self.way(section, "otherwise", missing == ["timeout"])?;
        let or = |branch: Option<String>| branch.unwrap_or_else(|| otherwise.clone());
        Some(QueueStep { queue: queue?, priority, skills, full: or(full), timeout: or(timeout), refused: or(refused) })
    }

    fn known_queue(&self, value: &Value<'p>) -> Option<QueueId> {
        let known: Vec<&str> = self.around.queues.iter().map(QueueId::as_str).take(20).collect();
        let allowed = format!("a queue of the configuration ({})", known.join(", "));
        value.parsed(&allowed, |s| Some(QueueId::new(s)).filter(|id| self.around.queues.contains(id)))
    }

    fn hang_up(&mut self, section: &mut Section<'p>) -> HangUpStep {
        let value = section.take("hang_up");
        if value.as_ref().is_some_and(Value::is_true) {
            return HangUpStep { prompts: Vec::new() };
        }
        let prompts = value.map(|v| self.texts(v, &section.label, &format!("true, {A_TEXT}"))).unwrap_or_default();
        HangUpStep { prompts }
    }

    /// The sounds of `key`; none if it is not written.
    fn prompts(&mut self, section: &mut Section<'p>, key: &'static str) -> Vec<String> {
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
            (text?, sound?.it)
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

    /// The step that `key` names.
    fn way(&mut self, section: &mut Section<'p>, key: &'static str, earned: bool) -> Option<String> {
        let value = section.require(key, A_STEP)?;
        self.way_to(&section.label, &value, earned)
    }

    fn way_to(&mut self, from: &str, value: &Value<'p>, earned: bool) -> Option<String> {
        let to = name(value, A_STEP)?;
        self.ways.push(Way { from: from.into(), to: to.it.clone(), place: to.place, earned });
        Some(to.it)
    }

    /// Reports steps that are named and do not exist.
    fn check_ways(&self, steps: &BTreeMap<String, Said<Step>>, start: Option<&Said<String>>) {
        let known: Vec<&str> = steps.keys().map(String::as_str).take(20).collect();
        let named = self.ways.iter().map(|way| (&way.to, &way.place));
        for (to, place) in named.chain(start.map(|start| (&start.it, &start.place))) {
            // Without any step, that is the mistake, and it has been told.
            if !steps.contains_key(to) && !steps.is_empty() {
                self.page.report(place, format!("there is no step `{to}`; the steps are: {}", known.join(", ")));
            }
        }
    }

    /// Reports circles in which a caller who presses nothing goes round for ever: a walk in depth that meets
    /// a step it is still under.
    fn check_circles(&self) {
        let mut ways: BTreeMap<&str, Vec<&Way>> = BTreeMap::new();
        self.ways.iter().filter(|way| !way.earned).for_each(|way| ways.entry(&way.from).or_default().push(way));
        let out = |step: &str| ways.get(step).cloned().unwrap_or_default().into_iter();
        let (mut done, mut open) = (BTreeSet::new(), BTreeSet::new());
        for first in ways.keys() {
            let mut path = vec![(*first, out(first))];
            open.insert(*first);
            while let Some((step, rest)) = path.last_mut() {
                match rest.next() {
                    None => {
                        done.insert(*step);
                        open.remove(*step);
                        path.pop();
                    }
                    Some(way) if open.contains(way.to.as_str()) => {
                        let circle = path.iter().map(|(step, _)| *step).skip_while(|step| *step != way.to);
                        self.report_circle(way, &circle.collect::<Vec<_>>());
                    }
                    Some(way) if done.contains(way.to.as_str()) => {}
                    Some(way) => {
                        open.insert(&way.to);
                        path.push((&way.to, out(&way.to)));
                    }
                }
            }
        }
    }

    fn report_circle(&self, closed_by: &Way, steps: &[&str]) {
        let message = format!(
            "a caller who presses no key would go round for ever: {} → {}; let one of these lead to a step outside",
            steps.join(" → "),
            steps[0]
        );
        self.page.report(&closed_by.place, message);
    }

    /// Warns of steps that nothing leads to.
    fn unreachable(&self, steps: &BTreeMap<String, Said<Step>>, start: &str) -> Vec<Problem> {
        let mut ways: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        self.ways.iter().for_each(|way| ways.entry(&way.from).or_default().push(&way.to));
        let (mut reached, mut todo) = (BTreeSet::from([start]), vec![start]);
        while let Some(step) = todo.pop() {
            let next = ways.get(step).into_iter().flatten();
            todo.extend(next.filter(|to| reached.insert(to)));
        }
        let lost = steps.iter().filter(|(name, _)| !reached.contains(name.as_str()));
        lost.map(|(name, step)| self.page.problem(&step.place, format!("nothing leads to the step `{name}`"))).collect()
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

/// The name of a text that was given none: it changes with what is said.
fn sound_name(step: &str, language: &str, text: &str) -> String {
    let hash = Sha256::new().chain_update(language).chain_update([0]).chain_update(text).finalize();
    format!("{step}-{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Rng;

    fn read(text: &str) -> Result<Read, Vec<Problem>> {
        let queues = BTreeSet::from([QueueId::new("general"), QueueId::new("technical")]);
        load(FlowId::new("f"), "f.toml", text, &Surroundings { queues: &queues, language: "en" })
    }

    const GOOD: &str = r#"version = 1
start = "welcome"
[step.welcome]
play = ["Hello.", { text = "Listen.", sound = "listen" }]
next = "menu"
[step.menu]
menu = "Press 1."
keys = { 1 = "general", "*" = "menu", A = "bye" }
timeout = "7s"
invalid = "Sorry?"
otherwise = "general"
[step.general]
queue = "technical"
priority = -3
skills = { french = 3 }
full = "bye"
otherwise = "welcome2"
refused = "bye"
[step.welcome2]
play = "Hello."
interruptible = false
next = "general"
[step.bye]
hang_up = true
"#;

    #[test]
    fn a_flow_is_read_as_written() {
        let Read { flow, warnings, places } = read(GOOD).unwrap();
        assert_eq!(warnings, []);
        assert_eq!((flow.start.as_str(), flow.language.as_str(), flow.steps.len()), ("welcome", "en", 5));
        let names: Vec<&str> = flow.prompts().iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["welcome-179f1a", "listen", "menu-91aba3", "menu-3d2913", "welcome2-179f1a"]);
        assert_eq!(places["listen"], (4, 19));
        let Step::Menu(menu) = &flow.steps["menu"] else { panic!("menu is a menu") };
        assert_eq!((menu.timeout.as_secs(), menu.retries, menu.no_input.len()), (7, 2, 0));
        assert_eq!(menu.keys, BTreeMap::from([('1', "general".into()), ('*', "menu".into()), ('A', "bye".into())]));
        let Step::Queue(queue) = &flow.steps["general"] else { panic!("general is a queue") };
        let branches = (queue.full.as_str(), queue.timeout.as_str(), queue.refused.as_str());
        assert_eq!((queue.priority, branches), (-3, ("bye", "welcome2", "bye")));
        assert_eq!(queue.skills, BTreeMap::from([(SkillId::new("french"), 3)]));
        assert_eq!(flow.steps["bye"], Step::HangUp(HangUpStep { prompts: vec![] }));
    }

    /// `text` follows a head of two lines; each problem is expected as `line:column` and a part of its message.
    fn check(text: &str, expect: &[&str]) {
        let told = match read(&format!("version = 1\nstart = \"a\"\n{text}")) {
            Ok(read) => read.warnings,
            Err(problems) => problems,
        };
        let told: Vec<String> = told.iter().map(Problem::to_string).collect();
        let fits = |(told, want): (&String, &&str)| {
            let (place, part) = want.split_once(' ').unwrap();
            told.starts_with(&format!("f.toml:{place}: ")) && told.contains(part)
        };
        let all = told.len() == expect.len() && told.iter().zip(expect).all(fits);
        assert!(all, "{text}\nexpected {expect:#?}\ntold {told:#?}");
    }

    #[test]
    fn mistakes_are_told_with_place_and_what_is_allowed() {
        let bye = "[step.a]\nhang_up = true\n";
        check(bye, &[]);
        check("", &["1:1 lacks `step`: tables such as [step.welcome]"]);
        check("[step.b]\nhang_up = true", &["2:9 there is no step `a`; the steps are: b"]);
        check("[step.a]\nplay = \"x\"\nnext = \"c\"", &["5:8 there is no step `c`; the steps are: a"]);
        check("[step.a]\nplay = \"x\"", &["3:7 `a` lacks `next`: the name of a step"]);
        check("[step.a]\nplay = \"\"\nnext = \"b\"\n[step.b]\nhang_up = \"x\"", &["4:8 allowed: a text of 1 to 2000"]);
        check("[step.a]\nhang_up = false", &["4:11 `hang_up` is false; allowed: true, a text"]);
        check("[step.a]\nhang_up = []", &["4:11 `hang_up` is a list; allowed: true, a text"]);
        check("[step.a]\nhang_up = { text = \"x\" }", &["4:1 `hang_up` lacks `sound`"]);
        check(
            "[step.a]\nhang_up = { text = \"x\", sound = \"../x\" }",
            &["4:33 a name (1 to 64 of a-z, 0-9, _ and -)"],
        );
        check(
            "[step.a]\nhang_up = [{ text = \"x\", sound = \"s\" }, { text = \"y\", sound = \"s\" }]",
            &["4:41 the sound `s` has another text above"],
        );
        check(&format!("{bye}next = \"a\""), &["5:1 `next` is not known here; allowed: hang_up"]);
        check(&format!("{bye}[step.B]\nhang_up = true"), &["5:7 a step cannot be called `B`"]);
        check(&format!("{bye}[step.b]\nhang_up = true"), &["5:7 nothing leads to the step `b`"]);
        check("[step.a]\n", &["3:7 `a` has none of them"]);
        check("[step.a]\nplay = \"x\"\nqueue = \"general\"", &["3:7 `a` has play and queue"]);
        check("[step]\na = 1", &["4:5 `a` is 1; allowed: a table"]);
        check(
            "[step.a]\nqueue = \"sales\"\notherwise = \"a\"",
            &["4:9 allowed: a queue of the configuration (general, technical)", "5:13 would go round for ever: a → a"],
        );
        check("[step.a]\nqueue = \"general\"\nfull = \"b\"\n[step.b]\nhang_up = true", &["3:7 `a` lacks `otherwise`"]);
        let menu = "[step.b]\nhang_up = true\n[step.a]\nmenu = \"x\"\notherwise = \"b\"\n";
        check(menu, &["5:7 `a` lacks `keys`"]);
        check(&format!("{menu}keys = {{}}"), &["8:8 `keys` is empty"]);
        check(&format!("{menu}keys = {{ 10 = \"b\" }}"), &["8:10 there is no key `10`; allowed: 0 to 9"]);
        check(
            &format!("{menu}keys = {{ 1 = \"b\" }}\ntimeout = \"500ms\"\nretries = 11"),
            &[
                "9:11 `timeout` is \"500ms\"; allowed: \"1s\" to \"1m\"",
                "10:11 `retries` is 11; allowed: a whole number from 0 to 10",
            ],
        );
        check(&format!("{bye}[step.a]\n"), &["5:7 this is no TOML: duplicate key"]);
        check("language = \"x\"\n[step.a]\nhang_up = true", &["3:12 allowed: a language"]);
    }

    #[test]
    fn circles_without_a_key_or_a_wait_are_refused() {
        let step = |name: &str, next: &str| format!("[step.{name}]\nplay = \"x\"\nnext = \"{next}\"\n");
        let steps = [step("a", "b"), step("b", "c"), step("c", "b")].concat();
        check(&steps, &["11:8 would go round for ever: b → c → b"]);
        let menu = "[step.m]\nmenu = \"x\"\nkeys = { 1 = \"a\" }\notherwise = ";
        check(&format!("{}{menu}\"a\"", step("a", "m")), &["9:13 would go round for ever: a → m → a"]);
        check(&format!("{}{menu}\"q\"\n[step.q]\nhang_up = true", step("a", "m")), &[]);
        let queue = "[step.q]\nqueue = \"general\"\n";
        let bye = "[step.z]\nhang_up = true\n";
        check(&format!("{}{bye}{queue}timeout = \"a\"\notherwise = \"z\"", step("a", "q")), &[]);
        check(&format!("{}{bye}{queue}full = \"a\"\notherwise = \"z\"", step("a", "q")), &["10:8 a → q → a"]);
        let long: String = (0..9000).map(|i| step(&format!("s{i}"), &format!("s{}", i + 1))).collect();
        check(&format!("{}{long}{}", step("a", "s0"), step("s9000", "a")), &["27008:8 s9000 → a"]);
    }

    #[test]
    fn the_version_is_checked() {
        let told = read("version = 2\nstart = \"a\"\n[step.a]\nhang_up = true").unwrap_err();
        assert_eq!(told[0].to_string(), "f.toml:1:11: `version` is 2; allowed: a whole number from 1 to 1");
        let told = read("start = \"a\"\n[step.a]\nhang_up = true").unwrap_err();
        assert_eq!(told[0].to_string(), "f.toml:1:1: the file lacks `version`: write version = 1 first");
    }

    /// Changes, drops and doubles pieces of a good flow: whatever comes of it is read or refused, never a panic.
    #[test]
    fn no_text_makes_it_panic() {
        let mut rng = Rng::from_number(7);
        let (mut good, mut bad) = (0, 0);
        for _ in 0..20_000 {
            let mut bytes = GOOD.as_bytes().to_vec();
            for _ in 0..=rng.below(4) {
                let at = rng.below(bytes.len() as u64) as usize;
                let end = (at + 1 + rng.below(12) as usize).min(bytes.len());
                match rng.below(4) {
                    0 => bytes[at] = b"[]{}=\"'.\n#x1\xc3\x00\xff,"[rng.below(16) as usize],
                    1 => drop(bytes.drain(at..end)),
                    2 => bytes.extend_from_within(at..end),
                    _ => {
                        let piece = bytes[at..end].to_vec();
                        let to = rng.below(bytes.len() as u64) as usize;
                        bytes.splice(to..to, piece);
                    }
                }
            }
            match read(&String::from_utf8_lossy(&bytes)) {
                Ok(_) => good += 1,
                Err(problems) => {
                    assert!(!problems.is_empty(), "a refusal says why");
                    bad += 1;
                }
            }
        }
        assert!(good > 100 && bad > 1000, "{good} good, {bad} bad");
    }
}
