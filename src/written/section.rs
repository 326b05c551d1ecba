//! A TOML table that remembers which of its keys were asked for.

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
}

impl<'p> Section<'p> {
    pub(super) fn new(page: &'p Page<'p>, place: Place, label: String, entries: Vec<Entry>) -> Section<'p> {
        Section { page, place, label, entries, asked: BTreeSet::new() }
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

    /// Takes `key` out; without it the page has a problem. `wanted` says what belongs there.
    pub fn require(&mut self, key: &'static str, wanted: &str) -> Option<Value<'p>> {
        let value = self.take(key);
        if value.is_none() {
            let whose = if self.label.is_empty() { "the file".into() } else { format!("`{}`", self.label) };
            self.page.report(&self.place, format!("{whose} lacks `{key}`: {wanted}"));
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

    /// Reports keys that nobody asked for.
    pub fn finish(self) {
        let allowed: Vec<&str> = self.asked.iter().copied().collect();
        for entry in &self.entries {
            let message = format!("`{}` is not known here; allowed: {}", shown(&entry.key), allowed.join(", "));
            self.page.report(&entry.key_place, message);
        }
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
