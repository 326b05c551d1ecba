//! WAV files into samples: PCM by `hound`, G.711 (formats 6 and 7) by a reader of our own, other rates
//! by a fixed polyphase filter.

use super::codec::Law;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;
use std::fmt;

/// Seconds of a sound at most.
pub const MAX_SECONDS: u32 = 3600;
const RATE: u32 = 8000;

/// Why a WAV cannot be a sound; `Display` is a sentence that says what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WavError {
    NotWav,
    /// What it is instead.
    Format(String),
    TooLong,
}

impl fmt::Display for WavError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WavError::NotWav => f.write_str("this is no WAV file (RIFF … WAVE with a format and data)"),
            WavError::Format(found) => write!(
                f,
                "{found}; allowed are 16-bit PCM, mono or stereo, 8 to 48 kHz, and G.711 µ-law or A-law, mono, 8 kHz"
            ),
            WavError::TooLong => write!(f, "the sound is longer than {MAX_SECONDS} s"),
        }
    }
}

impl std::error::Error for WavError {}

/// The samples at 8 kHz and at 16 kHz; two channels become their mean.
pub fn read(bytes: &[u8]) -> Result<[Vec<i16>; 2], WavError> {
    let (samples, rate) = at_its_rate(bytes)?;
    Ok([RATE, 2 * RATE].map(|to| resample(&samples, rate, to)))
}

/// Whether [`read`] could read it, at a hundredth of its price.
pub fn check(bytes: &[u8]) -> Result<(), WavError> {
    at_its_rate(bytes).map(drop)
}

fn at_its_rate(bytes: &[u8]) -> Result<(Vec<i16>, u32), WavError> {
    match chunk(bytes, b"fmt ").and_then(|f| f.first_chunk()).map(|tag| u16::from_le_bytes(*tag)) {
        None => Err(WavError::NotWav),
        Some(6) => Ok((g711(bytes, Law::A)?, RATE)),
        Some(7) => Ok((g711(bytes, Law::Mu)?, RATE)),
        Some(_) => pcm(bytes),
    }
}

/// The content of a RIFF chunk; cut where the file ends, since a crashed recorder leaves wrong lengths.
fn chunk<'a>(bytes: &'a [u8], id: &[u8; 4]) -> Option<&'a [u8]> {
    let mut rest = bytes.strip_prefix(b"RIFF")?.get(4..)?.strip_prefix(b"WAVE")?;
    loop {
        let (head, after) = rest.split_first_chunk::<8>()?;
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        if head.starts_with(id) {
            return Some(&after[..length.min(after.len())]);
        }
        rest = after.get(length.checked_next_multiple_of(2)?..)?;
    }
}

fn g711(bytes: &[u8], law: Law) -> Result<Vec<i16>, WavError> {
    let format = chunk(bytes, b"fmt ").and_then(|f| f.first_chunk::<8>()).ok_or(WavError::NotWav)?;
    let channels = u16::from_le_bytes([format[2], format[3]]);
    let rate = u32::from_le_bytes([format[4], format[5], format[6], format[7]]);
    if (channels, rate) != (1, RATE) {
        return Err(WavError::Format(format!("this is G.711 with {channels} channels at {rate} Hz")));
    }
    let data = chunk(bytes, b"data").ok_or(WavError::NotWav)?;
    if data.len() > (MAX_SECONDS * RATE) as usize {
        return Err(WavError::TooLong);
    }
    Ok(data.iter().map(|b| law.decode(*b)).collect())
}

fn pcm(bytes: &[u8]) -> Result<(Vec<i16>, u32), WavError> {
    let wrong = |e: hound::Error| WavError::Format(format!("this WAV cannot be read ({e})"));
    let reader = hound::WavReader::new(bytes).map_err(wrong)?;
    let spec = reader.spec();
    let usual = spec.sample_format == hound::SampleFormat::Int && spec.bits_per_sample == 16;
    if !usual || !(1..=2).contains(&spec.channels) || !(8000..=48_000).contains(&spec.sample_rate) {
        return Err(WavError::Format(format!(
            "this WAV has {} channels of {}-bit {:?} at {} Hz",
            spec.channels, spec.bits_per_sample, spec.sample_format, spec.sample_rate
        )));
    }
    if reader.duration() > MAX_SECONDS * spec.sample_rate {
        return Err(WavError::TooLong);
    }
    let samples: Vec<i16> = reader.into_samples().take(bytes.len()).collect::<Result<_, _>>().map_err(wrong)?;
    let mono = match spec.channels {
        1 => samples,
        _ => samples.chunks_exact(2).map(|s| ((i32::from(s[0]) + i32::from(s[1])) / 2) as i16).collect(),
    };
    Ok((mono, spec.sample_rate))
}

/// Zero crossings of the sinc on each side.
const CROSSINGS: f64 = 16.0;

/// From a rate to another: a windowed sinc with its cut at 0.45 of the lower one, one set of taps per phase.
pub fn resample(samples: &[i16], from: u32, to: u32) -> Vec<i16> {
    if from == to {
        return samples.to_vec();
    }
    let divisor = gcd(from, to);
    let (up, down) = ((to / divisor) as usize, (from / divisor) as usize);
    let cut = 0.9 * f64::from(from.min(to)) / f64::from(from);
    let phases: Vec<Vec<f32>> = (0..up).map(|p| taps(p as f64 / up as f64, cut)).collect();
    (0..samples.len() * up / down)
        .map(|n| {
            let (center, phase) = (n * down / up, n * down % up);
            let taps = &phases[phase];
            let first = center as isize + 1 - taps.len() as isize / 2;
            let sum: f32 = taps
                .iter()
                .enumerate()
                .filter_map(|(j, tap)| Some(tap * f32::from(*samples.get(usize::try_from(first + j as isize).ok()?)?)))
                .sum();
            sum.round() as i16 // saturates
        })
        .collect()
}

/// The taps around a point `fraction` of an input sample after the center sample; their sum is 1.
fn taps(fraction: f64, cut: f64) -> Vec<f32> {
    let half = (CROSSINGS / cut).ceil();
    let tap = |j: i64| {
        let x = j as f64 - fraction;
        let sinc = if x == 0.0 { 1.0 } else { (PI * cut * x).sin() / (PI * cut * x) };
        let w = (x / half).clamp(-1.0, 1.0);
        sinc * (0.42 + 0.5 * (PI * w).cos() + 0.08 * (2.0 * PI * w).cos()) // Blackman
    };
    let raw: Vec<f64> = (1 - half as i64..=half as i64).map(tap).collect();
    let sum: f64 = raw.iter().sum();
    raw.iter().map(|t| (t / sum) as f32).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn wav(channels: u16, sample_rate: u32, bits_per_sample: u16, samples: &[i16]) -> Vec<u8> {
        let spec = hound::WavSpec { channels, sample_rate, bits_per_sample, sample_format: hound::SampleFormat::Int };
        let mut out = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut out, spec).unwrap();
        samples.iter().for_each(|s| writer.write_sample(*s).unwrap());
        writer.finalize().unwrap();
        out.into_inner()
    }

    fn g711_wav(tag: u8, channels: u8, data: &[u8]) -> Vec<u8> {
        let mut out = b"RIFF\x00\x00\x00\x00WAVELIST\x03\x00\x00\x00abc\x00fmt \x12\x00\x00\x00".to_vec();
        out.extend([tag, 0, channels, 0, 0x40, 0x1f, 0, 0, 0x40, 0x1f, 0, 0, 1, 0, 8, 0, 0, 0]);
        out.extend(b"data");
        out.extend((data.len() as u32).to_le_bytes());
        out.extend(data);
        out
    }

    #[test]
    fn formats_that_are_allowed() {
        let read = |bytes: &[u8]| read(bytes).map(|[narrow, _]| narrow);
        assert_eq!(read(&wav(1, 8000, 16, &[1, -2, 300])).unwrap(), [1, -2, 300]);
        assert_eq!(read(&wav(2, 8000, 16, &[100, 200, -7, -9])).unwrap(), [150, -8]);
        assert_eq!(read(&g711_wav(7, 1, &[0xff, 0x80])).unwrap(), [0, 32124]);
        assert_eq!(read(&g711_wav(6, 1, &[0xd5, 0xaa])).unwrap(), [8, 32256]);
        assert_eq!(read(&wav(1, 8000, 16, &[])).unwrap(), [0i16; 0]);
    }

    #[test]
    fn formats_that_are_not() {
        let rows: [(Vec<u8>, &str); 8] = [
            (vec![], "no WAV"),
            (b"RIFF\x00\x00\x00\x00WAVE".to_vec(), "no WAV"),
            (b"RIFF\x00\x00\x00\x00WAVEfmt \xff\xff\xff\xff\x01\x00".to_vec(), "cannot be read"),
            (g711_wav(7, 2, &[0xff]), "G.711 with 2 channels"),
            (wav(3, 8000, 16, &[1, 2, 3]), "3 channels"),
            (wav(1, 96_000, 16, &[1]), "96000 Hz"),
            (wav(1, 8000, 24, &[1]), "24-bit"),
            (wav(1, 8000, 16, &[1; 100])[..100].to_vec(), "cannot be read"),
        ];
        for (bytes, expect) in rows {
            let error = read(&bytes).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        }
    }

    /// The level of a tone of `hz` at the lower and the higher of our rates, relative to before.
    fn gain(hz: f64, rate: u32) -> [f64; 2] {
        let sine = |n: u32| (10_000.0 * (2.0 * PI * hz * f64::from(n) / f64::from(rate)).sin()) as i16;
        let out = read(&wav(1, rate, 16, &(0..rate).map(sine).collect::<Vec<_>>())).unwrap();
        assert_eq!([out[0].len(), out[1].len()], [8000, 16_000]);
        out.map(|out| {
            let middle = &out[1000..7000];
            let power: f64 = middle.iter().map(|s| f64::from(*s).powi(2)).sum();
            (power / middle.len() as f64).sqrt() / (10_000.0 / 2f64.sqrt())
        })
    }

    #[test]
    fn other_rates_keep_the_voice_and_lose_what_would_alias() {
        for rate in [11_025, 16_000, 22_050, 32_000, 44_100, 48_000] {
            for hz in [100.0, 1000.0, 3000.0] {
                let gains = gain(hz, rate);
                assert!(gains.iter().all(|gain| (gain - 1.0).abs() < 0.01), "{hz} at {rate}: {gains:?}");
            }
            let [alias, _] = gain(f64::from(rate).min(11_000.0) / 2.0 - 300.0, rate);
            assert!(alias < 0.01, "{rate}: {alias}");
            // What the higher rate is for.
            let [_, wide] = gain(f64::from(rate.min(16_000)) * 0.36, rate);
            assert!((wide - 1.0).abs() < 0.01, "{rate}: {wide}");
        }
    }

    #[test]
    fn mutated_files_do_not_panic() {
        let mut rng = crate::ids::Rng::from_number(7);
        let seeds = [wav(2, 16_000, 16, &[5; 64]), g711_wav(7, 1, &[9; 64])];
        for _ in 0..20_000 {
            let mut bytes = seeds[rng.below(2) as usize].clone();
            for _ in 0..1 + rng.below(3) {
                let at = rng.below(60) as usize;
                bytes[at] = rng.next_u32() as u8;
            }
            bytes.truncate(rng.below(bytes.len() as u64 * 2) as usize);
            let _ = read(&bytes);
        }
    }
}
