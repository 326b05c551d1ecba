//! More calls than can be taken: new ones are refused for a while, those that run go on and are heard (RFC 3261 §21.5.4).

use super::flow::{Flow, flow};
use super::flows::{place, start};
use super::harness::{GENEROUS, Ground, Program, SECOND, wait_until};
use super::heard::assert_talk;
use super::leaving::is_talking;
use super::peers::{Baresip, Sipp};
use super::server::{Server, Wishes};

/// Attempts, and how many come each second.
const FLOOD: u32 = 4_000;
const RATE: &str = "200";

/// A call that does everything in the midst of the flood.
fn running() -> Flow {
    flow(
        "a call that runs\n> INVITE\n  sdp\n< 200\n> ACK\nwait 9000\n> INVITE\n  sdp sendonly\n< 200\n> ACK\n> INFO\n  \
         body application/dtmf-relay Signal=5\\nDuration=160\n< 200\n> OPTIONS\n< 200\n> UPDATE\n  sdp\n< 200\n> BYE\n< 200\n",
    )
}

#[test]
fn a_flood_of_calls_is_refused_and_calls_that_run_go_on() {
    let ground = Ground::new("flood");
    let sip = "[server.sip.limits]\ntransactions = 100\n".to_owned();
    let server = Server::start(&ground, &Wishes { sip, ..Wishes::agents(&["ada"]) });
    let capture = ground.capture();
    let agent = Baresip::start(&ground, &server, "ada", 1000.0, true);
    agent.wait_registered();
    let mut caller = Sipp { seconds: 14.0, says: 600.0, ..Sipp::default() }.start(&ground, &server);
    wait_until("they talk", GENEROUS, || is_talking(&server));
    let running = running();
    let mut calls: Vec<Program> = (0..3)
        .map(|number| start(&ground, &server, (&format!("runs-{number}"), &running, "guest"), place(&ground)))
        .collect();
    wait_until("they run", GENEROUS, || server.calls().len() == 4);
    let flood =
        Sipp { name: "flood", scenario: "caller_in_a_flood", calls: FLOOD, more: &["-r", RATE], ..Sipp::default() };
    let mut flood = flood.start(&ground, &server);
    let asks =
        Sipp { name: "asks", scenario: "asker_in_a_flood", calls: FLOOD, more: &["-r", RATE], ..Sipp::default() };
    let mut asks = asks.start(&ground, &server);
    let refused = || {
        let metrics = server.metrics();
        ["INVITE", "OPTIONS"]
            .map(|method| format!("tierline_sip_responses_sent_total{{method=\"{method}\",code=\"503\"}}"))
            .map(|name| metrics.get(&name).copied().unwrap_or_default())
    };
    // Where questions have no room either, there is some for calls that run only.
    wait_until("all that is new is refused", GENEROUS, || refused().iter().all(|count| *count > 100.0));
    assert!(calls.iter_mut().all(Program::is_running), "the calls ended before the flood: the test proves nothing");
    for mut call in calls {
        assert_eq!(call.wait(GENEROUS), 0, "SIPp is not content with a call that runs");
    }
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content with a call that is heard");
    assert!(flood.is_running(), "the flood ended before the calls: the test proves nothing");
    assert_eq!(flood.wait(60 * SECOND), 0, "every attempt is taken or told when to come again");
    assert_eq!(asks.wait(60 * SECOND), 0, "everybody who asks is answered");
    let capture = capture.stop();
    let legs = capture.legs();
    let caller = &legs[0];
    let agent = legs.iter().find(|leg| leg.sides.is_some_and(|(from, _)| from == server.sip));
    let agent = agent.expect("the agent was called");
    let talk = (agent.talk().0, caller.talk().1);
    assert!(talk.1 - talk.0 > 10.0, "they talked for {:.1} s only", talk.1 - talk.0);
    assert_talk(&capture, &server, (caller, agent), 1000.0, talk);
    assert_talk(&capture, &server, (agent, caller), 600.0, talk);
}
