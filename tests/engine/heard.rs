//! How a leg was heard, as its plane tells it when the port is closed.

use super::{Bench, call, invite};
use tierline::engine::Input;
use tierline::event::{Audio, Party, What};
use tierline::ids::PortId;
use tierline::media::{Event, PortStats, Quality};

fn heard(bench: &Bench) -> Vec<(Party, Audio)> {
    let audio = |what: &What| match what {
        What::LegHeard { party, audio, .. } => Some((*party, audio.clone())),
        _ => None,
    };
    bench.events.iter().filter_map(audio).collect()
}

/// The caller's BYE, and what his port's plane has counted.
fn bye(bench: &mut Bench, port: PortId, stats: PortStats) {
    let answer = bench.sent.last().expect("an answer").clone();
    let to = answer.lines().find(|line| line.starts_with("To:")).expect("a To");
    let rest = format!("From: <sip:guest@192.0.2.9>;tag=b\n{to}\nCall-ID: b@192.0.2.9\nMax-Forwards: 70\n");
    for (method, number) in [("ACK", 1), ("BYE", 2)] {
        bench.after(20).datagram(&format!(
            "{method} sip:100@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9:5062;branch=z9hG4bK{method};rport\n\
             CSeq: {number} {method}\n{rest}Content-Length: 0\n\n"
        ));
    }
    assert_eq!(bench.count(|what| matches!(what, What::CallEnded { .. })), 1);
    assert_eq!(heard(bench), [], "the plane has not told yet");
    bench.after(2).tell(Input::Media(Event::Closed { port, stats }));
}

/// The call has ended by then, and its numbers are told all the same: in its name, once.
#[test]
fn how_a_leg_was_heard_is_told_when_its_port_is_closed() {
    let mut bench = Bench::new();
    let port = call(&mut bench);
    let quality = Quality { round_trip_us: Some(21_400), peer_lost: 3, peer_jitter: 24, one_way: true };
    let stats = PortStats {
        packets_in: 1_204,
        packets_out: 1_210,
        dropped: 1,
        lost: 4,
        jitter: 32,
        concealed: 2,
        quiet_ms: 12_345,
        quality,
        ..PortStats::default()
    };
    bye(&mut bench, port, stats);
    let audio = Audio {
        codec: "PCMU".to_owned(),
        encrypted: false,
        packets_in: 1_204,
        packets_out: 1_210,
        dropped: 1,
        lost: 4,
        jitter_ms: 4,
        round_trip_us: Some(21_400),
        peer_lost: 3,
        peer_jitter_ms: 3,
        concealed: 2,
        one_way: true,
        quiet_ms: 12_345,
    };
    assert_eq!(heard(&bench), [(Party::Caller, audio)]);
    bench.after(2).tell(Input::Media(Event::Closed { port, stats }));
    assert_eq!(heard(&bench).len(), 1);
    assert_eq!(bench.engine.pending(), None);
}

/// Who was connected is told of though nothing came and went; of who was not there is nothing to tell.
#[test]
fn who_was_connected_is_told_of_though_nothing_was_heard() {
    let mut bench = Bench::new();
    let port = call(&mut bench);
    bye(&mut bench, port, PortStats::default());
    let told: Vec<String> = heard(&bench).iter().map(|(_, audio)| audio.to_string()).collect();
    assert_eq!(told, ["no audio came or went"]);

    let mut bench = Bench::new();
    bench.datagram(&invite("b", 1, "sip:guest@192.0.2.9", ""));
    let port = *bench.opened.last().expect("a port");
    bench.after(2).datagram(
        "CANCEL sip:100@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9:5062;branch=z9hG4bKib1;rport\nCSeq: 1 CANCEL\n\
         From: <sip:guest@192.0.2.9>;tag=b\nTo: <sip:100@192.0.2.1>\nCall-ID: b@192.0.2.9\nMax-Forwards: 70\n\
         Content-Length: 0\n\n",
    );
    bench.after(2).tell(Input::Media(Event::Closed { port, stats: PortStats::default() }));
    assert_eq!((bench.count(|what| matches!(what, What::CallEnded { .. })), heard(&bench)), (1, vec![]));
}
