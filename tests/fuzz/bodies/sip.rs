//! One input for the SIP parser, the framer of streams, and everything that a machine asks of a message.

use tierline::sip::digest::{Challenge, Credentials};
use tierline::sip::frame::{Frame, Framer, Limits};
use tierline::sip::header::{Name, NameAddr, Via};
use tierline::sip::message::{Message, Misbehavior};
use tierline::sip::uri::Uri;

/// Wide enough for what is written again: quoting and escaping make it longer.
const WIDE: Limits = Limits { message_bytes: 1 << 20, headers: 4_096, header_bytes: 65_535, uri_bytes: 8_192 };

/// Reads the input as a message and as a stream; what was wrong with the message.
pub fn run(bytes: &[u8]) -> Result<(), Misbehavior> {
    stream(bytes);
    match Message::parse(bytes, &Limits::default()) {
        Ok(message) => {
            exercise(&message);
            Ok(())
        }
        Err(refusal) => {
            refusal.answer.iter().for_each(|answer| drop(answer.to_bytes()));
            Err(refusal.why)
        }
    }
}

/// Everything a machine may ask of a message; what is written must read back as the same.
fn exercise(message: &Message) {
    let bytes = message.to_bytes();
    let again = Message::parse(&bytes, &WIDE);
    assert_eq!(again.as_ref(), Ok(message), "{}", String::from_utf8_lossy(&bytes));
    let headers = message.headers();
    for address in [headers.from(), headers.to()] {
        let address = address.expect("parse has checked it");
        assert_eq!(NameAddr::parse(&address.to_string()).as_ref(), Some(&address));
        assert!(address.uri.equivalent(&address.uri), "{}", address.uri);
        assert_eq!(Uri::parse(&address.uri.to_string()), Ok(address.uri));
    }
    let via = headers.top_via().expect("parse has checked it");
    assert_eq!(Via::parse(&via.to_string()), Some(via));
    assert_eq!(headers.from().unwrap().tag(), headers.from_tag());
    let _ = (headers.vias(), headers.contacts(), headers.routes(), headers.record_routes());
    let _ = (headers.expires(), headers.retry_after(), headers.content_type());
    for value in headers.all(&Name::Authorization) {
        Credentials::parse(value).iter().for_each(|c| assert_eq!(Credentials::parse(&c.to_string()).as_ref(), Ok(c)));
    }
    for value in headers.all(&Name::WwwAuthenticate) {
        Challenge::parse(value).iter().for_each(|c| assert_eq!(Challenge::parse(&c.to_string()).as_ref(), Ok(c)));
    }
}

/// The same bytes as a stream that comes in pieces: each frame is one that was sent.
fn stream(bytes: &[u8]) {
    let mut framer = Framer::new(Limits::default());
    let piece = 1 + bytes.len() % 97;
    for piece in bytes.chunks(piece) {
        framer.push(piece);
        loop {
            match framer.poll() {
                Ok(Some(Frame::Message(message))) => assert!(!message.is_empty() && message.len() <= bytes.len()),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return, // the connection is closed
            }
        }
    }
}
