//! Heard between every pair of {SIPp, baresip}, over UDP, TCP and TLS, in µ-law, A-law and G.722. (SIPp of Debian
//! has no TLS: it uses a tunnel.)

use super::audio;
use super::capture::{Capture, Stream};
use super::harness::{GENEROUS, Ground, Program, SECOND, talk_for, wait_for};
use super::heard::{assert_direct, assert_gap, assert_tone};
use super::listeners::authority;
use super::peers::{Baresip, Codec, Sipp, Softphone, sipp_agent, sipp_agent_over};
use super::server::{DIRECT, Server, Wishes};
use super::streams::tls_listener;
use super::tunnel::{Tunnel, into_tls, out_of_tls};
use rustls::ServerConfig;
use std::net::SocketAddr;
use std::sync::Arc;

pub const CALLER: f64 = 600.0;
pub const AGENT: f64 = 1000.0;
/// Of a hundred frames that a baresip recorded, some of which are music or nothing.
const RECORDED: f64 = 50.0;
/// How long they talk.
const TALK: std::time::Duration = std::time::Duration::from_secs(3);

#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Sipp,
    Baresip,
}

/// What both sides of a call use.
#[derive(Clone, Copy)]
pub struct Way {
    pub transport: &'static str,
    pub codec: Codec,
    /// Where the server takes this transport.
    pub at: SocketAddr,
    /// A baresip has RTP and RTCP on one port; SIPp has not.
    pub shares: bool,
}

impl Way {
    pub fn over(self) -> &'static str {
        match self.transport {
            "tcp" => ";transport=tcp",
            "tls" => ";transport=tls",
            _ => "",
        }
    }

    pub fn sipp(self) -> Sipp<'static> {
        let more: &[&str] = if self.transport == "udp" { &[] } else { &["-t", "t1"] };
        Sipp { codec: self.codec, hidden: self.transport == "tls", more, ..Sipp::default() }
    }

    pub fn softphone<'a>(self, user: &'a str, hz: f64) -> Softphone<'a> {
        let (at, over, codec, shares) = (self.at, self.over(), self.codec, self.shares);
        Softphone { at, over, user, hz, codec, shares, ..Softphone::default() }
    }
}

/// Somebody in a call; ends with it.
pub enum Phone {
    Sipp(#[allow(dead_code, reason = "it runs as long as it is held")] (Program, Option<Tunnel>)),
    Baresip(Baresip),
}

impl Phone {
    /// What a baresip recorded itself is a tone for the most part; its own decoder says so.
    fn assert_recorded(&self, hz: f64) {
        let Phone::Baresip(phone) = self else { return };
        let recorded = wait_for("a recording", GENEROUS, || phone.heard().pop());
        let (tone, share) = audio::main_tone(&audio::read_narrow(&recorded), &[CALLER, AGENT]);
        assert!(tone == hz && share > RECORDED, "baresip recorded {tone} Hz in {share:.1} %, not {hz} Hz");
    }
}

/// `own`: the agent's certificate, which the server trusts.
pub fn agent(ground: &Ground, server: &Server, way: Way, (kind, own): (Kind, Arc<ServerConfig>)) -> Phone {
    if kind == Kind::Baresip {
        let phone = Softphone { registers: true, answers: true, ..way.softphone("ada", AGENT) }.start(ground);
        phone.wait_registered();
        return Phone::Baresip(phone);
    }
    let sipp = Sipp { scenario: "agent_answers", says: AGENT, seconds: 30.0, ..way.sipp() };
    match way.transport {
        "udp" => Phone::Sipp((sipp_agent(ground, server, "ada", sipp), None)),
        "tcp" => {
            let called = (ground.port(), way.over());
            Phone::Sipp((sipp_agent_over(ground, server, "ada", called, sipp), None))
        }
        _ => {
            let plain = ground.address();
            let tunnel = out_of_tls(ground, plain, own);
            let (called, sipp) = ((tunnel.at.port(), way.over()), Sipp { at: Some(plain.port()), ..sipp });
            Phone::Sipp((sipp_agent_over(ground, server, "ada", called, sipp), Some(tunnel)))
        }
    }
}

/// A call from its INVITE to its BYE.
fn call(ground: &Ground, server: &Server, way: Way, kind: Kind) -> Phone {
    match kind {
        Kind::Sipp => {
            let hides = way.transport == "tls";
            let tunnel = hides.then(|| into_tls(ground, way.at, &ground.file("data/tls/ca.pem")));
            let (seconds, to) = (TALK.as_secs_f64() + 1.0, tunnel.as_ref().map(|tunnel| tunnel.at));
            let mut caller = Sipp { says: CALLER, seconds, to, ..way.sipp() }.start(ground, server);
            assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
            Phone::Sipp((caller, tunnel))
        }
        Kind::Baresip => {
            let caller = way.softphone("visitor", CALLER).start(ground);
            caller.tell(&format!("dial sip:{DIRECT}@{}{}", way.at, way.over()));
            caller.program.says("Call established", GENEROUS);
            talk_for(TALK + SECOND);
            caller.tell("hangup");
            Phone::Baresip(caller)
        }
    }
}

/// Both sides hear what they should from answer to BYE.
fn judge(capture: &Capture, server: &Server, way: Way) {
    let via = format!("SIP/2.0/{} ", way.transport.to_uppercase());
    assert!(capture.messages.iter().all(|message| message.text.contains(&via)), "not everything went over {via}");
    if way.transport == "tls" {
        // Only between SIPp and its tunnel can it be read.
        assert!(capture.messages.iter().all(|message| ![message.from, message.to].contains(&server.sip)));
        return judge_hidden(capture, server);
    }
    let legs = capture.legs();
    assert_eq!(legs.len(), 2, "{legs:?}");
    assert_direct(capture, server, (&legs[0], &legs[1]), (CALLER, AGENT));
}

/// Where TLS hides the signaling, audio tells who is who: from the agent's first packet to the caller's last.
fn judge_hidden(capture: &Capture, server: &Server) {
    let (first, last) = server.audio_ports();
    let ours = |at: SocketAddr| (first..=last).contains(&at.port());
    let said: Vec<(&(SocketAddr, SocketAddr), &Stream)> =
        capture.streams.iter().filter(|((_, to), _)| ours(*to)).collect();
    let by = |hz: f64| {
        let all = said.iter().find(|(_, stream)| {
            let (from, to) = stream.time();
            stream.tone(hz, from, to) > 50.0
        });
        all.unwrap_or_else(|| panic!("nobody says {hz} Hz"))
    };
    let (caller, agent) = (by(CALLER), by(AGENT));
    let talk = (agent.1.time().0, caller.1.time().1.min(agent.1.time().1));
    assert!(talk.1 - talk.0 > TALK.as_secs_f64() - 1.0, "they talked for {:.1} s", talk.1 - talk.0);
    for ((from, to), said, hz) in [(*caller.0, agent.1, AGENT), (*agent.0, caller.1, CALLER)] {
        let heard = capture.stream(to, from);
        heard.assert_one_line(&format!("what {from} heard"));
        // A packet's way through the server begins with the next tick.
        let time = (talk.0 + 0.04, talk.1);
        assert_tone(&from.to_string(), (heard, said), hz, time);
        assert_gap(capture, &from.to_string(), (heard, said), time);
    }
}

fn every_pair(transport: &'static str, codec: Codec, shares: bool) {
    let all = [Kind::Sipp, Kind::Baresip];
    for (called, calling) in all.into_iter().flat_map(|called| all.map(|calling| (called, calling))) {
        let name = |kind| if kind == Kind::Sipp { "sipp" } else { "baresip" };
        let ground = Ground::new(&format!("pair_{transport}_{codec:?}_{shares}_{}_{}", name(calling), name(called)));
        let (secure, own) = (ground.address(), authority(&ground.dir, "agent"));
        let sip = match transport {
            "tls" => format!("{}\n[server.sip.tls]\ntrust = \"agent.pem\"\n", tls_listener(secure)),
            _ => String::new(),
        };
        let server = Server::start(&ground, &Wishes { sip, ..Wishes::agents(&["ada"]) });
        let way = Way { transport, codec, at: if transport == "tls" { secure } else { server.sip }, shares };
        let agent = agent(&ground, &server, way, (called, own));
        let capture = ground.capture();
        let caller = call(&ground, &server, way, calling);
        let ended = server.wait_ended(1, GENEROUS);
        assert_eq!(ended[0]["phase"], "Connected", "{}", ended[0]);
        let capture = capture.stop();
        let kinds: Vec<u8> = capture.streams.values().flat_map(|s| s.0.iter().map(|p| p.payload_type)).collect();
        assert!(kinds.iter().all(|kind| [codec.number(), 101].contains(kind)), "audio is not all {codec:?}");
        judge(&capture, &server, way);
        caller.assert_recorded(AGENT);
        agent.assert_recorded(CALLER);
        let metrics = server.metrics();
        // It is passed on as it is, and the music until the agent answers is in the same codec.
        let transcoded = metrics.iter().filter(|(name, _)| name.starts_with("tierline_media_packets_transcoded_total"));
        assert_eq!(transcoded.map(|(_, packets)| packets).sum::<f64>(), 0.0, "over {transport} in {codec:?}");
    }
}

#[test]
fn every_pair_is_heard_over_udp_in_mu_law() {
    every_pair("udp", Codec::Mu, false);
}

#[test]
fn every_pair_is_heard_over_udp_in_a_law() {
    every_pair("udp", Codec::A, false);
}

#[test]
fn every_pair_is_heard_over_udp_in_g722() {
    every_pair("udp", Codec::G722, false);
}

#[test]
fn every_pair_is_heard_over_tcp_in_mu_law() {
    every_pair("tcp", Codec::Mu, false);
}

#[test]
fn every_pair_is_heard_over_tcp_in_a_law() {
    every_pair("tcp", Codec::A, false);
}

#[test]
fn every_pair_is_heard_over_tcp_in_g722() {
    every_pair("tcp", Codec::G722, false);
}

#[test]
fn every_pair_is_heard_over_tls_in_mu_law() {
    every_pair("tls", Codec::Mu, false);
}

#[test]
fn every_pair_is_heard_over_tls_in_a_law() {
    every_pair("tls", Codec::A, false);
}

#[test]
fn every_pair_is_heard_over_tls_in_g722() {
    every_pair("tls", Codec::G722, false);
}

#[test]
fn every_pair_is_heard_on_one_port_and_beside_others_with_two() {
    every_pair("udp", Codec::Mu, true);
}
