//! What a run may look at: the flows, the center, the time, the place in the queue. And what names stand for.

use super::Run;
use super::flow::Flow;
use crate::center::Center;
use crate::center::hours::Opening;
use crate::expr::{Names, Type, Value};
use crate::ids::{FlowId, LineId};
use crate::time::Wall;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Everything a run is shown with each input.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'s> {
    pub flows: &'s BTreeMap<FlowId, Arc<Flow>>,
    pub center: &'s Center,
    pub wall: Wall,
    /// Announcements that are on.
    pub banners: &'s BTreeSet<String>,
    /// While the caller waits.
    pub wait: Option<Wait>,
}

/// How the caller's waiting goes, as the router sees it. It may get worse; what callers are told never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// 1 is next.
    pub position: u32,
    /// None while nobody can say.
    pub expected: Option<Duration>,
    pub waited: Duration,
}

/// Who calls, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// None for short codes.
    pub line: Option<LineId>,
    /// The number or address that called. Personal.
    pub caller: String,
    /// An agent's own phone calls.
    pub is_agent: bool,
    pub language: String,
    pub time_zone: String,
}

impl Facts {
    /// What kind of number it is: `agent`, `withheld`, `number` or `address`.
    fn class(&self) -> &'static str {
        let digits = self.caller.strip_prefix('+').unwrap_or(&self.caller);
        match self.caller.as_str() {
            _ if self.is_agent => "agent",
            "" | "anonymous" | "unavailable" | "unknown" => "withheld",
            _ if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => "number",
            _ => "address",
        }
    }
}

/// Minutes that the caller will wait, as far as anybody can say.
pub const EXPECTED: &str = "queue.expected";

/// Names that every flow knows.
const KNOWN: [(&str, Type); 10] = [
    ("caller", Type::Text),
    ("caller.class", Type::Text),
    ("line", Type::Text),
    ("language", Type::Text),
    ("time", Type::Time),
    ("date", Type::Text),
    ("weekday", Type::Text),
    ("queue.position", Type::Number),
    (EXPECTED, Type::Number),
    ("queue.waited", Type::Number),
];
const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// The names that every flow of a center knows, with their types.
pub fn known<'n>(hours: impl Iterator<Item = &'n String>, banners: impl Iterator<Item = &'n String>) -> Names {
    let all = KNOWN.into_iter().map(|(name, kind)| (name.to_owned(), kind));
    let hours = hours.map(|name| (format!("hours.{name}"), Type::Flag));
    let banners = banners.map(|name| (format!("banner.{name}"), Type::Flag));
    all.chain(hours).chain(banners).collect()
}

/// The best that the caller was, or could have been, told of his waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    position: Option<u32>,
    /// In whole minutes, rounded up.
    minutes: Option<u64>,
    /// How long the whole wait would be, when it was said first.
    #[serde(default)]
    pub(super) whole: Option<Duration>,
}

impl Told {
    pub(super) fn improve(&mut self, wait: Wait) {
        self.position = Some(self.position.map_or(wait.position, |best| best.min(wait.position)));
        let minutes = wait.expected.map(|expected| expected.as_secs().div_ceil(60).max(1));
        self.minutes = self.minutes.into_iter().chain(minutes).min();
    }

    /// The caller hears a text that depends on the expected wait. What he hears first counts: later is easier to say.
    pub(super) fn said(&mut self, wait: Option<Wait>) {
        if let (None, Some(minutes), Some(wait)) = (self.whole, self.minutes, wait) {
            self.whole = Some(wait.waited + Duration::from_secs(60 * minutes));
        }
    }
}

impl Run {
    /// What a name stands for now. None for names that nobody knows.
    pub(super) fn value_of(&self, scene: &Scene<'_>, name: &str) -> Option<Value> {
        if let Some(value) = self.values.get(name) {
            return Some(value.clone());
        }
        if let Some(calendar) = name.strip_prefix("hours.") {
            return Some(Value::Flag(self.opening(scene, calendar)? == Opening::Open));
        }
        if let Some(banner) = name.strip_prefix("banner.") {
            return Some(Value::Flag(self.concerns(scene, banner)));
        }
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        let number = |n: Option<u64>| Some(Value::Number(n.and_then(|n| i64::try_from(n).ok()).unwrap_or(0)));
        let local = || scene.center.local(&self.facts.time_zone, scene.wall);
        match name {
            "caller" => text(&self.facts.caller),
            "caller.class" => text(self.facts.class()),
            "line" => text(self.facts.line.as_ref().map_or("", LineId::as_str)),
            "language" => text(&self.language),
            "time" => Some(Value::Time(local().minute)),
            "date" => text(&local().date.to_string()),
            "weekday" => text(WEEKDAYS[usize::from(local().weekday % 7)]),
            "queue.position" => number(self.told.position.map(u64::from)),
            EXPECTED => number(self.told.minutes),
            "queue.waited" => number(scene.wait.map(|wait| wait.waited.as_secs() / 60)),
            _ => None,
        }
    }

    pub(super) fn opening(&self, scene: &Scene<'_>, calendar: &str) -> Option<Opening> {
        let hours = scene.center.hours.get(calendar)?;
        Some(hours.at(&scene.center.local(&self.facts.time_zone, scene.wall)))
    }

    /// Whether the announcement is on and meant for this caller.
    pub(super) fn concerns(&self, scene: &Scene<'_>, banner: &str) -> bool {
        let Some(whom) = scene.center.banners.get(banner).filter(|_| scene.banners.contains(banner)) else {
            return false;
        };
        let line = self.facts.line.as_ref().is_some_and(|line| whom.lines.contains(line));
        let caller = whom.callers.iter().any(|start| self.facts.caller.starts_with(start.as_str()));
        (whom.lines.is_empty() || line) && (whom.callers.is_empty() || caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trap 4: what a caller is told never gets worse.
    #[test]
    fn trap_04_what_is_told_grows() {
        let mut told = Told::default();
        // Place and expected seconds as they are, then what is told: place and minutes.
        for (position, seconds, expect) in [
            (2, Some(240), (Some(2), Some(4))),
            (4, Some(600), (Some(2), Some(4))),
            (4, None, (Some(2), Some(4))),
            (1, Some(120), (Some(1), Some(2))),
        ] {
            told.improve(Wait { position, expected: seconds.map(Duration::from_secs), waited: Duration::ZERO });
            assert_eq!((told.position, told.minutes), expect);
        }
    }
}
