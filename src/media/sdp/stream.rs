//! One audio stream as its writer describes it: where, what, which way, with which keys.

use super::Refusal;
use super::crypto::Crypto;
use super::description::{Attribute, Description, Media};
use crate::media::codec::Codec;
use crate::media::words::{Direction, Profile};
use std::net::{IpAddr, SocketAddr};

/// `direction` is seen from the writer.
pub struct Stream {
    pub remote: SocketAddr,
    pub remote_control: SocketAddr,
    pub profile: Profile,
    /// RTP and RTCP may share a port.
    pub mux: bool,
    /// What we know of it, in the writer's order, each codec once. Never empty after [`Stream::only`].
    pub formats: Vec<(u8, Codec)>,
    pub events: Option<u8>,
    /// The number of comfort noise (RFC 3389).
    pub noise: Option<u8>,
    pub direction: Direction,
    /// The keys that we understand, in the writer's order, and whether there are others.
    pub crypto: Vec<Crypto>,
    pub other_keys: bool,
}

impl Stream {
    pub fn read(session: &Description<'_>, media: &Media<'_>, our_ip: IpAddr) -> Result<Stream, Refusal> {
        if media.media != "audio" || media.port == 0 {
            return Err(Refusal::NoAudio);
        }
        let profile = Profile::named(media.proto).ok_or_else(|| Refusal::Profile(media.proto.to_owned()))?;
        let attributes = session.attributes(media);
        let remote = address(session, media)
            .filter(|a| a.is_ipv4() == our_ip.is_ipv4() && !a.ip().is_multicast())
            .ok_or_else(|| Refusal::Address(session.connection(media).unwrap_or_default().to_owned()))?;
        let mut direction = direction(attributes, session.of_session());
        if remote.ip().is_unspecified() {
            // RFC 3264 §8.4: the hold of RFC 2543. Its writer must not be sent to.
            direction = Direction::from_ways(direction.sends(), false);
        }
        let Formats { codecs: formats, events, noise } = formats(media, attributes);
        let keys = attributes.iter().filter(|a| a.name == "crypto");
        let crypto: Vec<_> = keys.clone().filter_map(|a| Crypto::read(a.value?)).collect();
        Ok(Stream {
            remote,
            remote_control: control_address(attributes, remote),
            profile,
            mux: attributes.iter().any(|a| a.name == "rtcp-mux"),
            formats,
            events,
            noise,
            direction,
            other_keys: keys.count() > crypto.len(),
            crypto,
        })
    }

    /// An offer, to whose writer a port may be shared or not: not where that would cost a number of his. One of RTP's
    /// from 64 to 95 looks like RTCP if the marker is set (RFC 5761 §4).
    pub fn sharing(mut self, may: bool) -> Stream {
        let codecs = self.formats.iter().map(|(number, _)| *number);
        let collides = codecs.chain(self.events).chain(self.noise).any(looks_like_control);
        self.mux &= may && !collides;
        self
    }

    /// An answer, to an offer to share a port or to none: where it agrees, its numbers that look like RTCP are of no use.
    pub fn shared(mut self, offered: bool) -> Stream {
        self.mux &= offered;
        if self.mux {
            self.formats.retain(|(number, _)| !looks_like_control(*number));
            self.events = self.events.filter(|number| !looks_like_control(*number));
            self.noise = self.noise.filter(|number| !looks_like_control(*number));
        }
        self
    }

    /// Drops the codecs that are not among `codecs`.
    pub fn only(mut self, codecs: &[Codec]) -> Result<Stream, Refusal> {
        self.formats.retain(|(_, codec)| codecs.contains(codec));
        if self.formats.is_empty() { Err(Refusal::NoCodec) } else { Ok(self) }
    }
}

fn looks_like_control(payload: u8) -> bool {
    (64..=95).contains(&payload)
}

pub fn address(session: &Description<'_>, media: &Media<'_>) -> Option<SocketAddr> {
    let ip = session.connection(media)?.parse().ok()?;
    Some(SocketAddr::new(ip, media.port))
}

/// RFC 3605 §2.1: `a=rtcp:53020` or `a=rtcp:53020 IN IP4 126.16.64.4`; without it the next port (RFC 3550 §11).
fn control_address(attributes: &[Attribute<'_>], remote: SocketAddr) -> SocketAddr {
    let next = SocketAddr::new(remote.ip(), remote.port().saturating_add(1));
    let rtcp = attributes.iter().find(|a| a.name == "rtcp");
    let Some(value) = rtcp.and_then(|a| a.value) else { return next };
    let mut parts = value.split_ascii_whitespace();
    let Some(port) = parts.next().and_then(|p| p.parse().ok()) else { return next };
    let ip = parts.nth(2).and_then(|ip| ip.parse().ok()).filter(|ip: &IpAddr| ip.is_ipv4() == remote.is_ipv4());
    SocketAddr::new(ip.unwrap_or(remote.ip()), port)
}

/// RFC 8866 §6.7: the stream's own attribute wins over the session's; none is sendrecv.
fn direction(own: &[Attribute<'_>], of_session: &[Attribute<'_>]) -> Direction {
    let named = |a: &Attribute<'_>| match a.name {
        "sendrecv" => Some(Direction::SendRecv),
        "sendonly" => Some(Direction::SendOnly),
        "recvonly" => Some(Direction::RecvOnly),
        "inactive" => Some(Direction::Inactive),
        _ => None,
    };
    own.iter().chain(of_session).find_map(named).unwrap_or_default()
}

/// The codecs that we know with their numbers in the order of the m-line, and the numbers of what goes with them.
#[derive(Default)]
struct Formats {
    codecs: Vec<(u8, Codec)>,
    events: Option<u8>,
    noise: Option<u8>,
}

fn formats(media: &Media<'_>, attributes: &[Attribute<'_>]) -> Formats {
    let Formats { mut codecs, mut events, mut noise } = Formats::default();
    for payload in media.fmt.split_ascii_whitespace().filter_map(|f| f.parse().ok()).filter(|p: &u8| *p < 128) {
        let name = encoding(attributes, payload);
        let codec = Codec::ALL.into_iter().find(|codec| match &name {
            Some(name) => name.eq_ignore_ascii_case(codec.name()),
            None => payload == codec.static_payload(),
        });
        match codec {
            Some(codec) if codecs.iter().all(|(_, c)| *c != codec) => codecs.push((payload, codec)),
            Some(_) => {}
            None if name.is_some_and(|n| n.eq_ignore_ascii_case("telephone-event")) => {
                events = events.or(Some(payload));
            }
            None if name.map_or(payload == 13, |n| n.eq_ignore_ascii_case("CN")) => noise = noise.or(Some(payload)),
            None => {}
        }
    }
    Formats { codecs, events, noise }
}

/// The encoding name that `a=rtpmap` gives a payload type; `?` for another clock than 8 kHz mono.
fn encoding<'a>(attributes: &[Attribute<'a>], payload: u8) -> Option<&'a str> {
    attributes.iter().filter(|a| a.name == "rtpmap").find_map(|a| {
        let (number, encoding) = a.value?.trim().split_once(' ')?;
        if number.parse() != Ok(payload) {
            return None;
        }
        let mut parts = encoding.trim().split('/');
        let (name, clock, channels) = (parts.next()?, parts.next(), parts.next());
        let known = clock == Some("8000") && matches!(channels, None | Some("1"));
        Some(if known { name } else { "?" })
    })
}
