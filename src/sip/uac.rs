//! Calling: our INVITE until its dialog or its failure (RFC 3261 §13.2, §9.1), and ending what we called.
//!
//! A redirection (3xx) is a failure with its status: whoever called decides.

use super::api::{Account, Body, Event, FailureCause, Flow, Output, Reason};
use super::dialog::DialogRecord;
use super::header::{Headers, Method, Name, NameAddr};
use super::leg::{Calling, Early, Leaving, Leg, Talking};
use super::message::{Request, Response};
use super::route::Hop;
use super::transaction::{ClientKey, Errand, Purpose, fresh_branch};
use super::uri::Uri;
use super::{Ack, Endpoint, stats};
use crate::ids::LegId;
use crate::time::Instant;
use std::net::SocketAddr;

/// What somebody is called with, apart from who and how.
pub(super) struct Invitation {
    pub uri: Uri,
    pub from: NameAddr,
    pub to: NameAddr,
    pub offer: Option<Body>,
    pub headers: Vec<(String, String)>,
}

impl Endpoint {
    /// `Command::Invite`.
    pub(super) fn call(
        &mut self,
        now: Instant,
        leg: LegId,
        (mut flow, listener): (Option<Flow>, Option<SocketAddr>),
        account: Option<Account>,
        mut invitation: Invitation,
    ) {
        if self.is_gruu(&invitation.uri) {
            let Some(binding) = self.registrar.named(&invitation.uri) else {
                let why = FailureCause::Status;
                return self.tell(Event::Failed { leg, status: 480, reason: None, retry_after: None, why });
            };
            flow = Some(binding.flow); // RFC 5627 §5.4: the Contact takes the GRUU's place.
            invitation.uri = binding.contact.uri.clone();
        }
        let local_tag = self.tag();
        invitation.from.set_tag(&local_tag);
        let call_id = self.rng.hex(16);
        let uri = invitation.uri.clone();
        let local = invitation.offer.clone();
        let allow = if self.config.takes_refer { format!("{ALLOW}, REFER") } else { ALLOW.to_owned() };
        let mut request = invitation.into_request(&call_id, &allow);
        self.ask_for_timer(&mut request.headers);
        self.by_tag.insert(local_tag.clone(), leg);
        self.legs.insert(leg, Leg::Calling(Box::new(Calling::new(local_tag, None, local))));
        let mut errand = Errand::new(Purpose::Call(leg));
        errand.account = account.map(Box::new);
        errand.listener = listener;
        errand.pinned = flow.is_some();
        errand.user = flow.and_then(|flow| self.user_at(&request.uri, flow));
        errand.spare = flow.map(|flow| self.lead_to(&mut request, flow)).unwrap_or_default();
        if let Some((flow, other)) = flow.and_then(|flow| Some((flow, self.wished_way(&uri, flow)?))) {
            errand.spare.push(flow.into()); // RFC 3263 §4.3: where he cannot be reached so, the way he came is left.
            return self.dispatch(now, request, Hop::Over(other), errand);
        }
        let hop = flow.map_or(Hop::Toward(uri, None), Hop::Over);
        self.dispatch(now, request, hop, errand);
    }

    /// The INVITE of `leg` now runs in this transaction, or waits to be sent again in another one.
    pub(super) fn calls_with(&mut self, leg: LegId, key: Option<ClientKey>) {
        if let Some(Leg::Calling(calling)) = self.legs.find_mut(&leg) {
            calling.client = key;
        }
    }

    /// Whether the leg's INVITE runs in this transaction: a leg may have hung up on an earlier one and call anew.
    pub(super) fn is_current(&self, leg: LegId, key: ClientKey) -> bool {
        matches!(self.legs.get(&leg), Some(Leg::Calling(calling)) if calling.client == Some(key))
    }

    /// Whether the called party, or a server on the way to it, has reacted to the leg's INVITE, be it by a 100.
    pub fn is_under_way(&self, leg: LegId) -> bool {
        match self.legs.get(&leg) {
            Some(Leg::Calling(calling)) => calling.client.is_some_and(|key| self.transactions.is_answered(key)),
            _ => false,
        }
    }

    /// Whether the leg's INVITE can go elsewhere, should it stay unheard where it is.
    pub fn has_another_way(&self, leg: LegId) -> bool {
        self.unheard(leg).is_some()
    }

    /// The leg's INVITE, if nobody has reacted to it and there is another way.
    fn unheard(&self, leg: LegId) -> Option<ClientKey> {
        let Some(Leg::Calling(calling)) = self.legs.get(&leg) else { return None };
        let key = calling.client.filter(|key| !self.transactions.is_answered(*key))?;
        self.transactions.errand(key).filter(|(_, errand)| !errand.spare.is_empty()).map(|_| key)
    }

    pub(super) fn go_on(&mut self, leg: LegId) {
        if let Some(key) = self.unheard(leg) {
            self.transactions.give_up(key);
        }
    }

    pub(super) fn provisional(&mut self, now: Instant, key: ClientKey, purpose: Purpose, response: Response) {
        if let Some(reason) = self.cancelling.remove(&key) {
            self.transactions.cancel(now, key, reason); // §9.1: now there is something to cancel.
        } else if let Purpose::Call(leg) = purpose
            && response.status > 100
            && self.is_current(leg, key)
        {
            self.progressed(now, key, leg, response);
        }
    }

    /// Who repeats his 2xx over a new connection has not got its ACK because the old one broke: it goes over the new one.
    pub(super) fn acknowledge_over(&mut self, flow: Flow, response: &Response) {
        let may = flow.transport.is_reliable() && (200..300).contains(&response.status);
        let key = may.then(|| self.transactions.client_of(response)).flatten();
        let tag = response.headers.to_tag().unwrap_or_default();
        let Some(acks) = key.and_then(|key| self.acks.get(&key)) else { return };
        let Some(place) = acks.iter().position(|ack| ack.remote_tag == tag && !self.lives(ack.flow)) else { return };
        key.and_then(|key| self.acks.find_mut(&key)).into_iter().for_each(|acks| acks[place].flow = flow);
    }

    /// A 2xx to an INVITE of ours: the first makes the dialog, a repetition gets its ACK again, and one that
    /// nobody wants (another fork, or we had hung up) gets ACK and BYE (§13.2.2.4).
    pub(super) fn accepted(&mut self, now: Instant, key: ClientKey, flow: Flow, errand: Errand, response: Response) {
        let acks = self.acks.or_default(key);
        let tag = response.headers.to_tag().unwrap_or_default();
        if let Some(ack) = acks.iter().find(|ack| ack.remote_tag == tag) {
            let repeated = Output::Send { flow: ack.flow, bytes: ack.bytes.clone() };
            self.out.extend(Some(repeated).filter(|_| !ack.bytes.is_empty()));
            return;
        }
        let is_first = acks.is_empty();
        if acks.len() >= self.config.capacity.forks {
            return;
        }
        let reason = self.cancelling.remove(&key).flatten().or(errand.reason);
        let sent = self.transactions.sent(key);
        let alive = sent.map(|sent| self.registrar.heard((flow, &sent.uri), &sent.headers, true));
        self.out.extend(alive.into_iter().flatten().map(Output::Event));
        let contact = sent.and_then(|sent| sent.headers.get(&Name::Contact)).unwrap_or_default().to_owned();
        let dialog = DialogRecord::of_response(&response, contact, flow, errand.pinned);
        let (user, account) = (self.user_called(sent, flow), self.account_kept(errand.account.as_deref()));
        let mut dialog = DialogRecord { user, account, ..dialog };
        match errand.purpose {
            Purpose::Reoffer(leg) => self.reoffer_accepted(now, key, leg, (dialog, response)),
            Purpose::Call(leg) if is_first && self.is_current(leg, key) => {
                let early = self.end_early(leg, &mut dialog);
                let mut talking = Talking::new(dialog, errand.account);
                talking.owner = true;
                talking.takes_update = response.headers.lists(&Name::Allow, Method::Update.as_str());
                let agreed = self.agreed_timer(now, key, &response);
                self.established(key, leg, (talking, early), response);
                self.set_timer(now, leg, agreed);
            }
            _ => {
                self.acknowledge(key, &dialog, None);
                let mut bye = dialog.request(Method::Bye);
                reason.into_iter().for_each(|reason| bye.headers.push(Name::Reason, reason));
                self.end(now, bye, &dialog, errand.account);
            }
        }
    }

    fn established(
        &mut self,
        key: ClientKey,
        leg: LegId,
        (mut talking, early): (Talking, Option<Early>),
        response: Response,
    ) {
        let had_offer = self.transactions.sent(key).is_some_and(|sent| sent.headers.has(&Name::ContentType));
        let body = match early.filter(|early| early.agreed) {
            Some(early) => early.answer, // RFC 3262 §5: what the 2xx says once more is no news.
            None => body_of(&response.headers, response.body),
        };
        if !had_offer && body.is_some() {
            talking.owes_ack = Some(key);
            let (flow, remote_tag) = (talking.dialog.flow, talking.dialog.remote_tag.clone());
            self.acks.or_default(key).push(Ack { remote_tag, flow, bytes: Vec::new() });
        } else {
            self.acknowledge(key, &talking.dialog, None);
        }
        let dialog = talking.dialog.clone();
        if let Some(Leg::Calling(calling)) = self.legs.find_mut(&leg) {
            talking.local = calling.local.take();
            (talking.ours, talking.theirs) = (calling.ours.take(), calling.theirs.take());
        }
        self.legs.insert(leg, Leg::Talking(Box::new(talking)));
        self.tell(Event::Established { leg, body, dialog });
    }

    /// Sends the ACK for a 2xx (§13.2.2.4) and keeps it for repetitions. A next hop by name is taken to be
    /// where the 2xx came from: an ACK cannot wait for a look-up.
    pub(super) fn acknowledge(&mut self, key: ClientKey, dialog: &DialogRecord, body: Option<Body>) {
        let sent = self.transactions.sent(key);
        let number = sent.and_then(|sent| sent.headers.cseq().ok()).map_or(dialog.local_cseq, |cseq| cseq.number);
        let mut ack = dialog.numbered(Method::Ack, number);
        if let Some(sent) = sent {
            for name in [Name::Authorization, Name::ProxyAuthorization] {
                sent.headers.all(&name).for_each(|value| ack.headers.push(name.clone(), value)); // §22.1
            }
        }
        if let Some(body) = body {
            put_body(&mut ack.headers, &mut ack.body, body);
        }
        let flow = match self.hop(dialog, &mut ack) {
            Hop::Over(flow) if self.lives(flow) => flow,
            Hop::Over(_) => match self.way_around(&ack) {
                Hop::Over(flow) => flow,
                Hop::Toward(uri, known) => self.locate(&uri, known).unwrap_or(dialog.flow),
            },
            Hop::Toward(uri, known) => self.locate(&uri, known).unwrap_or(dialog.flow),
        };
        let mut via = self.via(flow);
        via.params.set("branch", Some(&fresh_branch(&mut self.rng)));
        via.params.set("rport", None);
        ack.headers.push_front(Name::Via, via.text());
        stats::count(&mut self.stats.requests_sent, "ACK");
        let bytes = ack.to_bytes();
        self.out.push_back(Output::Send { flow, bytes: bytes.clone() });
        let acks = self.acks.or_default(key);
        acks.retain(|ack| ack.remote_tag != dialog.remote_tag);
        acks.push(Ack { remote_tag: dialog.remote_tag.clone(), flow, bytes });
    }

    /// `Command::HangUp`.
    pub(super) fn hang_up(&mut self, now: Instant, leg: LegId, reason: Option<Reason>) {
        let reason = reason.map(|reason| reason.to_string());
        if let Some(talking) = self.talking(leg)
            && talking.unacked.as_ref().is_some_and(|unacked| unacked.first)
        {
            talking.leaving = Some(Leaving { reason });
            return; // §15: the callee must not send BYE before the ACK has come, or can come no more.
        }
        match self.forget(leg) {
            Some(Leg::Calling(calling)) if calling.client.is_some() => {
                let key = calling.client.expect("just looked at");
                if let Some(theirs) = calling.theirs {
                    self.refuse(now, theirs.server, &theirs.request, 487);
                }
                if !self.transactions.cancel(now, key, reason.clone()) {
                    self.cancelling.insert(key, reason);
                }
            }
            Some(Leg::Ringing(mut ringing)) => {
                self.refuse_open(now, &mut ringing);
                let mut response = self.ringing_response(&ringing, 480);
                reason.into_iter().for_each(|reason| response.headers.push(Name::Reason, reason));
                self.respond(now, ringing.server, &Method::Invite, response);
            }
            Some(Leg::Talking(talking)) => self.leave(now, *talking, reason),
            Some(Leg::Calling(_)) | None => {}
        }
    }

    /// Ends a dialog of a leg that is already forgotten.
    pub(super) fn leave(&mut self, now: Instant, mut talking: Talking, reason: Option<String>) {
        if let Some(theirs) = talking.theirs.take() {
            let response = self.response(&theirs.request, 487);
            self.respond(now, theirs.server, &theirs.request.method, response);
        }
        if let Some(key) = talking.owes_ack.take() {
            self.acknowledge(key, &talking.dialog, None);
        }
        let mut bye = talking.dialog.request(Method::Bye);
        reason.into_iter().for_each(|reason| bye.headers.push(Name::Reason, reason));
        self.end(now, bye, &talking.dialog, talking.account);
    }

    fn end(&mut self, now: Instant, mut bye: Request, dialog: &DialogRecord, account: Option<Box<Account>>) {
        let errand = Errand { account, user: dialog.user.clone(), ..Errand::new(Purpose::Bye) };
        let hop = self.hop(dialog, &mut bye);
        self.dispatch(now, bye, hop, errand);
    }
}

/// The methods that an endpoint answers; with REGISTER where it has users.
pub(super) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK";

/// The extensions that an endpoint understands, as in Supported.
pub(super) const SUPPORTED: [&str; 4] = ["100rel", "timer", "replaces", "norefersub"];

impl Invitation {
    /// RFC 3261 §8.1.1, without Via and Contact.
    fn into_request(self, call_id: &str, allow: &str) -> Request {
        let mut request = Request::new(Method::Invite, self.uri);
        let headers = &mut request.headers;
        let is_own = |name: &str| Name::from(name) == Name::MaxForwards;
        if !self.headers.iter().any(|(name, _)| is_own(name)) {
            headers.push(Name::MaxForwards, "70");
        }
        headers.push(Name::From, self.from.text());
        headers.push(Name::To, self.to.text());
        headers.push(Name::CallId, call_id);
        headers.push(Name::CSeq, "1 INVITE");
        headers.push(Name::Allow, allow);
        headers.push(Name::Supported, SUPPORTED.join(", "));
        put_headers(headers, self.headers);
        if let Some(offer) = self.offer {
            put_body(headers, &mut request.body, offer);
        }
        request
    }
}

/// Adds fields that our user gave. One with a line end in it would be two fields: it is left out.
pub(super) fn put_headers(headers: &mut Headers, given: Vec<(String, String)>) {
    for (name, value) in given {
        if !value.contains(['\r', '\n', '\0']) {
            headers.push(Name::from(name.as_str()), value);
        }
    }
}

pub(super) fn put_body(headers: &mut Headers, bytes: &mut Vec<u8>, body: Body) {
    headers.push(Name::ContentType, body.content_type);
    *bytes = body.bytes;
}

pub(super) fn body_of(headers: &Headers, bytes: Vec<u8>) -> Option<Body> {
    let content_type = || headers.content_type().unwrap_or_else(|| "application/octet-stream".to_owned());
    (!bytes.is_empty()).then(|| Body { content_type: content_type(), bytes })
}

/// RFC 3326: the first Reason that can be read.
pub(super) fn reason_of(headers: &Headers) -> Option<Reason> {
    headers.all(&Name::Reason).find_map(|value| {
        let mut parts = value.split(';').map(str::trim);
        let protocol = parts.next().filter(|protocol| !protocol.is_empty())?.to_owned();
        let mut reason = Reason { protocol, cause: 0, text: String::new() };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim().to_ascii_lowercase().as_str() {
                "cause" => reason.cause = value.trim().parse().ok()?,
                "text" => reason.text = value.trim().trim_matches('"').to_owned(),
                _ => {}
            }
        }
        Some(reason)
    })
}

impl std::fmt::Display for Reason {
    /// As in a Reason field: `Q.850;cause=16;text="Normal call clearing"`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{};cause={}", self.protocol, self.cause)?;
        let text: String = self.text.chars().filter(|c| !c.is_control() && !matches!(c, '"' | '\\')).collect();
        if text.is_empty() { Ok(()) } else { write!(f, ";text=\"{text}\"") }
    }
}
