//! URIs: `sip:`, `sips:` (RFC 3261 §19.1), `tel:` (RFC 3966), and any other scheme as opaque text (§19.1.6
//! and RFC 4475 §3.3.2 want them read, and refused later).
//!
//! Parts are kept as written, escapes included, so that what is echoed is what came; host names and schemes
//! are lower case. Liberal in the characters of the user part (phones dial `*11#` unescaped), strict in
//! white space, brackets and broken escapes. Left out: `absoluteURI` structure of other schemes.

use super::grammar::{
    Class, all_of, canonical, escape_user, escapes_are_whole, parse_number, same_name, split_at, unescape,
};
use super::message::Misbehavior;
use super::params;
pub use super::params::Params;
use super::text::{put_ip, put_number};
use memchr::{memchr, memchr2};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scheme {
    Sip,
    Sips,
    Tel,
    /// In lower case.
    Other(String),
}

impl Scheme {
    fn parse(text: &str) -> Option<Scheme> {
        // Before the rest, since nearly all are one of these.
        for (name, scheme) in [("sip", Scheme::Sip), ("sips", Scheme::Sips), ("tel", Scheme::Tel)] {
            if text.eq_ignore_ascii_case(name) {
                return Some(scheme);
            }
        }
        let rest = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        let legal = text.bytes().next()?.is_ascii_alphabetic() && text.bytes().all(rest);
        legal.then(|| Scheme::Other(text.to_ascii_lowercase()))
    }

    pub fn as_str(&self) -> &str {
        match self {
            Scheme::Sip => "sip",
            Scheme::Sips => "sips",
            Scheme::Tel => "tel",
            Scheme::Other(other) => other,
        }
    }
}

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
    fn read(text: &'a str) -> Option<HostText<'a>> {
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

/// Four decimal numbers without needless zeros; `parse` of the standard library costs three times as much.
fn read_v4(text: &str) -> Option<Ipv4Addr> {
    let (mut octets, mut index, mut digits) = ([0u8; 4], 0, 0);
    for byte in text.bytes() {
        match byte {
            b'.' if digits > 0 && index < 3 => (index, digits) = (index + 1, 0),
            b'0'..=b'9' if digits == 0 || octets[index] > 0 => {
                octets[index] = octets[index].checked_mul(10)?.checked_add(byte - b'0')?;
                digits += 1;
            }
            _ => return None,
        }
    }
    (index == 3 && digits > 0).then(|| octets.into())
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

/// `==` compares as written; [`Uri::equivalent`] compares by meaning. Serialized as its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Uri {
    pub scheme: Scheme,
    /// As written, escapes kept. Of `tel:` the number.
    pub user: Option<String>,
    pub password: Option<String>,
    /// An empty name where the scheme has none.
    pub host: Host,
    pub port: Option<u16>,
    pub params: Params,
    /// What follows `?`, as written; empty if nothing does.
    pub headers: String,
    /// What follows the colon, for schemes that are neither `sip`, `sips` nor `tel`.
    pub opaque: String,
}

/// The parts of a URI as they stand in its text: to check a URI, nothing is copied.
pub(super) struct UriText<'a> {
    scheme: Scheme,
    user: Option<&'a str>,
    password: Option<&'a str>,
    host: HostText<'a>,
    port: Option<u16>,
    /// Legal, without the first semicolon; empty if there are none.
    params: &'a str,
    headers: &'a str,
    opaque: &'a str,
}

impl<'a> UriText<'a> {
    pub fn read(text: &'a str) -> Option<UriText<'a>> {
        if !all_of(text, Class::URI) || !escapes_are_whole(text) {
            return None;
        }
        let (scheme, rest) = split_at(text, b':')?;
        let scheme = Scheme::parse(scheme)?;
        let host = HostText::Name("");
        let uri = UriText { scheme, user: None, password: None, host, port: None, params: "", headers: "", opaque: "" };
        match uri.scheme {
            Scheme::Sip | Scheme::Sips => uri.read_sip(rest),
            Scheme::Tel => uri.read_tel(rest),
            Scheme::Other(_) => (!rest.is_empty()).then_some(UriText { opaque: rest, ..uri }),
        }
    }

    fn read_sip(mut self, text: &'a str) -> Option<UriText<'a>> {
        // `@` stands nowhere but here unescaped, while `;` and `?` may stand in the user part.
        let rest = match split_at(text, b'@') {
            Some((user, rest)) => {
                self.read_user(user)?;
                rest
            }
            None => text,
        };
        let (rest, headers) = split_at(rest, b'?').unwrap_or((rest, ""));
        let (address, params) = split_at(rest, b';').map_or((rest, None), |(a, p)| (a, Some(p)));
        (self.host, self.port) = HostText::read_with_port(address)?;
        self.read_params(params)?;
        self.headers = headers;
        Some(self)
    }

    fn read_user(&mut self, text: &'a str) -> Option<()> {
        let (user, password) = split_at(text, b':').map_or((text, None), |(u, p)| (u, Some(p)));
        self.user = Some(user).filter(|u| !u.is_empty() && memchr2(b'[', b']', u.as_bytes()).is_none());
        self.password = password;
        self.user.is_some().then_some(())
    }

    fn read_tel(mut self, text: &'a str) -> Option<UriText<'a>> {
        let (number, params) = split_at(text, b';').map_or((text, None), |(n, p)| (n, Some(p)));
        // RFC 3966 §3: digits (also hexadecimal, `*`, `#` in local numbers) with visual separators.
        let digit = |b: u8| b.is_ascii_hexdigit() || matches!(b, b'*' | b'#' | b'-' | b'.' | b'(' | b')');
        let digits = number.strip_prefix('+').unwrap_or(number);
        if digits.is_empty() || !digits.bytes().all(digit) {
            return None;
        }
        self.user = Some(number);
        self.read_params(params)?;
        Some(self)
    }

    fn read_params(&mut self, params: Option<&'a str>) -> Option<()> {
        self.params = params.unwrap_or("");
        params.is_none_or(params::are_legal_in_uri).then_some(())
    }
}

impl From<UriText<'_>> for Uri {
    fn from(text: UriText<'_>) -> Uri {
        Uri {
            scheme: text.scheme,
            user: text.user.map(str::to_owned),
            password: text.password.map(str::to_owned),
            host: text.host.into(),
            port: text.port,
            params: Params::of_uri(text.params),
            headers: text.headers.to_owned(),
            opaque: text.opaque.to_owned(),
        }
    }
}

impl Uri {
    /// Reads a URI without surrounding white space or brackets.
    pub fn parse(text: &str) -> Result<Uri, Misbehavior> {
        UriText::read(text).map(Uri::from).ok_or(Misbehavior::Uri)
    }

    fn empty(scheme: Scheme) -> Uri {
        let host = Host::Name(String::new());
        let (headers, opaque) = (String::new(), String::new());
        Uri { scheme, user: None, password: None, host, port: None, params: Params::default(), headers, opaque }
    }

    /// `sip:user@host:port`; `user` is plain text and gets escaped; an empty user means none.
    pub fn sip(user: &str, host: Host, port: Option<u16>) -> Uri {
        let user = (!user.is_empty()).then(|| escape_user(user));
        Uri { user, host, port, ..Uri::empty(Scheme::Sip) }
    }

    /// The user part without escapes; empty if there is none. Of a `tel:` URI the number without separators.
    pub fn user_decoded(&self) -> String {
        let user = self.user.as_deref().unwrap_or("");
        match self.scheme {
            Scheme::Tel => user.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')')).collect(),
            _ => String::from_utf8_lossy(&unescape(user)).into_owned(),
        }
    }

    /// A value of [`Uri::headers`] without escapes; what ends lines in it becomes a space.
    pub(super) fn header_decoded(value: &str) -> String {
        String::from_utf8_lossy(&unescape(value)).replace(['\r', '\n', '\0'], " ")
    }

    /// RFC 3261 §19.1.4. Header components compare as text without case.
    pub fn equivalent(&self, other: &Uri) -> bool {
        self.scheme == other.scheme
            && self.opaque == other.opaque
            && self.host == other.host
            && self.port == other.port
            && same_part(&self.user, &other.user)
            && same_part(&self.password, &other.password)
            && self.covers(other)
            && other.covers(self)
            && sorted_headers(&self.headers) == sorted_headers(&other.headers)
    }

    /// Whether each of our parameters is the same in `other`, or missing there and of no weight. (Of a repeated
    /// parameter, which §19.1.1 forbids, the first counts.)
    fn covers(&self, other: &Uri) -> bool {
        let plain = |text: Option<&str>| text.map(|t| canonical(t).to_ascii_lowercase());
        self.params.iter().all(|(name, _)| {
            let name = canonical(name);
            match (self.params.value(&name), other.params.value(&name)) {
                (ours, Some(theirs)) => plain(ours.flatten()) == plain(theirs),
                (_, None) => !["user", "ttl", "method", "maddr", "transport"].iter().any(|n| same_name(&name, n)),
            }
        })
    }

    /// The `transport` parameter as written.
    pub fn transport(&self) -> Option<&str> {
        self.params.text("transport")
    }
}

impl Uri {
    pub(super) fn put(&self, out: &mut String) {
        out.push_str(self.scheme.as_str());
        out.push(':');
        out.push_str(&self.opaque);
        if let Some(user) = &self.user {
            out.push_str(user);
        }
        if let Some(password) = &self.password {
            out.push(':');
            out.push_str(password);
        }
        if matches!(self.scheme, Scheme::Sip | Scheme::Sips) {
            out.push_str(if self.user.is_some() { "@" } else { "" });
            self.host.put(out);
        }
        if let Some(port) = self.port {
            out.push(':');
            put_number(out, port.into());
        }
        out.push_str(self.params.as_str());
        if !self.headers.is_empty() {
            out.push('?');
            out.push_str(&self.headers);
        }
    }

    /// As on the wire; cheaper than `to_string`.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(USUAL_LENGTH);
        self.put(&mut text);
        text
    }
}

/// Of a URI in bytes: room that is enough for most.
const USUAL_LENGTH: usize = 64;

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl TryFrom<String> for Uri {
    type Error = Misbehavior;
    fn try_from(text: String) -> Result<Uri, Misbehavior> {
        Uri::parse(&text)
    }
}

impl From<Uri> for String {
    fn from(uri: Uri) -> String {
        uri.text()
    }
}

fn same_part(a: &Option<String>, b: &Option<String>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a == b || canonical(a) == canonical(b),
        (a, b) => a.is_none() && b.is_none(),
    }
}

fn sorted_headers(text: &str) -> Vec<String> {
    let mut headers: Vec<_> = text.split('&').map(|h| canonical(h).to_ascii_lowercase()).collect();
    headers.sort_unstable();
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_that_are_read_are_written_the_same() {
        let rows = [
            "sip:alice@atlanta.com",
            "sips:alice:secret@atlanta.com:5061;transport=tcp?subject=a&priority=urgent",
            "sip:[2001:db8::10]:5070;lr",
            "sip:192.0.2.1:5060",
            "sip:user;par=u%40example.net@example.com",
            "sip:*11#@10.0.0.1",
            "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d(doesn't-it)@example.com",
            "sip:%00%00@host5.example.com",
            "tel:+1-201-555-0123;ext=7",
            "isbn:2983792873",
            "soap.beep://192.0.2.103:3002",
        ];
        for text in rows {
            assert_eq!(Uri::parse(text).map(|u| u.to_string()), Ok(text.to_owned()));
        }
        assert_eq!(Uri::parse("SIP:Bob@Biloxi.COM").unwrap().to_string(), "sip:Bob@biloxi.com");
    }

    #[test]
    fn what_is_no_uri_is_refused() {
        let rows = [
            "",
            "sip",
            "sip:",
            "sip:@host",
            "sip:a@",
            "sip:a@b c",
            "<sip:a@b>",
            "sip:a@b;",
            "sip:a@b;;x",
            "sip:a@b:",
            "sip:a@b:x",
            "sip:a@b:65536",
            "sip:a@b:+5",
            "sip:a@[::1",
            "sip:a@::1",
            "sip:a@1.2.3.400",
            "sip:%4@b",
            "sip:a%zz@b",
            "1sip:a@b",
            "tel:",
            "tel:+",
            "tel:abc xyz",
            "tel:12;",
            "other:",
            "sip:a@b@c",
            "sip:a@b;=c",
        ];
        for text in rows {
            assert_eq!(Uri::parse(text), Err(Misbehavior::Uri), "{text}");
        }
        let many = format!("sip:a@b{}", ";p".repeat(65));
        assert_eq!(Uri::parse(&many), Err(Misbehavior::Uri));
    }

    #[test]
    fn parts_are_found() {
        let uri = Uri::parse("sip:+1%2d2;x=y:pw@[::1]:99;Transport=TCP;lr;%6C%61zy=1?a=b").unwrap();
        assert_eq!(uri.user_decoded(), "+1-2;x=y");
        assert_eq!((uri.password.as_deref(), uri.port, uri.transport()), (Some("pw"), Some(99), Some("TCP")));
        assert_eq!(uri.host.ip(), Some("::1".parse().unwrap()));
        assert_eq!(
            (uri.params.value("LR"), uri.params.value("x"), uri.params.text("lazy")),
            (Some(None), None, Some("1"))
        );
        assert_eq!(uri.headers, "a=b");
        assert_eq!(Uri::parse("tel:+1-(201)-555.0123").unwrap().user_decoded(), "+12015550123");
        assert_eq!(Uri::sip("a b@c", Host::Name("h".into()), None).to_string(), "sip:a%20b%40c@h");
        assert_eq!(Uri::sip("", Host::V4(Ipv4Addr::LOCALHOST), Some(5070)).to_string(), "sip:127.0.0.1:5070");
    }

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
    fn equivalence_is_that_of_rfc_3261() {
        let rows = [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp", true),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", true),
            ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on", true),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
                true,
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
                true,
            ),
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP", false),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", false),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", false),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp", false),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting", false),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", false),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off", false),
            ("sip:a@b", "sips:a@b", false),
            ("sip:a@b", "sip:b", false),
            ("sip:a%3Bx@b", "sip:a;x@b", false),
            ("sip:a%3bx@b", "sip:a%3Bx@b", true),
            ("sip:%00@b", "sip:%00%00@b", false),
            ("sip:a@[::1]", "sip:a@[0:0::1]", true),
            ("sip:a:p@b", "sip:a@b", false),
            ("sip:a@b;%6C%72", "sip:a@b;lr", true),
            ("sip:a@b;user=phone;user=ip", "sip:a@b;user=phone;user=ip", true),
        ];
        for (a, b, expect) in rows {
            let (ua, ub) = (Uri::parse(a).unwrap(), Uri::parse(b).unwrap());
            assert_eq!((ua.equivalent(&ub), ub.equivalent(&ua)), (expect, expect), "{a} and {b}");
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
