//! Keys by other ways than RFC 4733: as tones in the audio, by INFO, and by two ways at once.

use super::audio;
use super::harness::{GENEROUS, Ground, SECOND, talk_for};
use super::peers::Sipp;
use super::server::{SUPPORT, Server, Wishes};
use super::wire::{Wire, ack, invite_for};
use std::net::UdpSocket;
use std::time::Duration;

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

/// Music in which keys lead to more of it.
const LISTENS: &str = "version = 1\nstart = \"hold\"\n[step.hold]\nmusic = true\nfor = \"30s\"\nnext = \"end\"\n\
    keys = { 1 = \"hold\", 2 = \"hold\", 5 = \"hold\" }\n[step.end]\nhang_up = true\n";

/// Packets of keys, as a wire and strange phones make them (RFC 4733 §2.5): key, whether it is its end, timestamp, duration.
const EVENTS: &[&[(u8, bool, u32, u16)]] = &[
    // Its ends are all lost.
    &[(5, false, 1_000, 160), (5, false, 1_000, 320), (5, false, 1_000, 480)],
    // Its end comes six times.
    &[
        (1, false, 20_000, 160),
        (1, false, 20_000, 320),
        (1, true, 20_000, 480),
        (1, true, 20_000, 480),
        (1, true, 20_000, 480),
        (1, true, 20_000, 480),
        (1, true, 20_000, 480),
        (1, true, 20_000, 480),
    ],
    // Another key is pressed before it is let go, and its end is never sent.
    &[
        (5, false, 40_000, 160),
        (5, false, 40_000, 320),
        (2, false, 40_480, 160),
        (2, false, 40_480, 320),
        (2, false, 40_480, 480),
        (2, true, 40_480, 640),
    ],
    // All but its end are lost.
    &[(2, true, 60_000, 800)],
];

#[test]
fn each_key_is_one_whatever_becomes_of_its_packets() {
    let ground = Ground::new("event_keys");
    let more = "[line.keys]\nnumbers = [\"300\"]\nflow = \"keys\"\n".to_owned();
    let flows = vec![("keys", LISTENS.to_owned())];
    let server = Server::start(&ground, &Wishes { more, flows, ..Wishes::agents(&["ada"]) });
    let audio = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let port = audio.local_addr().expect("an address").port();
    let text = invite_for(port, &format!("sip:300@{}", server.sip), "sip:raw@127.0.0.1:9;transport=tcp", "");
    let (head, sdp) = text.split_once("\r\n\r\n").expect("a body");
    let sdp = sdp.replace("RTP/AVP 0", "RTP/AVP 0 101") + "a=rtpmap:101 telephone-event/8000\r\n";
    let head = head.split("Content-Length").next().expect("a head");
    let mut wire = Wire::to(server.sip);
    wire.say(format!("{head}Content-Length: {}\r\n\r\n{sdp}", sdp.len()));
    let ok = wire.until("200");
    wire.say(ack(&ok));
    let to = ok.lines().find_map(|line| line.strip_prefix("m=audio ")).and_then(|line| line.split(' ').next());
    let to: u16 = to.and_then(|port| port.parse().ok()).expect("a port for audio");
    let mut sequence = 0_u16;
    for packets in EVENTS {
        for (key, end, stamp, duration) in *packets {
            sequence += 1;
            let head = [&[0x80, 101], &sequence.to_be_bytes()[..], &stamp.to_be_bytes(), &[7, 7, 7, 7]].concat();
            let packet = [&head[..], &[*key, if *end { 0x8a } else { 10 }], &duration.to_be_bytes()].concat();
            audio.send_to(&packet, ("127.0.0.1", to)).expect("a datagram sent");
            talk_for(Duration::from_millis(20));
        }
        talk_for(SECOND);
    }
    let bye = ack(&ok).replace("ACK", "BYE").replace("CSeq: 1", "CSeq: 2").replace("-ack", "-bye");
    wire.say(bye);
    wire.until("200");
    assert_eq!(keyed(&server).0, 5);
}
