//! A user agent of RFC 3261: UAC, UAS and registrar. It knows messages, not calls; bodies are bytes.
//!
//! [`Endpoint`] has the three verbs of every machine here: `handle`, `poll`, `deadline`. Its language is in
//! [`api`]; the wire is in `frame`, `uri`, `header`, `message`; passwords never come here (`Output::Verify`).
//!
//! ```text
//! bytes ─▶ message ─▶ transaction ─┬─▶ uas, turn, reliable ─▶ Event
//!                                  └─▶ route ─▶ uac, turn, registration, keepalive ─▶ Event
//! Command ─▶ uac, uas, turn ─▶ route ─▶ transaction ─▶ Send
//! ```
//!
//! Left out: REFER and Replaces as the sending side. 421 is never sent: there is no extension that we cannot do without.

mod admission;
pub mod api;
mod auth;
mod connections;
pub mod dialog;
pub mod digest;
pub mod frame;
mod glare;
mod grammar;
pub mod guard;
pub mod header;
mod headers;
mod host;
mod instance;
mod invite;
mod keepalive;
mod leg;
pub mod message;
mod name;
mod objection;
mod owed;
mod params;
mod refer;
pub mod registrar;
mod registration;
mod reliable;
mod replaces;
mod route;
mod session;
pub mod settings;
pub mod stats;
mod status;
mod talk;
#[cfg(test)]
mod tests;
mod text;
mod transaction;
mod trunks;
mod turn;
mod uac;
mod uas;
mod update;
pub mod uri;
mod watch;

pub use api::*;
pub use dialog::DialogRecord;
pub use frame::Limits;
pub use invite::InviteRecord;
pub use registrar::Binding;
pub use route::{is_near, reaches};
pub use settings::{Capacity, Config, Guarding, Listener, RegistrationTimes, SessionTimes, Timing};
pub use stats::{Bans, Stats};
pub use transaction::{branch_in, branch_quoted};

use crate::ids::{IdCounter, LegId, Rng};
use crate::table::Table;
use crate::time::{Instant, Timers};
use auth::Auth;
use digest::Credentials;
use guard::Guard;
use header::Name;
use leg::{Leg, Talking};
use message::{Message, Request, Response};
use registrar::Registrar;
use registration::Registrations;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use transaction::{ClientKey, Errand, Notice, ServerKey, Transactions};
use uac::Invitation;
use uri::Uri;

/// One user agent with its listeners.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Endpoint {
    config: Config,
    rng: Rng,
    leg_ids: IdCounter,
    transactions: Transactions,
    legs: Table<LegId, Leg>,
    /// Our tag → leg: the tags of our dialogs are ours alone.
    by_tag: Table<String, LegId>,
    /// Who answers an INVITE (or UPDATE) that has no final response, or waits for its ACK.
    serving: Table<ServerKey, Serving>,
    /// ACKs of our INVITEs' 2xx, for repetitions; one per fork.
    acks: Table<ClientKey, Vec<Ack>>,
    /// INVITEs to cancel, with the Reason, as soon as a provisional response comes (RFC 3261 §9.1).
    cancelling: Table<ClientKey, Option<String>>,
    /// Our tags of the last dialogs that have ended, oldest first.
    ended: VecDeque<String>,
    /// What phones were not told of the ends of their calls.
    #[serde(default)]
    owing: owed::Owing,
    queries: Table<u64, Query>,
    last_query: u64,
    registrar: Registrar,
    /// Connections that something came over and that have not failed since.
    connections: BTreeSet<u64>,
    auth: Auth,
    guard: Guard,
    registrations: Registrations,
    /// By the names of what the shell holds: the realms in which carriers have challenged us.
    realms: BTreeMap<String, Vec<String>>,
    /// Seconds of Retry-After while no new calls are taken.
    takes_none: Option<u32>,
    due: Timers<Deadline>,
    out: VecDeque<Output>,
    stats: Stats,
}

/// How many requests of ours may have followed the written form of a dialog that is restored.
const RESTORED_GAP: u32 = 1_000;

/// What waits for the shell's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Query {
    /// An INVITE whose credentials are being verified.
    Caller { server: ServerKey, request: Box<Request>, flow: Flow, proof: Credentials },
    /// A REGISTER whose credentials are being verified.
    Phone { server: ServerKey, request: Box<Request>, flow: Flow, proof: Credentials },
    /// A request that was challenged, and the fields for the answers.
    Proof { request: Box<Request>, response: Box<Response>, flow: Flow, errand: Errand, fields: Vec<Name> },
    /// A request whose next hop is a name.
    Place { request: Box<Request>, errand: Errand, known: Option<Flow>, uri: Uri },
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Serving {
    Leg(LegId),
    Query(u64),
}

/// The ACK that a 2xx got; empty while it waits for our answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Ack {
    remote_tag: String,
    flow: Flow,
    bytes: Vec<u8>,
}

/// What a deadline of the endpoint itself is for; transactions and bindings have their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Deadline {
    /// When to register again.
    Refresh(u64),
    /// When to send a reliable provisional response again, or to give its INVITE up.
    Unproven(LegId),
    /// When to tell the peer that it will hear no more of its REFER.
    Referral(LegId),
    /// When to make an offer again that met another one.
    Reoffer(LegId),
    /// When to refresh a session, or to end the call whose session nobody has refreshed.
    Session(LegId),
    /// When to ask a peer who holds whether it is there.
    Watch(LegId),
}

impl Endpoint {
    /// `rng` must be this endpoint's own fork; `legs` counts the ids that [`Endpoint::next_leg`] gives.
    pub fn new(config: Config, mut rng: Rng, legs: IdCounter) -> Endpoint {
        assert!(!config.listeners.is_empty(), "an endpoint needs a listener");
        let seed = rng.fork("tables").next_u64();
        Endpoint {
            transactions: Transactions::new(config.timing.clone(), config.capacity.transactions, seed),
            auth: Auth::new(&mut rng),
            config,
            rng,
            leg_ids: legs,
            legs: Table::default(),
            by_tag: Table::seeded(seed),
            serving: Table::default(),
            acks: Table::default(),
            cancelling: Table::default(),
            ended: VecDeque::new(),
            owing: owed::Owing::new(),
            queries: Table::default(),
            last_query: 0,
            registrar: Registrar::default(),
            connections: BTreeSet::new(),
            guard: Guard::default(),
            registrations: Registrations::default(),
            realms: BTreeMap::new(),
            takes_none: None,
            due: Timers::default(),
            out: VecDeque::new(),
            stats: Stats::default(),
        }
    }

    pub fn handle(&mut self, now: Instant, input: Input) {
        self.timeout(now);
        match input {
            Input::Received { flow, bytes } => self.received(now, flow, &bytes),
            Input::TransportFailed { flow } => {
                self.broken(now, flow);
                self.registration_lost(now, flow);
            }
            Input::Unsent { branch } => self.transactions.unsent(&branch),
            Input::Verified { query, ok } => self.verified(now, query, ok),
            Input::Proven { query, credentials } => self.proof_given(now, query, credentials),
            Input::Resolved { query, flows } => self.resolved(now, query, flows),
            Input::Command(command) => self.command(now, command),
            Input::Timeout => {}
        }
        self.drain(now);
    }

    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When [`Input::Timeout`] is wanted at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        let (registrar, guard) = (self.registrar.deadline(), self.guard.deadline());
        [self.transactions.deadline(), registrar, guard, self.due.deadline()].into_iter().flatten().min()
    }

    /// A new leg's id, for [`Command::Invite`].
    pub fn next_leg(&mut self) -> LegId {
        LegId(self.leg_ids.take())
    }

    /// How many of them are left.
    pub fn legs_left(&self) -> u32 {
        self.leg_ids.left()
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where the listener of a flow is bound: to be kept with what may be restored.
    pub fn bound(&self, flow: Flow) -> Option<SocketAddr> {
        self.config.bound(flow)
    }

    /// The dialog of an established leg as it is now.
    pub fn dialog(&self, leg: LegId) -> Option<&DialogRecord> {
        match self.legs.get(&leg)? {
            Leg::Talking(talking) => Some(&talking.dialog),
            Leg::Calling(_) | Leg::Ringing(_) => None,
        }
    }

    /// The phones of a user, oldest first.
    pub fn bindings<'a>(&'a self, user: &str) -> impl Iterator<Item = &'a Binding> {
        self.registrar.of(user)
    }

    /// Counters as of now.
    pub fn stats(&self) -> Stats {
        let repetitions = self.transactions.repetitions;
        let (open, lingering) = self.transactions.census();
        let mut stats = self.stats.clone();
        stats.retransmissions_sent = repetitions.sent;
        stats.retransmissions_received = repetitions.received;
        stats.transactions = (open + lingering) as u64;
        stats.legs = self.legs.len() as u64;
        stats.bindings = self.registrar.all().count() as u64;
        stats.bans = self.guard.bans().map(|(now, total)| Bans { now: now as u64, total });
        stats
    }

    /// Why this endpoint is not quiet, in words; `None` if it is. Bindings and transactions that only linger for
    /// repetitions do not count.
    pub fn pending(&self) -> Option<String> {
        let (open, _) = self.transactions.census();
        let mut parts: Vec<String> = self
            .legs
            .sorted()
            .into_iter()
            .take(10)
            .map(|(id, leg)| format!("leg {id} is {}", leg.describe()))
            .collect();
        parts.extend((self.legs.len() > 10).then(|| format!("{} legs more", self.legs.len() - 10)));
        parts.extend((open > 0).then(|| format!("{open} transactions are open")));
        parts.extend((!self.queries.is_empty()).then(|| format!("{} questions have no answer", self.queries.len())));
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    fn timeout(&mut self, now: Instant) {
        if self.deadline().is_none_or(|at| at > now) {
            return;
        }
        self.transactions.timeout(now);
        self.drain(now);
        self.guard.timeout(now);
        self.registrar_timeout(now);
        while let Some(due) = self.due.pop_due(now) {
            match due {
                Deadline::Refresh(number) => self.send_register(now, number),
                Deadline::Unproven(leg) => self.unproven(now, leg),
                Deadline::Referral(leg) => self.referral_due(now, leg),
                Deadline::Reoffer(leg) => self.reoffer_due(now, leg),
                Deadline::Session(leg) => self.session_due(now, leg),
                Deadline::Watch(leg) => self.watch_due(now, leg),
            }
        }
        self.drain(now);
    }

    fn received(&mut self, now: Instant, flow: Flow, bytes: &[u8]) {
        // Whoever guesses passwords behind a carrier, or beside a phone, must not cut the calls that come over it.
        let drops = self.guard.drops(flow.remote.ip()) && !self.registrar.knows(flow) && self.trunk_at(flow).is_none();
        if drops && !self.is_of_a_call(bytes) {
            self.stats.banned += 1;
            return;
        }
        self.heard_over(flow);
        if frame::is_keepalive(bytes) {
            return;
        }
        match Message::parse(bytes, &self.config.limits) {
            Ok(Message::Request(request)) => self.receive_request(now, flow, request),
            Ok(Message::Response(response)) => self.receive_response(now, flow, response),
            Err(refusal) => self.misread(flow, refusal),
        }
    }

    fn receive_response(&mut self, now: Instant, flow: Flow, response: Response) {
        self.acknowledge_over(flow, &response);
        let (cseq, status) = (response.headers.cseq(), response.status);
        match (self.transactions.receive_response(now, response), cseq) {
            // Only those we asked for: strangers must not invent numbers to count under.
            (true, Ok(cseq)) => stats::count_response(&mut self.stats.responses_received, &cseq.method, status),
            _ => self.stats.stray_responses += 1,
        }
    }

    /// What the transactions have to say.
    fn drain(&mut self, now: Instant) {
        while let Some(notice) = self.transactions.poll() {
            match notice {
                Notice::Send { flow, bytes } => self.send(flow, bytes),
                Notice::Provisional { key, purpose, response } => self.provisional(now, key, purpose, response),
                Notice::Unheard { flow, request } => {
                    let events = self.registrar.heard((flow, &request.uri), &request.headers, false);
                    self.out.extend(events.into_iter().map(Output::Event));
                }
                Notice::Accepted { key, flow, errand, response } => self.accepted(now, key, flow, errand, response),
                Notice::Finished { key, flow, errand, request, outcome } => {
                    self.finished(now, Some((key, flow)), errand, request, outcome);
                }
                Notice::Freed { key } => {
                    self.acks.remove(&key);
                }
                Notice::Unacknowledged { key } => self.unacknowledged(now, key),
            }
        }
        self.ask_the_silent(now);
    }

    fn command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Invite { leg, uri, flow, from, to, offer, headers, account, listener } => {
                self.call(now, leg, (flow, listener), account, Invitation { uri, from, to, offer, headers });
            }
            Command::Ring { leg, status, body } => self.ring(now, leg, status, body),
            Command::Answer { leg, body } => self.answer(now, leg, body),
            Command::Refuse { leg, status, headers } => self.turn_away(now, leg, status, headers),
            Command::Challenge { leg } => self.demand_proof(now, leg),
            Command::HangUp { leg, reason } => self.hang_up(now, leg, reason),
            Command::GoOn { leg } => self.go_on(leg),
            Command::Talk { leg } => self.talk(now, leg),
            Command::Watch { leg, on } => self.watch(now, leg, on),
            Command::AskNow { leg } => self.ask_now(now, leg),
            Command::Reoffer { leg, body } => self.reoffer(now, leg, body),
            Command::AcceptOffer { leg, body } => self.accept_offer(now, leg, body),
            Command::RefuseOffer { leg, status } => self.refuse_offer(now, leg, status),
            Command::ReferProgress { leg, status } => self.refer_progress(now, leg, status),
            Command::Register { name, user, registrar, expires, persists, listener } => {
                self.begin_registration(now, name, (user, persists), (registrar, listener), expires);
            }
            Command::Unregister { name } => self.end_registration(now, &name),
            Command::Probe { id, uri, listener } => self.probe(now, id, uri, listener),
            Command::Restore { leg, mut dialog } => {
                dialog.local_cseq = dialog.local_cseq.saturating_add(RESTORED_GAP);
                dialog.flow = self.config.flow_now(dialog.flow, dialog.bound).unwrap_or(dialog.flow);
                self.by_tag.insert(dialog.local_tag.clone(), leg);
                self.learn_realms(dialog.account.as_ref());
                let account = dialog.account.clone().map(Box::new);
                self.legs.insert(leg, Leg::Talking(Box::new(Talking::new(dialog, account))));
            }
            Command::RestoreInvite { leg, invite } => self.restore_invite(leg, invite),
            Command::RestoreBinding { binding } => {
                let Some(flow) = self.config.flow_now(binding.flow, binding.bound) else { return };
                if flow.transport.is_reliable() && binding.is_behind_nat() {
                    return; // Its connection ended with the earlier start.
                }
                let user = binding.user.clone();
                self.registrar.restore(Binding { flow, ..binding });
                self.begin_asking(now, &user);
            }
            Command::Configure(config) => self.configure(now, config),
            Command::TakesNone { retry_after } => self.takes_none = retry_after,
        }
    }

    fn tell(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }

    /// What the registrar has to say, counted.
    fn tell_of_phones(&mut self, events: Vec<Event>) {
        for event in events {
            let outcome = match &event {
                Event::Bound { .. } => Some("bound"),
                Event::Unbound { why, .. } => Some(why.name()),
                _ => None,
            };
            outcome.iter().for_each(|outcome| stats::count(&mut self.stats.registrations, outcome));
            self.tell(event);
        }
    }

    /// A tag of ours: 64 random bits (RFC 3261 §19.3 wants 32).
    fn tag(&mut self) -> String {
        self.rng.hex(8)
    }

    fn next_query(&mut self, query: Query) -> u64 {
        self.last_query += 1;
        self.queries.insert(self.last_query, query);
        self.last_query
    }

    fn talking(&mut self, leg: LegId) -> Option<&mut Talking> {
        match self.legs.find_mut(&leg) {
            Some(Leg::Talking(talking)) => Some(talking),
            _ => None,
        }
    }

    /// Takes a leg out of all tables.
    fn forget(&mut self, leg: LegId) -> Option<Leg> {
        self.forget_if(leg, |_| true)
    }

    fn forget_if(&mut self, leg: LegId, condition: impl Fn(&Leg) -> bool) -> Option<Leg> {
        if !self.legs.get(&leg).is_some_and(condition) {
            return None;
        }
        let gone = self.legs.remove(&leg)?;
        self.by_tag.remove(gone.local_tag());
        match &gone {
            Leg::Calling(_) => {}
            Leg::Ringing(ringing) => {
                self.serving.remove(&ringing.server);
                self.due.cancel(&Deadline::Unproven(leg));
            }
            Leg::Talking(talking) => {
                self.due.cancel(&Deadline::Session(leg));
                self.due.cancel(&Deadline::Watch(leg));
                self.due.cancel(&Deadline::Reoffer(leg));
                self.due.cancel(&Deadline::Referral(leg));
                let unacked = talking.unacked.as_ref().map(|unacked| unacked.server);
                let theirs = talking.theirs.as_ref().map(|theirs| theirs.server);
                unacked.into_iter().chain(theirs).for_each(|server| {
                    self.serving.remove(&server);
                });
            }
        }
        if let Leg::Talking(talking) = &gone {
            self.remember_ended(talking.dialog.local_tag.clone());
        }
        Some(gone)
    }
}
