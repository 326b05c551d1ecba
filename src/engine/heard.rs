//! How a leg's audio was: the plane tells it when it has closed the port, and the leg is gone by then.
//!
//! Left out: legs that were rung only, of whom there is nothing to tell, and what an earlier start had open.

use super::{Engine, Leg, LegState};
use crate::event::{Audio, Party, What};
use crate::ids::{CallId, LegId, PortId};
use crate::media::PortStats;
use serde::{Deserialize, Serialize};

/// Whose port it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Owner {
    Leg(LegId),
    /// The leg is gone, and the port is being closed.
    Closing(Option<Spoke>),
}

/// A leg that had agreed on how it speaks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Spoke {
    call: CallId,
    leg: LegId,
    party: Party,
    codec: String,
    encrypted: bool,
    /// With a 200; without one only early audio is told.
    connected: bool,
}

impl Owner {
    pub fn leg(&self) -> Option<LegId> {
        match self {
            Owner::Leg(leg) => Some(*leg),
            Owner::Closing(_) => None,
        }
    }
}

impl Leg {
    /// Its port, when it is gone.
    pub(super) fn gone(&self) -> Owner {
        let connected = matches!(self.state, LegState::Answered { .. } | LegState::Confirmed { .. });
        Owner::Closing(self.session.as_ref().map(|session| Spoke {
            call: self.call,
            leg: self.id,
            party: self.party,
            codec: session.codec.name().to_owned(),
            encrypted: session.security.is_some(),
            connected,
        }))
    }
}

impl Engine {
    /// The plane has closed the port. Mostly the call has ended meanwhile.
    pub(super) fn port_closed(&mut self, port: PortId, stats: &PortStats) {
        let Some(Owner::Closing(Some(spoke))) = self.ports.remove(&port) else { return };
        if spoke.connected || stats.packets_in + stats.packets_out > 0 {
            let Spoke { call, leg, party, codec, encrypted, .. } = spoke;
            let audio = Audio {
                codec,
                encrypted,
                packets_in: stats.packets_in,
                packets_out: stats.packets_out,
                dropped: stats.dropped,
                lost: stats.lost,
                jitter_ms: stats.jitter_ms(),
                round_trip_us: stats.quality.round_trip_us,
                peer_lost: stats.quality.peer_lost,
                peer_jitter_ms: stats.quality.peer_jitter / 8,
                concealed: stats.concealed,
                one_way: stats.quality.one_way,
                quiet_ms: stats.quiet_ms,
            };
            self.emit(Some(call), What::LegHeard { leg, party, audio });
        }
    }
}
