//! Who must prove to be who he says, and whether a nonce is ours, alive and unspent (RFC 3261 §22, RFC 7616).
//!
//! Nonces are made so that they prove themselves: nothing is kept for a challenge, so strangers cannot fill the
//! memory by asking for them. Kept is only the highest count of nonces that proved somebody. A nonce is good for the
//! address that it was sent to (RFC 7616 §5.4): nobody can make others fail by putting their address on a datagram.
//! Left out: comparing the credentials' `uri` with the request URI (proxies on the way may rewrite it, §22.1;
//! the count already makes each proof good for one request), and `auth-int` (refused by `digest`).

use super::Endpoint;
use super::api::{Flow, Output};
use super::digest::{Asked, Challenge, Credentials};
use super::header::{Method, Name};
use super::message::{Misbehavior, Request, Response};
use super::registrar::Binding;
use super::transaction::ServerKey;
use super::uri::Host;
use crate::ids::Rng;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// Nonces that proved somebody and are still remembered, at most; beyond it the oldest are forgotten early, and
/// with them end (a phone is challenged once more).
const SPENT_NONCES: usize = 100_000;

/// Hexadecimal digits of the time that a nonce begins with.
const TIME_DIGITS: usize = 16;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Auth {
    secret: String,
    /// Nonce → highest count. A nonce begins with its time, so the first is the oldest.
    spent: BTreeMap<String, u32>,
    /// Nonces made before this are dead, whatever their age: their counts were forgotten.
    horizon: Instant,
}

/// What a request's credentials are worth before anybody looks at the password.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Proof {
    /// Worth asking the shell.
    Claimed(Credentials),
    /// None, or for another realm or algorithm.
    Missing,
    /// The nonce is too old, unknown, or was used with this count: he shall try again with a new one.
    Stale,
    /// 400.
    Malformed(Misbehavior),
}

impl Auth {
    pub fn new(rng: &mut Rng) -> Auth {
        Auth { secret: rng.hex(32), spent: BTreeMap::new(), horizon: Instant::ZERO }
    }

    /// A nonce made at `now` for `ip`: time, random, and a seal over all three.
    pub fn nonce(&self, now: Instant, ip: IpAddr, rng: &mut Rng) -> String {
        let open = format!("{:016x}{:016x}", now.0, rng.next_u64());
        let seal = self.seal(&format!("{open} {ip}"));
        open + &seal
    }

    fn seal(&self, text: &str) -> String {
        let sum = Sha256::new().chain_update(&self.secret).chain_update(text).finalize();
        sum[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The same tag for the same text, without remembering it (RFC 3261 §8.2.7).
    pub fn stateless_tag(&self, text: &str) -> String {
        self.seal(text)
    }

    /// When `nonce` was made, if we made it for `ip`.
    fn made(&self, nonce: &str, ip: IpAddr) -> Option<Instant> {
        let (open, seal) = nonce.split_at_checked(2 * TIME_DIGITS)?;
        let time = u64::from_str_radix(open.get(..TIME_DIGITS)?, 16).ok()?;
        (self.seal(&format!("{open} {ip}")) == seal).then_some(Instant(time))
    }

    fn is_fresh(&self, (now, ip): (Instant, IpAddr), life: Duration, credentials: &Credentials) -> bool {
        let alive = |made: Instant| made >= self.horizon && now.since(made) <= life;
        self.made(&credentials.nonce, ip).is_some_and(alive)
            && self.spent.get(&credentials.nonce).is_none_or(|highest| count(credentials) > *highest)
    }

    /// Spends the count of credentials that proved somebody; false if another request was faster.
    pub fn spend(&mut self, (now, ip): (Instant, IpAddr), life: Duration, credentials: &Credentials) -> bool {
        if !self.is_fresh((now, ip), life, credentials) {
            return false;
        }
        self.spent.insert(credentials.nonce.clone(), count(credentials));
        while let Some(oldest) = self.spent.first_entry() {
            let made = u64::from_str_radix(&oldest.key()[..TIME_DIGITS], 16).map(Instant).unwrap_or_default();
            if now.since(made) > life {
                oldest.remove();
            } else if self.spent.len() > SPENT_NONCES {
                self.horizon = Instant(made.0 + 1);
                self.spent.pop_first();
            } else {
                break;
            }
        }
        true
    }
}

/// RFC 7616 §3.4: the nonce count. Without qop there is none, and a nonce is good once.
fn count(credentials: &Credentials) -> u32 {
    credentials.qop_auth.as_ref().map_or(u32::MAX, |(count, _)| *count)
}

impl Endpoint {
    /// Looks at the credentials that `request` brings for our realm.
    pub(super) fn proof(&self, now: Instant, request: &Request, flow: Flow) -> Proof {
        let algorithm = self.config.listeners.get(usize::from(flow.listener)).map(|l| l.algorithm);
        for value in request.headers.all(&Name::Authorization) {
            match Credentials::parse(value) {
                Err(why @ Misbehavior::Authorization) => return Proof::Malformed(why),
                Err(_) => {}
                Ok(credentials) if credentials.realm != self.config.realm => {}
                Ok(credentials) if Some(credentials.algorithm) != algorithm => {}
                Ok(credentials)
                    if !self.auth.is_fresh((now, flow.remote.ip()), self.config.nonce_life, &credentials) =>
                {
                    return Proof::Stale;
                }
                Ok(credentials) => return Proof::Claimed(credentials),
            }
        }
        Proof::Missing
    }

    /// 401 with a new challenge. The same for users that we know and that we do not.
    pub(super) fn challenge(&mut self, now: Instant, key: ServerKey, request: &Request, flow: Flow, stale: bool) {
        let nonce = self.auth.nonce(now, flow.remote.ip(), &mut self.rng);
        let listener = self.config.listeners.get(usize::from(flow.listener)).unwrap_or(&self.config.listeners[0]);
        let mut challenge = Challenge::new(&self.config.realm, &nonce, listener.algorithm);
        challenge.stale = stale;
        let mut response = self.response(request, 401);
        response.headers.push(Name::WwwAuthenticate, challenge.to_string());
        self.respond(now, key, &request.method, response);
    }

    /// Asks the shell whether the credentials are right.
    pub(super) fn ask(&mut self, query: super::Query, credentials: Credentials, method: Method) -> u64 {
        let number = self.next_query(query);
        self.out.push_back(Output::Verify { query: number, credentials, method });
        number
    }

    /// Whether a call comes from a phone that is registered over this very flow, in the name that it is registered by.
    /// Behind a proxy, over whose flow others call too, it must also name the registered Contact: whom somebody else
    /// names there is told nothing.
    pub(super) fn is_own_phone(&self, request: &Request, flow: Flow) -> bool {
        let Ok(from) = request.headers.from() else { return false };
        let contact = request.headers.contact().ok().flatten();
        let (user, place) = (from.uri.user_decoded(), contact.map(|contact| contact.uri));
        let is_it = |binding: &Binding| {
            binding.user == user && (binding.path.is_empty() || place.as_ref() == Some(&binding.contact.uri))
        };
        self.registrar.over(flow).any(is_it)
    }

    /// Whether a host name or address means this endpoint.
    pub fn is_ours(&self, host: &Host) -> bool {
        let Some(ip) = host.ip() else {
            let name = host.to_string();
            return self.config.domains.iter().any(|domain| domain.eq_ignore_ascii_case(&name));
        };
        self.config.domains.iter().any(|domain| Host::parse(domain).as_ref() == Some(host))
            || self.config.listeners.iter().any(|listener| {
                let bind = listener.bind.ip();
                bind == ip || listener.advertised.ip() == ip || (bind.is_unspecified() && ip.is_loopback())
            })
    }
}

/// Where somebody asks for a proof, and where it is given.
const FIELDS: [(Name, Name); 2] =
    [(Name::WwwAuthenticate, Name::Authorization), (Name::ProxyAuthenticate, Name::ProxyAuthorization)];

/// The challenges in `response` that can be answered, each with the field for its answer: one for each realm, the first
/// that we know. Both kinds may stand in one response, of several who were asked (RFC 3261 §16.7, §22.3).
pub(super) fn challenges_in(request: &Request, response: &Response, attempt: u8) -> Vec<(Name, Challenge)> {
    let mut found: Vec<(Name, Challenge)> = Vec::new();
    if !matches!(response.status, 401 | 407) || attempt >= MAX_ATTEMPTS {
        return found;
    }
    for (asks, answers) in FIELDS {
        // RFC 3261 §22.2: no second try with credentials that were refused, unless only the nonce was old.
        let is_refused = |challenge: &Challenge| {
            !challenge.stale && proofs(request, &answers).any(|proof| proof.realm == challenge.realm)
        };
        for challenge in response.headers.all(&asks).filter_map(|value| Challenge::parse(value).ok()) {
            let is_known = found.iter().any(|(field, known)| *field == answers && known.realm == challenge.realm);
            if !is_known && found.len() < MAX_REALMS && !is_refused(&challenge) {
                found.push((answers.clone(), challenge));
            }
        }
    }
    found
}

/// What the next try proves, and the field of each answer: `challenges`, and again what `request` has proved in other
/// realms. A proxy that let it pass wants a count that it has not seen (RFC 7616 §3.4).
pub(super) fn asked(request: &Request, challenges: Vec<(Name, Challenge)>, cnonce: String) -> (Vec<Name>, Asked) {
    let mut all: Vec<(Name, (Challenge, u32))> = Vec::new();
    for (_, field) in FIELDS {
        let is_asked = |realm: &str| challenges.iter().any(|(at, asked)| *at == field && asked.realm == realm);
        let once_more = proofs(request, &field).filter(|proof| !is_asked(&proof.realm));
        all.extend(once_more.map(|proof| {
            let count = proof.qop_auth.as_ref().map_or(1, |(count, _)| count.saturating_add(1));
            (field.clone(), (Challenge::of(proof), count))
        }));
    }
    all.extend(challenges.into_iter().map(|(field, challenge)| (field, (challenge, 1))));
    let (fields, challenges) = all.into_iter().unzip();
    let (method, uri) = (request.method.clone(), request.uri.text());
    (fields, Asked { challenges, method, uri, cnonce })
}

/// What a request proves in a field.
fn proofs<'a>(request: &'a Request, field: &'a Name) -> impl Iterator<Item = Credentials> + 'a {
    request.headers.all(field).filter_map(|value| Credentials::parse(value).ok())
}

/// A second try with these proofs, each in its field, in place of all earlier ones; none if there are no proofs. The CSeq
/// is one higher; the Via is left to the transaction.
pub(super) fn answered(request: &Request, fields: &[Name], proofs: &[Credentials]) -> Option<Request> {
    if proofs.is_empty() {
        return None;
    }
    let mut request = request.clone();
    request.headers.remove_top_via();
    FIELDS.iter().for_each(|(_, field)| request.headers.remove(field));
    for (field, proof) in fields.iter().zip(proofs) {
        request.headers.push(field.clone(), proof.to_string());
    }
    let mut cseq = request.headers.cseq().ok()?;
    cseq.number += 1;
    request.headers.set(Name::CSeq, cseq.text());
    Some(request)
}

/// Realms answered at once, at most.
const MAX_REALMS: usize = 8;

/// Challenges answered for one request: of the called side and of three proxies, or fewer and some once stale.
const MAX_ATTEMPTS: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::digest::Algorithm;

    fn credentials(nonce: &str, nc: Option<u32>) -> Credentials {
        Credentials {
            username: "1001".into(),
            realm: "r".into(),
            nonce: nonce.into(),
            uri: "sip:r".into(),
            response: String::new(),
            algorithm: Algorithm::Md5,
            qop_auth: nc.map(|nc| (nc, "c".into())),
            opaque: None,
        }
    }

    #[test]
    fn a_nonce_is_good_for_rising_counts_within_its_life() {
        let mut rng = Rng::from_number(7);
        let mut auth = Auth::new(&mut rng);
        let life = Duration::from_secs(300);
        let at = |seconds: u64| Instant(seconds * 1_000_000_000);
        let (ip, elsewhere) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let nonce = auth.nonce(at(10), ip, &mut rng);
        let legacy = auth.nonce(at(10), ip, &mut rng);
        let moved = auth.nonce(at(10), elsewhere, &mut rng);
        let other = Auth::new(&mut rng).nonce(at(10), ip, &mut rng);
        let cut = nonce[..40].to_owned();
        let rows = [
            (11, &nonce, Some(1), true),
            (12, &nonce, Some(1), false), // replayed
            (12, &nonce, Some(3), true),
            (13, &nonce, Some(2), false), // came late
            (14, &legacy, None, true),
            (15, &legacy, None, false), // without count: once
            (16, &other, Some(1), false),
            (17, &cut, Some(1), false),
            (17, &moved, Some(1), false), // sent to another address
            (310, &nonce, Some(4), true),
            (311, &nonce, Some(5), false), // too old
        ];
        for (seconds, nonce, nc, expect) in rows {
            assert_eq!(auth.spend((at(seconds), ip), life, &credentials(nonce, nc)), expect, "at {seconds} s, {nc:?}");
        }
        let late = auth.nonce(at(400), ip, &mut rng);
        assert!(auth.spend((at(400), ip), life, &credentials(&late, Some(1))));
        assert_eq!(auth.spent.len(), 1, "old nonces are forgotten");
    }
}
