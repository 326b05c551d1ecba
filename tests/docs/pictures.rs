//! Pictures of what programs print: each is in a scenario's golden drawing, or printed by one of its page's own commands, or
//! looked at by somebody who is named.

use super::{Place, Running, TIERLINE, blocks, page};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The kind of their blocks.
pub const KIND: &str = "text";

/// Pictures that no command of their page prints: how each begins, and who looks at it.
const OF_NO_COMMAND: [(&str, &str, &str); 4] = [
    ("README.md", "deploy/tierline.toml:", "the_readmes_mistake_is_told_as_it_says"),
    ("docs/agents.md", "10:", "an_agents_desktop_tells_what_the_guide_shows"),
    ("docs/operators.md", "2026-", "lines of a day, whose kinds are in the journal's own tests"),
    (
        "docs/supervisors.md",
        "complete up to",
        "what stands above a report beside calls that run: the reports' own tests",
    ),
];

/// `said`: what the page's commands have printed.
pub fn check(page: &str, said: &[String]) {
    let drawn = golden_ladders();
    for picture in pictures(page).filter(|picture| !is_of_no_command(page, picture)) {
        let shown = drawn.iter().any(|golden| golden.contains(&picture));
        let shown = shown || said.iter().any(|said| is_alike(&picture, said));
        assert!(shown, "{page} shows what neither a scenario nor one of its commands prints:\n{picture}");
    }
}

fn is_of_no_command(page: &str, picture: &str) -> bool {
    OF_NO_COMMAND.iter().any(|(of, begin, _)| *of == page && picture.starts_with(begin))
}

fn pictures(name: &str) -> impl Iterator<Item = String> {
    blocks(&page(name)).into_iter().filter(|(kind, _)| kind == KIND).map(|(_, text)| text)
}

/// The scenarios' drawings, which their own test makes anew.
fn golden_ladders() -> Vec<String> {
    let folder = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ladders")).expect("the scenarios");
    let files = folder.map(|file| file.expect("a scenario").path());
    files.map(|file| std::fs::read_to_string(file).expect("text")).collect()
}

/// Whether a program says this, at other times, with other numbers, in columns of other widths; as far as the picture goes.
fn is_alike(picture: &str, said: &str) -> bool {
    let lines = |text: &str| text.lines().map(plain).collect::<Vec<String>>();
    let wanted: Vec<String> = lines(picture).into_iter().take_while(|line| line != "…").collect();
    !wanted.is_empty() && lines(said).windows(wanted.len()).any(|found| found == wanted)
}

/// Digits become one `#`, and what fills a line one of its kind; a ladder's row has no time.
fn plain(line: &str) -> String {
    let mut plain = String::new();
    for c in line.trim().chars() {
        let c = if c.is_ascii_digit() { '#' } else { c };
        let repeats = plain.ends_with(c) && [' ', '─', '#'].contains(&c);
        plain.extend((!repeats).then_some(c));
    }
    plain.strip_prefix("#.# │").map(|row| format!("│{row}")).unwrap_or(plain)
}

#[test]
fn a_picture_is_alike_but_for_numbers_and_widths() {
    let said = "a head\n  0.000  │── INVITE to support ─▶│\n 12.345  │  │ longest idle (12 s) of 2\n   │◀── 200 ──│\n";
    let check = |picture: &str, alike| assert_eq!(is_alike(picture, said), alike, "{picture}");
    check(" 1.5  │─── INVITE to support ───▶│\n  │   │ longest idle (7 s) of 1\n   …\n", true);
    check(" 1.5  │─── INVITE to sales ───▶│\n", false);
    check("  │   │ longest idle: 93.5 s\n", false);
    check(" 1.5  │── INVITE to support ─▶│\n  │◀─ 200 ─│\n", false);
    check("…\n", false);
}

#[test]
fn each_picture_that_is_of_no_command_is_there() {
    for (name, begin, by) in OF_NO_COMMAND {
        assert_eq!(pictures(name).filter(|picture| picture.starts_with(begin)).count(), 1, "{name}: {begin}, {by}");
    }
    // Whose commands nobody runs shows no pictures.
    for name in ["docs/configuration.md", "docs/flows.md", "docs/proven.md", "docs/records.md", "docs/speed.md"] {
        assert_eq!(pictures(name).count(), 0, "{name}");
    }
}

#[test]
fn the_readmes_mistake_is_told_as_it_says() {
    let place = Place::new("mistake");
    std::fs::remove_file(place.dir.join("deploy")).expect("a link");
    std::fs::create_dir(place.dir.join("deploy")).expect("a folder");
    let demo = page("deploy/tierline.toml").replacen("ring_timeout = \"20s\"", "ring_timeout = \"20\"", 1);
    std::fs::write(place.dir.join("deploy/tierline.toml"), demo).expect("a configuration");
    let check =
        Command::new(TIERLINE).args(["check", "--config", "deploy/tierline.toml"]).current_dir(&place.dir).output();
    let said = String::from_utf8_lossy(&check.expect("tierline runs").stderr).into_owned();
    let picture = pictures("README.md").find(|picture| picture.starts_with("deploy/")).expect("the mistake");
    assert!(said.contains(&picture), "README.md shows\n{picture}and it says\n{said}");
}

/// On the demo center: what `tierline agent` prints from its start to a call.
#[test]
fn an_agents_desktop_tells_what_the_guide_shows() {
    let mut place = Place::new("desktop");
    place.start(&["serve"], "Try, in a second");
    let (out, path) = place.output("desk");
    let mut desk = Command::new(TIERLINE);
    desk.args(["agent", "--user", "ada"]).current_dir(&place.dir).stdin(Stdio::piped()).stdout(out);
    let desk = Running(desk.spawn().expect("tierline starts"));
    let told = |part: &str| {
        let begun = Instant::now();
        loop {
            let said = std::fs::read_to_string(&path).unwrap_or_default();
            if said.contains(part) {
                return said;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "it never tells `{part}`:\n{said}");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    };
    told("you are Ada");
    place.start(&["phone", "--user", "ada", "--answer"], "Registered");
    told("you are ready");
    let call = ["phone", "--user", "+4930123456", "--dial", "100", "--press", ",,,,,,,,,,,,1", "--hang-up", "20"];
    place.start(&call, "Connected");
    let said = told("you talk with");
    let picture = pictures("docs/agents.md").find(|picture| picture.starts_with("10:")).expect("the desktop");
    assert!(is_alike(&picture, &said), "docs/agents.md shows\n{picture}and it says\n{said}");
    assert!(picture.contains("you are next to be called"));
    drop(desk);
}
