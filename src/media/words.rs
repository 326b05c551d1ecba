//! The words that a plane and its owners share: settings, inputs, outputs, commands, events, counters.

use super::codec::Codec;
use super::latch::Former;
use super::moving::Moving;
pub use super::session::{Agreed, Direction, Profile, Protection, Session};
use super::source::Source;
use crate::ids::PortId;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;

/// What a plane is told once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The number of this plane; `PortId::plane` of every port that it owns.
    pub plane: u16,
    /// A leg whose peer should be sending and sends neither RTP nor RTCP for so long is reported `Silent`
    /// (1 s … 1 h; zero: never). Default 30 s.
    pub silence_after: Duration,
    /// Ports at most (1 … 1,000,000). Default 10,000.
    pub max_ports: u32,
    /// Whether keys are heard as tones.
    #[serde(default)]
    pub tones: TonesHeard,
    /// Consecutive valid packets from another address than the SDP's before a leg follows them (1 … 50). Default 3.
    pub latch_after: u8,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            plane: 0,
            silence_after: Duration::from_secs(30),
            max_ports: 10_000,
            tones: TonesHeard::default(),
            latch_after: 3,
        }
    }
}

/// From which legs keys are heard as tones in their audio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TonesHeard {
    Never,
    /// From those that have not agreed to press keys as events (RFC 4733).
    #[default]
    Otherwise,
    Always,
}

/// How a key has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// As a telephone-event (RFC 4733).
    #[default]
    Event,
    /// As tones in the audio.
    Tones,
    /// By SIP INFO, which no plane sees.
    Info,
}

/// What descriptions offer and take, for all legs of a center.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// In order of preference; at least one.
    pub codecs: Vec<Codec>,
    pub protection: Protection,
    /// RTP and RTCP share a port where the other side can (RFC 5761).
    #[serde(default)]
    pub mux: bool,
}

impl Default for Terms {
    fn default() -> Terms {
        Terms { codecs: Codec::ALL.to_vec(), protection: Protection::Optional, mux: true }
    }
}

/// What a plane is given.
#[derive(Clone, Debug, Serialize)]
pub enum Input<'a> {
    /// A datagram on the port's RTP socket; RTCP too if that is agreed (RFC 5761).
    Packet {
        port: PortId,
        from: SocketAddr,
        bytes: &'a [u8],
    },
    /// A datagram on the port's RTCP socket.
    Control {
        port: PortId,
        from: SocketAddr,
        bytes: &'a [u8],
    },
    Command(Command),
    /// Answer to `Output::Bind`: the port's RTP socket has this address; RTCP has the next port. `previous` is
    /// whom another port heard at this address not long ago, and who may not know yet that this is over: packets from
    /// there with the same SSRC are not heard unless this port's peer names that address as its own.
    Bound {
        port: PortId,
        local: SocketAddr,
        previous: Option<Former>,
    },
    /// The port has no sockets, and a sentence why: the answer to `Output::Bind`, or they were lost later or on
    /// their way from another plane.
    BindFailed {
        port: PortId,
        why: String,
    },
    /// Another plane's `Output::Depart` for this one, with the port's sockets.
    Arrived {
        moving: Box<Moving>,
    },
    /// `deadline()` has come.
    Timeout,
}

/// What a plane wants done. Bytes are lent until the next call.
#[derive(Clone, Debug, Serialize)]
pub enum Output<'a> {
    /// Open sockets for this port and answer with `Bound` or `BindFailed`.
    Bind {
        port: PortId,
        six: bool,
    },
    /// Close the port's sockets; nothing of this port follows. `peer` is whom it heard last, if anybody, for
    /// the next port's `Bound`.
    Unbind {
        port: PortId,
        peer: Option<Former>,
    },
    /// Whether RTCP comes and goes by the RTP socket from now on: close the RTCP socket, or have one on the next port.
    /// Said with the first `Connect` and whenever it changes; where none can be had, the leg does without.
    Share {
        port: PortId,
        on: bool,
    },
    /// Hand the port, known here as `port`, and its sockets to the plane that it moves to; nothing of this port
    /// follows.
    Depart {
        port: PortId,
        moving: Box<Moving>,
    },
    /// Send from the port's RTP socket.
    Packet {
        port: PortId,
        to: SocketAddr,
        bytes: &'a [u8],
    },
    /// Send from the port's RTCP socket.
    Control {
        port: PortId,
        to: SocketAddr,
        bytes: &'a [u8],
    },
    Event(Event),
    /// The next 160 samples (20 ms at 8 kHz) that a port with `Listen` heard; what was lost is silence.
    Heard {
        port: PortId,
        frame: &'a [i16],
    },
}

/// What a plane may be asked. A command for a port that is not open (any more) is counted and ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Make a port with sockets of IPv4, or of IPv6. `Event::Opened` or `Event::OpenFailed` answers.
    Open { port: PortId, six: bool },
    /// Leave the bridge, stop everything, close the sockets. `Event::Closed` answers.
    Close { port: PortId },
    /// Talk to this peer, after an offer and its answer, also again.
    Connect { port: PortId, session: Session },
    /// Send so many packets at most to a peer that has not been heard yet, from where its description says or where NAT
    /// explains; without a number, as many as there are. `Connect` comes first.
    Allow { port: PortId, packets: Option<u16> },
    /// Let the peer hear this instead of what plays or who is joined. `Event::Finished` with `token` says that it
    /// ended by itself (never after `Stop`, another `Play`, `Join` or `Close`; never for endless sources).
    /// Waits for the first `Connect`.
    Play { port: PortId, source: Source, token: u64 },
    /// Stop what plays, within a frame.
    Stop { port: PortId },
    /// Let two ports of this plane hear each other. Each leaves its bridge and stops what plays.
    Join { a: PortId, b: PortId },
    /// Hand this port, which leaves its bridge and keeps all else, to the plane `to`, another than its own. Goes to
    /// both planes, the one that it moves to first. From here on its owner calls it by its new name, `to` in place of
    /// `port.plane`: what is asked under that name waits until the port is there. `Event::Moved` or
    /// `Event::OpenFailed` answers under the new name; until then events may come under the old one.
    Move { port: PortId, to: u16 },
    /// Leave the bridge; the other port is alone too then.
    Leave { port: PortId },
    /// Press keys `0`–`9`, `*`, `#`, `A`–`D` toward the peer as telephone-events, after those still being sent;
    /// other characters are skipped, except `,`, a pause of 500 ms. At most 64 wait. Ignored if the peer has not agreed
    /// to telephone-event.
    SendDigits { port: PortId, digits: String },
    /// Whether to put out `Heard`.
    Listen { port: PortId, on: bool },
}

impl Command {
    /// The port that it is for; the first of two.
    pub fn port(&self) -> PortId {
        match self {
            Command::Open { port, .. }
            | Command::Close { port }
            | Command::Connect { port, .. }
            | Command::Allow { port, .. }
            | Command::Play { port, .. }
            | Command::Stop { port }
            | Command::Join { a: port, .. }
            | Command::Leave { port }
            | Command::Move { port, .. }
            | Command::SendDigits { port, .. }
            | Command::Listen { port, .. } => *port,
        }
    }
}

/// What happened on a plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    Opened {
        port: PortId,
        local: SocketAddr,
    },
    /// There is no such port, or there is none any more: its sockets, its thread or its move failed.
    OpenFailed {
        port: PortId,
        why: String,
    },
    /// The peer pressed a key: `0`–`9`, `*`, `#`, `A`–`D`; reported once, when it
    /// ends or, as tones, when it is sure. A phone that sends a key by two ways has it reported by both.
    Digit {
        port: PortId,
        digit: char,
        duration_ms: u32,
        #[serde(default)]
        way: Way,
    },
    /// What `Play` with this token played has ended by itself.
    Finished {
        port: PortId,
        token: u64,
    },
    /// The peer should be sending and has not sent anything for `Settings::silence_after`. Once per `Connect`
    /// or per new silence.
    Silent {
        port: PortId,
    },
    /// The leg's packets come from, and now go to, another address than its SDP said.
    Latched {
        port: PortId,
        remote: SocketAddr,
    },
    /// The port has come from another plane, and this is its name now.
    Moved {
        port: PortId,
    },
    Closed {
        port: PortId,
        stats: PortStats,
    },
}

impl Event {
    pub fn port(&self) -> PortId {
        match self {
            Event::Opened { port, .. }
            | Event::OpenFailed { port, .. }
            | Event::Digit { port, .. }
            | Event::Finished { port, .. }
            | Event::Silent { port }
            | Event::Latched { port, .. }
            | Event::Moved { port }
            | Event::Closed { port, .. } => *port,
        }
    }
}

/// Why a packet was not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Drop {
    /// Not RTP of RFC 3550.
    Malformed,
    /// From a third address, or from an address on probation.
    Foreign,
    /// A payload type that nobody agreed on.
    Payload,
    /// Its direction is closed: we are sendonly or inactive, or its bridge's other leg must not be sent to.
    Direction,
    /// Before `Connect`, or for a port that is gone.
    Unconnected,
    /// Older than the point where its bridge took over, or while something else is heard there.
    Superseded,
    /// Two joined peers send back what they get: it would go round for ever.
    Looped,
    /// Encrypted with another key than the agreed one, or changed on its way.
    Forged,
    /// An encrypted packet that has come before, or is too old to know.
    Replayed,
}

impl Drop {
    pub const ALL: [Drop; 9] = [
        Drop::Malformed,
        Drop::Foreign,
        Drop::Payload,
        Drop::Direction,
        Drop::Unconnected,
        Drop::Superseded,
        Drop::Looped,
        Drop::Forged,
        Drop::Replayed,
    ];

    /// A label for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Drop::Malformed => "malformed",
            Drop::Foreign => "foreign",
            Drop::Payload => "payload",
            Drop::Direction => "direction",
            Drop::Unconnected => "unconnected",
            Drop::Superseded => "superseded",
            Drop::Looped => "looped",
            Drop::Forged => "forged",
            Drop::Replayed => "replayed",
        }
    }
}

/// One leg's counters since `Open`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortStats {
    /// RTP packets taken from the peer, and sent to it.
    pub packets_in: u64,
    pub packets_out: u64,
    /// Datagrams not used, for any reason.
    pub dropped: u64,
    /// RTCP datagrams taken from the peer, and sent to it.
    pub controls_in: u64,
    pub controls_out: u64,
    /// Packets that the peer's sequence numbers say it sent and that never came (RFC 3550 A.3); late ones count as come.
    pub lost: u64,
    /// Interarrival jitter in timestamp units of 1/8000 s (RFC 3550 A.8).
    pub jitter: u32,
    /// Digits reported.
    pub digits: u32,
    /// 20 ms frames toward the peer in which something of the other leg had to be made up.
    #[serde(default)]
    pub concealed: u64,
    /// How long nothing of the peer, RTP or RTCP, had come when it was closed; 0 before that.
    #[serde(default)]
    pub quiet_ms: u32,
    pub quality: Quality,
}

impl PortStats {
    /// Interarrival jitter of what the peer sends, in ms.
    pub fn jitter_ms(&self) -> u32 {
        self.jitter / 8
    }

    /// Of what the peer sent, in 1/1000.
    pub fn lost_permille(&self) -> u32 {
        let all = self.packets_in + self.lost;
        (self.lost * 1000).checked_div(all).unwrap_or(0) as u32
    }
}

/// How well a leg and its peer hear each other, as far as RTCP tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quality {
    /// To the peer and back, in µs, when it was last told; none if it never was.
    pub round_trip_us: Option<u32>,
    /// What the peer last said that it lost of our packets, and their jitter in timestamp units of 1/8000 s.
    pub peer_lost: u32,
    pub peer_jitter: u32,
    /// We sent, and for 10 s at least the peer, which should have, did not.
    pub one_way: bool,
}

pub const JITTER_BOUNDS_MS: [u32; 8] = [5, 10, 20, 40, 80, 160, 500, 1000];
pub const LOSS_BOUNDS_PERMILLE: [u32; 9] = [0, 5, 10, 30, 100, 200, 400, 700, 1000];
pub const ROUND_TRIP_BOUNDS_MS: [u32; 5] = [10, 30, 100, 200, 400];

impl Stats {
    /// Counts a leg that has ended: as it was heard, if it was, and as its peer has heard us, if it has told.
    pub fn ended(&mut self, leg: &PortStats) {
        let within = |bounds: &[u32], value: u32| bounds.iter().position(|b| value <= *b).unwrap_or(bounds.len());
        if let Some(us) = leg.quality.round_trip_us {
            self.by_round_trip[within(&ROUND_TRIP_BOUNDS_MS, us.div_ceil(1000))] += 1;
            self.round_trip_us += u64::from(us);
        }
        self.peer_lost += u64::from(leg.quality.peer_lost);
        if leg.packets_in > 0 {
            self.by_jitter[within(&JITTER_BOUNDS_MS, leg.jitter_ms())] += 1;
            self.by_loss[within(&LOSS_BOUNDS_PERMILLE, leg.lost_permille())] += 1;
            self.jitter_ms += u64::from(leg.jitter_ms());
            self.loss_permille += u64::from(leg.lost_permille());
            self.lost += leg.lost;
        }
    }
}

/// A plane's counters since start; `ports` and `bridges` are now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    pub ports: u64,
    pub bridges: u64,
    pub packets_in: u64,
    pub packets_out: u64,
    pub controls_in: u64,
    pub controls_out: u64,
    /// Legs that had to be called one-way (see [`Quality`]).
    pub one_way: u64,
    pub forwarded: u64,
    /// Packets that went on in another codec, and 20 ms frames in which something had to be made up.
    pub transcoded: u64,
    pub concealed: u64,
    /// Of legs that have ended: packets lost on their way to us, and how many legs there were by jitter and loss, in the
    /// order of [`JITTER_BOUNDS_MS`] and [`LOSS_BOUNDS_PERMILLE`], each up to its bound and one more for the rest.
    pub lost: u64,
    pub by_jitter: [u64; JITTER_BOUNDS_MS.len() + 1],
    pub by_loss: [u64; LOSS_BOUNDS_PERMILLE.len() + 1],
    /// Of the same legs, the sums of jitter and of loss.
    pub jitter_ms: u64,
    pub loss_permille: u64,
    /// Of legs that have ended and whose peers have reported: what those had lost of our packets, and how many there were
    /// by the round trip, in the order of [`ROUND_TRIP_BOUNDS_MS`] and one more for the rest, and its sum.
    pub peer_lost: u64,
    pub by_round_trip: [u64; ROUND_TRIP_BOUNDS_MS.len() + 1],
    pub round_trip_us: u64,
    /// Legs that hear another codec's audio now.
    pub transcoding: u64,
    /// By reason, in the order of [`Drop::ALL`].
    pub dropped: [u64; Drop::ALL.len()],
    /// 20 ms ticks that came more than one tick late.
    pub late_ticks: u64,
    /// Commands that nothing could be done about: for ports that are not open, keys for a peer without
    /// telephone-event.
    pub strays: u64,
}
