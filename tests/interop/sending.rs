//! What is done at a desktop with the call that one has, heard by those whom it is sent to; and what one may not do.

use super::capture::Leg;
use super::desktop::{Office, lines};
use super::flow::flow;
use super::harness::{GENEROUS, Ground, SECOND, talk_for, wait_until};
use super::heard::{assert_sounds, assert_talk, heard_by, sound};
use super::peers::{Sipp, phone, phone_agent, try_register};
use super::server::{DIRECT, TIERLINE, Wishes};
use super::trunks::{Carrier, VENDOR, wishes};
use serde_json::{Value, json};
use std::process::Command;

const CALLER: f64 = 600.0;
const ADA: f64 = 1000.0;
const BEN: f64 = 800.0;
const VENDORS: f64 = 700.0;

/// From a screener to a queue, from there to an agent by name, from him to a number outside: each hears the caller and is
/// heard, one after the other.
#[test]
fn a_desktop_sends_the_caller_to_a_queue_an_agent_and_a_number_and_each_is_heard() {
    let ground = Ground::new("desktop_sends");
    let port = ground.port();
    let carrier = Carrier { name: "carrier", port, more: "options = \"0s\"\n".to_owned() };
    let agents = ["ada", "ben"].map(str::to_owned).to_vec();
    let wishes = Wishes { agents, queue: "transfers = [\"+4940\"]\n", ..wishes(&ground, &[carrier]) };
    let office = Office::furnished(&ground, None, wishes);
    let capture = ground.capture();
    let vendor = Sipp { name: "vendor", scenario: "agent_answers", at: Some(port), says: VENDORS, ..Sipp::default() };
    let _vendor = vendor.start(&ground, &office.server);
    let _ada = phone_agent(&ground, &office.server, "ada", ADA, &["--answer", "0"]);
    let (_watch_ada, _watch_ben) = (office.watch("ada", 1), office.watch("ben", 1));
    let caller = Sipp { seconds: 30.0, says: CALLER, from: "guest", number: DIRECT, ..Sipp::default() };
    let mut caller = caller.start(&ground, &office.server);
    office.sees("ada", "established", 1);
    let _ben = phone_agent(&ground, &office.server, "ben", BEN, &["--answer", "0"]);
    talk_for(2 * SECOND);
    office.asks("ada", "on", json!({ "transfer": { "queue": "technical" } }));
    office.sees("ben", "established", 1);
    office.asks("ada", "coded", json!({ "dispose": { "disposition": "sent-on" } }));
    talk_for(2 * SECOND);
    office.asks("ben", "back", json!({ "transfer": { "agent": 1001 } }));
    office.sees("ada", "established", 2);
    talk_for(2 * SECOND);
    let premium = office.asks_key("ada", "dear", json!({ "transfer": { "number": "+49900123" } }));
    assert_eq!(premium["refused"]["why"], "NOT_ALLOWED", "{premium}");
    office.asks("ada", "out", json!({ "transfer": { "number": VENDOR } }));
    assert_eq!(office.sees("ada", "transferred", 2)["number"], VENDOR);
    assert_eq!(caller.wait(60 * SECOND), 0, "SIPp is not content");
    office.server.wait_ended(1, GENEROUS);
    let capture = capture.stop();
    let legs = capture.legs();
    assert_eq!(legs.len(), 5, "{legs:?}");
    let caller = &legs[0];
    let heard = |leg: &Leg, hz: f64, until: f64| {
        let time = (leg.talk().0, leg.talk().1.min(until));
        assert!(time.1 - time.0 > 1.0, "{} talked for {:.1} s only", leg.to, time.1 - time.0);
        assert_talk(&capture, &office.server, (caller, leg), hz, time);
        assert_talk(&capture, &office.server, (leg, caller), CALLER, time);
    };
    for (leg, hz) in legs[1..].iter().zip([ADA, BEN, ADA, VENDORS]) {
        heard(leg, hz, caller.talk().1);
    }
}

/// Whose call rings on a number outside has no phone that could be told to answer, whatever it says of itself.
#[test]
fn a_number_outside_is_not_answered_from_the_desktop() {
    let ground = Ground::new("desktop_outside");
    let port = ground.port();
    let carrier = Carrier { name: "carrier", port, more: "options = \"0s\"\n".to_owned() };
    let last_agent = format!("number = \"{VENDOR}\"\n");
    let office = Office::furnished(&ground, None, Wishes { last_agent, ..wishes(&ground, &[carrier]) });
    let steps = "it rings and says that it could be told\n< INVITE\n> 180\n  Allow-Events: talk\n\
                 < CANCEL\n> 200 CANCEL\n> 487 INVITE\n< ACK\n";
    let scenario = flow(steps).scenario();
    let outside = Sipp { name: "outside", text: Some(&scenario), at: Some(port), ..Sipp::default() };
    let mut outside = outside.start(&ground, &office.server);
    let _watch = office.watch("ada", 1);
    let mut caller = phone(&ground, &office.server, "caller", &["--dial", DIRECT, "--hang-up", "8"]);
    office.sees("ada", "delivered", 1);
    // The 180 may be on its way: refused before it and after it.
    for key in ["1", "2", "3", "4"] {
        assert_eq!(office.asks_key("ada", key, json!({ "answer": {} }))["refused"]["why"], "PHONE_CANNOT");
    }
    assert_eq!((caller.wait(GENEROUS), outside.wait(GENEROUS)), (0, 0), "{}", caller.output());
}

const ANNOUNCED: &str = r#"version = 1
start = "outage"
language = "en"
languages = ["en"]
[step.outage]
banner = "outage"
say = { en = { text = "To talk to somebody about it, press 1. Otherwise, just hang up.", sound = "desk-more-en" } }
next = "who"
[step.who]
branch = [{ when = 'caller.class == "withheld"', go = "private" }]
otherwise = "people"
[step.private]
queue = "technical"
otherwise = "over"
[step.people]
queue = "general"
otherwise = "over"
[step.over]
hang_up = true
"#;

/// A banner is switched from the command line: the next caller hears it, desktops are told, and the snapshot of who comes
/// then has it, also after a kill -9. A caller who withholds his number is known by that to the flow, and by nothing else
/// to the desktop and to the ticketing system.
#[test]
fn a_banner_is_heard_once_it_is_switched_and_a_withheld_number_is_told_to_nobody() {
    let ground = Ground::new("desktop_banner");
    let (mut office, _tickets) = Office::led(&ground, "desk", ANNOUNCED, "[banner.outage]\n");
    let _ada = phone_agent(&ground, &office.server, "ada", ADA, &["--answer", "0"]);
    let watch = office.watch("ada", 1);
    assert_eq!(office.seen("ada")[0]["snapshot"].get("banners"), None, "none is on");
    let capture = ground.capture();
    let call = |office: &Office, name: &'static str, from: &'static str| {
        let caller = Sipp { name, from, number: "300", seconds: 7.0, ..Sipp::default() };
        assert_eq!(caller.start(&ground, &office.server).wait(60 * SECOND), 0, "SIPp is not content");
        office.asks("ada", &format!("{name}-coded"), json!({ "dispose": { "disposition": "solved" } }));
    };
    call(&office, "first", "guest");
    let url = format!("http://{}", office.grpc);
    office.server.tierline(&["banner", "on", "outage", "--server", &url]);
    assert_eq!(office.sees("ada", "banner_switched", 1), json!({ "banner": "outage", "on": true }));
    call(&office, "second", "anonymous");
    let pop = office.sees("ada", "delivered", 2);
    assert_eq!((pop["call"].get("caller"), &pop["call"]["queue"]), (None, &json!("technical")), "{pop}");
    assert_eq!(office.sees("ada", "delivered", 1)["call"]["queue"], "general");
    let pops = || -> Vec<Value> {
        lines(&ground.file("tickets.jsonl")).into_iter().filter(|taken| taken["rpc"] == "pop").collect()
    };
    wait_until("both pops", GENEROUS, || pops().len() == 2);
    assert_eq!(pops().iter().filter(|pop| pop.get("number").is_some()).count(), 1, "{:?}", pops());
    assert!(!lines(&ground.file("tickets.jsonl")).iter().any(|taken| taken.to_string().contains("anonymous")));
    drop(watch);
    office.server.program.kill();
    office.server.start_again();
    let _all = office.watch("operator", 1);
    assert_eq!(office.seen("operator")[0]["snapshot"]["banners"], json!(["outage"]), "over a kill");
    let capture = capture.stop();
    let legs = capture.legs();
    assert_eq!(legs.len(), 4, "{legs:?}");
    let said = sound("desk-more-en");
    let begins =
        |caller: &Leg, agent: &Leg| heard_by(&capture, caller, &office.server).samples(caller.talk().0, agent.talk().0);
    let (silent, told) = (begins(&legs[0], &legs[1]), begins(&legs[2], &legs[3]));
    assert!(silent.len() < said.len() / 2, "nothing was said before the switch");
    assert_sounds(&told, &[&said]);
    assert!(told.len() >= said.len(), "he heard all of it");
}

/// A lead asks for and sees the agents of his queues, and nobody else's.
#[test]
fn a_lead_serves_the_agents_of_his_queues_and_no_others() {
    let ground = Ground::new("desktop_leads");
    let more = "[queue.vip]\n".to_owned();
    let leads = "leads = { otto = [\"general\"], vera = [\"vip\"] }\n";
    let office = Office::with(&ground, None, Wishes { more, ..Wishes::agents(&["ada"]) }, leads);
    let _ada = phone_agent(&ground, &office.server, "ada", ADA, &["--answer", "0"]);
    let (_otto, _vera) = (office.watch("otto", 1), office.watch("vera", 1));
    let snapshot = |lead: &str| office.seen(lead)[0]["snapshot"].clone();
    assert_eq!(snapshot("otto")["agents"][0]["agent"], 1001);
    assert_eq!((snapshot("vera").get("agents"), snapshot("vera")["queues"][0]["queue"].as_str()), (None, Some("vip")));
    let for_ada = |ask: Value| {
        let mut ask = ask;
        ask["agent"] = 1001.into();
        ask
    };
    let state = |n: usize| office.sees("otto", "agent_state_changed", n)["to"].clone();
    office.asks("otto", "break", for_ada(json!({ "not_ready": { "reason": "coaching" } })));
    assert_eq!(state(1), "NOT_READY");
    let refused = office.asks_key("vera", "ready", for_ada(json!({ "ready": {} })));
    assert_eq!(refused["refused"]["why"], "NOT_ALLOWED");
    office.asks("otto", "ready", for_ada(json!({ "ready": {} })));
    assert_eq!(state(2), "READY");
    let mut caller = phone(&ground, &office.server, "caller", &["--dial", DIRECT]);
    office.sees("otto", "established", 1);
    let refused = office.asks_key("vera", "end", for_ada(json!({ "hang_up": {} })));
    assert_eq!(refused["refused"]["why"], "NOT_ALLOWED");
    office.asks("otto", "end", for_ada(json!({ "hang_up": {} })));
    assert_eq!(caller.wait(GENEROUS), 0, "the caller's call ended: {}", caller.output());
    office.sees("otto", "call_ended", 1);
    assert!(office.seen("vera").iter().all(|item| item.get("event").is_none()), "nothing of it is hers to see");
}

/// Every line that `help` lists, typed by two agents on the command line about one caller.
#[test]
fn every_line_of_the_command_line_does_what_it_says() {
    let ground = Ground::new("command_lines");
    let office = Office::furnished(&ground, None, Wishes::agents(&["ada", "ben"]));
    let url = format!("http://{}", office.grpc);
    let agent = |name: &str, user: &str, script: &[&str]| {
        let mut command = Command::new(TIERLINE);
        command.args(["agent", "--user", user, "--server", &url, "--data"]).arg(&office.server.data);
        script.iter().for_each(|line| _ = command.args(["--do", line]));
        ground.run(name, &mut command)
    };
    let _ada = phone_agent(&ground, &office.server, "ada", ADA, &["--answer", "0"]);
    let script = ["help", "login", "break lunch", "ready", "wait established", "hold", "retrieve", "attach name=Jo"];
    // In this order: she is on a break when her notes are done, and the caller does not come back to her.
    let rest = ["transfer agent 1002", "logout", "dispose sent-on to Ben", "quit"];
    let mut ada = agent("ada-types", "ada", &[&script[..], &rest[..]].concat());
    ada.says("dispatch QUEUE", GENEROUS);
    ada.says("you are ready", GENEROUS);
    // She is ready before Ben is, so the call is hers; his phone is there when she sends it on, be it before his desktop.
    let _watch = office.watch("operator", 1);
    let _ben = phone_agent(&ground, &office.server, "ben", BEN, &["--answer", "0"]);
    let mut caller = phone(&ground, &office.server, "caller", &["--dial", DIRECT]);
    let script = ["login", "ready", "wait established", "transfer technical", "dispose again", "wait established"];
    let mut ben = agent(
        "ben-types",
        "ben",
        &[&script[..], &["dispatch general", "dispose once-more", "wait established", "hangup"][..]].concat(),
    );
    assert_eq!(ada.wait(60 * SECOND), 0, "{}{}", ada.output(), ada.errors());
    assert_eq!(ben.wait(60 * SECOND), 0, "{}{}", ben.output(), ben.errors());
    assert_eq!(caller.wait(GENEROUS), 0, "{}", caller.output());
    let asked = |what: &str| office.seen("operator").iter().filter(|item| item["event"].get(what).is_some()).count();
    wait_until("the end", GENEROUS, || asked("call_ended") == 1);
    assert_eq!((asked("transferred"), asked("disposed"), asked("data_attached")), (3, 3, 1));
    // Refused in words: nothing rings, and no queue lets its agents call outside.
    for (line, why) in [("answer", "there is no such call"), ("transfer number +4940123", "there is no such call")] {
        let mut refused = agent("refused", "ben", &[line]);
        assert_eq!(refused.wait(GENEROUS), 1, "{}", refused.output());
        let said = format!("{}{}", refused.output(), refused.errors());
        assert!(said.contains(why), "{line}: {said}");
    }
}

/// From the command line: the phone that rings is told to answer, and the caller is sent to a number outside. SIPp plays
/// the phone, since no program here takes the event `talk`.
#[test]
fn the_command_line_answers_and_sends_outside_and_both_are_heard() {
    let ground = Ground::new("command_outside");
    let port = ground.port();
    let carrier = Carrier { name: "carrier", port, more: "options = \"0s\"\n".to_owned() };
    let wishes = Wishes { queue: "transfers = [\"+4940\"]\n", ..wishes(&ground, &[carrier]) };
    let office = Office::furnished(&ground, None, wishes);
    let capture = ground.capture();
    let vendor = Sipp { name: "vendor", scenario: "agent_answers", at: Some(port), says: VENDORS, ..Sipp::default() };
    let _vendor = vendor.start(&ground, &office.server);
    let (at, audio) = (ground.port(), [ground.port(), ground.port()][0]);
    assert_eq!(try_register(&ground, &office.server, &["ada"], at, 200), 0);
    let steps = "it is told to answer\n< INVITE\n> 180\n  Allow-Events: talk,hold,conference\n\
                 < NOTIFY\n  Event: ^ ?talk$\n> 200 NOTIFY\n> 200 INVITE\n  sdp\n< ACK\n< BYE\n> 200\n";
    let play = "<nop><action><exec play_pcap_audio=\"said.pcap\"/></action></nop>\n  <recv request=\"BYE\"";
    let scenario = flow(steps).scenario().replace("<recv request=\"BYE\"", play);
    let (at, audio, text) = (Some(at), Some(audio), Some(scenario.as_str()));
    let phone = Sipp { name: "phone", text, from: "ada", says: ADA, at, audio, ..Sipp::default() };
    let mut phone = phone.start(&ground, &office.server);
    let _watch = office.watch("ada", 1);
    let url = format!("http://{}", office.grpc);
    let types = |name: &str, line: &str| {
        let mut command = Command::new(TIERLINE);
        command.args(["agent", "--user", "ada", "--server", &url, "--do", line, "--data"]).arg(&office.server.data);
        ground.run(name, &mut command).wait(GENEROUS)
    };
    let caller = Sipp { seconds: 16.0, says: CALLER, from: "guest", number: DIRECT, ..Sipp::default() };
    let mut caller = caller.start(&ground, &office.server);
    office.sees("ada", "delivered", 1);
    // The 180 may be on its way.
    wait_until("the phone is told", 10 * SECOND, || types("answers", "answer") == 0);
    office.sees("ada", "established", 1);
    talk_for(2 * SECOND);
    assert_eq!(types("sends", &format!("transfer number {VENDOR}")), 0);
    assert_eq!(office.sees("ada", "transferred", 1)["number"], VENDOR);
    assert_eq!((caller.wait(60 * SECOND), phone.wait(GENEROUS)), (0, 0), "SIPp is not content");
    office.server.wait_ended(1, GENEROUS);
    let capture = capture.stop();
    let legs = capture.legs();
    assert_eq!(legs.len(), 3, "{legs:?}");
    for (leg, hz) in legs[1..].iter().zip([ADA, VENDORS]) {
        let time = (leg.talk().0, leg.talk().1.min(legs[0].talk().1));
        assert!(time.1 - time.0 > 1.0, "{} talked for {:.1} s only", leg.to, time.1 - time.0);
        assert_talk(&capture, &office.server, (&legs[0], leg), hz, time);
        assert_talk(&capture, &office.server, (leg, &legs[0]), CALLER, time);
    }
}

const OWNED: &str = r#"version = 1
start = "whose"
[step.whose]
lookup = "ticket-status"
with = { ticket = '"7"', caller = "caller" }
fields = { owner = "text" }
found = "people"
not_found = "over"
failed = "over"
[step.people]
queue = "general"
preferred = "whose.owner"
otherwise = "over"
[step.over]
hang_up = true
"#;

/// The ticketing system says whose case it is: he has the caller first, though another agent has been free for longer; and
/// when he is not there, the other one has him.
#[test]
fn a_caller_gets_the_agent_who_owns_the_case() {
    let ground = Ground::new("desktop_owner");
    let (office, _tickets) = Office::led(&ground, "owned", OWNED, "");
    let _all = office.watch("operator", 1);
    let _ada = phone_agent(&ground, &office.server, "ada", ADA, &["--answer", "0"]);
    let _ben = phone_agent(&ground, &office.server, "ben", BEN, &["--answer", "0"]);
    let call = |name: &str, n: usize| {
        let mut caller = phone(&ground, &office.server, name, &["--dial", "300", "--hang-up", "2"]);
        let talk = office.sees("operator", "established", n);
        assert_eq!(caller.wait(GENEROUS), 0, "{}", caller.output());
        talk["agent"].clone()
    };
    assert_eq!(call("first", 1), 1002, "she has been free for longer");
    office.asks("ben", "coded", json!({ "dispose": { "disposition": "solved" } }));
    office.asks("ben", "away", json!({ "not_ready": {} }));
    assert_eq!(call("second", 2), 1001, "its owner is on a break");
}
