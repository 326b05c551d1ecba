//! The files of the event log: the lock, the tables, and what a start reads from them.

use super::reader;
use crate::event::Event;
use anyhow::{Context, Result, bail, ensure};
use rusqlite::{Connection, OptionalExtension, params};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The version of the tables that this program writes.
pub(super) const VERSION: i64 = 1;

/// Starts that one node can count: ids carry 22 bits of it.
const MAX_EPOCH: i64 = (1 << 22) - 1;

/// `event.call` is the call's number; handles and call numbers are unsigned 64 bits, stored as SQLite's signed ones.
const TABLES: &str = "
    CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE event(seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, call INTEGER, type TEXT NOT NULL,
                       version INTEGER NOT NULL, line TEXT NOT NULL);
    CREATE INDEX event_call ON event(call) WHERE call IS NOT NULL;
    CREATE INDEX event_arrived ON event(seq) WHERE type = 'CallArrived';
    CREATE TABLE personal(handle INTEGER PRIMARY KEY, kind TEXT NOT NULL, expires INTEGER, text TEXT NOT NULL);
    CREATE INDEX personal_expires ON personal(expires) WHERE expires IS NOT NULL;
    CREATE TABLE open(key TEXT PRIMARY KEY, seq INTEGER NOT NULL, handle INTEGER) WITHOUT ROWID;
    INSERT INTO meta VALUES ('schema', 1), ('epoch', 0);
";

/// The database in `dir`.
pub(super) fn file(dir: &Path) -> PathBuf {
    dir.join("events.db")
}

/// Makes `dir` if it is missing and locks it for this process until the returned file is closed.
pub(super) fn lock(dir: &Path) -> Result<File> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make the data directory `{}`", dir.display()))?;
    let path = dir.join("tierline.lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot write in the data directory: `{}`", path.display()))?;
    // SAFETY: flock takes a descriptor, which `file` keeps open, and touches no memory.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
        let mut pid = String::new();
        let _ = file.read_to_string(&mut pid); // only for the sentence
        bail!("the data directory `{}` is in use by another tierline (process {})", dir.display(), pid.trim());
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

/// What a start reads.
pub(super) struct Start {
    pub epoch: u32,
    pub next_seq: u64,
    pub recovered: Vec<Event>,
}

pub(super) fn open_for_writing(dir: &Path, node: u16) -> Result<(Connection, Start)> {
    let path = file(dir);
    // SQLite gives its -wal and -shm files the mode of the database.
    let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
    made.set_permissions(Permissions::from_mode(0o600))?;
    let mut conn = Connection::open(&path)?;
    configure(&conn)?;
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    if is_empty(&tx)? {
        tx.execute_batch(TABLES)?;
        tx.execute("INSERT INTO meta VALUES ('node', ?1)", [node])?;
    }
    check_version(&tx)?;
    check_node(&tx, node)?;
    let epoch = meta(&tx, "epoch")? + 1;
    ensure!(epoch <= MAX_EPOCH, "this log has seen {MAX_EPOCH} starts, more cannot be told apart");
    tx.execute("UPDATE meta SET value = ?1 WHERE key = 'epoch'", [epoch])?;
    let last: i64 = tx.query_row("SELECT coalesce(max(seq), 0) FROM event", [], |row| row.get(0))?;
    let start = Start {
        epoch: u32::try_from(epoch)?,
        next_seq: u64::try_from(last)? + 1,
        recovered: reader::open_events(&tx)?,
    };
    tx.commit()?;
    Ok((conn, start))
}

fn configure(conn: &Connection) -> Result<()> {
    conn.pragma_update(None, "journal_mode", "wal")?;
    conn.pragma_update(None, "synchronous", "full")?;
    conn.pragma_update(None, "secure_delete", true)?;
    // Pages in the write-ahead log before they move to the database: 16 MB, for long sequential writes.
    conn.pragma_update(None, "wal_autocheckpoint", 4000)?;
    // In KiB: the pages of running calls stay at hand.
    conn.pragma_update(None, "cache_size", -32_768)?;
    conn.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(())
}

fn is_empty(conn: &Connection) -> Result<bool> {
    Ok(conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))? == 0)
}

/// Refuses a database that is not ours or that a newer program wrote.
pub(super) fn check_version(conn: &Connection) -> Result<()> {
    let ours = "SELECT count(*) FROM sqlite_schema WHERE name IN ('meta', 'event', 'personal', 'open')";
    let tables: i64 = conn.query_row(ours, [], |row| row.get(0))?;
    ensure!(tables == 4, "it is a database, but not an event log of Tierline");
    let version = meta(conn, "schema")?;
    ensure!(version <= VERSION, "a newer Tierline wrote it (schema {version}; this program reads up to {VERSION})");
    Ok(())
}

/// Two nodes in one log would give the same id twice.
fn check_node(conn: &Connection, node: u16) -> Result<()> {
    let ours = meta(conn, "node")?;
    ensure!(
        ours == i64::from(node),
        "it belongs to node {ours}, and the configuration says `node = {node}`; write {ours} there, or name another \
         data directory"
    );
    Ok(())
}

fn meta(conn: &Connection, key: &str) -> Result<i64> {
    let value = conn.query_row("SELECT value FROM meta WHERE key = ?1", params![key], |row| row.get(0));
    value.optional()?.with_context(|| format!("its table `meta` lacks `{key}`"))
}
