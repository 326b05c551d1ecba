//! The thread that looks at the clock, and at what is old.

use super::belief::Belief;
use super::{Plan, Removed, pass};
use crate::server::clock::{self, EventTime};
use crate::server::defects::Kept;
use crate::server::journal::Entry;
use crate::server::store::{self, Erased};
use crate::stats::Sample;
use crate::stats::families as f;
use crate::time::{Instant, Wall};
use anyhow::{Context, Error, Result, bail, ensure};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// How often the clock is looked at …
const LOOK: Duration = Duration::from_secs(10);
/// … that the server is at work is written down …
const ALIVE: Duration = Duration::from_secs(60);
/// … and what is old is looked at.
const EVERY: Duration = Duration::from_secs(3600);
/// A reader may be in the way once: a report that takes its time. From so often on it is told.
const HELD_UP: u32 = 2;
/// The log's writer has the file for itself between two portions.
const BREATH: Duration = Duration::from_millis(20);

/// What is told of keeping.
#[derive(Debug, Default)]
pub struct Counts {
    events: AtomicU64,
    rows: AtomicU64,
    texts: AtomicU64,
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
    pub fn samples(&self) -> [Sample; 8] {
        let count = |value: &AtomicU64| value.load(Relaxed);
        let seconds = |value: &AtomicI64| value.load(Relaxed) as f64 / 1000.0;
        [
            f::KEEP_EVENTS.count([], count(&self.events)),
            f::KEEP_ROWS.count([], count(&self.rows)),
            f::KEEP_TEXTS.count([], count(&self.texts)),
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

/// Asks whoever writes the log to erase what has expired at that time; the answer says what became of it.
pub type Erase = Box<dyn Fn(Wall) -> Result<Receiver<Result<Erased, String>>> + Send>;

impl Keeper {
    /// # Errors
    /// The log cannot be read, or the system gives no thread.
    pub fn start(plan: Plan, time: EventTime, erase: Erase) -> Result<Keeper> {
        let counts = Arc::<Counts>::default();
        let (stop, stopped) = channel();
        let written = store::believed(&plan.data)?;
        let belief = Belief::new(time.clock.now(), clock::wall(), written);
        let of_thread = Arc::clone(&counts);
        let mut clerk = Clerk { plan, time, belief, written, told: None, erase, held_up: 0, counts: of_thread };
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
    time: EventTime,
    belief: Belief,
    /// The time that was believed, as it stands in the log: another one was written by `tierline keep`.
    written: Option<Wall>,
    /// The doubt that was told last.
    told: Option<i64>,
    erase: Erase,
    /// How often one after the other a reader was in the way of emptying the write-ahead log.
    held_up: u32,
    counts: Arc<Counts>,
}

impl Clerk {
    fn run(&mut self, stopped: &Receiver<()>) {
        let (mut due, mut minute) = (self.now(), self.now() + ALIVE);
        loop {
            self.look();
            if self.now() >= minute {
                minute = self.now() + ALIVE;
                self.says_alive();
            }
            if self.now() >= due {
                due = self.now() + EVERY;
                let kept = self.keep(stopped);
                self.tell(kept);
            }
            if rests(stopped, LOOK) {
                _ = self.write_down(); // a start believes a little less then
                self.says_alive();
                return;
            }
        }
    }

    fn now(&self) -> Instant {
        self.time.clock.now()
    }

    /// What nothing happens in is known to have gone on until the last of these. One that fails is made up for by the next.
    fn says_alive(&self) {
        _ = store::write_alive(&self.plan.data, self.time.now());
    }

    fn look(&mut self) {
        if let Some(jump) = self.belief.look(self.now(), clock::wall()) {
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
                self.belief.believe(self.now(), mark);
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
                entry.with("believed", self.belief.mark(self.now())).tell();
            }
            (true, None) => Entry::info("clock", "the system's clock is believed again").tell(),
            _ => {}
        }
        self.told = doubt;
    }

    /// All that is old goes.
    fn keep(&mut self, stopped: &Receiver<()>) -> Result<()> {
        let time = self.belief.time(self.now());
        self.write_down()?;
        // One of them fails by itself.
        let erased = self.erase(time, stopped);
        self.remove(time, stopped).and(erased)
    }

    /// Numbers, keys and notes go by themselves: the law says when.
    fn erase(&mut self, time: Wall, stopped: &Receiver<()>) -> Result<()> {
        let answer = (self.erase)(time)?;
        let erased = loop {
            match answer.recv_timeout(BREATH) {
                Ok(erased) => break erased.map_err(Error::msg).context("numbers, keys and notes cannot be erased")?,
                Err(RecvTimeoutError::Timeout) if rests(stopped, Duration::ZERO) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("the writer of the event log is gone"),
            }
        };
        self.counts.texts.fetch_add(erased.texts, Relaxed);
        self.held_up = if erased.emptied { 0 } else { self.held_up + 1 };
        ensure!(
            self.held_up < HELD_UP,
            "copies of what was erased remain in `events.db-wal`: somebody has been reading the log each time for an hour"
        );
        Ok(())
    }

    fn remove(&mut self, time: Wall, stopped: &Receiver<()>) -> Result<()> {
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
        let mark = self.belief.mark(self.now());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KeepSettings;
    use crate::event::{Event, What};
    use crate::server::store::{Keep, Store};
    use std::sync::mpsc::sync_channel;

    /// What erasing comes to, hour by hour, and what is told then: whether it fails, how often it has, what was erased.
    #[test]
    fn erasing_that_fails_is_told_as_removing_is() {
        let data = std::env::temp_dir().join(format!("tierline-clerk-{}", std::process::id()));
        _ = std::fs::remove_dir_all(&data);
        let opened = Store::open_with(&data, 0, Keep::default(), Wall(0)).unwrap();
        let what = What::EngineStarted { node: 0, epoch: 1, alive: None };
        opened.store.append(vec![Event { seq: 1, at: Wall(1000), call: None, what }]);
        opened.store.close().unwrap();
        let erased = |texts, emptied| Ok(Erased { texts, emptied });
        let hours = [
            (Err("the page is damaged".to_owned()), (true, 1, 0)),
            (erased(3, true), (false, 1, 3)),
            (erased(0, false), (false, 1, 3)),
            (erased(2, false), (true, 2, 5)),
            (erased(0, true), (false, 2, 5)),
            (erased(0, false), (false, 2, 5)),
        ];
        let answers = std::sync::Mutex::new(hours.clone().map(|(answer, _)| answer).into_iter());
        let erase = move |_| {
            let (done, answer) = sync_channel(1);
            _ = done.send(answers.lock().unwrap().next().expect("an hour"));
            Ok(answer)
        };
        let plan = Plan { data: data.clone(), keep: KeepSettings::default(), ticketing: false };
        let time = EventTime { clock: clock::Clock::start(), began: Wall(3_600_000) };
        let written = store::believed(&plan.data).unwrap();
        let belief = Belief::new(time.clock.now(), clock::wall(), written);
        let (erase, counts) = (Box::new(erase), Arc::<Counts>::default());
        let mut clerk = Clerk { plan, time, belief, written, told: None, erase, held_up: 0, counts };
        let (_goes_on, stopped) = channel();
        for (hour, (_, expect)) in hours.into_iter().enumerate() {
            let kept = clerk.keep(&stopped);
            clerk.tell(kept);
            let counts = &clerk.counts;
            let told = (counts.failing.load(Relaxed), counts.failures.load(Relaxed), counts.texts.load(Relaxed));
            assert_eq!(told, expect, "hour {hour}");
        }
        // The log's last event is long past; the next start knows that the server was at work all the same.
        assert_eq!(Store::open_with(&data, 0, Keep::default(), Wall(0)).unwrap().alive, None);
        clerk.says_alive();
        // One that comes to nothing leaves it to the one after.
        for start in 0..2 {
            let opened = Store::open_with(&data, 0, Keep::default(), Wall(0)).unwrap();
            let alive = opened.alive.expect("it was at work");
            assert!((3_600_000..3_660_000).contains(&alive.0), "{alive}");
            if start == 1 {
                let what = What::EngineStarted { node: 0, epoch: 3, alive: Some(alive) };
                opened.store.append(vec![Event { seq: opened.next_seq, at: Wall(2), call: None, what }]);
            }
        }
        assert_eq!(Store::open_with(&data, 0, Keep::default(), Wall(0)).unwrap().alive, None, "it is of one start");
        std::fs::remove_dir_all(&data).unwrap();
    }
}
