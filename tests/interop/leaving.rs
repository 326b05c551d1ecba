//! Who hangs up, refuses, does not answer or vanishes, and what becomes of the other one.

use super::capture::Leg;
use super::harness::{GENEROUS, Ground, SECOND, talk_for, wait_until};
use super::heard::{assert_no_gap, assert_talk, heard_by};
use super::peers::{Baresip, Sipp, event, phone_agent, sipp_agent};
use super::server::{DIRECT, SUPPORT, Server, Wishes};
use super::vanishing::{judge_music, judge_next};
use serde_json::Value;

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
    server.calls().first().is_some_and(|call| offers(call).iter().any(|(_, outcome)| outcome == "open"))
}

pub fn is_talking(server: &Server) -> bool {
    server.calls().first().is_some_and(|call| {
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
}

#[test]
fn an_agent_who_hangs_up_ends_the_call() {
    let ground = Ground::new("agent_hangs_up");
    let server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let agent = Baresip::start(&ground, &server, "ada", 1000.0, true);
    agent.wait_registered();
    let mut caller = Sipp { scenario: "caller_waits", ..Sipp::default() }.start(&ground, &server);
    agent.program.says("Call established", 15 * SECOND);
    talk_for(SECOND);
    agent.tell("hangup");
    assert_eq!(caller.wait(20 * SECOND), 0, "the caller got no BYE");
    assert_eq!(end_of(&server, 1), pair("AgentHungUp", "Connected"));
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
    assert_no_gap(
        &capture,
        "the waiting caller",
        &heard_by(&capture, caller, &server),
        (caller.talk().0, taker.talk().0),
    );
}

#[test]
fn an_agent_who_vanishes_while_ringing_is_followed_by_the_next() {
    let ground = Ground::new("vanishes_ringing");
    let server = Server::start(&ground, &Wishes { ring_timeout: "3s", ..Wishes::agents(&["ada", "ben"]) });
    let capture = ground.capture();
    let mut lost = Baresip::start(&ground, &server, "ada", 1000.0, false);
    lost.wait_registered();
    let taker = phone_agent(&ground, &server, "ben", 1200.0, &["--answer", "0"]);
    let mut caller = Sipp { seconds: 6.0, ..Sipp::default() }.start(&ground, &server);
    wait_until("baresip rings", 10 * SECOND, || is_ringing(&server));
    lost.program.kill();
    event(&taker, "Connected", 15 * SECOND);
    assert_eq!(caller.wait(30 * SECOND), 0);
    let call = server.wait_ended(1, 10 * SECOND).remove(0);
    let offers = offers(&call);
    assert!(offers.len() == 2 && offers[1] == (1002, "Accepted".to_owned()), "{offers:?}");
    assert!(["NoAnswer", "Unreachable"].contains(&offers[0].1.as_str()), "{offers:?}");
    let capture = capture.stop();
    let legs = capture.legs();
    let waited = (legs[0].talk().0, legs.last().expect("the next agent's leg").talk().0);
    assert_no_gap(&capture, "the waiting caller", &heard_by(&capture, &legs[0], &server), waited);
    judge_next(&capture, &server);
}

#[test]
fn an_agent_who_vanishes_while_talking_is_followed_by_the_next() {
    let ground = Ground::new("vanishes_talking");
    let server = Server::start(&ground, &Wishes { silence: "2s", ..Wishes::agents(&["ada", "ben"]) });
    let mut lost = Baresip::start(&ground, &server, "ada", 1000.0, true);
    lost.wait_registered();
    let capture = ground.capture();
    let mut caller = Sipp { seconds: 14.0, ..Sipp::default() }.start(&ground, &server);
    wait_until("they talk", 10 * SECOND, || is_talking(&server));
    talk_for(SECOND);
    lost.program.kill();
    wait_until("the loss is known", GENEROUS, || !is_talking(&server));
    talk_for(3 * SECOND);
    let taker = phone_agent(&ground, &server, "ben", 1200.0, &["--answer", "0"]);
    event(&taker, "Connected", 15 * SECOND);
    assert_eq!(caller.wait(30 * SECOND), 0);
    let call = server.wait_ended(1, 10 * SECOND).remove(0);
    assert_eq!(call["segments"].as_array().map(Vec::len), Some(2), "the caller was not queued again: {call}");
    assert_eq!(call["cause"], "CallerHungUp");
    let capture = capture.stop();
    let legs = capture.legs();
    let lost = legs.iter().find(|leg| leg.to.starts_with("ada") && leg.answered.is_some()).expect("her leg");
    judge_music(&capture, &server, lost);
    judge_next(&capture, &server);
}

#[test]
fn two_agents_never_both_get_one_call() {
    let ground = Ground::new("one_call_two_agents");
    // Both answer after about a second, when their time to do so is just over, or not quite.
    let server = Server::start(&ground, &Wishes { ring_timeout: "1s", ..Wishes::agents(&["ada", "ben"]) });
    let capture = ground.capture();
    let answer = |user, says| {
        sipp_agent(&ground, &server, user, Sipp { scenario: "agent_answers_late", says, ..Sipp::default() })
    };
    let _agents = [answer("ada", 1000.0), answer("ben", 1200.0)];
    let mut answered = 0;
    // Eight calls, and more where a busy machine lets every answer come too late.
    for number in 0..24 {
        if number >= 8 && answered > 0 {
            break;
        }
        let name = format!("caller-{number}");
        let mut caller = Sipp { name: &name, seconds: 2.5, ..Sipp::default() }.start(&ground, &server);
        assert_eq!(caller.wait(20 * SECOND), 0);
        let call = server.wait_ended(number + 1, 10 * SECOND).remove(0);
        let accepted = offers(&call).iter().filter(|(_, outcome)| outcome == "Accepted").count();
        assert!(accepted <= 1, "{accepted} agents have the call: {call}");
        answered += accepted;
    }
    let capture = capture.stop();
    let legs = capture.legs();
    let agents: Vec<&Leg> =
        legs.iter().filter(|leg| leg.answered.is_some() && ["ada", "ben"].contains(&leg.to.as_str())).collect();
    assert!(!agents.is_empty(), "nobody answered: the test proves nothing");
    for (first, second) in agents.iter().zip(agents.iter().skip(1)) {
        let (end, begin) = (first.ended.expect("every answered leg ends"), second.answered.expect("answered"));
        assert!(end < begin + 0.5, "two agents talked at once: {first:?} {second:?}");
    }
}
