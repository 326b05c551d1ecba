//! One party of a call: one INVITE with its dialogs, one port.
//!
//! ```text
//!  caller:  Opening ──port──▶ Negotiated ──Answer──▶ Answered ──ACK──▶ Confirmed
//!  agent, outside party:  Opening ──port──▶ Inviting ──200───────────▶ Confirmed
//! ```

use super::allowance::Allowance;
use super::keys::Keys;
use super::outside::Hunt;
use crate::center::Srtp;
use crate::event::Party;
use crate::ids::{CallId, LegId, PortId, ReservationId, TrunkId, WorkId};
use crate::media::{self, Direction, Local, Protection, Secret, Terms, sdp};
use crate::sip::Body;
use crate::trunk::Way;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Leg {
    pub id: LegId,
    pub call: CallId,
    pub party: Party,
    pub port: PortId,
    /// The offer of work that this leg rings for; none for callers.
    pub reservation: Option<ReservationId>,
    /// What it was rung for.
    pub work: Option<WorkId>,
    /// The trunk that this leg takes a share of.
    pub trunk: Option<(TrunkId, Way)>,
    /// Where it is called on an outside number, and what is left to try.
    pub hunt: Option<Hunt>,
    /// The agent's phones that have been rung for the offer, as [`crate::sip::Binding::phone`] names them.
    #[serde(default)]
    pub rung: Vec<String>,
    pub state: LegState,
    /// The listener that it is spoken to over, where that is known: which of our addresses it is told.
    pub listener: Option<u16>,
    /// Where we take audio, as the peer is told; none until the port is open.
    pub address: Option<SocketAddr>,
    pub session: Option<media::Session>,
    pub keys: Keys,
    pub manner: Manner,
    /// `o=` version of our last description (RFC 3264 §8).
    version: u64,
    /// How often the peer may still change the session: each hold is an event.
    pub changes: Allowance,
    /// How often it may still be written down that the peer is elsewhere.
    #[serde(default)]
    pub moves: Allowance,
}

/// How a leg describes itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manner {
    pub terms: Terms,
    pub secret: Secret,
    /// Nobody on the way reads what is said over SIP: only then keys in an offer are a secret (RFC 4568 §7).
    pub confidential: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum LegState {
    /// The port is being opened. A caller's INVITE waits with its offer, if it had one.
    Opening { offer: Option<Body> },
    /// A caller's leg that can be answered with this body; `ours` if that is an offer (RFC 3261 §13.2.1).
    Negotiated { body: Body, ours: bool },
    /// 200 sent; `offer` is ours, to be answered in the ACK.
    Answered { offer: Option<Vec<u8>> },
    /// INVITE sent with this offer.
    Inviting {
        offer: Vec<u8>,
        reacted: bool,
        /// Not only by a 100: the called party's side has heard of it.
        #[serde(default)]
        rings: bool,
    },
    /// There is a dialog; `offer` is ours if one is under way.
    Confirmed { offer: Option<Vec<u8>> },
}

impl Manner {
    /// Our side of a first description.
    pub fn local(&self, address: SocketAddr) -> Local {
        Local {
            address,
            codecs: self.terms.codecs.clone(),
            session_id: 0,
            version: 1,
            direction: Direction::SendRecv,
            telephone_event: true,
            mux: self.terms.mux,
            protection: self.terms.protection,
            secret: Some(self.secret.clone()),
            agreed: None,
        }
    }

    /// As a trunk wants it: whoever asks for keys there has TLS.
    pub fn keys_over(&mut self, wanted: Option<Srtp>, usual: Protection) {
        self.confidential = wanted == Some(Srtp::Optional);
        self.terms.protection = match wanted {
            None => usual,
            Some(Srtp::Off) => Protection::None,
            Some(Srtp::Optional) => Protection::Optional,
            Some(Srtp::Required) => Protection::Required,
        };
    }
}

/// How an offer that cannot be taken is refused (RFC 3261 §21.4.1, §21.4.26).
pub fn status(refusal: &sdp::Refusal) -> u16 {
    if matches!(refusal, sdp::Refusal::Malformed(_)) { 400 } else { 488 }
}

impl Leg {
    pub fn new(id: LegId, call: CallId, party: Party, port: PortId, manner: Manner) -> Leg {
        let (state, keys) = (LegState::Opening { offer: None }, Keys::default());
        let (reservation, work, trunk, hunt, address, session, version) = (None, None, None, None, None, None, 0);
        let (changes, moves) = Default::default();
        Leg {
            id,
            call,
            party,
            port,
            reservation,
            work,
            trunk,
            hunt,
            rung: Vec::new(),
            state,
            listener: None,
            address,
            session,
            keys,
            manner,
            version,
            changes,
            moves,
        }
    }

    /// A caller's, with what he offers.
    pub fn offered(self, offer: Option<Body>) -> Leg {
        Leg { state: LegState::Opening { offer }, ..self }
    }

    /// Our side of a description, one version on. `first` is the codec that the other party speaks.
    fn local(&self, first: Option<media::Codec>) -> Option<Local> {
        let mut local = self.manner.local(self.address?);
        local.codecs.sort_by_key(|codec| Some(*codec) != first);
        Some(Local {
            session_id: self.id.0 & 0xffff_ffff,
            version: self.version + 1,
            agreed: self.session.as_ref().map(|session| session.agreed.clone()),
            ..local
        })
    }

    /// An offer of ours. Keys that need not be offered are only where they stay a secret, or where they are in use.
    pub fn offer(&mut self, first: Option<media::Codec>) -> Option<Vec<u8>> {
        let mut local = self.local(first)?;
        let in_use = self.session.as_ref().is_some_and(|session| session.security.is_some());
        if local.protection == Protection::Optional && !self.manner.confidential && !in_use {
            local.protection = Protection::None;
        }
        self.version = local.version;
        Some(sdp::offer(&local))
    }

    /// Answers `offer`; the session is the leg's from now on.
    pub fn answer(&mut self, offer: &Body) -> Result<(Body, media::Session), sdp::Refusal> {
        let local = self.local(None).ok_or(sdp::Refusal::NoAudio)?;
        let (bytes, session) = sdp::answer(&offer.bytes, &local)?;
        (self.version, self.session) = (local.version, Some(session.clone()));
        Ok((Body::sdp(bytes), session))
    }

    /// Takes the peer's answer to `offer`.
    pub fn accept(&mut self, offer: &[u8], answer: Option<&Body>) -> Result<media::Session, sdp::Refusal> {
        let session = sdp::accept(offer, &answer.ok_or(sdp::Refusal::NoAudio)?.bytes)?;
        self.session = Some(session.clone());
        Ok(session)
    }

    /// Whether the peer wants to hear nothing from us: it has put us on hold (RFC 3264 §8.4). One who only listens has not.
    pub fn holds_us(&self) -> bool {
        self.session.as_ref().is_some_and(|session| !session.direction.sends())
    }

    /// Whether the peer need not be heard: who only listens, and who holds, with music or without.
    pub fn may_be_silent(&self) -> bool {
        self.holds_us() || self.session.as_ref().is_some_and(|session| !session.direction.receives())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{AgentId, Rng};

    fn leg(protection: Protection, confidential: bool) -> Leg {
        let codecs = vec![media::Codec::Pcma, media::Codec::G722, media::Codec::Pcmu];
        let terms = Terms { protection, codecs, mux: true };
        let manner = Manner { terms, secret: Secret::draw(&mut Rng::from_number(4)), confidential };
        let mut leg = Leg::new(LegId(1), CallId(1), Party::Agent(AgentId(1)), PortId { plane: 0, number: 1 }, manner);
        leg.address = Some("192.0.2.1:4000".parse().unwrap());
        leg
    }

    fn text(leg: &mut Leg) -> String {
        String::from_utf8(leg.offer(Some(media::Codec::G722)).unwrap()).unwrap()
    }

    /// RFC 3264 §8.4: who wants to hear nothing holds; who only listens does not, but need not be heard.
    #[test]
    fn who_holds_and_who_only_listens() {
        let rows =
            [("sendrecv", false, false), ("sendonly", true, true), ("recvonly", false, true), ("inactive", true, true)];
        for (direction, holds, may_be_silent) in rows {
            let text = format!(
                "v=0\r\no=- 1 1 IN IP4 198.51.100.9\r\ns=-\r\nc=IN IP4 198.51.100.9\r\nt=0 0\r\n\
                 m=audio 5004 RTP/AVP 8\r\na={direction}\r\n"
            );
            let mut leg = leg(Protection::None, false);
            leg.answer(&Body::sdp(text)).unwrap();
            assert_eq!((leg.holds_us(), leg.may_be_silent()), (holds, may_be_silent), "{direction}");
        }
    }

    /// Keys in an offer are only offered where nobody reads them, unless nothing else may be spoken.
    #[test]
    fn keys_are_offered_where_they_are_secret() {
        for (protection, confidential, profile, keys) in [
            (Protection::None, true, "RTP/AVP", 0),
            (Protection::Optional, false, "RTP/AVP", 0),
            (Protection::Optional, true, "RTP/AVP", 4),
            (Protection::Required, false, "RTP/SAVP", 4),
            (Protection::Required, true, "RTP/SAVP", 4),
        ] {
            let text = text(&mut leg(protection, confidential));
            assert!(text.contains(&format!("m=audio 4000 {profile} 9 8 0 101\r\n")), "{text}");
            assert_eq!(text.matches("a=crypto:").count(), keys, "{protection:?} {confidential}");
        }
    }

    /// Who has offered keys is answered with ours over any transport; what has been agreed on is offered again, and a new
    /// key of the peer's is taken (RFC 4568 §7.1.4) while ours stays.
    #[test]
    fn what_is_encrypted_stays_so() {
        let offer = |profile: &str, key: &str| {
            let head = "v=0\r\no=- 1 1 IN IP4 198.51.100.9\r\ns=-\r\nc=IN IP4 198.51.100.9\r\nt=0 0\r\n";
            let audio = format!("m=audio 5004 {profile} 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}\r\n");
            Body::sdp(format!("{head}{audio}"))
        };
        let keys = ["d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj", "NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj"];
        let mut leg = leg(Protection::Optional, false);
        let (_, first) = leg.answer(&offer("RTP/SAVP", keys[0])).unwrap();
        let (_, second) = leg.answer(&offer("RTP/AVP", keys[1])).unwrap();
        let (first, second) = (first.security.unwrap(), second.security.unwrap());
        assert!(first.send == second.send && first.receive != second.receive);
        assert_eq!(text(&mut leg).matches("a=crypto:").count(), 4);
        for (protection, offered) in
            [(Protection::None, offer("RTP/SAVP", keys[0])), (Protection::Required, offer("RTP/AVP", "x"))]
        {
            let refusal = self::leg(protection, true).answer(&offered).unwrap_err();
            assert!(matches!(refusal, sdp::Refusal::Protection(_)), "{refusal:?}");
        }
    }
}
