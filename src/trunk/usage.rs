//! How much of one direction of a trunk is in use, and whether one more call fits.

use super::TrunkState;
use crate::center::Share;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Why a trunk takes no further call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Full {
    /// As many calls as may be are under way.
    Calls,
    /// Too many began in the last second.
    Rate,
}

/// One direction of a trunk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Usage {
    pub calls: u32,
    /// When the next call would come if calls came evenly at the highest rate.
    next: Instant,
    seized: u64,
    refused_calls: u64,
    refused_rate: u64,
}

/// What `/metrics` shows of one trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    pub state: TrunkState,
    /// None: it does not register.
    pub registered: Option<bool>,
    pub incoming: Counted,
    pub outgoing: Counted,
    /// Calls that went on to another trunk, or to none, because this one did not carry them.
    pub failures: u64,
}

/// One direction of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    pub calls: u32,
    pub seized: u64,
    pub refused_calls: u64,
    pub refused_rate: u64,
}

impl Usage {
    pub fn seize(&mut self, now: Instant, share: Share) -> Result<(), Full> {
        if self.calls >= share.calls {
            self.refused_calls += 1;
            return Err(Full::Calls);
        }
        let second = Duration::from_secs(1);
        let next = self.next.max(now);
        // As much as a second's calls may be ahead of the even pace.
        if next.since(now) + second / share.rate > second {
            self.refused_rate += 1;
            return Err(Full::Rate);
        }
        self.next = next + second / share.rate;
        self.calls += 1;
        self.seized += 1;
        Ok(())
    }

    pub fn release(&mut self) {
        self.calls = self.calls.saturating_sub(1);
    }

    pub fn counted(&self) -> Counted {
        let Usage { calls, seized, refused_calls, refused_rate, .. } = *self;
        Counted { calls, seized, refused_calls, refused_rate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_s_calls_may_come_at_once_and_then_evenly() {
        let share = Share { calls: 100, rate: 4 };
        let mut usage = Usage::default();
        let mut at = |ms: u64| usage.seize(Instant(ms * 1_000_000), share).is_ok();
        let took: Vec<bool> = [1000, 1000, 1000, 1000, 1000, 1249, 1250, 1250, 1500, 1510].map(&mut at).to_vec();
        assert_eq!(took, [true, true, true, true, false, false, true, false, true, false]);
        assert!((0..4).all(|_| at(9_000)) && !at(9_000), "after a pause a second's calls, not more");
        assert_eq!((usage.counted().seized, usage.counted().refused_rate), (10, 5));
    }

    #[test]
    fn calls_at_once_are_limited_and_given_back() {
        let share = Share { calls: 2, rate: 1000 };
        let mut usage = Usage::default();
        let now = Instant(1_000_000_000);
        assert_eq!([(); 3].map(|()| usage.seize(now, share)), [Ok(()), Ok(()), Err(Full::Calls)]);
        usage.release();
        assert_eq!(usage.seize(now, share), Ok(()));
        assert_eq!(usage.seize(now, Share { calls: 0, rate: 1 }), Err(Full::Calls));
    }
}
