//! What a caller hears.
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A sound, by its place in [`Sounds`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SoundId(pub u32);

/// What to play.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// These sounds one after the other without a gap, then `Finished`.
    Once(Vec<SoundId>),
    /// This sound over and over.
    Loop(SoundId),
    /// A sine tone without end: `hz` 1 … 3,400, level in dBm0 −60 … 3.
    Tone { hz: u16, dbm0: i8 },
}

/// Why a WAV cannot be a sound; `Display` is a sentence that says what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WavError {
    NotWav,
    Format(String),
    TooLong,
}

/// All prompts and music, encoded once per codec. Shared by `Arc` between planes.
#[derive(Clone, Debug, Default)]
pub struct Sounds {}

impl Sounds {
    /// Adds (or replaces: the id stays) the sound `name` from the bytes of a WAV: 16-bit PCM, mono or stereo, 8 to 48 kHz; or
    /// G.711 mono at 8 kHz.
    pub fn add_wav(&mut self, _name: &str, _bytes: &[u8]) -> Result<SoundId, WavError> {
        unimplemented!()
    }

    /// Adds (or replaces) the sound `name` from samples at 8 kHz.
    pub fn add_samples(&mut self, _name: &str, _samples: &[i16]) -> SoundId {
        unimplemented!()
    }

    pub fn find(&self, _name: &str) -> Option<SoundId> {
        unimplemented!()
    }

    /// How long it plays; zero for an unknown id.
    pub fn duration(&self, _id: SoundId) -> Duration {
        unimplemented!()
    }
}
