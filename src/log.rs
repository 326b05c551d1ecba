//! The durable form of events, versioned, and the fold that a restart needs.
//!
//! One event is one line of JSON; personal texts are not in it (see [`crate::event::Personal`]).
//! [`VERSION`] is written beside each line. A newer Tierline reads what each older one wrote: new fields have a
//! default, and what was a word once stays one. An older one says of a line with a higher version that a newer one
//! wrote it, in place of guessing; so whatever adds an event, a field or a word raises the version.
//!
//! **What waits for the log and what does not.** Ringing a phone, answering, playing and joining do not
//! wait: a log that is slow for a moment must not make callers wait. So after a kill -9 the last 20 milliseconds and
//! what the disk takes to be sure may be missing: a caller whose 200 was under way gets no BYE, and ends the call when
//! nothing is heard; a phone whose INVITE was, or went over a connection, rings until it gives up by itself. Whatever
//! leaves the house as a promise (an event handed to a subscriber, a ticket, `tierline calls`) is read from the log, so it
//! waits for it by construction.

use crate::event::{AgentMode, Event, What};
use crate::ids::{AgentId, CallId, LegId, ReservationId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// The version that this program writes; `log/tests.rs` lists what came with each.
pub const VERSION: u32 = 9;

/// Why a line of the log could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// Written by a newer Tierline.
    Version(u32),
    /// Not an event; the text says where.
    Form(String),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Version(v) => write!(f, "written in log version {v}; this program reads up to {VERSION}"),
            Unreadable::Form(why) => write!(f, "not an event: {why}"),
        }
    }
}

/// The event as one line of JSON, without personal texts and without a line end.
pub fn encode(event: &Event) -> String {
    serde_json::to_string(event).expect("events consist of plain values only")
}

/// The same at the end of `lines`, for whoever writes many.
pub fn encode_into(event: &Event, lines: &mut Vec<u8>) {
    serde_json::to_writer(lines, event).expect("events consist of plain values only");
}

/// Reads a line that was written in `version`.
pub fn decode(version: u32, line: &str) -> Result<Event, Unreadable> {
    if version > VERSION {
        return Err(Unreadable::Version(version));
    }
    serde_json::from_str(line).map_err(|e| Unreadable::Form(e.to_string()))
}

/// A running SHA-256 over encoded events: two runs with the same value had the same log, byte for byte.
#[derive(Clone, Default)]
pub struct Fingerprint(Sha256);

impl Fingerprint {
    pub fn add(&mut self, line: &str) {
        self.0.update(line);
        self.0.update(b"\n");
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.clone().finalize().iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// Something that is open until a later event closes it, and that a restart must therefore know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum OpenKey {
    Call(CallId),
    Leg(LegId),
    Offer(ReservationId),
    /// By the handle of the binding.
    Phone(u64),
    /// An agent's break.
    Break(AgentId),
    /// An announcement that was switched, on or off.
    Banner(String),
    /// An agent's desktop, be it one that he has left for his phone.
    Desk(AgentId),
    /// An agent's talk, or his notes after it.
    Service(AgentId),
    /// A command that was carried out, by who asked and its slot.
    Command(u64, u8),
    /// None of an agent's phones answers.
    Silent(AgentId),
    /// When an agent who is logged in was last done with a caller, or logged in: whose turn it is. A phone that was gone
    /// for a moment counts as logged in anew.
    Turn(AgentId),
    /// A caller's wait in a queue, until an agent has him or he goes on otherwise.
    Wait(CallId),
}

impl fmt::Display for OpenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenKey::Call(id) => write!(f, "call {id}"),
            OpenKey::Leg(id) => write!(f, "leg {id}"),
            OpenKey::Offer(id) => write!(f, "offer {id}"),
            OpenKey::Phone(handle) => write!(f, "phone {handle:x}"),
            OpenKey::Break(id) => write!(f, "break {id}"),
            OpenKey::Banner(name) => write!(f, "banner {name}"),
            OpenKey::Desk(id) => write!(f, "desktop {id}"),
            OpenKey::Service(id) => write!(f, "service {id}"),
            OpenKey::Command(who, slot) => write!(f, "command {slot} of {who:x}"),
            OpenKey::Silent(id) => write!(f, "silent {id}"),
            OpenKey::Turn(id) => write!(f, "turn {id}"),
            OpenKey::Wait(id) => write!(f, "wait {id}"),
        }
    }
}

/// One step of the fold "what is open": applied by the store in the same transaction as the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenChange {
    /// `key` is open, and this event says all about it (replacing an earlier one).
    Open(OpenKey),
    Close(OpenKey),
}

/// What `event` opens and closes. Folding the log with this gives the events that a restart reads.
pub fn open_changes(event: &Event) -> impl Iterator<Item = OpenChange> + use<> {
    [open_change(event), turn(event), silence(event), wait(event)].into_iter().flatten()
}

/// The call that `event` opens.
pub fn opens_call(event: &Event) -> Option<CallId> {
    match open_change(event)? {
        OpenChange::Open(OpenKey::Call(call)) => Some(call),
        _ => None,
    }
}

/// Who talked in a call of his own keeps his turn, as in the router; a break that he asked for in a call hides which it was.
fn turn(event: &Event) -> Option<OpenChange> {
    let What::AgentStateChanged { agent, from, to, reason } = &event.what else { return None };
    let done = *from == AgentMode::Busy && (*to == AgentMode::NotReady || reason == "ConversationEnded");
    match to {
        AgentMode::LoggedOut => Some(OpenChange::Close(OpenKey::Turn(*agent))),
        _ if done || *from == AgentMode::LoggedOut => Some(OpenChange::Open(OpenKey::Turn(*agent))),
        _ => None,
    }
}

fn wait(event: &Event) -> Option<OpenChange> {
    match event.what {
        What::Queued { .. } => Some(OpenChange::Open(OpenKey::Wait(event.call?))),
        What::Established { .. } | What::Diverted { .. } | What::CallEnded { .. } => {
            Some(OpenChange::Close(OpenKey::Wait(event.call?)))
        }
        _ => None,
    }
}

fn silence(event: &Event) -> Option<OpenChange> {
    match &event.what {
        What::PhoneReachable { agent, reachable: false } => Some(OpenChange::Open(OpenKey::Silent(*agent))),
        // Whoever registers was heard; who has no phone any more is not silent but gone.
        What::PhoneReachable { agent, .. }
        | What::PhoneRegistered { agent, .. }
        | What::AgentStateChanged { agent, to: AgentMode::LoggedOut, .. } => {
            Some(OpenChange::Close(OpenKey::Silent(*agent)))
        }
        _ => None,
    }
}

fn open_change(event: &Event) -> Option<OpenChange> {
    use OpenChange::{Close, Open};
    Some(match &event.what {
        What::CallArrived { .. } => Open(OpenKey::Call(event.call?)),
        What::CallEnded { .. } => Close(OpenKey::Call(event.call?)),
        What::OutsideCalled { leg, .. }
        | What::LegInvited { leg, .. }
        | What::LegConfirmed { leg, .. }
        | What::LegMoved { leg, .. } => Open(OpenKey::Leg(*leg)),
        What::ConnectionCleared { leg, .. } => Close(OpenKey::Leg(*leg)),
        What::Delivered { reservation, .. } => Open(OpenKey::Offer(*reservation)),
        What::OfferEnded { reservation, .. } => Close(OpenKey::Offer(*reservation)),
        What::PhoneRegistered { binding, .. } => Open(OpenKey::Phone(binding.handle)),
        What::PhoneUnregistered { binding, .. } => Close(OpenKey::Phone(*binding)),
        What::BreakBegan { agent, .. } => Open(OpenKey::Break(*agent)),
        What::BreakEnded { agent } => Close(OpenKey::Break(*agent)),
        // Off too: it may be on in the configuration.
        What::BannerSwitched { banner, .. } => Open(OpenKey::Banner(banner.clone())),
        What::DeskEntered { agent } => Open(OpenKey::Desk(*agent)),
        What::CommandDone { mark } => Open(OpenKey::Command(mark.who, mark.slot)),
        What::DeskLeft { agent, for_phone: true } => Open(OpenKey::Desk(*agent)),
        What::DeskLeft { agent, .. } => Close(OpenKey::Desk(*agent)),
        What::Established { agent, .. } => Open(OpenKey::Service(*agent)),
        What::Disposed { agent, .. } => Close(OpenKey::Service(*agent)),
        // Who signs in has his notes at once, or owes none; whose phone is gone for a while owes what he has owed.
        What::AgentStateChanged { agent, from, to, .. }
            if (serves(*from) || *from == AgentMode::LoggedOut) && !serves(*to) && *to != AgentMode::LoggedOut =>
        {
            Close(OpenKey::Service(*agent))
        }
        _ => return None,
    })
}

/// Whether an agent in this state has a caller, or notes to write about him.
fn serves(mode: AgentMode) -> bool {
    matches!(mode, AgentMode::Busy | AgentMode::WrapUp)
}

#[cfg(test)]
mod tests;
