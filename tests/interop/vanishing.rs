//! Agents whose phones vanish behind a wire that takes everything and gives nothing back (a black hole), and behind a
//! connection that breaks: while they ring and while they talk. The caller keeps his place before one who came later, and
//! is not left in silence.

use super::capture::{Capture, Leg};
use super::harness::{GENEROUS, Ground, Program, SECOND, talk_for, wait_until};
use super::heard::{assert_music, assert_talk, heard_by, said_by};
use super::leaving::{is_ringing, is_talking, offers};
use super::nets::{HOME, OFFICE, Place, Trouble, Wire};
use super::peers::{Sipp, Softphone, event, phone_agent};
use super::server::{Server, Wishes};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

pub const CALLER: f64 = 600.0;
pub const LOST: f64 = 1000.0;
pub const NEXT: f64 = 1200.0;
const RIVAL: f64 = 900.0;
/// After so much silence an agent who should be talking counts as lost.
const SILENCE: f64 = 2.0;

/// Carries connections to the server, until it breaks all of them and takes no more.
pub struct Proxy {
    pub at: SocketAddr,
    ends: Arc<Mutex<Option<Vec<TcpStream>>>>,
    /// Set for connections whose bytes go nowhere.
    holes: Arc<Mutex<Vec<Arc<AtomicBool>>>>,
}

impl Proxy {
    pub fn before(server: SocketAddr) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port for the proxy");
        let at = listener.local_addr().expect("its address");
        let ends = Arc::new(Mutex::new(Some(Vec::new())));
        let all = Arc::clone(&ends);
        let holes = Arc::<Mutex<Vec<Arc<AtomicBool>>>>::default();
        let known = Arc::clone(&holes);
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let (near, far) = (near.expect("a connection"), TcpStream::connect(server).expect("the server"));
                let copy = |stream: &TcpStream| stream.try_clone().expect("the same stream once more");
                match &mut *all.lock().expect("nobody panics with it") {
                    Some(ends) => ends.extend([copy(&near), copy(&far)]),
                    None => return,
                }
                let hole = Arc::<AtomicBool>::default();
                known.lock().expect("nobody panics with it").push(Arc::clone(&hole));
                for (from, to) in [(copy(&near), copy(&far)), (far, near)] {
                    let hole = Arc::clone(&hole);
                    std::thread::spawn(move || carry(from, to, &hole));
                }
            }
        });
        Proxy { at, ends, holes }
    }

    /// Breaks all connections that there are, and takes new ones.
    pub fn cut(&self) {
        for end in self.ends.lock().expect("nobody panics with it").iter_mut().flat_map(|ends| ends.drain(..)) {
            _ = end.shutdown(Shutdown::Both); // one side may have closed it
        }
    }

    /// Swallows from now on what comes over the connections that there are, and leaves them open.
    pub fn swallows(&self) {
        self.holes.lock().expect("nobody panics with it").iter().for_each(|hole| hole.store(true, Ordering::Relaxed));
    }

    pub fn breaks(&self) {
        for end in self.ends.lock().expect("nobody panics with it").take().expect("it breaks once") {
            _ = end.shutdown(Shutdown::Both); // one side may have closed it
        }
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, hole: &AtomicBool) {
    let mut room = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut room) {
        if hole.load(Ordering::Relaxed) {
            continue;
        }
        if to.write_all(&room[..length]).is_err() {
            return;
        }
    }
}

/// One more caller, who comes while the first one's agent is still believed to be there, and waits.
pub fn rival(ground: &Ground, server: &Server, seconds: f64) -> Program {
    let rival = Sipp { name: "rival", from: "rival", seconds, says: RIVAL, ..Sipp::default() }.start(ground, server);
    wait_until("somebody else waits", GENEROUS, || {
        let calls = server.calls();
        calls.len() == 2 && calls[0]["segments"].as_array().is_some_and(|segments| !segments.is_empty())
    });
    rival
}

/// The first call, when both are over: who came later was served by the next agent too, after him.
pub fn served_before(server: &Server, mut rival: Program) -> Value {
    assert_eq!(rival.wait(2 * GENEROUS), 0, "SIPp is not content");
    let [later, first] = &server.wait_ended(2, GENEROUS)[..] else { panic!("not two calls") };
    let last = |call: &Value| offers(call).last().cloned();
    assert_eq!(last(later), Some((1002, "Accepted".to_owned())), "who came later has waited for nobody");
    first.clone()
}

/// The first caller's first offer is over.
pub fn rings_no_more(server: &Server) -> bool {
    server.calls().last().is_some_and(|call| offers(call).first().is_some_and(|(_, outcome)| outcome != "open"))
}

/// The next agent's first call.
pub fn next_leg(legs: &[Leg]) -> &Leg {
    legs.iter().find(|leg| leg.to.starts_with("ben") && leg.answered.is_some()).expect("the next agent's leg")
}

/// The first caller and the agent who was next hear each other: he has not lost his place.
pub fn judge_next(capture: &Capture, server: &Server) {
    let legs = capture.legs();
    let (caller, next) = (&legs[0], next_leg(&legs));
    assert_talk(capture, server, (caller, next), NEXT, (next.talk().0, caller.talk().1));
    assert_talk(capture, server, (next, caller), CALLER, next.talk());
}

/// Music, from the beginning until the next agent answers.
pub fn judge_waiting(capture: &Capture, server: &Server) {
    let legs = capture.legs();
    let (from, until) = (legs[0].talk().0, next_leg(&legs).talk().0);
    assert_music(capture, "the waiting caller", &heard_by(capture, &legs[0], server), (from, until));
}

/// Music, from a second after the loss is known until the next agent answers.
pub fn judge_music(capture: &Capture, server: &Server, lost: &Leg) {
    let legs = capture.legs();
    let (caller, next) = (&legs[0], next_leg(&legs));
    let (_, last) = said_by(capture, lost, server).time();
    let time = (last + SILENCE + 1.0, next.talk().0);
    assert!(time.1 - time.0 > 1.0, "music for {:.1} s only: the test proves nothing", time.1 - time.0);
    let heard = heard_by(capture, caller, server);
    assert_music(capture, "the caller who is back in the queue", &heard, time);
}

fn accepted_by_the_second(server: &Server, rival: Program, first: &[&str]) {
    let call = served_before(server, rival);
    let offers = offers(&call);
    assert!(offers.last() == Some(&(1002, "Accepted".to_owned())), "{offers:?}");
    assert!(offers[0].0 == 1001 && first.contains(&offers[0].1.as_str()), "{offers:?}");
    // Who was lost in a talk may be there again; her phone is rung once more at most.
    assert!(offers.len() <= 3, "{offers:?}");
    assert_eq!(call["cause"], "CallerHungUp");
}

#[test]
fn who_rings_in_a_black_hole_is_followed_by_the_next() {
    let ground = Ground::new("hole_ringing");
    let office = Place::begin();
    let wire = Wire::lay(&office, Trouble::default(), None);
    // It would ring for a minute: that nobody is there is known by the OPTIONS that are sent while it rings.
    let keepalive = "[server.sip.registration]\nkeepalive = \"5s\"".to_owned();
    let wishes = Wishes { ip: OFFICE, ring_timeout: "1m", sip: keepalive, ..Wishes::agents(&["ada", "ben"]) };
    let server = Server::start(&ground, &wishes);
    let capture = ground.capture_in(&office, "office");
    let phone = Softphone { user: "ada", hz: LOST, registers: true, over: ";transport=tcp", ..Softphone::default() };
    let lost = Softphone { at: server.sip, place: Some(&wire.home), ip: HOME, ..phone }.start(&ground);
    lost.wait_registered();
    let mut caller = Sipp { seconds: 26.0, says: CALLER, ..Sipp::default() }.start(&ground, &server);
    lost.program.says("Incoming call", GENEROUS);
    let rival = rival(&ground, &server, 30.0);
    wire.cut();
    wait_until("the loss is known", GENEROUS, || rings_no_more(&server));
    let next = phone_agent(&ground, &server, "ben", NEXT, &["--answer", "0"]);
    event(&next, "Connected", GENEROUS);
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    accepted_by_the_second(&server, rival, &["Unreachable"]);
    let capture = capture.stop();
    judge_waiting(&capture, &server);
    judge_next(&capture, &server);
}

#[test]
fn who_talks_in_a_black_hole_is_missed_and_the_caller_hears_music_again() {
    let ground = Ground::new("hole_talking");
    let office = Place::begin();
    let wire = Wire::lay(&office, Trouble::default(), None);
    let server = Server::start(&ground, &Wishes { ip: OFFICE, silence: "2s", ..Wishes::agents(&["ada", "ben"]) });
    let capture = ground.capture_in(&office, "office");
    let phone = Softphone { user: "ada", hz: LOST, registers: true, answers: true, ..Softphone::default() };
    let lost = Softphone { at: server.sip, place: Some(&wire.home), ip: HOME, ..phone }.start(&ground);
    lost.wait_registered();
    let mut caller = Sipp { seconds: 14.0, says: CALLER, ..Sipp::default() }.start(&ground, &server);
    wait_until("they talk", GENEROUS, || is_talking(&server));
    talk_for(SECOND);
    let rival = rival(&ground, &server, 18.0);
    wire.cut();
    wait_until("the loss is known", GENEROUS, || !is_talking(&server));
    talk_for(3 * SECOND);
    let next = phone_agent(&ground, &server, "ben", NEXT, &["--answer", "0"]);
    event(&next, "Connected", GENEROUS);
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    accepted_by_the_second(&server, rival, &["Accepted"]);
    let capture = capture.stop();
    let legs = capture.legs();
    let lost = legs.iter().find(|leg| leg.to.starts_with("ada") && leg.answered.is_some()).expect("her leg");
    judge_music(&capture, &server, lost);
    judge_next(&capture, &server);
}

#[test]
fn whose_connection_breaks_while_it_rings_is_followed_at_once() {
    let ground = Ground::new("cut_ringing");
    let server = Server::start(&ground, &Wishes { ring_timeout: "1m", ..Wishes::agents(&["ada", "ben"]) });
    let proxy = Proxy::before(server.sip);
    let capture = ground.capture();
    let more = format!(";outbound=\"sip:{};transport=tcp\"", proxy.at);
    let phone = Softphone { user: "ada", hz: LOST, registers: true, over: ";transport=tcp", ..Softphone::default() };
    let mut lost = Softphone { at: server.sip, more: &more, ..phone }.start(&ground);
    lost.wait_registered();
    let mut caller = Sipp { seconds: 14.0, says: CALLER, ..Sipp::default() }.start(&ground, &server);
    wait_until("her phone rings", GENEROUS, || is_ringing(&server));
    lost.program.says("Incoming call", GENEROUS);
    let rival = rival(&ground, &server, 18.0);
    proxy.breaks();
    wait_until("the loss is known", GENEROUS, || rings_no_more(&server));
    // Her phone is there, and would ring for who came later, at its Contact.
    lost.program.kill();
    let next = phone_agent(&ground, &server, "ben", NEXT, &["--answer", "0"]);
    // Long before the minute is over.
    event(&next, "Connected", GENEROUS);
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    accepted_by_the_second(&server, rival, &["Unreachable"]);
    let capture = capture.stop();
    judge_waiting(&capture, &server);
    judge_next(&capture, &server);
}

#[test]
fn whose_connection_breaks_while_he_talks_talks_on_and_is_missed_when_he_is_gone() {
    let ground = Ground::new("cut_talking");
    let server = Server::start(&ground, &Wishes { silence: "2s", ..Wishes::agents(&["ada", "ben"]) });
    let proxy = Proxy::before(server.sip);
    let capture = ground.capture();
    let more = format!(";outbound=\"sip:{};transport=tcp\"", proxy.at);
    let phone = Softphone { user: "ada", hz: LOST, registers: true, answers: true, ..Softphone::default() };
    let mut lost = Softphone { at: server.sip, over: ";transport=tcp", more: &more, ..phone }.start(&ground);
    lost.wait_registered();
    let mut caller = Sipp { seconds: 18.0, says: CALLER, ..Sipp::default() }.start(&ground, &server);
    wait_until("they talk", GENEROUS, || is_talking(&server));
    talk_for(SECOND);
    proxy.breaks();
    talk_for(3 * SECOND);
    assert!(is_talking(&server), "audio does not go over the connection");
    let rival = rival(&ground, &server, 22.0);
    lost.program.kill();
    wait_until("the loss is known", GENEROUS, || !is_talking(&server));
    talk_for(3 * SECOND);
    let next = phone_agent(&ground, &server, "ben", NEXT, &["--answer", "0"]);
    event(&next, "Connected", GENEROUS);
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    accepted_by_the_second(&server, rival, &["Accepted"]);
    let capture = capture.stop();
    let legs = capture.legs();
    let caller = &legs[0];
    let lost = legs.iter().find(|leg| leg.to.starts_with("ada") && leg.answered.is_some()).expect("her leg");
    let (_, last) = said_by(&capture, lost, &server).time();
    let time = (lost.answered.expect("she answered"), last - 0.1);
    assert!(time.1 - time.0 > 3.0, "they talked for {:.1} s", time.1 - time.0);
    assert_talk(&capture, &server, (caller, lost), LOST, time);
    assert_talk(&capture, &server, (lost, caller), CALLER, time);
    judge_music(&capture, &server, lost);
    judge_next(&capture, &server);
}
