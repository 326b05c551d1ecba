//! What happened: the one kind of event that records, statistics, boards, CTI and recovery read.
//!
//! Events are made only by the engine, in one total order. Their names follow ECMA-269 (CSTA) where it
//! has one. Names, numbers and keyed digits are [`Personal`]: the event carries a handle, the text
//! travels beside it and is stored apart, so that it can be erased without breaking a fold.
//! Counters of packets and messages are not events; machines answer `stats()`. What a leg's were in the end is one
//! ([`What::LegHeard`]).

mod audio;
mod reason;

pub use audio::Audio;
pub use reason::{GivenReason, ReasonProtocol};

use crate::ids::{AgentId, CallId, FlowId, LegId, LineId, QueueId, ReservationId, SkillId, TrunkId, WorkId};
use crate::time::Wall;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Position in the log, from 1, without gaps over all starts of one node.
    pub seq: u64,
    pub at: Wall,
    /// The call it belongs to, if it belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
    pub what: What,
}

/// What kinds of things happen. Past tense.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum What {
    /// The engine began to serve. First event of every start. `epoch` counts the starts. `alive`: the start before was at
    /// work until then at least, though it had nothing to say any more: talks, and agents' states, went on until then.
    EngineStarted {
        node: u16,
        epoch: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        alive: Option<Wall>,
    },
    /// No new calls are taken from here on.
    DrainStarted,
    /// Other settings are in force from here on.
    Reconfigured,
    /// A caller's INVITE was admitted. Not for refused ones: hostile packets never grow the log.
    /// `trunk` brought it, if one did.
    CallArrived {
        leg: LegId,
        line: Option<LineId>,
        by_agent: Option<AgentId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trunk: Option<TrunkId>,
        /// The caller does not want agents to see his number (RFC 3323).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        private: bool,
        language: String,
        caller: Personal,
    },
    /// The engine answered the caller's leg with 200.
    CallAnswered { leg: LegId },
    /// The caller's flow came to another step.
    StepEntered { flow: FlowId, step: String },
    /// A key was pressed while the flow listened.
    DigitKeyed { flow: FlowId, step: String, digit: Personal },
    /// A menu's turn came to nothing. With `again` it is offered once more; without, the caller goes where its
    /// `otherwise` leads. A turn that chose is a `DigitKeyed` with the `StepEntered` behind it.
    NothingChosen { flow: FlowId, step: String, why: NoChoice, again: bool },
    /// Which way a step went that was not a key's: the calendar, a condition, a look-up's answer.
    StepDecided { flow: FlowId, step: String, way: StepWay },
    /// The caller pressed the key that asks for a person.
    PersonAsked { flow: FlowId, step: String },
    /// The flow noted something with the call, for whoever takes it. A name that comes again replaces its value.
    FlowAttached { flow: FlowId, name: String, value: Personal },
    /// An announcement was switched on or off. Lasts over restarts.
    BannerSwitched { banner: String, on: bool },
    /// The caller waits in a queue (CSTA Queued). Comes again with `again` when an agent's phone was lost in
    /// mid-call, or the number or the agent that the caller was sent to did not take him. `served`: what he had waited
    /// before, and counts.
    Queued {
        work: WorkId,
        queue: QueueId,
        priority: i32,
        skills: BTreeMap<SkillId, u8>,
        again: bool,
        #[serde(default, skip_serializing_if = "Duration::is_zero")]
        served: Duration,
    },
    /// An agent's phone is being rung (CSTA Delivered). `why` explains the choice.
    Delivered { work: WorkId, reservation: ReservationId, agent: AgentId, leg: LegId, why: String },
    /// The offer of one agent is over; exactly one for each `Delivered`.
    OfferEnded { work: WorkId, reservation: ReservationId, agent: AgentId, outcome: OfferOutcome },
    /// Caller and agent talk (CSTA Established). `waited` is what the caller's place is by: with what he waited
    /// before an agent sent him on, so not always from `Queued` to now. `told`: what the flow first said that
    /// this would be, if it said so.
    Established {
        work: WorkId,
        queue: QueueId,
        agent: AgentId,
        leg: LegId,
        waited: Duration,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        told: Option<Duration>,
    },
    /// The agent sent the caller on (CSTA Transferred): the agent's part of the call is over, another one may begin.
    Transferred { agent: AgentId, to: TransferTo },
    /// The agent noted something with the call. A name that comes again replaces its value. May come after the
    /// call's end, while the agent writes it up.
    DataAttached { agent: AgentId, name: String, value: Personal },
    /// The agent coded the call; during it or after its end.
    Disposed { agent: AgentId, disposition: String, notes: Option<Personal> },
    /// A command was carried out that must be known if it comes again, also to the next start. In one step with what it
    /// did: either both are in the log or neither.
    CommandDone { mark: Mark },
    /// The agent sits at a desktop, over restarts too, until …
    DeskEntered { agent: AgentId },
    /// … the agent has left it.
    DeskLeft {
        agent: AgentId,
        /// He works at his phone until the desktop is back, which he has lost.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        for_phone: bool,
    },
    /// The caller left a queue without an agent (CSTA Diverted), to go on in the flow.
    Diverted { work: WorkId, queue: QueueId, why: DivertReason },
    /// A party put the other one on hold (CSTA Held) …
    Held { leg: LegId },
    /// … and came back (CSTA Retrieved).
    Retrieved { leg: LegId },
    /// An outside party is being called for the caller (CSTA Originated); `number` in the form of E.164.
    OutsideCalled { leg: LegId, number: Personal },
    /// The leg's call left over a trunk (CSTA NetworkReached); again for each trunk that is tried.
    NetworkReached { leg: LegId, trunk: TrunkId },
    /// That trunk did not carry it.
    TrunkFailed { leg: LegId, trunk: TrunkId, why: TrunkProblem },
    /// Caller and outside party talk.
    OutsideJoined { leg: LegId },
    /// The caller was not transferred, and goes on in the flow.
    TransferFailed { why: TransferProblem },
    /// A trunk's server began or stopped to answer.
    TrunkStateChanged { trunk: TrunkId, from: TrunkMode, to: TrunkMode },
    /// Our registration at a trunk's server began or ceased to hold.
    TrunkRegistered { trunk: TrunkId, holds: bool },
    /// An INVITE of ours goes out to this party, again for each way that is tried; `invite` is what a restart needs to take
    /// it back. Nobody waits for the log with it.
    LegInvited { leg: LegId, party: Party, invite: Personal },
    /// An INVITE became a dialog; `dialog` is what a restart needs to end it properly.
    LegConfirmed { leg: LegId, party: Party, dialog: Personal },
    /// The peer of a dialog is elsewhere now (another Contact, another flow); `dialog` is that of `LegConfirmed` anew.
    LegMoved { leg: LegId, party: Party, dialog: Personal },
    /// The other side of a leg says why it does not take the call, or ends it (RFC 3326). What that means follows.
    ReasonGiven { leg: LegId, party: Party, reason: GivenReason },
    /// One party is gone (CSTA ConnectionCleared). Exactly one for each leg.
    ConnectionCleared { leg: LegId, party: Party, cause: Cause },
    /// How a party's audio was. After its `ConnectionCleared`, and mostly after the call's end too: the plane tells it
    /// when it has closed the port. Only of who was connected or sent audio, and not of what a kill cut off.
    LegHeard { leg: LegId, party: Party, audio: Audio },
    /// The last leg is gone. Exactly one for each `CallArrived`, and the call's last event but for what agents note
    /// of it (`DataAttached`, `Disposed`) and how its audio was (`LegHeard`).
    CallEnded { cause: Cause, phase: Phase },
    /// An agent's phone registered; `binding` is what a restart needs to reach it.
    PhoneRegistered { agent: AgentId, binding: Personal },
    /// One binding of an agent's phone is gone; `binding` names it by the handle of its `PhoneRegistered`.
    PhoneUnregistered { agent: AgentId, binding: u64 },
    /// A phone of his stopped or began to answer. Another one of his, or a number outside, may reach him all the same.
    PhoneReachable { agent: AgentId, reachable: bool },
    /// No phone and no number of an agent who is signed in can be reached any more, so that he gets no calls; or one can
    /// again. What the router was told: who signs in counts as reachable until this says otherwise.
    AgentReachable { agent: AgentId, reachable: bool },
    /// The agent's state. `reason` says what moved it.
    AgentStateChanged { agent: AgentId, from: AgentMode, to: AgentMode, reason: String },
    /// The agent asked for a break; during a call or wrap-up it begins when that ends. Lasts over restarts.
    BreakBegan { agent: AgentId, reason: String },
    /// The agent asked to be ready again.
    BreakEnded { agent: AgentId },
    /// An inner error ended a call or made the engine rebuild a machine; the text names the code, no person.
    Repaired { what: String },
}

/// By what a command is known when it comes again, over restarts too. Digests: what they are of may be personal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Of who asks …
    pub who: u64,
    /// … and of the key.
    pub key: u64,
    /// Of all that is asked, the key included.
    pub content: u32,
    /// Which of the marks of who asks it replaces: so many are kept.
    pub slot: u8,
}

/// An agent's state as the outside sees it (`acd::AgentState` without its inner data).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AgentMode {
    LoggedOut,
    NotReady,
    Ready,
    Reserved,
    Busy,
    WrapUp,
}

/// How one offer to one agent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum OfferOutcome {
    Accepted,
    Declined,
    NoAnswer,
    /// The phone did not react at all, or the network refused.
    Unreachable,
    CallerLeft,
    /// Another agent was faster, or the work was taken back.
    Withdrawn,
    /// The engine failed or was restarted.
    Failed,
}

/// Why a menu's turn came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NoChoice {
    /// No key within the menu's time.
    NoKey,
    /// A key that the menu does not have.
    WrongKey,
}

/// Which way a step of a flow went, where no key says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum StepWay {
    Open,
    Closed,
    Holiday,
    /// The condition of this number, from 1.
    Case(u8),
    Otherwise,
    /// A number was keyed, and confirmed where that is asked.
    Collected,
    Found,
    NotFound,
    Failed,
    /// An announcement is on and was said.
    Announced,
    /// The caller gave up his place in the queue.
    Left,
}

/// Why a caller left a queue without an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DivertReason {
    Full,
    MaxWait,
    Refused,
    /// The caller chose something else.
    Left,
    /// Nobody was at work in the queue.
    NoStaff,
    /// The expected wait was longer than the queue allows.
    LongWait,
    /// The one agent to whom another one had sent him did not take him: he waits where he came from.
    NotTaken,
}

/// Whether a trunk's server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TrunkMode {
    Unknown,
    Up,
    Down,
}

/// Why a trunk did not carry a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TrunkProblem {
    /// As many calls as may be, or too many in a second.
    Full,
    /// No answer, no address, no connection.
    Unreachable,
    /// 503.
    Overloaded,
    /// Another answer that is the trunk's own.
    Refused,
}

/// Why a caller was not transferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TransferProblem {
    Busy,
    NoAnswer,
    /// The called party refused, or does not exist.
    Refused,
    /// No trunk may, or could, carry it.
    NoTrunk,
}

/// Where an agent sends a caller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TransferTo {
    Queue(QueueId),
    Agent(AgentId),
    /// A number outside.
    Number(Personal),
}

/// Who a leg belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Party {
    Caller,
    Agent(AgentId),
    /// Somebody on an outside number whom a flow has called.
    Outside,
}

/// How far the call had come. Derived from its activities, never stored in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Phase {
    Arriving,
    InFlow,
    Queued,
    Alerting,
    Connected,
}

/// Why something ended. `q850` and `sip` give its numbers for the Reason header (RFC 3326).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Cause {
    /// The caller hung up.
    CallerHungUp,
    /// The agent hung up.
    AgentHungUp,
    /// The outside party hung up.
    OutsideHungUp,
    /// The flow came to its end.
    FlowEnded,
    /// Somebody with the right to do so ended it.
    Commanded,
    /// The agent sent the caller on.
    Transferred,
    /// Busy or refused by the agent's phone.
    Declined,
    NoAnswer,
    Unreachable,
    /// The offer was taken back.
    Withdrawn,
    /// A leg that should have been sending sent nothing.
    Silent,
    /// No common codec, or no usable media description.
    NoMedia,
    /// Ports, calls or something else ran out.
    Exhausted,
    /// The dialog broke: no ACK, 481, 408 within the dialog.
    Protocol,
    /// The service was stopped: the time of its drain is over, or nobody wanted to wait for it.
    Stopped,
    /// The engine was killed and started again.
    Restart,
    /// We were wrong.
    Defect,
}

impl Cause {
    /// Each of them.
    pub const ALL: [Cause; 17] = [
        Cause::CallerHungUp,
        Cause::AgentHungUp,
        Cause::OutsideHungUp,
        Cause::FlowEnded,
        Cause::Commanded,
        Cause::Transferred,
        Cause::Declined,
        Cause::NoAnswer,
        Cause::Unreachable,
        Cause::Withdrawn,
        Cause::Silent,
        Cause::NoMedia,
        Cause::Exhausted,
        Cause::Protocol,
        Cause::Stopped,
        Cause::Restart,
        Cause::Defect,
    ];

    /// Of a caller who is gone, by his own will or because his phone or network died. All else was somebody's doing.
    pub fn is_callers_own(self) -> bool {
        matches!(self, Cause::CallerHungUp | Cause::Silent | Cause::Protocol)
    }

    /// Nobody who took part has ended it: the program has.
    pub fn is_ours(self) -> bool {
        matches!(self, Cause::Stopped | Cause::Restart | Cause::Defect)
    }

    /// The Q.850 cause number.
    pub fn q850(self) -> u16 {
        match self {
            Cause::CallerHungUp | Cause::AgentHungUp | Cause::OutsideHungUp | Cause::FlowEnded => 16,
            Cause::Commanded | Cause::Transferred => 16,
            Cause::Declined => 21,
            Cause::NoAnswer => 19,
            Cause::Unreachable => 20,
            Cause::Withdrawn => 26,
            Cause::Silent => 102,
            Cause::NoMedia => 65,
            Cause::Exhausted => 42,
            Cause::Protocol => 111,
            // As 503 is, which who calls meanwhile is answered (RFC 3398 §8.2.6.1).
            Cause::Stopped | Cause::Restart | Cause::Defect => 41,
        }
    }

    /// A few words for people and for the Reason header.
    pub fn text(self) -> &'static str {
        match self {
            Cause::CallerHungUp => "caller hung up",
            Cause::AgentHungUp => "agent hung up",
            Cause::OutsideHungUp => "outside party hung up",
            Cause::FlowEnded => "end of the flow",
            Cause::Commanded => "ended by command",
            Cause::Transferred => "sent on",
            Cause::Declined => "declined",
            Cause::NoAnswer => "no answer",
            Cause::Unreachable => "phone not reachable",
            Cause::Withdrawn => "offer withdrawn",
            Cause::Silent => "no audio arrived",
            Cause::NoMedia => "no common codec",
            Cause::Exhausted => "no resources left",
            Cause::Protocol => "dialog broken",
            Cause::Stopped => "service stopped",
            Cause::Restart => "engine restarted",
            Cause::Defect => "internal error",
        }
    }
}

/// A piece of personal data. Serializes as kind and handle only; the text is stored apart with an expiry.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Personal {
    pub kind: PersonalKind,
    /// Unique over restarts and nodes, as the ids are.
    pub handle: u64,
    /// `None` once erased, expired, or where the reader may not see it.
    #[serde(skip)]
    pub text: Option<Arc<str>>,
}

impl std::fmt::Debug for Personal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}#{:x}", self.kind, self.handle) // never the text: this reaches logs
    }
}

/// What kind of personal data, which decides how long it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PersonalKind {
    /// A caller's number or address.
    Number,
    /// Keys pressed in a menu, and what a flow notes of them.
    Digit,
    /// What agents note of a call, and where they send it.
    Text,
    /// What is needed to end a dialog, or to take an INVITE back, after a restart; erased when its leg is gone.
    Dialog,
    /// Where an agent's phone is reached; erased when the binding is gone.
    Binding,
}

impl PersonalKind {
    /// Whether it is for a restart only, and told to nobody: whoever knows a running dialog can end it. It stays as long as
    /// what it belongs to is open; all other kinds have a time.
    pub fn is_for_restart(self) -> bool {
        match self {
            PersonalKind::Dialog | PersonalKind::Binding => true,
            PersonalKind::Number | PersonalKind::Digit | PersonalKind::Text => false,
        }
    }
}

/// Which events carry personal data, and as what: one list for those who read it and those who put it back.
macro_rules! personal_of {
    ($what:expr) => {
        match $what {
            What::CallArrived { caller: p, .. }
            | What::OutsideCalled { number: p, .. }
            | What::DigitKeyed { digit: p, .. }
            | What::LegInvited { invite: p, .. }
            | What::LegConfirmed { dialog: p, .. }
            | What::LegMoved { dialog: p, .. }
            | What::PhoneRegistered { binding: p, .. }
            | What::FlowAttached { value: p, .. }
            | What::DataAttached { value: p, .. }
            | What::Disposed { notes: Some(p), .. }
            | What::Transferred { to: TransferTo::Number(p), .. } => Some(p),
            _ => None,
        }
    };
}

impl What {
    /// For tests: somebody calls from outside, over no trunk.
    #[cfg(test)]
    pub(crate) fn arrives(leg: LegId, line: Option<LineId>, caller: Personal) -> What {
        let language = "en".to_owned();
        What::CallArrived { leg, line, by_agent: None, trunk: None, private: false, language, caller }
    }

    /// For tests: somebody begins to wait.
    #[cfg(test)]
    pub(crate) fn queued(work: WorkId, queue: &QueueId, again: bool) -> What {
        let queue = queue.clone();
        What::Queued { work, queue, priority: 0, skills: BTreeMap::new(), again, served: Duration::ZERO }
    }

    /// The personal data that travels with this event.
    pub fn personal(&self) -> Option<&Personal> {
        personal_of!(self)
    }

    /// The same, to put the text back after reading or to take it out.
    pub fn personal_mut(&mut self) -> Option<&mut Personal> {
        personal_of!(self)
    }

    /// The type's name as it stands in the log, such as `CallArrived`.
    pub fn name(&self) -> &'static str {
        match self {
            What::EngineStarted { .. } => "EngineStarted",
            What::DrainStarted => "DrainStarted",
            What::Reconfigured => "Reconfigured",
            What::CallArrived { .. } => "CallArrived",
            What::CallAnswered { .. } => "CallAnswered",
            What::StepEntered { .. } => "StepEntered",
            What::DigitKeyed { .. } => "DigitKeyed",
            What::NothingChosen { .. } => "NothingChosen",
            What::StepDecided { .. } => "StepDecided",
            What::PersonAsked { .. } => "PersonAsked",
            What::FlowAttached { .. } => "FlowAttached",
            What::BannerSwitched { .. } => "BannerSwitched",
            What::Queued { .. } => "Queued",
            What::Delivered { .. } => "Delivered",
            What::OfferEnded { .. } => "OfferEnded",
            What::Established { .. } => "Established",
            What::Transferred { .. } => "Transferred",
            What::DataAttached { .. } => "DataAttached",
            What::Disposed { .. } => "Disposed",
            What::CommandDone { .. } => "CommandDone",
            What::DeskEntered { .. } => "DeskEntered",
            What::DeskLeft { .. } => "DeskLeft",
            What::Diverted { .. } => "Diverted",
            What::Held { .. } => "Held",
            What::Retrieved { .. } => "Retrieved",
            What::OutsideCalled { .. } => "OutsideCalled",
            What::NetworkReached { .. } => "NetworkReached",
            What::TrunkFailed { .. } => "TrunkFailed",
            What::OutsideJoined { .. } => "OutsideJoined",
            What::TransferFailed { .. } => "TransferFailed",
            What::TrunkStateChanged { .. } => "TrunkStateChanged",
            What::TrunkRegistered { .. } => "TrunkRegistered",
            What::LegInvited { .. } => "LegInvited",
            What::LegConfirmed { .. } => "LegConfirmed",
            What::LegMoved { .. } => "LegMoved",
            What::ReasonGiven { .. } => "ReasonGiven",
            What::ConnectionCleared { .. } => "ConnectionCleared",
            What::LegHeard { .. } => "LegHeard",
            What::CallEnded { .. } => "CallEnded",
            What::PhoneRegistered { .. } => "PhoneRegistered",
            What::PhoneUnregistered { .. } => "PhoneUnregistered",
            What::PhoneReachable { .. } => "PhoneReachable",
            What::AgentReachable { .. } => "AgentReachable",
            What::AgentStateChanged { .. } => "AgentStateChanged",
            What::BreakBegan { .. } => "BreakBegan",
            What::BreakEnded { .. } => "BreakEnded",
            What::Repaired { .. } => "Repaired",
        }
    }
}
