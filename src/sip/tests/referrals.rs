//! Transfers as the receiving side sees them: Replaces (RFC 3891), REFER and its NOTIFYs (RFC 3515).

use super::answers::{calling, establish, reply};
use super::*;
use crate::sip::header::Name;

fn replacing(raw: &mut Raw, branch: &str, field: &str) -> Vec<Output> {
    let invite = ask("INVITE", branch, &format!("Require: replaces\nReplaces: {field}\n{SDP}"), "v=0");
    raw.send(&invite.replace("Call-ID: c1", "Call-ID: other"))
}

/// What such an INVITE comes to: the leg that is meant, or the refusal.
fn outcome(outputs: &[Output]) -> Result<LegId, u16> {
    let told = outputs.iter().find_map(|output| match output {
        Output::Event(Event::Invited { replaces, .. }) => *replaces,
        _ => None,
    });
    told.ok_or_else(|| statuses(outputs).last().copied().unwrap_or_default())
}

#[test]
fn which_dialog_an_invite_replaces() {
    let rows = [
        ("c1;to-tag=T;from-tag=b1", None),
        ("c1;to-tag=T;from-tag=b1;early-only", Some(486)),
        ("c2;to-tag=T;from-tag=b1", Some(481)),
        ("c1;to-tag=T;from-tag=b2", Some(481)),
        ("c1;to-tag=b1;from-tag=T", Some(481)),
        ("c1;to-tag=T", Some(400)),
        ("c1;to-tag=T;from-tag=b1\nReplaces: c1;to-tag=T;from-tag=b1", Some(400)),
    ];
    for (field, refused) in rows {
        let mut raw = Raw::new(config(HERE));
        let (leg, tag) = establish(&mut raw, "");
        let outputs = replacing(&mut raw, "r", &field.replace('T', &tag));
        assert_eq!(outcome(&outputs), refused.map_or(Ok(leg), Err), "{field}");
    }
}

#[test]
fn what_cannot_be_replaced() {
    // A call that has just ended.
    let mut raw = Raw::new(config(HERE));
    let (leg, tag) = establish(&mut raw, "");
    raw.input(Input::Command(Command::HangUp { leg, reason: None }));
    let field = format!("c1;to-tag={tag};from-tag=b1");
    assert_eq!(outcome(&replacing(&mut raw, "r", &field)), Err(603));
    // One of the past: only so many are remembered.
    (0..300).for_each(|number| raw.endpoint.remember_ended(format!("t{number}")));
    assert_eq!(raw.endpoint.ended.len(), 256);
    let again = replacing(&mut raw, "r2", &field);
    assert_eq!(outcome(&again), Err(481), "nothing is known of it any more: {again:?}");
    // Their call that rings here.
    let mut raw = Raw::new(config(HERE));
    let outputs = raw.send(&ask("INVITE", "1", SDP, "v=0"));
    let Some(Output::Event(Event::Invited { leg, .. })) = outputs.last() else { panic!("{outputs:?}") };
    let outputs = raw.input(Input::Command(Command::Ring { leg: *leg, status: 180, body: None }));
    let tag = responses(&outputs)[0].headers.to_tag().unwrap().to_owned();
    assert_eq!(outcome(&replacing(&mut raw, "r", &format!("c1;to-tag={tag};from-tag=b1"))), Err(481));
    // Our call that rings there can be picked up.
    let mut raw = Raw::new(config(HERE));
    let (leg, invite) = calling(&mut raw);
    reply(&mut raw, &invite, 180, "one");
    let (call_id, tag) = (invite.headers.call_id().unwrap(), invite.headers.from_tag().unwrap());
    let field = format!("{call_id};to-tag={tag};from-tag=one;early-only");
    assert_eq!(outcome(&replacing(&mut raw, "r", &field)), Ok(leg));
}

/// An established call of an endpoint that carries referrals out.
fn willing() -> (Raw, LegId, String) {
    let mut config = config(HERE);
    config.takes_refer = true;
    let mut raw = Raw::new(config);
    let (leg, tag) = establish(&mut raw, "");
    (raw, leg, tag)
}

fn refer(tag: &str, cseq: u32, more: &str) -> String {
    ask("REFER", &format!("f{cseq}"), &format!("To: <sip:100@10.0.0.1>;tag={tag}\nCSeq: {cseq} REFER\n{more}"), "")
}

/// Event, Subscription-State and body of the NOTIFYs.
fn notified(outputs: &[Output]) -> Vec<String> {
    let notifies = requests(outputs).into_iter().filter(is(Method::Notify));
    let told = notifies.map(|notify| {
        let field = |name: Name| notify.headers.get(&name).unwrap_or_default().to_owned();
        assert_eq!(field(Name::ContentType), "message/sipfrag;version=2.0");
        assert!(notify.headers.has(&Name::Contact));
        let body = String::from_utf8_lossy(&notify.body).trim_end().to_owned();
        format!("{} | {} | {body}", field(Name::Event), field(Name::SubscriptionState))
    });
    told.collect()
}

#[test]
fn a_referral_is_reported_to_its_end() {
    let (mut raw, leg, tag) = willing();
    let more = "Refer-To: \"Bob\" <sip:bob@b.example?Replaces=x%40y%3Bto-tag%3D1%3Bfrom-tag%3D2&Subject=no>\n\
                Referred-By: <sip:ada@a.example>\n";
    let outputs = raw.send(&refer(&tag, 2, more));
    assert_eq!(statuses(&outputs), [202]);
    assert_eq!(notified(&outputs), ["refer | active;expires=180 | SIP/2.0 100 Trying"]);
    let Some(Output::Event(Event::Referred { leg: told, to, referred_by, replaces })) = outputs.first() else {
        panic!("{outputs:?}")
    };
    assert_eq!((*told, to.to_string().as_str()), (leg, "\"Bob\" <sip:bob@b.example>"));
    assert_eq!(referred_by.as_ref().map(|by| by.uri.to_string()).as_deref(), Some("sip:ada@a.example"));
    assert_eq!(replaces.as_deref(), Some("x@y;to-tag=1;from-tag=2"));
    assert_eq!(statuses(&raw.send(&refer(&tag, 3, more))), [500], "one at a time");
    let mut progress = |status| notified(&raw.input(Input::Command(Command::ReferProgress { leg, status })));
    assert_eq!(progress(180), ["refer | active;expires=180 | SIP/2.0 180 Ringing"]);
    assert_eq!(progress(200), ["refer | terminated;reason=noresource | SIP/2.0 200 OK"]);
    assert_eq!(progress(200), [""; 0], "it is over");
    // The next one has a name; nobody says what becomes of it.
    let outputs = raw.send(&refer(&tag, 4, more));
    assert_eq!(notified(&outputs), ["refer;id=4 | active;expires=180 | SIP/2.0 100 Trying"]);
    let notify = requests(&outputs).remove(0);
    reply(&mut raw, &notify, 200, "b1");
    raw.run(179_000);
    assert_eq!(notified(&raw.run(1_100)), ["refer;id=4 | terminated;reason=timeout | SIP/2.0 100 Trying"]);
    assert!(raw.endpoint.dialog(leg).is_some(), "the call goes on");
}

#[test]
fn a_referral_without_reports() {
    // Refer-Sub: false, and a peer that refuses the NOTIFY.
    let (mut raw, leg, tag) = willing();
    let outputs = raw.send(&refer(&tag, 2, "Refer-To: <sip:b@c>\nRequire: norefersub\nRefer-Sub: false\n"));
    assert_eq!((statuses(&outputs), notified(&outputs)), (vec![202], vec![]));
    assert_eq!(responses(&outputs)[0].headers.get(&Name::from("Refer-Sub")), Some("false"));
    assert!(matches!(outputs.first(), Some(Output::Event(Event::Referred { .. }))));
    let (mut other, other_leg, tag) = willing();
    let outputs = other.send(&refer(&tag, 2, "Refer-To: <sip:b@c>\n"));
    let notify = requests(&outputs).remove(0);
    assert_eq!(reply(&mut other, &notify, 481, "b1"), []);
    for (raw, leg) in [(&mut raw, leg), (&mut other, other_leg)] {
        assert_eq!(raw.input(Input::Command(Command::ReferProgress { leg, status: 200 })), []);
        assert!(raw.endpoint.dialog(leg).is_some(), "the call goes on");
    }
}

#[test]
fn referrals_that_are_refused() {
    let rows = [
        ("", 400),
        ("Refer-To: <sip:b@c>\nRefer-To: <sip:d@e>\n", 400),
        ("Refer-To: nobody\n", 400),
        ("Refer-To: <http://c>\n", 603),
        ("Refer-To: <sip:b@c;method=BYE>\n", 603),
        ("Refer-To: <sip:b@c;method=INVITE>\n", 202),
        ("r: tel:+4930\n", 202),
    ];
    for (more, expect) in rows {
        let (mut raw, _, tag) = willing();
        assert_eq!(statuses(&raw.send(&refer(&tag, 2, more))), [expect], "{more}");
        let mut raw = Raw::new(config(HERE));
        let (_, tag) = establish(&mut raw, "");
        let expect = if expect == 202 { 603 } else { expect };
        assert_eq!(statuses(&raw.send(&refer(&tag, 2, more))), [expect], "not willing: {more}");
    }
    let allow =
        |raw: &mut Raw| responses(&raw.send(&ask("OPTIONS", "o", "", "")))[0].headers.lists(&Name::Allow, "REFER");
    assert!(allow(&mut willing().0) && !allow(&mut Raw::new(config(HERE))));
}
