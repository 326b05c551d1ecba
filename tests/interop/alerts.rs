//! Each alert that is shipped is fired by what it watches, at a real server under a real Prometheus, and ends when that
//! has ended; what nothing outside the program can provoke is in `planted.rs`. Only the times are others: what takes
//! minutes there takes a second here. The times themselves are in `tests/prometheus/rules.yml`.

use super::disk::Disk;
use super::guarding::Phone;
use super::harness::{GENEROUS, Ground, SECOND, talk_for, wait_until};
use super::peers::{Sipp, phone_agent, try_register};
use super::prometheus::Prometheus;
use super::server::{Server, TIERLINE, Wishes};
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// What takes minutes takes seconds.
pub const HURRIED: [(&str, &str); 9] = [
    ("lag_seconds > 60", "lag_seconds > 3"),
    ("for: 10m", "for: 1s"),
    ("for: 5m", "for: 1s"),
    ("for: 2m", "for: 1s"),
    ("for: 1m", "for: 1s"),
    ("for: 15s", "for: 1s"),
    ("[1h]", "[20s]"),
    ("[10m]", "[15s]"),
    ("[5m]", "[15s]"),
];
/// Until something was noticed, scraped, evaluated and has lasted; on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub fn watched(ground: &Ground, server: &Server) -> Prometheus {
    Prometheus::start(ground, server.http, &HURRIED)
}

pub fn fires(prometheus: &Prometheus, alert: &str) {
    wait_until(&format!("{alert} fires"), PATIENCE, || prometheus.fires(alert));
}

pub fn ends(prometheus: &Prometheus, alert: &str) {
    wait_until(&format!("{alert} has ended"), PATIENCE, || !prometheus.fires(alert));
}

#[test]
fn alerts_about_callers() {
    let ground = Ground::new("alerts_callers");
    let flow = "version = 1\nstart = \"ask\"\n[step.ask]\nlookup = \"ticket-status\"\nwith = { caller = \"caller\" }\n\
                fields = { state = \"text\" }\nfound = \"end\"\nnot_found = \"end\"\nfailed = \"end\"\n\
                [step.end]\nhang_up = \"You are ready.\"\n";
    let wishes = Wishes {
        queue: "target = \"1s\"\nshort_abandon = \"0s\"",
        sip: "[server.sip.limits]\nlegs = 25\n".to_owned(),
        flows: vec![("asking", flow.to_owned())],
        more: "[line.asking]\nnumbers = [\"300\"]\nflow = \"asking\"\n".to_owned(),
        ..Wishes::agents(&["ada"])
    };
    let server = Server::start(&ground, &wishes);
    let prometheus = watched(&ground, &server);
    let all = ["NobodyAtWork", "LongWait", "ServiceLevelLow", "ManyAbandon", "CallsRefused", "LookUpsFail"];
    assert!(!all.iter().any(|alert| prometheus.fires(alert)), "an alert fires before anything has happened");
    // Twelve wait, nobody is there, and all of them give up.
    let many = Sipp { name: "many", calls: 12, seconds: 14.0, more: &["-r", "12"], ..Sipp::default() };
    let mut many = many.start(&ground, &server);
    ["NobodyAtWork", "LongWait"].iter().for_each(|alert| fires(&prometheus, alert));
    assert_eq!(many.wait(60 * SECOND), 0);
    ["ServiceLevelLow", "ManyAbandon"].iter().for_each(|alert| fires(&prometheus, alert));
    ["NobodyAtWork", "LongWait", "ServiceLevelLow", "ManyAbandon"].iter().for_each(|alert| ends(&prometheus, alert));
    // More than may be are turned away; and three ask a ticketing system that is not there.
    let crowd = Sipp { name: "crowd", calls: 40, seconds: 2.0, more: &["-r", "40"], ..Sipp::default() };
    crowd.start(&ground, &server).wait(60 * SECOND);
    fires(&prometheus, "CallsRefused");
    ends(&prometheus, "CallsRefused");
    let asking = Sipp { name: "asking", number: "300", calls: 3, scenario: "caller_waits", ..Sipp::default() };
    assert_eq!(asking.start(&ground, &server).wait(60 * SECOND), 0);
    fires(&prometheus, "LookUpsFail");
    ends(&prometheus, "LookUpsFail");
}

#[test]
fn alerts_about_the_ticketing_system() {
    let ground = Ground::new("alerts_ticketing");
    let at = ground.address();
    let more = format!("[ticketing]\naddress = \"http://{at}\"\nretry = \"200ms\"\nretry_most = \"1s\"\n");
    let server = Server::start(&ground, &Wishes { more, ..Wishes::agents(&["ada"]) });
    let prometheus = watched(&ground, &server);
    assert_eq!(Sipp { seconds: 1.0, ..Sipp::default() }.start(&ground, &server).wait(30 * SECOND), 0);
    fires(&prometheus, "TicketingBehind");
    let mut system = Command::new(TIERLINE);
    let system = system.args(["ticketing", "--listen", &at.to_string(), "--data", "tickets"]);
    let _system = ground.run("ticketing", system);
    ends(&prometheus, "TicketingBehind");
}

#[test]
fn alerts_about_the_service() {
    let ground = Ground::new("alerts_service");
    let data = ground.file("data");
    let _disk = Disk::mounted(&data, c"size=64m");
    let mut server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let prometheus = watched(&ground, &server);
    let ballast = data.join("ballast");
    std::fs::write(&ballast, vec![1; 58 << 20]).expect("a large file");
    fires(&prometheus, "DiskFilling");
    std::fs::remove_file(&ballast).expect("removed");
    ends(&prometheus, "DiskFilling");
    // Somebody else has locked the log.
    let other = rusqlite::Connection::open(data.join("events.db")).expect("the log");
    other.execute_batch("BEGIN EXCLUSIVE").expect("locked");
    let one = |name| Sipp { name, seconds: 2.0, ..Sipp::default() }.start(&ground, &server);
    one("unwritten").wait(30 * SECOND);
    fires(&prometheus, "LogUnhealthy");
    other.execute_batch("ROLLBACK").expect("given back");
    ends(&prometheus, "LogUnhealthy");
    records_behind(&ground, &server, &prometheus, &data);
    few_files(&server, &prometheus);
    audio_late(&ground, &server, &prometheus);
    datagrams_dropped(&server, &prometheus);
    server.program.kill();
    fires(&prometheus, "TierlineDown");
    server.start_again();
    ends(&prometheus, "TierlineDown");
}

/// Another program has the records for itself while a call comes and goes.
fn records_behind(ground: &Ground, server: &Server, prometheus: &Prometheus, data: &Path) {
    let other = rusqlite::Connection::open(data.join("records.db")).expect("the records");
    other.busy_timeout(10 * SECOND).expect("patience");
    other.execute_batch("BEGIN IMMEDIATE").expect("held");
    assert_eq!(Sipp { name: "behind", seconds: 1.0, ..Sipp::default() }.start(ground, server).wait(30 * SECOND), 0);
    fires(prometheus, "RecordsBehind");
    assert!(server.metrics()["tierline_records_lag_events"] >= 5.0);
    // A report says so, too, and what it has is of before.
    let told = server.tierline(&["report", "--config", &server.config.display().to_string()]);
    assert!(told.contains("of the log not counted yet"), "{told}");
    other.execute_batch("ROLLBACK").expect("given back");
    ends(prometheus, "RecordsBehind");
    wait_until("the records have all", 60 * SECOND, || server.metrics()["tierline_records_lag_events"] == 0.0);
    let told = server.tierline(&["report", "--config", &server.config.display().to_string()]);
    assert!(told.contains(", the end of the log"), "{told}");
}

/// The limit comes near what is open, and goes away again.
fn few_files(server: &Server, prometheus: &Prometheus) {
    let set = |new: Option<&libc::rlimit>| {
        let mut old = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        let new = new.map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: a plain system call; the pointers are to values that live on.
        let done = unsafe { libc::prlimit(server.program.id(), libc::RLIMIT_NOFILE, new, &raw mut old) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
        old
    };
    let usual = set(None);
    let few = server.metrics()["process_open_fds"] as u64 + 5;
    set(Some(&libc::rlimit { rlim_cur: few, ..usual }));
    fires(prometheus, "FewFileDescriptors");
    set(Some(&usual));
    ends(prometheus, "FewFileDescriptors");
}

/// The server gets no processor while ten callers hear music.
fn audio_late(ground: &Ground, server: &Server, prometheus: &Prometheus) {
    let many = Sipp { name: "listening", calls: 10, seconds: 12.0, more: &["-r", "10"], ..Sipp::default() };
    let mut many = many.start(ground, server);
    wait_until("they listen", 20 * SECOND, || server.metrics()["tierline_queue_waiting{queue=\"general\"}"] >= 9.0);
    for _ in 0..20 {
        server.program.signal(libc::SIGSTOP);
        talk_for(Duration::from_millis(150));
        server.program.signal(libc::SIGCONT);
        talk_for(Duration::from_millis(100));
    }
    fires(prometheus, "AudioLate");
    many.wait(60 * SECOND);
    ends(prometheus, "AudioLate");
}

/// More comes than the system keeps for a server that does not read.
fn datagrams_dropped(server: &Server, prometheus: &Prometheus) {
    server.program.signal(libc::SIGSTOP);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    for _ in 0..60_000 {
        socket.send_to(&[b'x'; 1400], server.sip).expect("sent");
    }
    server.program.signal(libc::SIGCONT);
    fires(prometheus, "DatagramsDropped");
    ends(prometheus, "DatagramsDropped");
}

#[test]
fn alerts_about_phones_and_trunks() {
    let ground = Ground::new("alerts_phones");
    let (dead, account) = (ground.port(), ground.port());
    let secret = ground.file("carrier.password");
    std::fs::write(&secret, "carrier-knows-it\n").expect("a password");
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode");
    let trunks = format!(
        "[trunk.dead]\nserver = \"127.0.0.1:{dead}\"\noptions = \"5s\"\n[trunk.account]\nserver = \"127.0.0.1:{account}\"\n\
         options = \"0s\"\nuser = \"account\"\npassword_file = \"carrier.password\"\nregister = \"10m\"\n"
    );
    let sip = "[server.sip.registration]\nkeepalive = \"5s\"\n";
    let server = Server::start(&ground, &Wishes { sip: sip.to_owned(), more: trunks, ..Wishes::agents(&["ada"]) });
    let prometheus = watched(&ground, &server);
    // A phone dies, and is restarted; so do the carriers.
    drop(phone_agent(&ground, &server, "ada", 1000.0, &[]));
    ["TrunkDown", "TrunkNotRegistered", "AgentsUnreachable"].iter().for_each(|alert| fires(&prometheus, alert));
    let _agent = phone_agent(&ground, &server, "ada", 1000.0, &[]);
    let there = |name, scenario, at| {
        Sipp { name, scenario, at: Some(at), calls: 1000, ..Sipp::default() }.start(&ground, &server)
    };
    let _carriers = [there("dead", "agent_answers", dead), there("account", "carrier_challenges", account)];
    ["AgentsUnreachable", "TrunkDown", "TrunkNotRegistered"].iter().for_each(|alert| ends(&prometheus, alert));
    // A caller whose audio never comes.
    let scenario = include_str!("scenarios/caller_hangs_up.xml");
    let mute = scenario.replace("<nop><action><exec play_pcap_audio=\"said.pcap\"/></action></nop>", "");
    assert_ne!(mute, scenario);
    let mute =
        Sipp { name: "mute", text: Some(&mute), number: super::server::SUPPORT, seconds: 16.0, ..Sipp::default() };
    assert_eq!(mute.start(&ground, &server).wait(60 * SECOND), 0);
    fires(&prometheus, "OneWayAudio");
    ends(&prometheus, "OneWayAudio");
}

#[test]
fn alerts_about_attacks() {
    let ground = Ground::new("alerts_attacks");
    let sip = "[server.sip.guard]\ntrusted = []\nfree = 1000\nlimit = 4\nban = \"20s\"\n".to_owned();
    let server = Server::start(&ground, &Wishes { sip, ..Wishes::agents(&["ada"]) });
    let prometheus = watched(&ground, &server);
    let banned = || server.metrics()["tierline_sip_bans_total{of=\"address\"}"] > 0.0;
    let guesses =
        (0..10).take_while(|_| !banned()).map(|_| try_register(&ground, &server, &["ada:wrong"], ground.port(), 403));
    assert!((4..10).contains(&guesses.count()), "the guesses were not noticed");
    fires(&prometheus, "PasswordsGuessed");
    ends(&prometheus, "PasswordsGuessed");
}

/// Who guesses passwords by calling must wait, with the answer that callers get for whom there is no room: that is no
/// reason to wake anybody.
#[test]
fn who_guesses_by_calling_is_no_caller_who_was_turned_away() {
    let ground = Ground::new("alerts_guesses");
    let sip = "[server.sip.guard]\ntrusted = []\nfree = 2\nlimit = 4\npause = \"1s\"\nban = \"20s\"\n".to_owned();
    let server = Server::start(&ground, &Wishes { sip, ..Wishes::agents(&["ada"]) });
    let prometheus = watched(&ground, &server);
    let banned = || server.metrics()["tierline_sip_bans_total{of=\"address\"}"] > 0.0;
    let mut answers = Vec::new();
    while !banned() {
        answers.push(Phone::at("127.0.0.1", &server).guesses());
        assert!(answers.len() < 1_000, "nobody notices: {answers:?}");
    }
    assert!(answers.contains(&503), "he never had to wait: {answers:?}");
    fires(&prometheus, "PasswordsGuessed");
    let scraped = prometheus.query("tierline_sip_responses_sent_total{method=\"INVITE\",code=\"503\"}");
    assert!(!scraped.is_empty(), "his answers have not been scraped");
    let paged = prometheus.query("max_over_time(ALERTS{alertname=\"CallsRefused\"}[5m])");
    assert!(paged.is_empty(), "a stranger has woken somebody: {paged:?}");
}

#[test]
fn alerts_about_clock_and_keeping() {
    let ground = Ground::new("alerts_clock");
    let mut server = Server::start(&ground, &Wishes { clock: true, ..Wishes::agents(&["ada"]) });
    let prometheus = watched(&ground, &server);
    let set = |server: &Server, days: i64| server.clock.as_ref().expect("a clock").set(days * 86_400);
    assert!(!["ClockJumped", "ClockDoubted", "KeepingFails"].iter().any(|alert| prometheus.fires(alert)));
    set(&server, 400);
    ["ClockJumped", "ClockDoubted"].iter().for_each(|alert| fires(&prometheus, alert));
    set(&server, 0);
    ["ClockDoubted", "ClockJumped"].iter().for_each(|alert| ends(&prometheus, alert));
    // The first row of the log, of which the records have all, cannot be read any more.
    assert_eq!(Sipp { seconds: 1.0, ..Sipp::default() }.start(&ground, &server).wait(30 * SECOND), 0);
    wait_until("the records have it", 20 * SECOND, || {
        server.tierline(&["calls", "--json", "--queue", "general"]).contains("\"ended\":\"")
    });
    server.program.kill();
    let write = |sql: &str| {
        let log = rusqlite::Connection::open(ground.file("data").join("events.db")).expect("the log");
        log.execute_batch(sql).expect("a row");
    };
    write("UPDATE event SET lines = 'x' || lines WHERE seq = (SELECT min(seq) FROM event)");
    server.start_again();
    fires(&prometheus, "KeepingFails");
    assert!(server.program.errors().contains("what is old could not be removed"), "{}", server.program.errors());
    server.program.kill();
    write("UPDATE event SET lines = substr(lines, 2) WHERE seq = (SELECT min(seq) FROM event)");
    server.start_again();
    ends(&prometheus, "KeepingFails");
}

/// The engine's thread stands still, and only that one: Prometheus is told, and whoever would start it anew.
#[test]
fn alerts_about_an_engine_that_does_not_answer() {
    let ground = Ground::new("alerts_silent");
    let wishes = Wishes { http: "engine_silent = \"5s\"\n", ..Wishes::agents(&["ada"]) };
    let server = Server::start(&ground, &wishes);
    // A scrape waits two seconds for the engine.
    let calm: Vec<(&str, &str)> =
        HURRIED.into_iter().chain([("scrape_interval: 250ms", "scrape_interval: 4s")]).collect();
    let prometheus = Prometheus::start(&ground, server.http, &calm);
    assert!(!prometheus.fires("EngineSilent"));
    let stopped = Stopped::thread(server.program.id(), "engine");
    fires(&prometheus, "EngineSilent");
    assert!(!prometheus.fires("TierlineDown"), "the pages are served");
    wait_until("a probe is told", GENEROUS, || server.get("/healthz").0 == 503);
    drop(stopped);
    wait_until("a probe is content", GENEROUS, || server.get("/healthz").0 == 200);
    ends(&prometheus, "EngineSilent");
}

/// A thread that a debugger holds; it goes on when dropped.
struct Stopped(libc::pid_t);

impl Stopped {
    fn thread(process: libc::pid_t, name: &str) -> Stopped {
        let threads = std::fs::read_dir(format!("/proc/{process}/task")).expect("threads").flatten();
        let thread = threads
            .map(|thread| thread.path())
            .find(|thread| std::fs::read_to_string(thread.join("comm")).is_ok_and(|comm| comm.trim() == name));
        let thread = thread.expect("a thread of this name").file_name().map(|id| id.to_string_lossy().into_owned());
        let id: libc::pid_t = thread.and_then(|id| id.parse().ok()).expect("a number");
        // SAFETY: plain system calls about a thread of our child.
        let done = unsafe {
            libc::ptrace(libc::PTRACE_SEIZE, id, 0, 0) == 0
                && libc::ptrace(libc::PTRACE_INTERRUPT, id, 0, 0) == 0
                && libc::waitpid(id, std::ptr::null_mut(), libc::__WALL) == id
        };
        assert!(done, "{}", std::io::Error::last_os_error());
        Stopped(id)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // SAFETY: a plain system call.
        unsafe { libc::ptrace(libc::PTRACE_DETACH, self.0, 0, 0) };
    }
}

/// More requests come than can be answered.
#[test]
fn alerts_about_the_engine() {
    let ground = Ground::new("alerts_engine");
    let server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let prometheus = watched(&ground, &server);
    let (over, sip) = (AtomicBool::new(false), server.sip);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            let from = socket.local_addr().expect("an address");
            for n in 0u64.. {
                let options = format!(
                    "OPTIONS sip:100@{sip} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{n}\r\nMax-Forwards: 70\r\n\
                     From: <sip:x@{from}>;tag={n}\r\nTo: <sip:100@{sip}>\r\nCall-ID: {n}@x\r\nCSeq: 1 OPTIONS\r\n\
                     Content-Length: 0\r\n\r\n"
                );
                socket.send_to(options.as_bytes(), sip).expect("sent");
                if over.load(Relaxed) {
                    return;
                }
            }
        });
        let _ends = OnDrop(&over);
        ["EngineBacklog", "EngineBusy"].iter().for_each(|alert| fires(&prometheus, alert));
    });
    ["EngineBacklog", "EngineBusy"].iter().for_each(|alert| ends(&prometheus, alert));
}

/// Ends a flood, also where the test fails.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
