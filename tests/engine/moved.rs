//! Peers who change their network in mid-call: the next start knows where they went.

use super::{Bench, OFFER, invite, open};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use tierline::engine::Input;
use tierline::event::{Event, What};
use tierline::log::{self, OpenChange};
use tierline::sim::{ENGINE, place};
use tierline::sip::Listener;
use tierline::time::Wall;

const ELSEWHERE: &str = "198.51.100.7:33000";

/// A caller who talks with the line; the fields of his dialog.
fn talking() -> (Bench, String) {
    let mut bench = Bench::new();
    bench.datagram(&invite("b", 1, "sip:guest@192.0.2.9", ""));
    open(&mut bench);
    let answer = bench.sent.last().expect("an answer").clone();
    let to = answer.lines().find(|line| line.starts_with("To:")).expect("a To");
    let dialog = format!("From: <sip:guest@192.0.2.9>;tag=b\n{to}\nCall-ID: b@192.0.2.9\nMax-Forwards: 70\n");
    bench.after(20).datagram(&request(("ACK", 1), "192.0.2.9:5062", &dialog, ""));
    (bench, dialog)
}

/// What he sends from `at`.
fn request((method, number): (&str, u32), at: &str, dialog: &str, body: &str) -> String {
    let length = body.len() + body.lines().count();
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
    format!(
        "{method} sip:100@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{method}{number};rport\n\
         CSeq: {number} {method}\nContact: <sip:guest@{at}>\n{dialog}{kind}Content-Length: {length}\n\n{body}"
    )
}

/// What is open in the log of a start, as the next one is told.
fn open_after(bench: &Bench) -> Vec<(Event, Option<String>)> {
    let call = bench.engine.calls().next().map(|call| call.id);
    let mut open = BTreeMap::new();
    for (seq, what) in (1..).zip(&bench.events) {
        let text = what.personal().and_then(|personal| personal.text.as_deref().map(str::to_owned));
        let event = Event { seq, at: Wall(0), call, what: what.clone() };
        for change in log::open_changes(&event) {
            match change {
                OpenChange::Open(key) => drop(open.insert(key, (event.clone(), text.clone()))),
                OpenChange::Close(key) => drop(open.remove(&key)),
            }
        }
    }
    let mut open: Vec<_> = open.into_values().collect();
    open.sort_by_key(|(event, _): &(Event, _)| event.seq);
    open
}

#[test]
fn the_next_start_says_goodbye_where_the_peer_went() {
    for (method, body, moves) in
        [("INVITE", OFFER, true), ("UPDATE", OFFER, true), ("UPDATE", "", true), ("", "", false)]
    {
        let (mut bench, dialog) = talking();
        if moves {
            bench.from = ELSEWHERE.parse().unwrap();
            bench.after(1_000).datagram(&request((method, 2), ELSEWHERE, &dialog, body));
        }
        let mut next = Bench::unopened(place::configuration(1), vec![Listener::udp(ENGINE)]);
        next.tell(Input::Restored(open_after(&bench)));
        let expect: SocketAddr = if moves { ELSEWHERE } else { "192.0.2.9:5062" }.parse().unwrap();
        let byes = next.sent.iter().zip(&next.went).filter(|(sent, _)| sent.starts_with("BYE"));
        assert_eq!(byes.map(|(_, to)| *to).collect::<Vec<_>>(), [expect], "{method} {body}: {:?}", next.sent);
    }
}

/// Nobody fills the log by moving.
#[test]
fn who_moves_without_end_is_written_down_now_and_then() {
    let (mut bench, dialog) = talking();
    for number in 2..102 {
        let at = format!("198.51.100.7:{}", 33_000 + number);
        bench.from = at.parse().unwrap();
        bench.after(10).datagram(&request(("UPDATE", number), &at, &dialog, ""));
    }
    assert_eq!(bench.count(|what| matches!(what, What::LegMoved { .. })), 16);
    // Who stays where he is, is not written down again.
    let at = bench.from.to_string();
    bench.after(600_000).datagram(&request(("UPDATE", 200), &at, &dialog, ""));
    bench.after(20).datagram(&request(("UPDATE", 201), &at, &dialog, ""));
    assert_eq!(bench.count(|what| matches!(what, What::LegMoved { .. })), 16, "he was there before");
}
