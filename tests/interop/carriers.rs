//! What binds us to carriers: registrations, proofs, turns and limits, with SIPp as carriers and by raw bytes.

use super::flow::flow;
use super::flows::{place, start};
use super::harness::{GENEROUS, Ground, SECOND, wait_until};
use super::peers::Sipp;
use super::server::{DIRECT, Server, Wishes};
use super::trunks::{Carrier, KNOWS, LINE, wishes};
use super::wire::{Wire, answer, invite};
use std::net::{SocketAddr, TcpListener, UdpSocket};

const ACCOUNT: &str = "user = \"account\"\npassword_file = \"carrier.password\"\n";

fn carrier(name: &'static str, port: u16, more: &str) -> Carrier {
    Carrier { name, port, more: format!("options = \"0s\"\n{more}") }
}

fn is_registered(server: &Server) -> bool {
    server.metrics().get("tierline_trunk_registered{trunk=\"carrier\"}") == Some(&1.0)
}

/// RFC 3261 §10.2.8.
#[test]
fn a_registrar_that_wants_longer_registrations_gets_them() {
    let ground = Ground::new("carriers_423");
    let at = place(&ground);
    let more = format!("{ACCOUNT}register = \"10m\"\n");
    let server = Server::start(&ground, &wishes(&ground, &[carrier("carrier", at.0, &more)]));
    let wants = flow(
        "a registrar that wants longer registrations\n< REGISTER\n  Expires: ^ ?600$\n> 423\n  Min-Expires: 1800\n\
         < REGISTER\n  Expires: ^ ?1800$\n> 200\n  Expires: 1800\n",
    );
    let mut registrar = start(&ground, &server, ("carrier", &wants, "carrier"), at);
    assert_eq!(registrar.wait(GENEROUS), 0, "SIPp is not content");
    wait_until("we are registered", GENEROUS, || is_registered(&server));
}

/// RFC 3665 §3.3: each of two proxies on the way wants a proof for its own realm, and each with a count that it has not seen
/// (RFC 7616 §3.4).
#[test]
fn two_proxies_on_the_way_each_get_their_proof() {
    let ground = Ground::new("carriers_407");
    let at = place(&ground);
    let server = Server::start(&ground, &wishes(&ground, &[carrier("carrier", at.0, ACCOUNT)]));
    let asks = |realm: &str| {
        let challenge = format!("Digest realm=\"{realm}\", nonce=\"n-{realm}\", algorithm=MD5, qop=\"auth\"");
        format!("> 407\n  Proxy-Authenticate: {challenge}\n< ACK\n< INVITE\n  Proxy-Authorization: ")
    };
    let wants = format!(
        "two proxies\n< INVITE\n{}realm=.edge.*n-edge\n{}realm=.edge\n> 200\n  sdp\n< ACK\n\
         < BYE\n> 200\n",
        asks("edge"),
        asks("carrier")
    );
    let capture = ground.capture();
    let mut proxies = start(&ground, &server, ("carrier", &flow(&wants), "carrier"), at);
    let mut caller = Sipp { number: LINE, seconds: 3.0, ..Sipp::default() }.start(&ground, &server);
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    assert_eq!(proxies.wait(GENEROUS), 0, "the proxies are not content");
    let call = server.wait_ended(1, GENEROUS).remove(0);
    assert_eq!(call["phase"], "Connected", "{call}");
    let capture = capture.stop();
    let invite =
        capture.messages.iter().rfind(|message| message.from == server.sip && message.method() == Some("INVITE"));
    let text = &invite.expect("an INVITE to the proxies").text;
    let proofs = text.lines().filter(|line| line.starts_with("Proxy-Authorization: Digest"));
    let proofs: Vec<_> = proofs.map(|line| (line.contains("realm=\"edge\""), line.contains("nc=00000002"))).collect();
    assert_eq!(proofs, [(true, true), (false, false)], "{text}");
}

/// A registration over a connection that the carrier closes does not hold any more, and is made again over another one.
#[test]
fn a_registration_whose_connection_is_closed_is_made_again_and_does_not_hold_meanwhile() {
    let ground = Ground::new("carriers_cut");
    let at = ground.address();
    let listener = TcpListener::bind(at).expect("a port");
    let more = format!("{ACCOUNT}register = \"10m\"\n");
    let usual = wishes(&ground, &[carrier("carrier", at.port(), &more)]);
    let over_tcp = usual.more.replace(&format!("server = \"{at}\""), &format!("server = \"{at};transport=tcp\""));
    let server = Server::start(&ground, &Wishes { more: over_tcp, ..usual });
    let ok = |register: &str| answer(register, "200 OK").replace("Content-Length", "Expires: 600\r\nContent-Length");
    let mut wire = Wire::accepted(&listener);
    let register = wire.until("REGISTER");
    wire.say(ok(&register));
    wait_until("we are registered", GENEROUS, || is_registered(&server));
    drop(wire);
    let mut wire = Wire::accepted(&listener);
    let register = wire.until("REGISTER");
    wait_until("it holds no more", GENEROUS, || !is_registered(&server));
    wire.say(ok(&register));
    wait_until("we are registered again", GENEROUS, || is_registered(&server));
}

/// What begins toward a trunk that names its listener leaves over that one, although another reaches it as well, and names it
/// in Via and Contact; so does what follows. The carrier takes nothing else.
#[test]
fn a_trunk_is_reached_over_the_listener_that_it_names() {
    let ground = Ground::new("carriers_listener");
    let (at, own) = (ground.address(), SocketAddr::from(([127, 0, 0, 2], ground.port())));
    let more = format!("options = \"5s\"\n{ACCOUNT}register = \"10m\"\nlistener = \"{own}\"\n");
    let usual = wishes(&ground, &[Carrier { name: "carrier", port: at.port(), more }]);
    let sip = format!("[[server.sip.listen]]\ntransport = \"udp\"\nbind = \"{own}\"\n");
    let server = Server::start(&ground, &Wishes { sip, ..usual });
    let capture = ground.capture();
    let usual = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/scenarios/agent_answers.xml");
    let usual = std::fs::read_to_string(usual).expect("a scenario");
    let port = own.port();
    let names = |header: &str| {
        let at = format!("127[.]0[.]0[.]2:{port}");
        format!("<ereg regexp=\"{at}\" search_in=\"hdr\" header=\"{header}:\" check_it=\"true\" assign_to=\"1\"/>")
    };
    let takes = |method: &str, more: &str, headers: [&str; 2]| {
        let headers = headers.map(names).concat();
        format!("<recv request=\"{method}\"{more}><action>{headers}</action></recv>")
    };
    let aside = " optional=\"true\" next=\"1\"";
    let text = usual
        .replace(
            "<recv request=\"OPTIONS\" optional=\"true\" next=\"1\"/>",
            &(takes("OPTIONS", aside, ["Via", "From"]) + &takes("REGISTER", aside, ["Via", "Contact"])),
        )
        .replace("<recv request=\"INVITE\"/>", &takes("INVITE", "", ["Via", "Contact"]))
        .replace("</scenario>", "<Reference variables=\"1\"/></scenario>");
    let takes_only = Sipp { name: "carrier", text: Some(&text), at: Some(at.port()), calls: 1000, ..Sipp::default() };
    let _carrier = takes_only.start(&ground, &server);
    wait_until("we are registered", GENEROUS, || is_registered(&server));
    let up = "tierline_trunk_state{trunk=\"carrier\",state=\"up\"}";
    wait_until("the carrier is up", GENEROUS, || server.metrics().get(up) == Some(&1.0));
    let mut caller = Sipp { number: LINE, seconds: 5.0, ..Sipp::default() }.start(&ground, &server);
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    let call = server.wait_ended(1, GENEROUS).remove(0);
    assert_eq!(call["phase"], "Connected", "{call}");
    let capture = capture.stop();
    let requests = capture.messages.iter().filter(|message| message.to == at);
    let requests: Vec<_> = requests.filter_map(|message| Some((message.method()?, message.from))).collect();
    assert!(requests.iter().all(|(_, from)| *from == own), "{requests:?}");
    for method in ["REGISTER", "OPTIONS", "INVITE", "ACK", "BYE"] {
        assert!(requests.iter().any(|(sent, _)| *sent == method), "no {method}: {requests:?}");
    }
}

/// RFC 3261 §16.7 step 6: a proxy whose timer has run out says 408 for whom it has rung. He is not rung by the next carrier; who
/// was never reached is.
#[test]
fn who_rang_and_did_not_answer_is_not_rung_by_the_next_carrier() {
    for (rings, calls) in [(true, 0.0), (false, 1.0)] {
        let ground = Ground::new(&format!("carriers_408_{rings}"));
        let (first, second) = (place(&ground), place(&ground));
        let carriers = [carrier("first", first.0, ""), carrier("second", second.0, "")];
        let server = Server::start(&ground, &wishes(&ground, &carriers));
        let ringing = if rings { "> 180\n" } else { "" };
        let gives_up = flow(&format!("a carrier\n< INVITE\n{ringing}wait 300\n> 408 INVITE\n< ACK\n"));
        let mut gives_up = start(&ground, &server, ("first", &gives_up, "carrier"), first);
        let answers = flow("another carrier\n< INVITE\n> 200\n  sdp\n< ACK\n< BYE\n> 200\n");
        let _answers = start(&ground, &server, ("second", &answers, "carrier"), second);
        let mut caller = Sipp { number: LINE, seconds: 5.0, ..Sipp::default() }.start(&ground, &server);
        caller.wait(GENEROUS);
        assert_eq!(gives_up.wait(GENEROUS), 0, "the first carrier is not content");
        server.wait_ended(1, GENEROUS);
        let name = "tierline_trunk_calls_total{trunk=\"second\",direction=\"out\"}";
        assert_eq!(server.metrics().get(name).copied().unwrap_or_default(), calls, "it rang: {rings}");
    }
}

/// Whoever proves to be the carrier is it, wherever he calls from; without proof he is asked again.
#[test]
fn a_carrier_that_proves_itself_is_known_from_anywhere() {
    let ground = Ground::new("carriers_proof");
    let more = format!("{ACCOUNT}accept_digest = true\n");
    let server = Server::start(&ground, &wishes(&ground, &[carrier("carrier", ground.port(), &more)]));
    let at = place(&ground);
    let from = "  From: <sip:account@[remote_ip]>;tag=[pid]c[call_number]\n";
    for (number, (password, end)) in [("wrong", "< 401\n"), (KNOWS, "< 200\n")].into_iter().enumerate() {
        let proof = format!("  [authentication username=account password={password}]\n  sdp\n");
        let taken =
            if end == "< 200\n" { format!("> ACK\n{from}> BYE\n{from}< 200\n") } else { format!("> ACK\n{from}") };
        let call = format!("> INVITE\n{from}  sdp\n< 401\n> ACK\n{from}> INVITE\n{from}{proof}{end}{taken}");
        let call = flow(&format!("a carrier from elsewhere\n{call}"));
        let mut sipp = start(&ground, &server, (&format!("carrier-{number}"), &call, "account"), at);
        assert_eq!(sipp.wait(GENEROUS), 0, "SIPp is not content, who says that he knows {password}");
    }
    server.wait_ended(1, GENEROUS);
    assert_eq!(server.metrics()["tierline_trunk_calls_total{trunk=\"carrier\",direction=\"in\"}"], 1.0);
}

/// Calls of one test, and how they come: all within two seconds.
const CALLS: u32 = 16;

/// Lower order first; among equals by weight; and who has no more calls a second to give is passed over.
#[test]
fn carriers_take_turns_by_order_weight_and_rate() {
    // What is written of each, and whether each has some of the calls.
    let (usual, heavy) = ("", "weight = 65535\n");
    let slow = "outgoing = { calls = 50, rate = 1 }\n";
    let rows = [
        ("order = 1", [usual, heavy], [true, false]),
        ("order = 0", [usual, usual], [true, true]),
        ("order = 0", [usual, heavy], [false, true]),
        ("order = 1", [slow, usual], [true, true]),
    ];
    for (number, (order, more, expect)) in rows.into_iter().enumerate() {
        let ground = Ground::new(&format!("carriers_turns_{number}"));
        let at = [ground.port(), ground.port()];
        let names = ["first", "second"];
        let carriers = [0, 1].map(|n| carrier(names[n], at[n], more[n]));
        let usual = wishes(&ground, &carriers);
        let server = Server::start(&ground, &Wishes { more: usual.more.replace("order = 1", order), ..usual });
        let answers = |n: usize| {
            let (name, scenario, at) = (names[n], "agent_answers", Some(at[n]));
            Sipp { name, scenario, at, calls: 100, seconds: 1.0, ..Sipp::default() }.start(&ground, &server)
        };
        let _carriers = [answers(0), answers(1)];
        let call = flow("a caller\n> INVITE\n  sdp\n< 200\n> ACK\nwait 1500\n> BYE\n< 200\n").scenario();
        let callers = Sipp { text: Some(&call), number: LINE, calls: CALLS, more: &["-r", "8"], ..Sipp::default() };
        assert_eq!(callers.start(&ground, &server).wait(60 * SECOND), 0, "SIPp is not content");
        server.wait_ended(CALLS as usize, GENEROUS);
        let metrics = server.metrics();
        let had = names.map(|name| {
            let name = format!("tierline_trunk_calls_total{{trunk=\"{name}\",direction=\"out\"}}");
            metrics.get(&name).copied().unwrap_or_default()
        });
        assert_eq!((had[0] + had[1], had.map(|n| n > 0.0)), (f64::from(CALLS), expect), "{order} {more:?}: {had:?}");
    }
}

/// A carrier that brings more calls in a second than it may is told to wait.
#[test]
fn calls_that_a_carrier_brings_too_fast_are_refused_for_a_while() {
    let ground = Ground::new("carriers_rate");
    let at: SocketAddr = ground.address();
    let slow = "incoming = { calls = 50, rate = 1 }\n";
    let server = Server::start(&ground, &wishes(&ground, &[carrier("carrier", at.port(), slow)]));
    let socket = UdpSocket::bind(at).expect("the carrier's port");
    socket.set_read_timeout(Some(20 * SECOND)).expect("a time-out");
    let uri = format!("sip:{DIRECT}@{}", server.sip);
    for _ in 0..5 {
        let call = invite(&uri, &format!("sip:raw@{at}"), "");
        let call = call.replace("SIP/2.0/TCP 127.0.0.1:5999", &format!("SIP/2.0/UDP {at}"));
        socket.send_to(call.as_bytes(), server.sip).expect("a datagram sent");
    }
    let refused = loop {
        let mut room = [0; 4096];
        let length = socket.recv(&mut room).expect("some answers");
        let text = String::from_utf8_lossy(&room[..length]).into_owned();
        if text.starts_with("SIP/2.0 503") {
            break text;
        }
    };
    assert!(refused.contains("Retry-After: "), "{refused}");
    let full = server.metrics()["tierline_trunk_calls_total{trunk=\"carrier\",direction=\"in\"}"];
    assert!((1.0..5.0).contains(&full), "{full} calls were taken");
}
