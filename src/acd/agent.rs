//! One agent: what he is doing, what he wants next, and when somebody may ring him.
//!
//! [`AgentState`] is derived from a few independent facts (signed in, pause, penalty, reservation, conversation,
//! outside call, wrap-up), so a wish made in the middle of an offer or a call needs no special case: the fact
//! changes at once, the state follows when the offer or call ends. One agent has one state, not one per queue.
//!
//! **Idle since** is what "longest idle first" compares: the end of his last conversation from a queue; before
//! his first one, his sign-in. A break, a refusal, wrap-up and a short sign-out do not touch it, so nobody loses
//! his turn by taking a break or by a phone that registers anew.

use serde::{Deserialize, Serialize};

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
    /// Whether his phone answers (OPTIONS, keepalive). Who is not reachable gets no offers.
    Reachable(bool),
    WrapUpDone,
}
