//! Offer and answer for one stream of audio (RFC 3264, RFC 8866): pure functions on bytes.
//!
//! An answer follows the offer's order of codecs and its payload type numbers, and refuses what it cannot do with
//! port 0, in place. Comfort noise (RFC 3389) is agreed to if it is offered, and not asked for. Known: direction attributes, `c=` of the session or the stream, IPv4 and IPv6, the old hold by
//! the null address (RFC 2543), telephone-event (RFC 4733), `a=rtcp` (RFC 3605), `a=crypto`
//! (RFC 4568; with RTP/AVP too, RFC 8643), the profiles with feedback, of which none is sent (RFC 4585, RFC 5124).
//! One port for RTP and RTCP, `a=rtcp-mux` (RFC 5761), is offered and taken, unless the offer's numbers of payloads
//! would then be mistaken for RTCP.
//! We always send packets of 20 ms, which every peer must take (RFC 3551 §4.2).
//!
//! Left out: keys by DTLS, bundling, ICE, host names in `c=`.

mod crypto;
mod description;
mod stream;

use super::codec::Codec;
use super::secure::{Security, Suite};
use super::words::{Agreed, Direction, Profile, Protection, Session};
use crypto::Crypto;
pub use crypto::Secret;
use description::{Description, Media};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt::{self, Write};
use std::net::SocketAddr;
use stream::{Stream, address};

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
    /// RTP and RTCP may share a port (RFC 5761).
    pub mux: bool,
    /// Whether audio is encrypted.
    pub protection: Protection,
    /// Where our keys come from: drawn once for a leg, and again to change them. Without it nothing is encrypted.
    pub secret: Option<Secret>,
    /// What the leg's session has agreed on before, if it has one: a later offer must not fall back behind it.
    pub agreed: Option<Agreed>,
}

/// Why a description cannot be taken. All are 488 (Not Acceptable Here), except `Malformed`, which is 400.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// Not SDP; where.
    Malformed(String),
    /// No audio stream, or a rejected one only.
    NoAudio,
    /// Audio only with a profile that is not spoken here.
    Profile(String),
    /// It is not encrypted and must be, or must not be and is, or with no key that is known here; a sentence why.
    Protection(String),
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
            Refusal::Profile(profile) => write!(f, "audio by {profile:?}, which is not spoken here"),
            Refusal::Protection(why) => f.write_str(why),
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

/// An offer of one audio stream; in its old place among those that were refused (RFC 3264 §8).
///
/// What may be encrypted is offered as RTP/AVP with keys, which those who do not know them take as plain (RFC 8643);
/// what must be, as RTP/SAVP.
pub fn offer(local: &Local) -> Vec<u8> {
    let formats: Vec<_> = local.codecs.iter().map(|c| (c.static_payload(), *c)).collect();
    // Who does not know it ignores it, and has RTCP on the next port (RFC 5761 §5.1.1).
    let first = || Agreed { mux: true, ..Agreed::default() };
    let agreed = local.agreed.clone().unwrap_or_else(first);
    let required = local.protection == Protection::Required;
    let profile = if required { agreed.profile.secure() } else { agreed.profile };
    let secret = local.secret.as_ref().filter(|_| local.protection != Protection::None);
    let keys = secret.iter().flat_map(|secret| Suite::ALL.map(|suite| secret.keying(suite)));
    let crypto: Vec<_> = (1..).zip(keys).map(|(tag, keying)| Crypto { tag, keying }).collect();
    let mut text = head(local, "0 0");
    agreed.before.iter().for_each(|line| text += line);
    let events = local.telephone_event.then_some(EVENTS_PAYLOAD);
    let direction = local.direction;
    let (noise, mux) = (None, agreed.mux && local.mux); // who is not asked to be silent sends all of what there is
    let lines = Lines { profile, formats: &formats, events, noise, direction, mux, crypto: &crypto };
    lines.write(&mut text, local.address.port());
    agreed.after.iter().for_each(|line| text += line);
    text.into_bytes()
}

/// Our answer to an offer, and what it means. `local.direction` is what we are willing to do at most.
///
/// The first stream that can be taken is; all others are refused with port 0. If none can, the refusal is
/// that of the last audio stream.
pub fn answer(offer: &[u8], local: &Local) -> Result<(Vec<u8>, Session), Refusal> {
    let text = text_of(offer)?;
    let offered = parse(&text)?;
    let Taken { index, stream, key } = choose(&offered, local)?;
    // RFC 3264 §6: a rejected stream keeps its place, with port 0.
    let before: Vec<_> = offered.medias[..index].iter().map(refused).collect();
    let after: Vec<_> = offered.medias[index + 1..].iter().map(refused).collect();
    let crypto: Vec<_> = key.iter().map(|(crypto, _)| crypto.clone()).collect();
    let agreed = Agreed { profile: stream.profile, mux: stream.mux, before, after };
    let session = answered(stream, local, agreed, key.map(|(_, security)| security));
    let Session { receive, receive_events, noise, direction, agreed, .. } = &session;
    let mut text = head(local, &times(&offered));
    agreed.before.iter().for_each(|line| text += line);
    let lines = Lines {
        profile: agreed.profile,
        formats: receive,
        events: *receive_events,
        noise: *noise,
        direction: *direction,
        mux: agreed.mux,
        crypto: &crypto,
    };
    lines.write(&mut text, local.address.port());
    agreed.after.iter().for_each(|line| text += line);
    Ok((text.into_bytes(), session))
}

/// Whether [`answer`] would take an offer, without its work; for who has no port yet. Of `local`'s address only the
/// family counts.
pub fn would_answer(offer: &[u8], local: &Local) -> Result<(), Refusal> {
    choose(&parse(&text_of(offer)?)?, local).map(drop)
}

/// Whether the first audio that is described has an address of IPv6; none if no audio has an address.
pub fn is_six(description: &[u8]) -> Option<bool> {
    let text = text_of(description).ok()?;
    let session = parse(&text).ok()?;
    let audio = session.medias.iter().filter(|media| media.media == "audio" && media.port > 0);
    audio.filter_map(|media| stream::address(&session, media)).map(|address| address.is_ipv6()).next()
}

/// The stream that is taken, with its place among all, and our key for it.
struct Taken {
    index: usize,
    stream: Stream,
    key: Option<(Crypto, Security)>,
}

fn choose(offered: &Description<'_>, local: &Local) -> Result<Taken, Refusal> {
    let (mut taken, mut refusal) = (None, Refusal::NoAudio);
    for (index, media) in offered.medias.iter().enumerate() {
        let stream = Stream::read(offered, media, local.address.ip()).and_then(|s| s.only(&local.codecs));
        match stream.and_then(|stream| Ok((chosen_key(&stream, local)?, stream.sharing(local.mux)))) {
            Ok((key, stream)) if taken.is_none() => taken = Some(Taken { index, stream, key }),
            Ok(_) | Err(Refusal::NoAudio) => {}
            Err(why) => refusal = why,
        }
    }
    taken.ok_or(refusal)
}

/// The line with our key that answers an offered stream, and both sides' keys; none if it stays in the clear.
fn chosen_key(offered: &Stream, local: &Local) -> Result<Option<(Crypto, Security)>, Refusal> {
    let refused = |why: &str| Err(Refusal::Protection(why.to_owned()));
    let secret = local.secret.as_ref().filter(|_| local.protection != Protection::None);
    // RFC 4568 §5.1.2: the first that is acceptable.
    match (secret, offered.crypto.first()) {
        (Some(secret), Some(Crypto { tag, keying })) => {
            let send = secret.keying(keying.suite);
            let line = Crypto { tag: *tag, keying: send.clone() };
            Ok(Some((line, Security { send, receive: keying.clone() })))
        }
        (None, _) if offered.profile.is_secure() => refused("audio is encrypted, and that is not done here"),
        (Some(_), None) if offered.profile.is_secure() => {
            refused("audio is encrypted, and no key in the description is of a kind that is known here")
        }
        _ if local.protection == Protection::Required => refused("audio is in the clear, and must be encrypted"),
        _ => Ok(None),
    }
}

/// What our answer to an offered stream agrees on.
fn answered(offered: Stream, local: &Local, agreed: Agreed, security: Option<Security>) -> Session {
    let events = offered.events.filter(|_| local.telephone_event);
    let (send_payload, codec) = offered.formats[0];
    Session {
        remote: offered.remote,
        remote_control: offered.remote_control,
        codec,
        send_payload,
        receive: offered.formats,
        send_events: events,
        receive_events: events,
        noise: offered.noise,
        direction: Direction::from_ways(
            local.direction.sends() && offered.direction.receives(),
            local.direction.receives() && offered.direction.sends(),
        ),
        agreed,
        security,
    }
}

/// What the peer's answer to our offer means.
pub fn accept(our_offer: &[u8], answer: &[u8]) -> Result<Session, Refusal> {
    let (our_text, their_text) = (text_of(our_offer)?, text_of(answer)?);
    let (ours, theirs) = (parse(&our_text)?, parse(&their_text)?);
    let place = ours.medias.iter().position(|media| media.port != 0).ok_or(Refusal::NoAudio)?;
    let (our_media, their_media) = (&ours.medias[place], theirs.medias.get(place).ok_or(Refusal::NoAudio)?);
    let our_ip = address(&ours, our_media).map(|a| a.ip()).ok_or(Refusal::NoAudio)?;
    let offered = Stream::read(&ours, our_media, our_ip)?;
    let codecs: Vec<_> = offered.formats.iter().map(|(_, codec)| *codec).collect();
    let answered = Stream::read(&theirs, their_media, our_ip)?.shared(offered.mux).only(&codecs)?;
    if offered.profile.is_secure() != answered.profile.is_secure() {
        return Err(Refusal::Profile(their_media.proto.to_owned()));
    }
    let security = answered_key(&offered, &answered)?;
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
        noise: offered.noise.filter(|noise| answered.noise == Some(*noise)),
        direction: Direction::from_ways(
            offered.direction.sends() && answered.direction.receives(),
            offered.direction.receives() && answered.direction.sends(),
        ),
        agreed: Agreed {
            profile: offered.profile,
            mux: answered.mux,
            before: ours.medias[..place].iter().map(refused).collect(),
            after: ours.medias[place + 1..].iter().map(refused).collect(),
        },
        security,
    })
}

/// RFC 4568 §5.1.3: the key in an answer is for the offered line that it names by its tag, and of its suite.
fn answered_key(offered: &Stream, answered: &Stream) -> Result<Option<Security>, Refusal> {
    let fits = |ours: &&Crypto, theirs: &Crypto| ours.tag == theirs.tag && ours.keying.suite == theirs.keying.suite;
    let chosen = answered.crypto.first();
    let ours = chosen.and_then(|theirs| offered.crypto.iter().find(|ours| fits(ours, theirs)));
    match (ours, chosen) {
        (Some(ours), Some(theirs)) => Ok(Some(Security { send: ours.keying.clone(), receive: theirs.keying.clone() })),
        // Keys that nobody asked for, beside audio that need not be encrypted.
        _ if offered.crypto.is_empty() && !offered.profile.is_secure() => Ok(None),
        (_, None) if !answered.other_keys && !offered.profile.is_secure() => Ok(None),
        _ => Err(Refusal::Protection("audio is encrypted with a key that was not asked for".to_owned())),
    }
}

/// Names in old character sets are no reason to refuse a call.
fn text_of(bytes: &[u8]) -> Result<Cow<'_, str>, Refusal> {
    match bytes.len() > MAX_BYTES {
        true => Err(Refusal::Malformed(format!("longer than {MAX_BYTES} bytes"))),
        false => Ok(String::from_utf8_lossy(bytes)),
    }
}

fn parse(text: &str) -> Result<Description<'_>, Refusal> {
    Description::read(text).map_err(Refusal::Malformed)
}

/// A stream that is refused, in its place.
fn refused(media: &Media<'_>) -> String {
    format!("m={} 0 {} {}\r\n", media.media, media.proto, media.fmt)
}

/// RFC 3264 §6: the answer's `t=` is the offer's.
fn times(offered: &Description<'_>) -> String {
    offered.times.map_or_else(|| "0 0".into(), |(start, stop)| format!("{start} {stop}"))
}

fn head(local: &Local, times: &str) -> String {
    let ip = local.address.ip();
    let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
    format!(
        "v=0\r\no=- {} {} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt={times}\r\n",
        local.session_id, local.version
    )
}

/// Our stream, as it is written.
struct Lines<'a> {
    profile: Profile,
    formats: &'a [(u8, Codec)],
    events: Option<u8>,
    noise: Option<u8>,
    direction: Direction,
    mux: bool,
    crypto: &'a [Crypto],
}

impl Lines<'_> {
    fn write(&self, text: &mut String, port: u16) {
        // Writing to a String cannot fail.
        let _ = write!(text, "m=audio {port} {}", self.profile.name());
        self.formats.iter().map(|(payload, _)| *payload).chain(self.noise).chain(self.events).for_each(|p| {
            let _ = write!(text, " {p}");
        });
        text.push_str("\r\n");
        for (payload, codec) in self.formats {
            let _ = write!(text, "a=rtpmap:{payload} {}/8000\r\n", codec.name());
        }
        if let Some(payload) = self.noise {
            let _ = write!(text, "a=rtpmap:{payload} CN/8000\r\n");
        }
        if let Some(payload) = self.events {
            // RFC 4733 §2.4.1: the events 0–15 are the keys.
            let _ = write!(text, "a=rtpmap:{payload} telephone-event/8000\r\na=fmtp:{payload} 0-15\r\n");
        }
        self.crypto.iter().for_each(|crypto| {
            let _ = write!(text, "{crypto}\r\n");
        });
        if self.mux {
            text.push_str("a=rtcp-mux\r\n");
        }
        let way = match self.direction {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        };
        let _ = write!(text, "a=ptime:20\r\na={way}\r\n");
    }
}

#[cfg(test)]
mod tests;
