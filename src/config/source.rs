//! Where files come from: the disk, or the demo that is part of the program.

use crate::config::Recording;
use crate::written::{MAX_FILE, Problem};
use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// The configuration that is looked for without a flag, and its name inside the program.
pub const DEMO: &str = "deploy/tierline.toml";
/// Where the demo's recordings are.
pub const DEMO_SOUNDS: &str = "ivr-flows/sounds";

macro_rules! embedded {
    ($($path:literal),* $(,)?) => {
        /// The demo's files by path.
        pub const EMBEDDED: &[(&str, &[u8])] =
            &[$(($path, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path)))),*];
    };
}

embedded! {
    "deploy/tierline.toml",
    "ivr-flows/desk.toml",
    "ivr-flows/support.toml",
    "ivr-flows/sounds/texts.toml",
    "ivr-flows/sounds/agent-not-ready.wav",
    "ivr-flows/sounds/agent-ready.wav",
    "ivr-flows/sounds/busy.wav",
    "ivr-flows/sounds/desk-after-hours-de.wav",
    "ivr-flows/sounds/desk-after-hours-en.wav",
    "ivr-flows/sounds/desk-goodbye-de.wav",
    "ivr-flows/sounds/desk-goodbye-en.wav",
    "ivr-flows/sounds/desk-later-de.wav",
    "ivr-flows/sounds/desk-later-en.wav",
    "ivr-flows/sounds/desk-menu-de.wav",
    "ivr-flows/sounds/desk-menu-de-2.wav",
    "ivr-flows/sounds/desk-menu-de-3.wav",
    "ivr-flows/sounds/desk-menu-en.wav",
    "ivr-flows/sounds/desk-menu-en-2.wav",
    "ivr-flows/sounds/desk-menu-en-3.wav",
    "ivr-flows/sounds/desk-minutes-de.wav",
    "ivr-flows/sounds/desk-minutes-de-2.wav",
    "ivr-flows/sounds/desk-minutes-en.wav",
    "ivr-flows/sounds/desk-minutes-en-2.wav",
    "ivr-flows/sounds/desk-more-de.wav",
    "ivr-flows/sounds/desk-more-en.wav",
    "ivr-flows/sounds/desk-outage-de.wav",
    "ivr-flows/sounds/desk-outage-en.wav",
    "ivr-flows/sounds/desk-status-de.wav",
    "ivr-flows/sounds/desk-status-en.wav",
    "ivr-flows/sounds/desk-tell-de.wav",
    "ivr-flows/sounds/desk-tell-de-2.wav",
    "ivr-flows/sounds/desk-tell-de-3.wav",
    "ivr-flows/sounds/desk-tell-en.wav",
    "ivr-flows/sounds/desk-tell-en-2.wav",
    "ivr-flows/sounds/desk-tell-en-3.wav",
    "ivr-flows/sounds/desk-ticket-de.wav",
    "ivr-flows/sounds/desk-ticket-de-2.wav",
    "ivr-flows/sounds/desk-ticket-de-3.wav",
    "ivr-flows/sounds/desk-ticket-en.wav",
    "ivr-flows/sounds/desk-ticket-en-2.wav",
    "ivr-flows/sounds/desk-ticket-en-3.wav",
    "ivr-flows/sounds/desk-topic-de.wav",
    "ivr-flows/sounds/desk-topic-en.wav",
    "ivr-flows/sounds/desk-unknown-de.wav",
    "ivr-flows/sounds/desk-unknown-en.wav",
    "ivr-flows/sounds/desk-waiting-de.wav",
    "ivr-flows/sounds/desk-waiting-de-2.wav",
    "ivr-flows/sounds/desk-waiting-en.wav",
    "ivr-flows/sounds/desk-waiting-en-2.wav",
    "ivr-flows/sounds/hold-music.wav",
    "ivr-flows/sounds/invalid.wav",
    "ivr-flows/sounds/later.wav",
    "ivr-flows/sounds/menu.wav",
    "ivr-flows/sounds/no-input.wav",
    "ivr-flows/sounds/say-de-0.wav",
    "ivr-flows/sounds/say-de-1.wav",
    "ivr-flows/sounds/say-de-10.wav",
    "ivr-flows/sounds/say-de-11.wav",
    "ivr-flows/sounds/say-de-12.wav",
    "ivr-flows/sounds/say-de-13.wav",
    "ivr-flows/sounds/say-de-14.wav",
    "ivr-flows/sounds/say-de-15.wav",
    "ivr-flows/sounds/say-de-16.wav",
    "ivr-flows/sounds/say-de-17.wav",
    "ivr-flows/sounds/say-de-18.wav",
    "ivr-flows/sounds/say-de-19.wav",
    "ivr-flows/sounds/say-de-2.wav",
    "ivr-flows/sounds/say-de-20.wav",
    "ivr-flows/sounds/say-de-3.wav",
    "ivr-flows/sounds/say-de-30.wav",
    "ivr-flows/sounds/say-de-4.wav",
    "ivr-flows/sounds/say-de-40.wav",
    "ivr-flows/sounds/say-de-5.wav",
    "ivr-flows/sounds/say-de-50.wav",
    "ivr-flows/sounds/say-de-6.wav",
    "ivr-flows/sounds/say-de-60.wav",
    "ivr-flows/sounds/say-de-7.wav",
    "ivr-flows/sounds/say-de-70.wav",
    "ivr-flows/sounds/say-de-8.wav",
    "ivr-flows/sounds/say-de-80.wav",
    "ivr-flows/sounds/say-de-9.wav",
    "ivr-flows/sounds/say-de-90.wav",
    "ivr-flows/sounds/say-de-and.wav",
    "ivr-flows/sounds/say-de-day-1.wav",
    "ivr-flows/sounds/say-de-day-10.wav",
    "ivr-flows/sounds/say-de-day-11.wav",
    "ivr-flows/sounds/say-de-day-12.wav",
    "ivr-flows/sounds/say-de-day-13.wav",
    "ivr-flows/sounds/say-de-day-14.wav",
    "ivr-flows/sounds/say-de-day-15.wav",
    "ivr-flows/sounds/say-de-day-16.wav",
    "ivr-flows/sounds/say-de-day-17.wav",
    "ivr-flows/sounds/say-de-day-18.wav",
    "ivr-flows/sounds/say-de-day-19.wav",
    "ivr-flows/sounds/say-de-day-2.wav",
    "ivr-flows/sounds/say-de-day-20.wav",
    "ivr-flows/sounds/say-de-day-3.wav",
    "ivr-flows/sounds/say-de-day-30.wav",
    "ivr-flows/sounds/say-de-day-4.wav",
    "ivr-flows/sounds/say-de-day-5.wav",
    "ivr-flows/sounds/say-de-day-6.wav",
    "ivr-flows/sounds/say-de-day-7.wav",
    "ivr-flows/sounds/say-de-day-8.wav",
    "ivr-flows/sounds/say-de-day-9.wav",
    "ivr-flows/sounds/say-de-hundred.wav",
    "ivr-flows/sounds/say-de-month-1.wav",
    "ivr-flows/sounds/say-de-month-10.wav",
    "ivr-flows/sounds/say-de-month-11.wav",
    "ivr-flows/sounds/say-de-month-12.wav",
    "ivr-flows/sounds/say-de-month-2.wav",
    "ivr-flows/sounds/say-de-month-3.wav",
    "ivr-flows/sounds/say-de-month-4.wav",
    "ivr-flows/sounds/say-de-month-5.wav",
    "ivr-flows/sounds/say-de-month-6.wav",
    "ivr-flows/sounds/say-de-month-7.wav",
    "ivr-flows/sounds/say-de-month-8.wav",
    "ivr-flows/sounds/say-de-month-9.wav",
    "ivr-flows/sounds/say-de-oclock.wav",
    "ivr-flows/sounds/say-de-one.wav",
    "ivr-flows/sounds/say-de-thousand.wav",
    "ivr-flows/sounds/say-en-0.wav",
    "ivr-flows/sounds/say-en-1.wav",
    "ivr-flows/sounds/say-en-10.wav",
    "ivr-flows/sounds/say-en-11.wav",
    "ivr-flows/sounds/say-en-12.wav",
    "ivr-flows/sounds/say-en-13.wav",
    "ivr-flows/sounds/say-en-14.wav",
    "ivr-flows/sounds/say-en-15.wav",
    "ivr-flows/sounds/say-en-16.wav",
    "ivr-flows/sounds/say-en-17.wav",
    "ivr-flows/sounds/say-en-18.wav",
    "ivr-flows/sounds/say-en-19.wav",
    "ivr-flows/sounds/say-en-2.wav",
    "ivr-flows/sounds/say-en-20.wav",
    "ivr-flows/sounds/say-en-3.wav",
    "ivr-flows/sounds/say-en-30.wav",
    "ivr-flows/sounds/say-en-4.wav",
    "ivr-flows/sounds/say-en-40.wav",
    "ivr-flows/sounds/say-en-5.wav",
    "ivr-flows/sounds/say-en-50.wav",
    "ivr-flows/sounds/say-en-6.wav",
    "ivr-flows/sounds/say-en-60.wav",
    "ivr-flows/sounds/say-en-7.wav",
    "ivr-flows/sounds/say-en-70.wav",
    "ivr-flows/sounds/say-en-8.wav",
    "ivr-flows/sounds/say-en-80.wav",
    "ivr-flows/sounds/say-en-9.wav",
    "ivr-flows/sounds/say-en-90.wav",
    "ivr-flows/sounds/say-en-day-1.wav",
    "ivr-flows/sounds/say-en-day-10.wav",
    "ivr-flows/sounds/say-en-day-11.wav",
    "ivr-flows/sounds/say-en-day-12.wav",
    "ivr-flows/sounds/say-en-day-13.wav",
    "ivr-flows/sounds/say-en-day-14.wav",
    "ivr-flows/sounds/say-en-day-15.wav",
    "ivr-flows/sounds/say-en-day-16.wav",
    "ivr-flows/sounds/say-en-day-17.wav",
    "ivr-flows/sounds/say-en-day-18.wav",
    "ivr-flows/sounds/say-en-day-19.wav",
    "ivr-flows/sounds/say-en-day-2.wav",
    "ivr-flows/sounds/say-en-day-20.wav",
    "ivr-flows/sounds/say-en-day-3.wav",
    "ivr-flows/sounds/say-en-day-30.wav",
    "ivr-flows/sounds/say-en-day-4.wav",
    "ivr-flows/sounds/say-en-day-5.wav",
    "ivr-flows/sounds/say-en-day-6.wav",
    "ivr-flows/sounds/say-en-day-7.wav",
    "ivr-flows/sounds/say-en-day-8.wav",
    "ivr-flows/sounds/say-en-day-9.wav",
    "ivr-flows/sounds/say-en-hundred.wav",
    "ivr-flows/sounds/say-en-month-1.wav",
    "ivr-flows/sounds/say-en-month-10.wav",
    "ivr-flows/sounds/say-en-month-11.wav",
    "ivr-flows/sounds/say-en-month-12.wav",
    "ivr-flows/sounds/say-en-month-2.wav",
    "ivr-flows/sounds/say-en-month-3.wav",
    "ivr-flows/sounds/say-en-month-4.wav",
    "ivr-flows/sounds/say-en-month-5.wav",
    "ivr-flows/sounds/say-en-month-6.wav",
    "ivr-flows/sounds/say-en-month-7.wav",
    "ivr-flows/sounds/say-en-month-8.wav",
    "ivr-flows/sounds/say-en-month-9.wav",
    "ivr-flows/sounds/say-en-oclock.wav",
    "ivr-flows/sounds/say-en-oh.wav",
    "ivr-flows/sounds/say-en-thousand.wav",
    "ivr-flows/sounds/welcome.wav",
}

/// What stands before the name of a file that is part of the program.
const BUILT_IN: &str = "(built in) ";

/// Whether a file that problems call so is part of the program, and nobody can write in it.
pub fn is_built_in(shown: &str) -> bool {
    shown.starts_with(BUILT_IN)
}

/// A set of files, some of which name others by relative paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Disk,
    Embedded,
}

impl Source {
    /// How problems call `path`.
    pub fn shown(self, path: &Path) -> String {
        match self {
            Source::Disk => folded(path).display().to_string(),
            Source::Embedded => format!("{BUILT_IN}{}", folded(path).display()),
        }
    }

    /// A text file of at most [`MAX_FILE`] bytes.
    pub fn text(self, path: &Path) -> Result<String, Problem> {
        let wrong = |why: String| Problem::whole(&self.shown(path), why);
        let bytes = match self {
            Source::Disk => read_some(path).map_err(|error| wrong(format!("cannot be read: {error}")))?,
            Source::Embedded => embedded(path).ok_or_else(|| wrong("is not part of the program".into()))?.to_vec(),
        };
        if bytes.len() > MAX_FILE {
            return Err(wrong(format!("is too large; allowed: up to {MAX_FILE} bytes")));
        }
        String::from_utf8(bytes).map_err(|error| {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = good.iter().filter(|b| **b == b'\n').count() + 1;
            wrong(format!("is no UTF-8 text: see line {line}"))
        })
    }

    /// Whether there is a file at `path`.
    pub fn has(self, path: &Path) -> bool {
        match self {
            Source::Disk => path.is_file(),
            Source::Embedded => embedded(path).is_some(),
        }
    }

    /// Whether there is a directory at `path`.
    pub fn has_folder(self, path: &Path) -> bool {
        match self {
            Source::Disk => path.is_dir(),
            Source::Embedded => EMBEDDED.iter().any(|(name, _)| Path::new(name).starts_with(folded(path))),
        }
    }

    /// The names, without extension, of the files in a directory that have this one. In order; none if it cannot be
    /// read.
    pub fn stems(self, dir: &Path, extension: &str) -> Vec<String> {
        let files: Vec<PathBuf> = match self {
            Source::Disk => fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect(),
            Source::Embedded => EMBEDDED.iter().map(|(name, _)| PathBuf::from(name)).collect(),
        };
        let here = |file: &&PathBuf| self == Source::Disk || file.parent() == Some(&folded(dir));
        let files = files.iter().filter(|file| file.extension().is_some_and(|e| e == extension)).filter(here);
        let mut stems: Vec<String> = files.filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned())).collect();
        stems.sort();
        stems
    }

    /// The recording at `path`, if there is one.
    pub fn recording(self, path: &Path) -> Option<Recording> {
        match self {
            Source::Disk => path.is_file().then(|| Recording::File(path.into())),
            Source::Embedded => embedded(path).map(Recording::Embedded),
        }
    }
}

/// Reads one byte more than is allowed at most, so that a larger file is noticed and never held.
fn read_some(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn embedded(path: &Path) -> Option<&'static [u8]> {
    let path = folded(path);
    EMBEDDED.iter().find(|(name, _)| Path::new(name) == path).map(|(_, bytes)| *bytes)
}

/// `path` without `.` and `x/..`, by its letters only: to be read by people, and for embedded files.
fn folded(path: &Path) -> PathBuf {
    let mut folded = PathBuf::new();
    for part in path.components() {
        match (part, folded.components().next_back()) {
            (Component::CurDir, _) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => drop(folded.pop()),
            _ => folded.push(part),
        }
    }
    folded
}
