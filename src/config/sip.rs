//! `[server.sip]`: where SIP is spoken, what connections may cost, which certificates count.

use super::protocol::{self, Protocol};
use super::values::{address, addresses, ip, local, public};
use crate::sip::Transport;
use crate::sip::digest::Algorithm;
use crate::written::{Place, Section, Value};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// How SIP reaches us and leaves us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipSettings {
    /// At least one, unless none could be read. Default: UDP and TCP on `127.0.0.1:5060`.
    pub listeners: Vec<SipListener>,
    pub tls: TlsSettings,
    pub connections: ConnectionSettings,
    /// Name servers for RFC 3263; none: the system's.
    pub name_servers: Vec<SocketAddr>,
    pub protocol: Protocol,
}

/// Where SIP is spoken over one transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipListener {
    /// UDP, TCP or TLS.
    pub transport: Transport,
    pub bind: SocketAddr,
    /// What peers are told (Via, Contact). Default: `bind`; needed where that is unspecified (`0.0.0.0`).
    pub advertised: SocketAddr,
    /// Where those who are spoken to over it are told to send audio to. None: as `[server.media]` says.
    pub audio: Option<IpAddr>,
    /// With what phones prove who they are here. Default MD5, which all of them know.
    pub digest: Algorithm,
    /// Line and column of `bind` in the configuration; 0 if nothing is written.
    pub place: (usize, usize),
}

impl SipListener {
    /// Whether its port is one of those of audio on `audio`.
    pub(super) fn takes_from(&self, audio: IpAddr, (first, last): (u16, u16)) -> bool {
        let ip = self.bind.ip();
        let meets = ip == audio || ip.is_unspecified() || audio.is_unspecified();
        self.transport == Transport::Udp && meets && (first..=last).contains(&self.bind.port())
    }
}

/// Certificates, in PEM files, relative to the configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// Our certificate with those between it and its root, and its key. None: one for trying out is made in `data`.
    pub own: Option<(PathBuf, PathBuf)>,
    /// Roots that servers we connect to must have; none: the system's.
    pub trust: Option<PathBuf>,
    /// Line and column of `certificate` and of `trust` in the configuration; 0 where nothing is written.
    pub own_place: (usize, usize),
    pub trust_place: (usize, usize),
}

impl TlsSettings {
    /// Every file that is named.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let own = self.own.as_mut().map(|(certificate, key)| [certificate, key]);
        own.into_iter().flatten().chain(self.trust.as_mut())
    }
}

/// What connections (TCP, TLS) may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionSettings {
    /// In all: 1 … 100,000, default 10,000. For one more the oldest gives way over which nobody has registered or called.
    pub most: usize,
    /// Accepted from one address: 1 … 100,000, default 1,000.
    pub most_per_address: usize,
    /// One over which nothing has come for so long is closed: 10 s … 1 day, default 1 h.
    pub idle: Duration,
    /// For a handshake, for the first message, and from a message's first byte to its last: 1 s … 5 min, default 10 s.
    pub message: Duration,
    /// Bytes that may wait for a peer to read them; with more it is cut: 16,384 … 16,777,216, default 262,144.
    pub unread: usize,
    /// Bytes of messages from all connections that may wait for the engine; with more they are not read: 1,048,576 …
    /// 1,073,741,824, default 67,108,864.
    pub unheard: usize,
    /// For a connection of ours to be made: 100 ms … 1 min, default 4 s.
    pub connect: Duration,
}

impl Default for ConnectionSettings {
    fn default() -> ConnectionSettings {
        let secs = Duration::from_secs;
        ConnectionSettings {
            most: 10_000,
            most_per_address: 1_000,
            unread: 256 << 10,
            unheard: 64 << 20,
            idle: secs(3_600),
            message: secs(10),
            connect: secs(4),
        }
    }
}

const DAY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);
/// Listeners of one process.
const MAX_LISTENERS: usize = 64;
const MAX_NAME_SERVERS: usize = 8;

/// Reads the section. `has_passwords`: agents' passwords are not those made up at first start.
pub fn read(mut section: Section<'_>, has_passwords: bool) -> SipSettings {
    let (bind, advertised) = (section.take("bind"), section.take("advertised"));
    let digest = digest(&mut section);
    let more = section.take("listen").map(|v| v.list("a list of tables [[server.sip.listen]]")).unwrap_or_default();
    let (mut listeners, mut twins) = (Vec::new(), Vec::new());
    if bind.is_some() || advertised.is_some() || more.is_empty() {
        let place = bind.as_ref().map_or(section.place.clone(), |v| v.place.clone());
        let bind = bind.map_or(Some(local(5060)), |v| address(&v));
        let told = told(advertised, bind);
        if let Some(bind) = bind {
            check(&section, &place, bind, told, has_passwords);
            let place = section.page.line_and_column(&place);
            for transport in [Transport::Udp, Transport::Tcp] {
                let listener =
                    SipListener { transport, bind, advertised: told[0].unwrap_or(bind), audio: None, digest, place };
                twins.extend(told[1].map(|four| twin(&listener, four)));
                listeners.push(listener);
            }
        }
    }
    for value in more.into_iter().take(MAX_LISTENERS) {
        let Some((listener, four)) = listener(value, has_passwords) else { continue };
        twins.extend(four.map(|four| twin(&listener, four)));
        listeners.push(listener);
    }
    twice(&section, &listeners);
    let has_four = |twin: &SipListener| {
        let same = |other: &SipListener| {
            let kind = |listener: &SipListener| (listener.bind.port(), listener.transport.is_reliable());
            other.bind.is_ipv4() && kind(other) == kind(twin)
        };
        listeners.iter().any(same)
    };
    twins.retain(|twin| !has_four(twin));
    listeners.append(&mut twins); // behind all that are written, so that those keep their numbers
    let tls = tls(section.section("tls"));
    let connections = connections(section.section("connections"));
    let servers = "a list of addresses of name servers such as [\"192.0.2.53\"]";
    let name_servers = section.take("name_servers").map(|v| v.list(servers)).unwrap_or_default();
    let name_servers = name_servers.iter().take(MAX_NAME_SERVERS).filter_map(name_server).collect();
    let protocol = protocol::read(&mut section);
    section.finish();
    SipSettings { listeners, tls, connections, name_servers, protocol }
}

/// What others are told of a listener, and of its twin of IPv4, if one at any address of IPv6 is to have it.
fn told(value: Option<Value<'_>>, bind: Option<SocketAddr>) -> [Option<SocketAddr>; 2] {
    let whole = value.clone();
    let told = value.map(addresses).unwrap_or_default().into_iter();
    let told: Vec<SocketAddr> = told.filter_map(|(at, value)| public(&value, Some(at), |at| at.ip())).collect();
    let any_six = bind.is_some_and(|bind| bind.is_ipv6() && bind.ip().is_unspecified());
    if let Some(value) = whole.filter(|_| told.len() > 1 && !any_six) {
        value.wrong("one address; one of IPv4 and one of IPv6 where `bind` is [::]");
    }
    let of = |six: bool| told.iter().find(|at| at.is_ipv6() == six).copied();
    [of(true).or(of(false)).filter(|_| any_six).or(told.first().copied()), of(false).filter(|_| any_six)]
}

/// The listener of IPv4 beside one at any address of IPv6: each socket has addresses of one kind.
fn twin(six: &SipListener, advertised: SocketAddr) -> SipListener {
    let bind = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), six.bind.port());
    SipListener { bind, advertised, audio: six.audio.filter(IpAddr::is_ipv4), ..six.clone() }
}

/// With what others are told of its twin of IPv4, if it is to have one.
fn listener(value: Value<'_>, has_passwords: bool) -> Option<(SipListener, Option<SocketAddr>)> {
    let mut table = value.section()?;
    let transport = table.require("transport", "\"udp\", \"tcp\" or \"tls\"").and_then(|v| transport(&v));
    let written = table.require("bind", "an IP address and a port such as \"192.0.2.7:5061\"");
    let place = written.as_ref().map_or(table.place.clone(), |v| v.place.clone());
    let bind = written.and_then(|v| address(&v));
    let [told, four] = told(table.take("advertised"), bind);
    if let Some(bind) = bind {
        check(&table, &place, bind, [told, four], has_passwords);
    }
    let audio = table.take("audio").and_then(|v| public(&v, ip(&v), |a| *a));
    let digest = digest(&mut table);
    let place = table.page.line_and_column(&place);
    table.finish();
    let (transport, bind) = (transport?, bind?);
    Some((SipListener { transport, bind, advertised: told.unwrap_or(bind), audio, digest, place }, four))
}

fn digest(section: &mut Section<'_>) -> Algorithm {
    let one = |value: Value<'_>| {
        value.parsed("\"md5\" or \"sha-256\"", |s| match s {
            "md5" => Some(Algorithm::Md5),
            "sha-256" => Some(Algorithm::Sha256),
            _ => None,
        })
    };
    section.take("digest").and_then(one).unwrap_or(Algorithm::Md5)
}

fn transport(value: &Value<'_>) -> Option<Transport> {
    value.parsed("\"udp\", \"tcp\" or \"tls\"", |s| match s {
        "udp" => Some(Transport::Udp),
        "tcp" => Some(Transport::Tcp),
        "tls" => Some(Transport::Tls),
        _ => None,
    })
}

/// Whether phones can be told of a listener, and whether it may be open to strangers.
fn check(section: &Section<'_>, place: &Place, bind: SocketAddr, told: [Option<SocketAddr>; 2], has_passwords: bool) {
    if bind.ip().is_unspecified() && told[0].is_none() {
        section.page.report(place, format!("phones cannot be told to send to {bind}; write `advertised` as well"));
    }
    if !bind.ip().is_loopback() && !has_passwords {
        let message = format!(
            "{bind} can be reached from outside, and passwords made at first start are for trying out; \
             name a `password_file` in [server], or listen on 127.0.0.1"
        );
        section.page.report(place, message);
    }
}

/// TCP and TLS share their ports.
fn twice(section: &Section<'_>, listeners: &[SipListener]) {
    let same =
        |a: &SipListener, b: &SipListener| a.bind == b.bind && a.transport.is_reliable() == b.transport.is_reliable();
    for (i, listener) in listeners.iter().enumerate() {
        if listeners[..i].iter().any(|earlier| same(earlier, listener)) {
            let message = format!("two listeners share {} {}", listener.transport.as_str(), listener.bind);
            section.page.report(&section.place, message);
        }
    }
}

fn tls(mut section: Section<'_>) -> TlsSettings {
    let mut file = |key| section.take(key).map(|v| (v.place.clone(), v.text(1000)));
    let (certificate, key, trust) = (file("certificate"), file("key"), file("trust"));
    if let (Some((place, _)), None) | (None, Some((place, _))) = (&certificate, &key) {
        section.page.report(place, "`certificate` and `key` belong together; write both, or neither".to_owned());
    }
    let place = |written: &Option<(Place, _)>| {
        written.as_ref().map_or((0, 0), |(place, _)| section.page.line_and_column(place))
    };
    let (own_place, trust_place) = (place(&certificate), place(&trust));
    section.finish();
    let path = |written: Option<(_, Option<String>)>| written.and_then(|(_, text)| text).map(PathBuf::from);
    TlsSettings { own: path(certificate).zip(path(key)), trust: path(trust), own_place, trust_place }
}

fn connections(mut section: Section<'_>) -> ConnectionSettings {
    let (usual, second) = (ConnectionSettings::default(), Duration::from_secs(1));
    let settings = ConnectionSettings {
        most: section.whole("most", 1..=100_000, usual.most as i64) as usize,
        most_per_address: section.whole("most_per_address", 1..=100_000, usual.most_per_address as i64) as usize,
        unread: section.whole("unread", 16 << 10..=16 << 20, usual.unread as i64) as usize,
        unheard: section.whole("unheard", 1 << 20..=1 << 30, usual.unheard as i64) as usize,
        idle: section.duration("idle", 10 * second..=DAY, usual.idle),
        message: section.duration("message", second..=5 * MINUTE, usual.message),
        connect: section.duration("connect", second / 10..=MINUTE, usual.connect),
    };
    section.finish();
    settings
}

fn name_server(value: &Value<'_>) -> Option<SocketAddr> {
    value.parsed("an IP address, with or without a port", |s| {
        s.parse().ok().or_else(|| s.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 53)))
    })
}
