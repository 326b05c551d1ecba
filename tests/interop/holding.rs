//! Hold and resume, by the agent and by the caller, over UDP, TCP and TLS with keys in SDP, in every codec, and from
//! behind a NAT: who is held hears music and not the one who holds him, and both hear each other before and after.

use super::audio;
use super::capture::{Capture, Leg};
use super::harness::{GENEROUS, Ground, SECOND, talk_for, wait_for};
use super::heard::{HEARD, assert_gap, assert_no_gap, assert_sounds, assert_tone, heard_by, music_from, said_by};
use super::home::{Behind, LEARNING, to_agents};
use super::listeners::authority;
use super::pairs::{AGENT, CALLER, Kind, Way, agent};
use super::peers::{Baresip, Codec, Sipp, Softphone};
use super::server::{DIRECT, Server, Wishes};
use super::streams::tls_listener;

/// When a leg's re-INVITEs were answered.
pub fn reinvited(capture: &Capture, leg: &Leg) -> Vec<f64> {
    let of_leg = capture.messages.iter().filter(|message| message.header("Call-ID") == leg.call_id);
    let answers = of_leg.filter(|message| message.status() == Some(200) && message.header("CSeq").ends_with("INVITE"));
    answers.map(|message| message.at).skip(1).collect()
}

/// Who holds: the one who calls, or the agent.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Caller,
    Agent,
}

/// One side of a call: where it was seen, and what it says.
#[derive(Clone, Copy)]
struct Side<'c>(&'c Capture, &'c Leg, f64);

/// Holds, retrieves, and talks on.
fn holds(server: &Server, who: &Baresip) {
    talk_for(2 * SECOND);
    let drawn = |what: &str| server.drawing().contains(what).then_some(());
    who.tell("hold");
    wait_for("the call is held", GENEROUS, || drawn("hold"));
    talk_for(2 * SECOND);
    who.tell("resume");
    wait_for("the call is retrieved", GENEROUS, || drawn("resume"));
    talk_for(2 * SECOND);
}

/// Calls, holds the agent, and hangs up.
fn calls_and_holds(server: &Server, phone: &Baresip, way: Way) {
    phone.tell(&format!("dial sip:{DIRECT}@{}{}", way.at, way.over()));
    phone.program.says("Call established", GENEROUS);
    wait_for("the call is in the log", GENEROUS, || (!server.calls().is_empty()).then_some(()));
    wait_for("they talk", GENEROUS, || server.drawing().contains("talk with agent").then_some(()));
    holds(server, phone);
    phone.tell("hangup");
}

/// One of them a baresip, who holds, the other a SIPp.
fn held(by: By, (transport, shares): (&'static str, bool), codec: Codec) {
    let who = if by == By::Agent { "agent" } else { "caller" };
    let ground = Ground::new(&format!("hold_by_{who}_{transport}_{shares}_{codec:?}"));
    let server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let way = Way { transport, codec, at: server.sip, shares };
    let capture = if by == By::Agent {
        let phone = Softphone { registers: true, answers: true, ..way.softphone("ada", AGENT) }.start(&ground);
        phone.wait_registered();
        let capture = ground.capture();
        let mut caller = Sipp { says: CALLER, seconds: 12.0, ..way.sipp() }.start(&ground, &server);
        phone.program.says("Call established", GENEROUS);
        holds(&server, &phone);
        assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
        server.wait_ended(1, GENEROUS);
        capture.stop()
    } else {
        let _agent = agent(&ground, &server, way, (Kind::Sipp, authority(&ground.dir, "agent")));
        let capture = ground.capture();
        calls_and_holds(&server, &way.softphone("visitor", CALLER).start(&ground), way);
        server.wait_ended(1, GENEROUS);
        capture.stop()
    };
    let legs = capture.legs();
    let (caller, agent) = (Side(&capture, &legs[0], CALLER), Side(&capture, &legs[1], AGENT));
    let (holder, held) = if by == By::Agent { (agent, caller) } else { (caller, agent) };
    judge(&server, holder, held, 0.0);
}

#[test]
fn a_caller_who_is_held_hears_music_until_he_is_retrieved() {
    held(By::Agent, ("udp", false), Codec::Mu);
    held(By::Agent, ("tcp", false), Codec::A);
    held(By::Agent, ("udp", false), Codec::G722);
}

#[test]
fn an_agent_who_is_held_hears_music_until_he_is_retrieved() {
    held(By::Caller, ("udp", false), Codec::A);
    held(By::Caller, ("tcp", false), Codec::Mu);
    held(By::Caller, ("tcp", false), Codec::G722);
}

/// RTP and RTCP on one port (RFC 5761) through hold and resume, on the side of the baresip.
#[test]
fn who_is_held_on_one_port_hears_music_until_he_is_retrieved() {
    held(By::Agent, ("udp", true), Codec::Mu);
    held(By::Caller, ("udp", true), Codec::A);
}

/// `late`: seconds until a side can be heard after it has begun, or after it is back.
fn judge(server: &Server, holder: Side, held: Side, late: f64) {
    let [held_at, back_at] = reinvited(holder.0, holder.1)[..] else { panic!("not held and retrieved once each") };
    let start = held.1.talk().0.max(holder.1.talk().0) + late;
    let end = held.1.talk().1.min(holder.1.talk().1);
    for time in [(start, held_at - 0.1), (back_at + 0.1 + late, end)] {
        hears(server, held, holder, time);
        hears(server, holder, held, time);
    }
    let heard = heard_by(held.0, held.1, server);
    let quiet = (held_at + 0.1, back_at - 0.1);
    assert_no_gap(held.0, "who is held", &heard, quiet);
    let samples = heard.samples(quiet.0, quiet.1);
    assert_sounds(&samples, &[&music_from(&samples)]);
    assert!(heard.tone(holder.2, quiet.0, quiet.1) < 5.0, "who is held hears the one who holds him");
}

fn hears(server: &Server, hearing: Side, saying: Side, time: (f64, f64)) {
    let (heard, said) = (heard_by(hearing.0, hearing.1, server), said_by(saying.0, saying.1, server));
    let who = format!("{}→{}", hearing.1.from, hearing.1.to);
    assert_tone(&who, (&heard, &said), saying.2, time);
    assert_gap(hearing.0, &who, (&heard, &said), time);
}

/// From behind a NAT an agent holds a caller in the office, and a caller holds the agent behind the same NAT.
#[test]
fn behind_a_nat_both_sides_hold_and_are_heard_again() {
    let ground = Ground::new("hold_nat");
    let behind = Behind::a_nat(&ground);
    let server = &behind.server;
    let way = Way { transport: "udp", codec: Codec::Mu, at: server.sip, shares: false };
    let agent = Softphone { registers: true, answers: true, ..behind.phone("ada", AGENT) }.start(&ground);
    agent.wait_registered();
    let mut caller = Sipp { says: CALLER, seconds: 12.0, ..way.sipp() }.start(&ground, server);
    agent.program.says("Call established", GENEROUS);
    holds(server, &agent);
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    server.wait_ended(1, GENEROUS);
    calls_and_holds(server, &behind.phone("visitor", CALLER).start(&ground), way);
    server.wait_ended(2, GENEROUS);

    let (at_office, at_home) = (behind.at_office.stop(), behind.at_home.stop());
    let (outside, inside) = (at_office.legs(), at_home.legs());
    let agents = to_agents(&inside, server);
    let of_agent = |number: usize| Side(&at_home, agents[number], AGENT);
    let caller = outside.iter().find(|leg| leg.to == DIRECT).expect("the office's call");
    judge(server, of_agent(0), Side(&at_office, caller, CALLER), LEARNING);
    let visitor = inside.iter().find(|leg| leg.to == DIRECT).expect("the visitor's call");
    judge(server, Side(&at_home, visitor, CALLER), of_agent(1), LEARNING);
}

/// Where TLS hides who holds and SRTP what is heard, the one who is held tells it: his phone's own recording is the
/// other's tone, music, and the tone again.
fn held_in_secret(by: By, codec: Codec) {
    let who = if by == By::Agent { "agent" } else { "caller" };
    let ground = Ground::new(&format!("hold_secret_{who}_{codec:?}"));
    let at = ground.address();
    let media = "srtp = \"required\"".to_owned();
    let server = Server::start(&ground, &Wishes { sip: tls_listener(at), media, ..Wishes::agents(&["ada"]) });
    let way = Way { transport: "tls", codec, at, shares: false };
    let secret = |user, hz| Softphone { more: ";mediaenc=srtp-mand", ..way.softphone(user, hz) };
    let agent = Softphone { registers: true, answers: true, ..secret("ada", AGENT) }.start(&ground);
    agent.wait_registered();
    let capture = ground.capture();
    let caller = secret("visitor", CALLER).start(&ground);
    if by == By::Agent {
        caller.tell(&format!("dial sip:{DIRECT}@{at}{}", way.over()));
        agent.program.says("Call established", GENEROUS);
        holds(&server, &agent);
        caller.tell("hangup");
    } else {
        calls_and_holds(&server, &caller, way);
    }
    assert_eq!(server.wait_ended(1, GENEROUS)[0]["phase"], "Connected");
    let capture = capture.stop();
    assert!(capture.messages.is_empty(), "it could be read who holds");
    for stream in capture.streams.values() {
        let bytes = stream.0.iter().flat_map(|packet| packet.payload.iter().map(|byte| audio::decode(*byte)));
        let (tone, share) = audio::main_tone(&bytes.collect::<Vec<i16>>(), &[CALLER, AGENT]);
        assert!(share < 1.0, "it can be listened to: {tone} Hz in {share:.1} %");
    }
    let (held, hz) = if by == By::Agent { (&caller, AGENT) } else { (&agent, CALLER) };
    let recorded = wait_for("a recording", GENEROUS, || held.heard().pop());
    assert_held_in_between(&audio::read_narrow(&recorded), hz);
}

/// Tone, two seconds of music at least, and the tone again.
fn assert_held_in_between(recorded: &[i16], hz: f64) {
    let tones: Vec<bool> = recorded.chunks_exact(audio::FRAME).map(|frame| audio::has_tone(frame, hz)).collect();
    let places: Vec<usize> = (0..tones.len()).filter(|place| tones[*place]).collect();
    let pause = |pair: &&[usize]| pair[1] - pair[0];
    let longest = places.windows(2).max_by_key(pause).expect("a tone");
    let (held, back) = (longest[0] + 1, longest[1]);
    let (frames, second) = (back - held, 50);
    assert!(frames > second * 3 / 2, "held for {frames} frames of 20 ms");
    let (before, after) = (&tones[places[0]..held], &tones[back..=places[places.len() - 1]]);
    for (when, tones) in [("before", before), ("after", after)] {
        let heard = tones.iter().filter(|tone| **tone).count() as f64 * 100.0 / tones.len() as f64;
        assert!(tones.len() > second && heard >= HEARD, "{when} the hold: {heard:.1} % of {} frames", tones.len());
    }
    // Where one sound becomes the other, a frame has something of both.
    let music = &recorded[(held + 3) * audio::FRAME..(back - 3) * audio::FRAME];
    assert_sounds(music, &[&music_from(music)]);
}

#[test]
fn over_tls_with_keys_in_sdp_who_is_held_hears_music_until_he_is_retrieved() {
    held_in_secret(By::Agent, Codec::Mu);
    held_in_secret(By::Caller, Codec::A);
    held_in_secret(By::Caller, Codec::G722);
}
