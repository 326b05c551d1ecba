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
