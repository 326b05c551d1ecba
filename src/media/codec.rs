//! What audio is written in: G.711 and G.722, by one way into samples and one back.
//!
//! All three write one byte for each tick of the RTP clock, which is 8 kHz for G.722 too (RFC 3551 §4.5.2): a payload's
//! length is its duration.
//!
//! Left out: Opus.

mod g711;
mod g722;

use super::resample::Halver;
pub use g711::Law;
use serde::{Deserialize, Serialize};

/// Bytes, and ticks of the clock, in 20 ms; samples too at 8 kHz.
pub const FRAME: usize = 160;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Codec {
    /// G.711 µ-law, static payload type 0.
    Pcmu,
    /// G.711 A-law, static payload type 8.
    Pcma,
    /// G.722 at 64 kbit/s, static payload type 9: 16,000 samples/s.
    G722,
}

impl Codec {
    pub const ALL: [Codec; 3] = [Codec::Pcmu, Codec::Pcma, Codec::G722];

    /// The number of RFC 3551 §6.
    pub fn static_payload(self) -> u8 {
        match self {
            Codec::Pcmu => 0,
            Codec::Pcma => 8,
            Codec::G722 => 9,
        }
    }

    /// The encoding name in `a=rtpmap`.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
            Codec::G722 => "G722",
        }
    }

    pub fn named(name: &str) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| name.eq_ignore_ascii_case(codec.name()))
    }

    /// If it is one of G.711.
    pub fn law(self) -> Option<Law> {
        match self {
            Codec::Pcmu => Some(Law::Mu),
            Codec::Pcma => Some(Law::A),
            Codec::G722 => None,
        }
    }

    /// Samples for each tick of the clock.
    pub fn samples_per_tick(self) -> usize {
        if self == Codec::G722 { 2 } else { 1 }
    }

    /// Whether bytes of it become bytes of the other one by themselves, one by one.
    pub fn maps_to(self, other: Codec) -> bool {
        self == other || (self.law().is_some() && other.law().is_some())
    }
}

/// Bytes into samples at the codec's own rate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Decoder {
    Law(Law),
    G722(Box<g722::Decoder>),
}

impl Decoder {
    pub fn new(codec: Codec) -> Decoder {
        codec.law().map_or_else(|| Decoder::G722(Box::default()), Decoder::Law)
    }

    /// Appends the samples.
    pub fn decode(&mut self, bytes: &[u8], samples: &mut Vec<i16>) {
        match self {
            Decoder::Law(law) => samples.extend(bytes.iter().map(|byte| law.decode(*byte))),
            Decoder::G722(decoder) => decoder.decode(bytes, samples),
        }
    }
}

/// Samples at the codec's own rate into bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoder {
    Law(Law),
    G722(Box<g722::Encoder>),
}

impl Encoder {
    pub fn new(codec: Codec) -> Encoder {
        codec.law().map_or_else(|| Encoder::G722(Box::default()), Encoder::Law)
    }

    /// Appends the bytes.
    pub fn encode(&mut self, samples: &[i16], bytes: &mut Vec<u8>) {
        match self {
            Encoder::Law(law) => bytes.extend(samples.iter().map(|sample| law.encode(*sample))),
            Encoder::G722(encoder) => encoder.encode(samples, bytes),
        }
    }
}

/// Hears any codec at 8 kHz: a sample for each byte.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Ear {
    wide: Option<Box<(g722::Decoder, Halver)>>,
}

impl Ear {
    /// Appends the samples.
    pub fn hear(&mut self, codec: Codec, bytes: &[u8], samples: &mut Vec<i16>) {
        if let Some(law) = codec.law() {
            return samples.extend(bytes.iter().map(|byte| law.decode(*byte)));
        }
        let (decoder, halver) = &mut **self.wide.get_or_insert_with(Box::default);
        let mut wide = Vec::with_capacity(2 * bytes.len());
        decoder.decode(bytes, &mut wide);
        halver.halve(&wide, samples);
    }
}

#[cfg(test)]
mod tests;
