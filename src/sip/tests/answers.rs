//! What raw requests are answered, and what raw answers do.

use super::*;
use crate::sip::header::Name;

fn check(text: &str, expect: u16, header: Option<(Name, &str)>) {
    let mut raw = Raw::new(config(HERE));
    let outputs = raw.send(text);
    let response = responses(&outputs).pop().unwrap_or_else(|| panic!("no answer to {text}"));
    assert_eq!(response.status, expect, "{text}");
    assert!(response.headers.to_tag().is_some(), "a final response has a To tag");
    if let Some((name, value)) = header {
        assert_eq!(response.headers.get(&name), Some(value), "{text}");
    }
}

#[test]
fn requests_that_are_not_for_us() {
    let allow = Some((Name::Allow, "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK"));
    let invite = |more: &str, body: &str| ask("INVITE", "1", more, body);
    let unknown_dialog = "To: <sip:100@10.0.0.1>;tag=zz\n";
    let rows = [
        (ask("OPTIONS", "1", "", ""), 200, allow.clone()),
        (ask("NEWMETHOD", "1", "", ""), 501, allow.clone()), // RFC 4475 §3.1.2.18
        (ask("invite", "1", "", ""), 501, allow.clone()),    // Methods compare with case.
        (ask("REGISTER", "1", "", ""), 405, allow.clone()),
        (ask("SUBSCRIBE", "1", "", ""), 405, allow),
        (invite("Require: 100rel, x-new, x-newer\n", ""), 420, Some((Name::Unsupported, "x-new, x-newer"))),
        (invite("Content-Type: text/plain\n", "hello"), 415, Some((Name::Accept, "application/sdp"))),
        (invite("Accept: text/nobodyKnowsThis\n", ""), 406, Some((Name::Accept, "application/sdp"))), // RFC 4475 §3.3.15
        (
            invite("Content-Encoding: gzip\nContent-Type: application/sdp\n", "zz"),
            415,
            Some((Name::AcceptEncoding, "identity")),
        ),
        (invite("", "").replace("INVITE sip:100@10.0.0.1", "INVITE sips:100@10.0.0.1"), 416, None),
        (invite("Max-Forwards: 0\n", "").replace("INVITE sip:100@10.0.0.1", "INVITE sip:100@10.7.7.7"), 483, None),
        (ask("OPTIONS", "1", "Max-Forwards: 0\n", ""), 200, None), // RFC 4475 §3.3.11
        (ask("BYE", "1", "", ""), 481, None),
        (invite("Content-Disposition: session;handling=required\nContent-Type: text/x\n", "x"), 415, None),
        (ask("BYE", "1", unknown_dialog, ""), 481, None),
        (ask("INVITE", "1", unknown_dialog, ""), 481, None),
        (ask("CANCEL", "1", "", ""), 481, None),
        (ask("INFO", "1", "", ""), 481, None),
        (ask("REFER", "1", "r: <sip:a@b>\n", ""), 603, None),
        (invite("Replaces: x;to-tag=1;from-tag=2\n", ""), 481, None),
        (invite("Replaces: x;to-tag=1\n", ""), 400, None),
        (ask("OPTIONS", "1", "Replaces: x;to-tag=1;from-tag=2\n", ""), 400, None),
        (invite("Supported: timer\nSession-Expires: 60\n", ""), 422, Some((Name::MinSe, "90"))),
        (ask("PRACK", "1", "RAck: 1 1 INVITE\n", ""), 481, None),
        (ask("OPTIONS", "1", "", "").replace("CSeq: 1 OPTIONS", "CSeq: 1 INVITE"), 400, None),
    ];
    for (text, expect, header) in rows {
        check(&text, expect, header);
    }
}

#[test]
fn proxy_require_is_for_proxies() {
    let mut raw = Raw::new(config(HERE));
    let outputs = raw.send(&ask("INVITE", "1", "Proxy-Require: x-new\n", ""));
    assert!(statuses(&outputs) == [100] && outputs.len() == 2, "§20.29: {outputs:?}");
}

#[test]
fn a_body_that_need_not_be_understood_is_not() {
    let mut raw = Raw::new(config(HERE));
    let card = "Content-Disposition: icon; handling=optional\nContent-Type: image/png\n";
    let outputs = raw.send(&ask("INVITE", "1", card, "png"));
    assert!(matches!(outputs.last(), Some(Output::Event(Event::Invited { offer: None, .. }))), "{outputs:?}");
}

#[test]
fn responses_go_to_where_the_request_came_from() {
    let via = "Via: SIP/2.0/UDP 10.0.0.2:5062;branch=z9hG4bK1;rport";
    let rows = [
        (via, "203.0.113.9:40000", "203.0.113.9:40000", Some(Some(40000)), true),
        (via, THERE, THERE, Some(Some(5062)), true),
        ("Via: SIP/2.0/UDP 10.0.0.2:5062;branch=z9hG4bK1", "203.0.113.9:40000", "203.0.113.9:5062", None, true),
        ("Via: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK1", "10.0.0.2:40000", "10.0.0.2:5060", None, false),
        ("Via: SIP/2.0/UDP host.example;branch=z9hG4bK1;received=6.6.6.6", THERE, "10.0.0.2:5060", None, true),
    ];
    for (field, from, to, rport, received) in rows {
        let mut raw = Raw::new(config(HERE));
        raw.from = from.parse().unwrap();
        let outputs = raw.send(&ask("OPTIONS", "1", "", "").replace(via, field));
        let Some(Output::Send { flow, bytes }) = outputs.first() else { panic!("no answer to {field}") };
        assert_eq!(flow.remote, to.parse().unwrap(), "{field} from {from}");
        let via = Message::parse(bytes, &Limits::default()).unwrap().headers().top_via().unwrap();
        assert_eq!((via.rport(), via.received()), (rport, received.then(|| raw.from.ip())), "{field} from {from}");
    }
}

#[test]
fn a_repeated_request_is_answered_from_the_transaction() {
    let mut raw = Raw::new(config(HERE));
    let invite = ask("INVITE", "1", SDP, "v=0");
    let first = raw.send(&invite);
    assert_eq!(statuses(&first), [100]);
    assert_eq!(first.iter().filter(|o| matches!(o, Output::Event(Event::Invited { .. }))).count(), 1);
    let again = raw.send(&invite);
    assert!(matches!(&again[..], [Output::Send { .. }]) && statuses(&again) == [100], "{again:?}");
    // The same request on another way (another branch) is merged.
    assert_eq!(statuses(&raw.send(&ask("INVITE", "2", SDP, "v=0"))), [100, 482]);
    let options = ask("OPTIONS", "3", "CSeq: 5 OPTIONS\n", "");
    assert_eq!(raw.send(&options), raw.send(&options));
    let stats = raw.endpoint.stats();
    assert_eq!((stats.retransmissions_received, stats.legs), (2, 1));
}

#[test]
fn peers_of_rfc_2543_have_no_branch() {
    let mut raw = Raw::new(config(HERE));
    let old = |method: &str, more: &str| {
        ask(method, "1", more, "").replace(";branch=z9hG4bK1;rport", "").replace(";tag=b1", "")
    };
    let invite = old("INVITE", "");
    assert_eq!(statuses(&raw.send(&invite)), [100]);
    assert_eq!(statuses(&raw.send(&invite)), [100]);
    let cancelled = raw.send(&old("CANCEL", "CSeq: 1 CANCEL\n"));
    assert_eq!(statuses(&cancelled), [200, 487]);
    let tags: Vec<_> = responses(&cancelled).iter().map(|r| r.headers.to_tag().map(str::to_owned)).collect();
    assert_eq!(tags[0], tags[1], "RFC 3261 §9.2: the same tag in both");
    let tag = responses(&raw.send(&invite))[0].headers.to_tag().unwrap().to_owned();
    let ack = old("ACK", &format!("To: <sip:100@10.0.0.1>;tag={tag}\nCSeq: 1 ACK\n"));
    assert_eq!(raw.send(&ack), []);
    assert_eq!(statuses(&raw.run(40_000)), [0u16; 0], "the ACK was recognized: no more 487");
}

/// Answers a raw INVITE and acknowledges it; returns our tag.
pub(super) fn establish(raw: &mut Raw, more: &str) -> (LegId, String) {
    let outputs = raw.send(&ask("INVITE", "1", &format!("{more}{SDP}"), "v=0"));
    let leg = outputs.iter().find_map(|output| match output {
        Output::Event(Event::Invited { leg, .. }) => Some(*leg),
        _ => None,
    });
    let leg = leg.expect("an invitation");
    let outputs = raw.input(Input::Command(Command::Answer { leg, body: Body::sdp("v=0") }));
    let tag = responses(&outputs)[0].headers.to_tag().unwrap().to_owned();
    let outputs = raw.send(&within(&tag, "ACK", 1, "a"));
    assert!(matches!(&outputs[..], [Output::Event(Event::Established { .. })]), "{outputs:?}");
    (leg, tag)
}

pub(super) fn within(tag: &str, method: &str, cseq: u32, branch: &str) -> String {
    ask(method, branch, &format!("To: <sip:100@10.0.0.1>;tag={tag}\nCSeq: {cseq} {method}\n"), "")
}

#[test]
fn requests_within_a_dialog() {
    let rows = [
        ("OPTIONS", 2, vec![200]),
        ("INFO", 2, vec![200]),
        ("UPDATE", 2, vec![200]),
        ("BYE", 2, vec![200]),
        ("BYE", 0, vec![500]), // Out of order.
        ("INVITE", 2, vec![100]),
        ("REFER", 2, vec![400]), // No Refer-To.
        ("SUBSCRIBE", 2, vec![405]),
    ];
    for (method, cseq, expect) in rows {
        let mut raw = Raw::new(config(HERE));
        let (_, tag) = establish(&mut raw, "");
        assert_eq!(statuses(&raw.send(&within(&tag, method, cseq, "b"))), expect, "{method} {cseq}");
        let other = within(&tag, "BYE", 9, "c").replace("Call-ID: c1", "Call-ID: c2");
        assert_eq!(statuses(&raw.send(&other)), [481]);
    }
}

/// RFC 6086 §4.2.2 and RFC 3261 §8.2.3: what is not understood is said so, and a phone can go on to another way.
#[test]
fn info_is_confirmed_where_it_is_understood() {
    let rows = [
        ("", "", 200, None),
        ("Content-Type: application/dtmf-relay\n", "Signal=5", 200, None),
        ("Content-Type: Application/DTMF; x=y\n", "5", 200, None),
        (
            "Content-Type: audio/telephone-event\n",
            "5",
            415,
            Some((Name::Accept, "application/dtmf-relay, application/dtmf")),
        ),
        ("Content-Type: text/plain\nContent-Disposition: render;handling=optional\n", "5", 200, None),
        ("Info-Package: conference\nContent-Type: application/dtmf\n", "5", 469, Some((Name::from("Recv-Info"), ""))),
    ];
    for (fields, body, expect, field) in rows {
        let mut raw = Raw::new(config(HERE));
        let (_, tag) = establish(&mut raw, "");
        let to = format!("To: <sip:100@10.0.0.1>;tag={tag}\nCSeq: 2 INFO\n{fields}");
        let outputs = raw.send(&ask("INFO", "b", &to, body));
        assert_eq!(statuses(&outputs), [expect], "{fields}");
        let told = outputs.iter().any(|output| matches!(output, Output::Event(Event::Info { .. })));
        assert_eq!(told, expect == 200, "{fields}");
        let has = |(name, value): (Name, &str)| responses(&outputs)[0].headers.get(&name) == Some(value);
        assert!(field.is_none_or(has), "{outputs:?}");
    }
}

/// §16.6 and RFC 3263 §4.3: a proxy that tries the next number, or our next address, after a refusal brings the same
/// Call-ID, tag and CSeq; while the first still rings, or once it is answered, that is a merged request (§8.2.2.2).
#[test]
fn who_was_refused_may_come_again_by_another_branch() {
    for status in [486, 503, 603] {
        let mut raw = Raw::new(config(HERE));
        let outputs = raw.send(&ask("INVITE", "1", SDP, "v=0"));
        let Some(Output::Event(Event::Invited { leg, .. })) = outputs.last() else { panic!("{outputs:?}") };
        assert_eq!(statuses(&raw.send(&ask("INVITE", "2", SDP, "v=0"))), [100, 482], "it rings");
        raw.input(Input::Command(Command::Refuse { leg: *leg, status, headers: Vec::new() }));
        let again = raw.send(&ask("INVITE", "3", SDP, "v=0"));
        assert_eq!(statuses(&again), [100], "{status}");
        assert!(matches!(again.last(), Some(Output::Event(Event::Invited { .. }))), "{again:?}");
    }
    // So may who took his first branch back (a proxy whose timer has run out, RFC 3261 §16.8), before its ACK and after it.
    for acknowledged in [false, true] {
        let mut raw = Raw::new(config(HERE));
        raw.send(&ask("INVITE", "1", SDP, "v=0"));
        assert_eq!(statuses(&raw.send(&ask("CANCEL", "1", "", ""))), [200, 487]);
        if acknowledged {
            raw.send(&ask("ACK", "1", "", ""));
        }
        let again = raw.send(&ask("INVITE", "2", SDP, "v=0"));
        assert_eq!(statuses(&again), [100], "{acknowledged}");
        assert!(matches!(again.last(), Some(Output::Event(Event::Invited { .. }))), "{again:?}");
        assert_eq!(statuses(&raw.send(&ask("INVITE", "3", SDP, "v=0"))), [100, 482], "that one rings");
    }
    let mut raw = Raw::new(config(HERE));
    establish(&mut raw, "");
    assert_eq!(statuses(&raw.send(&ask("CANCEL", "1", "", ""))), [200], "too late");
    assert_eq!(statuses(&raw.send(&ask("INVITE", "3", SDP, "v=0"))), [100, 482], "it is answered");
}

#[test]
fn a_second_offer_before_the_first_is_answered_comes_too_early() {
    let mut raw = Raw::new(config(HERE));
    let (leg, tag) = establish(&mut raw, "");
    assert_eq!(statuses(&raw.send(&within(&tag, "INVITE", 2, "b"))), [100]);
    let second = raw.send(&within(&tag, "INVITE", 3, "c"));
    assert_eq!(statuses(&second), [100, 500]);
    assert!(responses(&second)[1].headers.retry_after().is_some_and(|seconds| seconds <= 10));
    // Cancelled: 487 for the re-INVITE, and the call goes on.
    let cancel = within(&tag, "CANCEL", 2, "b");
    assert_eq!(statuses(&raw.send(&cancel)), [200, 487]);
    assert_eq!(raw.input(Input::Command(Command::AcceptOffer { leg, body: Body::sdp("late") })), []);
    assert_eq!(statuses(&raw.send(&within(&tag, "BYE", 4, "d"))), [200]);
}

#[test]
fn a_reinvite_without_body_asks_for_our_offer() {
    let mut raw = Raw::new(config(HERE));
    let (leg, tag) = establish(&mut raw, "");
    let outputs = raw.send(&within(&tag, "INVITE", 2, "b"));
    assert!(outputs.contains(&Output::Event(Event::Offered { leg, body: None })), "{outputs:?}");
    let outputs = raw.input(Input::Command(Command::AcceptOffer { leg, body: Body::sdp("offer") }));
    assert_eq!((statuses(&outputs), responses(&outputs)[0].body.as_slice()), (vec![200], &b"offer"[..]));
    let ack = within(&tag, "ACK", 2, "c")
        .replace("Content-Length: 0\n\n", "Content-Type: application/sdp\nContent-Length: 6\n\nanswer");
    let answered = Event::OfferAnswered { leg, body: Some(Body::sdp("answer")) };
    assert_eq!(raw.send(&ack), [Output::Event(answered)]);
}

#[test]
fn bye_before_the_answer_ends_the_invite_too() {
    let mut raw = Raw::new(config(HERE));
    let outputs = raw.send(&ask("INVITE", "1", "", ""));
    let Some(Output::Event(Event::Invited { leg, .. })) = outputs.last() else { panic!("{outputs:?}") };
    let ring = Command::Ring { leg: *leg, status: 180, body: None };
    let tag = responses(&raw.input(Input::Command(ring)))[0].headers.to_tag().unwrap().to_owned();
    let outputs = raw.send(&within(&tag, "BYE", 2, "b"));
    assert_eq!(statuses(&outputs), [200, 487]);
    assert!(outputs.contains(&Output::Event(Event::Cancelled { leg: *leg, reason: None })), "{outputs:?}");
}

#[test]
fn route_sets_are_followed() {
    let loose = "Record-Route: <sip:10.0.0.8;lr>, <sip:10.0.0.9:5070;lr>\n";
    let strict = "Record-Route: <sip:10.0.0.8>, <sip:10.0.0.9:5070;lr>\n";
    let target = "sip:bob@10.0.0.2:5062";
    let rows = [
        ("", target, THERE, vec![]),
        (loose, target, "10.0.0.8:5060", vec!["<sip:10.0.0.8;lr>", "<sip:10.0.0.9:5070;lr>"]),
        (strict, "sip:10.0.0.8", "10.0.0.8:5060", vec!["<sip:10.0.0.9:5070;lr>", "<sip:bob@10.0.0.2:5062>"]),
        ("Contact: <sip:bob@10.0.0.77:5099>\n", "sip:bob@10.0.0.77:5099", "10.0.0.77:5099", vec![]),
    ];
    for (more, uri, to, routes) in rows {
        let mut raw = Raw::new(config(HERE));
        let (leg, _) = establish(&mut raw, more);
        let outputs = raw.input(Input::Command(Command::HangUp { leg, reason: None }));
        let Some(Output::Send { flow, .. }) = outputs.first() else { panic!("no BYE with {more}") };
        assert_eq!(flow.remote, to.parse().unwrap(), "{more}");
        let bye = requests(&outputs).into_iter().find(is(Method::Bye)).unwrap();
        assert_eq!(bye.uri.to_string(), uri, "{more}");
        assert_eq!(bye.headers.all(&Name::Route).collect::<Vec<_>>(), routes, "{more}");
    }
}

#[test]
fn a_phone_behind_a_nat_is_reached_over_its_flow() {
    let mut raw = Raw::new(config(HERE));
    raw.from = "203.0.113.9:40000".parse().unwrap();
    let (leg, _) = establish(&mut raw, "");
    let outputs = raw.input(Input::Command(Command::HangUp { leg, reason: None }));
    let Some(Output::Send { flow, .. }) = outputs.first() else { panic!("no BYE") };
    assert_eq!(flow.remote, raw.from);
}

/// Who changes his network in mid-call, or whose NAT forgets him, is found where his re-INVITE or UPDATE has come from.
#[test]
fn a_phone_that_has_moved_to_another_network_is_followed() {
    let over = |connection| {
        let remote = "198.51.100.7:33000".parse().unwrap();
        let transport = if connection == 0 { Transport::Udp } else { Transport::Tcp };
        Flow { listener: 0, transport, remote, connection }
    };
    for (method, connections) in [("INVITE", [0, 0]), ("UPDATE", [0, 0]), ("INVITE", [3, 4]), ("UPDATE", [3, 4])] {
        let mut config = config(HERE);
        config.listeners[0].transport = over(connections[0]).transport;
        let mut raw = Raw::new(config);
        raw.over = Some(Flow { remote: "203.0.113.9:40000".parse().unwrap(), ..over(connections[0]) });
        let (leg, tag) = establish(&mut raw, "");
        let now = over(connections[1]);
        raw.over = Some(now);
        let dialog = format!("To: <sip:100@10.0.0.1>;tag={tag}\nCSeq: 2 {method}\n{SDP}");
        let offered = raw.send(&ask(method, "m", &dialog, "v=1"));
        assert!(offered.iter().any(|output| matches!(output, Output::Event(Event::Offered { .. }))), "{offered:?}");
        raw.input(Input::Command(Command::AcceptOffer { leg, body: Body::sdp("v=0") }));
        raw.send(&within(&tag, "ACK", 2, "n"));
        let outputs = raw.input(Input::Command(Command::HangUp { leg, reason: None }));
        let Some(Output::Send { flow, .. }) = outputs.first() else { panic!("no BYE: {outputs:?}") };
        assert_eq!(*flow, now, "{method} over {connections:?}");
    }
}

/// An INVITE of ours, ready to be answered by raw responses.
pub(super) fn calling(raw: &mut Raw) -> (LegId, Request) {
    let leg = raw.endpoint.next_leg();
    let command = offering(invite_of(leg, &format!("sip:bob@{THERE}"), None), Body::sdp("v=0"));
    let outputs = raw.input(Input::Command(command));
    (leg, requests(&outputs).remove(0))
}

pub(super) fn reply(raw: &mut Raw, request: &Request, status: u16, tag: &str) -> Vec<Output> {
    let mut response = Response::to_request(request, status, Some(tag));
    response.headers.push(Name::Contact, format!("<sip:{tag}@{THERE}>"));
    let bytes = response.to_bytes();
    raw.input(Input::Received { flow: Flow::udp(0, THERE.parse().unwrap()), bytes })
}

#[test]
fn a_fork_answers_twice() {
    let mut raw = Raw::new(config(HERE));
    let (leg, invite) = calling(&mut raw);
    let first = reply(&mut raw, &invite, 200, "one");
    assert!(matches!(&first[1..], [Output::Event(Event::Established { leg: l, .. })] if *l == leg), "{first:?}");
    let second = reply(&mut raw, &invite, 200, "two");
    let sent: Vec<_> = requests(&second).iter().map(|r| (r.method.clone(), r.uri.to_string())).collect();
    let two = format!("sip:two@{THERE}");
    assert_eq!(sent, [(Method::Ack, two.clone()), (Method::Bye, two)]);
    assert_eq!(second.len(), 2, "and no event");
    let again = reply(&mut raw, &invite, 200, "two");
    assert_eq!(requests(&again).iter().map(|r| r.method.clone()).collect::<Vec<_>>(), [Method::Ack]);
    assert_eq!(requests(&reply(&mut raw, &invite, 200, "one"))[0].uri.to_string(), format!("sip:one@{THERE}"));
}

#[test]
fn strangers_cannot_answer_our_requests() {
    let mut raw = Raw::new(config(HERE));
    let (_, invite) = calling(&mut raw);
    let mut forged = invite.clone();
    let mut via = forged.headers.top_via().unwrap();
    let branch = via.branch().unwrap().to_owned();
    let (_, number) = branch.split_once('-').unwrap();
    via.params.set("branch", Some(&format!("z9hG4bK0000000000000000-{number}")));
    forged.headers.set_top_via(&via);
    assert_eq!(reply(&mut raw, &forged, 200, "evil"), []);
    assert_eq!(raw.endpoint.stats().stray_responses, 1);
    assert_eq!(raw.endpoint.pending(), Some("leg l3-1-1 is calling, 1 transactions are open".to_owned()));
}

#[test]
fn a_full_endpoint_refuses_and_options_tell_it() {
    let mut small = config(HERE);
    small.capacity.legs = 1;
    let mut raw = Raw::new(small);
    assert_eq!(statuses(&raw.send(&ask("INVITE", "1", "", ""))), [100]);
    let other = |branch| ask("INVITE", branch, "", "").replace("Call-ID: c1", &format!("Call-ID: {branch}"));
    let outputs = raw.send(&other("2"));
    assert_eq!((statuses(&outputs), responses(&outputs)[1].headers.retry_after()), (vec![100, 503], Some(5)));
    let options = |branch| other(branch).replace("INVITE", "OPTIONS");
    let outputs = raw.send(&options("2o"));
    assert_eq!((statuses(&outputs), responses(&outputs)[0].headers.retry_after()), (vec![503], Some(5)));
    // RFC 3261 §11.2: the code that an INVITE would get.
    let mut raw = Raw::new(config(HERE));
    assert_eq!(statuses(&raw.send(&options("3"))), [200]);
    raw.input(Input::Command(Command::TakesNone { retry_after: Some(30) }));
    let outputs = raw.send(&options("4"));
    assert_eq!((statuses(&outputs), responses(&outputs)[0].headers.retry_after()), (vec![503], Some(30)));
    raw.input(Input::Command(Command::TakesNone { retry_after: None }));
    assert_eq!(statuses(&raw.send(&options("4o"))), [200]);
    let mut small = config(HERE);
    small.capacity.transactions = 1;
    let mut raw = Raw::new(small);
    assert_eq!(statuses(&raw.send(&other("5"))), [100]);
    assert_eq!(statuses(&raw.send(&other("6"))), [503]);
    assert_eq!(raw.endpoint.stats().overloads, 1);
}

#[test]
fn long_messages_take_the_room_of_several() {
    let mut small = config(HERE);
    small.capacity.transactions = 10;
    let mut raw = Raw::new(small);
    let long = "x".repeat(4_000);
    let options = |branch: u32, call_id: &str| {
        ask("OPTIONS", &branch.to_string(), "", "").replace("Call-ID: c1", &format!("Call-ID: {call_id}{branch}"))
    };
    let answers: Vec<_> = (1..=4).map(|branch| statuses(&raw.send(&options(branch, &long)))).collect();
    assert_eq!(answers, [[200], [200], [200], [503]], "10 · 2,048 bytes, of which each takes more than 8,000");
    assert_eq!((statuses(&raw.send(&options(5, "c"))), raw.endpoint.stats().overloads), (vec![503], 2));
    raw.run(33_000);
    assert_eq!(statuses(&raw.send(&options(6, "c"))), [200], "what is forgotten gives its room back");
}

#[test]
fn invented_tags_take_no_room() {
    let mut small = config(HERE);
    small.capacity.transactions = 1;
    let mut raw = Raw::new(small);
    let rows = [("OPTIONS", 481), ("BYE", 481), ("INFO", 481), ("UPDATE", 481), ("NOTIFY", 405), ("OPTIONS", 481)];
    for (method, expect) in rows {
        let outputs = raw.send(&ask(method, "same", "To: <sip:100@10.0.0.1>;tag=invented\n", ""));
        assert_eq!(statuses(&outputs), [expect], "{method}");
        assert_eq!(responses(&outputs)[0].headers.to_tag(), Some("invented"), "{method}");
    }
    let stats = raw.endpoint.stats();
    assert_eq!((stats.transactions, stats.overloads, stats.responses_sent["OPTIONS 481"]), (0, 0, 2));
    assert_eq!(statuses(&raw.send(&ask("INVITE", "7", "To: <sip:100@10.0.0.1>;tag=invented\n", ""))), [100, 481]);
    assert_eq!(raw.endpoint.stats().transactions, 1, "a refused INVITE is repeated until its ACK");
}

#[test]
fn noise_is_counted_and_never_answered_twice() {
    let mut raw = Raw::new(config(HERE));
    assert_eq!(raw.send("\n\n"), []);
    assert_eq!(raw.send("hello"), []);
    assert_eq!(raw.send("SIP/2.0 200 OK\n\n"), []);
    assert_eq!(raw.send(&within("zz", "ACK", 1, "a")), []);
    let stats = raw.endpoint.stats();
    assert_eq!(stats.refusals.values().sum::<u64>(), 2, "{stats:?}");
    assert_eq!((stats.stray_acks, raw.endpoint.deadline()), (1, None));
}

/// RFC 7616 §3.7 and RFC 8760 §2.4: of several challenges the first one that we know is answered, wherever it stands.
#[test]
fn of_several_challenges_the_first_that_we_know_is_answered() {
    const UNKNOWN: &str = "Digest realm=\"carrier\", qop=\"auth\", algorithm=SHA-512-256, nonce=\"n0\", userhash=true";
    let known = |algorithm| digest::Challenge::new("carrier", "n1", algorithm).to_string();
    let (md5, sha) = (known(digest::Algorithm::Md5), known(digest::Algorithm::Sha256));
    let auth_int = md5.replace("\"auth\"", "\"auth-int\"");
    let rows: &[(&[&str], Option<&str>)] = &[
        (&[&md5], Some("algorithm=MD5")),
        (&[UNKNOWN, &md5], Some("algorithm=MD5")),
        (&[UNKNOWN, "Basic realm=\"carrier\"", &sha, &md5], Some("algorithm=SHA-256")),
        (&[&auth_int, &sha], Some("algorithm=SHA-256")),
        (&[UNKNOWN], None),
        (&["Digest nonsense", &auth_int], None),
    ];
    for (challenges, expect) in rows {
        let mut raw = Raw::new(config(HERE));
        let invite = call_bob(&mut raw);
        let mut response = Response::to_request(&invite, 401, Some("one"));
        challenges.iter().for_each(|value| response.headers.push(Name::WwwAuthenticate, *value));
        let flow = Flow::udp(0, THERE.parse().unwrap());
        let outputs = raw.input(Input::Received { flow, bytes: response.to_bytes() });
        let again = requests(&outputs).into_iter().find(is(Method::Invite));
        let proof = again.as_ref().and_then(|again| again.headers.get(&Name::Authorization));
        assert_eq!(proof.is_some(), expect.is_some(), "{challenges:?}");
        assert!(expect.is_none_or(|part| proof.unwrap().contains(part)), "{challenges:?}: {proof:?}");
        let failed = outputs.iter().any(|o| matches!(o, Output::Event(Event::Failed { status: 401, .. })));
        assert_eq!(failed, expect.is_none(), "{challenges:?}");
    }
}

/// A phone that answers with an algorithm that we did not offer is asked again, not told that it is broken.
#[test]
fn credentials_of_another_kind_are_asked_for_again() {
    let mut raw = Raw::new(Config { users: ["1001".to_owned()].into(), ..config(HERE) });
    for (branch, credentials, expect) in [
        (
            "a",
            "Digest username=\"x\", realm=\"test\", uri=\"sip:a\", algorithm=SHA-512-256, nonce=\"n\", response=\"0\", userhash=true",
            401,
        ),
        (
            "b",
            "Digest username=\"x\", realm=\"test\", uri=\"sip:a\", nonce=\"n\", qop=auth-int, nc=00000001, cnonce=\"c\", response=\"0\"",
            401,
        ),
        ("c", "Digest username=\"x\"", 400),
    ] {
        let fields = format!("To: <sip:1001@10.0.0.1>\nCall-ID: {branch}\nAuthorization: {credentials}\n");
        let text = ask("REGISTER", branch, &fields, "").replace("Call-ID: c1\n", "");
        assert_eq!(statuses(&raw.send(&text)), [expect], "{credentials}");
    }
    assert_eq!(raw.endpoint.stats().bans, [Bans::default(); 2]);
    assert_eq!(raw.endpoint.stats().auth_failures.get("wrong"), None);
}

#[test]
fn a_carrier_may_ask_for_proof_within_the_call() {
    let mut raw = Raw::new(config(HERE));
    let leg = raw.endpoint.next_leg();
    let command = Command::Invite {
        leg,
        uri: Uri::parse(&format!("sip:bob@{THERE}")).unwrap(),
        flow: None,
        from: address("<sip:100@10.0.0.1>"),
        to: address("<sip:bob@10.0.0.2>"),
        offer: Some(Body::sdp("v=0")),
        headers: vec![("X-Bad".into(), "a\r\nVia: b".into()), ("X-Good".into(), "g".into())],
        account: Some(account("100")),
        listener: None,
    };
    let invite = requests(&raw.input(Input::Command(command))).remove(0);
    assert!(invite.headers.has(&Name::from("X-Good")) && !invite.headers.has(&Name::from("X-Bad")));
    let first = reply(&mut raw, &invite, 200, "one");
    assert!(matches!(first.last(), Some(Output::Event(Event::Established { .. }))), "{first:?}");
    let ask = |raw: &mut Raw, request: &Request, status: u16, stale: bool| {
        let mut challenge = digest::Challenge::new("carrier", "n1", digest::Algorithm::Md5);
        challenge.stale = stale;
        let mut response = Response::to_request(request, status, Some("one"));
        let name = if status == 401 { Name::WwwAuthenticate } else { Name::ProxyAuthenticate };
        response.headers.push(name, challenge.to_string());
        raw.input(Input::Received { flow: Flow::udp(0, THERE.parse().unwrap()), bytes: response.to_bytes() })
    };
    let outputs = raw.input(Input::Command(Command::Reoffer { leg, body: Body::sdp("hold") }));
    let second = ask(&mut raw, &requests(&outputs)[0], 407, false);
    let again = requests(&second).into_iter().find(is(Method::Invite)).expect("a second try");
    assert!(again.headers.has(&Name::ProxyAuthorization) && again.headers.cseq().unwrap().number == 3);
    assert_eq!(again.body, b"hold");
    // Refused with credentials: not tried again, except that the nonce was stale.
    let third = ask(&mut raw, &again, 407, true);
    let again = requests(&third).into_iter().find(is(Method::Invite)).expect("a third try");
    let last = ask(&mut raw, &again, 407, false);
    assert!(last.contains(&Output::Event(Event::OfferRefused { leg, status: 407 })), "{last:?}");
    let outputs = raw.input(Input::Command(Command::HangUp { leg, reason: None }));
    let bye = requests(&outputs).remove(0);
    assert_eq!((bye.method.clone(), bye.headers.cseq().unwrap().number), (Method::Bye, 5));
    let outputs = ask(&mut raw, &bye, 401, false);
    assert!(requests(&outputs)[0].headers.has(&Name::Authorization), "the BYE is proven as well");
}

/// RFC 3665 §3.3: each of two proxies wants a proof of its own realm, and both get theirs, with a count that they have not
/// seen; so does the called side. Who refuses a proof is not given another.
#[test]
fn two_proxies_each_get_their_proof() {
    let mut raw = Raw::new(config(HERE));
    let ask = |raw: &mut Raw, request: &Request, status: u16, wants: &[(Name, &str)]| {
        let mut response = Response::to_request(request, status, Some("one"));
        for (name, realm) in wants {
            let challenge = digest::Challenge::new(realm, "n1", digest::Algorithm::Md5);
            response.headers.push(name.clone(), challenge.to_string());
        }
        raw.input(Input::Received { flow: Flow::udp(0, THERE.parse().unwrap()), bytes: response.to_bytes() })
    };
    let again = |outputs: &[Output]| requests(outputs).into_iter().find(is(Method::Invite)).expect("another try");
    let proofs = |request: &Request| {
        let fields = [Name::Authorization, Name::ProxyAuthorization].map(|name| {
            let proofs = request.headers.all(&name).map(|field| digest::Credentials::parse(field).unwrap());
            proofs.map(|proof| format!("{} {}", proof.realm, proof.qop_auth.unwrap().0)).collect::<Vec<_>>()
        });
        fields.map(|proofs| proofs.join(", "))
    };
    let (proxy, callee) = (|realm| (Name::ProxyAuthenticate, realm), (Name::WwwAuthenticate, "callee"));
    let first = call_bob(&mut raw);
    let second = again(&ask(&mut raw, &first, 407, &[proxy("edge")]));
    assert_eq!(proofs(&second), ["", "edge 1"]);
    let third = again(&ask(&mut raw, &second, 407, &[proxy("carrier")]));
    assert_eq!(proofs(&third), ["", "edge 2, carrier 1"]);
    let fourth = again(&ask(&mut raw, &third, 401, std::slice::from_ref(&callee)));
    assert_eq!(proofs(&fourth), ["callee 1", "edge 3, carrier 2"]);
    let acks = requests(&reply(&mut raw, &fourth, 200, "one"));
    let ack = acks.into_iter().find(is(Method::Ack)).expect("an ACK");
    assert_eq!(proofs(&ack), proofs(&fourth), "RFC 3261 §22.1");

    // What a proxy has gathered of several (§16.7) is answered at once.
    let mut raw = Raw::new(config(HERE));
    let wants = [proxy("edge"), callee, proxy("carrier"), proxy("edge")];
    let first = call_bob(&mut raw);
    let second = again(&ask(&mut raw, &first, 407, &wants));
    assert_eq!(proofs(&second), ["callee 1", "edge 1, carrier 1"]);
    let refused = ask(&mut raw, &second, 407, &wants[..1]);
    assert!(refused.iter().any(|o| matches!(o, Output::Event(Event::Failed { status: 407, .. }))), "{refused:?}");
}

fn call_bob(raw: &mut Raw) -> Request {
    let leg = raw.endpoint.next_leg();
    let command = Command::Invite {
        leg,
        uri: Uri::parse(&format!("sip:bob@{THERE}")).unwrap(),
        flow: None,
        from: address("<sip:100@10.0.0.1>"),
        to: address("<sip:bob@10.0.0.2>"),
        offer: Some(Body::sdp("v=0")),
        headers: vec![],
        account: Some(account("100")),
        listener: None,
    };
    requests(&raw.input(Input::Command(command))).remove(0)
}

/// RFC 3261 §17.1.3: the method in CSeq must be the request's; the branch alone is not enough.
#[test]
fn a_response_of_another_method_is_nobody_s() {
    let mut raw = Raw::new(config(HERE));
    let invite = call_bob(&mut raw);
    let mut response = Response::to_request(&invite, 200, Some("x"));
    response.headers.set(Name::CSeq, "1 OPTIONS");
    let flow = Flow::udp(0, THERE.parse().unwrap());
    assert_eq!(raw.input(Input::Received { flow, bytes: response.to_bytes() }), []);
    assert_eq!(raw.endpoint.stats().stray_responses, 1);
}

/// RFC 3261 §22.1: the ACK of a 2xx carries the credentials of its INVITE.
#[test]
fn an_ack_carries_the_credentials_of_its_invite() {
    for (status, asks, answers) in
        [(401, Name::WwwAuthenticate, Name::Authorization), (407, Name::ProxyAuthenticate, Name::ProxyAuthorization)]
    {
        let mut raw = Raw::new(config(HERE));
        let invite = call_bob(&mut raw);
        let mut refusal = Response::to_request(&invite, status, Some("x"));
        refusal.headers.push(asks, digest::Challenge::new("carrier", "n", digest::Algorithm::Md5).to_string());
        let flow = Flow::udp(0, THERE.parse().unwrap());
        let outputs = raw.input(Input::Received { flow, bytes: refusal.to_bytes() });
        let second = requests(&outputs).into_iter().find(is(Method::Invite)).expect("a second try");
        let acks = requests(&reply(&mut raw, &second, 200, "one"));
        let ack = acks.into_iter().find(is(Method::Ack)).expect("an ACK");
        assert_eq!(ack.headers.get(&answers), second.headers.get(&answers));
        assert!(ack.headers.has(&answers));
    }
}

/// RFC 3261 §12.1.1: the 2xx repeats the Record-Route fields as they came.
#[test]
fn the_2xx_repeats_the_route_that_was_recorded() {
    let mut raw = Raw::new(config(HERE));
    let routes = ["<sip:p2@10.0.0.9;lr>", "<sip:p1@10.0.0.8;lr>"];
    let fields = format!("Record-Route: {}\nRecord-Route: {}\n{SDP}", routes[0], routes[1]);
    let outputs = raw.send(&ask("INVITE", "rr", &fields, "offer"));
    let leg = outputs.iter().find_map(|output| match output {
        Output::Event(Event::Invited { leg, .. }) => Some(*leg),
        _ => None,
    });
    let leg = leg.expect("a call");
    let answer = Command::Answer { leg, body: Body::sdp("answer") };
    let response = responses(&raw.input(Input::Command(answer))).pop().expect("a 200");
    assert_eq!(response.headers.all(&Name::RecordRoute).collect::<Vec<_>>(), routes);
}

/// RFC 3891 §3: a peer without a tag is named by `0`; and whoever is being hung up on is replaced no more.
#[test]
fn replaces_of_a_peer_without_tag_and_of_a_call_that_is_ending() {
    for (has_tag, from_tag, leaves, expect) in [
        (true, "b1", false, None),
        (false, "0", false, None),
        (true, "0", false, Some(481)),
        (true, "b1", true, Some(603)),
    ] {
        let mut raw = Raw::new(config(HERE));
        let first = ask("INVITE", "one", SDP, "offer");
        let outputs = raw.send(&if has_tag { first } else { first.replace(";tag=b1", "") });
        let leg = outputs.iter().find_map(|output| match output {
            Output::Event(Event::Invited { leg, .. }) => Some(*leg),
            _ => None,
        });
        let leg = leg.expect("a call");
        let answer = Command::Answer { leg, body: Body::sdp("answer") };
        let response = responses(&raw.input(Input::Command(answer))).pop().expect("a 200");
        let tag = response.headers.to_tag().expect("our tag").to_owned();
        if leaves {
            raw.input(Input::Command(Command::HangUp { leg, reason: None }));
        }
        let fields = format!("Replaces: c1;to-tag={tag};from-tag={from_tag}\nRequire: replaces\n{SDP}");
        let second = ask("INVITE", "two", &fields, "offer").replace("Call-ID: c1", "Call-ID: c2");
        let outputs = raw.send(&second);
        let replaced = outputs.iter().find_map(|output| match output {
            Output::Event(Event::Invited { replaces, .. }) => *replaces,
            _ => None,
        });
        assert_eq!(replaced, Some(leg).filter(|_| expect.is_none()), "{has_tag} {from_tag} {leaves}");
        assert_eq!(
            statuses(&outputs).into_iter().find(|status| *status >= 300),
            expect,
            "{has_tag} {from_tag} {leaves}"
        );
    }
}
