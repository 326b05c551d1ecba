//! `make quality`: how good speech still is after its way through the server, over a clean wire and over one that loses
//! 3 % and delays by 60 ± 20 ms, as PESQ (ITU-T P.862) judges it. Prints a table and judges nothing itself.
//!
//! A SIPp caller at home and a baresip agent at the office say sentences of flite's to each other. What each hears is
//! decoded from a capture beside him, by the packets' timestamps, with silence for what did not come: no phone's own
//! concealment makes it better. G.722 is judged as the others are, narrow-band at 8 kHz: the sentences have no more.
#![allow(clippy::disallowed_methods, reason = "real programs run in real time")]
#![allow(dead_code, reason = "the tests use the rest")]

#[path = "../place/alone.rs"]
mod alone;
mod audio;
mod capture;
#[path = "../place/clock.rs"]
mod clock;
mod harness;
mod nets;
mod peers;
mod server;

use capture::{Codec, Leg};
use harness::{GENEROUS, Ground};
use nets::{HOME, OFFICE, Place, Trouble, Wire};
use peers::{Sipp, Softphone};
use server::{Server, Wishes};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long the two are connected: long enough for one whole text after the agent has answered.
const SECONDS: f64 = 22.0;

fn main() {
    // As `cargo test` asks every test binary.
    if std::env::args().any(|arg| arg == "--list") {
        return;
    }
    let (delay, jitter) = (Duration::from_millis(60), Duration::from_millis(20));
    let wires = [("clean", Trouble::default()), ("3 % lost, 60 ± 20 ms", Trouble { delay, jitter, lost: 3, seed: 4 })];
    println!("| codec | wire | who hears | frames that came | longest gap | PESQ |\n|---|---|---|---|---|---|");
    for codec in [Codec::Mu, Codec::A, Codec::G722] {
        for (name, trouble) in wires {
            for line in std::thread::spawn(move || call(codec, name, trouble)).join().expect("a call") {
                println!("{line}");
            }
        }
    }
}

/// What both say, over and over: sentences, and a second of silence.
fn text() -> Vec<i16> {
    let sounds = Path::new(env!("CARGO_MANIFEST_DIR")).join("ivr-flows/sounds");
    let mut text = Vec::new();
    for name in ["welcome", "menu"] {
        text.extend(audio::read_wav(&sounds.join(format!("{name}.wav"))));
    }
    text.extend([0; 8000]);
    text.resize(text.len().next_multiple_of(audio::FRAME), 0); // each time begins with a packet
    text
}

fn call(codec: Codec, wire: &str, trouble: Trouble) -> [String; 2] {
    let ground = Ground::new(&format!("quality_{codec:?}_{}", trouble.lost));
    let office = Place::begin();
    let laid = Wire::lay(&office, trouble, None);
    let server = Server::start(&ground, &Wishes { ip: OFFICE, ..Wishes::agents(&["ada"]) });
    let (at_office, at_home) = (ground.capture_in(&office, "office"), ground.capture_in(&laid.home, "home"));
    let said = text();
    let phone =
        Softphone { at: server.sip, ip: OFFICE, user: "ada", codec, speech: Some(&said), ..Softphone::default() };
    let agent = Softphone { registers: true, answers: true, ..phone }.start(&ground);
    agent.wait_registered();
    let more = &["-default_behaviors", "all,-abortunexp"];
    let caller = Sipp { place: Some(&laid.home), ip: HOME, codec, speech: Some(&said), more, ..Sipp::default() };
    let mut caller = Sipp { seconds: SECONDS, ..caller }.start(&ground, &server);
    assert_eq!(caller.wait(2 * GENEROUS), 0, "the call did not complete");
    server.wait_ended(1, GENEROUS);
    let (at_office, at_home) = (at_office.stop(), at_home.stop());
    let (outside, inside) = (at_office.legs(), at_home.legs());
    let agent = outside.iter().find(|leg| leg.sides.is_some_and(|(by, _)| by == server.sip)).expect("the agent's leg");
    let caller: &Leg = &inside[0];
    let time = (agent.talk().0, caller.talk().1.min(agent.talk().1));
    let of =
        |(offered, answered): (_, _), calls_us: bool| if calls_us { (answered, offered) } else { (offered, answered) };
    let heard = [("caller", of(caller.audio(), true), &at_home), ("agent", of(agent.audio(), false), &at_office)];
    heard.map(|(who, (from, to), capture)| {
        let stream = capture.stream(from, to);
        let score = pesq(&ground, who, &stream.in_time(time.0, time.1), &said);
        let came = stream.between(time.0, time.1).len() as f64 * 2.0 / (time.1 - time.0);
        let gap = stream.longest_gap(time.0, time.1).0;
        format!("| {} | {wire} | {who} | {came:.1} % | {gap:.0} ms | {score:.2} |", codec.name())
    })
}

/// The score of the best place in `heard` where `said` begins.
fn pesq(ground: &Ground, who: &str, heard: &[i16], said: &[i16]) -> f64 {
    let at = audio::place_of(heard, said);
    let (right, wrong) = (ground.file(&format!("{who}-said.wav")), ground.file(&format!("{who}-heard.wav")));
    audio::write_wav(&right, said, 8000);
    audio::write_wav(&wrong, &heard[at..at + said.len()], 8000);
    let python = std::env::var("PESQ_PYTHON").expect("PESQ_PYTHON: make quality sets it");
    let program = "import sys, wave, numpy, pesq\n\
                   read = lambda f: numpy.frombuffer(wave.open(f).readframes(10**9), '<i2')\n\
                   print(pesq.pesq(8000, read(sys.argv[1]), read(sys.argv[2]), 'nb'))";
    let done = Command::new(python).args(["-c", program]).arg(right).arg(wrong).output().expect("Python");
    let text = String::from_utf8_lossy(&done.stdout).trim().to_owned();
    text.parse().unwrap_or_else(|_| panic!("PESQ: {text} {}", String::from_utf8_lossy(&done.stderr)))
}
