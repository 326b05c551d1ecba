//! One agent: what he is doing, what he wants next, and when somebody may ring him.
//!
//! [`AgentState`] is derived from a few independent facts (signed in, pause, penalty, reservation, conversation,
//! outside call, wrap-up), so a wish made in the middle of an offer or a call needs no special case: the fact
//! changes at once, the state follows when the offer or call ends. One agent has one state, not one per queue.
//!
//! **Idle since** is what "longest idle first" compares: the end of his last conversation from a queue; before
//! his first one, his sign-in. A break, a refusal, wrap-up and a short sign-out do not touch it, so nobody loses
//! his turn by taking a break or by a phone that registers anew.

use super::{MAX_REASON, Refusal, Skills};
use crate::center;
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
}

/// What is told about an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AgentChange {
    /// His phone is registered: he becomes ready, or not ready if that is how he was left.
    SignIn,
    /// The last binding of his phone is gone. During an offer or call: taken when it ends.
    SignOut,
    /// Ends wrap-up early and lifts a penalty. During an offer or call: taken when it ends.
    Ready,
    /// A break, with a reason (cut to [`super::MAX_REASON`] characters). During an offer, call or wrap-up: taken
    /// when it ends.
    NotReady(String),
    /// The break is over, and nothing else changes.
    BreakOver,
    /// Whether his phone answers (OPTIONS, keepalive). Who is not reachable gets no offers.
    Reachable(bool),
    WrapUpDone,
}

/// A rest that an agent did not ask for. Visible as [`AgentState::NotReady`]; ends by itself; lifted by
/// [`AgentChange::Ready`], and one for an unreachable phone by any sign of life of the phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Penalty {
    pub until: Instant,
    pub why: Refusal,
}

/// One agent. Read it with the methods; only the router changes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Agent {
    pub(super) id: AgentId,
    pub(super) queues: BTreeSet<QueueId>,
    pub(super) skills: Skills,
    pub(super) signed_in: bool,
    pub(super) reachable: bool,
    /// The break he is on, or wishes for after the current offer or call.
    pub(super) pause: Option<String>,
    pub(super) penalty: Option<Penalty>,
    /// Refusals since he last answered.
    pub(super) refusals: u32,
    pub(super) reservation: Option<ReservationId>,
    /// In a conversation from a queue.
    pub(super) conversation: bool,
    /// In a call outside the queues.
    pub(super) outside: bool,
    pub(super) wrap_up: Option<Instant>,
    pub(super) idle_since: Instant,
    pub(super) signed_out_at: Option<Instant>,
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
            pause: None,
            penalty: None,
            refusals: 0,
            reservation: None,
            conversation: false,
            outside: false,
            wrap_up: None,
            idle_since: Instant::ZERO,
            signed_out_at: None,
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
        } else if self.conversation || self.outside {
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

    /// Takes over what he wishes or what was learned about his phone. Says why the state changes, if it does.
    pub(super) fn change(&mut self, now: Instant, change: AgentChange) -> StateReason {
        match change {
            AgentChange::SignIn => self.sign_in(now),
            AgentChange::SignOut => self.sign_out(now),
            AgentChange::Ready => {
                (self.pause, self.penalty, self.wrap_up, self.refusals) = (None, None, None, 0);
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
            AgentChange::WrapUpDone => {
                self.wrap_up = None;
                StateReason::WrapUpEnded
            }
        }
    }

    fn sign_in(&mut self, now: Instant) -> StateReason {
        self.alive();
        if !self.signed_in {
            self.signed_in = true;
            if self.signed_out_at.is_none_or(|at| now.since(at) > SIGN_OUT_FORGIVEN) {
                self.idle_since = now;
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
