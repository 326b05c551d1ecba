//! Fifty calls at once, whose audio all comes from one address and port.

use super::audio;
use super::capture::{Capture, Leg};
use super::harness::{Ground, SECOND};
use super::heard::{HEARD, assert_no_gap, assert_talk, heard_by, said_by};
use super::peers::{Sipp, register};
use super::server::{Server, Wishes};
use std::collections::{BTreeMap, BTreeSet};

const CALLS: u32 = 50;
/// A tone's way to the agent and back begins with the next frame and passes SIPp; in seconds.
const ECHO: f64 = 0.1;

/// The tone of a caller, so far from the others that a few frames tell them apart.
fn tone(caller: u32) -> f64 {
    500.0 + 50.0 * f64::from(caller)
}

#[test]
fn fifty_callers_from_one_port_each_hear_their_own_agent() {
    let ground = Ground::new("crowd");
    let users: Vec<String> = (1..=CALLS).map(|number| format!("agent{number}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    let server = Server::start(&ground, &Wishes::agents(&users));
    let told = std::fs::read_to_string(format!("/proc/{}/status", server.program.id())).expect("a running process");
    assert!(told.contains("THP_enabled:\t0\n"), "a waiting call takes twice the memory with huge pages:\n{told}");
    let capture = ground.capture();
    // The agents send back what they hear, all from one port as well.
    let at = register(&ground, &server, &users);
    let echo = Sipp {
        name: "agents",
        scenario: "agent_echoes",
        from: "agent",
        at: Some(at),
        calls: 10_000,
        ..Sipp::default()
    };
    let _agents = Sipp { more: &["-rtp_echo"], ..echo }.start(&ground, &server);
    let callers = Sipp { name: "callers", scenario: "caller_of_many", calls: CALLS, seconds: 7.0, ..Sipp::default() };
    let callers = Sipp { says_by_call: Some(tone), more: &["-r", "25"], ..callers };
    assert_eq!(callers.start(&ground, &server).wait(60 * SECOND), 0, "not every call went well");
    let ended = server.wait_ended(CALLS as usize, 15 * SECOND);
    assert!(ended.iter().all(|call| call["phase"] == "Connected"), "somebody reached no agent");
    let capture = capture.stop();
    let legs = capture.legs();
    let (calling, called): (Vec<&Leg>, Vec<&Leg>) = legs
        .iter()
        .filter(|leg| leg.answered.is_some())
        .partition(|leg| leg.sides.is_some_and(|(_, to)| to == server.sip));
    assert_eq!((calling.len(), called.len()), (50, 50));
    let ports: BTreeSet<_> = calling.iter().map(|leg| leg.audio().0).collect();
    assert_eq!(ports.len(), 1, "the callers' audio comes from several ports: the test proves nothing");
    let tones: Vec<f64> = (1..=CALLS).map(tone).collect();
    let heard_at = |leg: &'_ &Leg| heard_at_agent(&capture, &server, leg, &tones);
    let agents: BTreeMap<u64, &Leg> = called.iter().map(|leg| (heard_at(leg), *leg)).collect();
    assert_eq!(agents.len(), 50, "two agents heard the same caller");
    calling.iter().for_each(|leg| check_caller(&capture, &server, leg, &agents));
}

/// The one tone that an agent heard from his answer to the BYE.
fn heard_at_agent(capture: &Capture, server: &Server, leg: &Leg, tones: &[f64]) -> u64 {
    let (from, to) = leg.talk();
    let stream = heard_by(capture, leg, server);
    let (tone, _) = audio::main_tone(&stream.samples(from, to), tones);
    let share = stream.tone(tone, from, to);
    assert!(share >= HEARD, "{} heard {tone} Hz in {share:.1} %", leg.to);
    tone as u64
}

/// A caller hears music and then, as soon as the agent answered, his own tone come back.
fn check_caller(capture: &Capture, server: &Server, leg: &Leg, agents: &BTreeMap<u64, &Leg>) {
    let (from, to) = leg.talk();
    let tones: Vec<f64> = agents.keys().map(|tone| *tone as f64).collect();
    let (own, said) = audio::main_tone(&said_by(capture, leg, server).samples(from, to), &tones);
    assert!(said >= HEARD, "{}: SIPp said {own} Hz in {said:.1} %", leg.call_id);
    let agent = agents[&(own as u64)];
    assert_talk(capture, server, (leg, agent), own, (agent.talk().0 + ECHO, to));
    assert_no_gap(capture, &leg.call_id, &heard_by(capture, leg, server), (from, agent.talk().0));
}
