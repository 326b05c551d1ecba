//! `[server.media]`: what descriptions offer and take, and how keys are heard.

use super::values::{ips, list, local};
use super::{Problem, SipListener, Spoken};
use crate::media::{Codec, Protection, Terms, TonesHeard};
use crate::sip::Transport;
use crate::written::{Section, Value};
use std::net::IpAddr;

const CODECS: &str = "a list of \"PCMU\", \"PCMA\" and \"G722\", the best first";
const SRTP: &str = "\"off\", \"optional\" or \"required\"";
const TONES: &str = "\"off\", \"auto\" or \"always\"";

/// Where audio is spoken, and what SDP says of it: at one address, or at one of IPv4 and one of IPv6.
pub fn addresses(section: &mut Section<'_>, bind: Option<Value<'_>>, listeners: &[SipListener]) -> Vec<Spoken> {
    let first_of = |six: bool| listeners.iter().find(|listener| listener.bind.is_ipv6() == six);
    let mut binds: Vec<IpAddr> = bind.map(ips).unwrap_or_default().into_iter().map(|(ip, _)| ip).collect();
    if binds.is_empty() {
        // Whom SIP reaches, audio does.
        let first = listeners.first().map_or(local(5060).ip(), |sip| sip.bind.ip()); // as where no listener could be read
        binds.push(first);
        binds.extend(first_of(!first.is_ipv6()).map(|sip| sip.bind.ip()));
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
        Spoken { bind, advertised: told.or(sip).unwrap_or(bind) }
    };
    binds.into_iter().map(spoken).collect()
}

/// The terms, how keys are heard, and what is harmless but not what it seems.
pub fn read(section: &mut Section<'_>, listeners: &[SipListener]) -> (Terms, TonesHeard, Option<Problem>) {
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
