//! One party of a call: one INVITE with its dialogs, one port.
//!
//! ```text
//!  caller:  Opening ──port──▶ Negotiated ──Answer──▶ Answered ──ACK──▶ Confirmed
//!  agent, outside party:  Opening ──port──▶ Inviting ──200───────────▶ Confirmed
//! ```

use super::outside::Hunt;
use crate::event::Party;
use crate::ids::{CallId, LegId, PortId, ReservationId, TrunkId};
use crate::media::{self, Direction, Local, sdp};
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
    /// The trunk that this leg takes a share of.
    pub trunk: Option<(TrunkId, Way)>,
    /// Where it is called on an outside number, and what is left to try.
    pub hunt: Option<Hunt>,
    pub state: LegState,
    /// Where we take audio, as the peer is told; none until the port is open.
    pub address: Option<SocketAddr>,
    pub session: Option<media::Session>,
    /// `o=` version of our last description (RFC 3264 §8).
    version: u64,
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
    Inviting { offer: Vec<u8>, reacted: bool },
    /// There is a dialog; `offer` is ours if one is under way.
    Confirmed { offer: Option<Vec<u8>> },
}

impl Leg {
    pub fn new(id: LegId, call: CallId, party: Party, port: PortId, offer: Option<Body>) -> Leg {
        let state = LegState::Opening { offer };
        Leg {
            id,
            call,
            party,
            port,
            reservation: None,
            trunk: None,
            hunt: None,
            state,
            address: None,
            session: None,
            version: 0,
        }
    }

    /// Our side of a description, one version on. `first` is the codec that the other party speaks.
    pub fn local(&mut self, first: Option<media::Codec>) -> Option<Local> {
        self.version += 1;
        let mut codecs = vec![media::Codec::Pcmu, media::Codec::Pcma];
        codecs.sort_by_key(|codec| Some(*codec) != first);
        Some(Local {
            address: self.address?,
            codecs,
            session_id: self.id.0 & 0xffff_ffff,
            version: self.version,
            direction: Direction::SendRecv,
            telephone_event: true,
            protection: media::Protection::None,
            secret: None,
            agreed: self.session.as_ref().map(|session| session.agreed.clone()),
        })
    }

    /// Answers `offer`; the session is the leg's from now on.
    pub fn answer(&mut self, offer: &Body) -> Result<(Body, media::Session), sdp::Refusal> {
        let local = self.local(None).ok_or(sdp::Refusal::NoAudio)?;
        let (bytes, session) = sdp::answer(&offer.bytes, &local)?;
        self.session = Some(session.clone());
        Ok((Body::sdp(bytes), session))
    }

    /// Takes the peer's answer to `offer`.
    pub fn accept(&mut self, offer: &[u8], answer: Option<&Body>) -> Result<media::Session, sdp::Refusal> {
        let session = sdp::accept(offer, &answer.ok_or(sdp::Refusal::NoAudio)?.bytes)?;
        self.session = Some(session.clone());
        Ok(session)
    }

    /// Whether the peer wants to hear nothing from us, or to say nothing: it has put us on hold.
    pub fn holds_us(&self) -> bool {
        self.session.as_ref().is_some_and(|s| !s.direction.receives() || !s.direction.sends())
    }
}
