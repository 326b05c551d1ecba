//! A flow as a picture: a tree for a terminal, and a chart in the language of Mermaid for pages.

use super::flow::{Flow, Prompt, QueueStep, Step};
use crate::expr::Expr;
use std::collections::BTreeSet;
use std::fmt::Write;

/// Characters of a text that are shown.
const MAX_SHOWN: usize = 60;

/// What a step does, in a few words.
fn told(flow: &Flow, step: &Step) -> String {
    let said = |prompts: &[Prompt]| shown(&words(flow, prompts));
    match step {
        Step::Play(step) => said(&step.prompts),
        Step::Menu(step) => format!("menu {}", said(&step.prompts)),
        Step::Collect(step) => {
            let secret = if step.secret { " (secret)" } else { "" };
            format!("collect {} to {} keys{secret} {}", step.min, step.max, said(&step.prompts))
        }
        Step::Hours(step) => format!("hours {}", step.calendar),
        Step::Branch(step) => format!("branch of {}", step.cases.len()),
        Step::Set(step) => {
            let named = |verb, of: &[(String, Expr)]| {
                let names: Vec<&str> = of.iter().map(|(name, _)| name.as_str()).collect();
                (!of.is_empty()).then(|| format!("{verb} {}", names.join(", ")))
            };
            let both = [named("sets", &step.values), named("notes", &step.attach)];
            both.into_iter().flatten().collect::<Vec<_>>().join(", ")
        }
        Step::Language { language, .. } => format!("speaks {language}"),
        Step::Lookup(step) => format!("looks up {}", step.query),
        Step::Music(step) => format!("music for {} s", step.duration.as_secs()),
        Step::Banner(step) => format!("while {} is on: {}", step.banner, said(&step.prompts)),
        Step::Leave { .. } => "leaves the queue".to_owned(),
        Step::Flow(flow) => format!("flow {flow}"),
        Step::Queue(step) => queue(step),
        Step::Transfer(step) => format!("transfer to {}", step.number),
        Step::HangUp(step) if step.prompts.is_empty() => "hangs up".to_owned(),
        Step::HangUp(step) => format!("{}, hangs up", said(&step.prompts)),
    }
}

/// As a walk through the flow says it.
fn queue(step: &QueueStep) -> String {
    let skills: Vec<String> = step.skills.iter().map(|(skill, level)| format!("{skill} {level}")).collect();
    let wanted = if skills.is_empty() { String::new() } else { format!(" for {}", skills.join(", ")) };
    let points = if step.priority == 0 { String::new() } else { format!(", priority {}", step.priority) };
    let first = step.preferred.as_ref().map(|agent| format!(", first for agent {agent}")).unwrap_or_default();
    format!("queue {}{wanted}{points}{first}", step.queue)
}

/// The texts of prompts in the flow's language, with values as their names.
fn words(flow: &Flow, prompts: &[Prompt]) -> String {
    let text = |sound: &String| flow.texts.iter().find(|text| text.name == *sound).map(|text| text.text.clone());
    let word = |prompt: &Prompt| match prompt {
        Prompt::Text(sounds) => sounds.get(&flow.language).or(sounds.values().next()).and_then(text),
        Prompt::Say { of, .. } | Prompt::Choose { of, .. } => Some(format!("‹{}›", of.names().join(", "))),
    };
    prompts.iter().filter_map(word).collect::<Vec<_>>().join(" ")
}

fn shown(text: &str) -> String {
    format!("“{}”", cut(text))
}

fn cut(text: &str) -> String {
    let cut: String = text.chars().take(MAX_SHOWN).collect();
    let more = if text.chars().count() > MAX_SHOWN { "…" } else { "" };
    cut + more
}

/// Every way out of a step: when it is taken, of a branch with its conditions, and where it leads.
fn labelled(step: &Step) -> Vec<(String, &str)> {
    let Step::Branch(branch) = step else { return step.ways() };
    let conditions = branch.cases.iter().map(|(when, _)| Some(cut(&when.to_string()))).chain([None]);
    let ways = step.ways().into_iter().zip(conditions);
    ways.map(|((label, to), when)| (when.map_or(label.clone(), |when| format!("{label}: {when}")), to)).collect()
}

/// Ways that lead to the same step, drawn as one: `full, timeout`.
fn ways<'f>(flow: &'f Flow, step: &'f Step) -> Vec<(String, &'f str)> {
    let asks = matches!(step, Step::Menu(_));
    let person = flow.person.as_ref().filter(|_| asks).map(|(key, to)| (format!("key {key}: a person"), to.as_str()));
    let mut ways: Vec<(String, &str)> = Vec::new();
    for (label, to) in labelled(step).into_iter().chain(person) {
        match ways.iter_mut().find(|(_, other)| *other == to) {
            Some((labels, _)) => *labels = format!("{labels}, {label}"),
            None => ways.push((label, to)),
        }
    }
    ways
}

/// The flow as a tree; a step that several lead to is drawn where the first does.
pub fn tree(flow: &Flow) -> String {
    let mut drawn = String::new();
    let mut seen = BTreeSet::from([flow.start.as_str()]);
    // What is still to be drawn, the next last: the step, its way there, and what stands before it.
    let mut todo = vec![(flow.start.as_str(), String::new(), String::new(), String::new(), true)];
    while let Some((name, label, before, below, first)) = todo.pop() {
        let Some(step) = flow.steps.get(name) else { continue };
        let label = if label.is_empty() { label } else { format!("[{label}] ") };
        if !first {
            _ = writeln!(drawn, "{before}{label}↩ {name}");
            continue;
        }
        _ = writeln!(drawn, "{before}{label}{name}: {}", told(flow, step));
        let ways = ways(flow, step);
        // All of a step's ways are claimed before any is followed, so that neighbours stand beside each other.
        let fresh: Vec<bool> = ways.iter().map(|(_, to)| seen.insert(*to)).collect();
        let last = ways.len().saturating_sub(1);
        for (place, ((label, to), fresh)) in ways.into_iter().zip(fresh).enumerate().rev() {
            let (branch, rest) = if place == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            todo.push((to, label, format!("{below}{branch}"), format!("{below}{rest}"), fresh));
        }
    }
    drawn
}

/// The flow as a chart that Mermaid draws.
pub fn mermaid(flow: &Flow) -> String {
    let mut chart = "flowchart TD\n".to_owned();
    let id = |name: &str| format!("s_{}", name.replace('-', "__"));
    let quoted = |text: &str| text.replace('"', "'").replace(['<', '>', '#', ';'], " ");
    for (name, step) in &flow.steps {
        let (open, close) = match step {
            Step::Menu(_) | Step::Collect(_) => ("{{", "}}"),
            Step::Hours(_) | Step::Branch(_) => ("{", "}"),
            Step::Queue(_) => ("([", "])"),
            Step::HangUp(_) | Step::Flow(_) | Step::Transfer(_) => ("((", "))"),
            _ => ("[", "]"),
        };
        let text = quoted(&told(flow, step));
        _ = writeln!(chart, "    {}{open}\"<b>{name}</b><br/>{text}\"{close}", id(name));
    }
    _ = writeln!(chart, "    start((call)) --> {}", id(&flow.start));
    for (name, step) in &flow.steps {
        for (label, to) in ways(flow, step) {
            let label = if label.is_empty() { label } else { format!("|\"{}\"|", quoted(&label)) };
            _ = writeln!(chart, "    {} -->{label} {}", id(name), id(to));
        }
    }
    chart
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::FlowId;
    use crate::ivr::load::{Surroundings, load};

    fn flow() -> Flow {
        let text = r#"version = 1
start = "hello"
person = { key = "0", step = "people" }
[step.hello]
play = "Hello."
next = "menu"
[step.menu]
menu = ["Press 1.", { say = "time", as = "time" }]
keys = { 1 = "people" }
otherwise = "bye"
[step.people]
queue = "general"
treatment = "hold"
otherwise = "bye"
[step.hold]
music = true
keys = { 1 = "bye" }
next = "hold"
[step.bye]
hang_up = "Bye."
"#;
        let around = Surroundings::with_queues(&["general"]);
        load(FlowId::new("f"), "f.toml", text, &around).unwrap().flow
    }

    #[test]
    fn a_flow_is_drawn_as_a_tree() {
        let expect = "\
hello: “Hello.”
└─ menu: menu “Press 1. ‹time›”
   ├─ [key 1, key 0: a person] people: queue general
   │  ├─ [while waiting] hold: music for 30 s
   │  │  ├─ [key 1] ↩ bye
   │  │  └─ [then] ↩ hold
   │  └─ [full, timeout, refused] ↩ bye
   └─ [otherwise] bye: “Bye.”, hangs up
";
        assert_eq!(tree(&flow()), expect);
    }

    #[test]
    fn a_drawing_shows_conditions_and_what_a_queue_is_asked_for() {
        let text = r#"version = 1
start = "who"
[variables]
owner = ""
[step.who]
branch = [{ when = 'caller starts "+49"', go = "note" }]
otherwise = "people"
[step.note]
set = { owner = '"1001"' }
attach = { owner = "owner" }
next = "people"
[step.people]
queue = "general"
priority = 5
preferred = "owner"
otherwise = "bye"
[step.bye]
hang_up = "Bye."
"#;
        let around = Surroundings::with_queues(&["general"]);
        let flow = load(FlowId::new("f"), "f.toml", text, &around).unwrap().flow;
        let expect = "\
who: branch of 1
├─ [case 1: caller starts \"+49\"] note: sets owner, notes owner
│  └─ ↩ people
└─ [otherwise] people: queue general, priority 5, first for agent owner
   └─ [full, timeout, refused] bye: “Bye.”, hangs up
";
        assert_eq!(tree(&flow), expect);
    }

    #[test]
    fn a_flow_is_drawn_as_a_chart() {
        let chart = mermaid(&flow());
        for line in [
            "flowchart TD",
            "    s_menu{{\"<b>menu</b><br/>menu “Press 1. ‹time›”\"}}",
            "    start((call)) --> s_hello",
            "    s_hello --> s_menu",
            "    s_people -->|\"while waiting\"| s_hold",
            "    s_people -->|\"full, timeout, refused\"| s_bye",
        ] {
            assert!(chart.lines().any(|drawn| drawn == line), "{line} is not in\n{chart}");
        }
    }
}
