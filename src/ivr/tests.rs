//! Callers led through flows, word by word.

use super::*;
use crate::center::hours::{Day, Hours, Span};
use crate::center::{Banner, Center, Server, Trunk};
use crate::ids::{Rng, TrunkId};
use crate::time::Wall;
use std::collections::BTreeSet;
use std::sync::Arc;

mod steps;

const FLOW: &str = r#"version = 1
start = "hello"
[step.hello]
play = { text = "Hello.", sound = "hello" }
next = "menu"
[step.menu]
menu = { text = "Press 1 or 2.", sound = "menu" }
keys = { 1 = "general", 2 = "law" }
timeout = "5s"
retries = 1
invalid = { text = "What?", sound = "what" }
no_input = { text = "Still there?", sound = "there" }
otherwise = "bye"
[step.law]
play = { text = "This call may be recorded.", sound = "law" }
interruptible = false
next = "general"
[step.general]
queue = "general"
priority = 2
skills = { french = 3 }
full = "bye"
timeout = "menu"
refused = "silent"
[step.silent]
hang_up = true
[step.bye]
hang_up = { text = "Bye.", sound = "bye" }
"#;

fn flow_called(id: &str, text: &str) -> Flow {
    let (hours, banners) = (["desk".to_owned()].into(), ["outage".to_owned()].into());
    let mut trunk = Trunk::new(TrunkId::new("carrier"));
    trunk.server = Some(Server { host: "carrier.example".into(), port: None, transport: None });
    trunk.allowed = vec!["+49".into()];
    let trunks = BTreeMap::from([(trunk.id.clone(), trunk)]);
    let around =
        load::Surroundings { hours, banners, trunks, ..load::Surroundings::with_queues(&["general", "other"]) };
    load::load(FlowId::new(id), "f.toml", text, &around).unwrap_or_else(|told| panic!("{told:#?}")).flow
}

pub(super) fn flow(text: &str) -> Flow {
    flow_called("f", text)
}

/// All that a run may look at, with hands to change it.
pub(super) struct Stage {
    pub flows: BTreeMap<FlowId, Arc<Flow>>,
    pub center: Center,
    wall: Wall,
    banners: BTreeSet<String>,
    wait: Option<Wait>,
}

impl Stage {
    /// On Monday, 2026-01-05, 08:00 UTC, with a desk that is open on weekdays from 08:00 to 18:00.
    pub fn new(flow: Flow) -> Stage {
        let center = include_str!("tests/center.json");
        let mut center: Center = serde_json::from_str(center).unwrap();
        let mut hours = Hours::default();
        (0..5).for_each(|day| hours.weekly[day] = vec![Span::read("08:00-18:00").unwrap()]);
        hours.holidays = vec![Day { year: None, month: 1, day: 6 }];
        center.hours.insert("desk".into(), hours);
        center.banners.insert("outage".into(), Banner { callers: vec!["+49".into()], ..Banner::default() });
        let flows = BTreeMap::from([(flow.id.clone(), Arc::new(flow))]);
        Stage { flows, center, wall: Wall(1_767_600_000_000), banners: BTreeSet::new(), wait: None }
    }

    fn replace(&mut self, flow: &Flow) {
        self.flows.insert(flow.id.clone(), Arc::new(flow.clone()));
    }

    fn tell(&self, run: &mut Run, now: Instant, input: Input) {
        let Stage { flows, center, wall, banners, wait } = self;
        run.handle(now, &Scene { flows, center, wall: *wall, banners, wait: *wait }, input);
    }

    fn run(&self) -> Run {
        let facts = Facts {
            line: None,
            caller: "+4930123".into(),
            is_agent: false,
            language: "en".into(),
            time_zone: "UTC".into(),
        };
        Run::new(self.flows.values().next().unwrap(), facts)
    }
}

/// One word for one input: `go`, `heard` (what was played last), a key, `full`, `late`, `refused`, `agent`,
/// `again`, `found:state=open`, `nothing`, `failed`, `5s` (time passes, then Timeout).
fn tell(run: &mut Run, now: &mut Instant, stage: &Stage, word: &str) {
    let input = match word {
        "go" => Input::Start,
        "heard" => Input::PlayFinished { token: run.last_token },
        "old" => Input::PlayFinished { token: run.last_token.wrapping_sub(1) },
        "full" => Input::QueueResult(QueueResult::Full),
        "late" => Input::QueueResult(QueueResult::TimedOut),
        "refused" => Input::QueueResult(QueueResult::Refused),
        "busy" => Input::TransferResult(TransferResult::Busy),
        "unreached" => Input::TransferResult(TransferResult::Failed),
        "deserted" => Input::QueueResult(QueueResult::NoStaff),
        "too-long" => Input::QueueResult(QueueResult::LongWait),
        "agent" => Input::QueueResult(QueueResult::Answered),
        "again" => Input::WaitsAgain { queue: QueueId::new("general") },
        "sent-on" => Input::WaitsAgain { queue: QueueId::new("other") },
        "waits" => Input::Waits,
        "nothing" => Input::LookedUp { id: looked_up(run), found: Found::Nothing },
        "failed" => Input::LookedUp { id: looked_up(run), found: Found::Failed },
        "never" => Input::LookedUp { id: looked_up(run), found: Found::Refused },
        found if found.starts_with("found:") => {
            let fields = found[6..].split(',').filter_map(|field| field.split_once('='));
            let fields = fields.map(|(field, value)| (field.to_owned(), value.to_owned())).collect();
            Input::LookedUp { id: looked_up(run), found: Found::Fields(fields) }
        }
        key if key.chars().count() == 1 => Input::Digit(key.chars().next().unwrap()),
        time => {
            *now = *now + crate::written::read_duration(time).unwrap();
            Input::Timeout
        }
    };
    stage.tell(run, *now, input);
}

fn looked_up(run: &Run) -> u64 {
    match &run.phase {
        Phase::Looking(looking) => looking.id,
        _ => 0,
    }
}

fn asked(run: &mut Run) -> String {
    let word = |output| match output {
        Output::Answer => "answer".into(),
        Output::Entered { flow, step } if flow.as_str() == "f" => format!("@{step}"),
        Output::Entered { flow, step } => format!("@{flow}.{step}"),
        Output::Play { prompts, interruptible, .. } => prompts.join("+") + if interruptible { "" } else { "!" },
        Output::StopPlaying => "stop".into(),
        Output::NothingChosen { why, again } => format!("{why:?}:{}", if again { "again" } else { "last" }),
        Output::Went { way, .. } => format!("{way:?}"),
        Output::PersonAsked => "person".into(),
        Output::Music(Music::Silence) => "silence".into(),
        Output::Music(Music::Of(queue)) => format!("music({queue})"),
        Output::Music(Music::Named(name)) => format!("music({name})"),
        Output::Leave => "leave".into(),
        Output::LookUp { query, with, .. } => {
            let with: Vec<String> = with.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("look-up({query},{})", with.join(","))
        }
        Output::Attach { label, value } => format!("{label}:{value}"),
        Output::Queue { queue, priority, skills, preferred } => {
            let preferred = preferred.map(|agent| format!(",{agent}")).unwrap_or_default();
            format!("queue({queue},{priority},{}{preferred})", skills.len())
        }
        Output::Transfer { number, ring } => format!("transfer({number},{})", ring.as_secs()),
        Output::HangUp { cause } => format!("{cause:?}"),
    };
    std::iter::from_fn(|| run.poll()).map(word).collect::<Vec<String>>().join(" ")
}

/// Inputs, then what the last of them made the run ask for.
fn check(inputs: &str, expect: &str) {
    check_in(FLOW, inputs, expect);
}

fn check_in(text: &str, inputs: &str, expect: &str) {
    check_on(&Stage::new(flow(text)), inputs, expect);
}

fn check_on(stage: &Stage, inputs: &str, expect: &str) {
    let mut now = Instant(1);
    let mut run = stage.run();
    let mut last = String::new();
    for word in inputs.split(' ') {
        tell(&mut run, &mut now, stage, word);
        last = asked(&mut run);
        // Written down and read back after every input, the run goes on the same.
        run = serde_json::from_str(&serde_json::to_string(&run).unwrap()).unwrap();
    }
    assert_eq!(last, expect, "{inputs}");
}

#[test]
fn who_was_sent_on_hears_the_other_queues_music() {
    check("go 1 agent again", "music(general)");
    check("go 1 agent sent-on", "music(other)");
    // The one to whom he was sent did not take him: he waits where he came from.
    check("go 1 sent-on", "music(other)");
    check("go 1 again", "");
    check("sent-on", "");
}

#[test]
fn a_transfer_that_fails_leads_on() {
    let text = "version = 1\nstart = \"vendor\"\n[step.vendor]\ntransfer = \"+4930123\"\nring = \"20s\"\nbusy = \"a\"\n\
                failed = \"b\"\n[step.a]\nhang_up = true\n[step.b]\nplay = \"Nobody.\"\nnext = \"a\"\n";
    check_in(text, "go", "answer @vendor transfer(+4930123,20)");
    check_in(text, "go busy", "@a FlowEnded");
    check_in(text, "go unreached heard", "@a FlowEnded");
    check_in(text, "go 1", "");
    check_in(text, "go full", "");
    check_in(text, "go busy unreached", "");
}

#[test]
fn a_caller_is_led_step_by_step() {
    check("go", "answer @hello hello");
    check("go go", "");
    check("go old", "");
    check("go heard", "@menu menu");
    check("go heard heard", "silence");
    check("go heard heard 1", "@general music(general) queue(general,2,1)");
    // A key stops the prompt.
    check("go heard 1", "stop @general music(general) queue(general,2,1)");
    // A key pressed ahead counts in the menu behind, which then is not heard.
    check("go 1", "stop @menu @general music(general) queue(general,2,1)");
    check("go 2", "stop @menu @law law!");
    check("go 9", "stop @menu WrongKey:again what+menu");
    // What must be heard is heard, and a key meanwhile counts nowhere.
    check("go 2 1", "");
    check("go 2 heard", "@general music(general) queue(general,2,1)");
    check("go x", "");
    // Wrong keys and silence: once more, then otherwise.
    check("go heard 9", "stop WrongKey:again what+menu");
    check("go heard 9 9", "stop WrongKey:last @bye bye!");
    check("go heard heard 4s", "");
    check("go heard heard 5s", "NoKey:again there+menu");
    check("go heard heard 5s heard 1", "@general music(general) queue(general,2,1)");
    check("go heard heard 5s heard 5s", "NoKey:last @bye bye!");
    check("go heard heard 5s heard 5s heard", "FlowEnded");
    check("go heard heard 5s heard 5s 1", "");
    check("go 1 1", "");
    check("go 1 full", "@bye bye!");
    check("go 1 refused", "@silent FlowEnded");
    check("go 1 agent", "");
    check("go 1 agent late", "");
    // Back from the queue, the menu counts its retries anew.
    check("go 9 1 late", "@menu menu");
    check("go 9 1 late 9", "stop WrongKey:again what+menu");
    check("heard", "");
    check("1", "");
}

#[test]
fn a_key_pressed_ahead_skips_what_may_be_skipped() {
    let play = |name: &str, next: &str, rest: &str| {
        format!("[step.{name}]\nplay = {{ text = \"{name}\", sound = \"{name}\" }}\nnext = \"{next}\"\n{rest}\n")
    };
    let steps = [play("a", "b", ""), play("b", "law", ""), play("law", "c", "interruptible = false")].concat();
    let menu = "[step.menu]\nmenu = { text = \"1\", sound = \"menu\" }\nkeys = { 1 = \"end\" }\notherwise = \"end\"\n";
    let head = "version = 1\nstart = \"a\"\n[step.end]\nhang_up = true\n";
    let text = [head, &steps, &play("c", "menu", ""), menu].concat();
    check_in(&text, "go heard", "@b b");
    check_in(&text, "go 1", "stop @b @law law!");
    check_in(&text, "go 1 heard", "@c @menu @end FlowEnded");
    check_in(&text, "go heard heard heard 7", "stop @menu WrongKey:again menu");
}

#[test]
fn it_is_told_when_to_stop_waiting_for_a_key() {
    let (stage, mut now) = (Stage::new(flow(FLOW)), Instant(1));
    let mut run = stage.run();
    for (word, deadline) in [
        ("go", None),
        ("heard", None),
        ("heard", Some(Instant(1) + Duration::from_secs(5))),
        ("1", None),
        ("agent", None),
    ] {
        tell(&mut run, &mut now, &stage, word);
        assert_eq!((run.deadline(), run.is_over()), (deadline, false), "{word}");
    }
    assert_eq!((run.step(), run.flow().as_str()), ("general", "f"));
}

/// The flow is replaced while the caller is in it.
#[test]
fn a_changed_flow_ends_or_carries_the_call() {
    let replaced = |steps: &str| flow(&format!("version = 1\nstart = \"menu\"\n{steps}"));
    let gone = replaced("[step.menu]\nhang_up = true");
    let kept = replaced("[step.menu]\nqueue = \"general\"\notherwise = \"bye\"\n[step.bye]\nhang_up = true");
    let other = replaced(
        "[step.menu]\nplay = \"x\"\nnext = \"general\"\n[step.general]\nhang_up = true\n\
         [step.hello]\nhang_up = true",
    );
    let rows = [
        ("go", &gone, "heard", "StepGone"),
        ("go heard", &gone, "heard", "FlowEnded"),
        ("go heard heard", &gone, "5s", "@menu FlowEnded"),
        ("go heard", &kept, "heard", "@menu music(general) queue(general,0,0)"),
        ("go heard", &other, "1", "stop @general FlowEnded"),
        ("go 1", &other, "full", "StepGone"),
        ("go 1", &other, "agent", ""),
        ("go 1 agent", &other, "again", "music(general)"),
    ];
    for (before, changed, word, expect) in rows {
        let (mut stage, mut now) = (Stage::new(flow(FLOW)), Instant(1));
        let mut run = stage.run();
        before.split(' ').for_each(|word| tell(&mut run, &mut now, &stage, word));
        asked(&mut run);
        stage.replace(changed);
        tell(&mut run, &mut now, &stage, word);
        assert_eq!(asked(&mut run), expect, "{before}, then {word}");
    }
}

/// Any inputs in any order: it never asks for anything after the end, and asks little for one input.
#[test]
fn no_order_of_inputs_confuses_it() {
    let stage = Stage::new(flow(FLOW));
    let words = ["go", "heard", "old", "1", "2", "9", "#", "full", "late", "refused", "again", "5s", "1s"];
    let (mut rng, mut ended, mut queued) = (Rng::from_number(3), 0, 0);
    for _ in 0..5_000 {
        let (mut run, mut now) = (stage.run(), Instant(1));
        for _ in 0..40 {
            let over = run.is_over();
            tell(&mut run, &mut now, &stage, words[rng.below(words.len() as u64) as usize]);
            let asked = asked(&mut run);
            assert!(!over || asked.is_empty(), "asked for {asked} after the end");
            assert!(asked.split(' ').count() < 8, "{asked}");
            assert_eq!(run.deadline().is_some(), matches!(run.phase, Phase::Listening { .. }));
            queued += u32::from(asked.contains("queue"));
        }
        ended += u32::from(run.is_over());
    }
    assert!(ended > 1000 && queued > 1000, "{ended} ended, {queued} queued");
}

/// The ticketing system says whose case it is; whoever is no number of an agent's is nobody.
#[test]
fn the_owner_of_a_case_has_the_caller_first() {
    let text = r#"version = 1
start = "status"
[step.status]
lookup = "ticket-status"
fields = { owner = "text" }
found = "wait"
not_found = "wait"
failed = "wait"
[step.wait]
queue = "general"
preferred = "status.owner"
otherwise = "over"
[step.over]
hang_up = true
"#;
    for (said, expect) in [("found:owner=1002", ",1002"), ("found:owner=Jo", ""), ("nothing", "")] {
        let last = format!("Found stop @wait music(general) queue(general,0,0{expect})");
        let last = if said == "nothing" { last.replace("Found", "NotFound") } else { last };
        check_in(text, &format!("go {said}"), &last);
    }
}
