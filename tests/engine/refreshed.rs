//! Sessions that are refreshed by us, and what the answer says.

use super::{Bench, MS, OFFER, invite, open};
use tierline::engine::Input;
use tierline::media;

/// A caller who knows session timers and takes no UPDATE, one second after our refresh; its answer with this port for audio.
fn refreshed(port: &str) -> (Bench, String) {
    let mut bench = Bench::new();
    let fields = "Supported: timer\nSession-Expires: 90\nAllow: INVITE, ACK, BYE, CANCEL\n";
    bench.datagram(&invite("b", 1, "sip:guest@192.0.2.9", fields));
    open(&mut bench);
    let answer = bench.sent.last().expect("an answer").clone();
    let to = answer.lines().find(|line| line.starts_with("To:")).expect("a To");
    bench.after(20).datagram(&format!(
        "ACK sip:100@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9:5062;branch=z9hG4bKa;rport\nCSeq: 1 ACK\n\
         From: <sip:guest@192.0.2.9>;tag=b\n{to}\nCall-ID: b@192.0.2.9\nMax-Forwards: 70\nContent-Length: 0\n\n"
    ));
    while !bench.sent.last().is_some_and(|sent| sent.starts_with("INVITE")) {
        assert!(bench.now.0 < 60_000 * MS, "no refresh: {:?}", bench.sent.last());
        bench.after(1_000).tell(Input::Timeout);
    }
    let invite = bench.sent.last().expect("a refresh").clone();
    let copied = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
    let fields = invite.lines().filter(|line| copied.iter().any(|name| line.starts_with(name)));
    let fields: String = fields.map(|line| format!("{line}\n")).collect();
    let body = OFFER.replace("4000", port);
    let length = body.len() + body.lines().count();
    let answer = format!(
        "SIP/2.0 200 OK\n{fields}Contact: <sip:guest@192.0.2.9:5062>\nRequire: timer\n\
         Session-Expires: 90;refresher=uac\nContent-Type: application/sdp\nContent-Length: {length}\n\n{body}"
    );
    (bench, answer)
}

/// RFC 3264 §8: whoever answers our refresh may have moved. Who has not is left as he is.
#[test]
fn the_answer_to_our_refresh_counts() {
    for (port, expect) in [("4000", None), ("4010", Some(4010))] {
        let (mut bench, answer) = refreshed(port);
        bench.told.clear();
        bench.after(20).datagram(&answer);
        let connected = bench.told.iter().find_map(|command| match command {
            media::Command::Connect { session, .. } => Some(session.remote.port()),
            _ => None,
        });
        assert_eq!(connected, expect, "{:?}", bench.told);
        assert!(bench.sent.last().is_some_and(|sent| sent.starts_with("ACK")));
    }
}
