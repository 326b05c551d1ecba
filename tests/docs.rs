//! Every command that the README and the guides show is run as it stands there, on the demo center with its own
//! ports, in a network namespace of its own, so that it meets nothing else on this machine. Needs root, as tcpdump
//! in the interop tests does.

#![allow(clippy::disallowed_methods, reason = "real programs run in real time")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TIERLINE: &str = env!("CARGO_BIN_EXE_tierline");
/// What stands before a command that people type in a checkout, and after an installation.
const PREFIXES: [&str; 2] = ["cargo run --release -- ", "tierline "];
/// The command that runs this test.
const SELF: &str = "make test";

/// The commands of a page's `sh` blocks, without comments.
fn commands(page: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match line.trim_start().strip_prefix("```") {
            Some(kind) => inside = !inside && kind == "sh",
            None if inside => commands.push(line.split(" #").next().unwrap_or("").trim().to_owned()),
            None => {}
        }
    }
    commands.retain(|command| !command.is_empty() && command != SELF);
    commands
}

impl Drop for Place {
    fn drop(&mut self) {
        self.running.clear(); // they write there
        _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// A folder like a fresh checkout, and a network with nothing but a loopback.
struct Place {
    dir: PathBuf,
    running: Vec<Running>,
}

impl Place {
    fn new(name: &str) -> Place {
        let dir = std::env::temp_dir().join(format!("tierline-docs-{}-{name}", std::process::id()));
        _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).expect("a folder for the test");
        for shipped in ["deploy", "ivr-flows"] {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(shipped);
            std::os::unix::fs::symlink(from, dir.join(shipped)).expect("the shipped files");
        }
        // SAFETY: a plain system call; it concerns this thread and what it starts.
        let alone = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        assert_eq!(alone, 0, "a network of one's own needs root: {}", std::io::Error::last_os_error());
        let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().expect("`ip` is there: make tools");
        assert!(up.success());
        Place { dir, running: Vec::new() }
    }

    fn run(&mut self, command: &str) {
        let words = PREFIXES.iter().find_map(|prefix| command.strip_prefix(prefix));
        let words = words.unwrap_or_else(|| panic!("`{command}` is none of ours: the test cannot run it"));
        let words: Vec<&str> = words.split_whitespace().collect();
        match words.as_slice() {
            ["serve"] if self.running.is_empty() => self.start(&words, "Try, in a second"),
            ["serve"] => {} // it is running
            ["calls" | "report" | "records" | "banner", ..] if self.running.is_empty() => {
                self.start(&["serve"], "Try, in a second"); // what needs a server, or its log
                self.finish(command, &words);
            }
            ["ticketing"] => self.start(&words, "tickets are kept"),
            ["phone", "--user", _, "--dial", ..] => self.finish(command, &words),
            ["phone", "--user", ..] => self.start(&words, "Registered"),
            _ => self.finish(command, &words),
        }
    }

    fn output(&self, kind: &str) -> (File, PathBuf) {
        let path = self.dir.join(format!("{}.{kind}", self.running.len()));
        (File::create(&path).expect("a file for a program's output"), path)
    }

    /// Starts what runs on, and waits until it says that it does.
    fn start(&mut self, words: &[&str], ready: &str) {
        let ((out, path), (err, _)) = (self.output("out"), self.output("err"));
        let mut command = Command::new(TIERLINE);
        command.args(words).current_dir(&self.dir).stdin(Stdio::null()).stdout(out).stderr(err);
        self.running.push(Running(command.spawn().expect("tierline starts")));
        let begun = Instant::now();
        while !std::fs::read_to_string(&path).is_ok_and(|said| said.contains(ready)) {
            assert!(begun.elapsed() < Duration::from_secs(30), "`{words:?}` never said `{ready}`");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    fn finish(&self, shown: &str, words: &[&str]) {
        let mut command = Command::new(TIERLINE);
        let output = command.args(words).current_dir(&self.dir).stdin(Stdio::null()).output().expect("tierline runs");
        let said = [output.stdout.as_slice(), output.stderr.as_slice()].map(String::from_utf8_lossy).join("\n");
        // A doctor may have warnings, for this is not the machine of a support center.
        let well = output.status.success() || (words[0] == "doctor" && output.status.code() == Some(1));
        assert!(well, "`{shown}` fails:\n{said}");
        assert!(!said.trim().is_empty() || shown.contains("--json"), "`{shown}` says nothing");
    }
}

fn check(page: &str, least: usize) {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).expect("the page is there");
    let commands = commands(&text);
    assert!(commands.len() >= least, "{page} shows {commands:?}");
    let mut place = Place::new(&page.replace('/', "-"));
    commands.iter().for_each(|command| place.run(command));
}

#[test]
fn the_readme_can_be_followed() {
    check("README.md", 6);
}

#[test]
fn the_planners_guide_can_be_followed() {
    check("docs/planners.md", 2);
}

#[test]
fn the_integrators_guide_can_be_followed() {
    check("docs/integrators.md", 5);
}

#[test]
fn the_supervisors_guide_can_be_followed() {
    check("docs/supervisors.md", 9);
}

#[test]
fn the_agents_guide_can_be_followed() {
    check("docs/agents.md", 7);
}

#[test]
fn the_operators_guide_can_be_followed() {
    check("docs/operators.md", 4);
}

#[test]
fn the_reference_of_the_settings_is_made_from_the_code() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let page = tierline::config::reference();
    if std::env::var("SETTINGS").is_ok_and(|value| value == "rewrite") {
        std::fs::write(&file, &page).expect("the page can be written");
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = page.lines().zip(written.lines()).find(|(made, written)| made != written);
    assert!(page == written, "docs/configuration.md is old (SETTINGS=rewrite writes it anew), first at {differs:?}");
}

#[test]
fn the_reference_of_the_numbers_is_made_from_the_code() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let page = tierline::stats::reference();
    if std::env::var("METRICS").is_ok_and(|value| value == "rewrite") {
        std::fs::write(&file, &page).expect("the page can be written");
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = page.lines().zip(written.lines()).find(|(made, written)| made != written);
    assert!(page == written, "docs/metrics.md is old (METRICS=rewrite writes it anew), first at {differs:?}");
}
