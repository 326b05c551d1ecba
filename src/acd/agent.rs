//! One agent: what he is doing, what he wants next, and when somebody may ring him.
//!
//! [`AgentState`] is derived from a few independent facts (signed in, pause, penalty, reservation, conversation,
//! outside call, wrap-up), so a wish made in the middle of an offer or a call needs no special case: the fact
//! changes at once, the state follows when the offer or call ends. One agent has one state, not one per queue.
//!
//! **Idle since** is what "longest idle first" compares: the end of his last conversation from a queue; before
//! his first one, his sign-in. A break, a refusal, wrap-up and a short sign-out do not touch it, so nobody loses
//! his turn by taking a break or by a phone that registers anew.

use super::queue::Rank;
use super::{MAX_REASON, Refusal, Skills};
use crate::center::{self, Membership, WrapUp};
use crate::ids::{AgentId, QueueId, ReservationId, WorkId};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Refusals in a row (of any kind) after which an agent rests: bounds how often a phone that refuses at once
/// is rung, and how many callers wait for somebody who left his desk.
pub const REFUSALS_IN_A_ROW: u32 = 3;
/// How long that rest is; also the rest of an agent whose phone could not be reached. It ends by itself.
pub const PENALTY: Duration = Duration::from_secs(60);
/// Who signs in again within this keeps his idle time: a phone that changes networks costs nobody his turn.
pub const SIGN_OUT_FORGIVEN: Duration = Duration::from_secs(15 * 60);

/// The longest wrap-up that may be asked for, from the moment of asking.
pub const MAX_WRAP_UP: Duration = Duration::from_secs(3_600);

/// What an agent is doing. Every change is told by [`super::Output::State`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AgentState {
    /// No phone is registered.
    LoggedOut,
    /// On a break, or under a penalty that expires; the reason is shown to people.
    NotReady(String),
    Ready,
    /// Held for one work: his phone rings, or soon will.
    Reserved,
    /// In a conversation from a queue, or in a call outside the queues.
    Busy,
    /// Writing up the last conversation.
    WrapUp,
}

/// Why an agent's state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateReason {
    SignedIn,
    SignedOut,
    /// He asked to be ready or not ready.
    Asked,
    Offered,
    /// The offer was refused, timed out or was taken back.
    OfferEnded,
    Answered,
    ConversationEnded,
    WrapUpEnded,
    /// Refused too often in a row, or his phone could not be reached.
    Penalized,
    PenaltyEnded,
    Occupied,
    Vacated,
    /// The configuration no longer has him.
    Configured,
    /// The router's tables were made anew.
    Repaired,
}

/// What is told about an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AgentChange {
    /// His phone is registered: he becomes ready, or not ready if that is how he was left.
    SignIn,
    /// The last binding of his phone is gone. During an offer or call: taken when it ends.
    SignOut,
    /// As `SignIn`, but nothing was heard of a phone of his: whether he can be reached is as it was.
    SignInUnheard,
    /// Lifts a penalty, and ends wrap-up early where he may. During an offer or call: taken when it ends.
    Ready,
    /// What is known of an earlier start: since when he would have been idle, had it gone on. To be told before `SignIn`.
    IdleSince(Instant),
    /// A break, with a reason (cut to [`super::MAX_REASON`] characters). During an offer, call or wrap-up: taken
    /// when it ends.
    NotReady(String),
    /// The break is over, and nothing else changes.
    BreakOver,
    /// Whether his phone answers (OPTIONS, keepalive). Who is not reachable gets no offers.
    Reachable(bool),
    /// The call is coded: ends wrap-up, also one that must be used, or leaves none that must be.
    WrapUpDone,
    /// More time for notes, up to [`MAX_WRAP_UP`] from now: asked for during a call where wrap-up is on request
    /// (zero: the queue's time), or during wrap-up that he could end himself.
    MoreWrapUp(Duration),
}

/// A rest that an agent did not ask for. Visible as [`AgentState::NotReady`]; ends by itself; lifted by
/// [`AgentChange::Ready`], and one for an unreachable phone by any sign of life of the phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Penalty {
    pub until: Instant,
    pub why: Refusal,
}

/// Time for notes after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Notes {
    /// None: until the call is coded.
    pub(super) until: Option<Instant>,
    /// Only coding the call ends it early.
    pub(super) mandatory: bool,
}

/// One agent. Read it with the methods; only the router changes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Agent {
    pub(super) id: AgentId,
    pub(super) queues: BTreeMap<QueueId, Membership>,
    pub(super) skills: Skills,
    pub(super) signed_in: bool,
    pub(super) reachable: bool,
    /// What was told of that since he signed in; who signs in counts as reachable.
    pub(super) told_reachable: bool,
    /// The break he is on, or wishes for after the current offer or call.
    pub(super) pause: Option<String>,
    pub(super) penalty: Option<Penalty>,
    /// Refusals since he last answered.
    pub(super) refusals: u32,
    pub(super) reservation: Option<ReservationId>,
    /// Since when he is in a conversation from a queue.
    pub(super) conversation: Option<Instant>,
    /// In a call outside the queues.
    pub(super) outside: bool,
    pub(super) wrap_up: Option<Notes>,
    /// The wrap-up that he asked for during the conversation.
    pub(super) notes_wished: Option<Duration>,
    /// The conversation is coded already: nothing must be written after it.
    #[serde(default)]
    pub(super) coded: bool,
    /// The queue whose work he handles, from the offer to the end of wrap-up, and since when.
    pub(super) handling: Option<(QueueId, Instant)>,
    pub(super) idle_since: Instant,
    pub(super) signed_out_at: Option<Instant>,
    /// Since he signed in, as `idle_since` understands it.
    pub(super) conversations: u32,
    pub(super) talked: Duration,
    /// How much he talked of late (see `merit`).
    pub(super) occupancy: Option<i64>,
    /// Serial of his last offer.
    pub(super) last_offer: u64,
    /// His lots in queues that choose so.
    pub(super) drawn: BTreeMap<QueueId, i64>,
    /// Work that waits for him alone.
    pub(super) awaited: BTreeSet<Rank>,
    /// Work he refused lately, and until when it is not offered to him again.
    pub(super) refused: BTreeMap<WorkId, Instant>,
    pub(super) state: AgentState,
    pub(super) since: Instant,
    /// He stands in the ready sets of his queues.
    pub(super) listed: bool,
    /// He is counted in the staff of his queues.
    pub(super) counted: bool,
}

impl Agent {
    pub(super) fn new(agent: &center::Agent) -> Agent {
        Agent {
            id: agent.id,
            queues: agent.queues.clone(),
            skills: agent.skills.clone(),
            signed_in: false,
            reachable: false,
            told_reachable: true,
            pause: None,
            penalty: None,
            refusals: 0,
            reservation: None,
            conversation: None,
            outside: false,
            wrap_up: None,
            notes_wished: None,
            coded: false,
            handling: None,
            idle_since: Instant::ZERO,
            signed_out_at: None,
            conversations: 0,
            talked: Duration::ZERO,
            occupancy: None,
            last_offer: 0,
            drawn: BTreeMap::new(),
            awaited: BTreeSet::new(),
            refused: BTreeMap::new(),
            state: AgentState::LoggedOut,
            since: Instant::ZERO,
            listed: false,
            counted: false,
        }
    }

    pub fn id(&self) -> AgentId {
        self.id
    }

    pub fn state(&self) -> &AgentState {
        &self.state
    }

    /// A phone of his is registered, or he is reached without one.
    pub fn signed_in(&self) -> bool {
        self.signed_in
    }

    /// When the state began.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// What "longest idle first" compares (see the file's head).
    pub fn idle_since(&self) -> Instant {
        self.idle_since
    }

    pub fn reachable(&self) -> bool {
        self.reachable
    }

    pub fn penalty(&self) -> Option<Penalty> {
        self.penalty
    }

    pub fn reservation(&self) -> Option<ReservationId> {
        self.reservation
    }

    /// The break he is on, or will be on when the offer, call or wrap-up ends.
    pub fn pause(&self) -> Option<&str> {
        self.pause.as_deref()
    }

    /// He has notes to write of his last call: until he has coded it, or their time is over.
    pub fn must_code(&self) -> bool {
        self.wrap_up.is_some_and(|notes| notes.mandatory)
    }

    /// He may be rung now.
    pub fn available(&self) -> bool {
        self.derived() == AgentState::Ready && self.reachable
    }

    /// He is at work: ready or busy with it. An agent on a break does not staff a queue.
    pub fn staffs(&self) -> bool {
        !matches!(self.state, AgentState::LoggedOut | AgentState::NotReady(_)) && self.reachable
    }

    /// The state that follows from the facts. What he is in the middle of comes before what he wishes.
    pub(super) fn derived(&self) -> AgentState {
        if self.reservation.is_some() {
            AgentState::Reserved
        } else if self.conversation.is_some() || self.outside {
            AgentState::Busy
        } else if !self.signed_in {
            AgentState::LoggedOut
        } else if self.wrap_up.is_some() {
            AgentState::WrapUp
        } else if let Some(reason) = &self.pause {
            AgentState::NotReady(reason.clone())
        } else if let Some(penalty) = &self.penalty {
            AgentState::NotReady(penalty.why.as_str().to_owned())
        } else {
            AgentState::Ready
        }
    }

    /// Whether it is to be told that he can be reached, or cannot any more; what is told so is known from then on. Of who
    /// is logged out nothing is said: that he is says it.
    pub(super) fn news_of_reach(&mut self) -> Option<bool> {
        if self.state == AgentState::LoggedOut {
            self.told_reachable = true;
            return None;
        }
        let told = std::mem::replace(&mut self.told_reachable, self.reachable);
        (told != self.reachable).then_some(self.reachable)
    }

    /// Takes over what he wishes or what was learned about his phone. Says why the state changes, if it does.
    pub(super) fn change(&mut self, now: Instant, change: AgentChange) -> StateReason {
        match change {
            AgentChange::SignIn => {
                self.alive();
                self.sign_in(now)
            }
            AgentChange::SignInUnheard => self.sign_in(now),
            AgentChange::SignOut => self.sign_out(now),
            AgentChange::Ready => {
                (self.pause, self.penalty, self.refusals) = (None, None, 0);
                self.wrap_up.take_if(|notes| !notes.mandatory);
                StateReason::Asked
            }
            AgentChange::NotReady(reason) => {
                self.pause = Some(reason.chars().take(MAX_REASON).collect());
                StateReason::Asked
            }
            AgentChange::BreakOver => {
                self.pause = None;
                StateReason::Asked
            }
            AgentChange::Reachable(true) => self.alive(),
            AgentChange::Reachable(false) => {
                self.reachable = false;
                StateReason::Asked
            }
            AgentChange::MoreWrapUp(time) => {
                self.more_wrap_up(now, time.min(MAX_WRAP_UP));
                StateReason::Asked
            }
            AgentChange::IdleSince(at) => {
                // As one who has left for a moment.
                (self.idle_since, self.signed_out_at) = (at.min(now), Some(now));
                StateReason::SignedOut
            }
            AgentChange::WrapUpDone => {
                (self.wrap_up, self.coded) = (None, self.conversation.is_some());
                StateReason::WrapUpEnded
            }
        }
    }

    fn sign_in(&mut self, now: Instant) -> StateReason {
        if !self.signed_in {
            self.signed_in = true;
            if self.signed_out_at.is_none_or(|at| now.since(at) > SIGN_OUT_FORGIVEN) {
                (self.idle_since, self.conversations, self.talked) = (now, 0, Duration::ZERO);
            }
        }
        StateReason::SignedIn
    }

    fn sign_out(&mut self, now: Instant) -> StateReason {
        if self.signed_in {
            self.signed_in = false;
            self.signed_out_at = Some(now);
        }
        StateReason::SignedOut
    }

    /// His phone gave a sign of life.
    fn alive(&mut self) -> StateReason {
        self.reachable = true;
        self.penalty.take_if(|penalty| penalty.why == Refusal::Unreachable);
        StateReason::PenaltyEnded
    }

    /// His conversation is over: what follows is the queue's to say, or what he asked for.
    pub(super) fn finish(&mut self, now: Instant, mode: WrapUp) {
        if let Some(since) = self.conversation.take() {
            self.talked_until(now, since);
        }
        self.idle_since = now;
        let (wished, coded) = (self.notes_wished.take(), std::mem::take(&mut self.coded));
        let free = |time: Duration| Notes { until: Some(now + time), mandatory: false };
        self.wrap_up = match mode {
            WrapUp::None => None,
            WrapUp::Mandatory | WrapUp::Limited(_) if coded => None,
            WrapUp::Optional(time) => Some(time.max(wished.unwrap_or_default())).filter(|t| !t.is_zero()).map(free),
            WrapUp::Mandatory => Some(Notes { until: None, mandatory: true }),
            WrapUp::Limited(time) => Some(Notes { until: Some(now + time), mandatory: true }),
            WrapUp::OnRequest(time) => wished.map(|wished| free(if wished.is_zero() { time } else { wished })),
        };
    }

    fn more_wrap_up(&mut self, now: Instant, time: Duration) {
        match &mut self.wrap_up {
            _ if self.conversation.is_some() => self.notes_wished = Some(time),
            Some(Notes { until: Some(until), mandatory: false }) => {
                *until = (*until + time).min(now + MAX_WRAP_UP);
            }
            _ => {}
        }
    }

    /// Notes that he did not take `work`, and whether he must rest now.
    pub(super) fn did_not_take(&mut self, now: Instant, work: WorkId, why: Refusal, retry: Duration) {
        if !retry.is_zero() {
            self.refused.insert(work, now + retry);
        }
        self.refusals += 1;
        if why == Refusal::Unreachable || self.refusals >= REFUSALS_IN_A_ROW {
            self.refusals = 0;
            self.penalty = Some(Penalty { until: now + PENALTY, why });
        }
    }
}
