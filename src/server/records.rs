//! The records on disk: the log folded into the tables of `records.db`, beside `events.db`.
//!
//! ```text
//!  events.db ── what is committed ──▶ records (thread) ──▶ records.db ◀── reports, each on its own connection
//! ```
//!
//! **A file of its own**, filled by a follower of the log: the log's writer has to be quick and syncs each group, and a
//! report that reads a million rows would hold up the log's own checkpoints. What is here can be made anew, so it is
//! not synced with each transaction.
//!
//! **A kill never leaves records that differ from a rebuild.** The rows of a portion of the log, what is open after it,
//! and its last event's number are one transaction. Whoever goes on begins with that number: the thread of a server, or who
//! folds beside it, or both in turn, since each first looks whether the other has moved it.
//!
//! Left out: retention, which is in `keeping`.
#![allow(clippy::disallowed_methods, reason = "the shell reads the clock")]

mod anew;
pub mod follow;
mod gap;
mod hold;
mod lag;
mod prune;
mod schema;

pub use follow::Follower;
pub use gap::Gap;
pub use hold::while_held;
pub use lag::{Behind, Extent};
pub use prune::Pruner;
pub use schema::file;

use super::aside::{self, Foreign};
use super::clock::{self, EventTime};
use super::journal::{Entry, Value as Told};
use super::progress::Progress;
use super::store::{OfLog, Reader, Recent};
use crate::event::{Event, What};
use crate::ids::{AgentId, CallId};
use crate::records::schema::TABLES;
use crate::records::{Cell, Fold, Interval, OpenCall, Row};
use crate::time::Wall;
use anyhow::{Context, Result, ensure};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, ToSql, TransactionBehavior, params};
use std::collections::BTreeSet;
use std::path::Path;

/// In `meta`: what the clock on the wall showed at the last event.
const WALL: &str = "wall";
/// In `meta`: when the last event was, by which it is known again.
const STAMP: &str = "stamp";

/// In `meta`: rows of what ended before this are not here any more, or never were: they were old, or the log they were to be
/// made of began later. 0 or not there: all rows are.
const FROM: &str = "from";
/// In `meta`: how often all that was written was made safe.
const SAFE: &str = "safe";

/// Events in one transaction. A server's thread has fewer at hand.
const PORTION: usize = 10_000;

/// The writing side.
pub struct Records {
    conn: Connection,
    fold: Fold,
    /// The last event that is folded.
    seq: u64,
    /// The last event that was removed from the log because it was old, as far as that is known.
    removed: u64,
    /// The fold is ahead of the file: a transaction failed.
    torn: bool,
    /// The time that events have, where a server makes them.
    time: Option<EventTime>,
    /// What was committed a moment ago, where a server writes the log.
    recent: Recent,
}

impl Records {
    /// Opens or creates the records in `dir`; those of an older version are brought to this one.
    ///
    /// # Errors
    /// The file cannot be written, is none of ours, or a newer Tierline wrote it.
    pub fn open(dir: &Path) -> Result<Records> {
        let conn = schema::open(dir)?;
        let (fold, recent) = Default::default();
        let mut records = Records { conn, fold, seq: 0, removed: 0, torn: true, time: None, recent };
        records.look()?;
        Ok(records)
    }

    /// The same, by who makes the events: their clock is `time`.
    ///
    /// # Errors
    /// As [`Records::open`].
    pub fn open_with(dir: &Path, time: EventTime) -> Result<Records> {
        Ok(Records { time: Some(time), ..Records::open(dir)? })
    }

    /// Those of this log. A file that is damaged, or holds what is not in the log, is put aside, and all is made anew, as
    /// far as the log reaches.
    ///
    /// # Errors
    /// As [`Records::open`], but for that.
    pub fn of(dir: &Path, log: &Reader) -> Result<Records> {
        let opened = Records::open(dir).and_then(|records| records.fits(log).map(|()| records));
        match opened {
            Err(why) if aside::is_useless(&why) => {
                put_aside(dir, &why)?;
                let records = Records::open(dir)?;
                records.fits(log)?;
                Ok(records)
            }
            opened => opened,
        }
    }

    /// Whether the last event that is folded is the one in the log: a log that was put back from a copy, or begun anew, has
    /// another one of that number, or none yet.
    fn fits(&self, log: &Reader) -> Result<()> {
        let removed = log.removed()?;
        if self.lacks(removed) {
            let lacks =
                Entry::error("records", "the log begins behind the records: what was removed from it is not in them");
            lacks.with("up_to", removed).tell();
        }
        let stamp = self.conn.query_row("SELECT value FROM meta WHERE key = ?1", [STAMP], |row| row.get::<_, i64>(0));
        let Some(stamp) = stamp.optional()?.filter(|stamp| *stamp != 0 && self.seq > removed) else { return Ok(()) };
        ensure!(
            log.at(self.seq)? == Some(Wall(stamp)),
            Foreign(format!("they end with an event {} that is not in this log", self.seq))
        );
        Ok(())
    }

    /// Something is gone from the log that was never in these records: they are new, or step back behind it.
    fn lacks(&self, removed: u64) -> bool {
        removed > self.seq
    }

    /// The last event that is in the records.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Folds what the log has, until its end or until `goes_on`, which is told after each portion how far it is and
    /// where the end is, says no.
    ///
    /// # Errors
    /// The log cannot be read, or the records not be written.
    pub fn catch_up(&mut self, log: &Reader, goes_on: &mut dyn FnMut(u64, u64) -> bool) -> Result<()> {
        loop {
            let mut events = self.recent.take(self.seq, PORTION);
            if events.is_empty() {
                events = log.bare_after(self.seq, PORTION)?;
            }
            match events.is_empty() {
                // Another process may have begun anew.
                true if position(&self.conn, "event")? as u64 == self.seq => return Ok(()),
                true => self.look()?,
                false => {
                    self.removed = log.removed()?;
                    self.take(&events)?;
                }
            }
            if !goes_on(self.seq, log.last()?) {
                return Ok(());
            }
        }
    }

    /// Folds `events`, which follow [`Records::seq`], in one transaction. None of them if another process has moved the
    /// records meanwhile; then `seq` says where they are.
    ///
    /// # Errors
    /// SQLite's; then nothing of it is written.
    pub fn take(&mut self, events: &[Event]) -> Result<()> {
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let seq = position(&tx, "event")? as u64;
        if self.torn || seq != self.seq {
            let moved = seq != self.seq;
            (self.fold, self.seq) = (read_state(&tx)?, seq);
            self.torn = false;
            if moved {
                return Ok(());
            }
        }
        self.torn = true;
        let mut rows = Vec::new();
        let last_at = self.fold.last();
        events.iter().for_each(|event| self.fold.apply(event, &mut rows));
        insert(&tx, &rows)?;
        write_state(&tx, &self.fold, events)?;
        note_gaps(&tx, (self.seq, last_at), self.removed, events)?;
        let last = events.last().map_or(self.seq, |event| event.seq);
        let mut moved = tx.prepare_cached("UPDATE meta SET value = ?2 WHERE key = ?1")?;
        moved.execute(params!["event", last as i64])?;
        moved.execute(params!["last", self.fold.last().0])?;
        drop(moved);
        let mut wall = tx.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?;
        wall.execute(params![WALL, shown_at(self.fold.last(), self.time).0])?;
        wall.execute(params![STAMP, events.last().map_or(0, |event| event.at.0)])?;
        drop(wall);
        tx.commit()?;
        (self.seq, self.torn) = (last, false);
        Ok(())
    }

    fn look(&mut self) -> Result<()> {
        let tx = self.conn.transaction()?;
        self.seq = position(&tx, "event")? as u64;
        self.fold = read_state(&tx)?;
        self.torn = false;
        Ok(())
    }
}

/// What the clock on the wall showed at an event. Without who made it nobody knows of a jump.
fn shown_at(event: Wall, time: Option<EventTime>) -> Wall {
    time.map_or(event, |time| Wall(clock::wall().0.saturating_sub(time.now().0.saturating_sub(event.0))))
}

fn position(conn: &Connection, key: &str) -> Result<i64> {
    Ok(conn.prepare_cached("SELECT value FROM meta WHERE key = ?1")?.query_row([key], |row| row.get(0))?)
}

/// Rows of what ended before `at` are missing.
fn complete_from(conn: &Connection, at: Wall) -> rusqlite::Result<()> {
    let sql = "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT(key) DO UPDATE SET value = max(value, ?2)";
    conn.prepare_cached(sql)?.execute(params![FROM, at.0])?;
    Ok(())
}

/// What lies before a gap was removed from the log, if that is so; if not, what lies in it was never written. `before`: the
/// event before the first.
fn note_gaps(tx: &Connection, mut before: (u64, Wall), removed: u64, events: &[Event]) -> rusqlite::Result<()> {
    for event in events {
        let (seq, at) = std::mem::replace(&mut before, (event.seq, event.at));
        if event.seq > seq + 1 {
            match removed > seq {
                true => complete_from(tx, event.at)?,
                false => gap::note(tx, seq, &Gap { count: event.seq - seq - 1, began: at, ended: event.at })?,
            }
        }
    }
    Ok(())
}

/// Tells of it, too.
fn put_aside(dir: &Path, why: &anyhow::Error) -> Result<()> {
    let place = aside::put(&file(dir))?;
    let told = "the records cannot be used; they are put aside and made anew from the log, as far as that reaches";
    Entry::error("records", told).with("why", why).with("aside", place.as_path()).tell();
    Ok(())
}

/// The last event that is in the records; 0 if there are none, or they cannot be read.
fn place(data: &Path) -> u64 {
    let conn = schema::open_to_read(data).ok().flatten();
    conn.and_then(|conn| position(&conn, "event").ok()).map_or(0, |seq| seq as u64)
}

/// Table by table: its pages and its statement stay at hand.
fn insert(conn: &Connection, rows: &[Row]) -> Result<()> {
    for table in TABLES {
        let mut insert = conn.prepare_cached(schema::insert(table))?;
        for row in rows.iter().filter(|row| row.table().name == table.name) {
            insert.execute(rusqlite::params_from_iter(row.cells().iter()))?;
        }
    }
    Ok(())
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Cell::Null => ToSqlOutput::Owned(Value::Null),
            Cell::Int(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Cell::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

/// What is open, as far as `events` changed it.
fn write_state(conn: &Connection, fold: &Fold, events: &[Event]) -> Result<()> {
    let mut put = conn.prepare_cached("INSERT OR REPLACE INTO state VALUES (?1, ?2)")?;
    let mut drop = conn.prepare_cached("DELETE FROM state WHERE key = ?1")?;
    let calls: BTreeSet<CallId> = events.iter().filter_map(|event| event.call).collect();
    let restarted = events.iter().any(|event| matches!(event.what, What::EngineStarted { .. }));
    let running = fold.calls().map(|open| open.record.call).filter(|_| restarted);
    for id in calls.into_iter().chain(running) {
        match fold.call(id) {
            Some(open) => put.execute(params![format!("call {id}"), serde_json::to_string(open)?])?,
            None => drop.execute([format!("call {id}")])?,
        };
    }
    let mut agents: BTreeSet<AgentId> = events.iter().filter_map(changed).collect();
    if restarted {
        agents.extend(fold.agents(Wall(0)).map(|open| open.agent));
    }
    for open in agents.into_iter().filter_map(|agent| fold.agent(agent)) {
        put.execute(params![format!("agent {}", open.agent), serde_json::to_string(open)?])?;
    }
    Ok(())
}

/// All that is open, where nothing stands yet.
fn write_open<'a>(
    conn: &Connection,
    calls: impl Iterator<Item = &'a OpenCall>,
    agents: impl Iterator<Item = Interval>,
) -> Result<()> {
    let mut put = conn.prepare_cached("INSERT OR REPLACE INTO state VALUES (?1, ?2)")?;
    for open in calls {
        put.execute(params![format!("call {}", open.record.call), serde_json::to_string(open)?])?;
    }
    for open in agents {
        put.execute(params![format!("agent {}", open.agent), serde_json::to_string(&open)?])?;
    }
    Ok(())
}

fn changed(event: &Event) -> Option<AgentId> {
    match &event.what {
        What::AgentStateChanged { agent, .. }
        | What::AgentReachable { agent, .. }
        | What::Established { agent, .. } => Some(*agent),
        _ => None,
    }
}

fn read_state(conn: &Connection) -> Result<Fold> {
    let (mut calls, mut agents) = (Vec::<OpenCall>::new(), Vec::<Interval>::new());
    let mut query = conn.prepare_cached("SELECT key, value FROM state ORDER BY key")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let (key, value): (String, String) = (row.get(0)?, row.get(1)?);
        let read = match key.starts_with("call ") {
            true => serde_json::from_str(&value).map(|open| calls.push(open)),
            false => serde_json::from_str(&value).map(|open| agents.push(open)),
        };
        // It stands there until its call ends or its agent does something else. All other rows go on.
        if let Err(why) = read {
            let lost = "what is open in the records cannot be read, and will be missing in them; `tierline records \
                        rebuild` makes all anew";
            Entry::error("records", lost).with("of", Told::written(&key)).with("why", &anyhow::Error::from(why)).tell();
        }
    }
    Ok(Fold::resume(calls, agents, Wall(position(conn, "last")?)))
}

/// Brings the records up to the log where no server does.
///
/// # Errors
/// There is no log in `data` ([`super::store::NoLog`]), or something cannot be read or written.
pub fn bring_up(data: &Path) -> Result<()> {
    let log = Reader::of(data)?;
    // One that has just started may be about to make them.
    if super::store::in_use(data).is_some() && schema::open_to_read(data).is_ok_and(|conn| conn.is_some()) {
        return Ok(());
    }
    let mut progress = Progress::new("records: events");
    Records::of(data, &log)?.catch_up(&log, &mut |done, of| progress.shows(done, of))?;
    progress.end();
    Ok(())
}

/// The records, to be read.
///
/// # Errors
/// There are none, or they cannot be read.
pub fn reading(data: &Path) -> Result<Connection> {
    schema::open_to_read(data)?.context("there are no records yet; `tierline records rebuild` makes them")
}

/// The agents' present intervals, as they began, and when the last event was.
///
/// # Errors
/// They cannot be read.
pub fn present(conn: &Connection) -> Result<(Vec<Interval>, Wall)> {
    let mut query = conn.prepare("SELECT value FROM state WHERE key LIKE 'agent %'")?;
    let mut open = Vec::new();
    for value in query.query_map([], |row| row.get::<_, String>(0))? {
        open.extend(serde_json::from_str::<Interval>(&value?)); // who follows the log tells of those that cannot be read
    }
    Ok((open, Wall(position(conn, "last")?)))
}

/// The present moment on the events' clock: the last event's, and what has passed since on the wall. A jump of that clock
/// is in it until the next event, and no longer.
///
/// # Errors
/// They cannot be read.
pub fn now(conn: &Connection) -> Result<Wall> {
    let last = position(conn, "last")?;
    let written = conn.query_row("SELECT value FROM meta WHERE key = ?1", [WALL], |row| row.get::<_, i64>(0));
    let since = clock::wall().0.saturating_sub(written.optional()?.unwrap_or(last)).max(0);
    Ok(Wall(last.saturating_add(since)))
}

/// The calls that run.
///
/// # Errors
/// They cannot be read.
pub fn running(conn: &Connection) -> Result<Vec<OpenCall>> {
    let mut query = conn.prepare("SELECT value FROM state WHERE key LIKE 'call %'")?;
    let mut open = Vec::new();
    for value in query.query_map([], |row| row.get::<_, String>(0))? {
        open.extend(serde_json::from_str::<OpenCall>(&value?));
    }
    Ok(open)
}

/// `tierline records rebuild`: makes all records anew of which the log has what they are made of; says how many rows there are.
///
/// # Errors
/// There is no log in `data` ([`super::store::NoLog`]), or something cannot be read or written; then the records are as before.
pub fn rebuild(data: &Path) -> Result<String> {
    let log = Reader::of(data)?;
    match Records::of(data, &log) {
        // What is open in it is of another form: it is not needed.
        Err(why) if file(data).exists() && !why.is::<OfLog>() => _ = schema::open(data)?,
        opened => {
            let mut progress = Progress::new("records are brought up to the log: events");
            opened?.catch_up(&log, &mut |done, of| progress.shows(done, of))?;
            progress.end();
        }
    }
    let mut progress = Progress::new("records: events");
    anew::rebuild(data, &log, &mut |done, of| _ = progress.shows(done, of))?;
    progress.end();
    status(data)
}

/// How far the records are, read where they are read from.
///
/// # Errors
/// There is no log in `data` ([`super::store::NoLog`]), or something cannot be read.
pub fn extent(data: &Path, conn: &Connection) -> Result<Extent> {
    Extent::of(conn, &Reader::of(data)?)
}

/// `tierline records status`: how far the records are, and how many rows each table has.
///
/// # Errors
/// There is no log in `data` ([`super::store::NoLog`]), or something cannot be read.
pub fn status(data: &Path) -> Result<String> {
    let last = Reader::of(data)?.last()?;
    let Some(conn) = schema::open_to_read(data)? else {
        return Ok(format!("no records yet; the log has {last} events\n"));
    };
    let extent = extent(data, &conn)?;
    let shown = |wall: Wall| wall.to_string();
    let always = (Wall(i64::MIN), Wall(i64::MAX));
    let lacking: String = extent.lacking(always, &shown).into_iter().map(|told| told + "\n").collect();
    let mut told = format!("records of {} events; the log has {last}\n{lacking}{}\n", extent.seq, extent.told(&shown));
    for table in TABLES {
        let count: i64 = conn.query_row(&format!("SELECT count(*) FROM {}", table.name), [], |row| row.get(0))?;
        told += &format!("{:<16}{count:>12}\n", table.name);
    }
    Ok(told)
}

/// `tierline records schema`: the tables, described.
pub fn described() -> String {
    crate::records::schema::reference()
}

#[cfg(test)]
mod tests;
