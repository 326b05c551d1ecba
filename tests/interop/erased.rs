//! `tierline person erase` beside a server that runs: what is kept of a person is found in its files before and in none
//! afterwards, whatever happens then; and a ticketing system that was away is told nothing of it any more.

use super::desktop::{Office, lines, tickets};
use super::harness::{GENEROUS, Ground, wait_until};
use super::peers::{Sipp, phone_agent};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A number that is keyed goes with the call.
const FLOW: &str = r#"version = 1
start = "number"
[step.number]
collect = { text = "Please key your ticket number, then the hash key.", sound = "desk-ticket-en" }
into = "ticket"
max = 8
retries = 0
next = "note"
otherwise = "note"
[step.note]
attach = { keyed = "ticket" }
next = "people"
[step.people]
queue = "general"
otherwise = "over"
[step.over]
hang_up = true
"#;
const KEYS: [(f64, u8); 9] =
    [(1.0, 4), (1.6, 8), (2.2, 1), (2.8, 5), (3.4, 1), (4.0, 6), (4.6, 2), (5.2, 3), (5.8, 11)];
/// The caller, what was keyed, what an agent attached in the talk, and noted after it.
const TEXTS: [&str; 4] = ["jo-4711", "48151623", "the wife is ill", "call back at the clinic"];

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The files that hold it.
fn holding(folder: &Path, text: &str) -> Vec<PathBuf> {
    let holds = |path: &PathBuf| {
        std::fs::read(path).unwrap_or_default().windows(text.len()).any(|window| window == text.as_bytes())
    };
    files(folder).into_iter().filter(holds).collect()
}

/// Texts in the log that are not erased: whatever the person has said, keyed or been told of, each key for itself too.
fn kept(data: &Path) -> i64 {
    let log = rusqlite::Connection::open(data.join("events.db")).expect("the log");
    log.query_row("SELECT count(*) FROM personal WHERE kind <> 9", [], |row| row.get(0)).expect("a count")
}

fn assert_gone(data: &Path, when: &str) {
    for text in TEXTS {
        assert_eq!(holding(data, text), Vec::<PathBuf>::new(), "{when}: {text}");
    }
    assert_eq!(kept(data), 0, "{when}");
}

#[test]
fn what_is_kept_of_a_person_is_in_no_file_afterwards_and_is_told_to_nobody() {
    let ground = Ground::new("erased");
    let (mut office, mut system) = Office::led(&ground, "keyed", FLOW, "");
    let port = office.tickets.expect("a ticketing system");
    let _ada = phone_agent(&ground, &office.server, "ada", 1000.0, &["--answer", "0"]);
    let _watch = office.watch("ada", 1);
    let told = || lines(&ground.file("tickets.jsonl"));
    let ended = || told().iter().filter(|taken| taken.get("ended").is_some()).count();
    let calls = |office: &Office, n: usize| {
        let caller =
            Sipp { name: "caller", from: TEXTS[0], number: "300", seconds: 12.0, keys: &KEYS, ..Sipp::default() };
        let mut caller = caller.start(&ground, &office.server);
        office.sees("ada", "established", n);
        office.asks("ada", &format!("note-{n}"), json!({ "attach": { "data": { "summary": TEXTS[2] } } }));
        assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
        office.sees("ada", "call_ended", n);
        let coded = json!({ "dispose": { "disposition": "solved", "notes": TEXTS[3] } });
        office.asks("ada", &format!("coded-{n}"), coded);
    };
    calls(&office, 1);
    wait_until("the first call is told", GENEROUS, || told().iter().any(|taken| taken.get("disposed").is_some()));
    system.kill();
    calls(&office, 2);
    let data = office.server.data.clone();
    for text in TEXTS {
        let holding = holding(&data, text);
        assert!(holding.iter().any(|path| path.starts_with(&data)), "the search would not find {text}: {holding:?}");
    }
    let before = kept(&data);
    // The last key comes when the number is whole.
    assert!(before >= 2 * (KEYS.len() as i64 - 1 + 4), "{before} texts: not each key is one");
    let said = office.server.tierline(&["person", "erase", TEXTS[0]]);
    assert!(said.contains("of 2 calls"), "{said}");
    assert_gone(&data, "at once");
    // What waits for the ticketing system is told without texts.
    system = tickets(&ground, &office.generated, port, 2);
    wait_until("the second call is told", GENEROUS, || {
        ended() == 2 && told().iter().filter(|taken| taken.get("disposed").is_some()).count() == 2
    });
    let (second, all) = (told().last().expect("it was told").clone(), told());
    let of_second: Vec<&Value> = all.iter().filter(|taken| taken["call"] == second["call"]).collect();
    assert!(of_second.len() >= 5, "{of_second:?}");
    for taken in of_second {
        let taken = taken.to_string();
        assert!(!TEXTS.iter().any(|text| taken.contains(text)), "{taken}");
    }
    assert_gone(&data, "when all was told");
    office.server.program.kill();
    office.server.start_again();
    assert!(office.server.drawing().contains("hears") || office.server.drawing().contains("talk with"));
    assert_gone(&data, "after a kill");
    drop(system);
}
