//! The time that was believed last, in the log's table `meta`: what a start compares the system's clock with
//! (`keeping/belief.rs`).

use super::{reader, schema};
use crate::time::Wall;
use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::path::Path;
use std::time::Duration;

const KEY: &str = "believed";
/// Until when, by the events' clock, the server is known to have been at work.
const ALIVE: &str = "alive";

/// None in a log without events. In one from before this was written down it is the last event's time.
pub(super) fn read(conn: &Connection) -> Result<Option<Wall>> {
    let sql = "SELECT value FROM meta WHERE key = ?1";
    let written = conn.query_row(sql, [KEY], |row| row.get(0)).optional()?;
    match written {
        Some(ms) => Ok(Some(Wall(ms))),
        None => reader::time_of(conn, reader::last_seq(conn)?),
    }
}

/// Until when whoever wrote the log was at work at least; none if that was no later than its last event.
pub(super) fn alive(conn: &Connection) -> Result<Option<Wall>> {
    let written = conn.query_row("SELECT value FROM meta WHERE key = ?1", [ALIVE], |row| row.get(0)).optional()?;
    let last = reader::time_of(conn, reader::last_seq(conn)?)?;
    Ok(written.map(Wall).filter(|alive| last.is_some_and(|last| *alive > last)))
}

/// It is of one start: the next has a clock of its own, and takes it away with the first that it writes. A start that comes to
/// nothing leaves it to the one after.
pub(super) fn forget_alive(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM meta WHERE key = ?1", [ALIVE])?;
    Ok(())
}

/// Writes it down if it is not yet: before an event of this start is written, whose time may be that of a wrong clock.
pub(super) fn begin(conn: &Connection, mark: Wall) -> Result<()> {
    conn.execute("INSERT OR IGNORE INTO meta VALUES (?1, ?2)", (KEY, mark.0))?;
    Ok(())
}

/// The time that was believed last; none if there is no log, or nothing in it.
///
/// # Errors
/// It cannot be read, or is no log of ours.
pub fn believed(dir: &Path) -> Result<Option<Wall>> {
    match schema::file(dir).try_exists()? {
        true => read(&open(dir, OpenFlags::SQLITE_OPEN_READ_ONLY)?),
        false => Ok(None),
    }
}

/// Writes it down, also beside whoever writes the log.
///
/// # Errors
/// There is no log, or it cannot be written.
pub fn write_believed(dir: &Path, mark: Wall) -> Result<()> {
    put(dir, KEY, mark)
}

/// Writes down that the server is at work, by the events' clock.
///
/// # Errors
/// There is no log, or it cannot be written.
pub fn write_alive(dir: &Path, now: Wall) -> Result<()> {
    put(dir, ALIVE, now)
}

fn put(dir: &Path, key: &str, mark: Wall) -> Result<()> {
    let conn = open(dir, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    conn.execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", (key, mark.0))?;
    Ok(())
}

fn open(dir: &Path, way: OpenFlags) -> Result<Connection> {
    let path = schema::file(dir);
    let what = || format!("cannot open the event log `{}`", path.display());
    let conn = Connection::open_with_flags(&path, way | OpenFlags::SQLITE_OPEN_NO_MUTEX).with_context(what)?;
    conn.busy_timeout(Duration::from_secs(10))?;
    schema::check_version(&conn).with_context(what)?;
    Ok(conn)
}
