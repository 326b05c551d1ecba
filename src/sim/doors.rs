//! What carriers want before they take a call: a registration that holds, and proof of who calls (RFC 3261 §10, §22).
//!
//! Written apart from the endpoint's own registrar and challenges, so that a mistake there cannot hide itself; the
//! arithmetic of Digest alone is the same, which the RFCs' vectors prove. A carrier keeps nothing for a challenge: a nonce
//! tells when it was made. Some are old when they are given, so that a second one follows that says so (`stale`).

use super::carriers::{Mood, name_of};
use super::checks::Check;
use super::{ENGINE, World, parties};
use crate::event::{Event, TrunkProblem, What};
use crate::ids::{Rng, TrunkId};
use crate::sip::digest::{self, Challenge, Credentials};
use crate::sip::frame::Limits;
use crate::sip::header::{Method, Name};
use crate::sip::message::{Message, Request, Response};
use crate::time::Instant;
use std::time::Duration;

/// How long a nonce may be used: longer than a request is repeated.
const NONCE_LIFE: Duration = Duration::from_secs(60);
/// How long a refusal may be on its way.
const REFUSAL_ARRIVES_WITHIN: Duration = Duration::from_secs(40);
/// A registration that is asked for, over a bad wire and after a long trouble, is there within this: a REGISTER that gets
/// no answer is given up after 32 s, and the next one follows after 60 s at most.
const REGISTERED_WITHIN: Duration = Duration::from_secs(32 + 60 + 32 + 10);
/// The To tags of a carrier's own answers begin so; lines have others.
const TAG: &str = "door";

/// What one carrier wants.
#[derive(Clone, Debug, Default)]
pub(super) struct Door {
    /// The status that it challenges calls with: 401 or 407.
    pub challenges: Option<u16>,
    /// It challenges what follows in a call, too.
    pub strict: bool,
    /// Without a registration it takes no call.
    pub registers: bool,
    /// The shortest registration that it grants, in seconds.
    least: u32,
    holds_until: Option<Instant>,
    /// Since when it works, and the engine runs: whichever was later.
    since: Instant,
    refused: Option<Instant>,
}

/// What becomes of a request.
enum Verdict {
    GoesOn,
    IsOver,
    Gets(Box<Response>),
}

impl Door {
    /// Doors of so many carriers; this share of them wants proof, and the same share, others perhaps, a registration.
    pub fn drawn(carriers: u32, share: f64, rng: &mut Rng) -> Vec<Door> {
        let first = [rng.below(carriers.into()) as u32, rng.below(carriers.into()) as u32];
        let wants = |n: u32, first: u32| f64::from((n + first) % carriers) < share * f64::from(carriers);
        let mut door = |n| Door {
            challenges: wants(n, first[0]).then(|| if rng.chance(0.7) { 407 } else { 401 }),
            strict: rng.chance(0.5),
            registers: wants(n, first[1]),
            least: [60, 90, 240][rng.below(3) as usize],
            ..Door::default()
        };
        (0..carriers).map(&mut door).collect()
    }

    /// Its process has died, and forgot who was registered.
    pub fn forgets(&mut self) {
        self.holds_until = None;
    }

    /// The carrier works again, or the engine is started.
    pub fn opens(&mut self, now: Instant) {
        self.since = now;
    }

    fn holds(&self, now: Instant) -> bool {
        self.holds_until.is_some_and(|until| until >= now)
    }

    pub fn refuses(&mut self, now: Instant) {
        self.refused = Some(now);
    }
}

impl World {
    /// Looks at a message for a carrier; true if it goes on to one of its lines.
    pub(super) fn passes_door(&mut self, gateway: u32, mood: Mood, bytes: &[u8]) -> bool {
        let Ok(Message::Request(request)) = Message::parse(bytes, &Limits::default()) else { return true };
        let verdict = match request.method {
            Method::Register => self.registers(gateway, mood, &request),
            Method::Ack if request.headers.to_tag().is_some_and(|tag| tag.starts_with(TAG)) => Verdict::IsOver,
            Method::Invite | Method::Bye => self.calls(gateway, &request),
            _ => Verdict::GoesOn,
        };
        match verdict {
            Verdict::GoesOn => true,
            Verdict::IsOver => false,
            Verdict::Gets(response) => {
                self.send(parties::address(gateway), ENGINE, response.to_bytes());
                false
            }
        }
    }

    fn calls(&mut self, gateway: u32, request: &Request) -> Verdict {
        let now = self.now;
        let Some(door) = self.carriers.door(gateway) else { return Verdict::GoesOn };
        let (is_new, challenges) = (request.headers.to_tag().is_none(), door.challenges);
        if is_new && door.registers && !door.holds(now) {
            door.refuses(now);
            self.check_registered(gateway);
            return answer(request, 403);
        }
        let door = self.carriers.door(gateway).expect("it was there");
        let wanted = challenges.filter(|_| is_new || door.strict);
        wanted.map_or(Verdict::GoesOn, |status| self.proves(gateway, status, request).unwrap_or(Verdict::GoesOn))
    }

    /// A registrar as RFC 3261 §10.3 describes it, of one user.
    fn registers(&mut self, gateway: u32, mood: Mood, request: &Request) -> Verdict {
        if let Mood::Refuses(status) = mood {
            return answer(request, status);
        }
        if let Some(challenge) = self.proves(gateway, 401, request) {
            return challenge;
        }
        let Some(contact) = request.headers.get(&Name::Contact).map(str::to_owned) else { return answer(request, 400) };
        let wanted = request.headers.expires().unwrap_or(3_600);
        let now = self.now;
        let Some(door) = self.carriers.door(gateway) else { return Verdict::IsOver };
        if wanted > 0 && wanted < door.least {
            let mut response = Response::to_request(request, 423, Some(TAG));
            response.headers.push(Name::MinExpires, door.least.to_string());
            return Verdict::Gets(Box::new(response));
        }
        door.holds_until = (wanted > 0).then(|| now + Duration::from_secs(wanted.into()));
        let mut response = Response::to_request(request, 200, Some(TAG));
        response.headers.push(Name::Contact, format!("{contact};expires={wanted}"));
        Verdict::Gets(Box::new(response))
    }

    /// None if the request proves that it comes from us.
    fn proves(&mut self, gateway: u32, status: u16, request: &Request) -> Option<Verdict> {
        let (asks, field) = match status {
            407 => (Name::ProxyAuthenticate, Name::ProxyAuthorization),
            _ => (Name::WwwAuthenticate, Name::Authorization),
        };
        let realm = name_of(gateway);
        let given = request.headers.get(&field).map(Credentials::parse);
        let fresh =
            given.as_ref().and_then(|given| self.made(given.as_ref().ok()?)).is_some_and(|age| age <= NONCE_LIFE);
        match given {
            Some(Ok(credentials)) if fresh => {
                let ha1 = digest::ha1(credentials.algorithm, &user_at(&realm), &realm, &parties::password(&realm));
                let right = credentials.realm == realm
                    && credentials.username == user_at(&realm)
                    // RFC 7616 §3.4.6: of this request, and the first with this nonce.
                    && credentials.uri == request.uri.to_string()
                    && credentials.qop_auth.as_ref().is_none_or(|(count, _)| *count == 1)
                    && credentials.verify(&ha1, &request.method);
                self.tally.must(Check::ProofGiven, right, || {
                    format!("{realm} was given a wrong proof in a {}", request.method)
                });
                (!right).then(|| answer(request, 403))
            }
            given => {
                let age = if given.is_none() && self.rng.chance(0.2) { 2 * NONCE_LIFE } else { Duration::ZERO };
                let made = self.now.0.saturating_sub(age.as_nanos() as u64);
                let algorithm = [digest::Algorithm::Md5, digest::Algorithm::Sha256][self.rng.below(2) as usize];
                let nonce = format!("{made:016x}{:08x}", self.rng.next_u64() as u32);
                let mut challenge = Challenge::new(&realm, &nonce, algorithm);
                challenge.stale = given.is_some();
                let mut response = Response::to_request(request, status, Some(TAG));
                response.headers.push(asks, challenge.to_string());
                Some(Verdict::Gets(Box::new(response)))
            }
        }
    }

    /// How old a nonce is.
    fn made(&self, credentials: &Credentials) -> Option<Duration> {
        let made = u64::from_str_radix(credentials.nonce.get(..16)?, 16).ok()?;
        Some(self.now.since(Instant(made)))
    }

    /// A carrier that wants a registration has one, but for a while after a trouble, ours or its own.
    pub(super) fn check_registered(&mut self, gateway: u32) {
        let Some(door) = self.carriers.door(gateway).filter(|door| door.registers) else { return };
        let (now, registered, since, least) = (self.now, door.holds(self.now), door.since, door.least);
        let trunk = TrunkId::new(&name_of(gateway));
        let life = self.configuration.center.trunks[&trunk].register.unwrap_or_default();
        let life = life.max(Duration::from_secs(least.into()));
        let holds = registered || now.since(since) <= life + REGISTERED_WITHIN;
        self.tally.must(Check::Registered, holds, || {
            format!("we are not registered at {trunk}, which takes registrations for {:?}", now.since(since))
        });
    }

    /// What the log says of carriers is what they have said.
    pub(super) fn check_said_by_carriers(&mut self, event: &Event) {
        let (now, name) = (self.now, |trunk: &TrunkId| trunk.to_string());
        match &event.what {
            What::TrunkRegistered { trunk, holds: true } => {
                let Some(door) = self.carriers.door_named(&name(trunk)) else { return };
                let granted = door.holds(now);
                self.tally.must(Check::Registered, granted, || format!("{trunk} has granted no registration"));
            }
            What::TrunkFailed { trunk, why: TrunkProblem::Refused, .. } => {
                let Some(door) = self.carriers.door_named(&name(trunk)) else { return };
                let refused = door.refused.is_some_and(|at| now.since(at) <= REFUSAL_ARRIVES_WITHIN);
                self.tally.must(Check::ProofGiven, refused, || format!("{trunk} has refused nothing"));
            }
            _ => {}
        }
    }
}

fn answer(request: &Request, status: u16) -> Verdict {
    Verdict::Gets(Box::new(Response::to_request(request, status, Some(TAG))))
}

/// As whom we answer challenges.
pub(super) fn user_at(carrier: &str) -> String {
    format!("center-at-{carrier}")
}
