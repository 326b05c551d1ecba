//! Provisional responses that arrive for certain: 100rel and PRACK, both sides (RFC 3262), and the early dialogs
//! that they and other provisional responses make (RFC 3261 §12.1).
//!
//! We ask no peer for them, and give them to callers who require them, or who support them where a description
//! goes along. One at a time waits for its PRACK. Left out: several at once (§3 allows it after the first).

use super::api::{Body, Event, Reason};
use super::dialog::DialogRecord;
use super::header::{CSeq, Method, Name};
use super::leg::{Early, Leg, Ringing, Rung, Theirs, Unproven};
use super::message::{Request, Response};
use super::transaction::{ClientKey, Errand, Purpose, ServerKey};
use super::uac::{body_of, put_body};
use super::{Deadline, Endpoint, Serving};
use crate::ids::LegId;
use crate::time::Instant;

/// Provisional responses that may wait behind one without PRACK; a phone that rings on sends no more.
const MAX_WAITING: usize = 8;

/// Whether a provisional response to `invite` shall be reliable.
pub(super) fn wants_reliable(invite: &Request, response: &Response) -> bool {
    let has = |name: &Name| invite.headers.lists(name, "100rel");
    has(&Name::Require) || (has(&Name::Supported) && !response.body.is_empty())
}

impl Endpoint {
    /// Sends a provisional response until its PRACK comes, or lets it wait for its turn.
    pub(super) fn ring_reliably(&mut self, now: Instant, leg: LegId, mut response: Response) {
        let first = 1 + u32::try_from(self.rng.below(1 << 31)).unwrap_or_default() / 2;
        let (t1, patience) = (self.transactions.t1(), self.transactions.patience());
        let Some(Leg::Ringing(ringing)) = self.legs.find_mut(&leg) else { return };
        let reliable = &mut ringing.reliable;
        if reliable.answer.is_some() {
            return; // Who has answered rings no more.
        }
        if reliable.unacked.is_some() {
            if reliable.waiting.len() < MAX_WAITING {
                reliable.waiting.push_back(response);
            }
            return;
        }
        // §3: the first number is chosen between 1 and 2³¹ − 1; half of that leaves room to count.
        reliable.rseq = if reliable.rseq == 0 { first } else { reliable.rseq + 1 };
        response.headers.push(Name::Require, "100rel");
        response.headers.push(Name::RSeq, reliable.rseq.to_string());
        let described = !response.body.is_empty();
        reliable.unacked = Some(Unproven { described, interval: t1, until: now + patience });
        let key = ringing.server;
        self.due.set(Deadline::Unproven(leg), now + t1);
        self.respond(now, key, &Method::Invite, response);
    }

    /// `Deadline::Unproven`: again, at intervals that double; after 64·T1 the INVITE is refused (§3).
    pub(super) fn unproven(&mut self, now: Instant, leg: LegId) {
        let Some(Leg::Ringing(ringing)) = self.legs.find_mut(&leg) else { return };
        let Some(unacked) = &mut ringing.reliable.unacked else { return };
        if now < unacked.until {
            unacked.interval *= 2;
            self.due.set(Deadline::Unproven(leg), unacked.until.min(now + unacked.interval));
            return self.transactions.repeat_provisional(ringing.server);
        }
        self.turn_away(now, leg, 504, Vec::new());
        let reason = Reason { protocol: "SIP".to_owned(), cause: 504, text: "No PRACK".to_owned() };
        self.tell(Event::Cancelled { leg, reason: Some(reason) });
    }

    /// A PRACK. One that proves nothing that waits for it is refused with 481 (§3).
    pub(super) fn proven(&mut self, now: Instant, key: ServerKey, leg: LegId, mut request: Request) {
        let named = request.headers.get(&Name::RAck).map(rack);
        let Some(named) = named else { return self.refuse(now, key, &request, 400) };
        match self.legs.find_mut(&leg) {
            Some(Leg::Talking(talking)) => {
                let late = talking.late_rseq.take_if(|rseq| named.as_ref().is_some_and(|(named, _)| named == rseq));
                let status = if late.is_some() { 200 } else { 481 };
                return self.refuse(now, key, &request, status);
            }
            Some(Leg::Ringing(ringing)) if ringing.waits_for(named) => {}
            _ => return self.refuse(now, key, &request, 481),
        }
        self.due.cancel(&Deadline::Unproven(leg));
        let Some(Leg::Ringing(ringing)) = self.legs.find_mut(&leg) else { return };
        let unacked = ringing.reliable.unacked.take().expect("the response that this PRACK is for");
        let had_offer = ringing.request.headers.has(&Name::ContentType);
        let was_agreed = ringing.reliable.agreed;
        ringing.reliable.agreed |= unacked.described;
        let body = body_of(&request.headers, std::mem::take(&mut request.body));
        match body {
            Some(body) if !was_agreed && !had_offer && unacked.described => {
                self.refuse(now, key, &request, 200);
                self.tell(Event::OfferAnswered { leg, body: Some(body) });
            }
            Some(body) if ringing.reliable.agreed && ringing.theirs.is_none() => {
                ringing.theirs = Some(Theirs { server: key, request, offered: true });
                self.serving.insert(key, Serving::Leg(leg));
                self.tell(Event::Offered { leg, body: Some(body) });
            }
            // RFC 3262 §5: no offer before the answer to the INVITE's.
            Some(_) => self.refuse_for_now(now, key, &request),
            None => self.refuse(now, key, &request, 200),
        }
        self.go_on_ringing(now, leg);
    }

    /// What has waited for the PRACK.
    fn go_on_ringing(&mut self, now: Instant, leg: LegId) {
        let Some(Leg::Ringing(ringing)) = self.legs.find_mut(&leg) else { return };
        if let Some(body) = ringing.reliable.answer.take() {
            return self.answer(now, leg, body);
        }
        if let Some(response) = ringing.reliable.waiting.pop_front() {
            self.ring_reliably(now, leg, response);
        }
    }

    /// Answers what is open within the early dialog of a leg that ends.
    pub(super) fn refuse_open(&mut self, now: Instant, ringing: &mut Ringing) {
        if let Some(theirs) = ringing.theirs.take() {
            self.refuse(now, theirs.server, &theirs.request, 487);
        }
    }

    /// `Command::AcceptOffer` before the 2xx.
    pub(super) fn accept_early(&mut self, now: Instant, leg: LegId, body: Body) {
        match self.legs.find_mut(&leg) {
            Some(Leg::Calling(calling)) => {
                let Some(rung) = calling.owes_prack.take() else { return self.accept_theirs(now, leg, body) };
                calling.local = Some(body.clone());
                if let Some(early) = calling.early(&rung.remote_tag) {
                    early.agreed = true;
                }
                self.prove(now, leg, &rung, Some(body));
            }
            _ => self.accept_theirs(now, leg, body),
        }
    }

    /// `Command::RefuseOffer` before the 2xx. An offer in a response cannot be refused: the INVITE is cancelled, and
    /// `Failed` follows.
    pub(super) fn refuse_early(&mut self, now: Instant, leg: LegId, status: u16) {
        match self.legs.find_mut(&leg) {
            Some(Leg::Calling(calling)) => {
                if let Some(theirs) = calling.theirs.take() {
                    return self.refuse(now, theirs.server, &theirs.request, status);
                }
                let (Some(rung), Some(key)) = (calling.owes_prack.take(), calling.client) else { return };
                self.prove(now, leg, &rung, None);
                self.transactions.cancel(now, key, None);
            }
            Some(Leg::Ringing(ringing)) => {
                let Some(theirs) = ringing.theirs.take() else { return };
                self.refuse(now, theirs.server, &theirs.request, status);
            }
            _ => {}
        }
    }

    /// 101 … 199 to our INVITE: an early dialog, and a PRACK if it asks for one. One that came before, or too early,
    /// is dropped (§4): a reliable one will come again.
    pub(super) fn progressed(&mut self, now: Instant, key: ClientKey, leg: LegId, response: Response) {
        let tag = response.headers.to_tag().unwrap_or_default().to_owned();
        let had_offer = self.transactions.sent(key).is_some_and(|sent| sent.headers.has(&Name::ContentType));
        self.begin_early(key, leg, &response);
        let Some(Leg::Calling(calling)) = self.legs.find_mut(&leg) else { return };
        let takes_update = response.headers.lists(&Name::Allow, Method::Update.as_str());
        let takes_talk = response.headers.lists(&Name::AllowEvents, "talk");
        if let Some(early) = calling.early(&tag) {
            early.takes_update |= takes_update;
            early.takes_talk |= takes_talk;
        }
        let (owes, early) = (calling.owes_prack.is_some(), calling.early(&tag));
        let (Some(early), Some(rseq)) = (early, reliable_number(&response)) else {
            let (status, body) = (response.status, body_of(&response.headers, response.body));
            return self.tell(Event::Provisional { leg, status, body });
        };
        let offers = !had_offer && !early.agreed && !response.body.is_empty();
        if early.rseq.is_some_and(|last| last.checked_add(1) != Some(rseq)) || (offers && owes) {
            return;
        }
        early.rseq = Some(rseq);
        let (status, mut body) = (response.status, body_of(&response.headers, response.body));
        let rung = Rung { remote_tag: tag, rseq };
        if offers {
            calling.owes_prack = Some(rung);
            self.tell(Event::Provisional { leg, status, body: None });
            return self.tell(Event::Offered { leg, body });
        }
        if early.agreed {
            body = None; // §5: the answer was given.
        } else if body.is_some() {
            (early.agreed, early.answer) = (true, body.clone());
        }
        self.prove(now, leg, &rung, None);
        self.tell(Event::Provisional { leg, status, body });
    }

    /// The early dialog of a provisional response with a To tag, if it is new (RFC 3261 §12.1.2).
    fn begin_early(&mut self, key: ClientKey, leg: LegId, response: &Response) {
        let Some(tag) = response.headers.to_tag() else { return };
        let Some((flow, errand)) = self.transactions.errand(key) else { return };
        let sent = self.transactions.sent(key);
        let contact = sent.and_then(|sent| sent.headers.get(&Name::Contact)).unwrap_or_default().to_owned();
        let (pinned, most) = (errand.pinned, self.config.capacity.forks);
        let user = self.user_called(sent, flow);
        let Some(Leg::Calling(calling)) = self.legs.find_mut(&leg) else { return };
        if calling.early.len() < most && calling.early(tag).is_none() {
            let dialog = DialogRecord { user, ..DialogRecord::of_response(response, contact, flow, pinned) };
            let (takes_update, takes_talk) = (false, false);
            calling.early.push(Early { dialog, rseq: None, agreed: false, answer: None, takes_update, takes_talk });
        }
    }

    /// The 2xx that makes `dialog` has come: its early dialog goes on in it, the others end (§13.2.2.4).
    pub(super) fn end_early(&mut self, leg: LegId, dialog: &mut DialogRecord) -> Option<Early> {
        let Some(Leg::Calling(calling)) = self.legs.find_mut(&leg) else { return None };
        let mut all = std::mem::take(&mut calling.early).into_iter();
        let early = all.find(|early| early.dialog.remote_tag == dialog.remote_tag)?;
        dialog.local_cseq = early.dialog.local_cseq.max(dialog.local_cseq);
        dialog.remote_cseq = early.dialog.remote_cseq;
        Some(early)
    }

    /// Sends a PRACK, with our answer if the response brought an offer.
    fn prove(&mut self, now: Instant, leg: LegId, rung: &Rung, answer: Option<Body>) {
        let Some(Leg::Calling(calling)) = self.legs.find_mut(&leg) else { return };
        let Some(key) = calling.client else { return };
        let Some(early) = calling.early(&rung.remote_tag) else { return };
        let mut prack = early.dialog.request(Method::Prack);
        let dialog = early.dialog.clone();
        let hop = self.hop(&dialog, &mut prack);
        let cseq = self.transactions.sent(key).and_then(|invite| invite.headers.cseq().ok());
        let (Some(cseq), Some((_, errand))) = (cseq, self.transactions.errand(key)) else { return };
        prack.headers.push(Name::RAck, format!("{} {}", rung.rseq, cseq.text()));
        if let Some(body) = answer {
            put_body(&mut prack.headers, &mut prack.body, body);
        }
        let errand = Errand { account: errand.account.clone(), ..Errand::new(Purpose::Prack(leg)) };
        self.dispatch(now, prack, hop, errand);
    }
}

impl Ringing {
    /// Whether the response that this RAck names waits for its PRACK.
    fn waits_for(&self, named: Option<(u32, CSeq)>) -> bool {
        let waits = self.reliable.unacked.is_some();
        waits && named.is_some_and(|(rseq, cseq)| rseq == self.reliable.rseq && self.request.headers.cseq() == Ok(cseq))
    }
}

/// `RAck = response-num LWS CSeq-num LWS Method` (§7.2).
fn rack(text: &str) -> Option<(u32, CSeq)> {
    let (number, cseq) = text.trim_ascii().split_once([' ', '\t'])?;
    Some((number.parse().ok()?, CSeq::parse(cseq)?))
}

/// The RSeq of a provisional response that wants a PRACK (§7.1: 1 … 2³² − 1).
fn reliable_number(response: &Response) -> Option<u32> {
    let asks = response.headers.lists(&Name::Require, "100rel");
    response.headers.get(&Name::RSeq)?.trim_ascii().parse().ok().filter(|number| asks && *number > 0)
}
