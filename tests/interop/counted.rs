//! What the numbers count, moved by the thing itself: messages, repetitions, faults, phones, trunks and audio, each number
//! read at `/metrics` before and after.

use super::harness::{GENEROUS, Ground, SECOND, wait_for, wait_until};
use super::peers::{Sipp, register, sipp_agent};
use super::server::{DIRECT, SUPPORT, Server, Wishes};
use super::wire::{Wire, ack, invite, options};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// By how much the numbers have risen since `before`; what stands still is left out.
fn rises(server: &Server, before: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let now = server.metrics().into_iter();
    now.map(|(name, value)| (name.clone(), value - before.get(&name).copied().unwrap_or_default()))
        .filter(|(_, rise)| *rise != 0.0)
        .collect()
}

/// Waits until each of these numbers has risen by as much as is said, and asserts that by no more.
fn assert_rises(server: &Server, before: &BTreeMap<String, f64>, expected: &[(&str, f64)]) {
    let rise = |name: &str| rises(server, before).get(name).copied().unwrap_or_default();
    for (name, by) in expected {
        let name = format!("tierline_{name}");
        wait_until(&format!("{name} has risen by {by}, not {}", rise(&name)), 5 * SECOND, || rise(&name) >= *by);
        assert_eq!(rise(&name), *by, "{name}");
    }
}

/// A socket that asks by UDP, and its answers.
struct Raw {
    socket: UdpSocket,
    server: SocketAddr,
}

impl Raw {
    fn new(server: SocketAddr) -> Raw {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        socket.set_read_timeout(Some(GENEROUS)).expect("a time-out");
        Raw { socket, server }
    }

    fn say(&self, text: &str) {
        let here = self.socket.local_addr().expect("an address").to_string();
        let text = text.replace("SIP/2.0/TCP", "SIP/2.0/UDP").replace("127.0.0.1:5999", &here);
        self.socket.send_to(text.as_bytes(), self.server).expect("a datagram sent");
    }

    /// Says it and awaits an answer that begins so.
    fn ask(&self, text: &str, status: &str) -> String {
        self.say(text);
        self.hear(status)
    }

    fn hear(&self, status: &str) -> String {
        let mut room = [0; 4096];
        loop {
            let length = self.socket.recv(&mut room).unwrap_or_else(|why| panic!("no {status}: {why}"));
            let answer = String::from_utf8_lossy(&room[..length]).into_owned();
            if answer.starts_with(&format!("SIP/2.0 {status}")) {
                return answer;
            }
        }
    }
}

#[test]
fn messages_repetitions_and_faults_are_counted() {
    let ground = Ground::new("counted_sip");
    let server = Server::start(&ground, &Wishes { silence: "10m", ..Wishes::agents(&["ada"]) });
    let raw = Raw::new(server.sip);
    let uri = format!("sip:{SUPPORT}@{}", server.sip);
    let asks = |number| options(number, "UDP", &uri);

    let before = server.metrics();
    raw.ask(&asks(1), "200");
    raw.ask(&asks(1), "200");
    raw.ask(&asks(2).replace("OPTIONS", "DANCE"), "501");
    assert_rises(
        &server,
        &before,
        &[
            ("sip_requests_received_total{method=\"OPTIONS\"}", 1.0),
            ("sip_requests_received_total{method=\"other\"}", 1.0),
            ("sip_responses_sent_total{method=\"OPTIONS\",code=\"200\"}", 1.0),
            ("sip_responses_sent_total{method=\"other\",code=\"501\"}", 1.0),
            ("sip_retransmissions_received_total", 1.0),
        ],
    );

    // What cannot be read, each for its own reason, as RFC 4475 has it.
    let before = server.metrics();
    let faults: [(&str, &str, &str, &str); 7] = [
        ("OPTIONS sip:", "OPTIONS  sip:", "400", "start_line"),
        ("SIP/2.0\r\nVia", "SIP/7.0\r\nVia", "505", "version"),
        ("CSeq: 10 OPTIONS", "CSeq: 10 INVITE", "400", "cseq_method"),
        ("CSeq: 10 OPTIONS", "CSeq: 36893488147419103232 OPTIONS", "400", "cseq"),
        ("Max-Forwards: 70", "Max-Forwards: many", "400", "max_forwards"),
        ("Content-Length: 0", "Content-Length: 9999", "400", "body_too_short"),
        ("Content-Length: 0", "Content-Length: -999", "400", "content_length"),
    ];
    for (from, to, status, _) in faults {
        let broken = asks(10).replace(from, to);
        assert_ne!(broken, asks(10), "{from}");
        raw.ask(&broken, status);
    }
    let names: Vec<String> = faults.iter().map(|row| format!("sip_refusals_total{{reason=\"{}\"}}", row.3)).collect();
    let rises: Vec<(&str, f64)> = names.iter().map(|name| (name.as_str(), 1.0)).collect();
    assert_rises(&server, &before, &rises);
    assert_rises(&server, &before, &[("sip_responses_sent_total{method=\"unread\",code=\"505\"}", 1.0)]);

    // An answer that nobody takes is sent again until it is.
    let before = server.metrics();
    let ok = raw.ask(&invite(&uri, &format!("sip:raw@{}", raw.socket.local_addr().expect("an address")), ""), "200");
    raw.hear("200");
    raw.hear("200");
    raw.say(&ack(&ok));
    wait_until("the ACK has come", 5 * SECOND, || {
        rises_of(&server, &before, "tierline_sip_requests_received_total{method=\"ACK\"}") == 1.0
    });
    let again = rises_of(&server, &before, "tierline_sip_retransmissions_sent_total");
    assert!((2.0..=4.0).contains(&again), "sent again {again} times");
    raw.ask(&ack(&ok).replace("ACK", "BYE").replace("CSeq: 1", "CSeq: 2").replace("-ack", "-bye"), "200");
    server.wait_ended(1, GENEROUS);
}

fn rises_of(server: &Server, before: &BTreeMap<String, f64>, name: &str) -> f64 {
    rises(server, before).get(name).copied().unwrap_or_default()
}

#[test]
fn phones_and_a_whole_call_are_counted() {
    let ground = Ground::new("counted_call");
    let server = Server::start(&ground, &Wishes::agents(&["ada", "ben"]));
    let before = server.metrics();
    let _ = register(&ground, &server, &["ben"]);
    assert_rises(
        &server,
        &before,
        &[
            ("sip_requests_received_total{method=\"REGISTER\"}", 2.0),
            ("sip_responses_sent_total{method=\"REGISTER\",code=\"401\"}", 1.0),
            ("sip_responses_sent_total{method=\"REGISTER\",code=\"200\"}", 1.0),
            ("sip_registrations_total{outcome=\"bound\"}", 1.0),
            ("sip_bindings", 1.0),
        ],
    );
    // Ben's SIPp is gone: whoever calls him finds nobody there, and Ada takes the call.
    let agent = Sipp { scenario: "agent_answers", says: 1000.0, ..Sipp::default() };
    let _agent = sipp_agent(&ground, &server, "ada", agent);
    let before = server.metrics();
    let mut caller = Sipp { seconds: 8.0, ..Sipp::default() }.start(&ground, &server);
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    server.wait_ended(1, GENEROUS);
    assert_rises(
        &server,
        &before,
        &[
            ("sip_requests_received_total{method=\"INVITE\"}", 1.0),
            ("sip_requests_received_total{method=\"ACK\"}", 1.0),
            ("sip_requests_received_total{method=\"BYE\"}", 1.0),
            ("sip_requests_sent_total{method=\"ACK\"}", 1.0),
            ("sip_requests_sent_total{method=\"BYE\"}", 1.0),
            ("sip_responses_received_total{method=\"INVITE\",code=\"200\"}", 1.0),
            ("sip_responses_received_total{method=\"BYE\",code=\"200\"}", 1.0),
            ("sip_responses_sent_total{method=\"INVITE\",code=\"200\"}", 1.0),
            ("sip_responses_sent_total{method=\"BYE\",code=\"200\"}", 1.0),
        ],
    );
    assert!(rises_of(&server, &before, "tierline_sip_requests_sent_total{method=\"INVITE\"}") >= 1.0);
}

/// The sum over all planes.
fn sum(metrics: &BTreeMap<String, f64>, name: &str, labels: &str) -> f64 {
    metrics.iter().filter(|(key, _)| key.starts_with(name) && key.contains(labels)).map(|(_, value)| value).sum()
}

/// A caller by hand whose audio comes from this socket; his connection.
fn speaker(server: &Server, audio: &UdpSocket) -> (Wire<std::net::TcpStream>, SocketAddr, String) {
    let port = audio.local_addr().expect("an address").port();
    let mut wire = Wire::to(server.sip);
    let text = invite(&format!("sip:{DIRECT}@{}", server.sip), "sip:raw@127.0.0.1;transport=tcp", "");
    let longer = format!("m=audio {port} ");
    let length = |text: &str| text.split("\r\n\r\n").nth(1).expect("a body").len();
    let was = format!("Content-Length: {}", length(&text));
    let text = text.replace("m=audio 9 ", &longer);
    wire.say(text.replace(&was, &format!("Content-Length: {}", length(&text))));
    let ok = wire.until("200");
    wire.say(ack(&ok));
    let theirs = ok.lines().find_map(|line| line.strip_prefix("m=audio ")?.split(' ').next()?.parse::<u16>().ok());
    (wire, (Ipv4Addr::LOCALHOST, theirs.expect("a port for audio")).into(), ok)
}

fn packet(number: u16) -> Vec<u8> {
    let head =
        [&[0x80, 0][..], &number.to_be_bytes(), &(u32::from(number) * 160).to_be_bytes(), &[1, 2, 3, 4]].concat();
    [head, vec![0xff; 160]].concat()
}

#[test]
fn lost_and_late_packets_and_who_is_not_heard_are_counted() {
    let ground = Ground::new("counted_rtp");
    let server = Server::start(&ground, &Wishes { silence: "10m", ..Wishes::agents(&["ada"]) });
    let audio = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let before = server.metrics();
    let (mut wire, to, ok) = speaker(&server, &audio);
    // Each tenth packet is missing, each fourth comes 30 ms late.
    let start = Instant::now();
    for number in 0..150u16 {
        let late = if number.is_multiple_of(4) { 30 } else { 0 };
        let at = Duration::from_millis(u64::from(number) * 20 + late);
        let wait = (start + at).saturating_duration_since(Instant::now());
        audio.set_read_timeout(Some(wait.max(Duration::from_millis(1)))).expect("a time-out");
        while start.elapsed() < at {
            _ = audio.recv(&mut [0; 2000]); // our own pace, kept by what the server plays
        }
        if number % 10 != 5 {
            audio.send_to(&packet(number), to).expect("a packet sent");
        }
    }
    let bye = ack(&ok).replace("ACK", "BYE").replace("CSeq: 1", "CSeq: 2").replace("-ack", "-bye");
    wire.say(bye);
    wire.until("200");
    let counted = wait_for("the leg is over", GENEROUS, || {
        let rises = rises(&server, &before);
        (sum(&rises, "tierline_media_leg_loss_ratio_count", "") == 1.0).then_some(rises)
    });
    assert_eq!(sum(&counted, "tierline_media_packets_lost_total", ""), 15.0);
    assert_eq!(sum(&counted, "tierline_media_packets_received_total", ""), 135.0);
    let (ratio, jitter) = ("tierline_media_leg_loss_ratio_sum", "tierline_media_leg_jitter_seconds_sum");
    assert!((0.09..0.11).contains(&sum(&counted, ratio, "")), "{counted:?}");
    assert!((0.003..0.05).contains(&sum(&counted, jitter, "")), "{counted:?}");
    assert_eq!(sum(&counted, "tierline_media_one_way_total", ""), 0.0);
    // The ladder of the call says the same.
    let told = |words: [&str; 3]| {
        let drawn = || Some(server.drawing()).filter(|drawn| words.iter().all(|word| drawn.contains(word)));
        wait_for("the ladder says how he was heard", GENEROUS, drawn)
    };
    told(["heard 135 packets of PCMU", "10.0 % lost", "jitter "]);

    // One who says nothing, neither RTP nor RTCP, while he is played to.
    let before = server.metrics();
    let mute = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let (mut wire, _, ok) = speaker(&server, &mute);
    wait_until("nobody hears him", GENEROUS, || {
        sum(&rises(&server, &before), "tierline_media_one_way_total", "") == 1.0
    });
    wire.say(ack(&ok).replace("ACK", "BYE").replace("CSeq: 1", "CSeq: 2").replace("-ack", "-bye"));
    wire.until("200");
    server.wait_ended(2, GENEROUS);
    told(["one-way audio: heard nothing", "sent ", "of PCMU"]);
}
