//! Who gets in: is there room for a call, has a user proven himself, and what his REGISTER then does.

use super::api::{Flow, Output, Source};
use super::auth::Proof;
use super::digest::Credentials;
use super::header::{Method, Name};
use super::message::Request;
use super::transaction::ServerKey;
use super::uas::FULL_RETRY;
use super::{Endpoint, Query, Serving};
use crate::time::Instant;

impl Endpoint {
    /// A new call: is there room, and who is it?
    pub(super) fn admit(&mut self, now: Instant, key: ServerKey, flow: Flow, request: Request) {
        let is_full =
            self.legs.len() >= self.config.capacity.legs || self.queries.len() >= self.config.capacity.queries;
        if let Some(seconds) = self.draining.or(is_full.then_some(FULL_RETRY)) {
            self.stats.overloads += 1;
            let mut response = self.response(&request, 503);
            response.headers.push(Name::RetryAfter, seconds.to_string());
            return self.respond(now, key, &Method::Invite, response);
        }
        let trunk = self.trunk_at(flow);
        let claimed = self.claimed_user(&request).filter(|_| trunk.is_none());
        match self.proof(now, &request, flow) {
            Proof::Malformed(why) => self.refuse(now, key, &request, why.status()),
            Proof::Stale => self.challenge_stale(now, key, &request, flow),
            Proof::Claimed(credentials) if claimed.as_ref().is_none_or(|user| *user == credentials.username) => {
                let query = Query::Caller { server: key, request: Box::new(request), flow, proof: credentials.clone() };
                let number = self.ask(query, credentials, Method::Invite);
                self.serving.insert(key, Serving::Query(number));
            }
            Proof::Claimed(_) => {
                self.stats.auth_failures += 1;
                self.challenge(now, key, &request, flow, false);
            }
            Proof::Missing if let Some(trunk) = trunk => {
                self.invited(now, (key, flow), request, Source::Trunk(trunk));
            }
            Proof::Missing if claimed.is_some() => self.challenge(now, key, &request, flow, false),
            Proof::Missing => self.invited(now, (key, flow), request, Source::Stranger),
        }
    }

    /// A REGISTER is always challenged (§10.3 steps 3 and 4). The To URI's host does not matter: phones know us
    /// under addresses that we do not.
    pub(super) fn admit_phone(&mut self, now: Instant, key: ServerKey, flow: Flow, request: Request) {
        let user = request.headers.to().map(|to| to.uri.user_decoded()).unwrap_or_default();
        match self.proof(now, &request, flow) {
            _ if self.queries.len() >= self.config.capacity.queries => self.refuse(now, key, &request, 503),
            Proof::Malformed(why) => self.refuse(now, key, &request, why.status()),
            Proof::Missing => self.challenge(now, key, &request, flow, false),
            Proof::Stale => self.challenge_stale(now, key, &request, flow),
            Proof::Claimed(credentials) if credentials.username == user => {
                let query = Query::Phone { server: key, request: Box::new(request), flow, proof: credentials.clone() };
                self.ask(query, credentials, Method::Register);
            }
            Proof::Claimed(_) => {
                self.stats.auth_failures += 1;
                self.challenge(now, key, &request, flow, false);
            }
        }
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
        if !ok || trunk.is_none() && !self.config.users.contains(&proof.username) {
            self.stats.auth_failures += 1;
            self.challenge(now, key, &request, flow, false);
        } else if !self.auth.spend(now, self.config.nonce_life, &proof) {
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
        match self.registrar.register(now, (&user, flow), request, times, at_most) {
            Err(refused) => {
                let mut response = self.response(request, refused.status);
                if let Some(seconds) = refused.min_expires {
                    response.headers.push(Name::MinExpires, seconds.to_string());
                }
                self.respond(now, key, &Method::Register, response);
            }
            Ok(events) => {
                let mut response = self.response(request, 200);
                response.headers.0.extend(self.registrar.listing(now, &user));
                self.respond(now, key, &Method::Register, response);
                self.out.extend(events.into_iter().map(Output::Event));
                self.begin_asking(now, &user);
            }
        }
    }
}
