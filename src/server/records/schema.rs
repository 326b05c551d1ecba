//! The file of the records: its versions, and how one becomes the next.

use crate::records::schema::{self, Table};
use crate::server::journal::Entry;
use crate::server::store::make_private;
use anyhow::{Context, Result, ensure};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

/// What leads from each version to the next; never changed, only added to. A new file runs through all of them.
pub(super) const MIGRATIONS: [&str; 9] = [
    include_str!("1.sql"),
    include_str!("2.sql"),
    include_str!("3.sql"),
    include_str!("4.sql"),
    include_str!("5.sql"),
    include_str!("6.sql"),
    include_str!("7.sql"),
    include_str!("8.sql"),
    include_str!("9.sql"),
];

/// `PRAGMA application_id`: "TLrc".
const OURS: i64 = 0x544c_7263;

/// The records in `dir`.
pub fn file(dir: &Path) -> PathBuf {
    dir.join("records.db")
}

/// Opens them for writing; makes them, or brings them to this version, in one transaction.
pub(super) fn open(dir: &Path) -> Result<Connection> {
    open_file(&file(dir))
}

/// The same in a file of another name.
pub(super) fn open_file(path: &Path) -> Result<Connection> {
    let what = || format!("cannot open the records `{}`", path.display());
    make_private(path).with_context(what)?;
    let mut conn = Connection::open(path).with_context(what)?;
    conn.busy_timeout(Duration::from_secs(30))?;
    configure(&conn).with_context(what)?;
    migrate(&mut conn, MIGRATIONS.len()).with_context(what)?;
    Ok(conn)
}

/// Opens them for reading; `None` if there are none.
pub(super) fn open_to_read(dir: &Path) -> Result<Option<Connection>> {
    let path = file(dir);
    let what = || format!("cannot read the records `{}`", path.display());
    if !path.try_exists().with_context(what)? {
        return Ok(None);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(&path, flags).with_context(what)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    conn.pragma_update(None, "mmap_size", 1_i64 << 36)?;
    let version = version(&conn).with_context(what)?;
    ensure!(
        version == MIGRATIONS.len(),
        "{}: they are of version {version}, this program reads {}",
        what(),
        MIGRATIONS.len()
    );
    Ok(Some(conn))
}

fn configure(conn: &Connection) -> Result<()> {
    conn.pragma_update(None, "page_size", 8192)?;
    conn.pragma_update(None, "journal_mode", "wal")?;
    // After a power cut the last transactions may be missing, whole: they are folded again.
    conn.pragma_update(None, "synchronous", "normal")?;
    conn.pragma_update(None, "cache_size", -16_384)?;
    // One for each table, and some.
    conn.set_prepared_statement_cache_capacity(32);
    Ok(())
}

/// The version of the tables; 0 of an empty file.
fn version(conn: &Connection) -> Result<usize> {
    let id: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    ensure!(id == OURS || tables == 0, "it is a database, but none of Tierline's records");
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(usize::try_from(version)?)
}

/// Brings the tables to version `to`.
pub(super) fn migrate(conn: &mut Connection, to: usize) -> Result<()> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = version(&tx)?;
    ensure!(version <= to, "a newer Tierline wrote them (version {version}; this program reads up to {to})");
    if version > 0 && version < to {
        let brought = Entry::info("records", "the tables are brought to a newer version");
        brought.with("from", version).with("to", to).tell();
    }
    for step in &MIGRATIONS[version..to] {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(None, "application_id", OURS)?;
    tx.pragma_update(None, "user_version", to as i64)?;
    tx.commit()?;
    Ok(())
}

/// The statement that adds a row.
pub(super) fn insert(table: &Table) -> &'static str {
    static STATEMENTS: LazyLock<BTreeMap<&str, String>> = LazyLock::new(|| {
        let statement = |table: &Table| {
            let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
            let places: Vec<String> = (1..=names.len()).map(|n| format!("?{n}")).collect();
            format!("INSERT INTO {}({}) VALUES ({})", table.name, names.join(", "), places.join(", "))
        };
        schema::TABLES.iter().map(|table| (table.name, statement(table))).collect()
    });
    &STATEMENTS[table.name]
}
