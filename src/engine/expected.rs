//! How a caller's waiting goes, for flows that tell it.
//!
//! A forecast runs the router forward, which costs about a millisecond: it is asked for only where the caller's flow
//! depends on it, for each caller once in [`FRESH`], and [`MOST`] times a second in all. Who comes too often hears what
//! was known before, or that nobody can say.

use super::Engine;
use crate::acd;
use crate::ids::CallId;
use crate::ivr;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// So old may a forecast be.
const FRESH: Duration = Duration::from_secs(10);
/// Forecasts in one second: a fiftieth of a processor.
const MOST: u32 = 20;

/// How many forecasts the present second has had.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Asked {
    since: Instant,
    times: u32,
}

impl Asked {
    fn may(&mut self, now: Instant) -> bool {
        if now.since(self.since) >= Duration::from_secs(1) {
            *self = Asked { since: now, times: 0 };
        }
        self.times += 1;
        self.times <= MOST
    }
}

impl Engine {
    /// None where the caller is led through no treatment.
    pub(super) fn wait_of(&mut self, id: CallId, input: &ivr::Input) -> Option<ivr::Wait> {
        let call = self.calls.get(&id)?;
        let treated = call.run.is_treated() || *input == ivr::Input::Waits;
        let place = call.seeking.as_ref().filter(|_| treated).map(|seeking| &seeking.place)?;
        let (position, waited) = (self.router.position(place.work)?, self.now.since(place.arrived));
        Some(ivr::Wait { position, expected: self.expected(id), waited })
    }

    fn expected(&mut self, id: CallId) -> Option<Duration> {
        let now = self.now;
        let call = self.calls.get_mut(&id)?;
        let seeking = call.seeking.as_mut().filter(|_| self.index.forecasts.contains(call.run.flow()))?;
        let known = seeking.expected;
        if known.is_some_and(|(at, _)| now.since(at) < FRESH) || !self.forecasts.may(now) {
            return known.and_then(|(at, wait)| Some(wait?.saturating_sub(now.since(at))));
        }
        let forecast = self.router.forecast(now, seeking.place.work).map(|forecast| forecast.p50);
        // A run that comes to no end means that nobody at work can take the call.
        let wait = forecast.filter(|wait| *wait < acd::HORIZON);
        seeking.expected = Some((now, wait));
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_are_asked_for_in_a_second() {
        let mut asked = Asked::default();
        let at = |ms| Instant::ZERO + Duration::from_millis(ms);
        let count = |asked: &mut Asked, ms| (0..100).filter(|_| asked.may(at(ms))).count();
        assert_eq!(count(&mut asked, 5_000), 20);
        assert_eq!(count(&mut asked, 5_999), 0);
        assert_eq!(count(&mut asked, 6_000), 20);
    }
}
