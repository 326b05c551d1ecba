//! Which transport, which connection: RFC 3261 §18.1.1 and §18.2.2, §12.1.1 for SIPS, RFC 5923.

use super::*;

const PHONE: &str = "10.0.0.2:40000";

/// UDP and TCP on port 5060, TLS on 5061.
fn endpoint(transports: &[Transport]) -> Endpoint {
    let listener = |transport: &Transport| {
        let bind: SocketAddr = format!("10.0.0.1:{}", transport.default_port()).parse().unwrap();
        Listener { transport: *transport, ..Listener::udp(bind) }
    };
    let mut config = Config::new(transports.iter().map(listener).collect(), "test");
    config.keepalive = None;
    Endpoint::new(config, Rng::from_number(1), IdCounter::new(1, 1))
}

const ALL: &[Transport] = &[Transport::Udp, Transport::Tcp, Transport::Tls];

fn sent(endpoint: &mut Endpoint) -> Vec<(Flow, String)> {
    let sent = std::iter::from_fn(|| endpoint.poll()).filter_map(|output| match output {
        Output::Send { flow, bytes } => Some((flow, String::from_utf8(bytes).unwrap())),
        _ => None,
    });
    sent.collect()
}

fn invite(endpoint: &mut Endpoint, uri: &str, bytes: usize, flow: Option<Flow>) {
    let leg = endpoint.next_leg();
    let command = offering(invite_of(leg, uri, flow), Body::sdp("x".repeat(bytes)));
    endpoint.handle(at(1000), Input::Command(command));
}

fn field<'t>(text: &'t str, name: &str) -> &'t str {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default()
}

#[test]
fn uris_and_sizes_choose_the_transport() {
    let small_ones = &[Transport::Udp];
    let rows: &[(&[Transport], &str, usize, &str)] = &[
        (ALL, "sip:b@10.0.0.2", 100, "UDP 10.0.0.2:5060"),
        (ALL, "sip:b@10.0.0.2", 1_300, "TCP 10.0.0.2:5060"),
        (ALL, "sip:b@10.0.0.2:5070", 1_300, "TCP 10.0.0.2:5070"),
        (ALL, "sip:b@10.0.0.2;transport=udp", 1_300, "UDP 10.0.0.2:5060"),
        (small_ones, "sip:b@10.0.0.2", 1_300, "UDP 10.0.0.2:5060"),
        (ALL, "sip:b@10.0.0.2;transport=tcp", 100, "TCP 10.0.0.2:5060"),
        (ALL, "sip:b@10.0.0.2;transport=TLS", 100, "TLS 10.0.0.2:5061"),
        (ALL, "sips:b@10.0.0.2", 100, "TLS 10.0.0.2:5061"),
        (ALL, "sips:b@10.0.0.2;transport=tcp", 100, "TLS 10.0.0.2:5061"),
        (small_ones, "sips:b@10.0.0.2", 100, "nowhere"),
    ];
    for (transports, uri, bytes, expect) in rows {
        let mut endpoint = endpoint(transports);
        invite(&mut endpoint, uri, *bytes, None);
        let Some((flow, text)) = sent(&mut endpoint).into_iter().next() else {
            assert_eq!(*expect, "nowhere", "{uri}");
            continue;
        };
        let name = flow.transport.as_str();
        assert_eq!(format!("{name} {}", flow.remote), *expect, "{uri} {bytes}");
        assert!(field(&text, "Via").starts_with(&format!("SIP/2.0/{name} 10.0.0.1:")), "{text}");
        let contact = match flow.transport {
            Transport::Udp => "<sip:100@10.0.0.1:5060>".to_owned(),
            _ if uri.starts_with("sips") => "<sips:100@10.0.0.1:5061>".to_owned(),
            other => format!("<sip:100@10.0.0.1:{};transport={}>", other.default_port(), name.to_lowercase()),
        };
        assert_eq!(field(&text, "Contact"), contact, "{uri} {bytes}");
    }
}

#[test]
fn a_large_request_goes_by_udp_where_nobody_takes_streams() {
    let mut endpoint = endpoint(ALL);
    invite(&mut endpoint, "sip:b@10.0.0.2", 1_300, None);
    let (flow, _) = sent(&mut endpoint).remove(0);
    endpoint.handle(at(1010), Input::TransportFailed { flow });
    let (flow, text) = sent(&mut endpoint).remove(0);
    assert_eq!(flow, Flow::udp(0, "10.0.0.2:5060".parse().unwrap()));
    assert_eq!(field(&text, "Contact"), "<sip:100@10.0.0.1:5060>", "the Contact is the other way's");
    assert_eq!(text.matches("\r\nVia: ").count(), 1);
}

/// RFC 3261 §21.5.4: a server that is overloaded is not asked again over another transport; another one is.
#[test]
fn who_is_overloaded_is_not_asked_again_over_udp() {
    let place = |transport, last: u8| Place { transport, remote: ([10, 0, 0, last], 5060).into(), connection: 0 };
    let (first, second) = (place(Transport::Udp, 2), place(Transport::Udp, 3));
    for (uri, expect) in
        [("sip:b@10.0.0.2", vec!["TCP 10.0.0.2"]), ("sip:b@names.test", vec!["TCP 10.0.0.2", "UDP 10.0.0.3"])]
    {
        let mut endpoint = endpoint(ALL);
        invite(&mut endpoint, uri, 1_300, None);
        let (mut tried, mut failed) = (Vec::new(), None);
        while let Some(output) = endpoint.poll() {
            match output {
                Output::Resolve { query, .. } => {
                    endpoint.handle(at(1010), Input::Resolved { query, flows: vec![first, second] });
                }
                Output::Send { flow, bytes } if bytes.starts_with(b"INVITE") => {
                    tried.push(format!("{} {}", flow.transport.as_str(), flow.remote.ip()));
                    let request = requests(&[Output::Send { flow, bytes }]).remove(0);
                    let mut response = Response::to_request(&request, 503, Some("t"));
                    response.headers.push(header::Name::RetryAfter, "30");
                    endpoint.handle(at(1020), Input::Received { flow, bytes: response.to_bytes() });
                }
                Output::Event(Event::Failed { status, retry_after, .. }) => failed = Some((status, retry_after)),
                _ => {}
            }
        }
        assert_eq!((tried, failed), (expect.into_iter().map(str::to_owned).collect(), Some((503, Some(30)))), "{uri}");
    }
}

/// §13.3.1.4: a phone whose connection broke before our ACK came repeats its 200 over the next one, and gets it there.
#[test]
fn a_200_that_comes_again_over_another_connection_gets_its_ack_there() {
    let mut endpoint = endpoint(ALL);
    let lives = "OPTIONS sip:10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.2;branch=z9hG4bKo\r\nFrom: <sip:b@x>;tag=o\r\n\
                 To: <sip:10.0.0.1>\r\nCall-ID: o\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
    endpoint.handle(at(900), Input::Received { flow: flow(5), bytes: lives.into() });
    assert_eq!(sent(&mut endpoint).len(), 1);
    invite(&mut endpoint, "sip:b@10.0.0.2:40000;transport=tcp", 10, Some(flow(5)));
    let (went, text) = sent(&mut endpoint).remove(0);
    let invite = requests(&[Output::Send { flow: went, bytes: text.into_bytes() }]).remove(0);
    let mut response = Response::to_request(&invite, 200, Some("t"));
    response.headers.push(header::Name::Contact, "<sip:b@10.0.0.2:40000;transport=tcp>");
    let comes_over = |endpoint: &mut Endpoint, connection| {
        let flow = Flow { connection, ..went };
        endpoint.handle(at(1100), Input::Received { flow, bytes: response.to_bytes() });
        sent(endpoint).into_iter().map(|(flow, text)| (flow.connection, text)).collect::<Vec<_>>()
    };
    let first = comes_over(&mut endpoint, 5);
    assert!(matches!(&first[..], [(5, ack)] if ack.starts_with("ACK")), "{first:?}");
    endpoint.handle(at(1200), Input::TransportFailed { flow: Flow { connection: 5, ..went } });
    let again = comes_over(&mut endpoint, 6);
    assert!(matches!(&again[..], [(6, ack)] if ack == &first[0].1), "{again:?}");
}

fn flow(connection: u64) -> Flow {
    Flow { listener: 1, transport: Transport::Tcp, remote: PHONE.parse().unwrap(), connection }
}

/// A call that comes over connection 5 and is answered; its leg.
fn called(endpoint: &mut Endpoint, uri: &str, contact: &str) -> LegId {
    let text = format!(
        "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.2:5070;branch=z9hG4bKi\r\nMax-Forwards: 70\r\n\
         From: <sip:b@10.0.0.2>;tag=b\r\nTo: <sip:100@10.0.0.1>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\
         Contact: <{contact}>\r\nContent-Length: 0\r\n\r\n"
    );
    endpoint.handle(at(1000), Input::Received { flow: flow(5), bytes: text.into_bytes() });
    let invited = std::iter::from_fn(|| endpoint.poll()).find_map(|output| match output {
        Output::Event(Event::Invited { leg, .. }) => Some(leg),
        _ => None,
    });
    invited.expect("an INVITE")
}

fn answered(endpoint: &mut Endpoint, leg: LegId) -> (Flow, String) {
    endpoint.handle(at(1100), Input::Command(Command::Answer { leg, body: Body::sdp("answer") }));
    sent(endpoint).remove(0)
}

#[test]
fn a_dialog_stays_on_its_connection_while_that_lives() {
    let new = |remote: &str| Flow { remote: remote.parse().unwrap(), ..flow(0) };
    // Also where the Contact leads elsewhere: a peer's name, or another address of his.
    let rows = [
        ("sip:b@10.0.0.2:5080;transport=tcp", false, Some(flow(5))),
        ("sip:b@10.0.0.2:5080;transport=tcp", true, Some(new("10.0.0.2:5080"))),
        ("sip:b@10.0.0.77:5080;transport=tcp", false, Some(flow(5))),
        ("sip:b@10.0.0.77:5080;transport=tcp", true, Some(new("10.0.0.77:5080"))),
        ("sip:b@pbx.example.com;transport=tcp", false, Some(flow(5))),
        ("sip:b@pbx.example.com;transport=tcp", true, None), // the name is asked for
    ];
    for (contact, breaks, expect) in rows {
        let mut endpoint = endpoint(ALL);
        let leg = called(&mut endpoint, "sip:100@10.0.0.1", contact);
        let (_, ok) = answered(&mut endpoint, leg);
        let ack = format!(
            "ACK sip:100@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.2:5070;branch=z9hG4bKa\r\nFrom: {}\r\nTo: {}\r\n\
             Call-ID: c\r\nCSeq: 1 ACK\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            field(&ok, "From"),
            field(&ok, "To")
        );
        endpoint.handle(at(1200), Input::Received { flow: flow(5), bytes: ack.into_bytes() });
        if breaks {
            endpoint.handle(at(1300), Input::TransportFailed { flow: flow(5) });
        }
        endpoint.handle(at(1400), Input::Command(Command::HangUp { leg, reason: None }));
        let bye = sent(&mut endpoint).into_iter().find(|(_, text)| text.starts_with("BYE"));
        assert_eq!(bye.map(|(went, _)| went), expect, "{contact}, it breaks: {breaks}");
    }
}

#[test]
fn a_response_whose_connection_is_gone_goes_to_the_via_s_port() {
    let mut endpoint = endpoint(ALL);
    let leg = called(&mut endpoint, "sip:100@10.0.0.1", "sip:b@10.0.0.2:5080;transport=tcp");
    endpoint.handle(at(1050), Input::TransportFailed { flow: flow(5) });
    let (went, ok) = answered(&mut endpoint, leg);
    assert!(ok.starts_with("SIP/2.0 200"), "{ok}");
    assert_eq!(went, Flow { remote: "10.0.0.2:5070".parse().unwrap(), ..flow(0) });
}

#[test]
fn who_is_called_by_sips_answers_with_a_sips_contact() {
    let rows = [
        ("sips:100@10.0.0.1", "sip:b@10.0.0.2", "<sips:100@10.0.0.1:5061>"),
        ("sip:100@10.0.0.1", "sips:b@10.0.0.2", "<sips:100@10.0.0.1:5061>"),
        ("sip:100@10.0.0.1", "sip:b@10.0.0.2", "<sip:100@10.0.0.1:5061;transport=tls>"),
    ];
    for (uri, contact, expect) in rows {
        let mut endpoint = endpoint(&[Transport::Tls, Transport::Tls]);
        let secure = Flow { listener: 1, transport: Transport::Tls, ..flow(5) };
        let text = format!(
            "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/TLS 10.0.0.2;branch=z9hG4bKi\r\nMax-Forwards: 70\r\n\
             From: <sip:b@10.0.0.2>;tag=b\r\nTo: <{uri}>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContact: <{contact}>\r\n\
             Content-Length: 0\r\n\r\n"
        );
        endpoint.handle(at(1000), Input::Received { flow: secure, bytes: text.into_bytes() });
        let leg = std::iter::from_fn(|| endpoint.poll()).find_map(|output| match output {
            Output::Event(Event::Invited { leg, .. }) => Some(leg),
            _ => None,
        });
        let (_, ok) = answered(&mut endpoint, leg.expect("an INVITE"));
        assert_eq!(field(&ok, "Contact"), expect, "{uri} {contact}");
    }
}

#[test]
fn a_phone_of_before_a_restart_is_called_at_its_contact_and_forgotten_if_nobody_is_there() {
    let mut endpoint = endpoint(ALL);
    let mut config = endpoint.config().clone();
    (config.keepalive, config.users) = (Some(Duration::from_secs(30)), ["b".to_owned()].into());
    endpoint.handle(at(900), Input::Command(Command::Configure(config)));
    let contact = address("<sip:b@10.0.0.2:5080;transport=tcp>");
    let binding = phones::binding("b".into(), contact, flow(5), "c".into(), at(600_000));
    endpoint.handle(at(950), Input::Command(Command::RestoreBinding { binding }));
    invite(&mut endpoint, "sip:b@10.0.0.2:5080;transport=tcp", 100, Some(flow(5)));
    let there = Flow { remote: "10.0.0.2:5080".parse().unwrap(), ..flow(0) };
    assert_eq!(sent(&mut endpoint).remove(0).0, there);
    endpoint.handle(at(40_000), Input::Timeout);
    let (asked, text) = sent(&mut endpoint).remove(0);
    assert!(asked == there && text.starts_with("OPTIONS"), "{text}");
    endpoint.handle(at(40_100), Input::TransportFailed { flow: there });
    let unbound = std::iter::from_fn(|| endpoint.poll())
        .any(|output| matches!(output, Output::Event(Event::Unbound { why: UnboundCause::Unreachable, .. })));
    assert!(unbound && endpoint.bindings("b").next().is_none());
}

#[test]
fn what_was_before_a_restart_goes_over_the_listener_that_reaches_it_now() {
    const TCP_FIRST: &[Transport] = &[Transport::Tcp, Transport::Udp];
    // Listeners now; the one that a phone by UDP came over, and the one that it is reached over.
    let rows: [(&[Transport], u16, Option<u16>); 4] =
        [(ALL, 0, Some(0)), (TCP_FIRST, 0, Some(1)), (TCP_FIRST, 7, Some(1)), (&[Transport::Tcp], 0, None)];
    for (listeners, before, expect) in rows {
        let mut endpoint = endpoint(listeners);
        let mut config = endpoint.config().clone();
        config.users = ["b".to_owned()].into();
        endpoint.handle(at(900), Input::Command(Command::Configure(config)));
        let flow = Flow::udp(before, "10.0.0.2:5060".parse().unwrap());
        let binding = phones::binding("b".into(), address("<sip:b@10.0.0.2>"), flow, "c".into(), at(600_000));
        endpoint.handle(at(950), Input::Command(Command::RestoreBinding { binding }));
        let kept = endpoint.bindings("b").next().map(|binding| binding.flow.listener);
        assert_eq!(kept, expect, "{listeners:?} {before}");
    }
}

/// Of two listeners by UDP a phone is called over the one that it came to, which its NAT knows; and over none that cannot
/// send to it.
#[test]
fn a_phone_of_before_a_restart_is_called_from_where_it_was_called_before() {
    let rows: [(&[&str], Option<&str>, u16); 5] = [
        (&["10.0.0.1:5060", "192.0.2.1:5060"], Some("10.0.0.1:5060"), 0),
        (&["192.0.2.1:5060", "10.0.0.1:5060"], Some("10.0.0.1:5060"), 1),
        (&["127.0.0.1:5060", "10.0.0.1:5060"], Some("10.0.0.1:5060"), 1),
        (&["127.0.0.1:5060", "10.0.0.1:5070"], Some("10.0.0.1:5060"), 1),
        (&["127.0.0.1:5060", "10.0.0.1:5060"], None, 1), // written by an earlier release
    ];
    for (now, bound, expect) in rows {
        let listeners = now.iter().map(|bind| Listener::udp(bind.parse().unwrap())).collect();
        let mut config = Config::new(listeners, "test");
        config.users = ["b".to_owned()].into();
        let mut endpoint = Endpoint::new(config, Rng::from_number(1), IdCounter::new(1, 1));
        let flow = Flow::udp(0, "10.0.0.2:5060".parse().unwrap());
        let binding = phones::binding("b".into(), address("<sip:b@10.0.0.2>"), flow, "c".into(), at(600_000));
        let binding = Binding { bound: bound.map(|bound| bound.parse().unwrap()), ..binding };
        endpoint.handle(at(950), Input::Command(Command::RestoreBinding { binding }));
        assert_eq!(endpoint.bindings("b").next().unwrap().flow.listener, expect, "{now:?} {bound:?}");
    }
}

#[test]
fn names_of_a_large_request_lead_to_streams_first() {
    let place =
        |transport, port| Place { transport, remote: SocketAddr::new([10, 0, 0, 2].into(), port), connection: 0 };
    let rows: &[(usize, &[Place], &[&str])] = &[
        (100, &[place(Transport::Udp, 1), place(Transport::Tcp, 2)], &["UDP 1", "TCP 2"]),
        (1_300, &[place(Transport::Udp, 1), place(Transport::Tcp, 2)], &["TCP 2", "UDP 1"]),
        (1_300, &[place(Transport::Udp, 1)], &["TCP 1", "UDP 1"]),
        (1_300, &[place(Transport::Tls, 1), place(Transport::Udp, 2)], &["TLS 1", "UDP 2"]),
    ];
    for (bytes, places, expect) in rows {
        let mut endpoint = endpoint(ALL);
        invite(&mut endpoint, "sip:b@names.test", *bytes, None);
        let asked = std::iter::from_fn(|| endpoint.poll()).find_map(|output| match output {
            Output::Resolve { query, .. } => Some(query),
            _ => None,
        });
        let resolved = Input::Resolved { query: asked.expect("a question"), flows: places.to_vec() };
        endpoint.handle(at(1010), resolved);
        let mut tried = Vec::new();
        while let Some((flow, _)) = sent(&mut endpoint).into_iter().next() {
            tried.push(format!("{} {}", flow.transport.as_str(), flow.remote.port()));
            endpoint.handle(at(1020), Input::TransportFailed { flow });
        }
        assert_eq!(tried, *expect, "{bytes} {places:?}");
    }
}

/// RFC 3261 §18.4: one datagram that cannot be sent fails its own request, where that begins something; others to the same
/// place ring on, and what belongs to a call is repeated as if it were lost.
#[test]
fn what_cannot_be_sent_says_nothing_of_others_that_go_there() {
    let mut raw = Raw::new(config(HERE));
    let mut call = || {
        let leg = raw.endpoint.next_leg();
        (leg, raw.input(Input::Command(invite_of(leg, "sip:b@10.0.0.2", None))))
    };
    let ((first, rings), (second, other)) = (call(), call());
    let invite = requests(&rings).remove(0);
    let answer = |status| {
        let mut response = Response::to_request(&invite, status, Some("t"));
        response.headers.push(header::Name::Contact, "<sip:b@10.0.0.2>");
        Input::Received { flow: Flow::udp(0, THERE.parse().unwrap()), bytes: response.to_bytes() }
    };
    raw.input(answer(180));
    let failed = raw.input(unsent(&other));
    let why = FailureCause::Transport;
    assert!(matches!(&failed[..], [Output::Event(Event::Failed { leg, why: w, .. })] if *leg == second && *w == why));
    assert_eq!(raw.input(unsent(&rings)), [], "it has been heard");
    assert_eq!(requests(&raw.input(answer(200))).first().map(|r| r.method.clone()), Some(Method::Ack));
    let bye = raw.input(Input::Command(Command::HangUp { leg: first, reason: None }));
    assert_eq!(raw.input(unsent(&bye)), []);
    assert!(requests(&raw.run(600)).iter().any(|request| request.method == Method::Bye), "the BYE goes out again");
}
