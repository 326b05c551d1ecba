//! Which modules at the root of the crate a file names, in whatever form: `crate::a`, `tierline::a`, a way up by
//! `super::super::a` that leaves its own, groups in groups, inline modules.

use super::source::is_word;

/// The names at the root of the crate that this file uses, its own too, with their lines.
pub fn imported(path: &str, code: &str) -> Vec<(usize, String)> {
    let (file, inline) = (module_of(path), inline_modules(code));
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some((start, length)) = next_root(code, at) {
        let (end, paths) = tree(code, start);
        let within = inline.iter().filter(|(from, to, _)| (*from..*to).contains(&start));
        let here: Vec<String> = file.iter().cloned().chain(within.map(|(_, _, name)| name.clone())).collect();
        let line = code[..start].matches('\n').count() + 1;
        found.extend(paths.iter().filter_map(|path| Some((line, at_the_root(&here, path)?))));
        at = end.max(start + length);
    }
    found
}

/// `src/a/b.rs` and `src/a/b/mod.rs` are a, b.
fn module_of(path: &str) -> Vec<String> {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    path.split('/').filter(|part| *part != "mod").map(str::to_owned).collect()
}

/// Where each `mod name { … }` of the file begins and ends.
fn inline_modules(code: &str) -> Vec<(usize, usize, String)> {
    let starts = code.match_indices("mod ").filter(|(at, _)| *at == 0 || !is_word(code.as_bytes()[at - 1]));
    let module = |(at, _): (usize, &str)| {
        let name = word(&code[at + 4..]);
        let open = at + 4 + name.len();
        let is_inline = !name.is_empty() && code[open..].trim_start().starts_with('{');
        is_inline.then(|| (open, open + length_of_block(&code[open..]), name.to_owned()))
    };
    starts.filter_map(module).collect()
}

fn length_of_block(code: &str) -> usize {
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return at,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// The next word that a path begins with from the root, or from here; and its length.
fn next_root(code: &str, from: usize) -> Option<(usize, usize)> {
    let of = |root: &'static str| {
        let mut found = code[from..].match_indices(root).map(move |(at, _)| (from + at, root.len()));
        let alone = |(at, length): &(usize, usize)| {
            let before = code[..*at].trim_end();
            let is_first = *at == 0 || !is_word(code.as_bytes()[at - 1]);
            is_first && !before.ends_with("::") && code[at + length..].starts_with("::")
        };
        found.find(alone)
    };
    ["crate", "tierline", "super", "self"].into_iter().filter_map(of).min()
}

/// The paths that begin at `at`, and where they end: `a::{b, c::{d, e}}` is a, b and a, c, d and a, c, e.
fn tree(code: &str, at: usize) -> (usize, Vec<Vec<String>>) {
    let skipped = |at: usize| at + code[at..].len() - code[at..].trim_start().len();
    let start = skipped(at);
    let first = word(&code[start..]);
    let end = start + first.len();
    let Some(rest) = code[end..].strip_prefix("::") else { return (end, vec![vec![first.to_owned()]]) };
    let below = code.len() - rest.len();
    let (end, paths) = match rest.strip_prefix('{') {
        None => tree(code, below),
        Some(_) => {
            let (mut end, mut all) = (below + 1, Vec::new());
            while !matches!(code[skipped(end)..].chars().next(), None | Some('}')) {
                let (after, paths) = tree(code, end);
                all.extend(paths);
                // `as name`, `*`, a comma; whatever stands there is passed.
                let left = code[after..].find([',', '}']).map_or(code.len(), |left| after + left);
                end = if code[left..].starts_with(',') { left + 1 } else { left };
            }
            (skipped(end) + 1, all)
        }
    };
    let longer = |path: Vec<String>| [first.to_owned()].into_iter().chain(path).collect();
    (end.min(code.len()), paths.into_iter().map(longer).collect())
}

/// The name at the root of the crate that a path written `here` leads to; none if it stays below, or names the root.
fn at_the_root(here: &[String], path: &[String]) -> Option<String> {
    let mut place = here.to_vec();
    let mut rest = path.iter().peekable();
    while let Some(step) = rest.next_if(|step| ["crate", "tierline", "super", "self"].contains(&step.as_str())) {
        match step.as_str() {
            "super" => _ = place.pop(),
            "self" => {}
            _ => place.clear(),
        }
    }
    place.first().or(rest.next()).filter(|name| !name.is_empty()).cloned()
}

fn word(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())]
}

#[test]
fn imports_are_found_in_every_form() {
    let check = |path: &str, code: &str, expect: &[&str]| {
        let mut found: Vec<String> = imported(path, code).into_iter().map(|(_, name)| name).collect();
        found.retain(|name| name != "acd"); // its own
        assert_eq!(found, expect, "{path}: {code}");
    };
    for (code, expect) in [
        ("use crate::sip;", &["sip"][..]),
        ("use crate::{a::{b, c}, d};", &["a", "a", "d"]),
        ("use crate::{\n    a::{self, b as c},\n    d::*,\n};", &["a", "a", "d"]),
        ("let x = crate::engine::Input::Timeout;", &["engine"]),
        ("use tierline::server::{self, Outcome};", &["server", "server"]),
        ("use subcrate::x;", &[]),
        ("use super::queue::Queue;", &[]),
        ("use super::super::engine::Engine;", &["engine"]),
        ("use super::{queue, super::engine::{self, Leg}};", &["engine", "engine"]),
        ("use super::super::{engine, sip::Body};", &["engine", "sip"]),
        ("use self::super::super::engine;", &["engine"]),
        ("use {crate::sip, super::super::media};", &["sip", "media"]),
        ("pub(super) fn f() -> super::super::media::Codec { self.x }", &["media"]),
        (
            "mod tests {\n use super::*;\n use super::super::super::engine;\n}\nuse super::super::sip;",
            &["engine", "sip"],
        ),
        ("mod tests { use super::super::queue; } fn f(x: super::Agent) {}", &[]),
        ("pub(in crate::acd) mod a; impl<'a> crate::sip::Trait for A {}", &["sip"]),
    ] {
        check("src/acd/agent.rs", code, expect);
    }
    check("src/acd/mod.rs", "use super::engine;", &["engine"]);
    check("src/acd.rs", "use super::engine;", &["engine"]);
    check("src/acd/tests/rules.rs", "use super::super::super::engine; use super::super::queue;", &["engine"]);
    let lines: Vec<usize> =
        imported("src/acd/agent.rs", "\nuse crate::sip;\n\nuse super::super::media;").iter().map(|i| i.0).collect();
    assert_eq!(lines, [2, 4]);
}
