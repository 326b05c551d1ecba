//! Who may do what: registration, strangers, short codes.

use super::harness::{Ground, SECOND, wait_until};
use super::peers::{Sipp, event, phone, phone_agent, try_register};
use super::server::{DIRECT, Server, Wishes, password};
use super::wire::{Wire, ack, invite_for};
use std::net::UdpSocket;

#[test]
fn only_the_right_password_registers() {
    let ground = Ground::new("passwords");
    let server = Server::start(&ground, &Wishes::agents(&["ada"]));
    for user in ["ada:wrong", "nobody:ada-knows-it"] {
        let at = ground.port();
        assert_ne!(try_register(&ground, &server, &[user], at, 200), 0, "`{user}` was let in");
        let mut refused = phone(&ground, &server, "refused", &["--user", "ada", "--password", "wrong"]);
        assert_eq!(refused.wait(15 * SECOND), 1, "our own phone does not notice");
    }
    assert_eq!(try_register(&ground, &server, &["ada"], ground.port(), 200), 0);
}

#[test]
fn strangers_reach_lines_only() {
    let ground = Ground::new("strangers");
    let server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let _agent = phone_agent(&ground, &server, "ada", 1000.0, &["--answer", "0"]);
    // Neither an agent by number or name, nor a number outside; and a code is for those who prove who they are.
    let refused =
        [("by-number", "1001", 404), ("by-name", "ada", 404), ("outside", "+4930123456", 404), ("code", "*0", 401)];
    for (name, number, status) in refused {
        let caller = Sipp { name, number, scenario: "caller_refused", status, ..Sipp::default() };
        assert_eq!(caller.start(&ground, &server).wait(20 * SECOND), 0, "a stranger was not refused {number}");
    }
    let calls = server.calls();
    assert!(calls.is_empty(), "refused calls are in the log: {calls:?}");
    // An agent's name proves nothing.
    let caller =
        Sipp { name: "liar", number: "*0", from: "ada", scenario: "caller_refused", status: 401, ..Sipp::default() };
    assert_eq!(caller.start(&ground, &server).wait(20 * SECOND), 0, "an agent's name was enough");
}

#[test]
fn an_agent_takes_a_break_and_comes_back_by_short_codes() {
    let ground = Ground::new("short_codes");
    let server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let agent = phone_agent(&ground, &server, "ada", 1000.0, &["--answer", "0"]);
    let dial = |name, code| {
        let secret = password("ada");
        let mut phone = phone(&ground, &server, name, &["--user", "ada", "--password", &secret, "--dial", code]);
        assert_eq!(phone.wait(15 * SECOND), 0, "dialing {code} failed: {}", phone.output());
    };
    dial("break", "*0");
    let caller = Sipp { seconds: 5.0, ..Sipp::default() };
    let mut caller = caller.start(&ground, &server);
    wait_until("a caller waits", 10 * SECOND, || {
        server.calls().first().is_some_and(|call| call["line"] == "direct" && call["segments"][0]["queue"] == "general")
    });
    assert!(!agent.output().contains("Incoming"), "an agent on a break was rung");
    dial("back", "*1");
    event(&agent, "Connected", 5 * SECOND);
    assert_eq!(caller.wait(20 * SECOND), 0);
    assert_eq!(server.calls().iter().filter(|call| call["by_agent"] == 1001).count(), 2, "{DIRECT}");
}

/// Who calls may name anybody as the one who wants the audio, and be invented: until he has acknowledged our answer, or audio
/// has come from there, that one gets two seconds of it and no more.
#[test]
fn who_does_not_acknowledge_sends_nobody_an_hour_of_music() {
    let ground = Ground::new("named_by_another");
    let server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let other = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    other.set_read_timeout(Some(2 * SECOND)).expect("a time-out");
    let port = other.local_addr().expect("an address").port();
    let mut wire = Wire::to(server.sip);
    wire.say(invite_for(port, &format!("sip:{DIRECT}@{}", server.sip), "sip:raw@127.0.0.1:9;transport=tcp", ""));
    let ok = wire.until("200");
    let packets = (0..150).take_while(|_| other.recv(&mut [0; 500]).is_ok()).count();
    assert_eq!(packets, 100);
    wire.say(ack(&ok));
    let packets = (0..150).take_while(|_| other.recv(&mut [0; 500]).is_ok()).count();
    assert_eq!(packets, 150, "whoever has acknowledged is played to");
}
