//! When a thread lets work gather before it looks again: under load, waking it for each packet costs more than all of
//! its work on the packet.

use crate::time::Instant;
use std::time::Duration;

/// What comes is counted in windows of this length.
const WINDOW: Duration = Duration::from_millis(10);
/// In one window: four for each millisecond of rest. With fewer, resting costs as much as it saves.
const MANY: usize = 40;

/// How busy a thread is.
#[derive(Debug, Default)]
pub struct Pace {
    since: Instant,
    things: usize,
    busy: bool,
}

impl Pace {
    /// So many packets and messages came by now; whether to rest.
    pub fn came(&mut self, now: Instant, things: usize) -> bool {
        self.things += things;
        let span = now.since(self.since);
        if span >= WINDOW {
            // A window that nothing closed in time was quiet for the rest of it.
            self.busy = self.things >= MANY && span < WINDOW * 2;
            (self.since, self.things) = (now, 0);
        }
        self.busy
    }
}

/// Lets work gather. Nothing ends it early, so it is for a few milliseconds.
#[expect(clippy::disallowed_methods, reason = "nothing is waited for: what comes meanwhile is the purpose")]
pub fn rest(span: Duration) {
    std::thread::sleep(span);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_thread_rests_and_a_quiet_one_does_not() {
        // Milliseconds between batches, things in each, batches; whether it rests after them.
        let rows = [
            (1, 1, 100, false),
            (1, 3, 100, false),
            (1, 4, 100, true),
            (0, 1, 10_000, false), // all in one moment: nothing is known of the next
            (20, 250, 10, false),  // a burst each 20 ms is one wake-up as it is
            (5, 250, 10, true),
            (1, 25, 5, false),
            (1, 25, 11, true),
        ];
        for (gap, things, batches, rests) in rows {
            let (mut pace, mut now, mut last) = (Pace::default(), Instant::ZERO, false);
            for _ in 0..batches {
                now = now + Duration::from_millis(gap);
                last = pace.came(now, things);
            }
            assert_eq!(last, rests, "{things} things each {gap} ms, {batches} times");
        }
        let mut pace = Pace::default();
        let at = |ms| Instant::ZERO + Duration::from_millis(ms);
        assert!((1..=20).map(|ms| pace.came(at(ms), 30)).last() == Some(true));
        assert!(!pace.came(at(1_000), 1), "a second of silence ends the load");
    }
}
