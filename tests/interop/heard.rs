//! The main thing: caller and agent hear what they should, from answer to BYE.

use super::audio;
use super::capture::{Capture, Leg, Stream};
use super::harness::{Ground, SECOND};
use super::peers::{Baresip, Sipp};
use super::server::{SUPPORT, Server, Wishes};
use std::path::Path;

/// Of a hundred frames; and milliseconds.
const HEARD: f64 = 95.0;
const GAP: f64 = 60.0;

fn sound(name: &str) -> Vec<i16> {
    audio::read_wav(&Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("ivr-flows/sounds/{name}.wav")))
}

/// The stream that one of the leg's sides hears, checked to be one unbroken line.
fn heard_by<'c>(capture: &'c Capture, leg: &Leg, server: &Server) -> &'c Stream {
    let (offered, answered) = leg.audio();
    let (caller, _) = leg.sides.expect("an INVITE has two sides");
    let (from, to) = if caller == server.sip { (offered, answered) } else { (answered, offered) };
    let stream = capture.stream(from, to);
    stream.assert_one_line(&format!("what {} → {} heard", leg.from, leg.to));
    stream
}

fn assert_tone(who: &str, stream: &Stream, hz: f64, (from, to): (f64, f64)) {
    let (share, gap) = (stream.tone(hz, from, to), stream.gap(from, to));
    assert!(share >= HEARD, "{who} heard {hz} Hz in {share:.1} % of {:.1} s", to - from);
    assert!(gap <= GAP, "{who} heard nothing for {gap:.0} ms");
}

#[test]
fn a_sipp_caller_hears_the_menu_presses_1_waits_and_talks_with_a_baresip_agent() {
    let ground = Ground::new("sipp_calls_baresip");
    let server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let capture = ground.capture();
    let mut caller = Sipp { scenario: "caller_presses", number: SUPPORT, seconds: 10.0, ..Sipp::default() };
    caller.says = 600.0;
    let mut caller = caller.start(&ground, &server);
    // The caller waits first: the agent comes after the key.
    super::harness::talk_for(6 * SECOND);
    let agent = Baresip::start(&ground, &server, "ada", 1000.0, true);
    agent.wait_registered();
    assert_eq!(caller.wait(60 * SECOND), 0, "SIPp is not content");
    server.wait_ended(1, 10 * SECOND);
    let capture = capture.stop();
    let legs = capture.legs();
    assert_eq!(legs.len(), 2, "{legs:?}");
    let (caller, agent) = (&legs[0], &legs[1]);
    let talk = (agent.talk().0, caller.talk().1);
    let to_caller = heard_by(&capture, caller, &server);
    assert!(to_caller.gap(caller.talk().0, caller.talk().1) <= GAP);
    let before = to_caller.samples(caller.talk().0, talk.0);
    let (welcome, share) = audio::find_prompt(&before, &sound("welcome"));
    println!("welcome {welcome} {share}");
    let (music, music_share) = audio::find_prompt(&before, &sound("hold-music"));
    println!("music {music} {music_share} {}", before.len());
    assert_tone("the caller", to_caller, 1000.0, talk);
    assert_tone("the agent", heard_by(&capture, agent, &server), 600.0, agent.talk());
}
