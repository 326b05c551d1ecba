//! Events that were committed a moment ago, in memory: who follows the log closely need not read and decode them again.
//!
//! They are here until they have been read, which is milliseconds, and nowhere where nobody reads them: what is erased from
//! the log later is not in here any more.

use crate::event::Event;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many events wait for a reader who is behind, and the last group in any case: some megabytes. He reads the log then.
const KEPT: usize = 4_096;

/// Groups as they were committed, with the texts that [`super::Reader::after`] finds; for one reader.
#[derive(Clone, Debug, Default)]
pub struct Recent(Arc<Mutex<Groups>>);

#[derive(Debug, Default)]
struct Groups {
    /// There is a reader.
    read: bool,
    groups: VecDeque<Arc<Vec<Event>>>,
}

impl Recent {
    /// From now on what is committed waits to be read.
    pub(super) fn begin(&self) -> Recent {
        self.groups().read = true;
        self.clone()
    }

    /// Takes a group that is in the log, as it is read there.
    pub(super) fn committed(&self, mut group: Vec<Event>) {
        let Groups { read, groups } = &mut *self.groups();
        if !*read {
            return;
        }
        for personal in group.iter_mut().filter_map(|event| event.what.personal_mut()) {
            if personal.kind.is_for_restart() {
                personal.text = None;
            }
        }
        groups.push_back(Arc::new(group));
        let mut kept: usize = groups.iter().map(|group| group.len()).sum();
        while kept > KEPT && groups.len() > 1 {
            kept -= groups.pop_front().map_or(0, |group| group.len());
        }
    }

    /// A group that begins at most one event after `seq`, and goes on behind it; none if the log must be read.
    pub fn behind(&self, seq: u64) -> Option<Arc<Vec<Event>>> {
        let has = |group: &&Arc<Vec<Event>>| {
            let (first, last) = (group.first().map(|event| event.seq), group.last().map(|event| event.seq));
            first.is_some_and(|first| first <= seq + 1) && last.is_some_and(|last| last > seq)
        };
        self.groups().groups.iter().rfind(has).cloned()
    }

    /// Forgets what has been read, up to this event.
    pub fn read(&self, seq: u64) {
        let groups = &mut self.groups().groups;
        while groups.front().is_some_and(|group| group.last().is_none_or(|last| last.seq <= seq)) {
            groups.pop_front();
        }
    }

    fn groups(&self) -> MutexGuard<'_, Groups> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::What;
    use crate::time::Wall;

    fn group(numbers: std::ops::Range<u64>) -> Vec<Event> {
        numbers.map(|seq| Event { seq, at: Wall(seq as i64), call: None, what: What::DrainStarted }).collect()
    }

    fn next(recent: &Recent, seq: u64) -> Option<u64> {
        let group = recent.behind(seq)?;
        group.iter().map(|event| event.seq).find(|next| *next > seq)
    }

    #[test]
    fn who_is_close_behind_reads_no_log() {
        let recent = Recent::default();
        recent.committed(group(1..5));
        assert_eq!(next(&recent, 0), None, "nobody reads");
        let recent = recent.begin();
        recent.committed(group(5..8));
        recent.committed(group(8..10));
        // What was dropped for want of room is in no group; the log says where it goes on.
        recent.committed(group(20..22));
        let nexts: Vec<_> = [3, 4, 5, 7, 8, 9, 10, 18, 19, 20, 21, 22].map(|seq| next(&recent, seq)).into();
        let expect = [None, Some(5), Some(6), Some(8), Some(9), None, None, None, Some(20), Some(21), None, None];
        assert_eq!(nexts, expect);
        recent.read(8);
        assert_eq!([6, 7, 8, 19].map(|seq| next(&recent, seq)), [None, Some(8), Some(9), Some(20)]);
        recent.read(21);
        assert!(recent.groups().groups.is_empty(), "what has been read is nowhere");
    }

    #[test]
    fn what_is_kept_has_an_end() {
        let (recent, each) = (Recent::default().begin(), KEPT as u64 / 2);
        (0..4).for_each(|n| recent.committed(group(n * each + 1..(n + 1) * each + 1)));
        assert_eq!(recent.groups().groups.len(), 2);
        recent.committed(group(4 * each + 1..9 * each + 1));
        let kept = recent.groups().groups.len();
        assert_eq!((kept, next(&recent, 4 * each)), (1, Some(4 * each + 1)), "the last, however large");
    }
}
