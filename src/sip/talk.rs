//! Telling a phone that rings to answer: a NOTIFY with the event `talk` in the early dialog of our INVITE. No RFC has it, and
//! no subscription comes before it; it is what desk phones of several makers do, and they say so while they ring
//! (`Allow-Events: talk`, RFC 6665 §8.2.2). How the phone takes it is its own matter: what becomes of the call is told by
//! its answer to the INVITE.

use super::Endpoint;
use super::header::{Method, Name};
use super::leg::{Early, Leg};
use super::transaction::{Errand, Purpose};
use crate::ids::LegId;
use crate::time::Instant;

impl Endpoint {
    /// Whether the phone that rings for this leg can be told to answer.
    pub fn takes_talk(&self, leg: LegId) -> bool {
        matches!(self.legs.get(&leg), Some(Leg::Calling(calling)) if calling.early.iter().any(|early| early.takes_talk))
    }

    /// `Command::Talk`. Of several forks the first one is told.
    pub(super) fn talk(&mut self, now: Instant, leg: LegId) {
        let Some(Leg::Calling(calling)) = self.legs.find_mut(&leg) else { return };
        let account = calling.client.and_then(|key| self.transactions.errand(key)?.1.account.clone());
        let Some(early) = calling.early.iter_mut().find(|early: &&mut Early| early.takes_talk) else { return };
        let mut notify = early.dialog.request(Method::Notify);
        notify.headers.push(Name::Event, "talk");
        notify.headers.push(Name::SubscriptionState, "active");
        let dialog = early.dialog.clone();
        let hop = self.hop(&dialog, &mut notify);
        self.dispatch(now, notify, hop, Errand { account, ..Errand::new(Purpose::Talk(leg)) });
    }
}
