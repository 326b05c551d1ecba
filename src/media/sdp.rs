//! Offer and answer for one stream of audio (RFC 3264, RFC 8866): pure functions on bytes.
//!
//! An answer follows the offer's order of codecs and its payload type numbers, and refuses what it cannot do with
//! port 0, in place. Known: direction attributes, `c=` of the session or the stream, IPv4 and IPv6, the old hold by
//! the null address (RFC 2543), telephone-event (RFC 4733), `a=rtcp` (RFC 3605). We always send packets of 20 ms,
//! which every peer must take (RFC 3551 §4.2).
//!
//! Left out: profiles other than RTP/AVP, bundling, ICE, host names in `c=`.

use super::codec::Codec;
use super::words::{Direction, Session};
use sdp_types::{Connection, Media};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write};
use std::net::{IpAddr, SocketAddr};

/// Bytes of a description at most; more is refused unread.
pub const MAX_BYTES: usize = 16 * 1024;

/// The number that our offers give telephone-event.
const EVENTS_PAYLOAD: u8 = 101;

/// Our side of an offer or answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Local {
    /// Where we want RTP (the advertised address, not necessarily the bound one); RTCP on the next port.
    pub address: SocketAddr,
    /// What we speak, in order of preference; at least one.
    pub codecs: Vec<Codec>,
    /// `o=`: the same in one dialog, and `version` one more for each changed description (RFC 3264 §8).
    pub session_id: u64,
    pub version: u64,
    pub direction: Direction,
    pub telephone_event: bool,
}

/// Why a description cannot be taken. All are 488 (Not Acceptable Here), except `Malformed`, which is 400.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// Not SDP; where.
    Malformed(String),
    /// No audio stream, or a rejected one only.
    NoAudio,
    /// Audio only with another profile than RTP/AVP.
    Profile(String),
    /// No codec in common.
    NoCodec,
    /// No literal unicast address of our family.
    Address(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Malformed(why) => write!(f, "no readable SDP: {why}"),
            Refusal::NoAudio => f.write_str("no audio stream"),
            Refusal::Profile(profile) => write!(f, "audio by {profile:?}, and only RTP/AVP is spoken here"),
            Refusal::NoCodec => f.write_str("no codec in common"),
            Refusal::Address(address) => {
                write!(
                    f,
                    "audio at {address:?}, and only literal unicast addresses of the listener's family are reached"
                )
            }
        }
    }
}

impl std::error::Error for Refusal {}

/// An offer of one audio stream.
pub fn offer(local: &Local) -> Vec<u8> {
    let formats: Vec<_> = local.codecs.iter().map(|c| (c.static_payload(), *c)).collect();
    let mut text = head(local, "0 0");
    stream_lines(&mut text, local, &formats, local.telephone_event.then_some(EVENTS_PAYLOAD), local.direction);
    text.into_bytes()
}

/// Our answer to an offer, and what it means. `local.direction` is what we are willing to do at most.
///
/// The first stream that can be taken is; all others are refused with port 0. If none can, the refusal is
/// that of the last audio stream.
pub fn answer(offer: &[u8], local: &Local) -> Result<(Vec<u8>, Session), Refusal> {
    let offered = parse(offer)?;
    let (mut taken, mut refusal) = (None, Refusal::NoAudio);
    for (index, media) in offered.medias.iter().enumerate() {
        match Stream::read(&offered, media, local.address.ip()).and_then(|s| s.only(&local.codecs)) {
            Ok(stream) if taken.is_none() => taken = Some((index, stream)),
            Ok(_) | Err(Refusal::NoAudio) => {}
            Err(why) => refusal = why,
        }
    }
    let (index, stream) = taken.ok_or(refusal)?;
    let session = stream.answered_by(local);
    let mut text = head(local, &times(&offered));
    for (i, media) in offered.medias.iter().enumerate() {
        if i == index {
            stream_lines(&mut text, local, &session.receive, session.receive_events, session.direction);
        } else {
            // RFC 3264 §6: a rejected stream keeps its place, with port 0.
            let _ = write!(text, "m={} 0 {} {}\r\n", media.media, media.proto, media.fmt);
        }
    }
    Ok((text.into_bytes(), session))
}

/// What the peer's answer to our offer means.
pub fn accept(our_offer: &[u8], answer: &[u8]) -> Result<Session, Refusal> {
    let (ours, theirs) = (parse(our_offer)?, parse(answer)?);
    let (our_media, their_media) =
        (ours.medias.first().ok_or(Refusal::NoAudio)?, theirs.medias.first().ok_or(Refusal::NoAudio)?);
    let our_ip = address(&ours, our_media).map(|a| a.ip()).ok_or(Refusal::NoAudio)?;
    let offered = Stream::read(&ours, our_media, our_ip)?;
    let codecs: Vec<_> = offered.formats.iter().map(|(_, codec)| *codec).collect();
    let answered = Stream::read(&theirs, their_media, our_ip)?.only(&codecs)?;
    let (send_payload, codec) = answered.formats[0];
    Ok(Session {
        remote: answered.remote,
        remote_control: answered.remote_control,
        codec,
        send_payload,
        // RFC 3264 §6.1: both sides send with the numbers that the receiving side wrote, and the offerer must be
        // ready for all that it offered.
        receive: offered.formats,
        send_events: answered.events.filter(|_| offered.events.is_some()),
        receive_events: offered.events.filter(|_| answered.events.is_some()),
        direction: Direction::from_ways(
            offered.direction.sends() && answered.direction.receives(),
            offered.direction.receives() && answered.direction.sends(),
        ),
    })
}

/// One audio stream as its writer describes it; `direction` is seen from the writer.
struct Stream {
    remote: SocketAddr,
    remote_control: SocketAddr,
    /// What we know of it, in the writer's order, each codec once. Never empty after [`Stream::only`].
    formats: Vec<(u8, Codec)>,
    events: Option<u8>,
    direction: Direction,
}

impl Stream {
    fn read(session: &sdp_types::Session, media: &Media, our_ip: IpAddr) -> Result<Stream, Refusal> {
        if media.media != "audio" || media.port == 0 {
            return Err(Refusal::NoAudio);
        }
        if media.proto != "RTP/AVP" {
            return Err(Refusal::Profile(media.proto.clone()));
        }
        let remote = address(session, media)
            .filter(|a| a.is_ipv4() == our_ip.is_ipv4() && !a.ip().is_multicast())
            .ok_or_else(|| {
                Refusal::Address(connection(session, media).map_or_else(String::new, |c| c.connection_address.clone()))
            })?;
        let mut direction = direction(session, media);
        if remote.ip().is_unspecified() {
            // RFC 3264 §8.4: the hold of RFC 2543. Its writer must not be sent to.
            direction = Direction::from_ways(direction.sends(), false);
        }
        let (formats, events) = formats(media);
        Ok(Stream { remote, remote_control: control_address(media, remote), formats, events, direction })
    }

    /// Drops the codecs that are not among `codecs`.
    fn only(mut self, codecs: &[Codec]) -> Result<Stream, Refusal> {
        self.formats.retain(|(_, codec)| codecs.contains(codec));
        if self.formats.is_empty() { Err(Refusal::NoCodec) } else { Ok(self) }
    }

    /// What our answer to this offered stream agrees on.
    fn answered_by(self, local: &Local) -> Session {
        let events = self.events.filter(|_| local.telephone_event);
        let (send_payload, codec) = self.formats[0];
        Session {
            remote: self.remote,
            remote_control: self.remote_control,
            codec,
            send_payload,
            receive: self.formats,
            send_events: events,
            receive_events: events,
            direction: Direction::from_ways(
                local.direction.sends() && self.direction.receives(),
                local.direction.receives() && self.direction.sends(),
            ),
        }
    }
}

fn parse(bytes: &[u8]) -> Result<sdp_types::Session, Refusal> {
    if bytes.len() > MAX_BYTES {
        return Err(Refusal::Malformed(format!("longer than {MAX_BYTES} bytes")));
    }
    // Names in old character sets are no reason to refuse a call.
    let text = String::from_utf8_lossy(bytes);
    sdp_types::Session::parse(text.as_bytes()).map_err(|e| Refusal::Malformed(e.to_string()))
}

fn connection<'a>(session: &'a sdp_types::Session, media: &'a Media) -> Option<&'a Connection> {
    media.connections.first().or(session.connection.as_ref())
}

fn address(session: &sdp_types::Session, media: &Media) -> Option<SocketAddr> {
    let ip = connection(session, media)?.connection_address.parse().ok()?;
    Some(SocketAddr::new(ip, media.port))
}

/// RFC 3605 §2.1: `a=rtcp:53020` or `a=rtcp:53020 IN IP4 126.16.64.4`; without it the next port (RFC 3550 §11).
fn control_address(media: &Media, remote: SocketAddr) -> SocketAddr {
    let next = SocketAddr::new(remote.ip(), remote.port().saturating_add(1));
    let Some(value) = attribute(&media.attributes, "rtcp") else { return next };
    let mut parts = value.split_ascii_whitespace();
    let Some(port) = parts.next().and_then(|p| p.parse().ok()) else { return next };
    let ip = parts.nth(2).and_then(|ip| ip.parse().ok()).filter(|ip: &IpAddr| ip.is_ipv4() == remote.is_ipv4());
    SocketAddr::new(ip.unwrap_or(remote.ip()), port)
}

/// RFC 8866 §6.7: the stream's own attribute wins over the session's; none is sendrecv.
fn direction(session: &sdp_types::Session, media: &Media) -> Direction {
    let named = |a: &sdp_types::Attribute| match a.attribute.as_str() {
        "sendrecv" => Some(Direction::SendRecv),
        "sendonly" => Some(Direction::SendOnly),
        "recvonly" => Some(Direction::RecvOnly),
        "inactive" => Some(Direction::Inactive),
        _ => None,
    };
    media.attributes.iter().chain(&session.attributes).find_map(named).unwrap_or_default()
}

/// The codecs that we know with their numbers in the order of the m-line, and the number of telephone-event.
fn formats(media: &Media) -> (Vec<(u8, Codec)>, Option<u8>) {
    let (mut codecs, mut events) = (Vec::new(), None);
    for payload in media.fmt.split_ascii_whitespace().filter_map(|f| f.parse().ok()).filter(|p: &u8| *p < 128) {
        let name = encoding(media, payload);
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
            None => {}
        }
    }
    (codecs, events)
}

/// The encoding name that `a=rtpmap` gives a payload type; `?` for another clock than 8 kHz mono.
fn encoding(media: &Media, payload: u8) -> Option<&str> {
    media.attributes.iter().filter(|a| a.attribute == "rtpmap").find_map(|a| {
        let (number, encoding) = a.value.as_deref()?.trim().split_once(' ')?;
        if number.parse() != Ok(payload) {
            return None;
        }
        let mut parts = encoding.trim().split('/');
        let (name, clock, channels) = (parts.next()?, parts.next(), parts.next());
        let known = clock == Some("8000") && matches!(channels, None | Some("1"));
        Some(if known { name } else { "?" })
    })
}

fn attribute<'a>(attributes: &'a [sdp_types::Attribute], name: &str) -> Option<&'a str> {
    attributes.iter().find(|a| a.attribute == name)?.value.as_deref()
}

/// RFC 3264 §6: the answer's `t=` is the offer's.
fn times(offered: &sdp_types::Session) -> String {
    offered.times.first().map_or_else(|| "0 0".into(), |t| format!("{} {}", t.start_time, t.stop_time))
}

fn head(local: &Local, times: &str) -> String {
    let ip = local.address.ip();
    let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
    format!(
        "v=0\r\no=- {} {} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt={times}\r\n",
        local.session_id, local.version
    )
}

fn stream_lines(text: &mut String, local: &Local, formats: &[(u8, Codec)], events: Option<u8>, direction: Direction) {
    // Writing to a String cannot fail.
    let _ = write!(text, "m=audio {} RTP/AVP", local.address.port());
    formats.iter().map(|(payload, _)| *payload).chain(events).for_each(|p| {
        let _ = write!(text, " {p}");
    });
    text.push_str("\r\n");
    for (payload, codec) in formats {
        let _ = write!(text, "a=rtpmap:{payload} {}/8000\r\n", codec.name());
    }
    if let Some(payload) = events {
        // RFC 4733 §2.4.1: the events 0–15 are the keys.
        let _ = write!(text, "a=rtpmap:{payload} telephone-event/8000\r\na=fmtp:{payload} 0-15\r\n");
    }
    let way = match direction {
        Direction::SendRecv => "sendrecv",
        Direction::SendOnly => "sendonly",
        Direction::RecvOnly => "recvonly",
        Direction::Inactive => "inactive",
    };
    let _ = write!(text, "a=ptime:20\r\na={way}\r\n");
}

#[cfg(test)]
mod tests;
