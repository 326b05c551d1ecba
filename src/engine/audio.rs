//! Where peers are told to send audio to: at which of our addresses, and of which kind, IPv4 or IPv6.
//!
//! Who offers is answered at an address of the kind that he has offered; who is called is told one of the kind that SIP reaches
//! him by. A leg's port has sockets of one kind: where another phone or another trunk of the other kind is called next, the
//! leg gets another port first. Left out: a call that changes its kind later on (488 says that the session stays as it was).

use super::heard::Owner;
use super::{Deadline, Engine, LegState, leg};
use crate::ids::{AgentId, LegId};
use crate::media::{self, sdp};
use crate::sip::Body;
use std::net::{IpAddr, SocketAddr};

impl Engine {
    /// How a new leg describes itself.
    pub(super) fn manner(&mut self, confidential: bool) -> leg::Manner {
        leg::Manner { terms: self.start.terms.clone(), secret: media::Secret::draw(&mut self.secrets), confidential }
    }

    /// How an offer is refused that no answer of ours would fit.
    pub(super) fn objection(&mut self, offer: Option<&Body>, listener: u16) -> Option<u16> {
        let six = self.takes_six(Some(listener), offer);
        let local = self.manner(false).local(SocketAddr::new(self.audio_told(Some(listener), six), 0));
        Some(leg::status(&sdp::would_answer(&offer?.bytes, &local).err()?))
    }

    /// Whether a leg's port is to be of IPv6: as it is offered, else as SIP comes and goes; and as we have it.
    pub(super) fn takes_six(&self, listener: Option<u16>, offer: Option<&Body>) -> bool {
        let first = self.start.media_address.is_ipv6();
        if self.start.media_other.is_none_or(|other| other.is_ipv6() == first) {
            return first;
        }
        let listeners = &self.start.sip.listeners;
        let by_sip = || listeners.get(usize::from(listener?)).map(|listener| listener.bind.is_ipv6());
        offer.and_then(|offer| sdp::is_six(&offer.bytes)).or_else(by_sip).unwrap_or(first)
    }

    /// The same for the phone of this agent that will be rung first.
    pub(super) fn rings_six(&self, agent: AgentId) -> bool {
        let phone = self.first_phone(agent).map(|phone| self.sip.called_over(&phone.contact.uri, phone.flow));
        self.takes_six(phone, None)
    }

    /// Where whoever is spoken to over a listener is told to send audio to: who is in our network, and who is outside of it,
    /// may reach us at different addresses, as with SIP.
    fn audio_told(&self, listener: Option<u16>, six: bool) -> IpAddr {
        let own = listener.and_then(|listener| self.start.listeners_audio.get(&listener)).copied();
        let all = [own, Some(self.start.media_address), self.start.media_other];
        all.into_iter().flatten().find(|ip| ip.is_ipv6() == six).unwrap_or(self.start.media_address)
    }

    /// The leg's port is open.
    pub(super) fn has_port(&mut self, id: LegId, local: SocketAddr) {
        let ip = self.audio_told(self.legs.get(&id).and_then(|leg| leg.listener), local.is_ipv6());
        let leg = self.legs.get_mut(&id);
        leg.into_iter().for_each(|leg| leg.address = Some(SocketAddr::new(ip, local.port())));
    }

    /// The leg is called over this listener. False if its port is of the other kind: then another one is being opened, and what
    /// calls it will be asked again.
    pub(super) fn leaves_over(&mut self, id: LegId, listener: Option<u16>) -> bool {
        let six = listener.map(|_| self.takes_six(listener, None));
        let Some(leg) = self.legs.get_mut(&id) else { return false };
        leg.listener = listener;
        let has = leg.address.map(|address| address.is_ipv6());
        if let Some(six) = six.filter(|six| has.is_some_and(|has| has != *six)) {
            self.reopen(id, six);
            return false;
        }
        let ip = self.audio_told(listener, has.unwrap_or_default());
        let leg = self.legs.get_mut(&id).expect("the leg that has just been looked up");
        leg.address.iter_mut().for_each(|address| address.set_ip(ip));
        true
    }

    fn reopen(&mut self, id: LegId, six: bool) {
        let old = self.legs[&id].port;
        self.timers.cancel(&Deadline::NoReaction(id)); // that way is left
        let port = self.open_port(old.plane, id, six);
        let leg = self.legs.get_mut(&id).expect("the leg whose port it is");
        (leg.port, leg.address, leg.session, leg.state) = (port, None, None, LegState::Opening { offer: None });
        if let Some(owner) = self.ports.get_mut(&old) {
            *owner = Owner::Closing(None); // nothing was spoken there
            self.media_do(media::Command::Close { port: old });
        }
    }
}
