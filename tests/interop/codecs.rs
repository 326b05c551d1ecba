//! Calls between phones that speak in different ways: codecs, encryption.

use super::audio;
use super::capture::{Capture, Datagram, Leg, Stream};
use super::harness::{GENEROUS, Ground, SECOND, talk_for};
use super::heard::{HEARD, assert_gap, assert_no_gap, heard_by, said_by};
use super::peers::{Baresip, Codec, Sipp, Softphone, sipp_agent};
use super::server::{DIRECT, Server, Wishes};
use super::streams::tls;
use super::wire::invite;
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
    assert_gap(capture, "the caller", (&heard, &said), time);
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
    assert_reported(&capture, &to_agent, &legs[1], &server);
    assert_recorded(&agent, 600.0);
    let transcoded = metrics["tierline_media_packets_transcoded_total{plane=\"0\"}"]
        + metrics.get("tierline_media_packets_transcoded_total{plane=\"1\"}").copied().unwrap_or_default();
    assert_eq!(transcoded > 300.0, payload == 9, "{transcoded} packets went through the jitter buffer");
}

/// RFC 3550 §6.4: what we report to a phone that reports itself: how much we have sent, and how we hear it.
fn assert_reported(capture: &Capture, sent: &Stream, leg: &Leg, server: &Server) {
    let (ours, theirs) = leg.audio();
    let port = |at: SocketAddr| [at, SocketAddr::new(at.ip(), at.port() + 1)];
    let word = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let is_ours = |report: &&Datagram| port(ours).contains(&report.from) && port(theirs).contains(&report.to);
    let reports: Vec<&Datagram> = capture.reports.iter().filter(is_ours).collect();
    let speaks = said_by(capture, leg, server).0[0].ssrc;
    let mut heard = false;
    let mut sums = 0;
    for report in &reports {
        let bytes = &report.bytes;
        if bytes[1] != 200 {
            continue; // no sender report: we had said nothing yet
        }
        assert_eq!(word(bytes, 4), sent.0[0].ssrc, "a sender report of our stream");
        let before = sent.between(0.0, report.at).len() as i64;
        let packets = i64::from(word(bytes, 20));
        assert!((packets - before).abs() <= 5, "{packets} packets are reported, {before} were sent");
        sums += 1;
        if bytes[0] & 31 > 0 {
            assert_eq!((word(bytes, 28), bytes[32]), (speaks, 0), "whom we hear, and that nothing was lost");
            heard |= word(bytes, 44) != 0; // the last report that came from there: it knows the round trip by that
        }
    }
    assert!(sums > 0 && heard, "{sums} sender reports of {}, and none tells of theirs", reports.len());
}

/// Whoever offers one suite of keys gets that one (RFC 4568 §6.2, RFC 7714 §14), with a key of our own.
#[test]
fn every_suite_of_keys_is_taken() {
    let ground = Ground::new("srtp_suites");
    let (at, wishes) = over_tls(&ground, "required");
    let server = Server::start(&ground, &wishes);
    let (long, short) = ("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNk", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYg==");
    let longest = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVpBQkNERUZHSElKS0xNTk9QUVI=";
    let suites = [
        ("AES_CM_128_HMAC_SHA1_80", long),
        ("AES_CM_128_HMAC_SHA1_32", long),
        ("AEAD_AES_128_GCM", short),
        ("AEAD_AES_256_GCM", longest),
    ];
    for (suite, key) in suites {
        let mut wire = tls(at, &ground.file("data/tls/ca.pem"), "127.0.0.1").expect("a handshake");
        let text = invite(&format!("sip:{DIRECT}@{at}"), &format!("sip:raw@{at};transport=tls"), "");
        let (head, sdp) = text.split_once("\r\n\r\n").expect("a body");
        let keys = format!("RTP/SAVP 0\r\na=crypto:7 NONE_SUCH inline:{key}\r\na=crypto:8 {suite} inline:{key}");
        let sdp = sdp.replace("RTP/AVP 0", &keys);
        let head = head.split("Content-Length").next().expect("a head").replace("/TCP", "/TLS");
        wire.say(format!("{head}Content-Length: {}\r\n\r\n{sdp}", sdp.len()));
        let ok = wire.until("200");
        assert!(ok.contains("RTP/SAVP 0") && ok.contains(&format!("a=crypto:8 {suite} inline:")), "{ok}");
        assert!(!ok.contains(key), "a key of our own: {ok}");
    }
    drop(server);
}

/// An agent whose phone sends comfort noise while she is silent, longer than a silence may last, and a caller who has not
/// agreed to it (RFC 3389): he hears the noise, in one line, and then her again; nobody counts as lost.
#[test]
fn a_pause_with_comfort_noise_is_heard_as_noise() {
    let ground = Ground::new("comfort_noise");
    let server = Server::start(&ground, &Wishes { silence: "2s", ..Wishes::agents(&["ada"]) });
    let (scenario, says, pause) = ("agent_answers", 1000.0, (3.0, 7.0));
    let _agent = sipp_agent(&ground, &server, "ada", Sipp { scenario, says, pause, seconds: 30.0, ..Sipp::default() });
    let capture = ground.capture();
    let mut caller = Sipp { seconds: 12.0, ..Sipp::default() }.start(&ground, &server);
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    let call = server.wait_ended(1, GENEROUS).remove(0);
    assert_eq!((call["cause"].as_str(), call["phase"].as_str()), (Some("CallerHungUp"), Some("Connected")), "{call}");
    let capture = capture.stop();
    let legs = capture.legs();
    assert_eq!(legs.len(), 2, "{legs:?}");
    let (heard, begun) = (heard_by(&capture, &legs[0], &server), said_by(&capture, &legs[1], &server).time().0);
    let [before, within, after] = [(1.0, 2.8), (3.6, 6.6), (7.6, 9.6)].map(|(from, to)| (begun + from, begun + to));
    for (from, to) in [before, after] {
        let share = heard.tone(1000.0, from, to);
        assert!(share >= 90.0, "she is heard in {share:.1} %");
    }
    assert_no_gap(&capture, "the caller", &heard, within);
    let samples = heard.samples(within.0, within.1);
    let loud = (samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len() as f64).sqrt();
    assert!((1.0..300.0).contains(&loud), "noise of {loud:.0} in {} samples", samples.len());
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

pub fn over_tls(ground: &Ground, srtp: &str) -> (SocketAddr, Wishes) {
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
