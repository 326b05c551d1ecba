//! Things that are found by their keys and never gone through: quicker than a tree, above all where there are many.
//!
//! In what order a hash table has its things is an accident, and must not decide anything: so nobody gets to see it. Whoever
//! has to go through all things keeps them in a `BTreeMap`, or takes [`Table::sorted`], which is for looks and tests.

#![expect(clippy::disallowed_types, reason = "its seed is given, and its order is not to be seen")]

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

/// A hash table. Those that strangers can fill with keys of their choice are [`Table::seeded`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "Written<K, V>", into = "Written<K, V>")]
#[serde(bound(serialize = "K: Ord + Hash + Clone + Serialize, V: Clone + Serialize"))]
#[serde(bound(deserialize = "K: Eq + Hash + Deserialize<'de>, V: Deserialize<'de>"))]
pub struct Table<K, V> {
    things: HashMap<K, V, FixedState>,
    seed: u64,
}

/// A table written down: its seed, and what is in it, sorted.
#[derive(Serialize, Deserialize)]
struct Written<K, V>(u64, Vec<(K, V)>);

impl<K: Eq + Hash, V> Default for Table<K, V> {
    fn default() -> Table<K, V> {
        Table::seeded(0)
    }
}

impl<K: Eq + Hash, V> Table<K, V> {
    /// One in which nobody who does not know the seed can make keys meet.
    pub fn seeded(seed: u64) -> Table<K, V> {
        Table { things: HashMap::with_hasher(FixedState::with_seed(seed)), seed }
    }

    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.things.get(key)
    }

    pub fn find_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.things.get_mut(key)
    }

    pub fn contains_key<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.things.contains_key(key)
    }

    /// Puts a thing in the place of an earlier one of this key, which comes back.
    pub fn insert(&mut self, key: K, thing: V) -> Option<V> {
        self.things.insert(key, thing)
    }

    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.things.remove(key)
    }

    /// The thing of this key, a new one if there is none.
    pub fn or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        self.things.entry(key).or_default()
    }

    pub fn len(&self) -> usize {
        self.things.len()
    }

    pub fn is_empty(&self) -> bool {
        self.things.is_empty()
    }
}

impl<K: Ord + Eq + Hash, V> Table<K, V> {
    /// All things by their keys; costs a sort.
    pub fn sorted(&self) -> Vec<(&K, &V)> {
        let mut all: Vec<_> = self.things.iter().collect();
        all.sort_unstable_by_key(|(key, _)| *key);
        all
    }
}

impl<K: Eq + Hash, V> From<Written<K, V>> for Table<K, V> {
    fn from(Written(seed, things): Written<K, V>) -> Table<K, V> {
        let mut table = Table::seeded(seed);
        table.things.extend(things);
        table
    }
}

impl<K: Ord + Hash + Clone, V: Clone> From<Table<K, V>> for Written<K, V> {
    fn from(table: Table<K, V>) -> Written<K, V> {
        let things = table.sorted().into_iter().map(|(key, thing)| (key.clone(), thing.clone())).collect();
        Written(table.seed, things)
    }
}

impl<K: Ord + Hash + fmt::Debug, V: fmt::Debug> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.sorted()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the seed and the history, two tables with the same things are written and shown the same.
    #[test]
    fn the_order_of_a_table_is_not_to_be_seen() {
        let (mut one, mut other) = (Table::seeded(1), Table::seeded(1));
        (0..1_000_u64).for_each(|n| _ = one.insert(n * 7 % 1_000, n.to_string()));
        (0..2_000_u64).rev().for_each(|n| _ = other.insert(n, "gone".to_owned()));
        (1_000..2_000_u64).for_each(|n| _ = other.remove(&n));
        (0..1_000_u64).for_each(|n| *other.or_default(n * 7 % 1_000) = n.to_string());
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!((one.len(), &text), (other.len(), &serde_json::to_string(&other).unwrap()));
        assert_eq!(format!("{one:?}"), format!("{other:?}"));
        let back: Table<u64, String> = serde_json::from_str(&text).unwrap();
        assert_eq!((back.sorted(), back.seed), (one.sorted(), 1));
        assert_eq!((back.get(&7).map(String::as_str), back.contains_key(&1_000)), (Some("1"), false));
    }
}
