//! Texts whose time is over are erased, in portions: by who writes the log, when asked, or beside it (`tierline keep`).

use super::{Keep, schema};
use crate::time::Wall;
use anyhow::Result;
use rusqlite::{Connection, params};
use std::path::Path;

/// Texts erased in one transaction, so that events do not wait long behind it.
pub(super) const PORTION: u64 = 1000;

/// What became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    pub texts: u64,
    /// The write-ahead log has no copies either: nobody read it for so long that it could not be emptied.
    pub emptied: bool,
}

/// Erases one portion of the texts that have expired at `now`; returns how many.
pub(super) fn portion(conn: &Connection, keep: Keep, now: Wall) -> rusqlite::Result<u64> {
    // The condition on `kind` is written as the partial index has it, or it would not be used.
    let sql = "UPDATE personal SET kind = ?4, text = zeroblob(length(CAST(text AS BLOB))) WHERE handle IN
                   (SELECT handle FROM personal WHERE kind = ?1 AND kind <> 9 AND at <= ?2 ORDER BY at LIMIT ?3)";
    let mut erase = conn.prepare_cached(sql)?;
    let mut erased = 0;
    for (kind, time) in keep.times() {
        let arose = now.0.saturating_sub(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        let left = (PORTION - erased) as i64;
        erased += erase.execute(params![schema::kind(kind), arose, left, schema::ERASED])? as u64;
    }
    Ok(erased)
}

/// Erases all texts that have expired at `now`, also from the write-ahead log.
pub(super) fn all(conn: &Connection, keep: Keep, now: Wall) -> rusqlite::Result<Erased> {
    let mut texts = 0;
    loop {
        let erased = portion(conn, keep, now)?;
        texts += erased;
        if erased < PORTION {
            return Ok(Erased { texts, emptied: truncate_log(conn) });
        }
    }
}

/// The same in the log in `dir`, also beside who writes it.
///
/// # Errors
/// There is no log, or it cannot be written; what was erased before stays so.
pub fn erase_expired(dir: &Path, keep: Keep, now: Wall) -> Result<Erased> {
    Ok(all(&schema::open_to_erase(dir)?, keep, now)?)
}

/// Empties the write-ahead log file. A reader that takes longer than the connection's busy time (5 seconds) prevents
/// it; then the next time does it. False if somebody did.
pub(in crate::server) fn truncate_log(conn: &Connection) -> bool {
    // The first column is 1 if somebody was in the way.
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)) == Ok(0)
}
