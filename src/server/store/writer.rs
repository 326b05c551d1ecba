//! The thread that writes: collects events into groups, commits them, tries again when the disk refuses.

use super::expired::{self, Erased, truncate_log};
use super::group::Written;
use super::recent::Recents;
use super::{Keep, QUEUE_LIMIT};
use crate::event::Event;
use crate::server::journal::{Entry, Value};
use crate::server::named::Named;
use crate::server::pulse::{Spread, bounds};
use crate::stats::families::LOG_COMMIT_TIME;
use crate::time::Wall;
use anyhow::{Result, bail};
use rusqlite::Connection;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// A group is written when its first event has waited this long …
pub(super) const GROUP_TIME: Duration = Duration::from_millis(20);
/// … or when this many events wait, whichever comes first.
pub(super) const GROUP_ROWS: u64 = 256;
/// When more wait, one transaction takes up to this many: a backlog is worked off with fewer commits.
const GROUP_MAX: usize = 4096;
/// So long it sleeps when nothing comes.
const IDLE: Duration = Duration::from_secs(3600);
/// A failed group is tried again after this, then after twice this, up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Told of each commit.
pub type OnCommit = Box<dyn Fn(u64) + Send>;

/// What the writer and the appending threads share.
pub(super) struct Shared {
    /// Events put into the queue.
    pub appended: AtomicU64,
    /// Events taken care of: written or lost.
    pub done: AtomicU64,
    /// Whoever raises `appended` to exactly this wakes the writer.
    pub wake_at: AtomicU64,
    pub committed_seq: AtomicU64,
    pub commits: AtomicU64,
    pub commit_times: Spread,
    pub failures: AtomicU64,
    pub lost: AtomicU64,
    /// The last attempt to write failed.
    pub failing: AtomicBool,
    pub recent: Recents,
    pub on_commit: Mutex<Vec<OnCommit>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("appended", &self.appended).field("done", &self.done).finish_non_exhaustive()
    }
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
            commit_times: Spread::default(),
            failures: zero(),
            lost: zero(),
            failing: AtomicBool::new(false),
            recent: Recents::default(),
            on_commit: Mutex::default(),
        }
    }
}

/// What is asked of the writer beside writing.
pub(super) enum Order {
    /// Answer when `target` events are taken care of, or at once when that fails.
    Flush { target: u64, done: SyncSender<Result<(), String>> },
    /// Erase what has expired; answer when that is done, or has failed.
    EraseExpired(Wall, SyncSender<Result<Erased, String>>),
    /// Write what waits, then end.
    Stop,
    /// Run something on the writer's connection.
    #[cfg(test)]
    With(Box<dyn FnOnce(&Connection) + Send>),
}

/// A log that was opened for writing.
pub(super) struct Log {
    pub conn: Connection,
    pub written: Written,
    pub keep: Keep,
    pub files: [Named; 2],
}

pub(super) struct Writer {
    conn: Connection,
    /// What `conn` has open.
    files: [Named; 2],
    /// What single steps of the engine made: never split over two transactions, so that no kill comes between.
    events: Receiver<Vec<Event>>,
    orders: Receiver<Order>,
    shared: Arc<Shared>,
    written: Written,
    keep: Keep,
    batch: Vec<Event>,
    /// Events taken out of the queue.
    taken: u64,
    flushes: Vec<(u64, SyncSender<Result<(), String>>)>,
    stopping: bool,
    erasing: Option<Erasing>,
    failure: Option<Failure>,
}

/// Texts are to be erased, in portions.
struct Erasing {
    /// Those that have expired then.
    now: Wall,
    texts: u64,
    asked: Vec<SyncSender<Result<Erased, String>>>,
}

/// Writing fails at present.
struct Failure {
    why: String,
    pause: Duration,
    retry_at: Instant,
}

impl Writer {
    pub fn new(log: Log, events: Receiver<Vec<Event>>, orders: Receiver<Order>, shared: Arc<Shared>) -> Writer {
        Writer {
            conn: log.conn,
            files: log.files,
            events,
            orders,
            shared,
            written: log.written,
            keep: log.keep,
            batch: Vec::new(),
            taken: 0,
            flushes: Vec::new(),
            stopping: false,
            erasing: None,
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
            } else if self.written.erases_at().is_some_and(|at| at <= Instant::now()) {
                _ = self.written.erase_left(&mut self.conn); // it is tried again
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
        if self.stopping || self.erasing.is_some() {
            return;
        }
        let idle = self.written.erases_at().unwrap_or_else(|| Instant::now() + IDLE);
        self.park_until(self.taken + 1, idle);
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
                Order::EraseExpired(now, done) => {
                    let erasing = self.erasing.get_or_insert(Erasing { now, texts: 0, asked: Vec::new() });
                    erasing.now = erasing.now.max(now);
                    erasing.asked.push(done);
                }
                Order::Stop => self.stopping = true,
                #[cfg(test)]
                Order::With(run) => run(&self.conn),
            }
        }
        self.stopping || !self.flushes.is_empty() || self.erasing.is_some()
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
        if let Some(why) = self.files.iter().find_map(|file| file.check().err()) {
            return self.failed(&format!("{why:#}"));
        }
        let begun = Instant::now();
        match self.written.commit(&mut self.conn, &self.batch) {
            Ok(lost) => {
                self.shared.commit_times.add(bounds(LOG_COMMIT_TIME.kind), begun.elapsed());
                self.succeeded(lost);
            }
            Err(why) => self.failed(&why.to_string()),
        }
    }

    fn succeeded(&mut self, lost: u64) {
        if self.failure.take().is_some() {
            Entry::info("log", "the event log is being written again; new calls are taken").tell();
        }
        if lost > 0 {
            let taken = "events have numbers that the log has already; they are lost, which is a defect";
            Entry::error("log", taken).with("events", lost).tell();
        }
        let group = std::mem::take(&mut self.batch);
        let (count, last) = (group.len() as u64, group.last().map_or(0, |event| event.seq));
        self.shared.failing.store(false, Relaxed);
        self.shared.commits.fetch_add(1, Relaxed);
        self.shared.lost.fetch_add(lost, Relaxed);
        // A number that was taken already is another event's in the log.
        if lost == 0 {
            self.shared.recent.committed(group);
        }
        // After the counts: who sees the number sees them, too.
        self.shared.committed_seq.fetch_max(last, SeqCst);
        self.shared.on_commit.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|told| told(last));
        self.shared.done.fetch_add(count, SeqCst);
    }

    fn failed(&mut self, why: &str) {
        let pause = match &self.failure {
            Some(before) => (before.pause * 2).min(RETRY_MAX),
            None => {
                let fails =
                    "the event log cannot be written; no new calls are taken until it can, events wait in memory";
                Entry::error("log", fails).with("why", Value::written(why)).with("at_most", QUEUE_LIMIT).tell();
                RETRY_MIN
            }
        };
        self.failure = Some(Failure { why: why.to_owned(), pause, retry_at: Instant::now() + pause });
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

    /// One portion of erasing; after the last the write-ahead log is cut, since it still holds what was erased.
    ///
    /// It is cut also if nothing had expired: the texts of what has ended are erased as it ends, and a reader may
    /// have held up the time before. When there is nothing to cut it costs nothing.
    fn erase_some(&mut self) {
        let Some(erasing) = &mut self.erasing else { return };
        let erased = expired::portion(&self.conn, self.keep, erasing.now);
        erasing.texts += erased.as_ref().copied().unwrap_or(0);
        if erased == Ok(expired::PORTION) {
            return;
        }
        let Some(Erasing { texts, asked, .. }) = self.erasing.take() else { return };
        _ = self.written.erase_left(&mut self.conn);
        let emptied = truncate_log(&self.conn);
        let told = erased.map(|_| Erased { texts, emptied }).map_err(|why| why.to_string());
        asked.iter().for_each(|asked| _ = asked.send(told.clone())); // whoever asked may have left
    }

    fn finish(mut self) -> Result<()> {
        _ = self.written.erase_left(&mut self.conn); // a start would do it
        _ = truncate_log(&self.conn);
        match self.failure {
            Some(Failure { why, .. }) => {
                let lost = self.shared.appended.load(SeqCst) - self.shared.done.load(SeqCst);
                bail!("the event log could not be written at the end: {why}; {lost} events are lost")
            }
            None => Ok(()),
        }
    }
}
