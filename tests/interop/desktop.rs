//! Desktops and a ticketing system in Python (grpcio), which know the proto files and nothing else of us.

use super::flow::flow;
use super::harness::{Ground, Program, SECOND, talk_for, wait_for, wait_until};
use super::peers::{Sipp, event, phone, phone_agent, try_register};
use super::server::{DIRECT, Server, TIERLINE, Wishes};
use super::vanishing::Proxy;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn python() -> PathBuf {
    // Where tests/install.sh puts it.
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/interop/python/bin/python")
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/desktop").join(name)
}

/// A center with a desk, and perhaps a ticketing system.
pub struct Office<'g> {
    ground: &'g Ground,
    pub server: Server<'g>,
    pub grpc: String,
    pub generated: PathBuf,
    /// Where its ticketing system listens.
    pub tickets: Option<u16>,
    /// Its roots, where it is reached over TLS.
    trust: Option<PathBuf>,
}

impl<'g> Office<'g> {
    fn open(ground: &'g Ground, tickets: Option<u16>) -> Office<'g> {
        Office::furnished(ground, tickets, Wishes::agents(&["ada", "ben"]))
    }

    pub fn furnished(ground: &'g Ground, tickets: Option<u16>, wishes: Wishes) -> Office<'g> {
        Office::with(ground, tickets, wishes, "")
    }

    /// With a ticketing system that is well, and a line 300 that leads to `flow`, which has its name; `more` tables.
    pub fn led(ground: &'g Ground, name: &'static str, flow: &str, more: &str) -> (Office<'g>, Program) {
        let port = ground.port();
        is(ground, "ok");
        let more = format!("[line.{name}]\nnumbers = [\"300\"]\nflow = \"{name}\"\n{more}");
        let wishes = Wishes { more, flows: vec![(name, flow.to_owned())], ..Wishes::agents(&["ada", "ben"]) };
        let office = Office::furnished(ground, Some(port), wishes);
        let system = tickets(ground, &office.generated, port, 1);
        (office, system)
    }

    /// `cti`: further lines of `[server.cti]`.
    pub fn with(ground: &'g Ground, tickets: Option<u16>, wishes: Wishes, cti: &str) -> Office<'g> {
        let grpc = ground.address().to_string();
        let generated = ground.file("generated");
        std::fs::create_dir_all(&generated).expect("a folder");
        let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
        let mut protoc = Command::new(python());
        protoc.args(["-m", "grpc_tools.protoc", "-I"]).arg(&proto).args(["--python_out", "generated"]);
        protoc.args(["--grpc_python_out", "generated"]);
        protoc.args(["tierline/v1/desk.proto", "tierline/v1/ticketing.proto"].map(|file| proto.join(file)));
        assert_eq!(ground.run("protoc", &mut protoc).wait(60 * SECOND), 0, "protoc failed: make tools");
        let ticketing = tickets.map(|port| {
            format!(
                "[ticketing]\naddress = \"http://127.0.0.1:{port}\"\ntimeout = \"1s\"\nretry = \"200ms\"\n\
                 retry_most = \"500ms\"\npop_expires = \"3s\"\n"
            )
        });
        let tables = format!("[server.cti]\nbind = \"{grpc}\"\n{cti}{}", ticketing.unwrap_or_default());
        let wishes = Wishes { wrap_up: "5m", sip: tables, ..wishes };
        Office { ground, server: Server::start(ground, &wishes), grpc, generated, tickets, trust: None }
    }

    fn token(&self, user: &str) -> String {
        let tokens = std::fs::read_to_string(self.server.data.join("tokens")).expect("tokens made at first start");
        let line = tokens.lines().find_map(|line| line.strip_prefix(&format!("{user}:")));
        line.expect("a token").to_owned()
    }

    fn desk(&self, token: &str, what: &str, rest: &str) -> Command {
        let mut command = Command::new(python());
        command.arg(script("desk.py")).arg(&self.generated).args([what, &self.grpc, token, rest]);
        self.trust.iter().for_each(|trust| _ = command.env("TRUST", trust));
        command
    }

    /// Begins to watch, or goes on where the file ends. From here on everything that happens is an event of its own:
    /// what was before is in the snapshot, which has come.
    pub fn watch(&self, user: &str, run: u32) -> Program {
        let file = self.ground.file(&format!("{user}.jsonl")).to_string_lossy().into_owned();
        let program =
            self.ground.run(&format!("watch-{user}-{run}"), &mut self.desk(&self.token(user), "watch", &file));
        wait_until(&format!("the snapshot of {user}"), 20 * SECOND, || {
            self.seen(user).iter().any(|item| item.get("snapshot").is_some())
        });
        program
    }

    pub fn asks_key(&self, user: &str, key: &str, ask: Value) -> Value {
        let mut command = ask;
        command["key"] = key.into();
        let output = self.desk(&self.token(user), "do", &command.to_string()).output().expect("python runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        serde_json::from_str(&said).unwrap_or_else(|why| panic!("{command}: {why}: {said}{errors}"))
    }

    /// What the script prints, as JSON.
    fn says(&self, user: &str, what: &str, rest: &str) -> Value {
        let output = self.desk(&self.token(user), what, rest).output().expect("python runs");
        let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        serde_json::from_str(&said).unwrap_or_else(|why| panic!("{what}: {why}: {said}{errors}"))
    }

    /// Asks, and it is done.
    pub fn asks(&self, user: &str, key: &str, ask: Value) {
        let outcome = self.asks_key(user, key, ask.clone());
        assert!(outcome.get("done").is_some(), "{ask} of {user}: {outcome}");
    }

    pub fn seen(&self, user: &str) -> Vec<Value> {
        lines(&self.ground.file(&format!("{user}.jsonl")))
    }

    /// Waits until the desktop has seen an event of this name, the `n`th.
    pub fn sees(&self, user: &str, name: &str, n: usize) -> Value {
        wait_for(&format!("{user} sees {name}"), 20 * SECOND, || {
            let seen = self.seen(user);
            seen.iter().filter_map(|item| item["event"].get(name)).nth(n - 1).cloned()
        })
    }

    /// No item twice, whatever was killed.
    fn each_once(&self, user: &str) {
        let seen = self.seen(user);
        let cursors: BTreeSet<&str> = seen.iter().filter_map(|item| item["cursor"].as_str()).collect();
        assert_eq!(cursors.len(), seen.len(), "{user} has seen something twice");
        assert_eq!(seen.iter().filter(|item| item.get("snapshot").is_some()).count(), 1, "one snapshot: the first");
        // And nothing is missing: one who goes on from that snapshot now, without any break, sees the same.
        let whole = format!("{user}-whole");
        let first = format!("{}\n", seen[0]);
        std::fs::write(self.ground.file(&format!("{whole}.jsonl")), first).expect("a file");
        let file = self.ground.file(&format!("{whole}.jsonl")).to_string_lossy().into_owned();
        let _watch = self.ground.run(&format!("watch-{whole}"), &mut self.desk(&self.token(user), "watch", &file));
        let (mut seen, mut again) = (Vec::new(), Vec::new());
        wait_until(&format!("the same for {user} in one piece"), 20 * SECOND, || {
            (seen, again) = (self.seen(user), self.seen(&whole));
            again.len() >= seen.len()
        });
        let other = seen.iter().zip(&again).find(|(seen, again)| seen != again);
        assert_eq!((other, again.len()), (None, seen.len()), "{user}: cut off, and in one piece");
    }
}

pub fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    // The last line may be under way.
    text.split_inclusive('\n').filter(|l| l.ends_with('\n')).filter_map(|l| serde_json::from_str(l).ok()).collect()
}

pub fn tickets(ground: &Ground, office: &Path, port: u16, run: u32) -> Program {
    let mut command = Command::new(python());
    command.arg(script("tickets.py")).arg(office).arg(port.to_string());
    command.arg(ground.file("tickets.jsonl")).arg(ground.file("mode"));
    let program = ground.run(&format!("tickets-{run}"), &mut command);
    program.says("serves", 20 * SECOND);
    program
}

pub fn is(ground: &Ground, mode: &str) {
    std::fs::write(ground.file("mode"), mode).expect("a file");
}

#[test]
fn a_screeners_notes_reach_the_analyst_and_each_event_is_seen_once_though_both_sides_are_killed() {
    let ground = Ground::new("desktop");
    let mut office = Office::open(&ground, None);
    let _ada = phone_agent(&ground, &office.server, "ada", 1000.0, &["--answer", "0"]);
    let (mut watch_ada, mut watch_ben) = (office.watch("ada", 1), office.watch("ben", 1));
    office.asks("ada", "in", json!({ "log_in": {} }));
    let mut caller =
        Sipp { seconds: 40.0, from: "guest", number: DIRECT, ..Sipp::default() }.start(&ground, &office.server);
    office.sees("ada", "established", 1);
    let _ben = phone_agent(&ground, &office.server, "ben", 800.0, &["--answer", "0"]);
    // What is asked is done once, however often it is asked.
    for _ in 0..2 {
        office.asks("ada", "note", json!({ "attach": { "data": { "name": "Jo", "category": "vpn" } } }));
    }
    let reused = office.asks_key("ada", "note", json!({ "hold": {} }));
    assert_eq!(reused["refused"]["why"], "KEY_REUSED");
    assert_eq!(office.asks_key("ben", "not-his", json!({ "hang_up": {} }))["refused"]["why"], "NO_SUCH_CALL");
    assert_eq!(
        office.asks_key("ben", "for-ada", json!({ "agent": 1001, "ready": {} }))["refused"]["why"],
        "NOT_ALLOWED"
    );
    office.asks("ada", "hold", json!({ "hold": {} }));
    assert_eq!(office.asks_key("ada", "again", json!({ "hold": {} }))["refused"]["why"], "WRONG_STATE");
    office.asks("ada", "retrieve", json!({ "retrieve": {} }));
    let call = office.sees("ada", "established", 1);
    assert_eq!(call["agent"], 1001);
    // The desktop of the one who will be rung dies, and comes back after the call was sent on.
    watch_ben.kill();
    office.asks("ada", "send", json!({ "dispatch": { "queue": "technical" } }));
    watch_ben = office.watch("ben", 2);
    let pop = office.sees("ben", "delivered", 1);
    assert_eq!(pop["call"]["data"], json!({ "name": "Jo", "category": "vpn" }), "{pop}");
    office.sees("ben", "established", 1);
    // The engine dies in mid-call; both desktops come back by themselves.
    office.server.program.kill();
    office.server.start_again();
    office.sees("ben", "call_ended", 1);
    office.sees("ada", "restarted", 1);
    // Another engine, and what was asked before is known by its key: it is not done again.
    office.asks("ada", "note", json!({ "attach": { "data": { "name": "Jo", "category": "vpn" } } }));
    assert_eq!(office.asks_key("ada", "note", json!({ "hold": {} }))["refused"]["why"], "KEY_REUSED");
    // Who talked when it died writes notes now; the call can be coded, though the engine is another one.
    office.asks("ben", "code", json!({ "dispose": { "disposition": "cut-off" } }));
    watch_ada.kill();
    watch_ada = office.watch("ada", 2);
    _ = caller.wait(60 * SECOND);
    let second = Sipp { name: "second", seconds: 3.0, ..Sipp::default() }.start(&ground, &office.server);
    let ends = |user| office.seen(user).iter().filter(|item| item["event"].get("call_ended").is_some()).count();
    wait_until("the end of the second call, whoever took it", 30 * SECOND, || ends("ada") + ends("ben") == 2);
    drop((second, watch_ada, watch_ben));
    ["ada", "ben"].iter().for_each(|user| office.each_once(user));
    let attached = office.seen("ada").iter().filter(|item| item["event"].get("data_attached").is_some()).count();
    assert_eq!(attached, 2, "each name once");
    let foreign = office.seen("ben").iter().filter(|item| item["event"].get("data_attached").is_some()).count();
    assert_eq!(foreign, 0, "what happened before it was his call is in the pop, and nowhere else");
}

/// A desk phone that takes the event `talk` answers when the desktop says so, and not before. SIPp plays the phone.
#[test]
fn a_phone_is_answered_from_the_desktop() {
    let ground = Ground::new("desktop_answer");
    let office = Office::open(&ground, None);
    let (at, audio) = (ground.port(), ground.port());
    assert_eq!(try_register(&ground, &office.server, &["ada"], at, 200), 0);
    let steps = "it is told to answer\n< INVITE\n> 180\n  Allow-Events: talk,hold,conference\n\
                 < NOTIFY\n  Event: ^ ?talk$\n  CSeq: ^ ?2 NOTIFY$\n> 200 NOTIFY\n> 200 INVITE\n  sdp\n< ACK\n< BYE\n> 200\n";
    let scenario = flow(steps).scenario();
    let (at, audio, text) = (Some(at), Some(audio), Some(scenario.as_str()));
    let phone = Sipp { name: "phone", text, from: "ada", number: DIRECT, at, audio, ..Sipp::default() };
    let mut phone = phone.start(&ground, &office.server);
    let _watch = office.watch("ada", 1);
    let mut caller =
        Sipp { seconds: 6.0, from: "guest", number: DIRECT, ..Sipp::default() }.start(&ground, &office.server);
    office.sees("ada", "delivered", 1);
    // The 180 may be on its way.
    let mut tries = 0;
    wait_until("the phone is told", 10 * SECOND, || {
        tries += 1;
        office.asks_key("ada", &format!("answer-{tries}"), json!({ "answer": {} })).get("done").is_some()
    });
    office.sees("ada", "established", 1);
    assert_eq!((caller.wait(40 * SECOND), phone.wait(40 * SECOND)), (0, 0));
}

/// In the clear and over TLS: health, reflection, a command.
#[test]
fn other_clients_of_grpc_find_what_they_look_for() {
    for tls in [false, true] {
        let ground = Ground::new(&format!("desktop_looks_{tls}"));
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        std::fs::write(ground.file("own.pem"), made.cert.pem()).expect("a file");
        std::fs::write(ground.file("own-key.pem"), made.signing_key.serialize_pem()).expect("a file");
        let lines = if tls { "certificate = \"own.pem\"\nkey = \"own-key.pem\"\n" } else { "" };
        let mut office = Office::with(&ground, None, Wishes::agents(&["ada"]), lines);
        office.trust = tls.then(|| ground.file("own.pem"));
        let services = json!(["tierline.v1.Desk", "grpc.health.v1.Health"]);
        // SERVING = 1 in field 1.
        assert_eq!(office.says("ada", "look", "-"), json!({ "health": "0801", "services": services }));
        office.asks("ada", "in", json!({ "log_in": {} }));
        let other = office.asks_key("ada", "banner", json!({ "switch_banner": { "banner": "none", "on": true } }));
        assert_eq!(other["refused"]["why"], "NOT_ALLOWED");
        let none = office.asks_key("operator", "banner", json!({ "switch_banner": { "banner": "none", "on": true } }));
        assert_eq!(none["refused"]["why"], "NO_SUCH_BANNER");
    }
}

/// Trap 13: a phone that is registered is not enough for who sits at a desktop. One that never opens a stream, and one that
/// is killed with SIGKILL, are lost when their lease ends; the caller waits meanwhile, and rings when a stream is back.
#[test]
fn trap_13_a_desktop_that_is_not_there_gets_no_calls() {
    let ground = Ground::new("desktop_gone");
    let office = Office::with(&ground, None, Wishes::agents(&["ada"]), "desk_lost = \"1s\"\n");
    let _ada = phone_agent(&ground, &office.server, "ada", 1000.0, &["--answer", "0"]);
    let _all = office.watch("operator", 1);
    let states = || -> Vec<(String, String)> {
        let seen = office.seen("operator");
        let changed = seen.iter().filter_map(|item| item["event"].get("agent_state_changed"));
        let text = |it: &Value, name: &str| it[name].as_str().unwrap_or_default().to_owned();
        changed.map(|it| (text(it, "to"), text(it, "reason"))).collect()
    };
    let lost = || states().iter().filter(|(to, why)| to == "NOT_READY" && why.contains("desktop lost")).count();
    office.asks("ada", "in", json!({ "log_in": {} }));
    wait_until("a desktop without a stream is lost", 20 * SECOND, || lost() == 1);
    office.asks("ada", "ready", json!({ "ready": {} }));
    wait_until("… also after it has asked for calls", 20 * SECOND, || lost() == 2);
    let mut watch = office.watch("ada", 1);
    wait_until("it is there", 20 * SECOND, || states().last().is_some_and(|(to, _)| to == "READY"));
    watch.kill();
    wait_until("a desktop that was killed is lost", 20 * SECOND, || lost() == 3);
    let mut caller = Sipp { seconds: 3.0, from: "guest", number: DIRECT, ..Sipp::default() };
    caller.name = "caller";
    let mut caller = caller.start(&ground, &office.server);
    office.sees("operator", "queued", 1);
    let waits = office.seen("operator").len();
    let _again = office.watch("ada", 2);
    let talk = office.sees("operator", "established", 1);
    assert_eq!((&talk["agent"], caller.wait(40 * SECOND)), (&json!(1001), 0));
    let rang = office.seen("operator").iter().position(|item| item["event"].get("delivered").is_some());
    assert!(rang.is_some_and(|rang| rang >= waits), "nobody was rung before the stream was there");
}

/// A desktop whose connection is cut again and again misses nothing. One behind a wire that takes everything and brings
/// nothing is known to be gone by HTTP/2's PING, is lost when its lease ends, and is back when it comes over another wire.
#[test]
fn a_stream_that_is_cut_goes_on_and_one_in_a_black_hole_is_lost() {
    let ground = Ground::new("desktop_cut");
    let mut office = Office::with(&ground, None, Wishes::agents(&["ada"]), "desk_lost = \"1s\"\n");
    let proxy = Proxy::before(office.grpc.parse().expect("an address"));
    let direct = std::mem::replace(&mut office.grpc, proxy.at.to_string());
    let _phone = phone_agent(&ground, &office.server, "ada", 1000.0, &["--answer", "0"]);
    let mut watch = office.watch("ada", 1);
    let file = ground.file("ada.jsonl").to_string_lossy().into_owned();
    let mut again = office.desk(&office.token("ada"), "watch", &file);
    office.grpc = direct;
    let _all = office.watch("operator", 1);
    office.asks("ada", "in", json!({ "log_in": {} }));
    let caller = Sipp { seconds: 20.0, from: "guest", number: DIRECT, ..Sipp::default() };
    let mut caller = caller.start(&ground, &office.server);
    office.sees("ada", "established", 1);
    for n in 1..=4 {
        office.asks("ada", &format!("note-{n}"), json!({ "attach": { "data": { format!("n{n}"): "x" } } }));
        proxy.cut();
        office.asks("ada", &format!("hold-{n}"), json!({ "hold": {} }));
        office.asks("ada", &format!("on-{n}"), json!({ "retrieve": {} }));
    }
    office.sees("ada", "retrieved", 4);
    assert_eq!(caller.wait(60 * SECOND), 0);
    office.asks("ada", "coded", json!({ "dispose": { "disposition": "solved" } }));
    office.sees("ada", "disposed", 1);
    let state = |to: &str, reason: &str| {
        wait_until(&format!("{to} {reason}"), 60 * SECOND, || {
            let seen = office.seen("operator");
            let last = seen.iter().filter_map(|item| item["event"].get("agent_state_changed")).next_back().cloned();
            last.is_some_and(|it| it["to"] == to && it["reason"].as_str().unwrap_or_default().contains(reason))
        });
    };
    state("READY", "");
    let known = office.seen("ada").len();
    proxy.swallows();
    state("NOT_READY", "desktop lost");
    assert_eq!(office.seen("ada").len(), known, "nothing came over that wire");
    watch.kill();
    let _watch = ground.run("watch-ada-2", &mut again);
    state("READY", "");
    wait_until("she has seen that she was lost and is back", 20 * SECOND, || {
        office.seen("ada").last().is_some_and(|item| item["event"]["agent_state_changed"]["to"] == "READY")
    });
    office.each_once("ada");
}

/// Too many streams of one are refused; a reader who sleeps is cut, nobody waits for him, and he misses nothing.
#[test]
fn streams_are_limited_and_a_reader_who_sleeps_is_cut() {
    let ground = Ground::new("desktop_sloth");
    let office = Office::with(&ground, None, Wishes::agents(&["ada"]), "streams_each = 2\nwaiting = 16\n");
    assert_eq!(office.says("operator", "crowd", "3"), json!(["OK", "OK", "RESOURCE_EXHAUSTED"]));
    let _ada = phone_agent(&ground, &office.server, "ada", 1000.0, &["--answer", "0"]);
    let _watch = office.watch("ada", 1);
    let caller =
        Sipp { seconds: 60.0, from: "guest", number: DIRECT, ..Sipp::default() }.start(&ground, &office.server);
    office.sees("ada", "established", 1);
    let file = ground.file("operator.jsonl");
    let path = file.to_string_lossy().into_owned();
    let sloth = ground.run("sloth", &mut office.desk(&office.token("operator"), "sloth", &path));
    sloth.says("sleeps", 20 * SECOND);
    let data: serde_json::Map<String, Value> = (0..64).map(|n| (format!("n{n}"), "x".repeat(1_000).into())).collect();
    let flood = json!({ "attach": { "data": data } }).to_string();
    let mut flooding = ground.run("flood", &mut office.desk(&office.token("ada"), "flood", &flood));
    assert_eq!(flooding.wait(60 * SECOND), 0, "{}", flooding.errors());
    std::fs::write(format!("{path}.wake"), "").expect("a file");
    sloth.says("RESOURCE_EXHAUSTED", 20 * SECOND);
    let attached =
        |user: &str| office.seen(user).iter().filter(|item| item["event"].get("data_attached").is_some()).count();
    assert!(attached("operator") < 24 * 64, "he was too slow for all of it");
    let _again = office.watch("operator", 2);
    wait_until("he has it all", 30 * SECOND, || attached("operator") == 24 * 64);
    office.each_once("operator");
    drop(caller);
}

#[test]
fn without_a_token_nothing_is_told_and_nothing_done() {
    let ground = Ground::new("desktop_token");
    let office = Office::open(&ground, None);
    let file = ground.file("nobody.jsonl").to_string_lossy().into_owned();
    for (name, token) in [("none", ""), ("wrong", "0123456789abcdef")] {
        let program = ground.run(name, &mut office.desk(token, "watch", &file));
        program.says("UNAUTHENTICATED", 20 * SECOND);
        let output = office.desk(token, "do", "{\"key\": \"k\", \"ready\": {}}").output().expect("python runs");
        assert!(String::from_utf8_lossy(&output.stderr).contains("UNAUTHENTICATED"));
    }
    assert!(lines(&ground.file("nobody.jsonl")).is_empty());
}

#[test]
fn a_ticketing_system_that_is_slow_wrong_killed_and_back_opens_each_ticket_once_and_pops_come_in_order() {
    let ground = Ground::new("tickets");
    let port = ground.port();
    is(&ground, "ok");
    let mut office = Office::open(&ground, Some(port));
    let mut system = tickets(&ground, &office.generated, port, 1);
    let ada = phone_agent(&ground, &office.server, "ada", 1000.0, &["--answer", "0"]);
    let taken = || lines(&ground.file("tickets.jsonl"));
    let count = |rpc: &str| taken().iter().filter(|taken| taken["rpc"] == rpc).count();
    let call = |office: &Office, n: usize| {
        let name = format!("caller-{n}");
        let mut caller = Sipp { name: &name, seconds: 2.0, ..Sipp::default() }.start(&ground, &office.server);
        assert_eq!(caller.wait(30 * SECOND), 0, "call {n}: nothing of ticketing may be heard in a call");
        office.asks(
            "ada",
            &format!("disposed-{n}"),
            json!({ "dispose": { "disposition": "solved", "notes": "cable" } }),
        );
        wait_until("the end of the call", 10 * SECOND, || office.server.calls().len() >= n);
    };
    call(&office, 1);
    event(&ada, "Ended", 10 * SECOND);
    wait_until("a ticket", 10 * SECOND, || count("open") == 1 && count("pop") == 1 && count("follow") >= 3);
    let pop = taken().into_iter().find(|taken| taken["rpc"] == "pop").expect("a pop");
    assert_eq!((&pop["name"], &pop["tickets"][0]["number"]), (&json!("Jo"), &json!("7")), "{pop}");
    is(&ground, "slow");
    call(&office, 2);
    is(&ground, "wrong");
    call(&office, 3);
    is(&ground, "unimplemented");
    call(&office, 4);
    is(&ground, "empty");
    call(&office, 5);
    system.kill();
    call(&office, 6);
    // It is away for a minute. Ours dies too, with much unsaid.
    talk_for(30 * SECOND);
    let expired = office.server.metrics()["tierline_ticketing_pops_expired_total"];
    assert!(expired > 0.0, "pops that came too late are counted");
    office.server.program.kill();
    office.server.start_again();
    talk_for(30 * SECOND);
    is(&ground, "ok");
    system = tickets(&ground, &office.generated, port, 2);
    wait_until("all tickets", 30 * SECOND, || count("open") == 6);
    wait_until("all that follows", 30 * SECOND, || {
        let ended = taken().iter().filter(|taken| taken.get("ended").is_some()).count();
        ended == 6 && taken().iter().filter(|taken| taken.get("disposed").is_some()).count() == 6
    });
    drop(system);
    let taken = taken();
    // Only what was not answered well is asked again: nothing of which it was said that it is done.
    let asked = lines(&ground.file("tickets.jsonl.asked"));
    let well: Vec<&str> =
        asked.iter().filter(|asked| asked["mode"] == "ok").filter_map(|asked| asked["key"].as_str()).collect();
    let once: BTreeSet<&str> = well.iter().copied().collect();
    assert_eq!((once.len(), asked.len() > well.len()), (well.len(), true), "something was asked twice: {well:?}");
    // In order within each call: the pop, if it was in time, before what follows; the ticket before the end.
    let calls: BTreeSet<&str> = taken.iter().filter_map(|taken| taken["call"].as_str()).collect();
    assert_eq!(calls.len(), 6);
    let popped = taken.iter().filter(|taken| taken["rpc"] == "pop").count();
    assert!(popped >= 2, "the pops of the first two calls at least: {popped}");
    for call in calls {
        let of_call: Vec<&Value> = taken.iter().filter(|taken| taken["call"] == call).collect();
        let place = |found: &dyn Fn(&Value) -> bool| of_call.iter().position(|taken| found(taken));
        let opened = place(&|taken| taken["rpc"] == "open").expect("a ticket");
        let ended = place(&|taken| taken.get("ended").is_some()).expect("an end");
        assert!(opened < ended && place(&|taken| taken["rpc"] == "pop").is_none_or(|pop| pop < opened), "{of_call:?}");
    }
}

#[test]
fn a_screener_works_with_a_phone_and_the_command_line() {
    let ground = Ground::new("command_line");
    let port = ground.port();
    let office = Office::open(&ground, Some(port));
    let listen = format!("127.0.0.1:{port}");
    let mut example = Command::new(TIERLINE);
    let example = ground.run("ticketing", example.args(["ticketing", "--listen", &listen, "--data", "tickets"]));
    example.says("tickets are kept", 20 * SECOND);
    let _ada = phone_agent(&ground, &office.server, "ada", 1000.0, &["--answer", "1"]);
    let url = format!("http://{}", office.grpc);
    let mut command = Command::new(TIERLINE);
    command.args(["agent", "--user", "ada", "--server", &url, "--json", "--data"]).arg(&office.server.data);
    for line in
        ["login", "ready", "wait delivered", "wait established", "attach name=Jo summary=vpn", "hold", "retrieve"]
    {
        command.args(["--do", line]);
    }
    command.args(["--do", "dispatch technical", "--do", "dispose sent", "--do", "wait call_ended"]);
    let mut agent = ground.run("agent", &mut command);
    agent.says("snapshot", 20 * SECOND);
    let mut caller = Sipp { seconds: 8.0, ..Sipp::default() }.start(&ground, &office.server);
    agent.says("\"delivered\"", 20 * SECOND);
    agent.says("\"transferred\"", 20 * SECOND);
    // After disposing she is ready again, and the same caller, whom nobody else serves, comes back to her.
    assert_eq!(caller.wait(40 * SECOND), 0);
    assert_eq!(agent.wait(30 * SECOND), 0, "{}", agent.output());
    example.says("ticket 1001 opened", 20 * SECOND);
}

/// Tier 0: a number is keyed, and what the ticketing system says of it is heard.
const STATUS: &str = r#"version = 1
start = "ticket"
[step.ticket]
collect = "Your ticket, please."
into = "ticket"
next = "status"
retries = 0
otherwise = "nothing"
[step.status]
lookup = "ticket-status"
with = { ticket = "ticket", caller = "caller" }
fields = { state = "text" }
timeout = "1s"
retries = 0
found = "tell"
not_found = "unknown"
failed = "broken"
[step.tell]
branch = [{ when = 'status.state == "open"', go = "open" }]
otherwise = "nothing"
[step.open]
hang_up = "Your ticket is open."
[step.unknown]
hang_up = "There is no such ticket."
[step.broken]
hang_up = "The tickets cannot be seen now."
[step.nothing]
hang_up = true
"#;

#[test]
fn a_caller_keys_a_ticket_number_and_hears_what_the_ticketing_system_says_of_it() {
    let ground = Ground::new("ticket_status");
    let (office, mut system) = Office::led(&ground, "tickets", STATUS, "");
    let reaches = |n: usize, keys: &str, step: &str| {
        let mut caller = phone(&ground, &office.server, &format!("caller-{n}"), &["--dial", "300", "--press", keys]);
        assert_eq!(caller.wait(30 * SECOND), 0, "{}", caller.output());
        wait_until(&format!("{keys} leads to {step}"), 10 * SECOND, || {
            let calls = office.server.calls();
            let newest = calls.first().filter(|_| calls.len() == n).and_then(|call| call["call"].as_str());
            newest.is_some_and(|call| office.server.tierline(&["calls", call]).contains(step))
        });
    };
    reaches(1, ",,7#", "step open");
    reaches(2, ",,8#", "step unknown");
    system.kill();
    reaches(3, ",,7#", "step broken");
}
