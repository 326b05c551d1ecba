//! Header fields.
use super::message::Misbehavior;
use super::uri::{Host, Params, Uri};
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! names {
    ($($variant:ident $text:literal $compact:literal $list:literal,)*) => {
        /// A header field's name; known ones are numbers, others keep their text and compare without case.
        #[derive(Clone, Debug, Eq, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum Name { $($variant,)* Other(Box<str>) }
        impl Name {
            pub fn as_str(&self) -> &str {
                match self { $(Name::$variant => $text,)* Name::Other(text) => text }
            }
        }
    };
}

names! {
    Accept "Accept" "" true,
    AcceptEncoding "Accept-Encoding" "" true,
    AcceptLanguage "Accept-Language" "" true,
    AlertInfo "Alert-Info" "" true,
    Allow "Allow" "" true,
    AllowEvents "Allow-Events" "u" true,
    AuthenticationInfo "Authentication-Info" "" false,
    Authorization "Authorization" "" false,
    CallId "Call-ID" "i" false,
    CallInfo "Call-Info" "" true,
    Contact "Contact" "m" true,
    ContentDisposition "Content-Disposition" "" false,
    ContentEncoding "Content-Encoding" "e" true,
    ContentLanguage "Content-Language" "" true,
    ContentLength "Content-Length" "l" false,
    ContentType "Content-Type" "c" false,
    CSeq "CSeq" "" false,
    Date "Date" "" false,
    Diversion "Diversion" "" true,
    ErrorInfo "Error-Info" "" true,
    Event "Event" "o" false,
    Expires "Expires" "" false,
    From "From" "f" false,
    HistoryInfo "History-Info" "" true,
    InReplyTo "In-Reply-To" "" true,
    MaxForwards "Max-Forwards" "" false,
    MimeVersion "MIME-Version" "" false,
    MinExpires "Min-Expires" "" false,
    MinSe "Min-SE" "" false,
    Organization "Organization" "" false,
    PAssertedIdentity "P-Asserted-Identity" "" true,
    Path "Path" "" true,
    PPreferredIdentity "P-Preferred-Identity" "" true,
    Priority "Priority" "" false,
    Privacy "Privacy" "" false,
    ProxyAuthenticate "Proxy-Authenticate" "" false,
    ProxyAuthorization "Proxy-Authorization" "" false,
    ProxyRequire "Proxy-Require" "" true,
    RAck "RAck" "" false,
    Reason "Reason" "" true,
    RecordRoute "Record-Route" "" true,
    ReferTo "Refer-To" "r" false,
    ReferredBy "Referred-By" "b" false,
    Replaces "Replaces" "" false,
    ReplyTo "Reply-To" "" false,
    Require "Require" "" true,
    RetryAfter "Retry-After" "" false,
    Route "Route" "" true,
    RSeq "RSeq" "" false,
    Server "Server" "" false,
    ServiceRoute "Service-Route" "" true,
    SessionExpires "Session-Expires" "x" false,
    Subject "Subject" "s" false,
    SubscriptionState "Subscription-State" "" false,
    Supported "Supported" "k" true,
    Timestamp "Timestamp" "" false,
    To "To" "t" false,
    Unsupported "Unsupported" "" true,
    UserAgent "User-Agent" "" false,
    Via "Via" "v" true,
    Warning "Warning" "" true,
    WwwAuthenticate "WWW-Authenticate" "" false,
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool { self.as_str().eq_ignore_ascii_case(other.as_str()) }
}

impl From<&str> for Name {
    /// Long and compact names, any case.
    fn from(_text: &str) -> Name { todo!() }
}

impl From<String> for Name {
    fn from(text: String) -> Name { Name::from(text.as_str()) }
}

impl From<Name> for String {
    fn from(name: Name) -> String { name.as_str().to_owned() }
}

/// RFC 3261 §7.1: methods compare with case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Register,
    Options,
    Info,
    Prack,
    Update,
    Refer,
    Notify,
    Subscribe,
    Message,
    Publish,
    Other(String),
}

impl Method {
    pub fn as_str(&self) -> &str { todo!() }
}

impl From<&str> for Method {
    fn from(_text: &str) -> Method { todo!() }
}

impl From<String> for Method {
    fn from(text: String) -> Method { Method::from(text.as_str()) }
}

impl From<Method> for String {
    fn from(method: Method) -> String { method.as_str().to_owned() }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
}

/// `"display" <uri>;params`: From, To, Contact, Route, Record-Route, Refer-To, P-Asserted-Identity …
/// Written down as its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NameAddr {
    /// Without quotes and escapes.
    pub display: Option<String>,
    pub uri: Uri,
    pub params: Params,
}

impl NameAddr {
    pub fn new(_uri: Uri) -> NameAddr { todo!() }
    /// `None` if the text is no name-addr or addr-spec.
    pub fn parse(_text: &str) -> Option<NameAddr> { todo!() }
    pub fn tag(&self) -> Option<&str> { todo!() }
    pub fn set_tag(&mut self, _tag: &str) { todo!() }
}

impl fmt::Display for NameAddr {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result { todo!() }
}

impl TryFrom<String> for NameAddr {
    type Error = String;
    fn try_from(text: String) -> Result<NameAddr, String> {
        NameAddr::parse(&text).ok_or_else(|| format!("`{text}` is no address"))
    }
}

impl From<NameAddr> for String {
    fn from(address: NameAddr) -> String { address.to_string() }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Via {
    /// `SIP/2.0` is `None`.
    pub protocol: Option<String>,
    /// Upper case: `UDP`, `TCP`, `TLS`, `WS`, `WSS` or what was written.
    pub transport: String,
    pub host: Host,
    pub port: Option<u16>,
    pub params: Params,
}

impl Via {
    pub fn new(_transport: &str, _host: Host, _port: Option<u16>, _branch: &str) -> Via { todo!() }
    pub fn parse(_text: &str) -> Option<Via> { todo!() }
    pub fn branch(&self) -> Option<&str> { todo!() }
    pub fn received(&self) -> Option<std::net::IpAddr> { todo!() }
    /// `None`: not there. `Some(None)`: asked for. `Some(Some(port))`: filled in (RFC 3581).
    pub fn rport(&self) -> Option<Option<u16>> { todo!() }
}

impl fmt::Display for Via {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result { todo!() }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CSeq {
    /// Below 2³¹.
    pub number: u32,
    pub method: Method,
}

impl CSeq {
    pub fn parse(_text: &str) -> Option<CSeq> { todo!() }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{} {}", self.number, self.method) }
}

/// The header fields of a message in their order, unfolded, lists as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Headers(pub Vec<(Name, String)>);

/// `Contact` is a list of addresses, or `*` (only in REGISTER, RFC 3261 §10.2.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Contacts {
    Star,
    List(Vec<NameAddr>),
}

impl Headers {
    /// The first field of that name, as written.
    pub fn get(&self, _name: &Name) -> Option<&str> { todo!() }
    /// All values of that name; comma lists split where the grammar says so.
    pub fn all<'a>(&'a self, _name: &'a Name) -> impl Iterator<Item = &'a str> { std::iter::empty() }
    pub fn has(&self, _name: &Name) -> bool { todo!() }
    /// Whether a list field (`Require`, `Supported`, `Allow` …) holds this token, without case.
    pub fn lists(&self, _name: &Name, _token: &str) -> bool { todo!() }
    /// Adds a field at the end.
    pub fn push(&mut self, _name: Name, _value: impl Into<String>) { todo!() }
    /// Adds a field before all others.
    pub fn push_front(&mut self, _name: Name, _value: impl Into<String>) { todo!() }
    /// Replaces all fields of that name by one, at the place of the first (or the end).
    pub fn set(&mut self, _name: Name, _value: impl Into<String>) { todo!() }
    pub fn remove(&mut self, _name: &Name) { todo!() }

    // Typed access. `Message::parse` has checked the fields that every message has.
    pub fn top_via(&self) -> Result<Via, Misbehavior> { todo!() }
    /// Rewrites the topmost Via only.
    pub fn set_top_via(&mut self, _via: &Via) { todo!() }
    /// Removes the topmost Via only.
    pub fn remove_top_via(&mut self) { todo!() }
    pub fn vias(&self) -> Result<Vec<Via>, Misbehavior> { todo!() }
    pub fn from(&self) -> Result<NameAddr, Misbehavior> { todo!() }
    pub fn to(&self) -> Result<NameAddr, Misbehavior> { todo!() }
    /// The tag alone, without building the address.
    pub fn from_tag(&self) -> Option<&str> { todo!() }
    pub fn to_tag(&self) -> Option<&str> { todo!() }
    pub fn call_id(&self) -> Result<&str, Misbehavior> { todo!() }
    pub fn cseq(&self) -> Result<CSeq, Misbehavior> { todo!() }
    pub fn max_forwards(&self) -> Result<Option<u8>, Misbehavior> { todo!() }
    pub fn contacts(&self) -> Result<Contacts, Misbehavior> { todo!() }
    /// The first Contact, if it is an address.
    pub fn contact(&self) -> Result<Option<NameAddr>, Misbehavior> { todo!() }
    pub fn routes(&self) -> Result<Vec<NameAddr>, Misbehavior> { todo!() }
    pub fn record_routes(&self) -> Result<Vec<NameAddr>, Misbehavior> { todo!() }
    /// Seconds of `Expires`.
    pub fn expires(&self) -> Result<Option<u32>, Misbehavior> { todo!() }
    /// Seconds of `Retry-After` (comment and parameters left out).
    pub fn retry_after(&self) -> Option<u32> { todo!() }
    /// `type/subtype` in lower case, without parameters.
    pub fn content_type(&self) -> Option<String> { todo!() }
}
