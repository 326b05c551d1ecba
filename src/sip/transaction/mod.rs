//! The four transaction machines (RFC 3261 §17 with RFC 6026), and which message belongs to which.
//!
//! [`client`] has the two that wait for responses, [`server`] the two that make them. Here are the keys, the
//! matching (§17.1.3, §17.2.3) and the deadlines. The retransmission of a 2xx until its ACK (§13.3.1.4),
//! which the RFC gives to the core, is done by the INVITE server transaction: the same clock, the same bytes.

mod client;
mod server;
#[cfg(test)]
mod tests;

use super::api::{Account, Flow};
use super::frame::Limits;
use super::header::{Method, Via};
use super::message::{Message, Request, Response};
use super::settings::Timing;
use super::text::{put_hex, put_number};
use super::uri::Uri;
use crate::ids::{LegId, Rng};
use crate::table::Table;
use crate::time::{Instant, Timers};
use client::Client;
use serde::{Deserialize, Serialize};
use server::Servers;
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// RFC 3261 §8.1.1.7: branches that identify a transaction begin with this.
const COOKIE: &str = "z9hG4bK";

/// One client transaction. Even: a request; the odd number after it: its CANCEL, which shares the branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct ClientKey(pub u64);

/// One server transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct ServerKey(pub u64);

/// What a request is sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Purpose {
    /// The INVITE of a new leg.
    Call(LegId),
    /// A re-INVITE of ours.
    Reoffer(LegId),
    /// An UPDATE of ours with an offer.
    Update(LegId),
    /// An UPDATE of ours that refreshes the session.
    Refresh(LegId),
    /// What asks the peer of a dialog whether it is there.
    Watch(LegId),
    /// What became of the peer's REFER.
    Notify(LegId),
    /// What tells the phone that rings for this leg to answer.
    Talk(LegId),
    /// The PRACK of a provisional response to the INVITE of this leg.
    Prack(LegId),
    Bye,
    Cancel,
    /// OPTIONS to the phone of the binding with this number.
    Keepalive(u64),
    /// OPTIONS that our user wants.
    Probe(u64),
    /// The REGISTER of the registration with this number.
    Register(u64),
}

/// Another way for a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spare {
    pub flow: Flow,
    /// Where it leads to another binding of the same phone: that one's Contact and Path.
    #[serde(default)]
    pub leads: Option<(Uri, Vec<String>)>,
}

impl From<Flow> for Spare {
    fn from(flow: Flow) -> Spare {
        Spare { flow, leads: None }
    }
}

/// What the core must know again when a request has come to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Errand {
    pub purpose: Purpose,
    /// How many challenges were answered on the way.
    pub attempt: u8,
    /// Where to try next if this fails (RFC 3263 §4.3), best last.
    pub spare: Vec<Spare>,
    /// The peer was named by its flow: see `DialogRecord::pinned`.
    pub pinned: bool,
    /// What challenges are answered with.
    pub account: Option<Box<Account>>,
    /// Why the request was cancelled: the same for the BYE, should it have been accepted meanwhile.
    #[serde(default)]
    pub reason: Option<String>,
    /// Whose phone it is for, where it ends a call: see [`super::owed`].
    #[serde(default)]
    pub user: Option<String>,
    /// The `bind` of the listener that it leaves over, where that is set: see `Command::Invite`.
    #[serde(default)]
    pub listener: Option<SocketAddr>,
}

impl Errand {
    pub fn new(purpose: Purpose) -> Errand {
        Errand {
            purpose,
            attempt: 0,
            spare: Vec::new(),
            pinned: false,
            account: None,
            reason: None,
            user: None,
            listener: None,
        }
    }
}

/// How a request ended. A 2xx to an INVITE is [`Notice::Accepted`] instead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Outcome {
    Response(Response),
    /// `heard`: a provisional response had come, so the peer is there.
    Timeout {
        heard: bool,
    },
    /// `heard` as above.
    TransportFailed {
        heard: bool,
    },
    /// It was never sent: no address, or no listener that reaches it. (Said by the core itself.)
    Unresolved,
}

/// What the transactions tell the core.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Notice {
    Send {
        flow: Flow,
        bytes: Vec<u8>,
    },
    Provisional {
        key: ClientKey,
        purpose: Purpose,
        response: Response,
    },
    /// A request has had no answer, not even a provisional one, for 7·T1.
    Unheard {
        flow: Flow,
        request: Box<Request>,
    },
    /// Each 2xx to an INVITE, repetitions and other forks included (RFC 6026 §7.2).
    Accepted {
        key: ClientKey,
        flow: Flow,
        errand: Errand,
        response: Response,
    },
    Finished {
        key: ClientKey,
        flow: Flow,
        errand: Errand,
        request: Box<Request>,
        outcome: Outcome,
    },
    /// No further 2xx can come for this INVITE.
    Freed {
        key: ClientKey,
    },
    /// Our final response to an INVITE got no ACK in 64·T1; said of a 2xx only.
    Unacknowledged {
        key: ServerKey,
    },
}

/// What an arriving request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The core must answer. `merged`: the same request came on another way (RFC 3261 §8.2.2.2).
    New { key: ServerKey, merged: bool },
    /// A repetition, or an ACK that ends here: nothing is left to do.
    Known,
    /// An ACK for a 2xx, or for nothing.
    Ack,
    /// No room for another transaction.
    Full,
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Deadline {
    /// When to send the request again: timers A and E. Over a connection: when to say that nobody answers.
    ClientAgain(ClientKey),
    /// When to give up, or to forget: timers B and F, D and K, M.
    ClientEnd(ClientKey),
    /// When to send the final response again: timer G, and the 2xx of §13.3.1.4.
    ServerAgain(ServerKey),
    /// When to give up, or to forget: timers H, I, J, L.
    ServerEnd(ServerKey),
}

/// Counters; see [`super::Stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Repetitions {
    pub sent: u64,
    pub received: u64,
}

/// All transactions of an endpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Transactions {
    timing: Timing,
    capacity: usize,
    /// Each is large: a table grows by moving all it has.
    clients: Table<ClientKey, Box<Client>>,
    /// Clients without final response by their flow, for when it breaks.
    waiting: BTreeSet<(Flow, ClientKey)>,
    servers: Servers,
    /// RFC 3261 §17.2.3's key → transaction.
    by_wire: Table<String, ServerKey>,
    /// RFC 3261 §8.2.2.2's key → transaction.
    by_origin: Table<String, ServerKey>,
    timers: Timers<Deadline>,
    last: u64,
    out: VecDeque<Notice>,
    pub repetitions: Repetitions,
}

impl Transactions {
    /// `seed` is for the tables by what peers have written.
    pub fn new(timing: Timing, capacity: usize, seed: u64) -> Transactions {
        Transactions {
            timing,
            capacity,
            clients: Table::default(),
            waiting: BTreeSet::new(),
            servers: Servers::default(),
            by_wire: Table::seeded(seed),
            by_origin: Table::seeded(seed),
            timers: Timers::default(),
            last: 0,
            out: VecDeque::new(),
            repetitions: Repetitions::default(),
        }
    }

    /// New transactions follow the new timing; running ones keep what they have set.
    pub fn configure(&mut self, timing: Timing, capacity: usize) {
        (self.timing, self.capacity) = (timing, capacity);
    }

    pub fn poll(&mut self) -> Option<Notice> {
        self.out.pop_front()
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.timers.deadline()
    }

    pub fn timeout(&mut self, now: Instant) {
        while let Some(due) = self.timers.pop_due(now) {
            match due {
                Deadline::ClientAgain(key) => self.client_again(now, key),
                Deadline::ClientEnd(key) => self.client_end(key),
                Deadline::ServerAgain(key) => self.server_again(now, key),
                Deadline::ServerEnd(key) => self.server_end(key),
            }
        }
    }

    /// How many transactions still wait for the other side, and how many only linger.
    pub fn census(&self) -> (usize, usize) {
        let open = self.waiting.len() + self.servers.open();
        (open, self.clients.len() + self.servers.len() - open)
    }

    /// Whether the counts are what counting anew gives.
    #[cfg(test)]
    pub fn adds_up(&self) -> bool {
        self.servers.adds_up()
    }

    /// T1, where other messages are repeated by the core.
    pub fn t1(&self) -> Duration {
        self.timing.t1
    }

    /// 64·T1: how long anybody is waited for.
    pub fn patience(&self) -> Duration {
        self.timing.t1 * 64
    }

    fn number(&mut self) -> u64 {
        self.last += 2;
        self.last
    }
}

/// A branch of ours: random, and readable as a key by ourselves.
fn branch_of(key: ClientKey, rng: &mut Rng) -> String {
    let mut branch = fresh_branch(rng);
    branch.push('-');
    put_hex(&mut branch, key.0, 1);
    branch
}

/// A branch for what has no transaction: the ACK of a 2xx.
pub(super) fn fresh_branch(rng: &mut Rng) -> String {
    let mut branch = String::with_capacity(COOKIE.len() + 33);
    branch.push_str(COOKIE);
    put_hex(&mut branch, rng.next_u64(), 16);
    branch
}

/// The key in a branch of ours; what the branch says must still be compared with what was sent.
fn key_in(branch: &str) -> Option<ClientKey> {
    let (_, number) = branch.strip_prefix(COOKIE)?.split_once('-')?;
    u64::from_str_radix(number, 16).ok().map(ClientKey)
}

/// The branch in the top Via of a request as it is sent; none of a response.
pub fn branch_in(bytes: &[u8]) -> Option<String> {
    let Ok(Message::Request(request)) = Message::parse(bytes, &Limits::default()) else { return None };
    request.headers.top_via().ok()?.branch().map(str::to_owned)
}

/// The same of what somebody quotes of a request of ours: its beginning, cut anywhere after its Via, which stands on top.
pub fn branch_quoted(beginning: &[u8]) -> Option<String> {
    let mut lines = beginning.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\r\n"));
    lines.next().filter(|line| line.ends_with(b" SIP/2.0"))?;
    let via = std::str::from_utf8(lines.next()?.strip_prefix(b"Via: ")?).ok()?;
    Via::parse(via)?.branch().map(str::to_owned)
}

/// RFC 3261 §17.2.3: what makes two requests one transaction. `method` is INVITE for its ACK, and for a CANCEL
/// when the cancelled request is looked for.
fn wire_key(request: &Request, via: &Via, method: &Method) -> String {
    let mut key = String::with_capacity(USUAL_KEY);
    match via.branch().filter(|branch| branch.starts_with(COOKIE)) {
        Some(branch) => {
            key.push_str(branch);
            key.push(' ');
            via.host.put(&mut key);
            key.push(' ');
            put_number(&mut key, via.port.unwrap_or(5060).into());
        }
        // RFC 2543 peers: everything that such a peer repeats. The To tag is left out: the ACK's is ours.
        None => {
            let headers = &request.headers;
            let number = headers.cseq().map(|cseq| cseq.number).unwrap_or_default();
            let (from, call_id) = (headers.from_tag().unwrap_or_default(), headers.call_id().unwrap_or_default());
            key = format!("{call_id} {from} {number} {} {via}", request.uri);
        }
    }
    key.push(' ');
    key.push_str(method.as_str());
    key
}

/// Of a key in bytes: room that is enough for most.
const USUAL_KEY: usize = 96;

/// RFC 3261 §8.2.2.2: the same request on another way; only asked of requests outside dialogs.
fn origin_key(request: &Request) -> Option<String> {
    let headers = &request.headers;
    if headers.to_tag().is_some() || matches!(request.method, Method::Ack | Method::Cancel) {
        return None;
    }
    let cseq = headers.cseq().ok()?.text();
    Some([headers.call_id().ok()?, headers.from_tag().unwrap_or_default(), &cseq].join(" "))
}
