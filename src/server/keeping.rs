//! What is old goes, while calls run: a thread of its own looks once an hour, and removes in small portions.
//!
//! ```text
//!  [keep]  ──▶ events (log)   not before the records and the ticketing system have them, never what is open
//!          ──▶ records        what has ended
//!          ──▶ texts          the log's own thread erases them when it is asked to (`store`), or `tierline keep`
//! ```
//!
//! **A clock that is wrong.** Events have the time of the start and what has passed since, so a jump changes no call and
//! no interval. What is old is judged by the time that is believed ([`belief`]), the same at a start, every hour and in
//! `tierline keep`: a clock that stands years ahead removes nothing.
//!
//! `tierline keep` does one pass and ends, also beside a server.

pub mod belief;
mod clerk;

pub use clerk::{Counts, Keeper};

use super::place::meant;
use super::wrong::loaded;
use super::{clock, records, store};
use crate::config::KeepSettings;
use crate::time::{Instant, Wall};
use anyhow::{Context, Result, ensure};
use belief::Belief;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::path::{Path, PathBuf};
use std::time::Duration;

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

/// One pass as of `time`; `goes_on` is asked between portions.
///
/// # Errors
/// A file cannot be read or written; what was removed before stays so.
pub fn pass(plan: &Plan, time: Wall, goes_on: &mut dyn FnMut(Removed) -> bool) -> Result<Removed> {
    let mut removed = Removed::default();
    let Some(reader) = store::Reader::open(&plan.data)? else { return Ok(removed) };
    if reader.last()? == 0 {
        return Ok(removed);
    }
    drop(reader);
    let before = |kept: Duration| Wall(time.0.saturating_sub(i64::try_from(kept.as_millis()).unwrap_or(i64::MAX)));
    let mut log = store::Pruner::open(&plan.data, before(plan.keep.events), time)?;
    let mut portion = || {
        let needed = told(plan)?;
        records::while_held(&plan.data, |folded| log.portion(needed.min(folded + 1)).context("the log"))
    };
    while let Some(events) = portion()? {
        removed.events += events;
        if !goes_on(removed) {
            return Ok(removed);
        }
    }
    while log.texts().context("the log")?.is_some() {
        if !goes_on(removed) {
            return Ok(removed);
        }
    }
    let Some(mut rows) = records::Pruner::open(&plan.data, before(plan.keep.records), time)? else {
        return Ok(removed);
    };
    while let Some(more) = rows.portion().context("the records")? {
        removed.rows += more;
        if !goes_on(removed) {
            break;
        }
    }
    Ok(removed)
}

/// The first event that the ticketing system has not been told.
fn told(plan: &Plan) -> Result<u64> {
    if !plan.ticketing {
        return Ok(u64::MAX);
    }
    let file = plan.data.join("ticketing.db");
    // Calls that were put aside are read apart, from before where a start begins.
    Ok(written(&file, "needed")?.or(written(&file, "low")?).unwrap_or(1))
}

/// A number in a file's table `meta`.
fn written(file: &Path, key: &str) -> Result<Option<u64>> {
    if !file.try_exists()? {
        return Ok(None);
    }
    let conn = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    // Whoever makes the file may not have come to its tables yet.
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'meta'", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(None);
    }
    let value = conn.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get::<_, i64>(0));
    Ok(value.optional()?.map(|value| value as u64))
}

/// `tierline keep`: one pass, to its end. `believe`: whoever asks knows that the clock is right.
///
/// # Errors
/// As [`pass`]; or the clock is doubted, and then nothing is removed.
pub fn now(config: Option<&Path>, data: Option<PathBuf>, believe: bool) -> Result<String> {
    let server = loaded(config)?.server;
    let data = match data {
        Some(data) => data,
        None => meant(config, server.data)?,
    };
    let plan = Plan { data, keep: server.keep, ticketing: server.ticketing.is_some() };
    store::Reader::of(&plan.data)?;
    let Some(mark) = store::believed(&plan.data)? else {
        return Ok(format!("there is nothing in the log in {}\n", plan.data.display()));
    };
    let wall = clock::wall();
    let mut belief = Belief::new(Instant::ZERO, wall, Some(mark));
    if believe {
        store::write_believed(&plan.data, wall)?;
        belief.believe(Instant::ZERO, wall);
    }
    ensure!(
        belief.doubt().is_none(),
        "nothing is removed: the clock says {wall}, and the time that was believed last is {mark}; set the clock right, \
         or, if it is, say so with `--believe-clock`"
    );
    let time = belief.time(Instant::ZERO);
    let erased = store::erase_expired(&plan.data, texts(&plan.keep), time)?;
    let Removed { events, rows } = pass(&plan, time, &mut |_| true)?;
    ensure!(
        erased.emptied,
        "what is old is removed and erased, but somebody reads the log: copies remain in `{}-wal` until the next hour or stop",
        plan.data.join("events.db").display()
    );
    Ok(format!(
        "removed {events} events from the log and {rows} rows from the records, and erased {} numbers, keys and notes, in {}\n",
        erased.texts,
        plan.data.display()
    ))
}

/// How long texts are kept.
pub fn texts(keep: &KeepSettings) -> store::Keep {
    store::Keep { number: keep.numbers, digit: keep.digits, text: keep.texts }
}
