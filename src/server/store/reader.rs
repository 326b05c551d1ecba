//! Reading the log: on connections of its own, beside a running writer or without one.

use super::schema;
use crate::event::{Event, What};
use crate::ids::{CallId, LineId};
use crate::log;
use crate::time::Wall;
use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};
use std::path::Path;

/// Which calls to list; `None` means all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub line: Option<LineId>,
    /// Arrived at or after this.
    pub since: Option<Wall>,
}

/// A reading connection. Never writes and never holds up the writer.
#[derive(Debug)]
pub struct Reader {
    conn: Connection,
}

impl Reader {
    /// Opens the log in `dir`; `None` if there is none yet.
    ///
    /// # Errors
    /// The file cannot be read, is no log of ours, or a newer Tierline wrote it.
    pub fn open(dir: &Path) -> Result<Option<Reader>> {
        let path = schema::file(dir);
        let what = || format!("cannot read the event log `{}`", path.display());
        if !path.try_exists().with_context(what)? {
            return Ok(None);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&path, flags).with_context(what)?;
        conn.busy_timeout(std::time::Duration::from_secs(5))?;
        schema::check_version(&conn).with_context(what)?;
        Ok(Some(Reader { conn }))
    }

    /// All events of one call in order, without personal texts; empty if there is no such call.
    pub fn events(&self, call: CallId) -> Result<Vec<Event>> {
        let mut query =
            self.conn.prepare_cached("SELECT seq, version, line FROM event WHERE call = ?1 ORDER BY seq")?;
        query.query_map([call.0 as i64], line_of)?.map(|row| decode(row?)).collect()
    }

    /// One event as it is written.
    pub fn line(&self, seq: u64) -> Result<Option<String>> {
        let mut query = self.conn.prepare_cached("SELECT line FROM event WHERE seq = ?1")?;
        Ok(query.query_row([seq as i64], |row| row.get(0)).optional()?)
    }

    /// Puts back the personal texts that are still kept.
    pub fn join_texts(&self, events: &mut [Event]) -> Result<()> {
        events.iter_mut().try_for_each(|event| join_text(&self.conn, event))
    }

    /// The calls that arrived last, newest first, at most `limit`.
    pub fn recent_calls(&self, limit: usize, filter: &Filter) -> Result<Vec<CallId>> {
        // The condition on `type` is written as the partial index has it, or it would not be used.
        let sql = "SELECT seq, version, line FROM event WHERE type = 'CallArrived' AND at >= ?1 ORDER BY seq DESC";
        let mut query = self.conn.prepare_cached(sql)?;
        let since = filter.since.map_or(i64::MIN, |wall| wall.0);
        let mut calls = Vec::new();
        for row in query.query_map([since], line_of)? {
            if calls.len() == limit {
                break;
            }
            let event = decode(row?)?;
            let What::CallArrived { line, .. } = &event.what else { continue };
            if filter.line.is_none() || filter.line == *line {
                calls.extend(event.call);
            }
        }
        Ok(calls)
    }
}

/// The events behind everything that is open, in order, with their texts.
pub(super) fn open_events(conn: &Connection) -> Result<Vec<Event>> {
    let sql = "SELECT event.seq, version, line FROM open JOIN event ON event.seq = open.seq ORDER BY event.seq";
    let mut query = conn.prepare(sql)?;
    let mut events: Vec<Event> = query.query_map([], line_of)?.map(|row| decode(row?)).collect::<Result<_>>()?;
    events.iter_mut().try_for_each(|event| join_text(conn, event))?;
    Ok(events)
}

fn join_text(conn: &Connection, event: &mut Event) -> Result<()> {
    if let Some(personal) = event.what.personal_mut() {
        let mut query = conn.prepare_cached("SELECT text FROM personal WHERE handle = ?1")?;
        let text: Option<String> = query.query_row([personal.handle as i64], |row| row.get(0)).optional()?;
        personal.text = text.map(Into::into);
    }
    Ok(())
}

type Line = (i64, u32, String);

fn line_of(row: &Row<'_>) -> rusqlite::Result<Line> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

fn decode((seq, version, line): Line) -> Result<Event> {
    log::decode(version, &line).map_err(|why| anyhow::anyhow!("event {seq} cannot be read: {why}"))
}
