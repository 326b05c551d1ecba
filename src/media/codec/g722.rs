//! G.722 at 64 kbit/s: 16,000 samples/s as two bands of ADPCM, a byte for two samples (ITU-T G.722, mode 1).
//!
//! The blocks have the Recommendation's names. All arithmetic is whole numbers, so that both ends' predictors stay in
//! step; the test vectors are another program's (spandsp 0.0.6).
//!
//! Left out: the modes of 56 and 48 kbit/s, which RTP does not use (RFC 3551 §4.5.2).

use serde::{Deserialize, Serialize};

/// Taps of the two band filters (table 4), one half; the other is its mirror.
const QMF: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];
/// Decision levels of the lower band's quantizer (table 14).
const LEVELS: [i32; 30] = [
    0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121, 1219, 1339,
    1458, 1612, 1765, 1980, 2195, 2557, 2919,
];
/// Output values of the quantizers by code: of the lower band with 6 and 4 bits, of the upper band with 2.
const LOWER_6: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360, -8576,
    -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688, -1360, -1040,
    -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456,
    4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];
const LOWER_4: [i32; 16] =
    [0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0];
const UPPER_2: [i32; 4] = [-7408, -1616, 7408, 1616];
/// Steps of the logarithmic scale factor by code.
const LOWER_STEPS: [i32; 16] = [-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60];
const UPPER_STEPS: [i32; 4] = [798, -214, 798, -214];
/// 2^(11 + n/32).
const INVERSE_LOG: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896, 2960, 3025,
    3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

fn saturated(value: i32) -> i32 {
    value.clamp(i16::MIN.into(), i16::MAX.into())
}

/// One band's quantizer scale and predictor. Index 0 of `a` and `b` is the coefficient of the newest value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Band {
    /// The signal that is predicted, and the part of it that the zeros make.
    predicted: i32,
    by_zeros: i32,
    /// The last two values of what was reconstructed, and of it without the poles' part.
    reconstructed: [i32; 2],
    partial: [i32; 2],
    /// Coefficients of the poles.
    a: [i32; 2],
    /// The last six differences, and the coefficients of the zeros.
    differences: [i32; 6],
    b: [i32; 6],
    /// The scale factor and its logarithm.
    scale: i32,
    log: i32,
}

impl Band {
    fn new(scale: i32) -> Band {
        let (two, six) = ([0; 2], [0; 6]);
        Band {
            predicted: 0,
            by_zeros: 0,
            reconstructed: two,
            partial: two,
            a: two,
            differences: six,
            b: six,
            scale,
            log: 0,
        }
    }

    /// LOGSCL and SCALEL, LOGSCH and SCALEH: the scale follows the code's size.
    fn rescale(&mut self, step: i32, most: i32, shift: i32) {
        self.log = (((self.log * 127) >> 7) + step).clamp(0, most);
        let (mantissa, shift) = (INVERSE_LOG[(self.log >> 6 & 31) as usize], shift - (self.log >> 11));
        self.scale = if shift < 0 { mantissa << -shift } else { mantissa >> shift } << 2;
    }

    /// Block 4: the predictor learns from a difference and foretells the next value.
    fn adapt(&mut self, difference: i32) {
        let reconstructed = saturated(self.predicted + difference);
        let partial = saturated(self.by_zeros + difference);
        self.adapt_poles(partial);
        // UPZERO
        let gain = if difference == 0 { 0 } else { 128 };
        for (b, earlier) in self.b.iter_mut().zip(&self.differences) {
            let along = earlier >> 15 == difference >> 15;
            *b = saturated(if along { gain } else { -gain } + ((*b * 32640) >> 15));
        }
        // DELAYA
        self.differences.rotate_right(1);
        self.differences[0] = difference;
        self.reconstructed = [reconstructed, self.reconstructed[0]];
        self.partial = [partial, self.partial[0]];
        // FILTEP, FILTEZ, PREDIC
        let term = |c: &i32, value: &i32| (c * saturated(2 * value)) >> 15;
        let by_poles = self.a.iter().zip(&self.reconstructed).map(|(a, r)| term(a, r)).sum();
        self.by_zeros = saturated(self.b.iter().zip(&self.differences).map(|(b, d)| term(b, d)).sum());
        self.predicted = saturated(saturated(by_poles) + self.by_zeros);
    }

    /// UPPOL2, UPPOL1
    fn adapt_poles(&mut self, partial: i32) {
        let along = self.partial.map(|earlier| earlier >> 15 == partial >> 15);
        let first = saturated(self.a[0] << 2);
        let first = if along[0] { -first } else { first }.min(32767) >> 7;
        let second = first + if along[1] { 128 } else { -128 } + ((self.a[1] * 32512) >> 15);
        let second = second.clamp(-12288, 12288);
        let most = saturated(15360 - second);
        let first = saturated(if along[0] { 192 } else { -192 } + ((self.a[0] * 32640) >> 15));
        self.a = [first.clamp(-most, most), second];
    }
}

/// Both bands, and what the filters still need of the signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Bands {
    lower: Band,
    upper: Band,
    signal: [i32; 24],
}

impl Bands {
    /// §3.2.6, §3.3.6: the scale factors at reset.
    fn new() -> Bands {
        Bands { lower: Band::new(32), upper: Band::new(8), signal: [0; 24] }
    }

    /// Takes two values into the band filters; the filters' even and odd halves.
    fn filter(&mut self, first: i32, second: i32) -> (i32, i32) {
        self.signal.copy_within(2.., 0);
        (self.signal[22], self.signal[23]) = (first, second);
        let pairs = self.signal.chunks_exact(2).zip(QMF.iter().zip(QMF.iter().rev()));
        pairs.fold((0, 0), |(even, odd), (x, (forth, back))| (even + x[1] * back, odd + x[0] * forth))
    }

    fn adapt_lower(&mut self, code: usize) {
        let difference = (self.lower.scale * LOWER_4[code]) >> 15;
        self.lower.rescale(LOWER_STEPS[code], 18432, 8);
        self.lower.adapt(difference);
    }

    /// Returns the difference.
    fn adapt_upper(&mut self, code: usize) -> i32 {
        let difference = (self.upper.scale * UPPER_2[code]) >> 15;
        self.upper.rescale(UPPER_STEPS[code], 22528, 10);
        self.upper.adapt(difference);
        difference
    }
}

/// Samples into bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encoder(Bands);

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder(Bands::new())
    }
}

impl Encoder {
    /// Appends a byte for each two samples; a last odd one is left out.
    pub fn encode(&mut self, samples: &[i16], bytes: &mut Vec<u8>) {
        bytes.extend(samples.chunks_exact(2).map(|pair| self.pair(pair[0].into(), pair[1].into())));
    }

    fn pair(&mut self, first: i32, second: i32) -> u8 {
        let bands = &mut self.0;
        let (even, odd) = bands.filter(first, second);
        let (low, high) = ((even + odd) >> 14, (even - odd) >> 14);
        let error = saturated(low - bands.lower.predicted);
        let size = if error < 0 { !error } else { error };
        let scale = bands.lower.scale;
        let level = LEVELS[1..].iter().position(|level| size < (level * scale) >> 12).unwrap_or(29) as u8 + 1;
        let lower = match (error < 0, level) {
            (true, 1..=2) => 64 - level,
            (true, _) => 34 - level,
            (false, _) => 62 - level,
        };
        bands.adapt_lower(usize::from(lower >> 2));
        let error = saturated(high - bands.upper.predicted);
        let size = if error < 0 { !error } else { error };
        let large = size >= (564 * bands.upper.scale) >> 12;
        let upper = u8::from(!large) | u8::from(error >= 0) << 1;
        bands.adapt_upper(usize::from(upper));
        upper << 6 | lower
    }
}

/// Bytes into samples. Any bytes are some sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decoder(Bands);

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder(Bands::new())
    }
}

impl Decoder {
    /// Appends two samples for each byte.
    pub fn decode(&mut self, bytes: &[u8], samples: &mut Vec<i16>) {
        samples.extend(bytes.iter().flat_map(|byte| self.byte(*byte)));
    }

    fn byte(&mut self, byte: u8) -> [i16; 2] {
        let bands = &mut self.0;
        let lower = usize::from(byte & 63);
        let limited = |value: i32| value.clamp(-16384, 16383);
        let low = limited(bands.lower.predicted + ((bands.lower.scale * LOWER_6[lower]) >> 15));
        bands.adapt_lower(lower >> 2);
        let predicted = bands.upper.predicted;
        let high = limited(predicted + bands.adapt_upper(usize::from(byte >> 6)));
        let (even, odd) = bands.filter(low + high, low - high);
        [even, odd].map(|half| saturated(half >> 11) as i16)
    }
}
