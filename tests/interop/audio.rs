//! What the tests say and how they judge what was heard: tones, µ-law, and recordings compared by correlation.
//!
//! G.711 is written apart from the product's own, so that an error there cannot hide itself. G.722 is the product's, which
//! is another program's to the bit by its own tests; what a baresip recorded of it says the same.

use std::path::Path;
use tierline::media::codec::{self, Ear};

pub const RATE: f64 = 8000.0;
/// Samples in 20 ms.
pub const FRAME: usize = 160;

/// G.711 µ-law, after the tables of ITU-T G.711.
pub fn decode(byte: u8) -> i16 {
    let byte = !byte;
    let (exponent, mantissa) = (byte >> 4 & 7, i32::from(byte & 15));
    let magnitude = (((mantissa << 3) + 132) << exponent) - 132;
    if byte & 128 == 0 { magnitude as i16 } else { -magnitude as i16 }
}

pub fn encode(sample: i16) -> u8 {
    let magnitude = (i32::from(sample).abs()).min(32_635) + 132;
    let exponent = (31 - (magnitude as u32).leading_zeros()) as i32 - 7;
    let sign = if sample < 0 { 128 } else { 0 };
    !(sign | exponent << 4 | (magnitude >> (exponent + 3) & 15)) as u8
}

/// G.711 A-law, after the same.
pub fn decode_alaw(byte: u8) -> i16 {
    let byte = byte ^ 0x55;
    let (exponent, mantissa) = (byte >> 4 & 7, i32::from(byte & 15) << 4);
    let magnitude = if exponent == 0 { mantissa + 8 } else { (mantissa + 264) << (exponent - 1) };
    if byte & 128 == 0 { -magnitude as i16 } else { magnitude as i16 }
}

pub fn encode_alaw(sample: i16) -> u8 {
    let magnitude = i32::from(sample).abs().min(32_635);
    let exponent = (31 - (magnitude.max(1) as u32).leading_zeros() as i32 - 7).max(0);
    let mantissa = if exponent == 0 { magnitude >> 4 } else { magnitude >> (exponent + 3) };
    let sign = if sample < 0 { 0 } else { 128 };
    (sign | exponent << 4 | mantissa & 15) as u8 ^ 0x55
}

/// G.722 of samples at 8 kHz: a byte for each of them.
pub fn encode_g722(samples: &[i16]) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::Encoder::new(codec::Codec::G722).encode(&doubled(samples), &mut bytes);
    bytes
}

/// Samples at 8 kHz of one line of packets: their payload types and payloads. A packet of no codec is nothing.
#[derive(Default)]
pub struct Listener(Ear);

impl Listener {
    pub fn hear(&mut self, payload_type: u8, payload: &[u8]) -> Vec<i16> {
        let mut samples = Vec::new();
        match payload_type {
            0 => samples.extend(payload.iter().map(|byte| decode(*byte))),
            8 => samples.extend(payload.iter().map(|byte| decode_alaw(*byte))),
            9 => self.0.hear(codec::Codec::G722, payload, &mut samples),
            _ => {}
        }
        samples
    }
}

/// At 16 kHz: between two samples stands what their 32 neighbors say, by a sine over its argument that fades out.
fn doubled(samples: &[i16]) -> Vec<i16> {
    use std::f64::consts::PI;
    const REACH: usize = 16;
    let tap = |k: usize| {
        let off = k as f64 + 0.5;
        let sign = if k.is_multiple_of(2) { 1.0 } else { -1.0 };
        sign / (PI * off) * (PI * off / (2 * REACH) as f64).cos().powi(2)
    };
    let taps: Vec<f64> = (0..REACH).map(tap).collect();
    let at = |n: Option<usize>| n.and_then(|n| samples.get(n)).map_or(0.0, |sample| f64::from(*sample));
    let between = |n: usize| {
        let pair = |(k, tap): (usize, &f64)| (at(n.checked_sub(k)) + at(Some(n + 1 + k))) * tap;
        taps.iter().enumerate().map(pair).sum::<f64>() as i16
    };
    (0..samples.len()).flat_map(|n| [samples[n], between(n)]).collect()
}

pub fn tone(hz: f64, seconds: f64) -> Vec<i16> {
    let step = std::f64::consts::TAU * hz / RATE;
    (0..(seconds * RATE) as usize).map(|n| ((n as f64 * step).sin() * 9000.0) as i16).collect()
}

/// The same over and over.
pub fn repeated(samples: &[i16], seconds: f64) -> Vec<i16> {
    samples.iter().copied().cycle().take((seconds * RATE) as usize).collect()
}

/// Where in `heard` the whole of `said` begins, by its first second.
pub fn place_of(heard: &[i16], said: &[i16]) -> usize {
    let most = heard.len().checked_sub(said.len()).expect("more was heard than this");
    let places = (0..most).step_by(FRAME / 2);
    let best = places.max_by(|a, b| likeness(heard, said, *a).total_cmp(&likeness(heard, said, *b)));
    best.unwrap_or(0)
}

/// How much of the frame's energy is at `hz`: 1 for a pure tone, near 0 for silence, speech or another tone.
pub fn share(frame: &[i16], hz: f64) -> f64 {
    let energy: f64 = frame.iter().map(|s| f64::from(*s).powi(2)).sum();
    if energy < frame.len() as f64 * 100.0 * 100.0 {
        return 0.0; // as good as silent
    }
    2.0 * goertzel(frame, hz) / (energy * frame.len() as f64)
}

/// Squared magnitude at `hz`.
fn goertzel(frame: &[i16], hz: f64) -> f64 {
    let turn = 2.0 * (std::f64::consts::TAU * hz / RATE).cos();
    let (mut one, mut two) = (0.0, 0.0);
    for sample in frame {
        let next = f64::from(*sample) + turn * one - two;
        two = std::mem::replace(&mut one, next);
    }
    one * one + two * two - turn * one * two
}

pub fn has_tone(frame: &[i16], hz: f64) -> bool {
    share(frame, hz) > 0.8
}

/// Which of the tones lasts through most frames, and through how many of a hundred.
pub fn main_tone(samples: &[i16], candidates: &[f64]) -> (f64, f64) {
    let frames: Vec<&[i16]> = samples.chunks_exact(FRAME).collect();
    let of = |hz: f64| frames.iter().filter(|frame| has_tone(frame, hz)).count() as f64 * 100.0 / frames.len() as f64;
    let all = candidates.iter().map(|hz| (*hz, of(*hz)));
    all.max_by(|a, b| a.1.total_cmp(&b.1)).expect("candidates")
}

/// A recording of 8,000 samples a second, one channel: 16-bit, or µ-law, which `hound` does not read.
pub fn read_wav(path: &Path) -> Vec<i16> {
    let bytes = std::fs::read(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    if bytes[8..12] == *b"WAVE" && bytes[20..22] == [7, 0] {
        let at = bytes.windows(4).position(|word| word == b"data").expect("a recording has data") + 8;
        return bytes[at..].iter().map(|sample| decode(*sample)).collect();
    }
    let mut wav = hound::WavReader::open(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    assert_eq!((wav.spec().sample_rate, wav.spec().channels), (8000, 1), "{}", path.display());
    wav.samples().map_while(Result::ok).collect()
}

/// A recording at 8,000 or 16,000 samples a second, at 8,000: neighbors become their mean.
pub fn read_narrow(path: &Path) -> Vec<i16> {
    let mut wav = hound::WavReader::open(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let spec = wav.spec();
    assert!(matches!(spec.sample_rate, 8000 | 16_000) && spec.channels == 1, "{}: {spec:?}", path.display());
    let samples: Vec<i16> = wav.samples().map_while(Result::ok).collect();
    let mean = |part: &[i16]| (part.iter().map(|s| i32::from(*s)).sum::<i32>() / part.len() as i32) as i16;
    samples.chunks_exact(spec.sample_rate as usize / 8000).map(mean).collect()
}

pub fn write_wav(path: &Path, samples: &[i16], rate: u32) {
    let spec =
        hound::WavSpec { channels: 1, sample_rate: rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut wav = hound::WavWriter::create(path, spec).expect("a WAV in the test's folder");
    samples.iter().for_each(|sample| wav.write_sample(*sample).expect("a sample written"));
    wav.finalize().expect("a WAV written");
}

/// Where in `heard` the `prompt` begins and how many of its frames, of a hundred, are there. Frames are compared
/// one by one, so that a gap, a repetition or another text costs what it covers.
pub fn find_prompt(heard: &[i16], prompt: &[i16]) -> (usize, f64) {
    let best = (0..heard.len().saturating_sub(FRAME * 5)).step_by(FRAME);
    let best = best.max_by(|a, b| likeness(heard, prompt, *a).total_cmp(&likeness(heard, prompt, *b))).unwrap_or(0);
    (best, alike(&heard[best..], prompt))
}

/// Correlation of the prompt's first loud second with what is heard from `at` on.
fn likeness(heard: &[i16], prompt: &[i16], at: usize) -> f64 {
    let length = prompt.len().min(8000).min(heard.len() - at);
    correlation(&heard[at..at + length], &prompt[..length])
}

/// How many frames of a hundred are the same in both; `heard` may be shorter than `prompt` but not the reverse.
pub fn alike(heard: &[i16], prompt: &[i16]) -> f64 {
    let pairs: Vec<(&[i16], &[i16])> = heard.chunks_exact(FRAME).zip(prompt.chunks_exact(FRAME)).collect();
    let expected = prompt.len() / FRAME;
    let same = pairs.iter().filter(|(a, b)| (quiet(a) && quiet(b)) || correlation(a, b) > 0.9).count();
    same as f64 * 100.0 / expected.max(1) as f64
}

fn quiet(frame: &[i16]) -> bool {
    frame.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() < frame.len() as f64 * 60.0 * 60.0
}

fn correlation(a: &[i16], b: &[i16]) -> f64 {
    let dot = |a: &[i16], b: &[i16]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1.0)
}

#[test]
fn ears_can_be_trusted() {
    for sample in [-32_000, -5000, -100, 0, 7, 250, 4000, 31_000] {
        let back = decode(encode(sample));
        assert!((i32::from(back) - i32::from(sample)).abs() <= 16 + i32::from(sample).abs() / 16, "{sample} {back}");
        let back = decode_alaw(encode_alaw(sample));
        assert!((i32::from(back) - i32::from(sample)).abs() <= 16 + i32::from(sample).abs() / 16, "{sample} {back}");
    }
    let wide = Listener::default().hear(9, &encode_g722(&tone(1000.0, 1.0)));
    assert_eq!((wide.len(), main_tone(&wide[FRAME..], &[440.0, 1000.0])), (8000, (1000.0, 100.0)), "G.722 of a tone");
    let (low, high) = (tone(440.0, 1.0), tone(1000.0, 1.0));
    assert!(has_tone(&low[..FRAME], 440.0) && !has_tone(&low[..FRAME], 1000.0) && !has_tone(&[0; FRAME], 440.0));
    assert_eq!(main_tone(&high, &[440.0, 1000.0, 1040.0]), (1000.0, 100.0));
    let flows = Path::new(env!("CARGO_MANIFEST_DIR")).join("ivr-flows/sounds");
    let (right, wrong) = (read_wav(&flows.join("welcome.wav")), read_wav(&flows.join("menu.wav")));
    let mut heard = vec![0; FRAME * 7];
    heard.extend(right.iter().map(|s| decode(encode(*s))));
    assert_eq!(find_prompt(&heard, &right), (FRAME * 7, 100.0));
    let twice = repeated(&right, 2.9 * right.len() as f64 / RATE);
    let place = place_of(&twice[right.len() % FRAME..], &right);
    assert_eq!(place, right.len() - right.len() % FRAME, "the whole text begins where it is said again");
    assert!(find_prompt(&heard, &wrong).1 < 60.0, "{:?}", find_prompt(&heard, &wrong));
    heard.drain(FRAME * 30..FRAME * 45);
    assert!(find_prompt(&heard, &right).1 < 95.0, "a gap goes unnoticed");
}
