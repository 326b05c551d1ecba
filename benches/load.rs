//! `make bench`: what a packet, a call and a caller cost, beside the bare kernel loop in the same run.
//!
//! Three kinds of processes: this one makes the load (its CPU is counted apart), `tierline serve` of the same build
//! is measured, and the bare loops are this program started with a word. Everything is on loopback, bounded in count
//! and time (under six minutes), and ends with this process.
//!
//! `cargo bench --bench load [-- bridged waiting calls agents day]` measures all rows, or only those named;
//! `-- instructions` counts instructions of fixed work instead, with valgrind.

#[path = "load/bare.rs"]
mod bare;
#[path = "load/fixed.rs"]
mod fixed;
#[path = "load/measured.rs"]
mod measured;
#[path = "load/os.rs"]
mod os;
#[path = "load/phones.rs"]
mod phones;
#[path = "load/server.rs"]
mod server;
#[path = "load/table.rs"]
mod table;
#[path = "load/text.rs"]
mod text;
#[path = "load/traffic.rs"]
mod traffic;

use bare::Bare;
use measured::{Measured, micros};
use phones::{Phones, Plan};
use server::Server;
use std::process::{Command, Stdio};
use std::time::Duration;
use table::{Row, Spread, Table};
use traffic::{Side, Stream, Traffic};

/// Of audio. Ours and bare take turns, since what else the machine does disturbs both: for CPU the middle round of each
/// counts, and of the ratios, each of two rounds beside one another, the middle one. Delays are of all rounds.
const ROUNDS: u32 = 5;
const ROUND: Duration = Duration::from_secs(3);
const BRIDGED: usize = 500;
const WAITING: usize = 1000;
/// How long agents become free and get their next calls.
const IDLE_TIME: Duration = Duration::from_secs(10);
/// Threads that come and go with files, whatever the number of calls.
const BESIDE: u64 = 2;
/// Seconds that a simulated day may take before the bench gives up.
const DAY_LIMIT: f64 = 180.0;
/// Nanoseconds between two echoes.
const PING: u64 = 10_000_000;

/// Measures some rows.
type Stage = fn() -> Vec<Row>;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    if args.first().is_some_and(|word| word.starts_with("bare-")) {
        return bare::run(&args);
    }
    if fixed::run(&args) {
        return;
    }
    if args.first().is_some_and(|word| word == "instructions") {
        return print!("{}", Table(fixed::rows()));
    }
    os::raise_file_limit();
    let stages: [(&str, Stage); 5] =
        [("bridged", bridged), ("waiting", waiting), ("calls", calls), ("agents", agents), ("day", day)];
    let mut rows = Vec::new();
    for (name, stage) in stages {
        if args.is_empty() || args.iter().any(|arg| arg == name) {
            progress(&format!("— {name}"));
            rows.extend(stage());
        }
    }
    print!("{}", Table(rows));
}

fn progress(what: &str) {
    eprintln!("{what}");
}

/// Prints which thread of the engine used how much since `before`.
fn say_threads(server: &Server, before: &[(String, Duration)], per: u64, unit: &str) {
    for (name, used) in server.cpu_by_thread() {
        let earlier = before.iter().find(|(other, _)| *other == name).map_or(Duration::ZERO, |(_, used)| *used);
        let used = used.saturating_sub(earlier);
        if used > Duration::from_millis(5) {
            progress(&format!("    {name:<16} {:8.2} µs per {unit}", used.as_secs_f64() * 1e6 / per.max(1) as f64));
        }
    }
}

/// 500 calls, caller and agent talking, each with a port of its own.
fn bridged() -> Vec<Row> {
    let server = Server::start("bridged", BRIDGED, 0);
    let mut traffic = Traffic::new();
    let plan = Plan { direction: "sendrecv", hang_up: None, mux: false, again: false };
    let media = [traffic.address(Side::Caller), traffic.address(Side::Agent)];
    let mut phones = Phones::new(server.sip, media, BRIDGED, plan);
    phones.register(0..BRIDGED);
    let (empty, idle) = (server.memory(), server.threads());
    phones.offer_calls(100, BRIDGED as u64);
    let all = phones.run(Duration::from_secs(20), |phones| phones.tally.talked == BRIDGED as u64);
    assert!(all, "{BRIDGED} calls are bridged: {:?}\n{}", phones.tally, server.said());
    let relay = Bare::relay(BRIDGED, media[0], media[1]);
    let ours = phones.talking();
    let to_bare =
        |(stream, port): (&Stream, &u16)| Stream { to: std::net::SocketAddrV4::new(*stream.to.ip(), *port), ..*stream };
    let bare: Vec<Stream> = ours.iter().zip(&relay.ports).map(to_bare).collect();
    traffic.run(&ours, 1, Duration::from_secs(4), || phones.step());
    let threads = server.cpu_by_thread();
    let (mut through_us, mut through_bare) = (Measured::default(), Measured::default());
    for round in 1..=ROUNDS {
        let before = server.cpu();
        let heard = traffic.run(&ours, 1, ROUND, || phones.step());
        let our_cpu = through_us.add(server.cpu() - before, heard);
        let before = os::cpu(relay.pid());
        let heard = traffic.run(&bare, 1, ROUND, || phones.step());
        let bare_cpu = through_bare.add(os::cpu(relay.pid()) - before, heard);
        progress(&format!("  round {round}: ours {our_cpu:.2} µs, bare {bare_cpu:.2} µs"));
    }
    say_threads(&server, &threads, through_us.forwarded, "packet");
    let (memory, threads) = (server.memory().saturating_sub(empty) as f64 / BRIDGED as f64, server.threads());
    progress(&format!("  {empty} KB with {BRIDGED} agents and no call"));
    bridged_rows(&mut through_us, &mut through_bare, memory, (threads, idle))
}

/// `threads` with calls, and as many as there were without one.
fn bridged_rows(ours: &mut Measured, bare: &mut Measured, memory: f64, (threads, idle): (u64, u64)) -> Vec<Row> {
    let (delay, bare_delay) = (ours.delay(), bare.delay());
    let added = delay.p99 - bare_delay.p99;
    vec![
        Row {
            work: format!("CPU per forwarded packet, {BRIDGED} bridged G.711 calls, own port per leg"),
            ours: format!("{:.1} µs", ours.cpu()),
            bare: format!("{:.1} µs", bare.cpu()),
            ratio: format!("{:.2}", ours.ratio(bare)),
            aim: "≤ 2 × bare",
            met: Some(ours.ratio(bare) <= 2.0),
            peer: "25–27 µs (37–39 µs through its core)",
        },
        Row {
            work: "… delay of a packet".to_owned(),
            ours: delay.to_string(),
            bare: bare_delay.to_string(),
            ratio: format!("added p99 {added:.2} ms"),
            aim: "added p99 < 5 ms",
            met: Some(added < 5.0),
            ..Row::default()
        },
        Row { work: "… packets lost".to_owned(), ours: ours.lost(), bare: bare.lost(), ..Row::default() },
        Row {
            work: format!("memory per bridged call ({BRIDGED})"),
            ours: format!("{memory:.1} KB, {threads} threads in all"),
            aim: "≤ 64 KB, no threads",
            met: Some(memory <= 64.0 && threads <= idle + BESIDE),
            peer: "400 KB, 2 threads",
            ..Row::default()
        },
    ]
}

/// 1,000 callers who hear music; then with their audio coming in too.
fn waiting() -> Vec<Row> {
    let server = Server::start("waiting", 1, WAITING);
    let mut traffic = Traffic::new();
    let plan = Plan { direction: "sendrecv", hang_up: None, mux: false, again: false };
    let media = [traffic.address(Side::Caller), traffic.address(Side::Agent)];
    let mut phones = Phones::new(server.sip, media, 0, plan);
    let (empty, idle) = (server.memory(), server.threads());
    phones.offer_calls(200, WAITING as u64);
    let all = phones.run(Duration::from_secs(20), |phones| phones.tally.queued == WAITING as u64);
    assert!(all, "{WAITING} callers wait: {:?}\n{}", phones.tally, server.said());
    let streams = phones.waiting();
    // A listener's phone says now and then that it lives, as RTCP would.
    traffic.run(&streams, 100, Duration::from_secs(2), || phones.step());
    // Before it is made to stand still: what it has to catch up with then takes room too.
    let memory = server.memory().saturating_sub(empty) as f64 / WAITING as f64;
    let threads = server.cpu_by_thread();
    let (mut music, mut bare, mut each) = (Measured::default(), Measured::default(), Measured::default());
    for round in 1..=ROUNDS {
        let before = server.cpu();
        let heard = traffic.run(&streams, 100, ROUND, || phones.step());
        let cpu = music.add(server.cpu() - before, heard);
        // The engine stands still meanwhile: what it sends would be counted too.
        server.stands_still(true);
        let mut alone = |loops: Bare, of: &mut Measured| {
            let before = os::cpu(loops.pid());
            let heard = traffic.run(&[], 1, ROUND, || {});
            of.add(os::cpu(loops.pid()) - before, heard)
        };
        let bare_cpu = alone(Bare::sender(WAITING, media[0]), &mut bare);
        let each_cpu = alone(Bare::senders(WAITING, media[0]), &mut each);
        server.stands_still(false);
        traffic.run(&streams, 100, Duration::from_secs(1), || phones.step());
        progress(&format!("  round {round}: ours {cpu:.2} µs, bare {bare_cpu:.2} µs, a port each {each_cpu:.2} µs"));
    }
    say_threads(&server, &threads, music.played, "packet");
    let threads = server.threads();
    let later = server.memory().saturating_sub(empty) as f64 / WAITING as f64;
    progress(&format!("  {empty} KB without a call; a waiting call has {memory:.1} KB, {later:.1} KB at the end"));
    let before = server.cpu();
    let heard = traffic.run(&streams, 1, ROUND, || phones.step());
    let talking = micros(server.cpu() - before, heard.played);
    drop(server);
    waiting_rows(&mut music, (&bare, &each), talking, memory, (threads, idle))
}

fn waiting_rows(
    ours: &mut Measured,
    (bare, each): (&Measured, &Measured),
    talking: f64,
    memory: f64,
    (threads, idle): (u64, u64),
) -> Vec<Row> {
    let seconds = ROUND.as_secs_f64() * f64::from(ROUNDS);
    let rate = |heard: &Measured| format!("{:.0}", heard.played as f64 / seconds);
    vec![
        Row {
            work: format!("CPU per prompt or music packet, {WAITING} callers"),
            ours: format!("{:.1} µs at {}/s", ours.cpu(), rate(ours)),
            bare: format!("{:.1} µs at {}/s", bare.cpu(), rate(bare)),
            ratio: format!("{:.2}", ours.ratio(bare)),
            aim: "≤ 2 × bare",
            met: Some(ours.ratio(bare) <= 2.0),
            peer: "34–40 µs",
        },
        Row {
            work: "… beside a bare loop with a port for each of them too".to_owned(),
            ours: format!("{:.1} µs", ours.cpu()),
            bare: format!("{:.1} µs", each.cpu()),
            ratio: format!("{:.2}", ours.ratio(each)),
            ..Row::default()
        },
        Row {
            work: "… while all of them talk, 50,000 packets/s in".to_owned(),
            ours: format!("{talking:.1} µs"),
            ratio: format!("{:.2}", talking / bare.cpu()),
            ..Row::default()
        },
        Row {
            work: "… off the 20 ms between two packets".to_owned(),
            ours: Spread::of(&mut ours.jitters).to_string(),
            ..Row::default()
        },
        Row {
            work: format!("memory per waiting call ({WAITING})"),
            ours: format!("{memory:.1} KB, {threads} threads in all"),
            aim: "≤ 32 KB, no threads",
            met: Some(memory <= 32.0 && threads <= idle + BESIDE),
            peer: "151 KB, 1 thread",
            ..Row::default()
        },
    ]
}

/// INVITE → queue → agent → BYE without audio, 500 a second, then as many as can be.
fn calls() -> Vec<Row> {
    const AGENTS: usize = 500;
    const TALK: Duration = Duration::from_millis(200);
    let server = Server::start("calls", AGENTS, 0);
    let plan = Plan { direction: "inactive", hang_up: Some((Side::Caller, TALK)), mux: false, again: false };
    let mut phones = Phones::new(server.sip, silent(), AGENTS, plan);
    phones.register(0..AGENTS);
    offered(&server, &mut phones, 100, Duration::from_secs(2));
    let main = offered(&server, &mut phones, 500, Duration::from_secs(10));
    let (mut best, mut next) = (if main.failed == 0 { 500 } else { 0 }, 750);
    while best > 0 && next <= 2000 {
        let more = offered(&server, &mut phones, next, Duration::from_secs(4));
        if more.failed > 0 {
            break;
        }
        (best, next) = (next, next + 250);
    }
    let cpu = main.cpu.as_secs_f64() * 1000.0 / main.calls.max(1) as f64;
    vec![
        Row {
            work: "CPU per call, INVITE → queue → agent → BYE, no audio, 500/s".to_owned(),
            ours: format!("{cpu:.2} ms"),
            aim: "≤ 0.8 ms",
            met: Some(cpu <= 0.8),
            peer: "7.5–9.6 ms",
            ..Row::default()
        },
        Row {
            work: "… 500 calls/s offered for 10 s".to_owned(),
            ours: format!("{} of {} failed; up to {best}/s without a failure", main.failed, main.calls),
            aim: "no failure",
            met: Some(main.failed == 0),
            peer: "overload at 250/s on two cores",
            ..Row::default()
        },
        Row {
            work: "… from the caller's INVITE to the agent's".to_owned(),
            ours: main.found.to_string(),
            ..Row::default()
        },
    ]
}

/// What became of calls offered at one rate.
struct Offered {
    calls: u64,
    failed: u64,
    cpu: Duration,
    found: Spread,
}

fn offered(server: &Server, phones: &mut Phones, rate: u64, span: Duration) -> Offered {
    let (earlier, before, threads) = (phones.tally.clone(), server.cpu(), server.cpu_by_thread());
    let own = os::cpu(std::process::id());
    phones.tally.found.clear();
    phones.offer(rate, span);
    let calls = (rate as f64 * span.as_secs_f64()) as u64;
    let all = earlier.completed + calls;
    phones.run(span + Duration::from_secs(4), |phones| phones.tally.completed >= all);
    let (tally, cpu) = (&phones.tally, server.cpu() - before);
    // Who waits in vain has failed too.
    let failed = (tally.failed() - earlier.failed()).max(calls - (tally.completed - earlier.completed).min(calls));
    let found = Spread::of(&mut tally.found.clone());
    let own = micros(os::cpu(std::process::id()) - own, calls);
    progress(&format!(
        "  {rate}/s: {calls} calls, {failed} failed, sent again {}, {:.0} µs each (generator {own:.0}), found {found}",
        tally.again - earlier.again,
        micros(cpu, calls),
    ));
    if failed > 0 {
        progress(&format!("    {:?}", tally.failures));
    }
    say_threads(server, &threads, calls, "call");
    Offered { calls, failed, cpu, found }
}

/// An address for SDP of calls without audio: nothing is sent there.
fn silent() -> [std::net::SocketAddrV4; 2] {
    [std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 9); 2]
}

/// An agent becomes free while callers wait: how long until his next INVITE.
fn agents() -> Vec<Row> {
    let (short, long) = (Duration::from_millis(200), Duration::from_secs(5));
    let told = freed(Server::treating, 1_000, 10_000, long);
    let told = Row { work: format!("{}; they are told their places", told.work), ..told };
    vec![freed(Server::start, 20, WAITING, short), freed(Server::start, 1_000, 10_000, long), told]
}

/// So many agents talk for so long with one after the other of those who wait; who has talked calls again. Each leg has
/// one port, for RTP and RTCP: with two a process would open more files than the 20,000 that a container often has.
fn freed(start: fn(&str, usize, usize) -> Server, agents: usize, waiting: usize, talk: Duration) -> Row {
    let callers = waiting + agents;
    let server = start("agents", agents, callers);
    let plan = Plan { direction: "inactive", hang_up: Some((Side::Agent, talk)), mux: true, again: true };
    let mut phones = Phones::new(server.sip, silent(), agents, plan);
    phones.offer_calls(400, callers as u64);
    let all = phones.run(Duration::from_secs(60), |phones| phones.tally.queued == callers as u64);
    assert!(all, "{callers} callers wait: {:?}\n{}", phones.tally, server.said());
    // Not all at once, or they would be free all at once for ever.
    for first in (0..agents).step_by(20) {
        phones.register(first..(first + 20).min(agents));
        phones.run(talk.mul_f64(20.0 / agents as f64), |_| false);
    }
    phones.run(talk, |_| false);
    phones.tally.idle.clear();
    let echo = Bare::echo();
    let mut echoed = std::thread::scope(|scope| {
        let echoed = scope.spawn(|| ping(echo.ports[0], IDLE_TIME));
        phones.run(IDLE_TIME, |_| false);
        echoed.join().expect("the echo's thread does not panic")
    });
    let (idle, echoed) = (Spread::of(&mut phones.tally.idle), Spread::of(&mut echoed));
    progress(&format!("  {} times, {idle}, failures {:?}", idle.count, phones.tally.failures));
    Row {
        work: format!("one of {agents} agents free while {waiting} callers wait → his next INVITE, wire to wire"),
        ours: idle.to_string(),
        bare: format!("echo: {echoed}"),
        aim: "p99 ≤ 5 ms",
        met: Some(idle.count > 100 && idle.p99 <= 5.0),
        peer: "0.5 s median at any length, 20 s p99 with 5,000 members",
        ..Row::default()
    }
}

/// From sending a datagram to its echo, every 10 ms for so long: what this machine takes for waking one process.
fn ping(port: u16, span: Duration) -> Vec<u32> {
    let socket = os::socket().expect("a free port");
    let (mut inbox, mut took) = (os::Inbox::new(), Vec::new());
    let start = os::now();
    for round in 1..=span.as_nanos() as u64 / PING {
        let sent = os::now();
        socket.send_to(&[0; 500], ("127.0.0.1", port)).expect("loopback takes a datagram");
        os::sleep_until(start + round * PING);
        if inbox.receive(&socket, os::BATCH) > 0 {
            took.push((inbox.datagram(0).at.saturating_sub(sent) / 1000) as u32);
        }
    }
    took
}

/// A simulated day of 500 agents.
fn day() -> Vec<Row> {
    let start = os::now();
    let mut run = Command::new(env!("CARGO_BIN_EXE_tierline"))
        .args(["simulate", "--seed", "1", "--agents", "500", "--hours", "8"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program that was built can be started");
    let seconds = || (os::now() - start) as f64 / 1e9;
    let mut cpu = Duration::ZERO;
    let ended = loop {
        cpu = cpu.max(os::cpu(run.id()));
        match run.try_wait().expect("a child can be waited for") {
            Some(ended) => break Some(ended),
            None if seconds() > DAY_LIMIT => break None,
            None => os::sleep_until(os::now() + 50_000_000),
        }
    };
    let (seconds, went_well) = (seconds(), ended.is_some_and(|ended| ended.success()));
    _ = run.kill();
    _ = run.wait();
    progress(&format!("  {seconds:.1} s, of which {:.1} s on a CPU", cpu.as_secs_f64()));
    let ours = match ended {
        Some(_) if went_well => format!("{seconds:.1} s"),
        Some(_) => "failed".to_owned(),
        None => format!("not in {DAY_LIMIT} s"),
    };
    vec![Row {
        work: "a simulated day of 500 agents, no audio".to_owned(),
        ours,
        aim: "≤ 60 s",
        met: Some(went_well && seconds <= 60.0),
        ..Row::default()
    }]
}
