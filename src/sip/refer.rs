//! REFER within a call, receiving side (RFC 3515): the peer asks us to call somebody, and hears by NOTIFY what
//! becomes of it (RFC 3420 bodies), unless it wants to hear nothing (RFC 4488).
//!
//! Only where our user carries referrals out (`Config::takes_refer`); else 603. One at a time in each call. Left out:
//! REFER outside a call (603), refreshing the subscription, and its life beyond the call's (RFC 5057).

use super::api::{Body, Event};
use super::header::{Method, Name, NameAddr};
use super::leg::{Leg, Referral};
use super::message::{Request, Response};
use super::status::reason_phrase;
use super::transaction::{Errand, Outcome, Purpose, ServerKey};
use super::uac::put_body;
use super::uri::{Scheme, Uri};
use super::{Deadline, Endpoint};
use crate::ids::LegId;
use crate::time::Instant;
use std::time::Duration;

/// How long a referral may take; then the peer is told that it will hear no more.
const LIFE: Duration = Duration::from_secs(180);

impl Endpoint {
    pub(super) fn referred(&mut self, now: Instant, key: ServerKey, leg: LegId, request: &Request) {
        let takes = self.config.takes_refer;
        let Some(Leg::Talking(talking)) = self.legs.find_mut(&leg) else {
            return self.refuse(now, key, request, 603); // Nothing to transfer yet.
        };
        if talking.leaving.is_some() {
            return self.refuse(now, key, request, 481);
        }
        let to = match refer_to(request) {
            Ok(_) if !takes => return self.refuse(now, key, request, 603),
            Ok(_) if talking.referral.is_some() => return self.refuse_for_now(now, key, request),
            Ok(to) => to,
            Err(status) => return self.refuse(now, key, request, status),
        };
        let cseq = request.headers.cseq().map(|cseq| cseq.number).unwrap_or_default();
        // RFC 3515 §2.4.6: all but the first name the REFER's CSeq.
        let id = std::mem::replace(&mut talking.was_referred, true).then_some(cseq);
        let refer_sub = request.headers.get(&Name::from("Refer-Sub")).unwrap_or_default();
        let silent = refer_sub.split(';').next().is_some_and(|value| value.trim().eq_ignore_ascii_case("false"));
        talking.referral = Some(Referral { id, silent });
        let contact = talking.dialog.contact.clone();
        let mut response = self.response(request, 202);
        response.headers.push(Name::Contact, contact);
        if silent {
            response.headers.push(Name::from("Refer-Sub"), "false"); // RFC 4488 §4
        }
        self.respond(now, key, &Method::Refer, response);
        self.due.set(Deadline::Referral(leg), now + LIFE);
        self.notify(now, leg, 100, "active;expires=180"); // §2.4.4: at once.
        let (to, replaces) = without_replaces(to);
        let referred_by = request.headers.get(&Name::ReferredBy).and_then(NameAddr::parse);
        self.tell(Event::Referred { leg, to, referred_by, replaces });
    }

    /// `Command::ReferProgress`.
    pub(super) fn refer_progress(&mut self, now: Instant, leg: LegId, status: u16) {
        assert!((100..700).contains(&status), "progress is a status");
        if status < 200 {
            return self.notify(now, leg, status, "active;expires=180");
        }
        self.notify(now, leg, status, "terminated;reason=noresource");
        self.end_referral(leg);
    }

    /// `Deadline::Referral`.
    pub(super) fn referral_due(&mut self, now: Instant, leg: LegId) {
        self.notify(now, leg, 100, "terminated;reason=timeout");
        self.end_referral(leg);
    }

    fn end_referral(&mut self, leg: LegId) {
        self.due.cancel(&Deadline::Referral(leg));
        if let Some(talking) = self.talking(leg) {
            talking.referral = None;
        }
    }

    fn notify(&mut self, now: Instant, leg: LegId, status: u16, state: &str) {
        let Some(talking) = self.talking(leg).filter(|talking| talking.leaving.is_none()) else { return };
        let Some(referral) = talking.referral.as_ref().filter(|referral| !referral.silent) else { return };
        let event = referral.event();
        let mut notify = talking.dialog.request(Method::Notify);
        notify.headers.push(Name::Event, event);
        notify.headers.push(Name::SubscriptionState, state);
        let bytes = format!("SIP/2.0 {status} {}\r\n", reason_phrase(status)).into_bytes();
        let body = Body { content_type: "message/sipfrag;version=2.0".to_owned(), bytes };
        put_body(&mut notify.headers, &mut notify.body, body);
        let errand = Errand { account: talking.account.clone(), ..Errand::new(Purpose::Notify(leg)) };
        let dialog = talking.dialog.clone();
        let hop = self.hop(&dialog, &mut notify);
        self.dispatch(now, notify, hop, errand);
    }

    /// A NOTIFY has come to its end: who refuses it wants no more of them; the call goes on (RFC 5057 §5).
    pub(super) fn notified(&mut self, leg: LegId, notify: &Request, outcome: &Outcome) {
        if !matches!(outcome, Outcome::Response(Response { status: 200..=299, .. }))
            && let Some(referral) = self.talking(leg).and_then(|talking| talking.referral.as_mut())
            && notify.headers.get(&Name::Event) == Some(referral.event().as_str())
        {
            referral.silent = true;
        }
    }
}

impl Referral {
    /// Its subscription's Event field.
    fn event(&self) -> String {
        self.id.map_or_else(|| "refer".to_owned(), |id| format!("refer;id={id}"))
    }
}

/// Who is to be called: one Refer-To (§2.4.2), by INVITE.
fn refer_to(request: &Request) -> Result<NameAddr, u16> {
    let mut fields = request.headers.iter().filter(|(name, _)| **name == Name::ReferTo);
    let (Some((_, field)), None) = (fields.next(), fields.next()) else { return Err(400) };
    let to = NameAddr::parse(field).ok_or(400_u16)?;
    let invites = to.uri.params.text("method").is_none_or(|method| method == "INVITE");
    match to.uri.scheme {
        Scheme::Sip | Scheme::Sips | Scheme::Tel if invites => Ok(to),
        _ => Err(603),
    }
}

/// Takes the Replaces field out of the address (RFC 3891 §4: `?Replaces=…`, escaped), as it shall stand in an INVITE.
/// Other fields that the peer wants in our INVITE are dropped.
fn without_replaces(mut to: NameAddr) -> (NameAddr, Option<String>) {
    let headers = std::mem::take(&mut to.uri.headers);
    let fields = headers.split('&').filter_map(|field| field.split_once('='));
    let replaces = fields.filter(|(name, _)| name.eq_ignore_ascii_case("Replaces")).map(|(_, value)| value).next();
    (to, replaces.map(Uri::header_decoded))
}
