//! Requests and responses, from bytes and to bytes.
use super::frame::Limits;
use super::header::{Headers, Method};
use super::uri::Uri;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a peer did wrong on the wire. Each has one status ([`Misbehavior::status`]) and one name for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Misbehavior {
    StartLine,
    Uri,
}

impl Misbehavior {
    /// The status that answers a request with this fault: 400, 401, 413, 414, 416, 505, 513.
    pub fn status(self) -> u16 { todo!() }
    /// One sentence, for reason phrases and logs.
    pub fn sentence(self) -> &'static str { todo!() }
    /// `snake_case`, for metrics.
    pub fn name(self) -> &'static str { todo!() }
}

impl fmt::Display for Misbehavior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.sentence()) }
}

impl std::error::Error for Misbehavior {}

/// Why a message was not read, and what is needed to answer it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub why: Misbehavior,
    /// Only of requests other than ACK whose Via, From, To, Call-ID and CSeq could be read: the answer,
    /// without a To tag, and with the top Via as it came (`received` and `rport` still to be set).
    pub answer: Option<Box<Response>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub method: Method,
    pub uri: Uri,
    /// Without Content-Length, which follows from the body.
    pub headers: Headers,
    pub body: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// 100 … 699.
    pub status: u16,
    pub reason: String,
    /// Without Content-Length, which follows from the body.
    pub headers: Headers,
    pub body: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    Request(Request),
    Response(Response),
}

impl Message {
    /// Reads one message (a datagram, or a frame of a stream).
    pub fn parse(_bytes: &[u8], _limits: &Limits) -> Result<Message, Refusal> { todo!() }
    pub fn to_bytes(&self) -> Vec<u8> { todo!() }
    pub fn headers(&self) -> &Headers { todo!() }
}

impl Request {
    pub fn new(_method: Method, _uri: Uri) -> Request { todo!() }
    pub fn to_bytes(&self) -> Vec<u8> { todo!() }
}

impl Response {
    /// RFC 3261 §8.2.6: Via, From, To, Call-ID, CSeq copied, Timestamp too for a 100. An empty `reason` means
    /// the usual one. `to_tag` is added to a To without tag.
    pub fn to_request(_request: &Request, _status: u16, _to_tag: Option<&str>) -> Response { todo!() }
    pub fn to_bytes(&self) -> Vec<u8> { todo!() }
}

/// The usual reason phrase (RFC 3261 §21 and later ones).
pub fn reason_phrase(_status: u16) -> &'static str { todo!() }
