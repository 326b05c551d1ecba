//! Rust sources as these checks see them: the code without its comments, strings and tests, and the functions in it.
//!
//! A lexer of a few lines, not a parser: it knows enough to tell code from text and to find where a function ends.

use std::path::{Path, PathBuf};

/// One Rust file of the project.
pub struct Source {
    /// Relative to the project, such as `src/engine/call.rs`.
    pub path: String,
    /// As written.
    pub text: String,
    /// The same lines with comments, strings and characters blanked out.
    pub code: String,
    /// As `code`, with `#[cfg(test)]` items blanked out too. Empty for a file of tests.
    pub product: String,
}

/// A function and how many lines it takes, from `fn` to its closing brace.
pub struct Function {
    pub name: String,
    pub line: usize,
    pub lines: usize,
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `folder` whose name ends in `.ext`, sorted; without build results and hidden folders.
pub fn files(folder: &Path, ext: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    for entry in entries.map(|entry| entry.expect("a folder's entry").path()) {
        let name = entry.file_name().expect("an entry's name").to_string_lossy().into_owned();
        if ["target", ".git", "data", "corpus"].contains(&name.as_str()) {
            continue;
        }
        if entry.is_dir() {
            found.extend(files(&entry, ext));
        } else if entry.is_file() && (ext.is_empty() || entry.extension().is_some_and(|e| e == ext)) {
            found.push(entry);
        }
    }
    found.sort();
    found
}

/// Every Rust file of the program, its tests and its benches.
pub fn sources() -> Vec<Source> {
    let folders = ["src", "tests", "benches"].map(|folder| files(&root().join(folder), "rs"));
    let all: Vec<Source> = folders.into_iter().flatten().map(|path| Source::read(&path)).collect();
    assert!(all.len() > 50, "only {} sources found: these checks would check nothing", all.len());
    all
}

impl Source {
    fn read(path: &Path) -> Source {
        let text = std::fs::read_to_string(path).expect("a source that can be read");
        let path = path.strip_prefix(root()).expect("a path in the project").to_string_lossy().into_owned();
        let code = blank_texts(&text);
        let is_test = path.starts_with("tests/") || path.ends_with("/tests.rs") || path.contains("/tests/");
        let product = if is_test { String::new() } else { blank_tests(&code) };
        Source { path, text, code, product }
    }

    /// The module at the root of the crate that the file belongs to, such as `engine`.
    pub fn module(&self) -> &str {
        let below = self.path.strip_prefix("src/").unwrap_or("");
        below.split('/').next().unwrap_or("").trim_end_matches(".rs")
    }

    pub fn functions(&self) -> Vec<Function> {
        let bytes = self.code.as_bytes();
        let starts = self.code.match_indices("fn ").map(|(at, _)| at);
        let starts = starts.filter(|at| *at == 0 || !is_word(bytes[at - 1]));
        starts.filter_map(|at| function(&self.code, at)).collect()
    }
}

fn function(code: &str, at: usize) -> Option<Function> {
    let rest = &code[at + 3..];
    let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    if name.is_empty() {
        return None; // a type such as `fn (u8)`
    }
    let (mut depth, mut brackets, mut lines) = (0, 0, 1);
    for c in rest.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            '[' => brackets += 1,
            ']' => brackets -= 1,
            ';' if depth == 0 && brackets == 0 => return None, // only declared
            '\n' => lines += 1,
            _ => {}
        }
    }
    Some(Function { name, line: code[..at].lines().count(), lines })
}

pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The text with everything that is not code replaced by spaces, lines kept.
fn blank_texts(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = text_end(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Where the comment, string or character that begins at `at` ends; `at` if none begins there.
fn text_end(chars: &[char], at: usize) -> usize {
    let next = |n: usize| chars.get(at + n).copied().unwrap_or('\0');
    let before_is_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match chars[at] {
        '/' if next(1) == '/' => find(chars, at, "\n").unwrap_or(chars.len()),
        '/' if next(1) == '*' => find(chars, at + 2, "*/").map_or(chars.len(), |end| end + 2),
        '"' => quoted_end(chars, at + 1, '"'),
        'r' if !before_is_word && (next(1) == '"' || (next(1) == '#' && matches!(next(2), '"' | '#'))) => {
            let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
            let close = format!("\"{}", "#".repeat(hashes));
            find(chars, at + hashes + 2, &close).map_or(chars.len(), |end| end + close.len())
        }
        // A character, not a lifetime.
        '\'' if next(1) == '\\' || next(2) == '\'' => quoted_end(chars, at + 1, '\''),
        _ => at,
    }
}

fn quoted_end(chars: &[char], mut at: usize, quote: char) -> usize {
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

fn find(chars: &[char], from: usize, what: &str) -> Option<usize> {
    let what: Vec<char> = what.chars().collect();
    (from..chars.len().saturating_sub(what.len() - 1)).find(|at| chars[*at..].starts_with(&what))
}

/// Blanks what `#[cfg(test)]` stands before.
fn blank_tests(code: &str) -> String {
    let mut out = code.to_owned();
    while let Some(at) = out.find("#[cfg(test)]") {
        let end = item_end(&out, at);
        let blank: String = out[at..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(at..end, &blank);
    }
    out
}

fn item_end(code: &str, at: usize) -> usize {
    let mut depth = 0;
    for (offset, c) in code[at..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return at + offset + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return at + offset + 1,
            _ => {}
        }
    }
    code.len()
}

#[test]
fn code_is_told_from_text() {
    let check = |input: &str, expect: &str| assert_eq!(blank_texts(input), expect, "{input}");
    check("a // b\nc", "a     \nc");
    check("f(\"x{\\\"\"); g", "f(      ); g");
    check("r#\"a\"b\"# + c", "         + c");
    check("&'a str, '{', '\\''", "&'a str,    ,     ");
    check("/* fn */ fn", "         fn");
    assert_eq!(blank_tests("a #[cfg(test)] mod t { x {} } b").trim_end(), "a                             b");
    let found = function("fn one(a: u8) -> u8 {\n a\n}\n", 0).map(|f| (f.name, f.lines));
    assert_eq!(found, Some(("one".to_owned(), 3)));
    let found = function("fn two(a: [u8; 4]) -> [[u8; 2]; 2] {\n a\n}\n", 0).map(|f| (f.name, f.lines));
    assert_eq!(found, Some(("two".to_owned(), 3)));
    assert!(function("fn three(a: [u8; 4]);\n", 0).is_none(), "only declared");
}
