//! Stretches of time as clocks on the wall show them: quarters of an hour, hours, days and weeks of a time zone, each in
//! its true length. Where the clocks are put forward a day has 23 hours and one hour is missing; where they are put back
//! a day has 25, and the hour that comes twice is two stretches.

use crate::center::hours::Zone;
use crate::time::Wall;
use serde::{Deserialize, Serialize};

/// How long a stretch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Step {
    Quarter,
    Half,
    Hour,
    Day,
    /// From Monday.
    Week,
}

impl Step {
    pub const ALL: [Step; 5] = [Step::Quarter, Step::Half, Step::Hour, Step::Day, Step::Week];

    /// What it is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Step::Quarter => "15m",
            Step::Half => "30m",
            Step::Hour => "1h",
            Step::Day => "day",
            Step::Week => "week",
        }
    }

    fn seconds(self) -> i64 {
        match self {
            Step::Quarter => 900,
            Step::Half => 1_800,
            Step::Hour => 3_600,
            Step::Day => 86_400,
            Step::Week => 7 * 86_400,
        }
    }

    /// Where the first stretch begins, in local seconds: 1970-01-01 was a Thursday.
    fn origin(self) -> i64 {
        if self == Step::Week { -3 * 86_400 } else { 0 }
    }

    /// What tells a stretch from its neighbours. The hour that comes twice is two; the day that is longer is one.
    fn key(self, zone: &Zone, at: i64) -> (i64, i32) {
        let offset = zone.offset(at);
        let stretch = (at + i64::from(offset) - self.origin()).div_euclid(self.seconds());
        (stretch, if self.seconds() < 86_400 { offset } else { 0 })
    }

    /// The first second (UTC) after `at` that belongs to another stretch.
    fn next(self, zone: &Zone, at: i64) -> i64 {
        let (here, mut at) = (self.key(zone, at), at);
        loop {
            let end = (here.0 + 1) * self.seconds() + self.origin() - i64::from(zone.offset(at));
            match zone.next_change(at).filter(|change| *change <= end) {
                Some(change) if self.key(zone, change) == here => at = change,
                Some(change) => return change,
                None => return end,
            }
        }
    }
}

/// The stretches from one time to another, in order, without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spans {
    /// Where each begins, and where the last one ends.
    bounds: Vec<Wall>,
}

/// More than these are not listed: 15 minutes for three years.
pub const MOST: usize = 110_000;

impl Spans {
    /// `None` if there would be more than [`MOST`]. Without a step it is one stretch.
    pub fn new(zone: &Zone, (from, to): (Wall, Wall), step: Option<Step>) -> Option<Spans> {
        let mut bounds = vec![from];
        let end = to.0.div_euclid(1000) + i64::from(to.0.rem_euclid(1000) > 0);
        if let Some(step) = step {
            let mut at = step.next(zone, from.0.div_euclid(1000));
            while at < end {
                bounds.push(Wall(at * 1000));
                at = step.next(zone, at);
                if bounds.len() > MOST {
                    return None;
                }
            }
        }
        bounds.push(to.max(from));
        Some(Spans { bounds })
    }

    pub fn len(&self) -> usize {
        self.bounds.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.bounds.first() == self.bounds.last()
    }

    /// Beginning and end of the `n`th.
    pub fn span(&self, n: usize) -> (Wall, Wall) {
        (self.bounds[n], self.bounds[n + 1])
    }

    /// Beginning and end of all of it.
    pub fn whole(&self) -> (Wall, Wall) {
        (self.bounds[0], self.bounds[self.len()])
    }

    /// Which one `at` belongs to. `near` is where to look first.
    pub fn find(&self, at: Wall, near: usize) -> Option<usize> {
        let holds = |n: usize| n < self.len() && self.bounds[n] <= at && at < self.bounds[n + 1];
        if holds(near) {
            return Some(near);
        }
        let n = self.bounds.partition_point(|bound| *bound <= at).checked_sub(1)?;
        holds(n).then_some(n)
    }

    /// How much of `from` to `to` lies in each, in milliseconds.
    pub fn share(&self, (from, to): (Wall, Wall), mut each: impl FnMut(usize, u64)) {
        let first = self.bounds.partition_point(|bound| *bound <= from).saturating_sub(1);
        for n in first..self.len() {
            let (begin, end) = self.span(n);
            if begin >= to {
                break;
            }
            let ms = end.min(to).0 - begin.max(from).0;
            if ms > 0 {
                each(n, ms.unsigned_abs());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> Zone {
        // Winter time; summer time from 2026-03-29T01:00Z; winter time from 2026-10-25T01:00Z.
        Zone { changes: vec![(0, 3_600), (1_774_746_000, 7_200), (1_792_890_000, 3_600)] }
    }

    /// Begins of the stretches as local time with the offset, and their lengths in minutes.
    fn told(zone: &Zone, from: i64, to: i64, step: Step) -> Vec<(String, i64)> {
        let spans = Spans::new(zone, (Wall(from * 1000), Wall(to * 1000)), Some(step)).unwrap();
        let one = |n| {
            let (begin, end) = spans.span(n);
            let local = zone.local(begin);
            let (hour, minute) = (local.minute / 60, local.minute % 60);
            (format!("{} {hour:02}:{minute:02}", local.date), (end.0 - begin.0) / 60_000)
        };
        (0..spans.len()).map(one).collect()
    }

    fn check(zone: &Zone, (from, to): (i64, i64), step: Step, expect: &[(&str, i64)]) {
        let expect: Vec<(String, i64)> = expect.iter().map(|(at, minutes)| ((*at).to_owned(), *minutes)).collect();
        assert_eq!(told(zone, from, to, step), expect, "{}", step.name());
    }

    const SPRING: i64 = 1_774_652_400; // 2026-03-28 00:00 in Berlin
    const AUTUMN: i64 = 1_792_792_800; // 2026-10-24 00:00 in Berlin
    const HOUR: i64 = 3_600;

    #[test]
    fn days_and_weeks_have_their_true_length() {
        let spring = (SPRING, SPRING + 71 * HOUR);
        check(
            &berlin(),
            spring,
            Step::Day,
            &[("2026-03-28 00:00", 1440), ("2026-03-29 00:00", 1380), ("2026-03-30 00:00", 1440)],
        );
        let autumn = (AUTUMN, AUTUMN + 73 * HOUR);
        check(
            &berlin(),
            autumn,
            Step::Day,
            &[("2026-10-24 00:00", 1440), ("2026-10-25 00:00", 1500), ("2026-10-26 00:00", 1440)],
        );
        let weeks = (SPRING - 5 * 24 * HOUR, SPRING + 71 * HOUR);
        let expect = [("2026-03-23 00:00", 7 * 1440 - 60), ("2026-03-30 00:00", 1440)];
        check(&berlin(), weeks, Step::Week, &expect);
    }

    #[test]
    fn the_missing_hour_is_missing_and_the_double_one_is_there_twice() {
        let night = SPRING + 25 * HOUR;
        let expect = [("2026-03-29 01:00", 60), ("2026-03-29 03:00", 60), ("2026-03-29 04:00", 60)];
        check(&berlin(), (night, night + 3 * HOUR), Step::Hour, &expect);
        let night = AUTUMN + 25 * HOUR;
        let expect =
            [("2026-10-25 01:00", 60), ("2026-10-25 02:00", 60), ("2026-10-25 02:00", 60), ("2026-10-25 03:00", 60)];
        check(&berlin(), (night, night + 4 * HOUR), Step::Hour, &expect);
        let quarters = told(&berlin(), AUTUMN + 24 * HOUR, AUTUMN + 49 * HOUR, Step::Quarter);
        assert_eq!(quarters.len(), 100, "25 hours of four quarters");
        assert!(quarters.iter().all(|(_, minutes)| *minutes == 15), "{quarters:?}");
        assert_eq!(told(&berlin(), SPRING + 24 * HOUR, SPRING + 47 * HOUR, Step::Half).len(), 46);
    }

    #[test]
    fn odd_zones_have_odd_stretches_that_add_up() {
        // Lord Howe puts its clocks by half an hour; Kathmandu is 5:45 ahead; where midnight is left out, or comes twice.
        let lord_howe = Zone { changes: vec![(0, 39_600), (1_775_314_800, 37_800)] };
        let back = 1_775_314_800; // 02:00 becomes 01:30
        let expect = [("2026-04-05 01:00", 60), ("2026-04-05 01:30", 30), ("2026-04-05 02:00", 60)];
        check(&lord_howe, (back - HOUR, back + HOUR + 1_800), Step::Hour, &expect);
        let kathmandu = Zone { changes: vec![(0, 20_700)] };
        check(&kathmandu, (1_774_635_300, 1_774_635_300 + HOUR), Step::Hour, &[("2026-03-28 00:00", 60)]);
        let midnight = 1_774_656_000; // 2026-03-28T00:00Z
        let forward = Zone { changes: vec![(0, 0), (midnight, 3_600)] };
        let expect = [("2026-03-27 00:00", 1440), ("2026-03-28 01:00", 1380)];
        check(&forward, (midnight - 24 * HOUR, midnight + 23 * HOUR), Step::Day, &expect);
        let back = Zone { changes: vec![(0, 0), (midnight, -3_600)] };
        let expect = [("2026-03-27 00:00", 1500), ("2026-03-28 00:00", 1440)];
        check(&back, (midnight - 24 * HOUR, midnight + 25 * HOUR), Step::Day, &expect);
    }

    #[test]
    fn a_time_belongs_to_one_stretch_and_a_length_is_shared_out() {
        let spans = Spans::new(&berlin(), (Wall(1_500), Wall(9_000_000)), Some(Step::Hour)).unwrap();
        let bounds: Vec<i64> = (0..spans.len()).map(|n| spans.span(n).0.0).collect();
        assert_eq!(bounds, [1_500, 3_600_000, 7_200_000]);
        let rows = [(0, None), (1_500, Some(0)), (3_599_999, Some(0)), (3_600_000, Some(1)), (9_000_000, None)];
        for (at, expect) in rows {
            (0..4).for_each(|near| assert_eq!(spans.find(Wall(at), near), expect, "{at} near {near}"));
        }
        let shared = |from, to| {
            let mut parts = Vec::new();
            spans.share((Wall(from), Wall(to)), |n, ms| parts.push((n, ms)));
            parts
        };
        assert_eq!(shared(0, 3_600_500), [(0, 3_598_500), (1, 500)]);
        assert_eq!(shared(7_200_000, 99_000_000), [(2, 1_800_000)]);
        assert_eq!(shared(0, 1_500), []);
        assert_eq!(shared(9_000_000, 9_500_000), []);
        let years = (Wall(0), Wall(40 * 366 * 86_400_000));
        assert!(Spans::new(&berlin(), years, Some(Step::Quarter)).is_none());
        assert_eq!(Spans::new(&berlin(), years, None).unwrap().len(), 1);
    }
}
