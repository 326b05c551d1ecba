//! Who guesses passwords: slowed, banned, dropped unread; and whom that must not touch.

use super::phones::Phone;
use super::*;
use crate::ids::TrunkId;
use crate::sip::header::Name;

const ATTACKER: &str = "198.51.100.7:5060";

/// A REGISTER of `user` from `from` with a password that is wrong; the statuses that answer it.
fn guess(phone: &mut Phone, from: &str, user: &str) -> Vec<u16> {
    phone.raw.from = from.parse().unwrap();
    phone.renew();
    statuses(&wrong(phone, user))
}

fn wrong(phone: &mut Phone, user: &str) -> Vec<Output> {
    let outputs = phone.claim(user, "wrong");
    let asked = outputs.iter().find_map(|output| match output {
        Output::Verify { query, .. } => Some(*query),
        _ => None,
    });
    match asked {
        Some(query) => phone.raw.input(Input::Verified { query, ok: false }),
        None => outputs,
    }
}

/// Twelve guesses in a row, half a minute apart where nothing else is said.
fn guesses(phone: &mut Phone, user: &str, pause_ms: u64) -> Vec<Vec<u16>> {
    let mut said = Vec::new();
    for _ in 0..12 {
        phone.raw.from = ATTACKER.parse().unwrap();
        let challenged = statuses(&phone.plain("REGISTER", "", ""));
        if challenged.is_empty() {
            said.push(challenged);
            continue;
        }
        said.push(guess(phone, ATTACKER, user));
        phone.raw.run(pause_ms);
    }
    said
}

#[test]
fn who_guesses_is_slowed_then_dropped_unread_and_heard_again_later() {
    let mut phone = Phone::new();
    let said = guesses(&mut phone, "1001", 0);
    assert_eq!(said[..4], vec![vec![401]; 4], "the first are heard at once");
    assert_eq!(said[4..], vec![vec![503]; 8], "the next must wait");
    let stats = phone.raw.endpoint.stats();
    assert_eq!((stats.auth_failures["wrong"], stats.auth_failures["too_soon"]), (4, 8));

    let mut phone = Phone::new();
    let said = guesses(&mut phone, "1001", 65_000);
    assert_eq!(said[..10], vec![vec![401]; 10]);
    assert_eq!(said[10..], vec![Vec::<u16>::new(); 2], "banned");
    let stats = phone.raw.endpoint.stats();
    assert_eq!(stats.bans, [Bans { now: 1, total: 1 }; 2]);
    assert_eq!(stats.banned, 2);
    // What is dropped is not even read: bytes that are no SIP are not counted as such.
    let flow = Flow::udp(0, ATTACKER.parse().unwrap());
    assert_eq!(phone.raw.input(Input::Received { flow, bytes: b"garbage".to_vec() }), []);
    assert_eq!(phone.raw.endpoint.stats().refusals, BTreeMap::new());
    phone.raw.run(600_000);
    assert_eq!(phone.raw.endpoint.stats().bans, [Bans { now: 0, total: 1 }; 2]);
    assert_eq!(guess(&mut phone, ATTACKER, "1001"), [401]);
}

/// Somebody else guesses where a caller is: he goes on talking, hangs up, and is heard to answer our BYE.
#[test]
fn a_call_that_runs_goes_on_although_its_address_is_banned() {
    let mut phone = Phone::new();
    let begin = |phone: &mut Phone, number: u32| {
        phone.raw.from = ATTACKER.parse().unwrap();
        let text =
            ask("INVITE", &format!("i{number}"), SDP, "v=0").replace("Call-ID: c1", &format!("Call-ID: n{number}"));
        let outputs = phone.raw.send(&text);
        let invited = |o: &Output| if let Output::Event(Event::Invited { leg, .. }) = o { Some(*leg) } else { None };
        let leg = outputs.iter().find_map(invited).expect("a call");
        let outputs = phone.raw.input(Input::Command(Command::Answer { leg, body: Body::sdp("answer") }));
        let to = responses(&outputs)[0].headers.get(&Name::To).unwrap().to_owned();
        (leg, to)
    };
    let within = |phone: &mut Phone, (number, to): (u32, &str), method: &str, cseq: u32| {
        phone.raw.from = ATTACKER.parse().unwrap();
        let more = format!("To: {to}\nCSeq: {cseq} {method}\n");
        phone.raw.send(
            &ask(method, &format!("w{number}{method}"), &more, "")
                .replace("Call-ID: c1", &format!("Call-ID: n{number}")),
        )
    };
    // Two who have not been answered yet.
    for number in [4, 5] {
        phone.raw.from = ATTACKER.parse().unwrap();
        let text = ask("INVITE", &format!("i{number}"), SDP, "v=0");
        phone.raw.send(&text.replace("Call-ID: c1", &format!("Call-ID: n{number}")));
    }
    let (first, second) = (begin(&mut phone, 1), begin(&mut phone, 2));
    within(&mut phone, (1, &first.1), "ACK", 1);
    within(&mut phone, (2, &second.1), "ACK", 1);
    guesses(&mut phone, "1001", 65_000);
    assert_eq!(phone.raw.endpoint.stats().bans[0].now, 1);
    phone.raw.from = ATTACKER.parse().unwrap();
    assert_eq!(statuses(&phone.raw.send(&ask("OPTIONS", "o", "", ""))), [0u16; 0], "he is banned");
    assert_eq!(
        statuses(&within(&mut phone, (3, &first.1), "BYE", 2)),
        [0u16; 0],
        "and a call that there is not is no call"
    );
    assert_eq!(statuses(&within(&mut phone, (1, &first.1), "BYE", 2)), [200]);
    let bye = requests(&phone.raw.input(Input::Command(Command::HangUp { leg: second.0, reason: None }))).remove(0);
    let ok = String::from_utf8(Response::to_request(&bye, 200, None).to_bytes()).unwrap();
    phone.raw.from = ATTACKER.parse().unwrap();
    phone.raw.send(&ok);
    let of = |number: u32, method: &str, to: &str| {
        let more = format!("CSeq: 1 {method}\n{to}");
        ask(method, &format!("i{number}"), &more, "").replace("Call-ID: c1", &format!("Call-ID: n{number}"))
    };
    let given_up = phone.raw.send(&of(4, "CANCEL", ""));
    assert_eq!(statuses(&given_up), [200, 487], "who has not been answered may give up");
    let to = responses(&given_up)[1].headers.get(&Name::To).unwrap().to_owned();
    phone.raw.send(&of(4, "ACK", &format!("To: {to}\n")));
    assert_eq!(statuses(&phone.raw.send(&of(6, "CANCEL", ""))), [0u16; 0], "of no call");
    let later = phone.raw.run(33_000);
    assert_eq!((requests(&later), statuses(&later)), (vec![], vec![]), "the answer to our BYE was heard, and the ACK");
}

#[test]
fn an_unknown_user_meets_the_same() {
    for pause_ms in [0, 900, 65_000] {
        let run = |user: &str| {
            let mut phone = Phone::new();
            (guesses(&mut phone, user, pause_ms), phone.raw.endpoint.stats().auth_failures)
        };
        assert_eq!(run("1001"), run("7777"), "{pause_ms} ms");
    }
}

#[test]
fn who_must_wait_is_told_how_long_and_may_then_come_in() {
    let mut phone = Phone::new();
    for _ in 0..4 {
        assert_eq!(guess(&mut phone, ATTACKER, "1001"), [401]);
    }
    let outputs = phone.proven("REGISTER", "1001", "", 1);
    assert_eq!(statuses(&outputs), [503]);
    assert_eq!(responses(&outputs)[0].headers.get(&Name::RetryAfter), Some("1"));
    phone.raw.run(1_000);
    assert_eq!(statuses(&phone.proven("REGISTER", "1001", "", 1)), [200], "he had only mistyped it");
}

#[test]
fn a_working_phone_is_not_locked_out_by_an_attack_from_elsewhere_or_beside_it() {
    let mut phone = Phone::new();
    let (own, beside) = ("192.0.2.1:5060", "192.0.2.1:40000");
    phone.raw.from = own.parse().unwrap();
    phone.renew();
    assert_eq!(statuses(&phone.proven("REGISTER", "1001", "Expires: 3600\n", 1)), [200]);
    // From many addresses at once: no address is banned, the user is, for all but his own place.
    for n in 1..=12 {
        guess(&mut phone, &format!("198.51.100.{n}:5060"), "1001");
        phone.raw.run(40_000);
    }
    assert_eq!(phone.raw.endpoint.stats().bans, [Bans { now: 0, total: 0 }, Bans { now: 1, total: 1 }]);
    phone.raw.from = "203.0.113.9:5060".parse().unwrap();
    phone.renew();
    assert_eq!(statuses(&phone.proven("REGISTER", "1001", "", 1)), [401], "the right password from a new place");
    assert!(phone.raw.endpoint.stats().auth_failures.contains_key("banned"));
    phone.raw.from = own.parse().unwrap();
    phone.renew();
    assert_eq!(statuses(&phone.proven("REGISTER", "1001", "Expires: 3600\n", 1)), [200], "his own phone");
    // From behind his own NAT: the address is banned, the registered flow goes on.
    for _ in 0..10 {
        guess(&mut phone, beside, "1002");
        phone.raw.run(40_000);
    }
    assert_eq!(phone.raw.endpoint.stats().bans[0].now, 1);
    phone.raw.from = beside.parse().unwrap();
    assert_eq!(phone.plain("REGISTER", "", ""), [], "the neighbour");
    phone.raw.from = own.parse().unwrap();
    phone.renew();
    assert_eq!(statuses(&phone.proven("REGISTER", "1001", "", 1)), [200]);
}

#[test]
fn nobody_can_be_made_to_fail_by_his_address() {
    let mut phone = Phone::new();
    let victim = "192.0.2.1:5060".parse().unwrap();
    for _ in 0..20 {
        // The attacker fetches a nonce himself and puts the victim's address on what follows.
        phone.raw.from = ATTACKER.parse().unwrap();
        phone.renew();
        phone.raw.from = victim;
        let outputs = wrong(&mut phone, "1001");
        assert_eq!(statuses(&outputs), [401]);
        phone.plain("REGISTER", "Authorization: Digest nonsense\n", "");
    }
    let stats = phone.raw.endpoint.stats();
    assert_eq!((stats.bans, stats.stale_nonces), ([Bans::default(); 2], 20));
    assert_eq!(stats.auth_failures, BTreeMap::from([("malformed".to_owned(), 20)]));
}

#[test]
fn a_trusted_network_may_fail_as_it_likes() {
    let mut phone = Phone::new();
    phone.raw.endpoint.config.guard.trusted = vec!["198.51.100.0/24".parse().unwrap()];
    assert_eq!(guesses(&mut phone, "1001", 0), vec![vec![401]; 12]);
    assert_eq!(phone.raw.endpoint.stats().bans, [Bans::default(); 2]);
}

/// Whoever guesses beside a carrier must not cut its calls, and must not guess on for that.
#[test]
fn a_carrier_is_heard_although_its_address_is_banned_and_who_guesses_beside_it_is_not() {
    let carrier = TrunkId::new("carrier");
    let mut phone = Phone::new();
    let call = |phone: &mut Phone, id: &str| {
        let asked = ask("INVITE", id, SDP, "offer").replace("Call-ID: c1", &format!("Call-ID: {id}"));
        let outputs = phone.raw.send(&asked);
        outputs.into_iter().find_map(|output| match output {
            Output::Event(Event::Invited { source, .. }) => Some(source),
            _ => None,
        })
    };
    // Whose address it is decides: a network, one address, nobody.
    for (peer, heard) in [("198.51.100.0/24", true), ("198.51.100.7", true), ("203.0.113.0/24", false)] {
        phone = Phone::new();
        phone.raw.endpoint.config.trunk_peers = vec![(carrier.clone(), peer.parse().unwrap())];
        let said = guesses(&mut phone, "1001", 65_000);
        assert_eq!(said[..10], vec![vec![401]; 10], "{peer}");
        assert_eq!(phone.raw.endpoint.stats().bans[0].now, 1, "{peer}");
        phone.raw.from = ATTACKER.parse().unwrap();
        let source = call(&mut phone, "one");
        assert_eq!(source, heard.then(|| Source::Trunk(carrier.clone())), "{peer}");
        if heard {
            let banned = |phone: &Phone| phone.raw.endpoint.stats().auth_failures["banned"];
            let before = banned(&phone);
            phone.renew();
            let outputs = phone.proven("REGISTER", "1002", "To: <sip:1002@10.0.0.1>\n", 1);
            assert_eq!(statuses(&outputs), [401], "{peer}: not even the right password counts from there");
            assert_eq!(banned(&phone), before + 1, "{peer}");
        }
    }
    phone.raw.run(600_000);
    assert!(call(&mut phone, "two").is_some(), "a stranger again");
}

/// The flow that we have registered over is heard: the carrier's calls come over it.
#[test]
fn our_own_registration_is_heard_although_its_address_is_banned() {
    let mut pair = Pair::with(config(HERE), Config { users: ["a".to_owned()].into(), ..config(THERE) });
    pair.tell(
        0,
        Command::Register {
            name: "carrier".to_owned(),
            user: account("a"),
            registrar: Uri::parse(&format!("sip:{THERE}")).unwrap(),
            expires: 600,
            persists: true,
            listener: None,
        },
    );
    pair.run(100);
    let there: SocketAddr = THERE.parse().unwrap();
    let (now, limit) = (pair.now, pair.sides[0].config.guard.limit);
    let settings = pair.sides[0].config.guard.clone();
    (0..limit).for_each(|_| pair.sides[0].guard.failed(now, &settings, (there.ip(), "x")));
    for (from, heard) in [(there, true), (SocketAddr::new(there.ip(), 40_000), false)] {
        let bytes = ask("OPTIONS", &from.port().to_string(), "", "").replace('\n', "\r\n").into_bytes();
        pair.sides[0].handle(now, Input::Received { flow: Flow::udp(0, from), bytes });
        let answered = std::iter::from_fn(|| pair.sides[0].poll()).count();
        assert_eq!(answered > 0, heard, "from {from}");
    }
}

/// A phone's own flow is its own: what comes over it is heard whatever was guessed before. A proxy's is not: others come
/// over it too (RFC 3327), and guess.
#[test]
fn who_guesses_behind_the_same_proxy_as_a_phone_must_wait_like_others() {
    for (path, heard) in [("", true), ("Path: <sip:p.example.com;lr>\n", false)] {
        let mut phone = Phone::new();
        assert_eq!(statuses(&phone.proven("REGISTER", "1001", path, 1)), [200]);
        let here = phone.raw.from.to_string();
        let said: Vec<Vec<u16>> = (0..8).map(|_| guess(&mut phone, &here, "1001")).collect();
        let expected: Vec<Vec<u16>> = (0..8).map(|n| vec![if heard || n < 4 { 401 } else { 503 }]).collect();
        assert_eq!(said, expected, "{path}");
    }
}

/// Where trunks prove themselves by Digest nobody can find out the names of their users, nor those of agents: whoever
/// says that he is from here is asked, whoever is from elsewhere is a stranger, and guesses are met alike.
#[test]
fn users_of_trunks_look_like_unknown_ones() {
    let run = |name: &str, host: &str, guesses: bool| {
        let mut phone = Phone::new();
        phone.raw.endpoint.config.trunk_users = BTreeMap::from([("pbx".to_owned(), TrunkId::new("carrier"))]);
        let from = format!("sip:{name}@{host}");
        let mut said = Vec::new();
        for _ in 0..if guesses { 8 } else { 1 } {
            phone.renew();
            let outputs = match guesses {
                true => phone.mistaken(name, &from),
                false => phone.plain("INVITE", &format!("Contact: <sip:{name}@10.0.0.2:5062>\n"), &from),
            };
            let let_in =
                outputs.iter().any(|o| matches!(o, Output::Event(Event::Invited { source: Source::Stranger, .. })));
            said.push((statuses(&outputs), let_in));
            phone.raw.run(900);
        }
        (said, phone.raw.endpoint.stats().auth_failures)
    };
    for (host, guesses, first) in [("10.0.0.1", false, 401), ("elsewhere.example", false, 100), ("10.0.0.1", true, 401)]
    {
        let of_nobody = run("nobody", host, guesses);
        let (statuses, let_in) = &of_nobody.0[0];
        assert_eq!((statuses.last(), *let_in), (Some(&first), first == 100), "{host}");
        for name in ["pbx", "1001"] {
            assert_eq!(run(name, host, guesses), of_nobody, "{name}@{host}");
        }
    }
}

/// A trunk that has proven itself from its place goes on from there while others guess its password, also after a new
/// configuration.
#[test]
fn a_trunk_that_proves_itself_is_not_locked_out_by_an_attack_from_elsewhere() {
    let mut phone = Phone::new();
    phone.raw.endpoint.config.trunk_users = BTreeMap::from([("pbx".to_owned(), TrunkId::new("carrier"))]);
    let home = "192.0.2.1:5060".parse().unwrap();
    let call = |phone: &mut Phone| {
        phone.raw.from = home;
        phone.renew();
        let outputs = phone.proven("INVITE", "pbx", "", 1);
        outputs.into_iter().find_map(|output| match output {
            Output::Event(Event::Invited { source, .. }) => Some(source),
            _ => None,
        })
    };
    let trunk = Some(Source::Trunk(TrunkId::new("carrier")));
    assert_eq!(call(&mut phone), trunk);
    for n in 1..=12 {
        guess(&mut phone, &format!("198.51.100.{n}:5060"), "pbx");
        phone.raw.run(40_000);
    }
    assert_eq!(phone.raw.endpoint.stats().bans, [Bans { now: 0, total: 0 }, Bans { now: 1, total: 1 }]);
    let config = phone.raw.endpoint.config.clone();
    phone.raw.input(Input::Command(Command::Configure(config)));
    assert_eq!(call(&mut phone), trunk);
    // One whose account is gone is nobody any more.
    phone.raw.endpoint.config.trunk_users.clear();
    let config = phone.raw.endpoint.config.clone();
    phone.raw.input(Input::Command(Command::Configure(config)));
    assert_eq!(call(&mut phone), None);
}
