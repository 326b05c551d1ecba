//! Every command that the README and the guides show is run as it stands there, on the demo center with its own
//! ports, in a network namespace of its own, so that it meets nothing else on this machine. Needs root, as tcpdump
//! in the interop tests does. Every piece of a flow or of the configuration that they show is put into a center and
//! checked; what else stands in a block is a picture (`text`).

#![allow(clippy::disallowed_methods, reason = "real programs run in real time")]

#[path = "place/alone.rs"]
mod alone;
#[path = "docs/flows.rs"]
mod flows;
#[path = "docs/pictures.rs"]
mod pictures;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TIERLINE: &str = env!("CARGO_BIN_EXE_tierline");
/// What stands before a command that people type in a checkout, and after an installation.
const PREFIXES: [&str; 2] = ["cargo run --release -- ", "tierline "];
/// Programs of others that guides use.
const OTHERS: [&str; 4] = ["mkdir", "cp", "sqlite3", "test"];
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

/// As a shell takes them: what stands in quotes is one word.
fn words_of(line: &str) -> Vec<&str> {
    let parts = line.split('"').enumerate();
    parts.flat_map(|(n, part)| if n % 2 == 1 { vec![part] } else { part.split_whitespace().collect() }).collect()
}

impl Drop for Place {
    fn drop(&mut self) {
        self.running.clear(); // they write there
        _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The kinds of a page's blocks, and what stands in those of one of them.
fn blocks(page: &str) -> Vec<(String, String)> {
    let (mut blocks, mut inside) = (Vec::<(String, String)>::new(), false);
    for line in page.lines() {
        match line.trim_start().strip_prefix("```") {
            Some(_) if inside => inside = false,
            Some(kind) => {
                inside = true;
                blocks.push((kind.to_owned(), String::new()));
            }
            None if inside => blocks.last_mut().into_iter().for_each(|(_, text)| *text += &format!("{line}\n")),
            None => {}
        }
    }
    blocks
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
    /// By the commands that have ended.
    said: Vec<String>,
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
        alone::network();
        Place { dir, running: Vec::new(), said: Vec::new() }
    }

    fn run(&mut self, command: &str) {
        if OTHERS.iter().any(|other| command.split_whitespace().next() == Some(other)) {
            let output = Command::new("sh").args(["-ec", command]).current_dir(&self.dir).output().expect("a shell");
            assert!(output.status.success(), "`{command}` fails: {output:?}");
            return;
        }
        let words = PREFIXES.iter().find_map(|prefix| command.strip_prefix(prefix));
        let words = words.unwrap_or_else(|| panic!("`{command}` is none of ours: the test cannot run it"));
        let words: Vec<&str> = words_of(words);
        match words.as_slice() {
            ["serve"] if self.running.is_empty() => self.start(&words, "Try, in a second"),
            ["serve"] => {} // it is running
            ["calls" | "report" | "records" | "banner", ..] if self.running.is_empty() => {
                self.start(&["serve"], "Try, in a second"); // what needs a server, or its log
                self.calls();
                self.finish(command, &words);
            }
            ["ticketing"] => self.start(&words, "tickets are kept"),
            ["phone", "--user", _, "--dial", ..] => self.finish(command, &words),
            ["phone", "--user", ..] => self.start(&words, "Registered"),
            _ => self.finish(command, &words),
        }
    }

    /// Two have called, and hung up in the flow: what lists and counts has something to list and count.
    fn calls(&self) {
        let tierline = |words: &[&str]| {
            let mut command = Command::new(TIERLINE);
            command.args(words).current_dir(&self.dir).stdin(Stdio::null()).output().expect("tierline runs")
        };
        for _ in 0..2 {
            let call = tierline(&["phone", "--dial", "100", "--hang-up", "1"]);
            assert!(call.status.success(), "{call:?}");
        }
        let begun = Instant::now();
        let recorded = || {
            let report = tierline(&["report", "line", "--csv"]);
            String::from_utf8_lossy(&report.stdout).contains(",support,2,0,0,0,2,")
        };
        while !recorded() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the records never have both calls");
            std::thread::park_timeout(Duration::from_millis(50));
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
            assert!(begun.elapsed() < Duration::from_secs(120), "`{words:?}` never said `{ready}`");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    fn finish(&mut self, shown: &str, words: &[&str]) {
        let mut command = Command::new(TIERLINE);
        let output = command.args(words).current_dir(&self.dir).stdin(Stdio::null()).output().expect("tierline runs");
        let said = [output.stdout.as_slice(), output.stderr.as_slice()].map(String::from_utf8_lossy).join("\n");
        // A doctor may have warnings, for this is not the machine of a support center.
        // Nor has anybody called yet from the number that is erased.
        let failed = output.status.code() == Some(1);
        let well =
            output.status.success() || (words[0] == "doctor" && failed) || said.contains("nothing is kept of this");
        assert!(well, "`{shown}` fails:\n{said}");
        assert!(!said.trim().is_empty() || shown.contains("--json"), "`{shown}` says nothing");
        let of_today = words.starts_with(&["report", "line"]) || words.starts_with(&["report", "flow"]);
        assert!(!of_today || shown.contains("--from") || !said.contains("nothing in this time"), "`{shown}`:\n{said}");
        self.said.push(said);
    }
}

fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("the page is there")
}

fn check(name: &str, least: usize) {
    let (page, text) = (name, page(name));
    let commands = commands(&text);
    assert!(commands.len() >= least, "{page} shows {commands:?}");
    let mut place = Place::new(&page.replace('/', "-"));
    commands.iter().for_each(|command| place.run(command));
    pictures::check(page, &place.said);
}

const GUIDES: [&str; 11] = [
    "README.md",
    "docs/agents.md",
    "docs/configuration.md",
    "docs/flows.md",
    "docs/integrators.md",
    "docs/operators.md",
    "docs/planners.md",
    "docs/proven.md",
    "docs/records.md",
    "docs/speed.md",
    "docs/supervisors.md",
];

#[test]
fn every_block_of_every_guide_is_of_a_kind_that_is_tested() {
    for name in GUIDES {
        for (kind, text) in blocks(&page(name)) {
            let tested = match kind.as_str() {
                "sh" => true, // by the test of this page
                "toml" => flows::LOOKED_AT.contains(&name),
                kind => kind == pictures::KIND,
            };
            assert!(tested, "{name}: nobody tries `{kind}`:\n{text}");
        }
    }
    let all = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).expect("the guides");
    let names = all.map(|entry| format!("docs/{}", entry.expect("a guide").file_name().to_string_lossy()));
    let strangers: Vec<_> = names.filter(|name| !GUIDES.contains(&&**name) && name != "docs/metrics.md").collect();
    assert!(strangers.is_empty(), "{strangers:?} are not looked at");
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
