//! The demo's help desk, worked by people at baresip with desktops in Python, beside a ticketing system in Python: from a
//! keyed ticket number over a screener to the analyst who can help.

use super::audio;
use super::capture::{Capture, Leg};
use super::desktop::{Office, is, lines, tickets};
use super::harness::{GENEROUS, Ground, SECOND, talk_for, wait_until};
use super::heard::{HEARD, assert_sounds, assert_talk, heard_by, sound};
use super::peers::{Baresip, Sipp};
use super::server::{Server, Wishes};
use serde_json::{Value, json};
use std::path::Path;

const CALLER: f64 = 600.0;
const VISITOR: f64 = 1100.0;
const ADA: f64 = 1000.0;
const BEN: f64 = 800.0;
const CLEO: f64 = 700.0;
/// At seconds of what the caller says: a ticket's status, its number with the hash key, yes, somebody about it.
const KEYS: [(f64, u8); 5] = [(2.0, 1), (6.0, 7), (6.6, 11), (13.0, 1), (23.5, 1)];

/// The shipped flow with the demo's queues; a screener, and two of level 1 who can different things.
fn wishes() -> Wishes {
    let flow = Path::new(env!("CARGO_MANIFEST_DIR")).join("ivr-flows/desk.toml");
    let flow = std::fs::read_to_string(flow).expect("the demo's flow");
    let more = "[line.desk]\nnumbers = [\"300\"]\nflow = \"desk\"\n[hours.desk]\nmon-sun = \"00:00-24:00\"\n\
                [banner.outage]\n[queue.screeners]\nwrap_up = \"1s\"\n[queue.level1]\nwrap_up = \"1s\"\n[queue.level2]\n";
    let agent_lines = vec![
        "queues = [\"screeners\"]",
        "queues = [\"level1\"]\nskills = { network = 2, hardware = 5, accounts = 5 }",
        "queues = [\"level1\", \"level2\"]\nskills = { network = 8 }",
    ];
    Wishes {
        more: more.to_owned(),
        flows: vec![("desk", flow)],
        agent_lines,
        ..Wishes::agents(&["ada", "ben", "cleo"])
    }
}

/// The sound is in what the leg's peer heard, whole.
pub fn assert_hears(capture: &Capture, leg: &Leg, server: &Server, name: &str) {
    let (heard, sound) = (heard_by(capture, leg, server), sound(name));
    let (from, until) = leg.talk();
    let samples = heard.samples(from, until);
    let (_, best) = audio::find_prompt(&samples, &sound);
    assert!(best >= HEARD, "{name} was heard in {best:.1} % of its frames at best");
}

/// Both hear each other for as long as both are there.
pub fn assert_both_hear(capture: &Capture, server: &Server, (caller, says): (&Leg, f64), (agent, hz): (&Leg, f64)) {
    let time = (agent.talk().0, agent.talk().1.min(caller.talk().1));
    assert!(time.1 - time.0 > 1.0, "{} talked for {:.1} s only", agent.to, time.1 - time.0);
    assert_talk(capture, server, (caller, agent), hz, time);
    assert_talk(capture, server, (agent, caller), says, time);
}

/// A caller keys his ticket's number and hears how it stands, wants a person, and is taken by the screener, who notes what
/// happened and sends him to level 1 with the skill it needs: to the one who has it, though another has been free
/// for longer. A second caller keys a ticket that is not known, and has one opened of what was noted.
#[test]
fn a_caller_comes_over_tier_0_and_the_screener_to_the_analyst_who_can_help() {
    let ground = Ground::new("help_desk");
    let port = ground.port();
    is(&ground, "ok");
    let office = Office::furnished(&ground, Some(port), wishes());
    let _system = tickets(&ground, &office.generated, port, 1);
    let _phones = [("ben", BEN), ("cleo", CLEO), ("ada", ADA)].map(|(user, hz)| {
        let phone = Baresip::start(&ground, &office.server, user, hz, true);
        phone.wait_registered();
        phone
    });
    let _watch = ["ada", "ben", "cleo"].map(|user| office.watch(user, 1));
    ["ada", "ben", "cleo"].iter().for_each(|user| office.asks(user, "in", json!({ "log_in": {} })));
    let capture = ground.capture();
    with_his_ticket(&ground, &office);
    for user in ["ada", "cleo"] {
        office.asks(user, "coded", json!({ "dispose": { "disposition": "solved" } }));
    }
    with_something_new(&ground, &office);
    office.asks("ben", "coded", json!({ "dispose": { "disposition": "solved" } }));
    office.server.wait_ended(2, GENEROUS);
    ticketing_has_it(&ground);
    let capture = capture.stop();
    let legs = capture.legs();
    assert_eq!(legs.len(), 6, "{legs:?}");
    for name in ["desk-ticket-en", "desk-ticket-en-2", "say-en-7", "desk-tell-en", "desk-more-en"] {
        assert_hears(&capture, &legs[0], &office.server, name);
    }
    assert_hears(&capture, &legs[3], &office.server, "desk-unknown-en");
    assert_both_hear(&capture, &office.server, (&legs[0], CALLER), (&legs[1], ADA));
    assert_both_hear(&capture, &office.server, (&legs[0], CALLER), (&legs[2], CLEO));
    // Her phone uses the same port again: she is judged by what the visitor hears.
    let (from, until) = legs[4].talk();
    let share = heard_by(&capture, &legs[3], &office.server).tone(ADA, from + 0.3, until - 0.1);
    assert!(until - from > 1.0 && share >= HEARD, "{ADA} Hz was heard in {share:.1} % of {:.1} s", until - from);
    assert_both_hear(&capture, &office.server, (&legs[3], VISITOR), (&legs[5], BEN));
}

/// A SIPp caller; what the screener notes is on the analyst's screen when his phone rings.
fn with_his_ticket(ground: &Ground, office: &Office) {
    let caller = Sipp { number: "300", seconds: 36.0, says: CALLER, keys: &KEYS, ..Sipp::default() };
    let mut caller = caller.start(ground, &office.server);
    wait_until("the screener has him", 60 * SECOND, || {
        office.seen("ada").iter().any(|item| item["event"].get("established").is_some())
    });
    talk_for(2 * SECOND);
    let noted =
        json!({ "category": "network", "impact": "one site", "urgency": "high", "summary": "VPN down since nine" });
    office.asks("ada", "note", json!({ "attach": { "data": noted } }));
    let dispatch = json!({ "dispatch": { "queue": "level1", "skills": { "network": 5 }, "priority": 3 } });
    office.asks("ada", "send", dispatch);
    let pop = office.sees("cleo", "delivered", 1);
    office.sees("cleo", "established", 1);
    let queued = office.sees("cleo", "queued", 1);
    assert_eq!((&queued["skills"], &queued["priority"]), (&json!({ "network": 5 }), &json!(3)), "{queued}");
    let shown = &pop["call"];
    for (name, value) in noted.as_object().expect("an object") {
        assert_eq!(&shown["data"][name], value, "{pop}");
    }
    assert_eq!(shown["data"]["ticket"], "7", "what tier 0 has found: {pop}");
    let fields = ["line", "queue", "keys", "caller"].map(|name| shown[name].as_str().unwrap_or_default());
    assert_eq!(fields, ["desk", "level1", "17#11", "guest"], "{pop}");
    let path: Vec<String> = serde_json::from_value(shown["menu_path"].clone()).expect("a path");
    let steps = ["outage", "open", "menu", "ticket", "status", "tell", "more", "note", "route", "screener"];
    assert_eq!(path[..steps.len()], steps, "{pop}");
    assert_eq!(caller.wait(90 * SECOND), 0, "SIPp is not content");
    assert!(office.seen("ben").iter().all(|item| item["event"].get("delivered").is_none()), "he cannot do that");
}

/// A baresip caller.
fn with_something_new(ground: &Ground, office: &Office) {
    let visitor = Baresip::caller(ground, "visitor", VISITOR);
    visitor.tell(&format!("dial sip:300@{}", office.server.sip));
    visitor.program.says("Call established", GENEROUS);
    talk_for(2 * SECOND);
    // A ticket that is not known: nobody's notes may go to it.
    for key in ["1", "8", "#", "1"] {
        visitor.tell(&format!("sndcode {key}"));
        talk_for(SECOND);
    }
    let pop = office.sees("ada", "delivered", 2);
    assert_eq!((&pop["call"]["data"], &pop["call"]["keys"]), (&json!({ "keyed": "8" }), &json!("18#1")), "{pop}");
    office.sees("ada", "established", 2);
    let noted =
        json!({ "name": "Jo Doe", "category": "hardware", "impact": "one", "urgency": "low", "summary": "no picture" });
    office.asks("ada", "note-2", json!({ "attach": { "data": noted } }));
    talk_for(2 * SECOND);
    office.asks("ada", "send-2", json!({ "dispatch": { "queue": "level1", "skills": { "hardware": 3 } } }));
    office.sees("ben", "established", 1);
    talk_for(3 * SECOND);
    visitor.tell("hangup");
    office.sees("ben", "call_ended", 1);
}

const DUE: &str = r#"version = 1
start = "look"
[step.look]
lookup = "ticket-status"
with = { ticket = '"7"', caller = "caller" }
fields = { due = "text" }
meanwhile = { text = "To talk to somebody about it, press 1. Otherwise, just hang up.", sound = "desk-more-en" }
timeout = "4s"
found = "tell"
not_found = "over"
failed = "over"
[step.tell]
play = [{ say = "look.due", as = "date" }, { say = "look.due", as = "time" }]
next = "pause"
[step.pause]
collect = { text = "Please key your ticket number, then the hash key.", sound = "desk-ticket-en" }
into = "nothing"
retries = 0
next = "over"
otherwise = "over"
[step.over]
hang_up = true
"#;

/// When somebody will come: a date and a time that the ticketing system names, in words; and what is heard while it is asked.
#[test]
fn a_caller_hears_a_date_and_a_time_in_words() {
    let ground = Ground::new("help_desk_due");
    let (office, _system) = Office::led(&ground, "due", DUE, "");
    is(&ground, "slow");
    let capture = ground.capture();
    let mut caller = Sipp { number: "300", seconds: 10.0, ..Sipp::default() }.start(&ground, &office.server);
    assert_eq!(caller.wait(60 * SECOND), 0, "SIPp is not content");
    let capture = capture.stop();
    let legs = capture.legs();
    let said = ["say-en-month-12", "say-en-20", "say-en-day-4", "say-en-17", "say-en-30"];
    for name in said {
        assert_hears(&capture, &legs[0], &office.server, name);
    }
    let heard = heard_by(&capture, &legs[0], &office.server);
    let samples = heard.samples(legs[0].talk().0, legs[0].talk().1);
    let words: Vec<i16> = said.iter().flat_map(|name| sound(name)).collect();
    let (at, _) = audio::find_prompt(&samples, &sound(said[0]));
    assert_sounds(&samples[at..at + words.len()], &said.map(sound).each_ref().map(Vec::as_slice));
    let meanwhile = sound("desk-more-en");
    assert_sounds(&samples[..at.min(5_000)], &[&meanwhile]);
}

/// What a ticketing system was told of both calls: the pops of each in order with all that was known, the ticket.
fn ticketing_has_it(ground: &Ground) {
    let taken = || lines(&ground.file("tickets.jsonl"));
    let ended = || taken().iter().filter(|taken| taken.get("disposed").is_some()).count();
    wait_until("all is told", GENEROUS, || ended() >= 3);
    let of = |rpc: &str| -> Vec<Value> { taken().into_iter().filter(|taken| taken["rpc"] == rpc).collect() };
    let pops = of("pop");
    let agents: Vec<&Value> = pops.iter().map(|pop| &pop["agent"]).collect();
    assert_eq!(agents, [1001, 1003, 1001, 1002], "{pops:?}");
    let analyst = &pops[1];
    assert_eq!(
        (&analyst["number"], &analyst["line"], &analyst["queue"]),
        (&json!("guest"), &json!("desk"), &json!("level1"))
    );
    assert_eq!((&analyst["keys"], &analyst["name"]), (&json!("17#11"), &json!("Jo")));
    assert_eq!(analyst["data"]["summary"], "VPN down since nine", "{analyst}");
    assert_eq!(analyst["tickets"][0]["number"], "7", "{analyst}");
    assert!(analyst["menu_path"].as_array().is_some_and(|path| path.contains(&json!("tell"))), "{analyst}");
    // The first caller has a ticket; for the second one is opened, once, with what the screener has noted.
    let opened = of("open");
    assert_eq!(opened.len(), 1, "{opened:?}");
    let ticket = &opened[0];
    let words = ["category", "impact", "urgency", "summary"].map(|name| ticket[name].as_str().unwrap_or_default());
    assert_eq!(words, ["hardware", "one", "low", "no picture"], "{ticket}");
    assert_eq!(
        (&ticket["keys"], &ticket["data"]["name"], &ticket["line"]),
        (&json!("18#1"), &json!("Jo Doe"), &json!("desk"))
    );
    let last: Vec<&Value> =
        pops[3]["tickets"].as_array().expect("tickets").iter().map(|ticket| &ticket["number"]).collect();
    assert_eq!(last[0], &ticket["ticket_opened"], "the analyst sees the ticket that was opened at the dispatch");
}
