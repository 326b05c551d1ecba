//! Who removes events from the log holds the records meanwhile.
//!
//! Records may be made anew at any time, and need all of the log again from then on. So whoever removes events has the
//! records' place in the log for as long as he removes: nobody begins anew between his look and his deletion, and who began
//! before is seen.

use super::{file, position};
use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::path::Path;
use std::time::Duration;

/// Runs `remove` with the last event that the records in `dir` have, while nobody can change them; with 0 if there are none.
///
/// # Errors
/// The records cannot be held, or what `remove` says.
pub fn while_held<T>(dir: &Path, remove: impl FnOnce(u64) -> Result<T>) -> Result<T> {
    let path = file(dir);
    if !path.try_exists()? {
        return remove(0);
    }
    let what = || format!("cannot hold the records `{}`", path.display());
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(&path, flags).with_context(what)?;
    conn.busy_timeout(Duration::from_secs(10))?;
    let held = conn.transaction_with_behavior(TransactionBehavior::Immediate).with_context(what)?;
    // Whoever makes the file has not come to its tables yet.
    let tables: i64 = held.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'meta'", [], |row| row.get(0))?;
    let seq = if tables == 0 { 0 } else { position(&held, "event").with_context(what)? };
    remove(seq as u64)
}
