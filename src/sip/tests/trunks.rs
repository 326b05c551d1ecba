//! Trunks: who calls over one, several registrations at once, and answers to challenges without a password here.

use super::*;
use crate::center::Peer;
use crate::ids::TrunkId;

fn register(name: &str) -> Command {
    Command::Register {
        name: name.to_owned(),
        user: Account { user: name.to_owned(), secret: Secret::Held(name.to_owned()), realms: Vec::new() },
        registrar: Uri::parse(&format!("sip:{THERE}")).unwrap(),
        expires: 600,
        persists: true,
        listener: None,
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
        account: Some(Account { user: "pbx".to_owned(), secret: Secret::Held("pbx".to_owned()), realms: Vec::new() }),
        listener: None,
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

/// RFC 5626 §4.5: a registration whose connection is gone is made again soon and does not hold meanwhile; who closes
/// each connection soon is asked each time later.
#[test]
fn a_registrar_that_closes_its_connections_is_registered_at_ever_more_slowly() {
    let mut config = config(HERE);
    config.listeners[0].transport = Transport::Tcp;
    let mut raw = Raw::new(config);
    let over = |connection| Flow { listener: 0, transport: Transport::Tcp, remote: THERE.parse().unwrap(), connection };
    let mut registers = requests(&raw.input(Input::Command(register_over_tcp())));
    let mut pauses = Vec::new();
    for connection in 1..=8 {
        let request = registers.pop().expect("a REGISTER");
        raw.over = Some(over(connection));
        let mut ok = Response::to_request(&request, 200, Some("t"));
        ok.headers.push(header::Name::Expires, "600");
        raw.send(&String::from_utf8(ok.to_bytes()).unwrap());
        let (cut, mut outputs) = (raw.now, raw.input(Input::TransportFailed { flow: over(connection) }));
        let lost = Output::Event(Event::RegistrationFailed { name: "a".to_owned(), status: 503 });
        assert!(outputs.contains(&lost), "it holds no more: {outputs:?}");
        outputs.extend(raw.run(0));
        while requests(&outputs).is_empty() {
            outputs = raw.run(100);
        }
        registers = requests(&outputs);
        pauses.push(raw.now.since(cut).as_secs_f64());
    }
    let fits = pauses.iter().zip([0.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]);
    let within = |pause: f64, base: f64| {
        let spread = if base == 0.0 { 1.0 } else { base / 2.0 };
        (base..=base + spread + 0.2).contains(&pause)
    };
    assert!(fits.clone().all(|(pause, base)| within(*pause, base)), "{pauses:?}");
    // What has held for a while was no fault of the registrar's.
    raw.over = Some(over(9));
    let mut ok = Response::to_request(&registers[0], 200, Some("t"));
    ok.headers.push(header::Name::Expires, "600");
    raw.send(&String::from_utf8(ok.to_bytes()).unwrap());
    raw.run(120_000);
    raw.input(Input::TransportFailed { flow: over(9) });
    assert_eq!(requests(&raw.run(1_000)).len(), 1, "it is made again at once");
}

/// A registrar that is started again takes the connections of all its trunks with it, each for the first time.
#[test]
fn registrations_that_are_cut_together_are_not_made_again_all_at_the_same_time() {
    let mut config = config(HERE);
    config.listeners[0].transport = Transport::Tcp;
    let mut raw = Raw::new(config);
    let over = Flow { listener: 0, transport: Transport::Tcp, remote: THERE.parse().unwrap(), connection: 1 };
    raw.over = Some(over);
    for number in 0..40 {
        let Command::Register { user, registrar, expires, persists, .. } = register_over_tcp() else { unreachable!() };
        let begin =
            Command::Register { name: format!("t{number}"), user, registrar, expires, persists, listener: None };
        let request = requests(&raw.input(Input::Command(begin))).pop().expect("a REGISTER");
        let mut ok = Response::to_request(&request, 200, Some("t"));
        ok.headers.push(header::Name::Expires, "600");
        raw.send(&String::from_utf8(ok.to_bytes()).unwrap());
    }
    raw.input(Input::TransportFailed { flow: over });
    let each: Vec<usize> = (0..10).map(|_| requests(&raw.run(100)).len()).collect();
    assert_eq!(each.iter().sum::<usize>(), 40, "all within a second: {each:?}");
    assert!(each.iter().all(|at_once| *at_once <= 12), "spread: {each:?}");
}

/// RFC 3261 §20.33: a registrar that says when to come again is not asked before, whatever the code; nor is it believed
/// for hours. What it grants counts even where somebody on the way has changed our address.
#[test]
fn a_registrar_says_when_to_come_again_and_for_how_long_it_is_content() {
    let rows = [
        (503, "", 2),
        (503, "Retry-After: 1", 2),
        (503, "Retry-After: 40", 40),
        (480, "Retry-After: 40 (in a while)", 40),
        (500, "Retry-After: 90000", 300),
        (200, "Contact: <sip:a@203.0.113.5:1024>;expires=60", 48),
        (200, "Contact: <sip:a@203.0.113.5:1024>;expires=60, <sip:a@203.0.113.6>;expires=20", 540),
        (200, "Expires: 100", 80),
    ];
    for (status, field, seconds) in rows {
        let mut raw = Raw::new(config(HERE));
        let request = requests(&raw.input(Input::Command(register("a")))).remove(0);
        let mut answer = Response::to_request(&request, status, Some("t"));
        if let Some((name, value)) = field.split_once(": ") {
            answer.headers.push(header::Name::from(name), value);
        }
        raw.send(&String::from_utf8(answer.to_bytes()).unwrap());
        assert_eq!(requests(&raw.run(seconds * 1_000 - 1)), [], "{status} {field}");
        assert_eq!(requests(&raw.run(2)).len(), 1, "{status} {field}");
    }
}

fn register_over_tcp() -> Command {
    let Command::Register { name, user, expires, persists, .. } = register("a") else { panic!() };
    let registrar = Uri::parse(&format!("sip:{THERE};transport=tcp")).unwrap();
    Command::Register { name, user, registrar, expires, persists, listener: None }
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
        [("<sip:pbx@10.0.0.2>", trunk.clone(), true), (stranger, Some(Source::Stranger), false)]
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

/// A carrier may challenge the BYE by which a restart ends a call that an earlier start left open: what answers
/// challenges is written down with the dialog, and where it is a password, only whose.
#[test]
fn a_bye_that_is_challenged_after_a_restart_is_answered() {
    let dialog = |account: Account| {
        let mut pair = Pair::with(config(HERE), config(THERE));
        let Command::Invite { leg, uri, flow, from, to, offer, headers, .. } = invite("<sip:a@b>") else { panic!() };
        let account = Some(account);
        pair.tell(0, Command::Invite { leg, uri, flow, from, to, offer, headers, account, listener: None });
        let called = pair.invited();
        pair.tell(1, Command::Answer { leg: called, body: Body::sdp("answer") });
        pair.run(100);
        match pair.take_events(0).pop() {
            Some(Event::Established { dialog, .. }) => serde_json::to_string(&dialog).unwrap(),
            other => panic!("{other:?}"),
        }
    };
    assert!(!dialog(account("pbx")).contains("secret of pbx"), "a password is not written down");
    let written = serde_json::from_str(&dialog(held())).unwrap();

    let mut config = config(HERE);
    config.trunk_realms = BTreeMap::from([(TrunkId::new("carrier"), "carrier".to_owned())]);
    let mut raw = Raw::new(config);
    raw.input(Input::Command(Command::Restore { leg: LegId(9), dialog: written }));
    let bye = requests(&raw.input(Input::Command(Command::HangUp { leg: LegId(9), reason: None }))).remove(0);
    let mut refusal = Response::to_request(&bye, 401, None);
    let challenge = digest::Challenge::new("carrier", "n", digest::Algorithm::Md5);
    refusal.headers.push(header::Name::WwwAuthenticate, challenge.to_string());
    let outputs = raw.send(&String::from_utf8(refusal.to_bytes()).unwrap());
    let Some(Output::Prove { query, held, user, .. }) = outputs.last() else { panic!("{outputs:?}") };
    assert_eq!((held.as_str(), user.as_str()), ("carrier", "pbx"));
    let login = digest::Login { user, password: "p" };
    let proof = challenge.answer(login, &Method::Bye, "sip:100@x", 1, "c");
    let again = requests(&raw.input(Input::Proven { query: *query, credentials: vec![proof] })).remove(0);
    assert_eq!(again.method, Method::Bye);
    assert!(again.headers.has(&header::Name::Authorization));
    assert!(again.headers.cseq().unwrap().number > bye.headers.cseq().unwrap().number);
}

fn held() -> Account {
    Account { user: "pbx".to_owned(), secret: Secret::Held("carrier".to_owned()), realms: Vec::new() }
}

/// The INVITE of a call over the carrier.
fn call_of_carrier(raw: &mut Raw) -> Request {
    let leg = raw.endpoint.next_leg();
    let (uri, from, to) = (Uri::parse("sip:1@10.0.0.2").unwrap(), address("<sip:a@b>"), address("<sip:1@c>"));
    let account = Some(held());
    let call =
        Command::Invite { leg, uri, flow: None, from, to, offer: None, headers: vec![], account, listener: None };
    requests(&raw.input(Input::Command(call))).remove(0)
}

/// Whether a challenge of this request in this realm is answered.
fn gets_proof(raw: &mut Raw, request: &Request, realm: &str) -> bool {
    let mut refusal = Response::to_request(request, 401, None);
    let challenge = digest::Challenge::new(realm, "n", digest::Algorithm::Md5);
    refusal.headers.push(header::Name::WwwAuthenticate, challenge.to_string());
    let outputs = raw.send(&String::from_utf8(refusal.to_bytes()).unwrap());
    outputs.iter().any(|output| matches!(output, Output::Prove { .. }))
}

/// Within a call the other party may ask for proofs as well, of a realm that he makes up: only that counts in which the
/// carrier has challenged us before, or which is set, also after a restart.
#[test]
fn within_a_call_only_the_carrier_s_own_realm_gets_proofs() {
    let carrier = TrunkId::new("carrier");
    // The realm that is set, that in which we were challenged before, that of the BYE; and whether it is answered.
    let rows = [
        (None, None, "carrier", false),
        (None, Some("carrier"), "carrier", true),
        (None, Some("carrier"), "guess", false),
        (Some("carrier"), None, "carrier", true),
        (Some("carrier"), None, "guess", false),
    ];
    for (set, before, asked, expect) in rows {
        for restarts in [false, true] {
            let mut config = config(HERE);
            config.trunk_peers = vec![(carrier.clone(), "10.0.0.2".parse().unwrap())];
            config.trunk_accounts = BTreeMap::from([(carrier.clone(), "pbx".to_owned())]);
            config.trunk_realms = set.map(|realm: &str| (carrier.clone(), realm.to_owned())).into_iter().collect();
            let mut raw = Raw::new(config.clone());
            if let Some(realm) = before {
                let invite = call_of_carrier(&mut raw);
                assert!(gets_proof(&mut raw, &invite, realm));
            }
            let outputs = raw.send(&ask("INVITE", "i", SDP, "v=0"));
            let invited =
                |o: &Output| if let Output::Event(Event::Invited { leg, .. }) = o { Some(*leg) } else { None };
            let leg = outputs.iter().find_map(invited).expect("a call");
            let answered = raw.input(Input::Command(Command::Answer { leg, body: Body::sdp("answer") }));
            let to = responses(&answered)[0].headers.get(&header::Name::To).unwrap().to_owned();
            let confirmed = raw.send(&ask("ACK", "k", &format!("To: {to}\n"), ""));
            let dialog = confirmed.iter().find_map(|output| match output {
                Output::Event(Event::Established { dialog, .. }) => Some(dialog.clone()),
                _ => None,
            });
            if restarts {
                raw = Raw::new(config);
                raw.input(Input::Command(Command::Restore { leg, dialog: dialog.expect("a dialog") }));
            }
            let bye = requests(&raw.input(Input::Command(Command::HangUp { leg, reason: None }))).remove(0);
            assert_eq!(gets_proof(&mut raw, &bye, asked), expect, "{set:?} {before:?} {asked} {restarts}");
        }
    }
}

/// A carrier may have a realm for registrations and others for calls, one for each of its hosts.
#[test]
fn every_realm_of_a_carrier_is_answered_where_something_begins_and_known_after_a_restart() {
    let mut raw = Raw::new(config(HERE));
    for number in 0..20 {
        let invite = call_of_carrier(&mut raw);
        assert!(gets_proof(&mut raw, &invite, &format!("host{number}")), "host{number}");
    }
    let kept = raw.endpoint.account_kept(Some(&held())).expect("an account");
    assert_eq!((kept.realms.len(), kept.realms.last().map(String::as_str)), (8, Some("host19")));
    let mut later = Raw::new(config(HERE));
    later.endpoint.learn_realms(Some(&kept));
    assert_eq!(later.endpoint.account_kept(Some(&held())), Some(kept));
}

/// The same in a call that the carrier brings, before and after a restart (§22.2: either side of a dialog may be asked).
#[test]
fn in_calls_that_a_trunk_brings_challenges_are_answered_too() {
    let mut config = config(HERE);
    let carrier = TrunkId::new("carrier");
    config.trunk_peers = vec![(carrier.clone(), "10.0.0.2".parse().unwrap())];
    config.trunk_accounts = BTreeMap::from([(carrier.clone(), "pbx".to_owned())]);
    config.trunk_realms = BTreeMap::from([(carrier, "carrier".to_owned())]);
    let mut raw = Raw::new(config.clone());
    let outputs = raw.send(&ask("INVITE", "i", SDP, "v=0"));
    let invited =
        |output: &Output| if let Output::Event(Event::Invited { leg, .. }) = output { Some(*leg) } else { None };
    let leg = outputs.iter().find_map(invited).expect("a call");
    let answered = raw.input(Input::Command(Command::Answer { leg, body: Body::sdp("answer") }));
    let to = responses(&answered)[0].headers.get(&header::Name::To).unwrap().to_owned();
    let confirmed = raw.send(&ask("ACK", "k", &format!("To: {to}\n"), ""));
    let dialog = confirmed.iter().find_map(|output| match output {
        Output::Event(Event::Established { dialog, .. }) => Some(serde_json::to_string(dialog).unwrap()),
        _ => None,
    });
    let mut restarted = Raw::new(config);
    let dialog = serde_json::from_str(&dialog.expect("a dialog")).unwrap();
    restarted.input(Input::Command(Command::Restore { leg, dialog }));
    for mut raw in [raw, restarted] {
        let bye = requests(&raw.input(Input::Command(Command::HangUp { leg, reason: None }))).remove(0);
        let mut refusal = Response::to_request(&bye, 407, None);
        let challenge = digest::Challenge::new("carrier", "n", digest::Algorithm::Md5);
        refusal.headers.push(header::Name::ProxyAuthenticate, challenge.to_string());
        let outputs = raw.send(&String::from_utf8(refusal.to_bytes()).unwrap());
        let Some(Output::Prove { query, held, user, .. }) = outputs.last() else { panic!("{outputs:?}") };
        assert_eq!((held.as_str(), user.as_str()), ("carrier", "pbx"));
        let proof = challenge.answer(digest::Login { user, password: "p" }, &Method::Bye, "sip:bob@x", 1, "c");
        let again = requests(&raw.input(Input::Proven { query: *query, credentials: vec![proof] })).remove(0);
        assert!(again.method == Method::Bye && again.headers.has(&header::Name::ProxyAuthorization));
    }
}

/// What the shell says about an attempt that was given up does not touch the next one of the same leg.
#[test]
fn late_answers_of_the_shell_do_not_touch_the_next_attempt() {
    let place = |at: &str| Place { transport: Transport::Udp, remote: at.parse().unwrap(), connection: 0 };
    let to = |host: &str| match invite("<sip:a@b>") {
        Command::Invite { leg, flow, from, to, offer, headers, account, .. } => {
            let uri = Uri::parse(&format!("sip:100@{host}")).unwrap();
            Input::Command(Command::Invite { leg, uri, flow, from, to, offer, headers, account, listener: None })
        }
        other => panic!("{other:?}"),
    };
    let hang_up = || Input::Command(Command::HangUp { leg: LegId(77), reason: None });
    let asked = |outputs: &[Output]| {
        let number = outputs.iter().find_map(|output| match output {
            Output::Resolve { query, .. } | Output::Prove { query, .. } => Some(*query),
            _ => None,
        });
        number.expect("a question")
    };
    let calls = |outputs: &[Output]| requests(outputs).into_iter().filter(is(Method::Invite)).count();
    // A name that is found too late, and one that is not.
    for flows in [vec![place("10.0.0.8:5060")], vec![]] {
        let mut raw = Raw::new(config(HERE));
        let first = asked(&raw.input(to("one.example")));
        raw.input(hang_up());
        let second = asked(&raw.input(to("two.example")));
        assert_eq!(raw.input(Input::Resolved { query: first, flows }), [], "the first is over");
        assert_eq!(calls(&raw.input(Input::Resolved { query: second, flows: vec![place(THERE)] })), 1);
    }
    // A password that is given too late, and one that we do not have.
    for has in [true, false] {
        let mut raw = Raw::new(config(HERE));
        let sent = requests(&raw.input(to(THERE))).remove(0);
        let mut refusal = Response::to_request(&sent, 401, Some("x"));
        let challenge = digest::Challenge::new("carrier", "n", digest::Algorithm::Md5);
        refusal.headers.push(header::Name::WwwAuthenticate, challenge.to_string());
        let query = asked(&raw.send(&String::from_utf8(refusal.to_bytes()).unwrap()));
        raw.input(hang_up());
        assert_eq!(calls(&raw.input(to("10.0.0.9"))), 1);
        let login = digest::Login { user: "pbx", password: "p" };
        let proof = challenge.answer(login, &Method::Invite, "sip:100@x", 1, "c");
        let late = raw.input(Input::Proven { query, credentials: has.then_some(proof).into_iter().collect() });
        assert_eq!(late, [], "the first is over");
        assert_eq!(raw.endpoint.stats().legs, 1, "the second goes on");
    }
}

/// The end of an INVITE that was given up comes when the next one has already been answered: that call goes on.
#[test]
fn the_late_end_of_an_attempt_does_not_end_the_call_that_followed() {
    let mut pair = Pair::with(config(HERE), config(THERE));
    pair.tell(0, invite("<sip:a@b>"));
    pair.run(100);
    pair.loss = Box::new(|_, line| line.contains("CANCEL") || line.contains("487"));
    pair.tell(0, Command::HangUp { leg: LegId(77), reason: None });
    pair.tell(0, invite("<sip:a@b>"));
    pair.run(50);
    let called = pair.take_events(1).into_iter().filter_map(|event| match event {
        Event::Invited { leg, .. } => Some(leg),
        _ => None,
    });
    let second = called.last().expect("a second call");
    pair.tell(1, Command::Answer { leg: second, body: Body::sdp("answer") });
    pair.run(100);
    assert!(matches!(&pair.take_events(0)[..], [Event::Established { .. }]));
    pair.loss = Box::new(|_, _| false);
    pair.run(40_000);
    assert_eq!(pair.take_events(0), []);
    assert!(pair.sides[0].dialog(LegId(77)).is_some(), "the call goes on");
}

#[test]
fn a_probe_is_answered_by_any_answer_and_by_none() {
    let mut pair = Pair::with(config(HERE), config(THERE));
    let uri = Uri::parse(&format!("sip:{THERE}")).unwrap();
    pair.tell(0, Command::Probe { id: 1, uri: uri.clone(), listener: None });
    pair.run(100);
    assert_eq!(pair.take_events(0), [Event::Probed { id: 1, answered: true }]);
    pair.loss = Box::new(|_, _| true);
    pair.tell(0, Command::Probe { id: 2, uri, listener: None });
    pair.run(33_000);
    assert_eq!(pair.take_events(0), [Event::Probed { id: 2, answered: false }]);
    pair.assert_quiet();
}
