//! Offers and answers of the phone's call: with the answer, before it (RFC 3262, 3311) and within the call.

use super::Event;
use super::{Call, Phone, State};
use crate::ids::LegId;
use crate::media::{self, Local, sdp};
use crate::sip::{self, Body};

impl Phone {
    pub(super) fn answer_with(&mut self, leg: LegId, offer: Option<Body>, local: &Local) {
        let (body, ours, session) = match offer {
            None => {
                let bytes = sdp::offer(local);
                (bytes.clone(), Some(bytes), None)
            }
            Some(offer) => match sdp::answer(&offer.bytes, local) {
                Ok((bytes, session)) => (bytes, None, Some(session)),
                Err(_) => {
                    self.sip_do(sip::Command::Refuse { leg, status: 488, headers: Vec::new() });
                    self.forget();
                    return self.tell(Event::Failed { status: 488 });
                }
            },
        };
        if let Some(call) = &mut self.call {
            call.state = State::Answering { offer: ours };
        }
        self.sip_do(sip::Command::Answer { leg, body: Body::sdp(body) });
        if let Some(session) = session {
            self.connect(session);
        }
    }

    /// Rings with the answer that will stand.
    pub(super) fn describe_early(&mut self, local: &Local) {
        let Some(Call { leg, state: State::Ringing { offer: Some(offer), told, .. }, .. }) = &mut self.call else {
            return;
        };
        if let Ok((bytes, session)) = sdp::answer(&offer.bytes, local) {
            let leg = *leg;
            *told = Some(bytes.clone());
            self.sip_do(sip::Command::Ring { leg, status: 183, body: Some(Body::sdp(bytes)) });
            self.connect(session);
        }
    }

    /// Answers with what was told before.
    pub(super) fn answer_again(&mut self, leg: LegId, told: Vec<u8>, local: &Local) {
        if let Some(call) = &mut self.call {
            call.state = State::Answering { offer: None };
        }
        if self.settings.manner.updates_early {
            self.sip_do(sip::Command::Reoffer { leg, body: Body::sdp(sdp::offer(local)) });
        }
        self.sip_do(sip::Command::Answer { leg, body: Body::sdp(told) });
    }

    /// Offers the other side to hear us and say nothing, or to talk again (RFC 3264 §8.4).
    pub(super) fn hold(&mut self, on: bool) {
        let Some(Call { state: State::Talking { offer: None }, holding, .. }) = &mut self.call else { return };
        if std::mem::replace(holding, on) != on {
            self.offer_anew();
        }
    }

    /// Offers what we want now.
    pub(super) fn offer_anew(&mut self) {
        let Some(local) = self.local() else { return };
        let bytes = sdp::offer(&local);
        let Some(call) = &mut self.call else { return };
        let leg = call.leg;
        call.state = State::Talking { offer: Some(bytes.clone()) };
        self.sip_do(sip::Command::Reoffer { leg, body: Body::sdp(bytes) });
    }

    /// A new offer within the call: hold, retrieve, another address.
    pub(super) fn offered(&mut self, leg: LegId, body: Option<Body>) {
        let Some(local) = self.local() else { return };
        let Some(body) = body else {
            let offer = sdp::offer(&local);
            if let Some(call) = &mut self.call {
                call.state = State::Talking { offer: Some(offer.clone()) };
            }
            return self.sip_do(sip::Command::AcceptOffer { leg, body: Body::sdp(offer) });
        };
        match sdp::answer(&body.bytes, &local) {
            Ok((bytes, session)) => {
                self.with_port(|port| media::Command::Connect { port, session });
                self.sip_do(sip::Command::AcceptOffer { leg, body: Body::sdp(bytes) });
            }
            Err(_) => self.sip_do(sip::Command::RefuseOffer { leg, status: 488 }),
        }
    }

    /// The call goes on as it was before our offer.
    pub(super) fn offer_refused(&mut self) {
        if let Some(Call { state: State::Talking { offer }, holding, .. }) = &mut self.call
            && offer.take().is_some()
        {
            *holding = !*holding;
        }
    }

    /// The endpoint has offered again what stands.
    pub(super) fn refresh_answered(&mut self, offer: &Body, answer: &Body) {
        if let Ok(session) = sdp::accept(&offer.bytes, &answer.bytes) {
            self.with_port(|port| media::Command::Connect { port, session });
        }
    }

    pub(super) fn offer_answered(&mut self, body: Option<&Body>) {
        let Some(Call { state: State::Talking { offer }, .. }) = &mut self.call else { return };
        let (Some(offer), Some(body)) = (offer.take(), body) else { return };
        if let Ok(session) = sdp::accept(&offer, &body.bytes) {
            self.with_port(|port| media::Command::Connect { port, session });
        }
    }
}
