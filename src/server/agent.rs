//! `tierline agent`: a desktop on the command line. What happens is printed, in words or as JSON; what is typed is asked.
//!
//! | file | what is in it |
//! |---|---|
//! | `typed` | lines that can be typed, and what each asks for |
//! | `plain`, `raw` | what happens, in words and as JSON |
//! | `own` | whether calls can come to who asks |
//! | `way` | the connection and the stream |
//!
//! Lines are asked one after the other: each waits for the answer of the one before. `wait NAME` waits until an event of
//! that name has come since the last `wait`, the agent's own or nobody's, so that a file of lines is a script. The first
//! line is asked when the snapshot has come: what is shown stands in the order in which it was so. A stream
//! that is cut goes on at its cursor. What is typed while the server is away is asked once it is back: by its key it is done
//! once, also where the answer was lost.
#![allow(clippy::disallowed_methods, reason = "the shell waits")]

mod own;
mod plain;
mod raw;
mod typed;
mod way;

use super::wrong::Wrong;
use super::{chance, clock, printing};
use crate::proto::{self, command::Ask, item, outcome};
use crate::server::printing::say;
use anyhow::{Context, Result, bail};
use own::Own;
use plain::Plain;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::IsTerminal;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;
use typed::Line;
pub use typed::words;
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
    /// Whatever comes is printed as JSON, a line each, in place of words.
    pub json: bool,
}

const HINT: &str = "Type what you want to do: `help` says what can be typed, `quit` ends.";

const LEAVE: &str = "Your desktop ends with this program. Where you have logged in at it, you get no more calls after a \
                     moment, also with your phone there: `desktop lost`. Come back to it, or ask for calls at your phone.";

/// How long the first snapshot is waited for before the first line is asked all the same.
const FIRST: Duration = Duration::from_secs(5);
/// How long an agent's new state may take to come after the answer to what he asked for.
const STATE: Duration = Duration::from_secs(1);
/// The pause before a stream that was cut is opened again.
const AGAIN: Duration = Duration::from_millis(300);

/// Runs until `quit`, the end of what is typed, or the last of `asks`; true if nothing was refused, or if who was told so at
/// his terminal has seen it.
///
/// # Errors
/// One of `asks` is not understood, and then nothing is asked; the server cannot be reached, or does not know the token.
pub fn run(settings: Settings) -> Result<bool> {
    let mistakes: Vec<String> = settings.asks.iter().filter_map(|line| typed::read(line).err()).collect();
    if !mistakes.is_empty() {
        return Err(Wrong(mistakes.join("\n")).into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let good = runtime.block_on(async {
        let desk = connect(&settings).await?;
        let (items, mut seen) = mpsc::channel(64);
        let watching = tokio::spawn(watch(desk.clone(), items));
        let typed = settings.asks.is_empty();
        let mut session = Session::new(desk, settings.json, typed);
        let mut lines = Lines::new(settings.asks);
        session.begin(&mut seen).await?;
        if typed && !settings.json {
            say!("{HINT}");
        }
        loop {
            let ended = tokio::select! {
                line = lines.next() => match line? {
                    Some(line) => session.line(&line, &mut seen).await?,
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
        session.takes_leave();
        watching.abort();
        Ok(session.ended_well(typed && std::io::stdin().is_terminal()))
    });
    runtime.shutdown_background(); // a read of the terminal cannot be taken back
    good
}

/// Asks one thing and looks at nothing; true if it was not refused.
///
/// # Errors
/// As [`run`].
pub fn once(settings: &Settings, line: &str) -> Result<bool> {
    let Line::Ask(ask) = typed::read(line).map_err(Wrong)? else { bail!("`{line}` asks for nothing") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let desk = connect(settings).await?;
        let mut session = Session::new(desk, settings.json, false);
        match session.answer(ask).await? {
            outcome::Result::Refused(refused) if is_wrong_value(refused.why()) => Err(Wrong(refused.text).into()),
            outcome::Result::Refused(refused) => {
                session.show_refused(line, refused.why().as_str_name(), &refused.text);
                Ok(false)
            }
            outcome::Result::Done(_) => {
                session.show_done(line, None, None);
                Ok(true)
            }
        }
    })
}

/// Asking once more for the same cannot help.
fn is_wrong_value(why: proto::Refusal) -> bool {
    why == proto::Refusal::NoSuchBanner
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
    plain: Plain,
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
            plain: Plain::new(clock::local),
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
        match typed::read(line) {
            Ok(Line::Nothing) => {}
            Ok(Line::Quit) => return Ok(true),
            Ok(Line::Help(help)) => say!("{help}"),
            Ok(Line::Wait { event, limit }) => self.wait(line, (&event, limit), items).await?,
            Ok(Line::Ask(ask)) => self.ask(line, ask, items).await?,
            Err(why) => {
                self.refused = true;
                eprintln!("{why}");
            }
        }
        Ok(false)
    }

    /// Until the event has come, for so long at most; whoever looks on is told what is waited for.
    async fn wait(&mut self, line: &str, (name, limit): (&str, Option<Duration>), items: &mut Items) -> Result<()> {
        let has_come = |seen: &VecDeque<String>| seen.iter().position(|seen| seen == name);
        if has_come(&self.seen).is_none() && !self.json {
            say!("  waits for {name}");
        }
        let until = limit.map(|limit| tokio::time::Instant::now() + limit);
        loop {
            if let Some(last) = has_come(&self.seen) {
                self.seen.drain(..=last);
                return Ok(());
            }
            let item = match until {
                Some(until) => tokio::time::timeout_at(until, items.recv()).await,
                None => Ok(items.recv().await),
            };
            match item {
                Ok(item) => self.show(&item.context("the stream ended")??),
                Err(_) => {
                    let text = format!("{name} has not come in {} s", limit.unwrap_or_default().as_secs());
                    self.show_refused(line, "NOT_COME", &text);
                    return Ok(());
                }
            }
        }
    }

    async fn ask(&mut self, line: &str, ask: Ask, items: &mut Items) -> Result<()> {
        let is_ready = matches!(ask, Ask::Ready(_));
        let later = self.own.later(&ask);
        match self.answer(ask).await? {
            outcome::Result::Refused(refused) => {
                self.show_refused(line, refused.why().as_str_name(), &refused.text);
            }
            outcome::Result::Done(_) => {
                let lacks = if is_ready { self.lacking(items).await? } else { None };
                self.show_done(line, lacks, later);
            }
        }
        Ok(())
    }

    async fn answer(&mut self, ask: Ask) -> Result<outcome::Result> {
        let key = chance::bytes::<12>()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let command = proto::Command { key, agent: 0, ask: Some(ask) };
        let outcome = self.done(command).await.map_err(|status| refused(&status))?;
        outcome.into_inner().result.context("the server's answer is empty")
    }

    /// Who ends this program ends his desktop, and hears of no call that does not come.
    fn takes_leave(&self) {
        if !self.json && self.own.may_get_calls() {
            eprintln!("{LEAVE}");
        }
    }

    /// Who types at a terminal has read what was refused; a script learns it by the exit code.
    fn ended_well(&self, at_terminal: bool) -> bool {
        at_terminal || !self.refused
    }

    fn show_refused(&mut self, line: &str, why: &str, text: &str) {
        self.refused = true;
        match self.json {
            true => say!("{}", json!({ "asked": line, "refused": why, "text": text })),
            false => say!("  refused: {text}"),
        }
    }

    fn show_done(&self, line: &str, lacks: Option<&str>, later: Option<&str>) {
        match (self.json, lacks, later) {
            (true, Some(lacks), _) => say!("{}", json!({ "asked": line, "done": true, "note": lacks })),
            (true, None, _) => say!("{}", json!({ "asked": line, "done": true })),
            (false, Some(lacks), _) => say!("  done; but {lacks}"),
            (false, None, Some(later)) => say!("  done; {later}"),
            (false, None, None) => say!("  done"),
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
        let Some(what) = &item.what else { return };
        let told = match what {
            item::What::Event(event) => raw::event(event),
            item::What::Snapshot(snapshot) => raw::snapshot(snapshot),
        };
        let name = told["type"].as_str().unwrap_or_default().to_owned();
        match self.json {
            true => say!("{told}"),
            false => self.plain.item(what, clock::wall().0).iter().for_each(|line| say!("{line}")),
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
