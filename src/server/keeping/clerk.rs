//! The thread that looks at the clock, and at what is old.

use super::belief::Belief;
use super::{Plan, Removed, pass};
use crate::server::clock::{self, Clock};
use crate::server::defects::Kept;
use crate::server::journal::Entry;
use crate::server::store;
use crate::stats::Sample;
use crate::stats::families as f;
use crate::time::Wall;
use anyhow::Result;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// How often the clock is looked at …
const LOOK: Duration = Duration::from_secs(10);
/// … and what is old.
const EVERY: Duration = Duration::from_secs(3600);
/// The log's writer has the file for itself between two portions.
const BREATH: Duration = Duration::from_millis(20);

/// What is told of keeping.
#[derive(Debug, Default)]
pub struct Counts {
    events: AtomicU64,
    rows: AtomicU64,
    failures: AtomicU64,
    /// The last pass failed.
    failing: AtomicBool,
    jumps: AtomicU64,
    /// All jumps together, in milliseconds.
    jumped: AtomicI64,
    /// By how many milliseconds a clock that is not believed is ahead; 0 if it is.
    doubt: AtomicI64,
}

impl Counts {
    pub fn samples(&self) -> [Sample; 7] {
        let count = |value: &AtomicU64| value.load(Relaxed);
        let seconds = |value: &AtomicI64| value.load(Relaxed) as f64 / 1000.0;
        [
            f::KEEP_EVENTS.count([], count(&self.events)),
            f::KEEP_ROWS.count([], count(&self.rows)),
            f::KEEP_FAILURES.count([], count(&self.failures)),
            f::KEEP_FAILING.flag([], self.failing.load(Relaxed)),
            f::CLOCK_JUMPS.count([], count(&self.jumps)),
            f::CLOCK_JUMPED.sample([], seconds(&self.jumped)),
            f::CLOCK_DOUBTED.sample([], seconds(&self.doubt)),
        ]
    }
}

/// The thread as it runs; dropping it stops it between two portions.
pub struct Keeper {
    stop: Option<Sender<()>>,
    thread: Option<Kept>,
    pub counts: Arc<Counts>,
}

/// Asks whoever writes the log to erase what has expired at that time.
pub type Erase = Box<dyn Fn(Wall) -> Result<()> + Send>;

impl Keeper {
    /// # Errors
    /// The log cannot be read, or the system gives no thread.
    pub fn start(plan: Plan, clock: Clock, erase: Erase) -> Result<Keeper> {
        let counts = Arc::<Counts>::default();
        let (stop, stopped) = channel();
        let written = store::believed(&plan.data)?;
        let belief = Belief::new(clock.now(), clock::wall(), written);
        let of_thread = Arc::clone(&counts);
        let mut clerk = Clerk { plan, clock, belief, written, told: None, erase, counts: of_thread };
        let thread = Kept::start("keeping", move || clerk.run(&stopped))?;
        Ok(Keeper { stop: Some(stop), thread: Some(thread), counts })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().into_iter().for_each(Kept::join);
    }
}

struct Clerk {
    plan: Plan,
    clock: Clock,
    belief: Belief,
    /// The time that was believed, as it stands in the log: another one was written by `tierline keep`.
    written: Option<Wall>,
    /// The doubt that was told last.
    told: Option<i64>,
    erase: Erase,
    counts: Arc<Counts>,
}

impl Clerk {
    fn run(&mut self, stopped: &Receiver<()>) {
        let mut due = self.clock.now();
        loop {
            self.look();
            if self.clock.now() >= due {
                due = self.clock.now() + EVERY;
                let kept = self.keep(stopped);
                self.tell(kept);
            }
            if rests(stopped, LOOK) {
                _ = self.write_down(); // a start believes a little less then
                return;
            }
        }
    }

    fn look(&mut self) {
        if let Some(jump) = self.belief.look(self.clock.now(), clock::wall()) {
            self.counts.jumps.fetch_add(1, Relaxed);
            self.counts.jumped.fetch_add(jump, Relaxed);
            let jumped = "the system's clock has jumped; calls go on, and events keep the time of the start";
            Entry::warn("clock", jumped).with("seconds", jump as f64 / 1000.0).tell();
        }
        if self.belief.doubt().is_some() {
            // Somebody may have said that it is right.
            let written = store::believed(&self.plan.data).unwrap_or(self.written);
            if let Some(mark) = written.filter(|_| written != self.written) {
                self.written = written;
                self.belief.believe(self.clock.now(), mark);
            }
        }
        self.doubt();
    }

    fn doubt(&mut self) {
        let doubt = self.belief.doubt();
        self.counts.doubt.store(doubt.unwrap_or(0), Relaxed);
        match (self.told.is_some(), doubt) {
            (false, Some(ahead)) => {
                let doubted = "the system's clock is not believed: what is old is judged by the time that was believed \
                               last; set it right, or, if it is right, say so with `tierline keep --believe-clock`";
                let entry = Entry::error("clock", doubted).with("seconds_ahead", ahead as f64 / 1000.0);
                entry.with("believed", self.belief.mark(self.clock.now())).tell();
            }
            (true, None) => Entry::info("clock", "the system's clock is believed again").tell(),
            _ => {}
        }
        self.told = doubt;
    }

    /// All that is old goes.
    fn keep(&mut self, stopped: &Receiver<()>) -> Result<()> {
        let time = self.belief.time(self.clock.now());
        self.write_down()?;
        (self.erase)(time)?;
        let mut before = Removed::default();
        let removed = pass(&self.plan, time, &mut |now| {
            self.counts.events.fetch_add(now.events - before.events, Relaxed);
            self.counts.rows.fetch_add(now.rows - before.rows, Relaxed);
            before = now;
            !rests(stopped, BREATH)
        })?;
        if removed != Removed::default() {
            let gone = Entry::info("keeping", "what is old was removed");
            gone.with("events", removed.events).with("rows", removed.rows).tell();
        }
        Ok(())
    }

    fn write_down(&mut self) -> Result<()> {
        let mark = self.belief.mark(self.clock.now());
        store::write_believed(&self.plan.data, mark)?;
        self.written = Some(mark);
        Ok(())
    }

    fn tell(&self, kept: Result<()>) {
        self.counts.failing.store(kept.is_err(), Relaxed);
        if let Err(why) = kept {
            self.counts.failures.fetch_add(1, Relaxed);
            let fails = "what is old could not be removed; it is tried again in an hour";
            Entry::warn("keeping", fails).with("why", &why).tell();
        }
    }
}

/// Waits; true if it is to stop.
fn rests(stopped: &Receiver<()>, pause: Duration) -> bool {
    stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout)
}
