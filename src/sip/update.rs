//! UPDATE before the answer: the peer's Contact and the session change in an early dialog (RFC 3311 §5). Within
//! confirmed dialogs `turn` takes theirs, and ours is a re-INVITE.
//!
//! An offer needs the one before it to be answered for certain, so the first exchange must have been reliable
//! (RFC 6337 §2.2, table 1). Of several forks our user sees one session: whose offer came last.

use super::Endpoint;
use super::Serving;
use super::api::{Body, Event, Flow};
use super::dialog::DialogRecord;
use super::header::{Method, Name};
use super::leg::{Leg, Ours, Theirs};
use super::message::Request;
use super::transaction::{Errand, Outcome, Purpose, ServerKey};
use super::uac::{body_of, put_body};
use crate::ids::LegId;
use crate::time::Instant;

/// What an offer meets in an early dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Every offer has its answer.
    Free,
    /// One of ours waits for its answer: 491.
    Ours,
    /// One of theirs waits for ours: 500.
    Theirs,
}

impl Endpoint {
    /// re-INVITE or UPDATE before the 2xx.
    pub(super) fn offered_early(
        &mut self,
        now: Instant,
        (key, flow): (ServerKey, Flow),
        leg: LegId,
        mut request: Request,
    ) {
        let tag = request.headers.from_tag().unwrap_or_default().to_owned();
        if request.method != Method::Update {
            return self.refuse_for_now(now, key, &request); // RFC 3261 §14.2
        }
        let turn = self.early_turn(leg, &tag);
        match turn {
            _ if request.body.is_empty() => {}
            Turn::Free => {}
            Turn::Ours => return self.refuse(now, key, &request, 491),
            Turn::Theirs => return self.refuse_for_now(now, key, &request),
        }
        let dialog = self.legs.find_mut(&leg).and_then(|leg| leg.dialog_with_mut(&tag));
        let dialog = dialog.expect("the dialog that the leg was found by");
        dialog.follow(&request, flow);
        let contact = dialog.contact.clone();
        let Some(body) = body_of(&request.headers, std::mem::take(&mut request.body)) else {
            let mut response = self.response(&request, 200);
            response.headers.push(Name::Contact, contact);
            return self.respond(now, key, &Method::Update, response);
        };
        self.serving.insert(key, Serving::Leg(leg));
        let theirs = Theirs { server: key, request, offered: true };
        match self.legs.find_mut(&leg) {
            Some(Leg::Calling(calling)) => calling.theirs = Some(theirs),
            Some(Leg::Ringing(ringing)) => ringing.theirs = Some(theirs),
            _ => {}
        }
        self.tell(Event::Offered { leg, body: Some(body) });
    }

    fn early_turn(&mut self, leg: LegId, tag: &str) -> Turn {
        let (theirs, ours, agreed, we_offered) = match self.legs.find_mut(&leg) {
            Some(Leg::Calling(calling)) => {
                let agreed = calling.early(tag).is_some_and(|early| early.agreed);
                (calling.theirs.is_some(), calling.ours.is_some(), agreed, calling.local.is_some())
            }
            Some(Leg::Ringing(ringing)) => {
                let had_offer = ringing.request.headers.has(&Name::ContentType);
                let described = ringing.reliable.unacked.as_ref().is_some_and(|unacked| unacked.described);
                let agreed = ringing.reliable.agreed && !described;
                (ringing.theirs.is_some(), ringing.ours.is_some(), agreed, !had_offer && described)
            }
            _ => return Turn::Theirs,
        };
        match (theirs, ours) {
            (true, _) => Turn::Theirs,
            (_, true) => Turn::Ours,
            _ if agreed => Turn::Free,
            _ if we_offered => Turn::Ours,
            _ => Turn::Theirs,
        }
    }

    /// `Command::AcceptOffer` for a PRACK or UPDATE in an early dialog.
    pub(super) fn accept_theirs(&mut self, now: Instant, leg: LegId, body: Body) {
        let (theirs, contact) = match self.legs.find_mut(&leg) {
            Some(Leg::Calling(calling)) => {
                let Some(theirs) = calling.theirs.take() else { return };
                calling.local = Some(body.clone());
                let tag = theirs.request.headers.from_tag().unwrap_or_default();
                let Some(early) = calling.early(tag) else { return };
                early.answer = None; // What stands now came after it.
                (theirs, early.dialog.contact.clone())
            }
            Some(Leg::Ringing(ringing)) => {
                let Some(theirs) = ringing.theirs.take() else { return };
                (theirs, ringing.dialog.contact.clone())
            }
            _ => return,
        };
        self.serving.remove(&theirs.server);
        let mut response = self.response(&theirs.request, 200);
        response.headers.push(Name::Contact, contact);
        put_body(&mut response.headers, &mut response.body, body);
        self.respond(now, theirs.server, &theirs.request.method, response);
    }

    /// `Command::Reoffer` before the 2xx: an UPDATE, if offer and answer were exchanged and the peer takes it.
    pub(super) fn reoffer_early(&mut self, now: Instant, leg: LegId, body: Body) {
        let tag = match self.legs.get(&leg) {
            Some(Leg::Calling(calling)) => {
                let ready = calling.early.iter().find(|early| early.agreed && early.takes_update);
                ready.map(|early| early.dialog.remote_tag.clone())
            }
            Some(Leg::Ringing(ringing)) => {
                let takes = ringing.request.headers.lists(&Name::Allow, Method::Update.as_str());
                takes.then(|| ringing.dialog.remote_tag.clone())
            }
            _ => return,
        };
        let tag = tag.filter(|tag| self.early_turn(leg, tag) == Turn::Free);
        let Some(tag) = tag else { return self.tell(Event::OfferRefused { leg, status: 491 }) };
        let allow = self.allow();
        let ours = Some(Ours { body: body.clone(), refreshes: false, tries: 0 });
        let account = match self.legs.find_mut(&leg) {
            Some(Leg::Calling(calling)) => {
                calling.ours = ours;
                calling.client.and_then(|key| self.transactions.errand(key)?.1.account.clone())
            }
            Some(Leg::Ringing(ringing)) => {
                ringing.ours = ours;
                None
            }
            _ => None,
        };
        let dialog = self.legs.find_mut(&leg).and_then(|leg| leg.dialog_with_mut(&tag));
        let dialog: &mut DialogRecord = dialog.expect("the early dialog that has just been looked up");
        let mut update = dialog.request(Method::Update);
        let dialog = dialog.clone();
        let hop = self.hop(&dialog, &mut update);
        update.headers.push(Name::Allow, allow);
        put_body(&mut update.headers, &mut update.body, body);
        self.dispatch(now, update, hop, Errand { account, ..Errand::new(Purpose::Update(leg)) });
    }

    /// Our UPDATE with an offer has come to its end; the 2xx of the INVITE may have come before.
    pub(super) fn updated(&mut self, now: Instant, leg: LegId, request: &Request, outcome: Outcome) {
        let tag = request.headers.to_tag().unwrap_or_default();
        let Some(state) = self.legs.find_mut(&leg) else { return };
        let ours = match state {
            Leg::Calling(calling) => calling.ours.take(),
            Leg::Ringing(ringing) => ringing.ours.take(),
            Leg::Talking(talking) => talking.ours.take(),
        };
        let (Some(ours), Some(dialog)) = (ours, state.dialog_with_mut(tag)) else { return };
        let status = match outcome {
            Outcome::Response(response) if response.status < 300 => {
                let moved = dialog.refresh_target(response.headers.contact().ok().flatten());
                if moved {
                    self.tell_moved(leg);
                }
                self.early_agreed(leg, tag, ours.body);
                let body = body_of(&response.headers, response.body);
                return self.tell(Event::OfferAnswered { leg, body });
            }
            Outcome::Response(response) => response.status,
            Outcome::Timeout { .. } => 408,
            Outcome::TransportFailed { .. } | Outcome::Unresolved => 503,
        };
        match self.legs.get(&leg) {
            Some(Leg::Talking(_)) if status == 491 => self.offers_met(now, leg, ours),
            _ => self.tell(Event::OfferRefused { leg, status }),
        }
    }

    /// What stands is what we have offered and they have answered.
    fn early_agreed(&mut self, leg: LegId, tag: &str, body: Body) {
        match self.legs.find_mut(&leg) {
            Some(Leg::Calling(calling)) => {
                calling.local = Some(body);
                calling.early(tag).into_iter().for_each(|early| early.answer = None);
            }
            Some(Leg::Talking(talking)) => talking.local = Some(body),
            _ => {}
        }
    }
}
