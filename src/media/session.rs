//! What a leg and its peer agree on in their descriptions (RFC 3264), as plain data. Made by [`super::sdp`].

use super::codec::Codec;
use super::secure::Security;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Which way audio goes, seen from us (RFC 3264 §5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Direction {
    #[default]
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    pub fn from_ways(sends: bool, receives: bool) -> Direction {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }
}

/// What an offer and its answer agreed on for one leg, seen from us. Made by [`super::sdp`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Where the peer's SDP says that RTP goes.
    pub remote: SocketAddr,
    /// Where the peer's SDP says that RTCP goes: the next port, or `a=rtcp` (RFC 3605).
    pub remote_control: SocketAddr,
    /// What we send, and the payload type number that the peer knows it by.
    pub codec: Codec,
    pub send_payload: u8,
    /// What we take: our payload type numbers with their codecs.
    pub receive: Vec<(u8, Codec)>,
    /// Payload type of telephone-event (RFC 4733) toward the peer and toward us, if agreed.
    pub send_events: Option<u8>,
    pub receive_events: Option<u8>,
    /// Payload type of comfort noise (RFC 3389), both ways, if agreed.
    #[serde(default)]
    pub noise: Option<u8>,
    pub direction: Direction,
    pub agreed: Agreed,
    /// How packets are encrypted; in the clear without.
    pub security: Option<Security>,
}

impl Session {
    /// The plainest there is: one codec both ways in the clear, no keys, RTCP on the next port. What a test or a
    /// measurement needs that is about something else; calls have theirs from [`super::sdp`].
    pub fn plain(remote: SocketAddr, codec: Codec) -> Session {
        Session {
            remote,
            remote_control: SocketAddr::new(remote.ip(), remote.port().saturating_add(1)),
            codec,
            send_payload: codec.static_payload(),
            receive: vec![(codec.static_payload(), codec)],
            send_events: None,
            receive_events: None,
            noise: None,
            direction: Direction::SendRecv,
            agreed: Agreed::default(),
            security: None,
        }
    }
}

/// Whether a leg's audio is encrypted (SRTP with keys in the description, RFC 4568).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// Never: not offered, and an offer that asks for it is refused.
    #[default]
    None,
    /// If the peer knows how: offered beside plain audio (RFC 8643), and taken in either form.
    Optional,
    /// Always: plain audio is neither offered nor taken.
    Required,
}

/// How RTP is used (RFC 3551, 4585, 3711, 5124).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Profile {
    #[default]
    Avp,
    Avpf,
    Savp,
    Savpf,
}

impl Profile {
    /// As in an m-line.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Avp => "RTP/AVP",
            Profile::Avpf => "RTP/AVPF",
            Profile::Savp => "RTP/SAVP",
            Profile::Savpf => "RTP/SAVPF",
        }
    }

    pub fn named(name: &str) -> Option<Profile> {
        let all = [Profile::Avp, Profile::Avpf, Profile::Savp, Profile::Savpf];
        all.into_iter().find(|profile| name.eq_ignore_ascii_case(profile.name()))
    }

    /// Whether it is encrypted by its name.
    pub fn is_secure(self) -> bool {
        matches!(self, Profile::Savp | Profile::Savpf)
    }

    /// The one like it that is.
    pub fn secure(self) -> Profile {
        match self {
            Profile::Avp | Profile::Savp => Profile::Savp,
            Profile::Avpf | Profile::Savpf => Profile::Savpf,
        }
    }
}

/// What a session's descriptions look like, which later ones must keep (RFC 3264 §8).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    pub profile: Profile,
    /// RTP and RTCP share a port (RFC 5761).
    pub mux: bool,
    /// The m-lines of refused streams before and after ours, with port 0, each with its line's end.
    pub before: Vec<String>,
    pub after: Vec<String>,
}
