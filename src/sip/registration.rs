//! Our own registrations at registrars, refreshed before they expire (RFC 3261 §10.2): a phone's one, or one for each
//! trunk that wants it.
//!
//! A registration that persists (a trunk's) is tried again whatever the registrar says: carriers refuse for a while
//! what they take again later.

use super::api::{Account, Event, Flow};
use super::header::{Contacts, Method, Name, NameAddr};
use super::headers::parse_seconds;
use super::message::{Request, Response};
use super::route::Hop;
use super::transaction::{Errand, Outcome, Purpose};
use super::uri::Uri;
use super::{Deadline, Endpoint};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// The first pause after a failure; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// Within so long those are made again whose connections were cut for the first time.
const FIRST_SPREAD: Duration = Duration::from_secs(1);
/// A longer Retry-After is not believed: nobody shall take a trunk away for a day.
const LONGEST_REST: Duration = Duration::from_secs(300);

/// How often in a row a registration is asked for anew at once, with the time that the registrar wants (§10.3 step 7).
const MOST_RAISES: u32 = 2;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Registration {
    name: String,
    account: Account,
    registrar: Uri,
    /// Over which listener it is reached, where that is set.
    #[serde(default)]
    listener: Option<SocketAddr>,
    /// Seconds asked for; 0 once we are leaving.
    expires: u32,
    persists: bool,
    call_id: String,
    tag: String,
    cseq: u32,
    /// Failures in a row.
    failures: u32,
    /// How often in a row the registrar has found the time too short.
    #[serde(default)]
    raised: u32,
    /// A REGISTER is on its way; what comes to be wanted meanwhile is sent after it.
    sending: bool,
    changed: bool,
    /// The way over which it holds, since when, and how many were cut in a row soon after that.
    flow: Option<Flow>,
    since: Instant,
    cuts: u32,
}

/// All registrations of ours, by numbers of their own.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Registrations {
    all: BTreeMap<u64, Registration>,
    last: u64,
}

impl Registrations {
    fn number(&self, name: &str) -> Option<u64> {
        self.all.iter().find(|(_, registration)| registration.name == name).map(|(number, _)| *number)
    }

    /// The registration that a request over this flow comes through: its registrar's own connection, or address.
    pub fn over(&self, flow: Flow) -> Option<&str> {
        let over = self.all.values().filter(|registration| registration.is_over(flow));
        // Several may hold at one registrar, each over a listener of its own.
        let found = over.min_by_key(|registration| registration.flow.map(|way| way.listener) != Some(flow.listener));
        found.map(|registration| registration.name.as_str())
    }
}

impl Endpoint {
    /// `Command::Register`.
    pub(super) fn begin_registration(
        &mut self,
        now: Instant,
        name: String,
        (account, persists): (Account, bool),
        (registrar, listener): (Uri, Option<SocketAddr>),
        expires: u32,
    ) {
        let number = self.registrations.number(&name).unwrap_or(self.registrations.last + 1);
        self.registrations.last = self.registrations.last.max(number);
        let old = self.registrations.all.remove(&number);
        let sending = old.as_ref().is_some_and(|old| old.sending);
        let (cseq, call_id) = match old {
            Some(old) => (old.cseq, old.call_id), // §10.2: all of one phone's REGISTERs share the Call-ID.
            None => (0, self.rng.hex(16)),
        };
        let fresh = Registration {
            name,
            account,
            registrar,
            listener,
            expires,
            persists,
            call_id,
            tag: self.tag(),
            cseq,
            failures: 0,
            raised: 0,
            sending,
            changed: sending,
            flow: None,
            since: now,
            cuts: 0,
        };
        self.registrations.all.insert(number, fresh);
        self.send_register(now, number);
    }

    /// `Command::Unregister`.
    pub(super) fn end_registration(&mut self, now: Instant, name: &str) {
        let Some(number) = self.registrations.number(name) else { return };
        if let Some(registration) = self.registrations.all.get_mut(&number) {
            registration.expires = 0;
            registration.changed = registration.sending;
            self.send_register(now, number);
        }
    }

    pub(super) fn send_register(&mut self, now: Instant, number: u64) {
        let registration = self.registrations.all.get_mut(&number);
        let Some(registration) = registration.filter(|registration| !registration.sending) else { return };
        registration.sending = true;
        registration.cseq += 1;
        self.due.cancel(&Deadline::Refresh(number));
        let request = registration.request();
        let mut errand = Errand::new(Purpose::Register(number));
        errand.account = Some(Box::new(registration.account.clone()));
        errand.listener = registration.listener;
        // Refreshed the way it was made: a connection stays the registrar's way to us.
        let hop = Hop::Toward(registration.registrar.clone(), registration.flow);
        self.dispatch(now, request, hop, errand);
    }

    /// A challenge was answered with this CSeq.
    pub(super) fn registered_with(&mut self, number: u64, cseq: u32) {
        if let Some(registration) = self.registrations.all.get_mut(&number) {
            registration.cseq = registration.cseq.max(cseq);
        }
    }

    pub(super) fn registration_ended(
        &mut self,
        now: Instant,
        (number, at): (u64, Option<Flow>),
        request: &Request,
        outcome: Outcome,
    ) {
        let Some(registration) = self.registrations.all.get_mut(&number) else { return };
        registration.sending = false;
        if std::mem::take(&mut registration.changed) {
            return self.send_register(now, number);
        }
        let rest = match &outcome {
            Outcome::Response(response) => response.headers.retry_after(),
            _ => None,
        };
        let status = match &outcome {
            Outcome::Response(response) => response.status,
            Outcome::Timeout { .. } => 408,
            Outcome::TransportFailed { .. } => 503,
            Outcome::Unresolved => 404,
        };
        match &outcome {
            Outcome::Response(response) if status < 300 => {
                if registration.flow.is_none() {
                    registration.since = now;
                }
                registration.flow = at;
                self.registered(now, number, request, response);
            }
            // A registrar that raises its minimum each time is asked again later, like any other that refuses.
            Outcome::Response(response)
                if status == 423 && registration.raised < MOST_RAISES && raise(registration, response) =>
            {
                registration.raised += 1;
                self.send_register(now, number);
            }
            _ => self.register_failed(now, number, status, rest),
        }
    }

    fn registered(&mut self, now: Instant, number: u64, request: &Request, response: &Response) {
        let Some(registration) = self.registrations.all.get_mut(&number) else { return };
        let name = registration.name.clone();
        if registration.expires == 0 {
            self.registrations.all.remove(&number);
            return self.tell(Event::Registered { name, expires: 0 });
        }
        (registration.failures, registration.raised) = (0, 0);
        let expires = granted(request, response).unwrap_or(registration.expires);
        // Early enough for one failed try: a fifth of the time, but at most a minute, before the end.
        let early = (expires / 5).min(60).max(u32::from(expires > 1));
        let wait = Duration::from_secs(u64::from(expires.saturating_sub(early).max(1)));
        self.due.set(Deadline::Refresh(number), now + wait);
        self.tell(Event::Registered { name, expires });
    }

    /// `rest`: the registrar's Retry-After in seconds (RFC 3261 §20.33).
    fn register_failed(&mut self, now: Instant, number: u64, status: u16, rest: Option<u32>) {
        let Some(registration) = self.registrations.all.get_mut(&number) else { return };
        let name = registration.name.clone();
        registration.failures += 1;
        (registration.flow, registration.raised) = (None, 0);
        let may_pass = status == 408 || (500..600).contains(&status) || registration.persists;
        if registration.expires == 0 || !may_pass {
            self.registrations.all.remove(&number);
        } else {
            let rest = Duration::from_secs(rest.unwrap_or_default().into()).min(LONGEST_REST);
            let pause = pause_after(registration.failures).max(rest);
            self.due.set(Deadline::Refresh(number), now + pause);
        }
        self.tell(Event::RegistrationFailed { name, status });
    }

    /// The connection that a registration held over is gone, and calls do not come any more: it is made again over another
    /// one, within a second; but a registrar that closes each soon is asked ever more slowly (RFC 5626 §4.5). Never by all
    /// at the same time: one that serves many trunks and is started again is not met by all of them at once.
    pub(super) fn registration_lost(&mut self, now: Instant, flow: Flow) {
        let over = |registration: &Registration| flow.transport.is_reliable() && registration.is_over(flow);
        let lost: Vec<u64> =
            self.registrations.all.iter().filter(|(_, one)| over(one)).map(|(number, _)| *number).collect();
        for number in lost {
            let Some(registration) = self.registrations.all.get_mut(&number) else { continue };
            registration.flow = None;
            if registration.sending {
                continue; // its refresh fails with the connection, or is answered over another
            }
            let name = registration.name.clone();
            let again = now.since(registration.since) <= MAX_PAUSE && registration.cuts > 0;
            registration.cuts = if again { registration.cuts + 1 } else { 1 };
            let pause = if again { pause_after(registration.cuts - 1) } else { Duration::ZERO };
            let spread = if again { pause / 2 } else { FIRST_SPREAD };
            self.due.set(Deadline::Refresh(number), now + pause + spread.mul_f64(self.rng.unit()));
            self.tell(Event::RegistrationFailed { name, status: 503 });
        }
    }
}

/// How long it is waited after so many failures in a row.
fn pause_after(failures: u32) -> Duration {
    (FIRST_PAUSE * 2u32.pow(failures.saturating_sub(1).min(5))).min(MAX_PAUSE)
}

impl Registration {
    /// A connection of ours has a number only once something has come over it.
    fn is_over(&self, flow: Flow) -> bool {
        self.flow.is_some_and(|way| {
            let same = if way.connection == 0 { way.remote == flow.remote } else { way.connection == flow.connection };
            same && way.transport == flow.transport
        })
    }

    /// §10.2: Request-URI without user, To and From our address of record. The Contact is added on the way.
    fn request(&self) -> Request {
        let registrar = &self.registrar;
        let mut uri = Uri::sip("", registrar.host.clone(), registrar.port);
        uri.scheme = registrar.scheme.clone();
        uri.params = registrar.params.clone();
        let record = NameAddr::new(Uri::sip(&self.account.user, registrar.host.clone(), registrar.port));
        let mut from = record.clone();
        from.set_tag(&self.tag);
        let mut request = Request::new(Method::Register, uri);
        let headers = &mut request.headers;
        headers.push(Name::MaxForwards, "70");
        headers.push(Name::From, from.text());
        headers.push(Name::To, record.text());
        headers.push(Name::CallId, self.call_id.as_str());
        headers.push(Name::CSeq, format!("{} REGISTER", self.cseq));
        headers.push(Name::Expires, self.expires.to_string());
        request
    }
}

/// 423: asks for as much as the registrar wants; false if it wants nothing more.
fn raise(registration: &mut Registration, response: &Response) -> bool {
    let wanted = response.headers.get(&Name::MinExpires).and_then(parse_seconds).unwrap_or(0);
    let more = wanted > registration.expires && registration.expires > 0;
    if more {
        registration.expires = wanted;
    }
    more
}

/// What the registrar granted to our Contact (§10.2.4). Somebody on the way may have changed its address: if there is only
/// one, it is ours.
fn granted(request: &Request, response: &Response) -> Option<u32> {
    let ours = request.headers.contact().ok()??.uri;
    let contacts = match response.headers.contacts().ok()? {
        Contacts::List(contacts) => contacts,
        Contacts::Star => return None,
    };
    let own = contacts.iter().find(|contact| contact.uri.equivalent(&ours));
    let own = own.or_else(|| contacts.first().filter(|_| contacts.len() == 1));
    let expires = own.and_then(|contact| parse_seconds(contact.params.text("expires")?));
    expires.or_else(|| response.headers.expires()).filter(|seconds| *seconds > 0)
}
