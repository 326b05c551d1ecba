//! Trunks: SIPp as carriers whose calls come and to whom calls go, heard on both sides.

use super::harness::{GENEROUS, Ground, SECOND, talk_for, wait_until};
use super::heard::{HEARD, assert_no_gap, assert_talk, heard_by};
use super::peers::{Baresip, Sipp, Softphone};
use super::server::{DIRECT, Server, Wishes};
use super::wire::{ack, invite};
use super::zone::{Data, NAPTR, Zone};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The line whose flow calls [`VENDOR`], as carriers write it.
pub const LINE: &str = "+4930100";
pub const VENDOR: &str = "+4940123456";
pub const KNOWS: &str = "carrier-knows-it";

/// A carrier at this port of the ground.
pub struct Carrier {
    pub name: &'static str,
    pub port: u16,
    pub more: String,
}

/// A center whose line leads to an outside number.
pub fn wishes(ground: &Ground, carriers: &[Carrier]) -> Wishes {
    let flow = format!(
        "version = 1\nstart = \"vendor\"\n[step.vendor]\ntransfer = \"{VENDOR}\"\nring = \"20s\"\nfailed = \"nobody\"\n\
         [step.nobody]\nhang_up = \"You are not ready.\"\n"
    );
    let mut more = format!("[line.vendor]\nnumbers = [\"{LINE}\"]\nflow = \"vendor\"\n");
    for (order, Carrier { name, port, more: rules }) in carriers.iter().enumerate() {
        writeln!(
            more,
            "[trunk.{name}]\naddresses = [\"127.0.0.1:{port}\"]\nserver = \"127.0.0.1:{port}\"\norder = {order}\n\
             country = \"49\"\nallowed = [\"+4940\"]\nnumber = \"+4930100\"\n{rules}"
        )
        .expect("text");
    }
    let secret = ground.file("carrier.password");
    std::fs::write(&secret, format!("{KNOWS}\n")).expect("a password");
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode");
    Wishes { more, flows: vec![("vendor", flow)], ..Wishes::agents(&["ada"]) }
}

fn at(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

#[test]
fn a_transfer_leaves_by_the_second_carrier_when_the_first_is_overloaded() {
    let ground = Ground::new("trunks_fail_over");
    let (first, second) = (ground.port(), ground.port());
    let carrier = |name, port, more: &str| Carrier { name, port, more: format!("options = \"0s\"\n{more}") };
    let carriers = [
        carrier("first", first, ""),
        carrier("second", second, "form = \"national\"\nshows = \"caller\"\nasserted_identity = true\n"),
    ];
    let server = Server::start(&ground, &wishes(&ground, &carriers));
    let capture = ground.capture();
    let refuses = Sipp { name: "first", scenario: "agent_refuses", at: Some(first), status: 503, ..Sipp::default() };
    let _first = refuses.start(&ground, &server);
    let answers = Sipp { name: "second", scenario: "agent_answers", at: Some(second), says: 700.0, ..Sipp::default() };
    let _second = answers.start(&ground, &server);
    // Somebody who calls by the second carrier's address would be its call: this one is a stranger, and reaches a line.
    let mut caller = Sipp { number: LINE, seconds: 5.0, says: 600.0, ..Sipp::default() }.start(&ground, &server);
    assert_eq!(caller.wait(60 * SECOND), 0, "SIPp is not content");
    let call = server.wait_ended(1, 10 * SECOND).remove(0);
    assert_eq!((call["cause"].as_str(), call["phase"].as_str()), (Some("CallerHungUp"), Some("Connected")), "{call}");
    let metrics = server.metrics();
    assert_eq!(metrics["tierline_trunk_failures_total{trunk=\"first\"}"], 1.0);
    assert_eq!(metrics["tierline_trunk_calls_total{trunk=\"second\",direction=\"out\"}"], 1.0);
    assert_eq!(metrics["tierline_trunk_calls{trunk=\"second\",direction=\"out\"}"], 0.0);
    let capture = capture.stop();
    let legs = capture.legs();
    assert_eq!(legs.len(), 3, "{legs:?}");
    let (caller, first_leg, second_leg) = (&legs[0], &legs[1], &legs[2]);
    assert_eq!((first_leg.sides.unwrap().1, first_leg.finals.as_slice()), (at(first), &[503][..]));
    assert_eq!((second_leg.sides.unwrap().1, second_leg.to.as_str()), (at(second), "040123456"));
    // What a stranger says of himself is no number that we would vouch for.
    assert_eq!(second_leg.from, "030100");
    let talk = (second_leg.talk().0, caller.talk().1);
    assert!(talk.1 - talk.0 > 2.0, "they talked for {:.1} s only", talk.1 - talk.0);
    let to_caller = heard_by(&capture, caller, &server);
    assert_no_gap(&capture, "the caller", &to_caller, (caller.talk().0, talk.0));
    assert_talk(&capture, &server, (caller, second_leg), 700.0, talk);
    assert_talk(&capture, &server, (second_leg, caller), 600.0, second_leg.talk());
}

/// RFC 3325 §9, RFC 3323 §4: whom one carrier vouches for and who wants to stay unknown is so for the next carrier too.
#[test]
fn who_calls_is_asserted_to_the_next_carrier_and_shown_only_if_he_may_be() {
    let (ground, shows) = (Ground::new("trunks_identity"), "shows = \"caller\"\nasserted_identity = true\n");
    let (first, second) = (ground.port(), ground.port());
    let carrier = |name, port, more: &str| Carrier { name, port, more: format!("options = \"0s\"\n{more}") };
    let carriers = [carrier("second", second, shows), carrier("first", first, "")];
    let server = Server::start(&ground, &wishes(&ground, &carriers));
    let capture = ground.capture();
    let answers = Sipp { name: "second", scenario: "agent_answers", at: Some(second), calls: 10, ..Sipp::default() };
    let _second = answers.start(&ground, &server);
    let usual =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/scenarios/caller_hangs_up.xml"));
    let usual = usual.expect("a scenario");
    let asserted = "P-Asserted-Identity: <sip:+49305550001@carrier.test>\n";
    let rows = [
        (format!("{asserted}Max-Forwards"), "sip:+49305550001@127.0.0.1", None),
        (format!("{asserted}Privacy: id\nMax-Forwards"), "sip:anonymous@anonymous.invalid", Some("id")),
    ];
    for (number, (fields, from, privacy)) in (1..).zip(rows) {
        let text = usual.replacen("Max-Forwards", &fields, 1);
        let name = format!("caller-{number}");
        let caller =
            Sipp { name: &name, text: Some(&text), number: LINE, at: Some(first), seconds: 2.0, ..Sipp::default() };
        assert_eq!(caller.start(&ground, &server).wait(60 * SECOND), 0, "SIPp is not content");
        server.wait_ended(number, 10 * SECOND);
        let seen = ground.file("wire.pcap");
        let seen = super::capture::Capture::read(&seen);
        let invite =
            seen.messages.iter().rfind(|m| m.method() == Some("INVITE") && m.to == at(second)).expect("a call");
        assert!(invite.header("From").contains(&format!("<{from}>")), "{}", invite.text);
        assert!(invite.header("P-Asserted-Identity").contains("<sip:+49305550001@127.0.0.1>"), "{}", invite.text);
        assert_eq!(Some(invite.header("Privacy")).filter(|text| !text.is_empty()), privacy, "{}", invite.text);
    }
    drop(capture);
}

/// What a trunk may have at once: one call more that comes over it is answered 503 with Retry-After, one more that leaves
/// takes the next trunk.
#[test]
fn a_call_more_than_a_trunk_may_have_is_refused_or_takes_another() {
    let ground = Ground::new("trunks_limits");
    let (first, second) = (ground.port(), ground.port());
    let limits = "options = \"0s\"\nincoming = { calls = 1, rate = 10 }\noutgoing = { calls = 1, rate = 10 }\n";
    let carrier = |name, port| Carrier { name, port, more: limits.to_owned() };
    let server = Server::start(&ground, &wishes(&ground, &[carrier("first", first), carrier("second", second)]));
    // A SIPp has one call at a time under one Call-ID: raw bytes.
    let socket = UdpSocket::bind(at(first)).expect("the carrier's port");
    socket.set_read_timeout(Some(20 * SECOND)).expect("a time-out");
    let own = format!("SIP/2.0/UDP {}", at(first));
    let say = |text: &str| {
        let text = text.replace("SIP/2.0/TCP 127.0.0.1:5999", &own);
        socket.send_to(text.as_bytes(), server.sip).expect("a datagram sent");
    };
    let hear = |status: &str| loop {
        let mut room = [0; 4096];
        let length = socket.recv(&mut room).unwrap_or_else(|why| panic!("no {status}: {why}"));
        let text = String::from_utf8_lossy(&room[..length]).into_owned();
        if text.starts_with(&format!("SIP/2.0 {status}")) {
            return text;
        }
    };
    let call = || invite(&format!("sip:{DIRECT}@{}", server.sip), &format!("sip:raw@{}", at(first)), "");
    say(&call());
    let ok = hear("200");
    say(&ack(&ok));
    say(&call());
    let full = hear("503");
    assert!(full.contains("Retry-After: "), "{full}");
    say(&ack(&ok).replace("ACK", "BYE").replace("CSeq: 1", "CSeq: 2").replace("-ack", "-bye"));
    hear("200");
    server.wait_ended(1, 10 * SECOND);
    drop(socket);
    let answers = |name, at| Sipp { name, scenario: "agent_answers", at: Some(at), calls: 10, ..Sipp::default() };
    let _carriers =
        [answers("first", first).start(&ground, &server), answers("second", second).start(&ground, &server)];
    let calls = |name| Sipp { name, number: LINE, seconds: 6.0, ..Sipp::default() }.start(&ground, &server);
    let mut two = [calls("one"), calls("other")];
    assert!(two.iter_mut().all(|caller| caller.wait(60 * SECOND) == 0), "SIPp is not content");
    server.wait_ended(3, 10 * SECOND);
    let metrics = server.metrics();
    let of = |trunk: &str| metrics[&format!("tierline_trunk_calls_total{{trunk=\"{trunk}\",direction=\"out\"}}")];
    assert_eq!((of("first"), of("second")), (1.0, 1.0));
}

#[test]
fn a_carrier_challenges_our_registration_and_our_calls() {
    let ground = Ground::new("trunks_digest");
    let port = ground.port();
    let more =
        "options = \"0s\"\nuser = \"account\"\npassword_file = \"carrier.password\"\nregister = \"10m\"\n".to_owned();
    let wishes = wishes(&ground, &[Carrier { name: "carrier", port, more }]);
    let server = Server::start(&ground, &wishes);
    let capture = ground.capture();
    let challenges = Sipp {
        name: "carrier",
        scenario: "carrier_challenges",
        at: Some(port),
        says: 700.0,
        calls: 10,
        ..Sipp::default()
    };
    let _carrier = challenges.start(&ground, &server);
    wait_until("we are registered", 30 * SECOND, || {
        server.metrics().get("tierline_trunk_registered{trunk=\"carrier\"}") == Some(&1.0)
    });
    let mut caller = Sipp { number: LINE, seconds: 5.0, says: 600.0, ..Sipp::default() }.start(&ground, &server);
    assert_eq!(caller.wait(60 * SECOND), 0, "SIPp is not content");
    let call = server.wait_ended(1, 10 * SECOND).remove(0);
    assert_eq!((call["cause"].as_str(), call["phase"].as_str()), (Some("CallerHungUp"), Some("Connected")), "{call}");
    let capture = capture.stop();
    let legs = capture.legs();
    assert_eq!(legs.len(), 2, "{legs:?}");
    let (caller, outside) = (&legs[0], &legs[1]);
    assert_eq!(outside.finals, [401, 200]);
    assert_talk(&capture, &server, (caller, outside), 700.0, (outside.talk().0, caller.talk().1));
    assert_talk(&capture, &server, (outside, caller), 600.0, outside.talk());
    let log = server.tierline(&["calls", call["call"].as_str().expect("a call")]);
    assert!(log.contains("INVITE over carrier"), "{log}");
    for file in ["serve-1.out", "serve-1.err"] {
        let said = std::fs::read_to_string(ground.file(file)).unwrap_or_default();
        assert!(!said.contains(KNOWS), "the password stands in {file}");
    }
}

#[test]
fn a_carrier_that_is_killed_is_down_and_up_again_when_it_is_back() {
    let ground = Ground::new("trunks_health");
    let port = ground.port();
    let wishes = wishes(&ground, &[Carrier { name: "carrier", port, more: "options = \"5s\"\n".to_owned() }]);
    let server = Server::start(&ground, &wishes);
    let is = |state: &str| {
        server.metrics().get(&format!("tierline_trunk_state{{trunk=\"carrier\",state=\"{state}\"}}")) == Some(&1.0)
    };
    let there = Sipp { name: "carrier", scenario: "agent_answers", at: Some(port), calls: 1000, ..Sipp::default() };
    let mut carrier = there.start(&ground, &server);
    wait_until("the carrier is up", 40 * SECOND, || is("up"));
    carrier.kill();
    wait_until("the carrier is down", 60 * SECOND, || is("down"));
    let mut caller = Sipp { number: LINE, seconds: 10.0, ..Sipp::default() }.start(&ground, &server);
    caller.wait(30 * SECOND);
    let call = server.wait_ended(1, 10 * SECOND).remove(0);
    assert_eq!(call["cause"].as_str(), Some("FlowEnded"), "without a carrier the flow goes on: {call}");
    let _again = Sipp { name: "carrier-again", ..there }.start(&ground, &server);
    wait_until("the carrier is up again", 60 * SECOND, || is("up"));
}

/// Both sides of the only call, by the order in which they were called, which has ended as the caller wished.
fn assert_hung_up(server: &Server) {
    let call = server.wait_ended(1, 10 * SECOND).remove(0);
    assert_eq!((call["cause"].as_str(), call["phase"].as_str()), (Some("CallerHungUp"), Some("Connected")), "{call}");
}

#[test]
fn a_call_that_a_carrier_brings_is_heard_by_an_agent_with_baresip() {
    let ground = Ground::new("trunks_bring");
    let port = ground.port();
    let more = "options = \"0s\"\n".to_owned();
    let server = Server::start(&ground, &wishes(&ground, &[Carrier { name: "carrier", port, more }]));
    let capture = ground.capture();
    let agent = Baresip::start(&ground, &server, "ada", 1000.0, true);
    agent.wait_registered();
    let caller =
        Sipp { number: DIRECT, from: "0305551234", at: Some(port), seconds: 6.0, says: 600.0, ..Sipp::default() };
    let mut caller = caller.start(&ground, &server);
    assert_eq!(caller.wait(60 * SECOND), 0, "SIPp is not content");
    assert_hung_up(&server);
    let metrics = server.metrics();
    assert_eq!(metrics["tierline_trunk_calls_total{trunk=\"carrier\",direction=\"in\"}"], 1.0);
    assert_eq!(metrics["tierline_trunk_calls{trunk=\"carrier\",direction=\"in\"}"], 0.0);
    let capture = capture.stop();
    let legs = capture.legs();
    assert_eq!(legs.len(), 2, "{legs:?}");
    let (caller, agent) = (&legs[0], &legs[1]);
    assert_eq!(agent.from, "+49305551234", "the agent sees the number in the form of E.164");
    assert_talk(&capture, &server, (caller, agent), 1000.0, (agent.talk().0, caller.talk().1));
    assert_talk(&capture, &server, (agent, caller), 600.0, agent.talk());
}

#[test]
fn a_transfer_to_an_outside_party_with_baresip_is_heard_both_ways() {
    let ground = Ground::new("trunks_baresip");
    let port = ground.port();
    let more = "options = \"0s\"\n".to_owned();
    let server = Server::start(&ground, &wishes(&ground, &[Carrier { name: "carrier", port, more }]));
    let capture = ground.capture();
    let party = Softphone { user: VENDOR, hz: 1000.0, answers: true, listens: Some(port), ..Softphone::default() };
    let _party = party.start(&ground);
    let mut caller = Sipp { number: LINE, seconds: 6.0, says: 600.0, ..Sipp::default() }.start(&ground, &server);
    assert_eq!(caller.wait(60 * SECOND), 0, "SIPp is not content");
    assert_hung_up(&server);
    let capture = capture.stop();
    let legs = capture.legs();
    assert_eq!(legs.len(), 2, "{legs:?}");
    let (caller, party) = (&legs[0], &legs[1]);
    let talk = (party.talk().0, caller.talk().1);
    assert!(talk.1 - talk.0 > 3.0, "they talked for {:.1} s only", talk.1 - talk.0);
    assert_talk(&capture, &server, (caller, party), 1000.0, talk);
    assert_talk(&capture, &server, (party, caller), 600.0, party.talk());
}

#[test]
fn an_agent_on_an_outside_number_takes_the_call_with_a_key_and_is_heard_from_then_on() {
    let ground = Ground::new("trunks_agent");
    let port = ground.port();
    let more = "options = \"0s\"\n".to_owned();
    let wishes = Wishes {
        last_agent: format!("number = \"{VENDOR}\"\nconfirm = true\n"),
        ..wishes(&ground, &[Carrier { name: "carrier", port, more }])
    };
    let server = Server::start(&ground, &wishes);
    let capture = ground.capture();
    let key = 2.0;
    let agent = Sipp {
        name: "agent",
        scenario: "agent_answers",
        at: Some(port),
        says: 700.0,
        keys: &[(key, 1)],
        ..Sipp::default()
    };
    let _agent = agent.start(&ground, &server);
    let mut caller = Sipp { number: DIRECT, seconds: 9.0, says: 600.0, ..Sipp::default() }.start(&ground, &server);
    assert_eq!(caller.wait(60 * SECOND), 0, "SIPp is not content");
    assert_hung_up(&server);
    let capture = capture.stop();
    let legs = capture.legs();
    assert_eq!(legs.len(), 2, "{legs:?}");
    let (caller, agent) = (&legs[0], &legs[1]);
    // The key is pressed at a time in what SIPp plays, and has gone half a second later.
    let pressed = agent.talk().0 + key + 0.5;
    let talk = (pressed, caller.talk().1);
    assert!(talk.1 - talk.0 > 2.0, "they talked for {:.1} s only", talk.1 - talk.0);
    assert_talk(&capture, &server, (caller, agent), 700.0, talk);
    assert_talk(&capture, &server, (agent, caller), 600.0, talk);
    // Before the key the caller hears his music, not the agent.
    let before = heard_by(&capture, caller, &server).samples(agent.talk().0, agent.talk().0 + key - 0.2);
    let (tone, share) = super::audio::main_tone(&before, &[600.0, 700.0]);
    assert!(share < 70.0, "{tone} Hz in {share:.1} % before anybody has confirmed");
}

/// Whether there are so many calls and the newest has reached its outside party.
fn talks_outside(server: &Server, calls: usize) -> bool {
    server.calls().len() == calls && server.drawing().contains("talks with the outside party")
}

/// What a carrier says before anybody answers is heard, by SIPp and by baresip.
#[test]
fn a_caller_hears_what_a_carrier_says_before_the_answer() {
    let ground = Ground::new("trunks_early");
    let port = ground.port();
    let more = "options = \"0s\"\n".to_owned();
    let server = Server::start(&ground, &wishes(&ground, &[Carrier { name: "carrier", port, more }]));
    let capture = ground.capture();
    let speaks = Sipp {
        name: "carrier",
        scenario: "carrier_speaks_early",
        at: Some(port),
        says: 700.0,
        calls: 2,
        ..Sipp::default()
    };
    let mut carrier = speaks.start(&ground, &server);
    let mut caller = Sipp { number: LINE, seconds: 7.0, says: 600.0, ..Sipp::default() }.start(&ground, &server);
    assert_eq!(caller.wait(60 * SECOND), 0, "SIPp is not content");
    server.wait_ended(1, 10 * SECOND);
    let phone = Baresip::caller(&ground, "visitor", 1100.0);
    phone.tell(&format!("dial sip:{LINE}@{}", server.sip));
    wait_until("the carrier has answered", 20 * SECOND, || talks_outside(&server, 2));
    talk_for(2 * SECOND);
    phone.tell("hangup");
    assert_eq!(carrier.wait(30 * SECOND), 0, "the carrier is not content");
    server.wait_ended(2, 10 * SECOND);
    let capture = capture.stop();
    let legs = capture.legs();
    assert_eq!(legs.len(), 4, "{legs:?}");
    for (pair, hz) in legs.chunks(2).zip([600.0, 1100.0]) {
        let (caller, outside) = (&pair[0], &pair[1]);
        let answered = outside.answered.expect("the carrier answers at last");
        // Its 183 came at once, four seconds before.
        let early = (answered - 3.5, answered);
        let heard = heard_by(&capture, caller, &server).tone(700.0, early.0, early.1);
        assert!(heard >= HEARD, "the caller heard the carrier in {heard:.1} % before the answer");
        assert_talk(&capture, &server, (caller, outside), 700.0, (answered, caller.talk().1));
        assert_talk(&capture, &server, (outside, caller), hz, outside.talk());
    }
}

/// A call that was open when the server was killed is ended at its carrier by the next start, which proves by what is in
/// the log and the carrier's password that it may.
#[test]
fn a_carrier_that_wants_proof_of_a_bye_gets_it_after_a_kill_too() {
    for killed in [false, true] {
        let ground = Ground::new(&format!("trunks_bye_{killed}"));
        let port = ground.port();
        // It challenges neither calls nor registrations: its realm must be told.
        let more = "options = \"0s\"\nuser = \"account\"\npassword_file = \"carrier.password\"\nrealm = \"carrier\"\n";
        let more = more.to_owned();
        let mut server = Server::start(&ground, &wishes(&ground, &[Carrier { name: "carrier", port, more }]));
        let wants = Sipp { name: "carrier", scenario: "carrier_challenges_bye", at: Some(port), ..Sipp::default() };
        let mut carrier = wants.start(&ground, &server);
        let mut caller = Sipp { number: LINE, seconds: 4.0, ..Sipp::default() }.start(&ground, &server);
        wait_until("they talk", 20 * SECOND, || talks_outside(&server, 1));
        if killed {
            server.program.kill();
            server.start_again();
        } else {
            assert_eq!(caller.wait(60 * SECOND), 0, "SIPp is not content");
        }
        assert_eq!(carrier.wait(40 * SECOND), 0, "the carrier got no BYE with the right proof; killed: {killed}");
        let call = server.wait_ended(1, 10 * SECOND).remove(0);
        assert_eq!(call["cause"].as_str(), Some(if killed { "Restart" } else { "CallerHungUp" }), "{call}");
    }
}

/// Some routers leave NAPTR unanswered: the carrier is found by its SRV records all the same, is up, and carries a call. Its
/// address of IPv6, which no listener reaches, is left out.
#[test]
fn a_carrier_is_found_where_questions_for_naptr_are_not_answered() {
    let ground = Ground::new("trunks_mute");
    let (dns, port) = (ground.address(), ground.port());
    let more = "options = \"5s\"\n".to_owned();
    let usual = wishes(&ground, &[Carrier { name: "carrier", port, more }]);
    let named = usual.more.replace(&format!("server = \"127.0.0.1:{port}\""), "server = \"carrier.test\"");
    let server = Server::start(&ground, &Wishes { more: named, sip: format!("name_servers = [\"{dns}\"]"), ..usual });
    let _zone = Zone::serve(
        dns,
        vec![
            ("carrier.test", Data::Silence(NAPTR)),
            ("_sip._udp.carrier.test", Data::Srv(1, 7, port, "host.carrier.test")),
            ("host.carrier.test", Data::Aaaa(Ipv6Addr::LOCALHOST)),
            ("host.carrier.test", Data::A(Ipv4Addr::LOCALHOST)),
        ],
    );
    let there = Sipp { name: "carrier", scenario: "agent_answers", at: Some(port), calls: 1000, ..Sipp::default() };
    let _carrier = there.start(&ground, &server);
    let up = "tierline_trunk_state{trunk=\"carrier\",state=\"up\"}";
    wait_until("the carrier is up", GENEROUS, || server.metrics().get(up) == Some(&1.0));
    let mut caller = Sipp { number: LINE, seconds: 6.0, ..Sipp::default() }.start(&ground, &server);
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    assert_hung_up(&server);
}

/// A name that has an address of IPv6 only is asked for it, and of two servers of one priority the heavier one is tried first
/// (RFC 2782): by the bytes of a name server.
#[test]
fn a_carrier_is_found_at_ipv6_and_by_weight() {
    let ground = Ground::new("trunks_weight");
    let (dns, port, six) = (ground.address(), ground.port(), ground.port());
    let (light, heavy) = (ground.port(), ground.port());
    let carrier = |name, port, options: &str| Carrier { name, port, more: format!("options = \"{options}\"\n") };
    let usual = wishes(&ground, &[carrier("weighed", port, "0s"), carrier("six", six, "5s")]);
    let more = usual.more.replace(&format!("server = \"127.0.0.1:{port}\""), "server = \"weighed.test;transport=udp\"");
    let more =
        more.replace(&format!("server = \"127.0.0.1:{six}\""), &format!("server = \"six.test:{six};transport=udp\""));
    let ours = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), ground.port());
    let listen = format!("[[server.sip.listen]]\ntransport = \"udp\"\nbind = \"{ours}\"\n");
    let server =
        Server::start(&ground, &Wishes { more, sip: format!("name_servers = [\"{dns}\"]\n{listen}"), ..usual });
    let _zone = Zone::serve(
        dns,
        vec![
            ("six.test", Data::Aaaa(Ipv6Addr::LOCALHOST)),
            ("_sip._udp.weighed.test", Data::Srv(1, 1, light, "light.test")),
            ("_sip._udp.weighed.test", Data::Srv(1, 65_535, heavy, "heavy.test")),
            ("light.test", Data::A(Ipv4Addr::LOCALHOST)),
            ("heavy.test", Data::A(Ipv4Addr::LOCALHOST)),
        ],
    );
    let own = &["-i", "::1", "-mi", "::1"];
    let there = Sipp { scenario: "agent_answers", calls: 1000, ..Sipp::default() };
    let _six = Sipp { name: "six", at: Some(six), to: Some(ours), more: own, ..there }.start(&ground, &server);
    let up = "tierline_trunk_state{trunk=\"six\",state=\"up\"}";
    wait_until("the carrier at IPv6 is up", GENEROUS, || server.metrics().get(up) == Some(&1.0));
    let capture = ground.capture();
    let there = Sipp { scenario: "agent_answers", calls: 1000, ..Sipp::default() };
    let _both = [("light", light), ("heavy", heavy)]
        .map(|(name, port)| Sipp { name, at: Some(port), ..there }.start(&ground, &server));
    for port in [light, heavy] {
        let is_taken = || UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_err();
        wait_until("the carrier is there", GENEROUS, is_taken);
    }
    let callers = Sipp { number: LINE, seconds: 3.0, calls: 8, more: &["-r", "4"], ..Sipp::default() };
    assert_eq!(callers.start(&ground, &server).wait(GENEROUS), 0, "SIPp is not content");
    server.wait_ended(8, GENEROUS);
    let capture = capture.stop();
    let invites = capture.messages.iter().filter(|message| message.method() == Some("INVITE"));
    let tried: Vec<u16> = invites.map(|message| message.to.port()).collect();
    let times = |port: u16| tried.iter().filter(|tried| **tried == port).count();
    // That the light one is drawn in eight calls happens once in 8,192 times.
    assert!(times(heavy) >= 8 && times(light) == 0, "light {light}, heavy {heavy}: {tried:?}");
}

/// RFC 3325 §6: P-Asserted-Identity is believed of who is trusted. An agent sees of a stranger what From says, and of a carrier's
/// caller whom the carrier vouches for.
#[test]
fn a_stranger_s_asserted_identity_is_not_believed() {
    let ground = Ground::new("trunks_asserted");
    let port = ground.port();
    let more = "options = \"0s\"\n".to_owned();
    let server = Server::start(&ground, &wishes(&ground, &[Carrier { name: "carrier", port, more }]));
    let agent = Baresip::start(&ground, &server, "ada", 1000.0, true);
    agent.wait_registered();
    let capture = ground.capture();
    let usual = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/scenarios/caller_hangs_up.xml");
    let usual = std::fs::read_to_string(usual).expect("a scenario");
    let text = usual.replacen("Max-Forwards", "P-Asserted-Identity: <sip:+49305550001@carrier.test>\nMax-Forwards", 1);
    for (number, (name, at)) in (1..).zip([("stranger", None), ("carrier", Some(port))]) {
        let caller = Sipp { name, text: Some(&text), at, seconds: 2.0, ..Sipp::default() };
        assert_eq!(caller.start(&ground, &server).wait(GENEROUS), 0, "SIPp is not content");
        server.wait_ended(number, GENEROUS);
    }
    let capture = capture.stop();
    let rung: Vec<String> = capture
        .legs()
        .into_iter()
        .filter(|leg| leg.sides.is_some_and(|(from, _)| from == server.sip))
        .map(|leg| leg.from)
        .collect();
    assert_eq!(rung, ["guest", "+49305550001"]);
}
