//! What the server writes on standard error while people call and strangers attack: who calls, what is keyed, what is
//! noted and who the agents are is not in it, at any level; a storm is a few lines and a count.

#![allow(clippy::disallowed_methods, reason = "real programs run in real time")]

mod place;

use place::{Place, wait_until};
use serde_json::Value;
use std::fs;
use std::net::UdpSocket;
use std::path::Path;

const NUMBER: &str = "+493012345678";
const CALLER: &str = "Ludwig Geheim";
const AGENT: &str = "Wilhelmine";
const KEYS: &str = "48151623";
const SECRET: &str = "90210";
const WORD: &str = "Hofmusik";
const NOTE: &str = "wants his mother to be called";

/// Asks for a number and a PIN before the queue; the agent has a name, and a desktop.
fn talkative(name: &str, format: &str) -> Place {
    let place = Place::new(name);
    let flow = "version = 1\nstart = \"ticket\"\n\
                [step.ticket]\ncollect = \"You are ready.\"\ninto = \"ticket\"\nmax = 8\nnext = \"pin\"\notherwise = \"wait\"\n\
                [step.pin]\ncollect = \"You are ready.\"\ninto = \"pin\"\nmax = 5\nsecret = true\nnext = \"note\"\n\
                otherwise = \"note\"\n\
                [step.note]\nattach = { ticket = \"ticket\" }\nnext = \"wait\"\n\
                [step.wait]\nqueue = \"general\"\notherwise = \"later\"\n\
                [step.later]\nhang_up = \"You are ready.\"\n";
    fs::write(place.dir.join("flows/direct.toml"), flow).expect("a flow");
    let center = fs::read_to_string(place.dir.join("center.toml")).expect("the configuration");
    let center = center.replace("user = \"ada\"", &format!("user = \"ada\"\nname = \"{AGENT}\""));
    let more =
        format!("[server.cti]\nbind = \"127.0.0.1:50051\"\n[journal]\nlevel = \"debug\"\nformat = \"{format}\"\n");
    fs::write(place.dir.join("center.toml"), center + &more).expect("a configuration");
    place
}

fn lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file).expect("what it says").lines().map(str::to_owned).collect()
}

#[test]
fn whoever_calls_keys_or_is_noted_is_not_in_the_lines() {
    let mut place = talkative("told", "json");
    let mut server = place.serve();
    let agent = place.start(&["phone", "--user", "ada", "--answer", "0"]);
    wait_until("the agent's phone is registered", || server.says("has a phone"));
    let keys = format!("{KEYS},,{SECRET}");
    let call = ["phone", "--dial", "100", "--user", NUMBER, "--caller", CALLER, "--press", &keys, "--hang-up", "20"];
    let mut caller = place.start(&call);
    wait_until("they talk", || server.says("\"said\":\"talks\""));
    let noted = [format!("attach reason={WORD}"), format!("dispose solved {NOTE}")];
    let noted = place.run(&["agent", "--user", "ada", "--do", "login", "--do", &noted[0], "--do", &noted[1]]);
    assert!(noted.status.success(), "{noted:?}");
    caller.child.kill().expect("the caller");
    drop(agent);
    let known = place.run(&["calls", "c0-1-1", "--json", "--numbers"]);
    let known = String::from_utf8_lossy(&known.stdout).into_owned();
    for personal in [NUMBER, KEYS, WORD, NOTE] {
        assert!(known.contains(personal), "the log itself knows `{personal}`: {known}");
    }
    // SAFETY: a signal to a child of ours that is waited for below.
    unsafe { libc::kill(server.child.id().cast_signed(), libc::SIGINT) };
    unsafe { libc::kill(server.child.id().cast_signed(), libc::SIGTERM) };
    assert!(server.child.wait().expect("the server ends").success());
    let told = lines(&server.err);
    for personal in [NUMBER, &NUMBER[1..], CALLER, "Geheim", AGENT, KEYS, SECRET, WORD, NOTE, "mother", "ada", "Digest"]
    {
        let found: Vec<_> = told.iter().filter(|line| line.contains(personal)).collect();
        assert!(found.is_empty(), "`{personal}` is told: {found:#?}");
    }
    assert!(!told.iter().any(|line| KEYS.chars().any(|key| line.contains(&format!("\"{key}\"")))), "{told:#?}");
    let objects: Vec<Value> = told.iter().map(|line| serde_json::from_str(line).expect("an object each")).collect();
    let of_call: Vec<_> = objects.iter().filter(|line| line["call"] == "c0-1-1").collect();
    let at = |level: &str| of_call.iter().filter(|line| line["level"] == level).count();
    assert_eq!(at("info"), 2, "a call is two lines: {of_call:#?}");
    assert!(at("debug") > 8, "and its steps are told to who asks for them: {of_call:#?}");
    let ends = [&of_call[0], &of_call[of_call.len() - 1]].map(|line| line["said"].as_str().expect("a sentence"));
    assert_eq!(ends[0], "arrives");
    for line in &objects {
        assert!(line["time"].is_string() && line["subject"].is_string() && line["said"].is_string(), "{line}");
    }
}

#[test]
fn a_storm_of_bad_packets_is_a_few_lines_and_a_count() {
    let mut place = talkative("storm", "text");
    let server = place.serve();
    let attacker = UdpSocket::bind("127.0.0.1:0").expect("a port");
    for n in 0..20_000 {
        let register = format!(
            "REGISTER sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK{n}\r\nFrom: <sip:ada@x>;tag={n}\r\n\
             To: <sip:ada@x>\r\nCall-ID: {n}\r\nCSeq: 1 REGISTER\r\nContact: no <address\r\nContent-Length: 0\r\n\r\n"
        );
        let bad = if n % 2 == 0 { "INVITE me please".to_owned() } else { register };
        attacker.send_to(bad.as_bytes(), "127.0.0.1:5060").expect("sent");
    }
    wait_until("the storm is told", || server.says("messages could not be read"));
    // What came after that look is told by the next.
    wait_until("all of it is counted", || {
        let counted = lines(&server.err).into_iter().filter(|line| line.contains("could not be read"));
        let counts = counted.filter_map(|line| line.split("count=").nth(1)?.split(' ').next()?.parse::<f64>().ok());
        let refusals = place
            .metrics()
            .lines()
            .filter(|line| line.starts_with("tierline_sip_refusals_total{"))
            .fold(0.0, |sum, line| {
                sum + line.rsplit(' ').next().and_then(|n| n.parse::<f64>().ok()).unwrap_or_default()
            });
        refusals > 0.0 && counts.sum::<f64>() >= refusals
    });
    let told = lines(&server.err);
    assert!(told.len() < 60, "{} lines: {told:#?}", told.len());
    assert!(told.iter().all(|line| line.as_bytes()[4] == b'-' && line.as_bytes()[23] == b'Z'), "{told:#?}");
}
