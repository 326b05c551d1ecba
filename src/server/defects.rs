//! When we were wrong outside of calls: what panics there is caught, told and counted, and the calls go on. A thread that
//! is started here does not die unseen: should it panic, it begins again after a pause, and until then the numbers say
//! that it is not there. Parts and threads are a process' own, so the counts are too.

use super::journal::{Entry, Value};
use super::planted;
use crate::stats::Sample;
use crate::stats::families as f;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The pause before a thread that panicked begins again: what made it panic may still be there.
const AGAIN: Duration = Duration::from_secs(10);

/// What runs on the engine's thread and is none of its business.
pub const STATISTICS: &str = "statistics";
pub const LINES: &str = "journal line";
pub const LOOKS: &str = "look at the engine";

#[derive(Debug, Default)]
struct Part {
    caught: u64,
    /// Of a thread: whether it runs.
    alive: Option<bool>,
}

/// By their names.
static PARTS: Mutex<BTreeMap<&'static str, Part>> = Mutex::new(BTreeMap::new());

fn parts() -> MutexGuard<'static, BTreeMap<&'static str, Part>> {
    PARTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does it; none if it panicked: what it has changed is not to be trusted then.
pub fn contain<T>(part: &'static str, run: impl FnOnce() -> T) -> Option<T> {
    let run = || {
        planted::contained(part);
        run()
    };
    let done = catch_unwind(AssertUnwindSafe(run)).ok();
    if done.is_none() {
        parts().entry(part).or_default().caught += 1;
        let caught = Entry::error("server", "a defect of ours was caught; calls go on");
        caught.with("part", Value::written(part)).tell();
    }
    done
}

/// A thread that begins again after a panic, until `run` returns.
pub struct Kept(JoinHandle<()>);

impl Kept {
    /// # Errors
    /// The system gives no thread.
    pub fn start(thread: &'static str, run: impl FnMut() + Send + 'static) -> std::io::Result<Kept> {
        Kept::start_with(thread, AGAIN, run)
    }

    fn start_with(
        thread: &'static str,
        again: Duration,
        mut run: impl FnMut() + Send + 'static,
    ) -> std::io::Result<Kept> {
        let alive = move |alive| parts().entry(thread).or_default().alive = alive;
        alive(Some(true));
        let kept = std::thread::Builder::new().name(thread.to_owned()).spawn(move || {
            while contain(thread, &mut run).is_none() {
                alive(Some(false));
                std::thread::park_timeout(again);
                alive(Some(true));
            }
            alive(None);
        })?;
        Ok(Kept(kept))
    }

    /// Waits until it has returned. One that pauses begins at once: it is to see that it shall end.
    pub fn join(self) {
        self.0.thread().unpark();
        _ = self.0.join(); // it catches its panics
    }
}

/// How often, and which threads are there. A part that never was wrong has its zero: what appears with the first time has
/// no growth to be seen.
pub fn samples() -> Vec<Sample> {
    let mut parts = parts();
    [STATISTICS, LINES, LOOKS].into_iter().for_each(|part| _ = parts.entry(part).or_default());
    let of = |(name, part): (&&'static str, &Part)| {
        let caught = f::DEFECTS.count([name], part.caught);
        [Some(caught), part.alive.map(|alive| f::THREAD_ALIVE.flag([name], alive))]
    };
    parts.iter().flat_map(of).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    fn of(name: &str) -> Vec<(&'static str, crate::stats::Value)> {
        let samples = samples().into_iter().filter(|sample| sample.labels == [name]);
        samples.map(|sample| (sample.family.name, sample.value)).collect()
    }

    #[test]
    fn a_thread_that_panics_is_missed_counted_and_begins_again() {
        let number = crate::stats::Value::Number;
        let ((go_on, told), (say, said)) = (channel(), channel());
        let mut runs = 0;
        let kept = Kept::start_with("planted", Duration::from_secs(3_600), move || {
            runs += 1;
            say.send(runs).unwrap();
            assert!(told.recv().is_ok_and(|well| well), "planted");
        })
        .unwrap();
        assert_eq!(said.recv(), Ok(1));
        let alive = |alive| ("tierline_thread_alive", number(alive));
        assert_eq!(of("planted"), [("tierline_defects_total", number(0.0)), alive(1.0)]);
        go_on.send(false).unwrap();
        while of("planted")[1] == alive(1.0) {
            std::thread::yield_now();
        }
        assert_eq!(of("planted"), [("tierline_defects_total", number(1.0)), alive(0.0)]);
        go_on.send(true).unwrap();
        kept.join();
        assert_eq!(said.recv(), Ok(2), "it has begun again");
        assert_eq!(of("planted"), [("tierline_defects_total", number(1.0))], "who has ended is not missed");
    }

    #[test]
    fn what_was_never_wrong_has_its_zero() {
        for part in [STATISTICS, LINES, LOOKS] {
            assert!(of(part).iter().any(|(name, _)| *name == "tierline_defects_total"), "{part}");
        }
    }
}
