//! Call-flow ladders: each file in `tests/ladders/` is a scenario and, below `----`, the drawing of its run in the
//! simulator. `LADDERS=rewrite cargo test --test ladders` writes the drawings anew.

use std::fs;
use std::path::PathBuf;

const LINE: &str = "----\n";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/ladders")
}

#[test]
fn every_scenario_runs_as_drawn() {
    let mut files: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    assert!(files.len() >= 20, "the scenarios are in tests/ladders");
    let rewrite = std::env::var("LADDERS").is_ok_and(|value| value == "rewrite");
    let mut wrong = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).unwrap();
        let (scenario, expected) = text.split_once(LINE).unwrap_or((&text, ""));
        match tierline::sim::script::play(scenario) {
            Ok(drawn) if rewrite => fs::write(&file, format!("{}\n{LINE}{drawn}", scenario.trim_end())).unwrap(),
            Ok(drawn) if drawn == expected => {}
            Ok(drawn) => wrong.push(format!("{name} is drawn otherwise:\n{}", difference(expected, &drawn))),
            Err(why) => wrong.push(format!("{name}: {why}")),
        }
    }
    assert!(wrong.is_empty(), "{}\n(LADDERS=rewrite writes the drawings anew)", wrong.join("\n\n"));
}

/// The first line that differs, with its neighbours.
fn difference(expected: &str, drawn: &str) -> String {
    let same = expected.lines().zip(drawn.lines()).take_while(|(a, b)| a == b).count();
    let part = |text: &str| text.lines().skip(same.saturating_sub(3)).take(8).collect::<Vec<_>>().join("\n");
    format!("line {}, expected:\n{}\ndrawn:\n{}", same + 1, part(expected), part(drawn))
}

/// Sections with call flows: RFC 3665 has 2.1 to 2.5 and 3.1 to 3.11, RFC 5359 has 2.1 to 2.18.
const SECTIONS: [(u32, u32, u32); 3] = [(3665, 2, 5), (3665, 3, 11), (5359, 2, 18)];

#[test]
fn each_flow_of_the_rfcs_is_shown_or_has_a_reason() {
    let text = fs::read_to_string(folder().join("FLOWS.md")).expect("the table");
    let rows: Vec<Vec<&str>> =
        text.lines().filter(|line| line.contains('§')).map(|line| line.split('|').collect()).collect();
    let wanted: Vec<String> =
        SECTIONS.iter().flat_map(|(rfc, part, last)| (1..=*last).map(move |n| format!("{rfc} §{part}.{n}"))).collect();
    assert_eq!(rows.iter().map(|row| row[1].trim()).collect::<Vec<_>>(), wanted);
    let interop = folder().join("../interop");
    let read = |folder: PathBuf| -> String {
        let files = fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path());
        files.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).expect("text")).collect()
    };
    let (tests, flows) = (read(interop.clone()), read(interop.join("flows")));
    for row in &rows {
        let parts: Vec<&str> = row[3].split('`').collect();
        assert!(parts.len() > 1 || row[3].trim().starts_with("none: "), "{}: neither shown nor a reason", row[1]);
        for named in parts.chunks_exact(2) {
            let (kind, name) = (named[0].split_whitespace().last().unwrap_or_default(), named[1]);
            let known = match kind {
                "ladder" => folder().join(format!("{name}.txt")).exists(),
                "flow" => [",", ":", "\n"].iter().any(|end| flows.contains(&format!("== {name}{end}"))),
                "test" => tests.contains(&format!("#[test]\nfn {name}()")),
                _ => false,
            };
            assert!(known, "{}: there is no {kind} `{name}`", row[1]);
        }
    }
}
