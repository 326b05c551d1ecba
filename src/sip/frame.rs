//! Where one message ends and the next begins.
use serde::{Deserialize, Serialize};

/// What one message may cost before it is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes of a whole message, body included: 512 … 1,048,576, default 65,535.
    pub message_bytes: usize,
    /// Header fields of a message: 16 … 4,096, default 256.
    pub headers: usize,
    /// Bytes of one unfolded header field: 256 … 65,535, default 8,192.
    pub header_bytes: usize,
    /// Bytes of a request URI: 64 … 8,192, default 1,024.
    pub uri_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { message_bytes: 65_535, headers: 256, header_bytes: 8_192, uri_bytes: 1_024 }
    }
}

/// What a stream carries between two boundaries (RFC 3261 §18.3, RFC 5626 §3.5.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frame {
    /// Two line ends: the peer asks whether we are alive; the answer is [`PONG`].
    Ping,
    /// One whole message, for `Message::parse`.
    Message(Vec<u8>),
}

/// What answers a [`Frame::Ping`].
pub const PONG: &[u8] = b"\r\n";

/// Whether a datagram holds nothing but line ends or NULs: a keepalive, to be ignored.
pub fn is_keepalive(datagram: &[u8]) -> bool {
    datagram.iter().all(|b| matches!(b, b'\r' | b'\n' | 0))
}
