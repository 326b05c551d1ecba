//! Requests and responses, from bytes and to bytes (RFC 3261 §7, §18.3, §25).
//!
//! [`Message::parse`] reads one message and checks the fields that every machine needs, so that nothing
//! malformed goes further. What it refuses it names ([`Misbehavior`]) and, for requests, carries the answer
//! (§8.2.6.2, RFC 4475). A request that is well formed but not for us (unknown method, extension, body type,
//! no hops left) is read; the endpoint answers it. Responses without sense are dropped (§18.1.2).
//! Bodies are bytes; multipart is left out.
//!
//! Why not `rsip`: its parser loses compact names, all Vias of a line but the first, and the cut at Content-Length; it
//! refuses much that RFC 4475 allows, and says of no message what is wrong with it, so that 400, 405, 416, 501, 505 and
//! 513 could not be told apart. Nor is its vocabulary ours: its methods ignore case (§7.1 does not) and know no others,
//! its status codes have no phrases, its algorithms misspell SHA-256, its transports give WS the port of HTTP, and
//! nothing of it can be written down (serde) or ordered. What it is right for is reading clean messages: it is the
//! second reader of everything that our endpoints say to each other in tests (`tests/mod.rs`).

use super::frame::{Limits, Lines, agreed_length, split_field, unfold, unfold_text};
use super::grammar::{is_token, split_at};
use super::header::{CSeq, Headers, Method, Name};
pub use super::status::{Misbehavior, reason_phrase};
use super::text::{has_line_end, put_number};
use super::uri::{Scheme, Uri};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Why a message was not read, and what answers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub why: Misbehavior,
    /// Only for requests other than ACK with a readable Via: the answer, with those of From, To, Call-ID and CSeq
    /// that came, without a To tag, and with the top Via as it came (`received` and `rport` still to be set).
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
    /// For people only; may be empty.
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
    /// Reads one message (a datagram, or a frame of a stream). Bytes after the body are left out.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Message, Refusal> {
        let too_long = bytes.len() > limits.message_bytes;
        let bytes = skip_line_ends(bytes);
        // Nearly all are: then the lines need not be looked at one by one.
        let text = std::str::from_utf8(bytes).ok();
        let mut lines = Lines::new(bytes);
        let start = lines.next().and_then(|line| unfold_start(&bytes[line]));
        let start = match start {
            Some(text) => read_start(text, limits),
            None => Start::Broken(None, Misbehavior::StartLine),
        };
        let room = Headers::with_bytes(bytes.len().min(MOST_ROOM));
        let mut reading = Reading { headers: room, length: None, fault: None };
        let mut before = 0;
        while let Some(line) = lines.next() {
            if before == limits.headers {
                reading.fault(Misbehavior::TooManyHeaderFields);
                break;
            }
            before += 1;
            match text {
                _ if line.len() > limits.header_bytes => reading.fault(Misbehavior::HeaderFieldTooLong),
                Some(text) => reading.line(&text[line], lines.plain()),
                None => reading.bytes(&bytes[line]),
            }
        }
        if too_long {
            reading.fault(Misbehavior::MessageTooLong);
        }
        let body = reading.body(lines.body());
        reading.finish(start, body)
    }

    /// The bytes for the wire. Line ends inside values become spaces.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Message::Request(request) => request.to_bytes(),
            Message::Response(response) => response.to_bytes(),
        }
    }

    pub fn headers(&self) -> &Headers {
        match self {
            Message::Request(request) => &request.headers,
            Message::Response(response) => &response.headers,
        }
    }
}

/// RFC 3261 §7.5: line ends before the start line are ignored.
fn skip_line_ends(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(bytes.len());
    &bytes[start..]
}

/// A start line has no folds; a response's reason may be in any character set.
fn unfold_start(line: &[u8]) -> Option<Cow<'_, str>> {
    (!has_line_end(line)).then(|| String::from_utf8_lossy(line))
}

enum Start {
    Request(Method, Uri),
    Response(u16, String),
    /// The method, if it is a request's start line.
    Broken(Option<Method>, Misbehavior),
}

fn read_start(line: Cow<'_, str>, limits: &Limits) -> Start {
    if line.get(..4).is_some_and(|s| s.eq_ignore_ascii_case("SIP/")) {
        return read_status_line(&line);
    }
    // RFC 3261 §7.1: exactly one space between the three, and none elsewhere.
    let parts = split_at(&line, b' ').and_then(|(method, rest)| Some((method, split_at(rest, b' ')?)));
    let Some((method, (uri, rest))) = parts.filter(|(method, _)| is_token(method)) else {
        return Start::Broken(None, Misbehavior::StartLine);
    };
    let method = Method::from(method);
    let version = rest.rsplit_once(' ').map_or(rest, |(_, version)| version);
    let why = match version.split_at_checked(4) {
        Some((sip, number)) if sip.eq_ignore_ascii_case("SIP/") => match Uri::parse(uri) {
            _ if number != "2.0" => Misbehavior::Version,
            _ if version.len() < rest.len() => Misbehavior::StartLine,
            _ if uri.len() > limits.uri_bytes => Misbehavior::UriTooLong,
            Err(why) => why,
            Ok(Uri { scheme: Scheme::Other(_), .. }) => Misbehavior::UriScheme,
            Ok(uri) if !uri.headers.is_empty() => Misbehavior::UriHeaders,
            Ok(uri) => return Start::Request(method, uri),
        },
        _ => Misbehavior::StartLine,
    };
    Start::Broken(Some(method), why)
}

fn read_status_line(line: &str) -> Start {
    // Some peers leave out the space before an empty reason.
    let (version, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (status, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        return Start::Broken(None, Misbehavior::Version);
    }
    let digits = status.len() == 3 && status.bytes().all(|b| b.is_ascii_digit());
    match status.parse() {
        Ok(status @ 100..=699) if digits => Start::Response(status, reason.to_owned()),
        _ => Start::Broken(None, Misbehavior::Status),
    }
}

/// Bytes that are set aside for a message's fields at most before they have been read.
const MOST_ROOM: usize = 2_048;

/// A message while it is read: it goes on after a fault, for the sake of the answer.
struct Reading {
    headers: Headers,
    length: Option<usize>,
    /// The first fault.
    fault: Option<Misbehavior>,
}

impl Reading {
    fn fault(&mut self, why: Misbehavior) {
        self.fault.get_or_insert(why);
    }

    /// `plain`: it has no line ends in it.
    fn line(&mut self, line: &str, plain: bool) {
        let Some((name, value)) = split_at(line, b':') else { return self.fault(Misbehavior::HeaderField) };
        let value = if plain { (value.trim_ascii().into(), true) } else { unfold_text(value) };
        self.field(name.trim_ascii_end(), value);
    }

    /// A line of a message that is not UTF-8 as a whole.
    fn bytes(&mut self, line: &[u8]) {
        let field = split_field(line).and_then(|(name, value)| Some((std::str::from_utf8(name).ok()?, value)));
        match field {
            Some((name, value)) => self.field(name, unfold(value)),
            None => self.fault(Misbehavior::HeaderField),
        }
    }

    fn field(&mut self, name: &str, (value, clean): (Cow<'_, str>, bool)) {
        let name = Name::from(name);
        if matches!(&name, Name::Other(text) if !is_token(text)) {
            return self.fault(Misbehavior::HeaderField);
        }
        if !clean {
            self.fault(Misbehavior::HeaderText);
        }
        match name {
            Name::ContentLength => match agreed_length(self.length, &value) {
                Ok(length) => self.length = Some(length),
                Err(why) => self.fault(why),
            },
            name => self.headers.push(name, value),
        }
    }

    /// The body: what Content-Length says, or all that is left (RFC 3261 §18.3).
    fn body(&mut self, rest: Option<&[u8]>) -> Vec<u8> {
        let Some(rest) = rest else {
            self.fault(Misbehavior::HeaderEnd);
            return Vec::new();
        };
        let length = self.length.unwrap_or(rest.len());
        if length > rest.len() {
            self.fault(Misbehavior::BodyTooShort);
        }
        rest[..length.min(rest.len())].to_vec()
    }

    fn finish(self, start: Start, body: Vec<u8>) -> Result<Message, Refusal> {
        let headers = self.headers;
        let fault = match (&start, self.fault) {
            (Start::Broken(_, why), _) => Some(*why),
            (_, Some(why)) => Some(why),
            (Start::Request(method, _), None) => check_request(&headers, method).err(),
            (Start::Response(..), None) => check_common(&headers).err(),
        };
        match (start, fault) {
            (Start::Request(method, uri), None) => Ok(Message::Request(Request { method, uri, headers, body })),
            (Start::Response(status, reason), None) => {
                Ok(Message::Response(Response { status, reason, headers, body }))
            }
            (Start::Request(method, _) | Start::Broken(Some(method), _), Some(why)) => {
                Err(Refusal { why, answer: answer(&method, &headers, why) })
            }
            (_, why) => Err(Refusal { why: why.unwrap_or(Misbehavior::StartLine), answer: None }),
        }
    }
}

fn answer(method: &Method, headers: &Headers, why: Misbehavior) -> Option<Box<Response>> {
    if *method == Method::Ack || headers.top_via().is_err() {
        return None;
    }
    let mut response = Response::with_headers_of(headers, why.status(), None);
    response.reason = why.sentence().to_owned();
    Some(Box::new(response))
}

/// RFC 3261 §8.1.1: what every message has, once. Returns what has been read on the way.
fn check_common(headers: &Headers) -> Result<CSeq, Misbehavior> {
    let mut seen = 0u8;
    for (name, _) in headers.iter() {
        let bit = match name {
            Name::From => 1,
            Name::To => 2,
            Name::CallId => 4,
            Name::CSeq => 8,
            Name::MaxForwards => 16,
            _ => 0,
        };
        if seen & bit != 0 {
            return Err(Misbehavior::Repeated);
        }
        seen |= bit;
    }
    headers.check_top_via()?;
    headers.check_parties()?;
    headers.call_id()?;
    headers.cseq()
}

/// Also what a user agent reads in requests. (In responses a bad Contact must not cost a call: it is found later.)
fn check_request(headers: &Headers, method: &Method) -> Result<(), Misbehavior> {
    let cseq = check_common(headers)?;
    // RFC 4475 §3.1.2.18: an unknown method is answered as such, whatever CSeq says.
    if !matches!(method, Method::Other(_)) && cseq.method != *method {
        return Err(Misbehavior::CSeqMethod);
    }
    headers.max_forwards()?;
    headers.check_addresses()
}

impl Request {
    pub fn new(method: Method, uri: Uri) -> Request {
        Request { method, uri, headers: Headers::with_room(), body: Vec::new() }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut start = String::with_capacity(START_LINE);
        start.push_str(self.method.as_str());
        start.push(' ');
        self.uri.put(&mut start);
        start.push_str(" SIP/2.0");
        write(&start, &self.headers, &self.body)
    }
}

impl Response {
    /// RFC 3261 §8.2.6: Via, From, To, Call-ID and CSeq are copied, Timestamp too for a 100. `to_tag` is added to a
    /// To without tag. The reason is the usual one.
    pub fn to_request(request: &Request, status: u16, to_tag: Option<&str>) -> Response {
        Response::with_headers_of(&request.headers, status, to_tag)
    }

    fn with_headers_of(request: &Headers, status: u16, to_tag: Option<&str>) -> Response {
        let mut headers = Headers::with_room();
        let tagged = request.to_tag().is_some();
        for (name, value) in request.iter() {
            match name {
                Name::To if !tagged => {
                    let tag = to_tag.map_or([""; 2], |tag| [";tag=", tag]);
                    headers.push(Name::To, [value, tag[0], tag[1]].concat());
                }
                Name::Via | Name::From | Name::To | Name::CallId | Name::CSeq => headers.push(name.clone(), value),
                Name::Timestamp if status == 100 => headers.push(Name::Timestamp, value),
                _ => {}
            }
        }
        Response { status, reason: reason_phrase(status).to_owned(), headers, body: Vec::new() }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut start = String::with_capacity(START_LINE);
        start.push_str("SIP/2.0 ");
        put_number(&mut start, self.status.into());
        start.push(' ');
        start.push_str(&one_line(&self.reason));
        write(&start, &self.headers, &self.body)
    }
}

/// Bytes that a start line needs at most, usually.
const START_LINE: usize = 128;

fn write(start: &str, headers: &Headers, body: &[u8]) -> Vec<u8> {
    let fields = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>();
    let mut out = String::with_capacity(start.len() + fields + body.len() + 32);
    out.push_str(start);
    out.push_str("\r\n");
    let clean = headers.are_of_one_line();
    for (name, value) in headers.iter() {
        out.push_str(name.as_str());
        out.push_str(": ");
        match clean {
            true => out.push_str(value),
            false => out.push_str(&one_line(value)),
        }
        out.push_str("\r\n");
    }
    out.push_str("Content-Length: ");
    put_number(&mut out, u32::try_from(body.len()).expect("a body below 4 GiB"));
    out.push_str("\r\n\r\n");
    let mut out = out.into_bytes();
    out.extend_from_slice(body);
    out
}

/// A value that says more than one line would be a header of somebody else's making.
fn one_line(text: &str) -> Cow<'_, str> {
    match has_line_end(text.as_bytes()) {
        true => text.replace(['\r', '\n'], " ").into(),
        false => text.into(),
    }
}
