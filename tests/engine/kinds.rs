//! IPv4 and IPv6 in one center: who is told which of our addresses for audio.

use super::{Bench, OFFER, authorization, invite, register};
use tierline::engine::Input;
use tierline::ids::PortId;
use tierline::media::{self, Command};
use tierline::sim::{ENGINE, place};
use tierline::sip::Listener;

const SIX: &str = "[2001:db8::1]:5060";

/// SIP and audio at an address of each kind; or audio at one of IPv4 alone.
fn bench(both: bool) -> Bench {
    let listeners = vec![Listener::udp(ENGINE), Listener::udp(SIX.parse().unwrap())];
    let mut bench = Bench::speaking(place::configuration(1), listeners, both.then(|| "2001:db8::1".parse().unwrap()));
    bench.tell(Input::Restored(Vec::new()));
    bench
}

/// The last port that was asked for is opened: whether it is of IPv6.
fn opens(bench: &mut Bench) -> bool {
    let (port, six) = (*bench.opened.last().expect("a port"), *bench.kinds.last().expect("its kind"));
    let local = if six { "[2001:db8::1]:20000" } else { "192.0.2.1:20000" };
    bench.after(2).tell(Input::Media(media::Event::Opened { port, local: local.parse().unwrap() }));
    six
}

/// The address for audio in the last message.
fn told(bench: &Bench) -> &str {
    let last = bench.sent.last().map_or("", String::as_str);
    last.lines().find_map(|line| line.strip_prefix("c=IN ")).unwrap_or_else(|| last.lines().next().unwrap_or(last))
}

fn offer(kind: &str) -> String {
    OFFER.replace("IN IP4 192.0.2.9", kind)
}

/// What counts is where the caller takes audio, then how SIP comes.
#[test]
fn callers_are_answered_with_an_address_of_their_kind() {
    let (four, six) = ("192.0.2.9:5062", "[2001:db8::9]:5062");
    let (v4, v6) = ("IN IP4 192.0.2.9", "IN IP6 2001:db8::9");
    let rows = [
        (true, four, Some(v4), "IP4 192.0.2.1"),
        (true, four, Some(v6), "IP6 2001:db8::1"),
        (true, six, Some(v6), "IP6 2001:db8::1"),
        (true, six, Some(v4), "IP4 192.0.2.1"),
        (true, six, None, "IP6 2001:db8::1"),
        (true, four, None, "IP4 192.0.2.1"),
        (false, six, Some(v6), "SIP/2.0 488 Not Acceptable Here"),
        (false, six, Some(v4), "IP4 192.0.2.1"),
        (false, six, None, "IP4 192.0.2.1"),
    ];
    for (both, from, offered, expect) in rows {
        let mut bench = bench(both);
        bench.from = from.parse().unwrap();
        let text = invite("b", 1, "sip:guest@192.0.2.9", "");
        let (head, _) = text.split_once("Content-Type").unwrap();
        let body = offered.map(offer).unwrap_or_default();
        let length = body.len() + body.lines().count();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
        bench.datagram(&format!("{head}{kind}Content-Length: {length}\n\n{body}"));
        if !bench.opened.is_empty() {
            opens(&mut bench);
        }
        assert_eq!(told(&bench), expect, "{both} {from} {offered:?}");
    }
}

/// Registers a phone at this address.
fn registers(bench: &mut Bench, number: u32, at: &str, q: &str) {
    bench.from = at.parse().unwrap();
    let contact = format!("sip:1001@{at}");
    let from_phone = |text: String| {
        text.replace("r@192.0.2.9", &format!("r{number}@192.0.2.9"))
            .replace(&format!("<{contact}>"), &format!("<{contact}>;q={q}"))
    };
    bench.after(20).datagram(&from_phone(register(2 * number, &contact, "")));
    let proof = authorization(bench);
    bench.after(20).datagram(&from_phone(register(2 * number + 1, &contact, &proof)));
}

/// His phone of IPv6 is unplugged, the other one is of IPv4: it is rung with a port of its kind, and the first port is closed.
#[test]
fn an_agents_phones_of_both_kinds_are_told_addresses_of_their_kind() {
    for (first, second) in [("[2001:db8::9]:5070", "192.0.2.9:5080"), ("192.0.2.9:5080", "[2001:db8::9]:5070")] {
        let mut bench = bench(true);
        registers(&mut bench, 1, first, "1.0");
        registers(&mut bench, 2, second, "0.1");
        bench.from = "192.0.2.9:5062".parse().unwrap();
        bench.datagram(&invite("b", 1, "sip:guest@192.0.2.9", ""));
        let caller: PortId = *bench.opened.last().unwrap();
        assert!(!opens(&mut bench));
        let digit = media::Event::Digit { port: caller, digit: '2', duration_ms: 40, way: media::Way::Event };
        bench.after(200).tell(Input::Media(digit));
        let mut rung = Vec::new();
        for at in [first, second] {
            let (port, six) = (*bench.opened.last().unwrap(), at.starts_with('['));
            assert_eq!(opens(&mut bench), six, "{at}");
            let invite = bench.sent.last().unwrap();
            assert!(invite.starts_with(&format!("INVITE sip:1001@{at} ")), "{invite}");
            assert_eq!(told(&bench), if six { "IP6 2001:db8::1" } else { "IP4 192.0.2.1" }, "{at}");
            rung.push(port);
            (0..50).for_each(|_| bench.after(100).tell(Input::Timeout));
        }
        let closed = |port: &PortId| bench.told.contains(&Command::Close { port: *port });
        assert!(rung[0] != rung[1] && closed(&rung[0]), "{:?}", bench.told);
    }
}
