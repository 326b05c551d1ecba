//! What goes into the endpoint and what comes out: its whole language.
//!
//! The life of a leg, as its user sees it:
//!
//! ```text
//! Command::Invite ──▶ Provisional* ─┬─▶ Established ──▶ Offered / OfferAnswered / Info* ──▶ Ended
//!                                   └─▶ Failed
//! Event::Invited ──▶ Ring* ─┬─▶ Answer ──▶ Established (the ACK) ──▶ … ──▶ Ended
//!                           ├─▶ Refuse, Challenge, HangUp      (no event follows)
//!                           └─▶ Cancelled
//! ```
//!
//! Exactly one of `Failed`, `Ended`, `Cancelled` ends a leg that the other side or the network ends.
//! After our own `HangUp`, `Refuse` or `Challenge` the leg is forgotten at once: nothing comes for it any
//! more, whatever the wire still does (a 2xx that races our CANCEL gets its ACK and BYE silently).
//! A command for a leg that is no more does nothing: its end and the command crossed.

use super::dialog::DialogRecord;
use super::digest::{Asked, Credentials};
use super::header::{Method, NameAddr};
use super::invite::InviteRecord;
use super::registrar::Binding;
use super::settings::Config;
use super::uri::Uri;
use crate::ids::{LegId, TrunkId};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// How messages travel. The shell carries the first three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
    Ws,
    Wss,
}

impl Transport {
    /// Whether what is sent arrives or the flow fails: then transactions need no retransmissions.
    pub fn is_reliable(self) -> bool {
        self != Transport::Udp
    }

    /// Whether nobody on the way to the next hop reads what is sent.
    pub fn is_confidential(self) -> bool {
        matches!(self, Transport::Tls | Transport::Wss)
    }

    /// RFC 3261 §19.1.2.
    pub fn default_port(self) -> u16 {
        match self {
            Transport::Udp | Transport::Tcp | Transport::Ws => 5060,
            Transport::Tls | Transport::Wss => 5061,
        }
    }

    /// As in a Via: `UDP`.
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
            Transport::Ws => "WS",
            Transport::Wss => "WSS",
        }
    }
}

/// The path a message came over, and the path back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Flow {
    /// Index into [`Config::listeners`].
    pub listener: u16,
    pub transport: Transport,
    pub remote: SocketAddr,
    /// The connection's number, given by the shell; 0 on UDP, and for whichever connection leads to `remote`.
    pub connection: u64,
}

/// One of the places that a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    pub transport: Transport,
    pub remote: SocketAddr,
    /// The connection to be used, made as soon as something is sent: by it the shell knows which name the peer's
    /// certificate must bear. 0 where that does not matter.
    pub connection: u64,
}

impl Flow {
    pub fn udp(listener: u16, remote: SocketAddr) -> Flow {
        Flow { listener, transport: Transport::Udp, remote, connection: 0 }
    }
}

/// What arrives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Input {
    /// One whole message: a datagram, or one frame of a stream.
    Received {
        flow: Flow,
        bytes: Vec<u8>,
    },
    /// The flow's connection has ended, for whatever reason.
    TransportFailed {
        flow: Flow,
    },
    /// A request could not be sent to where it should go, or nobody is there (RFC 3261 §18.4). On UDP that says nothing of
    /// others that go there.
    Unsent {
        /// Of its top Via.
        branch: String,
    },
    /// The answer to [`Output::Verify`].
    Verified {
        query: u64,
        ok: bool,
    },
    /// The answer to [`Output::Prove`], a proof for each challenge in their order; none if nothing is held under that name.
    Proven {
        query: u64,
        credentials: Vec<Credentials>,
    },
    /// The answer to [`Output::Resolve`], best first; empty if there is none.
    Resolved {
        query: u64,
        flows: Vec<Place>,
    },
    Command(Command),
    /// A deadline has come. (Every other input looks at the deadlines as well.)
    Timeout,
}

/// What leaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Output {
    Send {
        flow: Flow,
        bytes: Vec<u8>,
    },
    /// Do these credentials prove the user? Asked only of live nonces and fresh counts; of unknown users as well.
    Verify {
        query: u64,
        credentials: Credentials,
        method: Method,
    },
    /// What answers these challenges for `user`, whose password is held under `held`?
    Prove {
        query: u64,
        held: String,
        user: String,
        asked: Asked,
    },
    /// Where is this (RFC 3263)? Asked only of host names.
    Resolve {
        query: u64,
        uri: Uri,
    },
    Event(Event),
}

/// A message body with its type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// `type/subtype`, such as `application/sdp`.
    pub content_type: String,
    pub bytes: Vec<u8>,
}

impl Body {
    pub fn sdp(bytes: impl Into<Vec<u8>>) -> Body {
        Body { content_type: "application/sdp".to_owned(), bytes: bytes.into() }
    }
}

/// Who sent an INVITE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// One of [`Config::users`], proven by Digest.
    User(String),
    /// One of our trunks, known by its address or proven by Digest.
    Trunk(TrunkId),
    /// Anybody.
    Stranger,
}

/// Why somebody ends something (RFC 3326).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// `SIP` or `Q.850`.
    pub protocol: String,
    pub cause: u16,
    /// May be empty.
    pub text: String,
}

/// A name and what answers challenges for it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub user: String,
    pub secret: Secret,
    /// Of a dialog that is written down: the realms that the carrier had named by then.
    #[serde(default)]
    pub realms: Vec<String>,
}

/// Where a password is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Secret {
    /// Here: a phone knows its own.
    Password(String),
    /// With the shell, under this name: it is asked for each answer ([`Output::Prove`]).
    Held(String),
}

impl Account {
    pub fn new(user: &str, password: &str) -> Account {
        Account { user: user.to_owned(), secret: Secret::Password(password.to_owned()), realms: Vec::new() }
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Account({}, …)", self.user)
    }
}

/// What the endpoint may be asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Calls somebody. `leg` comes from [`super::Endpoint::next_leg`].
    Invite {
        leg: LegId,
        /// Request URI.
        uri: Uri,
        /// Where to send; without it `uri` is resolved.
        flow: Option<Flow>,
        /// Without tag.
        from: NameAddr,
        /// Without tag.
        to: NameAddr,
        /// Without it the peer's offer comes in `Established`, and `AcceptOffer` must follow: it goes into the ACK.
        offer: Option<Body>,
        /// Further fields; a Max-Forwards here replaces the usual 70.
        headers: Vec<(String, String)>,
        account: Option<Account>,
        /// The `bind` of the listener that it leaves over, with what else is bound to its address where another transport is
        /// needed; none: of those that reach there, the first.
        listener: Option<SocketAddr>,
    },
    /// Tells the caller something: `status` 101 … 199. It is repeated until it has arrived (RFC 3262) if the caller
    /// requires that, or supports it and `body` is there; then `body` is the answer (or offer), and that of `Answer`
    /// is not sent any more.
    Ring { leg: LegId, status: u16, body: Option<Body> },
    /// 200. `body` is the answer, or the offer if the INVITE had none (then the answer comes in `Established`).
    Answer { leg: LegId, body: Body },
    /// `status` 300 … 699; `headers` such as Retry-After.
    Refuse { leg: LegId, status: u16, headers: Vec<(String, String)> },
    /// The caller shall prove who he is: 401. His second INVITE, if it has credentials, comes as a new leg.
    Challenge { leg: LegId },
    /// Ends the leg in whatever state: 480, CANCEL or BYE (which waits for the ACK, RFC 3261 §15).
    HangUp { leg: LegId, reason: Option<Reason> },
    /// Tries the next way to a party that has not reacted, if there is one ([`super::Endpoint::has_another_way`]):
    /// RFC 3263 §4.3 leaves that to timer B, and a caller waits for it.
    GoOn { leg: LegId },
    /// Tells the phone that rings to answer, if it takes that ([`super::Endpoint::takes_talk`]).
    Talk { leg: LegId },
    /// Whether the established leg's peer is asked each [`Config::keepalive`] if it is still there; `Ended` follows when
    /// it is not.
    Watch { leg: LegId, on: bool },
    /// Asks a watched peer at once.
    AskNow { leg: LegId },
    /// re-INVITE with an offer; before the 2xx an UPDATE (RFC 3311), refused with 491 unless the peer takes that and
    /// the first offer has been answered reliably. Answered by `OfferAnswered` or `OfferRefused`; by `OfferOutdated` if it had to wait and
    /// an offer of the peer's came first. One at a time: while an earlier one is open, `OfferRefused` with 491.
    Reoffer { leg: LegId, body: Body },
    /// Answers `Offered` (with the offer, if `Offered` had no body).
    AcceptOffer { leg: LegId, body: Body },
    /// Answers `Offered`; usual is 488.
    RefuseOffer { leg: LegId, status: u16 },
    /// What becomes of the call that `Referred` asked for: `status` 100 … 699, a final one ends the matter.
    ReferProgress { leg: LegId, status: u16 },
    /// Registers at `registrar` and refreshes before expiry until `Unregister`. One registration of each `name`.
    /// `expires` in seconds. `persists`: it is never given up, whatever the registrar says. `listener` as with `Invite`.
    Register { name: String, user: Account, registrar: Uri, expires: u32, persists: bool, listener: Option<SocketAddr> },
    /// `Registered { expires: 0 }` follows, or `RegistrationFailed`; nothing if there is no such registration.
    Unregister { name: String },
    /// One OPTIONS outside of any call; `Probed` with `id` answers. `listener` as with `Invite`.
    Probe { id: u64, uri: Uri, listener: Option<SocketAddr> },
    /// After a restart: a confirmed dialog from its written form, so that `HangUp` can send BYE. The CSeq leaves a gap,
    /// since requests may have followed what was written down.
    Restore { leg: LegId, dialog: DialogRecord },
    /// After a restart: an INVITE that the earlier start had sent and that nobody had answered, as it was told with
    /// [`Event::Calling`]. To be followed by `HangUp`: the phone stops ringing, and who answers all the same gets a BYE.
    RestoreInvite { leg: LegId, invite: InviteRecord },
    /// After a restart: a binding, its `expires` translated to the new clock. Makes no event.
    /// Not kept if no listener is left that could reach it.
    RestoreBinding { binding: Binding },
    /// New settings. Listeners keep their places; bindings of users that are gone end with `Unbound`.
    Configure(Config),
    /// New calls are taken, or will be refused with 503 and so many seconds of Retry-After: OPTIONS outside dialogs tell it
    /// (RFC 3261 §11.2).
    TakesNone { retry_after: Option<u32> },
}

/// Why an outgoing call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureCause {
    /// The peer said so.
    Status,
    /// No final response, or none at all; `status` is 408.
    Timeout,
    /// The flow is broken; `status` is 503.
    Transport,
    /// The host name leads nowhere, or no listener can reach it; `status` is 404.
    Unresolved,
}

/// Why an established call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndCause {
    /// The peer hung up.
    Bye,
    /// Our 2xx got no ACK in 64·T1.
    NoAck,
    /// The peer does not know the dialog any more (481), or does not answer within it (408).
    DialogGone,
    /// The session was not refreshed in time (RFC 4028).
    Expired,
}

/// Why a binding ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnboundCause {
    /// The phone, or a new configuration, took it away.
    Removed,
    /// It was not refreshed in time.
    Expired,
    /// Its connection broke.
    Unreachable,
    /// A newer one took its place ([`super::Capacity::bindings_per_user`]).
    Replaced,
}

impl UnboundCause {
    /// For metrics.
    pub fn name(self) -> &'static str {
        match self {
            UnboundCause::Removed => "removed",
            UnboundCause::Expired => "expired",
            UnboundCause::Unreachable => "unreachable",
            UnboundCause::Replaced => "replaced",
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// Somebody calls. A 100 was sent; `Ring`, `Answer`, `Refuse`, `Challenge` or `HangUp` must follow.
    Invited {
        leg: LegId,
        source: Source,
        /// From.
        caller: NameAddr,
        /// Request URI.
        called: Uri,
        offer: Option<Body>,
        flow: Flow,
        call_id: String,
        /// The caller wants to take the place of this leg's peer (RFC 3891): if he may, end that leg after `Answer`.
        replaces: Option<LegId>,
        /// Identity and routing fields that came along: To, P-Asserted-Identity, Privacy, Diversion,
        /// History-Info, Max-Forwards, User-Agent, Subject, Alert-Info, Call-Info and all that begin with `X-`.
        headers: Vec<(String, String)>,
    },
    /// Our INVITE for this leg goes out; again for each way that is tried. `invite` is what a restart needs.
    Calling {
        leg: LegId,
        invite: InviteRecord,
    },
    /// 101 … 199 from the called party. (A 100 makes no event.) How long it may ring is our user's to limit. An
    /// offer in it comes as `Offered`.
    Provisional {
        leg: LegId,
        status: u16,
        body: Option<Body>,
    },
    /// Outgoing: the first 2xx, its ACK is sent; `body` is its body, or the answer if that came reliably before it;
    /// none if the last word was an offer of the peer that we have accepted. Incoming: our 2xx was acknowledged;
    /// `body` is the ACK's.
    Established {
        leg: LegId,
        body: Option<Body>,
        dialog: DialogRecord,
    },
    /// An outgoing call ended without 2xx. `retry_after` in seconds.
    Failed {
        leg: LegId,
        status: u16,
        reason: Option<Reason>,
        retry_after: Option<u32>,
        why: FailureCause,
    },
    /// The caller gave up before our final answer (CANCEL or BYE), 487 was sent; or he got no reliable provisional
    /// response to the end (no PRACK in 64·T1), 504 was sent.
    Cancelled {
        leg: LegId,
        reason: Option<Reason>,
    },
    /// After `Established`: the peer is reached elsewhere from now on, and `dialog` is what a restart needs.
    Moved {
        leg: LegId,
        dialog: DialogRecord,
    },
    /// re-INVITE, UPDATE or PRACK, before or after the 2xx; without body the peer wants an offer from us. `AcceptOffer` or `RefuseOffer` must follow;
    /// it does nothing if the peer has taken its offer back meanwhile (CANCEL).
    Offered {
        leg: LegId,
        body: Option<Body>,
    },
    /// The answer to our `Reoffer`, or to the offer in our `AcceptOffer`.
    OfferAnswered {
        leg: LegId,
        body: Option<Body>,
    },
    /// The answer to an offer that refreshed the session (RFC 4028 §7.4), and what was offered: our last description. It may
    /// say something new: another address, another key (RFC 3264 §8).
    Refreshed {
        leg: LegId,
        offer: Body,
        answer: Body,
    },
    /// Our `Reoffer` failed, the call goes on as before. One that met an offer of the peer's was tried again by itself
    /// (RFC 3261 §14.1): 491 says that it was in vain, or that an earlier `Reoffer` is open.
    OfferRefused {
        leg: LegId,
        status: u16,
    },
    /// Our `Reoffer` had to wait, and the peer's offer was accepted meanwhile: what it says is no longer so. Nothing
    /// was sent, the way is free for another `Reoffer` if it is still wanted.
    OfferOutdated {
        leg: LegId,
    },
    /// The peer asks us to call somebody in its place (REFER); 202 was sent. `ReferProgress` must follow. Comes only
    /// where [`Config::takes_refer`] is set.
    Referred {
        leg: LegId,
        to: NameAddr,
        /// Who says so; a mere claim.
        referred_by: Option<NameAddr>,
        /// The Replaces field that our INVITE shall carry.
        replaces: Option<String>,
    },
    /// INFO within the call; it was answered 200.
    Info {
        leg: LegId,
        body: Option<Body>,
    },
    /// The other side, or the network, ended an established call.
    Ended {
        leg: LegId,
        reason: Option<Reason>,
        why: EndCause,
    },
    /// A phone registered: new, changed or refreshed (`binding.expires` has moved).
    Bound {
        user: String,
        binding: Binding,
    },
    Unbound {
        user: String,
        binding: Binding,
        why: UnboundCause,
    },
    /// Whether any phone of this user answers has changed; a user with a new binding counts as alive.
    Alive {
        user: String,
        alive: bool,
    },
    /// Our registration holds for `expires` seconds; 0 after `Unregister`.
    Registered {
        name: String,
        expires: u32,
    },
    /// 408 if nobody answered; 503 also if the connection is gone that it held over. After 408 and 5xx, and if it
    /// persists, it is tried again by itself; after other codes it is given up.
    RegistrationFailed {
        name: String,
        status: u16,
    },
    /// The answer to `Probe`: any, or none.
    Probed {
        id: u64,
        answered: bool,
    },
}
