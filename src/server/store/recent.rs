//! Events that were committed a moment ago, in memory: who follows the log closely need not read and decode them again.
//!
//! There are two who do. Desktops' events are here with their texts until they have been read, which is milliseconds; the
//! records' are here for seconds, and without. Nowhere are those that nobody reads: what is erased from the log later is not
//! in here any more.

use crate::event::Event;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many events wait for a reader who is behind, and the last group in any case: some megabytes. He reads the log then.
const KEPT: usize = 4_096;
/// … for one who gathers them, at twice the pace that a machine can keep.
const GATHERED: usize = 32_768;

/// What the two readers have.
#[derive(Debug)]
pub(super) struct Recents {
    pub close: Recent,
    pub bare: Recent,
}

impl Default for Recents {
    fn default() -> Recents {
        Recents { close: Recent::new(KEPT), bare: Recent::new(GATHERED) }
    }
}

impl Recents {
    /// Takes a group that is in the log.
    pub fn committed(&self, mut group: Vec<Event>) {
        self.bare.leave(|| group.iter().map(bare).collect());
        self.close.leave(|| {
            for personal in group.iter_mut().filter_map(|event| event.what.personal_mut()) {
                if personal.kind.is_for_restart() {
                    personal.text = None;
                }
            }
            group
        });
    }
}

/// As the log has it without the texts.
fn bare(event: &Event) -> Event {
    let mut event = event.clone();
    event.what.personal_mut().into_iter().for_each(|personal| personal.text = None);
    event
}

/// Groups as they were committed, with the texts that [`super::Reader::after`] finds, or those that
/// [`super::Reader::bare_after`] does; for one reader.
#[derive(Clone, Debug, Default)]
pub struct Recent(Arc<Mutex<Groups>>);

#[derive(Debug, Default)]
struct Groups {
    /// There is a reader.
    read: bool,
    groups: VecDeque<Arc<Vec<Event>>>,
    /// How many events are in them, and how many may be.
    kept: usize,
    most: usize,
}

impl Recent {
    fn new(most: usize) -> Recent {
        Recent(Arc::new(Mutex::new(Groups { most, ..Groups::default() })))
    }

    /// From now on what is committed waits to be read.
    pub(super) fn begin(&self) -> Recent {
        self.groups().read = true;
        self.clone()
    }

    /// Leaves a group for the reader, if there is one.
    fn leave(&self, group: impl FnOnce() -> Vec<Event>) {
        let mut groups = self.groups();
        if groups.read {
            groups.push(group());
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
        self.groups().forget(seq);
    }

    /// Takes out the events that follow `seq`, whole groups until there are `most`; none if the log must be read.
    pub fn take(&self, seq: u64, most: usize) -> Vec<Event> {
        let (mut groups, mut taken) = (self.groups(), Vec::new());
        groups.forget(seq);
        let mut last = seq;
        while taken.len() < most && groups.goes_on(last) {
            let Some(group) = groups.pop() else { break };
            taken.extend(Arc::unwrap_or_clone(group).into_iter().filter(|event| event.seq > seq));
            last = taken.last().map_or(seq, |event: &Event| event.seq);
        }
        taken
    }

    /// Whether there is soon no room: half of it is taken.
    pub fn is_filling(&self) -> bool {
        let groups = self.groups();
        groups.kept > groups.most / 2
    }

    fn groups(&self) -> MutexGuard<'_, Groups> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Groups {
    fn push(&mut self, group: Vec<Event>) {
        self.kept += group.len();
        self.groups.push_back(Arc::new(group));
        while self.kept > self.most && self.groups.len() > 1 {
            self.pop();
        }
    }

    fn pop(&mut self) -> Option<Arc<Vec<Event>>> {
        let group = self.groups.pop_front()?;
        self.kept -= group.len();
        Some(group)
    }

    fn forget(&mut self, seq: u64) {
        while self.groups.front().is_some_and(|group| group.last().is_none_or(|last| last.seq <= seq)) {
            self.pop();
        }
    }

    /// Whether the first group has the event behind `seq`.
    fn goes_on(&self, seq: u64) -> bool {
        self.groups.front().and_then(|group| group.first()).is_some_and(|first| first.seq <= seq + 1)
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
        let recents = Recents::default();
        recents.committed(group(1..5));
        assert_eq!(next(&recents.close, 0), None, "nobody reads");
        let recent = recents.close.begin();
        // What was dropped for want of room is in no group; the log says where it goes on.
        _ = [5..8, 8..10, 20..22].map(|numbers| recents.committed(group(numbers)));
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
        let (recents, each) = (Recents::default(), KEPT as u64 / 2);
        let recent = recents.close.begin();
        (0..4).for_each(|n| recents.committed(group(n * each + 1..(n + 1) * each + 1)));
        assert_eq!(recent.groups().groups.len(), 2);
        recents.committed(group(4 * each + 1..9 * each + 1));
        let kept = recent.groups().groups.len();
        assert_eq!((kept, next(&recent, 4 * each)), (1, Some(4 * each + 1)), "the last, however large");
    }

    /// Whole groups, without what has been read already and not over a gap.
    #[test]
    fn who_gathers_takes_what_follows() {
        let (recents, numbers) =
            (Recents::default(), |events: Vec<Event>| events.iter().map(|event| event.seq).collect());
        let recent = recents.bare.begin();
        _ = [5..8, 8..10, 10..12, 20..22].map(|numbers| recents.committed(group(numbers)));
        let take = |seq, most| -> Vec<u64> { numbers(recent.take(seq, most)) };
        assert!(take(3, 100).is_empty(), "the log has what is before");
        assert_eq!(take(5, 3), [6, 7, 8, 9]);
        assert_eq!(take(9, 100), [10, 11]);
        assert!(take(11, 100).is_empty(), "the log says what follows");
        assert_eq!((take(20, 100), recent.groups().kept), (vec![21], 0));
        (0..5).for_each(|n| recents.committed(group(n * 4_000 + 1..(n + 1) * 4_000 + 1)));
        assert!(recent.is_filling(), "he is told before there is no room");
        (5..9).for_each(|n| recents.committed(group(n * 4_000 + 1..(n + 1) * 4_000 + 1)));
        assert_eq!((take(0, 100), recent.groups().kept), (vec![], 32_000));
    }

    /// They wait for seconds, and may be erased from the log meanwhile.
    #[test]
    fn who_gathers_has_no_texts() {
        use crate::event::{Personal, PersonalKind};
        let text = |kind| Personal { kind, handle: 1, text: Some("+4930123456".into()) };
        let (recents, kinds) = (Recents::default(), [PersonalKind::Number, PersonalKind::Dialog]);
        let (close, bare) = (recents.close.begin(), recents.bare.begin());
        let arrives = |kind| What::arrives(crate::ids::LegId(1), None, text(kind));
        let event = |(seq, kind)| Event { seq, at: Wall(1), call: None, what: arrives(kind) };
        recents.committed((1..).zip(kinds).map(event).collect());
        let has = |events: &[Event]| -> Vec<bool> {
            events.iter().map(|event| event.what.personal().unwrap().text.is_some()).collect()
        };
        assert_eq!((has(&close.behind(0).unwrap()), has(&bare.take(0, 9))), (vec![true, false], vec![false, false]));
    }
}
