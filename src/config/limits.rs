//! `[limits]`: what the center takes.

use crate::center::Limits;
use crate::written::Section;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

pub fn read(mut section: Section<'_>) -> Limits {
    let limits = Limits {
        calls: section.whole("calls", 1..=100_000, 2000) as u32,
        silence: section.duration("silence", Duration::from_secs(1)..=HOUR, Duration::from_secs(30)),
        drain: section.duration("drain", Duration::ZERO..=DAY, 5 * MINUTE),
        strangers: section.whole("strangers", 1..=100_000, 200) as u32,
        strangers_per_address: section.whole("strangers_per_address", 1..=100_000, 20) as u32,
    };
    section.finish();
    limits
}
