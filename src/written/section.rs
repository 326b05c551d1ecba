//! A TOML table that remembers which of its keys were asked for.

use super::names::{near, proposal};
use super::value::{Entry, shown};
use super::{Page, Place, Value};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A table whose keys are asked for one by one.
#[derive(Debug)]
pub struct Section<'p> {
    pub page: &'p Page<'p>,
    /// Where its name stands.
    pub place: Place,
    /// Its name; empty for the whole page.
    pub label: String,
    entries: Vec<Entry>,
    asked: BTreeSet<&'static str>,
    /// Keys that must be there and are not, with what belongs there.
    lacking: Vec<(&'static str, String)>,
}

impl<'p> Section<'p> {
    pub(super) fn new(page: &'p Page<'p>, place: Place, label: String, entries: Vec<Entry>) -> Section<'p> {
        Section { page, place, label, entries, asked: BTreeSet::new(), lacking: Vec::new() }
    }

    /// Whether `key` is there. Does not count as asking for it.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// Takes `key` out, if it is there.
    pub fn take(&mut self, key: &'static str) -> Option<Value<'p>> {
        self.asked.insert(key);
        let i = self.entries.iter().position(|entry| entry.key == key)?;
        let entry = self.entries.remove(i);
        Some(self.value(entry))
    }

    /// Takes `key` out; without it the page has a problem, told when this section is finished. `wanted` says what
    /// belongs there.
    pub fn require(&mut self, key: &'static str, wanted: &str) -> Option<Value<'p>> {
        let value = self.take(key);
        if value.is_none() {
            self.lacking.push((key, wanted.to_owned()));
        }
        value
    }

    /// Takes the table `key` out; an empty one if it is not there.
    pub fn section(&mut self, key: &'static str) -> Section<'p> {
        let found = self.take(key).and_then(|value| value.section());
        found.unwrap_or_else(|| Section::new(self.page, self.place.clone(), key.into(), Vec::new()))
    }

    /// Takes all that is left, in the order of the page: for tables whose keys are names that people give.
    pub fn rest(mut self) -> Vec<Value<'p>> {
        std::mem::take(&mut self.entries).into_iter().map(|entry| self.value(entry)).collect()
    }

    /// Reports keys that nobody asked for and those that are lacking; a key that is misspelled is told once.
    pub fn finish(self) {
        let allowed: Vec<&str> = self.asked.iter().copied().collect();
        let mut meant = Vec::new();
        for entry in &self.entries {
            let near = near(&entry.key, self.asked.iter().copied());
            meant.extend(near.iter().copied());
            let rest = format!("allowed: {}{}", allowed.join(", "), proposal(&near));
            self.page.report(&entry.key_place, format!("`{}` is not known here; {rest}", shown(&entry.key)));
        }
        let whose = if self.label.is_empty() { "the file".into() } else { format!("`{}`", shown(&self.label)) };
        for (key, wanted) in self.lacking.iter().filter(|(key, _)| !meant.contains(key)) {
            self.page.report(&self.place, format!("{whose} lacks `{key}`: {wanted}"));
        }
    }

    /// Whether a key that nobody asked for stands here in place of `key`.
    pub fn misspells(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| !near(&entry.key, [key]).is_empty())
    }

    /// A time such as `"20s"` within `range`; `default` if it is not written.
    pub fn duration(&mut self, key: &'static str, range: RangeInclusive<Duration>, default: Duration) -> Duration {
        self.take(key).and_then(|value| value.duration(range)).unwrap_or(default)
    }

    /// A whole number within `range`; `default` if it is not written.
    pub fn whole(&mut self, key: &'static str, range: RangeInclusive<i64>, default: i64) -> i64 {
        self.take(key).and_then(|value| value.whole(range)).unwrap_or(default)
    }

    fn value(&self, entry: Entry) -> Value<'p> {
        Value { page: self.page, label: entry.key, key_place: entry.key_place, place: entry.place, plain: entry.plain }
    }
}
