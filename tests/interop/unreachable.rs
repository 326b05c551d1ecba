//! Who is not there, and whose machine says so (ICMP port unreachable): nobody waits for him (RFC 3261 §18.4).

use super::harness::{GENEROUS, Ground, SECOND, wait_until};
use super::leaving::offers;
use super::peers::{Sipp, register, sipp_agent};
use super::server::{Server, Wishes};
use super::trunks::{Carrier, LINE, wishes};
use super::wire::{ack, invite};
use std::net::{SocketAddr, UdpSocket};

/// The requests of a method that went to a port.
fn sent(ground: &Ground, method: &str, port: u16) -> usize {
    let capture = super::capture::Capture::read(&ground.file("wire.pcap"));
    capture.messages.iter().filter(|m| m.method() == Some(method) && m.to.port() == port).count()
}

#[test]
fn a_phone_that_is_gone_is_asked_once_and_the_next_one_rings() {
    let ground = Ground::new("gone_phone");
    let server = Server::start(&ground, &Wishes { ring_timeout: "1m", ..Wishes::agents(&["ada", "ben"]) });
    let capture = ground.capture();
    // Ada has waited longest; her phone's program has ended.
    let gone = register(&ground, &server, &["ada"]);
    let _ben = sipp_agent(&ground, &server, "ben", Sipp { scenario: "agent_answers", ..Sipp::default() });
    let mut caller = Sipp { seconds: 4.0, ..Sipp::default() }.start(&ground, &server);
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    let call = server.wait_ended(1, 10 * SECOND).remove(0);
    assert_eq!(offers(&call), [(1001, "Unreachable".to_owned()), (1002, "Accepted".to_owned())]);
    drop(capture);
    assert_eq!(sent(&ground, "INVITE", gone), 1, "it is not repeated to where nobody is");
    // She counts as not there: the next caller is not offered to her.
    let mut caller = Sipp { name: "other", seconds: 4.0, ..Sipp::default() }.start(&ground, &server);
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    let call = server.wait_ended(2, 10 * SECOND).remove(0);
    assert_eq!(offers(&call), [(1002, "Accepted".to_owned())]);
}

/// The newest of her phones is not there: the other one rings for the same offer, and she has missed nothing.
#[test]
fn an_agent_s_other_phone_rings_where_one_is_gone() {
    let ground = Ground::new("gone_of_two");
    let server = Server::start(&ground, &Wishes { ring_timeout: "1m", ..Wishes::agents(&["ada"]) });
    let capture = ground.capture();
    let _there = sipp_agent(&ground, &server, "ada", Sipp { scenario: "agent_answers", ..Sipp::default() });
    let gone = register(&ground, &server, &["ada"]);
    let mut caller = Sipp { seconds: 4.0, ..Sipp::default() }.start(&ground, &server);
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    let call = server.wait_ended(1, 10 * SECOND).remove(0);
    assert_eq!(offers(&call), [(1001, "Accepted".to_owned())]);
    drop(capture);
    assert_eq!(sent(&ground, "INVITE", gone), 1, "it was tried");
}

#[test]
fn a_carrier_that_is_gone_is_followed_by_the_next_at_once() {
    let ground = Ground::new("gone_carrier");
    let (gone, there) = (ground.port(), ground.port());
    let carrier = |name, port| Carrier { name, port, more: "options = \"0s\"\n".to_owned() };
    let server = Server::start(&ground, &wishes(&ground, &[carrier("gone", gone), carrier("there", there)]));
    let capture = ground.capture();
    let answers = Sipp { name: "there", scenario: "agent_answers", at: Some(there), ..Sipp::default() };
    let _there = answers.start(&ground, &server);
    let mut caller = Sipp { number: LINE, seconds: 5.0, ..Sipp::default() }.start(&ground, &server);
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    let call = server.wait_ended(1, 10 * SECOND).remove(0);
    assert_eq!((call["cause"].as_str(), call["phase"].as_str()), (Some("CallerHungUp"), Some("Connected")), "{call}");
    drop(capture);
    assert_eq!(sent(&ground, "INVITE", gone), 1, "it is not repeated to where nobody is");
    assert_eq!(server.metrics()["tierline_trunk_failures_total{trunk=\"gone\"}"], 1.0);
}

/// What is said of one peer concerns nobody else, and no call that runs: its BYE is repeated until he is back.
#[test]
fn a_caller_whose_program_was_away_for_a_moment_gets_his_bye() {
    let ground = Ground::new("gone_caller");
    let server = Server::start(&ground, &Wishes { silence: "2s", ..Wishes::agents(&["ada"]) });
    let at: SocketAddr = ground.address();
    let capture = ground.capture();
    let bind = || {
        let socket = UdpSocket::bind(at).expect("a port");
        socket.set_read_timeout(Some(20 * SECOND)).expect("a time-out");
        socket
    };
    let hear = |socket: &UdpSocket, what: &str| loop {
        let mut room = [0; 4096];
        let length = socket.recv(&mut room).unwrap_or_else(|why| panic!("no {what}: {why}"));
        let text = String::from_utf8_lossy(&room[..length]).into_owned();
        if text.starts_with(what) {
            return text;
        }
    };
    let own = |text: String| text.replace("SIP/2.0/TCP 127.0.0.1:5999", &format!("SIP/2.0/UDP {at}"));
    let socket = bind();
    let uri = format!("sip:{}@{}", super::server::DIRECT, server.sip);
    socket.send_to(own(invite(&uri, &format!("sip:raw@{at}"), "")).as_bytes(), server.sip).expect("sent");
    let ok = hear(&socket, "SIP/2.0 200");
    socket.send_to(own(ack(&ok)).as_bytes(), server.sip).expect("sent");
    drop(socket);
    // He says nothing: his call is ended, and the BYE reaches nobody at first.
    wait_until("a BYE went to where nobody is", GENEROUS, || sent(&ground, "BYE", at.port()) > 0);
    let socket = bind();
    let bye = hear(&socket, "BYE");
    socket.send_to(super::wire::answer(&bye, "200 OK").as_bytes(), server.sip).expect("sent");
    server.wait_ended(1, 5 * SECOND);
    drop(capture);
}
