//! What the guides, the rules and the dashboards name is there: commands and their flags, settings, numbers with their
//! labels, alerts, files, targets of make, and what is typed at a desktop. Blocks are run by `tests/docs.rs`; this looks at
//! the running text, where a name that has changed would be found by nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tierline::stats::{Kind, all};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// The pages for people, by name.
fn pages() -> Vec<(String, String)> {
    let guides = fs::read_dir(root().join("docs")).expect("the guides");
    let names = guides.map(|entry| format!("docs/{}", entry.expect("a guide").file_name().to_string_lossy()));
    names.chain(["README.md".to_owned()]).map(|name| (name.clone(), text(&name))).collect()
}

/// What stands between backquotes in running text; blocks are left out.
fn inline(page: &str) -> Vec<String> {
    let (mut found, mut inside) = (Vec::new(), false);
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

/// Words of a command line; those in quotes are one.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('"').enumerate();
    let words = parts.flat_map(|(n, part)| match n % 2 {
        1 => vec![part.to_owned()],
        _ => part.split_whitespace().map(str::to_owned).collect(),
    });
    words.collect()
}

fn tierline(words: &[String]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tierline")).args(words).output().expect("tierline runs");
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].map(String::from_utf8_lossy).concat();
    (output.status.success(), said)
}

/// Whether the program takes this command line: with `--help` behind it nothing is done, and what comes before is read.
fn is_taken(words: &[String]) -> Result<(), String> {
    let words: Vec<String> = words.iter().cloned().chain(["--help".to_owned()]).collect();
    match tierline(&words) {
        (true, _) => Ok(()),
        (false, said) => Err(said),
    }
}

/// The help of the program and of all its commands.
fn helps() -> Vec<String> {
    let (mut open, mut helps) = (vec![Vec::<String>::new()], Vec::new());
    while let Some(path) = open.pop() {
        let (_, help) = tierline(&path.iter().cloned().chain(["--help".to_owned()]).collect::<Vec<_>>());
        let commands = help.split("\nCommands:\n").nth(1).unwrap_or_default().lines();
        let commands = commands.take_while(|line| line.starts_with("  ")).filter(|line| !line.starts_with("   "));
        let names = commands.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
        open.extend(names.map(|name| path.iter().cloned().chain([name.to_owned()]).collect()));
        helps.push(help);
    }
    helps
}

#[test]
fn commands_and_flags_in_running_text_are_taken_by_the_program() {
    let (helps, mut seen) = (helps(), 0);
    assert!(helps.len() > 15, "{} commands", helps.len());
    let is_flag =
        |word: &str| helps.iter().any(|help| help.split_whitespace().any(|of| of.trim_end_matches(',') == word));
    for (name, page) in pages() {
        for code in inline(&page) {
            let line = code.strip_prefix("cargo run --release -- ").or(code.strip_prefix("tierline "));
            if let Some(line) = line {
                seen += 1;
                is_taken(&words(line)).unwrap_or_else(|why| panic!("{name}: `{code}` is not taken: {why}"));
            } else if let Some(flag) = words(&code).first().filter(|word| word.starts_with("--")) {
                seen += 1;
                assert!(is_flag(flag), "{name}: `{code}`: no command has {flag}");
            }
        }
    }
    assert!(seen > 60, "only {seen} commands and flags are named");
    // What is wrong is noticed.
    for wrong in ["calls --numbrs", "record status", "report queue --formula best"] {
        assert!(is_taken(&words(wrong)).is_err(), "`{wrong}` is taken");
    }
    assert!(!is_flag("--form"));
}

/// The tables of settings, each with its keys, as the page of all settings has them.
fn settings() -> BTreeMap<String, BTreeSet<String>> {
    let mut tables = BTreeMap::<String, BTreeSet<String>>::new();
    let mut table = String::new();
    for line in tierline::config::reference().lines() {
        if let Some(name) = line.strip_prefix("## [") {
            table = name.trim_matches(['[', ']']).to_owned();
            tables.entry(table.clone()).or_default();
        } else if let Some(key) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()) {
            tables.entry(table.clone()).or_default().insert(key.to_owned());
        }
    }
    tables
}

/// A table's name as the reference has it: `banner.outage` is one of `banner.NAME`.
fn known<'t>(tables: &'t BTreeMap<String, BTreeSet<String>>, name: &str) -> Option<&'t BTreeSet<String>> {
    let first = name.split('.').next().unwrap_or_default();
    let general = |suffix: &str| tables.get(&format!("{first}.{suffix}"));
    tables.get(name).or_else(|| general("NAME")).or_else(|| general("NUMBER"))
}

/// Of flows, not of the configuration.
const OF_FLOWS: [&str; 3] = ["variables", "person", "step"];
/// What a flow can ask in conditions, and columns of the records: dotted too.
const NO_SETTINGS: [&str; 6] =
    ["queue.expected", "queue.position", "queue.waited", "queue_interval.work", "call.arrived", "caller.class"];

#[test]
fn settings_in_running_text_are_settings() {
    let (tables, mut seen) = (settings(), 0);
    assert!(tables.len() > 15, "{tables:?}");
    for (name, page) in pages() {
        for code in inline(&page) {
            let bare = code.trim_start_matches('[').trim_end_matches(']');
            if code.starts_with('[') && code.ends_with(']') && is_name(bare) && !OF_FLOWS.contains(&bare) {
                seen += 1;
                assert!(known(&tables, bare).is_some(), "{name}: there is no table `{code}`");
            }
            let Some((table, key)) = code.rsplit_once('.').filter(|_| is_name(&code)) else { continue };
            let is_table = tables.keys().any(|of| of.split('.').next() == table.split('.').next());
            if !is_table || NO_SETTINGS.contains(&&*code) || known(&tables, &code).is_some() || is_file(&code) {
                continue;
            }
            seen += 1;
            let keys = known(&tables, table);
            assert!(keys.is_some_and(|keys| keys.contains(key)), "{name}: `{code}` is no setting");
        }
        // `key` of `[table]`, and the same with `in`; also with a value.
        for (key, table) in keys_of_tables(&page) {
            seen += 1;
            let keys = known(&tables, &table).unwrap_or_else(|| panic!("{name}: there is no table [{table}]"));
            assert!(keys.contains(&key), "{name}: [{table}] has no `{key}`");
        }
    }
    assert!(seen > 25, "only {seen} settings are named");
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) && !text.starts_with('.')
}

fn is_file(text: &str) -> bool {
    [".db", ".toml", ".py", ".yml", ".wav", ".md", ".lock", ".pem"].iter().any(|end| text.ends_with(end))
}

fn keys_of_tables(page: &str) -> Vec<(String, String)> {
    let parts: Vec<&str> = page.split('`').collect();
    let triples = parts.windows(3).skip(1).step_by(2);
    let found = triples.filter_map(|window| {
        let [key, between, table] = window else { return None };
        let table = table.strip_prefix('[')?.strip_suffix(']')?;
        let key = key.split([' ', '=']).next()?;
        let joined = ["of", "in"].contains(&between.trim());
        (joined && is_name(table) && is_name(key) && !OF_FLOWS.contains(&table))
            .then(|| (key.to_owned(), table.to_owned()))
    });
    found.collect()
}

/// Files that name numbers: guides, rules, alerts and dashboards.
fn namers() -> Vec<(String, String)> {
    let of = |dir: &str| {
        let files = fs::read_dir(root().join(dir)).expect("a folder").map(|entry| entry.expect("a file").path());
        files.filter(|file| file.is_file()).collect::<Vec<PathBuf>>()
    };
    let files = ["deploy/prometheus", "deploy/grafana/dashboards"].into_iter().flat_map(of);
    let shipped = files.map(|file| (file.display().to_string(), fs::read_to_string(&file).expect("text")));
    pages().into_iter().chain(shipped).collect()
}

/// Whatever looks like one of our numbers, with what stands behind it.
fn named_numbers(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for start in ["tierline_", "process_"].iter().flat_map(|start| text.match_indices(start)).map(|(at, _)| at) {
        // Recording rules have a prefix of their own, such as `queue:tierline_offered:1h`.
        let before = text[..start].chars().next_back();
        let (word, rest) = text[start..].split_at(
            text[start..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len() - start),
        );
        let ours = before.is_none_or(|c| !c.is_ascii_alphanumeric() && !":_/.".contains(c)) && !rest.starts_with(':');
        if ours && !word.ends_with('_') {
            found.push((word.to_owned(), rest.to_owned()));
        }
    }
    found
}

/// The labels that a selector asks for: `{state="ready",reason=~"…"}`; in JSON the quotes have a backslash.
fn labels_of(rest: &str) -> Vec<String> {
    let Some(inner) = rest.strip_prefix('{').and_then(|rest| rest.split('}').next()) else { return Vec::new() };
    let inner = inner.replace('\\', "");
    let parts = inner.split('"').step_by(2).map(|part| part.trim_matches([',', ' ', '=', '~', '!']).to_owned());
    parts.filter(|label| !label.is_empty()).collect()
}

/// Labels that Prometheus adds.
const ITS_OWN: [&str; 3] = ["job", "instance", "le"];

#[test]
fn numbers_that_guides_rules_and_dashboards_name_are_exported_with_these_labels() {
    let (mut seen, mut asked) = (BTreeSet::new(), 0);
    for (file, text) in namers() {
        for (name, rest) in named_numbers(&text) {
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let family = all().find(|family| {
                let spread = matches!(family.kind, Kind::Histogram(_));
                family.name == name || (spread && base == Some(family.name))
            });
            let family = family.unwrap_or_else(|| panic!("{file}: there is no number `{name}`"));
            for label in labels_of(&rest) {
                asked += 1;
                let known = family.labels.contains(&&*label) || ITS_OWN.contains(&&*label);
                assert!(known, "{file}: {name} has no label `{label}`");
            }
            seen.insert(name);
        }
    }
    assert!(seen.len() > 120 && asked > 30, "{} numbers, {asked} labels", seen.len());
    // What is wrong is noticed.
    assert_eq!(labels_of("{state=~\"ready|busy\",queue=\"q\"} > 0"), ["state", "queue"]);
    assert_eq!(named_numbers("sum(tierline_nothing{a=\"b\"}) + queue:tierline_offered:1h").len(), 1);
}

#[test]
fn alerts_that_the_guides_name_are_shipped() {
    let alerts = text("deploy/prometheus/alerts.yml");
    let mut seen = 0;
    for (name, page) in pages() {
        let mut inside = false;
        for line in page.lines() {
            inside = line.starts_with("| alert |") || (inside && line.starts_with('|'));
            let told =
                line.split("lert").skip(1).filter_map(|after| after.trim_start().strip_prefix('`')?.split('`').next());
            let first = line.split('|').nth(1).filter(|_| inside).unwrap_or_default();
            for alert in inline(first).into_iter().chain(told.map(str::to_owned)) {
                seen += 1;
                assert!(alerts.contains(&format!("- alert: {alert}\n")), "{name}: there is no alert `{alert}`");
            }
        }
    }
    assert!(seen > 25, "only {seen} alerts are named");
}

#[test]
fn files_and_targets_that_the_guides_name_are_there() {
    let mut seen = 0;
    let makefile = text("Makefile");
    for (name, page) in pages() {
        for code in inline(&page) {
            if let Some(target) = code.strip_prefix("make ") {
                seen += 1;
                let target = target.split_whitespace().next().unwrap_or_default();
                assert!(makefile.contains(&format!("\n{target}:")), "{name}: there is no `make {target}`");
            }
            let ours = ["deploy/", "docs/", "proto/", "src/", "tests/", "ivr-flows/", "benches/"];
            if !ours.iter().any(|dir| code.starts_with(dir)) || code.contains(' ') || code.contains("NAME") {
                continue;
            }
            seen += 1;
            // A star stands for the rest of names.
            let (dir, start) = code.split_once('*').map_or((&*code, None), |(start, _)| {
                let (dir, start) = start.rsplit_once('/').unwrap_or((".", start));
                (dir, Some(start))
            });
            let there = match start {
                None => root().join(dir).exists(),
                Some(start) => fs::read_dir(root().join(dir)).is_ok_and(|files| {
                    files.flatten().any(|file| file.file_name().to_string_lossy().starts_with(start))
                }),
            };
            assert!(there, "{name}: there is no `{code}`");
        }
    }
    assert!(seen > 20, "only {seen} files and targets are named");
}

#[test]
fn what_the_guide_says_can_be_typed_at_a_desktop_is_all_that_can_be() {
    let page = text("docs/agents.md");
    let rows =
        page.lines().skip_while(|line| !line.starts_with("| type |")).skip(2).take_while(|line| line.starts_with('|'));
    let typed: BTreeSet<String> = rows
        .flat_map(|row| inline(row.split('|').nth(1).unwrap_or_default()))
        .filter_map(|code| code.split_whitespace().next().map(str::to_owned))
        .collect();
    let known: BTreeSet<String> = tierline::server::agent::words().map(str::to_owned).collect();
    assert_eq!(typed, known);
}
