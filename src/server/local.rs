//! Times as people write and read them: as the clocks of one time zone show them.

use super::wrong::{OrWrong, Wrong};
use crate::center::hours::{Day, Zone};
use crate::config;
use crate::time::{Wall, days_from_civil};
use anyhow::{Context, Result};

/// The zone that is meant where none is.
pub const UTC: &str = "UTC";

/// Clocks of one zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Local {
    /// Its IANA name.
    pub name: String,
    pub zone: Zone,
}

impl Local {
    /// The clocks of this time zone.
    ///
    /// # Errors
    /// There is none of this name ([`Wrong`]).
    pub fn of(name: &str) -> Result<Local> {
        let none = || {
            format!("there is no time zone `{name}`; allowed: a name of the IANA database such as Europe/Berlin or UTC")
        };
        let zone = config::time_zone(name).with_context(none).or_wrong()?;
        Ok(Local { name: name.to_owned(), zone })
    }

    /// `2026-03-29`, `2026-03-29T08:30`, or with a blank in place of the T; with a Z at its end it is UTC.
    ///
    /// # Errors
    /// It is none of these ([`Wrong`]).
    pub fn time(&self, text: &str) -> Result<Wall> {
        let wrong = || format!("`{text}` is no time; allowed: a day such as 2026-03-29, or 2026-03-29T08:30");
        let (utc, local) = (text.ends_with('Z'), text.trim_end_matches('Z'));
        let (day, clock) = local.split_once(['T', ' ']).unwrap_or((local, "00:00"));
        let number = |part: Option<&str>, digits: usize| {
            part.filter(|part| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()))?.parse::<i64>().ok()
        };
        let (mut day, mut clock) = (day.split('-'), clock.split(':'));
        let mut read = || {
            let (year, month, date) = (number(day.next(), 4)?, number(day.next(), 2)?, number(day.next(), 2)?);
            let (hour, minute) = (number(clock.next(), 2)?, number(clock.next(), 2)?);
            let second = clock.next().map_or(Some(0), |second| number(Some(second), 2))?;
            let exists = Day { year: Some(year as i32), month: month as u8, day: date as u8 }.exists();
            let whole = day.next().is_none() && clock.next().is_none() && hour < 24 && minute < 60 && second < 60;
            let days = days_from_civil(year, month, date);
            (exists && whole).then_some(days * 86_400 + hour * 3_600 + minute * 60 + second)
        };
        match read() {
            Some(local) if utc => Ok(Wall(local * 1000)),
            Some(local) => Ok(Wall(self.zone.utc(local) * 1000)),
            None => Err(Wrong(wrong()).into()),
        }
    }

    /// `2026-03-29`.
    pub fn day(&self, wall: Wall) -> String {
        self.zone.local(wall).date.to_string()
    }

    /// With the offset from UTC: `2026-03-29T03:00+02:00`.
    pub fn shown(&self, wall: Wall) -> String {
        self.with(wall, "")
    }

    /// The same with seconds.
    pub fn exactly(&self, wall: Wall) -> String {
        self.with(wall, &format!(":{:02}", wall.0.div_euclid(1000).rem_euclid(60)))
    }

    /// To the millisecond: `2026-03-29T03:00:05.250+02:00`; in UTC as events have it, `2026-03-29T01:00:05.250Z`.
    pub fn to_the_ms(&self, wall: Wall) -> String {
        match self.name == UTC {
            true => wall.to_string(),
            false => {
                let (second, ms) = (wall.0.div_euclid(1000).rem_euclid(60), wall.0.rem_euclid(1000));
                self.with(wall, &format!(":{second:02}.{ms:03}"))
            }
        }
    }

    fn with(&self, wall: Wall, seconds: &str) -> String {
        let (local, offset) = (self.zone.local(wall), self.zone.offset(wall.0.div_euclid(1000)) / 60);
        let sign = if offset < 0 { '-' } else { '+' };
        let (hour, minute, offset) = (local.minute / 60, local.minute % 60, offset.abs());
        format!("{}T{hour:02}:{minute:02}{seconds}{sign}{:02}:{:02}", local.date, offset / 60, offset % 60)
    }
}
