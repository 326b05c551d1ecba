//! Callers and agents behind kamailio, a SIP edge that stays in the way of every call by Record-Route.

use super::capture::{Capture, Leg};
use super::harness::{GENEROUS, Ground, Program, SECOND, talk_for, wait_until};
use super::heard::assert_talk;
use super::peers::{Sipp, Softphone, sipp_agent};
use super::server::{DIRECT, Server, Wishes};
use super::wire::options;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;

const CALLER: f64 = 600.0;
const AGENT: f64 = 1000.0;

pub struct Edge {
    pub at: SocketAddr,
    program: Program,
    config: std::path::PathBuf,
}

impl Edge {
    fn start(ground: &Ground, server: &Server) -> Edge {
        Edge::with(ground, server, "edge", "edge-1")
    }

    /// One of this configuration, under a name of its own.
    pub fn with(ground: &Ground, server: &Server, config: &str, name: &str) -> Edge {
        let (at, engine) = (ground.address(), server.sip);
        let text = std::fs::read_to_string(format!("{}/tests/interop/{config}.cfg", env!("CARGO_MANIFEST_DIR")));
        let text = text.expect("kamailio's configuration").replace("EDGE", &at.to_string());
        let text = text.replace("ENGINE_IP", &engine.ip().to_string());
        let config = ground.file(&format!("{name}.cfg"));
        std::fs::write(&config, text.replace("ENGINE_PORT", &engine.port().to_string())).expect("a file");
        let mut edge = Edge { at, program: run(ground, name, &config), config };
        edge.wait_ready();
        edge
    }

    /// It is gone for ever.
    pub fn die(&mut self) {
        self.program.kill();
    }

    /// It ends without a farewell and forgets everything.
    fn restart(&mut self, ground: &Ground) {
        // Its workers end with the first process, but not all at once.
        self.program.signal(libc::SIGTERM);
        self.program.wait(GENEROUS);
        self.program = run(ground, "edge-2", &self.config);
        self.wait_ready();
    }

    /// An OPTIONS with no hops left is answered by the edge itself.
    fn wait_ready(&mut self) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_read_timeout(Some(SECOND / 5)).expect("a time-out");
        let local = socket.local_addr().expect("an address").to_string();
        let ask = options(1, "UDP", &format!("sip:{}", self.at)).replace("127.0.0.1:5999", &local);
        let ask = ask.replace("Max-Forwards: 70", "Max-Forwards: 0");
        wait_until("kamailio is there", GENEROUS, || {
            assert!(self.program.is_running(), "kamailio ended: {}", self.program.errors());
            _ = socket.send_to(ask.as_bytes(), self.at);
            socket.recv(&mut [0; 2000]).is_ok()
        });
    }
}

fn run(ground: &Ground, name: &str, config: &std::path::Path) -> Program {
    let runtime = ground.file(&format!("{name}-runtime"));
    std::fs::create_dir_all(&runtime).expect("a folder for kamailio");
    // -DD: one program in the foreground, whose workers are its children.
    ground.run(
        name,
        Command::new("kamailio")
            .args(["-DD", "-E", "-m", "32", "-M", "4"])
            .arg("-Y")
            .arg(&runtime)
            .arg("-f")
            .arg(config),
    )
}

fn softphone<'a>(server: &Server, user: &'a str, hz: f64, more: &'a str) -> Softphone<'a> {
    Softphone { at: server.sip, user, hz, more, ..Softphone::default() }
}

/// Nothing of a call went past the edge, and both heard each other.
fn judge(capture: &Capture, server: &Server, edge: SocketAddr, calls: usize) {
    let past: Vec<&str> = capture
        .messages
        .iter()
        .filter(|message| {
            ![message.from, message.to].contains(&edge) && [message.from, message.to].contains(&server.sip)
        })
        .map(|message| message.first_line())
        .collect();
    assert!(past.is_empty(), "not by way of the edge: {past:?}");
    let legs = capture.legs();
    assert_eq!(legs.len(), calls * 2, "{legs:?}");
    for pair in legs.chunks(2) {
        let (caller, agent): (&Leg, &Leg) = (&pair[0], &pair[1]);
        let end = caller.talk().1.min(agent.talk().1);
        assert!(end - agent.talk().0 > 2.0, "they talked for {:.1} s", end - agent.talk().0);
        assert_talk(capture, server, (caller, agent), AGENT, (agent.talk().0, end));
        assert_talk(capture, server, (agent, caller), CALLER, (agent.talk().0, end));
        assert!([caller, agent].iter().all(|leg| leg.finals == [200]), "{pair:?}");
    }
    // Calls end by their Record-Routes, and a phone that is bound with its Path (RFC 3327) is called by it.
    let is_bound =
        |text: &str| text.contains(" REGISTER\r\n") && text.starts_with("SIP/2.0 200") && text.contains("\r\nPath: ");
    let by_path = capture.messages.iter().any(|message| is_bound(&message.text));
    let ours = capture.messages.iter().filter(|message| message.from == server.sip);
    let routed = |method: &str| method == "BYE" || (method == "INVITE" && by_path);
    for message in ours.filter(|message| message.method().is_some_and(routed)) {
        assert!(message.header("Route").contains(";lr"), "without its route: {}", message.text);
    }
}

#[test]
fn through_kamailio_both_sides_hear_each_other_and_may_hang_up() {
    let ground = Ground::new("edge");
    let server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let edge = Edge::start(&ground, &server);
    let capture = ground.capture();
    let proxy = format!(";outbound=\"sip:{}\"", edge.at);
    let agent = Softphone { registers: true, answers: true, ..softphone(&server, "ada", AGENT, &proxy) }.start(&ground);
    agent.wait_registered();
    // A SIPp caller hangs up; then the agent does; then a baresip caller.
    let mut caller = Sipp { to: Some(edge.at), seconds: 4.0, ..Sipp::default() }.start(&ground, &server);
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    assert_eq!(server.wait_ended(1, GENEROUS)[0]["cause"], "CallerHungUp");
    let waits = Sipp { name: "waits", to: Some(edge.at), scenario: "caller_waits", seconds: 30.0, ..Sipp::default() };
    let mut caller = waits.start(&ground, &server);
    wait_until("they talk", GENEROUS, || server.calls()[0]["by_agent"].is_null() && is_talking(&server));
    talk_for(3 * SECOND);
    agent.tell("hangup");
    assert_eq!(caller.wait(GENEROUS), 0, "the caller got no BYE");
    assert_eq!(server.wait_ended(2, GENEROUS)[0]["cause"], "AgentHungUp");
    let caller = softphone(&server, "visitor", CALLER, &proxy).start(&ground);
    caller.tell(&format!("dial sip:{DIRECT}@{}", server.sip));
    caller.program.says("Call established", GENEROUS);
    talk_for(4 * SECOND);
    caller.tell("hangup");
    assert_eq!(server.wait_ended(3, GENEROUS)[0]["cause"], "CallerHungUp");
    judge(&capture.stop(), &server, edge.at, 3);
}

/// The same with SIPp as agent's phone, which registers and is called through kamailio.
#[test]
fn an_agent_with_sipp_behind_kamailio_is_called_and_heard() {
    let ground = Ground::new("edge_sipp");
    let server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let edge = Edge::start(&ground, &server);
    let capture = ground.capture();
    let agent = Sipp { scenario: "agent_answers", says: AGENT, seconds: 30.0, to: Some(edge.at), ..Sipp::default() };
    let _agent = sipp_agent(&ground, &server, "ada", agent);
    let mut caller = Sipp { to: Some(edge.at), seconds: 4.0, ..Sipp::default() }.start(&ground, &server);
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    assert_eq!(server.wait_ended(1, GENEROUS)[0]["cause"], "CallerHungUp");
    let proxy = format!(";outbound=\"sip:{}\"", edge.at);
    let caller = softphone(&server, "visitor", CALLER, &proxy).start(&ground);
    caller.tell(&format!("dial sip:{DIRECT}@{}", server.sip));
    caller.program.says("Call established", GENEROUS);
    talk_for(5 * SECOND);
    caller.tell("hangup");
    assert_eq!(server.wait_ended(2, GENEROUS)[0]["cause"], "CallerHungUp");
    judge(&capture.stop(), &server, edge.at, 2);
}

fn is_talking(server: &Server) -> bool {
    let calls = server.calls();
    let last = calls[0]["segments"].as_array().and_then(|segments| segments.last());
    last.is_some_and(|last| !last["agent"].is_null())
}

#[test]
fn kamailio_may_be_restarted_in_mid_call() {
    let ground = Ground::new("edge_restarts");
    let server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let mut edge = Edge::start(&ground, &server);
    let proxy = format!(";outbound=\"sip:{}\"", edge.at);
    let agent = Softphone { registers: true, answers: true, ..softphone(&server, "ada", AGENT, &proxy) }.start(&ground);
    agent.wait_registered();
    let capture = ground.capture();
    let mut caller = Sipp { to: Some(edge.at), seconds: 9.0, ..Sipp::default() }.start(&ground, &server);
    agent.program.says("Call established", GENEROUS);
    talk_for(SECOND);
    edge.restart(&ground);
    // The re-INVITE of the hold and the BYEs find their way by their routes alone.
    agent.tell("hold");
    wait_until("the call is held", GENEROUS, || server.drawing().contains("hold"));
    agent.tell("resume");
    wait_until("the call is retrieved", GENEROUS, || server.drawing().contains("resume"));
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    let call = server.wait_ended(1, GENEROUS).remove(0);
    assert_eq!((&call["cause"], &call["phase"]), (&"CallerHungUp".into(), &"Connected".into()), "{call}");
    let capture = capture.stop();
    let legs = capture.legs();
    let (caller, agent) = (&legs[0], &legs[1]);
    let back = capture.messages.iter().rev().find(|m| m.status() == Some(200) && m.header("CSeq").ends_with("INVITE"));
    let time = (back.expect("a re-INVITE was answered").at + 0.1, caller.talk().1.min(agent.talk().1));
    assert!(time.1 - time.0 > 2.0, "they talked for {:.1} s after the restart", time.1 - time.0);
    assert_talk(&capture, &server, (caller, agent), AGENT, time);
    assert_talk(&capture, &server, (agent, caller), CALLER, time);
}
