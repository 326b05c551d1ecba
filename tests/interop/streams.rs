//! SIP over TCP and TLS, and names: raw bytes that no phone would send, and phones over every transport.

use super::audio;
use super::harness::{GENEROUS, Ground, SECOND, talk_for, wait_for, wait_until};
use super::heard::{assert_talk, said_by};
use super::listeners::authority;
use super::peers::{Baresip, Sipp, Softphone};
use super::server::{DIRECT, Server, Wishes};
use super::wire::{Wire, ack, answer, invite, options};
use super::zone::{Data, Zone};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection, StreamOwned};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Arc;

pub const URI: &str = "sip:127.0.0.1";

pub fn with_sip(sip: &str) -> Wishes {
    Wishes { sip: sip.to_owned(), ..Wishes::agents(&["ada"]) }
}

pub fn ended(server: &Server, reason: &str) -> f64 {
    let name = format!("tierline_sip_connections_ended_total{{reason=\"{reason}\"}}");
    server.metrics().get(&name).copied().unwrap_or_default()
}

#[test]
fn messages_are_framed_wherever_the_stream_is_split() {
    let ground = Ground::new("framing");
    let server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let mut wire = Wire::to(server.sip);
    let length = options(1, "TCP", URI).len();
    for at in 1..length {
        let message = options(u32::try_from(at).expect("short"), "TCP", URI);
        let (first, second) = message.split_at(at.min(message.len()));
        wire.say(first);
        wire.say(second);
        let ok = wire.until("200");
        assert!(ok.contains(&format!("CSeq: {at} OPTIONS")), "split at {at}: {ok}");
    }
    // Two messages in one segment, a keepalive between them.
    wire.say([&options(9001, "TCP", URI), "\r\n\r\n", &options(9002, "TCP", URI)].concat());
    let both = (wire.message().expect("an answer"), wire.message().expect("an answer"));
    assert!(both.0.contains("9001") && both.1.contains("9002"), "{both:?}");
    // RFC 5626 §4.4.1: two line ends are answered with one.
    let mut other = Wire::to(server.sip);
    other.say(options(1, "TCP", URI));
    other.until("200");
    other.say("\r\n\r\n");
    assert_eq!(other.bytes(), b"\r\n");
    assert_eq!(server.metrics()["tierline_sip_connections{transport=\"tcp\"}"], 2.0);
}

#[test]
fn who_abuses_a_connection_is_cut_and_others_are_served() {
    let ground = Ground::new("abuse");
    let limits = "[server.sip.connections]\nmessage = \"1s\"\nidle = \"10s\"\nmost_per_address = 8";
    let server = Server::start(&ground, &with_sip(limits));
    let mut good = Wire::to(server.sip);
    let mut number = 0;
    let mut served = || {
        number += 1;
        good.say(options(number, "TCP", URI));
        good.until("200");
    };
    served();
    let message = options(1, "TCP", URI);
    let huge = message.replace("Content-Length: 0", "Content-Length: 99999999");
    let rows: &[(&str, &str, &str)] = &[
        ("garbage", "GET / HTTP/1.1\r\n\r\n", "unframed"),
        ("no length", &message.replace("Content-Length: 0\r\n", ""), "unframed"),
        ("a huge body", &huge, "unframed"),
        ("half a message", &message[..40], "slow"),
        ("nothing", "", "silent"),
        ("line ends only", "\r\n\r\n", "silent"),
    ];
    for (what, bytes, reason) in rows {
        let before = ended(&server, reason);
        let mut wire = Wire::to(server.sip);
        wire.say(bytes);
        assert!(wire.is_closed(), "{what}");
        wait_until(&format!("{what} counts as {reason}"), 5 * SECOND, || ended(&server, reason) == before + 1.0);
        served();
    }
    // One more than the limit from one address is closed at once.
    let mut seven: Vec<_> = (0..7).map(|_| Wire::to(server.sip)).collect();
    for (wire, number) in seven.iter_mut().zip(500..) {
        wire.say(options(number, "TCP", URI));
        wire.until("200");
    }
    assert!(Wire::to(server.sip).is_closed());
    let refused = server.metrics()["tierline_sip_connections_refused_total{limit=\"address\"}"];
    assert_eq!(refused, 1.0);
    served();
    // And idle ones go, while keepalives keep.
    assert!(seven.remove(0).is_closed());
    assert!(ended(&server, "idle") >= 1.0);
}

#[test]
fn a_flood_that_does_not_read_its_answers_is_cut_and_starves_nobody() {
    let ground = Ground::new("flood");
    let server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let mut flood = TcpStream::connect(server.sip).expect("a connection");
    flood.set_write_timeout(Some(5 * SECOND)).expect("a time-out");
    let flooding = std::thread::spawn(move || {
        let cut = |number: &u32| flood.write_all(options(*number, "TCP", URI).as_bytes()).is_err();
        (1..2_000_000).find(cut)
    });
    let mut good = Wire::to(server.sip);
    for number in 1..50 {
        let begun = std::time::Instant::now();
        good.say(options(number, "TCP", URI));
        good.until("200");
        assert!(begun.elapsed() < 2 * SECOND, "a flood held up another connection for {:?}", begun.elapsed());
    }
    assert!(flooding.join().expect("a thread").is_some(), "the flood was never cut");
    wait_until("the flood counts as not reading", 15 * SECOND, || ended(&server, "not_reading") == 1.0);
}

/// A call over TCP whose caller says nothing, so that the server hangs up; until it is established.
pub fn silent_call(server: &Server, contact: &str, more: &str) -> Wire<TcpStream> {
    let mut wire = Wire::to(server.sip);
    wire.say(invite(&format!("sip:{DIRECT}@{}", server.sip), contact, more));
    let ok = wire.until("200");
    assert!(ok.contains(";transport=tcp"), "our Contact names its transport: {ok}");
    wire.say(ack(&ok));
    wire
}

#[test]
fn a_call_ends_over_its_connection_or_over_a_new_one() {
    let ground = Ground::new("cut_in_call");
    let server = Server::start(&ground, &Wishes { silence: "2s", ..Wishes::agents(&["ada"]) });
    let listener = TcpListener::bind(ground.address()).expect("a port");
    let contact = format!("sip:raw@{};transport=tcp", listener.local_addr().expect("an address"));
    // As long as it lives, the connection that the call came by.
    let mut wire = silent_call(&server, &contact, "");
    let bye = wire.until("BYE");
    wire.say(answer(&bye, "200 OK"));
    server.wait_ended(1, 5 * SECOND);
    // Cut in mid-call: a new one to the Contact.
    drop(silent_call(&server, &contact, ""));
    let mut new = Wire::accepted(&listener);
    let bye = new.until("BYE");
    assert!(bye.contains("Via: SIP/2.0/TCP"), "{bye}");
    new.say(answer(&bye, "200 OK"));
    let calls = server.wait_ended(2, 5 * SECOND);
    assert_eq!(calls[0]["cause"], "Silent", "{}", calls[0]);
    assert_eq!(server.metrics()["tierline_sip_connections_opened_total{transport=\"tcp\"}"], 1.0);
}

#[test]
fn names_lead_on_after_a_refused_connection_and_a_503() {
    let ground = Ground::new("names");
    let dns = ground.address();
    let server = Server::start(&ground, &Wishes { silence: "2s", ..with_sip(&format!("name_servers = [\"{dns}\"]")) });
    let listen = || TcpListener::bind(ground.address()).expect("a port");
    let (busy, free) = (listen(), listen());
    let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
    let dead = ground.port();
    let _zone = Zone::serve(
        dns,
        vec![
            ("phones.test", Data::Naptr(20, 1, "SIP+D2U", "_sip._udp.phones.test")),
            ("phones.test", Data::Naptr(10, 1, "SIP+D2T", "_sip._tcp.phones.test")),
            ("_sip._tcp.phones.test", Data::Srv(3, 0, port(&free), "host.phones.test")),
            ("_sip._tcp.phones.test", Data::Srv(1, 0, dead, "host.phones.test")),
            ("_sip._tcp.phones.test", Data::Srv(2, 0, port(&busy), "host.phones.test")),
            ("host.phones.test", Data::A(Ipv4Addr::LOCALHOST)),
        ],
    );
    drop(silent_call(&server, "sip:raw@phones.test", ""));
    let mut second = Wire::accepted(&busy);
    let bye = second.until("BYE sip:raw@phones.test ");
    second.say(answer(&bye, "503 Service Unavailable"));
    let mut third = Wire::accepted(&free);
    let bye = third.until("BYE sip:raw@phones.test ");
    third.say(answer(&bye, "200 OK"));
    server.wait_ended(1, 5 * SECOND);
    assert_eq!(server.metrics()["tierline_sip_names_failed_total"], 0.0);
    drop(silent_call(&server, "sip:raw@nobody.test", ""));
    wait_until("a name that leads nowhere is counted", 15 * SECOND, || {
        server.metrics()["tierline_sip_names_failed_total"] == 1.0
    });
}

/// RFC 3261 §18.4, over UDP too: the second place has the request long before the first one's timers have run out.
#[test]
fn names_lead_on_where_no_datagram_can_be_sent() {
    let ground = Ground::new("names_udp");
    let dns = ground.address();
    let server = Server::start(&ground, &Wishes { silence: "2s", ..with_sip(&format!("name_servers = [\"{dns}\"]")) });
    let second = UdpSocket::bind(ground.address()).expect("a port");
    second.set_read_timeout(Some(8 * SECOND)).expect("a time-out");
    let _zone = Zone::serve(
        dns,
        vec![
            ("_sip._udp.phones.test", Data::Srv(1, 0, 5060, "nowhere.phones.test")),
            (
                "_sip._udp.phones.test",
                Data::Srv(2, 0, second.local_addr().expect("an address").port(), "host.phones.test"),
            ),
            // Nobody may send there.
            ("nowhere.phones.test", Data::A(Ipv4Addr::BROADCAST)),
            ("host.phones.test", Data::A(Ipv4Addr::LOCALHOST)),
        ],
    );
    drop(silent_call(&server, "sip:raw@phones.test;transport=udp", ""));
    let mut room = [0; 4096];
    let (length, from) = second.recv_from(&mut room).expect("the BYE, before the first place's 32 s are over");
    let bye = String::from_utf8_lossy(&room[..length]).into_owned();
    assert!(bye.starts_with("BYE sip:raw@phones.test"), "{bye}");
    second.send_to(answer(&bye, "200 OK").as_bytes(), from).expect("an answer");
    server.wait_ended(1, 5 * SECOND);
}

#[test]
fn large_requests_go_by_tcp_and_back_to_udp_where_nobody_listens() {
    let ground = Ground::new("large");
    let server = Server::start(&ground, &Wishes { silence: "2s", ..Wishes::agents(&["ada"]) });
    for has_tcp in [true, false] {
        let at = ground.address();
        let udp = UdpSocket::bind(at).expect("a port");
        udp.set_read_timeout(Some(15 * SECOND)).expect("a time-out");
        let tcp = has_tcp.then(|| TcpListener::bind(at).expect("a port"));
        let long = "x".repeat(1_300);
        let record = format!("Record-Route: <sip:{at};lr;long={long}>\r\n");
        drop(silent_call(&server, "sip:raw@127.0.0.1:9", &record));
        let bye = match &tcp {
            Some(listener) => Wire::accepted(listener).until("BYE"),
            None => {
                let mut room = vec![0; 4096];
                let (length, from) = udp.recv_from(&mut room).expect("a datagram");
                let bye = String::from_utf8_lossy(&room[..length]).into_owned();
                udp.send_to(answer(&bye, "200 OK").as_bytes(), from).expect("an answer");
                bye
            }
        };
        let via = if has_tcp { "Via: SIP/2.0/TCP" } else { "Via: SIP/2.0/UDP" };
        assert!(bye.starts_with("BYE ") && bye.contains(via) && bye.len() > 1_300, "{bye}");
    }
}

/// A TLS client that trusts `root` and expects the server to be `name`.
pub fn tls(at: SocketAddr, root: &Path, name: &str) -> std::io::Result<Wire<StreamOwned<ClientConnection, TcpStream>>> {
    let mut roots = RootCertStore::empty();
    let found = CertificateDer::pem_file_iter(root).expect("a file").map(|root| root.expect("a certificate"));
    roots.add_parsable_certificates(found);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut connection = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(10 * SECOND))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(Wire::over(StreamOwned::new(connection, stream)))
}

pub fn tls_listener(at: SocketAddr) -> String {
    format!("[[server.sip.listen]]\ntransport = \"tls\"\nbind = \"{at}\"")
}

#[test]
fn tls_with_the_certificate_for_trying_out() {
    let ground = Ground::new("tls");
    let at = ground.address();
    let server = Server::start(&ground, &with_sip(&tls_listener(at)));
    let root = ground.file("data/tls/ca.pem");
    for name in ["localhost", "127.0.0.1"] {
        let mut wire = tls(at, &root, name).expect("a handshake");
        wire.say(options(1, "TLS", "sips:127.0.0.1"));
        wire.until("200");
        wire.say("\r\n\r\n");
        assert_eq!(wire.bytes(), b"\r\n");
    }
    assert!(tls(at, &root, "elsewhere.test").is_err(), "a certificate for another name");
    let mut plain = Wire::to(at);
    plain.say(options(1, "TCP", URI));
    assert!(plain.is_closed());
    let failed = "tierline_sip_tls_handshakes_failed_total{side=\"accepting\"}";
    wait_until("failed handshakes are counted", 5 * SECOND, || server.metrics()[failed] == 2.0);
}

/// RFC 3261 §12.1.1 and §26.2: a call to a SIPS URI is SIPS on both sides, and its BYE comes over TLS too: over the same
/// connection, or over a new one to the Contact.
#[test]
fn a_call_by_sips_is_sips_to_its_end() {
    for stays in [true, false] {
        let ground = Ground::new(&format!("sips_{stays}"));
        let (at, theirs) = (ground.address(), ground.address());
        let own = authority(&ground.dir, "caller");
        let sip = format!("{}\n[server.sip.tls]\ntrust = \"caller.pem\"\n", tls_listener(at));
        let server = Server::start(&ground, &Wishes { silence: "2s", ..with_sip(&sip) });
        let mut wire = tls(at, &ground.file("data/tls/ca.pem"), "127.0.0.1").expect("a handshake");
        let contact = format!("sips:raw@{theirs}");
        let text = invite(&format!("sips:{DIRECT}@{at}"), &contact, "").replace("/TCP", "/TLS");
        wire.say(text.replace("<sip:raw@127.0.0.1>", "<sips:raw@127.0.0.1>"));
        let ok = wire.until("200");
        assert!(ok.contains("Contact: <sips:"), "{ok}");
        wire.say(ack(&ok).replace("/TCP", "/TLS"));
        let expect = format!("BYE {contact} SIP/2.0");
        let bye = if stays {
            let bye = wire.until("BYE");
            wire.say(answer(&bye, "200 OK"));
            bye
        } else {
            let listener = TcpListener::bind(theirs).expect("a port");
            drop(wire);
            let (stream, _) = listener.accept().expect("a connection");
            stream.set_read_timeout(Some(GENEROUS)).expect("a time-out");
            let connection = ServerConnection::new(own).expect("a server");
            let mut wire = Wire::over(StreamOwned::new(connection, stream));
            let bye = wire.until("BYE");
            wire.say(answer(&bye, "200 OK"));
            bye
        };
        assert!(bye.starts_with(&expect) && bye.contains("Via: SIP/2.0/TLS "), "{bye}");
        server.wait_ended(1, GENEROUS);
    }
}

#[test]
fn certificates_are_read_again_and_broken_ones_are_not_used() {
    let ground = Ground::new("tls_reload");
    let at = ground.address();
    let write = |name: &str| {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
        std::fs::write(ground.file("own.pem"), made.cert.pem()).expect("a file");
        std::fs::write(ground.file("own-key.pem"), made.signing_key.serialize_pem()).expect("a file");
    };
    write("first.test");
    std::fs::copy(ground.file("own.pem"), ground.file("first.pem")).expect("a file");
    let files = "[server.sip.tls]\ncertificate = \"own.pem\"\nkey = \"own-key.pem\"";
    let server = Server::start(&ground, &with_sip(&format!("{}\n{files}", tls_listener(at))));
    let reloads = |outcome: &str| {
        let name = format!("tierline_sip_tls_reloads_total{{outcome=\"{outcome}\"}}");
        server.metrics()[&name]
    };
    let mut old = tls(at, &ground.file("first.pem"), "first.test").expect("a handshake");
    std::fs::write(ground.file("own.pem"), "no certificate").expect("a file");
    server.program.signal(libc::SIGHUP);
    wait_until("a broken file is refused", 5 * SECOND, || reloads("refused") >= 1.0);
    tls(at, &ground.file("first.pem"), "first.test").expect("the old certificate stays in use");
    write("second.test");
    server.program.signal(libc::SIGHUP);
    wait_until("the new one is used", 5 * SECOND, || reloads("used") >= 1.0);
    tls(at, &ground.file("own.pem"), "second.test").expect("a handshake with the new certificate");
    assert!(tls(at, &ground.file("first.pem"), "first.test").is_err());
    // Without a signal: the change is seen.
    write("third.test");
    wait_for("the third one", 15 * SECOND, || tls(at, &ground.file("own.pem"), "third.test").ok());
    old.say(options(1, "TLS", URI));
    old.until("200");
}

#[test]
fn a_sipp_caller_over_tcp_and_a_baresip_agent_over_tcp_hear_each_other() {
    for (mode, from) in [("t1", "one connection for all"), ("tn", "a connection for each call")] {
        let ground = Ground::new(&format!("heard_tcp_{mode}"));
        let server = Server::start(&ground, &Wishes::agents(&["ada"]));
        let capture = ground.capture();
        let agent = Baresip::start_over(&ground, (server.sip, ";transport=tcp"), "ada", 1000.0, true);
        agent.wait_registered();
        let caller = Sipp { seconds: 4.0, more: &["-t", mode, "-max_socket", "100"], ..Sipp::default() };
        assert_eq!(caller.start(&ground, &server).wait(30 * SECOND), 0, "SIPp with {from}");
        server.wait_ended(1, 5 * SECOND);
        let capture = capture.stop();
        let datagrams = capture.messages.iter().filter(|message| message.text.contains("SIP/2.0/UDP")).count();
        assert_eq!(datagrams, 0, "something went over UDP");
        let legs = capture.legs();
        assert_eq!(legs.len(), 2, "{legs:?}");
        let (caller, agent) = (&legs[0], &legs[1]);
        let talk = (agent.talk().0, caller.talk().1);
        assert_talk(&capture, &server, (caller, agent), 1000.0, talk);
        assert_talk(&capture, &server, (agent, caller), 600.0, agent.talk());
        assert!(said_by(&capture, caller, &server).0.len() > 100);
    }
}

/// What TLS hides from a capture, baresip's own recordings tell: the tone that the other one says.
pub fn assert_recorded(who: &Baresip, hz: f64) {
    let recorded = wait_for("a recording", 5 * SECOND, || who.heard().into_iter().next_back());
    let (tone, share) = audio::main_tone(&audio::read_wav(&recorded), &[700.0, 1000.0, 1100.0]);
    assert!(tone == hz && share > 70.0, "baresip recorded {tone} Hz in {share:.1} %, not {hz} Hz");
}

#[test]
fn baresips_over_tcp_and_tls_hear_each_other() {
    let ground = Ground::new("heard_tls");
    let secure = ground.address();
    let wishes = Wishes { sip: tls_listener(secure), ..Wishes::agents(&["ada"]) };
    let server = Server::start(&ground, &wishes);
    let tls = (secure, ";transport=tls");
    let agent = Baresip::start_over(&ground, tls, "ada", 1000.0, true);
    agent.wait_registered();
    // From TLS to TLS, then from TCP to TLS.
    let ways = [(tls, "guest", 700.0), ((server.sip, ";transport=tcp"), "visitor", 1100.0)];
    for (number, ((at, over), name, hz)) in (1..).zip(ways) {
        let caller = Softphone { at, over, user: name, hz, ..Softphone::default() }.start(&ground);
        caller.tell(&format!("dial sip:{DIRECT}@{at}{over}"));
        caller.program.says("Call established", 10 * SECOND);
        talk_for(5 * SECOND);
        caller.tell("hangup");
        let call = server.wait_ended(number, 10 * SECOND).remove(0);
        assert_eq!(call["phase"], "Connected", "{call}");
        assert_recorded(&caller, 1000.0);
        assert_recorded(&agent, hz);
    }
    let of_tls = server.metrics()["tierline_sip_connections_accepted_total{transport=\"tls\"}"];
    assert!(of_tls >= 2.0, "{of_tls} connections over TLS");
}
