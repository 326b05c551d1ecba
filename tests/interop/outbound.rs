//! Phones that keep flows and say who they are (RFC 5626, RFC 5627): baresip's `sipnat=outbound`, directly and behind
//! kamailio, which names each phone's connection in its Path (RFC 3327). A flow is cut, and the phone is called over the
//! one that it has instead. The GRUU that baresip gets it does not use: SIPp does.

use super::audio;
use super::capture::{Capture, Leg, Message};
use super::edge::Edge;
use super::harness::{GENEROUS, Ground, Tcpdump, wait_for};
use super::heard::{HEARD, assert_talk, heard_by};
use super::peers::{Baresip, Sipp, Softphone, UUID};
use super::server::{Server, Wishes};
use super::streams::{tls_listener, with_sip};
use super::vanishing::Proxy;
use std::net::SocketAddr;
use std::time::Duration;

const CALLER: f64 = 600.0;
const AGENT: f64 = 1000.0;
/// baresip registers anew between 30 and 60 seconds after a connection was lost.
const COMES_BACK: Duration = Duration::from_secs(75);

/// A phone that reaches us, or its edges, by these addresses: its first flow and its second one.
fn phone(ground: &Ground, server: &Server, by: &[SocketAddr], transport: &str) -> Baresip {
    let flows = by.iter().zip(["outbound", "outbound2"]);
    let flows = flows.map(|(at, name)| format!(";{name}=\"sip:{at};transport={transport}\"")).collect::<String>();
    let (over, more) = (format!(";transport={transport}"), format!(";sipnat=outbound{flows}"));
    let (at, user, over, more) = (server.sip, "ada", over.as_str(), more.as_str());
    Softphone { at, over, user, hz: AGENT, registers: true, answers: true, more, ..Softphone::default() }.start(ground)
}

/// What the server has sent as 200 to REGISTERs.
fn bound<'c>(capture: &'c Capture, server: &'c Server) -> impl DoubleEndedIterator<Item = &'c Message> {
    let is = |m: &&Message| m.status() == Some(200) && m.header("CSeq").ends_with("REGISTER");
    capture.messages.iter().filter(|message| message.from == server.sip).filter(is)
}

/// The Contacts of an answer: one for each binding.
fn contacts(answer: &str) -> Vec<&str> {
    answer.lines().filter(|line| line.starts_with("Contact: ")).collect()
}

/// Waits until the server has granted so many registrations; the last answer.
fn wait_bound(wire: &Tcpdump, server: &Server, many: usize) -> String {
    let last = || {
        let capture = wire.so_far();
        let granted: Vec<&Message> = bound(&capture, server).collect();
        (granted.len() >= many).then(|| granted[granted.len() - 1].text.clone())
    };
    wait_for(&format!("{many} registrations"), COMES_BACK, last)
}

/// A caller who stays for so many seconds.
fn call(ground: &Ground, server: &Server, name: &str, seconds: f64) {
    let mut caller = Sipp { name, seconds, ..Sipp::default() }.start(ground, server);
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
}

/// Every call was heard on both sides; the legs of those who called and were called, in turn.
fn judge<'c>(capture: &Capture, server: &Server, legs: &'c [Leg]) -> Vec<(&'c Leg, &'c Leg)> {
    let pairs: Vec<(&Leg, &Leg)> = legs.chunks(2).map(|pair| (&pair[0], &pair[1])).collect();
    for (caller, agent) in &pairs {
        let time = (agent.talk().0, caller.talk().1.min(agent.talk().1));
        assert!(time.1 - time.0 > 2.0, "they talked for {:.1} s", time.1 - time.0);
        assert_talk(capture, server, (caller, agent), AGENT, time);
        assert_talk(capture, server, (agent, caller), CALLER, time);
    }
    pairs
}

/// The INVITE that the server sent in this leg.
fn invite<'c>(capture: &'c Capture, server: &Server, leg: &Leg) -> &'c Message {
    let of_leg = |m: &&Message| m.method() == Some("INVITE") && m.header("Call-ID") == leg.call_id;
    capture.messages.iter().filter(of_leg).find(|m| m.from == server.sip).expect("an INVITE to the agent")
}

fn path(answer: &str) -> &str {
    answer.lines().find_map(|line| line.strip_prefix("Path: ")).expect("a Path")
}

#[test]
fn a_phone_behind_kamailio_is_called_over_its_new_flow_when_the_old_one_is_cut() {
    let ground = Ground::new("outbound_edge");
    let server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let edge = Edge::with(&ground, &server, "edge_flows", "edge");
    let wire = ground.capture();
    let relay = Proxy::before(edge.at);
    let agent = phone(&ground, &server, &[relay.at], "tcp");
    agent.wait_registered();
    let first = wait_bound(&wire, &server, 1);
    assert!(contacts(&first)[0].contains(&format!("{UUID}>\";reg-id=1")), "{first}");
    call(&ground, &server, "before", 4.0);
    relay.cut();
    let second = wait_bound(&wire, &server, 2);
    assert_eq!(contacts(&second).len(), 1, "one flow, one binding: {second}");
    assert_ne!(path(&first), path(&second), "kamailio names another connection");
    call(&ground, &server, "after", 4.0);
    server.wait_ended(2, GENEROUS);
    let capture = wire.stop();
    let legs = capture.legs();
    let pairs = judge(&capture, &server, &legs);
    assert_eq!(pairs.len(), 2, "{legs:?}");
    for ((_, agent), bound) in pairs.iter().zip([&first, &second]) {
        assert_eq!(invite(&capture, &server, agent).header("Route"), path(bound));
    }
}

#[test]
fn a_phone_with_two_flows_is_called_over_the_one_that_is_left() {
    let ground = Ground::new("outbound_two_edges");
    let server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let mut edges = ["one", "two"].map(|name| Edge::with(&ground, &server, "edge_flows", name));
    let wire = ground.capture();
    let agent = phone(&ground, &server, &[edges[0].at, edges[1].at], "tcp");
    agent.wait_registered();
    let both = wait_bound(&wire, &server, 2);
    assert!([1, 2].iter().all(|id| both.contains(&format!("reg-id={id}"))) && contacts(&both).len() == 2, "{both}");
    // The edge that registered last is the one that is taken first.
    let newest = wire.so_far();
    let newest = bound(&newest, &server).next_back().expect("a 200").to;
    let lost = edges.iter().position(|edge| edge.at == newest).expect("one of the edges");
    edges[lost].die();
    call(&ground, &server, "caller", 10.0);
    server.wait_ended(1, GENEROUS);
    let capture = wire.stop();
    let legs = capture.legs();
    let pairs = judge(&capture, &server, &legs);
    assert_eq!(pairs.len(), 1, "{legs:?}");
    let (_, agent) = pairs[0];
    let tried =
        capture.messages.iter().filter(|m| m.method() == Some("INVITE") && m.header("Call-ID") == agent.call_id);
    let tried: Vec<SocketAddr> = tried.filter(|m| m.from == server.sip).map(|m| m.to).collect();
    let (dead, lives) = (edges[lost].at, edges[1 - lost].at);
    assert!(tried.first() == Some(&dead) && tried.last() == Some(&lives), "{tried:?}");
}

/// Directly, over TCP and TLS: the connection is cut, the phone comes back.
fn comes_back(ground: &Ground, wishes: &Wishes, by: Option<SocketAddr>, transport: &str) {
    let server = Server::start(ground, wishes);
    let wire = ground.capture();
    let relay = Proxy::before(by.unwrap_or(server.sip));
    let agent = phone(ground, &server, &[relay.at], transport);
    agent.wait_registered();
    call(ground, &server, "before", 4.0);
    let made = |server: &Server| server.metrics()["tierline_sip_registrations_total{outcome=\"bound\"}"];
    let before = made(&server);
    relay.cut();
    wait_for("the phone is back", COMES_BACK, || (made(&server) > before).then_some(()));
    call(ground, &server, "after", 4.0);
    server.wait_ended(2, GENEROUS);
    let list = server.metrics();
    assert_eq!(list["tierline_sip_bindings"], 1.0, "one flow, one binding");
    let capture = wire.stop();
    let legs = capture.legs();
    if transport == "tcp" {
        assert_eq!(judge(&capture, &server, &legs).len(), 2, "{legs:?}");
        return;
    }
    // The phone's own legs are hidden by TLS: the callers' are seen, and the phone has recorded what it heard.
    assert_eq!(legs.len(), 2, "{legs:?}");
    for caller in &legs {
        let heard = heard_by(&capture, caller, &server);
        let (from, to) = caller.talk();
        assert!(heard.tone(AGENT, from + 1.0, to) >= HEARD, "the caller did not hear the phone");
    }
    let recordings = wait_for("two recordings", GENEROUS, || Some(agent.heard()).filter(|all| all.len() == 2));
    for recorded in recordings {
        let (tone, share) = audio::main_tone(&audio::read_wav(&recorded), &[CALLER, 700.0, AGENT]);
        assert!(tone == CALLER && share > 70.0, "baresip recorded {tone} Hz in {share:.1} %");
    }
}

#[test]
fn a_phone_comes_back_over_another_connection_as_the_same_flow() {
    let ground = Ground::new("outbound_tcp");
    comes_back(&ground, &Wishes::agents(&["ada"]), None, "tcp");
}

#[test]
fn a_phone_comes_back_over_another_tls_connection_as_the_same_flow() {
    let ground = Ground::new("outbound_tls");
    let at = ground.address();
    comes_back(&ground, &with_sip(&tls_listener(at)), Some(at), "tls");
}
