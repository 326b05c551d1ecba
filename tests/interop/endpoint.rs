//! What our SIP endpoint can and the engine does not ask it for yet, against SIPp: an endpoint by itself on a socket, whose
//! user rings reliably, makes offers of his own, transfers as he is told and takes the place of parties.

use super::capture::Message;
use super::flow::{Flow, flow, flows};
use super::flows::{Place, launch, place};
use super::harness::{GENEROUS, Ground, Program, wait_for};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tierline::ids::{IdCounter, LegId, Rng};
use tierline::sip::header::NameAddr;
use tierline::sip::uri::Uri;
use tierline::sip::{Body, Command, Config, DialogRecord, Endpoint, Event, Flow as Path, Input, Listener, Output};
use tierline::time;

/// How long he thinks, and longest that the socket is waited for.
const THINKS: Duration = Duration::from_millis(700);
const LOOK: Duration = Duration::from_millis(10);
/// RFC 3261 §14.1: whose Call-ID it is waits so many seconds at least when offers have met.
const OWNER_WAITS: f64 = 2.1;

/// An endpoint on a thread of its own, until it is dropped.
struct Alone {
    at: SocketAddr,
    /// Who is to be called.
    calls: Arc<Mutex<Vec<SocketAddr>>>,
    /// Of calls that are established, by whom was called.
    dialogs: Arc<Mutex<BTreeMap<String, DialogRecord>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The endpoint, its user and their clock.
struct Life {
    socket: UdpSocket,
    endpoint: Endpoint,
    begun: Instant,
    /// What he will say, and when.
    said: Vec<(Duration, Command)>,
    called: BTreeMap<LegId, String>,
    calls: Arc<Mutex<Vec<SocketAddr>>>,
    dialogs: Arc<Mutex<BTreeMap<String, DialogRecord>>>,
}

impl Alone {
    fn new() -> Alone {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        socket.set_read_timeout(Some(LOOK)).expect("a time-out");
        let at = socket.local_addr().expect("an address");
        let mut config = Config::new(vec![Listener::udp(at)], "test");
        (config.keepalive, config.takes_refer) = (None, true);
        let endpoint = Endpoint::new(config, Rng::from_number(1), IdCounter::new(1, 1));
        let (dialogs, stop) = (Arc::<Mutex<BTreeMap<_, _>>>::default(), Arc::new(AtomicBool::new(false)));
        let (begun, said, called, calls) =
            (Instant::now(), Vec::new(), BTreeMap::new(), Arc::<Mutex<Vec<_>>>::default());
        let (told, kept) = (Arc::clone(&calls), Arc::clone(&dialogs));
        let mut life = Life { socket, endpoint, begun, said, called, calls: told, dialogs: kept };
        let until = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                life.step();
            }
        });
        Alone { at, calls, dialogs, stop, thread: Some(thread) }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

impl Life {
    fn step(&mut self) {
        let mut room = [0; 65_535];
        if let Ok((length, from)) = self.socket.recv_from(&mut room) {
            self.input(Input::Received { flow: Path::udp(0, from), bytes: room[..length].to_vec() });
        }
        let calls = std::mem::take(&mut *self.calls.lock().expect("a list"));
        calls.into_iter().for_each(|at| self.call(at));
        let now = self.begun.elapsed();
        let (due, later) = std::mem::take(&mut self.said).into_iter().partition(|(at, _)| *at <= now);
        self.said = later;
        let due: Vec<(Duration, Command)> = due;
        due.into_iter().for_each(|(_, command)| self.input(Input::Command(command)));
        self.input(Input::Timeout);
    }

    /// Whom he calls gets an offer more.
    fn call(&mut self, at: SocketAddr) {
        let address = |text: &str| NameAddr::parse(text).expect("an address");
        let (leg, uri) = (self.endpoint.next_leg(), Uri::parse(&format!("sip:peer@{at}")).expect("an address"));
        let (from, to) = (address("<sip:user@127.0.0.1>"), address("<sip:peer@127.0.0.1>"));
        let (flow, headers, account) = (None, Vec::new(), None);
        self.called.insert(leg, "offers".to_owned());
        let offer = Some(Body::sdp(answer()));
        self.input(Input::Command(Command::Invite {
            leg,
            uri,
            flow,
            from,
            to,
            offer,
            headers,
            account,
            listener: None,
        }));
    }

    fn input(&mut self, input: Input) {
        let now = time::Instant(u64::try_from(self.begun.elapsed().as_nanos()).expect("not for centuries"));
        self.endpoint.handle(now, input);
        while let Some(output) = self.endpoint.poll() {
            match output {
                Output::Send { flow, bytes } => _ = self.socket.send_to(&bytes, flow.remote),
                Output::Event(event) => self.happened(event),
                Output::Verify { .. } | Output::Prove { .. } | Output::Resolve { .. } => {}
            }
        }
    }

    /// What he does is what he is called.
    fn happened(&mut self, event: Event) {
        let mut will = |thoughts: u32, command| self.said.push((self.begun.elapsed() + THINKS * thoughts, command));
        let body = || Body::sdp(answer());
        match event {
            Event::Invited { leg, called, replaces, .. } => {
                let named = called.user_decoded();
                if named == "waits" {
                    will(0, Command::Ring { leg, status: 180, body: None });
                }
                if matches!(named.as_str(), "rings" | "changes") {
                    will(0, Command::Ring { leg, status: 183, body: Some(body()) });
                }
                if named == "changes" {
                    will(1, Command::Reoffer { leg, body: body() });
                }
                let thoughts = if matches!(named.as_str(), "changes" | "waits") { 3 } else { 0 };
                will(thoughts, Command::Answer { leg, body: body() });
                replaces.into_iter().for_each(|old| will(1, Command::HangUp { leg: old, reason: None }));
                self.called.insert(leg, named);
            }
            Event::Established { leg, dialog, .. } => {
                let named = self.called.get(&leg).cloned().unwrap_or_default();
                if named == "offers" {
                    will(1, Command::Reoffer { leg, body: body() });
                }
                self.dialogs.lock().expect("a table").insert(named, dialog);
            }
            Event::Referred { leg, .. } => {
                will(1, Command::ReferProgress { leg, status: 180 });
                will(2, Command::ReferProgress { leg, status: 200 });
            }
            Event::Offered { leg, .. } => will(0, Command::AcceptOffer { leg, body: body() }),
            _ => {}
        }
    }
}

fn answer() -> &'static str {
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
}

#[test]
fn what_the_engine_does_not_ask_for_is_understood_by_others() {
    let ground = Ground::new("endpoint");
    let alone = Alone::new();
    let flows = flows("endpoint");
    let capture = ground.capture();
    let start = |(number, flow): (usize, &Flow)| {
        let (at, name) = (place(&ground), format!("flow-{number}"));
        let program = launch(&ground, alone.at, (&name, flow, "guest"), at);
        if flow.is_called() {
            alone.calls.lock().expect("a list").push((Ipv4Addr::LOCALHOST, at.0).into());
        }
        program
    };
    let running: Vec<Program> = flows.iter().enumerate().map(start).collect();
    let mut failed = Vec::new();
    for (flow, mut program) in flows.iter().zip(running) {
        if program.wait(GENEROUS) != 0 {
            failed.push(format!("{} ({})", flow.title, program.name));
        }
    }
    assert!(failed.is_empty(), "SIPp is not content with:\n{}", failed.join("\n"));
    let capture = capture.stop();
    let of_ours = |m: &&Message| m.from == alone.at && m.method() == Some("INVITE");
    let owned: Vec<&Message> =
        capture.messages.iter().filter(of_ours).filter(|m| m.header("From").contains("user@")).collect();
    let [.., refused, again] = owned[..] else { panic!("{} INVITEs of our own", owned.len()) };
    assert!(
        again.at - refused.at >= OWNER_WAITS,
        "offers met, and after {:.3} s one came again",
        again.at - refused.at
    );
}

/// RFC 3891 §3: the INVITE takes the place of the party that it names; that one is hung up on.
#[test]
fn a_call_takes_the_place_of_another() {
    let ground = Ground::new("endpoint_replaces");
    let alone = Alone::new();
    let run = |name: &str, flow: &Flow, at: Place| launch(&ground, alone.at, (name, flow, "guest"), at);
    let first =
        flow("one who is replaced\n> INVITE sip:first@[remote_ip]:[remote_port]\n  sdp\n< 200\n> ACK\n< BYE\n> 200\n");
    let mut first = run("first", &first, place(&ground));
    let dialog = wait_for("the first call", GENEROUS, || alone.dialogs.lock().expect("a table").get("first").cloned());
    let named = |local: &str| format!("{};to-tag={local};from-tag={}", dialog.call_id, dialog.remote_tag);
    let wrong = format!(
        "one that names nobody\n> INVITE sip:second@[remote_ip]:[remote_port]\n  Require: replaces\n  Replaces: {}\n  sdp\n\
         < 481\n> ACK\n",
        named("nobody")
    );
    assert_eq!(run("wrong", &flow(&wrong), place(&ground)).wait(GENEROUS), 0, "SIPp is not content");
    let right = format!(
        "one that takes the place\n> INVITE sip:second@[remote_ip]:[remote_port]\n  Require: replaces\n  Replaces: {}\n  sdp\n\
         < 200\n> ACK\nwait 1500\n> BYE\n< 200\n",
        named(&dialog.local_tag)
    );
    assert_eq!(run("right", &flow(&right), place(&ground)).wait(GENEROUS), 0, "SIPp is not content");
    assert_eq!(first.wait(GENEROUS), 0, "who was replaced was not hung up on");
}
