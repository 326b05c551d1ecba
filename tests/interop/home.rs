//! Phones at home: behind a NAT, and over a wire that loses, delays and reorders.

use super::audio;
use super::capture::{Capture, Datagram, Leg, Stream};
use super::harness::{GENEROUS, Ground, SECOND, Tcpdump, talk_for, wait_for};
use super::heard::{assert_gap, assert_tone, heard_by, said_by};
use super::nets::{ELSEWHERE, HOME, Nat, OFFICE, OUTSIDE, PRIVATE, Place, Trouble, Wire};
use super::pairs::Kind;
use super::peers::{Baresip, Codec, Sipp, Softphone, sipp_agent};
use super::server::{DIRECT, Server, Wishes};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

const CALLER: f64 = 600.0;
const AGENT: f64 = 1000.0;
const INTRUDER: f64 = 1500.0;
/// A server learns where a phone behind a NAT is from its first packets; until then it cannot be heard there.
pub const LEARNING: f64 = 0.3;
/// How long the NAT keeps a door open: longer than the pause between our questions whether the phone is there, shorter
/// than the one between the phone's registrations.
const DOOR: Duration = Duration::from_secs(40);

fn hears(capture: &Capture, who: &str, (heard, said): (&Stream, &Stream), hz: f64, time: (f64, f64)) {
    assert_tone(who, (heard, said), hz, time);
    assert_gap(capture, who, (heard, said), time);
}

/// When both talk, once the server knows where they are. Over a bad wire the agent may have answered before the caller
/// is told that the server has.
fn talk(caller: &Leg, agent: &Leg) -> (f64, f64) {
    let time = (caller.talk().0.max(agent.talk().0) + LEARNING, caller.talk().1.min(agent.talk().1));
    assert!(time.1 - time.0 > 2.0, "they talked for {:.1} s", time.1 - time.0);
    time
}

fn wishes(users: &[&str]) -> Wishes {
    Wishes { ip: OFFICE, ..Wishes::agents(users) }
}

/// A server at the office, where this thread is, a home behind a NAT, and what is seen on both sides of it.
pub struct Behind<'g> {
    pub at_office: Tcpdump,
    pub at_home: Tcpdump,
    pub server: Server<'g>,
    wire: Wire,
}

impl<'g> Behind<'g> {
    pub fn a_nat(ground: &'g Ground) -> Behind<'g> {
        let office = Place::begin();
        let doors = (0..10).map(|_| ground.port()).min().expect("ports");
        let wire = Wire::lay(&office, Trouble::default(), Some(Nat::new(DOOR, doors)));
        let server = Server::start(ground, &wishes(&["ada"]));
        let (at_office, at_home) = (ground.capture_in(&office, "office"), ground.capture_in(&wire.home, "home"));
        Behind { at_office, at_home, server, wire }
    }

    /// A phone at home.
    pub fn phone<'a>(&'a self, user: &'a str, hz: f64) -> Softphone<'a> {
        let (at, place, ip) = (self.server.sip, Some(&self.wire.home), PRIVATE);
        Softphone { at, place, ip, user, hz, ..Softphone::default() }
    }
}

/// Somebody calls the line, talks and hangs up.
fn talks_to_us(phone: &Baresip, server: &Server) {
    phone.tell(&format!("dial sip:{DIRECT}@{}", server.sip));
    phone.program.says("Call established", GENEROUS);
    talk_for(5 * SECOND);
    phone.tell("hangup");
}

/// The calls to agents' phones among these.
pub fn to_agents<'c>(legs: &'c [Leg], server: &Server) -> Vec<&'c Leg> {
    legs.iter().filter(|leg| leg.sides.is_some_and(|(by, _)| by == server.sip)).collect()
}

/// Somebody whom nobody has asked sends audio to a port of the server's.
fn intrude(to: SocketAddr) {
    let socket = UdpSocket::bind((ELSEWHERE, 0)).expect("a port elsewhere");
    let tone = audio::tone(INTRUDER, 2.0);
    for (number, frame) in tone.chunks_exact(audio::FRAME).enumerate() {
        let (sequence, stamp) = ((number as u16).to_be_bytes(), (number as u32 * 160).to_be_bytes());
        let mut packet = [&[0x80, 0], &sequence[..], &stamp, &[6, 6, 6, 6]].concat();
        packet.extend(frame.iter().map(|sample| audio::encode(*sample)));
        socket.send_to(&packet, to).expect("a datagram sent");
        talk_for(Duration::from_millis(20));
    }
}

#[test]
fn behind_a_nat_phones_are_reached_and_heard_and_nobody_else_is() {
    let ground = Ground::new("nat");
    let behind = Behind::a_nat(&ground);
    let server = &behind.server;
    let agent = Softphone { registers: true, answers: true, ..behind.phone("ada", AGENT) }.start(&ground);
    agent.wait_registered();

    // From the office; somebody else sends to where the agent's audio goes.
    let mut caller = Sipp { seconds: 6.0, says: CALLER, ..Sipp::default() }.start(&ground, server);
    let port = wait_for("the agent is heard", GENEROUS, || {
        let streams = behind.at_office.so_far().streams;
        streams.iter().find(|((from, _), s)| from.ip() == OUTSIDE && s.0.len() > 20).map(|((_, to), _)| *to)
    });
    intrude(port);
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    server.wait_ended(1, GENEROUS);
    // From behind the same NAT.
    let visitor = behind.phone("visitor", CALLER).start(&ground);
    talks_to_us(&visitor, server);
    server.wait_ended(2, GENEROUS);
    // For longer than a door stays open, only our questions whether the phone is there pass through it.
    talk_for(DOOR + 8 * SECOND);
    let mut late = Sipp { name: "late", seconds: 4.0, says: CALLER, ..Sipp::default() }.start(&ground, server);
    assert_eq!(late.wait(GENEROUS), 0, "SIPp is not content");
    let calls = server.wait_ended(3, GENEROUS);
    assert!(calls.iter().all(|call| call["phase"] == "Connected"), "{calls:?}");

    let (at_office, at_home) = (behind.at_office.stop(), behind.at_home.stop());
    check_registration(&at_home, &at_office);
    let (outside, inside) = (at_office.legs(), at_home.legs());
    let callers: Vec<&Leg> = outside.iter().filter(|leg| leg.from == "guest" && leg.to == DIRECT).collect();
    let agents = to_agents(&inside, server);
    let visitor = inside.iter().find(|leg| leg.to == DIRECT).expect("the visitor's call");
    assert_eq!((callers.len(), agents.len()), (2, 3), "{outside:?} {inside:?}");
    let ways =
        [(&at_office, callers[0], agents[0]), (&at_home, visitor, agents[1]), (&at_office, callers[1], agents[2])];
    for (where_he_is, caller, agent) in ways {
        let time = talk(caller, agent);
        let (of_caller, of_agent) = (said_by(where_he_is, caller, server), said_by(&at_home, agent, server));
        let heard = (heard_by(where_he_is, caller, server), heard_by(&at_home, agent, server));
        hears(where_he_is, "the caller", (&heard.0, &of_agent), AGENT, time);
        hears(&at_home, "the agent", (&heard.1, &of_caller), CALLER, time);
    }
    let intruded: usize =
        at_office.streams.iter().filter(|((from, _), _)| from.ip() == ELSEWHERE).map(|(_, s)| s.0.len()).sum();
    assert!(intruded > 80, "the intruder sent {intruded} packets: the test proves nothing");
    assert!(at_office.streams.keys().all(|(_, to)| to.ip() != ELSEWHERE), "audio was led astray");
    let to_caller = heard_by(&at_office, callers[0], server);
    let time = talk(callers[0], agents[0]);
    assert_eq!(to_caller.frames(INTRUDER, time.0, time.1), 0.0, "the intruder was heard");
}

/// SIPp as agent's phone behind the NAT, with a caller in the office and one behind the same NAT.
#[test]
fn behind_a_nat_an_agent_with_sipp_is_called_and_heard() {
    let ground = Ground::new("nat_sipp");
    let behind = Behind::a_nat(&ground);
    let server = &behind.server;
    let home = Sipp { place: Some(&behind.wire.home), ip: PRIVATE, ..Sipp::default() };
    let agent = Sipp { scenario: "agent_answers", says: AGENT, seconds: 30.0, ..home };
    let _agent = sipp_agent(&ground, server, "ada", agent);
    let mut caller = Sipp { seconds: 6.0, says: CALLER, ..Sipp::default() }.start(&ground, server);
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    server.wait_ended(1, GENEROUS);
    let visitor = behind.phone("visitor", CALLER).start(&ground);
    talks_to_us(&visitor, server);
    let calls = server.wait_ended(2, GENEROUS);
    assert!(calls.iter().all(|call| call["phase"] == "Connected"), "{calls:?}");
    let (at_office, at_home) = (behind.at_office.stop(), behind.at_home.stop());
    let (outside, inside) = (at_office.legs(), at_home.legs());
    let caller = outside.iter().find(|leg| leg.from == "guest").expect("the caller in the office");
    let visitor = inside.iter().find(|leg| leg.to == DIRECT).expect("the visitor's call");
    let agents = to_agents(&inside, server);
    for (place, caller, agent) in [(&at_office, caller, agents[0]), (&at_home, visitor, agents[1])] {
        let time = talk(caller, agent);
        let (of_caller, of_agent) = (said_by(place, caller, server), said_by(&at_home, agent, server));
        let heard = (heard_by(place, caller, server), heard_by(&at_home, agent, server));
        hears(place, "the caller", (&heard.0, &of_agent), AGENT, time);
        hears(&at_home, "the agent", (&heard.1, &of_caller), CALLER, time);
    }
}

/// RFC 3581: answers go where requests come from, and say so; and the phone was kept reachable by our questions.
fn check_registration(at_home: &Capture, at_office: &Capture) {
    let of_register = |text: &str| text.contains(" REGISTER\r\n");
    let answers = at_home.messages.iter().filter(|m| m.status().is_some() && of_register(&m.text));
    let vias: Vec<&str> = answers.map(|message| message.header("Via")).collect();
    assert!(!vias.is_empty(), "nobody registered");
    let received = format!("received={OUTSIDE}");
    assert!(vias.iter().all(|via| via.contains(&received) && via.contains("rport=")), "{vias:?}");
    let registered: Vec<f64> =
        at_home.messages.iter().filter(|m| m.method() == Some("REGISTER")).map(|m| m.at).collect();
    let first = registered[0];
    assert!(registered.iter().all(|at| at - first < 20.0), "the phone opens the door itself: the test proves nothing");
    let asked = at_office.messages.iter().filter(|m| m.method() == Some("OPTIONS") && m.at > first + 20.0).count();
    assert!(asked > 0, "the phone was not asked whether it is there");
}

/// Of a hundred frames said, with 3 lost on the wire; and milliseconds, with two or three of them in a row.
const HEARD_BADLY: f64 = 90.0;
const GAP_BADLY: f64 = 180.0;

/// Callers at home, in turn SIPp and baresip, and an agent in the office, with a wire between them that loses, delays and
/// reorders.
struct OverBadWire<'g> {
    server: Server<'g>,
    at_office: Capture,
    at_home: Capture,
    calls: usize,
}

impl<'g> OverBadWire<'g> {
    fn call(ground: &'g Ground, called: Kind, (to_caller, to_agent): (Codec, Codec)) -> OverBadWire<'g> {
        let office = Place::begin();
        let (delay, jitter) = (Duration::from_millis(60), Duration::from_millis(20));
        let wire = Wire::lay(&office, Trouble { delay, jitter, lost: 3, seed: 4 }, None);
        let server = Server::start(ground, &wishes(&["ada"]));
        let (at_office, at_home) = (ground.capture_in(&office, "office"), ground.capture_in(&wire.home, "home"));
        let agent = match called {
            Kind::Baresip => {
                let (at, ip) = (server.sip, OFFICE);
                let phone = Softphone { at, ip, user: "ada", hz: AGENT, codec: to_agent, ..Softphone::default() };
                let phone = Softphone { registers: true, answers: true, ..phone }.start(ground);
                phone.wait_registered();
                Ok(phone)
            }
            Kind::Sipp => {
                let sipp = Sipp { scenario: "agent_answers", says: AGENT, seconds: 30.0, ..Sipp::default() };
                Err(sipp_agent(ground, &server, "ada", Sipp { ip: OFFICE, codec: to_agent, ..sipp }))
            }
        };
        let home = Sipp { place: Some(&wire.home), ip: HOME, codec: to_caller, ..Sipp::default() };
        for number in 0..2 {
            let name = format!("caller-{number}");
            // A 100 that comes after the 200 is no reason to hang up.
            let more = &["-default_behaviors", "all,-abortunexp"];
            let sipp = Sipp { name: &name, more, seconds: 5.0, says: CALLER, ..home };
            assert_eq!(sipp.start(ground, &server).wait(GENEROUS), 0, "call {number} did not complete");
            server.wait_ended(number + 1, GENEROUS);
        }
        let (at, place) = (server.sip, Some(&wire.home));
        let phone =
            Softphone { at, place, ip: HOME, hz: CALLER, codec: to_caller, ..Softphone::default() }.start(ground);
        talks_to_us(&phone, &server);
        server.wait_ended(3, GENEROUS);
        drop(agent);
        OverBadWire { server, at_office: at_office.stop(), at_home: at_home.stop(), calls: 3 }
    }

    /// Both sides of every call hear what the other says, but for what is lost.
    fn judge(&self) {
        let (outside, inside) = (self.at_office.legs(), self.at_home.legs());
        let agents = to_agents(&outside, &self.server);
        assert_eq!((agents.len(), inside.len()), (self.calls, self.calls), "{outside:?} {inside:?}");
        for (caller, agent) in inside.iter().zip(agents) {
            let (home, office) = ((&self.at_home, caller), (&self.at_office, agent));
            self.hears("the caller", home, office, AGENT, talk(caller, agent));
            self.hears("the agent", office, home, CALLER, talk(caller, agent));
        }
    }

    fn hears(&self, who: &str, here: (&Capture, &Leg), there: (&Capture, &Leg), hz: f64, time: (f64, f64)) {
        let heard = roughly(here.0, here.1, &self.server);
        let said = said_by(there.0, there.1, &self.server);
        let time = (time.0, time.1 - 0.2); // what is said last does not arrive in time
        let most = said.tone(hz, time.0, time.1);
        assert!(most >= HEARD_BADLY, "{hz} Hz was said in {most:.1} %: the test proves nothing");
        let share = heard.tone(hz, time.0, time.1) * 100.0 / most;
        let (gap, at) = heard.gap_made_after(&said, time.0, time.1);
        let gap = gap - here.0.starved(heard.0[0].from, time.0 + at, time.0 + at + gap / 1000.0);
        assert!(
            share >= HEARD_BADLY && gap <= GAP_BADLY,
            "{who} heard {hz} Hz in {share:.1} % of what was said, a gap of {gap:.0} ms at {at:.3} s"
        );
    }
}

fn every_pair_over_a_bad_wire(codec: Codec) {
    for (name, called) in [("sipp", Kind::Sipp), ("baresip", Kind::Baresip)] {
        let ground = Ground::new(&format!("bad_wire_{codec:?}_{name}"));
        let calls = OverBadWire::call(&ground, called, (codec, codec));
        calls.judge();
        let legs = calls.at_home.legs();
        let (mut sent, mut came) = (0, 0);
        for leg in &legs {
            let packets = roughly(&calls.at_home, leg, &calls.server).0;
            let first = packets[0].sequence;
            sent += packets.iter().map(|packet| packet.sequence.wrapping_sub(first) as i16).max().unwrap_or(0) + 1;
            came += packets.len();
        }
        let lost = 100.0 - came as f64 * 100.0 / f64::from(sent);
        assert!((1.0..6.0).contains(&lost), "{lost:.1} % were lost: the test proves nothing");
        let told: Vec<(u32, u32)> = legs.iter().flat_map(|leg| told_of_loss(&calls.at_home, leg)).collect();
        assert!(told.iter().any(|(lost, jitter)| (1..60).contains(lost) && *jitter > 20), "lost and jitter: {told:?}");
    }
}

/// RFC 3550 §6.4.1: what we report to a caller of the audio that he has sent: packets lost in all, and jitter in ticks of
/// 8 kHz.
fn told_of_loss(capture: &Capture, caller: &Leg) -> Vec<(u32, u32)> {
    let (theirs, ours) = caller.audio();
    let ports = |at: SocketAddr| [at, SocketAddr::new(at.ip(), at.port() + 1)];
    let is_ours = |report: &&Datagram| ports(ours).contains(&report.from) && ports(theirs).contains(&report.to);
    let word = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let block = |report: &Datagram| {
        let at = if report.bytes[1] == 200 { 28 } else { 8 };
        (report.bytes[0] & 31 > 0).then(|| (word(&report.bytes, at + 4) & 0xff_ffff, word(&report.bytes, at + 12)))
    };
    capture.reports.iter().filter(is_ours).filter_map(block).collect()
}

#[test]
fn every_pair_is_heard_over_a_bad_wire_in_mu_law() {
    every_pair_over_a_bad_wire(Codec::Mu);
}

#[test]
fn every_pair_is_heard_over_a_bad_wire_in_a_law() {
    every_pair_over_a_bad_wire(Codec::A);
}

#[test]
fn every_pair_is_heard_over_a_bad_wire_in_g722() {
    every_pair_over_a_bad_wire(Codec::G722);
}

/// Where the agent's phone speaks another codec, what is lost on the way is not passed on as a gap: it is concealed, and he
/// hears an unbroken line.
#[test]
fn over_a_bad_wire_what_is_lost_is_concealed_where_codecs_differ() {
    let ground = Ground::new("bad_wire_concealed");
    let calls = OverBadWire::call(&ground, Kind::Baresip, (Codec::Mu, Codec::G722));
    calls.judge();
    let (outside, inside) = (calls.at_office.legs(), calls.at_home.legs());
    for (caller, agent) in inside.iter().zip(to_agents(&outside, &calls.server)) {
        let heard = heard_by(&calls.at_office, agent, &calls.server);
        assert!(heard.0.iter().all(|packet| packet.payload_type == Codec::G722.number()), "another codec");
        let said = said_by(&calls.at_home, caller, &calls.server);
        assert_gap(&calls.at_office, "the agent", (&heard, &said), talk(caller, agent));
    }
    let metrics = calls.server.metrics();
    let concealed = metrics.iter().filter(|(name, _)| name.starts_with("tierline_media_frames_concealed_total"));
    let concealed: f64 = concealed.map(|(_, frames)| frames).sum();
    // More where the machine was late.
    assert!((10.0..300.0).contains(&concealed), "{concealed} frames were concealed of some 3 % of 750");
}

/// The stream that a leg's peer hears; what a bad wire makes of it is no unbroken line.
fn roughly(capture: &Capture, leg: &Leg, server: &Server) -> Stream {
    let (offered, answered) = leg.audio();
    let calls_us = leg.sides.expect("an INVITE has two sides").0 != server.sip;
    let (from, to) = if calls_us { (answered, offered) } else { (offered, answered) };
    capture.stream_of(leg, from, to)
}
