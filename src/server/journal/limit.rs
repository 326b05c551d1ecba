//! How often the same sentence may be told. What is beyond that is counted, and the count is told when the time is over:
//! a storm costs a few lines, and nothing goes unseen.

use super::Entry;
use crate::config::Level;
use crate::time::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// Over so long a sentence's lines are counted.
const WINDOW: Duration = Duration::from_secs(10);

/// Lines of one sentence within [`WINDOW`]. Calls may begin and end at 100 per second; systemd's own limit is 10,000
/// lines in 30 s. What somebody turned on to look for something is not cut.
fn most(level: Level) -> u64 {
    match level {
        Level::Error | Level::Warn => 20,
        Level::Info => 1_000,
        Level::Debug => u64::MAX,
    }
}

#[derive(Debug, Default)]
pub(super) struct Limit {
    /// By subject and sentence, which are the program's own: no more of them than there are in it.
    windows: BTreeMap<(&'static str, &'static str), Window>,
}

#[derive(Debug)]
struct Window {
    level: Level,
    began: Instant,
    told: u64,
    left_out: u64,
}

impl Limit {
    /// Whether `line` is to be told; if not, it is counted.
    pub fn admits(&mut self, line: &Entry, now: Instant) -> bool {
        let new = || Window { level: line.level, began: now, told: 0, left_out: 0 };
        let window = self.windows.entry((line.subject, line.said)).or_insert_with(new);
        // One that has left something out ends by `ended`, which tells it.
        if window.left_out == 0 && now.since(window.began) >= WINDOW {
            (window.began, window.told) = (now, 0);
        }
        let admits = window.told < most(line.level);
        match admits {
            true => window.told += 1,
            false => window.left_out += 1,
        }
        admits
    }

    /// A line for each sentence that was left out and whose time is over.
    pub fn ended(&mut self, now: Instant) -> Vec<Entry> {
        let mut lines = Vec::new();
        for ((subject, said), window) in &mut self.windows {
            if window.left_out > 0 && now.since(window.began) >= WINDOW {
                let line = Entry::new(window.level, subject, said).with("left_out", window.left_out);
                lines.push(line.with("within", now.since(window.began)));
                (window.began, window.told, window.left_out) = (now, 0, 0);
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_a_few_lines_and_a_count() {
        let (mut limit, begun) = (Limit::default(), Instant(0));
        let at = |ms: u64| begun + Duration::from_millis(ms);
        let storm = Entry::warn("sip", "something bad came");
        let told = (0..5_000).filter(|ms| limit.admits(&storm, at(*ms))).count();
        assert_eq!(told, 20);
        assert!(limit.admits(&Entry::warn("trunk", "another sentence"), at(5_000)), "each has its own");
        assert_eq!(limit.ended(at(9_999)), []);
        let counted = storm.clone().with("left_out", 4_980u64).with("within", WINDOW);
        assert_eq!(limit.ended(at(10_000)), [counted]);
        assert_eq!(limit.ended(at(10_001)), [], "it is told once");
        assert!(limit.admits(&storm, at(10_001)), "and then it may be told again");
    }

    #[test]
    fn what_comes_now_and_then_is_always_told() {
        let (mut limit, begun) = (Limit::default(), Instant(0));
        let line = Entry::error("log", "it cannot be written");
        let told = (0..1_000).filter(|n| limit.admits(&line, begun + Duration::from_secs(n * 2))).count();
        assert_eq!((told, limit.ended(begun + Duration::from_secs(5_000))), (1_000, vec![]));
    }

    #[test]
    fn calls_and_steps_have_more_room() {
        let (mut limit, now) = (Limit::default(), Instant(0));
        let mut told = |line: Entry| (0..3_000).filter(|_| limit.admits(&line, now)).count();
        assert_eq!(told(Entry::info("call", "arrives")), 1_000);
        assert_eq!(told(Entry::debug("call", "is at a step")), 3_000);
    }
}
