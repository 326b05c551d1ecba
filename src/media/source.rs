//! What a caller hears: prompts, music on hold, tones.
//!
//! Sounds are encoded once per codec when they are loaded; playing is handing out 20 ms slices of them.
//! Left out: recordings as sources, mixing.

use super::codec::{Codec, Encoder, FRAME};
use super::wav;
pub use super::wav::WavError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::sync::LazyLock;
use std::time::Duration;

/// A sound, by its place in [`Sounds`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SoundId(pub u32);

/// What to play. An unknown sound is one without any samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// These sounds one after the other without a gap, then `Finished`.
    Once(Vec<SoundId>),
    /// This sound over and over; `Finished` only if it has no samples.
    Loop(SoundId),
    /// A sine tone without end: `hz` 1 … 3,400, level in dBm0 −60 … 3.
    Tone { hz: u16, dbm0: i8 },
}

/// All prompts and music, encoded once per codec. Shared by `Arc` between planes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sounds {
    names: BTreeMap<String, SoundId>,
    sounds: Vec<Sound>,
}

/// One sound in whole frames, the last one filled up with silence.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sound {
    pcmu: Vec<u8>,
    pcma: Vec<u8>,
    g722: Vec<u8>,
}

impl Sound {
    /// From samples at 8 kHz and at 16 kHz.
    fn new(narrow: &[i16], wide: &[i16]) -> Sound {
        let frames = narrow.len().div_ceil(FRAME);
        let [pcmu, pcma, g722] = Codec::ALL.map(|codec| {
            let mut samples = if codec == Codec::G722 { wide } else { narrow }.to_vec();
            samples.resize(frames * FRAME * codec.samples_per_tick(), 0);
            let mut bytes = Vec::with_capacity(frames * FRAME);
            Encoder::new(codec).encode(&samples, &mut bytes);
            bytes
        });
        Sound { pcmu, pcma, g722 }
    }
}

impl Sounds {
    /// Adds (or replaces: the id stays) the sound `name` from the bytes of a WAV: 16-bit PCM, mono or stereo,
    /// 8 to 48 kHz; or G.711, mono, 8 kHz; at most [`wav::MAX_SECONDS`]. G.722 keeps what it has above 4 kHz.
    pub fn add_wav(&mut self, name: &str, bytes: &[u8]) -> Result<SoundId, WavError> {
        let [narrow, wide] = wav::read(bytes)?;
        Ok(self.add(name, Sound::new(&narrow, &wide)))
    }

    /// Whether [`Sounds::add_wav`] would take these bytes; adds nothing.
    pub fn check_wav(bytes: &[u8]) -> Result<(), WavError> {
        wav::check(bytes)
    }

    /// Adds (or replaces: the id stays) the sound `name` from samples at 8 kHz.
    pub fn add_samples(&mut self, name: &str, samples: &[i16]) -> SoundId {
        self.add(name, Sound::new(samples, &wav::resample(samples, 8000, 16_000)))
    }

    fn add(&mut self, name: &str, sound: Sound) -> SoundId {
        match self.names.get(name) {
            Some(id) => {
                self.sounds[id.0 as usize] = sound;
                *id
            }
            None => {
                let id = SoundId(u32::try_from(self.sounds.len()).expect("fewer than 2³² sounds"));
                self.sounds.push(sound);
                self.names.insert(name.to_string(), id);
                id
            }
        }
    }

    pub fn find(&self, name: &str) -> Option<SoundId> {
        self.names.get(name).copied()
    }

    /// How long it plays, in whole frames of 20 ms; zero for an unknown id.
    pub fn duration(&self, id: SoundId) -> Duration {
        let frames = self.sounds.get(id.0 as usize).map_or(0, |s| s.pcmu.len() / FRAME);
        Duration::from_millis(20 * frames as u64)
    }

    fn frame(&self, id: SoundId, codec: Codec, index: usize) -> Option<&[u8]> {
        let sound = self.sounds.get(id.0 as usize)?;
        let bytes = match codec {
            Codec::Pcmu => &sound.pcmu,
            Codec::Pcma => &sound.pcma,
            Codec::G722 => &sound.g722,
        };
        bytes.get(index * FRAME..(index + 1) * FRAME)
    }
}

/// A source while it plays on a port.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Playing {
    source: Source,
    pub token: u64,
    /// Which sound of the list, and which frame of it is next.
    item: usize,
    frame: usize,
    /// Of a tone, with its codec.
    encoder: Option<(Codec, Encoder)>,
}

impl Playing {
    pub fn new(source: Source, token: u64) -> Playing {
        Playing { source, token, item: 0, frame: 0, encoder: None }
    }

    /// The next 20 ms in this codec, lent from the sounds or from `scratch`; `None` at the end.
    pub fn next<'a>(&mut self, sounds: &'a Sounds, codec: Codec, scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        let frame = self.frame;
        self.frame += 1;
        match &self.source {
            Source::Once(list) => {
                while let Some(id) = list.get(self.item) {
                    if let Some(bytes) = sounds.frame(*id, codec, self.frame - 1) {
                        return Some(bytes);
                    }
                    (self.item, self.frame) = (self.item + 1, 1);
                }
                None
            }
            Source::Loop(id) => sounds.frame(*id, codec, frame).or_else(|| {
                self.frame = 1;
                sounds.frame(*id, codec, 0)
            }),
            Source::Tone { hz, dbm0 } => {
                if self.encoder.as_ref().is_none_or(|(of, _)| *of != codec) {
                    self.encoder = Some((codec, Encoder::new(codec)));
                }
                let (_, encoder) = self.encoder.as_mut()?;
                scratch.clear();
                encoder.encode(&tone(*hz, *dbm0, frame, codec.samples_per_tick()), scratch);
                Some(scratch)
            }
        }
    }
}

/// One second of a sine of 1 Hz; a tone of n Hz is every n-th value of it.
static SINE: LazyLock<Vec<f32>> =
    LazyLock::new(|| (0..16_000).map(|i| (TAU * f64::from(i) / 16_000.0).sin() as f32).collect());

/// 20 ms at 8 kHz or 16 kHz.
fn tone(hz: u16, dbm0: i8, frame: usize, samples_per_tick: usize) -> Vec<i16> {
    // G.711 table 5: the full scale of a sine is 3.17 dBm0 (µ-law; 3.14 for A-law).
    let peak = 32_124.0 * 10f32.powf((f32::from(dbm0.clamp(-60, 3)) - 3.17) / 20.0);
    let (start, step) = (frame % (8000 / FRAME) * FRAME * samples_per_tick, 2 / samples_per_tick);
    let sample = |i: usize| (SINE[(start + i) * step * usize::from(hz) % 16_000] * peak) as i16;
    (0..FRAME * samples_per_tick).map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::super::codec::Ear;
    use super::*;

    fn three_sounds() -> (Sounds, [SoundId; 3]) {
        let mut sounds = Sounds::default();
        let ids = [("a", 200), ("none", 0), ("b", 160)];
        let ids = ids.map(|(name, n)| sounds.add_samples(name, &vec![if name == "a" { 1000 } else { -1000 }; n]));
        (sounds, ids)
    }

    /// Plays for 7 frames; each frame as the sign of its first and last sample, `.` when ended.
    fn check(source: Source, expect: &str) {
        let (sounds, _) = three_sounds();
        for codec in Codec::ALL {
            let (mut playing, mut ear) = (Playing::new(source.clone(), 1), Ear::default());
            let mut got = String::new();
            for _ in 0..7 {
                let mut scratch = Vec::new();
                match playing.next(&sounds, codec, &mut scratch) {
                    Some(bytes) => {
                        assert_eq!(bytes.len(), FRAME);
                        let mut samples = Vec::new();
                        ear.hear(codec, bytes, &mut samples);
                        for sample in [samples[36], samples[FRAME - 1]] {
                            got.push(match sample {
                                500.. => '+',
                                -499..500 => '0',
                                _ => '-',
                            });
                        }
                    }
                    None => got.push('.'),
                }
                got.push(' ');
            }
            assert_eq!(got.trim(), expect, "{source:?} {codec:?}");
        }
    }

    #[test]
    fn sources_play_without_gaps_and_end() {
        let (_, [a, none, b]) = three_sounds();
        check(Source::Once(vec![a]), "++ +0 . . . . .");
        check(Source::Once(vec![none, b, none, a, SoundId(77), b]), "-- ++ +0 -- . . .");
        check(Source::Once(vec![]), ". . . . . . .");
        check(Source::Loop(a), "++ +0 ++ +0 ++ +0 ++");
        check(Source::Loop(none), ". . . . . . .");
        check(Source::Loop(SoundId(9)), ". . . . . . .");
    }

    #[test]
    fn sounds_have_names_and_lengths() {
        let (mut sounds, [a, none, _]) = three_sounds();
        assert_eq!((sounds.find("a"), sounds.find("x")), (Some(a), None));
        assert_eq!(sounds.duration(a), Duration::from_millis(40));
        assert_eq!(sounds.duration(none), Duration::ZERO);
        assert_eq!(sounds.add_samples("a", &[1; 321]), a);
        assert_eq!(sounds.duration(a), Duration::from_millis(60));
        assert_eq!(sounds.add_wav("c", b"no"), Err(WavError::NotWav));
    }

    #[test]
    fn a_tone_has_its_frequency_and_level_across_frames() {
        for codec in Codec::ALL {
            let (sounds, _) = three_sounds();
            let (mut playing, mut ear) = (Playing::new(Source::Tone { hz: 440, dbm0: -10 }, 1), Ear::default());
            let mut samples = Vec::new();
            for _ in 0..50 {
                let mut scratch = Vec::new();
                let bytes = playing.next(&sounds, codec, &mut scratch).unwrap();
                ear.hear(codec, bytes, &mut samples);
            }
            let samples: Vec<f64> = samples.into_iter().map(f64::from).collect();
            let rising = samples[100..].windows(2).filter(|w| w[0] < 0.0 && w[1] >= 0.0).count();
            assert!((433..=436).contains(&rising), "{rising} periods");
            let rms = (samples.iter().map(|s| s * s).sum::<f64>() / samples.len() as f64).sqrt();
            let expect = 32_124.0 / 2f64.sqrt() * 10f64.powf(-13.17 / 20.0);
            assert!((rms / expect - 1.0).abs() < 0.03, "{rms} {expect}");
        }
    }
}
