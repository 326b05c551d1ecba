//! Where requests go: a flow that is known, an address in a URI, or a name that the shell looks up (RFC 3263).
//!
//! Left out: NAPTR and SRV are the shell's; `maddr` is ignored (it lets strangers point us at others).

use super::api::{Account, Event, FailureCause, Flow, Output, Place, Secret, Transport};
use super::digest::{Credentials, Login};
use super::header::{Method, Name, NameAddr, Via};
use super::leg::Leg;
use super::message::Request;
use super::session::longer_session;
use super::stats;
use super::transaction::{ClientKey, Errand, Outcome, Purpose};
use super::uri::{Scheme, Uri};
use super::{Endpoint, Listener, Query};
use crate::time::Instant;
use std::net::{IpAddr, SocketAddr};

/// The `bind` of the listener that something leaves over, where that is set.
pub(super) type Bound = Option<SocketAddr>;

/// Which way a request shall take.
pub(super) enum Hop {
    Over(Flow),
    /// Towards a URI, if possible over the flow that already leads there; what leads nowhere falls back on it.
    Toward(Uri, Option<Flow>),
}

impl Endpoint {
    /// Sends a request without Via; INVITE and REGISTER get our Contact if they have none.
    pub(super) fn dispatch(&mut self, now: Instant, request: Request, hop: Hop, mut errand: Errand) {
        let hop = match hop {
            Hop::Over(flow) if !self.lives(flow) => self.way_around(&request),
            hop => hop,
        };
        let (uri, known) = match hop {
            Hop::Over(flow) => return self.launch(now, flow, request, errand),
            Hop::Toward(uri, known) => (uri, known),
        };
        let direct = uri.host.ip().is_some();
        match self.located(&uri, (known, errand.listener)).or(known.filter(|_| direct)) {
            Some(flow) => {
                let roomier = self.roomier(&uri, flow, (&request, errand.listener));
                errand.spare.extend(roomier.map(|_| flow.into()));
                self.launch(now, roomier.unwrap_or(flow), request, errand);
            }
            None if direct || self.queries.len() >= self.config.capacity.queries => {
                self.unsent(now, request, errand);
            }
            None => {
                let place = Query::Place { request: Box::new(request), errand, known, uri: uri.clone() };
                let query = self.next_query(place);
                self.out.push_back(Output::Resolve { query, uri });
            }
        }
    }

    /// Where a phone that registered over a datagram flow wants to be called over another transport: its Contact says
    /// so (RFC 3261 §19.1.1), and a request goes where the Contact says (RFC 3263 §4.1). A flow is reused in its place where
    /// a proxy leads to the phone (RFC 3327; that it keeps flows was agreed on there only, RFC 5626 §5.3), where the flow is a
    /// connection, and where the Contact's address is not the one that we saw: a phone behind a NAT cannot be connected to.
    pub(super) fn wished_way(&self, contact: &Uri, flow: Flow) -> Option<Flow> {
        let named = contact.transport().is_some() || contact.scheme == Scheme::Sips;
        let may = named && !flow.transport.is_reliable() && contact.host.ip() == Some(flow.remote.ip());
        let agreed = |binding: &&super::Binding| binding.contact.uri == *contact;
        let binding = self.registrar.over(flow).find(agreed).filter(|_| may)?;
        let direct = binding.path.is_empty();
        self.locate(contact, Some(flow)).filter(|other| direct && other.transport != flow.transport)
    }

    /// The listener over which a phone is called at its Contact, with the flow that it registered over.
    pub fn called_over(&self, contact: &Uri, flow: Flow) -> u16 {
        self.wished_way(contact, flow).unwrap_or(flow).listener
    }

    /// Whether a request's sender still waits for it. A leg that has hung up on an INVITE does not, not even if it calls
    /// anew meanwhile: each attempt has a From tag of its own.
    fn is_wanted(&self, purpose: Purpose, request: &Request) -> bool {
        let Purpose::Call(leg) = purpose else { return true };
        let from = request.headers.from_tag();
        matches!(self.legs.get(&leg), Some(Leg::Calling(calling)) if Some(calling.local_tag.as_str()) == from)
    }

    /// The shell's answer about a name.
    pub(super) fn resolved(&mut self, now: Instant, query: u64, places: Vec<Place>) {
        let Some(Query::Place { request, mut errand, known, uri }) = self.queries.remove(&query) else { return };
        if !self.is_wanted(errand.purpose, &request) {
            return;
        }
        let flow = |place: Place| {
            let flow = self.flow_to(place.transport, place.remote, (known, errand.listener))?;
            Some(if flow.connection == 0 { Flow { connection: place.connection, ..flow } } else { flow })
        };
        let flows = places.into_iter().filter_map(flow).collect();
        let flows = self.roomiest(&uri, (&request, errand.listener), flows);
        errand.spare = flows.into_iter().rev().map(Into::into).collect();
        match errand.spare.pop().map(|spare| spare.flow).or(known) {
            Some(flow) => self.launch(now, flow, *request, errand),
            None => self.unsent(now, *request, errand),
        }
    }

    pub(super) fn launch(&mut self, now: Instant, flow: Flow, mut request: Request, errand: Errand) {
        if matches!(request.method, Method::Invite | Method::Register) && !request.headers.has(&Name::Contact) {
            let contact = self.contact_of(&request, flow);
            request.headers.push(Name::Contact, contact);
        }
        if !request.headers.has(&Name::UserAgent) && !self.config.server_name.is_empty() {
            request.headers.push(Name::UserAgent, self.config.server_name.as_str());
        }
        stats::count(&mut self.stats.requests_sent, stats::label(&request.method));
        let purpose = errand.purpose;
        let via = self.via(flow);
        let key = self.transactions.start(now, (flow, via), request, errand, &mut self.rng);
        if let Purpose::Call(leg) = purpose {
            self.calls_with(leg, Some(key));
            self.tell_calling(leg, key);
        }
    }

    fn unsent(&mut self, now: Instant, request: Request, errand: Errand) {
        self.finished(now, None, errand, Box::new(request), Outcome::Unresolved);
    }

    /// Our Via towards `flow`, without branch.
    pub(super) fn via(&self, flow: Flow) -> Via {
        let at = self.advertised(flow);
        Via::new(flow.transport.as_str(), at.ip().into(), Some(at.port()), "")
    }

    /// Our Contact in a request of ours that makes a dialog or a binding.
    fn contact_of(&self, request: &Request, flow: Flow) -> String {
        let user = request.headers.from().map(|from| from.uri.user_decoded()).unwrap_or_default();
        self.contact(&user, flow, request.uri.scheme == Scheme::Sips)
    }

    /// Our Contact for peers behind `flow`; `secure` where RFC 3261 §8.1.1.8 and §12.1.1 want a SIPS URI.
    pub(super) fn contact(&self, user: &str, flow: Flow, secure: bool) -> String {
        let at = self.advertised(flow);
        let mut uri = Uri::sip(user, at.ip().into(), Some(at.port()));
        if secure && flow.transport == Transport::Tls {
            uri.scheme = Scheme::Sips;
        } else if flow.transport != Transport::Udp {
            uri.params.set("transport", Some(&flow.transport.as_str().to_ascii_lowercase()));
        }
        NameAddr::new(uri).text()
    }

    pub(super) fn advertised(&self, flow: Flow) -> SocketAddr {
        let listeners = &self.config.listeners;
        listeners.get(usize::from(flow.listener)).unwrap_or(&listeners[0]).advertised
    }

    /// The flow to a URI whose host is an address (RFC 3263 §4.2); `None` for names, and if no listener fits.
    pub(super) fn locate(&self, uri: &Uri, known: Option<Flow>) -> Option<Flow> {
        self.located(uri, (known, None))
    }

    fn located(&self, uri: &Uri, way: (Option<Flow>, Bound)) -> Option<Flow> {
        let ip = uri.host.ip()?;
        let transport = match uri.transport().map(str::to_ascii_lowercase).as_deref() {
            _ if uri.scheme == Scheme::Sips => Transport::Tls,
            None | Some("udp") => Transport::Udp,
            Some("tcp") => Transport::Tcp,
            Some("tls") => Transport::Tls,
            Some("ws") => Transport::Ws,
            Some("wss") => Transport::Wss,
            Some(_) => return None,
        };
        let port = uri.port.unwrap_or(transport.default_port());
        self.flow_to(transport, SocketAddr::new(ip, port), way)
    }

    /// The listener that a request to `uri` leaves over, as far as that can be told before a name is looked up. `bound`: it
    /// is to leave over the one that is bound there.
    pub fn listener_toward(&self, uri: &Uri, bound: Option<SocketAddr>) -> Option<u16> {
        if uri.host.ip().is_some() {
            return self.located(uri, (None, bound)).map(|flow| flow.listener);
        }
        let is_wanted = |name: &str| uri.transport().map_or(name == "UDP", |wanted| wanted.eq_ignore_ascii_case(name));
        self.nearest(|listener| is_wanted(listener.transport.as_str()), bound, bound.is_some())
    }

    /// Of the listeners that fit, the one bound at `near`, else the first at its address, else the first of all.
    /// `only`: none that is bound elsewhere.
    fn nearest(&self, fits: impl Fn(&Listener) -> bool, near: Bound, only: bool) -> Option<u16> {
        let distance = |listener: &Listener| match near {
            Some(near) if listener.bind == near => 0,
            // The other kind's listener beside one for any address has the same port.
            Some(near) if is_near(listener.bind, near) && listener.bind.port() == near.port() => 1,
            Some(near) if is_near(listener.bind, near) => 2,
            _ => 3,
        };
        let listeners = (0u16..).zip(&self.config.listeners).filter(|(_, listener)| fits(listener));
        let reached = listeners.map(|(index, listener)| (distance(listener), index));
        reached.filter(|(distance, _)| !only || *distance < 3).min().map(|(_, index)| index)
    }

    /// The flow to an address. `known`: one that leads there, or to somebody near; `bound`: the only place to leave from.
    pub(super) fn flow_to(
        &self,
        transport: Transport,
        remote: SocketAddr,
        (known, bound): (Option<Flow>, Bound),
    ) -> Option<Flow> {
        // A peer's own connection leads to him whatever port it comes from.
        let leads = |flow: &Flow| {
            let there = flow.remote == remote || (flow.connection != 0 && flow.remote.ip() == remote.ip());
            there && flow.transport == transport && self.lives(*flow)
        };
        if let Some(flow) = known.filter(leads) {
            return Some(flow);
        }
        let fits = |listener: &Listener| listener.transport == transport && reaches(listener.bind.ip(), remote.ip());
        let near = bound.or_else(|| self.config.bound(known?));
        let listener = self.nearest(fits, near, bound.is_some())?;
        Some(Flow { listener, transport, remote, connection: 0 })
    }

    /// A request has come to its end: other ways are tried, challenges answered, then its sender is told.
    pub(super) fn finished(
        &mut self,
        now: Instant,
        at: Option<(ClientKey, Flow)>,
        mut errand: Errand,
        mut request: Box<Request>,
        outcome: Outcome,
    ) {
        if let Some((key, flow)) = at {
            self.cancelling.remove(&key);
            self.note_life(flow, &request, &outcome);
        }
        if let Purpose::Keepalive(binding) = errand.purpose {
            self.note_contact(binding, &outcome);
        }
        self.note_debt(now, at.map(|(_, flow)| flow), (&errand, &request), &outcome);
        let is_old = |(key, _)| matches!(errand.purpose, Purpose::Call(leg) if !self.is_current(leg, key));
        if at.is_some_and(is_old) || !self.is_wanted(errand.purpose, &request) {
            return; // It is not tried again, neither elsewhere nor with a password.
        }
        if let Some((_, flow)) = at
            && matches!(&outcome, Outcome::Response(response) if response.status == 503)
        {
            // §21.5.4: who is overloaded is not asked again at once over another transport.
            errand.spare.retain(|spare| spare.leads.is_some() || spare.flow.remote != flow.remote);
        }
        if may_go_elsewhere(&outcome)
            && let Some(spare) = errand.spare.pop()
        {
            request.headers.remove_top_via();
            if let Some((uri, path)) = spare.leads {
                request.uri = uri;
                request.headers.remove(&Name::Route);
                path.into_iter().for_each(|hop| request.headers.push(Name::Route, hop));
            }
            if let Some((_, failed)) = at
                && request.headers.get(&Name::Contact) == Some(&self.contact_of(&request, failed))
            {
                request.headers.remove(&Name::Contact); // the other way has its own
            }
            return self.launch(now, spare.flow, *request, errand);
        }
        if let Some((_, flow)) = at
            && let Some(second) = self.second_try(&request, &outcome, &errand)
        {
            errand.attempt += 1;
            return self.try_again(now, flow, second, errand);
        }
        if let Some((_, flow)) = at
            && self.ask_for_proof(flow, &errand, &request, &outcome)
        {
            return;
        }
        self.conclude(now, at.map(|(_, flow)| flow), errand, request, outcome);
    }

    /// A challenge whose answer only the shell can give: true if it is asked, and the rest follows in `proof_given`.
    fn ask_for_proof(&mut self, flow: Flow, errand: &Errand, request: &Request, outcome: &Outcome) -> bool {
        let Some(Account { user, secret: Secret::Held(held), .. }) = errand.account.as_deref() else { return false };
        let Outcome::Response(response) = outcome else { return false };
        let mut challenges = super::auth::challenges_in(request, response, errand.attempt);
        challenges.retain(|(_, challenge)| self.proves_in(held, errand.purpose, &challenge.realm));
        if challenges.is_empty() {
            return false;
        }
        if let Purpose::Call(leg) = errand.purpose {
            self.calls_with(leg, None);
        }
        let (fields, asked) = super::auth::asked(request, challenges, self.rng.hex(8));
        let (request, response) = (Box::new(request.clone()), Box::new(response.clone()));
        let query = self.next_query(Query::Proof { request, response, flow, errand: errand.clone(), fields });
        self.out.push_back(Output::Prove { query, held: held.clone(), user: user.clone(), asked });
        true
    }

    /// `Input::Proven`.
    pub(super) fn proof_given(&mut self, now: Instant, query: u64, credentials: Vec<Credentials>) {
        let Some(asked) = self.queries.remove(&query) else { return };
        let Query::Proof { request, response, flow, mut errand, fields } = asked else {
            self.queries.insert(query, asked);
            return;
        };
        if !self.is_wanted(errand.purpose, &request) {
            return;
        }
        match super::auth::answered(&request, &fields, &credentials) {
            Some(second) => {
                errand.attempt += 1;
                self.try_again(now, flow, second, errand);
            }
            None => self.conclude(now, Some(flow), errand, request, Outcome::Response(*response)),
        }
    }

    /// Tells who sent a request how it ended.
    fn conclude(&mut self, now: Instant, at: Option<Flow>, errand: Errand, request: Box<Request>, outcome: Outcome) {
        match errand.purpose {
            Purpose::Call(leg) => self.call_failed(leg, outcome),
            Purpose::Reoffer(leg) => self.reoffer_failed(now, leg, outcome),
            Purpose::Notify(leg) => self.notified(leg, &request, &outcome),
            Purpose::Update(leg) => self.updated(now, leg, &request, outcome),
            Purpose::Refresh(leg) => self.refreshed(now, leg, &request, outcome),
            Purpose::Watch(leg) => self.watched(now, leg, &request, outcome),
            Purpose::Keepalive(binding) => self.asked(now, binding),
            Purpose::Register(number) => self.registration_ended(now, (number, at), &request, outcome),
            Purpose::Probe(id) => {
                // What is overloaded takes no calls, but it is there; so is who does not know OPTIONS.
                let answered = matches!(&outcome, Outcome::Response(_) | Outcome::Timeout { heard: true });
                self.tell(Event::Probed { id, answered });
            }
            // A PRACK that fails changes nothing: the INVITE's own end will say what became of it. So with `talk`.
            Purpose::Prack(_) | Purpose::Talk(_) | Purpose::Bye | Purpose::Cancel => {}
        }
    }

    fn second_try(&mut self, request: &Request, outcome: &Outcome, errand: &Errand) -> Option<Request> {
        match outcome {
            Outcome::Response(response) if response.status == 422 => longer_session(request, response, errand.attempt),
            Outcome::Response(response) if matches!(response.status, 401 | 407) => {
                let Account { user, secret: Secret::Password(password), .. } = errand.account.as_deref()? else {
                    return None;
                };
                let challenges = super::auth::challenges_in(request, response, errand.attempt);
                if challenges.is_empty() {
                    return None;
                }
                let (fields, asked) = super::auth::asked(request, challenges, self.rng.hex(8));
                super::auth::answered(request, &fields, &asked.answers(Login { user, password }))
            }
            _ => None,
        }
    }

    /// The second try's CSeq must not be used again in the dialog; its leg may be gone.
    fn try_again(&mut self, now: Instant, flow: Flow, request: Request, errand: Errand) {
        let number = request.headers.cseq().map(|cseq| cseq.number).unwrap_or_default();
        match errand.purpose {
            Purpose::Reoffer(leg) => match self.talking(leg) {
                Some(talking) => talking.dialog.local_cseq = talking.dialog.local_cseq.max(number),
                None => return,
            },
            Purpose::Prack(leg)
            | Purpose::Talk(leg)
            | Purpose::Refresh(leg)
            | Purpose::Watch(leg)
            | Purpose::Update(leg)
            | Purpose::Notify(leg) => {
                let tag = request.headers.to_tag().unwrap_or_default();
                match self.legs.find_mut(&leg).and_then(|leg| leg.dialog_with_mut(tag)) {
                    Some(dialog) => dialog.local_cseq = dialog.local_cseq.max(number),
                    None => return,
                }
            }
            Purpose::Register(registration) => self.registered_with(registration, number),
            _ => {}
        }
        self.launch(now, flow, request, errand);
    }

    /// What became of the question to a phone, which is asked at its Contact where its connection is gone. Somebody else may
    /// be there, who knows no such user.
    fn note_contact(&mut self, binding: u64, outcome: &Outcome) {
        let is_gone = |flow: Flow| !self.connections.contains(&flow.connection);
        let events = match outcome {
            Outcome::Response(response) if !matches!(response.status, 404 | 430 | 480 | 481 | 604) => {
                self.registrar.answers_at_contact(binding)
            }
            Outcome::Timeout { heard: true } => Vec::new(),
            _ => self.registrar.lost_connection(binding, is_gone),
        };
        self.tell_of_phones(events);
    }

    /// A bound phone that gave no answer at all, or could not be sent to, is not alive; one that answered is.
    fn note_life(&mut self, flow: Flow, asked: &Request, outcome: &Outcome) {
        let way = (flow, &asked.uri);
        let events = match outcome {
            // RFC 5626 §5.3: the proxy lives, the phone's flow behind it does not.
            Outcome::Response(response) => self.registrar.heard(way, &asked.headers, response.status != 430),
            Outcome::Timeout { heard: false } | Outcome::TransportFailed { .. } => {
                self.registrar.heard(way, &asked.headers, false)
            }
            Outcome::Timeout { heard: true } | Outcome::Unresolved => return, // That tells nothing new.
        };
        self.tell_of_phones(events);
    }

    fn call_failed(&mut self, leg: crate::ids::LegId, outcome: Outcome) {
        if self.forget(leg).is_none() {
            return; // We had hung up.
        }
        let (mut reason, mut retry_after) = (None, None);
        let (status, why) = match outcome {
            Outcome::Response(response) => {
                reason = super::uac::reason_of(&response.headers);
                retry_after = response.headers.retry_after();
                (response.status, FailureCause::Status)
            }
            Outcome::Timeout { .. } => (408, FailureCause::Timeout),
            Outcome::TransportFailed { .. } => (503, FailureCause::Transport),
            Outcome::Unresolved => (404, FailureCause::Unresolved),
        };
        self.tell(Event::Failed { leg, status, reason, retry_after, why });
    }
}

/// RFC 3263 §4.3: what another address may do better.
fn may_go_elsewhere(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Response(response) => matches!(response.status, 503 | 430), // RFC 5626 §5.3
        Outcome::Timeout { heard } => !heard,
        Outcome::TransportFailed { .. } => true,
        Outcome::Unresolved => false,
    }
}

/// Whether two listeners are at one address. Any of IPv4 and any of IPv6 are one place with two kinds of addresses.
pub fn is_near(bind: SocketAddr, other: SocketAddr) -> bool {
    bind.ip() == other.ip() || (bind.ip().is_unspecified() && other.ip().is_unspecified())
}

/// Whether a socket bound to `bind` can send to `remote`: same family, and not from loopback to elsewhere.
pub fn reaches(bind: IpAddr, remote: IpAddr) -> bool {
    bind.is_ipv4() == remote.is_ipv4() && (!bind.is_loopback() || remote.is_loopback())
}
