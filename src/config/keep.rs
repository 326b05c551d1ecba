//! `[keep]`: how long what is kept.

use crate::written::Section;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// For how long each kind of data is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepSettings {
    /// Callers' numbers (1 day … 10 years, default 90 days).
    pub numbers: Duration,
    /// Keys pressed in menus (1 day … 10 years, default 30 days).
    pub digits: Duration,
    /// What agents note and flows attach (1 day … 10 years, default 90 days).
    pub texts: Duration,
    /// The event log (1 day … 100 years, default 400 days); not shorter than any of the above.
    pub events: Duration,
    /// The records (1 day … 100 years, default 1,100 days).
    pub records: Duration,
}

impl Default for KeepSettings {
    fn default() -> KeepSettings {
        KeepSettings { numbers: DAY * 90, digits: DAY * 30, texts: DAY * 90, events: DAY * 400, records: DAY * 1100 }
    }
}

pub fn read(mut section: Section<'_>) -> KeepSettings {
    let (text, row, usual) = (DAY..=DAY * 3650, DAY..=DAY * 36_500, KeepSettings::default());
    let mut keep = KeepSettings {
        numbers: section.duration("numbers", text.clone(), usual.numbers),
        digits: section.duration("digits", text.clone(), usual.digits),
        texts: section.duration("texts", text, usual.texts),
        events: usual.events,
        records: section.duration("records", row.clone(), usual.records),
    };
    // Without its events nobody finds whose a text is.
    let least = keep.numbers.max(keep.digits).max(keep.texts);
    keep.events = section.duration("events", least.max(*row.start())..=*row.end(), keep.events.max(least));
    section.finish();
    keep
}
