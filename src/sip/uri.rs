//! URIs.
use super::message::Misbehavior;
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

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Host {
    /// In lower case.
    Name(String),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl Host {
    pub fn parse(_text: &str) -> Option<Host> { todo!() }
    pub fn ip(&self) -> Option<IpAddr> { todo!() }
}

impl From<IpAddr> for Host {
    fn from(_ip: IpAddr) -> Host { todo!() }
}

impl fmt::Display for Host {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result { todo!() }
}

/// `;name=value` parameters; names compare without case; values as written (quotes kept).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Params(pub Vec<(String, Option<String>)>);

impl Params {
    /// `None`: not there. `Some(None)`: there without a value.
    pub fn value(&self, _name: &str) -> Option<Option<&str>> { todo!() }
    /// The value, if there is one.
    pub fn text(&self, _name: &str) -> Option<&str> { todo!() }
    pub fn has(&self, _name: &str) -> bool { todo!() }
    pub fn set(&mut self, _name: &str, _value: Option<&str>) { todo!() }
    pub fn remove(&mut self, _name: &str) { todo!() }
}

impl fmt::Display for Params {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result { todo!() }
}

/// `==` compares as written; [`Uri::equivalent`] compares by meaning. Written down as its text.
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

impl Uri {
    pub fn parse(_text: &str) -> Result<Uri, Misbehavior> { todo!() }
    /// `sip:user@host:port`; `user` is plain text and gets escaped; an empty user means none.
    pub fn sip(_user: &str, _host: Host, _port: Option<u16>) -> Uri { todo!() }
    /// The user part without escapes, without user parameters' meaning; empty if there is none.
    pub fn user_decoded(&self) -> String { todo!() }
    /// RFC 3261 §19.1.4.
    pub fn equivalent(&self, _other: &Uri) -> bool { todo!() }
    /// The `transport` parameter as written.
    pub fn transport(&self) -> Option<&str> { todo!() }
}

impl fmt::Display for Uri {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result { todo!() }
}

impl TryFrom<String> for Uri {
    type Error = Misbehavior;
    fn try_from(text: String) -> Result<Uri, Misbehavior> { Uri::parse(&text) }
}

impl From<Uri> for String {
    fn from(uri: Uri) -> String { uri.to_string() }
}
