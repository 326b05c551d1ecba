//! Erasing what is kept of one person.

use super::expired::truncate_log;
use super::{reader, schema};
use crate::event::{Event, PersonalKind, What};
use crate::ids::CallId;
use crate::log;
use anyhow::{Result, ensure};
use rusqlite::{Connection, TransactionBehavior, params};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What was erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErasedPerson {
    pub calls: u64,
    pub texts: u64,
    /// Calls that still run: left as they are.
    pub running: u64,
}

/// Rows looked at in one go, so that a writer does not wait long.
const PORTION: i64 = 2_000;

/// What is kept of one person, found, and not erased yet.
pub struct Person {
    conn: Connection,
    path: PathBuf,
    handles: BTreeSet<u64>,
    /// The person's own that are over.
    calls: BTreeSet<CallId>,
    /// Those that run and name the person.
    running: u64,
}

impl Person {
    /// Looks for the calls from `number`, also while a server writes.
    ///
    /// # Errors
    /// There is no log, or it cannot be read.
    pub fn find(dir: &Path, number: &str) -> Result<Person> {
        let conn = schema::open_to_erase(dir)?;
        let handles = handles_of(&conn, number)?;
        let open: BTreeSet<CallId> = reader::open_events(&conn)?.iter().filter_map(log::opens_call).collect();
        let (begun, all) = calls_of(&conn, &handles)?;
        let calls = begun.difference(&open).copied().collect();
        let running: BTreeSet<_> = all.intersection(&open).collect();
        Ok(Person { conn, path: schema::file(dir), handles, calls, running: running.len() as u64 })
    }

    /// Whether anything is kept of this number.
    pub fn is_known(&self) -> bool {
        !self.handles.is_empty()
    }

    /// The person's calls that are over.
    pub fn calls(&self) -> &BTreeSet<CallId> {
        &self.calls
    }

    /// Erases the texts of the calls that are over.
    ///
    /// # Errors
    /// The log cannot be written, or its write-ahead log cannot be emptied because somebody reads it.
    pub fn erase(mut self) -> Result<ErasedPerson> {
        let mut erased =
            ErasedPerson { calls: self.calls.len() as u64, running: self.running, ..ErasedPerson::default() };
        for call in &self.calls {
            erased.texts += erase_call(&mut self.conn, *call)?;
        }
        // Where the number stands in another's call, such as one that was sent on to it, nothing else of that call is this
        // person's.
        if erased.running == 0 {
            erased.texts += erase_texts(&mut self.conn, &self.handles)?;
        }
        ensure!(
            truncate_log(&self.conn),
            "all is erased, but somebody reads the log: copies remain in `{}-wal` until the next hour or stop",
            self.path.display()
        );
        Ok(erased)
    }
}

/// Handles of texts that are this number, written in whatever way.
fn handles_of(conn: &Connection, number: &str) -> Result<BTreeSet<u64>> {
    // Flows' notes were of the kind of keys once. A key alone is nobody's number.
    let kinds = [PersonalKind::Number, PersonalKind::Text, PersonalKind::Digit].map(schema::kind);
    let sql = "SELECT handle, text FROM personal WHERE kind IN (?1, ?2) OR kind = ?3 AND length(text) > 1";
    let mut query = conn.prepare(sql)?;
    let mut handles = BTreeSet::new();
    let mut rows = query.query(kinds)?;
    while let Some(row) = rows.next()? {
        let (handle, text): (i64, String) = (row.get(0)?, row.get(1)?);
        if names(&text, number) {
            handles.insert(handle as u64);
        }
    }
    Ok(handles)
}

/// Whether `text`, a SIP or tel URI or a plain number, is `number`.
fn names(text: &str, number: &str) -> bool {
    text == number || crate::sip::uri::Uri::parse(text).is_ok_and(|uri| uri.user_decoded() == number)
}

/// Whether a line of the log names one of these, of whatever kind: flows' and agents' notes are numbers too.
fn holds(line: &str, handles: &BTreeSet<u64>) -> bool {
    line.split("\"handle\":").skip(1).any(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().is_ok_and(|handle| handles.contains(&handle))
    })
}

/// Calls that began with one of these, and all that name one.
fn calls_of(conn: &Connection, handles: &BTreeSet<u64>) -> Result<(BTreeSet<CallId>, BTreeSet<CallId>)> {
    let (mut begun, mut all, mut after) = (BTreeSet::new(), BTreeSet::new(), 0);
    let sql = "SELECT seq, version, lines FROM event WHERE seq > ?1 AND call IS NOT NULL ORDER BY seq LIMIT ?2";
    loop {
        let mut query = conn.prepare_cached(sql)?;
        let mut rows = query.query(params![after, PORTION])?;
        let mut any = false;
        while let Some(row) = rows.next()? {
            any = true;
            after = row.get(0)?;
            let (version, lines): (u32, String) = (row.get(1)?, row.get(2)?);
            for line in lines.split('\n').filter(|line| holds(line, handles)) {
                let event: Event = log::decode(version, line).map_err(|why| anyhow::anyhow!("{why}"))?;
                if event.what.personal().is_some_and(|personal| handles.contains(&personal.handle)) {
                    begun.extend(event.call.filter(|_| matches!(event.what, What::CallArrived { .. })));
                    all.extend(event.call);
                }
            }
        }
        if !any {
            return Ok((begun, all));
        }
    }
}

fn erase_call(conn: &mut Connection, call: CallId) -> Result<u64> {
    let mut handles = BTreeSet::new();
    {
        let mut query = conn.prepare_cached("SELECT version, lines FROM event WHERE call = ?1")?;
        let mut rows = query.query([call.0 as i64])?;
        while let Some(row) = rows.next()? {
            let (version, lines): (u32, String) = (row.get(0)?, row.get(1)?);
            for line in lines.split('\n') {
                let event: Event = log::decode(version, line).map_err(|why| anyhow::anyhow!("{why}"))?;
                let of_call = event.call == Some(call) && !matches!(event.what, What::PhoneRegistered { .. });
                handles.extend(event.what.personal().filter(|_| of_call).map(|personal| personal.handle));
            }
        }
    }
    erase_texts(conn, &handles)
}

fn erase_texts(conn: &mut Connection, handles: &BTreeSet<u64>) -> Result<u64> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut erased = 0;
    {
        let sql = "UPDATE personal SET kind = ?2, text = zeroblob(length(CAST(text AS BLOB)))
                   WHERE handle = ?1 AND kind <> ?2";
        let mut erase = tx.prepare_cached(sql)?;
        for handle in handles {
            erased += erase.execute(params![*handle as i64, schema::ERASED])? as u64;
        }
    }
    tx.commit()?;
    Ok(erased)
}
