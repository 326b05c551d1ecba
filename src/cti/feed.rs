//! The log as readers get it: each event once, as it is told, to those whom it concerns.
//!
//! All who look live share one [`Feed`]; who resumes has his own, until he has caught up. What a viewer gets is the same
//! either way.

use super::{Audience, Cursor, View, Viewer};
use crate::event::{Event, What};
use crate::ids::CallId;
use crate::proto::{self, Item, item};
use std::sync::Arc;

/// After so many events that a reader may not see he gets their cursor alone, so that he does not begin far back.
pub const UNSEEN: u32 = 4_096;

/// How far the log has been told.
#[derive(Clone, Debug)]
pub struct Feed {
    pub view: View,
    pub at: Cursor,
}

/// An event as it is told, with those whom it concerns; none if it is told to nobody.
pub type Told = Option<(Audience, proto::Event)>;

impl Feed {
    /// The call whose beginning was not seen, if the event is of such a one.
    pub fn lacks(&self, event: &Event) -> Option<CallId> {
        event.call.filter(|_| !self.view.knows(event))
    }

    /// Takes the next event. `earlier` reads all events of a call, with their texts: one whose beginning was not seen is
    /// told to the fold first.
    ///
    /// # Errors
    /// The call cannot be read.
    pub fn take<E>(&mut self, event: &Event, earlier: impl FnOnce(CallId) -> Result<Vec<Event>, E>) -> Result<Told, E> {
        if let Some(call) = self.lacks(event) {
            let events = earlier(call)?;
            events.iter().filter(|earlier| earlier.seq < event.seq).for_each(|earlier| _ = self.view.apply(earlier));
        }
        self.at = Cursor { seq: event.seq, at: event.at };
        // What ends a call is told of the call as it was.
        let ends = matches!(event.what, What::CallEnded { .. });
        let before = if ends { super::event(event, &self.view) } else { None };
        let audience = self.view.apply(event);
        Ok(before.or_else(|| super::event(event, &self.view)).map(|told| (audience, told)))
    }
}

/// What one reader sees.
#[derive(Clone, Debug)]
pub struct Sight {
    pub viewer: Arc<Viewer>,
    unseen: u32,
}

impl Sight {
    pub fn new(viewer: Arc<Viewer>) -> Sight {
        Sight { viewer, unseen: 0 }
    }

    /// What he gets for the event at this cursor: the event, nothing, or the cursor alone after much that is not for him.
    pub fn item(&mut self, told: &Told, at: Cursor) -> Option<Item> {
        let seen = told.as_ref().filter(|(audience, _)| self.viewer.sees(audience));
        self.unseen = if seen.is_some() { 0 } else { self.unseen + 1 };
        let what = seen.map(|(_, event)| item::What::Event(event.clone()));
        if what.is_none() && self.unseen < UNSEEN {
            return None;
        }
        self.unseen = 0;
        Some(Item { cursor: at.to_bytes(), what })
    }
}
