//! Calls between phones that speak in different ways: codecs, encryption.

use super::audio;
use super::capture::{Capture, Leg};
use super::harness::{GENEROUS, Ground, SECOND, talk_for};
use super::heard::{HEARD, assert_gap, heard_by, said_by};
use super::peers::{Baresip, Codec, Sipp, Softphone, sipp_agent};
use super::server::{DIRECT, Server, Wishes};
use std::net::SocketAddr;

const TONES: [f64; 3] = [600.0, 700.0, 1000.0];

/// What baresip itself recorded is a tone for the most part; it includes what was before the talk.
fn assert_recorded(phone: &Baresip, hz: f64) {
    let files = phone.heard();
    let last = files.last().unwrap_or_else(|| panic!("baresip recorded nothing"));
    let (tone, share) = audio::main_tone(&audio::read_narrow(last), &TONES);
    assert!(tone == hz && share > 70.0, "baresip recorded {tone} Hz in {share:.1} %, not {hz} Hz");
}

/// The caller hears the tone through the last `seconds` of the call, in one line and without gaps.
fn assert_caller_hears(capture: &Capture, server: &Server, caller: &Leg, hz: f64, seconds: f64) {
    let (heard, said) = (heard_by(capture, caller, server), said_by(capture, caller, server));
    let (_, end) = caller.talk();
    let share = heard.tone(hz, end - seconds, end);
    assert!(share >= HEARD, "the caller heard {hz} Hz in {share:.1} % of {seconds} s");
    let time = (end - seconds, end);
    assert_gap(capture, "the caller", heard.gap_made_after(&said, time.0, time.1), time);
}

fn ada(at: SocketAddr) -> Softphone<'static> {
    Softphone { at, user: "ada", hz: 1000.0, registers: true, answers: true, ..Softphone::default() }
}

/// A SIPp caller who speaks µ-law, and an agent whose baresip speaks nothing but A-law or G.722.
fn transcoded(name: &str, codec: Codec) {
    let payload = codec.number();
    let ground = Ground::new(name);
    let server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let agent = Softphone { codec, ..ada(server.sip) }.start(&ground);
    agent.wait_registered();
    let capture = ground.capture();
    let mut caller = Sipp { seconds: 8.0, ..Sipp::default() }.start(&ground, &server);
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    server.wait_ended(1, GENEROUS);
    let metrics = server.metrics();
    let capture = capture.stop();
    let legs = capture.legs();
    assert_caller_hears(&capture, &server, &legs[0], 1000.0, 5.0);
    let to_agent = heard_by(&capture, &legs[1], &server);
    assert!(to_agent.0.iter().all(|packet| packet.payload_type == payload), "another codec than {payload}");
    assert_recorded(&agent, 600.0);
    let transcoded = metrics["tierline_media_packets_transcoded_total{plane=\"0\"}"]
        + metrics.get("tierline_media_packets_transcoded_total{plane=\"1\"}").copied().unwrap_or_default();
    assert_eq!(transcoded > 300.0, payload == 9, "{transcoded} packets went through the jitter buffer");
}

#[test]
fn an_agent_who_speaks_g722_and_a_caller_who_speaks_mu_law_hear_each_other() {
    transcoded("g722", Codec::G722);
}

/// Dials, talks for six seconds and hangs up.
fn talk_from(caller: &Baresip, server: &Server, at: SocketAddr, over: &str) {
    caller.tell(&format!("dial sip:{DIRECT}@{at}{over}"));
    caller.program.says("Call established", GENEROUS);
    talk_for(6 * SECOND);
    caller.tell("hangup");
    assert_eq!(server.wait_ended(1, GENEROUS)[0]["phase"], "Connected");
}

/// Keys in the SDP of both legs: nothing on the wire can be listened to, and both hear.
#[test]
fn two_baresips_with_srtp_hear_each_other_and_nobody_else_does() {
    let ground = Ground::new("srtp_both");
    let (at, wishes) = over_tls(&ground, "required");
    let server = Server::start(&ground, &wishes);
    let (over, more) = (";transport=tls", ";mediaenc=srtp-mand");
    let agent = Softphone { over, more, ..ada(at) }.start(&ground);
    agent.wait_registered();
    let capture = ground.capture();
    let caller = Softphone { at, over, more, hz: 600.0, ..Softphone::default() }.start(&ground);
    talk_from(&caller, &server, at, over);
    let capture = capture.stop();
    let streams: Vec<_> = capture.streams.values().filter(|stream| stream.0.len() > 100).collect();
    assert_eq!(streams.len(), 4, "two legs in both directions");
    for stream in streams {
        let bytes = stream.0.iter().flat_map(|packet| packet.payload.iter().map(|byte| audio::decode(*byte)));
        let (tone, share) = audio::main_tone(&bytes.collect::<Vec<i16>>(), &TONES);
        assert!(share < 1.0, "it can be listened to: {tone} Hz in {share:.1} %");
    }
    assert_recorded(&agent, 600.0);
    assert_recorded(&caller, 1000.0);
}

#[test]
fn an_agent_who_speaks_a_law_and_a_caller_who_speaks_mu_law_hear_each_other() {
    transcoded("a_law", Codec::A);
}

fn over_tls(ground: &Ground, srtp: &str) -> (SocketAddr, Wishes) {
    let at = ground.address();
    let sip = format!("[[server.sip.listen]]\ntransport = \"tls\"\nbind = \"{at}\"");
    (at, Wishes { sip, media: format!("srtp = \"{srtp}\""), ..Wishes::agents(&["ada"]) })
}

/// No stream but the plain leg's carries one of the tones.
fn assert_encrypted(capture: &Capture, plain: &Leg) {
    let (offered, answered) = plain.audio();
    let others = capture.streams.iter().filter(|((from, to), stream)| {
        ![*from, *to].iter().any(|side| [offered, answered].contains(side)) && stream.0.len() > 100
    });
    let others: Vec<_> = others.collect();
    assert_eq!(others.len(), 2, "one other leg was to be seen, in both directions");
    for ((from, to), stream) in others {
        let samples: Vec<i16> =
            stream.0.iter().flat_map(|packet| packet.payload.iter().map(|byte| audio::decode(*byte))).collect();
        let (tone, share) = audio::main_tone(&samples, &TONES);
        assert!(share < 1.0, "{from}→{to} can be listened to: {tone} Hz in {share:.1} %");
    }
}

#[test]
fn an_agent_with_srtp_over_tls_and_a_plain_caller_hear_each_other() {
    let ground = Ground::new("srtp_agent");
    let (tls, wishes) = over_tls(&ground, "optional");
    let server = Server::start(&ground, &wishes);
    let agent = Softphone { over: ";transport=tls", more: ";mediaenc=srtp", ..ada(tls) }.start(&ground);
    agent.wait_registered();
    let capture = ground.capture();
    let mut caller = Sipp { seconds: 8.0, ..Sipp::default() }.start(&ground, &server);
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    server.wait_ended(1, GENEROUS);
    let capture = capture.stop();
    let legs = capture.legs();
    assert_caller_hears(&capture, &server, &legs[0], 1000.0, 5.0);
    assert_encrypted(&capture, &legs[0]);
    assert_recorded(&agent, 600.0);
}

#[test]
fn a_caller_who_wants_nothing_but_srtp_and_a_plain_agent_hear_each_other() {
    let ground = Ground::new("srtp_caller");
    let (tls, wishes) = over_tls(&ground, "optional");
    let server = Server::start(&ground, &wishes);
    let _agent =
        sipp_agent(&ground, &server, "ada", Sipp { scenario: "agent_answers", says: 700.0, ..Sipp::default() });
    let capture = ground.capture();
    let (over, more) = (";transport=tls", ";mediaenc=srtp-mand");
    let caller = Softphone { at: tls, over, more, hz: 1000.0, ..Softphone::default() }.start(&ground);
    caller.tell(&format!("dial sip:{DIRECT}@{tls};transport=tls"));
    caller.program.says("Call established", GENEROUS);
    talk_for(8 * SECOND);
    caller.tell("hangup");
    server.wait_ended(1, GENEROUS);
    let capture = capture.stop();
    let legs = capture.legs();
    let (_, end) = legs[0].talk();
    let share = heard_by(&capture, &legs[0], &server).tone(1000.0, end - 4.0, end);
    assert!(share >= HEARD, "the agent heard 1000 Hz in {share:.1} %");
    assert_encrypted(&capture, &legs[0]);
    assert_recorded(&caller, 700.0);
}
