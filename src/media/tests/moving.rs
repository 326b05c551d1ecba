//! Ports that move between two planes with one clock.

use super::*;

/// Planes 0 and 1. What departs goes over when `carry` is called, as text, so that it is a value.
struct Two([Rig; 2]);

/// Port `n` by its name on a plane.
fn on(plane: u16, number: u64) -> PortId {
    PortId { plane, number }
}

impl Two {
    /// With ports 1 to 3 on plane 0 and ports 7 to 9 on plane 1, connected.
    fn new() -> Two {
        let mut other = Rig::new(Settings { plane: 1, ..Settings::default() });
        for n in 7..=9 {
            other.command(Command::Open { port: on(1, n), six: false });
            other.command(Command::Connect { port: on(1, n), session: session(n, Codec::Pcmu) });
        }
        other.events.clear();
        Two([Rig::with(1..=3), other])
    }

    fn run(&mut self, ms: u64) {
        self.0.iter_mut().for_each(|rig| rig.run(ms));
    }

    /// What the owner asks: to the plane that it goes to, and the one that lets it go.
    fn announce(&mut self, port: PortId, to: u16) {
        self.0[usize::from(to)].command(Command::Move { port, to });
    }

    fn release(&mut self, port: PortId, to: u16) {
        self.0[usize::from(port.plane)].command(Command::Move { port, to });
    }

    /// Hands over all that has departed.
    fn carry(&mut self) {
        for from in 0..2 {
            for moving in std::mem::take(&mut self.0[from].departed) {
                let text = serde_json::to_string(&moving).unwrap();
                let moving: Box<Moving> = serde_json::from_str(&text).unwrap();
                self.0[usize::from(moving.port().plane)].input(Input::Arrived { moving });
            }
        }
    }

    fn travel(&mut self, n: u64, from: u16) {
        self.announce(on(from, n), 1 - from);
        self.release(on(from, n), 1 - from);
        self.carry();
    }

    /// All that both planes sent for a port, in the order of the line, as one rig.
    fn line(&self, n: u64) -> Rig {
        let mut rig = Rig::new(Settings::default());
        let sent = self.0.iter().flat_map(|rig| &rig.sent).filter(|s| s.port == n);
        rig.sent = sent.cloned().collect();
        rig.sent.sort_by_key(|s| s.ms);
        rig
    }
}

#[test]
fn what_plays_goes_on_wherever_the_move_falls() {
    // The planes' ticks are due at the same time; which of them has had its tick at the time of the move is chance.
    for (at, way, early) in (0..25).flat_map(|at| (0..4).flat_map(move |way| [0, 1, 2].map(|early| (at, way, early)))) {
        let mut two = Two::new();
        two.0[1].command(Command::Play { port: on(1, 7), source: Source::Loop(SoundId(1)), token: 0 });
        two.0[0].command(music(1)); // port 7 is in port 1's phase
        two.run(60);
        two.0[early % 2].run(at);
        two.announce(on(0, 1), 1);
        two.release(on(0, 1), 1);
        if early == 2 {
            two.0[1].now = two.0[0].now; // its ticks are due, and it has not had them
            two.carry();
        }
        two.0[1 - early % 2].run(if early == 2 { 0 } else { at });
        two.run(way);
        two.carry();
        two.run(100);
        let line = two.line(1);
        assert!(line.sent.len() > 7 && line.bytes(1).starts_with("M11 22 11 22"), "{}", line.bytes(1));
        let name = format!("{at} ms, {way} ms on its way, plane {early} first: {:?}", line.sent);
        assert!(line.steps(1).iter().all(|step| *step == 1), "{name}");
        let bytes: Vec<u8> = line.sent.iter().map(|s| s.payload[0]).collect();
        assert!(bytes.windows(2).all(|w| w[0] != w[1]), "every frame once: {name}");
        assert_eq!(line.sent.iter().filter(|s| s.marker).count(), 1, "{name}");
        let passed: Vec<_> = line.sent.windows(2).map(|w| w[1].ms - w[0].ms).collect();
        assert!(passed.iter().all(|ms| ms.abs_diff(20) <= at + way), "{name}");
        assert_eq!(line.sent.last().unwrap().ms % 20, line.sent[0].ms % 20, "it keeps its phase: {name}");
    }
}

#[test]
fn a_long_way_makes_a_gap_and_no_burst() {
    let mut two = Two::new();
    two.0[0].command(music(1));
    two.run(60);
    two.announce(on(0, 1), 1);
    two.release(on(0, 1), 1);
    two.run(1000);
    two.carry();
    two.run(60);
    let line = two.line(1);
    assert_eq!(line.bytes(1), "M11 22 11 22 M11 22 11 22");
    assert_eq!(line.steps(1), [1, 1, 1, 50, 1, 1, 1]);
}

/// What happens to port 1, which plays a prompt of 40 ms, on its way from plane 0 to plane 1, step by step. `announce`,
/// `release` and `carry` are the move's parts; `later` lets 3 s pass; anything else is asked of plane 1 under the new
/// name. Expected: what plane 1 says, its bridges, and what it could not do.
fn check(steps: &str, events: &str, bridges: u64, strays: u64) {
    let mut two = Two::new();
    two.0[0].command(once(1, &[0], 5));
    for step in steps.split(", ") {
        let words: Vec<&str> = step.split(' ').collect();
        let port = |i: usize| on(1, words[i].parse().unwrap());
        match words[0] {
            "announce" => two.announce(on(0, port(1).number), 1),
            "release" => two.release(on(0, port(1).number), 1),
            "carry" => two.carry(),
            "later" => two.run(3000),
            "close" => two.0[1].command(Command::Close { port: port(1) }),
            "stop" => two.0[1].command(Command::Stop { port: port(1) }),
            "leave" => two.0[1].command(Command::Leave { port: port(1) }),
            "join" => two.0[1].command(Command::Join { a: port(1), b: port(2) }),
            "back" => {
                two.announce(port(1), 0);
                two.release(port(1), 0);
            }
            "lost" => two.0[1].input(Input::BindFailed { port: port(1), why: "lost".into() }),
            other => panic!("{other}"),
        }
    }
    let stats = two.0[1].plane.stats();
    assert_eq!(
        (two.0[1].events.join(", ").as_str(), stats.bridges, stats.strays),
        (events, bridges, strays),
        "{steps}"
    );
    two.run(60_000);
    assert_eq!(two.0.iter().flat_map(|rig| rig.plane.expected()).count(), 0, "{steps}");
}

#[test]
fn what_is_asked_of_a_port_on_its_way_waits_for_it() {
    let lost = "failed 1 it was lost on its way from another plane";
    check("announce 1, release 1, carry", "moved 1", 0, 0);
    check("announce 1, close 1, release 1, carry", "moved 1, unbind 1, closed 1 0/0", 0, 0);
    check("announce 1, release 1, close 1, close 1, carry", "moved 1, unbind 1, closed 1 0/0", 0, 1);
    check("announce 1, stop 1, release 1, carry, later", "moved 1", 0, 0);
    check("announce 1, release 1, carry, later", "moved 1, finished 1 5", 0, 0);
    // Both legs of a bridge, in any order; and what comes after a command that waits, waits too.
    check("announce 1, join 1 7, release 1, carry", "moved 1", 1, 0);
    check("announce 1, join 7 1, release 1, carry", "moved 1", 1, 0);
    check("announce 1, join 7 1, leave 7, release 1, carry", "moved 1", 0, 0);
    check("announce 1, join 7 1, join 7 8, release 1, carry", "moved 1", 1, 0);
    check("announce 1, leave 8, join 8 9, release 1, carry", "moved 1", 1, 0);
    check("announce 1, announce 2, join 1 2, release 2, carry, release 1, carry", "moved 2, moved 1", 1, 0);
    check("announce 1, announce 2, join 1 2, leave 2, release 1, carry, release 2, carry", "moved 1, moved 2", 0, 0);
    // On and back before it has come.
    check("announce 1, release 1, back 1, carry, carry", "moved 1", 0, 0);
    // It never comes, or too late, or without its sockets.
    check("announce 1, close 1, join 7 8, later", lost, 1, 1);
    check("announce 1, join 7 1, leave 7, join 7 8, later", lost, 1, 1);
    check("announce 1, release 1, later, carry", &format!("{lost}, unbind 1"), 0, 1);
    check("announce 1, release 1, lost 1", "failed 1 lost", 0, 0);
    // Wrong names change nothing.
    check("announce 5, release 5, later", "failed 5 it was lost on its way from another plane", 0, 0);
    check("announce 7, join 7 8", "", 1, 1);
}

#[test]
fn a_port_comes_back_as_it_went() {
    let mut two = Two::new();
    two.0[0].command(music(1));
    two.run(40);
    for n in 0..10 {
        two.travel(1, n % 2);
        two.run(20);
    }
    let line = two.line(1);
    assert_eq!(line.bytes(1), "M11 22 11 22 11 22 11 22 11 22 11 22 11");
    assert_eq!(two.0[0].plane.stats().ports, 3);
    assert!(two.0[1].plane.stats().ports == 3 && two.0[1].plane.stats().strays == 0);
}

#[test]
fn a_leg_meets_another_on_its_plane() {
    let mut two = Two::new();
    two.0[0].command(join(1, 2));
    two.0[0].talk(2, 10, 3, 0x44);
    two.0[1].run(60);
    two.travel(1, 0);
    assert_eq!(two.0[0].plane.stats().bridges, 0, "it leaves the bridge");
    two.0[1].command(Command::Join { a: on(1, 1), b: on(1, 7) });
    for sequence in 500..503 {
        for rig in &mut two.0 {
            rig.run(20);
        }
        let mut bytes = Vec::new();
        let timestamp = u32::from(sequence) * 160;
        Packet { marker: false, payload_type: 0, sequence, timestamp, ssrc: 9, payload: &[0x55; FRAME] }
            .write(&mut bytes);
        two.0[1].input(Input::Packet { port: on(1, 7), from: peer(7), bytes: &bytes });
    }
    let line = two.line(1);
    assert_eq!(line.bytes(1), "M44 44 44 M55 55 55");
    line.steps(1);
    two.0[0].from(peer(1), 1, 0, 1, 0x66);
    assert_eq!(two.0[0].dropped(Drop::Unconnected), 1, "it is not there any more");
}

#[test]
fn timers_go_with_their_port() {
    let mut two = Two::new();
    two.0[0].packet(peer(1), 1, 101, 7, 8000, &Payload { event: 5, end: false, duration: 160 }.bytes());
    two.run(100);
    two.travel(1, 0);
    two.run(200);
    assert_eq!(two.0[1].events, ["moved 1", "digit 1 5 20"], "a key whose end is lost");
    two.run(29_700);
    assert_eq!(two.0[1].events[2..], ["silent 7", "silent 8", "silent 9", "silent 1"]);
    two.travel(1, 1);
    two.run(100_000);
    let said = two.0[0].events.iter().filter(|event| event.ends_with(" 1")).count();
    assert_eq!(said, 1, "moved, and not silent again: {:?}", two.0[0].events);
    assert!(two.0[0].plane.port_stats(on(0, 1)).is_some_and(|stats| stats.digits == 1 && stats.packets_in == 1));
}

#[test]
fn what_waits_is_bounded() {
    let mut two = Two::new();
    two.announce(on(0, 1), 1);
    assert!(two.0[1].plane.pending().unwrap().contains("on its way"));
    for _ in 0..5000 {
        two.0[1].command(Command::Stop { port: on(1, 1) });
    }
    assert_eq!(two.0[1].plane.stats().strays, 904);
}
