//! SIP as the generator needs it: find a line, copy a header, put an answer together. Not a parser: it reads what
//! our own engine writes, with long names and one header per line.

use std::net::{Ipv4Addr, SocketAddrV4};

/// A message.
#[derive(Clone, Copy)]
pub struct Text<'a>(pub &'a str);

impl<'a> Text<'a> {
    /// The first line.
    pub fn line(self) -> &'a str {
        self.0.split("\r\n").next().unwrap_or("")
    }

    pub fn method(self) -> &'a str {
        self.line().split(' ').next().unwrap_or("")
    }

    pub fn is(self, method: &str) -> bool {
        self.method() == method
    }

    /// Of a response; none: a request.
    pub fn status(self) -> Option<u16> {
        self.0.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// The first value; `name` with its colon. Empty if there is none.
    pub fn header(self, name: &str) -> &'a str {
        self.headers(name).next().unwrap_or("")
    }

    fn headers(self, name: &str) -> impl Iterator<Item = &'a str> {
        let lines = self.0.split("\r\n").take_while(|line| !line.is_empty());
        lines.filter_map(move |line| line.strip_prefix(name)).map(str::trim)
    }

    /// The number that stands in a header, or in the text itself if that is given, behind `before`.
    pub fn number(self, place: &str, before: &str) -> Option<usize> {
        let text = if place.ends_with(':') { self.header(place) } else { place };
        let behind = &text[text.find(before)? + before.len()..];
        let end = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
        behind[..end].parse().ok()
    }

    /// The URI of the Contact.
    pub fn target(self) -> &'a str {
        let contact = self.header("Contact:");
        contact.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(contact, |(uri, _)| uri)
    }

    /// Where the SDP says that audio goes.
    pub fn media(self) -> Option<SocketAddrV4> {
        let (_, body) = self.0.split_once("\r\n\r\n")?;
        let line = |start: &str| body.lines().find_map(|line| line.strip_prefix(start));
        let address: Ipv4Addr = line("c=IN IP4 ")?.trim().parse().ok()?;
        Some(SocketAddrV4::new(address, line("m=audio ")?.split(' ').next()?.parse().ok()?))
    }

    /// RFC 3261 §8.2.6: an answer to this request; `tag` is added to To, `more` are whole header lines.
    pub fn answer(self, status: &str, tag: &str, more: &str, sdp: &str) -> String {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for via in self.headers("Via:") {
            text += &format!("Via: {via}\r\n");
        }
        let (from, to, call_id, cseq) =
            (self.header("From:"), self.header("To:"), self.header("Call-ID:"), self.header("CSeq:"));
        let kind = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        text += &format!(
            "From: {from}\r\nTo: {to}{tag}\r\nCall-ID: {call_id}\r\nCSeq: {cseq}\r\n{more}{kind}\
             Content-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        text
    }
}

/// An offer or an answer of G.711 µ-law. `mux`: RTCP may come to the port of RTP (RFC 5761).
pub fn sdp(media: SocketAddrV4, direction: &str, mux: bool) -> String {
    let (address, port) = (media.ip(), media.port());
    let mux = if mux { "a=rtcp-mux\r\n" } else { "" };
    format!(
        "v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n{mux}a={direction}\r\n"
    )
}
