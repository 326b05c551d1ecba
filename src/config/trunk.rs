//! `[trunk.NAME]`: carriers, what they may bring and what may be called over them.

use super::SipListener;
use super::values::{address, list, named};
use crate::center::{Agent, Form, Identity, NumberPlan, Peer, Queue, Server, Share, Srtp, Trunk, is_meant};
use crate::ids::{AgentId, QueueId, TrunkId};
use crate::sip;
use crate::written::{Page, Place, Said, Section, Value};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// Characters of a user or a file's name.
const MAX_TEXT: usize = 1_000;
/// What lists of numbers look like.
pub const PREFIXES: &str = "a list such as [\"+49\", \"112\"]: with +, what numbers begin with; without, whole numbers";
const A_NUMBER: &str = "a number in the form of E.164, such as \"+4930123456\"";

/// What the configuration says of trunks.
#[derive(Debug, Default)]
pub struct Trunks {
    pub trunks: BTreeMap<TrunkId, Trunk>,
    /// Whose password is in which file, as written.
    pub passwords: BTreeMap<TrunkId, PathBuf>,
    /// Where it is written which listener a trunk is reached over.
    pub listeners: BTreeMap<TrunkId, Place>,
}

/// Reads all of them. `agents`: nobody else may have a user that proves a trunk.
pub fn read(section: Section<'_>, agents: &BTreeMap<AgentId, Agent>) -> Trunks {
    let (mut read, mut peers) = (Trunks::default(), BTreeMap::new());
    for (name, place, table) in named(section, "trunk") {
        let id = TrunkId::new(&name);
        let (trunk, password, listener) = trunk(&id, place, table, &mut peers, agents);
        read.listeners.extend(listener.map(|place| (id.clone(), place)));
        read.passwords.extend(password.map(|file| (id.clone(), file)));
        read.trunks.insert(id, trunk);
    }
    read
}

type Peers = BTreeMap<String, TrunkId>;

fn trunk(
    id: &TrunkId,
    place: Place,
    mut table: Section<'_>,
    known: &mut Peers,
    agents: &BTreeMap<AgentId, Agent>,
) -> (Trunk, Option<PathBuf>, Option<Place>) {
    let page = table.page;
    let allowed = "a list of addresses such as [\"192.0.2.7\", \"198.51.100.0/24\", \"203.0.113.5:5060\"]";
    let peers = list(table.take("addresses"), allowed, |value| peer(value, id, known));
    let server = table.take("server").and_then(|value| server(&value));
    let listener = table.take("listener").and_then(|value| Some((address(&value)?, value.place)));
    let (listener, leaves) = listener.unzip();
    let user = table.take("user").and_then(|value| user(&value));
    let realm = table.take("realm").and_then(|value| value.text(MAX_TEXT));
    let password = table.take("password_file").and_then(|value| value.text(MAX_TEXT)).map(PathBuf::from);
    let accepts_digest = table.take("accept_digest").and_then(|value| value.flag()).unwrap_or(false);
    let register = table.take("register").and_then(|value| value.duration(MINUTE..=DAY));
    let order = table.whole("order", 0..=65_535, 10) as u16;
    let weight = table.whole("weight", 1..=65_535, 1) as u16;
    let incoming = share(table.section("incoming"));
    let outgoing = share(table.section("outgoing"));
    let srtp = table.take("srtp").and_then(|value| srtp(&value));
    let options = table.take("options").map_or(Some(30 * SECOND), |value| options(&value));
    let identity = identity(&mut table);
    let numbers = numbers(&mut table);
    let allowed = list(table.take("allowed"), PREFIXES, |value| prefix(value, PREFIXES));
    let denied = list(table.take("denied"), PREFIXES, |value| prefix(value, PREFIXES));
    table.finish();
    let trunk = Trunk {
        id: id.clone(),
        srtp,
        peers,
        server,
        listener,
        user,
        realm,
        accepts_digest,
        register,
        order,
        weight,
        incoming,
        outgoing,
        options,
        identity,
        numbers,
        allowed,
        denied,
    };
    let own_user = agents.values().all(|agent| Some(&agent.user) != trunk.user.as_ref());
    contradictions(&trunk, password.is_some(), own_user)
        .for_each(|message| page.report(&place, format!("the trunk `{id}` {message}")));
    (trunk, password, leaves)
}

/// What of a trunk does not fit together. `own_user`: no agent has its user.
fn contradictions(trunk: &Trunk, has_password: bool, own_user: bool) -> impl Iterator<Item = &'static str> {
    let (has_user, has_server) = (trunk.user.is_some(), trunk.server.is_some());
    let over_tls = trunk.server.as_ref().is_some_and(|server| server.transport.as_deref() == Some("tls"));
    let shows_keys = matches!(trunk.srtp, Some(Srtp::Optional | Srtp::Required)) && !over_tls;
    let unused = !has_server && trunk.peers.is_empty() && !trunk.accepts_digest;
    let rows = [
        (has_user != has_password, "has only one of `user` and `password_file`; write both, or neither"),
        (trunk.realm.is_some() && !has_user, "has `realm` and no `user` that would be proven there"),
        (trunk.accepts_digest && !has_user, "has `accept_digest` and no `user` that could be proven"),
        (trunk.accepts_digest && !own_user, "has an agent's `user`; with `accept_digest` it needs one of its own"),
        (
            trunk.register.is_some() && !(has_server && has_user),
            "has `register`; that needs `server`, `user` and `password_file`",
        ),
        (unused, "has no `addresses` that calls come from and no `server` that they go to"),
        (!has_server && trunk.listener.is_some(), "has `listener` and no `server` that is reached over it"),
        (!has_server && !trunk.allowed.is_empty(), "has `allowed` and no `server` that calls would go to"),
        (shows_keys, "has `srtp` and no `server` with \";transport=tls\": whoever is on the way could read the keys"),
    ];
    rows.into_iter().filter(|(wrong, _)| *wrong).map(|(_, message)| message)
}

fn peer(value: &Value<'_>, id: &TrunkId, known: &mut Peers) -> Option<Peer> {
    let allowed = "an IP address, a network such as \"198.51.100.0/24\", or an address and a port";
    let peer = value.parsed(allowed, |s| s.parse::<Peer>().ok())?;
    let text = value.text_as_written().unwrap_or_default();
    if let Some(other) = known.insert(text.to_owned(), id.clone()) {
        value.page.report(&value.place, format!("{text} belongs to the trunk `{other}` already"));
    }
    Some(peer)
}

/// `carrier.example`, `carrier.example:5070`, `192.0.2.7:5060;transport=tcp`.
fn server(value: &Value<'_>) -> Option<Server> {
    let allowed = "a name or address, with or without a port, such as \"sip.carrier.example\", \
                   \"192.0.2.7:5060\" or \"sip.carrier.example;transport=tls\" (udp, tcp, tls)";
    value.parsed(allowed, |text| {
        let (place, rest) = text.split_once(';').map_or((text, None), |(place, rest)| (place, Some(rest)));
        let transport = match rest {
            None => None,
            Some(rest) => {
                let name = rest.strip_prefix("transport=")?;
                Some(["udp", "tcp", "tls"].into_iter().find(|known| *known == name)?.to_owned())
            }
        };
        let uri = crate::sip::uri::Uri::parse(&format!("sip:{place}")).ok()?;
        let plain = uri.user.is_none() && uri.headers.is_empty() && uri.port != Some(0);
        plain.then(|| Server { host: uri.host.to_string(), port: uri.port, transport })
    })
}

fn user(value: &Value<'_>) -> Option<String> {
    value.parsed("1 to 100 characters without spaces, quotes and colons", |s| {
        let good = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | ':' | '<' | '>' | ';' | ',');
        ((1..=100).contains(&s.len()) && s.chars().all(good)).then(|| s.to_owned())
    })
}

fn share(mut table: Section<'_>) -> Share {
    let calls = table.whole("calls", 0..=100_000, 100) as u32;
    let rate = table.whole("rate", 1..=1_000, 10) as u32;
    table.finish();
    Share { calls, rate }
}

fn srtp(value: &Value<'_>) -> Option<Srtp> {
    value.parsed("\"off\", \"optional\" or \"required\"", |s| match s {
        "off" => Some(Srtp::Off),
        "optional" => Some(Srtp::Optional),
        "required" => Some(Srtp::Required),
        _ => None,
    })
}

fn options(value: &Value<'_>) -> Option<Duration> {
    let pause = value.duration(Duration::ZERO..=HOUR)?;
    if !pause.is_zero() && pause < 5 * SECOND {
        value.wrong("\"0s\" for none, or \"5s\" to \"1h\"");
    }
    Some(pause).filter(|pause| !pause.is_zero())
}

fn identity(table: &mut Section<'_>) -> Identity {
    let number = table.take("number").and_then(|value| e164(&value));
    let shows = "\"own\" or \"caller\"";
    let shows_caller = table.take("shows").and_then(|value| {
        value.parsed(shows, |s| match s {
            "own" => Some(false),
            "caller" => Some(true),
            _ => None,
        })
    });
    let asserts = table.take("asserted_identity").and_then(|value| value.flag()).unwrap_or(false);
    Identity { number, shows_caller: shows_caller.unwrap_or(false), asserts }
}

/// A number with its country.
pub fn e164(value: &Value<'_>) -> Option<String> {
    value.parsed(A_NUMBER, |s| {
        let digits = s.strip_prefix('+')?;
        ((3..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())).then(|| s.to_owned())
    })
}

fn numbers(table: &mut Section<'_>) -> NumberPlan {
    let mut digits = |key, most: usize, usual: &str| {
        let allowed = format!("up to {most} digits");
        let good = |s: &str| (s.len() <= most && s.bytes().all(|b| b.is_ascii_digit())).then(|| s.to_owned());
        table.take(key).and_then(|value| value.parsed(&allowed, good)).unwrap_or(usual.to_owned())
    };
    let country = digits("country", 3, "");
    let national = digits("national_prefix", 4, "0");
    let international = digits("international_prefix", 6, "00");
    let short = table.whole("short", 0..=10, 6) as u8;
    let bare = table.take("bare").and_then(|value| value.flag()).unwrap_or(false);
    let form = table.take("form").and_then(|value| {
        value.parsed("\"e164\", \"bare\", \"international\" or \"national\"", |s| match s {
            "e164" => Some(Form::E164),
            "bare" => Some(Form::Bare),
            "international" => Some(Form::International),
            "national" => Some(Form::National),
            _ => None,
        })
    });
    NumberPlan { country, national, international, short, bare, form: form.unwrap_or(Form::E164) }
}

/// Reports trunks that would be reached over a listener that there is not, or that does not reach them.
pub fn check_listeners(page: &Page<'_>, read: &Trunks, listeners: &[SipListener]) {
    for (id, place) in &read.listeners {
        let trunk = &read.trunks[id];
        let (Some(at), Some(server)) = (trunk.listener, &trunk.server) else { continue };
        if !listeners.iter().any(|listener| listener.bind == at) {
            let mut binds: Vec<String> = listeners.iter().map(|listener| listener.bind.to_string()).collect();
            binds.dedup();
            let message = format!(
                "the trunk `{id}` has {at} as its `listener`, where no SIP is spoken; allowed: a `bind` of [server.sip] or \
                 [[server.sip.listen]] ({})",
                binds.join(", ")
            );
            page.report(place, message);
            continue;
        }
        // A name may lead to any transport, and to addresses of any kind.
        let ip = server.host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        let over = server.transport.as_deref().or(ip.map(|_| "udp"));
        let mut near = listeners.iter().filter(|listener| sip::is_near(listener.bind, at));
        let fits = |listener: &SipListener| {
            over.is_none_or(|over| listener.transport.as_str().eq_ignore_ascii_case(over))
                && ip.is_none_or(|ip| sip::reaches(listener.bind.ip(), ip))
        };
        if !near.any(fits) {
            let (over, host) = (over.unwrap_or_default().to_ascii_uppercase(), &server.host);
            let message = format!(
                "the trunk `{id}` is reached at {host} by {over}, and nothing that is bound at {} reaches it so; name \
                 another `listener`, or add one",
                at.ip()
            );
            page.report(place, message);
        }
    }
}

/// Reports queues whose agents may send callers to numbers that no trunk may call.
pub fn check_transfers(page: &Page<'_>, queues: &BTreeMap<QueueId, Said<Queue>>, trunks: &BTreeMap<TrunkId, Trunk>) {
    let allowed = || trunks.values().filter(|trunk| trunk.server.is_some()).flat_map(|trunk| &trunk.allowed);
    for (id, queue) in queues {
        for entry in &queue.it.transfers {
            // Of two beginnings, the longer one is meant by both.
            if !allowed().any(|other| is_meant(other, entry) || is_meant(entry, other)) {
                let message = format!(
                    "`transfers` of the queue `{id}` names {entry}, and no trunk may call that; `allowed` of a [trunk] \
                     says what may"
                );
                page.report(&queue.place, message);
            }
        }
    }
}

/// What numbers begin with, or a whole number.
pub fn prefix(value: &Value<'_>, allowed: &str) -> Option<String> {
    value.parsed(allowed, |s| {
        let digits = s.strip_prefix('+').unwrap_or(s);
        ((1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())).then(|| s.to_owned())
    })
}
