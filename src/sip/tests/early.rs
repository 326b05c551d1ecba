//! Early dialogs: forks, reliable provisional responses and their PRACKs (RFC 3262).

use super::answers::{calling, reply, within};
use super::*;
use crate::sip::header::Name;

fn ring(leg: LegId, body: Option<&str>) -> Command {
    Command::Ring { leg, status: 183, body: body.map(Body::sdp) }
}

fn answer(leg: LegId) -> Command {
    Command::Answer { leg, body: Body::sdp("answer") }
}

/// A call from side 0 with these fields, and without an offer if `delayed`.
fn invite(pair: &mut Pair, headers: &[(&str, &str)], delayed: bool) -> LegId {
    let leg = pair.sides[0].next_leg();
    let command = Command::Invite {
        leg,
        uri: Uri::parse(&format!("sip:100@{THERE}")).unwrap(),
        flow: None,
        from: address("<sip:ada@10.0.0.1>"),
        to: address("<sip:100@10.0.0.2>"),
        offer: (!delayed).then(|| Body::sdp("offer")),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        account: None,
        listener: None,
    };
    pair.tell(0, command);
    leg
}

#[test]
fn an_early_answer_arrives_for_certain() {
    // What gets lost, how often, and the ladder until the 183 is proven.
    let rows: [(&str, usize, &[&str]); 3] = [
        ("", 0, &["< 183 INVITE", "> PRACK", "< 200 PRACK"]),
        ("183 INVITE", 2, &["x< 183 INVITE", "x< 183 INVITE", "< 183 INVITE", "> PRACK", "< 200 PRACK"]),
        ("200 PRACK", 1, &["< 183 INVITE", "> PRACK", "x< 200 PRACK", "> PRACK", "< 200 PRACK"]),
    ];
    for (lost, times, expect) in rows {
        let mut pair = Pair::new();
        let mut left = times;
        pair.loss = Box::new(move |_, line| {
            let lost = line == lost && left > 0;
            left -= usize::from(lost);
            lost
        });
        let caller = pair.invite();
        let called = pair.invited();
        pair.take_ladder();
        pair.tell(1, ring(called, Some("early")));
        pair.run(3_000);
        assert_eq!(pair.take_ladder(), expect, "{lost}");
        let ours = pair.take_events(0);
        let early = Some(Body::sdp("early"));
        assert_eq!(ours, [Event::Provisional { leg: caller, status: 183, body: early.clone() }]);
        pair.tell(1, answer(called));
        pair.run(1_000);
        assert_eq!(pair.take_ladder(), ["< 200 INVITE", "> ACK"]);
        let ours = pair.take_events(0);
        assert!(matches!(&ours[..], [Event::Established { body, .. }] if *body == early), "{ours:?}");
        pair.tell(0, Command::HangUp { leg: caller, reason: None });
        pair.run(1_000);
        assert_eq!(pair.take_ladder(), ["> BYE", "< 200 BYE"]);
        pair.assert_quiet();
    }
}

#[test]
fn the_2xx_waits_for_the_proof_of_an_early_answer_only() {
    let rows: [(Option<&str>, &[&str]); 2] = [
        (Some("early"), &["< 183 INVITE", "> PRACK", "< 200 PRACK", "< 200 INVITE", "> ACK"]),
        (None, &["< 183 INVITE", "< 200 INVITE", "> PRACK", "> ACK", "< 200 PRACK"]),
    ];
    for (body, expect) in rows {
        let mut pair = Pair::new();
        invite(&mut pair, &[("Require", "100rel")], false);
        let called = pair.invited();
        pair.take_ladder();
        pair.tell(1, ring(called, body));
        pair.tell(1, answer(called));
        pair.run(3_000);
        assert_eq!(pair.take_ladder(), expect, "{body:?}");
        pair.tell(1, Command::HangUp { leg: called, reason: None });
        pair.run(1_000);
        pair.assert_quiet();
    }
}

#[test]
fn without_any_prack_the_call_is_refused() {
    let mut pair = Pair::new();
    pair.loss = Box::new(|_, line| line == "PRACK");
    invite(&mut pair, &[("Require", "100rel")], false);
    let called = pair.invited();
    pair.tell(1, Command::Ring { leg: called, status: 180, body: None });
    pair.tell(1, ring(called, None));
    pair.run(31_900);
    let sent = pair.take_ladder();
    let count = |line: &str| sent.iter().filter(|sent| *sent == line).count();
    // 0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5 s; the 183 waits for the PRACK of the 180.
    assert_eq!((count("< 180 INVITE"), count("< 183 INVITE"), count("< 504 INVITE")), (7, 0, 0));
    pair.run(200);
    assert!(matches!(&pair.take_events(0)[..], [Event::Provisional { .. }, Event::Failed { status: 504, .. }]));
    let theirs = pair.take_events(1);
    assert!(matches!(&theirs[1..], [Event::Cancelled { reason: Some(Reason { cause: 504, .. }), .. }]), "{theirs:?}");
    pair.loss = Box::new(|_, _| false);
    pair.run(5_000);
    pair.assert_quiet();
}

#[test]
fn provisional_responses_wait_for_each_other() {
    let mut pair = Pair::new();
    invite(&mut pair, &[("Require", "100rel")], false);
    let called = pair.invited();
    pair.take_ladder();
    pair.tell(1, Command::Ring { leg: called, status: 180, body: None });
    pair.tell(1, ring(called, Some("early")));
    pair.run(400);
    let expect = ["< 180 INVITE", "> PRACK", "< 200 PRACK", "< 183 INVITE", "> PRACK", "< 200 PRACK"];
    assert_eq!(pair.take_ladder(), expect);
}

/// RFC 3262 §3: what is repeated until its PRACK comes is not replaced by what needs none.
#[test]
fn a_response_that_waits_for_its_prack_is_not_replaced() {
    let mut raw = Raw::new(config(HERE));
    let outputs = raw.send(&ask("INVITE", "1", &format!("Supported: 100rel\n{SDP}"), "v=0"));
    let Some(Output::Event(Event::Invited { leg, .. })) = outputs.last() else { panic!("{outputs:?}") };
    let leg = *leg;
    let first = responses(&raw.input(Input::Command(ring(leg, Some("early"))))).remove(0);
    assert!(first.headers.has(&Name::RSeq));
    let other = raw.input(Input::Command(Command::Ring { leg, status: 180, body: None }));
    assert!(other.is_empty(), "{other:?}");
    let again = responses(&raw.run(600));
    assert!(!again.is_empty() && again.iter().all(|response| response.to_bytes() == first.to_bytes()), "{again:?}");
}

#[test]
fn the_early_response_may_bring_the_offer() {
    for accept in [true, false] {
        let mut pair = Pair::new();
        let caller = invite(&mut pair, &[], true);
        let called = pair.invited();
        pair.take_ladder();
        pair.tell(1, ring(called, Some("their offer")));
        pair.run(100);
        assert_eq!(pair.take_ladder(), ["< 183 INVITE"], "the PRACK waits for the answer");
        let offered = Event::Offered { leg: caller, body: Some(Body::sdp("their offer")) };
        assert_eq!(pair.take_events(0)[1..], [offered]);
        if !accept {
            pair.tell(0, Command::RefuseOffer { leg: caller, status: 488 });
            pair.run(1_000);
            let last = pair.take_events(0).pop();
            assert!(matches!(last, Some(Event::Failed { status: 487, .. })), "{last:?}");
            pair.assert_quiet();
            continue;
        }
        pair.tell(0, Command::AcceptOffer { leg: caller, body: Body::sdp("our answer") });
        pair.run(100);
        assert_eq!(pair.take_ladder(), ["> PRACK", "< 200 PRACK"]);
        let answered = Event::OfferAnswered { leg: called, body: Some(Body::sdp("our answer")) };
        assert_eq!(pair.take_events(1)[1..], [answered]);
        pair.tell(1, answer(called));
        pair.run(100);
        assert_eq!(pair.take_ladder(), ["< 200 INVITE", "> ACK"]);
        assert!(matches!(&pair.take_events(0)[..], [Event::Established { body: None, .. }]));
    }
}

/// A raw INVITE of a caller who requires 100rel, rung with 183; our leg, our tag and the RSeq.
fn ringing(raw: &mut Raw, body: Option<&str>) -> (LegId, String, u32) {
    let outputs = raw.send(&ask("INVITE", "1", &format!("Require: 100rel\n{SDP}"), "v=0"));
    let Some(Output::Event(Event::Invited { leg, .. })) = outputs.last() else { panic!("{outputs:?}") };
    let outputs = raw.input(Input::Command(ring(*leg, body)));
    let response = responses(&outputs).remove(0);
    assert!(response.headers.lists(&Name::Require, "100rel"));
    let rseq = response.headers.get(&Name::RSeq).unwrap().parse().unwrap();
    (*leg, response.headers.to_tag().unwrap().to_owned(), rseq)
}

fn prack(tag: &str, cseq: u32, rack: &str, body: &str) -> String {
    let kind = if body.is_empty() { "" } else { SDP };
    let more = format!("To: <sip:100@10.0.0.1>;tag={tag}\nCSeq: {cseq} PRACK\nRAck: {rack}\n{kind}");
    ask("PRACK", &format!("p{cseq}"), &more, body)
}

#[test]
fn a_prack_must_name_what_waits_for_it() {
    let rows = [("# 1 INVITE", 200), ("+ 1 INVITE", 481), ("# 2 INVITE", 481), ("# 1 OPTIONS", 481), ("#", 481)];
    for (rack, expect) in rows {
        let mut raw = Raw::new(config(HERE));
        let (_, tag, rseq) = ringing(&mut raw, None);
        let rack = rack.replace('#', &rseq.to_string()).replace('+', &(rseq + 1).to_string());
        assert_eq!(statuses(&raw.send(&prack(&tag, 2, &rack, ""))), [expect], "{rack}");
        // Another one for the same response proves nothing any more.
        let second = statuses(&raw.send(&prack(&tag, 3, &format!("{rseq} 1 INVITE"), "")));
        assert_eq!(second, [if expect == 200 { 481 } else { 200 }], "{rack}");
    }
    let mut raw = Raw::new(config(HERE));
    let (_, tag, _) = ringing(&mut raw, None);
    assert_eq!(statuses(&raw.send(&within(&tag, "PRACK", 2, "x"))), [400], "no RAck");
}

#[test]
fn a_prack_may_bring_the_next_offer() {
    // Only after the answer to the INVITE's (RFC 3262 §5).
    let rows = [(None, vec![500]), (Some("early"), vec![])];
    for (body, expect) in rows {
        let mut raw = Raw::new(config(HERE));
        let (leg, tag, rseq) = ringing(&mut raw, body);
        let outputs = raw.send(&prack(&tag, 2, &format!("{rseq} 1 INVITE"), "next"));
        assert_eq!(statuses(&outputs), expect);
        let offered = Output::Event(Event::Offered { leg, body: Some(Body::sdp("next")) });
        assert_eq!(outputs.contains(&offered), body.is_some());
        if body.is_none() {
            continue;
        }
        let outputs = raw.input(Input::Command(Command::AcceptOffer { leg, body: Body::sdp("agreed") }));
        assert_eq!((statuses(&outputs), responses(&outputs)[0].body.as_slice()), (vec![200], &b"agreed"[..]));
        let outputs = raw.input(Input::Command(answer(leg)));
        assert_eq!((statuses(&outputs), responses(&outputs)[0].body.len()), (vec![200], 0), "all was said");
    }
}

/// A provisional response of a fork to our INVITE, reliable if it has a number.
fn progress(raw: &mut Raw, invite: &Request, tag: &str, rseq: Option<u32>) -> Vec<Output> {
    let mut response = Response::to_request(invite, 183, Some(tag));
    response.headers.push(Name::Contact, format!("<sip:{tag}@{THERE}>"));
    if let Some(rseq) = rseq {
        response.headers.push(Name::Require, "100rel");
        response.headers.push(Name::RSeq, rseq.to_string());
    }
    raw.input(Input::Received { flow: Flow::udp(0, THERE.parse().unwrap()), bytes: response.to_bytes() })
}

#[test]
fn each_fork_counts_its_responses_without_gaps() {
    let mut raw = Raw::new(config(HERE));
    let (leg, invite) = calling(&mut raw);
    assert!(invite.headers.lists(&Name::Supported, "100rel"));
    // Fork, RSeq, and the RAck of the PRACK that follows with its CSeq.
    let rows = [
        ("one", Some(5), Some(("5 1 INVITE", 2))),
        ("one", Some(5), None), // repeated
        ("one", Some(7), None), // one is missing
        ("two", Some(9), Some(("9 1 INVITE", 2))),
        ("one", Some(6), Some(("6 1 INVITE", 3))),
        ("one", Some(7), Some(("7 1 INVITE", 4))),
        ("two", None, None),
        ("two", Some(0), None),
    ];
    for (tag, rseq, expect) in rows {
        let outputs = progress(&mut raw, &invite, tag, rseq);
        let pracks = requests(&outputs);
        let named = pracks.first().map(|prack| {
            assert_eq!(prack.uri.to_string(), format!("sip:{tag}@{THERE}"));
            (prack.headers.get(&Name::RAck).unwrap(), prack.headers.cseq().unwrap().number)
        });
        assert_eq!(named, expect, "{tag} {rseq:?}");
    }
    // The fork that answers goes on counting, the other is forgotten.
    reply(&mut raw, &invite, 200, "one");
    let outputs = raw.input(Input::Command(Command::HangUp { leg, reason: None }));
    assert_eq!(requests(&outputs)[0].headers.cseq().unwrap().number, 5);
}

#[test]
fn only_so_many_forks_are_kept() {
    only_so_many(16);
    only_so_many(3);
}

fn only_so_many(forks: usize) {
    let mut config = config(HERE);
    config.capacity.forks = forks;
    let mut raw = Raw::new(config);
    let (_, invite) = calling(&mut raw);
    let proven = |raw: &mut Raw, fork: u32| requests(&progress(raw, &invite, &format!("f{fork}"), Some(1))).len();
    let pracks: usize = (0..1_000).map(|fork| proven(&mut raw, fork)).sum();
    assert_eq!(pracks, forks, "no proxy forks to more, and who invents tags gets no work out of us");
    // The same for answers: each fork but the first gets ACK and BYE, as far as they are counted.
    let sent: usize = (0..1_000).map(|fork| requests(&reply(&mut raw, &invite, 200, &format!("f{fork}"))).len()).sum();
    assert_eq!(sent, 2 * forks - 1);
}

/// A call whose early answer was proven; caller and called.
fn agreed(pair: &mut Pair) -> (LegId, LegId) {
    let caller = pair.invite();
    let called = pair.invited();
    pair.tell(1, ring(called, Some("early")));
    pair.run(100);
    pair.take_ladder();
    pair.events.iter_mut().for_each(Vec::clear);
    (caller, called)
}

#[test]
fn the_session_may_change_before_the_answer() {
    for side in 0..2 {
        let mut pair = Pair::new();
        let legs = agreed(&mut pair);
        let legs = [legs.0, legs.1];
        let (asks, told) = (legs[side], legs[1 - side]);
        pair.tell(side, Command::Reoffer { leg: asks, body: Body::sdp("new") });
        pair.tell(side, Command::Reoffer { leg: asks, body: Body::sdp("newer") });
        let busy = Event::OfferRefused { leg: asks, status: 491 };
        assert_eq!(pair.take_events(side), [busy], "one at a time");
        pair.run(15);
        let offered = Event::Offered { leg: told, body: Some(Body::sdp("new")) };
        assert_eq!(pair.take_events(1 - side), [offered]);
        pair.tell(1 - side, Command::AcceptOffer { leg: told, body: Body::sdp("agreed") });
        pair.run(15);
        let answered = Event::OfferAnswered { leg: asks, body: Some(Body::sdp("agreed")) };
        assert_eq!(pair.take_events(side), [answered]);
        assert_eq!(pair.take_ladder().concat().matches("UPDATE").count(), 2);
        pair.tell(1, answer(legs[1]));
        pair.run(100);
        let last = pair.take_events(0).pop();
        assert!(matches!(last, Some(Event::Established { body: None, .. })), "the UPDATE's word stands: {last:?}");
        // What was said last is repeated by a refresh of a peer that takes no UPDATE.
        let local = |side: usize| {
            pair.sides[side].legs.sorted().into_iter().map(|(_, leg)| leg).next().and_then(|leg| match leg {
                leg::Leg::Talking(talking) => talking.local.clone(),
                _ => None,
            })
        };
        assert_eq!(local(0), Some(Body::sdp(["new", "agreed"][side])));
        pair.tell(0, Command::HangUp { leg: legs[0], reason: None });
        pair.run(100);
        pair.assert_quiet();
    }
}

#[test]
fn early_updates_that_cross_are_refused_and_the_call_goes_on() {
    let mut pair = Pair::new();
    let (caller, called) = agreed(&mut pair);
    pair.tell(0, Command::Reoffer { leg: caller, body: Body::sdp("a") });
    pair.tell(1, Command::Reoffer { leg: called, body: Body::sdp("b") });
    pair.run(100);
    assert_eq!(pair.take_events(0), [Event::OfferRefused { leg: caller, status: 491 }]);
    assert_eq!(pair.take_events(1), [Event::OfferRefused { leg: called, status: 491 }]);
    pair.tell(1, answer(called));
    pair.run(100);
    assert!(matches!(&pair.take_events(0)[..], [Event::Established { body: Some(_), .. }]));
}

#[test]
fn whose_turn_it_is_before_the_answer() {
    // Body of our reliable 183, of the UPDATE; how it is answered.
    let rows = [
        (None, "", vec![200]),
        (None, "new", vec![500]),          // The INVITE's offer has no answer yet.
        (Some("early"), "new", vec![500]), // It may not have arrived.
    ];
    for (ours, theirs, expect) in rows {
        let mut raw = Raw::new(config(HERE));
        let (leg, tag, _) = ringing(&mut raw, ours);
        let kind = if theirs.is_empty() { "" } else { SDP };
        let contact = "Contact: <sip:bob@10.0.0.2:7777>\n";
        let more = format!("To: <sip:100@10.0.0.1>;tag={tag}\nCSeq: 2 UPDATE\n{contact}{kind}");
        let outputs = raw.send(&ask("UPDATE", "u", &more, theirs));
        assert_eq!(statuses(&outputs), expect, "{ours:?} {theirs}");
        assert_eq!(responses(&outputs)[0].headers.retry_after().is_some(), expect == [500]);
        if expect == [200] {
            raw.input(Input::Command(answer(leg)));
            raw.send(&within(&tag, "ACK", 1, "a"));
            let target = raw.endpoint.dialog(leg).map(|dialog| dialog.target.to_string());
            assert_eq!(target.as_deref(), Some("sip:bob@10.0.0.2:7777"), "where he is now");
        }
        assert_eq!(
            statuses(&raw.send(&within(&tag, "INVITE", 5, "i"))).pop(),
            Some(if expect == [200] { 100 } else { 500 })
        );
    }
    // Ours waits for its answer: theirs meets it.
    let mut raw = Raw::new(config(HERE));
    let (_, invite) = calling(&mut raw);
    progress(&mut raw, &invite, "one", None);
    let from = invite.headers.get(&Name::From).unwrap();
    let update = format!(
        "UPDATE sip:100@10.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.2:5062;branch=z9hG4bKu;rport\n\
         From: <sip:bob@10.0.0.2>;tag=one\nTo: {from}\nCall-ID: {}\nCSeq: 1 UPDATE\n{SDP}Content-Length: 1\n\nx",
        invite.headers.call_id().unwrap()
    );
    assert_eq!(statuses(&raw.send(&update)), [491]);
    let other = update.replace("tag=one", "tag=two").replace("z9hG4bKu", "z9hG4bKv");
    assert_eq!(statuses(&raw.send(&other)), [481], "a fork that has said nothing");
}
