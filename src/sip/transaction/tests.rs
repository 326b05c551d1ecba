//! The timers of RFC 3261 §17 (table 4) and RFC 6026, one row each: what happens when, and what is sent when.

use super::super::api::Transport;
use super::super::header::Via;
use super::super::message::Message;
use super::*;
use crate::sip::frame::Limits;

/// What is done to a transaction at some millisecond.
enum Act {
    /// The peer answers our request with this status.
    Answer(u16),
    /// We answer the peer's request with this status.
    Respond(u16),
    /// The peer's request comes again.
    Repeat,
    /// The peer's ACK for our failure.
    Ack,
    /// The core was told of the ACK for our 2xx.
    Acknowledged,
    Cancel,
    Break,
}
use Act::*;

const START: u64 = 10_000;

struct Bench {
    transactions: Transactions,
    rng: Rng,
    now: Instant,
    flow: Flow,
    /// `0 INVITE`, `500 INVITE`, `32000 timeout` …
    log: Vec<String>,
    started: Option<(ClientKey, Request)>,
    opened: Option<(ServerKey, Request, Via)>,
}

impl Bench {
    fn new(transport: Transport) -> Bench {
        let flow = Flow { transport, ..Flow::udp(0, "10.0.0.2:5062".parse().unwrap()) };
        Bench {
            transactions: Transactions::new(Timing::default(), 100, 0),
            rng: Rng::from_number(1),
            now: Instant(START * 1_000_000),
            flow,
            log: Vec::new(),
            started: None,
            opened: None,
        }
    }

    fn request(&self, method: &str, branch: Option<&str>) -> Request {
        let via = branch.map(|b| format!("Via: SIP/2.0/UDP 10.0.0.2:5062;branch={b}\r\n")).unwrap_or_default();
        let text = format!(
            "{method} sip:a@10.0.0.1 SIP/2.0\r\n{via}From: <sip:b@c>;tag=1\r\nTo: <sip:a@c>\r\n\
             Call-ID: x\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
        );
        let text = if branch.is_some() { text } else { text.replacen("From", "Via: SIP/2.0/UDP h\r\nFrom", 1) };
        let Ok(Message::Request(mut request)) = Message::parse(text.as_bytes(), &Limits::default()) else {
            panic!("{text}")
        };
        if branch.is_none() {
            request.headers.remove_top_via();
        }
        request
    }

    fn start(&mut self, method: &str) {
        let request = self.request(method, None);
        let via = Via::new("UDP", "10.0.0.1".parse::<std::net::IpAddr>().unwrap().into(), Some(5060), "");
        let errand = Errand::new(Purpose::Register(1));
        let key = self.transactions.start(self.now, (self.flow, via), request, errand, &mut self.rng);
        let sent = self.transactions.sent(key).unwrap().clone();
        self.started = Some((key, sent));
        self.collect();
    }

    fn open(&mut self, method: &str) {
        let request = self.request(method, Some("z9hG4bKpeer"));
        let via = request.headers.top_via().unwrap();
        let arrival = self.transactions.receive_request(self.now, self.flow, &request, &via, false);
        let Arrival::New { key, merged: false } = arrival else { panic!("{arrival:?}") };
        self.opened = Some((key, request, via));
        self.collect();
    }

    fn act(&mut self, act: Act) {
        let now = self.now;
        match act {
            Answer(status) => {
                let request = &self.started.as_ref().unwrap().1;
                let response = Response::to_request(request, status, Some("t"));
                assert!(self.transactions.receive_response(now, response), "the response belongs to the request");
            }
            Respond(status) => {
                let (key, request, _) = self.opened.as_ref().unwrap();
                self.transactions.respond(now, *key, &Response::to_request(request, status, Some("t")));
            }
            Repeat => {
                let (_, request, via) = self.opened.as_ref().unwrap();
                assert_eq!(self.transactions.receive_request(now, self.flow, request, via, false), Arrival::Known);
            }
            Ack => {
                let ack = self.request("ACK", Some("z9hG4bKpeer"));
                let via = ack.headers.top_via().unwrap();
                assert_eq!(self.transactions.receive_request(now, self.flow, &ack, &via, false), Arrival::Known);
            }
            Acknowledged => self.transactions.acknowledge(self.opened.as_ref().unwrap().0),
            Cancel => {
                let key = self.started.as_ref().unwrap().0;
                let possible = self.transactions.cancel(now, key, None);
                if !possible {
                    self.note("too early");
                }
            }
            Break => self.transactions.transport_failed(self.flow),
        }
        self.collect();
    }

    fn note(&mut self, what: &str) {
        self.log.push(format!("{} {what}", self.now.0 / 1_000_000 - START));
    }

    fn collect(&mut self) {
        while let Some(notice) = self.transactions.poll() {
            match notice {
                Notice::Send { bytes, .. } => self.note(&crate::sip::tests::title(&bytes)),
                Notice::Provisional { response, .. } => self.note(&format!("heard {}", response.status)),
                Notice::Accepted { response, .. } => self.note(&format!("accepted {}", response.status)),
                Notice::Finished { outcome: Outcome::Response(response), .. } => {
                    self.note(&format!("finished {}", response.status));
                }
                Notice::Finished { outcome, .. } => self.note(&format!("{outcome:?}")),
                Notice::Unheard { .. } => self.note("unheard"),
                Notice::Freed { .. } => self.note("freed"),
                Notice::Unacknowledged { .. } => self.note("no ACK"),
            }
        }
    }

    fn run_to(&mut self, ms: u64) {
        let end = Instant((START + ms) * 1_000_000);
        while let Some(next) = self.transactions.deadline().filter(|next| *next <= end) {
            self.now = next;
            self.transactions.timeout(next);
            self.collect();
        }
        self.now = end;
    }
}

/// `script`: milliseconds and acts. `expect`: everything that happens, and when the last trace is gone.
fn check(transport: Transport, start: &str, script: Vec<(u64, Act)>, expect: &[&str], gone: u64) {
    let mut bench = Bench::new(transport);
    let (side, method) = start.split_once(' ').unwrap();
    if side == "client" {
        bench.start(method)
    } else {
        bench.open(method)
    }
    for (ms, act) in script {
        bench.run_to(ms);
        assert_ne!(bench.transactions.census(), (0, 0), "{start} is gone too early: {:?}", bench.log);
        bench.act(act);
    }
    if bench.now < Instant((START + gone) * 1_000_000) {
        bench.run_to(gone - 1);
        assert_ne!(bench.transactions.census(), (0, 0), "{start} is gone too early: {:?}", bench.log);
        bench.run_to(gone);
    }
    assert_eq!(bench.log, expect, "{start}");
    assert_eq!(bench.transactions.census(), (0, 0), "{start} is not gone");
    let transactions = &bench.transactions;
    let left = (transactions.waiting.len(), transactions.by_wire.len(), transactions.by_origin.len());
    assert_eq!((left, transactions.timers.len()), ((0, 0, 0), 0), "{start} left something behind");
}

const UDP: Transport = Transport::Udp;
const TCP: Transport = Transport::Tcp;

#[test]
fn invite_client() {
    let doubling = |tail: &[&'static str]| {
        let mut all: Vec<&str> =
            ["0 INVITE", "500 INVITE", "1500 INVITE", "3500 unheard", "3500 INVITE", "7500 INVITE", "15500 INVITE"]
                .to_vec();
        all.push("31500 INVITE");
        all.extend(tail);
        all
    };
    // Timers A and B; on a reliable transport B alone.
    check(UDP, "client INVITE", vec![], &doubling(&["32000 Timeout { heard: false }"]), 32_000);
    check(TCP, "client INVITE", vec![], &["0 INVITE", "3500 unheard", "32000 Timeout { heard: false }"], 32_000);
    // Timer D, and an ACK for each repetition; zero if reliable.
    let refused = ["0 INVITE", "100 heard 180", "200 ACK", "200 finished 486", "700 ACK"];
    check(UDP, "client INVITE", vec![(100, Answer(180)), (200, Answer(486)), (700, Answer(486))], &refused, 32_200);
    check(
        TCP,
        "client INVITE",
        vec![(100, Answer(100)), (150, Cancel), (300, Break)],
        &[
            "0 INVITE",
            "100 heard 100",
            "150 CANCEL",
            "300 TransportFailed { heard: true }",
            "300 TransportFailed { heard: false }",
        ],
        300,
    );
    // Timer M: every 2xx reaches the core for 64·T1.
    let accepted = ["0 INVITE", "100 accepted 200", "600 accepted 200", "32100 freed"];
    check(UDP, "client INVITE", vec![(100, Answer(200)), (600, Answer(200)), (700, Answer(486))], &accepted, 32_100);
    // No repetition after a provisional response; a CANCEL before one is too early; 64·T1 after it all is over.
    let cancelled: Vec<&str> = [
        "0 INVITE",
        "50 too early",
        "100 heard 180",
        "40000 CANCEL",
        "40100 finished 200",
        "72000 Timeout { heard: true }",
    ]
    .to_vec();
    let mut bench = Bench::new(UDP);
    bench.start("INVITE");
    for (ms, act) in [(50, Cancel), (100, Answer(180)), (40_000, Cancel), (40_050, Cancel)] {
        bench.run_to(ms);
        bench.act(act);
    }
    bench.run_to(40_100);
    let (key, invite) = bench.started.clone().unwrap();
    let mut ok = Response::to_request(&invite, 200, Some("t"));
    ok.headers.set(crate::sip::header::Name::CSeq, "1 CANCEL");
    assert!(bench.transactions.receive_response(bench.now, ok) && key.0.is_multiple_of(2));
    bench.collect();
    bench.run_to(72_000);
    assert_eq!(bench.log, cancelled);
    assert_eq!(bench.transactions.census(), (0, 0));
}

#[test]
fn other_client() {
    // Timers E and F: doubling up to T2.
    let sent = [0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500].map(|ms| format!("{ms} BYE"));
    let mut expect: Vec<&str> = sent.iter().map(String::as_str).collect();
    expect.insert(3, "3500 unheard");
    expect.push("32000 Timeout { heard: false }");
    check(UDP, "client BYE", vec![], &expect, 32_000);
    check(TCP, "client BYE", vec![], &["0 BYE", "3500 unheard", "32000 Timeout { heard: false }"], 32_000);
    // In Proceeding every T2; timer K.
    let slow = ["0 BYE", "100 heard 100", "4100 BYE", "8100 BYE", "9000 finished 200"];
    check(UDP, "client BYE", vec![(100, Answer(100)), (9000, Answer(200)), (9500, Answer(200))], &slow, 14_000);
    check(UDP, "client BYE", vec![(100, Break)], &["0 BYE", "100 TransportFailed { heard: false }"], 100);
}

#[test]
fn invite_server() {
    // Timer G until the ACK, then timer I.
    let refused = ["0 100 INVITE", "10 486 INVITE", "510 486 INVITE", "1510 486 INVITE"];
    check(UDP, "server INVITE", vec![(10, Respond(486)), (2000, Ack), (2100, Ack), (2200, Repeat)], &refused, 7_000);
    check(TCP, "server INVITE", vec![(10, Respond(486))], &refused[..2], 32_010);
    // Timer H: given up silently; G doubles up to T2.
    let sent = [10, 510, 1510, 3510, 7510, 11_510, 15_510, 19_510, 23_510, 27_510, 31_510];
    let again = sent.map(|ms| format!("{ms} 486 INVITE"));
    let mut expect = vec!["0 100 INVITE"];
    expect.extend(again.iter().map(String::as_str));
    check(UDP, "server INVITE", vec![(10, Respond(486))], &expect, 32_010);
    // A repeated INVITE gets the last provisional response again; after the 2xx it is absorbed.
    let answered =
        ["0 100 INVITE", "10 100 INVITE", "20 180 INVITE", "30 180 INVITE", "40 200 INVITE", "540 200 INVITE"];
    let script =
        vec![(10, Repeat), (20, Respond(180)), (30, Repeat), (40, Respond(200)), (50, Repeat), (600, Acknowledged)];
    check(UDP, "server INVITE", script, &answered, 32_040);
    // Timer L without ACK; a 2xx is repeated on every transport (§13.3.1.4), and is not undone by a later 487.
    let ok = sent.map(|ms| format!("{ms} 200 INVITE"));
    let mut expect = vec!["0 100 INVITE"];
    expect.extend(ok.iter().map(String::as_str));
    expect.push("32010 no ACK");
    check(TCP, "server INVITE", vec![(10, Respond(200)), (20, Respond(487))], &expect, 32_010);
}

#[test]
fn other_server() {
    // Absorbed before any answer, then answered again until timer J.
    let script = vec![(5, Repeat), (10, Respond(200)), (20, Repeat), (30, Respond(500))];
    check(UDP, "server BYE", script, &["10 200 BYE", "20 200 BYE"], 32_010);
    let mut bench = Bench::new(TCP);
    bench.open("BYE");
    bench.act(Respond(200));
    assert_eq!(bench.transactions.census(), (0, 0), "timer J is zero");
}

#[test]
fn what_is_quoted_of_a_request_names_it_wherever_it_was_cut() {
    let (via, rest) = ("Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK12-4;rport\r\n", "Max-Forwards: 70\r\nFrom: <si");
    let branch = Some("z9hG4bK12-4".to_owned());
    let rows = [
        (format!("OPTIONS sip:a@b SIP/2.0\r\n{via}{rest}"), branch.clone()),
        (format!("OPTIONS sip:a@b SIP/2.0\r\n{via}"), branch),
        (format!("OPTIONS sip:a@b SIP/2.0\r\n{}", &via[..via.len() - 2]), None),
        (format!("OPTIONS sip:a@b SIP/2.0\r\n{}", &via[..40]), None),
        (format!("SIP/2.0 200 OK\r\n{via}{rest}"), None),
        (format!("OPTIONS sip:a@b SIP/2.0\r\n{rest}\r\n{via}"), None),
        ("OPTIONS si".to_owned(), None),
        (String::new(), None),
    ];
    for (text, expect) in rows {
        assert_eq!(super::branch_quoted(text.as_bytes()), expect, "{text}");
    }
    assert_eq!(super::branch_quoted(&[0xff; 99]), None);
}
