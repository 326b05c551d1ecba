//! What the client of the ticketing system must know after a kill: `ticketing.db` in the data directory. Where in the log to
//! begin, the keys of what is done since, what was put aside, and which call has which ticket, for as long as the log has
//! the call. `tierline person erase` takes out the tickets of a person's calls, and leaves word for a running client.

use crate::ids::CallId;
use crate::server::aside;
use crate::server::journal::Entry;
use crate::server::store::{self, Reader, make_private};
use crate::ticketing::{Left, Output, log_name};
use crate::time::Wall;
use anyhow::{Context, Result, ensure};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

const FILE: &str = "ticketing.db";
/// How long one waits for the other: the client, and who erases.
const BUSY: Duration = Duration::from_secs(10);
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS done(key TEXT PRIMARY KEY, call INTEGER NOT NULL, result TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS done_call ON done(call);
    CREATE TABLE IF NOT EXISTS ticket(call INTEGER PRIMARY KEY, key TEXT NOT NULL, result TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS aside(call INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL, since INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS erased(call INTEGER PRIMARY KEY);
";

const FORGET: &str = "
    BEGIN IMMEDIATE; DELETE FROM done; DELETE FROM ticket; DELETE FROM aside; DELETE FROM erased; DELETE FROM meta; COMMIT;
";

/// What survives a kill.
pub(super) struct Memory {
    pub(super) conn: Connection,
    /// Where a start begins to read.
    pub(super) low: u64,
    /// The last event that was read: whether this is of the log is seen by it.
    read: Option<(u64, Wall)>,
}

/// Where the outbox stands in the log.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standing {
    /// Where a start begins to read.
    pub low: u64,
    /// What the log must keep.
    pub needed: u64,
    /// The last event that was read; none: not yet.
    pub read: Option<(u64, Wall)>,
    /// The first call that is in the log; none: not looked up.
    pub first: Option<CallId>,
}

impl Memory {
    /// `next`: where to begin if nothing of this log was written down.
    pub(super) fn open(data: &Path, log: u64, next: u64) -> Result<Memory> {
        let file = data.join(FILE);
        make_private(&file)?;
        let conn = Connection::open(&file)?;
        conn.busy_timeout(BUSY)?;
        conn.pragma_update(None, "journal_mode", "wal")?;
        conn.pragma_update(None, "synchronous", "full")?;
        conn.pragma_update(None, "secure_delete", true)?;
        conn.execute_batch(TABLES)?;
        let meta = |key| {
            let value = conn.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get::<_, i64>(0));
            value.optional().map(|value| value.map(|value| value as u64))
        };
        match meta("log")? {
            Some(known) if known == log => {}
            // What is known is of a log that was begun anew since.
            Some(_) => conn.execute_batch(FORGET)?,
            // Keys did not name their log before there was an id.
            None => _ = conn.execute("UPDATE done SET key = ?1 || '-' || key", [log_name(log)])?,
        }
        let now = params![log as i64, next as i64];
        conn.execute("INSERT OR IGNORE INTO meta VALUES ('log', ?1), ('low', ?2)", now)?;
        let low = meta("low")?.unwrap_or(next).min(next).max(1);
        let read = meta("read")?.zip(meta("read_at")?).map(|(seq, at)| (seq, Wall(at as i64)));
        Ok(Memory { conn, low, read })
    }

    /// Whether all of this was of the log as it is: one that was put back from a copy has another event of that number, or
    /// none. What was removed from the log can be of no other.
    fn fits(&self, log: &Reader) -> Result<bool> {
        let Some((seq, at)) = self.read else { return Ok(true) };
        Ok(seq <= log.removed()? || log.at(seq)? == Some(at))
    }

    /// The same, but a file that is damaged is put aside, what is of another state of the log is forgotten, and what is said
    /// begins with the event `again` then: the ticketing system knows by their keys what it was told before.
    pub(super) fn of(data: &Path, log: &Reader, next: u64, again: &dyn Fn() -> Result<u64>) -> Result<(Memory, Left)> {
        let whole = |memory: Memory| memory.left().map(|left| (memory, left));
        let id = log.log_id()?;
        let (memory, left) = match Memory::open(data, id, next).and_then(whole) {
            Err(why) if aside::is_useless(&why) => return Memory::anew(data, id, again()?, &why).and_then(whole),
            opened => opened?,
        };
        if memory.fits(log)? {
            return Ok((memory, left));
        }
        let again = again()?;
        let told = "the log was put back from a copy; the ticketing system is told again what it may know";
        Entry::warn("ticketing", told).with("from_event", again).tell();
        memory.conn.execute_batch(FORGET)?;
        drop(memory);
        Memory::open(data, id, again).and_then(whole)
    }

    pub(super) fn anew(data: &Path, log: u64, again: u64, why: &anyhow::Error) -> Result<Memory> {
        let place = aside::put(&data.join(FILE))?;
        let told =
            "ticketing.db cannot be used; it is put aside, and the ticketing system is told again what it may know";
        Entry::error("ticketing", told)
            .with("why", why)
            .with("aside", place.as_path())
            .with("from_event", again)
            .tell();
        Memory::open(data, log, again)
    }

    pub(super) fn left(&self) -> Result<Left> {
        let mut query = self.conn.prepare("SELECT call, first_seq, since FROM aside")?;
        let rows = query.query_map([], |row| {
            let (call, first_seq): (i64, i64) = (row.get(0)?, row.get(1)?);
            Ok((CallId(call as u64), (first_seq as u64, Wall(row.get(2)?))))
        })?;
        let aside = rows.collect::<rusqlite::Result<_>>()?;
        Ok(Left { done: self.done()?, aside, low: self.low })
    }

    pub(super) fn done(&self) -> Result<BTreeMap<String, String>> {
        let mut query = self.conn.prepare("SELECT key, result FROM done")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub(super) fn done_of(&self, call: CallId) -> Result<BTreeMap<String, String>> {
        let both = "SELECT key, result FROM done WHERE call = ?1 UNION SELECT key, result FROM ticket WHERE call = ?1";
        let mut query = self.conn.prepare_cached(both)?;
        let rows = query.query_map([call.0 as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// As it was written down last.
    pub(super) fn standing(&self) -> Result<Standing> {
        let sql = "SELECT value FROM meta WHERE key = 'needed'";
        let needed: Option<i64> = self.conn.query_row(sql, [], |row| row.get(0)).optional()?;
        let needed = needed.map_or(self.low, |needed| needed as u64);
        Ok(Standing { low: self.low, needed, ..Standing::default() })
    }

    /// Calls whose texts `tierline person erase` has taken out of the log since somebody looked.
    pub(super) fn erased(&self) -> Result<Vec<CallId>> {
        let mut query = self.conn.prepare_cached("SELECT call FROM erased")?;
        let calls = query.query_map([], |row| row.get::<_, i64>(0))?;
        calls.map(|call| Ok(CallId(call? as u64))).collect()
    }

    pub(super) fn write(&mut self, notes: &[Output], standing: Standing) -> Result<()> {
        if notes.is_empty() {
            return Ok(()); // where to begin is written with the next note
        }
        let tx = self.conn.transaction()?;
        for note in notes {
            match note {
                Output::Done { call, key, result } => {
                    tx.prepare_cached("INSERT OR REPLACE INTO done VALUES (?1, ?2, ?3)")?.execute(params![
                        key,
                        call.0 as i64,
                        result
                    ])?;
                }
                Output::Forget { call } => {
                    // What is noted of it later is told with its ticket.
                    let ticket = "INSERT OR REPLACE INTO ticket SELECT call, key, result FROM done
                                  WHERE call = ?1 AND key LIKE '%-open-%' AND result <> ''";
                    tx.prepare_cached(ticket)?.execute([call.0 as i64])?;
                    tx.prepare_cached("DELETE FROM done WHERE call = ?1")?.execute([call.0 as i64])?;
                    tx.prepare_cached("DELETE FROM aside WHERE call = ?1")?.execute([call.0 as i64])?;
                }
                Output::Aside { call, first_seq, since, .. } => {
                    let row = params![call.0 as i64, *first_seq as i64, since.0];
                    tx.prepare_cached("INSERT OR REPLACE INTO aside VALUES (?1, ?2, ?3)")?.execute(row)?;
                }
                Output::Erased { call } => {
                    _ = tx.prepare_cached("DELETE FROM erased WHERE call = ?1")?.execute([call.0 as i64])?;
                }
                Output::Send { .. } | Output::Reread { .. } => {}
            }
        }
        let Standing { low, needed, first, read } = standing;
        if let Some(first) = first {
            // Calls get their numbers one after the other; of one that is not in the log nothing is noted any more.
            tx.prepare_cached("DELETE FROM ticket WHERE call < ?1")?.execute([first.0 as i64])?;
        }
        let now = params![low as i64, needed as i64];
        tx.execute("INSERT OR REPLACE INTO meta VALUES ('low', ?1), ('needed', ?2)", now)?;
        // A start begins to read before what it has read already.
        let read = read.max(self.read);
        if let Some((seq, at)) = read {
            let sql = "INSERT OR REPLACE INTO meta VALUES ('read', ?1), ('read_at', ?2)";
            tx.prepare_cached(sql)?.execute(params![seq as i64, at.0])?;
        }
        tx.commit()?;
        (self.low, self.read) = (low, read);
        Ok(())
    }
}

/// Forgets which tickets these calls have, removes what was put aside, in which they may be, and leaves word that their texts are erased, also while a server runs: it holds
/// what it still has to tell.
///
/// # Errors
/// The file cannot be written, or its write-ahead log cannot be emptied because somebody reads it.
pub fn erase(data: &Path, calls: &BTreeSet<CallId>) -> Result<()> {
    if calls.is_empty() {
        return Ok(());
    }
    let path = data.join(FILE);
    // Of one that was damaged nobody can say which of its numbers are whose.
    aside::remove(&path)?;
    if !path.try_exists()? {
        return Ok(()); // nobody was ever told
    }
    let mut conn = Connection::open(&path).with_context(|| format!("cannot open `{}`", path.display()))?;
    conn.pragma_update(None, "secure_delete", true)?;
    conn.busy_timeout(BUSY)?;
    conn.execute_batch(TABLES)?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for call in calls.iter().map(|call| call.0 as i64) {
        tx.prepare_cached("DELETE FROM ticket WHERE call = ?1")?.execute([call])?;
        // Its key stays: what was done is not done again.
        tx.prepare_cached("UPDATE done SET result = '' WHERE call = ?1 AND result <> ''")?.execute([call])?;
        tx.prepare_cached("INSERT OR IGNORE INTO erased VALUES (?1)")?.execute([call])?;
    }
    tx.commit()?;
    ensure!(store::truncate_log(&conn), "somebody reads `{}`: copies of tickets' numbers remain there", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::folder::Folder;
    use super::*;

    fn at(low: u64, needed: u64) -> Standing {
        Standing { low, needed, ..Standing::default() }
    }

    fn done(memory: &Memory) -> Vec<String> {
        memory.done().unwrap().into_keys().collect()
    }

    /// What was written down is of one log; of another one nothing is known, and its numbers begin anew.
    #[test]
    fn what_was_done_belongs_to_one_log() {
        let data = Folder::new("log");
        let mut memory = Memory::open(&data, 7, 1).unwrap();
        let key = "0000000000000007-open-c0-0-1".to_owned();
        let note = Output::Done { call: CallId(1), key: key.clone(), result: "1001".into() };
        let (call, since) = (CallId(2), Wall(5));
        memory.write(&[note, Output::Aside { call, first_seq: 3, since, what: "OpenTicket" }], at(40, 3)).unwrap();
        drop(memory);
        let same = Memory::open(&data, 7, 90).unwrap();
        assert_eq!(same.left().unwrap().aside, BTreeMap::from([(call, (3, since))]));
        assert_eq!(same.done_of(CallId(1)).unwrap(), BTreeMap::from([(key.clone(), "1001".to_owned())]));
        assert_eq!((same.low, done(&same)), (40, vec![key]));
        drop(same);
        let other = Memory::open(&data, 8, 3).unwrap();
        assert_eq!((other.low, done(&other)), (3, Vec::new()));
        assert!(other.left().unwrap().aside.is_empty());
    }

    /// The log is put back from a copy, and goes on: what was written down is of what was lost, and is forgotten, so that no
    /// call of the same name is taken for one that was put aside. As long as the log is the one, or more of it, it is known.
    #[test]
    fn what_was_done_is_forgotten_where_the_log_is_put_back() {
        use super::super::clerk::examples::arrives;
        use crate::server::store::{Keep, Reader, Store};
        let data = Folder::new("put-back");
        let goes_on = |numbers: std::ops::RangeInclusive<u64>, at: i64| {
            let store = Store::open_with(&data, 0, Keep::default(), Wall(0)).unwrap().store;
            numbers.for_each(|seq| store.append(vec![crate::event::Event { at: Wall(at), ..arrives(seq) }]));
            store.close().unwrap();
        };
        let known = || {
            let log = Reader::of(&data).unwrap();
            let (memory, left) = Memory::of(&data, &log, 99, &|| Ok(2)).unwrap();
            (memory.low, left.done.len(), left.aside.len())
        };
        goes_on(1..=3, 5_000);
        let log = Reader::of(&data).unwrap().log_id().unwrap();
        std::fs::copy(data.join("events.db"), data.join("copy.db")).unwrap();
        goes_on(4..=6, 6_000);
        let mut memory = Memory::open(&data, log, 1).unwrap();
        let note =
            Output::Done { call: CallId(5), key: format!("{}-open-5-6000", log_name(log)), result: "1001".into() };
        let aside = Output::Aside { call: CallId(6), first_seq: 6, since: Wall(5), what: "OpenTicket" };
        let read = |seq, at| Standing { low: 4, needed: 4, read: Some((seq, Wall(at))), first: None };
        memory.write(&[note.clone(), aside], read(5, 6_000)).unwrap();
        // A start reads again what it has read: what was read before is not unlearned.
        memory.write(&[note], read(3, 5_000)).unwrap();
        drop(memory);
        assert_eq!(known(), (4, 1, 1));
        goes_on(7..=7, 7_000);
        assert_eq!(known(), (4, 1, 1), "it is the same log");
        std::fs::copy(data.join("copy.db"), data.join("events.db")).unwrap();
        goes_on(4..=7, 8_000);
        assert_eq!(known(), (2, 0, 0));
    }

    /// A call that is forgotten keeps its ticket's number, for what is noted of it later; nothing else.
    #[test]
    fn a_ticket_outlives_its_call() {
        let data = Folder::new("late");
        let mut memory = Memory::open(&data, 7, 1).unwrap();
        let call = CallId(1);
        let done = |what: &str, result: &str| {
            let key = format!("{}-{what}", log_name(7));
            Output::Done { call, key, result: result.into() }
        };
        memory.write(&[done("open-c0-0-1", "1001"), done("follow-3", "")], at(1, 1)).unwrap();
        memory.write(&[Output::Forget { call }], at(9, 9)).unwrap();
        assert!(memory.left().unwrap().done.is_empty());
        let ticket = (format!("{}-open-c0-0-1", log_name(7)), "1001".to_owned());
        assert_eq!(memory.done_of(call).unwrap(), BTreeMap::from([ticket]));
        // As long as the log has the call.
        let tickets = |memory: &Memory| memory.done_of(call).unwrap().len();
        for (first, kept) in [(None, 1), (Some(CallId(1)), 1), (Some(CallId(2)), 0)] {
            let standing = Standing { first, ..at(9, 9) };
            memory.write(&[Output::Forget { call: CallId(7) }], standing).unwrap();
            assert_eq!(tickets(&memory), kept, "{first:?}");
        }
    }

    /// Numbers of tickets lead to people.
    #[test]
    fn only_its_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt;
        let data = Folder::new("private");
        let mode = || std::fs::metadata(data.join(FILE)).unwrap().permissions().mode() & 0o777;
        drop(Memory::open(&data, 7, 1).unwrap());
        assert_eq!(mode(), 0o600);
        // As one that an earlier version made.
        std::fs::set_permissions(data.join(FILE), std::fs::Permissions::from_mode(0o644)).unwrap();
        drop(Memory::open(&data, 7, 1).unwrap());
        assert_eq!(mode(), 0o600);
    }

    /// Tickets leave every file; the keys of what was done stay, and a client that runs hears of it once.
    #[test]
    fn tickets_of_a_persons_calls_are_erased_beside_a_client() {
        let data = Folder::new("erased");
        let mut memory = Memory::open(&data, 7, 1).unwrap();
        let open = |call: u64, result: &str| {
            let (call, key) = (CallId(call), format!("{}-open-{call}", log_name(7)));
            Output::Done { call, key, result: result.into() }
        };
        let (one, two, three) = (CallId(1), CallId(2), CallId(3));
        memory.write(&[open(1, "gone-4711"), open(2, "gone-4712"), open(3, "kept-4713")], at(1, 1)).unwrap();
        memory.write(&[Output::Forget { call: one }, Output::Forget { call: three }], at(1, 1)).unwrap();
        let holds = |text: &str| {
            let files = std::fs::read_dir(&*data).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
            files.into_iter().any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
        };
        assert!(holds("gone-4711") && holds("gone-4712"), "the check would find them");
        // Damaged once: who could say whose numbers are in it?
        std::fs::write(data.join("ticketing.db.aside-2"), "gone-4711").unwrap();
        erase(&data, &[one, two].into()).unwrap();
        assert!(!holds("gone-4711") && !holds("gone-4712") && holds("kept-4713"));
        assert_eq!((memory.done_of(one).unwrap().len(), memory.done_of(two).unwrap().len()), (0, 1));
        assert_eq!(memory.erased().unwrap(), [one, two]);
        memory.write(&[Output::Erased { call: one }, Output::Erased { call: two }], at(1, 1)).unwrap();
        assert!(memory.erased().unwrap().is_empty());
    }
}
