//! Who hangs up, refuses, does not answer or vanishes, and what becomes of the other one.

use super::capture::Leg;
use super::flow::flow;
use super::harness::{GENEROUS, Ground, SECOND, talk_for, wait_until};
use super::heard::{
    assert_music, assert_no_gap, assert_sounds, assert_talk, assert_whole, heard_by, music_from, said_by, sound,
};
use super::holding::reinvited;
use super::peers::{Baresip, Sipp, event, phone_agent, sipp_agent, try_register};
use super::server::{DIRECT, SUPPORT, Server, Wishes};
use super::vanishing::{
    CALLER, LOST, NEXT, judge_music, judge_next, judge_waiting, next_leg, rings_no_more, rival, served_before,
};
use serde_json::Value;

const OFTEN_ASKED: &str = "[server.sip.registration]\nkeepalive = \"5s\"";

/// Cause and phase of the newest call once `calls` have ended.
fn end_of(server: &Server, calls: usize) -> (String, String) {
    let list = server.wait_ended(calls, 15 * SECOND);
    let text = |key: &str| list[0][key].as_str().unwrap_or("none").to_owned();
    (text("cause"), text("phase"))
}

fn pair(cause: &str, phase: &str) -> (String, String) {
    (cause.to_owned(), phase.to_owned())
}

/// Agent and outcome of every offer of a call.
pub fn offers(call: &Value) -> Vec<(u64, String)> {
    let offers = call["offers"].as_array().expect("offers").iter();
    offers
        .map(|offer| {
            (offer["agent"].as_u64().expect("an agent"), offer["outcome"].as_str().unwrap_or("open").to_owned())
        })
        .collect()
}

pub fn is_ringing(server: &Server) -> bool {
    server.calls().iter().any(|call| offers(call).iter().any(|(_, outcome)| outcome == "open"))
}

pub fn is_talking(server: &Server) -> bool {
    server.calls().iter().any(|call| {
        call["segments"].as_array().and_then(|segments| segments.last()).is_some_and(|last| !last["agent"].is_null())
    })
}

#[test]
fn a_caller_may_hang_up_in_every_phase() {
    let ground = Ground::new("caller_leaves");
    let server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let wire = ground.capture();
    // Before the answer: INVITE and CANCEL reach the server in one breath.
    server.program.signal(libc::SIGSTOP);
    let mut caller = Sipp { name: "cancels", scenario: "caller_cancels", ..Sipp::default() }.start(&ground, &server);
    wait_until("CANCEL is sent", GENEROUS, || wire.so_far().messages.iter().any(|m| m.method() == Some("CANCEL")));
    server.program.signal(libc::SIGCONT);
    assert_eq!(caller.wait(20 * SECOND), 0, "CANCEL was not answered with 200 and the INVITE with 487");
    assert_eq!(end_of(&server, 1), pair("CallerHungUp", "Arriving"));

    let short = |name, number| Sipp { name, number, seconds: 1.0, ..Sipp::default() }.start(&ground, &server);
    assert_eq!(short("in-flow", SUPPORT).wait(20 * SECOND), 0);
    assert_eq!(end_of(&server, 2), pair("CallerHungUp", "InFlow"));
    assert_eq!(short("queued", DIRECT).wait(20 * SECOND), 0);
    assert_eq!(end_of(&server, 3), pair("CallerHungUp", "Queued"));

    let agent = phone_agent(&ground, &server, "ada", 1000.0, &[]);
    assert_eq!(short("rings", DIRECT).wait(20 * SECOND), 0);
    assert_eq!(end_of(&server, 4), pair("CallerHungUp", "Alerting"));
    assert_eq!(offers(&server.calls()[0]), [(1001, "CallerLeft".to_owned())]);
    let ended = event(&agent, "Ended", 5 * SECOND);
    assert_eq!(ended["answered"], false, "the agent's phone rings on");
    drop(agent);

    let agent = phone_agent(&ground, &server, "ada", 1000.0, &["--answer", "0"]);
    assert_eq!(short("talks", DIRECT).wait(20 * SECOND), 0);
    assert_eq!(end_of(&server, 5), pair("CallerHungUp", "Connected"));
    assert_eq!(event(&agent, "Ended", 5 * SECOND)["answered"], true);
    assert_eq!(
        server.metrics().iter().filter(|(name, _)| name.starts_with("tierline_calls{")).map(|(_, n)| n).sum::<f64>(),
        0.0
    );
    let wire = wire.stop();
    let legs = wire.legs();
    let answered = |calls: bool| {
        let ours =
            move |leg: &&Leg| leg.answered.is_some() && leg.sides.is_some_and(|(from, _)| from != server.sip) == calls;
        legs.iter().filter(ours).collect::<Vec<_>>()
    };
    let (callers, agents) = (answered(true), answered(false));
    let ([in_flow, queued, rings, talks], [agent]) = (&callers[..], &agents[..]) else { panic!("{legs:?}") };
    for (leg, who) in [(in_flow, "who is led"), (queued, "who waits"), (rings, "for whom it rings")] {
        let (heard, time) = (heard_by(&wire, leg, &server), leg.talk());
        assert_no_gap(&wire, who, &heard, time);
        let samples = heard.samples(time.0, time.1);
        let right = match who {
            "who is led" => assert_sounds(&samples, &[&sound("welcome"), &sound("menu")]),
            _ => assert_sounds(&samples, &[&music_from(&samples)]),
        };
        assert_whole(who, leg, right, 0.0);
    }
    assert_talk(&wire, &server, (talks, agent), 1000.0, (agent.talk().0, talks.talk().1));
    assert_talk(&wire, &server, (agent, talks), CALLER, agent.talk());
}

#[test]
fn an_agent_who_hangs_up_ends_the_call() {
    let ground = Ground::new("agent_hangs_up");
    let server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let agent = Baresip::start(&ground, &server, "ada", 1000.0, true);
    agent.wait_registered();
    let capture = ground.capture();
    let mut caller = Sipp { scenario: "caller_waits", says: CALLER, ..Sipp::default() }.start(&ground, &server);
    agent.program.says("Call established", 15 * SECOND);
    talk_for(2 * SECOND);
    agent.tell("hangup");
    assert_eq!(caller.wait(20 * SECOND), 0, "the caller got no BYE");
    assert_eq!(end_of(&server, 1), pair("AgentHungUp", "Connected"));
    let capture = capture.stop();
    let legs = capture.legs();
    let [caller, agent] = &legs[..] else { panic!("{legs:?}") };
    assert_talk(&capture, &server, (caller, agent), 1000.0, agent.talk());
    assert_talk(&capture, &server, (agent, caller), CALLER, agent.talk());
}

#[test]
fn who_refuses_or_does_not_answer_is_followed_by_the_next_agent() {
    let ground = Ground::new("agent_refuses");
    let server =
        Server::start(&ground, &Wishes { ring_timeout: "2s", ..Wishes::agents(&["ada", "ben", "cleo", "dan"]) });
    // In the order of registration: who has been idle longest is asked first.
    let refuse = |user, status| {
        sipp_agent(&ground, &server, user, Sipp { scenario: "agent_refuses", status, ..Sipp::default() })
    };
    let _busy = refuse("ada", 486);
    let _declines = refuse("ben", 603);
    let _silent = sipp_agent(&ground, &server, "cleo", Sipp { scenario: "agent_does_not_answer", ..Sipp::default() });
    let taker = phone_agent(&ground, &server, "dan", 1000.0, &["--answer", "0"]);
    let capture = ground.capture();
    let mut caller = Sipp { seconds: 6.0, ..Sipp::default() }.start(&ground, &server);
    event(&taker, "Connected", 15 * SECOND);
    assert_eq!(caller.wait(30 * SECOND), 0);
    let call = server.wait_ended(1, 10 * SECOND).remove(0);
    let expect = [(1001, "Declined"), (1002, "Declined"), (1003, "NoAnswer"), (1004, "Accepted")];
    assert_eq!(offers(&call), expect.map(|(agent, outcome)| (agent, outcome.to_owned())));
    let capture = capture.stop();
    let legs = capture.legs();
    let (caller, taker) = (&legs[0], legs.last().expect("the agent's leg"));
    assert_talk(&capture, &server, (taker, caller), 600.0, taker.talk());
    assert_talk(&capture, &server, (caller, taker), 1000.0, (taker.talk().0, caller.talk().1));
    let waiting = (caller.talk().0, taker.talk().0);
    assert_music(&capture, "the waiting caller", &heard_by(&capture, caller, &server), waiting);
}

/// An agent's phone that nobody calls any more must not ring on: the next start knows by the log what it has to take back.
#[test]
fn a_phone_that_rang_when_the_engine_was_killed_is_told_and_rings_for_the_next_caller() {
    let ground = Ground::new("killed_ringing");
    let mut server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let capture = ground.capture();
    let phone = Baresip::start(&ground, &server, "ada", 1000.0, false);
    phone.wait_registered();
    let _left = Sipp { name: "left", seconds: 2.0, ..Sipp::default() }.start(&ground, &server);
    wait_until("the phone rings, and the log says so", GENEROUS, || is_ringing(&server));
    let has = |status| capture.so_far().messages.iter().any(|message| message.status() == Some(status));
    wait_until("the phone says that it rings", GENEROUS, || has(180));
    server.program.kill();
    server.start_again();
    wait_until("the phone has stopped", GENEROUS, || has(487));
    assert!(!phone.tell("listcalls").contains("INCOMING"), "the phone rings on");
    let mut caller = Sipp { name: "next", seconds: 6.0, ..Sipp::default() }.start(&ground, &server);
    phone.program.says("Incoming call", GENEROUS);
    wait_until("the phone rings again", GENEROUS, || is_ringing(&server));
    phone.tell("accept");
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    let capture = capture.stop();
    let legs = capture.legs();
    let answered = |who: &str| legs.iter().rfind(|leg| leg.answered.is_some() && leg.to.starts_with(who));
    let (agent, caller) = (answered("ada").expect("ada's leg"), answered(DIRECT).expect("the caller's leg"));
    assert_talk(&capture, &server, (agent, caller), 600.0, agent.talk());
    assert_talk(&capture, &server, (caller, agent), 1000.0, (agent.talk().0, caller.talk().1));
}

#[test]
fn an_agent_who_vanishes_while_ringing_is_followed_by_the_next() {
    let ground = Ground::new("vanishes_ringing");
    // It would ring for a minute: that nobody is there is known by the OPTIONS that are sent while it rings.
    let wishes = Wishes { ring_timeout: "1m", sip: OFTEN_ASKED.to_owned(), ..Wishes::agents(&["ada", "ben"]) };
    let server = Server::start(&ground, &wishes);
    let mut lost = Baresip::start(&ground, &server, "ada", LOST, false);
    lost.wait_registered();
    let capture = ground.capture();
    let mut caller = Sipp { seconds: 16.0, says: CALLER, ..Sipp::default() }.start(&ground, &server);
    wait_until("baresip rings", 10 * SECOND, || is_ringing(&server));
    lost.program.says("Incoming call", GENEROUS);
    let rival = rival(&ground, &server, 20.0);
    lost.program.kill();
    wait_until("the loss is known", GENEROUS, || rings_no_more(&server));
    let taker = phone_agent(&ground, &server, "ben", NEXT, &["--answer", "0"]);
    event(&taker, "Connected", GENEROUS);
    assert_eq!(caller.wait(GENEROUS), 0);
    let call = served_before(&server, rival);
    assert_eq!(offers(&call), [(1001, "Unreachable".to_owned()), (1002, "Accepted".to_owned())]);
    let capture = capture.stop();
    judge_waiting(&capture, &server);
    judge_next(&capture, &server);
}

#[test]
fn an_agent_who_vanishes_while_talking_is_followed_by_the_next() {
    let ground = Ground::new("vanishes_talking");
    let server = Server::start(&ground, &Wishes { silence: "2s", ..Wishes::agents(&["ada", "ben"]) });
    let mut lost = Baresip::start(&ground, &server, "ada", LOST, true);
    lost.wait_registered();
    let capture = ground.capture();
    let mut caller = Sipp { seconds: 14.0, says: CALLER, ..Sipp::default() }.start(&ground, &server);
    wait_until("they talk", 10 * SECOND, || is_talking(&server));
    talk_for(2 * SECOND);
    let rival = rival(&ground, &server, 18.0);
    lost.program.kill();
    wait_until("the loss is known", 2 * GENEROUS, || !is_talking(&server));
    talk_for(3 * SECOND);
    let taker = phone_agent(&ground, &server, "ben", NEXT, &["--answer", "0"]);
    event(&taker, "Connected", 15 * SECOND);
    assert_eq!(caller.wait(30 * SECOND), 0);
    let call = served_before(&server, rival);
    assert_eq!(call["segments"].as_array().map(Vec::len), Some(2), "the caller was not queued again: {call}");
    assert_eq!(call["cause"], "CallerHungUp");
    let capture = capture.stop();
    let legs = capture.legs();
    let lost = legs.iter().find(|leg| leg.to.starts_with("ada") && leg.answered.is_some()).expect("her leg");
    let (_, last) = said_by(&capture, lost, &server).time();
    let time = (lost.answered.expect("she answered"), last - 0.1);
    assert!(time.1 - time.0 > 1.0, "they talked for {:.1} s", time.1 - time.0);
    assert_talk(&capture, &server, (&legs[0], lost), LOST, time);
    assert_talk(&capture, &server, (lost, &legs[0]), CALLER, time);
    judge_music(&capture, &server, lost);
    judge_next(&capture, &server);
}

/// Who holds may say nothing: that she is gone is known by the OPTIONS that nobody answers.
#[test]
fn an_agent_who_vanishes_while_holding_is_followed_by_the_next() {
    let ground = Ground::new("vanishes_holding");
    let wishes = Wishes { sip: OFTEN_ASKED.to_owned(), ..Wishes::agents(&["ada", "ben"]) };
    let server = Server::start(&ground, &wishes);
    let mut lost = Baresip::start(&ground, &server, "ada", LOST, true);
    lost.wait_registered();
    let capture = ground.capture();
    // Her phone has 64·T1 to answer, 32 s, once a question has begun.
    let mut caller = Sipp { seconds: 54.0, says: CALLER, ..Sipp::default() }.start(&ground, &server);
    lost.program.says("Call established", GENEROUS);
    talk_for(2 * SECOND);
    lost.tell("hold");
    wait_until("the call is held", GENEROUS, || server.drawing().contains("hold"));
    talk_for(SECOND);
    let rival = rival(&ground, &server, 56.0);
    lost.program.kill();
    wait_until("the loss is known", 2 * GENEROUS, || !is_talking(&server));
    talk_for(3 * SECOND);
    let taker = phone_agent(&ground, &server, "ben", NEXT, &["--answer", "0"]);
    event(&taker, "Connected", GENEROUS);
    assert_eq!(caller.wait(2 * GENEROUS), 0);
    let call = served_before(&server, rival);
    assert_eq!(call["segments"].as_array().map(Vec::len), Some(2), "the caller was not queued again: {call}");
    assert_eq!(call["cause"], "CallerHungUp");
    let capture = capture.stop();
    let legs = capture.legs();
    let (caller, next) = (&legs[0], next_leg(&legs));
    let lost = legs.iter().find(|leg| leg.to.starts_with("ada") && leg.answered.is_some()).expect("her leg");
    let [held] = reinvited(&capture, lost)[..] else { panic!("not held once") };
    assert_talk(&capture, &server, (caller, lost), LOST, (lost.talk().0, held - 0.1));
    let heard = heard_by(&capture, caller, &server);
    assert_no_gap(&capture, "who is held, and waits again", &heard, (held + 0.1, next.talk().0));
    let samples = heard.samples(next.talk().0 - 2.5, next.talk().0 - 0.1);
    assert_sounds(&samples, &[&music_from(&samples)]);
    judge_next(&capture, &server);
}

/// The same of a caller: the agent need not hear music for ever.
#[test]
fn a_caller_who_vanishes_while_holding_is_missed() {
    let ground = Ground::new("holder_is_gone");
    let server = Server::start(&ground, &Wishes { sip: OFTEN_ASKED.to_owned(), ..Wishes::agents(&["ada"]) });
    let agent = phone_agent(&ground, &server, "ada", 1000.0, &["--answer", "0"]);
    let mut caller = Baresip::caller(&ground, "visitor", CALLER);
    caller.tell(&format!("dial sip:{DIRECT}@{}", server.sip));
    event(&agent, "Connected", GENEROUS);
    wait_until("they talk", GENEROUS, || is_talking(&server));
    caller.tell("hold");
    wait_until("the call is held", GENEROUS, || server.drawing().contains("hold"));
    caller.program.kill();
    assert_eq!(event(&agent, "Ended", 2 * GENEROUS)["answered"], true);
    assert_eq!(end_of(&server, 1), pair("Protocol", "Connected"));
}

/// The first agent's phone takes the call in the same breath in which we give her up: her 200 comes after our CANCEL.
#[test]
fn two_agents_never_both_get_one_call() {
    let ground = Ground::new("one_call_two_agents");
    let server = Server::start(&ground, &Wishes { ring_timeout: "3s", ..Wishes::agents(&["ada", "ben"]) });
    let (at, audio) = (ground.port(), ground.port());
    assert_eq!(try_register(&ground, &server, &["ada"], at, 200), 0);
    let steps = "it takes what is cancelled\n< INVITE\n> 180\n< CANCEL\n> 200 CANCEL\n> 200 INVITE\n  sdp\n< ACK\n< BYE\n> 200\n";
    let scenario = flow(steps).scenario();
    let (at, audio, text) = (Some(at), Some(audio), Some(scenario.as_str()));
    let late = Sipp { name: "late", text, from: "ada", number: DIRECT, at, audio, ..Sipp::default() };
    let mut late = late.start(&ground, &server);
    let _next = sipp_agent(&ground, &server, "ben", Sipp { scenario: "agent_answers", says: NEXT, ..Sipp::default() });
    let capture = ground.capture();
    let mut caller = Sipp { seconds: 10.0, says: CALLER, ..Sipp::default() }.start(&ground, &server);
    assert_eq!((caller.wait(GENEROUS), late.wait(GENEROUS)), (0, 0));
    let call = server.wait_ended(1, 10 * SECOND).remove(0);
    assert_eq!(offers(&call), [(1001, "NoAnswer".to_owned()), (1002, "Accepted".to_owned())]);
    let capture = capture.stop();
    let legs = capture.legs();
    let crossed = legs.iter().find(|leg| leg.to == "ada").expect("her leg");
    assert!(crossed.cancelled && crossed.finals.contains(&200), "{crossed:?}");
    judge_next(&capture, &server);
}
