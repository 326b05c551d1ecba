//! Looks at a log without changing it: whether it is ours, whole, and what of it waits to be moved.

use super::{reader, schema, unusable};
use crate::server::wrong::Wrong;
use crate::time::Wall;
use anyhow::{Result, ensure};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    pub last_seq: u64,
    pub last_at: Option<Wall>,
    /// Of the database.
    pub bytes: u64,
    /// Of the write-ahead log.
    pub pending: u64,
    /// The first thing that SQLite found wrong.
    pub damage: Option<String>,
    /// False: there was not time enough to look at all of it.
    pub complete: bool,
}

/// Looks at the log in `dir`, for about as long as `patience`; none if there is none.
///
/// # Errors
/// It cannot be read, is no log of ours, another Tierline's, or another node's.
pub fn examine(dir: &Path, node: u16, patience: Duration) -> Result<Option<Examined>> {
    let (path, Some(conn)) = (schema::file(dir), open_ours(dir, node)?) else { return Ok(None) };
    let size = |end: &str| path.with_extension(end).metadata().map_or(0, |metadata| metadata.len());
    let (bytes, pending) = (size("db"), size("db-wal"));
    let (damage, complete) = check(&conn, patience);
    // Of a damaged one there may be none that can be read.
    let last_seq = reader::last_seq(&conn).unwrap_or(0);
    let last_at = super::Reader::open(dir).ok().flatten().and_then(|reader| reader.at(last_seq).ok().flatten());
    Ok(Some(Examined { last_seq, last_at, bytes, pending, damage, complete }))
}

/// The log in `dir`, to be read; none if there is none.
fn open_ours(dir: &Path, node: u16) -> Result<Option<Connection>> {
    let path = schema::file(dir);
    let told = |why: anyhow::Error| unusable::told(why, "cannot use the event log", &path);
    if !path.try_exists().map_err(|why| told(why.into()))? {
        return Ok(None);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(&path, flags).map_err(|why| told(why.into()))?;
    conn.busy_timeout(Duration::from_secs(5))?;
    schema::check_version(&conn).and_then(|()| schema::check_node(&conn, node)).map_err(told)?;
    Ok(Some(conn))
}

/// Whether a start could write its log in `dir`; nothing is made, and a log that is there is not read through.
///
/// # Errors
/// Why not: it is no directory, may not be written, or what is in it is no log of ours, or another node's.
pub fn usable(dir: &Path, node: u16) -> Result<()> {
    // What is not there yet is made.
    let there =
        dir.ancestors().find(|at| at.exists()).filter(|at| !at.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let shown = there.display();
    ensure!(there.is_dir(), Wrong(format!("the data directory cannot be used: `{shown}` is no directory")));
    ensure!(may_write(there), Wrong(format!("cannot write in the data directory: `{shown}` may not be written")));
    open_ours(dir, node).map(drop)
}

fn may_write(dir: &Path) -> bool {
    let Ok(path) = CString::new(dir.as_os_str().as_bytes()) else { return false };
    // SAFETY: a system call that reads a text that lives through it.
    unsafe { libc::access(path.as_ptr(), libc::W_OK | libc::X_OK) == 0 }
}

/// What is wrong, and whether all was looked at.
fn check(conn: &Connection, patience: Duration) -> (Option<String>, bool) {
    let (done, until) = mpsc::channel::<()>();
    let stop = conn.get_interrupt_handle();
    let clock = std::thread::spawn(move || {
        if until.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout) {
            stop.interrupt();
        }
    });
    let said = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    drop(done);
    _ = clock.join(); // it only waits
    match said {
        Ok(said) if said == "ok" => (None, true),
        Ok(said) => (Some(said), true),
        Err(why) if why.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => (None, false),
        Err(why) => (Some(why.to_string()), true),
    }
}
