//! Codecs.
use serde::{Deserialize, Serialize};

/// What audio is written in. 8,000 samples/s, one byte each, 160 bytes in 20 ms (RFC 3551 §4.5.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Codec {
    /// G.711 µ-law, static payload type 0.
    Pcmu,
    /// G.711 A-law, static payload type 8.
    Pcma,
}
