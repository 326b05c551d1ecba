//! Within a dialog: ACK, BYE, re-INVITE, UPDATE, INFO, OPTIONS (RFC 3261 §12.2, §14, §15; RFC 3311, RFC 6086).
//!
//! Offer and answer are bytes here; this only keeps the turns: one offer at a time (RFC 3264 §4, 491 and 500).

use super::api::{Body, EndCause, Event, Flow};
use super::dialog::DialogRecord;
use super::header::{Method, Name};
use super::leg::{Leg, Ours, Theirs, Unacked};
use super::message::{Request, Response};
use super::session::refresh_with;
use super::transaction::{ClientKey, Errand, Outcome, Purpose, ServerKey};
use super::uac::{body_of, put_body, reason_of};
use super::{Endpoint, Serving};
use crate::ids::LegId;
use crate::time::Instant;

impl Endpoint {
    /// The leg whose dialog a message with these tags belongs to, seen from us.
    pub(super) fn leg_of(&self, request: &Request) -> Option<LegId> {
        let headers = &request.headers;
        let leg = *self.by_tag.get(headers.to_tag()?)?;
        let (call_id, remote) = (headers.call_id().ok()?, headers.from_tag().unwrap_or_default());
        self.legs.get(&leg)?.dialog_with(remote).filter(|dialog| dialog.is_of(call_id, remote))?;
        Some(leg)
    }

    /// An ACK for a 2xx of ours.
    pub(super) fn acknowledged(&mut self, now: Instant, request: Request) {
        let number = request.headers.cseq().map(|cseq| cseq.number).unwrap_or_default();
        let leg = self.leg_of(&request);
        let talking = leg.and_then(|leg| self.talking(leg));
        let unacked = talking.and_then(|talking| talking.unacked.take_if(|unacked| unacked.cseq == number));
        let (Some(leg), Some(unacked)) = (leg, unacked) else {
            self.stats.stray_acks += 1; // A repetition, or late, or nobody's.
            return;
        };
        self.transactions.acknowledge(unacked.server);
        self.serving.remove(&unacked.server);
        let body = body_of(&request.headers, request.body);
        let talking = self.talking(leg).expect("the leg whose ACK has come");
        if let Some(leaving) = talking.leaving.take() {
            if let Some(Leg::Talking(talking)) = self.forget(leg) {
                self.leave(now, *talking, leaving.reason);
            }
        } else if unacked.first {
            let dialog = talking.dialog.clone();
            self.tell(Event::Established { leg, body, dialog });
        } else if unacked.offered {
            self.tell(Event::OfferAnswered { leg, body });
        }
    }

    /// Our 2xx got no ACK in 64·T1: BYE (§13.3.1.4).
    pub(super) fn unacknowledged(&mut self, now: Instant, key: ServerKey) {
        let Some(Serving::Leg(leg)) = self.serving.remove(&key) else { return };
        let Some(Leg::Talking(mut talking)) = self.forget(leg) else { return };
        match talking.leaving.take() {
            Some(leaving) => self.leave(now, *talking, leaving.reason),
            None => {
                self.leave(now, *talking, None);
                self.tell(Event::Ended { leg, reason: None, why: EndCause::NoAck });
            }
        }
    }

    pub(super) fn within_dialog(&mut self, now: Instant, key: ServerKey, flow: Flow, request: Request) {
        let Some(leg) = self.leg_of(&request) else { return self.refuse(now, key, &request, 481) };
        let Ok(cseq) = request.headers.cseq() else { return self.refuse(now, key, &request, 400) };
        let remote = request.headers.from_tag().unwrap_or_default();
        let dialog = self.legs.find_mut(&leg).and_then(|leg| leg.dialog_with_mut(remote));
        let dialog = dialog.expect("the dialog that the leg was found by");
        if dialog.remote_cseq.is_some_and(|last| cseq.number < last) {
            return self.refuse(now, key, &request, 500); // §12.2.2: out of order.
        }
        dialog.remote_cseq = Some(cseq.number);
        match request.method {
            Method::Bye => self.said_bye(now, key, leg, &request),
            Method::Invite | Method::Update => self.offered(now, (key, flow), leg, request),
            Method::Info => {
                if let Some(response) = self.objection_to_info(&request) {
                    return self.respond(now, key, &Method::Info, response);
                }
                self.refuse(now, key, &request, 200);
                let body = body_of(&request.headers, request.body);
                if self.talking(leg).is_some_and(|talking| talking.leaving.is_none()) {
                    self.tell(Event::Info { leg, body });
                }
            }
            Method::Options => {
                let response = self.capabilities(&request);
                self.respond(now, key, &Method::Options, response);
            }
            Method::Refer => self.referred(now, key, leg, &request),
            Method::Prack => self.proven(now, key, leg, request),
            _ => self.refuse(now, key, &request, 481),
        }
    }

    fn said_bye(&mut self, now: Instant, key: ServerKey, leg: LegId, request: &Request) {
        if matches!(self.legs.get(&leg), Some(Leg::Calling(_))) {
            return self.refuse(now, key, request, 481); // §15: the callee has no early dialog to end.
        }
        self.refuse(now, key, request, 200);
        let reason = reason_of(&request.headers);
        if self.talking(leg).is_none() {
            return self.caller_gave_up(now, leg, reason); // §15.1.2, and 487 for the INVITE.
        }
        let Some(Leg::Talking(mut talking)) = self.forget(leg) else { return };
        if let Some(unacked) = talking.unacked.take() {
            self.transactions.acknowledge(unacked.server); // Who says BYE has had the 2xx.
        }
        if let Some(theirs) = talking.theirs.take() {
            self.refuse(now, theirs.server, &theirs.request, 487);
        }
        if talking.leaving.is_none() {
            self.tell(Event::Ended { leg, reason, why: EndCause::Bye });
        }
    }

    /// re-INVITE or UPDATE.
    fn offered(&mut self, now: Instant, (key, flow): (ServerKey, Flow), leg: LegId, mut request: Request) {
        let is_update = request.method == Method::Update;
        let has_body = !request.body.is_empty();
        let Some(talking) = self.talking(leg) else { return self.offered_early(now, (key, flow), leg, request) };
        if talking.leaving.is_some() {
            return self.refuse(now, key, &request, 481);
        }
        if talking.ours.is_some() && (has_body || !is_update) {
            return self.refuse(now, key, &request, 491); // §14.2: glare.
        }
        let awaits_ack = talking.unacked.as_ref().is_some_and(|unacked| !is_update || unacked.offered);
        if talking.theirs.is_some() || awaits_ack || talking.owes_ack.is_some() {
            return self.refuse_for_now(now, key, &request);
        }
        if talking.dialog.follow(&request, flow) {
            self.tell_moved(leg);
        }
        let Some(talking) = self.talking(leg) else { return };
        if is_update && !has_body {
            let (contact, current) = (talking.dialog.contact.clone(), talking.timer.clone());
            let mut response = self.response(&request, 200);
            response.headers.push(Name::Contact, contact);
            let timer = self.grant_timer(now, &request, current.as_ref(), &mut response);
            self.set_timer(now, leg, timer);
            return self.respond(now, key, &Method::Update, response);
        }
        let body = body_of(&request.headers, std::mem::take(&mut request.body));
        talking.theirs = Some(Theirs { server: key, request, offered: has_body });
        self.serving.insert(key, Serving::Leg(leg));
        self.tell(Event::Offered { leg, body });
    }

    /// The peer of an established dialog is elsewhere.
    pub(super) fn tell_moved(&mut self, leg: LegId) {
        let dialog =
            self.talking(leg).filter(|talking| talking.leaving.is_none()).map(|talking| talking.dialog.clone());
        dialog.into_iter().for_each(|dialog| self.tell(Event::Moved { leg, dialog }));
    }

    /// 500 with a Retry-After between 0 and 10 s.
    pub(super) fn refuse_for_now(&mut self, now: Instant, key: ServerKey, request: &Request) {
        let mut response = self.response(request, 500);
        response.headers.push(Name::RetryAfter, self.rng.below(11).to_string());
        self.respond(now, key, &request.method, response);
    }

    /// `Command::AcceptOffer`.
    pub(super) fn accept_offer(&mut self, now: Instant, leg: LegId, body: Body) {
        if !matches!(self.legs.get(&leg), Some(Leg::Talking(_))) {
            return self.accept_early(now, leg, body);
        }
        let Some(talking) = self.talking(leg) else { return };
        if let Some(key) = talking.owes_ack.take() {
            let dialog = talking.dialog.clone();
            talking.local = Some(body.clone());
            return self.acknowledge(key, &dialog, Some(body));
        }
        let Some(theirs) = talking.theirs.take() else { return };
        let (contact, current) = (talking.dialog.contact.clone(), talking.timer.clone());
        talking.local = Some(body.clone());
        talking.wanted.iter_mut().for_each(|wanted| wanted.outdated = true);
        let Theirs { server, request, offered } = theirs;
        if request.method == Method::Invite {
            let cseq = talking.dialog.remote_cseq.unwrap_or_default();
            let cseq = request.headers.cseq().map_or(cseq, |cseq| cseq.number);
            talking.unacked = Some(Unacked { server, cseq, first: false, offered: !offered });
        } else {
            self.serving.remove(&server);
        }
        let mut response = self.response(&request, 200);
        response.headers.push(Name::Contact, contact);
        if matches!(request.method, Method::Invite | Method::Update) {
            let timer = self.grant_timer(now, &request, current.as_ref(), &mut response);
            self.set_timer(now, leg, timer);
        }
        put_body(&mut response.headers, &mut response.body, body);
        self.respond(now, server, &request.method, response);
    }

    /// `Command::RefuseOffer`.
    pub(super) fn refuse_offer(&mut self, now: Instant, leg: LegId, status: u16) {
        assert!((300..700).contains(&status), "a refusal needs a failure status");
        if !matches!(self.legs.get(&leg), Some(Leg::Talking(_))) {
            return self.refuse_early(now, leg, status);
        }
        if let Some(theirs) = self.talking(leg).and_then(|talking| talking.theirs.take()) {
            self.refuse(now, theirs.server, &theirs.request, status);
        }
    }

    /// A re-INVITE; nothing else must be under way.
    pub(super) fn send_offer(&mut self, now: Instant, leg: LegId, ours: Ours) {
        let allow = self.allow();
        let Some(talking) = self.talking(leg) else { return };
        let mut request = talking.dialog.request(Method::Invite);
        request.headers.push(Name::Allow, allow);
        refresh_with(talking.timer.as_ref(), &mut request.headers);
        put_body(&mut request.headers, &mut request.body, ours.body.clone());
        let errand = Errand { account: talking.account.clone(), ..Errand::new(Purpose::Reoffer(leg)) };
        talking.ours = Some(ours);
        let dialog = talking.dialog.clone();
        let hop = self.hop(&dialog, &mut request);
        self.dispatch(now, request, hop, errand);
    }

    /// `seen` is the dialog as the 2xx alone shows it: for the ACK if we have hung up meanwhile.
    pub(super) fn reoffer_accepted(
        &mut self,
        now: Instant,
        key: ClientKey,
        leg: LegId,
        (seen, response): (DialogRecord, Response),
    ) {
        let Some(talking) = self.talking(leg) else { return self.acknowledge(key, &seen, None) };
        let ours = talking.ours.take();
        let moved = talking.dialog.refresh_target(response.headers.contact().ok().flatten());
        let dialog = talking.dialog.clone();
        self.acknowledge(key, &dialog, None);
        if moved {
            self.tell_moved(leg);
        }
        let agreed = self.agreed_timer(now, key, &response);
        self.set_timer(now, leg, agreed);
        let Some(ours) = ours else { return };
        let body = body_of(&response.headers, response.body);
        if ours.refreshes {
            return body
                .into_iter()
                .for_each(|answer| self.tell(Event::Refreshed { leg, offer: ours.body.clone(), answer }));
        }
        if let Some(talking) = self.talking(leg) {
            talking.local = Some(ours.body);
        }
        self.tell(Event::OfferAnswered { leg, body });
    }

    /// §12.2.1.2: 481, 408 and silence mean that the dialog is gone; after other failures it goes on as it was, a connection
    /// that is broken at this moment included: the session has its end if nobody can refresh it.
    pub(super) fn reoffer_failed(&mut self, now: Instant, leg: LegId, outcome: Outcome) {
        let Some(talking) = self.talking(leg) else { return };
        let Some(ours) = talking.ours.take() else { return };
        let (is_gone, status) = match outcome {
            Outcome::Response(response) => (matches!(response.status, 408 | 481), response.status),
            Outcome::Timeout { .. } => (true, 408),
            Outcome::TransportFailed { .. } | Outcome::Unresolved => (false, 503),
        };
        match status {
            _ if is_gone => self.dialog_gone(now, leg, status),
            491 if ours.refreshes => self.refresh_met(now, leg),
            _ if ours.refreshes => self.refresh_again(now, leg),
            491 => self.offers_met(now, leg, ours),
            _ => self.tell(Event::OfferRefused { leg, status }),
        }
    }

    /// The peer does not know the dialog, or is silent.
    pub(super) fn dialog_gone(&mut self, now: Instant, leg: LegId, status: u16) {
        if let Some(Leg::Talking(talking)) = self.forget(leg) {
            if status != 481 {
                self.leave(now, *talking, None);
            }
            self.tell(Event::Ended { leg, reason: None, why: EndCause::DialogGone });
        }
    }
}
