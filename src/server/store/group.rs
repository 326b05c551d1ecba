//! One group of events on its way to disk: which rows it becomes, and what is open after it.
//!
//! **One row holds several events.** What a step of the engine says about one call is one row: consecutive events,
//! one line each, that belong to the same call or to none (an agent's change of state among them). A row and its
//! entry in the index cost more than the bytes of an event.
//!
//! **What opens and closes within a group is never written** to the table `open`, nor its text: the group is folded
//! first, and only what is left of it changes the table. Where a key's row is, we know by heart; that knowledge
//! changes after the commit only, so that a group that failed can be written again.

use super::slots::{self, SlotTable, Slots};
use super::{mark, schema};
use crate::event::{Event, Personal};
use crate::ids::CallId;
use crate::log::{self, OpenChange, OpenKey};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, TransactionBehavior, params};
use std::collections::BTreeMap;
use std::time::Instant;

/// Events in one row at most: whoever wants one of them reads all.
const ROW_LINES: u64 = 32;

/// What of the log the next group must know.
pub(super) struct Written {
    /// The number of the last event; 0 before the first.
    last_seq: u64,
    open: BTreeMap<OpenKey, Opened>,
    slots: Slots,
    /// This start has written something.
    begun: bool,
}

/// A row of the table `open`.
#[derive(Clone)]
struct Opened {
    /// The event that says all about it.
    seq: u64,
    /// Where its text is.
    slots: Vec<i64>,
}

impl Written {
    /// `recovered`: the events behind everything that is open in `conn`.
    pub fn read(conn: &Connection, last_seq: u64, recovered: &[Event]) -> rusqlite::Result<Written> {
        let mut open = BTreeMap::new();
        let mut query = conn.prepare("SELECT slots FROM open WHERE seq = ?1")?;
        for event in recovered {
            let written: Option<String> = query.query_row([event.seq as i64], |row| row.get(0))?;
            for change in log::open_changes(event) {
                let OpenChange::Open(key) = change else { continue };
                open.insert(key, Opened { seq: event.seq, slots: slots::parse(written.as_deref()) });
            }
        }
        let used = open.values().flat_map(|opened| opened.slots.iter().copied()).collect();
        Ok(Written { last_seq, open, slots: Slots::read(conn, &used)?, begun: false })
    }

    /// Writes `batch` in one transaction; returns how many events were left out because their number is taken.
    ///
    /// # Errors
    /// SQLite's; then nothing of `batch` is written.
    pub fn commit(&mut self, conn: &mut Connection, batch: &[Event]) -> rusqlite::Result<u64> {
        let lost = self.try_commit(conn, batch);
        match lost {
            Ok(_) => self.slots.keep(),
            Err(_) => self.slots.undo(),
        }
        lost
    }

    /// When [`Written::erase_left`] is due, though no group comes.
    pub fn erases_at(&self) -> Option<Instant> {
        self.slots.erases_at()
    }

    /// Overwrites texts that are not needed any more, in a transaction of its own.
    ///
    /// # Errors
    /// SQLite's; they are still to be overwritten then.
    pub fn erase_left(&mut self, conn: &mut Connection) -> rusqlite::Result<()> {
        if self.slots.erases_at().is_none() {
            return Ok(());
        }
        let erased = self.try_erase(conn);
        match erased {
            Ok(()) => self.slots.keep(),
            Err(_) => self.slots.undo(),
        }
        erased
    }

    fn try_erase(&mut self, conn: &mut Connection) -> rusqlite::Result<()> {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.slots.erase_left(&mut SlotTable::prepare(&tx)?)?;
        tx.commit()
    }

    fn try_commit(&mut self, conn: &mut Connection, batch: &[Event]) -> rusqlite::Result<u64> {
        let mut group = Group::new(self.last_seq);
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut tables = Tables::prepare(&tx)?;
        for event in batch {
            group.add(event, &mut tables)?;
        }
        group.row.write(&mut tables)?;
        let opened = self.change_open(&group.changes, &mut tables)?;
        self.slots.erase_due(batch.len(), &mut tables.slot)?;
        drop(tables);
        if !self.begun {
            mark::forget_alive(&tx)?;
        }
        tx.commit()?;
        self.begun = true;
        for (key, opened) in opened {
            match opened {
                Some(opened) => _ = self.open.insert(key, opened),
                None => _ = self.open.remove(&key),
            }
        }
        self.last_seq = group.last_seq;
        Ok(group.lost)
    }

    /// Also what opens a second time leaves its earlier row: its text would never be erased.
    fn change_open(&mut self, changes: &Changes<'_>, tables: &mut Tables<'_>) -> rusqlite::Result<OpenChanges> {
        for opened in changes.keys().filter_map(|key| self.open.get(key)) {
            tables.close.execute([opened.seq as i64])?;
            self.slots.leave(&opened.slots);
        }
        let mut rows = Vec::with_capacity(changes.len());
        for (key, event) in changes {
            let opened = match event {
                Some(event) => Some(self.open_row(event, tables)?),
                None => None,
            };
            rows.push((key.clone(), opened));
        }
        Ok(rows)
    }

    fn open_row(&mut self, event: &Event, tables: &mut Tables<'_>) -> rusqlite::Result<Opened> {
        let personal = event.what.personal().filter(|personal| personal.kind.is_for_restart());
        let slots = match personal.and_then(|personal| personal.text.as_deref()) {
            Some(text) => self.slots.put(text, &mut tables.slot)?,
            None => Vec::new(),
        };
        tables.open.execute(params![event.seq as i64, slots::written(&slots)])?;
        Ok(Opened { seq: event.seq, slots })
    }
}

type OpenChanges = Vec<(OpenKey, Option<Opened>)>;

/// For each key that a group touches: the event that opens it, if it is open at the end.
type Changes<'b> = BTreeMap<OpenKey, Option<&'b Event>>;

/// A group while it is being written.
struct Group<'b> {
    last_seq: u64,
    lost: u64,
    changes: Changes<'b>,
    row: Row,
}

impl<'b> Group<'b> {
    fn new(last_seq: u64) -> Group<'b> {
        Group { last_seq, lost: 0, changes: Changes::new(), row: Row::default() }
    }

    fn add(&mut self, event: &'b Event, tables: &mut Tables<'_>) -> rusqlite::Result<()> {
        if event.seq <= self.last_seq {
            // We were wrong, but one bad event must not hold up all that follow.
            self.lost += 1;
            return Ok(());
        }
        self.last_seq = event.seq;
        if !self.row.takes(event) {
            self.row.write(tables)?;
        }
        self.row.add(event);
        for change in log::open_changes(event) {
            match change {
                OpenChange::Open(key) => _ = self.changes.insert(key, Some(event)),
                OpenChange::Close(key) => _ = self.changes.insert(key, None),
            }
        }
        if let Some(Personal { kind, handle, text: Some(text) }) = event.what.personal()
            && !kind.is_for_restart()
        {
            tables.personal.execute(params![*handle as i64, schema::kind(*kind), event.at.0, &**text])?;
        }
        Ok(())
    }
}

/// A row of the table `event` while it is being put together.
#[derive(Default)]
struct Row {
    first: u64,
    count: u64,
    call: Option<CallId>,
    /// One line for each event, without a line end after the last.
    lines: Vec<u8>,
}

impl Row {
    /// The event `first + n` must be line `n`.
    fn takes(&self, event: &Event) -> bool {
        let same_call = self.call.is_none() || event.call.is_none() || self.call == event.call;
        self.count < ROW_LINES && event.seq == self.first + self.count && same_call
    }

    fn add(&mut self, event: &Event) {
        match self.count {
            0 => self.first = event.seq,
            _ => self.lines.push(b'\n'),
        }
        self.count += 1;
        self.call = self.call.or(event.call);
        log::encode_into(event, &mut self.lines);
    }

    /// Writes what there is and begins anew.
    fn write(&mut self, tables: &mut Tables<'_>) -> rusqlite::Result<()> {
        if self.count > 0 {
            let lines = ToSqlOutput::Borrowed(ValueRef::Text(&self.lines));
            let call = self.call.take().map(|call| call.0 as i64);
            tables.event.execute(params![self.first as i64, call, log::VERSION, lines])?;
        }
        self.count = 0;
        self.lines.clear();
        Ok(())
    }
}

/// The statements that a group needs.
struct Tables<'c> {
    event: CachedStatement<'c>,
    personal: CachedStatement<'c>,
    open: CachedStatement<'c>,
    close: CachedStatement<'c>,
    slot: SlotTable<'c>,
}

impl<'c> Tables<'c> {
    fn prepare(conn: &'c Connection) -> rusqlite::Result<Tables<'c>> {
        Ok(Tables {
            event: conn.prepare_cached("INSERT INTO event VALUES (?1, ?2, ?3, ?4)")?,
            personal: conn.prepare_cached("INSERT OR REPLACE INTO personal VALUES (?1, ?2, ?3, ?4)")?,
            open: conn.prepare_cached("INSERT INTO open VALUES (?1, ?2)")?,
            close: conn.prepare_cached("DELETE FROM open WHERE seq = ?1")?,
            slot: SlotTable::prepare(conn)?,
        })
    }
}
