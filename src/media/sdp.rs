//! Offer and answer.
use super::codec::Codec;
use super::words::{Direction, Session};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Our side of an offer or answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Local {
    /// Where we want RTP (the advertised address, not necessarily the bound one); RTCP on the next port.
    pub address: SocketAddr,
    /// What we speak, in order of preference.
    pub codecs: Vec<Codec>,
    /// `o=`: the same in one dialog, and one more for each changed description (RFC 3264 §8).
    pub session_id: u64,
    pub version: u64,
    pub direction: Direction,
    pub telephone_event: bool,
}

/// Why a description cannot be taken. All are 488 (Not Acceptable Here), except `Malformed`, which is 400.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// Not SDP; a sentence where.
    Malformed(String),
    /// No audio stream that is not rejected.
    NoAudio,
    /// Audio only with a profile other than RTP/AVP.
    Profile(String),
    /// No codec in common.
    NoCodec,
    /// No literal unicast address of our family.
    Address(String),
}

/// An offer of one audio stream.
pub fn offer(_local: &Local) -> Vec<u8> {
    unimplemented!()
}

/// Our answer to an offer, and what it means. `local.direction` is what we are willing to do at most.
pub fn answer(_offer: &[u8], _local: &Local) -> Result<(Vec<u8>, Session), Refusal> {
    unimplemented!()
}

/// What the peer's answer to our offer means.
pub fn accept(_our_offer: &[u8], _answer: &[u8]) -> Result<Session, Refusal> {
    unimplemented!()
}
