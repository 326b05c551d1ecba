//! Hosts of URIs and of Via (RFC 3261 §25.1): names, IPv4 addresses, IPv6 addresses in brackets.

use super::grammar::{Class, all_of, parse_number};
use super::text::put_ip;
use memchr::memchr;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Host {
    /// In lower case.
    Name(String),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

/// A host as it stands in a text.
#[derive(Clone, Copy)]
pub(super) enum HostText<'a> {
    Name(&'a str),
    Address(IpAddr),
}

impl<'a> HostText<'a> {
    pub(super) fn read(text: &'a str) -> Option<HostText<'a>> {
        if let Some(inner) = text.strip_prefix('[') {
            return inner.strip_suffix(']')?.parse().ok().map(|ip| HostText::Address(IpAddr::V6(ip)));
        }
        if text.is_empty() || text.len() > 255 || !all_of(text, Class::HOST) {
            return None;
        }
        // RFC 3261 §25.1: the last label of a name begins with a letter, so this can only be an address.
        let name = text.strip_suffix('.').unwrap_or(text).as_bytes();
        let ends_in_digits = name.iter().rev().take_while(|b| **b != b'.').all(u8::is_ascii_digit);
        if ends_in_digits {
            return read_v4(text).map(|ip| HostText::Address(IpAddr::V4(ip)));
        }
        Some(HostText::Name(text))
    }

    /// `host` or `host:port`, with the white space that a Via may have around the colon.
    pub(super) fn read_with_port(text: &'a str) -> Option<(HostText<'a>, Option<u16>)> {
        if let Some((ip, rest)) = begin_with_v4(text.as_bytes()) {
            match rest {
                [] => return Some((HostText::Address(ip.into()), None)),
                [b':', ..] => {
                    // With white space it is read below.
                    let port = parse_number(&text[text.len() - rest.len() + 1..]).and_then(|port| port.try_into().ok());
                    if let Some(port) = port {
                        return Some((HostText::Address(ip.into()), Some(port)));
                    }
                }
                _ => {}
            }
        }
        let name_end = match text.starts_with('[') {
            true => memchr(b']', text.as_bytes())? + 1,
            false => memchr(b':', text.as_bytes()).unwrap_or(text.len()),
        };
        let (host, rest) = text.split_at(name_end);
        let host = HostText::read(host.trim_ascii_end())?;
        let rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Some((host, None));
        }
        let port = rest.strip_prefix(':')?.trim_ascii_start();
        Some((host, Some(parse_number(port)?.try_into().ok()?)))
    }
}

fn read_v4(text: &str) -> Option<Ipv4Addr> {
    begin_with_v4(text.as_bytes()).filter(|(_, rest)| rest.is_empty()).map(|(ip, _)| ip)
}

/// Four decimal numbers without needless zeros, and what follows them; `parse` of the standard library costs three times
/// as much.
fn begin_with_v4(text: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let (mut octets, mut rest) = ([0u8; 4], text);
    for (index, octet) in octets.iter_mut().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix(b".")?;
        }
        let mut value = 0u32;
        let digits = rest.iter().take(3).take_while(|byte| byte.is_ascii_digit()).count();
        rest[..digits].iter().for_each(|byte| value = value * 10 + u32::from(byte - b'0'));
        if digits == 0 || (digits > 1 && rest[0] == b'0') {
            return None;
        }
        (*octet, rest) = (u8::try_from(value).ok()?, &rest[digits..]);
    }
    Some((octets.into(), rest))
}

impl From<HostText<'_>> for Host {
    fn from(host: HostText<'_>) -> Host {
        match host {
            HostText::Name(name) => Host::Name(name.to_ascii_lowercase()),
            HostText::Address(ip) => ip.into(),
        }
    }
}

impl Host {
    /// A host name, an IPv4 address, or an IPv6 address in brackets.
    pub fn parse(text: &str) -> Option<Host> {
        HostText::read(text).map(Host::from)
    }

    pub(super) fn put(&self, out: &mut String) {
        match self {
            Host::Name(name) => out.push_str(name),
            Host::V4(ip) => put_ip(out, IpAddr::V4(*ip)),
            Host::V6(ip) => {
                out.push('[');
                put_ip(out, IpAddr::V6(*ip));
                out.push(']');
            }
        }
    }

    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Host::Name(_) => None,
            Host::V4(ip) => Some(IpAddr::V4(*ip)),
            Host::V6(ip) => Some(IpAddr::V6(*ip)),
        }
    }
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Host {
        match ip {
            IpAddr::V4(ip) => Host::V4(ip),
            IpAddr::V6(ip) => Host::V6(ip),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.put(&mut text);
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_standard_library_does() {
        let rows = [
            "0.0.0.0",
            "255.255.255.255",
            "192.0.2.10",
            "1.2.3.256",
            "1.2.3.999",
            "01.2.3.4",
            "1.00.3.4",
            "1.2.3",
            "1.2.3.",
            "1.2.3.4.",
            "1.2.3.4.5",
            ".1.2.3.4",
            "1..3.4",
            "+1.2.3.4",
            "1234",
            "",
            "a.2.3.4",
        ];
        for text in rows {
            assert_eq!(read_v4(text), text.parse().ok(), "{text}");
        }
    }

    #[test]
    fn hosts() {
        let rows = [
            ("Example.COM", Some("example.com")),
            ("host.", Some("host.")),
            ("10.0.0.1", Some("10.0.0.1")),
            ("[2001:DB8::1]", Some("[2001:db8::1]")),
            ("10.0.0", None),
            ("1.2.3.4.5", None),
            ("a b", None),
            ("", None),
            ("[::1]x", None),
        ];
        for (text, expect) in rows {
            assert_eq!(Host::parse(text).map(|h| h.to_string()).as_deref(), expect, "{text}");
        }
    }
}
