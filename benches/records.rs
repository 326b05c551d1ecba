//! A million calls in the records: how long it takes to fold them, and each report over all of them.
//!
//! `cargo bench --bench records [-- CALLS]`. 500 agents, ten queues, three lines, 20,000 calls a day for fifty days, made
//! up as events and folded as a server folds its log. Each report is made three times as `tierline report` makes it; the
//! quickest counts. Its memory is what the process has at most meanwhile that is no file's (RssAnon, looked at all the time).

#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant as Clock};
use tierline::event::{AgentMode, Cause, Event, OfferOutcome, Party, Personal, PersonalKind, Phase, What};
use tierline::ids::{AgentId, CallId, FlowId, LegId, LineId, QueueId, ReservationId, Rng, WorkId};
use tierline::server::records::{Records, file};
use tierline::server::report::{Asked, By, Format, Formula, Step, report};
use tierline::server::store::Store;
use tierline::time::Wall;

const CALLS: u64 = 1_000_000;
const PER_DAY: u64 = 20_000;
const AGENTS: u64 = 500;
const QUEUES: u64 = 10;
/// 2026-01-05T00:00:00Z.
const BEGIN: Wall = Wall(1_767_571_200_000);
/// A report is to be there within this, or to show how far it is.
const SOON: Duration = Duration::from_secs(1);

/// Makes up calls as events.
struct Crowd {
    rng: Rng,
    seq: u64,
    events: Vec<Event>,
}

impl Crowd {
    fn add(&mut self, at: Wall, call: Option<u64>, what: What) {
        self.seq += 1;
        self.events.push(Event { seq: self.seq, at, call: call.map(|n| CallId(1 << 32 | n)), what });
    }

    fn state(&mut self, at: Wall, agent: AgentId, from: AgentMode, to: AgentMode) {
        self.add(at, None, What::AgentStateChanged { agent, from, to, reason: format!("{to:?}") });
    }

    fn call(&mut self, n: u64) {
        let ms = |n: u64| Duration::from_millis(n);
        let at = BEGIN + ms(n * 86_400_000 / PER_DAY);
        let (leg, rung, work) = (LegId(2 * n), LegId(2 * n + 1), WorkId(n));
        let queue = QueueId::new(&format!("queue-{}", self.rng.below(QUEUES)));
        let (line, flow) = (LineId::new(["main", "orders", "help"][n as usize % 3]), FlowId::new("main"));
        let caller = Personal { kind: PersonalKind::Number, handle: n, text: None };
        let (language, line) = ("en".to_owned(), Some(line));
        self.add(
            at,
            Some(n),
            What::CallArrived { leg, line, by_agent: None, trunk: None, private: false, language, caller },
        );
        for step in ["welcome", "menu", "wait"] {
            self.add(at + ms(100), Some(n), What::StepEntered { flow: flow.clone(), step: step.to_owned() });
        }
        let at = at + ms(8_000);
        let skills = BTreeMap::new();
        self.add(
            at,
            Some(n),
            What::Queued { work, queue: queue.clone(), priority: 0, skills, again: false, served: Duration::ZERO },
        );
        let (agent, reservation) = (AgentId(1_001 + (n % AGENTS) as u32), ReservationId(n));
        let waits = ms(self.rng.below(40_000));
        let answered = self.rng.chance(0.93);
        let end = if answered { at + waits + ms(60_000 + self.rng.below(200_000)) } else { at + waits };
        if answered {
            let why = "longest idle (312 s) of 5; waited 20 s".to_owned();
            self.state(at, agent, AgentMode::Ready, AgentMode::Reserved);
            self.add(at, Some(n), What::Delivered { work, reservation, agent, leg: rung, why });
            let outcome = OfferOutcome::Accepted;
            self.add(at + waits, Some(n), What::OfferEnded { work, reservation, agent, outcome });
            self.state(at + waits, agent, AgentMode::Reserved, AgentMode::Busy);
            self.add(
                at + waits,
                Some(n),
                What::Established { work, queue, agent, leg: rung, waited: waits, told: None },
            );
        }
        let cause = Cause::CallerHungUp;
        self.add(end, Some(n), What::ConnectionCleared { leg, party: Party::Caller, cause });
        if answered {
            self.add(end, Some(n), What::ConnectionCleared { leg: rung, party: Party::Agent(agent), cause });
            self.state(end, agent, AgentMode::Busy, AgentMode::WrapUp);
            self.state(end + ms(15_000), agent, AgentMode::WrapUp, AgentMode::Ready);
        }
        self.add(end, Some(n), What::CallEnded { cause, phase: Phase::Connected });
    }
}

/// Folds so many calls; how many events they are, and the last of them.
fn fill(dir: &Path, calls: u64) -> (u64, Option<Event>) {
    let mut records = Records::open(dir).expect("a new file");
    let mut crowd = Crowd { rng: Rng::from_number(1), seq: 0, events: Vec::new() };
    let mut last = None;
    for n in 1..=calls {
        crowd.call(n);
        if crowd.events.len() > 10_000 || n == calls {
            let events = std::mem::take(&mut crowd.events);
            records.take(&events).expect("the records can be written");
            last = events.last().cloned();
        }
    }
    (crowd.seq, last)
}

/// What is written is counted and forgotten.
struct Lines(usize);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.iter().filter(|byte| **byte == b'\n').count();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn told(what: &str, took: Duration, verdict: &str) {
    println!("{what:<44} {:>8.2} s  {verdict}", took.as_secs_f64());
}

/// Memory of this process that is no file's, in MB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib * 1_024 / 1_000_000)
}

/// Runs it, and says how long it took and how much memory there was at most.
fn measured(run: impl FnOnce()) -> (Duration, u64) {
    let (done, most) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                most.fetch_max(memory(), Relaxed);
                std::thread::park_timeout(Duration::from_millis(5));
            }
        });
        let begun = Clock::now();
        run();
        let took = begun.elapsed();
        done.store(true, Relaxed);
        (took, most.load(Relaxed))
    })
}

fn main() {
    let calls = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(CALLS);
    let dir: PathBuf = std::env::temp_dir().join(format!("tierline-bench-records-{}", std::process::id()));
    _ = std::fs::remove_dir_all(&dir);
    let log = Store::open(&dir, 0).expect("a new log").store;
    let begun = Clock::now();
    let (events, last) = fill(&dir, calls);
    let took = begun.elapsed();
    // Records are believed only beside the log that has their last event.
    log.append(last.into_iter().collect());
    log.flush().expect("room on the disk");
    drop(log);
    let size = std::fs::metadata(file(&dir)).map_or(0, |file| file.len());
    let bytes = size / calls.max(1);
    println!("{calls} calls, {events} events: {} MB, {bytes} bytes a call", size / 1_000_000);
    told("folded and written", took, &format!("{:.0} events/s", events as f64 / took.as_secs_f64()));
    let end = BEGIN + Duration::from_secs((calls / PER_DAY + 1) * 86_400);
    for by in [By::Queue, By::Agent, By::Line, By::Flow] {
        for step in [None, Some(Step::Week), Some(Step::Day), Some(Step::Hour), Some(Step::Quarter)] {
            let asked = Asked {
                by,
                step,
                from: Some(BEGIN.to_string()[..19].to_owned() + "Z"),
                to: Some(end.to_string()[..19].to_owned() + "Z"),
                zone: Some("Europe/Berlin".to_owned()),
                only: None,
                formula: Formula::default(),
                target: Some(Duration::from_secs(20)),
                short: Some(Duration::from_secs(5)),
                config: None,
                format: Format::Csv,
            };
            let each = (0..3).map(|_| {
                measured(|| {
                    let report = report(&dir, &asked).expect("a report");
                    let mut lines = Lines(0);
                    write!(lines, "{report}").expect("it is written");
                    assert!(lines.0 > 1, "a report of {calls} calls has rows");
                })
            });
            let (best, memory) = each.min().unwrap_or_default();
            let verdict = if best < SOON { "under a second" } else { "with progress" };
            let verdict = format!("{memory:>4} MB  {verdict}");
            told(&format!("report {by:?} by {}", step.map_or("whole time", Step::name)), best, &verdict);
        }
    }
    _ = std::fs::remove_dir_all(&dir);
}
