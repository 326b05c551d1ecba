//! When a support center is open: calendars, and what time it is in a line's time zone.
//!
//! Nothing here knows a clock or a database of time zones: the wall time is told, and a [`Zone`] is the list of its
//! changes as plain data, made where the configuration is read. So a calendar says the same in the simulator, in a
//! replay and on the next machine.

use crate::time::{Wall, civil_from_days};
use serde::{Deserialize, Serialize};

const MINUTES_OF_DAY: u16 = 24 * 60;
const SECONDS_OF_DAY: i64 = 86_400;

/// A time zone: from which second (UTC, since 1970) which offset (seconds east of UTC) holds. In order; what lies
/// before the first has its offset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    pub changes: Vec<(i64, i32)>,
}

/// A wall clock's and a calendar's reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Local {
    pub date: Date,
    /// 0 is Monday.
    pub weekday: u8,
    /// Minutes since midnight, as the clock on the wall shows them.
    pub minute: u16,
    /// The day before.
    pub yesterday: Date,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Date {
    pub year: i32,
    /// 1 … 12.
    pub month: u8,
    /// 1 … 31.
    pub day: u8,
}

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl Zone {
    /// What the clocks show there.
    pub fn local(&self, wall: Wall) -> Local {
        let utc = wall.0.div_euclid(1000);
        let local = utc.saturating_add(i64::from(self.offset(utc)));
        let (days, second) = (local.div_euclid(SECONDS_OF_DAY), local.rem_euclid(SECONDS_OF_DAY));
        Local {
            date: date(days),
            weekday: (days + 3).rem_euclid(7) as u8, // 1970-01-01 was a Thursday
            minute: (second / 60) as u16,
            yesterday: date(days - 1),
        }
    }
}

impl Zone {
    /// Seconds east of UTC at this second (UTC).
    pub fn offset(&self, utc: i64) -> i32 {
        let known = self.changes.partition_point(|(from, _)| *from <= utc);
        self.changes.get(known.saturating_sub(1)).map_or(0, |(_, offset)| *offset)
    }

    /// When the clocks are changed next after this second (UTC).
    pub fn next_change(&self, utc: i64) -> Option<i64> {
        let known = self.changes.partition_point(|(from, _)| *from <= utc);
        self.changes.get(known.max(1)).map(|(from, _)| *from)
    }

    /// When the clocks show this: local seconds since 1970. The first of two times; where it is left out, the moment of
    /// the change.
    pub fn utc(&self, local: i64) -> i64 {
        let [before, after] = [local - SECONDS_OF_DAY, local + SECONDS_OF_DAY].map(|near| self.offset(near));
        let fits = |offset: i32| Some(local - i64::from(offset)).filter(|utc| self.offset(*utc) == offset);
        let left_out = || self.next_change(local - SECONDS_OF_DAY).unwrap_or(local - i64::from(after));
        fits(before).or_else(|| fits(after)).unwrap_or_else(left_out)
    }
}

fn date(days: i64) -> Date {
    let (year, month, day) = civil_from_days(days);
    Date { year: year as i32, month: month as u8, day: day as u8 }
}

/// A day of a calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Day {
    /// None: every year.
    pub year: Option<i32>,
    pub month: u8,
    pub day: u8,
}

impl Day {
    fn is(self, date: Date) -> bool {
        self.year.is_none_or(|year| year == date.year) && (self.month, self.day) == (date.month, date.day)
    }

    /// Whether there can be such a day; 29 February is one of every year that has it.
    pub fn exists(self) -> bool {
        let leap = self.year.is_none_or(|y| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0));
        let days = match self.month {
            2 => 28 + u8::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => 0,
        };
        (1..=days).contains(&self.day)
    }
}

/// From one minute of the day to another, which no longer belongs to it; one that is not later is on the next day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// 0 … 1,439.
    pub from: u16,
    /// 0 … 1,440.
    pub to: u16,
}

impl Span {
    fn today(self, minute: u16) -> bool {
        minute >= self.from && (minute < self.to || self.to <= self.from)
    }

    fn since_yesterday(self, minute: u16) -> bool {
        self.to <= self.from && minute < self.to
    }

    /// `08:00-17:30`; the end may be 24:00, or the beginning: round the clock.
    pub fn read(text: &str) -> Option<Span> {
        let (from, to) = text.split_once('-')?;
        let (from, to) = (time(from)?, time(to)?);
        (from < MINUTES_OF_DAY).then_some(Span { from, to })
    }
}

/// `00:00` to `24:00`.
fn time(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let part = |s: &str| s.parse::<u16>().ok().filter(|_| s.len() == 2 && s.bytes().all(|b| b.is_ascii_digit()));
    let (hours, minutes) = (part(hours)?, part(minutes)?);
    (minutes < 60 && (hours < 24 || (hours, minutes) == (24, 0))).then_some(hours * 60 + minutes)
}

/// A calendar: when it is open in each week, and on which days it is otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours {
    /// From Monday.
    pub weekly: [Vec<Span>; 7],
    pub holidays: Vec<Day>,
    /// Days with hours of their own, before holidays and weekdays; none on a day: closed. A day of one year comes
    /// before the same of every year.
    pub exceptions: Vec<(Day, Vec<Span>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Opening {
    Open,
    Closed,
    /// Closed, and it is a holiday.
    Holiday,
}

impl Hours {
    pub fn at(&self, local: &Local) -> Opening {
        let weekday = usize::from(local.weekday % 7);
        let today = self.spans(local.date, weekday);
        let open = today.is_some_and(|spans| spans.iter().any(|span| span.today(local.minute)));
        let before = self.spans(local.yesterday, (weekday + 6) % 7);
        let late = before.is_some_and(|spans| spans.iter().any(|span| span.since_yesterday(local.minute)));
        match today {
            _ if open || late => Opening::Open,
            None => Opening::Holiday,
            Some(_) => Opening::Closed,
        }
    }

    /// None on a holiday.
    fn spans(&self, date: Date, weekday: usize) -> Option<&[Span]> {
        let of = |once: bool| self.exceptions.iter().find(|(day, _)| day.year.is_some() == once && day.is(date));
        match of(true).or_else(|| of(false)) {
            Some((_, spans)) => Some(spans),
            None if self.holidays.iter().any(|day| day.is(date)) => None,
            None => Some(&self.weekly[weekday]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Berlin in 2026: summer time from 29 March 01:00 UTC to 25 October 01:00 UTC.
    fn berlin() -> Zone {
        Zone { changes: vec![(0, 3_600), (1_774_746_000, 7_200), (1_792_890_000, 3_600)] }
    }

    #[test]
    fn the_clock_on_the_wall_follows_the_zone() {
        let check = |utc: i64, expect: &str| {
            let local = berlin().local(Wall(utc * 1000 + 999));
            let (hours, minutes) = (local.minute / 60, local.minute % 60);
            assert_eq!(format!("{} {} {hours:02}:{minutes:02}", local.date, local.weekday), expect);
        };
        check(0, "1970-01-01 3 01:00");
        check(-86_400, "1969-12-31 2 01:00");
        check(1_774_745_999, "2026-03-29 6 01:59");
        check(1_774_746_000, "2026-03-29 6 03:00");
        check(1_792_889_999, "2026-10-25 6 02:59");
        check(1_792_890_000, "2026-10-25 6 02:00");
        assert_eq!(Zone::default().local(Wall(0)).minute, 0);
    }

    #[test]
    fn a_calendar_knows_weeks_holidays_and_exceptions() {
        let span = |text| Span::read(text).unwrap();
        let day = |year, month, day| Day { year, month, day };
        let mut hours = Hours::default();
        (0..5).for_each(|weekday| hours.weekly[weekday] = vec![span("08:00-12:00"), span("13:00-18:00")]);
        hours.weekly[4] = vec![span("22:00-06:00")];
        hours.holidays = vec![day(None, 12, 25), day(Some(2026), 4, 6)];
        hours.exceptions = vec![
            (day(None, 12, 24), vec![span("08:00-12:00")]),
            (day(Some(2026), 12, 24), Vec::new()),
            (day(Some(2026), 12, 26), vec![span("10:00-24:00")]),
        ];
        let check = |date: (i32, u8, u8), time: &str, expect: Opening| {
            // Days since 1970 from a table of none: counted on from a known day.
            let days = (0..30_000).find(|days| civil_from_days(*days) == (date.0.into(), date.1.into(), date.2.into()));
            let minute = super::time(time).unwrap();
            let local = Zone::default().local(Wall((days.unwrap() * 86_400 + i64::from(minute) * 60) * 1000));
            assert_eq!(hours.at(&local), expect, "{date:?} {time}");
        };
        use Opening::{Closed, Holiday, Open};
        check((2026, 11, 26), "07:59", Closed); // a Thursday
        check((2026, 11, 26), "08:00", Open);
        check((2026, 11, 26), "12:00", Closed);
        check((2026, 11, 26), "17:59", Open);
        check((2026, 11, 26), "18:00", Closed);
        check((2026, 11, 27), "21:59", Closed); // a Friday, with a night
        check((2026, 11, 27), "23:59", Open);
        check((2026, 11, 28), "05:59", Open);
        check((2026, 11, 28), "06:00", Closed);
        check((2026, 12, 25), "10:00", Holiday); // a Friday
        check((2026, 12, 26), "05:00", Closed); // … whose night does not come
        check((2026, 12, 26), "23:59", Open);
        check((2027, 12, 25), "10:00", Holiday);
        check((2026, 12, 24), "09:00", Closed);
        check((2027, 12, 24), "09:00", Open);
        check((2026, 4, 6), "09:00", Holiday);
        check((2027, 4, 6), "09:00", Open);
    }

    #[test]
    fn days_and_spans_are_read_or_refused() {
        assert_eq!(Span::read("08:00-24:00"), Some(Span { from: 480, to: 1440 }));
        // An end that is not later is on the next day.
        for around in ["00:00-24:00", "00:00-00:00", "08:00-08:00"] {
            let span = Span::read(around).unwrap();
            let (from, to) = (span.from, span.to.min(MINUTES_OF_DAY - 1));
            let is_open = |minute| span.today(minute) || span.since_yesterday(minute);
            assert!([0, 1, from, to, to.saturating_sub(1), MINUTES_OF_DAY - 1].into_iter().all(is_open), "{around}");
        }
        for wrong in ["", "8:00-9:00", "08:00", "24:00-01:00", "08:60-09:00", "08:00-24:01", "é-ö"] {
            assert_eq!(Span::read(wrong), None, "{wrong}");
        }
        let exists = |year, month, day| Day { year, month, day }.exists();
        assert!(exists(None, 2, 29) && exists(Some(2028), 2, 29) && exists(Some(2000), 2, 29) && exists(None, 12, 31));
        assert!(
            !exists(Some(2026), 2, 29) && !exists(Some(2100), 2, 29) && !exists(None, 4, 31) && !exists(None, 0, 1)
        );
    }
}
