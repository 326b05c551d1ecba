//! Calls to outside numbers: what leaves over which carrier, and what a new configuration changes in mid-hunt.

use super::*;
use std::net::SocketAddr;
use tierline::center::{Server, Srtp};
use tierline::event::TransferProblem;
use tierline::ids::{AgentId, LineId};

const FIRST: &str = "192.0.2.21:5060";
const SECOND: &str = "192.0.2.22:5060";

/// A line that leads to an outside number, over two carriers that are tried in this order.
fn with_carriers() -> Configuration {
    let mut configuration = place::configuration(1);
    let at = |name: &str, address: &str| (name.to_owned(), address.parse().expect("an address"));
    place::add_vendor(&mut configuration, &[at("first", FIRST), at("second", SECOND)]);
    configuration
}

const AGENT: AgentId = AgentId(place::FIRST_AGENT);

/// The only agent is reached at a number, over one carrier; `there`: it could take a call now.
fn on_a_number(there: bool) -> Configuration {
    let mut configuration = with_carriers();
    place::reach_on_number(&mut configuration, AGENT, true);
    configuration.center.trunks.remove(&TrunkId::new("second"));
    let first = configuration.center.trunks.get_mut(&TrunkId::new("first")).expect("the first carrier");
    if !there {
        // A registration that nobody answers.
        (first.register, first.user) = (Some(std::time::Duration::from_secs(600)), Some("pbx".to_owned()));
    }
    configuration
}

/// Whether the router may ring him, which is what the log tells.
fn is_reachable(bench: &Bench) -> bool {
    let known = bench.engine.router().agent(AGENT).is_some_and(|agent| agent.signed_in() && agent.reachable());
    let mut told = (AgentMode::LoggedOut, true);
    for what in &bench.events {
        match what {
            What::AgentStateChanged { to, .. } => told = (*to, told.1 || *to == AgentMode::LoggedOut),
            What::AgentReachable { reachable, .. } => told.1 = *reachable,
            _ => {}
        }
    }
    assert_eq!(known, told.0 != AgentMode::LoggedOut && told.1, "the log says otherwise: {:#?}", bench.events);
    known
}

/// A caller who waits for anybody of support.
fn waits(bench: &mut Bench, hops: &str) {
    bench.datagram(&invite("in", 1, "sip:guest@192.0.2.9", "").replace("Max-Forwards: 70\n", hops));
    let port = bench.opened[0];
    open_all(bench);
    let two = media::Event::Digit { port, digit: '2', duration_ms: 100, way: media::Way::Event };
    bench.after(4000).tell(Input::Media(two));
    open_all(bench);
}

/// The plane opens every port that was asked for and is not open yet.
fn open_all(bench: &mut Bench) {
    while !bench.opened.is_empty() {
        let port = bench.opened.remove(0);
        let local = SocketAddr::new(ENGINE.ip(), 20_000 + 2 * u16::try_from(port.number).expect("few ports"));
        bench.after(2).tell(Input::Media(media::Event::Opened { port, local }));
    }
}

/// A call to the line that leads outside, with this field in place of `Max-Forwards: 70`.
fn call_outside(bench: &mut Bench, hops: &str) {
    let text = invite("out", 1, "sip:guest@192.0.2.9", "").replace("sip:100@", "sip:300@");
    bench.datagram(&text.replace("Max-Forwards: 70\n", hops));
    open_all(bench);
}

fn sent_out(bench: &Bench) -> Vec<&String> {
    bench.sent.iter().filter(|sent| sent.starts_with("INVITE ")).collect()
}

/// What a carrier answers to the last INVITE.
fn answer(bench: &mut Bench, from: &str, status: &str) {
    describe(bench, from, status, "");
}

/// The same with a body of SDP.
fn describe(bench: &mut Bench, from: &str, status: &str, body: &str) {
    let asked = sent_out(bench).pop().expect("an INVITE").clone();
    let field = |name: &str| asked.lines().find(|line| line.starts_with(name)).expect("a field").to_owned();
    let copied = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].map(field).join("\r\n");
    let body = body.replace('\n', "\r\n");
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\nContact: <sip:192.0.2.21>\r\n" };
    let length = body.len();
    let bytes = format!("SIP/2.0 {status}\r\n{copied};tag=c\r\n{kind}Content-Length: {length}\r\n\r\n{body}");
    let bytes = bytes.replacen(&format!("{};tag=c", field("CSeq:")), &field("CSeq:"), 1);
    let bytes = bytes.replacen(&field("To:"), &format!("{};tag=c", field("To:")), 1).into_bytes();
    let flow = Flow::udp(0, from.parse().expect("an address"));
    bench.after(20).tell(Input::Sip(sip::Input::Received { flow, bytes }));
}

/// RFC 3261 §16.3 and §16.6 step 3: each who passes a call on counts it down, and what has no hop left stays. A loop
/// through the public network ends so.
#[test]
fn a_call_is_counted_down_where_it_is_passed_on_and_never_leaves_with_nothing_left() {
    let rows = [
        ("Max-Forwards: 70\n", Some("69")),
        ("Max-Forwards: 2\n", Some("1")),
        ("Max-Forwards: 1\n", None),
        ("Max-Forwards: 0\n", None),
        ("", Some("69")),
    ];
    for (hops, expect) in rows {
        let mut bench = Bench::of(with_carriers());
        call_outside(&mut bench, hops);
        let left =
            sent_out(&bench).first().and_then(|sent| sent.lines().find_map(|l| l.strip_prefix("Max-Forwards: ")));
        assert_eq!(left, expect, "{hops}");
        let failed = bench.count(|what| matches!(what, What::TransferFailed { why: TransferProblem::NoTrunk }));
        assert_eq!(failed, usize::from(expect.is_none()), "{hops}");
    }
    // The same for an agent who is reached on a number.
    for (hops, expect) in rows {
        let mut configuration = with_carriers();
        place::reach_on_number(&mut configuration, AgentId(place::FIRST_AGENT), true);
        let mut bench = Bench::of(configuration);
        waits(&mut bench, hops);
        assert_eq!(bench.count(|what| matches!(what, What::Delivered { .. })), 1, "{hops}");
        let left =
            sent_out(&bench).first().and_then(|sent| sent.lines().find_map(|l| l.strip_prefix("Max-Forwards: ")));
        assert_eq!(left, expect, "{hops}");
    }
}

/// A number that is one of our own lines would come back to us through the public network.
#[test]
fn one_of_our_own_numbers_is_not_called_outside() {
    let mut configuration = with_carriers();
    let main = configuration.center.lines.get_mut(&LineId::new("main")).expect("the main line");
    main.numbers.push(place::VENDOR.to_owned());
    let mut bench = Bench::of(configuration);
    call_outside(&mut bench, "Max-Forwards: 70\n");
    assert_eq!(sent_out(&bench), Vec::<&String>::new());
    assert_eq!(bench.count(|what| matches!(what, What::TransferFailed { .. })), 1);
}

/// While the first carrier is tried, a new configuration closes the second one: it is not called over any more.
#[test]
fn a_new_configuration_closes_the_ways_that_a_hunt_has_left() {
    let second = TrunkId::new("second");
    type Change = fn(&mut tierline::center::Trunk);
    let rows: [(&str, Change, usize); 4] = [
        ("nothing", |_| {}, 1),
        ("the numbers", |trunk| trunk.allowed = vec!["+33".to_owned()], 0),
        ("denied numbers", |trunk| trunk.denied = vec![place::VENDOR.to_owned()], 0),
        ("the server", |trunk| trunk.server = None, 0),
    ];
    for (what, change, expect) in rows {
        let mut bench = Bench::of(with_carriers());
        call_outside(&mut bench, "Max-Forwards: 70\n");
        let mut configuration = with_carriers();
        change(configuration.center.trunks.get_mut(&second).expect("the second carrier"));
        bench.after(20).tell(Input::Configured(Box::new(configuration)));
        answer(&mut bench, FIRST, "503 Service Unavailable");
        assert_eq!(sent_out(&bench).len() - 1, expect, "{what}");
        assert_eq!(bench.count(|what| matches!(what, What::TransferFailed { .. })), 1 - expect, "{what}");
        assert_eq!(bench.count(|what| matches!(what, What::Repaired { .. })), 0, "{what}");
    }
    // Both are gone, and the one that is being tried gives its share back to nobody.
    let mut bench = Bench::of(with_carriers());
    call_outside(&mut bench, "Max-Forwards: 70\n");
    bench.after(20).tell(Input::Configured(Box::new(place::configuration(1))));
    answer(&mut bench, FIRST, "503 Service Unavailable");
    assert_eq!(bench.count(|what| matches!(what, What::TransferFailed { .. })), 1);
    assert_eq!(bench.count(|what| matches!(what, What::Repaired { .. })), 0);
}

/// An agent with a number whose phone leaves is reached at the number, if a carrier is there; else not at all.
#[test]
fn whose_phone_leaves_is_as_reachable_as_his_number() {
    for there in [true, false] {
        let mut bench = Bench::of(on_a_number(there));
        assert_eq!(is_reachable(&bench), there);
        for (number, expires) in [(1, 600), (3, 0)] {
            let text = |number, proof: &str| {
                register(number, "sip:1001@192.0.2.9:5062", proof)
                    .replace("Expires: 600", &format!("Expires: {expires}"))
            };
            bench.after(20).datagram(&text(number, ""));
            let proof = authorization(&bench);
            bench.after(20).datagram(&text(number + 1, &proof));
            assert_eq!(is_reachable(&bench), there || expires > 0, "{there} {expires}");
        }
        assert!(bench.engine.router().agent(AGENT).is_some_and(|agent| agent.signed_in()));
        waits(&mut bench, "");
        assert_eq!(bench.count(|what| matches!(what, What::Delivered { .. })), usize::from(there));
    }
}

/// A phone that answers no more says nothing of his number, and carriers that are gone say nothing of his phone: he is
/// unreachable when both are.
#[test]
fn an_agent_is_reachable_while_his_phone_or_his_number_is() {
    for there in [true, false] {
        let mut bench = Bench::of(on_a_number(there));
        bench.after(20).datagram(&register(1, "sip:1001@192.0.2.9:5062", ""));
        let proof = authorization(&bench);
        bench.after(20).datagram(&register(2, "sip:1001@192.0.2.9:5062", &proof));
        assert!(is_reachable(&bench));
        super::phones::passes(&mut bench, 240);
        assert_eq!(bench.count(|what| matches!(what, What::PhoneReachable { reachable: false, .. })), 1);
        assert_eq!(is_reachable(&bench), there);
        bench.after(20).tell(Input::Configured(Box::new(on_a_number(!there))));
        super::phones::passes(&mut bench, 60);
        assert_eq!(is_reachable(&bench), !there, "by his number alone");
    }
}

/// A new configuration neither lifts a rest of who has a number, nor offers him a call that cannot reach him; and whose
/// number it takes away is as reachable as his phone.
#[test]
fn a_new_configuration_tells_nothing_of_whether_a_number_can_be_reached() {
    let mode = |bench: &Bench| {
        bench.events.iter().rev().find_map(|what| match what {
            What::AgentStateChanged { to, .. } => Some(*to),
            _ => None,
        })
    };
    let mut bench = Bench::of(on_a_number(true));
    waits(&mut bench, "");
    answer(&mut bench, FIRST, "503 Service Unavailable");
    assert_eq!(mode(&bench), Some(AgentMode::NotReady), "nobody was reached: he rests");
    let mut changed = on_a_number(true);
    changed.center.limits.calls += 1;
    bench.after(20).tell(Input::Configured(Box::new(changed)));
    assert_eq!(mode(&bench), Some(AgentMode::NotReady));

    let mut bench = Bench::of(with_carriers());
    waits(&mut bench, "");
    bench.after(20).tell(Input::Configured(Box::new(on_a_number(false))));
    assert_eq!((mode(&bench), is_reachable(&bench)), (Some(AgentMode::Ready), false));
    assert_eq!(bench.count(|what| matches!(what, What::Delivered { .. })), 0, "no way leads to him");

    bench.after(20).tell(Input::Configured(Box::new(with_carriers())));
    assert_eq!((mode(&bench), is_reachable(&bench)), (Some(AgentMode::LoggedOut), false));
}

/// A trunk's `srtp` says whether our offers over it bring keys. A next trunk's own holds there.
#[test]
fn a_trunk_says_whether_keys_are_offered_over_it() {
    let rows = [(None, 0), (Some(Srtp::Off), 0), (Some(Srtp::Optional), 1), (Some(Srtp::Required), 2)];
    for (srtp, expect) in rows {
        let mut configuration = with_carriers();
        let first = configuration.center.trunks.get_mut(&TrunkId::new("first")).expect("the first carrier");
        let tls = Server { host: "192.0.2.21".to_owned(), port: Some(5061), transport: Some("tls".to_owned()) };
        (first.srtp, first.server) = (srtp, Some(tls));
        let (udp, tls) = (Listener::udp(ENGINE), SocketAddr::new(ENGINE.ip(), 5061));
        let tls = Listener { transport: sip::Transport::Tls, ..Listener::udp(tls) };
        let mut bench = Bench::with(configuration, vec![udp, tls]);
        call_outside(&mut bench, "");
        let kind = |sent: &str| (sent.contains("RTP/SAVP"), sent.contains("a=crypto:"));
        let expected = [(false, false), (false, true), (true, true)][expect];
        assert_eq!(kind(sent_out(&bench)[0]), expected, "{srtp:?}");
        answer(&mut bench, "192.0.2.21:5061", "503 Service Unavailable");
        assert_eq!(kind(sent_out(&bench)[1]), (false, false), "the second carrier is as usual");
    }
}

/// What the planes were told since they were last asked, of ports and bridges.
fn told(bench: &mut Bench) -> Vec<&'static str> {
    let name = |command| match command {
        media::Command::Connect { .. } => Some("connect"),
        media::Command::Join { .. } => Some("join"),
        media::Command::Leave { .. } => Some("leave"),
        media::Command::Play { .. } => Some("play"),
        media::Command::Close { .. } => Some("close"),
        _ => None,
    };
    std::mem::take(&mut bench.told).into_iter().filter_map(name).collect()
}

/// RFC 3960: what the called side says before it answers is heard by the caller, once it says something that can be
/// understood, and as long as that side is called; it may be silent, and its answer does not interrupt it.
#[test]
fn what_is_said_before_an_answer_is_heard() {
    let mut bench = Bench::of(with_carriers());
    call_outside(&mut bench, "");
    let outside = bench.engine.legs().find(|leg| leg.trunk.is_some()).expect("the outside leg").port;
    assert_eq!(told(&mut bench).last(), Some(&"play"), "our ringing tone");
    answer(&mut bench, FIRST, "180 Ringing");
    describe(&mut bench, FIRST, "183 Session Progress", "nonsense");
    assert_eq!(told(&mut bench), Vec::<&str>::new());
    describe(&mut bench, FIRST, "183 Session Progress", OFFER);
    assert_eq!(told(&mut bench), ["connect", "join"]);
    bench.after(30_000).tell(Input::Media(media::Event::Silent { port: outside }));
    assert_eq!(bench.count(|what| matches!(what, What::CallEnded { .. })), 0, "who has not answered may be silent");
    assert_eq!(bench.count(|what| matches!(what, What::OutsideJoined { .. })), 0, "nor has he joined");
    answer(&mut bench, FIRST, "503 Service Unavailable");
    assert_eq!(told(&mut bench), ["leave", "play"], "our ringing tone again");
    describe(&mut bench, SECOND, "183 Session Progress", OFFER);
    describe(&mut bench, SECOND, "200 OK", OFFER);
    assert_eq!(told(&mut bench), ["connect", "join", "connect"], "bridged once");
    assert_eq!(bench.count(|what| matches!(what, What::OutsideJoined { .. })), 1);

    // One who waits for an agent hears his music until the agent has taken him.
    let mut bench = Bench::of(on_a_number(true));
    waits(&mut bench, "");
    told(&mut bench);
    describe(&mut bench, FIRST, "183 Session Progress", OFFER);
    assert_eq!(told(&mut bench), Vec::<&str>::new());
}

/// Caller and outside party may hold one another: who is held hears music, and it is told.
#[test]
fn an_outside_party_and_a_caller_hold_one_another() {
    let mut bench = Bench::of(with_carriers());
    call_outside(&mut bench, "");
    describe(&mut bench, FIRST, "200 OK", OFFER);
    let port = |bench: &Bench, out: bool| bench.engine.legs().find(|l| l.trunk.is_some() == out).expect("a leg").port;
    let (caller, outside) = (port(&bench, false), port(&bench, true));
    let ok = bench.sent.iter().find(|sent| sent.starts_with("SIP/2.0 200") && sent.contains("Call-ID: out@")).cloned();
    let to = ok.as_ref().and_then(|ok| ok.lines().find(|line| line.starts_with("To: "))).expect("a To").to_owned();
    let ack = |bench: &mut Bench, cseq: u32| {
        let text =
            invite("out", cseq, "sip:guest@192.0.2.9", "").replace("INVITE", "ACK").replace("z9hG4bKi", "z9hG4bKa");
        bench.after(10).datagram(&text.replace("To: <sip:100@192.0.2.1>", &to));
    };
    ack(&mut bench, 1);
    let again = |bench: &mut Bench, cseq: u32, way: &str| {
        let body = format!("{OFFER}a={way}\n");
        let length = body.len() + body.lines().count();
        let text = invite("out", cseq, "sip:guest@192.0.2.9", "").replace("To: <sip:100@192.0.2.1>", &to);
        let head = text.split("Content-Length").next().expect("a head").to_owned();
        bench.after(500).datagram(&format!("{head}Content-Length: {length}\n\n{body}"));
        ack(bench, cseq);
    };
    let played = |bench: &mut Bench| {
        let heard = std::mem::take(&mut bench.told).into_iter().filter_map(|command| match command {
            media::Command::Leave { .. } => Some("leave"),
            media::Command::Play { port, .. } if port == outside => Some("music for the outside party"),
            media::Command::Play { port, .. } if port == caller => Some("music for the caller"),
            media::Command::Join { .. } => Some("join"),
            _ => None,
        });
        heard.collect::<Vec<_>>()
    };
    let told = |bench: &Bench| {
        let (held, back) =
            (|what: &What| matches!(what, What::Held { .. }), |what: &What| matches!(what, What::Retrieved { .. }));
        (bench.count(held), bench.count(back))
    };
    played(&mut bench);
    again(&mut bench, 2, "sendonly");
    assert_eq!((played(&mut bench), told(&bench)), (vec!["leave", "music for the outside party"], (1, 0)));
    again(&mut bench, 3, "sendrecv");
    assert_eq!((played(&mut bench), told(&bench)), (vec!["join"], (1, 1)));
    // The other side: its dialog began with our INVITE.
    let ours = sent_out(&bench).pop().expect("our INVITE").clone();
    let field = |name: &str| ours.lines().find_map(|line| line.strip_prefix(name)).expect("a field").to_owned();
    let (from, to, id, contact) = (field("From: "), field("To: "), field("Call-ID: "), field("Contact: "));
    for (cseq, way, expect, counts) in
        [(1, "inactive", vec!["leave", "music for the caller"], (2, 1)), (2, "sendrecv", vec!["join"], (2, 2))]
    {
        let body = format!("{OFFER}a={way}\n").replace('\n', "\r\n");
        let text = format!(
            "INVITE {} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.21;branch=z9hG4bKh{cseq}\r\nFrom: {to};tag=c\r\nTo: {from}\r\n\
             Call-ID: {id}\r\nCSeq: {cseq} INVITE\r\nMax-Forwards: 70\r\nContact: <sip:192.0.2.21>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            contact.trim_matches(['<', '>']),
            body.len()
        );
        let flow = Flow::udp(0, FIRST.parse().expect("an address"));
        let acks = text.split("Content-Type").next().expect("a head").replace("INVITE", "ACK");
        let ack = format!("{acks}Content-Length: 0\r\n\r\n").replace("z9hG4bKh", "z9hG4bKk");
        for text in [text, ack] {
            bench.after(500).tell(Input::Sip(sip::Input::Received { flow, bytes: text.into_bytes() }));
        }
        assert_eq!((played(&mut bench), told(&bench)), (expect, counts), "{way}: {:?}", bench.sent.last());
    }
}

/// RFC 4568 §6.1.
#[test]
fn no_carrier_is_told_the_keys_that_another_has_seen() {
    let mut configuration = with_carriers();
    configuration.center.trunks.values_mut().for_each(|trunk| trunk.srtp = Some(Srtp::Required));
    let mut bench = Bench::of(configuration);
    call_outside(&mut bench, "");
    let keys = |bench: &Bench| -> Vec<String> {
        let invite = bench.sent.iter().rfind(|sent| sent.starts_with("INVITE")).expect("a call");
        invite.lines().filter_map(|line| Some(line.split_once("inline:")?.1.to_owned())).collect()
    };
    let first = keys(&bench);
    answer(&mut bench, FIRST, "503 Service Unavailable");
    let second = keys(&bench);
    assert!(!first.is_empty() && first.len() == second.len());
    assert!(second.iter().all(|key| !first.contains(key)), "{first:?} {second:?}");
}

/// What the first carrier's side said before it gave up counts for nothing: an answer of the next one that describes no
/// audio is no answer (RFC 3261 §13.2.1), and nobody is joined with the one before.
#[test]
fn what_an_earlier_carrier_has_described_is_no_answer_of_the_next() {
    let mut bench = Bench::of(with_carriers());
    call_outside(&mut bench, "");
    describe(&mut bench, FIRST, "183 Session Progress", OFFER);
    answer(&mut bench, FIRST, "503 Service Unavailable");
    told(&mut bench);
    answer(&mut bench, SECOND, "200 OK");
    assert_eq!(bench.count(|what| matches!(what, What::OutsideJoined { .. })), 0);
    assert_eq!(bench.count(|what| matches!(what, What::TransferFailed { why: TransferProblem::Refused })), 1);
    assert!(!told(&mut bench).contains(&"connect"));
}
