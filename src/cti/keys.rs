//! Keys of commands that were carried out: one that comes again gets the same answer, and nothing is done twice.

use crate::event::Mark;
use std::collections::{BTreeMap, VecDeque};

/// Commands that are remembered of each who asks: one for each slot of a [`Mark`].
pub const REMEMBERED: usize = 256;

/// What is remembered of all who ask.
#[derive(Debug)]
pub struct Keys<A> {
    of: BTreeMap<u64, VecDeque<(Mark, A)>>,
    /// A planted bug: no command is known again.
    #[cfg(feature = "planted-bugs")]
    pub forgets: bool,
}

/// What is known of a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<A> {
    New,
    Known(Mark, A),
    /// It came with another content.
    Reused,
}

impl<A> Default for Keys<A> {
    fn default() -> Keys<A> {
        Keys {
            of: BTreeMap::new(),
            #[cfg(feature = "planted-bugs")]
            forgets: false,
        }
    }
}

impl<A: Clone> Keys<A> {
    pub fn find(&self, who: u64, key: u64, content: u32) -> Found<A> {
        #[cfg(feature = "planted-bugs")]
        if self.forgets {
            return Found::New;
        }
        match self.of.get(&who).and_then(|known| known.iter().find(|(mark, _)| mark.key == key)) {
            None => Found::New,
            Some((mark, answer)) if mark.content == content => Found::Known(*mark, answer.clone()),
            Some(_) => Found::Reused,
        }
    }

    /// Remembers `answer`; the oldest goes.
    pub fn remember(&mut self, who: u64, key: u64, content: u32, answer: A) -> Mark {
        let last = self.of.get(&who).and_then(|known| known.back());
        let slot = last.map_or(0, |(mark, _)| mark.slot.wrapping_add(1));
        let mark = Mark { who, key, content, slot };
        self.restore(mark, answer);
        mark
    }

    /// What an earlier start has remembered, the last one last.
    pub fn restore(&mut self, mark: Mark, answer: A) {
        let known = self.of.entry(mark.who).or_default();
        if known.len() == REMEMBERED {
            known.pop_front();
        }
        known.push_back((mark, answer));
    }

    /// What was not done may be asked again.
    pub fn forget(&mut self, mark: Mark) {
        self.of.get_mut(&mark.who).into_iter().for_each(|known| known.retain(|(of, _)| *of != mark));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_to_its_owner_with_its_content_for_a_while() {
        let mut keys: Keys<u64> = Keys::default();
        let mark = keys.remember(1, 1_000, 1, 7);
        assert_eq!(keys.find(1, 1_000, 1), Found::Known(mark, 7));
        assert_eq!(keys.find(1, 1_000, 2), Found::Reused);
        assert_eq!(keys.find(2, 1_000, 1), Found::New);
        let marks: Vec<Mark> = (0..REMEMBERED as u64).map(|n| keys.remember(1, n, 0, n)).collect();
        assert_eq!(keys.find(1, 1_000, 1), Found::New);
        assert_eq!(keys.find(1, 0, 0), Found::Known(marks[0], 0));
        keys.forget(marks[0]);
        assert_eq!(keys.find(1, 0, 0), Found::New);
    }

    /// The log keeps the last of each slot; the next start goes on behind the newest.
    #[test]
    fn no_slot_of_a_key_that_is_known_is_taken_again() {
        let (mut keys, mut log): (Keys<()>, BTreeMap<u8, (u64, Mark)>) = (Keys::default(), BTreeMap::new());
        for n in 0..1_000 {
            let mark = keys.remember(1, n, 0, ());
            log.insert(mark.slot, (n, mark));
            if n % 300 == 0 {
                let marks: BTreeMap<u64, Mark> = log.values().copied().collect();
                keys = Keys::default();
                marks.into_values().for_each(|mark| keys.restore(mark, ()));
            }
            let oldest = n.saturating_sub(REMEMBERED as u64 - 1);
            assert!((oldest..=n).all(|known| matches!(keys.find(1, known, 0), Found::Known(..))), "after {n}");
        }
    }
}
