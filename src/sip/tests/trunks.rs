//! Trunks: who calls over one, several registrations at once, and answers to challenges without a password here.

use super::*;
use crate::center::Peer;
use crate::ids::TrunkId;

fn register(name: &str) -> Command {
    Command::Register {
        name: name.to_owned(),
        user: Account { user: name.to_owned(), secret: Secret::Held(name.to_owned()) },
        registrar: Uri::parse(&format!("sip:{THERE}")).unwrap(),
        expires: 600,
        persists: true,
    }
}

fn registrar(users: &[&str]) -> Config {
    let users = users.iter().map(|user| (*user).to_owned()).collect();
    Config { users, ..config(THERE) }
}

fn invite(from: &str) -> Command {
    Command::Invite {
        leg: LegId(77),
        uri: Uri::parse(&format!("sip:100@{THERE}")).unwrap(),
        flow: None,
        from: address(from),
        to: address("<sip:100@there>"),
        offer: Some(Body::sdp("offer")),
        headers: Vec::new(),
        account: Some(Account { user: "pbx".to_owned(), secret: Secret::Held("pbx".to_owned()) }),
    }
}

fn source(events: &[Event]) -> Option<Source> {
    events.iter().find_map(|event| match event {
        Event::Invited { source, .. } => Some(source.clone()),
        _ => None,
    })
}

#[test]
fn several_registrations_hold_side_by_side_and_end_one_by_one() {
    let mut pair = Pair::with(config(HERE), registrar(&["a", "b"]));
    ["a", "b"].into_iter().for_each(|name| pair.tell(0, register(name)));
    pair.run(100);
    let registered = |name: &str, expires| Event::Registered { name: name.to_owned(), expires };
    assert_eq!(pair.take_events(0), [registered("a", 600), registered("b", 600)]);
    pair.tell(0, Command::Unregister { name: "a".to_owned() });
    pair.run(100);
    assert_eq!(pair.take_events(0), [registered("a", 0)]);
    pair.take_ladder();
    pair.run(545_000);
    assert_eq!(pair.take_events(0), [registered("b", 600)], "the other one is refreshed");
}

#[test]
fn a_registration_that_persists_is_tried_again_after_any_refusal() {
    let mut pair = Pair::with(config(HERE), registrar(&["other"]));
    pair.tell(0, register("a"));
    pair.run(100);
    let failed = Event::RegistrationFailed { name: "a".to_owned(), status: 401 };
    assert_eq!(pair.take_events(0), [failed]);
    let known = registrar(&["a"]);
    pair.tell(1, Command::Configure(known));
    pair.run(10_000);
    assert_eq!(pair.take_events(0).last(), Some(&Event::Registered { name: "a".to_owned(), expires: 600 }));
}

#[test]
fn a_trunk_is_known_by_address_by_digest_or_not_at_all() {
    let carrier = TrunkId::new("carrier");
    let stranger = "<sip:030123@10.0.0.1>";
    let by = |peer: &str| {
        let peer: Peer = peer.parse().unwrap();
        Config { trunk_peers: vec![(carrier.clone(), peer)], ..registrar(&["1001"]) }
    };
    let trunk = Some(Source::Trunk(carrier.clone()));
    let rows = [
        (by("10.0.0.1"), stranger, trunk.clone()),
        (by("10.0.0.0/24"), stranger, trunk.clone()),
        (by("10.0.0.1:5060"), stranger, trunk.clone()),
        (by("10.0.0.1:5061"), stranger, Some(Source::Stranger)),
        // One who has an agent's name is no agent for all that, and is not asked.
        (by("10.0.0.1"), "<sip:1001@10.0.0.2>", trunk.clone()),
    ];
    for (center, from, expect) in rows {
        let mut pair = Pair::with(config(HERE), center);
        pair.tell(0, invite(from));
        pair.run(100);
        assert_eq!(source(&pair.take_events(1)), expect, "{from}");
    }
    let center = Config { trunk_users: BTreeMap::from([("pbx".to_owned(), carrier)]), ..registrar(&["1001"]) };
    for (from, expect, challenged) in
        [("<sip:pbx@there>", trunk.clone(), true), (stranger, Some(Source::Stranger), false)]
    {
        let mut pair = Pair::with(config(HERE), center.clone());
        pair.tell(0, invite(from));
        pair.run(100);
        assert_eq!(source(&pair.take_events(1)), expect, "{from}");
        assert_eq!(pair.take_ladder().contains(&"< 401 INVITE".to_owned()), challenged, "{from}");
    }
    // A trunk's user is no phone: it cannot register here.
    let mut pair = Pair::with(config(HERE), center);
    pair.tell(0, register("pbx"));
    pair.run(100);
    assert_eq!(pair.take_events(0), [Event::RegistrationFailed { name: "pbx".to_owned(), status: 401 }]);
}

#[test]
fn a_leg_that_hung_up_and_calls_anew_takes_no_answer_meant_for_the_first_call() {
    let mut pair = Pair::with(config(HERE), config(THERE));
    // The first INVITE gets no answer for so long that its caller gives up and tries again with the same leg.
    pair.loss = Box::new(|side, line| side == 1 && line.contains("INVITE"));
    pair.tell(0, invite("<sip:a@b>"));
    pair.run(300);
    let Some(Event::Invited { leg: first, .. }) = pair.take_events(1).into_iter().next() else { panic!("no call") };
    pair.tell(0, Command::HangUp { leg: LegId(77), reason: None });
    pair.tell(0, invite("<sip:a@b>"));
    pair.run(100);
    pair.loss = Box::new(|_, _| false);
    pair.tell(1, Command::Answer { leg: first, body: Body::sdp("late") });
    pair.run(2_000);
    assert!(
        !pair.take_events(0).iter().any(|event| matches!(event, Event::Established { .. })),
        "the late answer belongs to the call that was given up"
    );
    let events = pair.take_events(1);
    let second = events.iter().find_map(|event| match event {
        Event::Invited { leg, .. } => Some(*leg),
        _ => None,
    });
    pair.tell(1, Command::Answer { leg: second.expect("the second call"), body: Body::sdp("answer") });
    pair.run(500);
    let body = pair.take_events(0).into_iter().find_map(|event| match event {
        Event::Established { body, .. } => body,
        _ => None,
    });
    assert_eq!(body, Some(Body::sdp("answer")));
}

#[test]
fn a_probe_is_answered_by_any_answer_and_by_none() {
    let mut pair = Pair::with(config(HERE), config(THERE));
    let uri = Uri::parse(&format!("sip:{THERE}")).unwrap();
    pair.tell(0, Command::Probe { id: 1, uri: uri.clone() });
    pair.run(100);
    assert_eq!(pair.take_events(0), [Event::Probed { id: 1, answered: true }]);
    pair.loss = Box::new(|_, _| true);
    pair.tell(0, Command::Probe { id: 2, uri });
    pair.run(33_000);
    assert_eq!(pair.take_events(0), [Event::Probed { id: 2, answered: false }]);
    pair.assert_quiet();
}
