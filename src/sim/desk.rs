//! The simulated center's second line: a flow with every kind of step, calendars, an announcement, and a ticketing
//! system that knows a few tickets.

use crate::center::hours::{Day, Hours, Span, Zone};
use crate::center::{Banner, Center, Line};
use crate::ids::{FlowId, LineId};
use crate::ivr::load::{Surroundings, load};
use crate::ivr::{Flow, Found};
use std::collections::BTreeMap;

/// What callers of the desk dial: a line that is open, one whose day is over, one whose day is a holiday.
pub const LINE: &str = "200";
pub const CLOSED: &str = "201";
pub const HOLIDAY: &str = "202";
pub const FLOW: &str = "desk";
/// An announcement that is off at first.
pub const BANNER: &str = "outage";
const CALENDAR: &str = "desk";
/// How long each text of the flow is, and each piece of a number, in milliseconds.
const TEXT: u64 = 1_000;
const PIECE: u64 = 400;

/// The flow, as planners would write it.
pub fn flow() -> Flow {
    let (hours, banners) = ([CALENDAR.to_owned()].into(), [BANNER.to_owned()].into());
    let around = Surroundings { hours, banners, ..Surroundings::with_queues(&["sales", "support"]) };
    match load(FlowId::new(FLOW), "desk.toml", include_str!("desk.toml"), &around) {
        Ok(read) => read.flow,
        Err(problems) => panic!("the simulator's own flow is wrong: {}", problems[0]),
    }
}

/// The names of its steps.
pub fn steps() -> impl Iterator<Item = String> {
    flow().steps.into_keys()
}

/// Every sound of the flow, with its length.
pub fn sounds() -> Vec<(String, u64)> {
    let length = |name: &str| if name.starts_with("say-") { PIECE } else { TEXT };
    flow().texts.iter().map(|text| (text.name.clone(), length(&text.name))).collect()
}

/// Adds the desk's lines, calendars and announcements. A simulation begins on Monday, 2026-01-05, 08:00 UTC.
pub fn furnish(center: &mut Center) {
    // Where it is 21:00 by then, and where it is 10:00.
    let (far, near) = ("Asia/Tokyo", "Europe/Helsinki");
    let zone = |hours: i32| Zone { changes: vec![(0, hours * 3_600)] };
    center.zones = BTreeMap::from([(far.to_owned(), zone(13)), (near.to_owned(), zone(2))]);
    let span = |text| vec![Span::read(text).expect("a span as it is written")];
    let mut hours = Hours { exceptions: Vec::new(), ..Hours::default() };
    (0..5).for_each(|day| hours.weekly[day] = span("08:00-20:00"));
    hours.holidays = vec![Day { year: None, month: 1, day: 6 }];
    center.hours = BTreeMap::from([(CALENDAR.to_owned(), hours)]);
    center.banners = BTreeMap::from([(BANNER.to_owned(), Banner::default())]);
    // Tomorrow begins early on the line of a holiday.
    center.zones.insert("Pacific/Kiritimati".to_owned(), zone(17));
    for (number, time_zone) in [(LINE, near), (CLOSED, far), (HOLIDAY, "Pacific/Kiritimati")] {
        let id = LineId::new(&format!("desk-{number}"));
        let line = Line {
            id: id.clone(),
            numbers: vec![number.to_owned()],
            flow: FlowId::new(FLOW),
            time_zone: time_zone.to_owned(),
            language: "en".to_owned(),
        };
        center.lines.insert(id, line);
    }
}

/// What the ticketing system says; None: nothing at all, as when it hangs.
pub fn ticketing(with: &BTreeMap<String, String>) -> Option<Found> {
    let ticket = |state: &str, tier: &str| {
        let fields = [("state", state), ("tier", tier)];
        Some(Found::Fields(fields.map(|(field, value)| (field.to_owned(), value.to_owned())).into()))
    };
    match with.get("number").map(String::as_str) {
        Some("12") => ticket("open", "1"),
        Some("34") => ticket("done", "2"),
        Some("99") => Some(Found::Failed),
        Some("98") => None,
        Some("1234") => ticket("", ""),
        _ => Some(Found::Nothing),
    }
}
