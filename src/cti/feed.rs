//! The log as readers get it: each event once, as it is told, to those whom it concerns.
//!
//! All who look live share one [`Feed`]; who resumes has his own, until he has caught up. What a viewer gets is the same
//! either way.

use super::{Audience, Cursor, View, Viewer};
use crate::event::Event;
use crate::ids::CallId;
use crate::proto::{self, Item, item};
use std::borrow::Borrow;
use std::sync::Arc;

/// After so many events that a reader may not see he gets their cursor alone, so that he does not begin far back.
pub const UNSEEN: u64 = 4_096;

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
    /// told to the fold first. It is told if anybody of whom it concerns is `there`.
    ///
    /// # Errors
    /// The call cannot be read.
    pub fn take<I: IntoIterator<Item: Borrow<Event>>, E>(
        &mut self,
        event: &Event,
        earlier: impl FnOnce(CallId) -> Result<I, E>,
        there: impl FnOnce(&Audience) -> bool,
    ) -> Result<Told, E> {
        if let Some(call) = self.lacks(event) {
            for earlier in earlier(call)? {
                let earlier = earlier.borrow();
                if earlier.seq < event.seq {
                    self.view.learn(earlier);
                }
            }
        }
        self.at = Cursor { seq: event.seq, at: event.at };
        let audience = self.view.apply(event);
        let told = if there(&audience) { super::event(event, &self.view) } else { None };
        self.view.leave(event);
        Ok(told.map(|told| (audience, told)))
    }
}

/// The event for those who do not see the caller; none if it says nothing of one.
pub fn impersonal(event: &proto::Event) -> Option<proto::Event> {
    let Some(proto::event::What::Queued(proto::Queued { queue, priority, skills, again, call: _ })) = &event.what
    else {
        return None;
    };
    let (priority, again) = (*priority, *again);
    let queued = proto::Queued { queue: queue.clone(), priority, skills: skills.clone(), again, call: None };
    Some(proto::Event { at_ms: event.at_ms, call: event.call.clone(), what: Some(proto::event::What::Queued(queued)) })
}

/// What one reader sees.
#[derive(Clone, Debug)]
pub struct Sight {
    pub viewer: Arc<Viewer>,
    /// The last event that he was told of by its cursor at least; 0: none yet.
    told: u64,
    /// A planted bug: some events reach nobody.
    #[cfg(feature = "planted-bugs")]
    pub skips: bool,
}

impl Sight {
    pub fn new(viewer: Arc<Viewer>) -> Sight {
        Sight {
            viewer,
            told: 0,
            #[cfg(feature = "planted-bugs")]
            skips: false,
        }
    }

    /// What he gets for the event at this cursor: the event, nothing, or the cursor alone after much that is not for him.
    /// Of what does not concern him he need not be asked each time.
    pub fn item(&mut self, told: &Told, at: Cursor) -> Option<Item> {
        #[cfg(feature = "planted-bugs")]
        if self.skips && at.seq.is_multiple_of(7) {
            return None;
        }
        let seen = told.as_ref().filter(|(audience, _)| self.viewer.sees(audience));
        if self.told == 0 {
            self.told = at.seq.saturating_sub(1);
        }
        let shown = |(audience, event): &(Audience, proto::Event)| match self.viewer.sees_person(audience) {
            true => event.clone(),
            false => impersonal(event).unwrap_or_else(|| event.clone()),
        };
        let what = seen.map(|told| item::What::Event(shown(told)));
        if what.is_none() && at.seq - self.told < UNSEEN {
            return None;
        }
        self.told = at.seq;
        Some(Item { cursor: at.to_bytes(), what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Cause, DivertReason, OfferOutcome, Party, Personal, PersonalKind, Phase, TransferTo, What};
    use crate::ids::{AgentId, FlowId, LegId, QueueId, ReservationId, WorkId};
    use crate::proto::{CallView, event::What as Shown};
    use crate::time::Wall;
    use std::collections::BTreeMap;
    use std::convert::Infallible;
    use std::time::Duration;

    const AGENT: AgentId = AgentId(1);

    /// The next event of a log that begins with this day.
    fn next(feed: &mut Feed, event: &Event) -> Told {
        let told = feed.take(event, |_| Ok::<[Event; 0], Infallible>([]), |_| true);
        told.unwrap_or_else(|never| match never {})
    }

    fn text(text: &str) -> Personal {
        Personal { kind: PersonalKind::Number, handle: 1, text: Some(text.into()) }
    }

    /// A call through a menu, two queues and an agent, from its arrival to its end.
    fn day() -> Vec<What> {
        let (work, flow, leg, reservation) = (WorkId(1), FlowId::new("main"), LegId(11), ReservationId(1));
        let queue = |name: &str| QueueId::new(name);
        let step = |step: &str| What::StepEntered { flow: flow.clone(), step: step.into() };
        let queued = |name: &str| What::Queued {
            work,
            queue: queue(name),
            priority: 0,
            skills: [].into(),
            again: false,
            served: Duration::ZERO,
        };
        let attached = |name: &str| What::FlowAttached { flow: flow.clone(), name: name.into(), value: text("v") };
        let over = |outcome| What::OfferEnded { work, reservation, agent: AGENT, outcome };
        let rings = || What::Delivered { work, reservation, agent: AGENT, leg, why: String::new() };
        let caller = text("sip:+4930123@example.org");
        let waited = Duration::from_millis(6);
        vec![
            What::arrives(LegId(1), None, caller),
            step("menu"),
            What::DigitKeyed { flow: flow.clone(), step: "menu".into(), digit: text("7") },
            attached("topic"),
            queued("general"),
            step("music"),
            What::DigitKeyed { flow: flow.clone(), step: "music".into(), digit: text("8") },
            attached("language"),
            rings(),
            over(OfferOutcome::NoAnswer),
            rings(),
            over(OfferOutcome::Accepted),
            What::Established { work, queue: queue("general"), agent: AGENT, leg, waited, told: None },
            What::Held { leg },
            What::Retrieved { leg },
            What::DataAttached { agent: AGENT, name: "name".into(), value: text("Jo") },
            What::Transferred { agent: AGENT, to: TransferTo::Queue(queue("technical")) },
            What::ConnectionCleared { leg, party: Party::Agent(AGENT), cause: Cause::AgentHungUp },
            queued("technical"),
            What::Diverted { work, queue: queue("technical"), why: DivertReason::MaxWait },
            step("sorry"),
            What::CallEnded { cause: Cause::FlowEnded, phase: Phase::InFlow },
        ]
    }

    /// What somebody who looks makes of what he is told, as a board does.
    fn fold(board: &mut BTreeMap<String, CallView>, event: proto::Event) {
        let what = event.what.expect("an event says what happened");
        if let Shown::Queued(proto::Queued { call: Some(call), .. })
        | Shown::Delivered(proto::Delivered { call: Some(call), .. }) = what
        {
            board.insert(call.call.clone(), call);
            return;
        }
        let Some(call) = board.get_mut(&event.call) else { return };
        match what {
            Shown::StepEntered(entered) if call.waiting_since_ms == 0 => call.menu_path.push(entered.step),
            Shown::KeyPressed(pressed) => call.keys += &pressed.key,
            Shown::DataAttached(attached) => _ = call.data.insert(attached.name, attached.value),
            Shown::OfferEnded(ended) => {
                call.ringing.retain(|ringing| ringing.offer != ended.offer);
                if ended.outcome() == proto::OfferOutcome::Accepted {
                    call.agent = ended.agent;
                }
            }
            Shown::Established(talks) => (call.agent, call.held, call.waiting_since_ms) = (talks.agent, false, 0),
            Shown::Diverted(_) => call.waiting_since_ms = 0,
            Shown::Held(_) => call.held = true,
            Shown::Retrieved(_) => call.held = false,
            Shown::Transferred(_) => (call.agent, call.held) = (0, false),
            Shown::CallEnded(_) => _ = board.remove(&event.call),
            _ => {}
        }
    }

    /// Who has been told everything knows what a snapshot would tell him: a caller who waits is shown to a lead when he
    /// begins to wait, and not first when a phone rings for him.
    #[test]
    fn a_leads_board_is_a_snapshot_at_every_event() {
        let queues = ["general", "technical"].map(QueueId::new).into();
        let lead = Viewer::Lead { queues, agents: [AGENT].into() };
        let mut feed = Feed { view: View::default(), at: Cursor { seq: 0, at: Wall(0) } };
        let (mut sight, mut board, mut waited) = (Sight::new(Arc::new(lead.clone())), BTreeMap::new(), 0);
        for (seq, what) in (1..).zip(day()) {
            let event = Event { seq, at: Wall(1_000 + seq as i64), call: Some(CallId(1)), what };
            let told = next(&mut feed, &event);
            if let Some(Item { what: Some(item::What::Event(shown)), .. }) = sight.item(&told, feed.at) {
                fold(&mut board, shown);
            }
            let calls = feed.view.calls.iter().filter(|(_, row)| lead.sees_call(row));
            let calls: Vec<CallView> = calls.map(|(id, row)| crate::cti::told::call(*id, row)).collect();
            assert_eq!(board.values().cloned().collect::<Vec<_>>(), calls, "after {:?}", event.what);
            waited += usize::from(calls.iter().any(|call| call.waiting_since_ms > 0 && call.caller == "+4930123"));
        }
        assert!(waited >= 9 && board.is_empty(), "he waited through {waited} events");
    }

    /// An agent of the queue learns that somebody waits, and not who.
    #[test]
    fn who_serves_the_queue_is_not_told_who_waits() {
        let queues = [QueueId::new("general")].into();
        let viewers = [Viewer::Agent { agent: AgentId(2), queues }, Viewer::Operator];
        let mut feed = Feed { view: View::default(), at: Cursor { seq: 0, at: Wall(0) } };
        let mut callers = [Vec::new(), Vec::new()];
        for (seq, what) in (1..).zip(day()) {
            let event = Event { seq, at: Wall(1_000), call: Some(CallId(1)), what };
            let told = next(&mut feed, &event);
            for (viewer, seen) in viewers.iter().zip(&mut callers) {
                let item = Sight::new(Arc::new(viewer.clone())).item(&told, feed.at);
                if let Some(Item { what: Some(item::What::Event(shown)), .. }) = item
                    && let Some(Shown::Queued(queued)) = shown.what
                {
                    seen.push(queued.call.map(|call| call.caller));
                }
            }
        }
        assert_eq!(callers, [vec![None], vec![Some("+4930123".to_owned()); 2]]);
    }
}
