//! What is heard where nothing came: the last pitch period again and again, ever softer, and silence after 60 ms; and
//! comfort noise (RFC 3389) while the peer says that it is silent.
//!
//! Left out: the noise's color, of which RFC 3389 leaves the use to the receiver.

use serde::{Deserialize, Serialize};

/// In ms: what is remembered, what is compared, how long a period is at least and at most, how long a join is, for how
/// long the repetition is as loud as the voice was, and when it has faded away.
const HISTORY: usize = 40;
const COMPARED: usize = 20;
const PERIODS: std::ops::RangeInclusive<usize> = 3..=15;
const JOIN: usize = 4;
const LOUD: usize = 10;
const FADED: usize = 60;

/// Covers gaps in a stream of samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concealment {
    /// Samples in 1 ms.
    rate: usize,
    /// The last samples that were heard.
    past: Vec<i16>,
    /// The period that is repeated and how much of it has been heard; while there is a gap.
    repeating: Option<(Vec<i16>, usize)>,
}

impl Concealment {
    /// `rate`: samples in 1 ms.
    pub fn new(rate: usize) -> Concealment {
        Concealment { rate, past: vec![0; HISTORY * rate], repeating: None }
    }

    /// What came: after a gap, what was made up goes over into it.
    pub fn join(&mut self, samples: &mut [i16]) {
        if self.repeating.is_some() {
            let length = (JOIN * self.rate).min(samples.len());
            let made_up = self.repeat(length);
            for (n, (sample, old)) in samples.iter_mut().zip(made_up).enumerate() {
                *sample = blend(old, *sample, n, length);
            }
            self.repeating = None;
        }
        self.remember(samples);
    }

    /// Appends `count` made-up samples.
    pub fn cover(&mut self, count: usize, out: &mut Vec<i16>) {
        if self.repeating.is_none() {
            self.repeating = Some((self.period(), 0));
        }
        let made_up = self.repeat(count);
        self.remember(&made_up);
        out.extend(made_up);
    }

    fn repeat(&mut self, count: usize) -> Vec<i16> {
        let Some((period, heard)) = &mut self.repeating else { return Vec::new() };
        let (loud, faded) = (LOUD * self.rate, FADED * self.rate);
        let sample = |n: usize| {
            let left = faded.saturating_sub(n.max(loud)) as i32;
            (i32::from(period[n % period.len()]) * left / (faded - loud) as i32) as i16
        };
        let samples = (*heard..*heard + count).map(sample).collect();
        *heard += count;
        samples
    }

    /// The last period, its end fitted to its beginning.
    fn period(&self) -> Vec<i16> {
        let (past, end) = (&self.past, self.past.len());
        let recent = &past[end - COMPARED * self.rate..];
        let likeness = |lag: &usize| {
            let (mut dot, mut power) = (0i64, 1i64);
            for n in (0..recent.len()).step_by(self.rate / 8) {
                let (a, b) = (i64::from(recent[n]), i64::from(past[end - recent.len() + n - lag]));
                (dot, power) = (dot + a * b, power + b * b);
            }
            dot.max(0) as f64 / (power as f64).sqrt()
        };
        let lags = PERIODS.start() * self.rate..=PERIODS.end() * self.rate;
        let lag = lags.max_by(|a, b| likeness(a).total_cmp(&likeness(b))).unwrap_or(self.rate);
        let mut period = past[end - lag..].to_vec();
        let length = lag / 4;
        for n in 0..length {
            let at = lag - length + n;
            period[at] = blend(period[at], past[end - lag - length + n], n, length);
        }
        period
    }

    fn remember(&mut self, samples: &[i16]) {
        let new = samples.len().min(self.past.len());
        self.past.drain(..new);
        self.past.extend_from_slice(&samples[samples.len() - new..]);
    }
}

/// From `old` to `new` in `length` steps.
pub fn blend(old: i16, new: i16, step: usize, length: usize) -> i16 {
    let (step, length) = (step as i32 + 1, length as i32 + 1);
    ((i32::from(old) * (length - step) + i32::from(new) * step) / length) as i16
}

/// Louder noise than −25 dB below full scale is not comfort.
const LOUDEST: u8 = 25;

/// A peer's background, as its comfort noise tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noise {
    /// −dBov (RFC 3389 §3.1).
    level: u8,
    seed: u32,
}

impl Noise {
    /// Reads a payload: its first byte is the level; none if it is empty.
    pub fn read(payload: &[u8]) -> Option<Noise> {
        let level = (payload.first()? & 0x7f).max(LOUDEST);
        Some(Noise { level, seed: 0x2545_f491 })
    }

    /// Another level, without a break.
    pub fn change(&mut self, to: &Noise) {
        self.level = to.level;
    }

    /// Appends `count` samples.
    pub fn make(&mut self, count: usize, out: &mut Vec<i16>) {
        // Full scale is a square wave's (RFC 3389 §3.1); evenly spread values have a third of their peak's power.
        let peak = 32_767.0 * 10f32.powf(-f32::from(self.level) / 20.0) * 3f32.sqrt();
        out.extend((0..count).map(|_| {
            self.seed ^= self.seed << 13;
            self.seed ^= self.seed >> 17;
            self.seed ^= self.seed << 5;
            (self.seed as i32 as f32 / 2f32.powi(31) * peak) as i16
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    /// A voice of 125 Hz with overtones.
    fn voice(n: usize, rate: usize) -> i16 {
        let t = n as f64 / (1000 * rate) as f64;
        let parts = [(1.0, 5000.0), (2.0, 3000.0), (5.0, 1500.0)];
        parts.iter().map(|(k, level)| level * (TAU * 125.0 * k * t).sin()).sum::<f64>() as i16
    }

    #[test]
    fn a_gap_in_a_voice_is_hardly_one() {
        for rate in [8, 16] {
            let frame = 20 * rate;
            let (mut concealment, mut heard) = (Concealment::new(rate), Vec::new());
            for n in 0..20 {
                if n == 10 {
                    concealment.cover(frame, &mut heard);
                    continue;
                }
                let mut samples: Vec<i16> = (0..frame).map(|i| voice(n * frame + i, rate)).collect();
                concealment.join(&mut samples);
                heard.extend(samples);
            }
            let error = |frame_at: usize| {
                let each = (0..frame).map(|i| {
                    let n = frame_at * frame + i;
                    (f64::from(heard[n]) - f64::from(voice(n, rate))).powi(2)
                });
                (each.sum::<f64>() / frame as f64).sqrt()
            };
            let whole: Vec<f64> = (0..20).map(error).collect();
            assert!(whole[10] < 900.0 && whole[11] < 900.0, "{rate}: {:?}", &whole[9..13]);
            assert!(whole[..10].iter().chain(&whole[12..]).all(|e| *e == 0.0));
            // No click: no step is larger than the voice's own.
            let largest = |samples: &[i16]| samples.windows(2).map(|w| (w[1] - w[0]).abs()).max().unwrap();
            let own = largest(&heard[..10 * frame]);
            assert!(largest(&heard) <= own + own / 4, "{} {own}", largest(&heard));
        }
    }

    #[test]
    fn a_long_gap_fades_away() {
        let mut concealment = Concealment::new(8);
        let mut samples: Vec<i16> = (0..320).map(|n| voice(n, 8)).collect();
        concealment.join(&mut samples);
        let mut covered = Vec::new();
        (0..5).for_each(|_| concealment.cover(160, &mut covered));
        let loudest = |frame: usize| covered[frame * 160..(frame + 1) * 160].iter().map(|s| s.abs()).max().unwrap();
        assert!(
            loudest(0) > 5000 && loudest(1) < loudest(0) && loudest(2) < loudest(1),
            "{:?}",
            [0, 1, 2].map(loudest)
        );
        assert_eq!((loudest(3), loudest(4)), (0, 0));
        // Nothing before a stream began is nothing after it.
        let mut nothing = Vec::new();
        Concealment::new(16).cover(320, &mut nothing);
        assert_eq!(nothing, [0; 320]);
    }

    #[test]
    fn noise_has_its_level() {
        for (payload, expect) in [(&[45u8][..], 45.0), (&[0x80 | 60, 1, 2], 60.0), (&[0], 25.0), (&[127], 127.0)] {
            let (mut noise, mut samples) = (Noise::read(payload).unwrap(), Vec::new());
            noise.make(16_000, &mut samples);
            let power = samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 16_000.0;
            let level = -20.0 * (power.sqrt().max(0.02) / 32_767.0).log10();
            assert!((level - expect).abs() < 0.5 || (expect > 90.0 && level > 90.0), "{payload:?}: {level}");
            let mean = samples.iter().map(|s| f64::from(*s)).sum::<f64>() / 16_000.0;
            assert!(mean.abs() < power.sqrt() / 20.0 + 0.1, "{mean}");
        }
        assert_eq!(Noise::read(b""), None);
    }
}
