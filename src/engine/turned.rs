//! Callers who are turned away with 503 before anything is written down or opened, and why. Nothing of it is an event:
//! who calls again and again must not grow the log.

mod strangers;

use super::Engine;
use crate::ids::LegId;
use crate::sip;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use strangers::Strangers;

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// The service is being stopped.
    Drain,
    /// What the call would add to the log cannot be written.
    Log,
    /// As many calls as may be.
    Calls,
    /// No port for his audio.
    Ports,
    /// What his trunk may bring.
    Trunk,
    /// Strangers call too often.
    Strangers,
}

impl Turned {
    pub const ALL: [Turned; 6] =
        [Turned::Drain, Turned::Log, Turned::Calls, Turned::Ports, Turned::Trunk, Turned::Strangers];

    /// A label for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Turned::Drain => "drain",
            Turned::Log => "log",
            Turned::Calls => "calls",
            Turned::Ports => "ports",
            Turned::Trunk => "trunk",
            Turned::Strangers => "strangers",
        }
    }
}

/// How often, in the order of [`Turned::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnedAway(pub [u64; Turned::ALL.len()]);

/// What is remembered of who came.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Door {
    turned_away: TurnedAway,
    strangers: Strangers,
    /// What the endpoint was told last.
    #[serde(default)]
    closed: bool,
}

impl Engine {
    pub fn turned_away(&self) -> TurnedAway {
        self.door.turned_away
    }

    /// Whether somebody at this address who proves nothing may call now.
    pub(super) fn may_call(&mut self, ip: IpAddr) -> bool {
        self.door.strangers.may_call(self.now, ip, &self.config.center.limits)
    }

    /// Whoever calls may try elsewhere, or again after so many seconds.
    pub(super) fn come_later(&mut self, leg: LegId, seconds: u32, why: Turned) {
        self.door.turned_away.0[why as usize] += 1;
        let headers = vec![("Retry-After".to_owned(), seconds.to_string())];
        self.sip_do(sip::Command::Refuse { leg, status: 503, headers });
    }

    /// Who asks by OPTIONS is told what an INVITE would be (RFC 3261 §11.2).
    pub(super) fn tell_whether_open(&mut self) {
        let closed = self.takes_none().is_some();
        if std::mem::replace(&mut self.door.closed, closed) != closed {
            let retry_after = closed.then_some(super::arrival::RETRY_AFTER);
            self.sip_do(sip::Command::TakesNone { retry_after });
        }
    }

    /// Why no new call is taken at present, from whomever.
    pub(super) fn takes_none(&self) -> Option<Turned> {
        let full = self.calls.len() >= self.config.center.limits.calls as usize;
        let why = [(self.draining, Turned::Drain), (!self.log_healthy, Turned::Log), (full, Turned::Calls)];
        why.into_iter().find_map(|(holds, why)| holds.then_some(why))
    }
}
