//! Where one message ends and the next begins: framing of streams (RFC 3261 §18.3), keepalives
//! (RFC 5626 §3.5.1), and the cutting of a message into its header lines (§7.3.1 folding).
//!
//! [`Framer`] is fed whatever a stream's reads return and gives whole messages; its memory is bounded by
//! [`Limits`]. After an error the stream's framing is lost and the connection must be closed
//! (RFC 4475 §3.1.2.3). A datagram is one message already and needs only [`is_keepalive`].
//! Compression (RFC 3486) is left out.

use super::message::Misbehavior;
use super::text::has_line_end;
use memchr::{memchr, memchr2};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::ops::Range;

/// What one message may cost before it is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of a whole message, body included: 512 … 1,048,576, default 65,535.
    pub message_bytes: usize,
    /// Header fields of a message: 16 … 4,096, default 256.
    pub headers: usize,
    /// Bytes of one header field with its name and folds: 256 … 65,535, default 8,192.
    pub header_bytes: usize,
    /// Bytes of a request URI: 64 … 8,192, default 1,024.
    pub uri_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { message_bytes: 65_535, headers: 256, header_bytes: 8_192, uri_bytes: 1_024 }
    }
}

/// What a stream carries between two boundaries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frame {
    /// Two line ends: the peer asks whether we are alive; the answer is [`PONG`].
    Ping,
    /// One line end: the answer to our ping.
    Pong,
    /// One whole message, for `Message::parse`.
    Message(Vec<u8>),
}

/// What answers a [`Frame::Ping`].
pub const PONG: &[u8] = b"\r\n";

/// Whether a datagram holds nothing but line ends or NULs: a keepalive, to be ignored.
pub fn is_keepalive(datagram: &[u8]) -> bool {
    datagram.iter().all(|b| matches!(b, b'\r' | b'\n' | 0))
}

/// Cuts the bytes of one stream into frames.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Framer {
    limits: Limits,
    buffer: Vec<u8>,
    /// Where the frame at the front begins; what is before it goes with the next push.
    start: usize,
    /// Bytes of that frame that hold no end of a header, so that a slow peer costs no second scan.
    scanned: usize,
    /// The length of the message at the front, once its header has been read.
    length: Option<usize>,
}

impl Framer {
    pub fn new(limits: Limits) -> Framer {
        Framer { limits, buffer: Vec::new(), start: 0, scanned: 0, length: None }
    }

    /// Takes what a read returned. Call [`Framer::poll`] until it returns `None` before the next read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame. An error means that the connection must be closed.
    pub fn poll(&mut self) -> Result<Option<Frame>, Misbehavior> {
        if self.length.is_none() {
            if let Some(frame) = self.take_line_ends() {
                return Ok(Some(frame));
            }
            self.length = self.find_length()?;
        }
        match self.length {
            Some(length) if self.front().len() >= length => {
                let message = self.front()[..length].to_vec();
                self.advance(length);
                Ok(Some(Frame::Message(message)))
            }
            _ => Ok(None),
        }
    }

    /// Whether a message has begun and not ended: the time limit on half a message starts here.
    pub fn is_inside_message(&self) -> bool {
        !self.front().is_empty()
    }

    fn front(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    fn advance(&mut self, bytes: usize) {
        self.start += bytes;
        self.scanned = 0;
        self.length = None;
    }

    fn take_line_ends(&mut self) -> Option<Frame> {
        let (frame, bytes) = match self.front() {
            [b'\r', b'\n', b'\r', b'\n', ..] => (Frame::Ping, 4),
            // A lone CR may become the second half of a ping.
            [b'\r', b'\n', b'\r'] => return None,
            [b'\r', b'\n', ..] => (Frame::Pong, 2),
            _ => return None,
        };
        self.advance(bytes);
        Some(frame)
    }

    fn find_length(&mut self) -> Result<Option<usize>, Misbehavior> {
        let front = &self.buffer[self.start..];
        let Some(header) = header_end(front, self.scanned) else {
            // An end may be split over two reads: look again at the last three bytes.
            self.scanned = front.len().saturating_sub(3);
            let too_long = front.len() > self.limits.message_bytes;
            return if too_long { Err(Misbehavior::MessageTooLong) } else { Ok(None) };
        };
        // RFC 3261 §20.14: on a stream the length must be said.
        let body = content_length(&front[..header])?.ok_or(Misbehavior::ContentLength)?;
        match header.checked_add(body) {
            Some(length) if length <= self.limits.message_bytes => Ok(Some(length)),
            _ => Err(Misbehavior::MessageTooLong),
        }
    }
}

/// The index after the empty line that ends a header, searching from `from`.
fn header_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(found) = memchr(b'\n', &bytes[at..]) {
        at += found + 1;
        match &bytes[at..] {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
    None
}

fn content_length(header: &[u8]) -> Result<Option<usize>, Misbehavior> {
    let mut lines = Lines::new(header);
    lines.next();
    let mut length = None;
    for line in lines {
        let Some((name, value)) = split_field(&header[line]) else { continue };
        if name.eq_ignore_ascii_case(b"Content-Length") || name.eq_ignore_ascii_case(b"l") {
            length = Some(agreed_length(length, &unfold(value).0)?);
        }
    }
    Ok(length)
}

/// A `Content-Length` that must not contradict an earlier one (RFC 4475 §3.3.9).
pub(super) fn agreed_length(earlier: Option<usize>, value: &str) -> Result<usize, Misbehavior> {
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    match value.parse() {
        Ok(length) if digits && earlier.is_none_or(|e| e == length) => Ok(length),
        _ => Err(Misbehavior::ContentLength),
    }
}

/// The lines of a header, folded ones as one, up to the empty line. Line ends are CRLF; a bare LF is accepted.
pub(super) struct Lines<'a> {
    message: &'a [u8],
    /// Where the next line begins.
    at: usize,
    /// Whether the empty line was seen; the body begins at `at` then.
    ended: bool,
    /// Whether the last line has no line ends in it, neither folds nor a carriage return by itself.
    plain: bool,
}

impl<'a> Lines<'a> {
    pub(super) fn new(message: &'a [u8]) -> Lines<'a> {
        Lines { message, at: 0, ended: false, plain: true }
    }

    /// Whether the line that came last has no line ends in it.
    pub(super) fn plain(&self) -> bool {
        self.plain
    }

    /// What follows the empty line; `None` if there was none.
    pub(super) fn body(self) -> Option<&'a [u8]> {
        self.ended.then_some(&self.message[self.at..])
    }
}

/// Where each line stands in the message, its end left out.
impl Iterator for Lines<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        if self.ended {
            return None;
        }
        let (start, mut end) = (self.at, self.at);
        self.plain = true;
        loop {
            end += memchr2(b'\r', b'\n', &self.message[end..])?;
            let line = start..end;
            end += 1;
            if self.message[end - 1] == b'\r' {
                if self.message.get(end) != Some(&b'\n') {
                    self.plain = false;
                    continue;
                }
                end += 1;
            }
            if line.is_empty() {
                (self.ended, self.at) = (true, end);
                return None;
            }
            // RFC 3261 §7.3.1: a line that begins with white space continues the one before.
            if !matches!(self.message.get(end), Some(b' ' | b'\t')) {
                self.at = end;
                return Some(line);
            }
            self.plain = false;
        }
    }
}

/// `name : value` → both, without the white space around them; `None` without a colon.
pub(super) fn split_field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr(b':', line)?;
    Some((line[..colon].trim_ascii_end(), &line[colon + 1..]))
}

/// A field's value as text: each fold becomes one space, the ends are trimmed. The flag says whether it is clean:
/// UTF-8 without a carriage return inside a line (which another parser might take for a line end).
pub(super) fn unfold(value: &[u8]) -> (Cow<'_, str>, bool) {
    let value = value.trim_ascii();
    if !has_line_end(value) {
        return match std::str::from_utf8(value) {
            Ok(text) => (text.into(), true),
            Err(_) => (String::from_utf8_lossy(value), false),
        };
    }
    unfold_lines(value)
}

/// [`unfold`] of what is known to be UTF-8.
pub(super) fn unfold_text(value: &str) -> (Cow<'_, str>, bool) {
    let value = value.trim_ascii();
    match has_line_end(value.as_bytes()) {
        true => unfold_lines(value.as_bytes()),
        false => (value.into(), true),
    }
}

fn unfold_lines(value: &[u8]) -> (Cow<'_, str>, bool) {
    let (mut joined, mut clean) = (String::with_capacity(value.len()), true);
    for line in value.split(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line).trim_ascii();
        clean &= !line.contains(&b'\r') && std::str::from_utf8(line).is_ok();
        if !joined.is_empty() && !line.is_empty() {
            joined.push(' ');
        }
        joined.extend(String::from_utf8_lossy(line).chars().map(|c| if c == '\r' { ' ' } else { c }));
    }
    (Cow::Owned(joined), clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str) -> Vec<u8> {
        format!("OPTIONS sip:a@b SIP/2.0\r\nFrom: x\r\nl: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    fn frames(chunks: &[&[u8]]) -> Result<Vec<Frame>, Misbehavior> {
        let mut framer = Framer::new(Limits { message_bytes: 512, ..Limits::default() });
        let mut frames = Vec::new();
        for chunk in chunks {
            framer.push(chunk);
            while let Some(frame) = framer.poll()? {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    #[test]
    fn a_stream_is_cut_the_same_wherever_it_is_split() {
        let stream = [b"\r\n\r\n".as_slice(), &message("one"), &message(""), b"\r\n", &message("three")].concat();
        let whole = frames(&[&stream]).unwrap();
        assert_eq!(whole.len(), 5);
        assert_eq!((&whole[0], &whole[3]), (&Frame::Ping, &Frame::Pong));
        assert_eq!(whole[1], Frame::Message(message("one")));
        for at in 0..=stream.len() {
            // A ping may be seen as two pongs when its halves come apart; the messages are the same.
            let split = frames(&[&stream[..at], &stream[at..]]).unwrap();
            let messages =
                |f: &[Frame]| f.iter().filter(|f| matches!(f, Frame::Message(_))).cloned().collect::<Vec<_>>();
            assert_eq!(messages(&split), messages(&whole), "split at {at}");
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(frames(&bytes).unwrap().iter().filter(|f| matches!(f, Frame::Message(_))).count(), 3);
    }

    #[test]
    fn what_cannot_be_framed_closes_the_connection() {
        let endless = vec![b'a'; 600];
        let rows: &[(&[u8], Misbehavior)] = &[
            (b"OPTIONS sip:a SIP/2.0\r\nTo: x\r\n\r\n", Misbehavior::ContentLength),
            (b"OPTIONS sip:a SIP/2.0\r\nContent-Length: -9\r\n\r\n", Misbehavior::ContentLength),
            (b"OPTIONS sip:a SIP/2.0\r\nl: 1\r\nl: 2\r\n\r\nxx", Misbehavior::ContentLength),
            (b"OPTIONS sip:a SIP/2.0\r\nl: +1\r\n\r\nx", Misbehavior::ContentLength),
            (b"OPTIONS sip:a SIP/2.0\r\nl: 18446744073709551615\r\n\r\n", Misbehavior::MessageTooLong),
            (b"OPTIONS sip:a SIP/2.0\r\nl: 500\r\n\r\n", Misbehavior::MessageTooLong),
            (&endless, Misbehavior::MessageTooLong),
        ];
        for (bytes, why) in rows {
            assert_eq!(frames(&[bytes]), Err(*why), "{}", String::from_utf8_lossy(bytes));
        }
        let folded = b"OPTIONS sip:a SIP/2.0\r\nContent-Length  :\r\n 2\r\nl: 2\r\n\r\nok";
        assert_eq!(frames(&[folded]), Ok(vec![Frame::Message(folded.to_vec())]));
    }

    #[test]
    fn datagrams_of_line_ends_are_keepalives() {
        for (datagram, expect) in [(&b""[..], true), (b"\r\n\r\n", true), (b"\0\0\0\0", true), (b"\r\nBYE", false)] {
            assert_eq!(is_keepalive(datagram), expect);
        }
    }
}
