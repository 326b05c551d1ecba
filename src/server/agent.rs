//! `tierline agent`: a desktop on the command line. What happens is printed; what is typed is asked.
//!
//! Lines are asked one after the other: each waits for the answer of the one before. `wait NAME` waits until an event of
//! that name has come since the last `wait`, the agent's own or nobody's, so that a file of lines is a script. The first
//! line is asked when the snapshot has come: what is shown stands in the order in which it was so. A stream
//! that is cut goes on at its cursor. What is typed while the server is away is asked once it is back: by its key it is done
//! once, also where the answer was lost.
#![allow(clippy::disallowed_methods, reason = "the shell waits")]

mod own;
mod way;

use super::chance;
use super::printing;
use crate::proto::{self, command::Ask, item, outcome};
use crate::server::printing::say;
use anyhow::{Context, Result, bail};
use own::Own;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;
use way::{Desk, connect, is_away, refused, watch};

/// How `tierline agent` was called.
pub struct Settings {
    /// Such as `http://127.0.0.1:50051`.
    pub server: String,
    pub token: String,
    /// For `https`: a PEM file of roots.
    pub trust: Option<std::path::PathBuf>,
    /// Lines to ask; then it ends. Without any they are typed.
    pub asks: Vec<String>,
    /// Whatever comes is printed as JSON, a line each.
    pub json: bool,
}

pub const HELP: &str = "\
login, logout, ready, break REASON
hold, retrieve, hangup, answer
attach NAME=VALUE …       kept with the call, for the next agent and the ticket; NAME=\"more than a word\"
dispatch QUEUE [SKILL=LEVEL …] [+POINTS]
transfer QUEUE | transfer agent NUMBER | transfer number NUMBER
banner on|off NAME        switches an announcement, where you may
dispose WORD [NOTES]      codes the call; after it, ends wrap-up
more [SECONDS]            time for notes after the talk, or more of it
wait EVENT                until that has come, such as delivered, established, call_ended; a call that was there
                          at the login has been delivered
help, quit";

/// What `wait` may wait for.
const EVENTS: [&str; 20] = [
    "snapshot",
    "call_arrived",
    "step_entered",
    "key_pressed",
    "queued",
    "delivered",
    "offer_ended",
    "established",
    "diverted",
    "held",
    "retrieved",
    "data_attached",
    "transferred",
    "disposed",
    "connection_cleared",
    "call_ended",
    "agent_state_changed",
    "restarted",
    "banner_switched",
    "agent_reachable",
];

/// How long the first snapshot is waited for before the first line is asked all the same.
const FIRST: Duration = Duration::from_secs(5);
/// How long an agent's new state may take to come after the answer to what he asked for.
const STATE: Duration = Duration::from_secs(1);
/// The pause before a stream that was cut is opened again.
const AGAIN: Duration = Duration::from_millis(300);

/// Runs until `quit`, the end of what is typed, or the last of `asks`; true if nothing was refused.
///
/// # Errors
/// The server cannot be reached, or does not know the token.
pub fn run(settings: Settings) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let good = runtime.block_on(async {
        let desk = connect(&settings).await?;
        let (items, mut seen) = mpsc::channel(64);
        let watching = tokio::spawn(watch(desk.clone(), items));
        let typed = settings.asks.is_empty();
        let mut session = Session::new(desk, settings.json, typed);
        let mut lines = Lines::new(settings.asks);
        if typed && !settings.json {
            say!("{HELP}");
        }
        session.begin(&mut seen).await?;
        loop {
            let ended = tokio::select! {
                line = lines.next() => match line? {
                    Some(line) => session.line(line.trim(), &mut seen).await?,
                    None => true,
                },
                item = seen.recv() => match item {
                    Some(item) => { session.show(&item?); false }
                    None => true,
                },
            };
            if ended || printing::nobody_reads() {
                break;
            }
        }
        watching.abort();
        Ok(!session.refused)
    });
    runtime.shutdown_background(); // a read of the terminal cannot be taken back
    good
}

/// Asks one thing and looks at nothing; true if it was not refused.
///
/// # Errors
/// As [`run`].
pub fn once(settings: &Settings, line: &str) -> Result<bool> {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let ask = asked(verb, rest).with_context(|| format!("`{line}` is not understood"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let desk = connect(settings).await?;
        let mut session = Session::new(desk, settings.json, false);
        session.ask(line, ask, None).await?;
        Ok(!session.refused)
    })
}

/// Lines from the command line or from whoever types.
struct Lines {
    given: VecDeque<String>,
    typed: Option<tokio::io::Lines<BufReader<tokio::io::Stdin>>>,
}

impl Lines {
    fn new(given: Vec<String>) -> Lines {
        let typed = given.is_empty().then(|| BufReader::new(tokio::io::stdin()).lines());
        Lines { given: given.into(), typed }
    }

    async fn next(&mut self) -> Result<Option<String>> {
        match &mut self.typed {
            Some(typed) => Ok(typed.next_line().await?),
            None => Ok(self.given.pop_front()),
        }
    }
}

struct Session {
    desk: Desk,
    json: bool,
    /// Somebody sits there, and can wait.
    typed: bool,
    /// Names of events since the last `wait`.
    seen: VecDeque<String>,
    /// The agent who asks, 0 if it is none; unknown before the first snapshot.
    me: Option<u64>,
    /// All items of the first snapshot have come.
    begun: bool,
    own: Own,
    refused: bool,
}

type Items = mpsc::Receiver<Result<proto::Item>>;

impl Session {
    fn new(desk: Desk, json: bool, typed: bool) -> Session {
        Session {
            desk,
            json,
            typed,
            seen: VecDeque::new(),
            me: None,
            begun: false,
            own: Own::default(),
            refused: false,
        }
    }

    /// Shows the first snapshot; lines are asked without it where it does not come.
    async fn begin(&mut self, items: &mut Items) -> Result<()> {
        let until = tokio::time::Instant::now() + FIRST;
        while !self.begun {
            match tokio::time::timeout_at(until, items.recv()).await {
                Ok(Some(item)) => self.show(&item?),
                Ok(None) | Err(_) => break,
            }
        }
        Ok(())
    }

    /// Why no call can come to who is ready now. His state is told by the stream, which may be behind the answer.
    async fn lacking(&mut self, items: &mut Items) -> Result<Option<&'static str>> {
        let until = tokio::time::Instant::now() + STATE;
        while self.own.lacks().is_some() {
            match tokio::time::timeout_at(until, items.recv()).await {
                Ok(Some(item)) => self.show(&item?),
                Ok(None) | Err(_) => break,
            }
        }
        Ok(self.own.lacks())
    }

    /// Carries a line out; true if it was the last.
    async fn line(&mut self, line: &str, items: &mut Items) -> Result<bool> {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("" | "#", _) => {}
            ("quit", _) => return Ok(true),
            ("help", _) => say!("{HELP}"),
            ("wait", name) if !EVENTS.contains(&name) => {
                self.refused = true;
                eprintln!("there is no event `{name}`; allowed: {}", EVENTS.join(", "));
            }
            ("wait", name) => {
                while !self.seen.iter().any(|seen| seen == name) {
                    let item = items.recv().await.context("the stream ended")??;
                    self.show(&item);
                }
                let last = self.seen.iter().position(|seen| seen == name).unwrap_or(0);
                self.seen.drain(..=last);
            }
            (verb, rest) => match asked(verb, rest) {
                Some(ask) => self.ask(line, ask, Some(items)).await?,
                None => {
                    self.refused = true;
                    eprintln!("`{line}` is not understood; `help` says what is");
                }
            },
        }
        Ok(false)
    }

    async fn ask(&mut self, line: &str, ask: Ask, items: Option<&mut Items>) -> Result<()> {
        let is_ready = matches!(ask, Ask::Ready(_));
        let key = chance::bytes::<12>()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let command = proto::Command { key, agent: 0, ask: Some(ask) };
        let outcome = self.done(command).await.map_err(|status| refused(&status))?;
        match outcome.into_inner().result {
            Some(outcome::Result::Refused(refused)) => {
                self.refused = true;
                let why = refused.why().as_str_name();
                match self.json {
                    true => say!("{}", json!({ "asked": line, "refused": why, "text": refused.text })),
                    false => say!("  refused: {}", refused.text),
                }
            }
            Some(outcome::Result::Done(_)) => {
                let lacks = match items.filter(|_| is_ready) {
                    Some(items) => self.lacking(items).await?,
                    None => None,
                };
                self.show_done(line, lacks);
            }
            None => bail!("the server's answer is empty"),
        }
        Ok(())
    }

    fn show_done(&self, line: &str, lacks: Option<&str>) {
        match (self.json, lacks) {
            (true, Some(lacks)) => say!("{}", json!({ "asked": line, "done": true, "note": lacks })),
            (true, None) => say!("{}", json!({ "asked": line, "done": true })),
            (false, Some(lacks)) => say!("  done; but {lacks}"),
            (false, None) => say!("  done"),
        }
    }

    /// Asks until there is an answer, where somebody sits there; else once.
    async fn done(&mut self, command: proto::Command) -> Result<tonic::Response<proto::Outcome>, tonic::Status> {
        let mut told = false;
        loop {
            match self.desk.r#do(command.clone()).await {
                Err(away) if self.typed && is_away(&away) && !printing::nobody_reads() => {
                    if !std::mem::replace(&mut told, true) {
                        eprintln!("the server does not answer; this is asked again until it does");
                    }
                    tokio::time::sleep(AGAIN).await;
                }
                answer => return answer,
            }
        }
    }

    fn show(&mut self, item: &proto::Item) {
        let told = match &item.what {
            Some(item::What::Event(event)) => event_json(event),
            Some(item::What::Snapshot(snapshot)) => snapshot_json(snapshot),
            None => return,
        };
        let name = told["type"].as_str().unwrap_or_default().to_owned();
        match self.json {
            true => say!("{told}"),
            false => show_line(&name, &told),
        }
        let first = name == "snapshot" && self.me.is_none();
        if name == "snapshot" {
            self.me = told["agent"].as_u64().or(Some(0));
        }
        self.begun |= name == "snapshot" && told["more"] != true;
        let me = self.me.unwrap_or(0);
        self.own.hear(me, &told);
        if !concerns(me, &told) {
            return;
        }
        self.seen.push_back(name);
        if first {
            self.seen.extend(already(me, &told).into_iter().map(str::to_owned));
        }
        if self.seen.len() > 256 {
            self.seen.pop_front();
        }
    }
}

/// What is there at present, its states in words.
fn snapshot_json(snapshot: &proto::Snapshot) -> Value {
    let mut told = serde_json::to_value(snapshot).unwrap_or_default();
    told["type"] = "snapshot".into();
    told["role"] = snapshot.role().as_str_name().into();
    for (place, agent) in snapshot.agents.iter().enumerate() {
        told["agents"][place]["state"] = agent.state().as_str_name().into();
    }
    told
}

/// Whether `wait` counts an event: what a colleague does, who is seen with the queue, is not what an agent waits for.
fn concerns(me: u64, told: &Value) -> bool {
    let of = told["agent"].as_u64().unwrap_or(0);
    me == 0 || of == 0 || of == me
}

/// What a script may wait for has come before it began: his phone may be faster than his desktop.
fn already(me: u64, snapshot: &Value) -> Vec<&'static str> {
    let mine = |told: &Value| me != 0 && told["agent"].as_u64() == Some(me);
    let of = |call: &Value| {
        let rings = call["ringing"].as_array().is_some_and(|ringing| ringing.iter().any(mine));
        [(rings || mine(call)).then_some("delivered"), mine(call).then_some("established")]
    };
    let calls = snapshot["calls"].as_array().into_iter().flatten();
    calls.flat_map(of).flatten().collect()
}

/// An event as one flat object: `type`, `at_ms`, `call`, and its own fields.
fn event_json(event: &proto::Event) -> Value {
    let what = event.what.as_ref().and_then(|what| serde_json::to_value(what).ok());
    let (name, mut fields) = match what {
        Some(Value::Object(what)) => what.into_iter().next().unwrap_or_default(),
        _ => Default::default(),
    };
    let mut told = Map::new();
    told.insert("type".into(), name.into());
    told.insert("at_ms".into(), event.at_ms.into());
    told.insert("call".into(), event.call.clone().into());
    if let Some(proto::event::What::AgentStateChanged(it)) = &event.what {
        (fields["from"], fields["to"]) = (it.from().as_str_name().into(), it.to().as_str_name().into());
    }
    if let Some(proto::event::What::OfferEnded(it)) = &event.what {
        fields["outcome"] = it.outcome().as_str_name().into();
    }
    if let Value::Object(fields) = fields {
        // The call in full stands beside its name, where it is told at all.
        let fields = fields.into_iter().filter(|(name, value)| name != "call" || value.is_object());
        told.extend(fields.map(|(name, value)| (if name == "call" { "case".to_owned() } else { name }, value)));
    }
    Value::Object(told)
}

fn show_line(name: &str, told: &Value) {
    let case = &told["case"];
    if name == "delivered" {
        let caller = Some(text(&case["caller"])).filter(|caller| !caller.is_empty()).unwrap_or("anonymous".into());
        let waited = told["waited_ms"].as_i64().unwrap_or(0) / 1000;
        say!("* the phone rings: {caller} on {}, from {}", text(&case["line"]), text(&case["queue"]));
        say!("  waited {waited} s; {}", text(&told["why"]));
        let path: Vec<String> = case["menu_path"].as_array().into_iter().flatten().map(text).collect();
        say!("  menu: {}; keys: {}", path.join(" > "), text(&case["keys"]));
        for (name, value) in case["data"].as_object().into_iter().flatten() {
            say!("  {name}: {}", text(value));
        }
        return;
    }
    let Value::Object(fields) = told else { return };
    let shown: Vec<String> = fields
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "type" | "at_ms" | "case"))
        .map(|(name, value)| format!("{name}={}", text(value)))
        .collect();
    say!("* {name} {}", shown.join(" "));
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What a typed line asks for.
fn asked(verb: &str, rest: &str) -> Option<Ask> {
    let call = String::new;
    let pair = |word: String| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    Some(match (verb, rest.split_once(' ').unwrap_or((rest, ""))) {
        ("login", _) => Ask::LogIn(proto::LogIn {}),
        ("logout", _) => Ask::LogOut(proto::LogOut {}),
        ("ready", _) => Ask::Ready(proto::Ready {}),
        ("break", _) => Ask::NotReady(proto::NotReady { reason: rest.to_owned() }),
        ("hold", _) => Ask::Hold(proto::Hold { call: call() }),
        ("retrieve", _) => Ask::Retrieve(proto::Retrieve { call: call() }),
        ("hangup", _) => Ask::HangUp(proto::HangUp { call: call() }),
        ("answer", _) => Ask::Answer(proto::Answer {}),
        ("banner", (state @ ("on" | "off"), banner)) if !banner.is_empty() => {
            Ask::SwitchBanner(proto::SwitchBanner { banner: banner.to_owned(), on: state == "on" })
        }
        ("attach", _) => {
            let data = words(rest)?.into_iter().map(pair).collect::<Option<_>>()?;
            Ask::Attach(proto::Attach { call: call(), data })
        }
        ("dispatch", (queue, rest)) if !queue.is_empty() => {
            let (points, skills): (Vec<String>, Vec<String>) =
                words(rest)?.into_iter().partition(|word| word.starts_with(['+', '-']));
            let level = |word: String| pair(word).and_then(|(name, level)| Some((name, level.parse().ok()?)));
            let skills = skills.into_iter().map(level).collect::<Option<_>>()?;
            let points: Vec<i32> = points.iter().map(|points| points.parse().ok()).collect::<Option<_>>()?;
            Ask::Dispatch(proto::Dispatch {
                call: call(),
                queue: queue.to_owned(),
                skills,
                priority: points.iter().sum(),
            })
        }
        ("transfer", (kind, rest)) if !kind.is_empty() => {
            use proto::transfer::To;
            let to = match (kind, rest) {
                ("agent", number) => To::Agent(number.trim().parse().ok()?),
                ("number", number) => To::Number(number.trim().to_owned()),
                (queue, _) => To::Queue(queue.to_owned()),
            };
            Ask::Transfer(proto::Transfer { call: call(), to: Some(to) })
        }
        ("more", ("", _)) => Ask::MoreTime(proto::MoreTime { seconds: 0 }),
        ("more", (seconds, "")) => Ask::MoreTime(proto::MoreTime { seconds: seconds.parse().ok()? }),
        ("dispose", (word, notes)) if !word.is_empty() => {
            Ask::Dispose(proto::Dispose { call: call(), disposition: word.to_owned(), notes: notes.to_owned() })
        }
        _ => return None,
    })
}

/// The words of a line; what stands in double quotes belongs together, the quotes are left out. None if one is open at the
/// end.
fn words(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for letter in line.chars() {
        match letter {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            letter if letter.is_whitespace() && !quoted => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    (!quoted).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_may_be_waited_for() {
        let proto = include_str!("../../proto/tierline/v1/desk.proto");
        let events = proto.split("oneof what {").nth(2).and_then(|rest| rest.split('}').next()).unwrap();
        let named = events.lines().filter_map(|line| line.trim().split(" = ").next()?.split_once(' '));
        let named = named.filter(|(kind, _)| !kind.starts_with("//")).map(|(_, name)| name);
        assert_eq!(std::iter::once("snapshot").chain(named).collect::<Vec<_>>(), EVENTS);
    }

    /// A colleague may be faster: that he talks is not that I do.
    #[test]
    fn what_a_colleague_does_ends_no_wait() {
        let rows = [
            (1002, json!({ "type": "established", "agent": 1002 }), true),
            (1002, json!({ "type": "established", "agent": 1001 }), false),
            (1002, json!({ "type": "connection_cleared", "agent": 0 }), true),
            (1002, json!({ "type": "call_ended" }), true),
            (0, json!({ "type": "established", "agent": 1001 }), true),
        ];
        for (me, told, expect) in rows {
            assert_eq!(concerns(me, &told), expect, "{me}: {told}");
        }
    }

    #[test]
    fn typed_lines_are_understood() {
        let check = |line: &str, expect: Option<Ask>| {
            let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
            assert_eq!(asked(verb, rest), expect, "{line}");
        };
        check("ready", Some(Ask::Ready(proto::Ready {})));
        check("break lunch at noon", Some(Ask::NotReady(proto::NotReady { reason: "lunch at noon".into() })));
        let data = [("name".to_owned(), "Jo".to_owned()), ("category".to_owned(), "vpn".to_owned())].into();
        check("attach name=Jo category=vpn", Some(Ask::Attach(proto::Attach { call: String::new(), data })));
        let data = [("name".to_owned(), "Jo Doe".to_owned()), ("summary".to_owned(), "mail is down".to_owned())].into();
        let attach = proto::Attach { call: String::new(), data };
        check("attach name=\"Jo Doe\"  \"summary=mail is down\"", Some(Ask::Attach(attach)));
        check("attach name=\"Jo", None);
        check("attach Jo", None);
        let skills = [("network".to_owned(), 5)].into();
        let dispatch = proto::Dispatch { queue: "level-1".into(), skills, ..Default::default() };
        check("dispatch level-1 network=5", Some(Ask::Dispatch(dispatch)));
        let skills = [("network".to_owned(), 5)].into();
        let dispatch = proto::Dispatch { queue: "level-1".into(), skills, priority: 9, ..Default::default() };
        check("dispatch level-1 network=5 +9", Some(Ask::Dispatch(dispatch)));
        check("dispatch level-1 +many", None);
        check("dispatch", None);
        let agent = proto::Transfer { call: String::new(), to: Some(proto::transfer::To::Agent(1002)) };
        check("transfer agent 1002", Some(Ask::Transfer(agent)));
        check("transfer agent Ben", None);
        let dispose =
            proto::Dispose { call: String::new(), disposition: "solved".into(), notes: "it was the cable".into() };
        check("dispose solved it was the cable", Some(Ask::Dispose(dispose)));
        check("more", Some(Ask::MoreTime(proto::MoreTime { seconds: 0 })));
        check("more 90", Some(Ask::MoreTime(proto::MoreTime { seconds: 90 })));
        check("more time", None);
        check("sing", None);
        let banner = proto::SwitchBanner { banner: "outage".into(), on: false };
        check("banner off outage", Some(Ask::SwitchBanner(banner)));
        check("banner outage", None);
    }

    #[test]
    fn states_in_a_snapshot_are_words() {
        let agent = proto::AgentView { agent: 1001, state: proto::AgentState::NotReady as i32, ..Default::default() };
        let role = proto::Role::Lead as i32;
        let told = snapshot_json(&proto::Snapshot { role, agents: vec![agent], ..Default::default() });
        assert_eq!((&told["role"], &told["agents"][0]["state"]), (&json!("ROLE_LEAD"), &json!("NOT_READY")), "{told}");
    }

    /// Seen to hang without it: a call that was answered in the moment of the login.
    #[test]
    fn what_has_come_before_the_login_ends_a_wait_too() {
        let call = |agent: u64, ringing: &[u64]| {
            let ringing: Vec<_> = ringing.iter().map(|agent| json!({ "agent": agent, "offer": "r0-1-1" })).collect();
            json!({ "calls": [{ "agent": agent, "ringing": ringing }] })
        };
        let rows = [
            (1002, json!({ "calls": [] }), vec![]),
            (1002, call(0, &[1001]), vec![]),
            (1002, call(0, &[1001, 1002]), vec!["delivered"]),
            (1002, call(1002, &[]), vec!["delivered", "established"]),
            (1002, call(1001, &[]), vec![]),
            (0, call(0, &[]), vec![]),
        ];
        for (me, snapshot, expect) in rows {
            assert_eq!(already(me, &snapshot), expect, "{me} {snapshot}");
        }
    }

    #[test]
    fn a_server_is_named_by_its_address_too() {
        for (server, expect) in [
            ("127.0.0.1:50051", "http://127.0.0.1:50051"),
            ("http://desk.example:50051", "http://desk.example:50051"),
            ("https://desk.example", "https://desk.example"),
        ] {
            assert_eq!(way::url(server), expect);
        }
    }

    #[test]
    fn an_event_is_one_flat_object() {
        let caller = |call: Option<&proto::CallView>| call.map(|call| call.caller.clone());
        for call in [None, Some(proto::CallView { caller: "+4930123".into(), ..Default::default() })] {
            let queued = proto::Queued { queue: "general".into(), call: call.clone(), ..Default::default() };
            let what = Some(proto::event::What::Queued(queued));
            let told = event_json(&proto::Event { at_ms: 5, call: "c0-1-1".into(), what });
            assert_eq!((told["type"].as_str(), told["queue"].as_str()), (Some("queued"), Some("general")));
            assert_eq!((told["call"].as_str(), told["at_ms"].as_i64()), (Some("c0-1-1"), Some(5)));
            assert_eq!(told["case"]["caller"].as_str().map(str::to_owned), caller(call.as_ref()));
        }
    }
}
