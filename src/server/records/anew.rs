//! `tierline records rebuild`: what the log says is made again beside the records, and put in the place of what was there in
//! one transaction. Until then they are as they were, whatever ends it.
//!
//! **A log whose beginning is gone.** What it cannot make again stays: rows of calls that came before what is left of it, also
//! of those that ended later, and agents' intervals that began before. What is left goes to the records' own place, never
//! past it, so that what is open of such calls is right where they are.

use super::{FROM, PORTION, file, insert, position, present, schema};
use crate::event::{AgentMode, Event, What};
use crate::ids::{AgentId, CallId, WorkId};
use crate::records::schema::{GAP, TABLES, Table};
use crate::records::{Fold, Interval, Row};
use crate::server::store::Reader;
use crate::time::Wall;
use anyhow::{Context, Result, bail, ensure};
use rusqlite::{Connection, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// How often it is tried anew where events are removed faster than they are read. Each try begins behind what has gone, and
/// a pass that removes comes to its end: on a busy machine it may be ahead some times in a row.
const TRIES: usize = 20;

/// Rows made again, in a file of their own.
pub(super) struct Anew {
    place: PathBuf,
    conn: Connection,
    fold: Fold,
    /// The last event that is folded.
    seq: u64,
    /// The last event that was removed from the log: what comes after it is whole.
    removed: u64,
    /// When those who were at work ended what they did last, if that is known.
    ended: Option<Wall>,
}

impl Drop for Anew {
    fn drop(&mut self) {
        remove(&self.place);
    }
}

/// A name that nobody else has who does the same; files that a killed process has left go.
fn place(dir: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = |process: &str, n: &str| file(dir).with_extension(format!("db.anew-{process}-{n}"));
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    for file in files.filter_map(|file| file.file_name().into_string().ok()) {
        let of = file.split_once("records.db.anew-").and_then(|(_, rest)| rest.split_once('-'));
        if let Some((process, n)) = of.filter(|(process, _)| !Path::new("/proc").join(process).exists()) {
            remove(&name(process, n));
        }
    }
    name(&std::process::id().to_string(), &COUNT.fetch_add(1, Ordering::Relaxed).to_string())
}

fn remove(place: &Path) {
    for end in ["", "-wal", "-shm"] {
        let mut name = place.as_os_str().to_owned();
        name.push(end);
        _ = std::fs::remove_file(PathBuf::from(name)); // mostly there is none
    }
}

/// Makes the rows, and puts them into the records in `dir`.
pub(super) fn rebuild(dir: &Path, log: &Reader, shows: &mut dyn FnMut(u64, u64)) -> Result<()> {
    for _ in 0..TRIES {
        let mut anew = Anew::begin(dir, log)?;
        if anew.read(dir, log, shows)? {
            return anew.put(dir, log);
        }
    }
    bail!("events are removed from the log faster than they are read; the records are left as they are")
}

impl Anew {
    pub fn begin(dir: &Path, log: &Reader) -> Result<Anew> {
        let place = place(dir);
        let conn = schema::open_file(&place)?;
        // It is of no use after a power cut.
        conn.pragma_update(None, "synchronous", "off")?;
        let (fold, removed) = (Fold::default(), log.removed()?);
        Ok(Anew { place, conn, fold, seq: removed, removed, ended: None })
    }

    /// Folds the log to the records' place; false if something of it was removed before it was read.
    pub fn read(&mut self, dir: &Path, log: &Reader, shows: &mut dyn FnMut(u64, u64)) -> Result<bool> {
        let open = self.open_then(dir)?;
        self.fold.resume_agents(open);
        let until = super::place(dir);
        loop {
            let events = self.next(log, until)?;
            if events.is_empty() {
                return Ok(true);
            }
            let mut rows = Vec::new();
            if !self.take(&events, &mut rows, log)? {
                return Ok(false);
            }
            let tx = self.conn.transaction()?;
            insert(&tx, &rows)?;
            tx.commit()?;
            shows(self.seq, until);
        }
    }

    fn next(&self, log: &Reader, until: u64) -> Result<Vec<Event>> {
        let mut events = log.bare_after(self.seq, PORTION)?;
        events.retain(|event| event.seq <= until);
        Ok(events)
    }

    /// False if something was removed before it was read. Another gap is of events that could never be written.
    fn take(&mut self, events: &[Event], rows: &mut Vec<Row>, log: &Reader) -> Result<bool> {
        for event in events {
            if event.seq != self.seq + 1 && log.removed()? > self.removed {
                return Ok(false);
            }
            // All ended at once if a start comes first: at the last event before it.
            if let (true, Some(ended), What::EngineStarted { .. }) = (self.seq == self.removed, self.ended, &event.what)
            {
                self.fold.resume_at(ended);
            }
            self.fold.apply(event, rows);
            self.seq = event.seq;
        }
        Ok(true)
    }

    /// The agents' intervals that were open after the last event that was removed, as far as the records know.
    fn open_then(&mut self, dir: &Path) -> Result<Vec<Interval>> {
        let Some(conn) = schema::open_to_read(dir)?.filter(|_| self.removed > 0) else { return Ok(Vec::new()) };
        if (position(&conn, "event")? as u64) < self.removed {
            return Ok(Vec::new());
        }
        let sql = "SELECT agent, max(event), mode, reason, call, work, began, unreachable, ended FROM agent_interval
                   WHERE event <= ?1 GROUP BY agent";
        let mut query = conn.prepare(sql)?;
        let mut rows = query.query([self.removed as i64])?;
        let mut open = std::collections::BTreeMap::new();
        while let Some(row) = rows.next()? {
            let (agent, mode): (u32, String) = (row.get(0)?, row.get(2)?);
            let mode: AgentMode = serde_json::from_value(mode.into()).context("an agent's state")?;
            let number = |n: usize| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(n)?.map(|id| id as u64));
            let interval = Interval {
                agent: AgentId(agent),
                mode,
                reason: row.get(3)?,
                call: number(4)?.map(CallId),
                work: number(5)?.map(WorkId),
                from: Wall(row.get(6)?),
                to: Wall(row.get(6)?),
                seq: row.get::<_, i64>(1)? as u64,
                reachable: !row.get::<_, bool>(7)?,
            };
            if mode != AgentMode::LoggedOut {
                self.ended = self.ended.max(Some(Wall(row.get(8)?)));
            }
            open.insert(interval.agent, interval);
        }
        let still = present(&conn)?.0.into_iter().filter(|open| open.seq <= self.removed);
        open.extend(still.map(|interval| (interval.agent, interval)));
        Ok(open.into_values().collect())
    }

    /// In one transaction: what was made again goes in the place of what was there, and what came meanwhile behind it.
    pub fn put(mut self, dir: &Path, log: &Reader) -> Result<()> {
        let aside = std::mem::replace(&mut self.conn, Connection::open_in_memory()?);
        drop(aside);
        let mut conn = schema::open(dir)?;
        conn.execute("ATTACH ?1 AS anew", [self.place.to_string_lossy()])?;
        // Nobody folds, and nobody removes events, from here on.
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let until = position(&tx, "event")? as u64;
        // What was never written is missing still, and the log may not reach back to where it was.
        for table in TABLES.into_iter().filter(|table| table.name != GAP.name) {
            replace(&tx, table, self.removed)?;
        }
        loop {
            let events = self.next(log, until)?;
            let mut rows = Vec::new();
            if events.is_empty() {
                break;
            }
            if !self.take(&events, &mut rows, log)? {
                bail!("something of the log was removed before it was read; the records are left as they are");
            }
            for row in &rows {
                let mut insert =
                    tx.prepare_cached(&schema::insert(row.table()).replacen("INSERT", "INSERT OR REPLACE", 1))?;
                insert.execute(rusqlite::params_from_iter(row.cells().iter()))?;
            }
        }
        ensure!(self.seq == until, "the records have moved back meanwhile; they are left as they are");
        self.write_open(&tx)?;
        tx.commit()?;
        conn.execute_batch("DETACH anew")?;
        Ok(())
    }

    /// What is open. Of calls that came before what is left of the log it stays as it was.
    fn write_open(&self, tx: &Connection) -> Result<()> {
        let all = self.removed == 0;
        tx.execute("DELETE FROM state WHERE ?1 OR key LIKE 'agent %'", [all])?;
        if all {
            tx.execute("DELETE FROM meta WHERE key = ?1", [FROM])?;
        }
        super::write_open(tx, self.fold.calls(), self.fold.agents(Wall(i64::MIN)))
    }
}

/// Rows that were made again in the place of those of a table; what the log knows nothing of stays.
fn replace(tx: &Connection, table: &Table, removed: u64) -> Result<()> {
    let (name, key) = (table.name, table.key);
    let columns: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    if columns.contains(&"call") && key != "agent, event" {
        tx.execute(&format!("DELETE FROM main.{name} WHERE call IN (SELECT call FROM anew.call)"), [])?;
    }
    if columns.contains(&"event") {
        tx.execute(&format!("DELETE FROM main.{name} WHERE event > ?1"), [removed as i64])?;
    }
    let columns = columns.join(", ");
    // An interval that began before the log does has its end already.
    tx.execute(&format!("INSERT OR IGNORE INTO main.{name}({columns}) SELECT {columns} FROM anew.{name}"), [])?;
    Ok(())
}
