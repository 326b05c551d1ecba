//! The page of all settings, made from the demo's configuration, which is where each one is explained.
//!
//! ```text
//! key = value    # what it means, with unit, range and default
//!                # … and more of it
//! # key = value  # the same of one that is not set
//! ```
//! That the reader knows no other setting, and that what is written are the defaults, is tested beside it.

use super::source::{DEMO, EMBEDDED};
use std::collections::BTreeSet;

const HEAD: &str = "\
# All settings

This page is made from `deploy/tierline.toml`, which explains each setting where it stands (`SETTINGS=rewrite cargo test
--test docs` writes it anew). `tierline check` tells what is wrong with a file, all at once, with line and column.

What is bounded and cannot be set is told with its reason in `docs/operators.md`, under `Where SIP is spoken`.

Times are written like `20s`, `5m`, `1h30m`. Paths are relative to the file, except `data`. `NAME` and `NUMBER` are yours.
";

/// A table of settings.
#[derive(Debug, Default)]
pub struct Table {
    /// Such as `queue.NAME`.
    pub name: String,
    about: String,
    pub settings: Vec<Setting>,
}

#[derive(Debug)]
pub struct Setting {
    pub key: String,
    written: String,
    pub meaning: String,
}

/// All tables of the demo's configuration, each kind once.
pub fn tables() -> Vec<Table> {
    let demo = EMBEDDED.iter().find(|(path, _)| *path == DEMO).map_or(&b""[..], |(_, bytes)| bytes);
    let text = String::from_utf8_lossy(demo);
    let (mut tables, mut seen, mut prose) = (vec![Table::default()], BTreeSet::new(), Vec::new());
    let mut shown = true;
    for line in text.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        if let Some((name, about)) = header(bare) {
            shown = seen.insert(name.clone());
            let about = [prose.join(" "), about].into_iter().filter(|part| !part.is_empty());
            let about = about.collect::<Vec<_>>().join(" ");
            prose.clear();
            tables.extend(shown.then_some(Table { name, about, settings: Vec::new() }));
        } else if let (Some(setting), Some(table)) = (setting(bare), tables.last_mut()) {
            table.settings.extend(shown.then_some(setting));
        } else if let Some(more) = line.strip_prefix("    ").and_then(|rest| rest.trim_start().strip_prefix("# ")) {
            let last = tables.last_mut().and_then(|table| table.settings.last_mut()).filter(|_| shown);
            last.into_iter().for_each(|setting| setting.meaning += &format!(" {more}"));
        } else if let Some(said) = line.strip_prefix("# ") {
            prose.push(said.to_owned());
        } else {
            prose.clear();
        }
    }
    tables.retain(|table| !table.settings.is_empty() && !table.name.is_empty());
    tables
}

/// `[queue.general]  # about` → `queue.NAME`, `about`.
fn header(line: &str) -> Option<(String, String)> {
    let (name, behind) = line.strip_prefix('[')?.split_once(']')?;
    let name = name.trim_start_matches('[');
    let name = match name.split_once('.') {
        Some(("agent", _)) => "agent.NUMBER".to_owned(),
        Some((kind, _)) if kind != "server" => format!("{kind}.NAME"),
        _ => name.to_owned(),
    };
    let about = behind.split_once("# ").map_or("", |(_, about)| about);
    Some((name, about.trim().to_owned()))
}

/// `key = value  # meaning`; a `#` within quotes is none.
fn setting(line: &str) -> Option<Setting> {
    let (key, rest) = line.split_once(" = ")?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if key.is_empty() || !key.chars().all(plain) {
        return None;
    }
    let mut quoted = false;
    let end = rest.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        *c == '#' && !quoted
    });
    let (written, meaning) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
    let meaning = meaning.trim_start_matches('#').trim();
    Some(Setting { key: key.to_owned(), written: written.trim().to_owned(), meaning: meaning.to_owned() })
}

/// The page, in Markdown.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    for Table { name, about, settings } in tables() {
        page += &format!("\n## [{name}]\n");
        if !about.is_empty() {
            page += &format!("\n{about}\n");
        }
        page += "\n| setting | such as | meaning, unit, range, default |\n|---|---|---|\n";
        for Setting { key, written, meaning } in settings {
            let cell = |text: &str| text.replace('|', "\\|");
            page += &format!("| `{key}` | `{}` | {} |\n", cell(&written), cell(&meaning));
        }
    }
    page
}
