//! The fold of what is safe in the log, and what must hold in it.
//!
//! It travels: where a world has a [`super::Folder`] it is away with a batch of events, and comes back with the next.

use crate::event::{AgentMode, Cause, DivertReason, Event, OfferOutcome, Party, What};
use crate::ids::{AgentId, CallId, LegId, ReservationId, WorkId};
use crate::log::{self, Fingerprint, OpenChange, OpenKey};
use crate::sim::checks::{Check, Tally};
use crate::sim::hunts::Outside;
use crate::sim::summary::Summary;
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// A shorter text, a single digit above all, is found in every line of numbers.
const FINDABLE: usize = 4;
/// How many of the last events are kept to be shown after a failure.
const KEPT: usize = 3_000;

/// What the log says up to here, and the checks of that.
#[derive(Default)]
pub struct Fold {
    open: BTreeMap<OpenKey, (Arc<Event>, Option<String>)>,
    fingerprint: Fingerprint,
    written: u64,
    calls: BTreeMap<CallId, OpenCall>,
    agents: BTreeMap<AgentId, AgentMode>,
    accepted: BTreeSet<WorkId>,
    pub last: VecDeque<Arc<Event>>,
    pub tally: Tally,
    pub summary: Summary,
    /// Repairs are expected: a panic was planted.
    pub repairs_expected: bool,
    /// Steps that panicked, repairs (a panic, a router built anew), and calls that a defect of ours ended.
    pub panics: u64,
    pub repairs: u64,
    pub defects: u64,
}

#[derive(Clone, Debug, Default)]
struct OpenCall {
    legs: BTreeSet<LegId>,
    offers: BTreeSet<ReservationId>,
    works: BTreeSet<WorkId>,
    /// An agent has sent the caller on, and he waits nowhere yet.
    sent_on: bool,
    /// … and an outside party is called for him.
    sent_outside: bool,
    /// He has been with an agent and waits again.
    comes_back: bool,
    outside: Outside,
    /// What the caller had waited when an agent answered last, if that agent has sent him on.
    waited: Duration,
    kept: Option<Duration>,
    /// Personal texts that came with its events, if long enough to be found by chance nowhere else.
    texts: BTreeSet<String>,
}

impl Fold {
    /// Takes the next events, each with the time when it became safe.
    pub fn take(&mut self, batch: &mut Vec<(Instant, Arc<Event>)>) {
        let mut tally = std::mem::take(&mut self.tally);
        for (now, event) in batch.drain(..) {
            tally.at(now);
            self.summary.fold(&event);
            self.fold(event, &mut tally);
        }
        self.tally = tally;
    }

    /// What is open, as a start reads it.
    pub fn open(&self) -> Vec<(Event, Option<String>)> {
        let mut open: Vec<_> = self.open.values().map(|(event, text)| (Event::clone(event), text.clone())).collect();
        open.sort_by_key(|(event, _)| event.seq);
        open
    }

    pub fn fingerprint(&self) -> String {
        self.fingerprint.to_string()
    }

    /// Agents to whom an INVITE is under way.
    pub fn invited(&self) -> impl Iterator<Item = AgentId> {
        self.open.values().filter_map(|(event, _)| match event.what {
            What::LegInvited { party: Party::Agent(agent), .. } => Some(agent),
            _ => None,
        })
    }

    /// The calls that have begun and not ended.
    pub fn open_calls(&self) -> usize {
        self.calls.len()
    }

    fn fold(&mut self, event: Arc<Event>, tally: &mut Tally) {
        self.written += 1;
        let (seq, expected) = (event.seq, self.written);
        tally.must(Check::Gapless, seq == expected, || format!("event {expected} has the number {seq}"));
        let line = log::encode(&event);
        self.fingerprint.add(&line);
        let text = event.what.personal().and_then(|personal| personal.text.clone());
        self.fold_call(&event, tally);
        self.look_for_texts(&event, text.as_deref(), &line, tally);
        self.fold_agent(&event, tally);
        for change in log::open_changes(&event) {
            match change {
                OpenChange::Open(key) => {
                    self.open.insert(key, (Arc::clone(&event), text.as_ref().map(ToString::to_string)));
                }
                OpenChange::Close(key) => _ = self.open.remove(&key),
            }
        }
        self.last.push_back(event);
        if self.last.len() > KEPT {
            self.last.pop_front();
        }
    }

    /// Neither the event that has a personal text nor a later one of its call says it in its line.
    fn look_for_texts(&mut self, event: &Event, text: Option<&str>, line: &str, tally: &mut Tally) {
        let own = text.filter(|text| text.len() >= FINDABLE);
        let call = event.call.and_then(|call| self.calls.get_mut(&call));
        let known = call.map(|call| {
            call.texts.extend(own.map(str::to_owned));
            &call.texts
        });
        let mut texts = known.into_iter().flatten().map(String::as_str).chain(own);
        let leaked = texts.any(|text| line.contains(text)) || text.is_some() && line.contains("\"text\"");
        if text.is_some() || event.call.is_some() {
            tally.must(Check::NoPersonalText, !leaked, || format!("a text is in the log: {line}"));
        }
    }

    fn fold_call(&mut self, event: &Event, tally: &mut Tally) {
        let Some(id) = event.call else { return };
        if let What::CallArrived { leg, .. } = &event.what {
            let new = self.calls.insert(id, OpenCall { legs: [*leg].into(), ..OpenCall::default() }).is_none();
            tally.must(Check::CallEndsOnce, new, || format!("{id} arrived twice"));
            return;
        }
        if matches!(event.what, What::DataAttached { .. } | What::Disposed { .. }) {
            return; // agents may note something after the end
        }
        if let What::LegHeard { leg, .. } = &event.what {
            let there = self.calls.get(&id).is_some_and(|call| call.legs.contains(leg));
            tally.must(Check::LegClearedOnce, !there, || format!("{leg} was heard, and is still there"));
            return;
        }
        let known = self.calls.contains_key(&id);
        tally.must(Check::CallEndsOnce, known, || format!("{} of {id}, which is over", event.what.name()));
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.sent_on(event, tally);
        call.outside.follow(event, tally);
        match &event.what {
            What::Delivered { leg, reservation, agent, .. } => {
                let new = call.legs.insert(*leg);
                tally.must(Check::LegClearedOnce, new, || format!("{leg} of agent {agent} rings twice"));
                let new = call.offers.insert(*reservation);
                tally.must(Check::OfferEndsOnce, new, || format!("{reservation} is delivered twice"));
            }
            What::OutsideCalled { leg, .. } => {
                let new = call.legs.insert(*leg);
                tally.must(Check::LegClearedOnce, new, || format!("{leg} of an outside party is called twice"));
            }
            What::OfferEnded { reservation, outcome, work, .. } => {
                let open = call.offers.remove(reservation);
                tally
                    .must(Check::OfferEndsOnce, open, || format!("{reservation} ends as {outcome:?}, but is not open"));
                if *outcome == OfferOutcome::Accepted {
                    let first = self.accepted.insert(*work);
                    call.works.insert(*work);
                    tally.must(Check::OneAnswer, first, || format!("{work} is accepted by a second agent"));
                }
            }
            What::ConnectionCleared { leg, .. } => {
                let open = call.legs.remove(leg);
                tally.must(Check::LegClearedOnce, open, || format!("{leg} is cleared, but is not there"));
            }
            What::CallEnded { .. } => self.call_ended(id, tally),
            _ => {}
        }
    }

    fn call_ended(&mut self, id: CallId, tally: &mut Tally) {
        let Some(call) = self.calls.remove(&id) else { return };
        tally.must(Check::LegClearedOnce, call.legs.is_empty(), || format!("{id} ended with the legs {:?}", call.legs));
        tally.must(Check::OfferEndsOnce, call.offers.is_empty(), || format!("{id} ended with {:?}", call.offers));
        call.works.iter().for_each(|work| _ = self.accepted.remove(work));
    }

    fn fold_agent(&mut self, event: &Event, tally: &mut Tally) {
        match &event.what {
            What::EngineStarted { .. } => self.agents.clear(), // everybody begins logged out
            What::AgentStateChanged { agent, from, to, .. } => {
                let before = self.agents.insert(*agent, *to).unwrap_or(AgentMode::LoggedOut);
                // A break may follow a penalty: not ready again, for another reason.
                let fits = before == *from && (from != to || *to == AgentMode::NotReady);
                tally.must(Check::IntervalsAddUp, fits, || {
                    format!("agent {agent} was {before:?}, now {from:?} to {to:?}")
                });
            }
            What::Repaired { what } => {
                self.repairs += 1;
                self.panics += u64::from(what.contains("panicked"));
                let expected = self.repairs_expected;
                tally.must(Check::NoRepair, expected, || format!("the engine repaired itself: {what}"));
            }
            What::CallEnded { cause, .. } => {
                let defect = *cause == Cause::Defect;
                self.defects += u64::from(defect);
                tally.must(Check::NoRepair, self.repairs_expected || !defect, || {
                    "a call ended by a defect of ours".to_owned()
                });
            }
            _ => {}
        }
    }
}

impl OpenCall {
    /// A transfer leaves nobody behind, and no wait is lost.
    fn sent_on(&mut self, event: &Event, tally: &mut Tally) {
        match &event.what {
            What::Transferred { .. } => (self.sent_on, self.kept) = (true, Some(self.waited)),
            What::Queued { again, .. } => {
                // Whose agent is lost has served that wait as well.
                self.kept = if *again { Some(self.waited) } else { self.kept };
                self.comes_back = *again || self.sent_on;
                self.sent_on = false;
            }
            What::Diverted { why: why @ (DivertReason::Full | DivertReason::LongWait), .. } => {
                tally.must(Check::WaitKept, !self.comes_back, || format!("turned away after an agent: {why:?}"));
            }
            // To a number outside. If that is not reached he must wait again.
            What::OutsideCalled { .. } => (self.sent_outside, self.sent_on) = (self.sent_on, false),
            What::TransferFailed { .. } => {
                self.sent_on = std::mem::take(&mut self.sent_outside);
                return;
            }
            What::Established { waited, .. } => {
                let kept = self.kept.take().unwrap_or_default();
                tally.must(Check::WaitKept, *waited >= kept, || {
                    format!("waited {waited:?} in all, and {kept:?} before the transfer")
                });
                self.waited = *waited;
            }
            // The agent's leg goes, and his state with it; then the caller waits.
            What::ConnectionCleared { .. } | What::AgentStateChanged { .. } | What::CallEnded { .. } => return,
            _ => {}
        }
        tally.must(Check::SentOnWaits, !self.sent_on || matches!(event.what, What::Transferred { .. }), || {
            format!("{} of a caller who was sent on and waits nowhere", event.what.name())
        });
    }
}
