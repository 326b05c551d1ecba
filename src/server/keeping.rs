//! What is old goes, while calls run: a thread of its own looks once an hour, and removes in small portions.
//!
//! ```text
//!  [keep]  ──▶ events (log)   not before the records and the ticketing system have them, never what is open
//!          ──▶ records        what has ended
//!          ──▶ texts          the log's own thread erases them (`store`)
//! ```
//!
//! **A clock that jumps.** Events have the time of the start and what has passed since, so a jump changes no call and no
//! interval. What is old is judged by the last event in the log, never by the clock alone: a clock that is a year ahead
//! removes nothing that was made in that year. A jump is told, counted, and stops removing until the next start.
//!
//! `tierline keep` does one pass and ends, also beside a server.

use super::clock::{self, Clock};
use super::{records, store};
use crate::config::KeepSettings;
use crate::stats::Sample;
use crate::stats::families as f;
use crate::time::{Instant, Wall};
use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the clock is looked at …
const LOOK: Duration = Duration::from_secs(10);
/// … and what is old.
const EVERY: Duration = Duration::from_secs(3600);
/// The log's writer has the file for itself between two portions.
const BREATH: Duration = Duration::from_millis(20);
/// The clock is kept right by less than this at a time.
const JUMP: i64 = 1_000;
/// A machine that was off for longer is asked about: its clock may be wrong.
const ABSENCE: i64 = 30 * 86_400_000;

/// What is kept for how long, and by whom it is needed.
#[derive(Clone, Debug)]
pub struct Plan {
    pub data: PathBuf,
    pub keep: KeepSettings,
    /// Tickets are told from the log.
    pub ticketing: bool,
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    pub events: u64,
    pub rows: u64,
}

/// One pass; `goes_on` is asked between portions.
///
/// # Errors
/// A file cannot be read or written; what was removed before stays so.
pub fn pass(plan: &Plan, goes_on: &mut dyn FnMut(Removed) -> bool) -> Result<Removed> {
    let mut removed = Removed::default();
    let Some(reader) = store::Reader::open(&plan.data)? else { return Ok(removed) };
    let Some(last) = reader.at(reader.last()?)? else { return Ok(removed) };
    drop(reader);
    let before = |kept: Duration| Wall(last.0.saturating_sub(i64::try_from(kept.as_millis()).unwrap_or(i64::MAX)));
    let mut log = store::Pruner::open(&plan.data, before(plan.keep.events), needed(plan)?)?;
    while let Some(events) = log.portion().context("the log")? {
        removed.events += events;
        if !goes_on(removed) {
            return Ok(removed);
        }
    }
    let Some(mut rows) = records::Pruner::open(&plan.data, before(plan.keep.records))? else { return Ok(removed) };
    while let Some(more) = rows.portion().context("the records")? {
        removed.rows += more;
        if !goes_on(removed) {
            break;
        }
    }
    Ok(removed)
}

/// The first event that somebody has not taken in yet.
fn needed(plan: &Plan) -> Result<u64> {
    // Without records nothing was taken in.
    let folded = written(&records::file(&plan.data), "event")?.unwrap_or(0) + 1;
    let told = match plan.ticketing {
        true => {
            let file = plan.data.join("ticketing.db");
            // Calls that were put aside are read apart, from before where a start begins.
            written(&file, "needed")?.or(written(&file, "low")?).unwrap_or(1)
        }
        false => u64::MAX,
    };
    Ok(folded.min(told))
}

/// A number in a file's table `meta`.
fn written(file: &Path, key: &str) -> Result<Option<u64>> {
    if !file.try_exists()? {
        return Ok(None);
    }
    let conn = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    let value = conn.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get::<_, i64>(0));
    Ok(value.optional()?.map(|value| value as u64))
}

/// The difference between the clock and the time that has passed: it stays, but for jumps.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    offset: i64,
}

impl Watch {
    pub fn new(now: Instant, wall: Wall) -> Watch {
        Watch { offset: offset(now, wall) }
    }

    /// By how many milliseconds the clock has jumped since the last look; none if it has not.
    pub fn look(&mut self, now: Instant, wall: Wall) -> Option<i64> {
        let jump = offset(now, wall) - self.offset;
        // What is kept right bit by bit never adds up to a jump.
        self.offset += jump;
        (jump.abs() > JUMP).then_some(jump)
    }
}

fn offset(now: Instant, wall: Wall) -> i64 {
    wall.0 - i64::try_from(now.0 / 1_000_000).unwrap_or(i64::MAX)
}

/// What is told of keeping.
#[derive(Debug, Default)]
pub struct Counts {
    events: AtomicU64,
    rows: AtomicU64,
    failures: AtomicU64,
    jumps: AtomicU64,
    /// All jumps together, in milliseconds.
    jumped: AtomicI64,
    paused: AtomicBool,
}

impl Counts {
    pub fn samples(&self) -> [Sample; 6] {
        let count = |value: &AtomicU64| value.load(Relaxed);
        [
            f::KEEP_EVENTS.count([], count(&self.events)),
            f::KEEP_ROWS.count([], count(&self.rows)),
            f::KEEP_FAILURES.count([], count(&self.failures)),
            f::KEEP_PAUSED.flag([], self.paused.load(Relaxed)),
            f::CLOCK_JUMPS.count([], count(&self.jumps)),
            f::CLOCK_JUMPED.sample([], self.jumped.load(Relaxed) as f64 / 1000.0),
        ]
    }
}

/// The thread as it runs; dropping it stops it between two portions.
pub struct Keeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    pub counts: Arc<Counts>,
}

impl Keeper {
    /// `last`: when the last event before this start was.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(plan: Plan, clock: Clock, last: Option<Wall>) -> Result<Keeper> {
        let counts = Arc::<Counts>::default();
        let (stop, stopped) = channel();
        let absent = last.is_some_and(|last| clock::wall().0 - last.0 > ABSENCE);
        if absent {
            eprintln!(
                "tierline: the log's last event was more than 30 days ago: nothing old is removed until the next start; \
                 if the clock is right, `tierline keep` removes it now"
            );
        }
        counts.paused.store(absent, Relaxed);
        let mut clerk =
            Clerk { plan, clock, watch: Watch::new(clock.now(), clock::wall()), counts: Arc::clone(&counts) };
        let thread = std::thread::Builder::new().name("keeping".into()).spawn(move || clerk.run(&stopped))?;
        Ok(Keeper { stop: Some(stop), thread: Some(thread), counts })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().map(JoinHandle::join);
    }
}

struct Clerk {
    plan: Plan,
    clock: Clock,
    watch: Watch,
    counts: Arc<Counts>,
}

impl Clerk {
    fn run(&mut self, stopped: &Receiver<()>) {
        let mut due = self.clock.now();
        loop {
            if let Some(jump) = self.watch.look(self.clock.now(), clock::wall()) {
                self.jumped(jump);
            }
            if self.clock.now() >= due {
                due = self.clock.now() + EVERY;
                if !self.counts.paused.load(Relaxed) {
                    self.remove(stopped);
                }
            }
            if rests(stopped, LOOK) {
                return;
            }
        }
    }

    fn jumped(&self, jump: i64) {
        self.counts.jumps.fetch_add(1, Relaxed);
        self.counts.jumped.fetch_add(jump, Relaxed);
        self.counts.paused.store(true, Relaxed);
        eprintln!(
            "tierline: the clock has jumped by {:.1} s; calls go on, and events keep the time of the start. Nothing old is \
             removed until the next start: start again when the clock is right",
            jump as f64 / 1000.0
        );
    }

    fn remove(&self, stopped: &Receiver<()>) {
        let mut before = Removed::default();
        let removed = pass(&self.plan, &mut |now| {
            self.counts.events.fetch_add(now.events - before.events, Relaxed);
            self.counts.rows.fetch_add(now.rows - before.rows, Relaxed);
            before = now;
            !rests(stopped, BREATH)
        });
        if let Err(why) = removed {
            self.counts.failures.fetch_add(1, Relaxed);
            eprintln!("tierline: what is old could not be removed: {why:#}; it is tried again in an hour");
        }
    }
}

/// Waits; true if it is to stop.
fn rests(stopped: &Receiver<()>, pause: Duration) -> bool {
    stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout)
}

/// `tierline keep`: one pass, to its end.
///
/// # Errors
/// As [`pass`].
pub fn now(config: Option<&Path>, data: Option<PathBuf>) -> Result<String> {
    let loaded = crate::config::load(config).map_err(|refused| anyhow::anyhow!("{}", refused.problems))?;
    let server = loaded.server;
    let plan = Plan { data: data.unwrap_or(server.data), keep: server.keep, ticketing: server.ticketing.is_some() };
    let Removed { events, rows } = pass(&plan, &mut |_| true)?;
    Ok(format!("removed {events} events from the log and {rows} rows from the records in {}\n", plan.data.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_is_noticed_and_one_that_is_kept_right_is_not() {
        let second = |n: u64| Instant(n * 1_000_000_000);
        let wall = |ms: i64| Wall(1_790_000_000_000 + ms);
        let mut watch = Watch::new(second(5), wall(0));
        assert_eq!(watch.look(second(15), wall(10_000)), None);
        assert_eq!(watch.look(second(25), wall(20_400)), None, "slewed by 400 ms");
        assert_eq!(watch.look(second(35), wall(30_800)), None);
        assert_eq!(watch.look(second(45), wall(41_200)), None, "1.2 s in all, but never at once");
        assert_eq!(watch.look(second(55), wall(3_651_200)), Some(3_600_000));
        assert_eq!(watch.look(second(65), wall(3_661_200)), None, "a jump is told once");
        assert_eq!(watch.look(second(75), wall(71_200)), Some(-3_600_000));
    }
}
