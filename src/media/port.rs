//! A leg's end of the audio, as plain data.

use super::bridge::Joint;
use super::codec::Codec;
use super::dtmf::{DigitsIn, DigitsOut};
use super::hearing::Hearing;
use super::latch::{Former, Latch};
use super::relay::Relay;
use super::reports::Reports;
use super::rtp::{Reception, SendLine};
use super::secure::Secured;
use super::source::Playing;
use super::tones::Tones;
use super::words::{PortStats, Session};
use crate::ids::PortId;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// A port's place in its plane's table.
pub type Slot = u32;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Port {
    pub id: PortId,
    /// Which part of the 20 ms tick its own packets leave in.
    pub phase: u8,
    /// In the list of its phase.
    pub ticking: bool,
    /// Ticks before this one were another plane's.
    pub first_tick: Instant,
    /// Whom another port that had the same sockets not long ago heard last.
    pub previous: Option<Former>,
    /// What is agreed with the peer and where it is; none before `Connect`.
    pub peer: Option<Peer>,
    /// Whether RTP and RTCP share its port (RFC 5761), as its sockets' owner was told last.
    #[serde(default)]
    pub shares: Option<bool>,
    pub line: SendLine,
    /// What the line's last packet was from, so that something else begins on real time and with a marker.
    pub voice: Voice,
    pub playing: Option<Playing>,
    pub digits_in: DigitsIn,
    /// Where keys are heard as tones.
    pub tones: Option<Box<Tones>>,
    pub digits_out: DigitsOut,
    /// The other port of the bridge.
    pub joined: Option<Slot>,
    pub joint: Joint,
    /// What the other port of the bridge says, where it cannot be forwarded as it is.
    pub relay: Option<Box<Relay>>,
    /// The last packet had our own SSRC: the peer sends back what it gets (RFC 3550 §8.2).
    pub echoes: bool,
    pub hearing: Option<Hearing>,
    /// When the last RTP or RTCP came; whether its absence has been reported.
    pub life: Instant,
    pub silent: bool,
    /// The peer's last packet was comfort noise: it sends little or nothing, and that is no fault.
    pub silence: bool,
    pub reception: Reception,
    pub reports: Reports,
    pub stats: PortStats,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Peer {
    pub session: Session,
    pub latch: Latch,
    /// The keys of a session that is encrypted, or was.
    pub secured: Option<Box<Secured>>,
    /// How many packets it may be sent before it has been heard; none: as many as there are.
    #[serde(default)]
    pub allowed: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Voice {
    Nobody,
    Source,
    Keys,
    Bridge,
    Relay,
}

/// What a payload type means on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Audio(Codec),
    Event,
    /// The peer is silent, and that sounds like this.
    Noise,
}

/// RFC 3551 table 4: comfort noise has a number of its own, and many send it unasked.
const NOISE_PAYLOAD: u8 = 13;

impl Port {
    pub fn new(id: PortId, phase: u8, line: SendLine, reports: Reports, now: Instant) -> Port {
        Port {
            id,
            phase,
            ticking: false,
            first_tick: Instant::ZERO,
            previous: None,
            peer: None,
            shares: None,
            line,
            voice: Voice::Nobody,
            playing: None,
            digits_in: DigitsIn::default(),
            tones: None,
            digits_out: DigitsOut::default(),
            joined: None,
            joint: Joint::default(),
            relay: None,
            echoes: false,
            hearing: None,
            life: now,
            silent: false,
            silence: false,
            reception: Reception::default(),
            reports,
            stats: PortStats::default(),
        }
    }

    /// Whether it has something to send by itself.
    pub fn wants_ticks(&self) -> bool {
        let says = || self.playing.is_some() || !self.digits_out.is_idle();
        self.peer.is_some() && (says() || self.relay.as_ref().is_some_and(|relay| !relay.is_idle()))
    }

    /// Whom it heard last where its audio goes to.
    pub fn former(&self) -> Option<Former> {
        self.peer.as_ref().and_then(|peer| peer.latch.former())
    }

    pub fn stats(&self) -> PortStats {
        PortStats {
            lost: self.reception.lost(),
            jitter: self.reception.jitter(),
            quality: self.reports.quality,
            ..self.stats
        }
    }

    /// Begins another voice, or goes on with the same; whether it is another one.
    pub fn speak(&mut self, voice: Voice) -> bool {
        let changed = self.voice != voice;
        if changed {
            self.voice = voice;
            self.joint.cut();
        }
        changed
    }

    /// What comes next begins on real time, with a marker.
    pub fn hush(&mut self) {
        self.speak(Voice::Nobody);
    }

    /// Stops what plays.
    pub fn stop(&mut self) {
        if self.playing.take().is_some() {
            self.hush();
        }
    }
}

impl Peer {
    /// The keys, while packets are encrypted.
    pub fn keys(&mut self) -> Option<&mut Secured> {
        self.secured.as_deref_mut().filter(|_| self.session.security.is_some())
    }

    pub fn kind(&self, payload_type: u8) -> Option<Kind> {
        let session = &self.session;
        let codec = session.receive.iter().find(|(number, _)| *number == payload_type);
        match codec {
            Some((_, codec)) => Some(Kind::Audio(*codec)),
            None if session.receive_events == Some(payload_type) => Some(Kind::Event),
            None => (payload_type == session.noise.unwrap_or(NOISE_PAYLOAD)).then_some(Kind::Noise),
        }
    }

    /// Where to send audio and as what, if it may be sent.
    pub fn target(&self) -> Option<(SocketAddr, u8, Codec)> {
        let session = &self.session;
        (session.direction.sends() && self.allowed != Some(0))
            .then(|| (self.latch.remote(), session.send_payload, session.codec))
    }
}
