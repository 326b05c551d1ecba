//! What callers of a help desk hear before a person: a language, a number that they key and that is read back, their
//! place in line; and that all of it stops when somebody answers.

use super::audio;
use super::harness::{GENEROUS, Ground, SECOND, talk_for, wait_until};
use super::heard::{assert_no_gap, assert_sounds, assert_talk, heard_by, said_by, sound};
use super::peers::{Baresip, Sipp};
use super::server::{Server, Wishes};

const CALLER: f64 = 600.0;
const AGENT: f64 = 1000.0;
/// The keys, at seconds of what the caller says: German, a number with its hash key, yes.
const KEYS: [(f64, u8); 5] = [(3.0, 9), (5.0, 4), (5.6, 2), (6.2, 11), (10.0, 1)];

/// Texts of the demo: another text would be spoken anew.
const FLOW: &str = r#"version = 1
start = "hello"
language = "en"
languages = ["en", "de"]
[step.hello]
menu = { en = { text = "To talk to somebody about it, press 1. Otherwise, just hang up.", sound = "desk-more-en" }, de = { text = "Um mit jemandem darüber zu sprechen, drücken Sie die 1. Sonst legen Sie einfach auf.", sound = "desk-more-de" } }
keys = { 9 = "german" }
otherwise = "german"
[step.german]
language = "de"
next = "ticket"
[step.ticket]
collect = { en = { text = "Please key your ticket number, then the hash key.", sound = "desk-ticket-en" }, de = { text = "Bitte geben Sie Ihre Nummer ein, dann die Raute.", sound = "desk-ticket-de" } }
into = "ticket"
max = 4
confirm = [
    { en = { text = "You keyed", sound = "desk-ticket-en-2" }, de = { text = "Sie haben eingegeben", sound = "desk-ticket-de-2" } },
    { say = "ticket", as = "digits" },
]
retries = 0
next = "people"
otherwise = "wrong"
[step.wrong]
hang_up = true
[step.people]
queue = "general"
treatment = "waiting"
otherwise = "wrong"
[step.waiting]
play = [
    { en = { text = "You are number", sound = "desk-waiting-en" }, de = { text = "Sie sind Nummer", sound = "desk-waiting-de" } },
    { say = "queue.position", as = "number" },
    { en = { text = "The help desk is closed. We are here on weekdays, from eight to six. Goodbye.", sound = "desk-after-hours-en" }, de = { text = "Die Hotline ist geschlossen. Wir sind werktags von acht bis achtzehn Uhr für Sie da. Auf Wiederhören.", sound = "desk-after-hours-de" } },
]
next = "hold"
[step.hold]
music = true
for = "30s"
keys = { 1 = "wrong" }
next = "waiting"
"#;

#[test]
fn a_caller_is_led_in_german_told_his_place_and_interrupted_by_the_agent() {
    let ground = Ground::new("tier0");
    let more = "[line.desk]\nnumbers = [\"300\"]\nflow = \"desk\"\n".to_owned();
    let flows = vec![("desk", FLOW.to_owned())];
    let server = Server::start(&ground, &Wishes { more, flows, ..Wishes::agents(&["ada"]) });
    let capture = ground.capture();
    let caller = Sipp { number: "300", seconds: 20.0, says: CALLER, keys: &KEYS, ..Sipp::default() };
    let mut caller = caller.start(&ground, &server);
    wait_until("the caller waits", GENEROUS, || {
        server.calls().first().is_some_and(|call| call["segments"].as_array().is_some_and(|waits| !waits.is_empty()))
    });
    talk_for(3 * SECOND);
    // She registers and answers by herself, while the long text is being said.
    let agent = Baresip::start(&ground, &server, "ada", AGENT, true);
    agent.program.says("Call established", GENEROUS);
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    let call = server.wait_ended(1, GENEROUS).remove(0);
    assert_eq!(call["cause"], "CallerHungUp", "{call}");
    let capture = capture.stop();
    let legs = capture.legs();
    let (caller, agent) = (&legs[0], &legs[1]);
    let heard = heard_by(&capture, caller, &server);
    let pressed = keys(&said_by(&capture, caller, &server));
    let (all, talk) = (caller.talk(), (agent.talk().0, caller.talk().1));
    let samples = |from, to| heard.samples(from, to);
    // Each text until the key that ends it, and the next from soon after that on.
    assert_sounds(&samples(all.0, pressed[0].0), &[&sound("desk-more-en")]);
    let german = sound("desk-ticket-de");
    assert_sounds(from(&samples(pressed[0].0, pressed[1].0), &german), &[&german]);
    let read_back = ["desk-ticket-de-2", "say-de-4", "say-de-2"].map(sound);
    assert_sounds(from(&samples(pressed[3].0, pressed[4].0), &read_back[0]), &read_back.each_ref().map(Vec::as_slice));
    let waiting = ["desk-waiting-de", "say-de-1", "desk-after-hours-de"].map(sound);
    assert_sounds(from(&samples(pressed[4].0, talk.0), &waiting[0]), &waiting.each_ref().map(Vec::as_slice));
    // He was in the middle of a text. From the agent's first packet on he hears her and nothing else.
    assert!(talk.0 - pressed[4].1 > 2.0, "she answered before the long text: the test proves nothing");
    let first = said_by(&capture, agent, &server).0.iter().find(|p| p.at > talk.0).expect("she talks").at;
    let at_once = heard.tone(AGENT, first + 0.04, first + 1.04);
    assert!(at_once >= 98.0, "her first second was heard in {at_once:.1} % of its frames");
    assert_no_gap(&capture, "the caller", &heard, (all.0, pressed[3].0));
    assert_talk(&capture, &server, (caller, agent), AGENT, talk);
    assert_talk(&capture, &server, (agent, caller), CALLER, agent.talk());
}

/// When each key went down and up again.
fn keys(said: &super::capture::Stream) -> Vec<(f64, f64)> {
    let mut keys: Vec<(u32, f64, f64)> = Vec::new();
    for packet in said.0.iter().filter(|packet| packet.payload_type == 101) {
        match keys.last_mut().filter(|(stamp, ..)| *stamp == packet.timestamp) {
            Some(key) => key.2 = packet.at,
            None => keys.push((packet.timestamp, packet.at, packet.at)),
        }
    }
    assert_eq!(keys.len(), KEYS.len(), "the keys that SIPp pressed: {keys:?}");
    keys.into_iter().map(|(_, down, up)| (down, up)).collect()
}

/// From where the sound begins, which is within half a second: a key counts when it is let go, or at its first packet.
fn from<'a>(samples: &'a [i16], sound: &[i16]) -> &'a [i16] {
    let likeness = |skipped: usize| {
        let rest = &samples[skipped..];
        audio::alike(rest, &sound[..sound.len().min(rest.len())])
    };
    let starts = (0..samples.len().min(25 * audio::FRAME)).step_by(audio::FRAME);
    &samples[starts.max_by(|a, b| likeness(*a).total_cmp(&likeness(*b))).expect("something was heard")..]
}
