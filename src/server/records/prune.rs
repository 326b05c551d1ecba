//! Removes records of calls that are old, in small portions. What is open is no row yet, so nothing that goes on is lost.

use super::schema;
use crate::records::schema::TABLES;
use crate::time::Wall;
use anyhow::Result;
use rusqlite::{Connection, TransactionBehavior, params};
use std::path::Path;

/// Calls, or rows of tables without calls, in one transaction.
const PORTION: i64 = 200;

/// One pass over the records.
pub struct Pruner {
    conn: Connection,
    before: Wall,
    now: Wall,
}

impl Pruner {
    /// What ended before `before` goes; what ended after `now` has a wrong time, and stays until then. None if there are no
    /// records.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn open(dir: &Path, before: Wall, now: Wall) -> Result<Option<Pruner>> {
        if !schema::file(dir).try_exists()? {
            return Ok(None);
        }
        Ok(Some(Pruner { conn: schema::open(dir)?, before, now }))
    }

    /// Removes one portion; how many rows that were, or none if the pass is over.
    ///
    /// # Errors
    /// SQLite's; then nothing of the portion is removed.
    pub fn portion(&mut self) -> Result<Option<u64>> {
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut removed = 0;
        let calls: Vec<i64> = {
            // The numbers of calls grow with time: the oldest are the first.
            let oldest = "SELECT call FROM (SELECT call, ended FROM call WHERE ended <= ?3 ORDER BY call LIMIT ?2)
                          WHERE ended < ?1";
            let mut query = tx.prepare_cached(oldest)?;
            query
                .query_map(params![self.before.0, PORTION, self.now.0], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?
        };
        for table in TABLES.iter().filter(|table| table.key.split(", ").next() == Some("call")) {
            let mut delete = tx.prepare_cached(&format!("DELETE FROM {} WHERE call = ?1", table.name))?;
            for call in &calls {
                removed += delete.execute([call])? as u64;
            }
        }
        // Tables of agents: their rows name when they ended, or when they were.
        for table in TABLES.iter().filter(|table| table.key.split(", ").next() != Some("call")) {
            let Some(time) = table.columns.iter().map(|column| column.name).find(|name| ["ended", "at"].contains(name))
            else {
                continue;
            };
            let (name, key) = (table.name, table.key);
            let old = format!("SELECT {key} FROM {name} WHERE {time} < ?1 LIMIT ?2");
            let mut delete = tx.prepare_cached(&format!("DELETE FROM {name} WHERE ({key}) IN ({old})"))?;
            removed += delete.execute(params![self.before.0, PORTION])? as u64;
        }
        if removed > 0 {
            super::complete_from(&tx, self.before)?;
        }
        tx.commit()?;
        Ok((removed > 0).then_some(removed))
    }
}
