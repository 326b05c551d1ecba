//! The two server transactions: INVITE (RFC 3261 §17.2.1, RFC 6026 §8.7) and all others (§17.2.2).
//!
//! ```text
//! INVITE   Proceeding (100 at once) ──3xx-6xx──▶ Completed (G, H) ──ACK──▶ Confirmed (I)
//!                └──────2xx──▶ Accepted (again until the ACK; timer L)
//! others   Trying ──1xx──▶ Proceeding ──final──▶ Completed (J)
//! ```

use super::{Arrival, Deadline, Flow, Notice, ServerKey, Transactions, origin_key, wire_key};
use crate::sip::header::{Method, Via};
use crate::sip::message::{Request, Response};
use crate::table::Table;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum ServerState {
    /// Nothing answered yet; an INVITE is never here, it is `Proceeding` with its 100.
    Trying,
    Proceeding,
    Completed,
    Confirmed,
    Accepted {
        acknowledged: bool,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Server {
    state: ServerState,
    is_invite: bool,
    /// Where the responses go.
    flow: Flow,
    wire: String,
    origin: Option<String>,
    /// The last response, for repetitions of the request.
    last: Vec<u8>,
    interval: Duration,
}

impl Server {
    /// Whether the core or the peer still has something to do here.
    pub fn is_open(&self) -> bool {
        match self.state {
            ServerState::Trying | ServerState::Proceeding => true,
            ServerState::Completed => self.is_invite,
            ServerState::Confirmed => false,
            ServerState::Accepted { acknowledged } => !acknowledged,
        }
    }

    /// What it keeps of what the peer has written.
    fn bytes(&self) -> usize {
        self.wire.len() + self.origin.as_ref().map_or(0, String::len) + self.last.len()
    }
}

/// The server transactions, and what they sum to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Servers {
    by_key: Table<ServerKey, Box<Server>>,
    /// How many the core or the peer still has something to do in.
    open: usize,
    bytes: usize,
}

impl Servers {
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    pub fn open(&self) -> usize {
        self.open
    }

    fn of(&self, key: ServerKey) -> Option<&Server> {
        self.by_key.get(&key).map(Box::as_ref)
    }

    fn insert(&mut self, key: ServerKey, server: Server) {
        self.open += usize::from(server.is_open());
        self.bytes += server.bytes();
        self.by_key.insert(key, Box::new(server));
    }

    fn remove(&mut self, key: ServerKey) -> Option<Box<Server>> {
        let server = self.by_key.remove(&key)?;
        self.open -= usize::from(server.is_open());
        self.bytes -= server.bytes();
        Some(server)
    }

    /// Changes one; the sums follow. `None` if it is no more.
    fn change<T>(&mut self, key: ServerKey, change: impl FnOnce(&mut Server) -> T) -> Option<T> {
        let server = self.by_key.find_mut(&key)?;
        self.open -= usize::from(server.is_open());
        self.bytes -= server.bytes();
        let result = change(server);
        self.open += usize::from(server.is_open());
        self.bytes += server.bytes();
        Some(result)
    }

    #[cfg(test)]
    pub fn adds_up(&self) -> bool {
        let servers = || self.by_key.sorted().into_iter().map(|(_, server)| server);
        self.open == servers().filter(|server| server.is_open()).count()
            && self.bytes == servers().map(|server| server.bytes()).sum::<usize>()
    }

    /// Whether there is room for one more among `at_most`.
    fn has_room(&self, at_most: usize) -> bool {
        self.len() < at_most && self.bytes < at_most.saturating_mul(USUAL_BYTES)
    }
}

/// Bytes of the requests' keys and the last response that a server transaction may keep on average (usual are
/// 500 to 1,000): where strangers make them longer, there is room for fewer.
const USUAL_BYTES: usize = 2_048;

impl Transactions {
    /// Takes a request whose top Via is `via`; its responses will go to `reply`. `runs`: it is of a call that is under way.
    pub fn receive_request(&mut self, now: Instant, reply: Flow, request: &Request, via: &Via, runs: bool) -> Arrival {
        let is_ack = request.method == Method::Ack;
        let method = if is_ack { &Method::Invite } else { &request.method };
        let wire = wire_key(request, via, method);
        match self.by_wire.get(&wire).copied() {
            Some(key) if is_ack => self.acknowledge_failure(now, key),
            Some(key) => {
                self.repeat(key);
                Arrival::Known
            }
            None if is_ack => Arrival::Ack,
            None if !self.servers.has_room(self.room_for(&request.method, runs)) => Arrival::Full,
            None => self.open(reply, request, wire),
        }
    }

    /// Whether a request that is no ACK repeats an earlier one.
    pub fn knows(&self, request: &Request, via: &Via) -> bool {
        self.by_wire.contains_key(&wire_key(request, via, &request.method))
    }

    /// Whether a CANCEL is for an INVITE that came (RFC 3261 §9.2).
    pub fn cancels(&self, request: &Request, via: &Via) -> bool {
        self.by_wire.contains_key(&wire_key(request, via, &Method::Invite))
    }

    /// By priority: new calls have four fifths of the room, so that phones stay registered while callers are sent away;
    /// other new work has all of it. Calls that are under way get twice as much: overload must not keep them from ending.
    fn room_for(&self, method: &Method, runs: bool) -> usize {
        match method {
            _ if runs => self.capacity * 2,
            Method::Invite => self.capacity - self.capacity / 5,
            _ => self.capacity,
        }
    }

    fn open(&mut self, reply: Flow, request: &Request, wire: String) -> Arrival {
        let key = ServerKey(self.number());
        let origin = origin_key(request);
        let merged = origin.as_ref().is_some_and(|origin| self.by_origin.contains_key(origin));
        let origin = origin.filter(|_| !merged);
        if let Some(origin) = &origin {
            self.by_origin.insert(origin.clone(), key);
        }
        self.by_wire.insert(wire.clone(), key);
        let mut server = Server {
            state: ServerState::Trying,
            is_invite: request.method == Method::Invite,
            flow: reply,
            wire,
            origin,
            last: Vec::new(),
            interval: self.timing.t1,
        };
        if server.is_invite {
            server.state = ServerState::Proceeding;
            server.last = Response::to_request(request, 100, None).to_bytes(); // §17.2.1: within 200 ms, so now.
            self.out.push_back(Notice::Send { flow: reply, bytes: server.last.clone() });
        }
        self.servers.insert(key, server);
        Arrival::New { key, merged }
    }

    /// An ACK that matched: for a failure it ends here, for a 2xx (RFC 2543 peers only) the core wants it.
    fn acknowledge_failure(&mut self, now: Instant, key: ServerKey) -> Arrival {
        let t4 = self.timing.t4;
        let server = self.servers.of(key).expect("an indexed server transaction");
        match server.state {
            ServerState::Accepted { .. } => return Arrival::Ack,
            ServerState::Completed if server.is_invite => {
                let is_reliable = server.flow.transport.is_reliable();
                self.servers.change(key, |server| server.state = ServerState::Confirmed);
                self.timers.cancel(&Deadline::ServerAgain(key));
                if is_reliable {
                    self.forget_server(key);
                } else {
                    self.timers.set(Deadline::ServerEnd(key), now + t4); // Timer I.
                }
            }
            _ => {}
        }
        Arrival::Known
    }

    fn repeat(&mut self, key: ServerKey) {
        self.repetitions.received += 1;
        let server = self.servers.of(key).expect("an indexed server transaction");
        let answers = matches!(server.state, ServerState::Proceeding | ServerState::Completed);
        if answers && !server.last.is_empty() {
            self.repetitions.sent += 1;
            self.out.push_back(Notice::Send { flow: server.flow, bytes: server.last.clone() });
        }
    }

    /// Sends the last provisional response once more (RFC 3262 §3).
    pub fn repeat_provisional(&mut self, key: ServerKey) {
        if let Some(server) = self.servers.of(key).filter(|server| server.state == ServerState::Proceeding) {
            self.repetitions.sent += 1;
            self.out.push_back(Notice::Send { flow: server.flow, bytes: server.last.clone() });
        }
    }

    /// The INVITE that this CANCEL is for, if it is known (RFC 3261 §9.2).
    pub fn cancelled_by(&self, cancel: &Request, via: &Via) -> Option<ServerKey> {
        self.by_wire.get(&wire_key(cancel, via, &Method::Invite)).copied()
    }

    /// The INVITE's caller has taken this branch of it back, unless it was answered: what comes by another one afterwards is
    /// meant, as where a proxy tries our next number after one that has not answered.
    pub fn withdrawn(&mut self, key: ServerKey) {
        let withdrawn = |server: &mut Server| {
            server.origin.take_if(|_| matches!(server.state, ServerState::Trying | ServerState::Proceeding))
        };
        if let Some(origin) = self.servers.change(key, withdrawn).flatten() {
            self.by_origin.remove(&origin);
        }
    }

    /// Sends a response; false if a final one was sent before, or the transaction is no more.
    pub fn respond(&mut self, now: Instant, key: ServerKey, response: &Response) -> bool {
        let Some(server) = self.servers.of(key) else { return false };
        if !matches!(server.state, ServerState::Trying | ServerState::Proceeding) {
            return false;
        }
        let (flow, bytes) = (server.flow, response.to_bytes());
        // Who was refused may come again with the old CSeq, and that is no merged request: a careless client with
        // credentials, or a proxy that tries the next number, or our next address, after this one (§16.6, RFC 3263 §4.3). One
        // whose caller hung up (BYE) may still have a branch on its way that nobody wants; who cancels one says which.
        let is_refused = response.status >= 300 && response.status != 487;
        let freed = self.servers.change(key, |server| {
            server.last = bytes.clone();
            server.state = ServerState::Proceeding;
            server.origin.take_if(|_| is_refused)
        });
        self.out.push_back(Notice::Send { flow, bytes });
        if let Some(origin) = freed.flatten() {
            self.by_origin.remove(&origin);
        }
        if response.status >= 200 {
            self.conclude(now, key, response.status);
        }
        true
    }

    fn conclude(&mut self, now: Instant, key: ServerKey, status: u16) {
        let (t1, patience) = (self.timing.t1, self.patience());
        let server = self.servers.of(key).expect("a server transaction that concludes");
        let (reliable, is_invite) = (server.flow.transport.is_reliable(), server.is_invite);
        let accepted = is_invite && status < 300;
        let state = if accepted { ServerState::Accepted { acknowledged: false } } else { ServerState::Completed };
        self.servers.change(key, |server| server.state = state);
        if accepted || (is_invite && !reliable) {
            self.timers.set(Deadline::ServerAgain(key), now + t1); // Timer G; a 2xx on every transport.
        }
        if reliable && !is_invite {
            self.forget_server(key); // Timer J is zero.
        } else {
            self.timers.set(Deadline::ServerEnd(key), now + patience); // Timers H, J, L.
        }
    }

    /// The ACK for a 2xx has come: it is not repeated any more.
    pub fn acknowledge(&mut self, key: ServerKey) {
        if self.servers.of(key).is_some_and(|server| matches!(server.state, ServerState::Accepted { .. })) {
            self.servers.change(key, |server| {
                server.state = ServerState::Accepted { acknowledged: true };
                server.last = Vec::new();
            });
            self.timers.cancel(&Deadline::ServerAgain(key));
        }
    }

    pub(super) fn server_again(&mut self, now: Instant, key: ServerKey) {
        let t2 = self.timing.t2;
        let again = self.servers.change(key, |server| {
            server.interval = t2.min(server.interval * 2);
            (server.flow, server.last.clone(), server.interval)
        });
        let Some((flow, bytes, interval)) = again else { return };
        self.repetitions.sent += 1;
        self.out.push_back(Notice::Send { flow, bytes });
        self.timers.set(Deadline::ServerAgain(key), now + interval);
    }

    pub(super) fn server_end(&mut self, key: ServerKey) {
        let unacknowledged = ServerState::Accepted { acknowledged: false };
        if self.servers.of(key).is_some_and(|server| server.state == unacknowledged) {
            self.out.push_back(Notice::Unacknowledged { key });
        }
        self.forget_server(key);
    }

    fn forget_server(&mut self, key: ServerKey) {
        let Some(server) = self.servers.remove(key) else { return };
        self.by_wire.remove(&server.wire);
        if let Some(origin) = server.origin {
            self.by_origin.remove(&origin);
        }
        self.timers.cancel(&Deadline::ServerAgain(key));
        self.timers.cancel(&Deadline::ServerEnd(key));
    }
}
