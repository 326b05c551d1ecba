//! Being called: requests from outside a dialog, in the order of RFC 3261 §8.2, and what our user answers.

use super::api::{Body, Event, Flow, Output, Source};
use super::dialog::DialogRecord;
use super::header::{Method, Name, Via};
use super::leg::{Leg, Reliable, Ringing, Talking, Unacked};
use super::message::{Refusal, Request, Response};
use super::objection::ignore_optional_body;
use super::reliable::wants_reliable;
use super::text::{number, put_ip};
use super::transaction::{Arrival, ServerKey};
use super::uac::{ALLOW, SUPPORTED, body_of, put_body, put_headers, reason_of};
use super::uri::Scheme;
use super::{Deadline, Endpoint, Query, Serving, stats};
use crate::ids::LegId;
use crate::time::Instant;
use std::net::SocketAddr;

/// Fields of an INVITE that are told in `Event::Invited`, beside all that begin with `X-`.
const TOLD: [Name; 10] = [
    Name::To,
    Name::PAssertedIdentity,
    Name::Privacy,
    Name::Diversion,
    Name::HistoryInfo,
    Name::MaxForwards,
    Name::UserAgent,
    Name::Subject,
    Name::AlertInfo,
    Name::CallInfo,
];

/// Seconds of Retry-After when we are full.
pub(super) const FULL_RETRY: u32 = 5;

/// Whether a request can only mean a call that is under way. (An INVITE without one is a new one for all that it says,
/// whose refusal the transaction repeats until its ACK; ACKs are the transactions' business.)
fn is_of_a_call(request: &Request) -> bool {
    match request.method {
        Method::Invite | Method::Ack => false,
        Method::Cancel => true,
        _ => request.headers.to_tag().is_some(),
    }
}

impl Endpoint {
    pub(super) fn receive_request(&mut self, now: Instant, flow: Flow, mut request: Request) {
        let Ok(via) = request.headers.top_via() else { return };
        let (via, reply) = stamp(via, flow);
        request.headers.set_top_via(&via);
        let runs = self.runs(&request, &via);
        if !runs && is_of_a_call(&request) && !self.transactions.knows(&request, &via) {
            stats::count(&mut self.stats.requests_received, stats::label(&request.method));
            return self.set_right(reply, request);
        }
        let arrival = self.transactions.receive_request(now, reply, &request, &via, runs);
        // Repetitions are counted by themselves; an ACK is none, whatever it belongs to.
        if request.method == Method::Ack || arrival != Arrival::Known {
            stats::count(&mut self.stats.requests_received, stats::label(&request.method));
        }
        self.drain(now); // The 100 goes before anything that follows from the request.
        match arrival {
            Arrival::Known => {}
            Arrival::Ack => self.acknowledged(now, request),
            Arrival::Full => self.respond_full(reply, &request),
            Arrival::New { key, .. } if request.method == Method::Cancel => self.cancelled(now, key, &request, &via),
            Arrival::New { key, merged } => {
                ignore_optional_body(&mut request);
                match self.objection(&request, merged) {
                    Some(response) => self.respond(now, key, &request.method, response),
                    None if request.headers.to_tag().is_some() => self.within_dialog(now, key, flow, request),
                    None => self.outside_dialog(now, key, flow, request),
                }
            }
        }
    }

    /// Whether a request belongs to a dialog that we have, or cancels an INVITE that we got.
    fn runs(&self, request: &Request, via: &Via) -> bool {
        match request.method {
            Method::Cancel => self.transactions.cancels(request, via),
            _ => self.leg_of(request).is_some(),
        }
    }

    /// 481 without remembering anything (§8.2.7): invented tags must not take the room of calls that are under way.
    fn set_right(&mut self, reply: Flow, mut request: Request) {
        ignore_optional_body(&mut request);
        let response = self.objection(&request, false).unwrap_or_else(|| self.plain(&request, 481));
        self.respond_stateless(reply, &request.method, response);
    }

    pub(super) fn allow(&self) -> String {
        let refer = if self.config.takes_refer { ", REFER" } else { "" };
        let register = if self.config.users.is_empty() { "" } else { ", REGISTER" };
        format!("{ALLOW}{refer}{register}")
    }

    fn outside_dialog(&mut self, now: Instant, key: ServerKey, flow: Flow, request: Request) {
        match request.method {
            Method::Invite => self.admit(now, key, flow, request),
            Method::Register => self.admit_phone(now, key, flow, request),
            Method::Options => {
                let response = self.asked_for_options(&request, flow);
                self.respond(now, key, &request.method, response);
            }
            // Who is no party of a call of ours cannot make us call anybody.
            Method::Refer => self.refuse(now, key, &request, 603),
            _ => self.refuse(now, key, &request, 481),
        }
    }

    /// The answer to OPTIONS (§11.2).
    pub(super) fn capabilities(&mut self, request: &Request) -> Response {
        let mut response = self.response(request, 200);
        let allow = self.allow();
        for (name, value) in [
            (Name::Allow, allow.as_str()),
            (Name::Accept, "application/sdp"),
            (Name::AcceptEncoding, "identity"),
            (Name::AcceptLanguage, "en"),
            (Name::Supported, SUPPORTED.join(", ").as_str()),
        ] {
            response.headers.push(name, value);
        }
        response
    }

    pub(super) fn invited(
        &mut self,
        now: Instant,
        (key, flow): (ServerKey, Flow),
        mut request: Request,
        source: Source,
    ) {
        let Ok(caller) = request.headers.from() else { return };
        let replaces = match self.replaced(&request.headers) {
            Ok(replaces) => replaces,
            Err(status) => return self.refuse(now, key, &request, status),
        };
        let (leg, local_tag, account) = (self.next_leg(), self.tag(), self.account_with(&source));
        let is_told = |name: &Name| TOLD.contains(name) || name.as_str().starts_with("X-");
        let told = request.headers.iter().filter(|(name, _)| is_told(name));
        let user = self.user_behind(flow, &source);
        let event = Event::Invited {
            leg,
            source,
            caller,
            called: request.uri.clone(),
            offer: body_of(&request.headers, std::mem::take(&mut request.body)),
            flow,
            call_id: request.headers.call_id().unwrap_or_default().to_owned(),
            replaces,
            headers: told.map(|(name, value)| (name.as_str().to_owned(), value.to_owned())).collect(),
        };
        let contact = self.contact(&request.uri.user_decoded(), flow, wants_sips(&request));
        let dialog = DialogRecord::of_request(&request, &local_tag, contact, flow);
        let dialog = DialogRecord { user, account: self.account_kept(account.as_ref()), ..dialog };
        self.by_tag.insert(local_tag, leg);
        self.serving.insert(key, Serving::Leg(leg));
        let ringing = Ringing { server: key, request, dialog, reliable: Reliable::default(), theirs: None, ours: None };
        self.legs.insert(leg, Leg::Ringing(Box::new(ringing)));
        self.tell(event);
    }

    /// A response to the INVITE of a leg that rings, with what 1xx and 2xx carry (§12.1.1).
    pub(super) fn ringing_response(&self, ringing: &Ringing, status: u16) -> Response {
        let mut response = Response::to_request(&ringing.request, status, Some(&ringing.dialog.local_tag));
        if status < 300 {
            let routes = ringing.request.headers.all(&Name::RecordRoute);
            routes.for_each(|route| response.headers.push(Name::RecordRoute, route));
            response.headers.push(Name::Contact, ringing.dialog.contact.as_str());
        }
        response
    }

    /// `Command::Ring`.
    pub(super) fn ring(&mut self, now: Instant, leg: LegId, status: u16, body: Option<Body>) {
        assert!((101..200).contains(&status), "only a provisional status rings");
        let Some(Leg::Ringing(ringing)) = self.legs.get(&leg) else { return };
        let key = ringing.server;
        let mut response = self.ringing_response(ringing, status);
        if let Some(body) = body {
            put_body(&mut response.headers, &mut response.body, body);
        }
        response.headers.push(Name::Allow, self.allow());
        // One that is being repeated until its PRACK comes must not be replaced by another (RFC 3262 §3).
        if ringing.reliable.unacked.is_some() || wants_reliable(&ringing.request, &response) {
            return self.ring_reliably(now, leg, response);
        }
        self.respond(now, key, &Method::Invite, response);
    }

    /// `Command::Answer`.
    pub(super) fn answer(&mut self, now: Instant, leg: LegId, body: Body) {
        let Some(Leg::Ringing(ringing)) = self.legs.find_mut(&leg) else { return };
        if ringing.reliable.unacked.as_ref().is_some_and(|unacked| unacked.described) {
            ringing.reliable.answer = Some(body); // RFC 3262 §3: the 2xx waits for the PRACK.
            return;
        }
        let late_rseq = ringing.reliable.unacked.take().map(|_| ringing.reliable.rseq);
        let (key, agreed, theirs) = (ringing.server, ringing.reliable.agreed, ringing.theirs.take());
        let ours = ringing.ours.take();
        let dialog = ringing.dialog.clone();
        let offered = !agreed && !ringing.request.headers.has(&Name::ContentType);
        let cseq = ringing.request.headers.cseq().map(|cseq| cseq.number).unwrap_or_default();
        let Some(Leg::Ringing(ringing)) = self.legs.get(&leg) else { return };
        let mut response = self.ringing_response(ringing, 200);
        response.headers.push(Name::Allow, self.allow());
        response.headers.push(Name::Supported, SUPPORTED.join(", "));
        let timer = self.grant_timer(now, &ringing.request, None, &mut response);
        let takes_update = ringing.request.headers.lists(&Name::Allow, Method::Update.as_str());
        if !agreed {
            put_body(&mut response.headers, &mut response.body, body.clone());
        }
        self.due.cancel(&Deadline::Unproven(leg));
        let account = dialog.account.clone().map(Box::new);
        let mut talking = Talking::new(dialog, account);
        (talking.late_rseq, talking.theirs, talking.ours) = (late_rseq, theirs, ours);
        (talking.local, talking.takes_update) = (Some(body), takes_update);
        talking.unacked = Some(Unacked { server: key, cseq, first: true, offered });
        self.legs.insert(leg, Leg::Talking(Box::new(talking)));
        self.set_timer(now, leg, timer);
        self.respond(now, key, &Method::Invite, response);
    }

    /// `Command::Refuse`.
    pub(super) fn turn_away(&mut self, now: Instant, leg: LegId, status: u16, headers: Vec<(String, String)>) {
        assert!((300..700).contains(&status), "a refusal needs a failure status");
        let Some(Leg::Ringing(mut ringing)) = self.forget_if(leg, |leg| matches!(leg, Leg::Ringing(_))) else { return };
        self.refuse_open(now, &mut ringing);
        let mut response = self.ringing_response(&ringing, status);
        put_headers(&mut response.headers, headers);
        self.respond(now, ringing.server, &Method::Invite, response);
    }

    /// `Command::Challenge`.
    pub(super) fn demand_proof(&mut self, now: Instant, leg: LegId) {
        if let Some(Leg::Ringing(mut ringing)) = self.forget_if(leg, |leg| matches!(leg, Leg::Ringing(_))) {
            self.refuse_open(now, &mut ringing);
            self.challenge(now, ringing.server, &ringing.request, ringing.dialog.flow, false);
        }
    }

    /// CANCEL (§9.2): 200 if there is something to cancel, and 487 for the INVITE if it was not answered yet.
    fn cancelled(&mut self, now: Instant, key: ServerKey, request: &Request, via: &Via) {
        let Some(invite) = self.transactions.cancelled_by(request, via) else {
            return self.refuse(now, key, request, 481);
        };
        // §9.2: the To tag should be that of the INVITE's response.
        let tag = match self.serving.get(&invite) {
            Some(Serving::Leg(leg)) => self.legs.get(leg).map(|leg| leg.local_tag().to_owned()),
            _ => None,
        };
        let tag = tag.unwrap_or_else(|| self.tag());
        self.respond(now, key, &Method::Cancel, Response::to_request(request, 200, Some(&tag)));
        self.transactions.withdrawn(invite);
        let reason = reason_of(&request.headers);
        match self.serving.get(&invite).copied() {
            Some(Serving::Query(query)) => {
                if let Some(Query::Caller { request, .. }) = self.queries.remove(&query) {
                    self.serving.remove(&invite);
                    self.refuse(now, invite, &request, 487);
                }
            }
            Some(Serving::Leg(leg)) => match self.talking(leg) {
                Some(talking) => {
                    if let Some(theirs) = talking.theirs.take_if(|theirs| theirs.server == invite) {
                        self.serving.remove(&invite);
                        self.refuse(now, invite, &theirs.request, 487);
                    }
                }
                None => self.caller_gave_up(now, leg, reason),
            },
            None => {}
        }
    }

    /// 487 for a leg that rings, by CANCEL or by BYE within the early dialog.
    pub(super) fn caller_gave_up(&mut self, now: Instant, leg: LegId, reason: Option<super::Reason>) {
        if let Some(Leg::Ringing(mut ringing)) = self.forget_if(leg, |leg| matches!(leg, Leg::Ringing(_))) {
            self.refuse_open(now, &mut ringing);
            let response = self.ringing_response(&ringing, 487);
            self.respond(now, ringing.server, &Method::Invite, response);
            self.tell(Event::Cancelled { leg, reason });
        }
    }

    /// A response with our name and a new To tag if there is none.
    pub(super) fn response(&mut self, request: &Request, status: u16) -> Response {
        let tag = self.tag();
        Response::to_request(request, status, Some(&tag))
    }

    pub(super) fn refuse(&mut self, now: Instant, key: ServerKey, request: &Request, status: u16) {
        let response = self.response(request, status);
        self.respond(now, key, &request.method, response);
    }

    pub(super) fn respond(&mut self, now: Instant, key: ServerKey, method: &Method, mut response: Response) {
        self.sign(&mut response);
        if response.status >= 300 {
            self.serving.remove(&key);
        }
        if self.transactions.respond(now, key, &response) {
            stats::count_response(&mut self.stats.responses_sent, method, response.status);
        }
    }

    fn sign(&self, response: &mut Response) {
        if !self.config.server_name.is_empty() {
            response.headers.push(Name::Server, self.config.server_name.as_str());
        }
    }

    /// 503 without remembering anything (§8.2.7).
    fn respond_full(&mut self, reply: Flow, request: &Request) {
        self.stats.overloads += 1;
        self.stats.turned_away += u64::from(request.method == Method::Invite);
        let mut response = self.plain(request, 503);
        response.headers.push(Name::RetryAfter, FULL_RETRY.to_string());
        self.respond_stateless(reply, &request.method, response);
    }

    fn respond_stateless(&mut self, reply: Flow, method: &Method, mut response: Response) {
        self.sign(&mut response);
        stats::count_response(&mut self.stats.responses_sent, method, response.status);
        self.out.push_back(Output::Send { flow: reply, bytes: response.to_bytes() });
    }

    /// A message that could not be read: counted, and answered if it says enough to be.
    pub(super) fn misread(&mut self, flow: Flow, refusal: Refusal) {
        stats::count(&mut self.stats.refusals, refusal.why.name());
        let Some(mut response) = refusal.answer else { return };
        let Ok(via) = response.headers.top_via() else { return };
        let (via, reply) = stamp(via, flow);
        response.headers.set_top_via(&via);
        if let Ok(mut to) = response.headers.to()
            && to.tag().is_none()
        {
            to.set_tag(&self.auth.stateless_tag(response.headers.call_id().unwrap_or_default()));
            response.headers.set(Name::To, to.text());
        }
        stats::count(&mut self.stats.responses_sent, &format!("unread {}", response.status));
        self.out.push_back(Output::Send { flow: reply, bytes: response.to_bytes() });
    }
}

/// RFC 3261 §12.1.1: who is called by SIPS, or comes over SIPS, is given a SIPS Contact.
fn wants_sips(invite: &Request) -> bool {
    let headers = &invite.headers;
    let over = headers.record_routes().ok().and_then(|routes| Some(routes.first()?.uri.scheme.clone()));
    let over = over.or_else(|| Some(headers.contact().ok()??.uri.scheme));
    invite.uri.scheme == Scheme::Sips || over == Some(Scheme::Sips)
}

/// Notes in the top Via where the request came from, and says where its responses go: to the address it came
/// from (§18.2.1), and to its port if asked (RFC 3581 §4) or if that is a connection, else to the Via's port.
fn stamp(mut via: Via, flow: Flow) -> (Via, Flow) {
    let source = flow.remote.ip();
    let asked = via.rport().is_some();
    via.params.remove("received");
    if asked || via.host.ip() != Some(source) {
        let mut address = String::with_capacity(16);
        put_ip(&mut address, source);
        via.params.add("received", Some(&address));
    }
    if asked {
        via.params.set("rport", Some(&number(flow.remote.port().into())));
    }
    let symmetric = asked || flow.transport.is_reliable();
    let port = if symmetric { flow.remote.port() } else { via.port.unwrap_or(5060) };
    (via, Flow { remote: SocketAddr::new(source, port), ..flow })
}
