//! Keeps the house in order: who may import whom, where clocks and sockets may be, how long things may get.
//!
//! Each check names the file and line that break it. Lists of exceptions are ratchets: an entry that is no
//! longer needed fails the check until it is taken out, and nothing may be added without saying why.

#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/source.rs"]
mod source;

use imports::imported;
use source::{Source, files, is_word, root, sources};

/// Longest function, in lines; longest file, in lines of product code.
const FUNCTION_LINES: usize = 70;
const FILE_LINES: usize = 400;

/// Functions that are longer: `path name`.
const LONG_FUNCTIONS: &[&str] = &[];
/// Files that are longer.
const LONG_FILES: &[&str] = &[];

/// Which modules of the crate a module may use (beside itself). `main` stands for the program around the library.
const IMPORTS: &[(&str, &[&str])] = &[
    ("table", &[]),
    ("time", &["table"]),
    ("ids", &["time"]),
    ("center", &["time", "ids"]),
    ("expr", &["ids", "written"]),
    ("sip", CORE),
    ("media", CORE),
    ("ivr", &["time", "ids", "center", "expr", "written"]),
    ("acd", CORE),
    ("trunk", CORE),
    ("event", CORE),
    ("command", &["time", "ids", "center", "event"]),
    ("ladder", &[]),
    ("proto", &[]),
    ("cti", &["time", "ids", "center", "event", "command", "proto"]),
    ("ticketing", &["time", "ids", "event", "cti", "proto"]),
    ("written", &[]),
    ("engine", &["time", "ids", "center", "sip", "media", "ivr", "acd", "trunk", "event", "command"]),
    ("log", READER),
    ("records", READER),
    // The formulas of the service level are the records'.
    ("stats", &["time", "ids", "center", "event", "command", "ladder", "log", "records"]),
    ("config", &["time", "ids", "center", "ivr", "acd", "media", "sip", "written"]),
    ("phone", &["time", "ids", "sip", "media"]),
    ("sim", PURE),
    (
        "server",
        &[
            "config",
            "phone",
            "sim",
            "time",
            "ids",
            "center",
            "sip",
            "media",
            "ivr",
            "acd",
            "trunk",
            "event",
            "command",
            "engine",
            "expr",
            "ladder",
            "log",
            "records",
            "stats",
            "written",
            "cti",
            "proto",
            "ticketing",
        ],
    ),
    ("main", &["server", "sim"]),
];
const CORE: &[&str] = &["table", "time", "ids", "center"];
/// Readers of events; what machines count reaches `stats` as plain numbers.
const READER: &[&str] = &["time", "ids", "center", "event", "command", "ladder", "log"];
const PURE: &[&str] = &[
    "table", "time", "ids", "center", "sip", "media", "ivr", "acd", "trunk", "event", "command", "engine", "phone",
    "ladder", "log", "records", "stats", "cti", "proto",
];

/// Words that code that decides must not say, each with what to do instead.
const ONLY_IN_THE_SHELL: &[(&str, &str)] = &[
    ("std::time::Instant", "take `now` as an argument"),
    ("SystemTime", "take `wall` as an argument"),
    ("std::thread", "threads belong to the shell"),
    ("sleep", "set a deadline"),
    ("tokio", "the shell waits, not this"),
    ("UdpSocket", "put out a packet instead"),
    ("TcpListener", "the shell listens"),
    ("getrandom", "fork the seeded `Rng`"),
    ("HashMap", "use `BTreeMap`, or `Table`, whose order nobody sees: a randomly seeded one is not deterministic"),
    ("HashSet", "use `BTreeSet`: a randomly seeded order is not deterministic"),
    ("println", "put out an event, or return what to print"),
    ("eprintln", "put out an event, or return what to print"),
    ("Mutex", "one thread owns what decides"),
    ("unsafe", "nothing that decides needs it"),
];

/// Parts of names that say nothing, and words that say something is unfinished.
const EMPTY_WORDS: &[&str] = &["Manager", "Handler", "Helper", "_util", "util_", "mod util"];

#[test]
fn nobody_imports_what_he_must_not_know() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.path.starts_with("src/")) {
        let module = source.module();
        if module == "lib" {
            continue;
        }
        let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{}: the module `{module}` stands in no row of the import table", source.path));
            continue;
        };
        for (line, used) in imported(&source.path, &source.code) {
            if used != module && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{}:{line}: `{module}` must not use `{used}`", source.path));
            }
        }
    }
    report(&wrong);
}

#[test]
fn clocks_sockets_and_chance_stay_in_the_shell() {
    let mut wrong = Vec::new();
    let decides = |source: &&Source| {
        let shell = ["server", "main"].contains(&source.module());
        source.path.starts_with("src/") && !shell
    };
    for source in sources().iter().filter(decides) {
        for (number, line) in (1..).zip(source.product.lines()) {
            let seen = ONLY_IN_THE_SHELL.iter().filter(|(word, _)| has_word(line, word));
            // The one place where a hash table is made of what must not be seen elsewhere.
            for (word, instead) in seen.filter(|(word, _)| source.path != "src/table.rs" || *word != "HashMap") {
                wrong.push(format!("{}:{number}: `{word}`: {instead}", source.path));
            }
        }
    }
    report(&wrong);
}

/// Standard error belongs to the journal; but for what other commands than `serve` say, and what a start is refused for.
const SAY_IT_PLAINLY: &[&str] = &[
    "src/server/agent.rs",
    "src/server/agent/way.rs",
    "src/server/check.rs",
    "src/server/journal.rs",
    "src/server/mod.rs",
    "src/server/phone.rs",
    "src/server/simulate.rs",
];

#[test]
fn the_server_writes_its_lines_by_the_journal() {
    let (mut wrong, mut plain) = (Vec::new(), Vec::new());
    for source in sources().iter().filter(|source| source.path.starts_with("src/server/")) {
        for (number, line) in (1..)
            .zip(source.product.lines())
            .filter(|(_, line)| ["eprintln", "eprint"].iter().any(|word| has_word(line, word)))
        {
            match SAY_IT_PLAINLY.contains(&source.path.as_str()) {
                true => plain.push(source.path.clone()),
                false => wrong.push(format!("{}:{number}: `journal::Entry` tells it: {}", source.path, line.trim())),
            }
        }
    }
    let spared = SAY_IT_PLAINLY.iter().filter(|path| !plain.iter().any(|plain| plain == *path));
    wrong.extend(spared.map(|path| format!("{path} stands in SAY_IT_PLAINLY and says nothing")));
    report(&wrong);
}

/// What a machine waits for is read where its deadlines are listed: each is documented "When to …".
#[test]
fn every_deadline_says_when() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for source in sources().iter().filter(|source| source.path.starts_with("src/")) {
        let lists =
            |line: &&str| ["enum Deadline {", "enum Timer {", "enum Due {"].iter().any(|list| line.ends_with(list));
        let lines: Vec<&str> = source.text.lines().collect();
        for start in (0..lines.len()).filter(|line| lists(&lines[*line])) {
            seen += 1;
            let entries = (start + 1..lines.len()).take_while(|line| lines[*line] != "}");
            let starts = |line: &usize| {
                lines[*line].starts_with("    ") && lines[*line].trim_start().starts_with(char::is_uppercase)
            };
            for entry in entries.filter(starts) {
                let says = (start + 1..entry).rev().map(|line| lines[line].trim_start());
                let first = says.take_while(|line| line.starts_with("///")).last();
                if !first.is_some_and(|line| line.starts_with("/// When ")) {
                    wrong.push(format!("{}:{}: `{}` does not say when", source.path, entry + 1, lines[entry].trim()));
                }
            }
        }
    }
    assert!(seen >= 8, "only {seen} lists of deadlines found: this check would check nothing");
    report(&wrong);
}

#[test]
fn every_file_says_what_it_is() {
    let sources = sources();
    let silent = sources.iter().filter(|source| !source.text.starts_with("//! "));
    report(
        &silent
            .map(|source| format!("{}: does not open with `//!` saying what it is", source.path))
            .collect::<Vec<_>>(),
    );
}

/// The guides say that every field is explained: above each, and above each value, stands a comment.
#[test]
fn every_field_of_the_protocol_is_explained() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for path in files(&root().join("proto"), "proto") {
        let text = std::fs::read_to_string(&path).expect("a file that can be read");
        let mut before = "";
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            let numbered = line.strip_suffix(';').and_then(|line| line.rsplit_once(" = "));
            let is_field = numbered.is_some_and(|(_, number)| number.bytes().all(|b| b.is_ascii_digit()));
            if is_field && !line.starts_with("//") {
                seen += 1;
                if !before.starts_with("// ") {
                    wrong.push(format!("{}:{number}: nothing explains `{line}`", path.display()));
                }
            }
            before = line;
        }
    }
    assert!(seen > 200, "only {seen} fields found: this check would check nothing");
    report(&wrong);
}

#[test]
fn functions_and_files_fit_on_a_screen() {
    let (mut wrong, mut functions, mut long_files) = (Vec::new(), Vec::new(), Vec::new());
    for source in &sources() {
        for function in source.functions().iter().filter(|function| function.lines > FUNCTION_LINES) {
            let name = format!("{} {}", source.path, function.name);
            if !LONG_FUNCTIONS.contains(&name.as_str()) {
                wrong.push(format!(
                    "{}:{}: `{}` has {} lines",
                    source.path, function.line, function.name, function.lines
                ));
            }
            functions.push(name);
        }
        let lines = source.product.lines().filter(|line| !line.trim().is_empty()).count();
        if lines > FILE_LINES {
            if !LONG_FILES.contains(&source.path.as_str()) {
                wrong.push(format!("{}: {lines} lines of code", source.path));
            }
            long_files.push(source.path.clone());
        }
    }
    let shrunk = |known: &&&str, still: &[String]| !still.iter().any(|name| name == **known);
    let fits = LONG_FUNCTIONS.iter().filter(|name| shrunk(name, &functions));
    let fits = fits.chain(LONG_FILES.iter().filter(|name| shrunk(name, &long_files)));
    wrong.extend(fits.map(|name| format!("tests/tidy.rs: `{name}` fits now: take it off the list")));
    report(&wrong);
}

#[test]
fn names_say_something_and_nothing_is_left_for_later() {
    let unfinished = ["TO", "FIX", "XX"].iter().zip(["DO", "ME", "X"]).map(|(a, b)| format!("{a}{b}"));
    let unfinished: Vec<String> = unfinished.collect();
    let macros = ["unimplemented!", "todo!", "#[ignore", "allow(dead_code)"];
    let mut wrong = Vec::new();
    for source in &sources() {
        for (number, (text, code)) in (1..).zip(source.text.lines().zip(source.code.lines())) {
            let mut bad = |what: &str| wrong.push(format!("{}:{number}: `{what}`", source.path));
            unfinished.iter().filter(|word| has_word(text, word)).for_each(|word| bad(word));
            macros.iter().filter(|word| code.contains(**word)).for_each(|word| bad(word));
            EMPTY_WORDS.iter().filter(|word| code.contains(**word)).for_each(|word| bad(word));
            if code.contains("fn get_") {
                bad("get_");
            }
        }
    }
    report(&wrong);
}

#[test]
fn nothing_leans_on_the_place_where_it_was_written() {
    let places = [concat!("/wo", "rk/"), concat!("../sha", "red"), concat!("stu", "dio"), concat!("/tmp/", "spec")];
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in files(root(), "") {
        let Ok(text) = std::fs::read_to_string(&path) else { continue }; // a WAV, a pcap
        seen += 1;
        for (number, line) in (1..).zip(text.lines()) {
            for place in places.iter().filter(|place| line.to_lowercase().contains(**place)) {
                wrong.push(format!("{}:{number}: `{place}`", path.display()));
            }
        }
    }
    assert!(seen > 60, "only {seen} files found: this checks nothing");
    report(&wrong);
}

fn report(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} places are not tidy:\n  {}", wrong.len(), wrong.join("\n  "));
}

fn has_word(line: &str, word: &str) -> bool {
    let bytes = line.as_bytes();
    let alone = |at: usize| {
        let (end, first) = (at + word.len(), at == 0 || !is_word(bytes[at - 1]));
        first && bytes.get(end).is_none_or(|b| !is_word(*b))
    };
    line.match_indices(word).any(|(at, _)| alone(at))
}
