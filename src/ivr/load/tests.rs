//! Flow files that are right and wrong.

use super::*;
use crate::ids::Rng;
use crate::written::mangled;

fn read(text: &str) -> Result<Read, Vec<Problem>> {
    let (hours, banners) = (["desk".to_owned()].into(), ["outage".to_owned()].into());
    let around = Surroundings { hours, banners, ..Surroundings::with_queues(&["general", "technical"]) };
    load(FlowId::new("f"), "f.toml", text, &around)
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
fn a_preferred_agent_is_an_expression_that_is_checked() {
    let with = |line: &str| read(&GOOD.replace("priority = -3\n", &format!("priority = -3\n{line}\n")));
    let good = with("preferred = \"1001\"").unwrap();
    let Step::Queue(queue) = &good.flow.steps["general"] else { panic!("general is a queue") };
    assert!(queue.preferred.is_some());
    let wrong = with("preferred = \"ticket.owner\"").unwrap_err();
    assert!(wrong[0].to_string().contains("ticket.owner"), "{wrong:?}");
}

#[test]
fn a_flow_is_read_as_written() {
    let Read { flow, warnings, places, named, .. } = read(GOOD).unwrap();
    assert_eq!(warnings, []);
    assert_eq!((flow.start.as_str(), flow.language.as_str(), flow.steps.len()), ("welcome", "en", 5));
    let names: Vec<&str> = flow.prompts().iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["welcome-179f1a", "listen", "menu-91aba3", "menu-3d2913", "welcome2-179f1a"]);
    assert_eq!((places["listen"], named), ((4, 19), BTreeMap::from([("listen".into(), (4, 47))])));
    let Step::Menu(menu) = &flow.steps["menu"] else { panic!("menu is a menu") };
    assert_eq!((menu.timeout.as_secs(), menu.repeats.most, menu.repeats.no_input.len()), (7, 2, 0));
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
    check("[step.a]\nhang_up = { text = \"x\", sound = \"../x\" }", &["4:33 a name (1 to 64 of a-z, 0-9, _ and -)"]);
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
    check(
        "[step.a]\nqueue = \"general\"\nfull = \"b\"\nrefused = \"b\"\ntimout = \"b\"\n[step.b]\nhang_up = true",
        &[
            "7:1 `timout` is not known here; allowed: full, long_wait, no_staff, otherwise, preferred, priority, queue, refused, \
           skills, timeout, treatment; did you mean \"timeout\"?",
        ],
    );
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
    check(&format!("{bye}[step.a]\n"), &["5:7 `a` is written twice; allowed: once"]);
    check("language = \"x\"\n[step.a]\nhang_up = true", &["3:12 allowed: a language"]);
}

#[test]
fn every_kind_of_step_tells_its_mistakes() {
    let bye = "[step.z]\nhang_up = true\n";
    let check = |text: &str, expect: &[&str]| check(&format!("{bye}{text}"), expect);
    let collect = "[step.a]\ncollect = \"x\"\nnext = \"z\"\notherwise = \"z\"\n";
    check(&format!("{collect}into = \"n\""), &[]);
    check(collect, &["5:7 `a` lacks `into`: the name of the variable"]);
    check(&format!("{collect}into = \"time\""), &["9:8 `into` is \"time\"; allowed: a name that has no meaning yet"]);
    check(&format!("{collect}into = \"n\"\nmin = 5\nmax = 4"), &["11:7 `max` is 4; allowed: a whole number from 5"]);
    check(&format!("{collect}into = \"n\"\nend = \"x\""), &["10:7 allowed: \"#\", \"*\", or \"\" for none"]);
    check(
        &format!("{collect}into = \"n\"\nsecret = true\nconfirm = {{ say = \"n\" }}"),
        &["11:19 `n` is secret: it may be looked up and compared"],
    );
    check(&format!("{collect}into = \"n\"\nconfirm = {{ say = \"m\" }}"), &["10:20 nothing is called `m` here"]);
    check(
        &format!("{collect}into = \"n\"\nconfirm = {{ say = \"n\", as = \"x\" }}"),
        &["10:29 `as` is \"x\"; allowed: \"digits\", \"number\", \"time\" or \"date\""],
    );
    let hours = "[step.a]\nopen = \"z\"\nclosed = \"z\"\n";
    check(&format!("{hours}hours = \"desk\""), &[]);
    check(&format!("{hours}hours = \"dsk\""), &["8:9 allowed: a calendar of the configuration (desk); did you mean"]);
    let branch = "[step.a]\notherwise = \"z\"\n";
    check(&format!("{branch}branch = [{{ when = 'hours.desk', go = \"z\" }}]"), &[]);
    check(&format!("{branch}branch = []"), &["7:10 `branch` is a list; allowed: a list of up to 100"]);
    check(
        &format!("{branch}branch = [{{ when = 'tiem > 08:00', go = \"z\" }}, {{ when = 'time > 8', go = \"y\" }}]"),
        &[
            "7:21 nothing is called `tiem` here",
            "7:63 a time of day is compared with a number",
            "7:74 there is no step `y`",
        ],
    );
    check(
        &format!("{branch}branch = [{{ when = 'time', go = \"z\" }}]"),
        &["7:21 here is a time of day; allowed: true or false"],
    );
    check("[step.a]\nset = { v = \"1\" }\nnext = \"z\"", &["6:9 there is no variable `v`; write it under [variables]"]);
    check("[step.a]\nattach = { who = \"caller\" }\nnext = \"z\"", &[]);
    check("[step.a]\nattach = { Who = \"caller\" }\nnext = \"z\"", &["6:12 `Who` is no name; allowed: 1 to 64 of"]);
    check("[step.a]\nlanguage = \"xx\"\nnext = \"z\"", &["6:12 allowed: a language"]);
    let lookup = "[step.a]\nlookup = \"q\"\nfound = \"b\"\nnot_found = \"z\"\n";
    let say = "[step.b]\nplay = { say = \"a.state\" }\nnext = \"z\"\n";
    check(&format!("{lookup}fields = {{ state = \"text\" }}\n{say}"), &[]);
    check(&format!("{lookup}{say}"), &["10:17 nothing is called `a.state` here"]);
    check(
        &format!("{lookup}fields = {{ state = \"date\" }}\n{say}"),
        &["9:20 allowed: \"text\"", "11:17 nothing is called"],
    );
    check("[step.a]\nmusic = true\nnext = \"a\"", &["3:7 nothing leads to the step `z`"]);
    check("[step.a]\nmusic = true\nfor = \"2h\"\nnext = \"z\"", &["7:7 allowed: \"1s\" to \"1h\""]);
    check("[step.a]\nbanner = \"x\"\nsay = \"x\"\nnext = \"z\"", &["6:10 allowed: an announcement"]);
    check("[step.a]\nbanner = \"outage\"\nnext = \"z\"", &["5:7 `a` lacks `say`"]);
    check("[step.a]\nflow = \"X\"", &["6:8 allowed: the name of a flow"]);
    let menu = "[step.a]\nmenu = \"x\"\nkeys = { 1 = \"z\" }\notherwise = \"z\"\n";
    check(&format!("{menu}again = [\"y\", [\"z\"]]"), &[]);
    check(&format!("{menu}again = 1"), &["9:9 `again` is 1; allowed: a text"]);
}

#[test]
fn texts_are_wanted_in_every_language() {
    let read = |text: &str| {
        let head = "version = 1\nstart = \"a\"\nlanguage = \"en\"\nlanguages = [\"en\", \"de\"]\n";
        let told = match super::tests::read(&format!("{head}[step.a]\nhang_up = {text}")) {
            Ok(read) => read.warnings,
            Err(problems) => problems,
        };
        told.iter().map(Problem::to_string).collect::<Vec<_>>()
    };
    assert_eq!(read("{ en = \"Bye.\", de = \"Tschüss.\" }"), Vec::<String>::new());
    assert_eq!(read("\"Bye.\""), ["f.toml:6:11: this text is missing in de; callers hear it in en"]);
    let told = read("{ de = \"Tschüss.\" }");
    assert_eq!(told, ["f.toml:6:11: this text is missing in en; callers hear it in another language"]);
    assert!(read("{ tetx = \"Bye.\" }")[0].starts_with("f.toml:6:13: `tetx` is \"tetx\"; allowed: a language"));
    assert!(read("{ en = 5 }")[0].starts_with("f.toml:6:18: `en` is 5; allowed: a text"));
    let told =
        super::tests::read("version = 1\nstart = \"a\"\nlanguage = \"fr\"\n[step.a]\nhang_up = { say = \"time\" }");
    assert_eq!(told.unwrap_err()[0].to_string(), "f.toml:5:1: values cannot be said in fr yet; allowed: de, en");
}

#[test]
fn a_caller_finds_a_way_out_and_a_person() {
    let queue = "[step.q]\nqueue = \"general\"\notherwise = \"z\"\n[step.z]\nhang_up = true\n";
    let menu = |name: &str, key: &str, otherwise: &str| {
        format!("[step.{name}]\nmenu = \"x\"\nkeys = {{ 1 = \"{key}\" }}\notherwise = \"{otherwise}\"\n")
    };
    check(&format!("{queue}{}", menu("a", "q", "z")), &[]);
    check(
        &format!("{queue}{}{}", menu("a", "q", "b"), menu("b", "z", "z")),
        &["12:7 no way leads from `b` to a person"],
    );
    check(&format!("{}[step.z]\nhang_up = true\n", menu("a", "z", "z")), &[]);
    let circle = "[step.a]\nmenu = \"x\"\nkeys = { 1 = \"b\" }\notherwise = \"b\"\n\
                  [step.b]\nmusic = true\nnext = \"a\"\n";
    check(circle, &["3:7 no way leads out of `a`: a caller could be trapped here"]);
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

/// Changes, drops and doubles pieces of good flows: whatever comes of it is read or refused, never a panic.
#[test]
fn no_text_makes_it_panic() {
    let mut rng = Rng::from_number(7);
    let (mut good, mut bad) = (0, 0);
    for round in 0..12_000 {
        let text = if round % 20 == 0 { include_str!("../../sim/desk.toml") } else { GOOD };
        match read(&mangled(text, |n| rng.below(n))) {
            Ok(_) => good += 1,
            Err(problems) => {
                assert!(!problems.is_empty(), "a refusal says why");
                bad += 1;
            }
        }
    }
    assert!(good > 100 && bad > 1000, "{good} good, {bad} bad");
}

/// A call keeps so many names: of a flow that attaches more, some may be lost in the middle of a call, which is told. It is
/// read all the same: its ways may never meet.
#[test]
fn a_flow_that_attaches_more_than_64_names_is_read_and_warned_of() {
    let with = |names: usize| {
        let list: Vec<String> = (0..names).map(|n| format!("n{n} = \"line\"")).collect();
        let (first, rest) = list.split_at(40.min(list.len()));
        let step = |name: &str, list: &[String], next: &str| {
            format!("[step.{name}]\nattach = {{ {} }}\nnext = \"{next}\"\n", list.join(", "))
        };
        // A name that comes again is no new one.
        let again = [rest, &list[..1]].concat();
        read(&format!("{GOOD}{}{}", step("one", first, "two"), step("two", &again, "bye")))
    };
    let warned = |names| {
        let mut told: Vec<String> = with(names).expect("a flow").warnings.iter().map(ToString::to_string).collect();
        told.retain(|told| told.contains("names"));
        told
    };
    assert_eq!(warned(64), Vec::<String>::new());
    let wrong = warned(65);
    let column = "attach = { ".len() + (40..64).map(|n| format!("n{n} = \"line\", ").len()).sum::<usize>() + 1;
    let line = GOOD.lines().count() + 5;
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    let told = &wrong[0];
    assert!(told.contains(&format!(":{line}:{column}")) && told.contains("`n64`"), "{told} at {line}:{column}");
}
