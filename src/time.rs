//! Time as a number that we are told.
//!
//! Nothing outside `server` reads a clock: every machine gets `now: Instant` as an argument, which is
//! what lets the simulator run a day in seconds and a recording replay to the same bytes.
//! [`Timers`] is the one timer queue: a machine keeps its deadlines in it, keyed by an enum whose
//! variants are documented "When to …".

use crate::table::Table;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::Hash;
use std::time::Duration;

/// Monotonic time: nanoseconds since an origin that the shell (or the simulator) chose at start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Instant(pub u64);

impl Instant {
    pub const ZERO: Instant = Instant(0);

    /// The time from `earlier` to `self`; zero if `earlier` is later.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// So long before `self`; zero at the earliest.
    pub fn before(self, d: Duration) -> Instant {
        Instant(self.0.saturating_sub(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl std::ops::Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, d: Duration) -> Instant {
        Instant(self.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Wall time in UTC: milliseconds since 1970-01-01T00:00:00Z. In events and headers; of decisions, only opening
/// hours use it, and are told it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Wall(pub i64);

impl std::ops::Add<Duration> for Wall {
    type Output = Wall;
    fn add(self, d: Duration) -> Wall {
        Wall(self.0.saturating_add(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl std::fmt::Display for Wall {
    /// RFC 3339 in UTC with milliseconds: `2026-11-21T20:31:07.250Z`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (days, ms) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        let (year, month, day) = civil_from_days(days);
        let (h, m, s) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{:03}Z", ms % 1000)
    }
}

/// Days since 1970-01-01 → (year, month, day), proleptic Gregorian (Hinnant, "chrono-compatible date algorithms").
pub fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The reverse of [`civil_from_days`].
pub fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// A machine's deadlines, one per key. Setting a key again moves it. Equal deadlines fire in the order they were set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Vec<(K, Instant)>", into = "Vec<(K, Instant)>")]
#[serde(bound(
    serialize = "K: Ord + Hash + Clone + Serialize",
    deserialize = "K: Ord + Hash + Clone + Deserialize<'de>"
))]
pub struct Timers<K: Ord + Hash + Clone> {
    /// The earliest on top. What was moved or forgotten stays behind, but never on top.
    order: BinaryHeap<Reverse<(Instant, u64, K)>>,
    by_key: Table<K, (Instant, u64)>,
    serial: u64,
}

/// So many deadlines that count no more may stay behind, or as many as those that count.
const LEFT_BEHIND: usize = 64;

impl<K: Ord + Hash + Clone> Default for Timers<K> {
    fn default() -> Self {
        Timers { order: BinaryHeap::new(), by_key: Table::default(), serial: 0 }
    }
}

impl<K: Ord + Hash + Clone> Timers<K> {
    /// Sets `key` to fire at `at`, replacing an earlier deadline of the same key.
    pub fn set(&mut self, key: K, at: Instant) {
        self.serial += 1;
        let before = self.by_key.insert(key.clone(), (at, self.serial));
        self.order.push(Reverse((at, self.serial, key)));
        if let Some((_, serial)) = before {
            self.leave_behind(serial);
        }
    }

    /// Forgets `key`; returns whether it was set.
    pub fn cancel(&mut self, key: &K) -> bool {
        let before = self.by_key.remove(key);
        before.into_iter().for_each(|(_, serial)| self.leave_behind(serial));
        before.is_some()
    }

    pub fn is_set(&self, key: &K) -> bool {
        self.by_key.contains_key(key)
    }

    pub fn at(&self, key: &K) -> Option<Instant> {
        self.by_key.get(key).map(|(at, _)| *at)
    }

    /// Takes the next key whose deadline is at or before `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        if self.deadline()? > now {
            return None;
        }
        let Reverse((_, _, key)) = self.order.pop()?;
        self.by_key.remove(&key);
        self.uncover();
        Some(key)
    }

    /// The earliest deadline.
    pub fn deadline(&self) -> Option<Instant> {
        self.order.peek().map(|Reverse((at, _, _))| *at)
    }

    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// All keys, sorted; costs a sort.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.by_key.sorted().into_iter().map(|(key, _)| key)
    }

    /// The deadline of this serial counts no more.
    fn leave_behind(&mut self, serial: u64) {
        if self.order.peek().is_some_and(|Reverse((_, top, _))| *top == serial) {
            self.uncover();
        }
        if self.order.len() > 2 * self.by_key.len() + LEFT_BEHIND {
            let by_key = &self.by_key;
            self.order.retain(|Reverse((_, serial, key))| by_key.get(key).is_some_and(|(_, last)| last == serial));
        }
    }

    /// Takes what counts no more from the top.
    fn uncover(&mut self) {
        while let Some(Reverse((_, serial, key))) = self.order.peek()
            && self.by_key.get(key).is_none_or(|(_, last)| last != serial)
        {
            self.order.pop();
        }
    }
}

impl<K: Ord + Hash + Clone> From<Vec<(K, Instant)>> for Timers<K> {
    fn from(entries: Vec<(K, Instant)>) -> Self {
        let mut timers = Timers::default();
        entries.into_iter().for_each(|(key, at)| timers.set(key, at));
        timers
    }
}

impl<K: Ord + Hash + Clone> From<Timers<K>> for Vec<(K, Instant)> {
    fn from(timers: Timers<K>) -> Self {
        let by_key = timers.by_key.sorted().into_iter();
        let mut entries: Vec<_> = by_key.map(|(key, (at, serial))| (*at, *serial, key.clone())).collect();
        entries.sort_unstable();
        entries.into_iter().map(|(at, _, key)| (key, at)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_is_printed_as_rfc_3339() {
        let rows = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_293_067_250, "2026-11-21T20:31:07.250Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ];
        for (ms, expect) in rows {
            assert_eq!(Wall(ms).to_string(), expect);
        }
    }

    #[test]
    fn days_and_dates_lead_to_each_other() {
        for days in (-800_000..800_000).step_by(13) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
    }

    #[test]
    fn timers_fire_in_order_of_time_then_of_setting() {
        let mut timers = Timers::default();
        timers.set("b", Instant(20));
        timers.set("a", Instant(20));
        timers.set("c", Instant(10));
        timers.set("d", Instant(5));
        timers.set("d", Instant(30)); // moved
        assert!(timers.cancel(&"c") && !timers.cancel(&"c"));
        assert_eq!(timers.deadline(), Some(Instant(20)));
        assert_eq!(timers.pop_due(Instant(19)), None);
        let fired: Vec<_> = std::iter::from_fn(|| timers.pop_due(Instant(30))).collect();
        assert_eq!(fired, ["b", "a", "d"]);
        assert!(timers.is_empty() && timers.deadline().is_none());
    }

    /// Against a list that is looked through, over thousands of settings, moves and cancellations.
    #[test]
    fn timers_are_a_sorted_list_and_keep_little_that_counts_no_more() {
        let (mut timers, mut list, mut state) = (Timers::default(), Vec::<(Instant, u64)>::new(), 3_u64);
        let mut below = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        for now in 0..20_000 {
            let key = below(40);
            list.retain(|(_, other)| *other != key);
            match below(4) {
                0 => _ = timers.cancel(&key),
                _ => {
                    let at = Instant(now + below(3_000));
                    timers.set(key, at);
                    list.push((at, key));
                }
            }
            list.sort_by_key(|(at, _)| *at);
            let due: Vec<_> = std::iter::from_fn(|| timers.pop_due(Instant(now))).collect();
            let expect: Vec<_> = list.iter().take_while(|(at, _)| *at <= Instant(now)).map(|(_, key)| *key).collect();
            list.drain(..expect.len());
            assert_eq!(due, expect);
            assert_eq!((timers.deadline(), timers.len()), (list.first().map(|(at, _)| *at), list.len()));
            assert!(timers.order.len() <= 2 * timers.len() + LEFT_BEHIND + 1, "{} stay", timers.order.len());
        }
    }

    #[test]
    fn timers_survive_being_written_down() {
        let mut timers = Timers::default();
        timers.set(2u8, Instant(7));
        timers.set(1u8, Instant(7));
        let text = serde_json::to_string(&timers).unwrap();
        let mut back: Timers<u8> = serde_json::from_str(&text).unwrap();
        assert_eq!((back.pop_due(Instant(7)), back.pop_due(Instant(7))), (Some(2), Some(1)));
    }
}
