//! Phones that register, prove who they are, vanish and come back.

use super::*;
use crate::sip::header::Name;

/// A center with users 1001 and 1002, and their passwords in `Pair`.
pub(super) fn center() -> Config {
    let mut config = config(THERE);
    config.users = ["1001", "1002"].map(str::to_owned).into();
    config.domains = vec!["Center.Example".to_owned()];
    config
}

fn register(expires: u32) -> Command {
    Command::Register {
        name: String::new(),
        user: account("1001"),
        registrar: Uri::parse(&format!("sip:{THERE}")).unwrap(),
        expires,
        persists: false,
        listener: None,
    }
}

fn registered(center: Config) -> Pair {
    let mut pair = Pair::with(config(HERE), center);
    pair.tell(0, register(600));
    pair.run(100);
    pair
}

#[test]
fn a_phone_registers_refreshes_and_leaves() {
    let mut pair = registered(center());
    let once = ["> REGISTER", "< 401 REGISTER", "> REGISTER", "< 200 REGISTER"];
    assert_eq!(pair.take_ladder(), once);
    assert_eq!(pair.take_events(0), [Event::Registered { name: String::new(), expires: 600 }]);
    let events = pair.take_events(1);
    assert!(
        matches!(&events[..], [Event::Bound { user, binding }]
        if user == "1001" && binding.contact.uri.to_string() == format!("sip:1001@{HERE}")
            && binding.flow.remote == HERE.parse().unwrap() && binding.alive && binding.q == 1000),
        "{events:?}"
    );
    pair.run(539_000);
    assert_eq!(pair.take_ladder(), Vec::<String>::new());
    pair.run(2_000);
    assert_eq!(pair.take_ladder(), once, "refreshed a minute early");
    assert!(matches!(&pair.take_events(1)[..], [Event::Bound { .. }]));
    assert_eq!(pair.sides[1].bindings("1001").count(), 1);
    pair.take_events(0);
    pair.tell(0, Command::Unregister { name: String::new() });
    pair.run(100);
    assert_eq!(pair.take_events(0), [Event::Registered { name: String::new(), expires: 0 }]);
    assert!(matches!(&pair.take_events(1)[..], [Event::Unbound { why: UnboundCause::Removed, .. }]));
    pair.assert_quiet();
}

#[test]
fn a_registration_that_is_not_refreshed_expires() {
    let mut pair = registered(center());
    pair.loss = Box::new(|side, _| side == 0);
    pair.take_events(1);
    pair.run(599_000);
    assert_eq!(pair.take_events(1), []);
    pair.run(1_100);
    assert!(
        matches!(&pair.take_events(1)[..], [Event::Unbound { user, why: UnboundCause::Expired, .. }] if user == "1001")
    );
    let failed = Event::RegistrationFailed { name: String::new(), status: 408 };
    assert!(pair.take_events(0).contains(&failed));
    // The network is back: the phone comes back by itself.
    pair.loss = Box::new(|_, _| false);
    pair.run(100_000);
    assert!(matches!(&pair.take_events(1)[..], [Event::Bound { .. }]));
}

#[test]
fn wrong_passwords_and_unknown_users_look_alike() {
    let mut answers = Vec::new();
    for user in ["1002", "7777"] {
        let mut pair = Pair::with(config(HERE), center());
        let wrong = Account::new(user, "wrong");
        let registrar = Uri::parse(&format!("sip:{THERE}")).unwrap();
        pair.tell(
            0,
            Command::Register {
                name: String::new(),
                user: wrong,
                registrar,
                expires: 600,
                persists: false,
                listener: None,
            },
        );
        pair.run(100);
        assert_eq!(pair.take_events(0), [Event::RegistrationFailed { name: String::new(), status: 401 }], "{user}");
        assert_eq!(pair.take_events(1), []);
        assert_eq!(pair.sides[1].stats().auth_failures, BTreeMap::from([("wrong".to_owned(), 1)]));
        answers.push(pair.take_ladder());
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], ["> REGISTER", "< 401 REGISTER", "> REGISTER", "< 401 REGISTER"]);
}

#[test]
fn too_short_registrations_are_told_the_minimum() {
    let mut pair = Pair::with(config(HERE), center());
    pair.tell(0, register(20));
    pair.run(200);
    assert_eq!(pair.take_events(0), [Event::Registered { name: String::new(), expires: 60 }]);
    assert!(pair.take_ladder().contains(&"< 423 REGISTER".to_owned()));
    pair.tell(0, register(100_000));
    pair.run(200);
    assert_eq!(pair.take_events(0), [Event::Registered { name: String::new(), expires: 3600 }]);
}

/// A registrar that wants more each time is not asked again and again at once.
#[test]
fn a_minimum_that_rises_each_time_is_a_failure() {
    let mut raw = Raw::new(config(HERE));
    let mut outputs = raw.input(Input::Command(register(20)));
    let mut asked = 0;
    while let Some(request) = requests(&outputs).pop() {
        asked += 1;
        assert!(asked < 10, "it is asked again and again");
        let mut response = Response::to_request(&request, 423, Some("t"));
        response.headers.push(Name::MinExpires, (100 + asked).to_string());
        outputs = raw.input(Input::Received { flow: Flow::udp(0, THERE.parse().unwrap()), bytes: response.to_bytes() });
    }
    let failed = Event::RegistrationFailed { name: String::new(), status: 423 };
    assert_eq!((asked, outputs), (3, vec![Output::Event(failed)]));
}

pub(super) fn binding(user: String, contact: NameAddr, flow: Flow, call_id: String, expires: Instant) -> Binding {
    let (path, instance, reg_id, seed) = (Vec::new(), None, None, None);
    let bound = None;
    Binding {
        user,
        contact,
        flow,
        q: 1000,
        call_id,
        cseq: 1,
        expires,
        alive: true,
        path,
        instance,
        reg_id,
        seed,
        bound,
    }
}

/// A phone made of raw REGISTERs, to send what ours never would.
pub(super) struct Phone {
    pub raw: Raw,
    pub cseq: u32,
    count: u32,
    nonce: String,
    pub call_id: &'static str,
}

impl Phone {
    pub fn new() -> Phone {
        let mut config = center();
        config.listeners = vec![Listener::udp(HERE.parse().unwrap())];
        let mut phone = Phone { raw: Raw::new(config), cseq: 0, count: 0, nonce: String::new(), call_id: "c1" };
        phone.renew();
        phone
    }

    /// Gets a new nonce.
    pub fn renew(&mut self) {
        let outputs = self.plain("REGISTER", "", "");
        let response = responses(&outputs).pop().unwrap();
        let challenge = response.headers.get(&Name::WwwAuthenticate).unwrap();
        (self.nonce, self.count) = (digest::Challenge::parse(challenge).unwrap().nonce, 0);
    }

    pub fn plain(&mut self, method: &str, more: &str, from: &str) -> Vec<Output> {
        self.cseq += 1;
        let branch = format!("p{}", self.cseq);
        let to = match method {
            _ if more.contains("To: ") => "",
            "REGISTER" => "To: <sip:1001@10.0.0.1>\n",
            _ => "To: <sip:100@10.0.0.1>\n",
        };
        let contact =
            if more.contains("Contact:") || method == "INVITE" { "" } else { "Contact: <sip:1001@10.0.0.2:5062>\n" };
        let text = ask(method, &branch, &format!("{to}{contact}CSeq: {} {method}\n{more}", self.cseq), "");
        let from = if from.is_empty() { "sip:1001@10.0.0.1" } else { from };
        self.raw.send(
            &text
                .replace("sip:bob@example.org", from)
                .replace("Contact: none\n", "")
                .replace("Call-ID: c1", &format!("Call-ID: {}", self.call_id)),
        )
    }

    /// A REGISTER with the credentials of somebody who thinks that this is the password.
    pub fn claim(&mut self, user: &str, password: &str) -> Vec<Output> {
        self.count += 1;
        let challenge = digest::Challenge::new("test", &self.nonce, digest::Algorithm::Md5);
        let login = digest::Login { user, password };
        let credentials = challenge.answer(login, &Method::Register, "sip:100@10.0.0.1", self.count, "c");
        let address = format!("sip:{user}@10.0.0.1");
        self.plain("REGISTER", &format!("To: <{address}>\nAuthorization: {credentials}\n"), &address)
    }

    /// A call in somebody's name with a wrong password, and what becomes of it.
    pub fn mistaken(&mut self, user: &str, from: &str) -> Vec<Output> {
        self.count += 1;
        let challenge = digest::Challenge::new("test", &self.nonce, digest::Algorithm::Md5);
        let login = digest::Login { user, password: "wrong" };
        let credentials = challenge.answer(login, &Method::Invite, "sip:100@10.0.0.1", self.count, "c");
        let outputs = self.plain("INVITE", &format!("Authorization: {credentials}\n"), from);
        let asked = outputs.iter().find_map(|output| match output {
            Output::Verify { query, .. } => Some(*query),
            _ => None,
        });
        asked.map_or(outputs, |query| self.raw.input(Input::Verified { query, ok: false }))
    }

    /// With credentials of `user`; `count` is added to the nonce count.
    pub fn proven(&mut self, method: &str, user: &str, more: &str, count: u32) -> Vec<Output> {
        self.count += count;
        let challenge = digest::Challenge::new("test", &self.nonce, digest::Algorithm::Md5);
        let password = format!("secret of {user}");
        let login = digest::Login { user, password: &password };
        let credentials = challenge.answer(login, &Method::from(method), "sip:100@10.0.0.1", self.count, "c");
        let from = format!("sip:{user}@10.0.0.1");
        let outputs = self.plain(method, &format!("Authorization: {credentials}\n{more}"), &from);
        let asked = outputs.iter().find_map(|output| match output {
            Output::Verify { query, credentials, method } => Some((*query, credentials.clone(), method.clone())),
            _ => None,
        });
        let Some((query, credentials, method)) = asked else { return outputs };
        let ha1 = digest::ha1(credentials.algorithm, user, "test", &password);
        self.raw.input(Input::Verified { query, ok: credentials.verify(&ha1, &method) })
    }

    pub fn contacts(&self) -> Vec<String> {
        self.raw.endpoint.bindings("1001").map(|binding| binding.contact.uri.to_string()).collect()
    }
}

#[test]
fn what_a_register_does() {
    let one = "Contact: <sip:1001@10.0.0.2:5062>;q=0.5\n";
    let two = "Contact: <sip:1001@10.0.0.3>;expires=120\n";
    let here = "sip:1001@10.0.0.2:5062";
    let rows: [(&str, u16, &[&str]); 13] = [
        (one, 200, &[here]),
        ("Contact: none\n", 200, &[here]), // A query.
        (two, 200, &[here, "sip:1001@10.0.0.3"]),
        ("Contact: <sip:1001@10.0.0.4>;expires=10\n", 423, &[here, "sip:1001@10.0.0.3"]),
        ("Contact: <sip:1001@10.0.0.4>, <sip:1001@10.0.0.5>;expires=3\n", 423, &[here, "sip:1001@10.0.0.3"]),
        ("Contact: <mailto:ada@example.org>\n", 400, &[here, "sip:1001@10.0.0.3"]),
        ("Contact: *\n", 400, &[here, "sip:1001@10.0.0.3"]),
        ("Contact: *\nExpires: 600\n", 400, &[here, "sip:1001@10.0.0.3"]),
        ("Contact: <sip:1001@10.0.0.2:5062>\nExpires: 0\n", 200, &["sip:1001@10.0.0.3"]),
        ("Contact: <sip:1001@10.0.0.9>\nExpires: 0\n", 200, &["sip:1001@10.0.0.3"]),
        ("Contact: *\nExpires: 0\n", 200, &[]),
        ("Contact: <sip:1001@10.0.0.7>, <sip:1001@10.0.0.7>\n", 200, &["sip:1001@10.0.0.7"]), // Named twice, there once.
        ("Contact: *\nExpires: 0\n", 200, &[]),
    ];
    let mut phone = Phone::new();
    for (more, status, contacts) in rows {
        let outputs = phone.proven("REGISTER", "1001", more, 1);
        assert_eq!(statuses(&outputs), [status], "{more}");
        assert_eq!(phone.contacts(), contacts, "{more}");
        let response = &responses(&outputs)[0];
        match status {
            200 => assert_eq!(response.headers.all(&Name::Contact).count(), contacts.len(), "{more}"),
            423 => assert_eq!(response.headers.get(&Name::MinExpires), Some("60")),
            _ => {}
        }
    }
}

/// RFC 3261 §11.2: while no calls are taken, OPTIONS of a proxy say so, also where phones have registered through it. A phone
/// only asks whether its way is still there.
#[test]
fn a_proxy_is_told_that_no_calls_are_taken_and_a_phone_that_we_are_there() {
    for (path, status) in [("", 200), ("Supported: path\nPath: <sip:10.0.0.9;lr>\n", 503)] {
        let mut phone = Phone::new();
        assert_eq!(statuses(&phone.proven("REGISTER", "1001", path, 1)), [200]);
        phone.raw.input(Input::Command(Command::TakesNone { retry_after: Some(10) }));
        let options = ask("OPTIONS", "o", "CSeq: 9 OPTIONS\n", "");
        assert_eq!(statuses(&phone.raw.send(&options)), [status], "{path}");
    }
}

#[test]
fn a_late_register_changes_nothing() {
    let mut phone = Phone::new();
    assert_eq!(statuses(&phone.proven("REGISTER", "1001", "", 1)), [200]);
    phone.cseq -= 2; // Older than what the registrar knows, with the same Call-ID.
    let outputs = phone.proven("REGISTER", "1001", "Expires: 0\nX-New: branch\n", 1);
    assert_eq!(statuses(&outputs), [401], "the branch of the first, without credentials, is known");
    phone.cseq = 1;
    let outputs = phone.proven("REGISTER", "1001", "", 1);
    assert_eq!(statuses(&outputs), [200], "a repetition gets the old answer");
    let request =
        match Message::parse(ask("REGISTER", "z", "", "").replace('\n', "\r\n").as_bytes(), &Limits::default()) {
            Ok(Message::Request(mut request)) => {
                request.headers.set(Name::Contact, format!("<sip:1001@{THERE}>;expires=0"));
                request
            }
            other => panic!("{other:?}"),
        };
    let manner = instance::Manner::of(&request, Transport::Udp, String::new, 8).unwrap();
    let (user, times) = (("1001", Flow::udp(0, THERE.parse().unwrap())), RegistrationTimes::default());
    let late = phone.raw.endpoint.registrar.register(phone.raw.now, user, (&request, &manner), &times, 8);
    assert_eq!(late.unwrap_err().status, 500);
    assert_eq!(phone.contacts().len(), 1);
}

#[test]
fn proofs_are_good_once_and_not_forever() {
    let mut phone = Phone::new();
    assert_eq!(statuses(&phone.proven("REGISTER", "1001", "", 1)), [200]);
    let stale = |outputs: &[Output]| {
        let response = responses(outputs).pop().unwrap();
        let challenge = response.headers.get(&Name::WwwAuthenticate).map(|c| digest::Challenge::parse(c).unwrap());
        (response.status, challenge.is_some_and(|challenge| challenge.stale))
    };
    assert_eq!(stale(&phone.proven("REGISTER", "1001", "", 0)), (401, true), "replayed");
    assert_eq!(stale(&phone.proven("REGISTER", "1001", "", 1)), (200, false));
    phone.raw.run(301_000);
    assert_eq!(stale(&phone.proven("REGISTER", "1001", "", 1)), (401, true), "too old");
    phone.renew();
    // 1002's password does not move 1001's phones: To and user name must agree.
    assert_eq!(stale(&phone.proven("REGISTER", "1002", "", 1)), (401, false));
    assert_eq!(phone.raw.endpoint.stats().auth_failures, BTreeMap::from([("other_user".to_owned(), 1)]));
    assert_eq!(phone.raw.endpoint.stats().stale_nonces, 2);
}

#[test]
fn one_more_phone_than_allowed_replaces_the_least_useful() {
    let mut phone = Phone::new();
    let mut events = Vec::new();
    for number in 1..=10 {
        let contact = format!("Contact: <sip:1001@10.0.0.{number}>\n");
        events.extend(phone.proven("REGISTER", "1001", &contact, 1));
    }
    let replaced = events
        .iter()
        .filter(|output| matches!(output, Output::Event(Event::Unbound { why: UnboundCause::Replaced, .. })));
    assert_eq!((replaced.count(), phone.contacts().len()), (2, 8));
    assert_eq!(phone.contacts()[0], "sip:1001@10.0.0.3", "the oldest went");
}

#[test]
fn who_calls_is_who_he_proves_to_be() {
    const OWN: &str = "Contact: <sip:1001@10.0.0.2:5062>\n";
    const BEHIND: &str = "Supported: path\nPath: <sip:10.0.0.2:5062;lr>\n";
    // How 1001 registered, from which port a call without credentials comes, its From and Contact, what comes of it.
    let rows = [
        (None, 5062, "sip:1001@10.0.0.1", OWN, 100),
        (None, 5062, "sip:1001@elsewhere.example", OWN, 100),
        (Some(""), 5062, "sip:1001@10.0.0.1", OWN, 401),
        (Some(""), 5062, "sip:%31001@elsewhere.example", "", 401),
        (Some(""), 5062, "sip:1002@10.0.0.1", OWN, 100),
        (Some(""), 5062, "sip:7777@10.0.0.1", OWN, 100),
        (Some(""), 40_000, "sip:1001@10.0.0.1", OWN, 100),
        // A proxy's flow is everybody's.
        (Some(BEHIND), 5062, "sip:1001@10.0.0.1", OWN, 401),
        (Some(BEHIND), 5062, "sip:1001@10.0.0.1", "Contact: <sip:1001@10.0.0.7:5062>\n", 100),
        (Some(BEHIND), 5062, "sip:7777@10.0.0.1", OWN, 100),
    ];
    for (registered, port, from, contact, expect) in rows {
        let mut phone = Phone::new();
        if let Some(fields) = registered {
            assert_eq!(statuses(&phone.proven("REGISTER", "1001", fields, 1)), [200]);
        }
        phone.raw.from.set_port(port);
        let text = ask("INVITE", "call", contact, "").replace("sip:bob@example.org", from);
        let outputs = phone.raw.send(&text.replace("Call-ID: c1", "Call-ID: call"));
        assert_eq!(statuses(&outputs).last(), Some(&expect), "{registered:?} {port} {from} {contact}");
        let invited =
            outputs.iter().any(|o| matches!(o, Output::Event(Event::Invited { source: Source::Stranger, .. })));
        assert_eq!(invited, expect == 100, "{registered:?} {port} {from} {contact}");
    }
    let mut phone = Phone::new();
    let outputs = phone.proven("INVITE", "1001", "", 1);
    let user = Source::User("1001".to_owned());
    assert!(
        outputs.iter().any(|o| matches!(o, Output::Event(Event::Invited { source, .. }) if *source == user)),
        "{outputs:?}"
    );
    // 1001's password with 1002's name.
    let outputs = phone.proven("INVITE", "1001", "X: <sip:1001@10.0.0.1>\n", 1);
    assert!(outputs.iter().any(|o| matches!(o, Output::Event(Event::Invited { .. }))));
    phone.raw.endpoint.config.users.remove("1001");
    let outputs = phone.proven("INVITE", "1001", "", 1);
    assert_eq!(statuses(&outputs), [401], "a user that is no more");
}

/// Not a byte, not a question to the shell, not a counter differs, whether a name is a user's or nobody's: without proof,
/// with a wrong one, and once the guesses are slowed and banned.
#[test]
fn a_call_tells_nothing_of_who_exists() {
    let run = |name: &str, host: &str| {
        let mut phone = Phone::new();
        phone.proven("REGISTER", "1001", "", 1);
        phone.raw.from = "198.51.100.7:5060".parse().unwrap();
        let mut said = Vec::new();
        for _ in 0..14 {
            phone.raw.run(20_000);
            let from = format!("sip:{name}@{host}");
            said.push(phone.plain("INVITE", "", &from));
            let refused = phone.plain("REGISTER", "", &from);
            let Some(response) = responses(&refused).pop() else { continue };
            let nonce = digest::Challenge::parse(response.headers.get(&Name::WwwAuthenticate).unwrap()).unwrap().nonce;
            let challenge = digest::Challenge::new("test", &nonce, digest::Algorithm::Md5);
            let login = digest::Login { user: name, password: "wrong" };
            let proof = challenge.answer(login, &Method::Invite, "sip:100@10.0.0.1", 1, "c");
            let outputs = phone.plain("INVITE", &format!("Authorization: {proof}\n"), &from);
            let asked = outputs.iter().find_map(|output| match output {
                Output::Verify { query, .. } => Some(*query),
                _ => None,
            });
            said.push(outputs);
            said.extend(asked.map(|query| phone.raw.input(Input::Verified { query, ok: false })));
        }
        let sent =
            messages(&said.concat()).into_iter().map(|m| String::from_utf8_lossy(&m.to_bytes()).replace(name, "X"));
        let kinds: Vec<_> =
            said.iter().map(|outputs| outputs.iter().map(std::mem::discriminant).collect::<Vec<_>>()).collect();
        let stats = phone.raw.endpoint.stats();
        assert!(stats.auth_failures["wrong"] > 3 && stats.bans[0].total == 1, "{:?}", stats.auth_failures);
        (sent.collect::<Vec<_>>(), kinds, stats.auth_failures, stats.responses_sent)
    };
    for host in ["10.0.0.1", "center.example", "elsewhere.example"] {
        assert_eq!(run("1001", host), run("7777", host), "{host}");
        assert_eq!(run("1002", host), run("7777", host), "{host}");
    }
}

#[test]
fn a_stranger_can_be_asked_to_prove_himself() {
    let mut pair = Pair::with(config(HERE), center());
    let leg = pair.sides[0].next_leg();
    let command = Command::Invite {
        leg,
        uri: Uri::parse(&format!("sip:*1@{THERE}")).unwrap(),
        flow: None,
        from: address("<sip:ada@10.0.0.1>"),
        to: address("<sip:*1@10.0.0.2>"),
        offer: Some(Body::sdp("offer")),
        headers: vec![],
        account: Some(account("1001")),
        listener: None,
    };
    pair.tell(0, command);
    let called = pair.invited();
    pair.tell(1, Command::Challenge { leg: called });
    pair.run(100);
    let events = pair.take_events(1);
    let Some(Event::Invited { source, leg: second, offer, .. }) = events.last() else { panic!("{events:?}") };
    assert_eq!((source, offer), (&Source::User("1001".to_owned()), &Some(Body::sdp("offer"))));
    pair.tell(1, Command::Answer { leg: *second, body: Body::sdp("answer") });
    pair.run(100);
    assert!(matches!(&pair.take_events(0)[..], [Event::Established { .. }]));
    pair.tell(0, Command::HangUp { leg, reason: None });
    pair.run(100);
    pair.assert_quiet();
}

#[test]
fn a_call_that_is_being_verified_can_be_cancelled() {
    let mut phone = Phone::new();
    let challenge = digest::Challenge::new("test", &phone.nonce, digest::Algorithm::Md5);
    let login = digest::Login { user: "1001", password: "secret of 1001" };
    let credentials = challenge.answer(login, &Method::Invite, "sip:100@10.0.0.1", 1, "c");
    let outputs = phone.plain("INVITE", &format!("Authorization: {credentials}\n"), "");
    let Some(Output::Verify { query, .. }) = outputs.last() else { panic!("{outputs:?}") };
    let cancel = ask("CANCEL", &format!("p{}", phone.cseq), &format!("CSeq: {} CANCEL\n", phone.cseq), "");
    assert_eq!(statuses(&phone.raw.send(&cancel)), [200, 487]);
    assert_eq!(phone.raw.input(Input::Verified { query: *query, ok: true }), []);
    assert_eq!(phone.raw.endpoint.stats().legs, 0);
}

#[test]
fn a_phone_that_vanishes_is_noticed_and_one_that_returns_too() {
    let mut config = center();
    config.keepalive = Some(Duration::from_secs(30));
    let mut pair = registered(config);
    pair.take_ladder();
    pair.take_events(1);
    pair.run(31_000);
    assert_eq!(pair.take_ladder(), ["< OPTIONS", "> 200 OPTIONS"]);
    pair.loss = Box::new(|side, _| side == 0);
    pair.run(63_000);
    assert_eq!(pair.take_events(1), [Event::Alive { user: "1001".to_owned(), alive: false }]);
    assert!(!pair.sides[1].bindings("1001").next().unwrap().alive);
    pair.loss = Box::new(|_, _| false);
    pair.run(63_000);
    assert_eq!(pair.take_events(1), [Event::Alive { user: "1001".to_owned(), alive: true }]);
    // It registers again.
    pair.loss = Box::new(|side, _| side == 0);
    pair.run(63_000);
    assert_eq!(pair.take_events(1), [Event::Alive { user: "1001".to_owned(), alive: false }]);
    pair.loss = Box::new(|_, _| false);
    pair.tell(0, register(600));
    pair.run(100);
    let events = pair.take_events(1);
    assert!(matches!(&events[..], [Event::Bound { .. }, Event::Alive { alive: true, .. }]), "{events:?}");
}

/// Where phones are not asked, one that could not be sent to would be called by nobody: it is asked until it answers.
#[test]
fn a_phone_that_could_not_be_reached_is_asked_until_it_answers() {
    let mut raw = Raw::new(center());
    assert_eq!(raw.endpoint.config.keepalive, None);
    let (flow, contact) = (Flow::udp(0, raw.from), address("<sip:1001@10.0.0.2:5060>"));
    let binding = binding("1001".to_owned(), contact.clone(), flow, "c1".to_owned(), at(3_600_000));
    raw.input(Input::Command(Command::RestoreBinding { binding }));
    let call = invite_of(raw.endpoint.next_leg(), &contact.uri.to_string(), Some(flow));
    let outputs = raw.input(Input::Command(call));
    let turned = |alive| Output::Event(Event::Alive { user: "1001".to_owned(), alive });
    let failed = raw.input(unsent(&outputs));
    assert!(failed.contains(&turned(false)), "{failed:?}");
    for _ in 0..3 {
        assert_eq!(requests(&raw.run(29_000)), []);
        let outputs = raw.run(2_000);
        assert_eq!(requests(&outputs).iter().filter(|r| r.method == Method::Options).count(), 1 + 1, "{outputs:?}");
        assert_eq!(raw.input(unsent(&outputs)), []);
    }
    let asked = requests(&raw.run(31_000)).remove(0);
    let bytes = Response::to_request(&asked, 200, Some("t")).to_bytes();
    assert!(raw.input(Input::Received { flow, bytes }).contains(&turned(true)));
    assert_eq!(requests(&raw.run(100_000)), [], "who answers is asked no more");
}

#[test]
fn a_call_to_a_silent_phone_marks_it() {
    let mut pair = registered(center());
    pair.loss = Box::new(|_, _| true);
    let binding = pair.sides[1].bindings("1001").next().unwrap().clone();
    let leg = pair.sides[1].next_leg();
    pair.take_events(1);
    pair.tell(1, invite_of(leg, &binding.contact.uri.to_string(), Some(binding.flow)));
    pair.run(3_400);
    assert_eq!(pair.take_events(1), []);
    pair.run(200);
    assert_eq!(pair.take_events(1), [Event::Alive { user: "1001".to_owned(), alive: false }]);
    pair.run(30_000);
    let events = pair.take_events(1);
    assert!(matches!(&events[..], [Event::Failed { status: 408, .. }]), "{events:?}");
}

/// One that did not answer before a restart is asked after it; one whose connection ended with that, and that cannot be
/// connected to, is not there.
#[test]
fn phones_of_before_a_restart_are_looked_for_where_they_may_be() {
    let restored = |contact: &str, flow: Flow, alive: bool| {
        let mut config = center();
        config.listeners.push(Listener { transport: Transport::Tcp, ..config.listeners[0].clone() });
        let mut raw = Raw::new(config);
        let binding = binding("1001".to_owned(), address(contact), flow, "c1".to_owned(), at(3_600_000));
        raw.input(Input::Command(Command::RestoreBinding { binding: Binding { alive, ..binding } }));
        let is_there = raw.endpoint.bindings("1001").next().is_some();
        (is_there, requests(&raw.run(31_000)).iter().any(is(Method::Options)))
    };
    let (udp, there) = (Flow::udp(0, "10.0.0.2:5060".parse().unwrap()), "<sip:1001@10.0.0.2:5060>");
    assert_eq!([true, false].map(|alive| restored(there, udp, alive)), [(true, false), (true, true)]);
    let tcp = Flow { listener: 1, transport: Transport::Tcp, connection: 7, ..udp };
    let behind = "<sip:1001@192.168.1.2:5060;transport=tcp>";
    assert_eq!((restored(there, tcp, true).0, restored(behind, tcp, true).0), (true, false));
    assert!(restored("<sip:1001@192.168.1.2:5060>", udp, true).0, "a NAT lets in what comes over the same flow");
}

#[test]
fn a_silent_phone_says_nothing_of_its_neighbours() {
    let mut raw = Raw::new(center());
    let flow = Flow::udp(0, raw.from);
    for user in ["1001", "1002"] {
        let (contact, user) = (address(&format!("<sip:{user}@192.168.1.9:5060>")), user.to_owned());
        let (call_id, expires) = (user.clone(), at(3_600_000));
        let binding = binding(user, contact, flow, call_id, expires);
        raw.input(Input::Command(Command::RestoreBinding { binding }));
    }
    let alive = |raw: &Raw| ["1001", "1002"].map(|user| raw.endpoint.bindings(user).next().unwrap().alive);
    let call = |raw: &mut Raw, user: &str| {
        let uri = raw.endpoint.bindings(user).next().unwrap().contact.uri.to_string();
        let invite = invite_of(raw.endpoint.next_leg(), &uri, Some(flow));
        requests(&raw.input(Input::Command(invite))).remove(0)
    };
    call(&mut raw, "1001");
    let outputs = raw.run(33_000);
    let turned = |user: &str, alive| Output::Event(Event::Alive { user: user.to_owned(), alive });
    assert!(outputs.contains(&turned("1001", false)), "{outputs:?}");
    assert_eq!(alive(&raw), [false, true]);
    // Nor does one that answers.
    let invite = call(&mut raw, "1002");
    let busy = Response::to_request(&invite, 486, Some("t")).to_bytes();
    raw.input(Input::Received { flow, bytes: busy });
    assert_eq!(alive(&raw), [false, true]);
    let invite = call(&mut raw, "1001");
    let busy = Response::to_request(&invite, 486, Some("t")).to_bytes();
    assert!(raw.input(Input::Received { flow, bytes: busy }).contains(&turned("1001", true)));
}

#[test]
fn users_that_are_gone_lose_their_phones() {
    let mut pair = registered(center());
    pair.take_events(1);
    let mut config = center();
    config.users.remove("1001");
    pair.tell(1, Command::Configure(config));
    assert!(matches!(&pair.take_events(1)[..], [Event::Unbound { why: UnboundCause::Removed, .. }]));
}

#[test]
fn a_restored_binding_lives_on() {
    let mut pair = registered(center());
    let mut binding = pair.sides[1].bindings("1001").next().unwrap().clone();
    binding.expires = at(20_000);
    let mut fresh = Raw::new(center());
    fresh.input(Input::Command(Command::RestoreBinding { binding }));
    assert_eq!(fresh.endpoint.bindings("1001").count(), 1);
    let outputs = fresh.run(30_000);
    assert!(matches!(&outputs[..], [Output::Event(Event::Unbound { why: UnboundCause::Expired, .. })]), "{outputs:?}");
    pair.tell(0, Command::Unregister { name: String::new() });
}

/// RFC 3261 §19.1.1, RFC 3263 §4.1: the Contact says how a phone is called, unless its flow is to be reused.
#[test]
fn a_phone_is_called_over_the_transport_that_its_contact_names() {
    let (all, udp) = (&[Transport::Udp, Transport::Tcp, Transport::Tls][..], &[Transport::Udp][..]);
    let outbound = ";+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>\";reg-id=1";
    const PATH: &str = "Supported: path\nPath: <sip:10.0.0.2:5062;lr>\n";
    // Listeners, the Contact's URI and parameters, further fields; the ways in which it is tried.
    type Row<'t> = (&'t [Transport], &'t str, &'t str, &'t str, &'t [&'t str]);
    let rows: &[Row<'_>] = &[
        (all, "sip:1001@10.0.0.2:5062", "", "", &["UDP 10.0.0.2:5062"]),
        (all, "sip:1001@10.0.0.2:5062;transport=udp", "", "", &["UDP 10.0.0.2:5062"]),
        (all, "sip:1001@10.0.0.2:5070;transport=tcp", "", "", &["TCP 10.0.0.2:5070", "UDP 10.0.0.2:5062"]),
        (all, "sip:1001@10.0.0.2;transport=TLS", "", "", &["TLS 10.0.0.2:5061", "UDP 10.0.0.2:5062"]),
        (all, "sips:1001@10.0.0.2", "", "", &["TLS 10.0.0.2:5061", "UDP 10.0.0.2:5062"]),
        // We speak no TCP; it sits behind a NAT; a proxy leads to it. A datagram flow is not kept, though it wants that.
        (udp, "sip:1001@10.0.0.2:5070;transport=tcp", "", "", &["UDP 10.0.0.2:5062"]),
        (all, "sip:1001@192.168.1.9;transport=tcp", "", "", &["UDP 10.0.0.2:5062"]),
        (
            all,
            "sip:1001@10.0.0.2:5070;transport=tcp",
            outbound,
            "Supported: outbound, path\n",
            &["TCP 10.0.0.2:5070", "UDP 10.0.0.2:5062"],
        ),
        (all, "sip:1001@10.0.0.2:5070;transport=tcp", "", PATH, &["UDP 10.0.0.2:5062"]),
    ];
    let all_rows = rows.iter().flat_map(|row| [(row, true), (row, false)]);
    for ((transports, contact, params, fields, expect), breaks) in all_rows {
        let mut phone = Phone::new();
        let listener = |transport: &Transport| Listener {
            transport: *transport,
            ..Listener::udp(format!("10.0.0.1:{}", transport.default_port()).parse().unwrap())
        };
        phone.raw.endpoint.config.listeners = transports.iter().map(listener).collect();
        let fields = format!("Contact: <{contact}>{params}\n{fields}");
        assert_eq!(statuses(&phone.proven("REGISTER", "1001", &fields, 1)), [200], "{contact} {fields}");
        let binding = phone.raw.endpoint.bindings("1001").next().unwrap().clone();
        let command = invite_of(LegId(7), &binding.contact.uri.to_string(), Some(binding.flow));
        let command = offering(command, Body::sdp("offer"));
        let mut outputs = phone.raw.input(Input::Command(command));
        let mut ways = Vec::new();
        while let Some(flow) = outputs.iter().find_map(|output| match output {
            Output::Send { flow, bytes } if bytes.starts_with(b"INVITE") => Some(*flow),
            _ => None,
        }) {
            ways.push(format!("{} {}", flow.transport.as_str(), flow.remote));
            // Whatever is tried breaks, or says nothing at all.
            outputs = match breaks {
                true => phone.raw.input(Input::TransportFailed { flow }),
                false => phone.raw.input(Input::Command(Command::GoOn { leg: LegId(7) })),
            };
        }
        assert_eq!(ways, *expect, "{contact} {fields}");
    }
}

#[test]
fn a_bound_phone_is_called_over_its_flow_and_may_ask_for_proof() {
    let mut first = config(HERE);
    first.users = ["0".to_owned()].into(); // Whose proof the phone takes.
    let mut pair = Pair::with(first, center());
    pair.tell(0, register(600));
    pair.run(100);
    pair.take_ladder();
    pair.take_events(0);
    let binding = pair.sides[1].bindings("1001").next().unwrap().clone();
    let leg = pair.sides[1].next_leg();
    let command = Command::Invite {
        leg,
        uri: binding.contact.uri.clone(),
        flow: Some(binding.flow),
        from: address("<sip:0@10.0.0.1>"),
        to: address("<sip:1001@10.0.0.2>"),
        offer: Some(Body::sdp("offer")),
        headers: vec![],
        account: Some(Account::new("0", "secret of 0")),
        listener: None,
    };
    pair.tell(1, command);
    pair.run(20);
    let Some(Event::Invited { leg: asked, source: Source::Stranger, .. }) = pair.take_events(0).pop() else {
        panic!("a call from somebody")
    };
    pair.tell(0, Command::Challenge { leg: asked });
    pair.run(100);
    let events = pair.take_events(0);
    let Some(Event::Invited { leg: phone, source: Source::User(user), .. }) = events.last() else {
        panic!("{events:?}")
    };
    assert_eq!(user, "0");
    pair.tell(0, Command::Answer { leg: *phone, body: Body::sdp("answer") });
    pair.run(100);
    let ladder =
        ["< INVITE", "> 100 INVITE", "> 401 INVITE", "< ACK", "< INVITE", "> 100 INVITE", "> 200 INVITE", "< ACK"];
    assert_eq!(pair.take_ladder(), ladder);
    assert!(pair.sides[1].dialog(leg).is_some_and(|dialog| dialog.pinned && dialog.local_cseq == 2));
    pair.tell(1, Command::HangUp { leg, reason: None });
    pair.run(100);
    assert!(matches!(&pair.take_events(0)[..], [Event::Established { .. }, Event::Ended { .. }]));
}
