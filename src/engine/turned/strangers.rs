//! How often strangers may call: who proves nothing and comes from no trunk. Each call is written down, be it cancelled at
//! once; without a limit anybody could fill the log.
//!
//! Counted by address (IPv6: by /64) and of all together. Five seconds' worth may come at once, and then evenly; one
//! more is answered 503 before anything is written or opened.

use crate::center::Limits;
use crate::engine::allowance::Allowance;
use crate::sip::guard::subscriber;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// Seconds' worth of calls that may come at once.
const AT_ONCE: u32 = 5;
/// Addresses after which it is first looked whose calls are long ago.
const MANY: usize = 1_024;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Strangers {
    by_address: BTreeMap<IpAddr, Allowance>,
    all: Allowance,
    /// How many addresses there may be before the old ones are looked for again.
    room: usize,
}

impl Strangers {
    /// Whether somebody at this address may call now.
    pub fn may_call(&mut self, now: Instant, ip: IpAddr, limits: &Limits) -> bool {
        let ip = subscriber(ip);
        let mut own = self.by_address.get(&ip).copied().unwrap_or_default();
        let take = |allowance: &mut Allowance, rate: u32| {
            allowance.take_of(now, Duration::from_secs(1) / rate.max(1), rate.saturating_mul(AT_ONCE))
        };
        // One whose own calls are too many takes nothing from the others.
        let may = take(&mut own, limits.strangers_per_address) && take(&mut self.all, limits.strangers);
        if !may {
            return false;
        }
        self.by_address.insert(ip, own);
        if self.by_address.len() >= self.room.max(MANY) {
            self.by_address.retain(|_, allowance| !allowance.is_whole(now));
            self.room = self.by_address.len() * 2;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let (silence, drain) = (Duration::from_secs(30), Duration::from_secs(300));
        Limits { calls: 100, silence, drain, strangers: 50, strangers_per_address: 20 }
    }

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(1_000_000 + ms)
    }

    #[test]
    fn a_hundred_at_once_and_then_twenty_a_second() {
        // At ms, from where, how many; how many may.
        let rows = [
            (0, "192.0.2.1", 150, 100),
            (40, "192.0.2.1", 5, 0),
            (50, "192.0.2.1", 5, 1),
            (1_000, "192.0.2.1", 30, 19),
            // Others have their own, until all have taken 250 and 50 more each second.
            (1_000, "192.0.2.2", 150, 100),
            (1_000, "192.0.2.3", 150, 80),
            (1_100, "192.0.2.4", 10, 5),
            // Of one subscriber, whatever address he takes.
            (60_000, "2001:db8::1", 80, 80),
            (60_000, "2001:db8::2", 80, 20),
            (60_000, "2001:db8:0:1::2", 80, 80),
            (60_000, "::ffff:192.0.2.9", 40, 40),
            (60_000, "192.0.2.9", 80, 30),
        ];
        let mut strangers = Strangers::default();
        for (ms, ip, calls, expect) in rows {
            let ip = ip.parse().unwrap();
            let may = (0..calls).filter(|_| strangers.may_call(at(ms), ip, &limits())).count();
            assert_eq!(may, expect, "{ip} after {ms} ms");
        }
    }

    /// Who calls once from each of many addresses takes no more memory than all may call at once.
    #[test]
    fn addresses_are_forgotten() {
        let mut strangers = Strangers::default();
        for number in 0..100_000_u32 {
            strangers.may_call(at(u64::from(number) * 10), IpAddr::V4(number.into()), &limits());
            assert!(strangers.by_address.len() <= MANY, "{}", strangers.by_address.len());
        }
    }
}
