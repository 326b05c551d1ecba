//! The files of the event log: the lock, the tables, and what a start reads from them.

use super::{NoLog, reader, unusable};
use crate::event::{Event, PersonalKind};
use crate::server::chance;
use crate::server::named::Named;
use crate::server::serving::Serving;
use crate::server::wrong::Wrong;
use anyhow::{Context, Result, bail, ensure};
use rusqlite::{Connection, OptionalExtension, params};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The version of the tables that this program writes.
pub(super) const VERSION: i64 = 2;

/// Starts that one node can count: ids carry 22 bits of it.
const MAX_EPOCH: i64 = (1 << 22) - 1;

/// `event.seq` is the number of a row's first event, line n is the event `seq + n`, `call` the one call that the row is
/// about. `personal.at` is when the text arose. Handles and call numbers are unsigned 64 bits, stored as SQLite's
/// signed ones.
const TABLES: &str = "
    CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE event(seq INTEGER PRIMARY KEY, call INTEGER, version INTEGER NOT NULL, lines TEXT NOT NULL);
    CREATE INDEX event_call ON event(call) WHERE call IS NOT NULL;
    CREATE TABLE personal(handle INTEGER PRIMARY KEY, kind INTEGER NOT NULL, at INTEGER NOT NULL, text NOT NULL);
    CREATE INDEX personal_at ON personal(kind, at) WHERE kind <> 9;
    CREATE TABLE open(seq INTEGER PRIMARY KEY, slots TEXT);
    CREATE TABLE slot(slot INTEGER PRIMARY KEY, body BLOB NOT NULL);
    INSERT INTO meta VALUES ('epoch', 0);
";

/// `personal.kind` of a text that was erased: its row stays, with as many zeros (see [`super::slots`] for the reason).
/// SQLite stores all kinds in one byte, so that the row keeps its size.
pub(super) const ERASED: i64 = 9;

/// In `meta`: the last event that was removed because it was old.
pub(super) const REMOVED: &str = "removed";

/// `personal.kind`.
pub(super) fn kind(kind: PersonalKind) -> i64 {
    match kind {
        PersonalKind::Number => 2,
        PersonalKind::Digit => 3,
        PersonalKind::Dialog => 4,
        PersonalKind::Binding => 5,
        PersonalKind::Text => 6,
    }
}

/// The database in `dir`.
pub(super) fn file(dir: &Path) -> PathBuf {
    dir.join("events.db")
}

/// The files of a log that is open for writing.
pub(super) fn files(dir: &Path) -> Result<[Named; 2]> {
    Ok([Named::new(&file(dir))?, Named::new(&dir.join("events.db-wal"))?])
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
        bail!(is_in_use(dir, pid.trim()));
    }
    // What whoever had the lock before has said of itself is over.
    Serving::forget(dir)?;
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

/// In words, by which process.
pub fn is_in_use(dir: &Path, by: &str) -> String {
    format!(
        "the data directory `{}` is in use by another tierline (process {by}); stop that one, or name another directory \
         with `--data`",
        dir.display()
    )
}

/// The process that has locked `dir`, if one has.
pub fn in_use(dir: &Path) -> Option<String> {
    let mut file = File::open(dir.join("tierline.lock")).ok()?;
    // SAFETY: as above; the lock goes with the file.
    let free = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_SH | libc::LOCK_NB) } == 0;
    let mut pid = String::new();
    let _ = file.read_to_string(&mut pid); // only for the sentence
    (!free).then(|| pid.trim().to_owned())
}

/// What a start reads.
pub(super) struct Start {
    pub epoch: u32,
    pub next_seq: u64,
    pub recovered: Vec<Event>,
}

pub(super) fn open_for_writing(dir: &Path, node: u16) -> Result<(Connection, Start)> {
    let path = file(dir);
    make_private(&path)?;
    let mut conn = Connection::open(&path)?;
    configure(&conn)?;
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    if is_empty(&tx)? {
        tx.execute_batch(TABLES)?;
        tx.execute("INSERT INTO meta VALUES ('schema', ?1), ('node', ?2)", params![VERSION, node])?;
    }
    check_version(&tx)?;
    check_node(&tx, node)?;
    // Made at creation; a log from before there was one gets it now.
    tx.execute("INSERT OR IGNORE INTO meta VALUES ('id', ?1)", [random()?])?;
    let epoch = meta(&tx, "epoch")? + 1;
    ensure!(epoch <= MAX_EPOCH, "this log has seen {MAX_EPOCH} starts, more cannot be told apart");
    tx.execute("UPDATE meta SET value = ?1 WHERE key = 'epoch'", [epoch])?;
    let start = Start {
        epoch: u32::try_from(epoch)?,
        next_seq: reader::last_seq(&tx)? + 1,
        recovered: reader::open_events(&tx)?,
    };
    tx.commit()?;
    Ok((conn, start))
}

/// The log in `dir` for who erases something in it, also beside who writes it.
///
/// # Errors
/// There is no log, it cannot be opened, or it is none of ours.
pub(super) fn open_to_erase(dir: &Path) -> Result<Connection> {
    let path = file(dir);
    if !path.try_exists()? {
        return Err(NoLog::in_dir(dir).into());
    }
    let conn = Connection::open(&path).with_context(|| format!("cannot open `{}`", path.display()))?;
    conn.pragma_update(None, "secure_delete", true)?;
    conn.busy_timeout(std::time::Duration::from_secs(10))?;
    check_version(&conn).map_err(|why| unusable::told(why, "cannot open", &path))?;
    Ok(conn)
}

/// A database's file that only its owner may read; SQLite gives its -wal and -shm files the same mode.
///
/// A file that is there is never opened: who closes any descriptor of a database's file loses all locks that his process has
/// on it (POSIX), and another program that opens it then believes to be alone, and removes the write-ahead log at its end.
pub fn make_private(path: &Path) -> std::io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        _ if path.is_dir() => Err(std::io::ErrorKind::IsADirectory.into()),
        Err(why) if why.kind() == std::io::ErrorKind::AlreadyExists => {
            fs::set_permissions(path, Permissions::from_mode(0o600))
        }
        made => made.map(drop),
    }
}

fn configure(conn: &Connection) -> Result<()> {
    // For a new file only. A group changes few pages beside those it fills: larger ones are written for little.
    conn.pragma_update(None, "page_size", 8192)?;
    conn.pragma_update(None, "journal_mode", "wal")?;
    conn.pragma_update(None, "synchronous", "full")?;
    conn.pragma_update(None, "secure_delete", true)?;
    // Pages in the write-ahead log before they move to the database: 4 MB. A log that is short is soon written over,
    // which costs less than making it longer.
    conn.pragma_update(None, "wal_autocheckpoint", 512)?;
    // In KiB: the pages of running calls stay at hand; more would be memory that is new for each page written.
    conn.pragma_update(None, "cache_size", -4096)?;
    conn.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(())
}

fn is_empty(conn: &Connection) -> Result<bool> {
    Ok(conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))? == 0)
}

/// Refuses a database that is not ours, or whose tables are those of another version.
pub(super) fn check_version(conn: &Connection) -> Result<()> {
    const FOREIGN: &str = "it is a database, but not an event log of Tierline";
    let count = |sql| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
    let columns = "SELECT count(*) FROM pragma_table_info('meta') WHERE name IN ('key', 'value')";
    ensure!(count(columns)? == 2, Wrong(FOREIGN.to_owned()));
    // Before the other tables, whose names are those of one version.
    let version = meta(conn, "schema")?;
    let newer = format!("a newer Tierline wrote it (schema {version}; this program reads up to {VERSION})");
    ensure!(version <= VERSION, Wrong(newer));
    let older = format!(
        "an older Tierline wrote it (schema {version}), which this program cannot read; keep the directory, and name \
         another with `--data`"
    );
    ensure!(version == VERSION, Wrong(older));
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name IN ('event', 'personal', 'open', 'slot')";
    ensure!(count(tables)? == 4, Wrong(FOREIGN.to_owned()));
    Ok(())
}

/// Two nodes in one log would give the same id twice.
pub(super) fn check_node(conn: &Connection, node: u16) -> Result<()> {
    let ours = meta(conn, "node")?;
    ensure!(
        ours == i64::from(node),
        Wrong(format!(
            "it belongs to node {ours}, and the configuration says `node = {node}`; write {ours} there, or name \
             another data directory"
        ))
    );
    Ok(())
}

/// Not 0, and not negative, so that it looks the same everywhere.
fn random() -> Result<i64> {
    Ok((i64::from_le_bytes(chance::bytes()?) & i64::MAX).max(1))
}

pub(super) fn meta(conn: &Connection, key: &str) -> Result<i64> {
    let value = conn.query_row("SELECT value FROM meta WHERE key = ?1", params![key], |row| row.get(0));
    value.optional()?.with_context(|| format!("its table `meta` lacks `{key}`"))
}
