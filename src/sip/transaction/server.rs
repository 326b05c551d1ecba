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
}

impl Transactions {
    /// Takes a request whose top Via is `via`; its responses will go to `reply`.
    pub fn receive_request(&mut self, now: Instant, reply: Flow, request: &Request, via: &Via) -> Arrival {
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
            None if self.servers.len() >= self.room_for(request) => Arrival::Full,
            None => self.open(reply, request, wire),
        }
    }

    /// Calls that are under way get twice the room of new ones: overload must not keep them from ending.
    fn room_for(&self, request: &Request) -> usize {
        let runs = request.headers.to_tag().is_some() || request.method == Method::Cancel;
        if runs { self.capacity * 2 } else { self.capacity }
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
        let server = self.servers.get_mut(&key).expect("an indexed server transaction");
        match server.state {
            ServerState::Accepted { .. } => return Arrival::Ack,
            ServerState::Completed if server.is_invite => {
                server.state = ServerState::Confirmed;
                self.timers.cancel(&Deadline::ServerAgain(key));
                if server.flow.transport.is_reliable() {
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
        let server = &self.servers[&key];
        let answers = matches!(server.state, ServerState::Proceeding | ServerState::Completed);
        if answers && !server.last.is_empty() {
            self.repetitions.sent += 1;
            self.out.push_back(Notice::Send { flow: server.flow, bytes: server.last.clone() });
        }
    }

    /// The INVITE that this CANCEL is for, if it is known (RFC 3261 §9.2).
    pub fn cancelled_by(&self, cancel: &Request, via: &Via) -> Option<ServerKey> {
        self.by_wire.get(&wire_key(cancel, via, &Method::Invite)).copied()
    }

    /// Sends a response; false if a final one was sent before, or the transaction is no more.
    pub fn respond(&mut self, now: Instant, key: ServerKey, response: &Response) -> bool {
        let Some(server) = self.servers.get_mut(&key) else { return false };
        if !matches!(server.state, ServerState::Trying | ServerState::Proceeding) {
            return false;
        }
        server.last = response.to_bytes();
        self.out.push_back(Notice::Send { flow: server.flow, bytes: server.last.clone() });
        if response.status < 200 {
            server.state = ServerState::Proceeding;
            return true;
        }
        // A careless client's second try with credentials carries the old CSeq: that is no merged request.
        if matches!(response.status, 401 | 407)
            && let Some(origin) = server.origin.take()
        {
            self.by_origin.remove(&origin);
        }
        self.conclude(now, key, response.status);
        true
    }

    fn conclude(&mut self, now: Instant, key: ServerKey, status: u16) {
        let (t1, patience) = (self.timing.t1, self.patience());
        let server = self.servers.get_mut(&key).expect("a server transaction that concludes");
        let reliable = server.flow.transport.is_reliable();
        let accepted = server.is_invite && status < 300;
        server.state = if accepted { ServerState::Accepted { acknowledged: false } } else { ServerState::Completed };
        if accepted || (server.is_invite && !reliable) {
            self.timers.set(Deadline::ServerAgain(key), now + t1); // Timer G; a 2xx on every transport.
        }
        if reliable && !server.is_invite {
            self.forget_server(key); // Timer J is zero.
        } else {
            self.timers.set(Deadline::ServerEnd(key), now + patience); // Timers H, J, L.
        }
    }

    /// The ACK for a 2xx has come: it is not repeated any more.
    pub fn acknowledge(&mut self, key: ServerKey) {
        if let Some(server) = self.servers.get_mut(&key)
            && let ServerState::Accepted { acknowledged } = &mut server.state
        {
            *acknowledged = true;
            server.last = Vec::new();
            self.timers.cancel(&Deadline::ServerAgain(key));
        }
    }

    pub(super) fn server_again(&mut self, now: Instant, key: ServerKey) {
        let t2 = self.timing.t2;
        let Some(server) = self.servers.get_mut(&key) else { return };
        server.interval = t2.min(server.interval * 2);
        self.repetitions.sent += 1;
        self.out.push_back(Notice::Send { flow: server.flow, bytes: server.last.clone() });
        self.timers.set(Deadline::ServerAgain(key), now + server.interval);
    }

    pub(super) fn server_end(&mut self, key: ServerKey) {
        let unacknowledged = ServerState::Accepted { acknowledged: false };
        if self.servers.get(&key).is_some_and(|server| server.state == unacknowledged) {
            self.out.push_back(Notice::Unacknowledged { key });
        }
        self.forget_server(key);
    }

    fn forget_server(&mut self, key: ServerKey) {
        let Some(server) = self.servers.remove(&key) else { return };
        self.by_wire.remove(&server.wire);
        if let Some(origin) = server.origin {
            self.by_origin.remove(&origin);
        }
        self.timers.cancel(&Deadline::ServerAgain(key));
        self.timers.cancel(&Deadline::ServerEnd(key));
    }
}
