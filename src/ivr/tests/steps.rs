//! Each kind of step, word by word.

use super::*;

/// A flow of these steps, with prompts named as they are said.
fn steps(text: &str) -> String {
    let head = "version = 1\nstart = \"a\"\nlanguage = \"en\"\n[variables]\nnote = \"\"\ntries = 0\n";
    let ends =
        "[step.yes]\nhang_up = { text = \"y\", sound = \"y\" }\n[step.no]\nhang_up = { text = \"n\", sound = \"n\" }\n";
    format!("{head}{text}\n{ends}")
}

const COLLECT: &str = r#"[step.a]
collect = { text = "number?", sound = "number" }
into = "ticket"
min = 2
max = 4
first = "5s"
between = "2s"
retries = 1
invalid = { text = "what?", sound = "what" }
no_input = { text = "there?", sound = "there" }
again = { text = "two to four keys", sound = "help" }
next = "b"
otherwise = "no"
[step.b]
attach = { ticket = "ticket" }
next = "yes"
"#;

#[test]
fn a_number_is_collected() {
    let check = |inputs: &str, expect: &str| check_in(&steps(COLLECT), inputs, expect);
    let taken = |number: &str| format!("Collected @b ticket:{number} @yes y!");
    check("go", "answer @a number");
    check("go heard", "silence");
    check("go 1", "stop silence");
    check("go 1 2", "");
    check("go 1 2 #", &taken("12"));
    check("go heard 1 2 3 4", &taken("1234"));
    check("go heard 1 2 3 1s", "");
    check("go heard 1 2 3 2s", &taken("123"));
    check("go heard 1 2s", "WrongKey:again what+help");
    check("go heard 1 2s 1 2 #", &taken("12"));
    check("go heard 1 #", "WrongKey:again what+help");
    check("go heard 1 *", "WrongKey:again what+help");
    check("go heard #", "WrongKey:again what+help");
    check("go heard 5s", "NoKey:again there+help");
    check("go heard 5s heard 5s", "NoKey:last @no n!");
}

#[test]
fn a_number_is_read_back_and_a_secret_is_not_written_down() {
    let confirmed = COLLECT.replace(
        "next = \"b\"",
        "next = \"b\"\nyes = \"5\"\nconfirm = [{ text = \"you keyed\", sound = \"keyed\" }, { say = \"ticket\" }]",
    );
    let check = |inputs: &str, expect: &str| check_in(&steps(&confirmed), inputs, expect);
    check("go heard 4 0 #", "keyed+say-en-4+say-en-0");
    check("go heard 4 0 # 5", "stop Collected @b ticket:40 @yes y!");
    check("go heard 4 0 # heard", "silence");
    check("go heard 4 0 # heard 2", "WrongKey:again what+help");
    check("go heard 4 0 # heard 2 6 6 #", "keyed+say-en-6+say-en-6");
    check("go heard 4 0 # heard 5s", "NoKey:again there+help");
    // A number that he says no to, or nothing, is none for what follows either, and nor is one of an earlier visit.
    let changes = [
        ("retries = 1", "retries = 0"),
        ("otherwise = \"no\"", "otherwise = \"b\""),
        ("next = \"b\"", "next = \"c\""),
        ("next = \"yes\"", "next = \"d\""),
    ];
    let twice = changes.into_iter().fold(confirmed.clone(), |flow, (from, to)| flow.replace(from, to));
    let twice = format!(
        "{twice}[step.c]\nattach = {{ x = \"ticket\" }}\nnext = \"a\"\n\
         [step.d]\nbranch = [{{ when = \"tries > 3\", go = \"no\" }}]\notherwise = \"yes\"\n"
    );
    let check_again = |inputs: &str, expect: &str| check_in(&steps(&twice), inputs, expect);
    check_again("go heard 4 0 # 2", "stop WrongKey:last @b ticket: @d Otherwise @yes y!");
    check_again("go heard 4 0 # heard 5s", "NoKey:last @b ticket: @d Otherwise @yes y!");
    check_again("go heard 4 0 # 5", "stop Collected @c x:40 @a number");
    check_again("go heard 4 0 # 5 6 0 # 2", "stop WrongKey:last @b ticket: @d Otherwise @yes y!");
    // Who was told to end the number with a key does so also where it is whole already: that is no answer.
    check("go heard 4 0 7 7", "keyed+say-en-4+say-en-0+say-en-7+say-en-7");
    check("go heard 4 0 7 7 #", "");
    check("go heard 4 0 7 7 # 5", "stop Collected @b ticket:4077 @yes y!");
    check("go heard 4 0 7 7 # #", "stop WrongKey:again what+help");
    check("go heard 4 0 7 7 heard 2s #", "WrongKey:again what+help");
    // Once he has heard something, or waits for a while, it is one.
    check("go heard 4 0 7 7 heard #", "WrongKey:again what+help");
    let menu = COLLECT.replace("between = \"2s\"", "between = \"10s\"").replace("next = \"b\"", "next = \"m\"");
    let menu = format!(
        "{menu}[step.m]\nmenu = {{ text = \"go on?\", sound = \"m\" }}\nkeys = {{ \"#\" = \"yes\" }}\notherwise = \"no\"\n"
    );
    let check_menu = |inputs: &str, expect: &str| check_in(&steps(&menu), inputs, expect);
    check_menu("go 4 0 7 7 #", "");
    check_menu("go 4 0 7 7 # #", "stop @yes y!");
    check_menu("go 4 0 7 7 heard #", "@yes y!");
    check_menu("go 4 0 7 7 3s #", "stop @yes y!");
    let secret =
        COLLECT.replace("next = \"b\"", "next = \"yes\"\nsecret = true").replace("ticket = \"ticket\"", "x = \"note\"");
    let secret = format!("{secret}[step.c]\nplay = {{ text = \"c\", sound = \"c\" }}\nnext = \"a\"\n");
    for (start, text, expect) in [("a", &secret, true), ("c", &secret, true), ("a", &COLLECT.to_owned(), false)] {
        let stage = Stage::new(flow(&steps(text).replace("start = \"a\"", &format!("start = \"{start}\""))));
        let (mut run, mut now) = (stage.run(), Instant(1));
        tell(&mut run, &mut now, &stage, "go");
        assert_eq!(run.keeps_secret(&stage.flows), expect, "{start}");
    }
}

#[test]
fn calendars_branches_and_announcements_decide() {
    let text = steps(
        r#"[step.a]
banner = "outage"
say = { text = "outage", sound = "outage" }
next = "b"
[step.b]
hours = "desk"
open = "c"
closed = "no"
holiday = "yes"
[step.c]
branch = [{ when = "tries > 3", go = "yes" }, { when = 'caller.class == "number" and weekday == "mon"', go = "d" }]
otherwise = "no"
[step.d]
set = { tries = "4", note = "caller" }
next = "c"
"#,
    );
    // Only by a set that changes what is asked: the loader cannot know, and refuses.
    let refused = load::load(
        FlowId::new("f"),
        "f",
        &text,
        &load::Surroundings {
            hours: ["desk".to_owned()].into(),
            banners: ["outage".to_owned()].into(),
            ..load::Surroundings::with_queues(&[])
        },
    );
    assert!(refused.unwrap_err()[0].message.contains("round for ever: c → d → c"));
    let text = text.replace("next = \"c\"\n", "next = \"e\"\n[step.e]\nbranch = [{ when = \"tries > 3 and note starts '+49'\", go = \"yes\" }]\notherwise = \"no\"\n");
    let mut stage = Stage::new(flow(&text));
    check_on(&stage, "go", "answer @a @b Open @c Case(2) @d @e Case(1) @yes y!");
    stage.banners.insert("outage".into());
    check_on(&stage, "go", "answer @a Announced outage!");
    check_on(&stage, "go heard", "@b Open @c Case(2) @d @e Case(1) @yes y!");
    stage.center.banners.get_mut("outage").unwrap().callers = vec!["+43".into()];
    stage.wall = Wall(stage.wall.0 - 1);
    check_on(&stage, "go", "answer @a @b Closed @no n!");
    stage.wall = Wall(1_767_600_000_000 + 86_400_000);
    check_on(&stage, "go", "answer @a @b Holiday @yes y!");
    stage.wall = Wall(1_767_600_000_000 + 2 * 86_400_000);
    check_on(&stage, "go", "answer @a @b Open @c Otherwise @no n!");
}

const LOOKUP: &str = r#"[step.a]
lookup = "ticket-status"
with = { number = "caller", tries = "tries" }
into = "t"
fields = { state = "text", tier = "number", vip = "flag" }
timeout = "3s"
retries = 1
meanwhile = { text = "moment", sound = "moment" }
found = "b"
not_found = "no"
failed = "c"
[step.b]
play = [
    { say = "t.state", texts = { open = { text = "open", sound = "open" } }, otherwise = { text = "?", sound = "other" } },
    { say = "t.tier", as = "number" },
]
next = "yes"
[step.c]
play = { text = "failed", sound = "failed" }
next = "no"
"#;

#[test]
fn the_ticketing_system_is_asked() {
    let check = |inputs: &str, expect: &str| check_in(&steps(LOOKUP), inputs, expect);
    let asks = "look-up(ticket-status,number=+4930123,tries=0)";
    check("go", &format!("answer @a moment! {asks}"));
    check("go 1", "");
    check("go heard", "");
    check("go found:state=open,tier=21", "Found stop @b open+say-en-20+say-en-1");
    check("go found:state=closed,tier=x,more=1", "Found stop @b other+say-en-0");
    check("go nothing", "NotFound stop @no n!");
    // A system that refuses at once is given a pause; one that could not be asked within the time is not.
    check("go failed", "");
    check("go failed 499ms", "");
    check("go failed 500ms", asks);
    check("go 1s failed", asks);
    check("go 3s", asks);
    check("go 2s", "");
    check("go failed failed", "");
    check("go failed 500ms failed", "Failed stop @c failed");
    check("go never", "Failed stop @c failed");
    check("go failed nothing", "");
    check("go 3s 3s", "Failed stop @c failed");
    check("go 3s nothing", "NotFound stop @no n!");
    check("go found:state=open found:state=open", "");
    // The pauses grow, and all of it ends as soon as if it had hung each time.
    let often = steps(&LOOKUP.replace("retries = 1", "retries = 5"));
    let mut words = String::from("go failed");
    for pause in ["500ms", "1s", "2s", "3s"] {
        check_in(&often, &format!("{words} {pause}"), asks);
        words += &format!(" {pause} failed");
    }
    check_in(&often, &format!("{words} 3s"), asks);
    check_in(&often, &format!("{words} 3s failed"), "Failed stop @c failed");
    // What was heard meanwhile comes to its end before the answer, also after it was asked again.
    let stage = Stage::new(flow(&steps(LOOKUP)));
    for words in ["go", "go 3s"] {
        let (mut run, mut now) = (stage.run(), Instant(1));
        words.split(' ').for_each(|word| tell(&mut run, &mut now, &stage, word));
        asked(&mut run);
        stage.tell(&mut run, now, Input::PlayFinished { token: 1 });
        assert_eq!(asked(&mut run), "silence", "{words}");
        stage.tell(&mut run, now, Input::LookedUp { id: 1, found: Found::Nothing });
        assert_eq!(asked(&mut run), "", "another question's answer");
    }
}

const WAITING: &str = r#"[step.a]
queue = "general"
treatment = "b"
otherwise = "no"
[step.b]
branch = [{ when = "queue.expected > 0", go = "d" }]
otherwise = "c"
[step.c]
play = [{ text = "place", sound = "place" }, { say = "queue.position", as = "number" }]
next = "e"
[step.d]
play = [{ text = "minutes", sound = "minutes" }, { say = "queue.expected", as = "number" }]
next = "e"
[step.e]
music = true
for = "20s"
keys = { 1 = "f", 2 = "g", 3 = "yes" }
next = "b"
[step.f]
leave = "h"
[step.h]
play = { text = "h", sound = "h" }
next = "no"
[step.g]
queue = "other"
otherwise = "no"
"#;

#[test]
fn a_treatment_is_heard_while_waiting() {
    let mut stage = Stage::new(flow(&steps(WAITING)));
    stage.wait = Some(Wait { position: 3, expected: None, waited: Duration::ZERO });
    check_on(&stage, "go", "answer @a queue(general,0,0)");
    check_on(&stage, "go waits", "@b Otherwise @c place+say-en-3");
    check_on(&stage, "go waits waits", "");
    check_on(&stage, "go waits heard", "@e music(general)");
    check_on(&stage, "go waits heard 19s", "");
    check_on(&stage, "go waits heard 20s", "@b Otherwise @c place+say-en-3");
    check_on(&stage, "go waits heard 7", "");
    // A key pressed ahead counts in the music too; one that means nothing there cuts nothing that is said later.
    check_on(&stage, "go waits 1", "stop @e @f Left leave @h h");
    check_on(&stage, "go waits 7", "stop @e music(general)");
    check_on(&stage, "go waits 7 20s", "@b Otherwise @c place+say-en-3");
    check_on(&stage, "go waits heard 1", "stop @f Left leave @h h");
    check_on(&stage, "go waits heard 2", "stop @g Left music(other) queue(other,0,0)");
    check_on(&stage, "go waits heard 3", "stop @yes Left leave y!");
    // Wherever the treatment is, the agent or the queue ends it.
    check_on(&stage, "go full", "@no n!");
    check_on(&stage, "go waits full", "stop @no n!");
    check_on(&stage, "go waits heard late", "stop @no n!");
    check_on(&stage, "go waits agent", "");
    check_on(&stage, "go waits heard agent 1", "");
    check_on(&stage, "go waits heard agent 20s", "");
    check_on(&stage, "go waits agent heard", "");
    check_on(&stage, "go waits agent again", "");
    check_on(&stage, "go waits agent sent-on", "");
    check_on(&stage, "go waits agent again waits", "@b Otherwise @c place+say-en-3");
    check_on(&stage, "go waits heard agent again waits heard late", "stop @no n!");
    check_on(&stage, "go waits heard 2 full", "@no n!");
    check_on(&stage, "go waits heard 2 waits", "");
}

/// Whatever leads to the queue that he waits in leaves him his place and what he was told of it.
#[test]
fn a_key_for_the_queue_that_one_waits_in_gives_nothing_up() {
    let text = steps(WAITING).replace("[variables]", "person = { key = \"0\", step = \"p\" }\n[variables]")
        + "[step.p]\nqueue = \"general\"\ntreatment = \"c\"\notherwise = \"no\"\n";
    let mut stage = Stage::new(flow(&text));
    stage.wait = Some(Wait { position: 3, expected: None, waited: Duration::ZERO });
    check_on(&stage, "go waits heard 0", "person stop @p queue(general,0,0)");
    check_on(&stage, "go waits 0", "stop @e person @p queue(general,0,0)");
    check_on(&stage, "go waits heard 0 waits", "@c place+say-en-3");
    check_on(&stage, "go waits heard 0 waits heard 0 waits heard late", "stop @no n!");
    check_on(&stage, "go waits heard 2 waits", "");
    check_on(&stage, "go waits heard 0 waits heard 2", "stop @g Left music(other) queue(other,0,0)");
    // By now he stands further behind, since somebody of more points has come: he is told no worse.
    let (mut run, mut now) = (stage.run(), Instant(1));
    ["go", "waits", "heard"].iter().for_each(|word| tell(&mut run, &mut now, &stage, word));
    asked(&mut run);
    stage.wait = Some(Wait { position: 9, expected: None, waited: Duration::ZERO });
    ["0", "waits"].iter().for_each(|word| tell(&mut run, &mut now, &stage, word));
    assert_eq!(asked(&mut run), "person stop @p queue(general,0,0) @c place+say-en-3");
}

/// Trap 4 of the peers: the announced place goes back, the announced wait grows while one waits.
#[test]
fn what_a_caller_is_told_never_gets_worse() {
    let mut stage = Stage::new(flow(&steps(WAITING)));
    let (mut run, mut now, mut told) = (stage.run(), Instant(1), Vec::new());
    tell(&mut run, &mut now, &stage, "go");
    for (position, minutes) in [(3, None), (5, None), (2, None), (4, Some(2)), (1, Some(5)), (1, None)] {
        let expected = minutes.map(|minutes| Duration::from_secs(60 * minutes - 59));
        stage.wait = Some(Wait { position, expected, waited: Duration::ZERO });
        let words: &[&str] = if told.is_empty() { &["waits"] } else { &["heard", "20s"] };
        words.iter().for_each(|word| tell(&mut run, &mut now, &stage, word));
        told.push(asked(&mut run).rsplit(' ').next().unwrap_or_default().to_owned());
    }
    let place = ["place+say-en-3", "place+say-en-3", "place+say-en-2"];
    assert_eq!(told[..3], place);
    assert_eq!(told[3..], ["minutes+say-en-2"; 3]);
}

#[test]
fn a_queue_without_staff_and_a_long_wait_have_ways_of_their_own() {
    let queue = "[step.a]\nqueue = \"general\"\notherwise = \"no\"\n";
    for (more, deserted, long) in [
        ("", "@no n!", "@no n!"),
        ("no_staff = \"yes\"\n", "@yes y!", "@no n!"),
        ("long_wait = \"yes\"\n", "@no n!", "@yes y!"),
        ("refused = \"yes\"\n", "@yes y!", "@yes y!"),
        ("refused = \"yes\"\nno_staff = \"no\"\n", "@no n!", "@yes y!"),
    ] {
        let stage = Stage::new(flow(&steps(&format!("{queue}{more}"))));
        check_on(&stage, "go deserted", deserted);
        check_on(&stage, "go too-long", long);
    }
}

/// The first wait that is said counts, with what has been waited by then; another queue begins anew.
#[test]
fn what_a_caller_is_told_of_his_wait_is_kept() {
    let mut stage = Stage::new(flow(&steps(WAITING)));
    let (mut run, mut now) = (stage.run(), Instant(1));
    let seconds = Duration::from_secs;
    tell(&mut run, &mut now, &stage, "go");
    for (expected, waited, words, told) in [
        (None, 0, "waits", None),
        (Some(100), 25, "heard 20s", Some(145)),
        (Some(10), 50, "heard 20s", Some(145)),
        (Some(10), 70, "heard 2", None),
    ] {
        stage.wait = Some(Wait { position: 1, expected: expected.map(seconds), waited: seconds(waited) });
        words.split(' ').for_each(|word| tell(&mut run, &mut now, &stage, word));
        assert_eq!(run.wait_told(), told.map(seconds), "{words} after {waited} s");
    }
    assert_eq!([WAITING, COLLECT].map(|text| flow(&steps(text)).asks(EXPECTED)), [true, false]);
}

#[test]
fn languages_persons_and_other_flows() {
    let text = r#"version = 1
start = "a"
language = "en"
person = { key = "0", step = "q" }
[step.a]
menu = { en = { text = "hello", sound = "hello" }, de = { text = "hallo", sound = "hallo" } }
keys = { 1 = "german", 2 = "over" }
again = [{ text = "again", sound = "once" }, { text = "at last", sound = "twice" }]
retries = 3
otherwise = "q"
[step.german]
language = "de"
next = "a"
[step.over]
flow = "other"
[step.q]
queue = "general"
otherwise = "bye"
[step.bye]
hang_up = true
"#;
    let other = "version = 1\nstart = \"x\"\n[variables]\nn = 7\n[step.x]\nplay = { say = \"n\", as = \"number\" }\nnext = \"y\"\n\
                 [step.y]\nhang_up = true\n";
    let mut stage = Stage::new(flow(text));
    stage.replace(&flow_called("other", other));
    check_on(&stage, "go 1", "stop @german @a hallo");
    check_on(&stage, "go 0", "stop person @q music(general) queue(general,0,0)");
    check_on(&stage, "go 9", "stop WrongKey:again once");
    check_on(&stage, "go 9 9", "stop WrongKey:again twice");
    check_on(&stage, "go 9 9 9", "stop WrongKey:again twice");
    check_on(&stage, "go 9 9 9 9", "stop WrongKey:last @q music(general) queue(general,0,0)");
    check_on(&stage, "go 2", "stop @over @other.x say-en-7");
    check_on(&stage, "go 2 heard", "@other.y FlowEnded");
    stage.flows.remove(&FlowId::new("other"));
    check_on(&stage, "go 2", "stop @over StepGone");
}

/// Another flow may have another meaning for the same name, and says or attaches it.
#[test]
fn what_was_keyed_in_secret_does_not_reach_another_flow() {
    let keyed = |secret: &str| {
        let collect = format!("[step.a]\ncollect = {{ text = \"PIN\", sound = \"pin\" }}\ninto = \"pin\"\n{secret}");
        steps(&format!("{collect}next = \"over\"\notherwise = \"no\"\n[step.over]\nflow = \"other\"\n"))
    };
    let other = "version = 1\nstart = \"x\"\n[variables]\npin = \"none\"\n[step.x]\nattach = { keyed = \"pin\" }\nnext = \"y\"\n\
                 [step.y]\nhang_up = true\n";
    for (secret, expect) in [("", "12"), ("secret = true\n", "none")] {
        let mut stage = Stage::new(flow(&keyed(secret)));
        stage.replace(&flow_called("other", other));
        let taken = format!("Collected @over @other.x keyed:{expect} @other.y FlowEnded");
        check_on(&stage, "go heard 1 2 #", &taken);
    }
}

/// Two flows that lead to each other without a key: no single file shows it, and the run ends nevertheless.
#[test]
fn two_flows_cannot_throw_a_caller_to_and_fro() {
    let to = |other: &str| format!("version = 1\nstart = \"a\"\n[step.a]\nflow = \"{other}\"\n");
    let mut stage = Stage::new(flow(&to("g")));
    stage.replace(&flow_called("g", &to("f")));
    let (mut run, mut now) = (stage.run(), Instant(1));
    tell(&mut run, &mut now, &stage, "go");
    assert!(run.is_over() && asked(&mut run).ends_with("StepGone"));
}

#[test]
fn two_full_queues_that_flow_into_each_other_come_to_an_end() {
    let to = |queue: &str, other: &str| {
        format!(
            "version = 1\nstart = \"a\"\n[step.a]\nqueue = \"{queue}\"\notherwise = \"b\"\n[step.b]\nflow = \"{other}\"\n"
        )
    };
    let mut stage = Stage::new(flow(&to("general", "g")));
    stage.replace(&flow_called("g", &to("other", "f")));
    let (mut run, mut now) = (stage.run(), Instant(1));
    tell(&mut run, &mut now, &stage, "go");
    let rounds = (0..1_000).take_while(|_| {
        tell(&mut run, &mut now, &stage, "full");
        !run.is_over()
    });
    assert!(rounds.count() < 200 && asked(&mut run).ends_with("StepGone"), "it goes on for ever");
    // With time between them a caller may try as often as he has patience.
    let mut run = stage.run();
    tell(&mut run, &mut now, &stage, "go");
    for _ in 0..1_000 {
        tell(&mut run, &mut now, &stage, "1s");
        tell(&mut run, &mut now, &stage, "full");
    }
    assert!(!run.is_over());
}

#[test]
fn a_key_ahead_of_a_secret_is_one_whatever_lies_between() {
    for between in [
        "hours = \"desk\"\nopen = \"pin\"\nclosed = \"pin\"",
        "branch = [{ when = \"line == 'x'\", go = \"pin\" }]\notherwise = \"pin\"",
    ] {
        let text = format!(
            "version = 1\nstart = \"hello\"\n[step.hello]\nplay = \"Hello.\"\nnext = \"between\"\n[step.between]\n{between}\n\
             [step.pin]\ncollect = \"PIN\"\ninto = \"pin\"\nsecret = true\nnext = \"bye\"\notherwise = \"bye\"\n[step.bye]\nhang_up = true\n"
        );
        let stage = Stage::new(flow(&text));
        let (mut run, mut now) = (stage.run(), Instant(1));
        tell(&mut run, &mut now, &stage, "go");
        assert!(run.keeps_secret(&stage.flows), "{between}");
    }
}

/// Any inputs in any order, with every kind of step: it asks for nothing after the end, leaves what it entered, and
/// waits for something as long as it goes on.
#[test]
fn no_order_of_inputs_confuses_any_step() {
    let flows = [COLLECT, LOOKUP, WAITING].map(|text| Stage::new(flow(&steps(text))));
    let words = [
        "go",
        "heard",
        "old",
        "1",
        "2",
        "3",
        "#",
        "*",
        "full",
        "late",
        "agent",
        "again",
        "nothing",
        "failed",
        "never",
        "found:state=open",
        "20s",
        "5s",
        "2s",
    ];
    let mut rng = Rng::from_number(11);
    for round in 0..6_000 {
        let mut stage = Stage::new(flows[round % 3].flows.values().next().unwrap().as_ref().clone());
        let (mut run, mut now, mut in_queue) = (stage.run(), Instant(1), false);
        for _ in 0..40 {
            let over = run.is_over();
            stage.wait = Some(Wait { position: rng.below(9) as u32, expected: None, waited: Duration::ZERO });
            tell(&mut run, &mut now, &stage, words[rng.below(words.len() as u64) as usize]);
            let asked = asked(&mut run);
            assert!(!over || asked.is_empty(), "asked for {asked} after the end");
            for word in asked.split(' ') {
                if word == "leave" {
                    assert!(std::mem::replace(&mut in_queue, false), "left what was not entered");
                } else if word.starts_with("queue(") {
                    in_queue = true;
                }
            }
            in_queue = run.waiting.is_some();
        }
    }
}
