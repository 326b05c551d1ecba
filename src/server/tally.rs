//! Events on their way from the engine's thread to the numbers and to the journal. That thread waits for neither and does
//! not die of a defect in either: what happens while somebody reads the numbers is kept here, and counted when he is done.

use super::defects::{self, LINES, STATISTICS};
use super::journal;
use crate::event::Event;
use crate::stats::Stats;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

/// So many events may wait for a reader; for the next one he is waited for after all.
const KEPT: usize = 100_000;

pub struct Tally {
    stats: Arc<Mutex<Stats>>,
    /// Not counted yet.
    kept: Vec<Event>,
}

impl Tally {
    pub fn new(stats: Arc<Mutex<Stats>>) -> Tally {
        Tally { stats, kept: Vec::new() }
    }

    /// Tells of an event and counts it.
    pub fn event(&mut self, event: &Event) {
        defects::contain(LINES, || journal::event(event));
        self.count(Some(event));
    }

    /// Counts what had to wait. To be called now and then.
    pub fn catch_up(&mut self) {
        if !self.kept.is_empty() {
            self.count(None);
        }
    }

    fn count(&mut self, event: Option<&Event>) {
        // Numbers that a reader's panic left behind are whole: nobody else writes them.
        let mut stats = match self.stats.try_lock() {
            Ok(stats) => stats,
            Err(TryLockError::Poisoned(stats)) => stats.into_inner(),
            Err(TryLockError::WouldBlock) if self.kept.len() < KEPT => return self.kept.extend(event.cloned()),
            Err(TryLockError::WouldBlock) => self.stats.lock().unwrap_or_else(PoisonError::into_inner),
        };
        for event in std::mem::take(&mut self.kept).iter().chain(event) {
            defects::contain(STATISTICS, || stats.apply(event));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::What;
    use crate::stats::Value;
    use crate::time::Wall;

    fn repaired(seq: u64) -> Event {
        Event { seq, at: Wall(0), call: None, what: What::Repaired { what: String::new() } }
    }

    fn counted(stats: &Stats) -> f64 {
        let samples = stats.samples(Wall(0), false);
        let repairs = samples.iter().find(|sample| sample.family.name == "tierline_repairs_total").unwrap();
        let Value::Number(repairs) = repairs.value else { panic!("{repairs:?}") };
        repairs
    }

    /// Were the engine's thread to wait for a scrape, this would never end.
    #[test]
    fn what_happens_during_a_scrape_is_counted_after_it() {
        let stats = Arc::<Mutex<Stats>>::default();
        let mut tally = Tally::new(Arc::clone(&stats));
        tally.event(&repaired(1));
        {
            let scrape = stats.lock().unwrap();
            tally.event(&repaired(2));
            tally.event(&repaired(3));
            tally.catch_up();
            assert_eq!(counted(&scrape), 1.0);
        }
        tally.catch_up();
        assert_eq!((counted(&stats.lock().unwrap()), tally.kept.len()), (3.0, 0));
    }
}
