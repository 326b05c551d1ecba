//! What a phone could not be told when the engine was killed, because its connection went with it, it is told afterwards:
//! baresip over TCP, which can be connected to, and over TLS, which cannot (its certificate is its own) and is told over the
//! connection that it registers by. Seen: without it such a phone rings on for a minute, and who talked sits in a call with
//! nobody, busy for the next caller.

use super::harness::{GENEROUS, Ground, SECOND, talk_for, wait_until};
use super::leaving::{is_ringing, is_talking};
use super::peers::{Sipp, Softphone};
use super::server::{DIRECT, Server, Wishes};
use super::streams::{assert_recorded, tls_listener};

const AGENT: f64 = 1000.0;
const CALLER: f64 = 700.0;
/// Phones come back as often as that.
const OFTEN: &str = "[server.sip.registration]\nmin = \"10s\"\nmax = \"20s\"\ndefault = \"20s\"\n";

/// A phone over `transport` rings, or talks too, when the engine is killed; afterwards it does neither, and the next caller
/// and its agent hear each other.
fn check(name: &str, transport: &str, talks: bool) {
    let ground = Ground::new(name);
    let secure = ground.address();
    let sip = format!("{OFTEN}{}", tls_listener(secure));
    let mut server = Server::start(&ground, &Wishes { sip, ..Wishes::agents(&["ada"]) });
    let (at, over) = (if transport == "tls" { secure } else { server.sip }, format!(";transport={transport}"));
    let softphone = Softphone { at, over: &over, user: "ada", hz: AGENT, registers: true, ..Softphone::default() };
    let phone = softphone.start(&ground);
    phone.wait_registered();
    let _left = Sipp { name: "left", seconds: 60.0, ..Sipp::default() }.start(&ground, &server);
    phone.program.says("Incoming call", GENEROUS);
    wait_until("the phone rings", GENEROUS, || is_ringing(&server));
    if talks {
        phone.tell("accept");
        wait_until("they talk", GENEROUS, || is_talking(&server));
    }
    server.program.kill();
    server.start_again();
    let calls = || phone.tell("listcalls");
    wait_until("the phone is told", GENEROUS + 20 * SECOND, || {
        !calls().contains("INCOMING") && !calls().contains("ESTABLISHED")
    });
    let visitor =
        Softphone { at: server.sip, over: ";transport=tcp", user: "visitor", hz: CALLER, ..Softphone::default() };
    let caller = visitor.start(&ground);
    caller.tell(&format!("dial sip:{DIRECT}@{}{}", server.sip, visitor.over));
    wait_until("the phone rings for the next", GENEROUS, || calls().contains("INCOMING"));
    phone.tell("accept");
    wait_until("they talk", GENEROUS, || is_talking(&server));
    talk_for(4 * SECOND);
    caller.tell("hangup");
    let ended = server.wait_ended(2, GENEROUS);
    assert!(ended.iter().any(|call| call["phase"] == "Connected" && call["cause"] != "Restart"), "{ended:?}");
    assert_recorded(&caller, AGENT);
    assert_recorded(&phone, CALLER);
}

#[test]
fn a_phone_that_rang_over_tcp_when_the_engine_was_killed_is_told() {
    check("farewell_ringing_tcp", "tcp", false);
}

#[test]
fn a_phone_that_rang_over_tls_when_the_engine_was_killed_is_told() {
    check("farewell_ringing_tls", "tls", false);
}

#[test]
fn a_phone_that_talked_over_tls_when_the_engine_was_killed_is_told() {
    check("farewell_talking_tls", "tls", true);
}
