//! `;name=value` parameters of URIs and of header values (RFC 3261 §19.1.1, §25.1 `generic-param`).
//!
//! Kept as one text without needless white space: most are written as they were read, and few are looked at.

use super::grammar::{Class, all_of, cut, is_token, pieces, same_name, split_at, unquotes};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;

/// Parameters of one URI or header value; more are refused.
pub const PARAMS: usize = 64;

/// `;name=value` parameters; names compare without case; values as written (quotes kept).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Params(String);

impl Params {
    /// `None`: not there. `Some(None)`: there without a value.
    pub fn value(&self, name: &str) -> Option<Option<&str>> {
        self.iter().find(|(n, _)| same_name(n, name)).map(|(_, value)| value)
    }

    /// The value, if there is one that is not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.value(name).flatten().filter(|value| !value.is_empty())
    }

    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Names and values in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        pieces(&self.0, b';').map(name_and_value)
    }

    /// Changes a parameter in its place, or adds it at the end.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        match self.find(name) {
            Some((name, place)) => {
                let changed = written(&self.0[name], value);
                self.0.replace_range(place, &changed);
            }
            None => put(&mut self.0, name, value),
        }
    }

    /// Adds a parameter that is not there at the end.
    pub(super) fn add(&mut self, name: &str, value: Option<&str>) {
        put(&mut self.0, name, value);
    }

    pub fn remove(&mut self, name: &str) {
        while let Some((_, place)) = self.find(name) {
            self.0.replace_range(place, "");
        }
    }

    /// Where the first parameter `name` stands: its name, and all of it with the semicolon.
    fn find(&self, name: &str) -> Option<(Range<usize>, Range<usize>)> {
        let mut start = 0;
        loop {
            let (piece, _) = cut(self.0.get(start + 1..)?, b';')?;
            let (found, _) = name_and_value(piece);
            let end = start + 1 + piece.len();
            if same_name(found, name) {
                return Some((start + 1..start + 1 + found.len(), start..end));
            }
            start = end;
        }
    }

    /// Of a URI, already found to be legal ([`are_legal_in_uri`]); without the first semicolon.
    pub(super) fn of_uri(text: &str) -> Params {
        let mut params = String::new();
        if !text.is_empty() {
            params.reserve_exact(text.len() + 1);
            params.push(';');
            params.push_str(text);
        }
        Params(params)
    }

    /// `name = value ; name` after the first semicolon of a header value.
    pub(super) fn of_header(text: Option<&str>) -> Option<Params> {
        let mut params = String::new();
        if let Some(text) = text {
            params.reserve(text.len() + 1);
            if Class::shared(text).holds(Class::DENSE) {
                each(text, |_, _| ())?;
                params.push(';');
                params.push_str(text); // They are written as we write them.
            } else {
                each(text, |name, value| put(&mut params, name, value))?;
            }
        }
        Some(Params(params))
    }

    /// As they are written, with the first semicolon; empty if there are none.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn put(out: &mut String, name: &str, value: Option<&str>) {
    out.push(';');
    out.push_str(name);
    if let Some(value) = value {
        out.push('=');
        out.push_str(value);
    }
}

fn written(name: &str, value: Option<&str>) -> String {
    let mut text = String::with_capacity(name.len() + value.map_or(0, str::len) + 2);
    put(&mut text, name, value);
    text
}

fn name_and_value(piece: &str) -> (&str, Option<&str>) {
    match split_at(piece, b'=') {
        Some((name, value)) => (name.trim_ascii_end(), Some(value.trim_ascii_start())),
        None => (piece, None),
    }
}

/// `name=value;name` without quotes or white space.
pub(super) fn are_legal_in_uri(text: &str) -> bool {
    let mut names = text.split(';').map(|piece| name_and_value(piece).0);
    names.by_ref().take(PARAMS).all(|name| !name.is_empty()) && names.next().is_none()
}

/// Whether [`Params::of_header`] would read them.
pub(super) fn are_legal_in_header(text: Option<&str>) -> bool {
    text.is_none_or(|text| each(text, |_, _| ()).is_some())
}

/// Reads the parameters of a header value and gives each to `take`; `None` if one is not legal.
fn each<'a>(text: &'a str, mut take: impl FnMut(&'a str, Option<&'a str>)) -> Option<()> {
    let (mut rest, mut count) = (Some(text), 0);
    while let Some(text) = rest {
        let (piece, after) = cut(text, b';')?;
        let (name, value) = name_and_value(piece);
        if count == PARAMS || !is_token(name) || value.is_some_and(|value| !is_value(value)) {
            return None;
        }
        take(name, value);
        count += 1;
        rest = after;
    }
    Some(())
}

/// A quoted string, or something without white space, quotes and brackets.
fn is_value(value: &str) -> bool {
    all_of(value, Class::VALUE) || unquotes(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_changed_and_removed() {
        let mut params = Params::of_header(Some("a=1 ; B ; c = \"x;a=2\"; a=3;d=")).unwrap();
        assert_eq!(params.to_string(), ";a=1;B;c=\"x;a=2\";a=3;d=");
        let all: Vec<_> = params.iter().collect();
        let expect = [("a", Some("1")), ("B", None), ("c", Some("\"x;a=2\"")), ("a", Some("3")), ("d", Some(""))];
        assert_eq!(all, expect);
        assert_eq!((params.value("b"), params.text("A"), params.text("d")), (Some(None), Some("1"), None));
        let changes = [
            ("b", Some("9"), ";a=1;B=9;c=\"x;a=2\";a=3;d="),
            ("C", None, ";a=1;B=9;c;a=3;d="),
            ("e", Some("\"q\""), ";a=1;B=9;c;a=3;d=;e=\"q\""),
            ("%61", Some("4"), ";a=1;B=9;c;a=3;d=;e=\"q\";%61=4"),
            ("a", Some("5"), ";a=5;B=9;c;a=3;d=;e=\"q\";%61=4"),
        ];
        for (name, value, expect) in changes {
            params.set(name, value);
            assert_eq!(params.to_string(), expect);
        }
        params.remove("A");
        params.remove("none");
        assert_eq!(params.to_string(), ";B=9;c;d=;e=\"q\"");
        for name in ["e", "B", "d", "c"] {
            params.remove(name);
        }
        assert_eq!(params, Params::default());
        params.set("rport", None);
        assert_eq!(params.to_string(), ";rport");
    }
}
