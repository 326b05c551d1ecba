//! Removes what is old from the log, in small portions, beside whoever writes it.
//!
//! **What stays however old it is**: events behind what is open, all events of calls that run, what the records or the
//! ticketing system have not taken in yet, and the last event, whose number the next one follows. Texts have a retention
//! of their own: they are overwritten where they are (`slots` says why no row of a text is deleted), and the row of zeros goes
//! when its event is as old as events may be.
//!
//! **Times that cannot be right.** An event from after the present moment was written while the clock stood ahead. It is
//! passed over: it stays until its time has come, and holds up nobody.
//!
//! What was removed last is written down: records can be made anew only from a log of which nothing is gone.
//!
//! The file does not become smaller: its free pages are used again.

use super::{reader, schema};
use crate::ids::CallId;
use crate::log;
use crate::time::Wall;
use anyhow::{Context, Result};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// Rows looked at in one transaction: a writer waits some milliseconds at most.
const PORTION: usize = 200;

/// One pass over the log.
pub struct Pruner {
    conn: Connection,
    open: BTreeSet<u64>,
    running: BTreeSet<CallId>,
    before: Wall,
    now: Wall,
    /// The last event when the pass began: its number is that which the next one follows.
    last: u64,
    /// Where the next portion begins.
    after: u64,
    /// Of the rows of texts, those before this handle may go; none: not looked up yet.
    settled: Option<i64>,
}

/// Rows of zeros that stay before the first that has a text: many pages of them.
const APART: i64 = 4_096;

/// Handles grow with time: what comes before this one has nothing but zeros, and so has what is near it.
fn settled(conn: &Connection) -> Result<i64> {
    let first = "SELECT min(handle) FROM personal WHERE kind <> ?1";
    let first: Option<i64> = conn.query_row(first, [schema::ERASED], |row| row.get(0))?;
    let apart = "SELECT handle FROM personal WHERE handle < ?1 ORDER BY handle DESC LIMIT 1 OFFSET ?2";
    let found = conn.query_row(apart, params![first.unwrap_or(i64::MAX), APART], |row| row.get(0)).optional()?;
    Ok(found.unwrap_or(i64::MIN))
}

impl Pruner {
    /// `before`: what is older goes; `now`: what is later has a wrong time.
    ///
    /// # Errors
    /// There is no log, or it cannot be read.
    pub fn open(dir: &Path, before: Wall, now: Wall) -> Result<Pruner> {
        let path = schema::file(dir);
        let what = || format!("cannot open the event log `{}`", path.display());
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&path, flags).with_context(what)?;
        // A writer goes first.
        conn.busy_timeout(Duration::from_secs(10))?;
        schema::check_version(&conn).with_context(what)?;
        let (mut open, mut running) = (BTreeSet::new(), BTreeSet::new());
        // What is old and open now was so before: nothing old is opened later.
        for event in reader::open_events(&conn)? {
            open.insert(event.seq);
            running.extend(log::opens_call(&event));
        }
        let last = reader::last_seq(&conn)?;
        Ok(Pruner { conn, open, running, before, now, last, after: 0, settled: None })
    }

    /// Removes one portion of the rows of texts that were erased, whose events are older than what is kept: nothing refers to
    /// them any more. The last of them stay, so that SQLite merges no page with one that has texts: it would leave copies
    /// (`slots`). How many that were; none if no more.
    ///
    /// # Errors
    /// SQLite's; then nothing of the portion is removed.
    pub fn texts(&mut self) -> Result<Option<u64>> {
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let before = match self.settled {
            Some(before) => before,
            None => settled(&tx)?,
        };
        self.settled = Some(before);
        let sql = "DELETE FROM personal WHERE handle IN
                       (SELECT handle FROM personal WHERE handle < ?1 AND at < ?2 ORDER BY handle LIMIT ?3)";
        let removed = tx.execute(sql, params![before, self.before.0, PORTION as i64])? as u64;
        tx.commit()?;
        Ok((removed > 0).then_some(removed))
    }

    /// Removes one portion of what is before `needed`, the first event that somebody has not taken in yet; how many events that were, or none if the pass is over.
    ///
    /// # Errors
    /// SQLite's; then nothing of the portion is removed.
    pub fn portion(&mut self, needed: u64) -> Result<Option<u64>> {
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (mut removed, mut after, mut more) = (0, self.after, false);
        let mut gone = None;
        {
            let mut query =
                tx.prepare_cached("SELECT seq, call, version, lines FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
            let mut delete = tx.prepare_cached("DELETE FROM event WHERE seq = ?1")?;
            let mut rows = query.query(params![after as i64, PORTION as i64])?;
            while let Some(row) = rows.next()? {
                let (first, call): (i64, Option<i64>) = (row.get(0)?, row.get(1)?);
                let (version, lines): (u32, String) = (row.get(2)?, row.get(3)?);
                let last = first as u64 + lines.split('\n').count() as u64 - 1;
                let line = lines.rsplit('\n').next().unwrap_or_default();
                let event = log::decode(version, line).map_err(|why| anyhow::anyhow!("event {last}: {why}"))?;
                let credible = event.at <= self.now;
                more = last < needed.min(self.last) && (event.at < self.before || !credible);
                if !more {
                    break;
                }
                after = last;
                let runs = call.is_some_and(|call| self.running.contains(&CallId(call as u64)));
                if credible && !runs && self.open.range(first as u64..=last).next().is_none() {
                    delete.execute([first])?;
                    gone = Some(last);
                    removed += last - first as u64 + 1;
                }
            }
        }
        if let Some(gone) = gone {
            let note = "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT(key) DO UPDATE SET value = max(value, ?2)";
            tx.execute(note, params![schema::REMOVED, gone as i64])?;
        }
        tx.commit()?;
        self.after = after;
        Ok(more.then_some(removed).or((removed > 0).then_some(removed)))
    }
}
