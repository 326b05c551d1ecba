//! Our own registration at a registrar, refreshed before it expires (RFC 3261 §10.2).
//!
//! One at a time: a phone, or the simulator's person. Carriers' trunks need several; that is the next step.

use super::api::{Account, Event};
use super::header::{Contacts, Method, Name, NameAddr};
use super::headers::parse_seconds;
use super::message::{Request, Response};
use super::route::Hop;
use super::transaction::{Errand, Outcome, Purpose};
use super::uri::Uri;
use super::{Deadline, Endpoint};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The first pause after a failure; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const MAX_PAUSE: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Registration {
    account: Account,
    registrar: Uri,
    /// Seconds asked for; 0 once we are leaving.
    expires: u32,
    call_id: String,
    tag: String,
    cseq: u32,
    /// Failures in a row.
    failures: u32,
    /// A REGISTER is on its way; what comes to be wanted meanwhile is sent after it.
    sending: bool,
    changed: bool,
}

impl Endpoint {
    /// `Command::Register`.
    pub(super) fn begin_registration(&mut self, now: Instant, account: Account, registrar: Uri, expires: u32) {
        let sending = self.registration.as_ref().is_some_and(|old| old.sending);
        let (cseq, call_id) = match self.registration.take() {
            Some(old) => (old.cseq, old.call_id), // §10.2: all of one phone's REGISTERs share the Call-ID.
            None => (0, self.rng.hex(16)),
        };
        let tag = self.tag();
        let changed = sending;
        let fresh = Registration { account, registrar, expires, call_id, tag, cseq, failures: 0, sending, changed };
        self.registration = Some(fresh);
        self.send_register(now);
    }

    /// `Command::Unregister`.
    pub(super) fn end_registration(&mut self, now: Instant) {
        if let Some(registration) = &mut self.registration {
            registration.expires = 0;
            registration.changed = registration.sending;
            self.send_register(now);
        }
    }

    pub(super) fn send_register(&mut self, now: Instant) {
        let Some(registration) = self.registration.as_mut().filter(|registration| !registration.sending) else {
            return;
        };
        registration.sending = true;
        registration.cseq += 1;
        self.due.cancel(&Deadline::Refresh);
        let request = registration.request();
        let mut errand = Errand::new(Purpose::Register);
        errand.account = Some(Box::new(registration.account.clone()));
        let hop = Hop::Toward(registration.registrar.clone(), None);
        self.dispatch(now, request, hop, errand);
    }

    /// A challenge was answered with this CSeq.
    pub(super) fn registered_with(&mut self, number: u32) {
        if let Some(registration) = &mut self.registration {
            registration.cseq = registration.cseq.max(number);
        }
    }

    pub(super) fn registration_ended(&mut self, now: Instant, request: &Request, outcome: Outcome) {
        let Some(registration) = &mut self.registration else { return };
        registration.sending = false;
        if std::mem::take(&mut registration.changed) {
            return self.send_register(now);
        }
        let status = match &outcome {
            Outcome::Response(response) => response.status,
            Outcome::Timeout { .. } => 408,
            Outcome::TransportFailed => 503,
            Outcome::Unresolved => 404,
        };
        match &outcome {
            Outcome::Response(response) if status < 300 => self.registered(now, request, response),
            Outcome::Response(response) if status == 423 && raise(registration, response) => self.send_register(now),
            _ => self.register_failed(now, status),
        }
    }

    fn registered(&mut self, now: Instant, request: &Request, response: &Response) {
        let Some(registration) = &mut self.registration else { return };
        if registration.expires == 0 {
            self.registration = None;
            return self.tell(Event::Registered { expires: 0 });
        }
        registration.failures = 0;
        let expires = granted(request, response).unwrap_or(registration.expires);
        // Early enough for one failed try: a fifth of the time, but at most a minute, before the end.
        let early = (expires / 5).min(60).max(u32::from(expires > 1));
        let wait = Duration::from_secs(u64::from(expires.saturating_sub(early).max(1)));
        self.due.set(Deadline::Refresh, now + wait);
        self.tell(Event::Registered { expires });
    }

    fn register_failed(&mut self, now: Instant, status: u16) {
        let Some(registration) = &mut self.registration else { return };
        registration.failures += 1;
        let may_pass = status == 408 || (500..600).contains(&status);
        if registration.expires == 0 || !may_pass {
            self.registration = None;
        } else {
            let pause = FIRST_PAUSE * 2u32.pow((registration.failures - 1).min(5));
            self.due.set(Deadline::Refresh, now + pause.min(MAX_PAUSE));
        }
        self.tell(Event::RegistrationFailed { status });
    }
}

impl Registration {
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

/// What the registrar granted to our Contact (§10.2.4).
fn granted(request: &Request, response: &Response) -> Option<u32> {
    let ours = request.headers.contact().ok()??.uri;
    let contacts = match response.headers.contacts().ok()? {
        Contacts::List(contacts) => contacts,
        Contacts::Star => return None,
    };
    let own = contacts.iter().find(|contact| contact.uri.equivalent(&ours));
    let expires = own.and_then(|contact| parse_seconds(contact.params.text("expires")?));
    expires.or_else(|| response.headers.expires()).filter(|seconds| *seconds > 0)
}
