//! Who has passed a caller on is spared him, while somebody else is at work who could take him.
//!
//! Otherwise the agent who sends a caller to a queue that he serves himself may be rung for the same caller a moment later.
//! The router leaves out whom a place excludes, for good; so what is excluded is looked at again whenever somebody stops
//! working: nobody is left to wait for agents who are not there.

use super::{Engine, Place};
use crate::acd;
use crate::ids::WorkId;

impl Engine {
    /// The place as it is asked for: nobody is left out of it if nobody else could serve it.
    pub(super) fn sparing(&mut self, mut place: Place) -> Place {
        if !self.others_serve(&place) {
            place.excluded.clear();
        }
        if !place.excluded.is_empty() {
            self.spared.insert(place.work);
        }
        place
    }

    /// Somebody has stopped working, or can or serves something else now.
    pub(super) fn spares_no_more(&mut self) {
        for work in self.spared.iter().copied().collect::<Vec<_>>() {
            match self.place_of(work) {
                Some(place) if self.others_serve(place) => {}
                Some(_) => self.spare_nobody(work),
                None => _ = self.spared.remove(&work),
            }
        }
    }

    fn spare_nobody(&mut self, work: WorkId) {
        self.spared.remove(&work);
        let call = self.works.get(&work).and_then(|call| self.calls.get_mut(call));
        let Some(seeking) = call.and_then(|call| call.seeking.as_mut()) else { return };
        seeking.place.excluded.clear();
        let place = seeking.place.asked();
        self.router_do(acd::Input::Enqueue(place));
    }

    fn place_of(&self, work: WorkId) -> Option<&Place> {
        let call = self.calls.get(self.works.get(&work)?)?;
        call.seeking.as_ref().map(|seeking| &seeking.place).filter(|place| place.work == work)
    }

    /// A caller for one agent is that agent's anyway; whom to leave out is asked when he is for all.
    fn others_serve(&self, place: &Place) -> bool {
        place.excluded.is_empty()
            || place.only.is_some()
            || self.router.is_served_beside(&place.queue, &place.skills, &place.excluded)
    }
}
