//! Phones at home: behind a NAT, and over a wire that loses, delays and reorders.

use super::audio;
use super::capture::{Capture, Leg, Stream};
use super::harness::{GENEROUS, Ground, SECOND, Tcpdump, talk_for, wait_for};
use super::heard::{assert_gap, assert_tone, heard_by, said_by};
use super::nets::{ELSEWHERE, HOME, Nat, OFFICE, OUTSIDE, PRIVATE, Place, Trouble, Wire};
use super::peers::{Sipp, Softphone};
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
    visitor.tell(&format!("dial sip:{DIRECT}@{}", server.sip));
    visitor.program.says("Call established", GENEROUS);
    talk_for(5 * SECOND);
    visitor.tell("hangup");
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

#[test]
fn over_a_bad_wire_calls_complete_and_both_sides_hear() {
    let ground = Ground::new("bad_wire");
    let office = Place::begin();
    let (delay, jitter) = (Duration::from_millis(60), Duration::from_millis(20));
    let wire = Wire::lay(&office, Trouble { delay, jitter, lost: 3, seed: 4 }, None);
    let server = Server::start(&ground, &wishes(&["ada"]));
    let (at_office, at_home) = (ground.capture_in(&office, "office"), ground.capture_in(&wire.home, "home"));
    let agent =
        Softphone { at: server.sip, ip: OFFICE, user: "ada", hz: AGENT, registers: true, ..Softphone::default() };
    let agent = Softphone { answers: true, ..agent };
    let agent = agent.start(&ground);
    agent.wait_registered();
    for number in 0..4 {
        let name = format!("caller-{number}");
        // A 100 that comes after the 200 is no reason to hang up.
        let more = &["-default_behaviors", "all,-abortunexp"];
        let sipp = Sipp {
            name: &name,
            more,
            place: Some(&wire.home),
            ip: HOME,
            seconds: 5.0,
            says: CALLER,
            ..Sipp::default()
        };
        assert_eq!(sipp.start(&ground, &server).wait(GENEROUS), 0, "call {number} did not complete");
        server.wait_ended(number + 1, GENEROUS);
    }
    let (at_office, at_home) = (at_office.stop(), at_home.stop());
    let (outside, inside) = (at_office.legs(), at_home.legs());
    let agents = to_agents(&outside, &server);
    assert_eq!((agents.len(), inside.len()), (4, 4), "{outside:?} {inside:?}");
    let (mut sent, mut came) = (0, 0);
    for (caller, agent) in inside.iter().zip(agents) {
        let time = talk(caller, agent);
        let ways = [
            (
                "the caller",
                &at_home,
                roughly(&at_home, caller, &server, true),
                said_by(&at_office, agent, &server),
                AGENT,
            ),
            (
                "the agent",
                &at_office,
                roughly(&at_office, agent, &server, false),
                said_by(&at_home, caller, &server),
                CALLER,
            ),
        ];
        for (who, capture, heard, said, hz) in ways {
            let time = (time.0, time.1 - 0.2); // what is said last does not arrive in time
            let most = said.tone(hz, time.0, time.1);
            assert!(most >= HEARD_BADLY, "{hz} Hz was said in {most:.1} %: the test proves nothing");
            let share = heard.tone(hz, time.0, time.1) * 100.0 / most;
            let (gap, at) = heard.gap_made_after(&said, time.0, time.1);
            let gap = gap - capture.starved(heard.0[0].from, time.0 + at, time.0 + at + gap / 1000.0);
            assert!(
                share >= HEARD_BADLY && gap <= GAP_BADLY,
                "{who} heard {hz} Hz in {share:.1} % of what was said, a gap of {gap:.0} ms at {at:.3} s"
            );
            sent += said.between(time.0, time.1).len();
            came += heard.between(time.0, time.1).len();
        }
    }
    let lost = 100.0 - came as f64 * 100.0 / sent as f64;
    assert!((1.0..6.0).contains(&lost), "{lost:.1} % were lost: the test proves nothing");
}

/// The stream that a leg's peer hears; what a bad wire makes of it is no unbroken line.
fn roughly(capture: &Capture, leg: &Leg, server: &Server, calls_us: bool) -> Stream {
    let (offered, answered) = leg.audio();
    assert_eq!(leg.sides.expect("an INVITE has two sides").0 != server.sip, calls_us);
    let (from, to) = if calls_us { (answered, offered) } else { (offered, answered) };
    capture.stream_of(leg, from, to)
}
