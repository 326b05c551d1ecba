//! Brings every sound's audio together before the start: recordings are read, and texts that nobody has
//! recorded are spoken by a program, once, into a directory of the data.
//!
//! Texts reach the program in a file, never through a shell or an option. What it wrote is looked at before
//! it takes its place in the directory, so a program that was killed half-way leaves nothing behind that is heard.

use crate::config::{self, Problem, Problems, Recording, Sound};
use crate::ivr::PromptText;
use crate::media::Sounds;
use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Largest recording, in bytes: an hour of 8 kHz mono, 16 bits.
const MAX_WAV: u64 = 60 << 20;
/// How long a program may speak one text.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether the program has ended.
const GLANCE: Duration = Duration::from_millis(5);

/// The audio of all sounds.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Sound name → its WAV.
    pub wavs: Vec<(String, Cow<'static, [u8]>)>,
    /// Sounds that are heard though something about them is not right.
    pub warnings: Vec<Problem>,
}

/// A program that speaks, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// English only.
    Flite(PathBuf),
    EspeakNg(PathBuf),
}

impl Speaker {
    /// The programs that are installed (in `PATH`), the better voice first.
    pub fn installed() -> Vec<Speaker> {
        let find = |name| {
            let path = std::env::var_os("PATH")?;
            std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
        };
        [find("flite").map(Speaker::Flite), find("espeak-ng").map(Speaker::EspeakNg)].into_iter().flatten().collect()
    }

    pub fn name(&self) -> &'static str {
        match self {
            Speaker::Flite(_) => "flite",
            Speaker::EspeakNg(_) => "espeak-ng",
        }
    }

    fn speaks(&self, language: &str) -> bool {
        match self {
            Speaker::Flite(_) => primary(language) == "en",
            Speaker::EspeakNg(_) => true,
        }
    }

    fn command(&self, language: &str, text: &Path, wav: &Path) -> Command {
        match self {
            Speaker::Flite(program) => {
                let mut command = Command::new(program);
                command.args(["-voice", "slt", "-f"]).arg(text).arg("-o").arg(wav);
                command
            }
            Speaker::EspeakNg(program) => {
                let mut command = Command::new(program);
                command.args(["-v", &primary(language), "-f"]).arg(text).arg("-w").arg(wav);
                command
            }
        }
    }
}

/// `de` of `de-AT`.
fn primary(language: &str) -> String {
    language.split('-').next().unwrap_or_default().to_ascii_lowercase()
}

/// The audio of all `sounds`. Texts are spoken by the first of `speakers` that can, into `dir`, where they stay.
/// A text that cannot be spoken is a problem, or, beside an outdated recording, a warning.
pub fn gather(sounds: &[Sound], dir: &Path, speakers: &[Speaker]) -> Result<Gathered, Problems> {
    let (mut gathered, mut problems) = (Gathered::default(), Vec::new());
    for sound in sounds {
        match audio(sound, dir, speakers, &mut gathered.warnings) {
            Ok(wav) => gathered.wavs.push((sound.name.clone(), wav)),
            Err(error) => problems.push(Problem::whole(&sound.place, format!("{error:#}"))),
        }
    }
    if problems.is_empty() { Ok(gathered) } else { Err(Problems(problems)) }
}

/// Whether [`gather`] would bring all `sounds` together, without speaking any: each recording is read as it would be
/// played, and for each text that must be spoken there is a program, or it was spoken before.
pub fn foresee(sounds: &[Sound], dir: &Path, speakers: &[Speaker]) -> Result<(), Problems> {
    let mut problems = Vec::new();
    for sound in sounds {
        let spoken = sound.speak.as_ref().is_some_and(|prompt| was_spoken(prompt, dir).is_some());
        let usable = match (&sound.recording, &sound.speak) {
            (None, Some(prompt)) if !spoken => speaker_of(prompt, speakers).map(drop),
            (Some(recording), _) => read(recording).and_then(|wav| playable(sound, &wav)),
            (None, _) => Ok(()),
        };
        problems.extend(usable.err().map(|error| Problem::whole(&sound.place, format!("{error:#}"))));
    }
    if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
}

fn playable(sound: &Sound, wav: &[u8]) -> Result<()> {
    Sounds::check_wav(wav).map_err(|why| anyhow::anyhow!("{} cannot be used: {why}", called(sound)))
}

/// By its file, if it has one: what a program makes of a text has a name that nobody gave.
pub fn called(sound: &Sound) -> String {
    match &sound.recording {
        Some(Recording::File(path)) => config::shown(path),
        _ => format!("the sound `{}`", sound.name),
    }
}

fn audio(sound: &Sound, dir: &Path, speakers: &[Speaker], warnings: &mut Vec<Problem>) -> Result<Cow<'static, [u8]>> {
    let spoken = sound.speak.as_ref().map(|prompt| spoken(prompt, dir, speakers));
    match (spoken, &sound.recording) {
        (Some(Ok(wav)), _) => Ok(wav.into()),
        (Some(Err(error)), Some(recording)) => {
            let message = format!("an old recording with another text is heard: {error:#}");
            warnings.push(Problem::whole(&sound.place, message));
            read(recording)
        }
        (None, Some(recording)) => read(recording),
        (Some(Err(error)), None) => Err(error),
        (None, None) => bail!("the sound `{}` has neither a recording nor a text", sound.name),
    }
}

fn read(recording: &Recording) -> Result<Cow<'static, [u8]>> {
    match recording {
        Recording::Embedded(bytes) => Ok(Cow::Borrowed(bytes)),
        Recording::File(path) => Ok(read_file(path)?.into()),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let file = fs::File::open(path).with_context(|| format!("{} cannot be read", config::shown(path)))?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_WAV + 1).read_to_end(&mut bytes);
    read.with_context(|| format!("{} cannot be read", config::shown(path)))?;
    ensure!(bytes.len() as u64 <= MAX_WAV, "{} is too large; allowed: up to {MAX_WAV} bytes", config::shown(path));
    Ok(bytes)
}

/// Where a spoken text is kept: another text, or another language, is another file.
fn place_of(prompt: &PromptText, dir: &Path) -> (PathBuf, String) {
    let key = Sha256::new().chain_update(&prompt.language).chain_update([0]).chain_update(&prompt.text).finalize();
    let key: String = key.iter().take(8).map(|b| format!("{b:02x}")).collect();
    (dir.join(format!("{}-{key}.wav", prompt.name)), key)
}

fn was_spoken(prompt: &PromptText, dir: &Path) -> Option<Vec<u8>> {
    read_file(&place_of(prompt, dir).0).ok().filter(|bytes| has_audio(bytes))
}

fn shown(prompt: &PromptText) -> String {
    prompt.text.chars().take(60).collect()
}

fn speaker_of<'s>(prompt: &PromptText, speakers: &'s [Speaker]) -> Result<&'s Speaker> {
    speakers.iter().find(|speaker| speaker.speaks(&prompt.language)).with_context(|| {
        format!(
            "nobody has recorded \"{}\" ({}), and no program that could speak it is installed; \
             install {}, or put a recording beside the flow's others and list its text in texts.toml",
            shown(prompt),
            prompt.language,
            if primary(&prompt.language) == "en" { "flite or espeak-ng" } else { "espeak-ng" },
        )
    })
}

/// The WAV of a text: from `dir` if it was spoken before, else spoken now.
fn spoken(prompt: &PromptText, dir: &Path, speakers: &[Speaker]) -> Result<Vec<u8>> {
    if let Some(bytes) = was_spoken(prompt, dir) {
        return Ok(bytes);
    }
    let (speaker, (wav, key)) = (speaker_of(prompt, speakers)?, place_of(prompt, dir));
    let shown = shown(prompt);
    fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    let draft = Draft::new(dir, &key);
    speak(speaker, prompt, &draft).with_context(|| format!("\"{shown}\" could not be spoken"))?;
    let bytes = read_file(&draft.wav)?;
    ensure!(has_audio(&bytes), "\"{shown}\" could not be spoken: the program wrote no audio");
    fs::rename(&draft.wav, &wav).with_context(|| format!("{} cannot be written", wav.display()))?;
    Ok(bytes)
}

/// Files that exist while a program speaks.
struct Draft {
    text: PathBuf,
    wav: PathBuf,
}

impl Draft {
    fn new(dir: &Path, key: &str) -> Draft {
        let file = |kind| dir.join(format!("draft-{key}-{}.{kind}", std::process::id()));
        Draft { text: file("txt"), wav: file("wav") }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Gone already where all went well.
        drop((fs::remove_file(&self.text), fs::remove_file(&self.wav)));
    }
}

fn speak(speaker: &Speaker, prompt: &PromptText, draft: &Draft) -> Result<()> {
    fs::write(&draft.text, format!("{}\n", prompt.text))?;
    let mut command = speaker.command(&prompt.language, &draft.text, &draft.wav);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().with_context(|| format!("{command:?} does not start"))?;
    let status = wait(child, PATIENCE)?;
    ensure!(status.success(), "{command:?} failed with {status}");
    Ok(())
}

/// Waits for the end of `child`, which is ended after `patience`.
#[allow(clippy::disallowed_methods, reason = "the shell may wait, and nothing else runs before the start")]
fn wait(mut child: Child, patience: Duration) -> Result<std::process::ExitStatus> {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if begin.elapsed() > patience {
            child.kill()?;
            child.wait()?;
            bail!("the program did not end within {} s", patience.as_secs());
        }
        std::thread::sleep(GLANCE);
    }
}

fn has_audio(wav: &[u8]) -> bool {
    hound::WavReader::new(wav).is_ok_and(|reader| reader.len() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Dir {
            let dir = std::env::temp_dir().join(format!("tierline-speech-{}-{name}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            Dir(dir)
        }

        /// A program whose fourth argument is the text's file and whose sixth the WAV's. It is put in place by
        /// another process: a file that this one has open for writing, if only in a fork, cannot be started.
        fn program(&self, name: &str, script: &str) -> PathBuf {
            let (source, path) = (self.0.join(format!("{name}.sh")), self.0.join(name));
            fs::write(&source, format!("#!/bin/sh\n{script}\n")).unwrap();
            let copied = Command::new("install").args(["-m", "755"]).arg(&source).arg(&path).status().unwrap();
            assert!(copied.success());
            path
        }

        fn files(&self, dir: &str) -> usize {
            fs::read_dir(self.0.join(dir)).map(Iterator::count).unwrap_or_default()
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    fn wav(samples: usize) -> Vec<u8> {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut bytes = std::io::Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
        (0..samples).for_each(|_| writer.write_sample(7i16).unwrap());
        writer.finalize().unwrap();
        bytes.into_inner()
    }

    fn sound(text: &str, language: &str, recording: Option<Recording>) -> Sound {
        let speak = Some(PromptText { name: "hello".into(), text: text.into(), language: language.into() });
        Sound { name: "hello".into(), place: "f.toml:3:8".into(), recording, speak }
    }

    #[test]
    fn a_text_is_spoken_once_and_kept() {
        let dir = Dir::new("once");
        fs::write(dir.0.join("good.wav"), wav(160)).unwrap();
        let script = "echo said >> \"$(dirname \"$0\")/log\"; cat \"$4\" >> \"$(dirname \"$0\")/log\"; \
            cp \"$(dirname \"$0\")/good.wav\" \"$6\"";
        let speakers = [Speaker::Flite(dir.program("flite", script))];
        let text = "It's $(touch owned) \"quoted\"; -o x";
        for _ in 0..2 {
            let gathered = gather(&[sound(text, "en", None)], &dir.0.join("prompts"), &speakers).unwrap();
            assert_eq!(gathered.wavs, [("hello".into(), Cow::Owned(wav(160)))]);
            assert_eq!((gathered.warnings.len(), dir.files("prompts")), (0, 1));
        }
        assert_eq!(fs::read_to_string(dir.0.join("log")).unwrap(), format!("said\n{text}\n"));
        // Another text of the same name is another file.
        gather(&[sound("Other.", "en-GB", None)], &dir.0.join("prompts"), &speakers).unwrap();
        assert_eq!(dir.files("prompts"), 2);
    }

    #[test]
    fn what_cannot_be_spoken_is_told() {
        let dir = Dir::new("told");
        let empty = dir.0.join("empty.wav");
        fs::write(&empty, wav(0)).unwrap();
        let mute = Speaker::Flite(dir.program("mute", "cp \"$(dirname \"$0\")/empty.wav\" \"$6\""));
        let broken = Speaker::EspeakNg(dir.program("broken", "echo half > \"$6\"; exit 3"));
        let absent = Speaker::EspeakNg(dir.0.join("absent"));
        let rows: [(&str, &[Speaker], &str); 6] = [
            ("en", &[], "install flite or espeak-ng"),
            ("de-AT", &[], "install espeak-ng, or put"),
            ("de", std::slice::from_ref(&mute), "install espeak-ng, or put"),
            ("en", std::slice::from_ref(&mute), "the program wrote no audio"),
            ("de", &[broken], "failed with exit status: 3"),
            ("de", &[absent], "does not start: No such file"),
        ];
        for (language, speakers, part) in rows {
            let prompts = dir.0.join("prompts");
            let told = gather(&[sound("Hello.", language, None)], &prompts, speakers).unwrap_err().to_string();
            assert!(told.starts_with("f.toml:3:8: ") && told.contains(part), "{told}");
            assert_eq!(dir.files("prompts"), 0, "drafts are removed");
            // Beside an old recording, the same is a warning.
            let old = Some(Recording::Embedded(b"old"));
            let gathered = gather(&[sound("Hello.", language, old)], &prompts, speakers).unwrap();
            assert_eq!(gathered.wavs[0].1.as_ref(), b"old");
            assert!(gathered.warnings[0].message.contains(part), "{:?}", gathered.warnings);
        }
    }

    #[test]
    fn a_program_that_does_not_end_is_ended() {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let told = wait(child, Duration::ZERO).unwrap_err().to_string();
        assert_eq!(told, "the program did not end within 0 s");
    }

    #[test]
    fn what_a_start_would_lack_is_foreseen() {
        let dir = Dir::new("foreseen");
        let absent = [Speaker::EspeakNg(dir.0.join("absent"))];
        let check = |sound: Sound, speakers: &[Speaker], part: &str| {
            let told = foresee(&[sound], &dir.0, speakers).err().map(|told| told.to_string()).unwrap_or_default();
            assert!(told.contains(part) && told.is_empty() == part.is_empty(), "{part}: {told}");
        };
        check(sound("Hello.", "en", None), &[], "f.toml:3:8: nobody has recorded \"Hello.\" (en)");
        check(sound("Hello.", "en", None), &absent, "");
        let kept = place_of(sound("Hello.", "en", None).speak.as_ref().unwrap(), &dir.0).0;
        fs::write(&kept, wav(160)).unwrap();
        check(sound("Hello.", "en", None), &[], "");
        let old = dir.0.join("old.wav");
        fs::write(&old, b"no WAV").unwrap();
        check(sound("Hello.", "en", Some(Recording::File(old))), &absent, "old.wav cannot be used");
        let none = Some(Recording::File(dir.0.join("none.wav")));
        check(sound("Hello.", "en", none), &absent, "none.wav cannot be read: No such file");
    }

    #[test]
    fn recordings_are_read() {
        let dir = Dir::new("read");
        let file = dir.0.join("a.wav");
        fs::write(&file, b"any").unwrap();
        let sound = |path: PathBuf| Sound {
            name: "a".into(),
            place: "f.toml:1:1".into(),
            recording: Some(Recording::File(path)),
            speak: None,
        };
        assert_eq!(gather(&[sound(file)], &dir.0, &[]).unwrap().wavs[0].1.as_ref(), b"any");
        let told = gather(&[sound(dir.0.join("b.wav"))], &dir.0, &[]).unwrap_err().to_string();
        assert!(told.starts_with("f.toml:1:1: ") && told.contains("b.wav cannot be read: No such file"), "{told}");
    }
}
