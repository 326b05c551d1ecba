//! Reading the log: on connections of its own, beside a running writer or without one.

use super::{schema, slots, unusable};
use crate::event::{Event, What};
use crate::ids::CallId;
use crate::log;
use crate::time::Wall;
use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};
use std::fmt;
use std::path::{Path, PathBuf};

/// A reading connection. Never writes, and holds up the writer only while that empties the write-ahead log (hourly),
/// for 5 seconds at most.
#[derive(Debug)]
pub struct Reader {
    conn: Connection,
}

/// There is no event log where it was looked for.
#[derive(Debug)]
pub struct NoLog(PathBuf);

impl NoLog {
    /// None is in `data`.
    pub fn in_dir(data: &Path) -> NoLog {
        NoLog(data.to_owned())
    }
}

impl fmt::Display for NoLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = if self.0.is_dir() { "there is no event log in" } else { "there is no directory" };
        write!(f, "{why} `{}`; `--data DIR` names the data directory of a server", self.0.display())
    }
}

impl std::error::Error for NoLog {}

/// The log is what an error is of, and no other file: whoever writes another one from it must know which of them is damaged.
#[derive(Debug)]
pub struct OfLog;

impl fmt::Display for OfLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("events.db")
    }
}

/// Reads, and says so once.
fn of_log<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    read().map_err(|why| if why.is::<OfLog>() { why } else { why.context(OfLog) })
}

impl Reader {
    /// Opens the log in `dir`.
    ///
    /// # Errors
    /// There is none ([`NoLog`]), or as [`Reader::open`].
    pub fn of(dir: &Path) -> Result<Reader> {
        Ok(Reader::open(dir)?.ok_or_else(|| NoLog::in_dir(dir))?)
    }

    /// Opens the log in `dir`; `None` if there is none yet.
    ///
    /// # Errors
    /// The file cannot be read, is no log of ours, or a newer or older Tierline wrote it.
    pub fn open(dir: &Path) -> Result<Option<Reader>> {
        let path = schema::file(dir);
        let what = || format!("cannot read the event log `{}`", path.display());
        if !path.try_exists().with_context(what)? {
            return Ok(None);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&path, flags).with_context(what)?;
        conn.busy_timeout(std::time::Duration::from_secs(5))?;
        schema::check_version(&conn).map_err(|why| unusable::told(why, "cannot read the event log", &path))?;
        Ok(Some(Reader { conn }))
    }

    /// What tells this log from every other one, also from one with the same numbers.
    ///
    /// # Errors
    /// No writer has opened it since logs have an id.
    pub fn log_id(&self) -> Result<u64> {
        of_log(|| schema::meta(&self.conn, "id").map(|id| id as u64))
    }

    /// Runs `read`; all that it reads is of one moment, whatever is written or erased meanwhile. Not to be nested, and
    /// brief: until its end what is erased stays in the write-ahead log.
    pub fn as_one<T>(&self, read: impl FnOnce() -> Result<T>) -> Result<T> {
        let _until_dropped = of_log(|| Ok(self.conn.unchecked_transaction()?))?;
        read()
    }

    /// All events of one call in order, without personal texts; empty if there is no such call.
    pub fn events(&self, call: CallId) -> Result<Vec<Event>> {
        of_log(|| {
            let sql = "SELECT seq, version, lines FROM event WHERE call = ?1 ORDER BY seq";
            let mut query = self.conn.prepare_cached(sql)?;
            let mut events = Vec::new();
            for row in query.query_map([call.0 as i64], Lines::of)? {
                row?.decode_into(&mut events)?;
            }
            // Among them stand events of no call, such as an agent's change of state.
            events.retain(|event| event.call == Some(call));
            Ok(events)
        })
    }

    /// Up to about `most` events that follow `seq`, with the texts that are still kept. Empty at the end.
    pub fn after(&self, seq: u64, most: usize) -> Result<Vec<Event>> {
        let mut events = self.bare_after(seq, most)?;
        self.join_texts(&mut events)?;
        Ok(events)
    }

    /// The same without personal texts.
    pub fn bare_after(&self, seq: u64, most: usize) -> Result<Vec<Event>> {
        of_log(|| {
            let sql = "SELECT seq, version, lines FROM event WHERE seq >= ?1 ORDER BY seq LIMIT ?2";
            let first = lines_with(&self.conn, seq + 1)?.map_or(seq + 1, |lines| lines.first);
            let mut query = self.conn.prepare_cached(sql)?;
            let mut events = Vec::new();
            for row in query.query_map([first as i64, most as i64], Lines::of)? {
                row?.decode_into(&mut events)?;
                if events.last().is_some_and(|last| last.seq > seq) && events.len() >= most {
                    break;
                }
            }
            events.retain(|event| event.seq > seq);
            Ok(events)
        })
    }

    /// The first call of which the log has anything; calls get their numbers one after the other.
    pub fn first_call(&self) -> Result<Option<CallId>> {
        of_log(|| {
            let sql = "SELECT min(call) FROM event WHERE call IS NOT NULL";
            let first: Option<i64> = self.conn.query_row(sql, [], |row| row.get(0))?;
            Ok(first.map(|call| CallId(call as u64)))
        })
    }

    /// The number of the last event; 0 before the first.
    pub fn last(&self) -> Result<u64> {
        of_log(|| last_seq(&self.conn))
    }

    /// The last event that was removed from the log because it was old; 0 if all that was ever written is there.
    pub fn removed(&self) -> Result<u64> {
        of_log(|| {
            let first: Option<i64> = self.conn.query_row("SELECT min(seq) FROM event", [], |row| row.get(0))?;
            let before_first = first.map_or(0, |first| (first as u64).saturating_sub(1));
            // What an open call needs stays, also at the beginning: that alone says nothing.
            let sql = "SELECT value FROM meta WHERE key = ?1";
            let noted: Option<i64> = self.conn.query_row(sql, [schema::REMOVED], |row| row.get(0)).optional()?;
            Ok(before_first.max(noted.map_or(0, |seq| seq as u64)))
        })
    }

    /// Number and time of the first event after `seq`; none at the end.
    pub fn next(&self, seq: u64) -> Result<Option<(u64, Wall)>> {
        Ok(self.bare_after(seq, 1)?.first().map(|event| (event.seq, event.at)))
    }

    /// When the event `seq` was; none if there is none.
    pub fn at(&self, seq: u64) -> Result<Option<Wall>> {
        of_log(|| time_of(&self.conn, seq))
    }

    /// The last start before the event `seq`, and the last moment before it of which the log knows; none if the log does not know.
    pub fn start_before(&self, seq: u64) -> Result<Option<(u64, Wall)>> {
        of_log(|| {
            let sql = "SELECT seq, version, lines FROM event WHERE seq <= ?1 AND instr(lines, '\"EngineStarted\"') > 0
                       ORDER BY seq DESC LIMIT 1";
            let Some(lines) = self.conn.prepare_cached(sql)?.query_row([seq as i64], Lines::of).optional()? else {
                return Ok(None);
            };
            let mut events = Vec::new();
            lines.decode_into(&mut events)?;
            let starts = |event: &&Event| event.seq < seq && matches!(event.what, What::EngineStarted { .. });
            let Some(start) = events.iter().rfind(starts) else { return Ok(None) };
            let What::EngineStarted { alive, .. } = start.what else { return Ok(None) };
            Ok(time_of(&self.conn, start.seq - 1)?.map(|last| (start.seq, last.max(alive.unwrap_or(last)))))
        })
    }

    /// One event as it is written.
    pub fn line(&self, seq: u64) -> Result<Option<String>> {
        of_log(|| Ok(lines_with(&self.conn, seq)?.and_then(|lines| lines.line(seq).map(str::to_owned))))
    }

    /// Puts back the texts that are still kept, but those that are for a restart only.
    pub fn join_texts(&self, events: &mut [Event]) -> Result<()> {
        of_log(|| {
            for event in events {
                let Some(personal) = event.what.personal_mut() else { continue };
                if !personal.kind.is_for_restart() {
                    personal.text = text_of(&self.conn, personal.handle)?.map(Into::into);
                }
            }
            Ok(())
        })
    }

    /// The calls that arrived last, newest first, at most `limit`.
    pub fn recent_calls(&self, limit: usize) -> Result<Vec<CallId>> {
        of_log(|| {
            // The numbers of one node's calls grow with each arrival, over restarts too (see `IdCounter`).
            let sql = "SELECT DISTINCT call FROM event WHERE call IS NOT NULL ORDER BY call DESC LIMIT ?1";
            let mut query = self.conn.prepare_cached(sql)?;
            let numbers = query.query_map([limit as i64], |row| row.get::<_, i64>(0))?;
            numbers.map(|number| Ok(CallId(number? as u64))).collect()
        })
    }
}

/// The number of the last event; 0 before the first.
pub(super) fn last_seq(conn: &Connection) -> Result<u64> {
    Ok(lines_with(conn, i64::MAX as u64)?.map_or(0, |last| last.first + last.text.split('\n').count() as u64 - 1))
}

/// When an event was; none if there is no such event.
pub(super) fn time_of(conn: &Connection, seq: u64) -> Result<Option<Wall>> {
    let Some(lines) = lines_with(conn, seq)? else { return Ok(None) };
    let event = lines.line(seq).map(|line| decode(seq, lines.version, line)).transpose()?;
    Ok(event.map(|event| event.at))
}

/// The events behind everything that is open, in order, with their texts.
pub(super) fn open_events(conn: &Connection) -> Result<Vec<Event>> {
    let mut query = conn.prepare("SELECT seq FROM open ORDER BY seq")?;
    let mut events = Vec::new();
    for seq in query.query_map([], |row| row.get::<_, i64>(0))? {
        let seq = seq? as u64;
        let lines = lines_with(conn, seq)?;
        let line = lines.as_ref().and_then(|lines| Some((lines.version, lines.line(seq)?)));
        let (version, line) = line.with_context(|| format!("event {seq} is missing, and what it opened is open"))?;
        let mut event = decode(seq, version, line)?;
        join_text(conn, &mut event)?;
        events.push(event);
    }
    Ok(events)
}

/// Dialogs and bindings are kept in the slots of what is open, the other kinds by their handle. In one transaction with
/// what found `event`: a slot that is freed and taken in between has another caller's dialog.
fn join_text(conn: &Connection, event: &mut Event) -> Result<()> {
    let seq = event.seq as i64;
    let Some(personal) = event.what.personal_mut() else { return Ok(()) };
    let text: Option<String> = if personal.kind.is_for_restart() {
        let mut query = conn.prepare_cached("SELECT slots FROM open WHERE seq = ?1")?;
        let written: Option<String> = query.query_row([seq], |row| row.get(0)).optional()?.flatten();
        written.map(|written| slots::text(conn, &slots::parse(Some(&written)))).transpose()?
    } else {
        text_of(conn, personal.handle)?
    };
    personal.text = text.map(Into::into);
    Ok(())
}

/// The number or key that `handle` stands for; `None` if it was erased.
fn text_of(conn: &Connection, handle: u64) -> Result<Option<String>> {
    let mut query = conn.prepare_cached("SELECT text FROM personal WHERE handle = ?1 AND kind <> ?2")?;
    Ok(query.query_row([handle as i64, schema::ERASED], |row| row.get(0)).optional()?)
}

/// The row that has the event `seq`, if there is such an event; else the last one before.
fn lines_with(conn: &Connection, seq: u64) -> Result<Option<Lines>> {
    let sql = "SELECT seq, version, lines FROM event WHERE seq <= ?1 ORDER BY seq DESC LIMIT 1";
    Ok(conn.prepare_cached(sql)?.query_row([seq as i64], Lines::of).optional()?)
}

/// One row: a line for each of its events.
struct Lines {
    first: u64,
    version: u32,
    text: String,
}

impl Lines {
    fn of(row: &Row<'_>) -> rusqlite::Result<Lines> {
        Ok(Lines { first: row.get::<_, i64>(0)? as u64, version: row.get(1)?, text: row.get(2)? })
    }

    fn line(&self, seq: u64) -> Option<&str> {
        self.text.split('\n').nth(usize::try_from(seq.checked_sub(self.first)?).ok()?)
    }

    fn decode_into(&self, events: &mut Vec<Event>) -> Result<()> {
        for (seq, line) in (self.first..).zip(self.text.split('\n')) {
            events.push(decode(seq, self.version, line)?);
        }
        Ok(())
    }
}

fn decode(seq: u64, version: u32, line: &str) -> Result<Event> {
    log::decode(version, line).map_err(|why| anyhow::anyhow!("event {seq} cannot be read: {why}"))
}
