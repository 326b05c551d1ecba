//! When a plane's thread lets packets gather before it looks again: under load, waking it for each packet costs more
//! than all of its work on the packet.

use crate::time::Instant;
use std::time::Duration;

/// How long packets gather: no listener notices, and a thousand of them wake the thread once.
pub const REST: Duration = Duration::from_millis(1);
/// Packets are counted in windows of this length.
const WINDOW: Duration = Duration::from_millis(10);
/// In one window: four for each rest. With fewer, resting costs as much as it saves.
const MANY: usize = 40;

/// How busy a plane is.
#[derive(Debug, Default)]
pub struct Pace {
    since: Instant,
    packets: usize,
    busy: bool,
}

impl Pace {
    /// So many packets came by now; whether to rest.
    pub fn came(&mut self, now: Instant, packets: usize) -> bool {
        self.packets += packets;
        let span = now.since(self.since);
        if span >= WINDOW {
            // A window that nothing closed in time was quiet for the rest of it.
            self.busy = self.packets >= MANY && span < WINDOW * 2;
            (self.since, self.packets) = (now, 0);
        }
        self.busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_plane_rests_and_a_quiet_one_does_not() {
        // Milliseconds between batches, packets in each, batches; whether it rests after them.
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
        for (gap, packets, batches, rests) in rows {
            let (mut pace, mut now, mut last) = (Pace::default(), Instant::ZERO, false);
            for _ in 0..batches {
                now = now + Duration::from_millis(gap);
                last = pace.came(now, packets);
            }
            assert_eq!(last, rests, "{packets} packets each {gap} ms, {batches} times");
        }
        let mut pace = Pace::default();
        let at = |ms| Instant::ZERO + Duration::from_millis(ms);
        assert!((1..=20).map(|ms| pace.came(at(ms), 30)).last() == Some(true));
        assert!(!pace.came(at(1_000), 1), "a second of silence ends the load");
    }
}
