//! Every method, header, timer and answer code of SIP that we know, used by SIPp: the flows in `flows/`, many against
//! one server.

use super::flow::{Flow, flow, flows};
use super::harness::{GENEROUS, Ground, Program, SECOND};
use super::peers::{Sipp, try_register};
use super::server::{DIRECT, Server, Wishes, password};
use super::trunks::{self, Carrier, LINE};
use super::wire::{ack, invite};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

/// Flows that run at once.
const AT_ONCE: usize = 6;
const LIMIT: std::time::Duration = std::time::Duration::from_secs(100);

fn wishes(agents: &[&str]) -> Wishes {
    Wishes { silence: "10m", ..Wishes::agents(agents) }
}

/// Where a SIPp is: its port and the one for audio.
pub type Place = (u16, u16);

pub fn place(ground: &Ground) -> Place {
    (ground.port(), [ground.port(), ground.port()][0])
}

/// Starts a SIPp that plays a flow, as `from`.
pub fn start(ground: &Ground, server: &Server, what: (&str, &Flow, &str), at: Place) -> Program {
    launch(ground, server.sip, what, at)
}

/// The same against whatever is at `to`.
pub fn launch(ground: &Ground, to: SocketAddr, (name, flow, from): (&str, &Flow, &str), (at, audio): Place) -> Program {
    let scenario = flow.scenario();
    let more: Vec<&str> = flow.options.iter().map(String::as_str).collect();
    let (at, audio, text) = (Some(at), Some(audio), Some(scenario.as_str()));
    Sipp { name, text, from, number: DIRECT, at, audio, more: &more, ..Sipp::default() }.start_at(ground, to)
}

/// Runs flows of callers, some at a time, and tells of all that fail.
fn run_callers(ground: &Ground, server: &Server, flows: &[Flow]) {
    let mut failed = Vec::new();
    let places: Vec<Place> = (0..AT_ONCE).map(|_| place(ground)).collect();
    let numbered: Vec<(usize, &Flow)> = flows.iter().enumerate().collect();
    for some in numbered.chunks(AT_ONCE) {
        let start = |((number, flow), place): (&(usize, &Flow), &Place)| {
            start(ground, server, (&format!("flow-{number}"), flow, "guest"), *place)
        };
        let running: Vec<Program> = some.iter().zip(&places).map(start).collect();
        for ((_, flow), mut program) in some.iter().zip(running) {
            if program.wait(LIMIT) != 0 {
                failed.push(format!("{} ({})", flow.title, program.name));
            }
        }
    }
    assert!(failed.is_empty(), "SIPp is not content with:\n{}", failed.join("\n"));
}

/// Takes every phone of an agent away.
fn leaves(user: &str) -> Flow {
    flow(&format!(
        "an agent leaves\n> REGISTER\n  To: <sip:{user}@[remote_ip]>\n< 401\n> REGISTER\n  To: <sip:{user}@[remote_ip]>\n  \
         Contact: *\n  Expires: 0\n  [authentication username={user} password={}]\n< 200\n",
        password(user)
    ))
}

/// Runs flows of agents' phones, one after the other, each with an agent and a caller of its own: who has refused
/// often rests for a while.
fn run_agents(ground: &Ground, flows: &[Flow]) {
    let users: Vec<String> = (1..=flows.len()).map(|number| format!("agent{number}")).collect();
    let server = Server::start(ground, &wishes(&users.iter().map(String::as_str).collect::<Vec<_>>()));
    let (agent, caller) = (place(ground), place(ground));
    let mut failed = Vec::new();
    for (flow, user) in flows.iter().zip(&users) {
        // A phone that has just registered is not asked whether it lives.
        assert_eq!(try_register(ground, &server, &[user], agent.0, 200), 0, "{user} could not register");
        let mut phone = start(ground, &server, (user, flow, user), agent);
        let scenario = if flow.hangs_up() { "caller_waits" } else { "caller_hangs_up" };
        let (name, at, audio) = (format!("caller-of-{user}"), Some(caller.0), Some(caller.1));
        let sipp = Sipp { name: &name, scenario, seconds: flow.seconds, at, audio, ..Sipp::default() };
        let called = sipp.start(ground, &server).wait(LIMIT);
        if (phone.wait(LIMIT), called) != (0, 0) {
            failed.push(format!("{} ({user})", flow.title));
        }
        assert_eq!(start(ground, &server, ("leaves", &leaves(user), user), agent).wait(LIMIT), 0, "{user} is bound");
    }
    assert!(failed.is_empty(), "SIPp is not content with:\n{}", failed.join("\n"));
    server.wait_ended(flows.len(), 40 * SECOND);
}

/// Runs flows of a carrier's, one after the other, each with a caller of its own.
fn run_carriers<'g>(ground: &'g Ground, flows: &[Flow]) -> Server<'g> {
    let (carrier, caller) = (place(ground), place(ground));
    let more = "options = \"0s\"\n".to_owned();
    let server = Server::start(ground, &trunks::wishes(ground, &[Carrier { name: "carrier", port: carrier.0, more }]));
    let mut failed = Vec::new();
    for (number, flow) in flows.iter().enumerate() {
        let mut phone = start(ground, &server, (&format!("carrier-{number}"), flow, "carrier"), carrier);
        let scenario = if flow.hangs_up() || !flow.answers() { "caller_waits" } else { "caller_hangs_up" };
        let (name, at, audio) = (format!("caller-{number}"), Some(caller.0), Some(caller.1));
        let sipp = Sipp { name: &name, scenario, number: LINE, seconds: flow.seconds, at, audio, ..Sipp::default() };
        let called = sipp.start(ground, &server).wait(LIMIT);
        if (phone.wait(LIMIT), called) != (0, 0) {
            failed.push(format!("{} ({number})", flow.title));
        }
    }
    assert!(failed.is_empty(), "SIPp is not content with:\n{}", failed.join("\n"));
    server.wait_ended(flows.len(), 40 * SECOND);
    server
}

#[test]
fn what_carriers_do_is_answered() {
    let ground = Ground::new("flows_carriers");
    let flows = flows("carriers");
    let server = run_carriers(&ground, &flows);
    // Who says why he hangs up is understood (RFC 3326); his own words are nobody's to keep.
    let calls = server.wait_ended(flows.len(), GENEROUS);
    let drawn: Vec<String> =
        calls.iter().map(|call| server.tierline(&["calls", call["call"].as_str().expect("a call")])).collect();
    let says = |text: &str| drawn.iter().filter(|drawn| drawn.contains(text)).count();
    assert_eq!((says("says Q.850 16 (normal clearing)"), says("says Q.850 17 (busy)")), (1, 1), "{drawn:?}");
    assert_eq!(says("Mrs Miller"), 0);
}

#[test]
fn what_is_wrong_is_refused_with_its_code() {
    let ground = Ground::new("flows_refusals");
    let server = Server::start(&ground, &wishes(&["ada"]));
    run_callers(&ground, &server, &flows("refusals"));
}

#[test]
fn what_callers_do_in_a_call_is_answered() {
    let ground = Ground::new("flows_calls");
    let server = Server::start(&ground, &wishes(&["ada"]));
    let flows = flows("calls");
    run_callers(&ground, &server, &flows);
    let calls = server.wait_ended(flows.len(), 10 * SECOND);
    let drawn = calls.iter().map(|call| server.tierline(&["calls", call["call"].as_str().expect("a call")]));
    assert_eq!(drawn.filter(|drawn| drawn.contains("says Q.850 16 (normal clearing)")).count(), 1);
}

/// A leg that should be sending and sends nothing ends after the time that is set; who holds need not send (RFC 3264 §8.4).
#[test]
fn who_holds_may_be_silent_and_nobody_else_may() {
    let ground = Ground::new("flows_silent");
    let server = Server::start(&ground, &Wishes { silence: "2s", ..Wishes::agents(&["ada"]) });
    let holds = |how: &str| {
        let hold = format!("> INVITE\n  sdp {how}\n< 200\n> ACK\nwait 8000\n> BYE\n< 200\n");
        flow(&format!("a caller holds by {how}\n> INVITE\n  sdp\n< 200\n> ACK\n{hold}"))
    };
    let silent = flow("a caller says nothing\n> INVITE\n  sdp\n< 200\n> ACK\n< BYE\n> 200\n");
    let [first, second, third] = ["sendonly", "recvonly", "inactive"].map(holds);
    run_callers(&ground, &server, &[first, second, third, silent]);
    let calls = server.wait_ended(4, 10 * SECOND);
    let ended_by = |cause: &str| calls.iter().filter(|call| call["cause"] == cause).count();
    assert_eq!((ended_by("CallerHungUp"), ended_by("Silent")), (3, 1), "{calls:?}");
}

#[test]
fn phones_register_as_the_rfc_says() {
    let ground = Ground::new("flows_registering");
    let server = Server::start(&ground, &wishes(&["ada"]));
    run_callers(&ground, &server, &flows("registering"));
}

#[test]
fn what_agents_phones_do_is_answered() {
    run_agents(&Ground::new("flows_agents"), &flows("agents"));
}

#[test]
fn whoever_refuses_gets_his_ack() {
    let refuses = |status| flow(&format!("an agent's phone answers {status}\n< INVITE\n> {status}\n< ACK\n"));
    let statuses = [300, 302, 380, 400, 403, 404, 408, 421, 480, 486, 488, 500, 503, 600, 603, 606];
    run_agents(&Ground::new("flows_refusing"), &statuses.map(refuses));
}

#[test]
fn what_takes_its_time_is_waited_for() {
    let ground = Ground::new("flows_slow");
    let server = Server::start(&ground, &wishes(&["ada"]));
    let flows = flows("slow");
    assert!(flows.len() <= AT_ONCE, "they all run at once");
    run_callers(&ground, &server, &flows);
    server.wait_ended(flows.len(), 10 * SECOND);
}

/// How long callers stay whom agents' phones take that take their time.
const LONG: f64 = 75.0;

#[test]
fn sessions_of_those_whom_we_call_are_kept_up() {
    let (ground, flows) = (Ground::new("flows_slow_called"), flows("slow_called"));
    let users: Vec<String> = (1..=flows.len()).map(|number| format!("agent{number}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    let sip = "[server.sip.registration]\nkeepalive = \"off\"".to_owned();
    let server = Server::start(&ground, &Wishes { sip, ..wishes(&users) });
    let phones = flows.iter().zip(&users).map(|(flow, user)| {
        let at = place(&ground);
        assert_eq!(try_register(&ground, &server, &[user], at.0, 200), 0, "{user} could not register");
        (&flow.title, start(&ground, &server, (user, flow, user), at))
    });
    let phones: Vec<(&String, Program)> = phones.collect();
    // Whose phone is hung up on is followed by nobody: all are talking, or have left.
    let callers =
        Sipp { name: "callers", calls: u32::try_from(flows.len()).expect("few"), seconds: LONG, ..Sipp::default() };
    let mut callers = callers.start(&ground, &server);
    for (title, mut phone) in phones {
        assert_eq!(phone.wait(LIMIT), 0, "SIPp is not content with {title}");
    }
    assert_eq!(callers.wait(LIMIT), 0, "SIPp is not content");
}

/// As often as a network that has gone mad repeats a datagram.
const STORM: usize = 3_000;

#[test]
fn a_storm_of_repetitions_is_one_call_and_holds_up_nobody() {
    let ground = Ground::new("flows_storm");
    let server = Server::start(&ground, &wishes(&["ada"]));
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    socket.set_read_timeout(Some(GENEROUS)).expect("a time-out");
    let here = socket.local_addr().expect("an address").to_string();
    let over_udp = |text: &str| text.replace("SIP/2.0/TCP 127.0.0.1:5999", &format!("SIP/2.0/UDP {here}"));
    let uri = format!("sip:{DIRECT}@{}", server.sip);
    let invite = over_udp(&invite(&uri, &format!("sip:raw@{here}"), ""));
    let hear = |what: &str| loop {
        let mut room = [0; 4096];
        let length = socket.recv(&mut room).unwrap_or_else(|why| panic!("no {what}: {why}"));
        let text = String::from_utf8_lossy(&room[..length]).into_owned();
        if text.starts_with("SIP/2.0 200") && text.contains(&format!(" {what}\r\n")) {
            return text;
        }
    };
    let storm = |text: &str| {
        for _ in 0..STORM {
            socket.send_to(text.as_bytes(), server.sip).expect("a datagram sent");
        }
    };
    storm(&invite);
    let options = flow("somebody else asks meanwhile\n> OPTIONS\n< 200\n");
    assert_eq!(start(&ground, &server, ("other", &options, "guest"), place(&ground)).wait(GENEROUS), 0);
    let ok = hear("INVITE");
    storm(&over_udp(&ack(&ok)));
    let bye = over_udp(&ack(&ok)).replace("ACK", "BYE").replace("CSeq: 1", "CSeq: 2").replace("-ack", "-bye");
    storm(&bye);
    hear("BYE");
    let calls = server.wait_ended(1, GENEROUS);
    assert_eq!((calls.len(), &calls[0]["cause"]), (1, &"CallerHungUp".into()), "{calls:?}");
    let repeated = server.metrics()["tierline_sip_retransmissions_received_total"];
    assert!(repeated > STORM as f64 / 10.0, "{repeated} repetitions came: the test proves nothing");
}

/// What RFC 3261 and its followers name and this product knows: somewhere in the flows, SIPp sends it or insists on it.
const NAMED: &[&str] = &[
    // Methods.
    "INVITE ACK CANCEL BYE OPTIONS INFO UPDATE PRACK REFER REGISTER SUBSCRIBE NOTIFY MESSAGE PUBLISH DANCE",
    // Answers that we give; 503 and 404 are also in `running` and `rights`.
    "200 400 401 403 404 405 406 414 415 416 420 422 423 439 469 481 482 483 486 488 491 500 501 505 513 603",
    // Answers that we get from agents' phones, beside those of `whoever_refuses_gets_his_ack`.
    "180 183 422 487 491",
    // Fields that change what happens.
    "Accept Accept-Encoding Accept-Language Allow Contact Content-Encoding Content-Type CSeq Expires Max-Forwards Min-Expires \
     Min-SE RAck Reason Refer-To Referred-By Replaces Require Retry-After RSeq Session-Expires Supported Unsupported \
     WWW-Authenticate",
];

#[test]
fn everything_that_is_named_is_used_by_somebody_else_s_program() {
    let files = ["refusals", "calls", "registering", "agents", "slow", "carriers", "slow_called", "endpoint"];
    let used: BTreeSet<String> = files.into_iter().flat_map(flows).flat_map(|flow| flow.names()).collect();
    let missing: Vec<&str> =
        NAMED.iter().flat_map(|names| names.split(' ')).filter(|name| !used.contains(*name)).collect();
    assert!(missing.is_empty(), "no flow uses {missing:?}");
}
