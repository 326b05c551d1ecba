//! Who gets in: is there room for a call, has a user proven himself, and what his REGISTER then does.
//!
//! Neither a REGISTER nor an INVITE tells who exists. Strangers may call, and so may who gives a user's name without
//! proof: he is a stranger. Asked for proof is a phone that calls over the flow that it has registered over, which
//! nobody else can, and, by `Command::Challenge`, whoever wants what strangers may not; and where trunks prove themselves
//! by Digest, every call whose From is somebody here, since theirs would be strangers' otherwise.

use super::api::{Flow, Source};
use super::auth::Proof;
use super::digest::Credentials;
use super::guard::Verdict;
use super::header::{Method, Name};
use super::instance::Manner;
use super::message::{Message, Misbehavior, Request, Response};
use super::registrar::Refused;
use super::stats::Unproven;
use super::transaction::ServerKey;
use super::uas::FULL_RETRY;
use super::{Config, Endpoint, Query, Serving, stats};
use crate::time::Instant;
use std::net::IpAddr;

impl Endpoint {
    /// `Command::Configure`.
    pub(super) fn configure(&mut self, now: Instant, config: Config) {
        assert!(!config.listeners.is_empty(), "an endpoint needs a listener");
        self.transactions.configure(config.timing.clone(), config.capacity.transactions);
        self.guard.keep_only(|user| config.users.contains(user) || config.trunk_users.contains_key(user));
        let events = self.registrar.keep_only(&config.users);
        self.tell_of_phones(events);
        self.config = config;
        let users: Vec<String> = self.registrar.all().map(|binding| binding.user.clone()).collect();
        users.iter().for_each(|user| self.begin_asking(now, user));
    }

    /// A new call: is there room, and who is it?
    pub(super) fn admit(&mut self, now: Instant, key: ServerKey, flow: Flow, request: Request) {
        if self.is_full() {
            self.stats.overloads += 1;
            self.stats.turned_away += 1;
            let response = self.come_later(&request, FULL_RETRY);
            return self.respond(now, key, &Method::Invite, response);
        }
        let trunk = self.trunk_at(flow);
        let asked = trunk.is_none() && (self.is_own_phone(&request, flow) || self.must_prove_name(&request));
        match self.proof(now, &request, flow) {
            Proof::Malformed(why) => self.refuse_malformed(now, key, &request, why),
            Proof::Stale => self.challenge_stale(now, key, &request, flow),
            Proof::Claimed(credentials) => {
                if self.may_prove(now, key, &request, flow, &credentials, &credentials.username) {
                    let (request, proof) = (Box::new(request), credentials.clone());
                    let query = Query::Caller { server: key, request, flow, proof };
                    let number = self.ask(query, credentials, Method::Invite);
                    self.serving.insert(key, Serving::Query(number));
                }
            }
            Proof::Missing if let Some(trunk) = trunk => {
                self.invited(now, (key, flow), request, Source::Trunk(trunk));
            }
            Proof::Missing if asked => self.challenge(now, key, &request, flow, false),
            Proof::Missing => self.invited(now, (key, flow), request, Source::Stranger),
        }
    }

    fn is_full(&self) -> bool {
        self.legs.len() >= self.config.capacity.legs || self.queries.len() >= self.config.capacity.queries
    }

    fn come_later(&mut self, request: &Request, seconds: u32) -> Response {
        let mut response = self.response(request, 503);
        response.headers.push(Name::RetryAfter, seconds.to_string());
        response
    }

    /// OPTIONS get the code that an INVITE would get (§11.2): proxies and carriers ask by it where to send calls. A phone that
    /// asks over the flow it has registered over only wants to know whether that is still there; not so a proxy over whose flow
    /// phones have registered.
    pub(super) fn asked_for_options(&mut self, request: &Request, flow: Flow) -> Response {
        let later = self.takes_none.or(self.is_full().then_some(FULL_RETRY));
        let is_phone = self.registrar.over(flow).any(|binding| binding.path.is_empty());
        match later.filter(|_| !is_phone) {
            Some(seconds) => self.come_later(request, seconds),
            None => self.capabilities(request),
        }
    }

    /// A REGISTER is always challenged (§10.3 steps 3 and 4). The To URI's host does not matter: phones know us
    /// under addresses that we do not.
    pub(super) fn admit_phone(&mut self, now: Instant, key: ServerKey, flow: Flow, request: Request) {
        let user = request.headers.to().map(|to| to.uri.user_decoded()).unwrap_or_default();
        match self.proof(now, &request, flow) {
            _ if self.queries.len() >= self.config.capacity.queries => self.refuse(now, key, &request, 503),
            Proof::Malformed(why) => self.refuse_malformed(now, key, &request, why),
            Proof::Missing => self.challenge(now, key, &request, flow, false),
            Proof::Stale => self.challenge_stale(now, key, &request, flow),
            Proof::Claimed(credentials) => {
                if self.may_prove(now, key, &request, flow, &credentials, &user) {
                    let (request, proof) = (Box::new(request), credentials.clone());
                    self.ask(Query::Phone { server: key, request, flow, proof }, credentials, Method::Register);
                }
            }
        }
    }

    /// Whether a proof is worth asking the shell: it is for the user that the request is `about` (a call is from whoever
    /// proves himself), and whoever sends it has not failed too often. If not, this has answered; the same for users that we know and that we do not.
    fn may_prove(
        &mut self,
        now: Instant,
        key: ServerKey,
        request: &Request,
        flow: Flow,
        proof: &Credentials,
        about: &str,
    ) -> bool {
        let who = (flow.remote.ip(), proof.username.as_str());
        let registered = self.registrar.is_behind(flow, who.1);
        match self.guard.verdict(now, &self.config.guard, who, registered) {
            Verdict::Waits(seconds) => {
                self.count_unproven(now, Unproven::TooSoon, who);
                let mut response = self.response(request, 503);
                response.headers.push(Name::RetryAfter, seconds.to_string());
                self.respond(now, key, &request.method, response);
            }
            Verdict::Refused => {
                self.count_unproven(now, Unproven::Banned, who);
                self.challenge(now, key, request, flow, false);
            }
            Verdict::Heard if who.1 != about => {
                self.count_unproven(now, Unproven::OtherUser, who);
                self.challenge(now, key, request, flow, false);
            }
            Verdict::Heard => return true,
        }
        false
    }

    fn count_unproven(&mut self, now: Instant, why: Unproven, who: (IpAddr, &str)) {
        stats::count(&mut self.stats.auth_failures, why.name());
        if why.is_failure() {
            self.guard.failed(now, &self.config.guard, who);
        }
    }

    fn refuse_malformed(&mut self, now: Instant, key: ServerKey, request: &Request, why: Misbehavior) {
        stats::count(&mut self.stats.auth_failures, Unproven::Malformed.name());
        self.refuse(now, key, request, why.status());
    }

    fn challenge_stale(&mut self, now: Instant, key: ServerKey, request: &Request, flow: Flow) {
        self.stats.stale_nonces += 1;
        self.challenge(now, key, request, flow, true);
    }

    /// `Input::Verified`.
    pub(super) fn verified(&mut self, now: Instant, query: u64, ok: bool) {
        let (key, request, flow, proof, is_call) = match self.queries.remove(&query) {
            Some(Query::Caller { server, request, flow, proof }) => (server, request, flow, proof, true),
            Some(Query::Phone { server, request, flow, proof }) => (server, request, flow, proof, false),
            Some(place) => {
                self.queries.insert(query, place);
                return;
            }
            None => return,
        };
        self.serving.remove(&key);
        let trunk = self.config.trunk_users.get(&proof.username).filter(|_| is_call).cloned();
        let who = (flow.remote.ip(), proof.username.as_str());
        if !ok || trunk.is_none() && !self.config.users.contains(who.1) {
            self.count_unproven(now, Unproven::Wrong, who);
            return self.challenge(now, key, &request, flow, false);
        }
        self.guard.proved(who);
        if !self.auth.spend((now, flow.remote.ip()), self.config.nonce_life, &proof) {
            self.challenge_stale(now, key, &request, flow);
        } else if is_call {
            let source = trunk.map_or(Source::User(proof.username), Source::Trunk);
            self.invited(now, (key, flow), *request, source);
        } else {
            self.register(now, key, flow, &request, proof);
        }
    }

    fn register(&mut self, now: Instant, key: ServerKey, flow: Flow, request: &Request, proof: Credentials) {
        let user = proof.username;
        let (times, at_most) = (&self.config.registration, self.config.capacity.bindings_per_user);
        let manner = Manner::of(request, flow.transport, || self.rng.hex(16), self.config.capacity.path);
        let done = match &manner {
            Ok(manner) => self.registrar.register(now, (&user, flow), (request, manner), times, at_most),
            Err(status) => Err(Refused { status: *status, min_expires: None }),
        };
        match done {
            Err(refused) => {
                stats::count(&mut self.stats.registrations, "refused");
                let mut response = self.response(request, refused.status);
                if let Some(seconds) = refused.min_expires {
                    response.headers.push(Name::MinExpires, seconds.to_string());
                }
                self.respond(now, key, &Method::Register, response);
            }
            Ok(events) => {
                let mut response = self.response(request, 200);
                let record = request.headers.to().ok().map(|to| to.uri);
                let manner = manner.expect("what was carried out was read");
                let record = record.as_ref().filter(|_| manner.gruu);
                response.headers.extend(self.registrar.listing(now, &user, record));
                response.headers.extend(self.manner_in(&manner, flow));
                self.respond(now, key, &Method::Register, response);
                self.pay(now, &user, flow); // before he is called again
                self.tell_of_phones(events);
                self.begin_asking(now, &user);
            }
        }
    }

    /// Whether a message is of a call that runs, or answers us: its sender is not the one who guesses, or a party all the
    /// same.
    pub(super) fn is_of_a_call(&self, bytes: &[u8]) -> bool {
        match Message::parse(bytes, &self.config.limits) {
            Ok(Message::Request(request)) => self.leg_of(&request).is_some() || self.is_of_an_invite(&request),
            Ok(Message::Response(response)) => self.transactions.awaits(&response),
            Err(_) => false,
        }
    }

    /// A CANCEL, or the ACK of a refusal, of an INVITE that came: they bear no tag of ours, or of a leg that is over
    /// (RFC 3261 §9.1, §17.1.1.3).
    fn is_of_an_invite(&self, request: &Request) -> bool {
        let Ok(via) = request.headers.top_via() else { return false };
        matches!(request.method, Method::Cancel | Method::Ack) && self.transactions.cancels(request, &via)
    }
}
