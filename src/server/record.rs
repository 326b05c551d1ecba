//! Recording every input of the engine, and replaying a recording.
//!
//! The first line of a recording is what the engine was started with, each further one an input with its time, all
//! as JSON. Passwords never pass the engine's door, so none is in a recording; Digest responses and keys of audio are taken
//! out ([`redact`]). Numbers, addresses, the keys that callers press, PINs with them, and the seed that nonces come from
//! are there: the file is for its owner only.

mod redact;

use super::store::Reader;
use super::wrong::OrWrong;
use crate::engine::{Configuration, Engine, Input, Output, Start};
use crate::log::{self, Fingerprint};
use crate::time::Instant;
use anyhow::{Context, Result, bail};
use std::fs::{File, Permissions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A recording that is being written.
pub struct Recorder {
    out: BufWriter<File>,
    /// When it was last made safe from the end of this process.
    safe: Instant,
}

/// Earlier recordings beside the present one.
const MOST_KEPT: u32 = 1_000;
/// So much of a recording a kill may cost.
const AT_RISK: Duration = Duration::from_secs(1);

impl Recorder {
    pub fn create(path: &Path, start: &Start, config: &Configuration) -> Result<Recorder> {
        keep_earlier(path)?;
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
        let file = file.with_context(|| format!("cannot write the recording {}", path.display()))?;
        // A file that was there before keeps its mode otherwise; a device such as /dev/null is not ours to change.
        if file.metadata()?.is_file() {
            let only_ours = file.set_permissions(Permissions::from_mode(0o600));
            only_ours.with_context(|| format!("cannot keep {} from others", path.display()))?;
        }
        let mut recorder = Recorder { out: BufWriter::new(file), safe: Instant::ZERO };
        recorder.line(&(start, config))?;
        recorder.flush()?;
        Ok(recorder)
    }

    pub fn input(&mut self, now: Instant, input: &Input) -> Result<()> {
        self.line(&(now, redact::redacted(input)))?;
        if now.since(self.safe) >= AT_RISK {
            self.safe = now;
            self.flush()?;
        }
        Ok(())
    }

    /// Makes everything so far safe.
    pub fn flush(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }

    fn line(&mut self, value: &impl serde::Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.out, value)?;
        Ok(self.out.write_all(b"\n")?)
    }
}

/// A recording that is there already, of a start that ended perhaps by what is looked for, is kept as `FILE.1`, and one
/// after it as `FILE.2`.
fn keep_earlier(path: &Path) -> Result<()> {
    if !std::fs::metadata(path).is_ok_and(|old| old.is_file() && old.len() > 0) {
        return Ok(());
    }
    let kept = |number: u32| {
        let mut kept = path.as_os_str().to_owned();
        kept.push(format!(".{number}"));
        PathBuf::from(kept)
    };
    let free = (1..=MOST_KEPT).map(kept).find(|kept| !kept.exists());
    let free = free.with_context(|| format!("there are {MOST_KEPT} earlier recordings beside {}", path.display()))?;
    std::fs::rename(path, free).with_context(|| format!("cannot keep the recording {}", path.display()))
}

/// Runs a recording through a fresh engine. Returns what to print: how many events came, and their fingerprint; with
/// `data`, whether they are those of the log there.
///
/// # Errors
/// The recording cannot be read, or the events differ; the text names the first difference.
pub fn replay(path: &Path, data: Option<&Path>) -> Result<String> {
    let file = File::open(path).with_context(|| format!("cannot read the recording {}", path.display())).or_wrong()?;
    // Bytes, for a full disk ends a line anywhere, also within a letter.
    let mut lines = BufReader::new(file).split(b'\n');
    let head = lines.next().with_context(|| format!("{} is empty", path.display())).or_wrong()??;
    let (start, config): (Start, Configuration) = serde_json::from_slice(&head)
        .with_context(|| format!("{}:1: this is no start of a recording", path.display()))
        .or_wrong()?;
    let log = data.map(Reader::of).transpose()?;
    let mut engine = Engine::new(start, config);
    let mut heard = Heard { log, ..Heard::default() };
    heard.take(&mut engine)?;
    let (mut lines, mut cut) = (lines.enumerate().peekable(), false);
    while let Some((number, line)) = lines.next() {
        let (now, input): (Instant, Input) = match serde_json::from_slice(&line?) {
            Ok(read) => read,
            // What a kill left of the last line.
            Err(why) if why.is_eof() && lines.peek().is_none() => {
                cut = true;
                break;
            }
            Err(why) => return Err(why).with_context(|| format!("line {} is no input", number + 2)).or_wrong(),
        };
        engine.handle(now, input);
        heard.take(&mut engine)?;
    }
    let same = if heard.log.is_some() { ", the same as in the log" } else { "" };
    let mut told = format!("{} events{same}, fingerprint {}\n", heard.count, heard.fingerprint);
    if cut {
        told += "the recording ends in the middle of an input, as one that is being written, or was when its server was killed\n";
    }
    if heard.log_goes_on()? {
        told += "the log of that start goes on: what came after these events is not in the recording\n";
    }
    Ok(told)
}

#[derive(Default)]
struct Heard {
    count: u64,
    fingerprint: Fingerprint,
    log: Option<Reader>,
    last: u64,
}

impl Heard {
    /// Whether the log has more of the start that was recorded: the next one begins by saying so.
    fn log_goes_on(&self) -> Result<bool> {
        let next = self.log.as_ref().map(|log| log.line(self.last + 1)).transpose()?.flatten();
        let begins = |line: &str| log::decode(log::VERSION, line).map(|event| event.what.name());
        Ok(next.is_some_and(|line| begins(&line).is_ok_and(|name| name != "EngineStarted")))
    }

    fn take(&mut self, engine: &mut Engine) -> Result<()> {
        while let Some(output) = engine.poll() {
            let Output::Event(event) = output else { continue };
            let line = log::encode(&event);
            if let Some(log) = &self.log {
                match log.line(event.seq)? {
                    Some(written) if written == line => {}
                    Some(written) => bail!("event {} differs\n  log:    {written}\n  replay: {line}", event.seq),
                    None => bail!("event {} is not in the log\n  replay: {line}", event.seq),
                }
            }
            self.fingerprint.add(&line);
            self.count += 1;
            self.last = event.seq;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Options, World};

    /// By a kill, or a full disk: what came before is replayed.
    #[test]
    fn a_recording_may_end_within_a_letter() {
        let dir = std::env::temp_dir().join(format!("tierline-record-cut-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let mut world = World::new(Options { record: true, duration: Duration::from_secs(60), ..Options::scripted() });
        world.run();
        let (start, config, inputs) = world.recording();
        let path = dir.join("calls");
        let mut recorder = Recorder::create(&path, &start, &config).unwrap();
        inputs.iter().for_each(|(now, input)| recorder.input(*now, input).unwrap());
        drop(recorder);
        let whole = replay(&path, None).unwrap();
        assert!(inputs.len() > 10 && !whole.contains("ends in the middle"), "{} inputs, {whole}", inputs.len());
        let end = "[5,{\"Mü".as_bytes();
        File::options().append(true).open(&path).unwrap().write_all(&end[..end.len() - 1]).unwrap();
        let cut = replay(&path, None).unwrap();
        assert_eq!(cut.lines().next(), whole.lines().next());
        assert!(cut.contains("the recording ends in the middle of an input"), "{cut}");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    /// A server that starts again after a crash must not take away what was recorded of it.
    #[test]
    fn an_earlier_recording_is_kept() {
        let dir = std::env::temp_dir().join(format!("tierline-record-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("calls");
        for (earlier, kept) in [("", None), ("what came before", Some("what came before"))] {
            std::fs::write(&path, earlier).unwrap();
            keep_earlier(&path).unwrap();
            assert_eq!(std::fs::read_to_string(dir.join("calls.1")).ok().as_deref(), kept);
        }
        keep_earlier(&path).unwrap(); // there is none
        std::fs::write(&path, "the start after it").unwrap();
        keep_earlier(&path).unwrap();
        let kept = ["calls.1", "calls.2"].map(|name| std::fs::read_to_string(dir.join(name)).unwrap());
        assert_eq!(kept, ["what came before", "the start after it"]);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
