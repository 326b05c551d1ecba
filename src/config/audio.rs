//! `[server.media]`: where audio is spoken, what descriptions offer and take, and how keys are heard.

use super::values::{ips, list, local, ports};
use super::{MediaSettings, Problem, SipListener, Spoken};
use crate::center::Limits;
use crate::media::{Codec, Protection, Terms, TonesHeard};
use crate::sip::Transport;
use crate::written::{Section, Value, counted};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Ports of one leg: RTP and, above it, RTCP.
const PORTS_PER_LEG: u32 = 2;
const CODECS: &str = "a list of \"PCMU\", \"PCMA\" and \"G722\", the best first";
const SRTP: &str = "\"off\", \"optional\" or \"required\"";
const TONES: &str = "\"off\", \"auto\" or \"always\"";

/// Reads `[server.media]`; what is harmless but not what it seems joins the `warnings`.
pub fn settings(
    mut section: Section<'_>,
    listeners: &[SipListener],
    limits: &Limits,
    warnings: &mut Vec<Problem>,
) -> MediaSettings {
    let page = section.page;
    let written = section.take("bind");
    let bind_place = written.as_ref().map(|v| v.page.line_and_column(&v.place));
    let spoken = addresses(&mut section, written, listeners);
    let written = section.take("ports");
    let place = written.as_ref().map_or(section.place.clone(), |v| v.place.clone());
    let is_written = written.is_some();
    let ports_place = written.as_ref().map(|v| v.page.line_and_column(&v.place));
    let ports = written.and_then(ports).unwrap_or((20_000, 59_999));
    let shares = |sip: &&SipListener| spoken.iter().any(|spoken| sip.takes_from(spoken.bind, ports));
    for sip in listeners.iter().filter(shares) {
        let message = format!("SIP on udp {} lies among the ports of audio, {} to {}", sip.bind, ports.0, ports.1);
        let message = format!("{message}; write other `ports` in [server.media], or another port in `bind`");
        let (line, column) = sip.place;
        let at_sip = Problem { line, column, ..page.problem(&place, message) };
        page.tell(if is_written { page.problem(&place, at_sip.message) } else { at_sip });
    }
    let is_spoken = |ip: &IpAddr| spoken.iter().any(|spoken| spoken.bind.is_ipv4() == ip.is_ipv4());
    let others = |sip: &&SipListener| sip.audio.is_some_and(|ip| !is_spoken(&ip));
    for sip in listeners.iter().filter(others) {
        let bind = spoken[0].bind;
        let message =
            format!("`audio` of the listener {} is of another kind than {bind}, where audio is spoken", sip.bind);
        let (line, column) = sip.place;
        page.tell(Problem { line, column, ..page.problem(&place, message) });
    }
    let planes = section.take("planes").and_then(|v| v.whole(1..=256)).map(|n| n as u16);
    let (terms, tones, unsafe_keys) = terms(&mut section, listeners);
    warnings.extend(unsafe_keys);
    section.finish();
    let even = ports.0.next_multiple_of(2); // a leg's first port
    let legs = (u32::from(ports.1 - even) + 1) / PORTS_PER_LEG;
    // A call has two legs: the caller's and the agent's.
    if legs < 2 {
        let allowed = "at least four, for the two legs of a call take two each";
        page.report(&place, format!("these ports are enough for no call; allowed: {allowed}"));
    } else if legs < limits.calls.saturating_mul(2) {
        let calls = counted(legs as usize / 2, "call");
        let message = format!("these ports are enough for {calls}; [limits] allows {}", limits.calls);
        warnings.push(page.problem(&place, message));
    }
    let place = bind_place.or(ports_place).unwrap_or((0, 0));
    let (Spoken { bind, advertised }, other) = (spoken[0], spoken.get(1).copied());
    MediaSettings { bind, advertised, other, ports, place, planes, terms, tones }
}

/// Where audio is spoken, and what SDP says of it: at one address, or at one of IPv4 and one of IPv6.
fn addresses(section: &mut Section<'_>, bind: Option<Value<'_>>, listeners: &[SipListener]) -> Vec<Spoken> {
    let first_of = |six: bool| listeners.iter().find(|sip| spoken_at(sip).is_ipv6() == six);
    let written = bind.map(ips).unwrap_or_default();
    let mut binds: Vec<IpAddr> = written.iter().map(|(ip, _)| *ip).collect();
    if binds.is_empty() {
        // Whom SIP reaches, audio does.
        let first = listeners.first().map_or(local(5060).ip(), spoken_at); // as where no listener could be read
        binds.push(first);
        binds.extend(first_of(!first.is_ipv6()).map(spoken_at));
    }
    let mut told = section.take("advertised").map(ips).unwrap_or_default();
    told.retain(|(ip, value)| {
        let is_spoken = binds.iter().any(|bind| bind.is_ipv4() == ip.is_ipv4());
        if ip.is_unspecified() {
            value.wrong("an address that others can send to");
        } else if !is_spoken {
            value.wrong(&format!("an address of the kind of {}, where audio is spoken", binds[0]));
        }
        is_spoken && !ip.is_unspecified()
    });
    let spoken = |bind: IpAddr| {
        let told = told.iter().find(|(ip, _)| ip.is_ipv4() == bind.is_ipv4()).map(|(ip, _)| *ip);
        let sip = first_of(bind.is_ipv6()).filter(|_| bind.is_unspecified()).map(|sip| sip.advertised.ip());
        let sip = sip.filter(|ip| ip.is_ipv4() == bind.is_ipv4());
        Spoken { bind, advertised: told.or(sip).unwrap_or(bind) }
    };
    let spoken: Vec<Spoken> = binds.into_iter().map(spoken).collect();
    for ((_, value), _) in written.iter().zip(&spoken).filter(|(_, spoken)| spoken.advertised.is_unspecified()) {
        value.wrong("an address of this machine, or any of it with the one for others as `advertised`");
    }
    spoken
}

/// Where audio is spoken for those whom a listener of SIP serves: at any address of IPv4, too, where it takes both kinds and
/// tells others one of IPv4.
fn spoken_at(sip: &SipListener) -> IpAddr {
    match (sip.bind.ip(), sip.advertised.ip()) {
        (bind, told) if bind.is_unspecified() && bind.is_ipv4() != told.is_ipv4() => match told {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        },
        (bind, _) => bind,
    }
}

/// The terms, how keys are heard, and what is harmless but not what it seems.
fn terms(section: &mut Section<'_>, listeners: &[SipListener]) -> (Terms, TonesHeard, Option<Problem>) {
    let usual = Terms::default();
    let codecs = section.take("codecs").map_or(usual.codecs, codecs);
    let (mut protection, mut exposed) = (usual.protection, None);
    if let Some(value) = section.take("srtp") {
        protection = value.parsed(SRTP, srtp).unwrap_or(usual.protection);
        let clear = listeners.iter().find(|listener| listener.transport != Transport::Tls);
        exposed = clear.filter(|_| protection == Protection::Required).map(|listener| {
            let message = format!(
                "keys of SRTP stand in SIP, which everybody on the way can read over {}; only TLS keeps them secret",
                listener.transport.as_str()
            );
            value.page.problem(&value.place, message)
        });
    }
    let mux = section.take("rtcp_mux").and_then(|value| value.flag()).unwrap_or(usual.mux);
    let tones = section.take("inband_digits").and_then(|value| value.parsed(TONES, tones)).unwrap_or_default();
    (Terms { codecs, protection, mux }, tones, exposed)
}

fn codecs(value: Value<'_>) -> Vec<Codec> {
    let (page, place) = (value.page, value.place.clone());
    let told = page.told();
    let written = list(Some(value), CODECS, |value| value.parsed(CODECS, Codec::named));
    let mut codecs = Vec::new();
    for codec in written {
        if codecs.contains(&codec) {
            page.report(&place, format!("{} is there twice; allowed: {CODECS}", codec.name()));
        } else {
            codecs.push(codec);
        }
    }
    if codecs.is_empty() && page.told() == told {
        page.report(&place, format!("calls need a codec; allowed: {CODECS}"));
    }
    codecs
}

fn srtp(text: &str) -> Option<Protection> {
    match text {
        "off" => Some(Protection::None),
        "optional" => Some(Protection::Optional),
        "required" => Some(Protection::Required),
        _ => None,
    }
}

fn tones(text: &str) -> Option<TonesHeard> {
    match text {
        "off" => Some(TonesHeard::Never),
        "auto" => Some(TonesHeard::Otherwise),
        "always" => Some(TonesHeard::Always),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::digest::Algorithm;

    #[test]
    fn audio_is_spoken_where_those_whom_sip_serves_are_told() {
        for (bind, advertised, expect) in [
            ("127.0.0.1:5060", "127.0.0.1:5060", "127.0.0.1"),
            ("0.0.0.0:5060", "203.0.113.5:5060", "0.0.0.0"),
            ("[::]:5060", "203.0.113.5:5060", "0.0.0.0"),
            ("[::]:5060", "[2001:db8::5]:5060", "::"),
            ("[::1]:5060", "[2001:db8::5]:5060", "::1"),
        ] {
            let (bind, advertised) = (bind.parse().unwrap(), advertised.parse().unwrap());
            let (transport, audio, digest) = (Transport::Udp, None, Algorithm::Md5);
            let sip = SipListener { transport, bind, advertised, audio, digest, place: (0, 0) };
            assert_eq!(spoken_at(&sip).to_string(), expect, "{bind}");
        }
    }
}
