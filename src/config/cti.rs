//! `[server.cti]`: where desktops connect over gRPC, and who may beside agents; `[ticketing]`: the ticketing system.

use super::Kept;
use super::values::{address, kept, list, local, name};
use crate::ids::{LeadId, QueueId};
use crate::written::Section;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How desktops connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CtiSettings {
    pub bind: SocketAddr,
    /// Line and column of `bind`.
    pub place: (usize, usize),
    /// A file of lines `name:token`; none: tokens are made at first start and kept in `data`.
    pub token_file: Option<PathBuf>,
    /// PEM files of the certificate and its key; needed beyond loopback.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Names of those who may ask and see everything.
    pub operators: BTreeSet<String>,
    /// Connections at once (1 … 100,000).
    pub connections: u32,
    /// Commands and streams at once over one of them (1 … 10,000).
    pub calls_each: u32,
    /// Streams at once (1 … 100,000).
    pub streams: u32,
    /// Of one who asks (1 … 1,000).
    pub streams_each: u32,
    /// Events that may wait for one reader before it is cut (16 … 100,000).
    pub waiting: u32,
    /// An agent who has logged in at a desktop becomes not ready when its last stream is gone so long (1 s … 1 h).
    pub desk_lost: Duration,
}

/// How the ticketing system is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketingSettings {
    /// Such as `http://127.0.0.1:50052`.
    pub address: String,
    /// A file whose first line is the token that is sent.
    pub token_file: Option<PathBuf>,
    /// PEM file of roots, for `https`. Default: the system's.
    pub trust: Option<PathBuf>,
    /// How long one answer may take (100 ms … 1 min).
    pub timeout: Duration,
    /// A screen-pop that has not been taken so long after the phone began to ring is dropped (1 s … 5 min).
    pub pop_expires: Duration,
    /// The pause before the second attempt; it doubles up to `retry_most`.
    pub retry: Duration,
    pub retry_most: Duration,
    /// Requests under way at once (1 … 1,000).
    pub parallel: u32,
}

/// Reads `[server.cti]`, if it is written, and the leads in it.
pub fn read(
    section: &mut Section<'_>,
    queues: &BTreeSet<QueueId>,
    leads: &mut BTreeMap<LeadId, BTreeSet<QueueId>>,
) -> Option<(CtiSettings, Kept)> {
    let mut table = section.take("cti")?.section()?;
    let written = table.take("bind");
    let at = written.as_ref().map_or(table.place.clone(), |v| v.place.clone());
    let bind = written.and_then(|v| address(&v)).unwrap_or(local(50_051));
    let tokens = kept(&mut table, "token_file");
    let token_file = tokens.file().map(Path::to_owned);
    let mut file = |key| table.take(key).and_then(|v| v.text(1000)).map(PathBuf::from);
    let (certificate, key) = (file("certificate"), file("key"));
    let page = table.page;
    if certificate.is_some() != key.is_some() {
        page.report(&table.place, "`certificate` and `key` belong together; write both, or neither".to_owned());
    }
    let tls = certificate.zip(key);
    if !bind.ip().is_loopback() && (tls.is_none() || token_file.is_none()) {
        let message = format!(
            "{bind} can be reached from outside: write `certificate`, `key` and `token_file` as well, or listen on \
             127.0.0.1"
        );
        page.report(&at, message);
    }
    let operators = match table.take("operators") {
        None => BTreeSet::from(["operator".to_owned()]),
        some => list(some, "a list of names such as [\"operator\"]", |v| name(v, "a name")).into_iter().collect(),
    };
    for value in table.take("leads").and_then(|v| v.section()).map(Section::rest).unwrap_or_default() {
        let lead = LeadId::new(&value.label);
        if !crate::written::is_name(&value.label) || operators.contains(&value.label) {
            let why = match operators.contains(&value.label) {
                true => "an operator is called so",
                false => "allowed: a name of a-z, 0-9, `.`, `_` and `-`",
            };
            page.report(&value.key_place, format!("a lead cannot be called `{}`: {why}", value.label));
        }
        let names: Vec<&str> = queues.iter().map(QueueId::as_str).take(20).collect();
        let allowed = format!("a list of queues ({})", names.join(", "));
        let of =
            list(Some(value), &allowed, |v| v.one_of(&allowed, queues.iter().map(QueueId::as_str)).map(QueueId::new));
        leads.insert(lead, of.into_iter().collect());
    }
    let second = Duration::from_secs(1);
    let settings = CtiSettings {
        bind,
        place: page.line_and_column(&at),
        token_file,
        tls,
        operators,
        connections: table.whole("connections", 1..=100_000, 6_000) as u32,
        calls_each: table.whole("calls_each", 1..=10_000, 64) as u32,
        streams: table.whole("streams", 1..=100_000, 10_000) as u32,
        streams_each: table.whole("streams_each", 1..=1_000, 8) as u32,
        waiting: table.whole("waiting", 16..=100_000, 1_000) as u32,
        desk_lost: table.duration("desk_lost", second..=3600 * second, 10 * second),
    };
    table.finish();
    Some((settings, tokens))
}

/// Reads `[ticketing]`, if it is written.
pub fn ticketing(root: &mut Section<'_>) -> Option<TicketingSettings> {
    let mut table = root.take("ticketing")?.section()?;
    let wanted = "where it listens, such as \"http://127.0.0.1:50052\" or \"https://tickets.example.org\"";
    let address = table.require("address", wanted);
    let plain = table.take("unencrypted").and_then(|v| v.flag()).unwrap_or(false);
    let page = table.page;
    let address = address.and_then(|v| {
        let host = |s: &str| s.strip_prefix("http://").or(s.strip_prefix("https://")).map(str::to_owned);
        let good = |h: &str| !h.is_empty() && h.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
        let read = v.parsed(wanted, |s| host(s).filter(|host| good(host)).map(|_| s.to_owned()));
        if read.as_ref().is_some_and(|address| !plain && reads_along(address)) {
            let message = "whoever is on the way reads callers' numbers and what agents note: use https://, or write \
                           `unencrypted = true` if the network is yours";
            page.report(&v.place, message.to_owned());
        }
        read
    });
    let mut file = |key| table.take(key).and_then(|v| v.text(1000)).map(PathBuf::from);
    let (token_file, trust) = (file("token_file"), file("trust"));
    let ms = Duration::from_millis;
    let settings = TicketingSettings {
        address: address.unwrap_or_default(),
        token_file,
        trust,
        timeout: table.duration("timeout", ms(100)..=ms(60_000), ms(2_000)),
        pop_expires: table.duration("pop_expires", ms(1_000)..=ms(300_000), ms(20_000)),
        retry: table.duration("retry", ms(100)..=ms(60_000), ms(500)),
        retry_most: table.duration("retry_most", ms(100)..=ms(3_600_000), ms(30_000)),
        parallel: table.whole("parallel", 1..=1_000, 16) as u32,
    };
    table.finish();
    Some(settings)
}

/// Whether what is said to this address passes a network in the clear.
fn reads_along(address: &str) -> bool {
    let Some(host) = address.strip_prefix("http://") else { return false };
    let ip = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    ip != "localhost" && !ip.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_on_this_machine_goes_in_the_clear() {
        for (address, clear) in [
            ("http://127.0.0.1:50052", false),
            ("http://127.9.9.9", false),
            ("http://[::1]:50052", false),
            ("http://localhost:50052", false),
            ("https://tickets.example.org", false),
            ("http://tickets.example.org", true),
            ("http://192.0.2.7:80", true),
            ("http://[2001:db8::1]:80", true),
            ("http://localhost.example.org", true),
            ("http://127.0.0.1.example.org", true),
        ] {
            assert_eq!(reads_along(address), clear, "{address}");
        }
    }
}
