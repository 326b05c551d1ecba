//! 8 kHz to 16 kHz and back by a fixed half-band filter of 47 taps, in two phases: flat to 3.4 kHz, 60 dB down from
//! 4.6 kHz on, 1.5 ms late.

use serde::{Deserialize, Serialize};

/// Every second tap from the middle outward, in 1/65536; the others are zero but for the middle one, a half. By a
/// Kaiser window, β = 5.65.
const TAPS: [i64; 12] = [41554, -13366, 7462, -4775, 3197, -2155, 1431, -919, 562, -318, 161, -66];
/// Samples at 8 kHz that a new one is reckoned with.
const NARROW: usize = 2 * TAPS.len() - 1;
/// The same at 16 kHz.
const WIDE: usize = 4 * TAPS.len() - 1;

/// From 1/65536.
fn sample(sum: i64) -> i16 {
    ((sum + (1 << 15)) >> 16).clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

/// From 8 kHz to 16 kHz.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Doubler {
    /// The last samples.
    past: Vec<i16>,
}

impl Default for Doubler {
    fn default() -> Doubler {
        Doubler { past: vec![0; NARROW] }
    }
}

impl Doubler {
    /// Appends two samples for each.
    pub fn double(&mut self, narrow: &[i16], wide: &mut Vec<i16>) {
        self.past.extend_from_slice(narrow);
        for around in self.past.windows(NARROW + 1) {
            let (before, after) = around.split_at(TAPS.len());
            let pairs = before.iter().rev().zip(after);
            let sum = pairs.zip(TAPS).map(|((a, b), tap)| (i64::from(*a) + i64::from(*b)) * tap).sum();
            wide.extend([before[TAPS.len() - 1], sample(sum)]);
        }
        self.past.drain(..narrow.len());
    }
}

/// From 16 kHz to 8 kHz.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Halver {
    /// The last samples.
    past: Vec<i16>,
}

impl Default for Halver {
    fn default() -> Halver {
        Halver { past: vec![0; WIDE - 1] }
    }
}

impl Halver {
    /// Appends a sample for each two; a last odd one waits.
    pub fn halve(&mut self, wide: &[i16], narrow: &mut Vec<i16>) {
        self.past.extend_from_slice(wide);
        let ready = self.past.windows(WIDE).step_by(2);
        let count = ready.len();
        for around in ready {
            let (before, rest) = around.split_at(2 * TAPS.len() - 1);
            let pairs = before.iter().rev().step_by(2).zip(rest[1..].iter().step_by(2));
            let sum: i64 = pairs.zip(TAPS).map(|((a, b), tap)| (i64::from(*a) + i64::from(*b)) * tap).sum();
            narrow.push(sample((sum + i64::from(rest[0]) * (1 << 16)) / 2));
        }
        self.past.drain(..2 * count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn sine(hz: f64, rate: f64, count: usize) -> Vec<i16> {
        (0..count).map(|n| (10_000.0 * (TAU * hz * n as f64 / rate).sin()) as i16).collect()
    }

    /// The level of a tone in dB below the 10,000 that went in; the first 10 ms are left out.
    fn level(samples: &[i16], hz: f64, rate: f64) -> f64 {
        let samples = &samples[(rate / 100.0) as usize..];
        let part = |wave: fn(f64) -> f64| {
            let each = samples.iter().enumerate().map(|(n, s)| f64::from(*s) * wave(TAU * hz * n as f64 / rate));
            each.sum::<f64>() * 2.0 / samples.len() as f64
        };
        20.0 * (part(f64::sin).hypot(part(f64::cos)).max(0.1) / 10_000.0).log10()
    }

    #[test]
    fn tones_keep_their_level_and_make_no_others() {
        for hz in [100.0, 300.0, 1000.0, 2000.0, 3000.0, 3400.0] {
            let (mut wide, mut narrow) = (Vec::new(), Vec::new());
            let mut doubler = Doubler::default();
            sine(hz, 8000.0, 8080).chunks(160).for_each(|part| doubler.double(part, &mut wide));
            assert_eq!(wide.len(), 16_160);
            let (there, image) = (level(&wide, hz, 16_000.0), level(&wide, 8000.0 - hz, 16_000.0));
            assert!(there.abs() < 0.1 && image < -55.0, "{hz} up: {there} {image}");
            let mut halver = Halver::default();
            wide.chunks(320).for_each(|part| halver.halve(part, &mut narrow));
            assert_eq!(narrow.len(), 8080);
            let back = level(&narrow, hz, 8000.0);
            assert!(back.abs() < 0.2, "{hz} down: {back}");
        }
        for hz in [4600.0, 5000.0, 7000.0] {
            let mut narrow = Vec::new();
            Halver::default().halve(&sine(hz, 16_000.0, 16_160), &mut narrow);
            let alias = level(&narrow, 8000.0 - hz, 8000.0);
            assert!(alias < -55.0, "{hz}: {alias}");
        }
    }

    #[test]
    fn parts_of_any_length_are_the_same_as_the_whole() {
        let signal: Vec<i16> = (0..4000i64).map(|n| (n * n * 7919 % 65_536 - 32_768) as i16).collect();
        let (mut whole, mut parts) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
        Doubler::default().double(&signal, &mut whole.0);
        Halver::default().halve(&signal, &mut whole.1);
        let (mut doubler, mut halver, mut at, mut length) = (Doubler::default(), Halver::default(), 0, 0);
        while at < signal.len() {
            let part = &signal[at..(at + length).min(signal.len())];
            doubler.double(part, &mut parts.0);
            halver.halve(part, &mut parts.1);
            (at, length) = (at + part.len(), (length + 7) % 90);
        }
        assert_eq!(whole, parts);
    }
}
