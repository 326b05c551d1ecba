//! Keys by other ways than RFC 4733: as tones in the audio, by INFO, and by two ways at once.

use super::audio;
use super::harness::{GENEROUS, Ground};
use super::peers::Sipp;
use super::server::{SUPPORT, Server, Wishes};

/// The keys that the log knows of the only call, and how far it came.
fn keyed(server: &Server) -> (usize, String) {
    let call = server.wait_ended(1, GENEROUS).remove(0);
    let id = call["call"].as_str().or(call["id"].as_str()).unwrap_or_else(|| panic!("no id: {call}"));
    let events = server.tierline(&["calls", id, "--json"]);
    (events.matches("DigitKeyed").count(), call["phase"].as_str().unwrap_or_default().to_owned())
}

/// `1` as a phone makes it: 697 and 1209 Hz (ITU-T Q.23).
fn tones_of_1(seconds: f64) -> Vec<i16> {
    let (low, high) = (audio::tone(697.0, seconds), audio::tone(1209.0, seconds));
    low.iter().zip(&high).map(|(a, b)| a / 2 + b / 2).collect()
}

#[test]
fn tones_in_the_audio_are_a_key_where_events_are_not_agreed() {
    let ground = Ground::new("inband_key");
    let server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let samples = [vec![0; 24_000], tones_of_1(0.1), vec![0; 400_000]].concat();
    let caller = Sipp {
        scenario: "caller_without_events",
        number: SUPPORT,
        speech: Some(&samples),
        seconds: 6.0,
        ..Sipp::default()
    };
    assert_eq!(caller.start(&ground, &server).wait(GENEROUS), 0, "SIPp is not content");
    assert_eq!(keyed(&server), (1, "Queued".to_owned()));
}

#[test]
fn the_same_tones_are_no_key_where_events_are_agreed() {
    let ground = Ground::new("inband_no_key");
    let server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let samples = [vec![0; 24_000], tones_of_1(0.1), vec![0; 400_000]].concat();
    let caller = Sipp { number: SUPPORT, speech: Some(&samples), seconds: 6.0, ..Sipp::default() };
    assert_eq!(caller.start(&ground, &server).wait(GENEROUS), 0, "SIPp is not content");
    assert_eq!(keyed(&server).0, 0);
}

#[test]
fn info_is_a_key_and_beside_an_event_the_same_one() {
    for (name, scenario) in [("info_key", "caller_informs"), ("info_and_event", "caller_informs_twice")] {
        let ground = Ground::new(name);
        let server = Server::start(&ground, &Wishes::agents(&["ada"]));
        let caller = Sipp { scenario, number: SUPPORT, seconds: 2.0, ..Sipp::default() };
        assert_eq!(caller.start(&ground, &server).wait(GENEROUS), 0, "{scenario}: SIPp is not content");
        assert_eq!(keyed(&server), (1, "Queued".to_owned()), "{scenario}");
    }
}
