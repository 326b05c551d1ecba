//! Keys of commands that were carried out: one that comes again gets the same answer, and nothing is done twice.

use std::collections::{BTreeMap, VecDeque};

/// Commands that are remembered of each who asks.
pub const REMEMBERED: usize = 256;

/// What is remembered of all who ask.
#[derive(Debug)]
pub struct Keys<W, A> {
    of: BTreeMap<W, VecDeque<Known<A>>>,
}

#[derive(Debug)]
struct Known<A> {
    key: String,
    content: [u8; 32],
    answer: A,
}

/// What is known of a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<A> {
    New,
    Known(A),
    /// It came with another content.
    Reused,
}

impl<W: Ord, A> Default for Keys<W, A> {
    fn default() -> Keys<W, A> {
        Keys { of: BTreeMap::new() }
    }
}

impl<W: Ord + Clone, A: Clone> Keys<W, A> {
    pub fn find(&self, who: &W, key: &str, content: &[u8; 32]) -> Found<A> {
        match self.of.get(who).and_then(|known| known.iter().find(|known| known.key == key)) {
            None => Found::New,
            Some(known) if known.content == *content => Found::Known(known.answer.clone()),
            Some(_) => Found::Reused,
        }
    }

    /// Remembers `answer`; the oldest goes.
    pub fn remember(&mut self, who: &W, key: &str, content: [u8; 32], answer: A) {
        let known = self.of.entry(who.clone()).or_default();
        if known.len() == REMEMBERED {
            known.pop_front();
        }
        known.push_back(Known { key: key.to_owned(), content, answer });
    }

    /// What was not done may be asked again.
    pub fn forget(&mut self, who: &W, key: &str) {
        self.of.get_mut(who).into_iter().for_each(|known| known.retain(|known| known.key != key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_to_its_owner_with_its_content_for_a_while() {
        let mut keys: Keys<u32, usize> = Keys::default();
        keys.remember(&1, "a", [1; 32], 7);
        assert_eq!(keys.find(&1, "a", &[1; 32]), Found::Known(7));
        assert_eq!(keys.find(&1, "a", &[2; 32]), Found::Reused);
        assert_eq!(keys.find(&2, "a", &[1; 32]), Found::New);
        (0..REMEMBERED).for_each(|n| keys.remember(&1, &n.to_string(), [0; 32], n));
        assert_eq!(keys.find(&1, "a", &[1; 32]), Found::New);
        assert_eq!(keys.find(&1, "0", &[0; 32]), Found::Known(0));
        keys.forget(&1, "0");
        assert_eq!(keys.find(&1, "0", &[0; 32]), Found::New);
    }
}
