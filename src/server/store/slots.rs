//! Where texts are kept that go when a dialog or a binding ends: slots of one size, written over in place.
//!
//! SQLite overwrites what is deleted (`secure_delete`), but not the copies of rows that it leaves in unused parts of
//! pages when it splits or merges them. So no row with such a text is ever deleted or changes its size: a slot that is
//! no longer needed is filled with zeros and used again. New slots are added at the end, which moves no row.

use rusqlite::{CachedStatement, Connection, params};
use std::collections::BTreeSet;

/// Bytes in a slot: most dialogs take one; twelve fill a page of 8 KiB.
const SLOT: usize = 660;

/// Which slots there are, and which are free.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// Slots in the table, numbered from 1.
    count: i64,
    free: Vec<i64>,
    /// Taken, freed and added by the group that is being written.
    taken: Vec<i64>,
    freed: Vec<i64>,
    added: i64,
}

impl Slots {
    /// `used`: the slots of everything that is open.
    pub fn read(conn: &Connection, used: &BTreeSet<i64>) -> rusqlite::Result<Slots> {
        let count = conn.query_row("SELECT coalesce(max(slot), 0) FROM slot", [], |row| row.get(0))?;
        let free = (1..=count).rev().filter(|slot| !used.contains(slot)).collect();
        Ok(Slots { count, free, ..Slots::default() })
    }

    /// Writes `text`; returns where it is.
    pub fn put(&mut self, text: &str, tables: &mut SlotTable<'_>) -> rusqlite::Result<Vec<i64>> {
        text.as_bytes().chunks(SLOT).map(|part| self.put_part(part, tables)).collect()
    }

    fn put_part(&mut self, part: &[u8], tables: &mut SlotTable<'_>) -> rusqlite::Result<i64> {
        let mut body = [0u8; SLOT];
        body[..part.len()].copy_from_slice(part);
        let Some(slot) = self.free.pop() else {
            self.added += 1;
            let slot = self.count + self.added;
            tables.add.execute(params![slot, &body[..]])?;
            return Ok(slot);
        };
        self.taken.push(slot);
        tables.fill.execute(params![slot, &body[..]])?;
        Ok(slot)
    }

    /// Overwrites what is in `slots`. They are free for the next group.
    pub fn erase(&mut self, slots: &[i64], tables: &mut SlotTable<'_>) -> rusqlite::Result<()> {
        for slot in slots {
            tables.fill.execute(params![slot, &[0u8; SLOT][..]])?;
        }
        self.freed.extend(slots);
        Ok(())
    }

    /// The group is on disk.
    pub fn keep(&mut self) {
        self.count += std::mem::take(&mut self.added);
        self.taken.clear();
        self.free.append(&mut self.freed);
    }

    /// The group could not be written.
    pub fn undo(&mut self) {
        self.added = 0;
        self.freed.clear();
        self.free.append(&mut self.taken);
    }
}

/// The statements on the table `slot`.
pub(super) struct SlotTable<'c> {
    add: CachedStatement<'c>,
    fill: CachedStatement<'c>,
}

impl<'c> SlotTable<'c> {
    pub fn prepare(conn: &'c Connection) -> rusqlite::Result<SlotTable<'c>> {
        Ok(SlotTable {
            add: conn.prepare_cached("INSERT INTO slot VALUES (?1, ?2)")?,
            fill: conn.prepare_cached("UPDATE slot SET body = ?2 WHERE slot = ?1")?,
        })
    }
}

/// How the table `open` names slots; `None` for no text.
pub(super) fn written(slots: &[i64]) -> Option<String> {
    let numbers: Vec<String> = slots.iter().map(i64::to_string).collect();
    (!slots.is_empty()).then(|| numbers.join(" "))
}

/// The reverse of [`written`]; what is no number is left out.
pub(super) fn parse(written: Option<&str>) -> Vec<i64> {
    written.unwrap_or_default().split(' ').filter_map(|number| number.parse().ok()).collect()
}

/// The text in `slots`.
pub(super) fn text(conn: &Connection, slots: &[i64]) -> rusqlite::Result<String> {
    let mut query = conn.prepare_cached("SELECT body FROM slot WHERE slot = ?1")?;
    let mut text = Vec::new();
    for slot in slots {
        text.extend(query.query_row([slot], |row| row.get::<_, Vec<u8>>(0))?);
    }
    // Dialogs and bindings are JSON: none ends with a zero.
    let end = text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    Ok(String::from_utf8_lossy(&text[..end]).into_owned())
}
