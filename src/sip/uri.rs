//! URIs: `sip:`, `sips:` (RFC 3261 §19.1), `tel:` (RFC 3966), and any other scheme as opaque text (§19.1.6
//! and RFC 4475 §3.3.2 want them read, and refused later).
//!
//! Parts are kept as written, escapes included, so that what is echoed is what came; host names and schemes
//! are lower case. Liberal in the characters of the user part (phones dial `*11#` unescaped), strict in
//! white space, brackets and broken escapes. Left out: `absoluteURI` structure of other schemes.

use super::grammar::{Class, canonical, escape_user, escapes_are_whole, same_name, split_at, unescape};
pub use super::host::Host;
use super::host::HostText;
use super::message::Misbehavior;
use super::params;
pub use super::params::Params;
use super::text::put_number;
use memchr::memchr2;
use serde::{Deserialize, Serialize};
use std::fmt;

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
        if text == "sip" {
            return Some(Scheme::Sip);
        }
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
        let shared = Class::shared(text);
        if !shared.holds(Class::URI) || !(shared.holds(Class::PLAIN) || escapes_are_whole(text)) {
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
mod tests;
