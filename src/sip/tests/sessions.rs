//! Session timers (RFC 4028) on both sides, hours in milliseconds.

use super::answers::{calling, establish, reply, within};
use super::*;
use crate::sip::header::Name;

/// Lets `ms` pass and returns the methods and Session-Expires of the requests that were sent.
fn sent(raw: &mut Raw, ms: u64) -> Vec<(String, String)> {
    let outputs = raw.run(ms);
    let expires = |request: &Request| request.headers.get(&Name::SessionExpires).unwrap_or_default().to_owned();
    requests(&outputs).iter().map(|request| (request.method.to_string(), expires(request))).collect()
}

#[test]
fn two_of_us_refresh_with_update_until_one_is_gone() {
    let mut pair = Pair::new();
    let (caller, _) = pair.call();
    pair.run(899_000);
    assert_eq!(pair.take_ladder(), [""; 0]);
    pair.run(2_000);
    assert_eq!(pair.take_ladder(), ["< UPDATE", "> 200 UPDATE"], "half of 1,800 s; the called one refreshes");
    pair.run(9_000_000);
    assert_eq!(pair.take_ladder().len(), 20, "every 900 s");
    assert!(pair.events.iter().all(Vec::is_empty), "and nobody is told");
    // The called one vanishes: the caller notices.
    pair.loss = Box::new(|_, _| true);
    pair.run(1_770_000);
    assert_eq!(pair.take_events(0), [Event::Ended { leg: caller, reason: None, why: EndCause::Expired }]);
    let ladder = pair.take_ladder();
    assert!(ladder.contains(&"x> BYE".to_owned()), "{ladder:?}");
    pair.run(100_000);
    pair.assert_quiet();
}

#[test]
fn what_a_caller_asks_for_and_gets() {
    // Fields of the INVITE; Session-Expires and Require of the 2xx; what we send when, in seconds after it.
    type Row = (&'static str, Option<&'static str>, bool, &'static [(u64, &'static str)]);
    let rows: [Row; 9] = [
        ("", None, false, &[(90_000, "")]),
        ("Supported: timer\n", Some("1800;refresher=uas"), false, &[(899, ""), (901, "INVITE")]),
        ("Supported: timer\nAllow: UPDATE\n", Some("1800;refresher=uas"), false, &[(899, ""), (901, "UPDATE")]),
        ("k: timer\nx: 300\n", Some("300;refresher=uas"), false, &[(149, ""), (151, "INVITE")]),
        (
            "Supported: timer\nSession-Expires: 300;refresher=uas\n",
            Some("300;refresher=uas"),
            false,
            &[(151, "INVITE")],
        ),
        (
            "Supported: timer\nSession-Expires: 300 ; Refresher = UAC\n",
            Some("300;refresher=uac"),
            true,
            &[(267, ""), (269, "BYE")],
        ),
        (
            "Require: timer\nSession-Expires: 90;refresher=uac\n",
            Some("90;refresher=uac"),
            true,
            &[(59, ""), (61, "BYE")],
        ),
        ("Session-Expires: 300;refresher=uac\n", Some("300;refresher=uas"), false, &[(151, "INVITE")]),
        (
            "Supported: timer\nSession-Expires: 7200\nMin-SE: 3600\n",
            Some("3600;refresher=uas"),
            false,
            &[(1_799, ""), (1_801, "INVITE")],
        ),
    ];
    for (more, expires, required, steps) in rows {
        let mut raw = Raw::new(config(HERE));
        let outputs = raw.send(&ask("INVITE", "1", &format!("{more}{SDP}"), "v=0"));
        let Some(Output::Event(Event::Invited { leg, .. })) = outputs.last() else { panic!("{outputs:?}") };
        let outputs = raw.input(Input::Command(Command::Answer { leg: *leg, body: Body::sdp("ours") }));
        let response = responses(&outputs).remove(0);
        assert_eq!(response.headers.get(&Name::SessionExpires), expires, "{more}");
        assert_eq!(response.headers.lists(&Name::Require, "timer"), required, "{more}");
        let start = raw.now;
        raw.send(&within(response.headers.to_tag().unwrap(), "ACK", 1, "a"));
        for (seconds, method) in steps {
            let left = seconds * 1000 - u64::try_from(raw.now.since(start).as_millis()).unwrap();
            let methods = sent(&mut raw, left);
            let first = methods.first().map_or("", |(method, _)| method);
            assert_eq!(first, *method, "{more} after {seconds} s");
        }
    }
}

/// A call of a peer that knows timers and UPDATE, just before our first refresh; our leg.
fn before_refresh(raw: &mut Raw, more: &str) -> LegId {
    let (leg, _) = establish(raw, &format!("Supported: timer\nSession-Expires: 180\n{more}"));
    assert_eq!(sent(raw, 89_000), []);
    leg
}

#[test]
fn a_refresh_that_fails() {
    let reason = "SIP;cause=408;text=\"Session timer expired\"";
    // How each UPDATE is answered (0: not at all), what follows, and how the call ends.
    let rows: [(u16, &[&str], Option<EndCause>); 5] = [
        (200, &["UPDATE", "UPDATE", "UPDATE"], None),
        (405, &["UPDATE", "INVITE"], Some(EndCause::DialogGone)), // The re-INVITE gets no answer.
        (500, &["UPDATE", "UPDATE"], Some(EndCause::Expired)),
        (481, &["UPDATE"], Some(EndCause::DialogGone)),
        (0, &["UPDATE", "BYE"], Some(EndCause::DialogGone)),
    ];
    for (status, expect, end) in rows {
        let mut raw = Raw::new(config(HERE));
        let leg = before_refresh(&mut raw, "Allow: UPDATE\n");
        let (mut seen, mut ended): (Vec<String>, _) = (Vec::new(), None);
        for _ in 0..3000 {
            let mut outputs = raw.run(100);
            for request in requests(&outputs) {
                let method = request.method.to_string();
                if method == "UPDATE" && status != 0 {
                    outputs.extend(refresh_reply(&mut raw, &request, status));
                }
                if method == "BYE" && status == 500 {
                    assert_eq!(request.headers.get(&Name::Reason), Some(reason));
                }
                if status == 0 && seen.contains(&method) {
                    continue; // Repeated by its transaction.
                }
                seen.push(method);
            }
            ended = ended.or(outputs.iter().find_map(|output| match output {
                Output::Event(Event::Ended { why, .. }) => Some(*why),
                _ => None,
            }));
        }
        assert_eq!(ended, end, "{status}: {seen:?}");
        assert_eq!(seen[..expect.len()], *expect, "{status}");
        assert_eq!(raw.endpoint.dialog(leg).is_some(), end.is_none() && status == 200, "{status}: {seen:?}");
    }
}

/// RFC 3261 §14.1: 0 to 2 s for who did not make the Call-ID, 2.1 to 4 s for who did.
#[test]
fn a_refresh_that_meets_a_request_of_the_peer_waits_for_its_turn() {
    for (allow, method) in [("Allow: UPDATE\n", Method::Update), ("", Method::Invite)] {
        let mut raw = Raw::new(config(HERE));
        let leg = before_refresh(&mut raw, allow);
        let first = requests(&raw.run(2_000)).into_iter().find(is(method.clone())).expect("a refresh");
        refresh_reply(&mut raw, &first, 491);
        let again = requests(&raw.run(2_010)).into_iter().find(is(method.clone())).expect("a second one");
        let number = |request: &Request| request.headers.cseq().unwrap().number;
        assert_eq!(number(&again), number(&first) + 1, "{method}");
        refresh_reply(&mut raw, &again, 200);
        assert_eq!(sent(&mut raw, 80_000), [], "{method}");
        assert!(raw.endpoint.dialog(leg).is_some());
    }
    let mut raw = Raw::new(config(HERE));
    let (_, invite) = calling(&mut raw);
    let mut response = Response::to_request(&invite, 200, Some("x"));
    response.headers.push(Name::Contact, format!("<sip:x@{THERE}>"));
    response.headers.push(Name::SessionExpires, "180;refresher=uac");
    response.headers.push(Name::Allow, "INVITE, UPDATE");
    raw.input(Input::Received { flow: Flow::udp(0, THERE.parse().unwrap()), bytes: response.to_bytes() });
    let first = requests(&raw.run(91_000)).into_iter().find(is(Method::Update)).expect("a refresh");
    refresh_reply(&mut raw, &first, 491);
    assert_eq!(sent(&mut raw, 2_090), [], "who made the Call-ID waits longer");
    assert_eq!(sent(&mut raw, 1_920).len(), 1);
}

/// A connection that breaks just when the session is refreshed ends no call: it is tried again (RFC 4028 §10).
#[test]
fn a_refresh_over_a_broken_connection_is_made_again() {
    for (allow, method) in [("Allow: UPDATE\n", Method::Update), ("", Method::Invite)] {
        let mut raw = Raw::new(config(HERE));
        let leg = before_refresh(&mut raw, allow);
        let outputs = raw.run(2_000);
        assert!(requests(&outputs).iter().any(is(method.clone())), "{outputs:?}");
        let failed = raw.input(Input::TransportFailed { flow: Flow::udp(0, THERE.parse().unwrap()) });
        assert_eq!(failed, [], "the call goes on");
        let again = requests(&raw.run(6_000));
        let again = again.into_iter().find(is(method.clone())).expect("a second one");
        refresh_reply(&mut raw, &again, 200);
        assert_eq!(sent(&mut raw, 80_000), [], "{method}");
        assert!(raw.endpoint.dialog(leg).is_some());
    }
}

fn refresh_reply(raw: &mut Raw, request: &Request, status: u16) -> Vec<Output> {
    let mut response = Response::to_request(request, status, Some("b1"));
    if status < 300 {
        let expires = request.headers.get(&Name::SessionExpires).unwrap();
        response.headers.push(Name::SessionExpires, expires);
    }
    raw.input(Input::Received { flow: Flow::udp(0, THERE.parse().unwrap()), bytes: response.to_bytes() })
}

#[test]
fn a_refresh_by_invite_says_what_stands_and_its_answer_may_change_it() {
    let mut raw = Raw::new(config(HERE));
    let leg = before_refresh(&mut raw, "");
    let outputs = raw.run(2_000);
    let invite = requests(&outputs).remove(0);
    assert_eq!((invite.method.clone(), invite.body.as_slice()), (Method::Invite, &b"v=0"[..]), "what we said last");
    assert_eq!(invite.headers.get(&Name::SessionExpires), Some("180;refresher=uac"));
    // Our user's own offer comes too early now.
    let early = raw.input(Input::Command(Command::Reoffer { leg, body: Body::sdp("hold") }));
    assert_eq!(requests(&early).len(), 0);
    let mut answer = Response::to_request(&invite, 200, Some("b1"));
    answer.headers.push(Name::ContentType, "application/sdp");
    answer.body = b"v=1".to_vec();
    let flow = Flow::udp(0, THERE.parse().unwrap());
    let outputs = raw.input(Input::Received { flow, bytes: answer.to_bytes() });
    assert!(requests(&outputs).iter().any(is(Method::Ack)));
    let (offer, answer) = (Body::sdp("v=0"), Body::sdp("v=1"));
    let told: Vec<_> = outputs.iter().filter(|output| matches!(output, Output::Event(_))).collect();
    assert_eq!(told, [&Output::Event(Event::Refreshed { leg, offer, answer })]);
}

#[test]
fn their_refresh_keeps_the_call() {
    for (method, expect) in [("UPDATE", vec![200]), ("INVITE", vec![100, 200])] {
        let mut raw = Raw::new(config(HERE));
        let (leg, tag) = establish(&mut raw, "Supported: timer\nSession-Expires: 180;refresher=uac\n");
        for turn in 0..5 {
            assert_eq!(sent(&mut raw, 100_000), [], "{method} {turn}");
            let cseq = 2 + turn;
            let more = format!(
                "To: <sip:100@10.0.0.1>;tag={tag}\nCSeq: {cseq} {method}\nSupported: timer\n\
                 Session-Expires: 180;refresher=uac\n"
            );
            let body = if method == "INVITE" { "same" } else { "" };
            let kind = if body.is_empty() { "" } else { SDP };
            let mut outputs = raw.send(&ask(method, &format!("r{turn}"), &format!("{more}{kind}"), body));
            if method == "INVITE" {
                let accept = Command::AcceptOffer { leg, body: Body::sdp("same") };
                outputs.extend(raw.input(Input::Command(accept)));
                raw.send(&within(&tag, "ACK", cseq, &format!("a{turn}")));
            }
            assert_eq!(statuses(&outputs), expect);
            let last = responses(&outputs).pop().unwrap();
            assert_eq!(last.headers.get(&Name::SessionExpires), Some("180;refresher=uac"));
        }
        let short =
            format!("To: <sip:100@10.0.0.1>;tag={tag}\nCSeq: 9 {method}\nSupported: timer\nSession-Expires: 60\n");
        assert_eq!(statuses(&raw.send(&ask(method, "s", &short, ""))).pop(), Some(422));
        let outputs = raw.run(149_000);
        assert!(requests(&outputs).iter().any(is(Method::Bye)), "nobody refreshes any more");
    }
}

#[test]
fn a_callee_that_wants_longer_sessions_gets_them() {
    let mut raw = Raw::new(config(HERE));
    let (leg, invite) = calling(&mut raw);
    assert!(invite.headers.lists(&Name::Supported, "timer"));
    assert_eq!(invite.headers.get(&Name::SessionExpires), Some("1800"));
    let refuse = |raw: &mut Raw, invite: &Request, min: &str| {
        let mut response = Response::to_request(invite, 422, Some("x"));
        response.headers.push(Name::MinSe, min);
        raw.input(Input::Received { flow: Flow::udp(0, THERE.parse().unwrap()), bytes: response.to_bytes() })
    };
    let outputs = refuse(&mut raw, &invite, "3600");
    let second = requests(&outputs).into_iter().find(is(Method::Invite)).expect("a second try");
    let fields =
        [Name::SessionExpires, Name::MinSe].map(|name| second.headers.get(&name).unwrap_or_default().to_owned());
    assert_eq!((fields, second.headers.cseq().unwrap().number), (["3600", "3600"].map(str::to_owned), 2));
    assert_eq!(second.body, invite.body);
    // It grants what it asked for, and we refresh.
    let mut response = Response::to_request(&second, 200, Some("x"));
    response.headers.push(Name::Contact, format!("<sip:x@{THERE}>"));
    response.headers.push(Name::SessionExpires, "3600;refresher=uac");
    response.headers.push(Name::Allow, "INVITE, UPDATE");
    raw.input(Input::Received { flow: Flow::udp(0, THERE.parse().unwrap()), bytes: response.to_bytes() });
    assert_eq!(sent(&mut raw, 1_799_000), []);
    assert_eq!(sent(&mut raw, 1_100), [("UPDATE".to_owned(), "3600;refresher=uac".to_owned())]);
    raw.input(Input::Command(Command::HangUp { leg, reason: None }));
    // One that is never content is left alone, and so is one that asks for the impossible.
    for min in ["1800", "86401", "soon"] {
        let (_, invite) = calling(&mut raw);
        let outputs = refuse(&mut raw, &invite, min);
        assert!(!requests(&outputs).iter().any(is(Method::Invite)), "{min}");
        assert!(matches!(outputs.last(), Some(Output::Event(Event::Failed { status: 422, .. }))), "{outputs:?}");
    }
}

#[test]
fn a_callee_without_timers_is_not_refreshed() {
    let mut raw = Raw::new(config(HERE));
    let (_, invite) = calling(&mut raw);
    reply(&mut raw, &invite, 200, "one");
    assert_eq!((sent(&mut raw, 90_000_000), raw.endpoint.deadline()), (vec![], None));
}
