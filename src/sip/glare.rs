//! Offers that meet: a re-INVITE refused with 491, or held back while another is under way, is made again by the
//! endpoint itself after a pause (RFC 3261 §14.1).

use super::Deadline;
use super::Endpoint;
use super::api::{Body, Event};
use super::leg::{Ours, Wanted};
use crate::ids::LegId;
use crate::time::Instant;
use std::time::Duration;

/// How often an offer is made that is refused with 491 each time. A peer that follows the RFC needs two.
const MAX_TRIES: u32 = 5;

impl Endpoint {
    /// `Command::Reoffer`.
    pub(super) fn reoffer(&mut self, now: Instant, leg: LegId, body: Body) {
        let Some(talking) = self.talking(leg) else { return self.reoffer_early(now, leg, body) };
        if talking.leaving.is_some() {
            return;
        }
        let has_one = talking.ours.as_ref().is_some_and(|ours| !ours.refreshes) || talking.wanted.is_some();
        if has_one {
            return self.tell(Event::OfferRefused { leg, status: 491 });
        }
        if talking.is_between_offers() {
            return self.send_offer(now, leg, Ours { body, refreshes: false, tries: 0 });
        }
        talking.wanted = Some(Wanted { body, tries: 0, outdated: false });
        self.wait_for_turn(now, leg);
    }

    /// Our re-INVITE was refused with 491.
    pub(super) fn offers_met(&mut self, now: Instant, leg: LegId, ours: Ours) {
        let tries = ours.tries + 1;
        if tries >= MAX_TRIES {
            return self.tell(Event::OfferRefused { leg, status: 491 });
        }
        let Some(talking) = self.talking(leg) else { return };
        talking.wanted = Some(Wanted { body: ours.body, tries, outdated: false });
        self.wait_for_turn(now, leg);
    }

    fn wait_for_turn(&mut self, now: Instant, leg: LegId) {
        if let Some(pause) = self.pause_for_turn(leg) {
            self.due.set(Deadline::Reoffer(leg), now + pause);
        }
    }

    /// §14.1: 2.1 to 4 s for who made the Call-ID, 0 to 2 s for the other, in steps of 10 ms.
    pub(super) fn pause_for_turn(&mut self, leg: LegId) -> Option<Duration> {
        let owner = self.talking(leg)?.owner;
        let ms = if owner { 2_100 + 10 * self.rng.below(191) } else { 10 * self.rng.below(201) };
        Some(Duration::from_millis(ms))
    }

    /// `Deadline::Reoffer`.
    pub(super) fn reoffer_due(&mut self, now: Instant, leg: LegId) {
        let Some(talking) = self.talking(leg) else { return };
        if !talking.is_between_offers() {
            return self.wait_for_turn(now, leg);
        }
        let Some(Wanted { body, tries, outdated }) = talking.wanted.take() else { return };
        match outdated {
            true => self.tell(Event::OfferOutdated { leg }),
            false => self.send_offer(now, leg, Ours { body, refreshes: false, tries }),
        }
    }
}
