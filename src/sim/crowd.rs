//! Everybody who is there: found by his number, and gone through in the order of the numbers.

use super::parties::Party;
use crate::table::Table;
use std::collections::BTreeSet;

#[derive(Default)]
pub(super) struct Crowd {
    /// Each is large, and they come and go.
    parties: Table<u32, Box<Party>>,
    keys: BTreeSet<u32>,
}

impl Crowd {
    pub fn find(&self, key: u32) -> Option<&Party> {
        self.parties.get(&key).map(|party| &**party)
    }

    pub fn find_mut(&mut self, key: u32) -> Option<&mut Party> {
        self.parties.find_mut(&key).map(|party| &mut **party)
    }

    pub fn insert(&mut self, key: u32, party: Party) {
        self.keys.insert(key);
        self.parties.insert(key, Box::new(party));
    }

    pub fn remove(&mut self, key: u32) {
        self.keys.remove(&key);
        self.parties.remove(&key);
    }

    pub fn keys(&self) -> &BTreeSet<u32> {
        &self.keys
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &Party)> {
        self.keys.iter().filter_map(|key| Some((*key, self.find(*key)?)))
    }
}
