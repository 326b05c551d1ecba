//! The work of one queue in its order, that says how many stand before one.
//!
//! A sorted list in parts of up to [`MOST`], so that counting goes by parts: of 100,000 who wait a place is known after
//! some hundred additions, where a set would have to be walked through. Callers who are led through a treatment are told
//! their places again and again.

use super::queue::Rank;
use serde::{Deserialize, Serialize};

/// Ranks in one part: moving so many costs as much as finding them.
const MOST: usize = 128;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Line {
    /// None is empty, and all of one come before all of the next.
    parts: Vec<Vec<Rank>>,
    len: usize,
}

impl Line {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn insert(&mut self, rank: Rank) {
        if self.parts.is_empty() {
            self.parts.push(Vec::new());
        }
        let at = self.part_of(&rank);
        let part = &mut self.parts[at];
        let Err(place) = part.binary_search(&rank) else { return };
        part.insert(place, rank);
        self.len += 1;
        if part.len() > MOST {
            let second = part.split_off(MOST / 2);
            self.parts.insert(at + 1, second);
        }
    }

    pub fn remove(&mut self, rank: &Rank) {
        let at = self.part_of(rank);
        let Some(part) = self.parts.get_mut(at) else { return };
        let Ok(place) = part.binary_search(rank) else { return };
        part.remove(place);
        self.len -= 1;
        if part.is_empty() {
            self.parts.remove(at);
        }
    }

    pub fn contains(&self, rank: &Rank) -> bool {
        self.parts.get(self.part_of(rank)).is_some_and(|part| part.binary_search(rank).is_ok())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Rank> {
        self.parts.iter().flatten()
    }

    /// How many stand before it.
    pub fn before(&self, rank: &Rank) -> usize {
        let at = self.part_of(rank);
        let whole: usize = self.parts[..at].iter().map(Vec::len).sum();
        whole + self.parts.get(at).map_or(0, |part| part.partition_point(|other| other < rank))
    }

    /// The last one before it.
    pub fn previous(&self, rank: &Rank) -> Option<&Rank> {
        let at = self.part_of(rank);
        let part = self.parts.get(at)?;
        match part.partition_point(|other| other < rank) {
            0 => at.checked_sub(1).and_then(|at| self.parts[at].last()),
            n => part.get(n - 1),
        }
    }

    #[cfg(test)]
    pub fn clear(&mut self) {
        *self = Line::default();
    }

    /// The part that it stands in, or would.
    fn part_of(&self, rank: &Rank) -> usize {
        self.parts.partition_point(|part| part.first().is_some_and(|first| first <= rank)).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Rng, WorkId};
    use crate::time::Instant;
    use std::collections::BTreeSet;

    /// Whatever comes and goes, it is an ordered set that counts.
    #[test]
    fn a_line_is_a_set_that_counts() {
        let mut rng = Rng::from_number(5);
        let rank = |n: u64| Rank::new(WorkId(n), Instant(n / 3 * 1_000), 0, false);
        for size in [3, 300, 3_000] {
            let (mut line, mut set) = (Line::default(), BTreeSet::new());
            for round in 0..6_000 {
                let one = rank(rng.below(size));
                // It grows, then shrinks to nothing.
                if rng.chance(if round < 4_000 { 0.7 } else { 0.1 }) {
                    line.insert(one);
                    set.insert(one);
                } else {
                    line.remove(&one);
                    set.remove(&one);
                }
                let one = rank(rng.below(size));
                assert_eq!(line.before(&one), set.range(..one).count());
                assert_eq!(line.previous(&one), set.range(..one).next_back());
                assert_eq!((line.contains(&one), line.len()), (set.contains(&one), set.len()));
                assert!(line.parts.iter().all(|part| (1..=MOST).contains(&part.len())));
            }
            assert!(line.iter().eq(&set));
        }
    }
}
