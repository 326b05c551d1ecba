//! Who removes events from the log holds the records meanwhile.
//!
//! Records may be made anew at any time, and need all of the log again from then on. So whoever removes events has the
//! records' place in the log for as long as he removes: nobody begins anew between his look and his deletion, and who began
//! before is seen.
//!
//! **A power cut.** The records' transactions are not synced one by one, and what the log loses is: rows must not go with the
//! power when what they were made of is gone. So all that the records have is made safe before anything is removed.

use super::{SAFE, file, position};
use anyhow::{Context, Result, bail};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::path::Path;
use std::time::Duration;

/// How often it is tried to find the records as they were made safe: somebody may write in between.
const TRIES: usize = 20;

/// Runs `remove` with the last event that the records in `dir` have safely on disk, while nobody can change them; with 0 if
/// there are none.
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
    conn.pragma_update(None, "synchronous", "full")?;
    for _ in 0..TRIES {
        let before = version(&conn)?;
        make_safe(&mut conn).with_context(what)?;
        let held = conn.transaction_with_behavior(TransactionBehavior::Immediate).with_context(what)?;
        if version(&held)? == before {
            let seq = if is_made(&held)? { position(&held, "event").with_context(what)? } else { 0 };
            return remove(seq as u64);
        }
    }
    bail!("{}: somebody writes them all the time", what())
}

/// Another one for each transaction of somebody else.
fn version(conn: &Connection) -> Result<i64> {
    Ok(conn.pragma_query_value(None, "data_version", |row| row.get(0))?)
}

/// Whoever makes the file has not come to its tables yet.
fn is_made(conn: &Connection) -> Result<bool> {
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'meta'", [], |row| row.get(0))?;
    Ok(tables > 0)
}

/// A transaction that is synced, and with it all that were written before: they are in one file, in order. It has to write
/// something for that.
fn make_safe(conn: &mut Connection) -> Result<()> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if is_made(&tx)? {
        let count = "INSERT INTO meta VALUES (?1, 1) ON CONFLICT(key) DO UPDATE SET value = value + 1";
        tx.execute(count, [SAFE])?;
    }
    Ok(tx.commit()?)
}
