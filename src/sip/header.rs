//! The header fields that a user agent reads as more than text: name-addr (§20.10, §20.20, §20.39), Via (§20.42, RFC 3581), CSeq (§20.16).
//!
//! Values stay as written, unfolded; they are read when asked for. Liberal where nothing can be
//! misunderstood (unquoted display names with commas, RFC 4475 §3.1.2.15), strict where it could be
//! (open quotes, spaces in addresses, empty parameters). The list of a message's fields and its
//! typed reading are in `headers.rs`. Left out: the inner grammar of fields that no machine reads.

use super::grammar::{cut, is_token, parse_number, split_at, split_at_space, unquotes};
pub use super::grammar::{quote, unquote};
pub use super::headers::{Contacts, Headers};
use super::host::{Host, HostText};
pub use super::name::{Method, Name};
use super::params;
pub use super::params::Params;
use super::text::put_number;
use super::uri::{Uri, UriText};
use memchr::{memchr3, memrchr};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// `"display" <uri>;params`: From, To, Contact, Route, Record-Route, Refer-To, P-Asserted-Identity …
/// Serialized as its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NameAddr {
    /// Without quotes and escapes.
    pub display: Option<String>,
    pub uri: Uri,
    pub params: Params,
}

/// The values of a field that is a list, as they stand in it.
pub fn list(field: &str) -> impl Iterator<Item = &str> {
    super::grammar::pieces(field, b',')
}

impl NameAddr {
    pub fn new(uri: Uri) -> NameAddr {
        NameAddr { display: None, uri, params: Params::default() }
    }

    /// `None` if the text is no name-addr or addr-spec.
    pub fn parse(text: &str) -> Option<NameAddr> {
        let AddressText { display, uri, params } = AddressText::read(text)?;
        let display = match display {
            "" => None,
            _ if display.starts_with('"') => Some(unquote(display)?),
            _ => Some(display.to_owned()),
        };
        Some(NameAddr { display, params: Params::of_header(params)?, uri: uri.into() })
    }

    /// Whether [`NameAddr::parse`] would read it; copies nothing.
    pub fn is_legal(text: &str) -> bool {
        AddressText::read(text).is_some_and(|address| params::are_legal_in_header(address.params))
    }

    pub fn tag(&self) -> Option<&str> {
        self.params.text("tag")
    }

    pub fn set_tag(&mut self, tag: &str) {
        self.params.set("tag", Some(tag));
    }
}

/// A name-addr as it stands in its text, its parameters not yet read.
struct AddressText<'a> {
    /// Words as they are or one quoted string; may be empty.
    display: &'a str,
    uri: UriText<'a>,
    params: Option<&'a str>,
}

impl<'a> AddressText<'a> {
    fn read(text: &'a str) -> Option<AddressText<'a>> {
        let text = text.trim_ascii();
        if let Some((inner, rest)) = text.strip_prefix('<').and_then(|inside| split_at(inside, b'>')) {
            // Without a display name: what stands in the brackets can hold neither quotes nor brackets.
            let params = match rest.trim_ascii_start() {
                "" => None,
                rest => Some(rest.strip_prefix(';')?.trim_ascii_start()),
            };
            return Some(AddressText { display: "", uri: UriText::read(inner)?, params });
        }
        let (address, params) = cut(text, b';')?;
        let (display, uri) = match address.strip_suffix('>') {
            Some(inner) => {
                let open = memrchr(b'<', inner.as_bytes())?;
                (&inner[..open], &inner[open + 1..])
            }
            // RFC 3261 §20.10: without brackets no `,` `;` or `?` belongs to the URI.
            None if address.contains(['?', ',', '<', '"']) => return None,
            None => ("", address),
        };
        let display = display.trim_ascii();
        if memchr3(b'"', b'<', b'>', display.as_bytes()).is_some() && !unquotes(display) {
            return None;
        }
        Some(AddressText { display, uri: UriText::read(uri)?, params })
    }
}

impl NameAddr {
    pub(super) fn put(&self, out: &mut String) {
        if let Some(display) = &self.display {
            out.push_str(&quote(display));
            out.push(' ');
        }
        out.push('<');
        self.uri.put(out);
        out.push('>');
        out.push_str(self.params.as_str());
    }

    /// As on the wire; cheaper than `to_string`.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(USUAL_LENGTH);
        self.put(&mut text);
        text
    }
}

/// Of an address or a Via in bytes: room that is enough for most.
const USUAL_LENGTH: usize = 128;

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl TryFrom<String> for NameAddr {
    type Error = String;
    fn try_from(text: String) -> Result<NameAddr, String> {
        NameAddr::parse(&text).ok_or_else(|| format!("`{text}` is no address"))
    }
}

impl From<NameAddr> for String {
    fn from(address: NameAddr) -> String {
        address.text()
    }
}

/// One hop of a message's way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Via {
    /// `None` is `SIP/2.0`.
    pub protocol: Option<String>,
    /// Upper case: `UDP`, `TCP`, `TLS`, `WS`, `WSS` or what was written.
    pub transport: String,
    pub host: Host,
    pub port: Option<u16>,
    pub params: Params,
}

impl Via {
    pub fn new(transport: &str, host: Host, port: Option<u16>, branch: &str) -> Via {
        let mut params = Params::default();
        params.add("branch", Some(branch));
        Via { protocol: None, transport: transport.to_ascii_uppercase(), host, port, params }
    }

    /// One hop; `None` if the text is none.
    pub fn parse(text: &str) -> Option<Via> {
        let ViaText { protocol: (name, version), transport, host, port, params } = ViaText::read(text)?;
        let usual = name.eq_ignore_ascii_case("SIP") && version == "2.0";
        let protocol = (!usual).then(|| format!("{name}/{version}"));
        let (transport, params) = (transport.to_ascii_uppercase(), Params::of_header(params)?);
        Some(Via { protocol, transport, host: host.into(), port, params })
    }

    /// Whether [`Via::parse`] would read it; copies nothing.
    pub fn is_legal(text: &str) -> bool {
        ViaText::read(text).is_some_and(|via| params::are_legal_in_header(via.params))
    }

    pub fn branch(&self) -> Option<&str> {
        self.params.text("branch")
    }

    pub fn received(&self) -> Option<IpAddr> {
        self.params.text("received")?.trim_matches(['[', ']']).parse().ok()
    }

    /// `None`: not there. `Some(None)`: asked for (or nonsense). `Some(Some(port))`: filled in (RFC 3581).
    pub fn rport(&self) -> Option<Option<u16>> {
        self.params.value("rport").map(|value| value.and_then(|port| port.parse().ok()))
    }
}

/// A Via as it stands in its text, its parameters not yet read.
struct ViaText<'a> {
    protocol: (&'a str, &'a str),
    transport: &'a str,
    host: HostText<'a>,
    port: Option<u16>,
    params: Option<&'a str>,
}

impl<'a> ViaText<'a> {
    fn read(text: &'a str) -> Option<ViaText<'a>> {
        let (sent, params) = cut(text.trim_ascii(), b';')?;
        let (protocol, rest) = match sent.strip_prefix("SIP/2.0/") {
            Some(rest) => (("SIP", "2.0"), rest),
            None => {
                let (name, rest) = split_at(sent, b'/')?;
                let (version, rest) = split_at(rest, b'/')?;
                ((name.trim_ascii(), version.trim_ascii()), rest)
            }
        };
        let (transport, sent_by) = split_at_space(rest.trim_ascii())?;
        if !is_token(protocol.0) || !is_token(protocol.1) || !is_token(transport) {
            return None;
        }
        let (host, port) = HostText::read_with_port(sent_by)?;
        Some(ViaText { protocol, transport, host, port, params })
    }
}

impl Via {
    /// As on the wire; cheaper than `to_string`.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(USUAL_LENGTH);
        text.push_str(self.protocol.as_deref().unwrap_or("SIP/2.0"));
        text.push('/');
        text.push_str(&self.transport);
        text.push(' ');
        self.host.put(&mut text);
        if let Some(port) = self.port {
            text.push(':');
            put_number(&mut text, port.into());
        }
        text.push_str(self.params.as_str());
        text
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

/// The place of a request in its dialog (§20.16).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CSeq {
    /// Below 2³¹ (RFC 3261 §8.1.1.5).
    pub number: u32,
    pub method: Method,
}

impl CSeq {
    pub fn parse(text: &str) -> Option<CSeq> {
        let (number, method) = split_at_space(text.trim_ascii())?;
        let number = parse_number(number).filter(|n| *n < 1 << 31)?;
        is_token(method).then(|| CSeq { number, method: Method::from(method) })
    }
}

impl CSeq {
    /// As on the wire; cheaper than `to_string`.
    pub fn text(&self) -> String {
        let method = self.method.as_str();
        let mut text = String::with_capacity(method.len() + 11);
        put_number(&mut text, self.number);
        text.push(' ');
        text.push_str(method);
        text
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::super::grammar::find_param;
    use super::*;

    #[test]
    fn addresses() {
        let rows = [
            // text, display, uri, tag, as we write it
            ("sip:a@b;tag=1", None, "sip:a@b", Some("1"), "<sip:a@b>;tag=1"),
            ("<sip:a@b;x=1>;tag=2", None, "sip:a@b;x=1", Some("2"), "<sip:a@b;x=1>;tag=2"),
            ("caller<sip:a@b>;tag=323", Some("caller"), "sip:a@b", Some("323"), "\"caller\" <sip:a@b>;tag=323"),
            (
                "\"Q \\\"<;,\" <sip:a@b> ; n =\t\"v;\" ; TAG = 3",
                Some("Q \"<;,"),
                "sip:a@b",
                Some("3"),
                "\"Q \\\"<;,\" <sip:a@b>;n=\"v;\";TAG=3",
            ),
            ("Bell, Alexander <sip:a@b>", Some("Bell, Alexander"), "sip:a@b", None, "\"Bell, Alexander\" <sip:a@b>"),
            ("\"\" <sip:a@b>", Some(""), "sip:a@b", None, "\"\" <sip:a@b>"),
            ("<tel:+1201;phone-context=x>", None, "tel:+1201;phone-context=x", None, "<tel:+1201;phone-context=x>"),
            ("isbn:298;tag=4", None, "isbn:298", Some("4"), "<isbn:298>;tag=4"),
        ];
        for (text, display, uri, tag, written) in rows {
            let address = NameAddr::parse(text).expect(text);
            assert!(NameAddr::is_legal(text), "{text}");
            assert_eq!(address.display.as_deref(), display);
            assert_eq!((address.uri.to_string().as_str(), address.tag()), (uri, tag));
            assert_eq!(find_param(text, "tag"), tag);
            assert_eq!(address.to_string(), written);
            assert_eq!(NameAddr::parse(written), Some(address));
        }
    }

    #[test]
    fn what_is_no_address() {
        let rows = [
            "",
            "<",
            "<>",
            "\"\" <>",
            "sip:a@b?x=y",
            "sip:a@b, sip:c@d",
            "\"open <sip:a@b>",
            "< sip:a@b >",
            "<sip:a@b>>",
            "<sip:a@b",
            "<sip:a@b>;",
            "<sip:a@b>;;x",
            "<sip:a@b>;x=a b",
            "\"a\" \"b\" <sip:a@b>",
            "x \"y\" <sip:a@b>",
            "<sip:a@b> junk",
            "<sip:a@b>;x=\"open",
            "<a<sip:a@b>",
            "<sip:a@b>;=3",
            "\"a\" sip:a@b",
            "<sip:a@b>;x=1,<sip:c@d>",
        ];
        for text in rows {
            assert_eq!((NameAddr::parse(text), NameAddr::is_legal(text)), (None, false), "{text}");
        }
    }

    #[test]
    fn vias() {
        let rows = [
            ("SIP/2.0/UDP 1.2.3.4;branch=z9hG4bK1;rport", "SIP/2.0/UDP 1.2.3.4;branch=z9hG4bK1;rport"),
            (
                "SIP  / 2.0  / tcp     spindle.example.com : 5 ; branch  =   z9",
                "SIP/2.0/TCP spindle.example.com:5;branch=z9",
            ),
            ("sip/2.0/UNKNOWN [2001:db8::9:1]:70", "SIP/2.0/UNKNOWN [2001:db8::9:1]:70"),
            ("SIP/7.0/UDP c.example.com", "SIP/7.0/UDP c.example.com"),
        ];
        for (text, written) in rows {
            assert_eq!((Via::parse(text).expect(text).to_string().as_str(), Via::is_legal(text)), (written, true));
        }
        for text in [
            "",
            "SIP/2.0",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ;branch=x",
            "SIP/2.0/UDP a;;",
            "SIP/2.0/U P a",
            "SIP/2.0/UDP a:b",
        ] {
            assert_eq!((Via::parse(text), Via::is_legal(text)), (None, false), "{text}");
        }
        let via = Via::parse("SIP/2.0/UDP a;branch=;rport=5061;received=[::1]").unwrap();
        assert_eq!((via.branch(), via.rport(), via.received()), (None, Some(Some(5061)), Some("::1".parse().unwrap())));
        let via = Via::parse("SIP/2.0/UDP a;rport").unwrap();
        assert_eq!((via.rport(), via.received()), (Some(None), None));
    }

    #[test]
    fn cseqs() {
        let rows = [
            ("0009 INVITE", Some((9, "INVITE"))),
            ("2147483647\t X", Some((2_147_483_647, "X"))),
            ("2147483648 INVITE", None),
            ("36893488147419103232 REGISTER", None),
            ("+1 INVITE", None),
            ("1", None),
            ("1 IN VITE", None),
            ("INVITE 1", None),
        ];
        for (text, expect) in rows {
            let expect = expect.map(|(number, method)| CSeq { number, method: Method::from(method) });
            assert_eq!(CSeq::parse(text), expect, "{text}");
        }
    }
}
