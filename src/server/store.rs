//! The event log on disk: SQLite, one writer thread, group commit.
//!
//! ```text
//!  engine ── append ──▶ queue ──▶ writer thread ──▶ events.db ◀── readers, each on its own connection
//!            never waits          20 ms or 256 events
//! ```
//!
//! **What a row is.** What a step of the engine says about one call is one row of `event`: a line for each event, as
//! [`crate::log`] encodes it, without personal texts. Numbers and keys are in `personal` with the time they arose, so
//! that erasing one breaks no fold. `open` names the events behind what is open (see [`crate::log::open_change`]),
//! `slot` has the texts that go when it closes; both change in the transaction of the event, and are what a start
//! reads, however long the log is.
//!
//! **When the disk is slow or full.** [`Store::append`] never waits. Up to [`QUEUE_LIMIT`] events wait in
//! memory; from there on, or while writing fails, [`Store::healthy`] is false and the shell takes no new
//! calls (running ones add few events each). A failed group is kept and tried again until it succeeds. At
//! twice the limit events are dropped and counted in [`Numbers::lost`]; a start then ends what they would
//! have closed.
//!
//! **Who follows the log closely** (desktops and the records do) takes what was committed a moment ago from memory
//! ([`Recent`]), and reads the disk for all else; what it has read is not in memory any more.
//!
//! **When the file is gone**, removed or replaced by somebody, what is written to the one that is open would be lost: it
//! counts as failing, and goes on when the file is back in its place.
//!
//! **What erasing leaves behind.** A text is overwritten where it is, in a row that stays (`store/slots.rs` says why);
//! of a number or a key that is a few empty bytes. Under load what a dialog needed is overwritten within a second of its end,
//! with others', or by the next start. Its copy in the write-ahead log is gone after the next hourly
//! truncation, start or orderly stop; one that a reader holds up is made up for by the next.
//!
//! Left out: retention of the events themselves, which is in `keeping`, and recordings.
#![allow(clippy::disallowed_methods, reason = "the shell reads the clock")]

#[cfg(test)]
pub mod damage;
mod examine;
mod expired;
mod group;
mod mark;
mod person;
mod prune;
mod reader;
mod recent;
mod schema;
mod slots;
mod unusable;
mod writer;

pub use examine::{Examined, examine, usable};
pub(super) use expired::truncate_log;
pub use expired::{Erased, erase_expired};
pub use mark::{believed, write_alive, write_believed};
pub use person::{ErasedPerson, Person};
pub use prune::Pruner;
pub use reader::{NoLog, OfLog, Reader};
pub use recent::Recent;
pub use schema::{in_use, is_in_use, make_private};
pub use unusable::Unusable;
pub use writer::OnCommit;

use crate::event::{Event, PersonalKind};
use crate::server::journal::Entry;
use crate::server::planted;
use crate::server::pulse::bounds;
use crate::stats::Value;
use crate::stats::families::LOG_COMMIT_TIME;
use crate::time::Wall;
use anyhow::{Context, Result, anyhow};
use group::Written;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, SystemTime};
use writer::{Log, Order, Shared, Writer};

/// This many events may wait for the disk before the store counts as unhealthy (about 300 MB).
pub const QUEUE_LIMIT: u64 = 1_000_000;

/// A log that was opened for writing, with what a start needs to know.
#[derive(Debug)]
pub struct Opened {
    pub store: Store,
    /// Counts the starts on this directory, from 1.
    pub epoch: u32,
    /// The number of the next event.
    pub next_seq: u64,
    /// Until when the last process was at work at least, if that is later than its last event.
    pub alive: Option<Wall>,
    /// What was open when the last process ended: the events behind it, with texts, by number.
    pub recovered: Vec<Event>,
}

/// How long personal texts are kept, also those that are in the log already. Those of dialogs and bindings go when
/// their leg or binding is gone.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Callers' numbers (default 90 days).
    pub number: Duration,
    /// Keys pressed in menus (default 30 days).
    pub digit: Duration,
    /// What agents note (default 90 days).
    pub text: Duration,
}

impl Default for Keep {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        Keep { number: DAY * 90, digit: DAY * 30, text: DAY * 90 }
    }
}

impl Keep {
    /// How long each kind of text is kept that has a time, that is, which is not for a restart only.
    fn times(self) -> [(PersonalKind, Duration); 3] {
        [(PersonalKind::Number, self.number), (PersonalKind::Digit, self.digit), (PersonalKind::Text, self.text)]
    }
}

/// What the store counts; all since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Events that wait in memory.
    pub queued: u64,
    pub commits: u64,
    /// Groups that could not be written and were tried again.
    pub failures: u64,
    /// Events that are not in the log: dropped at twice the queue limit, or with a number already taken.
    pub lost: u64,
    /// The number of the last event that is safe on disk; 0 before the first.
    pub committed_seq: u64,
}

/// The writing side. [`Store::close`] writes what waits, stops the thread and says how that went; dropping it does too.
#[derive(Debug)]
pub struct Store {
    queue: mpsc::Sender<Vec<Event>>,
    orders: mpsc::Sender<Order>,
    shared: Arc<Shared>,
    writer: Thread,
    /// Until it has been closed.
    running: Mutex<Option<Running>>,
    /// [`QUEUE_LIMIT`], but for tests.
    limit: u64,
}

#[derive(Debug)]
struct Running {
    thread: JoinHandle<Result<()>>,
    /// Held as long as we write: a second process on the same directory is refused.
    _lock: File,
}

impl Store {
    /// Opens or creates the log in `dir` (made with mode 0700 if missing) and counts one more start.
    ///
    /// # Errors
    /// Says in words: another process uses the directory; a file cannot be read or is no log of ours; a newer or
    /// older Tierline wrote it; another `node` (0 … 1,023) began it.
    pub fn open(dir: &Path, node: u16) -> Result<Opened> {
        Store::open_with(dir, node, Keep::default(), wall_now())
    }

    /// The same with other retention and a given time, which decides what has expired already.
    pub fn open_with(dir: &Path, node: u16, keep: Keep, now: Wall) -> Result<Opened> {
        Store::open_judged(dir, node, keep, |_| now)
    }

    /// The same where `judge` says which time it is; it is told the one that was believed last.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_judged(dir: &Path, node: u16, keep: Keep, judge: impl FnOnce(Option<Wall>) -> Wall) -> Result<Opened> {
        let lock = schema::lock(dir)?;
        let (conn, start) = schema::open_for_writing(dir, node)
            .map_err(|why| unusable::told(why, "cannot open the event log", &schema::file(dir)))?;
        let (believed, alive) = (mark::read(&conn)?, mark::alive(&conn)?);
        let now = judge(believed);
        mark::begin(&conn, believed.unwrap_or(now))?;
        expired::all(&conn, keep, now).context("cannot erase expired personal data")?;
        let files = schema::files(dir)?;
        let written = Written::read(&conn, start.next_seq - 1, &start.recovered)?;
        Ok(Opened {
            store: Store::start(Log { conn, written, keep, files }, lock)?,
            epoch: start.epoch,
            next_seq: start.next_seq,
            alive,
            recovered: start.recovered,
        })
    }

    fn start(log: Log, lock: File) -> Result<Store> {
        let (queue, events) = mpsc::channel();
        let (orders, orders_in) = mpsc::channel();
        let shared = Arc::new(Shared::default());
        let writer = Writer::new(log, events, orders_in, shared.clone());
        let thread = std::thread::Builder::new().name("event-log".into()).spawn(move || writer.run())?;
        let (writer, running) = (thread.thread().clone(), Mutex::new(Some(Running { thread, _lock: lock })));
        Ok(Store { queue, orders, shared, writer, running, limit: QUEUE_LIMIT })
    }

    /// Hands over what one step of the engine made, to be written in one transaction or not at all; never waits.
    pub fn append(&self, step: Vec<Event>) {
        let count = step.len() as u64;
        if self.queued() >= 2 * self.limit() || self.queue.send(step).is_err() {
            self.shared.lost.fetch_add(count, Relaxed);
            return;
        }
        // The writer sleeps until the count reaches the number it asked for: one wake-up per group.
        let before = self.shared.appended.fetch_add(count, SeqCst);
        let wake_at = self.shared.wake_at.load(SeqCst);
        if before < wake_at && wake_at <= before + count {
            self.wake();
        }
    }

    /// Waits until everything appended before is on disk.
    ///
    /// # Errors
    /// Writing fails at present; the events are kept and tried again.
    pub fn flush(&self) -> Result<()> {
        let (done, answer) = mpsc::sync_channel(1);
        self.order(Order::Flush { target: self.shared.appended.load(SeqCst), done })?;
        answer.recv().context("the writer of the event log is gone")?.map_err(|why| anyhow!(why))
    }

    /// Erases texts that have expired at `now`; the answer comes when that is done, or says why it cannot be. Happens by
    /// itself at start; later `keeping` asks for it.
    ///
    /// # Errors
    /// Nobody writes the log any more.
    pub fn erase_expired(&self, now: Wall) -> Result<mpsc::Receiver<Result<Erased, String>>> {
        let (done, answer) = mpsc::sync_channel(1);
        self.order(Order::EraseExpired(now, done))?;
        Ok(answer)
    }

    /// Whether new calls may be taken: what they would add to the log can be written.
    pub fn healthy(&self) -> bool {
        let alive = self.running().as_ref().is_some_and(|running| !running.thread.is_finished());
        alive && !self.shared.failing.load(Relaxed) && self.queued() < self.limit()
    }

    /// `told` is called after each commit with the number of the last event that is safe on disk.
    pub fn on_commit(&self, told: OnCommit) {
        let mut listeners = self.shared.on_commit.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.push(told);
    }

    /// What is committed from now on, for the one who follows the log closely.
    pub fn recent(&self) -> Recent {
        self.shared.recent.close.begin()
    }

    /// The same without personal texts, for the one who folds it.
    pub fn bare(&self) -> Recent {
        self.shared.recent.bare.begin()
    }

    pub fn numbers(&self) -> Numbers {
        Numbers {
            queued: self.queued(),
            commits: self.shared.commits.load(Relaxed),
            failures: self.shared.failures.load(Relaxed),
            lost: self.shared.lost.load(Relaxed),
            committed_seq: self.shared.committed_seq.load(SeqCst),
        }
    }

    /// How long commits took, for the numbers.
    pub fn commit_times(&self) -> Value {
        self.shared.commit_times.value(bounds(LOG_COMMIT_TIME.kind))
    }

    /// Writes what waits, empties the write-ahead log and stops, whoever else still holds the store: what comes later is
    /// lost. Once only.
    ///
    /// # Errors
    /// Something could not be written; the text says how many events are lost.
    pub fn close(&self) -> Result<()> {
        let Some(running) = self.running().take() else { return Ok(()) };
        _ = self.order(Order::Stop); // a thread that is gone says why, below
        running.thread.join().map_err(|_| anyhow!("the writer of the event log failed"))?
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limit(&self) -> u64 {
        planted::limit(self.limit)
    }

    fn queued(&self) -> u64 {
        self.shared.appended.load(Relaxed).saturating_sub(self.shared.done.load(Relaxed))
    }

    fn order(&self, order: Order) -> Result<()> {
        self.orders.send(order).map_err(|_| anyhow!("the writer of the event log is gone"))?;
        self.wake();
        Ok(())
    }

    fn wake(&self) {
        self.writer.unpark();
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Err(why) = self.close() {
            Entry::error("log", "the event log was not written to its end").with("why", &why).tell();
        }
    }
}

fn wall_now() -> Wall {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Wall::default() + since
}

#[cfg(test)]
mod tests;
