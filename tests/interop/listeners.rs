//! Several listeners: what each advertises, IPv6 on real sockets, old TLS refused, and whom we trust when we connect.

use super::capture::Capture;
use super::guarding::Phone;
use super::harness::{GENEROUS, Ground, SECOND, talk_for, wait_for, wait_until};
use super::heard::assert_talk;
use super::peers::{Baresip, Sipp};
use super::server::{DIRECT, Server, Wishes, password};
use super::streams::{silent_call, tls_listener, with_sip};
use super::trunks::{self, Carrier};
use super::wire::{Wire, answer, invite, options};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::sync::Arc;

/// Sends over UDP from a socket of the same family until an answer of this status comes.
fn over_udp(to: SocketAddr, text: &str, status: &str) -> String {
    let own: SocketAddr = if to.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" }.parse().expect("an address");
    let socket = UdpSocket::bind(own).expect("a socket");
    socket.set_read_timeout(Some(10 * SECOND)).expect("a time-out");
    let via = format!("SIP/2.0/UDP {}", socket.local_addr().expect("an address"));
    let text = text.replace("SIP/2.0/TCP 127.0.0.1:5999", &via).replace("SIP/2.0/UDP 127.0.0.1:5999", &via);
    socket.send_to(text.as_bytes(), to).expect("sent");
    let mut room = [0; 8_192];
    loop {
        let (count, _) = socket.recv_from(&mut room).unwrap_or_else(|why| panic!("no {status} from {to}: {why}"));
        let said = String::from_utf8_lossy(&room[..count]).into_owned();
        if said.starts_with(&format!("SIP/2.0 {status}")) {
            return said;
        }
    }
}

#[test]
fn each_listener_tells_its_own_address_also_over_ipv6() {
    let ground = Ground::new("listeners");
    let (plain, six) = (ground.address(), SocketAddr::new("::1".parse().expect("an address"), ground.port()));
    let more = format!(
        "[[server.sip.listen]]\ntransport = \"udp\"\nbind = \"{plain}\"\nadvertised = \"203.0.113.9:5080\"\n\
         [[server.sip.listen]]\ntransport = \"udp\"\nbind = \"{six}\"\nadvertised = \"[2001:db8::5]:5070\"\n\
         [[server.sip.listen]]\ntransport = \"tcp\"\nbind = \"{six}\"\n"
    );
    let server = Server::start(&ground, &with_sip(&more));
    let rows =
        [(server.sip, server.sip.to_string()), (plain, "203.0.113.9:5080".into()), (six, "[2001:db8::5]:5070".into())];
    for (number, (at, told)) in (1..).zip(rows) {
        over_udp(at, &options(number, "UDP", &format!("sip:{at}")), "200");
        let ok = over_udp(at, &invite(&format!("sip:{DIRECT}@{at}"), "sip:raw@127.0.0.1:9", ""), "200");
        let contact = ok.lines().find(|line| line.starts_with("Contact: ")).expect("a Contact");
        assert_eq!(contact, format!("Contact: <sip:{DIRECT}@{told}>"), "{at}");
    }
    let mut wire = Wire::to(six);
    wire.say(options(9, "TCP", "sip:[::1]"));
    wire.until("200");
    wire.say("\r\n\r\n");
    assert_eq!(wire.bytes(), b"\r\n");
}

/// Whoever speaks over a listener is told where to send audio to as that listener says: a caller, and a phone that is called.
#[test]
fn each_listener_tells_its_own_address_for_audio() {
    let ground = Ground::new("listeners_audio");
    let inside = ground.address();
    let more = format!("[[server.sip.listen]]\ntransport = \"udp\"\nbind = \"{inside}\"\naudio = \"127.0.0.9\"\n");
    let server = Server::start(&ground, &with_sip(&more));
    for (at, told) in [(server.sip, "127.0.0.1"), (inside, "127.0.0.9")] {
        let ok = over_udp(at, &invite(&format!("sip:{DIRECT}@{at}"), "sip:raw@127.0.0.1:9", ""), "200");
        assert!(ok.contains(&format!("c=IN IP4 {told}\r\n")), "{at}: {ok}");
    }
    let capture = ground.capture();
    let phone = Baresip::start_over(&ground, (inside, ""), "ada", 1000.0, true);
    phone.wait_registered();
    let seen = || Capture::read(&ground.file("wire.pcap"));
    let called = wait_for("a call to the phone", GENEROUS, || {
        seen().messages.into_iter().find(|m| m.from == inside && m.method() == Some("INVITE"))
    });
    assert!(called.text.contains("c=IN IP4 127.0.0.9\r\n"), "{}", called.text);
    drop(capture);
}

/// All addresses of either kind, on one port: each listener gets what is for it.
#[test]
fn listeners_of_ipv4_and_ipv6_may_share_a_port() {
    let ground = Ground::new("listeners_both");
    let port = ground.port();
    let mut more = String::new();
    for transport in ["udp", "tcp"] {
        for (bind, told) in [("[::]", "[::1]"), ("0.0.0.0", "127.0.0.1")] {
            let (bind, told) = (format!("{bind}:{port}"), format!("{told}:{port}"));
            more += &format!("[[server.sip.listen]]\ntransport = \"{transport}\"\nbind = \"{bind}\"\n");
            more += &format!("advertised = \"{told}\"\n");
        }
    }
    let _server = Server::start(&ground, &with_sip(&more));
    for (number, ip) in [(1, "127.0.0.1"), (3, "::1")] {
        let at = SocketAddr::new(ip.parse().expect("an address"), port);
        over_udp(at, &options(number, "UDP", &format!("sip:{at}")), "200");
        let mut wire = Wire::to(at);
        wire.say(options(number + 1, "TCP", &format!("sip:{at}")));
        wire.until("200");
    }
}

/// A listener at `[::]` alone: whoever is of IPv4 is known by his address of IPv4, and is reached.
#[test]
fn a_listener_at_any_address_of_ipv6_serves_ipv4_too() {
    let ground = Ground::new("listeners_any");
    let port = ground.port();
    let carrier = Carrier { name: "carrier", port, more: "options = \"5s\"\n".to_owned() };
    let guard = "[server.sip.guard]\ntrusted = [\"127.0.0.0/8\"]\nfree = 0\nlimit = 3\n".to_owned();
    let server = Server::start(&ground, &Wishes { six: true, sip: guard, ..trunks::wishes(&ground, &[carrier]) });
    let answers = Sipp { name: "carrier", scenario: "agent_answers", at: Some(port), calls: 1000, ..Sipp::default() };
    let _carrier = answers.start(&ground, &server);
    let up = "tierline_trunk_state{trunk=\"carrier\",state=\"up\"}";
    wait_until("the carrier is up", GENEROUS, || server.metrics().get(up) == Some(&1.0));
    // A trusted network: nobody in it is banned, however often he mistypes.
    let mut phone = Phone::at("127.0.0.1", &server);
    (0..6).for_each(|_| assert_eq!(phone.guesses(), 401));
    assert_eq!(server.metrics().get("tierline_sip_bans_total{of=\"address\"}").copied().unwrap_or_default(), 0.0);
    let six = SocketAddr::new("::1".parse().expect("an address"), server.sip.port());
    for (number, at) in [(1, server.sip), (3, six)] {
        let ok = over_udp(at, &options(number, "UDP", &format!("sip:{at}")), "200");
        assert!(!ok.contains("::ffff"), "{ok}");
        let mut wire = Wire::to(at);
        wire.say(options(number + 1, "TCP", &format!("sip:{at}")));
        wire.until("200");
    }
    let mut caller = Sipp { number: trunks::LINE, seconds: 6.0, ..Sipp::default() }.start(&ground, &server);
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    let call = server.wait_ended(1, GENEROUS).remove(0);
    assert_eq!((call["cause"].as_str(), call["phase"].as_str()), (Some("CallerHungUp"), Some("Connected")), "{call}");
}

/// A caller whose SIP and audio are of IPv6, and an agent's phone of IPv4: each is told an address of its kind, and they hear
/// each other.
#[test]
fn a_caller_over_ipv6_talks_with_an_agent_over_ipv4() {
    let ground = Ground::new("ipv6");
    let six = SocketAddr::new("::1".parse().expect("an address"), ground.port());
    let more = format!("[[server.sip.listen]]\ntransport = \"udp\"\nbind = \"{six}\"\n");
    let server = Server::start(&ground, &with_sip(&more));
    let agent = Baresip::start(&ground, &server, "ada", 1000.0, true);
    agent.wait_registered();
    let capture = ground.capture();
    let more = &["-i", "::1", "-mi", "::1"];
    let mut caller = Sipp { seconds: 6.0, to: Some(six), more, ..Sipp::default() }.start(&ground, &server);
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    server.wait_ended(1, GENEROUS);
    let capture = capture.stop();
    let legs = capture.legs();
    let [caller, agent] = &legs[..] else { panic!("{} legs", legs.len()) };
    assert!(caller.audio().1.is_ipv6() && agent.audio().0.is_ipv4(), "{:?} {:?}", caller.audio(), agent.audio());
    assert_talk(&capture, &server, (agent, caller), 600.0, agent.talk());
    assert_talk(&capture, &server, (caller, agent), 1000.0, (agent.talk().0, caller.talk().1));
}

/// Each listener challenges with its own algorithm; a nonce is good for rising counts (RFC 7616 §3.4), and integrity of
/// bodies is not offered. The answers are reckoned with hashes of others.
#[test]
fn each_listener_challenges_in_its_own_way_and_counts() {
    use sha2::Digest as _;
    let ground = Ground::new("digest");
    let strong = ground.address();
    let more = format!("[[server.sip.listen]]\ntransport = \"tcp\"\nbind = \"{strong}\"\ndigest = \"sha-256\"\n");
    let more = format!("{more}[server.sip.guard]\nnonce_life = \"10s\"\n");
    let server = Server::start(&ground, &with_sip(&more));
    type Hash = fn(&str) -> String;
    let md5: Hash = |text| md5::Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    let sha: Hash = |text| sha2::Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    for (at, name, hash) in [(server.sip, "MD5", md5), (strong, "SHA-256", sha)] {
        let mut wire = Wire::to(at);
        let mut number = 0;
        let mut asks = |more: &str, status: &str| {
            number += 1;
            let uri = format!("sip:{at}");
            let text = options(number, "TCP", &uri)
                .replace("OPTIONS", "REGISTER")
                .replace("sip:raw@127.0.0.1", "sip:ada@127.0.0.1");
            let text = text.replace(&format!("To: <{uri}>"), "To: <sip:ada@127.0.0.1>");
            let fields = format!("Contact: <sip:ada@127.0.0.1:9;transport=tcp>\r\n{more}Content-Length");
            // Each listener's numbers begin anew, and may come before the first one's connection is known to be gone.
            let call = format!("digest-{name}");
            wire.say(text.replace("Content-Length", &fields).replace(&format!("raw-{number}"), &call));
            wire.until(status)
        };
        let challenge = asks("", "401");
        let field = |text: &str, name: &str| {
            let value = text.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
            value.unwrap_or_default().to_owned()
        };
        assert!(challenge.contains(&format!("algorithm={name}")), "{challenge}");
        let (realm, nonce) = (field(&challenge, "realm"), field(&challenge, "nonce"));
        let proof = |nonce: &str, count: u32, qop: &str| {
            let ha1 = hash(&format!("ada:{realm}:{}", password("ada")));
            let ha2 = hash(&format!("REGISTER:sip:{at}"));
            let response = hash(&format!("{ha1}:{nonce}:{count:08x}:c:{qop}:{ha2}"));
            format!(
                "Authorization: Digest username=\"ada\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"sip:{at}\", \
                 response=\"{response}\", algorithm={name}, qop={qop}, nc={count:08x}, cnonce=\"c\"\r\n"
            )
        };
        asks(&proof(&nonce, 1, "auth"), "200");
        asks(&proof(&nonce, 2, "auth"), "200");
        let stale = asks(&proof(&nonce, 2, "auth"), "401");
        assert!(stale.contains("stale=true"), "a count that was used: {stale}");
        let fresh = field(&stale, "nonce");
        let refused = asks(&proof(&fresh, 1, "auth-int"), "401");
        assert!(!refused.contains("stale=true") && refused.contains("qop=\"auth\""), "{refused}");
        asks(&proof(&fresh, 1, "auth"), "200");
        if name == "SHA-256" {
            talk_for(11 * SECOND);
            let old = asks(&proof(&fresh, 2, "auth"), "401");
            assert!(old.contains("stale=true"), "a nonce that has had its time: {old}");
            asks(&proof(&field(&old, "nonce"), 1, "auth"), "200");
        }
    }
}

/// A ClientHello of TLS 1.1 with the cipher suites of its time.
fn hello_of_tls_1_1() -> Vec<u8> {
    let mut body = vec![3, 2];
    body.extend([7; 32]); // random
    body.extend([0, 0, 4, 0x00, 0x2f, 0xc0, 0x14, 1, 0]); // no session; two suites; no compression
    body.extend([0, 10, 0, 13, 0, 6, 0, 4, 4, 1, 4, 3]); // signatures that are good enough: it fails by its version only
    let mut hello = vec![22, 3, 1, 0, 0, 1, 0, 0, 0];
    hello[4] = u8::try_from(body.len() + 4).expect("short");
    hello[8] = u8::try_from(body.len()).expect("short");
    hello.extend(body);
    hello
}

#[test]
fn tls_1_1_is_refused() {
    let ground = Ground::new("old_tls");
    let at = ground.address();
    let server = Server::start(&ground, &with_sip(&tls_listener(at)));
    let mut wire = Wire::to(at);
    wire.say(hello_of_tls_1_1());
    let said = wire.bytes();
    assert_eq!((said[0], &said[5..7]), (21, &[2, 70][..]), "a fatal alert, protocol_version (RFC 5246 §7.2): {said:?}");
    assert!(wire.is_closed());
    let failed = "tierline_sip_tls_handshakes_failed_total{side=\"accepting\"}";
    wait_until("the handshake is counted as failed", 5 * SECOND, || server.metrics()[failed] == 1.0);
}

/// Makes a root and a certificate for 127.0.0.1 under it: `NAME.pem` has the root; the server's side.
pub fn authority(dir: &Path, name: &str) -> Arc<ServerConfig> {
    let mut root = CertificateParams::new(Vec::<String>::new()).expect("parameters");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_key = KeyPair::generate().expect("a key");
    std::fs::write(dir.join(format!("{name}.pem")), root.self_signed(&root_key).expect("a root").pem())
        .expect("a file");
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).expect("parameters");
    let leaf = leaf.signed_by(&key, &Issuer::new(root, root_key)).expect("a certificate");
    let chain = vec![CertificateDer::from_pem_slice(leaf.pem().as_bytes()).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Arc::new(config.expect("versions").with_no_client_auth().with_single_cert(chain, key).expect("a configuration"))
}

#[test]
fn we_connect_over_tls_to_those_whose_root_is_trusted_and_to_no_others() {
    for trusted in [true, false] {
        let ground = Ground::new(&format!("trust_{trusted}"));
        let theirs = authority(&ground.dir, "theirs");
        authority(&ground.dir, "others");
        let root = if trusted { "theirs" } else { "others" };
        let sip = format!("{}\n[server.sip.tls]\ntrust = \"{root}.pem\"\n", tls_listener(ground.address()));
        let server = Server::start(&ground, &Wishes { silence: "2s", ..with_sip(&sip) });
        let listener = TcpListener::bind(ground.address()).expect("a port");
        let contact = format!("sip:raw@{};transport=tls", listener.local_addr().expect("an address"));
        drop(silent_call(&server, &contact, ""));
        // The caller says nothing and his connection is gone: the BYE goes to his Contact.
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(10 * SECOND)).expect("a time-out");
        let mut connection = ServerConnection::new(theirs).expect("a connection");
        let greeted = loop {
            if !connection.is_handshaking() {
                break Ok(());
            }
            if let Err(why) = connection.complete_io(&mut stream) {
                break Err(why);
            }
        };
        if trusted {
            greeted.expect("a handshake");
            let mut wire = Wire::over(StreamOwned::new(connection, stream));
            let bye = wire.until("BYE");
            assert!(bye.contains("Via: SIP/2.0/TLS"), "{bye}");
            wire.say(answer(&bye, "200 OK"));
            server.wait_ended(1, 5 * SECOND);
        }
        let failed = "tierline_sip_tls_handshakes_failed_total{side=\"connecting\"}";
        let expect = if trusted { 0.0 } else { 1.0 };
        wait_until("the handshake is counted", 5 * SECOND, || server.metrics()[failed] == expect);
    }
}
