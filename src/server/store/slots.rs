//! Where texts are kept that go when a dialog or a binding ends: slots of one size, written over in place.
//!
//! SQLite overwrites what is deleted (`secure_delete`), but not the copies of rows that it leaves in unused parts of
//! pages when it splits or merges them. So no row with such a text is ever deleted or changes its size: a slot that is
//! no longer needed is filled with zeros and used again. New slots are added at the end, which moves no row.
//!
//! **Pages are filled one after the other**, each when it is empty: texts that come together lie beside each other, and most
//! of them go together. A group writes each page that it touches, whole and twice; with the slots that were freed last it
//! would touch nearly all. For that there are up to half as many slots again as are taken.

use rusqlite::{CachedStatement, Connection, params};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Bytes in a slot: most dialogs take one; twelve fill a page of 8 KiB.
const SLOT: usize = 660;
const PAGE: i64 = 12;
/// Under load a text that is not needed any more is overwritten after so long at most, with others in its page …
const ERASED_AFTER: Duration = Duration::from_secs(1);
/// … or when so many are to be.
const LEFT: usize = 1_024;
/// Load: so many events in a group.
const MANY: usize = 64;

/// Which slots there are, and which are free.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// Slots in the table, numbered from 1.
    count: i64,
    /// By their pages, and how many they are.
    free: BTreeMap<i64, Vec<i64>>,
    unused: i64,
    /// The page that is being filled.
    page: i64,
    /// To be overwritten, and since when.
    left: Vec<i64>,
    since: Option<Instant>,
    /// Taken, left and added by the group that is being written, and whether all that is left was overwritten by it.
    taken: Vec<i64>,
    leaving: Vec<i64>,
    added: i64,
    erased: bool,
}

impl Slots {
    /// `used`: the slots of everything that is open. What a process that was killed has left is overwritten.
    pub fn read(conn: &Connection, used: &BTreeSet<i64>) -> rusqlite::Result<Slots> {
        let count = conn.query_row("SELECT coalesce(max(slot), 0) FROM slot", [], |row| row.get(0))?;
        let mut slots = Slots { count, ..Slots::default() };
        erase_but(conn, used)?;
        slots.give((1..=count).rev().filter(|slot| !used.contains(slot)));
        Ok(slots)
    }

    /// Writes `text`; returns where it is.
    pub fn put(&mut self, text: &str, tables: &mut SlotTable<'_>) -> rusqlite::Result<Vec<i64>> {
        text.as_bytes().chunks(SLOT).map(|part| self.put_part(part, tables)).collect()
    }

    fn put_part(&mut self, part: &[u8], tables: &mut SlotTable<'_>) -> rusqlite::Result<i64> {
        let mut body = [0u8; SLOT];
        body[..part.len()].copy_from_slice(part);
        let Some(slot) = self.take() else {
            self.added += 1;
            let slot = self.count + self.added;
            tables.add.execute(params![slot, &body[..]])?;
            return Ok(slot);
        };
        self.taken.push(slot);
        tables.fill.execute(params![slot, &body[..]])?;
        Ok(slot)
    }

    /// What is in `slots` is not needed any more.
    pub fn leave(&mut self, slots: &[i64]) {
        self.leaving.extend(slots);
    }

    /// Overwrites what has been left, if that is due with a group of so many events. The slots are free for the next group.
    pub fn erase_due(&mut self, events: usize, tables: &mut SlotTable<'_>) -> rusqlite::Result<()> {
        let is_late = self.erases_at().is_some_and(|at| at <= Instant::now());
        match is_late || events < MANY || self.left.len() + self.leaving.len() > LEFT {
            true => self.erase_left(tables),
            false => Ok(()),
        }
    }

    /// Overwrites all that has been left.
    pub fn erase_left(&mut self, tables: &mut SlotTable<'_>) -> rusqlite::Result<()> {
        let left: BTreeSet<i64> = self.left.iter().chain(&self.leaving).copied().collect();
        self.erased = true;
        left.into_iter().try_for_each(|slot| tables.erase(slot))
    }

    /// When something must be overwritten, though no group comes.
    pub fn erases_at(&self) -> Option<Instant> {
        self.since.map(|since| since + ERASED_AFTER)
    }

    /// The group is on disk.
    pub fn keep(&mut self) {
        self.count += std::mem::take(&mut self.added);
        self.taken.clear();
        self.left.append(&mut self.leaving);
        if std::mem::take(&mut self.erased) {
            let freed = std::mem::take(&mut self.left);
            self.give(freed);
        }
        self.since = self.since.or_else(|| Some(Instant::now())).filter(|_| !self.left.is_empty());
    }

    /// The group could not be written.
    pub fn undo(&mut self) {
        self.added = 0;
        self.leaving.clear();
        self.erased = false;
        self.since = self.since.map(|_| Instant::now()); // not at once again
        let taken = std::mem::take(&mut self.taken);
        self.give(taken);
    }

    /// A free slot; none if there is to be a new one.
    fn take(&mut self) -> Option<i64> {
        if !self.free.contains_key(&self.page) {
            let all = self.count + self.added;
            let emptiest = self.free.iter().max_by_key(|(_, slots)| slots.len());
            let emptiest =
                emptiest.filter(|(_, slots)| slots.len() as i64 == PAGE || all >= (all - self.unused) * 3 / 2);
            self.page = emptiest.map_or(all / PAGE, |(page, _)| *page);
        }
        let slots = self.free.get_mut(&self.page)?;
        let slot = slots.pop();
        self.unused -= 1;
        if slots.is_empty() {
            self.free.remove(&self.page);
        }
        slot
    }

    fn give(&mut self, slots: impl IntoIterator<Item = i64>) {
        for slot in slots {
            self.unused += 1;
            self.free.entry((slot - 1) / PAGE).or_default().push(slot);
        }
    }
}

/// Overwrites the texts that are in no slot of `used`.
fn erase_but(conn: &Connection, used: &BTreeSet<i64>) -> rusqlite::Result<()> {
    let tx = conn.unchecked_transaction()?;
    {
        let mut texts = tx.prepare("SELECT slot FROM slot WHERE body <> zeroblob(length(body))")?;
        let texts = texts.query_map([], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
        let mut table = SlotTable::prepare(&tx)?;
        texts.into_iter().filter(|slot| !used.contains(slot)).try_for_each(|slot| table.erase(slot))?;
    }
    tx.commit()
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

    fn erase(&mut self, slot: i64) -> rusqlite::Result<()> {
        self.fill.execute(params![slot, &[0u8; SLOT][..]]).map(drop)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Not before it has been overwritten, and that is on disk.
    #[test]
    fn a_slot_is_used_again_when_its_text_is_gone() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE slot(slot INTEGER PRIMARY KEY, body BLOB NOT NULL)").unwrap();
        let (mut table, mut slots) = (SlotTable::prepare(&conn).unwrap(), Slots::default());
        let texts = || -> i64 {
            conn.query_row("SELECT count(*) FROM slot WHERE body <> zeroblob(660)", [], |row| row.get(0)).unwrap()
        };
        let taken = slots.put("a text", &mut table).unwrap();
        slots.keep();
        slots.leave(&taken);
        slots.erase_due(MANY, &mut table).unwrap();
        slots.keep();
        assert!(slots.erases_at().is_some() && texts() == 1, "it waits for others");
        assert_eq!(slots.put("another", &mut table).unwrap(), [2]);
        slots.erase_due(MANY - 1, &mut table).unwrap();
        slots.undo();
        assert!(slots.erases_at().is_some(), "nothing of that group is on disk");
        slots.erase_due(MANY - 1, &mut table).unwrap();
        slots.keep();
        assert!(slots.erases_at().is_none());
        assert_eq!(slots.put("another", &mut table).unwrap(), [1]);
        // Started anew, with what a process that was killed has left.
        slots.keep();
        let unused = Slots::read(&conn, &BTreeSet::from([1])).unwrap().unused;
        assert_eq!((texts(), unused), (1, 1));
        Slots::read(&conn, &BTreeSet::new()).unwrap();
        assert_eq!(texts(), 0);
    }

    /// After a rush each group begins 36 texts: a third are soon gone, the others are of calls of about the same length.
    #[test]
    fn what_comes_and_goes_together_is_in_few_pages() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE slot(slot INTEGER PRIMARY KEY, body BLOB NOT NULL)").unwrap();
        let (mut table, mut slots) = (SlotTable::prepare(&conn).unwrap(), Slots::default());
        let begin = |slots: &mut Slots, table: &mut SlotTable<'_>, count: usize| -> Vec<i64> {
            (0..count).flat_map(|_| slots.put("a text", table).unwrap()).collect()
        };
        let rush = begin(&mut slots, &mut table, 600);
        slots.keep();
        // What ends with each of the groups to come.
        let mut ends: VecDeque<Vec<i64>> = rush.chunks(30).map(<[i64]>::to_vec).collect();
        let (mut pages, groups) = (0, 400);
        for group in 0..groups {
            let ended = ends.pop_front().unwrap_or_default();
            slots.leave(&ended);
            slots.erase_left(&mut table).unwrap();
            let begun = begin(&mut slots, &mut table, 36);
            slots.keep();
            ends.resize_with(ends.len().max(11), Vec::new);
            for (n, slot) in begun.iter().enumerate() {
                let lasts = if (group + n) % 3 == 0 { n % 2 } else { 8 + (group * 7 + n * n) % 3 };
                ends[lasts].push(*slot);
            }
            let touched = begun.iter().chain(&ended).map(|slot| (slot - 1) / PAGE);
            pages += touched.collect::<BTreeSet<_>>().len();
        }
        assert!(slots.count < 700, "what is free is used again: {}", slots.count);
        assert!(pages / groups < 15, "{} of 50 pages", pages / groups);
    }
}
