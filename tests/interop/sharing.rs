//! RTP and RTCP on one port (RFC 5761), beside phones that have two: which sockets a leg has, which way its reports go,
//! what they tell, and that both sides hear each other as before.

use super::audio;
use super::capture::{Capture, Datagram, Leg};
use super::harness::{GENEROUS, Ground, talk_for, wait_for};
use super::heard::{assert_direct, assert_gap, assert_tone, heard_by, said_by};
use super::home::{Behind, LEARNING, to_agents};
use super::peers::{Baresip, Softphone};
use super::server::{DIRECT, Server, Wishes};
use super::streams::tls_listener;
use std::collections::BTreeSet;
use std::net::SocketAddr;

const CALLER: f64 = 600.0;
const AGENT: f64 = 1000.0;
/// Both sides report every five seconds: by then each has answered a report of the other's.
const TALK: std::time::Duration = std::time::Duration::from_secs(11);

fn ada(phone: Softphone, ground: &Ground, shares: bool) -> Baresip {
    let agent = Softphone { registers: true, answers: true, shares, ..phone }.start(ground);
    agent.wait_registered();
    agent
}

/// The server's UDP ports for audio that something listens on.
fn listening(server: &Server) -> BTreeSet<u16> {
    let table = std::fs::read_to_string(format!("/proc/{}/net/udp", server.program.id())).expect("the kernel's table");
    let port = |line: &str| u16::from_str_radix(line.split_whitespace().nth(1)?.split(':').nth(1)?, 16).ok();
    let (first, last) = server.audio_ports();
    table.lines().skip(1).filter_map(port).filter(|port| (first..=last).contains(port)).collect()
}

/// Calls, talks and hangs up; the server's ports while they talk.
fn talks(server: &Server, caller: &Baresip, to: &str) -> BTreeSet<u16> {
    caller.tell(&format!("dial {to}"));
    caller.program.says("Call established", GENEROUS);
    wait_for("they talk", GENEROUS, || {
        (!server.calls().is_empty() && server.drawing().contains("talk with agent")).then_some(())
    });
    let ports = listening(server);
    talk_for(TALK);
    caller.tell("hangup");
    server.wait_ended(1, GENEROUS);
    ports
}

/// The server's and the phone's address for audio.
fn ends(leg: &Leg, server: &Server) -> (SocketAddr, SocketAddr) {
    let (offered, answered) = leg.audio();
    let ours = leg.sides.expect("an INVITE has two sides").0 == server.sip;
    if ours { (offered, answered) } else { (answered, offered) }
}

fn next(at: SocketAddr) -> SocketAddr {
    SocketAddr::new(at.ip(), at.port() + 1)
}

/// A leg's reports went from one port to one, or between the next ones, and both sides sent some.
fn assert_reports_go(capture: &Capture, server: &Server, leg: &Leg, shares: bool) {
    let (us, phone) = ends(leg, server);
    let of_leg = |report: &&Datagram| [us, next(us)].contains(&report.from) || [us, next(us)].contains(&report.to);
    let ways: BTreeSet<_> = capture.reports.iter().filter(of_leg).map(|report| (report.from, report.to)).collect();
    let (us, phone) = if shares { (us, phone) } else { (next(us), next(phone)) };
    assert_eq!(ways, [(us, phone), (phone, us)].into(), "{} → {}, on one port: {shares}", leg.from, leg.to);
}

/// What the numbers say of two legs that have ended.
fn assert_counted(server: &Server) {
    let metrics = server.metrics();
    let sum = |name: &str| {
        let of = metrics.iter().filter(|(key, _)| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('{')));
        of.map(|(_, value)| value).sum::<f64>()
    };
    let [told, trips, heard] = ["reports_received_total", "leg_round_trip_seconds_count", "leg_loss_ratio_count"]
        .map(|name| sum(&format!("tierline_media_{name}")));
    assert!(told >= 4.0, "{told} reports came");
    assert_eq!((trips, heard), (2.0, 2.0), "legs whose peer has told the round trip, and legs that were heard");
    let trip = sum("tierline_media_leg_round_trip_seconds_sum");
    // Nothing at all where the way is shorter than a tick of baresip's clock.
    assert!((0.0..2.0 * TALK.as_secs_f64()).contains(&trip), "{trip} s");
    let lost = ["packets_lost_total", "peer_packets_lost_total"].map(|name| sum(&format!("tierline_media_{name}")));
    assert_eq!(lost, [0.0, 0.0], "lost on the way to us and to them");
    assert_eq!(sum("tierline_media_one_way_total"), 0.0);
}

fn between_baresips(caller_shares: bool, agent_shares: bool, media: &str) {
    let ground = Ground::new(&format!("one_port_{caller_shares}_{agent_shares}_{}", media.len()));
    let server = Server::start(&ground, &Wishes { media: media.to_owned(), ..Wishes::agents(&["ada"]) });
    let phone = |user, hz| Softphone { at: server.sip, user, hz, ..Softphone::default() };
    let _agent = ada(phone("ada", AGENT), &ground, agent_shares);
    let capture = ground.capture();
    let caller = Softphone { shares: caller_shares, ..phone("visitor", CALLER) }.start(&ground);
    let ports = talks(&server, &caller, &format!("sip:{DIRECT}@{}", server.sip));
    assert_counted(&server);
    let capture = capture.stop();
    let legs = capture.legs();
    assert_eq!(legs.len(), 2, "{legs:?}");
    assert_direct(&capture, &server, (&legs[0], &legs[1]), (CALLER, AGENT));
    let offers = media.is_empty();
    let mut expected = BTreeSet::new();
    for (leg, shares) in legs.iter().zip([caller_shares && offers, agent_shares && offers]) {
        let (us, _) = ends(leg, &server);
        expected.extend([us.port()].into_iter().chain((!shares).then_some(us.port() + 1)));
        assert_reports_go(&capture, &server, leg, shares);
    }
    assert_eq!(ports, expected, "one socket for who shares, two for who does not");
}

#[test]
fn two_baresips_on_one_port_each_hear_each_other() {
    between_baresips(true, true, "");
}

#[test]
fn a_caller_on_one_port_and_an_agent_on_two_hear_each_other() {
    between_baresips(true, false, "");
}

#[test]
fn a_caller_on_two_ports_and_an_agent_on_one_hear_each_other() {
    between_baresips(false, true, "");
}

#[test]
fn nobody_has_one_port_where_that_is_switched_off() {
    between_baresips(true, true, "rtcp_mux = false");
}

/// Behind one NAT door each: where audio comes from is where reports go, and they come back.
#[test]
fn behind_a_nat_reports_go_through_the_door_of_audio() {
    let ground = Ground::new("one_port_nat");
    let behind = Behind::a_nat(&ground);
    let server = &behind.server;
    let _agent = ada(behind.phone("ada", AGENT), &ground, true);
    let caller = Softphone { shares: true, ..behind.phone("visitor", CALLER) }.start(&ground);
    talks(server, &caller, &format!("sip:{DIRECT}@{}", server.sip));
    assert_counted(server);
    let at_home = behind.at_home.stop();
    let legs = at_home.legs();
    let (caller, agent) = (legs.iter().find(|leg| leg.to == DIRECT).expect("a call"), to_agents(&legs, server)[0]);
    for leg in [caller, agent] {
        assert_reports_go(&at_home, server, leg, true);
    }
    let time = (agent.talk().0 + LEARNING, caller.talk().1);
    for (hearing, saying, hz) in [(caller, agent, AGENT), (agent, caller, CALLER)] {
        let (heard, said) = (heard_by(&at_home, hearing, server), said_by(&at_home, saying, server));
        assert_tone(&hearing.from, (&heard, &said), hz, time);
        assert_gap(&at_home, &hearing.from, (&heard, &said), time);
    }
}

/// Keys in SDP: SRTP and SRTCP on one port.
#[test]
fn secret_audio_and_secret_reports_share_a_port() {
    let ground = Ground::new("one_port_srtp");
    let at = ground.address();
    let wishes = Wishes { sip: tls_listener(at), media: "srtp = \"required\"".to_owned(), ..Wishes::agents(&["ada"]) };
    let server = Server::start(&ground, &wishes);
    let (over, more, shares) = (";transport=tls", ";mediaenc=srtp-mand", true);
    let phone = |user, hz| Softphone { at, over, more, user, hz, ..Softphone::default() };
    let agent = ada(phone("ada", AGENT), &ground, shares);
    let capture = ground.capture();
    let caller = Softphone { shares, ..phone("visitor", CALLER) }.start(&ground);
    talks(&server, &caller, &format!("sip:{DIRECT}@{at}{over}"));
    assert_counted(&server);
    let capture = capture.stop();
    let (first, last) = server.audio_ports();
    let ours = |at: SocketAddr| (first..=last).contains(&at.port());
    let ways: BTreeSet<_> = capture.reports.iter().map(|report| (report.from, report.to)).collect();
    let on_one = |(from, to): &(SocketAddr, SocketAddr)| {
        capture.streams.contains_key(&(*from, *to)) && (ours(*from) || ours(*to))
    };
    assert!(ways.len() == 4 && ways.iter().all(on_one), "{ways:?}");
    for (phone, hz) in [(&agent, CALLER), (&caller, AGENT)] {
        let recorded = wait_for("a recording", GENEROUS, || phone.heard().pop());
        let (tone, share) = audio::main_tone(&audio::read_narrow(&recorded), &[CALLER, AGENT]);
        assert!(tone == hz && share > 70.0, "baresip recorded {tone} Hz in {share:.1} %, not {hz} Hz");
    }
}
