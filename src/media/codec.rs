//! G.711, both laws, as tables (RFC 3551 §4.5.14; the arithmetic is that of ITU-T G.191 `g711.c`).
//!
//! Left out: G.722 and Opus, which need state per leg.

use serde::{Deserialize, Serialize};

/// Samples, and bytes of G.711, in 20 ms at 8 kHz.
pub const FRAME: usize = 160;

/// What audio is written in. 8,000 samples/s, one byte each, 160 bytes in 20 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Codec {
    /// G.711 µ-law, static payload type 0.
    Pcmu,
    /// G.711 A-law, static payload type 8.
    Pcma,
}

impl Codec {
    pub const ALL: [Codec; 2] = [Codec::Pcmu, Codec::Pcma];

    /// The number of RFC 3551 §6.
    pub fn static_payload(self) -> u8 {
        match self {
            Codec::Pcmu => 0,
            Codec::Pcma => 8,
        }
    }

    /// The encoding name in `a=rtpmap`.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
        }
    }

    /// The byte that decodes to (almost) zero.
    pub fn silence(self) -> u8 {
        match self {
            Codec::Pcmu => 0xff,
            Codec::Pcma => 0xd5,
        }
    }

    pub fn encode(self, sample: i16) -> u8 {
        match self {
            Codec::Pcmu => ulaw(sample),
            Codec::Pcma => alaw(sample),
        }
    }

    pub fn decode(self, byte: u8) -> i16 {
        match self {
            Codec::Pcmu => FROM_ULAW[byte as usize],
            Codec::Pcma => FROM_ALAW[byte as usize],
        }
    }

    /// Rewrites bytes of this codec in place as bytes of the other one.
    pub fn convert(self, to: Codec, bytes: &mut [u8]) {
        let table = match (self, to) {
            (Codec::Pcmu, Codec::Pcma) => &ULAW_TO_ALAW,
            (Codec::Pcma, Codec::Pcmu) => &ALAW_TO_ULAW,
            _ => return,
        };
        bytes.iter_mut().for_each(|b| *b = table[*b as usize]);
    }
}

static FROM_ULAW: [i16; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = from_ulaw(i as u8);
        i += 1;
    }
    table
};

static FROM_ALAW: [i16; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = from_alaw(i as u8);
        i += 1;
    }
    table
};

static ULAW_TO_ALAW: [u8; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = alaw(from_ulaw(i as u8));
        i += 1;
    }
    table
};

static ALAW_TO_ULAW: [u8; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = ulaw(from_alaw(i as u8));
        i += 1;
    }
    table
};

/// Negative samples are mirrored by one's complement, so that both signs cover the same number of values.
const fn magnitude(sample: i16) -> u16 {
    (if sample < 0 { !sample } else { sample }) as u16
}

const fn ulaw(sample: i16) -> u8 {
    let biased = (magnitude(sample) >> 2) + 33;
    let biased = if biased > 0x1fff { 0x1fff } else { biased };
    let segment = (16 - (biased >> 6).leading_zeros() + 1) as u8;
    let byte = ((8 - segment) << 4) | (0xf - (biased >> segment & 0xf) as u8);
    if sample < 0 { byte } else { byte | 0x80 }
}

const fn alaw(sample: i16) -> u8 {
    let m = magnitude(sample) >> 4;
    let byte = if m < 32 {
        m as u8
    } else {
        let shift = 16 - m.leading_zeros() - 5;
        (((shift + 1) as u8) << 4) | (m >> shift & 0xf) as u8
    };
    (if sample < 0 { byte } else { byte | 0x80 }) ^ 0x55
}

const fn from_ulaw(byte: u8) -> i16 {
    let b = !byte;
    let m = (((((b & 0xf) as i16) << 3) + 0x84) << ((b >> 4) & 7)) - 0x84;
    if b & 0x80 != 0 { -m } else { m }
}

const fn from_alaw(byte: u8) -> i16 {
    let b = byte ^ 0x55;
    let (segment, step) = ((b >> 4) & 7, ((b & 0xf) as i16) << 4);
    let m = if segment == 0 { step + 8 } else { (step + 0x108) << (segment - 1) };
    if b & 0x80 != 0 { m } else { -m }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_recommendation() {
        // G.711 tables 1a and 2a: decoder output values, scaled from 13 and 14 bits to 16.
        let rows: [(Codec, u8, i16); 12] = [
            (Codec::Pcmu, 0x80, 8031 * 4),
            (Codec::Pcmu, 0x8f, 4191 * 4),
            (Codec::Pcmu, 0xff, 0),
            (Codec::Pcmu, 0xfe, 2 * 4),
            (Codec::Pcmu, 0x7e, -2 * 4),
            (Codec::Pcmu, 0x00, -8031 * 4),
            (Codec::Pcma, 0xaa, 4032 * 8),
            (Codec::Pcma, 0xd5, 8),
            (Codec::Pcma, 0x55, -8),
            (Codec::Pcma, 0xd4, 3 * 8),
            (Codec::Pcma, 0x2a, -4032 * 8),
            (Codec::Pcma, 0xc5, 33 * 8),
        ];
        for (codec, byte, sample) in rows {
            assert_eq!(codec.decode(byte), sample, "{codec:?} {byte:#x}");
        }
    }

    #[test]
    fn each_byte_survives_a_round_trip() {
        for codec in Codec::ALL {
            for byte in 0..=255u8 {
                let back = codec.encode(codec.decode(byte));
                let expect = if (codec, byte) == (Codec::Pcmu, 0x7f) { 0xff } else { byte }; // −0 is 0
                assert_eq!(back, expect, "{codec:?} {byte:#x}");
            }
        }
    }

    #[test]
    fn each_sample_is_encoded_to_within_half_a_step() {
        for codec in Codec::ALL {
            for sample in i16::MIN..=i16::MAX {
                let error = (i32::from(codec.decode(codec.encode(sample))) - i32::from(sample)).abs();
                // The step doubles with each segment: 1/16 of the segment's start, at least the first step.
                let (bias, first, clip) = if codec == Codec::Pcmu { (132, 8, 32_124) } else { (0, 16, 32_256) };
                let size = i32::from(sample).abs().min(clip);
                let allowed = ((size + bias) / 16).max(first) / 2 + 4 + (i32::from(sample).abs() - size);
                assert!(error <= allowed, "{codec:?} {sample}: {error} > {allowed}");
            }
        }
    }

    #[test]
    fn conversion_is_decoding_and_encoding() {
        for (from, to) in [(Codec::Pcmu, Codec::Pcma), (Codec::Pcma, Codec::Pcmu), (Codec::Pcma, Codec::Pcma)] {
            for byte in 0..=255u8 {
                let mut converted = [byte];
                from.convert(to, &mut converted);
                let expect = if from == to { byte } else { to.encode(from.decode(byte)) };
                assert_eq!(converted[0], expect, "{from:?} {to:?} {byte:#x}");
            }
        }
    }

    #[test]
    fn silence_is_silent() {
        assert!(Codec::ALL.iter().all(|c| c.decode(c.silence()).abs() <= 8));
    }
}
