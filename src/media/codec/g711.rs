//! G.711, both laws, as tables (RFC 3551 §4.5.14; the arithmetic is that of ITU-T G.191 `g711.c`).

use serde::{Deserialize, Serialize};

/// How 16 bits become 8. 8,000 samples/s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Law {
    Mu,
    A,
}

impl Law {
    pub const ALL: [Law; 2] = [Law::Mu, Law::A];

    /// The byte that decodes to (almost) zero.
    pub fn silence(self) -> u8 {
        match self {
            Law::Mu => 0xff,
            Law::A => 0xd5,
        }
    }

    pub fn encode(self, sample: i16) -> u8 {
        match self {
            Law::Mu => ulaw(sample),
            Law::A => alaw(sample),
        }
    }

    pub fn decode(self, byte: u8) -> i16 {
        match self {
            Law::Mu => FROM_ULAW[byte as usize],
            Law::A => FROM_ALAW[byte as usize],
        }
    }

    /// Rewrites bytes of this law in place as bytes of the other one.
    pub fn convert(self, to: Law, bytes: &mut [u8]) {
        let table = match (self, to) {
            (Law::Mu, Law::A) => &ULAW_TO_ALAW,
            (Law::A, Law::Mu) => &ALAW_TO_ULAW,
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
        let rows: [(Law, u8, i16); 12] = [
            (Law::Mu, 0x80, 8031 * 4),
            (Law::Mu, 0x8f, 4191 * 4),
            (Law::Mu, 0xff, 0),
            (Law::Mu, 0xfe, 2 * 4),
            (Law::Mu, 0x7e, -2 * 4),
            (Law::Mu, 0x00, -8031 * 4),
            (Law::A, 0xaa, 4032 * 8),
            (Law::A, 0xd5, 8),
            (Law::A, 0x55, -8),
            (Law::A, 0xd4, 3 * 8),
            (Law::A, 0x2a, -4032 * 8),
            (Law::A, 0xc5, 33 * 8),
        ];
        for (law, byte, sample) in rows {
            assert_eq!(law.decode(byte), sample, "{law:?} {byte:#x}");
        }
    }

    #[test]
    fn each_byte_survives_a_round_trip() {
        for law in Law::ALL {
            for byte in 0..=255u8 {
                let back = law.encode(law.decode(byte));
                let expect = if (law, byte) == (Law::Mu, 0x7f) { 0xff } else { byte }; // −0 is 0
                assert_eq!(back, expect, "{law:?} {byte:#x}");
            }
        }
    }

    #[test]
    fn each_sample_is_encoded_to_within_half_a_step() {
        for law in Law::ALL {
            for sample in i16::MIN..=i16::MAX {
                let error = (i32::from(law.decode(law.encode(sample))) - i32::from(sample)).abs();
                // The step doubles with each segment: 1/16 of the segment's start, at least the first step.
                let (bias, first, clip) = if law == Law::Mu { (132, 8, 32_124) } else { (0, 16, 32_256) };
                let size = i32::from(sample).abs().min(clip);
                let allowed = ((size + bias) / 16).max(first) / 2 + 4 + (i32::from(sample).abs() - size);
                assert!(error <= allowed, "{law:?} {sample}: {error} > {allowed}");
            }
        }
    }

    #[test]
    fn conversion_is_decoding_and_encoding() {
        for (from, to) in [(Law::Mu, Law::A), (Law::A, Law::Mu), (Law::A, Law::A)] {
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
        assert!(Law::ALL.iter().all(|c| c.decode(c.silence()).abs() <= 8));
    }
}
