//! How often something may happen: sixteen times in a row, and then once in two seconds.

use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Nobody does by hand what this is for more often in a row.
const AT_ONCE: u32 = 16;
const PAUSE: Duration = Duration::from_secs(2);

/// A leaking bucket.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Allowance {
    /// When all that was taken will have been given back.
    whole: Instant,
}

impl Allowance {
    /// Takes one, if one is left.
    pub fn take(&mut self, now: Instant) -> bool {
        self.take_of(now, PAUSE, AT_ONCE)
    }

    /// The same where so many may be taken at once, and then one after each pause.
    pub fn take_of(&mut self, now: Instant, pause: Duration, at_once: u32) -> bool {
        let whole = self.whole.max(now) + pause;
        let left = whole.since(now) <= pause.saturating_mul(at_once);
        self.whole = if left { whole } else { self.whole };
        left
    }

    /// Whether it is as if nothing had been taken.
    pub fn is_whole(&self, now: Instant) -> bool {
        self.whole <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_at_once_then_one_each_two_seconds() {
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        // Second, how often it is asked for then, how often granted.
        let rows = [(100, 20, 16), (101, 1, 0), (102, 3, 1), (104, 2, 1), (110, 9, 3), (1_000, 40, 16)];
        let mut allowance = Allowance::default();
        for (second, asked, granted) in rows {
            let got = (0..asked).filter(|_| allowance.take(at(second))).count();
            assert_eq!(got, granted, "at {second} s");
        }
    }
}
