//! The two client transactions: INVITE (RFC 3261 §17.1.1, RFC 6026 §8.4) and all others (§17.1.2).
//!
//! ```text
//! INVITE   Waiting ──1xx──▶ Proceeding ──3xx-6xx──▶ Completed (ACK; timer D)
//!          A, B    └───2xx───────┴─────2xx───────▶ Accepted (each 2xx to the core; timer M)
//! others   Waiting ──1xx──▶ Proceeding ──final────▶ Completed (timer K)
//!          E, F             E at T2, F
//! ```

use super::{ClientKey, Deadline, Errand, Flow, Notice, Outcome, Transactions, branch_of, key_in};
use crate::ids::Rng;
use crate::sip::header::{CSeq, Method, Name, Via};
use crate::sip::message::{Request, Response};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum ClientState {
    /// `Calling` of INVITE, `Trying` of the others.
    Waiting,
    Proceeding,
    Completed,
    Accepted,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Client {
    state: ClientState,
    branch: String,
    flow: Flow,
    errand: Errand,
    /// Until the request is finished; an accepted INVITE keeps it without body.
    request: Option<Box<Request>>,
    /// What to send again: the request, later the ACK.
    bytes: Vec<u8>,
    /// The pause before the next repetition.
    interval: Duration,
    is_invite: bool,
    cancelled: bool,
}

/// Who has not answered after so many times T1 (RFC 3261 §17: 0.5 s) is not believed to be there: over UDP the request
/// has gone out three times by then. The transaction itself goes on.
const UNHEARD: u32 = 7;

/// Numbers of transactions of an earlier start go so far; new ones go on behind them.
const MAX_RESTORED: u64 = u64::MAX / 2;

impl Transactions {
    /// Whether the peer has said anything yet, be it 100.
    pub fn is_answered(&self, key: ClientKey) -> bool {
        self.clients.get(&key).is_some_and(|client| client.state != ClientState::Waiting)
    }

    /// Sends `request`, which has no Via yet, over `flow`. `sent_by` is our own Via without branch.
    pub fn start(
        &mut self,
        now: Instant,
        (flow, mut via): (Flow, Via),
        mut request: Request,
        errand: Errand,
        rng: &mut Rng,
    ) -> ClientKey {
        let key = ClientKey(self.number());
        let branch = branch_of(key, rng);
        via.params.set("branch", Some(&branch));
        via.params.add("rport", None); // RFC 3581 §3
        request.headers.push_front(Name::Via, via.text());
        self.send_first(now, key, branch, (flow, request, errand));
        key
    }

    /// Goes on with an INVITE of an earlier start, its Via on top, as with one that was heard: it can be cancelled at once
    /// (RFC 3261 §9.1 wants a provisional response first, for a CANCEL must not overtake its INVITE), and is known by its
    /// branch. None if that is none of ours.
    pub fn restore_invite(&mut self, flow: Flow, request: Request, errand: Errand) -> Option<ClientKey> {
        let branch = request.headers.top_via().ok()?.branch()?.to_owned();
        let ours =
            |key: &ClientKey| key.0.is_multiple_of(2) && key.0 <= MAX_RESTORED && !self.clients.contains_key(key);
        let key = key_in(&branch).filter(|key| ours(key) && request.method == Method::Invite)?;
        self.last = self.last.max(key.0);
        let client = Client {
            state: ClientState::Proceeding,
            branch,
            flow,
            errand,
            bytes: Vec::new(),
            interval: self.timing.t1,
            is_invite: true,
            cancelled: false,
            request: Some(Box::new(request)),
        };
        self.waiting.insert((flow, key));
        self.clients.insert(key, Box::new(client));
        Some(key)
    }

    /// The same where it is known here already, unless it was accepted: what it waits for over its way is given up.
    pub fn restore_anew(&mut self, flow: Flow, request: Request, errand: Errand) -> Option<ClientKey> {
        let key = request.headers.top_via().ok().and_then(|via| key_in(via.branch()?));
        if let Some(known) = key.and_then(|key| self.clients.get(&key))
            && known.state == ClientState::Accepted
        {
            return None;
        }
        for key in key.into_iter().flat_map(|key| [key, ClientKey(key.0 | 1)]) {
            let flow = self.clients.get(&key).map(|client| client.flow);
            flow.into_iter().for_each(|flow| _ = self.waiting.remove(&(flow, key)));
            self.forget_client(key);
        }
        self.restore_invite(flow, request, errand)
    }

    fn send_first(
        &mut self,
        now: Instant,
        key: ClientKey,
        branch: String,
        (flow, request, errand): (Flow, Request, Errand),
    ) {
        let t1 = self.timing.t1;
        let client = Client {
            state: ClientState::Waiting,
            branch,
            flow,
            errand,
            bytes: request.to_bytes(),
            interval: t1,
            is_invite: request.method == Method::Invite,
            cancelled: false,
            request: Some(Box::new(request)),
        };
        self.out.push_back(Notice::Send { flow, bytes: client.bytes.clone() });
        let first = if flow.transport.is_reliable() { t1 * UNHEARD } else { t1 }; // Timers A and E.
        self.timers.set(Deadline::ClientAgain(key), now + first);
        self.timers.set(Deadline::ClientEnd(key), now + self.patience()); // Timers B and F.
        self.waiting.insert((flow, key));
        self.clients.insert(key, Box::new(client));
    }

    /// The request of a transaction that is not finished, its Via on top.
    pub fn sent(&self, key: ClientKey) -> Option<&Request> {
        self.clients.get(&key)?.request.as_deref()
    }

    /// Where a request went that is not forgotten, and what for.
    pub fn errand(&self, key: ClientKey) -> Option<(Flow, &Errand)> {
        self.clients.get(&key).map(|client| (client.flow, &client.errand))
    }

    /// Sends a CANCEL for an INVITE that has had a provisional response (RFC 3261 §9.1: not before); says
    /// whether it has. `reason` goes along. The INVITE is given up 64·T1 later if nothing final has come.
    pub fn cancel(&mut self, now: Instant, key: ClientKey, reason: Option<String>) -> bool {
        let patience = self.patience();
        let Some(client) = self.clients.find_mut(&key) else { return true };
        match client.state {
            ClientState::Waiting => return false,
            ClientState::Proceeding if !client.cancelled => client.cancelled = true,
            _ => return true,
        }
        let request = client.request.as_deref().expect("a proceeding client transaction has its request");
        let mut cancel = within(request, Method::Cancel);
        if let Some(reason) = &reason {
            cancel.headers.push(Name::Reason, reason.as_str());
        }
        client.errand.reason = reason;
        let (flow, branch) = (client.flow, client.branch.clone());
        self.timers.set(Deadline::ClientEnd(key), now + patience);
        let errand = Errand::new(super::Purpose::Cancel);
        self.send_first(now, ClientKey(key.0 | 1), branch, (flow, cancel, errand));
        true
    }

    /// Takes a response; false if it belongs to nothing here (RFC 6026 §8.5: it is dropped).
    pub fn receive_response(&mut self, now: Instant, response: Response) -> bool {
        let Some(key) = self.client_of(&response) else { return false };
        let client = self.clients.find_mut(&key).expect("a matched transaction");
        match (client.state, response.status) {
            (ClientState::Completed, 300..) if client.is_invite => {
                self.repetitions.received += 1;
                let (flow, bytes) = (client.flow, client.bytes.clone());
                self.out.push_back(Notice::Send { flow, bytes }); // §17.1.1.2: each gets the ACK again.
            }
            (ClientState::Completed, _) => self.repetitions.received += 1,
            (ClientState::Accepted, 200..=299) => self.tell_accepted(key, response),
            (ClientState::Accepted, _) => {}
            (_, 100..=199) => self.provisional(now, key, response),
            (_, 200..=299) if client.is_invite => self.accept(now, key, response),
            _ => self.complete(now, key, response),
        }
        true
    }

    /// Whether it answers a request of ours.
    pub fn awaits(&self, response: &Response) -> bool {
        self.client_of(response).is_some()
    }

    /// The request that it answers (RFC 3261 §17.1.3).
    pub fn client_of(&self, response: &Response) -> Option<ClientKey> {
        let branch = response.headers.top_branch()?;
        let method = response.headers.cseq().ok()?.method;
        let key = key_in(branch)?;
        let key = if method == Method::Cancel { ClientKey(key.0 | 1) } else { key };
        let client = self.clients.get(&key)?;
        let same_kind = client.is_invite == (method == Method::Invite);
        (same_kind && branch == client.branch).then_some(key)
    }

    fn provisional(&mut self, now: Instant, key: ClientKey, response: Response) {
        let t2 = self.timing.t2;
        let client = self.clients.find_mut(&key).expect("a matched transaction");
        if client.state == ClientState::Waiting {
            client.state = ClientState::Proceeding;
            if client.is_invite {
                client.bytes = Vec::new(); // An INVITE is not repeated any more.
                self.timers.cancel(&Deadline::ClientAgain(key));
                self.timers.cancel(&Deadline::ClientEnd(key));
            } else if !client.flow.transport.is_reliable() {
                client.interval = t2; // §17.1.2.2
                self.timers.set(Deadline::ClientAgain(key), now + t2);
            }
        }
        let purpose = client.errand.purpose;
        self.out.push_back(Notice::Provisional { key, purpose, response });
    }

    fn accept(&mut self, now: Instant, key: ClientKey, response: Response) {
        let patience = self.patience();
        let client = self.clients.find_mut(&key).expect("a matched transaction");
        client.state = ClientState::Accepted;
        client.bytes = Vec::new();
        if let Some(request) = &mut client.request {
            request.body = Vec::new();
        }
        self.waiting.remove(&(client.flow, key));
        self.timers.cancel(&Deadline::ClientAgain(key));
        self.timers.set(Deadline::ClientEnd(key), now + patience); // Timer M.
        self.tell_accepted(key, response);
    }

    fn tell_accepted(&mut self, key: ClientKey, response: Response) {
        let client = self.clients.get(&key).expect("a matched transaction");
        let (errand, flow) = (client.errand.clone(), client.flow);
        self.out.push_back(Notice::Accepted { key, flow, errand, response });
    }

    fn complete(&mut self, now: Instant, key: ClientKey, response: Response) {
        let (t4, d) = (self.timing.t4, self.patience());
        let client = self.clients.find_mut(&key).expect("a matched transaction");
        let request = client.request.take().expect("an unfinished client transaction has its request");
        client.state = ClientState::Completed;
        let linger = if client.is_invite {
            let to = response.headers.get(&Name::To).unwrap_or_default();
            client.bytes = acknowledgement(&request, to).to_bytes();
            self.out.push_back(Notice::Send { flow: client.flow, bytes: client.bytes.clone() });
            d // Timer D: at least 32 s.
        } else {
            client.bytes = Vec::new();
            t4 // Timer K.
        };
        self.finish(key, request, Outcome::Response(response));
        self.timers.cancel(&Deadline::ClientAgain(key));
        if self.clients.get(&key).is_none_or(|client| client.flow.transport.is_reliable()) {
            self.forget_client(key);
        } else {
            self.timers.set(Deadline::ClientEnd(key), now + linger);
        }
    }

    fn finish(&mut self, key: ClientKey, request: Box<Request>, outcome: Outcome) {
        let client = self.clients.find_mut(&key).expect("a client transaction that ends");
        let (errand, flow) = (client.errand.clone(), client.flow);
        self.waiting.remove(&(flow, key));
        self.out.push_back(Notice::Finished { key, flow, errand, request, outcome });
    }

    pub(super) fn client_again(&mut self, now: Instant, key: ClientKey) {
        let (t1, t2) = (self.timing.t1, self.timing.t2);
        let Some(client) = self.clients.find_mut(&key) else { return };
        let again = !client.flow.transport.is_reliable();
        // Of the third repetition: the intervals before were 1, 2 and 4 times T1.
        if client.state == ClientState::Waiting && (!again || client.interval == t1 * 4) {
            let request = client.request.clone();
            self.out.extend(request.map(|request| Notice::Unheard { flow: client.flow, request }));
        }
        if !again {
            return;
        }
        // Timer A doubles without bound, timer E up to T2.
        client.interval = if client.is_invite { client.interval * 2 } else { t2.min(client.interval * 2) };
        self.repetitions.sent += 1;
        self.out.push_back(Notice::Send { flow: client.flow, bytes: client.bytes.clone() });
        self.timers.set(Deadline::ClientAgain(key), now + client.interval);
    }

    /// Nothing is waited for any more, as if timer B or F had come.
    pub fn give_up(&mut self, key: ClientKey) {
        self.client_end(key);
    }

    pub(super) fn client_end(&mut self, key: ClientKey) {
        let Some(client) = self.clients.find_mut(&key) else { return };
        match client.state {
            ClientState::Waiting | ClientState::Proceeding => {
                let heard = client.state == ClientState::Proceeding;
                let request = client.request.take().expect("an unfinished client transaction has its request");
                self.finish(key, request, Outcome::Timeout { heard });
            }
            ClientState::Completed => {}
            ClientState::Accepted => self.out.push_back(Notice::Freed { key }),
        }
        self.forget_client(key);
    }

    fn forget_client(&mut self, key: ClientKey) {
        self.clients.remove(&key);
        self.timers.cancel(&Deadline::ClientAgain(key));
        self.timers.cancel(&Deadline::ClientEnd(key));
    }

    /// RFC 3261 §17.1.4: every request that still waits on `flow`, a connection, has failed.
    pub fn transport_failed(&mut self, flow: Flow) {
        let range = (flow, ClientKey(0))..=(flow, ClientKey(u64::MAX));
        let keys: Vec<ClientKey> = self.waiting.range(range).map(|(_, key)| *key).collect();
        keys.into_iter().for_each(|key| self.client_failed(key));
    }

    /// §17.1.4 for one request that was never heard, by the branch of its Via. One within a dialog is repeated as if it
    /// were lost: its peer was there, there is no other way to it, and ways come back.
    pub fn unsent(&mut self, branch: &str) {
        let Some(key) = key_in(branch) else { return };
        let Some(client) = self.clients.get(&key).filter(|client| client.branch == branch) else { return };
        let begins = client.request.as_ref().is_some_and(|request| request.headers.to_tag().is_none());
        if client.state == ClientState::Waiting && begins {
            self.client_failed(key);
        }
    }

    fn client_failed(&mut self, key: ClientKey) {
        let client = self.clients.find_mut(&key).expect("a waiting client transaction");
        let heard = client.state == ClientState::Proceeding;
        let request = client.request.take().expect("an unfinished client transaction has its request");
        self.finish(key, request, Outcome::TransportFailed { heard });
        self.forget_client(key);
    }
}

/// The ACK for a final response other than 2xx (RFC 3261 §17.1.1.3).
fn acknowledgement(invite: &Request, to: &str) -> Request {
    let mut ack = within(invite, Method::Ack);
    ack.headers.set(Name::To, to);
    ack
}

/// What ACK and CANCEL copy from their INVITE: request URI, top Via, Route, From, Call-ID, CSeq number (§9.1).
fn within(invite: &Request, method: Method) -> Request {
    let mut request = Request::new(method.clone(), invite.uri.clone());
    let source = &invite.headers;
    let headers = &mut request.headers;
    for name in [Name::Via, Name::Route] {
        source.iter().filter(|(n, _)| **n == name).for_each(|(_, value)| headers.push(name.clone(), value));
    }
    headers.push(Name::MaxForwards, "70");
    for name in [Name::From, Name::To, Name::CallId] {
        let value = source.get(&name).unwrap_or_default();
        headers.push(name, value);
    }
    let number = source.cseq().map(|cseq| cseq.number).unwrap_or_default();
    headers.push(Name::CSeq, CSeq { number, method }.text());
    request
}
