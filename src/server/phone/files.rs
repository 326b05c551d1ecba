//! What the phone plays and records.

use crate::media::{Sounds, Source};
use crate::server::wrong::{OrWrong, Wrong};
use anyhow::{Context, Result};
use std::path::PathBuf;

/// What recordings are written with.
pub type Recording = hound::WavWriter<std::io::BufWriter<std::fs::File>>;

pub fn load_sound(sounds: &mut Sounds, path: &PathBuf) -> Result<Source> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display())).or_wrong()?;
    let id = sounds.add_wav("said", &bytes).map_err(|why| Wrong(format!("{}: {why}", path.display())))?;
    Ok(Source::Loop(id))
}

pub fn create_recording(path: &PathBuf) -> Result<Recording> {
    let spec =
        hound::WavSpec { channels: 1, sample_rate: 8000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let file = std::fs::File::create(path).with_context(|| format!("cannot write {}", path.display()));
    Ok(hound::WavWriter::new(std::io::BufWriter::new(file.or_wrong_unless_passing()?), spec)?)
}
