//! Phones behind proxies, behind several flows, and called by their own names: Path, outbound, GRUU.

use super::phones::Phone;
use super::*;
use crate::sip::header::Name;

const INSTANCE: &str = "+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000a95a0e128>\"";
const URN: &str = "urn:uuid:00000000-0000-1000-8000-000a95a0e128";

/// A phone over TCP.
fn phone() -> Phone {
    let mut phone = Phone::new();
    phone.raw.endpoint.config.listeners[0].transport = Transport::Tcp;
    move_to(&mut phone, 1);
    phone
}

fn flow(connection: u64) -> Flow {
    Flow { listener: 0, transport: Transport::Tcp, remote: THERE.parse().unwrap(), connection }
}

fn move_to(phone: &mut Phone, connection: u64) {
    phone.raw.over = Some(flow(connection));
    phone.renew();
}

/// A REGISTER that is let in; its answer.
fn register(phone: &mut Phone, more: &str) -> Response {
    let outputs = phone.proven("REGISTER", "1001", more, 1);
    responses(&outputs).pop().expect("an answer")
}

fn outbound(reg_id: u32, contact: &str) -> String {
    format!("Supported: outbound, path\nContact: <{contact}>;reg-id={reg_id};{INSTANCE}\n")
}

/// Calls a URI; the INVITEs that go out, each with its flow, and what else is told.
fn call(phone: &mut Phone, uri: &str, over: Option<Flow>) -> (Vec<(Flow, Request)>, Vec<Output>) {
    let leg = phone.raw.endpoint.next_leg();
    let outputs = phone.raw.input(Input::Command(invite_of(leg, uri, over)));
    (invites(&outputs), outputs)
}

fn invites(outputs: &[Output]) -> Vec<(Flow, Request)> {
    let invite = |output: &Output| match output {
        Output::Send { flow, bytes } => match Message::parse(bytes, &Limits::default()).unwrap() {
            Message::Request(request) if request.method == Method::Invite => Some((*flow, request)),
            _ => None,
        },
        _ => None,
    };
    outputs.iter().filter_map(invite).collect()
}

#[test]
fn calls_and_questions_take_the_path_that_the_register_came() {
    let mut phone = Phone::new();
    phone.raw.endpoint.config.keepalive = Some(Duration::from_secs(30));
    let hops = ["<sip:p2.example.com;lr>", "<sip:p1@192.0.2.1;lr;ob>"];
    let answer = register(&mut phone, &format!("Path: {}\nPath: {}\n", hops[0], hops[1]));
    assert_eq!((answer.status, answer.headers.all(&Name::Path).collect::<Vec<_>>()), (200, hops.to_vec()));
    let asked = requests(&phone.raw.run(31_000)).remove(0);
    assert_eq!(asked.method, Method::Options);
    assert_eq!(asked.headers.all(&Name::Route).collect::<Vec<_>>(), hops);
    let binding = phone.raw.endpoint.bindings("1001").next().unwrap().clone();
    let (sent, _) = call(&mut phone, "sip:1001@10.0.0.2:5062", Some(binding.flow));
    assert_eq!(sent[0].0, binding.flow, "the proxy that the REGISTER came from");
    assert_eq!(sent[0].1.headers.all(&Name::Route).collect::<Vec<_>>(), hops);
    assert_eq!(sent[0].1.uri, binding.contact.uri);
    for wrong in ["nonsense <", &["<sip:p;lr>"; 9].join(", "), &format!("<sip:{}>", "p".repeat(600))] {
        assert_eq!(register(&mut phone, &format!("Path: {wrong}\n")).status, 400, "{wrong}");
    }
    assert_eq!(phone.raw.endpoint.bindings("1001").next(), Some(&binding), "and nothing has changed");
    phone.raw.endpoint.config.capacity.path = 1;
    assert_eq!(register(&mut phone, "Path: <sip:p;lr>, <sip:q;lr>\n").status, 400, "as the setting says");
}

#[test]
fn a_phone_keeps_several_flows_and_is_called_over_the_newest_that_works() {
    let mut phone = phone();
    let contact = "sip:1001@192.168.1.2:5062;transport=tcp";
    let answer = register(&mut phone, &outbound(1, contact));
    assert_eq!(answer.status, 200);
    assert!(answer.headers.lists(&Name::Require, "outbound"));
    assert_eq!(answer.headers.get(&Name::from("Flow-Timer")), Some("120"));
    phone.raw.run(1_000);
    move_to(&mut phone, 2);
    register(&mut phone, &outbound(2, contact));
    let flows = |phone: &Phone| {
        let of = |binding: &Binding| (binding.reg_id, binding.flow.connection);
        phone.raw.endpoint.bindings("1001").map(of).collect::<Vec<_>>()
    };
    assert_eq!(flows(&phone), [(Some(1), 1), (Some(2), 2)], "one Contact, two flows");
    // The second fails after the INVITE has left: the first is taken.
    let (sent, _) = call(&mut phone, contact, Some(flow(2)));
    assert_eq!(sent.iter().map(|(flow, _)| flow.connection).collect::<Vec<_>>(), [2]);
    let outputs = phone.raw.input(Input::TransportFailed { flow: flow(2) });
    assert_eq!(invites(&outputs)[0].0, flow(1));
    let gone = |output: &Output| matches!(output, Output::Event(Event::Unbound { why: UnboundCause::Unreachable, .. }));
    assert!(outputs.iter().any(gone), "{outputs:?}");
    assert_eq!(flows(&phone), [(Some(1), 1)]);
    // A proxy says that this flow is gone (430).
    move_to(&mut phone, 3);
    register(&mut phone, &outbound(2, contact));
    let (sent, _) = call(&mut phone, contact, Some(flow(1)));
    let failed = Response::to_request(&sent[0].1, 430, Some("t")).to_bytes();
    let outputs = phone.raw.input(Input::Received { flow: flow(1), bytes: failed });
    assert_eq!(invites(&outputs)[0].0, flow(3));
    // The flow is replaced whatever its Contact, and taken away by its number.
    move_to(&mut phone, 4);
    register(&mut phone, &outbound(2, "sip:1001@192.168.1.99;transport=tcp"));
    assert_eq!(flows(&phone), [(Some(1), 1), (Some(2), 4)]);
    let removal = outbound(2, "sip:1001@192.168.1.99;transport=tcp").replace("reg-id", "expires=0;reg-id");
    register(&mut phone, &removal);
    assert_eq!(flows(&phone), [(Some(1), 1)]);
}

#[test]
fn what_a_register_with_flows_gets() {
    let own = "sip:1001@192.168.1.2";
    let two = format!("Supported: outbound\nContact: <{own}>;reg-id=1;{INSTANCE}, <{own}>;reg-id=2;{INSTANCE}\n");
    let via = "Via: SIP/2.0/TCP 192.168.1.2;branch=z9hG4bKq\n";
    // Fields, status, whether the flow is kept apart.
    let rows = [
        (outbound(1, own), 200, true),
        (outbound(1, own).replace("outbound, ", ""), 200, false),
        (outbound(1, own).replace(INSTANCE, "x=y"), 200, false),
        (outbound(1, own).replace("<urn:", "urn:"), 200, false),
        (outbound(0, own), 200, false),
        (two, 400, false),
        (outbound(1, own) + via, 439, false),
        (outbound(1, own) + via + "Path: <sip:p.example.com;lr>\n", 439, false),
        (outbound(1, own) + via + "Path: <sip:p.example.com;lr;ob>\n", 200, true),
        (outbound(1, own).replace("outbound, ", "") + via, 200, false),
        (format!("Require: outbound\n{}", outbound(1, own)), 200, true),
        (format!("Require: unheard-of\n{}", outbound(1, own)), 420, false),
    ];
    for (more, status, apart) in rows {
        let mut phone = phone();
        assert_eq!(register(&mut phone, &more).status, status, "{more}");
        let binding = phone.raw.endpoint.bindings("1001").next();
        assert_eq!(binding.is_some(), status == 200, "{more}");
        assert_eq!(binding.is_some_and(|binding| binding.reg_id == Some(1)), apart, "{more}");
    }
    let mut phone = Phone::new();
    let answer = register(&mut phone, &outbound(1, own));
    assert_eq!((answer.status, answer.headers.get(&Name::from("Flow-Timer"))), (200, None), "UDP has no such flow");
    // RFC 5626 §4.4.2: it would be kept alive by STUN, which is not answered here.
    assert!(!answer.headers.lists(&Name::Require, "outbound"));
    assert_eq!(phone.raw.endpoint.bindings("1001").next().map(|binding| binding.reg_id), Some(None));
    let by_edge = format!("{}{via}Path: <sip:p.example.com;lr;ob>\n", outbound(1, own));
    assert!(register(&mut phone, &by_edge).headers.lists(&Name::Require, "outbound"), "an edge keeps flows");
}

/// Two flows of a phone may come over one proxy, or over two: each has its own Path.
#[test]
fn each_flow_behind_a_proxy_is_called_by_its_own_path() {
    let contact = "sip:1001@192.168.1.2:5062;transport=tcp";
    for second_proxy in ["10.0.0.8:5060", "10.0.0.9:5060"] {
        let mut phone = Phone::new();
        phone.raw.endpoint.config.keepalive = Some(Duration::from_secs(30));
        let over = |proxy: &str| Flow::udp(0, proxy.parse().unwrap());
        let proxies = [over("10.0.0.8:5060"), over(second_proxy)];
        let paths = ["<sip:first@p.example.com;lr;ob>", "<sip:second@p.example.com;lr;ob>"];
        for (reg_id, (proxy, path)) in (1..).zip(proxies.iter().zip(paths)) {
            phone.raw.over = Some(*proxy);
            phone.renew();
            let via = "Via: SIP/2.0/TCP 192.168.1.2;branch=z9hG4bKq\n";
            assert_eq!(register(&mut phone, &format!("{}{via}Path: {path}\n", outbound(reg_id, contact))).status, 200);
            phone.raw.run(1_000);
        }
        let led = |sent: &[(Flow, Request)]| {
            sent.iter()
                .map(|(flow, r)| (*flow, r.headers.all(&Name::Route).collect::<Vec<_>>().join(" ")))
                .collect::<Vec<_>>()
        };
        let [first, second] = [0, 1].map(|n| (proxies[n], paths[n].to_owned()));
        let (sent, _) = call(&mut phone, contact, Some(proxies[1]));
        assert_eq!(led(&sent), std::slice::from_ref(&second), "the newest");
        // Its proxy says that this flow is gone: the other one is taken, by its own Path, and is the one from then on.
        let failed = Response::to_request(&sent[0].1, 430, Some("t")).to_bytes();
        let outputs = phone.raw.input(Input::Received { flow: proxies[1], bytes: failed });
        assert_eq!(led(&invites(&outputs)), std::slice::from_ref(&first));
        let alive =
            |phone: &Phone| phone.raw.endpoint.bindings("1001").map(|binding| binding.alive).collect::<Vec<_>>();
        assert_eq!(alive(&phone), [true, false]);
        if proxies[0] == proxies[1] {
            assert_eq!(led(&call(&mut phone, contact, Some(proxies[1])).0), [first]);
        }
        // Asked by OPTIONS each for itself; the lost one counts again when it answers.
        let asked =
            requests(&phone.raw.run(31_000)).into_iter().filter(|r| r.method == Method::Options).collect::<Vec<_>>();
        let route = |request: &Request| request.headers.get(&Name::Route).unwrap_or_default().to_owned();
        for (proxy, path) in proxies.iter().zip(paths) {
            let asked = asked.iter().rfind(|request| route(request) == path).expect("each is asked");
            let there = Response::to_request(asked, 200, Some("t")).to_bytes();
            phone.raw.input(Input::Received { flow: *proxy, bytes: there });
        }
        assert_eq!(alive(&phone), [true, true]);
    }
}

/// RFC 5626 §5.3: 430 to the question whether it is there says that the flow behind the proxy is gone; whatever else is answered
/// says that the phone is there (RFC 3261 §11), be it overloaded.
#[test]
fn a_proxy_that_knows_the_flow_no_more_says_that_the_phone_is_gone() {
    let contact = "sip:1001@192.168.1.2:5062;transport=tcp";
    let mut phone = Phone::new();
    phone.raw.endpoint.config.keepalive = Some(Duration::from_secs(30));
    let proxy = Flow::udp(0, "10.0.0.8:5060".parse().unwrap());
    phone.raw.over = Some(proxy);
    phone.renew();
    let fields = format!("{}Via: SIP/2.0/TCP 192.168.1.2;branch=z9hG4bKq\n", outbound(1, contact));
    assert_eq!(register(&mut phone, &format!("{fields}Path: <sip:first@p.example.com;lr;ob>\n")).status, 200);
    for (status, alive) in [(200, true), (430, false), (404, true), (430, false), (503, true), (430, false)] {
        let asked = requests(&phone.raw.run(31_000)).into_iter().rfind(|r| r.method == Method::Options);
        let answer = Response::to_request(&asked.expect("it is asked"), status, Some("t")).to_bytes();
        let outputs = phone.raw.input(Input::Received { flow: proxy, bytes: answer });
        let turned = Output::Event(Event::Alive { user: "1001".to_owned(), alive });
        assert_eq!(outputs.contains(&turned), status != 200, "{status}: {outputs:?}");
        assert_eq!(phone.raw.endpoint.bindings("1001").map(|b| b.alive).collect::<Vec<_>>(), [alive], "{status}");
    }
}

/// A phone may name itself in its calls by the GRUU that we gave it (RFC 5627 §4.4): what belongs to the call goes to its
/// Contact, over its flow. The GRUU's host is our own address.
#[test]
fn a_phone_that_names_itself_by_its_gruu_is_reached_in_the_call() {
    let mut phone = Phone::new();
    let contact = "sip:1001@10.0.0.2:5062";
    let [public, temporary] =
        names(&register(&mut phone, &format!("Supported: gruu\nContact: <{contact}>;{INSTANCE}\n")));
    for name in [public, temporary] {
        let outputs = phone.proven("INVITE", "1001", &format!("Contact: <{name}>\n"), 1);
        let leg = outputs.iter().find_map(|output| match output {
            Output::Event(Event::Invited { leg, .. }) => Some(*leg),
            _ => None,
        });
        let leg = leg.unwrap_or_else(|| panic!("no call: {outputs:?}"));
        phone.raw.input(Input::Command(Command::Answer { leg, body: Body::sdp("v=0") }));
        let outputs = phone.raw.run(33_000); // Nobody sends the ACK: the call is ended by us.
        let bye = requests(&outputs).into_iter().find(|request| request.method == Method::Bye);
        assert_eq!(bye.map(|bye| bye.uri.to_string()), Some(contact.to_owned()), "{name}");
    }
}

/// A stranger who says that he is an agent's phone, by the name that we gave it, learns nothing of that phone.
#[test]
fn a_stranger_with_a_phone_s_name_is_not_told_where_that_phone_is() {
    let asks = format!("Supported: gruu\nContact: <sip:1001@192.168.1.2;transport=tcp>;{INSTANCE}\n");
    let stranger = Flow { remote: "203.0.113.66:5060".parse().unwrap(), ..flow(9) };
    let own = "sip:guest@203.0.113.66:5060;transport=tcp";
    // He says it in his INVITE, after the phone registered or before, or in a later offer.
    for when in ["at once", "before", "later"] {
        let mut phone = phone();
        let [public, _] = names(&register(&mut phone, &asks));
        let mut outputs = Vec::new();
        if when == "before" {
            phone = self::phone();
            let own = phone.raw.over.replace(stranger);
            let leg = invite_from(&mut phone.raw, &public);
            phone.raw.over = own;
            register(&mut phone, &asks);
            phone.raw.input(Input::Command(Command::Answer { leg, body: Body::sdp("answer") }));
        } else {
            phone.raw.over = Some(stranger);
            let leg = invite_from(&mut phone.raw, if when == "later" { own } else { &public });
            let answered = phone.raw.input(Input::Command(Command::Answer { leg, body: Body::sdp("answer") }));
            let ok = responses(&answered).remove(0);
            if when == "later" {
                let tag = ok.headers.to_tag().unwrap();
                let within = format!("To: <sip:100@10.0.0.1>;tag={tag}\n");
                phone.raw.send(&ask("ACK", "a", &within, ""));
                let again = format!("{SDP}{within}CSeq: 2 UPDATE\nContact: <{public}>\n");
                phone.raw.send(&ask("UPDATE", "u", &again, "v=0"));
                phone.raw.input(Input::Command(Command::AcceptOffer { leg, body: Body::sdp("answer") }));
                outputs = phone.raw.input(Input::Command(Command::HangUp { leg, reason: None }));
            }
        }
        // Where nobody sends the ACK, the call is ended by us.
        outputs.extend(phone.raw.run(33_000));
        let bye = requests(&outputs).into_iter().find(is(Method::Bye)).expect("a BYE");
        assert_eq!(bye.uri.to_string(), public, "{when}");
    }
}

fn invite_from(raw: &mut Raw, contact: &str) -> LegId {
    let outputs = raw.send(&ask("INVITE", "s", &format!("{SDP}Contact: <{contact}>\n"), "v=0"));
    let invited = |o: &Output| if let Output::Event(Event::Invited { leg, .. }) = o { Some(*leg) } else { None };
    outputs.iter().find_map(invited).expect("a call")
}

/// RFC 3261 §10.3: a phone that keeps no flows of its own may close its connection and be called at its Contact, as long
/// as it registered. It is asked at once whether it is there, whether phones are asked at all or not.
#[test]
fn a_phone_that_closes_its_connection_is_called_at_its_contact() {
    let period = Some(Duration::from_secs(30));
    for (keepalive, answer) in [(None, Some(200)), (period, Some(200)), (None, Some(503)), (None, None)] {
        let mut phone = phone();
        phone.raw.endpoint.config.keepalive = keepalive;
        let place = SocketAddr::new(flow(1).remote.ip(), 5080);
        let contact = &format!("sip:1001@{place};transport=tcp");
        register(&mut phone, &format!("Contact: <{contact}>\n"));
        let told = |outputs: &[Output]| {
            let what = |output: &Output| match output {
                Output::Event(Event::Alive { alive, .. }) => Some(if *alive { "alive" } else { "silent" }),
                Output::Event(Event::Unbound { .. }) => Some("gone"),
                _ => None,
            };
            outputs.iter().filter_map(what).collect::<Vec<_>>()
        };
        let mut outputs = phone.raw.input(Input::TransportFailed { flow: flow(1) });
        assert_eq!(told(&outputs), ["silent"], "nobody is offered a call before it is known");
        outputs.extend(phone.raw.run(1));
        let there = Flow { remote: place, ..flow(0) };
        let asked = requests(&outputs).into_iter().find(is(Method::Options)).expect("a question");
        let Some(status) = answer else {
            let outputs = phone.raw.input(Input::TransportFailed { flow: there });
            assert_eq!(told(&outputs), ["gone"]);
            continue;
        };
        let ok = Response::to_request(&asked, status, Some("t")).to_bytes();
        let outputs = phone.raw.input(Input::Received { flow: Flow { connection: 7, ..there }, bytes: ok });
        assert_eq!(told(&outputs), ["alive"], "{keepalive:?} {status}");
        let (sent, _) = call(&mut phone, contact, Some(flow(1)));
        assert_eq!(sent[0].0, there);
        // And if it is gone one day, that is seen.
        if keepalive.is_some() {
            let outputs = phone.raw.run(31_000);
            assert!(requests(&outputs).iter().any(|request| request.method == Method::Options));
            assert_eq!(told(&phone.raw.input(Input::TransportFailed { flow: there })), ["gone"]);
        }
    }
}

/// A phone that is called may name itself by its GRUU in its answer, also where a colleague's is behind the same proxy: what
/// belongs to the call goes to its Contact.
#[test]
fn a_phone_that_is_called_may_answer_by_its_gruu() {
    let mut raw = Raw::new(phones::center());
    let flow = Flow::udp(0, raw.from);
    for user in ["1001", "1002"] {
        let contact = address(&format!("<sip:{user}@192.168.1.2:5062>"));
        let binding = phones::binding(user.to_owned(), contact, flow, user.to_owned(), at(3_600_000));
        let binding = Binding { instance: Some(format!("{URN}{user}")), ..binding };
        raw.input(Input::Command(Command::RestoreBinding { binding }));
    }
    let (leg, uri) = (raw.endpoint.next_leg(), "sip:1002@192.168.1.2:5062");
    let call = invite_of(leg, uri, Some(flow));
    let invite = requests(&raw.input(Input::Command(call))).remove(0);
    let mut answer = Response::to_request(&invite, 200, Some("t"));
    answer.headers.push(Name::Contact, format!("<sip:1002@10.0.0.1;gr={URN}1002>"));
    raw.input(Input::Received { flow, bytes: answer.to_bytes() });
    let bye = requests(&raw.input(Input::Command(Command::HangUp { leg, reason: None }))).remove(0);
    assert_eq!((bye.method, bye.uri.to_string().as_str()), (Method::Bye, uri));
}

/// At its Contact may be somebody else: behind a NAT it is asked nowhere, and who knows no such user is not the phone.
#[test]
fn a_phone_that_closes_its_connection_is_not_looked_for_where_it_cannot_be() {
    let gone = |outputs: &[Output]| outputs.iter().any(|o| matches!(o, Output::Event(Event::Unbound { .. })));
    let lost = |host: &str| {
        let mut phone = phone();
        register(&mut phone, &format!("Contact: <sip:1001@{host};transport=tcp>\n"));
        let mut outputs = phone.raw.input(Input::TransportFailed { flow: flow(1) });
        outputs.extend(phone.raw.run(1));
        (phone, outputs)
    };
    let (_, outputs) = lost("192.168.77.20:5060");
    assert!(gone(&outputs) && requests(&outputs).is_empty(), "{outputs:?}");
    // Its proxy can be connected to anew.
    let (_, outputs) =
        lost("192.168.77.20:5060;transport=tcp>\nVia: SIP/2.0/TCP 10.0.0.7;branch=z9hG4bKq\nPath: <sip:10.0.0.8:5070");
    let asked = requests(&outputs).into_iter().find(is(Method::Options));
    assert!(!gone(&outputs) && asked.is_some_and(|asked| asked.headers.has(&Name::Route)), "{outputs:?}");
    let (mut phone, outputs) = lost("softphone.invalid");
    let query = |o: &Output| if let Output::Resolve { query, .. } = o { Some(*query) } else { None };
    let query = outputs.iter().find_map(query).expect("a name to look up");
    assert!(!gone(&outputs) && gone(&phone.raw.input(Input::Resolved { query, flows: vec![] })));
    let place = SocketAddr::new(flow(1).remote.ip(), 5080);
    for (status, is_it) in [(200, true), (405, true), (404, false), (481, false)] {
        let (mut phone, outputs) = lost(&place.to_string());
        let asked = requests(&outputs).into_iter().find(is(Method::Options)).expect("a question");
        let bytes = Response::to_request(&asked, status, Some("t")).to_bytes();
        let outputs = phone.raw.input(Input::Received { flow: Flow { remote: place, ..flow(7) }, bytes });
        assert_eq!(gone(&outputs), !is_it, "{status}: {outputs:?}");
    }
}

/// The `pub-gruu` and `temp-gruu` of an answer.
fn names(answer: &Response) -> [String; 2] {
    let contact = answer.headers.contact().unwrap().unwrap();
    ["pub-gruu", "temp-gruu"].map(|name| header::unquote(contact.params.text(name).unwrap()).unwrap())
}

/// A temporary name can be made by nobody else, whichever field asks for it (RFC 5627 §5.2).
#[test]
fn temporary_names_are_each_phone_s_own() {
    for field in ["Supported", "Require"] {
        let ask = format!("{field}: gruu\nContact: <sip:1001@192.168.1.2;transport=tcp>;{INSTANCE}\n");
        let mut phone = phone();
        register(&mut phone, &ask);
        // Another phone of the same user, whose CSeq is the same.
        (phone.call_id, phone.cseq) = ("other", phone.cseq - 1);
        let answer = register(&mut phone, &ask.replace("192.168.1.2", "192.168.1.3").replace(URN, "urn:uuid:0"));
        let header::Contacts::List(contacts) = answer.headers.contacts().unwrap() else { panic!("{answer:?}") };
        let [first, second] = &contacts[..] else { panic!("{contacts:?}") };
        assert_ne!(first.params.text("temp-gruu"), second.params.text("temp-gruu"), "{field}");
    }
}

#[test]
fn a_phone_is_called_by_its_own_names() {
    let mut phone = phone();
    let asks = |contact: &str| format!("Supported: gruu\nContact: <{contact}>;{INSTANCE}\n");
    let (first, second) = ("sip:1001@192.168.1.2;transport=tcp", "sip:1001@192.168.1.3;transport=tcp");
    let [public, temporary] = names(&register(&mut phone, &asks(first)));
    assert_eq!(public, format!("sip:1001@10.0.0.1;gr={URN}"));
    assert!(temporary.starts_with("sip:tgruu.") && temporary.ends_with("@10.0.0.1;gr"), "{temporary}");
    let reaches = |phone: &mut Phone, name: &str| {
        let (sent, outputs) = call(phone, name, None);
        let failed = outputs.iter().any(|o| matches!(o, Output::Event(Event::Failed { status: 480, .. })));
        assert_eq!(sent.is_empty(), failed, "{outputs:?}");
        sent.first().map(|(flow, invite)| (invite.uri.to_string(), flow.connection))
    };
    let here = Some((first.to_owned(), 1));
    assert_eq!((reaches(&mut phone, &public), reaches(&mut phone, &temporary)), (here.clone(), here));
    // Refreshed: a new temporary name, and the old one still means this phone.
    let [_, later] = names(&register(&mut phone, &asks(first)));
    assert_ne!(later, temporary);
    assert_eq!(reaches(&mut phone, &temporary), reaches(&mut phone, &later));
    // The phone has moved and begun anew: the public name follows, the temporary ones are over.
    phone.raw.run(1_000);
    move_to(&mut phone, 2);
    phone.call_id = "c2";
    phone.proven("REGISTER", "1001", &format!("Contact: <{first}>;expires=0\n"), 1);
    let [same, new] = names(&register(&mut phone, &asks(second)));
    let there = Some((second.to_owned(), 2));
    assert_eq!((same == public, reaches(&mut phone, &public)), (true, there.clone()));
    assert_eq!((reaches(&mut phone, &new), reaches(&mut phone, &later)), (there, None));
    // A restart keeps them, where the phone is at its Contact.
    let binding = phone.raw.endpoint.bindings("1001").next().unwrap().clone();
    let flow = Flow { remote: "192.168.1.3:40000".parse().unwrap(), ..binding.flow };
    let binding = Binding { flow, ..binding };
    let written: Binding = serde_json::from_str(&serde_json::to_string(&binding).unwrap()).unwrap();
    assert_eq!(written, binding);
    let mut fresh = Phone::new();
    fresh.raw.endpoint.config.listeners[0].transport = Transport::Tcp;
    fresh.raw.input(Input::Command(Command::RestoreBinding { binding: written }));
    for name in [&public, &new] {
        let (sent, _) = call(&mut fresh, name, None);
        assert_eq!(sent[0].1.uri.to_string(), second, "{name}");
    }
    // Made up, or of nobody who is there.
    let forged = temporary.replace("sip:tgruu.0", "sip:tgruu.1");
    let other = public.replace("a95a0e128", "a95a0e129");
    for name in [
        forged.as_str(),
        &other,
        "sip:tgruu.x@10.0.0.1;gr",
        "sip:tgruu.0000000%C3%BC@h;gr",
        &public.replace("1001", "1002"),
    ] {
        assert_eq!(reaches(&mut phone, name), None, "{name}");
    }
    phone.proven("REGISTER", "1001", "Contact: *\nExpires: 0\n", 1);
    assert_eq!((reaches(&mut phone, &public), reaches(&mut phone, &new)), (None, None));
    // Who does not ask gets none.
    let answer = register(&mut phone, &format!("Contact: <{first}>;{INSTANCE};pub-gruu=\"sip:x\"\n"));
    assert!(!answer.headers.get(&Name::Contact).unwrap().contains("gruu"), "{answer:?}");
}

#[test]
fn a_binding_that_was_written_before_these_fields_were_is_read() {
    let old = "{\"user\":\"1001\",\"contact\":\"<sip:1001@10.0.0.2>\",\"flow\":{\"listener\":0,\"transport\":\"Udp\",\
        \"remote\":\"10.0.0.2:5060\",\"connection\":0},\"q\":1000,\"call_id\":\"c\",\"cseq\":1,\"expires\":7,\"alive\":true}";
    let binding: Binding = serde_json::from_str(old).unwrap();
    assert_eq!((binding.path, binding.instance, binding.reg_id, binding.seed), (vec![], None, None, None));
}
