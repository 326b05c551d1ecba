//! The thread that writes: collects events into groups, commits them, tries again when the disk refuses.

use super::{Keep, QUEUE_LIMIT, wall_now};
use crate::event::{Event, Personal};
use crate::log::{self, OpenChange, OpenKey};
use crate::time::Wall;
use anyhow::{Result, bail};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// A group is written when its first event has waited this long …
pub(super) const GROUP_TIME: Duration = Duration::from_millis(10);
/// … or when this many events wait, whichever comes first.
pub(super) const GROUP_ROWS: u64 = 256;
/// When more wait, one transaction takes up to this many: a backlog is worked off with fewer commits.
const GROUP_MAX: usize = 4096;
/// Texts erased in one transaction, so that events do not wait long behind it.
const ERASE_MAX: usize = 1000;
const ERASE_EVERY: Duration = Duration::from_secs(3600);
/// A failed group is tried again after this, then after twice this, up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// What the writer and the appending threads share.
#[derive(Debug)]
pub(super) struct Shared {
    /// Events put into the queue.
    pub appended: AtomicU64,
    /// Events taken care of: written or lost.
    pub done: AtomicU64,
    /// Whoever raises `appended` to exactly this wakes the writer.
    pub wake_at: AtomicU64,
    pub committed_seq: AtomicU64,
    pub commits: AtomicU64,
    pub failures: AtomicU64,
    pub lost: AtomicU64,
    /// The last attempt to write failed.
    pub failing: AtomicBool,
}

impl Default for Shared {
    fn default() -> Self {
        let zero = AtomicU64::default;
        Shared {
            appended: zero(),
            done: zero(),
            wake_at: AtomicU64::new(u64::MAX),
            committed_seq: zero(),
            commits: zero(),
            failures: zero(),
            lost: zero(),
            failing: AtomicBool::new(false),
        }
    }
}

/// What is asked of the writer beside writing.
pub(super) enum Order {
    /// Answer when `target` events are taken care of, or at once when that fails.
    Flush {
        target: u64,
        done: SyncSender<Result<(), String>>,
    },
    EraseExpired(Wall),
    /// Write what waits, then end.
    Stop,
    /// Run something on the writer's connection.
    #[cfg(test)]
    With(Box<dyn FnOnce(&Connection) + Send>),
}

pub(super) struct Writer {
    conn: Connection,
    /// What single steps of the engine made: never split over two transactions, so that no kill comes between.
    events: Receiver<Vec<Event>>,
    orders: Receiver<Order>,
    shared: Arc<Shared>,
    keep: Keep,
    batch: Vec<Event>,
    /// Events taken out of the queue.
    taken: u64,
    flushes: Vec<(u64, SyncSender<Result<(), String>>)>,
    stopping: bool,
    /// Texts that expired before this are to be erased, in portions.
    erase_before: Option<Wall>,
    erased_any: bool,
    next_erase: Instant,
    failure: Option<Failure>,
}

/// Writing fails at present.
struct Failure {
    why: String,
    pause: Duration,
    retry_at: Instant,
}

impl Writer {
    pub fn new(
        conn: Connection,
        events: Receiver<Vec<Event>>,
        orders: Receiver<Order>,
        shared: Arc<Shared>,
        keep: Keep,
    ) -> Writer {
        Writer {
            conn,
            events,
            orders,
            shared,
            keep,
            batch: Vec::with_capacity(GROUP_MAX),
            taken: 0,
            flushes: Vec::new(),
            stopping: false,
            erase_before: None,
            erased_any: false,
            next_erase: Instant::now() + ERASE_EVERY,
            failure: None,
        }
    }

    /// Until told to stop. The error says how many events are lost because the disk still refuses.
    pub fn run(mut self) -> Result<()> {
        loop {
            self.wait();
            self.take_orders();
            self.take_events();
            if !self.batch.is_empty() {
                self.write();
            }
            self.erase_some();
            self.answer_flushes();
            if self.stopping && (self.waiting() == 0 || self.failure.is_some()) {
                return self.finish();
            }
        }
    }

    /// Events that are appended and not yet taken care of.
    fn waiting(&self) -> u64 {
        self.shared.appended.load(SeqCst).saturating_sub(self.shared.done.load(SeqCst))
    }

    fn wait(&mut self) {
        if let Some(failure) = &self.failure {
            return self.park_until(u64::MAX, failure.retry_at);
        }
        if self.stopping || self.erase_before.is_some() {
            return;
        }
        self.park_until(self.taken + 1, self.next_erase);
        if self.shared.appended.load(SeqCst) > self.taken {
            self.park_until(self.taken + GROUP_ROWS, Instant::now() + GROUP_TIME);
        }
    }

    /// Sleeps until `count` events have been appended in all, an order came, or `deadline` has passed.
    fn park_until(&mut self, count: u64, deadline: Instant) {
        // All of these are SeqCst: either we see the event that reaches `count`, or its appender sees `wake_at`.
        self.shared.wake_at.store(count, SeqCst);
        while self.shared.appended.load(SeqCst) < count && !self.take_orders() {
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|d| !d.is_zero()) else { break };
            thread::park_timeout(left);
        }
        self.shared.wake_at.store(u64::MAX, SeqCst);
    }

    /// Notes what was asked; returns whether somebody waits for an answer.
    fn take_orders(&mut self) -> bool {
        while let Some(order) = self.next_order() {
            match order {
                Order::Flush { target, done } => self.flushes.push((target, done)),
                Order::EraseExpired(now) => self.erase_before = Some(now),
                Order::Stop => self.stopping = true,
                #[cfg(test)]
                Order::With(run) => run(&self.conn),
            }
        }
        self.stopping || !self.flushes.is_empty() || self.erase_before.is_some()
    }

    fn next_order(&mut self) -> Option<Order> {
        match self.orders.try_recv() {
            Ok(order) => Some(order),
            Err(mpsc::TryRecvError::Empty) => None,
            Err(mpsc::TryRecvError::Disconnected) => (!self.stopping).then_some(Order::Stop),
        }
    }

    fn take_events(&mut self) {
        while self.batch.len() < GROUP_MAX {
            let Ok(step) = self.events.try_recv() else { break };
            self.batch.extend(step);
        }
        self.taken = self.shared.done.load(Relaxed) + self.batch.len() as u64;
    }

    /// Commits the batch as one transaction, or keeps it for the next attempt.
    fn write(&mut self) {
        match commit(&mut self.conn, &self.batch, self.keep) {
            Ok(lost) => self.written(lost),
            Err(why) => self.failed(&why),
        }
    }

    fn written(&mut self, lost: u64) {
        if self.failure.take().is_some() {
            eprintln!("tierline: the event log is being written again; new calls are taken");
        }
        if lost > 0 {
            eprintln!("tierline: {lost} events have numbers that the log has already; they are lost (a defect)");
        }
        let last = self.batch.last().map_or(0, |event| event.seq);
        self.shared.failing.store(false, Relaxed);
        self.shared.committed_seq.fetch_max(last, Relaxed);
        self.shared.commits.fetch_add(1, Relaxed);
        self.shared.lost.fetch_add(lost, Relaxed);
        self.shared.done.fetch_add(self.batch.len() as u64, SeqCst);
        self.batch.clear();
    }

    fn failed(&mut self, why: &rusqlite::Error) {
        let pause = match &self.failure {
            Some(before) => (before.pause * 2).min(RETRY_MAX),
            None => {
                eprintln!(
                    "tierline: the event log cannot be written: {why}; no new calls are taken until it can, \
                     up to {QUEUE_LIMIT} events wait in memory"
                );
                RETRY_MIN
            }
        };
        self.failure = Some(Failure { why: why.to_string(), pause, retry_at: Instant::now() + pause });
        self.shared.failing.store(true, Relaxed);
        self.shared.failures.fetch_add(1, Relaxed);
    }

    fn answer_flushes(&mut self) {
        let done = self.shared.done.load(SeqCst);
        let failure = self.failure.as_ref().map(|f| f.why.clone());
        self.flushes.retain(|(target, answer)| {
            let verdict = match &failure {
                _ if done >= *target => Ok(()),
                Some(why) => Err(why.clone()),
                None => return true,
            };
            let _ = answer.send(verdict); // whoever asked may have left
            false
        });
    }

    /// One portion of erasing; at its end the write-ahead log is cut, since it still holds what was erased.
    fn erase_some(&mut self) {
        if Instant::now() >= self.next_erase {
            self.next_erase = Instant::now() + ERASE_EVERY;
            self.erase_before = Some(wall_now());
        }
        let Some(before) = self.erase_before else { return };
        match erase_expired(&self.conn, before) {
            Ok(ERASE_MAX) => self.erased_any = true,
            Ok(n) => {
                self.erase_before = None;
                if std::mem::take(&mut self.erased_any) || n > 0 {
                    truncate_log(&self.conn);
                }
            }
            // The next hour tries again; writing events says by itself what is wrong with the disk.
            Err(_) => self.erase_before = None,
        }
    }

    fn finish(self) -> Result<()> {
        truncate_log(&self.conn);
        match self.failure {
            Some(Failure { why, .. }) => {
                let lost = self.shared.appended.load(SeqCst) - self.shared.done.load(SeqCst);
                bail!("the event log could not be written at the end: {why}; {lost} events are lost")
            }
            None => Ok(()),
        }
    }
}

/// Empties the write-ahead log file. A reader in mid-query prevents it; then the next time does it.
fn truncate_log(conn: &Connection) {
    let _ = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
}

/// Erases one portion of the texts that have expired at `now`; returns how many.
fn erase_expired(conn: &Connection, now: Wall) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM personal WHERE handle IN (SELECT handle FROM personal WHERE expires <= ?1 LIMIT ?2)";
    conn.prepare_cached(sql)?.execute(params![now.0, ERASE_MAX as i64])
}

/// Erases all texts that have expired at `now`, also from the write-ahead log.
pub(super) fn erase_all_expired(conn: &Connection, now: Wall) -> rusqlite::Result<()> {
    while erase_expired(conn, now)? == ERASE_MAX {}
    truncate_log(conn);
    Ok(())
}

/// Writes `batch` in one transaction; returns how many events were refused because their number is taken.
fn commit(conn: &mut Connection, batch: &[Event], keep: Keep) -> rusqlite::Result<u64> {
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let mut lost = 0;
    let mut rows = Rows::prepare(&tx)?;
    for event in batch {
        match rows.add(event, keep) {
            // We were wrong, but one bad event must not hold up all that follow.
            Err(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => lost += 1,
            other => other?,
        }
    }
    drop(rows);
    tx.commit()?;
    Ok(lost)
}

/// The statements that one event needs.
struct Rows<'c> {
    event: CachedStatement<'c>,
    personal: CachedStatement<'c>,
    /// Changes nothing if the key is open already.
    open: CachedStatement<'c>,
    close: CachedStatement<'c>,
    erase: CachedStatement<'c>,
}

impl<'c> Rows<'c> {
    fn prepare(conn: &'c Connection) -> rusqlite::Result<Rows<'c>> {
        Ok(Rows {
            event: conn.prepare_cached("INSERT INTO event VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?,
            personal: conn.prepare_cached("INSERT OR REPLACE INTO personal VALUES (?1, ?2, ?3, ?4)")?,
            open: conn.prepare_cached("INSERT OR IGNORE INTO open VALUES (?1, ?2, ?3)")?,
            close: conn.prepare_cached("DELETE FROM open WHERE key = ?1 RETURNING handle")?,
            erase: conn.prepare_cached("DELETE FROM personal WHERE handle = ?1")?,
        })
    }

    fn add(&mut self, event: &Event, keep: Keep) -> rusqlite::Result<()> {
        let (seq, call) = (event.seq as i64, event.call.map(|c| c.0 as i64));
        self.event.execute(params![seq, event.at.0, call, event.what.name(), log::VERSION, log::encode(event)])?;
        if let Some(change) = log::open_change(event) {
            self.apply(change, event)?;
        }
        if let Some(Personal { kind, handle, text: Some(text) }) = event.what.personal() {
            let expires = keep.expires(*kind, event.at).map(|at| at.0);
            self.personal.execute(params![*handle as i64, format!("{kind:?}"), expires, &**text])?;
        }
        Ok(())
    }

    fn apply(&mut self, change: OpenChange, event: &Event) -> rusqlite::Result<()> {
        match change {
            OpenChange::Open(key) => self.open(key, event),
            OpenChange::Close(key) => self.close(key, log::forgets_text(change).is_some()),
        }
    }

    fn open(&mut self, key: OpenKey, event: &Event) -> rusqlite::Result<()> {
        let handle = event.what.personal().map(|p| p.handle as i64);
        let row = params![key.to_string(), event.seq as i64, handle];
        if self.open.execute(row)? == 0 {
            // What opens a second time replaces its text too: the earlier one would never be erased.
            self.close(key, log::forgets_text(OpenChange::Close(key)).is_some())?;
            self.open.execute(row)?;
        }
        Ok(())
    }

    fn close(&mut self, key: OpenKey, forget: bool) -> rusqlite::Result<()> {
        let row: Option<Option<i64>> = self.close.query_row([key.to_string()], |row| row.get(0)).optional()?;
        if let (true, Some(Some(handle))) = (forget, row) {
            self.erase.execute([handle])?;
        }
        Ok(())
    }
}
