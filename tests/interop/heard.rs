//! The main thing: caller and agent hear what they should, from answer to BYE.

use super::audio;
use super::capture::{Capture, Codec, Leg, Stream};
use super::harness::{Ground, SECOND, talk_for};
use super::peers::{Baresip, Sipp, sipp_agent};
use super::server::{DIRECT, SUPPORT, Server, Wishes};
use std::path::Path;

/// Of a hundred frames; and milliseconds.
pub const HEARD: f64 = 95.0;
pub const GAP: f64 = 60.0;
/// Of a hundred frames, so many must have been said for a test to prove something.
const LEAST: f64 = 85.0;
/// Samples by which music is late in G.722, by the filters of both sides.
const FILTERED: usize = 22;
/// Frames of silence between two sounds.
const LATE: usize = 5;

pub fn sound(name: &str) -> Vec<i16> {
    audio::read_wav(&Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("ivr-flows/sounds/{name}.wav")))
}

/// What the leg's peer says.
pub fn said_by(capture: &Capture, leg: &Leg, server: &Server) -> Stream {
    let (offered, answered) = leg.audio();
    let (caller, _) = leg.sides.expect("an INVITE has two sides");
    let (from, to) = if caller == server.sip { (answered, offered) } else { (offered, answered) };
    capture.stream_of(leg, from, to)
}

/// The stream that the leg's peer hears, checked to be one unbroken line.
pub fn heard_by(capture: &Capture, leg: &Leg, server: &Server) -> Stream {
    let (offered, answered) = leg.audio();
    let (caller, _) = leg.sides.expect("an INVITE has two sides");
    let (from, to) = if caller == server.sip { (offered, answered) } else { (answered, offered) };
    let stream = capture.stream_of(leg, from, to);
    stream.assert_one_line(&format!("what {} → {} heard", leg.from, leg.to));
    stream
}

/// A leg's peer hears a tone that the peer of the other leg says.
pub fn assert_talk(
    capture: &Capture,
    server: &Server,
    (hearing, saying): (&Leg, &Leg),
    hz: f64,
    time: (f64, f64),
) -> (f64, f64) {
    let (heard, said) = (heard_by(capture, hearing, server), said_by(capture, saying, server));
    let who = format!("{}→{}", hearing.from, hearing.to);
    assert_gap(capture, &who, (&heard, &said), time);
    assert_tone(&who, (&heard, &said), hz, time)
}

/// Of all frames that there are in this time, the most are of the tone: how many it could have been, and how many were.
/// Who says it may be late on a busy machine: of the frames that he leaves out none counts, but hardly one of the
/// others may be missing then.
pub fn assert_tone(who: &str, (heard, said): (&Stream, &Stream), hz: f64, (from, to): (f64, f64)) -> (f64, f64) {
    let most = ((to - from) * 50.0).floor();
    let [right, said] = [heard, said].map(|stream| stream.frames(hz, from, to).min(most));
    let told = format!("{who}: {hz} Hz was heard in {right} and said in {said} of the {most} frames");
    if right >= most * HEARD / 100.0 {
        return (most, right);
    }
    assert!(said >= most * LEAST / 100.0 && said < most * HEARD / 100.0 && right >= said * 0.99, "{told}");
    (said, right)
}

/// No gap in what the server plays by itself.
pub fn assert_no_gap(capture: &Capture, who: &str, stream: &Stream, time: (f64, f64)) {
    assert_gap(capture, who, (stream, &capture.ticks), time);
}

/// The longest gap is short, but for what the machine let the threads wait in it that make this stream.
pub fn assert_gap(capture: &Capture, who: &str, (heard, said): (&Stream, &Stream), (from, to): (f64, f64)) {
    let (gap, at) = heard.gap_made_after(said, from, to);
    let starved = capture.starved(heard.0[0].from, from + at, from + at + gap / 1000.0 + 0.04);
    let of = to - from;
    assert!(
        gap - starved <= GAP,
        "{who} heard nothing for {gap:.0} ms ({starved:.0} ms without a processor), from {at:.3} s of {of:.3} s on"
    );
}

/// The frames of `heard` from the beginning are `expected`, one after the other, as far as they go: how many are.
pub fn assert_sounds(heard: &[i16], expected: &[&[i16]]) -> f64 {
    let (mut at, mut right) = (0, 0.0);
    for (number, sound) in expected.iter().enumerate() {
        let rest = &heard[at..];
        if rest.is_empty() {
            break;
        }
        // A prompt begins within a few frames of the end of the one before.
        let fits = |skipped: usize| {
            let length = sound.len().min(rest.len() - skipped);
            (audio::alike(&rest[skipped..], &sound[..length]), skipped, length)
        };
        let starts = (0..=LATE).map(|frames| frames * audio::FRAME).filter(|skipped| *skipped < rest.len()).map(fits);
        let (share, skipped, length) = starts.max_by(|a, b| a.0.total_cmp(&b.0)).expect("a start");
        assert!(share >= HEARD, "sound {number} was heard in {share:.1} % of its {} frames", length / audio::FRAME);
        right += share / 100.0 * (length / audio::FRAME) as f64;
        // What does not fill its last frame is filled up with silence.
        at += (skipped + length).next_multiple_of(audio::FRAME).min(rest.len());
    }
    right
}

/// So many frames were what they should be, of all that there are from a leg's answer to its BYE, but for those that the
/// other side did not say.
pub fn assert_whole(who: &str, leg: &Leg, right: f64, unsaid: f64) {
    let (from, to) = leg.talk();
    let share = right * 100.0 / (((to - from) * 50.0).floor() - unsaid);
    assert!(share >= HEARD, "{who}: {share:.1} % of the {:.1} s from answer to BYE are right", to - from);
}

/// A caller whom a line puts into the queue at once, from his answer to his BYE: music until the agent answers, whom he
/// hears then and who hears him.
pub fn assert_direct(capture: &Capture, server: &Server, (caller, agent): (&Leg, &Leg), (his, hers): (f64, f64)) {
    let (all, talk) = (caller.talk(), (agent.talk().0, caller.talk().1));
    let to_caller = heard_by(capture, caller, server);
    assert_no_gap(capture, "the caller", &to_caller, (all.0, talk.0));
    let music = to_caller.samples(all.0, talk.0);
    let late = if to_caller.0[0].payload_type == Codec::G722.number() { FILTERED } else { 0 };
    let music = &music[late.min(music.len())..];
    let music = audio::alike(music, &music_from(music)[..music.len()]) / 100.0 * (music.len() / audio::FRAME) as f64;
    assert_whole_talk(capture, server, (caller, agent), hers, music);
    assert_talk(capture, server, (agent, caller), his, agent.talk());
}

/// What a caller heard from his answer to his BYE: so many right frames until an agent answered, and then her tone.
pub fn assert_whole_talk(capture: &Capture, server: &Server, legs: (&Leg, &Leg), hz: f64, before: f64) {
    let talk = (legs.1.talk().0, legs.0.talk().1);
    let (due, right) = assert_talk(capture, server, legs, hz, talk);
    assert_whole("the caller", legs.0, before + right, ((talk.1 - talk.0) * 50.0).floor() - due);
}

#[test]
fn a_sipp_caller_hears_the_menu_presses_1_waits_and_talks_with_a_baresip_agent() {
    let ground = Ground::new("sipp_calls_baresip");
    let server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let capture = ground.capture();
    let caller = Sipp { scenario: "caller_presses", number: SUPPORT, seconds: 9.0, says: 600.0, ..Sipp::default() };
    let mut caller = caller.start(&ground, &server);
    // Nobody is there yet: after the key the caller waits, with music.
    talk_for(6 * SECOND);
    let agent = Baresip::start(&ground, &server, "ada", 1000.0, true);
    agent.wait_registered();
    assert_eq!(caller.wait(60 * SECOND), 0, "SIPp is not content");
    let call = server.wait_ended(1, 10 * SECOND).remove(0);
    assert_eq!((call["cause"].as_str(), call["phase"].as_str()), (Some("CallerHungUp"), Some("Connected")), "{call}");
    let capture = capture.stop();
    let legs = capture.legs();
    assert_eq!(legs.len(), 2, "{legs:?}");
    let (caller, agent) = (&legs[0], &legs[1]);
    let to_caller = heard_by(&capture, caller, &server);
    let (all, talk) = (caller.talk(), (agent.talk().0, caller.talk().1));
    assert_no_gap(&capture, "the caller", &to_caller, (all.0, talk.0));
    // When the key was pressed and let go, a busy SIPp decides.
    let said = said_by(&capture, caller, &server);
    let key = said.0.iter().filter(|packet| packet.payload_type == 101);
    let key: Vec<f64> = key.map(|packet| packet.at).collect();
    assert!(!key.is_empty(), "no key was pressed: the test proves nothing");
    let (pressed, let_go) = (key[0], key[key.len() - 1]);
    let led = assert_sounds(&to_caller.samples(all.0, pressed), &[&sound("welcome"), &sound("menu")]);
    let music = to_caller.samples(let_go + 0.2, talk.0 - 0.1);
    let waited = assert_sounds(&music, &[&music_from(&music)]);
    assert_whole_talk(&capture, &server, (caller, agent), 1000.0, led + waited);
    assert_talk(&capture, &server, (agent, caller), 600.0, agent.talk());
}

/// Music, and nothing else, without a gap.
pub fn assert_music(capture: &Capture, who: &str, heard: &Stream, (from, until): (f64, f64)) {
    assert_no_gap(capture, who, heard, (from, until));
    let samples = heard.samples(from, until - 0.1);
    assert_sounds(&samples, &[&music_from(&samples)]);
}

/// The hold music from where the listener came in: where the most of it is alike, since it repeats its motifs.
pub fn music_from(heard: &[i16]) -> Vec<i16> {
    let music = sound("hold-music").repeat(2);
    let once = music.len() / 2;
    let like = |at: usize| audio::alike(heard, &music[at..(at + heard.len()).min(music.len())]);
    let best = |starts: &mut dyn Iterator<Item = usize>| {
        starts.map(|at| (like(at), at)).max_by(|a, b| a.0.total_cmp(&b.0)).expect("music")
    };
    let (share, start) = best(&mut (0..once).step_by(audio::FRAME / 2));
    // Filters of G.722 and between sampling rates delay by some samples.
    let start = match share < HEARD && heard.len() >= PIECE {
        true => best(&mut to_the_sample(heard, &music[..once + PIECE]).into_iter()).1,
        false => start,
    };
    music[start..].to_vec()
}

/// How many samples are compared to find a place.
const PIECE: usize = 1600;

/// The places in the music where it is as in the loudest piece of what was heard, by which it began earlier.
fn to_the_sample(heard: &[i16], music: &[i16]) -> Vec<usize> {
    let thin = |samples: &[i16]| samples.iter().step_by(3).map(|sample| f64::from(*sample)).collect::<Vec<f64>>();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let pieces = heard.chunks_exact(PIECE).map(thin).enumerate();
    let loudest = pieces.max_by(|a, b| dot(&a.1, &a.1).total_cmp(&dot(&b.1, &b.1)));
    let (number, piece) = loudest.expect("enough was heard");
    let like = |at: usize| {
        let there = thin(&music[at..at + PIECE]);
        (dot(&piece, &there) / (dot(&piece, &piece) * dot(&there, &there)).sqrt().max(1.0), at)
    };
    let mut places: Vec<(f64, usize)> = (0..music.len() - PIECE).map(like).collect();
    places.sort_by(|a, b| b.0.total_cmp(&a.0));
    let once = music.len() - PIECE;
    places.iter().take(30).map(|(_, at)| (at + once - (number * PIECE) % once) % once).collect()
}

#[test]
fn a_baresip_caller_talks_with_a_sipp_agent() {
    let ground = Ground::new("baresip_calls_sipp");
    let server = Server::start(&ground, &Wishes::agents(&["ben"]));
    let capture = ground.capture();
    let _agent =
        sipp_agent(&ground, &server, "ben", Sipp { scenario: "agent_answers", says: 700.0, ..Sipp::default() });
    let caller = Baresip::caller(&ground, "visitor", 1100.0);
    caller.tell(&format!("dial sip:{DIRECT}@{}", server.sip));
    caller.program.says("Call established", 10 * SECOND);
    talk_for(6 * SECOND);
    caller.tell("hangup");
    server.wait_ended(1, 10 * SECOND);
    let capture = capture.stop();
    let legs = capture.legs();
    assert_eq!(legs.len(), 2, "{legs:?}");
    let talked = legs[0].talk().1 - legs[1].talk().0;
    assert!(talked > 4.0, "they talked for {talked:.1} s only");
    assert_direct(&capture, &server, (&legs[0], &legs[1]), (1100.0, 700.0));
    let recorded = caller.heard();
    let (tone, share) = audio::main_tone(&audio::read_wav(&recorded[0]), &[600.0, 700.0, 1100.0]);
    assert!(tone == 700.0 && share > 70.0, "baresip itself recorded {tone} Hz in {share:.1} %");
}
