//! Events that could not be written to the log, gap by gap: who reports a time is told of those that touch it, and of no
//! others.

use crate::time::Wall;
use rusqlite::{Connection, params};

/// Gaps of which each is known; a log with more has the oldest put together, for nobody looks at so many one by one.
const MOST: i64 = if cfg!(test) { 5 } else { 1_000 };

/// Events that are missing between two others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub count: u64,
    /// The event before it, and the one after it.
    pub began: Wall,
    pub ended: Wall,
}

/// Writes it down; `after`: the last event before it.
pub(super) fn note(conn: &Connection, after: u64, gap: &Gap) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO gap VALUES (?1, ?2, ?3, ?4)";
    conn.prepare_cached(sql)?.execute(params![after as i64, gap.count as i64, gap.began.0, gap.ended.0])?;
    let count: i64 = conn.query_row("SELECT count(*) FROM gap", [], |row| row.get(0))?;
    if count <= MOST {
        return Ok(());
    }
    let mut oldest = conn.prepare_cached("SELECT event, count, ended FROM gap ORDER BY event LIMIT 2")?;
    let oldest = oldest.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    if let [(first, ..), (second, count, ended)] = oldest.collect::<rusqlite::Result<Vec<(i64, i64, i64)>>>()?[..] {
        let both = "UPDATE gap SET count = count + ?2, ended = max(ended, ?3) WHERE event = ?1";
        conn.execute(both, params![first, count, ended])?;
        conn.execute("DELETE FROM gap WHERE event = ?1", [second])?;
    }
    Ok(())
}

/// All of them, from the oldest on.
pub(super) fn all(conn: &Connection) -> rusqlite::Result<Vec<Gap>> {
    let mut query = conn.prepare("SELECT count, began, ended FROM gap ORDER BY event")?;
    let gaps = query.query_map([], |row| {
        Ok(Gap { count: row.get::<_, i64>(0)? as u64, began: Wall(row.get(1)?), ended: Wall(row.get(2)?) })
    })?;
    gaps.collect()
}
